/* Server(limits=...): each limit by its name. */
#include "server.h"

static int take_limit(PyObject *limits, const char *name, uint64_t max, uint64_t *ret) {
    PyObject *value = PyDict_GetItemString(limits, name);
    if (!value) return 0;
    uint64_t number = PyLong_AsUnsignedLongLong(value);
    if (number == (uint64_t)-1 && PyErr_Occurred()) return -1;
    if (number > max) {
        PyErr_Format(PyExc_ValueError, "limit %s: %llu is more than %llu", name, number, max);
        return -1;
    }
    *ret = number;
    if (PyDict_DelItemString(limits, name)) return -1;
    return 1;
}

/* Each limit once: its name, its field, its ceiling. */
#define LIMITS(XX)                                               \
    XX("body_max", conn.body_max, UINT64_MAX / 2)                \
    XX("spool_min", conn.spool_min, UINT64_MAX / 2)              \
    XX("line_max", conn.head_limits.line_max, 1u << 20)          \
    XX("head_max", conn.head_limits.head_max, 1u << 24)          \
    XX("fields_max", conn.head_limits.fields_max, Q5_FIELDS_MAX) \
    XX("allow_underscore", conn.head_limits.allow_underscore, 1) \
    XX("head_timeout_msec", conn.head_timeout_msec, 86400000)    \
    XX("body_idle_msec", conn.body_idle_msec, 86400000)          \
    XX("body_floor_per_s", conn.body_floor_per_s, 1u << 30)      \
    XX("keep_alive_msec", conn.keep_alive_msec, 86400000)        \
    XX("write_idle_msec", conn.write_idle_msec, 86400000)        \
    XX("write_floor_per_s", conn.write_floor_per_s, 1u << 30)    \
    XX("requests_max", conn.requests_max, UINT32_MAX)            \
    XX("connections_max", connections_max, 1u << 20)             \
    XX("memory_max", memory_max, UINT64_MAX / 2)

#define WEBSOCKET_LIMITS(XX)                                         \
    XX("websocket_message_max", ws_config.message_max, 1u << 30)     \
    XX("websocket_fragments_max", ws_config.fragments_max, 1u << 30) \
    XX("websocket_ping_msec", ws_config.ping_msec, 86400000)         \
    XX("websocket_pong_msec", ws_config.pong_msec, 86400000)         \
    XX("websocket_close_msec", ws_config.close_msec, 86400000)       \
    XX("websocket_compress", compresses, 1)

int q5py_server_limits(PyObject *given, q5_server_config *config, q5py_server *server) {
    PyObject *limits = PyDict_Copy(given);
    if (!limits) return -1;
    int rc = 0;
    uint64_t value;
#define XX(name, field, max) \
    if (rc >= 0 && (rc = take_limit(limits, name, max, &value)) > 0) config->field = value;
    LIMITS(XX)
#undef XX
#define XX(name, field, max) \
    if (rc >= 0 && (rc = take_limit(limits, name, max, &value)) > 0) server->field = value;
    WEBSOCKET_LIMITS(XX)
#undef XX
    server->ws_config.message_idle_msec = config->conn.body_idle_msec;
    server->ws_config.message_floor_per_s = config->conn.body_floor_per_s;
    if (rc >= 0 && PyDict_GET_SIZE(limits)) {
        PyErr_Format(PyExc_ValueError, "unknown limits: %R", limits);
        rc = -1;
    }
    Py_DECREF(limits);
    return rc < 0 ? -1 : 0;
}

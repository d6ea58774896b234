/* Cells to the Python values that the database's driver gives, before Django's converters: those
 * run on the Python side. PostgreSQL's binary formats: src/backend/utils/adt/<type>.c, the _send
 * functions. */
#include "query.h"

#include <datetime.h>

#include "q5/encoder.h"

#define USEC_PER_SEC INT64_C(1000000)
#define USEC_PER_DAY (86400 * USEC_PER_SEC)
#define DAYS_TO_2000 10957 /* from 1970-01-01; PostgreSQL counts from 2000-01-01 */
#define ARRAY_DIMENSIONS_MAX 6
#define YEAR_1_DAYS (-719162)  /* 0001-01-01, from 1970-01-01 */
#define YEAR_9999_DAYS 2932896 /* 9999-12-31 */

static uint64_t big_endian(const char *base, size_t bytes) {
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; i++)
        value = value << 8 | (unsigned char)base[i];
    return value;
}

static int32_t int32_at(const char *base) {
    return (int32_t)(uint32_t)big_endian(base, 4);
}

static int64_t int64_at(const char *base) {
    return (int64_t)big_endian(base, 8);
}

static PyObject *malformed(uint32_t oid) {
    PyErr_Format(PyExc_ValueError, "a malformed value of PostgreSQL's type %u", oid);
    return NULL;
}

/* ---- numbers --------------------------------------------------------------------------------- */

static PyObject *float4_of(const char *base) {
    uint32_t bits = (uint32_t)big_endian(base, 4);
    float value;
    memcpy(&value, &bits, sizeof(value));
    return PyFloat_FromDouble((double)value);
}

static PyObject *float8_of(const char *base) {
    uint64_t bits = big_endian(base, 8);
    double value;
    memcpy(&value, &bits, sizeof(value));
    return PyFloat_FromDouble(value);
}

/* The text that libq5 writes into JSON, without its quotes. */
static PyObject *text_by_encoder(q5_slice value, uint32_t oid, q5_value kind) {
    q5_type type = {.source = Q5_SOURCE_POSTGRESQL, .value = kind, .oid = oid};
    q5_encoder encoder;
    q5_cell cell = q5_cell_bytes(value.base, value.len);
    q5_buf out;
    q5_buf_init(&out, q5_alloc_default());
    int status = q5_encoder_choose(&type, &encoder);
    if (!status) status = q5_cell_encode(&encoder, &cell, &out);
    PyObject *text = NULL;
    if (!status && out.len >= 2)
        text = PyUnicode_DecodeUTF8(out.base + 1, (Py_ssize_t)out.len - 2, NULL);
    else
        malformed(oid);
    q5_buf_deinit(&out);
    return text;
}

static PyObject *numeric_of(q5py_state *state, q5_slice value, uint32_t oid) {
    PyObject *text = text_by_encoder(value, oid, Q5_VALUE_DECIMAL);
    PyObject *number = text ? PyObject_CallOneArg(state->decimal_class, text) : NULL;
    Py_XDECREF(text);
    return number;
}

/* ---- dates and times ------------------------------------------------------------------------- */

/* The inverse of query_param.c's days_of(). */
static void civil_of(int64_t days, int *year, int *month, int *day) {
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t of_era = days - era * 146097;
    int64_t y = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * y + y / 4 - y / 100);
    int64_t m = (5 * of_year + 2) / 153;
    *day = (int)(of_year - (153 * m + 2) / 5 + 1);
    *month = (int)(m < 10 ? m + 3 : m - 9);
    *year = (int)(y + era * 400 + (*month <= 2));
}

static bool in_range(int64_t days) {
    if (days >= YEAR_1_DAYS && days <= YEAR_9999_DAYS) return true;
    PyErr_SetString(PyExc_ValueError, "a date that Python cannot hold");
    return false;
}

static PyObject *date_of(const char *base) {
    int64_t days = (int64_t)int32_at(base) + DAYS_TO_2000;
    int year, month, day;
    if (!in_range(days)) return NULL;
    civil_of(days, &year, &month, &day);
    return PyDate_FromDate(year, month, day);
}

static PyObject *time_of(const char *base) {
    int64_t usec = int64_at(base);
    if (usec < 0 || usec >= USEC_PER_DAY) return malformed(Q5_PG_TIME);
    int64_t sec = usec / USEC_PER_SEC;
    return PyTime_FromTime((int)(sec / 3600), (int)(sec / 60 % 60), (int)(sec % 60),
                           (int)(usec % USEC_PER_SEC));
}

static PyObject *timestamp_of(const char *base, PyObject *zone) {
    int64_t usec = int64_at(base);
    int64_t days = usec / USEC_PER_DAY - (usec % USEC_PER_DAY < 0);
    int year, month, day;
    if (!in_range(days + DAYS_TO_2000)) return NULL; /* -infinity among them */
    civil_of(days + DAYS_TO_2000, &year, &month, &day);
    int64_t left = usec - days * USEC_PER_DAY;
    int64_t sec = left / USEC_PER_SEC;
    return PyDateTimeAPI->DateTime_FromDateAndTime(
        year, month, day, (int)(sec / 3600), (int)(sec / 60 % 60), (int)(sec % 60),
        (int)(left % USEC_PER_SEC), zone, PyDateTimeAPI->DateTimeType);
}

/* Months have no length: psycopg counts 30 days, of years 365. */
static PyObject *interval_of(const char *base) {
    int64_t usec = int64_at(base);
    int64_t days = int32_at(base + 8), months = int32_at(base + 12);
    days += months / 12 * 365 + months % 12 * 30;
    int64_t whole = usec / USEC_PER_DAY, rest = usec % USEC_PER_DAY;
    days += whole;
    if (days < -999999999 || days > 999999999) {
        PyErr_SetString(PyExc_OverflowError, "an interval that Python cannot hold");
        return NULL;
    }
    return PyDelta_FromDSU((int)days, (int)(rest / USEC_PER_SEC), (int)(rest % USEC_PER_SEC));
}

/* ---- the rest -------------------------------------------------------------------------------- */

static PyObject *int128_of(const char *base) {
    PyObject *high = PyLong_FromUnsignedLongLong(big_endian(base, 8));
    PyObject *low = PyLong_FromUnsignedLongLong(big_endian(base + 8, 8));
    PyObject *bits = PyLong_FromLong(64);
    PyObject *shifted = high && bits ? PyNumber_Lshift(high, bits) : NULL;
    PyObject *made = shifted && low ? PyNumber_Or(shifted, low) : NULL;
    Py_XDECREF(high);
    Py_XDECREF(low);
    Py_XDECREF(bits);
    Py_XDECREF(shifted);
    return made;
}

/* UUID(bytes=value), whose 3 us in Python go into telling its six kinds of arguments apart. The
 * class forbids setting its two slots; it sets them as object does, and so is it done here. */
static PyObject *uuid_of(q5py_state *state, q5_slice value) {
    PyTypeObject *type = (PyTypeObject *)state->uuid_class;
    PyObject *number = int128_of(value.base);
    PyObject *made = number ? type->tp_alloc(type, 0) : NULL;
    if (made && (PyObject_GenericSetAttr(made, state->str_int, number) ||
                 PyObject_GenericSetAttr(made, state->str_is_safe, state->uuid_safety)))
        Py_CLEAR(made);
    Py_XDECREF(number);
    return made;
}

static PyObject *str_of(q5_slice value) {
    return PyUnicode_DecodeUTF8(value.base, (Py_ssize_t)value.len, NULL);
}

/* A value whose length is that of its type. */
static PyObject *fixed_of(q5py_state *state, q5_slice value, uint32_t oid) {
    switch (oid) {
    case Q5_PG_BOOL:
        return PyBool_FromLong(value.base[0] != 0);
    case Q5_PG_INT2:
        return PyLong_FromLong((int16_t)big_endian(value.base, 2));
    case Q5_PG_INT4:
        return PyLong_FromLong(int32_at(value.base));
    case Q5_PG_OID:
        return PyLong_FromUnsignedLong((uint32_t)big_endian(value.base, 4));
    case Q5_PG_INT8:
        return PyLong_FromLongLong(int64_at(value.base));
    case Q5_PG_FLOAT4:
        return float4_of(value.base);
    case Q5_PG_FLOAT8:
        return float8_of(value.base);
    case Q5_PG_DATE:
        return date_of(value.base);
    case Q5_PG_TIME:
        return time_of(value.base);
    case Q5_PG_TIMESTAMP:
        return timestamp_of(value.base, Py_None);
    case Q5_PG_TIMESTAMPTZ:
        return timestamp_of(value.base, PyDateTime_TimeZone_UTC);
    case Q5_PG_INTERVAL:
        return interval_of(value.base);
    default:
        return uuid_of(state, value);
    }
}

static size_t size_of(uint32_t oid) {
    switch (oid) {
    case Q5_PG_BOOL:
        return 1;
    case Q5_PG_INT2:
        return 2;
    case Q5_PG_INT4:
    case Q5_PG_OID:
    case Q5_PG_FLOAT4:
    case Q5_PG_DATE:
        return 4;
    case Q5_PG_INT8:
    case Q5_PG_FLOAT8:
    case Q5_PG_TIME:
    case Q5_PG_TIMESTAMP:
    case Q5_PG_TIMESTAMPTZ:
        return 8;
    case Q5_PG_INTERVAL:
    case Q5_PG_UUID:
        return 16;
    default:
        return 0;
    }
}

static bool is_text(uint32_t oid) {
    return oid == Q5_PG_TEXT || oid == Q5_PG_VARCHAR || oid == Q5_PG_BPCHAR || oid == Q5_PG_NAME ||
           oid == Q5_PG_UNKNOWN;
}

bool q5py_cell_knows(uint32_t oid) {
    uint32_t element = q5_pg_element_type(oid);
    if (element) oid = element;
    return size_of(oid) || is_text(oid) || oid == Q5_PG_BYTEA || oid == Q5_PG_NUMERIC ||
           oid == Q5_PG_JSONB || oid == Q5_PG_INET || oid == Q5_PG_CIDR;
}

/* ---- arrays ---------------------------------------------------------------------------------- */

typedef struct array_reader {
    q5py_state *state;
    q5_slice rest;
    uint32_t element;
    int dimensions;
    int32_t sizes[ARRAY_DIMENSIONS_MAX];
} array_reader;

static PyObject *array_item(array_reader *reader) {
    if (reader->rest.len < 4) return malformed(reader->element);
    int32_t len = int32_at(reader->rest.base);
    reader->rest = q5_slice_make(reader->rest.base + 4, reader->rest.len - 4);
    if (len < 0) Py_RETURN_NONE;
    if ((size_t)len > reader->rest.len) return malformed(reader->element);
    q5_slice value = q5_slice_make(reader->rest.base, (size_t)len);
    reader->rest = q5_slice_make(reader->rest.base + len, reader->rest.len - (size_t)len);
    return q5py_cell_of_postgresql(reader->state, value, reader->element);
}

static PyObject *array_level(array_reader *reader, int level) {
    PyObject *list = PyList_New(0);
    for (int32_t i = 0; list && i < reader->sizes[level]; i++) {
        PyObject *item =
            level + 1 < reader->dimensions ? array_level(reader, level + 1) : array_item(reader);
        if (!item || PyList_Append(list, item)) Py_CLEAR(list);
        Py_XDECREF(item);
    }
    return list;
}

static PyObject *array_of(q5py_state *state, q5_slice value, uint32_t oid, uint32_t element) {
    array_reader reader = {.state = state, .element = element};
    if (value.len < 12) return malformed(oid);
    reader.dimensions = int32_at(value.base);
    if (reader.dimensions == 0) return PyList_New(0);
    if (reader.dimensions < 0 || reader.dimensions > ARRAY_DIMENSIONS_MAX ||
        (uint32_t)big_endian(value.base + 8, 4) != element ||
        value.len < 12 + 8 * (size_t)reader.dimensions)
        return malformed(oid);
    uint64_t items = 1; /* each takes 4 bytes or more */
    for (int i = 0; i < reader.dimensions; i++) {
        reader.sizes[i] = int32_at(value.base + 12 + 8 * i);
        if (reader.sizes[i] < 0) return malformed(oid);
        items *= (uint64_t)reader.sizes[i];
        if (items > value.len / 4) return malformed(oid);
    }
    size_t head = 12 + 8 * (size_t)reader.dimensions;
    reader.rest = q5_slice_make(value.base + head, value.len - head);
    return array_level(&reader, 0);
}

/* ---- any ------------------------------------------------------------------------------------- */

PyObject *q5py_cell_of_postgresql(q5py_state *state, q5_slice value, uint32_t oid) {
    size_t size = size_of(oid);
    if (size) return value.len == size ? fixed_of(state, value, oid) : malformed(oid);
    if (is_text(oid)) return str_of(value);
    uint32_t element = q5_pg_element_type(oid);
    if (element) return array_of(state, value, oid, element);
    switch (oid) {
    case Q5_PG_BYTEA:
        return PyBytes_FromStringAndSize(value.base, (Py_ssize_t)value.len);
    case Q5_PG_NUMERIC:
        return numeric_of(state, value, oid);
    case Q5_PG_INET:
    case Q5_PG_CIDR:
        return text_by_encoder(value, oid, Q5_VALUE_IP);
    case Q5_PG_JSONB: /* a text behind its version; Django parses it */
        if (value.len < 1 || value.base[0] != 1) return malformed(oid);
        return str_of(q5_slice_make(value.base + 1, value.len - 1));
    default:
        PyErr_Format(PyExc_NotImplementedError, "PostgreSQL's type %u", oid);
        return NULL;
    }
}

PyObject *q5py_cell_of_sqlite(const q5_cell *cell) {
    switch (cell->kind) {
    case Q5_CELL_NULL:
        Py_RETURN_NONE;
    case Q5_CELL_INT64:
        return PyLong_FromLongLong(cell->int64);
    case Q5_CELL_DOUBLE:
        return PyFloat_FromDouble(cell->real);
    case Q5_CELL_TEXT:
        return str_of(cell->bytes);
    case Q5_CELL_BYTES:
        return PyBytes_FromStringAndSize(cell->bytes.base, (Py_ssize_t)cell->bytes.len);
    }
    Py_UNREACHABLE();
}

int q5py_init_cells(PyObject *module, q5py_state *state) {
    (void)module;
    (void)state;
    PyDateTime_IMPORT;
    return PyErr_Occurred() ? -1 : 0;
}

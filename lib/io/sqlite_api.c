/* SQLite's functions by dlsym, and what its result codes mean here. */
#include <dlfcn.h>

#include "io/sqlite_internal.h"

/* Django 5.2's own floor. */
#define VERSION_MIN 3031000

typedef struct function {
    const char *name;
    size_t offset; /* of its pointer in q5_sqlite_api */
} function;

static const function functions[] = {
#define XX(name) {"sqlite3_" #name, offsetof(q5_sqlite_api, name)},
    Q5_SQLITE_FUNCTIONS(XX)
#undef XX
};

/* What is missing, NULL if nothing is. */
static const char *look_up(q5_sqlite_api *api, void *handle) {
    for (size_t i = 0; i < Q5_ARRAY_LEN(functions); i++) {
        void *found = dlsym(handle, functions[i].name);
        if (!found) return functions[i].name;
        memcpy((char *)api + functions[i].offset, &found, sizeof(found));
    }
    if (api->libversion_number() < VERSION_MIN) return "SQLite 3.31 or newer";
    if (!api->threadsafe()) return "SQLite with threads";
    return NULL;
}

int q5_sqlite_api_create(q5_sqlite_api **ret_api, const q5_alloc *alloc, void *handle,
                         const char **ret_missing) {
    if (!alloc) alloc = q5_alloc_default();
    q5_sqlite_api *api = q5_calloc(alloc, sizeof(*api));
    if (!api) return Q5_ENOMEM;
    api->alloc = alloc;
    const char *missing = look_up(api, handle);
    if (missing) {
        if (ret_missing) *ret_missing = missing;
        q5_free(alloc, api);
        return Q5_ELIBRARY;
    }
    *ret_api = api;
    return Q5_OK;
}

void q5_sqlite_api_destroy(q5_sqlite_api *api) {
    if (api) q5_free(api->alloc, api);
}

int q5_sqlite_api_version(const q5_sqlite_api *api) {
    return api->libversion_number();
}

int q5__sqlite_status(int code) {
    switch (code & 0xff) { /* the low byte of an extended code is its primary one */
    case SQLITE_OK:
    case SQLITE_ROW:
        return Q5_OK;
    case SQLITE_DONE:
        return Q5_DONE;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL: /* the start of a WAL's read was outrun too many times */
    case SQLITE_SCHEMA:   /* SQLite has prepared it again and again, and it changed each time */
        return Q5_EBUSY;
    case SQLITE_INTERRUPT:
        return Q5_EINTERRUPTED;
    case SQLITE_CONSTRAINT:
        return Q5_ECONSTRAINT;
    case SQLITE_NOMEM:
        return Q5_ENOMEM;
    case SQLITE_IOERR:
    case SQLITE_CORRUPT:
    case SQLITE_FULL:
    case SQLITE_CANTOPEN:
    case SQLITE_NOTADB:
    case SQLITE_NOLFS:
    case SQLITE_PERM:
    case SQLITE_READONLY:
        return Q5_EIO;
    default:
        return Q5_ESQL;
    }
}

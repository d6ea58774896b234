#include "q5/pg_library.h"

#include <dlfcn.h>

#include "q5/status.h"

typedef struct entry {
    const char *name;
    size_t offset; /* in q5_pg_library */
    bool needed;
} entry;

#define NEEDED(name, type, parameters) {"PQ" #name, offsetof(q5_pg_library, name), true},
#define NEWER(name, type, parameters) {"PQ" #name, offsetof(q5_pg_library, name), false},
static const entry entries[] = {Q5_PG_FUNCTIONS(NEEDED) Q5_PG_NEWER_FUNCTIONS(NEWER)};
#undef NEEDED
#undef NEWER

/* POSIX lets a function's address stand in a void *; C has no cast for it. */
_Static_assert(sizeof(void *) == sizeof(void (*)(void)), "dlsym returns functions");

int q5_pg_library_load(q5_pg_library *library, void *handle) {
    for (size_t i = 0; i < Q5_ARRAY_LEN(entries); i++) {
        void *address = dlsym(handle, entries[i].name);
        if (!address && entries[i].needed) return Q5_ELIBRARY;
        memcpy((char *)library + entries[i].offset, &address, sizeof(address));
    }
    return library->libVersion() < Q5_PG_VERSION_MIN ? Q5_ELIBRARY : Q5_OK;
}

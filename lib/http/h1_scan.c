#include "http/h1_fields.h"

#include <stdatomic.h>

static const char *scan_set(const q5__byteset *set, const char *pos, const char *end) {
    return q5__scan_set_scalar(set, pos, end);
}

static const char *scan_text(const char *pos, const char *end) {
    return q5__scan_text_scalar(pos, end);
}

static int fields(q5_h1_parser *parser, const char *end) {
    return q5__h1_fields_parse(parser, end, q5__scan_set_scalar, q5__scan_text_scalar);
}

const q5__h1_scanner q5__h1_scan_scalar = {"scalar", scan_set, scan_text, fields};

/* Best first; the scalar one runs everywhere and stands last. */
static const q5__h1_scanner *const scanners[] = {
#ifdef Q5__H1_SCAN_X86
    &q5__h1_scan_avx2,
    &q5__h1_scan_sse42,
#endif
#ifdef Q5__H1_SCAN_NEON
    &q5__h1_scan_neon,
#endif
    &q5__h1_scan_scalar,
};

/* The one mutable word of the library. Every thread would choose the same value, so a race to set
 * it is harmless, and the tables behind it are constant: relaxed order is enough. */
static _Atomic(const q5__h1_scanner *) chosen;

static bool machine_has(const q5__h1_scanner *scanner) {
#ifdef Q5__H1_SCAN_X86
    if (scanner == &q5__h1_scan_avx2) return __builtin_cpu_supports("avx2");
    if (scanner == &q5__h1_scan_sse42) return __builtin_cpu_supports("sse4.2");
#endif
    (void)scanner; /* the others need nothing that their architecture may lack */
    return true;
}

static const q5__h1_scanner *scanner_choose(void) {
    /* The last one, the scalar, is had by every machine. */
    size_t i = 0, last = Q5_ARRAY_LEN(scanners) - 1;
    while (i < last && !machine_has(scanners[i]))
        i++;
    atomic_store_explicit(&chosen, scanners[i], memory_order_relaxed);
    return scanners[i];
}

const q5__h1_scanner *q5__h1_scanner_get(void) {
    const q5__h1_scanner *scanner = atomic_load_explicit(&chosen, memory_order_relaxed);
    return Q5_LIKELY(scanner != NULL) ? scanner : scanner_choose();
}

const char *q5_h1_scanner(void) {
    return q5__h1_scanner_get()->name;
}

bool q5_h1_use_scanner(const char *name) {
    for (size_t i = 0; i < Q5_ARRAY_LEN(scanners); i++) {
        if (strcmp(scanners[i]->name, name) != 0) continue;
        if (!machine_has(scanners[i])) return false;
        atomic_store_explicit(&chosen, scanners[i], memory_order_relaxed);
        return true;
    }
    return false;
}

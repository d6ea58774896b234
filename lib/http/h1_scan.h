/* The two searches that a head consists of, each in several machine forms with equal results. */
#ifndef Q5_HTTP_H1_SCAN_H
#define Q5_HTTP_H1_SCAN_H

#include "http/byteset.h"
#include "q5/h1.h"

/* Both return the first byte of [pos, end) at which they had to stop, else end. No byte at or
 * behind end is read. */
/* Stops at a byte outside the set. */
typedef const char *q5__scan_set(const q5__byteset *set, const char *pos, const char *end);
/* Stops at a control byte other than HTAB: what ends or breaks a field value. */
typedef const char *q5__scan_text(const char *pos, const char *end);

typedef struct q5__h1_scanner {
    const char *name;
    q5__scan_set *set;
    q5__scan_text *text;
    /* q5__h1_fields_parse around them */
    int (*fields)(q5_h1_parser *parser, const char *end);
} q5__h1_scanner;

extern const q5__h1_scanner q5__h1_scan_scalar;
#if defined(__x86_64__) || defined(__i386__)
#define Q5__H1_SCAN_X86 1
extern const q5__h1_scanner q5__h1_scan_sse42;
extern const q5__h1_scanner q5__h1_scan_avx2;
#elif defined(__aarch64__)
#define Q5__H1_SCAN_NEON 1
extern const q5__h1_scanner q5__h1_scan_neon;
#endif

/* The scanner in use; never NULL. */
const q5__h1_scanner *q5__h1_scanner_get(void);

/* The scalar forms are inlined into the vector ones, for the last bytes before end. */
static inline const char *q5__scan_set_scalar(const q5__byteset *set, const char *pos,
                                              const char *end) {
    while (pos < end && q5__byteset_has(set, *pos))
        pos++;
    return pos;
}

static inline const char *q5__scan_text_scalar(const char *pos, const char *end) {
    while (pos < end && q5__is_text((uint8_t)*pos))
        pos++;
    return pos;
}

#endif

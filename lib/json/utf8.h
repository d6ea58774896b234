/* UTF-8 as RFC 3629 has it. */
#ifndef Q5_JSON_UTF8_H
#define Q5_JSON_UTF8_H

#include "q5/base.h"

/* Length of the well-formed sequence at the start of `text` (len bytes, at least one, the first of
 * which is no ASCII), or minus the length of the part that no sequence begins with. Bounds of the
 * second byte as in Unicode 15, table 3-7. */
static inline int q5__utf8_sequence(const uint8_t *text, size_t len) {
    uint8_t lead = text[0], low = 0x80, high = 0xbf;
    int want;
    if (lead >= 0xc2 && lead <= 0xdf) {
        want = 2;
    } else if (lead >= 0xe0 && lead <= 0xef) {
        want = 3;
        if (lead == 0xe0) low = 0xa0;
        if (lead == 0xed) high = 0x9f; /* no surrogates */
    } else if (lead >= 0xf0 && lead <= 0xf4) {
        want = 4;
        if (lead == 0xf0) low = 0x90;
        if (lead == 0xf4) high = 0x8f; /* nothing above U+10FFFF */
    } else {
        return -1;
    }
    for (int i = 1; i < want; i++) {
        if ((size_t)i == len || text[i] < low || text[i] > high) return -i;
        low = 0x80;
        high = 0xbf;
    }
    return want;
}

#endif

/* The lookup of a field name that is known to be a token; the parser's form of q5_field_find. */
#ifndef Q5_HTTP_FIELD_H
#define Q5_HTTP_FIELD_H

#include "q5/head.h"

#define Q5__FIELD_NAME_MIN 4
#define Q5__FIELD_NAME_MAX 19

/* A perfect hash over the known names; lower and upper case fall on the same slot. field.c fills
 * the slots with it, and the compiler rejects two names in one slot (-Woverride-init). */
#define Q5__FIELD_SLOTS 64
#define Q5__FIELD_SLOT(len, fourth, last_but_one) \
    ((unsigned)((len) + 2 * (((fourth) | 0x20) + ((last_but_one) | 0x20))) % Q5__FIELD_SLOTS)

typedef struct q5__field_name {
    char base[23]; /* lower case */
    uint8_t len;
} q5__field_name;

extern const uint8_t q5__field_slots[Q5__FIELD_SLOTS];
extern const q5__field_name q5__field_names[Q5_FIELD_COUNT];

static inline uint64_t q5__load64(const char *base) {
    uint64_t word;
    memcpy(&word, base, sizeof(word));
    return word;
}

static inline uint32_t q5__load32(const char *base) {
    uint32_t word;
    memcpy(&word, base, sizeof(word));
    return word;
}

/* ASCII case-insensitive equality with a word of letters and '-', written in lower case; len is
 * from 4 to 24. Setting bit 0x20 gives a letter only from its own two cases, and '-' only from '-'
 * and CR: base must hold no CR. */
static inline bool q5__fold_eq(const char *base, const char *lower, size_t len) {
    const uint64_t fold = 0x2020202020202020;
    if (len < 8) {
        uint32_t front = (q5__load32(base) | (uint32_t)fold) ^ q5__load32(lower);
        uint32_t back = (q5__load32(base + len - 4) | (uint32_t)fold) ^ q5__load32(lower + len - 4);
        return (front | back) == 0;
    }
    uint64_t diff = (q5__load64(base) | fold) ^ q5__load64(lower);
    diff |= (q5__load64(base + len - 8) | fold) ^ q5__load64(lower + len - 8);
    if (len > 16) diff |= (q5__load64(base + 8) | fold) ^ q5__load64(lower + 8);
    return diff == 0;
}

/* name holds no CR; see q5__fold_eq. */
static inline q5_field_id q5__field_lookup(q5_slice name) {
    size_t len = name.len;
    if (len < Q5__FIELD_NAME_MIN || len > Q5__FIELD_NAME_MAX) return Q5_FIELD_OTHER;
    q5_field_id id =
        (q5_field_id)q5__field_slots[Q5__FIELD_SLOT(len, name.base[3], name.base[len - 2])];
    const q5__field_name *known = &q5__field_names[id];
    if (known->len != len || !q5__fold_eq(name.base, known->base, len)) return Q5_FIELD_OTHER;
    return id;
}

#endif

/* Nearly every text is well within its limits; this finds so at a fraction of what looking at each
 * byte costs. A block of 64 bytes becomes bit masks, a bit per byte, and only brackets are visited
 * one by one. The idea of masks instead of a state machine is that of Langdale and Lemire, "Parsing
 * Gigabytes of JSON per Second", 2019. */
#include "json/json_internal.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define BLOCK 64
#define SAFE_DIGITS 18 /* any integer of so many is within 64 bits */

typedef struct masks {
    uint64_t quote, backslash, colon, bracket, digit;
} masks;

typedef struct glance {
    q5__json_stack stack;
    uint32_t depth_max;
    uint64_t colons;
    uint64_t inside;   /* all bits: the block before ended inside a string; else 0 */
    bool escaped;      /* the block before ended with a backslash that escapes */
    unsigned trailing; /* digits at the end of the block before */
} glance;

#ifdef __SSE2__
/* '[' and ']' differ from '{' and '}' in one bit. */
static void classify_16(const char *text, unsigned shift, masks *ret) {
    __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)text);
    __m128i folded = _mm_or_si128(bytes, _mm_set1_epi8(0x20));
    __m128i open = _mm_cmpeq_epi8(folded, _mm_set1_epi8('{'));
    __m128i close = _mm_cmpeq_epi8(folded, _mm_set1_epi8('}'));
    __m128i ten = _mm_set1_epi8(9), value = _mm_sub_epi8(bytes, _mm_set1_epi8('0'));
    __m128i digit = _mm_cmpeq_epi8(_mm_min_epu8(value, ten), value);
#define MASK(vector) ((uint64_t)(uint32_t)_mm_movemask_epi8(vector) << shift)
    ret->quote |= MASK(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('"')));
    ret->backslash |= MASK(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\')));
    ret->colon |= MASK(_mm_cmpeq_epi8(bytes, _mm_set1_epi8(':')));
    ret->bracket |= MASK(_mm_or_si128(open, close));
    ret->digit |= MASK(digit);
#undef MASK
}

static masks classify(const char *text) {
    masks ret = {0};
    for (unsigned i = 0; i < BLOCK; i += 16)
        classify_16(text + i, i, &ret);
    return ret;
}
#else
static masks classify(const char *text) {
    masks ret = {0};
    for (unsigned i = 0; i < BLOCK; i++) {
        char c = text[i], folded = (char)(c | 0x20);
        uint64_t bit = UINT64_C(1) << i;
        if (c == '"') ret.quote |= bit;
        if (c == '\\') ret.backslash |= bit;
        if (c == ':') ret.colon |= bit;
        if (folded == '{' || folded == '}') ret.bracket |= bit;
        if (c >= '0' && c <= '9') ret.digit |= bit;
    }
    return ret;
}
#endif

/* Bit i of the result: an odd number of bits up to and with i are set. */
static uint64_t parity_up_to(uint64_t bits) {
    for (unsigned shift = 1; shift < 64; shift *= 2)
        bits ^= bits << shift;
    return bits;
}

/* The bytes that a backslash before them escapes. */
static uint64_t escaped_bytes(glance *g, uint64_t backslash) {
    uint64_t escaped = g->escaped;
    g->escaped = false;
    for (uint64_t left = backslash & ~escaped; left;) {
        unsigned at = (unsigned)__builtin_ctzll(left);
        if (at == BLOCK - 1) {
            g->escaped = true;
            break;
        }
        escaped |= UINT64_C(2) << at;
        left &= ~(UINT64_C(3) << at); /* itself, and the one it escapes should that be one too */
    }
    return escaped;
}

/* Some run of digits, also over the block's beginning, is longer than what is sure to fit. */
static bool has_long_run(glance *g, uint64_t digit) {
    uint64_t other = ~digit;
    unsigned leading = other ? (unsigned)__builtin_ctzll(other) : BLOCK;
    unsigned before = g->trailing;
    g->trailing = other ? (unsigned)__builtin_clzll(other) : before + BLOCK;
    if (before + leading > SAFE_DIGITS) return true;
    uint64_t run = digit & digit >> 1; /* of 2, then of 4, 8, 16, 19 */
    run &= run >> 2;
    run &= run >> 4;
    run &= run >> 8;
    return run & run >> 3;
}

static bool follow_brackets(glance *g, const char *block, uint64_t bracket) {
    for (; bracket; bracket &= bracket - 1) {
        char c = block[__builtin_ctzll(bracket)];
        bool object = c & 0x20;
        if ((c | 0x20) == '}') {
            if (!q5__json_close(&g->stack, object)) return false;
        } else {
            if (g->stack.depth == g->depth_max) return false;
            q5__json_open(&g->stack, object);
        }
    }
    return true;
}

static bool take(glance *g, const char *block) {
    masks m = classify(block);
    uint64_t quote = m.quote;
    if (m.backslash || g->escaped) quote &= ~escaped_bytes(g, m.backslash);
    /* From an opening quote up to, but without, the closing one. */
    uint64_t inside = parity_up_to(quote) ^ g->inside;
    g->inside = inside >> 63 ? UINT64_MAX : 0;
    if (m.backslash & ~inside) return false; /* then the quotes were not what they seemed */
    g->colons += (uint64_t)__builtin_popcountll(m.colon & ~inside);
    return !has_long_run(g, m.digit & ~inside) && follow_brackets(g, block, m.bracket & ~inside);
}

bool q5__json_glance(const char *text, size_t len, const q5_json_limits *limits) {
    glance g = {.depth_max = limits->depth_max};
    size_t at = 0;
    for (; len - at >= BLOCK; at += BLOCK)
        if (!take(&g, text + at)) return false;
    if (at < len) {
        char last[BLOCK];
        memset(last, ' ', sizeof(last));
        memcpy(last, text + at, len - at);
        if (!take(&g, last)) return false;
    }
    return g.stack.depth == 0 && !g.inside && g.colons <= limits->keys_max;
}

#include "q5/json_text.h"

#include "json/escape.h"
#include "q5/percent.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#define HAS_BLOCKS 1
#elif defined(__aarch64__) && defined(__ARM_NEON)
#include <arm_neon.h>
#define HAS_BLOCKS 1
#else
#define HAS_BLOCKS 0
#endif

#define BLOCK 16
#define CHUNK 1024 /* of a long text: room for its worst case is taken chunk by chunk */

#define EACH(byte) ((uint64_t)(byte)*UINT64_C(0x0101010101010101))

typedef struct escape {
    char text[7];
    uint8_t len;
} escape;

#define U(digits) \
    { "\\u00" digits, 6 }
#define N(name) \
    { "\\" name, 2 }
/* By byte; only what is escaped is ever looked up. */
static const escape escapes['\\' + 1] = {
    U("00"), U("01"), U("02"), U("03"), U("04"),         U("05"),          U("06"),
    U("07"), N("b"),  N("t"),  N("n"),  U("0b"),         N("f"),           N("r"),
    U("0e"), U("0f"), U("10"), U("11"), U("12"),         U("13"),          U("14"),
    U("15"), U("16"), U("17"), U("18"), U("19"),         U("1a"),          U("1b"),
    U("1c"), U("1d"), U("1e"), U("1f"), ['"'] = N("\""), ['\\'] = N("\\"),
};
#undef U
#undef N

char *q5__put_escape(char *to, char byte) {
    const escape *e = &escapes[(uint8_t)byte];
    memcpy(to, e, sizeof(*e));
    return to + e->len;
}

/* The first byte of memory is the lowest of the word. */
static inline uint64_t little_endian(uint64_t word) {
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    return __builtin_bswap64(word);
#else
    return word;
#endif
}

/* The lowest set bit is the top one of the first byte that must be escaped; those above it may be
 * wrong, for a borrow passes them. */
static inline uint64_t stops_8(uint64_t word) {
    uint64_t quote = word ^ EACH('"'), backslash = word ^ EACH('\\');
    uint64_t control = (word - EACH(0x20)) & ~word;
    uint64_t same = ((quote - EACH(1)) & ~quote) | ((backslash - EACH(1)) & ~backslash);
    return (control | same) & EACH(0x80);
}

/* One to seven bytes, with spaces behind them. */
static inline uint64_t load_few(const char *from, size_t len) {
    uint64_t word;
    if (len >= 4) {
        uint32_t first, last;
        memcpy(&first, from, 4);
        memcpy(&last, from + len - 4, 4);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        first = __builtin_bswap32(first);
        last = __builtin_bswap32(last);
#endif
        word = first | (uint64_t)last << (8 * (len - 4));
    } else {
        size_t middle = len / 2;
        word = (uint8_t)from[0] | (uint64_t)(uint8_t)from[middle] << (8 * middle) |
               (uint64_t)(uint8_t)from[len - 1] << (8 * (len - 1));
    }
    return word | EACH(' ') << (8 * len);
}

static inline size_t copy_words(char *to, const char *from, size_t len, uint64_t *high) {
    for (size_t at = 0; at < len;) {
        uint64_t word;
        size_t n = len - at < 8 ? len - at : 8;
        if (n == 8) {
            memcpy(&word, from + at, 8);
            word = little_endian(word);
        } else {
            word = load_few(from + at, n);
        }
        *high |= word & EACH(0x80);
        uint64_t stored = little_endian(word), stops = stops_8(word);
        memcpy(to + at, &stored, 8);
        if (stops) return at + (size_t)__builtin_ctzll(stops) / 8;
        at += n;
    }
    return len;
}

size_t q5__copy_plain_scalar(char *to, const char *from, size_t len, uint64_t *high) {
    return copy_words(to, from, len, high);
}

#if defined(__SSE2__)
#define STOP_BITS 1
/* Copies a block; a bit for every byte that must be escaped. */
static inline uint64_t copy_block(char *to, const char *from, uint64_t *high) {
    __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)from);
    _mm_storeu_si128((__m128i *)(void *)to, bytes);
    __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1f)), bytes);
    __m128i quote = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('"'));
    __m128i backslash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\'));
    *high |= (uint64_t)(uint32_t)_mm_movemask_epi8(bytes);
    return (uint32_t)_mm_movemask_epi8(_mm_or_si128(control, _mm_or_si128(quote, backslash)));
}
#elif HAS_BLOCKS
#define STOP_BITS 4
/* Copies a block; four bits for every byte that must be escaped. */
static inline uint64_t copy_block(char *to, const char *from, uint64_t *high) {
    uint8x16_t bytes = vld1q_u8((const uint8_t *)from);
    vst1q_u8((uint8_t *)to, bytes);
    uint8x16_t stops =
        vorrq_u8(vcltq_u8(bytes, vdupq_n_u8(0x20)),
                 vorrq_u8(vceqq_u8(bytes, vdupq_n_u8('"')), vceqq_u8(bytes, vdupq_n_u8('\\'))));
    *high |= vmaxvq_u8(bytes) & 0x80;
    uint8x8_t narrow = vshrn_n_u16(vreinterpretq_u16_u8(stops), 4);
    return vget_lane_u64(vreinterpret_u64_u8(narrow), 0);
}
#endif

size_t q5__copy_plain(char *to, const char *from, size_t len, uint64_t *high) {
    size_t at = 0;
#if HAS_BLOCKS
    for (; len - at >= BLOCK; at += BLOCK) {
        uint64_t stops = copy_block(to + at, from + at, high);
        if (stops) return at + (size_t)__builtin_ctzll(stops) / STOP_BITS;
    }
#endif
    return at + copy_words(to + at, from + at, len - at, high);
}

/* `to` has six bytes for each of `len`, and Q5__COPY_SLACK. */
static char *escape_all(char *to, const char *from, size_t len, uint64_t *high) {
    for (;;) {
        size_t n = q5__copy_plain(to, from, len, high);
        to += n;
        if (n == len) return to;
        to = q5__put_escape(to, from[n]);
        from += n + 1;
        len -= n + 1;
    }
}

int q5_json_text(q5_buf *out, const char *text, size_t len) {
    size_t before = out->len, done = 0;
    uint64_t high = 0;
    do {
        size_t n = len - done < CHUNK ? len - done : CHUNK;
        if (q5_buf_reserve(out, 6 * n + Q5__COPY_SLACK + 2)) {
            out->len = before;
            return Q5_ENOMEM;
        }
        char *to = out->base + out->len;
        if (done == 0) *to++ = '"';
        if (n) to = escape_all(to, text + done, n, &high);
        out->len = (size_t)(to - out->base);
        done += n;
    } while (done < len);
    if (high && !q5_utf8_valid(q5_slice_make(text, len))) {
        out->len = before;
        return Q5_EENCODING;
    }
    out->base[out->len++] = '"';
    return Q5_OK;
}

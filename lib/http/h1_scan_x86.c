/* The scanners for x86: 16 bytes at a time with SSE4.2, 32 with AVX2. Compiled for any x86 by
 * target attributes; h1_scan.c asks the machine before it hands one out. */
#include "http/h1_fields.h"

#ifdef Q5__H1_SCAN_X86

#include <immintrin.h>

#define SSE42 __attribute__((target("sse4.2")))
#define AVX2 __attribute__((target("avx2")))

/* Sixteen bytes, all bits of those that are in the set's complement. pshufb yields 0 for an index
 * past 0x7f, which is just what such a byte must give. */
static inline SSE42 unsigned set_stops_16(__m128i rows, const char *pos) {
    const __m128i bits = _mm_setr_epi8(1, 2, 4, 8, 16, 32, 64, -128, 0, 0, 0, 0, 0, 0, 0, 0);
    __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)pos);
    __m128i high = _mm_and_si128(_mm_srli_epi16(bytes, 4), _mm_set1_epi8(15));
    __m128i in = _mm_and_si128(_mm_shuffle_epi8(rows, bytes), _mm_shuffle_epi8(bits, high));
    return (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(in, _mm_setzero_si128()));
}

static inline SSE42 unsigned text_stops_16(const char *pos) {
    __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)pos);
    __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1f)), bytes);
    __m128i tab = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\t'));
    __m128i del = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(0x7f));
    return (unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_andnot_si128(tab, low), del));
}

static inline SSE42 const char *scan_set_sse42(const q5__byteset *set, const char *pos,
                                               const char *end) {
    __m128i rows = _mm_load_si128((const __m128i *)(const void *)set->row);
    for (; end - pos >= 16; pos += 16) {
        unsigned stops = set_stops_16(rows, pos);
        if (stops) return pos + __builtin_ctz(stops);
    }
    return q5__scan_set_scalar(set, pos, end);
}

static inline SSE42 const char *scan_text_sse42(const char *pos, const char *end) {
    for (; end - pos >= 16; pos += 16) {
        unsigned stops = text_stops_16(pos);
        if (stops) return pos + __builtin_ctz(stops);
    }
    return q5__scan_text_scalar(pos, end);
}

static inline AVX2 unsigned text_stops_32(const char *pos) {
    __m256i bytes = _mm256_loadu_si256((const __m256i *)(const void *)pos);
    __m256i low = _mm256_cmpeq_epi8(_mm256_min_epu8(bytes, _mm256_set1_epi8(0x1f)), bytes);
    __m256i tab = _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8('\t'));
    __m256i del = _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(0x7f));
    return (unsigned)_mm256_movemask_epi8(_mm256_or_si256(_mm256_andnot_si256(tab, low), del));
}

/* Names, methods and paths are mostly shorter than 16 bytes, so sets go 16 at a time here too. */
static inline AVX2 const char *scan_set_avx2(const q5__byteset *set, const char *pos,
                                             const char *end) {
    __m128i rows = _mm_load_si128((const __m128i *)(const void *)set->row);
    for (; end - pos >= 16; pos += 16) {
        unsigned stops = set_stops_16(rows, pos);
        if (stops) return pos + __builtin_ctz(stops);
    }
    return q5__scan_set_scalar(set, pos, end);
}

static inline AVX2 const char *scan_text_avx2(const char *pos, const char *end) {
    for (; end - pos >= 32; pos += 32) {
        unsigned stops = text_stops_32(pos);
        if (stops) return pos + __builtin_ctz(stops);
    }
    if (end - pos >= 16) {
        unsigned stops = text_stops_16(pos);
        if (stops) return pos + __builtin_ctz(stops);
        pos += 16;
    }
    return q5__scan_text_scalar(pos, end);
}

static SSE42 int fields_sse42(q5_h1_parser *parser, const char *end) {
    return q5__h1_fields_parse(parser, end, scan_set_sse42, scan_text_sse42);
}

static AVX2 int fields_avx2(q5_h1_parser *parser, const char *end) {
    return q5__h1_fields_parse(parser, end, scan_set_avx2, scan_text_avx2);
}

const q5__h1_scanner q5__h1_scan_sse42 = {"sse4.2", scan_set_sse42, scan_text_sse42, fields_sse42};
const q5__h1_scanner q5__h1_scan_avx2 = {"avx2", scan_set_avx2, scan_text_avx2, fields_avx2};

#else
typedef int q5__h1_scan_x86_unused;
#endif

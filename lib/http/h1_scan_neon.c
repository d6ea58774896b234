/* The scanner for 64-bit ARM: 16 bytes at a time. Every such machine has NEON. */
#include "http/h1_fields.h"

#ifdef Q5__H1_SCAN_NEON

#include <arm_neon.h>

/* Four bits for each byte of a mask of 0x00 and 0xff; the first stop is at ctz / 4. */
static inline uint64_t mask_nibbles(uint8x16_t mask) {
    uint8x8_t narrow = vshrn_n_u16(vreinterpretq_u16_u8(mask), 4);
    return vget_lane_u64(vreinterpret_u64_u8(narrow), 0);
}

static inline const char *scan_set_neon(const q5__byteset *set, const char *pos, const char *end) {
    static const uint8_t bit[16] = {1, 2, 4, 8, 16, 32, 64, 128};
    uint8x16_t rows = vld1q_u8(set->row);
    uint8x16_t bits = vld1q_u8(bit);
    for (; end - pos >= 16; pos += 16) {
        uint8x16_t bytes = vld1q_u8((const uint8_t *)pos);
        uint8x16_t low = vqtbl1q_u8(rows, vandq_u8(bytes, vdupq_n_u8(15)));
        uint8x16_t high = vqtbl1q_u8(bits, vshrq_n_u8(bytes, 4));
        uint64_t stops = mask_nibbles(vceqzq_u8(vandq_u8(low, high)));
        if (stops) return pos + (__builtin_ctzll(stops) >> 2);
    }
    return q5__scan_set_scalar(set, pos, end);
}

static inline const char *scan_text_neon(const char *pos, const char *end) {
    for (; end - pos >= 16; pos += 16) {
        uint8x16_t bytes = vld1q_u8((const uint8_t *)pos);
        uint8x16_t low = vcltq_u8(bytes, vdupq_n_u8(0x20));
        uint8x16_t tab = vceqq_u8(bytes, vdupq_n_u8('\t'));
        uint8x16_t del = vceqq_u8(bytes, vdupq_n_u8(0x7f));
        uint64_t stops = mask_nibbles(vorrq_u8(vbicq_u8(low, tab), del));
        if (stops) return pos + (__builtin_ctzll(stops) >> 2);
    }
    return q5__scan_text_scalar(pos, end);
}

static int fields_neon(q5_h1_parser *parser, const char *end) {
    return q5__h1_fields_parse(parser, end, scan_set_neon, scan_text_neon);
}

const q5__h1_scanner q5__h1_scan_neon = {"neon", scan_set_neon, scan_text_neon, fields_neon};

#else
typedef int q5__h1_scan_neon_unused;
#endif

#include "q5/range.h"

#include <inttypes.h>

#include "q5test.h"

#define NONE Q5_RANGE_NONE
#define SINGLE Q5_RANGE_SINGLE
#define MULTIPLE Q5_RANGE_MULTIPLE
#define UNSAT Q5_RANGE_UNSATISFIABLE

/* Ranges are written "offset+len ". */
static const struct row {
    const char *why;
    const char *value;
    uint64_t size;
    q5_range_kind kind;
    const char *ranges;
} rows[] = {
    {"RFC 9110, 14.1.2: the first 500 bytes", "bytes=0-499", 10000, SINGLE, "0+500 "},
    {"RFC 9110, 14.1.2: the second 500 bytes", "bytes=500-999", 10000, SINGLE, "500+500 "},
    {"RFC 9110, 14.1.2: the final 500 bytes", "bytes=-500", 10000, SINGLE, "9500+500 "},
    {"RFC 9110, 14.1.2: or", "bytes=9500-", 10000, SINGLE, "9500+500 "},
    {"RFC 9110, 14.1.2: the first and last bytes only", "bytes=0-0,-1", 10000, MULTIPLE,
     "0+1 9999+1 "},
    {"RFC 9110, 14.1.2: the first, middle, and last 1000 bytes", "bytes= 0-999, 4500-5499, -1000",
     10000, MULTIPLE, "0+1000 4500+1000 9000+1000 "},
    {"RFC 9110, 14.1.2: legal but not canonical", "bytes=500-600,601-999", 10000, SINGLE,
     "500+500 "},
    {"RFC 9110, 14.1.2: legal but not canonical", "bytes=500-700,601-999", 10000, SINGLE,
     "500+500 "},
    {"RFC 9110, 14.1: range-unit names are case-insensitive", "Bytes=0-0", 10, SINGLE, "0+1 "},
    {"RFC 9110, 14.1.2: last-pos past the end is the end", "bytes=5-99", 10, SINGLE, "5+5 "},
    {"RFC 9110, 14.1.2: a suffix longer than the representation is all of it", "bytes=-99", 10,
     SINGLE, "0+10 "},
    {"RFC 9110, 5.6.1.2: empty list elements are ignored", "bytes=,0-1, ,\t5-6,", 10, MULTIPLE,
     "0+2 5+2 "},
    {"RFC 9110, 15.3.7.2: the order of the request is kept", "bytes=8-9,0-1,4-5", 10, MULTIPLE,
     "8+2 0+2 4+2 "},
    {"one that joins two others", "bytes=0-1,8-9,4-5,2-3", 10, MULTIPLE, "0+6 8+2 "},
    {"one that joins all", "bytes=8-9,0-1,4-5,1-8", 10, SINGLE, "0+10 "},
    {"CVE-2025-62727: the same range over and over is one",
     "bytes=0-9,0-9,0-9,0-9,0-9,0-9,0-9,0-9,0-9,0-9,0-9,0-9,0-9,0-9,0-9,0-9", 10, SINGLE, "0+10 "},
    {"CVE-2011-3192: more than 16 ranges are ignored",
     "bytes=0-0,2-2,4-4,6-6,8-8,10-10,12-12,14-14,16-16,18-18,20-20,22-22,24-24,26-26,28-28,30-30,"
     "32-32",
     99, NONE, ""},
    {"16 are not",
     "bytes=0-0,2-2,4-4,6-6,8-8,10-10,12-12,14-14,16-16,18-18,20-20,22-22,24-24,26-26,28-28,30-30",
     99, MULTIPLE, "0+1 2+1 4+1 6+1 8+1 10+1 12+1 14+1 16+1 18+1 20+1 22+1 24+1 26+1 28+1 30+1 "},
    {"2^64 and more", "bytes=1-18446744073709551616", 10, SINGLE, "1+9 "},
    {"2^64 and more", "bytes=-99999999999999999999999999", 10, SINGLE, "0+10 "},
    {"the largest size", "bytes=18446744073709551613-", UINT64_MAX, SINGLE,
     "18446744073709551613+2 "},

    {"RFC 9110, 14.1.2: first-pos past the end cannot be satisfied", "bytes=10-", 10, UNSAT, ""},
    {"the same with last-pos", "bytes=10-20", 10, UNSAT, ""},
    {"RFC 9110, 14.1.2: nor a suffix of length zero", "bytes=-0", 10, UNSAT, ""},
    {"one that can be is enough", "bytes=10-,-0,3-3", 10, SINGLE, "3+1 "},
    {"nothing of an empty file", "bytes=0-", 0, UNSAT, ""},
    {"but a suffix of it is all of it, which no 206 can say", "bytes=-5", 0, NONE, ""},

    {"RFC 9110, 14.1.2: invalid if last-pos is less than first-pos", "bytes=5-4", 10, NONE, ""},
    {"invalid though others are not", "bytes=0-0,5-4", 10, NONE, ""},
    {"RFC 9110, 14.2: an unknown unit is ignored", "lines=0-1", 10, NONE, ""},
    {"no unit", "0-1", 10, NONE, ""},
    {"no specs", "bytes=", 10, NONE, ""},
    {"nothing but commas", "bytes=, ,", 10, NONE, ""},
    {"no '='", "bytes", 10, NONE, ""},
    {"only a dash", "bytes=-", 10, NONE, ""},
    {"a sign", "bytes=+1-2", 10, NONE, ""},
    {"two dashes", "bytes=1--2", 10, NONE, ""},
    {"space inside", "bytes=1 -2", 10, NONE, ""},
    {"space before '='", "bytes =1-2", 10, NONE, ""},
    {"a tail", "bytes=1-2x", 10, NONE, ""},
    {"no comma", "bytes=1-2 3-4", 10, NONE, ""},
    {"hex", "bytes=0x1-2", 10, NONE, ""},
    {"nothing", "", 10, NONE, ""},
};

static void test_rows(void **state) {
    (void)state;
    for (size_t i = 0; i < Q5_ARRAY_LEN(rows); i++) {
        const struct row *row = &rows[i];
        q5_range ranges[Q5_RANGES_MAX];
        size_t count = 99;
        q5_slice value = q5_slice_make(row->value, strlen(row->value));
        q5_range_kind kind = q5_range_parse(value, row->size, ranges, &count);
        if (kind != row->kind) fail_msg("%s: %d", row->why, (int)kind);
        char got[512] = "";
        size_t len = 0;
        for (size_t k = 0; k < count; k++)
            len += (size_t)snprintf(got + len, sizeof(got) - len, "%" PRIu64 "+%" PRIu64 " ",
                                    ranges[k].offset, ranges[k].len);
        if (strcmp(got, row->ranges) != 0) fail_msg("%s: %s", row->why, got);
    }
}

static void test_content_range(void **state) {
    (void)state;
    char out[Q5_CONTENT_RANGE_MAX];
    q5_range range = {42, 1192};
    /* RFC 9110, 14.4 */
    assert_slice(q5_slice_make(out, q5_content_range(out, &range, 1234)), "bytes 42-1233/1234");
    assert_slice(q5_slice_make(out, q5_content_range(out, NULL, 1234)), "bytes */1234");
    range = (q5_range){UINT64_MAX - 1, 1};
    assert_slice(q5_slice_make(out, q5_content_range(out, &range, UINT64_MAX)),
                 "bytes 18446744073709551614-18446744073709551614/18446744073709551615");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_content_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Frame heads, masks, close codes and incremental UTF-8, each against the clause that asks for it.
 */
#include "q5/ws_frame.h"

#include <stdlib.h>

#include "q5test.h"

static const struct {
    const char *bytes;
    size_t len;
    int status;
    size_t used;
    uint64_t payload;
    unsigned opcode;
    bool fin;
    const char *why;
} heads[] = {
    {"\x81\x85\x37\xfa\x21\x3d", 6, Q5_OK, 6, 5, Q5_WS_TEXT, true, "5.7: masked Hello"},
    {"\x01\x83\1\2\3\4", 6, Q5_OK, 6, 3, Q5_WS_TEXT, false, "5.7: first fragment"},
    {"\x80\x82\1\2\3\4", 6, Q5_OK, 6, 2, Q5_WS_CONTINUATION, true, "5.7: last fragment"},
    {"\x82\xfe\x01\x00\1\2\3\4", 8, Q5_OK, 8, 256, Q5_WS_BINARY, true, "5.7: 256 bytes"},
    {"\x82\xff\0\0\0\0\0\1\0\0\1\2\3\4", 14, Q5_OK, 14, 65536, Q5_WS_BINARY, true, "5.7: 64 KiB"},
    {"\x82\xfe\x00\x7e\1\2\3\4", 8, Q5_OK, 8, 126, Q5_WS_BINARY, true, "least of 16 bits"},
    {"\x82\xfe\xff\xff\1\2\3\4", 8, Q5_OK, 8, 65535, Q5_WS_BINARY, true, "most of 16 bits"},
    {"\x89\xfd\1\2\3\4", 6, Q5_OK, 6, 125, Q5_WS_PING, true, "5.5: longest control frame"},
    {"\x81\x05", 2, Q5_EWS_MASK, 0, 0, 0, 0, "5.1: a client masks"},
    {"\x82\xfe\x00\x7d\1\2\3\4", 8, Q5_EWS_FRAME, 0, 0, 0, 0, "5.2: 125 fits into 7 bits"},
    {"\x82\xff\0\0\0\0\0\0\xff\xff\1\2\3\4", 14, Q5_EWS_FRAME, 0, 0, 0, 0, "5.2: 65535 into 16"},
    {"\x82\xff\x80\0\0\0\0\1\0\0\1\2\3\4", 14, Q5_EWS_FRAME, 0, 0, 0, 0, "5.2: top bit"},
    {"\xa1\x85", 2, Q5_EWS_FRAME, 0, 0, 0, 0, "5.2: RSV2"},
    {"\x91\x85", 2, Q5_EWS_FRAME, 0, 0, 0, 0, "5.2: RSV3"},
    {"\x83\x85", 2, Q5_EWS_FRAME, 0, 0, 0, 0, "5.2: reserved data opcode"},
    {"\x87\x85", 2, Q5_EWS_FRAME, 0, 0, 0, 0, "5.2: reserved data opcode"},
    {"\x8b\x85", 2, Q5_EWS_FRAME, 0, 0, 0, 0, "5.2: reserved control opcode"},
    {"\x8f\x85", 2, Q5_EWS_FRAME, 0, 0, 0, 0, "5.2: reserved control opcode"},
    {"\x09\x85", 2, Q5_EWS_FRAME, 0, 0, 0, 0, "5.5: a fragmented Ping"},
    {"\x08\x85", 2, Q5_EWS_FRAME, 0, 0, 0, 0, "5.5: a fragmented Close"},
    {"\x89\xfe", 2, Q5_EWS_FRAME, 0, 0, 0, 0, "5.5: a Ping of 126 bytes"},
    {"\xc9\x85", 2, Q5_EWS_FRAME, 0, 0, 0, 0, "RFC 7692, 6.1: no RSV1 on control frames"},
};

static void test_heads(void **state) {
    (void)state;
    for (size_t i = 0; i < Q5_ARRAY_LEN(heads); i++) {
        q5_ws_head head = {.opcode = 0x77};
        size_t used = 99;
        int status = q5_ws_head_parse(heads[i].bytes, heads[i].len, &head, &used);
        if (status != heads[i].status) print_error("%s\n", heads[i].why);
        assert_status(status, heads[i].status);
        if (status) {
            assert_int_equal(used, 99);
            continue;
        }
        assert_int_equal(used, heads[i].used);
        assert_int_equal(head.len, heads[i].payload);
        assert_int_equal(head.opcode, heads[i].opcode);
        assert_int_equal(head.fin, heads[i].fin);
        for (size_t cut = 0; cut < used; cut++)
            assert_status(q5_ws_head_parse(heads[i].bytes, cut, &head, &used), Q5_AGAIN);
    }
}

static void test_heads_written(void **state) {
    (void)state;
    static const struct {
        uint64_t len;
        bool compressed;
        const char *bytes;
        size_t size;
    } rows[] = {
        {5, false, "\x81\x05", 2},
        {125, false, "\x81\x7d", 2},
        {126, false, "\x81\x7e\x00\x7e", 4},
        {65535, false, "\x81\x7e\xff\xff", 4},
        {65536, false, "\x81\x7f\0\0\0\0\0\1\0\0", 10},
        {7, true, "\xc1\x07", 2},
    };
    for (size_t i = 0; i < Q5_ARRAY_LEN(rows); i++) {
        char out[Q5_WS_HEAD_MAX];
        assert_int_equal(q5_ws_head_write(out, Q5_WS_TEXT, rows[i].compressed, rows[i].len),
                         rows[i].size);
        assert_memory_equal(out, rows[i].bytes, rows[i].size);
    }
}

/* Against the definition of 5.3, at every offset of the mask and of memory. */
static void test_unmask(void **state) {
    (void)state;
    static const uint8_t mask[4] = {0x37, 0xfa, 0x21, 0x3d};
    char buf[80], want[80];
    for (size_t offset = 0; offset < 8; offset++) {
        for (size_t len = 0; len <= 64; len++) {
            for (uint64_t at = 0; at < 5; at++) {
                for (size_t i = 0; i < sizeof(buf); i++) {
                    buf[i] = want[i] = (char)(i * 7);
                    if (i >= offset && i < offset + len)
                        want[i] = (char)((uint8_t)want[i] ^ mask[(at + i - offset) % 4]);
                }
                q5_ws_unmask(buf + offset, len, mask, at);
                assert_memory_equal(buf, want, sizeof(buf));
            }
        }
    }
}

static void test_codes(void **state) {
    (void)state;
    /* 7.4.1, 7.4.2: what must not be sent, and what nobody has defined. */
    static const unsigned valid[] = {1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010,
                                     1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999};
    static const unsigned invalid[] = {0,    1,    999,  1004, 1005, 1006,
                                       1015, 1016, 2000, 2999, 5000, 65535};
    for (size_t i = 0; i < Q5_ARRAY_LEN(valid); i++)
        assert_true(q5_ws_code_valid(valid[i]));
    for (size_t i = 0; i < Q5_ARRAY_LEN(invalid); i++)
        assert_false(q5_ws_code_valid(invalid[i]));
}

static void test_utf8_prefix(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int len; /* -1: cannot become UTF-8 */
    } rows[] = {
        {"", 0},
        {"a", 1},
        {"eight by\xc3\xa4te", 12},
        {"12345678\xc3", 8},
        {"\xe2\x82", 0},
        {"a\xf0\x9f\x98", 1},
        {"\xf0\x9f\x98\x80", 4},
        {"\xff", -1},
        {"\x80", -1},
        {"\xc0\xaf", -1}, /* overlong */
        {"\xc0", -1},     /* whatever follows */
        {"\xe0\x80", -1}, /* overlong, seen at its second byte */
        {"\xed\xa0", -1}, /* a surrogate */
        {"\xf4\x90", -1}, /* above U+10FFFF */
        {"\xf5", -1},
        {"12345678\xe2\x28", -1},
        {"\xc3\x28", -1},
    };
    for (size_t i = 0; i < Q5_ARRAY_LEN(rows); i++) {
        size_t len = 99;
        bool can = q5_ws_utf8_prefix(q5_slice_make(rows[i].text, strlen(rows[i].text)), &len);
        assert_int_equal(can, rows[i].len >= 0);
        if (can) assert_int_equal(len, rows[i].len);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_heads),
                                       cmocka_unit_test(test_heads_written),
                                       cmocka_unit_test(test_unmask), cmocka_unit_test(test_codes),
                                       cmocka_unit_test(test_utf8_prefix)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

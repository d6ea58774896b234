#include "q5/siphash.h"

#include "q5test.h"

/* The reference's vectors: key 00 01 .. 0f, input 00 01 .. of each length. */
static const struct row {
    size_t len;
    const char *hex;
} rows[] = {
    {0, "a3817f04ba25a8e66df67214c7550293"},  {1, "da87c1d86b99af44347659119b22fc45"},
    {7, "a1f1ebbed8dbc153c0b84aa61ff08239"},  {8, "3b62a9ba6258f5610f83e264f31497b4"},
    {9, "264499060ad9baabc47f8b02bb6d71ed"},  {15, "5493e99933b0a8117e08ec0f97cfc3d9"},
    {16, "6ee2a4ca67b054bbfd3315bf85230577"}, {63, "5150d1772f50834a503e069a973fbd7c"},
};

static uint8_t key[Q5_SIPHASH_KEY_LEN], input[64];

static void hash_in_pieces(size_t len, size_t piece, uint8_t ret[Q5_SIPHASH_LEN]) {
    q5_siphash hash;
    q5_siphash_init(&hash, key);
    q5_siphash_feed(&hash, q5_slice_make(NULL, 0));
    for (size_t at = 0; at < len; at += piece) {
        size_t n = len - at < piece ? len - at : piece;
        q5_siphash_feed(&hash, q5_slice_make((const char *)input + at, n));
    }
    q5_siphash_end(&hash, ret);
}

static void test_vectors(void **state) {
    (void)state;
    for (size_t i = 0; i < Q5_ARRAY_LEN(rows); i++)
        for (size_t piece = 1; piece <= 64; piece++) {
            uint8_t got[Q5_SIPHASH_LEN];
            char hex[2 * Q5_SIPHASH_LEN + 1];
            hash_in_pieces(rows[i].len, piece, got);
            for (size_t k = 0; k < sizeof(got); k++)
                snprintf(hex + 2 * k, 3, "%02x", got[k]);
            assert_string_equal(hex, rows[i].hex);
        }
}

/* "ab" + "c" and "a" + "bc" are not the same two pieces. */
static void test_counted(void **state) {
    (void)state;
    static const char *const pairs[][2] = {{"ab", "c"}, {"a", "bc"}, {"", "abc"}, {"abc", ""}};
    uint8_t got[4][Q5_SIPHASH_LEN];
    for (size_t i = 0; i < 4; i++) {
        q5_siphash hash;
        q5_siphash_init(&hash, key);
        for (size_t k = 0; k < 2; k++)
            q5_siphash_feed_counted(&hash, q5_slice_make(pairs[i][k], strlen(pairs[i][k])));
        q5_siphash_end(&hash, got[i]);
        for (size_t k = 0; k < i; k++)
            assert_memory_not_equal(got[i], got[k], Q5_SIPHASH_LEN);
    }
}

static void test_key_matters(void **state) {
    (void)state;
    uint8_t first[Q5_SIPHASH_LEN], second[Q5_SIPHASH_LEN];
    hash_in_pieces(10, 10, first);
    key[15] ^= 1;
    hash_in_pieces(10, 10, second);
    key[15] ^= 1;
    assert_memory_not_equal(first, second, Q5_SIPHASH_LEN);
}

int main(void) {
    for (size_t i = 0; i < sizeof(input); i++)
        input[i] = (uint8_t)i;
    memcpy(key, input, sizeof(key));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_counted),
        cmocka_unit_test(test_key_matters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The guard against a twin that goes byte by byte, and the writer through the guard. The first
 * three bytes choose the limits. */
#include <stdlib.h>

#include "q5/json_guard.h"
#include "q5/json_write.h"
#include "q5/percent.h"

#define CHECK(condition)           \
    do {                           \
        if (!(condition)) abort(); \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Only what can be told without looking into numbers. */
static int slow_guard(const char *text, size_t len, const q5_json_limits *limits, size_t *error) {
    char stack[256];
    uint32_t depth = 0, keys = 0;
    size_t quote = 0;
    bool inside = false;
    for (size_t i = 0; i < len; i++) {
        *error = i;
        char c = text[i];
        if (inside && c == '\\') i++;
        if (inside && c == '"') {
            inside = false;
            continue;
        }
        if (inside) continue;
        if (c == '"') {
            inside = true;
            quote = i;
        }
        if (c == '{' || c == '[') {
            if (depth == limits->depth_max) return Q5_EJSON_DEPTH;
            stack[depth++] = c == '{' ? '}' : ']';
        }
        if ((c == '}' || c == ']') && (depth == 0 || stack[--depth] != c)) return Q5_EJSON;
        if (c == ':' && ++keys > limits->keys_max) return Q5_EJSON_KEYS;
    }
    *error = inside ? quote : len;
    return inside || depth ? Q5_EJSON : Q5_OK;
}

static void check_guard(const char *text, size_t len, q5_json_limits limits) {
    size_t error = SIZE_MAX, slow_error = SIZE_MAX;
    int slow = slow_guard(text, len, &limits, &slow_error);
    limits.allow_big_int = true;
    int status = q5_json_guard(text, len, &limits, &error);
    CHECK(status == slow);
    CHECK(status == Q5_OK ? error == SIZE_MAX : error == slow_error);
    limits.allow_big_int = false;
    size_t int_error = SIZE_MAX;
    int strict = q5_json_guard(text, len, &limits, &int_error);
    if (strict == Q5_EJSON_INT)
        CHECK(int_error < len && (status == Q5_OK || int_error < error));
    else
        CHECK(strict == status && int_error == error);
}

static void check_write(q5_slice text) {
    q5_buf buf;
    q5_buf_init(&buf, NULL);
    CHECK(q5_json_write_string(&buf, text) == Q5_OK);
    q5_slice json = q5_buf_slice(&buf);
    size_t error;
    CHECK(json.len >= 2 && q5_utf8_valid(json));
    for (size_t i = 0; i < json.len; i++)
        CHECK((uint8_t)json.base[i] >= 0x20);
    CHECK(q5_json_guard(json.base, json.len, NULL, &error) == Q5_OK);
    CHECK(q5_json_guard(json.base, json.len - 1, NULL, &error) == Q5_EJSON && error == 0);
    q5_buf_deinit(&buf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 3) return 0;
    q5_json_limits limits = {.depth_max = data[0], .keys_max = data[1]};
    const char *text = (const char *)data + 3;
    check_guard(text, size - 3, limits);
    check_write(q5_slice_make(text, size - 3));
    return 0;
}

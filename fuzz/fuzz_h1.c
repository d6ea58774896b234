/* Request heads. The first byte chooses limits, the second how the input is cut; the rest is what
 * the client sent. Whole or in pieces, with each scanner, in buffers that move: one outcome. */
#include <stdlib.h>

#include "q5/h1.h"

#define REQUIRE(condition)         \
    do {                           \
        if (!(condition)) abort(); \
    } while (0)

typedef struct outcome {
    int status;
    size_t at; /* length of the head, or offset of the fault */
    const char *buf;
    q5_head head;
} outcome;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static q5_h1_limits limits_of(uint8_t choice) {
    q5_h1_limits limits = q5_h1_limits_default();
    if (choice & 1) limits.line_max = 40;
    if (choice & 2) limits.head_max = 120;
    if (choice & 4) limits.fields_max = 3;
    if (choice & 8) limits.allow_underscore = true;
    return limits;
}

static void require_inside(q5_slice slice, const char *buf, size_t len) {
    if (slice.base == NULL) {
        REQUIRE(slice.len == 0);
        return;
    }
    REQUIRE(slice.base >= buf && slice.base + slice.len <= buf + len);
}

static void require_sound(const outcome *got, const q5_h1_limits *limits, size_t len) {
    const q5_head *head = &got->head;
    if (got->status != Q5_OK) {
        REQUIRE(got->status == Q5_AGAIN || q5_status_http(got->status) >= 400);
        REQUIRE(got->at <= len);
        return;
    }
    REQUIRE(got->at >= 4 && got->at <= len && got->at <= limits->head_max);
    REQUIRE(memcmp(got->buf + got->at - 4, "\r\n\r\n", 4) == 0);
    REQUIRE(head->field_count <= limits->fields_max);
    REQUIRE(!(head->has_length && head->chunked));
    REQUIRE(!(head->chunked && head->version_minor == 0));
    REQUIRE(head->version_minor == 0 || head->known[Q5_FIELD_HOST] >= 0);
    REQUIRE(head->content_length <= INT64_MAX);
    const q5_slice parts[] = {head->method, head->target, head->path, head->query, head->host};
    for (size_t i = 0; i < Q5_ARRAY_LEN(parts); i++)
        require_inside(parts[i], got->buf, got->at);
    for (size_t i = 0; i < head->field_count; i++) {
        const q5_field *field = &head->fields[i];
        require_inside(field->name, got->buf, got->at);
        require_inside(field->value, got->buf, got->at);
        REQUIRE(field->name.len > 0);
        REQUIRE(field->id == q5_field_find(field->name));
        REQUIRE(field->id == Q5_FIELD_OTHER || head->known[field->id] <= (int)i);
        for (size_t j = 0; j < field->value.len; j++) {
            uint8_t c = (uint8_t)field->value.base[j];
            REQUIRE(c == '\t' || (c >= ' ' && c != 0x7f));
        }
    }
}

static size_t offset_of(q5_slice slice, const char *buf) {
    return slice.base ? (size_t)(slice.base - buf) : SIZE_MAX;
}

static void require_same_slice(const outcome *a, q5_slice in_a, const outcome *b, q5_slice in_b) {
    REQUIRE(in_a.len == in_b.len && offset_of(in_a, a->buf) == offset_of(in_b, b->buf));
}

static void require_same(const outcome *a, const outcome *b) {
    REQUIRE(a->status == b->status && a->at == b->at);
    if (a->status != Q5_OK) return;
    const q5_head *x = &a->head, *y = &b->head;
    require_same_slice(a, x->method, b, y->method);
    require_same_slice(a, x->target, b, y->target);
    require_same_slice(a, x->path, b, y->path);
    require_same_slice(a, x->query, b, y->query);
    require_same_slice(a, x->host, b, y->host);
    REQUIRE(x->content_length == y->content_length && x->has_length == y->has_length);
    REQUIRE(x->chunked == y->chunked && x->keep_alive == y->keep_alive);
    REQUIRE(x->expect_continue == y->expect_continue && x->upgrade == y->upgrade);
    REQUIRE(x->method_id == y->method_id && x->version_minor == y->version_minor);
    REQUIRE(x->field_count == y->field_count);
    REQUIRE(memcmp(x->known, y->known, sizeof(x->known)) == 0);
    for (size_t i = 0; i < x->field_count; i++) {
        require_same_slice(a, x->fields[i].name, b, y->fields[i].name);
        require_same_slice(a, x->fields[i].value, b, y->fields[i].value);
        REQUIRE(x->fields[i].id == y->fields[i].id);
    }
}

/* A fault in a line whose end has not come: who got the line in pieces need not have seen it yet.
 */
static bool may_wait(const outcome *want, const outcome *got, size_t len) {
    return got->status == Q5_AGAIN && want->status != Q5_OK && want->at < len &&
           memchr(want->buf + want->at, '\n', len - want->at) == NULL;
}

/* Each call gets a buffer of its own. The last one is left in got->buf, for the caller to free. */
static void feed(outcome *got, const q5_h1_limits *limits, const uint8_t *text, size_t len,
                 size_t first, size_t step) {
    q5_h1_parser parser;
    q5_h1_init(&parser, limits, &got->head);
    char *buf = NULL;
    for (size_t have = first;; have += step) {
        if (have > len) have = len;
        char *moved = malloc(have ? have : 1);
        REQUIRE(moved != NULL);
        if (have) memcpy(moved, text, have);
        free(buf);
        buf = moved;
        got->at = 0;
        got->status = q5_h1_parse(&parser, buf, have, &got->at);
        if (got->status != Q5_AGAIN || have == len) break;
        REQUIRE(parser.scanned + 1 >= have || parser.line + 1 >= have);
    }
    if (got->status != Q5_OK && got->status != Q5_AGAIN) got->at = parser.error;
    got->buf = buf;
    require_sound(got, limits, len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const scanners[] = {"scalar", "sse4.2", "avx2", "neon"};
    if (size < 2) return 0;
    q5_h1_limits limits = limits_of(data[0]);
    size_t cut = data[1];
    const uint8_t *text = data + 2;
    size_t len = size - 2;

    static outcome want, got; /* too large for some stacks */
    REQUIRE(q5_h1_use_scanner("scalar"));
    feed(&want, &limits, text, len, len, 1);
    for (size_t i = 0; i < Q5_ARRAY_LEN(scanners); i++) {
        if (!q5_h1_use_scanner(scanners[i])) continue;
        const size_t ways[][2] = {{len, 1}, {cut, len}, {cut % 16, cut % 7 + 1}, {0, 1}};
        for (size_t way = 0; way < Q5_ARRAY_LEN(ways); way++) {
            if (ways[way][1] < 8 && len > 2048 && way > 0) continue; /* moving is quadratic */
            feed(&got, &limits, text, len, ways[way][0], ways[way][1] ? ways[way][1] : 1);
            if (!may_wait(&want, &got, len)) require_same(&want, &got);
            free((void *)(uintptr_t)got.buf);
        }
    }
    free((void *)(uintptr_t)want.buf);
    return 0;
}

/* Any bytes as a cell of any type: either a status, with nothing written, or JSON that is UTF-8 and
 * within limits; JSON that was written once stays as it is. A decimal goes to the wire and back.
 *
 * Input: value, index of the type in PostgreSQL's map (past its end: SQLite), flags, the cell. */
#include "q5/json_guard.h"
#include "q5/param.h"
#include "q5/percent.h"

#include <stdlib.h>

#define HEAD_LEN 3
#define FLAG_ARRAY 1
#define FLAG_UTC 2
#define FLAG_EXPRESSION 4
#define FLAG_NUMBER 8 /* SQLite: an integer or a double instead of text */
#define FLAG_BYTES 16

#define CHECK(condition)           \
    do {                           \
        if (!(condition)) abort(); \
    } while (0)

static const uint32_t oids[] = {
#define XX(name, oid, array) (oid),
    Q5_PG_TYPE_MAP(XX)
#undef XX
};

static q5_type make_type(const uint8_t *head) {
    bool postgresql = head[1] < Q5_ARRAY_LEN(oids);
    return (q5_type){.source = postgresql ? Q5_SOURCE_POSTGRESQL : Q5_SOURCE_SQLITE,
                     .value = (q5_value)(head[0] % (Q5_VALUE_IP + 1)),
                     .oid = postgresql ? oids[head[1]] : 0,
                     .array = postgresql && (head[2] & FLAG_ARRAY),
                     .utc = head[2] & FLAG_UTC,
                     .expression = head[2] & FLAG_EXPRESSION,
                     .decimal_places = (int16_t)(head[2] >> 5),
                     .max_digits = (uint16_t)(head[2] & 31)};
}

static q5_cell make_cell(const q5_type *type, uint8_t flags, const char *base, size_t len) {
    if (type->source == Q5_SOURCE_POSTGRESQL || (flags & FLAG_BYTES))
        return q5_cell_bytes(base, len);
    if (!(flags & FLAG_NUMBER) || len != 8) return q5_cell_text(base, len);
    int64_t number;
    double real;
    memcpy(&number, base, sizeof(number));
    memcpy(&real, base, sizeof(real));
    return flags & FLAG_ARRAY ? q5_cell_double(real) : q5_cell_int64(number);
}

static void check_json(const q5_buf *out) {
    q5_json_limits limits = {
        .depth_max = Q5_JSON_DEPTH_MAX, .keys_max = UINT32_MAX, .allow_big_int = true};
    size_t error;
    CHECK(out->len > 0);
    CHECK(q5_utf8_valid(q5_buf_slice(out)));
    CHECK(q5_json_guard(out->base, out->len, &limits, &error) == Q5_OK);
}

static void check_again(const q5_buf *json) {
    q5_type type = {.source = Q5_SOURCE_POSTGRESQL, .value = Q5_VALUE_JSON, .oid = Q5_PG_JSON};
    q5_encoder encoder;
    q5_buf again;
    q5_buf_init(&again, NULL);
    q5_cell cell = q5_cell_bytes(json->base, json->len);
    CHECK(q5_encoder_choose(&type, &encoder) == Q5_OK);
    CHECK(q5_cell_encode(&encoder, &cell, &again) == Q5_OK);
    CHECK(q5_slice_eq(q5_buf_slice(json), q5_buf_slice(&again)));
    q5_buf_deinit(&again);
}

/* json: of a numeric, quoted; what is sent reads the same. */
static void check_numeric(const q5_encoder *encoder, const q5_buf *json) {
    q5_param param = {.kind = Q5_PARAM_DECIMAL, .bytes = {json->base + 1, json->len - 2}};
    q5_param_format format;
    q5_buf wire, again;
    q5_buf_init(&wire, NULL);
    q5_buf_init(&again, NULL);
    if (q5_param_pg_encode(&param, Q5_PG_NUMERIC, &wire, &format) == Q5_OK) {
        q5_cell cell = q5_cell_bytes(wire.base, wire.len);
        CHECK(q5_cell_encode(encoder, &cell, &again) == Q5_OK);
        CHECK(q5_slice_eq(q5_buf_slice(json), q5_buf_slice(&again)));
    }
    q5_buf_deinit(&wire);
    q5_buf_deinit(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    q5_encoder encoder;
    if (size < HEAD_LEN) return 0;
    q5_type type = make_type(data);
    if (q5_encoder_choose(&type, &encoder) != Q5_OK) return 0;
    size_t len = size - HEAD_LEN;
    char *bytes = malloc(len ? len : 1); /* exactly as long as it says */
    CHECK(bytes != NULL);
    memcpy(bytes, data + HEAD_LEN, len);
    q5_cell cell = make_cell(&type, data[2], bytes, len);
    q5_buf out;
    q5_buf_init(&out, NULL);
    int status = q5_cell_encode(&encoder, &cell, &out);
    if (status) {
        CHECK(status == Q5_ECELL || status == Q5_ECELL_RANGE);
        CHECK(out.len == 0);
    } else {
        check_json(&out);
        if (type.value == Q5_VALUE_JSON && !type.array) check_again(&out);
        if (type.oid == Q5_PG_NUMERIC && type.value == Q5_VALUE_DECIMAL && !type.array)
            check_numeric(&encoder, &out);
    }
    q5_buf_deinit(&out);
    free(bytes);
    return 0;
}

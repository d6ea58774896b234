/* Parameters on PostgreSQL's wire: the receive functions of its types (int8recv, date_recv,
 * array_recv, ...), with what they do not take as text. */
#include "q5/param.h"

#include "sql/param_numeric.h"
#include "sql/sql_internal.h"

#define DAYS_1970_TO_2000 10957
#define DAY_US INT64_C(86400000000)
#define DATE_MIN (-2451545 + DAYS_1970_TO_2000)   /* 4714-11-24 BC, PostgreSQL's first day */
#define DATE_MAX (2145031949 + DAYS_1970_TO_2000) /* 5874897-12-31 */
#define UUID_LEN 16

/* What put_binary says of a pair that has no binary form. */
#define NO_BINARY Q5_NOT_FOUND

static uint32_t scalar_type(q5_param_kind kind) {
    switch (kind) {
    case Q5_PARAM_BOOL:
        return Q5_PG_BOOL;
    case Q5_PARAM_INT64:
        return Q5_PG_INT8;
    case Q5_PARAM_DOUBLE:
        return Q5_PG_FLOAT8;
    case Q5_PARAM_TEXT:
        return Q5_PG_TEXT;
    case Q5_PARAM_BYTES:
        return Q5_PG_BYTEA;
    case Q5_PARAM_DATE:
        return Q5_PG_DATE;
    case Q5_PARAM_TIME:
        return Q5_PG_TIME;
    case Q5_PARAM_TIMESTAMP:
        return Q5_PG_TIMESTAMP;
    case Q5_PARAM_TIMESTAMPTZ:
        return Q5_PG_TIMESTAMPTZ;
    case Q5_PARAM_INTERVAL:
        return Q5_PG_INTERVAL;
    case Q5_PARAM_UUID:
        return Q5_PG_UUID;
    case Q5_PARAM_DECIMAL:
        return Q5_PG_NUMERIC;
    case Q5_PARAM_JSON:
        return Q5_PG_JSONB;
    case Q5_PARAM_NULL:
    case Q5_PARAM_ARRAY:
        break;
    }
    return 0;
}

uint32_t q5_param_pg_type(const q5_param *param) {
    if (param->kind != Q5_PARAM_ARRAY) return scalar_type(param->kind);
    for (size_t i = 0; i < param->array.count; i++) {
        uint32_t item = scalar_type(param->array.items[i].kind);
        if (item) return q5_pg_array_type(item);
    }
    return 0;
}

static int put16(q5_buf *out, uint16_t number) {
    char *at = q5__room(out, 2);
    return at ? q5__wrote(out, q5__set16(at, number)) : Q5_ENOMEM;
}

static int put32(q5_buf *out, uint32_t number) {
    char *at = q5__room(out, 4);
    return at ? q5__wrote(out, q5__set32(at, number)) : Q5_ENOMEM;
}

static int put64(q5_buf *out, uint64_t number) {
    char *at = q5__room(out, 8);
    return at ? q5__wrote(out, q5__set64(at, number)) : Q5_ENOMEM;
}

static int put_double(q5_buf *out, double number) {
    uint64_t bits;
    memcpy(&bits, &number, sizeof(bits));
    return put64(out, bits);
}

static int put_integer(q5_buf *out, int64_t number, uint32_t oid) {
    char text[Q5_JSON_INT_MAX];
    switch (oid) {
    case Q5_PG_INT2:
        return number == (int16_t)number ? put16(out, (uint16_t)number) : Q5_ECELL_RANGE;
    case Q5_PG_INT4:
        return number == (int32_t)number ? put32(out, (uint32_t)number) : Q5_ECELL_RANGE;
    case Q5_PG_INT8:
        return put64(out, (uint64_t)number);
    case Q5_PG_OID:
        return number == (uint32_t)number ? put32(out, (uint32_t)number) : Q5_ECELL_RANGE;
    case Q5_PG_FLOAT8:
        return put_double(out, (double)number);
    case Q5_PG_NUMERIC:
        return q5__put_numeric(out,
                               q5_slice_make(text, (size_t)(q5_json_int(text, number) - text)));
    default:
        return NO_BINARY;
    }
}

static int put_date(q5_buf *out, int64_t days) {
    if (days < DATE_MIN || days >= DATE_MAX) return Q5_ECELL_RANGE;
    return put32(out, (uint32_t)(int32_t)(days - DAYS_1970_TO_2000));
}

static int put_timestamp(q5_buf *out, int64_t us) {
    int64_t shift = DAYS_1970_TO_2000 * DAY_US;
    if (us < INT64_MIN + shift + 1) return Q5_ECELL_RANGE;
    return put64(out, (uint64_t)(us - shift));
}

/* Whole days apart, as a timedelta has them: a day is not always 24 hours to PostgreSQL. */
static int put_interval(q5_buf *out, int64_t us) {
    int64_t days = us / DAY_US, rest = us % DAY_US;
    if (rest < 0) {
        rest += DAY_US;
        days--;
    }
    char *at = q5__room(out, 16);
    if (!at) return Q5_ENOMEM;
    return q5__wrote(out, q5__set32(q5__set32(q5__set64(at, (uint64_t)rest), (uint32_t)days), 0));
}

static int put_bytes(q5_buf *out, q5_slice bytes) {
    return q5_buf_append(out, bytes.base, bytes.len);
}

static int put_text(q5_buf *out, q5_slice text) {
    if (text.len && memchr(text.base, 0, text.len)) return Q5_EINVAL;
    return put_bytes(out, text);
}

static bool is_text_type(uint32_t oid) {
    return oid == Q5_PG_TEXT || oid == Q5_PG_VARCHAR || oid == Q5_PG_BPCHAR || oid == Q5_PG_NAME ||
           oid == Q5_PG_JSON;
}

static int put_json(q5_buf *out, q5_slice text, uint32_t oid) {
    if (oid != Q5_PG_JSONB) return is_text_type(oid) ? put_text(out, text) : NO_BINARY;
    int status = q5_buf_append(out, "\1", 1); /* jsonb_recv: the version */
    return status ? status : put_text(out, text);
}

/* One value, not an array. What it has written on an error, the caller takes back. */
static int put_binary(q5_buf *out, const q5_param *param, uint32_t oid) {
    switch (param->kind) {
    case Q5_PARAM_INT64:
        return put_integer(out, param->int64, oid);
    case Q5_PARAM_TEXT:
        return is_text_type(oid) ? put_text(out, param->bytes) : NO_BINARY;
    case Q5_PARAM_JSON:
        return put_json(out, param->bytes, oid);
    case Q5_PARAM_UUID:
        if (param->bytes.len != UUID_LEN) return Q5_EINVAL;
        break;
    default:
        break;
    }
    if (oid != scalar_type(param->kind)) return NO_BINARY;
    switch (param->kind) {
    case Q5_PARAM_BOOL:
        return q5_buf_append(out, param->int64 ? "\1" : "\0", 1);
    case Q5_PARAM_DOUBLE:
        return put_double(out, param->real);
    case Q5_PARAM_BYTES:
    case Q5_PARAM_UUID:
        return put_bytes(out, param->bytes);
    case Q5_PARAM_DATE:
        return put_date(out, param->int64);
    case Q5_PARAM_TIME:
        if (param->int64 < 0 || param->int64 > DAY_US) return Q5_ECELL_RANGE;
        return put64(out, (uint64_t)param->int64);
    case Q5_PARAM_TIMESTAMP:
    case Q5_PARAM_TIMESTAMPTZ:
        return put_timestamp(out, param->int64);
    case Q5_PARAM_INTERVAL:
        return put_interval(out, param->int64);
    case Q5_PARAM_DECIMAL:
        return q5__put_numeric(out, param->bytes);
    default:
        return NO_BINARY;
    }
}

/* ---- arrays (the layout: cell_array.c) ------------------------------------------------------- */

static int put_item(q5_buf *out, const q5_param *item, uint32_t oid) {
    size_t start = out->len;
    if (item->kind == Q5_PARAM_NULL) return put32(out, UINT32_MAX);
    if (item->kind == Q5_PARAM_ARRAY) return Q5_EINVAL;
    int status = put32(out, 0);
    if (!status) status = put_binary(out, item, oid);
    if (status) return status == NO_BINARY ? Q5_EINVAL : status;
    size_t len = out->len - start - 4;
    if (len > INT32_MAX) return Q5_EINVAL;
    q5__set32(out->base + start, (uint32_t)len);
    return Q5_OK;
}

static int put_array(q5_buf *out, const q5_param *param, uint32_t oid) {
    const q5_param *items = param->array.items;
    size_t count = param->array.count;
    uint32_t element = q5_pg_element_type(oid), nulls = 0;
    if (!element || count > Q5_PARAM_ITEMS_MAX) return Q5_EINVAL;
    for (size_t i = 0; i < count; i++)
        nulls |= items[i].kind == Q5_PARAM_NULL;
    char *at = q5__room(out, 20);
    if (!at) return Q5_ENOMEM;
    at = q5__set32(q5__set32(q5__set32(at, count > 0), nulls), element);
    if (count) at = q5__set32(q5__set32(at, (uint32_t)count), 1);
    q5__wrote(out, at);
    for (size_t i = 0; i < count; i++) {
        int status = put_item(out, &items[i], element);
        if (status) return status;
    }
    return Q5_OK;
}

/* ---- text ------------------------------------------------------------------------------------ */

/* By way of the binary form of the kind's own type and its JSON, without the quotes. */
static int put_as_json(q5_buf *out, const q5_param *param, q5_value value) {
    q5_buf binary;
    q5_buf_init(&binary, out->alloc);
    q5_type type = {.source = Q5_SOURCE_POSTGRESQL,
                    .value = value,
                    .oid = scalar_type(param->kind),
                    .utc = param->kind == Q5_PARAM_TIMESTAMPTZ};
    q5_encoder encoder;
    int status = q5_encoder_choose(&type, &encoder);
    if (!status) status = put_binary(&binary, param, type.oid);
    if (!status) {
        q5_cell cell = q5_cell_bytes(binary.base, binary.len);
        size_t before = out->len;
        status = encoder.encode(&encoder, &cell, out);
        if (!status) {
            out->len -= 2;
            memmove(out->base + before, out->base + before + 1, out->len - before);
        }
    }
    q5_buf_deinit(&binary);
    return status;
}

static int put_double_text(q5_buf *out, double number) {
    if (number != number) return q5_buf_append(out, "NaN", 3);
    if (number > __DBL_MAX__) return q5_buf_append(out, "Infinity", 8);
    if (number < -__DBL_MAX__) return q5_buf_append(out, "-Infinity", 9);
    return q5__write_double(out, number);
}

/* bytea_in's hex format */
static int put_hex(q5_buf *out, q5_slice bytes) {
    static const char hex[] = "0123456789abcdef";
    char *at = bytes.len > SIZE_MAX / 4 ? NULL : q5__room(out, 2 * bytes.len + 2);
    if (!at) return Q5_ENOMEM;
    at = Q5__PUT(at, "\\x");
    for (size_t i = 0; i < bytes.len; i++) {
        *at++ = hex[(uint8_t)bytes.base[i] >> 4];
        *at++ = hex[(uint8_t)bytes.base[i] & 15];
    }
    return q5__wrote(out, at);
}

static int put_as_text(q5_buf *out, const q5_param *param) {
    int status;
    switch (param->kind) {
    case Q5_PARAM_BOOL:
        return q5_buf_append(out, param->int64 ? "t" : "f", 1);
    case Q5_PARAM_INT64:
        return q5__write_int(out, param->int64);
    case Q5_PARAM_DOUBLE:
        return put_double_text(out, param->real);
    case Q5_PARAM_TEXT:
    case Q5_PARAM_DECIMAL:
    case Q5_PARAM_JSON:
        return put_text(out, param->bytes);
    case Q5_PARAM_BYTES:
        return put_hex(out, param->bytes);
    case Q5_PARAM_DATE:
        return put_as_json(out, param, Q5_VALUE_DATE);
    case Q5_PARAM_TIME:
        return put_as_json(out, param, Q5_VALUE_TIME);
    case Q5_PARAM_TIMESTAMP:
    case Q5_PARAM_TIMESTAMPTZ:
        return put_as_json(out, param, Q5_VALUE_DATETIME);
    case Q5_PARAM_UUID:
        return put_as_json(out, param, Q5_VALUE_UUID);
    case Q5_PARAM_INTERVAL:
        status = q5__write_int(out, param->int64);
        return status ? status : q5_buf_append(out, " microseconds", 13);
    case Q5_PARAM_NULL:
    case Q5_PARAM_ARRAY:
        break;
    }
    return Q5_EINVAL;
}

int q5_param_pg_encode(const q5_param *param, uint32_t oid, q5_buf *out,
                       q5_param_format *ret_format) {
    size_t before = out->len;
    q5_param_format format = Q5_PARAM_AS_BINARY;
    int status = Q5_OK;
    if (param->kind == Q5_PARAM_ARRAY)
        status = put_array(out, param, oid);
    else if (param->kind != Q5_PARAM_NULL)
        status = put_binary(out, param, oid);
    if (status == NO_BINARY) {
        format = Q5_PARAM_AS_TEXT;
        out->len = before;
        status = put_as_text(out, param);
        if (!status) status = q5_buf_append(out, "", 1);
    }
    if (status)
        out->len = before;
    else
        *ret_format = format;
    return status;
}

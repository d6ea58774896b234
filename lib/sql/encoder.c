#include "sql/sql_internal.h"

typedef struct pg_types {
    uint32_t element, array;
} pg_types;

static const pg_types types[] = {
#define XX(name, element, array) {(element), (array)},
    Q5_PG_TYPE_MAP(XX)
#undef XX
};

uint32_t q5_pg_element_type(uint32_t oid) {
    for (size_t i = 0; i < Q5_ARRAY_LEN(types); i++)
        if (oid && types[i].array == oid) return types[i].element;
    return 0;
}

uint32_t q5_pg_array_type(uint32_t oid) {
    for (size_t i = 0; i < Q5_ARRAY_LEN(types); i++)
        if (types[i].element == oid) return types[i].array;
    return 0;
}

static q5_encode_fn pg_int(uint32_t oid) {
    switch (oid) {
    case Q5_PG_INT2:
        return q5__pg_int2;
    case Q5_PG_INT4:
        return q5__pg_int4;
    case Q5_PG_INT8:
        return q5__pg_int8;
    case Q5_PG_OID:
        return q5__pg_oid;
    case Q5_PG_NUMERIC:
        return q5__pg_numeric_as_int;
    case Q5_PG_FLOAT8:
        return q5__pg_float_as_int;
    default:
        return NULL;
    }
}

static bool is_integer(uint32_t oid) {
    return oid == Q5_PG_INT2 || oid == Q5_PG_INT4 || oid == Q5_PG_INT8;
}

static q5_encode_fn pg_float(uint32_t oid) {
    if (oid == Q5_PG_FLOAT4) return q5__pg_float4;
    if (oid == Q5_PG_FLOAT8) return q5__pg_float8;
    if (oid == Q5_PG_NUMERIC) return q5__pg_numeric_as_float;
    return is_integer(oid) ? q5__pg_int_as_float : NULL;
}

static bool is_text(uint32_t oid) {
    return oid == Q5_PG_TEXT || oid == Q5_PG_VARCHAR || oid == Q5_PG_BPCHAR || oid == Q5_PG_NAME ||
           oid == Q5_PG_UNKNOWN;
}

static bool is_time(uint32_t oid) {
    return oid == Q5_PG_TIME || oid == Q5_PG_TIMETZ;
}

/* A timestamp without a zone has none that Django could give. */
static bool is_timestamp(const q5_type *type) {
    return type->oid == Q5_PG_TIMESTAMPTZ || (type->oid == Q5_PG_TIMESTAMP && !type->utc);
}

static q5_encode_fn pg_encode(const q5_type *type) {
    uint32_t oid = type->oid;
    switch (type->value) {
    case Q5_VALUE_BOOL:
        return oid == Q5_PG_BOOL ? q5__pg_bool : NULL;
    case Q5_VALUE_INT:
        return pg_int(oid);
    case Q5_VALUE_FLOAT:
        return pg_float(oid);
    case Q5_VALUE_DECIMAL:
        if (oid == Q5_PG_NUMERIC) return q5__pg_numeric;
        return is_integer(oid) ? q5__pg_int_as_decimal : NULL;
    case Q5_VALUE_TEXT:
        return is_text(oid) ? q5__pg_text : NULL;
    case Q5_VALUE_BYTES:
        return oid == Q5_PG_BYTEA ? q5__pg_bytes : NULL;
    case Q5_VALUE_DATE:
        return oid == Q5_PG_DATE ? q5__pg_moment : NULL;
    case Q5_VALUE_TIME:
        return is_time(oid) ? q5__pg_moment : NULL;
    case Q5_VALUE_DATETIME:
        return is_timestamp(type) ? q5__pg_moment : NULL;
    case Q5_VALUE_DURATION:
        return oid == Q5_PG_INTERVAL ? q5__pg_duration : NULL;
    case Q5_VALUE_UUID:
        return oid == Q5_PG_UUID ? q5__pg_uuid : NULL;
    case Q5_VALUE_JSON:
        return oid == Q5_PG_JSONB ? q5__pg_jsonb : oid == Q5_PG_JSON ? q5__pg_json : NULL;
    case Q5_VALUE_IP:
        return oid == Q5_PG_INET || oid == Q5_PG_CIDR ? q5__pg_ip : NULL;
    }
    return NULL;
}

static q5_encode_fn sqlite_encode(const q5_type *type) {
    switch (type->value) {
    case Q5_VALUE_BOOL:
        return q5__sqlite_bool;
    case Q5_VALUE_INT:
        return type->expression ? q5__sqlite_int : q5__sqlite_stored;
    case Q5_VALUE_FLOAT:
        return type->expression ? q5__sqlite_float : q5__sqlite_stored;
    case Q5_VALUE_DECIMAL:
        return q5__sqlite_decimal;
    case Q5_VALUE_TEXT:
    case Q5_VALUE_BYTES:
    case Q5_VALUE_IP:
        return q5__sqlite_stored;
    case Q5_VALUE_DATE:
    case Q5_VALUE_TIME:
    case Q5_VALUE_DATETIME:
        return q5__sqlite_moment;
    case Q5_VALUE_DURATION:
        return q5__sqlite_duration;
    case Q5_VALUE_UUID:
        return q5__sqlite_uuid;
    case Q5_VALUE_JSON:
        return q5__sqlite_json;
    }
    return NULL;
}

int q5_encoder_choose(const q5_type *type, q5_encoder *ret) {
    bool postgresql = type->source == Q5_SOURCE_POSTGRESQL;
    q5_encode_fn encode = postgresql ? pg_encode(type) : sqlite_encode(type);
    if (!encode || (type->array && !postgresql)) return Q5_NOT_FOUND;
    *ret = (q5_encoder){.encode = type->array ? q5__pg_array : encode,
                        .element = type->array ? encode : NULL,
                        .type = *type};
    return Q5_OK;
}

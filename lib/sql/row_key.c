#include "sql/row_key.h"

#include "sql/sql_internal.h"

#define PART_HEAD (1 + sizeof(uint64_t)) /* kind; number, or length of the bytes that follow */

__extension__ typedef unsigned __int128 u128;

bool q5__row_key_make(q5_source source, const q5_cell *cells, uint32_t count, q5__row_key *ret) {
    ret->count = count;
    for (uint32_t i = 0; i < count; i++) {
        const q5_cell *cell = &cells[i];
        if (cell->kind == Q5_CELL_NULL) return false;
        int64_t number = 0;
        q5_slice bytes = {"", 0};
        uint8_t kind = (uint8_t)cell->kind;
        if (source == Q5_SOURCE_POSTGRESQL && q5__pg_integer(cell, &number))
            kind = Q5_CELL_INT64;
        else if (kind == Q5_CELL_INT64 || kind == Q5_CELL_DOUBLE)
            memcpy(&number, &cell->int64, sizeof(number));
        else if (cell->bytes.len)
            bytes = cell->bytes;
        ret->parts[i].kind = kind;
        ret->parts[i].number =
            kind == Q5_CELL_TEXT || kind == Q5_CELL_BYTES ? bytes.len : (uint64_t)number;
        ret->parts[i].bytes = bytes;
    }
    return true;
}

static uint64_t mix(uint64_t a, uint64_t b) {
    u128 product = (u128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t hash_bytes(uint64_t hash, q5_slice bytes) {
    const char *at = bytes.base;
    for (size_t left = bytes.len; left;) {
        size_t n = left < 8 ? left : 8;
        uint64_t word = 0;
        memcpy(&word, at, n);
        hash = mix(hash ^ word, UINT64_C(0x9e3779b97f4a7c15));
        at += n;
        left -= n;
    }
    return hash;
}

uint64_t q5__row_key_hash(const q5__row_key *key, uint64_t seed) {
    uint64_t hash = seed ^ UINT64_C(0x243f6a8885a308d3);
    for (uint32_t i = 0; i < key->count; i++) {
        hash = mix(hash ^ key->parts[i].number, UINT64_C(0x9e3779b97f4a7c15) + key->parts[i].kind);
        hash = hash_bytes(hash, key->parts[i].bytes);
    }
    return mix(hash, UINT64_C(0xd6e8feb86659fd93));
}

size_t q5__row_key_size(const q5__row_key *key) {
    size_t size = 0;
    for (uint32_t i = 0; i < key->count; i++)
        size += PART_HEAD + key->parts[i].bytes.len;
    return size;
}

void q5__row_key_put(const q5__row_key *key, char *at) {
    for (uint32_t i = 0; i < key->count; i++) {
        *at++ = (char)key->parts[i].kind;
        at = q5__put(at, (const char *)&key->parts[i].number, sizeof(uint64_t));
        at = q5__put(at, key->parts[i].bytes.base, key->parts[i].bytes.len);
    }
}

bool q5__row_key_is(const q5__row_key *key, q5_slice stored) {
    if (q5__row_key_size(key) != stored.len) return false;
    const char *at = stored.base;
    for (uint32_t i = 0; i < key->count; i++) {
        q5_slice bytes = key->parts[i].bytes;
        /* The number is the length of what follows, so the parts stay in step. */
        if (*at != (char)key->parts[i].kind ||
            memcmp(at + 1, &key->parts[i].number, sizeof(uint64_t)) != 0 ||
            memcmp(at + PART_HEAD, bytes.base, bytes.len) != 0)
            return false;
        at += PART_HEAD + bytes.len;
    }
    return true;
}

/* Dates, times, timestamps and intervals of PostgreSQL: counts from 2000-01-01 (date_send,
 * time_send, timetz_send, timestamp_send, interval_send), and how msgspec writes those of Python.
 */
#include "q5/moment.h"
#include "sql/moment_text.h"
#include "sql/sql_internal.h"

#define DAY_US INT64_C(86400000000)
#define ORDINAL_2000 730120 /* date(2000, 1, 1).toordinal() */
#define ORDINAL_MAX 3652059 /* date.max.toordinal() */
#define DAYS_MAX 999999999  /* timedelta.max.days */
#define MONTH_DAYS 30       /* as psycopg counts the months and years of an interval */
#define YEAR_DAYS 365
#define ZONE_MAX_S 57600 /* 16 hours: an offset is less (MAX_TZDISP_HOUR) */

static int64_t floor_div(int64_t number, int64_t by, int64_t *ret_rest) {
    int64_t quotient = number / by, rest = number % by;
    if (rest < 0) {
        rest += by;
        quotient--;
    }
    *ret_rest = rest;
    return quotient;
}

/* Cassio Neri and Lorenz Schneider, "Euclidean affine functions and their application to calendar
 * algorithms" (2023), figure 12: divisions by constants of a calendar whose year begins in March.
 */
static int set_date(q5_moment *moment, int64_t days_since_2000) {
    if (days_since_2000 < 1 - ORDINAL_2000 || days_since_2000 > ORDINAL_MAX - ORDINAL_2000)
        return Q5_ECELL_RANGE;
    uint32_t day = (uint32_t)(days_since_2000 + ORDINAL_2000 + 305); /* since 0000-03-01 */
    uint32_t n1 = 4 * day + 3, century = n1 / 146097, n2 = n1 % 146097 | 3;
    uint64_t p2 = UINT64_C(2939745) * n2;
    uint32_t year = 100 * century + (uint32_t)(p2 >> 32);
    uint32_t day_of_year = (uint32_t)p2 / 2939745 / 4;
    uint32_t n3 = 2141 * day_of_year + 197913;
    bool next = day_of_year >= 306; /* January and February */
    moment->year = (uint16_t)(year + next);
    moment->month = (uint8_t)((n3 >> 16) - (next ? 12 : 0));
    moment->day = (uint8_t)((n3 & 0xffff) / 2141 + 1);
    return Q5_OK;
}

/* us: less than a day. */
static void set_time(q5_moment *moment, int64_t us) {
    uint32_t second = (uint32_t)(us / 1000000);
    moment->microsecond = (uint32_t)(us % 1000000);
    moment->hour = (uint8_t)(second / 3600);
    moment->minute = (uint8_t)(second / 60 % 60);
    moment->second = (uint8_t)(second % 60);
}

static int read_date(q5_slice bytes, q5_moment *moment) {
    if (bytes.len != 4) return Q5_ECELL;
    return set_date(moment, (int32_t)q5__get32(bytes.base));
}

static int read_time(const q5_type *type, q5_slice bytes, q5_moment *moment) {
    bool zoned = type->oid == Q5_PG_TIMETZ;
    if (bytes.len != (zoned ? 12 : 8)) return Q5_ECELL;
    int64_t us = (int64_t)q5__get64(bytes.base);
    if (us < 0 || us >= DAY_US) return Q5_ECELL_RANGE; /* 24:00:00 is one of PostgreSQL's */
    set_time(moment, us);
    if (zoned) {
        int32_t west = (int32_t)q5__get32(bytes.base + 8);
        if (west <= -ZONE_MAX_S || west >= ZONE_MAX_S) return Q5_ECELL;
        moment->zoned = true;
        moment->offset_s = -west;
    }
    return Q5_OK;
}

/* The infinities are the ends of int64 and so past year 9999 and before year 1. */
static int read_timestamp(const q5_type *type, q5_slice bytes, q5_moment *moment) {
    if (bytes.len != 8) return Q5_ECELL;
    int64_t us, days = floor_div((int64_t)q5__get64(bytes.base), DAY_US, &us);
    set_time(moment, us);
    moment->zoned = type->utc;
    return set_date(moment, days);
}

static int read_pg(const q5_type *type, const q5_cell *cell, q5_moment *ret) {
    if (cell->kind != Q5_CELL_BYTES) return Q5_ECELL;
    if (type->value == Q5_VALUE_DATE) return read_date(cell->bytes, ret);
    if (type->value == Q5_VALUE_TIME) return read_time(type, cell->bytes, ret);
    return read_timestamp(type, cell->bytes, ret);
}

int q5_cell_moment(const q5_type *type, const q5_cell *cell, q5_moment *ret) {
    q5_moment moment = {0};
    int status = type->source == Q5_SOURCE_POSTGRESQL ? read_pg(type, cell, &moment)
                                                      : q5__moment_parse(type, cell, &moment);
    if (status == Q5_OK) *ret = moment;
    return status;
}

static char *put_date(char *at, const q5_moment *moment) {
    at = q5__two_digits(q5__two_digits(at, moment->year / 100), moment->year % 100);
    *at++ = '-';
    at = q5__two_digits(at, moment->month);
    *at++ = '-';
    return q5__two_digits(at, moment->day);
}

/* Seconds of an offset are rounded to minutes, a half to zero. */
static char *put_offset(char *at, int32_t offset_s) {
    unsigned minutes = ((unsigned)(offset_s < 0 ? -offset_s : offset_s) + 29) / 60;
    if (minutes == 0) {
        *at = 'Z';
        return at + 1;
    }
    *at++ = offset_s < 0 ? '-' : '+';
    at = q5__two_digits(at, minutes / 60);
    *at++ = ':';
    return q5__two_digits(at, minutes % 60);
}

static char *put_time(char *at, const q5_moment *moment) {
    at = q5__two_digits(at, moment->hour);
    *at++ = ':';
    at = q5__two_digits(at, moment->minute);
    *at++ = ':';
    at = q5__two_digits(at, moment->second);
    if (moment->microsecond) {
        *at++ = '.';
        at = q5__put_digits(at, moment->microsecond, 6);
    }
    return moment->zoned ? put_offset(at, moment->offset_s) : at;
}

/* "2026-01-31T23:59:59.000001+05:30", quoted */
#define MOMENT_MAX 34

static int write_moment(const q5_type *type, const q5_moment *moment, q5_buf *out) {
    char *at = q5__room(out, MOMENT_MAX);
    if (!at) return Q5_ENOMEM;
    *at++ = '"';
    if (type->value != Q5_VALUE_TIME) at = put_date(at, moment);
    if (type->value == Q5_VALUE_DATETIME) *at++ = 'T';
    if (type->value != Q5_VALUE_DATE) at = put_time(at, moment);
    *at++ = '"';
    return q5__wrote(out, at);
}

int q5__pg_moment(const q5_encoder *encoder, const q5_cell *cell, q5_buf *out) {
    q5_moment moment = {0};
    int status = read_pg(&encoder->type, cell, &moment);
    return status ? status : write_moment(&encoder->type, &moment, out);
}

int q5__sqlite_moment(const q5_encoder *encoder, const q5_cell *cell, q5_buf *out) {
    q5_moment moment = {0};
    int status = q5__moment_parse(&encoder->type, cell, &moment);
    return status ? status : write_moment(&encoder->type, &moment, out);
}

/* ---- durations ------------------------------------------------------------------------------- */

static int set_duration(q5_duration *ret, int64_t days, int64_t us) {
    int64_t rest;
    days += floor_div(us, DAY_US, &rest);
    if (days < -DAYS_MAX || days > DAYS_MAX) return Q5_ECELL_RANGE;
    *ret = (q5_duration){(int32_t)days, rest};
    return Q5_OK;
}

int q5_cell_duration(const q5_type *type, const q5_cell *cell, q5_duration *ret) {
    if (type->source == Q5_SOURCE_SQLITE)
        return cell->kind == Q5_CELL_INT64 ? set_duration(ret, 0, cell->int64) : Q5_ECELL_RANGE;
    if (cell->kind != Q5_CELL_BYTES || cell->bytes.len != 16) return Q5_ECELL;
    const char *at = cell->bytes.base;
    int64_t us = (int64_t)q5__get64(at);
    int64_t days = (int32_t)q5__get32(at + 8), months = (int32_t)q5__get32(at + 12);
    return set_duration(ret, days + months / 12 * YEAR_DAYS + months % 12 * MONTH_DAYS, us);
}

/* "-P999999999DT86399.999999S", quoted */
#define DURATION_MAX 28

static int encode_duration(const q5_encoder *encoder, const q5_cell *cell, q5_buf *out) {
    q5_duration duration;
    int status = q5_cell_duration(&encoder->type, cell, &duration);
    if (status) return status;
    char *at = q5__room(out, DURATION_MAX);
    if (!at) return Q5_ENOMEM;
    *at++ = '"';
    int64_t days = duration.days, us = duration.us;
    if (days < 0) { /* a sign, and how far it is from zero */
        *at++ = '-';
        days = -days - (us > 0);
        us = us > 0 ? DAY_US - us : 0;
    }
    *at++ = 'P';
    if (days || !us) {
        at = q5_json_int(at, days);
        *at++ = 'D';
    }
    if (us) {
        *at++ = 'T';
        at = q5_json_int(at, us / 1000000);
        if (us % 1000000) {
            *at++ = '.';
            at = q5__put_digits(at, (uint64_t)(us % 1000000), 6);
            while (at[-1] == '0')
                at--;
        }
        *at++ = 'S';
    }
    *at++ = '"';
    return q5__wrote(out, at);
}

int q5__pg_duration(const q5_encoder *encoder, const q5_cell *cell, q5_buf *out) {
    return encode_duration(encoder, cell, out);
}

int q5__sqlite_duration(const q5_encoder *encoder, const q5_cell *cell, q5_buf *out) {
    return encode_duration(encoder, cell, out);
}

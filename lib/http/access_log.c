#include "q5/access_log.h"

#include <stdarg.h>
#include <stdio.h>

/* A line's fixed parts: time 24, status 3, two 20-digit numbers, names, colours. */
#define FIXED_MAX 256
/* "\u00ff" is the longest escape. */
#define ESCAPE_MAX 6

static const char hex[] = "0123456789abcdef";

typedef struct civil {
    int64_t year;
    unsigned month, day, hour, minute, second, msec;
} civil;

/* Days since 1970-01-01 to a date of the proleptic Gregorian calendar, counted in eras of 400
 * years that begin on 1 March, so that the leap day is the last one of its year. */
static void civil_from_days(int64_t days, civil *out) {
    int64_t z = days + 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    unsigned doe = (unsigned)(z - era * 146097);
    unsigned yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    unsigned mp = (5 * doy + 2) / 153;
    out->day = doy - (153 * mp + 2) / 5 + 1;
    out->month = mp < 10 ? mp + 3 : mp - 9;
    out->year = (int64_t)yoe + era * 400 + (out->month <= 2);
}

static civil civil_from_msec(int64_t unix_msec) {
    const int64_t day_msec = 86400000;
    int64_t days = unix_msec / day_msec;
    int64_t rest = unix_msec % day_msec;
    if (rest < 0) {
        rest += day_msec;
        days--;
    }
    civil out;
    civil_from_days(days, &out);
    out.msec = (unsigned)(rest % 1000);
    out.second = (unsigned)(rest / 1000 % 60);
    out.minute = (unsigned)(rest / 60000 % 60);
    out.hour = (unsigned)(rest / 3600000);
    return out;
}

/* The put_ functions write into memory that q5_access_log_format reserved. */

static char *put(char *at, q5_slice text) {
    if (text.len != 0) memcpy(at, text.base, text.len);
    return at + text.len;
}

#define PUT(at, literal) put((at), Q5_LIT(literal))

static char *put_escaped_text(char *at, q5_slice text) {
    if (text.len == 0) return PUT(at, "-");
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.base[i];
        if (c > 0x20 && c < 0x7f && c != '"' && c != '\\') {
            *at++ = (char)c;
            continue;
        }
        at = PUT(at, "\\x");
        *at++ = hex[c >> 4];
        *at++ = hex[c & 15];
    }
    return at;
}

static char *put_escaped_json(char *at, q5_slice text) {
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.base[i];
        if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\') {
            *at++ = (char)c;
            continue;
        }
        at = PUT(at, "\\u00");
        *at++ = hex[c >> 4];
        *at++ = hex[c & 15];
    }
    return at;
}

__attribute__((format(printf, 2, 3))) static char *put_format(char *at, const char *format, ...) {
    va_list args;
    va_start(args, format);
    int n = vsnprintf(at, FIXED_MAX, format, args);
    va_end(args);
    return at + (n < 0 ? 0 : n);
}

static char *put_bytes(char *at, uint64_t n) {
    if (n < 1024) return put_format(at, "%u B", (unsigned)n);
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = (double)n / 1024;
    size_t unit = 0;
    for (; value >= 1023.95 && unit + 1 < Q5_ARRAY_LEN(units); unit++)
        value /= 1024;
    return put_format(at, "%.1f %s", value, units[unit]);
}

static char *put_duration(char *at, uint64_t usec) {
    if (usec < 10000000) return put_format(at, "%.1f ms", (double)usec / 1000);
    return put_format(at, "%.1f s", (double)usec / 1000000);
}

static const char *status_colour(int status) {
    if (status >= 500) return "\x1b[1;31m";
    if (status >= 400) return "\x1b[33m";
    if (status >= 300) return "\x1b[36m";
    return status == 0 ? "\x1b[2m" : "\x1b[32m";
}

static char *put_status(char *at, int status) {
    return status == 0 ? PUT(at, "---") : put_format(at, "%d", status);
}

static char *put_text(char *at, const q5_access_record *r) {
    civil c = civil_from_msec(r->unix_msec + (int64_t)r->utc_offset_s * 1000);
    at = put_format(at, "%04d-%02u-%02u %02u:%02u:%02u.%03u ", (int)c.year, c.month, c.day, c.hour,
                    c.minute, c.second, c.msec);
    at = PUT(put_escaped_text(at, r->client), " ");
    at = PUT(put_escaped_text(at, r->method), " ");
    at = PUT(put_escaped_text(at, r->target), " ");
    at = PUT(put_status(at, r->status), " ");
    at = PUT(put_bytes(at, r->sent_len), " ");
    return PUT(put_duration(at, r->duration_usec), "\n");
}

static char *put_colour(char *at, const q5_access_record *r) {
    civil c = civil_from_msec(r->unix_msec + (int64_t)r->utc_offset_s * 1000);
    at = put_format(at, "\x1b[2m%02u:%02u:%02u\x1b[0m ", c.hour, c.minute, c.second);
    at = put_format(at, "%s", status_colour(r->status));
    at = PUT(put_status(at, r->status), "\x1b[0m \x1b[1m");
    at = PUT(put_escaped_text(at, r->method), "\x1b[0m ");
    at = PUT(put_escaped_text(at, r->target), " \x1b[2m");
    at = PUT(put_bytes(at, r->sent_len), ", ");
    at = PUT(put_duration(at, r->duration_usec), ", ");
    return PUT(put_escaped_text(at, r->client), "\x1b[0m\n");
}

static char *put_member(char *at, q5_slice name, q5_slice value) {
    if (value.len == 0) return at;
    at = put(PUT(at, ",\""), name);
    return PUT(put_escaped_json(PUT(at, "\":\""), value), "\"");
}

static char *put_json(char *at, const q5_access_record *r) {
    civil c = civil_from_msec(r->unix_msec);
    at = put_format(at, "{\"time\":\"%04d-%02u-%02uT%02u:%02u:%02u.%03uZ\",\"logger\":\"access\"",
                    (int)c.year, c.month, c.day, c.hour, c.minute, c.second, c.msec);
    at = put_escaped_json(PUT(at, ",\"client\":\""), r->client);
    at = put_escaped_json(PUT(at, "\",\"method\":\""), r->method);
    at = put_escaped_json(PUT(at, "\",\"target\":\""), r->target);
    at = put_format(at, "\",\"status\":%d,\"bytes\":%llu,\"duration_ms\":%llu.%03u", r->status,
                    (unsigned long long)r->sent_len, (unsigned long long)(r->duration_usec / 1000),
                    (unsigned)(r->duration_usec % 1000));
    at = put_member(at, Q5_LIT("request_id"), r->request_id);
    at = put_member(at, Q5_LIT("trace_id"), r->trace_id);
    at = put_member(at, Q5_LIT("span_id"), r->span_id);
    return PUT(at, "}\n");
}

int q5_access_log_format(q5_buf *buf, const q5_access_record *record, q5_access_style style) {
    if (style == Q5_ACCESS_OFF) return Q5_OK;
    size_t chosen = record->client.len + record->method.len + record->target.len +
                    record->request_id.len + record->trace_id.len + record->span_id.len;
    /* put_format may use FIXED_MAX from wherever it stands: twice covers the last call. */
    int status = q5_buf_reserve(buf, 2 * FIXED_MAX + chosen * ESCAPE_MAX);
    if (status != Q5_OK) return status;
    char *begin = buf->base + buf->len, *end;
    switch (style) {
    case Q5_ACCESS_JSON:
        end = put_json(begin, record);
        break;
    case Q5_ACCESS_COLOUR:
        end = put_colour(begin, record);
        break;
    default:
        end = put_text(begin, record);
        break;
    }
    buf->len += (size_t)(end - begin);
    return Q5_OK;
}

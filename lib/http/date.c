#include "q5/date.h"

#define DAY_SECONDS INT64_C(86400)

/* Three letters each: what IMF-fixdate and asctime write, and what a long name begins with. */
static const char weekdays[] = "SunMonTueWedThuFriSat";
static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
static const q5_slice long_weekdays[] = {
    {"Sunday", 6},   {"Monday", 6}, {"Tuesday", 7},  {"Wednesday", 9},
    {"Thursday", 8}, {"Friday", 6}, {"Saturday", 8},
};

typedef struct civil {
    int year;
    int month; /* 1..12 */
    int day;   /* 1..31 */
    int hour;
    int minute;
    int second;
} civil;

/* Days from 1970-01-01 to a date of the Gregorian calendar, year >= 0. The year is counted from
 * March, so that the leap day is its last; 719468 days lie between 0000-03-01 and 1970-01-01. */
static int64_t days_from_civil(int year, int month, int day) {
    int64_t y = month > 2 ? year : year - 1;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

/* The inverse of days_from_civil. */
static void civil_from_days(int64_t days, civil *ret) {
    int64_t z = days + 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t day_of_era = z - era * 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month = (5 * day_of_year + 2) / 153;
    ret->day = (int)(day_of_year - (153 * month + 2) / 5 + 1);
    ret->month = (int)(month < 10 ? month + 3 : month - 9);
    ret->year = (int)(year_of_era + era * 400 + (month >= 10));
}

/* -- writing -- */

static char *put_two(char *out, int value) {
    out[0] = (char)('0' + value / 10);
    out[1] = (char)('0' + value % 10);
    return out + 2;
}

static char *put(char *out, const char *text, size_t len) {
    memcpy(out, text, len);
    return out + len;
}

void q5_http_date_format(int64_t unix_seconds, char out[Q5_HTTP_DATE_LEN]) {
    if (unix_seconds < Q5_HTTP_DATE_MIN) unix_seconds = Q5_HTTP_DATE_MIN;
    if (unix_seconds > Q5_HTTP_DATE_MAX) unix_seconds = Q5_HTTP_DATE_MAX;
    int64_t days = unix_seconds / DAY_SECONDS;
    int second = (int)(unix_seconds % DAY_SECONDS);
    if (second < 0) {
        second += (int)DAY_SECONDS;
        days--;
    }
    civil date;
    civil_from_days(days, &date);
    int weekday = (int)(((days + 4) % 7 + 7) % 7); /* 1970-01-01 was a Thursday */
    out = put(out, weekdays + 3 * weekday, 3);
    out = put(out, ", ", 2);
    out = put_two(out, date.day);
    *out++ = ' ';
    out = put(out, months + 3 * (date.month - 1), 3);
    *out++ = ' ';
    out = put_two(out, date.year / 100);
    out = put_two(out, date.year % 100);
    *out++ = ' ';
    out = put_two(out, second / 3600);
    *out++ = ':';
    out = put_two(out, second / 60 % 60);
    *out++ = ':';
    out = put_two(out, second % 60);
    put(out, " GMT", 4);
}

/* -- reading -- */

/* Each reader takes its part off the front of the text, or says false. */
static bool take(q5_slice *text, const char *literal, size_t len) {
    if (text->len < len || memcmp(text->base, literal, len) != 0) return false;
    text->base += len;
    text->len -= len;
    return true;
}

#define TAKE(text, literal) take(text, literal, sizeof(literal) - 1)

static bool take_number(q5_slice *text, size_t digits, int *ret) {
    if (text->len < digits) return false;
    int value = 0;
    for (size_t i = 0; i < digits; i++) {
        char c = text->base[i];
        if (c < '0' || c > '9') return false;
        value = value * 10 + (c - '0');
    }
    text->base += digits;
    text->len -= digits;
    *ret = value;
    return true;
}

static bool take_month(q5_slice *text, int *ret) {
    for (int i = 0; i < 12; i++) {
        if (!take(text, months + (size_t)i * 3, 3)) continue;
        *ret = i + 1;
        return true;
    }
    return false;
}

static bool take_time(q5_slice *text, civil *date) {
    return take_number(text, 2, &date->hour) && TAKE(text, ":") &&
           take_number(text, 2, &date->minute) && TAKE(text, ":") &&
           take_number(text, 2, &date->second);
}

/* Behind "Sun": ", 06 Nov 1994 08:49:37 GMT" */
static bool take_imf_fixdate(q5_slice *text, civil *date) {
    return TAKE(text, ", ") && take_number(text, 2, &date->day) && TAKE(text, " ") &&
           take_month(text, &date->month) && TAKE(text, " ") && take_number(text, 4, &date->year) &&
           TAKE(text, " ") && take_time(text, date) && TAKE(text, " GMT");
}

/* Behind "Sunday": ", 06-Nov-94 08:49:37 GMT" */
static bool take_rfc850(q5_slice *text, civil *date) {
    bool ok = TAKE(text, ", ") && take_number(text, 2, &date->day) && TAKE(text, "-") &&
              take_month(text, &date->month) && TAKE(text, "-") &&
              take_number(text, 2, &date->year) && TAKE(text, " ") && take_time(text, date) &&
              TAKE(text, " GMT");
    if (ok) date->year += date->year < 70 ? 2000 : 1900;
    return ok;
}

/* Behind "Sun": " Nov  6 08:49:37 1994" */
static bool take_asctime(q5_slice *text, civil *date) {
    if (!TAKE(text, " ") || !take_month(text, &date->month) || !TAKE(text, " ")) return false;
    size_t digits = TAKE(text, " ") ? 1 : 2;
    return take_number(text, digits, &date->day) && TAKE(text, " ") && take_time(text, date) &&
           TAKE(text, " ") && take_number(text, 4, &date->year);
}

static bool date_valid(const civil *date) {
    static const uint8_t month_days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (date->year % 4 == 0 && date->year % 100 != 0) || date->year % 400 == 0;
    if (date->day < 1 || date->day > month_days[date->month - 1]) return false;
    if (date->month == 2 && date->day == 29 && !leap) return false;
    return date->hour < 24 && date->minute < 60 && date->second <= 60;
}

int q5_http_date_parse(q5_slice text, int64_t *ret) {
    civil date;
    bool ok = false;
    for (size_t i = 0; i < Q5_ARRAY_LEN(long_weekdays) && !ok; i++) {
        q5_slice rest = text;
        if (take(&rest, long_weekdays[i].base, long_weekdays[i].len)) {
            ok = take_rfc850(&rest, &date);
        } else if (take(&rest, weekdays + i * 3, 3)) {
            bool imf = rest.len > 0 && rest.base[0] == ',';
            ok = imf ? take_imf_fixdate(&rest, &date) : take_asctime(&rest, &date);
        }
        ok = ok && rest.len == 0;
    }
    if (!ok || !date_valid(&date)) return Q5_EINVAL;
    int64_t days = days_from_civil(date.year, date.month, date.day);
    *ret = days * DAY_SECONDS + date.hour * 3600 + date.minute * 60 + date.second;
    return Q5_OK;
}

#include "sql/moment_text.h"

typedef struct cursor {
    const char *at, *end;
} cursor;

static bool take_digits(cursor *c, int count, unsigned *ret) {
    if (c->end - c->at < count) return false;
    unsigned number = 0;
    for (int i = 0; i < count; i++) {
        unsigned digit = (unsigned)(c->at[i] - '0');
        if (digit > 9) return false;
        number = number * 10 + digit;
    }
    c->at += count;
    *ret = number;
    return true;
}

static bool take(cursor *c, char byte) {
    if (c->at == c->end || *c->at != byte) return false;
    c->at++;
    return true;
}

static unsigned month_days(unsigned year, unsigned month) {
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return month == 2 && leap ? 29 : days[month - 1];
}

static bool take_date(cursor *c, q5_moment *ret) {
    unsigned year, month, day;
    if (!take_digits(c, 4, &year) || !take(c, '-') || !take_digits(c, 2, &month) || !take(c, '-') ||
        !take_digits(c, 2, &day))
        return false;
    if (year < 1 || month < 1 || month > 12 || day < 1 || day > month_days(year, month))
        return false;
    ret->year = (uint16_t)year;
    ret->month = (uint8_t)month;
    ret->day = (uint8_t)day;
    return true;
}

static bool take_fraction(cursor *c, uint32_t *ret) {
    if (!take(c, '.')) return true;
    uint32_t us = 0;
    int digits = 0;
    for (; digits < 6 && c->at < c->end; digits++) {
        unsigned digit;
        if (!take_digits(c, 1, &digit)) return false;
        us = us * 10 + digit;
    }
    if (digits == 0) return false;
    for (; digits < 6; digits++)
        us *= 10;
    *ret = us;
    return true;
}

static bool take_time(cursor *c, q5_moment *ret) {
    unsigned hour, minute, second;
    if (!take_digits(c, 2, &hour) || !take(c, ':') || !take_digits(c, 2, &minute) ||
        !take(c, ':') || !take_digits(c, 2, &second))
        return false;
    if (hour > 23 || minute > 59 || second > 59) return false;
    ret->hour = (uint8_t)hour;
    ret->minute = (uint8_t)minute;
    ret->second = (uint8_t)second;
    return take_fraction(c, &ret->microsecond);
}

int q5__moment_parse(const q5_type *type, const q5_cell *cell, q5_moment *ret) {
    if (cell->kind != Q5_CELL_TEXT) return Q5_ECELL_RANGE;
    cursor c = {cell->bytes.base, cell->bytes.base + cell->bytes.len};
    bool good = type->value == Q5_VALUE_TIME || take_date(&c, ret);
    if (good && type->value == Q5_VALUE_DATETIME) {
        good = take(&c, ' ') || take(&c, 'T');
        ret->zoned = type->utc;
    }
    if (good && type->value != Q5_VALUE_DATE) good = take_time(&c, ret);
    return good && c.at == c.end ? Q5_OK : Q5_ECELL_RANGE;
}

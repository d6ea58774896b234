/* What is written of a double reads as that double, and no number with a digit less does. The first
 * eight bytes are the double; with four it is a float. */
#include "q5/json_number.h"

#include <stdio.h>
#include <stdlib.h>

#define CHECK(condition)           \
    do {                           \
        if (!(condition)) abort(); \
    } while (0)

/* Digits from the first to the last that is not zero. */
static int count_digits(const char *text) {
    int count = 0, zeros = 0;
    for (; *text && *text != 'e'; text++) {
        if (*text < '0' || *text > '9' || (*text == '0' && count == 0)) continue;
        zeros = *text == '0' ? zeros + 1 : 0;
        count++;
    }
    return count - zeros;
}

static void check_double(double number) {
    char text[Q5_JSON_DOUBLE_MAX + 1], fewer[40];
    char *end = q5_json_double(text, number);
    CHECK(end - text <= Q5_JSON_DOUBLE_MAX);
    *end = 0;
    if (number - number != 0) { /* NaN, infinite */
        CHECK(strcmp(text, "null") == 0);
        return;
    }
    double back = strtod(text, &end);
    CHECK(*end == 0 && memcmp(&back, &number, sizeof(number)) == 0);
    CHECK(strpbrk(text, ".e") != NULL);
    int digits = count_digits(text);
    if (digits < 2) return;
    snprintf(fewer, sizeof(fewer), "%.*e", digits - 2, number);
    CHECK(strtod(fewer, NULL) != number);
}

static void check_float(float number) {
    char text[Q5_JSON_DOUBLE_MAX + 1];
    char *end = q5_json_float(text, number);
    CHECK(end - text <= Q5_JSON_DOUBLE_MAX);
    *end = 0;
    if (number - number != 0) {
        CHECK(strcmp(text, "null") == 0);
        return;
    }
    float back = strtof(text, &end);
    CHECK(*end == 0 && memcmp(&back, &number, sizeof(number)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size >= sizeof(double)) {
        double number;
        memcpy(&number, data, sizeof(number));
        check_double(number);
    } else if (size >= sizeof(float)) {
        float number;
        memcpy(&number, data, sizeof(number));
        check_float(number);
    }
    return 0;
}

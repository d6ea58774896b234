/* HTTP dates, against the C library's calendar and RFC 9110's own examples. */
#include "q5/date.h"

#include <time.h>

#include "q5test.h"

static const struct {
    int64_t seconds;
    const char *text;
} dates[] = {
    {784111777, "Sun, 06 Nov 1994 08:49:37 GMT"}, /* RFC 9110, 5.6.7 */
    {0, "Thu, 01 Jan 1970 00:00:00 GMT"},
    {-1, "Wed, 31 Dec 1969 23:59:59 GMT"},
    {951782400, "Tue, 29 Feb 2000 00:00:00 GMT"},
    {1709164800, "Thu, 29 Feb 2024 00:00:00 GMT"},
    {4107542400, "Mon, 01 Mar 2100 00:00:00 GMT"},
    {2147483648, "Tue, 19 Jan 2038 03:14:08 GMT"},
    {-2208988800, "Mon, 01 Jan 1900 00:00:00 GMT"},
    {Q5_HTTP_DATE_MAX, "Fri, 31 Dec 9999 23:59:59 GMT"},
    {Q5_HTTP_DATE_MIN, "Sat, 01 Jan 0000 00:00:00 GMT"},
};

static void test_both_ways(void **state) {
    (void)state;
    for (size_t i = 0; i < Q5_ARRAY_LEN(dates); i++) {
        char out[Q5_HTTP_DATE_LEN];
        q5_http_date_format(dates[i].seconds, out);
        assert_slice(q5_slice_make(out, sizeof(out)), dates[i].text);
        int64_t seconds = 1;
        assert_status(q5_http_date_parse(q5_slice_make(out, sizeof(out)), &seconds), Q5_OK);
        assert_true(seconds == dates[i].seconds);
    }
}

/* Outside the years that four digits can name. */
static void test_clamped(void **state) {
    (void)state;
    char out[Q5_HTTP_DATE_LEN];
    static const int64_t late[] = {Q5_HTTP_DATE_MAX + 1, INT64_MAX};
    static const int64_t early[] = {Q5_HTTP_DATE_MIN - 1, INT64_MIN};
    for (size_t i = 0; i < 2; i++) {
        q5_http_date_format(late[i], out);
        assert_slice(q5_slice_make(out, sizeof(out)), "Fri, 31 Dec 9999 23:59:59 GMT");
        q5_http_date_format(early[i], out);
        assert_slice(q5_slice_make(out, sizeof(out)), "Sat, 01 Jan 0000 00:00:00 GMT");
    }
}

/* Every tenth day of 800 years, at odd times of the day, as the C library writes it. */
static void test_against_libc(void **state) {
    (void)state;
    for (int64_t s = INT64_C(-12219292800); s < INT64_C(13569465600); s += 864000 + 6151) {
        time_t t = (time_t)s;
        struct tm tm;
        char want[64], out[Q5_HTTP_DATE_LEN];
        assert_non_null(gmtime_r(&t, &tm));
        strftime(want, sizeof(want), "%a, %d %b %Y %H:%M:%S GMT", &tm);
        q5_http_date_format(s, out);
        assert_slice(q5_slice_make(out, sizeof(out)), want);
        int64_t back = 0;
        assert_status(q5_http_date_parse(q5_slice_make(out, sizeof(out)), &back), Q5_OK);
        assert_true(back == s);
    }
}

static const struct {
    const char *text;
    int64_t seconds;
} other_forms[] = {
    {"Sunday, 06-Nov-94 08:49:37 GMT", 784111777}, /* RFC 9110, 5.6.7: rfc850-date */
    {"Sun Nov  6 08:49:37 1994", 784111777},       /* asctime-date */
    {"Sun Nov 16 08:49:37 1994", 784975777},
    {"Thursday, 01-Jan-70 00:00:00 GMT", 0},
    {"Monday, 31-Dec-69 23:59:59 GMT", 3155759999},
    {"Saturday, 01-Jan-00 00:00:00 GMT", 946684800},
    {"Mon, 06 Nov 1994 08:49:37 GMT", 784111777},  /* the wrong weekday */
    {"Sat, 31 Dec 2016 23:59:60 GMT", 1483228800}, /* a leap second */
    {"Wednesday, 09-Nov-94 08:49:37 GMT", 784370977},
};

static void test_other_forms(void **state) {
    (void)state;
    for (size_t i = 0; i < Q5_ARRAY_LEN(other_forms); i++) {
        const char *text = other_forms[i].text;
        int64_t seconds = 1;
        assert_status(q5_http_date_parse(q5_slice_make(text, strlen(text)), &seconds), Q5_OK);
        assert_true(seconds == other_forms[i].seconds);
    }
}

static const char *const refused[] = {
    "",
    "S",
    "Sun",
    "Sunday",
    "0",
    "784111777",
    "Sun, 06 Nov 1994 08:49:37",
    "Sun, 06 Nov 1994 08:49:37 GMT ",
    " Sun, 06 Nov 1994 08:49:37 GMT",
    "Sun, 06 Nov 1994 08:49:37 UTC",
    "Sun, 06 Nov 1994 08:49:37 +0000",
    "Sun, 06 Nov 1994 08:49:37 gmt",
    "sun, 06 Nov 1994 08:49:37 GMT",
    "SUN, 06 NOV 1994 08:49:37 GMT",
    "Sun, 6 Nov 1994 08:49:37 GMT",
    "Sun, 06 Nov 94 08:49:37 GMT",
    "Sun,06 Nov 1994 08:49:37 GMT",
    "Sun, 06  Nov 1994 08:49:37 GMT",
    "Sun, 06-Nov-1994 08:49:37 GMT",
    "Sun, 00 Nov 1994 08:49:37 GMT",
    "Sun, 31 Nov 1994 08:49:37 GMT",
    "Sun, 32 Jan 1994 08:49:37 GMT",
    "Sun, 29 Feb 1994 08:49:37 GMT",
    "Sun, 29 Feb 1900 08:49:37 GMT",
    "Sun, 06 Nov 1994 24:00:00 GMT",
    "Sun, 06 Nov 1994 08:60:37 GMT",
    "Sun, 06 Nov 1994 08:49:61 GMT",
    "Sun, 06 Nov 1994 8:49:37 GMT",
    "Sun, 06 Nov -994 08:49:37 GMT",
    "Sun, 06 Xyz 1994 08:49:37 GMT",
    "Xyz, 06 Nov 1994 08:49:37 GMT",
    "Sunday, 06-Nov-1994 08:49:37 GMT",
    "Sunday, 06 Nov 1994 08:49:37 GMT",
    "Sund, 06-Nov-94 08:49:37 GMT",
    "Sun Nov 6 08:49:37 1994",
    "Sun Nov 06 08:49:37 94",
    "Sun Nov  6 08:49:37 1994 GMT",
    "Sun Nov   6 08:49:37 1994",
};

static void test_refused(void **state) {
    (void)state;
    for (size_t i = 0; i < Q5_ARRAY_LEN(refused); i++) {
        int64_t seconds = 42;
        int status = q5_http_date_parse(q5_slice_make(refused[i], strlen(refused[i])), &seconds);
        if (status != Q5_EINVAL) fail_msg("\"%s\": %s", refused[i], q5_status_name(status));
        assert_true(seconds == 42);
    }
    /* every part of a good one */
    for (size_t len = 0; len < Q5_HTTP_DATE_LEN; len++) {
        int64_t seconds = 42;
        assert_status(q5_http_date_parse(q5_slice_make(dates[0].text, len), &seconds), Q5_EINVAL);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_ways),    cmocka_unit_test(test_clamped),
        cmocka_unit_test(test_against_libc), cmocka_unit_test(test_other_forms),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

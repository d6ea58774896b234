#include "q5/conditional.h"

#include "headtest.h"
#include "q5test.h"

#define GET Q5_METHOD_GET
#define PUT Q5_METHOD_PUT
#define OK Q5_PROCEED
#define SAME Q5_NOT_MODIFIED
#define FAIL Q5_PRECONDITION_FAILED

#define AT "Sun, 06 Nov 1994 08:49:37 GMT"
#define BEFORE "Sun, 06 Nov 1994 08:49:36 GMT"
#define AFTER "Sun, 06 Nov 1994 08:49:38 GMT"
#define AT_SECONDS INT64_C(784111777)

static const q5_validators strong = {.etag = {"\"a\"", 3},
                                     .last_modified = AT_SECONDS,
                                     .now = AT_SECONDS + 1,
                                     .has_last_modified = true};
static const q5_validators weak = {.etag = {"W/\"a\"", 5}};
static const q5_validators fresh = {
    .last_modified = AT_SECONDS, .now = AT_SECONDS, .has_last_modified = true};
static const q5_validators none = {0};
static const q5_validators missing = {
    .etag = {"\"a\"", 3}, .last_modified = AT_SECONDS, .has_last_modified = true, .missing = true};

static const struct row {
    const char *why;
    q5_method method;
    const char *lines;
    const q5_validators *validators;
    q5_precondition want;
} rows[] = {
    {"nothing asked", GET, "", &strong, OK},

    {"13.1.1: listed", PUT, "If-Match: \"b\", \"a\"", &strong, OK},
    {"13.1.1: not listed", PUT, "If-Match: \"b\", \"c\"", &strong, FAIL},
    {"13.1.1: must use the strong comparison function", PUT, "If-Match: W/\"a\"", &strong, FAIL},
    {"13.1.1: a weak current tag never matches", PUT, "If-Match: \"a\"", &weak, FAIL},
    {"13.1.1: '*' and a current representation", PUT, "If-Match: *", &none, OK},
    {"13.1.1: '*' and none", PUT, "If-Match: *", &missing, FAIL},
    {"13.1.1: a tag and none", PUT, "If-Match: \"a\"", &missing, FAIL},
    {"13.1.1: a tag, but none to compare with", PUT, "If-Match: \"a\"", &none, FAIL},
    {"fields are one list", PUT, "If-Match: \"b\"\nIf-Match: \"a\"", &strong, OK},
    {"a comma is a valid character of a tag", PUT, "If-Match: \"x,\"a\"", &strong, FAIL},
    {"8.8.3: tags are case-sensitive", PUT, "If-Match: \"A\"", &strong, FAIL},
    {"8.8.3: so is W/", GET, "If-None-Match: w/\"a\"", &strong, OK},
    {"a tag without quotes", PUT, "If-Match: a", &strong, FAIL},
    {"quotes left open", PUT, "If-Match: \"a", &strong, FAIL},
    {"empty elements", PUT, "If-Match: , ,\t\"a\"", &strong, OK},
    {"no comma between", PUT, "If-Match: \"b\" \"a\"", &strong, FAIL},
    {"empty", PUT, "If-Match:", &strong, FAIL},

    {"13.1.2: listed, GET", GET, "If-None-Match: \"b\", \"a\"", &strong, SAME},
    {"13.1.2: listed, HEAD", Q5_METHOD_HEAD, "If-None-Match: \"a\"", &strong, SAME},
    {"13.1.2: listed, other methods", PUT, "If-None-Match: \"a\"", &strong, FAIL},
    {"13.1.2: not listed", GET, "If-None-Match: \"b\"", &strong, OK},
    {"13.1.2: must use the weak comparison function", GET, "If-None-Match: W/\"a\"", &strong, SAME},
    {"the other way round", GET, "If-None-Match: \"a\"", &weak, SAME},
    {"13.1.2: '*' and a current representation", PUT, "If-None-Match: *", &none, FAIL},
    {"13.1.2: '*' and none", PUT, "If-None-Match: *", &missing, OK},

    {"13.1.3: not modified since", GET, "If-Modified-Since: " AT, &strong, SAME},
    {"13.1.3: a later date", GET, "If-Modified-Since: " AFTER, &strong, SAME},
    {"13.1.3: modified since", GET, "If-Modified-Since: " BEFORE, &strong, OK},
    {"13.1.3: must ignore it if If-None-Match is there", GET,
     "If-None-Match: \"b\"\nIf-Modified-Since: " AT, &strong, OK},
    {"13.1.3: must ignore what is not a valid HTTP-date", GET, "If-Modified-Since: yesterday",
     &strong, OK},
    {"13.1.3: must ignore it for other methods than GET and HEAD", PUT, "If-Modified-Since: " AT,
     &strong, OK},
    {"13.1.3: must ignore it without a modification date", GET, "If-Modified-Since: " AT, &weak,
     OK},
    {"sent twice", GET, "If-Modified-Since: " AT "\nIf-Modified-Since: " AT, &strong, OK},

    {"13.1.4: unmodified since", PUT, "If-Unmodified-Since: " AT, &strong, OK},
    {"13.1.4: modified since", PUT, "If-Unmodified-Since: " BEFORE, &strong, FAIL},
    {"13.1.4: for GET too", GET, "If-Unmodified-Since: " BEFORE, &strong, FAIL},
    {"13.1.4: must ignore it if If-Match is there", PUT,
     "If-Match: \"a\"\nIf-Unmodified-Since: " BEFORE, &strong, OK},
    {"13.1.4: must ignore what is not a valid HTTP-date", PUT, "If-Unmodified-Since: 0", &strong,
     OK},
    {"13.1.4: must ignore it without a modification date", PUT, "If-Unmodified-Since: " BEFORE,
     &none, OK},

    {"13.2.2: If-Match comes first", GET, "If-None-Match: \"a\"\nIf-Match: \"b\"", &strong, FAIL},
    {"13.2.2: then If-None-Match", GET, "If-None-Match: \"a\"\nIf-Match: \"a\"", &strong, SAME},
};

static void test_preconditions(void **state) {
    (void)state;
    for (size_t i = 0; i < Q5_ARRAY_LEN(rows); i++) {
        q5_head head;
        head_from_lines(&head, rows[i].method, rows[i].lines);
        q5_precondition got = q5_conditional_evaluate(&head, rows[i].validators);
        if (got != rows[i].want) fail_msg("%s: %d", rows[i].why, (int)got);
    }
}

static const struct range_row {
    const char *why;
    const char *lines;
    const q5_validators *validators;
    bool want;
} range_rows[] = {
    {"not sent", "", &none, true},
    {"13.1.5: an entity tag that matches", "If-Range: \"a\"", &strong, true},
    {"13.1.5: one that does not", "If-Range: \"b\"", &strong, false},
    {"13.1.5: strong comparison", "If-Range: W/\"a\"", &strong, false},
    {"13.1.5: strong comparison", "If-Range: \"a\"", &weak, false},
    {"13.1.5: one tag, no list", "If-Range: \"a\", \"b\"", &strong, false},
    {"13.1.5: exactly the date", "If-Range: " AT, &strong, true},
    {"13.1.5: a later date", "If-Range: " AFTER, &strong, false},
    {"13.1.5: an earlier date", "If-Range: " BEFORE, &strong, false},
    {"8.8.2.2: modified in this very second: weak", "If-Range: " AT, &fresh, false},
    {"no date to compare with", "If-Range: " AT, &weak, false},
    {"neither", "If-Range: x", &strong, false},
    {"no representation", "If-Range: \"a\"", &missing, false},
};

static void test_if_range(void **state) {
    (void)state;
    for (size_t i = 0; i < Q5_ARRAY_LEN(range_rows); i++) {
        q5_head head;
        head_from_lines(&head, GET, range_rows[i].lines);
        if (q5_conditional_range(&head, range_rows[i].validators) != range_rows[i].want)
            fail_msg("%s: %s", range_rows[i].why, range_rows[i].lines);
    }
}

static void test_etag_in_list(void **state) {
    (void)state;
    static const struct {
        const char *list, *etag;
        bool want;
    } cases[] = {
        {"\"a\"", "\"a\"", true},   {"\"b\", W/\"a\"", "\"a\"", true},
        {"\"a\"", "W/\"a\"", true}, {"\"b\"", "\"a\"", false},
        {"*", "\"a\"", false},      {"\"a\"", "", false},
        {"\"a", "\"a\"", false},    {"\"b\" \"a\"", "\"a\"", false},
    };
    for (size_t i = 0; i < Q5_ARRAY_LEN(cases); i++) {
        q5_slice list = q5_slice_make(cases[i].list, strlen(cases[i].list));
        q5_slice etag = q5_slice_make(cases[i].etag, strlen(cases[i].etag));
        if (q5_etag_in_list(list, etag) != cases[i].want)
            fail_msg("%s in %s", cases[i].etag, cases[i].list);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_preconditions),
        cmocka_unit_test(test_etag_in_list),
        cmocka_unit_test(test_if_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

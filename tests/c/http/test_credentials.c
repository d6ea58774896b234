#include "q5/credentials.h"

#include "q5test.h"

static const struct scheme_row {
    const char *why, *field, *scheme, *token; /* token NULL: not of that scheme */
} scheme_rows[] = {
    {"RFC 7617, 2", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "Basic", "QWxhZGRpbjpvcGVuIHNlc2FtZQ=="},
    {"RFC 9110, 11.1: schemes have no case", "bAsIc x", "Basic", "x"},
    {"RFC 9110, 11.4: one space or more", "Basic   x", "Basic", "x"},
    {"spaces behind", "Basic x  ", "Basic", "x"},
    {"a scheme alone", "Basic", "Basic", ""},
    {"and a space", "Basic ", "Basic", ""},
    {"another scheme", "Bearer x", "Basic", NULL},
    {"one that begins the same", "Basically x", "Basic", NULL},
    {"a tab is no space", "Basic\tx", "Basic", NULL},
    {"too short", "Bas", "Basic", NULL},
    {"nothing", "", "Basic", NULL},
    {"a scheme with a hyphen", "Api-Key k", "Api-Key", "k"},
};

static void test_schemes(void **state) {
    (void)state;
    for (size_t i = 0; i < Q5_ARRAY_LEN(scheme_rows); i++) {
        const struct scheme_row *row = &scheme_rows[i];
        q5_slice token = Q5_LIT("untouched");
        const char *want = row->token ? row->token : "untouched";
        bool found = q5_credentials_find(q5_slice_make(row->field, strlen(row->field)),
                                         q5_slice_make(row->scheme, strlen(row->scheme)), &token);
        if (found != (row->token != NULL)) fail_msg("%s", row->why);
        if (!q5_slice_eq(token, q5_slice_make(want, strlen(want)))) fail_msg("%s", row->why);
    }
}

static const struct basic_row {
    const char *why, *token;
    int status;
    const char *user, *password;
} basic_rows[] = {
    {"RFC 7617, 2", "QWxhZGRpbjpvcGVuIHNlc2FtZQ==", Q5_OK, "Aladdin", "open sesame"},
    {"RFC 7617, 2.1: UTF-8", "dGVzdDoxMjPCow==", Q5_OK, "test", "123\xc2\xa3"},
    {"the first colon separates", "YTpiOmM=", Q5_OK, "a", "b:c"},
    {"an empty password", "YTo=", Q5_OK, "a", ""},
    {"an empty user", "OmI=", Q5_OK, "", "b"},
    {"both empty", "Og==", Q5_OK, "", ""},
    {"no padding needed", "YWI6", Q5_OK, "ab", ""},
    {"no colon", "YWJj", Q5_EINVAL, NULL, NULL},
    {"nothing", "", Q5_EINVAL, NULL, NULL},
    {"padding left out", "YTo", Q5_EINVAL, NULL, NULL},
    {"too much padding", "YTo=====", Q5_EINVAL, NULL, NULL},
    {"padding inside", "YT=o", Q5_EINVAL, NULL, NULL},
    {"only padding", "====", Q5_EINVAL, NULL, NULL},
    {"bits behind the end (RFC 4648, 3.5)", "YTp=", Q5_EINVAL, NULL, NULL},
    {"bits behind the end, two digits", "Oh==", Q5_EINVAL, NULL, NULL},
    {"base64url", "YTo_-w==", Q5_EINVAL, NULL, NULL},
    {"white space", "YT o=", Q5_EINVAL, NULL, NULL},
    {"RFC 7617, 2: no control characters: NUL", "YQA6Yg==", Q5_EINVAL, NULL, NULL},
    {"LF in the password", "YTpiCg==", Q5_EINVAL, NULL, NULL},
    {"DEL in the user", "YX86Yg==", Q5_EINVAL, NULL, NULL},
    {"Latin-1 is no UTF-8", "dGVzdDoxMjOj", Q5_EENCODING, NULL, NULL},
    {"a surrogate", "YTrtoIA=", Q5_EENCODING, NULL, NULL},
};

static void test_basic(void **state) {
    (void)state;
    for (size_t i = 0; i < Q5_ARRAY_LEN(basic_rows); i++) {
        const struct basic_row *row = &basic_rows[i];
        char room[Q5_BASIC_ROOM];
        q5_slice user = {0}, password = {0};
        int status =
            q5_basic_decode(q5_slice_make(row->token, strlen(row->token)), room, &user, &password);
        if (status != row->status) fail_msg("%s: %s", row->why, q5_status_name(status));
        if (!row->user) {
            assert_null(user.base);
            continue;
        }
        if (!q5_slice_eq(user, q5_slice_make(row->user, strlen(row->user))) ||
            !q5_slice_eq(password, q5_slice_make(row->password, strlen(row->password))))
            fail_msg("%s", row->why);
    }
}

/* The longest is "aaa...": digits of zeros but for a colon, and one group more is refused. */
static void test_bound(void **state) {
    (void)state;
    char token[Q5_BASIC_MAX + 4], room[Q5_BASIC_ROOM];
    for (size_t i = 0; i < sizeof(token); i += 4)
        memcpy(token + i, "YWE6", 4); /* aa: */
    q5_slice user, password;
    assert_status(q5_basic_decode(q5_slice_make(token, Q5_BASIC_MAX), room, &user, &password),
                  Q5_OK);
    assert_int_equal(user.len + 1 + password.len, Q5_BASIC_ROOM);
    assert_status(q5_basic_decode(q5_slice_make(token, sizeof(token)), room, &user, &password),
                  Q5_EINVAL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_schemes),
        cmocka_unit_test(test_basic),
        cmocka_unit_test(test_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

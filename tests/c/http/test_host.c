#include "q5/host.h"

#include "q5test.h"

#define PATTERNS_MAX 3

/* The cases of Django's validate_host() and split_domain_port(). */
static const struct {
    const char *host;
    const char *patterns[PATTERNS_MAX];
    bool allowed;
} rows[] = {
    {"example.com", {"example.com"}, true},
    {"example.com", {"other.com", "example.com"}, true},
    {"EXAMPLE.com:8000", {"example.com"}, true},
    {"example.com.", {"example.com"}, true},
    {"example.com.:80", {"example.com"}, true},
    {"example.com..", {"example.com"}, false},
    {"sub.example.com", {"example.com"}, false},
    {"notexample.com", {"example.com"}, false},
    {"example.com.evil.org", {"example.com"}, false},
    {"example.com", {".example.com"}, true},
    {"a.b.example.com", {".example.com"}, true},
    {"notexample.com", {".example.com"}, false},
    {".example.com", {".example.com"}, true},
    {"evil.org", {"*"}, true},
    {"", {"*"}, true},
    {"", {"example.com"}, false},
    {":80", {"example.com"}, false},
    {"[::1]:8000", {"[::1]"}, true},
    {"[::1]", {"[::1]"}, true},
    {"[::1", {"[::1]"}, false},
    {"[::2]", {"[::1]"}, false},
    {"127.0.0.1:9000", {"localhost", "127.0.0.1"}, true},
    {"example.com", {NULL}, false},
};

static void test_rows(void **state) {
    (void)state;
    for (size_t i = 0; i < Q5_ARRAY_LEN(rows); i++) {
        q5_slice patterns[PATTERNS_MAX];
        size_t count = 0;
        while (count < PATTERNS_MAX && rows[i].patterns[count]) {
            const char *pattern = rows[i].patterns[count];
            patterns[count++] = q5_slice_make(pattern, strlen(pattern));
        }
        bool allowed =
            q5_host_allowed(q5_slice_make(rows[i].host, strlen(rows[i].host)), patterns, count);
        if (allowed != rows[i].allowed) fail_msg("row %zu: %s", i, rows[i].host);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

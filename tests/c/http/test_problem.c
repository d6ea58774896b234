#include "q5/problem.h"

#include "q5test.h"

/* RFC 9457, 3.1 and 4.2.1 */
static void test_documents(void **state) {
    (void)state;
    static const struct {
        int status;
        const char *title, *detail, *id, *json;
    } rows[] = {
        {404, "Not Found", "", "",
         "{\"type\":\"about:blank\",\"title\":\"Not Found\",\"status\":404}"},
        {422, "Unprocessable Content", "\"age\" is no number", "",
         "{\"type\":\"about:blank\",\"title\":\"Unprocessable Content\",\"status\":422,"
         "\"detail\":\"\\\"age\\\" is no number\"}"},
        {400, "", "\xff\n", "",
         "{\"type\":\"about:blank\",\"title\":\"\",\"status\":400,"
         "\"detail\":\"\xef\xbf\xbd\\n\"}"},
        {500, "Internal Server Error", "", "a-1",
         "{\"type\":\"about:blank\",\"title\":\"Internal Server Error\",\"status\":500,"
         "\"request_id\":\"a-1\"}"},
    };
    for (size_t i = 0; i < Q5_ARRAY_LEN(rows); i++) {
        q5_buf buf;
        q5_buf_init(&buf, NULL);
        q5_slice title = q5_slice_make(rows[i].title, strlen(rows[i].title));
        q5_slice detail = q5_slice_make(rows[i].detail, strlen(rows[i].detail));
        q5_slice id = q5_slice_make(rows[i].id, strlen(rows[i].id));
        assert_status(q5_problem_write(&buf, rows[i].status, title, detail, id), Q5_OK);
        assert_slice(q5_buf_slice(&buf), rows[i].json);
        q5_buf_deinit(&buf);
    }
}

static int scenario(const q5_alloc *alloc, void *ctx) {
    (void)ctx;
    static const char text[1500] = {'x'};
    q5_buf buf;
    q5_buf_init(&buf, alloc);
    int status = q5_buf_append(&buf, "before", 6);
    if (!status) {
        q5_slice detail = q5_slice_make(text, sizeof(text));
        status =
            q5_problem_write(&buf, 500, Q5_LIT("Internal Server Error"), detail, Q5_LIT("a-1"));
        if (status) assert_slice(q5_buf_slice(&buf), "before");
    }
    q5_buf_deinit(&buf);
    return status;
}

static void test_failing_allocations(void **state) {
    (void)state;
    failmalloc_sweep(scenario, NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_documents),
        cmocka_unit_test(test_failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

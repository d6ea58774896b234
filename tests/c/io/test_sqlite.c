#include "q5/sqlite.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "q5test.h"

/* Counts for ever: the longest read there is. */
#define ENDLESS \
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT sum(i) FROM n"

static char dir[] = "/tmp/q5-test-sqlite-XXXXXX";
static char path[64];
static void *library;
static q5_sqlite_api *api;

static int load(void **state) {
    (void)state;
    static const char *const names[] = {"libsqlite3.so.0", "libsqlite3.dylib"};
    for (size_t i = 0; i < Q5_ARRAY_LEN(names) && !library; i++)
        library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    if (!library || !mkdtemp(dir)) return -1;
    snprintf(path, sizeof(path), "%s/db", dir);
    return q5_sqlite_api_create(&api, NULL, library, NULL);
}

static int unload(void **state) {
    (void)state;
    q5_sqlite_api_destroy(api);
    dlclose(library);
    return rmdir(dir);
}

/* A new connection to the test's own file. */
static q5_sqlite *connect_with(unsigned flags, uint32_t statements_max) {
    q5_sqlite_config config = {.path = path, .flags = flags, .statements_max = statements_max};
    q5_sqlite *db = NULL;
    char message[Q5_SQLITE_MESSAGE_SIZE];
    assert_status(q5_sqlite_open(&db, api, NULL, &config, message), Q5_OK);
    return db;
}

static q5_sqlite *connect_writer(void) {
    return connect_with(Q5_SQLITE_WRITE | Q5_SQLITE_CREATE, 0);
}

static uint64_t next_id = 1000; /* each text that run() is given is another one */

/* Runs sql to its end. If it gives rows, *ret_first is the first value, an integer. */
static int run_for(q5_sqlite *db, const char *sql, int64_t *ret_first) {
    q5_sqlite_run *run;
    int status = q5_sqlite_begin(db, next_id++, q5_slice_make(sql, strlen(sql)), NULL, 0, &run);
    if (status) return status;
    bool first = true;
    while (!(status = q5_sqlite_next(run))) {
        if (first && ret_first) *ret_first = q5_sqlite_cells(run)[0].int64;
        first = false;
    }
    q5_sqlite_end(run);
    return status;
}

static void must(q5_sqlite *db, const char *sql) {
    assert_status(run_for(db, sql, NULL), Q5_DONE);
}

static int64_t value(q5_sqlite *db, const char *sql) {
    int64_t found = -1;
    assert_status(run_for(db, sql, &found), Q5_DONE);
    return found;
}

static int remove_file(void **state) {
    (void)state;
    static const char *const ends[] = {"", "-wal", "-shm", "-journal"};
    for (size_t i = 0; i < Q5_ARRAY_LEN(ends); i++) {
        char name[80];
        snprintf(name, sizeof(name), "%s%s", path, ends[i]);
        (void)unlink(name);
    }
    return 0;
}

static void test_library(void **state) {
    (void)state;
    assert_true(q5_sqlite_api_version(api) >= 3031000);
    q5_sqlite_api *none = NULL;
    const char *missing = NULL;
    void *self = dlopen(NULL, RTLD_NOW); /* this program, which is not linked with SQLite */
    assert_status(q5_sqlite_api_create(&none, NULL, self, &missing), Q5_ELIBRARY);
    assert_null(none);
    assert_memory_equal(missing, "sqlite3_", 8);
    dlclose(self);
    q5_sqlite_api_destroy(NULL);
}

static void test_open(void **state) {
    (void)state;
    const struct {
        q5_sqlite_config config;
        int status;
        const char *message; /* what it begins with */
    } rows[] = {
        {{.path = NULL}, Q5_EINVAL, ""},
        {{.path = ":memory:", .statements_max = Q5_SQLITE_STATEMENTS_MAX + 1}, Q5_EINVAL, ""},
        {{.path = ":memory:", .busy_msec = UINT32_MAX}, Q5_EINVAL, ""},
        {{.path = path}, Q5_EIO, "unable to open database file"},
        {{.path = path, .flags = Q5_SQLITE_WRITE}, Q5_EIO, "unable to open database file"},
        {{.path = ":memory:", .init_sql = "PRAGMA cache_size = 1; NONSENSE"},
         Q5_ESQL,
         "near \"NONSENSE\""},
        {{.path = "/dev/null/db", .flags = Q5_SQLITE_WRITE | Q5_SQLITE_CREATE},
         Q5_EIO,
         "unable to open database file"},
        {{.path = ":memory:", .init_sql = "PRAGMA cache_size = 77"}, Q5_OK, ""},
        {{.path = "file::memory:?cache=private", .flags = Q5_SQLITE_URI}, Q5_OK, ""},
    };
    for (size_t i = 0; i < Q5_ARRAY_LEN(rows); i++) {
        q5_sqlite *db = NULL;
        char message[Q5_SQLITE_MESSAGE_SIZE];
        assert_status(q5_sqlite_open(&db, api, NULL, &rows[i].config, message), rows[i].status);
        assert_int_equal(db == NULL, rows[i].status != Q5_OK);
        assert_memory_equal(message, rows[i].message, strlen(rows[i].message));
        if (db && rows[i].config.init_sql) assert_int_equal(value(db, "PRAGMA cache_size"), 77);
        q5_sqlite_close(db);
    }
    q5_sqlite_close(NULL);
}

static void test_read_only(void **state) {
    (void)state;
    q5_sqlite *writer = connect_writer();
    must(writer, "CREATE TABLE t (a)");
    q5_sqlite *reader = connect_with(0, 0);
    assert_status(run_for(reader, "INSERT INTO t VALUES (1)", NULL), Q5_EIO);
    assert_string_equal(q5_sqlite_message(reader), "attempt to write a readonly database");
    assert_int_equal(q5_sqlite_code(reader), 8); /* SQLITE_READONLY */
    assert_int_equal(value(reader, "SELECT count(*) FROM t"), 0);
    q5_sqlite_close(reader);
    q5_sqlite_close(writer);
}

static void check_cell(const q5_cell *got, const q5_cell *want) {
    assert_int_equal(got->kind, want->kind);
    switch (want->kind) {
    case Q5_CELL_INT64:
        assert_true(got->int64 == want->int64);
        break;
    case Q5_CELL_DOUBLE:
        assert_true(got->real == want->real);
        break;
    case Q5_CELL_TEXT:
    case Q5_CELL_BYTES:
        assert_int_equal(got->bytes.len, want->bytes.len);
        if (want->bytes.len)
            assert_memory_equal(got->bytes.base, want->bytes.base, want->bytes.len);
        break;
    case Q5_CELL_NULL:
        break;
    }
}

#define TEXT(s)                                              \
    {                                                        \
        .kind = Q5_CELL_TEXT, .bytes = {(s), sizeof(s) - 1 } \
    }
#define BLOB(s)                                               \
    {                                                         \
        .kind = Q5_CELL_BYTES, .bytes = {(s), sizeof(s) - 1 } \
    }

static void check_round_trip(q5_sqlite *db) {
    const q5_cell params[] = {
        {.kind = Q5_CELL_NULL},
        {.kind = Q5_CELL_INT64, .int64 = INT64_MIN},
        {.kind = Q5_CELL_INT64, .int64 = INT64_MAX},
        {.kind = Q5_CELL_DOUBLE, .real = -1.5e-300},
        TEXT("Zürich"),
        TEXT(""),
        {.kind = Q5_CELL_TEXT, .bytes = {NULL, 0}},
        BLOB("\0\xff\x80"),
        BLOB(""),
        {.kind = Q5_CELL_BYTES, .bytes = {NULL, 0}},
    };
    q5_sqlite_run *run;
    for (int again = 0; again < 2; again++) { /* prepared, then cached */
        assert_status(q5_sqlite_begin(db, 1, Q5_LIT("SELECT ?,?,?,?,?,?,?,?,?,? AS last;\n"),
                                      params, Q5_ARRAY_LEN(params), &run),
                      Q5_OK);
        assert_int_equal(q5_sqlite_columns(run), Q5_ARRAY_LEN(params));
        assert_string_equal(q5_sqlite_column_name(run, 9), "last");
        assert_status(q5_sqlite_next(run), Q5_OK);
        for (size_t i = 0; i < Q5_ARRAY_LEN(params); i++)
            check_cell(&q5_sqlite_cells(run)[i], &params[i]);
        assert_status(q5_sqlite_next(run), Q5_DONE);
        q5_sqlite_end(run);
        q5_sqlite_end(run); /* does nothing */
    }
    q5_sqlite_end(NULL);
}

static void test_cells(void **state) {
    (void)state;
    q5_sqlite *db = connect_writer();
    check_round_trip(db);
    must(db, "CREATE TABLE t (a)");
    q5_sqlite_run *run;
    const q5_cell param = TEXT("x");
    assert_status(q5_sqlite_begin(db, 2, Q5_LIT("INSERT INTO t SELECT ? UNION ALL SELECT 2"),
                                  &param, 1, &run),
                  Q5_OK);
    assert_int_equal(q5_sqlite_columns(run), 0);
    assert_status(q5_sqlite_next(run), Q5_DONE);
    assert_int_equal(q5_sqlite_changes(run), 2);
    q5_sqlite_end(run);
    /* What was bound is not kept. */
    assert_status(q5_sqlite_begin(db, 2, Q5_LIT(""), NULL, 0, &run), Q5_EINVAL);
    assert_int_equal(value(db, "SELECT count(*) FROM t"), 2);
    q5_sqlite_close(db);
}

static void test_source(void **state) {
    (void)state;
    q5_sqlite *db = connect_writer();
    q5_sqlite_run *run;
    assert_status(q5_sqlite_begin(db, 1, Q5_LIT("VALUES (1, 'a'), (2, 'b')"), NULL, 0, &run),
                  Q5_OK);
    q5_row_source source = q5_sqlite_source(run);
    q5_cell cells[3];
    assert_status(source.next(source.ctx, cells, 3), Q5_EINVAL);
    assert_status(source.next(source.ctx, cells, 2), Q5_OK);
    assert_int_equal(cells[0].int64, 1);
    assert_slice(cells[1].bytes, "a");
    memset(cells, 0xff, sizeof(cells));
    assert_status(source.next(source.ctx, cells, 1), Q5_OK); /* no more than asked for */
    assert_int_equal(cells[0].int64, 2);
    assert_int_equal(cells[1].int64, -1);
    assert_status(source.next(source.ctx, cells, 1), Q5_DONE);
    q5_sqlite_end(run);
    q5_sqlite_close(db);
}

/* Text is UTF-8 whatever the file's own encoding is. */
static void test_utf16(void **state) {
    (void)state;
    q5_sqlite *db = connect_writer();
    must(db, "PRAGMA encoding = 'UTF-16le'");
    must(db, "CREATE TABLE t (a)");
    must(db, "INSERT INTO t VALUES ('Zürich \U0001F600')");
    q5_sqlite_run *run;
    assert_status(q5_sqlite_begin(db, 1, Q5_LIT("SELECT a FROM t"), NULL, 0, &run), Q5_OK);
    assert_status(q5_sqlite_next(run), Q5_OK);
    assert_slice(q5_sqlite_cells(run)[0].bytes, "Zürich \U0001F600");
    q5_sqlite_end(run);
    q5_sqlite_close(db);
}

static void test_refused(void **state) {
    (void)state;
    static const struct {
        const char *sql;
        int status;
        const char *message;
    } rows[] = {
        {"", Q5_EINVAL, "empty statement"},
        {" -- nothing", Q5_EINVAL, "empty statement"},
        {"SELECT 1; SELECT 2", Q5_EINVAL, "more than one statement"},
        {"SELECT ?", Q5_EINVAL, "wrong number of parameters"},
        {"SELEC 1", Q5_ESQL, "near \"SELEC\": syntax error"},
        {"SELECT a FROM nowhere", Q5_ESQL, "no such table: nowhere"},
        {"SELECT django_date_trunc('year', '2024-05-06', NULL, NULL)", Q5_ESQL,
         "no such function: django_date_trunc"},
        {"SELECT abs(-9223372036854775807 - 1)", Q5_ESQL, "integer overflow"},
        {"INSERT INTO t VALUES (1)", Q5_ECONSTRAINT, "UNIQUE constraint failed: t.a"},
        {"SELECT 1 ; \n", Q5_DONE, NULL},
    };
    q5_sqlite *db = connect_writer();
    must(db, "CREATE TABLE t (a UNIQUE)");
    must(db, "INSERT INTO t VALUES (1)");
    for (size_t i = 0; i < Q5_ARRAY_LEN(rows); i++) {
        assert_status(run_for(db, rows[i].sql, NULL), rows[i].status);
        if (rows[i].message) assert_string_equal(q5_sqlite_message(db), rows[i].message);
    }
    /* A message is cut between characters: here each is two bytes, after 16 of one. */
    char sql[1024] = "SELECT * FROM \"x";
    for (int i = 0; i < 400; i++)
        strcat(sql, "ü");
    strcat(sql, "\"");
    assert_status(run_for(db, sql, NULL), Q5_ESQL);
    const char *message = q5_sqlite_message(db);
    assert_int_equal(strlen(message), Q5_SQLITE_MESSAGE_SIZE - 1 - 1);
    assert_string_equal(message + strlen(message) - 2, "ü");
    q5_sqlite_close(db);
}

/* Which text runs under an id shows whether its statement was still cached. */
static int64_t run_id(q5_sqlite *db, uint64_t id, const char *sql) {
    q5_sqlite_run *run;
    assert_status(q5_sqlite_begin(db, id, q5_slice_make(sql, strlen(sql)), NULL, 0, &run), Q5_OK);
    assert_status(q5_sqlite_next(run), Q5_OK);
    int64_t got = q5_sqlite_cells(run)[0].int64;
    q5_sqlite_end(run);
    return got;
}

static void test_least_recently_used(void **state) {
    (void)state;
    q5_sqlite *db = connect_with(Q5_SQLITE_WRITE | Q5_SQLITE_CREATE, 2);
    /* 1 and 257 share a bucket. */
    assert_int_equal(run_id(db, 1, "SELECT 10"), 10);
    assert_int_equal(run_id(db, 257, "SELECT 20"), 20);
    assert_int_equal(run_id(db, 1, "SELECT 11"), 10);
    assert_int_equal(run_id(db, 3, "SELECT 30"), 30); /* in place of 257 */
    assert_int_equal(run_id(db, 1, "SELECT 12"), 10);
    assert_int_equal(run_id(db, 257, "SELECT 21"), 21); /* in place of 3 */
    assert_int_equal(run_id(db, 3, "SELECT 31"), 31);   /* in place of 1 */
    assert_int_equal(run_id(db, 257, "SELECT 22"), 21);

    q5_sqlite_run *one, *two, *three;
    assert_status(q5_sqlite_begin(db, 3, Q5_LIT(""), NULL, 0, &one), Q5_OK);
    assert_status(q5_sqlite_begin(db, 3, Q5_LIT(""), NULL, 0, &two), Q5_ESTATE);
    assert_string_equal(q5_sqlite_message(db), "the statement is running");
    assert_status(q5_sqlite_begin(db, 4, Q5_LIT("SELECT 40"), NULL, 0, &two), Q5_OK);
    assert_status(q5_sqlite_begin(db, 5, Q5_LIT("SELECT 50"), NULL, 0, &three), Q5_ESTATE);
    assert_string_equal(q5_sqlite_message(db), "too many statements run at a time");
    q5_sqlite_end(one);
    assert_status(q5_sqlite_begin(db, 5, Q5_LIT("SELECT 50"), NULL, 0, &three), Q5_OK);
    assert_status(q5_sqlite_next(two), Q5_OK); /* the older one, which runs, has stayed */
    assert_int_equal(q5_sqlite_cells(two)[0].int64, 40);
    q5_sqlite_close(db); /* with runs */
}

static void test_budget(void **state) {
    (void)state;
    q5_sqlite *db = connect_writer();
    must(db, "CREATE TABLE t (a)");
    q5_sqlite_set_budget(db, 2000);
    assert_status(run_for(db, ENDLESS, NULL), Q5_ESLOW);
    assert_string_equal(q5_sqlite_message(db), "interrupted");
    assert_true(q5_sqlite_code(db) != 0);
    assert_int_equal(value(db, "SELECT 1"), 1); /* the next one is not harmed */
    assert_int_equal(q5_sqlite_code(db), 0);
    assert_string_equal(q5_sqlite_message(db), "");

    /* A read that is stopped leaves the transaction, and what it has written, as it was. */
    assert_status(q5_sqlite_enter(db), Q5_OK);
    must(db, "INSERT INTO t VALUES (1)");
    assert_status(run_for(db, ENDLESS, NULL), Q5_ESLOW);
    assert_int_equal(value(db, "SELECT count(*) FROM t"), 1);
    assert_status(q5_sqlite_leave(db, true), Q5_OK);
    assert_int_equal(value(db, "SELECT count(*) FROM t"), 1);

    /* A write has no budget. */
    q5_sqlite_set_budget(db, 1);
    must(db, "INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n "
             "LIMIT 20000) SELECT i FROM n");
    assert_status(run_for(db, "SELECT count(a), sum(a) FROM t", NULL), Q5_ESLOW);
    q5_sqlite_set_budget(db, 0);
    assert_int_equal(value(db, "SELECT count(a), sum(a) FROM t"), 20001);
    q5_sqlite_close(db);
}

/* Rows that came before the budget was over: it counts over the whole run. */
static void test_budget_between_rows(void **state) {
    (void)state;
    q5_sqlite *db = connect_writer();
    q5_sqlite_set_budget(db, 2000);
    q5_sqlite_run *run;
    assert_status(q5_sqlite_begin(db, 1,
                                  Q5_LIT("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 "
                                         "FROM n) SELECT i FROM n"),
                                  NULL, 0, &run),
                  Q5_OK);
    int status;
    int64_t rows = 0;
    while (!(status = q5_sqlite_next(run)))
        assert_int_equal(q5_sqlite_cells(run)[0].int64, ++rows);
    assert_status(status, Q5_ESLOW);
    assert_true(rows > 0);
    q5_sqlite_end(run);
    q5_sqlite_close(db);
}

typedef struct interrupter {
    q5_sqlite *db;
    atomic_bool stop;
} interrupter;

static void *interrupt_until_stopped(void *arg) {
    interrupter *self = arg;
    while (!self->stop)
        q5_sqlite_interrupt(self->db);
    return NULL;
}

static void test_interrupt(void **state) {
    (void)state;
    interrupter self = {.db = connect_writer()};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, interrupt_until_stopped, &self), 0);
    int status = run_for(self.db, ENDLESS, NULL);
    self.stop = true;
    pthread_join(thread, NULL);
    assert_status(status, Q5_EINTERRUPTED);
    assert_int_equal(value(self.db, "SELECT 1"), 1);
    q5_sqlite_close(self.db);
}

static void test_busy(void **state) {
    (void)state;
    q5_sqlite *one = connect_writer(), *two = connect_writer();
    must(one, "PRAGMA journal_mode = WAL");
    must(one, "CREATE TABLE t (a)");
    must(one, "BEGIN IMMEDIATE");
    must(one, "INSERT INTO t VALUES (1)");
    assert_int_equal(value(two, "SELECT count(*) FROM t"), 0); /* readers do not wait */
    assert_status(run_for(two, "INSERT INTO t VALUES (2)", NULL), Q5_EBUSY);
    assert_string_equal(q5_sqlite_message(two), "database is locked");
    must(one, "COMMIT");
    must(two, "INSERT INTO t VALUES (2)");
    assert_int_equal(value(one, "SELECT count(*) FROM t"), 2);
    q5_sqlite_close(two);
    q5_sqlite_close(one);
}

static void test_snapshot(void **state) {
    (void)state;
    q5_sqlite *one = connect_writer(), *two = connect_writer();
    must(one, "PRAGMA journal_mode = WAL");
    must(one, "CREATE TABLE t (a)");
    assert_status(q5_sqlite_leave(two, true), Q5_OK); /* of none */
    assert_status(q5_sqlite_enter(two), Q5_OK);
    assert_status(q5_sqlite_enter(two), Q5_ESTATE);
    assert_int_equal(value(two, "SELECT count(*) FROM t"), 0);
    must(one, "INSERT INTO t VALUES (1)");
    assert_int_equal(value(two, "SELECT count(*) FROM t"), 0);
    /* What it read is old: this can only be refused (SQLITE_BUSY_SNAPSHOT). */
    assert_status(run_for(two, "INSERT INTO t VALUES (2)", NULL), Q5_EBUSY);
    assert_int_equal(q5_sqlite_code(two), 5 | (2 << 8));
    assert_status(q5_sqlite_leave(two, true), Q5_OK);
    assert_int_equal(value(two, "SELECT count(*) FROM t"), 1);

    assert_status(q5_sqlite_enter(two), Q5_OK);
    must(two, "INSERT INTO t VALUES (3)");
    assert_status(q5_sqlite_leave(two, false), Q5_OK);
    assert_int_equal(value(two, "SELECT count(*) FROM t"), 1);

    /* An error that ends the transaction is told by the end. */
    assert_status(q5_sqlite_enter(two), Q5_OK);
    must(two, "CREATE UNIQUE INDEX u ON t (a)");
    assert_status(run_for(two, "INSERT OR ROLLBACK INTO t VALUES (1)", NULL), Q5_ECONSTRAINT);
    assert_status(q5_sqlite_leave(two, true), Q5_ESTATE);
    assert_status(q5_sqlite_leave(two, true), Q5_OK);
    q5_sqlite_close(two);
    q5_sqlite_close(one);
}

static void test_schema_changes(void **state) {
    (void)state;
    q5_sqlite *one = connect_writer(), *two = connect_writer();
    must(one, "CREATE TABLE t (a)");
    must(one, "INSERT INTO t VALUES (7)");
    assert_int_equal(run_id(two, 1, "SELECT a FROM t"), 7);
    assert_int_equal(run_id(two, 2, "SELECT * FROM t"), 7);
    must(one, "ALTER TABLE t ADD COLUMN b DEFAULT 8");
    assert_int_equal(run_id(two, 1, ""), 7); /* prepared again by SQLite */
    q5_sqlite_run *run;
    assert_status(q5_sqlite_begin(two, 2, Q5_LIT(""), NULL, 0, &run), Q5_OK);
    assert_status(q5_sqlite_next(run), Q5_ESQL);
    assert_string_equal(q5_sqlite_message(two), "the statement's columns have changed");
    q5_sqlite_end(run);
    assert_status(q5_sqlite_begin(two, 2, Q5_LIT("SELECT * FROM t"), NULL, 0, &run), Q5_OK);
    assert_int_equal(q5_sqlite_columns(run), 2);
    q5_sqlite_end(run);
    must(one, "DROP TABLE t");
    assert_status(q5_sqlite_begin(two, 1, Q5_LIT("SELECT a FROM t"), NULL, 0, &run), Q5_OK);
    assert_status(q5_sqlite_next(run), Q5_ESQL);
    assert_string_equal(q5_sqlite_message(two), "no such table: t");
    q5_sqlite_end(run);
    q5_sqlite_close(two);
    q5_sqlite_close(one);
}

static int scenario(const q5_alloc *alloc, void *ctx) {
    (void)ctx;
    q5_sqlite_api *own;
    int status = q5_sqlite_api_create(&own, alloc, library, NULL);
    if (status) return status;
    q5_sqlite *db = NULL;
    q5_sqlite_config config = {.path = ":memory:"};
    status = q5_sqlite_open(&db, own, alloc, &config, NULL);
    q5_sqlite_run *run = NULL;
    if (!status) status = q5_sqlite_begin(db, 1, Q5_LIT("SELECT 1, 2"), NULL, 0, &run);
    if (!status) status = q5_sqlite_next(run);
    q5_sqlite_end(run);
    q5_sqlite_close(db);
    q5_sqlite_api_destroy(own);
    return status;
}

static void test_no_memory(void **state) {
    (void)state;
    failmalloc_sweep(scenario, NULL);
}

int main(void) {
#define UNIT(name) cmocka_unit_test_teardown(name, remove_file)
    const struct CMUnitTest tests[] = {
        UNIT(test_library),   UNIT(test_open),
        UNIT(test_read_only), UNIT(test_cells),
        UNIT(test_source),    UNIT(test_utf16),
        UNIT(test_refused),   UNIT(test_least_recently_used),
        UNIT(test_budget),    UNIT(test_budget_between_rows),
        UNIT(test_interrupt), UNIT(test_busy),
        UNIT(test_snapshot),  UNIT(test_schema_changes),
        UNIT(test_no_memory),
    };
#undef UNIT
    return cmocka_run_group_tests(tests, load, unload);
}

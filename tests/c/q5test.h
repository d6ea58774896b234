/* What every C test includes: cmocka with the headers that it wants before itself. */
#ifndef Q5_TEST_H
#define Q5_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "failmalloc.h"
#include "q5/status.h"

/* Statuses compared by name, so that a failure can be read. */
#define assert_status(got, want) assert_string_equal(q5_status_name(got), q5_status_name(want))

/* A slice against a C string. */
#define assert_slice(slice, text)                                                                \
    do {                                                                                         \
        q5_slice assert_slice_ = (slice);                                                        \
        assert_int_equal(assert_slice_.len, strlen(text));                                       \
        if (assert_slice_.len) assert_memory_equal(assert_slice_.base, text, assert_slice_.len); \
    } while (0)

#endif

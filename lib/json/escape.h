/* Copying text up to what must be escaped: the scalar way, which any machine can go, and the one
 * that the library goes. Both do the same; the tests compare them. */
#ifndef Q5_JSON_ESCAPE_H
#define Q5_JSON_ESCAPE_H

#include "q5/base.h"

/* Stores may reach so far behind what they mean to write. */
#define Q5__COPY_SLACK 16

/* Copies up to the first quote, backslash or control character and returns how many bytes that
 * are; `to` has room for len + Q5__COPY_SLACK. A bit of *high is set if a byte before that one is
 * not ASCII (one behind it may set it too); it is never cleared. */
size_t q5__copy_plain(char *to, const char *from, size_t len, uint64_t *high);
size_t q5__copy_plain_scalar(char *to, const char *from, size_t len, uint64_t *high);

/* Writes the escape of a quote, a backslash or a control character: at most 6 bytes, though 8 are
 * stored. The place behind it. */
char *q5__put_escape(char *to, char byte);

#endif

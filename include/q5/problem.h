/* Error documents for clients: application/problem+json (RFC 9457). */
#ifndef Q5_PROBLEM_H
#define Q5_PROBLEM_H

#include "q5/buf.h"

#define Q5_PROBLEM_CONTENT_TYPE "application/problem+json"

/* Appends {"type":"about:blank","title":...,"status":...,"detail":...,"request_id":...}; the last
 * two are left out when they are empty. With about:blank the title should be the status's reason
 * phrase (RFC 9457, 4.2.1). Q5_OK, or Q5_ENOMEM: the buffer is as it was before. */
Q5_EXTERN int q5_problem_write(q5_buf *buf, int status, q5_slice title, q5_slice detail,
                               q5_slice request_id);

#endif

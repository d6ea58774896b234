/* Reason phrases of HTTP statuses. */
#ifndef Q5_REASON_H
#define Q5_REASON_H

#include "q5/base.h"

/* "Not Found" for 404, as registered with IANA; "Unknown" for a status that is not. Static
 * storage. */
Q5_EXTERN q5_slice q5_reason_phrase(int status);

#endif

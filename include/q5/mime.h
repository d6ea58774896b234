/* Media types of files by their names' extensions. */
#ifndef Q5_MIME_H
#define Q5_MIME_H

#include "q5/base.h"

/* The Content-Type of a file of that name or path, with charset=utf-8 where it is text; static
 * storage. application/octet-stream for an unknown extension or none (a leading dot begins a
 * hidden name, no extension). The case of the extension does not matter. */
Q5_EXTERN q5_slice q5_mime_find(q5_slice path);

/* Whether bytes of that type are worth compressing; parameters and case do not matter. */
Q5_EXTERN bool q5_mime_compressible(q5_slice content_type);

#endif

/* For the tests of spool: the way that is taken where O_TMPFILE is missing. */
#ifndef Q5_IO_SPOOL_INTERNAL_H
#define Q5_IO_SPOOL_INTERNAL_H

/* A file created in dir and unlinked at once; its descriptor, or -1 with errno. */
int q5__spool_open_named(const char *dir);

#endif

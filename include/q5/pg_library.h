/* libpq by function pointers: the copy that the caller has loaded already, so that a PGconn or a
 * PGresult of another user of that copy (a Python driver) can be read here too. Only its header is
 * needed to build. PostgreSQL documentation, chapter "libpq - C Library". */
#ifndef Q5_PG_LIBRARY_H
#define Q5_PG_LIBRARY_H

#include <libpq-fe.h>

#include "q5/base.h"

#define Q5_PG_VERSION_MIN 140000 /* the first with pipeline mode */

struct pg_cancel_conn; /* PGcancelConn, from libpq 17 on */

/* XX(name, return type, parameters): what every supported version has. */
#define Q5_PG_FUNCTIONS(XX)                                                                      \
    XX(libVersion, int, (void))                                                                  \
    XX(connectStartParams, PGconn *,                                                             \
       (const char *const *keywords, const char *const *values, int))                            \
    XX(connectPoll, PostgresPollingStatusType, (PGconn *))                                       \
    XX(finish, void, (PGconn *))                                                                 \
    XX(status, ConnStatusType, (const PGconn *))                                                 \
    XX(transactionStatus, PGTransactionStatusType, (const PGconn *))                             \
    XX(errorMessage, char *, (const PGconn *))                                                   \
    XX(socket, int, (const PGconn *))                                                            \
    XX(backendPID, int, (const PGconn *))                                                        \
    XX(setnonblocking, int, (PGconn *, int))                                                     \
    XX(setNoticeReceiver, PQnoticeReceiver, (PGconn *, PQnoticeReceiver, void *))                \
    XX(enterPipelineMode, int, (PGconn *))                                                       \
    XX(sendQuery, int, (PGconn *, const char *))                                                 \
    XX(sendPrepare, int, (PGconn *, const char *, const char *, int, const Oid *))               \
    XX(sendQueryParams, int,                                                                     \
       (PGconn *, const char *, int, const Oid *, const char *const *, const int *, const int *, \
        int))                                                                                    \
    XX(sendQueryPrepared, int,                                                                   \
       (PGconn *, const char *, int, const char *const *, const int *, const int *, int))        \
    XX(pipelineSync, int, (PGconn *))                                                            \
    XX(setSingleRowMode, int, (PGconn *))                                                        \
    XX(flush, int, (PGconn *))                                                                   \
    XX(consumeInput, int, (PGconn *))                                                            \
    XX(isBusy, int, (PGconn *))                                                                  \
    XX(getResult, PGresult *, (PGconn *))                                                        \
    XX(clear, void, (PGresult *))                                                                \
    XX(resultStatus, ExecStatusType, (const PGresult *))                                         \
    XX(resultErrorField, char *, (const PGresult *, int))                                        \
    XX(ntuples, int, (const PGresult *))                                                         \
    XX(nfields, int, (const PGresult *))                                                         \
    XX(fname, char *, (const PGresult *, int))                                                   \
    XX(ftype, Oid, (const PGresult *, int))                                                      \
    XX(fformat, int, (const PGresult *, int))                                                    \
    XX(getvalue, char *, (const PGresult *, int, int))                                           \
    XX(getlength, int, (const PGresult *, int, int))                                             \
    XX(getisnull, int, (const PGresult *, int, int))                                             \
    XX(cmdStatus, char *, (PGresult *))                                                          \
    XX(cmdTuples, char *, (PGresult *))

/* What newer versions have: NULL in the table where the library lacks it. */
#define Q5_PG_NEWER_FUNCTIONS(XX)                                                 \
    XX(sendPipelineSync, int, (PGconn *))                                /* 17 */ \
    XX(sendClosePrepared, int, (PGconn *, const char *))                 /* 17 */ \
    XX(setChunkedRowsMode, int, (PGconn *, int))                         /* 17 */ \
    XX(cancelCreate, struct pg_cancel_conn *, (PGconn *))                /* 17 */ \
    XX(cancelStart, int, (struct pg_cancel_conn *))                      /* 17 */ \
    XX(cancelPoll, PostgresPollingStatusType, (struct pg_cancel_conn *)) /* 17 */ \
    XX(cancelSocket, int, (const struct pg_cancel_conn *))               /* 17 */ \
    XX(cancelFinish, void, (struct pg_cancel_conn *))                    /* 17 */

/* Members have libpq's names without the PQ: library.getvalue is PQgetvalue. */
typedef struct q5_pg_library {
#define XX(name, type, parameters)                                \
    type(*name) parameters; /* NOLINT(bugprone-macro-parentheses) \
                             */
    Q5_PG_FUNCTIONS(XX)
    Q5_PG_NEWER_FUNCTIONS(XX)
#undef XX
} q5_pg_library;

/* Fills the table by dlsym from a handle of dlopen's (or RTLD_DEFAULT), which stays open as long as
 * the table is used. Q5_ELIBRARY when the library is older than Q5_PG_VERSION_MIN or lacks a
 * function; the table is unusable then. Any thread. */
Q5_EXTERN int q5_pg_library_load(q5_pg_library *library, void *handle);

/* One value of one row as it came over the wire; base is NULL for SQL's NULL. Valid as long as the
 * result. row and column are in range. */
static inline q5_slice q5_pg_value(const q5_pg_library *library, const PGresult *result, int row,
                                   int column) {
    int len = library->getlength(result, row, column);
    if (len == 0 && library->getisnull(result, row, column)) return q5_slice_make(NULL, 0);
    return q5_slice_make(library->getvalue(result, row, column), (size_t)len);
}

#endif

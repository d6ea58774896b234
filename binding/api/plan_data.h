/* What a plan knows, in C. Filled in by plan.c from what python/quintette/api/plan.py hands over;
 * constant afterwards, so that any thread may read it. */
#ifndef Q5PY_PLAN_DATA_H
#define Q5PY_PLAN_DATA_H

#include "guards/guard.h"
#include "plan.h"

/* Where a parameter comes from. Parameters are sorted by it, so that each source is a range. The
 * numbers are shared with api/plan.py. */
typedef enum q5py_source {
    Q5PY_IN_PATH,
    Q5PY_IN_QUERY,
    Q5PY_IN_HEADER,
    Q5PY_IN_COOKIE,
    Q5PY_IN_FORM,
    Q5PY_IN_FILE,
    Q5PY_IN_BODY,
    Q5PY_IN_BODY_FIELD, /* an attribute of the decoded body */
    Q5PY_IN_REQUEST,
    Q5PY_IN_AUTH,   /* index 0: the user; 1: what was verified */
    Q5PY_IN_SOCKET, /* of a WebSocket route */
    Q5PY_IN_AFTER,  /* work for behind the response: what param->convert() gives */
    Q5PY_IN_COUNT
} q5py_source;

/* How many values a parameter takes. */
typedef enum q5py_arity {
    Q5PY_ONE,  /* the last of repeated ones */
    Q5PY_MANY, /* all, as a list of str */
    Q5PY_GROUP /* several names, as a dict of str or list of str */
} q5py_arity;

/* What makes a value of a text. */
typedef enum q5py_conversion {
    Q5PY_TO_STR,
    Q5PY_TO_INT,
    Q5PY_TO_FLOAT,
    Q5PY_TO_BOOL,
    Q5PY_TO_CALL /* param->convert, given the str, list or dict */
} q5py_conversion;

/* Why a parameter was refused; the words are chosen in api/faults.py. */
typedef enum q5py_fault {
    Q5PY_FAULT_MISSING,
    Q5PY_FAULT_TYPE,     /* no int, float or bool */
    Q5PY_FAULT_BOUNDS,   /* outside low..high */
    Q5PY_FAULT_ENCODING, /* no UTF-8 */
    Q5PY_FAULT_CONVERT,  /* convert raised */
    Q5PY_FAULT_TOO_MANY, /* pairs in a query string, form or cookie */
    Q5PY_FAULT_MEDIA,    /* wrong Content-Type */
    Q5PY_FAULT_GUARD,    /* JSON too deep, too many keys, too large an integer, malformed */
    Q5PY_FAULT_PATH      /* an escaped slash where the pattern takes one segment */
} q5py_fault;

enum {
    Q5PY_LOW = 1,          /* low is set */
    Q5PY_HIGH = 2,         /* high is set */
    Q5PY_LOW_OPEN = 4,     /* greater than low (floats) */
    Q5PY_HIGH_OPEN = 8,    /* less than high (floats) */
    Q5PY_EMPTY_UNSET = 16, /* an empty text counts as not sent */
    Q5PY_GROUP_OPEN = 32,  /* the group takes names it does not know too */
    Q5PY_SLASHES = 64      /* a path value that may span segments */
};

typedef union q5py_bound {
    int64_t i; /* INT: the value; STR: its length in code points */
    double f;
} q5py_bound;

typedef struct q5py_param {
    uint8_t source, arity, conversion;
    uint8_t flags;
    uint16_t slot;       /* position among the arguments */
    uint16_t index;      /* position in the signature; path values: in the pattern */
    q5_slice key;        /* into key_bytes; headers: lower case */
    PyObject *key_bytes; /* owned */
    PyObject *convert;   /* owned, or NULL */
    PyObject *fields;    /* GROUP: owned dict, name -> True when it takes all values */
    PyObject *attribute; /* BODY_FIELD: owned str */
    /* Owned, or NULL: required. With is_factory it is called for the default. */
    PyObject *fallback;
    bool is_factory;
    q5py_bound low, high;
} q5py_param;

typedef enum q5py_media {
    Q5PY_MEDIA_NONE,
    Q5PY_MEDIA_JSON,
    Q5PY_MEDIA_FORM,
    Q5PY_MEDIA_ANY,
    Q5PY_MEDIA_STREAM /* the parameter is made of a BodySource, elsewhere of the request */
} q5py_media;

/* How a result is recognised as one that may be encoded as it is. */
typedef enum q5py_shape_kind {
    Q5PY_SHAPE_TRUST,    /* anything */
    Q5PY_SHAPE_NEVER,    /* nothing: always the slow way */
    Q5PY_SHAPE_EXACT,    /* an instance of exactly this type */
    Q5PY_SHAPE_STRUCT,   /* the same, and attributes of their shapes */
    Q5PY_SHAPE_LIST,     /* a list of items of one shape */
    Q5PY_SHAPE_DICT,     /* a dict with values of one shape */
    Q5PY_SHAPE_OPTIONAL, /* None or of one shape */
    Q5PY_SHAPE_PLAIN     /* dict, list, str, int, float, bool, or a subtype of `type` */
} q5py_shape_kind;

typedef struct q5py_shape {
    uint8_t kind;
    uint16_t child_count;
    PyTypeObject *type;          /* owned, or NULL */
    PyObject **names;            /* STRUCT: owned str for each child */
    struct q5py_shape *children; /* LIST, DICT, OPTIONAL: one */
} q5py_shape;

typedef struct q5py_plan_data {
    q5py_param *params; /* sorted by source */
    uint16_t param_count, slot_count, positional_count;
    uint16_t first[Q5PY_IN_COUNT + 1]; /* range of each source */
    PyObject *kwnames;                 /* owned tuple, or NULL: all positional */
    /* Body. */
    q5py_media media;
    bool allow_big_int;
    bool copy_body;      /* the decoder keeps references into it */
    PyObject *open_file; /* owned; (name, file name, type), all bytes -> write(bytes), finish() */
    /* Guards, outermost first: owned. */
    struct q5py_guard *guards[Q5PY_GUARDS_MAX];
    uint8_t guard_count;
    bool guards_in_context; /* some guard is to run in the request's context */
    bool preflights;        /* one of them does: see guard.h */
    /* Result. */
    int status, none_status;
    bool none_is_empty;
    PyObject *lines, *none_lines;   /* owned bytes */
    PyObject *fields, *none_fields; /* owned tuples of (name, value): the same, for other hosts */
    PyObject *encode;               /* owned; value -> bytes */
    q5py_shape shape;
    /* The slow ways; owned. */
    PyObject *finish;   /* result -> answer */
    PyObject *pull;     /* iterator -> async iterator that runs it in a thread */
    PyObject *reject;   /* (faults, body) -> raises */
    PyObject *on_error; /* (exception, request) -> answer */
} q5py_plan_data;

/* plan_params.c: reads the tuple of parameter tuples. 0, or -1 with an exception. */
int q5py_params_read(q5py_plan_data *data, PyObject *params);
void q5py_param_clear(q5py_param *param);
/* plan_shape.c: reads a nested tuple. 0, or -1 with an exception. */
int q5py_shape_read(q5py_shape *shape, PyObject *source);
void q5py_shape_clear(q5py_shape *shape);
int q5py_shape_traverse(const q5py_shape *shape, visitproc visit, void *arg);
/* 1, 0, or -1 with an exception (an attribute that raises). */
int q5py_shape_matches(const q5py_shape *shape, PyObject *value);

/* What a slow result or an error turns into: a tuple that begins with one of these. The numbers
 * are shared with api/answer.py. */
typedef enum q5py_answer {
    Q5PY_ANSWER_BODY, /* status, fields, body */
    /* status, fields, iterator, is_async, closer or None; and where its items are not bytes also
     * Pieces, milliseconds of silence that a comment breaks (0: any), bytes before all or None */
    Q5PY_ANSWER_STREAM,
    /* status, fields, file object, offset, length, closer or None, and where it may be negotiated
     * also its entity tag (bytes) and its modification time in seconds */
    Q5PY_ANSWER_FILE,
    Q5PY_ANSWER_DJANGO, /* an HttpResponseBase */
    Q5PY_ANSWER_AWAIT,  /* an awaitable whose result is to be encoded in its turn */
    Q5PY_ANSWER_VALUE   /* a value that the plan's encoder takes */
} q5py_answer;

/* encode_reply.c. Fills in the reply from an answer. 0, -1 with an exception, or 1 with
 * *ret_awaitable where the caller takes one. */
int q5py_reply_from_answer(q5py_state *state, PyObject *answer, q5py_reply *reply,
                           PyObject **ret_awaitable);
/* answer_reply.c. The opposite, for other hosts: a new reference to the answer that stands for what
 * the guards have made of the reply; `answer` is what it was made from. NULL with an exception. */
PyObject *q5py_reply_as_answer(q5py_reply *reply, PyObject *answer);
/* encode.c. The result of a handler, judged: *ret_body is a new reference to the encoded value, to
 * be sent with the plan's own fields; or it is NULL and *ret_answer a new reference to an answer
 * (never VALUE); or both are NULL: no body, with the plan's none_ fields. 0, or -1 with an
 * exception. */
int q5py_plan_judge(q5py_plan *plan, PyObject *result, PyObject **ret_body, PyObject **ret_answer);
/* encode_file.c. Preconditions and Range of the request, applied to a FILE answer that may be
 * negotiated: it is replaced by one of 200, 206, 304, 412 or 416. Other answers stay as they are.
 * 0, or -1 with an exception, *answer being dropped. */
int q5py_file_negotiate(const q5_exchange *x, PyObject **answer);
/* The answer to the current exception, which is taken. NULL with an exception when the hook fails
 * itself. */
PyObject *q5py_plan_excuse(q5py_plan *plan, PyObject *request);

#endif

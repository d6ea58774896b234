/* Request heads, line by line. A line is parsed straight from its first byte; when it turns out to
 * be incomplete, what follows is only searched for its end, and then it is parsed again. So every
 * verdict is a function of the bytes up to it, and never of where the input was cut. */
#include "http/h1_internal.h"
#include "http/h1_scan.h"

enum { STATE_REQUEST_LINE, STATE_FIELDS, STATE_OVER };

#define BLANK_LINES_MAX 2

static const q5__byteset token_set = Q5__BYTESET(Q5__IS_TOKEN);
static const q5__byteset target_set = Q5__BYTESET(Q5__IS_TARGET);

q5_h1_limits q5_h1_limits_default(void) {
    return (q5_h1_limits){.line_max = 8192, .head_max = 32768, .fields_max = 100};
}

void q5_h1_init(q5_h1_parser *parser, const q5_h1_limits *limits, q5_head *head) {
    *parser = (q5_h1_parser){.limits = limits, .head = head};
    /* All but the array of fields, of which field_count says how much is valid. */
    memset(head, 0, offsetof(q5_head, known));
    memset(head->known, 0xff, sizeof(head->known));
}

/* -- moved buffers -- */

static void slice_move(q5_slice *slice, uintptr_t from, const char *to) {
    if (slice->base != NULL) slice->base = to + ((uintptr_t)slice->base - from);
}

static void head_move(q5_head *head, uintptr_t from, const char *to) {
    slice_move(&head->method, from, to);
    slice_move(&head->target, from, to);
    slice_move(&head->path, from, to);
    slice_move(&head->query, from, to);
    slice_move(&head->host, from, to);
    for (size_t i = 0; i < head->field_count; i++) {
        slice_move(&head->fields[i].name, from, to);
        slice_move(&head->fields[i].value, from, to);
    }
}

/* -- lines -- */

int q5__h1_stop_fault(q5_h1_parser *parser, int status, const char *pos, const char *end) {
    if (*pos == '\n') status = Q5_EBARE_LF;
    if (*pos == '\r') {
        if (end - pos < 2) return Q5_AGAIN;
        if (pos[1] != '\n') status = Q5_EBARE_CR;
    }
    return q5__h1_fault(parser, status, pos);
}

/* Whether it is worth to parse the present line: not while it was found incomplete before (scanned
 * lies behind its start) and its end has still not come. */
static inline bool line_ready(q5_h1_parser *parser, const q5__h1_scanner *scan, const char *end) {
    if (parser->scanned <= parser->line) return true;
    const char *stop = scan->text(parser->base + parser->scanned, end);
    parser->scanned = (size_t)(stop - parser->base);
    return stop < end && !(*stop == '\r' && end - stop < 2);
}

static int line_incomplete(q5_h1_parser *parser, const char *end) {
    parser->scanned = (size_t)(end - parser->base);
    if (parser->scanned > parser->line && end[-1] == '\r') parser->scanned--;
    return Q5_AGAIN;
}

static void line_done(q5_h1_parser *parser, const char *next) {
    parser->line = (size_t)(next - parser->base);
}

/* -- the request line -- */

/* "HTTP/1.1" or "HTTP/1.0" and the line's end. */
static int version_parse(q5_h1_parser *parser, const char *pos, const char *end) {
    static const char form[] = "HTTP/d.d";
    if (Q5_LIKELY(end - pos >= 10 && memcmp(pos + 8, "\r\n", 2) == 0 &&
                  (memcmp(pos, "HTTP/1.1", 8) == 0 || memcmp(pos, "HTTP/1.0", 8) == 0))) {
        parser->head->version_minor = pos[7] == '1';
        line_done(parser, pos + 10);
        return Q5_OK;
    }
    for (size_t i = 0; i < sizeof(form) - 1; i++) {
        if (pos + i == end) return Q5_AGAIN;
        if (form[i] == 'd' ? !Q5__IS_DIGIT(pos[i]) : pos[i] != form[i])
            return q5__h1_stop_fault(parser, Q5_EREQUEST_LINE, pos + i, end);
    }
    if (end - pos < 9) return Q5_AGAIN;
    if (pos[8] != '\r') return q5__h1_stop_fault(parser, Q5_EREQUEST_LINE, pos + 8, end);
    if (end - pos < 10) return Q5_AGAIN;
    if (pos[9] != '\n') return q5__h1_fault(parser, Q5_EBARE_CR, pos + 8);
    return q5__h1_fault(parser, Q5_EVERSION, pos + 5);
}

static int request_line_parse(q5_h1_parser *parser, const q5__h1_scanner *scan, const char *pos,
                              const char *end) {
    q5_head *head = parser->head;
    const char *method_end = scan->set(&token_set, pos, end);
    if (method_end == end) return Q5_AGAIN;
    if (*method_end != ' ' || method_end == pos)
        return q5__h1_stop_fault(parser, Q5_EMETHOD, method_end, end);

    const char *target = method_end + 1;
    const char *target_end = scan->set(&target_set, target, end);
    const char *path_end = target_end;
    while (target_end < end && *target_end == '?')
        target_end = scan->set(&target_set, target_end + 1, end);
    if (target_end == end) return Q5_AGAIN;
    if (*target_end != ' ' || target_end == target) {
        bool is_end = *target_end == '\r' || target_end == target; /* HTTP/0.9, two spaces */
        return q5__h1_stop_fault(parser, is_end ? Q5_EREQUEST_LINE : Q5_ETARGET, target_end, end);
    }
    int status = version_parse(parser, target_end + 1, end);
    if (status != Q5_OK) return status;

    head->method = q5_slice_make(pos, (size_t)(method_end - pos));
    head->method_id = (uint8_t)q5_method_find(head->method);
    head->target = q5_slice_make(target, (size_t)(target_end - target));
    head->path = q5_slice_make(target, (size_t)(path_end - target));
    if (path_end < target_end)
        head->query = q5_slice_make(path_end + 1, (size_t)(target_end - path_end - 1));
    return q5__h1_target(parser);
}

static int blank_lines_skip(q5_h1_parser *parser, const char *end) {
    const char *pos = parser->base + parser->line;
    while (pos < end && (*pos == '\r' || *pos == '\n')) {
        if (*pos == '\n' || end - pos < 2 || pos[1] != '\n' ||
            parser->blank_lines == BLANK_LINES_MAX)
            return q5__h1_stop_fault(parser, Q5_EREQUEST_LINE, pos, end);
        parser->blank_lines++;
        pos += 2;
        line_done(parser, pos);
    }
    return pos < end ? Q5_OK : Q5_AGAIN;
}

/* full: end is where the head must end at the latest. */
static int request_line(q5_h1_parser *parser, const q5__h1_scanner *scan, const char *end,
                        bool full) {
    int status = blank_lines_skip(parser, end);
    if (status != Q5_OK) return status;
    const char *pos = parser->base + parser->line;
    size_t line_max = parser->limits->line_max;
    bool over = false;
    if ((size_t)(end - pos) > line_max) {
        /* The byte at the limit decides: it begins the line's end, or the line is too long. */
        over = pos[line_max] != '\r';
        size_t len = line_max + (over ? 0 : 2);
        if ((size_t)(end - pos) > len) end = pos + len;
    }
    if (!over && !full && !line_ready(parser, scan, end)) return Q5_AGAIN;
    status = request_line_parse(parser, scan, pos, end);
    if (status == Q5_OK) parser->state = STATE_FIELDS;
    if (status != Q5_AGAIN) return status;
    if (over) return q5__h1_fault(parser, Q5_ELINE_LONG, pos + line_max);
    return line_incomplete(parser, end);
}

/* -- fields -- */

int q5__h1_no_field(q5_h1_parser *parser, const char *pos, const char *name_end, const char *end,
                    bool no_room) {
    if (name_end > pos && no_room) return q5__h1_fault(parser, Q5_EFIELDS, pos);
    if (name_end == end) return Q5_AGAIN;
    if (name_end == pos && *pos == '\r' && end - pos >= 2 && pos[1] == '\n') return Q5_DONE;
    int status = Q5_EFIELD_NAME;
    if (*name_end == '_') status = Q5_EUNDERSCORE;
    if (*name_end == ' ' || *name_end == '\t')
        status = name_end == pos ? Q5_EOBS_FOLD : Q5_EFIELD_SPACE;
    return q5__h1_stop_fault(parser, status, name_end, end);
}

static int fields(q5_h1_parser *parser, const q5__h1_scanner *scan, const char *end, bool full) {
    if (!full && !line_ready(parser, scan, end)) return Q5_AGAIN;
    int status = scan->fields(parser, end);
    if (status == Q5_AGAIN) return line_incomplete(parser, end);
    if (status != Q5_DONE) return status;
    const char *last = parser->base + parser->line;
    status = q5__h1_framing_finish(parser, last);
    if (status == Q5_OK) line_done(parser, last + 2);
    return status;
}

int q5_h1_parse(q5_h1_parser *parser, const char *buf, size_t len, size_t *ret_len) {
    if (parser->state == STATE_OVER) return Q5_ESTATE;
    if (buf != parser->base) {
        if (parser->base != NULL) head_move(parser->head, (uintptr_t)parser->base, buf);
        parser->base = buf;
    }
    size_t head_max = parser->limits->head_max;
    bool full = len >= head_max;
    const char *end = parser->end = buf + (full ? head_max : len);
    const q5__h1_scanner *scan = q5__h1_scanner_get();

    int status = Q5_OK;
    if (parser->state == STATE_REQUEST_LINE) status = request_line(parser, scan, end, full);
    if (status == Q5_OK) status = fields(parser, scan, end, full);
    if (status == Q5_AGAIN) {
        if (!full) return Q5_AGAIN;
        status = q5__h1_fault(parser, Q5_EHEAD_LONG, end);
    }
    parser->state = STATE_OVER;
    if (status == Q5_OK) *ret_len = parser->line;
    return status;
}

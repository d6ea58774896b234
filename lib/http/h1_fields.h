/* The loop over the field lines: the hot part of the parser. Each scanner instantiates it around
 * its own two searches, so that they are inlined and their constants stay in registers. */
#ifndef Q5_HTTP_H1_FIELDS_H
#define Q5_HTTP_H1_FIELDS_H

#include "http/field.h"
#include "http/h1_internal.h"
#include "http/h1_scan.h"

static const q5__byteset q5__name_set = Q5__BYTESET(Q5__IS_NAME);
static const q5__byteset q5__name_set_underscore = Q5__BYTESET(Q5__IS_TOKEN);

#define Q5__SPACE(c) ((c) == ' ' || (c) == '\t')

/* Counts the field at the end of the head's array, once it is judged. */
static inline int q5__h1_field_add(q5_h1_parser *parser, q5_head *head, q5_field *field) {
    q5_field_id id = q5__field_lookup(field->name);
    field->id = (uint8_t)id;
    if (id != Q5_FIELD_OTHER) {
        if (id <= Q5_FIELD_UPGRADE) {
            int status = q5__h1_framing_field(parser, field);
            if (Q5_UNLIKELY(status != Q5_OK)) return status;
        }
        if (head->known[id] < 0) head->known[id] = (int16_t)head->field_count;
    }
    head->field_count++;
    return Q5_OK;
}

/* Parses field lines of [parser->line, end). Q5_DONE: parser->line is the empty line behind them.
 * Q5_AGAIN: parser->line is incomplete. Else the status of a fault. */
static inline __attribute__((always_inline)) int q5__h1_fields_parse(q5_h1_parser *parser,
                                                                     const char *end,
                                                                     q5__scan_set *scan_set,
                                                                     q5__scan_text *scan_text) {
    q5_head *head = parser->head;
    const q5__byteset *names =
        parser->limits->allow_underscore ? &q5__name_set_underscore : &q5__name_set;
    size_t fields_max = parser->limits->fields_max;
    if (fields_max > Q5_FIELDS_MAX) fields_max = Q5_FIELDS_MAX;
    const char *pos = parser->base + parser->line;
    for (;;) {
        const char *name_end = scan_set(names, pos, end);
        size_t count = head->field_count;
        if (Q5_UNLIKELY(name_end == end || *name_end != ':' || name_end == pos ||
                        count >= fields_max))
            return q5__h1_no_field(parser, pos, name_end, end, count >= fields_max);

        const char *value = name_end + 1;
        if (Q5_LIKELY(end - value >= 2 && value[0] == ' ' && (uint8_t)value[1] > ' '))
            value++;
        else
            while (value < end && Q5__SPACE(*value))
                value++;
        const char *line_end = scan_text(value, end);
        if (Q5_UNLIKELY(end - line_end < 2 || memcmp(line_end, "\r\n", 2) != 0))
            return line_end == end ? Q5_AGAIN
                                   : q5__h1_stop_fault(parser, Q5_EFIELD_VALUE, line_end, end);
        const char *value_end = line_end; /* there is always a byte before it: the colon */
        while (Q5_UNLIKELY(Q5__SPACE(value_end[-1])) && value_end > value)
            value_end--;

        q5_field *field = &head->fields[count];
        field->name = q5_slice_make(pos, (size_t)(name_end - pos));
        field->value = q5_slice_make(value, (size_t)(value_end - value));
        int status = q5__h1_field_add(parser, head, field);
        if (Q5_UNLIKELY(status != Q5_OK)) return status;
        pos = line_end + 2;
        parser->line = (size_t)(pos - parser->base);
    }
}

#endif

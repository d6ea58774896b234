#include "q5/conditional.h"

#include "http/params.h"
#include "q5/date.h"

typedef struct etag {
    q5_slice opaque; /* with its quotes */
    bool weak;
} etag;

/* entity-tag of RFC 9110, 8.8.3, at *pos, which moves behind it. */
static bool read_etag(q5_slice text, size_t *pos, etag *ret_etag) {
    size_t i = *pos;
    bool weak = text.len - i >= 2 && text.base[i] == 'W' && text.base[i + 1] == '/';
    if (weak) i += 2;
    size_t start = i;
    if (i == text.len || text.base[i++] != '"') return false;
    for (; i < text.len; i++) {
        unsigned char c = (unsigned char)text.base[i];
        if (c == '"') {
            *ret_etag = (etag){q5_slice_make(text.base + start, i + 1 - start), weak};
            *pos = i + 1;
            return true;
        }
        if (c < 0x21 || c == 0x7f) return false;
    }
    return false;
}

static bool etag_equal(const etag *a, const etag *b, bool strong) {
    if (strong && (a->weak || b->weak)) return false;
    return q5_slice_eq(a->opaque, b->opaque);
}

/* Whether one of #entity-tag equals the current one. */
static bool list_matches(q5_slice list, const etag *current, bool strong) {
    size_t pos = 0;
    while (pos < list.len) {
        char c = list.base[pos];
        if (c == ' ' || c == '\t' || c == ',') {
            pos++;
            continue;
        }
        etag sent;
        if (!read_etag(list, &pos, &sent)) return false;
        if (etag_equal(&sent, current, strong)) return true;
        q5__skip_ows(list, &pos);
        if (pos < list.len && list.base[pos] != ',') return false;
    }
    return false;
}

bool q5_etag_in_list(q5_slice list, q5_slice text) {
    etag current;
    size_t pos = 0;
    return read_etag(text, &pos, &current) && list_matches(list, &current, false);
}

/* If-Match and If-None-Match: whether "*" or any tag of any field of that id matches. */
static bool any_matches(const q5_head *head, q5_field_id id, const q5_validators *validators,
                        bool strong) {
    etag current;
    size_t pos = 0;
    bool has_etag = !validators->missing && read_etag(validators->etag, &pos, &current);
    for (uint16_t i = 0; i < head->field_count; i++) {
        const q5_field *field = &head->fields[i];
        if (field->id != id) continue;
        if (q5_slice_eq(field->value, Q5_LIT("*"))) {
            if (!validators->missing) return true;
        } else if (has_etag && list_matches(field->value, &current, strong)) {
            return true;
        }
    }
    return false;
}

/* The date of a field that was sent exactly once. */
static bool sent_date(const q5_head *head, q5_field_id id, int64_t *ret_date) {
    const q5_field *found = NULL;
    for (uint16_t i = 0; i < head->field_count; i++) {
        if (head->fields[i].id != id) continue;
        if (found) return false;
        found = &head->fields[i];
    }
    return found && q5_http_date_parse(found->value, ret_date) == Q5_OK;
}

static bool is_sent(const q5_head *head, q5_field_id id) {
    return q5_head_known(head, id) != NULL;
}

q5_precondition q5_conditional_evaluate(const q5_head *head, const q5_validators *validators) {
    bool reads = head->method_id == Q5_METHOD_GET || head->method_id == Q5_METHOD_HEAD;
    bool dated = validators->has_last_modified && !validators->missing;
    int64_t date;

    if (is_sent(head, Q5_FIELD_IF_MATCH)) {
        if (!any_matches(head, Q5_FIELD_IF_MATCH, validators, true)) return Q5_PRECONDITION_FAILED;
    } else if (dated && sent_date(head, Q5_FIELD_IF_UNMODIFIED_SINCE, &date)) {
        if (validators->last_modified > date) return Q5_PRECONDITION_FAILED;
    }

    if (is_sent(head, Q5_FIELD_IF_NONE_MATCH)) {
        if (any_matches(head, Q5_FIELD_IF_NONE_MATCH, validators, false))
            return reads ? Q5_NOT_MODIFIED : Q5_PRECONDITION_FAILED;
    } else if (reads && dated && sent_date(head, Q5_FIELD_IF_MODIFIED_SINCE, &date)) {
        if (validators->last_modified <= date) return Q5_NOT_MODIFIED;
    }
    return Q5_PROCEED;
}

bool q5_conditional_range(const q5_head *head, const q5_validators *validators) {
    const q5_field *field = q5_head_known(head, Q5_FIELD_IF_RANGE);
    if (!field) return true;
    if (validators->missing) return false;
    etag sent, current;
    size_t sent_len = 0, pos = 0;
    if (read_etag(field->value, &sent_len, &sent))
        return sent_len == field->value.len && read_etag(validators->etag, &pos, &current) &&
               etag_equal(&sent, &current, true);
    int64_t date;
    return validators->has_last_modified && sent_date(head, Q5_FIELD_IF_RANGE, &date) &&
           date == validators->last_modified && validators->last_modified < validators->now;
}

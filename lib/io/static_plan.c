#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#include "q5/conditional.h"
#include "q5/date.h"
#include "q5/static_file.h"

static_assert(sizeof(((q5_static_plan *)0)->last_modified) == Q5_HTTP_DATE_LEN, "");

static void add(q5_static_plan *plan, q5_slice name, q5_slice value) {
    assert(plan->header_count < Q5_STATIC_HEADERS_MAX);
    plan->headers[plan->header_count++] = (q5_static_header){name, value};
}

static void add_length(q5_static_plan *plan, uint64_t length) {
    /* 20 digits and snprintf's NUL, which has no place in the plan. */
    char text[21];
    int len = snprintf(text, sizeof(text), "%" PRIu64, length);
    memcpy(plan->content_length, text, (size_t)len);
    add(plan, Q5_LIT("Content-Length"), q5_slice_make(plan->content_length, (size_t)len));
}

static void add_content_range(q5_static_plan *plan, const q5_range *range, uint64_t size) {
    size_t len = q5_content_range(plan->content_range, range, size);
    add(plan, Q5_LIT("Content-Range"), q5_slice_make(plan->content_range, len));
}

/* What a 304 has in common with the 200 that it stands for (RFC 9110, 15.4.5). */
static void add_validators(q5_static_plan *plan, const q5_static_file *file,
                           const q5_validators *validators, q5_slice cache_control) {
    q5_http_date_format(validators->last_modified, plan->last_modified);
    add(plan, Q5_LIT("ETag"), validators->etag);
    add(plan, Q5_LIT("Last-Modified"),
        q5_slice_make(plan->last_modified, sizeof(plan->last_modified)));
    if (file->vary) add(plan, Q5_LIT("Vary"), Q5_LIT("Accept-Encoding"));
    if (cache_control.len) add(plan, Q5_LIT("Cache-Control"), cache_control);
}

/* 200, or 206 with *range. */
static void plan_content(q5_static_plan *plan, const q5_static_file *file, const q5_range *range) {
    plan->status = range ? 206 : 200;
    plan->offset = range ? range->offset : 0;
    plan->length = range ? range->len : file->size;
    add_length(plan, plan->length);
    if (range) add_content_range(plan, range, file->size);
    add(plan, Q5_LIT("Content-Type"), file->content_type);
    if (file->coding != Q5_CODING_IDENTITY) {
        const char *name = q5_coding_name((q5_coding)file->coding);
        add(plan, Q5_LIT("Content-Encoding"), q5_slice_make(name, strlen(name)));
    }
    add(plan, Q5_LIT("Accept-Ranges"), Q5_LIT("bytes"));
    add(plan, Q5_LIT("X-Content-Type-Options"), Q5_LIT("nosniff"));
}

/* A Range field counts for GET only, once, and if If-Range lets it (RFC 9110, 14.2). */
static q5_range_kind asked_range(const q5_head *head, const q5_validators *validators,
                                 uint64_t size, q5_range *ret_range) {
    const q5_field *field = q5_head_known(head, Q5_FIELD_RANGE);
    if (!field || head->method_id != Q5_METHOD_GET) return Q5_RANGE_NONE;
    for (uint16_t i = 0; i < head->field_count; i++)
        if (head->fields[i].id == Q5_FIELD_RANGE && &head->fields[i] != field) return Q5_RANGE_NONE;
    if (!q5_conditional_range(head, validators)) return Q5_RANGE_NONE;
    q5_range ranges[Q5_RANGES_MAX];
    size_t count;
    q5_range_kind kind = q5_range_parse(field->value, size, ranges, &count);
    if (kind == Q5_RANGE_SINGLE) *ret_range = ranges[0];
    return kind;
}

void q5_static_plan_make(const q5_head *head, const q5_static_file *file, q5_slice cache_control,
                         int64_t now, q5_static_plan *ret_plan) {
    q5_static_plan *plan = ret_plan;
    *plan = (q5_static_plan){0};
    if (head->method_id != Q5_METHOD_GET && head->method_id != Q5_METHOD_HEAD) {
        plan->status = 405;
        add(plan, Q5_LIT("Allow"), Q5_LIT("GET, HEAD"));
        add_length(plan, 0);
        return;
    }
    q5_validators validators = {.etag = {file->etag, file->etag_len},
                                /* Never later than Date (RFC 9110, 8.8.2.1). */
                                .last_modified = file->mtime < now ? file->mtime : now,
                                .now = now,
                                .has_last_modified = true};
    q5_precondition precondition = q5_conditional_evaluate(head, &validators);
    if (precondition == Q5_PRECONDITION_FAILED) {
        plan->status = 412;
        add_length(plan, 0);
        return;
    }
    add_validators(plan, file, &validators, cache_control);
    if (precondition == Q5_NOT_MODIFIED) {
        plan->status = 304;
        return;
    }
    q5_range range;
    q5_range_kind kind = asked_range(head, &validators, file->size, &range);
    if (kind == Q5_RANGE_UNSATISFIABLE) {
        /* Without the validators: what is cached must not look refreshed. */
        plan->header_count = 0;
        plan->status = 416;
        add_content_range(plan, NULL, file->size);
        add_length(plan, 0);
        return;
    }
    plan_content(plan, file, kind == Q5_RANGE_SINGLE ? &range : NULL);
    plan->send_body = head->method_id == Q5_METHOD_GET;
}

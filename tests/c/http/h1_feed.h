/* Gives one head to the parser in every way in which a network could cut it, with every scanner
 * that the machine has, and demands the same outcome of all. Every call gets a buffer of its own
 * and of the exact size, so that a sanitizer sees a read past it, and one of freed memory. */
#ifndef Q5_TESTS_H1_FEED_H
#define Q5_TESTS_H1_FEED_H

#include <stdlib.h>

#include "q5/h1.h"

#include "q5test.h"

static const char *const h1_scanners[] = {"scalar", "sse4.2", "avx2", "neon"};

typedef struct h1_result {
    int status;
    size_t at; /* length of the head, or offset of the fault */
    char dump[4096];
} h1_result;

static inline size_t h1_dump_slice(char *out, size_t room, const char *mark, q5_slice slice) {
    int len = snprintf(out, room, "%s%.*s", mark, (int)slice.len, slice.len ? slice.base : "");
    assert_in_range(len, 0, room - 1);
    return (size_t)len;
}

/* "GET 1.1 /path ?query @host len=5 keep n=2 [Name=value] [..]", with what is absent left out. */
static inline void h1_dump(const q5_head *head, char *out, size_t room) {
    size_t used = h1_dump_slice(out, room, "", head->method);
    used += (size_t)snprintf(out + used, room - used, " 1.%d", head->version_minor);
    used += h1_dump_slice(out + used, room - used, " ", head->path);
    if (head->query.base) used += h1_dump_slice(out + used, room - used, " ?", head->query);
    if (head->host.base) used += h1_dump_slice(out + used, room - used, " @", head->host);
    if (head->has_length)
        used += (size_t)snprintf(out + used, room - used, " len=%llu",
                                 (unsigned long long)head->content_length);
    used += (size_t)snprintf(out + used, room - used, "%s%s%s%s n=%d",
                             head->chunked ? " chunked" : "", head->keep_alive ? " keep" : " close",
                             head->expect_continue ? " expect" : "",
                             head->upgrade ? " upgrade" : "", head->field_count);
    for (size_t i = 0; i < head->field_count; i++) {
        used += h1_dump_slice(out + used, room - used, " [", head->fields[i].name);
        used += h1_dump_slice(out + used, room - used, "=", head->fields[i].value);
        used += (size_t)snprintf(out + used, room - used, "]");
        assert_in_range(used, 0, room - 1);
    }
}

static inline void h1_inside(q5_slice slice, const char *buf, size_t len) {
    if (slice.base == NULL) return;
    assert_in_range((uintptr_t)slice.base, (uintptr_t)buf, (uintptr_t)buf + len);
    assert_in_range((uintptr_t)slice.base + slice.len, (uintptr_t)buf, (uintptr_t)buf + len);
}

/* The first call sees `first` bytes, each further one `step` more. */
static inline h1_result h1_feed(const q5_h1_limits *limits, const char *text, size_t len,
                                size_t first, size_t step) {
    h1_result result = {.status = Q5_AGAIN};
    q5_head *head = malloc(sizeof(*head));
    memset(head, 0xa5, sizeof(*head));
    q5_h1_parser parser;
    q5_h1_init(&parser, limits, head);
    char *old = NULL;
    for (size_t have = first; result.status == Q5_AGAIN; have += step) {
        if (have > len) have = len;
        char *buf = malloc(have ? have : 1);
        memcpy(buf, text, have);
        free(old);
        old = buf;
        size_t head_len = SIZE_MAX;
        result.status = q5_h1_parse(&parser, buf, have, &head_len);
        if (result.status == Q5_OK) {
            result.at = head_len;
            h1_dump(head, result.dump, sizeof(result.dump));
            q5_slice all[] = {head->method, head->target, head->path, head->query, head->host};
            for (size_t i = 0; i < Q5_ARRAY_LEN(all); i++)
                h1_inside(all[i], buf, head_len);
            for (size_t i = 0; i < head->field_count; i++) {
                h1_inside(head->fields[i].name, buf, head_len);
                h1_inside(head->fields[i].value, buf, head_len);
            }
        } else if (result.status == Q5_AGAIN) {
            /* Nothing but a CR at the very end is left to be searched a second time. */
            assert_true(parser.scanned + 1 >= have || parser.line + 1 >= have);
            if (have == len) break;
        } else {
            result.at = parser.error;
            assert_true(parser.error <= have);
        }
    }
    if (result.status != Q5_AGAIN) {
        size_t unused;
        assert_status(q5_h1_parse(&parser, old, len, &unused), Q5_ESTATE);
    }
    free(old);
    free(head);
    return result;
}

static inline void h1_expect(const char *why, const char *way, h1_result got, h1_result want) {
    if (got.status == want.status && got.at == want.at && strcmp(got.dump, want.dump) == 0) return;
    fail_msg("%s (%s, %s): got %s at %zu \"%s\", want %s at %zu \"%s\"", why, way, q5_h1_scanner(),
             q5_status_name(got.status), got.at, got.dump, q5_status_name(want.status), want.at,
             want.dump);
}

/* Every way: whole, byte by byte, split in two at every position, and with bytes behind it. */
static inline void h1_check(const q5_h1_limits *limits, const char *why, const char *text,
                            size_t len, h1_result want) {
    /* What follows a head, or a fault, changes nothing; it lets the wide loads begin. */
    static const char behind[] = "POST /next HTTP/1.1\r\nHost: next.example\r\n\r\n\n\r ";
    char *longer = malloc(len + sizeof(behind));
    memcpy(longer, text, len);
    memcpy(longer + len, behind, sizeof(behind));
    for (size_t i = 0; i < Q5_ARRAY_LEN(h1_scanners); i++) {
        if (!q5_h1_use_scanner(h1_scanners[i])) continue;
        h1_expect(why, "whole", h1_feed(limits, text, len, len, 1), want);
        h1_expect(why, "bytes", h1_feed(limits, text, len, 0, 1), want);
        for (size_t at = 0; at < len; at++)
            h1_expect(why, "split", h1_feed(limits, text, len, at, len - at), want);
        if (want.status != Q5_AGAIN) {
            size_t more = len + sizeof(behind);
            h1_expect(why, "longer", h1_feed(limits, longer, more, more, 1), want);
        }
    }
    free(longer);
}

#endif

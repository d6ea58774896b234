/* A request head for tests, from lines such as "If-Match: x\nRange: bytes=0-0". */
#ifndef Q5_TEST_HEADTEST_H
#define Q5_TEST_HEADTEST_H

#include <string.h>

#include "q5/head.h"

/* *head points into lines. */
static inline void head_from_lines(q5_head *head, q5_method method, const char *lines) {
    static const char *const names[Q5_FIELD_COUNT] = {[Q5_FIELD_OTHER] = "",
#define XX(id, name) [Q5_FIELD_##id] = name,
                                                      Q5_FIELD_MAP(XX)
#undef XX
    };
    memset(head, 0, sizeof(*head));
    head->method_id = (uint8_t)method;
    for (size_t id = 0; id < Q5_FIELD_COUNT; id++)
        head->known[id] = -1;
    while (*lines) {
        const char *end = strchr(lines, '\n');
        if (!end) end = lines + strlen(lines);
        const char *colon = memchr(lines, ':', (size_t)(end - lines));
        const char *value = colon + 1;
        while (*value == ' ')
            value++;
        q5_field *field = &head->fields[head->field_count];
        *field = (q5_field){.name = q5_slice_make(lines, (size_t)(colon - lines)),
                            .value = q5_slice_make(value, (size_t)(end - value))};
        for (uint8_t id = 1; id < Q5_FIELD_COUNT; id++) {
            if (!q5_slice_ieq(field->name, q5_slice_make(names[id], strlen(names[id])))) continue;
            field->id = id;
            if (head->known[id] < 0) head->known[id] = (int16_t)head->field_count;
        }
        head->field_count++;
        lines = *end ? end + 1 : end;
    }
}

#endif

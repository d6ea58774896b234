#include "http/field.h"

#define SLOT Q5__FIELD_SLOT

const uint8_t q5__field_slots[Q5__FIELD_SLOTS] = {
    [SLOT(4, 't', 's')] = Q5_FIELD_HOST,
    [SLOT(10, 'n', 'o')] = Q5_FIELD_CONNECTION,
    [SLOT(14, 't', 't')] = Q5_FIELD_CONTENT_LENGTH,
    [SLOT(17, 'n', 'n')] = Q5_FIELD_TRANSFER_ENCODING,
    [SLOT(6, 'e', 'c')] = Q5_FIELD_EXPECT,
    [SLOT(7, 'r', 'd')] = Q5_FIELD_UPGRADE,
    [SLOT(12, 't', 'p')] = Q5_FIELD_CONTENT_TYPE,
    [SLOT(6, 'k', 'i')] = Q5_FIELD_COOKIE,
    [SLOT(6, 'e', 'p')] = Q5_FIELD_ACCEPT,
    [SLOT(15, 'e', 'n')] = Q5_FIELD_ACCEPT_ENCODING,
    [SLOT(13, 'h', 'o')] = Q5_FIELD_AUTHORIZATION,
    [SLOT(8, 'm', 'c')] = Q5_FIELD_IF_MATCH,
    [SLOT(13, 'n', 'c')] = Q5_FIELD_IF_NONE_MATCH,
    [SLOT(17, 'm', 'c')] = Q5_FIELD_IF_MODIFIED_SINCE,
    [SLOT(19, 'u', 'c')] = Q5_FIELD_IF_UNMODIFIED_SINCE,
    [SLOT(8, 'r', 'g')] = Q5_FIELD_IF_RANGE,
    [SLOT(5, 'g', 'g')] = Q5_FIELD_RANGE,
    [SLOT(6, 'g', 'i')] = Q5_FIELD_ORIGIN,
    [SLOT(10, 'r', 'n')] = Q5_FIELD_USER_AGENT,
    [SLOT(7, 'e', 'e')] = Q5_FIELD_REFERER,
};

const q5__field_name q5__field_names[Q5_FIELD_COUNT] = {
#define XX(id, name) [Q5_FIELD_##id] = {name, sizeof(name) - 1},
    Q5_FIELD_MAP(XX)
#undef XX
};

#define XX(id, name)                                           \
    _Static_assert(sizeof(name) - 1 >= Q5__FIELD_NAME_MIN &&   \
                       sizeof(name) - 1 <= Q5__FIELD_NAME_MAX, \
                   "q5__field_lookup compares at most three words");
Q5_FIELD_MAP(XX)
#undef XX

q5_field_id q5_field_find(q5_slice name) {
    q5_field_id id = q5__field_lookup(name);
    if (id == Q5_FIELD_OTHER) return id;
    /* The lookup folds any byte; a name from elsewhere need not be a token. */
    q5_slice known = {q5__field_names[id].base, q5__field_names[id].len};
    return q5_slice_ieq(name, known) ? id : Q5_FIELD_OTHER;
}

const q5_field *q5_head_find(const q5_head *head, q5_slice name, uint16_t from) {
    for (size_t i = from; i < head->field_count; i++)
        if (q5_slice_ieq(head->fields[i].name, name)) return &head->fields[i];
    return NULL;
}

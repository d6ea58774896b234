#include "q5/urlencoded.h"

void q5_urlencoded_init(q5_urlencoded *it, q5_slice text, size_t fields_max) {
    it->next = text.base;
    it->end = text.len ? text.base + text.len : text.base;
    it->fields_left = fields_max ? fields_max : Q5_URLENCODED_FIELDS_MAX;
}

int q5_urlencoded_next(q5_urlencoded *it, q5_slice *ret_name, q5_slice *ret_value) {
    while (it->next != it->end) {
        if (it->fields_left == 0) return Q5_ETOO_MANY;
        it->fields_left--;
        const char *base = it->next;
        size_t left = (size_t)(it->end - base);
        const char *amp = memchr(base, '&', left);
        size_t len = amp ? (size_t)(amp - base) : left;
        it->next = amp ? amp + 1 : it->end;
        if (len == 0) continue;
        const char *eq = memchr(base, '=', len);
        size_t name_len = eq ? (size_t)(eq - base) : len;
        *ret_name = q5_slice_make(base, name_len);
        *ret_value = eq ? q5_slice_make(eq + 1, len - name_len - 1) : q5_slice_make(base + len, 0);
        return Q5_OK;
    }
    return Q5_DONE;
}

int q5_urlencoded_next_decoded(q5_urlencoded *it, q5_arena *arena, q5_slice *ret_name,
                               q5_slice *ret_value) {
    const unsigned flags = Q5_PERCENT_PLUS | Q5_PERCENT_LENIENT;
    q5_slice name, value;
    int status = q5_urlencoded_next(it, &name, &value);
    if (status) return status;
    status = q5_percent_decode_arena(name, flags, arena, &name);
    if (status) return status;
    status = q5_percent_decode_arena(value, flags, arena, &value);
    if (status) return status;
    *ret_name = name;
    *ret_value = value;
    return Q5_OK;
}

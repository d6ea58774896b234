#include "http/params.h"

bool q5__is_tchar(char c) {
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')) return true;
    return c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL;
}

void q5__skip_ows(q5_slice text, size_t *pos) {
    while (*pos < text.len && (text.base[*pos] == ' ' || text.base[*pos] == '\t'))
        (*pos)++;
}

q5_slice q5__token(q5_slice text, size_t *pos) {
    size_t start = *pos;
    while (*pos < text.len && q5__is_tchar(text.base[*pos]))
        (*pos)++;
    return q5_slice_make(text.base + start, *pos - start);
}

/* *pos stands behind the opening quote. */
static int quoted_value(q5_slice text, size_t *pos, q5_slice *ret_value) {
    size_t start = *pos;
    for (size_t i = start; i < text.len; i++) {
        if (text.base[i] == '"') {
            *ret_value = q5_slice_make(text.base + start, i - start);
            *pos = i + 1;
            return Q5_OK;
        }
        if (text.base[i] == '\\') i++;
    }
    return Q5_EINVAL;
}

static q5_slice bare_value(q5_slice text, size_t *pos) {
    size_t start = *pos;
    while (*pos < text.len && !strchr(" \t;\"", text.base[*pos]))
        (*pos)++;
    return q5_slice_make(text.base + start, *pos - start);
}

int q5__param_next(q5_slice text, size_t *pos, q5__param *ret_param) {
    bool separated = false;
    for (;;) {
        q5__skip_ows(text, pos);
        if (*pos == text.len) return Q5_DONE;
        if (text.base[*pos] != ';') break;
        separated = true;
        (*pos)++;
    }
    if (!separated) return Q5_EINVAL;

    q5__param param = {.name = q5__token(text, pos)};
    if (param.name.len == 0 || *pos == text.len || text.base[*pos] != '=') return Q5_EINVAL;
    (*pos)++;
    param.quoted = *pos < text.len && text.base[*pos] == '"';
    if (param.quoted) {
        (*pos)++;
        int status = quoted_value(text, pos, &param.value);
        if (status) return status;
    } else {
        param.value = bare_value(text, pos);
    }
    *ret_param = param;
    return Q5_OK;
}

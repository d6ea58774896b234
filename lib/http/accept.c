#include "q5/accept.h"

#include "http/params.h"

#define WEIGHT_MAX 1000
#define UNNAMED UINT16_MAX

typedef struct weights {
    uint16_t coding[Q5_CODING_COUNT];
    uint16_t any; /* of "*" */
} weights;

const char *q5_coding_name(q5_coding coding) {
    static const char *const names[Q5_CODING_COUNT] = {"identity", "gzip", "br", "zstd"};
    return names[coding];
}

/* qvalue of RFC 9110, 12.4.2: "0" or "1", and up to three decimals. */
static bool read_weight(q5_slice text, uint16_t *ret_weight) {
    if (text.len == 0 || text.len > 5 || (text.base[0] != '0' && text.base[0] != '1')) return false;
    if (text.len > 1 && text.base[1] != '.') return false;
    unsigned weight = text.base[0] == '1' ? WEIGHT_MAX : 0;
    unsigned unit = 100;
    for (size_t i = 2; i < text.len; i++, unit /= 10) {
        if (text.base[i] < '0' || text.base[i] > '9') return false;
        weight += (unsigned)(text.base[i] - '0') * unit;
    }
    if (weight > WEIGHT_MAX) return false;
    *ret_weight = (uint16_t)weight;
    return true;
}

static uint16_t *slot_of(weights *w, q5_slice name) {
    if (q5_slice_eq(name, Q5_LIT("*"))) return &w->any;
    if (q5_slice_ieq(name, Q5_LIT("x-gzip"))) return &w->coding[Q5_CODING_GZIP]; /* 8.4.1.3 */
    for (int i = 0; i < Q5_CODING_COUNT; i++) {
        const char *known = q5_coding_name((q5_coding)i);
        if (q5_slice_ieq(name, q5_slice_make(known, strlen(known)))) return &w->coding[i];
    }
    return NULL;
}

/* One member of the list; the last word about a coding counts. */
static void read_member(weights *w, q5_slice member) {
    size_t pos = 0;
    q5__skip_ows(member, &pos);
    uint16_t *slot = slot_of(w, q5__token(member, &pos));
    uint16_t weight = WEIGHT_MAX;
    q5__param param;
    int status;
    while ((status = q5__param_next(member, &pos, &param)) == Q5_OK)
        if (q5_slice_ieq(param.name, Q5_LIT("q")) && !read_weight(param.value, &weight)) return;
    if (status == Q5_DONE && slot) *slot = weight;
}

static void read_list(weights *w, q5_slice value) {
    for (size_t pos = 0; pos < value.len;) {
        const char *base = value.base + pos;
        const char *comma = memchr(base, ',', value.len - pos);
        size_t len = comma ? (size_t)(comma - base) : value.len - pos;
        read_member(w, q5_slice_make(base, len));
        pos += len + 1;
    }
}

static weights no_weights(void) {
    weights w = {.any = UNNAMED};
    for (int i = 0; i < Q5_CODING_COUNT; i++)
        w.coding[i] = UNNAMED;
    return w;
}

static void conclude(const weights *w, q5_accept_encoding *ret_accept) {
    for (int i = 0; i < Q5_CODING_COUNT; i++) {
        uint16_t weight = w->coding[i];
        if (weight == UNNAMED && i == Q5_CODING_IDENTITY)
            weight = w->any == 0 ? 0 : 1;
        else if (weight == UNNAMED)
            weight = w->any == UNNAMED ? 0 : w->any;
        ret_accept->weight[i] = weight;
    }
}

void q5_accept_encoding_parse(q5_slice value, q5_accept_encoding *ret_accept) {
    weights w = no_weights();
    read_list(&w, value);
    conclude(&w, ret_accept);
}

void q5_accept_encoding_read(const q5_head *head, q5_accept_encoding *ret_accept) {
    weights w = no_weights();
    int first = head->known[Q5_FIELD_ACCEPT_ENCODING];
    for (int i = first; i >= 0 && i < head->field_count; i++)
        if (head->fields[i].id == Q5_FIELD_ACCEPT_ENCODING) read_list(&w, head->fields[i].value);
    conclude(&w, ret_accept);
}

size_t q5_accept_encoding_order(const q5_accept_encoding *accept, const q5_coding *offered,
                                size_t count, q5_coding ret_order[Q5_CODING_COUNT]) {
    size_t n = 0;
    for (size_t i = 0; i < count && n < Q5_CODING_COUNT; i++) {
        uint16_t weight = accept->weight[offered[i]];
        if (weight == 0) continue;
        size_t at = n++;
        for (; at && accept->weight[ret_order[at - 1]] < weight; at--)
            ret_order[at] = ret_order[at - 1];
        ret_order[at] = offered[i];
    }
    return n;
}

#include "q5/range.h"

#include <inttypes.h>
#include <stdio.h>

#include "http/params.h"

/* Digits from *pos on, no more than fits (larger numbers stay at the largest). */
static bool number(q5_slice text, size_t *pos, uint64_t *ret_value) {
    size_t start = *pos;
    uint64_t value = 0;
    for (; *pos < text.len && text.base[*pos] >= '0' && text.base[*pos] <= '9'; (*pos)++) {
        unsigned digit = (unsigned)(text.base[*pos] - '0');
        value = value > (UINT64_MAX - digit) / 10 ? UINT64_MAX : value * 10 + digit;
    }
    *ret_value = value;
    return *pos > start;
}

/* One range-spec at *pos. ret_range->len is 0 where it cannot be satisfied; false: malformed. */
static bool range_spec(q5_slice text, size_t *pos, uint64_t size, q5_range *ret_range) {
    uint64_t first, last;
    bool has_first = number(text, pos, &first);
    if (*pos == text.len || text.base[*pos] != '-') return false;
    (*pos)++;
    bool has_last = number(text, pos, &last);
    *ret_range = (q5_range){0, 0};
    if (!has_first) { /* suffix-range */
        if (!has_last) return false;
        if (last > size) last = size;
        *ret_range = (q5_range){size - last, last};
        return true;
    }
    if (has_last && last < first) return false;
    if (first >= size) return true;
    if (!has_last || last >= size) last = size - 1;
    *ret_range = (q5_range){first, last - first + 1};
    return true;
}

static bool touches(const q5_range *a, const q5_range *b) {
    return a->offset <= b->offset + b->len && b->offset <= a->offset + a->len;
}

/* Adds r to disjoint ranges; what it touches is melted into it. At most Q5_RANGES_MAX^2 steps in
 * all, since each round takes a range away. */
static size_t add_range(q5_range *ranges, size_t count, q5_range r) {
    size_t place = count;
    for (size_t i = 0; i < count;) {
        if (!touches(&ranges[i], &r)) {
            i++;
            continue;
        }
        uint64_t end = ranges[i].offset + ranges[i].len;
        if (end < r.offset + r.len) end = r.offset + r.len;
        if (r.offset > ranges[i].offset) r.offset = ranges[i].offset;
        r.len = end - r.offset;
        if (i < place) place = i;
        count--;
        memmove(&ranges[i], &ranges[i + 1], (count - i) * sizeof(*ranges));
        i = 0; /* the grown range may touch what the smaller one did not */
    }
    memmove(&ranges[place + 1], &ranges[place], (count - place) * sizeof(*ranges));
    ranges[place] = r;
    return count + 1;
}

q5_range_kind q5_range_parse(q5_slice value, uint64_t size, q5_range ret_ranges[Q5_RANGES_MAX],
                             size_t *ret_count) {
    *ret_count = 0;
    size_t pos = 0;
    /* Unit names are case-insensitive (RFC 9110, 14.1). */
    if (!q5_slice_ieq(q5__token(value, &pos), Q5_LIT("bytes"))) return Q5_RANGE_NONE;
    if (pos == value.len || value.base[pos] != '=') return Q5_RANGE_NONE;
    pos++;

    size_t specs = 0, count = 0;
    bool empty = false; /* a suffix of an empty representation was asked for */
    for (;;) {
        q5__skip_ows(value, &pos);
        if (pos < value.len && value.base[pos] != ',') {
            q5_range r;
            bool suffix = value.base[pos] == '-';
            if (++specs > Q5_RANGES_MAX || !range_spec(value, &pos, size, &r)) return Q5_RANGE_NONE;
            if (r.len) count = add_range(ret_ranges, count, r);
            empty = empty || (suffix && size == 0);
            q5__skip_ows(value, &pos);
        }
        if (pos == value.len) break;
        if (value.base[pos] != ',') return Q5_RANGE_NONE;
        pos++;
    }
    if (specs == 0 || (count == 0 && empty)) return Q5_RANGE_NONE;
    *ret_count = count;
    if (count == 0) return Q5_RANGE_UNSATISFIABLE;
    return count == 1 ? Q5_RANGE_SINGLE : Q5_RANGE_MULTIPLE;
}

size_t q5_content_range(char out[Q5_CONTENT_RANGE_MAX], const q5_range *range, uint64_t size) {
    int len;
    if (range)
        len = snprintf(out, Q5_CONTENT_RANGE_MAX, "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64,
                       range->offset, range->offset + range->len - 1, size);
    else
        len = snprintf(out, Q5_CONTENT_RANGE_MAX, "bytes */%" PRIu64, size);
    return (size_t)len;
}

#include "q5/children.h"

#include "sql/span_map.h"

#define ROWS_MAX 1000000
#define BYTES_MAX ((size_t)256 << 20)

struct q5_children {
    const q5_alloc *alloc;
    q5_children_config config;
    q5__span_map map;
    q5_buf json; /* rows; those of one key that came together have commas between them */
    size_t rows;
};

q5_children *q5_children_create(const q5_children_config *config, const q5_alloc *alloc) {
    if (config->key_columns < 1 || config->key_columns > Q5_CHILDREN_KEY_MAX) return NULL;
    if (config->rows_max > Q5__SPANS_MAX) return NULL;
    if (!alloc) alloc = q5_alloc_default();
    q5_children *children = q5_calloc(alloc, sizeof(*children));
    if (!children) return NULL;
    children->alloc = alloc;
    children->config = *config;
    if (!config->rows_max) children->config.rows_max = ROWS_MAX;
    if (!config->bytes_max) children->config.bytes_max = BYTES_MAX;
    q5__span_map_init(&children->map, alloc, config->seed);
    q5_buf_init(&children->json, alloc);
    return children;
}

void q5_children_destroy(q5_children *children) {
    if (!children) return;
    q5__span_map_deinit(&children->map);
    q5_buf_deinit(&children->json);
    q5_free(children->alloc, children);
}

/* The last span of the group ends where the next row would begin: it may grow. */
static q5__span *open_span(const q5_children *children, const q5__span_group *group) {
    if (group->last == Q5__NO_SPAN) return NULL;
    q5__span *span = q5__span_at(&children->map, group->last);
    return span->from + span->len == children->json.len ? span : NULL;
}

static int add_row(q5_children *children, q5__span_group *group, const q5_cell *cells,
                   const q5_children *const *grandchildren) {
    q5_buf *json = &children->json;
    q5__span *span = open_span(children, group);
    size_t from = json->len;
    int status = span ? q5_buf_append(json, ",", 1) : Q5_OK;
    if (!status) status = q5_row_encode(children->config.plan, cells, grandchildren, json);
    if (!status && json->len > children->config.bytes_max) status = Q5_ETOO_MANY;
    if (status) return status;
    size_t len = json->len - from;
    if (!span) return q5__span_map_add(&children->map, group, from, len);
    span->len += len;
    group->bytes += len;
    return Q5_OK;
}

int q5_children_add(q5_children *children, const q5_cell *cells,
                    const q5_children *const *grandchildren) {
    const q5_children_config *config = &children->config;
    q5__row_key key;
    if (!q5__row_key_make(config->source, cells, config->key_columns, &key)) return Q5_OK;
    if (children->rows == config->rows_max) return Q5_ETOO_MANY;
    q5__span_group *group = q5__span_map_take(&children->map, &key);
    if (!group) return Q5_ENOMEM;
    size_t before = children->json.len;
    int status = add_row(children, group, cells, grandchildren);
    if (status)
        children->json.len = before;
    else
        children->rows++;
    return status;
}

int q5_children_read(q5_children *children, const q5_row_source *source,
                     const q5_children *const *grandchildren) {
    q5_cell cells[Q5_ROW_COLUMNS_MAX];
    uint32_t columns = q5_row_plan_columns(children->config.plan);
    if (columns < children->config.key_columns) columns = children->config.key_columns;
    for (;;) {
        int status = source->next(source->ctx, cells, columns);
        if (status == Q5_DONE) return Q5_OK;
        if (!status) status = q5_children_add(children, cells, grandchildren);
        if (status) return status;
    }
}

int q5_children_append(const q5_children *children, const q5_cell *key_cells, q5_buf *out) {
    q5__row_key key;
    const q5_children_config *config = &children->config;
    const q5__span_group *group = NULL;
    if (q5__row_key_make(config->source, key_cells, config->key_columns, &key))
        group = q5__span_map_find(&children->map, &key);
    if (!group || group->count == 0) return q5_buf_append(out, "[]", 2);
    int status = q5_buf_reserve(out, group->bytes + group->count + 2);
    if (status) return status;
    char *at = out->base + out->len;
    for (uint32_t i = group->first; i != Q5__NO_SPAN;) {
        const q5__span *span = q5__span_at(&children->map, i);
        *at++ = i == group->first ? '[' : ',';
        memcpy(at, children->json.base + span->from, span->len);
        at += span->len;
        i = span->next;
    }
    *at++ = ']';
    out->len = (size_t)(at - out->base);
    return Q5_OK;
}

size_t q5_children_count(const q5_children *children) {
    return children->rows;
}

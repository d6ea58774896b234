#include "sql/row_internal.h"

#include "q5/json_text.h"

#define STEPS_MIN 16

q5_row_plan *q5_row_plan_create(const q5_alloc *alloc) {
    if (!alloc) alloc = q5_alloc_default();
    q5_row_plan *plan = q5_calloc(alloc, sizeof(*plan));
    if (plan) plan->alloc = alloc;
    return plan;
}

void q5_row_plan_destroy(q5_row_plan *plan) {
    if (!plan) return;
    for (size_t i = 0; i < plan->count; i++)
        if (plan->steps[i].kind != Q5_ROW_CLOSE)
            q5_free(plan->alloc, (char *)plan->steps[i].before.base);
    q5_free(plan->alloc, plan->steps);
    q5_free(plan->alloc, plan);
}

static int grow(q5_row_plan *plan) {
    if (plan->count < plan->cap) return Q5_OK;
    size_t cap = plan->cap ? 2 * plan->cap : STEPS_MIN;
    q5_row_step *steps = q5_realloc(plan->alloc, plan->steps, cap * sizeof(*steps));
    if (!steps) return Q5_ENOMEM;
    plan->steps = steps;
    plan->cap = cap;
    return Q5_OK;
}

/* What stands before the next value: a comma but for the first, and in an object the name. */
static int write_before(const q5_row_plan *plan, q5_slice name, q5_buf *buf, size_t *ret_before) {
    int status = Q5_OK;
    if (plan->depth) {
        const q5__row_level *level = &plan->levels[plan->depth - 1];
        if (level->values) status = q5_buf_append(buf, ",", 1);
        if (!status && level->bracket == '{') {
            status = q5_json_text(buf, name.base, name.len);
            if (!status) status = q5_buf_append(buf, ":", 1);
        }
    }
    *ret_before = buf->len;
    return status ? status : q5_buf_append(buf, name.base, name.len);
}

/* A step for one more value, with what stands before it: one block of memory, which also has the
 * plain name. */
static int add_value(q5_row_plan *plan, q5_slice name, q5_row_step **ret) {
    if (plan->finished || (plan->depth == 0 && plan->count)) return Q5_ESTATE;
    q5_buf buf;
    q5_buf_init(&buf, plan->alloc);
    size_t before = 0;
    int status = grow(plan);
    if (!status) status = write_before(plan, name, &buf, &before);
    if (!status) status = q5_buf_reserve(&buf, Q5__BEFORE_BLOCK);
    if (status) {
        q5_buf_deinit(&buf);
        return status == Q5_EENCODING ? Q5_EINVAL : status;
    }
    if (plan->depth) plan->levels[plan->depth - 1].values++;
    *ret = &plan->steps[plan->count++];
    **ret = (q5_row_step){.before = {buf.base, before}, .name = {buf.base + before, name.len}};
    return Q5_OK;
}

static bool take_columns(q5_row_plan *plan, uint32_t column, uint32_t count) {
    if (column >= Q5_ROW_COLUMNS_MAX || count > Q5_ROW_COLUMNS_MAX - column) return false;
    if (column + count > plan->columns) plan->columns = column + count;
    return true;
}

int q5_row_plan_cell(q5_row_plan *plan, q5_slice name, uint32_t column, const q5_type *type) {
    q5_encoder encoder;
    q5_row_step *step;
    int status = q5_encoder_choose(type, &encoder);
    if (!status && !take_columns(plan, column, 1)) status = Q5_EINVAL;
    if (!status) status = add_value(plan, name, &step);
    if (status) return status;
    step->kind = Q5_ROW_CELL;
    step->column = column;
    step->encoder = encoder;
    return Q5_OK;
}

int q5_row_plan_open(q5_row_plan *plan, q5_slice name, char bracket, uint32_t null_column) {
    q5_row_step *step;
    if (bracket != '{' && bracket != '[') return Q5_EINVAL;
    if (plan->depth == Q5_ROW_DEPTH_MAX) return Q5_ETOO_MANY;
    if (null_column != Q5_ROW_NO_COLUMN && !take_columns(plan, null_column, 1)) return Q5_EINVAL;
    int status = add_value(plan, name, &step);
    if (status) return status;
    step->kind = Q5_ROW_OPEN;
    step->bracket = bracket;
    step->column = null_column;
    plan->levels[plan->depth++] =
        (q5__row_level){.step = (uint32_t)plan->count - 1, .bracket = bracket};
    return Q5_OK;
}

int q5_row_plan_close(q5_row_plan *plan) {
    if (plan->finished || plan->depth == 0) return Q5_ESTATE;
    int status = grow(plan);
    if (status) return status;
    const q5__row_level *level = &plan->levels[--plan->depth];
    plan->steps[plan->count++] = (q5_row_step){.kind = Q5_ROW_CLOSE,
                                               .bracket = level->bracket == '{' ? '}' : ']',
                                               .before = Q5_LIT(""),
                                               .name = Q5_LIT("")};
    plan->steps[level->step].next = (uint32_t)plan->count;
    return Q5_OK;
}

int q5_row_plan_many(q5_row_plan *plan, q5_slice name, uint32_t slot, uint32_t column,
                     uint32_t columns) {
    q5_row_step *step;
    if (columns < 1 || slot >= Q5_ROW_COLUMNS_MAX || !take_columns(plan, column, columns))
        return Q5_EINVAL;
    int status = add_value(plan, name, &step);
    if (status) return status;
    step->kind = Q5_ROW_MANY;
    step->slot = slot;
    step->column = column;
    step->columns = columns;
    if (slot >= plan->slots) plan->slots = slot + 1;
    return Q5_OK;
}

int q5_row_plan_finish(q5_row_plan *plan) {
    if (plan->finished || plan->depth || !plan->count) return Q5_ESTATE;
    plan->finished = true;
    return Q5_OK;
}

const q5_row_step *q5_row_plan_steps(const q5_row_plan *plan, size_t *ret_count) {
    *ret_count = plan->count;
    return plan->steps;
}

uint32_t q5_row_plan_columns(const q5_row_plan *plan) {
    return plan->columns;
}

uint32_t q5_row_plan_slots(const q5_row_plan *plan) {
    return plan->slots;
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Activations: checks of their arguments, and the split of the work into blocks. The formulas stand in
 * kernels/activation.h. A value never depends on the block that it is computed in, and sums over blocks are split by
 * the shape alone, so results do not depend on the number of threads.
 */
#include <string.h>

#include "internal.h"

enum {
    SERIAL = 1 << 16, /* elements up to which waking threads costs more than it gains */
    BLOCK = 1 << 14   /* elements of a work item, about */
};

/* ---- Checks ------------------------------------------------------------------------------------------------------------ */

static const char *const parameter_name[CHANCONV_ACTIVATION_COUNT][2] = {
    [CHANCONV_LEAKY_RELU] = {"negative_slope"},
    [CHANCONV_ELU] = {"alpha"},
    [CHANCONV_CELU] = {"alpha"},
    [CHANCONV_HARD_TANH] = {"low", "high"},
    [CHANCONV_SOFTPLUS] = {"beta", "threshold"},
    [CHANCONV_SOFTSHRINK] = {"threshold"},
    [CHANCONV_HARDSHRINK] = {"threshold"},
    [CHANCONV_THRESHOLD] = {"threshold", "value"},
};

static chanconv_status check_parameters(const chanconv_activation *activation, chanconv_error *error)
{
    const chanconv_status bad = CHANCONV_BAD_ACTIVATION;
    const double *p = activation->p;
    switch (activation->kind) {
    case CHANCONV_CELU:
        return p[0] != 0 ? CHANCONV_OK : fail(error, bad, "alpha", "expected a number other than 0");
    case CHANCONV_SOFTPLUS:
        return p[0] != 0 ? CHANCONV_OK : fail(error, bad, "beta", "expected a number other than 0");
    case CHANCONV_HARD_TANH:
        return p[0] <= p[1] ? CHANCONV_OK
                            : fail(error, bad, "low", "expected at most high, %g, got %g", p[1], p[0]);
    case CHANCONV_SOFTSHRINK:
        return p[0] >= 0 ? CHANCONV_OK : fail(error, bad, "threshold", "expected at least 0, got %g", p[0]);
    default:
        return CHANCONV_OK;
    }
}

chanconv_status check_activation(const chanconv_activation *activation, chanconv_error *error)
{
    if (!activation) {
        return fail(error, CHANCONV_BAD_STRUCT, "activation", "expected an address, got NULL");
    }
    if (activation->kind < 0 || activation->kind >= CHANCONV_ACTIVATION_COUNT) {
        return fail(error, CHANCONV_BAD_ACTIVATION, "activation", "expected a kind in 0 .. %d, got %d",
                    CHANCONV_ACTIVATION_COUNT - 1, (int)activation->kind);
    }
    for (int i = 0; i < 2; i++) {
        const char *name = parameter_name[activation->kind][i];
        if (name && activation->p[i] != activation->p[i]) {
            return fail(error, CHANCONV_BAD_ACTIVATION, name, "expected a number, got NaN");
        }
    }
    return check_parameters(activation, error);
}

static chanconv_status check_dtype(chanconv_dtype dtype, chanconv_error *error)
{
    return dtype == CHANCONV_F32 || dtype == CHANCONV_F64
               ? CHANCONV_OK
               : fail(error, CHANCONV_BAD_DTYPE, "dtype", "expected 0 (f32) or 1 (f64), got %d", (int)dtype);
}

/* Sizes whose product, the number of elements of x, goes to *count. */
static chanconv_status check_sizes(int64_t a, int64_t b, int64_t c, int64_t *count, chanconv_error *error)
{
    *count = 0; /* an array with a size of 0 is empty, however large the others: their product may overflow */
    if (a < 0 || b < 0 || c < 0 || (a && b && c && (!mul(a, b, count) || !mul(*count, c, count)))) {
        return fail(error, CHANCONV_BAD_X, "x", "expected sizes of an array, got %lld, %lld, %lld", (long long)a,
                    (long long)b, (long long)c);
    }
    return CHANCONV_OK;
}

struct pointer {
    const char *name;
    const void *address;
    bool needed;
};

static chanconv_status check_pointers(const struct pointer *pointers, int count, chanconv_error *error)
{
    for (int i = 0; i < count; i++) {
        if (pointers[i].needed && !pointers[i].address) {
            return fail(error, CHANCONV_BAD_STRUCT, pointers[i].name, "expected an address, got NULL");
        }
    }
    return CHANCONV_OK;
}

static void run(chanconv_context *context, int64_t items, int64_t elements, chanconv_task task, void *job)
{
    parallel(context, elements <= SERIAL ? 1 : context_threads(context), items, task, job);
}

/* ---- Elementwise ------------------------------------------------------------------------------------------------------- */

struct elementwise {
    const struct kernels *kernels;
    const chanconv_activation *activation;
    int64_t count, block;
    const void *grad_y; /* of the backward pass */
    const void *x;
    void *out;
};

static void forward_block(void *data, int64_t index)
{
    const struct elementwise *job = data;
    const struct kernels *k = job->kernels;
    const int64_t first = index * job->block, count = min64(job->block, job->count - first);
    k->activation[job->activation->kind](count, job->activation->p, at(job->x, first, k->item),
                                         at(job->out, first, k->item));
}

static void backward_block(void *data, int64_t index)
{
    const struct elementwise *job = data;
    const struct kernels *k = job->kernels;
    const int64_t first = index * job->block, count = min64(job->block, job->count - first);
    k->activation_backward[job->activation->kind](count, job->activation->p, at(job->grad_y, first, k->item),
                                                  at(job->x, first, k->item), at(job->out, first, k->item));
}

static void run_elementwise(chanconv_context *context, struct elementwise *job, chanconv_task task)
{
    job->block = job->count <= SERIAL ? job->count : BLOCK;
    run(context, job->count ? ceil_div(job->count, job->block) : 0, job->count, task, job);
}

static chanconv_status check_elementwise(chanconv_dtype dtype, const chanconv_activation *activation, int64_t count,
                                         chanconv_error *error)
{
    chanconv_status status = check_dtype(dtype, error);
    status = status ? status : check_activation(activation, error);
    return status ? status : check_sizes(count, 1, 1, &count, error);
}

chanconv_status chanconv_activation_forward(chanconv_context *context, chanconv_dtype dtype,
                                            const chanconv_activation *activation, int64_t count, const void *x,
                                            void *y, chanconv_error *error)
{
    chanconv_status status = check_elementwise(dtype, activation, count, error);
    const struct pointer pointers[] = {{"x", x, count > 0}, {"y", y, count > 0}};
    status = status ? status : check_pointers(pointers, 2, error);
    if (status) {
        return status;
    }
    struct elementwise job = {kernels_for(dtype), activation, count, 0, NULL, x, y};
    run_elementwise(context, &job, forward_block);
    return CHANCONV_OK;
}

chanconv_status chanconv_activation_backward(chanconv_context *context, chanconv_dtype dtype,
                                             const chanconv_activation *activation, int64_t count,
                                             const void *grad_y, const void *x, void *grad_x, chanconv_error *error)
{
    chanconv_status status = check_elementwise(dtype, activation, count, error);
    const struct pointer pointers[] = {{"grad_y", grad_y, count > 0}, {"x", x, count > 0}, {"grad_x", grad_x, count > 0}};
    status = status ? status : check_pointers(pointers, 3, error);
    if (status) {
        return status;
    }
    struct elementwise job = {kernels_for(dtype), activation, count, 0, grad_y, x, grad_x};
    run_elementwise(context, &job, backward_block);
    return CHANCONV_OK;
}

/* ---- prelu ------------------------------------------------------------------------------------------------------------- */

struct prelu {
    const struct kernels *kernels;
    int64_t pixels, channels, slopes;
    int64_t rows;    /* pixels of a work item */
    int64_t subrows; /* ... of a call of the kernel */
    const void *grad_y, *x, *slope;
    void *out;       /* y or grad_x; NULL: not wanted */
    char *sums;      /* `slopes` sums of grad_slope for every work item; NULL: not wanted */
};

/* At most so many partial sums are held; more would not be more exact. */
enum { PARTIAL_SUMS = 64 };

static int64_t rows_of_block(int64_t channels) { return max64(BLOCK / max64(channels, 1), 1); }

static chanconv_status check_prelu(chanconv_dtype dtype, int64_t pixels, int64_t channels, int64_t slopes,
                                   int64_t *count, chanconv_error *error)
{
    chanconv_status status = check_dtype(dtype, error);
    status = status ? status : check_sizes(pixels, channels, 1, count, error);
    if (!status && slopes != 1 && slopes != channels) {
        status = fail(error, CHANCONV_BAD_ACTIVATION, "slope", "expected 1 value or %lld (one per channel), got %lld",
                      (long long)channels, (long long)slopes);
    }
    return status;
}

static void prelu_block(void *data, int64_t index)
{
    const struct prelu *job = data;
    const struct kernels *k = job->kernels;
    const int64_t first = index * job->rows, offset = first * job->channels;
    k->prelu(min64(job->rows, job->pixels - first), job->channels, job->slopes == 1, at(job->x, offset, k->item),
             job->slope, at(job->out, offset, k->item));
}

chanconv_status chanconv_prelu_forward(chanconv_context *context, chanconv_dtype dtype, int64_t pixels,
                                       int64_t channels, int64_t slopes, const void *x, const void *slope, void *y,
                                       chanconv_error *error)
{
    int64_t count;
    chanconv_status status = check_prelu(dtype, pixels, channels, slopes, &count, error);
    if (status) {
        return status;
    }
    const struct pointer pointers[] = {{"x", x, count > 0}, {"slope", slope, count > 0}, {"y", y, count > 0}};
    status = check_pointers(pointers, 3, error);
    if (status || count == 0) {
        return status;
    }
    struct prelu job = {.kernels = kernels_for(dtype), .pixels = pixels, .channels = channels, .slopes = slopes,
                        .rows = rows_of_block(channels), .x = x, .slope = slope, .out = y};
    run(context, ceil_div(pixels, job.rows), count, prelu_block, &job);
    return CHANCONV_OK;
}

/* A work item of the backward pass, in runs of the kernel that are short enough for exact sums. */
static void prelu_backward_block(void *data, int64_t index)
{
    const struct prelu *job = data;
    const struct kernels *k = job->kernels;
    const int64_t last = min64((index + 1) * job->rows, job->pixels);
    for (int64_t first = index * job->rows; first < last; first += job->subrows) {
        const int64_t offset = first * job->channels;
        k->prelu_backward(min64(job->subrows, last - first), job->channels, job->slopes == 1,
                          at(job->grad_y, offset, k->item), at(job->x, offset, k->item), job->slope,
                          job->out ? at(job->out, offset, k->item) : NULL,
                          job->sums ? at(job->sums, index * job->slopes, k->item) : NULL);
    }
}

/* Adds up the rows of sums[items][slopes] in pairs, pairs of pairs, ... into the first. */
static void add_pairwise(const struct kernels *k, int64_t items, int64_t slopes, char *sums)
{
    for (int64_t step = 1; step < items; step *= 2) {
        for (int64_t i = 0; i + step < items; i += 2 * step) {
            k->add(slopes, at(sums, (i + step) * slopes, k->item), at(sums, i * slopes, k->item));
        }
    }
}

static chanconv_status run_prelu_backward(chanconv_context *context, struct prelu *job, void *grad_slope,
                                          chanconv_error *error)
{
    const int64_t items = ceil_div(job->pixels, job->rows);
    const size_t row_bytes = (size_t)job->slopes * job->kernels->item, bytes = (size_t)items * row_bytes;
    if (grad_slope) {
        job->sums = take_scratch(context, bytes);
        if (!job->sums) {
            return fail(error, CHANCONV_NO_MEMORY, "memory", "there is not enough for the workspace of this call");
        }
        memset(job->sums, 0, bytes);
    }
    run(context, items, job->pixels * job->channels, prelu_backward_block, job);
    if (grad_slope) {
        add_pairwise(job->kernels, items, job->slopes, job->sums);
        memcpy(grad_slope, job->sums, row_bytes);
        release_scratch(context, job->sums, bytes);
    }
    return CHANCONV_OK;
}

chanconv_status chanconv_prelu_backward(chanconv_context *context, chanconv_dtype dtype, int64_t pixels,
                                        int64_t channels, int64_t slopes, const void *grad_y, const void *x,
                                        const void *slope, void *grad_x, void *grad_slope, chanconv_error *error)
{
    int64_t count;
    chanconv_status status = check_prelu(dtype, pixels, channels, slopes, &count, error);
    if (status) {
        return status;
    }
    const struct pointer pointers[] = {{"grad_y", grad_y, count > 0}, {"x", x, count > 0}, {"slope", slope, count > 0}};
    status = check_pointers(pointers, 3, error);
    if (status) {
        return status;
    }
    const struct kernels *kernels = kernels_for(dtype);
    if (count == 0) {
        if (grad_slope) {
            memset(grad_slope, 0, (size_t)slopes * kernels->item);
        }
        return CHANCONV_OK;
    }
    struct prelu job = {.kernels = kernels, .pixels = pixels, .channels = channels, .slopes = slopes,
                        .subrows = rows_of_block(channels), .grad_y = grad_y, .x = x, .slope = slope, .out = grad_x};
    job.rows = max64(job.subrows, ceil_div(pixels, PARTIAL_SUMS));
    return run_prelu_backward(context, &job, grad_slope, error);
}

/* ---- Along an axis ------------------------------------------------------------------------------------------------------ */

/* The work is cut into units, `lanes` neighbouring lanes of one block [length][inner]; a work item is some of them. */
struct axis {
    const struct kernels *kernels;
    chanconv_axis_activation kind;
    int64_t length, inner;
    int64_t x_block, y_block; /* elements of a block of x and of y */
    int64_t lanes, lane_units, units, units_of_item;
    const void *grad_y;       /* of the backward pass */
    const void *x;
    void *out;
};

static void axis_unit(const struct axis *job, int64_t unit)
{
    const struct kernels *k = job->kernels;
    const int64_t block = unit / job->lane_units, lane = unit % job->lane_units * job->lanes;
    const int64_t lanes = min64(job->lanes, job->inner - lane);
    const void *x = at(job->x, block * job->x_block + lane, k->item);
    if (job->grad_y) {
        k->axis_backward[job->kind](job->length, job->inner, lanes,
                                    at(job->grad_y, block * job->y_block + lane, k->item), x,
                                    at(job->out, block * job->x_block + lane, k->item));
    } else {
        k->axis[job->kind](job->length, job->inner, lanes, x, at(job->out, block * job->y_block + lane, k->item));
    }
}

static void axis_item(void *data, int64_t index)
{
    const struct axis *job = data;
    const int64_t last = min64((index + 1) * job->units_of_item, job->units);
    for (int64_t unit = index * job->units_of_item; unit < last; unit++) {
        axis_unit(job, unit);
    }
}

/* Lanes of a unit: enough for some vectors, and few enough for the cache. */
static int64_t lanes_of_unit(int64_t length, int64_t inner)
{
    enum { LANES_MIN = 128 };
    return min64(inner, max64(BLOCK / length / LANES_MIN, 1) * LANES_MIN);
}

static chanconv_status check_axis(chanconv_dtype dtype, chanconv_axis_activation kind, int64_t outer, int64_t length,
                                  int64_t inner, int64_t *count, chanconv_error *error)
{
    chanconv_status status = check_dtype(dtype, error);
    if (!status && ((int)kind < CHANCONV_SOFTMAX || kind > CHANCONV_GLU)) {
        status = fail(error, CHANCONV_BAD_ACTIVATION, "kind", "expected 0 .. %d, got %d", CHANCONV_GLU, (int)kind);
    }
    status = status ? status : check_sizes(outer, length, inner, count, error);
    if (!status && kind == CHANCONV_GLU && length % 2) {
        status = fail(error, CHANCONV_BAD_X, "x", "expected an even size along the axis, got %lld", (long long)length);
    }
    return status;
}

static void run_axis(chanconv_context *context, struct axis *job, int64_t outer)
{
    const int64_t unit = (job->lanes = lanes_of_unit(job->length, job->inner)) * job->length;
    job->x_block = job->length * job->inner;
    job->y_block = job->kind == CHANCONV_GLU ? job->x_block / 2 : job->x_block;
    job->lane_units = ceil_div(job->inner, job->lanes);
    job->units = outer * job->lane_units;
    job->units_of_item = max64(BLOCK / unit, 1);
    run(context, ceil_div(job->units, job->units_of_item), outer * job->x_block, axis_item, job);
}

chanconv_status chanconv_axis_forward(chanconv_context *context, chanconv_dtype dtype, chanconv_axis_activation kind,
                                      int64_t outer, int64_t length, int64_t inner, const void *x, void *y,
                                      chanconv_error *error)
{
    int64_t count;
    chanconv_status status = check_axis(dtype, kind, outer, length, inner, &count, error);
    if (status) {
        return status;
    }
    const struct pointer pointers[] = {{"x", x, count > 0}, {"y", y, count > 0}};
    status = check_pointers(pointers, 2, error);
    if (status || count == 0) {
        return status;
    }
    struct axis job = {.kernels = kernels_for(dtype), .kind = kind, .length = length, .inner = inner, .x = x, .out = y};
    run_axis(context, &job, outer);
    return CHANCONV_OK;
}

chanconv_status chanconv_axis_backward(chanconv_context *context, chanconv_dtype dtype, chanconv_axis_activation kind,
                                       int64_t outer, int64_t length, int64_t inner, const void *grad_y,
                                       const void *x, void *grad_x, chanconv_error *error)
{
    int64_t count;
    chanconv_status status = check_axis(dtype, kind, outer, length, inner, &count, error);
    if (status) {
        return status;
    }
    const struct pointer pointers[] = {{"grad_y", grad_y, count > 0}, {"x", x, count > 0}, {"grad_x", grad_x, count > 0}};
    status = check_pointers(pointers, 3, error);
    if (status || count == 0) {
        return status;
    }
    struct axis job = {.kernels = kernels_for(dtype), .kind = kind, .length = length, .inner = inner,
                       .grad_y = grad_y, .x = x, .out = grad_x};
    run_axis(context, &job, outer);
    return CHANCONV_OK;
}

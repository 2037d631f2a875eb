/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Activations: checks of their arguments, and the split of the work into blocks and runs. The formulas stand in
 * kernels/activation.h. A value never depends on the block that it is computed in, and sums over blocks are split by
 * the shape alone, so results do not depend on the number of threads.
 */
#include <math.h>
#include <string.h>

#include "internal.h"

enum {
    SERIAL = 1 << 16, /* elements up to which waking threads costs more than it gains */
    BLOCK = 1 << 14   /* elements of a work item, about */
};

/* ---- Checks ------------------------------------------------------------------------------------------------------------ */

/* A factor is a finite number; others may be infinite, for no limit. */
static const struct parameter {
    const char *name;
    bool factor;
} parameters[CHANCONV_ACTIVATION_COUNT][2] = {
    [CHANCONV_LEAKY_RELU] = {{"negative_slope", true}},
    [CHANCONV_ELU] = {{"alpha", true}},
    [CHANCONV_CELU] = {{"alpha", true}},
    [CHANCONV_HARD_TANH] = {{"low", false}, {"high", false}},
    [CHANCONV_SOFTPLUS] = {{"beta", true}, {"threshold", false}},
    [CHANCONV_SOFTSHRINK] = {{"threshold", false}},
    [CHANCONV_HARDSHRINK] = {{"threshold", false}},
    [CHANCONV_THRESHOLD] = {{"threshold", false}, {"value", false}},
};

/* What a type rounds to infinity is refused: 0 times it would be NaN, and infinity not above it. */
static chanconv_status check_parameter(chanconv_dtype dtype, const struct parameter *parameter, double value,
                                       chanconv_error *error)
{
    const chanconv_status bad = CHANCONV_BAD_ACTIVATION;
    if (!parameter->name) {
        return CHANCONV_OK;
    }
    if (isnan(value)) {
        return fail(error, bad, parameter->name, "expected a number, got NaN");
    }
    if (fabs(value) > kernels_for(dtype)->largest && (parameter->factor || !isinf(value))) {
        return fail(error, bad, parameter->name, "expected a %snumber that float%d can hold, got %g",
                    parameter->factor ? "finite " : "", dtype == CHANCONV_F32 ? 32 : 64, value);
    }
    return CHANCONV_OK;
}

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

chanconv_status check_activation(chanconv_dtype dtype, const chanconv_activation *activation, chanconv_error *error)
{
    if (!activation) {
        return fail(error, CHANCONV_BAD_STRUCT, "activation", "expected an address, got NULL");
    }
    if (activation->kind < 0 || activation->kind >= CHANCONV_ACTIVATION_COUNT) {
        return fail(error, CHANCONV_BAD_ACTIVATION, "activation", "expected a kind in 0 .. %d, got %d",
                    CHANCONV_ACTIVATION_COUNT - 1, (int)activation->kind);
    }
    chanconv_status status = CHANCONV_OK;
    for (int i = 0; i < 2 && !status; i++) {
        status = check_parameter(dtype, &parameters[activation->kind][i], activation->p[i], error);
    }
    return status ? status : check_parameters(activation, error);
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

static int threads_for(const chanconv_context *context, int64_t elements)
{
    return elements <= SERIAL ? 1 : context_threads(context);
}

/* ---- Elementwise ------------------------------------------------------------------------------------------------------- */

/* Arrays that are walked through together; the output may be an input. */
struct streams {
    int ins;
    const void *in[2];
    void *out;
};

static struct streams advanced(struct streams s, int64_t count, size_t item)
{
    for (int i = 0; i < s.ins; i++) {
        s.in[i] = at(s.in[i], count, item);
    }
    s.out = at(s.out, count, item);
    return s;
}

/* Less than a run of elements, in copies filled up with zeros: so they go through the very code of all others. */
static void apply_part(const struct kernels *k, runs_fn *f, const double *p, int64_t count, struct streams s)
{
    _Alignas(CACHE_LINE) char run[2][RUN_BYTES_MAX];
    for (int i = 0; i < s.ins; i++) {
        memset(run[i], 0, (size_t)k->run * k->item);
        memcpy(run[i], s.in[i], (size_t)count * k->item);
    }
    f(1, 0, 1, p, (const void *const[]){run[0], run[1]}, run[0]);
    memcpy(s.out, run[0], (size_t)count * k->item);
}

static bool in_place(const struct streams *s) { return s->in[0] == s->out || (s->ins > 1 && s->in[1] == s->out); }

/* Whole runs where they are; before them, if there are many, what lacks to an output of whole cache lines, or of whole runs
 * that are shorter. Where inputs stay as they are, what lacks is whole runs too: with elements that are computed twice. */
static void apply(const struct kernels *k, runs_fn *f, const double *p, int64_t count, struct streams s)
{
    enum { MANY = 16 };
    const uintptr_t line = (uintptr_t)min64(CACHE_LINE, k->run * (int64_t)k->item);
    const int64_t lacking = (int64_t)(-(uintptr_t)s.out % line / k->item);
    const int64_t head = count < MANY * k->run ? 0 : lacking, runs = (count - head) / k->run;
    const int64_t rest = count - head - runs * k->run;
    const bool twice = count >= k->run && !in_place(&s);
    const struct streams body = advanced(s, head, k->item);
    if (head && twice) {
        f(1, 0, 1, p, s.in, s.out);
    } else if (head) {
        apply_part(k, f, p, head, s);
    }
    if (runs) {
        f(1, 0, runs, p, body.in, body.out);
    }
    if (rest && twice) {
        const struct streams last = advanced(s, count - k->run, k->item);
        f(1, 0, 1, p, last.in, last.out);
    } else if (rest) {
        apply_part(k, f, p, rest, advanced(body, runs * k->run, k->item));
    }
}

static void activate_pixels(const struct kernels *k, const chanconv_activation *activation, void *y, int64_t cols,
                            int64_t channels, int64_t pixel)
{
    _Alignas(CACHE_LINE) char run[RUN_BYTES_MAX];
    runs_fn *f = k->activation[activation->kind];
    const bool dense = pixel == channels;
    const int64_t step = dense ? cols : max64(k->run / max64(channels, 1), 1); /* pixels at a time */
    for (int64_t j = 0; j < cols; j += step) {
        const int64_t count = min64(step, cols - j);
        void *values = at(y, j * pixel, k->item), *packed = count > 1 && !dense ? run : values;
        if (packed != values) {
            k->move_pixels(count, channels, values, pixel, packed, channels);
        }
        apply(k, f, activation->p, count * channels, (struct streams){1, {packed}, packed});
        if (packed != values) {
            k->move_pixels(count, channels, packed, channels, values, pixel);
        }
    }
}

/* What is no more than some runs, as tiles of a convolution are, takes no longer than it has to. */
void activate_rows(const struct kernels *k, const chanconv_activation *activation, void *y, int64_t rows, int64_t row,
                   int64_t cols, int64_t channels, int64_t pixel)
{
    enum { SOME = 16 };
    const int64_t count = cols * channels;
    if (pixel == channels && count < SOME * k->run && (count & (k->run - 1)) == 0) {
        k->activation[activation->kind](rows, row, count >> __builtin_ctzll((uint64_t)k->run), activation->p,
                                        (const void *const[]){y}, y);
        return;
    }
    for (int64_t i = 0; i < rows; i++) {
        activate_pixels(k, activation, at(y, i * row, k->item), cols, channels, pixel);
    }
}

void activate_row(const struct kernels *k, const chanconv_activation *activation, void *y, int64_t cols,
                  int64_t channels, int64_t pixel)
{
    activate_rows(k, activation, y, 1, 0, cols, channels, pixel);
}

struct elementwise {
    const struct kernels *kernels;
    runs_fn *f;
    const double *p;
    int64_t count, block;
    struct streams streams;
};

static void elementwise_block(void *data, int64_t index)
{
    const struct elementwise *job = data;
    const int64_t first = index * job->block;
    apply(job->kernels, job->f, job->p, min64(job->block, job->count - first),
          advanced(job->streams, first, job->kernels->item));
}

static void run_elementwise(chanconv_context *context, struct elementwise *job)
{
    const int threads = threads_for(context, job->count);
    job->block = threads == 1 ? job->count : BLOCK;
    if (job->count) {
        parallel(context, threads, ceil_div(job->count, job->block), elementwise_block, job);
    }
}

static chanconv_status check_elementwise(chanconv_dtype dtype, const chanconv_activation *activation, int64_t count,
                                         chanconv_error *error)
{
    chanconv_status status = check_dtype(dtype, error);
    status = status ? status : check_activation(dtype, activation, error);
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
    const struct kernels *k = kernels_for(dtype);
    struct elementwise job = {k, k->activation[activation->kind], activation->p, count, 0, {1, {x}, y}};
    run_elementwise(context, &job);
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
    const struct kernels *k = kernels_for(dtype);
    struct elementwise job = {k, k->activation_backward[activation->kind], activation->p, count, 0,
                              {2, {x, grad_y}, grad_x}};
    run_elementwise(context, &job);
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
    parallel(context, threads_for(context, count), ceil_div(pixels, job.rows), prelu_block, &job);
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
    parallel(context, threads_for(context, job->pixels * job->channels), items, prelu_backward_block, job);
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

/* The work is cut into units, `lanes` neighbouring lanes of one block [length][inner]; a work item is some of them. For glu
 * a block is its halves, [2][inner]. */
struct axis {
    const struct kernels *kernels;
    chanconv_axis_activation kind;
    int64_t length, inner;
    int64_t x_block, y_block; /* elements of a block of x and of y */
    int64_t lanes, lane_units, units, units_of_item;
    const void *grad_y;       /* of the backward pass */
    const void *x;            /* y, if from_output */
    void *out;
    bool from_output;
};

/* Lanes that are no whole run, of as many rows at a time as one takes. */
static void glu_part(const struct axis *job, glu_fn *f, int64_t rows, int64_t lanes, const void *grad_y, const void *x,
                     void *out)
{
    _Alignas(CACHE_LINE) char grad_run[RUN_BYTES_MAX] = {0}, runs[2 * RUN_BYTES_MAX] = {0}, result[2 * RUN_BYTES_MAX];
    const struct kernels *k = job->kernels;
    const int64_t half = job->inner, step = k->run / lanes, halves = grad_y ? 2 : 1;
    const int64_t x_row = step > 1 ? 2 * half : lanes; /* one row is copied as a whole */
    const int64_t y_row = step > 1 ? half : lanes, out_row = grad_y ? x_row : y_row;
    for (int64_t row = 0; row < rows; row += step) {
        const int64_t count = min64(step, rows - row);
        for (int i = 0; i < 2; i++) {
            k->move_pixels(count, lanes, at(x, (2 * row + i) * half, k->item), x_row,
                           at(runs, i * k->run, k->item), lanes);
        }
        if (grad_y) {
            k->move_pixels(count, lanes, at(grad_y, row * half, k->item), y_row, grad_run, lanes);
        }
        f(1, k->run, k->run, grad_run, runs, result);
        for (int i = 0; i < halves; i++) {
            k->move_pixels(count, lanes, at(result, i * k->run, k->item), lanes,
                           at(out, (halves * row + i) * half, k->item), out_row);
        }
    }
}

static void glu_rows(const struct axis *job, int64_t rows, int64_t lanes, const void *grad_y, const void *x, void *out)
{
    const struct kernels *k = job->kernels;
    glu_fn *f = grad_y ? k->glu_backward : k->glu;
    const int64_t part = lanes < k->run || out == x ? lanes % k->run : 0, whole = lanes - part;
    if (whole) {
        f(rows, whole, job->inner, grad_y, x, out);
    }
    if (part) {
        glu_part(job, f, rows, part, grad_y ? at(grad_y, whole, k->item) : NULL, at(x, whole, k->item),
                 at(out, whole, k->item));
    }
}

/* For glu, `rows` units that follow each other. */
static void axis_unit(const struct axis *job, int64_t unit, int64_t rows)
{
    const struct kernels *k = job->kernels;
    const int64_t block = unit / job->lane_units, lane = unit % job->lane_units * job->lanes;
    const int64_t lanes = min64(job->lanes, job->inner - lane), y_first = block * job->y_block + lane;
    const void *x = at(job->x, block * job->x_block + lane, k->item);
    const void *grad_y = job->grad_y ? at(job->grad_y, y_first, k->item) : NULL;
    void *out = at(job->out, grad_y ? block * job->x_block + lane : y_first, k->item);
    if (job->kind == CHANCONV_GLU) {
        glu_rows(job, rows, lanes, grad_y, x, out);
    } else if (grad_y) {
        (job->from_output ? k->axis_from_output : k->axis_backward)[job->kind](job->length, job->inner, lanes, grad_y, x,
                                                                               out);
    } else {
        k->axis[job->kind](job->length, job->inner, lanes, x, out);
    }
}

static void axis_item(void *data, int64_t index)
{
    const struct axis *job = data;
    const int64_t first = index * job->units_of_item, last = min64(first + job->units_of_item, job->units);
    const int64_t rows = job->kind == CHANCONV_GLU && job->lane_units == 1 ? last - first : 1;
    for (int64_t unit = first; unit < last; unit += rows) {
        axis_unit(job, unit, rows);
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
    const bool glu = job->kind == CHANCONV_GLU;
    job->x_block = job->length * job->inner;
    job->y_block = glu ? job->x_block / 2 : job->x_block;
    if (glu) {
        job->length = 2, job->inner = job->y_block;
    }
    const int64_t unit = (job->lanes = lanes_of_unit(job->length, job->inner)) * job->length;
    job->lane_units = ceil_div(job->inner, job->lanes);
    job->units = outer * job->lane_units;
    job->units_of_item = max64(BLOCK / unit, 1);
    parallel(context, threads_for(context, outer * job->x_block), ceil_div(job->units, job->units_of_item), axis_item, job);
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

static chanconv_status axis_backward(chanconv_context *context, chanconv_dtype dtype, struct axis job, int64_t outer,
                                     chanconv_error *error)
{
    int64_t count;
    chanconv_status status = check_axis(dtype, job.kind, outer, job.length, job.inner, &count, error);
    if (status) {
        return status;
    }
    const struct pointer pointers[] = {{"grad_y", job.grad_y, count > 0},
                                       {job.from_output ? "y" : "x", job.x, count > 0},
                                       {"grad_x", job.out, count > 0}};
    status = check_pointers(pointers, 3, error);
    if (status || count == 0) {
        return status;
    }
    job.kernels = kernels_for(dtype);
    run_axis(context, &job, outer);
    return CHANCONV_OK;
}

chanconv_status chanconv_axis_backward(chanconv_context *context, chanconv_dtype dtype, chanconv_axis_activation kind,
                                       int64_t outer, int64_t length, int64_t inner, const void *grad_y,
                                       const void *x, void *grad_x, chanconv_error *error)
{
    const struct axis job = {.kind = kind, .length = length, .inner = inner, .grad_y = grad_y, .x = x, .out = grad_x};
    return axis_backward(context, dtype, job, outer, error);
}

chanconv_status chanconv_axis_backward_from_output(chanconv_context *context, chanconv_dtype dtype,
                                                   chanconv_axis_activation kind, int64_t outer, int64_t length,
                                                   int64_t inner, const void *grad_y, const void *y, void *grad_x,
                                                   chanconv_error *error)
{
    const struct axis job = {.kind = kind, .length = length, .inner = inner, .grad_y = grad_y, .x = y, .out = grad_x,
                             .from_output = true};
    if (kind == CHANCONV_GLU) {
        return fail(error, CHANCONV_BAD_ACTIVATION, "kind", "glu has no gradient from its output");
    }
    return axis_backward(context, dtype, job, outer, error);
}

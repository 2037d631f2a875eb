/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The general algorithm: each pass put as products for correlation.c and kernel_gradient.c. It declines nothing.
 *
 * Gradient of x. Row i of the padded x has a part in output row oh through tap r where oh * stride + r * dilation = i. So
 * only taps with r * dilation = i (modulo stride) count: one residue of i modulo the stride, one subset of the taps,
 *     r = r0 + j * step,  step = stride / gcd,  gcd = gcd(stride, dilation),
 * and as j goes up by one, oh goes down by dilation / gcd. With the taps in reverse that is a correlation over grad_y with
 * stride 1 and dilation / gcd: no scatter, and every element of grad_x is written once. But see scatter.c for few channels.
 */
#include <math.h>
#include <string.h>

#include "gemm.h"

/* ---- Forward ---------------------------------------------------------------------------------------------------------- */

static struct image image_x(const struct geometry *g, const void *x)
{
    return (struct image){.data = x, .n = g->n, .h = g->h, .w = g->w, .c = g->cg, .pixel = g->x_pixel,
                          .row = g->x_row, .image = g->x_image, .mode = g->mode, .item = g->item};
}

struct correlation forward_correlation(const struct geometry *g, const struct arrays *arrays)
{
    return (struct correlation){
        .kernels = kernels_for(g->dtype), .x = image_x(g, arrays->x), .taps = {g->kh, g->kw},
        .stride = {g->stride[0], g->stride[1]}, .dilation = {g->dilation[0], g->dilation[1]},
        .origin = {-g->pad[0][0], -g->pad[1][0]}, .k = g->kg, .oh = g->oh, .ow = g->ow, .y = arrays->out,
        .y_pixel = g->y_pixel, .y_row = g->y_row, .y_image = g->y_image, .kernel = arrays->kernel,
        .kernel_tap = {g->kw * g->cg * g->k, g->cg * g->k}, .kernel_c = g->k, .kernel_k = 1, .groups = g->groups,
        .x_group = g->cg, .y_group = g->kg, .kernel_group = g->kg, .bias = arrays->bias,
        .activation = g->activation, .prepared = arrays->prepared,
    };
}

/* ---- Gradient of x ------------------------------------------------------------------------------------------------------ */

/* A rectangle of the padded x, counted from the first cell of the padding, where its gradient goes, and by what. */
struct target {
    int64_t first[2], size[2];
    void *x;
    int64_t pixel, row, image;
    const struct correlator *by;
};

static const struct correlator product = {correlate, correlation_bytes, prepared_correlation_bytes, prepare_correlation};

/* One axis of one residue: the taps r0, r0 + step, ... and the outputs first, first + stride, ... of the target. */
struct phase {
    int64_t r0, step, taps;
    int64_t first, outputs, dilation, origin;
};

/* Residues that have taps at all: r0 = 0 .. phases - 1 (later taps repeat them). */
static int64_t phases(const struct geometry *g, int axis)
{
    return min64(axis ? g->kw : g->kh, g->stride[axis] / gcd(g->stride[axis], g->dilation[axis]));
}

static struct phase phase_at(const struct geometry *g, const struct target *target, int axis, int64_t r0)
{
    const int64_t stride = g->stride[axis], divisor = gcd(stride, g->dilation[axis]);
    const int64_t taps = axis ? g->kw : g->kh, at_tap = r0 * g->dilation[axis];
    struct phase p = {.r0 = r0, .step = stride / divisor, .dilation = g->dilation[axis] / divisor};
    p.taps = (taps - 1 - r0) / p.step + 1;
    p.step = p.taps > 1 ? p.step : 0; /* never taken: it may be so large that no offset of it exists */
    /* The first cell of the target with the residue of tap r0. */
    const int64_t ahead = (at_tap - target->first[axis]) % stride;
    p.first = ahead < 0 ? ahead + stride : ahead;
    p.outputs = p.first < target->size[axis] ? (target->size[axis] - 1 - p.first) / stride + 1 : 0;
    /* Its output through tap r0, then back to the last tap, which comes first. */
    p.origin = (target->first[axis] + p.first - at_tap) / stride - (p.taps - 1) * p.dilation;
    return p;
}

static struct correlation phase_correlation(const struct geometry *g, const struct arrays *arrays,
                                            const struct target *target, const struct phase *v,
                                            const struct phase *h)
{
    const int64_t tap[2] = {g->kw * g->cg * g->k, g->cg * g->k};
    const int64_t last = (v->r0 + (v->taps - 1) * v->step) * tap[0] + (h->r0 + (h->taps - 1) * h->step) * tap[1];
    return (struct correlation){
        .kernels = kernels_for(g->dtype),
        .x = {.data = arrays->y, .n = g->n, .h = g->oh, .w = g->ow, .c = g->kg, .pixel = g->y_pixel,
              .row = g->y_row, .image = g->y_image, .mode = CHANCONV_ZEROS, .item = g->item},
        .taps = {v->taps, h->taps}, .stride = {1, 1}, .dilation = {v->dilation, h->dilation},
        .origin = {v->origin, h->origin}, .k = g->cg, .oh = v->outputs, .ow = h->outputs,
        .y = at(target->x, v->first * target->row + h->first * target->pixel, g->item),
        .y_pixel = g->stride[1] * target->pixel, .y_row = g->stride[0] * target->row, .y_image = target->image,
        .kernel = at(arrays->kernel, last, g->item), .kernel_tap = {-v->step * tap[0], -h->step * tap[1]},
        .kernel_c = 1, .kernel_k = g->k, .groups = g->groups, .x_group = g->kg, .y_group = g->cg,
        .kernel_group = g->kg, .bias = arrays->bias, .bounded = true, .apart = g->stride[0] > 1 || g->stride[1] > 1,
    };
}

/* One pixel of `bytes` bytes, `count` times in a row of memory: what is there already is copied, again and again. */
static void repeat_pixel(char *dst, const void *pixel, int64_t bytes, int64_t count)
{
    memcpy(dst, pixel, (size_t)bytes);
    for (int64_t done = 1, more; done < count; done += more) {
        more = min64(done, count - done);
        memcpy(dst + done * bytes, dst, (size_t)(more * bytes));
    }
}

/* A row of cells that no tap reaches: the empty sum, plus bias. */
static void fill_row(const struct geometry *g, const struct target *target, char *row, const void *bias)
{
    const bool dense = target->pixel == g->c;
    const int64_t bytes = g->c * (int64_t)g->item, step = dense ? target->size[1] : 1;
    for (int64_t j = 0; j < target->size[1]; j += step) {
        char *pixel = at(row, j * target->pixel, g->item);
        if (bias) {
            repeat_pixel(pixel, bias, bytes, step);
        } else {
            memset(pixel, 0, (size_t)(step * bytes));
        }
    }
}

static void fill(const struct geometry *g, const struct target *target, const void *bias)
{
    for (int64_t i = 0; i < g->n * target->size[0]; i++) {
        const int64_t offset = i / target->size[0] * target->image + i % target->size[0] * target->row;
        fill_row(g, target, at(target->x, offset, g->item), bias);
    }
}

/* The activation on the whole target. */
static void activate(const struct geometry *g, const struct target *target)
{
    for (int64_t i = 0; i < g->n * target->size[0]; i++) {
        void *row = at(target->x, i / target->size[0] * target->image + i % target->size[0] * target->row, g->item);
        activate_row(kernels_for(g->dtype), &g->activation, row, target->size[1], g->c, target->pixel);
    }
}

enum { PHASES_MAX = 32 };

/* The correlations of all residues that have outputs; returns their number, or -1 if there are more than PHASES_MAX. */
static int64_t list_phases(const struct geometry *g, const struct arrays *arrays, const struct target *target,
                           struct correlation phase[PHASES_MAX])
{
    const int64_t rows = phases(g, 0), cols = phases(g, 1);
    int64_t count = 0;
    for (int64_t i = 0; i < rows; i++) {
        const struct phase v = phase_at(g, target, 0, i);
        for (int64_t j = 0; j < cols && v.outputs > 0; j++) {
            const struct phase h = phase_at(g, target, 1, j);
            if (h.outputs > 0 && count == PHASES_MAX) {
                return -1;
            }
            if (h.outputs > 0) {
                phase[count++] = phase_correlation(g, arrays, target, &v, &h);
            }
        }
    }
    return count;
}

static bool is_narrow(const struct geometry *g, const struct arrays *arrays, const struct target *target,
                      struct correlation phase[PHASES_MAX], int64_t *count)
{
    *count = target->by == &product && g->n > 0 && g->cg <= MR_MAX ? list_phases(g, arrays, target, phase) : -1;
    return *count > 0 && prefers_narrow(phase, *count);
}

static struct scatter scatter_of(const struct geometry *g, const struct arrays *arrays, const struct target *target)
{
    return (struct scatter){
        .g = g, .y = arrays->y, .kernel = arrays->kernel, .bias = arrays->bias,
        .first = {target->first[0], target->first[1]}, .size = {target->size[0], target->size[1]}, .x = target->x,
        .x_pixel = target->pixel, .x_row = target->row, .x_image = target->image,
    };
}

/* Whether the residues' few taps cost more than patches of all taps. */
static bool scatters(const struct geometry *g, const struct target *target)
{
    const struct arrays none = {0};
    struct correlation phase[PHASES_MAX];
    if (target->by != &product || g->n == 0 || min64(target->size[0], target->size[1]) == 0 ||
        g->stride[0] * g->stride[1] == 1) {
        return false;
    }
    const double cost = scatter_cost(g);
    const int64_t count = isfinite(cost) ? list_phases(g, &none, target, phase) : -1;
    double phases = 0;
    for (int64_t i = 0; i < count; i++) {
        phases += correlation_cost(&phase[i]);
    }
    return count > 0 && cost < fmin(phases, narrow_cost(phase, count));
}

/* All residues at once, for few channels. */
static chanconv_status run_narrow(chanconv_context *context, const struct geometry *g, const struct arrays *arrays,
                                  const struct correlation *phase, int64_t count)
{
    bool outside = false;
    for (int64_t i = 0; i < count; i++) {
        outside |= reaches_outside(&phase[i]);
    }
    const int64_t values = g->kh * g->kw * g->cg * g->k; /* groups == 1 */
    return outside && !kernels_for(g->dtype)->finite(values, arrays->kernel) ? CORRELATE_NOT_FINITE
                                                                             : narrow_correlate(context, phase, count);
}

/* One residue after the other; so are their prepared kernels. */
static chanconv_status run_phases(chanconv_context *context, const struct geometry *g, const struct arrays *arrays,
                                  const struct target *target)
{
    const int64_t rows = phases(g, 0), cols = phases(g, 1);
    const struct prepared *prepared = arrays->prepared;
    chanconv_status status = CHANCONV_OK;
    for (int64_t i = 0; i < rows * cols && status == CHANCONV_OK; i++) {
        const struct phase v = phase_at(g, target, 0, i / cols), h = phase_at(g, target, 1, i % cols);
        struct correlation c = phase_correlation(g, arrays, target, &v, &h);
        c.prepared = prepared;
        status = target->by->correlate(context, &c);
        prepared = prepared ? at(prepared, target->by->prepared_bytes(&c), 1) : NULL;
    }
    return status;
}

static chanconv_status grad_target(chanconv_context *context, const struct geometry *g, const struct arrays *arrays,
                                   const struct target *target)
{
    struct correlation phase[PHASES_MAX];
    int64_t count;
    const struct scatter scatter = scatter_of(g, arrays, target);
    const bool at_once = scatters(g, target);
    if (!at_once && (phases(g, 0) < g->stride[0] || phases(g, 1) < g->stride[1])) {
        fill(g, target, arrays->bias);
    }
    const chanconv_status status = at_once ? scatter_gradient(context, &scatter)
                                   : is_narrow(g, arrays, target, phase, &count)
                                       ? run_narrow(context, g, arrays, phase, count)
                                       : run_phases(context, g, arrays, target);
    if (status == CHANCONV_OK && g->activation.kind != CHANCONV_IDENTITY) {
        activate(g, target);
    }
    return status;
}

static struct target interior(const struct geometry *g, void *x, const struct correlator *by)
{
    return (struct target){.first = {g->pad[0][0], g->pad[1][0]}, .size = {g->h, g->w}, .x = x,
                           .pixel = g->x_pixel, .row = g->x_row, .image = g->x_image, .by = by};
}

/* ---- Gradient of x through a padding that copies cells --------------------------------------------------------------------- */

/* Adds the gradient of a rectangle of padding to the cells of one image that it copies. */
static void fold(const struct geometry *g, const struct target *border, void *x)
{
    const struct kernels *kernels = kernels_for(g->dtype);
    for (int64_t i = 0; i < border->size[0]; i++) {
        const int64_t row = source_index(g->mode, border->first[0] + i - g->pad[0][0], g->h);
        for (int64_t j = 0; j < border->size[1]; j++) {
            const int64_t col = source_index(g->mode, border->first[1] + j - g->pad[1][0], g->w);
            kernels->add(g->c, at(border->x, i * border->row + j * border->pixel, g->item),
                         at(x, row * g->x_row + col * g->x_pixel, g->item));
        }
    }
}

/* Rows of the largest piece of the padding's gradient: as many as fit a block. */
static int64_t border_rows(const struct geometry *g, int64_t width)
{
    return max64(BLOCK_BYTES / max64(width * g->c * (int64_t)g->item, 1), 1);
}

/* One rectangle of padding of one image, piece by piece through `buffer`. */
static chanconv_status grad_border(chanconv_context *context, const struct geometry *g, const struct arrays *arrays,
                                   const struct correlator *by, const int64_t first[2], const int64_t size[2],
                                   void *buffer, void *x)
{
    const int64_t step = border_rows(g, size[1]);
    chanconv_status status = CHANCONV_OK;
    for (int64_t i = 0; i < size[0] && size[1] > 0 && status == CHANCONV_OK; i += step) {
        const struct target border = {
            .first = {first[0] + i, first[1]}, .size = {min64(step, size[0] - i), size[1]}, .x = buffer,
            .pixel = g->c, .row = size[1] * g->c, .by = by,
        };
        status = grad_target(context, g, arrays, &border);
        if (status == CHANCONV_OK) {
            fold(g, &border, x);
        }
    }
    return status;
}

/* Elements of the buffer for any piece of the padding. */
static int64_t border_elements(const struct geometry *g)
{
    const int64_t width = g->w + g->pad[1][0] + g->pad[1][1], side = max64(g->pad[1][0], g->pad[1][1]);
    const int64_t whole = min64(border_rows(g, width), max64(g->pad[0][0], g->pad[0][1])) * width;
    return g->c * max64(whole, min64(border_rows(g, side), g->h) * side);
}

/* The four sides of the padding: above, below, left, right. */
static void border_side(const struct geometry *g, int side, int64_t first[2], int64_t size[2])
{
    const int64_t top = g->pad[0][0], bottom = g->pad[0][1], left = g->pad[1][0], right = g->pad[1][1];
    const int64_t firsts[4][2] = {{0, 0}, {top + g->h, 0}, {top, 0}, {top, left + g->w}};
    const int64_t sizes[4][2] = {{top, left + g->w + right}, {bottom, left + g->w + right}, {g->h, left}, {g->h, right}};
    for (int axis = 0; axis < 2; axis++) {
        first[axis] = firsts[side][axis];
        size[axis] = sizes[side][axis];
    }
}

static chanconv_status grad_borders(chanconv_context *context, const struct geometry *g, const struct arrays *arrays,
                                    const struct correlator *by)
{
    const size_t bytes = (size_t)border_elements(g) * g->item;
    void *buffer = take_scratch(context, bytes);
    chanconv_status status = buffer ? CHANCONV_OK : CHANCONV_NO_MEMORY;
    struct geometry one = *g;
    one.n = 1;
    for (int64_t i = 0; i < 4 * g->n && status == CHANCONV_OK; i++) {
        struct arrays image = *arrays;
        int64_t first[2], size[2];
        border_side(g, (int)(i % 4), first, size);
        image.y = at(arrays->y, i / 4 * g->y_image, g->item);
        status = grad_border(context, &one, &image, by, first, size, buffer,
                             at(arrays->out, i / 4 * g->x_image, g->item));
    }
    release_scratch(context, buffer, bytes);
    return status;
}

/* ---- Its kernel, prepared -------------------------------------------------------------------------------------------------- */

/* Few channels read the kernel as it is. */
static bool prepares(const struct geometry *g, const struct target *target)
{
    const struct arrays none = {0};
    struct correlation phase[PHASES_MAX];
    int64_t count;
    return !scatters(g, target) && !is_narrow(g, &none, target, phase, &count);
}

/* Prepares the kernel of every residue, or with prepared NULL only counts the bytes, which it returns. */
static int64_t prepare_phases(const struct geometry *g, const void *kernel, const struct correlator *by, void *prepared)
{
    const struct target target = interior(g, NULL, by);
    const struct arrays arrays = {.kernel = kernel};
    const int64_t rows = phases(g, 0), cols = phases(g, 1), count = prepares(g, &target) ? rows * cols : 0;
    int64_t bytes = 0;
    for (int64_t i = 0; i < count; i++) {
        const struct phase v = phase_at(g, &target, 0, i / cols), h = phase_at(g, &target, 1, i % cols);
        const struct correlation c = phase_correlation(g, &arrays, &target, &v, &h);
        if (prepared) {
            by->prepare(&c, at(prepared, bytes, 1));
        }
        bytes += by->prepared_bytes(&c);
    }
    return bytes;
}

int64_t prepared_gradient_of_x_bytes(const struct geometry *g, const struct correlator *by)
{
    return prepare_phases(g, NULL, by, NULL);
}

void prepare_gradient_of_x(const struct geometry *g, const void *kernel, const struct correlator *by, void *prepared)
{
    prepare_phases(g, kernel, by, prepared);
}

/* ---- The pass ------------------------------------------------------------------------------------------------------------- */

static bool has_borders(const struct geometry *g)
{
    return g->mode != CHANCONV_ZEROS && (g->pad[0][0] || g->pad[0][1] || g->pad[1][0] || g->pad[1][1]);
}

chanconv_status gradient_of_x(chanconv_context *context, const struct geometry *g, const struct arrays *arrays,
                              const struct correlator *by)
{
    const struct target target = interior(g, arrays->out, by);
    chanconv_status status = grad_target(context, g, arrays, &target);
    if (status == CHANCONV_OK && has_borders(g)) {
        status = grad_borders(context, g, arrays, by);
    }
    /* NaN and Inf in the kernel reach just the cells that the sum names: by way of col2im, which has no padding. */
    return status == CORRELATE_NOT_FINITE ? algorithm_im2col.run(context, g, CHANCONV_GRAD_X, arrays) : status;
}

/* ---- The algorithm -------------------------------------------------------------------------------------------------------- */

static chanconv_status run(chanconv_context *context, const struct geometry *g, chanconv_pass pass,
                           const struct arrays *arrays)
{
    if (pass == CHANCONV_GRAD_X) {
        return gradient_of_x(context, g, arrays, &product);
    }
    if (pass == CHANCONV_GRAD_KERNEL) {
        return kernel_gradient(context, g, arrays->y, arrays->x, arrays->out);
    }
    const struct correlation c = forward_correlation(g, arrays);
    return prefers_narrow(&c, 1) ? narrow_correlate(context, &c, 1) : correlate(context, &c);
}

static int64_t correlations_bytes(const struct correlation *c, int64_t count, bool narrow, int threads,
                                  const struct correlator *by)
{
    int64_t bytes = narrow ? narrow_bytes(c, count, threads) : 0;
    for (int64_t i = 0; i < count && !narrow; i++) {
        bytes = max64(bytes, by->bytes(&c[i], threads));
    }
    return bytes;
}

static int64_t forward_bytes(const struct geometry *g, int threads)
{
    const struct arrays none = {0};
    const struct correlation c = forward_correlation(g, &none);
    return correlations_bytes(&c, 1, prefers_narrow(&c, 1), threads, &product);
}

static int64_t target_bytes(const struct geometry *g, const struct target *target, int threads)
{
    const struct arrays none = {0};
    struct correlation phase[PHASES_MAX];
    int64_t count;
    if (scatters(g, target)) {
        const struct scatter scatter = scatter_of(g, &none, target);
        return scatter_bytes(&scatter, threads);
    }
    const bool narrow = is_narrow(g, &none, target, phase, &count);
    count = narrow ? count : list_phases(g, &none, target, phase);
    return correlations_bytes(phase, count < 0 ? PHASES_MAX : count, narrow, threads, target->by);
}

/* The buffer of a piece of the padding, and the most that any piece takes beside it: a whole one, or what is left. */
static int64_t borders_bytes(const struct geometry *g, int threads, const struct correlator *by)
{
    struct geometry one = *g;
    int64_t bytes = 0;
    one.n = 1;
    for (int side = 0; side < 4; side++) {
        struct target piece = {.pixel = g->c, .by = by};
        border_side(g, side, piece.first, piece.size);
        const int64_t rows = piece.size[0], step = border_rows(g, piece.size[1]);
        const int64_t heights[2] = {min64(step, rows), rows % step};
        for (int i = 0; i < 2 && piece.size[1] > 0; i++) {
            piece.size[0] = heights[i];
            bytes = max64(bytes, heights[i] > 0 ? target_bytes(&one, &piece, threads) : 0);
        }
    }
    return bytes + border_elements(g) * (int64_t)g->item;
}

int64_t gradient_of_x_bytes(const struct geometry *g, int threads, const struct correlator *by)
{
    const struct target target = interior(g, NULL, by);
    return max64(target_bytes(g, &target, threads), has_borders(g) ? borders_bytes(g, threads, by) : 0);
}

static void plan(const struct geometry *g, chanconv_pass pass, chanconv_plan *plan)
{
    const struct kernels *kernels = kernels_for(g->dtype);
    const int64_t columns = pass == CHANCONV_GRAD_X ? g->cg : g->kg;
    if (columns == 0 || g->n == 0 || (pass == CHANCONV_GRAD_KERNEL && g->cg == 0)) {
        return;
    }
    const struct panel panel = panel_at(kernels, columns, 0);
    plan->tile[0] = (int32_t)tallest(kernels, &panel);
    plan->tile[1] = (int32_t)(panel.vectors * kernels->vl);
    if (pass == CHANCONV_FORWARD) {
        const struct arrays none = {0};
        const struct correlation c = forward_correlation(g, &none);
        correlation_tile(&c, plan->tile);
    }
    plan->workspace_bytes = pass == CHANCONV_FORWARD  ? forward_bytes(g, plan->threads)
                            : pass == CHANCONV_GRAD_X ? gradient_of_x_bytes(g, plan->threads, &product)
                                                      : kernel_gradient_bytes(g, plan->threads);
}

/* Whether a pass goes through correlate(), which alone prepares kernels; and as what, for the forward pass. */
static bool forward_prepares(const struct geometry *g, struct correlation *c)
{
    const struct arrays none = {0};
    *c = forward_correlation(g, &none);
    return !prefers_narrow(c, 1);
}

static int64_t prepared_bytes(const struct geometry *g, chanconv_pass pass)
{
    struct correlation c;
    return pass == CHANCONV_GRAD_X                                   ? prepared_gradient_of_x_bytes(g, &product)
           : pass == CHANCONV_FORWARD && forward_prepares(g, &c) ? prepared_correlation_bytes(&c)
                                                                     : 0;
}

static void prepare(const struct geometry *g, chanconv_pass pass, const void *kernel, void *prepared)
{
    struct correlation c;
    if (pass == CHANCONV_GRAD_X) {
        prepare_gradient_of_x(g, kernel, &product, prepared);
        return;
    }
    forward_prepares(g, &c);
    c.kernel = kernel;
    prepare_correlation(&c, prepared);
}

const struct algorithm algorithm_gemm = {
    .id = CHANCONV_GEMM, .plan = plan, .run = run, .prepared_bytes = prepared_bytes, .prepare = prepare};

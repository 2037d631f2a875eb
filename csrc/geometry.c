/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The one validator. It turns a descriptor into a struct geometry in which every size is known, every product of sizes
 * that the library will form fits an int64_t, and nothing needs to be checked again.
 */
#include <string.h>

#include "internal.h"

#define TRY(call)                         \
    do {                                  \
        chanconv_status try_ = (call);    \
        if (try_ != CHANCONV_OK) {        \
            return try_;                  \
        }                                 \
    } while (0)

static const char *const axis_name[2] = {"vertical", "horizontal"};

/* Pads beyond this are refused: sums of sizes and pads then never overflow. */
enum { PAD_MAX = INT32_MAX };

void chanconv_conv_init(chanconv_conv *conv)
{
    memset(conv, 0, sizeof *conv);
    conv->struct_size = sizeof *conv;
    conv->n = 1;
    conv->kernel_c = -1;
    conv->groups = 1;
    for (int axis = 0; axis < 2; axis++) {
        conv->stride[axis] = 1;
        conv->dilation[axis] = 1;
        conv->out[axis] = -1;
    }
}

static chanconv_status check_struct(const chanconv_conv *conv, chanconv_error *error)
{
    if (!conv || conv->struct_size != sizeof *conv) {
        return fail(error, CHANCONV_BAD_STRUCT, "conv", "expected a descriptor made by chanconv_conv_init()");
    }
    if (conv->dtype != CHANCONV_F32 && conv->dtype != CHANCONV_F64) {
        return fail(error, CHANCONV_BAD_DTYPE, "dtype", "expected 0 (f32) or 1 (f64), got %d", (int)conv->dtype);
    }
    if (conv->padding_mode < CHANCONV_ZEROS || conv->padding_mode > CHANCONV_SYMMETRIC) {
        return fail(error, CHANCONV_BAD_PADDING_MODE, "padding_mode", "expected 0 .. 4, got %d",
                    (int)conv->padding_mode);
    }
    if (conv->padding_rule < CHANCONV_PAD_EXPLICIT || conv->padding_rule > CHANCONV_PAD_SAME_LOWER) {
        return fail(error, CHANCONV_BAD_PADDING, "padding", "expected rule 0 .. 2, got %d", (int)conv->padding_rule);
    }
    if (conv->algorithm < 0 || conv->algorithm >= CHANCONV_ALGORITHM_COUNT) {
        return fail(error, CHANCONV_BAD_ALGORITHM, "algorithm", "expected 0 .. %d, got %d",
                    CHANCONV_ALGORITHM_COUNT - 1, (int)conv->algorithm);
    }
    if (conv->precision != CHANCONV_FAST && conv->precision != CHANCONV_STRICT) {
        return fail(error, CHANCONV_BAD_ALGORITHM, "precision", "expected 0 (fast) or 1 (strict), got %d",
                    (int)conv->precision);
    }
    return check_activation(conv->dtype, &conv->activation, error);
}

static chanconv_status check_channels(const chanconv_conv *conv, chanconv_error *error)
{
    const int64_t c = conv->c, k = conv->k, groups = conv->groups;
    if (c < 0) {
        return fail(error, CHANCONV_BAD_X, "x", "expected 0 channels or more, got %lld", (long long)c);
    }
    if (k < 0) {
        return fail(error, CHANCONV_BAD_KERNEL, "kernel", "expected 0 kernels or more, got %lld", (long long)k);
    }
    if (groups < 1) {
        return fail(error, CHANCONV_BAD_GROUPS, "groups", "expected 1 or more, got %lld", (long long)groups);
    }
    if (groups > 1 && (c < groups || c % groups != 0)) {
        return fail(error, CHANCONV_BAD_GROUPS, "groups", "expected a divisor of the %lld channels of x, got %lld",
                    (long long)c, (long long)groups);
    }
    if (groups > 1 && (k < groups || k % groups != 0)) {
        return fail(error, CHANCONV_BAD_GROUPS, "groups", "expected a divisor of the %lld kernels, got %lld",
                    (long long)k, (long long)groups);
    }
    if (conv->kernel_c >= 0 && conv->kernel_c != c / groups) {
        return fail(error, CHANCONV_BAD_KERNEL, "kernel",
                    "expected kernels of %lld channels (x has %lld in %lld group%s), got %lld",
                    (long long)(c / groups), (long long)c, (long long)groups, groups == 1 ? "" : "s",
                    (long long)conv->kernel_c);
    }
    return CHANCONV_OK;
}

/* dilation * (taps - 1) + 1, the extent of a kernel on x. */
static bool extent(int64_t taps, int64_t dilation, int64_t *result)
{
    return mul(dilation, taps - 1, result) && !__builtin_add_overflow(*result, 1, result);
}

/* The pads of an axis by the descriptor's rule. */
static chanconv_status resolve_padding(const chanconv_conv *conv, int axis, int64_t size, int64_t kernel_extent,
                                       int64_t pad[2], chanconv_error *error)
{
    if (conv->padding_rule == CHANCONV_PAD_EXPLICIT) {
        for (int side = 0; side < 2; side++) {
            pad[side] = conv->padding[axis][side];
            if (pad[side] < 0 || pad[side] > PAD_MAX) {
                return fail(error, CHANCONV_BAD_PADDING, "padding", "expected 0 to %d on each side, got %lld (%s)",
                            PAD_MAX, (long long)pad[side], axis_name[axis]);
            }
        }
        return CHANCONV_OK;
    }
    /* total = max((ceil(size / stride) - 1) * stride + extent - size, 0) */
    const int64_t last = size > 0 ? (size - 1) / conv->stride[axis] * conv->stride[axis] : 0;
    const int64_t total = max64(kernel_extent - (size - last), 0);
    if (total > PAD_MAX) {
        return fail(error, CHANCONV_BAD_DILATION, "dilation", "the kernel's extent of %lld (%s) is too large to pad for",
                    (long long)kernel_extent, axis_name[axis]);
    }
    pad[0] = conv->padding_rule == CHANCONV_PAD_SAME ? total / 2 : total - total / 2;
    pad[1] = total - pad[0];
    return CHANCONV_OK;
}

/* How far a padding mode can reach beyond `size` cells. */
static chanconv_status check_mode(int32_t mode, int axis, int64_t size, const int64_t pad[2], chanconv_error *error)
{
    static const char *const name[] = {"zeros", "reflect", "replicate", "circular", "symmetric"};
    const int64_t pads = max64(pad[0], pad[1]);
    if (mode == CHANCONV_ZEROS || pads == 0) {
        return CHANCONV_OK;
    }
    if (size == 0) {
        return fail(error, CHANCONV_BAD_X, "x", "padding_mode \"%s\" needs at least 1 cell to copy from, got 0 (%s)",
                    name[mode], axis_name[axis]);
    }
    const int64_t reach = mode == CHANCONV_REFLECT ? size - 1 : mode == CHANCONV_CIRCULAR ? size : PAD_MAX;
    if (pads > reach) {
        return fail(error, CHANCONV_BAD_PADDING, "padding",
                    "padding_mode \"%s\" allows at most %lld on each side of %lld cells (%s), got %lld", name[mode],
                    (long long)reach, (long long)size, axis_name[axis], (long long)pads);
    }
    return CHANCONV_OK;
}

static chanconv_status kernel_too_large(int axis, int64_t padded, int64_t taps, int64_t dilation,
                                        int64_t kernel_extent, chanconv_error *error)
{
    if (padded == 0) {
        return fail(error, CHANCONV_BAD_X, "x", "expected a size of 1 or more after padding (%s), got 0",
                    axis_name[axis]);
    }
    if (dilation > 1 && taps <= padded) {
        return fail(error, CHANCONV_BAD_DILATION, "dilation",
                    "%lld makes the kernel of %lld reach over %lld cells (%s), more than the padded input's %lld",
                    (long long)dilation, (long long)taps, (long long)kernel_extent, axis_name[axis],
                    (long long)padded);
    }
    return fail(error, CHANCONV_BAD_KERNEL, "kernel",
                "larger than the padded input: it reaches over %lld cells (%s), the padded input has %lld",
                (long long)kernel_extent, axis_name[axis], (long long)padded);
}

/* One axis: pads and the output's size. */
static chanconv_status resolve_axis(const chanconv_conv *conv, int axis, int64_t size, int64_t taps, int64_t pad[2],
                                    int64_t *out, chanconv_error *error)
{
    const int64_t stride = conv->stride[axis], dilation = conv->dilation[axis];
    int64_t reach, padded;
    if (size < 0) {
        return fail(error, CHANCONV_BAD_X, "x", "expected a size of 0 or more (%s), got %lld", axis_name[axis],
                    (long long)size);
    }
    if (taps < 1) {
        return fail(error, CHANCONV_BAD_KERNEL, "kernel", "expected a size of 1 or more (%s), got %lld",
                    axis_name[axis], (long long)taps);
    }
    if (stride < 1) {
        return fail(error, CHANCONV_BAD_STRIDE, "stride", "expected 1 or more (%s), got %lld", axis_name[axis],
                    (long long)stride);
    }
    if (dilation < 1) {
        return fail(error, CHANCONV_BAD_DILATION, "dilation", "expected 1 or more (%s), got %lld", axis_name[axis],
                    (long long)dilation);
    }
    if (!extent(taps, dilation, &reach)) {
        return fail(error, CHANCONV_BAD_DILATION, "dilation", "%lld times a kernel of %lld (%s) is too large",
                    (long long)dilation, (long long)taps, axis_name[axis]);
    }
    TRY(resolve_padding(conv, axis, size, reach, pad, error));
    if (__builtin_add_overflow(size, pad[0] + pad[1], &padded)) {
        return fail(error, CHANCONV_BAD_X, "x", "%lld cells (%s) are too many", (long long)size, axis_name[axis]);
    }
    if (padded < reach) {
        return kernel_too_large(axis, padded, taps, dilation, reach, error);
    }
    TRY(check_mode(conv->padding_mode, axis, size, pad, error));
    *out = (padded - reach) / stride + 1;
    if (conv->padding_rule != CHANCONV_PAD_EXPLICIT && size == 0) {
        return fail(error, CHANCONV_BAD_X, "x", "padding \"same\" gives ceil(%lld / %lld) = 0 outputs (%s)",
                    (long long)size, (long long)stride, axis_name[axis]);
    }
    if (conv->out[axis] == 0 || conv->out[axis] > *out) {
        return fail(error, CHANCONV_BAD_Y, "out", "expected 1 to %lld (%s), got %lld", (long long)*out,
                    axis_name[axis], (long long)conv->out[axis]);
    }
    *out = conv->out[axis] < 0 ? *out : conv->out[axis];
    return CHANCONV_OK;
}

/* Whether an array of these sizes (0 counted as 1, as NumPy does) and `item` bytes an element can exist. */
static bool fits(const int64_t *sizes, int count, size_t item)
{
    int64_t product = (int64_t)item;
    for (int i = 0; i < count; i++) {
        if (!mul(product, max64(sizes[i], 1), &product)) {
            return false;
        }
    }
    return true;
}

/* Pitches by default or as given: at least dense, and the whole within an address space. */
static chanconv_status resolve_pitch(const char *argument, chanconv_status status, const int64_t shape[4],
                                     size_t item, int64_t *pixel, int64_t *row, int64_t *image,
                                     chanconv_error *error)
{
    int64_t least_row, least_image, all;
    *pixel = *pixel ? *pixel : shape[3];
    const bool pixels = *pixel >= shape[3] && mul(max64(shape[2], 1), max64(*pixel, 1), &least_row);
    if (pixels && !*row) {
        *row = shape[2] * *pixel;
    }
    const bool rows = pixels && *row >= shape[2] * *pixel && mul(max64(shape[1], 1), max64(*row, 1), &least_image);
    if (rows && !*image) {
        *image = shape[1] * *row;
    }
    if (!rows || *image < shape[1] * *row || !mul(max64(shape[0], 1), max64(*image, 1), &all) ||
        !mul(all, (int64_t)item, &all)) {
        return fail(error, status, argument, "the pitches of pixel, row and image are too small or too large");
    }
    return CHANCONV_OK;
}

static chanconv_status resolve_arrays(struct geometry *g, chanconv_error *error)
{
    const int64_t x[4] = {g->n, g->h, g->w, g->c}, y[4] = {g->n, g->oh, g->ow, g->k};
    const int64_t kernel[4] = {g->kh, g->kw, g->cg, g->k};
    if (g->n < 0) {
        return fail(error, CHANCONV_BAD_X, "x", "expected 0 images or more, got %lld", (long long)g->n);
    }
    if (!fits(x, 4, g->item)) {
        return fail(error, CHANCONV_BAD_X, "x", "an array of shape (%lld, %lld, %lld, %lld) is too large",
                    (long long)g->n, (long long)g->h, (long long)g->w, (long long)g->c);
    }
    if (!fits(kernel, 4, g->item)) {
        return fail(error, CHANCONV_BAD_KERNEL, "kernel", "an array of shape (%lld, %lld, %lld, %lld) is too large",
                    (long long)g->kh, (long long)g->kw, (long long)g->cg, (long long)g->k);
    }
    if (!fits(y, 4, g->item)) {
        return fail(error, CHANCONV_BAD_KERNEL, "kernel",
                    "with %lld kernels the result, of shape (%lld, %lld, %lld, %lld), is too large", (long long)g->k,
                    (long long)g->n, (long long)g->oh, (long long)g->ow, (long long)g->k);
    }
    TRY(resolve_pitch("x", CHANCONV_BAD_X, x, g->item, &g->x_pixel, &g->x_row, &g->x_image, error));
    return resolve_pitch("y", CHANCONV_BAD_Y, y, g->item, &g->y_pixel, &g->y_row, &g->y_image, error);
}

/* Steps that are never taken get values that keep products small and passes short: the dilation of a kernel of one tap is
 * 1; the stride of a single output is so long that in the gradient of x every tap has cells of its own (gemm.c). The
 * arrays fit an address space: sizes are far from overflow. */
static void simplify_axis(struct geometry *g, int axis)
{
    const int64_t taps = axis ? g->kw : g->kh, out = axis ? g->ow : g->oh;
    const int64_t padded = (axis ? g->w : g->h) + g->pad[axis][0] + g->pad[axis][1];
    if (taps == 1) {
        g->dilation[axis] = 1;
    }
    if (out == 1) {
        g->stride[axis] = g->dilation[axis] * (padded / g->dilation[axis] + 1);
    }
}

chanconv_status resolve(const chanconv_conv *conv, struct geometry *g, chanconv_error *error)
{
    TRY(check_struct(conv, error));
    *g = (struct geometry){
        .dtype = conv->dtype, .mode = conv->padding_mode, .algorithm = conv->algorithm,
        .precision = conv->precision, .item = conv->dtype == CHANCONV_F32 ? 4 : 8,
        .n = conv->n, .h = conv->h, .w = conv->w, .c = conv->c, .kh = conv->kh, .kw = conv->kw, .k = conv->k,
        .groups = conv->groups,
        .stride = {conv->stride[0], conv->stride[1]}, .dilation = {conv->dilation[0], conv->dilation[1]},
        .x_pixel = conv->x_pixel, .x_row = conv->x_row, .x_image = conv->x_image,
        .y_pixel = conv->y_pixel, .y_row = conv->y_row, .y_image = conv->y_image,
        .activation = conv->activation,
    };
    TRY(resolve_axis(conv, 0, g->h, g->kh, g->pad[0], &g->oh, error));
    TRY(resolve_axis(conv, 1, g->w, g->kw, g->pad[1], &g->ow, error));
    TRY(check_channels(conv, error));
    g->cg = g->c / g->groups;
    g->kg = g->k / g->groups;
    TRY(resolve_arrays(g, error));
    for (int axis = 0; axis < 2; axis++) {
        simplify_axis(g, axis);
    }
    return CHANCONV_OK;
}

chanconv_status resolve_columns(const chanconv_conv *conv, struct geometry *g, chanconv_error *error)
{
    TRY(check_struct(conv, error));
    chanconv_conv one = *conv;
    one.groups = 1;
    one.k = 1;
    one.kernel_c = -1;
    one.y_pixel = one.y_row = one.y_image = 0;
    TRY(resolve(&one, g, error));
    const int64_t columns[5] = {g->n, g->oh, g->ow, g->kh * g->kw, g->c};
    if (!fits(columns, 5, g->item)) {
        return fail(error, CHANCONV_NO_MEMORY, "columns", "the matrix is larger than memory can be");
    }
    return CHANCONV_OK;
}

chanconv_status chanconv_conv_check(const chanconv_conv *conv, chanconv_sizes *sizes, chanconv_error *error)
{
    struct geometry g;
    if (sizes && sizes->struct_size != sizeof *sizes) {
        return fail(error, CHANCONV_BAD_STRUCT, "sizes", "expected struct_size to be sizeof(chanconv_sizes)");
    }
    TRY(resolve(conv, &g, error));
    if (sizes) {
        *sizes = (chanconv_sizes){
            .struct_size = sizeof *sizes, .oh = g.oh, .ow = g.ow,
            .padding = {{g.pad[0][0], g.pad[0][1]}, {g.pad[1][0], g.pad[1][1]}},
            .x_count = g.n * g.h * g.w * g.c,
            .kernel_count = g.kh * g.kw * g.cg * g.k,
            .y_count = g.n * g.oh * g.ow * g.k,
        };
    }
    return CHANCONV_OK;
}

/* The size of one axis of a transposed convolution's result. */
static chanconv_status transposed_axis(const chanconv_conv *conv, int axis, int64_t grid, int64_t output_padding,
                                       int64_t taps, int64_t *size, chanconv_error *error)
{
    const int64_t stride = conv->stride[axis], dilation = conv->dilation[axis];
    int64_t reach;
    if (grid < 1) {
        return fail(error, CHANCONV_BAD_X, "x", "expected a size of 1 or more (%s), got %lld", axis_name[axis],
                    (long long)grid);
    }
    if (stride < 1 || dilation < 1 || taps < 1 || !extent(taps, dilation, &reach)) {
        *size = 1; /* resolve() will say what is wrong */
        return CHANCONV_OK;
    }
    const bool same = conv->padding_rule != CHANCONV_PAD_EXPLICIT;
    if (output_padding < 0 || output_padding >= (same ? 1 : max64(stride, dilation))) {
        return fail(error, CHANCONV_BAD_OUTPUT_PADDING, "output_padding", "expected %s (%s), got %lld",
                    same ? "0 with padding \"same\"" : "0 or more and less than the larger of stride and dilation",
                    axis_name[axis], (long long)output_padding);
    }
    int64_t full;
    if (!mul(same ? grid : grid - 1, stride, &full) ||
        (!same && (__builtin_add_overflow(full, reach, &full) || __builtin_add_overflow(full, output_padding, &full)))) {
        return fail(error, CHANCONV_BAD_STRIDE, "stride", "%lld makes the result too large (%s)", (long long)stride,
                    axis_name[axis]);
    }
    const int64_t *pad = conv->padding[axis];
    if (!same && pad[0] >= 0 && pad[1] >= 0 && pad[0] <= PAD_MAX && pad[1] <= PAD_MAX) {
        full -= pad[0] + pad[1];
    }
    if (full < 1) {
        return fail(error, CHANCONV_BAD_PADDING, "padding", "leaves a result of size %lld (%s), expected 1 or more",
                    (long long)full, axis_name[axis]);
    }
    *size = full;
    return CHANCONV_OK;
}

chanconv_status chanconv_conv_transposed(chanconv_conv *conv, const int64_t grid[2], const int64_t output_padding[2],
                                         chanconv_error *error)
{
    TRY(check_struct(conv, error));
    if (!grid || !output_padding) {
        return fail(error, CHANCONV_BAD_STRUCT, grid ? "output_padding" : "grid", "expected an address, got NULL");
    }
    if (conv->padding_mode != CHANCONV_ZEROS) {
        return fail(error, CHANCONV_BAD_PADDING_MODE, "padding_mode", "a transposed convolution pads with zeros only");
    }
    TRY(transposed_axis(conv, 0, grid[0], output_padding[0], conv->kh, &conv->h, error));
    TRY(transposed_axis(conv, 1, grid[1], output_padding[1], conv->kw, &conv->w, error));
    conv->out[0] = grid[0];
    conv->out[1] = grid[1];
    return CHANCONV_OK;
}

/* i modulo period, 0 .. period - 1. */
static int64_t wrap(int64_t i, int64_t period)
{
    const int64_t r = i % period;
    return r < 0 ? r + period : r;
}

int64_t source_index(int32_t mode, int64_t i, int64_t size)
{
    if (i >= 0 && i < size) {
        return i;
    }
    switch (mode) {
    case CHANCONV_REFLECT: /* one bounce reaches: pads < size */
        return i < 0 ? -i : 2 * (size - 1) - i;
    case CHANCONV_REPLICATE:
        return i < 0 ? 0 : size - 1;
    case CHANCONV_CIRCULAR:
        return wrap(i, size);
    case CHANCONV_SYMMETRIC: { /* period 2 * size: forth and back */
        const int64_t j = wrap(i, 2 * size);
        return j < size ? j : 2 * size - 1 - j;
    }
    default:
        return -1;
    }
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Convolutions from a fuzzer's bytes: which of them exist, by a check of our own in 128 bits, and what their passes are,
 * by loops over the formula in float64.
 */
#ifndef FUZZ_PROBLEM_H
#define FUZZ_PROBLEM_H

#include "input.h"

__extension__ typedef __int128 big;

static const big LARGEST = INT64_MAX;

/* ---- Descriptors ------------------------------------------------------------------------------------------------ */

static int64_t times(int64_t a, int64_t b) { return (int64_t)((uint64_t)a * (uint64_t)b); } /* wraps */

static void decode_pitches(struct input *in, int64_t least, int64_t row, int64_t image, int64_t pitch[3])
{
    const uint8_t kind = byte(in); /* mostly dense */
    if (kind < 160) {
        return;
    }
    pitch[0] = number(in, least, 4);
    pitch[1] = kind % 3 ? number(in, times(row, pitch[0]), 4) : 0;
    pitch[2] = kind % 5 ? number(in, times(image, pitch[1] ? pitch[1] : 1), 4) : 0;
}

static chanconv_conv decode_conv(struct input *in)
{
    static const int64_t channels[] = {8, 20, 70, 8};
    chanconv_conv c;
    chanconv_conv_init(&c);
    const uint8_t kinds = byte(in);
    c.dtype = kinds & 1;
    c.precision = kinds >> 1 & 1;
    const int64_t many = channels[kinds >> 2 & 3];
    const bool depthwise = (kinds >> 4 & 7) == 7, grouped = (kinds >> 4 & 7) == 6;
    c.algorithm = choice(in, CHANCONV_ALGORITHM_COUNT);
    c.n = number(in, kinds < 250, 4);
    c.h = number(in, 1, 12), c.w = number(in, 1, 16), c.c = number(in, 1, many);
    c.kh = number(in, 1, 4), c.kw = number(in, 1, 4), c.k = number(in, 1, many);
    if (depthwise) {
        c.groups = c.c;
        c.k = times(c.c, (int64_t)((uint64_t)c.k % 3) + 1);
    } else if (grouped) {
        c.groups = number(in, 1, 4);
        c.c = times(c.c, c.groups), c.k = times(c.k, c.groups);
    }
    const uint8_t more = byte(in); /* which of the rest is said */
    c.padding_mode = more & 1 ? choice(in, CHANCONV_SYMMETRIC + 1) : 0;
    c.padding_rule = more & 2 ? choice(in, 3) : 0;
    for (int axis = 0; axis < 2; axis++) {
        c.stride[axis] = more & 4 ? number(in, 1, 4) : 1;
        c.dilation[axis] = more & 8 ? number(in, 1, 3) : 1;
        for (int side = 0; side < 2 && more & 16; side++) {
            c.padding[axis][side] = number(in, 0, 5);
        }
    }
    if (more & 32) {
        c.out[0] = number(in, 1, 6), c.out[1] = number(in, 1, 6);
        c.kernel_c = c.groups > 0 ? c.c / c.groups : number(in, 1, 4);
    }
    if (more & 64) {
        c.activation.kind = choice(in, CHANCONV_ACTIVATION_COUNT);
        c.activation.p[0] = (double)number(in, 0, 3);
        c.activation.p[1] = byte(in) == 255 ? NAN : c.activation.p[0] + 1;
    }
    if (more & 128) {
        int64_t x[3] = {0}, y[3] = {0};
        decode_pitches(in, c.c, c.w, c.h, x);
        decode_pitches(in, c.k, 12, 10, y);
        c.x_pixel = x[0], c.x_row = x[1], c.x_image = x[2];
        c.y_pixel = y[0], c.y_row = y[1], c.y_image = y[2];
        c.struct_size += byte(in) == 255;
        c.dtype = byte(in) >= 252 ? choice(in, 3) : c.dtype;
    }
    return c;
}

static void describe(const chanconv_conv *c)
{
    fprintf(stderr, "%s, dtype %d, mode %d, rule %d, algorithm %d, precision %d, activation %d\n", chanconv_isa(),
            c->dtype, c->padding_mode, c->padding_rule, c->algorithm, c->precision, c->activation.kind);
    const int64_t numbers[] = {c->n, c->h, c->w, c->c, c->kh, c->kw, c->kernel_c, c->k, c->stride[0], c->stride[1],
                               c->dilation[0], c->dilation[1], c->padding[0][0], c->padding[0][1], c->padding[1][0],
                               c->padding[1][1], c->groups, c->out[0], c->out[1], c->x_pixel, c->x_row, c->x_image,
                               c->y_pixel, c->y_row, c->y_image};
    fprintf(stderr, "n h w c, kh kw kernel_c k, stride, dilation, padding, groups, out, x pitches, y pitches:");
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        fprintf(stderr, " %lld", (long long)numbers[i]);
    }
    fprintf(stderr, "\n");
}

/* ---- Which exist ------------------------------------------------------------------------------------------------ */

static bool activation_exists(int32_t dtype, const chanconv_activation *a)
{
    static const int parameters[CHANCONV_ACTIVATION_COUNT] = {
        [CHANCONV_LEAKY_RELU] = 1, [CHANCONV_ELU] = 1, [CHANCONV_CELU] = 1, [CHANCONV_HARD_TANH] = 2,
        [CHANCONV_SOFTPLUS] = 2, [CHANCONV_SOFTSHRINK] = 1, [CHANCONV_HARDSHRINK] = 1, [CHANCONV_THRESHOLD] = 2,
    };
    if (a->kind < 0 || a->kind >= CHANCONV_ACTIVATION_COUNT) {
        return false;
    }
    const bool factor = a->kind == CHANCONV_LEAKY_RELU || a->kind == CHANCONV_ELU || a->kind == CHANCONV_CELU ||
                        a->kind == CHANCONV_SOFTPLUS;
    for (int i = 0; i < parameters[a->kind]; i++) {
        const bool limit = isinf(a->p[i]) && !(factor && i == 0);
        if (!limit && !(fabs(a->p[i]) <= (dtype == CHANCONV_F32 ? FLT_MAX : DBL_MAX))) {
            return false;
        }
    }
    switch (a->kind) {
    case CHANCONV_CELU:
    case CHANCONV_SOFTPLUS: return a->p[0] != 0;
    case CHANCONV_HARD_TANH: return a->p[0] <= a->p[1];
    case CHANCONV_SOFTSHRINK: return a->p[0] >= 0;
    default: return true;
    }
}

struct axis {
    big size, taps, stride, dilation, reach, pad[2], out;
};

static bool pads_exist(const chanconv_conv *c, int which, struct axis *a)
{
    const big total_of_same = ((a->size + a->stride - 1) / a->stride - 1) * a->stride + a->reach - a->size;
    for (int side = 0; side < 2; side++) {
        const big total = a->size == 0 ? a->reach : total_of_same > 0 ? total_of_same : 0;
        const bool odd = (c->padding_rule == CHANCONV_PAD_SAME) == (side == 1);
        a->pad[side] = c->padding_rule == CHANCONV_PAD_EXPLICIT ? c->padding[which][side] : (total + odd) / 2;
        if (a->pad[side] < 0 || a->pad[side] > INT32_MAX || (c->padding_rule && total > INT32_MAX)) {
            return false;
        }
        const big most = c->padding_mode == CHANCONV_REFLECT    ? a->size - 1
                         : c->padding_mode == CHANCONV_CIRCULAR ? a->size
                         : c->padding_mode && a->size == 0      ? 0
                                                                : INT32_MAX;
        if (a->pad[side] && a->pad[side] > most) {
            return false;
        }
    }
    return true;
}

static bool axis_exists(const chanconv_conv *c, int which, struct axis *a)
{
    *a = (struct axis){.size = which ? c->w : c->h, .taps = which ? c->kw : c->kh, .stride = c->stride[which],
                       .dilation = c->dilation[which]};
    a->reach = a->dilation * (a->taps - 1) + 1;
    if (a->size < 0 || a->taps < 1 || a->stride < 1 || a->dilation < 1 || a->reach > LARGEST ||
        !pads_exist(c, which, a) || (c->padding_rule && a->size == 0)) {
        return false;
    }
    const big padded = a->size + a->pad[0] + a->pad[1];
    if (padded > LARGEST || padded < a->reach) {
        return false;
    }
    const big all = (padded - a->reach) / a->stride + 1;
    a->out = c->out[which] < 0 ? all : c->out[which];
    return a->out > 0 && a->out <= all;
}

/* A product with 0 counted as 1 fits an int64_t. */
static bool fits(big a, big b, big c, big d, big e)
{
    const big factors[] = {a, b, c, d, e};
    big product = 1;
    for (int i = 0; i < 5; i++) {
        product *= factors[i] > 0 ? factors[i] : 1;
        if (product > LARGEST) {
            return false;
        }
    }
    return true;
}

static bool pitches_exist(big n, big h, big w, big c, big bytes, int64_t pixel, int64_t row, int64_t image)
{
    const big p = pixel ? pixel : c;
    if (p < c || !fits(w, p, 1, 1, 1)) {
        return false;
    }
    const big r = row ? row : w * p;
    if (r < w * p || !fits(h, r, 1, 1, 1)) {
        return false;
    }
    const big i = image ? image : h * r;
    return i >= h * r && fits(n, i, bytes, 1, 1);
}

static bool channels_exist(const chanconv_conv *c)
{
    if (c->c < 0 || c->k < 0 || c->groups < 1 || c->n < 0) {
        return false;
    }
    if (c->groups > 1 && (c->c == 0 || c->k == 0 || c->c % c->groups || c->k % c->groups)) {
        return false;
    }
    return c->kernel_c < 0 || c->kernel_c == c->c / c->groups;
}

/* Whether chanconv_conv_check() should accept; the axes are then filled in. */
static bool exists(const chanconv_conv *c, struct axis axes[2])
{
    if (c->struct_size != sizeof *c || (c->dtype != CHANCONV_F32 && c->dtype != CHANCONV_F64) ||
        c->padding_mode < 0 || c->padding_mode > CHANCONV_SYMMETRIC || c->padding_rule < 0 ||
        c->padding_rule > CHANCONV_PAD_SAME_LOWER || c->algorithm < 0 || c->algorithm >= CHANCONV_ALGORITHM_COUNT ||
        !activation_exists(c->dtype, &c->activation) || !channels_exist(c) || !axis_exists(c, 0, &axes[0]) ||
        !axis_exists(c, 1, &axes[1])) {
        return false;
    }
    const big bytes = c->dtype == CHANCONV_F32 ? 4 : 8;
    return fits(c->n, c->h, c->w, c->c, bytes) && fits(c->kh, c->kw, c->c / c->groups, c->k, bytes) &&
           fits(c->n, axes[0].out, axes[1].out, c->k, bytes) &&
           pitches_exist(c->n, c->h, c->w, c->c, bytes, c->x_pixel, c->x_row, c->x_image) &&
           pitches_exist(c->n, axes[0].out, axes[1].out, c->k, bytes, c->y_pixel, c->y_row, c->y_image);
}

/* ---- Problems --------------------------------------------------------------------------------------------------- */

enum role { NONE, X, KERNEL, BIAS, Y, KERNELS, Y_BIAS, X_BIAS, COLUMNS, ROLES }; /* KERNELS: one for every image */

struct layout {
    int64_t n, h, w, c, pixel, row, image; /* of x or y */
};

struct problem {
    chanconv_conv conv;
    struct layout x, y;
    int64_t pad[2];
    int64_t extent[ROLES]; /* elements from the first to the last, gaps included */
};

static int64_t extent_of(const struct layout *a)
{
    return a->n && a->h && a->w && a->c
               ? (a->n - 1) * a->image + (a->h - 1) * a->row + (a->w - 1) * a->pixel + a->c : 0;
}

static int64_t place(const struct layout *a, int64_t n, int64_t i, int64_t j) /* of a pixel */
{
    return n * a->image + i * a->row + j * a->pixel;
}

static struct layout layout_of(int64_t n, int64_t h, int64_t w, int64_t c, int64_t pixel, int64_t row, int64_t image)
{
    struct layout a = {n, h, w, c, pixel ? pixel : c, row, image};
    a.row = a.row ? a.row : w * a.pixel;
    a.image = a.image ? a.image : h * a.row;
    return a;
}

/* An array, or the padded image, is of a size that no memory has. */
static bool is_huge(const chanconv_conv *c, const struct axis axes[2])
{
    const big y = axes[0].out * axes[1].out;
    const big padded[2] = {axes[0].size + axes[0].pad[0] + axes[0].pad[1],
                           axes[1].size + axes[1].pad[0] + axes[1].pad[1]};
    return !fits(c->n, padded[0], padded[1], c->c, 1 << 17) || !fits(c->n, y, c->k, 1, 1 << 17) ||
           !fits(c->kh, c->kw, c->c / c->groups, c->k, 1 << 17);
}

enum { MOST_WORK = 20000, MOST_ELEMENTS = 20000 };

/* The multiplications, and the elements of all arrays, are few. */
static bool is_small(const chanconv_conv *c, const struct axis axes[2])
{
    const struct {
        big pixel, row, image, n, h, w, c;
    } arrays[2] = {{c->x_pixel, c->x_row, c->x_image, c->n, c->h, c->w, c->c},
                   {c->y_pixel, c->y_row, c->y_image, c->n, axes[0].out, axes[1].out, c->k}};
    if (!fits(c->n, axes[0].out, axes[1].out, c->kh, c->kw) ||
        c->n * axes[0].out * axes[1].out * c->kh * c->kw * (c->k + 1) > MOST_WORK ||
        c->n * axes[0].out * axes[1].out * c->kh * c->kw * (c->k / c->groups + 1) * (c->c + 1) > MOST_WORK ||
        (big)c->kh * c->kw * (c->c / c->groups) * c->k > MOST_ELEMENTS || axes[0].pad[0] + axes[0].pad[1] > 1000 ||
        axes[1].pad[0] + axes[1].pad[1] > 1000 || (big)(c->n + 1) * c->kh * c->kw * c->k > MOST_ELEMENTS) {
        return false;
    }
    for (int i = 0; i < 2; i++) {
        const big pixel = arrays[i].pixel ? arrays[i].pixel : arrays[i].c;
        const big row = arrays[i].row ? arrays[i].row : arrays[i].w * pixel;
        const big image = arrays[i].image ? arrays[i].image : arrays[i].h * row;
        if (pixel > MOST_ELEMENTS || row > MOST_ELEMENTS || image > MOST_ELEMENTS ||
            (arrays[i].n + 1) * image > MOST_ELEMENTS || arrays[i].h > 1000 || arrays[i].w > 1000) {
            return false;
        }
    }
    return true;
}

static struct problem problem_of(const chanconv_conv *c, const struct axis axes[2])
{
    const int64_t oh = (int64_t)axes[0].out, ow = (int64_t)axes[1].out, taps = c->kh * c->kw;
    struct problem p = {.conv = *c, .pad = {(int64_t)axes[0].pad[0], (int64_t)axes[1].pad[0]}};
    p.x = layout_of(c->n, c->h, c->w, c->c, c->x_pixel, c->x_row, c->x_image);
    p.y = layout_of(c->n, oh, ow, c->k, c->y_pixel, c->y_row, c->y_image);
    p.extent[X] = extent_of(&p.x);
    p.extent[Y] = extent_of(&p.y);
    p.extent[KERNEL] = taps * (c->c / c->groups) * c->k;
    p.extent[KERNELS] = c->n * p.extent[KERNEL];
    p.extent[Y_BIAS] = p.extent[BIAS] = c->k;
    p.extent[X_BIAS] = c->c;
    p.extent[COLUMNS] = c->n * oh * ow * taps * c->c;
    return p;
}

/* ---- The formula ------------------------------------------------------------------------------------------------ */

/* What a result should be: by element of its array, with the sum of the sizes of its terms and their number. */
struct expected {
    double *sum, *size;
    int64_t *terms;
    int64_t count;
};

static struct expected expected_new(int64_t count)
{
    return (struct expected){calloc((size_t)count + 1, sizeof(double)), calloc((size_t)count + 1, sizeof(double)),
                             calloc((size_t)count + 1, sizeof(int64_t)), count};
}

static void expected_free(struct expected *e)
{
    free(e->sum);
    free(e->size);
    free(e->terms);
}

static void add(struct expected *e, int64_t i, double term)
{
    e->sum[i] += term;
    e->size[i] += fabs(term);
    e->terms[i]++;
}

/* The cell that cell i of a padded axis copies, by walking to it; -1 for zeros. */
static int64_t cell(int32_t mode, int64_t i, int64_t size)
{
    while (i < 0 || i >= size) {
        switch (mode) {
        case CHANCONV_REFLECT: i = i < 0 ? -i : 2 * size - 2 - i; break;
        case CHANCONV_REPLICATE: i = i < 0 ? 0 : size - 1; break;
        case CHANCONV_CIRCULAR: i = i < 0 ? i + size : i - size; break;
        case CHANCONV_SYMMETRIC: i = i < 0 ? -1 - i : 2 * size - 1 - i; break;
        default: return -1;
        }
    }
    return i;
}

struct tap {
    int64_t n, x, y, tap; /* places of the pixels of x (-1: padding) and y; r * KW + s */
};

typedef void tap_fn(const struct problem *p, const struct tap *tap, const struct array *const in[], struct expected *e);

static void each_tap(const struct problem *p, tap_fn *f, const struct array *const in[], struct expected *e)
{
    const chanconv_conv *c = &p->conv;
    const int64_t taps = c->kh * c->kw, outputs = p->y.h * p->y.w;
    for (int64_t i = 0; i < c->n * outputs * taps; i++) {
        const int64_t tap = i % taps, n = i / taps / outputs, oh = i / taps % outputs / p->y.w, ow = i / taps % p->y.w;
        const int64_t row = cell(c->padding_mode, oh * c->stride[0] + tap / c->kw * c->dilation[0] - p->pad[0], c->h);
        const int64_t col = cell(c->padding_mode, ow * c->stride[1] + tap % c->kw * c->dilation[1] - p->pad[1], c->w);
        const struct tap t = {n, row < 0 || col < 0 ? -1 : place(&p->x, n, row, col), place(&p->y, n, oh, ow), tap};
        f(p, &t, in, e);
    }
}

/* f(x channel i, y channel k, kernel element) for all that meet at a tap. */
#define FOR_CHANNELS(p, t, i, k, weight)                                                                       \
    for (int64_t cg = (p)->conv.c / (p)->conv.groups, kg = (p)->conv.k / (p)->conv.groups, i = 0, k, weight;   \
         i < (p)->conv.c; i++)                                                                                 \
        for (k = i / cg * kg; k < (i / cg + 1) * kg && (weight = ((t)->tap * cg + i % cg) * (p)->conv.k + k, true); k++)

static void tap_forward(const struct problem *p, const struct tap *t, const struct array *const in[],
                        struct expected *e)
{
    FOR_CHANNELS(p, t, i, k, weight) {
        add(e, t->y + k, (t->x < 0 ? 0 : get(in[0], t->x + i)) * get(in[1], weight));
    }
}

static void tap_grad_x(const struct problem *p, const struct tap *t, const struct array *const in[],
                       struct expected *e)
{
    FOR_CHANNELS(p, t, i, k, weight) {
        if (t->x >= 0) {
            add(e, t->x + i, get(in[0], t->y + k) * get(in[1], weight));
        }
    }
}

static void tap_grad_kernel(const struct problem *p, const struct tap *t, const struct array *const in[],
                            struct expected *e)
{
    const int64_t image = e->count > p->extent[KERNEL] ? t->n * p->extent[KERNEL] : 0;
    FOR_CHANNELS(p, t, i, k, weight) {
        add(e, image + weight, get(in[0], t->y + k) * (t->x < 0 ? 0 : get(in[1], t->x + i)));
    }
}

static int64_t column(const struct problem *p, const struct tap *t)
{
    const int64_t in_image = t->y - t->n * p->y.image;
    const int64_t pixel = t->n * p->y.h * p->y.w + in_image / p->y.row * p->y.w + in_image % p->y.row / p->y.pixel;
    return (pixel * p->conv.kh * p->conv.kw + t->tap) * p->conv.c;
}

static void tap_im2col(const struct problem *p, const struct tap *t, const struct array *const in[],
                       struct expected *e)
{
    for (int64_t i = 0; i < p->conv.c; i++) {
        e->sum[column(p, t) + i] = t->x < 0 ? 0 : get(in[0], t->x + i);
    }
}

static void tap_col2im(const struct problem *p, const struct tap *t, const struct array *const in[],
                       struct expected *e)
{
    for (int64_t i = 0; i < p->conv.c && t->x >= 0; i++) {
        add(e, t->x + i, get(in[0], column(p, t) + i));
    }
}

/* f(place of a pixel) for all pixels of x or y. */
#define FOR_PIXELS(a, pixel)                                                                          \
    for (int64_t q_ = 0, pixel; q_ < (a)->n * (a)->h * (a)->w &&                                      \
         (pixel = place(a, q_ / ((a)->h * (a)->w), q_ / (a)->w % (a)->h, q_ % (a)->w), true); q_++)

#endif

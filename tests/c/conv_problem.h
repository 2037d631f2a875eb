/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Convolutions of small integers, whose sums are exact, with what every pass should give; their arrays between guard
 * pages, and the passes as a list.
 */
#ifndef CHANCONV_CONV_PROBLEM_H
#define CHANCONV_CONV_PROBLEM_H

#include <math.h>

#include "test.h"

/* ---- Problems -------------------------------------------------------------------------------------------------- */

enum array {
    X, KERNEL, BIAS, GRAD_Y, BIAS_X, COLUMNS, /* inputs; BIAS_X: of the transposed convolution */
    Y, GRAD_X, TRANSPOSED, GRAD_KERNEL, GRAD_KERNELS, GRAD_BIAS, IM2COL, COL2IM,
    ARRAYS, NONE
};

struct problem {
    chanconv_conv conv;
    int64_t oh, ow;
    int64_t count[ARRAYS];
    double *value[ARRAYS]; /* inputs, and what the outputs should be */
    void *input[COLUMNS + 1]; /* the inputs as the descriptor's dtype has them */
};

static uint32_t random_state = 1;

static int64_t random_below(int64_t limit)
{
    random_state = random_state * 1664525u + 1013904223u;
    return (int64_t)(random_state >> 8) % limit;
}

static void count_arrays(struct problem *p, const chanconv_sizes *sizes)
{
    const chanconv_conv *c = &p->conv;
    p->oh = sizes->oh;
    p->ow = sizes->ow;
    p->count[X] = p->count[GRAD_X] = p->count[TRANSPOSED] = p->count[COL2IM] = sizes->x_count;
    p->count[KERNEL] = p->count[GRAD_KERNEL] = sizes->kernel_count;
    p->count[GRAD_KERNELS] = c->n * sizes->kernel_count;
    p->count[BIAS] = p->count[GRAD_BIAS] = c->k;
    p->count[BIAS_X] = c->c;
    p->count[Y] = p->count[GRAD_Y] = sizes->y_count;
    p->count[COLUMNS] = p->count[IM2COL] = c->n * p->oh * p->ow * c->kh * c->kw * c->c;
}

/* The tap (r, s) of output pixel (oh, ow): the pixel of x that it meets, or -1 for padding. */
static int64_t pixel_of_tap(const struct problem *p, int64_t padding[2][2], int64_t oh, int64_t ow, int64_t r,
                            int64_t s)
{
    const chanconv_conv *c = &p->conv;
    int64_t i = source_index(c->padding_mode, oh * c->stride[0] + r * c->dilation[0] - padding[0][0], c->h);
    int64_t j = source_index(c->padding_mode, ow * c->stride[1] + s * c->dilation[1] - padding[1][0], c->w);
    return i < 0 || j < 0 ? -1 : i * c->w + j;
}

/* All that the formulas say of one tap of one output pixel of image n; `column` is its place in the im2col matrix. */
static void add_tap(struct problem *p, int64_t n, int64_t pixel, int64_t out, int64_t tap, int64_t column)
{
    const chanconv_conv *c = &p->conv;
    int64_t cg = c->c / c->groups, kg = c->k / c->groups;
    double *const *v = p->value;
    for (int64_t i = 0; i < c->c; i++) {
        int64_t x = (n * c->h * c->w + pixel) * c->c + i;
        v[IM2COL][column + i] = v[X][x];
        v[COL2IM][x] += v[COLUMNS][column + i];
        for (int64_t k = i / cg * kg; k < (i / cg + 1) * kg; k++) {
            int64_t y = out * c->k + k, weight = (tap * cg + i % cg) * c->k + k;
            v[Y][y] += v[X][x] * v[KERNEL][weight];
            v[GRAD_X][x] += v[GRAD_Y][y] * v[KERNEL][weight];
            v[GRAD_KERNEL][weight] += v[GRAD_Y][y] * v[X][x];
            v[GRAD_KERNELS][n * p->count[KERNEL] + weight] += v[GRAD_Y][y] * v[X][x];
        }
    }
}

static void expect(struct problem *p, int64_t padding[2][2])
{
    const chanconv_conv *c = &p->conv;
    int64_t outputs = p->oh * p->ow, taps = c->kh * c->kw;
    for (int64_t i = 0; i < p->count[Y]; i++) {
        p->value[Y][i] += p->value[BIAS][i % c->k];
        p->value[GRAD_BIAS][i % c->k] += p->value[GRAD_Y][i];
    }
    for (int64_t i = 0; i < c->n * outputs * taps; i++) {
        int64_t tap = i % taps, out = i / taps, n = out / outputs, place = out % outputs;
        int64_t pixel = pixel_of_tap(p, padding, place / p->ow, place % p->ow, tap / c->kw, tap % c->kw);
        if (pixel >= 0) {
            add_tap(p, n, pixel, out, tap, i * c->c);
        }
    }
    for (int64_t i = 0; i < p->count[X]; i++) {
        p->value[TRANSPOSED][i] = p->value[GRAD_X][i] + p->value[BIAS_X][i % c->c];
    }
    for (int a = Y; a <= TRANSPOSED && c->activation.kind == CHANCONV_RELU; a += TRANSPOSED - Y) {
        for (int64_t i = 0; i < p->count[a]; i++) {
            p->value[a][i] = fmax(p->value[a][i], 0);
        }
    }
}

static size_t item_bytes(const struct problem *p)
{
    return p->conv.dtype == CHANCONV_F32 ? sizeof(float) : sizeof(double);
}

static void *in_its_dtype(const struct problem *p, enum array a)
{
    void *data = malloc((size_t)(p->count[a] + 1) * item_bytes(p));
    for (int64_t i = 0; i < p->count[a]; i++) {
        if (p->conv.dtype == CHANCONV_F32) {
            ((float *)data)[i] = (float)p->value[a][i];
        } else {
            ((double *)data)[i] = p->value[a][i];
        }
    }
    return data;
}

/* Small integers as inputs, and what follows from them; false if there is no such convolution. */
static bool make_problem(struct problem *p)
{
    chanconv_sizes sizes = {.struct_size = sizeof sizes};
    if (chanconv_conv_check(&p->conv, &sizes, NULL) != CHANCONV_OK) {
        return false;
    }
    count_arrays(p, &sizes);
    for (int a = 0; a < ARRAYS; a++) {
        p->value[a] = calloc((size_t)p->count[a] + 1, sizeof(double));
        for (int64_t i = 0; i < p->count[a] && a <= COLUMNS; i++) {
            p->value[a][i] = (double)(random_below(7) - 3);
        }
        if (a <= COLUMNS) {
            p->input[a] = in_its_dtype(p, (enum array)a);
        }
    }
    expect(p, sizes.padding);
    return true;
}

static void free_problem(struct problem *p)
{
    for (int a = 0; a < ARRAYS; a++) {
        free(p->value[a]);
    }
    for (int a = 0; a <= COLUMNS; a++) {
        free(p->input[a]);
    }
}

/* ---- Arrays ---------------------------------------------------------------------------------------------------- */

static double load(const struct problem *p, const void *array, int64_t i)
{
    return p->conv.dtype == CHANCONV_F32 ? (double)((const float *)array)[i] : ((const double *)array)[i];
}

static UNUSED struct guarded input(const struct problem *p, enum array a, enum guard side)
{
    if (a == NONE) {
        return (struct guarded){0};
    }
    struct guarded buffer = guarded_new((size_t)p->count[a] * item_bytes(p), side);
    memcpy(buffer.data, p->input[a], (size_t)p->count[a] * item_bytes(p));
    guarded_protect(&buffer);
    return buffer;
}

static UNUSED struct guarded output(const struct problem *p, enum array a, enum guard side)
{
    size_t bytes = (size_t)p->count[a] * item_bytes(p);
    struct guarded buffer = guarded_new(bytes, side);
    memset(buffer.data, 0xff, bytes);
    return buffer;
}

/* Whether an output is as it should be: exactly, but for algorithms that divide. */
static UNUSED bool as_expected(const struct problem *p, enum array a, const void *data)
{
    bool divides = p->conv.algorithm == CHANCONV_WINOGRAD || p->conv.algorithm == CHANCONV_FFT;
    for (int64_t i = 0; i < p->count[a]; i++) {
        double got = load(p, data, i), expected = p->value[a][i];
        if (!(fabs(got - expected) <= (divides ? 0.01 : 0.0))) {
            fprintf(stderr, "element %lld: %g, expected %g\n", (long long)i, got, expected);
            return false;
        }
    }
    return true;
}

/* ---- Passes ---------------------------------------------------------------------------------------------------- */

static const struct pass {
    enum array out, in[3];
    bool packed; /* with a kernel that was packed for it */
} passes[] = {
    {Y, {X, KERNEL, BIAS}, false},
    {GRAD_X, {GRAD_Y, KERNEL, NONE}, false},
    {TRANSPOSED, {GRAD_Y, KERNEL, BIAS_X}, false},
    {GRAD_KERNEL, {GRAD_Y, X, NONE}, false},
    {GRAD_KERNELS, {GRAD_Y, X, NONE}, false},
    {GRAD_BIAS, {GRAD_Y, NONE, NONE}, false},
    {IM2COL, {X, NONE, NONE}, false},
    {COL2IM, {COLUMNS, NONE, NONE}, false},
    {Y, {X, KERNEL, BIAS}, true},
    {GRAD_X, {GRAD_Y, KERNEL, NONE}, true},
    {TRANSPOSED, {GRAD_Y, KERNEL, BIAS_X}, true},
};

enum { PASSES = sizeof passes / sizeof *passes };

/* Whether there is such a pass: transposed convolutions have zero padding alone. */
static bool has_pass(const struct problem *p, const struct pass *pass)
{
    return pass->out != TRANSPOSED || p->conv.padding_mode == CHANCONV_ZEROS;
}

static chanconv_status call_packed(chanconv_context *context, const chanconv_conv *conv, enum array out,
                                   void *const in[3], void *result, chanconv_error *error)
{
    chanconv_packed *packed;
    const chanconv_pass pass = out == Y ? CHANCONV_FORWARD : CHANCONV_GRAD_X;
    chanconv_status status = chanconv_pack_kernel(context, conv, pass, in[1], &packed, error);
    if (status != CHANCONV_OK) {
        return status;
    }
    switch (out) {
    case Y: status = chanconv_conv_forward_packed(context, conv, in[0], packed, in[2], result, error); break;
    case GRAD_X: status = chanconv_conv_grad_x_packed(context, conv, in[0], packed, result, error); break;
    default: status = chanconv_conv_transpose_packed(context, conv, in[0], packed, in[2], result, error);
    }
    chanconv_packed_destroy(context, packed);
    return status;
}

static chanconv_status call(chanconv_context *context, const struct problem *p, const struct pass *pass,
                            void *const in[3], void *result, chanconv_error *error)
{
    const chanconv_conv *conv = &p->conv;
    if (pass->packed) {
        return call_packed(context, conv, pass->out, in, result, error);
    }
    switch (pass->out) {
    case Y: return chanconv_conv_forward(context, conv, in[0], in[1], in[2], result, error);
    case GRAD_X: return chanconv_conv_grad_x(context, conv, in[0], in[1], result, error);
    case TRANSPOSED: return chanconv_conv_transpose(context, conv, in[0], in[1], in[2], result, error);
    case GRAD_KERNEL: return chanconv_conv_grad_kernel(context, conv, in[0], in[1], result, error);
    case GRAD_KERNELS: return chanconv_conv_grad_kernel_per_sample(context, conv, in[0], in[1], result, error);
    case GRAD_BIAS: return chanconv_conv_grad_bias(context, conv, in[0], result, error);
    case IM2COL: return chanconv_im2col(context, conv, in[0], result, error);
    default: return chanconv_col2im(context, conv, in[0], result, error);
    }
}

/* A pass whose result goes to `out`, which it writes whole. */
static UNUSED chanconv_status run_pass(chanconv_context *context, const struct problem *p, const struct pass *pass,
                                       void *out)
{
    void *in[3] = {NULL};
    for (int i = 0; i < 3 && pass->in[i] != NONE; i++) {
        in[i] = p->input[pass->in[i]];
    }
    memset(out, 0xff, (size_t)p->count[pass->out] * item_bytes(p));
    return call(context, p, pass, in, out, NULL);
}

static UNUSED void describe(const struct problem *p, const struct pass *pass, enum guard side)
{
    const chanconv_conv *c = &p->conv;
    fprintf(stderr,
            "  output %d%s, dtype %d, %s, algorithm %d, guard %d: x %lldx%lldx%lldx%lld, kernel %lldx%lldx%lld, "
            "stride %lld %lld, dilation %lld %lld, groups %lld, mode %d\n",
            pass->out, pass->packed ? " (packed)" : "", c->dtype, chanconv_isa(), c->algorithm, side, (long long)c->n,
            (long long)c->h, (long long)c->w, (long long)c->c, (long long)c->kh, (long long)c->kw, (long long)c->k, (long long)c->stride[0],
            (long long)c->stride[1], (long long)c->dilation[0], (long long)c->dilation[1], (long long)c->groups,
            c->padding_mode);
}

/* Strict precision lets "auto" take but exact sums, and forbids other algorithms altogether. */
static UNUSED void take_algorithm(struct problem *p, chanconv_algorithm algorithm)
{
    p->conv.algorithm = algorithm;
    p->conv.precision = algorithm == CHANCONV_AUTO ? CHANCONV_STRICT : CHANCONV_FAST;
}

/* A pass by an algorithm, unless it declines the shape, gives what is expected. */
static UNUSED void check_call(chanconv_context *context, const struct problem *problem, const struct pass *pass,
                              chanconv_algorithm algorithm)
{
    struct problem p = *problem;
    void *out = malloc((size_t)(p.count[pass->out] + 1) * item_bytes(&p));
    take_algorithm(&p, algorithm);
    const chanconv_status status = run_pass(context, &p, pass, out);
    const bool declined = status == CHANCONV_BAD_ALGORITHM && algorithm > CHANCONV_GEMM;
    if (!declined && (!CHECK(status == CHANCONV_OK) || !CHECK(as_expected(&p, pass->out, out)))) {
        describe(&p, pass, 0);
    }
    free(out);
}

/* ---- Shapes ---------------------------------------------------------------------------------------------------- */

static const struct shape {
    int64_t n, h, w, c, kh, kw, k, stride, dilation, pad, groups;
    int32_t mode;
} shapes[] = {
    {1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 1, CHANCONV_ZEROS},    {2, 6, 7, 3, 3, 3, 5, 1, 1, 1, 1, CHANCONV_ZEROS},
    {3, 4, 5, 16, 1, 1, 33, 1, 1, 0, 1, CHANCONV_ZEROS},  {1, 9, 8, 17, 3, 2, 65, 2, 1, 1, 1, CHANCONV_ZEROS},
    {2, 8, 8, 8, 3, 3, 8, 1, 1, 1, 8, CHANCONV_ZEROS},    {1, 9, 9, 4, 3, 3, 6, 1, 2, 2, 2, CHANCONV_ZEROS},
    {1, 20, 19, 1, 5, 5, 1, 1, 1, 2, 1, CHANCONV_ZEROS},  {2, 7, 7, 40, 3, 3, 24, 3, 1, 0, 1, CHANCONV_ZEROS},
    {1, 5, 6, 6, 2, 2, 12, 3, 1, 1, 3, CHANCONV_ZEROS},   {1, 7, 6, 3, 3, 3, 4, 1, 1, 2, 1, CHANCONV_REFLECT},
    {2, 4, 4, 5, 3, 3, 9, 2, 1, 3, 1, CHANCONV_REPLICATE}, {1, 6, 5, 2, 3, 3, 8, 1, 2, 4, 1, CHANCONV_CIRCULAR},
    {1, 3, 3, 4, 2, 3, 7, 1, 1, 5, 1, CHANCONV_SYMMETRIC}, {1, 2, 3, 2, 3, 3, 2, 1, 1, 4, 1, CHANCONV_ZEROS},
    {0, 5, 5, 3, 3, 3, 4, 1, 1, 1, 1, CHANCONV_ZEROS},    {2, 4, 4, 0, 3, 3, 4, 1, 1, 1, 1, CHANCONV_ZEROS},
    {2, 4, 4, 3, 3, 3, 0, 1, 1, 1, 1, CHANCONV_ZEROS},    {1, 0, 4, 3, 2, 2, 4, 1, 1, 1, 1, CHANCONV_ZEROS},
    {2, 11, 10, 20, 3, 3, 20, 2, 1, 1, 20, CHANCONV_ZEROS}, {1, 9, 8, 17, 3, 3, 34, 1, 1, 1, 17, CHANCONV_ZEROS},
    {1, 9, 9, 32, 3, 3, 32, 1, 1, 1, 8, CHANCONV_ZEROS},  {2, 9, 9, 24, 3, 3, 48, 2, 1, 1, 6, CHANCONV_REPLICATE},
    {1, 70, 67, 1, 17, 15, 1, 1, 1, 3, 1, CHANCONV_ZEROS}, {2, 26, 13, 9, 3, 3, 20, 1, 1, 1, 1, CHANCONV_ZEROS},
    {1, 9, 40, 30, 3, 3, 2, 1, 1, 1, 1, CHANCONV_ZEROS},  {1, 8, 9, 16, 1, 1, 24, 2, 1, 0, 1, CHANCONV_ZEROS},
    {3, 3, 3, 20, 3, 3, 70, 1, 1, 1, 1, CHANCONV_ZEROS},   {2, 2, 3, 66, 3, 3, 20, 1, 1, 1, 1, CHANCONV_ZEROS},
    {1, 4, 13, 9, 2, 2, 60, 1, 1, 0, 1, CHANCONV_ZEROS},   {1, 3, 6, 40, 1, 1, 64, 1, 1, 0, 1, CHANCONV_ZEROS},
};

/* Slow machines, as emulators and memcheck are, get few shapes beside those that are listed. */
#if defined(VALGRIND) || defined(EMULATED)
enum { RANDOM_SHAPES = 4 };
#else
enum { RANDOM_SHAPES = 40 };
#endif
enum { SHAPES = sizeof shapes / sizeof *shapes };

static struct problem problem_of(const struct shape *s, int32_t dtype)
{
    struct problem p = {0};
    chanconv_conv *c = &p.conv;
    chanconv_conv_init(c);
    c->dtype = dtype;
    c->padding_mode = s->mode;
    c->precision = CHANCONV_STRICT;
    c->n = s->n, c->h = s->h, c->w = s->w, c->c = s->c;
    c->kh = s->kh, c->kw = s->kw, c->k = s->k;
    c->groups = s->groups;
    c->activation.kind = s->h % 2 ? CHANCONV_RELU : CHANCONV_IDENTITY; /* gradients do not look at it */
    for (int axis = 0; axis < 2; axis++) {
        c->stride[axis] = s->stride;
        c->dilation[axis] = s->dilation;
        c->padding[axis][0] = c->padding[axis][1] = s->pad;
    }
    return p;
}

static UNUSED struct shape random_shape(void)
{
    int64_t groups = random_below(4) ? 1 : 1 + random_below(4);
    return (struct shape){
        .n = 1 + random_below(3), .h = 1 + random_below(12), .w = 1 + random_below(12),
        .c = groups * (1 + random_below(9)), .k = groups * (1 + random_below(20)),
        .kh = 1 + random_below(4), .kw = 1 + random_below(4),
        .stride = 1 + random_below(3), .dilation = 1 + random_below(2), .pad = random_below(4), .groups = groups,
        .mode = (int32_t)(random_below(3) ? CHANCONV_ZEROS : random_below(CHANCONV_SYMMETRIC + 1))};
}

/* A problem with enough work that its passes are shared out. */
static const struct shape large UNUSED = {3, 30, 29, 20, 3, 3, 40, 1, 1, 1, 1, CHANCONV_REFLECT};

#endif

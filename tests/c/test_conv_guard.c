/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Every pass between guard pages. Inputs are read only and outputs are full of NaN beforehand; arrays begin right after
 * a page that may not be touched, or end right before one. Values are small integers, whose sums are exact, so results
 * must equal the formula's: for every instruction set, algorithm and number of threads, and on a host's own threads.
 */
#include <math.h>

#include "test.h"

/* ---- Problems -------------------------------------------------------------------------------------------------- */

enum array {
    X, KERNEL, BIAS, GRAD_Y, COLUMNS, /* inputs */
    Y, GRAD_X, GRAD_KERNEL, GRAD_KERNELS, GRAD_BIAS, IM2COL, COL2IM,
    ARRAYS, NONE
};

struct problem {
    chanconv_conv conv;
    int64_t oh, ow;
    int64_t count[ARRAYS];
    double *value[ARRAYS]; /* inputs, and what the outputs should be */
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
    p->count[X] = p->count[GRAD_X] = p->count[COL2IM] = sizes->x_count;
    p->count[KERNEL] = p->count[GRAD_KERNEL] = sizes->kernel_count;
    p->count[GRAD_KERNELS] = c->n * sizes->kernel_count;
    p->count[BIAS] = p->count[GRAD_BIAS] = c->k;
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
    }
    expect(p, sizes.padding);
    return true;
}

static void free_problem(struct problem *p)
{
    for (int a = 0; a < ARRAYS; a++) {
        free(p->value[a]);
    }
}

/* ---- Arrays ---------------------------------------------------------------------------------------------------- */

static size_t item_bytes(const struct problem *p)
{
    return p->conv.dtype == CHANCONV_F32 ? sizeof(float) : sizeof(double);
}

static double load(const struct problem *p, const void *array, int64_t i)
{
    return p->conv.dtype == CHANCONV_F32 ? (double)((const float *)array)[i] : ((const double *)array)[i];
}

static struct guarded input(const struct problem *p, enum array a, enum guard side)
{
    if (a == NONE) {
        return (struct guarded){0};
    }
    struct guarded buffer = guarded_new((size_t)p->count[a] * item_bytes(p), side);
    for (int64_t i = 0; i < p->count[a]; i++) {
        if (p->conv.dtype == CHANCONV_F32) {
            ((float *)buffer.data)[i] = (float)p->value[a][i];
        } else {
            ((double *)buffer.data)[i] = p->value[a][i];
        }
    }
    guarded_protect(&buffer);
    return buffer;
}

static struct guarded output(const struct problem *p, enum array a, enum guard side)
{
    size_t bytes = (size_t)p->count[a] * item_bytes(p);
    struct guarded buffer = guarded_new(bytes, side);
    memset(buffer.data, 0xff, bytes);
    return buffer;
}

/* Whether an output is as it should be: exactly, but for algorithms that divide. */
static bool as_expected(const struct problem *p, enum array a, const void *data)
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
} passes[] = {
    {Y, {X, KERNEL, BIAS}},
    {GRAD_X, {GRAD_Y, KERNEL, NONE}},
    {GRAD_KERNEL, {GRAD_Y, X, NONE}},
    {GRAD_KERNELS, {GRAD_Y, X, NONE}},
    {GRAD_BIAS, {GRAD_Y, NONE, NONE}},
    {IM2COL, {X, NONE, NONE}},
    {COL2IM, {COLUMNS, NONE, NONE}},
};

enum { PASSES = sizeof passes / sizeof *passes };

static chanconv_status call(chanconv_context *context, const struct problem *p, enum array out, void *const in[3],
                            void *result, chanconv_error *error)
{
    const chanconv_conv *conv = &p->conv;
    switch (out) {
    case Y: return chanconv_conv_forward(context, conv, in[0], in[1], in[2], result, error);
    case GRAD_X: return chanconv_conv_grad_x(context, conv, in[0], in[1], result, error);
    case GRAD_KERNEL: return chanconv_conv_grad_kernel(context, conv, in[0], in[1], result, error);
    case GRAD_KERNELS: return chanconv_conv_grad_kernel_per_sample(context, conv, in[0], in[1], result, error);
    case GRAD_BIAS: return chanconv_conv_grad_bias(context, conv, in[0], result, error);
    case IM2COL: return chanconv_im2col(context, conv, in[0], result, error);
    default: return chanconv_col2im(context, conv, in[0], result, error);
    }
}

static void describe(const struct problem *p, const struct pass *pass, enum guard side)
{
    const chanconv_conv *c = &p->conv;
    fprintf(stderr,
            "  output %d, dtype %d, %s, algorithm %d, guard %d: x %lldx%lldx%lldx%lld, kernel %lldx%lldx%lld, "
            "stride %lld %lld, dilation %lld %lld, groups %lld, mode %d\n",
            pass->out, c->dtype, chanconv_isa(), c->algorithm, side, (long long)c->n, (long long)c->h, (long long)c->w,
            (long long)c->c, (long long)c->kh, (long long)c->kw, (long long)c->k, (long long)c->stride[0],
            (long long)c->stride[1], (long long)c->dilation[0], (long long)c->dilation[1], (long long)c->groups,
            c->padding_mode);
}

static void check_pass(chanconv_context *context, const struct problem *p, const struct pass *pass, enum guard side)
{
    struct guarded in[3], out = output(p, pass->out, side);
    void *address[3];
    for (int i = 0; i < 3; i++) {
        in[i] = input(p, pass->in[i], side);
        address[i] = in[i].data;
    }
    chanconv_error error;
    chanconv_status status = call(context, p, pass->out, address, out.data, &error);
    bool declined = p->conv.algorithm > CHANCONV_GEMM && status == CHANCONV_BAD_ALGORITHM;
    if (!declined && (!CHECK(status == CHANCONV_OK) || !CHECK(as_expected(p, pass->out, out.data)))) {
        describe(p, pass, side);
    }
    for (int i = 0; i < 3; i++) {
        guarded_free(&in[i]);
    }
    guarded_free(&out);
}

/* Strict precision lets "auto" take but exact sums, and forbids other algorithms altogether. */
static void take_algorithm(struct problem *p, chanconv_algorithm algorithm)
{
    p->conv.algorithm = algorithm;
    p->conv.precision = algorithm == CHANCONV_AUTO ? CHANCONV_STRICT : CHANCONV_FAST;
}

static void check_problem(chanconv_context *context, struct problem *p)
{
    for (int algorithm = CHANCONV_AUTO; algorithm < CHANCONV_ALGORITHM_COUNT; algorithm++) {
        take_algorithm(p, (chanconv_algorithm)algorithm);
        for (int i = 0; i < PASSES; i++) {
            check_pass(context, p, &passes[i], GUARD_START);
            check_pass(context, p, &passes[i], GUARD_END);
        }
    }
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
};

/* Slow machines, as emulators and memcheck are, get the shapes that are listed alone. */
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
    for (int axis = 0; axis < 2; axis++) {
        c->stride[axis] = s->stride;
        c->dilation[axis] = s->dilation;
        c->padding[axis][0] = c->padding[axis][1] = s->pad;
    }
    return p;
}

static struct shape random_shape(void)
{
    int64_t groups = random_below(4) ? 1 : 1 + random_below(4);
    return (struct shape){
        .n = 1 + random_below(3), .h = 1 + random_below(12), .w = 1 + random_below(12),
        .c = groups * (1 + random_below(9)), .k = groups * (1 + random_below(20)),
        .kh = 1 + random_below(4), .kw = 1 + random_below(4),
        .stride = 1 + random_below(3), .dilation = 1 + random_below(2), .pad = random_below(4), .groups = groups,
        .mode = (int32_t)(random_below(3) ? CHANCONV_ZEROS : random_below(CHANCONV_SYMMETRIC + 1))};
}

static void check_shapes(chanconv_context *context, int random_shapes)
{
    for (int i = 0; i < SHAPES + random_shapes; i++) {
        struct shape shape = i < SHAPES ? shapes[i] : random_shape();
        for (int32_t dtype = CHANCONV_F32; dtype <= CHANCONV_F64; dtype++) {
            struct problem p = problem_of(&shape, dtype);
            if (make_problem(&p)) {
                check_problem(context, &p);
                free_problem(&p);
            } else {
                CHECK(i >= SHAPES);
            }
        }
    }
}

/* A problem with enough work that its passes are shared out; `large` is used below as well. */
static const struct shape large = {3, 30, 29, 20, 3, 3, 40, 1, 1, 1, 1, CHANCONV_REFLECT};

static void test_shared_work(chanconv_context *three, chanconv_context *hosted, const struct host_pool *pool)
{
    for (int32_t dtype = CHANCONV_F32; dtype <= CHANCONV_F64; dtype++) {
        struct problem p = problem_of(&large, dtype);
        CHECK(make_problem(&p));
        for (int i = 0; i < PASSES; i++) {
            long calls = pool->calls;
            check_pass(three, &p, &passes[i], GUARD_END);
            check_pass(hosted, &p, &passes[i], GUARD_START);
            CHECK(pool->calls > calls || passes[i].out == GRAD_BIAS);
        }
        free_problem(&p);
    }
}

/* ---- Slices of channels ---------------------------------------------------------------------------------------- */

/* x and y as channels 1 .. of wider images: NaN in the gaps of x has no effect, and the gaps of y stay. */
static void test_slices(void)
{
    enum { WIDER = 3 };
    struct problem p = problem_of(&shapes[1], CHANCONV_F64);
    CHECK(make_problem(&p));
    chanconv_conv *c = &p.conv;
    int64_t x_pixels = c->n * c->h * c->w, y_pixels = c->n * p.oh * p.ow;
    c->x_pixel = c->c + WIDER;
    c->y_pixel = c->k + WIDER;
    struct guarded x = guarded_new((size_t)(x_pixels * c->x_pixel - WIDER) * sizeof(double), GUARD_END);
    struct guarded y = guarded_new((size_t)(y_pixels * c->y_pixel - WIDER) * sizeof(double), GUARD_END);
    double *xs = x.data, *ys = y.data;
    for (int64_t i = 0; i < x_pixels * c->x_pixel - WIDER; i++) {
        xs[i] = i % c->x_pixel < c->c ? p.value[X][i / c->x_pixel * c->c + i % c->x_pixel] : NAN;
    }
    for (int64_t i = 0; i < y_pixels * c->y_pixel - WIDER; i++) {
        ys[i] = -77;
    }
    CHECK(chanconv_conv_forward(NULL, c, xs, p.value[KERNEL], p.value[BIAS], ys, NULL) == CHANCONV_OK);
    for (int64_t i = 0; i < y_pixels * c->y_pixel - WIDER; i++) {
        bool gap = i % c->y_pixel >= c->k;
        CHECK(ys[i] == (gap ? -77 : p.value[Y][i / c->y_pixel * c->k + i % c->y_pixel]));
    }
    guarded_free(&x);
    guarded_free(&y);
    free_problem(&p);
}

/* ---- Memory, pointers ------------------------------------------------------------------------------------------ */

struct one_call {
    const struct problem *problem;
    const struct pass *pass;
    void *out;
};

static chanconv_status call_once(chanconv_context *context, void *data)
{
    const struct one_call *one = data;
    const struct problem *p = one->problem;
    void *in[3] = {NULL};
    for (int i = 0; i < 3 && one->pass->in[i] != NONE; i++) {
        in[i] = p->value[one->pass->in[i]];
    }
    memset(one->out, 0xff, (size_t)p->count[one->pass->out] * sizeof(double));
    chanconv_status status = call(context, p, one->pass->out, in, one->out, NULL);
    CHECK(status != CHANCONV_OK || as_expected(p, one->pass->out, one->out));
    return status;
}

/* What Fourier transforms take: channels one by one, stride and dilation 1. */
static bool is_channelwise(const chanconv_conv *c)
{
    return c->groups == c->c && c->k == c->c && c->stride[0] == 1 && c->dilation[0] == 1;
}

/* Every allocation of every pass fails in turn. */
static void test_failing_allocations(void)
{
    const struct shape *tried[] = {&shapes[1], &shapes[3], &shapes[4], &shapes[9], &large};
    for (size_t i = 0; i < sizeof tried / sizeof *tried; i++) {
        struct problem p = problem_of(tried[i], CHANCONV_F64);
        CHECK(make_problem(&p));
        for (int j = 0; j < PASSES; j++) {
            struct one_call one = {&p, &passes[j], calloc((size_t)p.count[passes[j].out] + 1, sizeof(double))};
            for (int threads = 1; threads <= 3; threads++) {
                check_failing_allocations(call_once, &one, threads);
            }
            const chanconv_algorithm others[] = {CHANCONV_IM2COL, CHANCONV_FFT};
            for (int k = 0; k < (is_channelwise(&p.conv) ? 2 : 1); k++) {
                take_algorithm(&p, others[k]);
                check_failing_allocations(call_once, &one, 2);
            }
            take_algorithm(&p, CHANCONV_AUTO);
            free(one.out);
        }
        free_problem(&p);
    }
}

/* As conv_plan() knows the pass that has this output; im2col and col2im, which take no memory, it does not. */
static int pass_of(enum array out)
{
    static const enum array outs[] = {Y, GRAD_X, GRAD_KERNEL, GRAD_KERNELS, GRAD_BIAS};
    for (int i = 0; i < 5; i++) {
        if (outs[i] == out) {
            return i;
        }
    }
    return -1;
}

/* A plan's workspace bounds what a pass allocates; a host's blocks come with 128 bytes more. */
static void check_planned(const struct one_call *one, int64_t planned)
{
    struct counter counter = {0};
    chanconv_context *context = counted_context(&counter, 2);
    CHECK(call_once(context, (void *)one) == CHANCONV_OK);
    if (!CHECK((int64_t)counter.peak <= planned + 128 * counter.calls)) {
        fprintf(stderr, "  planned %lld, took %zu in %ld blocks\n", (long long)planned, counter.peak, counter.calls);
        describe(one->problem, one->pass, 0);
    }
    chanconv_context_destroy(context);
}

/* A context whose memory is `bytes` bytes between guard pages, at an odd address. */
static chanconv_context *workspace_context(struct guarded *buffer, int64_t bytes)
{
    *buffer = guarded_new((size_t)bytes, GUARD_END);
    chanconv_context_options options = {
        .struct_size = sizeof options, .threads = 2, .workspace = buffer->data, .workspace_bytes = (size_t)bytes};
    chanconv_context *context;
    CHECK(chanconv_context_create(&options, &context) == CHANCONV_OK);
    return context;
}

/* So many bytes suffice, call after call; with less the pass works or says that it has no memory. */
static void check_workspace(const struct one_call *one, int64_t planned)
{
    static const int64_t missing[] = {0, 1, 300, 1000, 100000};
    for (int i = 0; i < 5 && missing[i] <= planned; i++) {
        struct guarded buffer;
        chanconv_context *context = workspace_context(&buffer, planned - missing[i]);
        for (int call = 0; call < 2; call++) {
            chanconv_status status = call_once(context, (void *)one);
            if (!CHECK(status == CHANCONV_OK || (missing[i] && status == CHANCONV_NO_MEMORY))) {
                describe(one->problem, one->pass, 0);
            }
        }
        chanconv_context_destroy(context);
        guarded_free(&buffer);
    }
}

static void test_workspace(chanconv_context *two)
{
    for (int i = 0; i <= SHAPES; i++) {
        struct problem p = problem_of(i < SHAPES ? &shapes[i] : &large, CHANCONV_F64);
        CHECK(make_problem(&p));
        int64_t largest = 1;
        for (int j = 0; j < PASSES; j++) {
            largest = max64(largest, p.count[passes[j].out]);
        }
        double *out = calloc((size_t)largest, sizeof(double));
        const chanconv_algorithm algorithms[] = {CHANCONV_AUTO, CHANCONV_IM2COL, CHANCONV_FFT};
        for (int j = 0; j < (is_channelwise(&p.conv) ? 3 : 2) * PASSES; j++) {
            struct one_call one = {&p, &passes[j % PASSES], out};
            take_algorithm(&p, algorithms[j / PASSES]);
            chanconv_plan plan = {.struct_size = sizeof plan};
            const int pass = pass_of(one.pass->out);
            CHECK(pass < 0 || chanconv_conv_plan(two, &p.conv, (chanconv_pass)pass, &plan, NULL) == CHANCONV_OK);
            check_planned(&one, plan.workspace_bytes);
            check_workspace(&one, plan.workspace_bytes);
        }
        free(out);
        free_problem(&p);
    }
}

/* Nor does it take more where all tiles are computed again, or the whole is. */
static void test_workspace_of_nan(void)
{
    enum { SIDE = 90, TAPS = 9, OUT = SIDE - TAPS + 1 };
    static double nan[SIDE * SIDE], out[SIDE * SIDE];
    chanconv_conv conv;
    chanconv_conv_init(&conv);
    conv.dtype = CHANCONV_F64;
    conv.algorithm = CHANCONV_FFT;
    conv.h = conv.w = SIDE;
    conv.c = conv.k = 1;
    conv.kh = conv.kw = TAPS;
    for (int which = 0; which < 4; which++) { /* NaN are x; the kernel; grad_y; grad_y */
        static double ones[SIDE * SIDE];
        const double *first = which == 1 ? ones : nan, *second = which == 1 ? nan : ones;
        struct counter counter = {0};
        chanconv_context *context = counted_context(&counter, 2);
        chanconv_plan plan = {.struct_size = sizeof plan};
        for (int i = 0; i < SIDE * SIDE; i++) {
            ones[i] = 1;
            nan[i] = NAN;
        }
        CHECK(chanconv_conv_plan(context, &conv, (chanconv_pass)max64(which - 1, 0), &plan, NULL) == CHANCONV_OK);
        CHECK((which < 2   ? chanconv_conv_forward(context, &conv, first, second, NULL, out, NULL)
               : which < 3 ? chanconv_conv_grad_x(context, &conv, first, second, out, NULL)
                           : chanconv_conv_grad_kernel(context, &conv, first, second, out, NULL)) == CHANCONV_OK);
        CHECK(out[0] != out[0]);
        CHECK((int64_t)counter.peak <= plan.workspace_bytes + 128 * counter.calls);
        chanconv_context_destroy(context);
    }
}

static void *call_on_small_stack(void *data)
{
    (void)data;
    struct problem p = problem_of(&large, CHANCONV_F64);
    CHECK(make_problem(&p));
    const chanconv_algorithm algorithms[] = {CHANCONV_AUTO, CHANCONV_WINOGRAD, CHANCONV_FFT, CHANCONV_IM2COL};
    for (int j = 0; j < 4; j++) {
        take_algorithm(&p, algorithms[j]);
        for (int i = 0; i < PASSES; i++) {
            check_pass(NULL, &p, &passes[i], GUARD_END);
        }
    }
    free_problem(&p);
    return NULL;
}

/* A thread with 64 KiB of stack, less than any C library gives by default, suffices for every pass. */
static void test_small_stack(void)
{
    pthread_t thread;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 64 << 10);
    CHECK(pthread_create(&thread, &attributes, call_on_small_stack, NULL) == 0);
    pthread_join(thread, NULL);
    pthread_attr_destroy(&attributes);
}

/* NULL for each array in turn: a status that names it, nothing written. */
static void test_null_pointers(void)
{
    struct problem p = problem_of(&shapes[1], CHANCONV_F64);
    CHECK(make_problem(&p));
    for (int i = 0; i < PASSES; i++) {
        for (int missing = 0; missing <= 3; missing++) {
            void *in[3] = {NULL};
            double out[20000];
            memset(out, 0xff, sizeof out);
            for (int j = 0; j < 3 && passes[i].in[j] != NONE; j++) {
                in[j] = j == missing ? NULL : p.value[passes[i].in[j]];
            }
            bool given = missing < 3 && (passes[i].in[missing] == NONE || passes[i].in[missing] == BIAS);
            chanconv_error error = {.argument = NULL};
            chanconv_status status = call(NULL, &p, passes[i].out, in, missing == 3 ? NULL : out, &error);
            CHECK(status == (given ? CHANCONV_OK : CHANCONV_BAD_STRUCT));
            CHECK(given || (error.argument && strncmp(error.text, error.argument, strlen(error.argument)) == 0));
            CHECK(given || out[0] != out[0]);
        }
    }
    free_problem(&p);
}

int main(void)
{
    chanconv_context_options options = {.struct_size = sizeof options, .threads = 3};
    struct host_pool pool = {.threads = 2};
    chanconv_context *three, *hosted = hosted_context(&pool);
    CHECK(chanconv_context_create(&options, &three) == CHANCONV_OK);
    chanconv_set_num_threads(1);
    for (int i = 0; chanconv_isa_available(i); i++) {
        CHECK(chanconv_set_isa(chanconv_isa_available(i)) == CHANCONV_OK);
        check_shapes(NULL, RANDOM_SHAPES);
        check_shapes(three, 0);
        check_shapes(hosted, 0);
        test_shared_work(three, hosted, &pool);
        test_slices();
        test_small_stack();
    }
    test_failing_allocations();
    options.threads = 2;
    chanconv_context *two;
    CHECK(chanconv_context_create(&options, &two) == CHANCONV_OK);
    test_workspace(two);
    chanconv_context_destroy(two);
    test_workspace_of_nan();
    test_null_pointers();
    chanconv_context_destroy(three);
    chanconv_context_destroy(hosted);
    return report();
}

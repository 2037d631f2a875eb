/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Every pass between guard pages. Inputs are read only and outputs are full of NaN beforehand; arrays begin right after
 * a page that may not be touched, or end right before one. Values are small integers, whose sums are exact, so results
 * must equal the formula's: for every instruction set, algorithm and number of threads, and on a host's own threads.
 */
#include "conv_problem.h"

static void check_pass(chanconv_context *context, const struct problem *p, const struct pass *pass, enum guard side)
{
    if (!has_pass(p, pass)) {
        return;
    }
    struct guarded in[3], out = output(p, pass->out, side);
    void *address[3];
    for (int i = 0; i < 3; i++) {
        in[i] = input(p, pass->in[i], side);
        address[i] = in[i].data;
    }
    chanconv_error error;
    chanconv_status status = call(context, p, pass, address, out.data, &error);
    bool declined = p->conv.algorithm > CHANCONV_GEMM && status == CHANCONV_BAD_ALGORITHM;
    if (!declined && (!CHECK(status == CHANCONV_OK) || !CHECK(as_expected(p, pass->out, out.data)))) {
        describe(p, pass, side);
    }
    for (int i = 0; i < 3; i++) {
        guarded_free(&in[i]);
    }
    guarded_free(&out);
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

static void test_shared_work(chanconv_context *three, chanconv_context *hosted, const struct host_pool *pool)
{
    for (int32_t dtype = CHANCONV_F32; dtype <= CHANCONV_F64; dtype++) {
        struct problem p = problem_of(&large, dtype);
        CHECK(make_problem(&p));
        for (int i = 0; i < PASSES; i++) {
            long calls = pool->calls;
            check_pass(three, &p, &passes[i], GUARD_END);
            check_pass(hosted, &p, &passes[i], GUARD_START);
            CHECK(pool->calls > calls || passes[i].out == GRAD_BIAS || !has_pass(&p, &passes[i]));
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
    const chanconv_status status = run_pass(context, one->problem, one->pass, one->out);
    CHECK(status != CHANCONV_OK || as_expected(one->problem, one->pass->out, one->out));
    return status;
}

/* Calls what(one, threads) for every pass and every algorithm that computes it. */
static void for_each_call(const struct shape *shape, void (*what)(struct one_call *))
{
    struct problem p = problem_of(shape, CHANCONV_F64);
    CHECK(make_problem(&p));
    for (int i = 0; i < PASSES * CHANCONV_ALGORITHM_COUNT; i++) {
        const struct pass *pass = &passes[i / CHANCONV_ALGORITHM_COUNT];
        struct one_call one = {&p, pass, calloc((size_t)p.count[pass->out] + 1, sizeof(double))};
        if (has_pass(&p, pass)) {
            take_algorithm(&p, (chanconv_algorithm)(i % CHANCONV_ALGORITHM_COUNT));
            const chanconv_status status = call_once(NULL, &one);
            if (status != CHANCONV_BAD_ALGORITHM && CHECK(status == CHANCONV_OK)) {
                what(&one);
            }
        }
        free(one.out);
    }
    free_problem(&p);
}

static void fail_allocations(struct one_call *one)
{
    for (int threads = 1; threads <= 3; threads++) {
        check_failing_allocations(call_once, one, threads);
    }
}

/* Every allocation of every pass and algorithm fails in turn, those of packing a kernel too. */
static void test_failing_allocations(void)
{
    const int tried[] = {1, 3, 4, 9, 18, 20, 22, 23, 26, 27};
    for (size_t i = 0; i < sizeof tried / sizeof *tried; i++) {
        for_each_call(&shapes[tried[i]], fail_allocations);
    }
    for_each_call(&large, fail_allocations);
}

/* As conv_plan() knows the pass that has this output; im2col and col2im, which take no memory, it does not. */
static int pass_of(enum array out)
{
    static const enum array outs[] = {Y, GRAD_X, GRAD_KERNEL, GRAD_KERNELS, GRAD_BIAS};
    for (int i = 0; i < 5; i++) {
        if (outs[i] == (out == TRANSPOSED ? GRAD_X : out)) {
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

/* (A pass without results is none to any algorithm, but a plan says whether the named one could.) */
static void check_plan(struct one_call *one)
{
    if (one->problem->count[one->pass->out] == 0) {
        return;
    }
    const int pass = pass_of(one->pass->out);
    chanconv_plan plan = {.struct_size = sizeof plan};
    struct counter none = {0};
    chanconv_context *two = counted_context(&none, 2);
    if (!one->pass->packed) { /* a packed kernel is no workspace */
        if (!CHECK(pass < 0 || chanconv_conv_plan(two, &one->problem->conv, (chanconv_pass)pass, &plan, NULL) == 0)) {
            describe(one->problem, one->pass, 0);
        }
        check_planned(one, plan.workspace_bytes);
        check_workspace(one, plan.workspace_bytes);
    }
    chanconv_context_destroy(two);
}

static void test_workspace(void)
{
    for (int i = 0; i <= SHAPES; i++) {
        for_each_call(i < SHAPES ? &shapes[i] : &large, check_plan);
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
    const struct shape *tried[] = {&large, &shapes[4], &shapes[6], &shapes[18], &shapes[20], &shapes[22]};
    (void)data;
    for (size_t i = 0; i < sizeof tried / sizeof *tried; i++) {
        struct problem p = problem_of(tried[i], CHANCONV_F64);
        CHECK(make_problem(&p));
        for (int j = 0; j < PASSES * CHANCONV_ALGORITHM_COUNT; j++) {
            take_algorithm(&p, (chanconv_algorithm)(j % CHANCONV_ALGORITHM_COUNT));
            check_pass(NULL, &p, &passes[j / CHANCONV_ALGORITHM_COUNT], GUARD_END);
        }
        free_problem(&p);
    }
    return NULL;
}

/* A thread with 64 KiB of stack, less than any C library gives by default, suffices for every pass and algorithm. */
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
            bool given = missing < 3 && (passes[i].in[missing] == NONE || passes[i].in[missing] == BIAS ||
                                         passes[i].in[missing] == BIAS_X);
            chanconv_error error = {.argument = NULL};
            chanconv_status status = call(NULL, &p, &passes[i], in, missing == 3 ? NULL : out, &error);
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
#ifndef EMULATED
        check_shapes(three, 0);
        check_shapes(hosted, 0);
#endif
        test_shared_work(three, hosted, &pool);
        test_slices();
        test_small_stack();
    }
#ifdef EMULATED /* the processor has no part in these */
    (void)test_failing_allocations, (void)test_workspace;
#else
    test_failing_allocations();
    test_workspace();
#endif
    test_workspace_of_nan();
    test_null_pointers();
    chanconv_context_destroy(three);
    chanconv_context_destroy(hosted);
    return report();
}

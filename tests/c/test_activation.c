/* SPDX-License-Identifier: BSD-3-Clause
 * Activations: bad arguments, memory beyond the arrays, exceptions of the arithmetic, threads, failing allocations. */
#define _GNU_SOURCE
#include <fenv.h>
#include <float.h>
#include <math.h>

#include "test.h"

static const double parameters[CHANCONV_ACTIVATION_COUNT][2] = {
    [CHANCONV_LEAKY_RELU] = {0.01},    [CHANCONV_ELU] = {1},          [CHANCONV_CELU] = {1},
    [CHANCONV_HARD_TANH] = {-1, 1},    [CHANCONV_SOFTPLUS] = {1, 20}, [CHANCONV_SOFTSHRINK] = {0.5},
    [CHANCONV_HARDSHRINK] = {0.5},     [CHANCONV_THRESHOLD] = {1, 2},
};

static chanconv_activation activation(int kind)
{
    return (chanconv_activation){kind, {parameters[kind][0], parameters[kind][1]}};
}

/* ---- Bad arguments ---------------------------------------------------------------------------------------------- */

static chanconv_status forward(chanconv_activation a, chanconv_error *error)
{
    float x = 1, y = 77;
    const chanconv_status status = chanconv_activation_forward(NULL, CHANCONV_F32, &a, 1, &x, &y, error);
    CHECK(status == CHANCONV_OK || y == 77);
    return status;
}

static void test_parameters(void)
{
    static const struct {
        chanconv_activation activation;
        const char *argument;
    } bad[] = {
        {{-1, {0}}, "activation"},
        {{CHANCONV_ACTIVATION_COUNT, {0}}, "activation"},
        {{CHANCONV_LEAKY_RELU, {NAN}}, "negative_slope"},
        {{CHANCONV_ELU, {NAN}}, "alpha"},
        {{CHANCONV_CELU, {0}}, "alpha"},
        {{CHANCONV_CELU, {NAN}}, "alpha"},
        {{CHANCONV_HARD_TANH, {1, 0}}, "low"},
        {{CHANCONV_HARD_TANH, {0, NAN}}, "high"},
        {{CHANCONV_SOFTPLUS, {0, 20}}, "beta"},
        {{CHANCONV_SOFTPLUS, {1, NAN}}, "threshold"},
        {{CHANCONV_SOFTSHRINK, {-1}}, "threshold"},
        {{CHANCONV_HARDSHRINK, {NAN}}, "threshold"},
        {{CHANCONV_THRESHOLD, {0, NAN}}, "value"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        chanconv_error error = {0};
        CHECK(forward(bad[i].activation, &error) == CHANCONV_BAD_ACTIVATION);
        CHECK(error.argument && strcmp(error.argument, bad[i].argument) == 0);
        CHECK(strncmp(error.text, bad[i].argument, strlen(bad[i].argument)) == 0);
        CHECK(forward(bad[i].activation, NULL) == CHANCONV_BAD_ACTIVATION);
    }
    CHECK(forward((chanconv_activation){CHANCONV_RELU, {NAN, NAN}}, NULL) == CHANCONV_OK); /* it has no parameters */
}

static void test_elementwise_arguments(void)
{
    const chanconv_activation relu = {CHANCONV_RELU, {0}};
    float x[4] = {0}, y[4];
    CHECK(chanconv_activation_forward(NULL, CHANCONV_F32, NULL, 4, x, y, NULL) == CHANCONV_BAD_STRUCT);
    CHECK(chanconv_activation_forward(NULL, CHANCONV_F32, &relu, 4, NULL, y, NULL) == CHANCONV_BAD_STRUCT);
    CHECK(chanconv_activation_forward(NULL, CHANCONV_F32, &relu, 4, x, NULL, NULL) == CHANCONV_BAD_STRUCT);
    CHECK(chanconv_activation_forward(NULL, CHANCONV_F32, &relu, -1, x, y, NULL) == CHANCONV_BAD_X);
    CHECK(chanconv_activation_forward(NULL, CHANCONV_F32, &relu, 0, NULL, NULL, NULL) == CHANCONV_OK);
    CHECK(chanconv_activation_forward(NULL, (chanconv_dtype)2, &relu, 4, x, y, NULL) == CHANCONV_BAD_DTYPE);
    CHECK(chanconv_activation_backward(NULL, CHANCONV_F32, &relu, 4, NULL, x, y, NULL) == CHANCONV_BAD_STRUCT);
    CHECK(chanconv_activation_backward(NULL, CHANCONV_F32, &relu, 4, x, NULL, y, NULL) == CHANCONV_BAD_STRUCT);
    CHECK(chanconv_activation_backward(NULL, CHANCONV_F32, &relu, 4, x, x, NULL, NULL) == CHANCONV_BAD_STRUCT);
    CHECK(chanconv_activation_backward(NULL, CHANCONV_F32, &relu, 0, NULL, NULL, NULL, NULL) == CHANCONV_OK);
}

static void test_prelu_arguments(void)
{
    const chanconv_dtype f64 = CHANCONV_F64;
    double x[6] = {-1, 2, -3, 4, -5, 6}, slope[3] = {1, 2, 3}, y[6];
    CHECK(chanconv_prelu_forward(NULL, f64, 2, 3, 2, x, slope, y, NULL) == CHANCONV_BAD_ACTIVATION);
    CHECK(chanconv_prelu_forward(NULL, f64, -2, 3, 3, x, slope, y, NULL) == CHANCONV_BAD_X);
    CHECK(chanconv_prelu_forward(NULL, f64, INT64_MAX, 3, 3, x, slope, y, NULL) == CHANCONV_BAD_X);
    CHECK(chanconv_prelu_forward(NULL, f64, 2, 3, 3, NULL, slope, y, NULL) == CHANCONV_BAD_STRUCT);
    CHECK(chanconv_prelu_forward(NULL, f64, 2, 3, 3, x, NULL, y, NULL) == CHANCONV_BAD_STRUCT);
    CHECK(chanconv_prelu_forward(NULL, f64, 2, 3, 3, x, slope, NULL, NULL) == CHANCONV_BAD_STRUCT);
    CHECK(chanconv_prelu_forward(NULL, f64, INT64_MAX, 0, 1, NULL, slope, NULL, NULL) == CHANCONV_OK);
    CHECK(chanconv_prelu_backward(NULL, f64, 2, 3, 3, NULL, x, slope, y, slope, NULL) == CHANCONV_BAD_STRUCT);
    CHECK(chanconv_prelu_backward(NULL, f64, 2, 3, 3, x, x, slope, NULL, NULL, NULL) == CHANCONV_OK);
    double grad_slope[3] = {7, 7, 7};
    CHECK(chanconv_prelu_backward(NULL, f64, 2, 3, 3, x, x, slope, NULL, grad_slope, NULL) == CHANCONV_OK);
    CHECK(grad_slope[0] == 1 && grad_slope[1] == 25 && grad_slope[2] == 9);
    CHECK(chanconv_prelu_backward(NULL, f64, 0, 3, 3, NULL, NULL, NULL, NULL, grad_slope, NULL) == CHANCONV_OK);
    CHECK(grad_slope[0] == 0 && grad_slope[1] == 0 && grad_slope[2] == 0);
}

static void test_axis_arguments(void)
{
    float x[6] = {0}, y[6];
    const int64_t huge = (int64_t)1 << 40;
    CHECK(chanconv_axis_forward(NULL, CHANCONV_F32, CHANCONV_GLU, 2, 3, 1, x, y, NULL) == CHANCONV_BAD_X);
    CHECK(chanconv_axis_forward(NULL, CHANCONV_F32, (chanconv_axis_activation)3, 2, 3, 1, x, y, NULL) ==
          CHANCONV_BAD_ACTIVATION);
    CHECK(chanconv_axis_forward(NULL, CHANCONV_F32, (chanconv_axis_activation)-1, 2, 3, 1, x, y, NULL) ==
          CHANCONV_BAD_ACTIVATION);
    CHECK(chanconv_axis_forward(NULL, CHANCONV_F32, CHANCONV_SOFTMAX, huge, huge, 1, x, y, NULL) == CHANCONV_BAD_X);
    CHECK(chanconv_axis_forward(NULL, CHANCONV_F32, CHANCONV_SOFTMAX, huge, huge, 0, x, y, NULL) == CHANCONV_OK);
    CHECK(chanconv_axis_forward(NULL, CHANCONV_F32, CHANCONV_SOFTMAX, 2, 3, 1, NULL, y, NULL) == CHANCONV_BAD_STRUCT);
    CHECK(chanconv_axis_forward(NULL, CHANCONV_F32, CHANCONV_SOFTMAX, 2, 3, 1, x, NULL, NULL) == CHANCONV_BAD_STRUCT);
    CHECK(chanconv_axis_backward(NULL, CHANCONV_F32, CHANCONV_SOFTMAX, 2, 3, 1, NULL, x, y, NULL) ==
          CHANCONV_BAD_STRUCT);
    CHECK(chanconv_axis_backward(NULL, CHANCONV_F32, CHANCONV_SOFTMAX, 0, 3, 1, NULL, NULL, NULL, NULL) == CHANCONV_OK);
    chanconv_error error = {NULL, ""};
    CHECK(chanconv_axis_backward_from_output(NULL, CHANCONV_F32, CHANCONV_SOFTMAX, 2, 3, 1, x, NULL, y, &error) ==
              CHANCONV_BAD_STRUCT && strcmp(error.argument, "y") == 0);
    CHECK(chanconv_axis_backward_from_output(NULL, CHANCONV_F32, CHANCONV_GLU, 2, 4, 1, x, x, y, &error) ==
              CHANCONV_BAD_ACTIVATION && strcmp(error.argument, "kind") == 0);
    CHECK(chanconv_axis_backward_from_output(NULL, CHANCONV_F32, CHANCONV_SOFTMAX, 0, 3, 1, NULL, NULL, NULL, NULL) ==
          CHANCONV_OK);
}

/* ---- Memory ----------------------------------------------------------------------------------------------------- */

/* Values against a guard page, that cannot be written. */
static struct guarded filled(size_t item, int64_t count, enum guard side)
{
    struct guarded buffer = guarded_new(item * (size_t)count, side);
    for (int64_t i = 0; i < count; i++) {
        const double value = 3 * sin(1.7 * (double)i);
        if (item == sizeof(float)) {
            ((float *)buffer.data)[i] = (float)value;
        } else {
            ((double *)buffer.data)[i] = value;
        }
    }
    guarded_protect(&buffer);
    return buffer;
}

static void check_elementwise_bounds(chanconv_dtype dtype, size_t item, int64_t count, enum guard side)
{
    struct guarded x = filled(item, count, side), g = filled(item, count, side);
    struct guarded y = guarded_new(item * (size_t)count, side);
    for (int kind = 0; kind < CHANCONV_ACTIVATION_COUNT; kind++) {
        const chanconv_activation a = activation(kind);
        CHECK(chanconv_activation_forward(NULL, dtype, &a, count, x.data, y.data, NULL) == CHANCONV_OK);
        CHECK(chanconv_activation_backward(NULL, dtype, &a, count, g.data, x.data, y.data, NULL) == CHANCONV_OK);
    }
    guarded_free(&x), guarded_free(&g), guarded_free(&y);
}

static void check_prelu_bounds(chanconv_dtype dtype, size_t item, int64_t pixels, int64_t channels, enum guard side)
{
    const int64_t count = pixels * channels;
    struct guarded x = filled(item, count, side), g = filled(item, count, side);
    struct guarded y = guarded_new(item * (size_t)count, side);
    for (int64_t slopes = 1; slopes <= channels; slopes += max64(channels - 1, 1)) {
        struct guarded slope = filled(item, slopes, side), sums = guarded_new(item * (size_t)slopes, side);
        CHECK(chanconv_prelu_forward(NULL, dtype, pixels, channels, slopes, x.data, slope.data, y.data, NULL) == 0);
        CHECK(chanconv_prelu_backward(NULL, dtype, pixels, channels, slopes, g.data, x.data, slope.data, y.data,
                                      sums.data, NULL) == CHANCONV_OK);
        guarded_free(&slope), guarded_free(&sums);
    }
    guarded_free(&x), guarded_free(&g), guarded_free(&y);
}

static void check_axis_bounds(chanconv_dtype dtype, size_t item, int64_t length, int64_t inner, enum guard side)
{
    for (int kind = CHANCONV_SOFTMAX; kind <= CHANCONV_GLU; kind++) {
        const int64_t whole = 2 * length * inner, part = kind == CHANCONV_GLU ? whole / 2 : whole;
        struct guarded x = filled(item, whole, side), g = filled(item, part, side);
        struct guarded y = guarded_new(item * (size_t)part, side), grad_x = guarded_new(item * (size_t)whole, side);
        CHECK(chanconv_axis_forward(NULL, dtype, (chanconv_axis_activation)kind, 2, length, inner, x.data, y.data,
                                    NULL) == CHANCONV_OK);
        CHECK(chanconv_axis_backward(NULL, dtype, (chanconv_axis_activation)kind, 2, length, inner, g.data, x.data,
                                     grad_x.data, NULL) == CHANCONV_OK);
        CHECK(kind == CHANCONV_GLU ||
              chanconv_axis_backward_from_output(NULL, dtype, (chanconv_axis_activation)kind, 2, length, inner, g.data,
                                                 x.data, grad_x.data, NULL) == CHANCONV_OK);
        guarded_free(&x), guarded_free(&g), guarded_free(&y), guarded_free(&grad_x);
    }
}

/* The gradient of glu may replace x: it is the one beside it. */
static void check_glu_in_place(int64_t half)
{
    enum { ROWS = 5, HALF_MAX = 200 };
    static float x[ROWS * 2 * HALF_MAX], g[ROWS * HALF_MAX], grad_x[ROWS * 2 * HALF_MAX];
    for (int i = 0; i < ROWS * 2 * half; i++) {
        x[i] = (float)sin(1.7 * i), g[i / 2] = (float)cos(i);
    }
    CHECK(chanconv_axis_backward(NULL, CHANCONV_F32, CHANCONV_GLU, ROWS, 2 * half, 1, g, x, grad_x, NULL) == CHANCONV_OK);
    CHECK(chanconv_axis_backward(NULL, CHANCONV_F32, CHANCONV_GLU, ROWS, 2 * half, 1, g, x, x, NULL) == CHANCONV_OK);
    CHECK(memcmp(x, grad_x, (size_t)(ROWS * 2 * half) * sizeof *x) == 0);
}

static void test_glu_in_place(void)
{
    for (int64_t half = 1; half <= 200; half++) {
        check_glu_in_place(half);
    }
}

static void test_bounds(void)
{
    for (int f64 = 0; f64 < 2; f64++) {
        const chanconv_dtype dtype = f64 ? CHANCONV_F64 : CHANCONV_F32;
        const size_t item = f64 ? sizeof(double) : sizeof(float);
        for (int side = GUARD_START; side <= GUARD_END; side++) {
            for (int64_t n = 1; n <= 40; n++) {
                check_elementwise_bounds(dtype, item, n, (enum guard)side);
                check_prelu_bounds(dtype, item, 3, n, (enum guard)side);
                check_axis_bounds(dtype, item, 4, n, (enum guard)side);
                check_axis_bounds(dtype, item, 2 * n, 1, (enum guard)side);
            }
            check_prelu_bounds(dtype, item, 200, 300, (enum guard)side);
            check_axis_bounds(dtype, item, 2, 150, (enum guard)side);
        }
    }
}

/* ---- Arithmetic ------------------------------------------------------------------------------------------------- */

/* Finite arguments make no invalid operation, in the elements that a last vector lacks neither; and the rounding mode
 * of the caller stays. */
static void test_no_invalid_operation(void)
{
    static const double values[] = {0, -0.0, 1, -1, 3, -3, 6, 0.5, -0.5, 20.5, -88, 89, -104, 700, -750, 1e-40, -1e-310,
                                    FLT_MAX, -FLT_MAX};
    enum { COUNT = sizeof values / sizeof *values };
    float x[COUNT], g[COUNT], y[COUNT];
    double y_f64[COUNT];
    for (int i = 0; i < COUNT; i++) {
        x[i] = (float)values[i];
        g[i] = 1;
    }
    feclearexcept(FE_ALL_EXCEPT);
    for (int kind = 0; kind < CHANCONV_ACTIVATION_COUNT; kind++) {
        const chanconv_activation a = activation(kind);
        chanconv_activation_forward(NULL, CHANCONV_F32, &a, COUNT, x, y, NULL);
        chanconv_activation_backward(NULL, CHANCONV_F32, &a, COUNT, g, x, y, NULL);
        chanconv_activation_forward(NULL, CHANCONV_F64, &a, COUNT, values, y_f64, NULL);
        if (!CHECK(!fetestexcept(FE_INVALID | FE_DIVBYZERO))) {
            fprintf(stderr, "activation %d, %s\n", kind, chanconv_isa());
            feclearexcept(FE_ALL_EXCEPT);
        }
    }
    for (int64_t length = 2; length < 18; length += 2) {
        for (int kind = CHANCONV_SOFTMAX; kind <= CHANCONV_GLU; kind++) {
            chanconv_axis_forward(NULL, CHANCONV_F32, (chanconv_axis_activation)kind, 1, length, 1, g, y, NULL);
            chanconv_axis_backward(NULL, CHANCONV_F32, (chanconv_axis_activation)kind, 1, 2, length / 2, g, g, y, NULL);
        }
    }
    CHECK(!fetestexcept(FE_INVALID | FE_DIVBYZERO));
    fesetround(FE_UPWARD);
    const chanconv_activation gelu = {CHANCONV_GELU, {0}};
    chanconv_activation_forward(NULL, CHANCONV_F32, &gelu, COUNT, x, y, NULL);
    CHECK(fegetround() == FE_UPWARD && fabsf(y[2] - 0.841344746f) < 1e-5f);
    fesetround(FE_TONEAREST);
}

/* ---- Threads and allocation ------------------------------------------------------------------------------------- */

struct prelu_problem {
    double *x, *slope, *grad_x, *grad_slope;
};

enum { PIXELS = 9000, CHANNELS = 17 };

static chanconv_status prelu_backward(chanconv_context *context, void *data)
{
    struct prelu_problem *p = data;
    return chanconv_prelu_backward(context, CHANCONV_F64, PIXELS, CHANNELS, CHANNELS, p->x, p->x, p->slope, p->grad_x,
                                   p->grad_slope, NULL);
}

static void test_prelu_workspace(void)
{
    static double x[PIXELS * CHANNELS], slope[CHANNELS], grad_x[PIXELS * CHANNELS], grad_slope[CHANNELS];
    double first[CHANNELS];
    for (int i = 0; i < PIXELS * CHANNELS; i++) {
        x[i] = sin(i);
    }
    struct prelu_problem problem = {x, slope, grad_x, grad_slope};
    CHECK(prelu_backward(NULL, &problem) == CHANCONV_OK);
    memcpy(first, grad_slope, sizeof first);
    for (int threads = 1; threads <= 4; threads++) {
        CHECK(check_failing_allocations(prelu_backward, &problem, threads) == 1);
        CHECK(memcmp(first, grad_slope, sizeof first) == 0);
    }
    struct host_pool pool = {.threads = 3};
    chanconv_context *context = hosted_context(&pool);
    CHECK(prelu_backward(context, &problem) == CHANCONV_OK && pool.calls == 1);
    CHECK(memcmp(first, grad_slope, sizeof first) == 0);
    chanconv_context_destroy(context);
}

int main(void)
{
    const char *isa;
    for (int i = 0; (isa = chanconv_isa_available(i)); i++) {
        chanconv_set_isa(isa);
        test_bounds();
        test_glu_in_place();
        test_no_invalid_operation();
        test_prelu_workspace();
    }
    test_parameters();
    test_elementwise_arguments();
    test_prelu_arguments();
    test_axis_arguments();
    return report();
}

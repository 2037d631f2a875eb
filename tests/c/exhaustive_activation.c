/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Accuracy of the elementwise activations. Prints the largest error of each, and fails where it exceeds the bounds below.
 *
 *     cc -O3 -Icsrc tests/c/exhaustive_activation.c csrc/[a-z]*.c csrc/kernels/[a-z]*.c -lm -lpthread -o exhaustive
 *     ./exhaustive [step [isa [activation]]]
 *
 * float64: random values of all magnitudes against the formulas in 128 bits (exhaustive_formulas.h). float32: every value
 * (every step-th) against the float64 kernels, which are 2^29 times as exact once the first has been shown, and every
 * SAMPLE-th of them against the formulas in double, which share nothing with the kernels. With step 1, the default, it takes
 * about a quarter of an hour for an instruction set; a step of 97 still meets every binade and takes half a minute.
 *
 * Errors are in ULP of the exact result: forward, and of the derivative. Where a derivative crosses zero, its error counts
 * as BACKWARD_BOUND where it is 1e-7 (float64: 2e-16) of its largest term, if that is less.
 */
#define __STDC_WANT_IEC_60559_TYPES_EXT__
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tgmath.h>

#include "chanconv.h"

enum { BACKWARD_BOUND = 8, BATCH = 4096, SAMPLE = 487, RANDOM_BATCHES = 600 };

static const struct row {
    const char *name;
    int kind;
    double p[2];
} rows[] = {
    {"relu", CHANCONV_RELU, {0}},
    {"relu6", CHANCONV_RELU6, {0}},
    {"leaky_relu", CHANCONV_LEAKY_RELU, {0.01}},
    {"elu", CHANCONV_ELU, {1}},
    {"elu(1.7)", CHANCONV_ELU, {1.7}},
    {"selu", CHANCONV_SELU, {0}},
    {"celu", CHANCONV_CELU, {1}},
    {"celu(0.3)", CHANCONV_CELU, {0.3}},
    {"gelu", CHANCONV_GELU, {0}},
    {"gelu_tanh", CHANCONV_GELU_TANH, {0}},
    {"silu", CHANCONV_SILU, {0}},
    {"mish", CHANCONV_MISH, {0}},
    {"sigmoid", CHANCONV_SIGMOID, {0}},
    {"log_sigmoid", CHANCONV_LOG_SIGMOID, {0}},
    {"hard_sigmoid", CHANCONV_HARD_SIGMOID, {0}},
    {"hard_silu", CHANCONV_HARD_SILU, {0}},
    {"tanh", CHANCONV_TANH, {0}},
    {"hard_tanh", CHANCONV_HARD_TANH, {-1, 1}},
    {"softplus", CHANCONV_SOFTPLUS, {1, 20}},
    {"softplus(3)", CHANCONV_SOFTPLUS, {3, 50}},
    {"softsign", CHANCONV_SOFTSIGN, {0}},
    {"softshrink", CHANCONV_SOFTSHRINK, {0.5}},
    {"hardshrink", CHANCONV_HARDSHRINK, {0.5}},
    {"tanhshrink", CHANCONV_TANHSHRINK, {0}},
    {"threshold", CHANCONV_THRESHOLD, {0.5, 7}},
};

/* ---- The formulas, for a type with more precision than is tested -------------------------------------------------------- */

#define wide double
#define real float
#define WITH(name) name##_f32
#define REAL_DIGITS 24
#define REAL_LEAST (-126)
#include "exhaustive_formulas.h"
#undef wide
#undef real
#undef WITH
#undef REAL_DIGITS
#undef REAL_LEAST

#define wide _Float128
#define real double
#define WITH(name) name##_f64
#define REAL_DIGITS 53
#define REAL_LEAST (-1022)
#include "exhaustive_formulas.h"

/* ---- Inputs -------------------------------------------------------------------------------------------------------------- */

static uint64_t random_bits(uint64_t *state)
{
    *state += 0x9e3779b97f4a7c15;
    uint64_t z = *state;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

/* As error_f32, of what is not NaN, in less time. */
static double error_beside(float got, double exact)
{
    uint64_t bits;
    memcpy(&bits, &exact, sizeof bits);
    if (got != got || isinf(exact) || ((float)exact == got && isinf(got))) {
        return (float)exact == got ? 0 : INFINITY;
    }
    const int64_t exponent = (int64_t)(bits >> 52 & 2047), least = exponent < 1023 - 126 ? 1023 - 126 : exponent;
    const int64_t binade = least > 1023 + 127 ? 1023 + 127 : least;
    const uint64_t scale_bits = (uint64_t)(2046 + 23 - binade) << 52;
    double scale;
    memcpy(&scale, &scale_bits, sizeof scale);
    return fabs((isinf(got) ? copysign(0x1p128, got) : got) - exact) * scale;
}

/* The largest of them, or more than that where something is infinite: in a loop that compilers make vectors of. */
static double at_most_error(int count, const float *got, const double *exact)
{
    static const int64_t LEAST = (int64_t)(1023 - 126) << 52, MOST = (int64_t)(1023 + 127) << 52;
    double largest = 0, nan = 0;
    for (int i = 0; i < count; i++) {
        const double x = got[i], bounded = x > 0x1p128 ? 0x1p128 : x < -0x1p128 ? -0x1p128 : x;
        int64_t bits;
        memcpy(&bits, &exact[i], sizeof bits);
        const int64_t exponent = bits & (int64_t)2047 << 52, least = exponent < LEAST ? LEAST : exponent;
        const int64_t scale_bits = ((int64_t)(2046 + 23) << 52) - (least > MOST ? MOST : least);
        double scale;
        memcpy(&scale, &scale_bits, sizeof scale);
        const double error = fabs(bounded - exact[i]) * scale;
        largest = error > largest ? error : largest;
        nan = x != x ? 1 : nan;
    }
    return nan ? INFINITY : largest;
}

/* float32 results beside those of the float64 kernels. */
static void compare_beside(const struct row *row, int count, const float *x, struct worst *worst)
{
    static float ones[BATCH], y[BATCH], grad[BATCH];
    static double wide_x[BATCH], wide_ones[BATCH], wide_y[BATCH], wide_grad[BATCH];
    const chanconv_activation a = {row->kind, {row->p[0], row->p[1]}};
    const volatile float p[2] = {(float)row->p[0], (float)row->p[1]}; /* volatile: GCC 12 would leave out the rounding */
    const chanconv_activation wide_a = {row->kind, {p[0], p[1]}};
    for (int i = 0; i < count; i++) {
        ones[i] = 1, wide_ones[i] = 1, wide_x[i] = x[i];
    }
    chanconv_activation_forward(NULL, CHANCONV_F32, &a, count, x, y, NULL);
    chanconv_activation_backward(NULL, CHANCONV_F32, &a, count, ones, x, grad, NULL);
    chanconv_activation_forward(NULL, CHANCONV_F64, &wide_a, count, wide_x, wide_y, NULL);
    chanconv_activation_backward(NULL, CHANCONV_F64, &wide_a, count, wide_ones, wide_x, wide_grad, NULL);
    const double forward_bound = at_most_error(count, y, wide_y), backward_bound = at_most_error(count, grad, wide_grad);
    const int worse = forward_bound > worst->forward || backward_bound > worst->backward;
    for (int i = 0; i < count && worse; i++) {
        double backward = error_beside(grad[i], wide_grad[i]), term = 0;
        if (backward > BACKWARD_BOUND) {
            slope_f32(row->kind, wide_a.p[0], wide_a.p[1], x[i], &term);
            backward = crossing_f32(backward, grad[i], wide_grad[i], term);
        }
        put_worse(error_beside(y[i], wide_y[i]), x[i], &worst->forward, &worst->forward_at);
        put_worse(backward, x[i], &worst->backward, &worst->backward_at);
    }
}

static struct worst sweep_f32(const struct row *row, uint64_t step)
{
    struct worst worst = {0};
    float x[BATCH], sample[BATCH];
    int first = 0;
    for (uint64_t bits = 0; bits < (uint64_t)1 << 32;) {
        int count = 0, sampled = 0;
        for (; count < BATCH && bits < (uint64_t)1 << 32; bits += step) {
            const uint32_t pattern = (uint32_t)bits;
            memcpy(&x[count], &pattern, sizeof pattern);
            count += x[count] == x[count];
        }
        for (; first < count; first += SAMPLE) {
            sample[sampled++] = x[first];
        }
        first -= count;
        compare_beside(row, count, x, &worst);
        compare_f32(row, sampled, sample, &worst);
    }
    return worst;
}

/* All binades, and again those in which most activations bend. */
static struct worst sweep_f64(const struct row *row, uint64_t step)
{
    struct worst worst = {0};
    uint64_t state = 1;
    double x[BATCH];
    for (uint64_t batch = 0; batch < 1 + RANDOM_BATCHES / step; batch++) {
        for (int i = 0; i < BATCH; i++) {
            const uint64_t bits = random_bits(&state);
            const double any = ldexp(1 + (double)(bits >> 12) * 0x1p-52, (int)(bits & 2047) - 1074);
            const double near = (double)(int64_t)random_bits(&state) * 0x1p-63 * ldexp(1.0, (int)(bits & 15) - 5);
            x[i] = i % 4 == 0 ? (bits & 2048 ? -any : any) : near;
        }
        compare_f64(row, BATCH, x, &worst);
    }
    return worst;
}

static int forward_bound(int kind) { return kind == CHANCONV_SIGMOID || kind == CHANCONV_TANH ? 2 : 4; }

static int report(const char *type, const struct row *row, struct worst worst)
{
    const int bad = worst.forward > forward_bound(row->kind) || worst.backward > BACKWARD_BOUND;
    printf("%-8s %-4s %-12s  forward %6.2f at %-14.8g  backward %6.2f at %-14.8g%s\n", chanconv_isa(), type, row->name,
           worst.forward, worst.forward_at, worst.backward, worst.backward_at, bad ? "  TOO LARGE" : "");
    fflush(stdout);
    return bad;
}

int main(int argc, char **argv)
{
    const uint64_t step = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    int bad = 0;
    const char *isa;
    for (int i = 0; step && (isa = chanconv_isa_available(i)); i++) {
        if (argc > 2 && strcmp(isa, argv[2]) != 0) {
            continue;
        }
        chanconv_set_isa(isa);
        for (size_t j = 0; j < sizeof rows / sizeof *rows; j++) {
            if (argc > 3 && strcmp(rows[j].name, argv[3]) != 0) {
                continue;
            }
            bad |= report("f64", &rows[j], sweep_f64(&rows[j], step));
            bad |= report("f32", &rows[j], sweep_f32(&rows[j], step));
        }
    }
    return bad;
}

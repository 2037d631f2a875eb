/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Accuracy of the elementwise activations: every float32, and random float64 of all magnitudes, against the formulas in
 * double and in 128 bits. Prints the largest error per activation, and fails where it exceeds the bounds below.
 *
 *     cc -O2 -Icsrc tests/c/exhaustive_activation.c csrc/[a-z]*.c csrc/kernels/[a-z]*.c -lm -lpthread -o exhaustive
 *     ./exhaustive [step [isa [activation]]]
 *
 * With step 1, the default, it takes about an hour a processor and instruction set; a step of 97 still meets every binade
 * and takes a minute. Errors are in ULP of the exact result: forward, and of the derivative. Where a derivative crosses
 * zero, its error counts as BACKWARD_BOUND where it is 1e-7 (float64: 2e-16) of its largest term, if that is less.
 */
#define __STDC_WANT_IEC_60559_TYPES_EXT__
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tgmath.h>

#include "chanconv.h"

enum { FORWARD_BOUND = 4, BACKWARD_BOUND = 8, BATCH = 4096 };

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

static struct worst sweep_f32(const struct row *row, uint64_t step)
{
    struct worst worst = {0};
    float x[BATCH];
    for (uint64_t bits = 0; bits < (uint64_t)1 << 32;) {
        int count = 0;
        for (; count < BATCH && bits < (uint64_t)1 << 32; bits += step) {
            const uint32_t pattern = (uint32_t)bits;
            memcpy(&x[count], &pattern, sizeof pattern);
            count += x[count] == x[count];
        }
        compare_f32(row, count, x, &worst);
    }
    return worst;
}

/* All binades, and again those in which most activations bend. */
static struct worst sweep_f64(const struct row *row, uint64_t step)
{
    struct worst worst = {0};
    uint64_t state = 1;
    double x[BATCH];
    for (uint64_t batch = 0; batch < 1 + 40000 / step; batch++) {
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

static int report(const char *type, const struct row *row, struct worst worst)
{
    const int bad = worst.forward > FORWARD_BOUND || worst.backward > BACKWARD_BOUND;
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
            bad |= report("f32", &rows[j], sweep_f32(&rows[j], step));
            bad |= report("f64", &rows[j], sweep_f64(&rows[j], step));
        }
    }
    return bad;
}

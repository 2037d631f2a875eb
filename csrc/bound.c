/* SPDX-License-Identifier: BSD-3-Clause
 *
 * bound.c - what the machine allows: cycles that the direct sum needs at least, for its multiply-adds and for its bytes.
 * Nothing is measured: the rates are those that no processor of today surpasses with the instruction set in use.
 */
#include "internal.h"

/* Multiply-adds of whole vectors in a cycle. */
#if defined(__aarch64__)
enum { MULTIPLY_ADDS = 4 };
#else
enum { MULTIPLY_ADDS = 2 };
#endif

/* Bytes that a thread moves in a cycle, by where they are; in the first level of cache two vectors. */
enum { L2_RATE = 64, L3_RATE = 32, MEMORY_RATE = 16 };

/* Sum over i < n of (a * i + b) / m, rounded down, all >= 0: lattice points below a line. Whole steps are counted at
 * once; for the rest the axes change places, as in Euclid's algorithm. */
static double sum_of_floors(int64_t n, int64_t m, int64_t a, int64_t b)
{
    double sum = 0;
    for (;;) {
        sum += 0.5 * (double)n * (double)(n - 1) * (double)(a / m) + (double)n * (double)(b / m);
        a %= m;
        b %= m;
        const int64_t last = a * n + b;
        if (last < m) {
            return sum;
        }
        n = last / m;
        b = last % m;
        const int64_t turned = a;
        a = m;
        m = turned;
    }
}

/* Pairs of an output o and a tap r of an axis with o * stride + r * dilation < limit. */
static double pairs_below(int64_t limit, int64_t outputs, int64_t stride, int64_t taps, int64_t dilation)
{
    if (limit <= 0) {
        return 0;
    }
    const int64_t some = min64(taps, ceil_div(limit, dilation)); /* taps with a pair */
    const int64_t all = min64(ceil_div(max64(limit - (outputs - 1) * stride, 0), dilation), some); /* with every one */
    const int64_t last = limit - (some - 1) * dilation; /* what is left of the limit for the last of `some` */
    return (double)outputs * (double)all + sum_of_floors(some - all, stride, dilation, last + stride - 1);
}

/* Pairs of an output and a tap that meet x, not padding. */
static double valid_pairs(const struct geometry *g, int axis)
{
    const int64_t outputs = axis ? g->ow : g->oh, taps = axis ? g->kw : g->kh, size = axis ? g->w : g->h;
    const int64_t stride = g->stride[axis], dilation = g->dilation[axis], pad = g->pad[axis][0];
    if (g->mode != CHANCONV_ZEROS) {
        return (double)outputs * (double)taps;
    }
    return pairs_below(pad + size, outputs, stride, taps, dilation) - pairs_below(pad, outputs, stride, taps, dilation);
}

/* Bytes that a thread moves in a cycle, if those of all threads together are so many. */
static double rate_of_memory(double bytes, int threads, double vector_bytes)
{
    const chanconv_cpu_info *cpu = cpu_info();
    return bytes <= (double)cpu->l1_bytes * threads   ? 2 * vector_bytes
           : bytes <= (double)cpu->l2_bytes * threads ? L2_RATE
           : bytes <= (double)cpu->l3_bytes           ? L3_RATE
                                                      : MEMORY_RATE;
}

void machine_bound(const struct geometry *g, chanconv_plan *plan)
{
    const double vl = (double)kernels_for(g->dtype)->vl, threads = plan->threads;
    const double products = (double)(g->n * g->k) * (double)g->cg * valid_pairs(g, 0) * valid_pairs(g, 1);
    plan->arithmetic_cycles = products / (MULTIPLY_ADDS * vl * threads);
    plan->memory_cycles = plan->bytes / (rate_of_memory(plan->bytes, plan->threads, vl * (double)g->item) * threads);
}

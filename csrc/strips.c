/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Which strips a row of outputs is cut into. Kernels compute strips of few sizes; a row is strips of one size and, where
 * they leave some outputs, one more, of the same or another size, which may overlap the one before. And which channels its
 * vectors begin with.
 */
#include "gemm.h"

/* Vectors that one more is little for. */
enum { MANY_VECTORS = 6 };

void add_strip_option(struct strip_options *options, struct strip_option option)
{
    const bool higher = options->count == 0 || option.rank > options->option[0].rank;
    if (option.outputs > options->row || (!higher && option.rank < options->option[0].rank)) {
        return;
    }
    options->count = higher ? 0 : options->count;
    if (options->count < STRIP_OPTIONS_MAX) {
        options->option[options->count++] = option;
    }
}

void choose_strips(const struct strip_options *options, const void *best[2])
{
    const struct strip_option *end = options->option + options->count;
    int64_t least = INT64_MAX;
    for (const struct strip_option *k = options->option; k < end; k++) {
        const int64_t strips = options->row / k->outputs, left = options->row % k->outputs;
        for (const struct strip_option *l = options->option; l < end; l++) {
            const int64_t cost = strips * k->cost + (left ? l->last_cost + (l != k) : 0);
            if (l->outputs >= left && cost < least) {
                best[0] = k->kernel;
                best[1] = l->kernel;
                least = cost;
            }
        }
    }
}

int64_t most_line_shift(const struct image *x, int64_t channels, const struct kernels *kernels)
{
    const int64_t bytes = kernels->vl * (int64_t)x->item, pitches = (x->pixel | x->row | x->image) * (int64_t)x->item;
    return channels >= MANY_VECTORS * kernels->vl && pitches % bytes == 0 ? kernels->vl - 1 : 0;
}

int64_t line_shift(const struct image *x, int64_t channels, const struct kernels *kernels)
{
    const int64_t before = (int64_t)((uintptr_t)x->data / x->item) % kernels->vl;
    return most_line_shift(x, channels, kernels) ? before : 0;
}

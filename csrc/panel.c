/* SPDX-License-Identifier: BSD-3-Clause
 *
 * How a product is cut: columns into panels, work into units.
 */
#include "gemm.h"

/* Two vectors a panel: the tallest tiles, so the least traffic of B for each of its products. With an odd number of
 * vectors the last panel takes three where such a tile exists, as a tile one vector wide is bound by its loads. */
static int64_t vectors_of(const struct kernels *kernels, int64_t columns) { return ceil_div(columns, kernels->vl); }

int64_t panel_count(const struct kernels *kernels, int64_t columns)
{
    const int64_t vectors = vectors_of(kernels, columns);
    return vectors > 2 && kernels->nv_max >= 3 ? vectors / 2 : ceil_div(vectors, 2);
}

struct panel panel_at(const struct kernels *kernels, int64_t columns, int64_t index)
{
    const int64_t first = index * 2 * kernels->vl;
    const bool last = index == panel_count(kernels, columns) - 1;
    const int64_t vectors = last ? vectors_of(kernels, columns) - 2 * index : 2;
    return (struct panel){first, min64(columns - first, vectors * kernels->vl), (int)vectors};
}

int64_t padded_columns(const struct kernels *kernels, int64_t columns)
{
    return vectors_of(kernels, columns) * kernels->vl;
}

struct units {
    atomic_llong next;
    int64_t count;
    void (*unit)(void *data, int lane, int64_t i);
    void *data;
};

/* A lane takes the next unit until there is none. */
static void run_lane(void *data, int64_t lane)
{
    struct units *units = data;
    for (;;) {
        const int64_t i = atomic_fetch_add_explicit(&units->next, 1, memory_order_relaxed);
        if (i >= units->count) {
            return;
        }
        units->unit(units->data, (int)lane, i);
    }
}

void run_units(chanconv_context *context, int lanes, int64_t units, void (*unit)(void *data, int lane, int64_t i),
               void *data)
{
    struct units all = {.count = units, .unit = unit, .data = data};
    atomic_init(&all.next, 0);
    const int used = (int)min64(lanes, units);
    if (used <= 1) {
        run_lane(&all, 0);
    } else {
        parallel(context, used, used, run_lane, &all);
    }
}

int worthwhile_threads(const chanconv_context *context, double flops)
{
    /* About 5 microseconds of one core's arithmetic each: several times what it costs to wake a thread. */
    const double flops_per_thread = 1e6;
    const int threads = context_threads(context);
    return flops < threads * flops_per_thread ? (int)max64((int64_t)(flops / flops_per_thread), 1) : threads;
}

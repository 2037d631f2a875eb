/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The plan of Fourier transforms of tiles: their size, what they cost, and the memory of a call.
 */
#include "fft.h"

/* ---- The grid ---------------------------------------------------------------------------------------------------- */

/* Bytes of a tile, and for the gradient of the kernel, which takes two at once; of all sums, and of transformed kernels
 * unless one alone is larger. So two threads and what they share stay within 8 MiB. */
enum { TILE_BYTES_MAX = 2 << 20, GRADIENT_TILE_BYTES_MAX = 3 << 19, SUMS_BYTES_MAX = 2 << 20,
       FILTERS_BYTES_MAX = 2 << 20 };

static const int64_t sizes[] = {16, 32, 48, 64, 80, 96, 128, 160, 192, 256, 320, 384, 512};
enum { SIZES = sizeof sizes / sizeof *sizes };

/* Cycles of the steps of a transform for each vector, there and back. A panel that does not fit the first-level cache
 * costs more. */
static double steps_cost(int64_t size)
{
    const int64_t odd = size % 3 == 0 ? 3 : size % 5 == 0 ? 5 : 1;
    int steps = odd > 1, bits = 0;
    while (size / odd >> bits > 1) {
        bits++;
    }
    steps += (bits + 2) / 3;
    return 4 * steps + (size > 320 ? 8 : 0);
}

/* Cycles of a pair of tiles: as measured, of all there is to a vector the number of steps matters least; more if a tile
 * outgrows the second-level cache. The kernel's transform is half of a pair's. */
static double grid_cost(const struct kernels *kernels, const struct fft_grid *g, bool gradient)
{
    const double vectors = (double)(g->size[0] * g->size[1] / kernels->vl);
    const double afar = vectors * 2 * (double)kernels->vl * (double)kernels->item > 768e3 ? 16 : 0;
    const double pair = vectors * (82 + afar + steps_cost(g->size[0]) + steps_cost(g->size[1]));
    return pair * ((double)g->pairs * (gradient ? 1.15 : 1) + 0.5);
}

struct fft_grid fft_find_grid(const struct kernels *kernels, const int64_t taps[2], const int64_t outputs[2],
                              bool gradient)
{
    struct fft_grid best = {0};
    const int64_t most = (gradient ? GRADIENT_TILE_BYTES_MAX : TILE_BYTES_MAX) / 2 / (int64_t)kernels->item;
    for (int i = 0; i < SIZES * SIZES; i++) {
        struct fft_grid g = {.size = {sizes[i / SIZES], sizes[i % SIZES]}};
        if (g.size[0] < taps[0] || g.size[1] < taps[1] || g.size[0] * g.size[1] > most) {
            continue;
        }
        g.step[0] = g.size[0] - taps[0] + 1;
        g.step[1] = g.size[1] - taps[1] + 1;
        g.across = ceil_div(outputs[1], g.step[1]);
        g.tiles = ceil_div(outputs[0], g.step[0]) * g.across;
        g.pairs = ceil_div(g.tiles, 2);
        g.cost = grid_cost(kernels, &g, gradient);
        if (!best.size[0] || g.cost < best.cost) {
            best = g;
        }
    }
    return best;
}

/* ---- Memory ------------------------------------------------------------------------------------------------------ */

static int64_t tile_elements(const struct fft_job *job) { return job->grid.size[1] / vl(job) * panel_elements(job); }

static int64_t table_elements(const struct fft_job *job) { return 2 * (job->grid.size[0] + job->grid.size[1]); }

/* Places of rows and columns of a part. */
static int64_t list_count(const struct fft_job *job)
{
    return job->grid.size[0] + ceil_div(FFT_AHEAD, 8) * 8 + job->grid.size[1];
}

static int64_t lane_bytes(const struct fft_job *job)
{
    const int64_t lists = 2 * list_count(job) * (int64_t)sizeof(int64_t);
    return lists + job->tiles_of_lane * (tile_elements(job) + rows_elements(job)) * item(job);
}

struct fft_lane fft_lane_at(const struct fft_job *job, int number)
{
    struct fft_lane lane;
    char *base = job->lanes + number * lane_bytes(job);
    for (int i = 0; i < 2; i++) {
        const bool there = i < job->tiles_of_lane;
        lane.tile[i] = there ? base : NULL;
        lane.rows[i] = there ? at(base, tile_elements(job), job->c.x.item) : NULL;
        base = there ? at(lane.rows[i], rows_elements(job), job->c.x.item) : base;
    }
    for (int i = 0; i < 2; i++) {
        lane.row[i] = (int64_t *)(void *)base + i * list_count(job);
        lane.col[i] = lane.row[i] + list_count(job) - job->grid.size[1];
    }
    return lane;
}

/* Memory that each channel in memory takes, and all of the rest. */
static int64_t channel_bytes(const struct fft_job *job) { return job->splits * points(job) * item(job); }

int64_t fft_job_bytes(const struct fft_job *job)
{
    return table_elements(job) * item(job) + job->channels * channel_bytes(job) + job->threads * lane_bytes(job);
}

char *fft_filter_at(const struct fft_job *job, int64_t channel, int64_t split)
{
    return job->filters + (channel - job->first) * channel_bytes(job) + split * points(job) * item(job);
}

bool fft_take_memory(struct fft_job *job)
{
    char *base = take_scratch(job->context, (size_t)fft_job_bytes(job));
    if (!base) {
        return false;
    }
    job->table[0] = base;
    job->table[1] = at(base, 2 * job->grid.size[0], job->c.x.item);
    job->filters = at(base, table_elements(job), job->c.x.item);
    job->lanes = job->filters + job->channels * channel_bytes(job);
    for (int i = 0; i < 2; i++) {
        job->c.kernels->fft_table(job->grid.size[i], job->table[i]);
    }
    return true;
}

void fft_release_memory(const struct fft_job *job)
{
    release_scratch(job->context, job->table[0], (size_t)fft_job_bytes(job));
}

/* ---- The whole --------------------------------------------------------------------------------------------------- */

/* Pairs are dealt out to at most so many sums of the gradient of the kernel, which are added up in the end. */
enum { SPLITS_MAX = 8 };

struct fft_job fft_job_of(const struct correlation *c, int threads, bool gradient)
{
    const int64_t outputs[2] = {c->oh, c->ow};
    struct fft_job job = {.c = *c, .threads = threads, .tiles_of_lane = gradient ? 2 : 1, .splits = 1};
    job.grid = fft_find_grid(c->kernels, c->taps, outputs, gradient);
    if (gradient && c->groups < SPLITS_MAX) {
        job.splits = min64(SPLITS_MAX, SUMS_BYTES_MAX / (points(&job) * item(&job)));
        job.splits = max64(min64(job.splits, c->x.n * job.grid.pairs / 2), 1);
    }
    job.channels = min64(max64(FILTERS_BYTES_MAX / channel_bytes(&job), 1), c->groups);
    return job;
}

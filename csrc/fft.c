/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Correlation of planes, and of images channel by channel, with large kernels: by Fourier transforms of tiles that
 * overlap (overlap and save). With F a transform of size[0] x size[1] values and k the kernel, zeros after it,
 *
 *     y of a tile = inverse of F (F(x under it) * conj(F(k)))                    the first size - taps + 1 rows, columns
 *     gradient of the kernel = inverse of F (sum of F(x under a tile) * conj(F(grad_y of it)))           the first taps
 *
 * Two tiles go through one complex transform, as its real and its imaginary part: as k is real, both results are its
 * parts too; and the real part of (a + ib) conj(c + id) is what the gradient adds up for both.
 *
 * A tile is stored as panels, a vector of columns each (kernels/fft.h). Columns are transformed panel by panel, in the
 * first-level cache; then rows are, transposed to a panel of their own, where the product is taken at once:
 *
 *     for all panels        load, transform                      between these the tile lies in the second-level cache
 *     for each vl rows      transpose, transform, multiply, transform back, transpose
 *     for each panel        transform back, store
 *
 * The grid of tiles follows from the shape of one image. A pair that comes out with a value that is not finite (a NaN
 * or an infinity, or an overflow on the way) is computed again as the plain sum; all are if the transform of the kernel
 * is not finite, and so is a gradient of the kernel.
 *
 * The transforms are written for this: vectors of columns need no shuffles, one template serves both types and all
 * instruction sets, frequencies keep the order in which they come out, and the product is taken between butterflies.
 * Tiles of 128 x 128 took ten times as long with pocketfft's vectors across rows, thirty times without.
 */
#include <string.h>

#include "fft.h"

/* ---- Places ------------------------------------------------------------------------------------------------------ */

/* A tile: its first output, and how many there are; none: rows is 0. */
struct place {
    int64_t n, row, col, rows, cols;
};

/* Tile `which` of a pair of image n, clipped to the outputs. */
static struct place place_of(const struct fft_job *job, int64_t n, int64_t pair, int which)
{
    const struct fft_grid *g = &job->grid;
    const int64_t tile = 2 * pair + which, row = tile / g->across * g->step[0], col = tile % g->across * g->step[1];
    return (struct place){
        .n = n, .row = row, .col = col, .rows = max64(min64(g->step[0], job->c.oh - row), 0),
        .cols = min64(g->step[1], job->c.ow - col),
    };
}

static struct fft_part x_part(const struct fft_job *job, int64_t channel, const struct place *p)
{
    const struct correlation *c = &job->c;
    return (struct fft_part){
        .data = at(c->x.data, p->n * c->x.image + channel * c->x_group, c->x.item), .top = p->row + c->origin[0],
        .left = p->col + c->origin[1], .rows = p->rows ? p->rows + c->taps[0] - 1 : 0, .cols = p->cols + c->taps[1] - 1,
        .h = c->x.h, .w = c->x.w, .row = c->x.row, .pixel = c->x.pixel, .mode = c->x.mode,
    };
}

static struct fft_part y_part(const struct fft_job *job, int64_t channel, const struct place *p)
{
    const struct correlation *c = &job->c;
    return (struct fft_part){
        .data = at(c->y, p->n * c->y_image + channel * c->y_group, c->x.item), .top = p->row, .left = p->col,
        .rows = p->rows, .cols = p->cols, .h = c->oh, .w = c->ow, .row = c->y_row, .pixel = c->y_pixel,
    };
}

/* Pitches of a turned kernel are negative: then the first pixel in memory is the last. */
static struct fft_part kernel_part(const struct fft_job *job, int64_t channel)
{
    const struct correlation *c = &job->c;
    const int64_t first = min64((c->taps[0] - 1) * c->kernel_tap[0], 0) + min64((c->taps[1] - 1) * c->kernel_tap[1], 0);
    return (struct fft_part){
        .data = at(c->kernel, channel * c->kernel_group + first, c->x.item), .rows = c->taps[0], .cols = c->taps[1],
        .h = c->taps[0], .w = c->taps[1], .row = c->kernel_tap[0], .pixel = c->kernel_tap[1],
    };
}

/* ---- Forward and gradient of x ----------------------------------------------------------------------------------- */

static void make_filter(void *data, int lane_number, int64_t i)
{
    struct fft_job *job = data;
    const struct kernels *kernels = job->c.kernels;
    const struct fft_lane lane = fft_lane_at(job, lane_number);
    const struct fft_part part[2] = {kernel_part(job, job->first + i)};
    char *filter = fft_filter_at(job, job->first + i, 0);
    fft_load_tile(job, part, &lane, lane.tile[0]);
    for (int64_t block = 0; block < row_blocks(job); block++) {
        char *rows = at(filter, block * rows_elements(job), kernels->item);
        fft_take_rows(job, lane.tile[0], block, rows);
        kernels->fft_forward(job->grid.size[1], job->table[1], rows);
    }
    if (!kernels->finite(points(job), filter)) {
        atomic_store_explicit(&job->finite, false, memory_order_relaxed);
    }
}

/* A channel as a plane. */
static struct correlation channel_of(const struct correlation *c, int64_t channel)
{
    struct correlation one = *c;
    one.groups = 1;
    one.x.data = at(c->x.data, channel * c->x_group, c->x.item);
    one.y = at(c->y, channel * c->y_group, c->x.item);
    one.kernel = at(c->kernel, channel * c->kernel_group, c->x.item);
    one.bias = c->bias ? at(c->bias, channel, c->x.item) : NULL;
    return one;
}

/* The outputs of a tile as a correlation of their own, without the activation. */
static struct correlation tile_of(const struct correlation *c, int64_t channel, const struct place *p)
{
    struct correlation tile = channel_of(c, channel);
    tile.x.n = 1;
    tile.x.data = at(tile.x.data, p->n * c->x.image, c->x.item);
    tile.y = at(tile.y, p->n * c->y_image + p->row * c->y_row + p->col * c->y_pixel, c->x.item);
    tile.oh = p->rows;
    tile.ow = p->cols;
    tile.origin[0] += p->row;
    tile.origin[1] += p->col;
    tile.activation.kind = CHANCONV_IDENTITY;
    return tile;
}

static void compute_again(struct fft_job *job, const struct correlation *tile)
{
    const chanconv_status status = plane_correlator.correlate(job->context, tile);
    if (status != CHANCONV_OK) {
        atomic_store_explicit(&job->status, (int)status, memory_order_relaxed);
    }
}

static void run_pair(void *data, int lane_number, int64_t unit)
{
    struct fft_job *job = data;
    const struct correlation *c = &job->c;
    const struct fft_lane lane = fft_lane_at(job, lane_number);
    const int64_t pairs = job->grid.pairs, channel = job->first + unit / (c->x.n * pairs);
    struct correlation tile[2];
    struct fft_part part[2];
    struct fft_target to[2];
    for (int i = 0; i < 2; i++) {
        const struct place place = place_of(job, unit / pairs % c->x.n, unit % pairs, i);
        tile[i] = tile_of(c, channel, &place);
        part[i] = x_part(job, channel, &place);
        to[i] = (struct fft_target){tile[i].y, c->y_row, c->y_pixel, place.rows, place.rows ? place.cols : 0};
    }
    fft_load_tile(job, part, &lane, lane.tile[0]);
    for (int64_t block = 0; block < row_blocks(job); block++) {
        fft_take_rows(job, lane.tile[0], block, lane.rows[0]);
        c->kernels->fft_filter(job->grid.size[1], job->table[1], lane.rows[0],
                               at(fft_filter_at(job, channel, 0), block * rows_elements(job), c->x.item));
        fft_put_rows(job, lane.rows[0], block, lane.tile[0]);
    }
    const bool finite = fft_store_tile(job, to, tile[0].bias, lane.tile[0]);
    for (int i = 0; i < 2 && to[i].rows; i++) {
        if (!finite) {
            compute_again(job, &tile[i]);
        }
        for (int64_t row = 0; row < to[i].rows && c->activation.kind != CHANCONV_IDENTITY; row++) {
            activate_row(c->kernels, &c->activation, at(to[i].y, row * c->y_row, c->x.item), to[i].cols, 1, c->y_pixel);
        }
    }
}

/* Threads worth taking: as if a cycle were so many operations. */
static int threads_for(const chanconv_context *context, const struct correlation *c, const struct fft_grid *grid)
{
    return worthwhile_threads(context, 50 * grid->cost * (double)c->x.n * (double)c->groups);
}

static chanconv_status run_channels(struct fft_job *job, bool *finite)
{
    const struct correlation *c = &job->c;
    atomic_init(&job->finite, true);
    atomic_init(&job->status, CHANCONV_OK);
    for (job->first = 0; job->first < c->groups && atomic_load(&job->finite); job->first += job->channels) {
        const int64_t count = min64(job->channels, c->groups - job->first);
        run_units(job->context, job->threads, count, make_filter, job);
        if (atomic_load(&job->finite)) {
            run_units(job->context, job->threads, count * c->x.n * job->grid.pairs, run_pair, job);
        }
    }
    *finite = atomic_load(&job->finite);
    return (chanconv_status)atomic_load(&job->status);
}

/* The plain sums, channel by channel. */
static chanconv_status run_direct(chanconv_context *context, const struct correlation *c)
{
    chanconv_status status = CHANCONV_OK;
    for (int64_t channel = 0; channel < c->groups && status == CHANCONV_OK; channel++) {
        const struct correlation one = channel_of(c, channel);
        status = plane_correlator.correlate(context, &one);
    }
    return status;
}

/* Borders of the gradient of x that are too thin for tiles. */
static bool is_thin(const struct correlation *c) { return c->bounded && min64(c->oh, c->ow) < 4; }

static chanconv_status fft_correlate(chanconv_context *context, const struct correlation *c)
{
    bool finite = true;
    if (c->x.n == 0 || c->oh < 1 || c->ow < 1) {
        return CHANCONV_OK;
    }
    if (is_thin(c)) {
        return run_direct(context, c);
    }
    struct fft_job job = fft_job_of(c, 1, false);
    job.context = context;
    job.threads = threads_for(context, c, &job.grid);
    if (!fft_take_memory(&job)) {
        return CHANCONV_NO_MEMORY;
    }
    const chanconv_status status = run_channels(&job, &finite);
    fft_release_memory(&job);
    return finite ? status : run_direct(context, c);
}

/* What computing a tile again takes at most: one inside the grid, or at its right or lower end. */
static int64_t again_bytes(const struct fft_job *job, int threads)
{
    const struct correlation *c = &job->c;
    const int64_t *step = job->grid.step, last[2] = {(c->oh - 1) % step[0] + 1, (c->ow - 1) % step[1] + 1};
    int64_t bytes = 0;
    for (int i = 0; i < 4; i++) {
        const struct place place = {
            .rows = i / 2 ? last[0] : min64(step[0], c->oh), .cols = i % 2 ? last[1] : min64(step[1], c->ow),
        };
        const struct correlation tile = tile_of(c, 0, &place);
        bytes = max64(bytes, plane_correlator.bytes(&tile, threads));
    }
    return bytes;
}

static int64_t fft_bytes(const struct correlation *c, int threads)
{
    if (c->x.n == 0 || c->oh < 1 || c->ow < 1) {
        return 0;
    }
    const struct correlation one = channel_of(c, 0);
    const int64_t direct = plane_correlator.bytes(&one, threads);
    if (is_thin(c)) {
        return direct;
    }
    const struct fft_job job = fft_job_of(c, threads, false);
    return max64(fft_job_bytes(&job) + threads * again_bytes(&job, threads), direct);
}

static const struct correlator correlator = {.correlate = fft_correlate, .bytes = fft_bytes};

/* ---- Gradient of the kernel -------------------------------------------------------------------------------------- */

/* Adds the products of a pair's transforms to the sums of a split. */
static void add_pair(const struct fft_job *job, int64_t channel, int64_t n, int64_t pair, const struct fft_lane *lane,
                     char *sums)
{
    const struct kernels *kernels = job->c.kernels;
    struct fft_part x[2], y[2];
    for (int i = 0; i < 2; i++) {
        const struct place place = place_of(job, n, pair, i);
        x[i] = x_part(job, channel, &place);
        y[i] = y_part(job, channel, &place);
    }
    fft_load_tile(job, x, lane, lane->tile[0]);
    fft_load_tile(job, y, lane, lane->tile[1]);
    for (int64_t block = 0; block < row_blocks(job); block++) {
        for (int i = 0; i < 2; i++) {
            fft_take_rows(job, lane->tile[i], block, lane->rows[i]);
            kernels->fft_forward(job->grid.size[1], job->table[1], lane->rows[i]);
        }
        kernels->fft_multiply(job->grid.size[1], lane->rows[0], lane->rows[1],
                              at(sums, block * rows_elements(job), kernels->item));
    }
}

static void run_split(void *data, int lane_number, int64_t unit)
{
    struct fft_job *job = data;
    const struct fft_lane lane = fft_lane_at(job, lane_number);
    const int64_t pairs = job->grid.pairs, all = job->c.x.n * pairs, split = unit % job->splits;
    const int64_t channel = job->first + unit / job->splits, end = all * (split + 1) / job->splits;
    char *sums = fft_filter_at(job, channel, split);
    memset(sums, 0, (size_t)(points(job) * item(job)));
    for (int64_t i = all * split / job->splits; i < end; i++) {
        add_pair(job, channel, i / pairs, i % pairs, &lane, sums);
    }
}

/* Adds up the splits of a channel, in order, and transforms the sum back. */
static void finish_channel(void *data, int lane_number, int64_t i)
{
    struct fft_job *job = data;
    const struct correlation *c = &job->c;
    const struct fft_lane lane = fft_lane_at(job, lane_number);
    const int64_t channel = job->first + i;
    char *sums = fft_filter_at(job, channel, 0);
    const struct fft_target to[2] = {{
        .y = at(c->kernel, channel * c->kernel_group, c->x.item), .y_row = c->kernel_tap[0],
        .y_pixel = c->kernel_tap[1], .rows = c->taps[0], .cols = c->taps[1],
    }};
    for (int64_t split = 1; split < job->splits; split++) {
        c->kernels->add(points(job), fft_filter_at(job, channel, split), sums);
    }
    for (int64_t block = 0; block < row_blocks(job); block++) {
        char *rows = at(sums, block * rows_elements(job), c->x.item);
        c->kernels->fft_inverse(job->grid.size[1], job->table[1], rows);
        fft_put_rows(job, rows, block, lane.tile[0]);
    }
    if (!fft_store_tile(job, to, NULL, lane.tile[0])) {
        atomic_store_explicit(&job->finite, false, memory_order_relaxed);
    }
}

static struct fft_job gradient_job(const struct geometry *g, const struct arrays *arrays, int threads)
{
    struct correlation c = forward_correlation(g, arrays);
    c.y = at(arrays->y, 0, g->item);
    c.kernel = arrays->out;
    return fft_job_of(&c, threads, true);
}

static chanconv_status gradient(chanconv_context *context, const struct geometry *g, const struct arrays *arrays,
                                bool *finite)
{
    if (g->n == 0) {
        memset(arrays->out, 0, (size_t)(g->kh * g->kw * g->c) * g->item);
        return CHANCONV_OK;
    }
    struct fft_job job = gradient_job(g, arrays, 1);
    job.context = context;
    job.threads = threads_for(context, &job.c, &job.grid);
    if (!fft_take_memory(&job)) {
        return CHANCONV_NO_MEMORY;
    }
    atomic_init(&job.finite, true);
    for (; job.first < job.c.groups && atomic_load(&job.finite); job.first += job.channels) {
        const int64_t count = min64(job.channels, job.c.groups - job.first);
        run_units(context, job.threads, count * job.splits, run_split, &job);
        run_units(context, job.threads, count, finish_channel, &job);
    }
    *finite = atomic_load(&job.finite);
    fft_release_memory(&job);
    return CHANCONV_OK;
}

/* ---- The algorithm ----------------------------------------------------------------------------------------------- */

/* The stride of a single output is any. */
static struct geometry unit_stride(const struct geometry *g)
{
    struct geometry unit = *g;
    unit.stride[0] = g->oh == 1 ? 1 : g->stride[0];
    unit.stride[1] = g->ow == 1 ? 1 : g->stride[1];
    return unit;
}

enum { FALLBACK_BYTES_MAX = 8 << 20 };

/* What computes a gradient of the kernel that did not come out finite, and its plan. The direct one of a huge kernel
 * takes too much memory. */
static const struct algorithm *plan_fallback(const struct geometry *g, chanconv_plan *plan)
{
    static const struct algorithm *const direct[] = {&algorithm_depthwise, &algorithm_plane};
    for (int i = 0; i < 2; i++) {
        if (!direct[i]->decline(g, CHANCONV_GRAD_KERNEL)) {
            direct[i]->plan(g, CHANCONV_GRAD_KERNEL, plan);
            if (plan->workspace_bytes <= FALLBACK_BYTES_MAX) {
                return direct[i];
            }
        }
    }
    algorithm_gemm.plan(g, CHANCONV_GRAD_KERNEL, plan);
    return &algorithm_gemm;
}

static chanconv_status run(chanconv_context *context, const struct geometry *geometry, chanconv_pass pass,
                           const struct arrays *arrays)
{
    const struct geometry unit = unit_stride(geometry), *g = &unit;
    if (pass == CHANCONV_GRAD_X) {
        return gradient_of_x(context, g, arrays, &correlator);
    }
    if (pass == CHANCONV_FORWARD) {
        const struct correlation c = forward_correlation(g, arrays);
        return fft_correlate(context, &c);
    }
    bool finite = true;
    chanconv_plan plan = {.threads = context_threads(context)};
    const chanconv_status status = gradient(context, g, arrays, &finite);
    return finite ? status : plan_fallback(g, &plan)->run(context, g, pass, arrays);
}

static struct fft_grid grid_of(const struct geometry *g, chanconv_pass pass)
{
    const int64_t taps[2] = {g->kh, g->kw}, outputs[2] = {pass == CHANCONV_GRAD_X ? g->h : g->oh,
                                                          pass == CHANCONV_GRAD_X ? g->w : g->ow};
    return fft_find_grid(kernels_for(g->dtype), taps, outputs, pass == CHANCONV_GRAD_KERNEL);
}

static void plan(const struct geometry *geometry, chanconv_pass pass, chanconv_plan *plan)
{
    const struct geometry unit = unit_stride(geometry), *g = &unit;
    const struct fft_grid grid = grid_of(g, pass);
    const struct arrays none = {0};
    if (g->n == 0) {
        return;
    }
    plan->tile[0] = (int32_t)grid.step[0];
    plan->tile[1] = (int32_t)grid.step[1];
    if (pass == CHANCONV_GRAD_KERNEL) {
        const struct fft_job job = gradient_job(g, &none, plan->threads);
        chanconv_plan fallback = {.threads = plan->threads};
        plan_fallback(g, &fallback);
        plan->workspace_bytes = max64(fft_job_bytes(&job), fallback.workspace_bytes);
        return;
    }
    const struct correlation c = forward_correlation(g, &none);
    plan->workspace_bytes = pass == CHANCONV_FORWARD ? fft_bytes(&c, plan->threads)
                                                     : gradient_of_x_bytes(g, plan->threads, &correlator);
}

/* ---- The choice -------------------------------------------------------------------------------------------------- */

/* Cycles of the direct algorithms for one channel of one image: two products a cycle, and what there is to each row of
 * taps. */
static double direct_cost(const struct geometry *g, chanconv_pass pass)
{
    const double outputs = (double)(pass == CHANCONV_GRAD_X ? g->h * g->w : g->oh * g->ow);
    const double taps = (double)(g->kh * g->kw), vectors = outputs / (double)kernels_for(g->dtype)->vl;
    return vectors * (0.5 * taps + 1.6 * (double)g->kh + 10);
}

static const char *decline(const struct geometry *geometry, chanconv_pass pass)
{
    const struct geometry unit = unit_stride(geometry), *g = &unit;
    if (g->groups != g->c || g->k != g->c) {
        return "it convolves channels one by one, with one kernel each";
    }
    if (g->stride[0] != 1 || g->stride[1] != 1 || g->dilation[0] != 1 || g->dilation[1] != 1) {
        return "it is for stride 1 and dilation 1";
    }
    if (g->precision == CHANCONV_STRICT) {
        return "the precision is strict";
    }
    if (g->algorithm == CHANCONV_AUTO && g->kh * g->kw < 49) {
        return "direct is faster for kernels of this size"; /* without searching a grid */
    }
    const struct fft_grid grid = grid_of(g, pass);
    if (!grid.size[0]) {
        return "the kernel is too large for its tiles";
    }
    if (g->algorithm == CHANCONV_AUTO && direct_cost(g, pass) < 1.2 * grid.cost) {
        return "direct is faster for kernels and images of this size";
    }
    return NULL;
}

const struct algorithm algorithm_fft = {.id = CHANCONV_FFT, .decline = decline, .plan = plan, .run = run};

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The gradient of x where x has few channels and the stride is more than 1, as in a first layer. What a residue of the stride
 * would sum up (gemm.c) is then too little for a tile. Instead the products of an output pixel with all taps and channels
 * are one row of a matrix,
 *     patch[pixel][r, s, c] = sum over k of grad_y[pixel][k] * kernel[r][s][c][k],
 * which a register tile computes for some pixels at once, and which is added to x while it is in the first-level cache: a
 * row of taps is one run of x. Only cells of x get something, so there is no padding that a value of the kernel could meet.
 *
 * An element of x gets its terms by rows of y, and along a row tile by tile, whatever rows of x a thread computes.
 */
#include <math.h>
#include <string.h>

#include "gemm.h"

/* Bytes of a kernel that stays in the second-level cache. */
enum { KERNEL_BYTES_MAX = BLOCK_BYTES / 2 };

struct job {
    const struct scatter *s;
    const struct geometry *g;
    const struct kernels *kernels;
    int64_t taps, columns, width; /* of a row of taps; of a patch; of a patch in whole vectors */
    int64_t rows, blocks;         /* of x, for a unit of work */
    void *b, *lanes;              /* the kernel, turned over, in panels; patches of a tile for each lane */
};

/* ---- Choice ---------------------------------------------------------------------------------------------------------------- */

static int64_t patch_columns(const struct geometry *g) { return g->kh * g->kw * g->cg; }

/* Pieces, each a power of 2, that a run is added in. */
static double pieces(int64_t length, int64_t vl)
{
    return (double)(length / vl) + (double)__builtin_popcountll((unsigned long long)(length % vl));
}

/* In multiply-adds of vectors, for a pixel of y; INFINITY where the kernel does not fit. */
double scatter_cost(const struct geometry *g)
{
    const struct kernels *kernels = kernels_for(g->dtype);
    const int64_t columns = padded_columns(kernels, patch_columns(g));
    if (g->groups != 1 || g->dilation[1] != 1 || g->cg == 0 || g->cg > MR_MAX ||
        columns * g->kg > KERNEL_BYTES_MAX / (int64_t)g->item) {
        return INFINITY;
    }
    const double tile = columns > kernels->vl ? 1.05 : 1.3; /* one vector wide it is bound by its loads */
    return tile * (double)(columns / kernels->vl * g->kg) + (double)g->kh * (3 * pieces(g->kw * g->cg, kernels->vl) + 2);
}

/* ---- The plan -------------------------------------------------------------------------------------------------------------- */

static struct job plan(const struct scatter *s, int threads)
{
    const struct geometry *g = s->g;
    struct job job = {.s = s, .g = g, .kernels = kernels_for(g->dtype), .taps = g->kw * g->cg,
                      .columns = patch_columns(g)};
    job.width = padded_columns(job.kernels, job.columns);
    /* A row of y whose taps reach into two blocks is computed for each. */
    const int64_t reach = (g->kh - 1) * g->dilation[0] + 1;
    const int64_t least = max64(s->size[0] * g->n / (4 * threads), 4 * reach);
    job.blocks = threads > 1 ? max64(s->size[0] / least, 1) : 1;
    job.rows = ceil_div(s->size[0], job.blocks);
    job.blocks = ceil_div(s->size[0], job.rows);
    return job;
}

static int64_t kernel_elements(const struct job *job) { return ceil_div(job->width * job->g->kg, 16) * 16; }

static int64_t job_bytes(const struct job *job, int threads)
{
    return (kernel_elements(job) + threads * MR_MAX * job->width) * (int64_t)job->g->item;
}

int64_t scatter_bytes(const struct scatter *s, int threads)
{
    const struct job job = plan(s, threads);
    return job_bytes(&job, threads);
}

/* ---- Blocks ---------------------------------------------------------------------------------------------------------------- */

/* What x begins with: the bias, or zeros. */
static void begin_rows(const struct job *job, char *x, int64_t rows)
{
    const struct scatter *s = job->s;
    const size_t item = job->g->item, pixel = (size_t)job->g->cg * item;
    const bool at_once = !s->bias && s->x_pixel == job->g->cg;
    for (int64_t i = 0; i < rows; i++) {
        char *row = at(x, i * s->x_row, item);
        for (int64_t j = 0; j < (at_once ? 1 : s->size[1]); j++) {
            if (s->bias) {
                memcpy(at(row, j * s->x_pixel, item), s->bias, pixel);
            } else {
                memset(at(row, j * s->x_pixel, item), 0, at_once ? (size_t)s->size[1] * pixel : pixel);
            }
        }
    }
}

/* The patches of `pixels` neighbours in a row of y. */
static void compute(const struct job *job, const void *y, int64_t pixels, void *patches)
{
    const struct geometry *g = job->g;
    const int64_t panels = panel_count(job->kernels, job->columns);
    const struct segment whole = {0, 0};
    for (int64_t p = 0; p < panels; p++) {
        const struct panel panel = panel_at(job->kernels, job->columns, p);
        const int64_t width = panel.vectors * job->kernels->vl, tallest_tile = tallest(job->kernels, &panel);
        for (int64_t done = 0; done < pixels; done += tallest_tile) {
            const struct tile tile = {
                .segments = 1, .segment = &whole, .length = g->kg, .a = at(y, done * g->y_pixel, g->item),
                .a_row = g->y_pixel, .a_col = 1, .b = at(job->b, panel.first * g->kg, g->item), .b_row = width,
                .c = at(patches, done * job->width + panel.first, g->item), .c_row = job->width, .columns = width,
            };
            job->kernels->tile[panel.vectors][min64(tallest_tile, pixels - done)](&tile);
        }
    }
}

/* The same sums in the same order where pixels of x lie apart: `taps` of them in a row. */
static void overlay_apart(const struct job *job, const struct overlay *overlay, int64_t taps)
{
    const size_t item = job->g->item;
    for (int64_t i = 0; i < overlay->pixels; i++) {
        const int64_t evens = (overlay->pixels + 1) / 2, pixel = i < evens ? 2 * i : 2 * (i - evens) + 1;
        for (int64_t tap = 0; tap < taps; tap++) {
            struct overlay one = *overlay;
            one.pixels = 1;
            one.length = job->g->cg;
            one.src = at(overlay->src, pixel * overlay->src_pixel + tap * job->g->cg, item);
            one.dst = at(overlay->dst, pixel * overlay->dst_pixel + tap * job->s->x_pixel, item);
            job->kernels->overlay(&one);
        }
    }
}

/* Adds rows of taps first .. end - 1 of the patches of pixels, whose first tap lies on column `col` of x, to the row of x that
 * tap 0 lies on. Patches that lie within x go together, others one by one without what lies outside. */
static void add_patches(const struct job *job, int64_t pixels, int64_t first, int64_t end, int64_t col, void *patches,
                        void *row)
{
    const struct geometry *g = job->g;
    const int64_t stride = g->stride[1], size = job->s->size[1], row_step = g->dilation[0] * job->s->x_row;
    const int64_t x_pixel = job->s->x_pixel;
    for (int64_t i = 0; i < pixels;) {
        const int64_t left = col + i * stride, from = max64(-left, 0), to = min64(size - left, g->kw);
        const bool within = from == 0 && to == g->kw;
        const int64_t count = within ? min64((size - g->kw - left) / stride + 1, pixels - i) : 1;
        const struct overlay overlay = {
            .pixels = to > from ? count : 0, .rows = end - first, .length = (to - from) * g->cg,
            .src = at(patches, i * job->width + first * job->taps + from * g->cg, g->item),
            .src_pixel = job->width, .src_row = job->taps,
            .dst = at(row, first * row_step + (left + from) * x_pixel, g->item),
            .dst_pixel = stride * x_pixel, .dst_row = row_step,
        };
        if (x_pixel == g->cg) {
            job->kernels->overlay(&overlay);
        } else {
            overlay_apart(job, &overlay, to - from);
        }
        i += count;
    }
}

/* Row i of y, as far as it reaches rows top .. bottom - 1 of x. */
static void add_row(const struct job *job, const void *y, int64_t i, int64_t top, int64_t bottom, void *x, void *patches)
{
    const struct geometry *g = job->g;
    const int64_t row = i * g->stride[0] - job->s->first[0], d = g->dilation[0];
    const int64_t first = row < top ? ceil_div(top - row, d) : 0, end = min64(ceil_div(max64(bottom - row, 0), d), g->kh);
    const struct panel panel = panel_at(job->kernels, job->columns, 0);
    const int64_t tiles = ceil_div(g->ow, tallest(job->kernels, &panel));
    int64_t col = 0;
    for (int64_t t = 0; t < tiles && first < end; t++) {
        const int64_t pixels = g->ow / tiles + (t < g->ow % tiles);
        compute(job, at(y, i * g->y_row + col * g->y_pixel, g->item), pixels, patches);
        add_patches(job, pixels, first, end, col * g->stride[1] - job->s->first[1], patches,
                    at(x, row * job->s->x_row, g->item));
        col += pixels;
    }
}

static void run_unit(void *data, int lane, int64_t unit)
{
    const struct job *job = data;
    const struct geometry *g = job->g;
    const struct scatter *s = job->s;
    const int64_t n = unit / job->blocks, top = unit % job->blocks * job->rows;
    const int64_t bottom = min64(top + job->rows, s->size[0]), reach = (g->kh - 1) * g->dilation[0];
    const void *y = at(s->y, n * g->y_image, g->item);
    void *x = at(s->x, n * s->x_image, g->item), *patches = at(job->lanes, lane * MR_MAX * job->width, g->item);
    const int64_t before = max64(top + s->first[0] - reach, 0);
    const int64_t end = min64((bottom - 1 + s->first[0]) / g->stride[0] + 1, g->oh);
    begin_rows(job, at(x, top * s->x_row, g->item), bottom - top);
    for (int64_t i = ceil_div(before, g->stride[0]); i < end; i++) {
        add_row(job, y, i, top, bottom, x, patches);
    }
}

/* The kernel, [taps and channels][k], with k down the panels. */
static void pack_kernel(const struct job *job)
{
    const struct geometry *g = job->g;
    for (int64_t p = 0; p < panel_count(job->kernels, job->columns); p++) {
        const struct panel panel = panel_at(job->kernels, job->columns, p);
        job->kernels->pack(at(job->b, panel.first * g->kg, g->item), panel.vectors * job->kernels->vl,
                           at(job->s->kernel, panel.first * g->kg, g->item), g->kg, panel.columns, 1, g->kg);
    }
}

chanconv_status scatter_gradient(chanconv_context *context, const struct scatter *s)
{
    const struct geometry *g = s->g;
    const double flops = 2.0 * (double)(g->n * g->oh * g->ow) * (double)(patch_columns(g) * g->kg);
    const int threads = worthwhile_threads(context, flops);
    struct job job = plan(s, threads);
    const size_t bytes = (size_t)job_bytes(&job, threads);
    job.b = take_scratch(context, bytes);
    if (!job.b) {
        return CHANCONV_NO_MEMORY;
    }
    job.lanes = at(job.b, kernel_elements(&job), g->item);
    pack_kernel(&job);
    run_units(context, threads, g->n * job.blocks, run_unit, &job);
    release_scratch(context, job.b, bytes);
    return CHANCONV_OK;
}

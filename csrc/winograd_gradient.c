/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Winograd's gradient of the kernel, the transpose of F(4x4, 3x3) (kernels/winograd.h has the mathematics): each tile of
 * 4 x 4 pixels of grad_y, with the 6 x 6 pixels of x that its outputs read, adds to 36 products in place of 144:
 *
 *     V[i] = 6 x 6 pixels of x transformed            [tiles][channels]       i = 0 .. 35
 *     D[i] = 4 x 4 pixels of grad_y transformed       [tiles][kernels]
 *     M[i] = V[i]' D[i], summed over all tiles        [channels][kernels]
 *     gradient = M transformed                        3 x 3 taps
 *
 * Tiles are taken in blocks, whose V and D fit the caches: a register tile sums over a block, M over the blocks. Blocks
 * follow from the shape alone, so the order of each sum does. Work is a tile to transform, then a panel of kernels by some
 * channels, in all 36 planes.
 */
#include <stdatomic.h>
#include <string.h>

#include "winograd.h"

/* Bytes of V and D together, so that all scratch memory but M is below 8 MiB; tiles of a block, where that allows it enough
 * of them for what M costs beside the products. */
enum { BLOCK_BYTES_MAX = (8 << 20) - (256 << 10), BLOCK_TILES_MIN = 16, BLOCK_TILES_MAX = 256 };

enum { PIECE_TILES = 64 };

/* Channels of a unit of work: five register tiles, so that its M fits the second-level cache. */
enum { CHUNK_ROWS = 70 };

struct job {
    struct geometry g;
    const struct kernels *kernels;
    struct grid grid;
    const void *grad_y;
    void *grad_kernel;
    int64_t panels, width;          /* columns of the widest panel */
    int64_t chunks, chunk_rows;     /* of the channels; rows of the largest */
    int64_t v_row, d_row;
    int64_t blocks, block_tiles;
    int64_t block, first, count;    /* the one at work: its tiles */
    char *v, *d, *m;
    bool far;                       /* x and grad_y come from memory */
    atomic_bool finite;             /* all of the gradient */
    int threads;
};

/* ---- Sizes and places, in elements ------------------------------------------------------------------------------------ */

static int64_t v_plane(const struct job *job) { return odd_lines(job->block_tiles * job->v_row, (int64_t)job->g.item); }
static int64_t d_plane(const struct job *job) { return odd_lines(job->block_tiles * job->d_row, (int64_t)job->g.item); }
static int64_t m_plane(const struct job *job) { return odd_lines(job->chunk_rows * job->width, (int64_t)job->g.item); }
static int64_t zeros_elements(const struct job *job) { return odd_lines(job->g.cg, (int64_t)job->g.item); }

/* Units of work have an M of their own only if they add to it more than once. */
static int64_t m_count(const struct job *job) { return job->blocks > 1 ? job->panels * job->chunks : job->threads; }

static int64_t job_bytes(const struct job *job)
{
    return (zeros_elements(job) + PLANES * (v_plane(job) + d_plane(job) + m_count(job) * m_plane(job))) *
           (int64_t)job->g.item;
}

static int64_t first_tile(const struct job *job, int64_t block) { return job->grid.tiles * block / job->blocks; }
static int64_t first_row(const struct job *job, int64_t chunk) { return job->g.cg * chunk / job->chunks; }

static struct job job_of(const struct geometry *g, const struct arrays *arrays, int threads)
{
    const struct correlation c = forward_correlation(g, arrays);
    struct job job = {
        .g = *g, .kernels = c.kernels, .grid = grid_of(&c), .grad_y = arrays->y, .grad_kernel = arrays->out,
        .panels = panel_count(c.kernels, g->kg), .v_row = padded_columns(c.kernels, g->cg),
        .d_row = padded_columns(c.kernels, g->kg), .threads = threads,
    };
    job.width = panel_at(c.kernels, g->kg, job.panels - 1).vectors * c.kernels->vl;
    job.width = job.panels > 1 ? max64(job.width, 2 * c.kernels->vl) : job.width;
    job.chunks = max64(ceil_div(g->cg, CHUNK_ROWS), min64(ceil_div(threads, job.panels), ceil_div(g->cg, MR_MAX)));
    job.chunk_rows = ceil_div(g->cg, job.chunks);
    const int64_t fitting = BLOCK_BYTES_MAX / (PLANES * (job.v_row + job.d_row) * (int64_t)g->item);
    job.blocks = ceil_div(job.grid.tiles, min64(max64(fitting, BLOCK_TILES_MIN), BLOCK_TILES_MAX));
    job.block_tiles = ceil_div(job.grid.tiles, job.blocks);
    job.far = come_from_memory(&job.grid, g->kg, g->groups);
    return job;
}

/* ---- Work --------------------------------------------------------------------------------------------------------------- */

/* Of tile t of all images. */
static void fetch_both(const struct job *job, int64_t t)
{
    const struct geometry *g = &job->g;
    const struct pixels y = {job->grad_y, g->y_image, g->y_row, g->y_pixel, g->oh, g->ow, g->kg, g->item};
    struct place place;
    find_places(&job->grid, t, 1, &place);
    fetch_tile_of_x(&job->grid, &place);
    fetch_tile(&y, &place, 0, 0);
}

/* V and D of tile i of the block. */
static void transform_tile(void *data, int lane, int64_t i)
{
    const struct job *job = data;
    const struct geometry *g = &job->g;
    struct place place;
    struct patch patch;
    (void)lane;
    if (job->far && job->first + i + TILES_AHEAD < job->grid.tiles) {
        fetch_both(job, job->first + i + TILES_AHEAD);
    }
    find_places(&job->grid, job->first + i, 1, &place);
    find_patch(&job->grid, &place, &patch);
    job->kernels->winograd_input(&patch, 0, g->cg, at(job->v, i * job->v_row, g->item), v_plane(job));
    job->kernels->winograd_grad_y(
        at(job->grad_y, place.n * g->y_image + place.row * g->y_row + place.col * g->y_pixel, g->item), g->y_row,
        g->y_pixel, place.rows, place.cols, g->kg, at(job->d, i * job->d_row, g->item), d_plane(job));
}

/* M (+)= V' D for channels row .. row + rows - 1 and a panel. A register tile adds up a piece of the block, then M the
 * pieces: that makes the error smaller, and M is at hand. */
static void multiply(const struct job *job, const struct panel *panel, int64_t row, int64_t rows, char *m)
{
    const size_t item = job->g.item;
    const struct segment whole = {0, 0};
    const int64_t width = panel->vectors * job->kernels->vl, parts = ceil_div(rows, tallest(job->kernels, panel));
    const int64_t pieces = ceil_div(job->count, PIECE_TILES);
    struct tile tile = {
        .segments = 1, .segment = &whole, .a_row = 1, .a_col = job->v_row, .b_row = job->d_row, .c_row = width,
        .columns = width,
    };
    for (int64_t i = 0; i < PLANES; i++) {
        for (int64_t part = 0; part < parts; part++) {
            const int64_t first = rows * part / parts, end = rows * (part + 1) / parts;
            tile.c = at(m, i * m_plane(job) + first * width, item);
            for (int64_t q = 0; q < pieces; q++) {
                const int64_t t = job->count * q / pieces;
                tile.length = job->count * (q + 1) / pieces - t;
                tile.a = at(job->v, i * v_plane(job) + t * job->v_row + row + first, item);
                tile.b = at(job->d, i * d_plane(job) + t * job->d_row + panel->first, item);
                tile.accumulate = job->block > 0 || q > 0;
                panel_tile(job->kernels, panel, end - first)(&tile);
            }
        }
    }
}

/* Unit i of a block: panel i / chunks, chunk i % chunks. The last block makes the gradient of it. */
static void add_block(void *data, int lane, int64_t i)
{
    struct job *job = data;
    const struct geometry *g = &job->g;
    const struct panel panel = panel_at(job->kernels, g->kg, i / job->chunks);
    const int64_t row = first_row(job, i % job->chunks), rows = first_row(job, i % job->chunks + 1) - row;
    const int64_t tap[2] = {3 * g->cg * g->k, g->cg * g->k};
    char *m = at(job->m, (job->blocks > 1 ? i : lane) * PLANES * m_plane(job), g->item);
    multiply(job, &panel, row, rows, m);
    if (job->block == job->blocks - 1 &&
        !job->kernels->winograd_grad_kernel(m, m_plane(job), panel.vectors * job->kernels->vl, rows, panel.columns,
                                            at(job->grad_kernel, row * g->k + panel.first, g->item), tap, g->k)) {
        atomic_store_explicit(&job->finite, false, memory_order_relaxed);
    }
}

static void run_blocks(chanconv_context *context, struct job *job)
{
    for (job->block = 0; job->block < job->blocks; job->block++) {
        job->first = first_tile(job, job->block);
        job->count = first_tile(job, job->block + 1) - job->first;
        run_units(context, job->threads, job->count, transform_tile, job);
        run_units(context, job->threads, job->panels * job->chunks, add_block, job);
    }
}

/* ---- The whole ----------------------------------------------------------------------------------------------------------- */

static bool is_empty(const struct geometry *g)
{
    return g->n == 0 || g->oh < 1 || g->ow < 1 || g->cg == 0 || g->kg == 0;
}

chanconv_status winograd_gradient(chanconv_context *context, const struct geometry *g, const struct arrays *arrays,
                                  bool *finite)
{
    *finite = !is_empty(g);
    if (!*finite) {
        return CHANCONV_OK;
    }
    const double flops = 2.0 * TAPS * (double)(g->n * g->oh * g->ow) * (double)(g->cg * g->k);
    struct job job = job_of(g, arrays, worthwhile_threads(context, flops));
    const size_t bytes = (size_t)job_bytes(&job);
    char *scratch = take_scratch(context, bytes);
    if (!scratch) {
        return CHANCONV_NO_MEMORY;
    }
    memset(scratch, 0, (size_t)zeros_elements(&job) * g->item);
    job.grid.zeros = scratch;
    job.v = at(scratch, zeros_elements(&job), g->item);
    job.d = at(job.v, PLANES * v_plane(&job), g->item);
    job.m = at(job.d, PLANES * d_plane(&job), g->item);
    atomic_init(&job.finite, true);
    const void *x = job.grid.x.data;
    for (int64_t i = 0; i < g->groups && atomic_load(&job.finite); i++) {
        job.grid.x.data = at(x, i * g->cg, g->item);
        job.grad_y = at(arrays->y, i * g->kg, g->item);
        job.grad_kernel = at(arrays->out, i * g->kg, g->item);
        run_blocks(context, &job);
    }
    *finite = atomic_load(&job.finite);
    release_scratch(context, scratch, bytes);
    return CHANCONV_OK;
}

int64_t winograd_gradient_bytes(const struct geometry *g, int threads)
{
    const struct arrays none = {0};
    if (is_empty(g)) {
        return 0;
    }
    const struct job job = job_of(g, &none, threads);
    return job_bytes(&job);
}

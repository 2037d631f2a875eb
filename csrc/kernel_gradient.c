/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The gradient of the kernel: for each tap (r, s) a product of x turned over and grad_y,
 *     grad_kernel[r][s][c][k] = sum over pixels of x[pixel + (r, s)][c] * grad_y[pixel][k].
 * Channels of a pixel are contiguous in x, and so are those of grad_y: a register tile reads both as they lie, pixel after
 * pixel, and nothing is turned over in memory. A row of taps is one run of x where taps are next to each other, so that
 * kernels with few channels still fill tiles. With few kernels the result is computed turned over: channels lie across the
 * vector, and the rows of a tile are kernels.
 *
 * A part of grad_kernel that fits the second-level cache takes the sums over all blocks of pixels before the next part. The
 * order of a sum follows from the blocks and the splits, which follow from the shape: never from the parts or the number of
 * threads.
 */
#include <math.h>
#include <string.h>

#include "gemm.h"

/* Pixels of a block: enough that loading and storing the tile is little beside it, at most 1024. */
enum { PIXELS_MAX = 1024, PIXELS_MIN = 64, PIXELS_SHORT = 128, ROWS_MAX = 256 };

/* Of vectors narrower than a cache line a tile takes so few rows that the next ones read the same lines of x: a block of so
 * many pixels, if there are twice as many, leaves them and a panel of grad_y in the first-level cache. */
enum { PIXELS_NARROW = 128 };

/* A gradient of fewer register tiles than this is also split over the pixels, into at most SPLITS_MAX partial sums. */
enum { TILES_ENOUGH = 16, SPLITS_MAX = 8 };

/* Channels that are so many have several parts, in blocks of the pixels that fit with so many of them. */
enum { PART_CHANNELS = 512 };

/* grad_y is read in place where fewer rows of tiles than this would use its copy, in blocks of few pixels or of parts that do
 * not share one; but not where its pixels lie a multiple of 4 KiB apart. */
enum { ROWS_IN_PLACE = 48 };

/* The most that a result takes, with all partial sums, to be computed turned over. */
enum { TURNED_BYTES = 4 * 1024 * 1024 };

struct job {
    struct geometry g;
    const struct kernels *kernels;
    struct image x;               /* of the first group */
    const void *grad_y;
    void *grad_kernel;
    int64_t column;               /* from one output column to the next in x, if not stride[1] pixels; else 0 */
    bool turned;                  /* rows of tiles are kernels, columns run along a run: [k][run][row] */
    bool copy, merged, y_in_place;
    bool clip;                    /* taps on rows of padding are left out, and where runs are single taps those on columns */
    int64_t runs, run_rows;       /* rows of grad_kernel: runs of so many, contiguous in x */
    int64_t runs_in_row;          /* of taps */
    int64_t images, rows, cols;   /* of a block */
    int64_t image_blocks, row_blocks, col_blocks;
    int64_t panels;               /* of columns of grad_kernel; when turned, tiles that have all kernels together */
    int64_t splits;
    int64_t run_parts, row_parts, panel_parts; /* parts of grad_kernel: several runs, or some rows of one */
    int64_t band_elements, panel_elements;
    void *partial, *scratch;      /* splits 1, 2, ..., when turned all of them; bands and panels of each lane */
};

/* ---- Choice ------------------------------------------------------------------------------------------------------ */

static int64_t sums_of(const struct geometry *g) { return g->kh * g->kw * g->cg * g->k; }

/* Multiply-adds on vectors for an output and one run. A tile one vector wide waits for loads, tiles of few rows for
 * additions and, unless they find grad_y in whole vectors, for its copy. */
static double columns_cost(const struct geometry *g, int64_t run, int64_t vl)
{
    const int64_t least = g->kg % vl ? 8 : 6;
    return (g->kg > vl ? 1 : 1.3) * (double)(max64(run, least) * ceil_div(g->kg, vl));
}

/* The result is turned back in the end. */
static double turned_cost(const struct geometry *g, int64_t run, int64_t vl)
{
    const double back = 0.7 * (double)(g->kg * run) / (double)(g->oh * g->ow);
    return (run > vl ? 1.1 : 1.4) * (double)(max64(g->kg, 2) * ceil_div(run, vl)) + back;
}

/* What lies next to each other in x, and how often. */
static int64_t length_of_run(const struct geometry *g) { return g->dilation[1] == 1 ? g->kw * g->cg : g->cg; }

double kernel_gradient_cost(const struct geometry *g)
{
    const int64_t run = length_of_run(g), vl = kernels_for(g->dtype)->vl;
    return (double)(g->kh * g->kw * g->cg / run) * fmin(columns_cost(g, run, vl), turned_cost(g, run, vl));
}

/* By the geometry of a call, before images are made one. */
static bool prefers_turned(const struct geometry *g)
{
    const int64_t run = length_of_run(g), vl = kernels_for(g->dtype)->vl;
    return g->x_pixel >= g->cg && /* not so for the gradient of the bias, whose x is 1 everywhere */
           sums_of(g) * (int64_t)g->item <= TURNED_BYTES && turned_cost(g, run, vl) < columns_cost(g, run, vl);
}

/* ---- The plan ---------------------------------------------------------------------------------------------------------- */

/* Images of a single output, as in a dense layer, are the columns of one row of outputs: x_image apart, and no stride. */
static void flatten_images(struct job *job)
{
    struct geometry *g = &job->g;
    const bool within = !g->pad[0][0] && !g->pad[1][0] && (g->kh - 1) * g->dilation[0] < g->h &&
                        (g->kw - 1) * g->dilation[1] < g->w;
    if (g->oh == 1 && g->ow == 1 && within) {
        job->column = g->x_image;
        g->y_pixel = g->y_image;
        g->ow = g->n;
        g->n = 1;
        g->stride[0] = g->stride[1] = 0;
    }
}

/* A 1x1 kernel on dense images: all pixels are one row. */
static void flatten(struct geometry *g)
{
    const bool pointwise = g->kh == 1 && g->kw == 1 && g->stride[0] == 1 && g->stride[1] == 1 && g->oh == g->h &&
                           g->ow == g->w && !g->pad[0][0] && !g->pad[1][0];
    if (!pointwise || g->x_row != g->w * g->x_pixel || g->y_row != g->ow * g->y_pixel) {
        return;
    }
    g->ow = g->w = g->oh * g->ow;
    g->oh = g->h = 1;
    g->x_row = g->w * g->x_pixel;
    g->y_row = g->ow * g->y_pixel;
    if (g->x_image == g->x_row && g->y_image == g->y_row) {
        g->ow = g->w = g->n * g->ow;
        g->n = 1;
    }
}

/* Taps first[0] .. last[0], first[1] .. last[1] of a kernel. */
struct taps {
    int64_t first[2], last[2];
};

static struct taps all_taps(const struct geometry *g) { return (struct taps){{0, 0}, {g->kh - 1, g->kw - 1}}; }

static struct window window_of(const struct geometry *g, const struct taps *taps, int64_t row, int64_t rows,
                               int64_t col, int64_t cols)
{
    const int64_t top = row * g->stride[0] - g->pad[0][0], left = col * g->stride[1] - g->pad[1][0];
    return (struct window){
        top + taps->first[0] * g->dilation[0], top + (rows - 1) * g->stride[0] + taps->last[0] * g->dilation[0] + 1,
        left + taps->first[1] * g->dilation[1], left + (cols - 1) * g->stride[1] + taps->last[1] * g->dilation[1] + 1,
    };
}

static int64_t block_pixels(const struct job *job)
{
    const struct geometry *g = &job->g;
    const bool narrow = job->kernels->vl * (int64_t)g->item < CACHE_LINE && g->cg * (int64_t)g->item > CACHE_LINE;
    const int64_t most = narrow && g->n * g->oh * g->ow > 2 * PIXELS_NARROW ? PIXELS_NARROW : PIXELS_MAX;
    const int64_t pixel_bytes = (min64(g->cg, PART_CHANNELS) * g->stride[1] + g->kg) * (int64_t)g->item;
    return max64(min64(2 * (int64_t)BLOCK_BYTES / pixel_bytes, most), PIXELS_MIN);
}

/* Blocks: parts of a row, rows of an image, or several images, by what fits. */
static void plan_blocks(struct job *job)
{
    const struct geometry *g = &job->g;
    const int64_t pixels = block_pixels(job);
    job->cols = ceil_div(g->ow, ceil_div(g->ow, pixels));
    job->rows = job->cols < g->ow ? 1 : min64(max64(pixels / g->ow, 1), min64(g->oh, ROWS_MAX));
    job->images = job->cols < g->ow || job->rows < g->oh
                      ? 1 : min64(max64(min64(pixels / (g->oh * g->ow), ROWS_MAX / g->oh), 1), g->n);
    job->image_blocks = ceil_div(g->n, job->images);
    job->row_blocks = ceil_div(g->oh, job->rows);
    job->col_blocks = ceil_div(g->ow, job->cols);
}

/* The taps that runs run .. run + runs - 1 are of: one tap, or whole rows of them. */
static struct taps part_taps(const struct job *job, int64_t run, int64_t runs)
{
    const int64_t in_row = job->runs_in_row;
    struct taps taps = all_taps(&job->g);
    taps.first[0] = run / in_row;
    taps.last[0] = (run + runs - 1) / in_row;
    if (!job->merged && runs == 1) {
        taps.first[1] = taps.last[1] = run % in_row;
    }
    return taps;
}

/* The most that any so many runs touch: they may begin within a row of taps. */
static struct taps largest_taps(const struct job *job, int64_t runs)
{
    struct taps taps = part_taps(job, 0, runs);
    taps.last[0] = min64(ceil_div(runs - 1, job->runs_in_row), job->g.kh - 1);
    return taps;
}

static int64_t block_count(const struct job *job) { return job->image_blocks * job->row_blocks * job->col_blocks; }

/* Whether a run is one tap. */
static bool single_taps(const struct job *job) { return !job->merged || job->g.kw == 1; }

/* Then columns of padding can be left out, too. */
static bool clips_columns(const struct job *job) { return job->clip && single_taps(job); }

/* How x is read: in place, or copied; with several taps a run, or one. */
static void plan_runs(struct job *job, bool clip)
{
    const struct geometry *g = &job->g;
    const struct taps taps = all_taps(g);
    const struct window all = window_of(g, &taps, 0, g->oh, 0, g->ow);
    const bool dense = g->x_pixel == g->cg, aliased = g->x_pixel * (int64_t)g->item % 4096 == 0;
    const bool outside = !inside(&job->x, &all);
    const bool beyond = job->turned && length_of_run(g) % job->kernels->vl != 0; /* the end of a run is read */
    job->clip = clip && outside && job->x.mode == CHANCONV_ZEROS;
    job->copy = !job->column && (outside || (!dense && g->kw > 1 && g->dilation[1] == 1) || beyond);
    job->merged = g->kw == 1 || (g->dilation[1] == 1 && (dense || job->copy));
    if (clips_columns(job) && !beyond) {
        job->copy = false;
    }
    if (aliased && !beyond && !job->column && (g->kw == 1 || !job->merged)) {
        /* Pixels a multiple of 4 KiB apart share a few lines of every cache: a copy sets them apart. */
        job->copy = true;
        job->x.gap = CACHE_LINE / (int64_t)g->item;
    }
    job->runs_in_row = job->merged ? 1 : g->kw;
    job->runs = g->kh * job->runs_in_row;
    job->run_rows = g->cg * (job->merged ? g->kw : 1);
}

/* Where blocks are short, loading and storing grad_kernel for each would take most of the time: then its parts have at most
 * 2 * BLOCK_BYTES. And there are enough for the threads. */
static void plan_parts(struct job *job, int threads)
{
    const struct geometry *g = &job->g;
    const int64_t wanted = threads > 1 ? ceil_div(2 * threads, job->splits * g->groups) : 1;
    const int64_t row_bytes = g->kg * (int64_t)g->item;
    const bool few = job->images * job->rows * job->cols < PIXELS_SHORT || g->cg > PART_CHANNELS;
    const bool shorts = few && block_count(job) > job->splits;
    const int64_t rows = shorts ? max64(2 * BLOCK_BYTES / row_bytes, MR_MAX) : INT64_MAX;
    job->run_parts = ceil_div(job->runs, max64(min64(rows / job->run_rows, job->runs), 1));
    job->row_parts = rows < job->run_rows ? ceil_div(job->run_rows, rows) : 1;
    job->panel_parts = min64(max64(ceil_div(wanted, job->run_parts * job->row_parts), 1), job->panels);
    if (job->row_parts == 1) {
        job->run_parts = max64(job->run_parts, min64(ceil_div(wanted, job->panel_parts), job->runs));
    }
}

/* Vectors of the widest tile when turned: one with a row for every kernel, else that with the fewest loads. */
static int64_t turned_vectors(const struct job *job)
{
    const struct kernels *kernels = job->kernels;
    int64_t widest = kernels->nv_max;
    while (widest > min64(kernels->nv_max, 3) && kernels->mr_max[widest] < job->g.kg) {
        widest--;
    }
    return min64(widest, ceil_div(job->run_rows, kernels->vl));
}

/* clip: taps on padding may be left out. */
static void plan(struct job *job, const struct geometry *geometry, int threads, bool clip)
{
    job->g = *geometry;
    struct geometry *g = &job->g;
    flatten_images(job);
    flatten(g);
    job->kernels = kernels_for(g->dtype);
    job->x = (struct image){.n = g->n, .h = g->h, .w = g->w, .c = g->cg, .pixel = g->x_pixel, .row = g->x_row,
                            .image = g->x_image, .mode = g->mode, .item = g->item};
    job->turned = prefers_turned(geometry) && (!job->column || length_of_run(g) % job->kernels->vl == 0);
    plan_blocks(job);
    plan_runs(job, clip);
    job->panels = job->turned ? ceil_div(g->kg, job->kernels->mr_max[turned_vectors(job)])
                              : panel_count(job->kernels, g->kg);
    /* Counted in tiles of one height for all instruction sets, as the splits follow from it. */
    const int64_t tiles = g->groups * job->runs * ceil_div(job->run_rows, MR_MAX) * ceil_div(g->kg, 32);
    job->splits = tiles < TILES_ENOUGH ? max64(min64(block_count(job), SPLITS_MAX), 1) : 1;
    plan_parts(job, threads);
    const int64_t pitch = g->y_pixel * (int64_t)g->item;
    job->y_in_place = job->turned ||
                      (g->kg % job->kernels->vl == 0 && (job->runs * job->run_rows < ROWS_IN_PLACE ||
                                                         (job->row_parts > 1 && pitch % 4096 != 0)));
    const struct taps taps = largest_taps(job, ceil_div(job->runs, job->run_parts));
    const struct window window = window_of(g, &taps, 0, job->rows, 0, job->cols);
    job->band_elements = job->copy ? job->images * band_elements(&job->x, &window) + job->kernels->vl : 0;
    job->panel_elements = job->y_in_place ? 0 : job->images * job->rows * job->cols *
                          ceil_div(job->panels, job->panel_parts) * (NV_MAX - 1) * job->kernels->vl;
}

static int64_t partial_elements(const struct job *job)
{
    return (job->splits - !job->turned) * sums_of(&job->g);
}

static int64_t job_bytes(const struct job *job, int threads)
{
    return (partial_elements(job) + threads * (job->band_elements + job->panel_elements)) * (int64_t)job->g.item +
           CACHE_LINE;
}

int64_t kernel_gradient_bytes(const struct geometry *geometry, int threads)
{
    if (prefers_narrow_gradient(geometry)) {
        return narrow_gradient_bytes(geometry, threads);
    }
    struct job job = {0};
    plan(&job, geometry, threads, false); /* which copies the most */
    return job_bytes(&job, threads);
}

/* ---- Blocks -------------------------------------------------------------------------------------------------------------- */

/* A block of pixels, as tiles read it: a segment for each output row of each image. */
struct block {
    int64_t image, images, row, rows, col, cols;
    struct segment segment[ROWS_MAX];
    const void *x;
    int64_t x_row, x_pixel;      /* pitches */
    const void *y;
    int64_t y_pixel, y_panel;    /* from one panel to the next, for each vector of its width */
    struct stretch ahead_x, ahead_y; /* what the block after it reads */
};

/* A unit of work: one split and one part of grad_kernel, rows row .. row + rows - 1 of some runs. */
struct part {
    int64_t split, group, run, runs, row, rows, panel, panels;
    int64_t channel, channels;   /* of x that are read: from which on, how many */
    struct taps taps;
    char *band, *panel_buffer;
};

static void place_x(const struct job *job, const struct part *part, struct block *block)
{
    const struct geometry *g = &job->g;
    const struct window window = window_of(g, &part->taps, block->row, block->rows, block->col, block->cols);
    struct image x = job->x;
    x.data = at(x.data, part->group * g->cg + part->channel, g->item);
    x.c = part->channels;
    const int64_t each = band_elements(&x, &window);
    if (job->copy) { /* what a vector at the end of a run may read beyond all of them */
        memset(at(part->band, block->images * each, g->item), 0, (size_t)job->kernels->vl * g->item);
    }
    for (int64_t i = 0; i < block->images; i++) {
        const struct band band = take_band(&x, block->image + i, &window, job->copy,
                                           at(part->band, i * each, g->item));
        block->x = i ? block->x : band.base;
        block->x_row = band.row;
        block->x_pixel = band.pixel;
        for (int64_t r = 0; r < block->rows; r++) {
            block->segment[i * block->rows + r].a = i * (job->copy ? each : x.image) + r * g->stride[0] * band.row +
                                                    block->col * job->column;
        }
    }
}

/* Copies the part's columns of grad_y to panels, one row of pixels after the other. */
static void pack_y(const struct job *job, const struct part *part, const struct block *block, const char *y)
{
    const struct geometry *g = &job->g;
    const int64_t pixels = block->images * block->rows * block->cols;
    const int64_t left = panel_at(job->kernels, g->kg, part->panel).first;
    for (int64_t p = part->panel; p < part->panel + part->panels; p++) {
        const struct panel panel = panel_at(job->kernels, g->kg, p);
        const int64_t width = panel.vectors * job->kernels->vl;
        char *dst = at(part->panel_buffer, pixels * (panel.first - left), g->item);
        for (int64_t i = 0; i < block->images * block->rows; i++) {
            const int64_t offset = i / block->rows * g->y_image + i % block->rows * g->y_row + panel.first;
            job->kernels->pack(at(dst, i * block->cols * width, g->item), width, at(y, offset, g->item), block->cols,
                               panel.columns, g->y_pixel, 1);
        }
    }
}

static void place_y(const struct job *job, const struct part *part, struct block *block)
{
    const struct geometry *g = &job->g;
    char *y = at(job->grad_y, part->group * g->kg + block->image * g->y_image + block->row * g->y_row +
                 block->col * g->y_pixel, g->item);
    if (!job->y_in_place) {
        pack_y(job, part, block, y);
    }
    block->y = job->y_in_place ? y : part->panel_buffer;
    for (int64_t i = 0; i < block->images * block->rows; i++) {
        block->segment[i].b = job->y_in_place ? i / block->rows * g->y_image + i % block->rows * g->y_row
                                              : i * block->cols;
    }
}

/* Of so many outputs from `first` on, those for which a tap lies on x: *begin .. *end - 1, counted from `first`. */
static void valid_outputs(const struct geometry *g, int axis, int64_t tap, int64_t first, int64_t count, int64_t *begin,
                          int64_t *end)
{
    const int64_t before = g->pad[axis][0] - tap * g->dilation[axis], size = axis ? g->w : g->h, stride = g->stride[axis];
    const int64_t least = before > 0 ? ceil_div(before, stride) : 0;
    const int64_t most = size + before > 0 ? ceil_div(size + before, stride) : 0;
    *begin = min64(max64(least - first, 0), count);
    *end = max64(min64(most - first, count), *begin);
}

/* The pixels of the block that a run sums over, from the first of the tile: segments, and from which column on how many. */
static int64_t list_segments(const struct job *job, const struct block *block, int64_t run, int64_t width,
                             struct segment segment[ROWS_MAX], int64_t cols[2])
{
    const struct geometry *g = &job->g;
    int64_t top = 0, bottom = block->rows, count = 0;
    cols[0] = 0;
    cols[1] = block->cols;
    if (job->clip) {
        valid_outputs(g, 0, run / job->runs_in_row, block->row, block->rows, &top, &bottom);
    }
    if (clips_columns(job)) {
        valid_outputs(g, 1, run % job->runs_in_row, block->col, block->cols, &cols[0], &cols[1]);
    }
    for (int64_t i = 0; i < block->images * (cols[1] > cols[0]); i++) {
        for (int64_t row = top; row < bottom; row++, count++) {
            segment[count].a = block->segment[i * block->rows + row].a;
            segment[count].b = block->segment[i * block->rows + row].b * (job->y_in_place ? 1 : width);
        }
    }
    return count;
}

/* Where a run begins in a block's x. */
static int64_t offset_of_run(const struct job *job, const struct part *part, const struct block *block, int64_t run)
{
    const struct geometry *g = &job->g;
    return (run / job->runs_in_row - part->taps.first[0]) * g->dilation[0] * block->x_row +
           (run % job->runs_in_row - part->taps.first[1]) * g->dilation[1] * block->x_pixel;
}

/* Steps of the part's tiles in a block, if all taps lie on x. */
static int64_t steps_of(const struct job *job, const struct part *part, const struct block *block)
{
    int64_t tiles = 0;
    for (int64_t p = part->panel; p < part->panel + part->panels; p++) {
        const struct panel panel = panel_at(job->kernels, job->g.kg, p);
        tiles += ceil_div(part->rows, tallest(job->kernels, &panel));
    }
    return part->runs * tiles * block->images * block->rows * block->cols;
}

static struct extent extent_of_x(const struct job *job, const struct part *part, const struct block *block)
{
    return (struct extent){block->image, block->images,
                           window_of(&job->g, &part->taps, block->row, block->rows, block->col, block->cols)};
}

static struct extent extent_of_y(const struct block *block)
{
    const struct window window = {block->row, block->row + block->rows, block->col, block->col + block->cols};
    return (struct extent){block->image, block->images, window};
}

/* Finds what the block `next` reads after this one: half of the steps ask for its x, the others for its grad_y. A part that
 * reads some channels of each pixel finds only the first of them in a row. */
static void look_ahead(const struct job *job, const struct part *part, const struct block *next, struct block *block)
{
    const struct geometry *g = &job->g;
    const struct image y = {.data = job->grad_y, .n = g->n, .h = g->oh, .w = g->ow, .c = g->k, .pixel = g->y_pixel,
                            .row = g->y_row, .image = g->y_image, .item = g->item};
    const int64_t steps = steps_of(job, part, block) / 2;
    if (job->row_parts == 1 && !job->column) {
        const struct extent now = extent_of_x(job, part, block), then = extent_of_x(job, part, next);
        block->ahead_x = stretch_after(&job->x, &now, &then, steps);
    }
    if (job->panel_parts == 1) {
        const struct extent now = extent_of_y(block), then = extent_of_y(next);
        block->ahead_y = stretch_after(&y, &now, &then, steps);
    }
}

/* Adds the block's sums to the part's rows of one run, in one panel. */
static void run_tiles(const struct job *job, const struct part *part, struct block *block, int64_t run,
                      const struct panel *panel, void *grad, bool first)
{
    const struct geometry *g = &job->g;
    const int64_t tiles = ceil_div(part->rows, tallest(job->kernels, panel));
    const int64_t width = panel->vectors * job->kernels->vl;
    const int64_t left = panel_at(job->kernels, g->kg, part->panel).first;
    const int64_t pixels = block->images * block->rows * block->cols;
    const int64_t tap = offset_of_run(job, part, block, run);
    const int64_t a_col = job->column ? job->column : g->stride[1] * block->x_pixel;
    const int64_t b_row = job->y_in_place ? g->y_pixel : width;
    struct segment segment[ROWS_MAX];
    int64_t cols[2], m = part->row;
    struct tile tile = {
        .segments = list_segments(job, block, run, width, segment, cols), .segment = segment,
        .length = cols[1] - cols[0], .a_row = 1, .a_col = a_col,
        .b = at(block->y, cols[0] * b_row + (job->y_in_place ? panel->first : pixels * (panel->first - left)), g->item),
        .b_row = b_row, .c_row = g->k, .columns = panel->columns, .accumulate = !first,
    };
    if (tile.segments == 0 && !first) {
        return;
    }
    for (int64_t t = 0; t < tiles; t++) {
        const int64_t mr = part->rows / tiles + (t < part->rows % tiles);
        tile.a = at(block->x, tap + cols[0] * a_col + m - part->channel, g->item);
        tile.c = at(grad, (run * job->run_rows + m) * g->k + part->group * g->kg + panel->first, g->item);
        ask_for(block->ahead_x.bytes > 0 ? &block->ahead_x : &block->ahead_y, &tile);
        panel_tile(job->kernels, panel, mr)(&tile);
        m += mr;
    }
}

/* The same when turned: for each tile's columns all the part's kernels in turn, as columns of x have the longer way. */
static void run_turned(const struct job *job, const struct part *part, const struct block *block, int64_t run,
                       char *grad, bool first)
{
    const struct geometry *g = &job->g;
    const int64_t vl = job->kernels->vl, vectors = ceil_div(part->rows, vl), terms = job->runs * job->run_rows;
    const int64_t tiles = ceil_div(vectors, turned_vectors(job)), end = part->row + part->rows;
    const int64_t b_row = job->column ? job->column : g->stride[1] * block->x_pixel;
    struct segment segment[ROWS_MAX];
    int64_t cols[2];
    struct tile tile = {
        .segments = list_segments(job, block, run, 1, segment, cols), .segment = segment,
        .length = cols[1] - cols[0], .a_row = 1, .a_col = g->y_pixel, .b_row = b_row, .c_row = terms,
        .accumulate = !first,
    };
    if (tile.segments == 0 && !first) {
        return;
    }
    for (int64_t i = 0; i < tile.segments; i++) {
        segment[i] = (struct segment){segment[i].b, segment[i].a};
    }
    const int64_t x = offset_of_run(job, part, block, run) + cols[0] * b_row - part->channel;
    for (int64_t t = 0; t < tiles; t++) {
        const int64_t nv = vectors * (t + 1) / tiles - vectors * t / tiles, m = part->row + vectors * t / tiles * vl;
        const struct panel panel = {m, min64(nv * vl, end - m), (int)nv};
        tile.columns = panel.columns;
        tile.b = at(block->x, x + m, g->item);
        for (int64_t p = part->panel; p < part->panel + part->panels; p++) {
            const int64_t k = g->kg * p / job->panels, mr = g->kg * (p + 1) / job->panels - k;
            tile.a = at(block->y, cols[0] * g->y_pixel + k, g->item);
            tile.c = at(grad, (part->group * g->kg + k) * terms + run * job->run_rows + m, g->item);
            panel_tile(job->kernels, &panel, mr)(&tile);
        }
    }
}

static struct block block_at(const struct job *job, int64_t i)
{
    const struct geometry *g = &job->g;
    const int64_t col = i % job->col_blocks * job->cols, row = i / job->col_blocks % job->row_blocks * job->rows;
    const int64_t image = i / job->col_blocks / job->row_blocks * job->images;
    return (struct block){
        .image = image, .images = min64(job->images, g->n - image), .row = row,
        .rows = min64(job->rows, g->oh - row), .col = col, .cols = min64(job->cols, g->ow - col),
    };
}

static void run_part(const struct job *job, const struct part *part)
{
    const struct geometry *g = &job->g;
    const int64_t blocks = block_count(job), first = blocks * part->split / job->splits;
    const int64_t end = blocks * (part->split + 1) / job->splits;
    const int64_t partial = part->split - !job->turned;
    void *grad = partial < 0 ? job->grad_kernel : at(job->partial, partial * sums_of(g), g->item);
    for (int64_t i = first; i < end; i++) {
        struct block block = block_at(job, i);
        place_x(job, part, &block);
        place_y(job, part, &block);
        if (i + 1 < end && !job->turned) {
            const struct block next = block_at(job, i + 1);
            look_ahead(job, part, &next, &block);
        }
        for (int64_t run = part->run; run < part->run + part->runs; run++) {
            if (job->turned) {
                run_turned(job, part, &block, run, grad, i == first);
                continue;
            }
            for (int64_t p = part->panel; p < part->panel + part->panels; p++) {
                const struct panel panel = panel_at(job->kernels, g->kg, p);
                run_tiles(job, part, &block, run, &panel, grad, i == first);
            }
        }
    }
}

/* Row part i of row_parts begins there; when turned, a vector of rows. */
static int64_t first_row(const struct job *job, int64_t i)
{
    const int64_t step = job->turned ? job->kernels->vl : 1;
    return min64(ceil_div(job->run_rows, step) * i / job->row_parts * step, job->run_rows);
}

/* Unit i: panels fastest, then rows, runs, groups, splits. */
static void run_unit(void *data, int lane, int64_t i)
{
    const struct job *job = data;
    const int64_t p = i % job->panel_parts, m = i / job->panel_parts % job->row_parts;
    const int64_t r = i / job->panel_parts / job->row_parts % job->run_parts;
    const int64_t outer = i / job->panel_parts / job->row_parts / job->run_parts;
    char *scratch = at(job->scratch, lane * (job->band_elements + job->panel_elements), job->g.item);
    struct part part = {
        .split = outer / job->g.groups, .group = outer % job->g.groups,
        .run = job->runs * r / job->run_parts, .row = first_row(job, m),
        .panel = job->panels * p / job->panel_parts,
        .band = scratch, .panel_buffer = at(scratch, job->band_elements, job->g.item),
    };
    part.runs = job->runs * (r + 1) / job->run_parts - part.run;
    part.rows = first_row(job, m + 1) - part.row;
    part.panels = job->panels * (p + 1) / job->panel_parts - part.panel;
    part.taps = part_taps(job, part.run, part.runs);
    part.channel = job->row_parts > 1 && single_taps(job) ? part.row : 0;
    part.channels = job->row_parts > 1 && single_taps(job) ? part.rows : job->g.cg;
    run_part(job, &part);
}

/* ---- The whole -------------------------------------------------------------------------------------------------------------- */

/* Whether all of grad_y is finite: 0 times NaN or Inf is not 0, so else taps on padding take part. */
static bool is_finite(const struct geometry *g, const void *grad_y)
{
    const struct kernels *kernels = kernels_for(g->dtype);
    const bool dense = g->y_pixel == g->k && g->y_row == g->ow * g->k;
    const int64_t runs = dense ? 1 : g->oh * g->ow, length = dense ? g->oh * g->ow * g->k : g->k;
    bool finite = true;
    for (int64_t i = 0; i < g->n * runs && finite; i++) {
        const int64_t pixel = i % runs;
        finite = kernels->finite(length, at(grad_y, i / runs * g->y_image + pixel / g->ow * g->y_row +
                                            pixel % g->ow * g->y_pixel, g->item));
    }
    return finite;
}

/* Pairs of an output and a tap that lies on x, along an axis, as a share of all. */
static double share_on_x(const struct geometry *g, int axis)
{
    const int64_t taps = axis ? g->kw : g->kh, outputs = axis ? g->ow : g->oh;
    int64_t pairs = 0, begin, end;
    for (int64_t tap = 0; tap < taps; tap++) {
        valid_outputs(g, axis, tap, 0, outputs, &begin, &end);
        pairs += end - begin;
    }
    return (double)pairs / (double)(taps * outputs);
}

/* Whether taps on padding are left out: where they are more than the reading of grad_y once more is worth. */
static bool clips(const struct geometry *g, const void *grad_y)
{
    const int64_t products = g->kh * g->kw * g->cg;
    return g->mode == CHANCONV_ZEROS && g->n * g->oh * g->ow > 0 && products > 0 &&
           (double)products * (1 - share_on_x(g, 0) * share_on_x(g, 1)) > 16 && is_finite(g, grad_y);
}

/* Adds up the partial sums, in order; turned ones are turned back. */
static void finish(const struct job *job)
{
    const struct geometry *g = &job->g;
    const int64_t count = sums_of(g), terms = job->runs * job->run_rows;
    void *sums = job->turned ? job->partial : job->grad_kernel;
    for (int64_t split = 1; split < job->splits; split++) {
        job->kernels->add(count, at(job->partial, (split - !job->turned) * count, g->item), sums);
    }
    for (int64_t group = 0; group < g->groups && job->turned; group++) {
        job->kernels->put(at(job->grad_kernel, group * g->kg, g->item), g->k,
                          at(sums, group * g->kg * terms, g->item), terms, terms, g->kg, NULL);
    }
}

chanconv_status kernel_gradient(chanconv_context *context, const struct geometry *g, const void *grad_y,
                                const void *x, void *grad_kernel)
{
    const int64_t count = sums_of(g);
    if (g->n == 0) {
        memset(grad_kernel, 0, (size_t)count * g->item);
        return CHANCONV_OK;
    }
    if (prefers_narrow_gradient(g)) {
        return narrow_gradient(context, g, grad_y, x, grad_kernel);
    }
    const double flops = 2.0 * (double)(g->n * g->oh * g->ow) * (double)count;
    const int threads = worthwhile_threads(context, flops);
    struct job job = {.grad_y = grad_y, .grad_kernel = grad_kernel};
    plan(&job, g, threads, clips(g, grad_y));
    job.x.data = x;
    const size_t bytes = (size_t)job_bytes(&job, threads);
    job.partial = take_scratch(context, bytes);
    if (!job.partial) {
        return CHANCONV_NO_MEMORY;
    }
    job.scratch = at(job.partial, partial_elements(&job), g->item);
    run_units(context, threads, job.splits * g->groups * job.run_parts * job.row_parts * job.panel_parts, run_unit, &job);
    finish(&job);
    release_scratch(context, job.partial, bytes);
    return CHANCONV_OK;
}

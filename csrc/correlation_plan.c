/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The plan of a correlation: how x and the kernel are read, and how outputs are cut into blocks. None of it changes the order
 * of a sum, so it may look at the batch and at the threads.
 */
#include "correlation.h"

/* Steps of the reduction in a pass: B then has PASS_STEPS rows, 200 KiB in a panel of 128 bytes. Longer is better as
 * long as that stays in the second-level cache: C is loaded and stored once a pass. */
enum { PASS_STEPS = 1600 };

/* Columns of taps on padding are clipped where a dilation makes the parts of a row that have the same taps at least so
 * many pixels wide; shorter tiles would cost more than the zeros. */
enum { SPAN_PIXELS = 4 };

/* With fewer pixels than this a kernel is read from afar for little work: passes are so short that one of them, and what the
 * next one reads, find room in the caches. */
enum { PIXELS_IN_PLACE = 64, STEPS_IN_PLACE = 128 };

/* With so many it still is, where the whole reduction is one pass anyhow: passes stay as they are, and so do sums. But not
 * where all outputs would have to be looked at for what is not finite. */
enum { PIXELS_IN_PLACE_ONCE = 256 };

/* Rows of the kernel a multiple of this apart fall on two sets of a first-level cache. */
enum { CROWDING_BYTES = SETS_BYTES / 2 };

/* Addresses a multiple of this apart fall on the same set of a second-level cache of 1 MiB, which has so many lines. */
enum { SECOND_SETS_BYTES = 64 * 1024, SECOND_WAYS = 16 };

/* A far output is waited for when it is written, if the reduction has no more than so many steps. */
enum { FAR_STEPS = 56 };

/* Blocks of fewer pixels than this are not cut further for the sake of threads. */
enum { PIXELS_PER_UNIT = 56 };

/* Rows (axis 0) or columns of x that `outputs` outputs reach over. */
static int64_t reach(const struct correlation *c, int axis, int64_t outputs)
{
    return (outputs - 1) * c->stride[axis] + (c->taps[axis] - 1) * c->dilation[axis] + 1;
}

/* Rows or columns of x that are read for them: gaps of a dilation or a stride cost no cache. */
static int64_t touched(const struct correlation *c, int axis, int64_t outputs)
{
    return min64(reach(c, axis, outputs), outputs * c->taps[axis]);
}

static struct window window_of(const struct correlation *c, int64_t row, int64_t rows, int64_t col, int64_t cols)
{
    const int64_t top = row * c->stride[0] + c->origin[0], left = col * c->stride[1] + c->origin[1];
    return (struct window){top, top + reach(c, 0, rows), left, left + reach(c, 1, cols)};
}

/* From first .. end - 1, what lies in 0 .. size - 1. */
static void clip_range(int64_t size, int64_t *first, int64_t *end)
{
    *first = min64(max64(*first, 0), size);
    *end = max64(min64(*end, size), *first);
}

struct window block_window(const struct job *job, int64_t row, int64_t rows, int64_t col, int64_t cols)
{
    struct window window = window_of(&job->c, row, rows, col, cols);
    if (job->clip) {
        clip_range(job->c.x.h, &window.top, &window.bottom);
    }
    if (job->clip_columns) {
        clip_range(job->c.x.w, &window.left, &window.right);
    }
    return window;
}

bool reaches_outside(const struct correlation *c)
{
    const struct window all = window_of(c, 0, c->oh, 0, c->ow);
    return !inside(&c->x, &all);
}

/* Images of a single output, as in a dense layer, are the columns of one row of outputs. */
static void flatten_images(struct correlation *c)
{
    struct image *x = &c->x;
    const struct window only = window_of(c, 0, 1, 0, 1);
    if (c->oh != 1 || c->ow != 1 || !inside(x, &only)) {
        return;
    }
    x->data = at(x->data, only.top * x->row + only.left * x->pixel, x->item);
    x->h = reach(c, 0, 1);
    x->w = reach(c, 1, 1);
    c->column = x->image;
    c->y_pixel = c->y_image;
    c->ow = x->n;
    x->n = 1;
    c->stride[0] = c->stride[1] = 0;
    c->origin[0] = c->origin[1] = 0;
}

bool is_row_of_patches(const struct correlation *c)
{
    return c->taps[0] == 1 && c->stride[0] == 1 && c->stride[1] == c->taps[1] &&
           (c->taps[1] == 1 || c->dilation[1] == 1) && c->origin[0] == 0 && c->origin[1] == 0 && c->oh == c->x.h &&
           c->ow * c->taps[1] == c->x.w;
}

/* A 1x1 kernel on dense images is one product over all their pixels: one long row. So is that of patches. */
static void flatten(struct correlation *c)
{
    flatten_images(c);
    const struct image *x = &c->x;
    if (!is_row_of_patches(c) || x->row != x->w * x->pixel || c->y_row != c->ow * c->y_pixel) {
        return;
    }
    c->ow *= c->oh;
    c->oh = 1;
    c->x.w *= x->h;
    c->x.h = 1;
    if (x->image == x->w * x->pixel && c->y_image == c->ow * c->y_pixel) {
        c->ow *= x->n;
        c->x.w *= x->n;
        c->x.n = 1;
    }
}

/* ---- Few columns ---- */

/* With columns across the vector a tile one vector wide runs at about 4/5 of the others' speed; with the reduction
 * across it every vector of x is used for few sums, and the lanes of each have to be added up. */
static double columns_cost(const struct correlation *c)
{
    const double tile = c->k > c->kernels->vl ? 1 : 1.2;
    return tile * (double)(c->taps[0] * c->taps[1] * c->x.c * ceil_div(c->k, c->kernels->vl));
}

static double dot_cost(const struct correlation *c)
{
    const double panel = 0.85 + 0.25 * (double)min64(ceil_div(c->k, DOT_COLUMNS), 3); /* each reads all of x */
    return (double)c->k * (panel * (double)(c->taps[0] * c->taps[1] * ceil_div(c->x.c, c->kernels->vl)) + 5);
}

static bool prefers_dot(const struct correlation *c)
{
    return c->x.c >= c->kernels->vl && c->x.c <= PASS_STEPS && dot_cost(c) < columns_cost(c);
}

double correlation_cost(const struct correlation *c) { return prefers_dot(c) ? dot_cost(c) : columns_cost(c); }

void plan_columns(struct job *job)
{
    const struct correlation *c = &job->c;
    job->dot = prefers_dot(c);
    job->panels = job->dot ? ceil_div(c->k, DOT_COLUMNS) : panel_count(c->kernels, c->k);
}

/* Tiles of four vectors take two panels at once: as much arithmetic with fewer loads of A, and outputs are written
 * in longer pieces, as is a kernel in place read. But they are low, and what rows of some widths are cut into would
 * be so low that it waits for B; where one row is all, and one tile, that waits for the memory. Where it is a few tall
 * tiles, these read B less often, which is what takes the time there, if their rows of A do not crowd a few sets. */
static void pair_panels(struct job *job)
{
    const struct correlation *c = &job->c;
    const int64_t rows = c->kernels->mr_max[4], tiles = ceil_div(c->ow, max64(rows, 1)), tall = c->kernels->mr_max[2];
    const int64_t a_row = c->column ? c->column : c->stride[1] * c->x.pixel;
    const bool one_row = c->x.n * c->oh == 1, crowded = a_row * (int64_t)c->x.item % SETS_BYTES == 0;
    const bool only = one_row && c->ow <= tall, few = one_row && c->ow <= PIXELS_IN_PLACE_ONCE && !crowded;
    if (!job->dot && rows > 0 && (only || (!few && c->ow >= tiles * (rows - 1)))) {
        const int64_t last = panel_at(c->kernels, c->k, job->panels - 1).vectors;
        job->pairs = (job->panels - (last != 2)) / 2;
        job->panels -= job->pairs;
    }
}

void correlation_tile(const struct correlation *c, int32_t tile[2])
{
    if (prefers_dense(c)) {
        tile[0] = 1;
        tile[1] = (int32_t)c->kernels->vl;
        return;
    }
    const struct correlation computed = prefers_patches(c) ? correlation_with_patches(c, c->x.n, NULL) : *c;
    const struct job job = plan_correlation(&computed, 1, true);
    const struct panel panel = job_panel(&job, 0);
    tile[0] = (int32_t)(job.dot ? c->kernels->dot_rows[panel.columns] : tallest(c->kernels, &panel));
    tile[1] = (int32_t)(job.dot ? panel.columns : panel.vectors * c->kernels->vl);
}

/* Whether the kernel lies in memory as a matrix [taps * c][k] of whole vectors, as a tile reads it. */
static bool is_readable_kernel(const struct correlation *c)
{
    return !prefers_dot(c) && c->kernel_k == 1 && c->k % c->kernels->vl == 0 &&
           (c->taps[1] == 1 || c->kernel_tap[1] == c->x.c * c->kernel_c) &&
           (c->taps[0] == 1 || c->kernel_tap[0] == c->taps[1] * c->x.c * c->kernel_c);
}

bool reads_kernel_in_place(const struct correlation *c)
{
    return is_readable_kernel(c) && c->oh * c->ow <= PIXELS_IN_PLACE;
}

/* ---- Blocks ---- */

/* Bytes of a group's kernels, packed. */
static int64_t kernel_bytes(const struct job *job)
{
    return reduction(job) * columns_of_b(job) * (int64_t)job->c.kernels->item;
}

/* Bytes of x that a block works on: its window, or where that is not copied and large, what one pass reads of it. */
static int64_t block_bytes(const struct job *job, int64_t rows, int64_t cols)
{
    const struct correlation *c = &job->c;
    const int64_t window = touched(c, 0, rows) * touched(c, 1, cols) * c->x.c;
    return (job->copy ? window : min64(window, rows * cols * job->pass_steps)) * (int64_t)c->kernels->item;
}

/* The fewest parts of a row of outputs that fit, or are short anyhow: by bisection, as a row can be very long. */
static int64_t parts_of_row(const struct job *job, int64_t limit)
{
    const int64_t ow = job->c.ow;
    int64_t least = 1, most = max64(ow, 1);
    while (least < most) {
        const int64_t parts = least + (most - least) / 2, cols = ceil_div(ow, parts);
        if (block_bytes(job, 1, cols) > limit && cols > PIXELS_PER_UNIT) {
            least = parts + 1;
        } else {
            most = parts;
        }
    }
    return least;
}

/* Bytes of x that are left in a cache: more than fit beside B where the kernel is so large that each block has to
 * read it from afar, and most of all where one block is all, as a kernel is then packed piece by piece, in the
 * cache. But several threads would each copy all of it. */
static int64_t block_limit(const struct job *job)
{
    const struct correlation *c = &job->c;
    const int64_t kernel = kernel_bytes(job), whole = 16 * BLOCK_BYTES;
    if (job->from_memory && cpu_info()->l2_bytes < 4 * BLOCK_BYTES) {
        return BLOCK_BYTES / 8; /* a block is fetched while the one before is computed: a larger one would not stay */
    }
    if (job->pointwise) {
        return BLOCK_BYTES / c->groups;
    }
    if (kernel <= 4 * BLOCK_BYTES) {
        return BLOCK_BYTES;
    }
    if (!(job->copy && job->threads > 1) && c->x.n * block_bytes(job, c->oh, c->ow) <= whole) {
        return whole;
    }
    return kernel > 48 * BLOCK_BYTES ? 8 * BLOCK_BYTES : 2 * BLOCK_BYTES;
}

/* Images of a block. Small ones would each take less time than it takes to begin with a block: some that fit the
 * first-level cache together; and a large kernel would be read from afar for each. But every thread should have some. */
static void fit_images(struct job *job, int64_t limit)
{
    const struct correlation *c = &job->c;
    const int64_t most = kernel_bytes(job) <= 2 * BLOCK_BYTES ? CACHED_BYTES : limit;
    const bool alone = job->row_blocks * job->col_blocks > 1 || job->pointwise || job->from_memory;
    const int64_t fit = alone ? 1 : max64(most / max64(block_bytes(job, c->oh, c->ow), 1), 1);
    const int64_t wanted = job->threads > 1 ? max64(c->x.n * c->groups / (4 * job->threads), 1) : fit;
    job->image_blocks = ceil_div(c->x.n, min64(fit, wanted));
    job->images = ceil_div(c->x.n, max64(job->image_blocks, 1));
}

/* Rows and columns of a block that fits: whole rows of outputs if one does, else parts of a row that still are several
 * tiles long. */
static void fit_block(struct job *job)
{
    const struct correlation *c = &job->c;
    const int64_t limit = block_limit(job);
    int64_t rows = 1;
    job->cols = ceil_div(c->ow, parts_of_row(job, limit));
    while (rows < c->oh && block_bytes(job, rows + 1, job->cols) <= limit) {
        rows++;
    }
    job->rows = ceil_div(c->oh, ceil_div(c->oh, rows));
    job->row_blocks = ceil_div(c->oh, job->rows);
    job->col_blocks = ceil_div(c->ow, job->cols);
    fit_images(job, limit);
}

/* Smaller blocks, so that every thread has several. They do not change any sum. */
static void spread(struct job *job)
{
    const struct correlation *c = &job->c;
    const int64_t wanted = job->threads > 1 ? 4 * job->threads : 1;
    const int64_t others = max64(job->image_blocks * c->groups, 1);
    if (kernel_bytes(job) <= 2 * BLOCK_BYTES && others * job->row_blocks * job->col_blocks < wanted) {
        if (c->oh > 1) {
            job->rows = min64(job->rows, max64(c->oh * others / wanted, ceil_div(PIXELS_PER_UNIT, job->cols)));
        } else {
            job->cols = min64(job->cols, max64(c->ow * others / wanted, PIXELS_PER_UNIT));
        }
    }
    job->row_blocks = ceil_div(c->oh, job->rows);
    job->col_blocks = ceil_div(c->ow, job->cols);
    job->panel_blocks = min64(max64(ceil_div(wanted, others * job->row_blocks * job->col_blocks), 1), job->panels);
}

/* ---- Panels and runs ---- */

static int64_t widest_panel(const struct job *job)
{
    if (job->dot) {
        return min64(job->c.k, DOT_COLUMNS);
    }
    const struct panel first = job_panel(job, 0), last = job_panel(job, job->panels - 1);
    return max64(first.vectors, last.vectors) * job->c.kernels->vl;
}

/* How x is read: in place, or copied; a row of taps at once, or tap by tap. */
static void plan_runs(struct job *job)
{
    struct correlation *c = &job->c;
    const struct window all = block_window(job, 0, c->oh, 0, c->ow);
    const bool dense = c->x.pixel == c->x.c;
    const bool neighbours = !job->dot && c->taps[1] > 1 && c->dilation[1] == 1;
    job->copy_all = !c->column && !dense && neighbours;
    job->copy = job->copy_all || (!c->column && !inside(&c->x, &all));
    job->merged = c->taps[1] == 1 || (neighbours && (dense || job->copy));
    job->runs = c->taps[0] * (job->merged ? 1 : c->taps[1]);
    job->run_length = c->x.c * (job->merged ? c->taps[1] : 1);
}

static int64_t pieces_of(const struct job *job) { return max64(ceil_div(job->run_length, job->pass_steps), 1); }

static int64_t runs_per_pass(const struct job *job)
{
    return pieces_of(job) > 1 ? 1 : min64(max64(job->pass_steps / max64(job->run_length, 1), 1), SEGMENTS_MAX);
}

/* Steps of B in the longest pass. */
static int64_t pass_steps(const struct job *job)
{
    return job->dot ? min64(job->runs, runs_per_pass(job)) * run_length_of_b(job) : min64(reduction(job), job->pass_steps);
}

/* Whether every tap of an axis lies on x for some output. */
static bool uses_all_taps(const struct correlation *c, int axis)
{
    const int64_t size = axis ? c->x.w : c->x.h, outputs = axis ? c->ow : c->oh, stride = c->stride[axis];
    for (int64_t r = 0; r < c->taps[axis]; r++) {
        const int64_t start = r * c->dilation[axis] + c->origin[axis];
        const int64_t i = start < 0 ? ceil_div(-start, max64(stride, 1)) : 0;
        if (i >= outputs || i * stride + start >= size) {
            return false;
        }
    }
    return true;
}

/* Rows of a panel that the second-level cache has room for where they lie: few sets, if these are a multiple of a large power
 * of 2 apart. */
static int64_t rows_in_cache(const struct correlation *c)
{
    const int64_t apart = c->kernel_c * (int64_t)c->kernels->item, power = apart & -apart;
    return SECOND_WAYS * max64(SECOND_SETS_BYTES / max64(power, 1), 1);
}

/* Whether one thread with few pixels rather reads the kernel in the order in which it lies, a pass ahead, than panel after panel
 * in place: where rows lie so that a panel's fall on few sets of the first-level cache, that takes up to 1.4 times less;
 * elsewhere the same, and more where the first pass, which nothing asks for, is a good part of it all. */
static bool is_read_in_order(const struct job *job)
{
    const struct correlation *c = &job->c;
    return c->kernel_c == c->k && c->k * (int64_t)c->kernels->item % CROWDING_BYTES == 0 && pass_count(job) > 3;
}

/* How B is read: prepared by somebody else, packed before, packed by and by, or in place. In place, a value of the kernel
 * that is not finite shows in the outputs that it has a part in: so it must have a part in some. */
static void plan_panels(struct job *job)
{
    const struct correlation *c = &job->c;
    if (c->prepared) {
        return;
    }
    const bool once = reduction(job) <= PASS_STEPS && !job->clip;
    const int64_t pixels = once ? PIXELS_IN_PLACE_ONCE : PIXELS_IN_PLACE;
    const bool fits = 2 * pass_steps(job) <= rows_in_cache(c); /* with the panel that is fetched meanwhile */
    job->readable = is_readable_kernel(c);
    job->streamed = job->image_blocks * job->row_blocks * job->col_blocks == 1;
    job->in_order = job->pass_steps == STEPS_IN_PLACE && job->streamed && job->readable && job->panel_blocks == 1 &&
                    is_read_in_order(job);
    job->in_place = job->streamed && job->readable && fits && c->x.n * c->oh * c->ow <= pixels && !job->in_order &&
                    (!job->clip || (uses_all_taps(c, 0) && uses_all_taps(c, 1)));
    job->unseen = job->in_place && job->clip;
    job->panel_elements = job->streamed && !job->in_place ? pass_steps(job) * widest_panel(job) : 0;
    job->packed_elements = job->streamed ? 0 : c->groups * reduction(job) * columns_of_b(job);
}

/* Whether these are groups of a few lines of 1x1 kernels, and their x and y too large for a cache of the core. */
static bool takes_groups_in_turn(const struct correlation *c)
{
    const int64_t item = (int64_t)c->kernels->item, images = c->x.n * c->groups * item;
    return c->groups > 1 && c->taps[0] == 1 && c->taps[1] == 1 && !c->column &&
           (c->x.c + c->k) * item <= 8 * CACHE_LINE &&
           images * (c->x.h * c->x.w * c->x.c + c->oh * c->ow * c->k) > FAR_BYTES;
}

struct job plan_correlation(const struct correlation *correlation, int threads, bool clip)
{
    struct job job = {.c = *correlation, .threads = threads};
    struct correlation *c = &job.c;
    job.pass_steps = reads_kernel_in_place(c) ? STEPS_IN_PLACE : PASS_STEPS;
    flatten(c);
    job.clip = clip && c->x.mode == CHANCONV_ZEROS && (reaches_outside(c) || (c->padded && c->bounded));
    job.clip_columns = job.clip && c->taps[1] > 1 && 2 * c->taps[1] < SPANS_MAX &&
                       c->dilation[1] >= SPAN_PIXELS * c->stride[1];
    job.pointwise = takes_groups_in_turn(c);
    plan_columns(&job);
    pair_panels(&job);
    plan_runs(&job);
    job.far = (double)(c->x.n * c->groups) * (double)(c->oh * c->ow) * (double)c->k * (double)c->x.item >= FAR_BYTES &&
              reduction(&job) <= FAR_STEPS;
    const double bytes_of_x = (double)c->x.n * (double)(c->x.h * c->x.w * c->x.pixel) * (double)c->x.item;
    job.from_memory = job.dot && bytes_of_x >= 4.0 * FAR_BYTES;
    fit_block(&job);
    spread(&job);
    const struct window window = window_of(c, 0, job.rows, 0, job.cols);
    job.band_elements = job.copy ? band_elements(&c->x, &window) : 0;
    plan_panels(&job);
    return job;
}

size_t job_bytes(const struct job *job)
{
    return (size_t)(job->packed_elements + job->threads * lane_elements(job)) *
           job->c.kernels->item;
}

int64_t correlation_bytes(const struct correlation *correlation, int threads)
{
    if (prefers_patches(correlation)) {
        return patches_bytes(correlation, threads);
    }
    if (prefers_dense(correlation)) {
        return dense_bytes(correlation, threads);
    }
    const struct job job = plan_correlation(correlation, threads, true);
    return (int64_t)job_bytes(&job);
}

double correlation_flops(const struct correlation *c)
{
    return 2.0 * (double)(c->x.n * c->oh * c->ow) * (double)(c->taps[0] * c->taps[1] * c->x.c) *
           (double)(c->k * c->groups);
}

/* ---- Passes -------------------------------------------------------------------------------------------------------- */

int64_t pass_count(const struct job *job)
{
    return max64(ceil_div(job->runs, runs_per_pass(job)) * pieces_of(job), 1);
}

struct pass pass_at(const struct job *job, int64_t i)
{
    const int64_t pieces = pieces_of(job), per_pass = runs_per_pass(job), first = i / pieces * per_pass;
    const int64_t piece = i % pieces;
    return (struct pass){
        .first = first, .count = min64(per_pass, job->runs - first),
        .begin = job->run_length * piece / pieces, .end = job->run_length * (piece + 1) / pieces,
    };
}

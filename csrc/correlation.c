/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The blocked product behind the forward pass and the gradient of x. A block is some output rows and columns of one
 * image and group; the loops in it are, from the outside: passes over the reduction, panels of columns, output rows,
 * register tiles along the row. So a panel of B (a pass long) stays in the second-level cache while all pixels of the
 * block go by.
 */
#include <string.h>

#include "gemm.h"

/* Steps of the reduction in a pass: B then has PASS_STEPS rows, 200 KiB in a panel of 128 bytes. Longer is better as
 * long as that stays in the second-level cache: C is loaded and stored once a pass. */
enum { PASS_STEPS = 1600, SEGMENTS_MAX = 256 };

/* Columns of taps on padding are clipped where a dilation makes the parts of a row that have the same taps at least so
 * many pixels wide; shorter tiles would cost more than the zeros. */
enum { SPAN_PIXELS = 4, SPANS_MAX = 17 };

/* With fewer pixels than this a panel of B is used too seldom to be worth a copy. */
enum { PIXELS_IN_PLACE = 64 };

/* Blocks of fewer pixels than this are not cut further for the sake of threads. */
enum { PIXELS_PER_UNIT = 56 };

/* A pass over the reduction: steps begin .. end - 1 of each of the runs first .. first + count - 1. */
struct pass {
    int64_t first, count, begin, end;
};

struct job {
    struct correlation c;
    bool copy;                  /* rows of x go through a band */
    bool merged;                /* a row of taps is one run of x, taps[1] * c long */
    bool clip;                  /* taps on rows of zeros are left out */
    bool clip_columns;          /* ... and those on columns of zeros */
    int64_t runs, run_length;   /* the reduction: runs of x, as long as they are contiguous */
    int64_t rows, cols;         /* outputs of a block */
    int64_t row_blocks, col_blocks, panel_blocks;
    int64_t panels;
    bool streamed;              /* panels of B are packed when their turn comes, as each has one block to serve */
    bool in_place;              /* ... or read where they lie */
    void *b;                    /* else they are packed before, one after the other */
    atomic_bool finite;
    void *lanes;                /* scratch of each lane: a band, and when streamed a panel of a pass */
    int64_t band_elements, panel_elements;
    int threads;
};

/* ---- The plan of a job ------------------------------------------------------------------------------------------- */

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

static int64_t window_bytes(const struct correlation *c, int64_t rows, int64_t cols)
{
    return touched(c, 0, rows) * touched(c, 1, cols) * c->x.c * (int64_t)c->kernels->item;
}

static struct window window_of(const struct correlation *c, int64_t row, int64_t rows, int64_t col, int64_t cols)
{
    const int64_t top = row * c->stride[0] + c->origin[0], left = col * c->stride[1] + c->origin[1];
    return (struct window){top, top + reach(c, 0, rows), left, left + reach(c, 1, cols)};
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

/* A 1x1 kernel on dense images is one product over all their pixels: one long row. */
static void flatten(struct correlation *c)
{
    flatten_images(c);
    const struct image *x = &c->x;
    const bool pointwise = c->taps[0] == 1 && c->taps[1] == 1 && c->stride[0] == 1 && c->stride[1] == 1 &&
                           c->origin[0] == 0 && c->origin[1] == 0 && c->oh == x->h && c->ow == x->w;
    if (!pointwise || x->row != x->w * x->pixel || c->y_row != c->ow * c->y_pixel) {
        return;
    }
    c->ow *= c->oh;
    c->oh = 1;
    c->x.w = c->ow;
    c->x.h = 1;
    if (x->image == c->ow * x->pixel && c->y_image == c->ow * c->y_pixel) {
        c->ow *= x->n;
        c->x.w = c->ow;
        c->x.n = 1;
    }
}

static int64_t units_of(const struct job *job)
{
    return job->c.x.n * job->c.groups * job->row_blocks * job->col_blocks * job->panel_blocks;
}

/* Rows and columns of a block whose window fits BLOCK_BYTES: whole rows of outputs if one does, else parts of a row that
 * still are several tiles long. */
static void fit_block(struct job *job)
{
    const struct correlation *c = &job->c;
    int64_t parts = 1, rows = 1;
    while (window_bytes(c, 1, ceil_div(c->ow, parts)) > BLOCK_BYTES && ceil_div(c->ow, parts) > PIXELS_PER_UNIT) {
        parts++;
    }
    job->cols = ceil_div(c->ow, parts);
    while (rows < c->oh && window_bytes(c, rows + 1, job->cols) <= BLOCK_BYTES) {
        rows++;
    }
    job->rows = ceil_div(c->oh, ceil_div(c->oh, rows));
}

/* Smaller blocks, so that every thread has several. They do not change any sum. */
static void spread(struct job *job)
{
    const struct correlation *c = &job->c;
    const int64_t wanted = job->threads > 1 ? 4 * job->threads : 1;
    const int64_t kernel_bytes = job->runs * job->run_length * padded_columns(c->kernels, c->k) *
                                 (int64_t)c->kernels->item;
    const int64_t others = max64(c->x.n * c->groups, 1);
    if (kernel_bytes <= 2 * BLOCK_BYTES && others * job->row_blocks * job->col_blocks < wanted) {
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

/* Whether the kernel lies in memory as a matrix [taps * c][k] of whole vectors, as a tile reads it. */
static bool is_readable_kernel(const struct correlation *c)
{
    return c->kernel_k == 1 && c->k % c->kernels->vl == 0 &&
           (c->taps[1] == 1 || c->kernel_tap[1] == c->x.c * c->kernel_c) &&
           (c->taps[0] == 1 || c->kernel_tap[0] == c->taps[1] * c->x.c * c->kernel_c);
}

static int64_t reduction(const struct job *job) { return job->runs * job->run_length; }

static int64_t widest_panel(const struct job *job)
{
    const struct panel last = panel_at(job->c.kernels, job->c.k, job->panels - 1);
    return max64(last.vectors, min64(job->panels, 2)) * job->c.kernels->vl;
}

static void plan(struct job *job, int threads)
{
    struct correlation *c = &job->c;
    flatten(c);
    const bool dense = c->x.pixel == c->x.c;
    job->threads = threads;
    job->panels = panel_count(c->kernels, c->k);
    job->copy = !c->column && (reaches_outside(c) || (!dense && c->taps[1] > 1 && c->dilation[1] == 1));
    job->merged = c->taps[1] == 1 || (c->dilation[1] == 1 && (dense || job->copy));
    job->runs = c->taps[0] * (job->merged ? 1 : c->taps[1]);
    job->run_length = c->x.c * (job->merged ? c->taps[1] : 1);
    fit_block(job);
    job->row_blocks = ceil_div(c->oh, job->rows);
    job->col_blocks = ceil_div(c->ow, job->cols);
    spread(job);
    const struct window first = window_of(c, 0, job->rows, 0, job->cols);
    job->band_elements = job->copy ? band_elements(&c->x, &first) : 0;
    job->streamed = c->x.n * job->row_blocks * job->col_blocks == 1;
    job->in_place = job->streamed && !job->copy && is_readable_kernel(c) && c->oh * c->ow <= PIXELS_IN_PLACE;
    job->panel_elements = job->streamed && !job->in_place ? min64(reduction(job), PASS_STEPS) * widest_panel(job) : 0;
}

/* ---- B ------------------------------------------------------------------------------------------------------------- */

static int64_t packed_elements(const struct job *job)
{
    return job->streamed ? 0 : job->c.groups * reduction(job) * padded_columns(job->c.kernels, job->c.k);
}

static void *packed_panel(const struct job *job, int64_t group, const struct panel *panel)
{
    const int64_t columns = padded_columns(job->c.kernels, job->c.k);
    return at(job->b, reduction(job) * (group * columns + panel->first), job->c.kernels->item);
}

/* Packs steps begin .. end - 1 of a run, tap by tap. */
static bool pack_run(const struct job *job, int64_t group, const struct panel *panel, int64_t run, int64_t begin,
                     int64_t end, char *dst)
{
    const struct correlation *c = &job->c;
    const size_t item = c->kernels->item;
    const int64_t width = panel->vectors * c->kernels->vl, taps_in_run = job->merged ? c->taps[1] : 1;
    const char *src = at(c->kernel, group * c->kernel_group + panel->first * c->kernel_k, item);
    bool finite = true;
    for (int64_t step = begin; step < end;) {
        const int64_t tap = run * taps_in_run + step / c->x.c, channel = step % c->x.c;
        const int64_t rows = min64(c->x.c - channel, end - step);
        const int64_t offset = tap / c->taps[1] * c->kernel_tap[0] + tap % c->taps[1] * c->kernel_tap[1] +
                               channel * c->kernel_c;
        finite &= c->kernels->pack(at(dst, (step - begin) * width, item), width, at(src, offset, item), rows,
                                   panel->columns, c->kernel_c, c->kernel_k);
        step += rows;
    }
    return finite;
}

/* Packs the steps of a pass of a panel. */
static void pack_pass(struct job *job, int64_t group, const struct panel *panel, const struct pass *pass, char *dst)
{
    const int64_t length = pass->end - pass->begin, width = panel->vectors * job->c.kernels->vl;
    bool finite = true;
    for (int64_t i = 0; i < pass->count; i++) {
        finite &= pack_run(job, group, panel, pass->first + i, pass->begin, pass->end,
                           at(dst, i * length * width, job->c.kernels->item));
    }
    if (!finite) {
        atomic_store_explicit(&job->finite, false, memory_order_relaxed);
    }
}

/* Packs panel i % panels of group i / panels. */
static void pack_panel(void *data, int lane, int64_t i)
{
    struct job *job = data;
    const int64_t group = i / job->panels;
    const struct panel panel = panel_at(job->c.kernels, job->c.k, i % job->panels);
    const struct pass all = {0, job->runs, 0, job->run_length};
    (void)lane;
    pack_pass(job, group, &panel, &all, packed_panel(job, group, &panel));
}

/* ---- Blocks ---------------------------------------------------------------------------------------------------------- */

/* Outputs col .. col + cols - 1 of a row, which all have the same columns of taps on x. */
struct span {
    int64_t col, cols, first_tap, end_tap;
};

/* A block of work: outputs row .. row + rows - 1, col .. col + cols - 1 of image n, and some panels of a group. */
struct block {
    int64_t n, group, row, rows, col, cols, panel, panels;
    int64_t spans;
    struct span span[SPANS_MAX];
    struct band band;
};

static int64_t pieces_of(const struct job *job) { return max64(ceil_div(job->run_length, PASS_STEPS), 1); }

static int64_t runs_per_pass(const struct job *job)
{
    return pieces_of(job) > 1 ? 1 : min64(max64(PASS_STEPS / max64(job->run_length, 1), 1), SEGMENTS_MAX);
}

static int64_t pass_count(const struct job *job)
{
    return max64(ceil_div(job->runs, runs_per_pass(job)) * pieces_of(job), 1);
}

static struct pass pass_at(const struct job *job, int64_t i)
{
    const int64_t pieces = pieces_of(job), per_pass = runs_per_pass(job), first = i / pieces * per_pass;
    const int64_t piece = i % pieces;
    return (struct pass){
        .first = first, .count = min64(per_pass, job->runs - first),
        .begin = job->run_length * piece / pieces, .end = job->run_length * (piece + 1) / pieces,
    };
}

/* The taps of an axis that meet x for output i, from *first to *end - 1. */
static void valid_taps(const struct correlation *c, int axis, int64_t i, int64_t *first, int64_t *end)
{
    const int64_t start = i * c->stride[axis] + c->origin[axis], d = c->dilation[axis], taps = c->taps[axis];
    const int64_t size = axis ? c->x.w : c->x.h;
    *first = start < 0 ? min64(ceil_div(-start, d), taps) : 0;
    *end = start < size ? max64(min64(ceil_div(size - start, d), taps), *first) : *first;
}

/* Splits the columns of a block where the set of taps on x changes. */
static void list_spans(const struct job *job, struct block *block)
{
    struct span all = {block->col, block->cols, 0, job->c.taps[1]};
    block->span[0] = all;
    block->spans = 1;
    if (!job->clip_columns) {
        return;
    }
    block->spans = 0;
    for (int64_t col = block->col; col < block->col + block->cols; col++) {
        struct span *last = &block->span[max64(block->spans - 1, 0)];
        struct span one = {.col = col, .cols = 1};
        valid_taps(&job->c, 1, col, &one.first_tap, &one.end_tap);
        if (block->spans > 0 && last->first_tap == one.first_tap && last->end_tap == one.end_tap) {
            last->cols++;
        } else {
            block->span[block->spans++] = one;
        }
    }
}

/* The runs of a pass that meet x in rows first .. end - 1 of taps and the span's columns: where they start, from the first
 * tap of an output pixel and from the top of a panel. Returns how many. */
static int64_t list_segments(const struct job *job, const struct band *band, const struct pass *pass, int64_t b_row,
                             int64_t first, int64_t end, const struct span *span, struct segment *segment)
{
    const int64_t b_first = job->streamed && !job->in_place ? pass->first * job->run_length + pass->begin : 0;
    const struct correlation *c = &job->c;
    const int64_t runs_in_row = job->merged ? 1 : c->taps[1];
    int64_t count = 0;
    for (int64_t run = pass->first; run < pass->first + pass->count; run++) {
        const int64_t r = run / runs_in_row, s = run % runs_in_row;
        if (r >= first && r < end && (job->merged || (s >= span->first_tap && s < span->end_tap))) {
            segment[count].a = r * c->dilation[0] * band->row + s * c->dilation[1] * band->pixel + pass->begin;
            segment[count++].b = (run * job->run_length + pass->begin - b_first) * b_row;
        }
    }
    return count;
}

/* The tiles along a span of output row i, for one panel and pass. */
static void run_span(const struct job *job, const struct block *block, int64_t i, const struct span *span,
                     struct tile *tile, const struct panel *panel)
{
    const struct correlation *c = &job->c;
    const struct kernels *kernels = c->kernels;
    const struct band *band = &block->band;
    /* Rows of A a multiple of 4 KiB apart fall on the same few lines of the first-level cache: then 8 at most. */
    const bool alias = tile->a_row * (int64_t)kernels->item % 4096 == 0;
    const int64_t tallest_tile = alias ? min64(tallest(kernels, panel), 8) : tallest(kernels, panel);
    const int64_t tiles = ceil_div(span->cols, tallest_tile);
    const int64_t rows = span->cols / tiles, taller = span->cols % tiles; /* split evenly */
    const int64_t x_row = i * c->stride[0] + c->origin[0] - band->top;
    int64_t col = span->col;
    for (int64_t t = 0; t < tiles; t++) {
        const int64_t mr = rows + (t < taller);
        tile->a = at(band->base, x_row * band->row + (c->origin[1] - band->left) * band->pixel + col * tile->a_row,
                     kernels->item);
        tile->c = at(c->y, block->n * c->y_image + i * c->y_row + col * c->y_pixel + block->group * c->y_group +
                     panel->first, kernels->item);
        kernels->tile[panel->vectors][mr](tile);
        col += mr;
    }
}

static void run_panel(const struct job *job, const struct block *block, const struct pass *pass,
                      const struct panel *panel, const void *b, bool first, bool last, const void *bias)
{
    const struct correlation *c = &job->c;
    struct segment segment[SEGMENTS_MAX];
    struct tile tile = {
        .length = pass->end - pass->begin, .a_row = c->column ? c->column : c->stride[1] * block->band.pixel, .a_col = 1,
        .b = b, .b_row = job->in_place ? c->kernel_c : panel->vectors * c->kernels->vl,
        .c_row = c->y_pixel, .bias = last ? bias : NULL, .columns = panel->columns, .accumulate = !first,
    };
    tile.segment = segment;
    for (int64_t i = block->row; i < block->row + block->rows; i++) {
        int64_t first_tap = 0, end_tap = c->taps[0];
        if (job->clip) {
            valid_taps(c, 0, i, &first_tap, &end_tap);
        }
        for (int64_t s = 0; s < block->spans; s++) {
            const struct span *span = &block->span[s];
            tile.segments = list_segments(job, &block->band, pass, tile.b_row, first_tap, end_tap, span, segment);
            if (tile.segments > 0 || first || tile.bias) {
                run_span(job, block, i, span, &tile, panel);
            }
        }
    }
}

/* The bytes of the widest tile: vectors have 64 bytes at most. */
enum { BIAS_BYTES = NV_MAX * 64 };

/* Bias of a panel, padded to whole vectors as the tile reads it. */
static const void *panel_bias(const struct job *job, const struct block *block, const struct panel *panel,
                              char *buffer)
{
    const struct correlation *c = &job->c;
    if (!c->bias) {
        return NULL;
    }
    memset(buffer, 0, BIAS_BYTES);
    memcpy(buffer, at(c->bias, block->group * c->k + panel->first, c->kernels->item),
           (size_t)panel->columns * c->kernels->item);
    return buffer;
}

void activate_row(const struct kernels *kernels, const chanconv_activation *activation, void *y, int64_t cols,
                  int64_t channels, int64_t pixel)
{
    const bool dense = pixel == channels;
    for (int64_t j = 0; j < (dense ? 1 : cols); j++) {
        void *values = at(y, j * pixel, kernels->item);
        kernels->activation[activation->kind](dense ? cols * channels : channels, activation->p, values, values);
    }
}

/* The activation on columns first .. end - 1 of the block's pixels, while they are in the cache. */
static void activate(const struct job *job, const struct block *block, int64_t first, int64_t end)
{
    const struct correlation *c = &job->c;
    for (int64_t i = block->row; i < block->row + block->rows; i++) {
        void *y = at(c->y, block->n * c->y_image + i * c->y_row + block->col * c->y_pixel +
                     block->group * c->y_group + first, c->kernels->item);
        activate_row(c->kernels, &c->activation, y, block->cols, end - first, c->y_pixel);
    }
}

/* A panel as the tiles of a pass read it; stream: room for a copy. */
static const void *panel_of_pass(struct job *job, int64_t group, const struct panel *panel, const struct pass *pass,
                                 void *stream)
{
    if (job->in_place) {
        return at(job->c.kernel, group * job->c.kernel_group + panel->first, job->c.kernels->item);
    }
    if (job->streamed) {
        pack_pass(job, group, panel, pass, stream);
        return stream;
    }
    return packed_panel(job, group, panel);
}

/* stream: room for a panel of a pass. */
static void run_block(struct job *job, const struct block *block, void *stream)
{
    const struct correlation *c = &job->c;
    const int64_t passes = pass_count(job), end = block->panel + block->panels;
    for (int64_t i = 0; i < passes; i++) {
        const struct pass pass = pass_at(job, i);
        for (int64_t p = block->panel; p < end; p++) {
            _Alignas(CACHE_LINE) char buffer[BIAS_BYTES];
            const struct panel panel = panel_at(c->kernels, c->k, p);
            const void *bias = panel_bias(job, block, &panel, buffer);
            const void *b = panel_of_pass(job, block->group, &panel, &pass, stream);
            run_panel(job, block, &pass, &panel, b, i == 0, i == passes - 1, bias);
        }
    }
    if (c->activation.kind != CHANCONV_IDENTITY) {
        const struct panel last = panel_at(c->kernels, c->k, end - 1);
        activate(job, block, panel_at(c->kernels, c->k, block->panel).first, last.first + last.columns);
    }
}

/* Whether a block can do without the copy that the job as a whole needs: its taps on padding have been clipped away. */
static bool readable(const struct job *job, const struct window *window)
{
    const struct image *x = &job->c.x;
    const bool runs = x->pixel == x->c || !job->merged || job->c.taps[1] == 1;
    return job->clip && runs && inside(x, window);
}

/* Block i: panels fastest, then columns, rows, groups, images. */
static void run_unit(void *data, int lane, int64_t i)
{
    struct job *job = data;
    const struct correlation *c = &job->c;
    const int64_t p = i % job->panel_blocks, col = i / job->panel_blocks % job->col_blocks;
    const int64_t row = i / job->panel_blocks / job->col_blocks % job->row_blocks;
    const int64_t image = i / job->panel_blocks / job->col_blocks / job->row_blocks;
    struct block block = {
        .n = image / c->groups, .group = image % c->groups,
        .row = row * job->rows, .rows = min64(job->rows, c->oh - row * job->rows),
        .col = col * job->cols, .cols = min64(job->cols, c->ow - col * job->cols),
        .panel = job->panels * p / job->panel_blocks,
    };
    block.panels = job->panels * (p + 1) / job->panel_blocks - block.panel;
    struct window window = window_of(c, block.row, block.rows, block.col, block.cols);
    if (job->clip) {
        window.top = min64(max64(window.top, 0), c->x.h);
        window.bottom = max64(min64(window.bottom, c->x.h), window.top);
    }
    if (job->clip_columns) {
        window.left = min64(max64(window.left, 0), c->x.w);
        window.right = max64(min64(window.right, c->x.w), window.left);
    }
    list_spans(job, &block);
    struct image x = c->x;
    x.data = at(x.data, block.group * c->x_group, x.item);
    void *scratch = at(job->lanes, lane * (job->band_elements + job->panel_elements), x.item);
    block.band = take_band(&x, block.n, &window, job->copy && !readable(job, &window), scratch);
    run_block(job, &block, at(scratch, job->band_elements, x.item));
}

/* ---- The whole ---------------------------------------------------------------------------------------------------------- */

double correlation_flops(const struct correlation *c)
{
    return 2.0 * (double)(c->x.n * c->oh * c->ow) * (double)(c->taps[0] * c->taps[1] * c->x.c) *
           (double)(c->k * c->groups);
}

static int64_t job_bytes(const struct job *job)
{
    return (packed_elements(job) + job->threads * (job->band_elements + job->panel_elements)) *
           (int64_t)job->c.kernels->item;
}

int64_t correlation_bytes(const struct correlation *correlation, int threads)
{
    struct job job = {.c = *correlation};
    plan(&job, threads);
    return job_bytes(&job);
}

/* Runs the job with taps on padding clipped or multiplied with zeros. */
static void run_job(chanconv_context *context, struct job *job, bool clip)
{
    job->clip = clip;
    job->clip_columns = clip && !job->merged && 2 * job->c.taps[1] < SPANS_MAX &&
                        job->c.dilation[1] >= SPAN_PIXELS * job->c.stride[1];
    run_units(context, job->threads, units_of(job), run_unit, job);
}

/* Clips, if all of the kernel is finite: 0 times NaN or Inf is not 0. When streamed that is known afterwards. */
static chanconv_status run_clipped(chanconv_context *context, struct job *job)
{
    const bool zeros = job->c.x.mode == CHANCONV_ZEROS;
    if (!job->streamed) {
        run_units(context, job->threads, job->c.groups * job->panels, pack_panel, job);
    }
    if (job->streamed || atomic_load(&job->finite)) {
        run_job(context, job, zeros);
    }
    if (atomic_load(&job->finite)) {
        return CHANCONV_OK;
    }
    if (job->c.bounded && job->copy) {
        return CORRELATE_NOT_FINITE;
    }
    run_job(context, job, false);
    return CHANCONV_OK;
}

chanconv_status correlate(chanconv_context *context, const struct correlation *correlation)
{
    struct job job = {.c = *correlation};
    if (job.c.x.n == 0 || job.c.oh < 1 || job.c.ow < 1 || job.c.k == 0) {
        return CHANCONV_OK;
    }
    plan(&job, worthwhile_threads(context, correlation_flops(correlation)));
    const size_t bytes = (size_t)job_bytes(&job);
    job.b = take_scratch(context, bytes);
    if (!job.b) {
        return CHANCONV_NO_MEMORY;
    }
    job.lanes = at(job.b, packed_elements(&job), job.c.kernels->item);
    atomic_init(&job.finite, true);
    const chanconv_status status = run_clipped(context, &job);
    release_scratch(context, job.b, bytes);
    return status;
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The blocked product behind the forward pass and the gradient of x. A block is some output rows and columns of one
 * image and group; the loops in it are, from the outside: passes over the reduction, panels of columns, output rows,
 * register tiles along the row. So a panel of B (a pass long) stays in the second-level cache while all pixels of the
 * block go by.
 */
#include <string.h>

#include "correlation.h"

/* ---- B ------------------------------------------------------------------------------------------------------------- */

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

static int64_t prepared_elements(const struct correlation *c)
{
    return c->groups * c->taps[0] * c->taps[1] * c->x.c * padded_columns(c->kernels, c->k);
}

int64_t prepared_correlation_bytes(const struct correlation *c)
{
    const int64_t panels = prepared_elements(c) * (int64_t)c->kernels->item;
    return (int64_t)sizeof(struct prepared) + ceil_div(panels, CACHE_LINE) * CACHE_LINE;
}

/* Runs in a row of taps lie one after the other in a panel, so that it does not matter whether the plan merges them. */
void prepare_correlation(const struct correlation *c, struct prepared *prepared)
{
    struct job job = {.c = *c, .runs = c->taps[0] * c->taps[1], .run_length = c->x.c, .b = prepared + 1,
                      .panels = panel_count(c->kernels, c->k)};
    atomic_init(&job.finite, true);
    for (int64_t i = 0; i < c->groups * job.panels; i++) {
        pack_panel(&job, 0, i);
    }
    prepared->finite = atomic_load(&job.finite);
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
    const struct window window = block_window(job, block.row, block.rows, block.col, block.cols);
    list_spans(job, &block);
    struct image x = c->x;
    x.data = at(x.data, block.group * c->x_group, x.item);
    void *scratch = at(job->lanes, lane * (job->band_elements + job->panel_elements), x.item);
    block.band = take_band(&x, block.n, &window, job->copy, scratch);
    run_block(job, &block, at(scratch, job->band_elements, x.item));
}

/* ---- The whole ---------------------------------------------------------------------------------------------------------- */

static int64_t units_of(const struct job *job)
{
    return job->c.x.n * job->c.groups * job->row_blocks * job->col_blocks * job->panel_blocks;
}

/* Runs the job, unless it clips and the kernel turns out not to be finite. When streamed that shows only afterwards: then
 * what has been written is wrong. */
static chanconv_status run_job(chanconv_context *context, struct job *job)
{
    const size_t bytes = job_bytes(job);
    const struct prepared *prepared = job->c.prepared;
    void *scratch = take_scratch(context, bytes);
    if (!scratch) {
        return CHANCONV_NO_MEMORY;
    }
    job->lanes = at(scratch, job->packed_elements, job->c.kernels->item);
    job->b = prepared ? at(prepared, 1, sizeof *prepared) : scratch;
    atomic_init(&job->finite, !prepared || prepared->finite);
    if (!job->streamed && !prepared) {
        run_units(context, job->threads, job->c.groups * job->panels, pack_panel, job);
    }
    if (!job->clip || atomic_load(&job->finite)) {
        run_units(context, job->threads, units_of(job), run_unit, job);
    }
    release_scratch(context, scratch, bytes);
    return CHANCONV_OK;
}

/* Clips first: most kernels are finite. 0 times NaN or Inf is not 0, so with others taps on padding take part. */
chanconv_status correlate(chanconv_context *context, const struct correlation *correlation)
{
    const struct correlation *c = correlation;
    if (c->x.n == 0 || c->oh < 1 || c->ow < 1 || c->k == 0) {
        return CHANCONV_OK;
    }
    const int threads = worthwhile_threads(context, correlation_flops(c));
    struct job job = plan_correlation(c, threads, true);
    chanconv_status status = run_job(context, &job);
    if (status == CHANCONV_OK && job.clip && !atomic_load(&job.finite)) {
        if (c->bounded) {
            return CORRELATE_NOT_FINITE;
        }
        job = plan_correlation(c, threads, false);
        status = run_job(context, &job);
    }
    return status;
}

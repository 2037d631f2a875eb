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
    return at(job->b, reduction(job) * (group * columns_of_b(job) + panel->first), job->c.kernels->item);
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

/* Packs a run, the channels of a tap, as the tiles of few columns read it: [vector][column][lane]. A last vector that
 * is not whole begins earlier, with zeros for the channels that the one before has. */
static bool pack_dot(const struct job *job, int64_t group, const struct panel *panel, int64_t run, char *dst)
{
    const struct correlation *c = &job->c;
    const size_t item = c->kernels->item;
    const int64_t vl = c->kernels->vl, r = run / c->taps[1], s = run % c->taps[1];
    const char *src = at(c->kernel, group * c->kernel_group + panel->first * c->kernel_k + r * c->kernel_tap[0] +
                         s * c->kernel_tap[1], item);
    bool finite = true;
    for (int64_t step = 0; step < c->x.c; step += vl, dst = at(dst, panel->columns * vl, item)) {
        const int64_t begin = min64(step, c->x.c - vl);
        finite &= c->kernels->pack(dst, vl, at(src, begin * c->kernel_c, item), panel->columns, vl, c->kernel_k,
                                   c->kernel_c);
        for (int64_t k = 0; k < panel->columns; k++) {
            memset(at(dst, k * vl, item), 0, (size_t)(step - begin) * item);
        }
    }
    return finite;
}

/* Steps of each run that a pass takes, as B has them. */
static int64_t length_of_pass(const struct job *job, const struct pass *pass)
{
    return job->dot ? run_length_of_b(job) : pass->end - pass->begin;
}

/* Packs the steps of a pass of a panel. */
static void pack_pass(struct job *job, int64_t group, const struct panel *panel, const struct pass *pass, char *dst)
{
    const int64_t length = length_of_pass(job, pass), width = panel_width(job, panel);
    bool finite = true;
    if (is_pair(panel)) {
        const struct panel left = {panel->first, width, 2}, right = {panel->first + width, panel->columns - width, 2};
        pack_pass(job, group, &left, pass, dst);
        pack_pass(job, group, &right, pass, at(dst, pass->count * length * width, job->c.kernels->item));
        return;
    }
    for (int64_t i = 0; i < pass->count; i++) {
        char *to = at(dst, i * length * width, job->c.kernels->item);
        finite &= job->dot ? pack_dot(job, group, panel, pass->first + i, to)
                           : pack_run(job, group, panel, pass->first + i, pass->begin, pass->end, to);
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
    const struct panel panel = job_panel(job, i % job->panels);
    const struct pass all = {0, job->runs, 0, job->run_length};
    (void)lane;
    pack_pass(job, group, &panel, &all, packed_panel(job, group, &panel));
}

/* Runs in a row of taps lie one after the other in a panel, so that it does not matter whether the plan merges them. */
static struct job job_of_kernel(const struct correlation *c)
{
    struct job job = {.c = *c, .runs = c->taps[0] * c->taps[1], .run_length = c->x.c};
    plan_columns(&job);
    return job;
}

int64_t prepared_correlation_bytes(const struct correlation *c)
{
    const struct job job = job_of_kernel(c);
    const int64_t panels = c->groups * reduction(&job) * columns_of_b(&job) * (int64_t)c->kernels->item;
    return (int64_t)sizeof(struct prepared) + ceil_div(panels, CACHE_LINE) * CACHE_LINE;
}

void prepare_with_threads(chanconv_context *context, int threads, const struct correlation *c,
                          struct prepared *prepared)
{
    struct job job = job_of_kernel(c);
    job.b = prepared + 1;
    atomic_init(&job.finite, true);
    run_units(context, threads, c->groups * job.panels, pack_panel, &job);
    prepared->finite = atomic_load(&job.finite);
}

void prepare_correlation(const struct correlation *c, struct prepared *prepared)
{
    prepare_with_threads(NULL, 1, c, prepared);
}

/* ---- Blocks ---------------------------------------------------------------------------------------------------------- */

/* Outputs col .. col + cols - 1 of a row, which all have the same columns of taps on x and read the same band; `image`
 * elements further on the one of the next image. */
struct span {
    int64_t col, cols, first_tap, end_tap;
    struct band band;
    int64_t image;
};

/* A block of work: outputs row .. row + rows - 1, col .. col + cols - 1 of images n .. n + images - 1, and some panels of
 * a group. */
struct block {
    int64_t n, images, group, row, rows, col, cols, panel, panels;
    int64_t spans;
    struct span span[SPANS_MAX];
    const char *ahead;          /* what the output at row 0, column 0 of a block to come reads, or NULL */
    struct stretch stretch;     /* what the block reads that comes next */
};

/* The taps of an axis that meet x for output i, from *first to *end - 1. */
static void valid_taps(const struct correlation *c, int axis, int64_t i, int64_t *first, int64_t *end)
{
    const int64_t start = i * c->stride[axis] + c->origin[axis], d = c->dilation[axis], taps = c->taps[axis];
    const int64_t size = axis ? c->x.w : c->x.h;
    *first = start < 0 ? min64(ceil_div(-start, d), taps) : 0;
    *end = taps;
    if (start + (taps - 1) * d >= size) {
        *end = start < size ? max64(min64(ceil_div(size - start, d), taps), *first) : *first;
    }
}

/* Splits the columns of a block, one span, where the set of taps on x changes. */
static void list_clipped_spans(const struct job *job, struct block *block)
{
    const struct band band = block->span[0].band;
    const int64_t image = block->span[0].image;
    block->spans = 0;
    for (int64_t col = block->col; col < block->col + block->cols; col++) {
        struct span *last = &block->span[max64(block->spans - 1, 0)];
        struct span one = {.col = col, .cols = 1, .band = band, .image = image};
        valid_taps(&job->c, 1, col, &one.first_tap, &one.end_tap);
        if (block->spans > 0 && last->first_tap == one.first_tap && last->end_tap == one.end_tap) {
            last->cols++;
        } else {
            block->span[block->spans++] = one;
        }
    }
}

/* The height of the tiles along a row of outputs. Rows of A a multiple of 4 KiB apart fall on the same few lines of the
 * first-level cache: then 8 at most. */
static int64_t tile_rows(const struct job *job, const struct panel *panel, int64_t a_row)
{
    const struct kernels *kernels = job->c.kernels;
    const int64_t most = job->dot ? kernels->dot_rows[panel->columns] : tallest(kernels, panel);
    return a_row * (int64_t)kernels->item % 4096 == 0 ? min64(most, 8) : most;
}

/* Columns of a block at either edge, in whole tiles, that have taps outside x. */
static void edge_columns(const struct job *job, const struct block *block, int64_t edge[2])
{
    const struct correlation *c = &job->c;
    const struct panel panel = job_panel(job, 0);
    const int64_t tiles = ceil_div(block->cols, tile_rows(job, &panel, c->stride[1] * c->x.pixel));
    const int64_t whole = ceil_div(block->cols, tiles), reach = (c->taps[1] - 1) * c->dilation[1] + 1;
    const int64_t first = max64(ceil_div(max64(-c->origin[1], 0), c->stride[1]), 0);
    const int64_t end = max64(c->x.w - reach - c->origin[1] + c->stride[1], 0) / c->stride[1];
    edge[0] = ceil_div(min64(max64(first - block->col, 0), block->cols), whole) * whole;
    edge[1] = ceil_div(min64(max64(block->col + block->cols - end, 0), block->cols), whole) * whole;
}

/* The next span of a block, of so many columns from col on, and x for it: in place or copied. Returns where there is
 * scratch memory left. */
static char *take_span(const struct job *job, const struct image *x, struct block *block, int64_t col, int64_t cols,
                       bool copy, char *scratch)
{
    const struct window window = block_window(job, block->row, block->rows, col, cols);
    const int64_t image = copy ? band_elements(x, &window) : x->image;
    block->span[block->spans++] = (struct span){
        col, cols, 0, job->c.taps[1], take_band(x, block->n, &window, copy, scratch), image,
    };
    for (int64_t i = 1; i < block->images && copy; i++) {
        take_band(x, block->n + i, &window, true, at(scratch, i * image, x->item));
    }
    return copy ? at(scratch, block->images * image, x->item) : scratch;
}

/* Takes x for a block in place but for its edges, which are copied. Returns whether that leaves anything in place. Only
 * few columns do so little with x that the copy of all of it counts for more than the edges' own tiles. */
static bool take_edges(const struct job *job, const struct image *x, struct block *block, char *scratch)
{
    int64_t edge[2], col = block->col;
    if (!job->dot || job->copy_all) {
        return false;
    }
    edge_columns(job, block, edge);
    const int64_t middle = block->cols - edge[0] - edge[1], cols[3] = {edge[0], middle, edge[1]};
    if (middle < (job->c.taps[1] - 1) * job->c.dilation[1] + 1) {
        return false;
    }
    for (int i = 0; i < 3; i++) {
        if (cols[i] > 0) {
            scratch = take_span(job, x, block, col, cols[i], i != 1, scratch);
            col += cols[i];
        }
    }
    return true;
}

/* Cuts the columns of a block into spans and finds x for them; scratch: room for a copy of it all. */
static void take_spans(const struct job *job, const struct image *x, struct block *block, void *scratch)
{
    const struct window window = block_window(job, block->row, block->rows, block->col, block->cols);
    const bool copy = job->copy_all || (job->copy && !inside(x, &window));
    block->spans = 0;
    if (!copy || window.top < 0 || window.bottom > x->h || !take_edges(job, x, block, scratch)) {
        take_span(job, x, block, block->col, block->cols, copy, scratch);
    }
    if (job->clip_columns) {
        list_clipped_spans(job, block);
    }
}

/* The runs of a pass that meet x in rows first .. end - 1 of taps and the span's columns: where they start, from the first
 * tap of an output pixel and from the top of a panel. Returns how many. */
static int64_t list_segments(const struct job *job, const struct pass *pass, int64_t b_row, int64_t first, int64_t end,
                             const struct span *span, struct segment *segment)
{
    const struct band *band = &span->band;
    const int64_t b_first = job->streamed && !job->in_place ? pass->first * run_length_of_b(job) + pass->begin : 0;
    const struct correlation *c = &job->c;
    const int64_t runs_in_row = job->merged ? 1 : c->taps[1];
    int64_t count = 0, r = pass->first / runs_in_row, s = pass->first % runs_in_row;
    for (int64_t run = pass->first; run < pass->first + pass->count; run++) {
        if (r >= first && r < end && (job->merged || (s >= span->first_tap && s < span->end_tap))) {
            segment[count].a = r * c->dilation[0] * band->row + s * c->dilation[1] * band->pixel + pass->begin;
            segment[count++].b = (run * run_length_of_b(job) + pass->begin - b_first) * b_row;
        }
        s = s + 1 < runs_in_row ? s + 1 : 0;
        r += s == 0;
    }
    return count;
}

/* Fetches, while a tile is computed, what the same outputs of a block to come add to what the row above them reads. */
static void fetch_ahead(const struct job *job, const struct block *block, int64_t i, int64_t col, int64_t cols)
{
    const struct correlation *c = &job->c;
    const int64_t pixel = c->column ? c->column : c->stride[1] * c->x.pixel;
    const int64_t bytes = cols * pixel * (int64_t)c->x.item, row = i * c->stride[0] + (c->taps[0] - 1) * c->dilation[0];
    for (int64_t r = 0; r < min64(c->stride[0], c->taps[0]); r++) {
        const char *x = at(block->ahead, (row - r) * c->x.row + col * pixel, c->x.item);
        for (int64_t j = 0; j < bytes; j += CACHE_LINE) {
            fetch_line(x + j);
        }
    }
}

/* The first of some columns of lines, the part of the kernel that is read after a panel: each tile fetches one, or
 * two. */
struct lines {
    const char *first;
    int64_t count, at_once;
};

static void ask_for_lines(struct lines *lines, struct tile *tile)
{
    tile->ahead = lines->count > 0 ? lines->first : NULL;
    lines->count -= lines->at_once;
    lines->first += lines->at_once * CACHE_LINE;
}

/* What the tiles of one panel in one pass do. */
struct sweep {
    const struct pass *pass;
    const struct panel *panel;
    struct lines next;
    struct stretch *stretch;    /* of the block */
    bool first, last;           /* of the passes */
    struct tile tile;
    struct segment segment[SEGMENTS_MAX];
};

/* The tiles along a span of output row i of image n of the block. */
static void run_row(const struct job *job, const struct block *block, int64_t n, int64_t i, const struct span *span,
                    int64_t tiles, struct sweep *sweep)
{
    const struct correlation *c = &job->c;
    const struct kernels *kernels = c->kernels;
    const struct band *band = &span->band;
    const struct panel *panel = sweep->panel;
    struct tile *tile = &sweep->tile;
    const int64_t taller = tiles > 1 ? span->cols % tiles : 0; /* split evenly */
    const int64_t rows = tiles > 1 ? span->cols / tiles : span->cols;
    const int64_t x_row = i * c->stride[0] + c->origin[0] - band->top;
    tile_fn *const *dots = job->dot ? kernels->dots[panel->columns] : NULL;
    tile_fn *const low = dots ? dots[rows] : panel_tile(kernels, panel, rows);
    tile_fn *const tall = taller == 0 ? low : dots ? dots[rows + 1] : panel_tile(kernels, panel, rows + 1);
    int64_t col = span->col;
    for (int64_t t = 0; t < tiles; t++) {
        const int64_t mr = rows + (t < taller);
        tile->a = at(band->base, n * span->image + x_row * band->row + (c->origin[1] - band->left) * band->pixel +
                     col * tile->a_row, kernels->item);
        tile->c = at(c->y, (block->n + n) * c->y_image + i * c->y_row + col * c->y_pixel + block->group * c->y_group +
                     panel->first, kernels->item);
        if (block->ahead && panel->first == 0) {
            fetch_ahead(job, block, i - block->row, col - block->col, mr);
        }
        if (job->streamed && !job->in_order) {
            ask_for_lines(&sweep->next, tile);
        } else {
            ask_for(sweep->stretch, tile);
        }
        (t < taller ? tall : low)(tile);
        col += mr;
    }
}

/* Segments for output row i, if they are others than those for the row before, whose taps were listed[0] .. listed[1] - 1. */
static void list_row(const struct job *job, const struct span *span, int64_t i, int64_t listed[2], struct sweep *sweep)
{
    int64_t first = 0, end = job->c.taps[0];
    if (job->clip) {
        valid_taps(&job->c, 0, i, &first, &end);
    }
    if (first != listed[0] || end != listed[1]) {
        sweep->tile.segments = list_segments(job, sweep->pass, sweep->tile.b_row, first, end, span, sweep->segment);
        listed[0] = first;
        listed[1] = end;
    }
}

/* The rows of a span, image by image, so that y is written in the order in which it lies. */
static void run_span(const struct job *job, const struct block *block, const struct span *span, struct sweep *sweep)
{
    const struct correlation *c = &job->c;
    struct tile *tile = &sweep->tile;
    int64_t listed[2] = {-1, -1};
    tile->a_row = c->column ? c->column : c->stride[1] * span->band.pixel;
    const int64_t most = tile_rows(job, sweep->panel, tile->a_row), tiles = span->cols > most ? ceil_div(span->cols, most) : 1;
    for (int64_t n = 0; n < block->images; n++) {
        for (int64_t i = block->row; i < block->row + block->rows; i++) {
            list_row(job, span, i, listed, sweep);
            if (tile->segments > 0 || sweep->first || tile->bias) {
                run_row(job, block, n, i, span, tiles, sweep);
            }
        }
    }
}

static void run_panel(const struct job *job, const struct block *block, const void *b, const void *bias,
                      struct sweep *sweep)
{
    const struct correlation *c = &job->c;
    const int64_t width = panel_width(job, sweep->panel);
    const int64_t steps = job->streamed ? sweep->pass->count * length_of_pass(job, sweep->pass) : reduction(job);
    sweep->tile = (struct tile){
        .segment = sweep->segment, .length = sweep->pass->end - sweep->pass->begin, .a_col = 1,
        .b = b, .b_row = job->in_place ? c->kernel_c : width, .b_apart = job->in_place ? 0 : (steps - 1) * width,
        .c_row = c->y_pixel, .bias = sweep->last ? bias : NULL, .columns = sweep->panel->columns,
        .accumulate = !sweep->first, .fetch = job->far && sweep->first,
        .ahead_row = c->kernel_c * (int64_t)c->kernels->item,
    };
    for (int64_t s = 0; s < block->spans; s++) {
        run_span(job, block, &block->span[s], sweep);
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

/* Channel `first` of the block's first output in row i % rows of its image i / rows. */
static void *block_row(const struct job *job, const struct block *block, int64_t i, int64_t first)
{
    const struct correlation *c = &job->c;
    return at(c->y, (block->n + i / block->rows) * c->y_image + (block->row + i % block->rows) * c->y_row +
              block->col * c->y_pixel + block->group * c->y_group + first, c->kernels->item);
}

/* The activation on columns first .. end - 1 of the block's pixels, while they are in the cache. */
static void activate(const struct job *job, const struct block *block, int64_t first, int64_t end)
{
    const struct correlation *c = &job->c;
    for (int64_t i = 0; i < block->images * block->rows; i++) {
        void *y = block_row(job, block, i, first);
        activate_row(c->kernels, &c->activation, y, block->cols, end - first, c->y_pixel);
    }
}

/* Whether what the block has written, channels first .. end - 1 of its pixels, is finite. */
static bool is_finite(const struct job *job, const struct block *block, int64_t first, int64_t end)
{
    const struct correlation *c = &job->c;
    bool finite = true;
    for (int64_t i = 0; i < block->images * block->rows * block->cols; i++) {
        const void *y = at(block_row(job, block, i / block->cols, first), i % block->cols * c->y_pixel, c->kernels->item);
        finite &= c->kernels->finite(end - first, y);
    }
    return finite;
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

/* What the kernel has for the panel after panel p of a pass; nothing where that has been read before. */
static struct lines next_panel(const struct job *job, const struct block *block, int64_t pass, int64_t p)
{
    const struct correlation *c = &job->c;
    const bool last = p + 1 == block->panel + block->panels;
    if (!job->readable || !job->streamed || job->in_order || (last && pass + 1 == pass_count(job))) {
        return (struct lines){0};
    }
    const struct pass next = pass_at(job, pass + last);
    const struct panel panel = job_panel(job, last ? block->panel : p + 1);
    const int64_t first = (next.first * job->run_length + next.begin) * c->kernel_c + panel.first;
    char *start = at(c->kernel, block->group * c->kernel_group + first, c->kernels->item);
    char *end = at(start, panel.columns, c->kernels->item);
    /* A line that begins before the panel is in the cache since the panel before it was read. */
    const int64_t into_line = (int64_t)((uintptr_t)start % CACHE_LINE);
    start += last || into_line == 0 ? -into_line : CACHE_LINE - into_line;
    return (struct lines){start, ceil_div(end - start, CACHE_LINE), is_pair(&panel) ? 2 : 1};
}

/* Runs of a pass that meet x in some output row, for all output rows of a block. */
static int64_t runs_of(const struct job *job, const struct block *block, const struct pass *pass)
{
    const int64_t runs_in_row = job->merged ? 1 : job->c.taps[1], end_run = pass->first + pass->count;
    int64_t runs = 0;
    for (int64_t i = block->row; i < block->row + block->rows; i++) {
        int64_t first = 0, end = job->c.taps[0];
        if (job->clip) {
            valid_taps(&job->c, 0, i, &first, &end);
        }
        runs += max64(min64(end * runs_in_row, end_run) - max64(first * runs_in_row, pass->first), 0);
    }
    return runs;
}

/* Tiles in a row of outputs of a block, in all panels. */
static int64_t tiles_of_row(const struct job *job, const struct block *block)
{
    int64_t tiles = 0;
    for (int64_t p = block->panel; p < block->panel + block->panels; p++) {
        const struct panel panel = job_panel(job, p);
        tiles += ceil_div(block->cols, tallest(job->c.kernels, &panel));
    }
    return tiles;
}

/* What pass i + 1 reads of the kernel: rows one after the other. */
static struct stretch next_pass(const struct job *job, const struct block *block, int64_t i)
{
    const struct correlation *c = &job->c;
    if (i + 1 == pass_count(job)) {
        return (struct stretch){0};
    }
    const struct pass now = pass_at(job, i), next = pass_at(job, i + 1);
    const int64_t steps = tiles_of_row(job, block) * block->images * runs_of(job, block, &now) * (now.end - now.begin);
    const int64_t row = c->k * (int64_t)c->kernels->item, bytes = next.count * (next.end - next.begin) * row;
    const char *first = at(c->kernel, (next.first * job->run_length + next.begin) * c->k, c->kernels->item);
    return (struct stretch){first, bytes, min64(ceil_div(bytes, max64(steps, 1)), CACHE_LINE)};
}

/* stream: room for a panel of a pass. */
static void run_block(struct job *job, struct block *block, void *stream)
{
    const struct correlation *c = &job->c;
    const int64_t passes = pass_count(job), end = block->panel + block->panels;
    struct sweep sweep; /* whose segments are many: not all zero */
    sweep.stretch = &block->stretch;
    for (int64_t i = 0; i < passes; i++) {
        const struct pass pass = pass_at(job, i);
        sweep.pass = &pass;
        sweep.first = i == 0;
        sweep.last = i == passes - 1;
        if (job->in_order) {
            block->stretch = next_pass(job, block, i);
        }
        for (int64_t p = block->panel; p < end; p++) {
            _Alignas(CACHE_LINE) char buffer[BIAS_BYTES];
            const struct panel panel = job_panel(job, p);
            const void *bias = panel_bias(job, block, &panel, buffer);
            const void *b = panel_of_pass(job, block->group, &panel, &pass, stream);
            sweep.panel = &panel;
            sweep.next = next_panel(job, block, i, p);
            run_panel(job, block, b, bias, &sweep);
        }
    }
    const struct panel left = job_panel(job, block->panel), right = job_panel(job, end - 1);
    if (job->unseen && !is_finite(job, block, left.first, right.first + right.columns)) {
        atomic_store_explicit(&job->finite, false, memory_order_relaxed);
    }
    if (c->activation.kind != CHANCONV_IDENTITY) {
        activate(job, block, left.first, right.first + right.columns);
    }
}

static int64_t units_of(const struct job *job)
{
    return job->image_blocks * job->c.groups * job->row_blocks * job->col_blocks * job->panel_blocks;
}

/* Block i, but for its spans: panels fastest, then columns, rows, groups, images; of 1x1 kernels groups, then
 * columns and rows: these have the pixels of all groups in the cache. Small images would feel it if all of a block
 * were written. */
static void find_block(const struct job *job, int64_t i, struct block *block)
{
    const struct correlation *c = &job->c;
    const int64_t p = i % job->panel_blocks, spots = job->row_blocks * job->col_blocks, image = c->groups * spots;
    const int64_t unit = i / job->panel_blocks % image, spot = job->pointwise ? unit / c->groups : unit % spots;
    block->n = i / job->panel_blocks / image * job->images;
    block->images = min64(job->images, c->x.n - block->n);
    block->group = job->pointwise ? unit % c->groups : unit / spots;
    block->row = spot / job->col_blocks * job->rows;
    block->rows = min64(job->rows, c->oh - block->row);
    block->col = spot % job->col_blocks * job->cols;
    block->cols = min64(job->cols, c->ow - block->col);
    block->panel = job->panels * p / job->panel_blocks;
    block->panels = job->panels * (p + 1) / job->panel_blocks - block->panel;
}

/* The block that the lane of block i is likely to take next begins to read there. It is fetched ahead for few
 * columns, as they do so little with x that waiting for it takes a good part of the time; but only where x comes
 * from memory. From the third-level cache it comes by itself, and fetching it takes up to half as long again. */
static const char *ahead_of(const struct job *job, int64_t i)
{
    const struct correlation *c = &job->c;
    const int64_t next = i + job->threads * job->panel_blocks;
    if (!job->from_memory || next >= units_of(job)) {
        return NULL;
    }
    struct block block;
    find_block(job, next, &block);
    const int64_t column = c->column ? block.col * c->column : (block.col * c->stride[1] + c->origin[1]) * c->x.pixel;
    return at(c->x.data, block.n * c->x.image + block.group * c->x_group +
              (block.row * c->stride[0] + c->origin[0]) * c->x.row + column, c->x.item);
}

/* Of 1x1 kernels each group fetches its share of the pixels, with the channels of all groups, that come next. */
static void fetch_share(const struct job *job, int64_t i, int64_t group)
{
    const struct correlation *c = &job->c;
    const int64_t next = i + job->panel_blocks * c->groups;
    if (next >= units_of(job)) {
        return;
    }
    struct block block;
    find_block(job, next, &block);
    const int64_t first = block.cols * group / c->groups, end = block.cols * (group + 1) / c->groups;
    const char *x = at(c->x.data, block.n * c->x.image + (block.row * c->stride[0] + c->origin[0]) * c->x.row +
                       ((block.col + first) * c->stride[1] + c->origin[1]) * c->x.pixel, c->x.item);
    const int64_t bytes = ((end - first) * c->stride[1] * c->x.pixel) * (int64_t)c->x.item;
    for (int64_t r = 0; r < block.rows; r++) {
        const char *row = at(x, r * c->stride[0] * c->x.row, c->x.item);
        for (int64_t b = 0; b < bytes; b += CACHE_LINE) {
            fetch_line(row + b);
        }
    }
}

/* Steps of the tiles of a block, if all taps lie on x. */
static int64_t steps_of(const struct job *job, const struct block *block)
{
    return tiles_of_row(job, block) * block->images * block->rows * reduction(job);
}

static struct extent extent_of(const struct job *job, const struct block *block)
{
    return (struct extent){block->n, block->images, block_window(job, block->row, block->rows, block->col, block->cols)};
}

/* What the block that the lane is likely to take next reads after this one, if it copies that: a copy waits for the memory.
 * Tiles that read x in place have time enough for it, and asking for it gains nothing. */
static struct stretch look_ahead(const struct job *job, const struct block *block, int64_t i)
{
    const int64_t unit = i + job->threads * job->panel_blocks;
    if (!job->copy || job->streamed || job->dot || unit >= units_of(job)) {
        return (struct stretch){0};
    }
    struct block next;
    find_block(job, unit, &next);
    const struct extent now = extent_of(job, block), then = extent_of(job, &next);
    return stretch_after(&job->c.x, &now, &then, steps_of(job, block));
}

static void run_unit(void *data, int lane, int64_t i)
{
    struct job *job = data;
    struct block block;
    find_block(job, i, &block);
    struct image x = job->c.x;
    x.data = at(x.data, block.group * job->c.x_group, x.item);
    void *scratch = at(job->lanes, lane * lane_elements(job), x.item);
    take_spans(job, &x, &block, scratch);
    block.ahead = ahead_of(job, i);
    block.stretch = look_ahead(job, &block, i);
    if (job->pointwise && block.panel == 0) {
        fetch_share(job, i, block.group);
    }
    run_block(job, &block, at(scratch, job->images * job->band_elements, x.item));
}

/* ---- The whole ---------------------------------------------------------------------------------------------------------- */

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
    if (prefers_patches(c)) {
        return correlate_patches(context, c);
    }
    if (prefers_dense(c)) {
        return correlate_dense(context, c);
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

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The gradient of the kernel for few kernels: with kernels across the vector most lanes would be empty. Here they are
 * the rows of the register tile, and what an output reads, all taps and channels of it, lies across the vector:
 *
 *     turned[k][tap, c] = sum over pixels of grad_y[pixel][k] * x[pixel + tap][c]
 *
 * grad_y is read in place. So is x, for a 1x1 kernel whose channels are whole vectors; else patches of some outputs are
 * gathered in the first-level cache, with their padding: no tap is left out. They come from a copy of some rows of x,
 * as whole vectors are read.
 *
 * The pixels are split by shape alone into sums that are added up in order.
 */
#include <string.h>

#include "gemm.h"

/* Outputs of a row, and rows, that are taken at once; bytes of their patches; outputs of a block, whose window of x is
 * copied; sums over splits of the blocks. */
enum { OUTPUTS_MAX = 512, LINES_MAX = 32, PATCH_BYTES = 24 * 1024, PIXELS_MAX = 1024, SPLITS_MAX = 8 };

/* The most that a result may have, of which each split has one. */
enum { SUMS_BYTES = 64 * 1024 };

struct narrow_gradient {
    const struct geometry *g;
    const struct kernels *kernels;
    struct image x;
    const void *grad_y;
    bool in_place;              /* patches are read where they lie */
    bool merged;                /* a row of taps is one run of x */
    int64_t terms, width;       /* values of a patch; as many, in whole vectors */
    int64_t outputs, lines;     /* of a row that are taken at once; rows, if these are whole ones */
    int64_t rows, row_blocks;   /* of a block */
    int64_t splits;
    int64_t row_tiles, col_tiles; /* register tiles of the sums */
    int64_t patch_elements, band_elements; /* of each lane */
    void *sums, *scratch;
};

/* ---- Choice ------------------------------------------------------------------------------------------------------ */

static int64_t terms_of(const struct geometry *g) { return g->kh * g->kw * g->c; }

static bool reads_in_place(const struct geometry *g, const struct kernels *kernels)
{
    return g->kh == 1 && g->kw == 1 && g->c % kernels->vl == 0 && !g->pad[0][0] && !g->pad[0][1] && !g->pad[1][0] &&
           !g->pad[1][1];
}

/* Costs in multiply-adds on vectors, for an output. Gathering takes about as long as four for each vector of a run; a
 * tile one vector wide waits for loads. */
bool prefers_narrow_gradient(const struct geometry *g)
{
    const struct kernels *kernels = kernels_for(g->dtype);
    const int64_t terms = terms_of(g), vl = kernels->vl, run = g->dilation[1] == 1 ? g->kw * g->c : g->c;
    const int64_t width = ceil_div(terms, vl) * vl, item = (int64_t)g->item;
    if (g->groups != 1 || width * item > PATCH_BYTES / 4 || g->k * width * item > SUMS_BYTES) {
        return false;
    }
    const double gathering = reads_in_place(g, kernels) ? 0 : 4.0 * (double)(terms / run * ceil_div(run, vl));
    const double turned = (width > vl ? 1.1 : 1.45) * (double)(g->k * (width / vl)) + gathering;
    return turned < kernel_gradient_cost(g);
}

/* ---- The plan ---------------------------------------------------------------------------------------------------- */

static struct window window_of(const struct geometry *g, int64_t row, int64_t rows)
{
    const int64_t top = row * g->stride[0] - g->pad[0][0], left = -g->pad[1][0];
    return (struct window){
        top, top + (rows - 1) * g->stride[0] + (g->kh - 1) * g->dilation[0] + 1,
        left, left + (g->ow - 1) * g->stride[1] + (g->kw - 1) * g->dilation[1] + 1,
    };
}

/* Tiles with a row for every kernel, else those with the fewest loads. */
static void plan_tiles(struct narrow_gradient *p)
{
    const struct kernels *kernels = p->kernels;
    const int64_t vectors = p->width / kernels->vl;
    int64_t widest = kernels->nv_max;
    while (widest > min64(kernels->nv_max, 3) && kernels->mr_max[widest] < p->g->k) {
        widest--;
    }
    p->col_tiles = ceil_div(vectors, widest);
    p->row_tiles = ceil_div(p->g->k, kernels->mr_max[ceil_div(vectors, p->col_tiles)]);
}

/* Outputs of a block: of narrow vectors more tiles go over it, so that it should be nearer. */
static int64_t block_pixels(const struct geometry *g, const struct kernels *kernels)
{
    return PIXELS_MAX * kernels->vl * (int64_t)g->item / CACHE_LINE;
}

static struct narrow_gradient plan(const struct geometry *g)
{
    const struct kernels *kernels = kernels_for(g->dtype);
    struct narrow_gradient p = {
        .g = g, .kernels = kernels, .in_place = reads_in_place(g, kernels), .terms = terms_of(g),
        .x = {.n = g->n, .h = g->h, .w = g->w, .c = g->c, .pixel = g->x_pixel, .row = g->x_row, .image = g->x_image,
              .mode = g->mode, .item = g->item},
        .rows = min64(max64(block_pixels(g, kernels) / g->ow, 1), g->oh),
    };
    const struct window block = window_of(g, 0, p.rows);
    p.merged = g->kw == 1 || g->dilation[1] == 1;
    p.width = ceil_div(p.terms, kernels->vl) * kernels->vl;
    p.outputs = min64(p.in_place ? OUTPUTS_MAX : max64(PATCH_BYTES / (p.width * (int64_t)g->item), 1), g->ow);
    const int64_t lines = p.in_place ? LINES_MAX : PATCH_BYTES / (p.width * g->ow * (int64_t)g->item);
    p.lines = p.outputs < g->ow ? 1 : min64(max64(lines, 1), min64(p.rows, LINES_MAX));
    plan_tiles(&p);
    p.row_blocks = ceil_div(g->oh, p.rows);
    p.splits = min64(g->n * p.row_blocks, SPLITS_MAX);
    p.patch_elements = p.in_place ? 0 : p.lines * p.outputs * p.width + kernels->vl;
    p.band_elements = p.in_place ? 0 : band_elements(&p.x, &block) + kernels->vl;
    return p;
}

static int64_t sums_elements(const struct narrow_gradient *p) { return p->g->k * p->width; }

static int64_t plan_bytes(const struct narrow_gradient *p, int threads)
{
    return (p->splits * sums_elements(p) + threads * (p->patch_elements + p->band_elements)) * (int64_t)p->g->item;
}

int64_t narrow_gradient_bytes(const struct geometry *g, int threads)
{
    const struct narrow_gradient p = plan(g);
    return plan_bytes(&p, threads);
}

/* ---- Blocks ------------------------------------------------------------------------------------------------------ */

/* The patches of `outputs` neighbouring outputs; x: the first tap of the first. */
static void gather(const struct narrow_gradient *p, const struct band *band, const char *x, int64_t outputs, void *dst)
{
    const struct geometry *g = p->g;
    const struct patches patches = {
        .pixels = outputs, .rows = g->kh, .runs = p->merged ? 1 : g->kw, .length = p->merged ? g->kw * g->c : g->c,
        .src = x, .pixel = g->stride[1] * band->pixel, .row = g->dilation[0] * band->row,
        .run = g->dilation[1] * band->pixel, .dst = dst, .width = p->width,
    };
    p->kernels->gather(&patches);
}

/* Adds what `outputs` outputs of each of some rows give; y: their grad_y; line: from one row of patches to the next. */
static void run_tiles(const struct narrow_gradient *p, const void *y, int64_t lines, int64_t outputs,
                      const void *patches, int64_t line, int64_t patch, void *sums, struct stretch *ahead)
{
    const struct geometry *g = p->g;
    const int64_t vl = p->kernels->vl, vectors = p->width / vl;
    struct segment segment[LINES_MAX];
    for (int64_t i = 0; i < lines; i++) {
        segment[i] = (struct segment){i * g->y_row, i * line};
    }
    struct tile tile = {
        .segments = lines, .segment = segment, .length = outputs, .a_row = 1, .a_col = g->y_pixel,
        .b_row = patch, .c_row = p->width, .accumulate = true,
    };
    for (int64_t i = 0; i < p->col_tiles * p->row_tiles; i++) {
        const int64_t t = i / p->row_tiles, m = i % p->row_tiles;
        const int64_t first = vectors * t / p->col_tiles, nv = vectors * (t + 1) / p->col_tiles - first;
        const int64_t k = g->k * m / p->row_tiles, mr = g->k * (m + 1) / p->row_tiles - k;
        tile.a = at(y, k, g->item);
        tile.b = at(patches, first * vl, g->item);
        tile.c = at(sums, k * p->width + first * vl, g->item);
        tile.columns = nv * vl;
        ask_for(ahead, &tile);
        p->kernels->tile[nv][mr](&tile);
    }
}

static void run_lines(const struct narrow_gradient *p, const struct band *band, const char *x, const char *y,
                      int64_t lines, void *patches, void *sums, struct stretch *ahead)
{
    const struct geometry *g = p->g;
    const int64_t row = g->stride[0] * band->row;
    for (int64_t col = 0; col < g->ow; col += p->outputs) {
        const int64_t outputs = min64(p->outputs, g->ow - col);
        const char *first = at(x, col * g->stride[1] * band->pixel, g->item);
        for (int64_t i = 0; i < lines && !p->in_place; i++) {
            gather(p, band, at(first, i * row, g->item), outputs, at(patches, i * outputs * p->width, g->item));
        }
        run_tiles(p, at(y, col * g->y_pixel, g->item), lines, outputs, p->in_place ? first : patches,
                  p->in_place ? row : outputs * p->width, p->in_place ? g->stride[1] * band->pixel : p->width, sums, ahead);
    }
}

static struct extent extent_of(const struct narrow_gradient *p, int64_t block)
{
    const int64_t row = block % p->row_blocks * p->rows;
    return (struct extent){block / p->row_blocks, 1, window_of(p->g, row, min64(p->rows, p->g->oh - row))};
}

/* What the block after this one reads that this one does not. */
static struct stretch next_block(const struct narrow_gradient *p, int64_t block)
{
    if (block + 1 == p->g->n * p->row_blocks) {
        return (struct stretch){0};
    }
    const struct extent now = extent_of(p, block), next = extent_of(p, block + 1);
    return stretch_after(&p->x, &now, &next, p->row_tiles * p->col_tiles * p->rows * p->g->ow);
}

/* Unit i: split i of the blocks. */
static void run_split(void *data, int lane, int64_t i)
{
    const struct narrow_gradient *p = data;
    const struct geometry *g = p->g;
    const int64_t blocks = g->n * p->row_blocks, bytes = sums_elements(p) * (int64_t)g->item;
    char *sums = at(p->sums, i * sums_elements(p), g->item);
    char *patches = at(p->scratch, lane * (p->patch_elements + p->band_elements), g->item);
    char *copy = at(patches, p->patch_elements, g->item);
    memset(sums, 0, (size_t)bytes);
    memset(patches, 0, (size_t)(p->patch_elements + p->band_elements) * g->item);
    for (int64_t block = blocks * i / p->splits; block < blocks * (i + 1) / p->splits; block++) {
        const int64_t n = block / p->row_blocks, row = block % p->row_blocks * p->rows;
        const int64_t end = min64(row + p->rows, g->oh);
        const struct window window = window_of(g, row, end - row);
        const struct band band = take_band(&p->x, n, &window, !p->in_place, copy);
        struct stretch ahead = next_block(p, block);
        for (int64_t oh = row; oh < end; oh += p->lines) {
            run_lines(p, &band, at(band.base, (oh - row) * g->stride[0] * band.row, g->item),
                      at(p->grad_y, n * g->y_image + oh * g->y_row, g->item), min64(p->lines, end - oh), patches, sums,
                      &ahead);
        }
    }
}

chanconv_status narrow_gradient(chanconv_context *context, const struct geometry *g, const void *grad_y, const void *x,
                                void *grad_kernel)
{
    const double flops = 2.0 * (double)(g->n * g->oh * g->ow) * (double)(terms_of(g) * g->k);
    const int threads = worthwhile_threads(context, flops);
    struct narrow_gradient p = plan(g);
    const size_t bytes = (size_t)plan_bytes(&p, threads);
    p.x.data = x;
    p.grad_y = grad_y;
    p.sums = take_scratch(context, bytes);
    if (!p.sums) {
        return CHANCONV_NO_MEMORY;
    }
    p.scratch = at(p.sums, p.splits * sums_elements(&p), g->item);
    run_units(context, threads, p.splits, run_split, &p);
    for (int64_t i = 1; i < p.splits; i++) {
        p.kernels->add(sums_elements(&p), at(p.sums, i * sums_elements(&p), g->item), p.sums);
    }
    p.kernels->put(grad_kernel, g->k, p.sums, p.width, p.terms, g->k, NULL);
    release_scratch(context, p.sums, bytes);
    return CHANCONV_OK;
}

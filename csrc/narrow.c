/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Correlations with few output channels, such as the gradient of x of a first layer: with channels across the vector most
 * lanes would be empty. Here pixels of an output row lie across the vector, and the rows of a register tile are the output
 * channels:
 *
 *     y[j][k] = sum over taps and c of kernel(tap, c, k) * x[c][j + tap]
 *
 * A is the kernel, read in place. B is a block of padded rows of x turned over, [c][row * width + column]: as a tap is a
 * fixed distance in it, whatever the row, outputs are taken along all rows at once, and those that fall between the end of
 * a row and the start of the next are thrown away. So vectors are full on small images too. The block is turned over once
 * for all the correlations that read it (the residues of the gradient of x, see gemm.c); the tile is turned back as it is
 * stored. Strides of the output are left to correlation.c.
 */
#include <math.h>
#include <string.h>

#include "gemm.h"

enum { TAPS_MAX = 256 };

struct narrow {
    const struct correlation *c;  /* they differ in taps, origin, kernel, outputs and y alone */
    int64_t count;
    int64_t oh, ow;               /* the most that any of them has */
    int64_t origin[2], reach[2];  /* the first row and column of x that output 0 of any reads, and how many there are */
    int64_t rows, row_blocks;     /* outputs of a block, and blocks of an image */
    int64_t width, pitch;         /* columns of a padded row; elements from one c to the next in B */
    int64_t band_elements, block_elements;
    bool copy;                    /* padded rows are copied to a band before they are turned over */
    void *scratch;                /* of each lane: a band, and B */
};

/* ---- Choice -------------------------------------------------------------------------------------------------------------- */

/* Costs in multiply-adds on vectors, for an output pixel of all the correlations. Turning over an element of x takes about
 * as long as half of one, and of y; a plane is copied as it lies. */
double narrow_cost(const struct correlation *c, int64_t count)
{
    if (c->groups != 1 || c->k > c->kernels->mr_max[1] || c->stride[0] != 1 || c->stride[1] != 1) {
        return INFINITY;
    }
    double reduction = 0, used = 1;
    for (int64_t i = 0; i < count; i++) {
        if (c[i].taps[0] * c[i].taps[1] > TAPS_MAX) {
            return INFINITY;
        }
        reduction += (double)(c[i].taps[0] * c[i].taps[1] * c[i].x.c);
        used = fmin(used, (double)c[i].ow / (double)(c[i].ow + (c[i].taps[1] - 1) * c[i].dilation[1]));
    }
    const double turning = (c->x.c == 1 ? 0.2 : 0.5) * (double)c->x.c + 0.4 * (double)(c->k * count);
    return 1.2 * (reduction * (double)c->k / (double)c->kernels->vl + turning) / used;
}

bool prefers_narrow(const struct correlation *c, int64_t count)
{
    double others = 0;
    for (int64_t i = 0; i < count; i++) {
        others += correlation_cost(&c[i]);
    }
    return narrow_cost(c, count) < others;
}

/* ---- The plan -------------------------------------------------------------------------------------------------------------- */

static int64_t rows_of_x(const struct narrow *p, int64_t outputs) { return outputs - 1 + p->reach[0]; }

static struct window window_of(const struct narrow *p, int64_t row, int64_t rows)
{
    const int64_t top = row + p->origin[0], left = p->origin[1];
    return (struct window){top, top + rows_of_x(p, rows), left, left + p->width};
}

/* What the correlations read and write together. */
static void unite(struct narrow *p)
{
    int64_t end[2] = {INT64_MIN, INT64_MIN};
    p->origin[0] = p->origin[1] = INT64_MAX;
    for (int64_t i = 0; i < p->count; i++) {
        const struct correlation *c = &p->c[i];
        p->oh = max64(p->oh, c->oh);
        p->ow = max64(p->ow, c->ow);
        for (int axis = 0; axis < 2; axis++) {
            p->origin[axis] = min64(p->origin[axis], c->origin[axis]);
            end[axis] = max64(end[axis], c->origin[axis] + (c->taps[axis] - 1) * c->dilation[axis] + 1);
        }
    }
    p->reach[0] = end[0] - p->origin[0];
    p->reach[1] = end[1] - p->origin[1];
}

/* Elements of a row of B for so many outputs: room for the last vector to read on, and an odd number of cache lines, so that
 * the rows do not fall on the same few lines of a cache. */
static int64_t pitch_of(const struct narrow *p, int64_t rows)
{
    const int64_t line = CACHE_LINE / (int64_t)p->c->x.item;
    const int64_t lines = ceil_div(rows_of_x(p, rows) * p->width + p->c->kernels->vl, line);
    return (lines | 1) * line;
}

static struct narrow plan(const struct correlation *c, int64_t count, int threads)
{
    struct narrow p = {.c = c, .count = count, .rows = 1};
    unite(&p);
    p.width = p.ow - 1 + p.reach[1];
    while (p.rows < p.oh && pitch_of(&p, p.rows + 1) * c->x.c * (int64_t)c->x.item <= BLOCK_BYTES) {
        p.rows++;
    }
    if (threads > 1) {
        p.rows = min64(p.rows, max64(p.oh * c->x.n / (4 * threads), 1));
    }
    p.row_blocks = ceil_div(p.oh, p.rows);
    p.rows = ceil_div(p.oh, p.row_blocks);
    p.pitch = pitch_of(&p, p.rows);
    const struct window first = window_of(&p, 0, p.rows), all = window_of(&p, 0, p.oh);
    p.copy = !inside(&c->x, &all) || p.width * c->x.pixel != c->x.row || c->x.pixel != c->x.c;
    p.band_elements = p.copy ? band_elements(&c->x, &first) : 0;
    p.block_elements = p.pitch * c->x.c;
    return p;
}

static int64_t plan_bytes(const struct narrow *p, int threads)
{
    return threads * (p->band_elements + p->block_elements) * (int64_t)p->c->x.item;
}

int64_t narrow_bytes(const struct correlation *c, int64_t count, int threads)
{
    const struct narrow p = plan(c, count, threads);
    return plan_bytes(&p, threads);
}

/* ---- Blocks ------------------------------------------------------------------------------------------------------------------ */

/* The taps of one correlation as segments, from A's first tap and from B's first output. On a plane a row of taps is one
 * segment, along which B moves by columns. Returns how many there are. */
static int64_t list_segments(const struct narrow *p, const struct correlation *c, bool plane,
                             struct segment segment[TAPS_MAX])
{
    const int64_t steps = plane ? 1 : c->taps[1];
    for (int64_t i = 0; i < c->taps[0] * steps; i++) {
        const int64_t row = i / steps * c->dilation[0] + c->origin[0] - p->origin[0];
        const int64_t col = i % steps * c->dilation[1] + c->origin[1] - p->origin[1];
        segment[i].a = i / steps * c->kernel_tap[0] + i % steps * c->kernel_tap[1];
        segment[i].b = row * p->width + col;
    }
    return c->taps[0] * steps;
}

/* The widest tile that has a row for each output channel. */
static int64_t widest(const struct kernels *kernels, int64_t k)
{
    int64_t vectors = kernels->nv_max;
    while (kernels->mr_max[vectors] < k) {
        vectors--;
    }
    return vectors;
}

/* Stores outputs first .. end - 1 of the block, counted along padded rows: those within an image's row. */
static void put_outputs(const struct narrow *p, const struct correlation *c, char *y, int64_t first, int64_t end,
                        const struct tile *tile)
{
    for (int64_t row = first / p->width; row * p->width < end; row++) {
        const int64_t from = max64(first, row * p->width), to = min64(end, row * p->width + c->ow);
        if (from < to) {
            const int64_t col = from - row * p->width;
            c->kernels->put(at(y, row * c->y_row + col * c->y_pixel, c->x.item), c->y_pixel,
                            at(tile->c, from - first, c->x.item), tile->c_row, to - from, c->k, c->bias);
        }
    }
}

static void run_tiles(const struct narrow *p, const struct correlation *c, int64_t rows, const void *b, char *y)
{
    const struct kernels *kernels = c->kernels;
    const bool plane = c->x.c == 1;
    const int64_t outputs = (rows - 1) * p->width + c->ow, vectors = ceil_div(outputs, kernels->vl);
    struct segment segment[TAPS_MAX];
    _Alignas(CACHE_LINE) char turned[MR_MAX * NV_MAX * 64];
    struct tile tile = {
        .segments = list_segments(p, c, plane, segment), .segment = segment,
        .length = plane ? c->taps[1] : c->x.c, .a = c->kernel, .a_row = c->kernel_k,
        .a_col = plane ? c->kernel_tap[1] : c->kernel_c, .b_row = plane ? c->dilation[1] : p->pitch, .c = turned,
    };
    for (int64_t done = 0, nv; done < vectors; done += nv) {
        nv = min64(widest(kernels, c->k), vectors - done);
        tile.b = at(b, done * kernels->vl, c->x.item);
        tile.c_row = tile.columns = nv * kernels->vl;
        kernels->tile[nv][c->k](&tile);
        put_outputs(p, c, y, done * kernels->vl, min64((done + nv) * kernels->vl, outputs), &tile);
    }
}

static void run_correlation(const struct narrow *p, const struct correlation *c, int64_t n, int64_t row, int64_t rows,
                            const void *b)
{
    const int64_t within = min64(rows, c->oh - row);
    char *y = at(c->y, n * c->y_image + row * c->y_row, c->x.item);
    if (within > 0) {
        run_tiles(p, c, within, b, y);
    }
    for (int64_t i = 0; i < within && c->activation.kind != CHANCONV_IDENTITY; i++) {
        activate_row(c->kernels, &c->activation, at(y, i * c->y_row, c->x.item), c->ow, c->k, c->y_pixel);
    }
}

/* Turns over `pixels` pixels of a band; zeros follow, as the last vectors read on. */
static void turn(const struct narrow *p, const struct band *band, int64_t pixels, void *b)
{
    const struct image *x = &p->c->x;
    p->c->kernels->turn(b, p->pitch, band->base, x->c, x->c, pixels);
    for (int64_t c = 0; c < x->c; c++) {
        memset(at(b, c * p->pitch + pixels, x->item), 0, (size_t)(p->pitch - pixels) * x->item);
    }
}

static void run_unit(void *data, int lane, int64_t i)
{
    const struct narrow *p = data;
    const struct image *x = &p->c->x;
    const int64_t n = i / p->row_blocks, row = i % p->row_blocks * p->rows, rows = min64(p->rows, p->oh - row);
    char *scratch = at(p->scratch, lane * (p->band_elements + p->block_elements), x->item);
    void *b = at(scratch, p->band_elements, x->item);
    const struct window window = window_of(p, row, rows);
    const struct band band = take_band(x, n, &window, p->copy, scratch);
    turn(p, &band, rows_of_x(p, rows) * p->width, b);
    for (int64_t j = 0; j < p->count; j++) {
        run_correlation(p, &p->c[j], n, row, rows, b);
    }
}

chanconv_status narrow_correlate(chanconv_context *context, const struct correlation *c, int64_t count)
{
    double flops = 0;
    for (int64_t i = 0; i < count; i++) {
        flops += correlation_flops(&c[i]);
    }
    const int threads = worthwhile_threads(context, flops);
    struct narrow p = plan(c, count, threads);
    const size_t bytes = (size_t)plan_bytes(&p, threads);
    p.scratch = take_scratch(context, bytes);
    if (!p.scratch) {
        return CHANCONV_NO_MEMORY;
    }
    run_units(context, threads, c->x.n * p.row_blocks, run_unit, &p);
    release_scratch(context, p.scratch, bytes);
    return CHANCONV_OK;
}

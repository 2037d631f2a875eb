/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Correlations with few output channels, such as the gradient of x of a first layer: with channels across the vector most
 * lanes would be empty. Here pixels of an output row lie across the vector, and the rows of a register tile are the output
 * channels:
 *
 *     y[j][k] = sum over taps and c of kernel(tap, c, k) * x[c][j + tap]
 *
 * A is the kernel, read in place. B is a block of x turned over, [row][residue][c][column / stride]: columns are sorted by
 * their residue of the stride, so that neighbours in a vector are neighbours in memory. It is turned over once for all the
 * correlations that read it (the residues of the gradient of x, see gemm.c). The tile is turned back as it is stored.
 */
#include "gemm.h"

enum { TAPS_MAX = 256 };

struct narrow {
    const struct correlation *c;  /* they differ in taps, origin, kernel, outputs and y alone */
    int64_t count;
    int64_t oh, ow;               /* the most that any of them has */
    int64_t origin[2], reach[2];  /* the first row and column of x that output 0 of any reads, and how many there are */
    int64_t rows, row_blocks;     /* outputs of a block, and blocks of an image */
    int64_t phase;                /* columns of a residue, padded for the last vector */
    int64_t band_elements, block_elements;
    void *scratch;                /* of each lane: a band, and B */
};

/* ---- Choice -------------------------------------------------------------------------------------------------------------- */

/* Costs in multiply-adds on vectors, for an output pixel of all the correlations. Turning over an element of x takes about
 * as long as 1.5 of them; a plane is copied as it lies. A tile one vector wide runs at about 3/4 of the others' speed. */
bool prefers_narrow(const struct correlation *c, int64_t count)
{
    const int64_t vl = c->kernels->vl;
    const double lanes = (double)c->ow / (double)(ceil_div(max64(c->ow, 1), vl) * vl); /* in use, of all */
    double reduction = 0;
    for (int64_t i = 0; i < count; i++) {
        if (c[i].taps[0] * c[i].taps[1] > TAPS_MAX) {
            return false;
        }
        reduction += (double)(c[i].taps[0] * c[i].taps[1] * c[i].x.c);
    }
    const double turning = (c->x.c == 1 ? 0.2 : 1.5) * (double)c->x.c * (double)c->stride[0] * (double)c->stride[1];
    const double narrow = 1.2 * (reduction * (double)c->k / ((double)vl * lanes) + turning);
    return c->groups == 1 && c->k <= c->kernels->mr_max[1] && lanes > 0 && narrow < 1.3 * reduction;
}

/* ---- The plan -------------------------------------------------------------------------------------------------------------- */

static int64_t rows_of_x(const struct narrow *p, int64_t outputs)
{
    return (outputs - 1) * p->c->stride[0] + p->reach[0];
}

static int64_t columns_of_x(const struct narrow *p) { return (p->ow - 1) * p->c->stride[1] + p->reach[1]; }

static struct window window_of(const struct narrow *p, int64_t row, int64_t rows)
{
    const int64_t top = row * p->c->stride[0] + p->origin[0], left = p->origin[1];
    return (struct window){top, top + rows_of_x(p, rows), left, left + columns_of_x(p)};
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

static struct narrow plan(const struct correlation *c, int64_t count, int threads)
{
    struct narrow p = {.c = c, .count = count, .rows = 1};
    unite(&p);
    p.phase = ceil_div(columns_of_x(&p), c->stride[1]) + c->kernels->vl;
    const int64_t row_elements = c->x.c * p.phase * c->stride[1];
    while (p.rows < p.oh && rows_of_x(&p, p.rows + 1) * row_elements * (int64_t)c->x.item <= BLOCK_BYTES) {
        p.rows++;
    }
    if (threads > 1) {
        p.rows = min64(p.rows, max64(p.oh * c->x.n / (4 * threads), 1));
    }
    p.row_blocks = ceil_div(p.oh, p.rows);
    p.rows = ceil_div(p.oh, p.row_blocks);
    const struct window first = window_of(&p, 0, p.rows), all = window_of(&p, 0, p.oh);
    p.band_elements = inside(&c->x, &all) ? 0 : band_elements(&c->x, &first);
    p.block_elements = rows_of_x(&p, p.rows) * row_elements;
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

/* Turns a block of x over into B. */
static void turn_over(const struct narrow *p, const struct band *band, int64_t rows, void *b)
{
    const struct image *x = &p->c->x;
    const int64_t stride = p->c->stride[1], columns = columns_of_x(p);
    for (int64_t i = 0; i < rows * stride; i++) {
        const int64_t row = i / stride, residue = i % stride;
        const int64_t count = residue < columns ? (columns - 1 - residue) / stride + 1 : 0;
        p->c->kernels->pack(at(b, i * x->c * p->phase, x->item), p->phase,
                            at(band->base, row * band->row + residue * band->pixel, x->item), x->c, count, 1,
                            stride * band->pixel);
    }
}

/* The taps of one correlation as segments, from A's first tap and from B's row of the first output. On a plane a row of
 * taps is one segment, along which B moves by a column a step. Returns how many there are. */
static int64_t list_segments(const struct narrow *p, const struct correlation *c, bool plane,
                             struct segment segment[TAPS_MAX])
{
    const int64_t stride = c->stride[1], steps = plane ? 1 : c->taps[1];
    for (int64_t i = 0; i < c->taps[0] * steps; i++) {
        const int64_t row = i / steps * c->dilation[0] + c->origin[0] - p->origin[0];
        const int64_t col = i % steps * c->dilation[1] + c->origin[1] - p->origin[1];
        segment[i].a = i / steps * c->kernel_tap[0] + i % steps * c->kernel_tap[1];
        segment[i].b = (row * stride + col % stride) * c->x.c * p->phase + col / stride;
    }
    return c->taps[0] * steps;
}

/* One output row of one correlation; tile: set up for it but for what differs along the row. */
static void run_row(const struct correlation *c, struct tile *tile, const char *b, char *y)
{
    const struct kernels *kernels = c->kernels;
    const int64_t vectors = ceil_div(c->ow, kernels->vl);
    int widest = kernels->nv_max;
    while (kernels->mr_max[widest] < c->k) {
        widest--;
    }
    int64_t done = 0;
    while (done < vectors) {
        const int64_t nv = min64(widest, vectors - done), col = done * kernels->vl;
        tile->b = at(b, col, kernels->item);
        tile->c_row = tile->columns = nv * kernels->vl;
        kernels->tile[nv][c->k](tile);
        kernels->put(at(y, col * c->y_pixel, kernels->item), c->y_pixel, tile->c, tile->c_row,
                     min64(c->ow - col, nv * kernels->vl), c->k, c->bias);
        done += nv;
    }
}

static void run_correlation(const struct narrow *p, const struct correlation *c, int64_t n, int64_t row, int64_t rows,
                            const void *b)
{
    const bool plane = c->x.c == 1 && c->stride[1] == 1;
    struct segment segment[TAPS_MAX];
    _Alignas(CACHE_LINE) char turned[MR_MAX * NV_MAX * 64];
    struct tile tile = {
        .segments = list_segments(p, c, plane, segment), .segment = segment,
        .length = plane ? c->taps[1] : c->x.c, .a = c->kernel, .a_row = c->kernel_k,
        .a_col = plane ? c->kernel_tap[1] : c->kernel_c, .b_row = plane ? c->dilation[1] : p->phase, .c = turned,
    };
    for (int64_t i = row; i < min64(row + rows, c->oh); i++) {
        char *y = at(c->y, n * c->y_image + i * c->y_row, c->x.item);
        const int64_t b_row = (i - row) * c->stride[0] * c->stride[1] * c->x.c * p->phase;
        run_row(c, &tile, at(b, b_row, c->x.item), y);
        if (c->activation.kind != CHANCONV_IDENTITY) {
            activate_row(c->kernels, &c->activation, y, c->ow, c->k, c->y_pixel);
        }
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
    const struct band band = take_band(x, n, &window, p->band_elements > 0, scratch);
    turn_over(p, &band, rows_of_x(p, rows), b);
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

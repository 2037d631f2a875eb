/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Gradient of x of a depthwise convolution with a stride. gemm.c takes the residues of the stride one after the other, a
 * correlation for each; for a depthwise one, which is bound by memory, that is a pass over all of grad_x and grad_y for
 * every residue. Here a strip of neighbouring cells of x, of all residues, is computed at once: each value of grad_y is
 * loaded once for all the taps that spread it over a row of x, and x is written in order.
 *
 * Taps that fall outside of grad_y are no part of the sum, and none is computed: the kernel may have any values.
 */
#include "gemm.h"

/* Rows of x in a unit of work, at the least: more reuse the rows of grad_y and of the kernel. */
enum { ROWS_LEAST = 8 };

struct spread {
    const struct geometry *g;
    const struct arrays *arrays;
    const struct kernels *kernels;
    const struct strip_kernel *kernel;
    int64_t vectors;            /* of channels */
    int64_t strips, before;     /* of a row of x; columns of grad_y that a strip sees before that of its first cell */
    int64_t rows, row_blocks;   /* of x in a unit */
    bool past;                  /* x goes past the caches */
    bool ahead;                 /* the next row of grad_y is asked for before it is needed */
    int64_t row_step, row_back; /* from one row of taps that a row of x meets to the next; rows of grad_y back meanwhile */
    void *packed;               /* [vector][taps][lane] */
};

/* Strips begin at columns of the padded image that are multiples of the stride. */
static int64_t strips_of(const struct geometry *g, int64_t outputs)
{
    return ceil_div(g->w + g->pad[1][0] % g->stride[1], outputs);
}

static const struct strip_kernel *choose_spread(const struct geometry *g)
{
    const struct strip_kernel *best = NULL;
    int64_t least = INT64_MAX;
    for (const struct strip_kernel *k = kernels_for(g->dtype)->spreads; k->run; k++) {
        const int64_t cost = strips_of(g, k->outputs) * (k->outputs + 4);
        if (k->taps == g->kw && k->stride == g->stride[1] && g->dilation[1] == 1 && cost < least) {
            best = k;
            least = cost;
        }
    }
    return best;
}

bool can_spread(const struct geometry *g)
{
    const bool padded = g->pad[0][0] || g->pad[0][1] || g->pad[1][0] || g->pad[1][1];
    return g->kg == 1 && g->cg == 1 && (g->mode == CHANCONV_ZEROS || !padded) && choose_spread(g);
}

static int64_t bytes_of_images(const struct geometry *g)
{
    return g->n * (g->h * g->w + g->oh * g->ow) * g->c * (int64_t)g->item;
}

/* Whether x is better stored past the caches; an activation would read it again. */
static bool goes_past(const struct spread *s, const void *x)
{
    const struct geometry *g = s->g;
    const int64_t bytes_of_x = g->n * g->h * g->w * g->c * (int64_t)g->item;
    return s->kernels->stores_past && pays_to_pass(bytes_of_images(g), bytes_of_x) &&
           g->activation.kind == CHANCONV_IDENTITY &&
           lies_at_line(x, g->c | g->x_pixel | g->x_row | g->x_image, g->item);
}

static struct spread plan(const struct geometry *g, int threads)
{
    const int64_t divisor = gcd(g->stride[0], g->dilation[0]);
    struct spread s = {.g = g, .kernels = kernels_for(g->dtype), .kernel = choose_spread(g)};
    s.vectors = ceil_div(g->c, s.kernels->vl);
    s.strips = strips_of(g, s.kernel->outputs);
    s.before = (g->kw - 1) / g->stride[1];
    s.ahead = bytes_of_images(g) > FAR_BYTES;
    s.row_step = g->stride[0] / divisor;
    s.row_back = g->dilation[0] / divisor;
    s.row_blocks = max64(min64(ceil_div(4 * threads, max64(g->n, 1)), g->h / ROWS_LEAST), 1);
    s.rows = ceil_div(g->h, s.row_blocks);
    s.row_blocks = ceil_div(g->h, s.rows);
    return s;
}

static int64_t packed_elements(const struct spread *s) { return s->vectors * s->kernels->vl * s->g->kh * s->g->kw; }

/* The last vector ends with the last channel. */
static void pack_kernel(const struct spread *s)
{
    const struct geometry *g = s->g;
    const int64_t vl = s->kernels->vl, taps = g->kh * g->kw;
    for (int64_t v = 0; v < s->vectors; v++) {
        s->kernels->pack(at(s->packed, v * taps * vl, g->item), vl,
                         at(s->arrays->kernel, min64(v * vl, g->c - vl), g->item), taps, vl, g->c, 1);
    }
}

/* What the strips of row i of x have in common: the rows of taps that it meets grad_y through. x, their rows of grad_y,
 * is that of the first column. */
static struct strip strip_of_row(const struct spread *s, int64_t n, int64_t i)
{
    const struct geometry *g = s->g;
    const int64_t padded = i + g->pad[0][0], vl = s->kernels->vl;
    int64_t first = 0, end = g->kh;
    while (first < g->kh && (padded - first * g->dilation[0]) % g->stride[0] != 0) {
        first++;
    }
    while (first < g->kh && padded - first * g->dilation[0] > (g->oh - 1) * g->stride[0]) {
        first += s->row_step;
    }
    while (end > 0 && padded - (end - 1) * g->dilation[0] < 0) {
        end--;
    }
    const int64_t row = (padded - first * g->dilation[0]) / g->stride[0];
    const bool ahead = s->ahead && first == 0 && first < end && row + 1 < g->oh;
    return (struct strip){
        .vectors = s->vectors, .channels = g->c, .taps = g->kw, .width = g->ow, .stride = g->stride[1], .dilation = 1,
        .rows = first < end ? ceil_div(end - first, s->row_step) : 0,
        .x = first < end ? at(s->arrays->y, n * g->y_image + row * g->y_row, g->item) : s->arrays->y,
        .x_row = -s->row_back * g->y_row, .x_pixel = g->y_pixel, .ahead_rows = ahead,
        .ahead_dense = g->y_pixel == g->c, .past = s->past,
        .kernel = at(s->packed, min64(first, g->kh - 1) * g->kw * vl, g->item), .kernel_row = s->row_step * g->kw * vl,
        .kernel_vector = g->kh * g->kw * vl, .bias = s->arrays->bias, .y_pixel = g->x_pixel,
    };
}

static void run_row(const struct spread *s, int64_t n, int64_t i)
{
    const struct geometry *g = s->g;
    const struct strip row = strip_of_row(s, n, i);
    char *cells = at(s->arrays->out, n * g->x_image + i * g->x_row, g->item);
    const int64_t outputs = s->kernel->outputs, start = g->pad[1][0] / g->stride[1] * g->stride[1];
    for (int64_t done = 0; done < s->strips; done++) {
        const int64_t padded = start + done * outputs, cell = padded - g->pad[1][0];
        struct strip strip = row;
        strip.column = padded / g->stride[1] - s->before;
        strip.x = at(row.x, strip.column * row.x_pixel, g->item);
        strip.ahead = at(strip.x, g->y_row + s->before * row.x_pixel, g->item);
        strip.first = max64(-cell, 0);
        strip.end = min64(g->w - cell, outputs);
        strip.y = at(cells, cell * g->x_pixel, g->item);
        s->kernel->run(&strip);
    }
    if (g->activation.kind != CHANCONV_IDENTITY) {
        activate_row(s->kernels, &g->activation, cells, g->w, g->c, g->x_pixel);
    }
}

static void run_unit(void *data, int lane, int64_t i)
{
    const struct spread *s = data;
    const int64_t first = i % s->row_blocks * s->rows, end = min64(first + s->rows, s->g->h);
    (void)lane;
    for (int64_t row = first; row < end; row++) {
        run_row(s, i / s->row_blocks, row);
    }
    if (s->past) {
        finish_stores_past();
    }
}

chanconv_status spread_gradient(chanconv_context *context, const struct geometry *g, const struct arrays *arrays)
{
    const double flops = 2.0 * (double)(g->n * g->oh * g->ow) * (double)(g->kh * g->kw * g->k);
    const int threads = worthwhile_threads(context, flops);
    struct spread s = plan(g, threads);
    const size_t bytes = (size_t)spread_gradient_bytes(g);
    s.arrays = arrays;
    s.past = goes_past(&s, arrays->out);
    s.packed = take_scratch(context, bytes);
    if (!s.packed) {
        return CHANCONV_NO_MEMORY;
    }
    pack_kernel(&s);
    run_units(context, threads, g->n * s.row_blocks, run_unit, &s);
    release_scratch(context, s.packed, bytes);
    return CHANCONV_OK;
}

int64_t spread_gradient_bytes(const struct geometry *g)
{
    const struct spread s = plan(g, 1);
    return packed_elements(&s) * (int64_t)g->item;
}

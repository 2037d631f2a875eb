/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Convolution in groups of few channels, as many of x as of y: 2, 4, 8 ... up to a vector. As a product each group
 * would leave most lanes of a vector empty; here a vector of y has several groups, and a kernel computes a strip of
 * neighbouring outputs of a row for it (kernels/grouped.h). Forward and the gradient of x are correlations (gemm.c puts
 * them so).
 *
 * Zeros around x are not computed with; a kernel with a value that zeros would not cancel goes another way. The
 * gradient of the kernel leaves the padding out as well: where grad_y has a NaN or an infinity, one shows in the sums,
 * and the general algorithm computes them again.
 */
#include <string.h>

#include "gemm.h"

/* ---- Forward and gradient of x ----------------------------------------------------------------------------------- */

struct grouped {
    struct correlation c;
    const struct group_strip_kernel *kernel[2]; /* of the strips, and of the last one of a row */
    int64_t channels, vectors;  /* of all groups */
    int64_t chunks;             /* parts of the vectors */
    int64_t rows, row_blocks;   /* outputs of a block */
    bool clip;                  /* taps outside of x are left out */
    bool padded;                /* x is copied with its padding */
    bool by_rows;               /* x is taken row by row, not down its columns */
    bool ahead;                 /* and the next one is asked for */
    int64_t copy_elements;      /* of a lane: such a copy */
    void *packed, *bands;
};

/* Sums that a processor adds to at a time: the sums of a strip are long, and one of fewer outputs takes as long. */
enum { SUMS_AT_ONCE = 6 };

/* How special a kernel is: for neighbouring taps, for any. */
static int rank(const struct group_strip_kernel *kernel) { return kernel->stride > 0; }

static bool strip_fits(const struct group_strip_kernel *k, const struct correlation *c)
{
    const bool near = (c->dilation[1] == 1 && c->taps[1] <= GROUP_NEAR_MAX) || c->taps[1] == 1;
    return k->channels == c->k && (k->stride == 0 || (near && k->stride == c->stride[1]));
}

static void find_strips(const struct correlation *c, const struct group_strip_kernel *best[2])
{
    struct strip_options options = {.row = c->ow};
    const void *chosen[2];
    for (const struct group_strip_kernel *k = c->kernels->group_strips; k->run; k++) {
        if (strip_fits(k, c)) {
            const int64_t cost = strip_cost(k->outputs, SUMS_AT_ONCE);
            add_strip_option(&options, (struct strip_option){.kernel = k, .rank = rank(k), .outputs = k->outputs,
                                                             .cost = cost, .last_cost = cost});
        }
    }
    choose_strips(&options, chosen);
    best[0] = chosen[0];
    best[1] = chosen[1];
}

static int64_t reach(const struct correlation *c, int axis, int64_t outputs)
{
    return (outputs - 1) * c->stride[axis] + (c->taps[axis] - 1) * c->dilation[axis] + 1;
}

static struct window window_of(const struct correlation *c, int64_t row, int64_t rows)
{
    const int64_t top = row * c->stride[0] + c->origin[0], left = c->origin[1];
    return (struct window){top, top + reach(c, 0, rows), left, left + reach(c, 1, c->ow)};
}

/* The channels of all groups, as one image. */
static struct image all_channels(const struct correlation *c)
{
    struct image image = c->x;
    image.c = c->groups * c->x.c;
    return image;
}

/* Parts of the vectors. Where the last one overlaps the one before, one part has them both: two would write the same
 * elements. */
static int64_t chunks_of(const struct grouped *d)
{
    return max64(d->channels % d->c.kernels->vl ? d->vectors / 2 : d->vectors, 1);
}

/* Whether the images come from memory. */
static bool is_far(const struct grouped *d)
{
    const int64_t pixels = d->c.x.n * (d->c.x.h * d->c.x.w + d->c.oh * d->c.ow);
    return pixels * d->channels * (int64_t)d->c.x.item > FAR_BYTES;
}

/* What comes from memory, or is read for one output alone, is taken row by row: parts of the channels that let the rows
 * in use stay in the second-level cache. */
static int64_t row_chunks(const struct correlation *c)
{
    const int64_t row = c->x.w * c->x.pixel * (int64_t)c->x.item, rows = min64(reach(c, 0, 1) + c->stride[0], c->x.h);
    return ceil_div(rows * row, 3 * BLOCK_BYTES);
}

static struct grouped plan(const struct correlation *c, int threads)
{
    struct grouped d = {.c = *c, .channels = c->groups * c->k, .rows = c->oh};
    const struct image image = all_channels(c);
    const struct window all = window_of(c, 0, c->oh), first = window_of(c, 0, 1);
    const bool within = inside(&image, &all);
    find_strips(c, d.kernel);
    d.vectors = ceil_div(d.channels, c->kernels->vl);
    d.clip = c->x.mode == CHANCONV_ZEROS && !within;
    d.padded = c->x.mode != CHANCONV_ZEROS && !within;
    if (d.padded) {
        const int64_t row_bytes = band_elements(&image, &first) / reach(c, 0, 1) * (int64_t)image.item;
        d.rows = min64(max64((BLOCK_BYTES / row_bytes - reach(c, 0, 1)) / c->stride[0], 1), c->oh);
    }
    d.chunks = d.padded ? 1 : chunks_of(&d);
    d.by_rows = !d.padded && (c->taps[0] == 1 || is_far(&d));
    d.ahead = d.by_rows && is_far(&d);
    if (d.by_rows) {
        d.chunks = min64(d.chunks, row_chunks(c));
    }
    const int64_t units = c->x.n * d.chunks * ceil_div(c->oh, d.rows);
    if (threads > 1 && units < 4 * threads) {
        d.rows = max64(ceil_div(d.rows * units, 4 * threads), min64(4, c->oh));
    }
    d.row_blocks = ceil_div(c->oh, d.rows);
    d.rows = ceil_div(c->oh, d.row_blocks);
    const struct window block = window_of(c, 0, d.rows);
    d.copy_elements = d.padded ? band_elements(&image, &block) : 0;
    return d;
}

/* Of a vector. */
static int64_t kernel_elements(const struct correlation *c)
{
    return c->taps[0] * c->taps[1] * c->k * c->kernels->vl;
}

static int64_t grouped_bytes(const struct grouped *d, int threads)
{
    return (d->vectors * kernel_elements(&d->c) + threads * d->copy_elements) * (int64_t)d->c.kernels->item;
}

static int64_t first_channel(const struct grouped *d, int64_t vector)
{
    return min64(vector * d->c.kernels->vl, d->channels - d->c.kernels->vl);
}

/* The kernel as [vector][tap][channel of x in its group][lane]. Forward a vector of kernels lies as it is wanted; in
 * the gradient of x, x and y change their places. Returns whether all is finite. */
static bool pack_kernel(const struct grouped *d)
{
    const struct correlation *c = &d->c;
    const struct kernels *kernels = c->kernels;
    char *dst = d->packed;
    bool finite = true;
    for (int64_t i = 0; i < d->vectors * c->taps[0] * c->taps[1]; i++) {
        const int64_t tap = i % (c->taps[0] * c->taps[1]), vector = i / (c->taps[0] * c->taps[1]);
        const char *src = at(c->kernel, tap / c->taps[1] * c->kernel_tap[0] + tap % c->taps[1] * c->kernel_tap[1] +
                             first_channel(d, vector), kernels->item);
        finite &= c->kernel_k == 1 ? kernels->pack(dst, kernels->vl, src, c->k, kernels->vl, c->kernel_c, 1)
                                   : kernels->turn_groups(dst, c->k, src, c->kernel_k);
        dst = at(dst, c->k * kernels->vl, kernels->item);
    }
    return finite;
}

/* The rows of taps of output row i that meet x: *first to *end - 1. */
static void existing_taps(const struct grouped *d, int64_t i, int64_t *first, int64_t *end)
{
    const struct correlation *c = &d->c;
    const int64_t top = i * c->stride[0] + c->origin[0], step = c->dilation[0];
    *first = 0;
    *end = c->taps[0];
    if (d->clip) {
        *first = top < 0 ? min64(ceil_div(-top, step), c->taps[0]) : 0;
        *end = top < c->x.h ? max64(min64(ceil_div(c->x.h - top, step), c->taps[0]), *first) : *first;
    }
}

/* Asks for what the strip of `outputs` below, of output row i + 1, reads and this one does not. */
static void look_ahead(const struct grouped *d, const struct band *band, int64_t i, int64_t col, int64_t outputs,
                       int64_t channel)
{
    const struct correlation *c = &d->c;
    const int64_t height = reach(c, 0, 1), top = i * c->stride[0] + c->origin[0] + max64(height, c->stride[0]);
    const int64_t left = max64(col * c->stride[1] + c->origin[1] + max64(reach(c, 1, 1) - c->stride[1], 0) / 2, 0);
    const int64_t right = min64(left + outputs * c->stride[1], c->x.w);
    for (int64_t r = max64(top, 0); r < min64(top + min64(height, c->stride[0]), c->x.h); r++) {
        for (int64_t j = left; j < right; j++) {
            fetch_line(at(band->base, (r - band->top) * band->row + (j - band->left) * band->pixel + channel, c->x.item));
        }
    }
}

/* The kernel of the strip that begins at column `done`, and where it has to begin. */
static const struct group_strip_kernel *strip_at(const struct grouped *d, int64_t done, int64_t *col)
{
    const struct group_strip_kernel *kernel = d->c.ow - done < d->kernel[0]->outputs ? d->kernel[1] : d->kernel[0];
    *col = min64(done, d->c.ow - kernel->outputs);
    return kernel;
}

/* The strip at column `done` of output row i, for one vector of channels. */
static void run_strip(const struct grouped *d, const struct band *band, int64_t vector, int64_t i, int64_t done, char *y)
{
    const struct correlation *c = &d->c;
    int64_t col;
    const struct group_strip_kernel *kernel = strip_at(d, done, &col);
    const size_t item = c->kernels->item;
    const int64_t top = i * c->stride[0] + c->origin[0] - band->top, left = col * c->stride[1] + c->origin[1];
    const int64_t channel = first_channel(d, vector);
    int64_t first, end;
    existing_taps(d, i, &first, &end);
    const struct group_strip strip = {
        .rows = end - first, .taps = c->taps[1], .column = d->padded ? left - band->left : left,
        .width = d->padded ? INT64_MAX / 2 : c->x.w, .stride = c->stride[1], .dilation = c->dilation[1],
        .x = at(band->base, (top + first * c->dilation[0]) * band->row + (left - band->left) * band->pixel + channel,
                item),
        .x_row = c->dilation[0] * band->row, .x_pixel = band->pixel,
        .kernel = at(d->packed, (vector * c->taps[0] + first) * c->taps[1] * c->k * c->kernels->vl, item),
        .bias = c->bias ? at(c->bias, channel, item) : NULL,
        .y = at(y, i * c->y_row + col * c->y_pixel + channel, item), .y_pixel = c->y_pixel,
    };
    kernel->run(&strip);
}

/* Output row i of some vectors. */
static void run_row(const struct grouped *d, const struct band *band, int64_t vector, int64_t last, int64_t i, char *y)
{
    for (int64_t done = 0; done < d->c.ow; done += d->kernel[0]->outputs) {
        int64_t col;
        const int64_t outputs = strip_at(d, done, &col)->outputs;
        for (int64_t v = vector; v < last; v++) {
            if (d->ahead) {
                look_ahead(d, band, i, col, outputs, first_channel(d, v));
            }
            run_strip(d, band, v, i, done, y);
        }
    }
}

/* Unit i: chunks fastest, then rows, images. Going down the columns of a block, each row of x stays in the first-level
 * cache until its last tap. */
static void run_unit(void *data, int lane, int64_t i)
{
    const struct grouped *d = data;
    const struct correlation *c = &d->c;
    const int64_t chunk = i % d->chunks, block = i / d->chunks, n = block / d->row_blocks;
    const int64_t row = block % d->row_blocks * d->rows, end = min64(row + d->rows, c->oh);
    const int64_t vector = d->vectors * chunk / d->chunks, last = d->vectors * (chunk + 1) / d->chunks;
    const struct image image = all_channels(c);
    const struct window whole = {0, image.h, 0, image.w};
    const struct window window = d->padded ? window_of(c, row, end - row) : whole;
    void *copy = at(d->bands, lane * d->copy_elements, image.item);
    const struct band band = take_band(&image, n, &window, d->padded, copy);
    char *y = at(c->y, n * c->y_image, image.item);
    for (int64_t oh = row; oh < end && d->by_rows; oh++) {
        run_row(d, &band, vector, last, oh, y);
    }
    for (int64_t v = vector; v < last && !d->by_rows; v++) {
        for (int64_t done = 0; done < c->ow; done += d->kernel[0]->outputs) {
            for (int64_t oh = row; oh < end; oh++) {
                run_strip(d, &band, v, oh, done, y);
            }
        }
    }
    const int64_t first = vector * c->kernels->vl, channels = min64(last * c->kernels->vl, d->channels) - first;
    for (int64_t oh = row; oh < end && c->activation.kind != CHANCONV_IDENTITY; oh++) {
        activate_row(c->kernels, &c->activation, at(y, oh * c->y_row + first, image.item), c->ow, channels, c->y_pixel);
    }
}

static chanconv_status grouped_correlate(chanconv_context *context, const struct correlation *c)
{
    if (c->x.n == 0 || c->oh < 1 || c->ow < 1) {
        return CHANCONV_OK;
    }
    const int threads = worthwhile_threads(context, correlation_flops(c));
    struct grouped d = plan(c, threads);
    const size_t bytes = (size_t)grouped_bytes(&d, threads);
    d.packed = take_scratch(context, bytes);
    if (!d.packed) {
        return CHANCONV_NO_MEMORY;
    }
    d.bands = at(d.packed, d.vectors * kernel_elements(c), c->kernels->item);
    const bool finite = pack_kernel(&d), possible = finite || !d.clip;
    if (possible) {
        run_units(context, threads, c->x.n * d.row_blocks * d.chunks, run_unit, &d);
    }
    release_scratch(context, d.packed, bytes);
    return possible ? CHANCONV_OK : CORRELATE_NOT_FINITE;
}

static int64_t correlate_bytes(const struct correlation *c, int threads)
{
    if (c->oh < 1 || c->ow < 1) {
        return 0;
    }
    const struct grouped d = plan(c, threads);
    return grouped_bytes(&d, threads);
}

static const struct correlator correlator = {.correlate = grouped_correlate, .bytes = correlate_bytes};

/* ---- Gradient of the kernel -------------------------------------------------------------------------------------- */

/* Work is cut into vectors of channels and, where these are fewer than UNITS_ENOUGH, splits of the rows of all images,
 * each with sums of its own. A sum in registers takes up PIXELS_MAX outputs at most. All follows from the
 * shape. */
enum { SPLITS_MAX = 8, UNITS_ENOUGH = 24, PIXELS_MAX = 1024 };

struct gradient {
    const struct geometry *g;
    const struct kernels *kernels;
    const struct group_sums_kernel *kernel, *rest; /* of taps at once, and of those that are left of a row */
    struct image x;
    const void *grad_y;
    int64_t vectors, splits;
    bool padded;                /* x is copied with its padding */
    int64_t rows;               /* of outputs that are taken at once */
    int64_t copy_elements;      /* of a lane: the copy for them */
    void *sums, *bands;         /* sums: [split][vector][tap][channel of x][lane] */
};

/* The kernel for any taps, or for as many neighbours as it is for: of a row, three at a time, and any the rest. */
static const struct group_sums_kernel *choose_sums(const struct geometry *g, const struct kernels *kernels, bool any)
{
    const struct group_sums_kernel *best = NULL;
    const bool near = g->stride[1] == 1 && g->dilation[1] == 1 && !any;
    for (const struct group_sums_kernel *k = kernels->group_sums; k->run; k++) {
        if (k->channels == g->cg && (k->taps == 0 || (near && k->taps <= g->kw)) && (!best || k->taps > best->taps)) {
            best = k;
        }
    }
    return best;
}

/* What row r of taps reads for `rows` rows of outputs. */
static struct window gradient_window(const struct geometry *g, int64_t r, int64_t row, int64_t rows)
{
    const int64_t top = row * g->stride[0] + r * g->dilation[0] - g->pad[0][0], left = -g->pad[1][0];
    const int64_t width = (g->ow - 1) * g->stride[1] + (g->kw - 1) * g->dilation[1] + 1;
    return (struct window){top, top + (rows - 1) * g->stride[0] + 1, left, left + width};
}

static struct gradient plan_gradient(const struct geometry *g)
{
    const struct kernels *kernels = kernels_for(g->dtype);
    struct gradient d = {
        .g = g, .kernels = kernels, .kernel = choose_sums(g, kernels, false),
        .rest = choose_sums(g, kernels, true), .vectors = ceil_div(g->k, kernels->vl),
        .x = {.n = g->n, .h = g->h, .w = g->w, .c = kernels->vl, .pixel = g->x_pixel, .row = g->x_row,
              .image = g->x_image, .mode = g->mode, .item = g->item},
        .rows = min64(max64(PIXELS_MAX / g->ow, 1), g->oh),
    };
    const int64_t blocks = g->n * ceil_div(g->oh, d.rows), wanted = ceil_div(UNITS_ENOUGH, d.vectors);
    const struct window first = gradient_window(g, 0, 0, d.rows), last = gradient_window(g, g->kh - 1, g->oh - 1, 1);
    const struct window all = {first.top, last.bottom, first.left, first.right};
    d.splits = min64(min64(blocks, wanted), SPLITS_MAX);
    d.padded = g->mode != CHANCONV_ZEROS && !inside(&d.x, &all);
    d.copy_elements = d.padded ? band_elements(&d.x, &first) : 0;
    return d;
}

static int64_t sums_of_row(const struct gradient *d) { return d->g->kw * d->g->cg * d->kernels->vl; }

static int64_t sums_elements(const struct gradient *d) { return d->vectors * d->g->kh * sums_of_row(d); }

static int64_t gradient_bytes(const struct gradient *d, int threads)
{
    return (d->splits * sums_elements(d) + threads * d->copy_elements) * (int64_t)d->g->item;
}

/* The rows of a block whose row of x exists: *first to *end - 1. */
static void existing_rows(const struct gradient *d, int64_t r, int64_t *first, int64_t *end)
{
    const struct geometry *g = d->g;
    const int64_t top = r * g->dilation[0] - g->pad[0][0], stride = g->stride[0];
    if (!d->padded) {
        *first = max64(*first, top < 0 ? ceil_div(-top, stride) : 0);
        *end = min64(*end, top < g->h ? (g->h - 1 - top) / stride + 1 : 0);
    }
}

/* A row of taps, in parts. */
static void run_taps(const struct gradient *d, struct group_sums *part)
{
    const struct geometry *g = d->g;
    const int64_t taps = d->kernel->taps;
    int64_t left = g->kw;
    for (; taps && left >= taps; left -= taps) {
        d->kernel->run(part);
        part->column += taps;
        part->x = at(part->x, taps * part->x_pixel, g->item);
        part->sums = at(part->sums, taps * g->cg * d->kernels->vl, g->item);
    }
    if (left > 0) {
        part->taps = left;
        d->rest->run(part);
    }
}

/* Adds what rows row .. end - 1 of the outputs of image n give to the sums of row r of taps of a vector. */
static void run_rows(const struct gradient *d, int64_t vector, int64_t r, int64_t n, int64_t row, int64_t end,
                     void *band_buffer, void *sums)
{
    const struct geometry *g = d->g;
    const int64_t channel = min64(vector * d->kernels->vl, g->k - d->kernels->vl), left = -g->pad[1][0];
    existing_rows(d, r, &row, &end);
    if (row >= end) {
        return;
    }
    struct image x = d->x;
    x.data = at(x.data, channel, g->item);
    const struct window read = gradient_window(g, r, row, end - row), whole = {0, g->h, 0, g->w};
    const struct band band = take_band(&x, n, d->padded ? &read : &whole, d->padded, band_buffer);
    struct group_sums part = {
        .rows = end - row, .cols = g->ow, .taps = g->kw,
        .y = at(d->grad_y, n * g->y_image + row * g->y_row + channel, g->item), .y_row = g->y_row,
        .y_pixel = g->y_pixel,
        .x = at(band.base, (read.top - band.top) * band.row + (left - band.left) * band.pixel, g->item),
        .x_step = g->stride[0] * band.row, .x_pixel = band.pixel, .column = left - (d->padded ? band.left : 0),
        .width = d->padded ? read.right - read.left : g->w, .stride = g->stride[1], .dilation = g->dilation[1],
        .sums = sums,
    };
    run_taps(d, &part);
}

/* Unit i: vectors fastest, then splits. All rows of taps go over a block of outputs while it is in the cache. */
static void run_sums(void *data, int lane, int64_t i)
{
    const struct gradient *d = data;
    const struct geometry *g = d->g;
    const int64_t vector = i % d->vectors, split = i / d->vectors, rows = sums_of_row(d);
    const int64_t in_image = ceil_div(g->oh, d->rows), blocks = g->n * in_image;
    char *sums = at(d->sums, i * g->kh * rows, g->item), *band = at(d->bands, lane * d->copy_elements, g->item);
    memset(sums, 0, (size_t)(g->kh * rows) * g->item);
    for (int64_t block = blocks * split / d->splits; block < blocks * (split + 1) / d->splits; block++) {
        const int64_t row = block % in_image * d->rows, end = min64(row + d->rows, g->oh);
        for (int64_t r = 0; r < g->kh; r++) {
            run_rows(d, vector, r, block / in_image, row, end, band, at(sums, r * rows, g->item));
        }
    }
}

/* Adds the splits up, in order, and writes the gradient. Returns whether all of it is finite. */
static bool finish_sums(const struct gradient *d, void *grad_kernel)
{
    const struct geometry *g = d->g;
    const int64_t vl = d->kernels->vl, elements = sums_elements(d), rows = g->kh * g->kw * g->cg;
    for (int64_t split = 1; split < d->splits; split++) {
        d->kernels->add(elements, at(d->sums, split * elements, g->item), d->sums);
    }
    for (int64_t i = 0; i < d->vectors * rows; i++) {
        const int64_t channel = min64(i / rows * vl, g->k - vl);
        memcpy(at(grad_kernel, i % rows * g->k + channel, g->item), at(d->sums, i * vl, g->item),
               (size_t)vl * g->item);
    }
    return d->kernels->finite(elements, d->sums);
}

static chanconv_status gradient(chanconv_context *context, const struct geometry *g, const struct arrays *arrays)
{
    if (g->n == 0) {
        return kernel_gradient(context, g, arrays->y, arrays->x, arrays->out);
    }
    const double flops = 2.0 * (double)(g->n * g->oh * g->ow) * (double)(g->kh * g->kw * g->cg * g->k);
    const int threads = worthwhile_threads(context, flops);
    struct gradient d = plan_gradient(g);
    const size_t bytes = (size_t)gradient_bytes(&d, threads);
    d.x.data = arrays->x;
    d.grad_y = arrays->y;
    d.sums = take_scratch(context, bytes);
    if (!d.sums) {
        return CHANCONV_NO_MEMORY;
    }
    d.bands = at(d.sums, d.splits * sums_elements(&d), g->item);
    run_units(context, threads, d.splits * d.vectors, run_sums, &d);
    const bool finite = finish_sums(&d, arrays->out);
    release_scratch(context, d.sums, bytes);
    return finite ? CHANCONV_OK : kernel_gradient(context, g, arrays->y, arrays->x, arrays->out);
}

/* ---- The algorithm ----------------------------------------------------------------------------------------------- */

static const char *decline(const struct geometry *g, chanconv_pass pass)
{
    const struct kernels *kernels = kernels_for(g->dtype);
    if (g->cg != g->kg || !choose_sums(g, kernels, true)) {
        return "it convolves channels one by one, or in groups of 2, 4, 8 ... up to a vector";
    }
    if (g->k < kernels->vl) {
        return "there are fewer channels than a vector has";
    }
    if (pass == CHANCONV_GRAD_KERNEL && g->mode == CHANCONV_ZEROS && !every_output_sees_x(g)) {
        return "some outputs see nothing but padding";
    }
    return NULL;
}

static chanconv_status run(chanconv_context *context, const struct geometry *g, chanconv_pass pass,
                           const struct arrays *arrays)
{
    if (pass == CHANCONV_GRAD_X) {
        return gradient_of_x(context, g, arrays, &correlator);
    }
    if (pass == CHANCONV_GRAD_KERNEL) {
        return gradient(context, g, arrays);
    }
    const struct correlation c = forward_correlation(g, arrays);
    const chanconv_status status = grouped_correlate(context, &c);
    return status == CORRELATE_NOT_FINITE ? algorithm_gemm.run(context, g, pass, arrays) : status;
}

static void plan_pass(const struct geometry *g, chanconv_pass pass, chanconv_plan *plan)
{
    const struct arrays none = {0};
    const struct correlation c = forward_correlation(g, &none);
    const struct group_strip_kernel *kernel[2];
    plan->tile[1] = (int32_t)c.kernels->vl;
    if (g->n == 0) {
        return;
    }
    if (pass == CHANCONV_GRAD_KERNEL) {
        const struct gradient d = plan_gradient(g);
        plan->tile[0] = (int32_t)g->kw;
        plan->workspace_bytes = gradient_bytes(&d, plan->threads);
        return;
    }
    find_strips(&c, kernel);
    plan->tile[0] = kernel[0]->outputs;
    plan->workspace_bytes = pass == CHANCONV_FORWARD ? correlate_bytes(&c, plan->threads)
                                                     : gradient_of_x_bytes(g, plan->threads, &correlator);
}

const struct algorithm algorithm_grouped = {
    .id = CHANCONV_DIRECT, .decline = decline, .plan = plan_pass, .run = run,
};

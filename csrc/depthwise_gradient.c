/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Gradient of the kernel of a depthwise convolution: a kernel function adds up some taps of a vector of channels over
 * rows of outputs, in registers. The padding is left out of the sums: where grad_y has a NaN or an infinity, one shows
 * in them, and the general algorithm computes them again.
 */
#include <string.h>

#include "gemm.h"

/* Work is cut into splits of the rows of all images, each with sums of its own, and vectors. Splits follow from the
 * shape. */
enum { SPLITS_MAX = 8, SPLIT_PIXELS = 784 };

/* Vectors that go over the same outputs one after the other; outputs of a strip that is worth going down. */
enum { TOGETHER = 4, WIDE_STRIP = 7 };

/* Where the first-level cache has room for more pixels than that, their distance does not count. */
enum { CROWDED_PIXELS = 8 * WAYS };

/* Bytes of x and grad_y from which on they are better taken as they lie, as they are likely to come from memory; with vectors
 * narrower than a cache line, without a stride, which else step from pixel to pixel by pieces half as long, sooner. Outputs of
 * the rows that are taken then. */
enum { FAR_GRADIENT_BYTES = 12 * 1024 * 1024, NARROW_FAR_BYTES = 5 * 1024 * 1024, STREAM_PIXELS = 112 };

struct gradient {
    const struct geometry *g;
    const struct kernels *kernels;
    const struct tap_sums_kernel *kernel;
    struct image x;
    const void *grad_y;
    int64_t vectors, shift;     /* of channels; how much earlier they begin */
    int64_t chunks, splits;     /* chunks of vectors are work of their own, as are splits of the rows */
    int64_t parts, part_taps;   /* of the kernel's taps */
    int64_t group;              /* vectors that go over the same outputs one after the other */
    int64_t rows, cols;         /* outputs that stay in the cache while the parts, then the vectors, go by */
    int64_t step;               /* so many of the rows at a time, if not all */
    int64_t times;              /* kernels of a channel */
    bool repeat;                /* a copy has x's channels as often: the kernel function does not */
    bool ahead;                 /* rows are asked for before they are needed */
    bool padded;                /* x is copied with its padding */
    bool compact;               /* x is copied, its pixels side by side, without padding */
    int64_t copy_elements, repeated_elements; /* of a lane: such a copy; x with its channels repeated */
    void *sums, *bands;         /* sums: [split][vector][tap][lane] */
};

/* Parts of the kernel's taps: rectangles of neighbours, or so many taps. */
static int64_t parts_of(const struct geometry *g, const struct tap_sums_kernel *kernel)
{
    return kernel->rows ? ceil_div(g->kh, kernel->rows) * ceil_div(g->kw, kernel->taps)
                        : ceil_div(g->kh * g->kw, kernel->taps);
}

static const struct tap_sums_kernel *choose_sums(const struct geometry *g, const struct kernels *kernels)
{
    const bool repeats = g->kg > 1 && kernels->repeating_tap_sums->run;
    const struct tap_sums_kernel *best = NULL;
    double least = 0;
    for (const struct tap_sums_kernel *k = repeats ? kernels->repeating_tap_sums : kernels->tap_sums; k->run; k++) {
        const bool near = k->taps <= g->kw && k->stride == g->stride[1] && k->rows <= g->kh && g->dilation[1] == 1;
        if (k->rows > 0 && (!near || k->outputs > g->ow)) {
            continue;
        }
        /* In products of vectors: a strip of y is loaded for each part, an output at once for any taps. Of what a part
         * leaves out, rows of taps are not computed. */
        const int64_t strips = ceil_div(g->ow, k->outputs), parts = parts_of(g, k);
        const int64_t computed = g->kh * ceil_div(g->kw, k->taps) * k->taps;
        const double cost = k->rows ? (double)strips * (double)(k->outputs * (computed + 2 * parts) + 8 * parts)
                                    : (double)(g->ow * ceil_div(g->kh * g->kw, k->taps)) * (2 * k->taps + 2);
        if (!best || cost < least) {
            best = k;
            least = cost;
        }
    }
    return best;
}

static int64_t reach_of(const struct geometry *g, int axis, int64_t outputs)
{
    return (outputs - 1) * g->stride[axis] + ((axis ? g->kw : g->kh) - 1) * g->dilation[axis] + 1;
}

static struct window gradient_window(const struct geometry *g, int64_t row, int64_t rows)
{
    const int64_t top = row * g->stride[0] - g->pad[0][0], left = -g->pad[1][0];
    return (struct window){top, top + reach_of(g, 0, rows), left, left + reach_of(g, 1, g->ow)};
}

/* Pixels of x, at the distance that they have in memory if they are dense, whose vectors of some channels find room in
 * the first-level cache. One that takes two lines takes them of two sets. (What cuts the outputs gives the sums their
 * order: slices of channels have that of dense images.) */
static int64_t cached_pixels(const struct geometry *g)
{
    const int64_t pitch = g->c * (int64_t)g->item, apart = min64(pitch & -pitch, SETS_BYTES);
    return WAYS * (SETS_BYTES / max64(apart, 2 * CACHE_LINE));
}

/* Outputs of a row that, with the columns of x in all the rows that their taps reach, stay in the first-level cache
 * until the next row of outputs meets these again: pixels at a distance of 512 bytes and more fall on few of its sets.
 * Strips too short to go down gained nothing by it. */
static int64_t cached_columns(const struct gradient *d)
{
    const struct geometry *g = d->g;
    const int64_t pixels = cached_pixels(g), outputs = d->kernel->outputs;
    const int64_t rows = d->kernel->rows ? d->kernel->rows : g->kh, more = rows * (reach_of(g, 1, 1) - g->stride[1]);
    const int64_t cols = max64((pixels - more) / (rows * g->stride[1] + 1) / outputs, 1) * outputs;
    if (outputs < WIDE_STRIP || rows * min64(reach_of(g, 1, g->ow), g->w) + g->ow <= pixels) {
        return g->ow;
    }
    return min64(ceil_div(ceil_div(g->ow, ceil_div(g->ow, cols)), outputs) * outputs, g->ow);
}

/* What comes from memory is taken as it lies there, all channels of some outputs, and asked for before. With a stride,
 * which leaves less to do for each byte, row by row down some columns: the rows of x that two rows of outputs have in
 * common stay in the second-level cache. */
static void fit_far(struct gradient *d)
{
    const struct geometry *g = d->g;
    d->ahead = true;
    if (g->stride[0] == 1) {
        d->rows = d->step = min64(ceil_div(STREAM_PIXELS, g->ow), g->oh);
        d->cols = g->ow;
        return;
    }
    const int64_t outputs = d->kernel->outputs, rows = g->stride[0] + reach_of(g, 0, 1);
    const int64_t columns = 2 * BLOCK_BYTES / (rows * g->c * (int64_t)g->item) - reach_of(g, 1, 1);
    d->group = g->k; /* all vectors */
    d->rows = g->oh;
    d->step = 1;
    d->cols = min64(max64(columns / g->stride[1] / outputs, 2) * outputs, g->ow);
}

/* Whether x and grad_y are likely to come from memory. */
static bool is_far(const struct gradient *d)
{
    const struct geometry *g = d->g;
    const int64_t pixels = g->n * (g->h * g->w / d->times + g->oh * g->ow);
    const bool narrow = d->kernels->vl * (int64_t)g->item < CACHE_LINE && g->stride[0] == 1;
    return pixels * g->k * (int64_t)g->item > (narrow ? NARROW_FAR_BYTES : FAR_GRADIENT_BYTES);
}

/* Whether the pixels that a part of the taps goes over do not stay in the first-level cache, and a copy of those that a
 * row of outputs needs is small. */
static bool pays_to_copy(const struct gradient *d)
{
    const struct geometry *g = d->g;
    const int64_t columns = min64(reach_of(g, 1, g->ow), g->w);
    const int64_t bytes = reach_of(g, 0, 1) * columns * d->kernels->vl * (int64_t)g->item;
    const int64_t pixels = cached_pixels(g);
    return pixels <= CROWDED_PIXELS && d->kernel->rows * columns > pixels && 2 * bytes <= BLOCK_BYTES;
}

/* Addresses of x that are no multiples of a cache line, as NumPy's, make every vector take two lines, which it has in
 * common with its neighbours: vectors that go over the same outputs one after the other find them in the second-level
 * cache. Several parts of the taps, which are more work, find their outputs in the first; where the pixels that they go
 * over would not stay there, a copy of them comes fast enough from the second. */
static void fit_gradient(struct gradient *d)
{
    const struct geometry *g = d->g;
    const bool plain = g->mode == CHANCONV_ZEROS && !d->repeat, near = d->kernel->rows > 0;
    d->compact = plain && near && d->times == 1 && d->parts > 1 && pays_to_copy(d);
    d->cols = plain && near && d->parts == 1 ? cached_columns(d) : g->ow;
    d->group = min64(d->vectors, d->parts > 1 ? 1 : TOGETHER);
    const int64_t x_columns = min64((d->cols - 1) * g->stride[1] + reach_of(g, 1, 1), d->cols * g->kw);
    const int64_t row_pixels = x_columns * min64(g->stride[0], g->kh) + d->cols;
    const int64_t row_bytes = row_pixels * d->kernels->vl * (int64_t)g->item * d->group;
    const int64_t bytes = d->compact ? BLOCK_BYTES : d->parts > 1 ? CACHED_BYTES : 2 * BLOCK_BYTES;
    d->rows = d->step = min64(max64(bytes / row_bytes, 1), g->oh);
    /* With a stride, pixels of few vectors come fast enough as they are. */
    if (plain && near && d->parts == 1 && is_far(d) && (g->stride[0] == 1 || d->vectors > TOGETHER)) {
        fit_far(d);
    }
}

/* Whether what strips take longest for is to load x, unless it comes from memory: each column of it is multiplied by few
 * values of grad_y. */
static bool loads_limit(const struct geometry *g) { return g->stride[1] > 1 && g->kg == 1; }

static struct gradient plan_gradient(const struct geometry *g, const void *x, int threads)
{
    const struct kernels *kernels = kernels_for(g->dtype);
    struct gradient d = {
        .g = g, .kernels = kernels, .kernel = choose_sums(g, kernels), .vectors = ceil_div(g->k, kernels->vl),
        .times = g->kg, .repeat = g->kg > 1 && !kernels->repeating_tap_sums->run,
        .x = {.data = x, .n = g->n, .h = g->h, .w = g->w, .c = kernels->vl, .pixel = g->x_pixel, .row = g->x_row,
              .image = g->x_image, .mode = g->mode, .item = g->item},
        .splits = max64(min64(min64(g->n * g->oh * g->ow / SPLIT_PIXELS, SPLITS_MAX), g->n * g->oh), 1),
    };
    const struct window all = gradient_window(g, 0, g->oh);
    const bool near = d.kernel->rows > 0;
    d.chunks = threads > 1 ? min64(d.vectors, ceil_div(4 * threads, d.splits)) : 1;
    d.part_taps = near ? d.kernel->rows * d.kernel->taps : d.kernel->taps;
    d.parts = parts_of(g, d.kernel);
    fit_gradient(&d);
    d.padded = g->mode != CHANCONV_ZEROS && !inside(&d.x, &all);
    const struct window first = gradient_window(g, 0, d.rows);
    d.copy_elements = d.padded || d.compact ? band_elements(&d.x, &first) : 0;
    d.repeated_elements = d.repeat ? band_elements(&d.x, &first) : 0;
    if (loads_limit(g) && !d.padded && !d.compact && !d.ahead) {
        d.shift = line_shift(&d.x, g->k, kernels);
        d.vectors = ceil_div(g->k + d.shift, kernels->vl);
    }
    return d;
}

static int64_t vector_taps(const struct gradient *d) { return d->g->kh * d->g->kw; }

static int64_t sums_elements(const struct gradient *d)
{
    return d->splits * d->vectors * vector_taps(d) * d->kernels->vl;
}

/* Wherever x lies. */
static int64_t bytes_of(const struct gradient *d, int threads)
{
    const struct geometry *g = d->g;
    const int64_t lane = d->copy_elements + d->repeated_elements, vl = d->kernels->vl;
    const int64_t shift = loads_limit(g) ? most_line_shift(&d->x, g->k, d->kernels) : 0;
    const int64_t sums = d->splits * ceil_div(g->k + shift, vl) * vector_taps(d) * vl;
    return (sums + threads * lane) * (int64_t)g->item;
}

/* Part i of the taps. A last part that has fewer begins earlier and leaves out those that have had their turn. */
static void run_part(const struct gradient *d, struct tap_sums sums, int64_t i)
{
    const struct geometry *g = d->g;
    const int64_t vl = d->kernels->vl, rows = d->kernel->rows, taps = d->kernel->taps;
    if (rows) {
        const int64_t across = ceil_div(g->kw, taps), down = i / across * rows, along = i % across * taps;
        const int64_t r = min64(down, g->kh - rows), s = min64(along, g->kw - taps);
        sums.skipped = down - r;
        sums.skipped_taps = along - s;
        sums.row += r * g->dilation[0];
        sums.column += s;
        sums.x = at(sums.x, r * sums.x_row + s * sums.x_pixel, g->item);
        sums.sums = at(sums.sums, (r * g->kw + s) * vl, g->item);
    } else {
        sums.first_tap = i * taps;
        sums.taps = min64(taps, vector_taps(d) - sums.first_tap);
        sums.sums = at(sums.sums, sums.first_tap * vl, g->item);
    }
    d->kernel->run(&sums);
}

/* x for the vector of kernels that begins with `channel`: in place or copied and, with several kernels for a channel,
 * each channel that often. */
static struct band vector_band(const struct gradient *d, int64_t channel, int64_t n, const struct window *window,
                               char *buffer)
{
    const size_t item = d->g->item;
    const int64_t vl = d->kernels->vl, first = channel / d->times, width = window->right - window->left;
    char *repeated = at(buffer, d->copy_elements, item);
    struct image x = d->x;
    x.data = at(x.data, first, item);
    x.c = (channel + vl - 1) / d->times - first + 1;
    const struct band band = take_band(&x, n, window, d->padded || d->compact, buffer);
    for (int64_t r = 0; r < window->bottom - window->top && d->repeat; r++) {
        d->kernels->repeat_channels(width, vl, d->times, channel % d->times, at(band.base, r * band.row, item),
                                    band.pixel, at(repeated, r * width * vl, item));
    }
    return !d->repeat ? band : (struct band){.base = repeated, .top = window->top, .left = window->left,
                                                .row = width * vl, .pixel = vl};
}

/* Adds what some outputs, of rows row .. row + rows - 1 of image n and from column col on, give to a vector's sums. */
static void run_rows(const struct gradient *d, int64_t vector, int64_t n, int64_t row, int64_t rows, int64_t col,
                     void *band_buffer, void *sums)
{
    const struct geometry *g = d->g;
    const bool padded = d->padded;
    const int64_t vl = d->kernels->vl, channel = vector_channel(vector, vl, d->shift, g->k);
    const int64_t top = row * g->stride[0] - g->pad[0][0], left = col * g->stride[1] - g->pad[1][0];
    struct window window = gradient_window(g, row, rows);
    if (!padded) {
        clip(&window, g->h, g->w);
    }
    const struct band band = vector_band(d, channel, n, &window, band_buffer);
    struct tap_sums all = {
        .rows = rows, .cols = min64(d->cols, g->ow - col),
        .y = at(d->grad_y, n * g->y_image + row * g->y_row + col * g->y_pixel + channel, g->item),
        .y_row = g->y_row, .y_pixel = g->y_pixel, .x_step = g->stride[0] * band.row, .x_row = g->dilation[0] * band.row,
        .x = at(band.base, (top - band.top) * band.row + (left - band.left) * band.pixel, g->item),
        .x_pixel = band.pixel, .row = padded ? 0 : top, .row_step = g->stride[0], .row_tap = g->dilation[0],
        .height = padded ? window.bottom - window.top : g->h, .column = padded ? 0 : left,
        .width = padded ? window.right - window.left : g->w, .stride = g->stride[1], .dilation = g->dilation[1],
        .tap_cols = g->kw, .times = d->times, .rest = channel % d->times, .sums = sums,
    };
    if (d->ahead && row + 2 * rows <= g->oh) {
        const int64_t taps = reach_of(g, 0, 1);
        all.ahead_rows = min64(g->stride[0], taps);
        all.x_next = band.row;
        all.x_ahead = (rows * g->stride[0] + taps - all.ahead_rows) * band.row;
        all.y_ahead = rows * g->y_row;
    }
    for (int64_t i = 0; i < d->parts; i++) {
        run_part(d, all, i);
    }
}

/* A block of rows for some vectors: down part of its columns, then the next part. */
static void run_group(const struct gradient *d, int64_t vector, int64_t vectors, int64_t n, int64_t row, int64_t rows,
                      void *band, void *sums)
{
    const int64_t vl = d->kernels->vl;
    for (int64_t col = 0; col < d->g->ow; col += d->cols) {
        for (int64_t first = 0; first < rows; first += d->step) {
            for (int64_t v = 0; v < vectors; v++) {
                run_rows(d, vector + v, n, row + first, min64(d->step, rows - first), col, band,
                         at(sums, v * vector_taps(d) * vl, d->g->item));
            }
        }
    }
}

/* Unit i: splits fastest, then chunks. All vectors of a chunk go over a block of rows while it is in the cache. */
static void run_sums(void *data, int lane, int64_t i)
{
    const struct gradient *d = data;
    const struct geometry *g = d->g;
    const int64_t split = i % d->splits, chunk = i / d->splits, all = g->n * g->oh, end = all * (split + 1) / d->splits;
    const int64_t first = d->vectors * chunk / d->chunks, vectors = d->vectors * (chunk + 1) / d->chunks - first;
    const int64_t elements = vector_taps(d) * d->kernels->vl;
    char *sums = at(d->sums, (split * d->vectors + first) * elements, g->item);
    void *band = at(d->bands, lane * (d->copy_elements + d->repeated_elements), g->item);
    memset(sums, 0, (size_t)(vectors * elements) * g->item);
    for (int64_t row = all * split / d->splits; row < end;) {
        const int64_t oh = row % g->oh, rows = min64(min64(d->rows, g->oh - oh), end - row);
        for (int64_t v = 0; v < vectors; v += d->group) {
            run_group(d, first + v, min64(d->group, vectors - v), row / g->oh, oh, rows, band,
                      at(sums, v * elements, g->item));
        }
        row += rows;
    }
}

/* Adds the splits up, in order, and writes the gradient. Returns whether all of it is finite. */
static bool finish_sums(const struct gradient *d, void *grad_kernel)
{
    const struct geometry *g = d->g;
    const int64_t vl = d->kernels->vl, elements = d->vectors * vector_taps(d) * vl;
    for (int64_t split = 1; split < d->splits; split++) {
        d->kernels->add(elements, at(d->sums, split * elements, g->item), d->sums);
    }
    for (int64_t i = 0; i < d->vectors * vector_taps(d); i++) {
        const int64_t channel = vector_channel(i / vector_taps(d), vl, d->shift, g->k);
        memcpy(at(grad_kernel, i % vector_taps(d) * g->k + channel, g->item), at(d->sums, i * vl, g->item),
               (size_t)vl * g->item);
    }
    return d->kernels->finite(elements, d->sums);
}

chanconv_status depthwise_gradient(chanconv_context *context, const struct geometry *g, const struct arrays *arrays)
{
    const double flops = 2.0 * (double)(g->n * g->oh * g->ow) * (double)(g->kh * g->kw * g->k);
    const int threads = worthwhile_threads(context, flops);
    struct gradient d = plan_gradient(g, arrays->x, threads);
    const size_t bytes = (size_t)bytes_of(&d, threads);
    d.grad_y = arrays->y;
    d.sums = take_scratch(context, bytes);
    if (!d.sums) {
        return CHANCONV_NO_MEMORY;
    }
    d.bands = at(d.sums, sums_elements(&d), g->item);
    run_units(context, threads, d.splits * d.chunks, run_sums, &d);
    const bool finite = finish_sums(&d, arrays->out);
    release_scratch(context, d.sums, bytes);
    return finite ? CHANCONV_OK : kernel_gradient(context, g, arrays->y, arrays->x, arrays->out);
}

void plan_depthwise_gradient(const struct geometry *g, chanconv_plan *plan)
{
    const struct gradient d = plan_gradient(g, NULL, plan->threads);
    plan->tile[0] = (int32_t)d.part_taps;
    plan->workspace_bytes = bytes_of(&d, plan->threads);
}

/* Whether every output sees some of x in this axis: a NaN in grad_y then shows in the sums, whatever is left out. The
 * last output starts before the end of x; of those that start before x the first needs the most taps to reach it, and
 * where they meet it repeats itself after `step` of them. */
static bool sees_x(const struct geometry *g, int axis)
{
    const int64_t outputs = axis ? g->ow : g->oh, taps = axis ? g->kw : g->kh, size = axis ? g->w : g->h;
    const int64_t stride = g->stride[axis], step = g->dilation[axis], pad = g->pad[axis][0];
    if ((outputs - 1) * stride - pad >= size) {
        return false;
    }
    for (int64_t i = 0; i < min64(outputs, step) && i * stride < pad; i++) {
        const int64_t before = pad - i * stride, tap = ceil_div(before, step);
        if (tap >= taps || tap * step - before >= size) {
            return false;
        }
    }
    return true;
}

bool every_output_sees_x(const struct geometry *g) { return sees_x(g, 0) && sees_x(g, 1); }

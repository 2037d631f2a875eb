/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Depthwise convolution: as many groups as channels. A kernel computes a strip of neighbouring outputs of a row,
 * channels across the vector; vectors of channels are chunks of work, so that the rows of x that a strip reads stay in
 * the cache.
 *
 * Forward and the gradient of x are correlations (gemm.c puts them so). Zeros around x are not computed with; a kernel
 * with a value that zeros would not cancel goes another way.
 *
 * With several kernels for each channel (a multiplier) the strips repeat every channel of x that often or, where the
 * instruction set has no permutation for it, a band has them; in the gradient of x the strips give a row of that many
 * channels, which is summed up into x.
 */
#include "gemm.h"

/* ---- Forward and gradient of x: the plan ------------------------------------------------------------------------- */

struct depthwise {
    struct correlation c;
    const struct strip_kernel *kernel[2]; /* of the strips, and of the last one of a row */
    int64_t channels;           /* of the strips: of x or of y, the more */
    int64_t vectors, shift;     /* of channels; how much earlier they begin */
    bool past;                  /* y goes past the caches */
    int64_t chunks, col_parts;  /* parts of the vectors and of the strips of a row */
    int64_t rows, row_blocks;   /* outputs of a block */
    bool clip;                  /* taps outside of x are left out */
    bool padded;                /* x is copied with its padding */
    bool repeat;                /* x is copied with its channels as often as they have kernels: the strips do not */
    bool compact;               /* a chunk's channels of x are copied, without padding */
    bool ahead;                 /* rows of x are asked for before they are needed */
    int64_t copy_elements, repeated_elements; /* of a lane: such a copy; x with its channels repeated */
    int64_t row_elements;       /* of a lane: a row whose channels are summed up */
    void *packed, *bands, *sums;
};

/* Of the cost of strips: outputs; sums of a strip that a processor adds to at a time. */
enum { CROWDED_COST = 2, MANY_TAPS = 49, SUMS_AT_ONCE = 7 };

/* How special a kernel is: for so many taps, for many, for any. */
static int rank(const struct strip_kernel *kernel) { return kernel->taps ? 2 : kernel->stride ? 1 : 0; }

static bool strip_fits(const struct strip_kernel *k, const struct correlation *c)
{
    const bool near = c->dilation[1] == 1 || c->taps[1] == 1, many = c->taps[1] >= 3 && c->taps[1] <= LONG_TAPS_MAX;
    return rank(k) == 0 || (near && k->stride == c->stride[1] && (k->taps ? k->taps == c->taps[1] : many));
}

/* Whether strips find each channel as often as it has kernels; where they cannot, a copy has it that often. */
static bool repeats(const struct correlation *c) { return c->k > 1 && c->kernels->repeating_strips->run; }

static int64_t reach(const struct correlation *c, int axis, int64_t outputs)
{
    return (outputs - 1) * c->stride[axis] + (c->taps[axis] - 1) * c->dilation[axis] + 1;
}

/* Whether the pixels that a strip reads, at their distance in memory, fall on so few sets of the first-level cache that
 * they drive each other out of it: with 1024 channels they all fall on one. */
static bool crowded(const struct correlation *c, const struct strip_kernel *kernel)
{
    const int64_t pitch = c->x.pixel * (int64_t)c->x.item, sets = SETS_BYTES / min64(pitch & -pitch, SETS_BYTES);
    return min64(c->taps[0], c->x.h) * min64(reach(c, 1, kernel->outputs), c->x.w) >= WAYS * sets;
}

/* A strip whose pixels crowd the cache takes some outputs more, unless there are many taps. Few sums wait for themselves;
 * those of few taps, at the end of a row, while others are computed. */
static int64_t cost_of(const struct correlation *c, const struct strip_kernel *kernel, bool last)
{
    const bool many = c->taps[0] * c->taps[1] > MANY_TAPS;
    const int64_t least = last && !many ? 1 : min64(SUMS_AT_ONCE, c->ow);
    return strip_cost(kernel->outputs, least) + (!many && crowded(c, kernel) ? CROWDED_COST : 0);
}

static void find_strips(const struct correlation *c, const struct strip_kernel *best[2])
{
    struct strip_options options = {.row = c->ow};
    const void *chosen[2];
    for (const struct strip_kernel *k = repeats(c) ? c->kernels->repeating_strips : c->kernels->strips; k->run; k++) {
        if (strip_fits(k, c)) {
            add_strip_option(&options, (struct strip_option){.kernel = k, .rank = rank(k), .outputs = k->outputs,
                                                             .cost = cost_of(c, k, false),
                                                             .last_cost = cost_of(c, k, true)});
        }
    }
    choose_strips(&options, chosen);
    best[0] = chosen[0];
    best[1] = chosen[1];
}

/* So many parts of the vectors, or fewer. Where the first or the last one overlaps its neighbour, one part has them both: two
 * would write the same elements. */
static int64_t limit_parts(const struct depthwise *d, int64_t parts)
{
    const bool overlap = d->shift > 0 || d->channels % d->c.kernels->vl != 0;
    return max64(min64(parts, overlap ? d->vectors / 2 : d->vectors), 1);
}

/* Strips of a row that parts can be cut between: a last one that overlaps the one before goes with it. */
static int64_t strips_of(const struct depthwise *d)
{
    const int64_t outputs = d->kernel[0]->outputs, left = d->c.ow % outputs;
    return ceil_div(d->c.ow, outputs) - (left % d->kernel[1]->outputs != 0);
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

/* Output rows whose rows of x, copied, fit a block. */
static int64_t rows_of_band(const struct correlation *c, const struct image *image)
{
    const struct window first = window_of(c, 0, 1);
    const int64_t times = repeats(c) ? 1 : c->k;
    const int64_t row_bytes = band_elements(image, &first) * times / reach(c, 0, 1) * (int64_t)image->item;
    return min64(max64((BLOCK_BYTES / row_bytes - reach(c, 0, 1)) / c->stride[0], 1), c->oh);
}

/* Going down the columns of a block, each row of x stays in the first-level cache until its last tap. Neighbouring
 * strips of a few vectors of channels did best, in and out of the second-level cache: as many as fit, 2 to 6. */
static void fit_columns(struct depthwise *d)
{
    const struct correlation *c = &d->c;
    const int64_t outputs = d->kernel[0]->outputs, strips = strips_of(d);
    const int64_t columns = min64(min64(reach(c, 1, outputs), outputs * c->taps[1]), c->x.w);
    const int64_t rows = min64(c->taps[0], c->x.h); /* 0, as the columns, if all is padding */
    const int64_t bytes = max64(columns * rows, 1) * c->kernels->vl * (int64_t)c->x.item;
    const int64_t vectors = min64(max64(min64(CACHED_BYTES / bytes, 6), 2), d->vectors);
    d->chunks = limit_parts(d, ceil_div(d->vectors, vectors));
    d->col_parts = min64(ceil_div(strips, max64(CACHED_BYTES / (bytes * vectors), 1)), strips);
}

/* Vectors of a chunk whose channels are copied to where they lie side by side: as many as leave the copy several times the
 * rows that the next one copies again. 0 if a copy does not pay, or would be large. */
static int64_t compact_vectors(const struct depthwise *d)
{
    const struct correlation *c = &d->c;
    const int64_t height = reach(c, 0, 1), rows = min64(3 * height, c->x.h), width = min64(reach(c, 1, c->ow), c->x.w);
    const int64_t row_bytes = max64(width, 1) * c->kernels->vl * (int64_t)c->x.item;
    const bool near = c->dilation[0] == 1 && c->dilation[1] == 1 && c->k == 1;
    return near && 2 * height <= BLOCK_BYTES / row_bytes && crowded(c, d->kernel[0])
               ? max64(min64(BLOCK_BYTES / row_bytes / max64(rows, 1), 8), 2) : 0;
}

static void fit_compact(struct depthwise *d, int64_t vectors)
{
    const struct correlation *c = &d->c;
    const int64_t vl = c->kernels->vl, width = min64(reach(c, 1, c->ow), c->x.w), height = reach(c, 0, 1);
    d->compact = true;
    d->chunks = limit_parts(d, ceil_div(d->vectors, vectors));
    const int64_t row = width * min64(ceil_div(d->vectors, d->chunks) * vl, d->channels);
    const int64_t rows = (BLOCK_BYTES / (row * (int64_t)c->x.item) - height) / c->stride[0] + 1;
    d->rows = min64(max64(rows, 1), c->oh);
    d->copy_elements = min64(reach(c, 0, d->rows), c->x.h) * row;
}

/* Images that come from memory are taken row by row, all channels, as they lie there, and asked for a row ahead: they
 * come several times as fast as in chunks. The rows of x that are in use stay in the second-level cache. With a stride,
 * which leaves less to do for each byte, it is down a few columns, a strip at least, for the first-level one. */
static void fit_stream(struct depthwise *d)
{
    const struct correlation *c = &d->c;
    const int64_t outputs = d->kernel[0]->outputs, strips = strips_of(d);
    const int64_t column = (reach(c, 0, 1) + c->stride[0]) * c->x.pixel * (int64_t)c->x.item;
    const int64_t columns = (c->stride[1] > 1 ? CACHED_BYTES : 2 * BLOCK_BYTES) / column - (reach(c, 1, 1) - 1);
    d->ahead = true;
    d->col_parts = min64(ceil_div(strips, max64(columns / (c->stride[1] * outputs), 1)), strips);
}

static int64_t bytes_of_images(const struct depthwise *d)
{
    const struct correlation *c = &d->c;
    return c->x.n * (c->x.h * c->x.w / c->k + c->oh * c->ow) * d->channels * (int64_t)c->x.item;
}

/* Whether the images come from memory. A large kernel had to be read from afar for each strip of a row of all channels:
 * that, with so many multiplications to do, would be the greater loss. */
static bool pays_to_stream(const struct depthwise *d)
{
    const struct correlation *c = &d->c;
    const int64_t kernel = c->taps[0] * c->taps[1] * d->channels * (int64_t)c->x.item;
    return bytes_of_images(d) > FAR_BYTES && kernel <= BLOCK_BYTES;
}

/* Whether y is better stored past the caches; an activation would read it again. */
static bool goes_past(const struct depthwise *d)
{
    const struct correlation *c = &d->c;
    const int64_t bytes_of_y = c->x.n * c->oh * c->ow * d->channels * (int64_t)c->kernels->item;
    return c->kernels->stores_past && pays_to_pass(bytes_of_images(d), bytes_of_y) &&
           c->activation.kind == CHANCONV_IDENTITY &&
           lies_at_line(c->y, d->channels | c->y_pixel | c->y_row | c->y_image, c->kernels->item);
}

/* Whether what a strip takes longest for is to load x, so that it matters where that lies: with a stride each column of x is
 * multiplied by few taps. */
static bool loads_limit(const struct depthwise *d) { return d->c.stride[1] > 1 && d->c.k == 1; }

/* How the work is cut; the sums are the same. With a stride, a copy of what comes from memory takes longer than it
 * saves, unless all pixels fall on one or two sets of the cache. */
static void fit(struct depthwise *d)
{
    const struct correlation *c = &d->c;
    const int64_t vectors = compact_vectors(d);
    const bool stream = pays_to_stream(d), two_sets = c->x.pixel * (int64_t)c->x.item % (SETS_BYTES / 2) == 0;
    const bool compact = vectors && !(stream && c->stride[1] > 1 && !two_sets);
    d->past = goes_past(d);
    if (loads_limit(d) && !compact && !d->past && (!stream || crowded(c, d->kernel[0]))) {
        d->shift = line_shift(&c->x, d->channels, c->kernels);
        d->vectors = ceil_div(d->channels + d->shift, c->kernels->vl);
    }
    if (compact) {
        fit_compact(d, vectors);
    } else if (stream) {
        fit_stream(d);
    } else {
        fit_columns(d);
    }
}

static struct depthwise plan(const struct correlation *c, int threads)
{
    struct depthwise d = {.c = *c, .channels = c->groups * c->x.c * c->k, .chunks = 1, .col_parts = 1, .rows = c->oh};
    const struct image image = all_channels(c);
    const struct window all = window_of(c, 0, c->oh);
    const bool within = inside(&image, &all);
    find_strips(c, d.kernel);
    d.vectors = ceil_div(d.channels, c->kernels->vl);
    d.clip = c->x.mode == CHANCONV_ZEROS && !within;
    d.padded = c->x.mode != CHANCONV_ZEROS && !within;
    d.repeat = c->k > 1 && !repeats(c);
    if (d.padded || d.repeat) {
        d.rows = rows_of_band(c, &image);
    } else if (c->x.c == 1) {
        fit(&d);
    }
    const int64_t units = c->x.n * d.chunks * d.col_parts * ceil_div(c->oh, d.rows);
    if (threads > 1 && units < 4 * threads) {
        d.rows = max64(ceil_div(d.rows * units, 4 * threads), min64(4, c->oh));
    }
    d.row_blocks = ceil_div(c->oh, d.rows);
    d.rows = ceil_div(c->oh, d.row_blocks);
    const struct window first = window_of(c, 0, d.rows);
    d.copy_elements = d.padded ? band_elements(&image, &first) : d.copy_elements;
    d.repeated_elements = d.repeat ? band_elements(&image, &first) * c->k : 0;
    d.row_elements = c->x.c > 1 ? c->ow * d.channels : 0;
    return d;
}

static int64_t units_of(const struct depthwise *d) { return d->c.x.n * d->row_blocks * d->col_parts * d->chunks; }

static int64_t packed_elements(const struct depthwise *d)
{
    return d->vectors * d->c.kernels->vl * d->c.taps[0] * d->c.taps[1];
}

/* Wherever x and y lie. */
static int64_t depthwise_bytes(const struct depthwise *d, int threads)
{
    const struct correlation *c = &d->c;
    const int64_t lane = d->copy_elements + d->repeated_elements + d->row_elements, vl = c->kernels->vl;
    const int64_t shift = loads_limit(d) ? most_line_shift(&c->x, d->channels, c->kernels) : 0;
    const int64_t packed = ceil_div(d->channels + shift, vl) * vl * c->taps[0] * c->taps[1];
    return (packed + threads * lane) * (int64_t)c->kernels->item;
}

/* ---- Forward and gradient of x: the work ------------------------------------------------------------------------- */

/* The kernel as [vector][taps][lane]; the last vector ends with the last channel. Returns whether all is finite. */
static bool pack_kernel(const struct depthwise *d)
{
    const struct correlation *c = &d->c;
    const struct kernels *kernels = c->kernels;
    char *dst = d->packed;
    bool finite = true;
    for (int64_t v = 0; v < d->vectors; v++) {
        const int64_t channel = vector_channel(v, kernels->vl, d->shift, d->channels);
        for (int64_t r = 0; r < c->taps[0]; r++) {
            finite &= kernels->pack(dst, kernels->vl, at(c->kernel, r * c->kernel_tap[0] + channel, kernels->item),
                                    c->taps[1], kernels->vl, c->kernel_tap[1], 1);
            dst = at(dst, c->taps[1] * kernels->vl, kernels->item);
        }
    }
    return finite;
}

/* The rows of taps of output row i that meet x: *first to *end - 1. */
static void existing_taps(const struct depthwise *d, int64_t i, int64_t *first, int64_t *end)
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

/* What the row of outputs after the one whose rows of x begin at row `top` of the band reads, and this one does not: sets
 * the rows of *strip, returns how far the first of them lies from x's row `first`; of its columns the middle ones. */
static int64_t look_ahead(const struct depthwise *d, const struct band *band, int64_t top, int64_t first,
                          struct strip *strip)
{
    const struct correlation *c = &d->c;
    const int64_t height = reach(c, 0, 1), next = top + max64(height, c->stride[0]);
    strip->ahead_row = band->row;
    strip->ahead_dense = d->kernel[0]->stride > 1 && c->k == 1 && band->pixel == d->channels;
    strip->ahead_rows = d->ahead ? max64(min64(min64(height, c->stride[0]), c->x.h - band->top - next), 0) : 0;
    return strip->ahead_rows
               ? (next - first) * band->row + max64(reach(c, 1, 1) - c->stride[1], 0) / 2 * band->pixel : 0;
}

/* The strips of columns begin .. end - 1 of output row i. strip: set up for the block; band: its rows of x. */
static void run_row(const struct depthwise *d, const struct band *band, struct strip *strip, int64_t i, int64_t begin,
                    int64_t end, char *y)
{
    const struct correlation *c = &d->c;
    const size_t item = c->kernels->item;
    const int64_t outputs = d->kernel[0]->outputs, top = i * c->stride[0] + c->origin[0] - band->top;
    int64_t first, last;
    existing_taps(d, i, &first, &last);
    const int64_t ahead = look_ahead(d, band, top, top + first * c->dilation[0], strip);
    strip->rows = last - first;
    strip->kernel = at(d->packed, first * c->taps[1] * c->kernels->vl, item);
    for (int64_t done = begin; done < end; done += outputs) {
        const struct strip_kernel *kernel = c->ow - done < outputs ? d->kernel[1] : d->kernel[0];
        const int64_t col = min64(done, c->ow - kernel->outputs), left = col * c->stride[1] + c->origin[1];
        strip->column = left - (d->padded ? band->left : 0);
        strip->x = at(band->base, (top + first * c->dilation[0]) * band->row + (left - band->left) * band->pixel, item);
        strip->ahead = at(strip->x, ahead, item);
        strip->y = at(y, col * strip->y_pixel, item);
        kernel->run(strip);
    }
}

/* The window of rows of y or, where taps outside of x are left out, what x has of it. */
static struct window clipped_window(const struct depthwise *d, int64_t row, int64_t rows)
{
    const struct correlation *c = &d->c;
    struct window window = window_of(c, row, rows);
    if (d->clip) {
        clip(&window, c->x.h, c->x.w);
    }
    return window;
}

/* A copy of a chunk's channels; channel 0 would be at its base. */
static struct band compact_band(const struct depthwise *d, int64_t n, const struct window *window, int64_t chunk,
                                void *copy)
{
    const int64_t vl = d->c.kernels->vl, first = d->vectors * chunk / d->chunks * vl;
    struct image image = d->c.x;
    image.data = at(image.data, first, image.item);
    image.c = min64(d->vectors * (chunk + 1) / d->chunks * vl, d->channels) - first;
    struct band band = take_band(&image, n, window, true, copy);
    band.base = at(band.base, -first, image.item);
    return band;
}

/* x as the strips find it: in place, or rows with their padding written out, or with their channels repeated. */
static struct band band_of(const struct depthwise *d, int64_t n, int64_t row, int64_t rows, int64_t chunk, int lane)
{
    const struct correlation *c = &d->c;
    const struct image image = all_channels(c);
    const struct window window = clipped_window(d, row, rows);
    char *copy = at(d->bands, lane * (d->copy_elements + d->repeated_elements), image.item);
    char *repeated = at(copy, d->copy_elements, image.item);
    if (d->compact) {
        return compact_band(d, n, &window, chunk, copy);
    }
    struct band band = take_band(&image, n, &window, d->padded, copy);
    const int64_t width = window.right - window.left;
    for (int64_t r = 0; r < window.bottom - window.top && d->repeat; r++) {
        c->kernels->repeat_channels(width, d->channels, c->k, 0, at(band.base, r * band.row, image.item), band.pixel,
                                    at(repeated, r * width * d->channels, image.item));
    }
    return !d->repeat ? band : (struct band){.base = repeated, .top = window.top, .left = window.left,
                                            .row = width * d->channels, .pixel = d->channels};
}

/* One output row: a part of the strips and of the vectors, or all with their channels summed up. */
static void finish_row(const struct depthwise *d, const struct band *band, struct strip *strip, int64_t i,
                       int64_t begin, int64_t end, char *y, char *sums)
{
    const struct correlation *c = &d->c;
    const int64_t vl = c->kernels->vl, first = vector_channel(strip->vector, vl, d->shift, d->channels);
    const int64_t channels = vector_channel(strip->vectors - 1, vl, d->shift, d->channels) + vl - first;
    run_row(d, band, strip, i, begin, end, d->row_elements ? sums : y);
    if (d->row_elements) {
        c->kernels->sum_channels(c->ow, c->groups, c->x.c, sums, c->bias, y, c->y_pixel);
    }
    if (c->activation.kind != CHANCONV_IDENTITY) {
        activate_row(c->kernels, &c->activation, at(y, begin * c->y_pixel + first, c->kernels->item), end - begin,
                     channels, c->y_pixel);
    }
}

/* Unit i: chunks fastest, then columns, rows, images. */
static void run_unit(void *data, int lane, int64_t i)
{
    const struct depthwise *d = data;
    const struct correlation *c = &d->c;
    const int64_t strips = strips_of(d), outputs = d->kernel[0]->outputs, vl = c->kernels->vl;
    const int64_t chunk = i % d->chunks, part = i / d->chunks % d->col_parts, block = i / d->chunks / d->col_parts;
    const int64_t row = block % d->row_blocks * d->rows, rows = min64(d->rows, c->oh - row), n = block / d->row_blocks;
    const int64_t col = strips * part / d->col_parts * outputs;
    const int64_t end = part + 1 < d->col_parts ? strips * (part + 1) / d->col_parts * outputs : c->ow;
    const struct band band = band_of(d, n, row, rows, chunk, lane);
    struct strip strip = {
        .vector = d->vectors * chunk / d->chunks, .vectors = d->vectors * (chunk + 1) / d->chunks,
        .channels = d->channels, .shift = d->shift, .times = c->k, .taps = c->taps[1],
        .width = d->padded ? INT64_MAX / 2 : c->x.w, .stride = c->stride[1], .dilation = c->dilation[1],
        .x_row = c->dilation[0] * band.row, .x_pixel = band.pixel, .past = d->past,
        .kernel_vector = c->taps[0] * c->taps[1] * vl, .bias = d->row_elements ? NULL : c->bias,
        .y_pixel = d->row_elements ? d->channels : c->y_pixel,
    };
    for (int64_t oh = row; oh < row + rows; oh++) {
        finish_row(d, &band, &strip, oh, col, end, at(c->y, n * c->y_image + oh * c->y_row, c->kernels->item),
                   at(d->sums, lane * d->row_elements, c->kernels->item));
    }
    if (d->past) {
        finish_stores_past();
    }
}

static chanconv_status depthwise_correlate(chanconv_context *context, const struct correlation *c)
{
    if (c->x.n == 0 || c->oh < 1 || c->ow < 1) {
        return CHANCONV_OK;
    }
    const int threads = worthwhile_threads(context, correlation_flops(c));
    struct depthwise d = plan(c, threads);
    const size_t bytes = (size_t)depthwise_bytes(&d, threads);
    d.packed = take_scratch(context, bytes);
    if (!d.packed) {
        return CHANCONV_NO_MEMORY;
    }
    d.bands = at(d.packed, packed_elements(&d), c->kernels->item);
    d.sums = at(d.bands, threads * (d.copy_elements + d.repeated_elements), c->kernels->item);
    const bool finite = pack_kernel(&d), possible = finite || !d.clip;
    if (possible) {
        run_units(context, threads, units_of(&d), run_unit, &d);
    }
    release_scratch(context, d.packed, bytes);
    return possible ? CHANCONV_OK : CORRELATE_NOT_FINITE;
}

static int64_t correlate_bytes(const struct correlation *c, int threads)
{
    if (c->oh < 1 || c->ow < 1) {
        return 0;
    }
    const struct depthwise d = plan(c, threads);
    return depthwise_bytes(&d, threads);
}

static const struct correlator correlator = {.correlate = depthwise_correlate, .bytes = correlate_bytes};
/* ---- The algorithm ----------------------------------------------------------------------------------------------- */

static const char *decline(const struct geometry *g, chanconv_pass pass)
{
    if (g->groups != g->c || (g->c == 1 && g->k > 1)) {
        return "it convolves channels one by one";
    }
    if (g->k < kernels_for(g->dtype)->vl) {
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
        return can_spread(g) ? spread_gradient(context, g, arrays) : gradient_of_x(context, g, arrays, &correlator);
    }
    if (pass == CHANCONV_GRAD_KERNEL) {
        return depthwise_gradient(context, g, arrays);
    }
    const struct correlation c = forward_correlation(g, arrays);
    const chanconv_status status = depthwise_correlate(context, &c);
    return status == CORRELATE_NOT_FINITE ? algorithm_gemm.run(context, g, pass, arrays) : status;
}

static void plan_pass(const struct geometry *g, chanconv_pass pass, chanconv_plan *plan)
{
    const struct arrays none = {0};
    const struct correlation c = forward_correlation(g, &none);
    const struct strip_kernel *kernel[2];
    plan->tile[1] = (int32_t)c.kernels->vl;
    if (g->n == 0) {
        return;
    }
    if (pass == CHANCONV_GRAD_KERNEL) {
        plan_depthwise_gradient(g, plan);
        return;
    }
    find_strips(&c, kernel);
    plan->tile[0] = kernel[0]->outputs;
    plan->workspace_bytes = pass == CHANCONV_FORWARD ? correlate_bytes(&c, plan->threads)
                            : can_spread(g)          ? spread_gradient_bytes(g)
                                                     : gradient_of_x_bytes(g, plan->threads, &correlator);
}

const struct algorithm algorithm_depthwise = {
    .id = CHANCONV_DIRECT, .decline = decline, .plan = plan_pass, .run = run,
};

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Convolution of planes, and depthwise convolution of images with fewer channels than a vector has. A row of an image
 * is one run of numbers, whatever its channels, and lies across the vector: tap s of a row is the same run,
 * s * dilation pixels on. Vectors begin at multiples of the number of channels: a lane is always the same channel.
 *
 * A row is read in place where all its taps lie within x. At the sides, and with a padding above or below, some columns
 * of a block of rows are copied to a band with the padding written out. With a stride, columns of the band are sorted
 * by their residue, so that neighbours in a vector are neighbours in memory. A dilation or stride of rows needs nothing
 * of the kind: rows of y that share no rows of x are tiles of their own.
 */
#include <string.h>

#include "gemm.h"

/* Rows of a block: so many tiles and no fewer than the least, or so many of a function that goes down any number. */
enum { TILES_DOWN = 4, ROWS_LEAST = 16, WALK_ROWS = 30, WALK_ROWS_FAR = 6 };

/* ---- The plan ---------------------------------------------------------------------------------------------------- */

struct plane {
    struct correlation c;
    int64_t channels, step;     /* step: lanes of a vector from which the next one begins */
    int64_t apart;              /* rows of y that share rows of x lie so many apart; 0: none do */
    int64_t vector_cols, tile_cols; /* pixels: a step, `vectors` steps */
    int vectors;
    int64_t rows, row_blocks;   /* of a block */
    bool dense;                 /* pixels of x and y lie side by side */
    int64_t left, middle;       /* so many columns, after the first `left`, are read in place where the rows allow it */
    int64_t middle_cols;        /* of them that are one part */
    int64_t band_cols;          /* columns that go through a band at once */
    int64_t residue;            /* elements of one residue of the columns in a sorted row */
    int64_t copy_elements, sorted_elements; /* of a band */
    int64_t *offset;            /* of each tap in a row */
    void *bands;                /* of each lane */
};

static int64_t reach(const struct correlation *c, int axis, int64_t outputs)
{
    return (outputs - 1) * c->stride[axis] + (c->taps[axis] - 1) * c->dilation[axis] + 1;
}

static struct window window_of(const struct plane *p, int64_t row, int64_t rows, int64_t col, int64_t cols)
{
    const struct correlation *c = &p->c;
    const int64_t top = row * c->stride[0] + c->origin[0], left = col * c->stride[1] + c->origin[1];
    return (struct window){top, top + reach(c, 0, rows), left, left + reach(c, 1, cols)};
}

/* If all taps of an axis fall on every g-th row or column of x, those alone are the image: with stride and dilation
 * divided by g. A single tap has any dilation. */
static void thin_out(struct correlation *c, int axis)
{
    const int64_t dilation = c->taps[axis] == 1 ? c->stride[axis] : c->dilation[axis];
    const int64_t g = gcd(c->stride[axis], dilation), first = ((c->origin[axis] % g) + g) % g;
    int64_t *size = axis ? &c->x.w : &c->x.h, *pitch = axis ? &c->x.pixel : &c->x.row;
    if (g == 1 || g > *size) { /* a distance of g may not even exist */
        return;
    }
    c->x.data = at(c->x.data, min64(first, *size) * *pitch, c->x.item);
    *size = ceil_div(max64(*size - first, 0), g);
    *pitch *= g;
    c->origin[axis] = (c->origin[axis] - first) / g;
    c->stride[axis] /= g;
    c->dilation[axis] = dilation / g;
}

/* The same correlation with the smallest strides and dilations. */
static struct correlation thinned(const struct correlation *correlation)
{
    struct correlation c = *correlation;
    for (int axis = 0; axis < 2 && (c.x.mode == CHANCONV_ZEROS || !reaches_outside(correlation)); axis++) {
        thin_out(&c, axis);
    }
    return c;
}

/* The image of all channels. */
static struct image all_channels(const struct correlation *c)
{
    struct image image = c->x;
    image.c = c->groups;
    return image;
}

static bool is_sorted(const struct plane *p) { return p->c.stride[1] > 1; }

/* Lanes that the last vector of a tile has beyond its step. */
static int64_t excess(const struct plane *p) { return p->c.kernels->vl - p->step; }

/* Columns that can be read in place if pixels lie side by side, in whole vectors that stay within the rows of x and y. With
 * columns at the sides that cannot, a row of a few tiles is copied as a whole sooner than it is computed in three parts. */
static void find_middle(struct plane *p)
{
    const struct correlation *c = &p->c;
    const int64_t pixels = ceil_div(excess(p), p->channels), last_tap = (c->taps[1] - 1) * c->dilation[1];
    const int64_t first = ceil_div(max64(-c->origin[1], 0), p->vector_cols) * p->vector_cols;
    const int64_t end = min64(c->x.w - last_tap - c->origin[1], c->ow) - pixels;
    const bool all = first == 0 && end == c->ow;
    p->left = p->middle = 0;
    if (!is_sorted(p) && end - first >= (all ? p->vector_cols : 4 * p->tile_cols)) {
        p->left = first;
        p->middle = (end - first) / p->vector_cols * p->vector_cols;
    }
    p->middle_cols = p->middle;
}

/* Columns of y whose rows of x, copied, fit a block. */
static void find_band(struct plane *p)
{
    const struct correlation *c = &p->c;
    const int64_t bytes = reach(c, 0, p->rows) * p->channels * (int64_t)c->x.item;
    const int64_t cols = (BLOCK_BYTES / bytes - reach(c, 1, 1)) / c->stride[1];
    p->band_cols = min64(max64(cols / p->tile_cols, 1) * p->tile_cols, c->ow);
    p->residue = ceil_div(reach(c, 1, p->band_cols), c->stride[1]) * p->channels;
    const int64_t beyond = (p->vectors + 1) * c->kernels->vl;
    p->copy_elements = reach(c, 0, p->rows) * reach(c, 1, p->band_cols) * p->channels + beyond;
    p->sorted_elements = is_sorted(p) ? reach(c, 0, p->rows) * p->residue * c->stride[1] + beyond : 0;
}

static struct plane plan(const struct correlation *c, int vectors, int64_t rows)
{
    const int64_t channels = c->groups, vl = c->kernels->vl;
    struct plane p = {.c = *c, .channels = channels, .step = vl / channels * channels, .vectors = vectors};
    p.apart = c->stride[0] == 1 ? c->dilation[0] : 0;
    p.vector_cols = p.step / channels;
    p.tile_cols = vectors * p.vector_cols;
    p.rows = min64(rows * max64(p.apart, 1), c->oh);
    p.row_blocks = ceil_div(c->oh, p.rows);
    p.dense = c->x.pixel == channels && c->y_pixel == channels;
    find_middle(&p);
    find_band(&p);
    return p;
}

/* Distances of taps in a row of x; those of columns in a sorted row. */
static void list_offsets(const struct plane *p)
{
    const struct correlation *c = &p->c;
    for (int64_t s = 0; s < c->taps[1]; s++) {
        const int64_t col = s * c->dilation[1];
        p->offset[s] = col % c->stride[1] * p->residue + col / c->stride[1] * p->channels;
    }
}

static int64_t offset_elements(const struct plane *p)
{
    return ceil_div(p->c.taps[1] * (int64_t)sizeof *p->offset, (int64_t)p->c.x.item);
}

/* ---- Rows of x --------------------------------------------------------------------------------------------------- */

/* Some columns of a block of rows of y, and where their taps begin in x. */
struct part {
    int64_t n, row, rows, col, cols;
    const void *x;
    int64_t x_row;
    bool in_place;
};

static void place_in_place(const struct plane *p, struct part *part)
{
    const struct correlation *c = &p->c;
    const int64_t top = part->row * c->stride[0] + c->origin[0], left = part->col + c->origin[1];
    part->x = at(c->x.data, part->n * c->x.image + top * c->x.row + left * c->x.pixel, c->x.item);
    part->x_row = c->x.row;
    part->in_place = true;
}

/* A row of x, from column `left` on, with its columns sorted by residue, and zeros where there are none and after each
 * residue. row: NULL for zeros. */
static void sort_row(const struct plane *p, const struct image *image, const char *row, int64_t left, int64_t cols,
                     char *dst)
{
    const int64_t stride = p->c.stride[1], channels = p->channels;
    for (int64_t residue = 0; residue < stride; residue++, dst = at(dst, p->residue, image->item)) {
        const int64_t first_col = left + residue, count = residue < cols ? (cols - 1 - residue) / stride + 1 : 0;
        const int64_t first = min64(first_col < 0 ? ceil_div(-first_col, stride) : 0, count);
        const int64_t there = image->w > first_col ? ceil_div(image->w - first_col, stride) : 0;
        const int64_t end = row ? max64(min64(there, count), first) : first;
        memset(dst, 0, (size_t)(first * channels) * image->item);
        if (end > first) {
            const char *src = at(row, (first_col + first * stride) * image->pixel, image->item);
            p->c.kernels->move_pixels(end - first, channels, src, stride * image->pixel,
                                      at(dst, first * channels, image->item), channels);
        }
        memset(at(dst, end * channels, image->item), 0, (size_t)(p->residue - end * channels) * image->item);
    }
}

/* The rows of a window with their columns sorted; where the padding is no zeros, by way of a copy with the padding. */
static void sort_columns(const struct plane *p, int64_t n, const struct window *window, void *copy, void *dst)
{
    struct image image = all_channels(&p->c);
    struct window from = *window;
    const char *x = at(image.data, n * image.image, image.item);
    const int64_t cols = window->right - window->left;
    if (image.mode != CHANCONV_ZEROS && !inside(&image, window)) {
        x = take_band(&image, n, window, true, copy).base;
        image.pixel = p->channels;
        image.row = cols * p->channels;
        image.h = window->bottom - window->top;
        image.w = cols;
        from = (struct window){0, image.h, 0, cols};
    }
    for (int64_t r = from.top; r < from.bottom; r++, dst = at(dst, p->residue * p->c.stride[1], image.item)) {
        const char *row = r >= 0 && r < image.h ? at(x, r * image.row, image.item) : NULL;
        sort_row(p, &image, row, from.left, cols, dst);
    }
}

static void place_in_band(const struct plane *p, struct part *part, int lane)
{
    const struct correlation *c = &p->c;
    const struct image image = all_channels(c);
    const struct window window = window_of(p, part->row, part->rows, part->col, part->cols);
    const int64_t beyond = (p->vectors + 1) * c->kernels->vl;
    char *copy = at(p->bands, lane * (p->copy_elements + p->sorted_elements), image.item);
    char *sorted = at(copy, p->copy_elements, image.item), *end;
    part->in_place = false;
    if (is_sorted(p)) {
        sort_columns(p, part->n, &window, copy, sorted);
        part->x = sorted;
        part->x_row = p->residue * c->stride[1];
        end = at(sorted, (window.bottom - window.top) * part->x_row, image.item);
    } else {
        part->x_row = take_band(&image, part->n, &window, true, copy).row;
        part->x = copy;
        end = at(copy, band_elements(&image, &window), image.item);
    }
    memset(end, 0, (size_t)beyond * image.item);
}

/* Calls run for all parts of a block of rows: what lies in the middle in place, the rest through bands. */
static void for_parts(const struct plane *p, int64_t n, int64_t row, int64_t rows, int lane,
                      void (*run)(const struct plane *p, const struct part *part, int lane, void *data), void *data)
{
    const struct correlation *c = &p->c;
    const int64_t top = row * c->stride[0] + c->origin[0];
    const bool within = top >= 0 && top + reach(c, 0, rows) <= c->x.h;
    struct part part = {.n = n, .row = row, .rows = rows};
    while (part.col < c->ow) {
        const int64_t right = p->left + p->middle;
        if (within && part.col >= p->left && part.col < right) {
            part.cols = min64(p->middle_cols, right - part.col);
            if (p->dense) {
                place_in_place(p, &part);
            } else {
                place_in_band(p, &part, lane);
            }
        } else {
            const int64_t end = within && part.col < p->left ? p->left : c->ow;
            part.cols = min64(p->band_cols, end - part.col);
            place_in_band(p, &part, lane);
        }
        run(p, &part, lane, data);
        part.col += part.cols;
    }
}

/* ---- Forward and gradient of x ----------------------------------------------------------------------------------- */

struct tiles {
    struct plane p;
    const struct plane_kernel *kernel; /* the tallest tile that is used, */
    const struct plane_walk *walk;     /* or a function that goes down any number of rows, and one a vector wide */
    void *weights, *bias;
};

/* Cycles of an output, as if two products or two loads of vectors began at once; loads of x often cross cache lines. */
static double tile_cost(const struct correlation *c, const struct plane_kernel *k, int64_t tile_cols)
{
    const double taps = (double)(c->taps[0] * c->taps[1]), rows = (double)(c->taps[0] + k->rows - 1);
    const double products = taps * k->rows * k->vectors;
    const double loads = (double)c->taps[1] * rows * k->vectors * 1.6 + taps * k->rows;
    const double tiles = (double)ceil_div(c->ow, tile_cols) / (double)k->rows;
    return tiles * ((products > loads ? products : loads) + 4 * rows);
}

static const struct plane_kernel *choose_tile(const struct correlation *c)
{
    const int64_t pixels = c->kernels->vl / c->groups;
    const int64_t tallest = c->stride[0] == 1 ? min64(c->taps[0], ceil_div(c->oh, c->dilation[0])) : 1;
    const struct plane_kernel *best = NULL;
    double least = 0;
    for (const struct plane_kernel *k = c->kernels->plane_tiles; k->run[0]; k++) {
        const double cost = tile_cost(c, k, k->vectors * pixels);
        if (k->rows <= tallest && (!best || cost < least)) {
            best = k;
            least = cost;
        }
    }
    return best;
}

/* The widest function that goes down the rows, or NULL. Few rows are not worth the ones it computes in vain. */
static const struct plane_walk *choose_walk(const struct correlation *c)
{
    if (c->stride[0] > 1 || c->oh / c->dilation[0] < 2 * c->taps[0]) {
        return NULL;
    }
    const struct plane_walk *w = c->kernels->plane_walks;
    while (w->run[0] && (w->rows != c->taps[0] || w->taps != c->taps[1])) {
        w++;
    }
    return w->run[0] ? w : NULL;
}

/* Rows that it goes down: many, as those of x above and below them are read once more for the next ones. But of images that
 * come from memory few, unless each step is some lines wide: a processor foresees the next line of about eight rows, and
 * without that such planes take 2 to 4 times as long. */
static int64_t walk_rows(const struct correlation *c, const struct plane_walk *walk)
{
    const int64_t item = (int64_t)c->x.item, images = c->x.n * c->x.h * c->x.w * c->groups * item;
    return images > CORE_BYTES && walk->vectors * c->kernels->vl * item < 4 * CACHE_LINE ? WALK_ROWS_FAR : WALK_ROWS;
}

/* How some rows are computed: so many at a time, so far apart, by a function for `vectors` and one for a vector. */
struct down {
    int64_t rows, apart;
    plane_tile_fn *wide, *narrow;
};

static const struct plane_kernel *tile_for(const struct tiles *t, int vectors, int64_t rows)
{
    const struct plane_kernel *k = t->p.c.kernels->plane_tiles;
    while (k->vectors != vectors || k->rows > min64(rows, t->kernel->rows)) {
        k++;
    }
    return k;
}

/* rows: that are left and share rows of x, apart from each other. */
static struct down down_for(const struct tiles *t, int64_t rows, int64_t apart)
{
    const bool single = t->p.channels == 1;
    if (t->walk) {
        const struct plane_walk *narrow = t->walk;
        while (narrow->vectors > 1) {
            narrow++;
        }
        return (struct down){rows, apart, t->walk->run[single], narrow->run[single]};
    }
    const struct plane_kernel *wide = tile_for(t, t->kernel->vectors, rows);
    return (struct down){wide->rows, apart, wide->run[single], tile_for(t, 1, wide->rows)->run[single]};
}

/* A tile whose vectors would run over the end of the row, or whose pixels are not next to each other in y. */
static void run_aside(const struct plane *p, plane_tile_fn *run, struct plane_tile tile, int64_t cols)
{
    _Alignas(CACHE_LINE) char buffer[WALK_ROWS * PLANE_VECTORS_MAX * 64];
    const struct correlation *c = &p->c;
    char *y = tile.y;
    const int64_t y_row = tile.y_row;
    tile.y = buffer;
    tile.y_row = p->vectors * c->kernels->vl;
    run(&tile);
    for (int64_t i = 0; i < tile.count; i++) {
        c->kernels->move_pixels(cols, p->channels, at(buffer, i * tile.y_row, c->x.item), p->channels,
                                at(y, i * y_row, c->x.item), c->y_pixel);
    }
}

/* The tiles of some rows of y from row `first` of the part. */
static void run_tiles(const struct tiles *t, const struct part *part, int64_t first, const struct down *down)
{
    const struct plane *p = &t->p;
    const struct correlation *c = &p->c;
    const int64_t channels = p->channels, vl = c->kernels->vl;
    struct plane_tile tile = {
        .rows = c->taps[0], .taps = c->taps[1], .offset = p->offset, .step = p->step,
        .x_row = c->dilation[0] * part->x_row, .kernel = t->weights, .bias = t->bias,
        .y_row = down->apart * c->y_row, .count = down->rows, .x_down = c->stride[0] * down->apart * part->x_row,
        .near = c->dilation[1] == 1 && !is_sorted(p),
    };
    for (int64_t col = 0, cols; col < part->cols; col += cols) {
        if (col > 0 && part->cols >= p->tile_cols && part->cols - col > p->vector_cols) {
            col = min64(col, part->cols - p->tile_cols); /* the last tile may overlap the one before */
        }
        const bool wide = part->cols - col >= p->tile_cols;
        const int64_t y = part->n * c->y_image + (part->row + first) * c->y_row + (part->col + col) * c->y_pixel;
        const int64_t beyond = wide ? (p->vectors - 1) * p->step + vl : vl, each = wide ? p->tile_cols : p->vector_cols;
        const int64_t left = (c->ow - part->col - col) * channels;
        const bool whole = c->y_pixel == channels && left >= beyond;
        tile.across = whole ? max64((part->cols - col) / each, 1) : 1;
        tile.across -= whole && (tile.across - 1) * each * channels + beyond > left; /* the last one would run over */
        cols = tile.across * each;
        tile.x = at(part->x, first * c->stride[0] * part->x_row + col * channels, c->x.item);
        tile.y = at(c->y, y, c->x.item);
        if (whole) {
            (wide ? down->wide : down->narrow)(&tile);
        } else {
            run_aside(p, wide ? down->wide : down->narrow, tile, min64(cols, part->cols - col));
        }
    }
}

/* Rows that share no rows of x are computed one by one, in any order. */
static void run_rows(const struct tiles *t, const struct part *part)
{
    struct down down = down_for(t, 1, 1);
    for (int64_t row = 0; row < part->rows; row += down.rows) {
        down.rows = min64(part->rows - row, WALK_ROWS);
        run_tiles(t, part, row, &down);
    }
}

static void run_part(const struct plane *p, const struct part *part, int lane, void *data)
{
    const struct tiles *t = data;
    (void)lane;
    if (!t->walk && t->kernel->rows == 1) {
        run_rows(t, part);
        return;
    }
    for (int64_t first = 0; first < min64(p->apart, part->rows); first++) {
        int64_t rows = (part->rows - 1 - first) / p->apart + 1, row = first;
        while (rows > 0) {
            const struct down down = down_for(t, rows, p->apart);
            run_tiles(t, part, row, &down);
            rows -= down.rows;
            row += down.rows * p->apart;
        }
    }
}

static void run_unit(void *data, int lane, int64_t i)
{
    struct tiles *t = data;
    const struct correlation *c = &t->p.c;
    const int64_t n = i / t->p.row_blocks, row = i % t->p.row_blocks * t->p.rows, rows = min64(t->p.rows, c->oh - row);
    for_parts(&t->p, n, row, rows, lane, run_part, t);
    for (int64_t oh = row; oh < row + rows && c->activation.kind != CHANCONV_IDENTITY; oh++) {
        activate_row(c->kernels, &c->activation, at(c->y, n * c->y_image + oh * c->y_row, c->x.item), c->ow,
                     t->p.channels, c->y_pixel);
    }
}

/* `channels` numbers again and again, as lanes of a vector. */
static void repeat(const struct plane *p, const void *src, void *dst)
{
    for (int64_t lane = 0; lane < p->c.kernels->vl; lane++) {
        memcpy(at(dst, lane, p->c.x.item), at(src, lane % p->channels, p->c.x.item), p->c.x.item);
    }
}

static int64_t weight_elements(const struct plane *p) { return p->channels == 1 ? 1 : p->c.kernels->vl; }

/* The taps in order, and the bias. */
static void pack_weights(const struct tiles *t)
{
    const struct correlation *c = &t->p.c;
    const int64_t each = weight_elements(&t->p);
    for (int64_t i = 0; i < c->taps[0] * c->taps[1]; i++) {
        const int64_t tap = i / c->taps[1] * c->kernel_tap[0] + i % c->taps[1] * c->kernel_tap[1];
        const void *src = at(c->kernel, tap, c->x.item);
        if (each == 1) {
            memcpy(at(t->weights, i, c->x.item), src, c->x.item);
        } else {
            repeat(&t->p, src, at(t->weights, i * each, c->x.item));
        }
    }
    memset(t->bias, 0, (size_t)c->kernels->vl * c->x.item);
    if (c->bias) {
        repeat(&t->p, c->bias, t->bias);
    }
}

static struct tiles plan_tiles(const struct correlation *correlation)
{
    const struct correlation c = thinned(correlation);
    const struct plane_kernel *kernel = choose_tile(&c);
    const struct plane_walk *walk = choose_walk(&c);
    const int64_t rows = ceil_div(max64(TILES_DOWN * kernel->rows, ROWS_LEAST), kernel->rows) * kernel->rows;
    struct plane p = walk ? plan(&c, walk->vectors, walk_rows(&c, walk)) : plan(&c, kernel->vectors, rows);
    p.middle = p.dense ? p.middle : 0;
    return (struct tiles){.p = p, .kernel = kernel, .walk = walk};
}

static int64_t tiles_bytes(const struct tiles *t, int threads)
{
    const struct plane *p = &t->p;
    const int64_t weights = p->c.taps[0] * p->c.taps[1] * weight_elements(p) + p->c.kernels->vl;
    return (offset_elements(p) + weights + threads * (p->copy_elements + p->sorted_elements)) * (int64_t)p->c.x.item;
}

static int64_t plane_bytes(const struct correlation *c, int threads)
{
    if (c->oh < 1 || c->ow < 1) {
        return 0;
    }
    const struct tiles t = plan_tiles(c);
    return tiles_bytes(&t, threads);
}

static chanconv_status plane_correlate(chanconv_context *context, const struct correlation *c)
{
    if (c->x.n == 0 || c->oh < 1 || c->ow < 1) {
        return CHANCONV_OK;
    }
    const int threads = worthwhile_threads(context, correlation_flops(c));
    struct tiles t = plan_tiles(c);
    const int64_t taps = c->taps[0] * c->taps[1] * weight_elements(&t.p);
    const size_t bytes = (size_t)tiles_bytes(&t, threads);
    t.p.offset = take_scratch(context, bytes);
    if (!t.p.offset) {
        return CHANCONV_NO_MEMORY;
    }
    t.weights = at(t.p.offset, offset_elements(&t.p), c->x.item);
    t.bias = at(t.weights, taps, c->x.item);
    t.p.bands = at(t.bias, c->kernels->vl, c->x.item);
    list_offsets(&t.p);
    pack_weights(&t);
    const bool possible = !c->bounded || !reaches_outside(c) || c->kernels->finite(taps, t.weights);
    if (possible) {
        run_units(context, threads, c->x.n * t.p.row_blocks, run_unit, &t);
    }
    release_scratch(context, t.p.offset, bytes);
    return possible ? CHANCONV_OK : CORRELATE_NOT_FINITE;
}

const struct correlator plane_correlator = {.correlate = plane_correlate, .bytes = plane_bytes};

/* ---- Gradient of the kernel -------------------------------------------------------------------------------------- */

/* Blocks of rows are dealt out to at most so many sums, which are added up in the end. */
enum { SPLITS_MAX = 8 };

struct sums {
    struct plane p;
    const struct plane_sums_kernel *kernel;
    int64_t down, across;       /* parts of the taps */
    int64_t splits;
    int64_t y_elements;         /* of a lane: grad_y of a part, with zeros after its rows */
    void *sums, *y;             /* sums: [split][down][across][rows of taps][taps][lane] */
};

static const struct plane_sums_kernel *choose_sums(const struct correlation *c)
{
    const struct plane_sums_kernel *best = NULL;
    double least = 0;
    for (const struct plane_sums_kernel *k = c->kernels->plane_sums; k->run; k++) {
        /* Products, and loads of x that often cross cache lines. */
        const int64_t down = ceil_div(c->taps[0], k->rows), across = ceil_div(c->taps[1], k->taps);
        const double cost = (double)across * ((double)(c->taps[0] * k->taps) +
                                              (double)down * (1.6 * k->taps + k->rows));
        if (!best || cost < least) {
            best = k;
            least = cost;
        }
    }
    return best;
}

static int64_t sums_of_part(const struct sums *t) { return t->kernel->rows * t->kernel->taps * t->p.c.kernels->vl; }

static int64_t sums_elements(const struct sums *t) { return t->down * t->across * sums_of_part(t); }

/* Elements of a row of grad_y with zeros up to the last vector's end. */
static int64_t padded_row(const struct plane *p, int64_t cols)
{
    return ceil_div(cols * p->channels, p->step) * p->step + p->c.kernels->vl;
}

static struct sums plan_sums(const struct geometry *g, const struct arrays *arrays)
{
    const struct correlation all = forward_correlation(g, arrays), c = thinned(&all);
    struct sums t = {.kernel = choose_sums(&c)};
    t.p = plan(&c, 1, 8 * TILES_DOWN);
    t.p.middle_cols = t.p.band_cols; /* so that it can be copied: parts, which give sums their order, are those of dense images */
    t.down = ceil_div(c.taps[0], t.kernel->rows);
    t.across = ceil_div(c.taps[1], t.kernel->taps);
    t.splits = max64(min64(SPLITS_MAX, g->n * t.p.row_blocks), 1);
    t.y_elements = t.p.rows * padded_row(&t.p, t.p.band_cols);
    return t;
}

static int64_t sums_bytes(const struct sums *t, int threads)
{
    const struct plane *p = &t->p;
    const int64_t lanes = threads * (p->copy_elements + p->sorted_elements + t->y_elements);
    return (offset_elements(p) + t->splits * sums_elements(t) + lanes) * (int64_t)p->c.x.item;
}

/* Some rows of grad_y that share rows of x, and their x. */
static void add_rows(const struct sums *t, struct plane_sums sums, void *all)
{
    const struct correlation *c = &t->p.c;
    const struct plane_sums_kernel *k = t->kernel;
    const void *x = sums.x;
    for (int64_t i = 0; i < t->down * t->across; i++) {
        const int64_t r = i / t->across * k->rows, s = i % t->across * k->taps;
        int64_t offset[PLANE_TAPS_MAX];
        for (int tap = 0; tap < k->taps; tap++) { /* taps beyond the last are thrown away */
            offset[tap] = t->p.offset[min64(s + tap, c->taps[1] - 1)];
        }
        sums.offset = offset;
        sums.x = at(x, r * sums.x_row, c->x.item);
        sums.tap_rows = (UINT64_C(1) << min64(k->rows, c->taps[0] - r)) - 1;
        sums.sums = at(all, i * sums_of_part(t), c->x.item);
        k->run(&sums);
    }
}

/* Copies grad_y of a part, each row followed by zeros. */
static void copy_y(const struct sums *t, const struct part *part, char *dst, int64_t row)
{
    const struct correlation *c = &t->p.c;
    const int64_t channels = t->p.channels, used = part->cols * channels;
    for (int64_t i = 0; i < part->rows; i++, dst = at(dst, row, c->x.item)) {
        const int64_t y = part->n * c->y_image + (part->row + i) * c->y_row + part->col * c->y_pixel;
        c->kernels->move_pixels(part->cols, channels, at(c->y, y, c->x.item), c->y_pixel, dst, channels);
        memset(at(dst, used, c->x.item), 0, (size_t)(row - used) * c->x.item);
    }
}

struct target {
    const struct sums *t;
    void *sums;
};

static void add_part(const struct plane *p, const struct part *part, int lane, void *data)
{
    const struct target *target = data;
    const struct sums *t = target->t;
    const struct correlation *c = &p->c;
    const int64_t y = part->n * c->y_image + part->row * c->y_row + part->col * c->y_pixel;
    const int64_t y_row = part->in_place ? c->y_row : padded_row(p, part->cols);
    const int64_t apart = p->apart ? p->apart : part->rows;
    char *copy = at(t->y, lane * t->y_elements, c->x.item), *base = part->in_place ? at(c->y, y, c->x.item) : copy;
    if (!part->in_place) {
        copy_y(t, part, copy, y_row);
    }
    for (int64_t first = 0; first < min64(apart, part->rows); first++) {
        const struct plane_sums sums = {
            .rows = (part->rows - 1 - first) / apart + 1, .count = part->cols * p->channels, .step = p->step,
            .x = at(part->x, first * c->stride[0] * part->x_row, c->x.item), .x_row = c->dilation[0] * part->x_row,
            .y = at(base, first * y_row, c->x.item), .y_row = apart * y_row,
        };
        add_rows(t, sums, target->sums);
    }
}

static void run_sums(void *data, int lane, int64_t split)
{
    struct sums *t = data;
    const struct plane *p = &t->p;
    const int64_t blocks = p->c.x.n * p->row_blocks, end = blocks * (split + 1) / t->splits;
    struct target target = {.t = t, .sums = at(t->sums, split * sums_elements(t), p->c.x.item)};
    memset(target.sums, 0, (size_t)sums_elements(t) * p->c.x.item);
    for (int64_t i = blocks * split / t->splits; i < end; i++) {
        const int64_t row = i % p->row_blocks * p->rows;
        for_parts(p, i / p->row_blocks, row, min64(p->rows, p->c.oh - row), lane, add_part, &target);
    }
}

/* Adds up the splits, then the lanes of each tap, in order. Returns whether all is finite. */
static bool finish_sums(const struct sums *t, void *grad_kernel)
{
    const struct correlation *c = &t->p.c;
    const struct plane_sums_kernel *k = t->kernel;
    const int64_t channels = t->p.channels;
    for (int64_t split = 1; split < t->splits; split++) {
        c->kernels->add(sums_elements(t), at(t->sums, split * sums_elements(t), c->x.item), t->sums);
    }
    for (int64_t i = 0; i < c->taps[0] * c->taps[1]; i++) {
        const int64_t r = i / c->taps[1], s = i % c->taps[1], part = r / k->rows * t->across + s / k->taps;
        const int64_t tap = r % k->rows * k->taps + s % k->taps;
        const void *lanes = at(t->sums, part * sums_of_part(t) + tap * c->kernels->vl, c->x.item);
        void *dst = at(grad_kernel, i * channels, c->x.item);
        memcpy(dst, lanes, (size_t)channels * c->x.item);
        for (int64_t lane = channels; lane < t->p.step; lane += channels) {
            c->kernels->add(channels, at(lanes, lane, c->x.item), dst);
        }
    }
    return c->kernels->finite(c->taps[0] * c->taps[1] * channels, grad_kernel);
}

/* Zeros stand in for grad_y after the ends of rows, where x may have a NaN that no tap should see: if the gradient is
 * not finite, the general algorithm computes it again. */
static chanconv_status gradient(chanconv_context *context, const struct geometry *g, const struct arrays *arrays)
{
    if (g->n == 0) {
        memset(arrays->out, 0, (size_t)(g->kh * g->kw * g->c) * g->item);
        return CHANCONV_OK;
    }
    struct sums t = plan_sums(g, arrays);
    const int threads = worthwhile_threads(context, correlation_flops(&t.p.c));
    const size_t bytes = (size_t)sums_bytes(&t, threads);
    t.p.c.y = at(arrays->y, 0, g->item);
    t.p.offset = take_scratch(context, bytes);
    if (!t.p.offset) {
        return CHANCONV_NO_MEMORY;
    }
    t.sums = at(t.p.offset, offset_elements(&t.p), g->item);
    t.p.bands = at(t.sums, t.splits * sums_elements(&t), g->item);
    t.y = at(t.p.bands, threads * (t.p.copy_elements + t.p.sorted_elements), g->item);
    list_offsets(&t.p);
    run_units(context, threads, t.splits, run_sums, &t);
    const bool finite = finish_sums(&t, arrays->out);
    release_scratch(context, t.p.offset, bytes);
    return finite ? CHANCONV_OK : kernel_gradient(context, g, arrays->y, arrays->x, arrays->out);
}

/* ---- The algorithm ----------------------------------------------------------------------------------------------- */

static const char *decline(const struct geometry *g, chanconv_pass pass)
{
    (void)pass;
    if (g->groups != g->c || g->k != g->c) {
        return "it convolves channels one by one, with one kernel each where they are few";
    }
    return g->c >= kernels_for(g->dtype)->vl ? "a vector has no more lanes than there are channels" : NULL;
}

static chanconv_status run(chanconv_context *context, const struct geometry *g, chanconv_pass pass,
                           const struct arrays *arrays)
{
    if (pass == CHANCONV_GRAD_X) {
        return gradient_of_x(context, g, arrays, &plane_correlator);
    }
    if (pass == CHANCONV_GRAD_KERNEL) {
        return gradient(context, g, arrays);
    }
    const struct correlation c = forward_correlation(g, arrays);
    return plane_correlate(context, &c);
}

static void plan_pass(const struct geometry *g, chanconv_pass pass, chanconv_plan *plan)
{
    const struct arrays none = {0};
    const struct correlation c = forward_correlation(g, &none);
    if (g->n == 0) {
        return;
    }
    if (pass == CHANCONV_GRAD_KERNEL) {
        const struct sums t = plan_sums(g, &none);
        plan->tile[0] = t.kernel->rows * t.kernel->taps;
        plan->tile[1] = (int32_t)c.kernels->vl;
        plan->workspace_bytes = sums_bytes(&t, plan->threads);
        return;
    }
    const struct tiles t = plan_tiles(&c);
    plan->tile[0] = t.walk ? t.walk->rows : t.kernel->rows;
    plan->tile[1] = (int32_t)(t.p.vectors * c.kernels->vl);
    plan->workspace_bytes = pass == CHANCONV_FORWARD ? plane_bytes(&c, plan->threads)
                                                     : gradient_of_x_bytes(g, plan->threads, &plane_correlator);
}

const struct algorithm algorithm_plane = {.id = CHANCONV_DIRECT, .decline = decline, .plan = plan_pass, .run = run};

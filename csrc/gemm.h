/* SPDX-License-Identifier: BSD-3-Clause
 *
 * gemm.h - what the files of the blocked product share. One product serves all three passes; what differs is how a
 * register tile finds its rows:
 *
 *   forward             rows of A are output pixels: runs of x, taps and channels long       (correlation.c)
 *   gradient of x       the same on grad_y, once for each residue of the stride               (gemm.c, correlation.c)
 *   gradient of kernel  rows of A are channels of x, the reduction runs over output pixels    (kernel_gradient.c)
 *
 * The im2col matrix is never written. Rows of x are read in place where all their taps lie within x; otherwise a block
 * of padded rows is copied to a band first (band.c), which fits the second-level cache.
 */
#ifndef CHANCONV_GEMM_H
#define CHANCONV_GEMM_H

#include <stdatomic.h>

#include "internal.h"

#pragma GCC visibility push(hidden)

/* Bytes of x that one block works on: half of a second-level cache of the smaller kind. A constant, not the machine's:
 * where it decides the order of a sum, the bits must not depend on the machine's caches. */
enum { BLOCK_BYTES = 256 * 1024 };

/* Bytes that should stay in the first-level cache, of the smaller kind; addresses at a multiple of SETS_BYTES fall on the
 * same set of such a cache, which has WAYS lines. */
enum { CACHED_BYTES = 24 * 1024, SETS_BYTES = 4096, WAYS = 12 };

/* Bytes of x and y from which on they are likely not to be in a cache of the core. Such work is cut otherwise; its sums
 * are the same. */
enum { FAR_BYTES = 4 * 1024 * 1024 };

/* Bytes from which on an array is likely not to be in a second-level cache, whoever read or wrote it last. */
enum { CORE_BYTES = 1024 * 1024 };

/* Whether results are better stored past the caches: they are not read before, and leave the caches to what is read again. That
 * is where what is read and written has so many bytes that it is not in a cache when it is next read, but not for results so
 * large that their memory is mostly new: the system, as it zeroes a page, has just brought it into the cache. */
enum { PAST_BYTES = 24 * 1024 * 1024, NEW_BYTES = 32 * 1024 * 1024 };

static inline bool pays_to_pass(int64_t bytes, int64_t bytes_of_result)
{
    return bytes > PAST_BYTES && bytes_of_result <= NEW_BYTES;
}

/* Whether p lies at a cache line, and what is so far from it; pitches: of a set of them all bits. */
static inline bool lies_at_line(const void *p, int64_t pitches, size_t item)
{
    return ((uintptr_t)p | (uintptr_t)(pitches * (int64_t)item)) % CACHE_LINE == 0;
}

/* ---- Images and bands (band.c) ---- */

/* The images that a pass reads: [n][h][w][c of a group], padded by mode. */
struct image {
    const void *data;
    int64_t n, h, w, c;
    int64_t pixel, row, image;
    int64_t gap;                /* elements left between the pixels of a copy */
    int32_t mode;
    size_t item;
};

/* Rows of the padded image, counted from the first row of x, as a tile reads them. Row r starts at
 * base + (r - top) * row; its first column is `left`. */
struct band {
    const void *base;
    int64_t top, left;
    int64_t row, pixel;
};

/* The part of an image that a block touches: rows top .. bottom - 1, columns left .. right - 1 of the padded image. */
struct window {
    int64_t top, bottom, left, right;
};

/* What an image of h x w has of a window. */
static inline void clip(struct window *window, int64_t h, int64_t w)
{
    window->top = min64(max64(window->top, 0), h);
    window->bottom = max64(min64(window->bottom, h), window->top);
    window->left = min64(max64(window->left, 0), w);
    window->right = max64(min64(window->right, w), window->left);
}

/* Whether the window lies within x, so that its rows can be read in place. */
bool inside(const struct image *image, const struct window *window);

/* Elements of a copy of the window. */
int64_t band_elements(const struct image *image, const struct window *window);

/* The window of image i: in place, or (copy) copied to dst, with padding written out. */
struct band take_band(const struct image *image, int64_t i, const struct window *window, bool copy, void *dst);

/* ---- What is read next (ahead.c) ---- */

/* Memory that will be read next. Tiles ask for it while they compute, so many bytes a step, in the order in which it lies: of
 * that the processor reads on by itself, as it does not where tiles read several rows of a page side by side. */
struct stretch {
    const char *first;
    int64_t bytes, step;
};

/* What a block reads of some images: the same window of each. */
struct extent {
    int64_t image, images;
    struct window window;
};

/* What `next` reads that comes after what `now` reads, for so many steps of tiles. Nothing where images lie with gaps, or are
 * likely to be in a cache of the core anyhow. */
struct stretch stretch_after(const struct image *image, const struct extent *now, const struct extent *next, int64_t steps);

/* The tile asks for its share of what is left. */
void ask_for(struct stretch *stretch, struct tile *tile);

/* ---- Panels of B (panel.c) ---- */

/* Columns of a product in panels of `vectors` vectors: as many as the widest tile that is tall, an odd one out wider or
 * narrower. */
struct panel {
    int64_t first, columns; /* columns of the matrix */
    int vectors;            /* the panel is so many vectors wide: columns, padded */
};
int64_t panel_count(const struct kernels *kernels, int64_t columns);
struct panel panel_at(const struct kernels *kernels, int64_t columns, int64_t index);

/* Columns of all panels together: `columns` rounded up to vectors. */
int64_t padded_columns(const struct kernels *kernels, int64_t columns);

/* Rows of the tallest tile for the panel. */
static inline int64_t tallest(const struct kernels *kernels, const struct panel *panel)
{
    return kernels->mr_max[panel->vectors];
}

/* The tile for so many rows of the panel. Where the last vector has no more than half of its columns there may be one that
 * takes less time. */
static inline tile_fn *panel_tile(const struct kernels *kernels, const struct panel *panel, int64_t rows)
{
    const bool half = 2 * (panel->vectors * kernels->vl - panel->columns) >= kernels->vl;
    tile_fn *const *halves = kernels->half_tile[panel->vectors];
    return half && halves[rows] ? halves[rows] : kernels->tile[panel->vectors][rows];
}

/* ---- Units of work (panel.c) ---- */

/* Runs unit(data, lane, i) for i in 0 .. units - 1 on `lanes` threads; a lane does one unit at a time, so it can have
 * scratch memory of its own. */
void run_units(chanconv_context *context, int lanes, int64_t units, void (*unit)(void *data, int lane, int64_t i),
               void *data);

/* Threads worth taking for so much arithmetic. */
int worthwhile_threads(const chanconv_context *context, double flops);

/* ---- Correlation (correlation.c) ---- */

/* A stride-1-or-more correlation with part of a kernel:
 *   y[n][i][j][k] = sum over r < taps[0], s < taps[1], c of
 *                   x[n][i * stride[0] + r * dilation[0] + origin[0]][j * ...][c] * kernel(r, s, c, k)  + bias[k] */
struct correlation {
    const struct kernels *kernels;
    struct image x;             /* of the first group */
    int64_t taps[2], stride[2], dilation[2], origin[2];
    int64_t k;                  /* columns of a group */
    int64_t oh, ow;
    int64_t column;             /* from one output column to the next in x, if not stride[1] pixels; else 0 */
    void *y;
    int64_t y_pixel, y_row, y_image;
    const void *kernel;         /* kernel(r, s, c, k) at r * kernel_tap[0] + s * kernel_tap[1] + c * kernel_c + k * kernel_k */
    int64_t kernel_tap[2], kernel_c, kernel_k;
    int64_t groups, x_group, y_group, kernel_group; /* distance from one group to the next; bias: k */
    const void *bias;
    chanconv_activation activation;
    bool bounded;               /* taps outside x are no part of the sum at all, not even as zeros */
    bool padded;                /* x has zeros for such taps */
    bool apart;                 /* others' outputs lie between these */
    const struct prepared *prepared; /* the kernel as prepare_correlation() left it, or NULL */
};

/* A status of correlate() alone: the sum is bounded, and the kernel has a value that zeros would not cancel. */
#define CORRELATE_NOT_FINITE ((chanconv_status)-1)

chanconv_status correlate(chanconv_context *context, const struct correlation *correlation);

/* Bytes of scratch memory that correlate() takes with so many threads. */
int64_t correlation_bytes(const struct correlation *correlation, int threads);

/* The kernel in panels, group after group, as correlate() reads it: bytes, and the packing. */
int64_t prepared_correlation_bytes(const struct correlation *correlation);
void prepare_correlation(const struct correlation *correlation, struct prepared *prepared);
void prepare_with_threads(chanconv_context *context, int threads, const struct correlation *correlation,
                          struct prepared *prepared);

/* Whether what the outputs read lies in x one after the other, without a gap or an overlap: if x is dense it is a
 * matrix. */
bool is_row_of_patches(const struct correlation *correlation);

/* Whether a tap of some output lies outside x. */
bool reaches_outside(const struct correlation *correlation);

/* Multiplications and additions, taps on padding included. */
double correlation_flops(const struct correlation *correlation);

/* What correlate() takes for an output pixel, in multiplications and additions of vectors. */
double correlation_cost(const struct correlation *correlation);

/* Whether one image alone has so few outputs that its kernel is read where it lies, not packed. */
bool reads_kernel_in_place(const struct correlation *correlation);

/* Rows and columns of its register tile. */
void correlation_tile(const struct correlation *correlation, int32_t tile[2]);

/* ---- Correlations with small maps (patches.c) ---- */

/* Whether correlate() leaves it to correlate_patches(). */
bool prefers_patches(const struct correlation *correlation);
chanconv_status correlate_patches(chanconv_context *context, const struct correlation *correlation);

/* The correlation with the patches of so many of its images. */
struct correlation correlation_with_patches(const struct correlation *correlation, int64_t images, const void *patches);
int64_t patches_bytes(const struct correlation *correlation, int threads);

/* ---- Correlations with a single output (dense.c) ---- */

/* Whether correlate() leaves it to correlate_dense(). */
bool prefers_dense(const struct correlation *correlation);
chanconv_status correlate_dense(chanconv_context *context, const struct correlation *correlation);
int64_t dense_bytes(const struct correlation *correlation, int threads);

/* ---- Passes put as correlations (gemm.c) ---- */

/* What computes the correlations: correlate(), or functions like it. */
struct correlator {
    chanconv_status (*correlate)(chanconv_context *context, const struct correlation *correlation);
    int64_t (*bytes)(const struct correlation *correlation, int threads);
    int64_t (*prepared_bytes)(const struct correlation *correlation);
    void (*prepare)(const struct correlation *correlation, struct prepared *prepared);
};

extern const struct correlator plane_correlator; /* plane.c: groups of one channel each, fewer than lanes of a vector */

struct correlation forward_correlation(const struct geometry *geometry, const struct arrays *arrays);
chanconv_status gradient_of_x(chanconv_context *context, const struct geometry *geometry, const struct arrays *arrays,
                              const struct correlator *by);
int64_t gradient_of_x_bytes(const struct geometry *geometry, int threads, const struct correlator *by);
int64_t prepared_gradient_of_x_bytes(const struct geometry *geometry, const struct correlator *by);
void prepare_gradient_of_x(const struct geometry *geometry, const void *kernel, const struct correlator *by,
                           void *prepared);

/* ---- Strips of a row of outputs (strips.c) ---- */

/* A kernel that could compute the strips of a row: how special it is for the convolution, its outputs, and what a strip
 * takes, or the last one of a row. */
struct strip_option {
    const void *kernel;
    int rank, outputs;
    int64_t cost, last_cost;
};

enum { STRIP_OPTIONS_MAX = 32 };

/* Those that fit a row of so many outputs, of the highest rank there is. */
struct strip_options {
    int64_t row;
    int count;
    struct strip_option option[STRIP_OPTIONS_MAX];
};

/* What a strip takes: its outputs, at least so many, and about two more. One of another size, at the end of a row, takes one
 * more. */
static inline int64_t strip_cost(int64_t outputs, int64_t least) { return max64(outputs, least) + 2; }

void add_strip_option(struct strip_options *options, struct strip_option option);

/* Of them the two that cost least: of the strips, and of the last one of a row. */
void choose_strips(const struct strip_options *options, const void *best[2]);

/* ---- Vectors of channels (strips.c) ---- */

/* By how many channels vectors of so many channels of x begin earlier, so that no vector lies on two cache lines: 0 if that
 * cannot be, or there are so few that one more does not pay. And the most that it may be, wherever x lies. */
int64_t line_shift(const struct image *x, int64_t channels, const struct kernels *kernels);
int64_t most_line_shift(const struct image *x, int64_t channels, const struct kernels *kernels);

/* ---- Gradient of the kernel of a depthwise convolution (depthwise_gradient.c) ---- */

chanconv_status depthwise_gradient(chanconv_context *context, const struct geometry *geometry, const struct arrays *arrays);

/* Fills in tile[0] and workspace_bytes. */
void plan_depthwise_gradient(const struct geometry *geometry, chanconv_plan *plan);

/* Whether every output sees some of x: a NaN in grad_y then shows in a gradient of the kernel that leaves padding out. */
bool every_output_sees_x(const struct geometry *geometry);

/* ---- Correlations with few output channels (narrow.c) ---- */

/* `count` correlations of the same images, with the same stride, kernels and number of output channels. */
bool prefers_narrow(const struct correlation *correlations, int64_t count);

/* What that takes for an output pixel of all of them; INFINITY where it cannot. */
double narrow_cost(const struct correlation *correlations, int64_t count);
chanconv_status narrow_correlate(chanconv_context *context, const struct correlation *correlations, int64_t count);
int64_t narrow_bytes(const struct correlation *correlations, int64_t count, int threads);

/* ---- Gradient of x with few channels and a stride (scatter.c) ---- */

/* A rectangle of the padded x from row and column `first` on, and what its gradient is computed from. */
struct scatter {
    const struct geometry *g;
    const void *y, *kernel, *bias;
    int64_t first[2], size[2];
    void *x;
    int64_t x_pixel, x_row, x_image;
};

/* What it takes for a pixel of y, in multiplications and additions of vectors. */
double scatter_cost(const struct geometry *geometry);
chanconv_status scatter_gradient(chanconv_context *context, const struct scatter *scatter);
int64_t scatter_bytes(const struct scatter *scatter, int threads);

/* ---- Gradient of x of a strided depthwise convolution (spread.c) ---- */

/* Whether it has a kernel for this shape. */
bool can_spread(const struct geometry *geometry);
chanconv_status spread_gradient(chanconv_context *context, const struct geometry *geometry, const struct arrays *arrays);
int64_t spread_gradient_bytes(const struct geometry *geometry);

/* ---- Gradient of the kernel (kernel_gradient.c) ---- */

chanconv_status kernel_gradient(chanconv_context *context, const struct geometry *geometry, const void *grad_y,
                                const void *x, void *grad_kernel);
int64_t kernel_gradient_bytes(const struct geometry *geometry, int threads);

/* What it takes for an output pixel, in multiplications and additions of vectors. */
double kernel_gradient_cost(const struct geometry *geometry);

/* The same for few kernels (narrow_gradient.c). */
bool prefers_narrow_gradient(const struct geometry *geometry);
chanconv_status narrow_gradient(chanconv_context *context, const struct geometry *geometry, const void *grad_y,
                                const void *x, void *grad_kernel);
int64_t narrow_gradient_bytes(const struct geometry *geometry, int threads);

#pragma GCC visibility pop

#endif

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * internal.h - the map of the C library. Sections are titled by the file that defines what they declare.
 *
 * Letters: N images, H W height and width of x, C channels of x, KH KW height and width of a kernel, K kernels (channels
 * of y), OH OW height and width of y. Sizes and pitches are int64_t in elements; "bytes" is said where it is bytes.
 */
#ifndef CHANCONV_INTERNAL_H
#define CHANCONV_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chanconv.h"
#include "names.h"

/* The public functions are visible; everything from here on is the library's own. */
#pragma GCC visibility push(hidden)

#define CACHE_LINE 64

static inline int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t max64(int64_t a, int64_t b) { return a > b ? a : b; }
static inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; } /* a >= 0, b > 0 */
static inline int64_t gcd(int64_t a, int64_t b) { return b ? gcd(b, a % b) : a; }

/* An address `count` elements of `item` bytes after p; p may be NULL if count is 0. */
static inline void *at(const void *p, int64_t count, size_t item)
{
    return (void *)((uintptr_t)p + (uintptr_t)(count * (int64_t)item)); /* C has no NULL + 0 */
}

/* Asks for the cache line at p. A function of nothing but __builtin_prefetch() has no effect for GCC, which drops calls of
 * it; hence the empty statement. */
static inline void fetch_line(const void *p)
{
    __builtin_prefetch(p);
    __asm__ volatile("");
}

/* After stores past the caches: whatever this thread does next, others see them before it. */
static inline void finish_stores_past(void)
{
#if defined(__x86_64__)
    __builtin_ia32_sfence();
#endif
}

/* ---- error.c -------------------------------------------------------------------------------------------------------- */

/* Fills *error (may be NULL) with the argument's name and "argument: " + the formatted text; returns status. */
chanconv_status fail(chanconv_error *error, chanconv_status status, const char *argument, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* ---- cpu.c ----------------------------------------------------------------------------------------------------------- */

/* What the processor and the operating system allow; cpu_features() detects once, safely from any thread. */
enum cpu_feature { CPU_AVX2_FMA = 1 << 0, CPU_AVX512 = 1 << 1, CPU_NEON = 1 << 2 };

unsigned cpu_features(void);
const chanconv_cpu_info *cpu_info(void);

/* Adds what a directory like /sys/devices/system/cpu/cpu0/cache says: bytes of the data cache by level, 1 .. 3. */
void sysfs_caches(const char *directory, int64_t bytes[4]);

/* ---- processors.c ---------------------------------------------------------------------------------------------------- */

/* Processors that this process may use: affinity and cgroup quota; at least 1. */
int allowed_processors(void);

/* The quota in whole processors, 0 for none; `groups` is a file like /proc/self/cgroup, root like /sys/fs/cgroup. */
int64_t cgroup_limit(const char *groups, const char *root);

/* ---- environment.c --------------------------------------------------------------------------------------------------- */

enum { THREADS_MAX = 512 };

/* What the environment asks for; 0 and NULL where it asks for nothing, or for what cannot be had. */
struct environment {
    int threads;
    const char *threads_source; /* the variable that threads is from */
    const struct isa *isa;
};

const struct environment *environment(void);

/* ---- dispatch.c, kernels/ ---------------------------------------------------------------------------------------------
 * One struct kernels per instruction set and dtype, filled in by kernels/template.h.
 */

/* A run of the reduction of a product: where it starts in A and in B, in elements from their bases. */
struct segment {
    int64_t a, b;
};

/* One register tile, C[i][j] (+)= sum over segments s, p < length of A[s.a + i * a_row + p * a_col]
 *                                                                  * B[s.b + p * b_row + j]  (+ bias[j]);
 * rows i < MR and columns j < NR are fixed by the function. Reads and writes no more than that. */
struct tile {
    int64_t segments;
    const struct segment *segment;
    int64_t length;
    const void *a;
    int64_t a_row, a_col;
    const void *b;
    int64_t b_row;
    void *c;
    int64_t c_row;
    const void *bias;   /* NR values, or NULL */
    int64_t columns;    /* of C to write: 1 .. NR; the rest of the tile is thrown away */
    bool accumulate;    /* add to C */
    const void *ahead;  /* what is read later: fetched by tiles of several vectors, a line a step, by those of four two; or
                         * NULL */
    int64_t ahead_row;  /* bytes from the line of one step to that of the next */
    bool fetch;         /* C is far away: the places of tiles to come, as rows i >= MR, are loaded meanwhile */
    int64_t b_apart;    /* of tiles of four vectors: elements between the second and the third of a row of B */
};
typedef void tile_fn(const struct tile *tile);

enum { MR_MAX = 14, NV_MAX = 4 }; /* of any instruction set */
enum { DOT_COLUMNS = 4, DOT_SUMS = 24 }; /* of a tile of `dots` */

/* The first channel of a vector; the first and the last one may overlap their neighbours: see struct strip, below. */
static inline int64_t vector_channel(int64_t vector, int64_t vl, int64_t shift, int64_t channels)
{
    return max64(min64(vector * vl - shift, channels - vl), 0);
}

/* A strip of a depthwise correlation: `outputs` (fixed by the function) neighbours of one row of y,
 *     y[i][c] = bias[c] + sum over r < rows, s < taps of
 *                         x[r * x_row + (i * stride + s * dilation) * x_pixel + c] * kernel[vector of c][r][s][c % VL]
 * where only columns that exist count: 0 <= column + i * stride + s * dilation < width. Vector v begins at channel
 * v * VL - shift, 0 <= shift < VL, but not before channel 0 and not behind channels - VL. channels is at least VL. */
struct strip {
    int64_t vector, vectors;    /* vectors to compute: vector .. vectors - 1 */
    int64_t channels, shift;
    int64_t times;              /* of functions that repeat channels: vectors of x have each so many times */
    int64_t rows, taps;
    int64_t column, width, stride, dilation;
    const void *x;
    int64_t x_row, x_pixel;
    const void *ahead;          /* rows of x that will be read next, ahead_row apart: they are asked for */
    int64_t ahead_rows, ahead_row;
    bool ahead_dense;           /* their pixels follow each other without a gap */
    const void *kernel;
    int64_t kernel_vector;      /* from one vector of the kernel to the next */
    int64_t kernel_row;         /* of spreading functions: from one row of taps to the next */
    int64_t first, end;         /* of spreading functions: outputs to be written, the others do not exist */
    const void *bias;           /* of all channels, or NULL */
    void *y;
    int64_t y_pixel;
    bool past;                  /* y goes past the caches, if stores_past; every vector of it is then a cache line */
};
typedef void strip_fn(const struct strip *strip);

/* A spreading function computes the strip of the transposed correlation: with before = (taps - 1) / stride,
 *     y[i][c] = bias[c] + sum over r < rows, j, s < taps with (j - before) * stride + s = i of
 *                         x[r * x_row + j * x_pixel + c] * kernel[vector of c][r * kernel_row + s][c % VL]
 * where only columns that exist count: 0 <= column + j < width. */

/* The sums of a depthwise gradient of the kernel over some rows of y, for one vector of channels and some taps:
 *     sums[r][s] += sum over i < rows, j < cols of
 *                   y[i][j] * x[i * x_step + r * x_row + (j * stride + s * dilation) * x_pixel]
 * where only rows and columns that exist count: 0 <= row + i * row_step + r * row_tap < height, so also for columns. */
struct tap_sums {
    int64_t rows, cols;
    const void *y;
    int64_t y_row, y_pixel;
    const void *x;
    int64_t x_step, x_row, x_pixel;
    int64_t row, row_step, row_tap, height;
    int64_t column, width, stride, dilation;
    int64_t ahead_rows;         /* of x, x_next apart, that will be read later, as will a row of y: they are asked for */
    int64_t x_ahead, x_next, y_ahead; /* the first of them from where x and y are */
    int64_t tap_cols;           /* of the kernel; sums lie as its taps do */
    int64_t skipped, skipped_taps; /* of functions for neighbouring taps: so many rows, and taps of a row, get nothing */
    int64_t first_tap, taps;    /* of functions for any taps: taps first_tap .. */
    int64_t times, rest;        /* of functions that repeat channels: lane i takes channel (rest + i) / times of x */
    void *sums;
};
typedef void tap_sums_fn(const struct tap_sums *sums);

/* Groups of so few channels that a vector has several: a strip as above for one vector of channels of y,
 *     y[i][lane] = bias[lane] + sum over r < rows, s < taps, j < channels of
 *                  x[r * x_row + (i * stride + s * dilation) * x_pixel + lane / channels * channels + j]
 *                  * kernel[r][s][j][lane]
 * with as many channels, VL or fewer, as the function is for. */
struct group_strip {
    int64_t rows, taps;
    int64_t column, width, stride, dilation;
    const void *x;
    int64_t x_row, x_pixel;
    const void *kernel;
    const void *bias;           /* VL values, or NULL */
    void *y;
    int64_t y_pixel;
};
typedef void group_strip_fn(const struct group_strip *strip);

/* The sums of the gradient of the kernel for one row of taps:
 *     sums[s][j][lane] += sum over i < rows, o < cols of
 *                         y[i][o][lane] * x[i * x_step + (o * stride + s * dilation) * x_pixel
 *                                           + lane / channels * channels + j] */
struct group_sums {
    int64_t rows, cols, taps;
    const void *y;
    int64_t y_row, y_pixel;
    const void *x;
    int64_t x_step, x_pixel;
    int64_t column, width, stride, dilation;
    void *sums;
};
typedef void group_sums_fn(const struct group_sums *sums);

/* Functions for so many channels. stride: of neighbouring taps, 0 for any stride and dilation. Sums of 0 taps: likewise;
 * of so many taps, neighbours, stride 1. */
struct group_strip_kernel {
    int channels, stride, outputs;
    group_strip_fn *run;
};
struct group_sums_kernel {
    int channels, taps;
    group_sums_fn *run;
};

enum { GROUP_TAPS_MAX = 3, GROUP_NEAR_MAX = 36 }; /* neighbouring taps at once, and in a row */

/* The most outputs, taps in a row, and sums of any of these kernels. */
enum { STRIP_MAX = 16, STRIP_TAPS_MAX = 7, LONG_TAPS_MAX = 48, SUM_TAPS_MAX = 21 };

/* A depthwise kernel for `outputs` neighbours; taps and stride: 0 for any (and any dilation, else it is 1). taps 0 with a
 * stride: neighbouring taps, 3 to LONG_TAPS_MAX of them. */
struct strip_kernel {
    int taps, stride, outputs;
    strip_fn *run;
};
struct tap_sums_kernel {
    int rows, taps, stride, outputs; /* rows: of taps */
    tap_sums_fn *run;
};

/* A tile of a convolution of planes: rows and vectors are fixed by the function. Lane j % VL of vector j / VL is
 *     y[i][j] = bias[j % VL] + sum over r < rows, s < taps of
 *               x[(i + r) * x_row + offset[s] + j % VL + j / VL * step] * kernel[r][s][lane]
 * at y + i * y_row + j % VL + j / VL * step; rows of the tile <= rows of taps. With channels, step is the largest
 * multiple of their number in a vector, the kernel has a vector for each tap, and the lanes that overlap are the same in
 * both vectors. A function for one channel has step VL and a number for each tap. */
struct plane_tile {
    int64_t rows, taps;
    const int64_t *offset;
    int64_t step;
    const void *x;
    int64_t x_row;
    const void *kernel, *bias;
    void *y;
    int64_t y_row;
    int64_t count, x_down;      /* of functions for one row, or for so many taps: rows of y, any number; of the former,
                                 * from one row of y to the next in x */
    int64_t across;             /* tiles side by side: the next one is so many vectors times step further on */
    bool near;                  /* offset[s] is s */
};
typedef void plane_tile_fn(const struct plane_tile *tile);

/* Sums of the gradient of the kernel of planes, for so many rows of taps and taps in a row as the function is for:
 *     sums[r][s][lane] += sum over i < rows, j = 0, step, 2 step .. < count of
 *                         y[i * y_row + j + lane] * x[(i + r) * x_row + offset[s] + j + lane]
 * for the rows of taps r whose bit is set in tap_rows. */
struct plane_sums {
    int64_t rows, count, step;
    const int64_t *offset;
    const void *x;
    int64_t x_row;
    const void *y;
    int64_t y_row;
    uint64_t tap_rows;
    void *sums;
};
typedef void plane_sums_fn(const struct plane_sums *sums);

enum { PLANE_ROWS_MAX = 6, PLANE_VECTORS_MAX = 8, PLANE_TAPS_MAX = 5 };
enum { PLANE_WALK_ROWS_MAX = 3, PLANE_WALK_TAPS_MAX = 9 };

struct plane_kernel {
    int rows, vectors;
    plane_tile_fn *run[2]; /* by whether there is one channel alone */
};
/* One that goes down any number of rows, for so many rows of taps and taps in a row. */
struct plane_walk {
    int rows, taps, vectors;
    plane_tile_fn *run[2];
};
struct plane_sums_kernel {
    int rows, taps;
    plane_sums_fn *run;
};

/* 6 x 6 pixels: at base + i * row + j * pixel; or if base is NULL, each at an address of its own, [6 * i + j]. */
struct patch {
    const void *base;
    int64_t row, pixel;
    const void *at[36];
};

/* Pixels as one part of a tile, which is panels of vl columns: element (i, j) is x[row[i] + col[j]], 0 where either is
 * negative. Columns of the panels first .. end - 1 are there and are neighbours. x: NULL for zeros. `row` goes on for
 * FFT_AHEAD more, whatever these are. */
struct fft_source {
    const void *x;
    const int64_t *row, *col;
    int64_t first, end;
};
enum { FFT_AHEAD = 4 };

/* Where a part of a panel goes: `rows` rows and `cols` columns, or as many as the panel has if that is less. */
struct fft_target {
    void *y;
    int64_t y_row, y_pixel;
    int64_t rows, cols;
};

/* Patches to add to what may overlap, each to a run of its own:
 *     dst[i * dst_pixel + r * dst_row + j] += src[i * src_pixel + r * src_row + j]
 * for i < pixels, r < rows, j < length; even i first, then odd. */
struct overlay {
    int64_t pixels, rows, length;
    const void *src;
    int64_t src_pixel, src_row;
    void *dst;
    int64_t dst_pixel, dst_row;
};

/* What some output pixels read, side by side:
 *     dst[i * width + (r * runs + s) * length + j] = src[i * pixel + r * row + s * run + j], j < length
 * for i < pixels, r < rows, s < runs. Reads up to VL - 1 values behind a run, and writes as many behind a patch. */
struct patches {
    int64_t pixels, rows, runs, length;
    const void *src;
    int64_t pixel, row, run;
    void *dst;
    int64_t width;
};

/* out[i] = f(in[...][i]) for i < runs * run, and so in `rows` rows `row` elements apart, p[2] being the parameters; the output may
 * be an input. */
typedef void runs_fn(int64_t rows, int64_t row, int64_t runs, const double *p, const void *const *in, void *out);

/* The gradient of an activation along an axis; v is its input or its output. grad_x may be either. */
typedef void axis_gradient_fn(int64_t length, int64_t inner, int64_t lanes, const void *grad_y, const void *v,
                              void *grad_x);

/* glu, or with grad_y its gradient: of `rows` rows x[row][2][half] the first `lanes` of each half, not less than a run; out[row]
 * has as many halves, one or two. Some lanes are computed twice, unless `lanes` is a multiple of a run: then grad_x may be x. */
typedef void glu_fn(int64_t rows, int64_t lanes, int64_t half, const void *grad_y, const void *x, void *out);

enum { RUN_BYTES_MAX = 256 }; /* of any instruction set and dtype */

/* Some rows of a matrix times a vector,
 *     sums[j] += sum over r < rows of x[r] * b[r * b_row + j], j < columns, one row after the other;
 * first: from 0; ahead: the elements so much further on are asked for. It is meant for DENSE_ROWS rows. */
struct row_sums {
    int64_t rows, columns, b_row, ahead;
    const void *x, *b;
    void *sums;
    bool first;
};

enum { DENSE_ROWS = 8 };

struct kernels {
    const char *isa;
    size_t item;            /* bytes of an element */
    double largest;         /* number */
    int64_t vl;             /* elements of a vector */
    int nv_max;             /* widest tile in vectors */
    int mr_max[NV_MAX + 1]; /* tallest tile by width in vectors, 1 .. nv_max */
    tile_fn *tile[NV_MAX + 1][MR_MAX + 1]; /* by width in vectors and by rows; NULL where there is none */
    tile_fn *half_tile[NV_MAX + 1][MR_MAX + 1]; /* for no more columns than half of the last
                                                 * vector has; what is written to more is anything */

    /* Tiles of few columns, by columns and by rows: a_col is 1, length at least VL, and a segment of B is
     * [vector][column][lane]. If length is not a multiple of VL, the last vector holds steps length - VL .. length - 1,
     * with zeros in B for those that the one before has. */
    int dot_rows[DOT_COLUMNS + 1]; /* of the tallest, by columns */
    tile_fn *const (*dots)[MR_MAX + 1];

    void (*add_rows)(const struct row_sums *sums);

    /* dst[r][0 .. width) = src[r * src_row + j * src_col] for j < columns, 0 from there to width; r < rows. Returns
     * whether all the values were finite. */
    bool (*pack)(void *dst, int64_t width, const void *src, int64_t rows, int64_t columns, int64_t src_row,
                 int64_t src_col);
    void (*gather)(const struct patches *patches);
    /* dst[i * dst_row + m] = src[m * src_col + i] for i < rows, m < columns. */
    void (*turn)(void *dst, int64_t dst_row, const void *src, int64_t src_col, int64_t rows, int64_t columns);
    /* dst[i * dst_row + m] = src[m * src_row + i] + bias[m] for i < rows, m < columns; bias may be NULL. */
    void (*put)(void *dst, int64_t dst_row, const void *src, int64_t src_row, int64_t rows, int64_t columns,
                const void *bias);
    /* Depthwise; each list ends with one that has no function. */
    const struct strip_kernel *strips, *spreads;
    const struct tap_sums_kernel *tap_sums;
    /* Several kernels for a channel: the same of its channels repeated; empty where vectors have no permutation for it. */
    const struct strip_kernel *repeating_strips;
    const struct tap_sums_kernel *repeating_tap_sums;
    /* Groups of few channels: likewise. */
    const struct group_strip_kernel *group_strips;
    const struct group_sums_kernel *group_sums;
    /* dst[j * vl + q + k] = src[q + j + k * src_col] for j, k < n and q = 0, n .. vl - n. Returns whether the values were
     * finite. */
    bool (*turn_groups)(void *dst, int64_t n, const void *src, int64_t src_col);
    /* dst[i * width + j] = src[i * src_pixel + (first + j) / times] for i < pixels, j < width. */
    void (*repeat_channels)(int64_t pixels, int64_t width, int64_t times, int64_t first, const void *src,
                            int64_t src_pixel, void *dst);
    /* dst[i * dst_pixel + c] = bias[c] + sum over j < times of src[(i * channels + c) * times + j]; bias may be NULL. */
    void (*sum_channels)(int64_t pixels, int64_t channels, int64_t times, const void *src, const void *bias, void *dst,
                         int64_t dst_pixel);
    /* Planes: likewise. */
    const struct plane_kernel *plane_tiles;
    const struct plane_walk *plane_walks;
    const struct plane_sums_kernel *plane_sums;
    /* `count` pixels from src to dst, at their pitches. */
    void (*move_pixels)(int64_t count, int64_t channels, const void *src, int64_t src_pixel, void *dst,
                        int64_t dst_pixel);

    bool (*finite)(int64_t count, const void *src);                /* whether all the values are */
    void (*add)(int64_t count, const void *src, void *dst);        /* dst += src */

    /* Winograd's F(4x4, 3x3), kernels/winograd.h: v[i], i < 36, at v + i * plane: `count` channels from `first` on of the
     * 6 x 6 pixels of a patch, transformed; zeros follow to a whole vector. */
    void (*winograd_input)(const struct patch *patch, int64_t first, int64_t count, void *v, int64_t plane);
    /* u[r][j] = that of tap (i, j) at kernel + i * tap[0] + j * tap[1] + r * row, for r < rows, j < width, a multiple of
     * vl. Returns whether the taps were finite; not always if they are huge. */
    bool (*winograd_kernel)(const void *kernel, const int64_t tap[2], int64_t row, int64_t rows, int64_t width, void *u,
                            int64_t plane);
    /* rows x cols (<= 4 x 4) pixels of y from m, plus bias (whole vectors, or NULL). m has whole vectors, y `columns`
     * values. past: they go past the caches, if stores_past; every pixel of y is then whole cache lines. Returns whether they
     * came out finite; not always if they are huge. */
    bool stores_past;
    bool (*winograd_output)(const void *m, int64_t plane, const void *bias, int64_t columns, void *y, int64_t y_row,
                            int64_t y_pixel, int64_t rows, int64_t cols, bool past);
    /* d[i], i < 36, at d + i * plane: `count` channels of the rows x cols (<= 4 x 4) pixels of a tile of grad_y,
     * transformed; zeros follow to a whole vector. */
    void (*winograd_grad_y)(const void *y, int64_t y_row, int64_t y_pixel, int64_t rows, int64_t cols, int64_t count,
                            void *d, int64_t plane);
    /* Gradients of the taps (i, j) at kernel + i * tap[0] + j * tap[1] + r * kernel_row, `columns` values each, from the
     * sums m at m + r * row, r < rows, whole vectors. Returns whether they came out finite; not always if they are huge. */
    bool (*winograd_grad_kernel)(const void *m, int64_t plane, int64_t row, int64_t rows, int64_t columns, void *kernel,
                                 const int64_t tap[2], int64_t kernel_row);

    /* Fourier transforms of `size` values: a power of 2 from 16 on, times 3 or 5 or neither. A panel is `size` rows of a
     * complex vector: vl real parts, then vl imaginary parts. A transform is one of each column, in place; frequencies
     * have an order of their own, the same for all of one size. Nothing is scaled. */
    void (*fft_table)(int64_t size, void *table); /* of 2 * size elements, for the three that follow */
    void (*fft_forward)(int64_t size, const void *table, void *panel);
    void (*fft_inverse)(int64_t size, const void *table, void *panel);
    /* Forward, times the conjugate of the transformed panel `filter`, and back. */
    void (*fft_filter)(int64_t size, const void *table, void *panel, const void *filter);
    /* sum += a * conj(b), panels of so many rows. */
    void (*fft_multiply)(int64_t rows, const void *a, const void *b, void *sum);
    /* Transposes blocks of vl rows, which lie src_block and dst_block elements from each other. */
    void (*fft_transpose)(int64_t blocks, const void *src, int64_t src_block, void *dst, int64_t dst_block);
    /* The real and the imaginary parts of a tile from their sources; its panels lie `panel` elements from each other. And
     * those of a panel, divided by `points`, plus *bias (may be NULL), into their targets. fft_store returns whether they
     * were finite; not always if they are huge. */
    void (*fft_load)(int64_t rows, int64_t panels, const struct fft_source from[2], void *tile, int64_t panel);
    bool (*fft_store)(const struct fft_target to[2], int64_t points, const void *bias, const void *panel);

    /* Elementwise activations by kind: in x, backward also grad_y. */
    int64_t run; /* elements of a run of them, a power of 2 */
    runs_fn *activation[CHANCONV_ACTIVATION_COUNT], *activation_backward[CHANCONV_ACTIVATION_COUNT];
    glu_fn *glu, *glu_backward;
    /* prelu on x[pixels][channels]; slope has one value per channel, or (shared) one. grad_slope is added to. */
    void (*prelu)(int64_t pixels, int64_t channels, bool shared, const void *x, const void *slope, void *y);
    void (*prelu_backward)(int64_t pixels, int64_t channels, bool shared, const void *grad_y, const void *x,
                           const void *slope, void *grad_x, void *grad_slope);
    /* softmax and log_softmax of one block x[length][inner]; stride between positions: `inner`, lanes: `lanes`. */
    void (*axis[2])(int64_t length, int64_t inner, int64_t lanes, const void *x, void *y);
    axis_gradient_fn *axis_backward[2];    /* from x */
    axis_gradient_fn *axis_from_output[2]; /* from y */
    void (*overlay)(const struct overlay *overlay); /* of patches, as gather() makes them */
};

/* The kernels of the instruction set in use. */
const struct kernels *kernels_for(int32_t dtype);

/* The row of dispatch.c's table with this name, or NULL if there is none or the processor cannot run it. */
const struct isa *available_isa(const char *name);

/* One per instruction set, by dtype; kernels/<isa>.c defines them. */
extern const struct kernels *const kernels_generic[2];
#if defined(__x86_64__)
extern const struct kernels *const kernels_avx2[2], *const kernels_avx512[2];
#elif defined(__aarch64__)
extern const struct kernels *const kernels_neon[2];
#endif

/* ---- memory.c --------------------------------------------------------------------------------------------------------- */

/* Scratch memory, aligned to a cache line, from the context's workspace or allocator; NULL if there is none.
 * release_scratch(NULL) does nothing. Blocks are released in the reverse order, by the thread that took them: the one
 * that makes the call. The library's own allocator keeps one block for the next call. */
enum { NESTED_BLOCKS_MAX = 4 }; /* that a call holds at a time; each may lose a cache line to alignment */

void *take_scratch(chanconv_context *context, size_t bytes);
void release_scratch(chanconv_context *context, void *block, size_t bytes);

/* The same for memory that outlives the call: none of it is kept for the next. */
void *take_lasting(chanconv_context *context, size_t bytes);
void release_lasting(chanconv_context *context, void *memory, size_t bytes);

/* ---- context.c --------------------------------------------------------------------------------------------------------- */

struct chanconv_context {
    chanconv_context_options options;
    size_t workspace_used; /* bytes, from the first cache line on */
};

/* Threads a call with this context may use: at least 1. */
int context_threads(const chanconv_context *context);

/* ---- threads.c --------------------------------------------------------------------------------------------------------- */

/* Runs task(data, i) for i in 0 .. count - 1 on at most `threads` threads, the caller's among them, and returns when all
 * are done. Item i of count runs as an item of its own: task must not depend on which thread runs it. Serial if threads
 * or count is 1, inside another parallel(), or while another call has the library's threads. Every thread computes with
 * the caller's rounding mode and other floating-point settings. */
void parallel(chanconv_context *context, int threads, int64_t count, chanconv_task task, void *data);

/* ---- geometry.c -------------------------------------------------------------------------------------------------------- */

/* A descriptor, checked and resolved. */
struct geometry {
    int32_t dtype, mode, algorithm, precision;
    size_t item;                            /* bytes of an element */
    int64_t n, h, w, c, kh, kw, k, oh, ow;
    int64_t groups, cg, kg;                 /* channels of x and y in a group */
    int64_t stride[2], dilation[2], pad[2][2];
    int64_t x_pixel, x_row, x_image, y_pixel, y_row, y_image;
    chanconv_activation activation;
};

/* The one validator: every entry point calls it first. */
chanconv_status resolve(const chanconv_conv *conv, struct geometry *geometry, chanconv_error *error);

/* For im2col and col2im, which have no kernels. */
chanconv_status resolve_columns(const chanconv_conv *conv, struct geometry *geometry, chanconv_error *error);

/* Row (or column) i of the padded image, counted from the first row of x: the row of x that it copies, or -1 for zeros. */
int64_t source_index(int32_t mode, int64_t i, int64_t size);

/* *product = a * b (all >= 0), or false if it does not fit. */
static inline bool mul(int64_t a, int64_t b, int64_t *product) { return !__builtin_mul_overflow(a, b, product); }

/* ---- activation.c ------------------------------------------------------------------------------------------------------ */

/* Checks the parameters, as they are and as numbers of the type. */
chanconv_status check_activation(chanconv_dtype dtype, const chanconv_activation *activation, chanconv_error *error);

/* In place, on `cols` pixels of `channels` channels, `pixel` elements apart; and on rows of them, `row` elements apart. */
void activate_row(const struct kernels *kernels, const chanconv_activation *activation, void *y, int64_t cols,
                  int64_t channels, int64_t pixel);
void activate_rows(const struct kernels *kernels, const chanconv_activation *activation, void *y, int64_t rows,
                   int64_t row, int64_t cols, int64_t channels, int64_t pixel);

/* ---- conv.c ------------------------------------------------------------------------------------------------------------- */

/* A kernel, or the part of one that a correlation reads, in the form in which an algorithm reads it: that follows, at + 1. */
struct prepared {
    _Alignas(CACHE_LINE) bool finite; /* every value is */
};

/* The arrays of a pass: it writes one of them and reads the others. The kernel is there even if it was prepared. */
struct arrays {
    const void *x, *kernel, *y, *bias;
    void *out;
    const struct prepared *prepared; /* by an earlier call of the algorithm's prepare(), or NULL */
};

/* One way to compute the passes. */
struct algorithm {
    chanconv_algorithm id;
    /* Why it cannot do this pass, or NULL if it can. */
    const char *(*decline)(const struct geometry *geometry, chanconv_pass pass);
    /* What it will use: fills in tile and workspace_bytes of *plan for plan->threads. */
    void (*plan)(const struct geometry *geometry, chanconv_pass pass, chanconv_plan *plan);
    chanconv_status (*run)(chanconv_context *context, const struct geometry *geometry, chanconv_pass pass,
                           const struct arrays *arrays);
    /* Bytes of a prepared kernel, 0 if this pass reads kernels as they are; and to prepare one. Both NULL: it never
     * prepares any. */
    int64_t (*prepared_bytes)(const struct geometry *geometry, chanconv_pass pass);
    void (*prepare)(const struct geometry *geometry, chanconv_pass pass, const void *kernel, void *prepared);
};

extern const struct algorithm algorithm_depthwise; /* depthwise.c */
extern const struct algorithm algorithm_plane; /* plane.c */
extern const struct algorithm algorithm_grouped; /* grouped.c */
extern const struct algorithm algorithm_fft; /* fft.c */
extern const struct algorithm algorithm_winograd; /* winograd.c */
extern const struct algorithm algorithm_gemm;    /* gemm.c */
extern const struct algorithm algorithm_im2col;  /* im2col.c */

/* Makes of a checked pass what the algorithms get to see; CHANCONV_NO_MEMORY for arrays that cannot be. */
chanconv_status admit(struct geometry *geometry, chanconv_pass pass, chanconv_error *error);

/* The algorithm that a pass is computed by; NULL if the one asked for cannot. */
const struct algorithm *choose_algorithm(const struct geometry *geometry, chanconv_pass pass);

/* The error for that. */
chanconv_status no_algorithm(const struct geometry *geometry, chanconv_error *error);

/* ---- bound.c ------------------------------------------------------------------------------------------------------------ */

/* Fills in arithmetic_cycles and memory_cycles of *plan from its threads and bytes. */
void machine_bound(const struct geometry *geometry, chanconv_plan *plan);

/* ---- packed.c ----------------------------------------------------------------------------------------------------------- */

/* Puts the kernel that was packed, and what was prepared of it for this algorithm, in *arrays; checks that it fits. */
chanconv_status unpack(const chanconv_packed *packed, const struct geometry *geometry, chanconv_pass pass,
                       const struct algorithm *algorithm, struct arrays *arrays, chanconv_error *error);

#pragma GCC visibility pop

#endif

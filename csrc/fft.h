/* SPDX-License-Identifier: BSD-3-Clause
 *
 * fft.h - what the plan of Fourier transforms (fft_plan.c), their tiles (fft_tile.c) and the passes (fft.c) share.
 */
#ifndef CHANCONV_FFT_H
#define CHANCONV_FFT_H

#include "gemm.h"

#pragma GCC visibility push(hidden)

/* The tiles of an image. */
struct fft_grid {
    int64_t size[2];            /* of a transform; 0 if there is none */
    int64_t step[2];            /* outputs of a tile */
    int64_t across, tiles;      /* tiles in a row, and of a channel of an image */
    int64_t pairs;
    double cost;                /* cycles for one channel of one image */
};

/* A call: a correlation of channels one by one, or (c.y is grad_y, c.kernel the result) the gradient of its kernel. */
struct fft_job {
    struct correlation c;
    struct fft_grid grid;
    chanconv_context *context;
    int threads;
    int64_t tiles_of_lane;      /* 2 if grad_y is transformed too */
    int64_t first, channels;    /* whose transformed kernels, or sums, are in memory; the most that are */
    int64_t splits;             /* of the pairs of a channel, for each of which there are sums */
    char *table[2], *filters, *lanes;
    atomic_bool finite;         /* the transformed kernel is, or the gradient */
    atomic_int status;
};

/* What a lane has: tiles, panels of vl of their rows, and places of rows and columns of what comes into a tile. */
struct fft_lane {
    char *tile[2], *rows[2];
    int64_t *row[2], *col[2];
};

static inline int64_t item(const struct fft_job *job) { return (int64_t)job->c.kernels->item; }
static inline int64_t vl(const struct fft_job *job) { return job->c.kernels->vl; }

/* Elements of a transformed tile without gaps; of vl of its rows; and of vl rows of a panel. */
static inline int64_t points(const struct fft_job *job) { return 2 * job->grid.size[0] * job->grid.size[1]; }
static inline int64_t rows_elements(const struct fft_job *job) { return 2 * vl(job) * job->grid.size[1]; }
static inline int64_t block_elements(const struct fft_job *job) { return 2 * vl(job) * vl(job); }
static inline int64_t row_blocks(const struct fft_job *job) { return job->grid.size[0] / vl(job); }

/* Panels are a block more than `size` apart, so that blocks of the same rows do not meet in the cache. */
static inline int64_t panel_elements(const struct fft_job *job) { return 2 * vl(job) * (job->grid.size[0] + vl(job)); }

/* ---- fft_plan.c ---- */

/* The cheapest grid for so many outputs, or one without size if the kernel is too large for any. */
struct fft_grid fft_find_grid(const struct kernels *kernels, const int64_t taps[2], const int64_t outputs[2],
                              bool gradient);

struct fft_job fft_job_of(const struct correlation *correlation, int threads, bool gradient);

/* Scratch memory of a job, with its tables of roots filled in. */
int64_t fft_job_bytes(const struct fft_job *job);
bool fft_take_memory(struct fft_job *job);
void fft_release_memory(const struct fft_job *job);

struct fft_lane fft_lane_at(const struct fft_job *job, int number);

/* The transformed kernel of a channel that is in memory: [rows / vl][columns][a complex vector]. Or sums like it. */
char *fft_filter_at(const struct fft_job *job, int64_t channel, int64_t split);

/* ---- fft_tile.c ---- */

/* Pixels that become one part of a tile: rows and cols of them from (top, left) on, zeros after them. */
struct fft_part {
    const void *data;
    int64_t top, left, rows, cols;
    int64_t h, w, row, pixel;
    int32_t mode;
};

/* A tile with its columns transformed. */
void fft_load_tile(const struct fft_job *job, const struct fft_part part[2], const struct fft_lane *lane, char *tile);

/* Transforms the columns of a tile back; their first rows and columns go where `to` says, for both parts. Returns
 * whether these were finite; not always if they are huge. */
bool fft_store_tile(const struct fft_job *job, const struct fft_target to[2], const void *bias, char *tile);

/* Rows i * vl and on of a tile, as a panel of their own; and back. */
void fft_take_rows(const struct fft_job *job, const char *tile, int64_t i, char *rows);
void fft_put_rows(const struct fft_job *job, const char *rows, int64_t i, char *tile);

#pragma GCC visibility pop

#endif

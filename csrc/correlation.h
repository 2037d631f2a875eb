/* SPDX-License-Identifier: BSD-3-Clause
 *
 * correlation.h - what the plan of a correlation (correlation_plan.c) and the loops that follow it (correlation.c) share.
 */
#ifndef CHANCONV_CORRELATION_H
#define CHANCONV_CORRELATION_H

#include "gemm.h"

#pragma GCC visibility push(hidden)

/* Runs of the reduction that a pass has at most; columns of taps for which clipping is tried, at most SPANS_MAX / 2. */
enum { SEGMENTS_MAX = 256, SPANS_MAX = 17 };

/* A correlation, and how it is cut. The fields up to `threads` follow from the plan. */
struct job {
    struct correlation c;
    bool clip;                  /* taps on rows of zeros are left out */
    bool clip_columns;          /* ... and those on columns of zeros */
    bool copy;                  /* rows of x go through a band */
    bool merged;                /* a row of taps is one run of x, taps[1] * c long */
    int64_t runs, run_length;   /* the reduction: runs of x, as long as they are contiguous */
    int64_t rows, cols;         /* outputs of a block */
    int64_t row_blocks, col_blocks, panel_blocks;
    int64_t panels;
    bool streamed;              /* panels of B are packed when their turn comes, as each has one block to serve */
    bool in_place;              /* ... or read where they lie; else all are packed before */
    int64_t band_elements, panel_elements; /* of each lane: a band, and when streamed a panel of a pass */
    int64_t packed_elements;
    int threads;
    void *b, *lanes;            /* packed panels; scratch of the lanes */
    atomic_bool finite;         /* whether all that was packed is */
};

/* A pass over the reduction: steps begin .. end - 1 of each of the runs first .. first + count - 1. */
struct pass {
    int64_t first, count, begin, end;
};

/* Plans a correlation for so many threads; clip: taps on zeros may be left out. */
struct job plan_correlation(const struct correlation *correlation, int threads, bool clip);

int64_t pass_count(const struct job *job);
struct pass pass_at(const struct job *job, int64_t i);

/* Steps of the whole reduction. */
static inline int64_t reduction(const struct job *job) { return job->runs * job->run_length; }

/* The part of x that a block of outputs reads, clipped as the job is. */
struct window block_window(const struct job *job, int64_t row, int64_t rows, int64_t col, int64_t cols);

/* Bytes of scratch memory for b and lanes. */
size_t job_bytes(const struct job *job);

#pragma GCC visibility pop

#endif

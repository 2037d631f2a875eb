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
    bool copy;                  /* x is copied to bands where blocks reach over its edge */
    bool copy_all;              /* ... and everywhere: its pixels lie apart */
    bool merged;                /* a row of taps is one run of x, taps[1] * c long */
    bool pointwise;             /* groups of 1x1 kernels: a block has few pixels, and all groups take them in turn */
    bool far;                   /* y is so large, and so quickly computed, that its places are fetched ahead */
    bool from_memory;           /* x is so large that it is in no cache, and columns are few: it is fetched ahead */
    bool dot;                   /* columns are so few that the reduction lies across the vector, see kernels/dot.h */
    int64_t runs, run_length;   /* the reduction: runs of x, as long as they are contiguous */
    int64_t pass_steps;         /* the most steps of it in a pass */
    int64_t rows, cols;         /* outputs of a block */
    int64_t images;             /* of a block: several where they are small */
    int64_t row_blocks, col_blocks, panel_blocks, image_blocks;
    int64_t panels, pairs;      /* of B, as the tiles read it: the first ones are two of its panels each */
    bool readable;              /* the kernel lies in memory as tiles read it */
    bool streamed;              /* panels of B are packed when their turn comes, as each has one block to serve */
    bool in_place;              /* ... or read where they lie; else all are packed before */
    bool in_order;              /* what the next pass reads of the kernel is asked for as it lies; else panel by panel */
    bool unseen;                /* ... and so whether the kernel is finite shows in what comes out alone */
    int64_t band_elements;      /* of each lane, for each image of a block: a band */
    int64_t panel_elements;     /* ... and for all of them, when streamed, a panel of a pass */
    int64_t packed_elements;
    int threads;
    void *b, *lanes;            /* packed panels; scratch of the lanes */
    atomic_bool finite;         /* whether all that was packed is */
};

/* A pass over the reduction: steps begin .. end - 1 of each of the runs first .. first + count - 1. */
struct pass {
    int64_t first, count, begin, end;
};

/* Plans how B is cut into panels. */
void plan_columns(struct job *job);

/* Plans a correlation for so many threads; clip: taps on zeros may be left out. */
struct job plan_correlation(const struct correlation *correlation, int threads, bool clip);

int64_t pass_count(const struct job *job);
struct pass pass_at(const struct job *job, int64_t i);

/* Steps of a run in B: when dot, of whole vectors. */
static inline int64_t run_length_of_b(const struct job *job)
{
    const int64_t vl = job->dot ? job->c.kernels->vl : 1;
    return ceil_div(job->run_length, vl) * vl;
}

/* Steps of the whole reduction, as B has them; columns of B. */
static inline int64_t reduction(const struct job *job) { return job->runs * run_length_of_b(job); }

static inline int64_t columns_of_b(const struct job *job)
{
    return job->dot ? job->c.k : padded_columns(job->c.kernels, job->c.k);
}

/* Panel i, as the tiles read it: whole vectors of columns, two panels of B while there are pairs of them; or, when
 * dot, a few columns. */
static inline struct panel job_panel(const struct job *job, int64_t i)
{
    const struct panel few = {i * DOT_COLUMNS, min64(job->c.k - i * DOT_COLUMNS, DOT_COLUMNS), 0};
    if (job->dot) {
        return few;
    }
    if (i >= job->pairs) {
        return panel_at(job->c.kernels, job->c.k, i + job->pairs);
    }
    const struct panel left = panel_at(job->c.kernels, job->c.k, 2 * i);
    const struct panel right = panel_at(job->c.kernels, job->c.k, 2 * i + 1);
    return (struct panel){left.first, left.columns + right.columns, left.vectors + right.vectors};
}

/* Whether it is a pair, which lies in B one panel after the other. */
static inline bool is_pair(const struct panel *panel) { return panel->vectors == 4; }

/* Elements of B from one step of a panel to the next, where it is packed. */
static inline int64_t panel_width(const struct job *job, const struct panel *panel)
{
    return job->dot ? panel->columns : (is_pair(panel) ? 2 : panel->vectors) * job->c.kernels->vl;
}

/* The part of x that a block of outputs reads, clipped as the job is. */
struct window block_window(const struct job *job, int64_t row, int64_t rows, int64_t col, int64_t cols);

/* Elements of the scratch memory of a lane. */
static inline int64_t lane_elements(const struct job *job)
{
    return job->images * job->band_elements + job->panel_elements;
}

/* Bytes of scratch memory for b and lanes. */
size_t job_bytes(const struct job *job);

#pragma GCC visibility pop

#endif

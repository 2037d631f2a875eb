/* SPDX-License-Identifier: BSD-3-Clause
 *
 * winograd.h - what the two files of Winograd's algorithm share: images in tiles of 4 x 4 outputs, which read 6 x 6 pixels
 * of x each, and how many bytes their transforms take.
 */
#ifndef CHANCONV_WINOGRAD_H
#define CHANCONV_WINOGRAD_H

#include "gemm.h"

#pragma GCC visibility push(hidden)

enum { PLANES = 36, TAPS = 9 };

/* ---- Tiles (winograd_tiles.c) ---- */

struct grid {
    struct image x;                 /* of one group */
    int64_t origin[2], oh, ow;      /* as of a correlation */
    int64_t tile_rows, tile_cols;   /* of an image */
    int64_t tiles;                  /* of all images */
    const void *zeros;              /* a pixel */
};

struct grid grid_of(const struct correlation *c);

/* A tile: its first output, and how many of its 4 x 4 outputs there are. */
struct place {
    int64_t n, row, col, rows, cols;
};

/* Those of tiles first .. first + count - 1 of all images, count > 0. */
void find_places(const struct grid *grid, int64_t first, int64_t count, struct place *places);

/* The 36 pixels of x under a tile. */
void find_patch(const struct grid *grid, const struct place *place, struct patch *patch);

/* Elements of a matrix, and some more: an odd number of cache lines. */
static inline int64_t odd_lines(int64_t elements, int64_t item)
{
    const int64_t line = CACHE_LINE / item;
    return (ceil_div(elements, line) | 1) * line;
}

/* ---- Gradient of the kernel (winograd_gradient.c) ---- */

/* *finite: whether it was; else it has to be computed by another algorithm. */
chanconv_status winograd_gradient(chanconv_context *context, const struct geometry *geometry, const struct arrays *arrays,
                                  bool *finite);
int64_t winograd_gradient_bytes(const struct geometry *geometry, int threads);

#pragma GCC visibility pop

#endif

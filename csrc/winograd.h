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

/* Pixels of images at these pitches: so many values each. */
struct pixels {
    const void *data;
    int64_t image, row, pixel;
    int64_t h, w, count;
    size_t item;
};

/* Fetches 4 x 4 of them into the caches, from (top, left) of the place on: those that there are. */
void fetch_tile(const struct pixels *pixels, const struct place *place, int64_t top, int64_t left);

/* The pixels of x under a tile that it does not share with those above and to the left. */
void fetch_tile_of_x(const struct grid *grid, const struct place *place);

/* So many tiles before its transform: further off, others drive it out of the first-level cache again; spread over the
 * products, fetching delays these more than it saves. */
enum { TILES_AHEAD = 2 };

/* Whether x and y, of so many channels in a group, are so large that they have to be fetched ahead. */
bool come_from_memory(const struct grid *grid, int64_t channels_of_y, int64_t groups);

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

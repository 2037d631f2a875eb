/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Tiles of Fourier transforms: pixels in, with their padding, and out; columns transformed on the way; rows.
 */
#include <string.h>

#include "fft.h"

/* Distances of rows or columns first, first + 1, ... from the first pixel in memory; negative for zeros. */
static void list_places(int64_t *places, int64_t count, int64_t first, int64_t used, int64_t size, int64_t pitch,
                        int32_t mode)
{
    const int64_t origin = pitch < 0 ? size - 1 : 0;
    for (int64_t i = 0; i < count; i++) {
        const int64_t source = i < used ? source_index(mode, first + i, size) : -1;
        places[i] = source < 0 ? -1 : (source - origin) * pitch;
    }
}

/* One part of a tile; its rows and columns are listed as a lane's i-th. */
static struct fft_source source_of(const struct fft_job *job, const struct fft_part *part, const struct fft_lane *lane,
                                   int i)
{
    const int64_t *size = job->grid.size, end = min64(part->cols, part->w - part->left);
    list_places(lane->row[i], size[0] + FFT_AHEAD, part->top, part->rows, part->h, part->row, part->mode);
    list_places(lane->col[i], size[1], part->left, part->cols, part->w, part->pixel, part->mode);
    return (struct fft_source){
        .x = part->rows ? part->data : NULL, .row = lane->row[i], .col = lane->col[i],
        .first = ceil_div(max64(-part->left, 0), vl(job)), .end = part->pixel == 1 ? max64(end, 0) / vl(job) : 0,
    };
}

/* Columns of zeros are their own transforms. */
void fft_load_tile(const struct fft_job *job, const struct fft_part part[2], const struct fft_lane *lane, char *tile)
{
    const struct kernels *kernels = job->c.kernels;
    const int64_t *size = job->grid.size, all = size[1] / vl(job);
    const int64_t used = ceil_div(max64(part[0].cols, part[1].cols), vl(job));
    const struct fft_source from[2] = {source_of(job, &part[0], lane, 0), source_of(job, &part[1], lane, 1)};
    kernels->fft_load(size[0], used, from, tile, panel_elements(job));
    for (int64_t j = 0; j < all; j++, tile = at(tile, panel_elements(job), kernels->item)) {
        if (j < used) {
            kernels->fft_forward(size[0], job->table[0], tile);
        } else {
            memset(tile, 0, (size_t)(2 * vl(job) * size[0]) * kernels->item);
        }
    }
}

void fft_take_rows(const struct fft_job *job, const char *tile, int64_t i, char *rows)
{
    job->c.kernels->fft_transpose(job->grid.size[1] / vl(job), at(tile, i * block_elements(job), job->c.x.item),
                                  panel_elements(job), rows, block_elements(job));
}

void fft_put_rows(const struct fft_job *job, const char *rows, int64_t i, char *tile)
{
    job->c.kernels->fft_transpose(job->grid.size[1] / vl(job), rows, block_elements(job),
                                  at(tile, i * block_elements(job), job->c.x.item), panel_elements(job));
}

bool fft_store_tile(const struct fft_job *job, const struct fft_target to[2], const void *bias, char *tile)
{
    const struct kernels *kernels = job->c.kernels;
    bool finite = true;
    for (int64_t j = 0; j < max64(to[0].cols, to[1].cols); j += vl(job)) {
        struct fft_target part[2] = {to[0], to[1]};
        for (int i = 0; i < 2; i++) {
            part[i].y = at(to[i].y, j * to[i].y_pixel, kernels->item);
            part[i].cols = to[i].cols - j;
            part[i].rows = part[i].cols > 0 ? to[i].rows : 0;
        }
        kernels->fft_inverse(job->grid.size[0], job->table[0], tile);
        finite &= kernels->fft_store(part, job->grid.size[0] * job->grid.size[1], bias, tile);
        tile = at(tile, panel_elements(job), kernels->item);
    }
    return finite;
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Winograd's algorithm: images in tiles, the pixels of x under a tile, and fetching pixels ahead.
 */
#include "winograd.h"

/* Bytes of x and y together from which on they come from memory. What lies in a third-level cache comes soon enough by
 * itself, and to fetch it costs 5 %. */
enum { MEMORY_BYTES = 16 << 20 };

struct grid grid_of(const struct correlation *c)
{
    const int64_t rows = ceil_div(c->oh, 4), cols = ceil_div(c->ow, 4);
    return (struct grid){
        .x = c->x, .origin = {c->origin[0], c->origin[1]}, .oh = c->oh, .ow = c->ow, .tile_rows = rows,
        .tile_cols = cols, .tiles = c->x.n * rows * cols,
    };
}

static struct place place_at(const struct grid *grid, int64_t n, int64_t row, int64_t col)
{
    return (struct place){n, row, col, min64(4, grid->oh - row), min64(4, grid->ow - col)};
}

void find_places(const struct grid *grid, int64_t first, int64_t count, struct place *places)
{
    const int64_t of_image = grid->tile_rows * grid->tile_cols, t0 = first % of_image;
    places[0] = place_at(grid, first / of_image, t0 / grid->tile_cols * 4, t0 % grid->tile_cols * 4);
    for (int64_t t = 1; t < count; t++) {
        const struct place last = places[t - 1];
        places[t] = last.col + 4 < grid->ow   ? place_at(grid, last.n, last.row, last.col + 4)
                    : last.row + 4 < grid->oh ? place_at(grid, last.n, last.row + 4, 0)
                                              : place_at(grid, last.n + 1, 0, 0);
    }
}

/* Rows (or columns) of x under the 6 of a tile, from the padded image's `first`; -1 for zeros, and for those beyond the
 * last that an output needs. */
static void sources(const struct image *x, int64_t first, int64_t needed, int64_t size, int64_t source[6])
{
    for (int64_t i = 0; i < 6; i++) {
        const int64_t at_row = first + i;
        source[i] = i >= needed                       ? -1
                    : at_row >= 0 && at_row < size    ? at_row
                                                      : source_index(x->mode, at_row, size);
    }
}

void find_patch(const struct grid *grid, const struct place *place, struct patch *patch)
{
    const struct image *x = &grid->x;
    const int64_t top = place->row + grid->origin[0], left = place->col + grid->origin[1];
    const char *image = at(x->data, place->n * x->image, x->item);
    patch->row = x->row;
    patch->pixel = x->pixel;
    patch->base = NULL;
    if (place->rows == 4 && place->cols == 4 && top >= 0 && left >= 0 && top + 6 <= x->h && left + 6 <= x->w) {
        patch->base = at(image, top * x->row + left * x->pixel, x->item);
        return;
    }
    int64_t row[6], col[6];
    sources(x, top, place->rows + 2, x->h, row);
    sources(x, left, place->cols + 2, x->w, col);
    for (int i = 0; i < 6; i++) {
        for (int j = 0; j < 6; j++) {
            patch->at[6 * i + j] = row[i] < 0 || col[j] < 0 ? grid->zeros
                                                            : at(image, row[i] * x->row + col[j] * x->pixel, x->item);
        }
    }
}

void fetch_tile(const struct pixels *pixels, const struct place *place, int64_t top, int64_t left)
{
    const int64_t first_row = place->row + top, first_col = place->col + left;
    const int64_t bytes = pixels->count * (int64_t)pixels->item;
    for (int64_t row = max64(first_row, 0); row < min64(first_row + 4, pixels->h); row++) {
        for (int64_t col = max64(first_col, 0); col < min64(first_col + 4, pixels->w); col++) {
            const int64_t offset = place->n * pixels->image + row * pixels->row + col * pixels->pixel;
            const char *p = at(pixels->data, offset, pixels->item);
            for (int64_t j = 0; j < bytes; j += CACHE_LINE) {
                fetch_line(p + j);
            }
        }
    }
}

void fetch_tile_of_x(const struct grid *grid, const struct place *place)
{
    const struct image *x = &grid->x;
    const struct pixels pixels = {x->data, x->image, x->row, x->pixel, x->h, x->w, x->c, x->item};
    fetch_tile(&pixels, place, grid->origin[0] + 2, grid->origin[1] + 2);
}

bool come_from_memory(const struct grid *grid, int64_t channels_of_y, int64_t groups)
{
    const struct image *x = &grid->x;
    const double of_image = (double)(x->h * x->w) * (double)x->c + (double)(grid->oh * grid->ow) * (double)channels_of_y;
    return (double)(x->n * groups) * of_image * (double)x->item > MEMORY_BYTES;
}

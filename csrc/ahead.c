/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What is read next: stretches of memory that tiles ask for while they compute.
 */
#include "gemm.h"

/* The elements that the extent spans, counted from the image's first: *first .. *end - 1. */
static void span_of(const struct image *image, const struct extent *extent, int64_t *first, int64_t *end)
{
    struct window on = extent->window;
    clip(&on, image->h, image->w);
    *first = extent->image * image->image + on.top * image->row + on.left * image->pixel;
    *end = (extent->image + extent->images - 1) * image->image + (on.bottom - 1) * image->row + on.right * image->pixel;
}

struct stretch stretch_after(const struct image *image, const struct extent *now, const struct extent *next, int64_t steps)
{
    const bool dense = image->pixel == image->c && image->row == image->w * image->pixel &&
                       image->image == image->h * image->row;
    if (!dense || steps < 1 || image->n * image->image * (int64_t)image->item < CORE_BYTES) {
        return (struct stretch){0};
    }
    int64_t first, end, next_first, next_end;
    span_of(image, now, &first, &end);
    span_of(image, next, &next_first, &next_end);
    const int64_t begin = max64(next_first, end), bytes = max64(next_end - begin, 0) * (int64_t)image->item;
    return (struct stretch){at(image->data, begin, image->item), bytes, min64(ceil_div(bytes, steps), CACHE_LINE)};
}

void ask_for(struct stretch *stretch, struct tile *tile)
{
    const int64_t bytes = tile->segments * tile->length * stretch->step;
    tile->ahead = stretch->bytes > 0 ? stretch->first : NULL;
    tile->ahead_row = stretch->step;
    stretch->first += bytes;
    stretch->bytes -= bytes;
}

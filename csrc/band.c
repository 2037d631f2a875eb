/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Rows of x as a register tile reads them: in place, or copied with their padding written out.
 */
#include <string.h>

#include "gemm.h"

bool inside(const struct image *image, const struct window *window)
{
    return window->top >= 0 && window->left >= 0 && window->bottom <= image->h && window->right <= image->w;
}

int64_t band_elements(const struct image *image, const struct window *window)
{
    return (window->bottom - window->top) * (window->right - window->left) * image->c;
}

/* `count` pixels of `bytes` bytes, `pitch` bytes apart, to dense dst. */
static void copy_pixels(char *dst, const char *src, int64_t count, int64_t bytes, int64_t pitch)
{
    if (pitch == bytes) {
        memcpy(dst, src, (size_t)(count * bytes));
        return;
    }
    for (int64_t i = 0; i < count; i++, dst += bytes, src += pitch) {
        memcpy(dst, src, (size_t)bytes);
    }
}

/* Columns left .. right - 1 of a row of the padded image, one by one: the part that lies outside x. */
static void copy_padding(const struct image *image, char *dst, const char *row, int64_t left, int64_t right)
{
    const int64_t bytes = image->c * (int64_t)image->item;
    for (int64_t j = left; j < right; j++, dst += bytes) {
        const int64_t source = source_index(image->mode, j, image->w);
        if (source < 0) {
            memset(dst, 0, (size_t)bytes);
        } else {
            memcpy(dst, row + source * image->pixel * (int64_t)image->item, (size_t)bytes);
        }
    }
}

/* One row of the padded image; row: that of x which it copies, or NULL for zeros. */
static void copy_row(const struct image *image, const struct window *window, char *dst, const char *row)
{
    const int64_t bytes = image->c * (int64_t)image->item, pitch = image->pixel * (int64_t)image->item;
    if (!row) {
        memset(dst, 0, (size_t)((window->right - window->left) * bytes));
        return;
    }
    const int64_t left = min64(max64(window->left, 0), window->right);
    const int64_t right = max64(min64(window->right, image->w), left);
    copy_padding(image, dst, row, window->left, left);
    copy_pixels(dst + (left - window->left) * bytes, row + left * pitch, right - left, bytes, pitch);
    copy_padding(image, dst + (right - window->left) * bytes, row, right, window->right);
}

struct band take_band(const struct image *image, int64_t i, const struct window *window, bool copy, void *dst)
{
    const char *x = at(image->data, i * image->image, image->item);
    if (!copy) {
        return (struct band){
            .base = at(x, window->top * image->row + window->left * image->pixel, image->item),
            .top = window->top, .left = window->left, .row = image->row, .pixel = image->pixel,
        };
    }
    const int64_t row = (window->right - window->left) * image->c;
    for (int64_t r = window->top; r < window->bottom; r++) {
        const int64_t source = source_index(image->mode, r, image->h);
        copy_row(image, window, at(dst, (r - window->top) * row, image->item),
                 source < 0 ? NULL : at(x, source * image->row, image->item));
    }
    return (struct band){.base = dst, .top = window->top, .left = window->left, .row = row, .pixel = image->c};
}

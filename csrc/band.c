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

/* From one pixel of a copy to the next. */
static int64_t copied_pixel(const struct image *image) { return image->c + image->gap; }

int64_t band_elements(const struct image *image, const struct window *window)
{
    return (window->bottom - window->top) * (window->right - window->left) * copied_pixel(image);
}

/* What memcpy does, without a call for the few bytes that a plane has at its sides. */
static inline void copy_bytes(char *dst, const char *src, int64_t bytes)
{
    enum { STEP = 16, FEW = 256 };
    if (bytes < STEP || bytes > FEW) {
        memcpy(dst, src, (size_t)bytes);
        return;
    }
    for (int64_t i = 0; i < bytes - STEP; i += STEP) {
        memcpy(dst + i, src + i, STEP);
    }
    memcpy(dst + bytes - STEP, src + bytes - STEP, STEP);
}

/* What memset does to zeros, without a call for those beside a plane. */
static inline void zero_bytes(char *dst, int64_t bytes)
{
    if (bytes == 4) {
        memset(dst, 0, 4);
    } else if (bytes == 8) {
        memset(dst, 0, 8);
    } else if (bytes > 0) {
        memset(dst, 0, (size_t)bytes);
    }
}

static inline void copy_each(char *dst, int64_t dst_pitch, const char *src, int64_t src_pitch, int64_t count,
                             int64_t bytes)
{
    for (int64_t i = 0; i < count; i++, dst += dst_pitch, src += src_pitch) {
        memcpy(dst, src, (size_t)bytes);
    }
}

/* `count` pixels of `bytes` bytes, from src to dst at their pitches in bytes. */
static void copy_pixels(char *dst, int64_t dst_pitch, const char *src, int64_t src_pitch, int64_t count, int64_t bytes)
{
    if (dst_pitch == bytes && src_pitch == bytes) {
        copy_bytes(dst, src, count * bytes);
    } else if (bytes == 4) { /* planes: without a call for each pixel */
        copy_each(dst, dst_pitch, src, src_pitch, count, 4);
    } else if (bytes == 8) {
        copy_each(dst, dst_pitch, src, src_pitch, count, 8);
    } else {
        copy_each(dst, dst_pitch, src, src_pitch, count, bytes);
    }
}

/* Columns left .. right - 1 of a row of the padded image, one by one: the part that lies outside x. row: NULL for a row
 * of zeros. */
static void copy_padding(const struct image *image, char *dst, const char *row, int64_t left, int64_t right)
{
    const int64_t item = (int64_t)image->item;
    if (image->gap == 0 && (!row || image->mode == CHANCONV_ZEROS)) {
        zero_bytes(dst, (right - left) * image->c * item);
        return;
    }
    for (int64_t j = left; j < right; j++, dst += copied_pixel(image) * item) {
        const int64_t source = row ? source_index(image->mode, j, image->w) : -1;
        if (source < 0) {
            memset(dst, 0, (size_t)(image->c * item));
        } else {
            memcpy(dst, row + source * image->pixel * item, (size_t)(image->c * item));
        }
    }
}

/* One row of the padded image; row: that of x which it copies, or NULL for zeros. */
static void copy_row(const struct image *image, const struct window *window, char *dst, const char *row)
{
    const int64_t item = (int64_t)image->item, pitch = copied_pixel(image) * item;
    if (!row) {
        copy_padding(image, dst, NULL, window->left, window->right);
        return;
    }
    const int64_t left = min64(max64(window->left, 0), window->right);
    const int64_t right = max64(min64(window->right, image->w), left);
    copy_padding(image, dst, row, window->left, left);
    copy_pixels(dst + (left - window->left) * pitch, pitch, row + left * image->pixel * item, image->pixel * item,
                right - left, image->c * item);
    copy_padding(image, dst + (right - window->left) * pitch, row, right, window->right);
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
    const int64_t row = (window->right - window->left) * copied_pixel(image);
    for (int64_t r = window->top; r < window->bottom; r++) {
        const int64_t source = source_index(image->mode, r, image->h);
        copy_row(image, window, at(dst, (r - window->top) * row, image->item),
                 source < 0 ? NULL : at(x, source * image->row, image->item));
    }
    return (struct band){.base = dst, .top = window->top, .left = window->left, .row = row,
                         .pixel = copied_pixel(image)};
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Correlations with small maps and large kernels. Rows of few outputs make low tiles, and each image reads all of the
 * kernel again, which is what takes the time. So what each output reads, all taps and channels of it, is written out:
 * its patch. The patches of several images are the rows of one matrix, whose product with the kernel has tiles as
 * tall as any (correlation.c) and reads the kernel once. Padding takes part in it, as zeros.
 *
 * Whether that is done follows from the shape of one image, as a sum may have other passes by it.
 */
#include <math.h>
#include <string.h>

#include "gemm.h"

/* Bytes of the patches of an image, at most; of those that are there at a time, unless an image has more. */
enum { IMAGE_BYTES = 4 * BLOCK_BYTES, PATCHES_BYTES = 12 * BLOCK_BYTES };

/* Fewer columns of a kernel than this are not worth the copy. */
enum { KERNELS_MIN = 64 };

struct job {
    const struct correlation *c;
    int64_t first, images;      /* that have their patches there */
    int64_t band_elements;      /* of each lane */
    bool copy;                  /* x is copied with its padding first */
    void *patches, *bands;
};

static struct window window_of(const struct correlation *c)
{
    const int64_t rows = (c->oh - 1) * c->stride[0] + (c->taps[0] - 1) * c->dilation[0] + 1;
    const int64_t cols = (c->ow - 1) * c->stride[1] + (c->taps[1] - 1) * c->dilation[1] + 1;
    return (struct window){c->origin[0], c->origin[0] + rows, c->origin[1], c->origin[1] + cols};
}

static int64_t patch_elements(const struct correlation *c) { return c->taps[0] * c->taps[1] * c->x.c; }

static int64_t image_elements(const struct correlation *c) { return c->oh * c->ow * patch_elements(c); }

/* Rows of a kernel at one distance from each other, whatever the taps. */
static bool is_regular(const struct correlation *c)
{
    return c->taps[0] == 1 || c->kernel_tap[0] == c->taps[1] * c->kernel_tap[1];
}

/* Whether the patches and the copy of an image have a moderate size. */
static bool is_moderate(const struct correlation *c)
{
    const int64_t most = IMAGE_BYTES / (int64_t)c->x.item;
    const struct window window = window_of(c);
    const double copy = (double)(window.bottom - window.top) * (double)(window.right - window.left) * (double)c->x.c;
    return c->oh <= most && c->taps[0] <= most && c->taps[1] <= most && c->x.c <= most && patch_elements(c) <= most &&
           image_elements(c) <= most && copy <= (double)most;
}

/* Pairs of a row of outputs and a row of taps, as a share of all, of which others are left out without patches. */
static double share_on_x(const struct correlation *c)
{
    int64_t pairs = 0;
    for (int64_t i = 0; i < c->oh * c->taps[0]; i++) {
        const int64_t row = i / c->taps[0] * c->stride[0] + i % c->taps[0] * c->dilation[0] + c->origin[0];
        pairs += row >= 0 && row < c->x.h;
    }
    return (double)pairs / (double)(c->oh * c->taps[0]);
}

/* A step of a tile takes about as long as if it had so many rows at least: more where each image reads a large
 * kernel again, a little less of it where that has to be turned over first. And the copy takes some time. */
bool prefers_patches(const struct correlation *c)
{
    if (c->groups != 1 || c->apart || c->ow > MR_MAX || c->oh * c->ow < 2 || c->k < KERNELS_MIN ||
        c->x.c < c->kernels->vl || is_row_of_patches(c) || !is_regular(c) || !is_moderate(c)) {
        return false;
    }
    const bool large = c->taps[0] * c->taps[1] * c->x.c * c->k * (int64_t)c->x.item > 4 * BLOCK_BYTES;
    const double rows = large && c->bounded ? 5.5 : large ? 6.5 : 4.5;
    return fmax(rows / (double)c->ow, 1) * (c->x.mode == CHANCONV_ZEROS ? share_on_x(c) : 1) > 1.15;
}

struct correlation correlation_with_patches(const struct correlation *c, int64_t images, const void *patches)
{
    const int64_t taps = c->taps[0] * c->taps[1];
    struct correlation product = *c;
    product.x = (struct image){
        .data = patches, .n = images, .h = c->oh, .w = c->ow * taps, .c = c->x.c, .pixel = c->x.c,
        .row = c->ow * patch_elements(c), .image = image_elements(c), .mode = CHANCONV_ZEROS, .item = c->x.item,
    };
    product.taps[0] = product.stride[0] = product.dilation[0] = product.dilation[1] = 1;
    product.taps[1] = product.stride[1] = taps;
    product.origin[0] = product.origin[1] = 0;
    product.kernel_tap[0] = 0;
    product.padded = reaches_outside(c);
    return product;
}

/* Images whose patches are there at a time. */
static int64_t images_at_once(const struct correlation *c)
{
    const int64_t most = max64(PATCHES_BYTES / (image_elements(c) * (int64_t)c->x.item), 1);
    return ceil_div(c->x.n, ceil_div(c->x.n, most));
}

static bool prepares(const struct correlation *c) { return !c->prepared && images_at_once(c) < c->x.n; }

static int64_t own_bytes(const struct correlation *c, const struct job *job, int threads)
{
    const int64_t elements = job->images * image_elements(c) + threads * job->band_elements;
    return ceil_div(elements * (int64_t)c->x.item, CACHE_LINE) * CACHE_LINE +
           (prepares(c) ? prepared_correlation_bytes(c) : 0);
}

static struct job plan(const struct correlation *c)
{
    const struct window window = window_of(c);
    const bool copy = !inside(&c->x, &window);
    return (struct job){
        .c = c, .images = images_at_once(c), .copy = copy, .band_elements = copy ? band_elements(&c->x, &window) : 0,
    };
}

int64_t patches_bytes(const struct correlation *c, int threads)
{
    static const struct prepared some;
    const struct job job = plan(c);
    struct correlation product = correlation_with_patches(c, job.images, NULL);
    product.prepared = prepares(c) ? &some : c->prepared;
    return own_bytes(c, &job, threads) + correlation_bytes(&product, threads);
}

/* The patches of image i of those. */
static void gather(void *data, int lane, int64_t i)
{
    const struct job *job = data;
    const struct correlation *c = job->c;
    const struct window window = window_of(c);
    const struct band band = take_band(&c->x, job->first + i, &window, job->copy,
                                       at(job->bands, lane * job->band_elements, c->x.item));
    const bool merged = band.pixel == c->x.c && c->dilation[1] == 1;
    const int64_t runs = merged ? 1 : c->taps[1], length = merged ? c->taps[1] * c->x.c : c->x.c;
    char *to = at(job->patches, i * image_elements(c), c->x.item);
    for (int64_t output = 0; output < c->oh * c->ow; output++) {
        const int64_t row = output / c->ow * c->stride[0], col = output % c->ow * c->stride[1];
        for (int64_t run = 0; run < c->taps[0] * runs; run++, to = at(to, length, c->x.item)) {
            const int64_t r = row + run / runs * c->dilation[0], s = col + run % runs * c->dilation[1];
            memcpy(to, at(band.base, r * band.row + s * band.pixel, c->x.item), (size_t)length * c->x.item);
        }
    }
}

chanconv_status correlate_patches(chanconv_context *context, const struct correlation *c)
{
    const int threads = worthwhile_threads(context, correlation_flops(c));
    struct job job = plan(c);
    const size_t bytes = (size_t)own_bytes(c, &job, threads);
    struct prepared *prepared = take_scratch(context, bytes);
    chanconv_status status = CHANCONV_OK;
    if (!prepared) {
        return CHANCONV_NO_MEMORY;
    }
    job.patches = at(prepared, prepares(c) ? prepared_correlation_bytes(c) : 0, 1);
    job.bands = at(job.patches, job.images * image_elements(c), c->x.item);
    if (prepares(c)) {
        prepare_with_threads(context, threads, c, prepared);
    }
    for (; job.first < c->x.n && status == CHANCONV_OK; job.first += job.images) {
        struct correlation product = correlation_with_patches(c, min64(job.images, c->x.n - job.first), job.patches);
        product.prepared = prepares(c) ? prepared : c->prepared;
        product.y = at(c->y, job.first * c->y_image, c->x.item);
        run_units(context, threads, product.x.n, gather, &job);
        status = correlate(context, &product);
    }
    release_scratch(context, prepared, bytes);
    return status;
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Dense layers: a convolution with a single output is a vector times the kernel as a matrix, [taps * c][k], which is read
 * once, from afar. Register tiles would read a few columns of many rows, each step to another page; here some rows are read
 * at a time, each from end to end.
 *
 *     y[k] = bias[k] + sum over taps and c of x[tap][c] * kernel[tap][c][k]
 *
 * Sums have the order of those of tiles, so that an image has the same bits in a large batch, which these compute: what a
 * pass gives is summed up by itself, then added to the output.
 */
#include "correlation.h"

/* With more images a matrix is used often enough for tiles: one that fits a cache of the core, and a larger one. */
enum { IMAGES_MAX = 2, IMAGES_MAX_FAR = 4 };

/* Bytes of the sums of a unit of work: they and some rows, so long, stay in the nearest caches. */
enum { SUMS_BYTES = 16 * 1024 };

/* The processor foresees rows of a matrix itself if they are longer than this; of others the next ones are asked for. */
enum { SHORT_ROW_BYTES = 8 * 1024 };

struct dense {
    struct job job;             /* the plan of the tiles, which has the passes */
    int64_t columns, units;     /* of a unit; how many */
    void *sums;                 /* of each lane: [image][column] of a pass */
};

static struct dense plan_dense(const struct correlation *c, int threads)
{
    struct dense d = {.job = plan_correlation(c, 1, false)};
    const int64_t item = (int64_t)c->kernels->item, line = CACHE_LINE / item;
    const int64_t most = SUMS_BYTES / (c->x.n * item * line) * line;
    const int64_t share = ceil_div(ceil_div(c->k, threads), line) * line;
    d.columns = min64(most, max64(share, line));
    d.units = ceil_div(c->k, d.columns);
    return d;
}

bool prefers_dense(const struct correlation *c)
{
    const int64_t bytes = c->taps[0] * c->taps[1] * c->x.c * c->k * (int64_t)c->kernels->item;
    const int64_t most = bytes > CORE_BYTES ? IMAGES_MAX_FAR : IMAGES_MAX;
    return c->oh == 1 && c->ow == 1 && c->x.n > 0 && c->x.n <= most && c->x.c > 0 && c->groups == 1 && c->kernel_k == 1 &&
           !c->prepared && !reaches_outside(c) && !plan_correlation(c, 1, false).dot;
}

static int64_t bytes_of(const struct dense *d, int threads)
{
    return threads * d->job.c.ow * d->columns * (int64_t)d->job.c.kernels->item;
}

int64_t dense_bytes(const struct correlation *c, int threads)
{
    const struct dense d = plan_dense(c, threads);
    return bytes_of(&d, threads);
}

/* Columns first .. first + columns - 1 of all images; sums: of the first image, then of the others. */
struct part {
    int64_t first, columns;
    char *y, *sums;
};

/* Adds rows `channel` .. of a tap to the sums of all images, which begin as zeros if `fresh`. */
static void add_rows(const struct dense *d, const struct part *part, int64_t tap, int64_t channel, int64_t rows,
                     char *sums, int64_t sums_pitch, bool fresh)
{
    const struct correlation *c = &d->job.c;
    const size_t item = c->kernels->item;
    const int64_t r = tap / c->taps[1], s = tap % c->taps[1];
    const char *x = at(c->x.data, r * c->dilation[0] * c->x.row + s * c->dilation[1] * c->x.pixel + channel, item);
    struct row_sums rows_of_b = {
        .rows = rows, .columns = part->columns, .b_row = c->kernel_c, .first = fresh,
        .ahead = part->columns * (int64_t)item <= SHORT_ROW_BYTES ? rows * c->kernel_c : 0,
        .b = at(c->kernel, r * c->kernel_tap[0] + s * c->kernel_tap[1] + channel * c->kernel_c + part->first, item),
    };
    for (int64_t n = 0; n < c->ow; n++) {
        rows_of_b.x = at(x, n * c->column, item);
        rows_of_b.sums = at(sums, n * sums_pitch, item);
        c->kernels->add_rows(&rows_of_b);
    }
}

/* The sums of a pass, of all images, sums_pitch from each other. */
static void sum_pass(const struct dense *d, const struct part *part, const struct pass *pass, char *sums,
                     int64_t sums_pitch)
{
    const int64_t channels = d->job.c.x.c, taps_in_run = d->job.merged ? d->job.c.taps[1] : 1;
    bool fresh = true;
    for (int64_t run = pass->first; run < pass->first + pass->count; run++) {
        for (int64_t step = pass->begin, rows; step < pass->end; step += rows, fresh = false) {
            const int64_t channel = step % channels;
            rows = min64(min64(channels - channel, pass->end - step), DENSE_ROWS);
            add_rows(d, part, run * taps_in_run + step / channels, channel, rows, sums, sums_pitch, fresh);
        }
    }
}

static void run_part(const struct dense *d, const struct part *part)
{
    const struct correlation *c = &d->job.c;
    const struct kernels *kernels = c->kernels;
    const int64_t passes = pass_count(&d->job);
    for (int64_t i = 0; i < passes; i++) {
        const struct pass pass = pass_at(&d->job, i);
        char *sums = i == 0 ? part->y : part->sums;
        const int64_t pitch = i == 0 ? c->y_pixel : part->columns;
        sum_pass(d, part, &pass, sums, pitch);
        for (int64_t n = 0; n < c->ow; n++) {
            if (c->bias && i == passes - 1) {
                kernels->add(part->columns, at(c->bias, part->first, kernels->item), at(sums, n * pitch, kernels->item));
            }
            if (i > 0) {
                kernels->add(part->columns, at(sums, n * pitch, kernels->item), at(part->y, n * c->y_pixel, kernels->item));
            }
        }
    }
    if (c->activation.kind != CHANCONV_IDENTITY) {
        activate_row(kernels, &c->activation, part->y, c->ow, part->columns, c->y_pixel);
    }
}

static void run_unit(void *data, int lane, int64_t i)
{
    const struct dense *d = data;
    const struct correlation *c = &d->job.c;
    const int64_t first = i * d->columns;
    const struct part part = {
        .first = first, .columns = min64(d->columns, c->k - first), .y = at(c->y, first, c->kernels->item),
        .sums = at(d->sums, lane * c->ow * d->columns, c->kernels->item),
    };
    run_part(d, &part);
}

chanconv_status correlate_dense(chanconv_context *context, const struct correlation *c)
{
    const int threads = worthwhile_threads(context, correlation_flops(c));
    struct dense d = plan_dense(c, threads);
    const size_t bytes = (size_t)bytes_of(&d, threads);
    d.sums = take_scratch(context, bytes);
    if (!d.sums) {
        return CHANCONV_NO_MEMORY;
    }
    run_units(context, threads, d.units, run_unit, &d);
    release_scratch(context, d.sums, bytes);
    return CHANCONV_OK;
}

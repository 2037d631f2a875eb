/* SPDX-License-Identifier: BSD-3-Clause
 *
 * im2col and its adjoint, and the textbook algorithm built on them, for every shape:
 *
 *     forward                y = im2col(x) kernel
 *     gradient of x          grad_x = col2im(grad_y kernel^T)
 *     gradient of kernel     grad_kernel = im2col(x)^T grad_y
 *
 * with kernel as a matrix [kh * kw * c][k] and im2col(x) as [oh * ow][kh * kw * c], written out for one image and group
 * at a time. The three products are those of a 1x1 convolution whose channels are the columns of the matrix.
 */
#include <string.h>

#include "gemm.h"

/* ---- im2col ------------------------------------------------------------------------------------------------------------- */

/* The columns of c channels of one image: those of a group, or all. */
struct columns {
    const struct geometry *g;
    int64_t c;
    const void *x;       /* read by im2col */
    void *out;           /* columns, or the image that col2im writes */
    const void *columns; /* read by col2im */
};

/* One row of taps of one output pixel: kw cells of x, or zeros. */
static void gather(const struct columns *m, const char *x, int64_t row, int64_t ow, char *dst)
{
    const struct geometry *g = m->g;
    const size_t bytes = (size_t)m->c * g->item;
    const int64_t left = ow * g->stride[1] - g->pad[1][0];
    const bool run = g->dilation[1] == 1 && g->x_pixel == m->c && left >= 0 && left + g->kw <= g->w;
    if (run && row >= 0) {
        memcpy(dst, at(x, row * g->x_row + left * g->x_pixel, g->item), (size_t)g->kw * bytes);
        return;
    }
    for (int64_t s = 0; s < g->kw; s++, dst += bytes) {
        const int64_t col = source_index(g->mode, left + s * g->dilation[1], g->w);
        if (row < 0 || col < 0) {
            memset(dst, 0, bytes);
        } else {
            memcpy(dst, at(x, row * g->x_row + col * g->x_pixel, g->item), bytes);
        }
    }
}

/* Output row i % oh of image i / oh. */
static void im2col_row(void *data, int64_t i)
{
    const struct columns *m = data;
    const struct geometry *g = m->g;
    const int64_t taps = g->kw * m->c, oh = i % g->oh;
    const char *x = at(m->x, i / g->oh * g->x_image, g->item);
    for (int64_t ow = 0; ow < g->ow; ow++) {
        for (int64_t r = 0; r < g->kh; r++) {
            const int64_t row = source_index(g->mode, oh * g->stride[0] - g->pad[0][0] + r * g->dilation[0], g->h);
            gather(m, x, row, ow, at(m->out, ((i * g->ow + ow) * g->kh + r) * taps, g->item));
        }
    }
}

/* ---- col2im ------------------------------------------------------------------------------------------------------------- */

/* Adds one row of taps of output pixel (oh, ow) to row `dst` of the image. */
static void scatter(const struct columns *m, const char *src, int64_t ow, char *dst)
{
    const struct geometry *g = m->g;
    for (int64_t s = 0; s < g->kw; s++) {
        const int64_t col = source_index(g->mode, ow * g->stride[1] - g->pad[1][0] + s * g->dilation[1], g->w);
        if (col >= 0) {
            kernels_for(g->dtype)->add(m->c, at(src, s * m->c, g->item), at(dst, col * g->x_pixel, g->item));
        }
    }
}

/* Adds all that row `padded` of the padded image gets from image n's columns to row `dst`. */
static void scatter_row(const struct columns *m, int64_t n, int64_t padded, char *dst)
{
    const struct geometry *g = m->g;
    for (int64_t r = 0; r < g->kh; r++) {
        const int64_t top = padded - r * g->dilation[0], oh = top / g->stride[0];
        if (top < 0 || top % g->stride[0] || oh >= g->oh) {
            continue;
        }
        for (int64_t ow = 0; ow < g->ow; ow++) {
            const int64_t pixel = (n * g->oh + oh) * g->ow + ow;
            scatter(m, at(m->columns, (pixel * g->kh + r) * g->kw * m->c, g->item), ow, dst);
        }
    }
}

/* Row i % h of image i / h: all rows of the padded image that are copies of it, in order. */
static void col2im_row(void *data, int64_t i)
{
    const struct columns *m = data;
    const struct geometry *g = m->g;
    const int64_t row = i % g->h, n = i / g->h;
    char *dst = at(m->out, n * g->x_image + row * g->x_row, g->item);
    for (int64_t col = 0; col < g->w; col++) {
        memset(at(dst, col * g->x_pixel, g->item), 0, (size_t)m->c * g->item);
    }
    if (g->mode == CHANCONV_ZEROS) {
        scatter_row(m, n, row + g->pad[0][0], dst);
        return;
    }
    for (int64_t padded = 0; padded < g->pad[0][0] + g->h + g->pad[0][1]; padded++) {
        if (source_index(g->mode, padded - g->pad[0][0], g->h) == row) {
            scatter_row(m, n, padded, dst);
        }
    }
}

/* Rows are tasks of their own: threads from as much work as pays for them. */
static void run_rows(chanconv_context *context, struct columns *m, int64_t rows, chanconv_task task)
{
    const struct geometry *g = m->g;
    const double moved = 8.0 * (double)(g->n * g->oh * g->ow) * (double)(g->kh * g->kw * m->c);
    parallel(context, worthwhile_threads(context, moved), rows, task, m);
}

/* ---- The public routines ------------------------------------------------------------------------------------------------ */

static chanconv_status begin(const chanconv_conv *conv, struct geometry *g, const void *x, const void *columns,
                             chanconv_error *error)
{
    const chanconv_status status = resolve_columns(conv, g, error);
    if (status != CHANCONV_OK) {
        return status;
    }
    const bool has_x = g->n * g->h * g->w * g->c > 0, has_columns = g->n * g->c > 0;
    if ((has_x && !x) || (has_columns && !columns)) {
        return fail(error, CHANCONV_BAD_STRUCT, has_x && !x ? "x" : "columns", "expected an address, got NULL");
    }
    return CHANCONV_OK;
}

chanconv_status chanconv_im2col(chanconv_context *context, const chanconv_conv *conv, const void *x, void *columns,
                                chanconv_error *error)
{
    struct geometry g;
    const chanconv_status status = begin(conv, &g, x, columns, error);
    if (status == CHANCONV_OK && g.n * g.c > 0) {
        struct columns m = {.g = &g, .c = g.c, .x = x, .out = columns};
        run_rows(context, &m, g.n * g.oh, im2col_row);
    }
    return status;
}

chanconv_status chanconv_col2im(chanconv_context *context, const chanconv_conv *conv, const void *columns, void *x,
                                chanconv_error *error)
{
    struct geometry g;
    const chanconv_status status = begin(conv, &g, x, columns, error);
    if (status == CHANCONV_OK && g.n * g.c > 0) {
        struct columns m = {.g = &g, .c = g.c, .columns = columns, .out = x};
        run_rows(context, &m, g.n * g.h, col2im_row);
    }
    return status;
}

/* ---- The algorithm ---------------------------------------------------------------------------------------------------------- */

/* The 1x1 convolution whose image is the matrix: oh x ow pixels of kh * kw * cg channels. Its kernels are those of one
 * group, in a matrix of g->k columns; the gradient of the kernel is written dense. */
static struct geometry product(const struct geometry *g, chanconv_pass pass)
{
    const int64_t c = g->kh * g->kw * g->cg;
    return (struct geometry){
        .dtype = g->dtype, .item = g->item, .mode = CHANCONV_ZEROS, .n = 1, .h = g->oh, .w = g->ow, .c = c,
        .kh = 1, .kw = 1, .k = pass == CHANCONV_GRAD_KERNEL ? g->kg : g->k, .oh = g->oh, .ow = g->ow, .groups = 1, .cg = c, .kg = g->kg,
        .stride = {1, 1}, .dilation = {1, 1}, .x_pixel = c, .x_row = g->ow * c, .x_image = g->oh * g->ow * c,
        .y_pixel = g->y_pixel, .y_row = g->y_row, .y_image = g->y_image,
        .activation = pass == CHANCONV_FORWARD ? g->activation : (chanconv_activation){0},
    };
}

/* One image and group of a pass; matrix: room for the im2col matrix. */
static chanconv_status run_image(chanconv_context *context, const struct geometry *g, chanconv_pass pass,
                                 const struct arrays *a, int64_t n, int64_t group, void *matrix)
{
    const struct geometry p = product(g, pass);
    const int64_t y = n * g->y_image + group * g->kg, x = n * g->x_image + group * g->cg, k = group * g->kg;
    struct columns m = {.g = g, .c = g->cg, .columns = matrix, .out = matrix};
    struct arrays part = {.x = matrix, .kernel = at(a->kernel, k, g->item), .y = at(a->y, y, g->item)};
    chanconv_status status;
    if (pass == CHANCONV_GRAD_X) {
        part.out = matrix;
        status = algorithm_gemm.run(context, &p, pass, &part);
        m.out = at(a->out, x, g->item);
        if (status == CHANCONV_OK) {
            run_rows(context, &m, g->h, col2im_row);
        }
        return status;
    }
    m.x = at(a->x, x, g->item);
    run_rows(context, &m, g->oh, im2col_row);
    part.out = pass == CHANCONV_FORWARD ? at(a->out, y, g->item) : a->out;
    part.bias = a->bias ? at(a->bias, k, g->item) : NULL;
    return algorithm_gemm.run(context, &p, pass, &part);
}

/* Adds the gradient of one group's kernels, [kh * kw * cg][kg], to the whole. */
static void add_group(const struct geometry *g, const void *group_grad, int64_t group, void *grad_kernel)
{
    for (int64_t row = 0; row < g->kh * g->kw * g->cg; row++) {
        kernels_for(g->dtype)->add(g->kg, at(group_grad, row * g->kg, g->item),
                                   at(grad_kernel, row * g->k + group * g->kg, g->item));
    }
}

/* The gradient of the kernel is a sum over images: each one's goes to `group_grad`, then to the sum. */
static chanconv_status sum_images(chanconv_context *context, const struct geometry *g, const struct arrays *a,
                                  void *matrix, void *group_grad)
{
    struct geometry one = *g;
    struct arrays part = *a;
    chanconv_status status = CHANCONV_OK;
    one.n = 1;
    part.out = group_grad;
    memset(a->out, 0, (size_t)(g->kh * g->kw * g->cg * g->k) * g->item);
    for (int64_t i = 0; i < g->n * g->groups && status == CHANCONV_OK; i++) {
        status = run_image(context, &one, CHANCONV_GRAD_KERNEL, &part, i / g->groups, i % g->groups, matrix);
        add_group(g, group_grad, i % g->groups, a->out);
    }
    return status;
}

/* Bias and activation of a transposed convolution. */
static void finish_x(const struct geometry *g, const struct arrays *a)
{
    const struct kernels *kernels = kernels_for(g->dtype);
    for (int64_t i = 0; i < g->n * g->h * g->w; i++) {
        const int64_t n = i / (g->h * g->w), row = i / g->w % g->h, col = i % g->w;
        void *pixel = at(a->out, n * g->x_image + row * g->x_row + col * g->x_pixel, g->item);
        if (a->bias) {
            kernels->add(g->c, a->bias, pixel);
        }
        activate_row(kernels, &g->activation, pixel, 1, g->c, g->c);
    }
}

static int64_t matrix_elements(const struct geometry *g)
{
    int64_t elements;
    return mul(g->kh * g->kw * g->cg, g->oh * g->ow, &elements) && elements < INT64_MAX / 16 ? elements : -1;
}

static int64_t gradient_elements(const struct geometry *g, chanconv_pass pass)
{
    return pass == CHANCONV_GRAD_KERNEL ? g->kh * g->kw * g->cg * g->kg : 0;
}

static chanconv_status run(chanconv_context *context, const struct geometry *g, chanconv_pass pass,
                           const struct arrays *a)
{
    const int64_t elements = matrix_elements(g);
    const size_t bytes = (size_t)(elements + gradient_elements(g, pass)) * g->item;
    void *matrix = elements < 0 ? NULL : take_scratch(context, bytes);
    struct geometry one = *g;
    chanconv_status status = CHANCONV_OK;
    if (!matrix) {
        return CHANCONV_NO_MEMORY;
    }
    one.n = 1;
    if (pass == CHANCONV_GRAD_KERNEL) {
        status = sum_images(context, g, a, matrix, at(matrix, elements, g->item));
    }
    for (int64_t i = 0; pass != CHANCONV_GRAD_KERNEL && i < g->n * g->groups && status == CHANCONV_OK; i++) {
        status = run_image(context, &one, pass, a, i / g->groups, i % g->groups, matrix);
    }
    if (status == CHANCONV_OK && pass == CHANCONV_GRAD_X &&
        (a->bias || g->activation.kind != CHANCONV_IDENTITY)) {
        finish_x(g, a);
    }
    release_scratch(context, matrix, bytes);
    return status;
}

static void plan(const struct geometry *g, chanconv_pass pass, chanconv_plan *plan)
{
    const struct geometry p = product(g, pass);
    const int64_t elements = matrix_elements(g) + gradient_elements(g, pass);
    algorithm_gemm.plan(&p, pass, plan);
    plan->workspace_bytes += elements * (int64_t)g->item;
}

const struct algorithm algorithm_im2col = {.id = CHANCONV_IM2COL, .plan = plan, .run = run};

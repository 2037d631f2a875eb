/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The passes of a convolution: validate, choose an algorithm, run it. Algorithms stand in an ordered list, best first;
 * each may decline, the general one last.
 */
#include "internal.h"

/* The order of preference of "auto". im2col comes after gemm, which declines nothing: it runs only when asked for. */
static const struct algorithm *const algorithms[] = {&algorithm_fft,      &algorithm_depthwise, &algorithm_plane,
                                                     &algorithm_grouped,  &algorithm_winograd,  &algorithm_gemm,
                                                     &algorithm_im2col};
enum { ALGORITHMS = sizeof algorithms / sizeof *algorithms };

_Static_assert((int)CHANCONV_ALGORITHM_COUNT <= (int)CHANCONV_PLAN_ALGORITHMS, "chanconv_plan.declined is too short");

static const char *const algorithm_name[CHANCONV_ALGORITHM_COUNT] = {"auto",     "gemm", "direct",
                                                                     "winograd", "fft",  "im2col"};

/* Why an algorithm is out for this call, or NULL if it may be taken. */
static const char *refusal(const struct algorithm *algorithm, const struct geometry *g, chanconv_pass pass)
{
    if (g->algorithm != CHANCONV_AUTO && g->algorithm != (int32_t)algorithm->id) {
        return "another algorithm was asked for";
    }
    return algorithm->decline ? algorithm->decline(g, pass) : NULL;
}

const struct algorithm *choose_algorithm(const struct geometry *g, chanconv_pass pass)
{
    for (int i = 0; i < ALGORITHMS; i++) {
        if (!refusal(algorithms[i], g, pass)) {
            return algorithms[i];
        }
    }
    return NULL;
}

chanconv_status no_algorithm(const struct geometry *g, chanconv_error *error)
{
    return fail(error, CHANCONV_BAD_ALGORITHM, "algorithm",
                "\"%s\" cannot compute this shape; \"auto\", \"gemm\" and \"im2col\" can",
                algorithm_name[g->algorithm]);
}

/* An array that has elements must have an address. */
static bool missing(const void *array, int64_t count) { return !array && count > 0; }

static int64_t count_x(const struct geometry *g) { return g->n * g->h * g->w * g->c; }
static int64_t count_y(const struct geometry *g) { return g->n * g->oh * g->ow * g->k; }
static int64_t count_kernel(const struct geometry *g) { return g->kh * g->kw * g->cg * g->k; }

/* Whether an array of these sizes could be: none has 2^48 elements. */
static bool can_be(int64_t a, int64_t b, int64_t c, int64_t d)
{
    const int64_t sizes[] = {a, b, c, d};
    int64_t count = 1;
    for (int i = 0; i < 4; i++) {
        if (!mul(count, max64(sizes[i], 1), &count)) {
            return false;
        }
    }
    return count < INT64_C(1) << 48;
}

/* What the algorithms get to see. Where no channels are added up there are no taps either, however many the kernel has.
 * Sizes are so that sums and products of a few of them, with padding written out and whole vectors, do not overflow. */
chanconv_status admit(struct geometry *g, chanconv_pass pass, chanconv_error *error)
{
    if ((pass == CHANCONV_FORWARD && g->c == 0) || (pass == CHANCONV_GRAD_X && g->k == 0)) {
        g->h = g->oh = pass == CHANCONV_FORWARD ? g->oh : g->h;
        g->w = g->ow = pass == CHANCONV_FORWARD ? g->ow : g->w;
        for (int axis = 0; axis < 2; axis++) {
            g->stride[axis] = g->dilation[axis] = 1;
            g->pad[axis][0] = g->pad[axis][1] = 0;
        }
        g->kh = g->kw = 1;
    }
    const int64_t height = g->h + g->pad[0][0] + g->pad[0][1], width = g->w + g->pad[1][0] + g->pad[1][1];
    if (!can_be(g->n, g->h, g->w, g->c) || !can_be(1, height, width, g->c) || !can_be(g->n, g->oh, g->ow, g->k) ||
        !can_be(g->kh, g->kw, g->cg, g->k)) {
        return fail(error, CHANCONV_NO_MEMORY, "memory", "no machine has enough for the arrays of this call");
    }
    return CHANCONV_OK;
}

static chanconv_status null_pointer(chanconv_error *error, const char *argument)
{
    return fail(error, CHANCONV_BAD_STRUCT, argument, "expected an address, got NULL");
}

/* Where the kernel of a pass comes from: an array, or one that was packed. */
struct kernel_source {
    const void *array;
    const chanconv_packed *packed;
};

/* A pass with a kernel. */
static chanconv_status run(chanconv_context *context, const struct geometry *geometry, chanconv_pass pass,
                           const struct arrays *arrays_, const chanconv_packed *packed, chanconv_error *error)
{
    struct geometry g = *geometry;
    struct arrays arrays = *arrays_;
    chanconv_status status = admit(&g, pass, error);
    if (status != CHANCONV_OK) {
        return status;
    }
    const struct algorithm *algorithm = choose_algorithm(&g, pass);
    if (!algorithm) {
        return no_algorithm(&g, error);
    }
    status = packed ? unpack(packed, &g, pass, algorithm, &arrays, error) : CHANCONV_OK;
    if (status != CHANCONV_OK) {
        return status;
    }
    status = algorithm->run(context, &g, pass, &arrays);
    return status == CHANCONV_NO_MEMORY
               ? fail(error, status, "memory", "there is not enough for the workspace of this call")
               : status;
}

static chanconv_status forward(chanconv_context *context, const chanconv_conv *conv, const void *x,
                               struct kernel_source kernel, const void *bias, void *y, chanconv_error *error)
{
    struct geometry g;
    const chanconv_status status = resolve(conv, &g, error);
    if (status != CHANCONV_OK) {
        return status;
    }
    const bool no_kernel = !kernel.packed && missing(kernel.array, count_kernel(&g));
    if (missing(x, count_x(&g)) || no_kernel || missing(y, count_y(&g))) {
        return null_pointer(error, missing(x, count_x(&g)) ? "x" : missing(y, count_y(&g)) ? "y" : "kernel");
    }
    if (count_y(&g) == 0) {
        return CHANCONV_OK;
    }
    const struct arrays arrays = {.x = x, .kernel = kernel.array, .bias = bias, .out = y};
    return run(context, &g, CHANCONV_FORWARD, &arrays, kernel.packed, error);
}

chanconv_status chanconv_conv_forward(chanconv_context *context, const chanconv_conv *conv, const void *x,
                                      const void *kernel, const void *bias, void *y, chanconv_error *error)
{
    return forward(context, conv, x, (struct kernel_source){.array = kernel}, bias, y, error);
}

static chanconv_status no_packed(chanconv_error *error) { return null_pointer(error, "packed"); }

chanconv_status chanconv_conv_forward_packed(chanconv_context *context, const chanconv_conv *conv, const void *x,
                                             const chanconv_packed *packed, const void *bias, void *y,
                                             chanconv_error *error)
{
    return packed ? forward(context, conv, x, (struct kernel_source){.packed = packed}, bias, y, error)
                  : no_packed(error);
}

/* grad_x, and with bias and activation the transposed convolution. */
static chanconv_status grad_x(chanconv_context *context, const struct geometry *g, const void *y,
                              struct kernel_source kernel, const void *bias, void *x, chanconv_error *error)
{
    const bool no_kernel = !kernel.packed && missing(kernel.array, count_kernel(g));
    if (missing(y, count_y(g)) || no_kernel || missing(x, count_x(g))) {
        return null_pointer(error, missing(y, count_y(g)) ? "y" : missing(x, count_x(g)) ? "x" : "kernel");
    }
    if (count_x(g) == 0) {
        return CHANCONV_OK;
    }
    const struct arrays arrays = {.y = y, .kernel = kernel.array, .bias = bias, .out = x};
    return run(context, g, CHANCONV_GRAD_X, &arrays, kernel.packed, error);
}

static chanconv_status gradient_of_image(chanconv_context *context, const chanconv_conv *conv, const void *grad_y,
                                         struct kernel_source kernel, void *x, chanconv_error *error)
{
    struct geometry g;
    const chanconv_status status = resolve(conv, &g, error);
    if (status != CHANCONV_OK) {
        return status;
    }
    g.activation.kind = CHANCONV_IDENTITY;
    return grad_x(context, &g, grad_y, kernel, NULL, x, error);
}

chanconv_status chanconv_conv_grad_x(chanconv_context *context, const chanconv_conv *conv, const void *grad_y,
                                     const void *kernel, void *grad_x_, chanconv_error *error)
{
    return gradient_of_image(context, conv, grad_y, (struct kernel_source){.array = kernel}, grad_x_, error);
}

chanconv_status chanconv_conv_grad_x_packed(chanconv_context *context, const chanconv_conv *conv, const void *grad_y,
                                            const chanconv_packed *packed, void *grad_x_, chanconv_error *error)
{
    return packed ? gradient_of_image(context, conv, grad_y, (struct kernel_source){.packed = packed}, grad_x_, error)
                  : no_packed(error);
}

static chanconv_status transpose(chanconv_context *context, const chanconv_conv *conv, const void *y,
                                 struct kernel_source kernel, const void *bias, void *x, chanconv_error *error)
{
    struct geometry g;
    const chanconv_status status = resolve(conv, &g, error);
    if (status != CHANCONV_OK) {
        return status;
    }
    if (g.mode != CHANCONV_ZEROS) {
        return fail(error, CHANCONV_BAD_PADDING_MODE, "padding_mode", "a transposed convolution pads with zeros only");
    }
    return grad_x(context, &g, y, kernel, bias, x, error);
}

chanconv_status chanconv_conv_transpose(chanconv_context *context, const chanconv_conv *conv, const void *y,
                                        const void *kernel, const void *bias, void *x, chanconv_error *error)
{
    return transpose(context, conv, y, (struct kernel_source){.array = kernel}, bias, x, error);
}

chanconv_status chanconv_conv_transpose_packed(chanconv_context *context, const chanconv_conv *conv, const void *y,
                                               const chanconv_packed *packed, const void *bias, void *x,
                                               chanconv_error *error)
{
    return packed ? transpose(context, conv, y, (struct kernel_source){.packed = packed}, bias, x, error)
                  : no_packed(error);
}

static chanconv_status grad_kernel(chanconv_context *context, const struct geometry *g, const void *grad_y,
                                   const void *x, void *grad, chanconv_error *error)
{
    if (count_kernel(g) == 0) {
        return CHANCONV_OK;
    }
    const struct arrays arrays = {.x = x, .y = grad_y, .out = grad};
    return run(context, g, CHANCONV_GRAD_KERNEL, &arrays, NULL, error);
}

/* What both forms of the gradient of the kernel begin with; images: gradients that are written. */
static chanconv_status begin_grad_kernel(const chanconv_conv *conv, struct geometry *g, const void *grad_y,
                                         const void *x, const void *grad, bool per_sample, chanconv_error *error)
{
    const chanconv_status status = resolve(conv, g, error);
    if (status != CHANCONV_OK) {
        return status;
    }
    int64_t gradients;
    if (!mul(count_kernel(g) * (int64_t)g->item, per_sample ? max64(g->n, 1) : 1, &gradients)) {
        return fail(error, CHANCONV_BAD_KERNEL, "kernel", "its gradients for each of %lld images are too large",
                    (long long)g->n);
    }
    if (missing(grad_y, count_y(g)) || missing(x, count_x(g)) || missing(grad, per_sample && !g->n ? 0 : gradients)) {
        return null_pointer(error, missing(grad_y, count_y(g)) ? "grad_y" : missing(x, count_x(g)) ? "x" : "kernel");
    }
    return CHANCONV_OK;
}

chanconv_status chanconv_conv_grad_kernel(chanconv_context *context, const chanconv_conv *conv, const void *grad_y,
                                          const void *x, void *grad, chanconv_error *error)
{
    struct geometry g;
    const chanconv_status status = begin_grad_kernel(conv, &g, grad_y, x, grad, false, error);
    return status == CHANCONV_OK ? grad_kernel(context, &g, grad_y, x, grad, error) : status;
}

chanconv_status chanconv_conv_grad_kernel_per_sample(chanconv_context *context, const chanconv_conv *conv,
                                                     const void *grad_y, const void *x, void *grads,
                                                     chanconv_error *error)
{
    struct geometry g;
    chanconv_status status = begin_grad_kernel(conv, &g, grad_y, x, grads, true, error);
    if (status != CHANCONV_OK) {
        return status;
    }
    const int64_t images = count_kernel(&g) ? g.n : 0; /* of nothing there may be any number */
    g.n = 1;
    for (int64_t i = 0; i < images && status == CHANCONV_OK; i++) {
        status = grad_kernel(context, &g, at(grad_y, i * g.y_image, g.item), at(x, i * g.x_image, g.item),
                             at(grads, i * count_kernel(&g), g.item), error);
    }
    return status;
}

/* The gradient of the bias is that of the kernel of a 1x1 convolution of one channel whose x is 1 everywhere. */
static struct geometry bias_geometry(const struct geometry *g)
{
    return (struct geometry){
        .dtype = g->dtype, .item = g->item, .n = g->n, .h = g->oh, .w = g->ow, .c = 1, .kh = 1, .kw = 1, .k = g->k,
        .oh = g->oh, .ow = g->ow, .groups = 1, .cg = 1, .kg = g->k, .stride = {1, 1}, .dilation = {1, 1},
        .y_pixel = g->y_pixel, .y_row = g->y_row, .y_image = g->y_image, .algorithm = CHANCONV_GEMM,
    };
}

chanconv_status chanconv_conv_grad_bias(chanconv_context *context, const chanconv_conv *conv, const void *grad_y,
                                        void *grad_bias, chanconv_error *error)
{
    struct geometry g;
    const chanconv_status status = resolve(conv, &g, error);
    if (status != CHANCONV_OK) {
        return status;
    }
    if (missing(grad_y, count_y(&g)) || missing(grad_bias, g.k)) {
        return null_pointer(error, missing(grad_bias, g.k) ? "grad_bias" : "grad_y");
    }
    if (g.k == 0) {
        return CHANCONV_OK;
    }
    /* Every pitch of that x is 0: it is one number. */
    static const union {
        uint64_t bits;
        unsigned char bytes[8];
    } one[2] = {{.bits = UINT64_C(0x3f8000003f800000)}, {.bits = UINT64_C(0x3ff0000000000000)}};
    const struct geometry ones = bias_geometry(&g);
    return grad_kernel(context, &ones, grad_y, &one[g.dtype], grad_bias, error);
}

/* The other algorithms of "auto", and why they stood back. */
static void list_declined(const struct geometry *g, chanconv_pass pass, chanconv_plan *plan)
{
    for (int id = CHANCONV_GEMM; id < CHANCONV_ALGORITHM_COUNT; id++) {
        plan->declined[id] = "it has no kernel for this shape";
    }
    static const char later[] = "another comes first";
    for (int i = ALGORITHMS - 1; i >= 0; i--) { /* of several with one id that one counts which could, else the first */
        const char *reason = refusal(algorithms[i], g, pass), **declined = &plan->declined[algorithms[i]->id];
        *declined = reason && *declined != later ? reason : later;
    }
    plan->declined[plan->algorithm] = NULL;
}

/* A call takes fewer threads where the work is little, and then may take more memory for each: the most of all counts. */
static void plan_threads(const struct algorithm *algorithm, const struct geometry *g, chanconv_pass pass,
                         chanconv_plan *plan)
{
    const int threads = plan->threads;
    int64_t most = 0;
    for (int t = 1; t <= threads; t++) {
        plan->threads = t;
        algorithm->plan(g, pass, plan);
        most = max64(most, plan->workspace_bytes);
    }
    plan->workspace_bytes = most ? most + NESTED_BLOCKS_MAX * CACHE_LINE : 0;
}

/* Makes *g the geometry of the one of the first three passes that `pass` is made of, which it returns. */
static chanconv_pass made_of(chanconv_pass pass, struct geometry *g)
{
    if (pass == CHANCONV_GRAD_BIAS) {
        *g = bias_geometry(g);
    } else if (pass == CHANCONV_GRAD_KERNEL_PER_SAMPLE) {
        g->n = min64(g->n, 1);
    }
    return pass > CHANCONV_GRAD_KERNEL ? CHANCONV_GRAD_KERNEL : pass;
}

chanconv_status chanconv_conv_plan(chanconv_context *context, const chanconv_conv *conv, chanconv_pass pass,
                                   chanconv_plan *plan, chanconv_error *error)
{
    struct geometry g;
    if (!plan || plan->struct_size != sizeof *plan) {
        return fail(error, CHANCONV_BAD_STRUCT, "plan", "expected struct_size to be sizeof(chanconv_plan)");
    }
    if (pass < CHANCONV_FORWARD || pass > CHANCONV_GRAD_BIAS) {
        return fail(error, CHANCONV_BAD_STRUCT, "pass", "expected 0 .. %d, got %d", CHANCONV_GRAD_BIAS, (int)pass);
    }
    chanconv_status status = resolve(conv, &g, error);
    pass = status ? pass : made_of(pass, &g);
    status = status ? status : admit(&g, pass, error);
    if (status != CHANCONV_OK) {
        return status;
    }
    const struct algorithm *algorithm = choose_algorithm(&g, pass);
    if (!algorithm) {
        return no_algorithm(&g, error);
    }
    *plan = (chanconv_plan){
        .struct_size = sizeof *plan, .algorithm = algorithm->id,
        .threads = context_threads(context),
        .flops = 2.0 * (double)count_y(&g) * (double)(g.kh * g.kw * g.cg),
        .bytes = (double)g.item * ((double)count_x(&g) + (double)count_kernel(&g) + (double)count_y(&g)),
    };
    plan_threads(algorithm, &g, pass, plan);
    machine_bound(&g, plan);
    list_declined(&g, pass, plan);
    return CHANCONV_OK;
}

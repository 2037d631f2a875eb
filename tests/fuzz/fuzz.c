/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The fuzz targets, one for every entry point that takes sizes: a call either is refused, exactly if our own check says so,
 * or gives what the formula says. Anything else ends the process. run.py builds and runs them:
 *
 *   TARGET   defined: a libFuzzer target, one input is one call
 *   neither  the table of all targets, for tests/c/test_geometry.c
 *   REPLAY   defined, by tests/c/test_corpus.c: a program that runs the committed inputs, lines of hex digits in files
 *            corpus/<target>.txt
 */
#include "problem.h"

#include <tgmath.h>

/* ---- Passes ----------------------------------------------------------------------------------------------------- */

typedef chanconv_status pass_fn(chanconv_context *context, const chanconv_conv *conv, const void *const in[], void *out,
                                chanconv_error *error);

struct pass {
    enum role in[3], out;
    tap_fn *tap;
    pass_fn *call;
    int plan; /* chanconv_pass, or -1: sums of products in every algorithm */
    bool columns, activation;
};

static chanconv_status call_forward(chanconv_context *context, const chanconv_conv *conv, const void *const in[],
                                    void *out, chanconv_error *error)
{
    return chanconv_conv_forward(context, conv, in[0], in[1], in[2], out, error);
}

static chanconv_status call_grad_x(chanconv_context *context, const chanconv_conv *conv, const void *const in[],
                                   void *out, chanconv_error *error)
{
    return chanconv_conv_grad_x(context, conv, in[0], in[1], out, error);
}

static chanconv_status call_transpose(chanconv_context *context, const chanconv_conv *conv, const void *const in[],
                                      void *out, chanconv_error *error)
{
    return chanconv_conv_transpose(context, conv, in[0], in[1], in[2], out, error);
}

static chanconv_status call_grad_kernel(chanconv_context *context, const chanconv_conv *conv, const void *const in[],
                                        void *out, chanconv_error *error)
{
    return chanconv_conv_grad_kernel(context, conv, in[0], in[1], out, error);
}

static chanconv_status call_per_sample(chanconv_context *context, const chanconv_conv *conv, const void *const in[],
                                       void *out, chanconv_error *error)
{
    return chanconv_conv_grad_kernel_per_sample(context, conv, in[0], in[1], out, error);
}

static chanconv_status call_grad_bias(chanconv_context *context, const chanconv_conv *conv, const void *const in[],
                                      void *out, chanconv_error *error)
{
    return chanconv_conv_grad_bias(context, conv, in[0], out, error);
}

static chanconv_status call_im2col(chanconv_context *context, const chanconv_conv *conv, const void *const in[],
                                   void *out, chanconv_error *error)
{
    return chanconv_im2col(context, conv, in[0], out, error);
}

static chanconv_status call_col2im(chanconv_context *context, const chanconv_conv *conv, const void *const in[],
                                   void *out, chanconv_error *error)
{
    return chanconv_col2im(context, conv, in[0], out, error);
}

static const struct pass forward = {.in = {X, KERNEL, BIAS}, .out = Y, .tap = tap_forward, .call = call_forward,
                                    .plan = CHANCONV_FORWARD, .activation = true};
static const struct pass grad_x = {.in = {Y, KERNEL}, .out = X, .tap = tap_grad_x, .call = call_grad_x,
                                   .plan = CHANCONV_GRAD_X};
static const struct pass transpose = {.in = {Y, KERNEL, X_BIAS}, .out = X, .tap = tap_grad_x, .call = call_transpose,
                                      .plan = CHANCONV_GRAD_X, .activation = true};
static const struct pass grad_kernel = {.in = {Y, X}, .out = KERNEL, .tap = tap_grad_kernel, .call = call_grad_kernel,
                                        .plan = CHANCONV_GRAD_KERNEL};
static const struct pass per_sample = {.in = {Y, X}, .out = KERNELS, .tap = tap_grad_kernel, .call = call_per_sample,
                                       .plan = CHANCONV_GRAD_KERNEL};
static const struct pass grad_bias = {.in = {Y}, .out = Y_BIAS, .call = call_grad_bias, .plan = -1};
static const struct pass im2col = {.in = {X}, .out = COLUMNS, .tap = tap_im2col, .call = call_im2col, .plan = -1,
                                   .columns = true};
static const struct pass col2im = {.in = {COLUMNS}, .out = X, .tap = tap_col2im, .call = call_col2im, .plan = -1,
                                   .columns = true};

/* ---- What a pass should give ------------------------------------------------------------------------------------ */

static const struct layout *layout_of_role(const struct problem *p, enum role role)
{
    return role == X ? &p->x : role == Y ? &p->y : NULL;
}

/* Fills an input; gaps between pixels stay NaN. */
static void fill(const struct problem *p, enum role role, struct array *a, struct values *values)
{
    const struct layout *layout = layout_of_role(p, role);
    if (!layout) {
        for (int64_t i = 0; i < a->count; i++) {
            put(a, i, value(values));
        }
        return;
    }
    FOR_PIXELS(layout, pixel) {
        for (int64_t i = 0; i < layout->c; i++) {
            put(a, pixel + i, value(values));
        }
    }
}

static void add_bias(const struct layout *layout, const struct array *bias, struct expected *e)
{
    FOR_PIXELS(layout, pixel) {
        for (int64_t i = 0; i < layout->c && bias->data; i++) {
            add(e, pixel + i, get(bias, i));
        }
    }
}

static struct expected expect(const struct problem *p, const struct pass *pass, const struct array *const in[])
{
    struct expected e = expected_new(p->extent[pass->out]);
    if (pass->tap) {
        each_tap(p, pass->tap, in, &e);
    } else {
        FOR_PIXELS(&p->y, pixel) {
            for (int64_t k = 0; k < p->y.c; k++) {
                add(&e, k, get(in[0], pixel + k));
            }
        }
    }
    if (pass->in[2]) {
        add_bias(layout_of_role(p, pass->out), in[2], &e);
    }
    return e;
}

/* How far a result may be off: the bound of a sum, of which the one in float64 has a share; for algorithms that transform
 * (scale > 0) so many units of the norms of the inputs. */
static double bound(const struct expected *e, int64_t i, chanconv_dtype dtype, bool exact, double scale)
{
    const double unit = dtype == CHANCONV_F32 ? FLT_EPSILON / 2 : DBL_EPSILON;
    const double tiny = dtype == CHANCONV_F32 ? 0x1p-149 : 0x1p-1074;
    const double terms = (double)e->terms[i];
    return scale > 0 ? 2000 * unit * scale + tiny * 4096
                     : exact ? 0 : (terms + 2) * unit * e->size[i] + (terms + 1) * tiny;
}

static void require_equal(const struct problem *p, enum role role, const struct array *out, const struct expected *e,
                          bool exact, double scale)
{
    const struct layout *layout = layout_of_role(p, role);
    const double largest = out->dtype == CHANCONV_F32 ? FLT_MAX : DBL_MAX;
    for (int64_t i = 0; i < e->count; i++) {
        const int64_t in_row = layout ? i % layout->image % layout->row : 0;
        if (layout && (in_row % layout->pixel >= layout->c || in_row / layout->pixel >= layout->w ||
                       i % layout->image / layout->row >= layout->h)) {
            const uint64_t untouched = UINT64_MAX; /* of any byte order */
            REQUIRE(memcmp((char *)out->data + (size_t)i * item(out->dtype), &untouched, item(out->dtype)) == 0);
        } else if (!(isfinite(e->sum[i]) && fmax(e->size[i], scale) > largest / 256)) { /* else it may overflow */
            const double got = get(out, i), error = bound(e, i, out->dtype, exact, scale);
            if (!near(got, e->sum[i], error)) {
                describe(&p->conv);
                fprintf(stderr, "element %lld of %lld: %.17g, expected %.17g +- %g\n", (long long)i, (long long)e->count,
                        got, e->sum[i], error);
                abort();
            }
        }
    }
}

static double norm(const struct array *a)
{
    double largest = 0, sum = 0;
    for (int64_t i = 0; i < a->count; i++) {
        largest = isfinite(get(a, i)) ? fmax(largest, fabs(get(a, i))) : largest;
    }
    for (int64_t i = 0; i < a->count && largest > 0; i++) {
        const double v = get(a, i) / largest;
        sum += isfinite(v) ? v * v : 0;
    }
    return largest * sqrt(sum);
}

/* 0 if the algorithm that is taken adds up the products of the formula; else the product of the norms. */
static double scale_of(const struct problem *p, const struct pass *pass, const struct array *const in[])
{
    chanconv_plan plan = {.struct_size = sizeof plan};
    if (pass->plan < 0 ||
        chanconv_conv_plan(NULL, &p->conv, (chanconv_pass)pass->plan, &plan, NULL) != CHANCONV_OK ||
        (plan.algorithm != CHANCONV_WINOGRAD && plan.algorithm != CHANCONV_FFT)) {
        return 0;
    }
    return norm(in[0]) * norm(in[1]) + (in[2]->data ? norm(in[2]) : 0) + 1e-290;
}

/* ---- Calls ------------------------------------------------------------------------------------------------------ */

/* A call that cannot be: too large for us to make, or refused. With no arrays, it must not read or write any. */
static void call_without_arrays(chanconv_context *context, const struct pass *pass, const chanconv_conv *conv,
                                bool possible)
{
    const void *const none[3] = {NULL, NULL, NULL};
    chanconv_error error = {NULL, ""};
    const chanconv_status status = pass->call(context, conv, none, NULL, &error);
    if (!possible || status != CHANCONV_OK) { /* with nothing to compute it succeeds */
        require_refused(status, &error);
    }
    memory.fail_at = 0;
}

/* The activation after the fact gives the same bits. */
static void activate(const struct problem *p, enum role role, struct array *a)
{
    const struct layout *layout = layout_of_role(p, role);
    FOR_PIXELS(layout, pixel) {
        void *data = (char *)a->data + (size_t)pixel * item(a->dtype);
        REQUIRE(chanconv_activation_forward(NULL, a->dtype, &p->conv.activation, layout->c, data, data, NULL) ==
                CHANCONV_OK);
    }
}

static void check_fused(chanconv_context *context, const struct problem *p, const struct pass *pass,
                             const void *const in[], struct array *plain)
{
    if (!pass->activation || p->conv.activation.kind == CHANCONV_IDENTITY) {
        return;
    }
    struct array out = array_new(plain->dtype, plain->count, 0);
    if (succeeded(pass->call(context, &p->conv, in, out.data, NULL))) {
        activate(p, pass->out, plain);
        for (int64_t i = 0; i < out.count; i++) {
            REQUIRE(get(&out, i) == get(plain, i) || isnan(get(plain, i)));
        }
    }
    array_free(&out);
}

static void call_with_arrays(chanconv_context *context, const struct problem *p, const struct pass *pass,
                             const chanconv_conv *conv, struct input *bytes)
{
    const uint8_t shape = byte(bytes);
    struct values values = {byte(bytes), shape & 1};
    struct array arrays[3] = {{0}}, out = array_new(p->conv.dtype, p->extent[pass->out], shape >> 1 & 3);
    const struct array *const in[3] = {&arrays[0], &arrays[1], &arrays[2]};
    const void *addresses[3] = {NULL, NULL, NULL};
    for (int i = 0; i < 3 && pass->in[i] && (i < 2 || shape & 8); i++) {
        arrays[i] = array_new(p->conv.dtype, p->extent[pass->in[i]], shape >> 4 & 3);
        fill(p, pass->in[i], &arrays[i], &values);
        addresses[i] = arrays[i].data;
    }
    bool exact = !values.wide;
    if (shape >= 0xc0) { /* one odd value somewhere, perhaps in a gap */
        struct array *a = &arrays[byte(bytes) % 3];
        const double odd = odd_values[byte(bytes) % ODD_VALUES];
        exact &= fabs(odd) <= 1 ? odd == trunc(odd) : !isfinite(odd);
        if (a->count) {
            put(a, byte(bytes) % a->count, odd);
        }
    }
    chanconv_conv plain = *conv;
    plain.activation.kind = pass->activation ? CHANCONV_IDENTITY : conv->activation.kind;
    chanconv_error error = {NULL, ""};
    const chanconv_status status = pass->call(context, &plain, addresses, out.data, &error);
    if (status == CHANCONV_BAD_ALGORITHM || status == CHANCONV_BAD_PADDING_MODE) {
        REQUIRE(status == CHANCONV_BAD_PADDING_MODE ? pass == &transpose && conv->padding_mode
                                                    : conv->algorithm > CHANCONV_GEMM);
        require_refused(status, &error);
    } else if (succeeded(status)) {
        struct expected e = expect(p, pass, in);
        require_equal(p, pass->out, &out, &e, exact, scale_of(p, pass, in));
        check_fused(context, p, pass, addresses, &out);
        expected_free(&e);
    }
    for (int i = 0; i < 3; i++) {
        array_free(&arrays[i]);
    }
    array_free(&out);
}

static void check_conv(struct input *in, const struct pass *pass)
{
    chanconv_context *context = setting(in);
    const chanconv_conv conv = decode_conv(in);
    chanconv_conv seen = conv; /* as the pass sees it */
    if (pass->columns) {
        seen.groups = 1, seen.k = 1, seen.kernel_c = -1;
        seen.y_pixel = seen.y_row = seen.y_image = 0;
    }
    struct axis axes[2] = {{0}};
    const bool possible = exists(&seen, axes);
    if (!possible || !is_small(&seen, axes)) {
        call_without_arrays(context, pass, &conv, possible);
        return;
    }
    const struct problem p = problem_of(&seen, axes);
    call_with_arrays(context, &p, pass, &conv, in);
}

static void fuzz_forward(struct input *in) { check_conv(in, &forward); }
static void fuzz_grad_x(struct input *in) { check_conv(in, &grad_x); }
static void fuzz_transpose(struct input *in) { check_conv(in, &transpose); }
static void fuzz_grad_kernel(struct input *in) { check_conv(in, &grad_kernel); }
static void fuzz_per_sample(struct input *in) { check_conv(in, &per_sample); }
static void fuzz_grad_bias(struct input *in) { check_conv(in, &grad_bias); }
static void fuzz_im2col(struct input *in) { check_conv(in, &im2col); }
static void fuzz_col2im(struct input *in) { check_conv(in, &col2im); }

/* ---- Descriptors ------------------------------------------------------------------------------------------------ */

static void fuzz_check(struct input *in)
{
    const chanconv_conv conv = decode_conv(in);
    struct axis axes[2] = {{0}};
    const bool possible = exists(&conv, axes);
    chanconv_sizes sizes = {.struct_size = sizeof sizes + (byte(in) == 255)}, before = sizes;
    chanconv_error error = {NULL, ""};
    const chanconv_status status = chanconv_conv_check(&conv, &sizes, &error);
    REQUIRE((status == CHANCONV_OK) == (possible && before.struct_size == sizeof sizes));
    if (status != CHANCONV_OK) {
        require_refused(status, &error);
        REQUIRE(memcmp(&sizes, &before, sizeof sizes) == 0);
        return;
    }
    REQUIRE(!error.argument);
    REQUIRE(sizes.oh == axes[0].out && sizes.ow == axes[1].out);
    for (int i = 0; i < 4; i++) {
        REQUIRE(sizes.padding[i / 2][i % 2] == axes[i / 2].pad[i % 2]);
    }
    REQUIRE(sizes.x_count == (big)conv.n * conv.h * conv.w * conv.c);
    REQUIRE(sizes.kernel_count == (big)conv.kh * conv.kw * (conv.c / conv.groups) * conv.k);
    REQUIRE(sizes.y_count == (big)conv.n * sizes.oh * sizes.ow * conv.k);
}

static void fuzz_plan(struct input *in)
{
    chanconv_context *context = setting(in);
    const chanconv_conv conv = decode_conv(in);
    struct axis axes[2] = {{0}};
    const bool possible = exists(&conv, axes);
    if (conv.kh > 1 << 20 || conv.kw > 1 << 20) { /* plans go over the rows and the columns of a kernel */
        return;
    }
    chanconv_plan plan = {.struct_size = sizeof plan};
    chanconv_error error = {NULL, ""};
    const int32_t pass = choice(in, CHANCONV_GRAD_KERNEL + 1);
    const chanconv_status status = chanconv_conv_plan(context, &conv, (chanconv_pass)pass, &plan, &error);
    if (status != CHANCONV_OK) {
        REQUIRE(!possible || pass < 0 || pass > CHANCONV_GRAD_KERNEL ||
                (status == CHANCONV_BAD_ALGORITHM && conv.algorithm > CHANCONV_GEMM) ||
                (status == CHANCONV_NO_MEMORY && is_huge(&conv, axes)));
        require_refused(status, &error);
        return;
    }
    memory.fail_at = 0;
    REQUIRE(possible && plan.algorithm > CHANCONV_AUTO && plan.algorithm < CHANCONV_ALGORITHM_COUNT);
    REQUIRE(conv.algorithm == CHANCONV_AUTO || conv.algorithm == plan.algorithm);
    if (!(plan.threads >= 1 && plan.tile[0] >= 0 && plan.tile[1] >= 0 && plan.workspace_bytes >= 0)) {
        describe(&conv);
        fprintf(stderr, "pass %d, algorithm %d, %d threads, tile %d x %d, workspace %lld\n", pass, plan.algorithm,
                plan.threads, plan.tile[0], plan.tile[1], (long long)plan.workspace_bytes);
        abort();
    }
    REQUIRE(plan.flops >= 0 && plan.bytes >= 0 && !plan.declined[plan.algorithm]);
}

/* The transposed descriptor: its own formula gives the grid back. */
static void fuzz_transposed(struct input *in)
{
    chanconv_conv conv = decode_conv(in);
    const int64_t grid[2] = {number(in, 1, 6), number(in, 1, 6)};
    const int64_t output_padding[2] = {number(in, 0, 3), number(in, 0, 3)};
    const chanconv_conv before = conv;
    chanconv_error error = {NULL, ""};
    chanconv_status status = chanconv_conv_transposed(&conv, grid, output_padding, &error);
    if (status != CHANCONV_OK) {
        require_refused(status, &error);
        return;
    }
    REQUIRE(conv.out[0] == grid[0] && conv.out[1] == grid[1] && before.padding_mode == CHANCONV_ZEROS);
    struct axis axes[2] = {{0}};
    const bool possible = exists(&conv, axes);
    REQUIRE((chanconv_conv_check(&conv, NULL, &error) == CHANCONV_OK) == possible);
    const int64_t sizes[2] = {conv.h, conv.w}, taps[2] = {conv.kh, conv.kw};
    for (int axis = 0; axis < 2 && possible; axis++) {
        const big size = conv.padding_rule ? (big)grid[axis] * conv.stride[axis]
                                           : (big)(grid[axis] - 1) * conv.stride[axis] - conv.padding[axis][0] -
                                                 conv.padding[axis][1] + (big)conv.dilation[axis] * (taps[axis] - 1) +
                                                 output_padding[axis] + 1;
        REQUIRE(size == sizes[axis]);
    }
}

static void fuzz_context(struct input *in)
{
    const uint8_t callbacks = byte(in);
    const chanconv_context_options options = {
        .struct_size = callbacks < 128 ? sizeof options : (size_t)number(in, 0, 200),
        .threads = choice(in, 5),
        .parallel_for = callbacks & 1 ? backwards : NULL,
        .allocate = callbacks & 2 ? allocate : NULL,
        .release = callbacks & 4 ? release : NULL,
    };
    const bool possible = options.struct_size == sizeof options && options.threads >= 0 &&
                          !options.allocate == !options.release;
    chanconv_context *context = (chanconv_context *)&options;
    const chanconv_status status = chanconv_context_create(callbacks & 8 ? NULL : &options, &context);
    REQUIRE(status == (possible && !(callbacks & 8) ? CHANCONV_OK : CHANCONV_BAD_STRUCT));
    REQUIRE((status == CHANCONV_OK) == (context != NULL));
    REQUIRE(chanconv_context_create(&options, NULL) == CHANCONV_BAD_STRUCT);
    if (context) {
        const float kernel = 2;
        float x[2] = {1, -3}, y[2];
        chanconv_conv conv;
        chanconv_conv_init(&conv);
        conv.h = 2, conv.w = conv.c = conv.k = conv.kh = conv.kw = 1;
        memory.fail_at = 0;
        REQUIRE(chanconv_conv_forward(context, &conv, x, &kernel, NULL, y, NULL) == CHANCONV_OK);
        REQUIRE(y[0] == 2 && y[1] == -6 && memory.live == 0);
    }
    chanconv_context_destroy(context);
}

/* ---- Activations ------------------------------------------------------------------------------------------------ */

static double any_value(struct input *in, struct values *values)
{
    const uint8_t b = byte(in);
    return b < 20 ? odd_values[b % ODD_VALUES] : b < 128 ? ((double)b - 74) / 4 : ldexp(value(values), (b - 192) / 4);
}

static struct array array_of(struct input *in, chanconv_dtype dtype, int64_t count, struct values *values)
{
    struct array a = array_new(dtype, count, count % 3 == 1);
    for (int64_t i = 0; i < count; i++) {
        put(&a, i, any_value(in, values));
    }
    return a;
}

#define BATCH 512
enum { FORWARD_BOUND = 4, BACKWARD_BOUND = 8, MOST_ACTIVATED = 200 };
struct row {
    const char *name;
    int kind;
    double p[2];
};
#define wide double
#define real float
#define WITH(name) name##_f32
#define REAL_DIGITS 24
#define REAL_LEAST (-126)
#include "../c/exhaustive_formulas.h"
#undef wide
#undef real
#undef WITH
#undef REAL_DIGITS
#undef REAL_LEAST
#define wide long double
#define real double
#define WITH(name) name##_f64
#define REAL_DIGITS 53
#define REAL_LEAST (-1022)
#include "../c/exhaustive_formulas.h"
#undef wide

/* Parameters for which the formulas are as exact as the bounds ask for. */
static chanconv_activation usual(int kind, uint8_t which)
{
    static const double p[CHANCONV_ACTIVATION_COUNT][2] = {
        [CHANCONV_LEAKY_RELU] = {0.01}, [CHANCONV_ELU] = {1.7}, [CHANCONV_CELU] = {0.3},
        [CHANCONV_HARD_TANH] = {-1, 1}, [CHANCONV_SOFTPLUS] = {3, 50}, [CHANCONV_SOFTSHRINK] = {0.5},
        [CHANCONV_HARDSHRINK] = {0.5}, [CHANCONV_THRESHOLD] = {0.5, 7},
    };
    const bool one = which & 1 && (kind == CHANCONV_ELU || kind == CHANCONV_CELU);
    return (chanconv_activation){kind, {one ? 1 : p[kind][0], p[kind][1]}};
}

/* The finite numbers of an array against the formulas. */
static void check_formulas(const struct array *x, const chanconv_activation *a)
{
    const struct row row = {"", a->kind, {a->p[0], a->p[1]}};
    struct worst worst = {0};
    float singles[BATCH];
    double doubles[BATCH];
    int count = 0;
    for (int64_t i = 0; i < x->count; i++) {
        if (isfinite(get(x, i))) {
            doubles[count] = get(x, i);
            singles[count++] = (float)get(x, i);
        }
    }
    if (a->kind != CHANCONV_IDENTITY && x->dtype == CHANCONV_F32) {
        compare_f32(&row, count, singles, &worst);
    } else if (a->kind != CHANCONV_IDENTITY) {
        compare_f64(&row, count, doubles, &worst);
    }
    if (!(worst.forward <= FORWARD_BOUND && worst.backward <= BACKWARD_BOUND)) {
        fprintf(stderr, "%s, dtype %d, activation %d (%g, %g): error %g at %.17g, of the derivative %g at %.17g\n",
                chanconv_isa(), (int)x->dtype, a->kind, a->p[0], a->p[1], worst.forward, worst.forward_at,
                worst.backward, worst.backward_at);
        abort();
    }
}

struct elementwise {
    chanconv_dtype dtype;
    chanconv_activation activation;
    bool formula;
    int64_t count;
};

static struct elementwise decode_elementwise(struct input *in)
{
    struct elementwise e = {.dtype = (chanconv_dtype)choice(in, 2)};
    const uint8_t which = byte(in);
    e.activation.kind = choice(in, CHANCONV_ACTIVATION_COUNT);
    e.formula = which < 128 && e.activation.kind >= 0 && e.activation.kind < CHANCONV_ACTIVATION_COUNT;
    if (e.formula) {
        e.activation = usual(e.activation.kind, which);
    } else {
        struct values values = {which, true};
        e.activation.p[0] = any_value(in, &values);
        e.activation.p[1] = any_value(in, &values);
    }
    e.count = number(in, 1, 70);
    return e;
}

static bool elementwise_exists(const struct elementwise *e)
{
    return (e->dtype == CHANCONV_F32 || e->dtype == CHANCONV_F64) && activation_exists(e->dtype, &e->activation) && e->count >= 0;
}

static void require_same(const struct array *a, const struct array *b)
{
    for (int64_t i = 0; i < a->count; i++) {
        if (!(get(a, i) == get(b, i) || (isnan(get(a, i)) && isnan(get(b, i))))) {
            fprintf(stderr, "%s, dtype %d: element %lld of %lld is %.17g and %.17g\n", chanconv_isa(), (int)a->dtype,
                    (long long)i, (long long)a->count, get(a, i), get(b, i));
            abort();
        }
    }
}

/* Each element alone has the value that it has among the others, with the result over an input and not. */
static void fuzz_activation(struct input *in, bool backward)
{
    chanconv_context *context = setting(in);
    const struct elementwise e = decode_elementwise(in);
    memory.fail_at = 0;
    chanconv_error error = {NULL, ""};
    if (!elementwise_exists(&e) || e.count > MOST_ACTIVATED) {
        require_refused(backward ? chanconv_activation_backward(context, e.dtype, &e.activation, e.count, NULL, NULL,
                                                                NULL, &error)
                                 : chanconv_activation_forward(context, e.dtype, &e.activation, e.count, NULL, NULL,
                                                               &error), &error);
        return;
    }
    struct values values = {byte(in), true};
    struct array x = array_of(in, e.dtype, e.count, &values), grad = array_of(in, e.dtype, e.count, &values);
    struct array y = array_new(e.dtype, e.count, 0), one = array_new(e.dtype, e.count, 0);
    for (int64_t i = -1; i < e.count; i++) { /* all at once, then each */
        const size_t offset = i < 0 ? 0 : (size_t)i * item(e.dtype);
        void *out = (char *)(i < 0 ? y.data : one.data) + offset;
        const chanconv_status status =
            backward ? chanconv_activation_backward(context, e.dtype, &e.activation, i < 0 ? e.count : 1,
                                                    (char *)grad.data + offset, (char *)x.data + offset, out, NULL)
                     : chanconv_activation_forward(context, e.dtype, &e.activation, i < 0 ? e.count : 1,
                                                   (char *)x.data + offset, out, NULL);
        REQUIRE(status == CHANCONV_OK);
    }
    require_same(&y, &one);
    if (e.formula) {
        check_formulas(&x, &e.activation);
    }
    if (backward) {
        chanconv_activation_backward(context, e.dtype, &e.activation, e.count, grad.data, x.data, grad.data, NULL);
    } else {
        chanconv_activation_forward(context, e.dtype, &e.activation, e.count, x.data, x.data, NULL);
    }
    require_same(backward ? &grad : &x, &y);
    array_free(&x), array_free(&grad), array_free(&y), array_free(&one);
}

static void fuzz_activation_forward(struct input *in) { fuzz_activation(in, false); }
static void fuzz_activation_backward(struct input *in) { fuzz_activation(in, true); }

/* ---- prelu ------------------------------------------------------------------------------------------------------ */

struct prelu {
    chanconv_dtype dtype;
    int64_t pixels, channels, slopes;
};

static bool prelu_exists(const struct prelu *p)
{
    return (p->dtype == CHANCONV_F32 || p->dtype == CHANCONV_F64) && p->pixels >= 0 && p->channels >= 0 &&
           (p->slopes == 1 || p->slopes == p->channels) &&
           (p->pixels == 0 || p->channels == 0 || fits(p->pixels, p->channels, 1, 1, 1));
}

static void check_prelu_forward(chanconv_context *context, const struct prelu *p, struct array *x, struct array *slope)
{
    struct array y = array_new(p->dtype, x->count, 0);
    REQUIRE(succeeded(chanconv_prelu_forward(context, p->dtype, p->pixels, p->channels, p->slopes, x->data,
                                             slope->data, y.data, NULL)));
    for (int64_t i = 0; i < x->count; i++) {
        put(x, i, get(x, i) > 0 ? get(x, i) : get(x, i) * get(slope, p->slopes == 1 ? 0 : i % p->channels));
    }
    require_same(&y, x);
    array_free(&y);
}

static void check_prelu_backward(chanconv_context *context, const struct prelu *p, struct array *x,
                                 struct array *slope, struct array *grad, uint8_t wanted)
{
    struct array grad_x = array_new(p->dtype, x->count, 0), grad_slope = array_new(p->dtype, p->slopes, 0);
    struct expected e = expected_new(p->slopes);
    if (succeeded(chanconv_prelu_backward(context, p->dtype, p->pixels, p->channels, p->slopes, grad->data, x->data,
                                          slope->data, wanted & 1 ? NULL : grad_x.data,
                                          wanted & 2 ? NULL : grad_slope.data, NULL))) {
        for (int64_t i = 0; i < x->count; i++) {
            const int64_t c = p->slopes == 1 ? 0 : i % p->channels;
            if (!(get(x, i) > 0)) {
                add(&e, c, get(grad, i) * get(x, i));
                put(grad, i, isnan(get(x, i)) ? NAN : get(grad, i) * get(slope, c));
            }
        }
        if (!(wanted & 1)) {
            require_same(&grad_x, grad);
        }
        for (int64_t c = 0; c < p->slopes && !(wanted & 2); c++) {
            REQUIRE(near(get(&grad_slope, c), e.sum[c], 0));
        }
    }
    expected_free(&e);
    array_free(&grad_x), array_free(&grad_slope);
}

static void fuzz_prelu(struct input *in, bool backward)
{
    chanconv_context *context = setting(in);
    const struct prelu p = {(chanconv_dtype)choice(in, 2), number(in, 1, 20), number(in, 1, 40), number(in, 1, 1)};
    const uint8_t kinds = byte(in);
    struct prelu q = p;
    q.slopes = kinds & 1 ? p.channels : p.slopes;
    chanconv_error error = {NULL, ""};
    if (!prelu_exists(&q) || q.pixels > MOST_ACTIVATED || q.channels > MOST_ACTIVATED) {
        const chanconv_status status =
            backward ? chanconv_prelu_backward(context, q.dtype, q.pixels, q.channels, q.slopes, NULL, NULL, NULL, NULL,
                                               NULL, &error)
                     : chanconv_prelu_forward(context, q.dtype, q.pixels, q.channels, q.slopes, NULL, NULL, NULL,
                                              &error);
        if (status != CHANCONV_OK || !prelu_exists(&q)) {
            require_refused(status, &error);
        }
        return;
    }
    memory.fail_at = backward ? memory.fail_at : 0;
    struct values values = {byte(in), false};
    struct array arrays[3];
    const int64_t counts[3] = {q.pixels * q.channels, q.slopes, q.pixels * q.channels};
    for (int i = 0; i < 3; i++) {
        arrays[i] = array_new(q.dtype, counts[i], kinds >> 1 & 1);
        for (int64_t j = 0; j < counts[i]; j++) {
            put(&arrays[i], j, value(&values));
        }
    }
    if (kinds >= 192 && counts[0]) {
        const double odd = odd_values[byte(in) % 5];
        put(&arrays[kinds % 3], byte(in) % counts[kinds % 3], odd);
    }
    if (backward) {
        check_prelu_backward(context, &q, &arrays[0], &arrays[1], &arrays[2], kinds >> 4);
    } else {
        check_prelu_forward(context, &q, &arrays[0], &arrays[1]);
    }
    for (int i = 0; i < 3; i++) {
        array_free(&arrays[i]);
    }
}

static void fuzz_prelu_forward(struct input *in) { fuzz_prelu(in, false); }
static void fuzz_prelu_backward(struct input *in) { fuzz_prelu(in, true); }

/* ---- Along an axis ---------------------------------------------------------------------------------------------- */

struct along {
    chanconv_dtype dtype;
    chanconv_axis_activation kind;
    int64_t outer, length, inner;
};

static bool along_exists(const struct along *a)
{
    return (a->dtype == CHANCONV_F32 || a->dtype == CHANCONV_F64) && (int)a->kind >= 0 && a->kind <= CHANCONV_GLU &&
           a->outer >= 0 && a->length >= 0 && a->inner >= 0 && !(a->kind == CHANCONV_GLU && a->length % 2) &&
           (!a->outer || !a->length || !a->inner || fits(a->outer, a->length, a->inner, 1, 1));
}

/* Lane (o, i) as the definition has it, to y[0], y[step] ..; x and grad (of backward) alike. */
static void lane(const struct along *a, const double *x, const double *grad, int64_t step, double *y)
{
    const int64_t half = a->length / 2;
    if (a->kind == CHANCONV_GLU) {
        for (int64_t i = 0; i < half; i++) {
            const double s = 1 / (1 + exp(-x[(half + i) * step]));
            if (grad) {
                y[i * step] = grad[i * step] * s;
                y[(half + i) * step] = grad[i * step] * x[i * step] * s * (1 - s);
            } else {
                y[i * step] = x[i * step] * s;
            }
        }
        return;
    }
    double largest = -INFINITY, sum = 0, dot = 0;
    for (int64_t i = 0; i < a->length; i++) {
        largest = fmax(largest, x[i * step]);
    }
    for (int64_t i = 0; i < a->length; i++) {
        sum += exp(x[i * step] - largest);
    }
    for (int64_t i = 0; i < a->length && grad; i++) {
        dot += grad[i * step] * (a->kind == CHANCONV_SOFTMAX ? exp(x[i * step] - largest) / sum : 1);
    }
    for (int64_t i = 0; i < a->length; i++) {
        const double s = exp(x[i * step] - largest) / sum;
        y[i * step] = a->kind == CHANCONV_SOFTMAX ? (grad ? s * (grad[i * step] - dot) : s)
                                                  : (grad ? grad[i * step] - s * dot : x[i * step] - largest - log(sum));
    }
}

static void check_along(chanconv_context *context, const struct along *a, struct input *in, bool backward)
{
    struct values values = {byte(in), true};
    const int64_t count = a->outer * a->length * a->inner, small = a->kind == CHANCONV_GLU ? count / 2 : count;
    struct array x = array_new(a->dtype, count, 1), grad = array_new(a->dtype, small, 1);
    struct array out = array_new(a->dtype, backward ? count : small, 0);
    double *wide_x = calloc((size_t)count * 3 + 1, sizeof(double)), *wide_grad = wide_x + count, *y = wide_grad + count;
    const double spread = byte(in) & 1 ? 1 : 0.02;
    for (int64_t i = 0; i < count; i++) {
        put(&x, i, fmod(value(&values), 1000) * spread);
        wide_x[i] = get(&x, i);
    }
    for (int64_t i = 0; i < small; i++) {
        put(&grad, i, (double)(bits(&values) % 7) - 3);
        wide_grad[i] = get(&grad, i);
    }
    chanconv_status status =
        backward ? chanconv_axis_backward(context, a->dtype, a->kind, a->outer, a->length, a->inner, grad.data, x.data,
                                          out.data, NULL)
                 : chanconv_axis_forward(context, a->dtype, a->kind, a->outer, a->length, a->inner, x.data, out.data,
                                         NULL);
    REQUIRE(status == CHANCONV_OK);
    const int64_t block = a->length * a->inner, grad_block = a->kind == CHANCONV_GLU ? block / 2 : block;
    const int64_t out_block = backward ? block : grad_block;
    for (int64_t i = 0; i < a->outer * a->inner && block; i++) {
        const int64_t o = i / a->inner, offset = i % a->inner;
        lane(a, wide_x + o * block + offset, backward ? wide_grad + o * grad_block + offset : NULL, a->inner,
             y + o * out_block + offset);
    }
    const double unit = a->dtype == CHANCONV_F32 ? FLT_EPSILON : DBL_EPSILON;
    for (int64_t i = 0; i < out.count; i++) { /* gradients are sums of up to `length` terms of at most 3 * 1000 */
        const double terms = backward ? 3.0 * (double)(a->length + 4) * 1000 : fabs(y[i]) + 1;
        REQUIRE(near(get(&out, i), y[i], 64 * unit * terms));
    }
    if (backward && a->kind != CHANCONV_GLU) { /* the same from the output, which comes over x */
        REQUIRE(chanconv_axis_forward(context, a->dtype, a->kind, a->outer, a->length, a->inner, x.data, x.data, NULL) ==
                CHANCONV_OK);
        REQUIRE(chanconv_axis_backward_from_output(context, a->dtype, a->kind, a->outer, a->length, a->inner, grad.data,
                                                   x.data, out.data, NULL) == CHANCONV_OK);
        for (int64_t i = 0; i < out.count; i++) {
            REQUIRE(near(get(&out, i), y[i], 64 * unit * 3.0 * (double)(a->length + 4) * 1000));
        }
    }
    free(wide_x);
    array_free(&x), array_free(&grad), array_free(&out);
}

static void fuzz_axis(struct input *in, bool backward)
{
    chanconv_context *context = setting(in);
    memory.fail_at = 0;
    struct along a = {.dtype = (chanconv_dtype)choice(in, 2), .kind = (chanconv_axis_activation)choice(in, 3)};
    a.outer = number(in, 1, 4), a.length = number(in, 1, 40), a.inner = number(in, 1, 30);
    const big count = (big)a.outer * a.length;
    if (along_exists(&a) && a.outer <= 4000 && a.length <= 4000 && a.inner <= 4000 && count * a.inner <= 4000) {
        check_along(context, &a, in, backward);
        return;
    }
    chanconv_error error = {NULL, ""};
    const chanconv_status status =
        backward ? chanconv_axis_backward(context, a.dtype, a.kind, a.outer, a.length, a.inner, NULL, NULL, NULL, &error)
                 : chanconv_axis_forward(context, a.dtype, a.kind, a.outer, a.length, a.inner, NULL, NULL, &error);
    if (status != CHANCONV_OK || !along_exists(&a)) {
        require_refused(status, &error);
    }
}

static void fuzz_axis_forward(struct input *in) { fuzz_axis(in, false); }
static void fuzz_axis_backward(struct input *in) { fuzz_axis(in, true); }

/* ---- Entry ------------------------------------------------------------------------------------------------------ */

#define ALL_TARGETS(T)                                                                                             \
    T(check) T(plan) T(transposed) T(context) T(forward) T(grad_x) T(transpose) T(grad_kernel) T(per_sample)       \
    T(grad_bias) T(im2col) T(col2im) T(activation_forward) T(activation_backward) T(prelu_forward)                 \
    T(prelu_backward) T(axis_forward) T(axis_backward)

#ifndef TARGET

#define ROW(name) {#name, fuzz_##name},
static const struct target {
    const char *name;
    void (*run)(struct input *in);
} targets[] = {ALL_TARGETS(ROW)};

#endif

#ifdef REPLAY

static size_t decode_hex(const char *line, uint8_t *data)
{
    size_t count = 0;
    for (unsigned value; sscanf(line + 2 * count, "%2x", &value) == 1; count++) {
        data[count] = (uint8_t)value;
    }
    return count;
}

/* The committed inputs of a target. REPLAY is a path beside the directory that has them. */
static void replay(const struct target *target)
{
    char path[4096];
    snprintf(path, sizeof path, "%.*s../fuzz/corpus/%s.txt", (int)(strrchr(REPLAY, '/') + 1 - REPLAY), REPLAY,
             target->name);
    FILE *file = fopen(path, "r");
    if (!file) {
        perror(path);
        exit(1);
    }
    static char line[1 << 12];
    static uint8_t data[sizeof line];
    while (fgets(line, sizeof line, file)) {
        const size_t size = decode_hex(line, data);
        uint8_t *exact = malloc(size + !size); /* so that reading on is seen too */
        memcpy(exact, data, size);
        target->run(&(struct input){exact, size});
        free(exact);
    }
    fclose(file);
}

int main(void)
{
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
        replay(&targets[i]);
    }
    printf("%zu targets\n", sizeof targets / sizeof *targets);
    return 0;
}

#endif

#ifdef TARGET

#define CAT_(a, b) a##b
#define CAT(a, b) CAT_(a, b)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CAT(fuzz_, TARGET)(&(struct input){data, size});
    return 0;
}

#endif

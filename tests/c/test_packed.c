/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Kernels that are kept: results have the bits of the plain call, for every algorithm, instruction set, pass and dtype, for
 * other images than they were packed for, and for kernels that are not finite.
 */
#include <math.h>

#include "test.h"

struct row {
    int64_t h, w, c, k, size, stride, dilation, padding, groups;
    int32_t mode, algorithm;
};

/* Blocked product (panels of one, two and three vectors; phases; clipped taps; a 1x1 kernel read in place), few output
 * channels, Winograd with few tiles and many, with channels and kernels beside whole vectors, depthwise, the textbook. */
static const struct row rows[] = {
    {9, 8, 5, 37, 3, 1, 1, 1, 1, CHANCONV_ZEROS, CHANCONV_GEMM},
    {9, 8, 6, 64, 3, 2, 1, 1, 2, CHANCONV_ZEROS, CHANCONV_GEMM},
    {11, 12, 20, 48, 4, 3, 2, 3, 1, CHANCONV_ZEROS, CHANCONV_GEMM},
    {9, 9, 8, 40, 3, 2, 1, 2, 1, CHANCONV_REFLECT, CHANCONV_GEMM},
    {5, 5, 33, 32, 1, 1, 1, 0, 1, CHANCONV_ZEROS, CHANCONV_GEMM},
    {12, 12, 40, 3, 3, 1, 1, 1, 1, CHANCONV_ZEROS, CHANCONV_GEMM},
    {9, 10, 70, 35, 3, 1, 1, 1, 1, CHANCONV_ZEROS, CHANCONV_WINOGRAD},
    {40, 37, 20, 50, 3, 1, 1, 1, 2, CHANCONV_CIRCULAR, CHANCONV_WINOGRAD},
    {2, 30, 16, 16, 3, 1, 1, 2, 1, CHANCONV_SYMMETRIC, CHANCONV_WINOGRAD},
    {9, 8, 24, 24, 3, 1, 1, 1, 24, CHANCONV_ZEROS, CHANCONV_DIRECT},
    {7, 8, 5, 6, 3, 2, 1, 1, 1, CHANCONV_ZEROS, CHANCONV_IM2COL},
    {28, 28, 32, 32, 3, 1, 1, 1, 1, CHANCONV_ZEROS, CHANCONV_AUTO},
};
enum { ROWS = sizeof rows / sizeof *rows };

static chanconv_conv conv_of(const struct row *row, int32_t dtype)
{
    chanconv_conv conv;
    chanconv_conv_init(&conv);
    conv.dtype = dtype;
    conv.h = row->h;
    conv.w = row->w;
    conv.c = row->c;
    conv.k = row->k;
    conv.kh = conv.kw = row->size;
    conv.stride[0] = conv.stride[1] = row->stride;
    conv.dilation[0] = conv.dilation[1] = row->dilation;
    conv.padding[0][0] = conv.padding[0][1] = conv.padding[1][0] = conv.padding[1][1] = row->padding;
    conv.groups = row->groups;
    conv.padding_mode = row->mode;
    conv.algorithm = row->algorithm;
    return conv;
}

static uint32_t random_state = 1;

/* Values in (-1, 1) at any address of `count` elements. */
static void *values(int32_t dtype, int64_t count)
{
    void *p = malloc((size_t)count * 8 + 1);
    for (int64_t i = 0; i < count; i++) {
        random_state = random_state * 1664525u + 1013904223u;
        const double value = (double)(int32_t)random_state / 2147483648.0;
        if (dtype == CHANCONV_F32) {
            ((float *)p)[i] = (float)value;
        } else {
            ((double *)p)[i] = value;
        }
    }
    return p;
}

static size_t item_of(int32_t dtype) { return dtype == CHANCONV_F32 ? 4 : 8; }

/* Runs a pass plainly and with the packed kernel, and compares the bits. */
static void check_pass(chanconv_context *context, const chanconv_conv *conv, chanconv_pass pass, const void *kernel,
                       const chanconv_packed *packed)
{
    chanconv_sizes sizes = {.struct_size = sizeof sizes};
    chanconv_error error;
    CHECK(chanconv_conv_check(conv, &sizes, &error) == CHANCONV_OK);
    const bool forward = pass == CHANCONV_FORWARD;
    const int64_t in = forward ? sizes.x_count : sizes.y_count, out = forward ? sizes.y_count : sizes.x_count;
    void *from = values(conv->dtype, in), *a = values(conv->dtype, out), *b = values(conv->dtype, out);
    if (forward) {
        CHECK(chanconv_conv_forward(NULL, conv, from, kernel, NULL, a, &error) == CHANCONV_OK);
        CHECK(chanconv_conv_forward_packed(context, conv, from, packed, NULL, b, &error) == CHANCONV_OK);
    } else {
        CHECK(chanconv_conv_grad_x(NULL, conv, from, kernel, a, &error) == CHANCONV_OK);
        CHECK(chanconv_conv_grad_x_packed(context, conv, from, packed, b, &error) == CHANCONV_OK);
    }
    CHECK(memcmp(a, b, (size_t)out * item_of(conv->dtype)) == 0);
    if (!forward && conv->padding_mode == CHANCONV_ZEROS) {
        void *bias = values(conv->dtype, conv->c);
        CHECK(chanconv_conv_transpose(NULL, conv, from, kernel, bias, a, &error) == CHANCONV_OK);
        CHECK(chanconv_conv_transpose_packed(context, conv, from, packed, bias, b, &error) == CHANCONV_OK);
        CHECK(memcmp(a, b, (size_t)out * item_of(conv->dtype)) == 0);
        free(bias);
    }
    free(from);
    free(a);
    free(b);
}

static void check_row(const struct row *row, int32_t dtype, chanconv_pass pass, bool finite)
{
    chanconv_conv conv = conv_of(row, dtype);
    chanconv_sizes sizes = {.struct_size = sizeof sizes};
    chanconv_error error;
    chanconv_packed *packed;
    struct counter counter = {0};
    chanconv_context *context = counted_context(&counter, 1);
    CHECK(chanconv_conv_check(&conv, &sizes, &error) == CHANCONV_OK);
    char *kernel = values(dtype, sizes.kernel_count);
    if (!finite) {
        const double infinite = INFINITY;
        const float infinite32 = INFINITY;
        memcpy(kernel + sizes.kernel_count / 2 * (int64_t)item_of(dtype),
               dtype == CHANCONV_F32 ? (const void *)&infinite32 : (const void *)&infinite, item_of(dtype));
    }
    CHECK(chanconv_pack_kernel(context, &conv, pass, kernel, &packed, &error) == CHANCONV_OK);
    CHECK(chanconv_packed_bytes(packed) >= sizes.kernel_count * (int64_t)item_of(dtype));
    CHECK(chanconv_packed_holds(packed, kernel) && !chanconv_packed_holds(packed, NULL));
    CHECK(chanconv_packed_serves(packed, &conv, pass) == (chanconv_packed_gain(&conv, pass) > 0));
    CHECK(!chanconv_packed_serves(packed, &conv, pass == CHANCONV_FORWARD ? CHANCONV_GRAD_X : CHANCONV_FORWARD));
    char *copy = malloc((size_t)sizes.kernel_count * item_of(dtype));
    memcpy(copy, kernel, (size_t)sizes.kernel_count * item_of(dtype));
    check_pass(context, &conv, pass, kernel, packed);
    conv.n = 3; /* more images, and others: perhaps of another algorithm */
    check_pass(context, &conv, pass, kernel, packed);
    conv.h += 9;
    conv.w += 1;
    check_pass(context, &conv, pass, kernel, packed);
    copy[0] ^= 1;
    CHECK(!chanconv_packed_holds(packed, copy));
    chanconv_packed_destroy(context, packed);
    CHECK(counter.live == 0);
    chanconv_context_destroy(context);
    free(copy);
    free(kernel);
}

static void test_bits(void)
{
    for (int i = 0; i < ROWS; i++) {
        for (int32_t dtype = CHANCONV_F32; dtype <= CHANCONV_F64; dtype++) {
            for (int pass = CHANCONV_FORWARD; pass <= CHANCONV_GRAD_X; pass++) {
                check_row(&rows[i], dtype, (chanconv_pass)pass, true);
                check_row(&rows[i], dtype, (chanconv_pass)pass, false);
            }
        }
    }
}

static void test_every_isa(void)
{
    for (int i = 0; chanconv_isa_available(i); i++) {
        CHECK(chanconv_set_isa(chanconv_isa_available(i)) == CHANCONV_OK);
        test_bits();
    }
    chanconv_set_isa(chanconv_isa_available(0));
}

/* A kernel packed for one instruction set, pass, stride or dilation serves all others, if more slowly. */
static void test_other_purposes(void)
{
    chanconv_conv conv = conv_of(&rows[0], CHANCONV_F32);
    chanconv_error error;
    chanconv_packed *packed;
    void *kernel = values(conv.dtype, conv.kh * conv.kw * conv.c * conv.k);
    CHECK(chanconv_pack_kernel(NULL, &conv, CHANCONV_FORWARD, kernel, &packed, &error) == CHANCONV_OK);
    check_pass(NULL, &conv, CHANCONV_GRAD_X, kernel, packed);
    conv.stride[0] = 2;
    check_pass(NULL, &conv, CHANCONV_FORWARD, kernel, packed);
    conv.dilation[1] = 2;
    check_pass(NULL, &conv, CHANCONV_FORWARD, kernel, packed);
    conv.algorithm = CHANCONV_IM2COL;
    check_pass(NULL, &conv, CHANCONV_FORWARD, kernel, packed);
    conv = conv_of(&rows[0], CHANCONV_F32);
    for (int i = 0; chanconv_isa_available(i); i++) {
        CHECK(chanconv_set_isa(chanconv_isa_available(i)) == CHANCONV_OK);
        check_pass(NULL, &conv, CHANCONV_FORWARD, kernel, packed);
    }
    chanconv_set_isa(chanconv_isa_available(0));
    chanconv_packed_destroy(NULL, packed);
    free(kernel);
}

/* Which algorithms have a form of their own. */
static void test_gain(void)
{
    chanconv_conv conv = conv_of(&rows[0], CHANCONV_F32);
    CHECK(chanconv_packed_gain(&conv, CHANCONV_FORWARD) >= 9 * 5 * 37 * 4);
    conv.algorithm = CHANCONV_WINOGRAD;
    CHECK(chanconv_packed_gain(&conv, CHANCONV_FORWARD) >= 36 * 5 * 37 * 4);
    conv.algorithm = CHANCONV_IM2COL;
    CHECK(chanconv_packed_gain(&conv, CHANCONV_FORWARD) == 0);
    CHECK(chanconv_packed_gain(&conv, CHANCONV_GRAD_KERNEL) == 0);
    conv.stride[0] = 0;
    CHECK(chanconv_packed_gain(&conv, CHANCONV_FORWARD) == 0);
}

/* What a packed kernel is of: any other is refused. */
static void test_kernels_of_another_shape(void)
{
    const chanconv_conv conv = conv_of(&rows[1], CHANCONV_F32);
    chanconv_conv others[6];
    chanconv_error error;
    chanconv_packed *packed;
    void *kernel = values(conv.dtype, conv.kh * conv.kw * conv.c * conv.k);
    void *x = values(conv.dtype, conv.h * conv.w * conv.c * 2), *y = values(conv.dtype, conv.h * conv.w * 2 * conv.k);
    for (int i = 0; i < 6; i++) {
        others[i] = conv;
    }
    others[0].kh--;
    others[1].kw--;
    others[2].c += 2;
    others[3].k += 2;
    others[4].groups = 1, others[4].c /= 2; /* as many channels of a kernel */
    others[5].dtype = CHANCONV_F64;
    CHECK(chanconv_pack_kernel(NULL, &conv, CHANCONV_FORWARD, kernel, &packed, &error) == CHANCONV_OK);
    for (int i = 0; i < 6; i++) {
        CHECK(chanconv_conv_forward_packed(NULL, &others[i], x, packed, NULL, y, &error) == CHANCONV_BAD_KERNEL);
        CHECK(strcmp(error.argument, "packed") == 0);
        CHECK(!chanconv_packed_serves(packed, &others[i], CHANCONV_FORWARD));
    }
    chanconv_packed_destroy(NULL, packed);
    free(kernel);
    free(x);
    free(y);
}

/* What its form is for: other strides, dilations and instruction sets read the copy. */
static void test_serves(void)
{
    chanconv_conv conv = conv_of(&rows[0], CHANCONV_F32);
    chanconv_packed *packed;
    void *kernel = values(conv.dtype, conv.kh * conv.kw * conv.c * conv.k);
    CHECK(chanconv_pack_kernel(NULL, &conv, CHANCONV_FORWARD, kernel, &packed, NULL) == CHANCONV_OK);
    for (int axis = 0; axis < 2; axis++) {
        chanconv_conv other = conv;
        other.stride[axis] = 2;
        CHECK(!chanconv_packed_serves(packed, &other, CHANCONV_FORWARD));
        other = conv;
        other.dilation[axis] = 2;
        CHECK(!chanconv_packed_serves(packed, &other, CHANCONV_FORWARD));
    }
    for (int i = 0; chanconv_isa_available(i); i++) {
        CHECK(chanconv_set_isa(chanconv_isa_available(i)) == CHANCONV_OK);
        CHECK(chanconv_packed_serves(packed, &conv, CHANCONV_FORWARD) == (i == 0));
    }
    chanconv_set_isa(chanconv_isa_available(0));
    conv.c = conv.k = (int64_t)1 << 30; /* no machine has that kernel */
    CHECK(chanconv_packed_gain(&conv, CHANCONV_FORWARD) == 0);
    CHECK(!chanconv_packed_serves(packed, &conv, CHANCONV_FORWARD));
    chanconv_packed_destroy(NULL, packed);
    free(kernel);
}

static void *given;

static void *give(void *host, size_t bytes)
{
    (void)host;
    return given = malloc(bytes);
}

static void keep(void *host, void *memory, size_t bytes) { (void)host, (void)memory, (void)bytes; }

/* Use after the end, where the host has not given the memory to somebody else: refused, as is a second destruction. */
static void test_destroyed(void)
{
    const chanconv_conv conv = conv_of(&rows[0], CHANCONV_F32);
    chanconv_context_options options = {.struct_size = sizeof options, .threads = 1, .allocate = give, .release = keep};
    chanconv_context *context;
    chanconv_packed *packed;
    chanconv_error error;
    void *kernel = values(conv.dtype, conv.kh * conv.kw * conv.c * conv.k);
    void *x = values(conv.dtype, conv.h * conv.w * conv.c), *y = values(conv.dtype, conv.h * conv.w * conv.k);
    CHECK(chanconv_context_create(&options, &context) == CHANCONV_OK);
    CHECK(chanconv_pack_kernel(context, &conv, CHANCONV_FORWARD, kernel, &packed, NULL) == CHANCONV_OK);
    void *memory = given;
    CHECK(chanconv_packed_holds(packed, kernel));
    chanconv_packed_destroy(context, packed);
    chanconv_packed_destroy(context, packed);
    CHECK(!chanconv_packed_holds(packed, kernel));
    CHECK(chanconv_conv_forward_packed(NULL, &conv, x, packed, NULL, y, &error) == CHANCONV_BAD_STRUCT);
    CHECK(strcmp(error.argument, "packed") == 0);
    chanconv_context_destroy(context);
    free(memory);
    free(kernel);
    free(x);
    free(y);
}

static void test_errors(void)
{
    chanconv_conv conv = conv_of(&rows[0], CHANCONV_F32), other = conv;
    chanconv_error error;
    chanconv_packed *packed;
    void *kernel = values(conv.dtype, conv.kh * conv.kw * conv.c * conv.k);
    void *x = values(conv.dtype, conv.h * conv.w * conv.c), *y = values(conv.dtype, conv.h * conv.w * 2 * conv.k);
    CHECK(chanconv_pack_kernel(NULL, &conv, CHANCONV_FORWARD, kernel, NULL, &error) == CHANCONV_BAD_STRUCT);
    CHECK(chanconv_pack_kernel(NULL, &conv, CHANCONV_FORWARD, NULL, &packed, &error) == CHANCONV_BAD_STRUCT && !packed);
    CHECK(strcmp(error.argument, "kernel") == 0);
    CHECK(chanconv_pack_kernel(NULL, &conv, CHANCONV_GRAD_KERNEL, kernel, &packed, &error) == CHANCONV_BAD_STRUCT);
    CHECK(chanconv_pack_kernel(NULL, NULL, CHANCONV_FORWARD, kernel, &packed, &error) == CHANCONV_BAD_STRUCT);
    other.algorithm = CHANCONV_DIRECT;
    CHECK(chanconv_pack_kernel(NULL, &other, CHANCONV_FORWARD, kernel, &packed, &error) == CHANCONV_BAD_ALGORITHM);
    other.stride[1] = 0;
    CHECK(chanconv_pack_kernel(NULL, &other, CHANCONV_FORWARD, kernel, &packed, &error) == CHANCONV_BAD_STRIDE);
    CHECK(chanconv_conv_forward_packed(NULL, &conv, x, NULL, NULL, y, &error) == CHANCONV_BAD_STRUCT);
    CHECK(chanconv_conv_grad_x_packed(NULL, &conv, y, NULL, x, &error) == CHANCONV_BAD_STRUCT);
    CHECK(chanconv_conv_transpose_packed(NULL, &conv, y, NULL, NULL, x, &error) == CHANCONV_BAD_STRUCT);
    CHECK(chanconv_pack_kernel(NULL, &conv, CHANCONV_FORWARD, kernel, &packed, &error) == CHANCONV_OK);
    other = conv;
    other.k++;
    CHECK(chanconv_conv_forward_packed(NULL, &other, x, packed, NULL, y, &error) == CHANCONV_BAD_KERNEL);
    CHECK(strcmp(error.argument, "packed") == 0);
    other = conv;
    other.dtype = CHANCONV_F64;
    CHECK(chanconv_conv_forward_packed(NULL, &other, x, packed, NULL, y, &error) == CHANCONV_BAD_KERNEL);
    chanconv_packed_destroy(NULL, packed);
    chanconv_packed_destroy(NULL, NULL);
    CHECK(chanconv_packed_bytes(NULL) == 0 && !chanconv_packed_holds(NULL, kernel));
    CHECK(!chanconv_packed_serves(NULL, &conv, CHANCONV_FORWARD));
    free(kernel);
    free(x);
    free(y);
}

static void test_empty(void)
{
    chanconv_conv conv = conv_of(&rows[0], CHANCONV_F32);
    chanconv_error error;
    chanconv_packed *packed;
    float y[9 * 8] = {1};
    conv.c = 0;
    conv.k = 1;
    CHECK(chanconv_pack_kernel(NULL, &conv, CHANCONV_FORWARD, NULL, &packed, &error) == CHANCONV_OK);
    CHECK(chanconv_packed_holds(packed, NULL));
    CHECK(chanconv_conv_forward_packed(NULL, &conv, NULL, packed, NULL, y, &error) == CHANCONV_OK && y[0] == 0);
    chanconv_packed_destroy(NULL, packed);
}

struct packing {
    chanconv_conv conv;
    chanconv_pass pass;
    void *kernel, *in, *out;
};

static chanconv_status pack_and_run(chanconv_context *context, void *data)
{
    const struct packing *p = data;
    chanconv_packed *packed;
    chanconv_status status = chanconv_pack_kernel(context, &p->conv, p->pass, p->kernel, &packed, NULL);
    if (status == CHANCONV_OK) {
        status = p->pass == CHANCONV_FORWARD
                     ? chanconv_conv_forward_packed(context, &p->conv, p->in, packed, NULL, p->out, NULL)
                     : chanconv_conv_grad_x_packed(context, &p->conv, p->in, packed, p->out, NULL);
        chanconv_packed_destroy(context, packed);
    }
    return status;
}

/* Every allocation fails in turn, of packing and of the pass, also where a value that is not finite takes another path. */
static void test_failing_allocations(void)
{
    for (int i = 0; i < 4 * ROWS; i++) {
        struct packing p = {.conv = conv_of(&rows[i / 4], CHANCONV_F32), .pass = (chanconv_pass)(i % 2)};
        chanconv_sizes sizes = {.struct_size = sizeof sizes};
        CHECK(chanconv_conv_check(&p.conv, &sizes, NULL) == CHANCONV_OK);
        p.kernel = values(CHANCONV_F32, sizes.kernel_count);
        p.in = values(CHANCONV_F32, max64(sizes.x_count, sizes.y_count));
        p.out = values(CHANCONV_F32, max64(sizes.x_count, sizes.y_count));
        if (i % 4 > 1) {
            ((float *)p.kernel)[sizes.kernel_count / 2] = INFINITY;
        }
        CHECK(check_failing_allocations(pack_and_run, &p, 2) >= 1);
        free(p.kernel);
        free(p.in);
        free(p.out);
    }
}

int main(void)
{
    test_every_isa();
    test_other_purposes();
    test_gain();
    test_kernels_of_another_shape();
    test_serves();
    test_destroyed();
    test_errors();
    test_empty();
#ifdef EMULATED /* the processor has no part in it */
    (void)test_failing_allocations;
#else
    test_failing_allocations();
#endif
    return report();
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The validator against an independent one in 128 bits (tests/fuzz/problem.h), on random descriptors, small and
 * wild; the order of its checks by the argument that is named; padding modes against walking from cell to cell.
 */
#include "../fuzz/fuzz.c"

#include "test.h"

/* ---- Random descriptors ------------------------------------------------------------------------------------------ */

static uint64_t random_state = 5;

static uint64_t random_bits(void)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return random_state >> 33;
}

/* Most bytes small: numbers are then too; some runs of 0xff, which are wild. */
static void random_input(uint8_t *data, size_t size)
{
    const uint64_t wildness = random_bits() % 4;
    for (size_t i = 0; i < size; i++) {
        const uint64_t b = random_bits();
        data[i] = (uint8_t)(b % 64 < wildness ? 252 + b / 64 % 4 : b / 64 % 252);
    }
}

static void test_random_descriptors(const char *name, long times)
{
    uint8_t data[64];
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
        for (long j = 0; j < times && strcmp(targets[i].name, name) == 0; j++) {
            const size_t size = 16 + random_bits() % (sizeof data - 15);
            random_input(data, size);
            targets[i].run(&(struct input){data, size});
        }
    }
    CHECK(memory.live == 0);
}

/* ---- What is said ------------------------------------------------------------------------------------------------ */

/* A descriptor that is right but for one thing. */
static chanconv_conv right(void)
{
    chanconv_conv c;
    chanconv_conv_init(&c);
    c.n = 2, c.h = 5, c.w = 7, c.c = 4, c.kh = 3, c.kw = 2, c.k = 6;
    return c;
}

static void refused(const chanconv_conv *c, chanconv_status status, const char *text)
{
    chanconv_error error = {NULL, ""};
    chanconv_sizes sizes = {.struct_size = sizeof sizes};
    const chanconv_status got = chanconv_conv_check(c, &sizes, &error);
    if (!CHECK(got == status) || !CHECK(strstr(error.text, text))) {
        fprintf(stderr, "  status %d, \"%s\" for \"%s\"\n", (int)got, error.text, text);
    }
}

#define REFUSED(change, status, text)  \
    do {                               \
        chanconv_conv c = right();     \
        change;                        \
        refused(&c, status, text);     \
    } while (0)

static void test_defaults(void)
{
    chanconv_conv c;
    chanconv_conv_init(&c);
    CHECK(c.struct_size == sizeof c && c.n == 1 && c.groups == 1 && c.kernel_c == -1);
    CHECK(c.out[0] == -1 && c.out[1] == -1 && c.stride[0] == 1 && c.stride[1] == 1 && c.dilation[0] == 1 &&
          c.dilation[1] == 1);
}

static void test_texts(void)
{
    char algorithms[80];
    snprintf(algorithms, sizeof algorithms, "algorithm: expected 0 .. %d, got -1", CHANCONV_ALGORITHM_COUNT - 1);
    REFUSED(c.struct_size--, CHANCONV_BAD_STRUCT, "conv: expected a descriptor");
    REFUSED(c.dtype = 2, CHANCONV_BAD_DTYPE, "dtype: expected 0 (f32) or 1 (f64), got 2");
    REFUSED(c.dtype = -1, CHANCONV_BAD_DTYPE, "got -1");
    REFUSED(c.padding_mode = 5, CHANCONV_BAD_PADDING_MODE, "padding_mode: expected 0 .. 4, got 5");
    REFUSED(c.padding_mode = -1, CHANCONV_BAD_PADDING_MODE, "got -1");
    REFUSED(c.padding_rule = 3, CHANCONV_BAD_PADDING, "padding: expected rule 0 .. 2, got 3");
    REFUSED(c.padding_rule = -1, CHANCONV_BAD_PADDING, "got -1");
    REFUSED(c.algorithm = CHANCONV_ALGORITHM_COUNT, CHANCONV_BAD_ALGORITHM, "algorithm: expected 0 .. ");
    REFUSED(c.algorithm = -1, CHANCONV_BAD_ALGORITHM, algorithms);
    REFUSED(c.precision = 2, CHANCONV_BAD_ALGORITHM, "precision: expected 0 (fast) or 1 (strict), got 2");
    REFUSED(c.activation.kind = -1, CHANCONV_BAD_ACTIVATION, "activation: ");
    REFUSED(c.h = -1, CHANCONV_BAD_X, "x: expected a size of 0 or more (vertical), got -1");
    REFUSED(c.w = -1, CHANCONV_BAD_X, "(horizontal), got -1");
    REFUSED(c.kh = 0, CHANCONV_BAD_KERNEL, "kernel: expected a size of 1 or more (vertical), got 0");
    REFUSED(c.stride[1] = 0, CHANCONV_BAD_STRIDE, "stride: expected 1 or more (horizontal), got 0");
    REFUSED(c.dilation[0] = 0, CHANCONV_BAD_DILATION, "dilation: expected 1 or more (vertical), got 0");
    REFUSED(c.dilation[0] = INT64_MAX / 2 + 1, CHANCONV_BAD_DILATION, "times a kernel of 3 (vertical) is too large");
    REFUSED((c.dilation[1] = INT64_MAX, c.kw = 2), CHANCONV_BAD_DILATION,
            "times a kernel of 2 (horizontal) is too large");
    REFUSED(c.padding[0][1] = -1, CHANCONV_BAD_PADDING,
            "padding: expected 0 to 2147483647 on each side, got -1 (vertical)");
    REFUSED(c.padding[1][0] = INT64_C(1) << 31, CHANCONV_BAD_PADDING, "got 2147483648 (horizontal)");
    REFUSED((c.padding_rule = 1, c.dilation[0] = INT64_C(1) << 31), CHANCONV_BAD_DILATION, "too large to pad for");
    REFUSED((c.h = INT64_MAX - 1, c.padding[0][0] = 1, c.padding[0][1] = 1), CHANCONV_BAD_X,
            "cells (vertical) are too many");
    REFUSED(c.kh = 6, CHANCONV_BAD_KERNEL, "kernel: larger than the padded input: it reaches over 6 cells (vertical), "
                                           "the padded input has 5");
    REFUSED(c.dilation[1] = 7, CHANCONV_BAD_DILATION,
            "7 makes the kernel of 2 reach over 8 cells (horizontal), more than "
                                                      "the padded input's 7");
    REFUSED((c.kh = 6, c.dilation[0] = 2), CHANCONV_BAD_KERNEL, "reaches over 11 cells");
    REFUSED((c.kh = 5, c.dilation[0] = 2), CHANCONV_BAD_DILATION,
            "2 makes the kernel of 5 reach over 9 cells (vertical)");
    REFUSED(c.h = 0, CHANCONV_BAD_X, "x: expected a size of 1 or more after padding (vertical), got 0");
    REFUSED((c.w = 0, c.padding[1][0] = 2, c.padding_mode = 2), CHANCONV_BAD_X, "\"replicate\" needs at least 1 cell");
    REFUSED((c.padding_mode = 1, c.padding[0][0] = 5), CHANCONV_BAD_PADDING,
            "\"reflect\" allows at most 4 on each side of 5 cells (vertical), got 5");
    REFUSED((c.padding_mode = 3, c.padding[1][1] = 8), CHANCONV_BAD_PADDING,
            "\"circular\" allows at most 7 on each side of 7 cells (horizontal), got 8");
    REFUSED((c.padding_rule = 1, c.h = 0, c.dilation[0] = 1), CHANCONV_BAD_X,
            "gives ceil(0 / 1) = 0 outputs (vertical)");
    REFUSED(c.out[0] = 4, CHANCONV_BAD_Y, "out: expected 1 to 3 (vertical), got 4");
    REFUSED(c.out[1] = 0, CHANCONV_BAD_Y, "out: expected 1 to 6 (horizontal), got 0");
    REFUSED(c.c = -1, CHANCONV_BAD_X, "x: expected 0 channels or more, got -1");
    REFUSED(c.k = -1, CHANCONV_BAD_KERNEL, "kernel: expected 0 kernels or more, got -1");
    REFUSED(c.groups = 0, CHANCONV_BAD_GROUPS, "groups: expected 1 or more, got 0");
    REFUSED(c.groups = 3, CHANCONV_BAD_GROUPS, "expected a divisor of the 4 channels of x, got 3");
    REFUSED(c.groups = 8, CHANCONV_BAD_GROUPS, "expected a divisor of the 4 channels of x, got 8");
    REFUSED((c.groups = 4, c.c = 8), CHANCONV_BAD_GROUPS, "expected a divisor of the 6 kernels, got 4");
    REFUSED((c.groups = 2, c.k = 0), CHANCONV_BAD_GROUPS, "expected a divisor of the 0 kernels, got 2");
    REFUSED((c.groups = 2, c.c = 0), CHANCONV_BAD_GROUPS, "expected a divisor of the 0 channels");
    REFUSED(c.kernel_c = 0, CHANCONV_BAD_KERNEL, "kernels of 4 channels (x has 4 in 1 group), got 0");
    REFUSED(c.kernel_c = 3, CHANCONV_BAD_KERNEL, "kernels of 4 channels (x has 4 in 1 group), got 3");
    REFUSED((c.groups = 2, c.kernel_c = 4), CHANCONV_BAD_KERNEL, "kernels of 2 channels (x has 4 in 2 groups), got 4");
    REFUSED(c.n = -1, CHANCONV_BAD_X, "x: expected 0 images or more, got -1");
    REFUSED(c.n = INT64_MAX / 16, CHANCONV_BAD_X, "x: an array of shape (576460752303423487, 5, 7, 4) is too large");
    REFUSED(c.k = INT64_MAX / 16, CHANCONV_BAD_KERNEL,
            "kernel: an array of shape (3, 2, 4, 576460752303423487) is too large");
    REFUSED((c.n = 3, c.h = c.w = 1 << 15, c.k = INT64_C(1) << 30), CHANCONV_BAD_KERNEL,
            "kernels the result, of shape (3, ");
    REFUSED((c.n = 0, c.h = c.w = INT64_C(1) << 31), CHANCONV_BAD_X,
            "x: an array of shape (0, 2147483648, 2147483648, 4)");
    REFUSED(c.x_pixel = 3, CHANCONV_BAD_X, "x: the pitches");
    REFUSED(c.x_row = 27, CHANCONV_BAD_X, "x: the pitches");
    REFUSED(c.x_image = 139, CHANCONV_BAD_X, "x: the pitches");
    REFUSED(c.y_pixel = 5, CHANCONV_BAD_Y, "y: the pitches");
    REFUSED(c.y_row = 35, CHANCONV_BAD_Y, "y: the pitches");
    REFUSED(c.y_image = 107, CHANCONV_BAD_Y, "y: the pitches");
    REFUSED(c.x_pixel = -4, CHANCONV_BAD_X, "x: the pitches");
    REFUSED(c.x_image = INT64_MAX / 4, CHANCONV_BAD_X, "x: the pitches");
}

static void test_accepted(void)
{
    chanconv_conv c = right();
    c.x_pixel = 4, c.x_row = 28, c.x_image = 140, c.y_pixel = 6, c.y_row = 36, c.y_image = 108;
    c.kernel_c = 4, c.out[0] = 3, c.out[1] = 6;
    chanconv_sizes sizes = {.struct_size = sizeof sizes};
    CHECK(chanconv_conv_check(&c, &sizes, NULL) == CHANCONV_OK);
    CHECK(sizes.oh == 3 && sizes.ow == 6 && sizes.x_count == 280 && sizes.kernel_count == 144 && sizes.y_count == 216);
    CHECK(chanconv_conv_check(&c, NULL, NULL) == CHANCONV_OK);
}

/* ---- Transposed -------------------------------------------------------------------------------------------------- */

static chanconv_status transposed(chanconv_conv *c, int64_t rows, int64_t cols, int64_t more_rows, int64_t more_cols,
                                  chanconv_error *error)
{
    return chanconv_conv_transposed(c, (int64_t[2]){rows, cols}, (int64_t[2]){more_rows, more_cols}, error);
}

static void test_transposed(void)
{
    chanconv_conv c = right();
    c.stride[0] = 3, c.dilation[1] = 4, c.padding[0][0] = 1, c.padding[1][1] = 2;
    chanconv_error error = {NULL, ""};
    CHECK(transposed(&c, 4, 5, 2, 3, &error) == CHANCONV_OK);
    CHECK(c.h == 3 * 3 - 1 + 2 + 2 + 1 && c.w == 4 - 2 + 4 + 3 + 1 && c.out[0] == 4 && c.out[1] == 5);
    c = right(), c.stride[0] = 3, c.padding_rule = CHANCONV_PAD_SAME;
    CHECK(transposed(&c, 4, 5, 0, 0, &error) == CHANCONV_OK && c.h == 12 && c.w == 5);
    CHECK(transposed(&c, 4, 5, 1, 0, &error) == CHANCONV_BAD_OUTPUT_PADDING && strstr(error.text, "0 with padding"));
    c = right(), c.stride[0] = 3, c.dilation[1] = 4;
    CHECK(transposed(&c, 4, 5, 3, 0, &error) == CHANCONV_BAD_OUTPUT_PADDING && strstr(error.text, "(vertical), got 3"));
    CHECK(transposed(&c, 4, 5, 0, 4, &error) == CHANCONV_BAD_OUTPUT_PADDING &&
          strstr(error.text, "(horizontal), got 4"));
    CHECK(transposed(&c, 4, 5, -1, 0, &error) == CHANCONV_BAD_OUTPUT_PADDING);
    CHECK(transposed(&c, 1, 1, 0, 0, &error) == CHANCONV_OK && c.h == 3 && c.w == 5);
    CHECK(transposed(NULL, 1, 1, 0, 0, &error) == CHANCONV_BAD_STRUCT);
    const int64_t one[2] = {1, 1};
    CHECK(chanconv_conv_transposed(&c, NULL, one, &error) == CHANCONV_BAD_STRUCT &&
          strcmp(error.argument, "grid") == 0);
    CHECK(chanconv_conv_transposed(&c, one, NULL, &error) == CHANCONV_BAD_STRUCT &&
          strcmp(error.argument, "output_padding") == 0);
    CHECK(transposed(&c, 0, 5, 0, 0, &error) == CHANCONV_BAD_X && strstr(error.text, "(vertical), got 0"));
    CHECK(transposed(&c, 4, INT64_MAX, 0, 0, &error) == CHANCONV_BAD_STRIDE);
    c = right(), c.padding[0][0] = 3, c.padding[0][1] = 3;
    CHECK(transposed(&c, 4, 5, 0, 0, &error) == CHANCONV_BAD_PADDING && strstr(error.text, "size 0 (vertical)"));
    CHECK(transposed(&c, 5, 5, 0, 0, &error) == CHANCONV_OK && c.h == 1);
    c.padding_mode = CHANCONV_REFLECT;
    CHECK(transposed(&c, 5, 5, 0, 0, &error) == CHANCONV_BAD_PADDING_MODE);
    static const int64_t wrong[] = {0, -1, INT64_MIN};
    for (int i = 0; i < 3; i++) { /* what the check says, whichever of the numbers is wrong */
        for (int field = 0; field < 4; field++) {
            c = right();
            *(int64_t *[]){&c.stride[0], &c.dilation[1], &c.kh, &c.padding[1][0]}[field] = field < 3 ? wrong[i] : -1;
            CHECK(transposed(&c, 5, 5, 0, 0, &error) != CHANCONV_OK ||
                  chanconv_conv_check(&c, NULL, &error) != CHANCONV_OK);
            static const char *const names[] = {"stride", "dilation", "kernel", "padding"};
            CHECK(strcmp(error.argument, names[field]) == 0);
        }
    }
}

/* ---- Columns, modes, simplifications ----------------------------------------------------------------------------- */

static void test_columns(void)
{
    chanconv_conv c = right();
    c.groups = 3, c.k = -7, c.kernel_c = 99, c.y_row = 1; /* not looked at */
    struct geometry g;
    CHECK(resolve_columns(&c, &g, NULL) == CHANCONV_OK);
    CHECK(g.groups == 1 && g.k == 1 && g.cg == 4 && g.kg == 1 && g.oh == 3 && g.ow == 6 && g.y_pixel == 1);
    c.n = INT64_C(1) << 50;
    CHECK(resolve_columns(&c, &g, NULL) == CHANCONV_OK);
    c.n = INT64_C(1) << 53;
    chanconv_error error;
    CHECK(resolve_columns(&c, &g, &error) == CHANCONV_NO_MEMORY && strcmp(error.argument, "columns") == 0);
    c.struct_size = 0;
    CHECK(resolve_columns(&c, &g, &error) == CHANCONV_BAD_STRUCT);
    CHECK(resolve_columns(NULL, &g, &error) == CHANCONV_BAD_STRUCT);
}

static void test_modes(void)
{
    for (int64_t size = 1; size < 6; size++) {
        for (int32_t mode = CHANCONV_ZEROS; mode <= CHANCONV_SYMMETRIC; mode++) {
            const int64_t reach = mode == CHANCONV_REFLECT ? size - 1 : mode == CHANCONV_CIRCULAR ? size : 30;
            for (int64_t i = -reach; i < size + reach; i++) {
                CHECK(source_index(mode, i, size) == cell(mode, i, size));
            }
        }
    }
}

/* Steps that are never taken, and the geometry that the algorithms get. */
static void test_simplified_steps(void)
{
    chanconv_conv c = right();
    struct geometry g;
    c.kh = 1, c.dilation[0] = 77, c.stride[1] = 1000, c.dilation[1] = 3;
    CHECK(resolve(&c, &g, NULL) == CHANCONV_OK);
    CHECK(g.dilation[0] == 1 && g.oh == 5 && g.stride[0] == 1);
    CHECK(g.dilation[1] == 3 && g.ow == 1 && g.stride[1] % 3 == 0 && g.stride[1] > 7 && g.stride[1] <= 7 + 3);
    CHECK(g.item == 4 && g.x_pixel == 4 && g.x_row == 28 && g.x_image == 140 && g.y_pixel == 6 && g.y_row == 6);
    c.dtype = CHANCONV_F64, c.padding[1][0] = 1, c.padding[1][1] = 1;
    CHECK(resolve(&c, &g, NULL) == CHANCONV_OK && g.item == 8 && g.stride[1] == 3 * (9 / 3 + 1));
    c.dilation[1] = 1, c.padding[1][0] = 2, c.padding[1][1] = 0;
    CHECK(resolve(&c, &g, NULL) == CHANCONV_OK && g.stride[1] == 10);
    c.padding[1][0] = 0, c.padding[1][1] = 2;
    CHECK(resolve(&c, &g, NULL) == CHANCONV_OK && g.stride[1] == 10);
}

#if defined(VALGRIND) || defined(EMULATED)
enum { DESCRIPTORS = 10000 };
#else
enum { DESCRIPTORS = 200000 };
#endif

int main(void)
{
    test_random_descriptors("check", 2 * DESCRIPTORS);
    test_random_descriptors("transposed", DESCRIPTORS);
    test_defaults();
    test_texts();
    test_accepted();
    test_transposed();
    test_columns();
    test_modes();
    test_simplified_steps();
    return report();
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Groups of few channels: a vector holds those of several groups side by side, so that no lane is empty. Channel j of
 * its group is brought to every lane by a shuffle, and serves all the taps and outputs that see it. struct group_strip
 * and struct group_sums (internal.h) are the contracts. n: channels of a group, at most VL; a group as wide as the
 * vector needs no shuffle.
 */

/* The lanes that channel j of its group of n is brought from. */
#define LANES (VBYTES / (IS_F64 ? 8 : 4))
#define LANE(i, n, j) (((i) / (n) * (n) + (j)) % LANES)
#define SPREAD_2(n, j) LANE(0, n, j), LANE(1, n, j)
#define SPREAD_4(n, j) SPREAD_2(n, j), LANE(2, n, j), LANE(3, n, j)
#define SPREAD_8(n, j) SPREAD_4(n, j), LANE(4, n, j), LANE(5, n, j), LANE(6, n, j), LANE(7, n, j)
#if LANES == 2
#define SPREAD SPREAD_2
#elif LANES == 4
#define SPREAD SPREAD_4
#elif LANES == 8
#define SPREAD SPREAD_8
#else
#define SPREAD(n, j) \
    SPREAD_8(n, j), LANE(8, n, j), LANE(9, n, j), LANE(10, n, j), LANE(11, n, j), LANE(12, n, j), LANE(13, n, j), \
    LANE(14, n, j), LANE(15, n, j)
#endif
#define CASE(n, j) \
    case 8 * n + j: \
        return __builtin_shufflevector(v, v, SPREAD(n, j));

INLINE NAME(vec) NAME(within_groups)(NAME(vec) v, const int n, const int64_t j)
{
    switch (8 * n + j) {
        CASE(2, 0)
        CASE(2, 1)
        CASE(4, 0)
        CASE(4, 1)
        CASE(4, 2)
        CASE(4, 3)
        CASE(8, 0)
        CASE(8, 1)
        CASE(8, 2)
        CASE(8, 3)
        CASE(8, 4)
        CASE(8, 5)
        CASE(8, 6)
        CASE(8, 7)
    }
    __builtin_unreachable();
}

/* The same from where x has the vector: a group that fills it has one value for all lanes. */
INLINE NAME(vec) NAME(load_channel)(const REAL *x, const int n, const int64_t j)
{
    if (n == NAME(VL)) {
        return x[j] - (NAME(vec)){0};
    }
    return NAME(within_groups)(*(const NAME(vec) *)x, n, j);
}

#undef CASE
#undef SPREAD
#undef SPREAD_8
#undef SPREAD_4
#undef SPREAD_2
#undef LANE

/* ---- Forward ----------------------------------------------------------------------------------------------------- */

INLINE void NAME(begin_group_strip)(const struct group_strip *t, NAME(vec) *acc, const int outputs)
{
    NAME(vec) bias = {0};
    if (t->bias) {
        bias = *(const NAME(vec) *)t->bias;
    }
    UNROLL for (int i = 0; i < outputs; i++) {
        acc[i] = bias;
    }
}

INLINE void NAME(end_group_strip)(const struct group_strip *t, const NAME(vec) *acc, const int outputs)
{
    REAL *y = t->y;
    UNROLL for (int i = 0; i < outputs; i++, y += t->y_pixel) {
        *(NAME(vec) *)y = acc[i];
    }
}

/* A row of neighbouring taps on channel j. Columns of x outside of it have no bit. */
INLINE void NAME(group_row)(const REAL *x, int64_t x_pixel, const REAL *w, int64_t w_tap, int64_t j, uint64_t bits,
                            NAME(vec) *acc, const int n, const int taps, const int stride, const int outputs)
{
    NAME(vec) weight[GROUP_TAPS_MAX];
    UNROLL for (int s = 0; s < taps; s++) {
        weight[s] = *(const NAME(vec) *)(w + s * w_tap);
        PIN(weight[s]);
    }
    PIN_BITS(bits);
    UNROLL for (int p = 0; p < (outputs - 1) * stride + taps; p++, x += x_pixel) {
        if (__builtin_expect(bits >> p & 1, 1)) {
            NAME(vec) value = NAME(load_channel)(x, n, j);
            PIN(value);
            PIN_BITS(x);
            UNROLL for (int s = 0; s < taps; s++) {
                if (p >= s && (p - s) % stride == 0 && (p - s) / stride < outputs) {
                    acc[(p - s) / stride] += value * weight[s];
                }
            }
        }
    }
}

/* One tap; bit i * gap tells whether output i has its column. Each is loaded once for all channels. */
INLINE void NAME(group_tap)(const REAL *x, int64_t step, const REAL *w, uint64_t bits, NAME(vec) *acc, const int n,
                            const int gap, const int outputs)
{
    NAME(vec) weight[NAME(VL)];
    UNROLL for (int j = 0; j < n; j++) {
        weight[j] = *(const NAME(vec) *)(w + j * NAME(VL));
    }
    PIN_BITS(bits);
    UNROLL for (int i = 0; i < outputs; i++, x += step) {
        if (__builtin_expect(bits >> (i * gap) & 1, 1)) {
            NAME(vec) value = *(const NAME(vec) *)x;
            PIN(value);
            UNROLL for (int j = 0; j < n; j++) {
                acc[i] += NAME(within_groups)(value, n, j) * weight[j];
            }
        }
    }
}

/* The same for groups as wide as the vector, channel by channel. */
INLINE void NAME(wide_group_tap)(const REAL *x, int64_t step, const REAL *w, uint64_t bits, NAME(vec) *acc,
                                 const int gap, const int outputs)
{
    for (int64_t j = 0; j < NAME(VL); j++) {
        const NAME(vec) weight = *(const NAME(vec) *)(w + j * NAME(VL));
        const REAL *value = x + j;
        PIN_BITS(bits);
        UNROLL for (int i = 0; i < outputs; i++, value += step) {
            if (__builtin_expect(bits >> (i * gap) & 1, 1)) {
                acc[i] += *value * weight;
            }
            PIN_BITS(value);
        }
    }
}

INLINE void NAME(group_tap_of)(const REAL *x, int64_t step, const REAL *w, uint64_t bits, NAME(vec) *acc, const int n,
                               const int gap, const int outputs)
{
    if (n == NAME(VL)) {
        NAME(wide_group_tap)(x, step, w, bits, acc, gap, outputs);
    } else {
        NAME(group_tap)(x, step, w, bits, acc, n, gap, outputs);
    }
}

/* So many neighbouring taps as a row has at once, on all channels. */
INLINE void NAME(group_taps)(const REAL *x, int64_t x_pixel, const REAL *w, uint64_t bits, NAME(vec) *acc, const int n,
                             const int stride, const int outputs)
{
    const int64_t w_tap = n * NAME(VL);
    if (n == NAME(VL)) {
        for (int64_t j = 0; j < n; j++, w += NAME(VL)) {
            NAME(group_row)(x, x_pixel, w, w_tap, j, bits, acc, n, GROUP_TAPS_MAX, stride, outputs);
        }
    } else {
        UNROLL for (int j = 0; j < n; j++, w += NAME(VL)) {
            NAME(group_row)(x, x_pixel, w, w_tap, j, bits, acc, n, GROUP_TAPS_MAX, stride, outputs);
        }
    }
}

/* Neighbouring taps, three at a time, then one by one. */
INLINE void NAME(group_strip)(const struct group_strip *t, const int n, const int stride, const int outputs)
{
    const uint64_t exists = NAME(existing)(t->column, (outputs - 1) * stride + t->taps, t->width);
    const int64_t x_pixel = t->x_pixel, w_tap = n * NAME(VL);
    const REAL *w = t->kernel, *row = t->x;
    NAME(vec) acc[STRIP_MAX];
    NAME(begin_group_strip)(t, acc, outputs);
    for (int64_t r = 0; r < t->rows; r++, row += t->x_row) {
        const REAL *x = row;
        uint64_t bits = exists;
        int64_t left = t->taps;
        for (; left >= GROUP_TAPS_MAX; left -= GROUP_TAPS_MAX, bits >>= GROUP_TAPS_MAX) {
            NAME(group_taps)(x, x_pixel, w, bits, acc, n, stride, outputs);
            x += GROUP_TAPS_MAX * x_pixel;
            w += GROUP_TAPS_MAX * w_tap;
        }
        for (; left > 0; left--, x += x_pixel, w += w_tap, bits >>= 1) {
            NAME(group_tap_of)(x, stride * x_pixel, w, bits, acc, n, stride, outputs);
        }
    }
    NAME(end_group_strip)(t, acc, outputs);
}

/* One bit for each of the outputs whose column exists. */
INLINE uint64_t NAME(existing_outputs)(int64_t column, int64_t stride, int64_t width, const int outputs)
{
    uint64_t bits = 0;
    for (int i = 0; i < outputs; i++) {
        bits |= (uint64_t)((uint64_t)(column + i * stride) < (uint64_t)width) << i;
    }
    return bits;
}

/* Any taps, stride and dilation. */
INLINE void NAME(any_group_strip)(const struct group_strip *t, const int n, const int outputs)
{
    const REAL *w = t->kernel, *row = t->x;
    NAME(vec) acc[STRIP_MAX];
    NAME(begin_group_strip)(t, acc, outputs);
    for (int64_t r = 0; r < t->rows; r++, row += t->x_row) {
        const REAL *x = row;
        for (int64_t s = 0; s < t->taps; s++, w += n * NAME(VL), x += t->dilation * t->x_pixel) {
            const uint64_t bits = NAME(existing_outputs)(t->column + s * t->dilation, t->stride, t->width, outputs);
            NAME(group_tap_of)(x, t->stride * t->x_pixel, w, bits, acc, n, 1, outputs);
        }
    }
    NAME(end_group_strip)(t, acc, outputs);
}

/* ---- Gradient of the kernel -------------------------------------------------------------------------------------- */

/* Channels whose sums are in registers at once. */
#if REGISTERS == 32
enum { NAME(BLOCK) = 8 };
#else
enum { NAME(BLOCK) = 4 };
#endif

/* The outputs, of those in a row, whose column of tap s exists: *first to *end - 1. */
INLINE void NAME(outputs_of_tap)(const struct group_sums *t, int64_t s, int64_t *first, int64_t *end)
{
    const int64_t column = t->column + s * t->dilation;
    *first = column < 0 ? min64((t->stride - 1 - column) / t->stride, t->cols) : 0;
    *end = column < t->width ? max64(min64((t->width - 1 - column) / t->stride + 1, t->cols), *first) : *first;
}

/* Column p of x, at x: its channels first .. first + block - 1 times the outputs that see it through neighbouring
 * taps. */
INLINE void NAME(group_column)(const REAL *x, const REAL *y, int64_t y_pixel, int64_t first, int64_t p, int64_t cols,
                               const bool whole, NAME(vec) (*acc)[NAME(BLOCK)], const int n, const int block,
                               const int taps)
{
    NAME(vec) g[GROUP_TAPS_MAX];
    UNROLL for (int s = 0; s < taps; s++) {
        g[s] = (NAME(vec)){0};
        if (whole || (p >= s && p - s < cols)) {
            g[s] = *(const NAME(vec) *)(y - s * y_pixel);
        }
        PIN(g[s]);
    }
    UNROLL for (int j = 0; j < block; j++) {
        NAME(vec) value = NAME(load_channel)(x, n, first + j);
        PIN(value);
        UNROLL for (int s = 0; s < taps; s++) {
            acc[s][j] += value * g[s];
        }
    }
}

/* Neighbouring taps, stride 1: each column of x is loaded once for all of them. */
INLINE void NAME(group_sums_block)(const struct group_sums *t, int64_t first, const int n, const int block,
                                   const int taps)
{
    const int64_t x_pixel = t->x_pixel, y_pixel = t->y_pixel, cols = t->cols;
    const int64_t begin = max64(-t->column, 0), end = min64(t->width - t->column, cols + taps - 1);
    NAME(vec) *sums = t->sums, acc[GROUP_TAPS_MAX][NAME(BLOCK)];
    UNROLL for (int s = 0; s < taps; s++) {
        UNROLL for (int j = 0; j < block; j++) {
            acc[s][j] = (NAME(vec)){0};
        }
    }
    for (int64_t i = 0; i < t->rows; i++) {
        const REAL *x = (const REAL *)t->x + i * t->x_step + begin * x_pixel;
        const REAL *y = (const REAL *)t->y + i * t->y_row + begin * y_pixel;
        int64_t p = begin;
        for (; p < min64(taps - 1, end); p++, x += x_pixel, y += y_pixel) {
            NAME(group_column)(x, y, y_pixel, first, p, cols, false, acc, n, block, taps);
        }
        for (; p < min64(cols, end); p++, x += x_pixel, y += y_pixel) {
            NAME(group_column)(x, y, y_pixel, first, p, cols, true, acc, n, block, taps);
        }
        for (; p < end; p++, x += x_pixel, y += y_pixel) {
            NAME(group_column)(x, y, y_pixel, first, p, cols, false, acc, n, block, taps);
        }
    }
    UNROLL for (int s = 0; s < taps; s++) {
        UNROLL for (int j = 0; j < block; j++) {
            sums[s * n + first + j] += acc[s][j];
        }
    }
}

/* Any taps, stride and dilation, tap by tap; two outputs at once have sums of their own. */
INLINE void NAME(any_group_sums_block)(const struct group_sums *t, int64_t first, const int n, const int block)
{
    const int64_t step = t->stride * t->x_pixel, y_pixel = t->y_pixel;
    for (int64_t s = 0; s < t->taps; s++) {
        NAME(vec) *sums = (NAME(vec) *)t->sums + s * n + first, acc[2][NAME(BLOCK)];
        int64_t low, high;
        NAME(outputs_of_tap)(t, s, &low, &high);
        UNROLL for (int j = 0; j < block; j++) {
            acc[0][j] = acc[1][j] = (NAME(vec)){0};
        }
        for (int64_t i = 0; i < t->rows; i++) {
            const REAL *x = (const REAL *)t->x + i * t->x_step + s * t->dilation * t->x_pixel + low * step;
            const REAL *y = (const REAL *)t->y + i * t->y_row + low * y_pixel;
            for (int64_t col = low; col < high; col += 2, x += 2 * step, y += 2 * y_pixel) {
                UNROLL for (int u = 0; u < 2; u++) {
                    if (col + u < high) {
                        const NAME(vec) g = *(const NAME(vec) *)(y + u * y_pixel);
                        UNROLL for (int j = 0; j < block; j++) {
                            acc[u][j] += NAME(load_channel)(x + u * step, n, first + j) * g;
                        }
                    }
                }
            }
        }
        UNROLL for (int j = 0; j < block; j++) {
            sums[j] += acc[0][j] + acc[1][j];
        }
    }
}

/* taps: 0 for any, and any stride and dilation. */
INLINE void NAME(group_sums)(const struct group_sums *t, const int n, const int taps)
{
    const int block = n < NAME(BLOCK) ? n : NAME(BLOCK);
    for (int64_t first = 0; first < n; first += block) {
        if (taps) {
            NAME(group_sums_block)(t, first, n, block, taps);
        } else {
            NAME(any_group_sums_block)(t, first, n, block);
        }
    }
}

/* ---- The lists --------------------------------------------------------------------------------------------------- */

/* S(n, stride, outputs) for neighbouring taps, A(n, outputs) for any; T(n, taps) for so many, T(n, 0) for any. */
#if REGISTERS == 32
#define STRIPS(S, n) S(n, 1, 14) S(n, 1, 7) S(n, 1, 4) S(n, 2, 14) S(n, 2, 7) S(n, 2, 4)
#else
#define STRIPS(S, n) S(n, 1, 10) S(n, 1, 7) S(n, 1, 4) S(n, 2, 10) S(n, 2, 7) S(n, 2, 4)
#endif
/* Of groups as wide as the vector, whose functions are short, strips of more sizes. */
#if REGISTERS == 32 && !defined(SMALL)
#define WIDE_STRIPS(S, A, n) S(n, 1, 12) S(n, 1, 10) S(n, 1, 9) S(n, 1, 8) A(n, 14)
#else
#define WIDE_STRIPS(S, A, n)
#endif
#if defined(SMALL)
#define ALL_STRIPS(S, A, n) A(n, 4) A(n, 1)
#define SUMS(T, n) T(n, 0)
#else
#define ALL_STRIPS(S, A, n) STRIPS(S, n) A(n, 7) A(n, 4) A(n, 1)
#define SUMS(T, n) T(n, 3) T(n, 0)
#endif
#if LANES == 16
#define WIDE(list, ...) list(__VA_ARGS__, 16)
#define EACH(list, ...) list(__VA_ARGS__, 2) list(__VA_ARGS__, 4) list(__VA_ARGS__, 8) list(__VA_ARGS__, 16)
#elif LANES == 8
#define WIDE(list, ...) list(__VA_ARGS__, 8)
#define EACH(list, ...) list(__VA_ARGS__, 2) list(__VA_ARGS__, 4) list(__VA_ARGS__, 8)
#elif LANES == 4
#define WIDE(list, ...) list(__VA_ARGS__, 4)
#define EACH(list, ...) list(__VA_ARGS__, 2) list(__VA_ARGS__, 4)
#else
#define WIDE(list, ...) list(__VA_ARGS__, 2)
#define EACH(list, ...) list(__VA_ARGS__, 2)
#endif

#define DEFINE_STRIP(n, stride, outputs)                                                                         \
    TARGET static void NAME(group_strip_##n##_##stride##_##outputs)(const struct group_strip *t)                 \
    {                                                                                                            \
        NAME(group_strip)(t, n, stride, outputs);                                                                \
    }
#define DEFINE_ANY_STRIP(n, outputs)                                                                             \
    TARGET static void NAME(group_strip_any_##n##_##outputs)(const struct group_strip *t)                        \
    {                                                                                                            \
        NAME(any_group_strip)(t, n, outputs);                                                                    \
    }
#define DEFINE_SUMS(n, taps)                                                                                     \
    TARGET static void NAME(group_sums_##n##_##taps)(const struct group_sums *t)                                 \
    {                                                                                                            \
        NAME(group_sums)(t, n, taps);                                                                            \
    }
EACH(ALL_STRIPS, DEFINE_STRIP, DEFINE_ANY_STRIP)
WIDE(WIDE_STRIPS, DEFINE_STRIP, DEFINE_ANY_STRIP)
EACH(SUMS, DEFINE_SUMS)

#define TABLE_STRIP(n, stride, outputs) {n, stride, outputs, NAME(group_strip_##n##_##stride##_##outputs)},
#define TABLE_ANY_STRIP(n, outputs) {n, 0, outputs, NAME(group_strip_any_##n##_##outputs)},
#define TABLE_SUMS(n, taps) {n, taps, NAME(group_sums_##n##_##taps)},
static const struct group_strip_kernel NAME(group_strips)[] = {
    EACH(ALL_STRIPS, TABLE_STRIP, TABLE_ANY_STRIP) WIDE(WIDE_STRIPS, TABLE_STRIP, TABLE_ANY_STRIP){0}};
static const struct group_sums_kernel NAME(group_sums_kernels)[] = {EACH(SUMS, TABLE_SUMS){0}};

#undef TABLE_SUMS
#undef TABLE_ANY_STRIP
#undef TABLE_STRIP
#undef DEFINE_SUMS
#undef DEFINE_ANY_STRIP
#undef DEFINE_STRIP
#undef EACH
#undef WIDE
#undef WIDE_STRIPS
#undef SUMS
#undef ALL_STRIPS
#undef STRIPS
#undef LANES

/* ---- Turning a kernel's groups over ------------------------------------------------------------------------------ */

/* Returns v * 0 summed up. */
INLINE REAL NAME(turn_group)(REAL *dst, int64_t n, const REAL *src, int64_t src_col, NAME(vec4) zeros[4])
{
    REAL zero = 0;
    for (int64_t j = 0; j < n && n % 4 == 0; j += 4) {
        for (int64_t k = 0; k < n; k += 4) {
            NAME(transpose4)(dst + j * NAME(VL) + k, NAME(VL), src + j + k * src_col, src_col, zeros);
        }
    }
    for (int64_t j = 0; j < n && n % 4 != 0; j++) {
        for (int64_t k = 0; k < n; k++) {
            const REAL v = src[j + k * src_col];
            zero += v * 0;
            dst[j * NAME(VL) + k] = v;
        }
    }
    return zero;
}

LOOPS TARGET static bool NAME(turn_groups)(void *dst, int64_t n, const void *src, int64_t src_col)
{
    NAME(vec4) zeros[4] = {{0}};
    REAL zero = 0;
    for (int64_t q = 0; q < NAME(VL); q += n) {
        zero += NAME(turn_group)((REAL *)dst + q, n, (const REAL *)src + q, src_col, zeros);
    }
    const NAME(vec4) sum = zeros[0] + zeros[1] + zeros[2] + zeros[3];
    return sum[0] + sum[1] + sum[2] + sum[3] + zero == 0;
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Depthwise convolution: every channel has a kernel of its own, so channels lie across the vector and nothing is summed
 * over them. struct strip and struct tap_sums (internal.h) are the contracts.
 *
 * Columns outside x are skipped by a branch each, which the processor foresees: that costs less than a copy of x with
 * its padding written out, and saves the arithmetic on zeros.
 */

/* One bit for each of the columns column .. column + count - 1 that exists, count <= 63. */
INLINE uint64_t NAME(existing)(int64_t column, int64_t count, int64_t width)
{
    const int64_t low = max64(-column, 0), high = min64(width - column, count);
    return low < high ? (UINT64_C(1) << high) - (UINT64_C(1) << low) : 0;
}

/* ---- Forward ----------------------------------------------------------------------------------------------------- */

INLINE void NAME(begin_strip)(const struct strip *t, int64_t channel, NAME(vec) *acc, const int outputs)
{
    NAME(vec) bias = {0};
    if (t->bias) {
        bias = *(const NAME(vec) *)((const REAL *)t->bias + channel);
    }
    UNROLL for (int i = 0; i < outputs; i++) {
        acc[i] = bias;
    }
}

/* Asks for `columns` columns of the rows that the next outputs read and these do not; where pixels follow each other without
 * a gap for as many lines as they lie there, from wherever the vector before ended: so memory gives them in up to two thirds
 * of the time. Between the multiplications it did less good than at once. */
INLINE void NAME(fetch_ahead)(const struct strip *t, int64_t vector, int64_t first, int64_t step, const int columns)
{
    const REAL *row = (const REAL *)t->ahead + (t->ahead_dense ? (vector - t->vector) * columns * NAME(VL) : first);
    const int64_t apart = t->ahead_dense ? NAME(VL) : step;
    for (int64_t r = 0; r < t->ahead_rows; r++, row += t->ahead_row) {
        const REAL *x = row;
        UNROLL for (int j = 0; j < columns; j++, x += apart) {
            __builtin_prefetch(x);
        }
    }
}

/* Those of the outputs whose bit is set; past the caches: see store_past(). */
INLINE void NAME(end_strip)(const struct strip *t, int64_t channel, const NAME(vec) *acc, uint64_t written,
                            const int outputs)
{
    REAL *y = (REAL *)t->y + channel;
    const int64_t y_pixel = t->y_pixel;
#if defined(STORES_PAST)
    if (t->past) {
        UNROLL for (int i = 0; i < outputs; i++, y += y_pixel) {
            if (__builtin_expect(written >> i & 1, 1)) {
                NAME(store_past)(y, (VEC)acc[i]);
            }
        }
        return;
    }
#endif
    UNROLL for (int i = 0; i < outputs; i++, y += y_pixel) {
        if (__builtin_expect(written >> i & 1, 1)) {
            *(NAME(vec) *)y = acc[i];
        }
    }
}

/* Neighbouring taps of one row: each column of x is loaded once for all the outputs that see it. */
INLINE void NAME(strip_row)(const REAL *x, int64_t x_pixel, const struct NAME(lanes) *lanes, const REAL *w,
                            uint64_t bits, NAME(vec) *acc, const int taps, const int stride, const int outputs,
                            const bool repeated)
{
    NAME(vec) weight[STRIP_TAPS_MAX];
    PIN_BITS(bits);
    UNROLL for (int s = 0; s < taps; s++) {
        weight[s] = *(const NAME(vec) *)(w + s * NAME(VL));
    }
    UNROLL for (int j = 0; j < (outputs - 1) * stride + taps; j++, x += x_pixel) {
        if (__builtin_expect(bits >> j & 1, 1)) {
            NAME(vec) value = NAME(take)(x, lanes, repeated);
            PIN(value);
            UNROLL for (int s = 0; s < taps; s++) {
                if (j >= s && (j - s) % stride == 0 && (j - s) / stride < outputs) {
                    acc[(j - s) / stride] += value * weight[s];
                }
            }
        }
    }
}

INLINE void NAME(strip)(const struct strip *t, const int taps, const int stride, const int outputs, const bool repeated)
{
    const uint64_t exists = NAME(existing)(t->column, (outputs - 1) * stride + taps, t->width);
    for (int64_t v = t->vector; v < t->vectors; v++) {
        const int64_t channel = vector_channel(v, NAME(VL), t->shift, t->channels);
        const struct NAME(lanes) lanes = NAME(lanes_of)(channel, t->times, repeated);
        const REAL *w = (const REAL *)t->kernel + v * t->kernel_vector;
        const REAL *x = (const REAL *)t->x + lanes.first;
        NAME(vec) acc[STRIP_MAX];
        NAME(fetch_ahead)(t, v, lanes.first, t->x_pixel, outputs * stride);
        NAME(begin_strip)(t, channel, acc, outputs);
        for (int64_t r = 0; r < t->rows; r++, x += t->x_row, w += taps * NAME(VL)) {
            NAME(strip_row)(x, t->x_pixel, &lanes, w, exists, acc, taps, stride, outputs, repeated);
        }
        NAME(end_strip)(t, channel, acc, ~UINT64_C(0), outputs);
    }
}

/* Many neighbouring taps, stride 1: 5, 4 or 3 of them at a time. */
INLINE void NAME(long_strip)(const struct strip *t, const int outputs, const bool repeated)
{
    const uint64_t exists = NAME(existing)(t->column, outputs - 1 + t->taps, t->width);
    for (int64_t v = t->vector; v < t->vectors; v++) {
        const int64_t channel = vector_channel(v, NAME(VL), t->shift, t->channels), x_pixel = t->x_pixel;
        const REAL *w = (const REAL *)t->kernel + v * t->kernel_vector;
        const struct NAME(lanes) lanes = NAME(lanes_of)(channel, t->times, repeated);
        const REAL *row = (const REAL *)t->x + lanes.first;
        NAME(vec) acc[STRIP_MAX];
        NAME(fetch_ahead)(t, v, lanes.first, x_pixel, outputs);
        NAME(begin_strip)(t, channel, acc, outputs);
        for (int64_t r = 0; r < t->rows; r++, row += t->x_row) {
            const REAL *x = row;
            uint64_t bits = exists;
            for (int64_t left = t->taps; left > 0;) {
                const int taps = left == 5 || left >= 8 ? 5 : left == 4 || left == 7 ? 4 : 3;
                if (taps == 5) {
                    NAME(strip_row)(x, x_pixel, &lanes, w, bits, acc, 5, 1, outputs, repeated);
                } else if (taps == 4) {
                    NAME(strip_row)(x, x_pixel, &lanes, w, bits, acc, 4, 1, outputs, repeated);
                } else {
                    NAME(strip_row)(x, x_pixel, &lanes, w, bits, acc, 3, 1, outputs, repeated);
                }
                left -= taps;
                x += taps * x_pixel;
                w += taps * NAME(VL);
                bits >>= taps;
            }
        }
        NAME(end_strip)(t, channel, acc, ~UINT64_C(0), outputs);
    }
}

/* Any taps, stride and dilation. */
INLINE void NAME(any_strip)(const struct strip *t, const int outputs, const bool repeated)
{
    const int64_t step = t->stride * t->x_pixel, last = (outputs - 1) * t->stride;
    for (int64_t v = t->vector; v < t->vectors; v++) {
        const int64_t channel = vector_channel(v, NAME(VL), t->shift, t->channels);
        const struct NAME(lanes) lanes = NAME(lanes_of)(channel, t->times, repeated);
        const REAL *w = (const REAL *)t->kernel + v * t->kernel_vector;
        const REAL *row = (const REAL *)t->x + lanes.first;
        NAME(vec) acc[STRIP_MAX];
        NAME(fetch_ahead)(t, v, lanes.first, step, outputs);
        NAME(begin_strip)(t, channel, acc, outputs);
        for (int64_t r = 0; r < t->rows; r++, row += t->x_row) {
            const REAL *x = row;
            int64_t column = t->column;
            for (int64_t s = 0; s < t->taps; s++, w += NAME(VL)) {
                const NAME(vec) weight = *(const NAME(vec) *)w;
                if (column >= 0 && column + last < t->width) {
                    UNROLL for (int i = 0; i < outputs; i++) {
                        acc[i] += NAME(take)(x + i * step, &lanes, repeated) * weight;
                    }
                } else {
                    UNROLL for (int i = 0; i < outputs; i++) {
                        if ((uint64_t)(column + i * t->stride) < (uint64_t)t->width) {
                            acc[i] += NAME(take)(x + i * step, &lanes, repeated) * weight;
                        }
                    }
                }
                column += t->dilation;
                x += t->dilation * t->x_pixel;
            }
        }
        NAME(end_strip)(t, channel, acc, ~UINT64_C(0), outputs);
    }
}

/* The transposed correlation: each column of x is loaded once for all the outputs that it is spread over. */
INLINE void NAME(spread)(const struct strip *t, const int taps, const int stride, const int outputs)
{
    const int before = (taps - 1) / stride, columns = before + (outputs - 1) / stride + 1;
    const uint64_t exists = NAME(existing)(t->column, columns, t->width);
    const uint64_t written = NAME(existing)(-t->first, outputs, t->end - t->first);
    const int64_t x_pixel = t->x_pixel;
    for (int64_t v = t->vector; v < t->vectors; v++) {
        const int64_t channel = vector_channel(v, NAME(VL), t->shift, t->channels);
        const REAL *w = (const REAL *)t->kernel + v * t->kernel_vector;
        const REAL *row = (const REAL *)t->x + channel;
        NAME(vec) acc[STRIP_MAX], weight[STRIP_TAPS_MAX];
        NAME(fetch_ahead)(t, v, channel, x_pixel, columns - before);
        NAME(begin_strip)(t, channel, acc, outputs);
        for (int64_t r = 0; r < t->rows; r++, row += t->x_row, w += t->kernel_row) {
            const REAL *x = row;
            uint64_t bits = exists;
            PIN_BITS(bits);
            UNROLL for (int s = 0; s < taps; s++) {
                weight[s] = *(const NAME(vec) *)(w + s * NAME(VL));
            }
            UNROLL for (int j = 0; j < columns; j++, x += x_pixel) {
                if (__builtin_expect(bits >> j & 1, 1)) {
                    NAME(vec) value = *(const NAME(vec) *)x;
                    PIN(value);
                    UNROLL for (int s = 0; s < taps; s++) {
                        if ((j - before) * stride + s >= 0 && (j - before) * stride + s < outputs) {
                            acc[(j - before) * stride + s] += value * weight[s];
                        }
                    }
                }
            }
        }
        NAME(end_strip)(t, channel, acc, written, outputs);
    }
}

/* With few registers GCC's addresses are the better ones. */
#if REGISTERS == 32
#define STRIP_ADDRESSES AS_WRITTEN
#else
#define STRIP_ADDRESSES
#endif

/* S(taps, stride, outputs) for neighbouring taps, L(outputs) for many of them, A(outputs) for any. */
#if defined(SMALL)
#define STRIPS(S, L, A) S(3, 1, 4) L(4) A(4) A(1)
#else
#define STRIPS(S, L, A)                                                                                    \
    S(3, 1, 14) S(3, 1, 8) S(3, 1, 7) S(3, 1, 4) S(3, 2, 8) S(3, 2, 7) S(3, 2, 4)                          \
    S(5, 1, 8) S(5, 1, 7) S(5, 1, 4) S(5, 2, 8) S(5, 2, 7) S(5, 2, 4)                                      \
    S(7, 1, 8) S(7, 1, 7) S(7, 1, 4) S(7, 2, 7) S(7, 2, 4)                                                 \
    L(8) L(7) L(4) A(8) A(4) A(2) A(1)
#endif

#define DEFINE_STRIP(taps, stride, outputs)                                                             \
    STRIP_ADDRESSES TARGET static void NAME(strip_##taps##_##stride##_##outputs)(const struct strip *t) \
    {                                                                                                   \
        NAME(strip)(t, taps, stride, outputs, false);                                                   \
    }
#define DEFINE_LONG_STRIP(outputs)                                                       \
    STRIP_ADDRESSES TARGET static void NAME(strip_long_##outputs)(const struct strip *t) \
    {                                                                                    \
        NAME(long_strip)(t, outputs, false);                                             \
    }
#define DEFINE_ANY_STRIP(outputs)                                                       \
    STRIP_ADDRESSES TARGET static void NAME(strip_any_##outputs)(const struct strip *t) \
    {                                                                                   \
        NAME(any_strip)(t, outputs, false);                                             \
    }
STRIPS(DEFINE_STRIP, DEFINE_LONG_STRIP, DEFINE_ANY_STRIP)

#define TABLE_STRIP(taps, stride, outputs) {taps, stride, outputs, NAME(strip_##taps##_##stride##_##outputs)},
#define TABLE_LONG_STRIP(outputs) {0, 1, outputs, NAME(strip_long_##outputs)},
#define TABLE_ANY_STRIP(outputs) {0, 0, outputs, NAME(strip_any_##outputs)},
static const struct strip_kernel NAME(strips)[] = {STRIPS(TABLE_STRIP, TABLE_LONG_STRIP, TABLE_ANY_STRIP){0}};

/* The same with channels of x repeated. */
#if defined(PERMUTE)
#define REPEATING(S, L, A) S(3, 1, 14) S(3, 1, 7) S(3, 1, 4) S(3, 2, 7) S(3, 2, 4) L(8) L(7) L(4) A(8) A(4) A(2) A(1)
#else
#define REPEATING(S, L, A)
#endif
#define DEFINE_REPEATING_STRIP(taps, stride, outputs)                                                             \
    STRIP_ADDRESSES TARGET static void NAME(repeating_strip_##taps##_##stride##_##outputs)(const struct strip *t) \
    {                                                                                                             \
        NAME(strip)(t, taps, stride, outputs, true);                                                              \
    }
#define DEFINE_LONG_REPEATING_STRIP(outputs)                                                       \
    STRIP_ADDRESSES TARGET static void NAME(repeating_strip_long_##outputs)(const struct strip *t) \
    {                                                                                              \
        NAME(long_strip)(t, outputs, true);                                                        \
    }
#define DEFINE_ANY_REPEATING_STRIP(outputs)                                                       \
    STRIP_ADDRESSES TARGET static void NAME(repeating_strip_any_##outputs)(const struct strip *t) \
    {                                                                                             \
        NAME(any_strip)(t, outputs, true);                                                        \
    }
REPEATING(DEFINE_REPEATING_STRIP, DEFINE_LONG_REPEATING_STRIP, DEFINE_ANY_REPEATING_STRIP)

#define TABLE_REPEATING_STRIP(taps, stride, outputs) \
    {taps, stride, outputs, NAME(repeating_strip_##taps##_##stride##_##outputs)},
#define TABLE_LONG_REPEATING_STRIP(outputs) {0, 1, outputs, NAME(repeating_strip_long_##outputs)},
#define TABLE_ANY_REPEATING_STRIP(outputs) {0, 0, outputs, NAME(repeating_strip_any_##outputs)},
static const struct strip_kernel NAME(repeating_strips)[] = {
    REPEATING(TABLE_REPEATING_STRIP, TABLE_LONG_REPEATING_STRIP, TABLE_ANY_REPEATING_STRIP){0}};

/* T(taps, stride, outputs) */
#if defined(SMALL)
#define SPREADS(T) T(3, 2, 8)
#elif REGISTERS == 32
#define SPREADS(T) T(2, 2, 16) T(3, 2, 16) T(4, 2, 16) T(5, 2, 16) T(7, 2, 16) SPREADS_8(T)
#else
#define SPREADS(T) SPREADS_8(T)
#endif
#define SPREADS_8(T) T(2, 2, 8) T(3, 2, 8) T(4, 2, 8) T(5, 2, 8) T(7, 2, 8)
#define DEFINE_SPREAD(taps, stride, outputs)                                                             \
    STRIP_ADDRESSES TARGET static void NAME(spread_##taps##_##stride##_##outputs)(const struct strip *t) \
    {                                                                                                    \
        NAME(spread)(t, taps, stride, outputs);                                                          \
    }
SPREADS(DEFINE_SPREAD)

#define TABLE_SPREAD(taps, stride, outputs) {taps, stride, outputs, NAME(spread_##taps##_##stride##_##outputs)},
static const struct strip_kernel NAME(spreads)[] = {SPREADS(TABLE_SPREAD){0}};

#undef DEFINE_SPREAD
#undef TABLE_SPREAD
#undef SPREADS
#undef SPREADS_8
#undef DEFINE_STRIP
#undef DEFINE_LONG_STRIP
#undef DEFINE_ANY_STRIP
#undef TABLE_STRIP
#undef TABLE_LONG_STRIP
#undef TABLE_ANY_STRIP
#undef STRIPS
#undef DEFINE_REPEATING_STRIP
#undef DEFINE_LONG_REPEATING_STRIP
#undef DEFINE_ANY_REPEATING_STRIP
#undef TABLE_REPEATING_STRIP
#undef TABLE_LONG_REPEATING_STRIP
#undef TABLE_ANY_REPEATING_STRIP
#undef REPEATING
#undef STRIP_ADDRESSES

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

INLINE int64_t NAME(first_channel)(const struct strip *t, int64_t vector)
{
    return min64(vector * NAME(VL), t->channels - NAME(VL));
}

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

/* Asks for `columns` columns of the rows that the next outputs read and these do not. Between the multiplications it did
 * less good than at once. */
INLINE void NAME(fetch_ahead)(const struct strip *t, int64_t channel, int64_t step, const int columns)
{
    const REAL *row = (const REAL *)t->ahead + channel;
    for (int64_t r = 0; r < t->ahead_rows; r++, row += t->ahead_row) {
        const REAL *x = row;
        UNROLL for (int j = 0; j < columns; j++, x += step) {
            __builtin_prefetch(x);
        }
    }
}

INLINE void NAME(end_strip)(const struct strip *t, int64_t channel, const NAME(vec) *acc, const int outputs)
{
    REAL *y = (REAL *)t->y + channel;
    UNROLL for (int i = 0; i < outputs; i++, y += t->y_pixel) {
        *(NAME(vec) *)y = acc[i];
    }
}

/* Neighbouring taps of one row: each column of x is loaded once for all the outputs that see it. */
INLINE void NAME(strip_row)(const REAL *x, int64_t x_pixel, const REAL *w, uint64_t bits, NAME(vec) *acc, const int taps,
                            const int stride, const int outputs)
{
    NAME(vec) weight[STRIP_TAPS_MAX];
    PIN_BITS(bits);
    UNROLL for (int s = 0; s < taps; s++) {
        weight[s] = *(const NAME(vec) *)(w + s * NAME(VL));
    }
    UNROLL for (int j = 0; j < (outputs - 1) * stride + taps; j++, x += x_pixel) {
        if (__builtin_expect(bits >> j & 1, 1)) {
            NAME(vec) value = *(const NAME(vec) *)x;
            PIN(value);
            UNROLL for (int s = 0; s < taps; s++) {
                if (j >= s && (j - s) % stride == 0 && (j - s) / stride < outputs) {
                    acc[(j - s) / stride] += value * weight[s];
                }
            }
        }
    }
}

INLINE void NAME(strip)(const struct strip *t, const int taps, const int stride, const int outputs)
{
    const uint64_t exists = NAME(existing)(t->column, (outputs - 1) * stride + taps, t->width);
    for (int64_t v = t->vector; v < t->vectors; v++) {
        const int64_t channel = NAME(first_channel)(t, v);
        const REAL *w = (const REAL *)t->kernel + v * t->kernel_vector;
        const REAL *x = (const REAL *)t->x + channel;
        NAME(vec) acc[STRIP_MAX];
        NAME(fetch_ahead)(t, channel, t->x_pixel, outputs * stride);
        NAME(begin_strip)(t, channel, acc, outputs);
        for (int64_t r = 0; r < t->rows; r++, x += t->x_row, w += taps * NAME(VL)) {
            NAME(strip_row)(x, t->x_pixel, w, exists, acc, taps, stride, outputs);
        }
        NAME(end_strip)(t, channel, acc, outputs);
    }
}

/* Many neighbouring taps, stride 1: 5, 4 or 3 of them at a time. */
INLINE void NAME(long_strip)(const struct strip *t, const int outputs)
{
    const uint64_t exists = NAME(existing)(t->column, outputs - 1 + t->taps, t->width);
    for (int64_t v = t->vector; v < t->vectors; v++) {
        const int64_t channel = NAME(first_channel)(t, v), x_pixel = t->x_pixel;
        const REAL *w = (const REAL *)t->kernel + v * t->kernel_vector;
        const REAL *row = (const REAL *)t->x + channel;
        NAME(vec) acc[STRIP_MAX];
        NAME(fetch_ahead)(t, channel, x_pixel, outputs);
        NAME(begin_strip)(t, channel, acc, outputs);
        for (int64_t r = 0; r < t->rows; r++, row += t->x_row) {
            const REAL *x = row;
            uint64_t bits = exists;
            for (int64_t left = t->taps; left > 0;) {
                const int taps = left == 5 || left >= 8 ? 5 : left == 4 || left == 7 ? 4 : 3;
                if (taps == 5) {
                    NAME(strip_row)(x, x_pixel, w, bits, acc, 5, 1, outputs);
                } else if (taps == 4) {
                    NAME(strip_row)(x, x_pixel, w, bits, acc, 4, 1, outputs);
                } else {
                    NAME(strip_row)(x, x_pixel, w, bits, acc, 3, 1, outputs);
                }
                left -= taps;
                x += taps * x_pixel;
                w += taps * NAME(VL);
                bits >>= taps;
            }
        }
        NAME(end_strip)(t, channel, acc, outputs);
    }
}

/* Any taps, stride and dilation. */
INLINE void NAME(any_strip)(const struct strip *t, const int outputs)
{
    const int64_t step = t->stride * t->x_pixel, last = (outputs - 1) * t->stride;
    for (int64_t v = t->vector; v < t->vectors; v++) {
        const int64_t channel = NAME(first_channel)(t, v);
        const REAL *w = (const REAL *)t->kernel + v * t->kernel_vector;
        const REAL *row = (const REAL *)t->x + channel;
        NAME(vec) acc[STRIP_MAX];
        NAME(fetch_ahead)(t, channel, step, outputs);
        NAME(begin_strip)(t, channel, acc, outputs);
        for (int64_t r = 0; r < t->rows; r++, row += t->x_row) {
            const REAL *x = row;
            int64_t column = t->column;
            for (int64_t s = 0; s < t->taps; s++, w += NAME(VL)) {
                const NAME(vec) weight = *(const NAME(vec) *)w;
                if (column >= 0 && column + last < t->width) {
                    UNROLL for (int i = 0; i < outputs; i++) {
                        acc[i] += *(const NAME(vec) *)(x + i * step) * weight;
                    }
                } else {
                    UNROLL for (int i = 0; i < outputs; i++) {
                        if ((uint64_t)(column + i * t->stride) < (uint64_t)t->width) {
                            acc[i] += *(const NAME(vec) *)(x + i * step) * weight;
                        }
                    }
                }
                column += t->dilation;
                x += t->dilation * t->x_pixel;
            }
        }
        NAME(end_strip)(t, channel, acc, outputs);
    }
}

/* The transposed correlation: each column of x is loaded once for all the outputs that it is spread over. */
INLINE void NAME(spread)(const struct strip *t, const int taps, const int stride, const int outputs)
{
    const int before = (taps - 1) / stride, columns = before + (outputs - 1) / stride + 1;
    const uint64_t exists = NAME(existing)(t->column, columns, t->width);
    const uint64_t written = NAME(existing)(-t->first, outputs, t->end - t->first);
    const int64_t x_pixel = t->x_pixel, y_pixel = t->y_pixel;
    for (int64_t v = t->vector; v < t->vectors; v++) {
        const int64_t channel = NAME(first_channel)(t, v);
        const REAL *w = (const REAL *)t->kernel + v * t->kernel_vector;
        const REAL *row = (const REAL *)t->x + channel;
        NAME(vec) acc[STRIP_MAX], weight[STRIP_TAPS_MAX];
        NAME(fetch_ahead)(t, channel, x_pixel, columns - before);
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
        REAL *y = (REAL *)t->y + channel;
        UNROLL for (int i = 0; i < outputs; i++, y += y_pixel) {
            if (__builtin_expect(written >> i & 1, 1)) {
                *(NAME(vec) *)y = acc[i];
            }
        }
    }
}

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

#define DEFINE_STRIP(taps, stride, outputs)                                                   \
    TARGET static void NAME(strip_##taps##_##stride##_##outputs)(const struct strip *t)        \
    {                                                                                         \
        NAME(strip)(t, taps, stride, outputs);                                                \
    }
#define DEFINE_LONG_STRIP(outputs)                                                            \
    TARGET static void NAME(strip_long_##outputs)(const struct strip *t)                       \
    {                                                                                         \
        NAME(long_strip)(t, outputs);                                                         \
    }
#define DEFINE_ANY_STRIP(outputs)                                                             \
    TARGET static void NAME(strip_any_##outputs)(const struct strip *t)                        \
    {                                                                                         \
        NAME(any_strip)(t, outputs);                                                          \
    }
STRIPS(DEFINE_STRIP, DEFINE_LONG_STRIP, DEFINE_ANY_STRIP)

#define TABLE_STRIP(taps, stride, outputs) {taps, stride, outputs, NAME(strip_##taps##_##stride##_##outputs)},
#define TABLE_LONG_STRIP(outputs) {0, 1, outputs, NAME(strip_long_##outputs)},
#define TABLE_ANY_STRIP(outputs) {0, 0, outputs, NAME(strip_any_##outputs)},
static const struct strip_kernel NAME(strips)[] = {STRIPS(TABLE_STRIP, TABLE_LONG_STRIP, TABLE_ANY_STRIP){0}};

/* T(taps, stride, outputs) */
#if defined(SMALL)
#define SPREADS(T) T(3, 2, 8)
#elif REGISTERS == 32
#define SPREADS(T) T(2, 2, 16) T(3, 2, 16) T(4, 2, 16) T(5, 2, 16) T(7, 2, 16) SPREADS_8(T)
#else
#define SPREADS(T) SPREADS_8(T)
#endif
#define SPREADS_8(T) T(2, 2, 8) T(3, 2, 8) T(4, 2, 8) T(5, 2, 8) T(7, 2, 8)
#define DEFINE_SPREAD(taps, stride, outputs)                                                  \
    TARGET static void NAME(spread_##taps##_##stride##_##outputs)(const struct strip *t)       \
    {                                                                                         \
        NAME(spread)(t, taps, stride, outputs);                                               \
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

/* ---- Gradient of the kernel -------------------------------------------------------------------------------------- */

/* One row of x for one row of taps; bits: which columns exist, asked only if not all do. */
INLINE void NAME(slide_row)(const REAL *x, int64_t x_pixel, const NAME(vec) *g, NAME(vec) *acc, uint64_t bits,
                            const bool all, const int taps, const int stride, const int outputs)
{
    PIN_BITS(bits);
    UNROLL for (int j = 0; j < (outputs - 1) * stride + taps; j++, x += x_pixel) {
        if (all || __builtin_expect(bits >> j & 1, 1)) {
            NAME(vec) value = *(const NAME(vec) *)x;
            PIN(value);
            UNROLL for (int s = 0; s < taps; s++) {
                if (j >= s && (j - s) % stride == 0 && (j - s) / stride < outputs) {
                    acc[s] += value * g[(j - s) / stride];
                }
            }
        }
    }
}

/* Asks for `columns` columns of the rows of x, and `outputs` of the row of y, that come later. */
INLINE void NAME(ask_ahead)(const struct tap_sums *t, const REAL *x, const REAL *y, const int columns, const int outputs)
{
    for (int64_t r = 0; r < t->ahead_rows; r++) {
        const REAL *next = x + t->x_ahead + r * t->x_next;
        for (int j = 0; j < columns; j++, next += t->x_pixel) {
            __builtin_prefetch(next);
        }
    }
    y += t->y_ahead;
    for (int j = 0; j < outputs; j++, y += t->y_pixel) {
        __builtin_prefetch(y);
    }
}

/* Neighbouring taps in `rows` rows: some outputs' grad_y stays in registers while x slides past. A last strip that
 * would run over the end begins earlier instead, with zeros for the outputs that have had their turn. */
INLINE void NAME(tap_sums_near)(const struct tap_sums *t, const int rows, const int taps, const int stride,
                                const int outputs)
{
    const int columns = (outputs - 1) * stride + taps;
    const bool ahead = taps == 3 && t->ahead_rows > 0; /* more have enough to do while they wait */
    /* A copy without tests pays where registers are short, or the sums few. */
    const bool twice = rows * taps > 15 || (REGISTERS == 32 && taps == 3);
    NAME(vec) *sums = t->sums, acc[SUM_TAPS_MAX], g[STRIP_MAX];
    UNROLL for (int tap = 0; tap < rows * taps; tap++) {
        acc[tap] = sums[tap];
    }
    for (int64_t i = 0; i < t->rows; i++) {
        const REAL *y_row = (const REAL *)t->y + i * t->y_row, *x_row = (const REAL *)t->x + i * t->x_step;
        const int64_t row = t->row + i * t->row_step;
        const uint64_t below = NAME(existing)(0, rows, t->skipped), one = 1;
        uint64_t meets = 0;
        UNROLL for (int r = 0; r < rows; r++) {
            meets |= (uint64_t)(row + r * t->row_tap) < (uint64_t)t->height ? one << r : 0;
        }
        meets &= ~below;
        for (int64_t done = 0; done < t->cols; done += outputs) {
            const int64_t col = min64(done, t->cols - outputs);
            const uint64_t exists = NAME(existing)(t->column + col * stride, columns, t->width);
            const REAL *y = y_row + col * t->y_pixel, *x = x_row + col * stride * t->x_pixel;
            if (__builtin_expect(ahead, 0)) {
                NAME(ask_ahead)(t, x, y, outputs * stride, outputs);
            }
            UNROLL for (int j = 0; j < outputs; j++, y += t->y_pixel) {
                g[j] = (NAME(vec)){0};
                if (col + j >= done) {
                    g[j] = *(const NAME(vec) *)y;
                }
            }
            if (twice && meets == (one << rows) - 1 && exists == (one << columns) - 1) {
                UNROLL for (int r = 0; r < rows; r++, x += t->x_row) {
                    NAME(slide_row)(x, t->x_pixel, g, acc + r * taps, exists, true, taps, stride, outputs);
                }
                continue;
            }
            UNROLL for (int r = 0; r < rows; r++, x += t->x_row) {
                if (meets >> r & 1) {
                    NAME(slide_row)(x, t->x_pixel, g, acc + r * taps, exists, false, taps, stride, outputs);
                }
            }
        }
    }
    UNROLL for (int tap = 0; tap < rows * taps; tap++) {
        sums[tap] = acc[tap];
    }
}

/* `count` taps anywhere; where a kernel has fewer left, the last one is computed more than once. */
INLINE void NAME(tap_sums_any)(const struct tap_sums *t, const int count)
{
    NAME(vec) *sums = t->sums, acc[SUM_TAPS_MAX];
    int64_t offset[SUM_TAPS_MAX], row[SUM_TAPS_MAX], column[SUM_TAPS_MAX];
    int64_t left = INT64_MAX, right = INT64_MIN, top = INT64_MAX, bottom = INT64_MIN;
    for (int i = 0; i < count; i++) {
        const int64_t tap = t->first_tap + min64(i, t->taps - 1);
        const int64_t r = tap / t->tap_cols, s = tap % t->tap_cols;
        offset[i] = r * t->x_row + s * t->dilation * t->x_pixel;
        row[i] = t->row + r * t->row_tap;
        column[i] = t->column + s * t->dilation;
        left = min64(left, column[i]);
        right = max64(right, column[i]);
        top = min64(top, row[i]);
        bottom = max64(bottom, row[i]);
    }
    UNROLL for (int i = 0; i < count; i++) {
        acc[i] = sums[min64(i, t->taps - 1)];
    }
    for (int64_t o = 0; o < t->rows; o++) {
        const REAL *y = (const REAL *)t->y + o * t->y_row, *x = (const REAL *)t->x + o * t->x_step;
        const int64_t down = o * t->row_step;
        const bool whole = top + down >= 0 && bottom + down < t->height;
        for (int64_t j = 0; j < t->cols; j++, y += t->y_pixel, x += t->stride * t->x_pixel) {
            const int64_t along = j * t->stride;
            const NAME(vec) g = *(const NAME(vec) *)y;
            if (whole && left + along >= 0 && right + along < t->width) {
                UNROLL for (int i = 0; i < count; i++) {
                    acc[i] += *(const NAME(vec) *)(x + offset[i]) * g;
                }
            } else {
                UNROLL for (int i = 0; i < count; i++) {
                    if ((uint64_t)(row[i] + down) < (uint64_t)t->height &&
                        (uint64_t)(column[i] + along) < (uint64_t)t->width) {
                        acc[i] += *(const NAME(vec) *)(x + offset[i]) * g;
                    }
                }
            }
        }
    }
    for (int i = 0; i < t->taps; i++) {
        sums[i] = acc[i];
    }
}

/* S(rows, taps, stride, outputs) for neighbouring taps, A(taps) for any. What 16 registers do not hold takes up to twice
 * the time. */
#if defined(SMALL)
#define TAP_SUMS(S, A) S(3, 3, 1, 4) A(4)
#elif REGISTERS == 32
#define TAP_SUMS(S, A) \
    S(3, 3, 1, 7) S(3, 3, 1, 4) S(3, 3, 2, 7) S(3, 3, 2, 4) S(3, 5, 1, 7) S(3, 5, 1, 4) S(3, 5, 2, 4) S(3, 7, 1, 7) \
    S(1, 7, 1, 4) S(3, 7, 2, 4) A(9) A(4)
#else
#define TAP_SUMS(S, A) \
    S(3, 3, 1, 4) S(3, 3, 2, 4) S(2, 5, 1, 4) S(2, 5, 2, 4) S(1, 7, 1, 7) S(1, 7, 1, 4) S(1, 7, 2, 4) A(9) A(4)
#endif

#define DEFINE_TAP_SUMS(rows, taps, stride, outputs)                                                             \
    TARGET static void NAME(tap_sums_##rows##_##taps##_##stride##_##outputs)(const struct tap_sums *t)           \
    {                                                                                                            \
        NAME(tap_sums_near)(t, rows, taps, stride, outputs);                                                     \
    }
#define DEFINE_TAP_SUMS_ANY(taps)                                                                                \
    TARGET static void NAME(tap_sums_any_##taps)(const struct tap_sums *t)                                       \
    {                                                                                                            \
        NAME(tap_sums_any)(t, taps);                                                                             \
    }
TAP_SUMS(DEFINE_TAP_SUMS, DEFINE_TAP_SUMS_ANY)

#define TABLE_TAP_SUMS(rows, taps, stride, outputs) \
    {rows, taps, stride, outputs, NAME(tap_sums_##rows##_##taps##_##stride##_##outputs)},
#define TABLE_TAP_SUMS_ANY(taps) {0, taps, 0, 1, NAME(tap_sums_any_##taps)},
static const struct tap_sums_kernel NAME(tap_sums)[] = {TAP_SUMS(TABLE_TAP_SUMS, TABLE_TAP_SUMS_ANY){0}};

#undef DEFINE_TAP_SUMS
#undef DEFINE_TAP_SUMS_ANY
#undef TABLE_TAP_SUMS
#undef TABLE_TAP_SUMS_ANY
#undef TAP_SUMS

/* ---- Several kernels for a channel ---- */

INLINE bool NAME(by_fours)(int64_t times) { return times == 2 || times == 3 || times % 4 == 0; }

/* Values 4 at a time, each `times` times. Returns how many of dst[0 .. width) are done. */
INLINE int64_t NAME(repeat_fours)(int64_t width, int64_t times, const REAL *src, REAL *dst)
{
    int64_t j = 0;
    for (; NAME(by_fours)(times) && j + 4 * times <= width; j += 4 * times, src += 4) {
        const NAME(vec4) v = *(const NAME(vec4) *)src;
        NAME(vec4) *out = (NAME(vec4) *)(dst + j);
        if (times == 2) {
            out[0] = __builtin_shufflevector(v, v, 0, 0, 1, 1);
            out[1] = __builtin_shufflevector(v, v, 2, 2, 3, 3);
        } else if (times == 3) {
            out[0] = __builtin_shufflevector(v, v, 0, 0, 0, 1);
            out[1] = __builtin_shufflevector(v, v, 1, 1, 2, 2);
            out[2] = __builtin_shufflevector(v, v, 2, 3, 3, 3);
        } else {
            for (int64_t k = 0; k < times / 4; k++) {
                out[k] = __builtin_shufflevector(v, v, 0, 0, 0, 0);
                out[times / 4 + k] = __builtin_shufflevector(v, v, 1, 1, 1, 1);
                out[times / 2 + k] = __builtin_shufflevector(v, v, 2, 2, 2, 2);
                out[times / 4 * 3 + k] = __builtin_shufflevector(v, v, 3, 3, 3, 3);
            }
        }
    }
    return j;
}

#ifdef PERMUTE
/* The first `count` values at p, and zeros; the first `count` lanes of v to p. Any other count: all. */
INLINE NAME(vec) NAME(load_first)(const REAL *p, int64_t count)
{
    const uint32_t mask = count < NAME(VL) ? (1u << count) - 1 : (uint32_t)-1;
#if IS_F64
    return _mm512_maskz_loadu_pd((__mmask8)mask, p);
#else
    return _mm512_maskz_loadu_ps((__mmask16)mask, p);
#endif
}

INLINE void NAME(store_first)(REAL *p, int64_t count, NAME(vec) v)
{
    const uint32_t mask = count < NAME(VL) ? (1u << count) - 1 : (uint32_t)-1;
#if IS_F64
    _mm512_mask_storeu_pd(p, (__mmask8)mask, v);
#else
    _mm512_mask_storeu_ps(p, (__mmask16)mask, v);
#endif
}

INLINE NAME(ivec) NAME(lane_numbers)(void)
{
    NAME(ivec) lane;
    UNROLL for (int i = 0; i < NAME(VL); i++) {
        lane[i] = i;
    }
    return lane;
}

/* Vector of value `place` / times on; rest: `place` modulo times. Its lanes want values (rest + lane) / times of src; a
 * product with the inverse in 16 bits gives these quotients, of less than 2 VL, as they are. `left` values are there. */
INLINE void NAME(repeat_vector)(int64_t rest, BITS inverse, int64_t left, const REAL *src, REAL *dst)
{
    const NAME(vec) v = NAME(load_first)(src, left);
    *(NAME(vec) *)dst = NAME(permute)(v, v, (NAME(lane_numbers)() + (BITS)rest) * inverse >> 16);
}

/* repeat_channels() for at least a vector, and for times <= VL. */
INLINE void NAME(repeat_pixels)(int64_t pixels, int64_t width, int64_t times, int64_t first, const REAL *src,
                                int64_t src_pixel, REAL *dst)
{
    const BITS inverse = (BITS)(65536 / times + 1);
    const int64_t all = (first + width - 1) / times + 1, step = NAME(VL) / times, step_rest = NAME(VL) % times;
    const int64_t begin = first / times, begin_rest = first % times, last = width - NAME(VL);
    const int64_t end = (first + last) / times, end_rest = (first + last) % times;
    for (int64_t i = 0; i < pixels; i++, src += src_pixel, dst += width) {
        int64_t value = begin, rest = begin_rest;
        for (int64_t j = 0; j < last; j += NAME(VL)) {
            NAME(repeat_vector)(rest, inverse, all - value, src + value, dst + j);
            rest += step_rest;
            value += step + (rest >= times);
            rest -= rest >= times ? times : 0;
        }
        NAME(repeat_vector)(end_rest, inverse, all - end, src + end, dst + last);
    }
}

/* The most values of a sum of sum_channels() that are gathered from vectors. */
enum { NAME(SUMMED) = 4 };

/* from[k * times + j] brings the values j of `times`, as far as they are in vector k > 0 of `times`, to their lanes; those
 * of vector 0 along with those of vector 1. */
INLINE void NAME(find_values)(int64_t times, NAME(ivec) *from)
{
    const NAME(ivec) lane = NAME(lane_numbers)();
    for (int64_t j = 0; j < times; j++) {
        const NAME(ivec) place = lane * (BITS)times + (BITS)j;
        from[times + j] = place;
        for (int64_t k = 2; k < times; k++) {
            const NAME(ivec) in = place - (BITS)(k * NAME(VL)), here = (in >= 0) & (in < NAME(VL));
            from[k * times + j] = (here & (in + NAME(VL))) | (~here & lane);
        }
    }
}

/* The sums of a pixel for `count` channels, a vector of them or fewer. */
INLINE NAME(vec) NAME(sum_values)(const REAL *src, int64_t count, const int times, const NAME(ivec) *from, NAME(vec) sum)
{
    NAME(vec) v[NAME(SUMMED)];
    UNROLL for (int k = 0; k < times; k++) {
        v[k] = NAME(load_first)(src + k * NAME(VL), max64(count * times - k * NAME(VL), 0));
    }
    UNROLL for (int j = 0; j < times; j++) {
        NAME(vec) value = NAME(permute)(v[0], v[1], from[times + j]);
        UNROLL for (int k = 2; k < times; k++) {
            value = NAME(permute)(value, v[k], from[k * times + j]);
        }
        sum += value;
    }
    return sum;
}

INLINE void NAME(sum_pixels)(int64_t pixels, int64_t channels, const int times, const REAL *src, const REAL *bias,
                             REAL *dst, int64_t dst_pixel)
{
    NAME(ivec) from[NAME(SUMMED) * NAME(SUMMED)];
    NAME(find_values)(times, from);
    for (int64_t i = 0; i < pixels; i++, src += channels * times, dst += dst_pixel) {
        for (int64_t c = 0; c < channels; c += NAME(VL)) {
            const int64_t count = min64(channels - c, NAME(VL));
            const NAME(vec) sum = bias ? NAME(load_first)(bias + c, count) : (NAME(vec)){0};
            NAME(store_first)(dst + c, count, NAME(sum_values)(src + c * times, count, times, from, sum));
        }
    }
}
#endif

TARGET static void NAME(repeat_channels)(int64_t pixels, int64_t width, int64_t times, int64_t first, const void *src_,
                                         int64_t src_pixel, void *dst_)
{
    const REAL *src = src_;
    REAL *dst = dst_;
#ifdef PERMUTE
    if (width >= NAME(VL) && times <= NAME(VL) && (first || width < 4 * NAME(VL) || !NAME(by_fours)(times))) {
        NAME(repeat_pixels)(pixels, width, times, first, src, src_pixel, dst);
        return;
    }
#endif
    for (int64_t i = 0; i < pixels; i++, src += src_pixel, dst += width) {
        int64_t j = first ? 0 : NAME(repeat_fours)(width, times, src, dst), left = times - (first + j) % times;
        for (const REAL *value = src + (first + j) / times; j < width; value++, left = times) {
            for (int64_t end = min64(j + left, width); j < end; j++) {
                dst[j] = *value;
            }
        }
    }
}

LOOPS TARGET static void NAME(sum_channels)(int64_t pixels, int64_t channels, int64_t times, const void *src_,
                                            const void *bias_, void *dst_, int64_t dst_pixel)
{
    const REAL *src = src_, *bias = bias_;
    REAL *dst = dst_;
#ifdef PERMUTE
    switch (times) {
    case 2:
        NAME(sum_pixels)(pixels, channels, 2, src, bias, dst, dst_pixel);
        return;
    case 3:
        NAME(sum_pixels)(pixels, channels, 3, src, bias, dst, dst_pixel);
        return;
    case 4:
        NAME(sum_pixels)(pixels, channels, 4, src, bias, dst, dst_pixel);
        return;
    }
#endif
    for (int64_t i = 0; i < pixels; i++, dst += dst_pixel) {
        for (int64_t c = 0; c < channels; c++, src += times) {
            REAL sum = bias ? bias[c] : 0;
            for (int64_t j = 0; j < times; j++) {
                sum += src[j];
            }
            dst[c] = sum;
        }
    }
}

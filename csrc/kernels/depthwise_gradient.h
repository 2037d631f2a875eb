/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Gradient of the kernel of a depthwise convolution. struct tap_sums (internal.h) is the contract.
 */

/* One row of x for one row of taps; bits: which columns exist, asked only if not all do. */
INLINE void NAME(slide_row)(const REAL *x, int64_t x_pixel, const struct NAME(lanes) *lanes, const NAME(vec) *g,
                            NAME(vec) *acc, uint64_t bits, const bool all, const int taps, const int stride,
                            const int outputs, const bool repeated)
{
    PIN_BITS(bits);
    UNROLL for (int j = 0; j < (outputs - 1) * stride + taps; j++, x += x_pixel) {
        if (all || __builtin_expect(bits >> j & 1, 1)) {
            NAME(vec) value = NAME(take)(x, lanes, repeated);
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
                                const int outputs, const bool repeated)
{
    const int columns = (outputs - 1) * stride + taps;
    const struct NAME(lanes) lanes = NAME(lanes_of)(t->rest, t->times, repeated);
    const bool ahead = taps == 3 && t->ahead_rows > 0; /* more have enough to do while they wait */
    /* A copy without tests pays where registers are short, or the sums few; not for what is rare. */
    const bool twice = !repeated && (rows * taps > 15 || (REGISTERS == 32 && taps == 3));
    NAME(vec) *sums = t->sums, acc[SUM_TAPS_MAX], g[STRIP_MAX];
    UNROLL for (int tap = 0; tap < rows * taps; tap++) {
        acc[tap] = sums[tap / taps * t->tap_cols + tap % taps];
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
                    NAME(slide_row)(x, t->x_pixel, &lanes, g, acc + r * taps, exists, true, taps, stride, outputs,
                                    repeated);
                }
                continue;
            }
            UNROLL for (int r = 0; r < rows; r++, x += t->x_row) {
                if (meets >> r & 1) {
                    NAME(slide_row)(x, t->x_pixel, &lanes, g, acc + r * taps, exists, false, taps, stride, outputs,
                                    repeated);
                }
            }
        }
    }
    UNROLL for (int tap = 0; tap < taps; tap++) {
        if (tap >= t->skipped_taps) {
            UNROLL for (int r = 0; r < rows; r++) {
                sums[r * t->tap_cols + tap] = acc[r * taps + tap];
            }
        }
    }
}

/* Some taps, and where the first output finds them. */
struct NAME(taps_anywhere) {
    int64_t offset[SUM_TAPS_MAX], row[SUM_TAPS_MAX], column[SUM_TAPS_MAX];
    int64_t left, right, top, bottom; /* of all of them */
};

/* `count` taps; where a kernel has fewer left, its last one more than once. */
INLINE void NAME(find_taps)(const struct tap_sums *t, struct NAME(taps_anywhere) *taps, const int count)
{
    taps->left = taps->top = INT64_MAX;
    taps->right = taps->bottom = INT64_MIN;
    for (int i = 0; i < count; i++) {
        const int64_t tap = t->first_tap + min64(i, t->taps - 1);
        const int64_t r = tap / t->tap_cols, s = tap % t->tap_cols;
        const int64_t row = t->row + r * t->row_tap, column = t->column + s * t->dilation;
        taps->offset[i] = r * t->x_row + s * t->dilation * t->x_pixel;
        taps->row[i] = row;
        taps->column[i] = column;
        taps->left = min64(taps->left, column);
        taps->right = max64(taps->right, column);
        taps->top = min64(taps->top, row);
        taps->bottom = max64(taps->bottom, row);
    }
}

/* One output of which some taps may not exist. */
INLINE void NAME(taps_at_edge)(const struct tap_sums *t, const struct NAME(taps_anywhere) *taps, int64_t o, int64_t j,
                               const struct NAME(lanes) *lanes, NAME(vec) *acc, const int count, const bool repeated)
{
    const REAL *x = (const REAL *)t->x + o * t->x_step + j * t->stride * t->x_pixel;
    const NAME(vec) g = *(const NAME(vec) *)((const REAL *)t->y + o * t->y_row + j * t->y_pixel);
    UNROLL for (int i = 0; i < count; i++) {
        if ((uint64_t)(taps->row[i] + o * t->row_step) < (uint64_t)t->height &&
            (uint64_t)(taps->column[i] + j * t->stride) < (uint64_t)t->width) {
            acc[i] += NAME(take)(x + taps->offset[i], lanes, repeated) * g;
        }
    }
}

/* Outputs j .. end - 1 of row o, all of whose taps exist; two at a time, which have the offsets in common. */
INLINE void NAME(taps_inside)(const struct tap_sums *t, const struct NAME(taps_anywhere) *taps, int64_t o, int64_t j,
                              int64_t end, const struct NAME(lanes) *lanes, NAME(vec) *acc, const int count,
                              const bool repeated)
{
    const int64_t step = t->stride * t->x_pixel, y_pixel = t->y_pixel;
    const REAL *x = (const REAL *)t->x + o * t->x_step + j * step;
    const REAL *y = (const REAL *)t->y + o * t->y_row + j * y_pixel;
    for (; j + 2 <= end; j += 2, x += 2 * step, y += 2 * y_pixel) {
        const NAME(vec) g = *(const NAME(vec) *)y, next = *(const NAME(vec) *)(y + y_pixel);
        UNROLL for (int i = 0; i < count; i++) {
            const REAL *first = x + taps->offset[i];
            acc[i] += NAME(take)(first, lanes, repeated) * g;
            acc[i] += NAME(take)(first + step, lanes, repeated) * next;
        }
    }
    if (j < end) {
        const NAME(vec) g = *(const NAME(vec) *)y;
        UNROLL for (int i = 0; i < count; i++) {
            acc[i] += NAME(take)(x + taps->offset[i], lanes, repeated) * g;
        }
    }
}

/* `count` taps anywhere. */
INLINE void NAME(tap_sums_any)(const struct tap_sums *t, const int count, const bool repeated)
{
    const struct NAME(lanes) lanes = NAME(lanes_of)(t->rest, t->times, repeated);
    struct NAME(taps_anywhere) taps;
    NAME(vec) *sums = t->sums, acc[SUM_TAPS_MAX];
    NAME(find_taps)(t, &taps, count);
    const int64_t first = taps.left < 0 ? min64((t->stride - 1 - taps.left) / t->stride, t->cols) : 0;
    const int64_t end = taps.right < t->width ? (t->width - 1 - taps.right) / t->stride + 1 : 0;
    UNROLL for (int i = 0; i < count; i++) {
        acc[i] = sums[min64(i, t->taps - 1)];
    }
    for (int64_t o = 0; o < t->rows; o++) {
        const int64_t down = o * t->row_step;
        const bool whole = taps.top + down >= 0 && taps.bottom + down < t->height;
        const int64_t inside = whole ? max64(min64(end, t->cols), first) : first;
        for (int64_t j = 0; j < first; j++) {
            NAME(taps_at_edge)(t, &taps, o, j, &lanes, acc, count, repeated);
        }
        NAME(taps_inside)(t, &taps, o, first, inside, &lanes, acc, count, repeated);
        for (int64_t j = inside; j < t->cols; j++) {
            NAME(taps_at_edge)(t, &taps, o, j, &lanes, acc, count, repeated);
        }
    }
    UNROLL for (int i = 0; i < count; i++) { /* a loop to t->taps would keep the sums in memory all along */
        if (i < t->taps) {
            sums[i] = acc[i];
        }
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
        NAME(tap_sums_near)(t, rows, taps, stride, outputs, false);                                              \
    }
#define DEFINE_TAP_SUMS_ANY(taps)                                                                                \
    TARGET static void NAME(tap_sums_any_##taps)(const struct tap_sums *t)                                       \
    {                                                                                                            \
        NAME(tap_sums_any)(t, taps, false);                                                                      \
    }
TAP_SUMS(DEFINE_TAP_SUMS, DEFINE_TAP_SUMS_ANY)

#define TABLE_TAP_SUMS(rows, taps, stride, outputs) \
    {rows, taps, stride, outputs, NAME(tap_sums_##rows##_##taps##_##stride##_##outputs)},
#define TABLE_TAP_SUMS_ANY(taps) {0, taps, 0, 1, NAME(tap_sums_any_##taps)},
static const struct tap_sums_kernel NAME(tap_sums)[] = {TAP_SUMS(TABLE_TAP_SUMS, TABLE_TAP_SUMS_ANY){0}};

/* The same with channels of x repeated. */
#if defined(PERMUTE)
#define REPEATING(S, A) S(3, 3, 1, 7) S(3, 3, 1, 4) S(3, 3, 2, 7) S(3, 5, 1, 7) S(3, 7, 1, 7) A(9) A(4)
#else
#define REPEATING(S, A)
#endif
#define DEFINE_REPEATING(rows, taps, stride, outputs)                                                            \
    TARGET static void NAME(repeating_tap_sums_##rows##_##taps##_##stride##_##outputs)(const struct tap_sums *t) \
    {                                                                                                            \
        NAME(tap_sums_near)(t, rows, taps, stride, outputs, true);                                               \
    }
#define DEFINE_ANY_REPEATING(taps)                                                                               \
    TARGET static void NAME(repeating_tap_sums_any_##taps)(const struct tap_sums *t)                             \
    {                                                                                                            \
        NAME(tap_sums_any)(t, taps, true);                                                                       \
    }
REPEATING(DEFINE_REPEATING, DEFINE_ANY_REPEATING)

#define TABLE_REPEATING(rows, taps, stride, outputs) \
    {rows, taps, stride, outputs, NAME(repeating_tap_sums_##rows##_##taps##_##stride##_##outputs)},
#define TABLE_ANY_REPEATING(taps) {0, taps, 0, 1, NAME(repeating_tap_sums_any_##taps)},
static const struct tap_sums_kernel NAME(repeating_tap_sums)[] = {REPEATING(TABLE_REPEATING, TABLE_ANY_REPEATING){0}};

#undef DEFINE_REPEATING
#undef DEFINE_ANY_REPEATING
#undef TABLE_REPEATING
#undef TABLE_ANY_REPEATING
#undef REPEATING
#undef DEFINE_TAP_SUMS
#undef DEFINE_TAP_SUMS_ANY
#undef TABLE_TAP_SUMS
#undef TABLE_TAP_SUMS_ANY
#undef TAP_SUMS

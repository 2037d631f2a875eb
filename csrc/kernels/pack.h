/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Copies: of a matrix into panels, of pixels; and sums of rows. struct kernels (internal.h) has the contracts.
 */

/* v * 0 summed: 0 if every value seen was finite, else NaN. */
INLINE bool NAME(all_finite)(NAME(vec) zeros)
{
    bool finite = true;
    for (int i = 0; i < NAME(VL); i++) {
        finite = finite && zeros[i] == 0;
    }
    return finite;
}

/* Rows that lie contiguous in src. A row is often two vectors, and the next one pages away: it is fetched ahead. */
INLINE bool NAME(pack_rows)(REAL *dst, int64_t width, const REAL *src, int64_t rows, int64_t columns, int64_t src_row)
{
    enum { AHEAD = 8 };
    NAME(vec) zeros[2] = {{0}}; /* sums of v * 0, independent of each other */
    REAL zero = 0;
    for (int64_t r = 0; r < rows; r++, dst += width, src += src_row) {
        int64_t j = 0;
        for (; j + 2 * NAME(VL) <= columns; j += 2 * NAME(VL)) {
            const NAME(vec) v = *(const NAME(vec) *)(src + j), w = *(const NAME(vec) *)(src + j + NAME(VL));
            __builtin_prefetch(src + AHEAD * src_row + j);
            __builtin_prefetch(src + AHEAD * src_row + j + NAME(VL));
            zeros[0] += v * 0;
            zeros[1] += w * 0;
            *(NAME(vec) *)(dst + j) = v;
            *(NAME(vec) *)(dst + j + NAME(VL)) = w;
        }
        for (; j + NAME(VL) <= columns; j += NAME(VL)) {
            const NAME(vec) v = *(const NAME(vec) *)(src + j);
            zeros[0] += v * 0;
            *(NAME(vec) *)(dst + j) = v;
        }
        if (j < columns && j + NAME(VL) <= width) {
            const NAME(vec) v = NAME(load_part)(src + j, columns - j, (NAME(vec)){0});
            zeros[0] += v * 0;
            *(NAME(vec) *)(dst + j) = v;
            j += NAME(VL);
        }
        for (; j < columns; j++) {
            zero += src[j] * 0;
            dst[j] = src[j];
        }
        for (; j < width; j++) {
            dst[j] = 0;
        }
    }
    return NAME(all_finite)(zeros[0] + zeros[1]) && zero == 0;
}

/* Columns that lie contiguous in src: a transposition, by blocks of 4 x 4 in registers. */
typedef REAL NAME(vec4) __attribute__((vector_size(4 * sizeof(REAL)), aligned(sizeof(REAL)), may_alias));

/* Four rows become columns. By way of memory that the compiler does away with: vectors wider than the processor's may not be
 * arguments. */
INLINE void NAME(turn4)(NAME(vec4) v[4])
{
    const NAME(vec4) a = v[0], b = v[1], c = v[2], d = v[3];
    const NAME(vec4) ab0 = __builtin_shufflevector(a, b, 0, 4, 1, 5), ab1 = __builtin_shufflevector(a, b, 2, 6, 3, 7);
    const NAME(vec4) cd0 = __builtin_shufflevector(c, d, 0, 4, 1, 5), cd1 = __builtin_shufflevector(c, d, 2, 6, 3, 7);
    v[0] = __builtin_shufflevector(ab0, cd0, 0, 1, 4, 5);
    v[1] = __builtin_shufflevector(ab0, cd0, 2, 3, 6, 7);
    v[2] = __builtin_shufflevector(ab1, cd1, 0, 1, 4, 5);
    v[3] = __builtin_shufflevector(ab1, cd1, 2, 3, 6, 7);
}

INLINE void NAME(transpose4)(REAL *dst, int64_t dst_row, const REAL *src, int64_t src_col,
                             NAME(vec4) zeros[4])
{
    NAME(vec4) v[4];
    UNROLL for (int i = 0; i < 4; i++) {
        v[i] = *(const NAME(vec4) *)(src + i * src_col);
        zeros[i] += v[i] * 0;
    }
    NAME(turn4)(v);
    UNROLL for (int i = 0; i < 4; i++) {
        *(NAME(vec4) *)(dst + i * dst_row) = v[i];
    }
}

#if !IS_F64
/* The same for 8 columns, 4 in each half of a vector: half of the shuffles, and stores twice as long. */
typedef REAL NAME(vec8) __attribute__((vector_size(8 * sizeof(REAL)), aligned(sizeof(REAL)), may_alias));

INLINE void NAME(transpose8)(REAL *dst, int64_t dst_row, const REAL *src, int64_t src_col, NAME(vec8) zeros[2])
{
    NAME(vec8) v[4];
    UNROLL for (int i = 0; i < 4; i++) {
        const NAME(vec4) *lower = (const NAME(vec4) *)(src + i * src_col);
        const NAME(vec4) *upper = (const NAME(vec4) *)(src + (i + 4) * src_col);
        v[i] = __builtin_shufflevector(*lower, *upper, 0, 1, 2, 3, 4, 5, 6, 7);
        zeros[i % 2] += v[i] * 0;
    }
    UNROLL for (int i = 0; i < 4; i += 2) { /* pairs of columns */
        const NAME(vec8) a = v[i], b = v[i + 1];
        v[i] = __builtin_shufflevector(a, b, 0, 8, 1, 9, 4, 12, 5, 13);
        v[i + 1] = __builtin_shufflevector(a, b, 2, 10, 3, 11, 6, 14, 7, 15);
    }
    UNROLL for (int i = 0; i < 2; i++) {
        REAL *row = dst + 2 * i * dst_row;
        *(NAME(vec8) *)row = __builtin_shufflevector(v[i], v[i + 2], 0, 1, 8, 9, 4, 5, 12, 13);
        *(NAME(vec8) *)(row + dst_row) = __builtin_shufflevector(v[i], v[i + 2], 2, 3, 10, 11, 6, 7, 14, 15);
    }
}
#endif

/* A line of each of so many columns, from row r on, every LINE rows: a step from one column to the next is too far for the
 * processor to foresee. */
INLINE void NAME(fetch_columns)(const REAL *src, int64_t r, int64_t first, int64_t count, int64_t src_col)
{
    enum { LINE = CACHE_LINE / sizeof(REAL) };
    if (r % LINE == 0) {
        for (int64_t j = first; j < first + count; j++) {
            __builtin_prefetch(src + r + j * src_col);
        }
    }
}

/* Rows first .. end - 1, at least 4, of columns that lie contiguous in src: several columns at a time, while the next ones are
 * fetched. Returns NaN if a value is not finite, else 0. */
INLINE REAL NAME(transpose_rows)(REAL *dst, int64_t width, const REAL *src, int64_t first, int64_t end,
                                 int64_t columns, int64_t src_col)
{
    int64_t j = 0;
    NAME(vec4) zeros[4] = {{0}}; /* sums of v * 0, independent of each other */
#if !IS_F64
    NAME(vec8) zeros8[2] = {{0}};
    for (; j + 8 <= columns; j += 8) {
        for (int64_t r = first; r < end; r += 4) {
            NAME(fetch_columns)(src, r, j + 8, 8, src_col);
            const int64_t row = r + 4 <= end ? r : end - 4; /* the last ones overlap */
            NAME(transpose8)(dst + row * width + j, width, src + row + j * src_col, src_col, zeros8);
        }
    }
    zeros8[0] += zeros8[1];
    zeros[0] += __builtin_shufflevector(zeros8[0], zeros8[0], 0, 1, 2, 3) +
                __builtin_shufflevector(zeros8[0], zeros8[0], 4, 5, 6, 7);
#endif
    for (; j + 4 <= columns; j += 4) {
        for (int64_t r = first; r < end; r += 4) {
            NAME(fetch_columns)(src, r, j + 4, 4, src_col);
            const int64_t row = r + 4 <= end ? r : end - 4;
            NAME(transpose4)(dst + row * width + j, width, src + row + j * src_col, src_col, zeros);
        }
    }
    const NAME(vec4) sum = zeros[0] + zeros[1] + zeros[2] + zeros[3];
    return sum[0] + sum[1] + sum[2] + sum[3];
}

/* Columns first .. width - 1 of rows 0 .. rows - 1, one by one. */
INLINE REAL NAME(pack_rest)(REAL *dst, int64_t width, const REAL *src, int64_t rows, int64_t first, int64_t columns,
                            int64_t src_row, int64_t src_col)
{
    REAL zero = 0;
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t j = first; j < columns; j++) {
            const REAL v = src[r * src_row + j * src_col];
            zero += v * 0;
            dst[r * width + j] = v;
        }
        if (columns < width) {
            memset(dst + r * width + columns, 0, (size_t)(width - columns) * sizeof(REAL));
        }
    }
    return zero;
}

INLINE bool NAME(pack_columns)(REAL *dst, int64_t width, const REAL *src, int64_t rows, int64_t columns,
                               int64_t src_row, int64_t src_col)
{
    enum { CHUNK = 128 }; /* rows whose panel stays in the first-level cache */
    const int64_t whole_rows = src_row == 1 && rows >= 4 ? rows : 0, whole_columns = whole_rows ? columns / 4 * 4 : 0;
    REAL zero = 0;
    for (int64_t r = 0; r < whole_rows; r += CHUNK) {
        zero += NAME(transpose_rows)(dst, width, src, r, r + CHUNK < whole_rows ? r + CHUNK : whole_rows, columns, src_col);
    }
    if (whole_columns < width) {
        zero += NAME(pack_rest)(dst, width, src, whole_rows, whole_columns, columns, src_row, src_col);
    }
    zero += NAME(pack_rest)(dst + whole_rows * width, width, src + whole_rows * src_row, rows - whole_rows, 0, columns,
                            src_row, src_col);
    return zero == 0;
}

LOOPS TARGET static bool NAME(pack)(void *dst, int64_t width, const void *src, int64_t rows, int64_t columns,
                                    int64_t src_row, int64_t src_col)
{
    return src_col == 1 ? NAME(pack_rows)(dst, width, src, rows, columns, src_row)
                        : NAME(pack_columns)(dst, width, src, rows, columns, src_row, src_col);
}

typedef REAL NAME(half) __attribute__((vector_size(VBYTES / 2), aligned(sizeof(REAL)), may_alias));

/* Runs of up to half a vector are copied as halves: a store of two cache lines takes as long as several. One run a
 * row is as good as several of one row, and then there is no loop within a loop. */
INLINE void NAME(gather_runs)(const struct patches *t, const bool halves, const bool whole)
{
    const bool down = t->runs == 1;
    const int64_t rows = down ? 1 : t->rows, runs = down ? t->rows : t->runs, run = down ? t->row : t->run;
    const int64_t length = t->length, row = t->row;
    const REAL *src = t->src;
    REAL *dst = t->dst;
    for (int64_t i = 0; i < t->pixels; i++, src += t->pixel, dst += t->width) {
        REAL *to = dst;
        for (int64_t r = 0; r < rows; r++) {
            const REAL *from = src + r * row;
            for (int64_t s = 0; s < runs; s++, from += run, to += length) {
                if (halves) {
                    *(NAME(half) *)to = *(const NAME(half) *)from;
                    continue;
                }
                if (whole) {
                    *(NAME(vec) *)to = *(const NAME(vec) *)from;
                    continue;
                }
                for (int64_t j = 0; j < length; j += NAME(VL)) {
                    *(NAME(vec) *)(to + j) = *(const NAME(vec) *)(from + j);
                }
            }
        }
    }
}

LOOPS TARGET static void NAME(gather)(const struct patches *t)
{
    if (t->length <= NAME(VL) / 2) {
        NAME(gather_runs)(t, true, false);
    } else if (t->length <= NAME(VL)) {
        NAME(gather_runs)(t, false, true);
    } else {
        NAME(gather_runs)(t, false, false);
    }
}

/* ---- Pixels apart ------------------------------------------------------------------------------------------------ */

#ifdef PERMUTE
/* Every src_pixel-th number of src, next to each other: a vector of them from two of src. Returns how many. */
INLINE int64_t NAME(pick_numbers)(int64_t count, const REAL *src, int64_t src_pixel, REAL *dst)
{
    const int64_t picked = (2 * NAME(VL) - 1) / src_pixel + 1; /* of two vectors; one vector of them is written */
    const int64_t taken = picked < NAME(VL) ? picked : NAME(VL);
    NAME(ivec) from;
    for (int i = 0; i < NAME(VL); i++) {
        from[i] = (BITS)(i * src_pixel); /* modulo two vectors */
    }
    int64_t i = 0;
    for (; i + NAME(VL) <= count && i * src_pixel + 2 * NAME(VL) <= (count - 1) * src_pixel + 1; i += taken) {
        const REAL *at = src + i * src_pixel;
        *(NAME(vec) *)(dst + i) =
            NAME(permute)(*(const NAME(vec) *)at, *(const NAME(vec) *)(at + NAME(VL)), from);
    }
    return i;
}
#endif

/* Numbers of which neighbours lie so far apart. Numbers to every n-th place are stored one by one: masked stores of
 * vectors take longer. */
INLINE void NAME(move_numbers)(int64_t count, const REAL *src, int64_t src_pixel, REAL *dst, int64_t dst_pixel)
{
    int64_t i = 0;
#ifdef PERMUTE
    if (dst_pixel == 1 && src_pixel <= NAME(VL) / 2) {
        i = NAME(pick_numbers)(count, src, src_pixel, dst);
    }
#endif
    for (; i < count; i++) {
        dst[i * dst_pixel] = src[i * src_pixel];
    }
}

LOOPS TARGET static void NAME(move_pixels)(int64_t count, int64_t channels, const void *src_, int64_t src_pixel,
                                           void *dst_, int64_t dst_pixel)
{
    const REAL *src = src_;
    REAL *dst = dst_;
    if (src_pixel == channels && dst_pixel == channels) {
        memcpy(dst, src, (size_t)(count * channels) * sizeof(REAL));
        return;
    }
    if (channels == 1) {
        NAME(move_numbers)(count, src, src_pixel, dst, dst_pixel);
        return;
    }
    for (int64_t i = 0; i < count; i++, src += src_pixel, dst += dst_pixel) {
        for (int64_t c = 0; c < channels; c++) {
            dst[c] = src[c];
        }
    }
}

/* Columns m .. m + 3 of 4 pixels, from rows of src, turned over; bias: of 4 columns. Columns that are not there repeat
 * the last one. */
INLINE void NAME(put4)(REAL *dst, int64_t dst_row, const REAL *const src[4], int64_t i, const REAL bias[4])
{
    NAME(vec4) v[4];
    UNROLL for (int j = 0; j < 4; j++) {
        v[j] = *(const NAME(vec4) *)(src[j] + i) + bias[j];
    }
    NAME(turn4)(v);
    UNROLL for (int j = 0; j < 4; j++) {
        *(NAME(vec4) *)(dst + (i + j) * dst_row) = v[j];
    }
}

/* Columns m .. m + count - 1, count <= 4. Where there are fewer than 4, a pixel's store reaches into the next, which is
 * written later; so the pixels have to be next to each other, and the last are written by themselves. */
INLINE void NAME(put_columns)(REAL *dst, int64_t dst_row, const REAL *src, int64_t src_row, int64_t rows, int count,
                              const REAL *bias)
{
    const REAL *from[4];
    REAL sums[4];
    for (int j = 0; j < 4; j++) {
        const int column = j < count ? j : count - 1;
        from[j] = src + column * src_row;
        sums[j] = bias ? bias[column] : 0;
    }
    int64_t i = 0;
    for (; (count == 4 || dst_row == count) && (i + 3) * dst_row + 4 <= (rows - 1) * dst_row + count; i += 4) {
        NAME(put4)(dst, dst_row, from, i, sums);
    }
    for (; i < rows; i++) {
        for (int j = 0; j < count; j++) {
            dst[i * dst_row + j] = from[j][i] + sums[j];
        }
    }
}

#if !IS_F64
/* 8 columns of 8 rows. */
INLINE void NAME(put8)(REAL *dst, int64_t dst_row, const REAL *src, int64_t src_row, const REAL *bias)
{
    NAME(vec8) a[8], b[8];
    UNROLL for (int m = 0; m < 8; m++) {
        a[m] = *(const NAME(vec8) *)(src + m * src_row) + (bias ? bias[m] : 0);
    }
    UNROLL for (int m = 0; m < 8; m += 2) { /* pairs of numbers, in each half of a vector */
        b[m] = __builtin_shufflevector(a[m], a[m + 1], 0, 8, 1, 9, 4, 12, 5, 13);
        b[m + 1] = __builtin_shufflevector(a[m], a[m + 1], 2, 10, 3, 11, 6, 14, 7, 15);
    }
    UNROLL for (int m = 0; m < 8; m += 4) { /* fours */
        UNROLL for (int i = 0; i < 2; i++) {
            a[m + 2 * i] = __builtin_shufflevector(b[m + i], b[m + 2 + i], 0, 1, 8, 9, 4, 5, 12, 13);
            a[m + 2 * i + 1] = __builtin_shufflevector(b[m + i], b[m + 2 + i], 2, 3, 10, 11, 6, 7, 14, 15);
        }
    }
    UNROLL for (int i = 0; i < 4; i++) {
        *(NAME(vec8) *)(dst + i * dst_row) = __builtin_shufflevector(a[i], a[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
        *(NAME(vec8) *)(dst + (i + 4) * dst_row) = __builtin_shufflevector(a[i], a[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
    }
}
#endif

INLINE void NAME(put_all)(REAL *dst, int64_t dst_row, const REAL *src, int64_t src_row, int64_t rows, int64_t columns,
                          const REAL *bias)
{
    int64_t m = 0;
#if !IS_F64
    for (; m + 8 <= columns; m += 8) {
        const REAL *sums = bias ? bias + m : NULL;
        int64_t i = 0;
        for (; i + 8 <= rows; i += 8) {
            NAME(put8)(dst + i * dst_row + m, dst_row, src + m * src_row + i, src_row, sums);
        }
        for (int64_t j = m; j < m + 8 && i < rows; j += 4) {
            NAME(put_columns)(dst + i * dst_row + j, dst_row, src + j * src_row + i, src_row, rows - i, 4,
                              bias ? bias + j : NULL);
        }
    }
#endif
    for (; m < columns; m += 4) { /* the last 4 may overlap those before */
        const int64_t first = columns < 4 ? 0 : min64(m, columns - 4);
        NAME(put_columns)(dst + first, dst_row, src + first * src_row, src_row, rows, (int)min64(columns, 4),
                          bias ? bias + first : NULL);
    }
}

LOOPS TARGET static void NAME(put)(void *dst, int64_t dst_row, const void *src, int64_t src_row, int64_t rows,
                                   int64_t columns, const void *bias)
{
    if (columns == 1 && !bias) {
        NAME(move_pixels)(rows, 1, src, 1, dst, dst_row);
        return;
    }
    NAME(put_all)(dst, dst_row, src, src_row, rows, columns, bias);
}

TARGET static void NAME(turn)(void *dst, int64_t dst_row, const void *src, int64_t src_col, int64_t rows,
                              int64_t columns)
{
    if (rows == 1) {
        NAME(move_pixels)(columns, 1, src, src_col, dst, 1);
        return;
    }
    NAME(put_all)(dst, dst_row, src, src_col, rows, columns, NULL);
}

/* Adds a piece of a run if its length says so. */
#define OVERLAY_PIECE(elements)                                                                            \
    if (NAME(VL) > (elements) && length & (elements)) {                                                    \
        typedef REAL piece __attribute__((vector_size((elements) * sizeof(REAL)), aligned(sizeof(REAL)))); \
        *(piece *)(dst + j) += *(const piece *)(src + j);                                                  \
        j += (elements);                                                                                   \
    }

/* Pieces are written as they are read again: half of a vector that was stored as a whole would have to wait for it. */
INLINE void NAME(overlay_run)(REAL *dst, const REAL *src, int64_t length)
{
    int64_t j = 0;
    for (; j + NAME(VL) <= length; j += NAME(VL)) {
        *(NAME(vec) *)(dst + j) += *(const NAME(vec) *)(src + j);
    }
    OVERLAY_PIECE(8)
    OVERLAY_PIECE(4)
    OVERLAY_PIECE(2)
    OVERLAY_PIECE(1)
}
#undef OVERLAY_PIECE

/* Even pixels, then odd ones: neighbours overlap, and would wait for each other. */
TARGET static void NAME(overlay)(const struct overlay *t)
{
    for (int64_t half = 0; half < 2; half++) {
        for (int64_t i = half; i < t->pixels; i += 2) {
            const REAL *src = (const REAL *)t->src + i * t->src_pixel;
            REAL *dst = (REAL *)t->dst + i * t->dst_pixel;
            for (int64_t r = 0; r < t->rows; r++, src += t->src_row, dst += t->dst_row) {
                NAME(overlay_run)(dst, src, t->length);
            }
        }
    }
}

LOOPS TARGET static bool NAME(finite)(int64_t count, const void *src_)
{
    const REAL *src = src_;
    NAME(vec) zeros = {0};
    REAL zero = 0;
    int64_t i = 0;
    for (; i + NAME(VL) <= count; i += NAME(VL)) {
        zeros += *(const NAME(vec) *)(src + i) * 0;
    }
    for (; i < count; i++) {
        zero += src[i] * 0;
    }
    return NAME(all_finite)(zeros) && zero == 0;
}

LOOPS TARGET static void NAME(add)(int64_t count, const void *src_, void *dst_)
{
    const REAL *src = src_;
    REAL *dst = dst_;
    int64_t i = 0;
    for (; i + NAME(VL) <= count; i += NAME(VL)) {
        *(NAME(vec) *)(dst + i) += *(const NAME(vec) *)(src + i);
    }
    for (; i < count; i++) {
        dst[i] += src[i];
    }
}

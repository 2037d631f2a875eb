/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The discrete Fourier transform of the columns of a panel. struct kernels (internal.h) has the contracts.
 *
 * A panel is `size` rows of one complex vector each, its real parts and then its imaginary parts: columns lie across
 * the vector, so that a transform is the arithmetic of one column and shuffles nothing. With w = exp(-2 pi i / size)
 *
 *     forward    Z[f] = sum over j of z[j] w^(f j)                   frequencies come out in the order of their digits
 *     inverse    z[j] = sum over f of Z[f] w^(-f j)                    and are taken in that order: nothing sorts them
 *
 * Forward, a step cuts rows of `length` into `radix` rows of a part each: a transform of radix values length / radix
 * apart, then a twiddle factor for each. The inverse goes through the same steps backwards. It is the forward transform
 * with real and imaginary parts exchanged, before and after, so that there is one set of butterflies.
 */

/* ---- Butterflies: transforms of a few values in registers, in their natural order -------------------------------- */

INLINE void NAME(dft3)(NAME(vec) re[8], NAME(vec) im[8])
{
    const REAL sine = (REAL)0.86602540378443864676;
    const NAME(vec) sum_re = re[1] + re[2], sum_im = im[1] + im[2];
    const NAME(vec) turn_re = sine * (re[1] - re[2]), turn_im = sine * (im[1] - im[2]);
    const NAME(vec) mid_re = re[0] - (REAL)0.5 * sum_re, mid_im = im[0] - (REAL)0.5 * sum_im;
    re[0] += sum_re;
    im[0] += sum_im;
    re[1] = mid_re + turn_im;
    im[1] = mid_im - turn_re;
    re[2] = mid_re - turn_im;
    im[2] = mid_im + turn_re;
}

INLINE void NAME(dft4)(NAME(vec) re[8], NAME(vec) im[8], const int first, const int step)
{
    const int a = first, b = a + step, c = b + step, d = c + step;
    const NAME(vec) even_re = re[a] + re[c], even_im = im[a] + im[c], odd_re = re[b] + re[d], odd_im = im[b] + im[d];
    const NAME(vec) left_re = re[a] - re[c], left_im = im[a] - im[c], turn_re = re[b] - re[d], turn_im = im[b] - im[d];
    re[a] = even_re + odd_re;
    im[a] = even_im + odd_im;
    re[b] = left_re + turn_im;
    im[b] = left_im - turn_re;
    re[c] = even_re - odd_re;
    im[c] = even_im - odd_im;
    re[d] = left_re - turn_im;
    im[d] = left_im + turn_re;
}

INLINE void NAME(dft5)(NAME(vec) re[8], NAME(vec) im[8])
{
    const REAL cos1 = (REAL)0.30901699437494742410, cos2 = (REAL)-0.80901699437494742410;
    const REAL sin1 = (REAL)0.95105651629515357212, sin2 = (REAL)0.58778525229247312917;
    const NAME(vec) outer_re = re[1] + re[4], outer_im = im[1] + im[4], inner_re = re[2] + re[3];
    const NAME(vec) inner_im = im[2] + im[3], far_re = re[1] - re[4], far_im = im[1] - im[4];
    const NAME(vec) near_re = re[2] - re[3], near_im = im[2] - im[3];
    const NAME(vec) a_re = re[0] + cos1 * outer_re + cos2 * inner_re, a_im = im[0] + cos1 * outer_im + cos2 * inner_im;
    const NAME(vec) b_re = re[0] + cos2 * outer_re + cos1 * inner_re, b_im = im[0] + cos2 * outer_im + cos1 * inner_im;
    const NAME(vec) c_re = sin1 * far_re + sin2 * near_re, c_im = sin1 * far_im + sin2 * near_im;
    const NAME(vec) d_re = sin2 * far_re - sin1 * near_re, d_im = sin2 * far_im - sin1 * near_im;
    re[0] += outer_re + inner_re;
    im[0] += outer_im + inner_im;
    re[1] = a_re + c_im;
    im[1] = a_im - c_re;
    re[2] = b_re + d_im;
    im[2] = b_im - d_re;
    re[3] = b_re - d_im;
    im[3] = b_im + d_re;
    re[4] = a_re - c_im;
    im[4] = a_im + c_re;
}

/* Transforms of the even and of the odd values, put together. */
INLINE void NAME(dft8)(NAME(vec) re[8], NAME(vec) im[8])
{
    const REAL half = (REAL)0.70710678118654752440;
    NAME(dft4)(re, im, 0, 2);
    NAME(dft4)(re, im, 1, 2);
    const NAME(vec) turned_re[4] = {re[1], half * (re[3] + im[3]), im[5], half * (im[7] - re[7])};
    const NAME(vec) turned_im[4] = {im[1], half * (im[3] - re[3]), -re[5], -half * (re[7] + im[7])};
    const NAME(vec) even_re[4] = {re[0], re[2], re[4], re[6]}, even_im[4] = {im[0], im[2], im[4], im[6]};
    UNROLL for (int k = 0; k < 4; k++) {
        re[k] = even_re[k] + turned_re[k];
        im[k] = even_im[k] + turned_im[k];
        re[k + 4] = even_re[k] - turned_re[k];
        im[k + 4] = even_im[k] - turned_im[k];
    }
}

INLINE void NAME(dft)(NAME(vec) re[8], NAME(vec) im[8], const int radix)
{
    if (radix == 3) {
        NAME(dft3)(re, im);
    } else if (radix == 4) {
        NAME(dft4)(re, im, 0, 1);
    } else if (radix == 5) {
        NAME(dft5)(re, im);
    } else {
        NAME(dft8)(re, im);
    }
}

/* ---- Steps ------------------------------------------------------------------------------------------------------- */

enum { NAME(FFT_STEPS) = 8 };

/* The radices of a transform: 3 or 5 at most once, then as many of 8, or where registers are few 4, as may be. */
static int NAME(fft_radices)(int64_t size, int radix[NAME(FFT_STEPS)])
{
    int count = 0, bits = 0;
    for (int odd = 3; odd <= 5; odd += 2) {
        if (size % odd == 0) {
            radix[count++] = odd;
            size /= odd;
        }
    }
    while (size >> bits > 1) {
        bits++;
    }
    while (bits > 0) {
        const bool eight = REGISTERS == 32 ? bits % 3 == 0 : bits % 2 == 1;
        radix[count++] = eight ? 8 : 4;
        bits -= eight ? 3 : 2;
    }
    return count;
}

INLINE void NAME(twiddle)(NAME(vec) *re, NAME(vec) *im, const REAL w[2])
{
    const NAME(vec) a = *re, b = *im;
    *re = a * w[0] - b * w[1];
    *im = a * w[1] + b * w[0];
}

/* A transform of values `apart` rows from each other, and their twiddle factors: of value q at w[q * turn]; plain:
 * these are 1. */
INLINE void NAME(fft_butterfly)(NAME(vec) *row, int64_t apart, const REAL *w, int64_t turn, const int radix,
                                const bool inverse, const bool plain)
{
    NAME(vec) re[8], im[8];
    UNROLL for (int q = 0; q < radix; q++) {
        re[q] = row[2 * q * apart + inverse];
        im[q] = row[2 * q * apart + !inverse];
        if (inverse && !plain && q > 0) {
            NAME(twiddle)(&re[q], &im[q], w + q * turn);
        }
    }
    NAME(dft)(re, im, radix);
    UNROLL for (int q = 0; q < radix; q++) {
        if (!inverse && !plain && q > 0) {
            NAME(twiddle)(&re[q], &im[q], w + q * turn);
        }
        row[2 * q * apart + inverse] = re[q];
        row[2 * q * apart + !inverse] = im[q];
    }
}

INLINE void NAME(fft_step)(int64_t size, const REAL *table, NAME(vec) *panel, int64_t length, const int radix,
                           const bool inverse)
{
    const int64_t apart = length / radix, turn = 2 * (size / length);
    if (apart == 1) {
        for (int64_t row = 0; row < size; row += radix) {
            NAME(fft_butterfly)(panel + 2 * row, 1, NULL, 0, radix, inverse, true);
        }
        return;
    }
    for (int64_t j = 0; j < apart; j++) {
        for (int64_t row = j; row < size; row += length) {
            NAME(fft_butterfly)(panel + 2 * row, apart, table, j * turn, radix, inverse, false);
        }
    }
}

#define DEFINE_FFT_STEP(radix)                                                                                     \
    TARGET static void NAME(fft_step_##radix)(int64_t size, const REAL *table, NAME(vec) *panel, int64_t length)   \
    {                                                                                                              \
        NAME(fft_step)(size, table, panel, length, radix, false);                                                  \
    }                                                                                                              \
    TARGET static void NAME(fft_back_##radix)(int64_t size, const REAL *table, NAME(vec) *panel, int64_t length)   \
    {                                                                                                              \
        NAME(fft_step)(size, table, panel, length, radix, true);                                                   \
    }
DEFINE_FFT_STEP(3)
DEFINE_FFT_STEP(4)
DEFINE_FFT_STEP(5)
DEFINE_FFT_STEP(8)
#undef DEFINE_FFT_STEP

typedef void NAME(fft_step_fn)(int64_t size, const REAL *table, NAME(vec) *panel, int64_t length);
static NAME(fft_step_fn) *const NAME(fft_steps)[2][9] = {
    {[3] = NAME(fft_step_3), [4] = NAME(fft_step_4), [5] = NAME(fft_step_5), [8] = NAME(fft_step_8)},
    {[3] = NAME(fft_back_3), [4] = NAME(fft_back_4), [5] = NAME(fft_back_5), [8] = NAME(fft_back_8)},
};

/* Steps 0 .. count - 1, whose radices are given, forward; or these backwards. */
static void NAME(fft_run)(int64_t size, const REAL *table, NAME(vec) *panel, const int *radix, int count, bool inverse)
{
    int64_t length = size;
    if (!inverse) {
        for (int i = 0; i < count; length /= radix[i++]) {
            NAME(fft_steps)[0][radix[i]](size, table, panel, length);
        }
        return;
    }
    for (int i = 0; i < count; i++) {
        length /= radix[i];
    }
    for (int i = count - 1; i >= 0; i--) {
        length *= radix[i];
        NAME(fft_steps)[1][radix[i]](size, table, panel, length);
    }
}

TARGET static void NAME(fft_forward)(int64_t size, const void *table, void *panel)
{
    int radix[NAME(FFT_STEPS)];
    NAME(fft_run)(size, table, panel, radix, NAME(fft_radices)(size, radix), false);
}

TARGET static void NAME(fft_inverse)(int64_t size, const void *table, void *panel)
{
    int radix[NAME(FFT_STEPS)];
    NAME(fft_run)(size, table, panel, radix, NAME(fft_radices)(size, radix), true);
}

/* ---- Products ---------------------------------------------------------------------------------------------------- */

/* The last step forward, the product with conj(filter), and the first step back, in registers. */
INLINE void NAME(fft_middle)(int64_t size, NAME(vec) *panel, const NAME(vec) *filter, const int radix)
{
    for (int64_t row = 0; row < size; row += radix, panel += 2 * radix, filter += 2 * radix) {
        NAME(vec) re[8], im[8];
        UNROLL for (int q = 0; q < radix; q++) {
            re[q] = panel[2 * q];
            im[q] = panel[2 * q + 1];
        }
        NAME(dft)(re, im, radix);
        UNROLL for (int q = 0; q < radix; q++) {
            const NAME(vec) a = re[q], b = im[q];
            re[q] = a * filter[2 * q] + b * filter[2 * q + 1];
            im[q] = b * filter[2 * q] - a * filter[2 * q + 1];
        }
        NAME(dft)(im, re, radix);
        UNROLL for (int q = 0; q < radix; q++) {
            panel[2 * q] = re[q];
            panel[2 * q + 1] = im[q];
        }
    }
}

TARGET static void NAME(fft_middle_4)(int64_t size, NAME(vec) *panel, const NAME(vec) *filter)
{
    NAME(fft_middle)(size, panel, filter, 4);
}

TARGET static void NAME(fft_middle_8)(int64_t size, NAME(vec) *panel, const NAME(vec) *filter)
{
    NAME(fft_middle)(size, panel, filter, 8);
}

TARGET static void NAME(fft_filter)(int64_t size, const void *table, void *panel, const void *filter)
{
    int radix[NAME(FFT_STEPS)];
    const int last = NAME(fft_radices)(size, radix) - 1;
    NAME(fft_run)(size, table, panel, radix, last, false);
    (radix[last] == 8 ? NAME(fft_middle_8) : NAME(fft_middle_4))(size, panel, filter);
    NAME(fft_run)(size, table, panel, radix, last, true);
}

TARGET static void NAME(fft_multiply)(int64_t size, const void *a_, const void *b_, void *sum_)
{
    const NAME(vec) *a = a_, *b = b_;
    NAME(vec) *sum = sum_;
    for (int64_t i = 0; i < 2 * size; i += 2) {
        sum[i] += a[i] * b[i] + a[i + 1] * b[i + 1];
        sum[i + 1] += a[i + 1] * b[i] - a[i] * b[i + 1];
    }
}

/* ---- The table of roots ------------------------------------------------------------------------------------------ */

/* exp(-2 pi i j / size) for j = 0 .. size - 1: from the first eighth of the circle, where angles are small. */
static void NAME(fft_table)(int64_t size, void *table_)
{
    REAL *table = table_;
    for (int64_t j = 0; j < size; j++) {
        const int64_t quarter = 4 * j / size, rest = 4 * j % size; /* of a quarter turn */
        const bool flip = 2 * rest > size;
        const double angle = 1.57079632679489661923 * (double)(flip ? size - rest : rest) / (double)size;
        const REAL c = (REAL)(flip ? sin(angle) : cos(angle)), s = (REAL)(flip ? cos(angle) : sin(angle));
        const REAL re[4] = {c, -s, -c, s}, im[4] = {-s, -c, s, c};
        table[2 * j] = re[quarter];
        table[2 * j + 1] = im[quarter];
    }
}

/* ---- Transposition ----------------------------------------------------------------------------------------------- */

#if VBYTES >> (2 + IS_F64) == 16
#define LOWER 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define UPPER 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#elif VBYTES >> (2 + IS_F64) == 8
#define LOWER 0, 8, 1, 9, 2, 10, 3, 11
#define UPPER 4, 12, 5, 13, 6, 14, 7, 15
#elif VBYTES >> (2 + IS_F64) == 4
#define LOWER 0, 4, 1, 5
#define UPPER 2, 6, 3, 7
#else
#define LOWER 0, 2
#define UPPER 1, 3
#endif

/* One VL x VL block. Interleaving row i with row i + VL / 2 moves the highest bit of a row's number to the lowest of
 * its column's: after as many rounds as there are bits, rows are columns. */
INLINE void NAME(fft_transpose_block)(const NAME(vec) *src, NAME(vec) *dst)
{
    NAME(vec) a[16], b[16];
    UNROLL for (int i = 0; i < NAME(VL); i++) {
        a[i] = src[2 * i];
    }
    UNROLL for (int bit = 1; bit < NAME(VL); bit *= 2) {
        UNROLL for (int i = 0; i < NAME(VL) / 2; i++) {
            b[2 * i] = __builtin_shufflevector(a[i], a[i + NAME(VL) / 2], LOWER);
            b[2 * i + 1] = __builtin_shufflevector(a[i], a[i + NAME(VL) / 2], UPPER);
        }
        UNROLL for (int i = 0; i < NAME(VL); i++) {
            a[i] = b[i];
        }
    }
    UNROLL for (int i = 0; i < NAME(VL); i++) {
        dst[2 * i] = a[i];
    }
}

#undef LOWER
#undef UPPER

LOOPS TARGET static void NAME(fft_transpose)(int64_t blocks, const void *src_, int64_t src_block, void *dst_,
                                             int64_t dst_block)
{
    const REAL *src = src_;
    REAL *dst = dst_;
    for (int64_t i = 0; i < blocks; i++, src += src_block, dst += dst_block) {
        NAME(fft_transpose_block)((const NAME(vec) *)src, (NAME(vec) *)dst);
        NAME(fft_transpose_block)((const NAME(vec) *)src + 1, (NAME(vec) *)dst + 1);
    }
}

/* ---- Pixels in and out ------------------------------------------------------------------------------------------- */

/* Where the columns are not neighbours in memory, or not all there. */
INLINE NAME(vec) NAME(fft_gather)(const REAL *row, const int64_t *col)
{
    NAME(vec) value = {0};
    for (int j = 0; j < NAME(VL); j++) {
        if (col[j] >= 0) {
            value[j] = row[col[j]];
        }
    }
    return value;
}

/* One row of one part, across the panels; the row after the next few is fetched meanwhile, as it lies pages away. */
INLINE void NAME(fft_load_row)(int64_t panels, const struct fft_source *from, int64_t i, REAL *part, int64_t panel)
{
    const REAL *row = (const REAL *)from->x + from->row[i];
    const REAL *ahead = (const REAL *)from->x + from->row[i + FFT_AHEAD];
    for (int64_t j = 0; j < panels; j++) {
        const int64_t *col = from->col + j * NAME(VL);
        NAME(vec) value;
        if (j >= from->first && j < from->end) {
            __builtin_prefetch(ahead + col[0]);
            value = *(const NAME(vec) *)(row + col[0]);
        } else {
            value = NAME(fft_gather)(row, col);
        }
        *(NAME(vec) *)(part + j * panel) = value;
    }
}

INLINE void NAME(fft_load_part)(int64_t rows, int64_t panels, const struct fft_source *from, REAL *part, int64_t panel)
{
    for (int64_t i = 0; i < rows; i++, part += 2 * NAME(VL)) {
        if (from->x && from->row[i] >= 0) {
            NAME(fft_load_row)(panels, from, i, part, panel);
            continue;
        }
        for (int64_t j = 0; j < panels; j++) {
            *(NAME(vec) *)(part + j * panel) = (NAME(vec)){0};
        }
    }
}

LOOPS TARGET static void NAME(fft_load)(int64_t rows, int64_t panels, const struct fft_source from[2], void *tile,
                                        int64_t panel)
{
    NAME(fft_load_part)(rows, panels, &from[0], tile, panel);
    NAME(fft_load_part)(rows, panels, &from[1], (REAL *)tile + NAME(VL), panel);
}

INLINE NAME(vec) NAME(fft_store_part)(const struct fft_target *to, REAL scale, REAL bias, const NAME(vec) *part)
{
    NAME(vec) zeros = {0};
    const int64_t cols = to->cols < NAME(VL) ? to->cols : NAME(VL);
    REAL *y = to->y;
    if (to->y_pixel == 1 && cols == NAME(VL)) {
        for (int64_t i = 0; i < to->rows; i++, y += to->y_row) {
            const NAME(vec) value = part[2 * i] * scale + bias;
            zeros += value * 0;
            __builtin_prefetch(y + 2 * NAME(VL), 1);
            *(NAME(vec) *)y = value;
        }
        return zeros;
    }
    for (int64_t i = 0; i < to->rows; i++, y += to->y_row) {
        const NAME(vec) value = part[2 * i] * scale + bias;
        zeros += value * 0;
        for (int64_t j = 0; j < cols; j++) {
            y[j * to->y_pixel] = value[j];
        }
    }
    return zeros;
}

LOOPS TARGET static bool NAME(fft_store)(const struct fft_target to[2], int64_t points, const void *bias_,
                                         const void *panel)
{
    const REAL bias = bias_ ? *(const REAL *)bias_ : 0, scale = (REAL)1 / (REAL)points;
    return NAME(all_finite)(NAME(fft_store_part)(&to[0], scale, bias, panel) +
                            NAME(fft_store_part)(&to[1], scale, bias, (const NAME(vec) *)panel + 1));
}

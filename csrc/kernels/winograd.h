/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The transforms of Winograd's F(4x4, 3x3), vectorised over channels. struct kernels (internal.h) has the contracts.
 *
 * In one dimension the four outputs of a correlation of three taps g with six values d are
 *
 *     y = A' ((G g) * (B' d))         (* element by element: 6 products in place of 12)
 *
 * as interpolation of polynomials (Toom and Cook) at the points 0, a, -a, b, -b and infinity gives it. With
 * M(t) = t (t^2 - a^2) (t^2 - b^2), row j of
 *
 *     A'  is  p_j^i for output i                        (at infinity: the last output alone)
 *     G   is  (1, p_j, p_j^2) / product of (p_j - p_l) over the other finite points l     (at infinity: the last tap)
 *     B'  is  the coefficients of M(t) / (t - p_j)      (at infinity: those of M)
 *
 * a = 5/8 and b = 3/2 have half the error of the usual 1 and 2: the powers of both are near 1. All of A' and B' is exact
 * in either type. scripts/derive_winograd.py derives the coefficients and checks them against the sum.
 *
 * In two dimensions each transform is applied to the columns, then to the rows. Points of a pair share the sums of even
 * and of odd powers, of which one takes the sum, the other the difference.
 */

/* GCC would keep a whole tile of 36 vectors in registers, and spill it, rather than load it again. */
#define AFTER_COLUMNS __asm__ volatile("" : : : "memory")

/* v = B' d */
INLINE void NAME(winograd_input_row)(const NAME(vec) d[6], NAME(vec) v[6])
{
    const REAL a = 5.0 / 8, b = 3.0 / 2, aa = 25.0 / 64, bb = 9.0 / 4, sum = 169.0 / 64, product = 225.0 / 256;
    const NAME(vec) even_a = d[4] - bb * d[2], odd_a = d[3] - bb * d[1];
    const NAME(vec) even_b = d[4] - aa * d[2], odd_b = d[3] - aa * d[1];
    v[0] = product * d[0] + (d[4] - sum * d[2]);
    v[1] = even_a + a * odd_a;
    v[2] = even_a - a * odd_a;
    v[3] = even_b + b * odd_b;
    v[4] = even_b - b * odd_b;
    v[5] = product * d[1] + (d[5] - sum * d[3]);
}

/* u = G g */
SHARED void NAME(winograd_kernel_row)(const NAME(vec) g[3], NAME(vec) u[6])
{
    const REAL zero = 256.0 / 225, a0 = -2048.0 / 2975, a1 = -256.0 / 595, a2 = -32.0 / 119;
    const REAL b0 = 128.0 / 1071, b1 = 64.0 / 357, b2 = 32.0 / 119;
    const NAME(vec) even_a = a0 * g[0] + a2 * g[2], even_b = b0 * g[0] + b2 * g[2];
    u[0] = zero * g[0];
    u[1] = even_a + a1 * g[1];
    u[2] = even_a - a1 * g[1];
    u[3] = even_b + b1 * g[1];
    u[4] = even_b - b1 * g[1];
    u[5] = g[2];
}

/* y = A' m */
INLINE void NAME(winograd_output_row)(const NAME(vec) m[6], NAME(vec) y[4])
{
    const REAL a = 5.0 / 8, b = 3.0 / 2, aa = 25.0 / 64, bb = 9.0 / 4, aaa = 125.0 / 512, bbb = 27.0 / 8;
    const NAME(vec) even_a = m[1] + m[2], odd_a = m[1] - m[2], even_b = m[3] + m[4], odd_b = m[3] - m[4];
    y[0] = m[0] + even_a + even_b;
    y[1] = a * odd_a + b * odd_b;
    y[2] = aa * even_a + bb * even_b;
    y[3] = aaa * odd_a + bbb * odd_b + m[5];
}

/* Rows of B' d in pairs, as they come out of the columns of d: the sum of the even powers, and of the odd. */
SHARED void NAME(winograd_input_store)(const NAME(vec) row[6], REAL *v, int64_t plane)
{
    NAME(vec) out[6];
    NAME(winograd_input_row)(row, out);
    UNROLL_FAST for (int j = 0; j < 6; j++) {
        *(NAME(vec) *)(v + j * plane) = out[j];
    }
}

/* One vector of channels of a patch, from `offset`. whole, known at compile time: see struct patch. */
SHARED void NAME(winograd_input_vector)(const struct patch *patch, int64_t offset, REAL *v, int64_t plane,
                                        const bool whole)
{
    const REAL a = 5.0 / 8, b = 3.0 / 2, aa = 25.0 / 64, bb = 9.0 / 4, sum = 169.0 / 64, product = 225.0 / 256;
    const REAL *base = (const REAL *)patch->base + offset;
    const int64_t row = patch->row, pixel = patch->pixel;
#define D(i) (*(const NAME(vec) *)(whole ? base + (i) * row + j * pixel : (const REAL *)patch->at[6 * (i) + j] + offset))
    NAME(vec) r[6], p[6], q[6];
    UNROLL_FAST for (int j = 0; j < 6; j++) {
        const NAME(vec) d1 = D(1), d2 = D(2), d3 = D(3), d4 = D(4);
        const NAME(vec) even = d4 - bb * d2, odd = d3 - bb * d1;
        r[j] = product * D(0) + (d4 - sum * d2);
        p[j] = even + a * odd;
        q[j] = even - a * odd;
    }
    NAME(winograd_input_store)(r, v, plane);
    NAME(winograd_input_store)(p, v + 6 * plane, plane);
    NAME(winograd_input_store)(q, v + 12 * plane, plane);
    UNROLL_FAST for (int j = 0; j < 6; j++) {
        const NAME(vec) d1 = D(1), d2 = D(2), d3 = D(3), d4 = D(4);
        const NAME(vec) even = d4 - aa * d2, odd = d3 - aa * d1;
        r[j] = product * d1 + (D(5) - sum * d3);
        p[j] = even + b * odd;
        q[j] = even - b * odd;
    }
    NAME(winograd_input_store)(p, v + 18 * plane, plane);
    NAME(winograd_input_store)(q, v + 24 * plane, plane);
    NAME(winograd_input_store)(r, v + 30 * plane, plane);
#undef D
}

/* Fewer channels than a vector has, by way of a copy that zeros follow. */
INLINE void NAME(winograd_input_few)(const struct patch *patch, int64_t first, int64_t count, REAL *v, int64_t plane)
{
    NAME(vec) copy[36];
    const struct patch copied = {.base = copy, .row = 6 * NAME(VL), .pixel = NAME(VL)};
    for (int i = 0; i < 6; i++) {
        for (int j = 0; j < 6; j++) {
            const REAL *from = patch->base ? (const REAL *)patch->base + i * patch->row + j * patch->pixel
                                           : patch->at[6 * i + j];
            copy[6 * i + j] = NAME(load_part)(from + first, count, (NAME(vec)){0});
        }
    }
    NAME(winograd_input_vector)(&copied, 0, v, plane, true);
}

/* Vectors of channels; a last one that would run over the end begins earlier, and computes some channels again. */
INLINE void NAME(winograd_input_vectors)(const struct patch *patch, int64_t first, int64_t count, REAL *v, int64_t plane,
                                         const bool whole)
{
    for (int64_t done = 0; done < count; done += NAME(VL)) {
        const int64_t c = min64(done, count - NAME(VL));
        NAME(winograd_input_vector)(patch, first + c, v + c, plane, whole);
    }
}

TARGET static void NAME(winograd_input)(const struct patch *patch, int64_t first, int64_t count, void *v, int64_t plane)
{
    if (count < NAME(VL)) {
        NAME(winograd_input_few)(patch, first, count, v, plane);
    } else if (patch->base) {
        NAME(winograd_input_vectors)(patch, first, count, v, plane, true);
    } else {
        NAME(winograd_input_vectors)(patch, first, count, v, plane, false);
    }
}

/* One vector of kernels of one channel. Returns the sum of the taps: finite only if they are. */
INLINE NAME(vec) NAME(winograd_kernel_vector)(const REAL *kernel, const int64_t tap[2], REAL *u, int64_t plane)
{
    NAME(vec) columns[6][3], sum = {0};
    UNROLL_FAST for (int j = 0; j < 3; j++) {
        NAME(vec) g[3], out[6];
        UNROLL_FAST for (int i = 0; i < 3; i++) {
            g[i] = *(const NAME(vec) *)(kernel + i * tap[0] + j * tap[1]);
            sum += g[i];
        }
        NAME(winograd_kernel_row)(g, out);
        UNROLL_FAST for (int i = 0; i < 6; i++) {
            columns[i][j] = out[i];
        }
    }
    AFTER_COLUMNS;
    for (int i = 0; i < 6; i++, u += 6 * plane) {
        NAME(vec) out[6];
        NAME(winograd_kernel_row)(columns[i], out);
        UNROLL_FAST for (int j = 0; j < 6; j++) {
            *(NAME(vec) *)(u + j * plane) = out[j];
        }
    }
    return sum;
}

AS_WRITTEN TARGET static bool NAME(winograd_kernel)(const void *kernel_, const int64_t tap[2], int64_t row, int64_t rows,
                                                    int64_t width, void *u_, int64_t plane)
{
    const REAL *kernel = kernel_;
    REAL *u = u_;
    NAME(vec) zeros = {0};
    for (int64_t c = 0; c < rows; c++, kernel += row, u += width) {
        for (int64_t k = 0; k < width; k += NAME(VL)) {
            zeros += 0 * NAME(winograd_kernel_vector)(kernel + k, tap, u + k, plane);
        }
    }
    return NAME(all_finite)(zeros);
}

/* How outputs are stored, known at compile time: those that there are; all of whole vectors; these past the caches. */
enum { NAME(STORE_PART), NAME(STORE_WHOLE), NAME(STORE_PAST) };

/* A row of a tile's outputs, plus bias, and its sum. */
SHARED NAME(vec) NAME(winograd_store)(const NAME(vec) row[6], NAME(vec) bias, int64_t columns, REAL *y, int64_t y_pixel,
                                      int64_t cols, const int how)
{
    NAME(vec) out[4];
    NAME(winograd_output_row)(row, out);
    UNROLL_FAST for (int j = 0; j < 4; j++) {
        out[j] += bias;
#if defined(STORES_PAST)
        if (how == NAME(STORE_PAST)) {
            NAME(store_past)(y + j * y_pixel, out[j]);
            continue;
        }
#endif
        if (how != NAME(STORE_PART) || (j < cols && columns >= NAME(VL))) {
            *(NAME(vec) *)(y + j * y_pixel) = out[j];
        } else if (j < cols) {
            NAME(store_part)(y + j * y_pixel, columns, out[j]);
        }
    }
    return (out[0] + out[1]) + (out[2] + out[3]);
}

/* One vector of y of a tile. Returns the sum of it all: finite only if it is. */
SHARED NAME(vec) NAME(winograd_output_vector)(const REAL *m, int64_t plane, NAME(vec) bias, int64_t columns, REAL *y,
                                              int64_t y_row, int64_t y_pixel, int64_t rows, int64_t cols,
                                              const int how)
{
    const REAL a = 5.0 / 8, b = 3.0 / 2, aa = 25.0 / 64, bb = 9.0 / 4, aaa = 125.0 / 512, bbb = 27.0 / 8;
#define M(i) (*(const NAME(vec) *)(m + (6 * (i) + j) * plane))
    NAME(vec) p[6], q[6], sum;
    UNROLL_FAST for (int j = 0; j < 6; j++) {
        const NAME(vec) even_a = M(1) + M(2), even_b = M(3) + M(4);
        p[j] = M(0) + even_a + even_b;
        q[j] = aa * even_a + bb * even_b;
    }
    sum = NAME(winograd_store)(p, bias, columns, y, y_pixel, cols, how);
    if (how != NAME(STORE_PART) || rows > 2) {
        sum += NAME(winograd_store)(q, bias, columns, y + 2 * y_row, y_pixel, cols, how);
    }
    UNROLL_FAST for (int j = 0; j < 6; j++) {
        const NAME(vec) odd_a = M(1) - M(2), odd_b = M(3) - M(4);
        p[j] = a * odd_a + b * odd_b;
        q[j] = aaa * odd_a + bbb * odd_b + M(5);
    }
    if (how != NAME(STORE_PART) || rows > 1) {
        sum += NAME(winograd_store)(p, bias, columns, y + y_row, y_pixel, cols, how);
    }
    if (how != NAME(STORE_PART) || rows > 3) {
        sum += NAME(winograd_store)(q, bias, columns, y + 3 * y_row, y_pixel, cols, how);
    }
#undef M
    return sum;
}

/* Vectors of kernels; a last one that would run over the end begins earlier, and stores some values again. */
INLINE NAME(vec) NAME(winograd_output_vectors)(const REAL *m, int64_t plane, const REAL *bias, int64_t columns, REAL *y,
                                               int64_t y_row, int64_t y_pixel, int64_t rows, int64_t cols,
                                               const int how)
{
    NAME(vec) zeros = {0};
    for (int64_t done = 0; done < columns; done += NAME(VL)) {
        const int64_t k = max64(min64(done, columns - NAME(VL)), 0);
        const NAME(vec) b = bias ? *(const NAME(vec) *)(bias + k) : (NAME(vec)){0};
        zeros += 0 * NAME(winograd_output_vector)(m + k, plane, b, columns - k, y + k, y_row, y_pixel, rows, cols, how);
    }
    return zeros;
}

TARGET static bool NAME(winograd_output)(const void *m, int64_t plane, const void *bias, int64_t columns, void *y,
                                         int64_t y_row, int64_t y_pixel, int64_t rows, int64_t cols, bool past)
{
    const bool whole = rows == 4 && cols == 4 && columns >= NAME(VL);
#define OUTPUTS(how) NAME(winograd_output_vectors)(m, plane, bias, columns, y, y_row, y_pixel, rows, cols, NAME(how))
#if defined(STORES_PAST)
    if (whole && past) {
        return NAME(all_finite)(OUTPUTS(STORE_PAST));
    }
#endif
    (void)past;
    return NAME(all_finite)(whole ? OUTPUTS(STORE_WHOLE) : OUTPUTS(STORE_PART));
#undef OUTPUTS
}

/* ---- Gradient of the kernel: the transposes of those above, y = A' ((G g) * (B' d)) being linear in g:
 *
 *     gradient of g = G' ((A dL/dy) * (B' d)) summed over the tiles
 */

/* d = A y */
SHARED void NAME(winograd_grad_y_row)(const NAME(vec) y[4], NAME(vec) d[6])
{
    const REAL a = 5.0 / 8, b = 3.0 / 2, aa = 25.0 / 64, bb = 9.0 / 4, aaa = 125.0 / 512, bbb = 27.0 / 8;
    const NAME(vec) even_a = y[0] + aa * y[2], odd_a = a * y[1] + aaa * y[3];
    const NAME(vec) even_b = y[0] + bb * y[2], odd_b = b * y[1] + bbb * y[3];
    d[0] = y[0];
    d[1] = even_a + odd_a;
    d[2] = even_a - odd_a;
    d[3] = even_b + odd_b;
    d[4] = even_b - odd_b;
    d[5] = y[3];
}

/* g = G' m */
SHARED void NAME(winograd_grad_kernel_row)(const NAME(vec) m[6], NAME(vec) g[3])
{
    const REAL zero = 256.0 / 225, a0 = -2048.0 / 2975, a1 = -256.0 / 595, a2 = -32.0 / 119;
    const REAL b0 = 128.0 / 1071, b1 = 64.0 / 357, b2 = 32.0 / 119;
    const NAME(vec) even_a = m[1] + m[2], even_b = m[3] + m[4];
    g[0] = zero * m[0] + (a0 * even_a + b0 * even_b);
    g[1] = a1 * (m[1] - m[2]) + b1 * (m[3] - m[4]);
    g[2] = m[5] + (a2 * even_a + b2 * even_b);
}

/* One vector of channels of a tile of grad_y. whole, known at compile time: it has all its 4 x 4 pixels, and `count` is
 * that of the vector. */
SHARED void NAME(winograd_grad_y_vector)(const REAL *y, int64_t y_row, int64_t y_pixel, int64_t rows, int64_t cols,
                                         int64_t count, REAL *d, int64_t plane, const bool whole)
{
    NAME(vec) columns[6][4];
    UNROLL_FAST for (int j = 0; j < 4; j++) {
        NAME(vec) pixel[4], out[6];
        UNROLL_FAST for (int i = 0; i < 4; i++) {
            const REAL *p = y + i * y_row + j * y_pixel;
            pixel[i] = whole                  ? *(const NAME(vec) *)p
                       : i < rows && j < cols ? NAME(load_part)(p, count, (NAME(vec)){0})
                                              : (NAME(vec)){0};
        }
        NAME(winograd_grad_y_row)(pixel, out);
        UNROLL_FAST for (int i = 0; i < 6; i++) {
            columns[i][j] = out[i];
        }
    }
    AFTER_COLUMNS;
    for (int i = 0; i < 6; i++, d += 6 * plane) {
        NAME(vec) out[6];
        NAME(winograd_grad_y_row)(columns[i], out);
        UNROLL_FAST for (int j = 0; j < 6; j++) {
            *(NAME(vec) *)(d + j * plane) = out[j];
        }
    }
}

AS_WRITTEN TARGET static void NAME(winograd_grad_y)(const void *y_, int64_t y_row, int64_t y_pixel, int64_t rows,
                                                    int64_t cols, int64_t count, void *d_, int64_t plane)
{
    const REAL *y = y_;
    REAL *d = d_;
    int64_t k = 0;
    for (; rows == 4 && cols == 4 && k + NAME(VL) <= count; k += NAME(VL)) {
        NAME(winograd_grad_y_vector)(y + k, y_row, y_pixel, 4, 4, NAME(VL), d + k, plane, true);
    }
    for (; k < count; k += NAME(VL)) {
        const int64_t some = min64(count - k, NAME(VL));
        NAME(winograd_grad_y_vector)(y + k, y_row, y_pixel, rows, cols, some, d + k, plane, false);
    }
}

/* One vector of kernels of one channel. Returns the sum of it all: finite only if it is. */
INLINE NAME(vec) NAME(winograd_grad_kernel_vector)(const REAL *m, int64_t plane, int64_t count, REAL *kernel,
                                                   const int64_t tap[2])
{
    NAME(vec) columns[3][6], sum = {0};
    UNROLL_FAST for (int j = 0; j < 6; j++) {
        NAME(vec) points[6], out[3];
        UNROLL_FAST for (int i = 0; i < 6; i++) {
            points[i] = *(const NAME(vec) *)(m + (6 * i + j) * plane);
        }
        NAME(winograd_grad_kernel_row)(points, out);
        UNROLL_FAST for (int i = 0; i < 3; i++) {
            columns[i][j] = out[i];
        }
    }
    UNROLL_FAST for (int i = 0; i < 3; i++) {
        NAME(vec) out[3];
        NAME(winograd_grad_kernel_row)(columns[i], out);
        UNROLL_FAST for (int j = 0; j < 3; j++) {
            sum += out[j];
            if (count >= NAME(VL)) {
                *(NAME(vec) *)(kernel + i * tap[0] + j * tap[1]) = out[j];
            } else {
                NAME(store_part)(kernel + i * tap[0] + j * tap[1], count, out[j]);
            }
        }
    }
    return sum;
}

AS_WRITTEN TARGET static bool NAME(winograd_grad_kernel)(const void *m_, int64_t plane, int64_t row, int64_t rows,
                                                         int64_t columns, void *kernel_, const int64_t tap[2],
                                                         int64_t kernel_row)
{
    const REAL *m = m_;
    REAL *kernel = kernel_;
    NAME(vec) zeros = {0}; /* in the lanes that are results */
    for (int64_t c = 0; c < rows; c++, m += row, kernel += kernel_row) {
        for (int64_t k = 0; k < columns; k += NAME(VL)) {
            const NAME(vec) sum = NAME(winograd_grad_kernel_vector)(m + k, plane, columns - k, kernel + k, tap);
            zeros += 0 * sum;
        }
    }
    return NAME(all_finite)(zeros);
}

#undef AFTER_COLUMNS

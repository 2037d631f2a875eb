/* SPDX-License-Identifier: BSD-3-Clause
 *
 * prelu: y = x > 0 ? x : slope[c] * x on x[pixels][channels]. The pattern of slopes repeats itself with every pixel;
 * where a pixel is short, slopes are laid out for several, so that vectors are full.
 */
enum { NAME(SPAN) = 256 }; /* elements whose slopes, or sums of them, are held at a time */

/* Columns of the array seen as [rows][pitch], of which `width` <= SPAN at a time have their slopes (or sums) in a row.
 * Without channels that fit SPAN, it is the array as it is; else a row is as many pixels as fit, a power of 2. */
struct NAME(spans) {
    int64_t count, pitch, period;
};

INLINE struct NAME(spans) NAME(spans)(int64_t pixels, int64_t channels, bool shared)
{
    const int64_t period = shared ? 1 : channels;
    int64_t fit = 1;
    while (2 * fit <= NAME(SPAN) / period) {
        fit *= 2;
    }
    return (struct NAME(spans)){pixels * channels, fit * period, period};
}

/* `width` values of src, `period` of them again and again; width / period is a power of 2, or less than 1. */
TARGET static void NAME(repeat)(REAL *dst, int64_t width, const REAL *src, int64_t period)
{
    int64_t filled = min64(width, period);
    memcpy(dst, src, (size_t)filled * sizeof(REAL));
    for (; filled < width; filled *= 2) {
        memcpy(dst + filled, dst, (size_t)filled * sizeof(REAL));
    }
}

/* The reverse: what lies `period` apart is added up, in pairs; the result is added to grad_slope. */
INLINE void NAME(prelu_fold)(REAL *sums, int64_t width, int64_t period, REAL *grad_slope)
{
    for (int64_t half = width / 2, last = 0; !last; half /= 2) {
        last = half < period;
        NAME(add)(last ? min64(width, period) : half, last ? sums : sums + half, last ? grad_slope : sums);
    }
}

INLINE VEC NAME(prelu_value)(VEC x, VEC slope) { return NAME(if_positive)(x, x, slope * x); }

INLINE void NAME(prelu_run)(int64_t count, const REAL *x, const REAL *slope, REAL *y)
{
    int64_t i = 0;
    for (; i + NAME(VL) <= count; i += NAME(VL)) {
        NAME(store)(y + i, NAME(prelu_value)(NAME(load)(x + i), NAME(load)(slope + i)));
    }
    if (i < count) {
        const int64_t rest = count - i;
        const VEC xi = NAME(load_part)(x + i, rest, (VEC){0}), slope_i = NAME(load_part)(slope + i, rest, (VEC){0});
        NAME(store_part)(y + i, rest, NAME(prelu_value)(xi, slope_i));
    }
}

TARGET static void NAME(prelu)(int64_t pixels, int64_t channels, bool shared, const void *x_, const void *slope_,
                               void *y_)
{
    const struct NAME(spans) spans = NAME(spans)(pixels, channels, shared);
    const REAL *x = x_, *slope = slope_;
    REAL *y = y_, row[NAME(SPAN)];
    if (spans.pitch <= NAME(SPAN)) {
        NAME(repeat)(row, spans.pitch, slope, spans.period);
        slope = row;
    }
    for (int64_t i = 0; i < spans.count; i += spans.pitch) {
        NAME(prelu_run)(min64(spans.pitch, spans.count - i), x + i, slope, y + i);
    }
}

/* One vector of the backward pass: the gradient of x is returned, that of the slope added to *sum. */
INLINE VEC NAME(prelu_gradient)(VEC g, VEC x, VEC slope, VEC *sum)
{
    *sum += NAME(where)(~(x > 0), g * x);
    return NAME(leaky_relu_gradient)(g, x, slope, slope);
}

INLINE void NAME(prelu_run_backward)(int64_t count, const REAL *g, const REAL *x, const REAL *slope, REAL *grad_x,
                                     REAL *sums)
{
    int64_t i = 0;
    for (; i + NAME(VL) <= count; i += NAME(VL)) {
        VEC sum = NAME(load)(sums + i);
        const VEC grad = NAME(prelu_gradient)(NAME(load)(g + i), NAME(load)(x + i), NAME(load)(slope + i), &sum);
        NAME(store)(sums + i, sum);
        if (grad_x) {
            NAME(store)(grad_x + i, grad);
        }
    }
    if (i < count) {
        const int64_t rest = count - i;
        VEC sum = NAME(load_part)(sums + i, rest, (VEC){0});
        const VEC gi = NAME(load_part)(g + i, rest, (VEC){0}), xi = NAME(load_part)(x + i, rest, (VEC){0});
        const VEC grad = NAME(prelu_gradient)(gi, xi, NAME(load_part)(slope + i, rest, (VEC){0}), &sum);
        NAME(store_part)(sums + i, rest, sum);
        if (grad_x) {
            NAME(store_part)(grad_x + i, rest, grad);
        }
    }
}

/* Columns first .. first + width of all rows. */
INLINE void NAME(prelu_columns_backward)(struct NAME(spans) spans, int64_t first, int64_t width, const REAL *g,
                                         const REAL *x, const REAL *slope, REAL *grad_x, REAL *grad_slope)
{
    REAL row[NAME(SPAN)], sums[NAME(SPAN)];
    NAME(repeat)(row, width, slope, spans.period);
    memset(sums, 0, sizeof sums);
    for (int64_t i = first; i < spans.count; i += spans.pitch) {
        const int64_t count = min64(width, spans.count - i);
        NAME(prelu_run_backward)(count, g + i, x + i, row, grad_x ? grad_x + i : NULL, sums);
    }
    if (grad_slope) {
        NAME(prelu_fold)(sums, width, spans.period, grad_slope);
    }
}

TARGET static void NAME(prelu_backward)(int64_t pixels, int64_t channels, bool shared, const void *grad_y,
                                        const void *x, const void *slope, void *grad_x, void *grad_slope_)
{
    const struct NAME(spans) spans = NAME(spans)(pixels, channels, shared);
    REAL *grad_slope = grad_slope_;
    for (int64_t first = 0; first < spans.pitch; first += NAME(SPAN)) {
        NAME(prelu_columns_backward)(spans, first, min64(NAME(SPAN), spans.pitch - first), grad_y, x,
                                     (const REAL *)slope + first, grad_x, grad_slope ? grad_slope + first : NULL);
    }
}

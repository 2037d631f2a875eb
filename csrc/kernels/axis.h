/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Activations along the columns of x[length][inner], for `lanes` neighbouring columns:
 *
 *     softmax      y = e^(x - max) / sum,         gradient y (g - total), total the sum of g y,
 *     log_softmax  y = (x - max) - log(sum),      gradient g - softmax(x) total, total the sum of g,
 *     glu          y = a s(b), a and b the upper and lower half of x, s the sigmoid.
 *
 * The gradients of the first two are functions of y, too: from_output. Where y is at hand, that saves their exponentials.
 *
 * A column with NaN or +inf in it, or of nothing but -inf, comes out as these formulas say: NaN.
 */

/* The vectors in which columns are walked through. If inner > 1 a vector holds the same row of neighbouring columns; else
 * neighbouring rows of the one column, and what concerns the column is then reduced across the vector. */
struct NAME(walk) {
    int64_t vectors, step; /* how many, and from one to the next */
    int64_t whole, part;   /* so many are full; the others have `part` elements */
    bool across;
    VEC fill;              /* for the elements of x that a vector lacks: they must not count in a reduction */
};

INLINE struct NAME(walk) NAME(walk)(int64_t length, int64_t inner, int64_t lanes)
{
    if (inner == 1) {
        return (struct NAME(walk)){ceil_div(length, NAME(VL)), NAME(VL), length / NAME(VL), length % NAME(VL), true,
                                   NAME(all)(-INFINITY)};
    }
    return (struct NAME(walk)){length, inner, lanes == NAME(VL) ? length : 0, lanes, false, (VEC){0}};
}

INLINE VEC NAME(load_step)(const struct NAME(walk) *w, int64_t i, const REAL *p, VEC fill)
{
    p += i * w->step;
    return i < w->whole ? NAME(load)(p) : NAME(load_part)(p, w->part, fill);
}

INLINE void NAME(store_step)(const struct NAME(walk) *w, int64_t i, REAL *p, VEC v)
{
    p += i * w->step;
    if (i < w->whole) {
        NAME(store)(p, v);
    } else {
        NAME(store_part)(p, w->part, v);
    }
}

/* The larger. NaN may get lost here: the sum of a column has it. */
INLINE VEC NAME(larger)(VEC a, VEC b) { return NAME(at_least)(b, a); }

/* v with its elements rotated by `step` places, a power of 2. Clang makes one shuffle of the loop; GCC has to be told. */
INLINE VEC NAME(rotate)(VEC v, const int step)
{
#if defined(__clang__)
    VEC rotated = v;
    UNROLL for (int i = 0; i < NAME(VL); i++) {
        rotated[i] = v[(i + step) % NAME(VL)];
    }
    return rotated;
#else
    IVEC from;
    UNROLL for (int i = 0; i < NAME(VL); i++) {
        from[i] = (i + step) % NAME(VL);
    }
    return __builtin_shuffle(v, from);
#endif
}

INLINE VEC NAME(largest_across)(VEC v)
{
    UNROLL for (int step = NAME(VL) / 2; step; step /= 2) {
        v = NAME(larger)(v, NAME(rotate)(v, step));
    }
    return v;
}

INLINE VEC NAME(sum_across)(VEC v)
{
    UNROLL for (int step = NAME(VL) / 2; step; step /= 2) {
        v += NAME(rotate)(v, step);
    }
    return v;
}

/* What a column's values need to know of the whole column. */
struct NAME(column) {
    VEC max, sum, total;
};

/* e^(x - max) */
INLINE VEC NAME(weight)(VEC x, VEC max)
{
    const VEC low = NAME(all)(NAME(EXP_LOW));
    return NAME(value)(NAME(power)(NAME(at_least)(x - max, low)));
}

INLINE VEC NAME(column_max)(const struct NAME(walk) *w, const REAL *x)
{
    VEC max = NAME(load_step)(w, 0, x, w->fill);
    for (int64_t i = 1; i < w->vectors; i++) {
        max = NAME(larger)(max, NAME(load_step)(w, i, x, w->fill));
    }
    return w->across ? NAME(largest_across)(max) : max;
}

/* y may be x; the weights are left in it. */
INLINE struct NAME(column) NAME(column_sum)(const struct NAME(walk) *w, const REAL *x, REAL *y)
{
    struct NAME(column) c = {NAME(column_max)(w, x), {0}, {0}};
    for (int64_t i = 0; i < w->vectors; i++) {
        const VEC weight = NAME(weight)(NAME(load_step)(w, i, x, w->fill), c.max);
        c.sum += weight;
        if (y) {
            NAME(store_step)(w, i, y, weight);
        }
    }
    c.sum = w->across ? NAME(sum_across)(c.sum) : c.sum;
    return c;
}

/* Vectors of a column whose weights are kept from the sum to the gradient; else they are computed twice. */
enum { NAME(KEPT) = 128 };

/* For the gradient; total is the sum of g, times the weight if `weighted`. */
INLINE struct NAME(column) NAME(column_totals)(const struct NAME(walk) *w, const REAL *g, const REAL *x,
                                               const bool weighted, VEC *kept)
{
    struct NAME(column) c = {NAME(column_max)(w, x), {0}, {0}};
    for (int64_t i = 0; i < w->vectors; i++) {
        const VEC gi = NAME(load_step)(w, i, g, (VEC){0});
        const VEC weight = NAME(weight)(NAME(load_step)(w, i, x, w->fill), c.max);
        c.sum += weight;
        c.total += weighted ? (VEC)(gi * weight) : gi;
        if (i < NAME(KEPT)) {
            kept[i] = weight;
        }
    }
    c.sum = w->across ? NAME(sum_across)(c.sum) : c.sum;
    c.total = w->across ? NAME(sum_across)(c.total) : c.total;
    return c;
}

/* Softmax of vector i, after that. */
INLINE VEC NAME(share)(const struct NAME(walk) *w, int64_t i, const REAL *x, const struct NAME(column) *c,
                       const VEC *kept)
{
    return (i < NAME(KEPT) ? kept[i] : NAME(weight)(NAME(load_step)(w, i, x, w->fill), c->max)) / c->sum;
}

INLINE void NAME(softmax_column)(const struct NAME(walk) *w, const REAL *x, REAL *y)
{
    const struct NAME(column) c = NAME(column_sum)(w, x, y);
    for (int64_t i = 0; i < w->vectors; i++) {
        NAME(store_step)(w, i, y, NAME(load_step)(w, i, y, (VEC){0}) / c.sum);
    }
}

INLINE void NAME(log_softmax_column)(const struct NAME(walk) *w, const REAL *x, REAL *y)
{
    const struct NAME(column) c = NAME(column_sum)(w, x, NULL);
    const VEC log_sum = NAME(log)(c.sum);
    for (int64_t i = 0; i < w->vectors; i++) {
        NAME(store_step)(w, i, y, (NAME(load_step)(w, i, x, w->fill) - c.max) - log_sum);
    }
}

INLINE void NAME(softmax_column_backward)(const struct NAME(walk) *w, const REAL *g, const REAL *x, REAL *grad_x)
{
    VEC kept[NAME(KEPT)];
    const struct NAME(column) c = NAME(column_totals)(w, g, x, true, kept);
    const VEC mean = c.total / c.sum;
    for (int64_t i = 0; i < w->vectors; i++) {
        const VEC y = NAME(share)(w, i, x, &c, kept);
        NAME(store_step)(w, i, grad_x, y * (NAME(load_step)(w, i, g, (VEC){0}) - mean));
    }
}

INLINE void NAME(log_softmax_column_backward)(const struct NAME(walk) *w, const REAL *g, const REAL *x, REAL *grad_x)
{
    VEC kept[NAME(KEPT)];
    const struct NAME(column) c = NAME(column_totals)(w, g, x, false, kept);
    for (int64_t i = 0; i < w->vectors; i++) {
        const VEC y = NAME(share)(w, i, x, &c, kept);
        NAME(store_step)(w, i, grad_x, NAME(load_step)(w, i, g, (VEC){0}) - y * c.total);
    }
}

/* The sum of g, or of g y if `weighted`: in several sums, which do not wait for each other. */
INLINE VEC NAME(column_total)(const struct NAME(walk) *w, const REAL *g, const REAL *y, const bool weighted)
{
    enum { SUMS = 4 };
    VEC sums[SUMS] = {{0}};
    for (int64_t i = 0; i < w->vectors; i += SUMS) {
        UNROLL for (int j = 0; j < SUMS; j++) {
            if (i + j < w->vectors) {
                const VEC gi = NAME(load_step)(w, i + j, g, (VEC){0});
                sums[j] += weighted ? (VEC)(gi * NAME(load_step)(w, i + j, y, (VEC){0})) : gi;
            }
        }
    }
    const VEC sum = (sums[0] + sums[1]) + (sums[2] + sums[3]);
    return w->across ? NAME(sum_across)(sum) : sum;
}

INLINE void NAME(softmax_column_from_output)(const struct NAME(walk) *w, const REAL *g, const REAL *y, REAL *grad_x)
{
    const VEC total = NAME(column_total)(w, g, y, true);
    for (int64_t i = 0; i < w->vectors; i++) {
        const VEC yi = NAME(load_step)(w, i, y, (VEC){0});
        NAME(store_step)(w, i, grad_x, yi * (NAME(load_step)(w, i, g, (VEC){0}) - total));
    }
}

INLINE void NAME(log_softmax_column_from_output)(const struct NAME(walk) *w, const REAL *g, const REAL *y, REAL *grad_x)
{
    const VEC total = NAME(column_total)(w, g, y, false);
    for (int64_t i = 0; i < w->vectors; i++) {
        const VEC share = NAME(exp)(NAME(load_step)(w, i, y, (VEC){0}));
        NAME(store_step)(w, i, grad_x, NAME(load_step)(w, i, g, (VEC){0}) - share * total);
    }
}

#define DEFINE_COLUMNS_FORWARD(name)                                                                                   \
    INTERLEAVED TARGET static void NAME(name)(int64_t length, int64_t inner, int64_t lanes, const void *x, void *y)    \
    {                                                                                                                  \
        for (int64_t j = 0; j < lanes; j += NAME(VL)) {                                                                \
            const struct NAME(walk) w = NAME(walk)(length, inner, min64(lanes - j, NAME(VL)));                         \
            NAME(name##_column)(&w, (const REAL *)x + j, (REAL *)y + j);                                               \
        }                                                                                                              \
    }
#define DEFINE_COLUMNS_BACKWARD(name, from)                                                                            \
    INTERLEAVED TARGET static void NAME(name##_##from)(int64_t length, int64_t inner, int64_t lanes, const void *g,    \
                                                       const void *v, void *grad_x)                                    \
    {                                                                                                                  \
        for (int64_t j = 0; j < lanes; j += NAME(VL)) {                                                                \
            const struct NAME(walk) w = NAME(walk)(length, inner, min64(lanes - j, NAME(VL)));                         \
            NAME(name##_column_##from)(&w, (const REAL *)g + j, (const REAL *)v + j, (REAL *)grad_x + j);              \
        }                                                                                                              \
    }
#define DEFINE_COLUMNS(name)                                                                                           \
    DEFINE_COLUMNS_FORWARD(name) DEFINE_COLUMNS_BACKWARD(name, backward) DEFINE_COLUMNS_BACKWARD(name, from_output)
DEFINE_COLUMNS(softmax)
DEFINE_COLUMNS(log_softmax)
#undef DEFINE_COLUMNS
#undef DEFINE_COLUMNS_BACKWARD
#undef DEFINE_COLUMNS_FORWARD

/* ---- glu -----------------------------------------------------------------------------------------------------------------
 * Rows of the same column in a and b are all that matters: it is elementwise.
 */

/* a s(b), and where s(b) may be denormal rounded once */
INLINE VEC NAME(glu_value)(VEC a, VEC b)
{
    const struct NAME(power) p = NAME(decay)(b);
    const VEC part = a / (1 + NAME(value)(p));
    return NAME(if_negative)(b, NAME(scaled)(p, NAME(unscaled)(p, NAME(all)(1)) * part), part);
}

/* How far ahead to ask for what will be read. Of short rows the processor does not see the next one coming, and waits for a
 * large array twice as long. */
INLINE int64_t NAME(ahead)(int64_t row) { return row <= 1 << 13 ? row : 0; }

INLINE void NAME(fetch_run)(const REAL *p)
{
    UNROLL for (size_t j = 0; j < NAME(RUN); j += CACHE_LINE / sizeof(REAL)) {
        __builtin_prefetch(p + j);
    }
}

INTERLEAVED TARGET static void NAME(glu)(int64_t rows, int64_t lanes, int64_t half, const void *grad_y, const void *x,
                                         void *y)
{
    const REAL *a = x;
    const int64_t next = NAME(ahead)(2 * half);
    (void)grad_y;
    for (REAL *out = y; rows; rows--, a += 2 * half, out += half) {
        for (int64_t i = 0; i < lanes; i += NAME(RUN)) {
            const int64_t first = min64(i, lanes - NAME(RUN));
            VEC v[STEP], w[STEP];
            NAME(fetch_run)(a + first + next);
            NAME(fetch_run)(a + half + first + next);
            NAME(load_run)(v, a + first);
            NAME(load_run)(w, a + half + first);
            UNROLL for (int j = 0; j < STEP; j++) {
                v[j] = NAME(glu_value)(v[j], w[j]);
            }
            NAME(store_run)(out + first, v);
        }
    }
}

/* Gradient of a: g s(b); of b: g a s(b) s(-b). */
INLINE VEC NAME(glu_gradient)(VEC g, VEC a, VEC b, VEC *grad_b)
{
    const VEC e = NAME(exp)(NAME(negative_abs)(b)), q = 1 / (1 + e);
    *grad_b = g * a * (e * q * q);
    return g * NAME(mirror)(b, e * q);
}

INTERLEAVED TARGET static void NAME(glu_backward)(int64_t rows, int64_t lanes, int64_t half, const void *grad_y,
                                                  const void *x, void *grad_x)
{
    const REAL *g = grad_y, *a = x;
    const int64_t next = NAME(ahead)(2 * half);
    for (REAL *out = grad_x; rows; rows--, g += half, a += 2 * half, out += 2 * half) {
        for (int64_t i = 0; i < lanes; i += NAME(RUN)) {
            const int64_t first = min64(i, lanes - NAME(RUN));
            VEC u[STEP], v[STEP], w[STEP];
            NAME(fetch_run)(a + first + next);
            NAME(fetch_run)(a + half + first + next);
            NAME(load_run)(u, g + first);
            NAME(load_run)(v, a + first);
            NAME(load_run)(w, a + half + first);
            UNROLL for (int j = 0; j < STEP; j++) {
                u[j] = NAME(glu_gradient)(u[j], v[j], w[j], &w[j]);
            }
            NAME(store_run)(out + first, u);
            NAME(store_run)(out + half + first, w);
        }
    }
}

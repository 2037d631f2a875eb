/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Elementwise activations and the table of all. struct kernels (internal.h) has the contracts.
 *
 * An activation is two functions on vectors, FORWARD(name) and BACKWARD(name), and a row of STRAIGHT or CURVED. They see
 *
 *   x    the activation's input         a, b    its parameters, in all elements
 *   g    the gradient of its result
 *
 * NaN in x gives NaN, in both. What is saturated or cut off has gradient 0 whatever g is: it is selected, not multiplied.
 * Most smooth ones are odd about something: they are computed for -abs(x), where the result goes to 0 with e^x and would
 * lose its digits otherwise, and mirrored, where 1 or x minus a small result loses none.
 */

#include "math.h"

#define FORWARD(name) \
    INLINE VEC NAME(name##_value)(VEC x, __attribute__((unused)) VEC a, __attribute__((unused)) VEC b)
#define BACKWARD(name)                                                                   \
    INLINE VEC NAME(name##_gradient)(VEC g, VEC x, __attribute__((unused)) VEC a, \
                                     __attribute__((unused)) VEC b)

INLINE VEC NAME(positive_part)(VEC x) { return NAME(at_least)(x, (VEC){0}); }
INLINE VEC NAME(negative_part)(VEC x) { return NAME(at_most)(x, (VEC){0}); }

/* g where the mask is set, 0 elsewhere, NaN where x is. */
INLINE VEC NAME(gate)(IVEC open, VEC g, VEC x) { return NAME(if_nan)(x, x, NAME(where)(open, g)); }

/* f(x) from v = f(-abs(x)), for f(x) + f(-x) = 1 */
INLINE VEC NAME(mirror)(VEC x, VEC v) { return NAME(unless_negative_from)(x, NAME(all)(1), v); }

/* ---- Piecewise linear ---------------------------------------------------------------------------------------------------- */

FORWARD(identity) { return x; }
BACKWARD(identity)
{
    (void)x;
    return g;
}

FORWARD(relu) { return NAME(positive_part)(x); }
BACKWARD(relu) { return NAME(gate)(x > 0, g, x); }

FORWARD(relu6) { return NAME(at_most)(NAME(positive_part)(x), NAME(all)(6)); }
BACKWARD(relu6) { return NAME(gate)((x > 0) & (x < 6), g, x); }

FORWARD(leaky_relu) { return NAME(if_positive)(x, x, a * x); }
BACKWARD(leaky_relu) { return NAME(if_nan)(x, x, NAME(if_positive)(x, g, a * g)); }

FORWARD(hard_tanh) { return NAME(at_most)(NAME(at_least)(x, a), b); }
BACKWARD(hard_tanh) { return NAME(gate)((x > a) & (x < b), g, x); }

FORWARD(softshrink) { return NAME(gate)(NAME(abs)(x) > a, NAME(if_positive)(x, x - a, x + a), x); }
BACKWARD(softshrink) { return NAME(gate)(NAME(abs)(x) > a, g, x); }

FORWARD(hardshrink) { return NAME(gate)(NAME(abs)(x) > a, x, x); }
BACKWARD(hardshrink) { return NAME(gate)(NAME(abs)(x) > a, g, x); }

FORWARD(threshold) { return NAME(select)(x <= a, b, x); }
BACKWARD(threshold) { return NAME(gate)(x > a, g, x); }

/* min(max(x + 3, 0), 6) / 6 */
FORWARD(hard_sigmoid) { return NAME(relu6_value)(x + 3, a, b) / 6; }
BACKWARD(hard_sigmoid) { return NAME(gate)((x > -3) & (x < 3), g / 6, x); }

/* x times that */
FORWARD(hard_silu) { return NAME(at_least)(x, NAME(all)(-3)) * NAME(hard_sigmoid_value)(x, a, b); }
BACKWARD(hard_silu)
{
    const VEC inner = NAME(gate)(x > -3, g * (x / 3 + (REAL)0.5), x);
    return NAME(select)(x >= 3, g, inner);
}

/* ---- Exponential linear -------------------------------------------------------------------------------------------------- */

/* a (e^x - 1) below 0 */
FORWARD(elu) { return NAME(if_positive)(x, x, a * NAME(expm1)(NAME(negative_part)(x), false)); }
BACKWARD(elu) { return NAME(if_positive)(x, g, g * (a * NAME(rough_exp)(NAME(negative_part)(x), 1))); }

FORWARD(selu)
{
    return NAME(if_positive)(x, NAME(SELU_SCALE) * x, NAME(SELU_SCALE_ALPHA) * NAME(expm1)(NAME(negative_part)(x), false));
}
BACKWARD(selu)
{
    return g * NAME(if_positive)(x, NAME(all)(NAME(SELU_SCALE)),
                            NAME(SELU_SCALE_ALPHA) * NAME(rough_exp)(NAME(negative_part)(x), 1));
}

/* a (e^(x / a) - 1) below 0. Where it is x to the last digit x / a may have lost digits, being denormal. */
FORWARD(celu)
{
    const VEC t = NAME(negative_part)(x), z = NAME(at_most)(t / a, NAME(all)(NAME(EXP_HIGH))); /* a may be negative */
    const IVEC same = NAME(abs)(z) < (REAL)(IS_F64 ? 0x1p-54 : 0x1p-25);
    return NAME(select)((x > 0) | same, x, a * NAME(expm1)(z, true));
}
BACKWARD(celu)
{
    const VEC t = NAME(negative_part)(x), z = NAME(exp_bounds)(t / a);
    VEC less;
    const VEC product = NAME(product)(a, z, &less), more = ((t - product) + less) / a; /* t / a = z + more */
    const IVEC exact = z == t / a;
    return NAME(if_positive)(x, g, g * NAME(value)(NAME(power_less)(z, NAME(where)(exact, -more), true, true)));
}

/* ---- Sigmoid and its kin ------------------------------------------------------------------------------------------------- */

/* 1 / (1 + e^-x) = e^x / (1 + e^x) = e^x (1 - e^x / (1 + e^x)), of which the last errs least */
FORWARD(sigmoid)
{
    const struct NAME(power) p = NAME(decay)(x);
    const VEC e = NAME(value)(p), share = e / (1 + e);
    return NAME(mirror)(x, e - e * share);
}
BACKWARD(sigmoid)
{
    const VEC e = NAME(rough_exp)(NAME(negative_abs)(x), 1), d = 1 + e;
    return g * e / (d * d);
}

/* min(x, 0) - log(1 + e^-abs(x)) */
FORWARD(log_sigmoid) { return NAME(negative_part)(x) - NAME(log1p)(NAME(exp)(NAME(negative_abs)(x))); }
BACKWARD(log_sigmoid)
{
    const VEC e = NAME(rough_exp)(NAME(negative_abs)(x), 1);
    return g * (NAME(if_negative)(x, NAME(all)(1), e) / (1 + e));
}

/* e^-abs(a x), for abs(a x) <= -EXP_LOW exactly what a x is, not what it is rounded to */
INLINE struct NAME(power) NAME(product_decay)(VEC a, VEC x, const bool rough)
{
    VEC less;
    const VEC z = NAME(product)(a, x, &less), c = NAME(at_most)(NAME(abs)(z), NAME(all)(-NAME(EXP_LOW)));
    return NAME(power_less)(-c, NAME(where)(c == NAME(abs)(z), NAME(if_negative)(z, less, -less)), true, rough);
}

/* log(1 + e^(a x)) / a, and x where a x > b */
FORWARD(softplus)
{
    const VEC z = a * x, e = NAME(value)(NAME(product_decay)(a, x, false));
    return NAME(select)(z > b, x, (NAME(positive_part)(z) + NAME(log1p)(e)) / a);
}
BACKWARD(softplus)
{
    const VEC z = a * x;
    const struct NAME(power) p = NAME(product_decay)(a, x, true);
    return g * NAME(select)(z > b, NAME(all)(1), NAME(mirror)(z, NAME(over)(p, 1 + NAME(value)(p))));
}

/* The same for a = 1 */
FORWARD(softplus_unit)
{
    return NAME(select)(x > b, x, NAME(positive_part)(x) + NAME(log1p)(NAME(exp)(NAME(negative_abs)(x))));
}
BACKWARD(softplus_unit) { return NAME(select)(x > b, g, NAME(log_sigmoid_gradient)(g, -x, a, b)); }

FORWARD(tanh) { return NAME(tanh)(x); }
/* 1 - tanh^2 = e^-2x / ((1 + e^-2x)^2 / 4) */
BACKWARD(tanh)
{
    const VEC c = NAME(negative_abs)(x), e = NAME(rough_exp)(c, 2), d = 1 + e;
    return g * e / NAME(quarter)(d * d);
}

FORWARD(tanhshrink) { return NAME(x_less_tanh)(x); }
BACKWARD(tanhshrink)
{
    const VEC t = NAME(tanh)(x);
    return g * (t * t);
}

/* x / (1 + abs(x)); the bound is for infinity */
FORWARD(softsign)
{
    const VEC c = NAME(at_most)(NAME(abs)(x), NAME(all)((REAL)(IS_F64 ? DBL_MAX : FLT_MAX)));
    return NAME(with_sign)(c / (1 + c), x);
}
BACKWARD(softsign)
{
    const VEC q = 1 / (1 + NAME(abs)(x));
    return g * (q * q);
}

/* ---- x times a sigmoid --------------------------------------------------------------------------------------------------- */

/* x s(x) = max(x, 0) - c s(-c), where c = abs(x); s(-c) = e^-c / (1 + e^-c) */
FORWARD(silu)
{
    const VEC c = NAME(bounded_abs)(x, -NAME(EXP_LOW));
    const struct NAME(power) p = NAME(power)(-c);
    return NAME(positive_part)(x) - NAME(times)(p, c / (1 + NAME(value)(p)));
}
/* s(-c) (1 - c s(c)) = e^-c (1 + e^-c - c) / (1 + e^-c)^2 */
BACKWARD(silu)
{
    const VEC c = NAME(at_most)(NAME(abs)(x), NAME(all)(-NAME(EXP_LOW)));
    const struct NAME(power) p = NAME(rough_power)(-c);
    const VEC e = NAME(value)(p), q = 1 / (1 + e);
    return g * NAME(mirror)(x, NAME(times)(p, ((1 - c) + e) * q * q));
}

/* x Phi(x) = max(x, 0) - c Phi(-c), where c = abs(x) */
FORWARD(gelu)
{
    return NAME(positive_part)(x) - NAME(normal_tail)(NAME(bounded_abs)(x, NAME(NORMAL_END)));
}
/* Phi(x) + x Phi'(x) */
BACKWARD(gelu)
{
    const VEC c = NAME(at_most)(NAME(abs)(x), NAME(all)(NAME(NORMAL_END)));
    return g * NAME(mirror)(x, NAME(times)(NAME(bell)(c, true), NAME(normal_slope)(c)));
}

/* w = c (k + m c^2), k = 2 sqrt(2 / pi), m = 0.044715 k, to one and a half times the precision: w + *more. Then e^-w is
 * right however large w. Products of upper halves are exact. */
INLINE VEC NAME(gelu_tanh_exponent)(VEC c, VEC *more)
{
    const REAL k_high = NAME(GELU_TANH_SLOPE), m_high = NAME(GELU_TANH_CUBIC), m_low = NAME(GELU_TANH_CUBIC_LOW);
    const VEC c_high = NAME(upper_half)(c), c_low = c - c_high;
    const VEC square = c_high * c_high, square_high = NAME(upper_half)(square);
    const VEC cubic = m_high * square_high, sum = cubic + k_high, part = sum - cubic;
    const VEC lost = (cubic - (sum - part)) + (k_high - part); /* sum + lost = cubic + k_high */
    const VEC rest = lost + (NAME(GELU_TANH_SLOPE_LOW) + m_high * (square - square_high) + m_low * square +
                             (m_high + m_low) * c_low * (c + c_high));
    const VEC factor_high = NAME(upper_half)(sum), factor_low = (sum - factor_high) + rest;
    *more = c_low * factor_high + c * factor_low;
    return c_high * factor_high;
}

/* Not roughly: where the derivative is about to cross zero, it is a small difference that this is a part of. */
INLINE struct NAME(power) NAME(gelu_tanh_decay)(VEC c)
{
    VEC more;
    const VEC w = NAME(gelu_tanh_exponent)(c, &more);
    return NAME(power_less)(-w, more, false, false);
}

/* x (1 + tanh(w / 2)) / 2 = x s(w) */
FORWARD(gelu_tanh)
{
    const VEC c = NAME(bounded_abs)(x, NAME(GELU_TANH_END));
    const struct NAME(power) p = NAME(gelu_tanh_decay)(c);
    return NAME(positive_part)(x) - NAME(times)(p, c / (1 + NAME(value)(p)));
}
/* s(-w) (1 - c s(w) dw/dc) = e^-w (1 + e^-w - c dw/dc) / (1 + e^-w)^2, c dw/dc = k c + 3 m c^3 */
BACKWARD(gelu_tanh)
{
    const VEC c = NAME(at_most)(NAME(abs)(x), NAME(all)(NAME(GELU_TANH_END))), high = NAME(upper_half)(c);
    const struct NAME(power) p = NAME(gelu_tanh_decay)(c);
    const VEC e = NAME(value)(p), q = 1 / (1 + e);
    const VEC linear = (1 - NAME(GELU_TANH_SLOPE) * high) - NAME(GELU_TANH_SLOPE) * (c - high); /* 1 - k c */
    const VEC cubic = 3 * (NAME(GELU_TANH_CUBIC) + NAME(GELU_TANH_CUBIC_LOW)) * c * c * c + NAME(GELU_TANH_SLOPE_LOW) * c;
    return g * NAME(mirror)(x, NAME(times)(p, ((linear + e) - cubic) * q * q));
}

/* x tanh(log(1 + e^x)). With e = e^-abs(x) the tanh is u / d,
 *     u = 1 + 2 e,    d = 1 + 2 e + 2 e^2    for x >= 0,
 *     u = e (e + 2),  d = 2 + 2 e + e^2      for x < 0, where (e + 2) / d = 1 - e (1 + e) / d. */
FORWARD(mish)
{
    const VEC c = NAME(bounded_abs)(x, -NAME(EXP_LOW));
    const struct NAME(power) p = NAME(power)(-c);
    const VEC e = NAME(value)(p), negative = NAME(times)(p, c - c * (e * (1 + e) / (2 + e * (2 + e))));
    return NAME(if_negative)(x, -negative, x * ((1 + 2 * e) / (1 + 2 * e * (1 + e))));
}
/* For x < 0 e ((2 + e) d - 4 c (1 + e)) / d^2, c = -x, else (u d + 4 x e^2 (1 + e)) / d^2. Of the first, the factor that
 * crosses zero is 4 (1 - c) (1 + e) + e (2 + 4 e + e^2). */
BACKWARD(mish)
{
    const VEC c = NAME(at_most)(NAME(abs)(x), NAME(all)(-NAME(EXP_LOW)));
    const struct NAME(power) p = NAME(power)(-c);
    const VEC e = NAME(value)(p);
    const VEC d = NAME(if_negative)(x, 2 + e * (2 + e), 1 + 2 * e * (1 + e)), q = 1 / (d * d);
    const VEC negative = NAME(times)(p, (4 * (1 - c) * (1 + e) + e * (2 + e * (4 + e))) * q);
    return g * NAME(if_negative)(x, negative, ((1 + 2 * e) * d + 4 * c * e * e * (1 + e)) * q);
}

/* ---- Loops over arrays --------------------------------------------------------------------------------------------------- */

/* Those of straight pieces wait for memory alone: it is asked for everything, and in order. Loads under a mask, of what the
 * gradient is not 0 for, let arrays larger than the caches wait a third longer, the processor not seeing what comes next. */
#define STRAIGHT(A)               \
    A(IDENTITY, identity)         \
    A(RELU, relu)                 \
    A(RELU6, relu6)               \
    A(LEAKY_RELU, leaky_relu)     \
    A(HARD_SIGMOID, hard_sigmoid) \
    A(HARD_TANH, hard_tanh)       \
    A(SOFTSHRINK, softshrink)     \
    A(HARDSHRINK, hardshrink)     \
    A(THRESHOLD, threshold)

#define CURVED(A)               \
    A(ELU, elu)                 \
    A(SELU, selu)               \
    A(GELU, gelu)               \
    A(GELU_TANH, gelu_tanh)     \
    A(SILU, silu)               \
    A(MISH, mish)               \
    A(SIGMOID, sigmoid)         \
    A(LOG_SIGMOID, log_sigmoid) \
    A(HARD_SILU, hard_silu)     \
    A(TANH, tanh)               \
    A(SOFTSIGN, softsign)       \
    A(TANHSHRINK, tanhshrink)

/* Vectors are computed STEP at a time, which do not wait for each other. */
enum { NAME(RUN) = STEP * NAME(VL) };
_Static_assert(NAME(RUN) * sizeof(REAL) <= RUN_BYTES_MAX, "a run must fit the buffers of activation.c");
_Static_assert((NAME(RUN) & (NAME(RUN) - 1)) == 0, "a run must be a power of 2");

INLINE void NAME(load_run)(VEC v[STEP], const REAL *p)
{
    UNROLL for (int j = 0; j < STEP; j++) {
        v[j] = NAME(load)(p + j * NAME(VL));
    }
}

INLINE void NAME(store_run)(REAL *p, const VEC v[STEP])
{
    UNROLL for (int j = 0; j < STEP; j++) {
        NAME(store)(p + j * NAME(VL), v[j]);
    }
}

/* The whole vectors, even where only some elements are used. */
INLINE void NAME(load_all)(VEC v[STEP], const REAL *p)
{
    NAME(load_run)(v, p);
    UNROLL for (int j = 0; j < STEP; j++) {
        PIN(v[j]);
    }
}

#define DEFINE_ACTIVATION(order, load, name)                                                                          \
    order TARGET static void NAME(name##_forward)(int64_t rows, int64_t row, int64_t runs, const double *p,           \
                                                  const void *const *in, void *out)                                   \
    {                                                                                                                 \
        const VEC a = NAME(all)((REAL)p[0]), b = NAME(all)((REAL)p[1]);                                               \
        const REAL *x = in[0];                                                                                        \
        for (REAL *y = out; rows; rows--, x += row, y += row) {                                                       \
            for (int64_t i = 0; i < runs * NAME(RUN); i += NAME(RUN)) {                                               \
                VEC v[STEP];                                                                                          \
                NAME(load_run)(v, x + i);                                                                             \
                UNROLL for (int j = 0; j < STEP; j++) {                                                               \
                    v[j] = NAME(name##_value)(v[j], a, b);                                                            \
                }                                                                                                     \
                NAME(store_run)(y + i, v);                                                                            \
            }                                                                                                         \
        }                                                                                                             \
    }                                                                                                                 \
    order TARGET static void NAME(name##_backward)(int64_t rows, int64_t row, int64_t runs, const double *p,          \
                                                   const void *const *in, void *out)                                  \
    {                                                                                                                 \
        const VEC a = NAME(all)((REAL)p[0]), b = NAME(all)((REAL)p[1]);                                               \
        const REAL *x = in[0], *g = in[1];                                                                            \
        for (REAL *y = out; rows; rows--, x += row, g += row, y += row) {                                             \
            for (int64_t i = 0; i < runs * NAME(RUN); i += NAME(RUN)) {                                               \
                VEC v[STEP], w[STEP];                                                                                 \
                NAME(load_run)(v, x + i);                                                                             \
                NAME(load)(w, g + i);                                                                                 \
                UNROLL for (int j = 0; j < STEP; j++) {                                                               \
                    v[j] = NAME(name##_gradient)(w[j], v[j], a, b);                                                   \
                }                                                                                                     \
                NAME(store_run)(y + i, v);                                                                            \
            }                                                                                                         \
        }                                                                                                             \
    }
#define DEFINE_STRAIGHT(kind, name) DEFINE_ACTIVATION(, load_all, name)
#define DEFINE_CURVED(kind, name) DEFINE_ACTIVATION(INTERLEAVED, load_run, name)
STRAIGHT(DEFINE_STRAIGHT)
CURVED(DEFINE_CURVED)
DEFINE_CURVED(SOFTPLUS, softplus)
DEFINE_CURVED(SOFTPLUS, softplus_unit)
DEFINE_CURVED(CELU, celu)
#undef DEFINE_STRAIGHT
#undef DEFINE_CURVED
#undef DEFINE_ACTIVATION

/* Where the parameter may not be 0: `unit` where it is 1, and where it is so small that it would be rounded to 0, the
 * smallest number there is. */
#define DEFINE_NOT_ZERO(name, unit)                                                                                   \
    static void NAME(name##_not_zero_forward)(int64_t rows, int64_t row, int64_t runs, const double *p,               \
                                              const void *const *in, void *out)                                       \
    {                                                                                                                 \
        const double q[2] = {(REAL)p[0] != 0 ? p[0] : copysign(NAME(LEAST), p[0]), p[1]};                             \
        (q[0] == 1 ? NAME(unit##_forward) : NAME(name##_forward))(rows, row, runs, q, in, out);                       \
    }                                                                                                                 \
    static void NAME(name##_not_zero_backward)(int64_t rows, int64_t row, int64_t runs, const double *p,              \
                                               const void *const *in, void *out)                                      \
    {                                                                                                                 \
        const double q[2] = {(REAL)p[0] != 0 ? p[0] : copysign(NAME(LEAST), p[0]), p[1]};                             \
        (q[0] == 1 ? NAME(unit##_backward) : NAME(name##_backward))(rows, row, runs, q, in, out);                     \
    }
DEFINE_NOT_ZERO(softplus, softplus_unit)
DEFINE_NOT_ZERO(celu, elu)
#undef DEFINE_NOT_ZERO
#undef FORWARD
#undef BACKWARD

#include "prelu.h"

#include "axis.h"

#define FORWARD_ROW(kind, name) [CHANCONV_##kind] = NAME(name##_forward),
#define BACKWARD_ROW(kind, name) [CHANCONV_##kind] = NAME(name##_backward),
#define ROWS(ROW) STRAIGHT(ROW) CURVED(ROW) ROW(SOFTPLUS, softplus_not_zero) ROW(CELU, celu_not_zero)
#define ACTIVATION_TABLE                                          \
    .activation = {ROWS(FORWARD_ROW)},                            \
    .activation_backward = {ROWS(BACKWARD_ROW)},                  \
    .prelu = NAME(prelu),                                         \
    .prelu_backward = NAME(prelu_backward),                       \
    .run = NAME(RUN),                                             \
    .glu = NAME(glu),                                             \
    .glu_backward = NAME(glu_backward),                           \
    .axis = {NAME(softmax), NAME(log_softmax)},                   \
    .axis_backward = {NAME(softmax_backward), NAME(log_softmax_backward)}, \
    .axis_from_output = {NAME(softmax_from_output), NAME(log_softmax_from_output)}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The formulas of the activations and their derivatives, as textbooks have them where that is stable, in the type `wide`;
 * and the comparison of arrays of `real` with them.
 */
#ifndef EXHAUSTIVE_FORMULAS_H
#define EXHAUSTIVE_FORMULAS_H
static void put_worse(double error, double x, double *worst, double *worst_at)
{
    if (!(error <= *worst)) {
        *worst = error, *worst_at = x;
    }
}
#endif
static wide WITH(logistic)(wide x) { return x < 0 ? exp(x) / (1 + exp(x)) : 1 / (1 + exp(-x)); }

static wide WITH(log1p_exp)(wide x) { return (x < 0 ? 0 : x) + log1p(exp(-fabs(x))); }

static wide WITH(normal)(wide x) { return erfc(-x * sqrt((wide)0.5)) / 2; }

static wide WITH(normal_density)(wide x) { return exp(-x * x / 2) / sqrt(8 * atan((wide)1)); }

static wide WITH(gelu_slope)(void) { return 2 * sqrt(1 / (2 * atan((wide)1))); }

static wide WITH(gelu_cubic)(void) { return (wide)44715 / 1000000; }

static wide WITH(gelu_argument)(wide x) { return WITH(gelu_slope)() * x * (1 + WITH(gelu_cubic)() * x * x); }

static wide WITH(selu_alpha)(void) { return (wide)1.6732632423543772 + (wide)8.481704291671e-17L; }

static wide WITH(selu_scale)(void) { return (wide)1.0507009873554804 + (wide)9.34193349852946e-17L; }

static wide WITH(ramp)(wide x) { return (x <= -3 ? 0 : x >= 3 ? 6 : x + 3) / 6; }

static wide WITH(shrink)(wide x, wide a) { return x > a ? x - a : x < -a ? x + a : 0; }

/* x - tanh x */
static wide WITH(tanh_rest)(wide x)
{
    if (fabs(x) > (wide)0.1) {
        return x - tanh(x);
    }
    wide s = sinh(x), series = 0, term = x; /* (x cosh x - sinh x) / cosh x */
    for (int n = 1; n < 12; n++) {
        term *= x * x / ((2 * n) * (2 * n + 1)); /* x^(2n+1) / (2n+1)! */
        series += term * (2 * n);
    }
    return series / sqrt(1 + s * s);
}

static wide WITH(value)(int kind, wide a, wide b, wide x)
{
    const wide flat = x < -4000 ? -4000 : x; /* x s(x) -> 0 */
    switch (kind) {
    case CHANCONV_RELU: return x > 0 ? x : 0;
    case CHANCONV_RELU6: return x > 6 ? 6 : x > 0 ? x : 0;
    case CHANCONV_LEAKY_RELU: return x > 0 ? x : a * x;
    case CHANCONV_ELU: return x > 0 ? x : a * expm1(x);
    case CHANCONV_SELU: return WITH(selu_scale)() * (x > 0 ? x : WITH(selu_alpha)() * expm1(x));
    case CHANCONV_CELU: return x > 0 ? x : a * expm1(x / a);
    case CHANCONV_GELU: return flat * WITH(normal)(flat) + (x - flat) * 0;
    case CHANCONV_GELU_TANH: return flat * WITH(logistic)(WITH(gelu_argument)(flat));
    case CHANCONV_SILU: return flat * WITH(logistic)(flat);
    case CHANCONV_MISH: return flat * tanh(WITH(log1p_exp)(flat));
    case CHANCONV_SIGMOID: return WITH(logistic)(x);
    case CHANCONV_LOG_SIGMOID: return -WITH(log1p_exp)(-x);
    case CHANCONV_HARD_SIGMOID: return WITH(ramp)(x);
    case CHANCONV_HARD_SILU: return x <= -3 ? 0 : x * WITH(ramp)(x);
    case CHANCONV_TANH: return tanh(x);
    case CHANCONV_HARD_TANH: return x < a ? a : x > b ? b : x;
    case CHANCONV_SOFTPLUS: return a * x > b ? x : WITH(log1p_exp)(a * x) / a;
    case CHANCONV_SOFTSIGN: return fabs(x) > (wide)1e300 ? x / fabs(x) : x / (1 + fabs(x));
    case CHANCONV_SOFTSHRINK: return WITH(shrink)(x, a);
    case CHANCONV_HARDSHRINK: return fabs(x) > a ? x : 0;
    case CHANCONV_TANHSHRINK: return WITH(tanh_rest)(x);
    default: return x > a ? x : b;
    }
}

/* t + u, the derivative of x s(...); *term becomes the larger. */
static wide WITH(two_terms)(wide t, wide u, wide *term)
{
    *term = fmax(fabs(t), fabs(u));
    return t + u;
}

static wide WITH(slope)(int kind, wide a, wide b, wide x, wide *term)
{
    const wide c = fabs(x) > 4000 ? (x < 0 ? -4000 : 4000) : x, s = WITH(logistic)(c), w = WITH(gelu_argument)(c);
    const wide soft = WITH(log1p_exp)(c), pole = exp(-fabs(c));
    switch (kind) {
    case CHANCONV_RELU: return x > 0;
    case CHANCONV_RELU6: return x > 0 && x < 6;
    case CHANCONV_LEAKY_RELU: return x > 0 ? 1 : a;
    case CHANCONV_ELU: return x > 0 ? 1 : a * exp(x);
    case CHANCONV_SELU: return WITH(selu_scale)() * (x > 0 ? 1 : WITH(selu_alpha)() * exp(x));
    case CHANCONV_CELU: return x > 0 ? 1 : exp(x / a);
    case CHANCONV_GELU: return WITH(two_terms)(WITH(normal)(c), c * WITH(normal_density)(c), term);
    case CHANCONV_GELU_TANH:
        return WITH(two_terms)(WITH(logistic)(w),
                               c * WITH(logistic)(w) * WITH(logistic)(-w) * WITH(gelu_slope)() *
                                   (1 + 3 * WITH(gelu_cubic)() * c * c), term);
    case CHANCONV_SILU: return WITH(two_terms)(s, c * s * WITH(logistic)(-c), term);
    case CHANCONV_MISH: return WITH(two_terms)(tanh(soft), c * s / cosh(soft) / cosh(soft), term);
    case CHANCONV_SIGMOID: return s * WITH(logistic)(-c);
    case CHANCONV_LOG_SIGMOID: return WITH(logistic)(-x);
    case CHANCONV_HARD_SIGMOID: return x > -3 && x < 3 ? (wide)1 / 6 : 0;
    case CHANCONV_HARD_SILU:
        return x <= -3 ? 0 : x >= 3 ? 1 : WITH(two_terms)(x / 3, (wide)0.5, term);
    case CHANCONV_TANH: return 4 * pole * pole / (1 + pole * pole) / (1 + pole * pole);
    case CHANCONV_HARD_TANH: return x > a && x < b;
    case CHANCONV_SOFTPLUS: return a * x > b ? 1 : WITH(logistic)(a * x);
    case CHANCONV_SOFTSIGN: return 1 / (1 + fabs(x)) / (1 + fabs(x));
    case CHANCONV_SOFTSHRINK:
    case CHANCONV_HARDSHRINK: return fabs(x) > a;
    case CHANCONV_TANHSHRINK: return tanh(x) * tanh(x);
    default: return x > a;
    }
}

/* ---- Comparison ---------------------------------------------------------------------------------------------------------- */

#ifndef EXHAUSTIVE_WORST
#define EXHAUSTIVE_WORST
struct worst {
    double forward, forward_at, backward, backward_at;
};
#endif

/* abs(got - exact) in ULP of exact. Infinity counts as the number that would follow the largest; where exact rounds to it,
 * it is right. */
static double WITH(error)(real got, wide exact)
{
    if ((real)exact == got && (exact == 0 || isinf((real)exact))) {
        return 0;
    }
    if (got != got || isinf(exact)) {
        return INFINITY;
    }
    const wide number = isinf(got) ? copysign(ldexp((wide)1, 2 - REAL_LEAST), got) : (wide)got;
    const int binade = exact == 0 ? REAL_LEAST : ilogb(exact), least = binade < REAL_LEAST ? REAL_LEAST : binade;
    return (double)ldexp(fabs(number - exact), REAL_DIGITS - 1 - (least > 1 - REAL_LEAST ? 1 - REAL_LEAST : least));
}

/* An error of a derivative whose largest term is `term`, or 0 if that does not matter. */
static double WITH(crossing)(double error, real got, wide exact, wide term)
{
    return term > 0 ? fmin(error, (double)ldexp(fabs(got - exact) / term, REAL_DIGITS) / 1.7 * BACKWARD_BOUND) : error;
}

static void WITH(compare)(const struct row *row, int count, const real *x, struct worst *worst)
{
    const chanconv_dtype dtype = sizeof(real) == 8 ? CHANCONV_F64 : CHANCONV_F32;
    const chanconv_activation activation = {row->kind, {row->p[0], row->p[1]}};
    const wide a = (real)row->p[0], b = (real)row->p[1];
    static real ones[BATCH], y[BATCH], grad[BATCH];
    for (int i = 0; i < count; i++) {
        ones[i] = 1;
    }
    chanconv_activation_forward(NULL, dtype, &activation, count, x, y, NULL);
    chanconv_activation_backward(NULL, dtype, &activation, count, ones, x, grad, NULL);
    for (int i = 0; i < count; i++) {
        wide term = 0;
        const double forward = WITH(error)(y[i], WITH(value)(row->kind, a, b, x[i]));
        const wide slope = isinf(x[i]) ? grad[i] : WITH(slope)(row->kind, a, b, x[i], &term);
        double backward = WITH(error)(grad[i], slope);
        if (backward > BACKWARD_BOUND) {
            backward = WITH(crossing)(backward, grad[i], slope, term);
        }
        put_worse(forward, x[i], &worst->forward, &worst->forward_at);
        put_worse(backward, x[i], &worst->backward, &worst->backward_at);
    }
}

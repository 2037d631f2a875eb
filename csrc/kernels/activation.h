/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Activations, computed in double with the functions of libm. struct kernels (internal.h) has the contracts.
 */
#define HALF_SQRT_2 0.70710678118654752440
#define INV_SQRT_2PI 0.39894228040143267794
#define SELU_ALPHA 1.6732632423543772848170429916717
#define SELU_SCALE 1.0507009873554804934193349852946

INLINE double NAME(logistic)(double x) { return x < 0 ? exp(x) / (1 + exp(x)) : 1 / (1 + exp(-x)); }
INLINE double NAME(log1p_exp)(double x) { return (x < 0 ? 0 : x) + log1p(exp(-fabs(x))); }
INLINE double NAME(gelu_argument)(double x) { return 1.5957691216057307 * x * (1 + 0.044715 * x * x); }

/* A(kind, name, value, derivative) in x and the parameters a, b. */
#define ACTIVATIONS(A)                                                                                             \
    A(IDENTITY, identity, x, 1)                                                                                    \
    A(RELU, relu, x < 0 ? 0 : x, x > 0)                                                                            \
    A(RELU6, relu6, x < 0 ? 0 : x > 6 ? 6 : x, x > 0 && x < 6)                                                     \
    A(LEAKY_RELU, leaky_relu, x > 0 ? x : a * x, x > 0 ? 1 : a)                                                    \
    A(ELU, elu, x > 0 ? x : a * expm1(x), x > 0 ? 1 : a * exp(x))                                                  \
    A(SELU, selu, SELU_SCALE * (x > 0 ? x : SELU_ALPHA * expm1(x)), SELU_SCALE * (x > 0 ? 1 : SELU_ALPHA * exp(x))) \
    A(CELU, celu, x > 0 ? x : a * expm1(x / a), x > 0 ? 1 : exp(x / a))                                            \
    A(GELU, gelu, x < -40 ? -0.0 : 0.5 * x * erfc(-x * HALF_SQRT_2),                                               \
      0.5 * erfc(-x * HALF_SQRT_2) + (fabs(x) > 40 ? 0 : x * INV_SQRT_2PI * exp(-0.5 * x * x)))                    \
    A(GELU_TANH, gelu_tanh, x < -30 ? -0.0 : x * NAME(logistic)(NAME(gelu_argument)(x)),                           \
      fabs(x) > 30 ? x > 0 : NAME(logistic)(NAME(gelu_argument)(x)) * (1 + x * 1.5957691216057307 *                \
          (1 + 0.134145 * x * x) * NAME(logistic)(-NAME(gelu_argument)(x))))                                       \
    A(SILU, silu, x < -800 ? -0.0 : x * NAME(logistic)(x),                                                         \
      fabs(x) > 800 ? x > 0 : NAME(logistic)(x) * (1 + x * NAME(logistic)(-x)))                                    \
    A(MISH, mish, x < -800 ? -0.0 : x * tanh(NAME(log1p_exp)(x)),                                                  \
      fabs(x) > 800 ? x > 0 : tanh(NAME(log1p_exp)(x)) + x * NAME(logistic)(x) / pow(cosh(NAME(log1p_exp)(x)), 2)) \
    A(SIGMOID, sigmoid, NAME(logistic)(x), NAME(logistic)(x) * NAME(logistic)(-x))                                 \
    A(LOG_SIGMOID, log_sigmoid, -NAME(log1p_exp)(-x), NAME(logistic)(-x))                                          \
    A(HARD_SIGMOID, hard_sigmoid, (x < -3 ? 0 : x > 3 ? 6 : x + 3) / 6, x > -3 && x < 3 ? 1 / 6.0 : 0)             \
    A(HARD_SILU, hard_silu, x <= -3 ? 0 : x * ((x > 3 ? 6 : x + 3) / 6), x <= -3 ? 0 : x >= 3 ? 1 : x / 3 + 0.5)   \
    A(TANH, tanh, tanh(x), fabs(x) > 400 ? 0 : pow(cosh(x), -2))                                                   \
    A(HARD_TANH, hard_tanh, x < a ? a : x > b ? b : x, x > a && x < b)                                             \
    A(SOFTPLUS, softplus, a * x > b ? x : NAME(log1p_exp)(a * x) / a, a * x > b ? 1 : NAME(logistic)(a * x))       \
    A(SOFTSIGN, softsign, fabs(x) > DBL_MAX ? copysign(1, x) : x / (1 + fabs(x)), pow(1 + fabs(x), -2))            \
    A(SOFTSHRINK, softshrink, x > a ? x - a : x < -a ? x + a : 0, fabs(x) > a)                                     \
    A(HARDSHRINK, hardshrink, fabs(x) > a ? x : 0, fabs(x) > a)                                                    \
    A(TANHSHRINK, tanhshrink, x - tanh(x), tanh(x) * tanh(x))                                                      \
    A(THRESHOLD, threshold, x > a ? x : b, x > a)

/* NaN in x is NaN in the result; a derivative of 0 is a gradient of 0 whatever grad_y. */
#define DEFINE_ACTIVATION(kind, name, value, derivative)                                                 \
    TARGET static void NAME(name)(int64_t count, const double *p, const void *x_, void *y_)              \
    {                                                                                                    \
        const double a = p[0], b = p[1];                                                                 \
        (void)a, (void)b;                                                                                \
        for (int64_t i = 0; i < count; i++) {                                                            \
            const double x = ((const REAL *)x_)[i];                                                      \
            ((REAL *)y_)[i] = x != x ? x : (value);                                                      \
        }                                                                                                \
    }                                                                                                    \
    TARGET static void NAME(name##_backward)(int64_t count, const double *p, const void *g_, const void *x_, \
                                             void *grad_x)                                               \
    {                                                                                                    \
        const double a = p[0], b = p[1];                                                                 \
        (void)a, (void)b;                                                                                \
        for (int64_t i = 0; i < count; i++) {                                                            \
            const double x = ((const REAL *)x_)[i], slope = (derivative);                                \
            ((REAL *)grad_x)[i] = x != x ? x : slope == 0 ? 0 : ((const REAL *)g_)[i] * slope;           \
        }                                                                                                \
    }
ACTIVATIONS(DEFINE_ACTIVATION)
#undef DEFINE_ACTIVATION

TARGET static void NAME(prelu)(int64_t pixels, int64_t channels, bool shared, const void *x_, const void *slope_,
                               void *y_)
{
    const REAL *x = x_, *slope = slope_;
    REAL *y = y_;
    for (int64_t i = 0; i < pixels * channels; i++) {
        y[i] = x[i] > 0 ? x[i] : slope[shared ? 0 : i % channels] * x[i];
    }
}

TARGET static void NAME(prelu_backward)(int64_t pixels, int64_t channels, bool shared, const void *grad_y,
                                        const void *x_, const void *slope_, void *grad_x, void *grad_slope)
{
    const REAL *x = x_, *slope = slope_, *g = grad_y;
    for (int64_t i = 0; i < pixels * channels; i++) {
        const int64_t c = shared ? 0 : i % channels;
        const REAL gi = g[i], xi = x[i];
        if (grad_x) {
            ((REAL *)grad_x)[i] = xi > 0 ? gi : slope[c] * gi;
        }
        if (grad_slope) {
            ((REAL *)grad_slope)[c] += xi > 0 ? 0 : gi * xi;
        }
    }
}

/* max, and log of the sum of exp(x - max), of one lane. */
INLINE double NAME(log_sum)(int64_t length, int64_t inner, const REAL *x, double *max)
{
    double sum = 0;
    *max = -INFINITY;
    for (int64_t i = 0; i < length; i++) {
        *max = x[i * inner] <= *max ? *max : x[i * inner];
    }
    for (int64_t i = 0; i < length; i++) {
        sum += exp(x[i * inner] - *max);
    }
    return log(sum);
}

#define DEFINE_AXIS(name, value, weight, gradient)                                                            \
    TARGET static void NAME(name)(int64_t length, int64_t inner, int64_t lanes, const void *x_, void *y_)     \
    {                                                                                                         \
        for (int64_t j = 0; j < lanes; j++) {                                                                 \
            const REAL *x = (const REAL *)x_ + j;                                                             \
            double max;                                                                                       \
            const double log_sum = NAME(log_sum)(length, inner, x, &max);                                     \
            for (int64_t i = 0; i < length; i++) {                                                            \
                const double log_y = x[i * inner] - max - log_sum;                                            \
                ((REAL *)y_)[i * inner + j] = (value);                                                        \
            }                                                                                                 \
        }                                                                                                     \
    }                                                                                                         \
    TARGET static void NAME(name##_backward)(int64_t length, int64_t inner, int64_t lanes, const void *grad_y, \
                                             const void *x_, void *grad_x)                                    \
    {                                                                                                         \
        for (int64_t j = 0; j < lanes; j++) {                                                                 \
            const REAL *x = (const REAL *)x_ + j, *g = (const REAL *)grad_y + j;                              \
            double max, dot = 0;                                                                              \
            const double log_sum = NAME(log_sum)(length, inner, x, &max);                                     \
            for (int64_t i = 0; i < length; i++) {                                                            \
                const double y = exp(x[i * inner] - max - log_sum);                                           \
                dot += g[i * inner] * (weight);                                                               \
                (void)y;                                                                                      \
            }                                                                                                 \
            for (int64_t i = 0; i < length; i++) {                                                            \
                const double y = exp(x[i * inner] - max - log_sum), gi = g[i * inner];                        \
                ((REAL *)grad_x)[i * inner + j] = (gradient);                                                 \
            }                                                                                                 \
        }                                                                                                     \
    }
DEFINE_AXIS(softmax, exp(log_y), y, y * (gi - dot))
DEFINE_AXIS(log_softmax, log_y, 1, gi - y * dot)
#undef DEFINE_AXIS

TARGET static void NAME(glu)(int64_t length, int64_t inner, int64_t lanes, const void *x_, void *y_)
{
    const REAL *x = x_;
    for (int64_t i = 0; i < length / 2; i++) {
        for (int64_t j = 0; j < lanes; j++) {
            ((REAL *)y_)[i * inner + j] = x[i * inner + j] * NAME(logistic)(x[(i + length / 2) * inner + j]);
        }
    }
}

TARGET static void NAME(glu_backward)(int64_t length, int64_t inner, int64_t lanes, const void *grad_y, const void *x_,
                                      void *grad_x)
{
    const REAL *a = x_, *b = a + length / 2 * inner;
    REAL *grad_a = grad_x, *grad_b = grad_a + length / 2 * inner;
    for (int64_t i = 0; i < length / 2; i++) {
        for (int64_t j = i * inner; j < i * inner + lanes; j++) {
            const double g = ((const REAL *)grad_y)[j], aj = a[j], gate = NAME(logistic)(b[j]);
            grad_b[j] = g * aj * gate * NAME(logistic)(-b[j]);
            grad_a[j] = g * gate;
        }
    }
}

#define ACTIVATION_ROW(kind, name, value, derivative) [CHANCONV_##kind] = NAME(name),
#define BACKWARD_ROW(kind, name, value, derivative) [CHANCONV_##kind] = NAME(name##_backward),
#define ACTIVATION_TABLE                                                                      \
    .activation = {ACTIVATIONS(ACTIVATION_ROW)},                                              \
    .activation_backward = {ACTIVATIONS(BACKWARD_ROW)},                                       \
    .prelu = NAME(prelu),                                                                     \
    .prelu_backward = NAME(prelu_backward),                                                   \
    .axis = {NAME(softmax), NAME(log_softmax), NAME(glu)},                                    \
    .axis_backward = {NAME(softmax_backward), NAME(log_softmax_backward), NAME(glu_backward)}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * exp, expm1, log1p, log, tanh and the tail of the normal distribution, on vectors. NaN gives NaN. The error is at most
 * 2 ULP for each, on every instruction set: but for tables nothing here needs a fused multiplication and addition, though
 * the compiler makes them where it can.
 */
#include "coefficients.h"

/* c[0] + c[1] x + c[2] x^2 + ..., for an array whose size is known */
#define POLYNOMIAL(x, c) NAME(polynomial)(x, c, sizeof(c) / sizeof *(c))

/* In pairs of terms, so that the chain of operations that wait for each other is half as long. */
INLINE VEC NAME(polynomial)(VEC x, const REAL *c, const int count)
{
    const VEC square = x * x;
    VEC sum = NAME(all)(c[count - 1]);
    if (count % 2 == 0) {
        sum = sum * x + c[count - 2];
    }
    _Pragma("GCC unroll 32") for (int i = (count - 1) / 2 * 2 - 2; i >= 0; i -= 2) {
        sum = sum * square + (c[i + 1] * x + c[i]);
    }
    return sum;
}

/* a x = product - *less, exactly but for underflow */
INLINE VEC NAME(product)(VEC a, VEC x, VEC *less)
{
    const VEC product = a * x, a_high = NAME(upper_half)(a), x_high = NAME(upper_half)(x);
    const VEC a_low = a - a_high, x_low = x - x_high;
    *less = ((product - a_high * x_high) - a_high * x_low - a_low * x_high) - a_low * x_low;
    return product;
}

/* The last step by itself: there the rounding counts most. */
#define LAST_STEP(x, c) (c[0] + (x) * NAME(polynomial)(x, c + 1, sizeof(c) / sizeof *(c) - 1))

/* Whether a register, or two, hold a table, and an instruction looks all elements up in it. */
#if defined(PERMUTE)
#define TABLES 1
#else
#define TABLES 0
#endif

/* ---- exp ---------------------------------------------------------------------------------------------------------------
 * x = n ln 2 + r with an integer n and abs(r) <= ln(2) / 2, and e^x = 2^n e^r. No float 2^n spans the way from the largest
 * result to the smallest denormal one, so where nothing scales by n itself there are two factors, half * rest = 2^n.
 *
 * With tables n may be a multiple of 1/16 (float64: 1/8), of half of that where a few digits less will do, and r so small that
 * e^r takes half as many operations. They have 2^n for the n below 1; the instruction that scales leaves out of n what is
 * behind the point.
 */
struct NAME(power) {
    VEC tail; /* e^r - 1 */
#if TABLES
    VEC fraction; /* 2^(n - floor(n)) */
#endif
#if defined(MM_SCALEF)
    VEC n;
#else
    VEC half, rest;
#endif
};

/* Bounds of arguments, beyond which e^x is infinite, and is 0 even times 700. */
enum { NAME(EXP_HIGH) = IS_F64 ? 710 : 89, NAME(EXP_LOW) = IS_F64 ? -760 : -112 };

/* A sum with it is rounded to an integer, that then stands in the low bits; with that of steps, to a multiple of 1 / steps. */
#define ROUNDER ((REAL)(IS_F64 ? 0x1.8p52 : 0x1.8p23))
#define STEPS(rough) (TABLES ? (rough) ? 2 * NAME(VL) : NAME(VL) : 1)
#define STEP_ROUNDER(rough) (ROUNDER / STEPS(rough))

/* Whether products are not rounded before they are added to something. */
#if defined(MM) || defined(__aarch64__)
#define FUSED true
#else
#define FUSED false
#endif

/* e^r 2^n, where n is the integer in the low bits of shifted. A rough one has a few bits less, enough for derivatives but
 * where other roundings take them already. */
INLINE struct NAME(power) NAME(power_with)(VEC tail, VEC shifted)
{
#if TABLES
    return (struct NAME(power)){tail, NAME(all)(1), shifted - ROUNDER};
#elif defined(MM_SCALEF)
    return (struct NAME(power)){tail, shifted - ROUNDER};
#else
    const UVEC exponents = (UVEC)shifted + 2 * NAME(BIAS);
    const UVEC half = (exponents << (NAME(MANTISSA) - 1)) & (~(UVEC){0} << NAME(MANTISSA));
    return (struct NAME(power)){tail, (VEC)half, (VEC)((exponents << NAME(MANTISSA)) - half)};
#endif
}

INLINE struct NAME(power) NAME(power_of)(VEC r, VEC shifted, const bool rough)
{
    const VEC tail = r + r * r * (rough && FUSED ? POLYNOMIAL(r, NAME(EXP_ROUGH)) : POLYNOMIAL(r, NAME(EXP_TAIL)));
    return NAME(power_with)(tail, shifted);
}

/* The same for n in STEPS(rough). */
#if TABLES
INLINE VEC NAME(rough_fraction)(VEC shifted)
{
    return NAME(permute)(NAME(load)(NAME(ROUGH_POWERS)), NAME(load)(NAME(ROUGH_POWERS) + NAME(VL)), (IVEC)shifted);
}

INLINE struct NAME(power) NAME(power_in_steps)(VEC r, VEC shifted, const bool rough)
{
    const VEC n = shifted - STEP_ROUNDER(rough);
    if (rough) {
        return (struct NAME(power)){r * POLYNOMIAL(r, NAME(ROUGH_POWER_TAIL)), NAME(rough_fraction)(shifted), n};
    }
    const VEC lack = NAME(look_up)(NAME(POWERS_LACK), (UVEC)shifted);
    const VEC tail = lack + r * (1 + r * POLYNOMIAL(r, NAME(POWER_TAIL)));
    return (struct NAME(power)){tail, NAME(look_up)(NAME(POWERS), (UVEC)shifted), n};
}
#else
INLINE struct NAME(power) NAME(power_in_steps)(VEC r, VEC shifted, const bool rough)
{
    return NAME(power_of)(r, shifted, rough);
}
#endif

/* v 2^floor(n), rounded only once where it is denormal */
INLINE VEC NAME(scaled)(struct NAME(power) p, VEC v)
{
#if defined(MM_SCALEF)
    return MM(scalef)(v, p.n);
#else
    return v * p.half * p.rest;
#endif
}

/* factor e^x 2^-floor(n) */
INLINE VEC NAME(unscaled)(struct NAME(power) p, VEC factor)
{
#if TABLES
    factor *= p.fraction;
#endif
    return factor + factor * p.tail;
}

/* x - n LN2_HIGH, exactly: as n LN2_HIGH is, but with steps. Then nothing else may be fused with this subtraction. */
INLINE VEC NAME(high_rest)(VEC x, VEC n)
{
#if TABLES
    return MM(fnmadd)(n, NAME(all)(NAME(LN2_HIGH)), x);
#else
    return x - n * NAME(LN2_HIGH);
#endif
}

/* x - n ln 2 / times, where times is a power of 2; float to a few bits less: n < 256 times what a float lacks of ln 2 is at
 * most 4 2^-24. */
INLINE VEC NAME(rough_rest)(VEC x, VEC n, const int times)
{
#if defined(MM) && !IS_F64
    return MM(fnmadd)(n, NAME(all)(NAME(LN2) / times), x);
#elif defined(MM)
    return MM(fnmadd)(n, NAME(all)(NAME(LN2_LOW) / times), MM(fnmadd)(n, NAME(all)(NAME(LN2_HIGH) / times), x));
#else
    return (x - n * (NAME(LN2_HIGH) / times)) - n * (NAME(LN2_LOW) / times);
#endif
}

/* e^x, EXP_LOW <= x <= EXP_HIGH */
INLINE struct NAME(power) NAME(power)(VEC x)
{
    const VEC shifted = x * NAME(LOG2_E) + STEP_ROUNDER(false), n = shifted - STEP_ROUNDER(false);
    return NAME(power_in_steps)(NAME(high_rest)(x, n) - n * NAME(LN2_LOW), shifted, false);
}

/* e^x for derivatives, within 4 ULP. */
INLINE struct NAME(power) NAME(rough_power)(VEC x)
{
    const VEC shifted = x * NAME(LOG2_E) + STEP_ROUNDER(true), n = shifted - STEP_ROUNDER(true);
    return NAME(power_in_steps)(NAME(rough_rest)(x, n, 1), shifted, true);
}

/* e^(x - less), in the same bounds; `less` is small beside x. If x was only rounded by it, it does not change n. */
INLINE struct NAME(power) NAME(power_less)(VEC x, VEC less, const bool rounding, const bool rough)
{
    const VEC shifted = (rounding ? x : (VEC)(x - less)) * NAME(LOG2_E) + STEP_ROUNDER(rough);
    const VEC n = shifted - STEP_ROUNDER(rough);
    return NAME(power_in_steps)(NAME(high_rest)(x, n) - (n * NAME(LN2_LOW) + less), shifted, rough);
}

/* e^x times or divided by something; rounded only once where the result is denormal. */
INLINE VEC NAME(times)(struct NAME(power) p, VEC factor) { return NAME(scaled)(p, NAME(unscaled)(p, factor)); }
INLINE VEC NAME(over)(struct NAME(power) p, VEC divisor)
{
    return NAME(scaled)(p, NAME(unscaled)(p, NAME(all)(1)) / divisor);
}

INLINE VEC NAME(value)(struct NAME(power) p) { return NAME(times)(p, NAME(all)(1)); }

INLINE VEC NAME(exp_bounds)(VEC x)
{
    return NAME(at_most)(NAME(at_least)(x, NAME(all)(NAME(EXP_LOW))), NAME(all)(NAME(EXP_HIGH)));
}

/* e^(times x) for derivatives; times x <= EXP_HIGH, and times a power of 2. */
#if TABLES
INLINE VEC NAME(rough_exp)(VEC x, const int times)
{
    enum { COUNT = sizeof NAME(ROUGH_POWER_TAIL) / sizeof(REAL) };
    const REAL rounder = STEP_ROUNDER(true);
    const VEC bounded = NAME(at_least)(x, NAME(all)((REAL)NAME(EXP_LOW) / times));
    const VEC shifted = bounded * (times * NAME(LOG2_E)) + rounder, n = shifted - rounder;
    const VEC r = NAME(rough_rest)(bounded, n, times), fraction = NAME(rough_fraction)(shifted);
    REAL tail[COUNT], power = times;
    UNROLL for (int i = 0; i < COUNT; i++, power *= times) {
        tail[i] = power * NAME(ROUGH_POWER_TAIL)[i];
    }
    return MM(scalef)(fraction + fraction * r * POLYNOMIAL(r, tail), n);
}
#else
/* The two sums do not wait for each other as those of value() and power_of() do. */
INLINE VEC NAME(rough_exp)(VEC x, const int times)
{
    const VEC bounded = NAME(at_least)((REAL)times * x, NAME(all)(NAME(EXP_LOW)));
    const VEC shifted = bounded * NAME(LOG2_E) + ROUNDER, r = NAME(rough_rest)(bounded, shifted - ROUNDER, 1);
    return NAME(scaled)(NAME(power_with)(r, shifted), (1 + r) + r * r * POLYNOMIAL(r, NAME(EXP_ROUGH)));
}
#endif

/* e^x, x <= EXP_HIGH */
INLINE VEC NAME(exp)(VEC x) { return NAME(value)(NAME(power)(NAME(at_least)(x, NAME(all)(NAME(EXP_LOW))))); }

/* e^x = scale + scale * tail, scale = 2^n, where n is the exponent of a normal number. */
struct NAME(plain_power) {
    VEC tail, scale;
};

/* `less` is taken off n, where it is 2^n that may be infinite. */
INLINE struct NAME(plain_power) NAME(plain_power)(VEC x, const int less, const bool rough)
{
    const REAL rounder = ROUNDER + NAME(BIAS) - less;
    const VEC shifted = x * NAME(LOG2_E) + rounder, n = shifted - rounder;
    const VEC scale = (VEC)((UVEC)shifted << NAME(MANTISSA));
    if (rough) {
        const VEC r = NAME(rough_rest)(x, n, 1);
        return (struct NAME(plain_power)){r + r * r * POLYNOMIAL(r, NAME(EXP_ROUGH)), scale};
    }
    const VEC high = x - n * NAME(LN2_HIGH), r = high - n * NAME(LN2_LOW);
    const VEC lost = (high - r) - n * NAME(LN2_LOW); /* r + lost = high - n * LN2_LOW */
    return (struct NAME(plain_power)){r + (r * r * POLYNOMIAL(r, NAME(EXP_TAIL)) + lost), scale};
}

/* 2^n (e^r - 1) + (2^n - 1), x <= EXP_HIGH; it is -1 long before the lower bound. Where 2^n may be infinite, `huge`, twice
 * that of n - 1. */
INLINE VEC NAME(expm1)(VEC x, const bool huge)
{
    const struct NAME(plain_power) p = NAME(plain_power)(NAME(at_least)(x, NAME(all)(IS_F64 ? -80 : -40)), huge, false);
    const VEC value = p.scale * p.tail + (p.scale - (huge ? (REAL)0.5 : 1));
    return huge ? (VEC)(2 * value) : value;
}

/* e^-abs(x); beyond the bound that of EXP_LOW. */
INLINE struct NAME(power) NAME(decay)(VEC x)
{
    return NAME(power)(NAME(at_least)(NAME(negative_abs)(x), NAME(all)(NAME(EXP_LOW))));
}

/* ---- log --------------------------------------------------------------------------------------------------------------- */

/* log(1 + f), sqrt(1/2) <= 1 + f <= sqrt(2): with s = f / (2 + f) it is 2 atanh(s) = 2 s + s^3 T(s^2), and
 * 2 s = f - f^2/2 + s f^2/2, in which f is exact and the rest is small. */
INLINE VEC NAME(log1p_near_0)(VEC f)
{
    const VEC s = f / (2 + f), z = s * s, h = f * f * (REAL)0.5;
    return f - (h - s * (h + z * POLYNOMIAL(z, NAME(LOG_TAIL))));
}

/* log(1 + u), 0 <= u <= 1 */
INLINE VEC NAME(log1p)(VEC u)
{
    const IVEC large = u > NAME(SQRT_2_LESS_1);
    const VEC f = NAME(select)(large, (u - 1) * (REAL)0.5, u);
    const VEC log = NAME(log1p_near_0)(f);
    return NAME(select)(large, NAME(LN2_HIGH) + (log + NAME(LN2_LOW)), log);
}

/* log(v), v >= 1 */
INLINE VEC NAME(log)(VEC v)
{
    const UVEC half_root = (UVEC)NAME(all)(NAME(SQRT_HALF));
    const UVEC n = ((UVEC)v - half_root) >> NAME(MANTISSA); /* v = 2^n (1 + f) */
    const VEC f = (VEC)((UVEC)v - (n << NAME(MANTISSA))) - 1;
    const VEC two = NAME(all)((REAL)(IS_F64 ? 0x1p52 : 0x1p23)), real_n = (VEC)(n | (UVEC)two) - two;
    const VEC log = real_n * NAME(LN2_HIGH) + (NAME(log1p_near_0)(f) + real_n * NAME(LN2_LOW));
    return NAME(select)(v < INFINITY, log, v);
}

/* ---- tanh -------------------------------------------------------------------------------------------------------------- */

#if TABLES && !IS_F64
/* Functions in pieces, quarters of the binades of a + 1: registers hold one coefficient of all pieces. */
#define PIECE_BITS (NAME(MANTISSA) - 2)

/* The polynomial of the piece that a >= 0 is in, row `first` of its coefficients being the constant ones. */
INLINE VEC NAME(in_piece)(const REAL (*rows)[NAME(VL)], const int first, const int count, UVEC piece, VEC h)
{
    VEC sum = NAME(look_up)(rows[count - 1], piece);
    UNROLL for (int i = count - 2; i >= first; i--) {
        sum = sum * h + NAME(look_up)(rows[i], piece);
    }
    return sum;
}

/* In two thirds of the time of the other way. */
INLINE VEC NAME(tanh)(VEC x)
{
    enum { ROWS = sizeof NAME(TANH_PIECES) / sizeof *NAME(TANH_PIECES) };
    const VEC a = NAME(at_most)(NAME(abs)(x), NAME(all)(10));
    const UVEC piece = (UVEC)(a + 1) >> PIECE_BITS;
    const VEC h = a - NAME(look_up)(NAME(TANH_PIECES)[0], piece);
    return NAME(with_sign)(NAME(in_piece)(NAME(TANH_PIECES), 1, ROWS, piece, h), x);
}
#else
/* Near 0 x + x^3 T(x^2); elsewhere 1 - 2 / (e^2a + 1), a = abs(x), where what is subtracted is at most 1/2 of the result. */
INLINE VEC NAME(tanh)(VEC x)
{
    const VEC a = NAME(at_most)(NAME(abs)(x), NAME(all)(IS_F64 ? 20 : 10)), z = a * a;
    const VEC small = x + x * z * POLYNOMIAL(z, NAME(TANH_TAIL));
    const struct NAME(plain_power) p = NAME(plain_power)(a + a, 0, true);
    const VEC large = 1 - 2 / (p.scale * p.tail + (p.scale + 1));
    return NAME(select)(a < (REAL)0.6, small, NAME(with_sign)(large, x));
}
#endif

/* x - tanh(x) */
INLINE VEC NAME(x_less_tanh)(VEC x)
{
    const VEC z = NAME(at_most)(x * x, NAME(all)((REAL)1.5625));
    return NAME(select)(NAME(abs)(x) < (REAL)1.25, x * z * LAST_STEP(z, NAME(TANHSHRINK)), x - NAME(tanh)(x));
}

/* ---- The normal distribution -------------------------------------------------------------------------------------------
 * Phi is the distribution. With the fast decay e^(-a^2 / 2) taken out, functions of its tail are polynomials in
 * s = (a - c) / (a + c), c = NORMAL_CENTRE.
 */

/* e^(-a^2 / 2); in float with LN2 for ln 2, which makes it that of a slightly other a: what it is multiplied by makes up
 * for it. Without a multiplication and addition in one, a^2 = high^2 + (a - high) (a + high), the first exact. */
INLINE struct NAME(power) NAME(bell)(VEC a, const bool rough)
{
    const VEC half = NAME(all)((REAL)0.5);
#if defined(MM)
    const VEC negative = -half * a, square = negative * a, less = MM(fnmadd)(negative, a, square), sum = square;
#else
    const VEC high = NAME(upper_half)(a), square = -half * high * high, less = half * (a - high) * (a + high);
    const VEC sum = square - less;
#endif
    const VEC shifted = sum * NAME(LOG2_E) + ROUNDER, n = shifted - ROUNDER;
#if defined(MM) && !IS_F64
    return NAME(power_of)(MM(fnmadd)(n, NAME(all)(NAME(LN2)), square) - less, shifted, rough);
#else
    return NAME(power_of)((square - n * NAME(LN2_HIGH)) - (n * NAME(BELL_LN2_LOW) + less), shifted, rough);
#endif
}

#if TABLES && !IS_F64
/* a (1 - Phi(a)), 0 <= a <= NORMAL_END, in less time and with a smaller error. e^(-a^2 / 2) is rough_power's way, but for
 * q = a^2 + n ln 4: with a few digits of ln 4 it is exact before it is rounded, and what they lack goes to the pieces. */
INLINE VEC NAME(normal_tail)(VEC a)
{
    enum { ROWS = sizeof NAME(NORMAL_PIECES) / sizeof *NAME(NORMAL_PIECES) };
    const VEC shifted = a * a * (-1 / NAME(BELL_LN4)) + STEP_ROUNDER(true), n = shifted - STEP_ROUNDER(true);
    const VEC q = MM(fmadd)(a, a, n * NAME(BELL_LN4));
    const UVEC piece = (UVEC)(a + 1) >> PIECE_BITS;
    const VEC h = a - NAME(look_up)(NAME(NORMAL_PIECES)[0], piece);
    const VEC v = NAME(rough_fraction)(shifted) * NAME(in_piece)(NAME(NORMAL_PIECES), 1, ROWS, piece, h);
    return MM(scalef)(v + v * q * POLYNOMIAL(q, NAME(BELL_TAIL)), n);
}
#else
/* a (1 - Phi(a)), 0 <= a <= NORMAL_END. The tail of the bell goes to t and not to the product, which would be rounded in a
 * binade where that counts double. Without a multiplication and addition in one there are more roundings: that of a + c is
 * made up for, with 1 / (a + c) = (1 - t) / c. */
INLINE VEC NAME(normal_tail)(VEC a)
{
    const struct NAME(power) bell = NAME(bell)(a, false);
    const REAL c = NAME(NORMAL_CENTRE);
    const VEC sum = a + c, t = a / sum;
#if defined(MM)
    const VEC s = (t + t) - 1, factor = t + t * bell.tail;
#else
    const VEC more = ((sum - c) - a) * ((1 - t) * (1 / c)); /* t (1 + more) = a / (a + c) */
    const VEC s = ((t + t) - 1) + (t + t) * more, factor = t + t * (bell.tail + more);
#endif
    return NAME(scaled)(bell, LAST_STEP(s, NAME(NORMAL_TAIL)) * factor);
}
#endif

/* (1 - Phi(a) - a Phi'(a)) e^(a^2 / 2), which has a zero */
INLINE VEC NAME(normal_slope)(VEC a)
{
    const VEC t = a / (a + NAME(NORMAL_CENTRE));
    return ((NAME(GELU_LOWEST) - a) + NAME(GELU_LOWEST_LOW)) * LAST_STEP((t + t) - 1, NAME(NORMAL_SLOPE));
}
#undef TABLES

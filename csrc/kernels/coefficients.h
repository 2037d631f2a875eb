/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Constants of math.h. Written by scripts/derive_coefficients.py, which see; not to be edited. "error" is the largest
 * difference between polynomial and function, in the sense said, over the interval.
 */

#if !IS_F64
static const REAL NAME(NORMAL_CENTRE) = 0x1.a000000000000p+1;
static const REAL NAME(NORMAL_END) = 0x1.dffffe0000000p+3; /* gelu(-a) is 0 from here on; the last number of the last piece */
static const REAL NAME(GELU_LOWEST) = 0x1.80ead20000000p-1; /* -GELU_LOWEST - GELU_LOWEST_LOW is where gelu is least */
static const REAL NAME(GELU_LOWEST_LOW) = -0x1.a03fd40000000p-27;
static const REAL NAME(LOG2_E) = 0x1.7154760000000p+0; /* 1 / ln 2 */
static const REAL NAME(LN2) = 0x1.62e4300000000p-1;
static const REAL NAME(LN2_HIGH) = 0x1.62e4000000000p-1; /* ln 2 = LN2_HIGH + LN2_LOW */
static const REAL NAME(LN2_LOW) = 0x1.7f7d1c0000000p-20;
static const REAL NAME(BELL_LN2_LOW) = 0x1.8000000000000p-20; /* that of NORMAL_TAIL and NORMAL_SLOPE */
static const REAL NAME(SQRT_2_LESS_1) = 0x1.a8279a0000000p-2;
static const REAL NAME(SQRT_HALF) = 0x1.6a09e60000000p-1;
static const REAL NAME(INV_SQRT_2PI) = 0x1.9884540000000p-2; /* 1 / sqrt(2 pi) */
static const REAL NAME(GELU_TANH_END) = 0x1.6000000000000p+3; /* gelu_tanh(-a) is 0 from here on */
static const REAL NAME(GELU_TANH_SLOPE) = 0x1.9880000000000p+0; /* 2 sqrt(2 / pi) */
static const REAL NAME(GELU_TANH_SLOPE_LOW) = 0x1.14cf500000000p-14;
static const REAL NAME(GELU_TANH_CUBIC) = 0x1.2440000000000p-4; /* ... times 0.044715 */
static const REAL NAME(GELU_TANH_CUBIC_LOW) = 0x1.3ca9360000000p-18;
static const REAL NAME(SELU_SCALE) = 0x1.0cfabe0000000p+0;
static const REAL NAME(SELU_SCALE_ALPHA) = 0x1.c212cc0000000p+0; /* SELU_SCALE * 1.67326... */
/* (e^r - 1 - r) / r^2 in r, relative to (e^r - 1) / r, from -0.346608 to 0.346608:
 * error 2^-28.71. */
static const REAL NAME(EXP_TAIL)[] = {
    0x1.0000000000000p-1,
    0x1.5555560000000p-3,
    0x1.5554ae0000000p-5,
    0x1.1110900000000p-7,
    0x1.6d74440000000p-10,
    0x1.a1a13a0000000p-13,
};
/* the same, relative to e^r, from -0.346608 to 0.346608:
 * error 2^-23.27. */
static const REAL NAME(EXP_ROUGH)[] = {
    0x1.fffdca0000000p-2,
    0x1.55543c0000000p-3,
    0x1.5739660000000p-5,
    0x1.126b360000000p-7,
};
/* (2 atanh(s) / s - 2) / s^2 in s^2, relative to the whole, from 0.0 to 0.0294962:
 * error 2^-29.64. */
static const REAL NAME(LOG_TAIL)[] = {
    0x1.5555760000000p-1,
    0x1.9961640000000p-2,
    0x1.31a7d40000000p-2,
};
/* (tanh(x) / x - 1) / x^2 in x^2, relative to tanh(x) / x, from 0.0 to 0.36:
 * error 2^-29.67. */
static const REAL NAME(TANH_TAIL)[] = {
    -0x1.5555540000000p-2,
    0x1.1110a00000000p-3,
    -0x1.b9fafa0000000p-5,
    0x1.641d460000000p-6,
    -0x1.0efa4e0000000p-7,
    0x1.24b8d20000000p-9,
};
/* (x - tanh x) / x^3 in x^2, relative, from 0.0 to 1.5625:
 * error 2^-24.97. */
static const REAL NAME(TANHSHRINK)[] = {
    0x1.5555560000000p-2,
    -0x1.1111100000000p-3,
    0x1.ba1b340000000p-5,
    -0x1.6646380000000p-6,
    0x1.220b180000000p-7,
    -0x1.d1d0f20000000p-9,
    0x1.68eb560000000p-10,
    -0x1.f804020000000p-12,
    0x1.1a08780000000p-13,
    -0x1.a913c60000000p-16,
    0x1.361c660000000p-19,
};
/* (a + 3.25) (1 - Phi(a)) e^(a^2 / 2) in s = (a - 3.25) / (a + 3.25), relative, from -1.0 to 0.643836:
 * error 2^-24.96. */
static const REAL NAME(NORMAL_TAIL)[] = {
    0x1.7991860000000p-1,
    -0x1.14379a0000000p-1,
    0x1.190a620000000p-2,
    -0x1.4b79280000000p-4,
    0x1.200fc20000000p-10,
    0x1.107de40000000p-7,
    -0x1.31fcc40000000p-10,
    -0x1.1ca9580000000p-10,
    0x1.1a936a0000000p-13,
    0x1.53d4fa0000000p-13,
    0x1.5bcfb20000000p-16,
};
/* (1 - Phi(a) - a Phi'(a)) e^(a^2 / 2) / (GELU_LOWEST - a) in the same s, relative, from -1.0 to 0.643836:
 * error 2^-25.01. */
static const REAL NAME(NORMAL_SLOPE)[] = {
    0x1.e4f3140000000p-2,
    -0x1.d95ffa0000000p-4,
    0x1.cdc14c0000000p-5,
    -0x1.2b887a0000000p-6,
    0x1.33c4d80000000p-9,
    0x1.bb2e120000000p-11,
    -0x1.527a2a0000000p-12,
    -0x1.296cae0000000p-14,
    0x1.2c9a360000000p-15,
    0x1.4466300000000p-17,
    -0x1.54b6100000000p-20,
};
#if defined(PERMUTE)
/* 2^(i / 16) */
static const REAL NAME(POWERS)[] = {
    0x1.0000000000000p+0,
    0x1.0b55860000000p+0,
    0x1.172b840000000p+0,
    0x1.2387a60000000p+0,
    0x1.306fe00000000p+0,
    0x1.3dea640000000p+0,
    0x1.4bfdae0000000p+0,
    0x1.5ab07e0000000p+0,
    0x1.6a09e60000000p+0,
    0x1.7a11480000000p+0,
    0x1.8ace540000000p+0,
    0x1.9c49180000000p+0,
    0x1.ae89fa0000000p+0,
    0x1.c199be0000000p+0,
    0x1.d5818e0000000p+0,
    0x1.ea4afa0000000p+0,
};
/* what they lack, relative */
static const REAL NAME(POWERS_LACK)[] = {
    0,
    0x1.8d96d40000000p-25,
    -0x1.9c0c220000000p-27,
    0x1.9649040000000p-25,
    0x1.1250020000000p-25,
    0x1.370be40000000p-25,
    -0x1.0a35500000000p-25,
    -0x1.00d8ac0000000p-27,
    0x1.26055c0000000p-26,
    -0x1.05cb440000000p-25,
    0x1.67a1ca0000000p-28,
    0x1.a3b5e40000000p-28,
    -0x1.f9c3040000000p-27,
    -0x1.6961b40000000p-28,
    -0x1.a5217c0000000p-28,
    0x1.61428e0000000p-28,
};
/* 2^(i / 32) */
static const REAL NAME(ROUGH_POWERS)[] = {
    0x1.0000000000000p+0,
    0x1.059b0e0000000p+0,
    0x1.0b55860000000p+0,
    0x1.11301e0000000p+0,
    0x1.172b840000000p+0,
    0x1.1d48740000000p+0,
    0x1.2387a60000000p+0,
    0x1.29e9e00000000p+0,
    0x1.306fe00000000p+0,
    0x1.371a740000000p+0,
    0x1.3dea640000000p+0,
    0x1.44e0860000000p+0,
    0x1.4bfdae0000000p+0,
    0x1.5342b60000000p+0,
    0x1.5ab07e0000000p+0,
    0x1.6247ec0000000p+0,
    0x1.6a09e60000000p+0,
    0x1.71f75e0000000p+0,
    0x1.7a11480000000p+0,
    0x1.82589a0000000p+0,
    0x1.8ace540000000p+0,
    0x1.93737c0000000p+0,
    0x1.9c49180000000p+0,
    0x1.a5503c0000000p+0,
    0x1.ae89fa0000000p+0,
    0x1.b7f7700000000p+0,
    0x1.c199be0000000p+0,
    0x1.cb720e0000000p+0,
    0x1.d5818e0000000p+0,
    0x1.dfc9740000000p+0,
    0x1.ea4afa0000000p+0,
    0x1.f507660000000p+0,
};
/* (e^r - 1 - r) / r^2 in r, relative to e^r, from -0.021663 to 0.021663:
 * error 2^-29.22. */
static const REAL NAME(POWER_TAIL)[] = {
    0x1.00021e0000000p-1,
    0x1.5557620000000p-3,
};
/* (e^r - 1) / r in r, relative to e^r, from -0.0108315 to 0.0108315:
 * error 2^-24.16. */
static const REAL NAME(ROUGH_POWER_TAIL)[] = {
    0x1.0000f60000000p+0,
    0x1.0000a40000000p-1,
};
static const REAL NAME(BELL_LN4) = 0x1.6300000000000p+0; /* nearly, so that n times it is exact */
/* (e^(-m q) - 1) / q in q, 2 m = ln 4 / BELL_LN4, relative to e^(-m q), from -0.0216825 to 0.0216825:
 * error 2^-24.16. */
static const REAL NAME(BELL_TAIL)[] = {
    -0x1.ffd9d00000000p-2,
    0x1.ffb1120000000p-4,
};
/* a (1 - Phi(a)) e^(a^2 m) in the distance from the first number, relative:
 * error 2^-23.04. */
static const REAL NAME(NORMAL_PIECES)[7][16] = {
    {
        0x1.4000000000000p+0,
        0x1.c110000000000p+0,
        0x1.1f90000000000p+1,
        0x1.60a0000000000p+1,
        0x1.c000000000000p+1,
        0x1.2070000000000p+2,
        0x1.6038000000000p+2,
        0x1.a0a4000000000p+2,
        0x1.0054000000000p+3,
        0x1.3f9c000000000p+3,
        0x1.7fbc000000000p+3,
        0x1.bf2c000000000p+3,
        0,
        0x1.8240000000000p-2,
        0x1.3fc8000000000p-1,
        0x1.c1e8000000000p-1,
    },
    {
        0x1.274d760000000p-2,
        0x1.4c02620000000p-2,
        0x1.619f3e0000000p-2,
        0x1.6fcdf00000000p-2,
        0x1.7c6d600000000p-2,
        0x1.859be40000000p-2,
        0x1.8a5a2c0000000p-2,
        0x1.8ce87c0000000p-2,
        0x1.8e7eba0000000p-2,
        0x1.8e69300000000p-2,
        0x1.8ce72a0000000p-2,
        0x1.8a7d980000000p-2,
        0,
        0x1.24cd940000000p-3,
        0x1.9db2240000000p-3,
        0x1.f6644a0000000p-3,
    },
    {
        0x1.7aeef40000000p-4,
        0x1.b9caca0000000p-5,
        0x1.145a400000000p-5,
        0x1.6591d20000000p-6,
        0x1.94cc4c0000000p-7,
        0x1.9a34fe0000000p-8,
        0x1.b7727a0000000p-9,
        0x1.cbb4a00000000p-10,
        0x1.dc44940000000p-12,
        -0x1.d259d80000000p-12,
        -0x1.02f1bc0000000p-10,
        -0x1.67b3f60000000p-10,
        0x1.fffffe0000000p-2,
        0x1.213f440000000p-2,
        0x1.9a67580000000p-3,
        0x1.27321e0000000p-3,
    },
    {
        -0x1.af54bc0000000p-5,
        -0x1.bcd8b00000000p-6,
        -0x1.f296d20000000p-7,
        -0x1.234c6e0000000p-7,
        -0x1.22e7d60000000p-8,
        -0x1.0701300000000p-9,
        -0x1.114e7a0000000p-10,
        -0x1.3a71c20000000p-11,
        -0x1.46152e0000000p-12,
        -0x1.5fa2b20000000p-13,
        -0x1.d291540000000p-14,
        -0x1.66f7ca0000000p-14,
        -0x1.98822a0000000p-2,
        -0x1.9f36580000000p-3,
        -0x1.133dc40000000p-3,
        -0x1.71e34e0000000p-4,
    },
    {
        0x1.8fe7680000000p-6,
        0x1.6fdd920000000p-7,
        0x1.7280d00000000p-8,
        0x1.8578e40000000p-9,
        0x1.4fb8140000000p-10,
        0x1.f7405c0000000p-12,
        0x1.b56ab60000000p-13,
        0x1.a42fa60000000p-14,
        0x1.49091c0000000p-15,
        0x1.d9e30c0000000p-17,
        0x1.956e5c0000000p-18,
        0x1.96a0e60000000p-19,
        0x1.ff4dd00000000p-3,
        0x1.da099c0000000p-4,
        0x1.27e91e0000000p-4,
        0x1.7629d20000000p-5,
    },
    {
        -0x1.4830a80000000p-7,
        -0x1.0fa50a0000000p-8,
        -0x1.efbfb60000000p-10,
        -0x1.d9057c0000000p-11,
        -0x1.6acc180000000p-12,
        -0x1.cbdaaa0000000p-14,
        -0x1.58a5240000000p-15,
        -0x1.216d9a0000000p-16,
        -0x1.83536a0000000p-18,
        -0x1.c2701a0000000p-20,
        -0x1.3b78920000000p-21,
        -0x1.01b7f60000000p-22,
        -0x1.0a16600000000p-3,
        -0x1.d1c2ce0000000p-5,
        -0x1.1357100000000p-5,
        -0x1.496fe60000000p-6,
    },
    {
        0x1.e364d40000000p-9,
        0x1.6d92ea0000000p-10,
        0x1.2c5a360000000p-11,
        0x1.096d280000000p-12,
        0x1.6611240000000p-14,
        0x1.879c040000000p-16,
        0x1.fc54cc0000000p-18,
        0x1.7a103e0000000p-19,
        0x1.ad479e0000000p-21,
        0x1.96034a0000000p-23,
        0x1.e5677c0000000p-25,
        0x1.58357e0000000p-26,
        0x1.8a62b40000000p-5,
        0x1.9a8a640000000p-6,
        0x1.c96e640000000p-7,
        0x1.0636dc0000000p-7,
    },
};
/* tanh in the distance from the first number, relative:
 * error 2^-24.39. */
static const REAL NAME(TANH_PIECES)[8][16] = {
    {
        0x1.4000000000000p+0,
        0x1.c000000000000p+0,
        0x1.2000000000000p+1,
        0x1.6000000000000p+1,
        0x1.c000000000000p+1,
        0x1.2000000000000p+2,
        0x1.6000000000000p+2,
        0x1.a000000000000p+2,
        0x1.0000000000000p+3,
        0x1.2000000000000p+3,
        0x1.6000000000000p+3,
        0x1.a000000000000p+3,
        0,
        0x1.8000000000000p-2,
        0x1.4000000000000p-1,
        0x1.c000000000000p-1,
    },
    {
        0x1.b2523c0000000p-1,
        0x1.e1fbfa0000000p-1,
        0x1.f4bfd60000000p-1,
        0x1.fbd50a0000000p-1,
        0x1.ff112c0000000p-1,
        0x1.ffdfa80000000p-1,
        0x1.fffba00000000p-1,
        0x1.ffff680000000p-1,
        0x1.fffff80000000p-1,
        0x1.0000000000000p+0,
        0x1.0000000000000p+0,
        0x1.0000000000000p+0,
        0,
        0x1.6ef53e0000000p-2,
        0x1.1bf47e0000000p-1,
        0x1.6866500000000p-1,
    },
    {
        0x1.1f250c0000000p-2,
        0x1.d22c940000000p-4,
        0x1.64108a0000000p-5,
        0x1.09a7a80000000p-6,
        0x1.dd3a360000000p-9,
        0x1.02c03c0000000p-11,
        0x1.1834760000000p-14,
        0x1.2f61b40000000p-17,
        0x1.e414ae0000000p-22,
        0,
        0,
        0,
        0x1.0000000000000p+0,
        0x1.be3fbc0000000p-1,
        0x1.6284c40000000p-1,
        0x1.02500a0000000p-1,
    },
    {
        -0x1.e729160000000p-3,
        -0x1.b6d8400000000p-4,
        -0x1.5c3d880000000p-5,
        -0x1.077e0c0000000p-6,
        -0x1.dc5b140000000p-9,
        -0x1.02afb60000000p-11,
        -0x1.1831e40000000p-14,
        -0x1.2f612c0000000p-17,
        -0x1.e3fff80000000p-22,
        0,
        0,
        0,
        -0x1.a1eee40000000p-20,
        -0x1.3fd54e0000000p-2,
        -0x1.893b5c0000000p-2,
        -0x1.6ba7ce0000000p-2,
    },
    {
        0x1.bbb42a0000000p-4,
        0x1.01c10a0000000p-4,
        0x1.bbce5c0000000p-6,
        0x1.5994740000000p-7,
        0x1.3c1c1c0000000p-9,
        0x1.58605e0000000p-12,
        0x1.7529ca0000000p-15,
        0x1.9410260000000p-18,
        0x1.3c51f80000000p-22,
        0,
        0,
        0,
        -0x1.5541fe0000000p-2,
        -0x1.6dc6620000000p-3,
        -0x1.24413c0000000p-6,
        0x1.4f12b20000000p-4,
    },
    {
        -0x1.9c6ae40000000p-7,
        -0x1.8171f00000000p-6,
        -0x1.93cf440000000p-7,
        -0x1.4e3b820000000p-8,
        -0x1.39db300000000p-10,
        -0x1.5811440000000p-13,
        -0x1.7524880000000p-16,
        -0x1.94163e0000000p-19,
        -0x1.3cc0aa0000000p-23,
        0,
        0,
        0,
        -0x1.5043ac0000000p-10,
        0x1.584a920000000p-3,
        0x1.1a6cf60000000p-3,
        0x1.f20f340000000p-5,
    },
    {
        -0x1.429cac0000000p-6,
        0x1.c86dd60000000p-9,
        0x1.04a09e0000000p-8,
        0x1.f5f50a0000000p-10,
        0x1.0118d60000000p-11,
        0x1.1e7d120000000p-14,
        0x1.3760bc0000000p-17,
        0x1.514cb20000000p-20,
        0x1.2fedb60000000p-24,
        0,
        0,
        0,
        0x1.25db860000000p-3,
        0x1.375ad80000000p-6,
        -0x1.bd1eb80000000p-5,
        -0x1.df9f480000000p-5,
    },
    {
        0x1.eef5b40000000p-7,
        0x1.1471220000000p-9,
        -0x1.76f2240000000p-11,
        -0x1.1e092a0000000p-11,
        -0x1.4af38e0000000p-13,
        -0x1.7bbcba0000000p-16,
        -0x1.9e4fda0000000p-19,
        -0x1.c108d40000000p-22,
        -0x1.92ec6a0000000p-26,
        0,
        0,
        0,
        -0x1.33bb7c0000000p-5,
        -0x1.1b096a0000000p-4,
        -0x1.8f38360000000p-6,
        0x1.a529aa0000000p-7,
    },
};
#endif
#else
static const REAL NAME(NORMAL_CENTRE) = 0x1.c000000000000p+1;
static const REAL NAME(NORMAL_END) = 0x1.3ffffffffffffp+5; /* gelu(-a) is 0 from here on; the last number of the last piece */
static const REAL NAME(GELU_LOWEST) = 0x1.80ead197f00b4p-1; /* -GELU_LOWEST - GELU_LOWEST_LOW is where gelu is least */
static const REAL NAME(GELU_LOWEST_LOW) = -0x1.13e74c58cada8p-56;
static const REAL NAME(LOG2_E) = 0x1.71547652b82fep+0; /* 1 / ln 2 */
static const REAL NAME(LN2) = 0x1.62e42fefa39efp-1;
static const REAL NAME(LN2_HIGH) = 0x1.62e42fefa4000p-1; /* ln 2 = LN2_HIGH + LN2_LOW */
static const REAL NAME(LN2_LOW) = -0x1.8432a1b0e2634p-43;
static const REAL NAME(BELL_LN2_LOW) = -0x1.8432a1b0e2634p-43; /* that of NORMAL_TAIL and NORMAL_SLOPE */
static const REAL NAME(SQRT_2_LESS_1) = 0x1.a827999fcef32p-2;
static const REAL NAME(SQRT_HALF) = 0x1.6a09e667f3bcdp-1;
static const REAL NAME(INV_SQRT_2PI) = 0x1.9884533d43651p-2; /* 1 / sqrt(2 pi) */
static const REAL NAME(GELU_TANH_END) = 0x1.6000000000000p+4; /* gelu_tanh(-a) is 0 from here on */
static const REAL NAME(GELU_TANH_SLOPE) = 0x1.9884530000000p+0; /* 2 sqrt(2 / pi) */
static const REAL NAME(GELU_TANH_SLOPE_LOW) = 0x1.ea1b284687e5ap-27;
static const REAL NAME(GELU_TANH_CUBIC) = 0x1.2444f28000000p-4; /* ... times 0.044715 */
static const REAL NAME(GELU_TANH_CUBIC_LOW) = 0x1.26c5a57a4def1p-31;
static const REAL NAME(SELU_SCALE) = 0x1.0cfabd6a91132p+0;
static const REAL NAME(SELU_SCALE_ALPHA) = 0x1.c212cc640f031p+0; /* SELU_SCALE * 1.67326... */
/* (e^r - 1 - r) / r^2 in r, relative to (e^r - 1) / r, from -0.346608 to 0.346608:
 * error 2^-60.46. */
static const REAL NAME(EXP_TAIL)[] = {
    0x1.0000000000000p-1,
    0x1.5555555555559p-3,
    0x1.555555555555ap-5,
    0x1.111111110f6c1p-7,
    0x1.6c16c16c14478p-10,
    0x1.a01a01afdeabfp-13,
    0x1.a01a01b0ac8c4p-16,
    0x1.71ddf86299165p-19,
    0x1.27e4c5b4eb623p-22,
    0x1.af5ea6b92346cp-26,
    0x1.1f9546e68943dp-29,
};
/* the same, relative to e^r, from -0.346608 to 0.346608:
 * error 2^-56.64. */
static const REAL NAME(EXP_ROUGH)[] = {
    0x1.000000000000bp-1,
    0x1.5555555555561p-3,
    0x1.55555555503d2p-5,
    0x1.111111110d7a3p-7,
    0x1.6c16c1850482bp-10,
    0x1.a01a01ba7b906p-13,
    0x1.a0199807cf3bfp-16,
    0x1.71dde09259d19p-19,
    0x1.28af1de4f0075p-22,
    0x1.af8471eb0abd4p-26,
};
/* (2 atanh(s) / s - 2) / s^2 in s^2, relative to the whole, from 0.0 to 0.0294962:
 * error 2^-58.64. */
static const REAL NAME(LOG_TAIL)[] = {
    0x1.5555555555573p-1,
    0x1.99999999886b6p-2,
    0x1.2492493b721c2p-2,
    0x1.c71c56b566105p-3,
    0x1.746561429af9fp-3,
    0x1.39b632d965e29p-3,
    0x1.2e466b5e91e31p-3,
};
/* (tanh(x) / x - 1) / x^2 in x^2, relative to tanh(x) / x, from 0.0 to 0.36:
 * error 2^-58.37. */
static const REAL NAME(TANH_TAIL)[] = {
    -0x1.5555555555554p-2,
    0x1.1111111110f25p-3,
    -0x1.ba1ba1b9fa8d2p-5,
    0x1.664f4879ed29fp-6,
    -0x1.226e33fe97cb1p-7,
    0x1.d6d38b367395ap-9,
    -0x1.7d9ec9109e2ecp-10,
    0x1.3522b3e012c31p-11,
    -0x1.f2246c238948dp-13,
    0x1.8414bccf3657ep-14,
    -0x1.05dd2733c4d98p-15,
    0x1.b59b50592468fp-18,
};
/* (x - tanh x) / x^3 in x^2, relative, from 0.0 to 1.5625:
 * error 2^-54.0. */
static const REAL NAME(TANHSHRINK)[] = {
    0x1.5555555555555p-2,
    -0x1.1111111111110p-3,
    0x1.ba1ba1ba1b909p-5,
    -0x1.664f4882bbea3p-6,
    0x1.226e355d9b062p-7,
    -0x1.d6d3d0b8a2639p-9,
    0x1.7da361ac1bc94p-10,
    -0x1.35580532f7986p-11,
    0x1.f57b564c8f278p-13,
    -0x1.96700b018e2dbp-14,
    0x1.4935ada3ca86bp-15,
    -0x1.09f1ddf337911p-16,
    0x1.a9b8e198788b1p-18,
    -0x1.4c4cabb2a1cd7p-19,
    0x1.eb36c0bd9775fp-21,
    -0x1.492066fa2a6d7p-22,
    0x1.7a7061bc69f30p-24,
    -0x1.5daed648f17e1p-26,
    0x1.dd7cf0200bdfbp-29,
    -0x1.a668355ed2a2ap-32,
    0x1.67e91b44d8cf5p-36,
};
/* (a + 3.5) (1 - Phi(a)) e^(a^2 / 2) in s = (a - 3.5) / (a + 3.5), relative, from -1.0 to 0.83908:
 * error 2^-54.88. */
static const REAL NAME(NORMAL_TAIL)[] = {
    0x1.7d241a953a614p-1,
    -0x1.2191517fa27b8p-1,
    0x1.42fec3680aca9p-2,
    -0x1.db5837f7f5540p-4,
    0x1.1d35bdee172c3p-6,
    0x1.a86cec766ccdap-8,
    -0x1.a200796acba08p-9,
    -0x1.d2a141115cb1bp-12,
    0x1.f3cfaafac4ac0p-12,
    0x1.1928625bdaa2fp-14,
    -0x1.3d06701e60786p-14,
    -0x1.3b39b14107c7ep-16,
    0x1.8219dd6b22ad4p-17,
    0x1.7b4b1f9a099b5p-18,
    -0x1.38c5e65cf12d3p-20,
    -0x1.8d10dad13285ap-20,
    -0x1.33289bc9cd296p-23,
    0x1.3c2e6b6c15b8dp-22,
    0x1.09d13d2b1e6eep-23,
    -0x1.03683e223d90cp-25,
    -0x1.37ab48fd7f100p-25,
    -0x1.05b1d386721e5p-28,
    0x1.50be3330ddc10p-28,
    0x1.96103b40a27d9p-30,
};
/* (1 - Phi(a) - a Phi'(a)) e^(a^2 / 2) / (GELU_LOWEST - a) in the same s, relative, from -1.0 to 0.83908:
 * error 2^-56.55. */
static const REAL NAME(NORMAL_SLOPE)[] = {
    0x1.e0a507a924780p-2,
    -0x1.c7f3df76f39cdp-4,
    0x1.ddd47918a9758p-5,
    -0x1.68ba393cc36f7p-6,
    0x1.33ca4c98dba79p-8,
    0x1.f69998da34eb6p-13,
    -0x1.c9cfc33492b9fp-12,
    0x1.fe31d62299336p-16,
    0x1.9002f5c864b7ap-15,
    -0x1.32c256cd27808p-18,
    -0x1.c8d8b1fc69cabp-18,
    0x1.64d5d31033f7cp-23,
    0x1.2ccd337873807p-20,
    0x1.384ddfe394f01p-23,
    -0x1.7898845f225cep-23,
    -0x1.1df2c5edd6837p-24,
    0x1.3709b53396248p-26,
    0x1.3f58721b4e2e9p-26,
    0x1.aaeea55e1ce5fp-30,
    -0x1.cefeb676b0152p-29,
    -0x1.57cb4eb9a80fap-30,
    0x1.f0eee6d3c098ep-33,
    0x1.e9aa4aff9f05ap-33,
    0x1.3ef417fdf41e6p-35,
};
#if defined(PERMUTE)
/* 2^(i / 8) */
static const REAL NAME(POWERS)[] = {
    0x1.0000000000000p+0,
    0x1.172b83c7d517bp+0,
    0x1.306fe0a31b715p+0,
    0x1.4bfdad5362a27p+0,
    0x1.6a09e667f3bcdp+0,
    0x1.8ace5422aa0dbp+0,
    0x1.ae89f995ad3adp+0,
    0x1.d5818dcfba487p+0,
};
/* what they lack, relative */
static const REAL NAME(POWERS_LACK)[] = {
    0,
    -0x1.01b15eaa59348p-55,
    0x1.34d754db0abb6p-55,
    0x1.690cebb7aafb0p-56,
    -0x1.3b3efbf5e2228p-54,
    0x1.db72fc1f0eab4p-55,
    0x1.c1a7792cb3387p-55,
    0x1.4a385a63d07a7p-56,
};
/* 2^(i / 16) */
static const REAL NAME(ROUGH_POWERS)[] = {
    0x1.0000000000000p+0,
    0x1.0b5586cf9890fp+0,
    0x1.172b83c7d517bp+0,
    0x1.2387a6e756238p+0,
    0x1.306fe0a31b715p+0,
    0x1.3dea64c123422p+0,
    0x1.4bfdad5362a27p+0,
    0x1.5ab07dd485429p+0,
    0x1.6a09e667f3bcdp+0,
    0x1.7a11473eb0187p+0,
    0x1.8ace5422aa0dbp+0,
    0x1.9c49182a3f090p+0,
    0x1.ae89f995ad3adp+0,
    0x1.c199bdd85529cp+0,
    0x1.d5818dcfba487p+0,
    0x1.ea4afa2a490dap+0,
};
/* (e^r - 1 - r) / r^2 in r, relative to e^r, from -0.043326 to 0.043326:
 * error 2^-58.28. */
static const REAL NAME(POWER_TAIL)[] = {
    0x1.000000000010ep-1,
    0x1.5555555555660p-3,
    0x1.55555547fb255p-5,
    0x1.11111107cf823p-7,
    0x1.6c1cc0d9114c8p-10,
    0x1.a02078441ec24p-13,
};
/* (e^r - 1) / r in r, relative to e^r, from -0.021663 to 0.021663:
 * error 2^-56.93. */
static const REAL NAME(ROUGH_POWER_TAIL)[] = {
    0x1.000000000000ap+0,
    0x1.0000000000007p-1,
    0x1.555555540583bp-3,
    0x1.55555554322d4p-5,
    0x1.11126ecefc362p-7,
    0x1.6c18794f03e04p-10,
};
#endif
#endif

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Constants of math.h. Written by scripts/derive_coefficients.py, which see; not to be edited. "error" is the largest
 * difference between polynomial and function, in the sense said, over the interval.
 */

#if !IS_F64
static const REAL NAME(MILLS_CENTRE) = 0x1.0000000000000p+2;
static const REAL NAME(NORMAL_END) = 0x1.e000000000000p+3; /* Phi(-a) a is 0 from here on */
static const REAL NAME(GELU_TANH_END) = 0x1.6000000000000p+3; /* ... and gelu_tanh(-a) from here on */
static const REAL NAME(LOG2_E) = 0x1.7154760000000p+0; /* 1 / ln 2 */
static const REAL NAME(LN2_HIGH) = 0x1.62e4000000000p-1; /* ln 2 = LN2_HIGH + LN2_LOW */
static const REAL NAME(LN2_LOW) = 0x1.7f7d1c0000000p-20;
static const REAL NAME(SQRT_2_LESS_1) = 0x1.a8279a0000000p-2;
static const REAL NAME(SQRT_HALF) = 0x1.6a09e60000000p-1;
static const REAL NAME(INV_SQRT_2PI) = 0x1.9884540000000p-2; /* 1 / sqrt(2 pi) */
static const REAL NAME(GELU_SLOPE_HIGH) = 0x1.9880000000000p+0; /* 2 sqrt(2 / pi) */
static const REAL NAME(GELU_SLOPE_LOW) = 0x1.14cf500000000p-14;
static const REAL NAME(GELU_CUBIC_HIGH) = 0x1.2440000000000p-4; /* ... times 0.044715 */
static const REAL NAME(GELU_CUBIC_LOW) = 0x1.3ca9360000000p-18;
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
 * error 2^-24.19. */
static const REAL NAME(TANHSHRINK)[] = {
    0x1.5555560000000p-2,
    -0x1.11110a0000000p-3,
    0x1.ba19360000000p-5,
    -0x1.6624fc0000000p-6,
    0x1.20f2ac0000000p-7,
    -0x1.c7386e0000000p-9,
    0x1.49c6c40000000p-10,
    -0x1.86de920000000p-12,
    0x1.3bee6a0000000p-14,
    -0x1.f0546c0000000p-18,
};
/* (a + 4) (1 - Phi(a)) e^(a^2 / 2) in s = (a - 4) / (a + 4), relative, from -1.0 to 0.578947:
 * error 2^-24.42. */
static const REAL NAME(MILLS)[] = {
    0x1.82b4bc0000000p-1,
    -0x1.373e3a0000000p-1,
    0x1.8c6db80000000p-2,
    -0x1.7dff060000000p-3,
    0x1.eec8880000000p-5,
    -0x1.ee500e0000000p-8,
    -0x1.c9bb7a0000000p-9,
    0x1.acbb900000000p-10,
    0x1.686a9a0000000p-13,
    -0x1.cbde940000000p-13,
    -0x1.79fe940000000p-15,
};
#else
static const REAL NAME(MILLS_CENTRE) = 0x1.0000000000000p+2;
static const REAL NAME(NORMAL_END) = 0x1.4000000000000p+5; /* Phi(-a) a is 0 from here on */
static const REAL NAME(GELU_TANH_END) = 0x1.6000000000000p+4; /* ... and gelu_tanh(-a) from here on */
static const REAL NAME(LOG2_E) = 0x1.71547652b82fep+0; /* 1 / ln 2 */
static const REAL NAME(LN2_HIGH) = 0x1.62e42fefa4000p-1; /* ln 2 = LN2_HIGH + LN2_LOW */
static const REAL NAME(LN2_LOW) = -0x1.8432a1b0e2634p-43;
static const REAL NAME(SQRT_2_LESS_1) = 0x1.a827999fcef32p-2;
static const REAL NAME(SQRT_HALF) = 0x1.6a09e667f3bcdp-1;
static const REAL NAME(INV_SQRT_2PI) = 0x1.9884533d43651p-2; /* 1 / sqrt(2 pi) */
static const REAL NAME(GELU_SLOPE_HIGH) = 0x1.9884530000000p+0; /* 2 sqrt(2 / pi) */
static const REAL NAME(GELU_SLOPE_LOW) = 0x1.ea1b284687e5ap-27;
static const REAL NAME(GELU_CUBIC_HIGH) = 0x1.2444f28000000p-4; /* ... times 0.044715 */
static const REAL NAME(GELU_CUBIC_LOW) = 0x1.26c5a57a4def1p-31;
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
/* (a + 4) (1 - Phi(a)) e^(a^2 / 2) in s = (a - 4) / (a + 4), relative, from -1.0 to 0.818182:
 * error 2^-54.19. */
static const REAL NAME(MILLS)[] = {
    0x1.82b4bb8c94dcep-1,
    -0x1.373e3a893c28ap-1,
    0x1.8c6dbf2cfc2b5p-2,
    -0x1.7dff2bff6839fp-3,
    0x1.eec4cc3e4d098p-5,
    -0x1.ee2761047d8c7p-8,
    -0x1.c81719d51f207p-9,
    0x1.ab825fc09547dp-10,
    0x1.17a4ae136466ap-13,
    -0x1.e4a42554e20cap-13,
    -0x1.001e22101e12fp-19,
    0x1.26d097b0a6fa0p-15,
    0x1.80aed78b1d262p-21,
    -0x1.8d4afc4e1c334p-18,
    -0x1.51dcfa52e42e7p-21,
    0x1.123624b526048p-20,
    0x1.232242de907c4p-22,
    -0x1.4ceee7939ff3ep-23,
    -0x1.6bae96a417c66p-24,
    0x1.cf1b3679740c6p-27,
    0x1.49329aabb3082p-26,
    0x1.dc206d8502d9ap-30,
    -0x1.4992ae3e5c901p-29,
    -0x1.6bbe56b6e3357p-31,
};
#endif

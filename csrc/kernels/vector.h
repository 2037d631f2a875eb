/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What kernels, those of activations above all, need of vectors. VEC and IVEC are a vector of REAL and of integers of
 * its size; a mask is an IVEC of zeros and ones in all bits, as comparisons give it.
 */
#define VEC NAME(vec)
#define IVEC NAME(ivec)
#define UVEC NAME(uvec)

static const REAL NAME(LEAST) = IS_F64 ? 0x1p-1074 : 0x1p-149; /* the smallest denormal number */

#if IS_F64
typedef uint64_t UVEC __attribute__((vector_size(VBYTES))); /* wraps around, which signed integers may not */
enum { NAME(MANTISSA) = 52, NAME(BIAS) = 1023 };
#else
typedef uint32_t UVEC __attribute__((vector_size(VBYTES)));
enum { NAME(MANTISSA) = 23, NAME(BIAS) = 127 };
#endif

/* Intrinsic functions: MM(add) is _mm512_add_ps or the like. */
#if defined(MM_PREFIX)
#undef MM
#if IS_F64
#define MM(stem) CAT(CAT(MM_PREFIX, stem), pd)
#else
#define MM(stem) CAT(CAT(MM_PREFIX, stem), ps)
#endif
#endif

INLINE VEC NAME(all)(REAL value) { return value - (VEC){0}; }

#if defined(MM_BLENDV)
INLINE VEC NAME(select)(IVEC mask, VEC a, VEC b) { return MM(blendv)(b, a, (VEC)mask); }
#else
INLINE VEC NAME(select)(IVEC mask, VEC a, VEC b) { return (VEC)((mask & (IVEC)a) | (~mask & (IVEC)b)); }
#endif

/* a where the mask is set, else 0. */
INLINE VEC NAME(where)(IVEC mask, VEC a) { return (VEC)(mask & (IVEC)a); }

/* Selections by one comparison. Where masks have registers of their own GCC makes three instructions of them, not two. */
#if defined(MM_MASKED)
#define SELECT(x, is, y, a, b) MM(mask_blend)(CAT(MM(cmp), mask)(x, y, is), b, a)
INLINE VEC NAME(if_positive)(VEC x, VEC a, VEC b) { return SELECT(x, _CMP_GT_OQ, (VEC){0}, a, b); }
INLINE VEC NAME(if_negative)(VEC x, VEC a, VEC b) { return SELECT(x, _CMP_LT_OQ, (VEC){0}, a, b); }
INLINE VEC NAME(if_nan)(VEC x, VEC a, VEC b) { return SELECT(x, _CMP_UNORD_Q, x, a, b); }
#undef SELECT
/* v where x < 0, elsewhere a - v */
INLINE VEC NAME(unless_negative_from)(VEC x, VEC a, VEC v)
{
    return MM(mask_sub)(v, CAT(MM(cmp), mask)(x, (VEC){0}, _CMP_NLT_UQ), a, v);
}
#else
INLINE VEC NAME(if_positive)(VEC x, VEC a, VEC b) { return NAME(select)(x > 0, a, b); }
INLINE VEC NAME(if_negative)(VEC x, VEC a, VEC b) { return NAME(select)(x < 0, a, b); }
INLINE VEC NAME(if_nan)(VEC x, VEC a, VEC b) { return NAME(select)(x == x, b, a); }
INLINE VEC NAME(unless_negative_from)(VEC x, VEC a, VEC v) { return NAME(if_negative)(x, v, a - v); }
#endif

/* Bounds; NaN stays NaN. GCC makes no single instruction of the selection, though it is one. */
#if defined(MM)
INLINE VEC NAME(at_least)(VEC x, VEC low) { return MM(max)(low, x); }
INLINE VEC NAME(at_most)(VEC x, VEC high) { return MM(min)(high, x); }
#else
INLINE VEC NAME(at_least)(VEC x, VEC low) { return NAME(select)(x < low, low, x); }
INLINE VEC NAME(at_most)(VEC x, VEC high) { return NAME(select)(x > high, high, x); }
#endif

INLINE VEC NAME(abs)(VEC x) { return (VEC)((UVEC)x & (~(UVEC){0} >> 1)); }
/* min(abs(x), high), which may be high where x is NaN */
#if defined(MM_MASKED)
INLINE VEC NAME(bounded_abs)(VEC x, REAL high)
{
    enum { SMALLER_ABS = 2, NO_SIGN = 2 << 2 };
    return MM(range)(x, NAME(all)(high), SMALLER_ABS | NO_SIGN);
}
#else
INLINE VEC NAME(bounded_abs)(VEC x, REAL high) { return NAME(at_most)(NAME(abs)(x), NAME(all)(high)); }
#endif

INLINE VEC NAME(negative_abs)(VEC x) { return (VEC)((UVEC)x | ~(~(UVEC){0} >> 1)); }
INLINE VEC NAME(with_sign)(VEC x, VEC sign) { return (VEC)((UVEC)x | ((UVEC)sign & ~(~(UVEC){0} >> 1))); } /* x >= 0 */

/* x / 4 of numbers that stay normal, without a multiplication */
INLINE VEC NAME(quarter)(VEC x) { return (VEC)((UVEC)x - (((UVEC){0} + 2) << NAME(MANTISSA))); }

/* x with the lower half of its significand cleared: the product of two such numbers is exact. */
INLINE VEC NAME(upper_half)(VEC x) { return (VEC)((UVEC)x & (~(UVEC){0} << (NAME(MANTISSA) / 2 + 1))); }

INLINE VEC NAME(load)(const REAL *p) { return *(const VEC *)p; }
INLINE void NAME(store)(REAL *p, VEC v) { *(VEC *)p = v; }

/* Halves of vectors: one at p, twice; the lower of a before the upper of b; the upper one in the place of the lower. */
#if VBYTES / (IS_F64 ? 8 : 4) == 16
#define LOWER 0, 1, 2, 3, 4, 5, 6, 7
#define UPPER 8, 9, 10, 11, 12, 13, 14, 15
#define UPPER_OF_SECOND 24, 25, 26, 27, 28, 29, 30, 31
#elif VBYTES / (IS_F64 ? 8 : 4) == 8
#define LOWER 0, 1, 2, 3
#define UPPER 4, 5, 6, 7
#define UPPER_OF_SECOND 12, 13, 14, 15
#elif VBYTES / (IS_F64 ? 8 : 4) == 4
#define LOWER 0, 1
#define UPPER 2, 3
#define UPPER_OF_SECOND 6, 7
#else
#define LOWER 0
#define UPPER 1
#define UPPER_OF_SECOND 3
#endif
INLINE VEC NAME(load_half_twice)(const REAL *p)
{
    typedef REAL half __attribute__((vector_size(VBYTES / 2), aligned(sizeof(REAL)), may_alias));
    const half v = *(const half *)p;
    return __builtin_shufflevector(v, v, LOWER, LOWER);
}

#if defined(MM_MASKED) /* which more units can do */
INLINE VEC NAME(join_halves)(VEC a, VEC b) { return MM(mask_blend)(IS_F64 ? 0xf0 : 0xff00, a, b); }
#else
INLINE VEC NAME(join_halves)(VEC a, VEC b) { return __builtin_shufflevector(a, b, LOWER, UPPER_OF_SECOND); }
#endif
INLINE VEC NAME(upper_lanes)(VEC v) { return __builtin_shufflevector(v, v, UPPER, UPPER); }
#undef LOWER
#undef UPPER
#undef UPPER_OF_SECOND

/* Past the caches, where a vector is a whole cache line; p lies at one. finish_stores_past() comes after the last. */
#if defined(MM) && VBYTES == CACHE_LINE
#define STORES_PAST
INLINE void NAME(store_past)(REAL *p, VEC v) { MM(stream)(p, v); }
#endif

/* The first `count` <= VL elements, the others from `rest`; so that tails go through the code of whole vectors. */
#if defined(MM_MASKED)
INLINE VEC NAME(load_part)(const REAL *p, int64_t count, VEC rest)
{
    return MM(mask_loadu)(rest, (uint16_t)((1u << count) - 1), p);
}

INLINE void NAME(store_part)(REAL *p, int64_t count, VEC v) { MM(mask_storeu)(p, (uint16_t)((1u << count) - 1), v); }
#elif defined(MM)
INLINE __m256i NAME(first_lanes)(int64_t count)
{
    IVEC lane;
    UNROLL for (int i = 0; i < NAME(VL); i++) {
        lane[i] = i;
    }
    return (__m256i)(lane < (BITS)count);
}

INLINE VEC NAME(load_part)(const REAL *p, int64_t count, VEC rest)
{
    const __m256i mask = NAME(first_lanes)(count);
    return NAME(select)((IVEC)mask, MM(maskload)(p, mask), rest);
}

INLINE void NAME(store_part)(REAL *p, int64_t count, VEC v) { MM(maskstore)(p, NAME(first_lanes)(count), v); }
#else
INLINE VEC NAME(load_part)(const REAL *p, int64_t count, VEC rest)
{
    memcpy(&rest, p, (size_t)count * sizeof(REAL));
    return rest;
}

INLINE void NAME(store_part)(REAL *p, int64_t count, VEC v) { memcpy(p, &v, (size_t)count * sizeof(REAL)); }
#endif

#ifdef PERMUTE
/* Lane i of it is lane from[i] of a and b, one after the other. Clang has no operator for that, only intrinsics. */
INLINE VEC NAME(permute)(VEC a, VEC b, IVEC from)
{
#if defined(__clang__) && IS_F64
    return _mm512_permutex2var_pd(a, (__m512i)from, b);
#elif defined(__clang__)
    return _mm512_permutex2var_ps(a, (__m512i)from, b);
#else
    return __builtin_shuffle(a, b, from);
#endif
}

/* p[from[i]], from modulo VL */
INLINE VEC NAME(look_up)(const REAL *p, UVEC from)
{
#if defined(__clang__) && IS_F64
    return _mm512_permutexvar_pd((__m512i)from, NAME(load)(p));
#elif defined(__clang__)
    return _mm512_permutexvar_ps((__m512i)from, NAME(load)(p));
#else
    return __builtin_shuffle(NAME(load)(p), (IVEC)from);
#endif
}
#endif

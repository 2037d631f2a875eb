/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the kernels of activations need of vectors. VEC and IVEC are a vector of REAL and of integers of its size; a
 * mask is an IVEC of zeros and ones in all bits, as comparisons give it.
 */
#define VEC NAME(vec)
#define IVEC NAME(ivec)
#define UVEC NAME(uvec)

#if IS_F64
typedef uint64_t UVEC __attribute__((vector_size(VBYTES))); /* wraps around, which signed integers may not */
enum { NAME(MANTISSA) = 52, NAME(BIAS) = 1023 };
#else
typedef uint32_t UVEC __attribute__((vector_size(VBYTES)));
enum { NAME(MANTISSA) = 23, NAME(BIAS) = 127 };
#endif

INLINE VEC NAME(all)(REAL value) { return value - (VEC){0}; }

INLINE VEC NAME(select)(IVEC mask, VEC a, VEC b) { return (VEC)((mask & (IVEC)a) | (~mask & (IVEC)b)); }

/* a where the mask is set, else 0. */
INLINE VEC NAME(where)(IVEC mask, VEC a) { return (VEC)(mask & (IVEC)a); }

/* Bounds; NaN stays NaN. */
INLINE VEC NAME(at_least)(VEC x, VEC low) { return NAME(select)(x < low, low, x); }
INLINE VEC NAME(at_most)(VEC x, VEC high) { return NAME(select)(x > high, high, x); }

INLINE VEC NAME(abs)(VEC x) { return (VEC)((UVEC)x & (~(UVEC){0} >> 1)); }
INLINE VEC NAME(with_sign)(VEC x, VEC sign) { return (VEC)((UVEC)x | ((UVEC)sign & ~(~(UVEC){0} >> 1))); } /* x >= 0 */

/* x with the lower half of its significand cleared: the product of two such numbers is exact. */
INLINE VEC NAME(upper_half)(VEC x) { return (VEC)((UVEC)x & (~(UVEC){0} << (NAME(MANTISSA) / 2 + 1))); }

INLINE VEC NAME(load)(const REAL *p) { return *(const VEC *)p; }
INLINE void NAME(store)(REAL *p, VEC v) { *(VEC *)p = v; }

/* The first `count` < VL elements, the others from `rest`; so that tails go through the code of whole vectors. */
INLINE VEC NAME(load_part)(const REAL *p, int64_t count, VEC rest)
{
    memcpy(&rest, p, (size_t)count * sizeof(REAL));
    return rest;
}

INLINE void NAME(store_part)(REAL *p, int64_t count, VEC v) { memcpy(p, &v, (size_t)count * sizeof(REAL)); }

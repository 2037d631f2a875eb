/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Several kernels for a channel: channels repeated, and summed up.
 */

INLINE bool NAME(by_fours)(int64_t times) { return times == 2 || times == 3 || times % 4 == 0; }

/* Values 4 at a time, each `times` times. Returns how many of dst[0 .. width) are done. */
INLINE int64_t NAME(repeat_fours)(int64_t width, int64_t times, const REAL *src, REAL *dst)
{
    int64_t j = 0;
    for (; NAME(by_fours)(times) && j + 4 * times <= width; j += 4 * times, src += 4) {
        const NAME(vec4) v = *(const NAME(vec4) *)src;
        NAME(vec4) *out = (NAME(vec4) *)(dst + j);
        if (times == 2) {
            out[0] = __builtin_shufflevector(v, v, 0, 0, 1, 1);
            out[1] = __builtin_shufflevector(v, v, 2, 2, 3, 3);
        } else if (times == 3) {
            out[0] = __builtin_shufflevector(v, v, 0, 0, 0, 1);
            out[1] = __builtin_shufflevector(v, v, 1, 1, 2, 2);
            out[2] = __builtin_shufflevector(v, v, 2, 3, 3, 3);
        } else {
            for (int64_t k = 0; k < times / 4; k++) {
                out[k] = __builtin_shufflevector(v, v, 0, 0, 0, 0);
                out[times / 4 + k] = __builtin_shufflevector(v, v, 1, 1, 1, 1);
                out[times / 2 + k] = __builtin_shufflevector(v, v, 2, 2, 2, 2);
                out[times / 4 * 3 + k] = __builtin_shufflevector(v, v, 3, 3, 3, 3);
            }
        }
    }
    return j;
}

#ifdef PERMUTE
/* The first `count` values at p, and zeros; the first `count` lanes of v to p. Any other count: all. */
INLINE NAME(vec) NAME(load_first)(const REAL *p, int64_t count)
{
    const uint32_t mask = count < NAME(VL) ? (1u << count) - 1 : (uint32_t)-1;
#if IS_F64
    return _mm512_maskz_loadu_pd((__mmask8)mask, p);
#else
    return _mm512_maskz_loadu_ps((__mmask16)mask, p);
#endif
}

INLINE void NAME(store_first)(REAL *p, int64_t count, NAME(vec) v)
{
    const uint32_t mask = count < NAME(VL) ? (1u << count) - 1 : (uint32_t)-1;
#if IS_F64
    _mm512_mask_storeu_pd(p, (__mmask8)mask, v);
#else
    _mm512_mask_storeu_ps(p, (__mmask16)mask, v);
#endif
}

INLINE NAME(ivec) NAME(lane_numbers)(void)
{
    NAME(ivec) lane;
    UNROLL for (int i = 0; i < NAME(VL); i++) {
        lane[i] = i;
    }
    return lane;
}

/* Where the lanes of a vector of y find their channels of x: the first of them `rest` kernels into its channel. */
struct NAME(repeat) {
    int64_t count;              /* channels that it has */
    NAME(ivec) from;
};

/* Lane i wants channel (rest + i) / times. A product with the inverse in 16 bits gives these quotients, of less than
 * 2 VL, as they are; with more kernels for a channel than lanes, what counts is how many the first one has left. */
INLINE struct NAME(repeat) NAME(repeat_from)(int64_t rest, int64_t times)
{
    const int64_t few = min64(times, NAME(VL)), start = max64(few - (times - rest), 0);
    const BITS inverse = (BITS)(65536 / few + 1);
    const NAME(ivec) from = (NAME(lane_numbers)() + (BITS)start) * inverse >> 16;
    return (struct NAME(repeat)){(start + NAME(VL) - 1) / few + 1, from};
}

INLINE NAME(vec) NAME(load_repeated)(const REAL *x, const struct NAME(repeat) *repeat)
{
    const NAME(vec) v = NAME(load_first)(x, repeat->count);
    return NAME(permute)(v, v, repeat->from);
}

/* The most values of a sum of sum_channels() that are gathered from vectors. */
enum { NAME(SUMMED) = 4 };

/* from[k * times + j] brings the values j of `times`, as far as they are in vector k > 0 of `times`, to their lanes; those
 * of vector 0 along with those of vector 1. */
INLINE void NAME(find_values)(int64_t times, NAME(ivec) *from)
{
    const NAME(ivec) lane = NAME(lane_numbers)();
    for (int64_t j = 0; j < times; j++) {
        const NAME(ivec) place = lane * (BITS)times + (BITS)j;
        from[times + j] = place;
        for (int64_t k = 2; k < times; k++) {
            const NAME(ivec) in = place - (BITS)(k * NAME(VL)), here = (in >= 0) & (in < NAME(VL));
            from[k * times + j] = (here & (in + NAME(VL))) | (~here & lane);
        }
    }
}

/* The sums of a pixel for `count` channels, a vector of them or fewer. */
INLINE NAME(vec) NAME(sum_values)(const REAL *src, int64_t count, const int times, const NAME(ivec) *from, NAME(vec) sum)
{
    NAME(vec) v[NAME(SUMMED)];
    UNROLL for (int k = 0; k < times; k++) {
        v[k] = NAME(load_first)(src + k * NAME(VL), max64(count * times - k * NAME(VL), 0));
    }
    UNROLL for (int j = 0; j < times; j++) {
        NAME(vec) value = NAME(permute)(v[0], v[1], from[times + j]);
        UNROLL for (int k = 2; k < times; k++) {
            value = NAME(permute)(value, v[k], from[k * times + j]);
        }
        sum += value;
    }
    return sum;
}

INLINE void NAME(sum_pixels)(int64_t pixels, int64_t channels, const int times, const REAL *src, const REAL *bias,
                             REAL *dst, int64_t dst_pixel)
{
    NAME(ivec) from[NAME(SUMMED) * NAME(SUMMED)];
    NAME(find_values)(times, from);
    for (int64_t i = 0; i < pixels; i++, src += channels * times, dst += dst_pixel) {
        for (int64_t c = 0; c < channels; c += NAME(VL)) {
            const int64_t count = min64(channels - c, NAME(VL));
            const NAME(vec) sum = bias ? NAME(load_first)(bias + c, count) : (NAME(vec)){0};
            NAME(store_first)(dst + c, count, NAME(sum_values)(src + c * times, count, times, from, sum));
        }
    }
}
#endif

TARGET static void NAME(repeat_channels)(int64_t pixels, int64_t width, int64_t times, int64_t first, const void *src_,
                                         int64_t src_pixel, void *dst_)
{
    const REAL *src = src_;
    REAL *dst = dst_;
    for (int64_t i = 0; i < pixels; i++, src += src_pixel, dst += width) {
        int64_t j = first ? 0 : NAME(repeat_fours)(width, times, src, dst), left = times - (first + j) % times;
        for (const REAL *value = src + (first + j) / times; j < width; value++, left = times) {
            for (int64_t end = min64(j + left, width); j < end; j++) {
                dst[j] = *value;
            }
        }
    }
}

LOOPS TARGET static void NAME(sum_channels)(int64_t pixels, int64_t channels, int64_t times, const void *src_,
                                            const void *bias_, void *dst_, int64_t dst_pixel)
{
    const REAL *src = src_, *bias = bias_;
    REAL *dst = dst_;
#ifdef PERMUTE
    switch (times) {
    case 2:
        NAME(sum_pixels)(pixels, channels, 2, src, bias, dst, dst_pixel);
        return;
    case 3:
        NAME(sum_pixels)(pixels, channels, 3, src, bias, dst, dst_pixel);
        return;
    case 4:
        NAME(sum_pixels)(pixels, channels, 4, src, bias, dst, dst_pixel);
        return;
    }
#endif
    for (int64_t i = 0; i < pixels; i++, dst += dst_pixel) {
        for (int64_t c = 0; c < channels; c++, src += times) {
            REAL sum = bias ? bias[c] : 0;
            for (int64_t j = 0; j < times; j++) {
                sum += src[j];
            }
            dst[c] = sum;
        }
    }
}

/* The channels of x of a vector of y that begins with `channel`, which is their channel `first`: side by side or, where
 * there are `times` kernels for each, repeated. */
struct NAME(lanes) {
    int64_t first;
#ifdef PERMUTE
    struct NAME(repeat) repeat;
#endif
};

#ifdef PERMUTE
INLINE struct NAME(lanes) NAME(lanes_of)(int64_t channel, int64_t times, const bool repeated)
{
    struct NAME(lanes) lanes = {.first = channel};
    if (repeated) {
        lanes.first = channel / times;
        lanes.repeat = NAME(repeat_from)(channel % times, times);
    }
    return lanes;
}

INLINE NAME(vec) NAME(take)(const REAL *x, const struct NAME(lanes) *lanes, const bool repeated)
{
    return repeated ? NAME(load_repeated)(x, &lanes->repeat) : *(const NAME(vec) *)x;
}
#else
INLINE struct NAME(lanes) NAME(lanes_of)(int64_t channel, int64_t times, const bool repeated)
{
    (void)times, (void)repeated;
    return (struct NAME(lanes)){.first = channel};
}

INLINE NAME(vec) NAME(take)(const REAL *x, const struct NAME(lanes) *lanes, const bool repeated)
{
    (void)lanes, (void)repeated;
    return *(const NAME(vec) *)x;
}
#endif

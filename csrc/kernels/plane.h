/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Convolution of planes, and depthwise convolution of images with fewer channels than a vector has: a row of an image
 * lies across the vector, whatever its channels. struct plane_tile and struct plane_sums (internal.h): the contracts.
 *
 * A tile is some rows of some vectors of y. A row q of x is read once for all of them: it gives to row i of the tile
 * through row q - i of the kernel. At the top and the bottom of the tile fewer rows take part; these steps are written
 * out, so that every register is known to the compiler.
 */

/* One row of x, for rows low .. high - 1 of the tile. weight: that of row `low`; of the next row, it is one row of taps
 * back. */
INLINE void NAME(plane_step)(const struct plane_tile *t, const REAL *x, const REAL *weight,
                             NAME(vec) acc[PLANE_ROWS_MAX][PLANE_VECTORS_MAX], const int low, const int high,
                             const int vectors, const bool single)
{
    const int64_t *offset = t->offset;
    const int64_t taps = t->taps, step = single ? NAME(VL) : t->step;
    for (int64_t s = 0; s < taps; s++) {
        NAME(vec) value[PLANE_VECTORS_MAX];
        UNROLL for (int v = 0; v < vectors; v++) {
            value[v] = *(const NAME(vec) *)(x + offset[s] + v * step);
            PIN(value[v]);
        }
        UNROLL for (int i = low; i < high; i++) {
            const REAL *w = weight + (s - (i - low) * taps) * (single ? 1 : NAME(VL));
            NAME(vec) wv = *w - (NAME(vec)){0};
            if (!single) {
                wv = *(const NAME(vec) *)w;
            }
            UNROLL for (int v = 0; v < vectors; v++) {
                acc[i][v] += value[v] * wv;
            }
        }
    }
}

#ifdef PERMUTE
/* The same for one row of the tile, one channel and neighbouring taps: for each multiplication a vector of x would have to
 * be loaded, and most lie across two cache lines. These are taken from two vectors that are next to each other. */
INLINE void NAME(plane_near_step)(const struct plane_tile *t, const REAL *x, const REAL *weight, NAME(vec) *acc,
                                  const int vectors)
{
    NAME(ivec) lane;
    UNROLL for (int i = 0; i < NAME(VL); i++) {
        lane[i] = i;
    }
    for (int64_t first = 0; first < t->taps; first += NAME(VL), x += NAME(VL)) {
        const int64_t taps = min64(t->taps - first, NAME(VL));
        NAME(vec) value[PLANE_VECTORS_MAX + 1];
        NAME(ivec) from = lane;
        UNROLL for (int v = 0; v < vectors; v++) {
            value[v] = *(const NAME(vec) *)(x + v * NAME(VL));
        }
        /* The last one ends with the last value that is needed, and is then rotated to where it belongs. */
        value[vectors] = *(const NAME(vec) *)(x + (vectors - 1) * NAME(VL) + taps - 1);
        value[vectors] = NAME(permute)(value[vectors], value[vectors], lane + (BITS)(NAME(VL) + 1 - taps));
        for (int64_t s = 0; s < taps; s++, from += 1) {
            const NAME(vec) w = weight[first + s] - (NAME(vec)){0};
            UNROLL for (int v = 0; v < vectors; v++) {
                acc[v] += NAME(permute)(value[v], value[v + 1], from) * w;
            }
        }
    }
}
#endif

/* rows <= t->rows of taps. single: one channel, so a tap is one number, not one for each lane. */
INLINE void NAME(plane_one_tile)(const struct plane_tile *t, const REAL *x, REAL *y, const int rows, const int vectors,
                                 const bool single)
{
    NAME(vec) acc[PLANE_ROWS_MAX][PLANE_VECTORS_MAX];
    const NAME(vec) bias = *(const NAME(vec) *)t->bias;
    const int64_t taps = t->taps * (single ? 1 : NAME(VL)), step = single ? NAME(VL) : t->step;
    const REAL *weight = t->kernel;
    UNROLL for (int i = 0; i < rows; i++) {
        UNROLL for (int v = 0; v < vectors; v++) {
            acc[i][v] = bias;
        }
    }
    int64_t row = rows - 1;
#ifdef PERMUTE
    for (; rows == 1 && single && t->near && row < t->rows; row++, x += t->x_row, weight += taps) {
        NAME(plane_near_step)(t, x, weight, acc[0], vectors);
    }
#endif
    UNROLL for (int q = 0; q < rows - 1; q++, x += t->x_row, weight += taps) {
        NAME(plane_step)(t, x, weight, acc, 0, q + 1, vectors, single);
    }
    for (; row < t->rows; row++, x += t->x_row, weight += taps) {
        NAME(plane_step)(t, x, weight, acc, 0, rows, vectors, single);
    }
    UNROLL for (int q = 1; q < rows; q++, x += t->x_row) {
        NAME(plane_step)(t, x, weight - taps, acc, q, rows, vectors, single);
    }
    UNROLL for (int i = 0; i < rows; i++) {
        UNROLL for (int v = 0; v < vectors; v++) {
            *(NAME(vec) *)(y + i * t->y_row + v * step) = acc[i][v];
        }
    }
}

INLINE void NAME(plane_tile)(const struct plane_tile *t, const int rows, const int vectors, const bool single)
{
    const int64_t step = vectors * (single ? NAME(VL) : t->step);
    const REAL *x = t->x;
    REAL *y = t->y;
    for (int64_t down = 0; down < (rows == 1 ? t->count : 1); down++, x += t->x_down, y += t->y_row) {
        for (int64_t i = 0; i < t->across; i++) {
            NAME(plane_one_tile)(t, x + i * step, y + i * step, rows, vectors, single);
        }
    }
}

/* Down `count` rows of y with few taps: each row of x gives to as many rows of y as there are rows of taps, whose sums stay
 * in registers and move up by one after every row. The first rows of x also give to rows above, which are not written. */
INLINE void NAME(plane_one_walk)(const struct plane_tile *t, const REAL *x, REAL *y, const int rows, const int taps,
                                 const int vectors, const bool single)
{
    const int64_t step = single ? NAME(VL) : t->step, x_row = t->x_row, y_row = t->y_row, end = t->count + rows - 1;
    const NAME(vec) bias = *(const NAME(vec) *)t->bias;
    NAME(vec) acc[PLANE_WALK_ROWS_MAX][PLANE_VECTORS_MAX], weight[PLANE_WALK_TAPS_MAX];
    int64_t offset[PLANE_WALK_TAPS_MAX];
    UNROLL for (int s = 0; s < rows * taps; s++) {
        if (single) {
            weight[s] = ((const REAL *)t->kernel)[s] - (NAME(vec)){0};
        } else {
            weight[s] = ((const NAME(vec) *)t->kernel)[s];
        }
    }
    UNROLL for (int s = 0; s < taps; s++) {
        offset[s] = t->offset[s];
    }
    UNROLL for (int r = 0; r < rows; r++) {
        UNROLL for (int v = 0; v < vectors; v++) {
            acc[r][v] = bias;
        }
    }
    y -= (rows - 1) * y_row;
    for (int64_t q = 0; q < end; q++, x += x_row, y += y_row) {
        UNROLL for (int s = 0; s < taps; s++) {
            UNROLL for (int v = 0; v < vectors; v++) {
                NAME(vec) value = *(const NAME(vec) *)(x + offset[s] + v * step);
                PIN(value);
                UNROLL for (int r = 0; r < rows; r++) {
                    acc[r][v] += value * weight[(rows - 1 - r) * taps + s];
                }
            }
        }
        if (q >= rows - 1) {
            UNROLL for (int v = 0; v < vectors; v++) {
                *(NAME(vec) *)(y + v * step) = acc[0][v];
            }
        }
        UNROLL for (int v = 0; v < vectors; v++) {
            UNROLL for (int r = 0; r + 1 < rows; r++) {
                acc[r][v] = acc[r + 1][v];
            }
            acc[rows - 1][v] = bias;
        }
    }
}

INLINE void NAME(plane_walk)(const struct plane_tile *t, const int rows, const int taps, const int vectors,
                             const bool single)
{
    const int64_t step = vectors * (single ? NAME(VL) : t->step);
    for (int64_t i = 0; i < t->across; i++) {
        NAME(plane_one_walk)(t, (const REAL *)t->x + i * step, (REAL *)t->y + i * step, rows, taps, vectors, single);
    }
}

/* W(rows of taps, taps, vectors), of one kernel the widest first. With more taps than 3 x 3 there are not enough registers;
 * with a single row of 3, tiles cost a seventh more, most of it at the sides. */
#if defined(SMALL)
#define PLANE_WALKS(W)
#elif REGISTERS == 32
#define PLANE_WALKS(W) W(3, 3, 4) W(3, 3, 1) W(1, 3, 4) W(1, 3, 1)
#else
#define PLANE_WALKS(W) W(3, 3, 2) W(3, 3, 1) W(1, 3, 4) W(1, 3, 1)
#endif

#define DEFINE_PLANE_WALK(rows, taps, vectors)                                                                    \
    AS_WRITTEN TARGET static void NAME(plane_walk_single_##rows##x##taps##_##vectors)(const struct plane_tile *t) \
    {                                                                                                             \
        NAME(plane_walk)(t, rows, taps, vectors, true);                                                           \
    }                                                                                                             \
    AS_WRITTEN TARGET static void NAME(plane_walk_lanes_##rows##x##taps##_##vectors)(const struct plane_tile *t)  \
    {                                                                                                             \
        NAME(plane_walk)(t, rows, taps, vectors, false);                                                          \
    }
PLANE_WALKS(DEFINE_PLANE_WALK)

#define TABLE_PLANE_WALK(rows, taps, vectors)                                                                 \
    {rows, taps, vectors,                                                                                     \
     {NAME(plane_walk_lanes_##rows##x##taps##_##vectors), NAME(plane_walk_single_##rows##x##taps##_##vectors)}},
static const struct plane_walk NAME(plane_walks)[] = {PLANE_WALKS(TABLE_PLANE_WALK){0}};

#undef DEFINE_PLANE_WALK
#undef TABLE_PLANE_WALK
#undef PLANE_WALKS

/* T(rows, vectors), of one width the tallest first; one vector, for the sides, with as many rows as the
 * others. 24 accumulators, 4 vectors of x and a tap fit 32 registers. */
#if defined(SMALL)
#define PLANE_TILES(T) T(3, 2) T(1, 2) T(3, 1) T(1, 1)
#elif REGISTERS == 32
#define PLANE_TILES(T) \
    T(1, 8) T(6, 4) T(4, 4) T(3, 4) T(2, 4) T(1, 4) T(6, 2) T(4, 2) T(3, 2) T(2, 2) T(1, 2) \
    T(6, 1) T(4, 1) T(3, 1) T(2, 1) T(1, 1)
#else
#define PLANE_TILES(T) \
    T(5, 2) T(4, 2) T(3, 2) T(2, 2) T(1, 2) T(3, 3) T(2, 3) T(1, 3) T(5, 1) T(4, 1) T(3, 1) T(2, 1) T(1, 1)
#endif

#define DEFINE_PLANE_TILE(rows, vectors)                                                            \
    AS_WRITTEN TARGET static void NAME(plane_single_##rows##x##vectors)(const struct plane_tile *t) \
    {                                                                                               \
        NAME(plane_tile)(t, rows, vectors, true);                                                   \
    }                                                                                               \
    AS_WRITTEN TARGET static void NAME(plane_lanes_##rows##x##vectors)(const struct plane_tile *t)  \
    {                                                                                               \
        NAME(plane_tile)(t, rows, vectors, false);                                                  \
    }
PLANE_TILES(DEFINE_PLANE_TILE)

#define TABLE_PLANE_TILE(rows, vectors) \
    {rows, vectors, {NAME(plane_lanes_##rows##x##vectors), NAME(plane_single_##rows##x##vectors)}},
static const struct plane_kernel NAME(plane_tiles)[] = {PLANE_TILES(TABLE_PLANE_TILE){0}};

#undef DEFINE_PLANE_TILE
#undef TABLE_PLANE_TILE
#undef PLANE_TILES

/* ---- Gradient of the kernel -------------------------------------------------------------------------------------- */

/* rows x taps sums of vectors. Row q of x meets row q - r of y for tap row r; a bit says which of these exist. */
INLINE void NAME(plane_sums)(const struct plane_sums *t, const int rows, const int taps)
{
    NAME(vec) acc[PLANE_ROWS_MAX][PLANE_TAPS_MAX], *sums = t->sums;
    const REAL *x_row = t->x;
    int64_t offset[PLANE_TAPS_MAX];
    UNROLL for (int s = 0; s < taps; s++) {
        offset[s] = t->offset[s];
        UNROLL for (int r = 0; r < rows; r++) {
            acc[r][s] = sums[r * taps + s];
        }
    }
    for (int64_t q = 0; q < t->rows + rows - 1; q++, x_row += t->x_row) {
        const REAL *y_row = (const REAL *)t->y + q * t->y_row;
        const uint64_t exist = NAME(existing)(t->rows - 1 - q, rows, t->rows) & t->tap_rows;
        if (!exist) {
            continue;
        }
        for (int64_t j = 0; j < t->count; j += t->step) {
            uint64_t bits = exist;
            NAME(vec) value[PLANE_TAPS_MAX];
            PIN_BITS(bits);
            UNROLL for (int s = 0; s < taps; s++) {
                value[s] = *(const NAME(vec) *)(x_row + offset[s] + j);
                PIN(value[s]);
            }
            UNROLL for (int r = 0; r < rows; r++) {
                if (__builtin_expect(bits >> r & 1, 1)) {
                    const NAME(vec) g = *(const NAME(vec) *)(y_row - r * t->y_row + j);
                    UNROLL for (int s = 0; s < taps; s++) {
                        acc[r][s] += value[s] * g;
                    }
                }
            }
        }
    }
    UNROLL for (int r = 0; r < rows; r++) {
        UNROLL for (int s = 0; s < taps; s++) {
            sums[r * taps + s] = acc[r][s];
        }
    }
}

/* S(rows, taps). */
#if defined(SMALL)
#define PLANE_SUMS(S) S(3, 3)
#elif REGISTERS == 32
#define PLANE_SUMS(S) S(3, 3) S(4, 4) S(4, 5)
#else
#define PLANE_SUMS(S) S(3, 3) S(2, 4) S(2, 5)
#endif

#define DEFINE_PLANE_SUMS(rows, taps)                                                          \
    AS_WRITTEN TARGET static void NAME(plane_sums_##rows##x##taps)(const struct plane_sums *t) \
    {                                                                                          \
        NAME(plane_sums)(t, rows, taps);                                                       \
    }
PLANE_SUMS(DEFINE_PLANE_SUMS)

#define TABLE_PLANE_SUMS(rows, taps) {rows, taps, NAME(plane_sums_##rows##x##taps)},
static const struct plane_sums_kernel NAME(plane_sums_kernels)[] = {PLANE_SUMS(TABLE_PLANE_SUMS){0}};

#undef DEFINE_PLANE_SUMS
#undef TABLE_PLANE_SUMS
#undef PLANE_SUMS

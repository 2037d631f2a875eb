/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The micro-kernel of the blocked product: a tile of MR x NV vectors of C in registers. struct tile (internal.h) is its
 * contract. A is read in place by broadcasts with any two strides, so the same kernel serves images (a_col = 1) and the
 * gradient of the kernel (a_row = 1); a runtime stride costs nothing. B is a row of NV vectors a step.
 */

/* Stores row by row: the lines of a row are next to each other. */
INLINE void NAME(put_rows)(REAL *c, int64_t c_row, NAME(vec) (*acc)[NV_MAX], const int rows, const int vectors)
{
    UNROLL for (int i = 0; i < rows; i++, c += c_row) {
        UNROLL for (int j = 0; j < vectors; j++) {
            *(NAME(vec) *)(c + j * NAME(VL)) = acc[i][j];
        }
    }
}

#if defined(MM_MASKED)
/* some: there are never all columns. A store under a mask waits for what is there, so that whole vectors are stored
 * without. */
INLINE void NAME(put_tile)(const struct tile *t, NAME(vec) (*acc)[NV_MAX], const int rows, const int vectors,
                           const bool some)
{
    const int64_t c_row = t->c_row, columns = t->columns;
    if (t->accumulate) {
        UNROLL for (int j = 0; j < vectors; j++) {
            const int64_t count = max64(min64(columns - j * NAME(VL), NAME(VL)), 0);
            const REAL *c = (const REAL *)t->c + j * NAME(VL);
            UNROLL for (int i = 0; i < rows; i++, c += c_row) {
                acc[i][j] += NAME(load_part)(c, count, (NAME(vec)){0});
            }
        }
    }
    REAL *first = t->c;
    if (!some && columns == vectors * NAME(VL)) {
        NAME(put_rows)(first, c_row, acc, rows, vectors);
        return;
    }
    UNROLL for (int j = 0; j < vectors; j++, first += NAME(VL)) {
        const int64_t count = columns - j * NAME(VL);
        REAL *c = first;
        if (count >= NAME(VL)) {
            UNROLL for (int i = 0; i < rows; i++, c += c_row) {
                NAME(store)(c, acc[i][j]);
            }
        } else if (count > 0) {
            UNROLL for (int i = 0; i < rows; i++, c += c_row) {
                NAME(store_part)(c, count, acc[i][j]);
            }
        }
    }
}
#else
/* A half, a quarter, ... of a vector if the number of columns that are left says so. */
#define PUT_PIECE(elements)                                                                               \
    if (NAME(VL) > (elements) && (t->columns - j) & (elements)) {                                          \
        typedef REAL piece __attribute__((vector_size((elements) * sizeof(REAL)), aligned(sizeof(REAL)))); \
        piece value = *(const piece *)(row + j);                                                           \
        if (t->accumulate) {                                                                               \
            value = *(const piece *)(c + j) + value;                                                       \
        }                                                                                                  \
        *(piece *)(c + j) = value;                                                                         \
        j += (elements);                                                                                   \
    }

/* Part of a tile, by way of memory: one function for all tiles, as every one would be several times as long with it. */
LOOPS TARGET static __attribute__((noinline)) void NAME(put_part)(const struct tile *t, int rows,
                                                                  NAME(vec) (*part)[NV_MAX])
{
    for (int i = 0; i < rows; i++) {
        REAL *c = (REAL *)t->c + i * t->c_row;
        const REAL *row = (const REAL *)part[i];
        int64_t j = 0;
        for (; j + NAME(VL) <= t->columns; j += NAME(VL)) {
            NAME(vec) value = *(const NAME(vec) *)(row + j);
            if (t->accumulate) {
                value = *(const NAME(vec) *)(c + j) + value;
            }
            *(NAME(vec) *)(c + j) = value;
        }
        PUT_PIECE(8)
        PUT_PIECE(4)
        PUT_PIECE(2)
        PUT_PIECE(1)
    }
}
#undef PUT_PIECE

INLINE void NAME(put_tile)(const struct tile *t, NAME(vec) (*acc)[NV_MAX], const int rows, const int vectors,
                           const bool some)
{
    const int64_t c_row = t->c_row;
    NAME(vec) part[MR_MAX][NV_MAX]; /* acc would else be in memory */
    if (some || t->columns != vectors * NAME(VL)) {
        UNROLL for (int i = 0; i < rows; i++) {
            UNROLL for (int j = 0; j < vectors; j++) {
                part[i][j] = acc[i][j];
            }
        }
        NAME(put_part)(t, rows, part);
        return;
    }
    if (t->accumulate) {
        const REAL *c = t->c;
        UNROLL for (int i = 0; i < rows; i++, c += c_row) {
            UNROLL for (int j = 0; j < vectors; j++) {
                acc[i][j] += NAME(load)(c + j * NAME(VL));
            }
        }
    }
    NAME(put_rows)(t->c, c_row, acc, rows, vectors);
}
#endif

/* The distances of so many rows fit the registers. */
enum { NAME(ROWS_FEW) = 6 };

/* Of more, row i of A is at base[BASE_OF[i]] + TIMES_OF[i] rows: an address of x86 is one register plus 1, 2, 4 or 8
 * times another, so that these serve 14 rows. Left to itself GCC keeps a distance for each row, most in memory. */
#if defined(__x86_64__)
enum { NAME(BASES) = 4 };
static const signed char NAME(BASE_AT)[NAME(BASES)] = {0, 3, 5, 8};
static const signed char NAME(BASE_OF)[MR_MAX] = {0, 0, 0, 1, 0, 1, 2, 1, 0, 2, 3, 1, 3, 2};
static const signed char NAME(TIMES_OF)[MR_MAX] = {0, 1, 2, 0, 4, 2, 1, 4, 8, 4, 2, 8, 4, 8};
#define PIN_ADDRESS(p) PIN_SCALAR(p)
#else
enum { NAME(BASES) = 1 };
static const signed char NAME(BASE_AT)[NAME(BASES)] = {0};
static const signed char NAME(BASE_OF)[MR_MAX] = {0};
static const signed char NAME(TIMES_OF)[MR_MAX] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13};
#define PIN_ADDRESS(p) ((void)0)
#endif

/* Element i of a column of A. */
INLINE REAL NAME(element_of_a)(const char *const a[NAME(BASES)], int64_t a_row, int i, const int rows)
{
    const bool few = rows <= NAME(ROWS_FEW);
    return *(const REAL *)(a[few ? 0 : NAME(BASE_OF)[i]] + (few ? i : NAME(TIMES_OF)[i]) * a_row);
}

/* A step of the reduction. */
INLINE void NAME(tile_step)(const char *const a[NAME(BASES)], int64_t a_row, const REAL *b, int64_t b_apart,
                            NAME(vec) (*acc)[NV_MAX], const int rows, const int vectors)
{
    NAME(vec) bp[NV_MAX];
    UNROLL for (int j = 0; j < vectors; j++) {
        bp[j] = *(const NAME(vec) *)(b + j * NAME(VL) + (j < 2 ? 0 : b_apart));
        PIN(bp[j]);
    }
    UNROLL for (int i = 0; i < rows; i++) {
        const REAL ai = NAME(element_of_a)(a, a_row, i, rows);
        UNROLL for (int j = 0; j < vectors; j++) {
            acc[i][j] += ai * bp[j];
        }
    }
}

#if defined(HALF_TILES)
/* The same where half of the last vector's columns exist: there a vector has them for two rows, i and i + 1. */
INLINE void NAME(half_tile_step)(const char *const a[NAME(BASES)], int64_t a_row, const REAL *b, int64_t b_apart,
                                 NAME(vec) (*acc)[NV_MAX], const int rows, const int vectors)
{
    NAME(vec) bp[NV_MAX];
    UNROLL for (int j = 0; j < vectors; j++) {
        const REAL *row = b + j * NAME(VL) + (j < 2 ? 0 : b_apart);
        bp[j] = j < vectors - 1 ? *(const NAME(vec) *)row : NAME(load_half_twice)(row);
        PIN(bp[j]);
    }
    UNROLL for (int i = 0; i < rows; i += 2) {
        const int next = i + 1 < rows ? i + 1 : i;
        NAME(vec) one = NAME(all)(NAME(element_of_a)(a, a_row, i, rows)), other = one;
        PIN(one);
        if (next > i) {
            other = NAME(all)(NAME(element_of_a)(a, a_row, next, rows));
            PIN(other);
        }
        UNROLL for (int j = 0; j < vectors - 1; j++) {
            acc[i][j] += one * bp[j];
            if (next > i) {
                acc[next][j] += other * bp[j];
            }
        }
        acc[i][vectors - 1] += NAME(join_halves)(one, other) * bp[vectors - 1];
    }
}
#endif

/* Begins to load the places of the next tile but one along the row: this one's would come too late. One function for
 * all tiles. */
TARGET static __attribute__((noinline)) void NAME(fetch_places)(const struct tile *t, int rows, int vectors)
{
    for (int i = 0; i < rows; i++) {
        const REAL *c = (const REAL *)t->c + (i + 2 * rows) * t->c_row;
        for (int j = 0; j < vectors; j++) {
            fetch_line(c + j * NAME(VL));
        }
    }
}

INLINE void NAME(tile)(const struct tile *t, const int rows, const int vectors, const bool half)
{
    if (t->fetch) {
        NAME(fetch_places)(t, rows, vectors);
    }
    NAME(vec) acc[MR_MAX][NV_MAX];
    UNROLL for (int i = 0; i < rows; i++) {
        UNROLL for (int j = 0; j < vectors; j++) {
            acc[i][j] = (NAME(vec)){0};
        }
    }
    const int64_t length = t->length, a_col = t->a_col * (int64_t)sizeof(REAL), b_row = t->b_row;
    const int64_t b_apart = vectors == 4 ? t->b_apart : 0;
    int64_t a_row = t->a_row * (int64_t)sizeof(REAL);
    const char *ahead = t->ahead ? t->ahead : (const void *)t; /* which is in the first-level cache */
    const int64_t ahead_row = t->ahead ? t->ahead_row : 0;
    for (int64_t s = 0; s < t->segments; s++) {
        const REAL *b = (const REAL *)t->b + t->segment[s].b;
        const char *a[NAME(BASES)];
        UNROLL for (int i = 0; i < NAME(BASES); i++) {
            a[i] = (const char *)((const REAL *)t->a + t->segment[s].a) + NAME(BASE_AT)[i] * a_row;
        }
        for (const REAL *end = b + length * b_row; b != end; b += b_row, ahead += ahead_row) {
            if (vectors > 1) { /* one alone is bound by its loads */
                __builtin_prefetch(ahead, 0, 2);
            }
            if (vectors == 4) {
                __builtin_prefetch(ahead + CACHE_LINE, 0, 2);
            }
            if (rows > NAME(ROWS_FEW)) {
                PIN_ADDRESS(a_row);
            }
#if defined(HALF_TILES)
            if (half) {
                NAME(half_tile_step)(a, a_row, b, b_apart, acc, rows, vectors);
            } else
#endif
                NAME(tile_step)(a, a_row, b, b_apart, acc, rows, vectors);
            UNROLL for (int i = 0; i < NAME(BASES); i++) {
                a[i] += a_col;
                if (rows > NAME(ROWS_FEW)) {
                    PIN_ADDRESS(a[i]);
                }
            }
        }
    }
#if defined(HALF_TILES)
    UNROLL for (int i = 1; i < rows; i += 2) {
        if (half) {
            acc[i][vectors - 1] = NAME(upper_lanes)(acc[i - 1][vectors - 1]);
        }
    }
#endif
    if (t->bias) {
        UNROLL for (int j = 0; j < vectors; j++) {
            const NAME(vec) bias = *(const NAME(vec) *)((const REAL *)t->bias + j * NAME(VL));
            UNROLL for (int i = 0; i < rows; i++) {
                acc[i][j] += bias;
            }
        }
    }
    NAME(put_tile)(t, acc, rows, vectors, half);
}

/* With few registers GCC's -O2 moves sums from one to another in some tiles. */
#if REGISTERS == 16
#define TILE_LOOPS LOOPS
#else
#define TILE_LOOPS
#endif
#define DEFINE_TILE(rows, vectors)                                                    \
    TILE_LOOPS TARGET static void NAME(tile_##rows##x##vectors)(const struct tile *t) \
    {                                                                                 \
        NAME(tile)(t, rows, vectors, false);                                          \
    }
TILES(DEFINE_TILE)
#undef DEFINE_TILE
#if defined(HALF_TILES)
#define DEFINE_TILE(rows, vectors)                                                         \
    TILE_LOOPS TARGET static void NAME(half_tile_##rows##x##vectors)(const struct tile *t) \
    {                                                                                      \
        NAME(tile)(t, rows, vectors, true);                                                \
    }
HALF_TILES(DEFINE_TILE)
#undef DEFINE_TILE
#endif
#undef TILE_LOOPS
#undef PIN_ADDRESS

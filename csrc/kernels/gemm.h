/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The micro-kernel of the blocked product: a tile of MR x NV vectors of C in registers. struct tile (internal.h) is its
 * contract. A is read in place by broadcasts with any two strides, so the same kernel serves images (a_col = 1) and the
 * gradient of the kernel (a_row = 1); a runtime stride costs nothing. B is a row of NV vectors a step.
 */

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

INLINE void NAME(tile)(const struct tile *t, const int rows, const int vectors)
{
    NAME(vec) acc[MR_MAX][NV_MAX];
    UNROLL for (int i = 0; i < rows; i++) {
        UNROLL for (int j = 0; j < vectors; j++) {
            acc[i][j] = (NAME(vec)){0};
        }
    }
    const int64_t length = t->length, a_row = t->a_row, a_col = t->a_col, b_row = t->b_row;
    const char *ahead = t->ahead ? t->ahead : (const void *)t; /* which is in the first-level cache */
    const int64_t ahead_row = t->ahead ? t->ahead_row : 0;
    for (int64_t s = 0; s < t->segments; s++) {
        const REAL *a = (const REAL *)t->a + t->segment[s].a;
        const REAL *b = (const REAL *)t->b + t->segment[s].b;
        for (const REAL *end = b + length * b_row; b != end; a += a_col, b += b_row, ahead += ahead_row) {
            if (vectors > 1) { /* one alone is bound by its loads */
                __builtin_prefetch(ahead, 0, 2);
            }
            NAME(vec) bp[NV_MAX];
            UNROLL for (int j = 0; j < vectors; j++) {
                bp[j] = *(const NAME(vec) *)(b + j * NAME(VL));
                PIN(bp[j]);
            }
            UNROLL for (int i = 0; i < rows; i++) {
                const REAL ai = a[i * a_row];
                UNROLL for (int j = 0; j < vectors; j++) {
                    acc[i][j] += ai * bp[j];
                }
            }
        }
    }
    if (t->bias) {
        UNROLL for (int j = 0; j < vectors; j++) {
            const NAME(vec) bias = *(const NAME(vec) *)((const REAL *)t->bias + j * NAME(VL));
            UNROLL for (int i = 0; i < rows; i++) {
                acc[i][j] += bias;
            }
        }
    }
    const bool whole = t->columns == vectors * NAME(VL);
    NAME(vec) part[MR_MAX][NV_MAX];
    if (whole && t->accumulate) {
        UNROLL for (int i = 0; i < rows; i++) {
            UNROLL for (int j = 0; j < vectors; j++) {
                acc[i][j] += *(const NAME(vec) *)((const REAL *)t->c + i * t->c_row + j * NAME(VL));
            }
        }
    }
    REAL *c = whole ? t->c : part;
    const int64_t c_row = whole ? t->c_row : NV_MAX * NAME(VL);
    UNROLL for (int i = 0; i < rows; i++, c += c_row) {
        UNROLL for (int j = 0; j < vectors; j++) {
            *(NAME(vec) *)(c + j * NAME(VL)) = acc[i][j];
        }
    }
    if (!whole) {
        NAME(put_part)(t, rows, part);
    }
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
        NAME(tile)(t, rows, vectors);                                                 \
    }
TILES(DEFINE_TILE)
#undef DEFINE_TILE
#undef TILE_LOOPS

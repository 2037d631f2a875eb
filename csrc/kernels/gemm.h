/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The micro-kernel of the blocked product: a tile of MR x NV vectors of C in registers. struct tile (internal.h) is its
 * contract. A is read in place by broadcasts with any two strides, so the same kernel serves images (a_col = 1) and the
 * gradient of the kernel (a_row = 1); a runtime stride costs nothing. B is a row of NV vectors a step.
 */
INLINE void NAME(tile)(const struct tile *t, const int rows, const int vectors)
{
    NAME(vec) acc[MR_MAX][NV_MAX];
    UNROLL for (int i = 0; i < rows; i++) {
        UNROLL for (int j = 0; j < vectors; j++) {
            acc[i][j] = (NAME(vec)){0};
        }
    }
    const int64_t length = t->length, a_row = t->a_row, a_col = t->a_col, b_row = t->b_row;
    for (int64_t s = 0; s < t->segments; s++) {
        const REAL *a = (const REAL *)t->a + t->segment[s].a;
        const REAL *b = (const REAL *)t->b + t->segment[s].b;
        for (int64_t p = 0; p < length; p++, a += a_col, b += b_row) {
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
    if (t->columns == vectors * NAME(VL)) {
        UNROLL for (int i = 0; i < rows; i++) {
            UNROLL for (int j = 0; j < vectors; j++) {
                NAME(vec) *c = (NAME(vec) *)((REAL *)t->c + i * t->c_row + j * NAME(VL));
                if (t->accumulate) {
                    acc[i][j] += *c;
                }
                *c = acc[i][j];
            }
        }
        return;
    }
    REAL part[NV_MAX * NAME(VL)] = {0};
    UNROLL for (int i = 0; i < rows; i++) {
        REAL *c = (REAL *)t->c + i * t->c_row;
        UNROLL for (int j = 0; j < vectors; j++) {
            *(NAME(vec) *)(part + j * NAME(VL)) = acc[i][j];
        }
        for (int64_t j = 0; j < t->columns; j++) {
            c[j] = t->accumulate ? c[j] + part[j] : part[j];
        }
    }
}

#define DEFINE_TILE(rows, vectors)                                       \
    TARGET static void NAME(tile_##rows##x##vectors)(const struct tile *t) \
    {                                                                    \
        NAME(tile)(t, rows, vectors);                                    \
    }
TILES(DEFINE_TILE)
#undef DEFINE_TILE

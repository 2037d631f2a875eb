/* SPDX-License-Identifier: BSD-3-Clause
 *
 * All kernels for one element type and one instruction set. Beside the parameters of both_types.h:
 *
 *   REAL      float or double           SUFFIX    f32 or f64
 *   BITS      the integer of its size   IS_F64    1 for double
 *
 * Legal combinations: both types with every instruction set.
 */

/* A vector of REAL that may lie at any address of a REAL; and integers of the same shape, for bits and masks. */
typedef REAL NAME(vec) __attribute__((vector_size(VBYTES), aligned(sizeof(REAL)), may_alias));
typedef BITS NAME(ivec) __attribute__((vector_size(VBYTES)));
enum { NAME(VL) = VBYTES / sizeof(REAL) };

#include "vector.h"
#include "gemm.h"
#include "pack.h"
#include "dot.h"
#include "dense.h"
#include "channels.h"
#include "depthwise.h"
#include "depthwise_gradient.h"
#include "grouped.h"
#include "plane.h"
#include "activation.h"
#include "winograd.h"
#include "fft.h"

#define TABLE_TILE(rows, vectors) [vectors][rows] = NAME(tile_##rows##x##vectors),
#define TABLE_HALF_TILE(rows, vectors) [vectors][rows] = NAME(half_tile_##rows##x##vectors),

static const struct kernels NAME(kernels) = {
    .isa = TEXT(ISA),
    .item = sizeof(REAL),
    .largest = IS_F64 ? DBL_MAX : FLT_MAX,
    .vl = NAME(VL),
    .nv_max = WIDEST,
    .mr_max = TALLEST,
    .tile = {TILES(TABLE_TILE)},
#if defined(HALF_TILES)
    .half_tile = {HALF_TILES(TABLE_HALF_TILE)},
#endif
    .dot_rows = TALLEST_DOT,
    .dots = NAME(dots),
    .add_rows = NAME(add_rows),
    .pack = NAME(pack),
    .gather = NAME(gather),
    .overlay = NAME(overlay),
    .turn = NAME(turn),
    .put = NAME(put),
    .finite = NAME(finite),
    .add = NAME(add),
    .strips = NAME(strips),
    .spreads = NAME(spreads),
    .tap_sums = NAME(tap_sums),
    .repeating_strips = NAME(repeating_strips),
    .repeating_tap_sums = NAME(repeating_tap_sums),
    .group_strips = NAME(group_strips),
    .group_sums = NAME(group_sums_kernels),
    .turn_groups = NAME(turn_groups),
    .repeat_channels = NAME(repeat_channels),
    .sum_channels = NAME(sum_channels),
    .plane_tiles = NAME(plane_tiles),
    .plane_walks = NAME(plane_walks),
    .plane_sums = NAME(plane_sums_kernels),
    .move_pixels = NAME(move_pixels),
    .winograd_input = NAME(winograd_input),
    .winograd_kernel = NAME(winograd_kernel),
    .winograd_output = NAME(winograd_output),
#if defined(STORES_PAST)
    .stores_past = true,
#endif
    .winograd_grad_y = NAME(winograd_grad_y),
    .winograd_grad_kernel = NAME(winograd_grad_kernel),
    .fft_table = NAME(fft_table),
    .fft_forward = NAME(fft_forward),
    .fft_inverse = NAME(fft_inverse),
    .fft_filter = NAME(fft_filter),
    .fft_multiply = NAME(fft_multiply),
    .fft_transpose = NAME(fft_transpose),
    .fft_load = NAME(fft_load),
    .fft_store = NAME(fft_store),
    ACTIVATION_TABLE
};

#undef TABLE_TILE
#undef TABLE_HALF_TILE
#undef TALLEST_DOT

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Winograd's F(4x4, 3x3): a correlation with 3 x 3 taps, tile by tile of 4 x 4 outputs, in 36 products in place of 144
 * (kernels/winograd.h has the mathematics):
 *
 *     V[t][i] = 6 x 6 pixels transformed        [channels]      i = 0 .. 35, for each tile t
 *     U[i]    = the kernel transformed          [channels][kernels]
 *     M[t][i] = sum over channels V[t][i] U[i]  [kernels]
 *     y       = M[t] transformed                4 x 4 pixels a tile
 *
 * The 36 products run through the register tiles of the blocked product. Work is a block of tiles by a panel of kernels:
 *
 *     many tiles    U is made first; a unit of work makes V of a block of tiles, then goes through all panels
 *     few tiles     V is made first; a unit of work makes U of a panel piece by piece, in the cache where it is used
 *
 * The channels are summed in pieces of at most PIECE, M holding the sum so far: that loses little time and makes the
 * error much smaller. No sum depends on how the work is cut.
 *
 * A tile that comes out with a value that is not finite (a NaN or an infinity, or an overflow on the way) is computed again
 * as the plain sum. A kernel that is not finite goes to the general algorithm as a whole.
 */
#include <math.h>
#include <string.h>

#include "winograd.h"

enum { PIECE = 64 };

/* Tiles of a block: enough for U to be read from afar, as few as let V and M share the second-level cache with it; and bytes
 * of V, which with many channels leave room for fewer. More of both where U is larger than a third-level cache. */
enum { BLOCK_TILES = 28, BLOCK_V_BYTES = 2 << 20, FAR_U_BYTES = 24 << 20, FAR_U_TILES = 42, FAR_U_V_BYTES = 3 << 20 };
enum { FEW_TILES = 64, FEW_V_BYTES = 6 << 20 };

/* The most channels of x for which V of a few tiles fits a lane's share of memory, and bytes of the transformed kernel. */
enum { CHANNELS_MAX = 2048, TRANSFORMED_BYTES_MAX = 1 << 28 };

struct job {
    struct correlation c;            /* one group of it */
    struct grid grid;
    int64_t pieces, piece;           /* of the channels; all but the last have `piece` */
    int64_t panels, width;           /* of the kernels; columns of the widest */
    bool few, far;                   /* few tiles; x and y come from memory */
    bool past;                       /* y goes there past the caches */
    int64_t blocks;                  /* of tiles */
    int64_t block_tiles;             /* of the largest */
    char *shared, *lanes;            /* V or U as a whole; what each lane has */
    const char *u;                   /* U as a whole, or NULL: then each panel makes its own */
    atomic_bool finite;              /* the kernel is */
    int threads;
};

/* ---- Sizes and places, in elements ---------------------------------------------------------------------------------- */

static int64_t item(const struct job *job) { return (int64_t)job->c.kernels->item; }

/* Planes of U lie an odd number of cache lines apart, as do tiles of V and M, so that one line of each of them finds room
 * in the first-level cache. */
static int64_t plane(const struct job *job, int64_t rows, int64_t width)
{
    return odd_lines(rows * width, item(job));
}

static int64_t first_channel(const struct job *job, int64_t piece) { return piece * job->piece; }

static int64_t channels(const struct job *job, int64_t piece)
{
    return min64(job->piece, job->c.x.c - first_channel(job, piece));
}

static int64_t u_plane(const struct job *job, int64_t width) { return plane(job, job->piece, width); }

/* From one tile to the next: of a piece in V, of a panel in M. */
static int64_t v_tile(const struct job *job) { return plane(job, PLANES, job->piece); }
static int64_t m_tile(const struct job *job) { return plane(job, PLANES, job->width); }

static int64_t v_elements(const struct job *job, int64_t tiles) { return job->pieces * tiles * v_tile(job); }
static int64_t u_elements(const struct job *job)
{
    return job->panels * job->pieces * PLANES * u_plane(job, job->width);
}

/* Taps of a piece by a panel, and the pixels of a tile, for those computed again. */
static int64_t taps_elements(const struct job *job) { return TAPS * job->piece * job->width; }
static int64_t patch_elements(const struct job *job) { return PLANES * job->piece; }

static int64_t zeros_elements(const struct job *job) { return plane(job, 1, job->c.x.c); }

static int64_t shared_elements(const struct job *job)
{
    return job->few ? v_elements(job, job->grid.tiles) : job->c.prepared ? 0 : u_elements(job);
}

static int64_t lane_elements(const struct job *job)
{
    const int64_t own = job->few ? PLANES * u_plane(job, job->width) : v_elements(job, job->block_tiles);
    return own + job->block_tiles * m_tile(job) + plane(job, taps_elements(job) + patch_elements(job), 1);
}

/* A lane's V or piece of U; M; taps and pixels. */
struct lane {
    char *own, *m, *taps, *patch;
};

static struct lane lane_at(const struct job *job, int lane)
{
    char *base = job->lanes + lane * lane_elements(job) * item(job);
    char *taps = base + (lane_elements(job) - plane(job, taps_elements(job) + patch_elements(job), 1)) * item(job);
    return (struct lane){
        .own = base, .m = taps - job->block_tiles * m_tile(job) * item(job), .taps = taps,
        .patch = taps + taps_elements(job) * item(job),
    };
}

/* ---- V ------------------------------------------------------------------------------------------------------------------ */

static char *output(const struct job *job, const struct place *place, int64_t column)
{
    const struct correlation *c = &job->c;
    return at(c->y, place->n * c->y_image + place->row * c->y_row + place->col * c->y_pixel + column,
              c->kernels->item);
}

/* Pixel i of a patch. */
static const void *patch_pixel(const struct patch *patch, int64_t i, size_t size)
{
    return patch->base ? at(patch->base, i / 6 * patch->row + i % 6 * patch->pixel, size) : patch->at[i];
}

/* V of some tiles, at `row` and on of `tiles` tiles. */
static void transform_tiles(const struct job *job, const struct place *places, int64_t count, int64_t row,
                            int64_t tiles, char *v)
{
    for (int64_t t = 0; t < count; t++) {
        struct patch patch;
        if (job->far && t + TILES_AHEAD < count) {
            fetch_tile_of_x(&job->grid, &places[t + TILES_AHEAD]);
        }
        find_patch(&job->grid, &places[t], &patch);
        for (int64_t q = 0; q < job->pieces; q++) {
            job->c.kernels->winograd_input(&patch, first_channel(job, q), channels(job, q),
                                           at(v, (q * tiles + row + t) * v_tile(job), job->c.kernels->item),
                                           job->piece);
        }
    }
}

/* ---- U ------------------------------------------------------------------------------------------------------------------ */

/* Taps of a piece by a panel as [9][channels][width]: turned over where the kernels do not lie side by side, and filled up
 * with zeros where they end within a vector. */
static void copy_taps(const struct job *job, const struct panel *panel, int64_t q, char *taps)
{
    const struct correlation *c = &job->c;
    const int64_t width = panel->vectors * c->kernels->vl, count = channels(job, q);
    for (int64_t tap = 0; tap < TAPS; tap++) {
        const int64_t from = tap / 3 * c->kernel_tap[0] + tap % 3 * c->kernel_tap[1] +
                             first_channel(job, q) * c->kernel_c + panel->first * c->kernel_k;
        c->kernels->pack(at(taps, tap * count * width, c->kernels->item), width, at(c->kernel, from, c->kernels->item),
                         count, panel->columns, c->kernel_c, c->kernel_k);
    }
}

static void transform_kernel(struct job *job, const struct panel *panel, int64_t q, char *taps, char *u)
{
    const struct correlation *c = &job->c;
    const int64_t width = panel->vectors * c->kernels->vl, count = channels(job, q);
    int64_t tap[2] = {c->kernel_tap[0], c->kernel_tap[1]}, row = c->kernel_c;
    const void *kernel = at(c->kernel, first_channel(job, q) * row + panel->first, c->kernels->item);
    if (c->kernel_k != 1 || panel->columns < width) {
        copy_taps(job, panel, q, taps);
        kernel = taps;
        row = width;
        tap[0] = 3 * count * width;
        tap[1] = count * width;
    }
    if (!c->kernels->winograd_kernel(kernel, tap, row, count, width, u, u_plane(job, job->width))) {
        atomic_store_explicit(&job->finite, false, memory_order_relaxed);
    }
}

/* Piece q of panel p in U as a whole. */
static char *u_at(const struct job *job, const void *u, int64_t p, int64_t q)
{
    return at(u, (p * job->pieces + q) * PLANES * u_plane(job, job->width), job->c.kernels->item);
}

/* ---- M and y -------------------------------------------------------------------------------------------------------------- */

/* M (+)= V U for one piece of the channels; v: that of the first tile. If U is there as a whole, it is read from afar: the
 * products of a plane fetch the next one, a line of each row by a register tile. */
static void multiply(const struct job *job, const struct panel *panel, int64_t q, const char *v, int64_t tiles,
                     const char *u, char *m)
{
    const struct kernels *kernels = job->c.kernels;
    const struct segment whole = {0, 0};
    const int64_t width = panel->vectors * kernels->vl, parts = ceil_div(tiles, tallest(kernels, panel));
    const int64_t lines = job->u ? width * item(job) / CACHE_LINE : 0;
    int64_t first[FEW_TILES + 1];
    for (int64_t part = 0; part <= parts; part++) {
        first[part] = tiles * part / parts;
    }
    struct tile tile = {
        .segments = 1, .segment = &whole, .length = channels(job, q), .a_row = v_tile(job), .a_col = 1, .b_row = width,
        .c_row = m_tile(job), .columns = width, .accumulate = q > 0, .ahead_row = width * item(job),
    };
    for (int64_t i = 0; i < PLANES; i++) {
        const char *next = at(u, (i + 1) * u_plane(job, job->width), kernels->item);
        tile.b = at(u, i * u_plane(job, job->width), kernels->item);
        for (int64_t part = 0; part < parts; part++) {
            tile.a = at(v, i * job->piece + first[part] * v_tile(job), kernels->item);
            tile.c = at(m, i * width + first[part] * m_tile(job), kernels->item);
            tile.ahead = part < lines ? next + part * CACHE_LINE : NULL;
            panel_tile(kernels, panel, first[part + 1] - first[part])(&tile);
        }
    }
}

/* The bytes of the widest tile: vectors have 64 bytes at most. */
enum { BIAS_BYTES = NV_MAX * 64 };

/* Bias of a panel, padded to whole vectors as the kernels read it. */
static const void *panel_bias(const struct correlation *c, const struct panel *panel, char *buffer)
{
    if (!c->bias) {
        return NULL;
    }
    memset(buffer, 0, BIAS_BYTES);
    memcpy(buffer, at(c->bias, panel->first, c->kernels->item), (size_t)panel->columns * c->kernels->item);
    return buffer;
}

/* The plain sum over a piece of the channels, for a panel of the outputs of a tile. */
static void add_piece(const struct job *job, const struct panel *panel, int64_t q, const struct place *place,
                      const struct lane *lane, const void *bias)
{
    const struct kernels *kernels = job->c.kernels;
    const int64_t width = panel->vectors * kernels->vl, count = channels(job, q);
    struct patch patch;
    find_patch(&job->grid, place, &patch);
    for (int64_t i = 0; i < PLANES; i++) {
        memcpy(lane->patch + i * count * item(job), at(patch_pixel(&patch, i, kernels->item), first_channel(job, q), kernels->item),
               (size_t)(count * item(job)));
    }
    const struct segment run[3] = {{0, 0}, {6 * count, 3 * count * width}, {12 * count, 6 * count * width}};
    struct tile tile = {
        .segments = 3, .segment = run, .length = 3 * count, .a_row = count, .a_col = 1, .b = lane->taps,
        .b_row = width, .c_row = job->c.y_pixel, .bias = q == job->pieces - 1 ? bias : NULL,
        .columns = panel->columns, .accumulate = q > 0,
    };
    for (int64_t i = 0; i < place->rows; i++) {
        tile.a = lane->patch + i * 6 * count * item(job);
        tile.c = output(job, place, panel->first + i * job->c.y_row);
        panel_tile(kernels, panel, place->cols)(&tile);
    }
}

/* Tiles of a block that have to be computed again. */
struct again {
    int64_t count;
    const struct place *place[FEW_TILES];
};

static void compute_again(const struct job *job, const struct panel *panel, const struct again *again,
                          const struct lane *lane, const void *bias)
{
    for (int64_t q = 0; q < job->pieces; q++) {
        copy_taps(job, panel, q, lane->taps);
        for (int64_t i = 0; i < again->count; i++) {
            add_piece(job, panel, q, again->place[i], lane, bias);
        }
    }
}

static void finish(struct job *job, const struct panel *panel, const struct place *places, int64_t tiles,
                   const struct lane *lane)
{
    const struct correlation *c = &job->c;
    const int64_t width = panel->vectors * c->kernels->vl;
    _Alignas(CACHE_LINE) char buffer[BIAS_BYTES];
    const void *bias = panel_bias(c, panel, buffer);
    const struct pixels y = {at(c->y, panel->first, c->kernels->item), c->y_image, c->y_row, c->y_pixel, c->oh, c->ow,
                             panel->columns, c->kernels->item};
    struct again again = {0};
    for (int64_t t = 0; t < tiles; t++) {
        const struct place *place = &places[t];
        if (job->far && !job->past && t + TILES_AHEAD < tiles) {
            fetch_tile(&y, &places[t + TILES_AHEAD], 0, 0);
        }
        if (!c->kernels->winograd_output(at(lane->m, t * m_tile(job), c->kernels->item), width, bias, panel->columns,
                                         output(job, place, panel->first), c->y_row, c->y_pixel, place->rows,
                                         place->cols, job->past)) {
            again.place[again.count++] = place;
        }
    }
    if (job->past) {
        finish_stores_past();
    }
    if (again.count && atomic_load_explicit(&job->finite, memory_order_relaxed)) {
        compute_again(job, panel, &again, lane, bias);
    }
}

/* Tiles side by side together: short rows take longer. */
static void activate_tiles(const struct job *job, const struct place *places, int64_t tiles)
{
    const struct correlation *c = &job->c;
    for (int64_t first = 0, t = 0; t < tiles; t++) {
        const struct place *place = &places[first], *last = &places[t];
        if (t + 1 < tiles && places[t + 1].row == place->row && places[t + 1].n == place->n) {
            continue;
        }
        activate_rows(c->kernels, &c->activation, output(job, place, 0), place->rows, c->y_row,
                      last->col + last->cols - place->col, c->k, c->y_pixel);
        first = t + 1;
    }
}

/* ---- Units of work ----------------------------------------------------------------------------------------------------- */

static int64_t first_tile(const struct job *job, int64_t block) { return job->grid.tiles * block / job->blocks; }

/* Many tiles: U of panel i / pieces, piece i % pieces. */
static void make_u(void *data, int lane, int64_t i)
{
    struct job *job = data;
    const struct panel panel = panel_at(job->c.kernels, job->c.k, i / job->pieces);
    transform_kernel(job, &panel, i % job->pieces, lane_at(job, lane).taps,
                     u_at(job, job->shared, i / job->pieces, i % job->pieces));
}

/* Many tiles: block i. */
static void run_block(void *data, int lane_number, int64_t i)
{
    struct job *job = data;
    const struct lane lane = lane_at(job, lane_number);
    const int64_t first = first_tile(job, i), tiles = first_tile(job, i + 1) - first;
    struct place places[FAR_U_TILES];
    find_places(&job->grid, first, tiles, places);
    transform_tiles(job, places, tiles, 0, job->block_tiles, lane.own);
    for (int64_t p = 0; p < job->panels; p++) {
        const struct panel panel = panel_at(job->c.kernels, job->c.k, p);
        for (int64_t q = 0; q < job->pieces; q++) {
            multiply(job, &panel, q, at(lane.own, q * job->block_tiles * v_tile(job), job->c.kernels->item), tiles,
                     u_at(job, job->u, p, q), lane.m);
        }
        finish(job, &panel, places, tiles, &lane);
    }
    if (job->c.activation.kind != CHANCONV_IDENTITY) {
        activate_tiles(job, places, tiles);
    }
}

/* Few tiles: V of tile i. */
static void make_v(void *data, int lane, int64_t i)
{
    const struct job *job = data;
    struct place place;
    find_places(&job->grid, i, 1, &place);
    (void)lane;
    transform_tiles(job, &place, 1, i, job->grid.tiles, job->shared);
}

/* Few tiles: piece q of panel p of U, made by the lane if it is not there. */
static const char *own_u(struct job *job, const struct panel *panel, int64_t p, int64_t q, const struct lane *lane)
{
    if (job->u) {
        return u_at(job, job->u, p, q);
    }
    transform_kernel(job, panel, q, lane->taps, lane->own);
    return lane->own;
}

/* Few tiles: panel i. */
static void run_panel(void *data, int lane_number, int64_t i)
{
    struct job *job = data;
    const struct lane lane = lane_at(job, lane_number);
    const struct panel panel = panel_at(job->c.kernels, job->c.k, i);
    struct place places[FEW_TILES];
    find_places(&job->grid, 0, job->grid.tiles, places);
    for (int64_t q = 0; q < job->pieces; q++) {
        const char *u = own_u(job, &panel, i, q, &lane);
        multiply(job, &panel, q, at(job->shared, q * job->grid.tiles * v_tile(job), job->c.kernels->item), job->grid.tiles, u,
                 lane.m);
    }
    finish(job, &panel, places, job->grid.tiles, &lane);
}

static void activate_tile(void *data, int lane, int64_t i)
{
    const struct job *job = data;
    struct place place;
    find_places(&job->grid, i, 1, &place);
    (void)lane;
    activate_tiles(job, &place, 1);
}

static void run_units_of(chanconv_context *context, struct job *job)
{
    if (job->few) {
        run_units(context, job->threads, job->grid.tiles, make_v, job);
        run_units(context, job->threads, job->panels, run_panel, job);
        if (job->c.activation.kind != CHANCONV_IDENTITY) {
            run_units(context, job->threads, job->grid.tiles, activate_tile, job);
        }
    } else {
        if (!job->u) {
            run_units(context, job->threads, job->panels * job->pieces, make_u, job);
            job->u = job->shared;
        }
        run_units(context, job->threads, job->blocks, run_block, job);
    }
}

/* ---- The whole ----------------------------------------------------------------------------------------------------------- */

/* What follows from the kernel: how U is laid out. */
static void plan_kernel(struct job *job)
{
    const struct correlation *c = &job->c;
    job->pieces = ceil_div(c->x.c, PIECE);
    job->piece = padded_columns(c->kernels, ceil_div(c->x.c, job->pieces));
    job->panels = panel_count(c->kernels, c->k);
    job->width = panel_at(c->kernels, c->k, job->panels - 1).vectors * c->kernels->vl;
    job->width = job->panels > 1 ? max64(job->width, 2 * c->kernels->vl) : job->width;
}

static int64_t fitting_tiles(const struct job *job)
{
    const bool far = u_elements(job) * item(job) > FAR_U_BYTES;
    const int64_t v_bytes = v_elements(job, 1) * item(job);
    return max64(far ? min64(FAR_U_TILES, FAR_U_V_BYTES / v_bytes) : min64(BLOCK_TILES, BLOCK_V_BYTES / v_bytes), 1);
}

/* Whether every pixel of y is whole cache lines. If y is large these are written without being read before, 5 % of the time
 * of 224 x 224 x 64, and leave the caches to V and M; an activation would read them again, and tiles that are activated in a
 * copy before take as long as those whose rows are activated later. What reads y next finds less of it there: of x and y together
 * 12 MiB that costs it as much, from 16 on less. */
static bool lies_in_lines(const struct correlation *c)
{
    return lies_at_line(c->y, c->k | c->y_pixel | c->y_row | c->y_image | c->y_group, c->kernels->item);
}

static struct job job_of(const struct correlation *c, int threads)
{
    struct job job = {.c = *c, .threads = threads, .grid = grid_of(c)};
    plan_kernel(&job);
    job.few = job.grid.tiles <= FEW_TILES && v_elements(&job, job.grid.tiles) * item(&job) <= FEW_V_BYTES;
    const int64_t fitting = fitting_tiles(&job);
    job.blocks = job.few ? 1 : ceil_div(ceil_div(job.grid.tiles, fitting), threads) * threads;
    job.blocks = min64(job.blocks, job.grid.tiles);
    job.block_tiles = ceil_div(job.grid.tiles, job.blocks);
    job.far = !job.few && come_from_memory(&job.grid, c->k, c->groups);
    job.past = job.far && c->kernels->stores_past && c->activation.kind == CHANCONV_IDENTITY && lies_in_lines(c);
    return job;
}

/* ---- The kernel, prepared: U of one group after the other, then room for what its making takes ---------------------------- */

static int64_t prepared_bytes(const struct correlation *c)
{
    struct job job = {.c = *c};
    plan_kernel(&job);
    return (int64_t)sizeof(struct prepared) +
           (c->groups * u_elements(&job) + plane(&job, taps_elements(&job), 1)) * item(&job);
}

static void prepare(const struct correlation *c, struct prepared *prepared)
{
    struct job job = {.c = *c};
    plan_kernel(&job);
    const int64_t size = u_elements(&job);
    char *taps = at(prepared + 1, c->groups * size, c->kernels->item);
    atomic_init(&job.finite, true);
    for (int64_t i = 0; i < c->groups * job.panels * job.pieces; i++) {
        const int64_t p = i / job.pieces % job.panels, g = i / job.pieces / job.panels;
        const struct panel panel = panel_at(c->kernels, c->k, p);
        job.c.kernel = at(c->kernel, g * c->kernel_group, c->kernels->item);
        transform_kernel(&job, &panel, i % job.pieces, taps,
                         u_at(&job, at(prepared + 1, g * size, c->kernels->item), p, i % job.pieces));
    }
    prepared->finite = atomic_load(&job.finite);
}

static int64_t job_bytes(const struct job *job)
{
    return (zeros_elements(job) + shared_elements(job) + job->threads * lane_elements(job)) * item(job);
}

/* One group after the other; *finite: whether the kernel was. */
static chanconv_status run_groups(chanconv_context *context, const struct correlation *c, bool *finite)
{
    struct job job = job_of(c, worthwhile_threads(context, correlation_flops(c)));
    const size_t bytes = (size_t)job_bytes(&job);
    char *scratch = take_scratch(context, bytes);
    if (!scratch) {
        return CHANCONV_NO_MEMORY;
    }
    memset(scratch, 0, (size_t)(zeros_elements(&job) * item(&job)));
    job.grid.zeros = scratch;
    job.shared = at(scratch, zeros_elements(&job), c->kernels->item);
    job.lanes = at(job.shared, shared_elements(&job), c->kernels->item);
    atomic_init(&job.finite, !c->prepared || c->prepared->finite);
    for (int64_t g = 0; g < c->groups && atomic_load(&job.finite); g++) {
        job.u = c->prepared ? at(c->prepared + 1, g * u_elements(&job), c->kernels->item) : NULL;
        job.c.x.data = job.grid.x.data = at(c->x.data, g * c->x_group, c->kernels->item);
        job.c.y = at(c->y, g * c->y_group, c->kernels->item);
        job.c.kernel = at(c->kernel, g * c->kernel_group, c->kernels->item);
        job.c.bias = c->bias ? at(c->bias, g * c->k, c->kernels->item) : NULL;
        run_units_of(context, &job);
    }
    *finite = atomic_load(&job.finite);
    release_scratch(context, scratch, bytes);
    return CHANCONV_OK;
}

/* Borders of the gradient of x are too thin for tiles. */
static bool is_thin(const struct correlation *c) { return c->bounded && min64(c->oh, c->ow) < 3; }

static chanconv_status winograd_correlate(chanconv_context *context, const struct correlation *c)
{
    if (c->x.n == 0 || c->oh < 1 || c->ow < 1 || c->k == 0) {
        return CHANCONV_OK;
    }
    if (is_thin(c)) {
        struct correlation plain = *c;
        plain.prepared = NULL;
        return correlate(context, &plain);
    }
    bool finite = true;
    const chanconv_status status = run_groups(context, c, &finite);
    return finite ? status : CORRELATE_NOT_FINITE;
}

static int64_t winograd_bytes(const struct correlation *c, int threads)
{
    const struct job job = job_of(c, threads);
    return max64(job_bytes(&job), c->bounded ? correlation_bytes(c, threads) : 0);
}

static const struct correlator correlator = {winograd_correlate, winograd_bytes, prepared_bytes, prepare};

static chanconv_status run(chanconv_context *context, const struct geometry *g, chanconv_pass pass,
                           const struct arrays *arrays)
{
    if (pass == CHANCONV_GRAD_X) {
        return gradient_of_x(context, g, arrays, &correlator);
    }
    bool finite = true;
    chanconv_status status;
    if (pass == CHANCONV_GRAD_KERNEL) {
        status = winograd_gradient(context, g, arrays, &finite);
    } else {
        const struct correlation c = forward_correlation(g, arrays);
        status = winograd_correlate(context, &c);
        finite = status != CORRELATE_NOT_FINITE;
    }
    if (finite) {
        return status;
    }
    struct arrays plain = *arrays;
    plain.prepared = NULL;
    return algorithm_gemm.run(context, g, pass, &plain);
}

static int64_t pass_prepared_bytes(const struct geometry *g, chanconv_pass pass)
{
    const struct arrays none = {0};
    if (pass == CHANCONV_GRAD_KERNEL) {
        return 0;
    }
    const struct correlation c = forward_correlation(g, &none);
    return pass == CHANCONV_FORWARD ? prepared_bytes(&c) : prepared_gradient_of_x_bytes(g, &correlator);
}

static void pass_prepare(const struct geometry *g, chanconv_pass pass, const void *kernel, void *prepared)
{
    const struct arrays arrays = {.kernel = kernel};
    const struct correlation c = forward_correlation(g, &arrays);
    if (pass == CHANCONV_FORWARD) {
        prepare(&c, prepared);
    } else {
        prepare_gradient_of_x(g, kernel, &correlator, prepared);
    }
}

static void plan(const struct geometry *g, chanconv_pass pass, chanconv_plan *plan)
{
    const int64_t columns = pass == CHANCONV_GRAD_X ? g->cg : g->kg;
    const struct arrays none = {0};
    const struct correlation c = forward_correlation(g, &none);
    if (columns == 0 || g->n == 0) {
        return;
    }
    const struct panel panel = panel_at(c.kernels, columns, 0);
    plan->tile[0] = (int32_t)tallest(c.kernels, &panel);
    plan->tile[1] = (int32_t)(panel.vectors * c.kernels->vl);
    plan->workspace_bytes = pass == CHANCONV_FORWARD  ? winograd_bytes(&c, plan->threads)
                            : pass == CHANCONV_GRAD_X ? gradient_of_x_bytes(g, plan->threads, &correlator)
                                                      : winograd_gradient_bytes(g, plan->threads);
}

/* ---- The choice ------------------------------------------------------------------------------------------------------------ */

/* What an image of one group costs, in multiply-adds of one lane. The figures beside the counts of products were fitted to
 * measurements with AVX-512: a tile and channel on the way in, and out; a tap's share of a kernel to transform; a register
 * tile to begin and end; a tap to read for the plain sum. A kernel that is too large for the second-level cache once it is
 * transformed comes from afar, too, in most networks. They are cycles of a vector's work, so that they hold for other
 * vectors too. */
static double product_rate(const struct kernels *kernels, double columns)
{
    return columns > (double)kernels->vl ? 0.92 : 0.65; /* tiles one vector wide are bound by their loads */
}

static double to_vectors(const struct kernels *kernels, double count)
{
    return ceil(count / (double)kernels->vl) * (double)kernels->vl;
}

static double winograd_cost(const struct kernels *kernels, double channels, double columns, double tiles)
{
    const double c = to_vectors(kernels, channels), k = to_vectors(kernels, columns);
    const double bytes = PLANES * channels * columns * (double)kernels->item, transform = bytes > 3 << 20 ? 360 : 200;
    const double register_tiles = ceil(tiles / MR_MAX) * ceil(k / (2 * (double)kernels->vl));
    return PLANES * (channels * k * tiles / product_rate(kernels, columns) + register_tiles * 200 * (double)kernels->vl) +
           370 * c * tiles + 360 * k * tiles + transform * channels * k;
}

/* The plain sum: by output channels across vectors, or if they are few (narrow.c) by pixels. */
static double plain_cost(const struct kernels *kernels, double channels, double columns, double windows, bool in_place)
{
    const double vectors = channels * to_vectors(kernels, columns) / product_rate(kernels, columns);
    const double narrow = channels * columns + (double)kernels->vl / 6 * channels;
    const double few = columns <= kernels->mr_max[1] ? fmin(narrow, vectors) : vectors;
    return TAPS * (few * windows + (in_place ? 4 : 17) * channels * columns);
}

/* Taps that meet x, of all windows along an axis, as a share of 3: the plain sum leaves out the rows of others. */
static double windows_on_x(const struct geometry *g, int axis)
{
    const int64_t out = axis ? g->ow : g->oh, size = axis ? g->w : g->h;
    int64_t taps = 0;
    for (int64_t tap = 0; tap < 3; tap++) {
        const int64_t first = max64(g->pad[axis][0] - tap, 0), end = min64(size + g->pad[axis][0] - tap, out);
        taps += max64(end - first, 0);
    }
    return (double)taps / 3;
}

/* The gradient of the kernel: likewise; the plain sum is that of kernel_gradient.c, or narrow_gradient.c. */
static bool gradient_pays(const struct kernels *kernels, const struct geometry *g)
{
    const double c = (double)g->cg, k = to_vectors(kernels, (double)g->kg), vl = (double)kernels->vl;
    const double tiles = (double)ceil_div(g->oh, 4) * (double)ceil_div(g->ow, 4);
    const double windows = windows_on_x(g, 0) * (double)g->ow, rate = product_rate(kernels, (double)g->kg);
    const double register_tiles = ceil(c / MR_MAX) * ceil(k / (2 * vl));
    const double cost = PLANES * (c * k * tiles / rate + register_tiles * 200 * vl) +
                        370 * (to_vectors(kernels, c) + k) * tiles + 400 * c * k;
    const double product = kernel_gradient_cost(g) * vl / product_rate(kernels, INFINITY);
    const double margin = fmin(c, (double)g->kg) < 2 * vl ? 0.55 : 0.9; /* transforms of few channels take longer */
    return cost < margin * windows * fmin(product, TAPS * c * ((double)g->kg + 9));
}

/* By one image of the batch alone, so that an image has the same bits in any batch. */
static bool pays(const struct geometry *g, chanconv_pass pass)
{
    const struct kernels *kernels = kernels_for(g->dtype);
    if (pass == CHANCONV_GRAD_KERNEL) {
        return gradient_pays(kernels, g);
    }
    const bool forward = pass == CHANCONV_FORWARD;
    const double channels = (double)(forward ? g->cg : g->kg), columns = (double)(forward ? g->kg : g->cg);
    const double tiles = (double)ceil_div(forward ? g->oh : g->h, 4) * (double)ceil_div(forward ? g->ow : g->w, 4);
    const double windows = windows_on_x(g, 0) * (double)g->ow;
    const struct arrays none = {0};
    const struct correlation c = forward_correlation(g, &none);
    const bool in_place = forward && reads_kernel_in_place(&c);
    return winograd_cost(kernels, channels, columns, tiles) <
           0.9 * plain_cost(kernels, channels, columns, windows, in_place);
}

static const char *decline(const struct geometry *g, chanconv_pass pass)
{
    const int64_t channels = pass == CHANCONV_GRAD_X ? g->kg : g->cg, kernels = pass == CHANCONV_GRAD_X ? g->cg : g->kg;
    if (g->kh != 3 || g->kw != 3 || g->stride[0] != 1 || g->stride[1] != 1 || g->dilation[0] != 1 ||
        g->dilation[1] != 1) {
        return "it is for 3x3 kernels, stride 1 and dilation 1";
    }
    if (channels < 1 || channels > CHANNELS_MAX ||
        kernels > TRANSFORMED_BYTES_MAX / PLANES / channels / (int64_t)g->item) {
        return "the kernel is too large or empty";
    }
    if (g->precision == CHANCONV_STRICT) {
        return "the precision is strict";
    }
    return g->algorithm == CHANCONV_WINOGRAD || pays(g, pass)
               ? NULL
               : "the plain sum takes less time for so few tiles or channels";
}

const struct algorithm algorithm_winograd = {
    .id = CHANCONV_WINOGRAD, .decline = decline, .plan = plan, .run = run, .prepared_bytes = pass_prepared_bytes,
    .prepare = pass_prepare};

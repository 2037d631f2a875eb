/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Kernels that are kept: a copy, and beside it what the algorithm of a pass would otherwise make of the kernel in every
 * call (panels of the blocked product, Winograd's transform). The copy serves calls whose image has another algorithm, and
 * values that are not finite.
 */
#include <string.h>

#include "internal.h"

enum { PACKED_MAGIC = 0x6b6e6c63 };

/* What a kernel was packed for: what its layout follows from. */
struct purpose {
    const struct kernels *kernels; /* instruction set and dtype */
    int64_t pass, kh, kw, cg, k, groups, stride[2], dilation[2];
};

struct chanconv_packed {
    _Alignas(CACHE_LINE) uint32_t magic;
    struct purpose purpose;
    const struct algorithm *algorithm;
    size_t bytes;               /* of it all */
    int64_t kernel_bytes;       /* of the copy, which comes right behind */
    const struct prepared *prepared; /* ... and is followed by this, or NULL */
};

static struct purpose purpose_of(const struct geometry *g, chanconv_pass pass)
{
    return (struct purpose){
        .kernels = kernels_for(g->dtype), .pass = pass, .kh = g->kh, .kw = g->kw, .cg = g->cg, .k = g->k,
        .groups = g->groups, .stride = {g->stride[0], g->stride[1]}, .dilation = {g->dilation[0], g->dilation[1]},
    };
}

static int64_t to_lines(int64_t bytes) { return ceil_div(bytes, CACHE_LINE) * CACHE_LINE; }

static void *copy_of(const chanconv_packed *packed) { return at(packed, (int64_t)sizeof *packed, 1); }

static void fill_in(chanconv_packed *packed, const struct geometry *g, chanconv_pass pass, const void *kernel,
                    bool prepares)
{
    if (packed->kernel_bytes > 0) {
        memcpy(copy_of(packed), kernel, (size_t)packed->kernel_bytes);
    }
    if (prepares) {
        void *prepared = at(copy_of(packed), to_lines(packed->kernel_bytes), 1);
        packed->algorithm->prepare(g, pass, kernel, prepared);
        packed->prepared = prepared;
    }
}

static int64_t prepared_bytes(const struct algorithm *algorithm, const struct geometry *g, chanconv_pass pass)
{
    const bool has_elements = g->cg > 0 && g->k > 0;
    return has_elements && algorithm->prepare ? algorithm->prepared_bytes(g, pass) : 0;
}

static chanconv_status pack(chanconv_context *context, const struct geometry *g, chanconv_pass pass, const void *kernel,
                            chanconv_packed **packed, chanconv_error *error)
{
    const struct algorithm *algorithm = choose_algorithm(g, pass);
    if (!algorithm) {
        return no_algorithm(g, error);
    }
    const int64_t kernel_bytes = g->kh * g->kw * g->cg * g->k * (int64_t)g->item;
    const int64_t prepared = prepared_bytes(algorithm, g, pass);
    const size_t bytes = sizeof **packed + (size_t)to_lines(kernel_bytes) + (size_t)prepared;
    *packed = take_lasting(context, bytes);
    if (!*packed) {
        return fail(error, CHANCONV_NO_MEMORY, "memory", "there is not enough for the packed kernel");
    }
    **packed = (chanconv_packed){.magic = PACKED_MAGIC, .purpose = purpose_of(g, pass), .algorithm = algorithm,
                                 .bytes = bytes, .kernel_bytes = kernel_bytes};
    fill_in(*packed, g, pass, kernel, prepared > 0);
    return CHANCONV_OK;
}

chanconv_status chanconv_pack_kernel(chanconv_context *context, const chanconv_conv *conv, chanconv_pass pass,
                                     const void *kernel, chanconv_packed **packed, chanconv_error *error)
{
    struct geometry g;
    if (!packed) {
        return fail(error, CHANCONV_BAD_STRUCT, "packed", "expected an address, got NULL");
    }
    *packed = NULL;
    if (pass != CHANCONV_FORWARD && pass != CHANCONV_GRAD_X) {
        return fail(error, CHANCONV_BAD_STRUCT, "pass", "expected 0 (forward) or 1 (gradient of x), got %d", (int)pass);
    }
    chanconv_status status = resolve(conv, &g, error);
    status = status == CHANCONV_OK ? admit(&g, pass, error) : status;
    if (status != CHANCONV_OK) {
        return status;
    }
    if (!kernel && g.kh * g.kw * g.cg * g.k > 0) {
        return fail(error, CHANCONV_BAD_STRUCT, "kernel", "expected an address, got NULL");
    }
    return pack(context, &g, pass, kernel, packed, error);
}

void chanconv_packed_destroy(chanconv_context *context, chanconv_packed *packed)
{
    if (packed && packed->magic == PACKED_MAGIC) {
        packed->magic = 0;
        release_lasting(context, packed, packed->bytes);
    }
}

/* A pass that kernels are packed for: its algorithm, or NULL. */
static const struct algorithm *algorithm_of(const chanconv_conv *conv, chanconv_pass pass, struct geometry *g)
{
    const bool has_packed = pass == CHANCONV_FORWARD || pass == CHANCONV_GRAD_X;
    return has_packed && resolve(conv, g, NULL) == CHANCONV_OK && admit(g, pass, NULL) == CHANCONV_OK
               ? choose_algorithm(g, pass) : NULL;
}

int64_t chanconv_packed_gain(const chanconv_conv *conv, chanconv_pass pass)
{
    struct geometry g;
    const struct algorithm *algorithm = algorithm_of(conv, pass, &g);
    return algorithm ? prepared_bytes(algorithm, &g, pass) : 0;
}

int64_t chanconv_packed_bytes(const chanconv_packed *packed) { return packed ? (int64_t)packed->bytes : 0; }

int chanconv_packed_holds(const chanconv_packed *packed, const void *kernel)
{
    if (!packed || packed->magic != PACKED_MAGIC || (!kernel && packed->kernel_bytes > 0)) {
        return 0;
    }
    return packed->kernel_bytes == 0 || memcmp(copy_of(packed), kernel, (size_t)packed->kernel_bytes) == 0;
}

static bool is_same_kernel(const struct purpose *a, const struct purpose *b)
{
    return a->kernels->item == b->kernels->item && a->kh == b->kh && a->kw == b->kw && a->cg == b->cg && a->k == b->k &&
           a->groups == b->groups;
}

static bool is_same_purpose(const struct purpose *a, const struct purpose *b)
{
    return is_same_kernel(a, b) && a->kernels == b->kernels && a->pass == b->pass && a->stride[0] == b->stride[0] &&
           a->stride[1] == b->stride[1] && a->dilation[0] == b->dilation[0] && a->dilation[1] == b->dilation[1];
}

/* Whether the pass reads what was prepared. */
static bool reads_prepared(const chanconv_packed *packed, const struct purpose *now, const struct algorithm *algorithm)
{
    return packed->prepared && packed->algorithm == algorithm && is_same_purpose(&packed->purpose, now);
}

int chanconv_packed_serves(const chanconv_packed *packed, const chanconv_conv *conv, chanconv_pass pass)
{
    struct geometry g;
    const struct algorithm *algorithm = packed ? algorithm_of(conv, pass, &g) : NULL;
    const struct purpose now = algorithm ? purpose_of(&g, pass) : (struct purpose){0};
    return algorithm && reads_prepared(packed, &now, algorithm);
}

chanconv_status unpack(const chanconv_packed *packed, const struct geometry *g, chanconv_pass pass,
                       const struct algorithm *algorithm, struct arrays *arrays, chanconv_error *error)
{
    const struct purpose now = purpose_of(g, pass);
    if (packed->magic != PACKED_MAGIC) {
        return fail(error, CHANCONV_BAD_STRUCT, "packed", "it was destroyed, or never came from chanconv_pack_kernel()");
    }
    if (!is_same_kernel(&packed->purpose, &now)) {
        return fail(error, CHANCONV_BAD_KERNEL, "packed", "it is of a kernel of another shape or dtype");
    }
    arrays->kernel = copy_of(packed);
    arrays->prepared = reads_prepared(packed, &now, algorithm) ? packed->prepared : NULL;
    return CHANCONV_OK;
}

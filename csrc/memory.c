/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Scratch memory. A block begins with a header of one cache line, before the address that is handed out.
 *
 * The library's own allocator keeps the largest of the blocks released lately for the next call: taking and keeping it
 * is one atomic exchange, so that calls from many threads never wait for each other.
 *
 * A host's workspace is a stack without headers: a call takes and releases blocks in turn, on the thread it is made on.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "internal.h"

enum { KEPT_BYTES_MAX = 16 << 20 };

/* Blocks of so many bytes lie on large pages where the system has them: a block that is not kept is zeroed by the system
 * page by page, which with small ones can take longer than what the block is for. */
enum { LARGE_PAGE = 2 << 20, LARGE_BYTES = 4 << 20 };

static void *aligned_memory(size_t bytes)
{
    void *memory = NULL;
    if (posix_memalign(&memory, bytes < LARGE_BYTES ? CACHE_LINE : LARGE_PAGE, bytes) != 0) {
        return NULL;
    }
#if defined(MADV_HUGEPAGE)
    if (bytes >= LARGE_BYTES) {
        const int before = errno; /* the caller's, which a wish that is not granted leaves alone */
        madvise(memory, bytes, MADV_HUGEPAGE);
        errno = before;
    }
#endif
    return memory;
}

struct block {
    _Alignas(CACHE_LINE) void *base; /* as the host's allocator gave it */
    size_t bytes;                    /* after the header */
};

static _Atomic(struct block *) kept;

static struct block *new_block(size_t bytes)
{
    const size_t rounded = (bytes + CACHE_LINE - 1) & ~(size_t)(CACHE_LINE - 1);
    if (rounded < bytes || rounded > SIZE_MAX - sizeof(struct block)) {
        return NULL;
    }
    struct block *block = aligned_memory(sizeof(struct block) + rounded);
    if (block) {
        block->bytes = rounded;
    }
    return block;
}

static void *take_own(size_t bytes)
{
    struct block *block = atomic_exchange(&kept, NULL);
    if (!block || block->bytes < bytes) {
        free(block);
        block = new_block(bytes);
    }
    return block ? block + 1 : NULL;
}

static void release_own(void *memory)
{
    struct block *block = (struct block *)memory - 1, *other = atomic_exchange(&kept, NULL);
    if (other && other->bytes > block->bytes) {
        struct block *larger = other;
        other = block;
        block = larger;
    }
    free(other);
    if (block->bytes <= KEPT_BYTES_MAX) {
        block = atomic_exchange(&kept, block);
    }
    free(block);
}

/* What is asked of a host: room for the header, and for aligning a block that is not, as one of malloc would be. */
static size_t host_bytes(size_t bytes) { return bytes + sizeof(struct block) + CACHE_LINE; }

static void *take_from_host(const chanconv_context_options *options, size_t bytes)
{
    void *base = host_bytes(bytes) > bytes ? options->allocate(options->host, host_bytes(bytes)) : NULL;
    if (!base) {
        return NULL;
    }
    uintptr_t end_of_header = ((uintptr_t)base + sizeof(struct block) + CACHE_LINE - 1) & ~(uintptr_t)(CACHE_LINE - 1);
    struct block *block = (struct block *)end_of_header - 1;
    block->base = base;
    return block + 1;
}

static bool has_host(const chanconv_context *context) { return context && context->options.allocate; }

static void release_to_host(const chanconv_context_options *options, void *memory, size_t bytes)
{
    options->release(options->host, ((struct block *)memory - 1)->base, host_bytes(bytes));
}

/* The stack of a workspace begins at its first cache line. */
static char *workspace_base(const chanconv_context_options *options)
{
    uintptr_t start = (uintptr_t)options->workspace;
    return (char *)options->workspace + (-start & (CACHE_LINE - 1));
}

static void *take_from_workspace(chanconv_context *context, size_t bytes)
{
    const chanconv_context_options *options = &context->options;
    size_t lost = (size_t)(workspace_base(options) - (char *)options->workspace) + context->workspace_used;
    if (lost > options->workspace_bytes || bytes > options->workspace_bytes - lost) {
        return NULL;
    }
    void *block = workspace_base(options) + context->workspace_used;
    context->workspace_used += (bytes + CACHE_LINE - 1) & ~(size_t)(CACHE_LINE - 1);
    return block;
}

static void release_to_workspace(chanconv_context *context, void *block)
{
    context->workspace_used = (size_t)((char *)block - workspace_base(&context->options));
}

void *take_scratch(chanconv_context *context, size_t bytes)
{
    if (context && context->options.workspace) {
        return take_from_workspace(context, bytes);
    }
    return has_host(context) ? take_from_host(&context->options, bytes) : take_own(bytes);
}

void release_scratch(chanconv_context *context, void *memory, size_t bytes)
{
    if (memory && context && context->options.workspace) {
        release_to_workspace(context, memory);
    } else if (memory && has_host(context)) {
        release_to_host(&context->options, memory, bytes);
    } else if (memory) {
        release_own(memory);
    }
}

void *take_lasting(chanconv_context *context, size_t bytes)
{
    if (has_host(context)) {
        return take_from_host(&context->options, bytes);
    }
    struct block *block = new_block(bytes);
    return block ? block + 1 : NULL;
}

void release_lasting(chanconv_context *context, void *memory, size_t bytes)
{
    if (has_host(context)) {
        release_to_host(&context->options, memory, bytes);
    } else {
        free((struct block *)memory - 1);
    }
}

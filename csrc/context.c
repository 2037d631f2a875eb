/* SPDX-License-Identifier: BSD-3-Clause
 * Contexts, and how many threads a call may use. */
#include <stdatomic.h>
#include <stdlib.h>

#include "internal.h"

static _Atomic int threads_set; /* by chanconv_set_num_threads(); 0: not yet */

int chanconv_get_num_threads(void)
{
    int set = atomic_load_explicit(&threads_set, memory_order_relaxed);
    if (set) {
        return set;
    }
    int wanted = environment()->threads;
    return wanted ? wanted : (int)min64(cpu_info()->processors, THREADS_MAX);
}

int chanconv_set_num_threads(int n)
{
    if (n >= 1) {
        atomic_store_explicit(&threads_set, (int)min64(n, THREADS_MAX), memory_order_relaxed);
    }
    return chanconv_get_num_threads();
}

const char *chanconv_num_threads_source(void)
{
    if (atomic_load_explicit(&threads_set, memory_order_relaxed)) {
        return "chanconv_set_num_threads";
    }
    return environment()->threads ? environment()->threads_source : "processors";
}

int context_threads(const chanconv_context *context)
{
    int own = context ? context->options.threads : 0;
    return own ? (int)min64(own, THREADS_MAX) : chanconv_get_num_threads();
}

chanconv_status chanconv_context_create(const chanconv_context_options *options, chanconv_context **context)
{
    if (!context) {
        return CHANCONV_BAD_STRUCT;
    }
    *context = NULL;
    if (!options || options->struct_size != sizeof *options || options->threads < 0 ||
        !options->allocate != !options->release || (options->workspace && options->allocate) ||
        (options->workspace_bytes && !options->workspace)) {
        return CHANCONV_BAD_STRUCT;
    }
    *context = malloc(sizeof **context);
    if (!*context) {
        return CHANCONV_NO_MEMORY;
    }
    **context = (struct chanconv_context){.options = *options};
    /* What is found out once takes memory for a moment: now, so that no call with this context does. */
    environment();
    cpu_info();
    return CHANCONV_OK;
}

void chanconv_context_destroy(chanconv_context *context) { free(context); }

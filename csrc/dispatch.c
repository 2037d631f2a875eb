/* SPDX-License-Identifier: BSD-3-Clause
 * The choice of the instruction set: a table, best first, of which the last row runs anywhere. */
#include <stdatomic.h>
#include <string.h>

#include "internal.h"

static const struct isa {
    const char *name;
    unsigned needs;                       /* features, all of them */
    const struct kernels *const *kernels; /* by dtype */
} table[] = {
#if defined(__x86_64__)
    {"avx512", CPU_AVX512, kernels_avx512},
    {"avx2", CPU_AVX2_FMA, kernels_avx2},
#elif defined(__aarch64__)
    {"neon", CPU_NEON, kernels_neon},
#endif
    {"generic", 0, kernels_generic},
};

enum { ROWS = sizeof table / sizeof *table };

static bool runs(const struct isa *isa) { return (cpu_features() & isa->needs) == isa->needs; }

const struct isa *available_isa(const char *name)
{
    for (int i = 0; i < ROWS; i++) {
        if (strcmp(table[i].name, name) == 0 && runs(&table[i])) {
            return &table[i];
        }
    }
    return NULL;
}

const char *chanconv_isa_available(int index)
{
    for (int i = 0; i < ROWS && index >= 0; i++) {
        if (runs(&table[i]) && index-- == 0) {
            return table[i].name;
        }
    }
    return NULL;
}

const char *chanconv_isa_compiled(int index) { return index >= 0 && index < ROWS ? table[index].name : NULL; }

/* NULL until the first use. Threads that get there at once find the same row. */
static _Atomic(const struct isa *) in_use;

static const struct isa *isa_in_use(void)
{
    const struct isa *isa = atomic_load_explicit(&in_use, memory_order_acquire);
    if (!isa) {
        const struct isa *chosen = environment()->isa;
        chosen = chosen ? chosen : available_isa(chanconv_isa_available(0));
        isa = atomic_compare_exchange_strong(&in_use, &isa, chosen) ? chosen : isa;
    }
    return isa;
}

const char *chanconv_isa(void) { return isa_in_use()->name; }

chanconv_status chanconv_set_isa(const char *name)
{
    const struct isa *isa = name ? available_isa(name) : NULL;
    if (!isa) {
        return CHANCONV_BAD_ALGORITHM;
    }
    atomic_store_explicit(&in_use, isa, memory_order_release);
    return CHANCONV_OK;
}

const struct kernels *kernels_for(int32_t dtype) { return isa_in_use()->kernels[dtype]; }

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * peak.c - the roofs of the machine, measured: the multiply-add rate of T threads at once, and the rate of reading and
 * of copying, in caches and beyond.
 *
 * peak.py compiles this file with `cc -O2` and loads it. Every loop runs CHAINS independent chains
 *
 *     acc[j] = acc[j] + acc[j] * tiny
 *
 * which no compiler may hoist (each step needs the one before) nor shorten (that would round differently), and which
 * needs no copy of a register: the sum may replace acc[j] in every instruction set. With the chains at 1 and
 * tiny = 2^-60 all values stay 1: normal numbers throughout, so flush-to-zero plays no part.
 */
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Enough to hide a latency of 4 cycles on all units there are (2 on x86, 4 on ARM), and few enough that they, the
 * factor and a product stay in the 16 or 32 registers. */
#if defined(__x86_64__)
enum { CHAINS = 14 };
#else
enum { CHAINS = 24 };
#endif

#define DEFINE_LOOP(NAME, REAL, BYTES, TARGET)                                                                        \
    TARGET static void NAME(int64_t steps, void *values)                                                              \
    {                                                                                                                 \
        typedef REAL vec __attribute__((vector_size(BYTES)));                                                         \
        const volatile REAL *start = values;                                                                          \
        vec acc[CHAINS], factor = (vec){0} + start[1];                                                                \
        for (int j = 0; j < CHAINS; j++)                                                                              \
            acc[j] = (vec){0} + start[0];                                                                             \
        for (int64_t i = 0; i < steps; i++)                                                                           \
            _Pragma("GCC unroll 32") for (int j = 0; j < CHAINS; j++)                                                 \
                acc[j] += acc[j] * factor;                                                                            \
        for (int j = 1; j < CHAINS; j++)                                                                              \
            acc[0] += acc[j];                                                                                         \
        *(volatile REAL *)values = acc[0][0] / CHAINS;                                                                \
    }

/* Reads `bytes` bytes, a multiple of 8 vectors, and returns something that depends on all of them. */
#define DEFINE_READ(ISA, BYTES, TARGET)                                                                               \
    TARGET static int64_t ISA##_read(const char *from, size_t bytes)                                                  \
    {                                                                                                                 \
        typedef int64_t vec __attribute__((vector_size(BYTES)));                                                      \
        vec acc[8] = {{0}};                                                                                           \
        for (size_t i = 0; i < bytes; i += sizeof acc)                                                                \
            _Pragma("GCC unroll 8") for (int j = 0; j < 8; j++)                                                       \
                acc[j] ^= *(const vec *)(const void *)(from + i + (size_t)j * BYTES);                                 \
        for (int j = 1; j < 8; j++)                                                                                   \
            acc[0] ^= acc[j];                                                                                         \
        return acc[0][0];                                                                                             \
    }

#define DEFINE_LOOPS(ISA, BYTES, TARGET)                                                                              \
    DEFINE_LOOP(ISA##_f32, float, BYTES, TARGET)                                                                      \
    DEFINE_LOOP(ISA##_f64, double, BYTES, TARGET)                                                                     \
    DEFINE_READ(ISA, BYTES, TARGET)

typedef struct roof {
    const char *isa;
    int bytes; /* of a vector */
    void (*loop[2])(int64_t steps, void *values); /* float, double */
    int64_t (*read)(const char *from, size_t bytes);
} roof;

#define ROOF(ISA, BYTES) {#ISA, BYTES, {ISA##_f32, ISA##_f64}, ISA##_read}

#if defined(__x86_64__)

DEFINE_LOOPS(avx512, 64, __attribute__((target("avx512f"))))
DEFINE_LOOPS(avx2, 32, __attribute__((target("avx2,fma"))))
DEFINE_LOOPS(generic, 16, )
static const roof roofs[] = {ROOF(avx512, 64), ROOF(avx2, 32), ROOF(generic, 16)};

static int runs_here(const roof *r)
{
    if (!strcmp(r->isa, "avx512"))
        return __builtin_cpu_supports("avx512f");
    if (!strcmp(r->isa, "avx2"))
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    return 1;
}

#else

DEFINE_LOOPS(neon, 16, )
static const roof roofs[] = {ROOF(neon, 16)};

static int runs_here(const roof *r)
{
    return r != NULL;
}

#endif

/* One thread's part of a measurement: `work` of `argument`, from when all threads are ready. */
typedef struct part {
    pthread_t thread;
    void (*work)(struct part *);
    int *ready;
    int threads;
    const roof *roof;
    int is_double;
    int64_t steps; /* multiply-adds of every chain, or how often to read or copy */
    char *memory;
    size_t bytes; /* of this thread */
    double start, end;
} part;

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void *run_part(void *data)
{
    part *p = data;
    __atomic_add_fetch(p->ready, 1, __ATOMIC_ACQ_REL);
    while (__atomic_load_n(p->ready, __ATOMIC_ACQUIRE) < p->threads)
        ;
    p->start = seconds();
    p->work(p);
    p->end = seconds();
    return NULL;
}

/* Runs `threads` copies of *model at once and returns the seconds from the first start to the last end, or -1. */
static double run_together(const part *model, int threads)
{
    int ready = 0, started = 1;
    part *parts = calloc((size_t)threads, sizeof *parts);
    if (!parts)
        return -1;
    for (int t = 0; t < threads; t++) {
        parts[t] = *model;
        parts[t].ready = &ready;
        parts[t].threads = threads;
        parts[t].memory += (size_t)t * model->bytes;
    }
    while (started < threads && !pthread_create(&parts[started].thread, NULL, run_part, &parts[started]))
        started++;
    if (started == threads)
        run_part(&parts[0]);
    else
        __atomic_store_n(&ready, threads, __ATOMIC_RELEASE);
    double first = parts[0].start, last = parts[0].end;
    for (int t = 1; t < started; t++) {
        pthread_join(parts[t].thread, NULL);
        first = parts[t].start < first ? parts[t].start : first;
        last = parts[t].end > last ? parts[t].end : last;
    }
    free(parts);
    return started == threads ? last - first : -1;
}

static void multiply_add(part *p)
{
    float singles[2] = {1, 0x1p-60f};
    double doubles[2] = {1, 0x1p-60};
    p->roof->loop[p->is_double](p->steps, p->is_double ? (void *)doubles : (void *)singles);
}

static volatile int64_t sink;

static void read_all(part *p)
{
    for (int64_t i = 0; i < p->steps; i++)
        sink = p->roof->read(p->memory, p->bytes);
}

/* The first half to the second: as many bytes read and written as read_all() reads. */
static void copy(part *p)
{
    for (int64_t i = 0; i < p->steps; i++) {
        memcpy(p->memory + p->bytes / 2, p->memory, p->bytes / 2);
        __asm__ volatile("" ::"r"(p->memory) : "memory");
    }
}

/* Instruction sets that this processor has, best first: index 0, 1, ... until NULL. */
const char *peak_isa(int index)
{
    for (size_t i = 0; i < sizeof roofs / sizeof *roofs; i++)
        if (runs_here(&roofs[i]) && index-- == 0)
            return roofs[i].isa;
    return NULL;
}

static const roof *find_roof(const char *isa)
{
    for (size_t i = 0; i < sizeof roofs / sizeof *roofs; i++)
        if (!strcmp(roofs[i].isa, isa) && runs_here(&roofs[i]))
            return &roofs[i];
    return NULL;
}

/* GFLOP/s of `threads` threads together, each doing about `flops`; -1 for an unknown instruction set or no threads. */
double peak_gflops(const char *isa, int is_double, int threads, double flops)
{
    const roof *r = find_roof(isa);
    if (!r)
        return -1;
    double step_flops = 2.0 * CHAINS * r->bytes / (is_double ? sizeof(double) : sizeof(float));
    part model = {.work = multiply_add, .roof = r, .is_double = is_double, .steps = (int64_t)(flops / step_flops) + 1};
    double elapsed = run_together(&model, threads);
    return elapsed > 0 ? 1e-9 * step_flops * (double)model.steps * threads / elapsed : -1;
}

/* GB/s of `threads` threads, each reading (or copying: read plus written) about `traffic` bytes in all within `bytes`
 * bytes of its own, a multiple of 1024; -1 if it cannot. */
double peak_memory(const char *isa, int copying, int threads, size_t bytes, double traffic)
{
    size_t total = (size_t)threads * bytes;
    part model = {.work = copying ? copy : read_all, .roof = find_roof(isa), .bytes = bytes,
                  .steps = (int64_t)(traffic / (double)bytes) + 1, .memory = aligned_alloc(64, total)};
    double elapsed = -1;
    if (model.memory && model.roof) {
        memset(model.memory, 1, total);
        elapsed = run_together(&model, threads);
    }
    free(model.memory);
    return elapsed > 0 ? 1e-9 * (double)total * (double)model.steps / elapsed : -1;
}

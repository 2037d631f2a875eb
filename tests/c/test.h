/* SPDX-License-Identifier: BSD-3-Clause
 *
 * For the C tests: checks, buffers between guard pages, allocators that count and fail, children with a time limit.
 * A test program is one file test_<subject>.c: functions that CHECK(), and a main() that returns report().
 */
#ifndef CHANCONV_TEST_H
#define CHANCONV_TEST_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../csrc/internal.h"

#define UNUSED __attribute__((unused))

/* ---- Checks ---------------------------------------------------------------------------------------------------- */

static _Atomic long checks_passed, checks_failed;

/* Counts a check, and reports it if it fails; gives its value. May be used from any thread. */
#define CHECK(condition) check((condition), #condition, __FILE__, __LINE__)

static bool check(bool passed, const char *condition, const char *file, int line)
{
    atomic_fetch_add(passed ? &checks_passed : &checks_failed, 1);
    if (!passed) {
        fprintf(stderr, "%s:%d: failed: %s\n", file, line, condition);
    }
    return passed;
}

/* The last line of a program; returns its exit status. */
static UNUSED int report(void)
{
    printf("%ld passed, %ld failed\n", checks_passed, checks_failed);
    return checks_failed != 0;
}

/* ---- Children -------------------------------------------------------------------------------------------------- */

/* Seconds become so many where code is slow. */
#if defined(VALGRIND)
#define SLOWER 20
#else
#define SLOWER 1
#endif

/* Runs body(data) in a child process, its checks with it; true if all passed within `seconds`. */
static UNUSED bool passes_in_child(void (*body)(void *), void *data, unsigned seconds)
{
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        alarm(SLOWER * seconds);
        checks_failed = 0;
        body(data);
        _exit(checks_failed != 0);
    }
    int status = -1;
    return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* ---- Guarded buffers ----------------------------------------------------------------------------------------------
 *
 * `bytes` bytes between two pages that may not be touched: right before the second, or right after the first. An access
 * beyond the buffer on that side ends the program with SIGSEGV.
 */
enum guard { GUARD_START, GUARD_END };

struct guarded {
    void *data;
    char *map;
    size_t map_bytes;
};

static UNUSED struct guarded guarded_new(size_t bytes, enum guard side)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), inner = (bytes + page - 1) / page * page;
    struct guarded buffer = {.map_bytes = inner + 2 * page};
    buffer.map = mmap(NULL, buffer.map_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (buffer.map == MAP_FAILED || (inner && mprotect(buffer.map + page, inner, PROT_READ | PROT_WRITE) != 0)) {
        perror("guarded_new");
        exit(1);
    }
    buffer.data = side == GUARD_START ? buffer.map + page : buffer.map + page + inner - bytes;
    return buffer;
}

static UNUSED void guarded_free(struct guarded *buffer) { munmap(buffer->map, buffer->map_bytes); }

/* From here on the buffer may be read only. */
static UNUSED void guarded_protect(struct guarded *buffer)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    mprotect(buffer->map + page, buffer->map_bytes - 2 * page, PROT_READ);
}

/* ---- Allocators ---------------------------------------------------------------------------------------------------
 *
 * An allocator that counts, that fails at its k-th call, and that checks that what is released was allocated with the
 * same size; `skew` bytes off alignment if wanted.
 */
struct counter {
    _Atomic long calls, live;
    _Atomic size_t bytes, peak; /* allocated, now and at most; exact while one thread at a time allocates */
    long fail_at; /* 1, 2, ...; 0: never */
    size_t skew;
};

struct counted_block {
    _Alignas(64) size_t bytes;
};

static UNUSED void *counter_allocate(void *host, size_t bytes)
{
    struct counter *counter = host;
    if (atomic_fetch_add(&counter->calls, 1) + 1 == counter->fail_at) {
        return NULL;
    }
    struct counted_block *block;
    if (posix_memalign((void **)&block, 64, sizeof *block + bytes + counter->skew) != 0) {
        return NULL;
    }
    block->bytes = bytes;
    atomic_fetch_add(&counter->live, 1);
    atomic_fetch_add(&counter->bytes, bytes);
    counter->peak = counter->bytes > counter->peak ? counter->bytes : counter->peak;
    return (char *)(block + 1) + counter->skew;
}

static UNUSED void counter_release(void *host, void *memory, size_t bytes)
{
    struct counter *counter = host;
    struct counted_block *block = (struct counted_block *)((char *)memory - counter->skew) - 1;
    CHECK(block->bytes == bytes);
    atomic_fetch_add(&counter->live, -1);
    atomic_fetch_sub(&counter->bytes, bytes);
    free(block);
}

/* A context with that allocator and so many threads of the library. */
static UNUSED chanconv_context *counted_context(struct counter *counter, int threads)
{
    chanconv_context_options options = {
        .struct_size = sizeof options,
        .threads = threads,
        .host = counter,
        .allocate = counter_allocate,
        .release = counter_release,
    };
    chanconv_context *context;
    CHECK(chanconv_context_create(&options, &context) == CHANCONV_OK);
    return context;
}

/* Calls call(context, data) with its first allocation failing, then its second, and so on until none does: each time
 * CHANCONV_NO_MEMORY and nothing leaked, at last CHANCONV_OK. Returns the number of allocations of a call. */
static UNUSED long check_failing_allocations(chanconv_status (*call)(chanconv_context *, void *), void *data,
                                             int threads)
{
    for (long k = 1;; k++) {
        struct counter counter = {.fail_at = k};
        chanconv_context *context = counted_context(&counter, threads);
        chanconv_status status = call(context, data);
        bool failed = counter.calls >= k;
        CHECK(counter.live == 0);
        CHECK(status == (failed ? CHANCONV_NO_MEMORY : CHANCONV_OK));
        chanconv_context_destroy(context);
        if (!failed) {
            return counter.calls;
        }
    }
}

/* ---- A host's own threads -----------------------------------------------------------------------------------------
 *
 * parallel_for on `threads` threads that are started for each call; item i runs on thread i % threads.
 */
struct host_pool {
    int threads;
    _Atomic long calls, items;
};

struct host_thread {
    pthread_t thread;
    struct host_pool *pool;
    int64_t first, count;
    chanconv_task task;
    void *task_data;
};

static void *host_thread_main(void *argument)
{
    struct host_thread *self = argument;
    for (int64_t i = self->first; i < self->count; i += self->pool->threads) {
        atomic_fetch_add(&self->pool->items, 1);
        self->task(self->task_data, i);
    }
    return NULL;
}

static UNUSED void host_parallel_for(void *host, int64_t count, chanconv_task task, void *task_data)
{
    struct host_pool *pool = host;
    struct host_thread threads[64];
    atomic_fetch_add(&pool->calls, 1);
    for (int i = 0; i < pool->threads; i++) {
        threads[i] = (struct host_thread){
            .pool = pool, .first = i, .count = count, .task = task, .task_data = task_data};
        CHECK(pthread_create(&threads[i].thread, NULL, host_thread_main, &threads[i]) == 0);
    }
    for (int i = 0; i < pool->threads; i++) {
        pthread_join(threads[i].thread, NULL);
    }
}

/* A context whose work runs there. */
static UNUSED chanconv_context *hosted_context(struct host_pool *pool)
{
    chanconv_context_options options = {
        .struct_size = sizeof options,
        .threads = pool->threads,
        .host = pool,
        .parallel_for = host_parallel_for,
    };
    chanconv_context *context;
    CHECK(chanconv_context_create(&options, &context) == CHANCONV_OK);
    return context;
}

#endif

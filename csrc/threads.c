/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The thread pool. A call takes the whole pool, or none of it if another call has it, and offers its job to as many
 * workers as it wants. Each worker has a slot of its own:
 *
 *     NULL      no job                   the caller offers: NULL -> job, and withdraws: job -> NULL
 *     job       offered                  the worker accepts: job -> running
 *     running   the worker is at it      the worker is done: running -> NULL
 *
 * The caller works too. When no item is left it withdraws the job from the workers that have not begun, so that it
 * never waits for a thread that the system was slow to wake, and waits for the others. After that nobody knows of the
 * job, which lies on the caller's stack.
 *
 * Waiting is a short spin, which a series of calls finds still going, and then sleep. Workers are started when first
 * wanted, never end, and are never joined; a child after fork begins with an empty pool.
 */
#include <fenv.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>

#include "internal.h"

enum { SPIN_NANOSECONDS = 50000, STACK_BYTES = 1 << 20 };

struct job {
    _Alignas(CACHE_LINE) _Atomic int64_t next; /* the first item that nobody has taken */
    _Alignas(CACHE_LINE) int64_t count;
    chanconv_task task;
    void *data;
    int workers;                               /* that it is offered to: the first ones */
    bool spin;                                 /* wait awake: every thread can have a processor to itself */
    fenv_t floating_point;                     /* the caller's */
};

typedef _Atomic(struct job *) slot_t;

struct worker {
    _Alignas(CACHE_LINE) slot_t slot;
    _Atomic bool asleep;
    pthread_mutex_t lock;
    pthread_cond_t wake;
};

static struct pool {
    _Atomic bool taken;        /* by a call: guards the two that follow */
    bool fork_handled;
    int started;               /* workers */
    _Atomic bool caller_asleep;
    pthread_mutex_t lock;
    pthread_cond_t done;
    struct worker worker[THREADS_MAX - 1];
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER, .done = PTHREAD_COND_INITIALIZER};

static struct job running; /* its address is a mark */

static _Thread_local bool in_parallel;

/* ---- Waiting --------------------------------------------------------------------------------------------------- */

static inline void pause_processor(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb");
#endif
}

static int64_t nanoseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/* Spins while the slot is empty (or while it is not); false if that went on for too long. Other threads get their turn
 * meanwhile: the one that is waited for may want this very processor. */
static bool spin_while(slot_t *slot, bool empty)
{
    enum { LOOKS = 32 }; /* at the slot between two looks at the clock */
    int64_t end = 0, now = 0;
    for (; now <= end; now = nanoseconds()) {
        for (int i = 0; i < LOOKS; i++) {
            if (!atomic_load_explicit(slot, memory_order_acquire) != empty) {
                return true;
            }
            pause_processor();
        }
        sched_yield();
        end = end ? end : nanoseconds() + SPIN_NANOSECONDS;
    }
    return false;
}

/* Who sets a slot and who falls asleep over it each write one variable and then read the other's, sequentially
 * consistent: at least one of them sees that the other has been there. */
static struct job *await_job(struct worker *worker, bool spin)
{
    struct job *job;
    while (spin && (spin = spin_while(&worker->slot, true))) {
        job = atomic_load(&worker->slot);
        if (job) {
            return job;
        }
    }
    pthread_mutex_lock(&worker->lock);
    atomic_store(&worker->asleep, true);
    while (!(job = atomic_load(&worker->slot))) {
        pthread_cond_wait(&worker->wake, &worker->lock);
    }
    atomic_store(&worker->asleep, false);
    pthread_mutex_unlock(&worker->lock);
    return job;
}

/* A tree, whose root is the caller and whose node n is worker n - 1: each wakes the two below it, so that many are
 * awake after a few times the time that it takes to wake one. */
static void wake_children(int node, int workers)
{
    for (int child = 2 * node + 1; child <= 2 * node + 2 && child <= workers; child++) {
        struct worker *worker = &pool.worker[child - 1];
        if (atomic_load(&worker->asleep)) {
            pthread_mutex_lock(&worker->lock);
            pthread_cond_signal(&worker->wake);
            pthread_mutex_unlock(&worker->lock);
        }
    }
}

static void report_done(struct worker *worker)
{
    atomic_store(&worker->slot, NULL);
    if (atomic_load(&pool.caller_asleep)) {
        pthread_mutex_lock(&pool.lock);
        pthread_cond_signal(&pool.done);
        pthread_mutex_unlock(&pool.lock);
    }
}

/* A thread that is cancelled while it sleeps here would take the job away from under the workers. */
static void await_done(struct worker *worker, bool spin)
{
    if (spin && spin_while(&worker->slot, false)) {
        return;
    }
    int cancel_state;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
    pthread_mutex_lock(&pool.lock);
    atomic_store(&pool.caller_asleep, true);
    while (atomic_load(&worker->slot)) {
        pthread_cond_wait(&pool.done, &pool.lock);
    }
    atomic_store(&pool.caller_asleep, false);
    pthread_mutex_unlock(&pool.lock);
    pthread_setcancelstate(cancel_state, NULL);
}

/* ---- Workers --------------------------------------------------------------------------------------------------- */

static void run_items(struct job *job)
{
    int64_t item;
    in_parallel = true;
    while ((item = atomic_fetch_add_explicit(&job->next, 1, memory_order_relaxed)) < job->count) {
        job->task(job->data, item);
    }
    in_parallel = false;
}

static void *work(void *argument)
{
    struct worker *worker = argument;
    bool spin = false;
    for (;;) {
        struct job *job = await_job(worker, spin);
        if (atomic_compare_exchange_strong(&worker->slot, &job, &running)) {
            spin = job->spin;
            wake_children((int)(worker - pool.worker) + 1, job->workers);
            fesetenv(&job->floating_point);
            run_items(job);
            report_done(worker);
        }
    }
    return NULL;
}

/* In the child, after fork: no worker is there any more, and what another thread did to the pool is unfinished. */
static void forget_pool(void)
{
    pool.started = 0;
    pool.lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    pool.done = (pthread_cond_t)PTHREAD_COND_INITIALIZER;
    atomic_store(&pool.caller_asleep, false);
    atomic_store(&pool.taken, false);
}

static void prepare(struct worker *worker)
{
    atomic_store(&worker->slot, NULL);
    atomic_store(&worker->asleep, false);
    worker->lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    worker->wake = (pthread_cond_t)PTHREAD_COND_INITIALIZER;
}

/* Signals are for the program's own threads to handle; those that an instruction raises stay with it. */
static void block_signals(sigset_t *before)
{
    static const int raised[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
    sigset_t blocked;
    sigfillset(&blocked);
    for (size_t i = 0; i < sizeof raised / sizeof *raised; i++) {
        sigdelset(&blocked, raised[i]);
    }
    pthread_sigmask(SIG_SETMASK, &blocked, before);
}

static bool start_thread(struct worker *worker)
{
    pthread_t thread;
    pthread_attr_t attributes;
    sigset_t signals;
    if (pthread_attr_init(&attributes) != 0) {
        return false;
    }
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    block_signals(&signals);
    bool started = pthread_create(&thread, &attributes, work, worker) == 0;
    pthread_sigmask(SIG_SETMASK, &signals, NULL);
    pthread_attr_destroy(&attributes);
    return started;
}

/* Returns how many of the workers wanted there are: fewer if the system refuses threads. */
static int start_workers(int wanted)
{
    pool.fork_handled = pool.fork_handled || pthread_atfork(NULL, NULL, forget_pool) == 0;
    while (pool.fork_handled && pool.started < wanted) {
        struct worker *worker = &pool.worker[pool.started];
        prepare(worker);
        if (!start_thread(worker)) {
            break;
        }
        pool.started++;
    }
    return (int)min64(pool.started, wanted);
}

/* ---- Jobs ------------------------------------------------------------------------------------------------------ */

/* The last worker is offered the job first: who has accepted it can wake the ones behind. */
static void run_with_workers(struct job *job)
{
    for (int i = job->workers - 1; i >= 0; i--) {
        atomic_store(&pool.worker[i].slot, job);
    }
    wake_children(0, job->workers);
    run_items(job);
    for (int i = 0; i < job->workers; i++) {
        struct job *offered = job;
        if (!atomic_compare_exchange_strong(&pool.worker[i].slot, &offered, NULL)) {
            await_done(&pool.worker[i], job->spin);
        }
    }
}

/* False if another call has the pool. */
static bool run_in_pool(struct job *job, int threads)
{
    if (atomic_exchange_explicit(&pool.taken, true, memory_order_acquire)) {
        return false;
    }
    job->workers = start_workers(threads - 1);
    run_with_workers(job);
    atomic_store_explicit(&pool.taken, false, memory_order_release);
    return true;
}

/* An item on a thread of the host, which may have floating-point settings of its own. */
static void run_for_host(void *data, int64_t item)
{
    struct job *job = data;
    bool nested = in_parallel;
    fenv_t own;
    fegetenv(&own);
    fesetenv(&job->floating_point);
    in_parallel = true;
    job->task(job->data, item);
    in_parallel = nested;
    fesetenv(&own);
}

void parallel(chanconv_context *context, int threads, int64_t count, chanconv_task task, void *data)
{
    threads = (int)min64(min64(threads, count), THREADS_MAX);
    if (threads > 1 && !in_parallel) {
        struct job job = {.count = count, .task = task, .data = data, .spin = threads <= cpu_info()->processors};
        fegetenv(&job.floating_point);
        if (context && context->options.parallel_for) {
            context->options.parallel_for(context->options.host, count, run_for_host, &job);
            return;
        }
        if (run_in_pool(&job, threads)) {
            return;
        }
    }
    for (int64_t i = 0; i < count; i++) {
        task(data, i);
    }
}

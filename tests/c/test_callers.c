/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Many threads in calls at once, from the very first call of the process on: every pass, algorithm, dtype and packed
 * kernel, with the library's threads, on the caller's own and on a host's, while signals arrive. Sums of small integers
 * are exact: each result is that of the formula, and has the bits of a later call by one thread. Under ThreadSanitizer
 * this is the test that the library's own data, and what calls share, are not raced for.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/time.h>

#include "conv_problem.h"

/* A caller makes one of SHARE of the calls that there are, its neighbour the next. */
#if defined(EMULATED) || defined(VALGRIND)
enum { CALLERS = 6, SHARE = 3 };
#elif defined(__SANITIZE_THREAD__) || defined(MEMORY_SANITIZER)
enum { CALLERS = 32, SHARE = 8 };
#else
enum { CALLERS = 32, SHARE = 1 };
#endif

/* Each algorithm takes one of them; the first has enough work for several threads. */
static const struct shape tried[] = {
    {2, 16, 15, 20, 3, 3, 24, 1, 1, 1, 1, CHANCONV_ZEROS},  {1, 8, 9, 7, 3, 2, 5, 2, 1, 1, 1, CHANCONV_REFLECT},
    {2, 9, 10, 20, 3, 3, 20, 1, 1, 1, 20, CHANCONV_ZEROS},  {1, 9, 9, 24, 3, 3, 24, 1, 1, 1, 6, CHANCONV_ZEROS},
    {1, 30, 29, 1, 9, 9, 1, 1, 1, 3, 1, CHANCONV_ZEROS},    {1, 11, 10, 16, 3, 3, 16, 2, 1, 1, 16, CHANCONV_ZEROS},
};
enum { TRIED = sizeof tried / sizeof *tried };

static struct problem problems[2 * TRIED];
static chanconv_context *contexts[3]; /* the library's own, one of three threads, a host's */
static _Atomic int ready;
static _Atomic long signals;

struct caller {
    pthread_t thread;
    int number;
};

static void *call_all(void *data)
{
    const struct caller *self = data;
    atomic_fetch_add(&ready, 1);
    while (atomic_load(&ready) < CALLERS) {
        sched_yield();
    }
    for (int i = 0; i < 2 * TRIED * PASSES * CHANCONV_ALGORITHM_COUNT; i += SHARE) {
        const int call = (i + self->number) % (2 * TRIED * PASSES * CHANCONV_ALGORITHM_COUNT);
        const int algorithm = call % CHANCONV_ALGORITHM_COUNT, which = call / CHANCONV_ALGORITHM_COUNT;
        const struct problem *p = &problems[which / PASSES];
        const struct pass *pass = &passes[which % PASSES];
        if (has_pass(p, pass)) {
            check_call(contexts[(i / SHARE + self->number) % 3], p, pass, (chanconv_algorithm)algorithm);
        }
    }
    return NULL;
}

static void count_signal(int number)
{
    (void)number;
    atomic_fetch_add(&signals, 1);
}

/* A signal each millisecond, which interrupts whatever waits. */
static void begin_signals(bool begin)
{
    struct sigaction action = {.sa_handler = begin ? count_signal : SIG_IGN};
    const struct itimerval interval = {{0, begin ? 1000 : 0}, {0, begin ? 1000 : 0}};
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &interval, NULL);
}

static void make_problems(void)
{
    for (int i = 0; i < 2 * TRIED; i++) {
        problems[i] = problem_of(&tried[i / 2], i % 2 ? CHANCONV_F64 : CHANCONV_F32);
        CHECK(make_problem(&problems[i]));
    }
}

int main(void)
{
    struct caller callers[CALLERS];
    struct host_pool pool = {.threads = 2};
    const chanconv_context_options options = {.struct_size = sizeof options, .threads = 3};
    make_problems();
    contexts[1] = hosted_context(&pool);
    CHECK(chanconv_context_create(&options, &contexts[2]) == CHANCONV_OK);
    begin_signals(true);
    for (int i = 0; i < CALLERS; i++) {
        callers[i].number = i;
        CHECK(pthread_create(&callers[i].thread, NULL, call_all, &callers[i]) == 0);
    }
    for (int i = 0; i < CALLERS; i++) {
        pthread_join(callers[i].thread, NULL);
    }
    begin_signals(false);
    CHECK(signals > 0 && pool.calls > 0);
    chanconv_context_destroy(contexts[1]);
    chanconv_context_destroy(contexts[2]);
    for (int i = 0; i < 2 * TRIED; i++) {
        free_problem(&problems[i]);
    }
    return report();
}

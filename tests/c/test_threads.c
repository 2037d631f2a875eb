/* SPDX-License-Identifier: BSD-3-Clause
 *
 * parallel(), the thread pool and contexts.
 *
 * A rendezvous of m items of one call proves that m threads are at work: nobody leaves before all are there. Where
 * there is no such proof, any number of threads from 1 to the limit is right.
 */
#define _GNU_SOURCE 1
#include <dirent.h>
#include <errno.h>
#include <fenv.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <time.h>

#include "test.h"

enum { ITEMS_MAX = 1000, TIME_LIMIT = 60 };

/* ---- Tasks ----------------------------------------------------------------------------------------------------- */

struct record {
    _Atomic int runs[ITEMS_MAX];
    pthread_t thread[ITEMS_MAX];
};

static void note(void *data, int64_t item)
{
    struct record *record = data;
    record->thread[item] = pthread_self();
    atomic_fetch_add(&record->runs[item], 1);
}

static bool each_ran_once(struct record *record, int64_t count)
{
    for (int64_t i = 0; i < ITEMS_MAX; i++) {
        if (record->runs[i] != (i < count)) {
            return false;
        }
    }
    return true;
}

static int distinct_threads(const struct record *record, int64_t count)
{
    int distinct = 0;
    for (int64_t i = 0; i < count; i++) {
        bool seen = false;
        for (int64_t j = 0; j < i && !seen; j++) {
            seen = pthread_equal(record->thread[i], record->thread[j]);
        }
        distinct += !seen;
    }
    return distinct;
}

/* Meets the other items; `at_meeting` is called when all are there. */
struct meeting {
    struct record record;
    int members;
    _Atomic int present;
    void (*at_meeting)(struct meeting *);
};

static void meet(void *data, int64_t item)
{
    struct meeting *meeting = data;
    note(&meeting->record, item);
    atomic_fetch_add(&meeting->present, 1);
    while (atomic_load(&meeting->present) < meeting->members) {
        sched_yield();
    }
    if (meeting->at_meeting) {
        meeting->at_meeting(meeting);
    }
}

static void hold_meeting(chanconv_context *context, int members, void (*at_meeting)(struct meeting *))
{
    struct meeting meeting = {.members = members, .at_meeting = at_meeting};
    parallel(context, members, members, meet, &meeting);
    CHECK(each_ran_once(&meeting.record, members));
    CHECK(distinct_threads(&meeting.record, members) == members);
}

static int process_threads(void)
{
    int count = 0;
    DIR *directory = opendir("/proc/self/task");
    for (struct dirent *entry; (entry = readdir(directory));) {
        count += entry->d_name[0] != '.';
    }
    closedir(directory);
    return count;
}

/* ---- Before there is a pool ------------------------------------------------------------------------------------ */

/* Calls without a pool, as a host would make them: in the end there are as many threads as at first. (One that has been
 * joined may be seen for a moment longer.) */
static void test_no_threads_of_ours(void)
{
    struct record serial = {0}, hosted = {0}, one = {0};
    struct host_pool pool = {.threads = 3};
    chanconv_context *context = hosted_context(&pool);
    int before = process_threads();
    chanconv_isa();
    CHECK(chanconv_get_num_threads() >= 1);
    parallel(NULL, 1, 100, note, &serial);
    parallel(NULL, 8, 1, note, &one);
    CHECK(process_threads() == before);
    CHECK(context_threads(context) == 3);
    parallel(context, 3, 100, note, &hosted);
    CHECK(each_ran_once(&serial, 100) && distinct_threads(&serial, 100) == 1);
    CHECK(each_ran_once(&one, 1) && pthread_equal(one.thread[0], pthread_self()));
    CHECK(each_ran_once(&hosted, 100));
    CHECK(pool.calls == 1 && pool.items == 100);
    parallel(context, 1, 100, note, &serial);
    CHECK(pool.calls == 1);
    while (process_threads() > before) {
        sched_yield();
    }
    chanconv_context_destroy(context);
}

/* ---- Items ----------------------------------------------------------------------------------------------------- */

static void test_every_item_once(void)
{
    static const int threads[] = {1, 2, 3, 8, 40}, counts[] = {0, 1, 2, 3, 7, 40, 41, ITEMS_MAX};
    for (size_t i = 0; i < sizeof threads / sizeof *threads; i++) {
        for (size_t j = 0; j < sizeof counts / sizeof *counts; j++) {
            struct record record = {0};
            parallel(NULL, threads[i], counts[j], note, &record);
            CHECK(each_ran_once(&record, counts[j]));
            CHECK(distinct_threads(&record, counts[j]) <= threads[i]);
        }
    }
}

static void test_threads_work_together(void)
{
    for (int members = 2; members <= 9; members++) {
        hold_meeting(NULL, members, NULL);
    }
    int started = process_threads();
    hold_meeting(NULL, 2, NULL);
    CHECK(process_threads() == started);
}

static void test_huge_thread_counts(void)
{
    struct record record = {0};
    parallel(NULL, INT32_MAX, 3, note, &record);
    CHECK(each_ran_once(&record, 3));
}

/* Many short calls, so that jobs are withdrawn, taken late and taken at once. */
static void test_short_calls(void)
{
    for (int i = 0; i < 20000; i++) {
        struct record *record = calloc(1, sizeof *record);
        int count = 1 + i % 5;
        parallel(NULL, 2 + i % 3, count, note, record);
        if (!each_ran_once(record, count)) {
            CHECK(!"each item of a short call ran once");
        }
        free(record);
        if (i % 100 == 0) {
            sched_yield();
        }
    }
}

static void nest(void *data, int64_t item)
{
    struct record inner = {0};
    parallel(NULL, 4, 20, note, &inner);
    CHECK(each_ran_once(&inner, 20) && distinct_threads(&inner, 20) == 1);
    note(data, item);
}

static void test_nested(void)
{
    struct record record = {0}, hosted = {0};
    parallel(NULL, 4, 50, nest, &record);
    CHECK(each_ran_once(&record, 50));
    struct host_pool pool = {.threads = 2};
    chanconv_context *context = hosted_context(&pool);
    parallel(context, 2, 10, nest, &hosted);
    CHECK(each_ran_once(&hosted, 10) && pool.calls == 1);
    chanconv_context_destroy(context);
}

/* ---- Many callers ---------------------------------------------------------------------------------------------- */

static void *call_often(void *data)
{
    chanconv_context *context = data;
    for (int i = 0; i < 100; i++) {
        struct record record = {0};
        parallel(context, 1 + i % 4, 1 + i % 9, note, &record);
        CHECK(each_ran_once(&record, 1 + i % 9));
        if (i % 10 == 0) {
            chanconv_set_num_threads(1 + i % 4);
        }
    }
    return NULL;
}

static void test_many_callers(void)
{
    enum { CALLERS = 32 };
    pthread_t caller[CALLERS];
    struct host_pool pools[2] = {{.threads = 2}, {.threads = 3}};
    chanconv_context *context[] = {NULL, NULL, hosted_context(&pools[0]), hosted_context(&pools[1])};
    int before = chanconv_get_num_threads();
    for (int i = 0; i < CALLERS; i++) {
        CHECK(pthread_create(&caller[i], NULL, call_often, context[i % 4]) == 0);
    }
    for (int i = 0; i < CALLERS; i++) {
        pthread_join(caller[i], NULL);
    }
    CHECK(pools[0].items > 0 && pools[1].items > 0);
    chanconv_set_num_threads(before);
    chanconv_context_destroy(context[2]);
    chanconv_context_destroy(context[3]);
}

static void *hold_small_meeting(void *data)
{
    hold_meeting(data, 4, NULL);
    return NULL;
}

static void test_small_stack(void)
{
    pthread_t thread;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 64 << 10);
    CHECK(pthread_create(&thread, &attributes, hold_small_meeting, NULL) == 0);
    pthread_join(thread, NULL);
    pthread_attr_destroy(&attributes);
}

/* ---- What a thread inherits ------------------------------------------------------------------------------------ */

static void check_rounding(struct meeting *meeting)
{
    (void)meeting;
    volatile float one = 1.0f, tiny = 1e-20f;
    CHECK(fegetround() == FE_UPWARD);
#if !defined(VALGRIND) /* which rounds vector instructions to nearest */
    CHECK(one + tiny > 1.0f);
#else
    (void)(one + tiny);
#endif
}

static void check_nearest(struct meeting *meeting)
{
    (void)meeting;
    CHECK(fegetround() == FE_TONEAREST);
}

static void test_floating_point_settings(void)
{
    struct host_pool pool = {.threads = 3};
    chanconv_context *context = hosted_context(&pool);
    fesetround(FE_UPWARD);
    hold_meeting(NULL, 4, check_rounding);
    CHECK(fegetround() == FE_UPWARD);
    hold_meeting(context, 3, check_rounding);
    CHECK(fegetround() == FE_UPWARD);
    fesetround(FE_TONEAREST);
    hold_meeting(NULL, 4, check_nearest);
    chanconv_context_destroy(context);
}

#if defined(__x86_64__)
enum { FLUSH_AND_DENORMALS_ARE_ZERO = 0x8040 };

static void check_flush(struct meeting *meeting)
{
    (void)meeting;
    volatile float subnormal = 1e-40f, half = 0.5f;
    bool flush = __builtin_ia32_stmxcsr() & FLUSH_AND_DENORMALS_ARE_ZERO;
    CHECK((subnormal * half == 0.0f) == flush);
}

static void check_no_flush(struct meeting *meeting)
{
    check_flush(meeting);
    CHECK(!(__builtin_ia32_stmxcsr() & FLUSH_AND_DENORMALS_ARE_ZERO));
}

static void check_all_flush(struct meeting *meeting)
{
    check_flush(meeting);
    CHECK((__builtin_ia32_stmxcsr() & FLUSH_AND_DENORMALS_ARE_ZERO) == FLUSH_AND_DENORMALS_ARE_ZERO);
}

static void test_flush_to_zero(void)
{
#if !defined(VALGRIND) /* which computes as if there were no such flags */
    unsigned before = __builtin_ia32_stmxcsr();
    hold_meeting(NULL, 4, check_no_flush);
    __builtin_ia32_ldmxcsr(before | FLUSH_AND_DENORMALS_ARE_ZERO);
    hold_meeting(NULL, 4, check_all_flush);
    CHECK(__builtin_ia32_stmxcsr() & FLUSH_AND_DENORMALS_ARE_ZERO);
    __builtin_ia32_ldmxcsr(before);
    hold_meeting(NULL, 4, check_no_flush);
#else
    (void)check_no_flush;
    (void)check_all_flush;
#endif
}
#else
static void test_flush_to_zero(void) {}
#endif

static pthread_t main_thread;

static void check_signals(struct meeting *meeting)
{
    (void)meeting;
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    bool worker = !pthread_equal(pthread_self(), main_thread);
    CHECK(sigismember(&mask, SIGINT) == worker);
    CHECK(sigismember(&mask, SIGTERM) == worker);
    CHECK(!sigismember(&mask, SIGSEGV) && !sigismember(&mask, SIGFPE));
}

static void test_signals(void)
{
    main_thread = pthread_self();
    hold_meeting(NULL, 4, check_signals);
}

/* The caller's signal mask and affinity stay. */
static void test_caller_is_untouched(void *data)
{
    (void)data;
    sigset_t wanted, mask;
    cpu_set_t before, after;
    sigemptyset(&wanted);
    sigaddset(&wanted, SIGUSR1);
    pthread_sigmask(SIG_SETMASK, &wanted, NULL);
    CHECK(sched_getaffinity(0, sizeof before, &before) == 0);
    hold_meeting(NULL, 5, NULL);
    CHECK(sched_getaffinity(0, sizeof after, &after) == 0);
    CHECK(CPU_EQUAL(&before, &after));
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    CHECK(sigismember(&mask, SIGUSR1) == 1 && sigismember(&mask, SIGINT) == 0);
}

/* ---- Sleep ----------------------------------------------------------------------------------------------------- */

/* The state of a thread of this process: 'R' running, 'S' asleep ... */
static char thread_state(const char *id)
{
    char path[64], line[512] = "";
    snprintf(path, sizeof path, "/proc/self/task/%.20s/stat", id);
    FILE *stream = fopen(path, "r");
    if (!stream) {
        return 'S';
    }
    const char *end_of_name = fgets(line, sizeof line, stream) ? strrchr(line, ')') : NULL;
    fclose(stream);
    return end_of_name ? end_of_name[2] : 'S';
}

static int threads_awake(void)
{
    int awake = 0;
    DIR *directory = opendir("/proc/self/task");
    for (struct dirent *entry; (entry = readdir(directory));) {
        awake += entry->d_name[0] != '.' && thread_state(entry->d_name) != 'S';
    }
    closedir(directory);
    return awake;
}

/* After a call the workers go to sleep, and the next call wakes all that it wants: the time limit of the program ends
 * one that waits for ever. */
static void test_workers_sleep(void)
{
    for (int members = 40; members > 1; members /= 2) {
        hold_meeting(NULL, members, NULL);
        while (threads_awake() > 1) {
            sched_yield();
        }
    }
    hold_meeting(NULL, 40, NULL);
}

/* ---- fork ------------------------------------------------------------------------------------------------------ */

static void call_in_child(void *data)
{
    (void)data;
    int before = process_threads();
    hold_meeting(NULL, 4, NULL);
    CHECK(process_threads() == before + 3);
    struct record record = {0};
    parallel(NULL, 3, 50, note, &record);
    CHECK(each_ran_once(&record, 50));
}

static void call_in_grandchild(void *data)
{
    call_in_child(data);
    CHECK(passes_in_child(call_in_child, NULL, TIME_LIMIT));
}

static void test_fork(void)
{
    hold_meeting(NULL, 4, NULL);
    for (int i = 0; i < 50; i++) {
        CHECK(passes_in_child(call_in_child, NULL, TIME_LIMIT));
    }
    CHECK(passes_in_child(call_in_grandchild, NULL, TIME_LIMIT));
    hold_meeting(NULL, 4, NULL);
}

static _Atomic bool stop;

static void *call_until_stopped(void *data)
{
    (void)data;
    while (!atomic_load(&stop)) {
        struct record record = {0};
        parallel(NULL, 3, 30, note, &record);
    }
    return NULL;
}

/* fork() while another thread is in calls, at whatever point. */
static void test_fork_during_calls(void)
{
    pthread_t caller;
    atomic_store(&stop, false);
    CHECK(pthread_create(&caller, NULL, call_until_stopped, NULL) == 0);
    for (int i = 0; i < 100; i++) {
        CHECK(passes_in_child(call_in_child, NULL, TIME_LIMIT));
    }
    atomic_store(&stop, true);
    pthread_join(caller, NULL);
}

/* ---- Refused threads, and the end ------------------------------------------------------------------------------ */

/* With no right to start another thread, and then with the right to two, the items run all the same. */
static void call_with_few_threads(void *data)
{
    (void)data;
    struct record serial = {0}, few = {0};
    if (geteuid() == 0) {
        CHECK(setgid(65534) == 0 && setuid(65534) == 0); /* the limit does not hold for root */
    }
    struct rlimit limit = {0, 100000};
    getrlimit(RLIMIT_NPROC, &limit);
    limit.rlim_cur = 0;
    CHECK(setrlimit(RLIMIT_NPROC, &limit) == 0);
    CHECK(pthread_create(&(pthread_t){0}, NULL, call_until_stopped, NULL) == EAGAIN);
    parallel(NULL, 8, ITEMS_MAX, note, &serial);
    CHECK(each_ran_once(&serial, ITEMS_MAX) && distinct_threads(&serial, ITEMS_MAX) == 1);
    limit.rlim_cur = (rlim_t)process_threads() + 2;
    CHECK(setrlimit(RLIMIT_NPROC, &limit) == 0);
    parallel(NULL, 8, ITEMS_MAX, note, &few);
    CHECK(each_ran_once(&few, ITEMS_MAX) && distinct_threads(&few, ITEMS_MAX) <= 3);
}

/* exit() with workers alive and a thread in the midst of calls. */
static void exit_during_calls(void *data)
{
    (void)data;
    pthread_t caller;
    atomic_store(&stop, false);
    hold_meeting(NULL, 4, NULL);
    CHECK(pthread_create(&caller, NULL, call_until_stopped, NULL) == 0);
    pthread_detach(caller);
    for (int i = 0; i < 100; i++) {
        sched_yield();
    }
    exit(checks_failed != 0);
}

/* ---- Contexts and numbers -------------------------------------------------------------------------------------- */

static void test_context_options(void)
{
    struct counter counter = {0};
    chanconv_context_options good = {.struct_size = sizeof good, .threads = 5}, bad;
    chanconv_context *context = NULL;
    CHECK(chanconv_context_create(&good, &context) == CHANCONV_OK && context);
    CHECK(context_threads(context) == 5);
    chanconv_context_destroy(context);
    good.threads = 0;
    CHECK(chanconv_context_create(&good, &context) == CHANCONV_OK);
    CHECK(context_threads(context) == chanconv_get_num_threads());
    chanconv_context_destroy(context);
    chanconv_context_destroy(NULL);

    CHECK(chanconv_context_create(&good, NULL) == CHANCONV_BAD_STRUCT);
    CHECK(chanconv_context_create(NULL, &context) == CHANCONV_BAD_STRUCT && !context);
    bad = (chanconv_context_options){.struct_size = sizeof bad - 1};
    CHECK(chanconv_context_create(&bad, &context) == CHANCONV_BAD_STRUCT && !context);
    bad = (chanconv_context_options){.struct_size = sizeof bad, .threads = -1};
    CHECK(chanconv_context_create(&bad, &context) == CHANCONV_BAD_STRUCT && !context);
    bad = (chanconv_context_options){.struct_size = sizeof bad, .host = &counter, .allocate = counter_allocate};
    CHECK(chanconv_context_create(&bad, &context) == CHANCONV_BAD_STRUCT && !context);
    bad = (chanconv_context_options){.struct_size = sizeof bad, .host = &counter, .release = counter_release};
    CHECK(chanconv_context_create(&bad, &context) == CHANCONV_BAD_STRUCT && !context);
}

static void test_num_threads(void)
{
    int before = chanconv_get_num_threads();
    CHECK(chanconv_set_num_threads(3) == 3 && chanconv_get_num_threads() == 3);
    CHECK(strcmp(chanconv_num_threads_source(), "chanconv_set_num_threads") == 0);
    CHECK(chanconv_set_num_threads(0) == 3);
    CHECK(chanconv_set_num_threads(INT32_MIN) == 3);
    CHECK(chanconv_set_num_threads(INT32_MAX) == THREADS_MAX);
    CHECK(chanconv_set_num_threads(before) == before);
}

int main(void)
{
    alarm(280);
    host_parallel_for(&(struct host_pool){.threads = 2}, 0, NULL, NULL); /* a sanitizer's own thread starts here */
    test_no_threads_of_ours();
    CHECK(passes_in_child(exit_during_calls, NULL, TIME_LIMIT));
    CHECK(passes_in_child(call_with_few_threads, NULL, TIME_LIMIT));
    CHECK(passes_in_child(test_caller_is_untouched, NULL, TIME_LIMIT));
    test_every_item_once();
    test_threads_work_together();
    test_huge_thread_counts();
    test_short_calls();
    test_nested();
    test_many_callers();
    test_small_stack();
    test_floating_point_settings();
    test_flush_to_zero();
    test_signals();
    test_workers_sleep();
#ifdef EMULATED /* QEMU 7.2 itself fails where a child of a process with threads starts another, whoever starts it */
    (void)test_fork, (void)test_fork_during_calls;
#else
    test_fork();
    test_fork_during_calls();
#endif
    test_context_options();
    test_num_threads();
    return report();
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The k-th thread is refused, for all k, in every pass and algorithm: the call goes on with those there are, to the same
 * bits. What a thread needs before it is refused, too: its attributes, and the handler of fork.
 *
 * threads.c is compiled here, with these in the place of the system's functions, and linked instead of the library's.
 */
#include <pthread.h>

static int refused_create(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
static int refused_attributes(pthread_attr_t *);
static int refused_handler(void (*)(void), void (*)(void), void (*)(void));

#define pthread_create refused_create
#define pthread_attr_init refused_attributes
#define pthread_atfork refused_handler
#include "../../csrc/threads.c"
#undef pthread_create
#undef pthread_attr_init
#undef pthread_atfork

#include <errno.h>

#include "conv_problem.h"

/* What is refused: threads number first .. last of those that are asked for, counted from 1; attributes; the handler. */
static struct {
    int first, last, asked;
    bool attributes, handler;
} refuse;

static int refused_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument)
{
    const int number = ++refuse.asked;
    return number >= refuse.first && number <= refuse.last ? EAGAIN
                                                           : pthread_create(thread, attributes, start, argument);
}

static int refused_attributes(pthread_attr_t *attributes)
{
    return refuse.attributes ? ENOMEM : pthread_attr_init(attributes);
}

static int refused_handler(void (*prepare)(void), void (*parent)(void), void (*child)(void))
{
    return refuse.handler ? ENOMEM : pthread_atfork(prepare, parent, child);
}

/* Each has enough work for several threads, in one algorithm or another. */
static const struct shape tried[] = {
    {3, 30, 29, 20, 3, 3, 40, 1, 1, 1, 1, CHANCONV_ZEROS},    {2, 40, 41, 40, 3, 3, 40, 1, 1, 1, 40, CHANCONV_ZEROS},
    {1, 110, 100, 1, 11, 11, 1, 1, 1, 3, 1, CHANCONV_ZEROS},  {4, 30, 29, 32, 3, 3, 32, 1, 1, 1, 8, CHANCONV_ZEROS},
};
enum { WORKERS = 4, TRIED = sizeof tried / sizeof *tried, TIME_LIMIT = 200 };

static struct problem problems[TRIED];

static void run_all(void)
{
    chanconv_set_num_threads(WORKERS + 1);
    for (int i = 0; i < TRIED * PASSES; i++) {
        for (int algorithm = CHANCONV_AUTO; algorithm < CHANCONV_ALGORITHM_COUNT; algorithm++) {
            if (has_pass(&problems[i / PASSES], &passes[i % PASSES])) {
                check_call(NULL, &problems[i / PASSES], &passes[i % PASSES], (chanconv_algorithm)algorithm);
            }
        }
    }
}

/* In a child, whose pool is empty at first: thread k and all later ones are refused. */
static void refuse_from(void *data)
{
    refuse.first = *(int *)data;
    refuse.last = 1 << 30;
    run_all();
    CHECK(refuse.asked > refuse.first); /* it goes on asking */
    CHECK(pool.started == refuse.first - 1);
}

/* Thread k alone is refused: a later call has all. */
static void refuse_once(void *data)
{
    refuse.first = refuse.last = *(int *)data;
    run_all();
    CHECK(refuse.asked == WORKERS + 1);
    CHECK(pool.started == WORKERS);
}

/* Without the handler of fork there may be no thread, as a child would wait for it. */
static void refuse_the_rest(void *data)
{
    (void)data;
    refuse.handler = true;
    run_all();
    CHECK(refuse.asked == 0 && pool.started == 0);
    refuse.handler = false;
    refuse.attributes = true;
    run_all();
    CHECK(refuse.asked == 0 && pool.started == 0);
    refuse.attributes = false;
    run_all();
    CHECK(refuse.asked == WORKERS && pool.started == WORKERS);
}

int main(void)
{
    for (int i = 0; i < TRIED; i++) {
        problems[i] = problem_of(&tried[i], CHANCONV_F32);
        CHECK(make_problem(&problems[i]));
    }
    for (int k = 1; k <= WORKERS; k++) {
        CHECK(passes_in_child(refuse_from, &k, TIME_LIMIT));
        CHECK(passes_in_child(refuse_once, &k, TIME_LIMIT));
    }
    CHECK(passes_in_child(refuse_the_rest, NULL, TIME_LIMIT));
    for (int i = 0; i < TRIED; i++) {
        free_problem(&problems[i]);
    }
    return report();
}

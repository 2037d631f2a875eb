/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The choice of the instruction set, and the environment. The environment is read once in a process: every case is a
 * child of one that has not read it.
 */
#include <sched.h>

#include "test.h"

struct environment_case {
    const char *own, *omp, *isa; /* values of the variables; NULL: not set */
    int threads;                 /* expected; 0: the processors */
    const char *source;
    const char *expected_isa;    /* NULL: the best */
    int warnings;
};

static void set(const char *name, const char *value)
{
    if (value) {
        setenv(name, value, 1);
    } else {
        unsetenv(name);
    }
}

static void check_environment(void *data)
{
    const struct environment_case *expected = data;
    set("CHANCONV_NUM_THREADS", expected->own);
    set("OMP_NUM_THREADS", expected->omp);
    set("CHANCONV_ISA", expected->isa);
    int threads = expected->threads ? expected->threads : allowed_processors();
    CHECK(chanconv_get_num_threads() == threads);
    CHECK(strcmp(chanconv_num_threads_source(), expected->source) == 0);
    CHECK(strcmp(chanconv_isa(), expected->expected_isa ? expected->expected_isa : chanconv_isa_available(0)) == 0);
    int warnings = 0;
    for (const char *text; (text = chanconv_environment_warning(warnings)); warnings++) {
        CHECK(strncmp(text, "CHANCONV_", 9) == 0 && strlen(text) < 200);
    }
    CHECK(warnings == expected->warnings);
    CHECK(!chanconv_environment_warning(-1));
}

#define LONG_TEXT "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgggggggggghhhhhhhhhhiiiiiiiiiijjjjjjjjjj"

static void test_environment(void)
{
    static const char own[] = "CHANCONV_NUM_THREADS", omp[] = "OMP_NUM_THREADS", processors[] = "processors";
    static const struct environment_case cases[] = {
        {NULL, NULL, NULL, 0, processors, NULL, 0},
        {"3", NULL, NULL, 3, own, NULL, 0},
        {"3", "5", NULL, 3, own, NULL, 0},
        {" 7 ", NULL, NULL, 7, own, NULL, 0},
        {NULL, "5", NULL, 5, omp, NULL, 0},
        {NULL, "4,2,1", NULL, 4, omp, NULL, 0},
        {NULL, "many", NULL, 0, processors, NULL, 0},
        {NULL, "4 of them", NULL, 0, processors, NULL, 0},
        {NULL, "0", NULL, 0, processors, NULL, 0},
        {"100000", NULL, NULL, THREADS_MAX, own, NULL, 0},
        {"abc", NULL, NULL, 0, processors, NULL, 1},
        {"abc", "2", NULL, 2, omp, NULL, 1},
        {"", NULL, NULL, 0, processors, NULL, 1},
        {"-1", NULL, NULL, 0, processors, NULL, 1},
        {"0", NULL, NULL, 0, processors, NULL, 1},
        {"2.5", NULL, NULL, 0, processors, NULL, 1},
        {"3,2", NULL, NULL, 0, processors, NULL, 1},
        {"99999999999999999999", NULL, NULL, 0, processors, NULL, 1},
        {LONG_TEXT LONG_TEXT, NULL, LONG_TEXT LONG_TEXT, 0, processors, NULL, 2},
        {NULL, NULL, "generic", 0, processors, "generic", 0},
        {NULL, NULL, "sse9", 0, processors, NULL, 1},
        {NULL, NULL, "", 0, processors, NULL, 1},
        {"x", NULL, "GENERIC", 0, processors, NULL, 2},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (!CHECK(passes_in_child(check_environment, (void *)&cases[i], 10))) {
            fprintf(stderr, "  case %zu\n", i);
        }
    }
}

static bool available(const char *isa)
{
    for (int i = 0; chanconv_isa_available(i); i++) {
        if (strcmp(chanconv_isa_available(i), isa) == 0) {
            return true;
        }
    }
    return false;
}

/* What is compiled in and cannot run here is ignored, with a reason. */
static void test_isa_in_environment(void)
{
    for (int i = 0; chanconv_isa_compiled(i); i++) {
        const char *isa = chanconv_isa_compiled(i);
        struct environment_case one = {
            .isa = isa, .source = "processors", .expected_isa = available(isa) ? isa : NULL,
            .warnings = !available(isa)};
        CHECK(passes_in_child(check_environment, &one, 10));
    }
}

/* 64 threads make the first call of all. */
static _Atomic int ready;

static void *first_call(void *data)
{
    (void)data;
    atomic_fetch_add(&ready, 1);
    while (atomic_load(&ready) < 64) {
        sched_yield();
    }
    CHECK(strcmp(kernels_for(CHANCONV_F32)->isa, chanconv_isa_available(0)) == 0);
    CHECK(chanconv_get_num_threads() >= 1);
    CHECK(!chanconv_environment_warning(2));
    return NULL;
}

static void check_first_calls(void *data)
{
    (void)data;
    unsetenv("CHANCONV_ISA");
    pthread_t thread[64];
    for (int i = 0; i < 64; i++) {
        CHECK(pthread_create(&thread[i], NULL, first_call, NULL) == 0);
    }
    for (int i = 0; i < 64; i++) {
        pthread_join(thread[i], NULL);
    }
}

static void test_lists(void)
{
    int count = 0;
    while (chanconv_isa_available(count)) {
        count++;
    }
    CHECK(count >= 1 && strcmp(chanconv_isa_available(count - 1), "generic") == 0);
    CHECK(available("generic") && !available("sse9"));
    CHECK(!chanconv_isa_available(-1) && !chanconv_isa_available(INT32_MAX) && !chanconv_isa_compiled(-1));
}

static void test_set_isa(void)
{
    for (int i = 0; chanconv_isa_available(i); i++) {
        const char *isa = chanconv_isa_available(i);
        CHECK(chanconv_set_isa(isa) == CHANCONV_OK);
        CHECK(strcmp(chanconv_isa(), isa) == 0);
        for (int32_t dtype = CHANCONV_F32; dtype <= CHANCONV_F64; dtype++) {
            const struct kernels *kernels = kernels_for(dtype);
            CHECK(strcmp(kernels->isa, isa) == 0);
            CHECK(kernels->item == (dtype == CHANCONV_F32 ? sizeof(float) : sizeof(double)));
        }
        CHECK(chanconv_set_isa("sse9") == CHANCONV_BAD_ALGORITHM);
        CHECK(chanconv_set_isa(NULL) == CHANCONV_BAD_ALGORITHM);
        CHECK(strcmp(chanconv_isa(), isa) == 0);
    }
    CHECK(chanconv_set_isa(chanconv_isa_available(0)) == CHANCONV_OK);
}

int main(void)
{
    test_environment();
    test_isa_in_environment();
    CHECK(passes_in_child(check_first_calls, NULL, 60));
    test_lists();
    test_set_isa();
    return report();
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Calls that only C can make, named after the lines of the list of bad inputs (I14 .. I20, and of E and L what is C's):
 * each gives a status, and nothing is written. test_conv_guard.c does the same for every pass, algorithm and allocation.
 */
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>

#include "test.h"

enum { SIZE = 24, CHANNELS = 8, COUNT = SIZE * SIZE * CHANNELS };

static float x[COUNT], kernel[9 * CHANNELS * CHANNELS], expected[COUNT];

static chanconv_conv descriptor(void)
{
    chanconv_conv conv;
    chanconv_conv_init(&conv);
    conv.h = conv.w = SIZE;
    conv.c = conv.k = CHANNELS;
    conv.kh = conv.kw = 3;
    for (int axis = 0; axis < 2; axis++) {
        conv.padding[axis][0] = conv.padding[axis][1] = 1;
    }
    return conv;
}

static chanconv_status forward(chanconv_context *context, const chanconv_conv *conv, float *y, chanconv_error *error)
{
    return chanconv_conv_forward(context, conv, x, kernel, NULL, y, error);
}

/* A call with this descriptor is refused with this status, names the argument, and writes nothing. */
static void check_refused(const chanconv_conv *conv, chanconv_status expected_status, const char *argument)
{
    static float y[COUNT];
    chanconv_error error = {.argument = NULL};
    memset(y, 0xff, sizeof y);
    CHECK(forward(NULL, conv, y, &error) == expected_status);
    CHECK(forward(NULL, conv, y, NULL) == expected_status);
    CHECK(error.argument && strcmp(error.argument, argument) == 0);
    for (int i = 0; i < COUNT; i++) {
        if (y[i] == y[i]) {
            CHECK(!"written");
            return;
        }
    }
}

static chanconv_status call_forward(chanconv_context *context, void *data)
{
    const chanconv_conv conv = descriptor();
    (void)data;
    static float y[COUNT];
    memset(y, 0xff, sizeof y);
    const chanconv_status status = forward(context, &conv, y, NULL);
    CHECK(status != CHANCONV_OK || memcmp(y, expected, sizeof y) == 0);
    return status;
}

/* ---- Memory ------------------------------------------------------------------------------------------------------ */

static void test_E10_every_allocation_fails(void)
{
    CHECK(check_failing_allocations(call_forward, NULL, 1) >= 1);
    CHECK(check_failing_allocations(call_forward, NULL, 3) >= 1);
}

/* As in a process whose memory is used up: no call succeeds, none hangs, and afterwards all is well. */
static void test_E11_allocations_go_on_failing(void)
{
    struct counter counter = {.fail_at = 0};
    chanconv_context *context = counted_context(&counter, 3);
    for (int i = 0; i < 100; i++) {
        counter.fail_at = counter.calls + 1;
        CHECK(call_forward(context, NULL) == CHANCONV_NO_MEMORY);
        CHECK(counter.live == 0);
    }
    counter.fail_at = 0;
    CHECK(call_forward(context, NULL) == CHANCONV_OK);
    chanconv_context_destroy(context);
}

static void limited_memory(void *data)
{
    (void)data;
    chanconv_conv conv = descriptor();
    conv.h = conv.w = 1500;
    conv.algorithm = CHANCONV_IM2COL; /* a matrix of 600 MB */
    const size_t count = (size_t)conv.h * (size_t)conv.w * CHANNELS;
    float *big = calloc(count, sizeof *big), *y = calloc(count, sizeof *y);
    const struct rlimit limit = {400 << 20, 400 << 20};
    const bool limited = CHECK(big && y) && CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
    void *beyond = malloc(420 << 20); /* which an emulator may still have */
    free(beyond);
    if (limited && !beyond) {
        CHECK(chanconv_conv_forward(NULL, &conv, big, kernel, NULL, y, NULL) == CHANCONV_NO_MEMORY);
        conv.algorithm = CHANCONV_GEMM;
        CHECK(chanconv_conv_forward(NULL, &conv, big, kernel, NULL, y, NULL) == CHANCONV_OK);
    }
    free(big);
    free(y);
}

static void test_E12_little_address_space(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(MEMORY_SANITIZER) || defined(VALGRIND)
    (void)limited_memory; /* their shadow alone is larger */
#else
    CHECK(passes_in_child(limited_memory, NULL, 60));
#endif
}

/* Arrays that addresses of 64 bits could count, and no machine has: x, x with its padding, y, the kernel. */
static void test_E4_arrays_that_no_machine_has(void)
{
    static const struct {
        int64_t h, w, c, kh, kw, k, pad, stride;
    } sizes[] = {
        {1 << 20, 1 << 20, 1 << 8, 1, 1, 1, 0, 1 << 20},
        {1, 1, 4, 1, 1, 1, 1 << 24, 1 << 24},
        {1, 1, 1 << 6, 1, 1, 1, 1 << 30, 1 << 30},
        {1 << 10, 1 << 10, 1, 1, 1, 1 << 30, 0, 1},
        {1 << 12, 1 << 12, 1 << 8, 1 << 12, 1 << 12, 1 << 17, 0, 1},
    };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        chanconv_conv conv;
        chanconv_plan plan = {.struct_size = sizeof plan};
        chanconv_error error;
        chanconv_conv_init(&conv);
        conv.h = sizes[i].h, conv.w = sizes[i].w, conv.c = sizes[i].c;
        conv.kh = sizes[i].kh, conv.kw = sizes[i].kw, conv.k = sizes[i].k;
        for (int axis = 0; axis < 2; axis++) {
            conv.padding[axis][0] = sizes[i].pad;
            conv.stride[axis] = sizes[i].stride;
        }
        check_refused(&conv, CHANCONV_NO_MEMORY, "memory");
        for (int pass = CHANCONV_FORWARD; pass <= CHANCONV_GRAD_KERNEL; pass++) {
            CHECK(chanconv_conv_plan(NULL, &conv, (chanconv_pass)pass, &plan, &error) == CHANCONV_NO_MEMORY);
            CHECK(strcmp(error.argument, "memory") == 0);
        }
    }
}

static void test_L6_arrays_at_the_ends_of_pages(void)
{
    const chanconv_conv conv = descriptor();
    for (int side = GUARD_START; side <= GUARD_END; side++) {
        struct guarded in = guarded_new(sizeof x, (enum guard)side), weights = guarded_new(sizeof kernel, (enum guard)side);
        struct guarded out = guarded_new(sizeof x, (enum guard)side);
        memcpy(in.data, x, sizeof x);
        memcpy(weights.data, kernel, sizeof kernel);
        guarded_protect(&in);
        guarded_protect(&weights);
        CHECK(chanconv_conv_forward(NULL, &conv, in.data, weights.data, NULL, out.data, NULL) == CHANCONV_OK);
        CHECK(memcmp(out.data, expected, sizeof expected) == 0);
        guarded_free(&in);
        guarded_free(&weights);
        guarded_free(&out);
    }
}

/* ---- Arguments ------------------------------------------------------------------------------------------------------ */

static void test_I14_null_pointers(void)
{
    chanconv_conv conv = descriptor();
    static float y[COUNT];
    chanconv_error error;
    CHECK(chanconv_conv_forward(NULL, NULL, x, kernel, NULL, y, &error) == CHANCONV_BAD_STRUCT);
    CHECK(chanconv_conv_forward(NULL, &conv, NULL, kernel, NULL, y, &error) == CHANCONV_BAD_STRUCT);
    CHECK(strcmp(error.argument, "x") == 0);
    CHECK(chanconv_conv_forward(NULL, &conv, x, NULL, NULL, y, &error) == CHANCONV_BAD_STRUCT);
    CHECK(strcmp(error.argument, "kernel") == 0);
    CHECK(chanconv_conv_forward(NULL, &conv, x, kernel, NULL, NULL, &error) == CHANCONV_BAD_STRUCT);
    CHECK(strcmp(error.argument, "y") == 0);
    CHECK(chanconv_conv_check(NULL, NULL, NULL) == CHANCONV_BAD_STRUCT);
    CHECK(chanconv_conv_plan(NULL, &conv, CHANCONV_FORWARD, NULL, &error) == CHANCONV_BAD_STRUCT);
    chanconv_plan plan = {.struct_size = sizeof plan};
    CHECK(chanconv_conv_plan(NULL, &conv, (chanconv_pass)(CHANCONV_GRAD_BIAS + 1), &plan, &error) == CHANCONV_BAD_STRUCT);
    CHECK(chanconv_conv_plan(NULL, &conv, (chanconv_pass)-1, &plan, &error) == CHANCONV_BAD_STRUCT);
    CHECK(strcmp(error.argument, "pass") == 0);
    CHECK(chanconv_conv_transposed(NULL, (int64_t[2]){1, 1}, (int64_t[2]){0, 0}, &error) == CHANCONV_BAD_STRUCT);
    CHECK(chanconv_conv_transposed(&conv, NULL, (int64_t[2]){0, 0}, &error) == CHANCONV_BAD_STRUCT);
    CHECK(strcmp(error.argument, "grid") == 0);
    CHECK(chanconv_conv_transposed(&conv, (int64_t[2]){1, 1}, NULL, &error) == CHANCONV_BAD_STRUCT);
    CHECK(strcmp(error.argument, "output_padding") == 0);
    CHECK(chanconv_get_cpu_info(NULL) == CHANCONV_BAD_STRUCT);
    CHECK(chanconv_context_create(NULL, NULL) == CHANCONV_BAD_STRUCT);
    CHECK(chanconv_set_isa(NULL) != CHANCONV_OK);
}

static void test_I15_sizes(void)
{
    static const int64_t wrong[] = {-1, INT64_MIN, INT64_MIN + 1};
    for (int i = 0; i < 3; i++) {
        chanconv_conv conv = descriptor();
        conv.n = wrong[i];
        check_refused(&conv, CHANCONV_BAD_X, "x");
        conv = descriptor(), conv.h = wrong[i];
        check_refused(&conv, CHANCONV_BAD_X, "x");
        conv = descriptor(), conv.c = wrong[i];
        check_refused(&conv, CHANCONV_BAD_X, "x");
        conv = descriptor(), conv.kw = wrong[i];
        check_refused(&conv, CHANCONV_BAD_KERNEL, "kernel");
        conv = descriptor(), conv.k = wrong[i];
        check_refused(&conv, CHANCONV_BAD_KERNEL, "kernel");
        conv = descriptor(), conv.stride[1] = wrong[i];
        check_refused(&conv, CHANCONV_BAD_STRIDE, "stride");
        conv = descriptor(), conv.dilation[0] = wrong[i];
        check_refused(&conv, CHANCONV_BAD_DILATION, "dilation");
        conv = descriptor(), conv.padding[1][1] = wrong[i];
        check_refused(&conv, CHANCONV_BAD_PADDING, "padding");
        conv = descriptor(), conv.groups = wrong[i];
        check_refused(&conv, CHANCONV_BAD_GROUPS, "groups");
    }
    chanconv_conv conv = descriptor();
    conv.n = 0;
    CHECK(chanconv_conv_forward(NULL, &conv, NULL, kernel, NULL, NULL, NULL) == CHANCONV_OK);
}

static void test_I16_struct_sizes(void)
{
    static const size_t wrong[] = {0, 8, sizeof(chanconv_conv) - 1, sizeof(chanconv_conv) + 8, SIZE_MAX};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        chanconv_conv conv = descriptor();
        conv.struct_size = wrong[i];
        check_refused(&conv, CHANCONV_BAD_STRUCT, "conv");
        conv = descriptor();
        chanconv_sizes sizes = {.struct_size = wrong[i] / 2};
        chanconv_plan plan = {.struct_size = wrong[i] / 2};
        chanconv_cpu_info info = {.struct_size = wrong[i] / 2};
        CHECK(chanconv_conv_check(&conv, &sizes, NULL) == CHANCONV_BAD_STRUCT);
        CHECK(chanconv_conv_plan(NULL, &conv, CHANCONV_FORWARD, &plan, NULL) == CHANCONV_BAD_STRUCT);
        CHECK(chanconv_get_cpu_info(&info) == CHANCONV_BAD_STRUCT);
    }
}

/* Pitches are what C says of an array's length: too short for the sizes is an error. */
static void test_I17_arrays_that_are_too_short(void)
{
    chanconv_conv conv = descriptor();
    conv.x_pixel = CHANNELS - 1;
    check_refused(&conv, CHANCONV_BAD_X, "x");
    conv = descriptor(), conv.x_row = SIZE * CHANNELS - 1;
    check_refused(&conv, CHANCONV_BAD_X, "x");
    conv = descriptor(), conv.x_image = SIZE * SIZE * CHANNELS - 1;
    check_refused(&conv, CHANCONV_BAD_X, "x");
    conv = descriptor(), conv.y_row = SIZE * CHANNELS - 1;
    check_refused(&conv, CHANCONV_BAD_Y, "y");
    conv = descriptor(), conv.y_image = -COUNT;
    check_refused(&conv, CHANCONV_BAD_Y, "y");
}

/* A context that was destroyed is freed memory, which nobody can check; NULL may be. */
static void test_I18_destroy(void)
{
    chanconv_context_destroy(NULL);
    chanconv_context *context = (chanconv_context *)x;
    const chanconv_context_options wrong = {.struct_size = 1};
    CHECK(chanconv_context_create(&wrong, &context) == CHANCONV_BAD_STRUCT && !context);
    chanconv_context_destroy(context);
}

/* A host's blocks at any address that malloc could give, and at worse ones. */
static void test_I19_allocators(void)
{
    for (size_t skew = 0; skew < 64; skew += 8) {
        struct counter counter = {.skew = skew};
        chanconv_context *context = counted_context(&counter, 2);
        CHECK(call_forward(context, NULL) == CHANCONV_OK);
        CHECK(counter.live == 0);
        chanconv_context_destroy(context);
    }
}

/* ---- Threads and signals ---------------------------------------------------------------------------------------------- */

static volatile sig_atomic_t signals, calls_in_handler;

/* Not promised (chanconv.h speaks of threads alone), but a handler that interrupts a thread outside the library may. */
static void call_in_handler(int number)
{
    static float y[COUNT];
    const chanconv_conv conv = descriptor();
    (void)number;
    signals++;
    calls_in_handler += forward(NULL, &conv, y, NULL) == CHANCONV_OK && memcmp(y, expected, sizeof y) == 0;
}

#if defined(EMULATED) && defined(__x86_64__)
static volatile sig_atomic_t misaligned;

static void look_at_stack(int number)
{
    (void)number;
    misaligned = (uintptr_t)__builtin_frame_address(0) % 16 != 0;
}

/* QEMU before 8.1 enters handlers with a stack that is 8 bytes off what the ABI says: vectors cannot lie on it. */
static bool handlers_can_compute(void)
{
    signal(SIGUSR1, look_at_stack);
    raise(SIGUSR1);
    return !misaligned;
}
#else
static bool handlers_can_compute(void) { return true; }
#endif

static void test_I20_in_a_signal_handler(void)
{
    struct sigaction action = {.sa_handler = call_in_handler}, before;
    if (!handlers_can_compute()) {
        printf("(no calls in signal handlers: the emulator misaligns their stack) ");
        return;
    }
    sigaction(SIGUSR1, &action, &before);
    for (int i = 0; i < 10; i++) {
        raise(SIGUSR1);
    }
    sigaction(SIGUSR1, &before, NULL);
    CHECK(signals == 10 && calls_in_handler == 10);
}

static void count_signal(int number)
{
    (void)number;
    signals++;
}

static _Atomic bool done;

static void *send_signals(void *target)
{
    while (!done) {
        pthread_kill(*(pthread_t *)target, SIGUSR1);
        usleep(200);
    }
    return NULL;
}

/* Calls that are interrupted all the time, with and without SA_RESTART: the same bits, and the mask is the caller's. */
static void test_I12_signals_during_calls(void)
{
    for (int flags = 0; flags <= SA_RESTART; flags += SA_RESTART) {
        struct sigaction action = {.sa_handler = count_signal, .sa_flags = flags}, before;
        sigaction(SIGUSR1, &action, &before);
        pthread_t self = pthread_self(), sender;
        chanconv_context_options options = {.struct_size = sizeof options, .threads = 3};
        chanconv_context *context;
        CHECK(chanconv_context_create(&options, &context) == CHANCONV_OK);
        signals = 0;
        done = false;
        CHECK(pthread_create(&sender, NULL, send_signals, &self) == 0);
        for (int i = 0; i < 2000 && (i < 20 || signals < 50); i++) {
            CHECK(call_forward(context, NULL) == CHANCONV_OK);
        }
        done = true;
        pthread_join(sender, NULL);
        CHECK(signals > 0);
        sigset_t mask;
        pthread_sigmask(SIG_BLOCK, NULL, &mask);
        CHECK(!sigismember(&mask, SIGUSR1));
        sigaction(SIGUSR1, &before, NULL);
        chanconv_context_destroy(context);
    }
}

int main(void)
{
    for (int i = 0; i < COUNT; i++) {
        x[i] = (float)(i % 7 - 3);
    }
    for (int i = 0; i < 9 * CHANNELS * CHANNELS; i++) {
        kernel[i] = (float)(i % 5 - 2);
    }
    const chanconv_conv conv = descriptor();
    CHECK(forward(NULL, &conv, expected, NULL) == CHANCONV_OK);
    test_E10_every_allocation_fails();
    test_E11_allocations_go_on_failing();
    test_E12_little_address_space();
    test_E4_arrays_that_no_machine_has();
    test_L6_arrays_at_the_ends_of_pages();
    test_I14_null_pointers();
    test_I15_sizes();
    test_I16_struct_sizes();
    test_I17_arrays_that_are_too_short();
    test_I18_destroy();
    test_I19_allocators();
    test_I20_in_a_signal_handler();
    test_I12_signals_during_calls();
    return report();
}

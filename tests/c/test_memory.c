/* SPDX-License-Identifier: BSD-3-Clause
 * Scratch memory: alignment, size, reuse, and the host's allocator, right or wrong. */
#include "test.h"

static bool aligned(const void *memory) { return (uintptr_t)memory % CACHE_LINE == 0; }

/* Takes blocks of every size, writes them whole and finds what it wrote. */
static void check_sizes(chanconv_context *context)
{
    static const size_t sizes[] = {0, 1, 63, 64, 65, 4096, 100000, 1 << 20, (16 << 20) - 1, 17 << 20, 1};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        unsigned char *block = take_scratch(context, sizes[i]);
        if (CHECK(block) && CHECK(aligned(block)) && sizes[i]) {
            memset(block, (int)i + 1, sizes[i]);
            CHECK(block[0] == i + 1 && block[sizes[i] - 1] == i + 1);
        }
        release_scratch(context, block, sizes[i]);
    }
}

/* Blocks held at the same time are different ones. */
static void check_distinct(chanconv_context *context)
{
    enum { BLOCKS = 8, BYTES = 5000 };
    unsigned char *block[BLOCKS];
    for (int i = 0; i < BLOCKS; i++) {
        block[i] = take_scratch(context, BYTES);
        CHECK(block[i]);
        memset(block[i], i, BYTES);
    }
    for (int i = 0; i < BLOCKS; i++) {
        CHECK(block[i][0] == i && block[i][BYTES - 1] == i);
        release_scratch(context, block[i], BYTES);
    }
}

static void test_own(void)
{
    check_sizes(NULL);
    check_distinct(NULL);
    release_scratch(NULL, NULL, 100);
}

/* The largest of the blocks released is the one that the next call gets. */
static void test_reuse(void)
{
    void *small = take_scratch(NULL, 1000), *large = take_scratch(NULL, 1 << 20);
    release_scratch(NULL, large, 1 << 20);
    release_scratch(NULL, small, 1000);
    void *again = take_scratch(NULL, 1 << 19);
    CHECK(again == large);
    release_scratch(NULL, again, 1 << 19);
}

static void test_impossible_sizes(void)
{
    static const size_t sizes[] = {SIZE_MAX, SIZE_MAX - 63, SIZE_MAX - 127, SIZE_MAX / 2 + 1};
    struct counter counter = {0};
    chanconv_context *context = counted_context(&counter, 1);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        CHECK(!take_scratch(NULL, sizes[i]));
        if (sizes[i] > SIZE_MAX - 128) {
            CHECK(!take_scratch(context, sizes[i]) && counter.calls == 0);
        }
    }
    chanconv_context_destroy(context);
}

/* The host's blocks are aligned by the library if they are not; each is released with its own address and size. */
static void test_host(void)
{
    static const size_t skews[] = {0, 1, 8, 16, 63};
    for (size_t i = 0; i < sizeof skews / sizeof *skews; i++) {
        struct counter counter = {.skew = skews[i]};
        chanconv_context *context = counted_context(&counter, 1);
        check_sizes(context);
        check_distinct(context);
        CHECK(counter.calls > 0 && counter.live == 0);
        chanconv_context_destroy(context);
    }
}

static chanconv_status take_three(chanconv_context *context, void *data)
{
    void *block[3];
    bool all = true;
    for (int i = 0; i < 3; i++) {
        block[i] = take_scratch(context, *(size_t *)data);
        all = all && block[i];
    }
    for (int i = 0; i < 3; i++) {
        release_scratch(context, block[i], *(size_t *)data);
    }
    return all ? CHANCONV_OK : CHANCONV_NO_MEMORY;
}

static void test_host_refuses(void)
{
    size_t bytes = 1000;
    CHECK(check_failing_allocations(take_three, &bytes, 1) == 3);
}

static void *take_and_release(void *data)
{
    size_t seed = (size_t)(uintptr_t)data;
    for (size_t i = 0; i < 2000; i++) {
        size_t bytes = 1 + (i * 7919 + seed * 104729) % 60000;
        unsigned char *block = take_scratch(NULL, bytes);
        if (!CHECK(block)) {
            break;
        }
        memset(block, (int)seed, bytes);
        CHECK(block[0] == seed && block[bytes - 1] == seed);
        release_scratch(NULL, block, bytes);
    }
    return NULL;
}

static void test_many_threads(void)
{
    enum { THREADS = 8 };
    pthread_t thread[THREADS];
    for (uintptr_t i = 0; i < THREADS; i++) {
        CHECK(pthread_create(&thread[i], NULL, take_and_release, (void *)i) == 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(thread[i], NULL);
    }
}

int main(void)
{
    test_own();
    test_reuse();
    test_impossible_sizes();
    test_host();
    test_host_refuses();
    test_many_threads();
    return report();
}

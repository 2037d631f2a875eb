/* SPDX-License-Identifier: BSD-3-Clause
 * What embedders rely on: versions that agree, the table, planes, contexts, calls that allocate nothing and start nothing. */
#include <dirent.h>

#include "test.h"

/* ---- Versions and the table -------------------------------------------------------------------------------------- */

static void test_version(void)
{
    char numbers[32];
    snprintf(numbers, sizeof numbers, "%d.%d.%d", CHANCONV_VERSION_MAJOR, CHANCONV_VERSION_MINOR,
             CHANCONV_VERSION_PATCH);
    CHECK(strcmp(chanconv_version(), CHANCONV_VERSION) == 0);
    CHECK(strcmp(numbers, CHANCONV_VERSION) == 0);
    CHECK(chanconv_version_number() == CHANCONV_VERSION_NUMBER);
    CHECK(chanconv_abi_major() == CHANCONV_ABI_MAJOR && chanconv_abi_minor() == CHANCONV_ABI_MINOR);
    CHECK(strlen(chanconv_compiler()) > 4);
}

static void test_table(void)
{
    const chanconv_api *api = chanconv_get_api();
    CHECK(api == chanconv_get_api() && api->struct_size == sizeof *api);
    CHECK(api->abi_major == CHANCONV_ABI_MAJOR && api->abi_minor == CHANCONV_ABI_MINOR);
    size_t count = 0;
    while (api->names[count]) {
        count++;
    }
    CHECK(sizeof *api == offsetof(chanconv_api, version_number) + count * sizeof(void *));
    CHECK(strcmp(api->names[0], "version_number") == 0 && api->version_number == chanconv_version_number);
    CHECK(api->conv_forward == chanconv_conv_forward && api->conv_plan == chanconv_conv_plan);
    void *const *pointer = (void *const *)&api->version_number;
    for (size_t i = 0; i < count; i++) {
        CHECK(pointer[i]);
        for (size_t j = 0; j < i; j++) {
            CHECK(pointer[i] != pointer[j] && strcmp(api->names[i], api->names[j]) != 0);
        }
    }
}

/* ---- Planes ------------------------------------------------------------------------------------------------------ */

static void test_plane_conv(void)
{
    enum { H = 6, W = 5, KH = 3, KW = 2, STRIDE = 2, PAD = 1, OH = (H + 2 * PAD - KH) / STRIDE + 1,
           OW = (W + 2 * PAD - KW) / STRIDE + 1 };
    float x[H][W], kernel[KH][KW], y[OH][OW];
    for (int i = 0; i < H * W; i++) {
        (&x[0][0])[i] = (float)(i * 5 % 7 - 3);
    }
    for (int i = 0; i < KH * KW; i++) {
        (&kernel[0][0])[i] = (float)(i * 3 % 5 - 2);
    }
    CHECK(chanconv_plane_conv(NULL, CHANCONV_F32, H, W, x, KH, KW, kernel, STRIDE, PAD, y, NULL) == CHANCONV_OK);
    for (int i = 0; i < OH * OW; i++) {
        float sum = 0;
        for (int tap = 0; tap < KH * KW; tap++) {
            int row = i / OW * STRIDE + tap / KW - PAD, column = i % OW * STRIDE + tap % KW - PAD;
            if (row >= 0 && row < H && column >= 0 && column < W) {
                sum += x[row][column] * kernel[tap / KW][tap % KW];
            }
        }
        CHECK(y[i / OW][i % OW] == sum);
    }
    chanconv_error error;
    CHECK(chanconv_plane_conv(NULL, CHANCONV_F32, H, W, x, KH, KW, kernel, 0, PAD, y, &error) == CHANCONV_BAD_STRIDE);
    CHECK(strcmp(error.argument, "stride") == 0);
    CHECK(chanconv_plane_conv(NULL, (chanconv_dtype)7, H, W, x, KH, KW, kernel, 1, PAD, y, NULL) == CHANCONV_BAD_DTYPE);
    CHECK(chanconv_plane_conv(NULL, CHANCONV_F32, H, W, x, KH, KW, kernel, 1, -1, y, NULL) == CHANCONV_BAD_PADDING);
    CHECK(chanconv_plane_conv(NULL, CHANCONV_F32, 1, W, x, KH, KW, kernel, 1, 0, y, NULL) == CHANCONV_BAD_KERNEL);
    CHECK(chanconv_plane_conv(NULL, CHANCONV_F32, H, W, NULL, KH, KW, kernel, 1, 0, y, NULL) == CHANCONV_BAD_STRUCT);
}

/* ---- Contexts ---------------------------------------------------------------------------------------------------- */

static void no_release(void *host, void *block, size_t bytes)
{
    (void)host, (void)block, (void)bytes;
}

static void test_bad_options(void)
{
    char memory[64];
    struct counter counter = {0};
    const chanconv_context_options good = {.struct_size = sizeof good, .host = &counter};
    chanconv_context_options bad[6];
    for (int i = 0; i < 6; i++) {
        bad[i] = good;
    }
    bad[0].struct_size = 8;
    bad[1].threads = -1;
    bad[2].allocate = counter_allocate; /* without release */
    bad[3].release = no_release;
    bad[4].workspace_bytes = 64; /* without an address */
    bad[5].workspace = memory;
    bad[5].allocate = counter_allocate;
    bad[5].release = counter_release;
    for (int i = 0; i < 6; i++) {
        chanconv_context *context = (chanconv_context *)memory;
        CHECK(chanconv_context_create(&bad[i], &context) == CHANCONV_BAD_STRUCT && !context);
    }
    CHECK(chanconv_context_create(&good, NULL) == CHANCONV_BAD_STRUCT);
    chanconv_context *context;
    CHECK(chanconv_context_create(NULL, &context) == CHANCONV_BAD_STRUCT);
    chanconv_context_destroy(NULL);
}

/* ---- Nothing allocated, nothing started ---------------------------------------------------------------------------- */

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && !defined(MEMORY_SANITIZER)
/* The C library's allocator, counted. */
static _Atomic long allocations;
void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *block, size_t bytes);
void *__libc_memalign(size_t alignment, size_t bytes);

void *malloc(size_t bytes) { return atomic_fetch_add(&allocations, 1), __libc_malloc(bytes); }
void *calloc(size_t count, size_t bytes) { return atomic_fetch_add(&allocations, 1), __libc_calloc(count, bytes); }
void *realloc(void *block, size_t bytes) { return atomic_fetch_add(&allocations, 1), __libc_realloc(block, bytes); }

int posix_memalign(void **block, size_t alignment, size_t bytes)
{
    atomic_fetch_add(&allocations, 1);
    *block = __libc_memalign(alignment, bytes);
    return *block ? 0 : 12;
}

void *aligned_alloc(size_t alignment, size_t bytes)
{
    return atomic_fetch_add(&allocations, 1), __libc_memalign(alignment, bytes);
}
#else
static long allocations;
#endif

static int threads_of_process(void)
{
    DIR *tasks = opendir("/proc/self/task");
    int count = 0;
    for (struct dirent *task; tasks && (task = readdir(tasks));) {
        count += task->d_name[0] != '.';
    }
    if (tasks) {
        closedir(tasks);
    }
    return count;
}

struct image {
    chanconv_conv conv;
    float *x, *kernel, *y, *grad_y, *grad_x, *grad_kernel;
    size_t x_bytes, kernel_bytes, y_bytes;
};

static float *random_floats(size_t bytes)
{
    float *values = malloc(bytes);
    for (size_t i = 0; i < bytes / sizeof *values; i++) {
        values[i] = (float)(i * 2654435761u % 1000) / 500 - 1;
    }
    return values;
}

/* Work for several threads. */
static struct image new_image(void)
{
    struct image i = {.x_bytes = 2 * 40 * 40 * 24 * sizeof(float), .kernel_bytes = 9 * 24 * 40 * sizeof(float),
                      .y_bytes = 2 * 40 * 40 * 40 * sizeof(float)};
    chanconv_conv_init(&i.conv);
    i.conv.n = 2, i.conv.h = i.conv.w = 40, i.conv.c = 24;
    i.conv.kh = i.conv.kw = 3, i.conv.k = 40;
    i.conv.padding_rule = CHANCONV_PAD_SAME;
    i.x = random_floats(i.x_bytes), i.grad_x = random_floats(i.x_bytes);
    i.kernel = random_floats(i.kernel_bytes), i.grad_kernel = random_floats(i.kernel_bytes);
    i.y = random_floats(i.y_bytes), i.grad_y = random_floats(i.y_bytes);
    return i;
}

static void free_image(struct image *i)
{
    float *const all[] = {i->x, i->kernel, i->y, i->grad_y, i->grad_x, i->grad_kernel};
    for (int j = 0; j < 6; j++) {
        free(all[j]);
    }
}

static void three_passes(chanconv_context *context, struct image *i)
{
    CHECK(chanconv_conv_forward(context, &i->conv, i->x, i->kernel, NULL, i->y, NULL) == CHANCONV_OK);
    CHECK(chanconv_conv_grad_x(context, &i->conv, i->grad_y, i->kernel, i->grad_x, NULL) == CHANCONV_OK);
    CHECK(chanconv_conv_grad_kernel(context, &i->conv, i->grad_y, i->x, i->grad_kernel, NULL) == CHANCONV_OK);
}

static void check_same(const struct image *a, const struct image *b)
{
    CHECK(memcmp(a->y, b->y, a->y_bytes) == 0);
    CHECK(memcmp(a->grad_x, b->grad_x, a->x_bytes) == 0);
    CHECK(memcmp(a->grad_kernel, b->grad_kernel, a->kernel_bytes) == 0);
}

static int64_t workspace_of(chanconv_context *context, const struct image *i)
{
    int64_t most = 0;
    for (int pass = CHANCONV_FORWARD; pass <= CHANCONV_GRAD_KERNEL; pass++) {
        chanconv_plan plan = {.struct_size = sizeof plan};
        CHECK(chanconv_conv_plan(context, &i->conv, (chanconv_pass)pass, &plan, NULL) == CHANCONV_OK);
        most = max64(most, plan.workspace_bytes);
    }
    return most;
}

/* A pool of threads that wait for work, so that a call on it starts none. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    chanconv_task task;
    void *data;
    int64_t next, count, open;
    _Atomic long items;
    bool stop;
} host = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void run_items(void) /* with the lock */
{
    while (host.next < host.count) {
        int64_t item = host.next++;
        pthread_mutex_unlock(&host.lock);
        host.task(host.data, item);
        atomic_fetch_add(&host.items, 1);
        pthread_mutex_lock(&host.lock);
        host.open--;
        pthread_cond_broadcast(&host.changed);
    }
}

static void *host_worker(void *data)
{
    pthread_mutex_lock(&host.lock);
    while (!host.stop) {
        run_items();
        pthread_cond_wait(&host.changed, &host.lock);
    }
    pthread_mutex_unlock(&host.lock);
    return data;
}

static void waiting_pool(void *ignored, int64_t count, chanconv_task task, void *data)
{
    (void)ignored;
    pthread_mutex_lock(&host.lock);
    host.task = task, host.data = data, host.next = 0, host.count = host.open = count;
    pthread_cond_broadcast(&host.changed);
    run_items();
    while (host.open) {
        pthread_cond_wait(&host.changed, &host.lock);
    }
    pthread_mutex_unlock(&host.lock);
}

/* Before any other test has the library start threads. */
static void test_host(void)
{
    enum { WORKERS = 3 };
    struct image mine = new_image(), serial = new_image();
    chanconv_context_options options = {.struct_size = sizeof options, .parallel_for = waiting_pool};
    pthread_t thread[WORKERS];
    for (int i = 0; i < WORKERS; i++) {
        CHECK(pthread_create(&thread[i], NULL, host_worker, NULL) == 0);
    }
    chanconv_context *one, *none;
    options.threads = 1;
    CHECK(chanconv_context_create(&options, &one) == CHANCONV_OK);
    three_passes(one, &serial);
    CHECK(host.items == 0);

    const int threads = threads_of_process();
    for (options.threads = 2; options.threads <= 5; options.threads++) {
        CHECK(chanconv_context_create(&options, &none) == CHANCONV_OK);
        const int64_t bytes = workspace_of(none, &serial);
        options.workspace = malloc((size_t)bytes);
        options.workspace_bytes = (size_t)bytes;
        chanconv_context *context;
        CHECK(chanconv_context_create(&options, &context) == CHANCONV_OK);
        const long before = allocations, items = host.items;
        three_passes(context, &mine);
        CHECK(allocations == before);
        CHECK(host.items > items);
        CHECK(threads_of_process() == threads);
        check_same(&mine, &serial);
        chanconv_context_destroy(context);
        chanconv_context_destroy(none);
        free(options.workspace);
        options.workspace = NULL;
        options.workspace_bytes = 0;
    }
    pthread_mutex_lock(&host.lock);
    host.stop = true;
    pthread_cond_broadcast(&host.changed);
    pthread_mutex_unlock(&host.lock);
    for (int i = 0; i < WORKERS; i++) {
        pthread_join(thread[i], NULL);
    }
    chanconv_context_destroy(one);
    free_image(&mine);
    free_image(&serial);
}

/* Two contexts with two pools, in use at once. */
struct user {
    pthread_t thread;
    struct host_pool pool;
    struct image image;
};

static void *use(void *data)
{
    struct user *user = data;
    chanconv_context *context = hosted_context(&user->pool);
    for (int i = 0; i < 5; i++) {
        three_passes(context, &user->image);
    }
    chanconv_context_destroy(context);
    return NULL;
}

static void test_two_pools(void)
{
    struct user user[2] = {{.pool.threads = 2}, {.pool.threads = 3}};
    for (int i = 0; i < 2; i++) {
        user[i].image = new_image();
        CHECK(pthread_create(&user[i].thread, NULL, use, &user[i]) == 0);
    }
    for (int i = 0; i < 2; i++) {
        pthread_join(user[i].thread, NULL);
        CHECK(user[i].pool.calls > 0);
    }
    check_same(&user[0].image, &user[1].image);
    free_image(&user[0].image);
    free_image(&user[1].image);
}

int main(void)
{
    test_host();
    test_version();
    test_table();
    test_plane_conv();
    test_bad_options();
    test_two_pools();
    return report();
}

// SPDX-License-Identifier: BSD-3-Clause
//
// A program with threads and memory of its own: chanconv runs on its pool of workers, in a workspace that it brings. The
// library starts no thread and allocates nothing, and the result has the bits of a call without any of this.
#include <chanconv.h>

#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <thread>
#include <vector>

// A pool as many programs have one: run() hands out items to the workers and to the thread that calls it.
class Pool {
public:
    explicit Pool(int workers)
    {
        for (int i = 0; i < workers; i++) threads_.emplace_back([this] { work(); });
    }

    ~Pool()
    {
        {
            std::lock_guard<std::mutex> lock(mutex_);
            stop_ = true;
        }
        wake_.notify_all();
        for (std::thread &thread : threads_) thread.join();
    }

    void run(int64_t count, chanconv_task task, void *data)
    {
        std::unique_lock<std::mutex> lock(mutex_);
        task_ = task, data_ = data, count_ = count, next_ = 0, open_ = count;
        wake_.notify_all();
        take_items(lock);
        done_.wait(lock, [this] { return open_ == 0; });
    }

    std::atomic<int64_t> items{0};

private:
    void take_items(std::unique_lock<std::mutex> &lock)
    {
        while (next_ < count_) {
            const int64_t item = next_++;
            lock.unlock();
            task_(data_, item);
            items++;
            lock.lock();
            if (--open_ == 0) done_.notify_all();
        }
    }

    void work()
    {
        std::unique_lock<std::mutex> lock(mutex_);
        for (;;) {
            wake_.wait(lock, [this] { return stop_ || next_ < count_; });
            if (stop_) return;
            take_items(lock);
        }
    }

    std::mutex mutex_;
    std::condition_variable wake_, done_;
    std::vector<std::thread> threads_;
    chanconv_task task_ = nullptr;
    void *data_ = nullptr;
    int64_t count_ = 0, next_ = 0, open_ = 0;
    bool stop_ = false;
};

static void on_pool(void *pool, int64_t count, chanconv_task task, void *data)
{
    static_cast<Pool *>(pool)->run(count, task, data);
}

static void check(chanconv_status status)
{
    if (status != CHANCONV_OK) {
        std::fprintf(stderr, "%s\n", chanconv_status_string(status));
        std::exit(1);
    }
}

int main()
{
    chanconv_conv conv;
    chanconv_conv_init(&conv);
    conv.n = 4, conv.h = conv.w = 56, conv.c = 64;
    conv.kh = conv.kw = 3, conv.k = 64;
    conv.padding_rule = CHANCONV_PAD_SAME;
    std::vector<float> x(4 * 56 * 56 * 64), kernel(3 * 3 * 64 * 64), y(x.size()), serial(x.size());
    for (size_t i = 0; i < x.size(); i++) x[i] = static_cast<float>(i % 13) - 6;
    for (size_t i = 0; i < kernel.size(); i++) kernel[i] = static_cast<float>(i % 7) / 7;

    Pool pool(3);
    chanconv_context_options options{};
    options.struct_size = sizeof options;
    options.threads = 4;
    options.parallel_for = on_pool;
    options.host = &pool;

    // How much memory a call takes with so many threads, from a context that has no memory yet.
    chanconv_context *context;
    chanconv_plan plan{};
    plan.struct_size = sizeof plan;
    check(chanconv_context_create(&options, &context));
    check(chanconv_conv_plan(context, &conv, CHANCONV_FORWARD, &plan, nullptr));
    chanconv_context_destroy(context);

    std::vector<char> workspace(static_cast<size_t>(plan.workspace_bytes));
    options.workspace = workspace.data();
    options.workspace_bytes = workspace.size();
    check(chanconv_context_create(&options, &context));
    check(chanconv_conv_forward(context, &conv, x.data(), kernel.data(), nullptr, y.data(), nullptr));
    chanconv_context_destroy(context);

    chanconv_set_num_threads(1);
    check(chanconv_conv_forward(nullptr, &conv, x.data(), kernel.data(), nullptr, serial.data(), nullptr));
    const bool same = std::memcmp(y.data(), serial.data(), y.size() * sizeof(float)) == 0;
    std::printf("%d items on the pool, %zu bytes of workspace, %s bits\n", static_cast<int>(pool.items.load()),
                workspace.size(), same ? "the same" : "OTHER");
    return !same || pool.items == 0;
}

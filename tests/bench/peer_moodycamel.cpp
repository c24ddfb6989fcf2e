/* SPDX-License-Identifier: MIT */
/* peer_moodycamel.cpp - moodycamel's BlockingConcurrentQueue, and threads that take from it
 * one by one. */
#include "peer_pools.h"

#include <concurrentqueue/blockingconcurrentqueue.h>

#include <thread>

namespace
{

struct Task {
    peer_task *run;
    void *user;
};

using Queue = moodycamel::BlockingConcurrentQueue<Task>;

void *open_pool(unsigned workers)
{
    auto *queue = new Queue;

    for (unsigned i = 0; i < workers; i++)
        std::thread([queue] {
            Task task{};

            for (;;) {
                queue->wait_dequeue(task);
                task.run(task.user);
            }
        }).detach();
    return queue;
}

void run(void *pool, peer_task *task, void *user, uint64_t count)
{
    auto &queue = *static_cast<Queue *>(pool);
    thread_local moodycamel::ProducerToken token(queue);

    for (uint64_t i = 0; i < count; i++)
        queue.enqueue(token, Task{task, user});
}

} // namespace

extern "C" const struct peer_pool peer_moodycamel = {"moodycamel", open_pool, run,
                                                     nullptr};

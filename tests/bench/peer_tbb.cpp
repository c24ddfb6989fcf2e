/* SPDX-License-Identifier: MIT */
/* peer_tbb.cpp - oneTBB: task_arena::enqueue(), and task_group::run() and wait(), where who
 * waits helps. */
#include "peer_pools.h"

#include <tbb/global_control.h>
#include <tbb/task_arena.h>
#include <tbb/task_group.h>

static tbb::task_arena *open_arena(unsigned workers, unsigned reserved)
{
    /* One thread is counted for the main one. */
    static tbb::global_control control(tbb::global_control::max_allowed_parallelism,
                                       workers + 1);
    auto *arena = new tbb::task_arena(static_cast<int>(workers + reserved), reserved);

    arena->initialize();
    return arena;
}

static void *open_pool(unsigned workers)
{
    return open_arena(workers, 0);
}

static void run(void *pool, peer_task *task, void *user, uint64_t count)
{
    auto &arena = *static_cast<tbb::task_arena *>(pool);

    for (uint64_t i = 0; i < count; i++)
        arena.enqueue([=] { task(user); });
}

static void *open_group(unsigned workers)
{
    return open_arena(workers, 1);
}

static void run_and_wait(void *pool, peer_task *task, void *user)
{
    auto &arena = *static_cast<tbb::task_arena *>(pool);

    arena.execute([=] {
        tbb::task_group group;

        group.run([=] { task(user); });
        group.wait();
    });
}

const struct peer_pool peer_tbb = {"oneTBB enqueue", open_pool, run, nullptr};
const struct peer_pool peer_tbb_group = {"oneTBB task_group", open_group, nullptr,
                                         run_and_wait};

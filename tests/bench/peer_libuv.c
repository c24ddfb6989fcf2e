/* SPDX-License-Identifier: MIT */
/* peer_libuv.c - libuv's uv_queue_work(): from the thread of a loop, which is told of each
 * end. A loop for each thread that submits. */
#include "peer_pools.h"

#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

struct task {
    uv_work_t work; /* first */
    peer_task *run;
    void *user;
};

static void *open_pool(unsigned workers)
{
    char text[16];

    /* The pool of a process is made at its first use, of the size it finds then. */
    (void)snprintf(text, sizeof text, "%u", workers);
    (void)setenv("UV_THREADPOOL_SIZE", text, 1);
    return NULL;
}

static void on_work(uv_work_t *work)
{
    struct task *task = (struct task *)(void *)work;

    task->run(task->user);
}

static void on_ended(uv_work_t *work, int status)
{
    (void)status;
    free(work);
}

static void run(void *pool, peer_task *task, void *user, uint64_t count)
{
    static _Thread_local uv_loop_t *loop;

    (void)pool;
    if (loop == NULL) {
        loop = malloc(sizeof *loop);
        if (loop == NULL || uv_loop_init(loop) != 0)
            abort();
    }
    for (uint64_t i = 0; i < count; i++) {
        struct task *one = malloc(sizeof *one);

        if (one == NULL)
            abort();
        one->run = task;
        one->user = user;
        (void)uv_queue_work(loop, &one->work, on_work, on_ended);
    }
    (void)uv_run(loop, UV_RUN_DEFAULT);
}

const struct peer_pool peer_libuv = {"uv_queue_work", open_pool, run, NULL};

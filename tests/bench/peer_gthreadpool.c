/* SPDX-License-Identifier: MIT */
/* peer_gthreadpool.c - GLib's GThreadPool, exclusive threads. */
#include "peer_pools.h"

#include <glib.h>
#include <stdlib.h>

struct task {
    peer_task *run;
    void *user;
};

static void on_task(gpointer data, gpointer user)
{
    struct task *task = data;

    (void)user;
    task->run(task->user);
    g_free(task);
}

static void *open_pool(unsigned workers)
{
    GThreadPool *pool = g_thread_pool_new(on_task, NULL, (gint)workers, TRUE, NULL);

    if (pool == NULL)
        abort();
    return pool;
}

static void run(void *pool, peer_task *task, void *user, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        struct task *one = g_new(struct task, 1);

        one->run = task;
        one->user = user;
        (void)g_thread_pool_push(pool, one, NULL);
    }
}

const struct peer_pool peer_gthreadpool = {"GThreadPool", open_pool, run, NULL};

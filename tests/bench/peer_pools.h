/* SPDX-License-Identifier: MIT */
/* peer_pools.h - what runs tasks on other threads: the pools of GLib, libuv and oneTBB, a
 * queue of moodycamel's with threads that wait at it, and ZeroMQ's publishing. */
#ifndef PEER_POOLS_H
#define PEER_POOLS_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef void peer_task(void *user);

struct peer_pool {
    const char *name;
    /* Starts so many threads, which inherit the caller's processors. Lives as long as the
     * process. */
    void *(*open)(unsigned workers);
    /* Has `count` tasks run; may return before they were. From any thread. */
    void (*run)(void *pool, peer_task *task, void *user, uint64_t count);
    /* Runs one, and returns when it was; NULL: it cannot. */
    void (*run_and_wait)(void *pool, peer_task *task, void *user);
};

extern const struct peer_pool peer_gthreadpool, peer_libuv, peer_tbb, peer_tbb_group,
    peer_moodycamel;

/* Publishes 64 bytes to 1, 8, 64 subscribers in the process; one thread receives for all
 * of them, and runs the task each time. */
extern const struct peer_pool peer_zeromq[3];

#ifdef __cplusplus
}
#endif

#endif /* PEER_POOLS_H */

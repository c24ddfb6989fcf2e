/* SPDX-License-Identifier: MIT */
/**
 * @file
 * Batches: many invocations of a function in one call of its batch handler.
 *
 *     static int score(faas_context *ctx, faas_item *items, size_t count)
 *     {
 *         float *rows = faas_alloc(ctx, count * ROW_BYTES), *scores;
 *         ...                                            // all items at once
 *         for (size_t i = 0; i < count; i++)
 *             items[i].code = faas_reply(items[i].ctx, faas_bytes_of(&scores[i], 4));
 *         return 0;
 *     }
 *
 *     faas_function_register(rt, FAAS_FUNCTION(.name = "score", .batch = score), &fn);
 *
 * Callers know nothing of it: each calls faas_invoke() and has its own answer, deadline,
 * status, heap and meter. There is no thread for it and, unless asked for, no delay. A
 * call that finds an instance free runs at once, alone, on its own thread. Calls that find
 * as many running as `concurrency` allows wait in the function's queue; whoever comes back
 * from the handler takes what waits there, runs it and wakes its callers. It does so once,
 * and on for 0.2 ms at most; then it hands its instance over to one of those that wait.
 *
 * How many are taken at once is learned from what batches took: the smallest size that
 * costs as little per item as any, so a handler that gains nothing by batches gets single
 * items, and one that loses too. A batch is kept small enough for the deadlines of its
 * items where that helps.
 *
 * An item waits for `wait_ns` at most, whatever `on_full` says, and is refused then with
 * FAAS_EBUSY; with FAAS_EEXPIRED when its deadline passes first. A call from inside the
 * function itself is refused with FAAS_EBUSY where it would wait for its own caller.
 * `on_full` is for what no running batch can take along: the runtime's cap or memory.
 *
 * Invocations that wait in the function's asynchronous queue run together as well: who
 * takes one takes along as many as pay, 64 at most, in the order in which they would have
 * run, and of a group one at a time. Each of them has its own deadline, ends, fails and is
 * retried for itself: one whose deadline passes while the batch runs ends then. Those that
 * are run by the host, in faas_run_once(), wait for no `batch_delay_ns`. A function that
 * also remembers or shares answers runs its queue one by one.
 *
 * A batch has one seat of one instance: `concurrency` and `instance_concurrency` count
 * batches, as the runtime's `concurrency_max` does. `invocation_max` counts items.
 */
#ifndef FAAS_BATCH_H
#define FAAS_BATCH_H

#include <faas/base.h>
#include <faas/function.h>
#include <faas/invoke.h>

#ifdef __cplusplus
extern "C" {
#endif

/** One invocation in a batch. */
struct faas_item {
    faas_context
        *ctx;         /**< its own: faas_reply(), faas_fail(), faas_alloc(), its deadline,
                            id, event and tenant */
    faas_bytes input; /**< borrowed until the batch handler returns */
    int code;         /**< what a handler would return; 0 to begin with. An item that
                            fails fails alone */
    uint32_t index;   /**< its place among `items` */
};

#ifdef __cplusplus
}
#endif

#endif /* FAAS_BATCH_H */

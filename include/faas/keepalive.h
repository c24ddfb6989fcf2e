/* SPDX-License-Identifier: MIT */
/**
 * @file
 * Keep-alive: which idle instances stay warm under the memory budget, by a policy of the
 * library or of the host; what that comes to.
 */
#ifndef FAAS_KEEPALIVE_H
#define FAAS_KEEPALIVE_H

#include <faas/base.h>
#include <faas/runtime.h>

#ifdef __cplusplus
extern "C" {
#endif

/** What a policy says when it names no instance. */
#define FAAS_KEEPALIVE_NONE UINT32_MAX

/**
 * A policy of the host. It is told what happens to functions and instances, which are
 * small numbers that are used again when they are free, and is asked which idle instance
 * goes first. Members that it does not need are NULL, but for `victim`.
 *
 * Warm calls tell nobody anything: an instance is looked at before it goes, and what was
 * found (it was used, it is busy) is told then. So times may be late, and only the
 * instances that are idle as far as was told may be named. If `victim` names one that is
 * not, or none while some are idle, that is counted (faas_keepalive_stats.refused) and
 * the one idle for longest goes in its place; a busy instance never goes.
 *
 * Thread: any, one at a time, under a lock of the runtime: they must be short and must
 *         not call the library.
 */
typedef struct faas_keepalive_policy {
    size_t size;      /**< sizeof(faas_keepalive_policy) */
    const char *name; /**< shown in statistics; borrowed while the policy is in use */
    void *user;       /**< handed to each of the following */
    void (*declared)(void *user, uint32_t function, double cost_s,
                     uint64_t bytes); /**< what a cold start and an instance
                                                          of it take, measured and smoothed;
                                                          before its first start, and when
                                                          they change */
    void (*forgotten)(void *user, uint32_t function); /**< it is gone */
    void (*started)(void *user, uint32_t instance, uint32_t function,
                    uint64_t now_ns); /**< an instance was made, and is busy */
    void (*idled)(void *user, uint32_t instance,
                  uint64_t since_ns); /**< it is idle, since then */
    void (*used)(void *user, uint32_t instance,
                 uint64_t idle_ns); /**< it is busy, after having idled so long */
    void (*ended)(
        void *user, uint32_t instance, bool evicted,
        uint64_t now_ns); /**< it is gone: to make room, or for another reason */
    uint32_t (*victim)(void *user, uint64_t now_ns); /**< the idle instance that goes
                                                          first, or FAAS_KEEPALIVE_NONE */
    void (*closed)(void *user); /**< it is no longer in use; nothing follows */
} faas_keepalive_policy;

/**
 * Changes the policy while calls run. No instance ends, and the new policy is told of
 * those that there are; what the old one had learned of gaps is lost.
 *
 * @param keepalive  One of the library; FAAS_KEEPALIVE_DEFAULT if `policy` is given.
 * @param policy     The host's, copied; or NULL.
 * @return FAAS_OK, or, and then the old one stays,
 *         FAAS_EINVAL    keepalive is unknown, or both are given; the policy has no name
 *                        or no `victim`
 *         FAAS_EVERSION  a field of `policy` that this library does not know is set
 *         FAAS_ECLOSED, FAAS_ENOMEM
 *
 * Thread: any.
 * Cost:   a few hooks per function and instance, under the lock.
 * Since:  0.1
 */
FAAS_API FAAS_NODISCARD faas_status faas_runtime_keepalive(
    faas_runtime *rt, faas_keepalive keepalive, const faas_keepalive_policy *policy);

/** What the instances of a runtime take and what became of them; a snapshot. */
typedef struct faas_keepalive_stats {
    size_t size;            /**< sizeof(faas_keepalive_stats), set by the caller */
    const char *policy;     /**< its name */
    uint64_t budget_bytes;  /**< what instances may hold in all */
    uint64_t held_bytes;    /**< what they hold, and those that are being closed */
    uint64_t idle_bytes;    /**< of these, by instances in which nothing runs: what may go
                                 to make room, but for those that are kept */
    uint64_t evictions;     /**< instances that went to make room */
    uint64_t refused;       /**< answers of the present policy that were nonsense */
    uint64_t history_bytes; /**< what the policy holds to decide by, its books included */
    uint32_t instances;     /**< that exist */
    uint32_t instances_idle; /**< of these, in which nothing runs */
} faas_keepalive_stats;

/**
 * Takes these numbers, without stopping callers.
 *
 * @param[out] stats  `stats->size` must be set.
 * @return FAAS_OK, FAAS_ECLOSED, FAAS_EINVAL
 *
 * Thread: any.
 * Cost:   looks at every instance, under the lock.
 * Since:  0.1
 */
FAAS_API FAAS_NODISCARD faas_status faas_keepalive_stats_get(faas_runtime *rt,
                                                             faas_keepalive_stats *stats);

#ifdef __cplusplus
}
#endif

#endif /* FAAS_KEEPALIVE_H */

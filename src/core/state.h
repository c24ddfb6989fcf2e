/* SPDX-License-Identifier: MIT */
/* state.h - struct faas_runtime; only the rooms of layers 3 and 4 see its fields.
 *
 * Layer: 3 path.
 * Locks, in their order: registry.lock, routes.lock, gate.lock, async.lock. */
#ifndef FAASI_STATE_H
#define FAASI_STATE_H

#include "async.h"
#include "context.h"
#include "dedupe.h"
#include "gate.h"
#include "grace.h"
#include "instance.h"
#include "letters.h"
#include "registry.h"
#include "routes.h"

#include <faas/bus.h>

struct faasi_alias;

struct faas_runtime {
    uint64_t id; /* of this process; in every handle */
    struct faasi_gate gate;
    struct faasi_registry registry;
    struct faasi_routes routes;
    struct faasi_async async;
    struct faasi_letters letters;
    struct faasi_dedupe dedupe;
    atomic_bool closing;           /* somebody closes it */
    struct faasi_alias *aliases;   /* Holds: registry.lock */
    _Atomic uint64_t unseated_ids; /* of calls that need one before they have a seat */
    uint32_t depth_max;
    bool reports; /* of calls, to `report` or `log` */
    faas_write *report;
    void *report_user;
    faas_write *log;
    void *log_user;
    faas_clock *clock; /* NULL: the machine's */
    const faas_allocator *allocator;
    pthread_t housekeeper;
    bool has_housekeeper;
    bool stop_housekeeper; /* Holds: gate.lock */
};

/* Begins a call that works on the runtime for longer than a read section: closing waits
 * for it. Returns FAAS_ECLOSED if that has begun. */
static inline faas_status faasi_visit(faas_runtime *rt)
{
    faas_status status = FAAS_OK;

    faasi_read_enter();
    faasi_lock(&rt->gate.lock);
    if (atomic_load_explicit(&rt->gate.closing, memory_order_relaxed))
        status = FAAS_ECLOSED;
    else
        rt->gate.visitors++;
    faasi_unlock(&rt->gate.lock);
    faasi_read_leave();
    return status;
}

/* Ends it. The runtime may be gone afterwards. */
static inline void faasi_unvisit(faas_runtime *rt)
{
    faasi_lock(&rt->gate.lock);
    if (--rt->gate.visitors == 0)
        faasi_wake_all(&rt->gate.changed);
    faasi_unlock(&rt->gate.lock);
}

#endif /* FAASI_STATE_H */

/* SPDX-License-Identifier: MIT */
/* runtime.c - opening and closing, in their order; the housekeeper.
 *
 * Layer: 4 runtime. */
#include "bus.h"
#include "functions.h"
#include "host.h"
#include "machine.h"
#include "mem.h"
#include "random.h"
#include "report.h"

#include <sys/random.h>

enum { DEPTH_DEFAULT = 32, DEPTH_MOST = 1024, CONCURRENCY_DEFAULT = 1000 };

/* Runtimes of this process are told apart by number, which is in every handle: it is
 * never used again, so neither is a handle. */
static _Atomic uint64_t runtimes_opened;

static uint64_t quarter_of_memory(void)
{
    return faasi_machine_memory("") / 4;
}

static faas_status seed_resolve(uint64_t *seed)
{
    if (*seed == 0 && getrandom(seed, sizeof *seed, 0) != sizeof *seed)
        return faasi_fail(FAAS_ESYSTEM, "no random number for request ids");
    return FAAS_OK;
}

static faas_status options_resolve(faas_runtime_options *known,
                                   const faas_runtime_options *options)
{
    faas_status status =
        faasi_options_import(known, sizeof *known, options, "runtime options");

    if (status != FAAS_OK)
        return status;
    if (known->concurrency_max == 0)
        known->concurrency_max = CONCURRENCY_DEFAULT;
    if (known->concurrency_max == FAAS_UNLIMITED)
        known->concurrency_max = FAASI_PERMITS_MAX;
    if (known->concurrency_max == FAAS_OFF)
        known->concurrency_max = 0;
    if (known->concurrency_max > FAASI_PERMITS_MAX)
        return faasi_fail(FAAS_EINVAL, "concurrency_max: %u is over %d",
                          known->concurrency_max, FAASI_PERMITS_MAX);
    if (known->depth_max == 0)
        known->depth_max = DEPTH_DEFAULT;
    if (known->depth_max > DEPTH_MOST)
        return faasi_fail(FAAS_EINVAL, "depth_max: %u is over %d", known->depth_max,
                          DEPTH_MOST);
    if (known->housekeeping < FAAS_HOUSEKEEPING_DEFAULT ||
        known->housekeeping > FAAS_HOUSEKEEPING_HOST)
        return faasi_fail(FAAS_EINVAL, "housekeeping: %d is unknown",
                          (int)known->housekeeping);
    if (known->housekeeping == FAAS_HOUSEKEEPING_THREAD && known->clock != NULL)
        return faasi_fail(FAAS_EINVAL,
                          "housekeeping: a thread cannot wait for a clock that "
                          "is moved by hand");
    if (known->housekeeping == FAAS_HOUSEKEEPING_DEFAULT)
        known->housekeeping =
            known->clock == NULL ? FAAS_HOUSEKEEPING_THREAD : FAAS_HOUSEKEEPING_HOST;
    if (known->dedupe < FAAS_DEDUPE_DEFAULT || known->dedupe > FAAS_DEDUPE_CONTENT)
        return faasi_fail(FAAS_EINVAL, "dedupe: %d is unknown", (int)known->dedupe);
    if (known->memory_bytes == 0)
        known->memory_bytes = quarter_of_memory();
    known->allocator = faasi_allocator_or_default(known->allocator);
    return seed_resolve(&known->seed);
}

/* ---- housekeeping ---- */

static void *housekeep(void *user)
{
    faas_runtime *rt = user;
    struct faasi_gate *gate = &rt->gate;

    faasi_lock(&gate->lock);
    while (!rt->stop_housekeeper) {
        uint64_t now = faasi_ticks(gate->clock);
        uint64_t at = gate->wheel_at < gate->sweep_at ? gate->wheel_at : gate->sweep_at;

        if (now >= at) {
            faasi_unlock(&gate->lock);
            (void)faasi_sweep(rt);
            faasi_lock(&gate->lock);
        } else if (at == UINT64_MAX) {
            faasi_wait(&gate->sweep_sooner, &gate->lock);
        } else {
            faasi_wait_for(&gate->sweep_sooner, &gate->lock,
                           faasi_ticks_to_ns(gate->clock, at - now) + 1);
        }
    }
    faasi_unlock(&gate->lock);
    return NULL;
}

static faas_status housekeeper_start(faas_runtime *rt)
{
    int error = pthread_create(&rt->housekeeper, NULL, housekeep, rt);

    rt->has_housekeeper = error == 0;
    return error == 0
               ? FAAS_OK
               : faasi_fail(FAAS_ESYSTEM, "no housekeeping thread: error %d", error);
}

static void housekeeper_stop(faas_runtime *rt)
{
    if (!rt->has_housekeeper)
        return;
    faasi_lock(&rt->gate.lock);
    rt->stop_housekeeper = true;
    faasi_wake_all(&rt->gate.sweep_sooner);
    faasi_unlock(&rt->gate.lock);
    (void)pthread_join(rt->housekeeper, NULL);
    rt->has_housekeeper = false;
}

/* ---- opening and closing ---- */

/* Opens everything in a runtime, in its order; undoes it on failure. */
static faas_status parts_open(faas_runtime *rt, const faas_runtime_options *known)
{
    faas_status status = faasi_gate_init(&rt->gate, rt, known->clock, known);

    if (status != FAAS_OK)
        return status;
    status = faasi_registry_init(&rt->registry, rt->id, rt->allocator);
    if (status != FAAS_OK)
        goto fini_gate;
    status = faasi_routes_init(&rt->routes, rt->allocator);
    if (status != FAAS_OK)
        goto fini_registry;
    status = faasi_letters_init(&rt->letters, known);
    if (status != FAAS_OK)
        goto fini_routes;
    status = faasi_dedupe_init(&rt->dedupe, known);
    if (status != FAAS_OK)
        goto fini_letters;
    status = faasi_async_init(&rt->async, rt, known);
    if (status != FAAS_OK)
        goto fini_dedupe;
    faasi_report_begin(rt);
    /* Last, because they use everything above as soon as they run. */
    status = faasi_crews_start(&rt->async);
    if (status == FAAS_OK && known->housekeeping == FAAS_HOUSEKEEPING_THREAD)
        status = housekeeper_start(rt);
    if (status == FAAS_OK)
        return FAAS_OK;

    faasi_crews_stop(&rt->async);
    faasi_async_fini(&rt->async);
fini_dedupe:
    faasi_dedupe_fini(&rt->dedupe);
fini_letters:
    faasi_letters_fini(&rt->letters);
fini_routes:
    faasi_routes_fini(&rt->routes);
fini_registry:
    faasi_registry_fini(&rt->registry);
fini_gate:
    faasi_warm_disown(&rt->gate.warm);
    faasi_gate_fini(&rt->gate, rt->clock);
    return status;
}

faas_status faas_runtime_open(faas_runtime **out, const faas_runtime_options *options)
{
    faas_runtime_options known = FAAS_RUNTIME_OPTIONS_INIT;
    faas_runtime *rt;
    faas_status status;
    uint64_t seed;

    *out = NULL;
    status = options_resolve(&known, options);
    if (status != FAAS_OK)
        return status;
    faasi_grace_start();
    rt = faasi_alloc_lines(known.allocator, sizeof *rt);
    if (rt == NULL)
        return faasi_fail(FAAS_ENOMEM, "runtime: no %zu bytes", sizeof *rt);
    rt->id = atomic_fetch_add_explicit(&runtimes_opened, 1, memory_order_relaxed) + 1;
    seed = known.seed;
    rt->gate.id_high = faasi_random_next(&seed);
    rt->depth_max = known.depth_max;
    rt->report = known.report;
    rt->report_user = known.report_user;
    rt->log = known.log;
    rt->log_user = known.log_user;
    rt->reports = known.report != NULL || known.log != NULL;
    rt->clock = known.clock;
    rt->allocator = known.allocator;
    status = parts_open(rt, &known);
    if (status == FAAS_OK)
        *out = rt;
    else
        faasi_free_lines(known.allocator, rt, sizeof *rt);
    return status;
}

static bool is_of(const faas_runtime *rt, const struct faas_context *ctx)
{
    while (ctx != NULL && ctx->gate != &rt->gate)
        ctx = ctx->parent;
    return ctx != NULL;
}

/* Whether this thread is in a handler or hook of this runtime, or in the middle of one. */
static bool inside(const faas_runtime *rt)
{
    const struct faasi_below *below = faasi_context_below;
    bool inside = is_of(rt, faasi_context_current);

    for (; below != NULL && !inside; below = below->next)
        inside = is_of(rt, below->ctx);
    return inside;
}

faas_status faas_runtime_close(faas_runtime *rt)
{
    return faas_runtime_close_with(rt, NULL);
}

faas_status faas_runtime_close_with(faas_runtime *rt, const faas_close_options *options)
{
    faas_close_options known = {.size = sizeof known};
    faas_status status =
        faasi_options_import(&known, sizeof known, options, "close options");

    if (status != FAAS_OK || rt == NULL)
        return status;
    if (inside(rt))
        return faasi_fail(FAAS_EPERM, "a handler cannot close the runtime it runs in");
    if (atomic_exchange_explicit(&rt->closing, true, memory_order_seq_cst))
        return faasi_fail(FAAS_ECLOSED, "another thread is closing it");
    /* While calls are still admitted, so that what is queued may run. */
    faasi_async_close(&rt->async, known.drain_ns);
    /* Handlers that run on workers, too, which are waited for now. */
    atomic_store_explicit(&rt->gate.leaving, true, memory_order_seq_cst);
    faasi_async_stop(&rt->async);
    atomic_store_explicit(&rt->gate.closing, true, memory_order_seq_cst);
    /* From here on whoever comes is refused; who came before is a call, a waiter or a
     * visitor by the end of this. Visitors first: they may be changing what we would end. */
    faasi_grace_wait();
    faasi_lock(&rt->gate.lock);
    faasi_gate_dismiss(&rt->gate);
    faasi_unlock(&rt->gate.lock);
    housekeeper_stop(rt);
    faasi_functions_end(rt);
    faasi_lock(&rt->gate.lock);
    faasi_gate_dismiss(&rt->gate); // those that closed the last instances
    faasi_unlock(&rt->gate.lock);
    faasi_bus_quiet(rt);
    faasi_grace_wait();
    faasi_async_fini(&rt->async);
    faasi_dedupe_fini(&rt->dedupe);
    faasi_letters_fini(&rt->letters);
    faasi_routes_fini(&rt->routes);
    faasi_functions_free(rt);
    faasi_registry_fini(&rt->registry);
    faasi_gate_fini(&rt->gate, rt->clock);
    faasi_free_lines(rt->allocator, rt, sizeof *rt);
    return FAAS_OK;
}

/* ---- changes ---- */

faas_status faas_runtime_limit(faas_runtime *rt, uint32_t concurrency_max)
{
    if (concurrency_max == FAAS_UNLIMITED)
        concurrency_max = FAASI_PERMITS_MAX;
    if (concurrency_max == FAAS_OFF)
        concurrency_max = 0;
    if (concurrency_max > FAASI_PERMITS_MAX)
        return faasi_fail(FAAS_EINVAL, "concurrency_max: %u is over %d", concurrency_max,
                          FAASI_PERMITS_MAX);
    if (faasi_visit(rt) != FAAS_OK)
        return FAAS_ECLOSED;
    faasi_lock(&rt->gate.lock);
    faasi_permits_resize(&rt->gate.permits, concurrency_max);
    faasi_gate_serve(&rt->gate);
    faasi_gate_unlock(&rt->gate);
    faasi_unvisit(rt);
    return FAAS_OK;
}

void faas_runtime_budget(faas_runtime *rt, uint64_t memory_bytes)
{
    if (faasi_visit(rt) != FAAS_OK)
        return;
    faasi_lock(&rt->gate.lock);
    rt->gate.budget_bytes = memory_bytes == 0 ? quarter_of_memory() : memory_bytes;
    faasi_instances_shrink(&rt->gate);
    faasi_gate_serve(&rt->gate);
    faasi_gate_unlock(&rt->gate);
    faasi_unvisit(rt);
}

faas_status faas_runtime_keepalive(faas_runtime *rt, faas_keepalive keepalive,
                                   const faas_keepalive_policy *policy)
{
    faas_status status = faasi_visit(rt);

    if (status != FAAS_OK)
        return status;
    faasi_lock(&rt->gate.lock);
    status = faasi_warm_swap(&rt->gate.warm, keepalive, policy, rt->gate.instances);
    faasi_gate_unlock(&rt->gate);
    faasi_unvisit(rt);
    return status;
}

uint64_t faas_runtime_now(const faas_runtime *rt)
{
    return faasi_instant_ns(rt->gate.clock, faasi_ticks(rt->gate.clock));
}

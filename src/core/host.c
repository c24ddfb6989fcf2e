/* SPDX-License-Identifier: MIT */
/* host.c - the host drives: sweeping, running, polling, moving a virtual clock. */
#include "host.h"

#include "instance.h"

/* Rounds without a handler until what is ready counts as what cannot be done now: some,
 * because who is told of an end may have made more to do. */
enum { VAIN_MAX = 16 };

/* Ends and makes instances. */
static uint64_t instances_sweep(faas_runtime *rt)
{
    struct faasi_gate *gate = &rt->gate;
    uint64_t next;

    faasi_lock(&gate->lock);
    (void)faasi_instances_sweep(gate, faasi_ticks(gate->clock));
    faasi_gate_serve(gate);
    faasi_gate_unlock(gate);
    (void)faasi_instances_provision(gate, NULL);
    faasi_lock(&gate->lock);
    next = faasi_instances_sweep(gate, faasi_ticks(gate->clock));
    faasi_gate_serve(gate);
    gate->sweep_at = next;
    faasi_gate_unlock(gate);
    return next;
}

uint64_t faasi_sweep(faas_runtime *rt)
{
    struct faasi_gate *gate = &rt->gate;
    uint64_t next, timers;

    /* What is armed from here on is armed anew; see faasi_async_arm(). */
    faasi_lock(&gate->lock);
    gate->wheel_at = UINT64_MAX;
    faasi_unlock(&gate->lock);
    timers = faasi_async_sweep(&rt->async);
    next = instances_sweep(rt);
    if (timers != FAAS_FOREVER) {
        faasi_async_arm(&rt->async, timers);
        timers = faasi_instant_ticks(gate->clock, timers);
        next = timers < next ? timers : next;
    }
    return next;
}

void faas_runtime_sweep(faas_runtime *rt, uint64_t *next_ns)
{
    uint64_t next;

    if (next_ns != NULL)
        *next_ns = FAAS_FOREVER;
    if (faasi_visit(rt) != FAAS_OK)
        return;
    next = faasi_sweep(rt);
    if (next_ns != NULL)
        *next_ns = faasi_instant_ns(rt->gate.clock, next);
    faasi_unvisit(rt);
}

static bool is_inside(void)
{
    return faasi_context_current != NULL;
}

/* Begins a call that runs handlers. */
static bool run_visit(faas_runtime *rt)
{
    bool visitor;

    faasi_read_enter();
    visitor = !is_inside() && faasi_async_visit(&rt->async);
    faasi_read_leave();
    return visitor;
}

uint64_t faas_run_once(faas_runtime *rt, uint64_t budget_ns, uint64_t *next_ns)
{
    const faas_clock *clock = rt->gate.clock;
    uint64_t until, ran = 0, next;
    bool any = true;

    if (next_ns != NULL)
        *next_ns = FAAS_FOREVER;
    if (!run_visit(rt))
        return 0;
    until = faasi_ticks_after(faasi_ticks(clock), faasi_ns_to_ticks(clock, budget_ns));
    (void)faasi_sweep(rt);
    do {
        ran += faasi_async_run_one(&rt->async, &any);
    } while (any && faasi_ticks(clock) < until);
    /* Before the last look at what there is: what it finds is signalled anew. */
    faasi_async_heard(&rt->async);
    next = faasi_sweep(rt);
    any = any || faasi_async_ready(&rt->async); // what came due by that
    if (any)
        next = faasi_ticks(clock); // there may be more
    faasi_async_hosted_next(&rt->async, any, faasi_instant_ns(clock, next));
    if (next_ns != NULL)
        *next_ns = faasi_instant_ns(clock, next);
    faasi_async_unvisit(&rt->async);
    return ran;
}

faas_status faas_run_until(faas_runtime *rt, uint64_t until_ns, uint64_t *ran)
{
    uint64_t handlers = 0, next = 0, instant = 0;
    unsigned vain = 0; // rounds at one instant in which no handler ran
    faas_status status = FAAS_OK;

    if (ran != NULL)
        *ran = 0;
    if (rt->clock == NULL || rt->clock->source != FAASI_CLOCK_VIRTUAL)
        return faasi_fail(FAAS_EPERM, "run_until: the runtime's clock is not virtual");
    if (is_inside())
        return faasi_fail(FAAS_EPERM, "run_until: a handler cannot drive its runtime");
    if (until_ns < faas_clock_now(rt->clock))
        return faasi_fail(FAAS_EINVAL, "run_until: that instant has passed");
    if (!run_visit(rt))
        return FAAS_ECLOSED;
    for (;;) {
        uint64_t before = handlers, now;
        bool any = true;

        next = faasi_instant_ns(rt->clock, faasi_sweep(rt));
        while (any)
            handlers += faasi_async_run_one(&rt->async, &any);
        /* Handlers may have moved the clock, and made more to do. */
        next = faasi_instant_ns(rt->clock, faasi_sweep(rt));
        now = faas_clock_now(rt->clock);
        vain = handlers == before && now == instant ? vain + 1 : 0;
        instant = now;
        /* What came due by that; or a queue was told of a seat, for which there is no
         * memory, and will be told so by every sweep. */
        if (now <= until_ns && vain < VAIN_MAX && faasi_async_ready(&rt->async))
            continue;
        if (next <= now && handlers == before)
            next = now + 1000000; // what is due cannot be done now
        if (next > until_ns)
            break;
        if (next > now)
            status = faas_clock_set(rt->clock, next);
        if (status != FAAS_OK)
            break; // somebody else moves it too
    }
    if (status == FAAS_OK && faas_clock_now(rt->clock) < until_ns)
        status = faas_clock_set(rt->clock, until_ns);
    faasi_async_unvisit(&rt->async);
    if (ran != NULL)
        *ran = handlers;
    return status;
}

faas_status faas_poll_fd(faas_runtime *rt, int *fd)
{
    faas_status status = FAAS_ECLOSED;
    bool visitor;

    *fd = -1;
    faasi_read_enter();
    visitor = faasi_async_visit(&rt->async);
    faasi_read_leave();
    if (!visitor)
        return status;
    status = faasi_async_poll_fd(&rt->async, fd);
    faasi_async_unvisit(&rt->async);
    return status;
}

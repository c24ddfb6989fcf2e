/* SPDX-License-Identifier: MIT */
/* policy_gdsf.c - GDSF: Greedy-Dual by size and frequency.
 *
 * A function's priority is clock + requests * cost / bytes, set at each request; the
 * clock is the priority of the last victim, so that what was popular long ago ages. All
 * instances of a function have its priority, so functions are ranked, in a heap of those
 * that have an idle one.
 *
 * Source: Cherkasova, Improving WWW Proxies Performance with Greedy-Dual-Size-Frequency
 * Caching Policy, HPL-98-69R1, 1998; as replayed in FaasCache, ASPLOS'21. */
#include "policy.h"

#include "mem.h"

struct gdsf_function {
    double priority;
    double requests;
    uint32_t place; /* in the heap, from 1; 0: not there */
    float worth;    /* that the priority was worked out with */
};

struct gdsf {
    struct gdsf_function *functions;
    uint32_t *heap; /* functions, from place 1 */
    uint32_t function_room;
    uint32_t heap_room;
    uint32_t size;
    double clock;
};

static faas_status gdsf_open(struct faasi_policy *policy)
{
    policy->state = faasi_alloc_zeroed(policy->allocator, sizeof(struct gdsf));
    return policy->state == NULL
               ? faasi_fail(FAAS_ENOMEM, "policy: no %zu bytes", sizeof(struct gdsf))
               : FAAS_OK;
}

static void gdsf_close(struct faasi_policy *policy)
{
    struct gdsf *gdsf = policy->state;

    faasi_free_lines(policy->allocator, gdsf->functions,
                     gdsf->function_room * sizeof *gdsf->functions);
    faasi_free_lines(policy->allocator, gdsf->heap, gdsf->heap_room * sizeof *gdsf->heap);
    faasi_free(policy->allocator, gdsf, sizeof *gdsf);
}

static faas_status gdsf_reserve(struct faasi_policy *policy, uint32_t functions,
                                uint32_t instances)
{
    struct gdsf *gdsf = policy->state;
    faas_status status;

    (void)instances;
    status = faasi_policy_grow(policy, &gdsf->functions, &gdsf->function_room, functions,
                               sizeof *gdsf->functions);
    if (status == FAAS_OK)
        status = faasi_policy_grow(policy, &gdsf->heap, &gdsf->heap_room, functions + 1,
                                   sizeof *gdsf->heap);
    return status;
}

/* ---- the heap ---- */

static bool goes_before(const struct gdsf *gdsf, uint32_t a, uint32_t b)
{
    double pa = gdsf->functions[a].priority, pb = gdsf->functions[b].priority;

    return pa < pb || (pa == pb && a < b);
}

static void heap_put(struct gdsf *gdsf, uint32_t place, uint32_t function)
{
    gdsf->heap[place] = function;
    gdsf->functions[function].place = place;
}

/* Moves a function from a free place to where it belongs. */
static void heap_settle(struct gdsf *gdsf, uint32_t place, uint32_t function)
{
    while (place > 1 && goes_before(gdsf, function, gdsf->heap[place / 2])) {
        heap_put(gdsf, place, gdsf->heap[place / 2]);
        place /= 2;
    }
    while (place * 2 <= gdsf->size) {
        uint32_t child = place * 2;

        if (child < gdsf->size &&
            goes_before(gdsf, gdsf->heap[child + 1], gdsf->heap[child]))
            child++;
        if (!goes_before(gdsf, gdsf->heap[child], function))
            break;
        heap_put(gdsf, place, gdsf->heap[child]);
        place = child;
    }
    heap_put(gdsf, place, function);
}

/* After its priority or its number of idle instances changed. */
static void heap_update(struct faasi_policy *policy, uint32_t function)
{
    struct gdsf *gdsf = policy->state;
    struct gdsf_function *f = &gdsf->functions[function];
    bool wanted = policy->functions[function].idle > 0;

    if (f->place != 0 && wanted) {
        heap_settle(gdsf, f->place, function);
    } else if (wanted) {
        heap_settle(gdsf, ++gdsf->size, function);
    } else if (f->place != 0) {
        uint32_t place = f->place, last = gdsf->heap[gdsf->size--];

        f->place = 0;
        if (last != function)
            heap_settle(gdsf, place, last);
    }
}

/* ---- events ---- */

static void gdsf_repeat(struct faasi_policy *policy, uint32_t function, uint32_t level,
                        uint64_t count, uint64_t gap)
{
    struct gdsf *gdsf = policy->state;
    struct gdsf_function *f = &gdsf->functions[function];

    (void)level, (void)gap;
    f->requests += (double)count;
    f->worth = policy->functions[function].worth;
    f->priority = gdsf->clock + f->requests * (double)f->worth;
    heap_update(policy, function);
}

static void gdsf_request(struct faasi_policy *policy, uint32_t function, uint32_t level,
                         uint64_t now)
{
    (void)now;
    gdsf_repeat(policy, function, level, 1, 0);
}

/* A live cache measures what a function costs after its first request. */
static void gdsf_changed(struct faasi_policy *policy, uint32_t function)
{
    struct gdsf *gdsf = policy->state;
    struct gdsf_function *f = &gdsf->functions[function];
    float worth = policy->functions[function].worth;

    if (f->requests == 0 || worth == f->worth)
        return;
    f->priority += f->requests * ((double)worth - (double)f->worth);
    f->worth = worth;
    heap_update(policy, function);
}

static void gdsf_forget(struct faasi_policy *policy, uint32_t function)
{
    struct gdsf *gdsf = policy->state;

    gdsf->functions[function].requests = 0;
}

static void gdsf_taken(struct faasi_policy *policy, uint32_t instance, uint64_t age)
{
    (void)age;
    heap_update(policy, policy->instances[instance].function);
}

static void gdsf_idle(struct faasi_policy *policy, uint32_t instance, uint32_t level,
                      uint64_t now)
{
    (void)level, (void)now;
    heap_update(policy, policy->instances[instance].function);
}

static void gdsf_end(struct faasi_policy *policy, uint32_t instance,
                     enum faasi_policy_end how, uint64_t now)
{
    struct gdsf *gdsf = policy->state;
    uint32_t function = policy->instances[instance].function;

    (void)now;
    if (how == FAASI_POLICY_EVICTED && gdsf->clock < gdsf->functions[function].priority)
        gdsf->clock = gdsf->functions[function].priority;
    heap_update(policy, function);
}

static uint32_t gdsf_victim(struct faasi_policy *policy, uint64_t now)
{
    struct gdsf *gdsf = policy->state;

    (void)now;
    return gdsf->size == 0 ? FAASI_POLICY_NONE : policy->functions[gdsf->heap[1]].oldest;
}

static void gdsf_prefetch(struct faasi_policy *policy, uint32_t function)
{
    struct gdsf *gdsf = policy->state;

    __builtin_prefetch(&gdsf->functions[function]);
}

const struct faasi_policy_ops faasi_policy_gdsf = {.name = "gdsf",
                                                   .open = gdsf_open,
                                                   .close = gdsf_close,
                                                   .reserve = gdsf_reserve,
                                                   .forget = gdsf_forget,
                                                   .changed = gdsf_changed,
                                                   .request = gdsf_request,
                                                   .repeat = gdsf_repeat,
                                                   .taken = gdsf_taken,
                                                   .idle = gdsf_idle,
                                                   .end = gdsf_end,
                                                   .victim = gdsf_victim,
                                                   .prefetch = gdsf_prefetch};

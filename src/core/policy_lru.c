/* SPDX-License-Identifier: MIT */
/* policy_lru.c - lru: the instance that has idled for longest goes first. ttl: the one
 * whose time to idle would end first, and whatever's has ended.
 *
 * One list of idle instances, by when they fell idle; of ttl, by when their time ends.
 * Where all may idle for as long an instance goes to the end at once; where they may not,
 * its place is looked for from there. */
#include "policy.h"

#include "mem.h"

struct link {
    uint32_t older, newer; /* place 0 is the list's head, instance i has place i + 1 */
};

struct lru {
    struct link *links;
    uint64_t *times; /* ttl: per function; 0 is the policy's */
    uint64_t *dues;  /* ttl: per instance, when its time ends */
    uint32_t room, time_room, due_room;
};

static faas_status lru_reserve(struct faasi_policy *policy, uint32_t functions,
                               uint32_t instances)
{
    struct lru *lru = policy->state;

    (void)functions;
    return faasi_policy_grow(policy, &lru->links, &lru->room, instances + 1,
                             sizeof *lru->links);
}

static void lru_close(struct faasi_policy *policy)
{
    struct lru *lru = policy->state;

    faasi_free_lines(policy->allocator, lru->links, lru->room * sizeof *lru->links);
    faasi_free_lines(policy->allocator, lru->times, lru->time_room * sizeof *lru->times);
    faasi_free_lines(policy->allocator, lru->dues, lru->due_room * sizeof *lru->dues);
    faasi_free(policy->allocator, lru, sizeof *lru);
}

static faas_status ttl_reserve(struct faasi_policy *policy, uint32_t functions,
                               uint32_t instances)
{
    struct lru *lru = policy->state;
    faas_status status = lru_reserve(policy, functions, instances);

    if (status == FAAS_OK)
        status = faasi_policy_grow(policy, &lru->times, &lru->time_room, functions,
                                   sizeof *lru->times);
    if (status == FAAS_OK)
        status = faasi_policy_grow(policy, &lru->dues, &lru->due_room, instances,
                                   sizeof *lru->dues);
    return status;
}

static faas_status lru_open(struct faasi_policy *policy)
{
    policy->state = faasi_alloc_zeroed(policy->allocator, sizeof(struct lru));
    return policy->state == NULL
               ? faasi_fail(FAAS_ENOMEM, "policy: no %zu bytes", sizeof(struct lru))
               : FAAS_OK;
}

static void unlink_place(struct link *links, uint32_t place)
{
    links[links[place].older].newer = links[place].newer;
    links[links[place].newer].older = links[place].older;
}

static void lru_taken(struct faasi_policy *policy, uint32_t instance, uint64_t age)
{
    struct lru *lru = policy->state;

    (void)age;
    unlink_place(lru->links, instance + 1);
}

static void lru_end(struct faasi_policy *policy, uint32_t instance,
                    enum faasi_policy_end how, uint64_t now)
{
    struct lru *lru = policy->state;

    (void)now;
    if (how != FAASI_POLICY_ENDED_BUSY)
        unlink_place(lru->links, instance + 1);
}

/* Late reports may say that it left before others did: it goes before them. */
static void lru_idle(struct faasi_policy *policy, uint32_t instance, uint32_t level,
                     uint64_t now)
{
    struct lru *lru = policy->state;
    struct link *links = lru->links;
    uint32_t place = instance + 1, after = links[0].older;

    (void)level;
    while (after != 0 && policy->instances[after - 1].since > now)
        after = links[after].older;
    links[place] = (struct link){.older = after, .newer = links[after].newer};
    links[links[place].newer].older = place;
    links[after].newer = place;
}

static uint32_t lru_victim(struct faasi_policy *policy, uint64_t now)
{
    struct lru *lru = policy->state;

    (void)now;
    return lru->links[0].newer - 1; // an empty list gives NONE
}

static void ttl_time(struct faasi_policy *policy, uint32_t function, uint64_t idle_ns)
{
    struct lru *lru = policy->state;

    lru->times[function] = idle_ns;
}

static void ttl_forget(struct faasi_policy *policy, uint32_t function)
{
    ttl_time(policy, function, 0);
}

static void ttl_idle(struct faasi_policy *policy, uint32_t instance, uint32_t level,
                     uint64_t now)
{
    struct lru *lru = policy->state;
    struct link *links = lru->links;
    uint64_t time = lru->times[policy->instances[instance].function];
    uint32_t place = instance + 1, after = links[0].older;
    uint64_t due = now + (time == 0 ? policy->idle_ns : time);

    (void)level;
    due = due < now ? UINT64_MAX : due;
    lru->dues[instance] = due;
    while (after != 0 && lru->dues[after - 1] > due)
        after = links[after].older;
    links[place] = (struct link){.older = after, .newer = links[after].newer};
    links[links[place].newer].older = place;
    links[after].newer = place;
}

static uint32_t ttl_expired(struct faasi_policy *policy, uint64_t now)
{
    struct lru *lru = policy->state;
    uint32_t first = lru_victim(policy, now);

    if (first == FAASI_POLICY_NONE || now < lru->dues[first])
        return FAASI_POLICY_NONE;
    return first;
}

const struct faasi_policy_ops faasi_policy_lru = {.name = "lru",
                                                  .open = lru_open,
                                                  .close = lru_close,
                                                  .reserve = lru_reserve,
                                                  .taken = lru_taken,
                                                  .idle = lru_idle,
                                                  .end = lru_end,
                                                  .victim = lru_victim};

const struct faasi_policy_ops faasi_policy_ttl = {.name = "ttl",
                                                  .open = lru_open,
                                                  .close = lru_close,
                                                  .reserve = ttl_reserve,
                                                  .time = ttl_time,
                                                  .forget = ttl_forget,
                                                  .taken = lru_taken,
                                                  .idle = ttl_idle,
                                                  .end = lru_end,
                                                  .victim = lru_victim,
                                                  .expired = ttl_expired};

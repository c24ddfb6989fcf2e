/* SPDX-License-Identifier: MIT */
/* policy_sieve.c - SIEVE: a queue of functions and a hand that spares the visited once.
 *
 * New functions enter at the head. The hand goes from the tail to the head, and round;
 * what was requested since it came by loses its mark and stays, what has nothing idle is
 * passed over, the first other one gives an instance. A function leaves when an eviction
 * leaves it without any.
 *
 * Source: Zhang et al., SIEVE is Simpler than LRU, NSDI'24. */
#include "policy.h"

#include "mem.h"

/* Place 0 is the queue's end on both sides; function i has place i + 1. */
struct sieve_function {
    uint32_t ahead, behind; /* towards the head; towards the tail */
    bool queued;
    bool visited;
};

struct sieve {
    struct sieve_function *places;
    uint32_t room;
    uint32_t hand; /* 0: at the tail */
};

static faas_status sieve_open(struct faasi_policy *policy)
{
    policy->state = faasi_alloc_zeroed(policy->allocator, sizeof(struct sieve));
    return policy->state == NULL
               ? faasi_fail(FAAS_ENOMEM, "policy: no %zu bytes", sizeof(struct sieve))
               : FAAS_OK;
}

static void sieve_close(struct faasi_policy *policy)
{
    struct sieve *sieve = policy->state;

    faasi_free_lines(policy->allocator, sieve->places,
                     sieve->room * sizeof *sieve->places);
    faasi_free(policy->allocator, sieve, sizeof *sieve);
}

static faas_status sieve_reserve(struct faasi_policy *policy, uint32_t functions,
                                 uint32_t instances)
{
    struct sieve *sieve = policy->state;

    (void)instances;
    return faasi_policy_grow(policy, &sieve->places, &sieve->room, functions + 1,
                             sizeof *sieve->places);
}

static void leave(struct sieve *sieve, uint32_t place)
{
    struct sieve_function *places = sieve->places;

    if (sieve->hand == place)
        sieve->hand = places[place].ahead;
    places[places[place].ahead].behind = places[place].behind;
    places[places[place].behind].ahead = places[place].ahead;
    places[place].queued = false;
}

static void sieve_request(struct faasi_policy *policy, uint32_t function, uint32_t level,
                          uint64_t now)
{
    struct sieve *sieve = policy->state;
    struct sieve_function *places = sieve->places;
    uint32_t place = function + 1;

    (void)level, (void)now;
    if (places[place].queued) {
        places[place].visited = true;
        return;
    }
    places[place] =
        (struct sieve_function){.ahead = 0, .behind = places[0].behind, .queued = true};
    places[places[0].behind].ahead = place;
    places[0].behind = place;
}

/* In a live cache other instances may have ended since the request, and the function with
 * them; or the request was another policy's. */
static void sieve_start(struct faasi_policy *policy, uint32_t instance)
{
    const struct sieve *sieve = policy->state;
    const struct faasi_policy_instance *i = &policy->instances[instance];

    if (!sieve->places[i->function + 1].queued)
        sieve_request(policy, i->function, 1, i->since);
}

static void sieve_end(struct faasi_policy *policy, uint32_t instance,
                      enum faasi_policy_end how, uint64_t now)
{
    struct sieve *sieve = policy->state;
    uint32_t function = policy->instances[instance].function;

    (void)how, (void)now;
    if (policy->functions[function].live == 0 && sieve->places[function + 1].queued)
        leave(sieve, function + 1);
}

static void sieve_forget(struct faasi_policy *policy, uint32_t function)
{
    struct sieve *sieve = policy->state;

    if (sieve->places[function + 1].queued)
        leave(sieve, function + 1);
}

/* Two rounds find one: after the first no mark is left. */
static uint32_t sieve_victim(struct faasi_policy *policy, uint64_t now)
{
    struct sieve *sieve = policy->state;
    struct sieve_function *places = sieve->places;

    (void)now;
    for (uint64_t left = 2 * (uint64_t)sieve->room; left > 0; left--) {
        if (sieve->hand == 0)
            sieve->hand = places[0].ahead; // the tail
        if (sieve->hand == 0)
            break;
        if (!places[sieve->hand].visited && policy->functions[sieve->hand - 1].idle > 0)
            return policy->functions[sieve->hand - 1].oldest;
        places[sieve->hand].visited = false;
        sieve->hand = places[sieve->hand].ahead;
    }
    return FAASI_POLICY_NONE;
}

const struct faasi_policy_ops faasi_policy_sieve = {.name = "sieve",
                                                    .open = sieve_open,
                                                    .close = sieve_close,
                                                    .reserve = sieve_reserve,
                                                    .forget = sieve_forget,
                                                    .request = sieve_request,
                                                    .start = sieve_start,
                                                    .end = sieve_end,
                                                    .victim = sieve_victim};

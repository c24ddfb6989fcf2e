/* SPDX-License-Identifier: MIT */
/* policy.c - the books of functions and instances that every policy works on. */
#include "policy.h"

#include "mem.h"

static const struct faasi_policy_ops *const ALL[] = {
    &faasi_policy_idx,  &faasi_policy_lru,   &faasi_policy_ttl,
    &faasi_policy_gdsf, &faasi_policy_sieve, &faasi_policy_lhd};

const struct faasi_policy_ops *faasi_policy_at(size_t place)
{
    return place < FAASI_COUNT(ALL) ? ALL[place] : NULL;
}

const struct faasi_policy_ops *faasi_policy_find(const char *name)
{
    for (size_t i = 0; i < FAASI_COUNT(ALL); i++)
        if (strcmp(ALL[i]->name, name) == 0)
            return ALL[i];
    return NULL;
}

faas_status faasi_policy_open(struct faasi_policy **out,
                              const struct faasi_policy_options *options)
{
    struct faasi_policy *policy = faasi_alloc_zeroed(options->allocator, sizeof *policy);
    faas_status status = FAAS_OK;

    *out = NULL;
    if (policy == NULL)
        return faasi_fail(FAAS_ENOMEM, "policy: no %zu bytes", sizeof *policy);
    policy->ops = options->ops;
    policy->allocator = options->allocator;
    policy->look = options->look;
    policy->user = options->user;
    policy->seed = options->seed;
    policy->idle_ns = options->idle_ns;
    policy->unsure = FAASI_POLICY_NONE;
    if (policy->ops->open != NULL)
        status = policy->ops->open(policy);
    if (status != FAAS_OK) {
        faasi_free(options->allocator, policy, sizeof *policy);
        return status;
    }
    *out = policy;
    return FAAS_OK;
}

void faasi_policy_close(struct faasi_policy *policy)
{
    const faas_allocator *allocator;

    if (policy == NULL)
        return;
    allocator = policy->allocator;
    if (policy->ops->close != NULL)
        policy->ops->close(policy);
    faasi_free_lines(allocator, policy->functions,
                     policy->function_room * sizeof *policy->functions);
    faasi_free_lines(allocator, policy->instances,
                     policy->instance_room * sizeof *policy->instances);
    faasi_free(allocator, policy, sizeof *policy);
}

/* ---- room ---- */

faas_status faasi_policy_grow(struct faasi_policy *policy, void *array, uint32_t *room,
                              uint32_t want, size_t size)
{
    void *old, *grown;

    if (want <= *room)
        return FAAS_OK;
    grown = faasi_alloc_lines(policy->allocator, want * size);
    if (grown == NULL)
        return faasi_fail(FAAS_ENOMEM, "policy: no %zu bytes", want * size);
    memcpy(&old, array, sizeof old);
    if (old != NULL)
        memcpy(grown, old, *room * size);
    faasi_free_lines(policy->allocator, old, *room * size);
    memcpy(array, &grown, sizeof grown);
    *room = want;
    return FAAS_OK;
}

static uint32_t room_for(uint32_t have, uint32_t want)
{
    uint32_t room = have < 16 ? 16 : have;

    while (room < want)
        room *= 2;
    return want <= have ? have : room;
}

faas_status faasi_policy_reserve(struct faasi_policy *policy, uint32_t functions,
                                 uint32_t instances)
{
    uint32_t old = policy->function_room;
    faas_status status = FAAS_OK;

    if (functions > FAASI_POLICY_MAX || instances > FAASI_POLICY_MAX)
        return faasi_fail(FAAS_EINVAL, "policy: %u functions, %u instances; at most %d",
                          functions, instances, FAASI_POLICY_MAX);
    functions = room_for(old, functions);
    instances = room_for(policy->instance_room, instances);
    if (functions == old && instances == policy->instance_room)
        return FAAS_OK;
    if (policy->ops->reserve != NULL)
        status = policy->ops->reserve(policy, functions, instances);
    if (status == FAAS_OK)
        status = faasi_policy_grow(policy, &policy->functions, &policy->function_room,
                                   functions, sizeof *policy->functions);
    for (uint32_t i = old; i < policy->function_room; i++)
        policy->functions[i].oldest = policy->functions[i].newest = FAASI_POLICY_NONE;
    if (status == FAAS_OK)
        status = faasi_policy_grow(policy, &policy->instances, &policy->instance_room,
                                   instances, sizeof *policy->instances);
    return status;
}

/* ---- events ---- */

static void idle_link(struct faasi_policy *policy, uint32_t id)
{
    struct faasi_policy_instance *i = &policy->instances[id];
    struct faasi_policy_function *f = &policy->functions[i->function];

    i->older = f->newest;
    i->newer = FAASI_POLICY_NONE;
    /* Late reports may say that it left before others did: it goes before them. */
    while (FAASI_UNLIKELY(i->older != FAASI_POLICY_NONE &&
                          policy->instances[i->older].since > i->since)) {
        i->newer = i->older;
        i->older = policy->instances[i->older].older;
    }
    if (i->older == FAASI_POLICY_NONE)
        f->oldest = id;
    else
        policy->instances[i->older].newer = id;
    if (i->newer == FAASI_POLICY_NONE)
        f->newest = id;
    else
        policy->instances[i->newer].older = id;
    f->idle++;
    policy->idle++;
    i->state = FAASI_POLICY_IDLE;
}

static void idle_unlink(struct faasi_policy *policy, uint32_t id)
{
    struct faasi_policy_instance *i = &policy->instances[id];
    struct faasi_policy_function *f = &policy->functions[i->function];

    if (i->older == FAASI_POLICY_NONE)
        f->oldest = i->newer;
    else
        policy->instances[i->older].newer = i->newer;
    if (i->newer == FAASI_POLICY_NONE)
        f->newest = i->older;
    else
        policy->instances[i->newer].older = i->older;
    f->idle--;
    policy->idle--;
    i->state = FAASI_POLICY_BUSY;
}

static void unsure_link(struct faasi_policy *policy, uint32_t id)
{
    struct faasi_policy_instance *i = &policy->instances[id];

    i->state = FAASI_POLICY_UNSURE;
    i->older = FAASI_POLICY_NONE;
    i->newer = policy->unsure;
    if (policy->unsure != FAASI_POLICY_NONE)
        policy->instances[policy->unsure].older = id;
    policy->unsure = id;
}

static void unsure_unlink(struct faasi_policy *policy, uint32_t id)
{
    struct faasi_policy_instance *i = &policy->instances[id];

    if (i->older == FAASI_POLICY_NONE)
        policy->unsure = i->newer;
    else
        policy->instances[i->older].newer = i->newer;
    if (i->newer != FAASI_POLICY_NONE)
        policy->instances[i->newer].older = i->older;
    i->state = FAASI_POLICY_BUSY;
}

void faasi_policy_declare(struct faasi_policy *policy, uint32_t function, double cost,
                          uint64_t bytes)
{
    struct faasi_policy_function *f = &policy->functions[function];

    f->bytes = bytes == 0 ? 1 : bytes;
    f->worth = (float)(cost / (double)f->bytes);
    if (policy->ops->changed != NULL)
        policy->ops->changed(policy, function);
}

void faasi_policy_forget(struct faasi_policy *policy, uint32_t function)
{
    assert(policy->functions[function].live == 0);
    if (policy->ops->forget != NULL)
        policy->ops->forget(policy, function);
}

void faasi_policy_request(struct faasi_policy *policy, uint32_t function, uint32_t level,
                          uint64_t now)
{
    if (policy->ops->request != NULL)
        policy->ops->request(policy, function, level, now);
}

void faasi_policy_start(struct faasi_policy *policy, uint32_t instance, uint32_t function,
                        uint64_t now)
{
    struct faasi_policy_instance *i = &policy->instances[instance];

    assert(i->state == FAASI_POLICY_ABSENT);
    i->function = function;
    i->since = i->looked = now;
    i->state = FAASI_POLICY_BUSY;
    policy->functions[function].live++;
    if (policy->ops->start != NULL)
        policy->ops->start(policy, instance);
    if (policy->look != NULL)
        unsure_link(policy, instance); // nobody says when it falls idle
}

void faasi_policy_take(struct faasi_policy *policy, uint32_t instance, uint64_t now)
{
    struct faasi_policy_instance *i = &policy->instances[instance];
    uint64_t age = now - i->since;

    if (i->state == FAASI_POLICY_UNSURE) {
        unsure_unlink(policy, instance);
        return;
    }
    assert(i->state == FAASI_POLICY_IDLE);
    idle_unlink(policy, instance);
    i->since = i->looked = now;
    if (policy->ops->taken != NULL)
        policy->ops->taken(policy, instance, age);
}

void faasi_policy_idle(struct faasi_policy *policy, uint32_t instance, uint32_t level,
                       uint64_t now)
{
    struct faasi_policy_instance *i = &policy->instances[instance];

    if (i->state == FAASI_POLICY_UNSURE)
        unsure_unlink(policy, instance);
    assert(i->state == FAASI_POLICY_BUSY);
    i->since = i->looked = now;
    idle_link(policy, instance);
    if (policy->ops->idle != NULL)
        policy->ops->idle(policy, instance, level, now);
}

void faasi_policy_end(struct faasi_policy *policy, uint32_t instance, bool evicted,
                      uint64_t now)
{
    struct faasi_policy_instance *i = &policy->instances[instance];
    enum faasi_policy_end how = FAASI_POLICY_ENDED_BUSY;

    assert(i->state != FAASI_POLICY_ABSENT);
    if (i->state == FAASI_POLICY_IDLE) {
        how = evicted ? FAASI_POLICY_EVICTED : FAASI_POLICY_ENDED_IDLE;
        idle_unlink(policy, instance);
    } else if (i->state == FAASI_POLICY_UNSURE) {
        unsure_unlink(policy, instance);
    }
    i->state = FAASI_POLICY_ABSENT;
    policy->functions[i->function].live--;
    if (policy->ops->end != NULL)
        policy->ops->end(policy, instance, how, now);
}

/* ---- late reports ---- */

/* What was seen, as events. The first call began after the last look, at which the
 * instance still idled, and left before the last one did; where between is not known, so
 * calls are spread evenly, but for one alone, which began when it left. */
static void report(struct faasi_policy *policy, uint32_t instance,
                   const struct faasi_policy_look *look, uint64_t now)
{
    struct faasi_policy_instance *i = &policy->instances[instance];
    struct faasi_policy_function *f = &policy->functions[i->function];
    uint64_t left = look->busy || look->left > now ? now : look->left;
    uint64_t looked = i->looked, first;

    if (left < looked)
        left = looked;
    first = look->calls > 1 ? looked + (left - looked) / (look->calls + 1) : left;
    if (look->calls > 0)
        faasi_policy_request(policy, i->function, f->live, first);
    faasi_policy_take(policy, instance, first);
    if (look->calls > 1 && policy->ops->repeat != NULL)
        policy->ops->repeat(policy, i->function, f->live, look->calls - 1,
                            (left - first) / (look->calls - 1));
    if (look->busy || look->kept)
        unsure_link(policy, instance);
    else
        faasi_policy_idle(policy, instance, f->live, left);
    i->looked = now;
}

bool faasi_policy_refresh(struct faasi_policy *policy, uint32_t instance, uint64_t now)
{
    struct faasi_policy_look look = {0};

    if (policy->look == NULL)
        return true;
    policy->looked++;
    policy->look(instance, &look, policy->user);
    if (look.calls == 0 && !look.busy && !look.kept) {
        policy->instances[instance].looked = now;
        return true;
    }
    report(policy, instance, &look, now);
    return false;
}

/* Calls that came and went in an unsure instance: gaps of the same length. */
static void report_unsure(struct faasi_policy *policy, uint32_t instance,
                          const struct faasi_policy_look *look, uint64_t left)
{
    const struct faasi_policy_instance *i = &policy->instances[instance];
    uint32_t live = policy->functions[i->function].live;

    if (look->calls == 0)
        return;
    if (policy->ops->repeat != NULL)
        policy->ops->repeat(policy, i->function, live, look->calls,
                            (left - i->looked) / look->calls);
    else
        faasi_policy_request(policy, i->function, live, left);
}

/* Sorts a list through `newer` by `looked`: so many of it, whose rest goes to `*rest`. */
static uint32_t found_sort(struct faasi_policy_instance *all, uint32_t first,
                           uint32_t count, uint32_t *rest)
{
    uint32_t sorted = FAASI_POLICY_NONE, *at = &sorted, a, b;

    if (count == 1) {
        *rest = all[first].newer;
        all[first].newer = FAASI_POLICY_NONE;
        return first;
    }
    a = found_sort(all, first, count / 2, &b);
    b = found_sort(all, b, count - count / 2, rest);
    while (a != FAASI_POLICY_NONE || b != FAASI_POLICY_NONE) {
        uint32_t *least = b == FAASI_POLICY_NONE || (a != FAASI_POLICY_NONE &&
                                                     all[a].looked <= all[b].looked)
                              ? &a
                              : &b;

        *at = *least;
        *least = all[*least].newer;
        at = &all[*at].newer;
    }
    *at = FAASI_POLICY_NONE;
    return sorted;
}

/* Looks again at what was busy or kept, or has not been looked at since it started. What
 * fell idle is reported in the order in which it did: policies keep lists by that. */
static void unsure_refresh(struct faasi_policy *policy, uint64_t now)
{
    uint32_t next, found = FAASI_POLICY_NONE, count = 0;

    for (uint32_t id = policy->unsure; id != FAASI_POLICY_NONE; id = next) {
        struct faasi_policy_instance *i = &policy->instances[id];
        struct faasi_policy_look look = {0};
        uint64_t left;

        next = i->newer;
        policy->looked++;
        policy->look(id, &look, policy->user);
        left = look.busy || look.left > now ? now : look.left;
        if (left < i->looked)
            left = i->looked;
        report_unsure(policy, id, &look, left);
        i->looked = now;
        if (look.busy || look.kept)
            continue;
        unsure_unlink(policy, id);
        i->looked = left;
        i->newer = found;
        found = id;
        count++;
    }
    if (count > 0)
        found = found_sort(policy->instances, found, count, &next);
    for (uint32_t id = found; id != FAASI_POLICY_NONE; id = next) {
        struct faasi_policy_instance *i = &policy->instances[id];

        next = i->newer;
        faasi_policy_idle(policy, id, policy->functions[i->function].live, i->looked);
        i->looked = now;
    }
}

/* ---- decisions ---- */

static bool is_idle(const struct faasi_policy *policy, uint32_t instance)
{
    return instance < policy->instance_room &&
           policy->instances[instance].state == FAASI_POLICY_IDLE;
}

/* For when a policy proposes nonsense: slow, and always right. */
static uint32_t idle_longest(const struct faasi_policy *policy)
{
    uint32_t best = FAASI_POLICY_NONE;

    for (uint32_t i = 0; i < policy->instance_room; i++)
        if (policy->instances[i].state == FAASI_POLICY_IDLE &&
            (best == FAASI_POLICY_NONE ||
             policy->instances[i].since < policy->instances[best].since))
            best = i;
    return best;
}

uint32_t faasi_policy_victim(struct faasi_policy *policy, uint64_t now)
{
    if (policy->look != NULL)
        unsure_refresh(policy, now);
    /* Each may turn out to have been used; then all are up to date, and of those that
     * were not used meanwhile one is found. */
    for (uint64_t left = 2 * (uint64_t)policy->idle; left > 0 && policy->idle > 0;
         left--) {
        uint32_t victim = policy->ops->victim(policy, now);

        if (policy->idle == 0) // its looks found the last ones in use
            break;
        if (FAASI_UNLIKELY(!is_idle(policy, victim))) {
            policy->refused++;
            victim = idle_longest(policy);
        }
        if (faasi_policy_refresh(policy, victim, now))
            return victim;
    }
    return FAASI_POLICY_NONE;
}

uint32_t faasi_policy_victim_of(struct faasi_policy *policy, uint32_t function,
                                uint64_t now)
{
    const struct faasi_policy_function *f = &policy->functions[function];

    if (policy->look != NULL)
        unsure_refresh(policy, now);
    for (uint64_t left = 2 * (uint64_t)f->idle; left > 0 && f->idle > 0; left--) {
        uint32_t victim = f->oldest;

        if (faasi_policy_refresh(policy, victim, now))
            return victim;
    }
    return FAASI_POLICY_NONE;
}

void faasi_policy_time(struct faasi_policy *policy, uint32_t function, uint64_t idle_ns)
{
    if (policy->ops->time != NULL)
        policy->ops->time(policy, function, idle_ns);
}

uint32_t faasi_policy_expired(struct faasi_policy *policy, uint64_t now)
{
    uint32_t expired;

    if (policy->ops->expired == NULL)
        return FAASI_POLICY_NONE;
    while ((expired = policy->ops->expired(policy, now)) != FAASI_POLICY_NONE) {
        if (FAASI_UNLIKELY(!is_idle(policy, expired))) {
            policy->refused++;
            return FAASI_POLICY_NONE;
        }
        if (faasi_policy_refresh(policy, expired, now))
            break;
    }
    return expired;
}

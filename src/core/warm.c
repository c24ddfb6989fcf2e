/* SPDX-License-Identifier: MIT */
/* warm.c - the live cache's side of a keep-alive policy. */
#include "warm.h"

#include "instance.h"
#include "mem.h"

/* A cold start is never for nothing, however quick init is: there is the instance to be
 * made, under the lock. */
#define LEAST_INIT_NS 1000

/* How much of a measured cost or size one more measurement makes up. */
#define SMOOTH 0.25

/* ---- a host's policy ---- */

static faas_status host_open(struct faasi_policy *policy)
{
    const struct faasi_warm *warm = policy->user;
    faas_keepalive_policy *host = faasi_alloc(policy->allocator, sizeof *host);

    if (host == NULL)
        return faasi_fail(FAAS_ENOMEM, "policy: no %zu bytes", sizeof *host);
    *host = *warm->opening;
    policy->state = host;
    return FAAS_OK;
}

static void host_close(struct faasi_policy *policy)
{
    faas_keepalive_policy *host = policy->state;

    if (host->closed != NULL)
        host->closed(host->user);
    faasi_free(policy->allocator, host, sizeof *host);
}

static void host_changed(struct faasi_policy *policy, uint32_t function)
{
    const faas_keepalive_policy *host = policy->state;
    const struct faasi_policy_function *f = &policy->functions[function];

    if (host->declared != NULL)
        host->declared(host->user, function, (double)f->worth * (double)f->bytes,
                       f->bytes);
}

static void host_forget(struct faasi_policy *policy, uint32_t function)
{
    const faas_keepalive_policy *host = policy->state;

    if (host->forgotten != NULL)
        host->forgotten(host->user, function);
}

static void host_start(struct faasi_policy *policy, uint32_t instance)
{
    const faas_keepalive_policy *host = policy->state;
    const struct faasi_policy_instance *i = &policy->instances[instance];

    if (host->started != NULL)
        host->started(host->user, instance, i->function, i->since);
}

static void host_taken(struct faasi_policy *policy, uint32_t instance, uint64_t age)
{
    const faas_keepalive_policy *host = policy->state;

    if (host->used != NULL)
        host->used(host->user, instance, age);
}

static void host_idle(struct faasi_policy *policy, uint32_t instance, uint32_t level,
                      uint64_t now)
{
    const faas_keepalive_policy *host = policy->state;

    (void)level;
    if (host->idled != NULL)
        host->idled(host->user, instance, now);
}

static void host_end(struct faasi_policy *policy, uint32_t instance,
                     enum faasi_policy_end how, uint64_t now)
{
    const faas_keepalive_policy *host = policy->state;

    if (host->ended != NULL)
        host->ended(host->user, instance, how == FAASI_POLICY_EVICTED, now);
}

static uint32_t host_victim(struct faasi_policy *policy, uint64_t now)
{
    const faas_keepalive_policy *host = policy->state;

    return host->victim(host->user, now);
}

static const struct faasi_policy_ops host_ops = {.name = "host",
                                                 .open = host_open,
                                                 .close = host_close,
                                                 .changed = host_changed,
                                                 .forget = host_forget,
                                                 .start = host_start,
                                                 .taken = host_taken,
                                                 .idle = host_idle,
                                                 .end = host_end,
                                                 .victim = host_victim};

/* ---- opening ---- */

static void *counting_alloc(size_t size, void *user)
{
    struct faasi_warm *warm = user;
    void *memory = warm->to->alloc(size, warm->to->user);

    warm->history_bytes += memory == NULL ? 0 : size;
    return memory;
}

static void counting_free(void *memory, size_t size, void *user)
{
    struct faasi_warm *warm = user;

    warm->history_bytes -= size;
    warm->to->free(memory, size, warm->to->user);
}

/* What became of an instance since the last look. */
static void look_at(uint32_t number, struct faasi_policy_look *look, void *user)
{
    const struct faasi_warm *warm = user;
    const struct faasi_instance *instance = warm->instances.at[number].who;
    uint64_t left = faasi_read(&instance->born);

    for (struct faasi_cell *cell = instance->cells; cell != NULL; cell = cell->sibling) {
        unsigned state = faasi_word_state(faasi_seat_word(&cell->seat));
        uint64_t begun = faasi_read(&cell->counters.calls) + (state == FAASI_BUSY);
        uint64_t cell_left = faasi_read(&cell->seat.left_ticks);

        /* One that is about to leave may have been counted already. */
        if (begun > cell->looked_calls) {
            look->calls += begun - cell->looked_calls;
            cell->looked_calls = begun;
        }
        look->busy |= state != FAASI_IDLE;
        if (cell_left > left)
            left = cell_left;
    }
    look->left = faasi_instant_ns(warm->clock, left);
    look->kept = instance->ending || faasi_instance_is_kept(instance);
}

/* Who gave it is told that it failed, and will not be told that it ends. */
static void policy_disown(struct faasi_policy *policy)
{
    if (policy->ops == &host_ops)
        ((faas_keepalive_policy *)policy->state)->closed = NULL;
}

static faas_status policy_of(struct faasi_warm *warm, faas_keepalive keepalive,
                             const faas_keepalive_policy *given,
                             struct faasi_policy **policy)
{
    static const struct faasi_policy_ops *const known[] = {
        [FAAS_KEEPALIVE_DEFAULT] = &faasi_policy_idx,
        [FAAS_KEEPALIVE_LRU] = &faasi_policy_lru,
        [FAAS_KEEPALIVE_TTL] = &faasi_policy_ttl,
        [FAAS_KEEPALIVE_IDX] = &faasi_policy_idx,
        [FAAS_KEEPALIVE_GDSF] = &faasi_policy_gdsf,
        [FAAS_KEEPALIVE_SIEVE] = &faasi_policy_sieve,
        [FAAS_KEEPALIVE_LHD] = &faasi_policy_lhd};
    faas_keepalive_policy host = {.size = sizeof host};
    struct faasi_policy_options options = {.allocator = &warm->allocator,
                                           .seed = warm->seed,
                                           .idle_ns = FAAS_FOREVER,
                                           .look = look_at,
                                           .user = warm};
    faas_status status;

    if ((unsigned)keepalive >= FAASI_COUNT(known))
        return faasi_fail(FAAS_EINVAL, "keepalive: %d is unknown", (int)keepalive);
    options.ops = known[keepalive];
    if (given != NULL) {
        status = faasi_options_import(&host, sizeof host, given, "keepalive policy");
        if (status != FAAS_OK)
            return status;
        if (keepalive != FAAS_KEEPALIVE_DEFAULT)
            return faasi_fail(FAAS_EINVAL, "keepalive: a policy of the library and one "
                                           "of the host");
        if (host.name == NULL || host.victim == NULL)
            return faasi_fail(FAAS_EINVAL, "keepalive policy: it has no %s",
                              host.name == NULL ? "name" : "victim");
        options.ops = &host_ops;
    }
    warm->opening = &host;
    status = faasi_policy_open(policy, &options);
    warm->opening = NULL;
    return status;
}

faas_status faasi_warm_init(struct faasi_warm *warm, const faas_clock *clock,
                            const faas_runtime_options *options)
{
    warm->clock = clock;
    warm->to = options->allocator;
    warm->allocator = (faas_allocator){counting_alloc, counting_free, warm};
    warm->seed = options->seed;
    return policy_of(warm, options->keepalive, options->keepalive_policy, &warm->policy);
}

static void places_free(struct faasi_warm *warm, struct faasi_warm_places *places)
{
    faasi_free(&warm->allocator, places->at, places->room * sizeof *places->at);
}

void faasi_warm_disown(struct faasi_warm *warm)
{
    policy_disown(warm->policy);
}

const char *faasi_warm_name(const struct faasi_warm *warm)
{
    const struct faasi_policy *policy = warm->policy;

    return policy->ops == &host_ops ? ((faas_keepalive_policy *)policy->state)->name
                                    : policy->ops->name;
}

void faasi_warm_fini(struct faasi_warm *warm)
{
    faasi_policy_close(warm->policy);
    places_free(warm, &warm->instances);
    places_free(warm, &warm->functions);
}

/* ---- numbers ---- */

/* Makes sure that a number can be given. */
static faas_status places_reserve(struct faasi_warm *warm,
                                  struct faasi_warm_places *places)
{
    uint32_t room = places->room == 0 ? 16 : 2 * places->room;
    struct faasi_warm_place *at;

    if (places->used == 0)
        places->used = 1; // nobody's
    if (places->free != 0 || places->used < places->room)
        return FAAS_OK;
    at = faasi_grow(&warm->allocator, places->at, places->room * sizeof *at,
                    room * sizeof *at);
    if (at == NULL)
        return FAAS_ENOMEM;
    places->at = at;
    places->room = room;
    return FAAS_OK;
}

static uint32_t places_give(struct faasi_warm_places *places, void *who)
{
    uint32_t number = places->free;

    if (number != 0)
        places->free = places->at[number].next;
    else
        number = places->used++;
    places->at[number] = (struct faasi_warm_place){.who = who};
    return number;
}

static void places_take(struct faasi_warm_places *places, uint32_t number)
{
    places->at[number] = (struct faasi_warm_place){.next = places->free};
    places->free = number;
}

/* ---- telling ---- */

/* Policies are told of no time before what they were told. */
static uint64_t time_now(struct faasi_warm *warm)
{
    uint64_t now = faasi_instant_ns(warm->clock, faasi_ticks(warm->clock));

    if (now > warm->now)
        warm->now = now;
    return warm->now;
}

static double smoothed(double was, double is)
{
    return was == 0 ? is : was + SMOOTH * (is - was);
}

/* Measures an instance, and says so. */
static void measure(struct faasi_warm *warm, struct faasi_tally *tally,
                    const struct faasi_instance *instance)
{
    tally->instance_bytes =
        smoothed(tally->instance_bytes,
                 (double)(instance->declared_bytes + faasi_read(&instance->heap_bytes)) +
                     FAASI_HEAP_BYTES);
    faasi_policy_declare(warm->policy, tally->number, tally->start_ns / 1e9,
                         (uint64_t)tally->instance_bytes);
}

void faasi_warm_ask(struct faasi_warm *warm, struct faasi_tally *tally)
{
    if (tally->asked || places_reserve(warm, &warm->functions) != FAAS_OK ||
        faasi_policy_reserve(warm->policy, warm->functions.used + 1, 0) != FAAS_OK)
        return;
    if (tally->number == 0)
        tally->number = places_give(&warm->functions, tally);
    faasi_policy_request(warm->policy, tally->number,
                         warm->policy->functions[tally->number].live + 1, time_now(warm));
    tally->asked = true;
}

faas_status faasi_warm_reserve(struct faasi_warm *warm, struct faasi_instance *instance)
{
    struct faasi_tally *tally = instance->function->tally;

    faasi_warm_ask(warm, tally); // another start may have been made for what was asked
    if (!tally->asked || places_reserve(warm, &warm->instances) != FAAS_OK ||
        faasi_policy_reserve(warm->policy, warm->functions.used + 1,
                             warm->instances.used + 1) != FAAS_OK)
        return FAAS_ENOMEM;
    instance->number = places_give(&warm->instances, instance);
    tally->asked = false;
    return FAAS_OK;
}

void faasi_warm_cancel(struct faasi_warm *warm, struct faasi_instance *instance)
{
    if (instance->number != 0)
        places_take(&warm->instances, instance->number);
    instance->number = 0;
}

void faasi_warm_start(struct faasi_warm *warm, struct faasi_instance *instance,
                      uint64_t init_ns, bool running)
{
    struct faasi_tally *tally = instance->function->tally;
    struct faasi_cell *cell = instance->cells;

    tally->start_ns = smoothed(
        tally->start_ns, (double)(init_ns < LEAST_INIT_NS ? LEAST_INIT_NS : init_ns));
    cell->looked_calls = faasi_read(&cell->counters.calls) + running;
    measure(warm, tally, instance);
    if (tally->beside_bytes == 0 ? instance->function->instances > 1
                                 : faasi_instance_bytes(instance) < tally->beside_bytes)
        tally->beside_bytes = faasi_instance_bytes(instance);
    faasi_warm_retime(warm, instance->function);
    faasi_policy_start(warm->policy, instance->number, tally->number, time_now(warm));
}

void faasi_warm_join(struct faasi_cell *cell)
{
    cell->looked_calls = faasi_read(&cell->counters.calls);
}

void faasi_warm_end(struct faasi_warm *warm, struct faasi_instance *instance)
{
    faasi_policy_end(warm->policy, instance->number, instance->evicted, time_now(warm));
    measure(warm, instance->function->tally, instance);
    warm->evictions += instance->evicted;
    places_take(&warm->instances, instance->number);
    instance->number = 0;
}

struct faasi_instance *faasi_warm_victim(struct faasi_warm *warm,
                                         const struct faasi_function *only)
{
    uint64_t now = time_now(warm);
    uint32_t number = FAASI_POLICY_NONE;

    if (only == NULL)
        number = faasi_policy_victim(warm->policy, now);
    else if (only->tally != NULL && only->tally->number != 0)
        number = faasi_policy_victim_of(warm->policy, only->tally->number, now);
    return number == FAASI_POLICY_NONE ? NULL : warm->instances.at[number].who;
}

void faasi_warm_retime(struct faasi_warm *warm, const struct faasi_function *f)
{
    if (f->tally != NULL && f->tally->number != 0)
        faasi_policy_time(warm->policy, f->tally->number, faasi_read(&f->idle_ns));
}

void faasi_warm_forget(struct faasi_warm *warm, struct faasi_tally *tally)
{
    if (tally->number == 0)
        return;
    faasi_policy_forget(warm->policy, tally->number);
    places_take(&warm->functions, tally->number);
    tally->number = 0;
}

/* Tells a policy of an instance that was there before, as if it had just been looked
 * at. */
static void tell_again(struct faasi_policy *policy, struct faasi_instance *instance,
                       uint32_t function, uint64_t born)
{
    faasi_policy_request(policy, function, policy->functions[function].live + 1, born);
    faasi_policy_start(policy, instance->number, function, born);
    for (struct faasi_cell *cell = instance->cells; cell != NULL; cell = cell->sibling)
        cell->looked_calls =
            faasi_read(&cell->counters.calls) +
            (faasi_word_state(faasi_seat_word(&cell->seat)) == FAASI_BUSY);
}

void faasi_warm_move(struct faasi_warm *warm, struct faasi_function *f,
                     struct faasi_tally *from, struct faasi_tally *to)
{
    uint64_t now = time_now(warm);

    if (from->number == 0)
        return;
    if (to->number == 0) { // it takes the other's place
        warm->functions.at[from->number].who = to;
        to->number = from->number;
        to->start_ns = from->start_ns;
        to->instance_bytes = from->instance_bytes;
        to->asked = from->asked;
        from->number = 0;
        return;
    }
    for (uint32_t i = 1; i < warm->instances.used; i++) {
        struct faasi_instance *instance = warm->instances.at[i].who;

        if (instance == NULL || instance->function != f)
            continue;
        faasi_policy_end(warm->policy, i, false, now);
        tell_again(warm->policy, instance, to->number, now);
    }
    faasi_warm_forget(warm, from);
}

faas_status faasi_warm_swap(struct faasi_warm *warm, faas_keepalive keepalive,
                            const faas_keepalive_policy *given,
                            struct faasi_instance *newest)
{
    struct faasi_policy *policy, *old = warm->policy;
    uint32_t oldest = 0;
    faas_status status = policy_of(warm, keepalive, given, &policy);

    if (status != FAAS_OK)
        return status;
    status =
        faasi_policy_reserve(policy, warm->functions.used + 1, warm->instances.used + 1);
    if (status != FAAS_OK) {
        policy_disown(policy);
        faasi_policy_close(policy);
        return status;
    }
    for (uint32_t i = 1; i < warm->functions.used; i++) {
        const struct faasi_tally *tally = warm->functions.at[i].who;

        if (tally != NULL)
            faasi_policy_declare(policy, i, tally->start_ns / 1e9,
                                 (uint64_t)tally->instance_bytes);
    }
    /* In the order in which they began: the list is the other way round. */
    for (struct faasi_instance *i = newest; i != NULL; i = i->next) {
        warm->instances.at[i->number].next = oldest;
        oldest = i->number;
    }
    warm->policy = policy;
    for (uint32_t number = oldest, next; number != 0; number = next) {
        struct faasi_instance *instance = warm->instances.at[number].who;

        next = warm->instances.at[number].next;
        warm->instances.at[number].next = 0;
        faasi_warm_retime(warm, instance->function);
        tell_again(policy, instance, old->instances[number].function,
                   faasi_instant_ns(warm->clock, faasi_read(&instance->born)));
    }
    faasi_policy_close(old);
    return FAAS_OK;
}

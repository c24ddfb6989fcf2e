/* SPDX-License-Identifier: MIT */
/* replay.c - recorded traffic through the policies. */
#include "replay.h"

#include "mem.h"

#include <time.h>

#define DAY_NS ((uint64_t)86400000000000)
/* Durations beyond this are refused: sums of them must not wrap. */
#define LONGEST_NS (36500 * DAY_NS)

enum { CALLS_MAX = INT32_MAX };

const char *faas_replay_policy(size_t place)
{
    const struct faasi_policy_ops *ops = faasi_policy_at(place);

    return ops == NULL ? NULL : ops->name;
}

/* ---- the line of events ---- */

/* A run in progress. */
struct run {
    uint64_t ends;
    uint64_t call; /* breaks ties: first come, first ended */
    uint32_t function;
};

struct runs {
    struct run *heap; /* from place 1 */
    size_t size;
    size_t room;
};

static bool ends_before(const struct run *a, const struct run *b)
{
    return a->ends < b->ends || (a->ends == b->ends && a->call < b->call);
}

static faas_status runs_push(struct runs *runs, const faas_allocator *allocator,
                             struct run run)
{
    size_t place;

    if (runs->size + 1 >= runs->room) {
        size_t room = runs->room == 0 ? 1024 : runs->room * 2;
        struct run *heap = faasi_grow(allocator, runs->heap, runs->room * sizeof *heap,
                                      room * sizeof *heap);

        if (heap == NULL)
            return faasi_fail(FAAS_ENOMEM, "replay: no %zu bytes", room * sizeof *heap);
        runs->heap = heap;
        runs->room = room;
    }
    for (place = ++runs->size; place > 1 && ends_before(&run, &runs->heap[place / 2]);
         place /= 2)
        runs->heap[place] = runs->heap[place / 2];
    runs->heap[place] = run;
    return FAAS_OK;
}

static struct run runs_pop(struct runs *runs)
{
    struct run first = runs->heap[1], last = runs->heap[runs->size--];
    size_t place = 1;

    for (;;) {
        size_t child = place * 2;

        if (child < runs->size && ends_before(&runs->heap[child + 1], &runs->heap[child]))
            child++;
        if (child > runs->size || !ends_before(&runs->heap[child], &last))
            break;
        runs->heap[place] = runs->heap[child];
        place = child;
    }
    runs->heap[place] = last;
    return first;
}

static void event_add(faas_replay *replay, uint64_t at, uint32_t function, uint32_t level,
                      bool ends)
{
    replay->events[replay->event_count++] = (struct faasi_replay_event){
        .at = at, .function = function, .level = level & INT32_MAX, .ends = ends};
}

/* Lays out arrivals and ends. `running` counts each function's runs, `most` their peak:
 * the number of its slots. */
static faas_status line_up(faas_replay *replay, const faas_replay_trace *trace,
                           struct runs *runs, uint32_t *running, uint32_t *most)
{
    for (size_t i = 0; i < trace->call_count; i++) {
        const faas_trace_call *call = &trace->calls[i];
        uint32_t level;
        faas_status status;

        while (runs->size > 0 && runs->heap[1].ends <= call->at_ns) {
            struct run run = runs_pop(runs);

            event_add(replay, run.ends, run.function, running[run.function]--, true);
        }
        level = ++running[call->function];
        if (level > most[call->function]) {
            most[call->function] = level;
            replay->first_starts++;
        }
        event_add(replay, call->at_ns, call->function, level, false);
        if (replay->functions[call->function].memory_bytes > replay->bytes_max)
            replay->bytes_max = replay->functions[call->function].memory_bytes;
        status = runs_push(runs, replay->allocator,
                           (struct run){.ends = call->at_ns + call->run_ns,
                                        .call = i,
                                        .function = call->function});
        if (status != FAAS_OK)
            return status;
    }
    return FAAS_OK;
}

static faas_status trace_check(const faas_replay_trace *trace)
{
    uint64_t last = 0;

    if (trace->function_count == 0 || trace->call_count == 0)
        return faasi_fail(FAAS_EINVAL, "trace: %zu functions, %zu calls: it is empty",
                          trace->function_count, trace->call_count);
    if (trace->function_count > FAASI_POLICY_MAX || trace->call_count > CALLS_MAX)
        return faasi_fail(
            FAAS_EINVAL, "trace: %zu functions, %zu calls; at most %d and %d",
            trace->function_count, trace->call_count, FAASI_POLICY_MAX, CALLS_MAX);
    for (size_t i = 0; i < trace->function_count; i++)
        if (trace->functions[i].init_ns > LONGEST_NS ||
            trace->functions[i].memory_bytes > (uint64_t)1 << 50)
            return faasi_fail(FAAS_EINVAL,
                              "trace: function %zu: init of %llu ns, %llu "
                              "bytes: out of range",
                              i, (unsigned long long)trace->functions[i].init_ns,
                              (unsigned long long)trace->functions[i].memory_bytes);
    for (size_t i = 0; i < trace->call_count; i++) {
        const faas_trace_call *call = &trace->calls[i];

        if (call->function >= trace->function_count)
            return faasi_fail(FAAS_EINVAL, "trace: call %zu: function %u of %zu", i,
                              call->function, trace->function_count);
        if (call->at_ns < last || call->at_ns > LONGEST_NS || call->run_ns > LONGEST_NS)
            return faasi_fail(FAAS_EINVAL,
                              "trace: call %zu: at %llu ns for %llu ns, after %llu: out "
                              "of order or range",
                              i, (unsigned long long)call->at_ns,
                              (unsigned long long)call->run_ns, (unsigned long long)last);
        last = call->at_ns;
    }
    return FAAS_OK;
}

faas_status faas_replay_open(const faas_replay_trace *given,
                             const faas_allocator *allocator, faas_replay **out)
{
    faas_replay_trace trace = {.size = sizeof trace};
    struct runs runs = {0};
    uint32_t *counts = NULL;
    size_t counts_size;
    faas_replay *replay;
    faas_status status;

    *out = NULL;
    allocator = faasi_allocator_or_default(allocator);
    status = faasi_options_import(&trace, sizeof trace, given, "trace");
    if (status == FAAS_OK)
        status = trace_check(&trace);
    if (status != FAAS_OK)
        return status;
    counts_size = 2 * trace.function_count * sizeof *counts;
    replay = faasi_alloc_zeroed(allocator, sizeof *replay);
    if (replay == NULL)
        return faasi_fail(FAAS_ENOMEM, "replay: no %zu bytes", sizeof *replay);
    replay->allocator = allocator;
    replay->functions = trace.functions;
    replay->function_count = (uint32_t)trace.function_count;
    replay->call_count = trace.call_count;
    replay->event_room = 2 * trace.call_count;
    replay->events = faasi_alloc(allocator, replay->event_room * sizeof *replay->events);
    counts = faasi_alloc_zeroed(allocator, counts_size);
    if (replay->events == NULL || counts == NULL)
        status = faasi_fail(FAAS_ENOMEM, "replay: no %zu bytes",
                            replay->event_room * sizeof *replay->events);
    else
        status = line_up(replay, &trace, &runs, counts, counts + trace.function_count);
    faasi_free(allocator, counts, counts_size);
    faasi_free(allocator, runs.heap, runs.room * sizeof *runs.heap);
    if (status != FAAS_OK) {
        faas_replay_close(replay);
        return status;
    }
    *out = replay;
    return FAAS_OK;
}

void faas_replay_close(faas_replay *replay)
{
    if (replay == NULL)
        return;
    faasi_free(replay->allocator, replay->events,
               replay->event_room * sizeof *replay->events);
    faasi_free(replay->allocator, replay, sizeof *replay);
}

/* ---- the instances under a policy ---- */

/* How many events ahead records are fetched, and what they lead to. */
enum { FETCH_AHEAD = 16, FETCH_NEXT_AHEAD = 8 };

struct pool {
    const faas_replay *replay;
    struct faasi_policy *policy;
    faas_replay_result *result;
    uint64_t budget;
    uint64_t used; /* by all instances */
    uint64_t idle; /* by idle ones */
    uint64_t at;   /* how far the idle memory is added up */
    double idle_byte_ns;
    uint32_t *busy; /* per function: the busy instance that began last, or NONE */
    uint32_t *next; /* per instance: the busy one before it, or the next free number */
    uint32_t free;
    uint32_t count, room;
};

static void pool_pass(struct pool *pool, uint64_t now)
{
    pool->idle_byte_ns += (double)pool->idle * (double)(now - pool->at);
    pool->at = now;
}

static void pool_end(struct pool *pool, uint32_t instance, bool evicted, uint64_t now)
{
    uint64_t bytes =
        pool->replay->functions[pool->policy->instances[instance].function].memory_bytes;

    faasi_policy_end(pool->policy, instance, evicted, now);
    pool->used -= bytes;
    pool->idle -= bytes;
    pool->next[instance] = pool->free;
    pool->free = instance;
}

/* Evicts until `more` bytes fit too; false if nothing more can go. A byte of grace: the
 * tables this is compared with allow for a rounding error. */
static bool pool_make_room(struct pool *pool, uint64_t more, uint64_t now)
{
    while (pool->used + more > pool->budget + 1) {
        uint32_t victim = faasi_policy_victim(pool->policy, now);

        if (victim == FAASI_POLICY_NONE)
            return false;
        pool_end(pool, victim, true, now);
        pool->result->evictions++;
    }
    return true;
}

static faas_status pool_number(struct pool *pool, uint32_t *number)
{
    const faas_allocator *allocator = pool->replay->allocator;

    if (pool->free != FAASI_POLICY_NONE) {
        *number = pool->free;
        pool->free = pool->next[pool->free];
        return FAAS_OK;
    }
    if (pool->count == pool->room) {
        uint32_t room = pool->room == 0 ? 1024 : pool->room * 2;
        uint32_t *next = faasi_grow(allocator, pool->next, pool->room * sizeof *next,
                                    room * sizeof *next);

        if (next == NULL)
            return faasi_fail(FAAS_ENOMEM, "replay: no %zu bytes", room * sizeof *next);
        pool->next = next;
        pool->room = room;
    }
    *number = pool->count++;
    return faasi_policy_reserve(pool->policy, pool->replay->function_count, pool->count);
}

static faas_status pool_arrival(struct pool *pool, const struct faasi_replay_event *event)
{
    struct faasi_policy *policy = pool->policy;
    uint32_t f = event->function, instance;
    uint64_t bytes = pool->replay->functions[f].memory_bytes;

    faasi_policy_request(policy, f, event->level, event->at);
    instance = policy->functions[f].newest;
    if (instance != FAASI_POLICY_NONE) {
        faasi_policy_take(policy, instance, event->at);
        pool->idle -= bytes;
    } else {
        faas_status status;

        pool->result->cold_starts++;
        pool->result->init_ns += pool->replay->functions[f].init_ns;
        if (!pool_make_room(pool, bytes, event->at))
            pool->result->over_budget++;
        status = pool_number(pool, &instance);
        if (status != FAAS_OK)
            return status;
        pool->used += bytes;
        faasi_policy_start(policy, instance, f, event->at);
    }
    pool->next[instance] = pool->busy[f];
    pool->busy[f] = instance;
    return FAAS_OK;
}

/* Instances of one function are alike: which of its busy ones falls idle is no matter. */
static void pool_leaving(struct pool *pool, const struct faasi_replay_event *event)
{
    uint32_t instance = pool->busy[event->function];

    pool->busy[event->function] = pool->next[instance];
    pool->idle += pool->replay->functions[event->function].memory_bytes;
    faasi_policy_idle(pool->policy, instance, event->level, event->at);
    (void)pool_make_room(pool, 0, event->at);
}

static void pool_expire(struct pool *pool, uint64_t now)
{
    uint32_t expired;

    while ((expired = faasi_policy_expired(pool->policy, now)) != FAASI_POLICY_NONE) {
        uint64_t due = pool->policy->instances[expired].since + pool->policy->idle_ns;

        /* Of a policy whose rule is another one, now is as good as due. */
        pool_pass(pool, due < pool->at || due > now ? now : due);
        pool_end(pool, expired, false, now);
        pool->result->expirations++;
    }
}

static faas_status pool_run(struct pool *pool)
{
    const faas_replay *replay = pool->replay;
    faas_status status = FAAS_OK;

    pool->at = replay->events[0].at;
    for (size_t i = 0; i < replay->event_count && status == FAAS_OK; i++) {
        const struct faasi_replay_event *event = &replay->events[i];

        if (i + FETCH_AHEAD < replay->event_count) {
            uint32_t f = event[FETCH_AHEAD].function;

            __builtin_prefetch(&pool->busy[f]);
            __builtin_prefetch(&replay->functions[f]);
            faasi_policy_prefetch(pool->policy, f);
            faasi_policy_prefetch_next(pool->policy, event[FETCH_NEXT_AHEAD].function);
        }
        pool_expire(pool, event->at);
        pool_pass(pool, event->at);
        if (event->ends)
            pool_leaving(pool, event);
        else
            status = pool_arrival(pool, event);
    }
    return status;
}

static uint64_t cpu_now(void)
{
    struct timespec now;

    if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now) != 0)
        return 0;
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

faas_status faasi_replay_run(const faas_replay *replay, struct faasi_policy *policy,
                             const faas_replay_options *options,
                             faas_replay_result *result)
{
    uint64_t started = cpu_now();
    size_t busy_size = replay->function_count * sizeof(uint32_t);
    struct pool pool = {.replay = replay,
                        .policy = policy,
                        .result = result,
                        .budget = options->memory_bytes,
                        .free = FAASI_POLICY_NONE};
    faas_status status;

    status = faasi_policy_reserve(policy, replay->function_count, 1);
    if (status != FAAS_OK)
        return status;
    pool.busy = faasi_alloc(replay->allocator, busy_size);
    if (pool.busy == NULL)
        return faasi_fail(FAAS_ENOMEM, "replay: no %zu bytes", busy_size);
    memset(pool.busy, 0xff, busy_size);
    for (uint32_t f = 0; f < replay->function_count; f++)
        faasi_policy_declare(policy, f,
                             options->objective == FAAS_REPLAY_COUNT
                                 ? 1
                                 : (double)replay->functions[f].init_ns / 1e9,
                             replay->functions[f].memory_bytes);
    status = pool_run(&pool);
    faasi_free(replay->allocator, pool.busy, busy_size);
    faasi_free(replay->allocator, pool.next, pool.room * sizeof *pool.next);
    result->invocations = replay->call_count;
    result->first_starts = replay->first_starts;
    result->events = replay->event_count;
    result->idle_gb_hours = pool.idle_byte_ns / 0x1p30 / 3600e9;
    result->cpu_ns = cpu_now() - started;
    return status;
}

/* Counts what the policy takes, on its way to the replay's allocator. */
struct counted {
    const faas_allocator *to;
    uint64_t bytes;
};

static void *counted_alloc(size_t size, void *user)
{
    struct counted *counted = user;
    void *memory = counted->to->alloc(size, counted->to->user);

    counted->bytes += memory == NULL ? 0 : size;
    return memory;
}

static void counted_free(void *memory, size_t size, void *user)
{
    struct counted *counted = user;

    counted->bytes -= size;
    counted->to->free(memory, size, counted->to->user);
}

void faasi_replay_copy_out(void *out, const void *result, size_t size)
{
    size_t known;

    memcpy(&known, out, sizeof known); // `size` is the first field
    memcpy(out, result, known < size ? known : size);
    memcpy(out, &known, sizeof known);
}

faas_status faas_replay_run(const faas_replay *replay, const faas_replay_options *given,
                            faas_replay_result *out)
{
    struct counted counted = {.to = replay->allocator};
    faas_allocator allocator = {counted_alloc, counted_free, &counted};
    faas_replay_options options = {.size = sizeof options};
    faas_replay_result result = {.size = sizeof result};
    struct faasi_policy_options how = {.allocator = &allocator};
    struct faasi_policy *policy;
    faas_status status;

    status = faasi_options_import(&options, sizeof options, given, "replay options");
    if (status != FAAS_OK)
        return status;
    how.ops = faasi_policy_find(options.policy == NULL ? "idx" : options.policy);
    how.seed = options.seed;
    how.idle_ns = options.idle_ns == 0 ? 600000000000 : options.idle_ns;
    if (how.ops == NULL)
        return faasi_fail(FAAS_EINVAL, "policy: there is none named %s", options.policy);
    if (options.objective != FAAS_REPLAY_INIT && options.objective != FAAS_REPLAY_COUNT)
        return faasi_fail(FAAS_EINVAL, "objective: %d is none", (int)options.objective);
    if (options.memory_bytes < replay->bytes_max)
        return faasi_fail(FAAS_EINVAL,
                          "memory_bytes: %llu do not hold the largest instance, of %llu",
                          (unsigned long long)options.memory_bytes,
                          (unsigned long long)replay->bytes_max);
    status = faasi_policy_open(&policy, &how);
    if (status != FAAS_OK)
        return status;
    status = faasi_replay_run(replay, policy, &options, &result);
    result.history_bytes = counted.bytes;
    faasi_policy_close(policy);
    if (status != FAAS_OK)
        return status;
    faasi_replay_copy_out(out, &result, sizeof result);
    return FAAS_OK;
}

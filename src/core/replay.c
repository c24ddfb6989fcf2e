/* SPDX-License-Identifier: MIT */
/* replay.c - recorded traffic through the policies, and bounds on what they could do. */
#include "replay.h"

#include "mem.h"

#include <math.h>
#include <stdlib.h>
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
static faas_status line_up(faas_replay *replay, const faas_trace *trace,
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

static faas_status trace_check(const faas_trace *trace)
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

faas_status faas_replay_open(const faas_trace *given, const faas_allocator *allocator,
                             faas_replay **out)
{
    faas_trace trace = {.size = sizeof trace};
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

/* Gives a caller as much of a result as it knows of. */
static void copy_out(void *out, const void *result, size_t size)
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
    copy_out(out, &result, sizeof result);
    return FAAS_OK;
}

/* ---- bounds ----
 *
 * A gap is the time between two uses of a slot. To keep an instance over it saves a cold
 * start and takes its memory for so long; a schedule is a choice of gaps that fits what
 * busy instances leave of the budget at every moment. */

#define BIN_SECONDS 10.0

enum { STEPS_MAX = 150, STEPS_WITHOUT_GAIN = 8, CONSTANT_PRICES = 321 };

struct gap {
    double from, to; /* in seconds since the first event */
    uint32_t function;
    uint32_t begins, ends; /* events */
};

struct bounds {
    const faas_replay *replay;
    double budget;       /* in MB, as all memory here */
    double *cost, *size; /* of each function */
    struct gap *gaps;
    size_t gap_count, gap_room;
    size_t bin_count;
    double *capacity; /* of each bin: MB times seconds that busy instances leave */
    double *price;    /* of each bin: per MB and second */
    double *best_price;
    double *before; /* what a MB costs up to the start of the bin */
    double *demand;
    double *rate;     /* scratch of bins_add(), zero between */
    uint32_t *sorted; /* gaps, the best ratio first */
    double total;     /* cost of all gaps */
    double first;     /* cost of the first start in each slot */
    uint64_t first_starts;
};

static double seconds_at(const struct bounds *b, size_t event)
{
    return (double)(b->replay->events[event].at - b->replay->events[0].at) / 1e9;
}

static size_t bin_of(const struct bounds *b, double at)
{
    size_t bin = (size_t)(at / BIN_SECONDS);

    return bin < b->bin_count ? bin : b->bin_count - 1;
}

/* Finds the gaps: `left` has the last end in each slot, or UINT32_MAX. */
static void bounds_gaps(struct bounds *b, const size_t *first_slot, uint32_t *left)
{
    const struct faasi_replay_event *events = b->replay->events;

    for (size_t i = 0; i < b->replay->event_count; i++) {
        uint32_t f = events[i].function;
        size_t slot = first_slot[f] + events[i].level - 1;

        if (events[i].ends) {
            left[slot] = (uint32_t)i;
            continue;
        }
        if (left[slot] == UINT32_MAX) {
            b->first += b->cost[f];
            b->first_starts++;
            continue;
        }
        b->gaps[b->gap_count++] = (struct gap){.from = seconds_at(b, left[slot]),
                                               .to = seconds_at(b, i),
                                               .function = f,
                                               .begins = left[slot],
                                               .ends = (uint32_t)i};
        b->total += b->cost[f];
    }
}

/* Adds `size` over a time to the bins; whole ones get it when they are settled. */
static void bins_add(const struct bounds *b, double *bins, double from, double to,
                     double size)
{
    size_t first = bin_of(b, from), last = bin_of(b, to);

    if (first == last) {
        bins[first] += size * (to - from);
        return;
    }
    bins[first] += size * ((double)(first + 1) * BIN_SECONDS - from);
    bins[last] += size * (to - (double)last * BIN_SECONDS);
    b->rate[first + 1] += size;
    b->rate[last] -= size;
}

static void bins_settle(const struct bounds *b, double *bins)
{
    double size = 0;

    for (size_t i = 0; i < b->bin_count; i++) {
        size += b->rate[i];
        bins[i] += size * BIN_SECONDS;
        b->rate[i] = 0;
    }
}

static void bounds_capacity(struct bounds *b)
{
    const faas_replay *replay = b->replay;
    double busy = 0;

    for (size_t i = 0; i + 1 < replay->event_count; i++) {
        double size = b->size[replay->events[i].function];

        busy += replay->events[i].ends ? -size : size;
        if (busy < b->budget)
            bins_add(b, b->capacity, seconds_at(b, i), seconds_at(b, i + 1),
                     b->budget - busy);
    }
    bins_settle(b, b->capacity);
}

static double price_up_to(const struct bounds *b, double at)
{
    size_t bin = bin_of(b, at);

    return b->before[bin] + b->price[bin] * (at - (double)bin * BIN_SECONDS);
}

/* The prices up to each bin. */
static void bounds_sum_prices(struct bounds *b)
{
    double sum = 0;

    for (size_t i = 0; i < b->bin_count; i++) {
        b->before[i] = sum;
        sum += b->price[i] * BIN_SECONDS;
    }
}

/* What is saved at most, by the prices; and what is asked for at them. */
static double bounds_dual(struct bounds *b)
{
    double saved = 0;

    bounds_sum_prices(b);
    for (size_t i = 0; i < b->bin_count; i++) {
        saved += b->price[i] * b->capacity[i];
        b->demand[i] = 0;
    }
    for (size_t i = 0; i < b->gap_count; i++) {
        const struct gap *gap = &b->gaps[i];
        double size = b->size[gap->function];
        double gain = b->cost[gap->function] -
                      size * (price_up_to(b, gap->to) - price_up_to(b, gap->from));

        if (gain <= 0)
            continue;
        saved += gain;
        bins_add(b, b->demand, gap->from, gap->to, size);
    }
    bins_settle(b, b->demand);
    return saved;
}

static int ratio_order(const void *a, const void *b)
{
    double one = *(const double *)a, other = *(const double *)b;

    return one > other ? -1 : one < other;
}

/* The best constant price, and what is saved at most by it. One price after the other
 * would look at all gaps each time; sorted by ratio, each takes up where the last
 * ended. */
static double bounds_constant(struct bounds *b, double *best_price)
{
    double capacity = 0, best = b->total, gain = 0, load = 0;
    size_t kept = 0;

    *best_price = 0;
    for (size_t i = 0; i < b->bin_count; i++)
        capacity += b->capacity[i];
    /* From high prices to low ones more and more gaps pay. */
    for (unsigned i = CONSTANT_PRICES; i-- > 0;) {
        double price = pow(10, -14 + 0.05 * (double)i), saved;

        while (kept < b->gap_count) {
            const struct gap *gap = &b->gaps[b->sorted[kept]];
            double more = b->size[gap->function] * (gap->to - gap->from);

            if (b->cost[gap->function] <= price * more)
                break;
            gain += b->cost[gap->function];
            load += more;
            kept++;
        }
        saved = price * capacity + gain - price * load;
        if (saved < best) {
            best = saved;
            *best_price = price;
        }
    }
    return best;
}

/* Lets each bin's price follow its demand; any price gives a bound, the best is kept. */
static double bounds_descend(struct bounds *b, double best, double start)
{
    double step = 0.5;
    unsigned without_gain = 0;
    size_t bytes = b->bin_count * sizeof *b->price;

    for (size_t i = 0; i < b->bin_count; i++)
        b->price[i] = start;
    memcpy(b->best_price, b->price, bytes);
    (void)bounds_dual(b);
    for (unsigned i = 0; i < STEPS_MAX && step >= 0.005; i++) {
        double saved;

        for (size_t bin = 0; bin < b->bin_count; bin++) {
            double over =
                3 * (b->demand[bin] - b->capacity[bin]) / (b->budget * BIN_SECONDS);
            double price = b->price[bin];

            over = over > 1 ? 1 : over < -1 ? -1 : over;
            price = price < 1e-3 * start ? 1e-3 * start : price;
            b->price[bin] = price * exp(step * over);
        }
        saved = bounds_dual(b);
        if (saved < best) {
            best = saved;
            memcpy(b->best_price, b->price, bytes);
            without_gain = 0;
        } else if (++without_gain > STEPS_WITHOUT_GAIN) {
            step *= 0.7;
            memcpy(b->price, b->best_price, bytes);
            (void)bounds_dual(b);
            without_gain = 0;
        }
    }
    memcpy(b->price, b->best_price, bytes);
    bounds_sum_prices(b);
    return best;
}

/* ---- a schedule that knows the future ---- */

/* Free memory between an event and the next, in pages of 4 KB: a tree of minima, what is
 * added to a whole subtree standing at its root. */
struct free_tree {
    int32_t *least, *added;
    size_t leaves; /* a power of two, two more than there are places */
};

enum { PAGE_SHIFT = 12 };

static int32_t pages_of(const faas_replay *replay, uint32_t function)
{
    uint64_t bytes = replay->functions[function].memory_bytes;

    return (int32_t)((bytes + (1 << PAGE_SHIFT) - 1) >> PAGE_SHIFT);
}

static void tree_build(struct free_tree *tree)
{
    for (size_t i = tree->leaves - 1; i > 0; i--)
        tree->least[i] = tree->least[2 * i] < tree->least[2 * i + 1]
                             ? tree->least[2 * i]
                             : tree->least[2 * i + 1];
}

/* The least of the places `from` to `to` - 1. */
static int32_t tree_least(const struct free_tree *tree, size_t from, size_t to)
{
    size_t l = from + tree->leaves, r = to + 1 + tree->leaves;
    int64_t left = INT32_MAX, right = INT32_MAX;

    for (; (l ^ r) != 1; l >>= 1, r >>= 1) {
        if ((l & 1) == 0 && tree->least[l ^ 1] < left)
            left = tree->least[l ^ 1];
        if ((r & 1) == 1 && tree->least[r ^ 1] < right)
            right = tree->least[r ^ 1];
        left += tree->added[l >> 1];
        right += tree->added[r >> 1];
    }
    left = left < right ? left : right;
    while ((l >>= 1) >= 1)
        left += tree->added[l];
    return left > INT32_MAX ? INT32_MAX : (int32_t)left;
}

static void tree_renew(struct free_tree *tree, size_t i)
{
    int32_t a = tree->least[2 * i], b = tree->least[2 * i + 1];

    tree->least[i] = (a < b ? a : b) + tree->added[i];
}

static void tree_add(struct free_tree *tree, size_t from, size_t to, int32_t more)
{
    size_t l = from + tree->leaves, r = to + 1 + tree->leaves;

    for (; (l ^ r) != 1; l >>= 1, r >>= 1) {
        if ((l & 1) == 0) {
            tree->least[l ^ 1] += more;
            tree->added[l ^ 1] += more;
        }
        if ((r & 1) == 1) {
            tree->least[r ^ 1] += more;
            tree->added[r ^ 1] += more;
        }
        tree_renew(tree, l >> 1);
        tree_renew(tree, r >> 1);
    }
    while ((l >>= 1) >= 1)
        tree_renew(tree, l);
}

/* Takes gaps in the order given while they fit; returns what they save. */
static double schedule(struct bounds *b, struct free_tree *tree, uint64_t *kept)
{
    const faas_replay *replay = b->replay;
    int64_t budget = (int64_t)(b->budget * 256), busy = 0;
    double saved = 0;

    memset(tree->added, 0, 2 * tree->leaves * sizeof *tree->added);
    for (size_t i = 0; i < tree->leaves; i++)
        tree->least[tree->leaves + i] = INT32_MAX / 2;
    for (size_t i = 0; i < replay->event_count; i++) {
        int64_t size = pages_of(replay, replay->events[i].function);
        int64_t room;

        busy += replay->events[i].ends ? -size : size;
        room = budget > busy ? budget - busy : 0;
        tree->least[tree->leaves + 1 + i] =
            room > INT32_MAX / 2 ? INT32_MAX / 2 : (int32_t)room;
    }
    tree_build(tree);
    *kept = 0;
    for (size_t i = 0; i < b->gap_count; i++) {
        const struct gap *gap = &b->gaps[b->sorted[i]];
        int32_t size = pages_of(replay, gap->function);

        if (tree_least(tree, gap->begins, gap->ends) < size)
            continue;
        tree_add(tree, gap->begins, gap->ends, -size);
        saved += b->cost[gap->function];
        ++*kept;
    }
    return saved;
}

/* What a second of a gap costs at one price for all times, or at the best prices. */
static double gap_ratio(const struct bounds *b, const struct gap *gap, bool priced)
{
    double length = priced ? price_up_to(b, gap->to) - price_up_to(b, gap->from)
                           : gap->to - gap->from;

    return b->cost[gap->function] / (b->size[gap->function] * length + 1e-30);
}

struct ratio {
    double ratio;
    uint32_t gap;
};

static faas_status bounds_sort(struct bounds *b, bool priced)
{
    const faas_allocator *allocator = b->replay->allocator;
    size_t bytes = b->gap_count * sizeof(struct ratio);
    struct ratio *ratios = faasi_alloc(allocator, bytes);

    if (ratios == NULL)
        return faasi_fail(FAAS_ENOMEM, "replay: no %zu bytes", bytes);
    for (size_t i = 0; i < b->gap_count; i++)
        ratios[i] = (struct ratio){gap_ratio(b, &b->gaps[i], priced), (uint32_t)i};
    qsort(ratios, b->gap_count, sizeof *ratios, ratio_order);
    for (size_t i = 0; i < b->gap_count; i++)
        b->sorted[i] = ratios[i].gap;
    faasi_free(allocator, ratios, bytes);
    return FAAS_OK;
}

/* The better of two schedules: gaps in the order of what they save per memory and time,
 * and per memory and price. Sorting and trying take longest: of many gaps the second
 * alone, which is the better one nearly always. */
static faas_status bounds_schedule(struct bounds *b, struct free_tree *tree,
                                   faas_replay_bound *bound)
{
    enum { BOTH_MAX = 1500000 };

    bound->feasible = b->first + b->total;
    for (unsigned priced = b->gap_count > BOTH_MAX; priced < 2; priced++) {
        faas_status status = bounds_sort(b, priced != 0);
        uint64_t kept;
        double saved;

        if (status != FAAS_OK)
            return status;
        saved = schedule(b, tree, &kept);
        if (b->first + b->total - saved <= bound->feasible) {
            bound->feasible = b->first + b->total - saved;
            bound->cold_starts = b->first_starts + b->gap_count - kept;
        }
    }
    return FAAS_OK;
}

static faas_status bounds_find(struct bounds *b, struct free_tree *tree,
                               faas_replay_bound *bound)
{
    faas_status status = bounds_sort(b, false);
    double saved, best, price;

    if (status != FAAS_OK)
        return status;
    bounds_capacity(b);
    saved = bounds_constant(b, &price);
    best = price > 0 ? bounds_descend(b, saved, price) : saved;
    bound->lower_simple = b->first + b->total - saved;
    bound->lower = b->first + b->total - best;
    return bounds_schedule(b, tree, bound);
}

/* What bounds need, in one list: taken and given back together. */
struct piece {
    void *where; /* the address of a pointer */
    size_t bytes;
};

static bool pieces_take(const faas_allocator *allocator, const struct piece *pieces,
                        size_t count)
{
    bool all = true;

    for (size_t i = 0; i < count; i++) {
        void *memory = faasi_alloc_zeroed(allocator, pieces[i].bytes);

        memcpy(pieces[i].where, &memory, sizeof memory);
        all = all && memory != NULL;
    }
    return all;
}

static void pieces_give(const faas_allocator *allocator, const struct piece *pieces,
                        size_t count)
{
    for (size_t i = 0; i < count; i++) {
        void *memory;

        memcpy(&memory, pieces[i].where, sizeof memory);
        faasi_free(allocator, memory, pieces[i].bytes);
    }
}

faas_status faas_replay_limits(const faas_replay *replay, faas_replay_objective objective,
                               uint64_t memory_bytes, faas_replay_bound *out)
{
    const struct faasi_replay_event *last = &replay->events[replay->event_count - 1];
    faas_replay_bound bound = {.size = sizeof bound};
    struct bounds b = {.replay = replay, .budget = (double)memory_bytes / 0x1p20};
    struct free_tree tree = {.leaves = 4};
    size_t *first_slot = NULL, bins, slots = (size_t)replay->first_starts;
    uint32_t *left = NULL;
    faas_status status = FAAS_OK;

    if (memory_bytes < replay->bytes_max || memory_bytes > (uint64_t)1 << 42)
        return faasi_fail(FAAS_EINVAL,
                          "memory_bytes: %llu do not hold the largest instance, of %llu, "
                          "or are over 4 TB",
                          (unsigned long long)memory_bytes,
                          (unsigned long long)replay->bytes_max);
    b.gap_room = (size_t)replay->call_count;
    bins = (size_t)((double)(last->at - replay->events[0].at) / 1e9 / BIN_SECONDS) + 1;
    b.bin_count = bins;
    while (tree.leaves < replay->event_count + 2)
        tree.leaves *= 2;
    const struct piece pieces[] = {
        {&first_slot, (replay->function_count + 1u) * sizeof *first_slot},
        {&left, slots * sizeof *left},
        {&b.cost, replay->function_count * sizeof *b.cost},
        {&b.size, replay->function_count * sizeof *b.size},
        {&b.gaps, b.gap_room * sizeof *b.gaps},
        {&b.sorted, b.gap_room * sizeof *b.sorted},
        {&b.capacity, bins * sizeof *b.capacity},
        {&b.price, bins * sizeof *b.price},
        {&b.best_price, bins * sizeof *b.best_price},
        {&b.before, bins * sizeof *b.before},
        {&b.demand, bins * sizeof *b.demand},
        {&b.rate, (bins + 1) * sizeof *b.rate},
        {&tree.least, 2 * tree.leaves * sizeof *tree.least},
        {&tree.added, 2 * tree.leaves * sizeof *tree.added}};

    if (!pieces_take(replay->allocator, pieces, FAASI_COUNT(pieces)))
        status = faasi_fail(FAAS_ENOMEM, "replay: no memory for bounds");
    if (status == FAAS_OK) {
        /* Each function's slots stand together: their number is its highest level. */
        for (size_t i = 0; i < replay->event_count; i++) {
            size_t *most = &first_slot[replay->events[i].function + 1];

            if (replay->events[i].level > *most)
                *most = replay->events[i].level;
        }
        for (uint32_t f = 0; f < replay->function_count; f++) {
            first_slot[f + 1] += first_slot[f];
            b.size[f] = (double)replay->functions[f].memory_bytes / 0x1p20;
            b.cost[f] = objective == FAAS_REPLAY_COUNT
                            ? 1
                            : (double)replay->functions[f].init_ns / 1e9;
        }
        memset(left, 0xff, slots * sizeof *left);
        bounds_gaps(&b, first_slot, left);
        status = bounds_find(&b, &tree, &bound);
    }
    pieces_give(replay->allocator, pieces, FAASI_COUNT(pieces));
    if (status == FAAS_OK)
        copy_out(out, &bound, sizeof bound);
    return status;
}

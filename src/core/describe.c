/* SPDX-License-Identifier: MIT */
/* describe.c - what is registered and what it did: structs, JSON, Prometheus.
 *
 * Layer: 4 runtime. */
#include "desk.h"
#include "functions.h"
#include "mem.h"
#include "text.h"

static faas_status gone(faas_fn fn)
{
    return faasi_fail(FAAS_ENOENT, "handle %u.%u: its function is gone", fn.index,
                      fn.generation);
}

/* Fills in what a function did. Takes the registry's lock, so that it stays. */
static faas_status stats_take(faas_runtime *rt, faas_fn fn, faas_function_stats *stats,
                              faas_histogram *latency)
{
    struct faasi_entry *entry;
    faas_status status = FAAS_OK;

    faasi_lock(&rt->registry.lock);
    entry = faasi_registry_get(&rt->registry, fn);
    if (entry == NULL) {
        status = gone(fn);
    } else if (entry->kind == FAAS_KIND_ALIAS) {
        status = faasi_fail(FAAS_EPERM, "%s is an alias; its versions have numbers",
                            entry->name);
    } else {
        faasi_lock(&rt->gate.lock);
        faasi_gate_stats(&rt->gate, (struct faasi_function *)entry, stats, latency);
        faasi_desk_stats(((struct faasi_function *)entry)->desk, stats);
        faasi_unlock(&rt->gate.lock);
    }
    faasi_unlock(&rt->registry.lock);
    return status;
}

/* Copies as much of a struct as the caller knows. */
static faas_status struct_export(void *dst, const void *src, size_t src_size,
                                 const char *what)
{
    size_t size;

    memcpy(&size, dst, sizeof size);
    if (size < sizeof size || size > 4096)
        return faasi_fail(FAAS_EINVAL, "%s.size: %zu was not set", what, size);
    memset((char *)dst + sizeof size, 0, size - sizeof size);
    memcpy((char *)dst + sizeof size, (const char *)src + sizeof size,
           (size < src_size ? size : src_size) - sizeof size);
    return FAAS_OK;
}

faas_status faas_function_stats_get(faas_runtime *rt, faas_fn fn,
                                    faas_function_stats *stats, faas_histogram *latency)
{
    faas_function_stats all = {.size = sizeof all};
    faas_status status = faasi_visit(rt);

    if (status != FAAS_OK)
        return status;
    status = stats_take(rt, fn, &all, latency);
    faasi_unvisit(rt);
    return status == FAAS_OK ? struct_export(stats, &all, sizeof all, "stats") : status;
}

/* Holds: the registry's lock. */
static void info_fill(faas_runtime *rt, const struct faasi_entry *entry,
                      faas_function_info *info)
{
    const struct faasi_function *f = (const struct faasi_function *)entry;
    size_t size =
        entry->name_size < sizeof info->name ? entry->name_size : sizeof info->name - 1;

    info->fn = entry->fn;
    info->kind = entry->kind;
    info->version = entry->version;
    memcpy(info->name, entry->name, size);
    if (entry->kind == FAAS_KIND_ALIAS)
        return;
    if (f->code->symbol != NULL)
        (void)faasi_sig_print(&f->code->symbol->sig, info->signature);
    faasi_lock(&rt->gate.lock);
    faasi_function_policy(f, &info->policy);
    faasi_unlock(&rt->gate.lock);
}

faas_status faas_function_describe(faas_runtime *rt, faas_fn fn, faas_function_info *info)
{
    faas_function_info all = {.size = sizeof all};
    const struct faasi_entry *entry;
    faas_status status = faasi_visit(rt);

    if (status != FAAS_OK)
        return status;
    faasi_lock(&rt->registry.lock);
    entry = faasi_registry_get(&rt->registry, fn);
    if (entry == NULL)
        status = gone(fn);
    else
        info_fill(rt, entry, &all);
    faasi_unlock(&rt->registry.lock);
    faasi_unvisit(rt);
    return status == FAAS_OK ? struct_export(info, &all, sizeof all, "info") : status;
}

faas_status faas_function_next(faas_runtime *rt, uint32_t *at, faas_fn *fn)
{
    uint32_t count;

    *fn = (faas_fn){0, 0, 0};
    faasi_read_enter();
    count = atomic_load_explicit(&rt->registry.slot_count, memory_order_acquire);
    while (*at < count && fn->generation == 0) {
        const struct faasi_entry *entry = faasi_registry_at(&rt->registry, (*at)++);

        if (entry != NULL)
            *fn = entry->fn;
    }
    faasi_read_leave();
    return fn->generation == 0 ? FAAS_ENOENT : FAAS_OK;
}

/* ---- JSON ---- */

static void json_policy(struct faasi_text *text, const faas_function *p)
{
    const struct {
        const char *name;
        uint64_t value;
    } fields[] = {
        {"wait_ns", p->wait_ns},
        {"timeout_ns", p->timeout_ns},
        {"init_timeout_ns", p->init_timeout_ns},
        {"idle_ns", p->idle_ns},
        {"age_ns", p->age_ns},
        {"invocation_max", p->invocation_max},
        {"memory_bytes", p->memory_bytes},
        {"heap_bytes", p->heap_bytes},
        {"instance_bytes", p->instance_bytes},
        {"budget_bytes", p->budget_bytes},
        {"batch_max", p->batch_max},
        {"batch_delay_ns", p->batch_delay_ns},
        {"cache_bytes", p->cache_bytes},
        {"cache_ns", p->cache_ns},
    };

    faasi_text_json_key(text, "policy");
    faasi_text_json_open(text, '{');
    faasi_text_json_key(text, "concurrency");
    if (p->concurrency == 0 || p->concurrency == FAAS_UNLIMITED)
        faasi_text_json_null(text);
    else
        faasi_text_json_uint(text, p->concurrency == FAAS_OFF ? 0 : p->concurrency);
    faasi_text_json_key(text, "instance_concurrency");
    faasi_text_json_uint(text, p->instance_concurrency);
    faasi_text_json_key(text, "provisioned");
    faasi_text_json_uint(text, p->provisioned);
    faasi_text_json_key(text, "instance_min");
    faasi_text_json_uint(text, p->instance_min);
    faasi_text_json_key(text, "instance_max");
    if (p->instance_max == FAAS_UNLIMITED)
        faasi_text_json_null(text);
    else
        faasi_text_json_uint(text, p->instance_max);
    faasi_text_json_key(text, "on_full");
    faasi_text_json_str(text, p->on_full == FAAS_FULL_WAIT ? "wait" : "refuse");
    for (size_t i = 0; i < FAASI_COUNT(fields); i++) {
        faasi_text_json_key(text, fields[i].name);
        if (fields[i].value == UINT64_MAX) // FAAS_FOREVER: no limit
            faasi_text_json_null(text);
        else
            faasi_text_json_uint(text, fields[i].value);
    }
    faasi_text_json_key(text, "single_flight");
    faasi_text_json_bool(text, (p->cache_mode & FAAS_CACHE_SINGLE_FLIGHT) != 0);
    faasi_text_json_key(text, "cache_failures");
    faasi_text_json_bool(text, (p->cache_mode & FAAS_CACHE_FAILURES) != 0);
    faasi_text_json_close(text, '}');
}

/* How many batches there were of each class of sizes. */
static void json_batches(struct faasi_text *text, const faas_function_stats *s)
{
    faasi_text_json_key(text, "batch_sizes");
    faasi_text_json_open(text, '[');
    for (int i = 0; i < FAAS_BATCH_SIZES; i++)
        faasi_text_json_uint(text, s->batch_sizes[i]);
    faasi_text_json_close(text, ']');
}

static void json_stats(struct faasi_text *text, const faas_function_stats *s,
                       const faas_histogram *latency)
{
    const struct {
        const char *name;
        uint64_t value;
    } fields[] = {
        {"invocations", s->invocations},
        {"errors", s->errors},
        {"timeouts", s->timeouts},
        {"throttles", s->throttles},
        {"sheds", s->sheds},
        {"limit", s->limit},
        {"waiting", s->waiting},
        {"cold_starts", s->cold_starts},
        {"prewarms", s->prewarms},
        {"init_errors", s->init_errors},
        {"evictions", s->evictions},
        {"run_ns", s->run_ns},
        {"wait_ns", s->wait_ns},
        {"init_ns", s->init_ns},
        {"peak_bytes_max", s->peak_bytes_max},
        {"concurrency", s->concurrency},
        {"concurrency_peak", s->concurrency_peak},
        {"instances", s->instances},
        {"instances_idle", s->instances_idle},
        {"instance_bytes", s->instance_bytes},
        {"instance_idle_bytes", s->instance_idle_bytes},
        {"batches", s->batches},
        {"batched", s->batched},
        {"batch_waiting", s->batch_waiting},
        {"cache_hits", s->cache_hits},
        {"cache_misses", s->cache_misses},
        {"cache_shared", s->cache_shared},
        {"cache_bytes", s->cache_bytes},
        {"cache_count", s->cache_count},
        {"p50_ns", faas_histogram_quantile(latency, 0.5)},
        {"p99_ns", faas_histogram_quantile(latency, 0.99)},
    };

    faasi_text_json_key(text, "stats");
    faasi_text_json_open(text, '{');
    for (size_t i = 0; i < FAASI_COUNT(fields); i++) {
        faasi_text_json_key(text, fields[i].name);
        faasi_text_json_uint(text, fields[i].value);
    }
    faasi_text_json_key(text, "billed_gb_s");
    faasi_text_json_double(text, s->billed_gb_s);
    faasi_text_json_key(text, "used_byte_s");
    faasi_text_json_double(text, s->used_byte_s);
    json_batches(text, s);
    faasi_text_json_close(text, '}');
}

/* What is written of one function, taken at one moment. Large, so not on a handler's
 * stack. */
struct snapshot {
    faas_function_info info;
    faas_function_stats stats;
    faas_histogram latency;
};

/* The next function from `*at` on; false when there is none. */
static bool snapshot_next(faas_runtime *rt, uint32_t *at, struct snapshot *snapshot)
{
    faas_fn fn;

    while (faas_function_next(rt, at, &fn) == FAAS_OK) {
        snapshot->info.size = sizeof snapshot->info;
        snapshot->stats.size = sizeof snapshot->stats;
        memset(&snapshot->latency, 0, sizeof snapshot->latency);
        if (faas_function_describe(rt, fn, &snapshot->info) != FAAS_OK)
            continue; // it went between
        if (snapshot->info.kind == FAAS_KIND_ALIAS ||
            faas_function_stats_get(rt, fn, &snapshot->stats, &snapshot->latency) ==
                FAAS_OK)
            return true;
    }
    return false;
}

static const char *kind_name(faas_kind kind)
{
    return kind == FAAS_KIND_ALIAS     ? "alias"
           : kind == FAAS_KIND_VERSION ? "version"
                                       : "function";
}

/* The shares of an alias. They may have changed since; it may be gone. */
static void json_shares(struct faasi_text *text, faas_runtime *rt, faas_fn fn)
{
    struct faasi_entry *entry;

    faasi_text_json_key(text, "shares");
    faasi_text_json_open(text, '[');
    faasi_lock(&rt->registry.lock);
    entry = faasi_registry_get(&rt->registry, fn);
    if (entry != NULL && entry->kind == FAAS_KIND_ALIAS) {
        const struct faasi_parts *parts = atomic_load_explicit(
            &((struct faasi_alias *)entry)->parts, memory_order_acquire);

        for (size_t i = 0; i < parts->count; i++) {
            faasi_text_json_open(text, '{');
            faasi_text_json_key(text, "version");
            faasi_text_json_uint(text, parts->at[i].version);
            faasi_text_json_key(text, "weight");
            faasi_text_json_uint(text, parts->at[i].weight);
            faasi_text_json_close(text, '}');
        }
    }
    faasi_unlock(&rt->registry.lock);
    faasi_text_json_close(text, ']');
}

static void json_function(struct faasi_text *text, faas_runtime *rt,
                          const struct snapshot *snapshot)
{
    const faas_function_info *info = &snapshot->info;

    faasi_text_json_open(text, '{');
    faasi_text_json_key(text, "name");
    faasi_text_json_str(text, info->name);
    faasi_text_json_key(text, "kind");
    faasi_text_json_str(text, kind_name(info->kind));
    if (info->kind == FAAS_KIND_VERSION) {
        faasi_text_json_key(text, "version");
        faasi_text_json_uint(text, info->version);
    }
    if (info->signature[0] != '\0') {
        faasi_text_json_key(text, "signature");
        faasi_text_json_str(text, info->signature);
    }
    if (info->kind == FAAS_KIND_ALIAS) {
        json_shares(text, rt, info->fn);
    } else {
        json_policy(text, &info->policy);
        json_stats(text, &snapshot->stats, &snapshot->latency);
    }
    faasi_text_json_close(text, '}');
}

/* The numbers of the runtime itself. */
struct totals {
    faas_keepalive_stats keepalive;
    uint32_t concurrency_max;
};

/* Holds: the gate's lock. */
static void keepalive_take(struct faasi_gate *gate, faas_keepalive_stats *stats)
{
    stats->policy = faasi_warm_name(&gate->warm);
    stats->budget_bytes = gate->budget_bytes;
    stats->held_bytes = faasi_read(&gate->held_bytes);
    stats->evictions = gate->warm.evictions;
    stats->refused = gate->warm.policy->refused;
    stats->history_bytes = gate->warm.history_bytes;
    for (const struct faasi_instance *i = gate->instances; i != NULL; i = i->next) {
        stats->instances++;
        if (faasi_instance_idle_since(i) == UINT64_MAX)
            continue;
        stats->instances_idle++;
        stats->idle_bytes += faasi_instance_bytes(i);
    }
}

faas_status faas_keepalive_stats_get(faas_runtime *rt, faas_keepalive_stats *stats)
{
    faas_keepalive_stats all = {.size = sizeof all};
    faas_status status = faasi_visit(rt);

    if (status != FAAS_OK)
        return status;
    faasi_lock(&rt->gate.lock);
    keepalive_take(&rt->gate, &all);
    faasi_unlock(&rt->gate.lock);
    faasi_unvisit(rt);
    return struct_export(stats, &all, sizeof all, "stats");
}

static struct totals totals_take(faas_runtime *rt)
{
    struct totals totals = {.concurrency_max = 0};

    faasi_lock(&rt->gate.lock);
    keepalive_take(&rt->gate, &totals.keepalive);
    totals.concurrency_max =
        atomic_load_explicit(&rt->gate.permits.cap, memory_order_relaxed);
    faasi_unlock(&rt->gate.lock);
    return totals;
}

static void json_keepalive(struct faasi_text *text, const faas_keepalive_stats *s)
{
    const struct {
        const char *name;
        uint64_t value;
    } fields[] = {
        {"idle_bytes", s->idle_bytes},
        {"instances", s->instances},
        {"instances_idle", s->instances_idle},
        {"evictions", s->evictions},
        {"refused", s->refused},
        {"history_bytes", s->history_bytes},
    };

    faasi_text_json_open(text, '{');
    faasi_text_json_key(text, "policy");
    faasi_text_json_str(text, s->policy);
    for (size_t i = 0; i < FAASI_COUNT(fields); i++) {
        faasi_text_json_key(text, fields[i].name);
        faasi_text_json_uint(text, fields[i].value);
    }
    faasi_text_json_close(text, '}');
}

static void json_runtime(struct faasi_text *text, faas_runtime *rt,
                         struct snapshot *snapshot)
{
    struct totals totals = totals_take(rt);
    uint32_t at = 0;

    faasi_text_json_open(text, '{');
    faasi_text_json_key(text, "now_ns");
    faasi_text_json_uint(text, faas_runtime_now(rt));
    faasi_text_json_key(text, "concurrency_max");
    faasi_text_json_uint(text, totals.concurrency_max);
    faasi_text_json_key(text, "memory_bytes");
    faasi_text_json_uint(text, totals.keepalive.budget_bytes);
    faasi_text_json_key(text, "held_bytes");
    faasi_text_json_uint(text, totals.keepalive.held_bytes);
    faasi_text_json_key(text, "keepalive");
    json_keepalive(text, &totals.keepalive);
    faasi_text_json_key(text, "functions");
    faasi_text_json_open(text, '[');
    while (snapshot_next(rt, &at, snapshot))
        json_function(text, rt, snapshot);
    faasi_text_json_close(text, ']');
    faasi_text_json_close(text, '}');
}

/* ---- Prometheus ---- */

static void label_value(struct faasi_text *text, const char *value)
{
    for (; *value != '\0'; value++) {
        if (*value == '\\' || *value == '"')
            faasi_text_char(text, '\\');
        if (*value == '\n')
            faasi_text_str(text, "\\n");
        else
            faasi_text_char(text, *value);
    }
}

static void sample_begin(struct faasi_text *text, const char *metric, const char *suffix,
                         const char *function)
{
    faasi_text_printf(text, "faas_%s%s{function=\"", metric, suffix);
    label_value(text, function);
    faasi_text_char(text, '"');
}

enum field {
    INVOCATIONS,
    ERRORS,
    TIMEOUTS,
    THROTTLES,
    COLD_STARTS,
    INIT_ERRORS,
    EVICTIONS,
    WAIT_SECONDS,
    INIT_SECONDS,
    BILLED,
    USED,
    CONCURRENCY,
    PEAK,
    INSTANCES,
    IDLE,
    BYTES,
    BATCH_WAITING,
    CACHE_HITS,
    CACHE_MISSES,
    CACHE_SHARED,
    CACHE_BYTES,
    CACHE_COUNT,
    FIELDS
};

static const struct {
    const char *name, *type, *help;
} metrics[FIELDS] = {
    [INVOCATIONS] = {"invocations_total", "counter", "Handlers that ran."},
    [ERRORS] = {"errors_total", "counter", "Handlers that returned non-zero."},
    [TIMEOUTS] = {"timeouts_total", "counter", "Handlers that came back late."},
    [THROTTLES] = {"throttles_total", "counter", "Calls refused at a limit."},
    [COLD_STARTS] = {"cold_starts_total", "counter", "Instances that were made."},
    [INIT_ERRORS] = {"init_errors_total", "counter", "Instances that could not be made."},
    [EVICTIONS] = {"evictions_total", "counter", "Instances closed for want of memory."},
    [WAIT_SECONDS] = {"wait_seconds_total", "counter", "Time until admission."},
    [INIT_SECONDS] = {"init_seconds_total", "counter", "Time in init."},
    [BILLED] = {"billed_gigabyte_seconds_total", "counter",
                "Configured memory times run time, each call rounded up to 1 ms."},
    [USED] = {"used_byte_seconds_total", "counter",
              "Heap bytes really used times run time."},
    [CONCURRENCY] = {"concurrency", "gauge", "Invocations running now."},
    [PEAK] = {"concurrency_peak", "gauge", "Most invocations seen at once."},
    [INSTANCES] = {"instances", "gauge", "Instances that exist."},
    [IDLE] = {"instances_idle", "gauge", "Instances in which nothing runs."},
    [BYTES] = {"instance_bytes", "gauge", "Bytes that instances hold."},
    [BATCH_WAITING] = {"batch_waiting", "gauge", "Calls that wait for a batch."},
    [CACHE_HITS] = {"cache_hits_total", "counter", "Calls answered from the cache."},
    [CACHE_MISSES] = {"cache_misses_total", "counter", "Calls not found there."},
    [CACHE_SHARED] = {"cache_shared_total", "counter",
                      "Calls that shared the run of an identical one."},
    [CACHE_BYTES] = {"cache_bytes", "gauge", "Bytes of remembered answers."},
    [CACHE_COUNT] = {"cache_entries", "gauge", "Remembered answers."},
};

static void metric_value(struct faasi_text *text, enum field field,
                         const faas_function_stats *s)
{
    const uint64_t whole[FIELDS] = {
        [INVOCATIONS] = s->invocations,   [ERRORS] = s->errors,
        [TIMEOUTS] = s->timeouts,         [THROTTLES] = s->throttles,
        [COLD_STARTS] = s->cold_starts,   [INIT_ERRORS] = s->init_errors,
        [EVICTIONS] = s->evictions,       [CONCURRENCY] = s->concurrency,
        [PEAK] = s->concurrency_peak,     [INSTANCES] = s->instances,
        [IDLE] = s->instances_idle,       [BYTES] = s->instance_bytes,
        [CACHE_HITS] = s->cache_hits,     [CACHE_MISSES] = s->cache_misses,
        [CACHE_SHARED] = s->cache_shared, [CACHE_BYTES] = s->cache_bytes,
        [CACHE_COUNT] = s->cache_count,   [BATCH_WAITING] = s->batch_waiting,
    };

    switch (field) {
    case WAIT_SECONDS:
        faasi_text_double(text, (double)s->wait_ns / 1e9);
        break;
    case INIT_SECONDS:
        faasi_text_double(text, (double)s->init_ns / 1e9);
        break;
    case BILLED:
        faasi_text_double(text, s->billed_gb_s);
        break;
    case USED:
        faasi_text_double(text, s->used_byte_s);
        break;
    default:
        faasi_text_uint(text, whole[field]);
    }
}

/* Cumulative buckets at powers of ten from 100 ns to 100 s. */
static void latency_samples(struct faasi_text *text, const struct snapshot *snapshot)
{
    const char *name = snapshot->info.name;
    uint64_t seen = 0, bound = 100;
    unsigned bucket = 0;

    for (int power = -7; power <= 2; power++, bound *= 10) {
        for (; bucket < faas_histogram_bucket(bound); bucket++)
            seen += snapshot->latency.count[bucket];
        sample_begin(text, "run_seconds", "_bucket", name);
        faasi_text_printf(text, ",le=\"1e%d\"} ", power);
        faasi_text_uint(text, seen);
        faasi_text_char(text, '\n');
    }
    for (; bucket < FAAS_HISTOGRAM_BUCKETS; bucket++)
        seen += snapshot->latency.count[bucket];
    sample_begin(text, "run_seconds", "_bucket", name);
    faasi_text_str(text, ",le=\"+Inf\"} ");
    faasi_text_uint(text, seen);
    faasi_text_char(text, '\n');
    sample_begin(text, "run_seconds", "_sum", name);
    faasi_text_str(text, "} ");
    faasi_text_double(text, (double)snapshot->stats.run_ns / 1e9);
    faasi_text_char(text, '\n');
    sample_begin(text, "run_seconds", "_count", name);
    faasi_text_str(text, "} ");
    faasi_text_uint(text, seen);
    faasi_text_char(text, '\n');
}

/* Cumulative buckets at powers of two, as they are counted. */
static void batch_samples(struct faasi_text *text, const struct snapshot *snapshot)
{
    const faas_function_stats *s = &snapshot->stats;
    uint64_t seen = 0;

    for (int i = 0; i < FAAS_BATCH_SIZES; i++) {
        seen += s->batch_sizes[i];
        sample_begin(text, "batch_size", "_bucket", snapshot->info.name);
        faasi_text_printf(text, ",le=\"%d\"} ", 1 << i);
        faasi_text_uint(text, seen);
        faasi_text_char(text, '\n');
    }
    sample_begin(text, "batch_size", "_bucket", snapshot->info.name);
    faasi_text_str(text, ",le=\"+Inf\"} ");
    faasi_text_uint(text, seen);
    faasi_text_char(text, '\n');
    sample_begin(text, "batch_size", "_sum", snapshot->info.name);
    faasi_text_str(text, "} ");
    faasi_text_uint(text, s->batched);
    faasi_text_char(text, '\n');
    sample_begin(text, "batch_size", "_count", snapshot->info.name);
    faasi_text_str(text, "} ");
    faasi_text_uint(text, seen);
    faasi_text_char(text, '\n');
}

static void prometheus_head(struct faasi_text *text, const char *name, const char *type,
                            const char *help)
{
    faasi_text_printf(text, "# HELP faas_%s %s\n# TYPE faas_%s %s\n", name, help, name,
                      type);
}

static void prometheus_functions(struct faasi_text *text, faas_runtime *rt,
                                 struct snapshot *snapshot)
{
    /* A family stands together, so the functions are gone through once for each. */
    for (enum field field = 0; field < FIELDS; field++) {
        uint32_t at = 0;

        prometheus_head(text, metrics[field].name, metrics[field].type,
                        metrics[field].help);
        while (snapshot_next(rt, &at, snapshot)) {
            if (snapshot->info.kind == FAAS_KIND_ALIAS)
                continue;
            sample_begin(text, metrics[field].name, "", snapshot->info.name);
            faasi_text_str(text, "} ");
            metric_value(text, field, &snapshot->stats);
            faasi_text_char(text, '\n');
        }
    }
    prometheus_head(text, "run_seconds", "histogram", "Time in the handler.");
    for (uint32_t at = 0; snapshot_next(rt, &at, snapshot);)
        if (snapshot->info.kind != FAAS_KIND_ALIAS)
            latency_samples(text, snapshot);
    prometheus_head(text, "batch_size", "histogram",
                    "Items in a batch, of functions with a batch handler.");
    for (uint32_t at = 0; snapshot_next(rt, &at, snapshot);)
        if (snapshot->info.kind != FAAS_KIND_ALIAS &&
            snapshot->info.policy.batch_max != 0)
            batch_samples(text, snapshot);
}

static void prometheus_runtime(struct faasi_text *text, faas_runtime *rt,
                               struct snapshot *snapshot)
{
    struct totals totals = totals_take(rt);

    prometheus_head(text, "held_bytes", "gauge", "Bytes that all instances hold.");
    faasi_text_str(text, "faas_held_bytes ");
    faasi_text_uint(text, totals.keepalive.held_bytes);
    faasi_text_char(text, '\n');
    prometheus_head(text, "memory_budget_bytes", "gauge",
                    "Bytes that instances may hold.");
    faasi_text_str(text, "faas_memory_budget_bytes ");
    faasi_text_uint(text, totals.keepalive.budget_bytes);
    faasi_text_char(text, '\n');
    prometheus_head(text, "idle_bytes", "gauge", "Bytes that idle instances hold.");
    faasi_text_str(text, "faas_idle_bytes ");
    faasi_text_uint(text, totals.keepalive.idle_bytes);
    faasi_text_char(text, '\n');
    prometheus_functions(text, rt, snapshot);
}

/* ---- both ---- */

typedef void text_form(struct faasi_text *text, faas_runtime *rt,
                       struct snapshot *snapshot);

static faas_status write_form(faas_runtime *rt, text_form *form, faas_write *write,
                              void *user)
{
    struct faasi_text text;
    struct snapshot *snapshot;
    faas_status status = faasi_visit(rt);

    if (status != FAAS_OK)
        return status;
    snapshot = faasi_alloc_zeroed(rt->allocator, sizeof *snapshot);
    if (snapshot == NULL) {
        status = faasi_fail(FAAS_ENOMEM, "describe: no memory");
    } else {
        faasi_text_init(&text, write, user);
        form(&text, rt, snapshot);
        status = faasi_text_finish(&text);
        faasi_free(rt->allocator, snapshot, sizeof *snapshot);
    }
    faasi_unvisit(rt);
    return status;
}

faas_status faas_describe_json(faas_runtime *rt, faas_write *write, void *user)
{
    return write_form(rt, json_runtime, write, user);
}

faas_status faas_prometheus(faas_runtime *rt, faas_write *write, void *user)
{
    return write_form(rt, prometheus_runtime, write, user);
}

/* SPDX-License-Identifier: MIT */
/* functions.c - registering, replacing, changing and removing functions; versions and
 * aliases. */
#include "functions.h"

#include "bus.h"
#include "desk.h"
#include "limit.h"
#include "mem.h"
#include "utf8.h"

#include <stdio.h>

enum {
    NAME_MAX_BYTES = 255,
    VERSION_NAME_BYTES = NAME_MAX_BYTES + 12,
    SHARES_MAX = 1000,
    INSTANCE_CONCURRENCY_MAX = 65536
};

#define SECOND ((uint64_t)1000000000)
#define MIB ((uint64_t)1048576)

/* ---- descriptors ---- */

static faas_status function_import(faas_function *known, const faas_function *function)
{
    static const faas_function none = {.size = sizeof none};

    *known = none;
    return faasi_options_import(known, sizeof *known, function, "function");
}

static faas_status name_check(const char *what, const char *name)
{
    size_t size;

    if (name == NULL || name[0] == '\0')
        return faasi_fail(FAAS_EINVAL, "%s: it is empty", what);
    size = strnlen(name, NAME_MAX_BYTES + 1);
    if (size > NAME_MAX_BYTES)
        return faasi_fail(FAAS_EINVAL, "%s: it is longer than %d bytes", what,
                          NAME_MAX_BYTES);
    if (!faasi_utf8_valid(name, size))
        return faasi_fail(FAAS_EINVAL, "%s: it is not UTF-8", what);
    return FAAS_OK;
}

/* The ranges of a policy; 0 is always right. */
static faas_status policy_check(const faas_function *p)
{
    uint32_t cap = p->concurrency;

    if (cap > FAASI_PERMITS_MAX && cap != FAAS_UNLIMITED && cap != FAAS_OFF)
        return faasi_fail(FAAS_EINVAL, "function.concurrency: %u is over %d", cap,
                          FAASI_PERMITS_MAX);
    if (p->instance_concurrency > INSTANCE_CONCURRENCY_MAX)
        return faasi_fail(FAAS_EINVAL, "function.instance_concurrency: %u is over %d",
                          p->instance_concurrency, INSTANCE_CONCURRENCY_MAX);
    if (p->on_full < FAAS_FULL_DEFAULT || p->on_full > FAAS_FULL_WAIT)
        return faasi_fail(FAAS_EINVAL, "function.on_full: %d is unknown",
                          (int)p->on_full);
    if (p->provisioned != 0 && p->provisioned != FAAS_OFF && cap != 0 &&
        cap != FAAS_UNLIMITED && (cap == FAAS_OFF || p->provisioned > cap))
        return faasi_fail(FAAS_EINVAL, "function.provisioned: %u is over its concurrency",
                          p->provisioned);
    if (p->instance_max != 0 && p->provisioned != FAAS_OFF &&
        p->provisioned > p->instance_max)
        return faasi_fail(FAAS_EINVAL,
                          "function.provisioned: %u is over its instance_max",
                          p->provisioned);
    if (p->instance_max != 0 && p->instance_min != FAAS_OFF &&
        p->instance_min > p->instance_max)
        return faasi_fail(FAAS_EINVAL,
                          "function.instance_min: %u is over its instance_max",
                          p->instance_min);
    if (p->instance_max == FAAS_OFF)
        return faasi_fail(FAAS_EINVAL, "function.instance_max: a function without "
                                       "instances is one with no concurrency");
    if (p->provisioned > FAASI_PERMITS_MAX && p->provisioned != FAAS_OFF)
        return faasi_fail(FAAS_EINVAL, "function.provisioned: %u is over %d",
                          p->provisioned, FAASI_PERMITS_MAX);
    if (p->prewarm > 1 && p->prewarm != FAAS_OFF)
        return faasi_fail(FAAS_EINVAL, "function.prewarm: %u is not 0 or 1", p->prewarm);
    if (p->reserved != 0)
        return faasi_fail(FAAS_EVERSION, "function.reserved: it is not 0");
    if (p->batch_max > FAASI_BATCH_MOST)
        return faasi_fail(FAAS_EINVAL, "function.batch_max: %u is over %d", p->batch_max,
                          FAASI_BATCH_MOST);
    if ((p->cache_mode & ~(uint32_t)(FAAS_CACHE_SINGLE_FLIGHT | FAAS_CACHE_FAILURES)) !=
        0)
        return faasi_fail(FAAS_EINVAL, "function.cache_mode: %#x has unknown flags",
                          p->cache_mode);
    return FAAS_OK;
}

/* Whether there is something to run; a batch's calls then take turns, if nobody says
 * otherwise: at another one's side they would not meet. */
static faas_status handlers_check(faas_function *known)
{
    if (known->handler == NULL && known->batch == NULL)
        return faasi_fail(FAAS_EINVAL, "function.handler: it is NULL");
    if (known->batch == NULL && (known->batch_max != 0 || known->batch_delay_ns != 0))
        return faasi_fail(FAAS_EINVAL, "function.batch: it is NULL, and %s is set",
                          known->batch_max != 0 ? "batch_max" : "batch_delay_ns");
    if (known->batch != NULL && known->concurrency == 0)
        known->concurrency = 1;
    return FAAS_OK;
}

/* Lays what is set in `p` over a function's policy. Holds: the gate's lock, or nobody
 * knows the function. */
static void policy_apply(struct faasi_gate *gate, struct faasi_function *f,
                         const faas_function *p)
{
    const struct {
        _Atomic uint64_t *to;
        uint64_t from;
    } fields[] = {
        {&f->wait_ns, p->wait_ns},
        {&f->timeout_ns, p->timeout_ns},
        {&f->timeout_ticks, faasi_ns_to_ticks(gate->clock, p->timeout_ns)},
        {&f->init_timeout_ns, p->init_timeout_ns},
        {&f->idle_ns, p->idle_ns},
        {&f->age_ns, p->age_ns},
        {&f->invocation_max, p->invocation_max},
        {&f->memory_bytes, p->memory_bytes},
        {&f->heap_bytes, p->heap_bytes},
        {&f->instance_bytes, p->instance_bytes},
        {&f->budget_bytes, p->budget_bytes},
    };
    const struct {
        atomic_uint *to;
        uint32_t from;
    } counts[] = {
        {&f->provisioned, p->provisioned},
        {&f->instance_min, p->instance_min},
        {&f->instance_max, p->instance_max},
    };

    for (size_t i = 0; i < FAASI_COUNT(fields); i++)
        if (fields[i].from != 0)
            faasi_write(fields[i].to, fields[i].from);
    if (p->concurrency != 0)
        f->concurrency = p->concurrency;
    if (p->on_full != FAAS_FULL_DEFAULT)
        atomic_store_explicit(&f->on_full, (unsigned char)p->on_full,
                              memory_order_relaxed);
    for (size_t i = 0; i < FAASI_COUNT(counts); i++)
        if (counts[i].from != 0)
            atomic_store_explicit(counts[i].to,
                                  counts[i].from == FAAS_OFF ? 0 : counts[i].from,
                                  memory_order_relaxed);
    faasi_care(f, FAASI_CARE_BOUNDED,
               faasi_read(&f->age_ns) != FAAS_FOREVER ||
                   faasi_read(&f->invocation_max) != UINT64_MAX);
    if (p->prewarm != 0)
        faasi_care(f, FAASI_CARE_AHEAD, p->prewarm == 1);
}

static const faas_function defaults = {
    .size = sizeof(faas_function),
    .instance_concurrency = 1,
    .on_full = FAAS_FULL_REFUSE,
    .wait_ns = FAAS_FOREVER,
    .timeout_ns = 60 * SECOND,
    .init_timeout_ns = 10 * SECOND,
    .idle_ns = 600 * SECOND,
    .age_ns = FAAS_FOREVER,
    .invocation_max = UINT64_MAX,
    .memory_bytes = 128 * MIB,
    .budget_bytes = UINT64_MAX,
    .instance_max = FAAS_UNLIMITED,
};

/* ---- functions ---- */

/* Starts a code with one reference, or returns NULL: then `user` was freed. */
static struct faasi_code *code_open(const faas_allocator *allocator,
                                    const faas_function *function)
{
    struct faasi_code *code = faasi_alloc_zeroed(allocator, sizeof *code);

    if (code == NULL) {
        if (function->user_free != NULL)
            function->user_free(function->user);
        (void)faasi_fail(FAAS_ENOMEM, "function: no memory");
        return NULL;
    }
    atomic_init(&code->refs, 1);
    code->handler = function->handler;
    code->batch = function->batch;
    code->init = function->init;
    code->close = function->close;
    code->user = function->user;
    code->user_free = function->user_free;
    code->allocator = allocator;
    return code;
}

void faasi_function_refuse(const faas_function *function)
{
    faas_function known = {.size = 0};
    size_t size;

    if (function == NULL)
        return;
    memcpy(&size, function, sizeof size);
    if (size < offsetof(faas_function, user_free) + sizeof known.user_free || size > 4096)
        return;
    memcpy(&known, function, size < sizeof known ? size : sizeof known);
    if (known.user_free != NULL)
        known.user_free(known.user);
}

faas_status faasi_code_import(faas_runtime *rt, const faas_function *function,
                              faas_function *known, struct faasi_code **code)
{
    faas_status status = function_import(known, function);

    if (status == FAAS_OK)
        status = faasi_visit(rt);
    if (status != FAAS_OK) {
        faasi_function_refuse(function);
        return status;
    }
    *code = code_open(rt->allocator, known);
    if (*code != NULL)
        return FAAS_OK;
    faasi_unvisit(rt);
    return FAAS_ENOMEM;
}

/* A function that nobody knows yet, with its own copy of the name. Takes over `code`. */
static struct faasi_function *function_open(faas_runtime *rt, faas_bytes name,
                                            struct faasi_code *code)
{
    struct faasi_function *f =
        faasi_alloc_zeroed(rt->allocator, sizeof *f + name.size + 1);

    if (f == NULL) {
        faasi_code_release(code);
        (void)faasi_fail(FAAS_ENOMEM, "function: no memory");
        return NULL;
    }
    f->entry.kind = FAAS_KIND_FUNCTION;
    f->entry.name = memcpy(f + 1, name.data, name.size);
    f->entry.name_size = (uint16_t)name.size;
    f->code = code;
    f->handler = code->handler;
    f->user = code->user;
    f->instance_concurrency = 1;
    policy_apply(&rt->gate, f, &defaults);
    return f;
}

/* Makes a limiter for a function. */
static faas_status limiter_open(struct faasi_gate *gate, struct faasi_function *f,
                                const faas_limiter *how, struct faasi_limit **limit)
{
    *limit = NULL;
    if (f->code->batch != NULL)
        return faasi_fail(FAAS_EINVAL,
                          "function.limiter: %s has a batch handler, whose items wait "
                          "for a batch",
                          f->entry.name);
    return faasi_gate_limiter(gate, f, how, limit);
}

/* The rest of a new function's policy. Nobody knows it. */
static faas_status function_shape(faas_runtime *rt, struct faasi_function *f,
                                  const faas_function *policy)
{
    struct faasi_gate *gate = &rt->gate;
    struct faasi_limit *limit = NULL;
    faas_status status = FAAS_OK;

    if (policy->instance_concurrency != 0)
        f->instance_concurrency = policy->instance_concurrency;
    policy_apply(gate, f, policy);
    if (faasi_read(&f->heap_bytes) == 0)
        faasi_write(&f->heap_bytes, faasi_read(&f->memory_bytes));
    faasi_gate_cap(f);
    if (policy->limiter != NULL)
        status = limiter_open(gate, f, policy->limiter, &limit);
    if (status != FAAS_OK)
        return status;
    faasi_lock(&gate->lock);
    (void)faasi_gate_limit(gate, f, limit); // it had none
    faasi_unlock(&gate->lock);
    return faasi_desk_open(gate, f, rt->clock, policy);
}

/* Puts a function among those of which instances are made ahead, or takes it out. Holds:
 * the gate's lock. */
static void provisioned_list(struct faasi_gate *gate, struct faasi_function *f)
{
    bool wanted = atomic_load_explicit(&f->provisioned, memory_order_relaxed) != 0 ||
                  faasi_cares(f, FAASI_CARE_AHEAD);

    if (wanted == (f->link != NULL))
        return;
    if (!wanted) {
        *f->link = f->next;
        if (f->next != NULL)
            f->next->link = f->link;
        f->link = NULL;
        return;
    }
    f->next = gate->provisioned;
    f->link = &gate->provisioned;
    if (f->next != NULL)
        f->next->link = &f->next;
    gate->provisioned = f;
}

/* Ends a function that nobody else knows: unpublished, or never published. Inside a
 * handler the last call in it buries it, because that call may be below us on this
 * stack. */
static void function_end(faas_runtime *rt, struct faasi_function *f)
{
    bool wait = faasi_context_current == NULL;

    faasi_async_forget(&rt->async, f);
    faasi_lock(&rt->gate.lock);
    f->orphan = !wait;
    faasi_gate_kill(&rt->gate, f);
    faasi_gate_unlock(&rt->gate);
    if (wait)
        faasi_gate_bury(&rt->gate, f);
}

/* Shapes `f` by its policy, makes the instances that it is to have ready, gives it its
 * handle and publishes it; `async`, if it is not NULL, is taken over. On failure it is
 * gone. Holds nothing. */
static faas_status function_announce(faas_runtime *rt, struct faasi_function *f,
                                     const faas_function *policy,
                                     struct faasi_async_policy *async, faas_fn *fn)
{
    faas_bytes name = {f->entry.name, f->entry.name_size};
    faas_status status = function_shape(rt, f, policy);

    if (status != FAAS_OK)
        faasi_async_policy_release(async);
    else if (async != NULL)
        status = faasi_async_adopt(&rt->async, f, async);
    if (status == FAAS_OK &&
        atomic_load_explicit(&f->provisioned, memory_order_relaxed) != 0)
        status = faasi_instances_provision(&rt->gate, f);
    if (status == FAAS_OK) {
        faasi_lock(&rt->registry.lock);
        /* Under the lock that the end of all functions takes: none is added behind it. */
        if (atomic_load_explicit(&rt->gate.closing, memory_order_relaxed))
            status = FAAS_ECLOSED;
        else
            status = faasi_registry_add(&rt->registry, &f->entry, name);
        if (status == FAAS_OK && fn != NULL)
            *fn = f->entry.fn;
        if (status == FAAS_OK) {
            faasi_lock(&rt->gate.lock);
            provisioned_list(&rt->gate, f);
            faasi_unlock(&rt->gate.lock);
        }
        faasi_unlock(&rt->registry.lock);
    }
    if (status != FAAS_OK)
        function_end(rt, f);
    return status;
}

faas_status faasi_function_register(faas_runtime *rt, const faas_function *function,
                                    struct faasi_code *code, faas_fn *fn)
{
    faas_status status = name_check("function.name", function->name);
    struct faasi_async_policy *async = NULL;
    struct faasi_function *f;

    if (status == FAAS_OK)
        status = policy_check(function);
    if (status == FAAS_OK && function->async != NULL)
        status = faasi_async_policy_open(function->async, rt->allocator, &async);
    if (status != FAAS_OK) {
        faasi_code_release(code);
        return status;
    }
    f = function_open(rt, faas_str(function->name), code);
    if (f == NULL) {
        faasi_async_policy_release(async);
        return FAAS_ENOMEM;
    }
    return function_announce(rt, f, function, async, fn);
}

faas_status faas_function_register(faas_runtime *rt, const faas_function *function,
                                   faas_fn *fn)
{
    static const faas_fn none;
    faas_function known;
    struct faasi_code *code;
    faas_status status;

    if (fn != NULL)
        *fn = none;
    status = faasi_code_import(rt, function, &known, &code);
    if (status != FAAS_OK)
        return status;
    status = handlers_check(&known);
    if (status == FAAS_OK)
        status = faasi_function_register(rt, &known, code, fn);
    else
        faasi_code_release(code);
    faasi_unvisit(rt);
    return status;
}

/* The function behind a handle, if it may be changed. Holds: the registry's lock. */
static faas_status function_changeable(faas_runtime *rt, faas_fn fn,
                                       struct faasi_function **f)
{
    struct faasi_entry *entry = faasi_registry_get(&rt->registry, fn);

    *f = NULL;
    if (entry == NULL) {
        (void)faasi_fail(FAAS_ENOENT, "handle %u.%u: its function is gone", fn.index,
                         fn.generation);
        return FAAS_ENOENT; // said again, so that the compiler sees that it is no success
    }
    if (entry->kind != FAAS_KIND_FUNCTION) {
        (void)faasi_fail(FAAS_EPERM, "%s is %s and never changes", entry->name,
                         entry->kind == FAAS_KIND_ALIAS ? "an alias" : "a version");
        return FAAS_EPERM;
    }
    *f = (struct faasi_function *)entry;
    return FAAS_OK;
}

/* Hands the numbers of a function to the one that replaces it: both count into one tally
 * from here on. Holds: the gate's lock. */
static void function_inherit(struct faasi_gate *gate, struct faasi_function *f,
                             struct faasi_function *old)
{
    struct faasi_tally *own = f->tally;

    faasi_add(&f->throttles, faasi_read(&old->throttles));
    atomic_store_explicit(&f->peak,
                          atomic_load_explicit(&old->peak, memory_order_relaxed),
                          memory_order_relaxed);
    f->versions = old->versions;
    faasi_desk_inherit(f->desk, old->desk);
    if (old->tally == NULL)
        return;
    f->tally = old->tally;
    f->tally->refs++;
    if (own == NULL)
        return;
    /* Of its provisioned instances; it has not run. */
    assert(own->calls == 0 && own->refs == 1);
    f->tally->cold_starts += own->cold_starts;
    f->tally->init_errors += own->init_errors;
    f->tally->init_ns += own->init_ns;
    f->tally->evictions += own->evictions;
    faasi_warm_move(&gate->warm, f, own, f->tally);
    faasi_free(gate->allocator, own, sizeof *own);
}

/* Puts `f` in the place of what `fn` stands for. */
static faas_status function_swap(faas_runtime *rt, faas_fn fn, struct faasi_function *f,
                                 struct faasi_function **old)
{
    faas_status status;

    faasi_lock(&rt->registry.lock);
    status = function_changeable(rt, fn, old);
    if (status == FAAS_OK) {
        faasi_async_replace(&rt->async, f,
                            *old); // what is queued stays, whoever finds it
        faasi_lock(&rt->gate.lock);
        function_inherit(&rt->gate, f, *old);
        faasi_registry_swap(&rt->registry, &(*old)->entry, &f->entry);
        provisioned_list(&rt->gate, f);
        faasi_unlock(&rt->gate.lock);
        /* From here on the queue ends with `f`, whenever somebody ends that. */
        atomic_store_explicit(&(*old)->queue, NULL, memory_order_relaxed);
    }
    faasi_unlock(&rt->registry.lock);
    return status;
}

/* Copies the name of a changeable function, so that a new one can be made for it. */
static faas_status function_name(faas_runtime *rt, faas_fn fn,
                                 char name[NAME_MAX_BYTES + 1])
{
    struct faasi_function *f;
    faas_status status;

    faasi_lock(&rt->registry.lock);
    status = function_changeable(rt, fn, &f);
    if (status == FAAS_OK)
        memcpy(name, f->entry.name, f->entry.name_size + 1);
    faasi_unlock(&rt->registry.lock);
    return status;
}

/* What faas_function_replace() does while it is a visitor. Takes over `code`. */
static faas_status function_replace(faas_runtime *rt, faas_fn fn, faas_function *known,
                                    struct faasi_code *code)
{
    char name[NAME_MAX_BYTES + 1];
    struct faasi_async_policy *async = NULL;
    struct faasi_function *f, *old;
    faas_status status = function_name(rt, fn, name);

    if (status == FAAS_OK)
        status = handlers_check(known);
    if (status == FAAS_OK && known->name != NULL && strcmp(known->name, name) != 0)
        status = faasi_fail(FAAS_EINVAL, "function.name: \"%.64s\" is not \"%.64s\"",
                            known->name, name);
    if (status == FAAS_OK)
        status = policy_check(known);
    if (status == FAAS_OK)
        status = faasi_async_policy_open(known->async, rt->allocator, &async);
    if (status != FAAS_OK) {
        faasi_code_release(code);
        return status;
    }
    f = function_open(rt, faas_str(name), code);
    if (f == NULL) {
        faasi_async_policy_release(async);
        return FAAS_ENOMEM;
    }
    status = function_shape(rt, f, known);
    /* With a queue of its own from here on, it keeps the one of the old function. */
    if (status == FAAS_OK)
        status = faasi_async_adopt(&rt->async, f, async);
    else
        faasi_async_policy_release(async);
    if (status == FAAS_OK && known->provisioned != 0)
        status = faasi_instances_provision(&rt->gate, f);
    if (status == FAAS_OK)
        status = function_swap(rt, fn, f, &old);
    function_end(rt, status == FAAS_OK ? old : f);
    return status;
}

faas_status faas_function_replace(faas_runtime *rt, faas_fn fn,
                                  const faas_function *function)
{
    faas_function known;
    struct faasi_code *code;
    faas_status status = faasi_code_import(rt, function, &known, &code);

    if (status != FAAS_OK)
        return status;
    status = function_replace(rt, fn, &known, code);
    faasi_unvisit(rt);
    return status;
}

/* The ranges that depend on what a function is already. Holds: the registry's lock. */
static faas_status change_check(faas_runtime *rt, const struct faasi_function *f,
                                const faas_function *known)
{
    faas_function both;

    faasi_lock(&rt->gate.lock);
    faasi_function_policy(f, &both);
    faasi_unlock(&rt->gate.lock);
    if (f->code->batch == NULL && (known->batch_max != 0 || known->batch_delay_ns != 0))
        return faasi_fail(FAAS_EINVAL, "changes: %s has no batch handler", f->entry.name);
    if (both.cache_bytes == 0 && (known->cache_bytes != 0 || known->cache_ns != 0))
        return faasi_fail(FAAS_EINVAL, "changes: %s has no response cache",
                          f->entry.name);
    if (known->concurrency != 0)
        both.concurrency = known->concurrency;
    if (known->provisioned != 0)
        both.provisioned = known->provisioned;
    if (known->instance_min != 0)
        both.instance_min = known->instance_min;
    if (known->instance_max != 0)
        both.instance_max = known->instance_max;
    return policy_check(&both);
}

/* Lays changes over a function's policy; with provisioned instances to make, `*f` is held
 * until the caller lets go. */
static faas_status function_change(faas_runtime *rt, faas_fn fn,
                                   const faas_function *known, struct faasi_function **f)
{
    struct faasi_limit *limit = NULL;
    faas_status status;

    faasi_lock(&rt->registry.lock);
    status = function_changeable(rt, fn, f);
    if (status == FAAS_OK)
        status = change_check(rt, *f, known);
    if (status == FAAS_OK && known->limiter != NULL)
        status = limiter_open(&rt->gate, *f, known->limiter, &limit);
    if (status == FAAS_OK) {
        faasi_lock(&rt->gate.lock);
        policy_apply(&rt->gate, *f, known);
        if (limit != NULL)
            faasi_limit_close(rt->allocator, faasi_gate_limit(&rt->gate, *f, limit));
        faasi_warm_retime(&rt->gate.warm, *f);
        faasi_instances_trim(&rt->gate, *f);
        if ((*f)->desk != NULL)
            faasi_desk_apply((*f)->desk, known);
        faasi_gate_resize(&rt->gate, *f);
        faasi_gate_retime(&rt->gate, *f);
        provisioned_list(&rt->gate, *f);
        (*f)->holds++;
        rt->gate.sweep_at = 0; // times may have become shorter
        faasi_wake_all(&rt->gate.sweep_sooner);
    }
    faasi_unlock(&rt->registry.lock);
    if (status == FAAS_OK)
        faasi_gate_unlock(&rt->gate); // outside the registry's lock: it runs close hooks
    return status;
}

/* Somebody who held a function needs it no longer. */
static void function_let_go(faas_runtime *rt, struct faasi_function *f)
{
    faasi_lock(&rt->gate.lock);
    f->holds--;
    faasi_gate_progress(&rt->gate, f);
    faasi_gate_unlock(&rt->gate);
}

faas_status faas_function_update(faas_runtime *rt, faas_fn fn,
                                 const faas_function *changes)
{
    faas_function known;
    struct faasi_function *f;
    faas_status status = function_import(&known, changes);

    struct faasi_async_policy *async = NULL;

    if (status == FAAS_OK)
        status = policy_check(&known);
    if (status != FAAS_OK)
        return status;
    if (known.name != NULL || known.handler != NULL || known.init != NULL ||
        known.close != NULL || known.user != NULL || known.user_free != NULL ||
        known.batch != NULL || known.cache_mode != 0 || known.instance_concurrency != 0)
        return faasi_fail(FAAS_EINVAL,
                          "changes: only the policy can be changed, and of it "
                          "not instance_concurrency");
    status = faasi_visit(rt);
    if (status != FAAS_OK)
        return status;
    if (known.async != NULL)
        status = faasi_async_policy_open(known.async, rt->allocator, &async);
    if (status == FAAS_OK)
        status = function_change(rt, fn, &known, &f);
    if (status != FAAS_OK)
        faasi_async_policy_release(async);
    if (status == FAAS_OK) {
        faas_status adopted =
            async == NULL ? FAAS_OK : faasi_async_adopt(&rt->async, f, async);

        faasi_async_refresh(&rt->async, f);
        status = faasi_instances_provision(&rt->gate, f);
        if (adopted != FAAS_OK)
            status = adopted;
        function_let_go(rt, f);
    }
    faasi_unvisit(rt);
    return status;
}

/* Whether an alias points to a version. Holds: the registry's lock. */
static const struct faasi_alias *version_user(faas_runtime *rt,
                                              const struct faasi_entry *v)
{
    for (const struct faasi_alias *a = rt->aliases; a != NULL; a = a->next) {
        const struct faasi_parts *parts =
            atomic_load_explicit(&a->parts, memory_order_relaxed);

        for (size_t i = 0; i < parts->count; i++)
            if (parts->at[i].fn.index == v->fn.index &&
                parts->at[i].fn.generation == v->fn.generation)
                return a;
    }
    return NULL;
}

static void alias_free(faas_runtime *rt, struct faasi_alias *alias)
{
    struct faasi_parts *parts = atomic_load_explicit(&alias->parts, memory_order_relaxed);

    if (parts != NULL)
        faasi_free(rt->allocator, parts, faasi_parts_bytes(parts->count));
    faasi_free(rt->allocator, (void *)(uintptr_t)alias->entry.name,
               alias->entry.name_size + 1);
    faasi_free(rt->allocator, alias, sizeof *alias);
}

static void alias_unlist(faas_runtime *rt, struct faasi_alias *alias)
{
    struct faasi_alias **at = &rt->aliases;

    while (*at != alias)
        at = &(*at)->next;
    *at = alias->next;
}

/* Takes what a handle stands for out of the registry. */
static faas_status entry_take(faas_runtime *rt, faas_fn fn, struct faasi_entry **out,
                              const struct faasi_name **name)
{
    const struct faasi_alias *user = NULL;
    struct faasi_entry *entry;
    faas_status status = FAAS_OK;

    faasi_lock(&rt->registry.lock);
    *out = entry = faasi_registry_get(&rt->registry, fn);
    if (entry == NULL)
        status = faasi_fail(FAAS_ENOENT, "handle %u.%u: its function is gone", fn.index,
                            fn.generation);
    else if (entry->kind == FAAS_KIND_VERSION && (user = version_user(rt, entry)) != NULL)
        status = faasi_fail(FAAS_EINUSE, "%.64s: the alias %.64s points to it",
                            entry->name, user->entry.name);
    else
        *name = faasi_registry_remove(&rt->registry, entry,
                                      faas_bytes_of(entry->name, entry->name_size));
    if (status == FAAS_OK && entry->kind == FAAS_KIND_ALIAS)
        alias_unlist(rt, (struct faasi_alias *)entry);
    faasi_unlock(&rt->registry.lock);
    return status;
}

faas_status faas_function_unregister(faas_runtime *rt, faas_fn fn)
{
    const struct faasi_name *name = NULL;
    struct faasi_entry *entry;
    faas_status status = faasi_visit(rt);

    if (status != FAAS_OK)
        return status;
    status = entry_take(rt, fn, &entry, &name);
    if (status == FAAS_OK) {
        faasi_bus_forget(rt, fn);
        faasi_grace_wait(); // somebody may be reading the name, or the alias
        faasi_registry_forget(&rt->registry, name);
        if (entry->kind == FAAS_KIND_ALIAS)
            alias_free(rt, (struct faasi_alias *)entry);
        else
            function_end(rt, (struct faasi_function *)entry);
    }
    faasi_unvisit(rt);
    return status;
}

faas_status faas_function_look(faas_runtime *rt, faas_fn fn, faas_handler *handler,
                               faas_status (*look)(void *user, void *arg), void *arg)
{
    struct faasi_function *f;
    faas_status status = faasi_visit(rt);

    if (status != FAAS_OK)
        return status;
    faasi_lock(&rt->registry.lock);
    f = (struct faasi_function *)faasi_registry_get(&rt->registry, fn);
    if (f == NULL)
        status = faasi_fail(FAAS_ENOENT, "handle %u.%u: its function is gone", fn.index,
                            fn.generation);
    else if (f->entry.kind == FAAS_KIND_ALIAS || f->code->handler != handler)
        status = faasi_fail(FAAS_ETYPE, "%s: it has another handler", f->entry.name);
    if (status == FAAS_OK) {
        faasi_lock(&rt->gate.lock);
        f->holds++;
        faasi_unlock(&rt->gate.lock);
    }
    faasi_unlock(&rt->registry.lock);
    if (status == FAAS_OK) {
        status = look(f->code->user, arg);
        function_let_go(rt, f);
    }
    faasi_unvisit(rt);
    return status;
}

faas_status faas_function_find(faas_runtime *rt, faas_bytes name, faas_fn *fn)
{
    faasi_read_enter();
    *fn = faasi_registry_find(&rt->registry, name);
    faasi_read_leave();
    return fn->generation == 0 ? FAAS_ENOENT : FAAS_OK;
}

/* ---- versions ---- */

/* The policy of a function as a descriptor. Holds: the gate's lock. */
void faasi_function_policy(const struct faasi_function *f, faas_function *policy)
{
    static const faas_function none = {.size = sizeof none};

    *policy = none;
    policy->concurrency = f->concurrency;
    policy->instance_concurrency = f->instance_concurrency;
    policy->provisioned = atomic_load_explicit(&f->provisioned, memory_order_relaxed);
    policy->on_full = (faas_full)atomic_load_explicit(&f->on_full, memory_order_relaxed);
    policy->wait_ns = faasi_read(&f->wait_ns);
    policy->timeout_ns = faasi_read(&f->timeout_ns);
    policy->init_timeout_ns = faasi_read(&f->init_timeout_ns);
    policy->idle_ns = faasi_read(&f->idle_ns);
    policy->age_ns = faasi_read(&f->age_ns);
    policy->invocation_max = faasi_read(&f->invocation_max);
    policy->memory_bytes = faasi_read(&f->memory_bytes);
    policy->heap_bytes = faasi_read(&f->heap_bytes);
    policy->instance_bytes = faasi_read(&f->instance_bytes);
    policy->budget_bytes = faasi_read(&f->budget_bytes);
    policy->instance_min = atomic_load_explicit(&f->instance_min, memory_order_relaxed);
    policy->instance_max = atomic_load_explicit(&f->instance_max, memory_order_relaxed);
    policy->prewarm = faasi_cares(f, FAASI_CARE_AHEAD);
    faasi_desk_policy(f->desk, policy);
}

/* What is to be published: the code, a reference more, the policy, and the new name. */
static faas_status version_take(faas_runtime *rt, faas_fn fn, struct faasi_code **code,
                                faas_function *policy, faas_limiter *limiter,
                                struct faasi_async_policy **async,
                                char name[VERSION_NAME_BYTES], uint32_t *number)
{
    struct faasi_function *f;
    faas_status status;

    faasi_lock(&rt->registry.lock);
    status = function_changeable(rt, fn, &f);
    if (status == FAAS_OK) {
        *number = ++f->versions; // a number is used once, also when this fails
        (void)snprintf(name, VERSION_NAME_BYTES, "%s:%u", f->entry.name, *number);
        *code = f->code;
        faasi_ref(&f->code->refs);
        faasi_lock(&rt->gate.lock);
        faasi_function_policy(f, policy);
        if (faasi_limit_is_given(f->limit)) {
            *limiter = f->limit->given;
            policy->limiter = limiter;
        }
        faasi_unlock(&rt->gate.lock);
        *async = faasi_async_policy_of(f);
    }
    faasi_unlock(&rt->registry.lock);
    return status;
}

static faas_status version_publish(faas_runtime *rt, faas_fn fn, uint32_t *version,
                                   faas_fn *version_fn)
{
    char name[VERSION_NAME_BYTES];
    struct faasi_function *v;
    struct faasi_code *code;
    struct faasi_async_policy *async;
    faas_function policy;
    faas_limiter limiter;
    uint32_t number;
    faas_status status =
        version_take(rt, fn, &code, &policy, &limiter, &async, name, &number);

    if (status != FAAS_OK)
        return status;
    v = function_open(rt, faas_str(name), code);
    if (v == NULL) {
        faasi_async_policy_release(async);
        return FAAS_ENOMEM;
    }
    v->entry.kind = FAAS_KIND_VERSION;
    v->entry.version = number;
    status = function_announce(rt, v, &policy, async, version_fn);
    if (status == FAAS_OK && version != NULL)
        *version = number;
    return status;
}

faas_status faas_function_publish(faas_runtime *rt, faas_fn fn, uint32_t *version,
                                  faas_fn *version_fn)
{
    static const faas_fn none;
    faas_status status = faasi_visit(rt);

    if (version != NULL)
        *version = 0;
    if (version_fn != NULL)
        *version_fn = none;
    if (status != FAAS_OK)
        return status;
    status = version_publish(rt, fn, version, version_fn);
    faasi_unvisit(rt);
    return status;
}

/* ---- aliases ---- */

/* Finds the versions that shares name. Holds: the registry's lock. */
static faas_status parts_open(faas_runtime *rt, const struct faasi_entry *base,
                              const faas_share *shares, size_t count,
                              struct faasi_parts **out)
{
    struct faasi_parts *parts =
        faasi_alloc_zeroed(rt->allocator, faasi_parts_bytes(count));
    faas_status status = FAAS_OK;
    uint64_t upto = 0;

    *out = NULL;
    if (parts == NULL)
        return faasi_fail(FAAS_ENOMEM, "alias: no memory");
    parts->count = count;
    for (size_t i = 0; i < count && status == FAAS_OK; i++) {
        char name[VERSION_NAME_BYTES];
        int size = snprintf(name, sizeof name, "%s:%u", base->name, shares[i].version);
        faas_fn fn =
            faasi_registry_find(&rt->registry, faas_bytes_of(name, (size_t)size));
        const struct faasi_entry *entry = faasi_registry_get(&rt->registry, fn);

        upto += shares[i].weight;
        if (entry == NULL || entry->kind != FAAS_KIND_VERSION)
            status =
                faasi_fail(FAAS_ENOENT, "shares[%zu].version: there is no %s", i, name);
        parts->at[i] = (struct faasi_part){fn, shares[i].version, shares[i].weight, upto};
    }
    if (status == FAAS_OK && (upto == 0 || upto > UINT32_MAX))
        status =
            faasi_fail(FAAS_EINVAL, "shares: the sum of weights is %llu, not 1 to %u",
                       (unsigned long long)upto, UINT32_MAX);
    if (status == FAAS_OK)
        *out = parts;
    else
        faasi_free(rt->allocator, parts, faasi_parts_bytes(count));
    return status;
}

/* A new alias of that name, in the registry. Takes over `parts` on FAAS_OK. Holds: the
 * registry's lock. */
static faas_status alias_open(faas_runtime *rt, faas_fn base, faas_bytes name,
                              struct faasi_parts *parts, struct faasi_alias **out)
{
    struct faasi_alias *alias = faasi_alloc_zeroed(rt->allocator, sizeof *alias);
    char *copy = faasi_copy_text(rt->allocator, name.data, name.size);
    faas_status status = FAAS_ENOMEM;

    if (alias != NULL && copy != NULL) {
        alias->entry.kind = FAAS_KIND_ALIAS;
        alias->entry.name = copy;
        alias->entry.name_size = (uint16_t)name.size;
        alias->base = base;
        atomic_init(&alias->parts, parts);
        status = faasi_registry_add(&rt->registry, &alias->entry, name);
    } else {
        status = faasi_fail(FAAS_ENOMEM, "alias: no memory");
    }
    if (status == FAAS_OK) {
        alias->next = rt->aliases;
        rt->aliases = alias;
        *out = alias;
        return FAAS_OK;
    }
    faasi_free(rt->allocator, copy, name.size + 1);
    faasi_free(rt->allocator, alias, sizeof *alias);
    return status;
}

/* Changes an alias of that name, or makes one. `*old` is what it pointed to. Holds: the
 * registry's lock. */
static faas_status alias_set(faas_runtime *rt, faas_fn base, faas_bytes name,
                             struct faasi_parts *parts, struct faasi_parts **old,
                             faas_fn *fn)
{
    faas_fn found = faasi_registry_find(&rt->registry, name);
    struct faasi_entry *entry = faasi_registry_get(&rt->registry, found);
    struct faasi_alias *alias = (struct faasi_alias *)entry;
    faas_status status = FAAS_OK;

    if (entry != NULL && entry->kind != FAAS_KIND_ALIAS)
        return faasi_fail(FAAS_EEXIST, "alias: \"%s\" is a function", entry->name);
    /* "a:b" of "c" and "a" of "b:c" would have one name. */
    if (alias != NULL &&
        (alias->base.index != base.index || alias->base.generation != base.generation))
        return faasi_fail(FAAS_EEXIST, "alias: \"%s\" belongs to another function",
                          entry->name);
    if (alias != NULL)
        /* Release: pairs with the acquire in faasi_alias_pick(). */
        *old = atomic_exchange_explicit(&alias->parts, parts, memory_order_acq_rel);
    else
        status = alias_open(rt, base, name, parts, &alias);
    if (status == FAAS_OK && fn != NULL)
        *fn = alias->entry.fn;
    return status;
}

static faas_status alias_check(const char *alias, size_t count)
{
    faas_status status = name_check("alias", alias);

    if (status != FAAS_OK)
        return status;
    if (alias[strspn(alias, "0123456789")] == '\0')
        return faasi_fail(FAAS_EINVAL, "alias: \"%s\" is a number, as versions are",
                          alias);
    if (count == 0 || count > SHARES_MAX)
        return faasi_fail(FAAS_EINVAL, "shares: %zu are not 1 to %d", count, SHARES_MAX);
    return FAAS_OK;
}

static faas_status alias_put(faas_runtime *rt, faas_fn fn, const char *alias,
                             const faas_share *shares, size_t count, faas_fn *alias_fn)
{
    char name[2 * NAME_MAX_BYTES + 2];
    struct faasi_parts *parts = NULL, *old = NULL;
    struct faasi_function *f;
    faas_status status;

    faasi_lock(&rt->registry.lock);
    status = function_changeable(rt, fn, &f);
    if (status == FAAS_OK)
        status = parts_open(rt, &f->entry, shares, count, &parts);
    if (status == FAAS_OK) {
        int size = snprintf(name, sizeof name, "%s:%s", f->entry.name, alias);

        status = alias_set(rt, f->entry.fn, faas_bytes_of(name, (size_t)size), parts,
                           &old, alias_fn);
        if (status != FAAS_OK)
            old = parts;
    }
    faasi_unlock(&rt->registry.lock);
    if (old != NULL) {
        if (old != parts)
            faasi_grace_wait(); // somebody may be reading it
        faasi_free(rt->allocator, old, faasi_parts_bytes(old->count));
    }
    return status;
}

faas_status faas_alias_put(faas_runtime *rt, faas_fn fn, const char *alias,
                           const faas_share *shares, size_t count, faas_fn *alias_fn)
{
    static const faas_fn none;
    faas_status status = alias_check(alias, count);

    if (alias_fn != NULL)
        *alias_fn = none;
    if (status == FAAS_OK)
        status = faasi_visit(rt);
    if (status != FAAS_OK)
        return status;
    status = alias_put(rt, fn, alias, shares, count, alias_fn);
    faasi_unvisit(rt);
    return status;
}

/* ---- the end ---- */

typedef void entry_visitor(faas_runtime *rt, struct faasi_entry *entry);

static void each_entry(faas_runtime *rt, entry_visitor *visit)
{
    struct faasi_registry *registry = &rt->registry;
    uint32_t count = atomic_load_explicit(&registry->slot_count, memory_order_acquire);

    for (uint32_t i = 0; i < count; i++) {
        struct faasi_entry *entry = faasi_registry_at(registry, i);

        if (entry != NULL)
            visit(rt, entry);
    }
}

static void entry_kill(faas_runtime *rt, struct faasi_entry *entry)
{
    if (entry->kind == FAAS_KIND_ALIAS)
        return;
    faasi_gate_kill(&rt->gate, (struct faasi_function *)entry);
}

static void entry_drain(faas_runtime *rt, struct faasi_entry *entry)
{
    if (entry->kind != FAAS_KIND_ALIAS)
        faasi_gate_drain(&rt->gate, (struct faasi_function *)entry);
}

static void entry_free(faas_runtime *rt, struct faasi_entry *entry)
{
    if (entry->kind == FAAS_KIND_ALIAS)
        alias_free(rt, (struct faasi_alias *)entry);
    else
        faasi_gate_free(&rt->gate, (struct faasi_function *)entry);
}

void faasi_functions_end(faas_runtime *rt)
{
    faasi_lock(&rt->gate.lock);
    each_entry(rt, entry_kill);
    faasi_gate_unlock(&rt->gate);
    each_entry(rt, entry_drain);
}

void faasi_functions_free(faas_runtime *rt)
{
    each_entry(rt, entry_free);
}

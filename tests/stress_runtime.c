/* SPDX-License-Identifier: MIT */
/* Everything at once: threads register, replace, update, publish, alias, subscribe, call,
 * count and remove the same few functions, by handles new and stale, and the runtime is
 * closed over them. Run under the thread sanitizer.
 *
 *     stress_runtime [operations] [seed]
 *
 * What must hold, whatever the order:
 *
 *     a handle runs its own function: the handler finds its own `user` and its own
 *         instance, and the answer is the caller's;
 *     an instance runs no more calls at once than it may; close runs exactly once for
 *         every init that succeeded, and none runs in it afterwards;
 *     user_free runs exactly once, after the last close;
 *     every status is one that the call may give;
 *     nothing is left when the runtime is closed and the last result released.
 *
 * A round opens a runtime and closes it while some threads still call and others are in
 * their handlers. */
#include "stress.h"

#include <faas/faas.h>

#include <pthread.h>
#include <time.h>

#if defined(__SANITIZE_THREAD__)
#define OPERATIONS 1500000
#elif defined(FAASI_SANITIZED)
#define OPERATIONS 3000000
#else
#define OPERATIONS 10000000
#endif

enum {
    THREADS = 6,
    LINGERERS = 2, /* of these, that are in a handler when the runtime is closed */
    ROUNDS = 20,
    NAMES = 12,   /* of functions; few, so that threads meet */
    HANDLES = 16, /* that a thread remembers, most of them stale */
    MAILBOXES = 32,
    LAST_CALLS = 50, /* that a thread makes of a closing runtime */
    ALIVE = 0x616c6976
};

/* The `user` of a function: made at registration, kept until the round has ended, so that
 * whoever comes late is seen. */
struct owner {
    uint32_t name;     /* its number; every function of that name says so */
    uint32_t variant;  /* which of the handlers is its own */
    uint32_t together; /* calls in an instance */
    atomic_uint inits, closes, frees;
    struct owner *next;
};

/* What init makes. */
struct state {
    struct owner *owner;
    uint32_t alive;
    atomic_uint running;
};

enum { NEST = 1, PUBLISH = 2, REMOVE = 4, FAIL = 8, REPLACE = 16, LINGER = 32 };

struct request {
    uint64_t nonce;
    uint32_t flags;
    faas_fn target;
};

struct answer {
    uint64_t nonce;
    uint32_t name;
    uint32_t size;
    unsigned char bytes[];
};

struct known {
    faas_fn fn;
    uint32_t name; /* NAMES: nobody knows, because it is an alias of any */
};

struct worker {
    pthread_t thread;
    uint64_t random;
    uint32_t number;
    struct known known[HANDLES];
    uint64_t subscriptions[4];
    uint64_t calls, ran, gone, refused, operations;
};

static struct {
    faas_runtime *rt;
    _Atomic(struct owner *) owners;
    _Atomic(faas_result *) mailboxes[MAILBOXES];
    atomic_uint lingering, arrived, finished;
    atomic_bool closing;
    uint64_t operations; /* of a thread, in a round */
    atomic_ullong handler_runs, event_runs, instances;
} world;

/* Lets the others run, for a while: there are more threads than cores. */
static void rest(void)
{
    (void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static uint64_t random_next(uint64_t *state)
{
    uint64_t x = *state;

    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    *state = x;
    return x * 0x2545f4914f6cdd1du >> 16;
}

static uint32_t random_below(uint64_t *state, uint32_t limit)
{
    return (uint32_t)(random_next(state) % limit);
}

/* ---- the functions ---- */

static void owner_free(void *user)
{
    struct owner *owner = user;

    REQUIRE(atomic_fetch_add(&owner->frees, 1) == 0, "user freed twice");
    REQUIRE(atomic_load(&owner->inits) == atomic_load(&owner->closes),
            "%u inits, %u closes", atomic_load(&owner->inits),
            atomic_load(&owner->closes));
}

static int make(faas_context *ctx, void **out)
{
    struct owner *owner = faas_user(ctx);
    struct state *state;

    REQUIRE(atomic_load(&owner->frees) == 0, "init of a freed user");
    if (random_next(&(uint64_t){faas_runtime_now(faas_context_runtime(ctx)) | 1}) % 16 ==
        0)
        return faas_fail(ctx, 1, "not this time");
    state = random_next(&(uint64_t){(uint64_t)(uintptr_t)ctx | 1}) % 2 == 0
                ? faas_instance_alloc(ctx, sizeof *state)
                : faas_instance_alloc(ctx, 20000);
    REQUIRE(state != NULL, "no memory for an instance");
    state->owner = owner;
    state->alive = ALIVE;
    *out = state;
    atomic_fetch_add(&owner->inits, 1);
    atomic_fetch_add(&world.instances, 1);
    return 0;
}

static void unmake(void *user_state, void *user)
{
    struct state *state = user_state;
    struct owner *owner = user;

    REQUIRE(state->alive == ALIVE && state->owner == owner, "a foreign instance closed");
    REQUIRE(atomic_load(&state->running) == 0, "closed while a call runs in it");
    REQUIRE(atomic_load(&owner->frees) == 0, "close after user_free");
    state->alive = 0;
    atomic_fetch_add(&owner->closes, 1);
}

static void linger(faas_context *ctx)
{
    atomic_fetch_add(&world.lingering, 1);
    while (!faas_cancelled(ctx))
        rest();
    /* Closing waits for this call, so everybody may go on until all have finished. */
    while (atomic_load(&world.finished) < THREADS - LINGERERS)
        rest();
}

static const faas_function *descriptor(struct owner *owner, uint64_t *random,
                                       faas_function *out, char name[16]);
static struct owner *owner_open(uint32_t name, uint64_t *random);

/* What a handler does beside answering. */
static void meddle(faas_context *ctx, const struct request *request)
{
    faas_runtime *rt = faas_context_runtime(ctx);
    uint64_t random = request->nonce | 1;
    struct request inner = {.nonce = request->nonce + 1,
                            .flags = request->flags & (FAIL | NEST),
                            .target = request->target};

    if (request->flags & LINGER)
        linger(ctx);
    if (request->flags & NEST)
        (void)!faas_invoke(rt, request->target, faas_bytes_of(&inner, sizeof inner), 0,
                           NULL);
    if (request->flags & PUBLISH)
        (void)!faas_publish_json(rt, "/stress", "stress.inner", "{}", NULL);
    if (request->flags & REMOVE)
        (void)!faas_function_unregister(rt, faas_context_fn(ctx));
    if (request->flags & REPLACE) {
        struct owner *owner = faas_user(ctx);
        faas_function function;
        char name[16];

        owner = owner_open(owner->name, &random);
        (void)!faas_function_replace(rt, faas_context_fn(ctx),
                                     descriptor(owner, &random, &function, name));
    }
}

static int answer(faas_context *ctx, faas_bytes input, uint32_t variant)
{
    struct owner *owner = faas_user(ctx);
    struct state *state = faas_state(ctx);
    struct request request = {.nonce = 0};
    uint32_t size, running;
    struct answer *out;

    REQUIRE(atomic_load(&owner->frees) == 0, "a call after user_free");
    REQUIRE(owner->variant == variant, "variant %u for user of %u", variant,
            owner->variant);
    REQUIRE(state->alive == ALIVE && state->owner == owner,
            "a call in a foreign instance");
    running = atomic_fetch_add(&state->running, 1) + 1;
    REQUIRE(running <= owner->together, "%u in an instance of %u", running,
            owner->together);
    atomic_fetch_add_explicit(&world.handler_runs, 1, memory_order_relaxed);
    if (faas_context_event(ctx) != NULL) {
        REQUIRE(input.size == 2 && memcmp(input.data, "{}", 2) == 0,
                "not the event's data");
        atomic_fetch_add_explicit(&world.event_runs, 1, memory_order_relaxed);
    } else {
        REQUIRE(input.size == sizeof request, "input of %zu bytes", input.size);
        memcpy(&request, input.data, sizeof request);
    }
    size =
        (uint32_t)(request.nonce % 16 == 0 ? request.nonce % 9000 : request.nonce % 200);
    out = faas_alloc(ctx, sizeof *out + size);
    REQUIRE(out != NULL, "no heap for %u bytes", size);
    for (uint32_t i = 0; i < size; i++)
        REQUIRE(out->bytes[i] == 0, "byte %u of %u is not wiped", i, size);
    *out = (struct answer){.nonce = ~request.nonce, .name = owner->name, .size = size};
    memset(out->bytes, (int)(request.nonce & 0xff), size);
    (void)faas_reply_as_is(ctx, faas_bytes_of(out, sizeof *out + size));
    if (request.flags != 0)
        meddle(ctx, &request);
    REQUIRE(state->alive == ALIVE, "closed while a call runs in it");
    atomic_fetch_sub(&state->running, 1);
    return request.flags & FAIL ? faas_fail(ctx, 7, "as asked") : 0;
}

static int answer_0(faas_context *ctx, faas_bytes input)
{
    return answer(ctx, input, 0);
}

static int answer_1(faas_context *ctx, faas_bytes input)
{
    return answer(ctx, input, 1);
}

static int answer_2(faas_context *ctx, faas_bytes input)
{
    return answer(ctx, input, 2);
}

static struct owner *owner_open(uint32_t name, uint64_t *random)
{
    struct owner *owner = calloc(1, sizeof *owner);
    struct owner *next = atomic_load(&world.owners);

    REQUIRE(owner != NULL, "no memory");
    owner->name = name;
    owner->variant = random_below(random, 3);
    owner->together = random_below(random, 4) == 0 ? 3 : 1;
    do
        owner->next = next;
    while (!atomic_compare_exchange_weak(&world.owners, &next, owner));
    return owner;
}

static const faas_function *descriptor(struct owner *owner, uint64_t *random,
                                       faas_function *out, char name[16])
{
    static faas_handler *const handlers[] = {answer_0, answer_1, answer_2};
    static const uint32_t caps[] = {0, 1, 2, 3, 5, FAAS_UNLIMITED};
    faas_function function = {.size = sizeof function,
                              .name = name,
                              .handler = handlers[owner->variant],
                              .init = make,
                              .close = unmake,
                              .user = owner,
                              .user_free = owner_free,
                              .instance_concurrency = owner->together,
                              .timeout_ns = FAAS_FOREVER, // a round may take long
                              .wait_ns = 200000};

    (void)snprintf(name, 16, "f%u", owner->name);
    function.concurrency = caps[random_below(random, 6)];
    if (random_below(random, 3) == 0)
        function.on_full = FAAS_FULL_WAIT;
    if (random_below(random, 8) == 0)
        function.invocation_max = 1 + random_below(random, 20);
    if (random_below(random, 8) == 0)
        function.age_ns = 1 + random_below(random, 3000000);
    if (random_below(random, 8) == 0)
        function.idle_ns = 1 + random_below(random, 300000);
    if (random_below(random, 8) == 0)
        function.provisioned = 1;
    *out = function;
    return out;
}

/* ---- operations ---- */

static void result_post(struct worker *w, faas_result *result)
{
    uint32_t box = random_below(&w->random, MAILBOXES);

    /* Whoever comes by next releases it, on its own thread. */
    faas_result_release(atomic_exchange(&world.mailboxes[box], result));
}

static void result_check(const faas_result *result, const struct request *request,
                         faas_status status, uint32_t name)
{
    faas_bytes bytes = faas_result_bytes(result);
    struct answer head;

    REQUIRE(faas_result_code(result) == (status == FAAS_EHANDLER ? 7 : 0), "code %d",
            faas_result_code(result));
    REQUIRE(bytes.size >= sizeof head, "an answer of %zu bytes", bytes.size);
    memcpy(&head, bytes.data, sizeof head);
    REQUIRE(head.nonce == ~request->nonce, "somebody else's answer");
    REQUIRE(name == NAMES || head.name == name, "function %u answers for %u", head.name,
            name);
    REQUIRE(bytes.size == sizeof head + head.size, "cut");
    for (uint32_t i = 0; i < head.size; i++)
        REQUIRE(((const struct answer *)bytes.data)->bytes[i] ==
                    (unsigned char)request->nonce,
                "byte %u of %u is another one's", i, head.size);
}

/* A call that must end in one of few ways. */
static faas_status call(struct worker *w, const struct known *known, uint32_t flags)
{
    struct request request = {.nonce = random_next(&w->random),
                              .flags = flags,
                              .target = w->known[random_below(&w->random, HANDLES)].fn};
    bool want = random_below(&w->random, 3) == 0;
    faas_result *result = NULL;
    faas_status status =
        faas_invoke(world.rt, known->fn, faas_bytes_of(&request, sizeof request), 0,
                    want ? &result : NULL);

    w->calls++;
    switch (status) {
    case FAAS_OK:
    case FAAS_EHANDLER:
        REQUIRE((status == FAAS_EHANDLER) == ((flags & FAIL) != 0), "status %s",
                faas_status_name(status));
        w->ran++;
        break;
    case FAAS_ENOENT:
        w->gone++;
        break;
    case FAAS_EBUSY:
        REQUIRE(faas_retry_after_ns() >= 1000, "come back in %llu ns",
                (unsigned long long)faas_retry_after_ns());
        w->refused++;
        break;
    case FAAS_EINIT:
    case FAAS_ECLOSED:
        break;
    default:
        REQUIRE(false, "status %s", faas_status_name(status));
    }
    REQUIRE((result != NULL) == (want && (status == FAAS_OK || status == FAAS_EHANDLER)),
            "a result beside %s", faas_status_name(status));
    if (result != NULL) {
        result_check(result, &request, status, known->name);
        result_post(w, result);
    }
    return status;
}

static void know(struct worker *w, faas_fn fn, uint32_t name)
{
    w->known[random_below(&w->random, HANDLES)] = (struct known){fn, name};
}

static struct known *pick(struct worker *w)
{
    return &w->known[random_below(&w->random, HANDLES)];
}

#define EXPECT(status, ...)                                                              \
    do {                                                                                 \
        faas_status got_ = (status);                                                     \
        const faas_status may_[] = {FAAS_OK, FAAS_ECLOSED, __VA_ARGS__};                 \
        bool is_ = false;                                                                \
        for (size_t i_ = 0; i_ < sizeof may_ / sizeof may_[0]; i_++)                     \
            is_ = is_ || got_ == may_[i_];                                               \
        REQUIRE(is_, "%s: %s", faas_status_name(got_), faas_error_text());               \
    } while (0)

static void do_register(struct worker *w)
{
    struct owner *owner = owner_open(random_below(&w->random, NAMES), &w->random);
    faas_function function;
    char name[16];
    faas_fn fn;
    faas_status status = faas_function_register(
        world.rt, descriptor(owner, &w->random, &function, name), &fn);

    EXPECT(status, FAAS_EEXIST, FAAS_EINIT);
    if (status == FAAS_OK)
        know(w, fn, owner->name);
    else
        REQUIRE(atomic_load(&owner->frees) == 1, "refused, and user not freed");
}

static void find(struct worker *w, struct known *known)
{
    uint32_t number = random_below(&w->random, NAMES);
    char name[32];
    faas_fn fn;
    int size = snprintf(name, sizeof name, "f%u", number);

    if (random_below(&w->random, 4) == 0)
        size = snprintf(name, sizeof name, "f%u:live", number);
    if (faas_function_find(world.rt, faas_bytes_of(name, (size_t)size), &fn) == FAAS_OK)
        *known = (struct known){fn, number};
}

static void do_find(struct worker *w)
{
    find(w, pick(w));
}

static void do_replace(struct worker *w)
{
    struct known *known = pick(w);
    faas_function function;
    struct owner *owner;
    char name[16];

    if (known->name == NAMES)
        return;
    owner = owner_open(known->name, &w->random);
    EXPECT(faas_function_replace(world.rt, known->fn,
                                 descriptor(owner, &w->random, &function, name)),
           FAAS_ENOENT, FAAS_EINIT, FAAS_EPERM);
}

static void do_update(struct worker *w)
{
    faas_function changes = {.size = sizeof changes};
    faas_limiter limiter = FAAS_LIMITER_INIT;

    switch (random_below(&w->random, 7)) {
    case 0:
        changes.concurrency = 1 + random_below(&w->random, 4);
        break;
    case 1:
        changes.concurrency =
            random_below(&w->random, 4) == 0 ? FAAS_OFF : FAAS_UNLIMITED;
        break;
    case 2:
        changes.on_full =
            random_below(&w->random, 2) == 0 ? FAAS_FULL_WAIT : FAAS_FULL_REFUSE;
        break;
    case 3:
        changes.provisioned = random_below(&w->random, 2) == 0 ? 1 : FAAS_OFF;
        break;
    case 4:
        changes.invocation_max = 1 + random_below(&w->random, 30);
        break;
    case 5:
        limiter.kind = (faas_limiter_kind)random_below(&w->random, 8);
        limiter.limit = limiter.limit_min = 2;
        if (random_below(&w->random, 4) == 0)
            limiter.rate = 1e6;
        if (random_below(&w->random, 4) == 0)
            limiter.cold_rate = 1e4;
        changes.limiter = &limiter;
        break;
    default:
        changes.idle_ns = 1 + random_below(&w->random, 1000000);
        break;
    }
    EXPECT(faas_function_update(world.rt, pick(w)->fn, &changes), FAAS_ENOENT, FAAS_EINIT,
           FAAS_EPERM, FAAS_EINVAL);
}

static void do_unregister(struct worker *w)
{
    EXPECT(faas_function_unregister(world.rt, pick(w)->fn), FAAS_ENOENT, FAAS_EINUSE);
}

static void do_publish_version(struct worker *w)
{
    struct known *known = pick(w);
    uint32_t name = known->name, version;
    faas_fn fn;
    faas_status status = faas_function_publish(world.rt, known->fn, &version, &fn);

    EXPECT(status, FAAS_ENOENT, FAAS_EPERM, FAAS_EINIT, FAAS_EEXIST);
    if (status == FAAS_OK) {
        faas_share shares[2] = {{version, 3}, {version > 1 ? version - 1 : 1, 1}};
        faas_fn alias;

        status = faas_alias_put(world.rt, known->fn, "live", shares,
                                1 + random_below(&w->random, 2), &alias);
        EXPECT(status, FAAS_ENOENT, FAAS_EPERM, FAAS_EEXIST);
        know(w, fn, name);
        if (status == FAAS_OK)
            know(w, alias, name);
    }
}

static void do_subscribe(struct worker *w)
{
    uint64_t *id = &w->subscriptions[random_below(&w->random, 4)];

    if (*id != 0)
        EXPECT(faas_unsubscribe(world.rt, *id), FAAS_ENOENT);
    *id = 0;
    EXPECT(faas_subscribe(world.rt, pick(w)->fn,
                          random_below(&w->random, 2) == 0
                              ? FAAS_ON(.type = "stress.*")
                              : FAAS_ON(.type = "stress.outer", .source = "/stress"),
                          id),
           FAAS_ENOENT);
}

static void do_publish(struct worker *w)
{
    faas_delivery delivery;
    faas_status status = faas_publish_json(
        world.rt, "/stress", random_below(&w->random, 2) == 0 ? "stress.outer" : "other",
        "{}", &delivery);

    EXPECT(status, FAAS_ECLOSED);
    if (status == FAAS_OK)
        REQUIRE(delivery.matched == delivery.ran + delivery.refused + delivery.failed,
                "%u matched, %u ran, %u refused, %u failed", delivery.matched,
                delivery.ran, delivery.refused, delivery.failed);
}

static int text_drop(const char *text, size_t size, void *user)
{
    *(size_t *)user += size;
    return text[size - 1] == '\0';
}

static void do_look(struct worker *w)
{
    faas_function_stats stats = {.size = sizeof stats};
    faas_function_info info = {.size = sizeof info};
    static _Thread_local faas_histogram latency;
    size_t size = 0;
    uint32_t at = 0;
    faas_fn fn;

    switch (random_below(&w->random, 16)) {
    case 0:
        EXPECT(faas_describe_json(world.rt, text_drop, &size), FAAS_ECLOSED);
        break;
    case 1:
        EXPECT(faas_prometheus(world.rt, text_drop, &size), FAAS_ECLOSED);
        break;
    case 2:
        while (faas_function_next(world.rt, &at, &fn) == FAAS_OK)
            if (random_below(&w->random, 8) == 0 &&
                faas_function_describe(world.rt, fn, &info) == FAAS_OK &&
                info.name[0] != 'l') // who ends those that linger waits for them
                know(w, fn, NAMES);
        break;
    case 3:
    case 4:
    case 5:
    case 6:
        EXPECT(faas_function_describe(world.rt, pick(w)->fn, &info), FAAS_ENOENT);
        break;
    default:
        EXPECT(faas_function_stats_get(world.rt, pick(w)->fn, &stats, &latency),
               FAAS_ENOENT, FAAS_EPERM);
        REQUIRE(stats.errors + stats.timeouts <= stats.invocations,
                "more errors than calls");
        break;
    }
}

static void do_runtime(struct worker *w)
{
    static const uint32_t caps[] = {LINGERERS + 1, LINGERERS + 2, 1000, 1000};

    switch (random_below(&w->random, 3)) {
    case 0:
        EXPECT(faas_runtime_limit(world.rt, caps[random_below(&w->random, 4)]),
               FAAS_ECLOSED);
        break;
    case 1:
        faas_runtime_budget(world.rt,
                            random_below(&w->random, 4) == 0 ? 65536 : UINT64_C(1) << 30);
        break;
    default:
        faas_runtime_sweep(world.rt, NULL);
        break;
    }
}

static void do_call(struct worker *w)
{
    static const uint32_t odd[] = {NEST, NEST,        PUBLISH, FAIL,
                                   FAIL, NEST | FAIL, REMOVE,  REPLACE};
    struct known *known = pick(w);
    uint32_t flags = 0;

    if (random_below(&w->random, 32) == 0)
        flags = odd[random_below(&w->random, 8)];
    if (random_below(&w->random, 64) == 0)
        (void)!faas_invoke_with(world.rt, known->fn, faas_str(NULL),
                                FAAS_CALL(.dry_run = 1), NULL);
    for (uint32_t i = random_below(&w->random, 8);; i--) { // some calls are warm
        faas_status status = call(w, known, flags);

        w->operations++;
        if (status == FAAS_ENOENT && random_below(&w->random, 4) != 0)
            find(w, known);
        if (i == 0 || status == FAAS_ENOENT)
            break;
    }
}

/* One operation of any kind; calls are the most of them. */
static void operate(struct worker *w)
{
    static void (*const rare[])(struct worker *) = {
        do_register,  do_register, do_register, do_register,   do_find,
        do_replace,   do_update,   do_update,   do_unregister, do_publish_version,
        do_subscribe, do_publish,  do_publish,  do_look,       do_runtime};
    uint32_t which = random_below(&w->random, 60);

    if (which < sizeof rare / sizeof rare[0]) {
        rare[which](w);
        w->operations++;
    } else {
        do_call(w);
    }
}

/* ---- rounds ---- */

/* Is in a handler when the runtime is closed. */
static void work_lingering(struct worker *w)
{
    struct owner *owner = owner_open(NAMES + w->number, &w->random);
    faas_function function;
    struct known known;
    char name[16];

    owner->together = 1;
    (void)descriptor(owner, &w->random, &function, name);
    name[0] = 'l';
    function.instance_concurrency = 1;
    function.concurrency = function.provisioned = 0;
    function.age_ns = function.invocation_max = function.idle_ns = 0;
    EXPECT(faas_function_register(world.rt, &function, &known.fn), FAAS_ECLOSED);
    known.name = owner->name;
    /* The others may keep the runtime full or small: ask again. */
    while (call(w, &known, LINGER | NEST) != FAAS_OK)
        rest();
}

static void *work(void *user)
{
    struct worker *w = user;

    memset(w->known, 0, sizeof w->known);
    memset(w->subscriptions, 0, sizeof w->subscriptions);
    if (w->number < LINGERERS) {
        work_lingering(w);
        return NULL;
    }
    for (uint64_t end = w->operations + world.operations; w->operations < end;)
        operate(w);
    atomic_fetch_add(&world.arrived, 1);
    while (!atomic_load(&world.closing)) // so that the runtime is closed over all of them
        operate(w);
    for (int i = 0; i < LAST_CALLS; i++)
        operate(w);
    atomic_fetch_add(&world.finished, 1);
    return NULL;
}

static void owners_check(void)
{
    struct owner *owner, *next;

    for (owner = atomic_exchange(&world.owners, NULL); owner != NULL; owner = next) {
        next = owner->next;
        REQUIRE(atomic_load(&owner->frees) == 1, "user of f%u freed %u times",
                owner->name, atomic_load(&owner->frees));
        REQUIRE(atomic_load(&owner->inits) == atomic_load(&owner->closes),
                "%u inits, %u closes", atomic_load(&owner->inits),
                atomic_load(&owner->closes));
        free(owner);
    }
}

static void round_run(struct worker *workers, uint64_t seed)
{
    faas_runtime_options options = FAAS_RUNTIME_OPTIONS_INIT;
    struct faulty faulty = {.fail_at = 0};
    faas_allocator allocator = faulty_allocator(&faulty);

    options.allocator = &allocator;
    options.memory_bytes = UINT64_C(1) << 30;
    options.seed = seed;
    options.depth_max = 6;
    REQUIRE(faas_runtime_open(&world.rt, &options) == FAAS_OK, "no runtime: %s",
            faas_error_text());
    atomic_store(&world.lingering, 0);
    atomic_store(&world.arrived, 0);
    atomic_store(&world.finished, 0);
    atomic_store(&world.closing, false);
    for (uint32_t i = 0; i < THREADS; i++)
        REQUIRE(pthread_create(&workers[i].thread, NULL, work, &workers[i]) == 0,
                "no thread");
    while (atomic_load(&world.lingering) < LINGERERS ||
           atomic_load(&world.arrived) < THREADS - LINGERERS)
        rest();
    /* The lingering calls keep it from being freed while the others go on. */
    atomic_store(&world.closing, true);
    REQUIRE(faas_runtime_close(world.rt) == FAAS_OK, "not closed: %s", faas_error_text());
    for (uint32_t i = 0; i < THREADS; i++)
        pthread_join(workers[i].thread, NULL);
    for (uint32_t i = 0; i < MAILBOXES; i++)
        faas_result_release(atomic_exchange(&world.mailboxes[i], NULL));
    owners_check();
    REQUIRE(atomic_load(&faulty.live_bytes) == 0 && atomic_load(&faulty.live_blocks) == 0,
            "%zu bytes in %zu blocks are left", atomic_load(&faulty.live_bytes),
            atomic_load(&faulty.live_blocks));
}

int main(int argc, char **argv)
{
    uint64_t operations = argc > 1 ? strtoull(argv[1], NULL, 0) : OPERATIONS;
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;
    static struct worker workers[THREADS];
    uint64_t done = 0, calls = 0, ran = 0, gone = 0, refused = 0;

    world.operations = operations / ROUNDS / (THREADS - LINGERERS) + 1;
    for (uint32_t i = 0; i < THREADS; i++) {
        workers[i].number = i;
        workers[i].random = (seed * THREADS + i + 1) * 0x9e3779b97f4a7c15u;
    }
    for (uint32_t i = 0; i < ROUNDS; i++)
        round_run(workers, seed * ROUNDS + i + 1);
    for (uint32_t i = 0; i < THREADS; i++) {
        done += workers[i].operations;
        calls += workers[i].calls;
        ran += workers[i].ran;
        gone += workers[i].gone;
        refused += workers[i].refused;
    }
    printf("%llu operations in %d rounds: %llu calls, %llu ran, %llu found nothing, %llu "
           "refused; %llu runs of handlers, %llu by events, %llu instances\n",
           (unsigned long long)done, ROUNDS, (unsigned long long)calls,
           (unsigned long long)ran, (unsigned long long)gone, (unsigned long long)refused,
           (unsigned long long)atomic_load(&world.handler_runs),
           (unsigned long long)atomic_load(&world.event_runs),
           (unsigned long long)atomic_load(&world.instances));
    return EXIT_SUCCESS;
}

/* SPDX-License-Identifier: MIT */
/* Sequences of calls on one runtime, on a virtual clock and without threads: whatever is
 * called in whatever order, also from handlers and when memory fails, each call says what
 * its header allows, the numbers add up, and at the end all that was accepted was ended
 * once, all that was made is closed, and all memory is back.
 *
 * The input: the runtime's bounds, and then calls, a byte that chooses and the bytes of
 * its arguments. Handlers take what they do from the same bytes; where there are none left
 * they answer, so that everything comes to an end. */
#include "memory.h"

#include <faas/faas.h>
#include <faas/keepalive.h>
#include <faas/letters.h>
#include <faas/limiter.h>
#include <faas/stats.h>

#include <stdio.h>

#define MS UINT64_C(1000000)

enum { SLOTS = 6, SPOTS = 48, HANDLES = 8, JOBS = 512, OPS = 160, DEEP = 3 };

/* A registration, as its handlers and hooks see it. */
struct spot {
    uint64_t runs, inits, closes;
    bool shared; /* with a version: then its numbers are of two */
};

struct job {
    unsigned accepted, told;
};

static struct world {
    struct memory memory;
    faas_allocator allocator;
    faas_clock *clock;
    faas_runtime *rt;
    struct bytes in;
    struct slot {
        faas_fn fn;
        struct spot *spot; /* NULL: an alias, or nothing */
    } slots[SLOTS];
    struct spot spots[SPOTS];
    struct job jobs[JOBS];
    faas_invocation handles[HANDLES];
    uint64_t subscriptions[4];
    unsigned spot_count, job_count, ops, depth, running;
    unsigned owned, freed; /* `user`s that were given, and came back */
    bool closing;
} w;

static uint8_t next(void)
{
    return byte_take(&w.in);
}

static bool left(void)
{
    return w.in.at < w.in.end && w.ops < OPS;
}

/* ---- statuses ---- */

static bool is_one_of(faas_status status, const faas_status *of)
{
    while (*of != FAAS_OK && *of != status)
        of++;
    return *of == status;
}

/* Ends the program where a status is none of those, which end with FAAS_OK. A runtime that
 * closes, and memory that fails, may be said anywhere. */
#define ALLOWED(status, ...)                                                             \
    REQUIRE(((status) == FAAS_ECLOSED && w.closing) || (status) == FAAS_ENOMEM ||        \
            is_one_of(status, (const faas_status[]){__VA_ARGS__}))

/* What a call of a function may come to. */
#define CALL_SAYS                                                                        \
    FAAS_ENOENT, FAAS_EBUSY, FAAS_EEXPIRED, FAAS_EINIT, FAAS_EDEPTH, FAAS_EHANDLER,      \
        FAAS_ETIMEDOUT

/* ---- handlers and hooks ---- */

static void op(void);

static int sink(const char *text, size_t size, void *user)
{
    REQUIRE(text != NULL && size != 0);
    (void)user;
    return 0;
}

/* Some of what may be done from inside, by a byte of the input. */
static int inside(uint8_t how)
{
    if ((how & 1) != 0)
        faas_clock_advance(w.clock, (how >> 4) * 5 * MS);
    if ((how & 2) != 0 && w.depth < DEEP && left()) {
        w.depth++;
        op();
        if ((how & 4) != 0 && left())
            op();
        w.depth--;
    }
    return (how & 8) != 0 ? 7 : 0;
}

static int handler(faas_context *ctx, faas_bytes input)
{
    struct spot *spot = faas_user(ctx);
    unsigned running = w.running++;
    int code;

    spot->runs++;
    REQUIRE(faas_attempt(ctx) >= 1);
    code = inside(next());
    w.running--;
    REQUIRE(w.running == running);
    if (code != 0)
        return faas_fail(ctx, code, "as asked");
    return faas_alloc(ctx, 48) == NULL ? FAAS_ENOMEM : faas_reply(ctx, input);
}

static int batch_handler(faas_context *ctx, faas_item *items, size_t count)
{
    struct spot *spot = faas_user(ctx);

    spot->runs += count;
    w.running++;
    for (size_t i = 0; i < count; i++) {
        items[i].code = inside(next());
        if (items[i].code == 0)
            items[i].code = faas_reply(items[i].ctx, items[i].input);
    }
    w.running--;
    return 0;
}

static int init_hook(faas_context *ctx, void **state)
{
    struct spot *spot = faas_user(ctx);

    if (next() % 16 == 15)
        return faas_fail(ctx, 3, "no instance");
    *state = faas_instance_alloc(ctx, 1000);
    if (*state == NULL)
        return FAAS_ENOMEM;
    spot->inits++;
    return 0;
}

static void close_hook(void *state, void *user)
{
    struct spot *spot = user;

    REQUIRE(state != NULL);
    spot->closes++;
    REQUIRE(spot->closes <= spot->inits);
}

static void user_free(void *user)
{
    REQUIRE(user != NULL);
    w.freed++;
}

/* Of a submission, whose `user` is its job; of a function, NULL. */
static void ended(const faas_record *record, void *user)
{
    struct job *job = user;

    REQUIRE(record->condition >= FAAS_SUCCESS && record->condition <= FAAS_DROPPED);
    REQUIRE((record->condition == FAAS_SUCCESS) == (record->status == FAAS_OK));
    if (job != NULL) {
        job->told++;
        REQUIRE(job->told == 1);
    }
    (void)inside(next() & 0xf7);
}

static void dead_letter(const faas_record *record, void *user)
{
    (void)user;
    REQUIRE(record->condition != FAAS_CONDITION_NONE && record->function != NULL);
}

static faas_bytes key_of(faas_bytes input, const faas_event *event, char *room,
                         void *user)
{
    (void)event;
    (void)room;
    (void)user;
    return input.size == 0 ? faas_bytes_of(NULL, 0) : faas_bytes_of(input.data, 1);
}

/* ---- functions ---- */

static struct slot *slot_pick(void)
{
    return &w.slots[next() % SLOTS];
}

static faas_bytes word(uint8_t which)
{
    static const char *const words[] = {NULL, "a", "b", "c"};

    return faas_str(words[which % 4]);
}

/* A descriptor, and what it points to. */
struct made {
    faas_function f;
    faas_async async;
    faas_limiter limiter;
    char name[8];
};

/* What goes from one to the other goes on to those that were there before: else it might
 * go round for ever. */
static void made_async(struct made *m, uint8_t how, bool is_new)
{
    uint8_t more = next(), times = next();

    m->async = (faas_async){.size = sizeof m->async,
                            .queue_slots = 1 + more % 4,
                            .on_queue_full = (faas_queue_full)(more / 4 % 5),
                            .queue_bytes = more >= 192 ? 20 : 0,
                            .queue_wait_ns = 20 * MS,
                            .retries = how % 4 == 0 ? FAAS_OFF : how % 4,
                            .retry_on = times % 3 == 0 ? FAAS_RETRY_ERROR : 0,
                            .backoff_ns = (uint64_t)(1 + times % 7) * 10 * MS,
                            .backoff_factor = 1 + times % 2,
                            .jitter = (faas_jitter)(times / 8 % 3),
                            .group_failure = (faas_group_failure)(times / 32 % 3),
                            .age_ns = (how & 4) != 0 ? 100 * MS : 0,
                            .blocking = times >= 240,
                            .dead_letters = (how & 8) != 0 ? FAAS_OFF : 0,
                            .key = (how & 16) != 0 ? key_of : NULL,
                            .idempotency_ns = (how & 32) != 0 ? 50 * MS : 0,
                            .idempotency_bytes = (how & 64) != 0 ? 4000 : 0,
                            .on_failure = {.ended = (how & 128) != 0 ? ended : NULL}};
    if (is_new && more % 8 == 3)
        m->async.on_success.fn = slot_pick()->fn;
    if (is_new && more % 8 == 5)
        m->async.on_failure.fn = slot_pick()->fn;
    if (more % 16 == 7)
        m->async.on_failure.event_type = "lost";
    m->f.async = &m->async;
}

static void made_limiter(struct made *m)
{
    uint8_t how = next();

    m->limiter = (faas_limiter){.size = sizeof m->limiter,
                                .kind = (faas_limiter_kind)(how % 8),
                                .limit = how / 8 % 4,
                                .rate = (how & 32) != 0 ? 50 : 0,
                                .burst = (how & 32) != 0 ? 2 : 0,
                                .cold_rate = (how & 64) != 0 ? 20 : 0};
    if (m->limiter.limit != 0)
        m->limiter.limit_min = 1;
    m->f.limiter = &m->limiter;
}

/* The policy that functions have at all times. */
static void made_policy(struct made *m)
{
    static const uint32_t caps[] = {0, 1, 2, FAAS_OFF};
    uint8_t how = next(), times = next();

    m->f.concurrency = caps[how % 4];
    m->f.provisioned = how / 4 % 8 == 7 ? 1 : 0;
    m->f.instance_max = how / 32 % 4;
    m->f.instance_bytes = (how & 128) != 0 ? 700000 : 0;
    m->f.idle_ns = (uint64_t)(1 + times % 8) * 20 * MS;
    m->f.timeout_ns = times / 8 % 4 == 3 ? 20 * MS : 0;
    m->f.age_ns = times / 32 % 4 == 3 ? 50 * MS : 0;
    m->f.invocation_max = times >= 192 ? 2 : 0;
    m->f.wait_ns = 10 * MS;
}

static struct spot *made_make(struct made *m, unsigned place, struct spot *spot)
{
    uint8_t how = next();

    memset(m, 0, sizeof *m);
    m->f.size = sizeof m->f;
    if (spot == NULL && w.spot_count < SPOTS)
        spot = &w.spots[w.spot_count++];
    if (spot == NULL)
        return NULL;
    (void)snprintf(m->name, sizeof m->name, "f%u", place);
    m->f.name = m->name;
    m->f.handler = handler;
    m->f.user = spot;
    m->f.user_free = user_free;
    m->f.init = init_hook; // so that instances are counted
    m->f.close = close_hook;
    made_policy(m);
    if ((how & 1) != 0)
        m->f.batch = batch_handler;
    if ((how & 2) != 0)
        m->f.cache_bytes = 20000;
    if ((how & 4) != 0)
        m->f.cache_mode = FAAS_CACHE_SINGLE_FLIGHT;
    if ((how & 8) != 0)
        m->f.instance_concurrency = 2;
    if ((how & 16) != 0)
        m->f.prewarm = 1;
    if ((how & 32) != 0 && m->f.batch == NULL)
        made_limiter(m);
    if ((how & 64) != 0)
        m->f.heap_bytes = 100;
    return spot;
}

static void op_register(void)
{
    unsigned place = next() % SLOTS;
    struct slot *slot = &w.slots[place];
    struct made m;
    struct spot *spot = made_make(&m, place, NULL);
    unsigned freed = w.freed;
    faas_status status;
    faas_fn fn;
    uint8_t how;

    if (spot == NULL)
        return;
    how = next();
    if (how != 0)
        made_async(&m, how, true);
    w.owned++;
    status = faas_function_register(w.rt, &m.f, &fn);
    ALLOWED(status, FAAS_EEXIST, FAAS_EINIT, FAAS_EINVAL, FAAS_OK);
    REQUIRE((status == FAAS_OK) == (fn.generation != 0));
    if (status == FAAS_OK) {
        slot->fn = fn;
        slot->spot = spot;
    } else if (w.depth == 0) {
        REQUIRE(w.freed == freed + 1 && spot->inits == spot->closes);
    }
}

static void op_replace(void)
{
    unsigned place = next() % SLOTS;
    struct slot *slot = &w.slots[place];
    struct made m;
    faas_status status;
    uint8_t how;

    if (slot->spot == NULL)
        return;
    (void)made_make(&m, place, slot->spot);
    m.f.name = NULL;
    how = next();
    if (how != 0)
        made_async(&m, how, false);
    w.owned++;
    status = faas_function_replace(w.rt, slot->fn, &m.f);
    ALLOWED(status, FAAS_ENOENT, FAAS_EPERM, FAAS_EINIT, FAAS_EINVAL, FAAS_EEXIST,
            FAAS_OK);
}

static void op_update(void)
{
    struct slot *slot = slot_pick();
    struct made m;
    uint8_t how = next();
    faas_status status;

    memset(&m, 0, sizeof m);
    m.f.size = sizeof m.f;
    if ((how & 1) != 0)
        made_policy(&m);
    if ((how & 2) != 0)
        made_limiter(&m);
    if ((how & 4) != 0)
        m.f.concurrency = FAAS_UNLIMITED;
    if ((how & 8) != 0)
        m.f.instance_min = how >= 128 ? 1 : FAAS_OFF;
    if ((how & 16) != 0)
        m.f.cache_bytes = 100 * how;
    if ((how & 32) != 0)
        m.f.budget_bytes = 1000000;
    status = faas_function_update(w.rt, slot->fn, &m.f);
    ALLOWED(status, FAAS_ENOENT, FAAS_EPERM, FAAS_EINVAL, FAAS_EINIT, FAAS_OK);
}

static void op_unregister(void)
{
    struct slot *slot = slot_pick();
    faas_status status = faas_function_unregister(w.rt, slot->fn);

    ALLOWED(status, FAAS_ENOENT, FAAS_EINUSE, FAAS_OK);
    if (status == FAAS_OK && next() % 2 == 0) // else the stale handle stays
        memset(slot, 0, sizeof *slot);
}

static void op_version(void)
{
    struct slot *from = slot_pick(), *to = slot_pick();
    uint32_t version = 0;
    faas_share shares[2] = {{1 + next() % 3, 1 + next() % 2}, {1, 1}};
    faas_status status;
    faas_fn fn;

    if (next() % 2 == 0) {
        status = faas_function_publish(w.rt, from->fn, &version, &fn);
        ALLOWED(status, FAAS_ENOENT, FAAS_EPERM, FAAS_EINIT, FAAS_EEXIST, FAAS_OK);
        if (status != FAAS_OK)
            return;
        REQUIRE(version >= 1 && from->spot != NULL);
        from->spot->shared = true;
        to->spot = from->spot;
        to->fn = fn;
        return;
    }
    status = faas_alias_put(w.rt, from->fn, "live", shares, 1 + next() % 2, &fn);
    ALLOWED(status, FAAS_ENOENT, FAAS_EINVAL, FAAS_EPERM, FAAS_EEXIST, FAAS_OK);
    if (status == FAAS_OK) {
        to->spot = NULL;
        to->fn = fn;
    }
}

/* ---- calls ---- */

static void op_invoke(void)
{
    struct slot *slot = slot_pick();
    uint8_t how = next();
    faas_result *result = NULL;
    faas_invoke_options opt = {.size = sizeof opt,
                               .limit_ns = (how & 1) != 0 ? 10 * MS : 0,
                               .key = word(how / 2),
                               .tenant = word(how / 8),
                               .priority = (faas_priority)(how / 32 % 4),
                               .fresh = how >= 192,
                               .dry_run = how == 255};
    faas_status status = faas_invoke_with(w.rt, slot->fn, word(next()), &opt,
                                          (how & 16) != 0 ? &result : NULL);

    ALLOWED(status, CALL_SAYS, FAAS_OK);
    if (status == FAAS_EBUSY)
        REQUIRE(faas_retry_after_ns() >= 1000);
    if ((how & 16) != 0 && how != 255)
        REQUIRE((result != NULL) == (status == FAAS_OK || status == FAAS_EHANDLER ||
                                     status == FAAS_ETIMEDOUT));
    if (result != NULL)
        REQUIRE(faas_result_code(result) != 0 || status != FAAS_EHANDLER);
    faas_result_release(result);
}

/* What a submission may come to. */
#define SUBMIT_SAYS FAAS_ENOENT, FAAS_EBUSY, FAAS_EEXPIRED

static void submit_options(faas_submit_options *opt, struct job *job)
{
    uint8_t who = next(), when = next();

    *opt = (faas_submit_options){
        .size = sizeof *opt,
        .group = word(who),
        .tenant = word(who / 4),
        .key = word(who / 16),
        .priority = (faas_priority)(who / 64),
        .delay_ns = when % 8 == 7 ? 30 * MS : 0,
        .limit_ns = when / 8 % 4 == 3 ? 40 * MS : 0,
        .start_ns = when / 32 % 4 == 3 ? faas_clock_now(w.clock) + 25 * MS : 0,
        .tenant_weight = when >= 192 ? 3 : 0,
        .will_wait = when % 16 == 9,
        .ended = ended,
        .ended_user = job};
}

static faas_invocation *handle_new(void)
{
    faas_invocation *handle = &w.handles[next() % HANDLES];

    return handle->generation == 0 ? handle : NULL;
}

static void op_submit(void)
{
    struct slot *slot = slot_pick();
    faas_invocation *handle = handle_new(), invocation;
    struct job *job = w.job_count < JOBS ? &w.jobs[w.job_count++] : NULL;
    faas_submit_options opt;
    faas_status status;

    if (job == NULL)
        return;
    submit_options(&opt, job);
    status = faas_invoke_async(w.rt, slot->fn, word(next()), &opt,
                               handle == NULL ? NULL : &invocation);
    ALLOWED(status, SUBMIT_SAYS, FAAS_OK);
    job->accepted = status == FAAS_OK;
    if (handle == NULL)
        return;
    REQUIRE((status == FAAS_OK) == (invocation.generation != 0));
    if (handle->generation == 0)
        *handle = invocation;
    else // somebody inside was quicker
        faas_invocation_release(w.rt, invocation);
}

static void op_submit_many(void)
{
    struct slot *slot = slot_pick();
    faas_invocation invocations[5];
    faas_bytes inputs[5];
    faas_submit_options opt;
    size_t count = 1 + next() % 5, accepted;
    faas_status status;
    bool handles = next() % 2 == 1;

    for (size_t i = 0; i < count; i++)
        inputs[i] = word((uint8_t)i);
    submit_options(&opt, NULL);
    status = faas_invoke_async_many(w.rt, slot->fn, inputs, count, &opt,
                                    handles ? invocations : NULL, &accepted);
    ALLOWED(status, SUBMIT_SAYS, FAAS_OK);
    REQUIRE(accepted <= count && (status == FAAS_OK) == (accepted == count));
    for (size_t i = 0; handles && i < count; i++) {
        REQUIRE((invocations[i].generation != 0) == (i < accepted));
        faas_invocation_release(w.rt, invocations[i]);
    }
}

/* The status of one that has ended, or of a handle that names none. */
#define END_SAYS CALL_SAYS, FAAS_ECANCELLED, FAAS_ECLOSED

static void op_wait(void)
{
    faas_invocation handle = w.handles[next() % HANDLES];
    faas_result *result = NULL;
    faas_status status =
        faas_invocation_wait(w.rt, handle, 0, next() % 2 == 0 ? NULL : &result);

    ALLOWED(status, END_SAYS, FAAS_EPENDING, FAAS_EPERM, FAAS_OK);
    REQUIRE(result == NULL || status == FAAS_OK || status == FAAS_EHANDLER ||
            status == FAAS_ETIMEDOUT);
    faas_result_release(result);
}

static void op_cancel(void)
{
    faas_status status = faas_invocation_cancel(w.rt, w.handles[next() % HANDLES]);

    ALLOWED(status, FAAS_EPENDING, FAAS_EINUSE, FAAS_ENOENT, FAAS_OK);
}

static void op_release(void)
{
    faas_invocation *handle = &w.handles[next() % HANDLES], old = *handle;

    memset(handle, 0, sizeof *handle);
    faas_invocation_release(w.rt, old);
    REQUIRE(faas_invocation_cancel(w.rt, old) != FAAS_OK);
}

static void op_look(void)
{
    faas_invocation_info info = {.size = sizeof info};
    faas_status status =
        faas_invocation_describe(w.rt, w.handles[next() % HANDLES], &info);

    ALLOWED(status, FAAS_ENOENT, FAAS_OK);
    if (status == FAAS_OK)
        REQUIRE((info.phase == FAAS_PHASE_ENDED) == (info.status != FAAS_EPENDING));
}

/* ---- the bus ---- */

static void op_publish(void)
{
    static const char *const types[] = {"a", "a.b", "lost", ""};
    static const char *const texts[] = {"1", "{\"n\": 5}", "{\"n\": ", "\"x\""};
    uint8_t how = next();
    faas_delivery delivery;
    faas_status status =
        faas_publish_json(w.rt, "/s", types[how % 4], texts[how / 4 % 4], &delivery);

    ALLOWED(status, FAAS_EINVAL, FAAS_ESYNTAX, FAAS_EDEPTH, FAAS_OK);
    if (status == FAAS_OK)
        REQUIRE(delivery.repeated != 0 ||
                delivery.matched ==
                    delivery.ran + delivery.refused + delivery.failed + delivery.queued);
}

static void op_publish_event(void)
{
    static const char *const ids[] = {"1", "2", "3", "4"};
    uint8_t how = next();
    faas_delivery delivery;
    faas_event *event;
    faas_status status = faas_event_create(
        FAAS_EVENT(.id = ids[how % 4], .source = "/s", .type = "a", .data = word(how / 4),
                   .allocator = &w.allocator, .data_content_type = "text/plain"),
        &event);

    ALLOWED(status, FAAS_OK);
    if (status != FAAS_OK)
        return;
    status = faas_publish(w.rt, event, &delivery);
    ALLOWED(status, FAAS_EINVAL, FAAS_EDEPTH, FAAS_OK);
    faas_event_release(event);
}

static void op_subscribe(void)
{
    uint8_t how = next();
    uint64_t *id = &w.subscriptions[how % 4];
    static const char *const types[] = {NULL, "a", "a.*", "lost"};
    faas_status status;

    if (*id != 0) {
        status = faas_unsubscribe(w.rt, *id);
        ALLOWED(status, FAAS_ENOENT, FAAS_OK);
        if (status != FAAS_ENOMEM)
            *id = 0;
        return;
    }
    status =
        faas_subscribe(w.rt, slot_pick()->fn,
                       FAAS_ON(.type = types[how / 4 % 4], .queued = how / 16 % 2), id);
    ALLOWED(status, FAAS_ENOENT, FAAS_EPERM, FAAS_OK);
    if (status != FAAS_OK)
        *id = 0;
}

static void op_rule(void)
{
    static const char *const names[] = {"r", "s", "t", ""};
    static const char *const patterns[] = {
        "{\"type\": [\"a\"]}", "{\"data\": {\"n\": [{\"numeric\": [\">\", 1]}]}}",
        "{\"type\": [{\"prefix\": \"l\"}], \"data\": {\"n\": [{\"exists\": false}]}}",
        "{\"type\": "};
    uint8_t how = next();
    faas_status status;

    if (how >= 192) {
        status = faas_rule_delete(w.rt, names[how % 4]);
        ALLOWED(status, FAAS_ENOENT, FAAS_EINVAL, FAAS_OK);
        return;
    }
    faas_rule_options opt = {.size = sizeof opt,
                             .input_paths =
                                 (how & 16) != 0 ? "{\"n\": \"$.data\"}" : NULL,
                             .input_template = (how & 32) != 0 ? "[<n>]" : NULL,
                             .queued = (how & 64) != 0};
    status = faas_rule_put_with(w.rt, names[how % 4], patterns[how / 4 % 4],
                                slot_pick()->fn, &opt);
    ALLOWED(status, FAAS_ENOENT, FAAS_ESYNTAX, FAAS_EINVAL, FAAS_OK);
}

/* ---- time and bounds ---- */

static void op_run_until(void)
{
    uint64_t ran, until = faas_clock_now(w.clock) + next() * 2 * MS;
    faas_status status = faas_run_until(w.rt, until, &ran);

    ALLOWED(status, FAAS_EPERM, FAAS_OK);
    REQUIRE((status == FAAS_EPERM) == (w.running != 0) || w.depth != 0);
    if (status == FAAS_OK)
        REQUIRE(faas_clock_now(w.clock) >= until);
}

static void op_run_once(void)
{
    uint64_t when;
    uint64_t ran = faas_run_once(w.rt, next() % 2 * MS, &when);

    REQUIRE(w.running == 0 || ran == 0);
}

static void op_pass(void)
{
    faas_clock_advance(w.clock, next() * MS);
}

static void op_sweep(void)
{
    uint64_t when;

    faas_runtime_sweep(w.rt, &when);
    (void)when;
}

static void op_bounds(void)
{
    static const uint32_t limits[] = {0, 1, 3, FAAS_UNLIMITED};
    uint8_t how = next();

    if (how % 2 == 0)
        faas_runtime_budget(w.rt, (uint64_t)(how / 2) * 100000);
    else
        REQUIRE(faas_runtime_limit(w.rt, limits[how / 2 % 4]) == FAAS_OK);
}

static void op_keepalive(void)
{
    faas_status status = faas_runtime_keepalive(w.rt, (faas_keepalive)(next() % 7), NULL);

    ALLOWED(status, FAAS_OK);
}

/* One of the next calls for memory gets none. */
static void op_fail(void)
{
    atomic_store(&w.memory.fail_at, atomic_load(&w.memory.calls) + 1 + next());
}

/* ---- dead letters, numbers ---- */

static int letter_see(const faas_record *record, void *user)
{
    (void)user;
    REQUIRE(record->condition != FAAS_CONDITION_NONE);
    return next() % 8 == 7;
}

static void op_letters(void)
{
    uint8_t how = next();
    faas_letter_filter filter = {.size = sizeof filter,
                                 .most = how / 4 % 4,
                                 .condition = how >= 192 ? FAAS_DROPPED : 0,
                                 .group = word(how / 16)};
    static const faas_fn none;
    uint64_t count;
    faas_status status;

    if ((how & 64) != 0)
        filter.fn = slot_pick()->fn;
    if (how % 4 == 0)
        status = faas_letters_list(w.rt, &filter, letter_see, NULL, &count);
    else if (how % 4 == 1)
        status = faas_letters_purge(w.rt, &filter, &count);
    else
        status = faas_letters_redrive(w.rt, &filter,
                                      how % 4 == 2 ? none : slot_pick()->fn, &count);
    ALLOWED(status, SUBMIT_SAYS, FAAS_EINVAL, FAAS_OK);
    if (status == FAAS_OK && filter.most != 0)
        REQUIRE(count <= filter.most);
}

static void op_describe(void)
{
    faas_status status = next() % 2 == 0 ? faas_describe_json(w.rt, sink, NULL)
                                         : faas_prometheus(w.rt, sink, NULL);

    ALLOWED(status, FAAS_OK);
}

/* ---- what must hold ---- */

/* All that was accepted is somewhere, and once. */
static void async_add_up(faas_fn fn)
{
    faas_async_stats s = {.size = sizeof s};
    faas_status status = faas_async_stats_get(w.rt, fn, &s);

    ALLOWED(status, FAAS_ENOENT, FAAS_OK);
    if (status != FAAS_OK)
        return;
    REQUIRE(s.running == 0 && s.stuck == 0 && s.quarantined == 0 && s.workers == 0);
    REQUIRE(s.submitted ==
            s.succeeded + s.exhausted + s.expired + s.cancelled + s.dropped + s.queued);
    REQUIRE(s.queued != 0 || (s.queued_bytes == 0 && s.oldest_ns == 0));
}

/* Nobody is inside. */
static void numbers_check(void)
{
    static const faas_fn all;
    uint32_t instances = 0;
    faas_keepalive_stats keepalive = {.size = sizeof keepalive};

    REQUIRE(w.running == 0);
    async_add_up(all);
    for (unsigned i = 0; i < SLOTS; i++) {
        faas_function_stats s = {.size = sizeof s};
        const struct spot *spot = w.slots[i].spot;
        faas_status status = faas_function_stats_get(w.rt, w.slots[i].fn, &s, NULL);

        ALLOWED(status, FAAS_ENOENT, FAAS_EPERM, FAAS_OK);
        async_add_up(w.slots[i].fn);
        if (status != FAAS_OK)
            continue;
        REQUIRE(s.concurrency == 0 && s.waiting == 0 && s.batch_waiting == 0);
        REQUIRE(s.instances_idle == s.instances);
        REQUIRE(s.errors <= s.invocations && s.timeouts <= s.invocations);
        if (spot == NULL || spot->shared)
            continue;
        REQUIRE(s.invocations == spot->runs && s.cold_starts == spot->inits);
        REQUIRE(s.instances == spot->inits - spot->closes);
        instances += s.instances;
    }
    REQUIRE(faas_keepalive_stats_get(w.rt, &keepalive) == FAAS_OK);
    REQUIRE(keepalive.instances >= instances);
    REQUIRE(keepalive.instances_idle == keepalive.instances);
}

static void op(void)
{
    static void (*const ops[])(void) = {
        op_register, op_invoke,        op_submit,    op_run_until,  op_run_once,
        op_wait,     op_cancel,        op_release,   op_publish,    op_subscribe,
        op_rule,     op_update,        op_replace,   op_unregister, op_pass,
        op_sweep,    op_bounds,        op_letters,   op_fail,       op_submit_many,
        op_look,     op_publish_event, op_keepalive, op_version,    op_describe};

    w.ops++;
    ops[next() % (sizeof ops / sizeof ops[0])]();
}

static void world_open(void)
{
    uint8_t how = next(), more = next();
    faas_runtime_options opt = {.size = sizeof opt,
                                .clock = w.clock,
                                .allocator = &w.allocator,
                                .seed = 1 + how,
                                .concurrency_max = how % 4 == 3 ? 2 : 0,
                                .depth_max = how / 4 % 4 == 3 ? 2 : 0,
                                .memory_bytes = (how & 16) != 0 ? 2000000 : 64 << 20,
                                .worker_max = FAAS_OFF,
                                .queue_slots = 8 + more % 32,
                                .queue_bytes = more >= 192 ? 30 : 0,
                                .dead_letter_slots = 1 + more % 8,
                                .dead_letter_bytes = more % 64 == 9 ? 2000 : 0,
                                .dead_letter = dead_letter,
                                .dedupe = (faas_dedupe)(more / 64),
                                .dedupe_ns = 50 * MS,
                                .keepalive = (faas_keepalive)(how / 32 % 7)};

    REQUIRE(faas_runtime_open(&w.rt, &opt) == FAAS_OK);
}

static void world_close(uint64_t drain_ns)
{
    for (unsigned i = 0; i < HANDLES; i += 2)
        faas_invocation_release(w.rt, w.handles[i]);
    w.closing = true;
    REQUIRE(faas_runtime_close_with(w.rt, FAAS_CLOSE(.drain_ns = drain_ns)) == FAAS_OK);
    faas_clock_close(w.clock);
    for (unsigned i = 0; i < w.job_count; i++)
        REQUIRE(w.jobs[i].told == w.jobs[i].accepted);
    for (unsigned i = 0; i < w.spot_count; i++)
        REQUIRE(w.spots[i].inits == w.spots[i].closes);
    REQUIRE(w.freed == w.owned && w.running == 0);
    REQUIRE(atomic_load(&w.memory.blocks) == 0 && atomic_load(&w.memory.bytes) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    memset(&w, 0, sizeof w);
    w.in = (struct bytes){data, data + size};
    w.allocator = memory_allocator(&w.memory);
    REQUIRE(faas_clock_open_virtual(1000 * MS, &w.allocator, &w.clock) == FAAS_OK);
    world_open();
    while (left()) {
        op();
        numbers_check();
    }
    atomic_store(&w.memory.fail_at, 0);
    world_close(size % 2 == 0 ? 0 : 100 * MS);
    return 0;
}

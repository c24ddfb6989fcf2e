/* SPDX-License-Identifier: MIT */
/* Random programs of asynchronous invocations on a virtual clock, without workers, each
 * against a model that says what had to come of it: see sim_async_model.h. How to run it:
 * see sim.h.
 *
 * A program makes a runtime with small bounds, and functions with caps, policies, retries
 * and destinations; then it submits, publishes, waits, cancels, moves time, drives, sends
 * dead letters again, switches functions off and on, removes them, and closes. Handlers do
 * the same from inside. */
#include "sim_async_model.h"

#if defined(FAASI_SANITIZED)
#define SEEDS 300
#elif !defined(__OPTIMIZE__)
#define SEEDS 2000
#else
#define SEEDS 20000
#endif

enum { KEPT = 48, TEXT_MAX = 80, OPS = 300, DEEP = 4, BATCH_MAX = 6 };

/* Handles that were not given back. */
static struct kept {
    faas_invocation invocation;
    int job;
    uint32_t waiters; /* on the stack: nobody may release it meanwhile */
} kept[KEPT];

static struct faulty memory;
static faas_allocator allocator;
static uint32_t roots; /* inputs that were made */

static int handler(faas_context *ctx, faas_bytes input);
static int batch_handler(faas_context *ctx, faas_item *items, size_t count);
static int instance_init(faas_context *ctx, void **state);
static void instance_close(void *state, void *user);
static void told(const faas_record *record, void *user);

static uint64_t ms(uint32_t count)
{
    return count * MS;
}

/* ---- functions ---- */

/* A function before the `below`th that refuses when it is full, or NOBODY. */
static int target_pick(int below)
{
    int f = (int)dice((uint32_t)below + 1) - 1;

    return f >= 0 && m.fns[f].target ? f : NOBODY;
}

/* The policy of a function, with every value said: so the model need not know defaults. */
static void policy_make(struct fn_model *f)
{
    static const uint32_t backoffs[] = {1, 10, 100, 1000};

    f->policy = (faas_async){
        .size = sizeof f->policy,
        .queue_slots = once_in(2) ? 1 + dice(8) : 1000,
        .on_queue_full = f->target ? FAAS_QUEUE_REFUSE
                                   : (faas_queue_full)(FAAS_QUEUE_REFUSE + dice(4)),
        .queue_bytes = once_in(4) ? 100 + dice(400) : 1000000,
        .retries = once_in(4) ? 0 : 1 + dice(3),
        .retry_on = once_in(4) ? 1 + dice(3) : FAAS_RETRY_ALL,
        .backoff_ns = ms(backoffs[dice(4)]),
        .backoff_max_ns = ms(backoffs[dice(4)]) * 2,
        .backoff_factor = 1 + dice(3),
        .jitter = once_in(3) ? FAAS_JITTER_NONE : FAAS_JITTER_FULL,
        .group_failure = once_in(2) ? FAAS_GROUP_SKIP : FAAS_GROUP_BLOCK,
        .age_ns = once_in(3) ? ms(50 + dice(2000)) : ms(1000000),
        .blocking = once_in(4),
        .dead_letters = once_in(4) ? FAAS_OFF : 0,
        .idempotency_ns = once_in(2) ? 0 : FAAS_FOREVER,
        .on_failure = {.ended = told, .user = NULL},
    };
    f->on_success = once_in(6) ? target_pick((int)(f - m.fns)) : NOBODY;
    f->on_failure = once_in(3) ? target_pick((int)(f - m.fns)) : NOBODY;
    f->by_event = f != m.fns && once_in(6);
    /* What a batch comes to is told of when all of it is known: so nothing is to follow from
     * that. And where others may have its seat it is tried again after some time. */
    f->batches = m.running_max == 1000 && once_in(3);
    if (f->batches) {
        f->policy.dead_letters = FAAS_OFF;
        f->on_success = f->on_failure = NOBODY;
        f->by_event = false;
    }
    if (f->on_success != NOBODY || once_in(3))
        f->policy.on_success.ended = told;
    if (f->on_success != NOBODY)
        f->policy.on_success.fn = m.fns[f->on_success].fn;
    if (f->by_event) {
        f->on_failure = 0; // who subscribes to these
        f->policy.on_failure.event_type = "failure";
    } else if (f->on_failure != NOBODY) {
        f->policy.on_failure.fn = m.fns[f->on_failure].fn;
    }
}

/* A new function, or one in the place of `f`, which keeps what waits, its age, whether
 * its failures are kept, and the threads that it is for. */
static void function_make(struct fn_model *f, bool replace)
{
    uint64_t age_ns = f->policy.age_ns;
    uint32_t blocking = f->policy.blocking, dead_letters = f->policy.dead_letters;
    faas_async policy;
    faas_status status;

    f->cap = once_in(2) ? 1 + dice(3) : UINT32_MAX;
    f->timeout = ms(10 * dice(10) + 5);
    f->fails = dice(6);
    policy_make(f);
    memset(f->kept, 0, sizeof f->kept);
    if (replace) {
        f->policy.age_ns = age_ns;
        f->policy.blocking = blocking;
        f->policy.dead_letters = dead_letters;
        f->batches &= dead_letters == FAAS_OFF;
    }
    policy = f->policy;
    if (policy.retries == 0)
        policy.retries = FAAS_OFF;
    const faas_function function = {.size = sizeof function,
                                    .name = f->name,
                                    .handler = f->batches ? NULL : handler,
                                    .batch = f->batches ? batch_handler : NULL,
                                    .batch_max = f->batches ? BATCH_MAX : 0,
                                    .init = f->fails % 2 != 0 ? instance_init : NULL,
                                    .close = f->fails % 2 != 0 ? instance_close : NULL,
                                    .user = f,
                                    .concurrency = f->cap == UINT32_MAX && f->batches
                                                       ? FAAS_UNLIMITED
                                                   : f->cap == UINT32_MAX ? 0
                                                                          : f->cap,
                                    .timeout_ns = f->timeout,
                                    .async = &policy};

    status = replace ? faas_function_replace(m.rt, f->fn, &function)
                     : faas_function_register(m.rt, &function, &f->fn);
    SIM_REQUIRE(status == FAAS_OK, "%s", faas_error_text());
    f->there = f->on = true;
    sim_note(
        "%s: cap %u, %u slots, full %d, %u retries, backoff %llu, target %d, to %d %d",
        f->name, f->cap, f->policy.queue_slots, (int)f->policy.on_queue_full,
        f->policy.retries, (unsigned long long)f->policy.backoff_ns, f->target,
        f->on_success, f->on_failure);
}

static void subscribe(const struct fn_model *f, const char *type)
{
    SIM_REQUIRE(faas_subscribe(m.rt, f->fn, FAAS_ON(.type = type, .queued = 1), NULL) ==
                    FAAS_OK,
                "%s", faas_error_text());
}

static void op_register(void)
{
    struct fn_model *f = &m.fns[m.fn_count];

    if (m.fn_count == FUNCTIONS_MAX)
        return;
    memset(f, 0, sizeof *f);
    (void)snprintf(f->name, sizeof f->name, "f%d", m.fn_count);
    f->target = m.fn_count < 2 || once_in(3);
    function_make(f, false);
    f->by_rule = f->target && once_in(2);
    if (f->target && !f->by_rule) {
        subscribe(f, "news");
        f->hears = ++m.routes;
    }
    if (m.fn_count == 0)
        subscribe(f, "failure");
    m.fn_count++;
}

/* From here on the next allocation fails that is some steps ahead, and one alone or all
 * that follow; or none. */
static void faults_begin(void)
{
    memory.from_then_on = once_in(2);
    memory.fail_at = atomic_load(&memory.calls) + 1 + dice(6);
}

/* Whether one did. */
static bool faults_end(void)
{
    bool failed = memory.fail_at <= atomic_load(&memory.calls);

    memory.fail_at = 0;
    return failed;
}

/* Puts, replaces or deletes the rule of a function; what fails has changed nothing. */
static void op_rule(void)
{
    static const char *const patterns[] = {
        "{\"type\": [\"news\"]}", "{\"source\": [{\"prefix\": \"si\"}]}",
        "{\"data\": [{\"wildcard\": \"j*\"}], \"type\": [{\"suffix\": \"ews\"}]}",
        "{\"type\": [{\"anything-but\": \"failure\"}]}",
        /* for something else */
        "{\"type\": [\"olds\"]}", "{\"data\": [{\"prefix\": \"k\"}]}"};
    int f = target_pick(m.fn_count);
    uint32_t which = dice(FAASI_COUNT(patterns));
    bool faulty = once_in(3), failed;
    struct fn_model *fn = &m.fns[f == NOBODY ? 0 : f];
    faas_status status;

    if (f == NOBODY || !fn->by_rule)
        return;
    if (fn->hears != 0 && once_in(3)) {
        status = faas_rule_delete(m.rt, fn->name);
        sim_note("delete the rule of %s: %s", fn->name, faas_status_name(status));
        SIM_REQUIRE(status == (fn->there ? FAAS_OK : FAAS_ENOENT), "%s",
                    faas_status_name(status));
        fn->hears = 0;
        return;
    }
    if (which == 1 || which == 3) // failures come by events of another source and type
        which = f == 0 ? 0 : which;
    if (faulty)
        faults_begin();
    status = faas_rule_put_with(
        m.rt, fn->name, patterns[which], fn->fn,
        &(faas_rule_options){.size = sizeof(faas_rule_options), .queued = 1});
    failed = faulty && faults_end();
    sim_note("put the rule of %s, %u: %s", fn->name, which, faas_status_name(status));
    SIM_REQUIRE(status == (fn->there ? FAAS_OK : FAAS_ENOENT) ||
                    (failed && status == FAAS_ENOMEM),
                "%s", faas_status_name(status));
    if (status != FAAS_OK)
        return;
    if (fn->hears == 0)
        fn->hears = ++m.routes;
    fn->deaf = which >= 4;
}

/* Submits while memory is short: it is accepted, or nothing has happened. */
static void op_submit_faulty(void)
{
    int f = target_pick(m.fn_count);
    char text[TEXT_MAX];
    int size = snprintf(text, sizeof text, "j%u", roots);
    struct job_model *j;
    bool room, failed;
    faas_status status;

    if (f == NOBODY || !m.fns[f].there)
        return;
    room = room_for(f, (uint64_t)size, true);
    j = job_new(f, roots++, 0);
    j->bytes = (uint64_t)size;
    faults_begin();
    status = faas_invoke_async(m.rt, m.fns[f].fn, faas_bytes_of(text, (size_t)size), NULL,
                               NULL);
    failed = faults_end();
    sim_note("submit to %s while memory is short: %s", m.fns[f].name,
             faas_status_name(status));
    SIM_REQUIRE(status == (room ? FAAS_OK : FAAS_EBUSY) ||
                    (failed && status == FAAS_ENOMEM),
                "%s", faas_status_name(status));
    if (status == FAAS_OK)
        job_enter(j, 0);
    else if (status == FAAS_EBUSY)
        job_refuse(j);
    else
        j->phase = REFUSED;
}

/* Closes instances that are idle, all or some; what runs goes on, and there is room again
 * for what comes. */
static void op_budget(void)
{
    uint64_t bytes = once_in(2) ? 1 : 5000 + dice(100000);

    sim_note("a budget of %llu bytes, for a moment", (unsigned long long)bytes);
    faas_runtime_budget(m.rt, bytes);
    faas_runtime_budget(m.rt, UINT64_C(1) << 32);
}

static void op_replace(void)
{
    struct fn_model *f = &m.fns[dice((uint32_t)m.fn_count)];

    /* What goes to itself would go on for ever; see target_pick(m.fn_count). */
    if (f->there && f->on_success == NOBODY && f->on_failure == NOBODY && f != m.fns)
        function_make(f, true);
}

static void op_unregister(void)
{
    struct fn_model *f = &m.fns[dice((uint32_t)m.fn_count)];
    bool there = f->there;
    faas_status status;

    f->there = false;
    status = faas_function_unregister(m.rt, f->fn);
    sending_settle();
    sim_note("remove %s: %s", f->name, faas_status_name(status));
    SIM_REQUIRE(status == (there ? FAAS_OK : FAAS_ENOENT), "%s", f->name);
    EACH_ALIVE(j)
    {
        SIM_REQUIRE(&m.fns[j->f] != f, "%s outlives its function", job_text(j));
    }
    op_register();
}

static void op_switch(void)
{
    struct fn_model *f = &m.fns[dice((uint32_t)m.fn_count)];
    faas_status status;

    if (!f->there || f->batches)
        return;
    f->on = !f->on;
    sim_note("%s %s", f->name, f->on ? "on" : "off");
    status = faas_function_update(m.rt, f->fn,
                                  FAAS_FUNCTION(.concurrency = !f->on ? FAAS_OFF
                                                               : f->cap == UINT32_MAX
                                                                   ? FAAS_UNLIMITED
                                                                   : f->cap));
    SIM_REQUIRE(status == FAAS_OK, "%s", faas_error_text());
}

/* ---- submitting ---- */

/* What a submission may come to where there was no room for it. */
static void full_check(struct job_model *j, bool room, bool delayed, faas_status status)
{
    bool must = room_for(j->f, j->bytes, true), may = room_for(j->f, j->bytes, false);

    switch (m.fns[j->f].policy.on_queue_full) {
    case FAAS_QUEUE_WAIT:
        if (status != FAAS_OK)
            nothing_left();
        /* fall through */
    case FAAS_QUEUE_DROP_OLDEST:
        SIM_REQUIRE(status == FAAS_OK ? may : !must, "%s: %s", job_text(j),
                    faas_status_name(status));
        break;
    case FAAS_QUEUE_RUN_HERE:
        if (!j->alone || delayed)
            SIM_REQUIRE(status == FAAS_EBUSY, "%s", job_text(j));
        else if (j->phase != ARRIVING)
            SIM_REQUIRE(status == FAAS_OK, "%s ran", job_text(j));
        else
            SIM_REQUIRE(status == FAAS_EBUSY && !seat_for(j->f), "%s was not run here",
                        job_text(j));
        break;
    default:
        SIM_REQUIRE((status == FAAS_OK) == room, "%s", job_text(j));
        break;
    }
}

static struct kept *kept_pick(bool used)
{
    for (uint32_t i = 0; i < 8; i++) {
        struct kept *k = &kept[dice(KEPT)];

        if ((k->invocation.generation != 0) == used)
            return k;
    }
    return NULL;
}

/* What is known of a job by its handle. */
static faas_invocation_info info_of(const struct kept *k)
{
    faas_invocation_info info = {.size = sizeof info};
    faas_status status = faas_invocation_describe(m.rt, k->invocation, &info);

    SIM_REQUIRE(status == FAAS_OK, "%s", faas_status_name(status));
    return info;
}

static void id_learn(const struct kept *k)
{
    struct job_model *j = &m.jobs[k->job];
    faas_id id = info_of(k).request_id;

    SIM_REQUIRE((j->id.low == 0 && j->id.high == 0) || same_id(j->id, id),
                "%s: another id", job_text(j));
    j->id = id;
}

/* Submits `count` of one kind. */
static void op_submit(uint32_t count)
{
    static const char *const names[] = {"a", "b", "c", "d"};
    int f = (int)dice((uint32_t)m.fn_count);
    const faas_async *policy = &m.fns[f].policy;
    uint32_t tenant = dice(4), group = once_in(3) ? 1 + dice(3) : 0, level = dice(4);
    struct kept *k = once_in(2) ? kept_pick(false) : NULL;
    bool asks = once_in(4);
    faas_submit_options options = {
        .size = sizeof options,
        .tenant = tenant == 0 ? faas_bytes_of(NULL, 0) : faas_str(names[tenant]),
        .tenant_weight = dice(3),
        .group = group == 0 ? faas_bytes_of(NULL, 0) : faas_str(names[group]),
        .priority = (faas_priority)level,
        .limit_ns = once_in(5) ? ms(10 + dice(500)) : 0,
        .delay_ns = group == 0 && once_in(6) ? ms(dice(300)) : 0,
        .start_ns = group == 0 && once_in(20) ? now_ns() - ms(50) + ms(dice(300)) : 0,
        .ended = asks ? told : NULL,
        .ended_user = asks ? &m : NULL,
        .will_wait = once_in(4)};

    for (uint32_t i = 0; i < count; i++) {
        char text[TEXT_MAX];
        int size = snprintf(text, sizeof text, "j%u %.*s", roots, (int)dice(40),
                            "........................................");
        struct job_model *j = job_new(f, roots++, 0);
        bool room = room_for(f, (uint64_t)size, true);
        uint64_t start = options.delay_ns == 0 ? 0 : now_ns() + options.delay_ns;
        faas_invocation invocation = {0, 0, 0};
        int before = m.out_of_turn, arriving = m.arriving_at;
        faas_status status;

        /* Without dead letters: whether one is kept before or after those of others that
         * end with it shows too late. */
        j->key = room && group == 0 && policy->dead_letters == FAAS_OFF && once_in(2)
                     ? 1 + dice(KEYS_MAX - 1)
                     : 0;
        j->answered = j->key != 0 && m.fns[f].kept[j->key];
        options.key = j->key == 0 ? faas_bytes_of(NULL, 0) : faas_str(names[j->key]);
        if (options.start_ns > start)
            start = options.start_ns;
        if (start <= now_ns())
            start = 0;
        j->tenant = tenant;
        j->group = group;
        j->alone = group == 0;
        j->bytes = (uint64_t)size;
        j->asked = asks;
        if (level != 0)
            j->level = level - 1;
        if (options.limit_ns != 0)
            j->deadline = now_ns() + options.limit_ns;
        job_age(j);
        sim_note("submit %s to %s, start %llu, limit %llu, room %d", job_text(j),
                 m.fns[f].name, (unsigned long long)start,
                 (unsigned long long)options.limit_ns, room);
        if (!room && policy->on_queue_full == FAAS_QUEUE_DROP_OLDEST)
            m.arriving_at = f;
        if (!room && policy->on_queue_full == FAAS_QUEUE_RUN_HERE && group == 0 &&
            start == 0)
            m.out_of_turn = (int)(j - m.jobs);
        status = faas_invoke_async(m.rt, m.fns[f].fn, faas_bytes_of(text, (size_t)size),
                                   &options, i == 0 && k != NULL ? &invocation : NULL);
        sending_settle();
        m.out_of_turn = before;
        m.arriving_at = arriving;
        sim_note("  %s", faas_status_name(status));
        if (m.closing || !m.fns[f].there || (start != 0 && start >= j->deadline)) {
            SIM_REQUIRE(status == (start != 0 && start >= j->deadline ? FAAS_EEXPIRED
                                   : m.closing                        ? FAAS_ECLOSED
                                                                      : FAAS_ENOENT),
                        "%s: %s", job_text(j), faas_status_name(status));
            j->phase = REFUSED;
            return;
        }
        if (room)
            SIM_REQUIRE(status == FAAS_OK, "%s: %s", job_text(j),
                        faas_status_name(status));
        else
            full_check(j, room, start != 0, status);
        if (status != FAAS_OK) {
            SIM_REQUIRE(status == FAAS_EBUSY && faas_retry_after_ns() != 0, "%s",
                        faas_status_name(status));
            job_refuse(j);
            continue;
        }
        if (j->phase == ARRIVING)
            j->submitted = now_ns(); // it may have waited for room
        job_enter(j, start);
        if (j->answered && alive(j)) { // nobody was told
            j->leads = false;
            job_end(j, FAAS_SUCCESS, FAAS_OK);
        }
        if (!room && policy->on_queue_full == FAAS_QUEUE_RUN_HERE)
            j->plain = false; // as in op_wait()
        if (i == 0 && k != NULL) {
            *k = (struct kept){invocation, (int)(j - m.jobs), 0};
            id_learn(k);
        }
    }
}

/* Many at once, where what becomes of each is known beforehand. */
static void op_submit_many(void)
{
    enum { MANY = 8 };
    int f = target_pick(m.fn_count);
    faas_bytes inputs[MANY];
    char texts[MANY][TEXT_MAX];
    size_t accepted, fit = 0;
    faas_status status;

    if (f == NOBODY || !m.fns[f].there)
        return;
    for (int i = 0; i < MANY; i++)
        inputs[i] = faas_bytes_of(
            texts[i], (size_t)snprintf(texts[i], TEXT_MAX, "j%u", roots + (uint32_t)i));
    for (int i = 0; i < MANY && fit == (size_t)i; i++) {
        struct job_model *j;

        if (!room_for(f, inputs[i].size, true))
            break;
        j = job_new(f, roots + (uint32_t)i, 0);
        j->bytes = inputs[i].size;
        job_enter(j, 0);
        fit++;
    }
    roots += MANY;
    status =
        faas_invoke_async_many(m.rt, m.fns[f].fn, inputs, MANY, NULL, NULL, &accepted);
    m.fns[f].stats.refused += fit < MANY;
    sim_note("submit many to %s: %zu, %s", m.fns[f].name, accepted,
             faas_status_name(status));
    SIM_REQUIRE(accepted == fit && status == (fit == MANY ? FAAS_OK : FAAS_EBUSY),
                "%zu of %zu: %s", accepted, fit, faas_status_name(status));
}

/* Publishes news, or the last one again, which is a repetition for a time. */
static void op_publish(void)
{
    bool again = m.news != 0 && once_in(3), repeated;
    faas_delivery delivery;
    char data[32], id[32];
    uint32_t queued = 0, refused = 0;
    faas_event *event;
    faas_status status;

    if (!again)
        m.news = roots++;
    repeated = again && m.dedupe != FAAS_DEDUPE_OFF && now_ns() - m.news_at < NEWS_NS;
    (void)snprintf(data, sizeof data, "\"j%u\"", m.news);
    (void)snprintf(id, sizeof id, "%u", m.news);
    for (uint32_t route = 1; route <= m.routes && !repeated; route++) {
        struct job_model *j;
        int f = 0;

        while (f < m.fn_count && m.fns[f].hears != route)
            f++;
        if (f == m.fn_count || !m.fns[f].there || m.fns[f].deaf)
            continue;
        j = job_new(f, m.news, 0);
        j->event = true;
        if (room_for(f, 0, true)) {
            job_enter(j, 0);
            queued++;
        } else {
            job_refuse(j);
            refused++;
        }
    }
    if (!repeated)
        m.news_at = now_ns();
    SIM_REQUIRE(faas_event_create(FAAS_EVENT(.id = id, .source = "sim", .type = "news",
                                             .data = faas_str(data)),
                                  &event) == FAAS_OK,
                "%s", faas_error_text());
    status = faas_publish(m.rt, event, &delivery);
    faas_event_release(event);
    sim_note("publish %s: %u queued, %u refused, %u repeated", data, delivery.queued,
             delivery.refused, delivery.repeated);
    SIM_REQUIRE(status == FAAS_OK && delivery.queued == queued &&
                    delivery.refused == refused && delivery.repeated == repeated,
                "%s: %u queued, not %u; %u refused, not %u", faas_status_name(status),
                delivery.queued, queued, delivery.refused, refused);
}

/* ---- handles ---- */

/* Whether a handler on the stack is of a job, or of one before it in its group; or, which
 * may be said of it too, of one of the group that went on without it. */
enum itself { OTHERS, RELATED, ITSELF };

static enum itself waits_for_itself(const struct job_model *j)
{
    enum itself itself = OTHERS;

    for (int i = 0; i < m.run_count; i++) {
        const struct job_model *ours = &m.jobs[m.runs[i].job];

        if (ours == j)
            return ITSELF;
        if (ours->f != j->f || ours->group == 0 || ours->group != j->group)
            continue;
        if (!ours->alone && !j->alone)
            return ITSELF;
        itself = RELATED;
    }
    return itself;
}

static void op_wait(void)
{
    static const uint32_t limits[] = {0, 0, 20, 1000};
    struct kept *k = kept_pick(true);
    uint64_t limit, until;
    struct job_model *j;
    faas_result *result;
    faas_status status;
    int before = m.out_of_turn;
    enum itself itself = OTHERS;

    if (k == NULL)
        return;
    j = &m.jobs[k->job];
    limit = once_in(4) ? FAAS_FOREVER : ms(limits[dice(4)]);
    until = after(now_ns(), limit);
    if (j->phase != ENDED && limit != 0)
        itself = waits_for_itself(j);
    sim_note("wait for %s, limit %llu", job_text(j), (unsigned long long)limit);
    if (j->phase != ENDED) {
        m.out_of_turn = k->job;
        if (limit != 0)
            j->plain = false; // tried out of turn, it comes back to its lane's head
    }
    k->waiters++;
    status = faas_invocation_wait(m.rt, k->invocation, limit, &result);
    k->waiters--;
    sending_settle();
    m.out_of_turn = before;
    sim_note("  %s", faas_status_name(status));
    if (status == FAAS_OK || status == FAAS_EHANDLER)
        SIM_REQUIRE(result != NULL &&
                        (j->shared || // then it is of the one that ran
                         same_id(faas_result_meter(result)->request_id, j->id)),
                    "%s: no result", job_text(j));
    else if (status != FAAS_ETIMEDOUT) // then the handler may have come back, late
        SIM_REQUIRE(result == NULL, "%s: a result", job_text(j));
    faas_result_release(result);
    if (m.closing) {
        SIM_REQUIRE(status == FAAS_ECLOSED, "%s", faas_status_name(status));
    } else if (itself == ITSELF) {
        SIM_REQUIRE(status == FAAS_EPERM, "%s waits for itself: %s", job_text(j),
                    faas_status_name(status));
    } else if (status == FAAS_EPERM) {
        SIM_REQUIRE(itself == RELATED, "%s does not wait for itself", job_text(j));
    } else if (j->phase == ENDED) {
        SIM_REQUIRE(status == j->status, "%s: %s", job_text(j), faas_status_name(status));
    } else {
        SIM_REQUIRE(status == FAAS_EPENDING, "%s: %s", job_text(j),
                    faas_status_name(status));
        if (limit != 0 && now_ns() < until) {
            model_swept();
            nothing_left();
        }
    }
}

static void op_cancel(void)
{
    struct kept *k = kept_pick(true);
    struct job_model *j;
    faas_status status, want;

    if (k == NULL)
        return;
    j = &m.jobs[k->job];
    want = m.closing           ? FAAS_ECLOSED
           : j->phase == ENDED ? FAAS_EINUSE
           : run_of(j) != NULL ? FAAS_EPENDING
                               : FAAS_OK;
    sim_note("cancel %s", job_text(j));
    if (want == FAAS_EPENDING)
        j->cancel = true;
    else if (want == FAAS_OK)
        job_end(j, FAAS_CANCELLED, FAAS_ECANCELLED);
    status = faas_invocation_cancel(m.rt, k->invocation);
    sending_settle();
    SIM_REQUIRE(status == want, "%s: %s, not %s", job_text(j), faas_status_name(status),
                faas_status_name(want));
}

static void op_describe(void)
{
    struct kept *k = kept_pick(true);
    faas_invocation_info info;
    struct job_model *j;
    faas_phase want;

    if (k == NULL || m.closing)
        return;
    j = &m.jobs[k->job];
    info = info_of(k);
    want = (faas_phase)(j->phase - DELAYED + FAAS_PHASE_DELAYED);
    sim_note("look at %s: phase %d, attempts %u", job_text(j), (int)info.phase,
             info.attempts);
    SIM_REQUIRE(info.phase == want || (j->phase == DELAYED && j->due_least <= now_ns() &&
                                       info.phase == FAAS_PHASE_QUEUED),
                "%s: phase %d", job_text(j), (int)info.phase);
    SIM_REQUIRE(info.attempts == j->attempts, "%s: attempts %u", job_text(j),
                info.attempts);
    SIM_REQUIRE(info.status == (j->phase == ENDED ? j->status : FAAS_EPENDING) &&
                    info.condition == j->condition,
                "%s: %s", job_text(j), faas_status_name(info.status));
    SIM_REQUIRE(same_id(j->id, info.request_id), "%s: another id", job_text(j));
}

static void op_release(void)
{
    struct kept *k = kept_pick(true);

    if (k == NULL || k->waiters != 0)
        return;
    sim_note("release %s", job_text(&m.jobs[k->job]));
    faas_invocation_release(m.rt, k->invocation);
    SIM_REQUIRE(faas_invocation_wait(m.rt, k->invocation, 0, NULL) ==
                    (m.closing ? FAAS_ECLOSED : FAAS_ENOENT),
                "a handle that was released");
    if (!m.closing)
        k->invocation.generation = 0;
}

/* ---- driving ---- */

static void op_pass(void)
{
    static const uint32_t steps[] = {1, 10, 100, 1500};
    uint64_t step = ms(1 + dice(steps[dice(4)]));

    sim_note("%llu ns pass", (unsigned long long)step);
    faas_clock_advance(m.clock, step);
}

static void op_run_once(void)
{
    uint64_t next, ran, budget = once_in(2) ? 0 : ms(dice(50));

    sim_note("run once, budget %llu", (unsigned long long)budget);
    ran = faas_run_once(m.rt, budget, &next);
    sim_note("  %llu ran", (unsigned long long)ran);
    SIM_REQUIRE(budget != 0 || ran <= 1, "%llu ran", (unsigned long long)ran);
    model_swept();
    if (next > now_ns())
        nothing_left();
    EACH_ALIVE(j)
    {
        SIM_REQUIRE(
            !waits(j) || next <= j->end || (j->phase == DELAYED && next <= j->due_most),
            "%s: the next look would be at %llu", job_text(j), (unsigned long long)next);
    }
}

static void op_run_until(void)
{
    uint64_t until = now_ns() + (once_in(3) ? 0 : ms(dice(1000))), ran;
    faas_status status;

    sim_note("run until %llu", (unsigned long long)until);
    status = faas_run_until(m.rt, until, &ran);
    sim_note("  %llu ran, now %llu", (unsigned long long)ran,
             (unsigned long long)now_ns());
    SIM_REQUIRE(status == FAAS_OK && now_ns() >= until, "%s", faas_status_name(status));
    if (now_ns() != until)
        return; // a handler moved it on, and what came due by that is for later
    model_swept();
    nothing_left();
}

static void op_sweep(void)
{
    sim_note("sweep");
    faas_runtime_sweep(m.rt, NULL);
    model_swept();
}

/* ---- dead letters ---- */

static bool letter_wanted(const struct letter_model *letter, int f,
                          faas_condition condition)
{
    return (f == NOBODY || m.jobs[letter->job].f == f) &&
           (condition == FAAS_CONDITION_NONE || letter->condition == condition);
}

struct listing {
    uint32_t at;
    int f;
    faas_condition condition;
};

static int letter_seen(const faas_record *record, void *user)
{
    struct listing *l = user;

    while (l->at < m.letter_count &&
           !letter_wanted(&m.letters[l->at], l->f, l->condition))
        l->at++;
    SIM_REQUIRE(l->at < m.letter_count &&
                    same_id(m.letters[l->at].id, record->request_id),
                "a dead letter of %s is not known", record->function);
    SIM_REQUIRE(record->attempts == m.jobs[m.letters[l->at].job].attempts &&
                    record->status == m.jobs[m.letters[l->at].job].status,
                "%s", job_text(&m.jobs[m.letters[l->at].job]));
    l->at++;
    return 0;
}

static void op_letters(bool purge)
{
    int f = once_in(3) ? (int)dice((uint32_t)m.fn_count) : NOBODY;
    faas_condition condition =
        once_in(3) ? (faas_condition)(2 + dice(4)) : FAAS_CONDITION_NONE;
    struct listing l = {0, f, condition};
    faas_letter_filter filter = {.size = sizeof filter, .condition = condition};
    uint64_t count, want = 0;

    if (f != NOBODY)
        filter.fn = m.fns[f].fn;
    for (uint32_t i = 0; i < m.letter_count; i++)
        want += letter_wanted(&m.letters[i], f, condition);
    SIM_REQUIRE(faas_letters_list(m.rt, &filter, letter_seen, &l, &count) == FAAS_OK,
                "%s", faas_error_text());
    sim_note("%llu letters", (unsigned long long)count);
    SIM_REQUIRE(count == want, "%llu letters, not %llu", (unsigned long long)count,
                (unsigned long long)want);
    if (!purge)
        return;
    SIM_REQUIRE(faas_letters_purge(m.rt, &filter, &count) == FAAS_OK, "%s",
                faas_error_text());
    SIM_REQUIRE(count == want, "%llu went", (unsigned long long)count);
    for (uint32_t i = m.letter_count; i-- > 0;)
        if (letter_wanted(&m.letters[i], f, condition))
            letter_take_out(i);
}

/* Sends letters again to a function of which it is known whether it takes them. */
static void op_redrive(void)
{
    static const faas_fn its_own;
    int to = target_pick(m.fn_count), f = NOBODY;
    faas_letter_filter filter = {.size = sizeof filter,
                                 .most = once_in(2) ? 0 : 1 + dice(3)};
    uint64_t count, want = 0, most = filter.most == 0 ? UINT64_MAX : filter.most;
    faas_status status, expected = FAAS_OK;

    if (to == NOBODY)
        return;
    if (once_in(2)) { // those of a function, to itself
        f = to;
        filter.fn = m.fns[f].fn;
    }
    for (uint32_t i = 0; i < m.letter_count && want < most && expected == FAAS_OK;) {
        const struct job_model *old = &m.jobs[m.letters[i].job];
        struct job_model *j;

        if (!letter_wanted(&m.letters[i], f, FAAS_CONDITION_NONE)) {
            i++;
            continue;
        }
        j = job_new(to, old->root, old->depth);
        j->tenant = old->tenant;
        j->group = old->group;
        j->alone = old->group == 0;
        j->level = old->level;
        j->bytes = old->bytes;
        j->event = old->event;
        if (!m.fns[to].there) {
            j->phase = REFUSED;
            expected = FAAS_ENOENT;
        } else if (!room_for(to, j->bytes, true)) {
            job_refuse(j);
            expected = FAAS_EBUSY;
        } else {
            job_enter(j, 0);
            letter_take_out(i);
            want++;
        }
    }
    status =
        faas_letters_redrive(m.rt, &filter, f == NOBODY ? m.fns[to].fn : its_own, &count);
    sim_note("redrive to %s: %llu, %s", m.fns[to].name, (unsigned long long)count,
             faas_status_name(status));
    SIM_REQUIRE(count == want && status == expected, "%llu, not %llu; %s, not %s",
                (unsigned long long)count, (unsigned long long)want,
                faas_status_name(status), faas_status_name(expected));
}

static void letter_shown(const faas_record *record, void *user)
{
    (void)user;
    /* Compared when the model knows what became of it, too. */
    sim_note("  shown: %s %s", record->function, faas_condition_name(record->condition));
    SIM_REQUIRE(m.seen < JOBS_MAX, "many letters");
    m.seen_ids[m.seen++] = record->request_id;
}

static void shown_check(void)
{
    SIM_REQUIRE(m.seen == m.shown, "%u letters were shown, not %u", m.seen, m.shown);
    for (uint32_t i = 0; i < m.seen; i++)
        SIM_REQUIRE(same_id(m.seen_ids[i], m.shown_ids[i]), "letter %u: %llx, not %llx",
                    i, (unsigned long long)(m.seen_ids[i].high ^ m.seen_ids[i].low),
                    (unsigned long long)(m.shown_ids[i].high ^ m.shown_ids[i].low));
}

/* ---- inside ---- */

static void told(const faas_record *record, void *user)
{
    sim_note("  told%s: %llx %s %s %u, %.*s", user == NULL ? "" : " its submitter",
             (unsigned long long)(record->request_id.high ^ record->request_id.low),
             faas_condition_name(record->condition), faas_status_name(record->status),
             record->attempts,
             (int)(record->request.size < 12 ? record->request.size : 12),
             (const char *)record->request.data);
    model_told(record, user != NULL);
}

static void op_inside(void)
{
    for (int i = 0; i < m.run_count; i++)
        if (in_doubt(&m.jobs[m.runs[i].job]))
            op_sweep(); // so that there is none
    switch (dice(9)) {
    case 0:
    case 1:
        op_submit(1);
        break;
    case 2:
    case 3:
        op_wait();
        break;
    case 4:
        op_cancel();
        break;
    case 5:
        op_describe();
        break;
    case 6:
        op_release();
        break;
    case 7:
        op_sweep();
        break;
    default:
        SIM_REQUIRE(faas_run_once(m.rt, ms(100), NULL) == 0, "a handler drives");
        SIM_REQUIRE(faas_run_until(m.rt, now_ns(), NULL) == FAAS_EPERM,
                    "a handler drives");
        break;
    }
}

static struct run_model *begin(faas_context *ctx, faas_bytes input, bool joins)
{
    struct fn_model *f = faas_user(ctx);
    struct run_model *run = model_begins(ctx, (int)(f - m.fns), input, joins);

    sim_note("%*s%s runs %s at %llu", m.run_count, "", f->name,
             job_text(&m.jobs[run->job]), (unsigned long long)now_ns());
    return run;
}

/* What handlers do when `count` attempts have begun, from `first` on, and what each of them
 * comes to. */
static void do_and_end(struct fn_model *f, struct run_model *first, int count,
                       int codes[])
{
    for (int i = 0; i < count; i++)
        codes[i] = f->fails != 0 && once_in(f->fails) ? 7 : 0;
    for (uint32_t i = dice(4); i > 1; i--) {
        if (once_in(3))
            faas_clock_advance(m.clock, ms(10 * dice(10)));
        if (m.run_count <= DEEP && once_in(2))
            op_inside();
    }
    for (int i = 0; i < count; i++)
        if (first[i].due == now_ns() && in_doubt(&m.jobs[first[i].job]))
            op_sweep(); // at its very deadline: so that it is known to be late
    sim_note("%*s%s returns %d", m.run_count, "", f->name, codes[0]);
    model_ends(first, count, codes);
}

static int handler(faas_context *ctx, faas_bytes input)
{
    struct fn_model *f = faas_user(ctx);
    struct run_model *run = begin(ctx, input, false);
    int code;

    do_and_end(f, run, 1, &code);
    return code == 0 ? 0 : faas_fail(ctx, code, "no");
}

static int batch_handler(faas_context *ctx, faas_item *items, size_t count)
{
    struct fn_model *f = faas_user(ctx);
    struct run_model *first = &m.runs[m.run_count];
    int codes[BATCH_MAX];

    SIM_REQUIRE(count >= 1 && count <= BATCH_MAX, "%zu items", count);
    for (size_t i = 0; i < count; i++)
        (void)begin(items[i].ctx, items[i].input, i != 0);
    do_and_end(f, first, (int)count, codes);
    for (size_t i = 0; i < count; i++)
        items[i].code = codes[i] == 0 ? 0 : faas_fail(items[i].ctx, codes[i], "no");
    return 0;
}

static int instance_init(faas_context *ctx, void **state)
{
    *state = faas_instance_alloc(ctx, 1000);
    m.inits += *state != NULL;
    return *state != NULL ? 0 : faas_fail(ctx, 1, "no memory");
}

static void instance_close(void *state, void *user)
{
    SIM_REQUIRE(state != NULL && user != NULL, "an instance without");
    m.closes++;
}

/* ---- a program ---- */

static void op(void)
{
    uint32_t which = dice(106);
    int f;

    if (which < 35)
        op_submit(once_in(4) ? 1 + dice(6) : 1);
    else if (which < 38)
        op_submit_many();
    else if (which < 42)
        op_publish();
    else if (which < 52)
        op_wait();
    else if (which < 57)
        op_cancel();
    else if (which < 61)
        op_describe();
    else if (which < 65)
        op_release();
    else if (which < 73)
        op_pass();
    else if (which < 82)
        op_run_once();
    else if (which < 88)
        op_run_until();
    else if (which < 90)
        op_sweep();
    else if (which < 93)
        op_letters(once_in(4));
    else if (which < 96)
        op_redrive();
    else if (which < 98)
        op_switch();
    else if (which < 99)
        op_replace();
    else if (which < 100)
        op_unregister();
    else if (which < 103)
        op_rule();
    else if (which < 105)
        op_submit_faulty();
    else
        op_budget();
    sending_settle();
    numbers_check(NOBODY);
    f = (int)dice((uint32_t)m.fn_count);
    if (m.fns[f].there)
        numbers_check(f);
    shown_check();
}

static void open_all(void)
{
    uint32_t slots = once_in(3) ? 8 + dice(40) : 0;
    uint64_t bytes = once_in(4) ? 300 + dice(1000) : 0;

    memset(&m, 0, sizeof m);
    memset(kept, 0, sizeof kept);
    roots = 1;
    m.out_of_turn = m.arriving_at = m.sent_to = NOBODY;
    m.slots_max = slots == 0 ? UINT64_MAX : slots;
    m.bytes_max = bytes == 0 ? UINT64_MAX : bytes;
    m.dedupe = (faas_dedupe)(FAAS_DEDUPE_OFF + dice(3));
    m.running_max = once_in(3) ? 1 + dice(4) : 1000;
    m.letter_room = once_in(8) ? 0 : 1 + dice(LETTERS_MAX - 2);
    memory = (struct faulty){.fail_at = 0};
    allocator = faulty_allocator(&memory);
    SIM_REQUIRE(faas_clock_open_virtual(1000000 * MS, &allocator, &m.clock) == FAAS_OK,
                "%s", faas_error_text());
    SIM_REQUIRE(faas_runtime_open(&m.rt,
                                  &(faas_runtime_options){
                                      .size = sizeof(faas_runtime_options),
                                      .clock = m.clock,
                                      .allocator = &allocator,
                                      .seed = sim.seed + 1,
                                      .dedupe = m.dedupe,
                                      .dedupe_ns = NEWS_NS,
                                      .queue_slots = slots,
                                      .queue_bytes = bytes,
                                      .concurrency_max = m.running_max,
                                      .dead_letter_slots =
                                          m.letter_room == 0 ? FAAS_OFF : m.letter_room,
                                      .dead_letter = letter_shown}) == FAAS_OK,
                "%s", faas_error_text());
    for (uint32_t i = 3 + dice(6); i > 0; i--)
        op_register();
}

/* Nothing is lost: all ended, all were told of, and what was kept is shown. */
static void close_all(void)
{
    uint64_t drain = once_in(2) ? 0 : ms(1 + dice(1000));

    sim_note("close, drain %llu", (unsigned long long)drain);
    m.closing = true;
    SIM_REQUIRE(faas_runtime_close_with(m.rt, FAAS_CLOSE(.drain_ns = drain)) == FAAS_OK,
                "%s", faas_error_text());
    sending_settle();
    for (int i = 0; i < m.job_count; i++) {
        const struct job_model *j = &m.jobs[i];

        SIM_REQUIRE(j->phase == ENDED || j->phase == REFUSED, "%s is lost", job_text(j));
        SIM_REQUIRE(j->phase == REFUSED || j->told == j->asked, "%s: nobody was told",
                    job_text(j));
        SIM_REQUIRE(j->phase == REFUSED || j->sent || j->condition == FAAS_SUCCESS,
                    "%s: no record", job_text(j));
    }
    for (uint32_t i = 0; i < m.letter_count; i++)
        letter_show(m.letters[i].id);
    shown_check();
    SIM_REQUIRE(m.inits == m.closes, "%u instances, %u closed", m.inits, m.closes);
    faas_clock_close(m.clock);
    SIM_REQUIRE(atomic_load(&memory.live_blocks) == 0, "%zu blocks are left",
                atomic_load(&memory.live_blocks));
}

static void program(void)
{
    open_all();
    for (int i = 0; i < OPS && m.job_count < JOBS_MAX - 500; i++)
        op();
    close_all();
}

int main(int argc, char **argv)
{
    return sim_main(argc, argv, SEEDS, program);
}

/* SPDX-License-Identifier: MIT */
/* sim_async_model.h - what asynchronous invocations promise, as a model of a few arrays
 * that are searched from end to end.
 *
 * The model is told what is asked of the runtime, and what the runtime does: a handler
 * begins, one ends, a record comes. It says what had to be so: which invocations may begin
 * now and at which attempt, what follows an attempt, who is told, what is kept. Where the
 * documentation leaves something open - when in its jitter a retry comes, which of two
 * tenants is next - the model takes what it sees, and holds it to the bounds.
 *
 * Times of the simulation are whole milliseconds, the wheel's tick, so that nothing is
 * early or late. */
#ifndef SIM_ASYNC_MODEL_H
#define SIM_ASYNC_MODEL_H

#include "sim.h"

#include <faas/faas.h>

#define MS UINT64_C(1000000)
#define NEWS_NS (300 * MS) /* for so long news are known */
#define AGEING (100 * MS)  /* a level that waited for so long may go first */

enum {
    KEYS_MAX = 4,
    FUNCTIONS_MAX = 40,
    JOBS_MAX = 6000,
    NESTED_MAX = 64,
    LETTERS_MAX = 64,
    NOBODY = -1
};

enum phase { ARRIVING, DELAYED, QUEUED, RUNNING, ENDED, REFUSED };

struct fn_model {
    faas_fn fn;
    char name[8];
    bool there, on;
    bool target;    /* refuses when full: so what sends to it is easy to foresee */
    uint32_t hears; /* of news: its subscription or rule in their order; 0: it does not */
    bool by_rule, deaf; /* the rule is for something else just now */
    uint32_t cap;       /* handlers at one moment */
    uint64_t timeout;
    faas_async policy;          /* its defaults filled in */
    int on_success, on_failure; /* functions, or NOBODY */
    bool by_event;              /* to the latter by an event to which it subscribes */
    bool batches;               /* several may run in one batch; at least one has */
    uint32_t fails;             /* one attempt in so many; 0 none */
    bool kept[KEYS_MAX];        /* by key: a success that answers those that come later */
    faas_async_stats stats;     /* its counters */
};

struct job_model {
    int f;
    uint32_t root, depth; /* what its input says: whose, and how many records deep */
    faas_id id;           /* zero until it is seen */
    enum phase phase;
    uint32_t attempts, group, tenant, level;
    uint32_t key;   /* 0: none */
    bool leads;     /* it runs for all with its key */
    bool follows;   /* it waits for such a one */
    bool answered;  /* there was a success when it came */
    bool shared;    /* it ends with another one's result: a success at once, a failure
                       when it is told of, so that its letter has an id */
    uint32_t place; /* in the order of being accepted */
    bool alone;     /* of no group, or gone on without it */
    bool plain;     /* waits for the first time, and had no delay */
    bool event, cancel, asked, told, sent;
    uint64_t submitted, deadline, end, due_least, due_most, bytes;
    faas_condition condition;
    faas_status status;
};

/* An attempt that is on the stack. */
struct run_model {
    int job;
    uint32_t attempt;
    uint64_t due; /* its deadline */
    bool abandoned;
    bool joins; /* in the batch of the one before it */
};

struct letter_model {
    faas_id id;
    faas_condition condition;
    int job;
};

static struct model {
    faas_runtime *rt;
    faas_clock *clock;
    struct fn_model fns[FUNCTIONS_MAX];
    struct job_model jobs[JOBS_MAX];
    struct run_model runs[NESTED_MAX];
    struct letter_model letters[LETTERS_MAX];
    int fn_count, job_count, run_count, first_alive;
    uint32_t letter_count, letter_room, shown; /* shown: that left the store unasked */
    faas_id shown_ids[JOBS_MAX], seen_ids[JOBS_MAX];
    uint32_t seen; /* that the runtime showed */
    uint32_t running_max, places, routes;
    uint32_t inits, closes;
    uint64_t slots_max, bytes_max;
    faas_dedupe dedupe;
    uint32_t news; /* the input of the last ones; 0: there were none */
    uint64_t news_at;
    bool closing;
    int out_of_turn; /* a job whose waiter or submitter may run it itself */
    int arriving_at; /* the function that drops its oldest for one that comes */
    int sent_to;     /* a record was sent there last; NOBODY: that is settled */
    int sent_of;     /* the job that it is of */
    bool sent_kept;  /* it is a dead letter already */
    bool sent_event; /* as the data of an event, which nobody need take */
    uint64_t sent_bytes, sent_at;
    uint64_t served[2][3]; /* when a level of a crew was served last */
} m;

static uint64_t now_ns(void)
{
    return faas_clock_now(m.clock);
}

static uint64_t whole_ms(uint64_t ns)
{
    return ns > UINT64_MAX - MS ? ns : (ns + MS - 1) / MS * MS;
}

static uint64_t after(uint64_t ns, uint64_t more)
{
    return ns + more < ns ? UINT64_MAX : ns + more;
}

static bool same_id(faas_id a, faas_id b)
{
    return a.high == b.high && a.low == b.low;
}

static bool waits(const struct job_model *j)
{
    return j->phase == DELAYED || j->phase == QUEUED;
}

static bool alive(const struct job_model *j)
{
    return j->phase < ENDED;
}

#define EACH_ALIVE(j)                                                                    \
    for (struct job_model *j = &m.jobs[m.first_alive]; j < &m.jobs[m.job_count]; j++)    \
        if (alive(j))

static const char *job_text(const struct job_model *j)
{
    static char texts[4][160];
    static unsigned next;
    char *text = texts[next++ % 4];

    (void)snprintf(text, sizeof texts[0],
                   "job %d (%s, input %u.%u, phase %d, attempts %u, group %u, tenant %u, "
                   "level %u)",
                   (int)(j - m.jobs), m.fns[j->f].name, j->root, j->depth, (int)j->phase,
                   j->attempts, j->group, j->tenant, j->level);
    return text;
}

/* An attempt of a job that is on the stack, and not abandoned; or NULL. */
static struct run_model *run_of(const struct job_model *j)
{
    for (int i = m.run_count; i-- > 0;)
        if (&m.jobs[m.runs[i].job] == j && !m.runs[i].abandoned)
            return &m.runs[i];
    return NULL;
}

/* Whether its time limit is over, and the runtime may have gone on without it, or not. */
static bool in_doubt(const struct job_model *j)
{
    const struct run_model *run = run_of(j);

    return run != NULL && run->due <= now_ns();
}

/* ---- room ---- */

/* Whether `bytes` more fit into a function's queue, and into the runtime's: counting
 * everything that may wait there, or only what does. What is over its time, or has lost its
 * function, may have been taken out already, and not been told of. */
static bool room_for(int f, uint64_t bytes, bool everything)
{
    const faas_async *policy = &m.fns[f].policy;
    uint64_t slots = 0, used = 0, all_slots = 0, all_used = 0;

    EACH_ALIVE(j)
    {
        if (everything
                ? !waits(j) && !in_doubt(j)
                : !waits(j) || j->shared || j->end <= now_ns() || !m.fns[j->f].there)
            continue;
        all_slots++;
        all_used += j->bytes;
        slots += j->f == f;
        used += j->f == f ? j->bytes : 0;
    }
    return slots < policy->queue_slots && all_slots < m.slots_max &&
           (bytes == 0 ||
            (used + bytes <= policy->queue_bytes && all_used + bytes <= m.bytes_max));
}

/* ---- dead letters ---- */

static void letter_show(faas_id id)
{
    m.shown_ids[m.shown++] = id;
}

static void letter_take_out(uint32_t at)
{
    m.letter_count--;
    memmove(&m.letters[at], &m.letters[at + 1],
            (m.letter_count - at) * sizeof m.letters[0]);
}

static void letter_put(int job)
{
    struct letter_model letter = {m.jobs[job].id, m.jobs[job].condition, job};

    if (m.letter_room == 0) {
        letter_show(letter.id);
        return;
    }
    m.letters[m.letter_count++] = letter;
    if (m.letter_count > m.letter_room) {
        letter_show(m.letters[0].id);
        letter_take_out(0);
    }
}

/* ---- submitting ---- */

static struct job_model *job_new(int f, uint32_t root, uint32_t depth)
{
    struct job_model *j = &m.jobs[m.job_count++];

    SIM_REQUIRE(m.job_count < JOBS_MAX, "too many jobs for the simulation");
    *j = (struct job_model){.f = f,
                            .root = root,
                            .depth = depth,
                            .phase = ARRIVING,
                            .alone = true,
                            .plain = true,
                            .level = FAAS_PRIORITY_NORMAL - 1,
                            .submitted = now_ns(),
                            .deadline = UINT64_MAX};
    return j;
}

/* When it may not run any more. */
static void job_age(struct job_model *j)
{
    j->end = after(j->submitted, m.fns[j->f].policy.age_ns);
    if (j->deadline < j->end)
        j->end = j->deadline;
}

/* The one that runs for all with a job's key, or NULL. */
static struct job_model *leader_of(const struct job_model *j)
{
    EACH_ALIVE(other)
    {
        if (other->leads && other->f == j->f && other->key == j->key)
            return other;
    }
    return NULL;
}

/* The next that waits for `j`, or NULL. */
static struct job_model *follower_of(const struct job_model *j)
{
    struct job_model *next = NULL;

    EACH_ALIVE(other)
    {
        if (other->follows && other->f == j->f && other->key == j->key &&
            (next == NULL || other->place < next->place))
            next = other;
    }
    return next;
}

/* It was accepted. */
static void job_enter(struct job_model *j, uint64_t start)
{
    job_age(j);
    j->place = ++m.places;
    if (j->phase != ARRIVING)
        return; // it ran while it was submitted
    m.fns[j->f].stats.submitted++;
    j->phase = start == 0 ? QUEUED : DELAYED;
    j->plain = start == 0;
    j->due_least = j->due_most = start;
    if (j->key == 0)
        return;
    j->follows = leader_of(j) != NULL;
    j->leads = !j->follows;
    if (j->follows) {
        j->phase = DELAYED;
        j->due_least = j->due_most = UINT64_MAX;
    }
}

static void job_refuse(struct job_model *j)
{
    j->phase = REFUSED;
    m.fns[j->f].stats.refused++;
}

/* A record went to a function: what became of it shows in that one's numbers. */
static void sending_settle(void)
{
    faas_async_stats stats = {.size = sizeof stats};
    bool there = false, must, may;
    struct job_model *j;
    struct fn_model *f;

    if (m.sent_to == NOBODY)
        return;
    f = &m.fns[m.sent_to];
    if (f->there && !m.closing) {
        SIM_REQUIRE(faas_async_stats_get(m.rt, f->fn, &stats) == FAAS_OK, "%s", f->name);
        there = stats.submitted == f->stats.submitted + 1;
        must = room_for(m.sent_to, m.sent_bytes, true);
        may = room_for(m.sent_to, m.sent_bytes, false);
        SIM_REQUIRE(there ? may : !must, "a record to %s was %s", f->name,
                    there ? "taken" : "refused");
    }
    j = job_new(m.sent_to, m.jobs[m.sent_of].root, m.jobs[m.sent_of].depth + 1);
    j->bytes = m.sent_bytes;
    j->event = m.sent_event;
    j->submitted = m.sent_at;
    if (there) {
        job_enter(j, 0);
    } else {
        j->phase = REFUSED;
        if (f->there && !m.closing)
            f->stats.refused++;
        if (!m.sent_kept && (!m.sent_event || f->there)) // else nobody asked for it
            letter_put(m.sent_of);
    }
    m.sent_to = NOBODY;
}

/* ---- what follows an attempt ---- */

static void job_end(struct job_model *j, faas_condition condition, faas_status status);

/* Who runs for all ends: so do they, or the next one takes its place. */
static void followers_go_on(struct job_model *j, faas_condition condition,
                            faas_status status)
{
    struct job_model *next;

    j->leads = false;
    if (condition == FAAS_SUCCESS && m.fns[j->f].policy.idempotency_ns != 0)
        m.fns[j->f].kept[j->key] = true;
    if (condition == FAAS_SUCCESS || condition == FAAS_RETRIES_EXHAUSTED) {
        while ((next = follower_of(j)) != NULL) {
            next->shared = true;
            next->follows = false;
            next->condition = condition;
            next->status = status;
            if (condition == FAAS_SUCCESS)
                job_end(next, condition, status);
        }
        return;
    }
    next = follower_of(j);
    if (next == NULL)
        return;
    next->follows = false;
    next->leads = true;
    next->phase = QUEUED;
    next->plain = false; // it is older than what stands before it
    next->place = ++m.places;
}

static void job_end(struct job_model *j, faas_condition condition, faas_status status)
{
    faas_async_stats *stats = &m.fns[j->f].stats;
    uint64_t *ends[] = {NULL,
                        &stats->succeeded,
                        &stats->exhausted,
                        &stats->expired,
                        &stats->cancelled,
                        &stats->dropped};

    SIM_REQUIRE(alive(j), "%s ends twice", job_text(j));
    if (j->leads)
        followers_go_on(j, condition, status);
    j->phase = ENDED;
    j->leads = j->follows = false;
    j->condition = condition;
    j->status = status;
    (*ends[condition])++;
    if (condition != FAAS_SUCCESS && condition != FAAS_CANCELLED &&
        m.fns[j->f].policy.dead_letters != FAAS_OFF)
        letter_put((int)(j - m.jobs));
    while (m.first_alive < m.job_count && !alive(&m.jobs[m.first_alive]))
        m.first_alive++;
}

/* An attempt failed at `at`. */
static void job_failed(struct job_model *j, faas_status status, uint64_t at)
{
    const faas_async *policy = &m.fns[j->f].policy;
    uint32_t kind = status == FAAS_EHANDLER ? FAAS_RETRY_ERROR : FAAS_RETRY_TIMEOUT;
    double wait = (double)policy->backoff_ns;

    if (j->cancel) {
        job_end(j, FAAS_CANCELLED, status);
        return;
    }
    if ((policy->retry_on & kind) == 0 || j->attempts > policy->retries) {
        job_end(j, FAAS_RETRIES_EXHAUSTED, status);
        return;
    }
    m.fns[j->f].stats.retried++;
    if (!m.fns[j->f].there || m.closing) {
        job_end(j, FAAS_DROPPED, m.fns[j->f].there ? FAAS_ECLOSED : FAAS_ENOENT);
        return;
    }
    for (uint32_t i = 1; i < j->attempts; i++)
        wait *= policy->backoff_factor;
    if (wait > (double)policy->backoff_max_ns)
        wait = (double)policy->backoff_max_ns;
    j->phase = DELAYED;
    j->plain = false;
    if (policy->group_failure == FAAS_GROUP_SKIP)
        j->alone = true;
    j->due_least = policy->jitter == FAAS_JITTER_NONE ? at + (uint64_t)wait : at;
    j->due_most = whole_ms(now_ns() + (uint64_t)wait);
}

/* An attempt whose time is over goes on without its handler. */
static void run_abandon(struct run_model *run)
{
    run->abandoned = true;
    job_failed(&m.jobs[run->job], FAAS_ETIMEDOUT, run->due);
}

/* The runtime looked at its timers. */
static void model_swept(void)
{
    sending_settle();
    for (int i = 0; i < m.run_count; i++)
        if (!m.runs[i].abandoned && m.runs[i].due <= now_ns())
            run_abandon(&m.runs[i]);
    EACH_ALIVE(j)
    {
        SIM_REQUIRE(!waits(j) || j->end > now_ns(), "%s waits beyond its time",
                    job_text(j));
        if (j->phase == DELAYED && j->due_most <= now_ns())
            j->phase = QUEUED;
    }
}

/* ---- who may run ---- */

static uint32_t running_of(int f)
{
    uint32_t running = 0;

    for (int i = 0; i < m.run_count; i++)
        running += f == NOBODY || m.jobs[m.runs[i].job].f == f;
    return running;
}

/* A batch has one. */
static uint32_t seats_of(int f)
{
    uint32_t seats = 0;

    for (int i = 0; i < m.run_count; i++)
        seats += !m.runs[i].joins && (f == NOBODY || m.jobs[m.runs[i].job].f == f);
    return seats;
}

static bool seat_for(int f)
{
    return m.fns[f].there && m.fns[f].on && seats_of(f) < m.fns[f].cap &&
           seats_of(NOBODY) < m.running_max;
}

/* One before it in its group, or NULL. */
static struct job_model *job_before(const struct job_model *j)
{
    EACH_ALIVE(other)
    {
        if (other->place < j->place && !j->alone && !other->alone && other->f == j->f &&
            other->group == j->group && other->phase != ARRIVING)
            return other;
    }
    return NULL;
}

/* Of a group the next one waits until the batch is over in which one came too late. */
static bool must_run(const struct job_model *j)
{
    return j->phase == QUEUED && seat_for(j->f) && job_before(j) == NULL &&
           (j->alone || !m.fns[j->f].batches || running_of(j->f) == 0);
}

/* All that could run did. */
static void nothing_left(void)
{
    EACH_ALIVE(j)
    {
        SIM_REQUIRE(!must_run(j), "%s could run", job_text(j));
    }
}

/* Whether two wait in one lane, in the order in which they were submitted. */
static bool in_lane_before(const struct job_model *first, const struct job_model *second)
{
    return first->place < second->place && first->f == second->f &&
           first->level == second->level && first->tenant == second->tenant &&
           first->alone && second->alone && first->plain && second->plain;
}

/* Whether `j` may begin now, and is next, or of those that `joins` a batch. */
static void beginning_check(const struct job_model *j, bool joins)
{
    uint32_t crew = m.fns[j->f].policy.blocking;
    bool out_of_turn = m.out_of_turn == (int)(j - m.jobs);

    SIM_REQUIRE(j->phase == QUEUED || (j->phase == ARRIVING && out_of_turn) ||
                    (j->phase == DELAYED && j->due_least <= now_ns()),
                "%s does not wait for a seat, due %llu", job_text(j),
                (unsigned long long)j->due_least);
    SIM_REQUIRE(joins || seat_for(j->f), "%s has no seat: %u of it run, %u in all",
                job_text(j), seats_of(j->f), seats_of(NOBODY));
    SIM_REQUIRE(job_before(j) == NULL, "%s is behind %s", job_text(j),
                job_text(job_before(j)));
    SIM_REQUIRE(j->end > now_ns(), "%s is too old", job_text(j));
    if (out_of_turn)
        return;
    EACH_ALIVE(other)
    {
        if (other == j || (joins ? other->f != j->f || other->phase != QUEUED ||
                                       job_before(other) != NULL
                                 : !must_run(other)))
            continue;
        /* What was to begin before it in its batch may have been too late: then what waits
         * for that, or is of another function, had to let it pass. */
        if (m.fns[j->f].batches && (other->f != j->f || !other->alone || !other->plain))
            continue;
        SIM_REQUIRE(m.fns[other->f].policy.blocking >= crew, "%s is before %s",
                    job_text(other), job_text(j));
        if (m.fns[other->f].policy.blocking != crew)
            continue;
        SIM_REQUIRE(other->level >= j->level ||
                        now_ns() - m.served[crew][j->level] >= AGEING,
                    "%s is more urgent than %s", job_text(other), job_text(j));
        SIM_REQUIRE(!in_lane_before(other, j), "%s came before %s", job_text(other),
                    job_text(j));
    }
    m.served[crew][j->level] = now_ns();
}

/* ---- what is seen ---- */

/* The job of an input that a function got, or that a record is of, which says when it was
 * submitted. Of those alike, which stand in one lane, the first one. */
static struct job_model *job_of(int f, faas_bytes input, faas_id id, uint64_t submitted)
{
    static const faas_id unknown;
    const char *text = input.data, *end = text + input.size;
    uint32_t root = 0, depth = 0;
    bool found = false;

    for (const char *at = text; at < end; at++) {
        static const char within[] = "\"requestPayload\"";

        if ((size_t)(end - at) > sizeof within &&
            memcmp(at, within, sizeof within - 1) == 0)
            depth++;
        if (!found && *at == 'j' && end - at > 1 && at[1] >= '0' && at[1] <= '9' &&
            (at == text || at[-1] == '"')) {
            root = (uint32_t)strtoul(at + 1, NULL, 10);
            found = true;
        }
    }
    SIM_REQUIRE(found, "not an input of ours: %.*s", (int)input.size, text);
    for (int i = m.job_count; i-- > 0;)
        if (same_id(m.jobs[i].id, id))
            return &m.jobs[i];
    EACH_ALIVE(j)
    {
        if (j->f == f && j->root == root && j->depth == depth &&
            same_id(j->id, unknown) && (submitted == 0 || j->submitted == submitted)) {
            j->id = id;
            return j;
        }
    }
    for (int i = 0; i < m.job_count; i++) {
        struct job_model *j = &m.jobs[i];

        if (j->shared && j->f == f && j->root == root && same_id(j->id, unknown)) {
            j->id = id;
            return j;
        }
    }
    SIM_REQUIRE(false, "nobody submitted %u.%u to %s", root, depth, m.fns[f].name);
    return NULL;
}

/* A handler begins. */
static struct run_model *model_begins(faas_context *ctx, int f, faas_bytes input,
                                      bool joins)
{
    struct run_model *run = &m.runs[m.run_count];
    struct job_model *j;

    sending_settle();
    j = job_of(f, input, faas_request_id(ctx), 0);
    /* Those that the runtime must have gone on without. */
    if (in_doubt(j))
        run_abandon(run_of(j));
    if (job_before(j) != NULL && in_doubt(job_before(j)))
        run_abandon(run_of(job_before(j)));
    beginning_check(j, joins);
    SIM_REQUIRE(faas_attempt(ctx) == ++j->attempts, "%s at attempt %u", job_text(j),
                faas_attempt(ctx));
    SIM_REQUIRE(j->bytes == (j->event ? 0 : input.size), "%s has %zu bytes", job_text(j),
                input.size);
    SIM_REQUIRE(m.run_count < NESTED_MAX - 1, "too many runs in each other");
    m.fns[f].stats.submitted += j->phase == ARRIVING;
    j->phase = RUNNING;
    *run = (struct run_model){.job = (int)(j - m.jobs),
                              .attempt = j->attempts,
                              .due = now_ns() + m.fns[f].timeout,
                              .joins = joins};
    if (j->deadline < run->due)
        run->due = j->deadline;
    SIM_REQUIRE(faas_deadline_ns(ctx) == run->due, "%s until %llu", job_text(j),
                (unsigned long long)faas_deadline_ns(ctx));
    m.run_count++;
    return run;
}

/* It returns, `count` attempts from `first` on having been made, each with its code. */
static void model_ends(struct run_model *first, int count, const int codes[])
{
    sending_settle();
    SIM_REQUIRE(first + count == &m.runs[m.run_count], "runs are not nested");
    m.run_count -= count;
    for (int i = 0; i < count; i++) {
        struct run_model *run = &first[i];
        struct job_model *j = &m.jobs[run->job];

        if (run->abandoned)
            continue;
        if (now_ns() > run->due)
            job_failed(j, FAAS_ETIMEDOUT, run->due);
        else if (codes[i] != 0)
            job_failed(j, FAAS_EHANDLER, now_ns());
        else
            job_end(j, FAAS_SUCCESS, FAAS_OK);
    }
}

static int count_bytes(const char *data, size_t size, void *user)
{
    (void)data;
    *(uint64_t *)user += size;
    return 0;
}

/* A job of which the model does not know that it ended: what the runtime may do itself. */
static void ended_by_itself(struct job_model *j, const faas_record *record)
{
    struct job_model *leader = j->follows ? leader_of(j) : NULL;
    struct run_model *run = run_of(j);

    if (run != NULL) {
        SIM_REQUIRE(run->due <= now_ns(), "%s runs, and ended with %s", job_text(j),
                    faas_status_name(record->status));
        run_abandon(run);
    }
    if (j->phase == ENDED)
        return;
    if (leader != NULL && in_doubt(leader) &&
        record->condition != FAAS_EVENT_AGE_EXCEEDED) // it is told of later
        run_abandon(run_of(leader));
    if (j->shared &&
        !(record->condition == FAAS_EVENT_AGE_EXCEEDED && j->end <= now_ns())) {
        job_end(j, j->condition, j->status);
        return;
    }
    if (j->answered && j->phase == ARRIVING) {
        m.fns[j->f].stats.submitted++;
        job_end(j, FAAS_SUCCESS, FAAS_OK);
        return;
    }
    if (record->condition == FAAS_EVENT_AGE_EXCEEDED) {
        SIM_REQUIRE(waits(j) && j->end <= now_ns(), "%s may run until %llu, now %llu",
                    job_text(j), (unsigned long long)j->end,
                    (unsigned long long)now_ns());
        job_end(j, FAAS_EVENT_AGE_EXCEEDED, FAAS_EEXPIRED);
    } else if (m.arriving_at == j->f && record->status == FAAS_EBUSY) {
        SIM_REQUIRE(j->phase == QUEUED || j->due_least <= now_ns(), "%s was dropped",
                    job_text(j));
        EACH_ALIVE(other)
        {

            SIM_REQUIRE(!(other->phase == QUEUED &&
                          (in_lane_before(other, j) ||
                           (other->f == j->f && other->plain && j->plain &&
                            other->submitted < j->submitted))),
                        "%s is older than %s", job_text(other), job_text(j));
        }
        job_end(j, FAAS_DROPPED, FAAS_EBUSY);
    } else {
        SIM_REQUIRE((m.closing || !m.fns[j->f].there) && waits(j), "%s ended with %s",
                    job_text(j), faas_status_name(record->status));
        job_end(j, FAAS_DROPPED, m.fns[j->f].there ? FAAS_ECLOSED : FAAS_ENOENT);
    }
}

/* A record comes: to the submitter, or where the function sends it. */
static void model_told(const faas_record *record, bool to_submitter)
{
    struct job_model *j;
    int f, to;

    sending_settle();
    for (f = 0; f < m.fn_count; f++)
        if (m.fns[f].fn.index == record->fn.index &&
            m.fns[f].fn.generation == record->fn.generation)
            break;
    SIM_REQUIRE(f < m.fn_count, "a record of no function: %s", record->function);
    j = job_of(f, record->request, record->request_id, record->submitted_ns);
    if (j->phase != ENDED)
        ended_by_itself(j, record);
    SIM_REQUIRE(j->condition == record->condition && j->status == record->status &&
                    j->attempts == record->attempts,
                "%s ended with %s, %s, %u; not with %s, %s", job_text(j),
                faas_condition_name(record->condition), faas_status_name(record->status),
                record->attempts, faas_condition_name(j->condition),
                faas_status_name(j->status));
    SIM_REQUIRE(record->submitted_ns == j->submitted && record->ended_ns == now_ns(),
                "%s: %llu to %llu", job_text(j), (unsigned long long)record->submitted_ns,
                (unsigned long long)record->ended_ns);
    SIM_REQUIRE(!(to_submitter ? j->told : j->sent), "%s is told of twice", job_text(j));
    *(to_submitter ? &j->told : &j->sent) = true;
    if (to_submitter)
        return;
    SIM_REQUIRE(j->told == j->asked, "%s is not told of", job_text(j));
    to = j->condition == FAAS_SUCCESS ? m.fns[f].on_success : m.fns[f].on_failure;
    if (to == NOBODY)
        return;
    m.sent_to = to;
    m.sent_of = (int)(j - m.jobs);
    m.sent_kept = j->condition != FAAS_SUCCESS && j->condition != FAAS_CANCELLED &&
                  m.fns[f].policy.dead_letters != FAAS_OFF;
    m.sent_event = j->condition != FAAS_SUCCESS && m.fns[f].by_event;
    m.sent_bytes = 0;
    m.sent_at = now_ns();
    if (m.sent_event)
        return;
    SIM_REQUIRE(faas_record_json(record, count_bytes, &m.sent_bytes) == FAAS_OK, "JSON");
}

/* ---- numbers ---- */

static void numbers_check(int f)
{
    static const faas_fn all;
    faas_async_stats s = {.size = sizeof s}, want = {.size = sizeof want};

    for (int i = 0; i < m.fn_count; i++) {
        const faas_async_stats *of = &m.fns[i].stats;

        if (f != NOBODY && f != i)
            continue;
        want.submitted += of->submitted;
        want.refused += of->refused;
        want.succeeded += of->succeeded;
        want.exhausted += of->exhausted;
        want.expired += of->expired;
        want.cancelled += of->cancelled;
        want.dropped += of->dropped;
        want.retried += of->retried;
    }
    EACH_ALIVE(j)
    {
        if (!waits(j) || (f != NOBODY && j->f != f))
            continue;
        want.queued++;
        want.queued_bytes += j->bytes;
    }
    SIM_REQUIRE(faas_async_stats_get(m.rt, f == NOBODY ? all : m.fns[f].fn, &s) ==
                    FAAS_OK,
                "%s", f == NOBODY ? "all" : m.fns[f].name);
#define SAME(field)                                                                      \
    SIM_REQUIRE(s.field == want.field, "%s: %llu, not %llu",                             \
                f == NOBODY ? "all" : m.fns[f].name, (unsigned long long)s.field,        \
                (unsigned long long)want.field)
    SAME(submitted);
    SAME(refused);
    SAME(succeeded);
    SAME(exhausted);
    SAME(expired);
    SAME(cancelled);
    SAME(dropped);
    SAME(queued);
    SAME(queued_bytes);
    SAME(retried);
    SIM_REQUIRE(s.running == running_of(f), "%u run, not %u", s.running, running_of(f));
    sim_note("  %llu submitted, %llu queued, %llu bytes, oldest %llu",
             (unsigned long long)s.submitted, (unsigned long long)s.queued,
             (unsigned long long)s.queued_bytes, (unsigned long long)s.oldest_ns);
}

#endif /* SIM_ASYNC_MODEL_H */

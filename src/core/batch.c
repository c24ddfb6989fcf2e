/* SPDX-License-Identifier: MIT */
/* batch.c - leading and following. */
#include "batch.h"

#include "mem.h"
#include "report.h"

#include <faas/batch.h>

/* Items that a batch on the leader's stack has room for; more take memory. */
enum { ITEMS_FEW = 32 };

/* How long a leader works for others before it hands its seat over: a few times what it
 * takes to wake a thread, which is when the instance stands still. */
#define LEAD_NS ((uint64_t)200000)

/* A call that sits, and runs one batch after the other. */
struct leader {
    faas_runtime *rt;
    struct faasi_desk *desk;
    struct faasi_cell *cell;
    struct faas_context *parent;
    struct faasi_wish *own; /* and what is `also` its caller's; NULL when they had their
                               turn */
    uint32_t own_count;
    uint64_t deadline; /* ticks: the soonest of its own */
    uint64_t led;      /* ticks, for others */
    uint32_t backlog;  /* how many waited when it was looked at last */
    uint32_t ran;      /* items in the last batch, if that is still to be learned from */
    uint64_t ticks;    /* that it took */
    bool end;          /* the instance served enough, or is old */
    struct faasi_batch_request request;
    faas_item *items;
    uint32_t room; /* of these */
    faas_item few[ITEMS_FEW];
};

/* What a call took before its batch began. */
struct start {
    uint64_t init_ns;
    bool cold;
};

/* The request in a batch's own context: nobody's, so a trace ends here. */
static const faas_invoke_options batch_options = {.size = sizeof batch_options,
                                                  .trace = {"", 0}};

/* ---- a wish ---- */

static unsigned priority_of(const struct faasi_request *request)
{
    faas_priority priority =
        request->options == NULL ? FAAS_PRIORITY_DEFAULT : request->options->priority;

    return priority == FAAS_PRIORITY_DEFAULT ? FAAS_PRIORITY_NORMAL - 1
                                             : (unsigned)priority - 1;
}

static faas_status wish_open(faas_runtime *rt, struct faasi_desk *desk,
                             struct faasi_call *call, struct faasi_wish *wish)
{
    const faas_clock *clock = rt->gate.clock;
    struct faasi_function *f = desk->function;
    struct faas_context *ctx;

    *wish = (struct faasi_wish){
        .state = FAASI_WISH_WAITS, .request = call->request, .waited = call->waited};
    wish->arrived = faasi_ticks(clock);
    wish->deadline =
        faasi_call_deadline(clock, call->request, f, wish->arrived, call->deadline);
    wish->until = faasi_ticks_after(wish->arrived,
                                    faasi_ns_to_ticks(clock, faasi_read(&f->wait_ns)));
    if (wish->deadline < wish->until)
        wish->until = wish->deadline;
    wish->priority = priority_of(call->request);
    wish->place = faasi_desk_place(desk, &call->place);
    if (wish->place == NULL)
        return FAAS_ENOMEM;
    wish->place->id = call->id != NULL ? *call->id : faasi_unseated_id(rt);
    faasi_heap_start(wish->place->heap, faasi_read(&f->heap_bytes));
    ctx = &wish->place->context;
    *ctx = (struct faas_context){.heap = wish->place->heap,
                                 .gate = &rt->gate,
                                 .function = f,
                                 .request = call->request,
                                 .parent = call->parent,
                                 .deadline = wish->deadline,
                                 .id = &wish->place->id};
    ctx->depth = call->parent == NULL ? 0 : call->parent->depth + 1;
    return FAAS_OK;
}

static faas_meter meter_of(faas_runtime *rt, const struct faasi_wish *wish,
                           const struct start *start)
{
    const faas_clock *clock = rt->gate.clock;
    faas_meter meter = {
        .request_id = wish->place->id,
        .wait_ns = faasi_ticks_to_ns(
            clock, wish->waited + faasi_ticks_since(wish->begun, wish->arrived)),
        .run_ns = faasi_ticks_to_ns(clock, faasi_ticks_since(wish->ended, wish->begun)),
        .peak_bytes = faasi_heap_used(wish->place->heap),
        .init_ns = start->init_ns,
        .cold = start->cold};

    meter.wait_ns = meter.wait_ns > meter.init_ns ? meter.wait_ns - meter.init_ns : 0;
    return meter;
}

/* Hands over what came of it. */
static void wish_close(faas_runtime *rt, struct faasi_desk *desk, struct faasi_wish *wish,
                       const struct start *start, faas_result **result)
{
    struct faas_context *ctx = &wish->place->context;
    bool ran = wish->state == FAASI_WISH_RAN;

    if (ran && rt->reports) {
        faas_meter meter = meter_of(rt, wish, start);

        /* Its instance may be gone by now; what it declared stands for it. */
        faasi_report_call(rt, desk->function, faasi_read(&desk->function->instance_bytes),
                          &meter, wish->begun, wish->status);
    }
    if (ran && result != NULL) {
        faas_meter meter = meter_of(rt, wish, start);

        *result = faasi_context_result(ctx, wish->status, wish->code, &meter);
    } else {
        faasi_heap_wipe(wish->place->heap);
    }
}

/* It does not run. Its sleeper may be gone afterwards. Holds: the desk's lock. */
static void wish_end(struct faasi_wish *wish, faas_status status)
{
    wish->state = FAASI_WISH_ENDED;
    wish->status = status;
    faasi_bell_ring(&wish->bell);
}

/* Why one that may wait no longer does not run. */
static faas_status why_late(struct faasi_desk *desk, const struct faasi_wish *wish,
                            uint64_t now)
{
    return now >= wish->deadline ? FAAS_EEXPIRED
                                 : faasi_gate_refuse(desk->gate, desk->function);
}

/* ---- taking a batch ---- */

/* Begins a batch with the leader's own wishes, those that are not too late. Returns how
 * many there are. */
static uint32_t own_take(struct faasi_wish *own, uint64_t now, struct faasi_wish **list)
{
    uint32_t count = 0;

    for (; own != NULL; own = own->also) {
        if (now >= own->deadline) {
            own->state = FAASI_WISH_ENDED;
            own->status = FAAS_EEXPIRED;
            continue;
        }
        *list = own;
        list = &own->next;
        count++;
    }
    *list = NULL;
    return count;
}

/* Adds the wishes that go next in the queue to a batch of `count`, up to `most` in all;
 * returns how many there are then. Holds: the desk's lock. */
static uint32_t queue_take(struct faasi_desk *desk, struct faasi_wish **list,
                           uint32_t count, uint32_t most, uint64_t now)
{
    struct faasi_wish *wish;

    while (*list != NULL)
        list = &(*list)->next;
    while (count < most && (wish = faasi_desk_head(desk)) != NULL) {
        faasi_desk_unqueue(desk, wish);
        if (now >= wish->until) {
            wish_end(wish, why_late(desk, wish, now));
            continue;
        }
        wish->state = FAASI_WISH_TAKEN;
        *list = wish;
        list = &wish->next;
        count++;
    }
    *list = NULL;
    return count;
}

/* Puts what is behind the first `count` back where it was. Holds: the desk's lock. */
static void queue_return(struct faasi_desk *desk, struct faasi_wish *list, uint32_t count)
{
    struct faasi_wish *rest, *reversed = NULL, *next;

    while (--count > 0)
        list = list->next;
    rest = list->next;
    list->next = NULL;
    for (; rest != NULL; rest = next) {
        next = rest->next;
        rest->next = reversed;
        reversed = rest;
    }
    for (; reversed != NULL; reversed = next) {
        next = reversed->next;
        faasi_desk_queue(desk, reversed, true);
    }
}

/* The largest batch of the first `count` that is done before the soonest of its deadlines
 * where a smaller one would be. Holds: the desk's lock. */
static uint32_t size_in_time(const struct faasi_desk *desk, const struct faasi_wish *list,
                             uint32_t count, uint64_t now)
{
    while (count > 1) {
        uint64_t soonest = UINT64_MAX;
        const struct faasi_wish *wish = list;

        for (uint32_t i = 0; i < count; i++, wish = wish->next)
            if (wish->deadline < soonest)
                soonest = wish->deadline;
        if (faasi_desk_is_in_time(desk, count, now, soonest))
            break;
        count = faasi_batchcurve_fit(count - 1);
    }
    return count;
}

/* The next batch of a leader: its own wishes first, if they did not have their turn yet.
 * Returns how many there are: 0 if nothing is left to run. */
static uint32_t batch_take(struct leader *l, struct faasi_wish **list)
{
    struct faasi_desk *desk = l->desk;
    uint64_t now = faasi_ticks(l->rt->gate.clock);
    uint32_t own = own_take(l->own, now, list), count, most, waiting, size;

    if (own == 0)
        l->own = NULL;
    if (own == 1 && faasi_desk_waiting(desk) == 0) // alone, as most are
        return 1;
    faasi_lock(&desk->lock);
    most = l->room < desk->batch_max ? l->room : desk->batch_max;
    do {
        count = own;
        waiting = faasi_desk_waiting(desk);
        if (waiting == 0)
            break;
        size = faasi_batchcurve_pick(&desk->curve, own + waiting, most);
        count = queue_take(desk, list, own, size, now);
    } while (count == 0); // those that it took came too late
    if (count != 0) {
        size = size_in_time(desk, *list, faasi_batchcurve_fit(count), now);
        if (size < own) // these had their size before they began
            size = own;
        if (size < count)
            queue_return(desk, *list, size);
        count = size;
        desk->takes++;
    }
    faasi_unlock(&desk->lock);
    return count;
}

/* ---- running a batch ---- */

/* Tells an item that fails with the whole batch why, if it can be told. */
static void item_explain(struct faas_context *item, const char *message)
{
    size_t size = strlen(message) + 1;
    char *copy = faasi_heap_alloc(item->heap, size);

    if (copy != NULL)
        item->message = memcpy(copy, message, size);
}

/* Calls the handler with `count` items, all ready. Returns its code. */
static int batch_call(const struct leader *l, uint32_t count)
{
    const struct faasi_code *code = l->desk->function->code;
    struct faas_context *ctx = &l->cell->context;
    int failure = 0;

    if (count == 1 && code->handler != NULL) {
        faasi_context_current = l->items[0].ctx;
        l->items[0].code = code->handler(l->items[0].ctx, l->items[0].input);
    } else {
        faasi_context_current = ctx;
        failure = code->batch(ctx, l->items, count);
    }
    faasi_context_current = l->parent;
    return failure;
}

/* Counts a batch. The cell is ours. */
static void batch_count(const struct leader *l, const struct faasi_wish *list,
                        uint32_t count, uint64_t ticks, uint64_t ns)
{
    struct faasi_counters *c = &l->cell->counters;
    struct faasi_desk_tally *tally = l->desk->tally;
    uint64_t kib = faasi_read(&l->desk->function->memory_bytes) >> 10;
    double used = atomic_load_explicit(&c->used_byte_ns, memory_order_relaxed);
    unsigned class = count == 1 ? 0 : 32u - (unsigned)__builtin_clz(count - 1);

    faasi_add(&c->calls, count);
    faasi_add(&c->run_ticks, ticks);
    faasi_add(&c->billed_kib_ms, kib * faasi_billed_ms(ns));
    faasi_add(&l->cell->latency[faas_histogram_bucket(ns)], count);
    for (const struct faasi_wish *wish = list; wish != NULL; wish = wish->next) {
        uint64_t peak = faasi_heap_used(wish->place->heap);

        used += (double)peak * (double)ns;
        if (peak > faasi_read(&c->peak_bytes))
            faasi_write(&c->peak_bytes, peak);
        faasi_add(&c->wait_ticks,
                  wish->waited + faasi_ticks_since(wish->begun, wish->arrived));
        if (wish->status != FAAS_OK) {
            _Atomic uint64_t *failures =
                wish->status == FAAS_ETIMEDOUT ? &c->timeouts : &c->errors;

            /* Release: whoever sees it sees the calls. Pairs with faasi_gate_stats(). */
            atomic_store_explicit(failures, faasi_read(failures) + 1,
                                  memory_order_release);
        }
    }
    atomic_store_explicit(&c->used_byte_ns, used, memory_order_relaxed);
    atomic_fetch_add_explicit(&tally->batches, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&tally->batched, count, memory_order_relaxed);
    atomic_fetch_add_explicit(&tally->batch_sizes[class], 1, memory_order_relaxed);
}

/* Makes items of wishes, and the batch's own context. */
static void batch_prepare(struct leader *l, struct faasi_wish *list, uint32_t count)
{
    struct faas_context *ctx = &l->cell->context;
    uint32_t i = 0;

    l->request.request.options = &batch_options;
    l->request.request.batch = true;
    l->request.items = l->items;
    l->request.count = count;
    ctx->request = &l->request.request;
    ctx->parent = l->parent;
    ctx->deadline = 0;
    ctx->id = NULL;
    ctx->output = faas_bytes_of(NULL, 0);
    ctx->message = NULL;
    ctx->depth = 0;
    faasi_heap_start(l->cell->heap, faasi_read(&l->desk->function->heap_bytes));
    for (struct faasi_wish *wish = list; wish != NULL; wish = wish->next, i++) {
        struct faas_context *item = &wish->place->context;

        item->instance = l->cell->instance;
        if (item->deadline > ctx->deadline)
            ctx->deadline = item->deadline;
        if (item->depth > ctx->depth)
            ctx->depth = item->depth;
        l->items[i] = (faas_item){.ctx = item, .input = wish->request->input, .index = i};
    }
}

/* Runs a batch, counts it and wakes its callers. */
static void batch_run(struct leader *l, struct faasi_wish *list, uint32_t count)
{
    const faas_clock *clock = l->rt->gate.clock;
    struct faas_context *ctx = &l->cell->context;
    uint64_t begun, ended, ticks;
    struct faasi_wish *next;
    uint32_t i = 0;
    int failure;

    batch_prepare(l, list, count);
    begun = faasi_ticks(clock);
    failure = batch_call(l, count);
    ended = faasi_ticks(clock);
    ticks = faasi_ticks_since(ended, begun);
    for (struct faasi_wish *wish = list; wish != NULL; wish = wish->next, i++) {
        wish->code = l->items[i].code;
        if (failure != 0 && wish->code == 0) {
            wish->code = failure;
            if (ctx->message != NULL && wish->place->context.message == NULL)
                item_explain(&wish->place->context, ctx->message);
        }
        wish->begun = begun;
        wish->ended = ended;
        wish->status = ended > wish->deadline ? FAAS_ETIMEDOUT
                       : wish->code != 0      ? FAAS_EHANDLER
                                              : FAAS_OK;
    }
    faasi_heap_wipe(l->cell->heap);
    batch_count(l, list, count, ticks, faasi_ticks_to_ns(clock, ticks));
    faasi_write(&l->cell->seat.left_ticks, ended);
    if (faasi_cares(l->desk->function, FAASI_CARE_BOUNDED))
        l->end = faasi_instance_served(clock, l->cell, count, ended);
    if (l->own == NULL)
        l->led += ticks;
    l->ran = count;
    l->ticks = ticks;
    for (struct faasi_wish *wish = list; wish != NULL; wish = next) {
        bool sleeps = wish->state == FAASI_WISH_TAKEN;

        next = wish->next;
        wish->state = FAASI_WISH_RAN;
        if (sleeps)
            faasi_bell_ring(&wish->bell);
    }
}

/* ---- leading ---- */

/* Waits for more items as long as the function says, unless there are enough or one of
 * them would be late. */
static void lead_collect(struct leader *l)
{
    struct faasi_desk *desk = l->desk;
    const faas_clock *clock = l->rt->gate.clock;
    uint64_t until, took;
    uint32_t goal;

    faasi_lock(&desk->lock);
    goal = faasi_batchcurve_goal(&desk->curve, desk->batch_max);
    desk->collecting++;
    while (!desk->ended && faasi_desk_waiting(desk) + l->own_count < goal) {
        uint32_t more = faasi_desk_waiting(desk) + l->own_count + 1;
        uint64_t now = faasi_ticks(clock);

        took = faasi_batchcurve_ticks(&desk->curve,
                                      more < FAASI_BATCH_MOST ? more : FAASI_BATCH_MOST);
        until = faasi_ticks_after(l->own->arrived,
                                  faasi_ns_to_ticks(clock, faasi_read(&desk->delay_ns)));
        if (faasi_ticks_since(l->deadline, took) < until)
            until = faasi_ticks_since(l->deadline, took);
        for (int i = 0; i < FAASI_PRIORITIES; i++)
            for (struct faasi_wish *w = desk->queue[i].first; w != NULL; w = w->next)
                if (faasi_ticks_since(w->deadline, took) < until)
                    until = faasi_ticks_since(w->deadline, took);
        if (now >= until)
            break;
        if (clock->source == FAASI_CLOCK_VIRTUAL)
            faasi_wait(&desk->more, &desk->lock);
        else
            faasi_wait_for(&desk->more, &desk->lock,
                           faasi_ticks_to_ns(clock, until - now) + 1);
    }
    desk->collecting--;
    l->backlog = faasi_desk_waiting(desk);
    faasi_unlock(&desk->lock);
}

/* Whether somebody wants this seat left under the gate's lock. */
static bool seat_wanted(const struct leader *l)
{
    return faasi_seat_word(&l->cell->seat) != l->cell->context.busy;
}

/* Learns from the last batch. Holds: the desk's lock. */
static void lead_learn(struct leader *l)
{
    if (l->ran != 0 && faasi_batchcurve_fit(l->ran) == l->ran)
        faasi_batchcurve_learn(&l->desk->curve, l->ran, l->ticks);
    l->ran = 0;
}

/* What a leader does next. When it hands its seat over, the cell is no longer its own. */
enum next { LEAD_ON, LEAVE, HANDED_OVER };

static enum next lead_next(struct leader *l)
{
    struct faasi_desk *desk = l->desk;
    const faas_clock *clock = l->rt->gate.clock;
    struct faasi_wish *head;
    uint64_t done;
    bool late;

    /* Who comes after this look is seen when the seat was left. */
    if (l->end || seat_wanted(l) || faasi_desk_waiting(desk) == 0)
        return LEAVE;
    faasi_lock(&desk->lock);
    lead_learn(l);
    head = faasi_desk_head(desk);
    if (head == NULL) {
        faasi_unlock(&desk->lock);
        return LEAVE;
    }
    l->backlog = faasi_desk_waiting(desk);
    done = faasi_ticks_after(faasi_ticks(clock), faasi_batchcurve_ticks(&desk->curve, 1));
    late = done > l->deadline || l->led >= faasi_ns_to_ticks(clock, LEAD_NS);
    if (late) {
        faasi_desk_unqueue(desk, head);
        head->state = FAASI_WISH_LEADS;
        head->cell = l->cell;
        head->backlog = faasi_desk_waiting(desk);
        faasi_bell_ring(&head->bell);
    }
    faasi_unlock(&desk->lock);
    return late ? HANDED_OVER : LEAD_ON;
}

/* Makes room for more than a few items, if so many wait. */
static void lead_room(struct leader *l)
{
    faas_item *items;

    if (l->items != l->few || l->backlog + l->own_count <= ITEMS_FEW)
        return;
    items = faasi_alloc(l->rt->allocator, FAASI_BATCH_MOST * sizeof *items);
    if (items == NULL)
        return; // the few will do
    l->items = items;
    l->room = FAASI_BATCH_MOST;
}

/* Makes a user of the desk of a member at `place`, and opens its wish. */
static void member_open(faas_runtime *rt, struct faasi_desk *desk, struct faasi_member *m,
                        struct faasi_place *place)
{
    m->next = NULL;
    m->result = NULL;
    m->call = (struct faasi_call){.request = &m->request,
                                  .deadline = m->deadline,
                                  .waited = m->waited,
                                  .id = m->request.id,
                                  .place = place};
    m->status = wish_open(rt, desk, &m->call, &m->wish);
}

/* Has the others of a leader's caller begin, so many as its batch may have. */
static void lead_gather(struct leader *l, struct faasi_party *party)
{
    struct faasi_member *last = FAASI_HOLDER(struct faasi_member, wish, l->own), *m;
    struct faasi_wish **wishes = &l->own->also;
    struct faasi_place *place;
    uint32_t most;

    l->backlog += party->count;
    lead_room(l);
    faasi_lock(&l->desk->lock);
    most = l->room < l->desk->batch_max ? l->room : l->desk->batch_max;
    faasi_unlock(&l->desk->lock);
    while (l->own_count < most && faasi_desk_enter(l->desk, &place) == FAAS_OK) {
        m = party->next(party);
        if (m == NULL) {
            faasi_desk_leave(l->desk, place);
            break;
        }
        last = last->next = m;
        member_open(l->rt, l->desk, m, place);
        if (m->status != FAAS_OK)
            continue;
        *wishes = &m->wish;
        wishes = &m->wish.also;
        l->own_count++;
        if (m->wish.deadline < l->deadline)
            l->deadline = m->wish.deadline;
    }
}

/* Sends the head of the queue to seek a seat, if somebody waits and may be forgotten.
 * Holds: the desk's lock. */
static void queue_promote(struct faasi_desk *desk)
{
    struct faasi_wish *head = faasi_desk_head(desk);

    if (head == NULL)
        return;
    faasi_desk_unqueue(desk, head);
    head->state = FAASI_WISH_SEEKS;
    faasi_bell_ring(&head->bell);
}

/* Whether more calls may come while a leader waits for them. What the host runs was all
 * there, on its one thread. */
static bool more_may_come(const faas_runtime *rt, const struct faasi_wish *own)
{
    return !own->request->queued || rt->async.crews[0].max != 0;
}

/* Runs batches in `cell`, which is ready, the first one with `own`. The seat is left, or
 * somebody else's, afterwards. */
static void lead(faas_runtime *rt, struct faasi_desk *desk, struct faasi_cell *cell,
                 struct faas_context *parent, struct faasi_wish *own)
{
    struct leader l = {
        .rt = rt, .desk = desk, .cell = cell, .parent = parent, .own = own};
    struct faasi_wish *list;
    enum next next = LEAD_ON;

    l.items = l.few;
    l.room = ITEMS_FEW;
    l.backlog = own->backlog;
    l.own_count = 1;
    l.deadline = own->deadline;
    if (own->party != NULL)
        lead_gather(&l, own->party);
    if (faasi_read(&desk->delay_ns) != 0 && more_may_come(rt, own))
        lead_collect(&l);
    while (next == LEAD_ON) {
        uint32_t count;

        lead_room(&l);
        count = batch_take(&l, &list);
        if (count != 0)
            batch_run(&l, list, count);
        l.own = NULL;
        l.own_count = 0;
        next = count == 0 ? LEAVE : lead_next(&l);
    }
    if (l.items != l.few)
        faasi_free(rt->allocator, l.items, l.room * sizeof *l.items);
    if (next == HANDED_OVER)
        return;
    if (l.end || !faasi_seat_leave(&cell->seat, cell->context.busy))
        faasi_gate_leave(&rt->gate, cell, l.end);
    faasi_lock(&desk->lock);
    lead_learn(&l);
    queue_promote(desk);
    faasi_unlock(&desk->lock);
}

/* ---- seeking and following ---- */

/* Takes a seat that is warm and free, or returns NULL. No lock: for the call that finds
 * nobody before it. */
static struct faasi_cell *seat_at_once(struct faasi_desk *desk)
{
    struct faasi_look look;

    /* Where calls are collected the lock tells whether somebody does. */
    if (faasi_read(&desk->delay_ns) != 0 ||
        atomic_load_explicit(&desk->gate->waiting, memory_order_relaxed) != 0)
        return NULL;
    faasi_seats_look(&desk->function->seats, &look);
    return look.idle != NULL && faasi_seat_take(look.idle, look.idle_word)
               ? faasi_cell_of(look.idle)
               : NULL;
}

/* Queues a wish if the function is full, or somebody collects. FAAS_OK without a seat or
 * the queue: there is room. */
static faas_status wish_queue(struct faasi_desk *desk, struct faasi_wish *wish,
                              const struct faas_context *parent, bool first, bool *queued)
{
    struct faasi_function *f = desk->function;
    struct faasi_look look;
    faas_status status = FAAS_OK;

    *queued = false;
    faasi_lock(&desk->lock);
    if (desk->ended)
        status = FAAS_ENOENT;
    else if (!first && desk->collecting != 0 &&
             faasi_desk_waiting(desk) + desk->collecting < desk->batch_max)
        *queued = true;
    else if (faasi_seats_full(&f->seats, &look)) {
        /* Nobody would come: it is off, or we stand on those who sit. */
        *queued = look.busy > faasi_context_count(parent, f);
        if (!*queued)
            status = faasi_gate_refuse(desk->gate, f);
    }
    if (*queued && faasi_bell_init(&wish->bell) != FAAS_OK) {
        *queued = false;
        status = FAAS_ESYSTEM;
    }
    if (*queued)
        faasi_desk_queue(desk, wish, first);
    faasi_unlock(&desk->lock);
    return status;
}

/* Sleeps until the wish ran, or is sent on or away. */
static void wish_follow(struct faasi_desk *desk, struct faasi_wish *wish)
{
    bool queued = false;

    if (!faasi_bell_wait(desk, &wish->bell, wish->until)) {
        faasi_lock(&desk->lock);
        queued = wish->link != NULL;
        if (queued)
            faasi_desk_unqueue(desk, wish);
        faasi_unlock(&desk->lock);
        if (!queued) // somebody took it meanwhile
            (void)faasi_bell_wait(desk, &wish->bell, UINT64_MAX);
    }
    faasi_bell_fini(&wish->bell);
    if (queued) {
        wish->state = FAASI_WISH_ENDED;
        wish->status = why_late(desk, wish, faasi_ticks(desk->gate->clock));
    }
}

/* Finds a seat, at the gate if need be. FAAS_OK with `*cell` NULL: the function is full
 * by now, so queue. */
static faas_status wish_sit(faas_runtime *rt, struct faasi_desk *desk,
                            const struct faasi_wish *wish,
                            const struct faas_context *parent, struct faasi_cell **cell)
{
    struct faasi_function *f = desk->function;
    struct faasi_look look;
    faas_status status;

    faasi_read_enter();
    status = faasi_gate_try(&rt->gate, f, cell);
    if (status == FAAS_OK && *cell == NULL)
        status = faasi_gate_enter(&rt->gate, f, wish->until, parent == NULL, cell);
    else
        faasi_read_leave();
    if (status != FAAS_EBUSY || !faasi_seats_full(&f->seats, &look) ||
        look.busy <= faasi_context_count(parent, f))
        return status;
    atomic_fetch_sub_explicit(&f->throttles, 1, memory_order_relaxed); // it was none
    return FAAS_OK;
}

/* Makes a cell that was just taken ready. Leaves it on failure. */
static faas_status cell_ready(faas_runtime *rt, struct faasi_cell *cell,
                              struct start *start)
{
    faas_status status;

    start->cold = cell->instance == NULL;
    status = faasi_instance_ready(&rt->gate, cell, &start->init_ns);
    if (status != FAAS_OK)
        faasi_gate_leave(&rt->gate, cell, false);
    else
        cell->context.busy = faasi_seat_word(&cell->seat) & ~FAASI_ATTENTION;
    return status;
}

/* Runs a wish: in a batch of its own, or of somebody else. Its state is RAN then; or it is
 * not, and the status says why. */
static faas_status wish_run(faas_runtime *rt, struct faasi_desk *desk,
                            struct faasi_wish *wish, struct faas_context *parent,
                            struct start *start)
{
    struct faasi_cell *cell = seat_at_once(desk);
    faas_status status = FAAS_OK;
    bool first = false, queued;

    if (cell != NULL) {
        status = cell_ready(rt, cell, start);
        if (status != FAAS_OK)
            return status;
    }
    while (cell == NULL) {
        status = wish_queue(desk, wish, parent, first, &queued);
        if (status != FAAS_OK)
            return status;
        if (!queued) {
            status = wish_sit(rt, desk, wish, parent, &cell);
            if (status == FAAS_OK && cell != NULL)
                status = cell_ready(rt, cell, start);
            if (status != FAAS_OK)
                return status;
            continue;
        }
        wish_follow(desk, wish);
        if (wish->state == FAASI_WISH_LEADS)
            cell = wish->cell;
        else if (wish->state != FAASI_WISH_SEEKS)
            return wish->status;
        first = true;
    }
    lead(rt, desk, cell, parent, wish);
    return wish->status;
}

faas_status faasi_batch_invoke(faas_runtime *rt, struct faasi_desk *desk,
                               struct faasi_call *call, faas_result **result)
{
    struct start start = {0, false};
    struct faasi_wish wish;
    faas_status status;

    if (call->request->typed)
        return faasi_fail(FAAS_ETYPE, "%s is no symbol with a signature",
                          desk->function->entry.name);
    status = wish_open(rt, desk, call, &wish);
    if (status != FAAS_OK)
        return status;
    status = wish_run(rt, desk, &wish, call->parent, &start);
    /* It may have been somebody's hope: as a sitter, or as one that was to seek. */
    if (wish.state != FAASI_WISH_RAN) {
        faasi_lock(&desk->lock);
        queue_promote(desk);
        faasi_unlock(&desk->lock);
    }
    wish_close(rt, desk, &wish, &start, result);
    return status;
}

/* ---- queued invocations ---- */

/* Finds the desk of a function whose queued invocations run together, with a place there if
 * one is at hand: the caller is its user then. In a read section. */
static faas_status queued_enter(faas_runtime *rt, faas_fn fn, struct faasi_desk **desk,
                                struct faasi_place **place)
{
    faas_status status = FAAS_ENOENT;
    struct faasi_function *f;

    while (status == FAAS_ENOENT) { // or it was replaced
        f = (struct faasi_function *)faasi_registry_get(&rt->registry, fn);
        if (f == NULL)
            return FAAS_ENOENT;
        if (!faasi_desk_gathers(f->desk)) // it was replaced by another kind
            return FAAS_EPENDING;
        *desk = f->desk;
        status = faasi_desk_enter(f->desk, place);
    }
    return status;
}

/* Says what became of a member, and leaves the desk. */
static void member_close(faas_runtime *rt, struct faasi_desk *desk,
                         struct faasi_member *m, const struct start *start)
{
    if (m->status == FAAS_OK)
        m->status = m->wish.status;
    if (m->wish.place != NULL) {
        bool told = m->status != FAAS_OK || !m->request.failures_only;

        wish_close(rt, desk, &m->wish, start, told ? &m->result : NULL);
    }
    faasi_desk_leave(desk, m->call.place);
}

void faasi_batch_queued(faas_runtime *rt, struct faasi_member *first,
                        struct faasi_party *party)
{
    static const struct start warm = {0, false};
    struct start start = {0, false};
    struct faasi_member *others;
    struct faasi_place *place;
    struct faasi_below below;
    struct faasi_desk *desk = NULL;

    first->result = NULL;
    faasi_read_enter();
    first->status = queued_enter(rt, first->request.fn, &desk, &place);
    faasi_read_leave();
    if (first->status != FAAS_OK)
        return;
    faasi_aside_begin(&below);
    member_open(rt, desk, first, place);
    if (first->status == FAAS_OK) {
        first->wish.party = party;
        first->wish.status = wish_run(rt, desk, &first->wish, NULL, &start);
    }
    if (first->wish.state != FAASI_WISH_RAN) { // as after any call that did not run
        faasi_lock(&desk->lock);
        queue_promote(desk);
        faasi_unlock(&desk->lock);
    }
    others = first->next;
    member_close(rt, desk, first, &start);
    while (others != NULL) {
        struct faasi_member *m = others;

        others = m->next;
        member_close(rt, desk, m, &warm);
    }
    if (first->status == FAAS_ENOENT) // it went while it waited: look again
        first->status = FAAS_EPENDING;
    faasi_aside_end(&below);
}

/* SPDX-License-Identifier: MIT */
/* gate.c - admission off the warm path. */
#include "gate.h"

#include "desk.h"
#include "gate_limit.h"
#include "grace.h"
#include "instance.h"
#include "mem.h"

/* What a call does where no instance is idle and one could be made. */
struct seek {
    bool patient;   /* it may wait for one to come free: it is not inside a handler, which
                        somebody may wait for, and it has a thread that can sleep */
    uint64_t start; /* ticks: from then on it makes one; 0: it has not asked */
    bool slow;      /* it waits for the rate of cold starts */
};

/* A call that waits for a seat. On its thread's stack; in the queue while it waits. */
struct faasi_waiter {
    struct faasi_function *function;
    struct faasi_cell *cell;
    struct seek seek;
    uint64_t arrived, until; /* ticks */
    uint64_t retry_ns;       /* with FAAS_EBUSY: when to come back */
    faas_status status;
    bool done; /* then its function may be gone, unless it has its seat */
    faasi_cond wake;
    struct faasi_waiter *next, **link;
};

/* What became of an attempt to find a seat under the lock. */
enum outcome {
    SEATED,
    FUNCTION_FULL,
    RUNTIME_FULL,
    MEMORY_FULL,
    IN_TRANSIT,
    COMING_FREE, /* an instance does, sooner than one would be made */
    COLD_LIMITED,
    NO_MEMORY
};

static _Thread_local uint64_t retry_after_ns;

uint64_t faasi_gate_retry_after_ns(void)
{
    return retry_after_ns;
}

static void note_peak(struct faasi_function *f, uint32_t busy)
{
    uint32_t peak = atomic_load_explicit(&f->peak, memory_order_relaxed);

    while (busy > peak && !atomic_compare_exchange_weak_explicit(&f->peak, &peak, busy,
                                                                 memory_order_relaxed,
                                                                 memory_order_relaxed))
        continue;
}

/* Whether who leaves a seat has to come by. Holds: lock. */
static bool is_waited_for(const struct faasi_gate *gate)
{
    return gate->first != NULL || gate->watches != NULL;
}

/* ---- refusing ---- */

/* Works out when to come back: the mean run time of some cells, by the cap. */
static uint64_t retry_guess_ns(struct faasi_gate *gate, struct faasi_function *f)
{
    enum { CELLS = 8, UNKNOWN_NS = 1000000 };
    uint64_t calls = 0, ticks = 0, retry_ns;
    uint32_t cap = atomic_load_explicit(&f->seats.cap, memory_order_relaxed);
    struct faasi_cell *cell = faasi_cell_first(f);

    for (int i = 0; i < CELLS && cell != NULL; i++, cell = faasi_cell_after(cell)) {
        calls += faasi_read(&cell->counters.calls);
        ticks += faasi_read(&cell->counters.run_ticks);
    }
    retry_ns = calls == 0 ? UNKNOWN_NS : faasi_ticks_to_ns(gate->clock, ticks / calls);
    if (cap > 1 && cap < FAASI_PERMITS_MAX)
        retry_ns /= cap;
    return retry_ns;
}

/* What faas_retry_after_ns() says from here on; below a microsecond nobody comes back. */
static void retry_note(uint64_t ns)
{
    retry_after_ns = ns < 1000 ? 1000 : ns;
}

void faasi_gate_note_retry(struct faasi_gate *gate, struct faasi_function *f)
{
    retry_note(retry_guess_ns(gate, f));
}

/* Counts a throttle. */
static faas_status refuse(struct faasi_gate *gate, struct faasi_function *f)
{
    faasi_gate_note_retry(gate, f);
    atomic_fetch_add_explicit(&f->throttles, 1, memory_order_relaxed);
    return FAAS_EBUSY;
}

faas_status faasi_gate_refuse(struct faasi_gate *gate, struct faasi_function *f)
{
    return refuse(gate, f);
}

/* The same where it is known when to come back. */
static faas_status refuse_for(struct faasi_function *f, uint64_t retry_ns)
{
    retry_note(retry_ns);
    atomic_fetch_add_explicit(&f->throttles, 1, memory_order_relaxed);
    return FAAS_EBUSY;
}

/* ---- finding a seat ---- */

/* A new cell, or one that another function gave back. Holds: lock. */
static struct faasi_cell *cell_open(struct faasi_gate *gate, struct faasi_function *f)
{
    struct faasi_cell *cell = gate->spare_cells;

    if (f->tally == NULL) {
        f->tally = faasi_alloc_zeroed(gate->allocator, sizeof *f->tally);
        if (f->tally == NULL)
            return NULL;
        f->tally->refs = 1;
    }
    if (cell != NULL) {
        gate->spare_cells = cell->sibling;
        cell->sibling = NULL;
    } else {
        cell = faasi_alloc_lines(gate->allocator, sizeof *cell);
        if (cell == NULL)
            return NULL;
        cell->number = ++gate->cell_count;
    }
    cell->function = f;
    cell->retired = false;
    faasi_seat_set(&cell->seat, FAASI_COLD, 0, 0);
    faasi_seats_append(&f->seats, &cell->seat);
    f->seats.active++;
    return cell;
}

/* A cold cell; made, or brought back, if the cap has room. NULL if it has not, or without
 * memory: then `*no_memory` is set. Holds: lock. */
static struct faasi_cell *cell_cold(struct faasi_gate *gate, struct faasi_function *f,
                                    bool *no_memory)
{
    uint32_t cap = atomic_load_explicit(&f->seats.cap, memory_order_relaxed);
    struct faasi_cell *retired = NULL, *cell;

    *no_memory = false;
    for (cell = faasi_cell_first(f); cell != NULL; cell = faasi_cell_after(cell)) {
        if (faasi_word_state(faasi_seat_word(&cell->seat)) == FAASI_COLD)
            return cell;
        if (cell->retired)
            retired = cell;
    }
    if (f->seats.active >= cap)
        return NULL;
    if (retired == NULL) {
        cell = cell_open(gate, f);
        *no_memory = cell == NULL;
        return cell;
    }
    retired->retired = false;
    faasi_seat_set(&retired->seat, FAASI_COLD, 0, 0);
    f->seats.active++;
    return retired;
}

/* The idle cell without a permit that was left last, or NULL. Holds: lock. */
static struct faasi_cell *cell_idle(struct faasi_function *f)
{
    struct faasi_cell *idle = NULL;

    for (struct faasi_cell *cell = faasi_cell_first(f); cell != NULL;
         cell = faasi_cell_after(cell)) {
        uint64_t word = faasi_seat_word(&cell->seat);

        if (faasi_word_state(word) == FAASI_IDLE && faasi_word_permit(word) == 0 &&
            (idle == NULL ||
             faasi_read(&cell->seat.left_ticks) > faasi_read(&idle->seat.left_ticks)))
            idle = cell;
    }
    return idle;
}

/* With several calls to an instance, who finds none with room waits for the one that is
 * being made. Holds: lock. */
static bool is_made_for_many(struct faasi_function *f)
{
    return f->instance_concurrency > 1 && f->starting > 0 &&
           faasi_instance_with_room(f) == NULL;
}

bool faasi_gate_in_transit(struct faasi_function *f)
{
    for (struct faasi_cell *cell = faasi_cell_first(f); cell != NULL;
         cell = faasi_cell_after(cell))
        if (cell->transit)
            return true;
    return false;
}

/* A cell that has no permit: an idle one, else a cold one. NULL with `*outcome`
 * otherwise. Holds: lock. */
static struct faasi_cell *cell_without_permit(struct faasi_gate *gate,
                                              struct faasi_function *f,
                                              enum outcome *outcome)
{
    struct faasi_cell *cell = cell_idle(f);
    bool wait = is_made_for_many(f), no_memory = false;

    if (cell == NULL && !wait)
        cell = cell_cold(gate, f, &no_memory);
    *outcome = no_memory                          ? NO_MEMORY
               : wait || faasi_gate_in_transit(f) ? IN_TRANSIT
                                                  : FUNCTION_FULL;
    return cell;
}

/* Whether an instance is to be made now, `busy` others running: SEATED if so. Holds:
 * lock. */
static enum outcome start_ask(struct faasi_gate *gate, struct faasi_function *f,
                              uint32_t busy, struct seek *seek)
{
    bool dear = f->tally != NULL && f->tally->start_ns >= FAASI_ADMISSION_WORTH_NS;
    struct faasi_limit *limit =
        dear && busy > 0 ? faasi_gate_limit_of(gate, f) : f->limit;
    uint64_t ticks, now, wait = 0;

    if (limit == NULL)
        return SEATED;
    ticks = faasi_ticks(gate->clock);
    now = faasi_ticks_to_ns(gate->clock, ticks);
    if (seek->patient && seek->start == 0) {
        faasi_gate_look(gate, f);
        if (faasi_admission_awaits(&limit->admission, busy, f->starting, limit->waiting,
                                   &wait)) {
            seek->start = faasi_ticks_after(ticks, faasi_ns_to_ticks(gate->clock, wait));
            return COMING_FREE;
        }
    }
    if (ticks < seek->start)
        return seek->slow ? COLD_LIMITED : COMING_FREE;
    if (faasi_admission_start(&limit->admission, now, &wait))
        return SEATED;
    seek->start = faasi_ticks_after(ticks, faasi_ns_to_ticks(gate->clock, wait));
    seek->slow = true;
    return COLD_LIMITED;
}

/* It was not made after all. Holds: lock. */
static void start_return(struct faasi_function *f)
{
    if (f->limit != NULL)
        faasi_rate_return(&f->limit->admission.colds);
}

/* Makes a cell without a permit the caller's. Holds: lock. */
static enum outcome cell_seat(struct faasi_gate *gate, struct faasi_cell *cell,
                              uint32_t busy, struct seek *seek)
{
    struct faasi_function *f = cell->function;
    bool joined = cell->instance != NULL || faasi_instance_join(cell);
    enum outcome outcome = joined ? SEATED : start_ask(gate, f, busy, seek);
    faas_status status;
    uint32_t permit;

    if (outcome != SEATED)
        return outcome;
    if (!joined && !faasi_instance_afford(gate, cell)) {
        start_return(f);
        return MEMORY_FULL;
    }
    /* The permit before the seat: a seat that is BUSY for nothing would refuse others. */
    permit = faasi_permits_take(&gate->permits, &cell->seat, &status);
    if (permit == 0) {
        if (!joined) {
            faasi_instance_refund(gate, cell);
            start_return(f);
        } else if (faasi_word_state(faasi_seat_word(&cell->seat)) == FAASI_COLD) {
            faasi_instance_detach(gate, cell);
        }
        return status == FAAS_ENOMEM ? NO_MEMORY : RUNTIME_FULL;
    }
    if (!joined) {
        f->instances++;
        f->starting++;
    }
    faasi_seat_set(&cell->seat, FAASI_BUSY, permit,
                   is_waited_for(gate) ? FAASI_ATTENTION : 0);
    return SEATED;
}

/* A call has its seat, before busy ones beside it. Holds: lock. */
static void sit(struct faasi_gate *gate, struct faasi_cell *cell, uint32_t busy)
{
    note_peak(cell->function, busy + 1);
    if (faasi_limit_counts(gate->limit) &&
        faasi_cares(cell->function, FAASI_CARE_COUNTED)) {
        cell->counted = true;
        gate->counted++;
    }
    cell->in_flight = busy + 1;
    cell->in_flight_all = gate->counted;
}

/* One attempt to find a seat. Holds: lock. */
static enum outcome find_seat(struct faasi_gate *gate, struct faasi_function *f,
                              struct seek *seek, struct faasi_cell **cell)
{
    struct faasi_look look;
    enum outcome outcome;

    for (;;) {
        bool full = faasi_seats_full(&f->seats, &look);

        if (full)
            return FUNCTION_FULL;
        if (look.idle != NULL) {
            if (!faasi_seat_take(look.idle, look.idle_word))
                continue;
            *cell = faasi_cell_of(look.idle);
            if (is_waited_for(gate))
                (void)faasi_seat_attend(look.idle);
            sit(gate, *cell, look.busy);
            return SEATED;
        }
        *cell = cell_without_permit(gate, f, &outcome);
        if (*cell != NULL) {
            outcome = cell_seat(gate, *cell, look.busy, seek);
            if (outcome == SEATED)
                sit(gate, *cell, look.busy);
            if (outcome == MEMORY_FULL) { // unless an instance was left meanwhile
                faasi_seats_look(&f->seats, &look);
                if (look.idle != NULL)
                    continue;
            }
            return outcome;
        }
        /* Neither room nor full: a seat was left meanwhile. */
        if (outcome != FUNCTION_FULL)
            return outcome;
    }
}

/* Finds a seat, or makes sure that whoever could free one will come by: then the caller
 * may sleep. Holds: lock. */
static enum outcome find_seat_or_attend(struct faasi_gate *gate, struct faasi_function *f,
                                        struct seek *seek, struct faasi_cell **cell)
{
    uint32_t asked_before = UINT32_MAX;

    for (;;) {
        enum outcome outcome = find_seat(gate, f, seek, cell);

        if (outcome == FUNCTION_FULL) {
            if (faasi_seats_attend(&f->seats))
                return outcome;
        } else if (outcome == RUNTIME_FULL) {
            if (faasi_permits_attend(&gate->permits, NULL))
                return outcome;
        } else if (outcome == MEMORY_FULL) {
            /* Idle instances that may go have gone; ask all that are busy. */
            uint32_t asked;

            (void)faasi_permits_attend(&gate->permits, &asked);
            if (asked == asked_before)
                return outcome;
            asked_before = asked;
        } else if (outcome == COMING_FREE || outcome == COLD_LIMITED) {
            struct faasi_look look;

            (void)faasi_seats_attend(&f->seats);
            faasi_seats_look(&f->seats, &look);
            if (look.idle == NULL)
                return outcome;
        } else {
            return outcome;
        }
    }
}

/* ---- waiting ---- */

uint32_t faasi_gate_waiting(const struct faasi_gate *gate, const struct faasi_function *f)
{
    uint32_t count = 0;

    for (const struct faasi_waiter *w = gate->first; w != NULL; w = w->next)
        count += w->function == f;
    return count;
}

static void waiter_leave(struct faasi_gate *gate, struct faasi_waiter *w)
{
    *w->link = w->next;
    if (w->next != NULL)
        w->next->link = w->link;
    else
        gate->last = w->link;
    atomic_fetch_sub_explicit(&gate->waiting, 1, memory_order_relaxed);
    if (w->function->limit != NULL && --w->function->limit->waiting == 0)
        faasi_admission_emptied(&w->function->limit->admission, faasi_gate_now_ns(gate));
}

/* Holds: lock. Takes `w` out of the queue. */
static void waiter_answer(struct faasi_gate *gate, struct faasi_waiter *w,
                          faas_status status)
{
    waiter_leave(gate, w);
    w->status = status;
    w->done = true;
    faasi_wake_one(&w->wake);
}

/* Whether a seat of `f` may be had; if not, whoever could free one will come by. Holds:
 * lock. */
static bool has_room_or_attend(struct faasi_gate *gate, struct faasi_function *f)
{
    struct faasi_look look;

    for (;;) {
        if (faasi_seats_full(&f->seats, &look)) {
            if (faasi_seats_attend(&f->seats))
                return false;
        } else if (look.idle != NULL || !faasi_permits_full(&gate->permits)) {
            return true;
        } else if (faasi_permits_attend(&gate->permits, NULL)) {
            return false;
        }
    }
}

static void watch_set(struct faasi_gate *gate, struct faasi_watch *watch,
                      struct faasi_function *f)
{
    struct faasi_watch **at = &gate->watches;

    watch->function = f;
    if (watch->set)
        return;
    watch->set = true;
    while (*at != NULL) // first come, first told
        at = &(*at)->next;
    watch->next = NULL;
    *at = watch;
}

/* Takes the watch at `*at` out of the list; its owner is told when the lock is let go. */
static void watch_free(struct faasi_gate *gate, struct faasi_watch **at)
{
    struct faasi_watch *watch = *at;

    *at = watch->next;
    watch->next = gate->freed;
    gate->freed = watch;
}

/* Tells those whose function has room. Holds: lock. */
static void watches_serve(struct faasi_gate *gate)
{
    struct faasi_watch **at = &gate->watches;

    while (*at != NULL) {
        if ((*at)->function->pass != gate->pass &&
            has_room_or_attend(gate, (*at)->function))
            watch_free(gate, at);
        else
            at = &(*at)->next;
    }
}

/* Tells those of a function that ends. Holds: lock. */
static void watches_end(struct faasi_gate *gate, const struct faasi_function *f)
{
    struct faasi_watch **at = &gate->watches;

    while (*at != NULL) {
        if ((*at)->function == f)
            watch_free(gate, at);
        else
            at = &(*at)->next;
    }
}

/* Nobody is told. Holds: lock. */
static void watch_drop(struct faasi_gate *gate, struct faasi_watch *watch)
{
    struct faasi_watch **at = &gate->watches;

    while (*at != watch)
        at = &(*at)->next;
    *at = watch->next;
    watch->set = false;
}

/* Whose turn it is of a function's waiters, `w` being the oldest. Holds: lock. */
static struct faasi_waiter *waiter_first(struct faasi_waiter *w, uint64_t now_ns)
{
    struct faasi_waiter *first = w;

    if (w->function->limit == NULL ||
        !faasi_admission_newest(&w->function->limit->admission, now_ns))
        return w;
    for (; w != NULL; w = w->next)
        if (w->function == first->function)
            first = w;
    return first;
}

/* Whether a waiter whose turn it is has to go instead: it would run for nothing, or its
 * function's limiter thinks so. Holds: lock. */
static bool waiter_shed(struct faasi_gate *gate, const struct faasi_waiter *w,
                        uint64_t now)
{
    struct faasi_limit *limit = w->function->limit;

    if (now >= w->until)
        return true;
    if (limit == NULL ||
        !faasi_admission_shed(&limit->admission, faasi_ticks_to_ns(gate->clock, now),
                              faasi_ticks_to_ns(gate->clock, w->arrived), FAAS_FOREVER))
        return false;
    limit->sheds++;
    return true;
}

void faasi_gate_serve(struct faasi_gate *gate)
{
    struct faasi_waiter *oldest = gate->first, *w;
    uint64_t now = oldest == NULL ? 0 : faasi_ticks(gate->clock);

    gate->pass++;
    while (oldest != NULL) {
        enum outcome outcome;

        if (oldest->function->pass == gate->pass) {
            oldest = oldest->next;
            continue;
        }
        w = waiter_first(oldest, faasi_ticks_to_ns(gate->clock, now));
        if (w == oldest)
            oldest = w->next;
        if (waiter_shed(gate, w, now)) {
            w->retry_ns = retry_guess_ns(gate, w->function);
            atomic_fetch_add_explicit(&w->function->throttles, 1, memory_order_relaxed);
            waiter_answer(gate, w, FAAS_EBUSY);
            continue;
        }
        outcome = find_seat_or_attend(gate, w->function, &w->seek, &w->cell);
        if (outcome == SEATED || outcome == NO_MEMORY)
            waiter_answer(gate, w, outcome == SEATED ? FAAS_OK : FAAS_ENOMEM);
        else if (outcome == RUNTIME_FULL)
            break;
        else
            w->function->pass = gate->pass;
    }
    if (gate->watches != NULL)
        watches_serve(gate);
}

static void visitor_leave(struct faasi_gate *gate)
{
    if (--gate->visitors == 0)
        faasi_wake_all(&gate->changed);
}

/* Looks for a seat itself. Whether that ended its wait. Holds: lock. */
static bool waiter_seek(struct faasi_gate *gate, struct faasi_waiter *w)
{
    enum outcome outcome = find_seat_or_attend(gate, w->function, &w->seek, &w->cell);

    if (outcome != SEATED && outcome != NO_MEMORY)
        return false;
    waiter_leave(gate, w);
    w->status = outcome == SEATED ? FAAS_OK : FAAS_ENOMEM;
    return true;
}

/* Sleeps until somebody answers, or it is late. Holds: lock. */
static faas_status waiter_sleep(struct faasi_gate *gate, struct faasi_waiter *w)
{
    while (!w->done) {
        uint64_t now = faasi_ticks(gate->clock), until = w->until;

        if (now >= until) {
            waiter_leave(gate, w);
            return refuse(gate, w->function);
        }
        if (w->seek.start != 0 && w->seek.start <= now) { // none came free
            if (waiter_seek(gate, w))
                break;
            if (w->seek.start <= now) // what it waits for is another thing by now
                w->seek.start = 0;
        }
        if (w->seek.start != 0 && w->seek.start < until)
            until = w->seek.start;
        if (gate->doomed != NULL) { // ended for us, perhaps: closing it may be the answer
            faasi_gate_unlock(gate);
            faasi_lock(&gate->lock);
            continue;
        }
        if (gate->clock->source == FAASI_CLOCK_VIRTUAL || until == UINT64_MAX)
            faasi_wait(&w->wake, &gate->lock);
        else
            faasi_wait_for(&w->wake, &gate->lock,
                           faasi_ticks_to_ns(gate->clock, until - now) + 1);
    }
    if (w->status == FAAS_EBUSY)
        retry_note(w->retry_ns);
    return w->status;
}

/* Waits for a seat. Holds: lock; lets it go while it sleeps. */
static faas_status wait_for_seat(struct faasi_gate *gate, struct faasi_function *f,
                                 uint64_t until, const struct seek *seek,
                                 struct faasi_cell **cell)
{
    struct faasi_waiter w = {.function = f,
                             .seek = *seek,
                             .arrived = faasi_ticks(gate->clock),
                             .until = until};
    faas_status status = faasi_cond_init(&w.wake);

    if (status != FAAS_OK)
        return status;
    w.link = gate->last;
    *gate->last = &w;
    gate->last = &w.next;
    atomic_fetch_add_explicit(&gate->waiting, 1, memory_order_relaxed);
    if (f->limit != NULL)
        f->limit->waiting++;
    /* Only now: from here on seats are taken with attention. */
    if (waiter_seek(gate, &w)) {
        status = w.status;
    } else {
        gate->visitors++;
        status = waiter_sleep(gate, &w);
        visitor_leave(gate);
    }
    faasi_cond_fini(&w.wake);
    *cell = w.cell;
    return status;
}

void faasi_gate_dismiss(struct faasi_gate *gate)
{
    while (gate->first != NULL)
        waiter_answer(gate, gate->first, FAAS_ECLOSED);
    /* Whoever set one has gone: nobody is to be told. */
    while (gate->watches != NULL)
        watch_drop(gate, gate->watches);
    while (gate->visitors != 0)
        faasi_wait(&gate->changed, &gate->lock);
}

/* A virtual clock moved: those who wait for it look at it. */
static void clock_moved(void *user)
{
    struct faasi_gate *gate = user;

    faasi_lock(&gate->lock);
    for (struct faasi_waiter *w = gate->first; w != NULL; w = w->next)
        faasi_wake_one(&w->wake);
    faasi_unlock(&gate->lock);
}

/* ---- entering ---- */

/* Finds a seat; `*outcome` says why there is none, with FAAS_EBUSY. Holds: lock; may let
 * it go meanwhile. */
static faas_status enter_now(struct faasi_gate *gate, struct faasi_function *f,
                             struct seek *seek, struct faasi_cell **cell,
                             enum outcome *outcome)
{
    *outcome = find_seat(gate, f, seek, cell);
    /* Memory is on its way: it is there when we have closed what was ended for it. */
    while (*outcome == MEMORY_FULL && gate->doomed != NULL) {
        f->holds++;
        faasi_gate_unlock(gate);
        faasi_lock(&gate->lock);
        f->holds--;
        faasi_gate_progress(gate, f);
        if (f->dying)
            return FAAS_ENOENT;
        *outcome = find_seat(gate, f, seek, cell);
    }
    return *outcome == SEATED      ? FAAS_OK
           : *outcome == NO_MEMORY ? FAAS_ENOMEM
                                   : FAAS_EBUSY;
}

/* In how long one more instance may be made. Holds: lock. */
static uint64_t cold_retry_ns(const struct faasi_gate *gate, const struct seek *seek)
{
    return faasi_ticks_to_ns(gate->clock,
                             faasi_ticks_since(seek->start, faasi_ticks(gate->clock)));
}

/* Refuses a call that has found no seat. Holds: lock. */
static faas_status refuse_late(struct faasi_gate *gate, struct faasi_function *f,
                               enum outcome outcome, const struct seek *seek)
{
    return outcome == COLD_LIMITED ? refuse_for(f, cold_retry_ns(gate, seek))
                                   : refuse(gate, f);
}

/* Whether a call that has found no seat may wait, and until when. Holds: lock. */
static faas_status late_ask(struct faasi_gate *gate, struct faasi_function *f,
                            enum outcome outcome, const struct seek *seek,
                            uint64_t *until)
{
    uint64_t wait = faasi_ns_to_ticks(gate->clock, faasi_read(&f->wait_ns)), retry_ns;
    uint64_t last = faasi_ticks_after(faasi_ticks(gate->clock), wait);
    struct faasi_look look;

    if (outcome == IN_TRANSIT || outcome == COMING_FREE) // that is not full
        return FAAS_OK;
    if (atomic_load_explicit(&f->on_full, memory_order_relaxed) != FAAS_FULL_WAIT)
        return refuse_late(gate, f, outcome, seek);
    faasi_seats_look(&f->seats, &look);
    if (!faasi_gate_may_wait(gate, f, outcome == RUNTIME_FULL, look.busy, &retry_ns))
        return refuse_for(f, retry_ns);
    if (last < *until)
        *until = last;
    return FAAS_OK;
}

/* Holds: lock; lets it go while it waits. `f` may be gone then, unless it has a seat. */
static faas_status enter_locked(struct faasi_gate *gate, struct faasi_function *f,
                                uint64_t until, struct seek *seek,
                                struct faasi_cell **cell)
{
    bool counted = faasi_cares(f, FAASI_CARE_COUNTED);
    struct faasi_arrival arrival = {0, 0};
    enum outcome outcome;
    uint64_t retry_ns;
    faas_status status;

    if (counted && !faasi_gate_count_in(gate, f, &arrival, &retry_ns))
        return refuse_for(f, retry_ns);
    status = enter_now(gate, f, seek, cell, &outcome);
    if (status == FAAS_EBUSY) {
        status = late_ask(gate, f, outcome, seek, &until);
        if (status == FAAS_OK)
            status = wait_for_seat(gate, f, until, seek, cell);
        else if (counted)
            faasi_gate_count_out(gate, f);
    }
    if (counted && status == FAAS_OK) {
        (*cell)->in_flight = arrival.in_flight;
        (*cell)->in_flight_all = arrival.in_flight_all;
    }
    return status;
}

faas_status faasi_gate_try(struct faasi_gate *gate, struct faasi_function *f,
                           struct faasi_cell **cell)
{
    struct faasi_look look;

    *cell = NULL;
    if (atomic_load_explicit(&gate->closing, memory_order_relaxed))
        return FAAS_ECLOSED;
    if (faasi_cares(f, FAASI_CARE_COUNTED))
        return FAAS_OK;
    if (faasi_seats_full(&f->seats, &look))
        return atomic_load_explicit(&f->on_full, memory_order_relaxed) == FAAS_FULL_WAIT
                   ? FAAS_OK
                   : refuse(gate, f);
    /* Not past those who wait. */
    if (look.idle != NULL &&
        atomic_load_explicit(&gate->waiting, memory_order_relaxed) == 0 &&
        faasi_seat_take(look.idle, look.idle_word)) {
        note_peak(f, look.busy + 1);
        *cell = faasi_cell_of(look.idle);
    }
    return FAAS_OK;
}

faas_status faasi_gate_enter(struct faasi_gate *gate, struct faasi_function *f,
                             uint64_t deadline, bool patient, struct faasi_cell **cell)
{
    struct seek seek = {.patient = patient};
    faas_status status;

    faasi_lock(&gate->lock);
    /* The lock keeps `f` from here on: it is freed only after it was dying under it. */
    faasi_read_leave();
    if (atomic_load_explicit(&gate->closing, memory_order_relaxed))
        status = FAAS_ECLOSED;
    else if (f->dying)
        status = FAAS_ENOENT;
    else
        status = enter_locked(gate, f, deadline, &seek, cell);
    faasi_gate_unlock(gate);
    return status;
}

/* Holds: lock. */
static faas_status enter_or_watch(struct faasi_gate *gate, struct faasi_function *f,
                                  struct faasi_watch *watch, struct faasi_cell **cell,
                                  bool *watched)
{
    struct seek seek = {.patient = false};
    struct faasi_arrival arrival;
    bool counted = faasi_cares(f, FAASI_CARE_COUNTED);
    enum outcome outcome;
    uint64_t retry_ns;
    faas_status status;

    if (atomic_load_explicit(&gate->closing, memory_order_relaxed))
        return FAAS_ECLOSED;
    if (f->dying)
        return FAAS_ENOENT;
    if (counted && !faasi_gate_count_in(gate, f, &arrival, &retry_ns)) {
        retry_note(retry_ns);
        return FAAS_EBUSY;
    }
    status = enter_now(gate, f, &seek, cell, &outcome);
    if (status == FAAS_EBUSY && outcome == COLD_LIMITED) {
        retry_note(cold_retry_ns(gate, &seek));
    } else if (status == FAAS_EBUSY) {
        watch_set(gate, watch, f);
        /* Only now: from here on seats are taken with attention. */
        outcome = find_seat_or_attend(gate, f, &seek, cell);
        if (outcome == SEATED || outcome == NO_MEMORY) {
            watch_drop(gate, watch);
            status = outcome == SEATED ? FAAS_OK : FAAS_ENOMEM;
        }
        *watched = true;
    }
    if (counted && status != FAAS_OK && !f->dying)
        faasi_gate_count_out(gate, f);
    return status;
}

faas_status faasi_gate_enter_or_watch(struct faasi_gate *gate, struct faasi_function *f,
                                      struct faasi_watch *watch, struct faasi_cell **cell,
                                      bool *watched)
{
    struct faasi_look look;
    faas_status status;

    *cell = NULL;
    *watched = false;
    if (!faasi_cares(f, FAASI_CARE_COUNTED) && !faasi_seats_full(&f->seats, &look) &&
        look.idle != NULL &&
        atomic_load_explicit(&gate->waiting, memory_order_relaxed) == 0 &&
        faasi_seat_take(look.idle, look.idle_word)) {
        faasi_read_leave();
        note_peak(f, look.busy + 1);
        *cell = faasi_cell_of(look.idle);
        return FAAS_OK;
    }
    faasi_lock(&gate->lock);
    faasi_read_leave(); // the lock keeps `f`, as in faasi_gate_enter()
    status = enter_or_watch(gate, f, watch, cell, watched);
    faasi_gate_unlock(gate);
    return status;
}

/* Asks the limiters that count each call, and takes nothing. */
static bool probe_count(struct faasi_gate *gate, struct faasi_function *f)
{
    struct faasi_arrival arrival;
    uint64_t retry_ns;
    bool admitted;

    faasi_lock(&gate->lock);
    admitted = faasi_gate_count_in(gate, f, &arrival, &retry_ns);
    if (admitted)
        faasi_gate_count_out(gate, f);
    else
        retry_note(retry_ns);
    faasi_unlock(&gate->lock);
    return admitted;
}

faas_status faasi_gate_probe(struct faasi_gate *gate, struct faasi_function *f)
{
    struct faasi_look look;

    if (faasi_cares(f, FAASI_CARE_COUNTED) && !probe_count(gate, f))
        return FAAS_EBUSY;
    if (!faasi_seats_full(&f->seats, &look) &&
        (look.idle != NULL || !faasi_permits_full(&gate->permits)))
        return FAAS_OK;
    faasi_gate_note_retry(gate, f);
    return FAAS_EBUSY;
}

/* ---- leaving ---- */

/* One of what a dying function waits for has ended. Holds: lock. */
void faasi_gate_progress(struct faasi_gate *gate, struct faasi_function *f)
{
    if (!f->dying || f->pending != 0 || f->holds != 0)
        return;
    if (f->orphan) {
        f->orphan = false;
        f->next = gate->orphans;
        gate->orphans = f;
    }
    faasi_wake_all(&gate->changed);
}

static void cell_retire(struct faasi_cell *cell)
{
    cell->retired = true;
    cell->function->seats.active--;
}

/* Holds: lock. */
static void leave_locked(struct faasi_gate *gate, struct faasi_cell *cell,
                         bool end_instance)
{
    struct faasi_function *f = cell->function;
    uint32_t permit = faasi_word_permit(faasi_seat_word(&cell->seat));
    bool over =
        f->seats.active > atomic_load_explicit(&f->seats.cap, memory_order_relaxed);
    bool end = f->dying || over || end_instance || cell->instance == NULL ||
               cell->instance->ending;

    if (cell->counted)
        gate->counted--;
    cell->counted = false;
    if (end) {
        if (cell->instance != NULL && end_instance)
            faasi_instance_end(gate, cell->instance);
        if (cell->instance != NULL)
            faasi_instance_detach(gate, cell);
        faasi_seat_set(&cell->seat, f->dying || over ? FAASI_ODD : FAASI_COLD, 0, 0);
        if (over && !f->dying)
            cell_retire(cell);
        faasi_permits_give(&gate->permits, permit);
    } else if (faasi_permits_over(&gate->permits)) {
        faasi_seat_set(&cell->seat, FAASI_IDLE, 0, 0);
        faasi_permits_give(&gate->permits, permit);
    } else {
        faasi_seat_set(&cell->seat, FAASI_IDLE, permit, 0);
    }
    if (f->dying) {
        f->pending--;
        faasi_gate_progress(gate, f);
    }
}

void faasi_gate_leave(struct faasi_gate *gate, struct faasi_cell *cell, bool end_instance)
{
    faasi_lock(&gate->lock);
    leave_locked(gate, cell, end_instance);
    faasi_gate_serve(gate);
    faasi_gate_unlock(gate);
}

void faasi_gate_leave_counted(struct faasi_gate *gate, struct faasi_cell *cell,
                              bool end_instance, uint64_t waited, uint64_t run_ns)
{
    struct faasi_admission_sample sample = {.calls = 1,
                                            .wait_ns =
                                                faasi_ticks_to_ns(gate->clock, waited),
                                            .service_ns = run_ns};
    struct faasi_limit *limit;
    uint64_t now;

    faasi_lock(&gate->lock);
    now = faasi_gate_now_ns(gate);
    limit = cell->function->limit;
    sample.in_flight = cell->in_flight;
    if (faasi_limit_counts(limit))
        faasi_admission_done(&limit->admission, now, &sample);
    sample.in_flight = cell->in_flight_all;
    if (faasi_limit_counts(gate->limit))
        faasi_admission_done(&gate->limit->admission, now, &sample);
    leave_locked(gate, cell, end_instance);
    faasi_gate_serve(gate);
    faasi_gate_unlock(gate);
}

/* The owner may set its watch again before it is told: what it asked for then counts. */
static void watches_tell(struct faasi_gate *gate, struct faasi_watch *freed)
{
    struct faasi_watch *next;

    for (; freed != NULL; freed = next) {
        faasi_lock(&gate->lock);
        next = freed->next;
        freed->set = false;
        freed->telling++;
        faasi_unlock(&gate->lock);
        freed->freed(freed);
        faasi_lock(&gate->lock);
        if (--freed->telling == 0)
            faasi_wake_all(&gate->changed);
        faasi_unlock(&gate->lock);
    }
}

void faasi_gate_unwatch(struct faasi_gate *gate, struct faasi_watch *watch)
{
    faasi_lock(&gate->lock);
    for (struct faasi_watch **at = &gate->watches; *at != NULL; at = &(*at)->next) {
        if (*at == watch) {
            *at = watch->next;
            watch->set = false;
            break;
        }
    }
    while (watch->set || watch->telling != 0)
        faasi_wait(&gate->changed, &gate->lock);
    faasi_unlock(&gate->lock);
}

void faasi_gate_unlock(struct faasi_gate *gate)
{
    bool visitor = false;

    for (;;) {
        struct faasi_instance *doomed = gate->doomed;
        struct faasi_function *orphan = gate->orphans;
        struct faasi_watch *freed = gate->freed;

        if (doomed == NULL && orphan == NULL && freed == NULL)
            break;
        gate->doomed = NULL;
        gate->freed = NULL;
        if (orphan != NULL)
            gate->orphans = orphan->next;
        /* Once all is closed nothing else would keep the runtime from being freed. */
        if (!visitor)
            gate->visitors++;
        visitor = true;
        faasi_unlock(&gate->lock);
        watches_tell(gate, freed);
        faasi_instances_close(gate, doomed);
        if (orphan != NULL)
            faasi_gate_bury(gate, orphan);
        faasi_lock(&gate->lock);
    }
    if (visitor)
        visitor_leave(gate);
    faasi_unlock(&gate->lock);
}

/* ---- changes of a function ---- */

faas_status faasi_gate_reserve(struct faasi_gate *gate, struct faasi_function *f,
                               struct faasi_cell **out)
{
    bool no_memory;
    struct faasi_cell *cell = cell_cold(gate, f, &no_memory);

    *out = NULL;
    if (no_memory)
        return faasi_fail(FAAS_ENOMEM, "%s: no memory for an instance", f->entry.name);
    if (cell == NULL)
        return faasi_fail(FAAS_EINIT, "%s: no seat for a provisioned instance",
                          f->entry.name);
    if (!faasi_instance_afford(gate, cell))
        return faasi_fail(FAAS_EINIT,
                          "%s: no room for a provisioned instance in the "
                          "runtime's memory_bytes, or in its own limits",
                          f->entry.name);
    cell->transit = true;
    faasi_seat_set(&cell->seat, FAASI_ODD, 0, 0);
    f->instances++;
    f->starting++;
    *out = cell;
    return FAAS_OK;
}

bool faasi_gate_settle(struct faasi_gate *gate, struct faasi_cell *cell)
{
    struct faasi_function *f = cell->function;
    bool over =
        f->seats.active > atomic_load_explicit(&f->seats.cap, memory_order_relaxed);

    cell->transit = false;
    faasi_wake_all(&gate->changed);
    if ((f->dying || over) && cell->instance != NULL)
        faasi_instance_detach(gate, cell);
    if (f->dying) {
        f->pending--;
        faasi_gate_progress(gate, f);
        return false;
    }
    if (over)
        cell_retire(cell);
    else
        faasi_seat_set(&cell->seat, cell->instance != NULL ? FAASI_IDLE : FAASI_COLD, 0,
                       0);
    faasi_gate_serve(gate);
    return true;
}

/* Takes a seat out of use if nobody sits there. Returns whether it did; if not, its
 * sitter was asked for attention, or it is in transit. Holds: lock. */
static bool cell_clear(struct faasi_gate *gate, struct faasi_cell *cell)
{
    for (;;) {
        uint64_t word = faasi_seat_word(&cell->seat);

        switch (faasi_word_state(word)) {
        case FAASI_COLD:
            faasi_seat_set(&cell->seat, FAASI_ODD, 0, 0);
            return true;
        case FAASI_IDLE:
            if (!faasi_seat_seize(&cell->seat, word, FAASI_ODD))
                continue;
            if (faasi_word_permit(word) != 0)
                faasi_permits_give(&gate->permits, faasi_word_permit(word));
            faasi_instance_detach(gate, cell);
            return true;
        case FAASI_BUSY:
            if (faasi_seat_attend(&cell->seat) != FAASI_BUSY)
                continue;
            return false;
        default:
            return false;
        }
    }
}

void faasi_gate_kill(struct faasi_gate *gate, struct faasi_function *f)
{
    struct faasi_waiter *next;

    assert(!f->dying);
    f->dying = true;
    if (f->link != NULL) {
        *f->link = f->next;
        if (f->next != NULL)
            f->next->link = f->link;
        f->link = NULL;
    }
    for (struct faasi_waiter *w = gate->first; w != NULL; w = next) {
        next = w->next;
        if (w->function == f)
            waiter_answer(gate, w, FAAS_ENOENT);
    }
    watches_end(gate, f);
    for (struct faasi_cell *cell = faasi_cell_first(f); cell != NULL;
         cell = faasi_cell_after(cell))
        if (!cell_clear(gate, cell) && !cell->retired)
            f->pending += faasi_word_state(faasi_seat_word(&cell->seat)) == FAASI_BUSY ||
                          cell->transit;
    if (f->desk != NULL)
        f->holds += faasi_desk_end(f->desk);
    faasi_gate_serve(gate);
    faasi_gate_progress(gate, f);
}

void faasi_gate_cap(struct faasi_function *f)
{
    uint32_t cap = f->concurrency == FAAS_OFF ? 0
                   : f->concurrency == 0 || f->concurrency > FAASI_PERMITS_MAX
                       ? FAASI_PERMITS_MAX
                       : f->concurrency;

    atomic_store_explicit(&f->seats.cap, cap, memory_order_release);
}

void faasi_gate_resize(struct faasi_gate *gate, struct faasi_function *f)
{
    uint32_t cap;

    faasi_gate_cap(f);
    cap = atomic_load_explicit(&f->seats.cap, memory_order_relaxed);
    /* Cold seats first, then idle ones; those that are busy leave under the lock, and
     * retire there. */
    for (int pass = 0; pass < 2; pass++) {
        for (struct faasi_cell *cell = faasi_cell_first(f);
             cell != NULL && f->seats.active > cap; cell = faasi_cell_after(cell)) {
            if (cell->retired || (pass == 0 && faasi_word_state(faasi_seat_word(
                                                   &cell->seat)) != FAASI_COLD))
                continue;
            if (cell_clear(gate, cell))
                cell_retire(cell);
        }
    }
    faasi_gate_serve(gate);
}

/* ---- the end of a function ---- */

/* Adds what a cell counted to the tally, and zeroes it. Holds: lock. */
static void tally_fold(struct faasi_tally *tally, struct faasi_cell *cell)
{
    struct faasi_counters *c = &cell->counters;
    uint64_t peak = faasi_read(&c->peak_bytes);

    tally->calls += faasi_read(&c->calls);
    tally->errors += faasi_read(&c->errors);
    tally->timeouts += faasi_read(&c->timeouts);
    tally->run_ticks += faasi_read(&c->run_ticks);
    tally->wait_ticks += faasi_read(&c->wait_ticks);
    tally->billed_kib_ms += faasi_read(&c->billed_kib_ms);
    tally->used_byte_ns += atomic_load_explicit(&c->used_byte_ns, memory_order_relaxed);
    if (peak > tally->peak_bytes)
        tally->peak_bytes = peak;
    for (unsigned i = 0; i < FAAS_HISTOGRAM_BUCKETS; i++)
        tally->latency.count[i] += faasi_read(&cell->latency[i]);
}

static void cell_reset(struct faasi_cell *cell)
{
    struct faasi_counters *c = &cell->counters;
    _Atomic uint64_t *counts[] = {
        &c->calls,      &c->errors,        &c->timeouts,   &c->run_ticks,
        &c->wait_ticks, &c->billed_kib_ms, &c->peak_bytes, &cell->seat.left_ticks};

    for (size_t i = 0; i < FAASI_COUNT(counts); i++)
        faasi_write(counts[i], 0);
    atomic_store_explicit(&c->used_byte_ns, 0, memory_order_relaxed);
    for (unsigned i = 0; i < FAAS_HISTOGRAM_BUCKETS; i++)
        faasi_write(&cell->latency[i], 0);
}

static bool function_is_done(const struct faasi_function *f)
{
    return f->pending == 0 && f->holds == 0;
}

void faasi_gate_drain(struct faasi_gate *gate, struct faasi_function *f)
{
    faasi_lock(&gate->lock);
    while (!function_is_done(f))
        faasi_wait(&gate->changed, &gate->lock);
    faasi_unlock(&gate->lock);
}

void faasi_gate_free(struct faasi_gate *gate, struct faasi_function *f)
{
    struct faasi_cell *next;

    faasi_lock(&gate->lock);
    for (struct faasi_cell *cell = faasi_cell_first(f); cell != NULL; cell = next) {
        next = faasi_cell_after(cell);
        tally_fold(f->tally, cell);
        cell_reset(cell);
        cell->function = NULL;
        cell->sibling = gate->spare_cells;
        gate->spare_cells = cell;
    }
    if (f->tally != NULL && --f->tally->refs == 0) {
        faasi_warm_forget(&gate->warm, f->tally);
        faasi_free(gate->allocator, f->tally, sizeof *f->tally);
    }
    faasi_unlock(&gate->lock);
    faasi_desk_close(f->desk);
    faasi_limit_close(gate->allocator, f->limit);
    faasi_code_release(f->code);
    faasi_free(gate->allocator, f, sizeof *f + f->entry.name_size + 1);
}

void faasi_gate_bury(struct faasi_gate *gate, struct faasi_function *f)
{
    faasi_gate_drain(gate, f);
    faasi_grace_wait(); // somebody may still look through its seats
    faasi_gate_free(gate, f);
}

/* ---- numbers ---- */

/* Counts the instance of a cell at the first of its cells. Holds: lock. A cell whose call
 * is making one has none yet. */
static void count_instance(faas_function_stats *stats, const struct faasi_cell *cell)
{
    const struct faasi_instance *instance = faasi_instance_listed(cell);

    if (instance == NULL)
        return;
    if (instance->cells == cell) {
        uint64_t bytes = faasi_instance_bytes(instance);
        bool idle = faasi_instance_idle_since(instance) != UINT64_MAX;

        stats->instances++;
        stats->instances_idle += idle;
        stats->instance_bytes += bytes;
        stats->instance_idle_bytes += idle ? bytes : 0;
    }
}

void faasi_gate_stats(struct faasi_gate *gate, struct faasi_function *f,
                      faas_function_stats *stats, faas_histogram *latency)
{
    static const struct faasi_tally none;
    const struct faasi_tally *tally = f->tally == NULL ? &none : f->tally;
    uint64_t run_ticks = tally->run_ticks, wait_ticks = tally->wait_ticks;
    uint64_t billed_kib_ms = tally->billed_kib_ms;
    double used_byte_ns = tally->used_byte_ns;

    stats->invocations = tally->calls;
    stats->errors = tally->errors;
    stats->timeouts = tally->timeouts;
    stats->peak_bytes_max = tally->peak_bytes;
    if (latency != NULL)
        *latency = tally->latency;
    for (struct faasi_cell *cell = faasi_cell_first(f); cell != NULL;
         cell = faasi_cell_after(cell)) {
        struct faasi_counters *c = &cell->counters;
        uint64_t peak = faasi_read(&c->peak_bytes);

        /* Failures before the calls that they are of, which go on meanwhile: there are
         * never more of them. Acquire: pairs with the release in count(). */
        stats->errors += atomic_load_explicit(&c->errors, memory_order_acquire);
        stats->timeouts += atomic_load_explicit(&c->timeouts, memory_order_acquire);
        stats->invocations += faasi_read(&c->calls);
        run_ticks += faasi_read(&c->run_ticks);
        wait_ticks += faasi_read(&c->wait_ticks);
        billed_kib_ms += faasi_read(&c->billed_kib_ms);
        used_byte_ns += atomic_load_explicit(&c->used_byte_ns, memory_order_relaxed);
        if (peak > stats->peak_bytes_max)
            stats->peak_bytes_max = peak;
        if (faasi_word_state(faasi_seat_word(&cell->seat)) == FAASI_BUSY)
            stats->concurrency++;
        count_instance(stats, cell);
        if (latency != NULL)
            for (unsigned i = 0; i < FAAS_HISTOGRAM_BUCKETS; i++)
                latency->count[i] += faasi_read(&cell->latency[i]);
    }
    note_peak(f, stats->concurrency);
    stats->throttles = faasi_read(&f->throttles);
    if (f->limit != NULL) {
        stats->limit = f->limit->admission.limit;
        stats->waiting = f->limit->waiting;
        stats->sheds = f->limit->sheds;
    }
    stats->cold_starts = tally->cold_starts;
    stats->prewarms = tally->prewarms;
    stats->init_errors = tally->init_errors;
    stats->evictions = tally->evictions;
    stats->run_ns = faasi_ticks_to_ns(gate->clock, run_ticks);
    stats->wait_ns = faasi_ticks_to_ns(gate->clock, wait_ticks);
    stats->init_ns = tally->init_ns;
    stats->billed_gb_s = (double)billed_kib_ms / (1024.0 * 1024.0 * 1000.0);
    stats->used_byte_s = used_byte_ns / 1e9;
    stats->concurrency_peak = atomic_load_explicit(&f->peak, memory_order_relaxed);
}

/* ---- opening and closing ---- */

faas_status faasi_gate_init(struct faasi_gate *gate, faas_runtime *rt, faas_clock *clock,
                            const faas_runtime_options *options)
{
    faas_status status = FAAS_OK;

    gate->rt = rt;
    gate->clock = clock == NULL ? faasi_clock_real() : clock;
    gate->allocator = options->allocator;
    gate->budget_bytes = options->memory_bytes;
    gate->sweep_at = gate->wheel_at = UINT64_MAX;
    gate->last = &gate->first;
    if (options->limiter != NULL)
        status =
            faasi_limit_open(gate->allocator, options->limiter, options->concurrency_max,
                             FAAS_FOREVER, faasi_gate_now_ns(gate), &gate->limit);
    if (status == FAAS_OK)
        status = faasi_mutex_init(&gate->lock);
    if (status != FAAS_OK)
        goto close_limit;
    status = faasi_cond_init(&gate->changed);
    if (status != FAAS_OK)
        goto fini_lock;
    status = faasi_cond_init(&gate->sweep_sooner);
    if (status != FAAS_OK)
        goto fini_changed;
    status =
        faasi_permits_init(&gate->permits, options->concurrency_max, options->allocator);
    if (status != FAAS_OK)
        goto fini_sooner;
    status = faasi_warm_init(&gate->warm, gate->clock, options);
    if (status != FAAS_OK)
        goto fini_permits;
    gate->listener.moved = clock_moved;
    gate->listener.user = gate;
    if (clock != NULL)
        faasi_clock_listen(clock, &gate->listener);
    return FAAS_OK;

fini_permits:
    faasi_permits_fini(&gate->permits);
fini_sooner:
    faasi_cond_fini(&gate->sweep_sooner);
fini_changed:
    faasi_cond_fini(&gate->changed);
fini_lock:
    faasi_mutex_fini(&gate->lock);
close_limit:
    faasi_limit_close(gate->allocator, gate->limit);
    return status;
}

void faasi_gate_fini(struct faasi_gate *gate, faas_clock *clock)
{
    struct faasi_cell *cell;

    if (clock != NULL)
        faasi_clock_ignore(clock, &gate->listener);
    assert(gate->instances == NULL && gate->first == NULL && gate->doomed == NULL);
    while ((cell = gate->spare_cells) != NULL) {
        gate->spare_cells = cell->sibling;
        faasi_free_lines(gate->allocator, cell, sizeof *cell);
    }
    faasi_warm_fini(&gate->warm);
    faasi_permits_fini(&gate->permits);
    faasi_cond_fini(&gate->sweep_sooner);
    faasi_cond_fini(&gate->changed);
    faasi_mutex_fini(&gate->lock);
    faasi_limit_close(gate->allocator, gate->limit);
}

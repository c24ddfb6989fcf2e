/* SPDX-License-Identifier: MIT */
/* gate_limit.c - limiters at the gate: what they are asked, and what they are told. */
#include "gate_limit.h"

/* How many calls of a function can run at once, whatever others do. */
static uint32_t width_of(const struct faasi_gate *gate, struct faasi_function *f)
{
    uint64_t width = atomic_load_explicit(&f->seats.cap, memory_order_relaxed);
    uint32_t all = atomic_load_explicit(&gate->permits.cap, memory_order_relaxed);
    uint64_t instances = atomic_load_explicit(&f->instance_max, memory_order_relaxed);

    if (instances * f->instance_concurrency < width)
        width = instances * f->instance_concurrency;
    return (uint32_t)(width < all ? width : all);
}

/* How long a call has until its turn. */
static uint64_t patience_ns(const struct faasi_function *f)
{
    uint64_t wait = faasi_read(&f->wait_ns), timeout = faasi_read(&f->timeout_ns);

    return wait < timeout ? wait : timeout;
}

faas_status faasi_gate_limiter(struct faasi_gate *gate, struct faasi_function *f,
                               const faas_limiter *how, struct faasi_limit **limit)
{
    return faasi_limit_open(gate->allocator, how, width_of(gate, f), patience_ns(f),
                            faasi_gate_now_ns(gate), limit);
}

void faasi_gate_retime(struct faasi_gate *gate, struct faasi_function *f)
{
    if (f->limit != NULL)
        faasi_limit_retime(f->limit, width_of(gate, f), patience_ns(f),
                           faasi_gate_now_ns(gate));
}

struct faasi_limit *faasi_gate_limit_of(struct faasi_gate *gate, struct faasi_function *f)
{
    struct faasi_limit *limit;

    if (f->limit == NULL && faasi_gate_limiter(gate, f, NULL, &limit) == FAAS_OK)
        (void)faasi_gate_limit(gate, f, limit);
    return f->limit;
}

/* No thread remembers a seat of `f` any more, and who sits leaves under the lock. */
static void hints_end(struct faasi_gate *gate, struct faasi_function *f)
{
    for (struct faasi_cell *cell = faasi_cell_first(f); cell != NULL;
         cell = faasi_cell_after(cell)) {
        uint64_t word = faasi_seat_word(&cell->seat);

        while (faasi_word_state(word) == FAASI_IDLE && faasi_word_permit(word) != 0) {
            if (faasi_seat_seize(&cell->seat, word, FAASI_IDLE))
                faasi_permits_give(&gate->permits, faasi_word_permit(word));
            word = faasi_seat_word(&cell->seat);
        }
    }
    (void)faasi_seats_attend(&f->seats);
}

struct faasi_limit *faasi_gate_limit(struct faasi_gate *gate, struct faasi_function *f,
                                     struct faasi_limit *limit)
{
    struct faasi_limit *old = f->limit;
    unsigned char care = atomic_load_explicit(&f->care, memory_order_relaxed);
    bool counts = faasi_limit_counts(limit) ||
                  (faasi_limit_counts(gate->limit) && f->code->batch == NULL);

    if (limit != NULL && f->tally != NULL && f->tally->start_ns > 0)
        faasi_admission_started(&limit->admission, (uint64_t)f->tally->start_ns);
    if (limit != NULL)
        limit->waiting = faasi_gate_waiting(gate, f);
    f->limit = limit;
    care &= (unsigned char)~FAASI_CARE_COUNTED;
    atomic_store_explicit(&f->care, care | (counts ? FAASI_CARE_COUNTED : 0),
                          memory_order_relaxed);
    if (counts)
        hints_end(gate, f);
    return old;
}

/* Asks those limiters of a call that count every call, or those that do not: these before
 * it waits. One that refuses says when to come back.
 *
 * @param in_flight  In the function, without this call; in the runtime, likewise. */
static bool limits_admit(struct faasi_gate *gate, struct faasi_function *f, bool counted,
                         uint32_t in_flight, uint32_t in_flight_all, uint64_t *retry_ns)
{
    struct faasi_limit *all = gate->limit;
    bool own = f->limit != NULL && faasi_limit_counts(f->limit) == counted;
    uint64_t now = faasi_gate_now_ns(gate);

    if (own && !faasi_admission_admit(&f->limit->admission, now, in_flight, retry_ns))
        return false;
    if (all == NULL || faasi_limit_counts(all) != counted ||
        faasi_admission_admit(&all->admission, now, in_flight_all, retry_ns))
        return true;
    if (own)
        faasi_rate_return(&f->limit->admission.rate);
    return false;
}

void faasi_gate_count_out(struct faasi_gate *gate, struct faasi_function *f)
{
    if (faasi_limit_counts(f->limit))
        faasi_rate_return(&f->limit->admission.rate);
    if (faasi_limit_counts(gate->limit))
        faasi_rate_return(&gate->limit->admission.rate);
}

bool faasi_gate_count_in(struct faasi_gate *gate, struct faasi_function *f,
                         struct faasi_arrival *arrival, uint64_t *retry_ns)
{
    struct faasi_look look;

    faasi_seats_look(&f->seats, &look);
    if (f->limit != NULL)
        look.busy += f->limit->waiting;
    arrival->in_flight = look.busy + 1;
    arrival->in_flight_all =
        gate->counted + atomic_load_explicit(&gate->waiting, memory_order_relaxed) + 1;
    return limits_admit(gate, f, true, look.busy, arrival->in_flight_all - 1, retry_ns);
}

bool faasi_gate_may_wait(struct faasi_gate *gate, struct faasi_function *f, bool at_cap,
                         uint32_t busy, uint64_t *retry_ns)
{
    struct faasi_limit *limit = faasi_gate_limit_of(gate, f);
    uint32_t cap =
        at_cap ? atomic_load_explicit(&gate->permits.cap, memory_order_relaxed) : 0;

    if (limit == NULL)
        return true;
    faasi_limit_look(f, gate->limit, gate->clock, faasi_gate_now_ns(gate));
    faasi_admission_width(&limit->admission, busy);
    return limits_admit(
        gate, f, false, busy + limit->waiting,
        cap == 0 ? 0 : cap + atomic_load_explicit(&gate->waiting, memory_order_relaxed),
        retry_ns);
}

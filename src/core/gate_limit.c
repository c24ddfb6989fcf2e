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
    bool counts = faasi_limit_counts(limit) ||
                  (faasi_limit_counts(gate->limit) && f->code->batch == NULL);

    if (limit != NULL && f->tally != NULL && f->tally->start_ns > 0)
        faasi_admission_started(&limit->admission, (uint64_t)f->tally->start_ns);
    if (limit != NULL)
        limit->waiting = faasi_gate_waiting(gate, f);
    f->limit = limit;
    faasi_care(f, FAASI_CARE_COUNTED, counts);
    if (counts)
        hints_end(gate, f);
    return old;
}

/* Those of the two limiters that count each call, or that do not; NULL for the other. */
static struct faasi_limit *if_counts(struct faasi_limit *limit, bool counts)
{
    return faasi_limit_counts(limit) == counts ? limit : NULL;
}

/* Asks a function's limiter and the runtime's, either of which may be NULL, with so many
 * in flight beside the call. One that refuses says when to come back, and then neither
 * has given anything of its rate. */
static bool limits_admit(const struct faasi_gate *gate, struct faasi_limit *own,
                         uint32_t in_flight, struct faasi_limit *all,
                         uint32_t in_flight_all, uint64_t *retry_ns)
{
    uint64_t now = faasi_gate_now_ns(gate);

    if (own != NULL && !faasi_admission_admit(&own->admission, now, in_flight, retry_ns))
        return false;
    if (all == NULL ||
        faasi_admission_admit(&all->admission, now, in_flight_all, retry_ns))
        return true;
    if (own != NULL)
        faasi_rate_return(&own->admission.rate);
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
    uint32_t in_flight, in_flight_all;
    struct faasi_look look;

    faasi_seats_look(&f->seats, &look);
    in_flight = look.busy + (f->limit == NULL ? 0 : f->limit->waiting);
    in_flight_all =
        gate->counted + atomic_load_explicit(&gate->waiting, memory_order_relaxed);
    *arrival = (struct faasi_arrival){in_flight + 1, in_flight_all + 1};
    return limits_admit(gate, if_counts(f->limit, true), in_flight,
                        if_counts(gate->limit, true), in_flight_all, retry_ns);
}

bool faasi_gate_may_wait(struct faasi_gate *gate, struct faasi_function *f, bool at_cap,
                         uint32_t busy, uint64_t *retry_ns)
{
    struct faasi_limit *own = faasi_gate_limit_of(gate, f);
    uint32_t in_flight_all =
        atomic_load_explicit(&gate->permits.cap, memory_order_relaxed) +
        atomic_load_explicit(&gate->waiting, memory_order_relaxed);

    if (own == NULL)
        return true;
    faasi_gate_look(gate, f);
    own = if_counts(own, false);
    if (own != NULL)
        faasi_admission_width(&own->admission, busy);
    return limits_admit(gate, own, busy + f->limit->waiting,
                        at_cap ? if_counts(gate->limit, false) : NULL, in_flight_all,
                        retry_ns);
}

void faasi_gate_look(struct faasi_gate *gate, struct faasi_function *f)
{
    struct faasi_limit *all = if_counts(gate->limit, false);
    struct faasi_admission_sample sample;
    uint64_t now = faasi_gate_now_ns(gate);

    if (!faasi_limit_look(f->limit, f, gate->clock, &sample))
        return;
    /* One that counts each call has been told of each. */
    if (!faasi_limit_counts(f->limit))
        faasi_admission_done(&f->limit->admission, now, &sample);
    if (all != NULL)
        faasi_admission_done(&all->admission, now, &sample);
}

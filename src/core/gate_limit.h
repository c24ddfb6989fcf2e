/* SPDX-License-Identifier: MIT */
/* gate_limit.h - limiters at the gate, for gate.c: who may come in, who may wait.
 *
 * Layer: 2 parts. Includes gate.h, limit.h.
 * Locks: the gate's is held in every function. */
#ifndef FAASI_GATE_LIMIT_H
#define FAASI_GATE_LIMIT_H

#include "gate.h"
#include "limit.h"

static inline uint64_t faasi_gate_now_ns(const struct faasi_gate *gate)
{
    return faasi_ticks_to_ns(gate->clock, faasi_ticks(gate->clock));
}

/* The limiter of a function; the default one is made when it is needed, and knows what a
 * cold start took. NULL without memory. */
struct faasi_limit *faasi_gate_limit_of(struct faasi_gate *gate,
                                        struct faasi_function *f);

/* How many calls of a function wait. In gate.c. */
uint32_t faasi_gate_waiting(const struct faasi_gate *gate,
                            const struct faasi_function *f);

/* Tells the limiters that do not count each call what the cells of `f`, which has one,
 * have counted since the last time. */
void faasi_gate_look(struct faasi_gate *gate, struct faasi_function *f);

/* How many are in flight when a call comes in, with it: in its function, and in all. */
struct faasi_arrival {
    uint32_t in_flight, in_flight_all;
};

/* Asks the limiters that count each call. One that refuses says when to come back. */
bool faasi_gate_count_in(struct faasi_gate *gate, struct faasi_function *f,
                         struct faasi_arrival *arrival, uint64_t *retry_ns);

/* A call was admitted so, and found no seat: it is as if it had not come. */
void faasi_gate_count_out(struct faasi_gate *gate, struct faasi_function *f);

/* Asks the other limiters, of a call that found no seat and would wait behind `busy` of
 * its function; `at_cap` says whether it is the runtime's that is reached. */
bool faasi_gate_may_wait(struct faasi_gate *gate, struct faasi_function *f, bool at_cap,
                         uint32_t busy, uint64_t *retry_ns);

#endif /* FAASI_GATE_LIMIT_H */

/* SPDX-License-Identifier: MIT */
/* seats.h - exact caps without a counter: the seats of a function and the permits of a
 * runtime.
 *
 * A call sits on a seat of its function and holds a permit of its runtime. A function has
 * no more active seats than its cap, a runtime no more permits than its own, so whoever
 * has both may run, and there is nothing to count. A seat is one word:
 *
 *     version (40 bits) | permit (21 bits, 0 = none) | attention (1 bit) | state (2 bits)
 *
 *     COLD  nobody sits here and nothing is warm        IDLE  nobody sits here
 *     BUSY  one call sits here                          ODD   under change, or retired
 *
 * An idle seat keeps its permit, so that a warm call changes one word and nothing else:
 * IDLE to BUSY to IDLE. The version grows whenever a seat is left, loses its permit or
 * changes hands, so a word never comes back: whoever remembers one may try to take the
 * seat by it, years later, and fails if anything happened since. (It would come back
 * after 2^40 calls on one seat; a hint that old would have to lie unused on another
 * thread meanwhile, and the seat to have been given to another function.)
 *
 * Only a call that sits may leave; an attention bit, set by others while it sits, makes
 * it leave under the lock, where waiters, lowered caps and ended functions are seen to.
 * All other changes are made under that lock (Holds: the gate's), but for the two of the
 * warm path and for a theft of an idle seat's permit, which are one compare-and-swap
 * each.
 *
 * Refusals take no lock and are exact: nobody is refused who did not, at one moment while
 * it asked, see the cap reached.
 *
 *     Look at all seats of the function: so many are BUSY, the versions add up to so
 *     much. If that is the cap or more, look again. Versions only grow, so an equal sum
 *     means that none grew: no seat was left between its two looks. Then every seat that
 *     was BUSY in the first look still was when the first look ended: at that moment they
 *     were all taken, and that is a cap's worth.
 *
 * For this the second look must not read a word older than what led to the first look's.
 * Were a seat A left before a seat B was taken by somebody who knew of it, then our
 * reading B as BUSY must make A's leaving visible. So taking is acquire-release, leaving
 * is release, looking is acquire: B's word carries what its taker had seen. With a take
 * that only acquires the model in tests/model_seats.cpp finds a false refusal.
 *
 * The runtime's permits are looked at in the same way, through the table of who holds
 * them: each holder BUSY with that very permit, twice, sums equal, and no permit changed
 * hands in between (`moves` is odd while one does, and grows).
 *
 * Layer: 1 structures. Includes atomics.h and base.h.
 * Locks: none of its own; see each function. */
#ifndef FAASI_SEATS_H
#define FAASI_SEATS_H

#include "atomics.h"
#include "base.h"

enum { FAASI_COLD = 0, FAASI_IDLE = 1, FAASI_BUSY = 2, FAASI_ODD = 3 };

enum { FAASI_PERMITS_MAX = 1 << 20 };

#define FAASI_STATE_MASK ((uint64_t)3)
#define FAASI_ATTENTION ((uint64_t)4)
#define FAASI_PERMIT_SHIFT 3
#define FAASI_PERMIT_MASK ((uint64_t)0x1fffff << FAASI_PERMIT_SHIFT)
#define FAASI_VERSION_SHIFT 24
#define FAASI_VERSION_ONE ((uint64_t)1 << FAASI_VERSION_SHIFT)

struct faasi_seat {
    FAASI_ATOMIC(uint64_t) word;
    FAASI_ATOMIC(struct faasi_seat *) next; /* of the same function; appended to only */
    FAASI_ATOMIC(uint64_t) left_ticks; /* when it was left last; written by its sitter */
};

/* The seats of one function. */
struct faasi_seats {
    FAASI_ATOMIC(struct faasi_seat *) first;
    FAASI_ATOMIC(uint32_t) cap;
    uint32_t active;         /* not retired. Holds: the gate's lock */
    struct faasi_seat *last; /* Holds: the gate's lock */
};

/* What a look at the seats of a function saw. */
struct faasi_look {
    struct faasi_seat *idle; /* the idle one with a permit that was left last, or NULL */
    uint64_t idle_word;
    uint64_t versions; /* their sum, over all seats */
    uint32_t busy;
};

struct faasi_holders;

/* The permits of one runtime. */
struct faasi_permits {
    FAASI_ATOMIC(uint32_t) cap;
    FAASI_ATOMIC(uint32_t) high;     /* numbers up to this one were made */
    FAASI_ATOMIC(uint32_t) existing; /* of these, not retired */
    FAASI_ATOMIC(uint64_t) moves;
    FAASI_ATOMIC(struct faasi_holders *) holders;
    uint32_t free_first;    /* permits that no seat has: a list through the table */
    uint32_t retired_first; /* numbers that may be made again */
    uint32_t hand;          /* where the last theft was */
    const faas_allocator *allocator;
};

static inline unsigned faasi_word_state(uint64_t word)
{
    return (unsigned)(word & FAASI_STATE_MASK);
}

static inline uint32_t faasi_word_permit(uint64_t word)
{
    return (uint32_t)((word & FAASI_PERMIT_MASK) >> FAASI_PERMIT_SHIFT);
}

/* The same version, in another state, with another permit, without attention. */
static inline uint64_t faasi_word_with(uint64_t word, unsigned state, uint32_t permit)
{
    return (word >> FAASI_VERSION_SHIFT << FAASI_VERSION_SHIFT) |
           (uint64_t)permit << FAASI_PERMIT_SHIFT | state;
}

/* An idle word to the busy one of who takes it; a busy word to the idle one it leaves. */
static inline uint64_t faasi_word_taken(uint64_t idle)
{
    return idle ^ (FAASI_IDLE ^ FAASI_BUSY);
}

static inline uint64_t faasi_word_left(uint64_t busy)
{
    return (busy ^ (FAASI_IDLE ^ FAASI_BUSY)) + FAASI_VERSION_ONE;
}

static inline uint64_t faasi_seat_word(struct faasi_seat *seat)
{
    return atomic_load_explicit(&seat->word, memory_order_acquire);
}

/* On the path of every warm call: takes an idle seat that has a permit by its word. One
 * compare-and-swap on a line that, while threads stay on their seats, nobody else writes.
 *
 * Acquire: what the last sitter left is visible; pairs with faasi_seat_leave().
 * Release: who sees this seat taken sees what we saw; see above. */
static inline bool faasi_seat_take(struct faasi_seat *seat, uint64_t idle)
{
    return atomic_compare_exchange_strong_explicit(
        &seat->word, &idle, faasi_word_taken(idle), memory_order_acq_rel,
        memory_order_relaxed);
}

/* On the path of every warm call: leaves a seat. Returns false if somebody asked for
 * attention meanwhile: then it is still taken, and must be left under the lock.
 *
 * Release: pairs with faasi_seat_take(). */
static inline bool faasi_seat_leave(struct faasi_seat *seat, uint64_t busy)
{
    return atomic_compare_exchange_strong_explicit(
        &seat->word, &busy, faasi_word_left(busy), memory_order_release,
        memory_order_relaxed);
}

/* Asks the sitter to leave under the lock. Returns the state it found; only BUSY has been
 * asked. Any thread that holds the lock. */
unsigned faasi_seat_attend(struct faasi_seat *seat);

/* Takes an idle seat away from the warm path: to `state`, without its permit, which the
 * caller then owns; the version grows. Returns false if it is no longer `idle`.
 * Holds: the gate's lock. */
bool faasi_seat_seize(struct faasi_seat *seat, uint64_t idle, unsigned state);

/* Changes a seat that nobody else can change: COLD, ODD, IDLE without a permit, or BUSY
 * with the caller on it; the version grows. Holds: the gate's lock. */
void faasi_seat_set(struct faasi_seat *seat, unsigned state, uint32_t permit,
                    uint64_t attention);

/* Appends a seat that is in no list. Holds: the gate's lock. */
void faasi_seats_append(struct faasi_seats *seats, struct faasi_seat *seat);

/* The first look. In a read section, or under the lock. */
void faasi_seats_look(struct faasi_seats *seats, struct faasi_look *look);

/* The second look: whether no seat was left since the first one. */
bool faasi_seats_unchanged(struct faasi_seats *seats, const struct faasi_look *look);

/* The whole verdict: the cap was reached at one moment since this was called. `look` is
 * the first look's. When it says no, the caller looks again or takes the lock. */
bool faasi_seats_full(struct faasi_seats *seats, struct faasi_look *look);

/* @return FAAS_OK, FAAS_ENOMEM */
faas_status faasi_permits_init(struct faasi_permits *permits, uint32_t cap,
                               const faas_allocator *allocator);
void faasi_permits_fini(struct faasi_permits *permits);

/* Whether all permits were in use at one moment since this was called. Takes no lock;
 * reads each holder twice. In a read section, or under the lock. */
bool faasi_permits_full(struct faasi_permits *permits);

/* Gets a permit for a seat: a free one, a new one, or that of an idle seat. The seat must
 * then be made BUSY with it, before the lock is let go.
 *
 * @return its number, or 0 if none is to be had; `*status` says why: FAAS_EBUSY when all
 *         were in use at one moment, FAAS_ENOMEM.
 *
 * Holds: the gate's lock. */
uint32_t faasi_permits_take(struct faasi_permits *permits, struct faasi_seat *seat,
                            faas_status *status);

/* Gives back a permit that no seat's word carries any more: to the free ones, or to the
 * retired ones if there are more than the cap. Holds: the gate's lock. */
void faasi_permits_give(struct faasi_permits *permits, uint32_t permit);

/* Whether the sitter of a seat must give up its permit when it leaves. */
static inline bool faasi_permits_over(struct faasi_permits *permits)
{
    return atomic_load_explicit(&permits->existing, memory_order_relaxed) >
           atomic_load_explicit(&permits->cap, memory_order_relaxed);
}

/* Changes the cap, and retires free permits and those of idle seats until it holds, or
 * only permits in use are left over: their sitters were asked for attention, and the
 * lock's holder retires them as they leave. Holds: the gate's lock. */
void faasi_permits_resize(struct faasi_permits *permits, uint32_t cap);

/* Asks every sitter for attention; `*asked` counts them, if it is not NULL. Returns
 * whether every permit that exists is in use, by a seat that was asked: then one of them
 * must pass the lock before anything changes. Holds: the gate's lock. */
bool faasi_permits_attend(struct faasi_permits *permits, uint32_t *asked);

/* The same for the seats of a function: whether a cap's worth of them were asked. */
bool faasi_seats_attend(struct faasi_seats *seats);

#endif /* FAASI_SEATS_H */

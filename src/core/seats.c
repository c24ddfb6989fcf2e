/* SPDX-License-Identifier: MIT */
/* seats.c - exact caps: seats, permits, and the two looks of a refusal. */
#include "seats.h"

#include "mem.h"

/* Who has a permit: a seat, nobody, or it does not exist at the moment. */
struct faasi_holder {
    FAASI_ATOMIC(struct faasi_seat *) seat;
    uint32_t next; /* in the list of free or of retired ones */
};

struct faasi_holders {
    struct faasi_holders *older; /* readers may still look through these; see grow() */
    uint32_t size;               /* entries; number 0 is no permit */
    struct faasi_holder at[];
};

/* Stands where a permit was retired; never looked into. */
#define RETIRED ((struct faasi_seat *)(uintptr_t)1)

enum { HOLDERS_MIN = 16 };

unsigned faasi_seat_attend(struct faasi_seat *seat)
{
    uint64_t word = faasi_seat_word(seat);

    while (faasi_word_state(word) == FAASI_BUSY && (word & FAASI_ATTENTION) == 0)
        if (atomic_compare_exchange_strong_explicit(
                &seat->word, &word, word | FAASI_ATTENTION, memory_order_acq_rel,
                memory_order_acquire))
            return FAASI_BUSY;
    return faasi_word_state(word);
}

bool faasi_seat_seize(struct faasi_seat *seat, uint64_t idle, unsigned state)
{
    return atomic_compare_exchange_strong_explicit(
        &seat->word, &idle, faasi_word_with(idle, state, 0) + FAASI_VERSION_ONE,
        memory_order_acq_rel, memory_order_relaxed);
}

void faasi_seat_set(struct faasi_seat *seat, unsigned state, uint32_t permit,
                    uint64_t attention)
{
    uint64_t word = atomic_load_explicit(&seat->word, memory_order_relaxed);

    /* An exchange, because it may take the seat: acquire-release as faasi_seat_take(). */
    (void)atomic_exchange_explicit(
        &seat->word,
        (faasi_word_with(word, state, permit) + FAASI_VERSION_ONE) | attention,
        memory_order_acq_rel);
}

void faasi_seats_append(struct faasi_seats *seats, struct faasi_seat *seat)
{
    atomic_store_explicit(&seat->next, (struct faasi_seat *)NULL, memory_order_relaxed);
    /* Release: who finds the seat finds its word. */
    if (seats->last == NULL)
        atomic_store_explicit(&seats->first, seat, memory_order_release);
    else
        atomic_store_explicit(&seats->last->next, seat, memory_order_release);
    seats->last = seat;
}

void faasi_seats_look(struct faasi_seats *seats, struct faasi_look *look)
{
    uint64_t best = 0;

    look->idle = NULL;
    look->idle_word = 0;
    look->versions = 0;
    look->busy = 0;
    for (struct faasi_seat *seat =
             atomic_load_explicit(&seats->first, memory_order_acquire);
         seat != NULL; seat = atomic_load_explicit(&seat->next, memory_order_acquire)) {
        uint64_t word = faasi_seat_word(seat);
        unsigned state = faasi_word_state(word);

        look->versions += word >> FAASI_VERSION_SHIFT;
        if (state == FAASI_BUSY) {
            look->busy++;
        } else if (state == FAASI_IDLE && faasi_word_permit(word) != 0) {
            uint64_t left = atomic_load_explicit(&seat->left_ticks, memory_order_relaxed);

            if (look->idle == NULL || left > best) {
                look->idle = seat;
                look->idle_word = word;
                best = left;
            }
        }
    }
}

bool faasi_seats_unchanged(struct faasi_seats *seats, const struct faasi_look *look)
{
    uint64_t versions = 0;

    /* A seat appended since only adds: the sum differs, and we look again. */
    for (struct faasi_seat *seat =
             atomic_load_explicit(&seats->first, memory_order_acquire);
         seat != NULL; seat = atomic_load_explicit(&seat->next, memory_order_acquire))
        versions += faasi_seat_word(seat) >> FAASI_VERSION_SHIFT;
    return versions == look->versions;
}

bool faasi_seats_full(struct faasi_seats *seats, struct faasi_look *look)
{
    faasi_seats_look(seats, look);
    return look->busy >= atomic_load_explicit(&seats->cap, memory_order_acquire) &&
           faasi_seats_unchanged(seats, look);
}

bool faasi_seats_attend(struct faasi_seats *seats)
{
    uint32_t busy = 0;

    for (struct faasi_seat *seat =
             atomic_load_explicit(&seats->first, memory_order_acquire);
         seat != NULL; seat = atomic_load_explicit(&seat->next, memory_order_acquire))
        if (faasi_seat_attend(seat) == FAASI_BUSY)
            busy++;
    return busy >= atomic_load_explicit(&seats->cap, memory_order_relaxed);
}

static size_t holders_bytes(uint32_t size)
{
    return sizeof(struct faasi_holders) + size * sizeof(struct faasi_holder);
}

faas_status faasi_permits_init(struct faasi_permits *permits, uint32_t cap,
                               const faas_allocator *allocator)
{
    struct faasi_holders *holders =
        (struct faasi_holders *)faasi_alloc_zeroed(allocator, holders_bytes(HOLDERS_MIN));

    if (holders == NULL)
        return faasi_fail(FAAS_ENOMEM, "permits: no memory");
    holders->size = HOLDERS_MIN;
    atomic_init(&permits->cap, cap);
    atomic_init(&permits->high, 0u);
    atomic_init(&permits->existing, 0u);
    atomic_init(&permits->moves, (uint64_t)0);
    atomic_init(&permits->holders, holders);
    permits->free_first = permits->retired_first = permits->hand = 0;
    permits->allocator = allocator;
    return FAAS_OK;
}

void faasi_permits_fini(struct faasi_permits *permits)
{
    struct faasi_holders *holders =
        atomic_load_explicit(&permits->holders, memory_order_relaxed);

    while (holders != NULL) {
        struct faasi_holders *older = holders->older;

        faasi_free(permits->allocator, holders, holders_bytes(holders->size));
        holders = older;
    }
}

/* Adds up the versions of who sits with which permit; false if one is not in use. */
static bool holders_look(struct faasi_holders *holders, uint32_t high, uint64_t *versions)
{
    *versions = 0;
    for (uint32_t number = 1; number <= high; number++) {
        struct faasi_seat *seat =
            atomic_load_explicit(&holders->at[number].seat, memory_order_acquire);
        uint64_t word;

        if (seat == RETIRED)
            continue;
        if (seat == NULL)
            return false;
        word = faasi_seat_word(seat);
        if (faasi_word_state(word) != FAASI_BUSY || faasi_word_permit(word) != number)
            return false;
        *versions += word >> FAASI_VERSION_SHIFT;
    }
    return true;
}

bool faasi_permits_full(struct faasi_permits *permits)
{
    uint64_t moves = atomic_load_explicit(&permits->moves, memory_order_acquire);
    uint32_t cap = atomic_load_explicit(&permits->cap, memory_order_acquire);
    uint32_t existing = atomic_load_explicit(&permits->existing, memory_order_acquire);
    uint32_t high = atomic_load_explicit(&permits->high, memory_order_acquire);
    struct faasi_holders *holders =
        atomic_load_explicit(&permits->holders, memory_order_acquire);
    uint64_t first, second;

    return moves % 2 == 0 && existing >= cap && holders_look(holders, high, &first) &&
           holders_look(holders, high, &second) && first == second &&
           atomic_load_explicit(&permits->moves, memory_order_acquire) == moves;
}

/* Brackets every change of who holds what, of `existing`, `high` and the table. The first
 * is acquire so that nothing that follows comes before it. */
static void moves_begin(struct faasi_permits *permits)
{
    (void)atomic_fetch_add_explicit(&permits->moves, (uint64_t)1, memory_order_acq_rel);
}

static void moves_end(struct faasi_permits *permits)
{
    (void)atomic_fetch_add_explicit(&permits->moves, (uint64_t)1, memory_order_release);
}

static struct faasi_holders *holders_of(struct faasi_permits *permits)
{
    return atomic_load_explicit(&permits->holders, memory_order_relaxed);
}

/* A table of twice the size. Old ones stay until the end, because looks go on in them: in
 * all they take less than the newest. */
static struct faasi_holders *holders_grow(struct faasi_permits *permits)
{
    struct faasi_holders *old = holders_of(permits);
    uint32_t size = old->size * 2;
    struct faasi_holders *holders = (struct faasi_holders *)faasi_alloc_zeroed(
        permits->allocator, holders_bytes(size));

    if (holders == NULL)
        return NULL;
    holders->older = old;
    holders->size = size;
    for (uint32_t number = 1; number < old->size; number++) {
        atomic_store_explicit(
            &holders->at[number].seat,
            atomic_load_explicit(&old->at[number].seat, memory_order_relaxed),
            memory_order_relaxed);
        holders->at[number].next = old->at[number].next;
    }
    atomic_store_explicit(&permits->holders, holders, memory_order_release);
    return holders;
}

/* Makes a permit, for a seat. Returns 0 at the cap or without memory. */
static uint32_t permit_make(struct faasi_permits *permits, struct faasi_seat *seat,
                            faas_status *status)
{
    struct faasi_holders *holders = holders_of(permits);
    uint32_t existing = atomic_load_explicit(&permits->existing, memory_order_relaxed);
    uint32_t high = atomic_load_explicit(&permits->high, memory_order_relaxed);
    uint32_t number = permits->retired_first;

    if (existing >= atomic_load_explicit(&permits->cap, memory_order_relaxed))
        return 0;
    moves_begin(permits);
    if (number != 0) {
        permits->retired_first = holders->at[number].next;
    } else {
        number = high + 1;
        if (number == holders->size)
            holders = holders_grow(permits);
        if (holders != NULL)
            atomic_store_explicit(&permits->high, number, memory_order_release);
    }
    if (holders != NULL) {
        atomic_store_explicit(&holders->at[number].seat, seat, memory_order_release);
        atomic_store_explicit(&permits->existing, existing + 1, memory_order_release);
    }
    moves_end(permits);
    if (holders == NULL) {
        *status = FAAS_ENOMEM;
        return 0;
    }
    return number;
}

static void holder_set(struct faasi_permits *permits, uint32_t number,
                       struct faasi_seat *seat)
{
    moves_begin(permits);
    atomic_store_explicit(&holders_of(permits)->at[number].seat, seat,
                          memory_order_release);
    moves_end(permits);
}

/* Takes the permit of some idle seat, going round, so that each is robbed in its turn. */
static uint32_t permit_steal(struct faasi_permits *permits)
{
    struct faasi_holders *holders = holders_of(permits);
    uint32_t high = atomic_load_explicit(&permits->high, memory_order_relaxed);

    for (uint32_t i = 0; i < high; i++) {
        uint32_t number = permits->hand % high + 1;
        struct faasi_seat *seat =
            atomic_load_explicit(&holders->at[number].seat, memory_order_relaxed);
        uint64_t word;

        permits->hand = number;
        if (seat == NULL || seat == RETIRED)
            continue;
        word = faasi_seat_word(seat);
        if (faasi_word_state(word) == FAASI_IDLE && faasi_word_permit(word) == number &&
            faasi_seat_seize(seat, word, FAASI_IDLE))
            return number;
    }
    return 0;
}

uint32_t faasi_permits_take(struct faasi_permits *permits, struct faasi_seat *seat,
                            faas_status *status)
{
    struct faasi_holders *holders;
    uint32_t number;

    /* More than the cap exist only while all are in use; then there is none to take. */
    do {
        *status = FAAS_EBUSY;
        holders = holders_of(permits);
        number = permits->free_first;
        if (number != 0) {
            permits->free_first = holders->at[number].next;
            holder_set(permits, number, seat);
            return number;
        }
        number = permit_make(permits, seat, status);
        if (number != 0 || *status == FAAS_ENOMEM)
            return number;
        number = permit_steal(permits);
        if (number != 0) {
            holder_set(permits, number, seat);
            return number;
        }
    } while (!faasi_permits_full(permits));
    return 0;
}

void faasi_permits_give(struct faasi_permits *permits, uint32_t number)
{
    struct faasi_holders *holders = holders_of(permits);
    bool retire = faasi_permits_over(permits);
    uint32_t *list = retire ? &permits->retired_first : &permits->free_first;

    assert(number != 0);
    moves_begin(permits);
    atomic_store_explicit(&holders->at[number].seat, retire ? RETIRED : NULL,
                          memory_order_release);
    if (retire)
        (void)atomic_fetch_sub_explicit(&permits->existing, 1u, memory_order_release);
    moves_end(permits);
    holders->at[number].next = *list;
    *list = number;
}

bool faasi_permits_attend(struct faasi_permits *permits, uint32_t *asked)
{
    struct faasi_holders *holders = holders_of(permits);
    uint32_t high = atomic_load_explicit(&permits->high, memory_order_relaxed);
    uint32_t busy = 0;
    bool all = true;

    for (uint32_t number = 1; number <= high; number++) {
        struct faasi_seat *seat =
            atomic_load_explicit(&holders->at[number].seat, memory_order_relaxed);

        if (seat == RETIRED)
            continue;
        if (seat == NULL || faasi_seat_attend(seat) != FAASI_BUSY)
            all = false;
        else
            busy++;
    }
    if (asked != NULL)
        *asked = busy;
    return all && atomic_load_explicit(&permits->existing, memory_order_relaxed) >=
                      atomic_load_explicit(&permits->cap, memory_order_relaxed);
}

void faasi_permits_resize(struct faasi_permits *permits, uint32_t cap)
{
    struct faasi_holders *holders;

    moves_begin(permits);
    atomic_store_explicit(&permits->cap, cap, memory_order_release);
    moves_end(permits);
    holders = holders_of(permits);
    while (faasi_permits_over(permits)) {
        uint32_t number = permits->free_first;

        if (number != 0)
            permits->free_first = holders->at[number].next;
        else
            number = permit_steal(permits);
        if (number != 0)
            faasi_permits_give(permits, number);
        else if (faasi_permits_attend(permits, NULL))
            break;
    }
}

/* SPDX-License-Identifier: MIT */
/* timer.c - queues of timers by the digits of their ticks. */
#include "timer.h"

#define DIGIT_BITS 6

/* The one slot of the last level; also where the search for a slot ends. */
#define NEVER (FAASI_TIMER_LEVELS * FAASI_TIMER_SLOTS)

static_assert(1 << DIGIT_BITS == FAASI_TIMER_SLOTS, "a digit names a slot");
static_assert(UINT64_MAX / FAASI_TICK_NS < UINT64_C(1) << FAASI_TIMER_LEVELS * DIGIT_BITS,
              "the digits reach to the end of time");

static unsigned slot_at(uint64_t tick, unsigned level)
{
    unsigned digit = (unsigned)(tick >> level * DIGIT_BITS) % FAASI_TIMER_SLOTS;

    return level * FAASI_TIMER_SLOTS + digit;
}

/* The tick at which a slot begins, in the block where the wheel stands. */
static uint64_t slot_tick(const struct faasi_timers *timers, unsigned slot)
{
    unsigned level = slot / FAASI_TIMER_SLOTS;
    uint64_t digit = slot % FAASI_TIMER_SLOTS;
    unsigned above = (level + 1) * DIGIT_BITS;

    return timers->tick >> above << above | digit << level * DIGIT_BITS;
}

static bool slot_occupied(const struct faasi_timers *timers, unsigned slot)
{
    uint64_t bits = timers->occupied[slot / FAASI_TIMER_SLOTS];

    return (bits >> slot % FAASI_TIMER_SLOTS & 1) != 0;
}

/* The first slot with timers, or NEVER. */
static unsigned slot_first(const struct faasi_timers *timers)
{
    unsigned here = slot_at(timers->tick, timers->level);

    /* Half moved, it comes before the lower levels, which have its other half. */
    if (slot_occupied(timers, here))
        return here;
    for (unsigned level = 0; level < FAASI_TIMER_LEVELS; level++)
        if (timers->occupied[level] != 0)
            return level * FAASI_TIMER_SLOTS +
                   (unsigned)__builtin_ctzll(timers->occupied[level]);
    return NEVER;
}

/* The slot of an instant, at `level_min` or above. */
static unsigned slot_of(const struct faasi_timers *timers, uint64_t due_ns,
                        unsigned level_min)
{
    uint64_t tick = due_ns / FAASI_TICK_NS + (due_ns % FAASI_TICK_NS != 0);
    unsigned level;

    if (tick > UINT64_MAX / FAASI_TICK_NS)
        return NEVER;
    if (tick < timers->tick)
        tick = timers->tick;
    level = (63 - (unsigned)__builtin_clzll((tick ^ timers->tick) | 1)) / DIGIT_BITS;
    return slot_at(tick, level < level_min ? level_min : level);
}

static void timer_append(struct faasi_timers *timers, unsigned slot,
                         struct faasi_timer *timer)
{
    struct faasi_timer_link *head = &timers->heads[slot];

    timer->link.next = head;
    timer->link.prev = head->prev;
    head->prev->next = &timer->link;
    head->prev = &timer->link;
    timers->occupied[slot / FAASI_TIMER_SLOTS] |= UINT64_C(1) << slot % FAASI_TIMER_SLOTS;
}

static void timer_remove(struct faasi_timers *timers, struct faasi_timer *timer)
{
    struct faasi_timer_link *next = timer->link.next;

    timer->link.prev->next = next;
    next->prev = timer->link.prev;
    timer->link.next = NULL;
    if (next->next == next) {
        /* Alone in the ring is its head, whose place is the slot's number. */
        unsigned slot = (unsigned)(next - timers->heads);

        timers->occupied[slot / FAASI_TIMER_SLOTS] &=
            ~(UINT64_C(1) << slot % FAASI_TIMER_SLOTS);
    }
}

/* Of a slot that is occupied. A timer begins with its link. */
static struct faasi_timer *timer_first(const struct faasi_timers *timers, unsigned slot)
{
    return (struct faasi_timer *)timers->heads[slot].next;
}

void faasi_timers_init(struct faasi_timers *timers, uint64_t now_ns)
{
    timers->tick = now_ns / FAASI_TICK_NS;
    timers->level = 0;
    for (unsigned level = 0; level <= FAASI_TIMER_LEVELS; level++)
        timers->occupied[level] = 0;
    for (unsigned slot = 0; slot <= NEVER; slot++) {
        struct faasi_timer_link *head = &timers->heads[slot];

        head->next = head->prev = head;
    }
}

void faasi_timer_start(struct faasi_timers *timers, struct faasi_timer *timer,
                       uint64_t due_ns)
{
    if (faasi_timer_running(timer))
        timer_remove(timers, timer);
    timer->due_ns = due_ns;
    timer_append(timers, slot_of(timers, due_ns, timers->level), timer);
}

void faasi_timer_stop(struct faasi_timers *timers, struct faasi_timer *timer)
{
    if (faasi_timer_running(timer))
        timer_remove(timers, timer);
}

uint64_t faasi_timers_next(const struct faasi_timers *timers)
{
    unsigned slot = slot_first(timers);

    return slot == NEVER ? FAAS_FOREVER : slot_tick(timers, slot) * FAASI_TICK_NS;
}

/* Moves the timers of the slot where the wheel stands to lower levels, while `*moves`
 * lasts. Returns whether it is done. */
static bool slot_spread(struct faasi_timers *timers, unsigned slot, unsigned *moves)
{
    while (slot_occupied(timers, slot)) {
        struct faasi_timer *timer = timer_first(timers, slot);

        if (*moves == 0)
            return false;
        --*moves;
        timer_remove(timers, timer);
        timer_append(timers, slot_of(timers, timer->due_ns, 0), timer);
    }
    return true;
}

struct faasi_timer *faasi_timers_expire(struct faasi_timers *timers, uint64_t now_ns)
{
    uint64_t now = now_ns / FAASI_TICK_NS;
    unsigned moves = FAASI_TIMER_MOVES;
    unsigned slot;

    /* Never back: the slots are those of the latest time we were told. */
    if (now < timers->tick)
        now = timers->tick;
    do {
        slot = slot_first(timers);
        if (slot == NEVER || slot_tick(timers, slot) > now) {
            /* The wheel passes no slot's beginning, so all timers stay where they are. */
            timers->tick = now;
            timers->level = 0;
            return NULL;
        }
        timers->tick = slot_tick(timers, slot);
        timers->level = slot / FAASI_TIMER_SLOTS;
        if (timers->level == 0) {
            struct faasi_timer *timer = timer_first(timers, slot);

            timer_remove(timers, timer);
            return timer;
        }
    } while (slot_spread(timers, slot, &moves));
    return NULL;
}

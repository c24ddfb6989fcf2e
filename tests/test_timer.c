/* SPDX-License-Identifier: MIT */
/* test_timer.c - timers come in order, never early and never late, however time jumps;
 * the room timer. */
#include "support.h"

#include "core/timer.h"

#define MS FAASI_TICK_NS
#define LAST_TICK (UINT64_MAX / MS)

/* The wheel points into itself, so it stays where it is; each test runs in a process of
 * its own. */
static struct faasi_timers wheel;

static uint64_t random_next(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static uint64_t random_below(uint64_t *state, uint64_t limit)
{
    return random_next(state) % limit;
}

/* A number of a random length, so that each level gets its share. */
static uint64_t random_wide(uint64_t *state, unsigned bits_max)
{
    uint64_t bits = random_below(state, bits_max + 1);

    return bits == 0 ? 0 : random_next(state) >> (64 - bits);
}

static uint64_t seed_now; /* of the test that runs, if it has seeds */

/* For what is checked a million times: ck_assert() writes down each of them. */
#define REQUIRE(x)                                                                       \
    do {                                                                                 \
        if (!(x))                                                                        \
            ck_abort_msg("%s is false; seed %lu", #x, (unsigned long)seed_now);          \
    } while (0)

/* Whether there is a next time, and it has come. */
static bool next_has_come(uint64_t now_ns)
{
    uint64_t next = faasi_timers_next(&wheel);

    return next != FAAS_FOREVER && next <= now_ns;
}

/* The first timer due, over calls that only move others. */
static struct faasi_timer *expire(uint64_t now_ns)
{
    struct faasi_timer *timer;

    do
        timer = faasi_timers_expire(&wheel, now_ns);
    while (timer == NULL && next_has_come(now_ns));
    return timer;
}

#define REQUIRE_FIRES(now_ns, timer) REQUIRE(expire(now_ns) == (timer))
#define REQUIRE_SILENT(now_ns) REQUIRE(expire(now_ns) == NULL)

START_TEST(a_timer_comes_at_the_first_tick_that_is_not_before_its_instant)
{
    static const uint64_t begins[] = {0, 1, 62 * MS, 63 * MS + 999999, 4095 * MS};

    for (size_t b = 0; b < FAASI_COUNT(begins); b++)
        for (uint64_t due = begins[b]; due < begins[b] + 300 * MS; due += 333333) {
            struct faasi_timer timer = {.due_ns = 0};
            uint64_t tick_ns = (due + MS - 1) / MS * MS;

            faasi_timers_init(&wheel, begins[b]);
            faasi_timer_start(&wheel, &timer, due);
            REQUIRE(timer.due_ns == due);
            if (tick_ns > begins[b]) {
                REQUIRE_SILENT(tick_ns - 1);
                REQUIRE(faasi_timer_running(&timer));
            }
            REQUIRE_FIRES(tick_ns, &timer);
            REQUIRE(!faasi_timer_running(&timer));
            REQUIRE_SILENT(UINT64_MAX);
        }
}
END_TEST

START_TEST(timers_come_by_their_ticks_after_one_jump)
{
    enum { COUNT = 500 };
    static struct faasi_timer timers[COUNT];

    faasi_timers_init(&wheel, 77 * MS);
    /* 7 and 500 have no common divisor, so each tick comes once, out of order. */
    for (uint64_t i = 0; i < COUNT; i++) {
        uint64_t rank = i * 7 % COUNT;

        faasi_timer_start(&wheel, &timers[rank], 77 * MS + rank * rank * rank * MS / 9);
    }
    for (size_t i = 0; i < COUNT; i++)
        REQUIRE_FIRES(UINT64_C(1000000000) * MS, &timers[i]);
    REQUIRE_SILENT(UINT64_MAX);
}
END_TEST

START_TEST(timers_of_one_tick_come_in_the_order_they_were_started)
{
    enum { COUNT = 40 };
    static struct faasi_timer timers[COUNT];
    const uint64_t due = UINT64_C(300000) * MS; /* at level 3 when it starts */

    faasi_timers_init(&wheel, 0);
    /* From ever nearer, so that each level is the first stop of some. Within the tick the
     * earliest started has the latest instant: only the tick counts. */
    for (size_t i = 0; i < COUNT; i++) {
        REQUIRE_SILENT(due - (due >> i / 2) + (i / 2 == 0 ? 0 : 1));
        faasi_timer_start(&wheel, &timers[i], due - i);
    }
    for (size_t i = 0; i < COUNT; i++)
        REQUIRE_FIRES(due, &timers[i]);
    REQUIRE_SILENT(due);
}
END_TEST

START_TEST(an_instant_in_the_past_comes_with_the_next_call)
{
    struct faasi_timer now = {.due_ns = 0}, past = now, zero = now, later = now;

    faasi_timers_init(&wheel, 5000 * MS);
    faasi_timer_start(&wheel, &later, 5001 * MS);
    faasi_timer_start(&wheel, &now, 5000 * MS);
    faasi_timer_start(&wheel, &past, 4990 * MS);
    faasi_timer_start(&wheel, &zero, 0);
    ck_assert_uint_eq(faasi_timers_next(&wheel), 5000 * MS);
    ck_assert_ptr_eq(faasi_timers_expire(&wheel, 5000 * MS), &now);
    ck_assert_ptr_eq(faasi_timers_expire(&wheel, 5000 * MS), &past);
    ck_assert_ptr_eq(faasi_timers_expire(&wheel, 5000 * MS), &zero);
    REQUIRE_SILENT(5000 * MS);
    REQUIRE_FIRES(5001 * MS, &later);
}
END_TEST

START_TEST(time_goes_on_while_nothing_is_due)
{
    struct faasi_timer a = {.due_ns = 0}, b = a, far = a;

    faasi_timers_init(&wheel, 0);
    REQUIRE_SILENT(50 * MS);
    faasi_timer_start(&wheel, &far, 900000 * MS);
    REQUIRE_SILENT(100 * MS);
    /* Both have passed, so the one that was started first comes first. */
    faasi_timer_start(&wheel, &a, 90 * MS);
    faasi_timer_start(&wheel, &b, 80 * MS);
    REQUIRE_FIRES(100 * MS, &a);
    REQUIRE_FIRES(100 * MS, &b);
    REQUIRE_SILENT(100 * MS);
    REQUIRE_FIRES(900000 * MS, &far);
}
END_TEST

START_TEST(a_timer_answered_by_one_without_delay_comes_again_in_the_same_loop)
{
    struct faasi_timer timer = {.due_ns = 0};

    faasi_timers_init(&wheel, 0);
    faasi_timer_start(&wheel, &timer, 50 * MS);
    for (unsigned i = 0; i < 100; i++) {
        ck_assert_ptr_eq(faasi_timers_expire(&wheel, 90 * MS), &timer);
        faasi_timer_start(&wheel, &timer, 90 * MS);
    }
}
END_TEST

START_TEST(a_stopped_timer_never_comes_wherever_it_stood)
{
    enum { COUNT = 5 };

    /* All subsets of a queue, at each level. */
    for (unsigned level = 0; level <= FAASI_TIMER_LEVELS; level++)
        for (unsigned stopped = 0; stopped < 1u << COUNT; stopped++) {
            struct faasi_timer timers[COUNT] = {{.due_ns = 0}};
            const uint64_t due =
                level < FAASI_TIMER_LEVELS ? (UINT64_C(3) << 6 * level) * MS : UINT64_MAX;

            faasi_timers_init(&wheel, 0);
            for (unsigned i = 0; i < COUNT; i++)
                faasi_timer_start(&wheel, &timers[i], due);
            for (unsigned i = 0; i < COUNT; i++)
                if (stopped >> i & 1) {
                    faasi_timer_stop(&wheel, &timers[i]);
                    REQUIRE(!faasi_timer_running(&timers[i]));
                    faasi_timer_stop(&wheel, &timers[i]);
                }
            if (level < FAASI_TIMER_LEVELS)
                for (unsigned i = 0; i < COUNT; i++)
                    if (!(stopped >> i & 1))
                        REQUIRE_FIRES(due, &timers[i]);
            REQUIRE(faasi_timers_next(&wheel) == FAAS_FOREVER);
            REQUIRE_SILENT(UINT64_MAX);
        }
}
END_TEST

START_TEST(stopping_a_timer_that_does_not_run_does_nothing)
{
    struct faasi_timer idle = {.due_ns = 0}, fired = idle, other = idle;

    faasi_timers_init(&wheel, 0);
    faasi_timer_start(&wheel, &fired, MS);
    faasi_timer_start(&wheel, &other, 2 * MS);
    REQUIRE_FIRES(MS, &fired);
    faasi_timer_stop(&wheel, &fired);
    faasi_timer_stop(&wheel, &idle);
    REQUIRE_FIRES(2 * MS, &other);
    REQUIRE_SILENT(UINT64_MAX);
}
END_TEST

START_TEST(starting_a_timer_that_runs_moves_it)
{
    struct faasi_timer a = {.due_ns = 0}, b = a, c = a;

    faasi_timers_init(&wheel, 0);
    faasi_timer_start(&wheel, &a, 10 * MS);
    faasi_timer_start(&wheel, &b, 10 * MS);
    faasi_timer_start(&wheel, &c, 10 * MS);
    faasi_timer_start(&wheel, &a, 10 * MS); /* the same tick: to its end */
    faasi_timer_start(&wheel, &b, 9000 * MS);
    REQUIRE_FIRES(10 * MS, &c);
    REQUIRE_FIRES(10 * MS, &a);
    REQUIRE_SILENT(8999 * MS);
    faasi_timer_start(&wheel, &b, 20000 * MS);
    REQUIRE_SILENT(9000 * MS);
    faasi_timer_start(&wheel, &b, 9001 * MS);
    REQUIRE_FIRES(9001 * MS, &b);
    REQUIRE_SILENT(UINT64_MAX);
}
END_TEST

START_TEST(what_is_started_between_two_calls_takes_its_place)
{
    struct faasi_timer a = {.due_ns = 0}, b = a, c = a, d = a;
    const uint64_t now = UINT64_C(500000) * MS;

    faasi_timers_init(&wheel, 0);
    faasi_timer_start(&wheel, &a, 100 * MS);
    faasi_timer_start(&wheel, &d, 300000 * MS);
    REQUIRE_FIRES(now, &a);
    faasi_timer_start(&wheel, &c, 200000 * MS);
    faasi_timer_start(&wheel, &b, 101 * MS);
    REQUIRE_FIRES(now, &b);
    REQUIRE_FIRES(now, &c);
    REQUIRE_FIRES(now, &d);
    REQUIRE_SILENT(UINT64_MAX);
}
END_TEST

START_TEST(the_last_tick_can_be_reached_and_forever_cannot)
{
    struct faasi_timer last = {.due_ns = 0}, forever = last, beyond = last;

    faasi_timers_init(&wheel, 1);
    faasi_timer_start(&wheel, &forever, FAAS_FOREVER);
    faasi_timer_start(&wheel, &beyond, LAST_TICK * MS + 1);
    ck_assert_uint_eq(faasi_timers_next(&wheel), FAAS_FOREVER);
    faasi_timer_start(&wheel, &last, LAST_TICK * MS);
    ck_assert_uint_le(faasi_timers_next(&wheel), LAST_TICK * MS);
    REQUIRE_SILENT(LAST_TICK * MS - 1);
    REQUIRE_FIRES(LAST_TICK * MS, &last);
    REQUIRE_SILENT(UINT64_MAX);
    ck_assert(faasi_timer_running(&forever) && faasi_timer_running(&beyond));

    /* At the end of time it still holds, and what is past still comes. */
    faasi_timer_start(&wheel, &forever, FAAS_FOREVER);
    REQUIRE_SILENT(UINT64_MAX);
    faasi_timer_start(&wheel, &beyond, 0);
    REQUIRE_FIRES(UINT64_MAX, &beyond);
    faasi_timer_stop(&wheel, &forever);
    ck_assert(!faasi_timer_running(&forever));
}
END_TEST

START_TEST(a_time_earlier_than_one_told_before_does_not_turn_the_wheel_back)
{
    struct faasi_timer a = {.due_ns = 0}, b = a;

    faasi_timers_init(&wheel, 0);
    faasi_timer_start(&wheel, &a, 5000 * MS);
    REQUIRE_SILENT(4500 * MS);
    REQUIRE_SILENT(70 * MS);
    faasi_timer_start(&wheel, &b, 4000 * MS); /* past: due where the wheel stands */
    REQUIRE_FIRES(100 * MS, &b);
    REQUIRE_SILENT(0);
    REQUIRE_FIRES(5000 * MS, &a);
}
END_TEST

/* Jumps from next to next. Each stop either has the timer or has moved it. */
START_TEST(next_leads_to_a_timer_in_eight_steps_and_is_never_late)
{
    uint64_t random = 1;

    for (unsigned round = 0; round < 200000; round++) {
        struct faasi_timer timer = {.due_ns = 0};
        uint64_t now = random_wide(&random, 60);
        uint64_t due = now + random_wide(&random, 63);
        uint64_t tick_ns = (due / MS + (due % MS != 0)) * MS;
        unsigned steps = 0;

        faasi_timers_init(&wheel, now);
        faasi_timer_start(&wheel, &timer, due);
        do {
            now = faasi_timers_next(&wheel);
            REQUIRE(now <= tick_ns);
            REQUIRE(++steps <= FAASI_TIMER_LEVELS);
        } while (faasi_timers_expire(&wheel, now) == NULL);
        REQUIRE(now == tick_ns);
        REQUIRE(faasi_timers_next(&wheel) == FAAS_FOREVER);
    }
}
END_TEST

START_TEST(next_is_exact_within_the_block_of_64_ticks)
{
    for (uint64_t begin = 0; begin < 64; begin++)
        for (uint64_t due = begin; due < 64; due++) {
            struct faasi_timer timer = {.due_ns = 0}, second = timer;

            faasi_timers_init(&wheel, begin * MS);
            faasi_timer_start(&wheel, &second, 63 * MS);
            faasi_timer_start(&wheel, &timer, due * MS);
            REQUIRE(faasi_timers_next(&wheel) == due * MS);
            faasi_timer_stop(&wheel, &timer);
            REQUIRE(faasi_timers_next(&wheel) == 63 * MS);
            faasi_timer_stop(&wheel, &second);
            REQUIRE(faasi_timers_next(&wheel) == FAAS_FOREVER);
        }
}
END_TEST

/* Where digits carry: from and to the ticks around the beginning of each level's slots.
 * Both by one jump to the tick before, and by one to the tick. */
START_TEST(nothing_is_lost_where_a_level_wraps_around)
{
    static uint64_t ticks[FAASI_TIMER_LEVELS * 4 * 3];
    size_t count = 0;

    for (unsigned level = 0; level < FAASI_TIMER_LEVELS; level++) {
        static const uint64_t digits[] = {1, 2, 63, 64};

        for (size_t d = 0; d < FAASI_COUNT(digits); d++)
            for (uint64_t near = 0; near < 3; near++) {
                uint64_t tick = (digits[d] << 6 * level) + near - 1;

                if (tick <= LAST_TICK)
                    ticks[count++] = tick;
            }
    }
    for (size_t from = 0; from < count; from++)
        for (size_t to = 0; to < count; to++) {
            struct faasi_timer timer = {.due_ns = 0};

            if (ticks[to] < ticks[from])
                continue;
            for (unsigned way = 0; way < 2; way++) {
                faasi_timers_init(&wheel, ticks[from] * MS);
                faasi_timer_start(&wheel, &timer, ticks[to] * MS);
                if (way == 1 && ticks[to] > ticks[from])
                    REQUIRE_SILENT(ticks[to] * MS - 1);
                REQUIRE_FIRES(ticks[to] * MS, &timer);
                REQUIRE_SILENT(UINT64_MAX);
            }
        }
}
END_TEST

/* Were ticks walked, or the slots of a level, the minute of a test would not do: these
 * are 1e6 times 10 years. */
START_TEST(a_jump_costs_what_is_moved_and_not_what_is_skipped)
{
    const uint64_t years = UINT64_C(10) * 365 * 86400 * 1000 * MS;
    struct faasi_timer timer = {.due_ns = 0};

    for (unsigned round = 0; round < 1000000; round++) {
        if (round % 50 == 0)
            faasi_timers_init(&wheel, round);
        faasi_timer_start(&wheel, &timer, round + (round % 50 + 1) * years);
        REQUIRE_FIRES(round + (round % 50 + 1) * years + MS, &timer);
    }
}
END_TEST

START_TEST(one_call_moves_few_timers)
{
    enum { COUNT = 100 * FAASI_TIMER_MOVES };
    static struct faasi_timer timers[COUNT];
    const uint64_t due = 5000 * MS;
    unsigned calls = 1;

    faasi_timers_init(&wheel, 0);
    for (size_t i = 0; i < COUNT; i++)
        faasi_timer_start(&wheel, &timers[i], due);
    while (faasi_timers_expire(&wheel, due) == NULL) {
        ck_assert_uint_le(faasi_timers_next(&wheel), due);
        calls++;
    }
    /* From level 2 to 1 and from 1 to 0. */
    ck_assert_uint_ge(calls, 2 * COUNT / FAASI_TIMER_MOVES);
    ck_assert_uint_le(calls, 2 * COUNT / FAASI_TIMER_MOVES + 2);
    for (size_t i = 1; i < COUNT; i++)
        REQUIRE_FIRES(due, &timers[i]);
    REQUIRE_SILENT(UINT64_MAX);
}
END_TEST

START_TEST(order_survives_what_is_started_and_stopped_while_a_slot_is_half_moved)
{
    enum { COUNT = 10 * FAASI_TIMER_MOVES };
    static struct faasi_timer timers[COUNT];
    static struct faasi_timer late[1000];
    const uint64_t due = 5000 * MS;
    struct faasi_timer before = {.due_ns = 0};
    size_t late_count = 0;

    faasi_timers_init(&wheel, 0);
    for (size_t i = 0; i < COUNT; i++)
        faasi_timer_start(&wheel, &timers[i], due);
    for (;;) {
        struct faasi_timer *first = faasi_timers_expire(&wheel, due);

        if (first != NULL) {
            ck_assert_ptr_eq(first, &before);
            break;
        }
        if (late_count == 0)
            faasi_timer_start(&wheel, &before, due - 50 * MS);
        faasi_timer_start(&wheel, &late[late_count++], due);
    }
    ck_assert_uint_ge(late_count, 10);
    for (size_t i = 0; i < COUNT; i++)
        REQUIRE_FIRES(due, &timers[i]);
    for (size_t i = 0; i < late_count; i++)
        REQUIRE_FIRES(due, &late[i]);
    REQUIRE_SILENT(UINT64_MAX);

    /* And when the other half is stopped instead, the wheel goes on. */
    faasi_timers_init(&wheel, 0);
    for (size_t i = 0; i < COUNT; i++)
        faasi_timer_start(&wheel, &timers[i], due);
    faasi_timer_start(&wheel, &before, due + 10 * MS);
    ck_assert_ptr_null(faasi_timers_expire(&wheel, due));
    for (size_t i = 0; i < COUNT; i++)
        faasi_timer_stop(&wheel, &timers[i]);
    faasi_timer_start(&wheel, &late[0], due);
    REQUIRE_FIRES(due, &late[0]);
    REQUIRE_SILENT(due);
    REQUIRE_FIRES(due + 10 * MS, &before);
}
END_TEST

START_TEST(a_million_timers_take_24_bytes_each_and_come_in_order)
{
    enum { COUNT = 1000000 };
    struct faasi_timer *timers = calloc(COUNT, sizeof *timers);
    uint64_t random = 5, previous = 0;
    size_t running = COUNT;

    ck_assert_uint_le(sizeof *timers, 24);
    ck_assert_uint_le(sizeof wheel, 8400);
    ck_assert_ptr_nonnull(timers);
    faasi_timers_init(&wheel, 0);
    for (size_t i = 0; i < COUNT; i++)
        faasi_timer_start(&wheel, &timers[i], random_below(&random, 100000 * MS));
    for (size_t i = 0; i < COUNT; i += 3) {
        faasi_timer_stop(&wheel, &timers[i]);
        running--;
    }
    for (struct faasi_timer *timer; (timer = expire(100000 * MS)) != NULL;) {
        uint64_t rank = (timer->due_ns + MS - 1) / MS << 20 | (uint64_t)(timer - timers);

        /* Within a tick they were started from first to last. */
        REQUIRE(previous < rank);
        previous = rank;
        running--;
    }
    ck_assert_uint_eq(running, 0);
    free(timers);
}
END_TEST

/* The same as a list that is searched from end to end. */
struct waiting {
    struct faasi_timer *timer; /* of its own block, so that a late touch is seen */
    uint64_t tick;
    uint64_t order;
};

struct model {
    uint64_t random;
    uint64_t now_ns;
    uint64_t started; /* ever */
    size_t count;
    struct waiting waiting[600];
};

static struct waiting *model_first(struct model *m)
{
    struct waiting *first = NULL;

    for (struct waiting *w = m->waiting; w < m->waiting + m->count; w++)
        if (first == NULL || w->tick < first->tick ||
            (w->tick == first->tick && w->order < first->order))
            first = w;
    return first;
}

static void model_enter(struct model *m, struct waiting *w, uint64_t due_ns)
{
    w->tick = due_ns / MS + (due_ns % MS != 0);
    if (w->tick < wheel.tick)
        w->tick = wheel.tick;
    w->order = m->started++;
    faasi_timer_start(&wheel, w->timer, due_ns);
    REQUIRE(faasi_timer_running(w->timer));
}

/* Forgets one that does not run any more. */
static void model_forget(struct model *m, struct waiting *w)
{
    REQUIRE(!faasi_timer_running(w->timer));
    memset(w->timer, 0xdd, sizeof *w->timer);
    free(w->timer);
    *w = m->waiting[--m->count];
}

static uint64_t model_due(struct model *m)
{
    uint64_t ahead = random_wide(&m->random, random_below(&m->random, 64) == 0 ? 64 : 45);

    switch (random_below(&m->random, 8)) {
    case 0:
        return m->now_ns - (ahead > m->now_ns ? m->now_ns : ahead);
    case 1: /* one that another has */
        if (m->count != 0)
            return m->waiting[random_below(&m->random, m->count)].timer->due_ns;
        return m->now_ns;
    case 2: /* at the beginning of a slot */
        ahead = random_below(&m->random, 5) * 6;
        return (((m->now_ns / MS >> ahead) + 1) << ahead) * MS;
    default:
        return m->now_ns + ahead < ahead ? UINT64_MAX : m->now_ns + ahead;
    }
}

static void model_compare_next(struct model *m)
{
    const struct waiting *first = model_first(m);
    uint64_t next = faasi_timers_next(&wheel);

    if (first == NULL || first->tick > LAST_TICK)
        REQUIRE(next == FAAS_FOREVER);
    else
        REQUIRE(next <= first->tick * MS);
}

static void model_expire(struct model *m, uint64_t calls)
{
    while (calls-- > 0) {
        struct faasi_timer *timer = faasi_timers_expire(&wheel, m->now_ns);
        struct waiting *first = model_first(m);

        if (timer != NULL) {
            REQUIRE(first != NULL);
            REQUIRE(timer == first->timer);
            REQUIRE(first->tick * MS <= m->now_ns);
            model_forget(m, first);
        } else if (!next_has_come(m->now_ns)) {
            REQUIRE(first == NULL || first->tick > m->now_ns / MS);
            break;
        }
        model_compare_next(m);
    }
}

static void model_jump(struct model *m)
{
    uint64_t next = faasi_timers_next(&wheel);
    uint64_t jump = random_wide(&m->random, 46);

    if (random_below(&m->random, 2) == 0 && next != FAAS_FOREVER) {
        if (next > m->now_ns)
            m->now_ns = next;
    } else if (jump <= UINT64_MAX - m->now_ns) {
        m->now_ns += jump;
    }
}

static void model_step(struct model *m, size_t count_max)
{
    struct waiting *any = &m->waiting[random_below(&m->random, m->count + 1)];
    uint64_t what = random_below(&m->random, 16);

    if (what < 8 && m->count < count_max) {
        struct waiting *w = &m->waiting[m->count];
        uint64_t due = model_due(m);

        w->timer = calloc(1, sizeof *w->timer);
        REQUIRE(w->timer != NULL);
        m->count++;
        model_enter(m, w, due);
    } else if (what < 10 && any < m->waiting + m->count) {
        model_enter(m, any, model_due(m));
    } else if (what < 11 && any < m->waiting + m->count) {
        faasi_timer_stop(&wheel, any->timer);
        model_forget(m, any);
    } else if (what < 13) {
        model_jump(m);
    } else {
        model_expire(m, random_below(&m->random, 4) == 0 ? UINT64_MAX : 1);
    }
    model_compare_next(m);
}

static void model_run(uint64_t seed, size_t count_max, unsigned steps)
{
    static struct model m;

    seed_now = seed;
    m = (struct model){.random = seed};
    m.now_ns = random_wide(&m.random, 63);
    faasi_timers_init(&wheel, m.now_ns);
    for (unsigned step = 0; step < steps; step++)
        model_step(&m, count_max);
    m.now_ns = UINT64_MAX;
    model_expire(&m, UINT64_MAX);
    while (m.count != 0) {
        REQUIRE(m.waiting[0].tick > LAST_TICK);
        faasi_timer_stop(&wheel, m.waiting[0].timer);
        model_forget(&m, &m.waiting[0]);
    }
}

START_TEST(few_timers_behave_as_a_sorted_list_whatever_is_done)
{
    for (uint64_t seed = 0; seed < 100000; seed++)
        model_run(seed, 12, 150);
}
END_TEST

START_TEST(many_timers_behave_as_a_sorted_list_whatever_is_done)
{
    for (uint64_t seed = 0; seed < 500; seed++)
        model_run(seed, FAASI_COUNT(((struct model *)0)->waiting), 2500);
}
END_TEST

SUITE_MAIN("timer", a_timer_comes_at_the_first_tick_that_is_not_before_its_instant,
           timers_come_by_their_ticks_after_one_jump,
           timers_of_one_tick_come_in_the_order_they_were_started,
           an_instant_in_the_past_comes_with_the_next_call,
           time_goes_on_while_nothing_is_due,
           a_timer_answered_by_one_without_delay_comes_again_in_the_same_loop,
           a_stopped_timer_never_comes_wherever_it_stood,
           stopping_a_timer_that_does_not_run_does_nothing,
           starting_a_timer_that_runs_moves_it,
           what_is_started_between_two_calls_takes_its_place,
           the_last_tick_can_be_reached_and_forever_cannot,
           a_time_earlier_than_one_told_before_does_not_turn_the_wheel_back,
           next_leads_to_a_timer_in_eight_steps_and_is_never_late,
           next_is_exact_within_the_block_of_64_ticks,
           nothing_is_lost_where_a_level_wraps_around,
           a_jump_costs_what_is_moved_and_not_what_is_skipped, one_call_moves_few_timers,
           order_survives_what_is_started_and_stopped_while_a_slot_is_half_moved,
           a_million_timers_take_24_bytes_each_and_come_in_order,
           few_timers_behave_as_a_sorted_list_whatever_is_done,
           many_timers_behave_as_a_sorted_list_whatever_is_done)

/* SPDX-License-Identifier: MIT */
/* test_lanes.c - what waits is served by priority, tenant, function and group as lanes.h
 * says, in examples, and step by step against a model of lists that are searched. */
#include "support.h"

#include "core/lanes.h"

#define MS UINT64_C(1000000)
#define AGEING (100 * MS)

static struct faulty memory;
static const faas_allocator alloc = {faulty_alloc, faulty_free, &memory};
static struct faasi_lanes lanes;
static struct faasi_source fns[4];
static uint64_t now_ns;

/* What waits in the examples: a letter says which. */
struct thing {
    struct faasi_item item;
    char name;
};

/* No thing's name. */
enum { NONE = 127 };

static struct thing things[127];

static void lanes_open(void)
{
    now_ns = MS;
    ck_assert_ok(faasi_lanes_init(&lanes, AGEING, &alloc));
    for (size_t i = 0; i < 4; i++)
        faasi_source_init(&fns[i]);
    for (int i = 0; i < 127; i++)
        things[i].name = (char)i;
}

static void lanes_close(void)
{
    for (size_t i = 0; i < 4; i++) {
        ck_assert_uint_eq(fns[i].count, 0);
        ck_assert_uint_eq(fns[i].ready, 0);
    }
    ck_assert_uint_eq(lanes.tenants.count, 0);
    ck_assert_uint_eq(lanes.lanes.count, 0);
    ck_assert_uint_eq(lanes.groups.count, 0);
    ck_assert(!faasi_lanes_ready(&lanes));
    ck_assert_ptr_null(faasi_lanes_pop(&lanes, now_ns));
    for (size_t i = 0; i < 4; i++)
        faasi_source_fini(&lanes, &fns[i]);
    faasi_lanes_fini(&lanes);
    ck_assert_uint_eq(atomic_load(&memory.live_blocks), 0);
}

/* Pushes a thing to a place; the first function and weight 1 if none is said. */
static faas_status push(char what, struct faasi_lane_key place)
{
    if (place.source == NULL)
        place.source = &fns[0];
    if (place.weight == 0)
        place.weight = 1;
    return faasi_lanes_push(&lanes, &things[(int)what].item, &place, now_ns);
}

#define PUSH(what, ...) ck_assert_ok(push((char)(what), PLACE(__VA_ARGS__)))
#define PLACE(...) ((struct faasi_lane_key){__VA_ARGS__})

#define TENANT(text) .tenant = {(text), sizeof(text) - 1}
#define GROUP(text) .group = {(text), sizeof(text) - 1}

/* The name of the next one, or NONE. */
static char pop(void)
{
    bool ready = faasi_lanes_ready(&lanes);
    struct faasi_item *item = faasi_lanes_pop(&lanes, now_ns);

    ck_assert(ready == (item != NULL));
    return item == NULL ? NONE : ((struct thing *)(void *)item)->name;
}

static void done(char what)
{
    faasi_lanes_done(&lanes, &things[(int)what].item, true, now_ns);
}

static void give_up(char what)
{
    faasi_lanes_done(&lanes, &things[(int)what].item, false, now_ns);
}

static void again(char what, bool first)
{
    faasi_lanes_again(&lanes, &things[(int)what].item, first, now_ns);
}

/* Pops and ends one after the other: all of them must come, in this order. */
static void serves(const char *order)
{
    for (; *order != '\0'; order++) {
        ck_assert_int_eq(pop(), *order);
        done(*order);
    }
}

START_TEST(a_lane_is_first_in_first_out)
{
    lanes_open();
    for (const char *at = "abcdefgh"; *at != '\0'; at++)
        PUSH(*at);
    serves("abcdefgh");
    ck_assert_int_eq(pop(), NONE);
    lanes_close();
}
END_TEST

START_TEST(levels_go_before_those_below)
{
    lanes_open();
    PUSH('l', .level = 2);
    PUSH('n', .level = 1);
    PUSH('h', .level = 0);
    PUSH('H', .level = 0);
    ck_assert_int_eq(pop(), 'h');
    PUSH('g', .level = 0);
    serves("Hgnl");
    done('h');
    lanes_close();
}
END_TEST

START_TEST(a_level_that_has_waited_for_the_ageing_time_goes_before_those_above_once)
{
    lanes_open();
    for (const char *at = "abcdef"; *at != '\0'; at++)
        PUSH(*at, .level = 0);
    PUSH('x', .level = 2);
    PUSH('y', .level = 2);
    now_ns += AGEING - 1;
    serves("a");
    now_ns += 1;
    serves("xb");
    /* Its time began anew when it was served. */
    now_ns += AGEING - 1;
    serves("c");
    now_ns += 1;
    serves("ydef");
    lanes_close();
}
END_TEST

START_TEST(the_level_that_has_waited_for_longest_goes_first_of_those_that_did)
{
    lanes_open();
    PUSH('n', .level = 1);
    now_ns += 1;
    PUSH('l', .level = 2);
    now_ns += 2 * AGEING;
    PUSH('a', .level = 0);
    PUSH('b', .level = 0);
    PUSH('c', .level = 0);
    serves("nalbc");
    lanes_close();
}
END_TEST

START_TEST(the_first_level_keeps_half_when_items_take_longer_than_the_ageing_time)
{
    char order[25] = "";

    lanes_open();
    for (int i = 0; i < 24; i++) {
        PUSH(i, .level = 0);
        PUSH(32 + i, .level = 1);
        PUSH(64 + i, .level = 2);
    }
    for (int i = 0; i < 24; i++) {
        char next;

        now_ns += 3 * AGEING;
        next = pop();
        order[i] = (char)('0' + next / 32);
        done(next);
    }
    ck_assert_str_eq(order, "201020102010201020102010");
    for (char next; (next = pop()) != NONE;)
        done(next);
    lanes_close();
}
END_TEST

START_TEST(a_level_without_work_does_not_age)
{
    lanes_open();
    PUSH('x', .level = 2);
    serves("x");
    now_ns += 10 * AGEING;
    PUSH('y', .level = 2);
    PUSH('a', .level = 0);
    serves("ay");
    lanes_close();
}
END_TEST

/* Who of some tenants, named by their letter, is served when all have much to do. */
static void tenants_push(char tenant, uint32_t weight, int from, int count)
{
    for (int i = from; i < from + count; i++)
        PUSH(i, .weight = weight, .tenant = {&tenant, 1});
}

START_TEST(tenants_take_turns)
{
    lanes_open();
    tenants_push('a', 1, 0, 30);
    tenants_push('b', 1, 30, 3);
    tenants_push('c', 1, 60, 2);
    for (int i = 0; i < 3; i++)
        for (int t = 0; t < 3; t++)
            if (t != 2 || i < 2) {
                ck_assert_int_eq(pop(), t * 30 + i);
                done((char)(t * 30 + i));
            }
    for (int i = 3; i < 30; i++) {
        ck_assert_int_eq(pop(), i);
        done((char)i);
    }
    lanes_close();
}
END_TEST

START_TEST(tenants_share_by_their_weights_in_every_round)
{
    int served[3] = {0}, bounds[3] = {64, 96, 128};

    lanes_open();
    tenants_push('a', 4, 0, 64);
    tenants_push('b', 2, 64, 32);
    tenants_push('c', 1, 96, 16);
    for (int i = 1; i <= 7 * 16; i++) {
        char next = pop();
        int t = 0;

        while (next >= bounds[t])
            t++;
        served[t]++;
        done(next);
        if (i % 7 == 0) {
            ck_assert_int_eq(served[0] * 7, 4 * i);
            ck_assert_int_eq(served[1] * 7, 2 * i);
        }
    }
    lanes_close();
}
END_TEST

START_TEST(the_last_weight_that_was_said_counts)
{
    lanes_open();
    tenants_push('a', 1, 0, 5);
    tenants_push('b', 1, 40, 5);
    tenants_push('a', 3, 5, 4);
    {
        const int expect[] = {0, 40, 1, 2, 3, 41, 4, 5, 6, 42};

        for (size_t i = 0; i < FAASI_COUNT(expect); i++) {
            ck_assert_int_eq(pop(), expect[i]);
            done((char)expect[i]);
        }
    }
    for (char next; (next = pop()) != NONE;)
        done(next);
    lanes_close();
}
END_TEST

START_TEST(who_has_had_no_work_has_saved_nothing_up)
{
    lanes_open();
    PUSH('z', TENANT("late"));
    serves("z");
    tenants_push('b', 1, 0, 40);
    for (int i = 0; i < 30; i++) {
        ck_assert_int_eq(pop(), i);
        done((char)i);
    }
    for (const char *at = "vwxy"; *at != '\0'; at++)
        PUSH(*at, TENANT("late"));
    /* At once, and then in turn. */
    serves("v\x1ew\x1fx");
    for (char next; (next = pop()) != NONE;)
        done(next);
    lanes_close();
}
END_TEST

START_TEST(a_tenant_that_leaves_and_comes_again_does_not_get_ahead)
{
    int mine = 0;

    lanes_open();
    tenants_push('b', 1, 0, 40);
    PUSH('A', TENANT("A"));
    for (int i = 0; i < 40; i++) {
        char next = pop();

        done(next); // of "A" the last item: the tenant is forgotten
        if (next == 'A')
            PUSH('A', TENANT("A"));
        mine += next == 'A';
    }
    ck_assert_int_eq(mine, 20);
    for (char next; (next = pop()) != NONE;)
        done(next);
    lanes_close();
}
END_TEST

START_TEST(a_stream_of_new_tenants_does_not_starve_an_old_one)
{
    int old = 0;

    lanes_open();
    tenants_push('b', 1, 0, 30);
    PUSH(100, .tenant = {"\0\0\0", 4});
    for (int i = 1; i < 40; i++) {
        char next = pop();

        done(next);
        old += next < 100;
        if (next >= 100)
            PUSH(next, .tenant = {&i, sizeof i});
    }
    ck_assert_int_ge(old, 19);
    for (char next; (next = pop()) != NONE;)
        done(next);
    lanes_close();
}
END_TEST

START_TEST(functions_of_a_tenant_take_turns)
{
    lanes_open();
    PUSH('a', .source = &fns[0]);
    PUSH('b', .source = &fns[0]);
    PUSH('c', .source = &fns[0]);
    PUSH('x', .source = &fns[1]);
    PUSH('y', .source = &fns[1]);
    serves("axbyc");
    lanes_close();
}
END_TEST

/* The name of a function's next one, or NONE. */
static char pop_of(struct faasi_source *source)
{
    struct faasi_item *item = faasi_lanes_pop_of(&lanes, source, now_ns);

    return item == NULL ? NONE : ((struct thing *)(void *)item)->name;
}

START_TEST(a_function_can_be_asked_for_its_next_ones_and_its_tenants_pay)
{
    static const char order[] = "Habcd";

    lanes_open();
    PUSH('a', TENANT("t"), .level = 1);
    PUSH('b', TENANT("u"), .level = 1);
    PUSH('c', TENANT("t"), .level = 1);
    PUSH('x', TENANT("v"), .level = 1, .source = &fns[1]);
    PUSH('y', TENANT("t"), .level = 1, .source = &fns[1]);
    PUSH('z', TENANT("t"), .level = 1, .source = &fns[1]);
    PUSH('d', TENANT("t"), .level = 1, .weight = 2);
    PUSH('H', .level = 0);
    PUSH('X', .level = 1, .source = &fns[1]);
    ck_assert_uint_eq(fns[0].ready, 5);
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(pop_of(&fns[0]), order[i]);
    ck_assert_int_eq(pop_of(&fns[0]), NONE);
    ck_assert_uint_eq(fns[0].ready, 0);
    for (int i = 0; i < 5; i++)
        done(order[i]);
    serves("xXyz"); // who was served out of turn waits for so much longer
    lanes_close();
}
END_TEST

START_TEST(what_a_function_is_asked_for_gives_one_of_a_group)
{
    lanes_open();
    PUSH('a', GROUP("g"));
    PUSH('b', GROUP("g"));
    PUSH('c', GROUP("h"));
    ck_assert_int_eq(pop(), 'a');
    ck_assert_uint_eq(fns[0].ready, 1);
    ck_assert_int_eq(pop_of(&fns[0]), 'c');
    ck_assert_int_eq(pop_of(&fns[0]), NONE);
    again('a', true);
    give_up('b');
    ck_assert_int_eq(pop_of(&fns[0]), 'a');
    done('c');
    done('a');
    lanes_close();
}
END_TEST

START_TEST(tenants_are_compared_whole)
{
    lanes_open();
    PUSH('a', TENANT("x"));
    PUSH('b', TENANT("x"));
    PUSH('c', TENANT("x\0y"));
    PUSH('d', TENANT("x\0z"));
    PUSH('e', .tenant = {NULL, 0});
    PUSH('f', .tenant = {"", 0});
    ck_assert_uint_eq(lanes.tenants.count, 3); // and the one without a name
    serves("acdebf");
    lanes_close();
}
END_TEST

START_TEST(of_a_group_one_is_out_at_a_time_in_their_order)
{
    lanes_open();
    PUSH('a', GROUP("g"));
    PUSH('b', GROUP("g"));
    PUSH('c', GROUP("g"));
    PUSH('x', GROUP("h"));
    PUSH('u');
    ck_assert_int_eq(pop(), 'a');
    ck_assert_int_eq(pop(), 'x');
    ck_assert_int_eq(pop(), 'u');
    ck_assert_int_eq(pop(), NONE);
    ck_assert_uint_eq(fns[0].count, 5);
    done('a');
    ck_assert_int_eq(pop(), 'b');
    ck_assert_int_eq(pop(), NONE);
    done('x');
    ck_assert_int_eq(pop(), NONE);
    done('b');
    serves("c");
    done('u');
    lanes_close();
}
END_TEST

START_TEST(a_group_is_one_of_its_function)
{
    lanes_open();
    PUSH('a', GROUP("g"));
    PUSH('b', GROUP("g"), .source = &fns[1]);
    PUSH('c', GROUP(""));
    PUSH('d', GROUP(""));
    ck_assert_uint_eq(lanes.groups.count, 3);
    ck_assert_int_eq(pop(), 'a');
    ck_assert_int_eq(pop(), 'b');
    ck_assert_int_eq(pop(), 'c');
    ck_assert_int_eq(pop(), NONE);
    done('a');
    done('b');
    done('c');
    serves("d");
    lanes_close();
}
END_TEST

START_TEST(a_group_may_span_tenants_and_levels)
{
    lanes_open();
    PUSH('a', GROUP("g"), TENANT("t"), .level = 2);
    PUSH('b', GROUP("g"), TENANT("u"), .level = 0);
    PUSH('c', GROUP("g"), TENANT("t"), .level = 1);
    PUSH('n', .level = 1);
    serves("nabc");
    lanes_close();
}
END_TEST

START_TEST(a_head_that_is_put_back_keeps_its_group_waiting)
{
    lanes_open();
    PUSH('a', GROUP("g"));
    PUSH('b', GROUP("g"));
    PUSH('u');
    PUSH('v');
    ck_assert_int_eq(pop(), 'a');
    again('a', true);
    ck_assert_int_eq(pop(), 'a');
    again('a', false);
    serves("uvab");
    lanes_close();
}
END_TEST

START_TEST(putting_back_into_a_lane_that_has_become_empty_makes_it_ready)
{
    lanes_open();
    for (int first = 0; first < 2; first++) {
        PUSH('a');
        ck_assert_int_eq(pop(), 'a');
        ck_assert(!faasi_lanes_ready(&lanes));
        again('a', first);
        ck_assert(faasi_lanes_ready(&lanes));
        PUSH('b');
        serves("ab");
    }
    lanes_close();
}
END_TEST

START_TEST(what_waits_can_be_given_up_wherever_it_stands)
{
    lanes_open();
    for (const char *at = "abcd"; *at != '\0'; at++)
        PUSH(*at, GROUP("g"));
    PUSH('u');
    give_up('c'); // behind the head
    give_up('a'); // the head, in its lane
    ck_assert_int_eq(pop(), 'u');
    ck_assert_int_eq(pop(), 'b');
    give_up('d'); // behind one that is out
    done('b');
    ck_assert_int_eq(pop(), NONE);
    PUSH('e', GROUP("g"));
    give_up('e'); // the only one
    ck_assert_int_eq(pop(), NONE);
    done('u');
    lanes_close();
}
END_TEST

START_TEST(one_can_be_picked_out_of_turn)
{
    lanes_open();
    for (const char *at = "abc"; *at != '\0'; at++)
        PUSH(*at);
    faasi_lanes_pick(&lanes, &things['b'].item, now_ns);
    ck_assert_int_eq(pop(), 'a');
    ck_assert_int_eq(pop(), 'c');
    ck_assert_int_eq(pop(), NONE);
    again('b', true);
    serves("b");
    done('a');
    PUSH('d');
    faasi_lanes_pick(&lanes, &things['d'].item, now_ns);
    ck_assert(!faasi_lanes_ready(&lanes));
    done('d');
    done('c');
    lanes_close();
}
END_TEST

START_TEST(a_blocked_function_keeps_its_items_and_lets_others_by)
{
    lanes_open();
    PUSH('a', .level = 1);
    PUSH('b', .level = 1);
    PUSH('x', .level = 1, .source = &fns[1]);
    PUSH('h', .level = 0);
    faasi_lanes_block(&lanes, &fns[0], true, now_ns);
    faasi_lanes_block(&lanes, &fns[0], true, now_ns);
    ck_assert_int_eq(pop(), 'x');
    ck_assert_int_eq(pop(), NONE);
    PUSH('c', .level = 1);
    PUSH('d', .level = 1, TENANT("t"));
    ck_assert(!faasi_lanes_ready(&lanes));
    give_up('a'); // from a lane that was put aside
    faasi_lanes_block(&lanes, &fns[0], false, now_ns);
    faasi_lanes_block(&lanes, &fns[0], false, now_ns);
    serves("hdbc");
    done('x');
    lanes_close();
}
END_TEST

START_TEST(blocking_what_has_nothing_counts_when_it_gets_something)
{
    lanes_open();
    faasi_lanes_block(&lanes, &fns[0], true, now_ns);
    PUSH('a');
    ck_assert(!faasi_lanes_ready(&lanes));
    give_up('a');
    faasi_lanes_block(&lanes, &fns[0], false, now_ns);
    ck_assert(!faasi_lanes_ready(&lanes));
    PUSH('b');
    serves("b");
    lanes_close();
}
END_TEST

START_TEST(idle_tenants_lanes_and_groups_take_no_memory)
{
    enum { GROUPS = 5000 };
    static struct faasi_item items[GROUPS];
    size_t blocks, bytes;

    lanes_open();
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < GROUPS; i++) {
            struct faasi_lane_key place = {.source = &fns[i % 4],
                                           .weight = 1,
                                           .level = (uint32_t)i % 3,
                                           .tenant = {&i, sizeof i},
                                           .group = {&i, sizeof i}};

            ck_assert_ok(faasi_lanes_push(&lanes, &items[i], &place, now_ns));
        }
        for (int i = 0; i < GROUPS; i++) {
            struct faasi_item *item = faasi_lanes_pop(&lanes, now_ns);

            ck_assert_ptr_nonnull(item);
            faasi_lanes_done(&lanes, item, true, now_ns);
        }
        /* What stays are three tables, three heaps and the tenant without a name, and they
         * do not grow again. */
        if (round == 0) {
            blocks = atomic_load(&memory.live_blocks);
            bytes = atomic_load(&memory.live_bytes);
            ck_assert_uint_le(blocks, 7);
        } else {
            ck_assert_uint_eq(atomic_load(&memory.live_blocks), blocks);
            ck_assert_uint_eq(atomic_load(&memory.live_bytes), bytes);
        }
    }
    lanes_close();
}
END_TEST

START_TEST(every_allocation_may_fail)
{
    unsigned fail_at = 1;

    for (bool failed = true; failed; fail_at++) {
        memory = (struct faulty){.fail_at = fail_at};
        failed = false;
        if (faasi_lanes_init(&lanes, AGEING, &alloc) != FAAS_OK) {
            failed = true;
            ck_assert_uint_eq(atomic_load(&memory.live_blocks), 0);
            continue;
        }
        for (int i = 0; i < 4; i++)
            faasi_source_init(&fns[i]);
        for (int i = 0; i < 100; i++) { // over the size of the tables and heaps
            struct faasi_lane_key place = {.source = &fns[0],
                                           .weight = 1,
                                           .level = 0,
                                           .tenant = {&i, sizeof i},
                                           .group = {&i, sizeof i}};
            size_t tenants = lanes.tenants.count, all = lanes.lanes.count;
            faas_status status = faasi_lanes_push(&lanes, &things[i].item, &place, 0);

            if (status != FAAS_OK) {
                ck_assert_status(status, FAAS_ENOMEM);
                ck_assert_uint_eq(lanes.tenants.count, tenants);
                ck_assert_uint_eq(lanes.lanes.count, all);
                ck_assert_uint_eq(fns[0].count, (unsigned)i);
                ck_assert_ok(faasi_lanes_push(&lanes, &things[i].item, &place, 0));
            }
        }
        failed = atomic_load(&memory.failures) != 0;
        for (int i = 0; i < 100; i++) {
            struct faasi_item *item = faasi_lanes_pop(&lanes, 0);

            ck_assert_ptr_eq(item, &things[i].item);
            faasi_lanes_done(&lanes, item, true, 0);
        }
        lanes_close();
    }
    ck_assert_uint_gt(fail_at, 300);
}
END_TEST

START_TEST(a_refused_push_changes_no_weight)
{
    lanes_open();
    tenants_push('a', 1, 0, 4);
    tenants_push('b', 1, 40, 4);
    memory.fail_at = atomic_load(&memory.calls) + 1;
    ck_assert_status(push(9, PLACE(.weight = 100, TENANT("a"), GROUP("g"))), FAAS_ENOMEM);
    memory.fail_at = 0;
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(pop(), i);
        ck_assert_int_eq(pop(), 40 + i);
        done((char)i);
        done((char)(40 + i));
    }
    lanes_close();
}
END_TEST

/* ---- the model ----
 *
 * The same rules over lists that are searched from end to end: no links, no heap, no
 * counts, nothing found by a hash. */

enum { TENANTS = 10, SOURCES = 3, GROUPS = 3, ITEMS = 48, STEPS = 300 };

#ifdef __SANITIZE_THREAD__
enum { SEEDS = 1000 };
#else
enum { SEEDS = 10000 };
#endif

enum where { FREE, WAITS, BEHIND, OUT };

struct model_item {
    enum where where;
    int tenant, source, level, group; /* group -1: none */
};

struct model_turn {            /* of a tenant on a level */
    int lanes[SOURCES], count; /* to serve, whose turn it is first */
    uint64_t time, order;
    bool waits;
};

struct model {
    struct model_item items[ITEMS];
    int lane[TENANTS][SOURCES][FAASI_LEVELS][ITEMS]; /* in their order */
    int lane_count[TENANTS][SOURCES][FAASI_LEVELS];
    int group[SOURCES][GROUPS][ITEMS]; /* the head first, and it may be out */
    int group_count[SOURCES][GROUPS];
    struct model_turn turns[TENANTS][FAASI_LEVELS];
    uint32_t weights[TENANTS];
    struct {
        uint64_t time, order, since;
    } levels[FAASI_LEVELS];
    bool blocked[SOURCES];
    int aside[SOURCES][TENANTS * FAASI_LEVELS], aside_count[SOURCES];
    bool aged;
};

static struct model m;
static struct faasi_item real[ITEMS];
static uint64_t seed_now, random_state;

#define REQUIRE(x)                                                                       \
    do {                                                                                 \
        if (!(x))                                                                        \
            ck_abort_msg("%s is false; seed %lu", #x, (unsigned long)seed_now);          \
    } while (0)

static uint32_t random_below(uint32_t bound)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((random_state >> 33) % bound);
}

static void list_add(int *list, int *count, int at, int value)
{
    memmove(list + at + 1, list + at, (size_t)(*count - at) * sizeof *list);
    list[at] = value;
    ++*count;
}

static bool list_drop(int *list, int *count, int value)
{
    for (int i = 0; i < *count; i++)
        if (list[i] == value) {
            memmove(list + i, list + i + 1, (size_t)(*count - i - 1) * sizeof *list);
            --*count;
            return true;
        }
    return false;
}

static bool model_tenant_exists(int tenant)
{
    for (int i = 0; i < ITEMS; i++)
        if (m.items[i].where != FREE && m.items[i].tenant == tenant)
            return true;
    return false;
}

static bool model_level_waits(int level)
{
    for (int t = 0; t < TENANTS; t++)
        if (m.turns[t][level].waits)
            return true;
    return false;
}

/* A lane joins its tenant's turn. */
static void model_lane_join(int tenant, int source, int level)
{
    struct model_turn *turn = &m.turns[tenant][level];

    list_add(turn->lanes, &turn->count, turn->count, source);
    if (turn->waits)
        return;
    if (!model_level_waits(level))
        m.levels[level].since = now_ns;
    if (turn->time < m.levels[level].time)
        turn->time = m.levels[level].time;
    turn->waits = true;
    turn->order = m.levels[level].order++;
}

static void model_lane_leave(int tenant, int source, int level)
{
    struct model_turn *turn = &m.turns[tenant][level];

    if (list_drop(turn->lanes, &turn->count, source))
        turn->waits = turn->count != 0;
    else
        REQUIRE(list_drop(m.aside[source], &m.aside_count[source],
                          tenant * FAASI_LEVELS + level));
}

static void model_insert(int i, bool first)
{
    struct model_item *item = &m.items[i];
    int *count = &m.lane_count[item->tenant][item->source][item->level];

    item->where = WAITS;
    list_add(m.lane[item->tenant][item->source][item->level], count, first ? 0 : *count,
             i);
    if (*count == 1)
        model_lane_join(item->tenant, item->source, item->level);
}

static void model_remove(int i)
{
    struct model_item *item = &m.items[i];
    int *count = &m.lane_count[item->tenant][item->source][item->level];

    item->where = OUT;
    REQUIRE(list_drop(m.lane[item->tenant][item->source][item->level], count, i));
    if (*count == 0)
        model_lane_leave(item->tenant, item->source, item->level);
}

static void model_push(int i, const struct model_item *item, uint32_t weight)
{
    if (!model_tenant_exists(item->tenant))
        memset(m.turns[item->tenant], 0, sizeof m.turns[0]);
    m.items[i] = *item;
    m.weights[item->tenant] = weight;
    if (item->group >= 0) {
        int *count = &m.group_count[item->source][item->group];

        list_add(m.group[item->source][item->group], count, *count, i);
        if (*count > 1) {
            m.items[i].where = BEHIND;
            return;
        }
    }
    model_insert(i, false);
}

static void model_done(int i)
{
    struct model_item *item = &m.items[i];
    int *list, *count;

    if (item->where == WAITS)
        model_remove(i);
    item->where = FREE;
    if (item->group < 0)
        return;
    list = m.group[item->source][item->group];
    count = &m.group_count[item->source][item->group];
    if (list[0] != i) {
        REQUIRE(list_drop(list, count, i));
    } else {
        REQUIRE(list_drop(list, count, i));
        if (*count != 0) {
            item->where = OUT; // its tenant is there until the next one stands
            model_insert(list[0], false);
            item->where = FREE;
        }
    }
}

/* Whether a tenant's turn on a level comes before another one's. */
static bool model_before(int tenant, int other, int level)
{
    const struct model_turn *a = &m.turns[tenant][level], *b = &m.turns[other][level];

    return a->time < b->time || (a->time == b->time && a->order < b->order);
}

/* Takes the first item of a tenant's lane, at its expense. */
static int model_take(int tenant, int source, int level)
{
    int item = m.lane[tenant][source][level][0];
    struct model_turn *turn = &m.turns[tenant][level];
    bool in_turn = true;

    for (int t = 0; t < TENANTS; t++)
        if (t != tenant && m.turns[t][level].waits && model_before(t, tenant, level))
            in_turn = false;
    turn->time += 1000000 / m.weights[tenant];
    if (in_turn)
        m.levels[level].time = turn->time - 1;
    m.levels[level].since = now_ns;
    list_drop(turn->lanes, &turn->count, source);
    list_add(turn->lanes, &turn->count, turn->count, source);
    turn->order = m.levels[level].order++;
    model_remove(item);
    return item;
}

/* The tenant whose turn it is, or -1; what is blocked is put aside on the way. */
static int model_level_next(int level)
{
    for (;;) {
        int next = -1, source;

        for (int t = 0; t < TENANTS; t++) {
            if (m.turns[t][level].waits && (next < 0 || model_before(t, next, level)))
                next = t;
        }
        if (next < 0)
            return -1;
        source = m.turns[next][level].lanes[0];
        if (!m.blocked[source])
            return next;
        model_lane_leave(next, source, level);
        list_add(m.aside[source], &m.aside_count[source], m.aside_count[source],
                 next * FAASI_LEVELS + level);
    }
}

static bool model_ready(void)
{
    for (int i = 0; i < ITEMS; i++)
        if (m.items[i].where == WAITS && !m.blocked[m.items[i].source])
            return true;
    return false;
}

static int model_pop(void)
{
    int next[FAASI_LEVELS], first = -1, oldest = -1, level;

    if (!model_ready())
        return -1;
    for (int l = FAASI_LEVELS - 1; l >= 0; l--)
        next[l] = model_level_next(l);
    for (int l = 0; l < FAASI_LEVELS; l++) {
        if (next[l] < 0)
            continue;
        if (first < 0)
            first = l;
        if (now_ns - m.levels[l].since >= AGEING &&
            (oldest < 0 || m.levels[l].since <= m.levels[oldest].since))
            oldest = l;
    }
    m.aged = oldest >= 0 && oldest != first && !m.aged;
    level = m.aged ? oldest : first;
    return model_take(next[level], m.turns[next[level]][level].lanes[0], level);
}

/* The next one of a source that is not blocked, whoever's turn it is; or -1. */
static int model_pop_of(int source)
{
    for (int level = 0; level < FAASI_LEVELS; level++) {
        int next = -1;

        for (int t = 0; t < TENANTS; t++)
            if (m.lane_count[t][source][level] != 0 &&
                (next < 0 || model_before(t, next, level)))
                next = t;
        if (next >= 0)
            return model_take(next, source, level);
    }
    return -1;
}

static void model_block(int source, bool blocked)
{
    m.blocked[source] = blocked;
    while (!blocked && m.aside_count[source] > 0) {
        int at = m.aside[source][0];

        list_drop(m.aside[source], &m.aside_count[source], at);
        model_lane_join(at / FAASI_LEVELS, source, at % FAASI_LEVELS);
    }
}

/* Any item that stands there, or -1. */
static int item_of(enum where where)
{
    int at = (int)random_below(ITEMS);

    for (int i = 0; i < ITEMS; i++, at = (at + 1) % ITEMS)
        if (m.items[at].where == where)
            return at;
    return -1;
}

static void step_push(bool may_fail)
{
    static const char *const tenants[TENANTS] = {"",  "a", "aa", "b", "c",
                                                 "d", "e", "f",  "g", "h"};
    static const char *const groups[GROUPS] = {"", "g", "gg"};
    struct model_item item = {.tenant = (int)random_below(TENANTS),
                              .source = (int)random_below(SOURCES),
                              .level = (int)random_below(FAASI_LEVELS),
                              .group = (int)random_below(GROUPS + 2) - 2};
    uint32_t weight = random_below(4) == 0 ? 1 + random_below(1000) : 1;
    struct faasi_lane_key place = {.source = &fns[item.source],
                                   .tenant = faas_str(tenants[item.tenant]),
                                   .weight = weight,
                                   .level = (uint32_t)item.level};
    int i = item_of(FREE);

    if (i < 0)
        return;
    if (item.group < 0)
        item.group = -1;
    else
        place.group = faas_str(groups[item.group]);
    if (may_fail && random_below(4) == 0)
        memory.fail_at = atomic_load(&memory.calls) + 1 + random_below(3);
    if (faasi_lanes_push(&lanes, &real[i], &place, now_ns) == FAAS_OK)
        model_push(i, &item, weight);
    else
        REQUIRE(may_fail);
    memory.fail_at = 0;
}

static void step_pop(void)
{
    struct faasi_item *item;
    int i;

    REQUIRE(faasi_lanes_ready(&lanes) == model_ready());
    item = faasi_lanes_pop(&lanes, now_ns);
    i = model_pop();
    REQUIRE((item == NULL) == (i < 0));
    REQUIRE(item == NULL || item == &real[i]);
}

static void step_pop_of(void)
{
    int source = (int)random_below(SOURCES), i;
    struct faasi_item *item;
    uint32_t ready = 0;

    if (m.blocked[source])
        return;
    for (int at = 0; at < ITEMS; at++)
        ready += m.items[at].where == WAITS && m.items[at].source == source;
    REQUIRE(fns[source].ready == ready);
    item = faasi_lanes_pop_of(&lanes, &fns[source], now_ns);
    i = model_pop_of(source);
    REQUIRE((item == NULL) == (i < 0));
    REQUIRE(item == NULL || item == &real[i]);
}

static void step_done(enum where where)
{
    int i = item_of(where);

    if (i < 0)
        return;
    faasi_lanes_done(&lanes, &real[i], where == OUT, now_ns);
    model_done(i);
}

static void step_again(void)
{
    int i = item_of(OUT);
    bool first = random_below(2) == 0;

    if (i < 0)
        return;
    faasi_lanes_again(&lanes, &real[i], first, now_ns);
    model_insert(i, first);
}

static void step(bool may_fail)
{
    int i, source;

    switch (random_below(17)) {
    case 0:
    case 1:
    case 2:
    case 3:
    case 4:
        step_push(may_fail);
        break;
    case 5:
    case 6:
    case 7:
    case 8:
        step_pop();
        break;
    case 9:
    case 10:
        step_done(OUT);
        break;
    case 11:
        step_again();
        break;
    case 12:
        step_done(random_below(2) == 0 ? WAITS : BEHIND);
        break;
    case 13:
        source = (int)random_below(SOURCES);
        faasi_lanes_block(&lanes, &fns[source], !m.blocked[source], now_ns);
        model_block(source, !m.blocked[source]);
        break;
    case 14:
        step_pop_of();
        break;
    case 15:
        if (random_below(4) == 0 && (i = item_of(WAITS)) >= 0) {
            faasi_lanes_pick(&lanes, &real[i], now_ns);
            model_remove(i);
        }
        break;
    default:
        now_ns += random_below(60) * MS;
    }
}

START_TEST(a_model_that_searches_lists_serves_in_the_same_order)
{
    for (seed_now = 1; seed_now <= SEEDS; seed_now++) {
        bool may_fail = seed_now % 4 == 0;

        random_state = seed_now;
        memset(&m, 0, sizeof m);
        lanes_open();
        for (int i = 0; i < STEPS; i++)
            step(may_fail);
        for (int s = 0; s < SOURCES; s++) {
            faasi_lanes_block(&lanes, &fns[s], false, now_ns);
            if (m.blocked[s])
                model_block(s, false);
        }
        while (item_of(OUT) >= 0 || model_ready()) {
            step_done(OUT);
            step_pop();
        }
        for (int i = 0; i < ITEMS; i++)
            REQUIRE(m.items[i].where == FREE);
        lanes_close();
    }
}
END_TEST

SUITE_MAIN("lanes", a_lane_is_first_in_first_out, levels_go_before_those_below,
           a_level_that_has_waited_for_the_ageing_time_goes_before_those_above_once,
           the_level_that_has_waited_for_longest_goes_first_of_those_that_did,
           the_first_level_keeps_half_when_items_take_longer_than_the_ageing_time,
           a_level_without_work_does_not_age, tenants_take_turns,
           tenants_share_by_their_weights_in_every_round,
           the_last_weight_that_was_said_counts, who_has_had_no_work_has_saved_nothing_up,
           a_tenant_that_leaves_and_comes_again_does_not_get_ahead,
           a_stream_of_new_tenants_does_not_starve_an_old_one,
           functions_of_a_tenant_take_turns,
           a_function_can_be_asked_for_its_next_ones_and_its_tenants_pay,
           what_a_function_is_asked_for_gives_one_of_a_group, tenants_are_compared_whole,
           of_a_group_one_is_out_at_a_time_in_their_order, a_group_is_one_of_its_function,
           a_group_may_span_tenants_and_levels,
           a_head_that_is_put_back_keeps_its_group_waiting,
           putting_back_into_a_lane_that_has_become_empty_makes_it_ready,
           what_waits_can_be_given_up_wherever_it_stands, one_can_be_picked_out_of_turn,
           a_blocked_function_keeps_its_items_and_lets_others_by,
           blocking_what_has_nothing_counts_when_it_gets_something,
           idle_tenants_lanes_and_groups_take_no_memory, every_allocation_may_fail,
           a_refused_push_changes_no_weight,
           a_model_that_searches_lists_serves_in_the_same_order)

/* SPDX-License-Identifier: MIT */
/* The keep-alive policies, each on its own: who goes first. */
#include "support.h"

#include "core/mem.h"
#include "core/policy.h"

#define SECOND UINT64_C(1000000000)

enum { MB = 1 << 20 };

static struct faasi_policy *open_policy(const struct faasi_policy_ops *ops,
                                        faasi_policy_looker *look, void *user)
{
    struct faasi_policy_options options = {.ops = ops,
                                           .allocator = &faasi_default_allocator,
                                           .seed = 1,
                                           .idle_ns = 10 * SECOND,
                                           .look = look,
                                           .user = user};
    struct faasi_policy *policy;

    ck_assert_ok(faasi_policy_open(&policy, &options));
    ck_assert_ok(faasi_policy_reserve(policy, 16, 16));
    for (uint32_t f = 0; f < 16; f++)
        faasi_policy_declare(policy, f, 1, MB);
    return policy;
}

static struct faasi_policy *open_named(const char *name)
{
    return open_policy(faasi_policy_find(name), NULL, NULL);
}

/* A cold start of function `f` in instance `i` that takes no time. */
static void run_cold(struct faasi_policy *policy, uint32_t i, uint32_t f, uint64_t now)
{
    faasi_policy_request(policy, f, 1, now);
    faasi_policy_start(policy, i, f, now);
    faasi_policy_idle(policy, i, 1, now);
}

static void run_warm(struct faasi_policy *policy, uint32_t i, uint64_t now)
{
    faasi_policy_request(policy, policy->instances[i].function, 1, now);
    faasi_policy_take(policy, i, now);
    faasi_policy_idle(policy, i, 1, now);
}

START_TEST(policies_are_found_by_name_and_by_place)
{
    size_t count = 0;

    for (; faasi_policy_at(count) != NULL; count++)
        ck_assert_ptr_eq(faasi_policy_find(faasi_policy_at(count)->name),
                         faasi_policy_at(count));
    ck_assert_uint_eq(count, 6);
    ck_assert_str_eq(faasi_policy_at(0)->name, "idx");
    ck_assert_ptr_null(faasi_policy_find("arc"));
    ck_assert_ptr_null(faasi_policy_find(""));
}
END_TEST

START_TEST(nothing_idle_gives_no_victim)
{
    for (size_t i = 0; faasi_policy_at(i) != NULL; i++) {
        struct faasi_policy *policy = open_policy(faasi_policy_at(i), NULL, NULL);

        ck_assert_uint_eq(faasi_policy_victim(policy, 0), FAASI_POLICY_NONE);
        faasi_policy_request(policy, 0, 1, 0);
        faasi_policy_start(policy, 3, 0, 0);
        ck_assert_uint_eq(faasi_policy_victim(policy, 1), FAASI_POLICY_NONE);
        faasi_policy_idle(policy, 3, 1, 2);
        ck_assert_uint_eq(faasi_policy_victim(policy, 3), 3);
        faasi_policy_end(policy, 3, true, 3);
        ck_assert_uint_eq(faasi_policy_victim(policy, 4), FAASI_POLICY_NONE);
        ck_assert_uint_eq(policy->refused, 0);
        faasi_policy_close(policy);
    }
}
END_TEST

START_TEST(inside_a_function_the_oldest_goes)
{
    for (size_t i = 0; faasi_policy_at(i) != NULL; i++) {
        struct faasi_policy *policy = open_policy(faasi_policy_at(i), NULL, NULL);

        if (strcmp(faasi_policy_at(i)->name, "lhd") != 0) { // looks at ages by class
            for (uint32_t k = 0; k < 3; k++) {
                faasi_policy_request(policy, 0, k + 1, k);
                faasi_policy_start(policy, k, 0, k);
            }
            faasi_policy_idle(policy, 1, 3, 10);
            faasi_policy_idle(policy, 2, 2, 20);
            faasi_policy_idle(policy, 0, 1, 30);
            ck_assert_uint_eq(faasi_policy_victim(policy, 2 * SECOND), 1);
            faasi_policy_end(policy, 1, true, 2 * SECOND);
            ck_assert_uint_eq(faasi_policy_victim(policy, 2 * SECOND), 2);
        }
        faasi_policy_close(policy);
    }
}
END_TEST

START_TEST(lru_ends_what_idles_longest)
{
    struct faasi_policy *policy = open_named("lru");

    for (uint32_t i = 0; i < 4; i++)
        run_cold(policy, i, i, i);
    run_warm(policy, 0, 10);
    ck_assert_uint_eq(faasi_policy_victim(policy, 11), 1);
    faasi_policy_take(policy, 1, 12);
    ck_assert_uint_eq(faasi_policy_victim(policy, 13), 2);
    faasi_policy_end(policy, 1, false, 14); // busy: in no list
    faasi_policy_end(policy, 3, false, 14);
    faasi_policy_end(policy, 2, true, 14);
    ck_assert_uint_eq(faasi_policy_victim(policy, 15), 0);
    ck_assert_uint_eq(faasi_policy_expired(policy, 1000 * SECOND), FAASI_POLICY_NONE);
    faasi_policy_close(policy);
}
END_TEST

START_TEST(ttl_ends_what_has_idled_for_its_time)
{
    struct faasi_policy *policy = open_named("ttl");

    run_cold(policy, 0, 0, 0);
    run_cold(policy, 1, 1, SECOND);
    ck_assert_uint_eq(faasi_policy_expired(policy, 10 * SECOND - 1), FAASI_POLICY_NONE);
    ck_assert_uint_eq(faasi_policy_expired(policy, 10 * SECOND), 0);
    run_warm(policy, 0, 10 * SECOND);
    ck_assert_uint_eq(faasi_policy_expired(policy, 11 * SECOND), 1);
    faasi_policy_end(policy, 1, false, 11 * SECOND);
    ck_assert_uint_eq(faasi_policy_expired(policy, 11 * SECOND), FAASI_POLICY_NONE);
    ck_assert_uint_eq(faasi_policy_victim(policy, 11 * SECOND), 0);
    faasi_policy_close(policy);
}
END_TEST

START_TEST(gdsf_weighs_requests_cost_and_size_and_ages)
{
    struct faasi_policy *policy = open_named("gdsf");

    faasi_policy_declare(policy, 0, 1, MB);
    faasi_policy_declare(policy, 1, 3, MB);
    faasi_policy_declare(policy, 2, 1, 4 * MB);
    for (uint32_t i = 0; i < 3; i++)
        run_cold(policy, i, i, i);
    ck_assert_uint_eq(faasi_policy_victim(policy, 10), 2); // 1/4
    for (unsigned k = 0; k < 15; k++)
        run_warm(policy, 2, 20 + k); // 16/4
    ck_assert_uint_eq(faasi_policy_victim(policy, 40), 0);
    faasi_policy_end(policy, 0, true, 40); // the clock is 1/MB now
    run_cold(policy, 0, 0, 50);            // 1 + 2
    ck_assert_uint_eq(faasi_policy_victim(policy, 60), 0);
    run_warm(policy, 0, 70); // 1 + 3 = 4
    ck_assert_uint_eq(faasi_policy_victim(policy, 80), 1);
    faasi_policy_close(policy);
}
END_TEST

START_TEST(sieve_spares_the_visited_once)
{
    struct faasi_policy *policy = open_named("sieve");

    for (uint32_t i = 0; i < 4; i++)
        run_cold(policy, i, i, i);
    run_warm(policy, 0, 10);
    run_warm(policy, 2, 11);
    ck_assert_uint_eq(faasi_policy_victim(policy, 12), 1); // 0 lost its mark
    faasi_policy_end(policy, 1, true, 12);
    ck_assert_uint_eq(faasi_policy_victim(policy, 13), 3); // the hand went on past 2
    faasi_policy_end(policy, 3, true, 13);
    ck_assert_uint_eq(faasi_policy_victim(policy, 14), 0);
    faasi_policy_end(policy, 0, true, 14);
    ck_assert_uint_eq(faasi_policy_victim(policy, 15), 2);
    faasi_policy_close(policy);
}
END_TEST

START_TEST(lhd_ends_the_least_worth_of_equals)
{
    struct faasi_policy *policy = open_named("lhd");

    faasi_policy_declare(policy, 1, 1, 2 * MB);
    for (uint32_t i = 0; i < 3; i++)
        run_cold(policy, i, i, 0);
    ck_assert_uint_eq(faasi_policy_victim(policy, SECOND), 1);
    faasi_policy_end(policy, 1, true, SECOND);
    ck_assert_uint_eq(faasi_policy_victim(policy, SECOND), 0); // a tie: the smaller one
    faasi_policy_close(policy);
}
END_TEST

START_TEST(idx_ends_the_least_worth_of_equals)
{
    struct faasi_policy *policy = open_named("idx");

    faasi_policy_declare(policy, 1, 0.5, MB);
    faasi_policy_declare(policy, 2, 1, 3 * MB);
    for (uint32_t i = 0; i < 3; i++)
        run_cold(policy, i, i, 0);
    ck_assert_uint_eq(faasi_policy_victim(policy, SECOND), 2);
    faasi_policy_end(policy, 2, true, SECOND);
    ck_assert_uint_eq(faasi_policy_victim(policy, SECOND), 1);
    faasi_policy_close(policy);
}
END_TEST

/* One is called every 5 s, another every 5 minutes. LRU would end the first, once it has
 * idled a little longer. */
START_TEST(idx_learns_how_long_gaps_are)
{
    struct faasi_policy *policy = open_named("idx");
    uint64_t now = 0;

    run_cold(policy, 0, 0, now);
    run_cold(policy, 1, 1, now);
    for (unsigned k = 0; k < 2000; k++) {
        now += 5 * SECOND;
        run_warm(policy, 0, now);
        if (k % 60 == 0)
            run_warm(policy, 1, now + SECOND);
    }
    run_warm(policy, 1, now + 2 * SECOND);
    ck_assert_uint_eq(faasi_policy_victim(policy, now + 4 * SECOND), 1);
    faasi_policy_close(policy);
}
END_TEST

/* A function called every 60 s is kept until its call is overdue, then it goes before one
 * that comes at random. */
START_TEST(idx_gives_up_what_is_overdue)
{
    struct faasi_policy *policy = open_named("idx");
    uint64_t now = 0, random = 1;

    run_cold(policy, 0, 0, 0);
    run_cold(policy, 1, 1, 0);
    for (unsigned k = 1; k < 200; k++) {
        now = 60 * SECOND * k;
        run_warm(policy, 0, now);
        random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
        run_warm(policy, 1, now + (1 + (random >> 33) % 50) * SECOND);
    }
    run_warm(policy, 1, now + 55 * SECOND);
    ck_assert_uint_eq(faasi_policy_victim(policy, now + 58 * SECOND), 1);
    run_warm(policy, 1, now + 59 * SECOND);
    ck_assert_uint_eq(faasi_policy_victim(policy, now + 150 * SECOND), 0);
    faasi_policy_close(policy);
}
END_TEST

/* What decides is how far the next gap goes by the last: after a short one another short
 * one, after a long one a long one. */
START_TEST(idx_tells_bursts_from_pauses)
{
    struct faasi_policy *policy = open_named("idx");
    uint64_t now = 0, bursts = 0;

    run_cold(policy, 0, 0, 0);
    run_cold(policy, 1, 1, 0);
    for (unsigned k = 0; k < 3000; k++) {
        /* 0: gaps of 2 s and of 400 s, fifty of each in turn; 1: 100 s each. */
        bursts = k / 50 % 2 == 0 ? 2 * SECOND : 400 * SECOND;
        now += bursts;
        run_warm(policy, 0, now);
        if (policy->instances[1].since + 100 * SECOND <= now)
            run_warm(policy, 1, now);
    }
    ck_assert_uint_eq(bursts, 400 * SECOND);
    run_warm(policy, 1, now + SECOND);
    ck_assert_uint_eq(faasi_policy_victim(policy, now + 20 * SECOND), 0);
    faasi_policy_close(policy);
}
END_TEST

START_TEST(idx_remembers_within_512_bytes_a_function)
{
    struct faulty f = {0};
    faas_allocator alloc = faulty_allocator(&f);
    struct faasi_policy_options options = {.ops = &faasi_policy_idx, .allocator = &alloc};
    struct faasi_policy *policy;
    size_t before;

    ck_assert_ok(faasi_policy_open(&policy, &options));
    before = f.live_bytes;
    ck_assert_ok(faasi_policy_reserve(policy, 4096, 0));
    for (uint32_t k = 0; k < 4096; k++) {
        faasi_policy_declare(policy, k, 1, MB);
        for (unsigned i = 0; i < 100; i++)
            faasi_policy_request(policy, k, 1, i * i * SECOND);
    }
    ck_assert_uint_le((f.live_bytes - before) / 4096, 512);
    for (uint32_t k = 0; k < 4096; k++)
        faasi_policy_forget(policy, k);
    ck_assert_uint_le((f.live_bytes - before) / 4096, 160); // the books alone
    faasi_policy_close(policy);
    ck_assert_uint_eq(f.live_bytes, 0);
}
END_TEST

/* ---- policies that err ---- */

static uint32_t lie;

static uint32_t liar_victim(struct faasi_policy *policy, uint64_t now)
{
    (void)policy, (void)now;
    return lie;
}

START_TEST(nonsense_is_refused_and_the_oldest_goes)
{
    static const struct faasi_policy_ops liar = {
        .name = "liar", .victim = liar_victim, .expired = liar_victim};
    struct faasi_policy *policy = open_policy(&liar, NULL, NULL);
    static const uint32_t lies[] = {FAASI_POLICY_NONE, 7, 1, 1u << 30}; // 7 is absent

    lie = FAASI_POLICY_NONE;
    ck_assert_uint_eq(faasi_policy_victim(policy, 0), FAASI_POLICY_NONE);
    ck_assert_uint_eq(policy->refused, 0); // nothing is idle: not asked
    run_cold(policy, 0, 0, 10);
    faasi_policy_start(policy, 1, 1, 5); // busy
    run_cold(policy, 2, 2, 20);
    for (size_t i = 0; i < FAASI_COUNT(lies); i++) {
        lie = lies[i];
        ck_assert_uint_eq(faasi_policy_victim(policy, 30), 0);
        ck_assert_uint_eq(policy->refused, i + 1);
    }
    lie = 1;
    ck_assert_uint_eq(faasi_policy_expired(policy, 30), FAASI_POLICY_NONE);
    lie = 2;
    ck_assert_uint_eq(faasi_policy_victim(policy, 30), 2);
    faasi_policy_close(policy);
}
END_TEST

/* ---- late reports ---- */

static struct faasi_policy_look looks[16];

static void take_look(uint32_t instance, struct faasi_policy_look *look, void *user)
{
    (void)user;
    *look = looks[instance];
    looks[instance].calls = 0;
}

START_TEST(what_was_used_since_the_last_look_stays)
{
    for (size_t i = 0; faasi_policy_at(i) != NULL; i++) {
        struct faasi_policy *policy = open_policy(faasi_policy_at(i), take_look, NULL);

        memset(looks, 0, sizeof looks);
        for (uint32_t k = 0; k < 3; k++)
            run_cold(policy, k, k, 0);
        /* One was used all the time, one is busy, one was not used. */
        looks[0] = (struct faasi_policy_look){.calls = 500, .left = 99 * SECOND};
        looks[1] = (struct faasi_policy_look){.calls = 1, .left = SECOND, .busy = true};
        ck_assert_uint_eq(faasi_policy_victim(policy, 100 * SECOND), 2);
        faasi_policy_end(policy, 2, true, 100 * SECOND);
        ck_assert_uint_eq(faasi_policy_victim(policy, 101 * SECOND), 0);
        looks[0].kept = true;
        ck_assert_uint_eq(faasi_policy_victim(policy, 102 * SECOND), FAASI_POLICY_NONE);
        ck_assert_uint_eq(policy->idle, 0);
        looks[1] = (struct faasi_policy_look){.left = 102 * SECOND};
        ck_assert_uint_eq(faasi_policy_victim(policy, 110 * SECOND), 1);
        faasi_policy_end(policy, 0, false, 110 * SECOND); // it was unsure
        faasi_policy_end(policy, 1, true, 110 * SECOND);
        ck_assert_uint_eq(policy->unsure, FAASI_POLICY_NONE);
        ck_assert_uint_eq(policy->refused, 0);
        faasi_policy_close(policy);
    }
}
END_TEST

/* A cache says that an instance started, and no more. */
START_TEST(what_started_is_found_idle_by_looking)
{
    for (size_t i = 0; faasi_policy_at(i) != NULL; i++) {
        struct faasi_policy *policy = open_policy(faasi_policy_at(i), take_look, NULL);

        memset(looks, 0, sizeof looks);
        for (uint32_t k = 0; k < 2; k++) {
            faasi_policy_request(policy, k, 1, k * SECOND);
            faasi_policy_start(policy, k, k, k * SECOND);
            looks[k].busy = true;
        }
        ck_assert_uint_eq(faasi_policy_victim(policy, 10 * SECOND), FAASI_POLICY_NONE);
        looks[1] = (struct faasi_policy_look){.calls = 3, .left = 12 * SECOND};
        ck_assert_uint_eq(faasi_policy_victim(policy, 20 * SECOND), 1);
        ck_assert_uint_eq(policy->instances[1].since, 12 * SECOND);
        faasi_policy_close(policy);
    }
}
END_TEST

/* One is called every 5 s, one every 400 s, and both are told of late. */
START_TEST(idx_learns_from_late_reports)
{
    struct faasi_policy *policy = open_policy(&faasi_policy_idx, take_look, NULL);
    uint64_t now = 0;

    memset(looks, 0, sizeof looks);
    run_cold(policy, 0, 0, 0);
    run_cold(policy, 1, 1, 0);
    for (unsigned k = 0; k < 500; k++) {
        now += 10 * SECOND;
        looks[0].calls += 2;
        looks[0].left = now;
        if (k % 40 == 39) {
            looks[1].calls += 1;
            looks[1].left = now;
        }
        (void)faasi_policy_victim(policy, now);
    }
    ck_assert_uint_eq(faasi_policy_victim(policy, now + 3 * SECOND), 1);
    faasi_policy_close(policy);
}
END_TEST

/* ---- anything ---- */

struct dice {
    uint64_t state;
};

static uint32_t roll(struct dice *dice, uint32_t sides)
{
    dice->state = dice->state * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (uint32_t)(dice->state >> 33) % sides;
}

/* Functions of random worth, called at random, at most 12 instances; returns a digest of
 * all victims. Calls go to the newest idle instance, or now and then to any. */
static uint64_t play(struct faasi_policy *policy, uint64_t seed, bool newest_only)
{
    struct dice dice = {seed};
    uint32_t running[16] = {0}, at[16];
    bool busy[16] = {false}, there[16] = {false};
    uint64_t now = 0, digest = 0;

    for (unsigned step = 0; step < 4000; step++) {
        uint32_t f = roll(&dice, 8), i;

        now += roll(&dice, 4) == 0 ? roll(&dice, 100) * SECOND : roll(&dice, 1000000000);
        if (roll(&dice, 200) == 0)
            faasi_policy_declare(policy, f, 1 + roll(&dice, 9), 1 + roll(&dice, 99));
        if (roll(&dice, 2) == 0) { // one ends its run, or ends
            i = roll(&dice, 12);
            if (!there[i] || !busy[i])
                continue;
            busy[i] = false;
            if (roll(&dice, 20) == 0) {
                faasi_policy_end(policy, i, false, now);
                there[i] = false;
            } else {
                faasi_policy_idle(policy, i, running[at[i]], now);
            }
            running[at[i]]--;
            continue;
        }
        faasi_policy_request(policy, f, running[f] + 1, now);
        i = policy->functions[f].newest;
        if (!newest_only && roll(&dice, 2) == 0)
            i = policy->functions[f].oldest;
        if (i != FAASI_POLICY_NONE) {
            ck_assert(there[i] && !busy[i] && at[i] == f);
            faasi_policy_take(policy, i, now);
        } else {
            for (i = 0; i < 12 && there[i]; i++)
                ;
            if (i == 12) {
                i = faasi_policy_victim(policy, now);
                if (i == FAASI_POLICY_NONE)
                    continue;
                ck_assert_uint_lt(i, 12);
                ck_assert(there[i] && !busy[i]);
                digest = digest * 31 + i;
                faasi_policy_end(policy, i, true, now);
            }
            there[i] = true;
            at[i] = f;
            faasi_policy_start(policy, i, f, now);
        }
        busy[i] = true;
        running[f]++;
    }
    ck_assert_uint_eq(policy->refused, 0);
    return digest;
}

START_TEST(victims_are_idle_and_the_same_each_time)
{
    for (size_t i = 0; faasi_policy_at(i) != NULL; i++)
        for (uint64_t seed = 0; seed < 20; seed++) {
            struct faasi_policy *one = open_policy(faasi_policy_at(i), NULL, NULL);
            struct faasi_policy *other = open_policy(faasi_policy_at(i), NULL, NULL);

            ck_assert_uint_eq(play(one, seed, seed % 2 == 0),
                              play(other, seed, seed % 2 == 0));
            faasi_policy_close(one);
            faasi_policy_close(other);
        }
}
END_TEST

/* Room that could not be had is asked for again, and nothing is lost. */
START_TEST(nothing_leaks_whichever_allocation_fails)
{
    for (size_t i = 0; faasi_policy_at(i) != NULL; i++)
        for (unsigned fail_at = 1;; fail_at++) {
            struct faulty f = {.fail_at = fail_at};
            faas_allocator alloc = faulty_allocator(&f);
            struct faasi_policy_options options = {.ops = faasi_policy_at(i),
                                                   .allocator = &alloc};
            struct faasi_policy *policy;
            faas_status status = faasi_policy_open(&policy, &options);

            if (status == FAAS_OK) {
                status = faasi_policy_reserve(policy, 16, 16);
                if (status != FAAS_OK)
                    ck_assert_ok(faasi_policy_reserve(policy, 16, 16));
                for (uint32_t k = 0; k < 16; k++)
                    faasi_policy_declare(policy, k, 1, MB);
                if (fail_at < 100)
                    (void)play(policy, 7, true);
                if (faasi_policy_reserve(policy, 100, 100) != FAAS_OK)
                    ck_assert_ok(faasi_policy_reserve(policy, 100, 100));
            } else {
                ck_assert_ptr_null(policy);
            }
            faasi_policy_close(policy);
            ck_assert_uint_eq(f.live_bytes, 0);
            if (f.failures == 0)
                break;
            if (status != FAAS_OK)
                ck_assert_status(status, FAAS_ENOMEM);
        }
}
END_TEST

START_TEST(idx_without_memory_forgets_and_goes_on)
{
    struct faulty f = {0};
    faas_allocator alloc = faulty_allocator(&f);
    struct faasi_policy_options options = {.ops = &faasi_policy_idx, .allocator = &alloc};
    struct faasi_policy *policy;

    ck_assert_ok(faasi_policy_open(&policy, &options));
    ck_assert_ok(faasi_policy_reserve(policy, 16, 16));
    for (uint32_t k = 0; k < 16; k++)
        faasi_policy_declare(policy, k, 1 + k, MB);
    f.fail_at = f.calls + 1;
    f.from_then_on = true;
    (void)play(policy, 3, true);
    ck_assert_uint_gt(f.failures, 0);
    faasi_policy_close(policy);
    ck_assert_uint_eq(f.live_bytes, 0);
}
END_TEST

START_TEST(too_many_are_refused)
{
    struct faasi_policy *policy = open_named("idx");

    ck_assert_status(faasi_policy_reserve(policy, FAASI_POLICY_MAX + 1, 1), FAAS_EINVAL);
    ck_assert_status(faasi_policy_reserve(policy, 1, FAASI_POLICY_MAX + 1), FAAS_EINVAL);
    faasi_policy_close(policy);
}
END_TEST

SUITE_MAIN("policy", policies_are_found_by_name_and_by_place,
           nothing_idle_gives_no_victim, inside_a_function_the_oldest_goes,
           lru_ends_what_idles_longest, ttl_ends_what_has_idled_for_its_time,
           gdsf_weighs_requests_cost_and_size_and_ages, sieve_spares_the_visited_once,
           lhd_ends_the_least_worth_of_equals, idx_ends_the_least_worth_of_equals,
           idx_learns_how_long_gaps_are, idx_gives_up_what_is_overdue,
           idx_tells_bursts_from_pauses, idx_remembers_within_512_bytes_a_function,
           nonsense_is_refused_and_the_oldest_goes,
           what_was_used_since_the_last_look_stays, what_started_is_found_idle_by_looking,
           idx_learns_from_late_reports, victims_are_idle_and_the_same_each_time,
           nothing_leaks_whichever_allocation_fails,
           idx_without_memory_forgets_and_goes_on, too_many_are_refused)

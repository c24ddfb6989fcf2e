/* SPDX-License-Identifier: MIT */
/* test_versions.c - versions stay what they were, and aliases split by weight and by key.
 */
#include "runtime_support.h"

#include <math.h>

static int says_user(faas_context *ctx, faas_bytes input)
{
    (void)input;
    return faas_reply(ctx, faas_str(faas_user(ctx)));
}

/* Replies the version that runs. */
static int says_name(faas_context *ctx, faas_bytes input)
{
    (void)input;
    return faas_reply(ctx, faas_str(faas_context_name(ctx)));
}

static faas_fn versioned(const char *name, unsigned count)
{
    faas_fn fn = function_of(FAAS_FUNCTION(.name = name, .handler = says_name));

    for (unsigned i = 1; i <= count; i++) {
        uint32_t version;

        ck_assert_ok(faas_function_publish(w.rt, fn, &version, NULL));
        ck_assert_uint_eq(version, i);
    }
    return fn;
}

static faas_fn alias_of(faas_fn fn, const char *name, const faas_share *shares,
                        size_t count)
{
    faas_fn alias;

    ck_assert_ok(faas_alias_put(w.rt, fn, name, shares, count, &alias));
    ck_assert(!no_fn(alias));
    return alias;
}

/* Which version a key goes to: what stands behind the colon. */
static unsigned version_of_key(faas_fn alias, const char *key)
{
    faas_result *result;
    faas_bytes name;
    unsigned version;
    const char *colon;

    ck_assert_ok(faas_invoke_with(w.rt, alias, faas_str(NULL),
                                  FAAS_CALL(.key = faas_str(key)), &result));
    name = faas_result_bytes(result);
    colon = memchr(name.data, ':', name.size);
    ck_assert_ptr_nonnull(colon);
    version = (unsigned)strtoul(colon + 1, NULL, 10);
    faas_result_release(result);
    return version;
}

/* ---- versions ---- */

START_TEST(a_published_version_never_changes)
{
    static char old_word[] = "old", new_word[] = "new";
    faas_function_info info = {.size = sizeof info};
    faas_result *result;
    faas_fn fn, version, second, found;

    OPEN_DEFAULT();
    fn = function_of(FAAS_FUNCTION(.name = "f", .handler = says_user, .user = old_word,
                                   .timeout_ns = 5 * SEC, .concurrency = 3));
    ck_assert_ok(faas_function_publish(w.rt, fn, NULL, &version));
    ck_assert_ok(faas_function_replace(
        w.rt, fn, FAAS_FUNCTION(.handler = says_user, .user = new_word)));
    ck_assert_ok(faas_function_update(w.rt, fn, FAAS_FUNCTION(.timeout_ns = SEC)));
    ck_assert_ok(faas_function_publish(w.rt, fn, NULL, &second));
    ck_assert_ok(faas_function_find(w.rt, faas_str("f:1"), &found));
    ck_assert(same_fn(found, version));
    ck_assert_ok(faas_function_find(w.rt, faas_str("f:2"), &found));
    ck_assert(same_fn(found, second));
    result = result_of(version, NULL);
    ck_assert_bytes(faas_result_bytes(result), "old");
    faas_result_release(result);
    result = result_of(second, NULL);
    ck_assert_bytes(faas_result_bytes(result), "new");
    faas_result_release(result);
    ck_assert_ok(faas_function_describe(w.rt, version, &info));
    ck_assert_uint_eq(info.policy.timeout_ns, 5 * SEC);
    ck_assert_uint_eq(info.policy.concurrency, 3);
    ck_assert_ok(faas_function_describe(w.rt, second, &info));
    ck_assert_uint_eq(info.policy.timeout_ns, SEC);
    /* Its own instances and numbers. */
    ck_assert_uint_eq(stats_of(fn).invocations, 0);
    ck_assert_uint_eq(stats_of(version).invocations, 1);
    ck_assert_uint_eq(stats_of(version).cold_starts, 1);
    CLOSE();
}
END_TEST

START_TEST(a_version_outlives_its_function)
{
    faas_fn fn, found, version;

    OPEN_DEFAULT();
    fn = versioned("f", 1);
    ck_assert_ok(faas_function_find(w.rt, faas_str("f:1"), &version));
    ck_assert_ok(faas_function_unregister(w.rt, fn));
    ck_assert_status(faas_function_find(w.rt, faas_str("f"), &found), FAAS_ENOENT);
    ck_assert_ok(call(version));
    ck_assert_ok(faas_function_unregister(w.rt, version));
    ck_assert_status(call(version), FAAS_ENOENT);
    CLOSE();
}
END_TEST

START_TEST(a_version_number_is_given_once)
{
    faas_fn fn, version;
    uint32_t number;

    OPEN_DEFAULT();
    fn = versioned("f", 2);
    ck_assert_ok(faas_function_find(w.rt, faas_str("f:2"), &version));
    ck_assert_ok(faas_function_unregister(w.rt, version));
    ck_assert_ok(faas_function_replace(w.rt, fn, FAAS_FUNCTION(.handler = answers)));
    ck_assert_ok(faas_function_publish(w.rt, fn, &number, NULL));
    ck_assert_uint_eq(number, 3);
    CLOSE();
}
END_TEST

START_TEST(a_version_whose_name_is_taken_is_refused)
{
    faas_fn fn, taken, version = {1, 1, 1};
    uint32_t number = 5;

    OPEN_DEFAULT();
    fn = function_of(FAAS_FUNCTION(.name = "f", .handler = answers));
    taken = function_of(FAAS_FUNCTION(.name = "f:1", .handler = answers));
    ck_assert_status(faas_function_publish(w.rt, fn, &number, &version), FAAS_EEXIST);
    ck_assert_uint_eq(number, 0);
    ck_assert(no_fn(version));
    ck_assert_ok(call(taken));
    ck_assert_ok(faas_function_unregister(w.rt, taken));
    ck_assert_ok(faas_function_publish(w.rt, fn, &number, &version));
    ck_assert_uint_ge(number, 1);
    CLOSE();
}
END_TEST

static int frees;

static void counts_free(void *user)
{
    (void)user;
    frees++;
}

START_TEST(user_is_freed_when_the_function_and_all_its_versions_are_gone)
{
    faas_fn fn, v[2];

    OPEN_DEFAULT();
    fn = function_of(FAAS_FUNCTION(.name = "f", .handler = answers, .user = &frees,
                                   .user_free = counts_free));
    for (int i = 0; i < 2; i++)
        ck_assert_ok(faas_function_publish(w.rt, fn, NULL, &v[i]));
    ck_assert_ok(faas_function_unregister(w.rt, v[0]));
    ck_assert_ok(faas_function_replace(w.rt, fn, FAAS_FUNCTION(.handler = answers)));
    ck_assert_int_eq(frees, 0);
    ck_assert_ok(call(v[1]));
    ck_assert_ok(faas_function_unregister(w.rt, v[1]));
    ck_assert_int_eq(frees, 1);
    CLOSE();
    ck_assert_int_eq(frees, 1);
}
END_TEST

static atomic_int inits;

static int opens(faas_context *ctx, void **state)
{
    (void)ctx;
    (void)state;
    return atomic_fetch_add(&inits, 1) >= 3 ? 1 : 0;
}

START_TEST(a_version_has_provisioned_instances_of_its_own)
{
    faas_fn fn, version;

    OPEN_DEFAULT();
    fn = function_of(
        FAAS_FUNCTION(.name = "f", .handler = answers, .init = opens, .provisioned = 1));
    ck_assert_ok(faas_function_publish(w.rt, fn, NULL, &version));
    ck_assert_int_eq(atomic_load(&inits), 2);
    ck_assert_uint_eq(stats_of(version).instances_idle, 1);
    ck_assert_ok(faas_function_publish(w.rt, fn, NULL, &version));
    ck_assert_status(faas_function_publish(w.rt, fn, NULL, &version), FAAS_EINIT);
    ck_assert(no_fn(version));
    CLOSE();
}
END_TEST

/* ---- aliases ---- */

/* 1e5 keys, each share within 1 % of all: five deviations of that many throws of a coin
 * are less. */
START_TEST(keys_fall_as_the_weights_say)
{
    enum { KEYS = 100000 };
    static const struct {
        size_t count;
        faas_share shares[4];
    } rows[] = {
        {1, {{1, 1}}},
        {2, {{1, 1}, {2, 1}}},
        {2, {{1, 90}, {2, 10}}},
        {3, {{3, 1}, {1, 2}, {2, 5}}},
        {3, {{1, 50}, {2, 0}, {3, 50}}},
        {2, {{1, 0}, {2, 1}}},
        {4, {{1, 1000000}, {2, 1000000}, {3, 1000000}, {4, 1}}},
        {2, {{1, UINT32_MAX - 1}, {2, 1}}},
        {2, {{1, UINT32_MAX / 2}, {1, UINT32_MAX / 2}}}, // one version, twice
    };
    faas_fn fn;

    OPEN_DEFAULT();
    fn = versioned("f", 4);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        faas_fn alias = alias_of(fn, "live", rows[i].shares, rows[i].count);
        unsigned got[5] = {0};
        double total = 0, want[5] = {0};

        for (size_t k = 0; k < rows[i].count; k++) {
            want[rows[i].shares[k].version] += rows[i].shares[k].weight;
            total += rows[i].shares[k].weight;
        }
        for (unsigned key = 0; key < KEYS; key++) {
            char text[24];
            faas_result *result;

            snprintf(text, sizeof text, "customer-%u", key * 7919);
            ck_assert_ok(faas_invoke_with(w.rt, alias, faas_str(NULL),
                                          FAAS_CALL(.key = faas_str(text)), &result));
            got[((const char *)faas_result_bytes(result).data)[2] - '0']++;
            faas_result_release(result);
        }
        for (unsigned v = 1; v <= 4; v++) {
            ck_assert_msg(fabs(got[v] / (double)KEYS - want[v] / total) <= 0.01,
                          "row %zu: version %u got %u", i, v, got[v]);
            if (want[v] == 0)
                ck_assert_uint_eq(got[v], 0);
        }
    }
    CLOSE();
}
END_TEST

START_TEST(without_a_key_calls_fall_as_the_weights_say_too)
{
    enum { CALLS = 20000 };
    faas_share shares[2] = {{1, 3}, {2, 1}};
    faas_fn fn, alias, v1;
    double share;

    OPEN_DEFAULT();
    fn = versioned("f", 2);
    alias = alias_of(fn, "live", shares, 2);
    ck_assert_ok(faas_function_find(w.rt, faas_str("f:1"), &v1));
    for (int i = 0; i < CALLS / 2; i++) {
        ck_assert_ok(call(alias));
        ck_assert_ok(faas_invoke_with(w.rt, alias, faas_str(NULL), NULL, NULL));
    }
    share = (double)stats_of(v1).invocations / CALLS;
    ck_assert_double_ge(share, 0.73);
    ck_assert_double_le(share, 0.77);
    CLOSE();
}
END_TEST

START_TEST(one_key_stays_on_one_version_while_weights_do_not_change)
{
    enum { KEYS = 500 };
    faas_share shares[3] = {{1, 5}, {2, 3}, {3, 2}};
    unsigned first[KEYS];
    faas_fn fn, alias, other;

    OPEN_DEFAULT();
    fn = versioned("f", 3);
    alias = alias_of(fn, "live", shares, 3);
    for (int round = 0; round < 4; round++) {
        for (unsigned i = 0; i < KEYS; i++) {
            char key[16];
            unsigned version;

            snprintf(key, sizeof key, "key%u", i);
            version = version_of_key(alias, key);
            if (round == 0)
                first[i] = version;
            ck_assert_uint_eq(version, first[i]);
        }
        /* Neither the same shares again, nor another alias, nor a new function. */
        if (round == 0)
            other = alias_of(fn, "live", shares, 3);
        else if (round == 1)
            other = alias_of(fn, "beta", shares, 1);
        else
            ck_assert_ok(
                faas_function_replace(w.rt, fn, FAAS_FUNCTION(.handler = answers)));
        if (round == 0)
            ck_assert(same_fn(other, alias));
        if (round == 1)
            ck_assert(!same_fn(other, alias));
    }
    CLOSE();
}
END_TEST

START_TEST(a_request_id_that_is_given_chooses_like_a_key)
{
    faas_share shares[2] = {{1, 1}, {2, 1}};
    unsigned seen[2] = {0, 0};
    faas_fn fn, alias;

    OPEN_DEFAULT();
    fn = versioned("f", 2);
    alias = alias_of(fn, "live", shares, 2);
    for (uint64_t i = 1; i <= 100; i++) {
        char first = 0;

        for (int again = 0; again < 3; again++) {
            faas_result *result;
            char got;

            ck_assert_ok(faas_invoke_with(w.rt, alias, faas_str(NULL),
                                          FAAS_CALL(.request_id = {.high = 7, .low = i}),
                                          &result));
            ck_assert_uint_eq(faas_result_meter(result)->request_id.low, i);
            got = ((const char *)faas_result_bytes(result).data)[2];
            if (again == 0)
                first = got;
            ck_assert_int_eq(got, first);
            faas_result_release(result);
        }
        seen[first - '1']++;
    }
    ck_assert_uint_gt(seen[0], 20);
    ck_assert_uint_gt(seen[1], 20);
    CLOSE();
}
END_TEST

START_TEST(moving_weight_moves_only_the_keys_at_the_border)
{
    enum { KEYS = 2000 };
    faas_share shares[2] = {{1, 90}, {2, 10}};
    unsigned moved_back = 0, moved = 0;
    static unsigned before[KEYS];
    faas_fn fn, alias;

    OPEN_DEFAULT();
    fn = versioned("f", 2);
    alias = alias_of(fn, "live", shares, 2);
    for (unsigned i = 0; i < KEYS; i++) {
        char key[16];

        snprintf(key, sizeof key, "%u", i);
        before[i] = version_of_key(alias, key);
    }
    shares[0].weight = 50;
    shares[1].weight = 50;
    ck_assert(same_fn(alias_of(fn, "live", shares, 2), alias));
    for (unsigned i = 0; i < KEYS; i++) {
        char key[16];
        unsigned now;

        snprintf(key, sizeof key, "%u", i);
        now = version_of_key(alias, key);
        moved += now != before[i];
        moved_back += before[i] == 2 && now == 1;
    }
    ck_assert_uint_eq(moved_back, 0); // who had the new one keeps it
    ck_assert_uint_gt(moved, KEYS * 35 / 100);
    ck_assert_uint_lt(moved, KEYS * 45 / 100);
    CLOSE();
}
END_TEST

START_TEST(a_thousand_versions_may_share)
{
    static faas_share shares[1001];
    faas_fn fn, alias;

    OPEN_DEFAULT();
    fn = versioned("f", 1000);
    for (uint32_t i = 0; i < 1000; i++)
        shares[i] = (faas_share){i + 1, 1};
    alias = alias_of(fn, "live", shares, 1000);
    for (unsigned i = 0; i < 3000; i++) {
        char key[16];
        unsigned version;

        snprintf(key, sizeof key, "%u", i);
        version = version_of_key(alias, key);
        ck_assert_uint_ge(version, 1);
        ck_assert_uint_le(version, 1000);
    }
    shares[1000] = shares[0];
    ck_assert_status(faas_alias_put(w.rt, fn, "live", shares, 1001, NULL), FAAS_EINVAL);
    CLOSE();
}
END_TEST

START_TEST(an_alias_that_is_wrong_is_refused_and_the_old_one_stays)
{
    static char long_name[257];
    static const faas_share one = {1, 1};
    static const struct {
        const char *name;
        faas_share shares[2];
        size_t count;
        faas_status status;
    } rows[] = {
        {"", {{1, 1}}, 1, FAAS_EINVAL},
        {"12", {{1, 1}}, 1, FAAS_EINVAL},
        {"\xff", {{1, 1}}, 1, FAAS_EINVAL},
        {NULL, {{1, 1}}, 1, FAAS_EINVAL},
        {"live", {{1, 1}}, 0, FAAS_EINVAL},
        {"live", {{1, 0}, {2, 0}}, 2, FAAS_EINVAL},
        {"live", {{1, UINT32_MAX}, {2, 1}}, 2, FAAS_EINVAL},
        {"live", {{3, 1}}, 1, FAAS_ENOENT},
        {"live", {{1, 1}, {0, 1}}, 2, FAAS_ENOENT},
        {"live", {{UINT32_MAX, 1}}, 1, FAAS_ENOENT},
    };
    faas_fn fn, alias, out, function;

    OPEN_DEFAULT();
    fn = versioned("f", 2);
    alias = alias_of(fn, "live", &one, 1);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        out = fn;
        ck_assert_status(
            faas_alias_put(w.rt, fn, rows[i].name, rows[i].shares, rows[i].count, &out),
            rows[i].status);
        ck_assert(no_fn(out));
        ck_assert_uint_eq(version_of_key(alias, "k"), 1);
    }
    memset(long_name, 'l', 256);
    ck_assert_status(faas_alias_put(w.rt, fn, long_name, &one, 1, NULL), FAAS_EINVAL);
    long_name[255] = '\0';
    alias = alias_of(fn, long_name, &one, 1);
    ck_assert_uint_eq(version_of_key(alias, "k"), 1);
    /* Its name may not be that of a function. */
    function = function_of(FAAS_FUNCTION(.name = "f:beta", .handler = answers));
    ck_assert_status(faas_alias_put(w.rt, fn, "beta", &one, 1, &out), FAAS_EEXIST);
    ck_assert_ok(call(function));
    CLOSE();
}
END_TEST

START_TEST(an_alias_belongs_to_one_function)
{
    static const faas_share one = {1, 1};
    faas_fn a, ab, alias, out;

    OPEN_DEFAULT();
    a = versioned("a", 1);
    ab = versioned("a:b", 1);
    alias = alias_of(a, "b:c", &one, 1); // both would be a:b:c
    ck_assert_status(faas_alias_put(w.rt, ab, "c", &one, 1, &out), FAAS_EEXIST);
    ck_assert(no_fn(out));
    {
        faas_result *result = result_of(alias, NULL);

        ck_assert_bytes(faas_result_bytes(result), "a:1");
        faas_result_release(result);
    }
    CLOSE();
}
END_TEST

START_TEST(a_version_that_an_alias_points_to_cannot_go)
{
    static const faas_share both[2] = {{1, 1}, {2, 0}};
    faas_fn fn, alias, v1, v2;

    OPEN_DEFAULT();
    fn = versioned("f", 2);
    alias = alias_of(fn, "live", both, 2);
    ck_assert_ok(faas_function_find(w.rt, faas_str("f:1"), &v1));
    ck_assert_ok(faas_function_find(w.rt, faas_str("f:2"), &v2));
    ck_assert_status(faas_function_unregister(w.rt, v1), FAAS_EINUSE);
    ck_assert_str_eq(faas_error_text(), "f:1: the alias f:live points to it");
    ck_assert_status(faas_function_unregister(w.rt, v2), FAAS_EINUSE);
    ck_assert_ok(call(v1));
    (void)alias_of(fn, "live", &both[0], 1);
    ck_assert_ok(faas_function_unregister(w.rt, v2));
    ck_assert_ok(faas_function_unregister(w.rt, alias));
    ck_assert_ok(faas_function_unregister(w.rt, v1));
    ck_assert_status(call(alias), FAAS_ENOENT);
    CLOSE();
}
END_TEST

START_TEST(an_alias_has_no_numbers_of_its_own)
{
    static const faas_share one = {1, 1};
    faas_function_stats stats = {.size = sizeof stats};
    faas_fn fn, alias, v1;

    OPEN_DEFAULT();
    fn = versioned("f", 1);
    alias = alias_of(fn, "live", &one, 1);
    ck_assert_ok(faas_function_find(w.rt, faas_str("f:1"), &v1));
    ck_assert_ok(call(alias));
    ck_assert_status(faas_function_stats_get(w.rt, alias, &stats, NULL), FAAS_EPERM);
    ck_assert_uint_eq(stats_of(v1).invocations, 1);
    CLOSE();
}
END_TEST

static atomic_bool storm_ends;

static void *calls_alias(void *user)
{
    const faas_fn *alias = user;

    for (unsigned i = 0; !atomic_load(&storm_ends); i++) {
        char key[16];
        faas_status status;

        snprintf(key, sizeof key, "%u", i);
        status = faas_invoke_with(w.rt, *alias, faas_str(NULL),
                                  FAAS_CALL(.key = faas_str(key)), NULL);
        if (status != FAAS_OK)
            abort();
    }
    return NULL;
}

static faas_status looks_at(void *user, void *arg)
{
    *(void **)arg = user;
    return faas_error_set(FAAS_ESYSTEM, "what %s said", "it");
}

START_TEST(who_knows_a_functions_handler_is_shown_its_user)
{
    faas_fn fn, version, alias;
    void *seen = NULL;
    int user;

    OPEN_DEFAULT();
    fn = function_of(FAAS_FUNCTION(.name = "f", .handler = answers, .user = &user));
    ck_assert_ok(faas_function_publish(w.rt, fn, NULL, &version));
    ck_assert_ok(faas_alias_put(w.rt, fn, "live", &(const faas_share){1, 1}, 1, &alias));
    ck_assert_status(faas_function_look(w.rt, fn, answers, looks_at, &seen),
                     FAAS_ESYSTEM);
    ck_assert_str_eq(faas_error_text(), "what it said");
    ck_assert_ptr_eq(seen, &user);
    seen = NULL;
    ck_assert_status(faas_function_look(w.rt, version, answers, looks_at, &seen),
                     FAAS_ESYSTEM);
    ck_assert_ptr_eq(seen, &user);
    seen = NULL;
    ck_assert_status(faas_function_look(w.rt, fn, echoes, looks_at, &seen), FAAS_ETYPE);
    ck_assert_status(faas_function_look(w.rt, alias, answers, looks_at, &seen),
                     FAAS_ETYPE);
    ck_assert_ok(faas_function_unregister(w.rt, alias));
    ck_assert_ok(faas_function_unregister(w.rt, fn));
    ck_assert_status(faas_function_look(w.rt, fn, answers, looks_at, &seen), FAAS_ENOENT);
    ck_assert_ptr_null(seen);
    CLOSE();
}
END_TEST

START_TEST(an_alias_moves_from_version_to_version_under_calls)
{
#ifdef FAASI_SANITIZED
    const int rounds = 60;
#else
    const int rounds = 300;
#endif
    pthread_t threads[2];
    faas_share first = {1, 1};
    faas_fn fn, alias;

    OPEN_DEFAULT();
    fn = versioned("f", 1);
    alias = alias_of(fn, "live", &first, 1);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, calls_alias, &alias), 0);
    for (int i = 0; i < rounds; i++) {
        faas_share shares[2] = {{0, 1}, {0, 1}};
        char name[24];
        faas_fn old;

        ck_assert_ok(faas_function_publish(w.rt, fn, &shares[1].version, NULL));
        shares[0].version = shares[1].version - 1;
        (void)alias_of(fn, "live", shares, 2);
        (void)alias_of(fn, "live", &shares[1], 1);
        snprintf(name, sizeof name, "f:%u", shares[0].version);
        ck_assert_ok(faas_function_find(w.rt, faas_str(name), &old));
        ck_assert_ok(faas_function_unregister(w.rt, old));
    }
    atomic_store(&storm_ends, true);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    CLOSE();
}
END_TEST

SUITE_MAIN("versions", a_published_version_never_changes, a_version_outlives_its_function,
           a_version_number_is_given_once, a_version_whose_name_is_taken_is_refused,
           user_is_freed_when_the_function_and_all_its_versions_are_gone,
           a_version_has_provisioned_instances_of_its_own, keys_fall_as_the_weights_say,
           without_a_key_calls_fall_as_the_weights_say_too,
           one_key_stays_on_one_version_while_weights_do_not_change,
           a_request_id_that_is_given_chooses_like_a_key,
           moving_weight_moves_only_the_keys_at_the_border, a_thousand_versions_may_share,
           an_alias_that_is_wrong_is_refused_and_the_old_one_stays,
           an_alias_belongs_to_one_function, a_version_that_an_alias_points_to_cannot_go,
           an_alias_has_no_numbers_of_its_own,
           who_knows_a_functions_handler_is_shown_its_user,
           an_alias_moves_from_version_to_version_under_calls)

/* SPDX-License-Identifier: MIT */
/* test_registry.c - functions are found by the names and handles that are theirs, changed
 * and removed while calls run, listed and described. */
#include "runtime_support.h"

#include <faas/stats.h>

#include <inttypes.h>
#include <unistd.h>

/* ---- names ---- */

START_TEST(a_name_is_1_to_255_bytes_of_utf_8)
{
    static const char *const good[] = {
        "a", " ", "a:b", "a\nb", "\x01", "\xc3\xbc", "\xf0\x9f\x98\x80", "1", "\"\\"};
    static const char *const bad[] = {
        "\x80", "a\xc3", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "ok\xff"};
    char name[400];
    faas_fn fn, found;

    OPEN_DEFAULT();
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        fn = function_of(FAAS_FUNCTION(.name = good[i], .handler = answers));
        ck_assert_ok(faas_function_find(w.rt, faas_str(good[i]), &found));
        ck_assert(same_fn(fn, found));
    }
    for (size_t size = 2; size < 300; size++) {
        faas_status status;

        memset(name, 'n', size);
        name[size] = '\0';
        status = faas_function_register(
            w.rt, FAAS_FUNCTION(.name = name, .handler = answers), &fn);
        if (size <= 255) {
            ck_assert_ok(status);
            ck_assert_ok(faas_function_find(w.rt, faas_str(name), &found));
            ck_assert(same_fn(fn, found));
        } else {
            ck_assert_status(status, FAAS_EINVAL);
            ck_assert(no_fn(fn));
            ck_assert_str_eq(faas_error_text(),
                             "function.name: it is longer than 255 bytes");
        }
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ck_assert_status(
            faas_function_register(
                w.rt, FAAS_FUNCTION(.name = bad[i], .handler = answers), &fn),
            FAAS_EINVAL);
        ck_assert_str_eq(faas_error_text(), "function.name: it is not UTF-8");
        ck_assert_status(faas_function_find(w.rt, faas_str(bad[i]), &found), FAAS_ENOENT);
    }
    ck_assert_status(
        faas_function_register(w.rt, FAAS_FUNCTION(.name = "", .handler = answers), &fn),
        FAAS_EINVAL);
    ck_assert_status(faas_function_register(w.rt, FAAS_FUNCTION(.handler = answers), &fn),
                     FAAS_EINVAL);
    ck_assert_str_eq(faas_error_text(), "function.name: it is empty");
    ck_assert_status(faas_function_find(w.rt, faas_str(""), &found), FAAS_ENOENT);
    ck_assert_status(faas_function_find(w.rt, faas_str(NULL), &found), FAAS_ENOENT);
    CLOSE();
}
END_TEST

START_TEST(a_name_is_compared_whole)
{
    char buffer[] = "xgreety";
    faas_fn fn, found;

    OPEN_DEFAULT();
    fn = function_of(FAAS_FUNCTION(.name = "greet", .handler = answers));
    ck_assert_ok(faas_function_find(w.rt, faas_bytes_of(buffer + 1, 5), &found));
    ck_assert(same_fn(fn, found)); // not terminated
    for (size_t at = 0; at < 7; at++)
        for (size_t size = 0; size + at <= 7; size++) {
            if (at == 1 && size == 5)
                continue;
            ck_assert_status(
                faas_function_find(w.rt, faas_bytes_of(buffer + at, size), &found),
                FAAS_ENOENT);
            ck_assert(no_fn(found));
        }
    ck_assert_status(faas_function_find(w.rt, faas_bytes_of("greet\0", 6), &found),
                     FAAS_ENOENT);
    ck_assert_status(faas_function_find(w.rt, faas_str("Greet"), &found), FAAS_ENOENT);
    CLOSE();
}
END_TEST

START_TEST(a_name_is_given_once_until_it_is_free_again)
{
    faas_fn first, second, found;

    OPEN_DEFAULT();
    first = function_of(FAAS_FUNCTION(.name = "f", .handler = answers));
    ck_assert_status(faas_function_register(
                         w.rt, FAAS_FUNCTION(.name = "f", .handler = echoes), &second),
                     FAAS_EEXIST);
    ck_assert(no_fn(second));
    ck_assert_str_eq(faas_error_text(), "name: \"f\" is taken");
    ck_assert_ok(faas_function_find(w.rt, faas_str("f"), &found));
    ck_assert(same_fn(first, found));
    ck_assert_ok(call(first));
    ck_assert_ok(faas_function_unregister(w.rt, first));
    ck_assert_status(faas_function_find(w.rt, faas_str("f"), &found), FAAS_ENOENT);
    second = function_of(FAAS_FUNCTION(.name = "f", .handler = answers));
    ck_assert(!same_fn(first, second));
    /* What is refused takes no place. */
    for (int i = 0; i < 200; i++)
        ck_assert_status(faas_function_register(
                             w.rt, FAAS_FUNCTION(.name = "f", .handler = answers), NULL),
                         FAAS_EEXIST);
    ck_assert_uint_lt(function_of(FAAS_FUNCTION(.name = "g", .handler = answers)).index,
                      8);
    CLOSE();
}
END_TEST

START_TEST(a_place_that_is_reused_gives_a_new_handle_each_time)
{
    enum { TIMES = 3000 };
    static faas_fn handles[TIMES];
    faas_fn stays;

    OPEN_DEFAULT();
    stays = function_of(FAAS_FUNCTION(.name = "stays", .handler = answers));
    for (int i = 0; i < TIMES; i++) {
        handles[i] = function_of(FAAS_FUNCTION(.name = "f", .handler = answers));
        if (i % 3 == 0)
            ck_assert_ok(call(handles[i]));
        ck_assert_ok(faas_function_unregister(w.rt, handles[i]));
    }
    for (int i = 0; i < TIMES; i++) {
        ck_assert_status(call(handles[i]), FAAS_ENOENT);
        ck_assert_status(faas_function_unregister(w.rt, handles[i]), FAAS_ENOENT);
        ck_assert_uint_lt(handles[i].index, 8); // it is the place that is reused
    }
    ck_assert_ok(call(stays));
    CLOSE();
}
END_TEST

/* ---- descriptors ---- */

static unsigned frees;

static void counts_free(void *user)
{
    ck_assert_ptr_eq(user, &frees);
    frees++;
}

static int opens_nothing(faas_context *ctx, void **state)
{
    (void)ctx;
    (void)state;
    return 0;
}

/* A descriptor whose user is counted when it is freed. */
#define F(...)                                                                           \
    {                                                                                    \
        .size = sizeof(faas_function), .user = &frees, .user_free = counts_free,         \
        __VA_ARGS__                                                                      \
    }

START_TEST(a_descriptor_that_is_out_of_range_is_refused_and_its_user_freed)
{
    static const struct {
        faas_function f;
        const char *text;
    } rows[] = {
        {F(.name = "x"), "function.handler: it is NULL"},
        {F(.name = NULL, .handler = answers), "function.name: it is empty"},
        {F(.name = "x", .handler = answers, .concurrency = 1048577),
         "function.concurrency: 1048577 is over 1048576"},
        {F(.name = "x", .handler = answers, .instance_concurrency = 65537),
         "function.instance_concurrency: 65537 is over 65536"},
        {F(.name = "x", .handler = answers, .provisioned = 3, .concurrency = 2),
         "function.provisioned: 3 is over its concurrency"},
        {F(.name = "x", .handler = answers, .provisioned = 1, .concurrency = FAAS_OFF),
         "function.provisioned: 1 is over its concurrency"},
        {F(.name = "x", .handler = answers, .provisioned = 1048577),
         "function.provisioned: 1048577 is over 1048576"},
        {F(.name = "x", .handler = answers, .on_full = (faas_full)3),
         "function.on_full: 3 is unknown"},
    };

    OPEN_DEFAULT();
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        faas_fn fn = {1, 1, 1};

        frees = 0;
        ck_assert_status(faas_function_register(w.rt, &rows[i].f, &fn), FAAS_EINVAL);
        ck_assert_str_eq(faas_error_text(), rows[i].text);
        ck_assert_uint_eq(frees, 1);
        ck_assert(no_fn(fn));
        ck_assert_status(faas_function_find(w.rt, faas_str("x"), &fn), FAAS_ENOENT);
    }
    CLOSE();
}
END_TEST

START_TEST(a_descriptor_knows_older_and_newer_programs)
{
    struct {
        faas_function known;
        uint64_t newer;
    } future = {F(.name = "x", .handler = answers), 1};
    faas_function unset = F(.name = "x", .handler = answers);
    faas_fn fn;

    OPEN_DEFAULT();
    frees = 0;
    future.known.size = sizeof future;
    ck_assert_status(faas_function_register(w.rt, &future.known, &fn), FAAS_EVERSION);
    ck_assert_uint_eq(frees, 1);
    /* Of a struct whose size is wrong nothing else is read. */
    unset.size = 0;
    ck_assert_status(faas_function_register(w.rt, &unset, &fn), FAAS_EINVAL);
    unset.size = 5000;
    ck_assert_status(faas_function_register(w.rt, &unset, &fn), FAAS_EINVAL);
    ck_assert_uint_eq(frees, 1);
    ck_assert_status(faas_function_register(w.rt, NULL, &fn), FAAS_EINVAL);
    /* A program that knows less. */
    unset.size = offsetof(faas_function, instance_concurrency);
    unset.instance_concurrency = 99999;
    ck_assert_ok(faas_function_register(w.rt, &unset, &fn));
    ck_assert_ok(call(fn));
    future.newer = 0;
    future.known.name = "y";
    ck_assert_ok(faas_function_register(w.rt, &future.known, NULL));
    ck_assert_uint_eq(frees, 1);
    CLOSE();
    ck_assert_uint_eq(frees, 2);
}
END_TEST

START_TEST(user_is_freed_once_however_the_function_ends)
{
    faas_function f = F(.name = "x", .handler = answers);
    faas_fn fn;

    OPEN_DEFAULT();
    frees = 0;
    ck_assert_ok(faas_function_register(w.rt, &f, &fn));
    ck_assert_status(faas_function_register(w.rt, &f, NULL), FAAS_EEXIST);
    ck_assert_uint_eq(frees, 1); // of the second
    ck_assert_ok(call(fn));
    ck_assert_ok(faas_function_replace(w.rt, fn, &f));
    ck_assert_uint_eq(frees, 2);
    ck_assert_ok(call(fn));
    ck_assert_ok(faas_function_unregister(w.rt, fn));
    ck_assert_uint_eq(frees, 3);
    ck_assert_status(faas_function_replace(w.rt, fn, &f), FAAS_ENOENT);
    ck_assert_uint_eq(frees, 4);
    ck_assert_ok(faas_function_register(w.rt, &f, NULL));
    CLOSE();
    ck_assert_uint_eq(frees, 5);
}
END_TEST

/* ---- listing and describing ---- */

START_TEST(the_list_has_everything_once)
{
    enum { MANY = 300 };
    bool seen[MANY] = {false};
    faas_fn fns[MANY], fn;
    uint32_t at = 0;
    unsigned count = 0;

    OPEN_DEFAULT();
    ck_assert_status(faas_function_next(w.rt, &at, &fn), FAAS_ENOENT);
    ck_assert(no_fn(fn));
    for (int i = 0; i < MANY; i++) {
        char name[16];

        snprintf(name, sizeof name, "f%d", i);
        fns[i] = function_of(FAAS_FUNCTION(.name = name, .handler = answers));
    }
    for (int i = 0; i < MANY; i += 3)
        ck_assert_ok(faas_function_unregister(w.rt, fns[i]));
    for (at = 0; faas_function_next(w.rt, &at, &fn) == FAAS_OK; count++)
        for (int i = 0; i < MANY; i++)
            if (same_fn(fn, fns[i])) {
                ck_assert(!seen[i]);
                seen[i] = true;
            }
    ck_assert_uint_eq(count, MANY - MANY / 3);
    for (int i = 0; i < MANY; i++)
        ck_assert(seen[i] == (i % 3 != 0));
    at = UINT32_MAX;
    ck_assert_status(faas_function_next(w.rt, &at, &fn), FAAS_ENOENT);
    CLOSE();
}
END_TEST

START_TEST(describe_tells_the_policy_that_is_in_force)
{
    faas_function_info info = {.size = sizeof info};
    const faas_function *p = &info.policy;
    faas_fn fn;

    OPEN_DEFAULT();
    fn = function_of(FAAS_FUNCTION(.name = "plain", .handler = answers));
    ck_assert_ok(faas_function_describe(w.rt, fn, &info));
    ck_assert_uint_eq(info.size, sizeof info);
    ck_assert(same_fn(info.fn, fn));
    ck_assert_int_eq(info.kind, FAAS_KIND_FUNCTION);
    ck_assert_uint_eq(info.version, 0);
    ck_assert_str_eq(info.name, "plain");
    ck_assert_str_eq(info.signature, "");
    ck_assert_uint_eq(p->size, sizeof *p);
    ck_assert_ptr_null(p->name);
    ck_assert_ptr_null(p->user);
    ck_assert(p->handler == NULL && p->init == NULL && p->close == NULL &&
              p->user_free == NULL);
    ck_assert_uint_eq(p->instance_concurrency, 1);
    ck_assert_uint_eq(p->provisioned, 0);
    ck_assert_int_eq(p->on_full, FAAS_FULL_REFUSE);
    ck_assert(p->wait_ns == FAAS_FOREVER && p->age_ns == FAAS_FOREVER);
    ck_assert_uint_eq(p->timeout_ns, 60 * SEC);
    ck_assert_uint_eq(p->init_timeout_ns, 10 * SEC);
    ck_assert_uint_eq(p->idle_ns, 600 * SEC);
    ck_assert_uint_eq(p->memory_bytes, 128 << 20);
    ck_assert_uint_eq(p->heap_bytes, 128 << 20);
    ck_assert_uint_eq(p->instance_bytes, 0);

    fn = function_of(FAAS_FUNCTION(.name = "full", .handler = answers, .concurrency = 9,
                                   .instance_concurrency = 2, .provisioned = 3,
                                   .on_full = FAAS_FULL_WAIT, .wait_ns = 4,
                                   .timeout_ns = 5, .init_timeout_ns = 6, .idle_ns = 7,
                                   .age_ns = 8, .invocation_max = 9,
                                   .memory_bytes = 10 << 20, .heap_bytes = 11,
                                   .instance_bytes = 12));
    ck_assert_ok(faas_function_describe(w.rt, fn, &info));
    ck_assert_uint_eq(p->concurrency, 9);
    ck_assert_uint_eq(p->instance_concurrency, 2);
    ck_assert_uint_eq(p->provisioned, 3);
    ck_assert_int_eq(p->on_full, FAAS_FULL_WAIT);
    ck_assert_uint_eq(p->wait_ns, 4);
    ck_assert_uint_eq(p->timeout_ns, 5);
    ck_assert_uint_eq(p->init_timeout_ns, 6);
    ck_assert_uint_eq(p->idle_ns, 7);
    ck_assert_uint_eq(p->age_ns, 8);
    ck_assert_uint_eq(p->invocation_max, 9);
    ck_assert_uint_eq(p->memory_bytes, 10 << 20);
    ck_assert_uint_eq(p->heap_bytes, 11);
    ck_assert_uint_eq(p->instance_bytes, 12);
    CLOSE();
}
END_TEST

static double half(double x)
{
    return x / 2;
}

START_TEST(describe_tells_versions_aliases_and_symbols)
{
    faas_function_info info = {.size = sizeof info};
    faas_share share = {1, 1};
    faas_fn fn, version, alias, symbol;

    OPEN_DEFAULT();
    fn = function_of(FAAS_FUNCTION(.name = "f", .handler = answers, .concurrency = 3));
    ck_assert_ok(faas_function_publish(w.rt, fn, NULL, &version));
    ck_assert_ok(faas_alias_put(w.rt, fn, "live", &share, 1, &alias));
    ck_assert_ok(
        faas_symbol_register(w.rt, "half", "d(d)", (void (*)(void))half, NULL, &symbol));
    ck_assert_ok(faas_function_describe(w.rt, version, &info));
    ck_assert_int_eq(info.kind, FAAS_KIND_VERSION);
    ck_assert_uint_eq(info.version, 1);
    ck_assert_str_eq(info.name, "f:1");
    ck_assert_uint_eq(info.policy.concurrency, 3);
    ck_assert_ok(faas_function_describe(w.rt, alias, &info));
    ck_assert_int_eq(info.kind, FAAS_KIND_ALIAS);
    ck_assert_str_eq(info.name, "f:live");
    ck_assert(same_fn(info.fn, alias));
    ck_assert_ok(faas_function_describe(w.rt, symbol, &info));
    ck_assert_str_eq(info.signature, "d(d)");
    ck_assert_int_eq(info.kind, FAAS_KIND_FUNCTION);
    CLOSE();
}
END_TEST

START_TEST(describe_fills_in_what_the_caller_knows)
{
    struct {
        faas_function_info info;
        char after[64];
    } big;
    faas_function_info small;
    faas_fn fn;

    OPEN_DEFAULT();
    fn = function_of(FAAS_FUNCTION(.name = "f", .handler = answers));
    memset(&big, 0x55, sizeof big);
    big.info.size = sizeof big;
    ck_assert_ok(faas_function_describe(w.rt, fn, &big.info));
    ck_assert_uint_eq(big.info.size, sizeof big);
    ck_assert_str_eq(big.info.name, "f");
    for (size_t i = 0; i < sizeof big.after; i++)
        ck_assert_int_eq(big.after[i], 0);
    memset(&small, 0x55, sizeof small);
    small.size = offsetof(faas_function_info, signature);
    ck_assert_ok(faas_function_describe(w.rt, fn, &small));
    ck_assert_str_eq(small.name, "f");
    ck_assert_int_eq(small.signature[0], 0x55);
    small.size = 0;
    ck_assert_status(faas_function_describe(w.rt, fn, &small), FAAS_EINVAL);
    small.size = 5000;
    ck_assert_status(faas_function_describe(w.rt, fn, &small), FAAS_EINVAL);
    CLOSE();
}
END_TEST

static int to_file(const char *text, size_t size, void *user)
{
    return fwrite(text, 1, size, user) == size ? 0 : 1;
}

/* Gives what is written to a Python program, as `text`; it must end well. */
static void check_with_python(faas_status (*describe)(faas_runtime *, faas_write *,
                                                      void *),
                              const char *program)
{
    char path[] = "/tmp/faas_test_XXXXXX", command[4096];
    int fd = mkstemp(path);
    FILE *file;

    ck_assert_int_ge(fd, 0);
    file = fdopen(fd, "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_ok(describe(w.rt, to_file, file));
    ck_assert_int_eq(fclose(file), 0);
    snprintf(command, sizeof command,
             "/usr/bin/python3 -c 'import sys, json\ntext = open(sys.argv[1], "
             "encoding=\"utf-8\", newline=\"\").read()\n%s' %s",
             program, path);
    ck_assert_int_eq(system(command), 0);
    ck_assert_int_eq(remove(path), 0);
}

START_TEST(the_json_text_says_all_and_is_json)
{
    faas_share shares[2] = {{1, 9}, {2, 1}};
    faas_fn fn;

    OPEN(.concurrency_max = 77, .memory_bytes = 1 << 30);
    ck_assert_ok(
        faas_symbol_register(w.rt, "half", "d(d)", (void (*)(void))half, NULL, NULL));
    fn = function_of(FAAS_FUNCTION(.name = "we\"ird\\\n\x01\x7f/\xc3\xbc\xf0\x9f\x98\x80",
                                   .handler = answers, .concurrency = 4, .provisioned = 2,
                                   .age_ns = 5, .on_full = FAAS_FULL_WAIT,
                                   .init = opens_nothing));
    ck_assert_ok(call(fn));
    fn = function_of(
        FAAS_FUNCTION(.name = "off", .handler = answers, .concurrency = FAAS_OFF));
    ck_assert_status(call(fn), FAAS_EBUSY);
    ck_assert_ok(faas_function_publish(w.rt, fn, NULL, NULL));
    ck_assert_ok(faas_function_publish(w.rt, fn, NULL, NULL));
    ck_assert_ok(faas_alias_put(w.rt, fn, "live", shares, 2, NULL));
    check_with_python(
        faas_describe_json,
        "def no_twice(pairs):\n"
        "    assert len(set(k for k, v in pairs)) == len(pairs)\n"
        "    return dict(pairs)\n"
        "d = json.loads(text, object_pairs_hook=no_twice)\n"
        "assert d[\"concurrency_max\"] == 77, d\n"
        "assert d[\"now_ns\"] == 1000 * 10**9\n"
        "assert d[\"memory_bytes\"] == 1 << 30\n"
        "assert d[\"held_bytes\"] > 0\n"
        "f = {x[\"name\"]: x for x in d[\"functions\"]}\n"
        "assert len(f) == len(d[\"functions\"]) == 6, f.keys()\n"
        "x = f[\"we\\x22ird\\x5c\\n\\x01\\x7f/\\u00fc\\U0001f600\"]\n"
        "assert x[\"kind\"] == \"function\" and \"signature\" not in x\n"
        "p = x[\"policy\"]\n"
        "assert p[\"concurrency\"] == 4 and p[\"provisioned\"] == 2\n"
        "assert p[\"on_full\"] == \"wait\" and p[\"age_ns\"] == 5\n"
        "assert p[\"wait_ns\"] is None and p[\"timeout_ns\"] == 60 * 10**9\n"
        "assert x[\"stats\"][\"invocations\"] == 1\n"
        "assert x[\"stats\"][\"cold_starts\"] == 2\n"
        "assert x[\"stats\"][\"instances\"] == 2\n"
        "assert abs(x[\"stats\"][\"billed_gb_s\"] - 0.125 * 0.001) < 1e-12\n"
        "assert f[\"half\"][\"signature\"] == \"d(d)\"\n"
        "assert f[\"off\"][\"policy\"][\"concurrency\"] == 0\n"
        "assert f[\"off\"][\"stats\"][\"throttles\"] == 1\n"
        "assert f[\"half\"][\"policy\"][\"concurrency\"] is None\n"
        "assert f[\"off:2\"][\"kind\"] == \"version\" and f[\"off:2\"][\"version\"] == "
        "2\n"
        "a = f[\"off:live\"]\n"
        "assert a[\"kind\"] == \"alias\" and \"stats\" not in a\n"
        "assert a[\"shares\"] == [{\"version\": 1, \"weight\": 9}, "
        "{\"version\": 2, \"weight\": 1}]\n");
    CLOSE();
}
END_TEST

/* Ends the writing at its n-th piece. */
static int ends_at(const char *text, size_t size, void *user)
{
    unsigned *left = user;

    ck_assert_uint_ge(size, 1);
    ck_assert_ptr_nonnull(text);
    ck_assert_uint_gt(*left, 0); // it is not called again
    return --*left == 0 ? -5 : 0;
}

START_TEST(a_writer_may_end_the_writing)
{
    OPEN_DEFAULT();
    for (int i = 0; i < 100; i++) {
        char name[16];

        snprintf(name, sizeof name, "f%d", i);
        (void)function_of(FAAS_FUNCTION(.name = name, .handler = answers));
    }
    for (unsigned n = 1; n <= 3; n++) {
        unsigned left = n;

        ck_assert_status(faas_describe_json(w.rt, ends_at, &left), FAAS_ESYSTEM);
        left = n;
        ck_assert_status(faas_prometheus(w.rt, ends_at, &left), FAAS_ESYSTEM);
    }
    CLOSE();
}
END_TEST

/* ---- replacing ---- */

static int says_user(faas_context *ctx, faas_bytes input)
{
    (void)input;
    return faas_reply(ctx, faas_str(faas_user(ctx)));
}

static char old_word[] = "old", new_word[] = "new";

START_TEST(a_replaced_function_keeps_its_handle_and_its_numbers)
{
    faas_result *result;
    faas_fn fn, found;

    OPEN_DEFAULT();
    fn = function_of(FAAS_FUNCTION(.name = "f", .handler = says_user, .user = old_word,
                                   .concurrency = 1));
    for (int i = 0; i < 3; i++)
        faas_result_release(result_of(fn, NULL));
    ck_assert_ok(
        faas_function_replace(w.rt, fn,
                              FAAS_FUNCTION(.name = "f", .handler = says_user,
                                            .user = new_word, .concurrency = 5)));
    result = result_of(fn, NULL);
    ck_assert_bytes(faas_result_bytes(result), "new");
    faas_result_release(result);
    ck_assert_ok(faas_function_find(w.rt, faas_str("f"), &found));
    ck_assert(same_fn(fn, found));
    ck_assert_uint_eq(stats_of(fn).invocations, 4);
    ck_assert_uint_eq(stats_of(fn).cold_starts, 2);
    ck_assert_uint_eq(stats_of(fn).instances, 1);

    ck_assert_status(
        faas_function_replace(w.rt, fn, FAAS_FUNCTION(.name = "g", .handler = answers)),
        FAAS_EINVAL);
    ck_assert_str_eq(faas_error_text(), "function.name: \"g\" is not \"f\"");
    ck_assert_status(faas_function_replace(w.rt, fn, FAAS_FUNCTION(.name = "f")),
                     FAAS_EINVAL);
    ck_assert_status(
        faas_function_replace(w.rt, fn,
                              FAAS_FUNCTION(.handler = answers, .concurrency = 2000000)),
        FAAS_EINVAL);
    result = result_of(fn, NULL);
    ck_assert_bytes(faas_result_bytes(result), "new");
    faas_result_release(result);
    CLOSE();
}
END_TEST

START_TEST(numbers_survive_many_replacements)
{
    faas_histogram latency;
    faas_function_stats stats = {.size = sizeof stats};
    faas_fn fn;

    OPEN_DEFAULT();
    fn = function_of(FAAS_FUNCTION(.name = "f", .handler = answers));
    for (unsigned i = 1; i <= 20; i++) {
        ck_assert_ok(call(fn));
        if (i % 4 != 0)
            ck_assert_ok(
                faas_function_replace(w.rt, fn, FAAS_FUNCTION(.handler = answers)));
        if (i % 5 == 0) // without a call between
            ck_assert_ok(
                faas_function_replace(w.rt, fn, FAAS_FUNCTION(.handler = answers)));
        ck_assert_ok(faas_function_stats_get(w.rt, fn, &stats, &latency));
        ck_assert_uint_eq(stats.invocations, i);
        ck_assert_uint_eq(latency.count[0], i);
    }
    CLOSE();
}
END_TEST

struct changer {
    pthread_t thread;
    faas_fn fn;
    const faas_function *by; /* NULL: unregister */
    faas_status status;
    atomic_bool done;
};

static void *changes(void *user)
{
    struct changer *c = user;

    c->status = c->by == NULL ? faas_function_unregister(w.rt, c->fn)
                              : faas_function_replace(w.rt, c->fn, c->by);
    atomic_store(&c->done, true);
    return NULL;
}

START_TEST(running_calls_finish_in_what_was_replaced_or_removed_and_are_waited_for)
{
    static const faas_function by = {.size = sizeof(faas_function), .handler = answers};

    for (int how = 0; how < 2; how++) {
        struct latch latch;
        struct caller c[2] = {{.limit_ns = 0}};
        struct changer changer = {.by = how == 0 ? NULL : &by};
        faas_fn found;

        OPEN_DEFAULT();
        latch_init(&latch);
        changer.fn =
            function_of(FAAS_FUNCTION(.name = "f", .handler = holds, .user = &latch));
        for (int i = 0; i < 2; i++)
            caller_start(&c[i], changer.fn);
        latch_await(&latch, 2);
        ck_assert_int_eq(pthread_create(&changer.thread, NULL, changes, &changer), 0);
        /* At once others see the change. */
        if (how == 0)
            while (faas_function_find(w.rt, faas_str("f"), &found) == FAAS_OK)
                (void)sched_yield();
        else
            while (stats_of(changer.fn).concurrency != 0)
                (void)sched_yield();
        ck_assert_status(call(changer.fn), how == 0 ? FAAS_ENOENT : FAAS_OK);
        latch_release(&latch, 1);
        (void)sched_yield();
        ck_assert(!atomic_load(&changer.done));
        latch_release(&latch, 1);
        for (int i = 0; i < 2; i++)
            ck_assert_ok(caller_join(&c[i]));
        ck_assert_int_eq(pthread_join(changer.thread, NULL), 0);
        ck_assert_ok(changer.status);
        if (how == 1)
            ck_assert_uint_eq(stats_of(changer.fn).invocations, 3);
        CLOSE();
    }
}
END_TEST

static atomic_int ends_seen;

static void notes_end(void *user)
{
    (void)user;
    atomic_fetch_add(&ends_seen, 1);
}

/* Removes or replaces the function that it is. */
static int changes_itself(faas_context *ctx, faas_bytes input)
{
    faas_runtime *rt = faas_context_runtime(ctx);
    faas_fn fn = faas_context_fn(ctx), found;
    faas_status status;
    char name[8];

    snprintf(name, sizeof name, "%s", faas_context_name(ctx));
    status = input.size == 0
                 ? faas_function_unregister(rt, fn)
                 : faas_function_replace(rt, fn, FAAS_FUNCTION(.handler = answers));
    if (status != FAAS_OK)
        return status;
    if (atomic_load(&ends_seen) != 0)
        return 1; // this call still runs in it
    if (faas_user(ctx) != old_word || strcmp(faas_context_name(ctx), name) != 0)
        return 2;
    if (input.size == 0)
        return faas_function_find(rt, faas_str(name), &found) == FAAS_ENOENT &&
                       faas_function_unregister(rt, fn) == FAAS_ENOENT &&
                       faas_invoke(rt, fn, input, 0, NULL) == FAAS_ENOENT
                   ? 0
                   : 3;
    return faas_invoke(rt, fn, input, 0, NULL) == FAAS_OK ? 0 : 4;
}

START_TEST(a_handler_may_remove_or_replace_its_own_function)
{
    static const char *const inputs[] = {NULL, "replace"};

    OPEN_DEFAULT();
    for (int i = 0; i < 20; i++) {
        faas_fn fn;

        atomic_store(&ends_seen, 0);
        fn = function_of(FAAS_FUNCTION(.name = "f", .handler = changes_itself,
                                       .user = old_word, .user_free = notes_end));
        faas_result_release(result_of(fn, inputs[i % 2]));
        ck_assert_int_eq(atomic_load(&ends_seen), 1);
        if (i % 2 == 1)
            ck_assert_ok(faas_function_unregister(w.rt, fn));
        ck_assert_status(call(fn), FAAS_ENOENT);
    }
    CLOSE();
    ck_assert_int_eq(atomic_load(&ends_seen), 1);
}
END_TEST

static int calls_back(faas_context *ctx, faas_bytes input)
{
    faas_fn *target = faas_user(ctx);
    faas_result *result;
    faas_status status =
        faas_invoke(faas_context_runtime(ctx), *target, input, 0, &result);
    int code = result == NULL ? status : faas_result_code(result);

    faas_result_release(result);
    return code;
}

static int removes_target(faas_context *ctx, faas_bytes input)
{
    (void)input;
    return faas_function_unregister(faas_context_runtime(ctx),
                                    *(faas_fn *)faas_user(ctx));
}

START_TEST(a_function_may_be_removed_by_a_call_nested_in_it)
{
    faas_fn outer, inner;

    OPEN_DEFAULT();
    for (int i = 0; i < 5; i++) {
        inner = function_of(
            FAAS_FUNCTION(.name = "inner", .handler = removes_target, .user = &outer));
        outer = function_of(
            FAAS_FUNCTION(.name = "outer", .handler = calls_back, .user = &inner));
        ck_assert_ok(call(outer));
        ck_assert_status(call(outer), FAAS_ENOENT);
        ck_assert_ok(faas_function_unregister(w.rt, inner));
    }
    CLOSE();
}
END_TEST

/* ---- updating ---- */

START_TEST(update_changes_what_is_set_and_leaves_the_rest)
{
    static const faas_function nothing = {.size = sizeof(size_t)};
    faas_function_info info = {.size = sizeof info};
    faas_fn fn;

    OPEN_DEFAULT();
    fn = function_of(FAAS_FUNCTION(.name = "f", .handler = answers, .concurrency = 7,
                                   .idle_ns = 5 * SEC, .wait_ns = SEC));
    ck_assert_ok(
        faas_function_update(w.rt, fn,
                             FAAS_FUNCTION(.idle_ns = 6 * SEC, .on_full = FAAS_FULL_WAIT,
                                           .memory_bytes = 1 << 20)));
    ck_assert_ok(faas_function_describe(w.rt, fn, &info));
    ck_assert_uint_eq(info.policy.concurrency, 7);
    ck_assert_uint_eq(info.policy.idle_ns, 6 * SEC);
    ck_assert_uint_eq(info.policy.wait_ns, SEC);
    ck_assert_int_eq(info.policy.on_full, FAAS_FULL_WAIT);
    ck_assert_uint_eq(info.policy.memory_bytes, 1 << 20);
    ck_assert_ok(faas_function_update(w.rt, fn, &nothing));
    CLOSE();
}
END_TEST

START_TEST(update_refuses_what_is_no_policy)
{
    static const faas_function rows[] = {
        {.size = sizeof(faas_function), .name = "g"},
        {.size = sizeof(faas_function), .handler = answers},
        {.size = sizeof(faas_function), .init = opens_nothing},
        {.size = sizeof(faas_function), .user = &frees},
        {.size = sizeof(faas_function), .user_free = counts_free},
        {.size = sizeof(faas_function), .instance_concurrency = 2},
        {.size = sizeof(faas_function), .concurrency = 1048577},
        {.size = sizeof(faas_function), .provisioned = 8}, // over its cap
        {.size = sizeof(faas_function), .on_full = (faas_full)-1},
        {.size = 0, .idle_ns = 1},
    };
    faas_function_info before = {.size = sizeof before}, after = {.size = sizeof after};
    faas_fn fn;

    OPEN_DEFAULT();
    fn = function_of(FAAS_FUNCTION(.name = "f", .handler = answers, .concurrency = 7));
    ck_assert_ok(faas_function_describe(w.rt, fn, &before));
    frees = 0;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ck_assert_status(faas_function_update(w.rt, fn, &rows[i]), FAAS_EINVAL);
        ck_assert_ok(faas_function_describe(w.rt, fn, &after));
        ck_assert_mem_eq(&before, &after, sizeof before);
    }
    ck_assert_uint_eq(frees, 0);
    CLOSE();
}
END_TEST

START_TEST(versions_and_aliases_never_change)
{
    faas_share share = {1, 1};
    faas_fn fn, fixed[2];

    OPEN_DEFAULT();
    fn = function_of(FAAS_FUNCTION(.name = "f", .handler = answers));
    ck_assert_ok(faas_function_publish(w.rt, fn, NULL, &fixed[0]));
    ck_assert_ok(faas_alias_put(w.rt, fn, "live", &share, 1, &fixed[1]));
    for (int i = 0; i < 2; i++) {
        frees = 0;
        ck_assert_status(
            faas_function_update(w.rt, fixed[i], FAAS_FUNCTION(.idle_ns = 1)),
            FAAS_EPERM);
        ck_assert_status(
            faas_function_replace(w.rt, fixed[i],
                                  FAAS_FUNCTION(.handler = answers, .user = &frees,
                                                .user_free = counts_free)),
            FAAS_EPERM);
        ck_assert_uint_eq(frees, 1);
        ck_assert_status(faas_function_publish(w.rt, fixed[i], NULL, NULL), FAAS_EPERM);
        ck_assert_status(faas_alias_put(w.rt, fixed[i], "a", &share, 1, NULL),
                         FAAS_EPERM);
        ck_assert_ok(call(fixed[i]));
    }
    CLOSE();
}
END_TEST

/* ---- lookups ---- */

static atomic_bool looked_up;

static void *looks_up(void *user)
{
    faas_fn fn;
    uint32_t at = 0;

    (void)user;
    if (faas_function_find(w.rt, faas_str("f"), &fn) != FAAS_OK ||
        faas_function_find(w.rt, faas_str("g"), &fn) != FAAS_ENOENT ||
        faas_function_next(w.rt, &at, &fn) != FAAS_OK)
        abort();
    atomic_store(&looked_up, true);
    return NULL;
}

START_TEST(a_lookup_takes_no_lock)
{
    pthread_t thread;

    OPEN_DEFAULT();
    (void)function_of(FAAS_FUNCTION(.name = "f", .handler = answers));
    faasi_lock(&w.rt->registry.lock);
    faasi_lock(&w.rt->gate.lock);
    ck_assert_int_eq(pthread_create(&thread, NULL, looks_up, NULL), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert(atomic_load(&looked_up));
    faasi_unlock(&w.rt->gate.lock);
    faasi_unlock(&w.rt->registry.lock);
    CLOSE();
}
END_TEST

static atomic_bool storm_ends;

static void *looks_up_in_a_storm(void *user)
{
    unsigned seen = 0;

    while (!atomic_load(&storm_ends) || seen == 0)
        for (int i = 0; i < 64; i++) {
            char name[16];
            faas_result *result;
            faas_fn fn;
            faas_status status;

            snprintf(name, sizeof name, "f%d", i);
            if (faas_function_find(w.rt, faas_str(name), &fn) != FAAS_OK) {
                if (i % 2 == 0)
                    abort(); // the even ones are always there
                continue;
            }
            status = faas_invoke(w.rt, fn, faas_str(NULL), 0, &result);
            if (status == FAAS_ENOENT && i % 2 == 1)
                continue; // it went between
            if (status != FAAS_OK || faas_result_bytes(result).size != strlen(name) ||
                memcmp(faas_result_bytes(result).data, name, strlen(name)) != 0)
                abort();
            faas_result_release(result);
            seen++;
        }
    *(unsigned *)user = seen;
    return NULL;
}

static int says_name(faas_context *ctx, faas_bytes input)
{
    (void)input;
    return faas_reply(ctx, faas_str(faas_context_name(ctx)));
}

START_TEST(lookups_are_right_while_functions_come_and_go)
{
#ifdef FAASI_SANITIZED
    const int rounds = 30;
#else
    const int rounds = 200;
#endif
    pthread_t threads[2];
    unsigned seen[2];
    faas_fn fns[64];

    OPEN_DEFAULT();
    for (int i = 0; i < 64; i++) {
        char name[16];

        snprintf(name, sizeof name, "f%d", i);
        fns[i] = function_of(FAAS_FUNCTION(.name = name, .handler = says_name));
    }
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, looks_up_in_a_storm, &seen[i]),
                         0);
    for (int round = 0; round < rounds; round++)
        for (int i = 1; i < 64; i += 2) {
            char name[16];

            ck_assert_ok(faas_function_unregister(w.rt, fns[i]));
            snprintf(name, sizeof name, "f%d", i);
            fns[i] = function_of(FAAS_FUNCTION(.name = name, .handler = says_name));
        }
    atomic_store(&storm_ends, true);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    CLOSE();
}
END_TEST

START_TEST(a_million_functions_take_at_most_512_bytes_each)
{
#ifdef FAASI_SANITIZED
    const uint32_t count = 20000;
#else
    const uint32_t count = 1000000;
#endif
    size_t before;
    uint32_t listed = 0, at = 0;
    char name[32];
    faas_fn fn, found;

    OPEN_DEFAULT();
    before = atomic_load(&w.faulty.live_bytes);
    for (uint32_t i = 0; i < count; i++) {
        snprintf(name, sizeof name, "function-%07" PRIu32, i);
        ck_assert_ok(faas_function_register(
            w.rt, FAAS_FUNCTION(.name = name, .handler = says_name), &fn));
    }
    printf("%zu bytes per function\n",
           (atomic_load(&w.faulty.live_bytes) - before) / count);
    ck_assert_uint_le((atomic_load(&w.faulty.live_bytes) - before) / count, 512);
    for (uint32_t i = 0; i < count; i += 97) {
        faas_result *result;

        snprintf(name, sizeof name, "function-%07" PRIu32, i);
        ck_assert_ok(faas_function_find(w.rt, faas_str(name), &found));
        if (i % (97 * 64) != 0)
            continue;
        result = result_of(found, NULL);
        ck_assert_bytes(faas_result_bytes(result), name);
        faas_result_release(result);
    }
    snprintf(name, sizeof name, "function-%07" PRIu32, count);
    ck_assert_status(faas_function_find(w.rt, faas_str(name), &found), FAAS_ENOENT);
    while (faas_function_next(w.rt, &at, &fn) == FAAS_OK)
        listed++;
    ck_assert_uint_eq(listed, count);
    CLOSE();
}
END_TEST

SUITE_MAIN("registry", a_name_is_1_to_255_bytes_of_utf_8, a_name_is_compared_whole,
           a_name_is_given_once_until_it_is_free_again,
           a_place_that_is_reused_gives_a_new_handle_each_time,
           a_descriptor_that_is_out_of_range_is_refused_and_its_user_freed,
           a_descriptor_knows_older_and_newer_programs,
           user_is_freed_once_however_the_function_ends, the_list_has_everything_once,
           describe_tells_the_policy_that_is_in_force,
           describe_tells_versions_aliases_and_symbols,
           describe_fills_in_what_the_caller_knows, the_json_text_says_all_and_is_json,
           a_writer_may_end_the_writing,
           a_replaced_function_keeps_its_handle_and_its_numbers,
           numbers_survive_many_replacements,
           running_calls_finish_in_what_was_replaced_or_removed_and_are_waited_for,
           a_handler_may_remove_or_replace_its_own_function,
           a_function_may_be_removed_by_a_call_nested_in_it,
           update_changes_what_is_set_and_leaves_the_rest,
           update_refuses_what_is_no_policy, versions_and_aliases_never_change,
           a_lookup_takes_no_lock, lookups_are_right_while_functions_come_and_go,
           a_million_functions_take_at_most_512_bytes_each)

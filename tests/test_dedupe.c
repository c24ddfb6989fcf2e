/* SPDX-License-Identifier: MIT */
/* test_dedupe.c - an event that is published again in the window runs nothing, and what is
 * remembered keeps to its time and its bytes. */
#include "runtime_support.h"

#include "core/dedupe.h"

static atomic_uint ran;

/* A runtime with one function that gets every event. */
#define OPEN_BUS(...)                                                                    \
    do {                                                                                 \
        OPEN(__VA_ARGS__);                                                               \
        atomic_store(&ran, 0);                                                           \
        ck_assert_ok(faas_subscribe(                                                     \
            w.rt,                                                                        \
            function_of(FAAS_FUNCTION(.name = "all", .handler = counts, .user = &ran)),  \
            NULL, NULL));                                                                \
    } while (0)

#define EVENT(...) event_of(FAAS_EVENT(.type = "t", .allocator = &w.alloc, __VA_ARGS__))

static faas_event *event_of(const faas_event_options *options)
{
    faas_event *event;

    ck_assert_ok(faas_event_create(options, &event));
    return event;
}

/* Publishes and releases; says whether it was new, and that the delivery says the same. */
static bool is_new(faas_event *event)
{
    unsigned before = atomic_load(&ran);
    faas_delivery d;

    ck_assert_ok(faas_publish(w.rt, event, &d));
    faas_event_release(event);
    ck_assert_uint_le(d.repeated, 1);
    ck_assert_uint_eq(d.matched, 1 - d.repeated);
    ck_assert_uint_eq(atomic_load(&ran) - before, d.matched);
    return d.repeated == 0;
}

static bool id_is_new(const char *source, const char *id)
{
    return is_new(EVENT(.source = source, .id = id));
}

START_TEST(a_runtime_that_was_not_asked_publishes_everything)
{
    OPEN_BUS(.dedupe_ns = 5 * SEC);
    ck_assert(id_is_new("s", "1"));
    ck_assert(id_is_new("s", "1"));
    CLOSE();
    OPEN_BUS(.dedupe = FAAS_DEDUPE_OFF);
    ck_assert(id_is_new("s", "1"));
    ck_assert(id_is_new("s", "1"));
    CLOSE();
}
END_TEST

START_TEST(an_unknown_way_is_refused)
{
    faas_runtime_options options = FAAS_RUNTIME_OPTIONS_INIT;
    faas_runtime *rt;

    options.dedupe = FAAS_DEDUPE_CONTENT + 1;
    ck_assert_status(faas_runtime_open(&rt, &options), FAAS_EINVAL);
    ck_assert_ptr_null(rt);
}
END_TEST

START_TEST(a_source_and_id_are_published_once)
{
    OPEN_BUS(.dedupe = FAAS_DEDUPE_ID);
    ck_assert(id_is_new("s", "1"));
    ck_assert(!id_is_new("s", "1"));
    ck_assert(!is_new(
        EVENT(.source = "s", .id = "1", .subject = "other", .data = faas_str("1"))));
    ck_assert(id_is_new("s", "2"));
    ck_assert(id_is_new("r", "1"));
    ck_assert(!id_is_new("s", "1"));
    CLOSE();
}
END_TEST

START_TEST(a_source_and_an_id_do_not_run_into_each_other)
{
    OPEN_BUS(.dedupe = FAAS_DEDUPE_ID);
    ck_assert(id_is_new("a", "bc"));
    ck_assert(id_is_new("ab", "c"));
    ck_assert(id_is_new("bc", "a"));
    CLOSE();
}
END_TEST

START_TEST(the_window_is_five_minutes_from_the_first_one)
{
    OPEN_BUS(.dedupe = FAAS_DEDUPE_ID);
    for (int round = 0; round < 2; round++) {
        ck_assert(id_is_new("s", "1"));
        pass_ns(200 * SEC);
        ck_assert(!id_is_new("s", "1"));
        pass_ns(100 * SEC - 1);
        ck_assert(!id_is_new("s", "1")); // the one before did not prolong it
        pass_ns(1);
    }
    CLOSE();
}
END_TEST

START_TEST(a_window_may_be_a_nanosecond_or_without_end)
{
    OPEN_BUS(.dedupe = FAAS_DEDUPE_ID, .dedupe_ns = 1);
    ck_assert(id_is_new("s", "1"));
    ck_assert(!id_is_new("s", "1"));
    pass_ns(1);
    ck_assert(id_is_new("s", "1"));
    CLOSE();
    OPEN_BUS(.dedupe = FAAS_DEDUPE_ID, .dedupe_ns = FAAS_FOREVER);
    ck_assert(id_is_new("s", "1"));
    pass_ns(1000000 * SEC);
    ck_assert(!id_is_new("s", "1"));
    CLOSE();
}
END_TEST

START_TEST(content_is_everything_but_the_id_and_the_time)
{
    const faas_extension extensions[] = {
        faas_extension_string("a", "1"),   faas_extension_string("a", "2"),
        faas_extension_string("b", "1"),   faas_extension_integer("a", 1),
        faas_extension_integer("a", 2),    faas_extension_boolean("a", true),
        faas_extension_boolean("a", false)};

    OPEN_BUS(.dedupe = FAAS_DEDUPE_CONTENT);
    ck_assert(is_new(EVENT(.source = "s", .id = "1")));
    ck_assert(!is_new(EVENT(.source = "s", .id = "2")));
    ck_assert(!is_new(EVENT(.source = "s", .id = "3", .time = "2020-01-01T00:00:00Z")));
    ck_assert(is_new(EVENT(.source = "r", .id = "1")));
    ck_assert(is_new(event_of(
        FAAS_EVENT(.type = "u", .source = "s", .id = "1", .allocator = &w.alloc))));
    ck_assert(is_new(EVENT(.source = "s", .id = "1", .subject = "x")));
    ck_assert(is_new(EVENT(.source = "s", .id = "1", .data_schema = "http://x/")));
    ck_assert(is_new(EVENT(.source = "s", .id = "1", .data_content_type = "text/x")));
    for (int again = 0; again < 2; again++)
        for (size_t i = 0; i < FAASI_COUNT(extensions); i++)
            ck_assert(is_new(EVENT(.source = "s", .id = "1", .extensions = &extensions[i],
                                   .extension_count = 1)) == (again == 0));
    ck_assert(is_new(EVENT(.source = "s", .id = "1", .data = faas_str("1"))));
    ck_assert(is_new(EVENT(.source = "s", .id = "1", .data = faas_str("11"))));
    ck_assert(!is_new(EVENT(.source = "s", .id = "2", .data = faas_str("1"))));
    ck_assert(!is_new(EVENT(.source = "s", .id = "1")));
    CLOSE();
}
END_TEST

START_TEST(no_data_and_empty_data_differ)
{
    OPEN_BUS(.dedupe = FAAS_DEDUPE_CONTENT);
    ck_assert(is_new(EVENT(.source = "s", .id = "1", .data_content_type = "text/x")));
    ck_assert(is_new(
        EVENT(.source = "s", .id = "1", .data_content_type = "text/x", .data = {"", 0})));
    ck_assert(!is_new(
        EVENT(.source = "s", .id = "1", .data_content_type = "text/x", .data = {"", 0})));
    CLOSE();
}
END_TEST

START_TEST(the_order_of_extensions_says_nothing)
{
    const faas_extension one[] = {faas_extension_string("a", "1"),
                                  faas_extension_integer("b", 2)};
    const faas_extension two[] = {one[1], one[0]};

    OPEN_BUS(.dedupe = FAAS_DEDUPE_CONTENT);
    ck_assert(
        is_new(EVENT(.source = "s", .id = "1", .extensions = one, .extension_count = 2)));
    ck_assert(!is_new(
        EVENT(.source = "s", .id = "2", .extensions = two, .extension_count = 2)));
    CLOSE();
}
END_TEST

static void data_back(void *data, size_t size, void *user)
{
    (void)data;
    (void)size;
    ++*(int *)user;
}

START_TEST(data_goes_back_to_its_owner_with_the_event)
{
    char data[] = "[1]";
    int back = 0;

    OPEN_BUS(.dedupe = FAAS_DEDUPE_CONTENT);
    ck_assert(is_new(EVENT(.source = "s", .id = "1", .data = faas_str(data),
                           .data_free = data_back, .data_user = &back)));
    ck_assert_int_eq(back, 1);
    data[1] = '2';
    ck_assert(is_new(EVENT(.source = "s", .id = "1", .data = faas_str(data))));
    data[1] = '1';
    ck_assert(!is_new(EVENT(.source = "s", .id = "1", .data = faas_str(data))));
    CLOSE();
}
END_TEST

START_TEST(a_publish_that_failed_does_not_count)
{
    faas_event *event;
    faas_delivery d;

    OPEN_BUS(.dedupe = FAAS_DEDUPE_ID);
    ck_assert_ok(faas_rule_put(
        w.rt, "other", "{\"type\": [\"u\"]}",
        function_of(FAAS_FUNCTION(.name = "other", .handler = counts, .user = &ran))));
    event = EVENT(.source = "s", .id = "1");
    for (int i = 0; i < 2; i++) {
        /* It is remembered, and then there is no memory for how rules see it. */
        w.faulty.fail_at = atomic_load(&w.faulty.calls) + 2;
        ck_assert_status(faas_publish(w.rt, event, &d), FAAS_ENOMEM);
        w.faulty.fail_at = 0;
        ck_assert_uint_eq(d.repeated, 0);
        ck_assert_uint_eq(w.rt->dedupe.number, (unsigned)i + 1);
        ck_assert_uint_eq(w.rt->dedupe.count, 0);
    }
    ck_assert_uint_eq(atomic_load(&ran), 0);
    ck_assert(is_new(event));
    CLOSE();
}
END_TEST

static int publishes_it_again(faas_context *ctx, faas_bytes input)
{
    faas_delivery d;
    faas_status status = faas_publish(w.rt, faas_context_event(ctx), &d);

    (void)input;
    return status != FAAS_OK || d.repeated != 1 || d.matched != 0;
}

START_TEST(a_handler_that_publishes_its_own_event_repeats_it)
{
    faas_event *event;
    faas_delivery d;

    OPEN(.dedupe = FAAS_DEDUPE_ID);
    ck_assert_ok(faas_subscribe(
        w.rt, function_of(FAAS_FUNCTION(.name = "again", .handler = publishes_it_again)),
        NULL, NULL));
    event = EVENT(.source = "s", .id = "1");
    ck_assert_ok(faas_publish(w.rt, event, &d));
    ck_assert_uint_eq(d.ran, 1);
    faas_event_release(event);
    CLOSE();
}
END_TEST

static const char *number_of(int i)
{
    static char text[16];

    snprintf(text, sizeof text, "%08d", i);
    return text;
}

START_TEST(the_oldest_leave_when_the_bytes_are_used_up)
{
    enum { KEPT = 20 };
    uint64_t each;

    OPEN_BUS(.dedupe = FAAS_DEDUPE_ID);
    ck_assert(id_is_new("s", number_of(0)));
    each = w.rt->dedupe.bytes;
    ck_assert_uint_gt(each, 8);
    CLOSE();
    OPEN_BUS(.dedupe = FAAS_DEDUPE_ID, .dedupe_bytes = KEPT * each + each / 2);
    for (int i = 0; i < 3 * KEPT; i++) {
        ck_assert(id_is_new("s", number_of(i)));
        ck_assert_uint_le(w.rt->dedupe.bytes, KEPT * each + each / 2);
    }
    ck_assert_uint_eq(w.rt->dedupe.count, KEPT);
    for (int i = 2 * KEPT; i < 3 * KEPT; i++)
        ck_assert(!id_is_new("s", number_of(i)));
    ck_assert(id_is_new("s", number_of(2 * KEPT - 1)));
    ck_assert(id_is_new("s", number_of(2 * KEPT)));
    CLOSE();
}
END_TEST

START_TEST(an_event_over_the_bytes_is_published_and_pushes_nothing_out)
{
    static char big[2000];

    OPEN_BUS(.dedupe = FAAS_DEDUPE_CONTENT, .dedupe_bytes = 1500);
    ck_assert(id_is_new("s", "1"));
    for (int i = 0; i < 2; i++)
        ck_assert(is_new(EVENT(.source = "s", .id = "1", .data_content_type = "a/b",
                               .data = {big, sizeof big})));
    ck_assert(!id_is_new("s", "1"));
    CLOSE();
}
END_TEST

START_TEST(what_is_over_leaves_with_the_publishes_after_it)
{
    enum { MANY = 1000 };

    OPEN_BUS(.dedupe = FAAS_DEDUPE_ID, .dedupe_ns = SEC);
    for (int i = 0; i < MANY; i++)
        ck_assert(id_is_new("s", number_of(i)));
    ck_assert_uint_eq(w.rt->dedupe.count, MANY);
    pass_ns(SEC);
    for (int i = 0; i < MANY / 10; i++) {
        size_t before = w.rt->dedupe.count;

        ck_assert(id_is_new("r", number_of(i)));
        ck_assert_uint_ge(w.rt->dedupe.count + 16, before); // not all of them on one
    }
    ck_assert_uint_eq(w.rt->dedupe.count, MANY / 10);
    CLOSE();
}
END_TEST

START_TEST(without_memory_events_are_published)
{
    struct faasi_dedupe_ticket ticket = {0, 0};
    struct faasi_dedupe dedupe;
    faas_runtime_options options = {
        .size = sizeof options, .dedupe = FAAS_DEDUPE_ID, .allocator = &w.alloc};
    faas_event *event;

    w.alloc = faulty_allocator(&w.faulty);
    w.faulty.fail_at = 1;
    ck_assert_status(faasi_dedupe_init(&dedupe, &options), FAAS_ENOMEM);
    ck_assert_uint_eq(atomic_load(&w.faulty.live_blocks), 0);
    w.faulty.fail_at = 0;
    ck_assert_ok(faasi_dedupe_init(&dedupe, &options));
    /* An entry's own, and that of longer tables, of which there are two. */
    for (int i = 0; i < 600; i++) {
        event = EVENT(.source = "s", .id = number_of(i));
        w.faulty.fail_at = atomic_load(&w.faulty.calls) + 1;
        ck_assert(faasi_dedupe_enter(&dedupe, event, 0, &ticket));
        ck_assert_uint_eq(ticket.number, 0);
        faasi_dedupe_forget(&dedupe, &ticket);
        w.faulty.fail_at = atomic_load(&w.faulty.calls) + 2;
        ck_assert(faasi_dedupe_enter(&dedupe, event, 0, &ticket));
        ck_assert_uint_ne(ticket.number, 0);
        w.faulty.fail_at = 0;
        ck_assert(!faasi_dedupe_enter(&dedupe, event, 0, &ticket));
        ck_assert_uint_eq(ticket.number, 0);
        faas_event_release(event);
    }
    ck_assert_uint_eq(dedupe.count, 600);
    ck_assert_uint_eq(dedupe.size, 256); // it never got a longer one
    event = EVENT(.source = "s", .id = number_of(600));
    ck_assert(faasi_dedupe_enter(&dedupe, event, 0, &ticket));
    faas_event_release(event);
    for (int i = 0; i <= 600; i++) {
        event = EVENT(.source = "s", .id = number_of(i));
        ck_assert(!faasi_dedupe_enter(&dedupe, event, 0, &ticket));
        faas_event_release(event);
    }
    faasi_dedupe_fini(&dedupe);
    ck_assert_uint_eq(atomic_load(&w.faulty.live_blocks), 0);
}
END_TEST

/* ---- against a list that is searched ---- */

static struct {
    int id;
    uint64_t since;
    uint64_t number;
} kept[4000]; /* by when they came */

static size_t kept_count;

static void kept_drop(size_t at)
{
    memmove(kept + at, kept + at + 1, (--kept_count - at) * sizeof kept[0]);
}

START_TEST(a_list_that_is_searched_says_the_same)
{
    const uint64_t window = 100;

    w.alloc = faulty_allocator(&w.faulty);
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct faasi_dedupe_ticket ticket;
        struct faasi_dedupe dedupe;
        faas_runtime_options options = {.size = sizeof options,
                                        .dedupe = FAAS_DEDUPE_ID,
                                        .dedupe_ns = window,
                                        .dedupe_bytes = seed % 2 == 0 ? 3000 : 0,
                                        .allocator = &w.alloc};
        uint64_t state = seed, now = 0, each = 0;

        ck_assert_ok(faasi_dedupe_init(&dedupe, &options));
        kept_count = 0;
        for (int i = 0; i < 2000; i++) {
            faas_event *event;
            size_t at = 0;
            bool fresh;
            int id;

            state = state * 6364136223846793005u + 1442695040888963407u;
            id = (int)(state >> 33) % 600;
            now += (state >> 60) == 0 ? 1 + seed : 0;
            event = EVENT(.source = "s", .id = number_of(id));
            fresh = faasi_dedupe_enter(&dedupe, event, now, &ticket);
            faas_event_release(event);
            if (each == 0)
                each = dedupe.bytes;
            while (at < kept_count && kept[at].id != id)
                at++;
            ck_assert(fresh == (at == kept_count || now - kept[at].since >= window));
            if (!fresh)
                continue;
            if (at < kept_count)
                kept_drop(at);
            /* Whether the others that are over have left shows only by the bytes. */
            for (int over = 0;
                 over < 16 && kept_count > 0 && now - kept[0].since >= window; over++)
                kept_drop(0);
            if (options.dedupe_bytes != 0 && (kept_count + 1) * each > 3000)
                kept_drop(0);
            kept[kept_count].id = id;
            kept[kept_count].since = now;
            kept[kept_count++].number = ticket.number;
            if ((state >> 50) % 8 == 0) {
                faasi_dedupe_forget(&dedupe, &ticket);
                faasi_dedupe_forget(&dedupe, &ticket);
                kept_count--;
            }
            ck_assert_uint_eq(dedupe.count, kept_count);
            ck_assert_uint_eq(dedupe.bytes, kept_count * each);
        }
        faasi_dedupe_fini(&dedupe);
        ck_assert_uint_eq(atomic_load(&w.faulty.live_blocks), 0);
    }
}
END_TEST

/* ---- threads ---- */

enum { THREADS = 4, IDS = 2000 };

static atomic_uint times[IDS];
static atomic_uint repeated;
static pthread_barrier_t start;

static int notes_id(faas_context *ctx, faas_bytes input)
{
    (void)input;
    atomic_fetch_add(&times[atoi(faas_event_id(faas_context_event(ctx)))], 1);
    return 0;
}

static void *publishes_all(void *user)
{
    int step = *(const int *)user;

    (void)pthread_barrier_wait(&start);
    for (int i = 0; i < IDS; i++) {
        char id[16];
        faas_event *event;
        faas_delivery d;

        snprintf(id, sizeof id, "%d", i * step % IDS);
        if (faas_event_create(
                FAAS_EVENT(.type = "t", .source = "s", .id = id, .allocator = &w.alloc),
                &event) != FAAS_OK)
            abort();
        if (faas_publish(w.rt, event, &d) != FAAS_OK)
            abort();
        atomic_fetch_add(&repeated, d.repeated);
        faas_event_release(event);
    }
    return NULL;
}

START_TEST(of_threads_that_publish_the_same_one_is_first)
{
    static int steps[THREADS] = {1, 1, 3, 7}; /* none divides IDS: each id comes once */
    pthread_t threads[THREADS];

    OPEN(.dedupe = FAAS_DEDUPE_ID);
    ck_assert_ok(faas_subscribe(
        w.rt, function_of(FAAS_FUNCTION(.name = "notes", .handler = notes_id)), NULL,
        NULL));
    ck_assert_int_eq(pthread_barrier_init(&start, NULL, THREADS), 0);
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, publishes_all, &steps[i]), 0);
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    for (int i = 0; i < IDS; i++)
        ck_assert_uint_eq(atomic_load(&times[i]), 1);
    ck_assert_uint_eq(atomic_load(&repeated), (THREADS - 1) * IDS);
    CLOSE();
}
END_TEST

struct entering {
    pthread_t thread;
    struct faasi_dedupe *dedupe;
    faas_event **events;
    unsigned entered;
};

/* Remembers and forgets in turn, so that entries come and go under the others. */
static void *enters_all(void *user)
{
    struct entering *e = user;

    (void)pthread_barrier_wait(&start);
    for (int i = 0; i < 20 * IDS; i++) {
        struct faasi_dedupe_ticket ticket;

        if (!faasi_dedupe_enter(e->dedupe, e->events[i % IDS], 0, &ticket))
            continue;
        e->entered++;
        faasi_dedupe_forget(e->dedupe, &ticket);
    }
    return NULL;
}

START_TEST(threads_may_remember_and_forget_at_once)
{
    static faas_event *events[IDS];
    struct entering entering[THREADS];
    unsigned entered = 0;
    struct faasi_dedupe dedupe;
    faas_runtime_options options = {.size = sizeof options,
                                    .dedupe = FAAS_DEDUPE_ID,
                                    .dedupe_bytes = 100000,
                                    .allocator = &w.alloc};

    w.alloc = faulty_allocator(&w.faulty);
    ck_assert_ok(faasi_dedupe_init(&dedupe, &options));
    for (int i = 0; i < IDS; i++)
        events[i] = EVENT(.source = "s", .id = number_of(i));
    ck_assert_int_eq(pthread_barrier_init(&start, NULL, THREADS), 0);
    for (int i = 0; i < THREADS; i++) {
        entering[i] = (struct entering){.dedupe = &dedupe, .events = events};
        ck_assert_int_eq(
            pthread_create(&entering[i].thread, NULL, enters_all, &entering[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        ck_assert_int_eq(pthread_join(entering[i].thread, NULL), 0);
        entered += entering[i].entered;
    }
    ck_assert_uint_ge(entered, IDS); // of each the first one was new
    ck_assert_uint_eq(dedupe.count, 0);
    ck_assert_uint_eq(dedupe.bytes, 0);
    for (int i = 0; i < IDS; i++)
        faas_event_release(events[i]);
    faasi_dedupe_fini(&dedupe);
    ck_assert_uint_eq(atomic_load(&w.faulty.live_blocks), 0);
}
END_TEST

SUITE_MAIN("dedupe", a_runtime_that_was_not_asked_publishes_everything,
           an_unknown_way_is_refused, a_source_and_id_are_published_once,
           a_source_and_an_id_do_not_run_into_each_other,
           the_window_is_five_minutes_from_the_first_one,
           a_window_may_be_a_nanosecond_or_without_end,
           content_is_everything_but_the_id_and_the_time, no_data_and_empty_data_differ,
           the_order_of_extensions_says_nothing,
           data_goes_back_to_its_owner_with_the_event,
           a_publish_that_failed_does_not_count,
           a_handler_that_publishes_its_own_event_repeats_it,
           the_oldest_leave_when_the_bytes_are_used_up,
           an_event_over_the_bytes_is_published_and_pushes_nothing_out,
           what_is_over_leaves_with_the_publishes_after_it,
           without_memory_events_are_published, a_list_that_is_searched_says_the_same,
           of_threads_that_publish_the_same_one_is_first,
           threads_may_remember_and_forget_at_once)

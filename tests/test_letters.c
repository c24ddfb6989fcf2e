/* SPDX-License-Identifier: MIT */
/* test_letters.c - dead letters are kept whole within their bounds, none is lost without
 * being shown, and they are found, sent again and thrown away by filters. */
#include "runtime_support.h"

#include "core/letters.h"

/* ---- the store alone ---- */

static struct faulty memory;
static const faas_allocator alloc = {faulty_alloc, faulty_free, &memory};
static struct faasi_letters letters;
static char shown[4096]; /* by the callback, request by request */
static char listed[4096];

static void note(char *journal, const faas_record *record)
{
    size_t at = strlen(journal);

    snprintf(journal + at, 4096 - at, "%.*s ", (int)record->request.size,
             (const char *)record->request.data);
}

static void shows(const faas_record *record, void *user)
{
    ck_assert_ptr_eq(user, &letters);
    /* No lock is held: it may call everything. */
    faasi_lock(&letters.lock);
    faasi_unlock(&letters.lock);
    note(shown, record);
}

static void store_open(uint32_t slots, uint64_t bytes)
{
    faas_runtime_options options = {.size = sizeof options,
                                    .dead_letter_slots = slots,
                                    .dead_letter_bytes = bytes,
                                    .dead_letter = shows,
                                    .dead_letter_user = &letters,
                                    .allocator = &alloc};

    shown[0] = '\0';
    ck_assert_ok(faasi_letters_init(&letters, &options));
}

static void store_close(void)
{
    faasi_letters_fini(&letters);
    ck_assert_uint_eq(atomic_load(&memory.live_blocks), 0);
}

static void put(const char *request)
{
    faas_record record = {.size = sizeof record,
                          .function = "f",
                          .error = "",
                          .request = faas_str(request)};

    faasi_letters_put(&letters, &record);
}

/* The requests of those that a filter finds. */
static const char *found(const faas_letter_filter *filter)
{
    struct faasi_letter *letter = NULL, *next;

    listed[0] = '\0';
    while ((next = faasi_letters_next(&letters, filter, letter)) != NULL) {
        if (letter != NULL)
            faasi_letter_release(&letters, letter);
        letter = next;
        note(listed, &letter->record);
    }
    if (letter != NULL)
        faasi_letter_release(&letters, letter);
    return listed;
}

/* The one with a request, referenced. */
static struct faasi_letter *letter_of(const char *request)
{
    struct faasi_letter *letter = NULL, *next;

    while ((next = faasi_letters_next(&letters, FAAS_LETTERS(.most = 0), letter)) !=
           NULL) {
        if (letter != NULL)
            faasi_letter_release(&letters, letter);
        letter = next;
        if (strncmp(letter->record.request.data, request, letter->record.request.size) ==
            0)
            return letter;
    }
    ck_abort_msg("no letter %s", request);
}

START_TEST(a_letter_is_a_copy_of_the_whole_record)
{
    char function[] = "resize:3", error[] = "gone", request[] = "in", response[] = "out",
         group[] = "g", tenant[] = "t";
    faas_record record = {.size = sizeof record,
                          .request_id = {1, 2},
                          .fn = {3, 4, 5},
                          .function = function,
                          .version = 3,
                          .attempts = 6,
                          .condition = FAAS_RETRIES_EXHAUSTED,
                          .status = FAAS_EHANDLER,
                          .code = -7,
                          .priority = FAAS_PRIORITY_LOW,
                          .request = {request, 2},
                          .response = {response, 3},
                          .error = error,
                          .group = {group, 1},
                          .tenant = {tenant, 1},
                          .submitted_ns = 8,
                          .ended_ns = 9,
                          .ended_unix_ns = -10};
    struct faasi_letter *letter;
    const faas_record *r;

    store_open(0, 0);
    faasi_letters_put(&letters, &record);
    memset(function, 'x', sizeof function - 1);
    memset(error, 'x', sizeof error - 1);
    memset(request, 'x', sizeof request - 1);
    memset(response, 'x', sizeof response - 1);
    group[0] = tenant[0] = 'x';
    letter = faasi_letters_next(&letters, FAAS_LETTERS(.most = 0), NULL);
    ck_assert_ptr_nonnull(letter);
    r = &letter->record;
    ck_assert_uint_eq(r->size, sizeof *r);
    ck_assert_uint_eq(r->request_id.high, 1);
    ck_assert_uint_eq(r->request_id.low, 2);
    ck_assert(same_fn(r->fn, record.fn));
    ck_assert_str_eq(r->function, "resize:3");
    ck_assert_uint_eq(r->version, 3);
    ck_assert_uint_eq(r->attempts, 6);
    ck_assert_int_eq(r->condition, FAAS_RETRIES_EXHAUSTED);
    ck_assert_int_eq(r->status, FAAS_EHANDLER);
    ck_assert_int_eq(r->code, -7);
    ck_assert_int_eq(r->priority, FAAS_PRIORITY_LOW);
    ck_assert_bytes(r->request, "in");
    ck_assert_bytes(r->response, "out");
    ck_assert_str_eq(r->error, "gone");
    ck_assert_bytes(r->group, "g");
    ck_assert_bytes(r->tenant, "t");
    ck_assert_ptr_null(r->event);
    ck_assert_uint_eq(r->submitted_ns, 8);
    ck_assert_uint_eq(r->ended_ns, 9);
    ck_assert_int_eq(r->ended_unix_ns, -10);
    faasi_letter_release(&letters, letter);
    store_close();
}
END_TEST

START_TEST(what_is_absent_stays_absent_and_what_is_empty_empty)
{
    faas_record record = {.size = sizeof record,
                          .function = "f",
                          .error = "",
                          .response = {"", 0},
                          .group = {"", 0}};
    struct faasi_letter *letter;

    store_open(0, 0);
    faasi_letters_put(&letters, &record);
    letter = faasi_letters_next(&letters, FAAS_LETTERS(.most = 0), NULL);
    ck_assert_ptr_null(letter->record.request.data);
    ck_assert_ptr_nonnull(letter->record.response.data);
    ck_assert_ptr_nonnull(letter->record.group.data);
    ck_assert_ptr_null(letter->record.tenant.data);
    faasi_letter_release(&letters, letter);
    store_close();
}
END_TEST

static void data_back(void *data, size_t size, void *user)
{
    (void)data;
    (void)size;
    ++*(int *)user;
}

START_TEST(an_event_is_shared_and_its_bytes_count)
{
    static char data[3000];
    faas_record record = {.size = sizeof record, .function = "f", .error = ""};
    struct faasi_letter *letter;
    int back = 0;

    store_open(0, 11500);
    for (int i = 0; i < 4; i++) {
        ck_assert_ok(faas_event_create(
            FAAS_EVENT(.id = "1", .source = "s", .type = "t", .data_content_type = "a/b",
                       .data = {data, sizeof data}, .allocator = &alloc,
                       .data_free = i % 2 == 0 ? data_back : NULL, .data_user = &back),
            &record.event));
        record.request = faas_event_data(record.event);
        faasi_letters_put(&letters, &record);
        faas_event_release(record.event);
        ck_assert_uint_le(letters.bytes, 11500);
        ck_assert_uint_ge(letters.bytes, letters.count * sizeof data);
    }
    ck_assert_uint_eq(letters.count, 3); // four are too many bytes
    ck_assert_uint_eq(letters.evicted, 1);
    ck_assert_int_eq(back, 1);
    letter = faasi_letters_next(&letters, FAAS_LETTERS(.most = 0), NULL);
    ck_assert_ptr_eq(letter->record.request.data,
                     faas_event_data(letter->record.event).data);
    faasi_letter_release(&letters, letter);
    store_close();
    ck_assert_int_eq(back, 2);
}
END_TEST

START_TEST(a_full_store_shows_the_oldest_and_counts_it)
{
    store_open(3, 0);
    put("a");
    put("b");
    put("c");
    ck_assert_str_eq(shown, "");
    put("d");
    put("e");
    ck_assert_str_eq(shown, "a b ");
    ck_assert_uint_eq(letters.evicted, 2);
    ck_assert_str_eq(found(FAAS_LETTERS(.most = 0)), "c d e ");
    store_close();
    ck_assert_str_eq(shown, "a b c d e "); // at the end those that are left
}
END_TEST

START_TEST(bytes_are_a_bound_too)
{
    char long_one[301];
    uint64_t each;

    memset(long_one, 'l', 300);
    long_one[300] = '\0';
    store_open(0, 0);
    put("a");
    each = letters.bytes;
    store_close();
    store_open(0, 4 * each);
    for (const char *const *at = (const char *const[]){"a", "b", "c", "d", NULL};
         *at != NULL; at++)
        put(*at);
    ck_assert_str_eq(shown, "");
    ck_assert_uint_eq(letters.bytes, 4 * each);
    put(long_one); // as large as several: the oldest that it takes
    ck_assert_uint_le(letters.bytes, 4 * each);
    ck_assert_uint_ge(letters.count, 2);
    ck_assert_uint_eq(letters.count, 5 - letters.evicted);
    ck_assert_int_eq(shown[0], 'a');
    store_close();
}
END_TEST

START_TEST(one_that_is_too_large_is_shown_and_pushes_nothing_out)
{
    static char big[2000];

    memset(big, 'b', sizeof big - 1);
    store_open(0, 1500);
    put("a");
    put(big);
    ck_assert_uint_eq(strlen(shown), sizeof big);
    ck_assert_uint_eq(letters.evicted, 1);
    ck_assert_str_eq(found(FAAS_LETTERS(.most = 0)), "a ");
    store_close();
}
END_TEST

START_TEST(a_store_that_is_off_shows_everything)
{
    store_open(FAAS_OFF, 0);
    put("a");
    ck_assert_str_eq(shown, "a ");
    ck_assert_uint_eq(letters.count, 0);
    ck_assert_uint_eq(letters.evicted, 1);
    store_close();
    ck_assert_str_eq(shown, "a ");
}
END_TEST

START_TEST(without_memory_a_letter_is_shown)
{
    store_open(0, 0);
    put("a");
    memory.fail_at = atomic_load(&memory.calls) + 1;
    put("b");
    put("c");
    ck_assert_str_eq(shown, "b ");
    ck_assert_uint_eq(letters.evicted, 1);
    ck_assert_str_eq(found(FAAS_LETTERS(.most = 0)), "a c ");
    store_close();
}
END_TEST

START_TEST(filters_must_all_hold)
{
    static const struct {
        const char *request;
        faas_fn fn;
        faas_condition condition;
        faas_status status;
        const char *group, *tenant;
        faas_id id;
        uint64_t ended_ns;
    } all[] = {
        {"a", {1, 1, 1}, FAAS_DROPPED, FAAS_EBUSY, "g", "t", {0, 1}, 10},
        {"b", {1, 1, 2}, FAAS_DROPPED, FAAS_ECLOSED, "h", "t", {1, 1}, 20},
        {"c", {1, 2, 1}, FAAS_RETRIES_EXHAUSTED, FAAS_EHANDLER, "", "u", {0, 2}, 30},
        {"d", {2, 1, 1}, FAAS_EVENT_AGE_EXCEEDED, FAAS_EEXPIRED, NULL, NULL, {1, 0}, 40},
    };

    store_open(0, 0);
    for (size_t i = 0; i < FAASI_COUNT(all); i++) {
        faas_record record = {.size = sizeof record,
                              .function = "f",
                              .error = "",
                              .request = faas_str(all[i].request),
                              .fn = all[i].fn,
                              .condition = all[i].condition,
                              .status = all[i].status,
                              .group = faas_str(all[i].group),
                              .tenant = faas_str(all[i].tenant),
                              .request_id = all[i].id,
                              .ended_ns = all[i].ended_ns};

        faasi_letters_put(&letters, &record);
    }
    ck_assert_str_eq(found(FAAS_LETTERS(.most = 0)), "a b c d ");
    for (size_t i = 0; i < FAASI_COUNT(all); i++) {
        char expect[3] = {all[i].request[0], ' ', '\0'};

        ck_assert_str_eq(found(FAAS_LETTERS(.fn = all[i].fn)), expect);
        ck_assert_str_eq(found(FAAS_LETTERS(.status = all[i].status)), expect);
        ck_assert_str_eq(found(FAAS_LETTERS(.request_id = all[i].id)), expect);
        if (all[i].group != NULL)
            ck_assert_str_eq(found(FAAS_LETTERS(.group = faas_str(all[i].group))),
                             expect);
    }
    ck_assert_str_eq(found(FAAS_LETTERS(.condition = FAAS_DROPPED)), "a b ");
    ck_assert_str_eq(found(FAAS_LETTERS(.tenant = faas_str("t"))), "a b ");
    ck_assert_str_eq(found(FAAS_LETTERS(.tenant = faas_str("tt"))), "");
    ck_assert_str_eq(found(FAAS_LETTERS(.tenant = faas_str(""))), "");
    ck_assert_str_eq(found(FAAS_LETTERS(.ended_after_ns = 20)), "b c d ");
    ck_assert_str_eq(found(FAAS_LETTERS(.ended_before_ns = 20)), "a ");
    ck_assert_str_eq(found(FAAS_LETTERS(.ended_after_ns = 11, .ended_before_ns = 40)),
                     "b c ");
    ck_assert_str_eq(
        found(FAAS_LETTERS(.condition = FAAS_DROPPED, .group = faas_str("h"))), "b ");
    ck_assert_str_eq(
        found(FAAS_LETTERS(.condition = FAAS_CANCELLED, .group = faas_str("h"))), "");
    store_close();
}
END_TEST

START_TEST(a_listing_goes_on_where_it_stood_when_that_one_has_gone)
{
    struct faasi_letter *b, *c, *next;

    store_open(3, 0);
    put("a");
    put("b");
    put("c");
    b = letter_of("b");
    ck_assert(faasi_letters_remove(&letters, b));
    ck_assert(!faasi_letters_remove(&letters, b));
    next = faasi_letters_next(&letters, FAAS_LETTERS(.most = 0), b);
    c = letter_of("c");
    ck_assert_ptr_eq(next, c);
    faasi_letter_release(&letters, next);
    ck_assert_bytes(b->record.request, "b"); // it is ours as long as we hold it
    put("d");
    put("e"); // pushes a out
    put("f"); // and c, on which we stand
    ck_assert_str_eq(shown, "a c ");
    next = faasi_letters_next(&letters, FAAS_LETTERS(.most = 0), c);
    ck_assert_bytes(next->record.request, "d");
    faasi_letter_release(&letters, next);
    faasi_letter_release(&letters, b);
    faasi_letter_release(&letters, c);
    store_close();
}
END_TEST

START_TEST(what_was_removed_goes_back_to_its_place)
{
    static const char *const names[] = {"a", "b", "c", "d"};

    for (size_t i = 0; i < FAASI_COUNT(names); i++) {
        struct faasi_letter *letter;

        store_open(0, 0);
        for (size_t k = 0; k < FAASI_COUNT(names); k++)
            put(names[k]);
        letter = letter_of(names[i]);
        ck_assert(faasi_letters_remove(&letters, letter));
        faasi_letters_restore(&letters, letter);
        faasi_letter_release(&letters, letter);
        ck_assert_str_eq(found(FAAS_LETTERS(.most = 0)), "a b c d ");
        ck_assert_uint_eq(letters.count, 4);
        store_close();
        ck_assert_str_eq(shown, "a b c d ");
    }
}
END_TEST

START_TEST(what_finds_its_place_taken_is_shown)
{
    struct faasi_letter *letter;

    store_open(2, 0);
    put("a");
    put("b");
    letter = letter_of("a");
    ck_assert(faasi_letters_remove(&letters, letter));
    put("c");
    faasi_letters_restore(&letters, letter); // it is the oldest, and there are three
    faasi_letter_release(&letters, letter);
    ck_assert_str_eq(shown, "a ");
    ck_assert_str_eq(found(FAAS_LETTERS(.most = 0)), "b c ");
    store_close();
}
END_TEST

/* ---- by the runtime ---- */

static int visited;

static int visits(const faas_record *record, void *user)
{
    note(listed, record);
    return ++visited == *(const int *)user ? 1 : 0;
}

static void runtime_put(faas_fn fn, const char *request, uint64_t ended_ns)
{
    faas_record record = {.size = sizeof record,
                          .function = "f",
                          .error = "",
                          .fn = fn,
                          .condition = FAAS_RETRIES_EXHAUSTED,
                          .status = FAAS_EHANDLER,
                          .priority = FAAS_PRIORITY_NORMAL,
                          .request = faas_str(request),
                          .ended_ns = ended_ns};

    faasi_letters_put(&w.rt->letters, &record);
}

static const char *listed_by(const faas_letter_filter *filter, int end, uint64_t *count)
{
    listed[0] = '\0';
    visited = 0;
    ck_assert_ok(faas_letters_list(w.rt, filter, visits, &end, count));
    return listed;
}

START_TEST(letters_are_listed_counted_and_purged)
{
    static const faas_fn none;
    uint64_t count;

    OPEN(.worker_max = FAAS_OFF);
    ck_assert_ok(faas_letters_list(w.rt, NULL, NULL, NULL, &count));
    ck_assert_uint_eq(count, 0);
    for (const char *at = "a\0b\0c\0d\0e\0"; *at != '\0'; at += 2)
        runtime_put(none, at, (uint64_t)(*at - 'a') + 1);
    ck_assert_ok(faas_letters_list(w.rt, NULL, NULL, NULL, &count));
    ck_assert_uint_eq(count, 5);
    ck_assert_str_eq(listed_by(NULL, 0, NULL), "a b c d e ");
    ck_assert_str_eq(listed_by(FAAS_LETTERS(.most = 2), 0, &count), "a b ");
    ck_assert_uint_eq(count, 2);
    ck_assert_str_eq(listed_by(FAAS_LETTERS(.ended_after_ns = 2), 2, &count), "b c ");
    ck_assert_uint_eq(count, 2);
    ck_assert_ok(
        faas_letters_purge(w.rt, FAAS_LETTERS(.ended_after_ns = 2, .most = 3), &count));
    ck_assert_uint_eq(count, 3);
    ck_assert_str_eq(listed_by(NULL, 0, NULL), "a e ");
    ck_assert_ok(faas_letters_purge(w.rt, NULL, NULL));
    ck_assert_str_eq(listed_by(NULL, 0, &count), "");
    ck_assert_uint_eq(count, 0);
    CLOSE();
}
END_TEST

START_TEST(a_filter_that_is_wrong_is_refused)
{
    struct {
        faas_letter_filter known;
        uint64_t newer;
    } newer = {{.size = sizeof newer}, 1};
    faas_letter_filter unset = {.size = 0};
    static const faas_fn none;
    uint64_t count = 9;

    OPEN(.worker_max = FAAS_OFF);
    runtime_put(none, "a", 1);
    ck_assert_status(faas_letters_list(w.rt, &unset, NULL, NULL, &count), FAAS_EINVAL);
    ck_assert_uint_eq(count, 0);
    ck_assert_status(faas_letters_purge(w.rt, &unset, NULL), FAAS_EINVAL);
    ck_assert_status(faas_letters_redrive(w.rt, &unset, none, NULL), FAAS_EINVAL);
    ck_assert_status(faas_letters_list(w.rt, &newer.known, NULL, NULL, NULL),
                     FAAS_EVERSION);
    ck_assert_status(faas_letters_purge(w.rt, &newer.known, NULL), FAAS_EVERSION);
    ck_assert_str_eq(listed_by(NULL, 0, NULL), "a ");
    CLOSE();
}
END_TEST

static int purges_it_all(const faas_record *record, void *user)
{
    uint64_t count;

    note(listed, record);
    ck_assert_ok(faas_letters_purge(w.rt, NULL, &count));
    ck_assert_uint_eq(count, *(const uint64_t *)user);
    ck_assert_bytes(record->request, "a"); // still there
    return 0;
}

START_TEST(a_visitor_may_throw_away_what_it_is_shown)
{
    static const faas_fn none;
    uint64_t all = 2, count;

    OPEN(.worker_max = FAAS_OFF);
    runtime_put(none, "a", 1);
    runtime_put(none, "b", 1);
    listed[0] = '\0';
    ck_assert_ok(faas_letters_list(w.rt, NULL, purges_it_all, &all, &count));
    ck_assert_str_eq(listed, "a ");
    ck_assert_uint_eq(count, 1);
    CLOSE();
}
END_TEST

static char ran_with[256];

static int notes_input(faas_context *ctx, faas_bytes input)
{
    size_t at = strlen(ran_with);

    (void)ctx;
    snprintf(ran_with + at, sizeof ran_with - at, "%.*s ", (int)input.size,
             (const char *)input.data);
    return 0;
}

static void run_all(void)
{
    while (faas_run_once(w.rt, FAAS_FOREVER, NULL) != 0)
        continue;
}

START_TEST(letters_are_sent_again_to_where_they_came_from_or_elsewhere)
{
    static const faas_fn none;
    faas_fn f, g;
    uint64_t count;

    OPEN(.worker_max = FAAS_OFF);
    f = function_of(FAAS_FUNCTION(.name = "f", .handler = notes_input));
    g = function_of(FAAS_FUNCTION(.name = "g", .handler = notes_input));
    ran_with[0] = '\0';
    for (const char *at = "a\0b\0c\0d\0"; *at != '\0'; at += 2)
        runtime_put(f, at, 1);
    ck_assert_ok(faas_letters_redrive(w.rt, FAAS_LETTERS(.most = 3), none, &count));
    ck_assert_uint_eq(count, 3);
    ck_assert_str_eq(listed_by(NULL, 0, NULL), "d ");
    run_all();
    ck_assert_str_eq(ran_with, "a b c ");
    ck_assert_uint_eq(stats_of(f).invocations, 3);
    ck_assert_ok(faas_letters_redrive(w.rt, NULL, g, &count));
    ck_assert_uint_eq(count, 1);
    run_all();
    ck_assert_str_eq(ran_with, "a b c d ");
    ck_assert_uint_eq(stats_of(g).invocations, 1);
    ck_assert_str_eq(listed_by(NULL, 0, NULL), "");
    CLOSE();
}
END_TEST

START_TEST(a_letter_that_is_refused_stays_where_it_was)
{
    static const faas_fn none;
    faas_fn f, gone;
    uint64_t count;

    OPEN(.worker_max = FAAS_OFF);
    f = function_of(FAAS_FUNCTION(.name = "f", .handler = notes_input));
    gone = function_of(FAAS_FUNCTION(.name = "gone", .handler = answers));
    ck_assert_ok(faas_function_unregister(w.rt, gone));
    ran_with[0] = '\0';
    runtime_put(f, "a", 1);
    runtime_put(gone, "b", 1);
    runtime_put(f, "c", 1);
    ck_assert_status(faas_letters_redrive(w.rt, NULL, none, &count), FAAS_ENOENT);
    ck_assert_uint_eq(count, 1);
    ck_assert_str_eq(listed_by(NULL, 0, NULL), "b c ");
    run_all();
    ck_assert_str_eq(ran_with, "a ");
    CLOSE();
}
END_TEST

/* ---- threads ---- */

enum { THREADS = 3, EACH = 10000 };

static atomic_uint taken;
static pthread_barrier_t start;

static void *puts_many(void *user)
{
    (void)user;
    (void)pthread_barrier_wait(&start);
    for (int i = 0; i < EACH; i++)
        put("x");
    return NULL;
}

static void *takes_many(void *user)
{
    (void)user;
    (void)pthread_barrier_wait(&start);
    for (int i = 0; i < EACH / 10; i++) {
        struct faasi_letter *letter = NULL, *next;

        while ((next = faasi_letters_next(&letters, FAAS_LETTERS(.most = 0), letter)) !=
               NULL) {
            if (letter != NULL)
                faasi_letter_release(&letters, letter);
            letter = next;
            if (((const char *)letter->record.request.data)[0] != 'x')
                abort();
            if (!faasi_letters_remove(&letters, letter))
                continue;
            if (i % 4 == 0)
                faasi_letters_restore(&letters, letter);
            else
                atomic_fetch_add(&taken, 1);
        }
        if (letter != NULL)
            faasi_letter_release(&letters, letter);
    }
    return NULL;
}

static void counts_shown(const faas_record *record, void *user)
{
    (void)record;
    atomic_fetch_add((atomic_uint *)user, 1);
}

START_TEST(threads_may_put_look_and_take_at_once)
{
    atomic_uint showed = 0;
    pthread_t threads[2 * THREADS];
    faas_runtime_options options = {.size = sizeof options,
                                    .dead_letter_slots = 20,
                                    .dead_letter = counts_shown,
                                    .dead_letter_user = &showed,
                                    .allocator = &alloc};

    ck_assert_ok(faasi_letters_init(&letters, &options));
    ck_assert_int_eq(pthread_barrier_init(&start, NULL, 2 * THREADS), 0);
    for (int i = 0; i < 2 * THREADS; i++)
        ck_assert_int_eq(
            pthread_create(&threads[i], NULL, i % 2 == 0 ? puts_many : takes_many, NULL),
            0);
    for (int i = 0; i < 2 * THREADS; i++)
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    ck_assert_uint_le(letters.count, 20);
    ck_assert_uint_eq(atomic_load(&showed), letters.evicted);
    /* Every one is in the store, was shown, or was taken. */
    ck_assert_uint_eq(letters.count + atomic_load(&showed) + atomic_load(&taken),
                      THREADS * EACH);
    store_close();
}
END_TEST

SUITE_MAIN("letters", a_letter_is_a_copy_of_the_whole_record,
           what_is_absent_stays_absent_and_what_is_empty_empty,
           an_event_is_shared_and_its_bytes_count,
           a_full_store_shows_the_oldest_and_counts_it, bytes_are_a_bound_too,
           one_that_is_too_large_is_shown_and_pushes_nothing_out,
           a_store_that_is_off_shows_everything, without_memory_a_letter_is_shown,
           filters_must_all_hold, a_listing_goes_on_where_it_stood_when_that_one_has_gone,
           what_was_removed_goes_back_to_its_place, what_finds_its_place_taken_is_shown,
           letters_are_listed_counted_and_purged, a_filter_that_is_wrong_is_refused,
           a_visitor_may_throw_away_what_it_is_shown,
           letters_are_sent_again_to_where_they_came_from_or_elsewhere,
           a_letter_that_is_refused_stays_where_it_was,
           threads_may_put_look_and_take_at_once)

/* SPDX-License-Identifier: MIT */
/* test_names.c - names are found, taken out and put in again, also without memory. */
#include "support.h"

#include "core/grace.h"
#include "core/names.h"

#include <pthread.h>

static struct faulty memory;
static const faas_allocator alloc = {faulty_alloc, faulty_free, &memory};
static struct faasi_names names;

/* Names of up to sixteen bytes stand in the table itself, longer ones behind it. */
static void name_of(char text[48], uint32_t i)
{
    snprintf(text, 48, i % 3 == 0 ? "n%u, which is too long for the table" : "n%u", i);
}

static struct faasi_named find(const char *text)
{
    struct faasi_named named;

    faasi_read_enter();
    named = faasi_names_find(&names, faas_str(text));
    faasi_read_leave();
    return named;
}

static bool is_there(const char *text)
{
    return find(text).generation != 0;
}

static void take_out(const char *text)
{
    const struct faasi_name *name = faasi_names_remove(&names, faas_str(text));

    faasi_grace_wait();
    faasi_names_free(&names, name);
}

START_TEST(a_table_grows_and_finds_everything)
{
    enum { MANY = 20000 };
    char text[48];

    faasi_grace_start();
    ck_assert_ok(faasi_names_init(&names, &alloc));
    for (uint32_t i = 0; i < MANY; i++) {
        name_of(text, i);
        ck_assert_ok(faasi_names_insert(&names, faas_str(text), i, i + 1));
        ck_assert_status(faasi_names_insert(&names, faas_str(text), 0, 1), FAAS_EEXIST);
    }
    for (uint32_t i = 0; i < MANY; i++) {
        name_of(text, i);
        ck_assert_uint_eq(find(text).index, i);
        ck_assert_uint_eq(find(text).generation, i + 1);
    }
    name_of(text, MANY);
    ck_assert(!is_there(text));
    ck_assert_uint_eq(names.count, MANY);
    faasi_names_fini(&names);
    ck_assert_uint_eq(atomic_load(&memory.live_blocks), 0);
}
END_TEST

START_TEST(coming_and_going_does_not_grow_the_table)
{
    size_t live;
    char text[48];

    faasi_grace_start();
    ck_assert_ok(faasi_names_init(&names, &alloc));
    ck_assert_ok(faasi_names_insert(&names, faas_str("stays"), 1, 1));
    live = atomic_load(&memory.live_bytes);
    for (unsigned i = 0; i < 10000; i++) {
        snprintf(text, sizeof text, "comes%u", i);
        ck_assert_ok(faasi_names_insert(&names, faas_str(text), i, 1));
        take_out(text);
        ck_assert(!is_there(text));
        ck_assert(is_there("stays"));
    }
    ck_assert_uint_eq(atomic_load(&memory.live_bytes), live);
    faasi_names_fini(&names);
    ck_assert_uint_eq(atomic_load(&memory.live_blocks), 0);
}
END_TEST

START_TEST(what_cannot_be_inserted_leaves_the_table_as_it_was)
{
    faasi_grace_start();
    for (unsigned n = 1;; n++) {
        bool failed = false;
        char text[48];

        memory = (struct faulty){.fail_at = n};
        if (faasi_names_init(&names, &alloc) != FAAS_OK) {
            ck_assert_uint_eq(atomic_load(&memory.live_blocks), 0);
            continue;
        }
        for (uint32_t i = 0; i < 100; i++) {
            faas_status status;

            name_of(text, i);
            status = faasi_names_insert(&names, faas_str(text), i, 1);
            if (status != FAAS_OK) {
                ck_assert_status(status, FAAS_ENOMEM);
                ck_assert(!is_there(text));
                ck_assert_uint_eq(names.count, i);
                failed = true;
                ck_assert_ok(faasi_names_insert(&names, faas_str(text), i, 1));
            }
        }
        for (uint32_t i = 0; i < 100; i++) {
            name_of(text, i);
            ck_assert_uint_eq(find(text).index, i);
        }
        faasi_names_fini(&names);
        ck_assert_uint_eq(atomic_load(&memory.live_blocks), 0);
        if (!failed)
            break;
    }
}
END_TEST

static atomic_bool ends;

static void *finds(void *user)
{
    (void)user;
    while (!atomic_load(&ends))
        for (uint32_t i = 0; i < 64; i += 2) {
            char text[48];
            struct faasi_named named;

            name_of(text, i);
            faasi_read_enter();
            named = faasi_names_find(&names, faas_str(text));
            if (named.generation != 1 || named.index != i)
                abort();
            name_of(text, i + 1);
            named = faasi_names_find(&names, faas_str(text));
            if (named.generation != 0 && named.index != i + 1)
                abort();
            faasi_read_leave();
        }
    return NULL;
}

START_TEST(readers_find_what_stays_while_others_come_and_go)
{
#ifdef FAASI_SANITIZED
    const int rounds = 30;
#else
    const int rounds = 200;
#endif
    pthread_t threads[2];
    char text[48];

    faasi_grace_start();
    ck_assert_ok(faasi_names_init(&names, &alloc));
    for (uint32_t i = 0; i < 64; i++) {
        name_of(text, i);
        ck_assert_ok(faasi_names_insert(&names, faas_str(text), i, 1));
    }
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, finds, NULL), 0);
    for (int round = 0; round < rounds; round++)
        for (uint32_t i = 1; i < 64; i += 2) {
            name_of(text, i);
            take_out(text);
            ck_assert_ok(faasi_names_insert(&names, faas_str(text), i, 1));
        }
    atomic_store(&ends, true);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    faasi_names_fini(&names);
    ck_assert_uint_eq(atomic_load(&memory.live_blocks), 0);
}
END_TEST

SUITE_MAIN("names", a_table_grows_and_finds_everything,
           coming_and_going_does_not_grow_the_table,
           what_cannot_be_inserted_leaves_the_table_as_it_was,
           readers_find_what_stays_while_others_come_and_go)

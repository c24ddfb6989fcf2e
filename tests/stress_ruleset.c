/* SPDX-License-Identifier: MIT */
/* Edits against matching: readers see the set before or after an edit, never between. Run
 * under the thread sanitizer. */
#include "rule_maker.h"
#include "support.h"

#include <faas/rules.h>

#include <pthread.h>
#include <sched.h>

#if defined(FAASI_SANITIZED)
#define EDITS 1500
#else
#define EDITS 9000
#endif

#define READERS 2

/* All of them match `event`, each through another index. */
static const char *const flips[] = {
    "{\"f\":[\"x-y\"]}",
    "{\"f\":[{\"prefix\":\"x\"},{\"suffix\":\"z\"}]}",
    "{\"n\":[{\"numeric\":[\">\",1,\"<\",9]}],\"f\":[{\"anything-but\":\"x\"}]}",
    "{\"$or\":[{\"f\":[\"x-y\"]},{\"n\":[5]},{\"new\":[{\"exists\":false}]}]}",
    "{\"f\":[{\"wildcard\":\"x*y\"}],\"o\":{\"a\":[1],\"b\":[2]}}",
    "{\"f\":[{\"equals-ignore-case\":\"X-Y\"}],\"gone\":[{\"exists\":false}]}",
};
static const char event[] = "{\"f\":\"x-y\",\"n\":5,\"o\":[{\"a\":1},{\"a\":1,\"b\":2}],"
                            "\"a\":[1,\"ab\"],\"b\":{\"a\":2,\"b\":\"a\"}}";

#define FLIPS (sizeof flips / sizeof flips[0])

struct shared {
    faas_ruleset *set;
    atomic_bool done;
    atomic_uint wrong;
    atomic_ulong matches;
};

static void *reader_run(void *user)
{
    struct shared *shared = user;
    bool strict = false;

    while (!atomic_load(&shared->done)) {
        faas_match out[256];
        size_t count, steady = 0, flip = 0;
        faas_status status =
            faas_ruleset_match(shared->set, faas_bytes_of(event, sizeof event - 1),
                               strict ? 0 : FAAS_EVENT_TRUSTED, out, 256, &count);

        strict = !strict;
        if (status != FAAS_OK || count > 256)
            atomic_fetch_add(&shared->wrong, 1);
        for (size_t i = 0; i < count && i < 256; i++) {
            steady += out[i].user == (void *)1;
            flip += out[i].user == (void *)2;
        }
        if (steady != 1 || flip != 1)
            atomic_fetch_add(&shared->wrong, 1);
        atomic_fetch_add(&shared->matches, 1);
    }
    return NULL;
}

START_TEST(readers_see_a_rule_before_or_after_an_edit_never_between)
{
    static struct maker m = {.state = 88172645463325252, .valid = true};
    struct shared shared = {.wrong = 0};
    pthread_t readers[READERS];

    ck_assert_ok(faas_ruleset_open(&shared.set, NULL));
    ck_assert_ok(faas_ruleset_put(shared.set, "steady", faas_str(flips[0]), (void *)1));
    ck_assert_ok(faas_ruleset_put(shared.set, "flip", faas_str(flips[0]), (void *)2));
    for (int i = 0; i < READERS; i++)
        ck_assert_int_eq(pthread_create(&readers[i], NULL, reader_run, &shared), 0);
    /* On a loaded machine the edits could be over before a reader has begun. */
    while (atomic_load(&shared.matches) < READERS)
        (void)sched_yield();
    for (int i = 0; i < EDITS; i++) {
        char name[16];

        ck_assert_ok(faas_ruleset_put(shared.set, "flip",
                                      faas_str(flips[maker_pick(&m, FLIPS)]), (void *)2));
        snprintf(name, sizeof name, "%u", maker_pick(&m, 60));
        if (maker_pick(&m, 3) == 0) {
            (void)!faas_ruleset_delete(shared.set, name);
        } else {
            maker_pattern(&m);
            (void)!faas_ruleset_put(shared.set, name, faas_bytes_of(m.text, m.used),
                                    NULL);
        }
    }
    atomic_store(&shared.done, true);
    for (int i = 0; i < READERS; i++)
        pthread_join(readers[i], NULL);
    ck_assert_uint_eq(atomic_load(&shared.wrong), 0);
    faas_ruleset_close(shared.set);
}
END_TEST

struct editor {
    faas_ruleset *set;
    uint64_t seed;
};

static void *editor_run(void *user)
{
    struct editor *editor = user;
    struct maker *m = calloc(1, sizeof *m);

    m->state = editor->seed;
    for (int i = 0; i < EDITS / 3; i++) {
        char name[16];

        snprintf(name, sizeof name, "%u", maker_pick(m, 20));
        if (maker_pick(m, 2) == 0) {
            (void)!faas_ruleset_delete(editor->set, name);
        } else {
            maker_pattern(m);
            (void)!faas_ruleset_put(editor->set, name, faas_bytes_of(m->text, m->used),
                                    NULL);
        }
    }
    free(m);
    return NULL;
}

START_TEST(editors_take_turns)
{
    struct editor editors[2];
    pthread_t threads[2];
    faas_ruleset *set;
    size_t removed = 0;

    ck_assert_ok(faas_ruleset_open(&set, NULL));
    for (int i = 0; i < 2; i++) {
        editors[i] = (struct editor){set, 77 + (uint64_t)i};
        ck_assert_int_eq(pthread_create(&threads[i], NULL, editor_run, &editors[i]), 0);
    }
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    for (unsigned i = 0; i < 20; i++) {
        char name[16];

        snprintf(name, sizeof name, "%u", i);
        removed += faas_ruleset_count(set);
        if (faas_ruleset_delete(set, name) != FAAS_OK)
            continue;
    }
    ck_assert_uint_gt(removed, 0);
    ck_assert_uint_eq(faas_ruleset_count(set), 0);
    faas_ruleset_close(set);
}
END_TEST

SUITE_MAIN("stress_ruleset", readers_see_a_rule_before_or_after_an_edit_never_between,
           editors_take_turns)

/* SPDX-License-Identifier: MIT */
/* support.h - what tests share: an assertion on statuses, an allocator that counts and
 * fails when told to, and a main() from a list of tests.
 *
 *     START_TEST(zero_is_refused)
 *     {
 *         ck_assert_status(thing_open(0), FAAS_EINVAL);
 *     }
 *     END_TEST
 *
 *     SUITE_MAIN("thing", zero_is_refused, one_is_enough)
 *
 * One test alone: CK_RUN_CASE=zero_is_refused test_thing; in a debugger CK_FORK=no. */
#ifndef SUPPORT_H
#define SUPPORT_H

#include <faas/base.h>

#include <check.h>
#include <dirent.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Compares statuses by name, and shows the error text when they differ. */
#define ck_assert_status(expr, expected)                                                 \
    do {                                                                                 \
        faas_status ck_got_ = (expr);                                                    \
        faas_status ck_want_ = (expected);                                               \
        ck_assert_msg(ck_got_ == ck_want_, "%s is %s, not %s; error text: \"%s\"",       \
                      #expr, faas_status_name(ck_got_), faas_status_name(ck_want_),      \
                      faas_error_text());                                                \
    } while (0)

#define ck_assert_ok(expr) ck_assert_status(expr, FAAS_OK)

/* An allocator that fails at its `fail_at`-th call (0: never), or from that call on, and
 * counts what is out. It aborts, on whichever thread, when a block comes back with
 * another size than it was asked for with, twice, or written past its end.
 *
 *     struct faulty f = {.fail_at = 3};
 *     faas_allocator alloc = faulty_allocator(&f);
 *
 * Blocks come filled with 0xa5 and are overwritten when they go. Thread: any. */
struct faulty {
    unsigned fail_at;
    bool from_then_on;
    atomic_uint calls;        /* of alloc, the failing ones included */
    atomic_uint failures;     /* how many of those got NULL */
    atomic_size_t live_bytes; /* as asked for */
    atomic_size_t live_blocks;
    atomic_size_t peak_bytes;
};

/* Stands before the bytes; 16 of them keep the alignment. */
struct faulty_head {
    uint64_t size;
    uint64_t mark;
};

#define FAULTY_LIVE UINT64_C(0x6c6976656c697665)
#define FAULTY_FREED UINT64_C(0x6672656566726565)
#define FAULTY_TAIL UINT64_C(0x7461696c7461696c)

static inline void *faulty_alloc(size_t size, void *user)
{
    struct faulty *f = user;
    unsigned call = atomic_fetch_add(&f->calls, 1) + 1;
    const uint64_t tail = FAULTY_TAIL;
    struct faulty_head *head;
    size_t live, peak;

    if (size == 0) {
        fprintf(stderr, "faulty_alloc: size is 0\n");
        abort();
    }
    if (f->fail_at != 0 &&
        (call == f->fail_at || (f->from_then_on && call > f->fail_at))) {
        atomic_fetch_add(&f->failures, 1);
        return NULL;
    }
    if (size > SIZE_MAX - sizeof *head - sizeof tail)
        return NULL;
    head = malloc(sizeof *head + size + sizeof tail);
    if (head == NULL)
        return NULL;
    head->size = size;
    head->mark = FAULTY_LIVE;
    memset(head + 1, 0xa5, size);
    memcpy((unsigned char *)(head + 1) + size, &tail, sizeof tail);
    atomic_fetch_add(&f->live_blocks, 1);
    live = atomic_fetch_add(&f->live_bytes, size) + size;
    peak = atomic_load(&f->peak_bytes);
    while (live > peak && !atomic_compare_exchange_weak(&f->peak_bytes, &peak, live))
        ;
    return head + 1;
}

static inline void faulty_free(void *memory, size_t size, void *user)
{
    struct faulty *f = user;
    struct faulty_head *head = (struct faulty_head *)memory - 1;
    uint64_t tail;

    if (memory == NULL || head->mark != FAULTY_LIVE) {
        fprintf(stderr, "faulty_free: %p %s\n", memory,
                memory != NULL && head->mark == FAULTY_FREED
                    ? "is freed already"
                    : "is not from faulty_alloc");
        abort();
    }
    if (head->size != size) {
        fprintf(stderr, "faulty_free: %zu bytes come back as %zu\n", (size_t)head->size,
                size);
        abort();
    }
    memcpy(&tail, (unsigned char *)memory + size, sizeof tail);
    if (tail != FAULTY_TAIL) {
        fprintf(stderr, "faulty_free: written past the end of %zu bytes\n", size);
        abort();
    }
    head->mark = FAULTY_FREED;
    memset(memory, 0xdd, size);
    atomic_fetch_sub(&f->live_blocks, 1);
    atomic_fetch_sub(&f->live_bytes, size);
    free(head);
}

/* `f` is borrowed for as long as the allocator is used. */
static inline faas_allocator faulty_allocator(struct faulty *f)
{
    faas_allocator alloc = {faulty_alloc, faulty_free, f};

    return alloc;
}

/* Each test is a case of its own, so that CK_RUN_CASE picks it. A test that hangs is
 * ended after five minutes (CK_TIMEOUT_MULTIPLIER gives sanitizers more). */
static inline int suite_run(const char *name, const TTest *const *tests, size_t count)
{
    Suite *suite = suite_create(name);
    SRunner *runner;
    int failed;

    for (size_t i = 0; i < count; i++) {
        TCase *tcase = tcase_create(tests[i]->name);

        tcase_set_timeout(tcase, 300); // for machines that are busy
        tcase_add_test(tcase, tests[i]);
        suite_add_tcase(suite, tcase);
    }
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* How many threads this process has. */
static inline unsigned threads_now(void)
{
    DIR *dir = opendir("/proc/self/task");
    unsigned count = 0;

    ck_assert_ptr_nonnull(dir);
    while (readdir(dir) != NULL)
        count++;
    (void)closedir(dir);
    return count - 2; // . and ..
}

#define SUITE_MAIN(name, ...)                                                            \
    int main(void)                                                                       \
    {                                                                                    \
        const TTest *const tests_[] = {__VA_ARGS__};                                     \
                                                                                         \
        return suite_run(name, tests_, sizeof tests_ / sizeof tests_[0]);                \
    }

#endif /* SUPPORT_H */

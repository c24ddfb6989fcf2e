/* SPDX-License-Identifier: MIT */
/* support.h - what tests share: an assertion on statuses, and a main() from a list of
 * tests; the allocator that fails when told to is in faults.h.
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

#include "faults.h"

#include <check.h>
#include <dirent.h>
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

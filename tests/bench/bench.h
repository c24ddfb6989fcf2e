/* SPDX-License-Identifier: MIT */
/* bench.h - what every bench has in common: pinned threads, rounds, figures.
 *
 * A bench adds its subjects, then runs them: so many rounds, in each of them a sample of
 * every subject, one after the other, so that what disturbs the machine disturbs them
 * alike. Differences and ratios are taken round by round and are figures of their own.
 *
 * One line is printed per figure, tab-separated: bench, subject, unit, median, p99, runs;
 * both are over the samples, so p99 says how quiet the machine was, not how long single
 * calls take. Lines that begin with # are remarks.
 *
 * A second thread exists all the time: asleep, or a partner in bench_pair(). glibc and
 * libstdc++ skip locking while a process has one thread, which would flatter peers. */
#ifndef BENCH_H
#define BENCH_H

#include <faas/faas.h>

#include <stdbool.h>
#include <stdint.h>

/* Does the thing `count` times. */
typedef void bench_body(void *user, uint64_t count);

/* The same, and says how many nanoseconds one took: when not all of it counts. */
typedef double bench_sampler(void *user, uint64_t count);

/* A figure of this bench. */
typedef unsigned bench_figure;

/* Reads --quick from the command line, pins the thread and starts the other one. `name`
 * is what the first column says. */
void bench_open(int argc, char **argv, const char *name);

/* Says how the targets were met and ends the program's part here: return it from main().
 */
int bench_close(void);

/* Whether to be done within seconds. */
bool bench_is_quick(void);

/* Adds a subject, in nanoseconds for one. The text is borrowed. */
bench_figure bench_time(const char *subject, bench_body *body, void *user);
bench_figure bench_sample(const char *subject, bench_sampler *sampler, void *user);

/* Adds a subject that both threads do at once, each with its own `user` and on its own
 * processor: what one costs each of them, on average. */
bench_figure bench_pair(const char *subject, bench_body *body, void *first, void *second);

/* Adds what is between two figures, by `steps`. */
bench_figure bench_difference(const char *subject, bench_figure a, bench_figure b,
                              double steps);

/* Adds a figure as a multiple of another. */
bench_figure bench_ratio(const char *subject, bench_figure a, bench_figure b);

/* Adds and prints what was found by a single try. */
bench_figure bench_once(const char *subject, const char *unit, double value);

/* Adds the least of some figures, round by round. `of` is borrowed. */
bench_figure bench_least(const char *subject, const bench_figure *of, unsigned count);

/* Says which value a figure should not exceed. */
void bench_target(bench_figure figure, double at_most);

/* Runs and prints all that was added since the last time. */
void bench_run(void);

/* Pins the calling thread to the `nth` processor from the last that the program may use
 * (the first one of a machine often serves its interrupts), or to none if `nth` is
 * negative. Threads that it starts inherit that. Returns which, or -1. */
int bench_pin(int nth);

/* Nanoseconds of the monotonic clock. */
uint64_t bench_now(void);

/* An allocator that counts; and how many bytes those who have it hold. */
extern const faas_allocator bench_counting;
uint64_t bench_live_bytes(void);

/* Ends the bench if a call failed that must not. */
void bench_check(faas_status status, const char *what);

/* Makes the compiler believe that a pointer may have changed. */
#define BENCH_HIDE(pointer) __asm__ volatile("" : "+r"(pointer))

#endif /* BENCH_H */

/* SPDX-License-Identifier: MIT */
/* sim.h - what seeded simulations share: a die, a trace of what happened, and a main()
 * that runs seeds and says how to run the one again that failed.
 *
 *     simulate [--seeds N] [--from S] [--twice K] [--verbose]
 *
 * A simulation draws everything it does from the seed, and notes everything it sees. The
 * notes make a hash; every K-th seed is run twice, and has to give the same one: then
 * nothing in it came from anywhere but the seed. What does not hold, hangs or dies prints
 * the last notes and the seed, and ends the program. */
#ifndef SIM_H
#define SIM_H

#include "core/random.h"
#include "stress.h"

#include <signal.h>
#include <stdarg.h>
#include <unistd.h>

#ifdef FAASI_SANITIZED
#include <sanitizer/common_interface_defs.h>
#endif

enum { SIM_LINES = 60, SIM_LINE_MAX = 160, SIM_SEED_SECONDS = 120 };

static struct sim {
    const char *program;
    uint64_t seed, random, hash, notes;
    bool verbose;
    char lines[SIM_LINES][SIM_LINE_MAX]; /* the last ones, in a ring */
} sim;

/* What happened, by the seed alone: no address, no handle of the process's. */
static inline void sim_note(const char *format, ...) FAAS_PRINTF(1, 2);

static inline void sim_note(const char *format, ...)
{
    char *line = sim.lines[sim.notes++ % SIM_LINES];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(line, SIM_LINE_MAX, format, args);
    va_end(args);
    for (const char *c = line; *c != '\0'; c++)
        sim.hash = (sim.hash ^ (unsigned char)*c) * UINT64_C(0x100000001b3);
    sim.hash = (sim.hash ^ '\n') * UINT64_C(0x100000001b3);
    if (sim.verbose)
        (void)printf("%s\n", line);
}

/* One of 0 to count - 1. */
static inline uint32_t dice(uint32_t count)
{
    return (uint32_t)((faasi_random_next(&sim.random) >> 32) * count >> 32);
}

/* True once in `count` times. */
static inline bool once_in(uint32_t count)
{
    return dice(count) == 0;
}

static inline void sim_last_words(void)
{
    uint64_t from = sim.notes < SIM_LINES ? 0 : sim.notes - SIM_LINES;

    (void)fflush(stdout);
    for (uint64_t i = from; i < sim.notes; i++)
        (void)fprintf(stderr, "    %s\n", sim.lines[i % SIM_LINES]);
    (void)fprintf(stderr, "seed %llu; again: %s --from %llu --seeds 1 --verbose\n",
                  (unsigned long long)sim.seed, sim.program,
                  (unsigned long long)sim.seed);
}

/* A seed hangs, or takes the program with it. */
static inline void sim_dies(int number)
{
    sim_last_words();
    (void)fprintf(stderr, "%s\n", number == SIGALRM ? "it hangs" : "it died");
    _exit(EXIT_FAILURE);
}

static inline void sim_watch(void)
{
    struct sigaction action = {.sa_handler = sim_dies};

    (void)sigaction(SIGALRM, &action, NULL);
#ifdef FAASI_SANITIZED
    __sanitizer_set_death_callback(sim_last_words);
#else
    (void)sigaction(SIGSEGV, &action, NULL);
    (void)sigaction(SIGBUS, &action, NULL);
#endif
}

/* Ends the program where `x` does not hold; the rest says what is known about it. */
#define SIM_REQUIRE(x, ...) REQUIRE_AFTER(sim_last_words(), x, __VA_ARGS__)

/* Runs one seed from its beginning; the hash of its trace. */
static inline uint64_t sim_run(uint64_t seed, void (*run)(void))
{
    sim.seed = sim.random = seed;
    sim.hash = UINT64_C(0xcbf29ce484222325);
    sim.notes = 0;
    (void)alarm(SIM_SEED_SECONDS);
    run();
    return sim.hash;
}

static inline int sim_main(int argc, char **argv, uint64_t seeds, void (*run)(void))
{
    uint64_t from = 1, twice = 10, all = 0, notes = 0;

    sim.program = argv[0];
    for (int i = 1; i < argc; i++) {
        uint64_t *number = strcmp(argv[i], "--seeds") == 0   ? &seeds
                           : strcmp(argv[i], "--from") == 0  ? &from
                           : strcmp(argv[i], "--twice") == 0 ? &twice
                                                             : NULL;

        if (strcmp(argv[i], "--verbose") == 0) {
            sim.verbose = true;
        } else if (number != NULL && i + 1 < argc) {
            *number = strtoull(argv[++i], NULL, 10);
        } else {
            (void)fprintf(stderr,
                          "usage: %s [--seeds N] [--from S] [--twice K] "
                          "[--verbose]\n",
                          argv[0]);
            return EXIT_FAILURE;
        }
    }
    sim_watch();
    for (uint64_t seed = from; seed < from + seeds; seed++) {
        uint64_t hash = sim_run(seed, run);

        notes += sim.notes;
        if (twice != 0 && seed % twice == 0) {
            void *shift = malloc(1000 * (size_t)(seed % 100 + 1)); // other addresses
            uint64_t again = sim_run(seed, run);

            free(shift);
            SIM_REQUIRE(again == hash,
                        "the same seed gave another trace: %016llx, %016llx",
                        (unsigned long long)hash, (unsigned long long)again);
        }
        all = all * UINT64_C(0x100000001b3) ^ hash;
    }
    (void)printf("%llu seeds from %llu, %llu things that happened, trace %016llx\n",
                 (unsigned long long)seeds, (unsigned long long)from,
                 (unsigned long long)notes, (unsigned long long)all);
    return EXIT_SUCCESS;
}

#endif /* SIM_H */

/* SPDX-License-Identifier: MIT */
/* bench_timer.c - the timer wheel: starting a timer and stopping it, with a million others
 * that wait. Measures the room from inside. */
#include "bench.h"

#include "core/timer.h"

#include <stdlib.h>

enum { PENDING = 1000000, WINDOW = 1024 };

static struct faasi_timers wheel;
static uint64_t state = 88172645463325252u;

static uint64_t next_random(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

/* Within six hours, as the ages and retries of invocations are. */
static uint64_t some_time(void)
{
    return next_random() % 21600000000000u;
}

static void start_and_stop(void *user, uint64_t count)
{
    struct faasi_timer *timers = user;

    for (uint64_t i = 0; i < count; i++) {
        struct faasi_timer *timer = &timers[i % WINDOW];

        faasi_timer_stop(&wheel, timer); // of the round before
        faasi_timer_start(&wheel, timer, some_time());
    }
}

int main(int argc, char **argv)
{
    static struct faasi_timer timers[WINDOW];
    struct faasi_timer *pending = calloc(PENDING, sizeof *pending);

    bench_open(argc, argv, "timer");
    if (pending == NULL)
        bench_check(FAAS_ENOMEM, "timers");
    faasi_timers_init(&wheel, 0);
    for (int i = 0; i < PENDING; i++)
        faasi_timer_start(&wheel, &pending[i], some_time());
    bench_target(bench_time("start and stop, 1,000,000 pending", start_and_stop, timers),
                 60);
    (void)bench_once("memory of a timer", "B", (double)sizeof *pending);
    bench_run();
    free(pending);
    return bench_close();
}

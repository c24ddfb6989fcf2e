/* SPDX-License-Identifier: MIT */
/* limits.c - caps: what a call finds when as many run as may. Eight threads call a
 * function that may run twice at a time; first it refuses, then it lets them wait. */
#include <faas/faas.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define MILLISECOND_NS UINT64_C(1000000)

enum { CAP = 2, THREADS = 8 };

/* Who is inside, counted by the handler itself. */
struct gauge {
    atomic_int inside, inside_max;
};

/* What the threads share, and what became of their calls. */
struct crowd {
    faas_runtime *rt;
    faas_fn fn;
    atomic_int ran, refused, other;
    atomic_ullong retry_ns;
};

static void check(faas_status status, const char *what)
{
    if (status == FAAS_OK)
        return;
    fprintf(stderr, "limits: %s: %s: %s\n", what, faas_status_text(status),
            faas_error_text());
    exit(1);
}

static void expect(bool so, const char *what)
{
    if (so)
        return;
    fprintf(stderr, "limits: %s is not so\n", what);
    exit(1);
}

/* Takes 20 ms, and remembers how many of its kind did so at one moment. */
static int work(faas_context *ctx, faas_bytes input)
{
    struct gauge *gauge = faas_user(ctx);
    int inside = atomic_fetch_add(&gauge->inside, 1) + 1;
    int most = atomic_load(&gauge->inside_max);

    (void)input;
    while (inside > most &&
           !atomic_compare_exchange_weak(&gauge->inside_max, &most, inside))
        ;
    nanosleep(&(struct timespec){.tv_nsec = 20 * 1000 * 1000}, NULL);
    atomic_fetch_sub(&gauge->inside, 1);
    return 0;
}

static void *crowd_member(void *user)
{
    struct crowd *crowd = user;
    faas_status status = faas_invoke(crowd->rt, crowd->fn, faas_str("go"), 0, NULL);

    if (status == FAAS_OK) {
        atomic_fetch_add(&crowd->ran, 1);
    } else if (status == FAAS_EBUSY) {
        atomic_fetch_add(&crowd->refused, 1);
        atomic_store(&crowd->retry_ns, faas_retry_after_ns());
    } else {
        atomic_fetch_add(&crowd->other, 1);
    }
    return NULL;
}

/* All threads call at once. */
static void crowd_call(struct crowd *crowd)
{
    pthread_t threads[THREADS];

    atomic_store(&crowd->ran, 0);
    atomic_store(&crowd->refused, 0);
    for (int i = 0; i < THREADS; i++)
        expect(pthread_create(&threads[i], NULL, crowd_member, crowd) == 0, "a thread");
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    printf("  %d ran, %d refused\n", atomic_load(&crowd->ran),
           atomic_load(&crowd->refused));
    expect(atomic_load(&crowd->ran) + atomic_load(&crowd->refused) == THREADS,
           "every call ran or was refused");
}

int main(void)
{
    struct gauge gauge = {0, 0};
    struct crowd crowd = {.rt = NULL};
    faas_function_stats stats = {.size = sizeof stats};
    faas_status status;

    check(faas_runtime_open(&crowd.rt, NULL), "runtime");
    check(faas_function_register(crowd.rt,
                                 FAAS_FUNCTION(.name = "work", .handler = work,
                                               .concurrency = CAP, .user = &gauge),
                                 &crowd.fn),
          "register");

    /* The first call tells how long one takes, and so how long to wait for others. */
    check(faas_invoke(crowd.rt, crowd.fn, faas_str("go"), 0, NULL), "invoke");

    printf("%d threads call a function with a cap of %d, which refuses when full\n",
           THREADS, CAP);
    crowd_call(&crowd);
    expect(atomic_load(&crowd.ran) >= CAP, "as many ran as may");
    if (atomic_load(&crowd.refused) > 0)
        printf("  the last one was told to come back in %.1f ms\n",
               (double)atomic_load(&crowd.retry_ns) / 1e6);

    printf("The same, and it lets them wait, first come first served\n");
    check(faas_function_update(crowd.rt, crowd.fn,
                               FAAS_FUNCTION(.on_full = FAAS_FULL_WAIT)),
          "update");
    crowd_call(&crowd);
    expect(atomic_load(&crowd.ran) == THREADS, "all ran");

    printf("It lets them wait for 1 ms at most\n");
    check(faas_function_update(crowd.rt, crowd.fn,
                               FAAS_FUNCTION(.wait_ns = MILLISECOND_NS)),
          "update");
    crowd_call(&crowd);

    printf("It is switched off\n");
    check(
        faas_function_update(crowd.rt, crowd.fn, FAAS_FUNCTION(.concurrency = FAAS_OFF)),
        "update");
    status = faas_invoke(crowd.rt, crowd.fn, faas_str("go"), 0, NULL);
    printf("  a call gets %s: %s\n", faas_status_name(status), faas_status_text(status));
    expect(status == FAAS_EBUSY, "every call is refused");

    check(faas_function_stats_get(crowd.rt, crowd.fn, &stats, NULL), "stats");
    printf("In all: %.0f ran, %.0f refused, never more than %d at one moment\n",
           (double)stats.invocations, (double)stats.throttles,
           atomic_load(&gauge.inside_max));
    expect(stats.invocations + stats.throttles == 1 + 3 * THREADS + 1, "nobody is lost");
    expect(atomic_load(&gauge.inside_max) <= CAP, "the cap held");
    check(faas_runtime_close(crowd.rt), "close");
    return 0;
}

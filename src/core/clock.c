/* SPDX-License-Identifier: MIT */
/* clock.c - time: the processor's counter, the system's clock, a virtual clock. */
#include "clock.h"

#include "mem.h"

#include <stdio.h>
#include <string.h>

#ifdef FAASI_HAVE_TSC
#include <cpuid.h>
#endif

enum { CALIBRATION_NS = 1000000, PAIRS = 9, TRIES = 3 };

static faas_clock real_clock;

static uint64_t clock_read(clockid_t clock)
{
    struct timespec now;

    for (int i = 0; i < TRIES; i++)
        if (clock_gettime(clock, &now) == 0)
            return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    return 0;
}

uint64_t faasi_clock_system_ns(void)
{
    return clock_read(CLOCK_MONOTONIC);
}

uint64_t faasi_clock_unix_ns(void)
{
    return clock_read(CLOCK_REALTIME);
}

#ifdef FAASI_HAVE_TSC

/* The counter is trusted only where it never stops or changes its rate, and where the
 * kernel, which watches it all the time, trusts it too. */
static bool tsc_is_time(void)
{
    unsigned a, b, c, d;
    char name[16] = "";
    FILE *file;

    if (__get_cpuid(0x80000007u, &a, &b, &c, &d) == 0 || (d & (1u << 8)) == 0)
        return false;
    file =
        fopen("/sys/devices/system/clocksource/clocksource0/current_clocksource", "re");
    if (file == NULL)
        return false;
    if (fgets(name, sizeof name, file) == NULL)
        name[0] = '\0';
    (void)fclose(file);
    return strcmp(name, "tsc\n") == 0;
}

/* Reads both clocks at one moment: of some tries the one that took least time, the
 * system's clock read between two reads of the counter. */
static void read_pair(uint64_t *ticks, uint64_t *ns)
{
    uint64_t best = UINT64_MAX;

    for (int i = 0; i < PAIRS; i++) {
        uint64_t before = __rdtsc();
        uint64_t between = faasi_clock_system_ns();
        uint64_t after = __rdtsc();

        if (after - before < best) {
            best = after - before;
            *ticks = before + best / 2;
            *ns = between;
        }
    }
}

/* Leaves the clock alone where there is none to compare with. */
static void calibrate(faas_clock *clock)
{
    uint64_t base_ticks = 0, base_ns = 0, ticks = 0, ns = 0;
    unsigned __int128 one = (unsigned __int128)1 << 32;

    read_pair(&base_ticks, &base_ns);
    do {
        read_pair(&ticks, &ns);
        if (base_ns == 0 || ns < base_ns)
            return;
    } while (ns - base_ns < CALIBRATION_NS);
    clock->base_ticks = base_ticks;
    clock->base_ns = base_ns;
    ticks -= clock->base_ticks;
    ns -= clock->base_ns;
    clock->ns_per_tick_q32 = (uint64_t)(one * ns / ticks);
    clock->ticks_per_ns_q32 = (uint64_t)(one * ticks / ns);
    clock->source = FAASI_CLOCK_TSC;
}

#endif

static void count_nanoseconds(faas_clock *clock, enum faasi_clock_source source)
{
    clock->source = source;
    clock->ns_per_tick_q32 = clock->ticks_per_ns_q32 = (uint64_t)1 << 32;
}

static void real_clock_start(void)
{
    count_nanoseconds(&real_clock, FAASI_CLOCK_SYSTEM);
#ifdef FAASI_HAVE_TSC
    if (tsc_is_time())
        calibrate(&real_clock);
#endif
}

const faas_clock *faasi_clock_real(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    (void)pthread_once(&once, real_clock_start);
    return &real_clock;
}

static faas_status clock_open(enum faasi_clock_source source, uint64_t moved_ns,
                              const faas_allocator *allocator, faas_clock **out)
{
    const faas_allocator *alloc = faasi_allocator_or_default(allocator);
    faas_clock *clock = faasi_alloc_zeroed(alloc, sizeof *clock);
    faas_status status;

    *out = NULL;
    if (clock == NULL)
        return faasi_fail(FAAS_ENOMEM, "clock: no %zu bytes", sizeof *clock);
    status = faasi_mutex_init(&clock->lock);
    if (status != FAAS_OK) {
        faasi_free(alloc, clock, sizeof *clock);
        return status;
    }
    count_nanoseconds(clock, source);
    clock->allocator = alloc;
    atomic_init(&clock->moved_ns, moved_ns);
    *out = clock;
    return FAAS_OK;
}

faas_status faas_clock_open_virtual(uint64_t start_ns, const faas_allocator *allocator,
                                    faas_clock **clock)
{
    return clock_open(FAASI_CLOCK_VIRTUAL, start_ns, allocator, clock);
}

/* Ahead by what makes it show `start_ns` now: modulo 2^64, so it may be behind. */
faas_status faas_clock_open_running(uint64_t start_ns, const faas_allocator *allocator,
                                    faas_clock **clock)
{
    return clock_open(FAASI_CLOCK_SHIFTED, start_ns - faasi_clock_system_ns(), allocator,
                      clock);
}

void faas_clock_close(faas_clock *clock)
{
    if (clock == NULL)
        return;
    assert(clock->listeners == NULL);
    faasi_mutex_fini(&clock->lock);
    faasi_free(clock->allocator, clock, sizeof *clock);
}

uint64_t faas_clock_now(const faas_clock *clock)
{
    if (clock == NULL)
        clock = faasi_clock_real();
    return faasi_instant_ns(clock, faasi_ticks(clock));
}

/* Holds: clock->lock. */
static void tell_listeners(faas_clock *clock)
{
    for (struct faasi_clock_listener *l = clock->listeners; l != NULL; l = l->next)
        l->moved(l->user);
}

/* Release: what the mover did before is visible to who reads the new time. Holds:
 * clock->lock. */
static void clock_move(faas_clock *clock, uint64_t ns)
{
    uint64_t moved = atomic_load_explicit(&clock->moved_ns, memory_order_relaxed);
    uint64_t to =
        clock->source == FAASI_CLOCK_VIRTUAL ? faasi_ticks_after(moved, ns) : moved + ns;

    atomic_store_explicit(&clock->moved_ns, to, memory_order_release);
    tell_listeners(clock);
}

void faas_clock_advance(faas_clock *clock, uint64_t ns)
{
    assert(clock != NULL && faasi_clock_moves(clock));
    faasi_lock(&clock->lock);
    clock_move(clock, ns);
    faasi_unlock(&clock->lock);
}

faas_status faas_clock_set(faas_clock *clock, uint64_t now_ns)
{
    uint64_t now;

    assert(clock != NULL && faasi_clock_moves(clock));
    faasi_lock(&clock->lock);
    now = faasi_ticks(clock);
    if (now_ns >= now)
        clock_move(clock, now_ns - now);
    faasi_unlock(&clock->lock);
    if (now_ns < now)
        return faasi_fail(FAAS_EINVAL, "clock: %llu is before now, %llu",
                          (unsigned long long)now_ns, (unsigned long long)now);
    return FAAS_OK;
}

void faasi_clock_listen(faas_clock *clock, struct faasi_clock_listener *listener)
{
    if (!faasi_clock_moves(clock))
        return;
    faasi_lock(&clock->lock);
    listener->next = clock->listeners;
    clock->listeners = listener;
    faasi_unlock(&clock->lock);
}

void faasi_clock_ignore(faas_clock *clock, struct faasi_clock_listener *listener)
{
    if (!faasi_clock_moves(clock))
        return;
    faasi_lock(&clock->lock);
    for (struct faasi_clock_listener **at = &clock->listeners; *at != NULL;
         at = &(*at)->next) {
        if (*at == listener) {
            *at = listener->next;
            break;
        }
    }
    faasi_unlock(&clock->lock);
}

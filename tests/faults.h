/* SPDX-License-Identifier: MIT */
/* faults.h - failures on demand: of memory, threads, shared objects, files and whatever
 * else is asked of the kernel, locks and clocks, at the n-th call, once or from then on.
 *
 * One switch, `struct faulty`, for all. Memory passes it by an allocator, which any test
 * may have. The rest passes it in programs that the linker builds so: in those with
 * faults.c the calls of libc that it has a WRAP() for come there first, and the code that
 * is tested has no hook. What libc calls itself is not seen. */
#ifndef FAULTS_H
#define FAULTS_H

#include <faas/base.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The switch: what fails at its `fail_at`-th call (0: never), or from that call on, and
 * what is out of it. Thread: any. */
struct faulty {
    atomic_uint fail_at;
    atomic_bool from_then_on;
    atomic_uint calls;         /* the failing ones included */
    atomic_uint failures;      /* of those */
    atomic_size_t live_bytes;  /* of memory, as asked for */
    atomic_size_t live_blocks; /* that are out: blocks, threads, files */
    atomic_size_t peak_bytes;
};

/* Counts a call, and tells whether it is to fail. */
static inline bool faulty_strikes(struct faulty *f)
{
    unsigned call = atomic_fetch_add(&f->calls, 1) + 1, at = atomic_load(&f->fail_at);

    if (at == 0 || call < at || (call > at && !atomic_load(&f->from_then_on)))
        return false;
    atomic_fetch_add(&f->failures, 1);
    return true;
}

/* ---- the allocator ----
 *
 *     struct faulty f = {.fail_at = 3};
 *     faas_allocator alloc = faulty_allocator(&f);
 *
 * It aborts, on whichever thread, when a block comes back with another size than it was
 * asked for with, twice, or written past its end. Blocks come filled with 0xa5 and are
 * overwritten when they go. */

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
    const uint64_t tail = FAULTY_TAIL;
    struct faulty_head *head;
    size_t live, peak;
    void *memory;

    if (size == 0) {
        fprintf(stderr, "faulty_alloc: size is 0\n");
        abort();
    }
    if (faulty_strikes(f))
        return NULL;
    if (size > SIZE_MAX - sizeof *head - sizeof tail)
        return NULL;
    /* Not malloc(), which may have a switch of its own. */
    if (posix_memalign(&memory, 16, sizeof *head + size + sizeof tail) != 0)
        return NULL;
    head = memory;
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

/* ---- libc, in programs with faults.c ---- */

/* What can fail; a kind joins by a line here, by its name in faults.c, and by the
 * statuses it may lead to in torture.c. */
enum fault_kind {
    FAULT_MEMORY, /* faas_allocator */
    FAULT_MALLOC, /* malloc() and its like, which modules use */
    FAULT_THREAD, /* pthread_create() */
    FAULT_LOAD,   /* dlopen(), dlsym() */
    FAULT_SYSTEM, /* files, descriptors, random numbers, facts about the machine */
    FAULT_SYNC,   /* what makes locks, conditions and thread-local keys */
    FAULT_CLOCK,  /* clock_gettime() */
    FAULT_KINDS
};

extern const char *const fault_names[FAULT_KINDS];
extern struct faulty faults[FAULT_KINDS]; /* the first: of an allocator */

/* From now on the calls of every kind count from 0, and those of one kind fail. */
void faults_arm(enum fault_kind kind, unsigned fail_at, bool from_then_on);

/* Nothing fails any more; `calls`, if not NULL, is how many there were of each kind. */
void faults_disarm(unsigned calls[FAULT_KINDS]);

/* Threads that a test has beside those of the library: they never fail, nor count. */
int faults_thread(pthread_t *thread, void *(*run)(void *user), void *user);
void faults_thread_join(pthread_t thread);

#endif /* FAULTS_H */

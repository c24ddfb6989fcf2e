/* SPDX-License-Identifier: MIT */
/* grace.c - the list of reading threads, and the wait for a grace period. */
#include "grace.h"

#include "mem.h"
#include "sync.h"

#include <linux/membarrier.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

_Thread_local struct faasi_reader faasi_reader_self;
bool faasi_grace_fenced = true;

static faasi_mutex readers_lock = PTHREAD_MUTEX_INITIALIZER;
static struct faasi_reader *readers;
/* Readers inside a section whose thread could not be listed, for want of memory. */
static _Atomic uint64_t crowd;
static pthread_key_t exit_key;
static bool have_exit_key;

#ifndef FAASI_TSAN
static bool membarrier(int command)
{
    return syscall(SYS_membarrier, command, 0, 0) == 0;
}
#endif

/* Runs when a listed thread ends. */
static void reader_unlist(void *reader)
{
    struct faasi_reader *self = reader;

    faasi_lock(&readers_lock);
    *self->link = self->next;
    if (self->next != NULL)
        self->next->link = self->link;
    faasi_unlock(&readers_lock);
    self->listed = false;
    faasi_free(&faasi_default_allocator, self->memory, 1);
    self->memory = NULL;
}

void faasi_thread_memory(size_t size)
{
    struct faasi_reader *self = &faasi_reader_self;

    if (self->listed && self->memory == NULL)
        self->memory = faasi_alloc_zeroed(&faasi_default_allocator, size);
}

static void start(void)
{
    have_exit_key = pthread_key_create(&exit_key, reader_unlist) == 0;
#ifndef FAASI_TSAN
    faasi_grace_fenced = !membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED);
#endif
}

void faasi_grace_start(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    (void)pthread_once(&once, start);
}

static bool reader_list(struct faasi_reader *self)
{
    if (!have_exit_key || pthread_setspecific(exit_key, self) != 0)
        return false;
    faasi_lock(&readers_lock);
    self->next = readers;
    self->link = &readers;
    if (readers != NULL)
        readers->link = &self->next;
    readers = self;
    faasi_unlock(&readers_lock);
    self->listed = true;
    return true;
}

/* A thread's first section, or one that cannot be listed: that one counts itself in a
 * word that all such threads share, and editors wait until it is zero. */
void faasi_reader_enter_unlisted(struct faasi_reader *self)
{
    if (reader_list(self)) {
        self->depth = 0;
        faasi_read_enter();
        return;
    }
    self->in_crowd = true;
    atomic_fetch_add_explicit(&crowd, 1, memory_order_seq_cst);
#ifndef FAASI_TSAN
    /* Counting alone does not keep the reads that follow behind it. */
    atomic_thread_fence(memory_order_seq_cst);
#endif
}

void faasi_reader_leave_crowd(struct faasi_reader *self)
{
    self->in_crowd = false;
    atomic_fetch_sub_explicit(&crowd, 1, memory_order_release);
}

static void heavy_fence(void)
{
#ifdef FAASI_TSAN
    static _Atomic int fence;

    atomic_fetch_add_explicit(&fence, 1, memory_order_seq_cst);
#else
    if (!faasi_grace_fenced) {
        /* A child of fork() may have to register anew. */
        while (!membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED))
            (void)membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED);
    }
    atomic_thread_fence(memory_order_seq_cst);
#endif
}

void faasi_grace_wait(void)
{
    assert(!faasi_reading());
    heavy_fence();
    faasi_lock(&readers_lock);
    for (struct faasi_reader *r = readers; r != NULL; r = r->next) {
        uint64_t seq = atomic_load_explicit(&r->seq, memory_order_acquire);

        while (seq % 2 != 0 && atomic_load_explicit(&r->seq, memory_order_acquire) == seq)
            (void)sched_yield();
    }
    faasi_unlock(&readers_lock);
    while (atomic_load_explicit(&crowd, memory_order_acquire) != 0)
        (void)sched_yield();
}

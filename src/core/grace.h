/* SPDX-License-Identifier: MIT */
/* grace.h - read sections, and waiting until those that could see a thing have left.
 *
 * Readers of names, handles, seats and rule sets take no lock. Whoever unpublishes a
 * thing waits for a grace period before it frees it: every read section that was open
 * then has ended. Sections are short; nobody blocks on anything but a mutex inside one,
 * and nobody waits for a grace period inside one or under a mutex that a reader takes.
 *
 *     reader   seq = odd;  fence;   p = published;  use p;  seq = even (release)
 *     editor   published = new;     fence;          wait until each seq is even or moved
 *
 * Whichever fence comes second sees the other side's store. The reader's is the hot one:
 * where the kernel has membarrier(2) the editor's fence makes all threads of the process
 * execute one, and the reader's is only an order to the compiler. Elsewhere, and under
 * the thread sanitizer, which does not know membarrier, both are real.
 * Source: liburcu's "memb" flavour.
 *
 * Layer: 0 base. Includes base.h, mem.h and sync.h.
 * Locks: one of the process, over the list of threads; innermost. */
#ifndef FAASI_GRACE_H
#define FAASI_GRACE_H

#include "base.h"

#include <stdatomic.h>

#if defined(__SANITIZE_THREAD__)
#define FAASI_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define FAASI_TSAN 1
#endif
#endif

/* A thread as a reader. Written by its thread alone. */
struct faasi_reader {
    _Atomic uint64_t seq; /* odd inside a section */
    uint32_t depth;
    bool listed;   /* in the list that editors look through */
    bool in_crowd; /* could not be listed: counted in faasi_grace_crowd instead */
    void *memory;  /* of faasi_thread_memory() */
    struct faasi_reader *next;
    struct faasi_reader **link;
};

extern _Thread_local struct faasi_reader faasi_reader_self;

/* Whether readers need a fence of their own. Set once, before the first object exists. */
extern bool faasi_grace_fenced;

/* Call once per object whose readers use sections, before it is published. */
void faasi_grace_start(void);

void faasi_reader_enter_unlisted(struct faasi_reader *self);
void faasi_reader_leave_crowd(struct faasi_reader *self);

/* Opens a section; they nest. Two stores to a line of this thread's own. */
static inline void faasi_read_enter(void)
{
    struct faasi_reader *self = &faasi_reader_self;
    uint64_t seq;

    if (self->depth++ != 0)
        return;
    if (FAASI_UNLIKELY(!self->listed)) {
        faasi_reader_enter_unlisted(self);
        return;
    }
    seq = atomic_load_explicit(&self->seq, memory_order_relaxed) + 1;
#ifdef FAASI_TSAN
    (void)atomic_exchange_explicit(&self->seq, seq, memory_order_seq_cst);
#else
    atomic_store_explicit(&self->seq, seq, memory_order_relaxed);
    if (FAASI_UNLIKELY(faasi_grace_fenced))
        atomic_thread_fence(memory_order_seq_cst);
    else
        atomic_signal_fence(memory_order_seq_cst);
#endif
}

/* Release: pairs with the acquire in faasi_grace_wait(); what we read was read before. */
static inline void faasi_read_leave(void)
{
    struct faasi_reader *self = &faasi_reader_self;

    assert(self->depth > 0);
    if (--self->depth != 0)
        return;
    if (FAASI_UNLIKELY(self->in_crowd)) {
        faasi_reader_leave_crowd(self);
        return;
    }
    atomic_store_explicit(&self->seq,
                          atomic_load_explicit(&self->seq, memory_order_relaxed) + 1,
                          memory_order_release);
}

/* Gives this thread zeroed memory, if it has none: `faasi_reader_self.memory`, until the
 * thread ends. Without memory, or if the thread's end cannot be noticed, it stays
 * NULL. */
void faasi_thread_memory(size_t size);

static inline bool faasi_reading(void)
{
    return faasi_reader_self.depth != 0;
}

/* Blocks until every section that was open when it was called has ended. Not from inside
 * one. Costs a membarrier: 0.3 us, or some 12 us while other threads run. */
void faasi_grace_wait(void);

#endif /* FAASI_GRACE_H */

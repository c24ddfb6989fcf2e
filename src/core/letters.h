/* SPDX-License-Identifier: MIT */
/* letters.h - the store of dead letters: bounded, in memory, the oldest goes first.
 *
 * A letter is one block: a record with copies of all that it points to, and a count of
 * those who look at it. So a listing shows letters without the lock, and who is shown one
 * may do anything. Each has a number; they are in its order, so a listing finds its place
 * again when what it stood on is gone.
 *
 * Layer: 2 parts. Includes base.h, mem.h, refs.h, sync.h.
 * Locks: `lock`, innermost. The callback is called without it. */
#ifndef FAASI_LETTERS_H
#define FAASI_LETTERS_H

#include "base.h"
#include "refs.h"
#include "sync.h"

#include <faas/letters.h>
#include <faas/runtime.h>

#include <stdatomic.h>

struct faasi_letter {
    struct faasi_letter *next, *prev; /* Lock */
    uint64_t number;
    size_t block; /* its size */
    size_t bytes; /* what it counts for: the block, and the event that it keeps */
    faasi_refs refs;
    bool held; /* Lock: in the store */
    faas_record record;
};

struct faasi_letters {
    faasi_mutex lock;
    struct faasi_letter *first, *last;
    uint64_t count, bytes, number; /* Lock */
    uint64_t slots_max, bytes_max;
    uint64_t evicted; /* Lock: pushed out, or never came in */
    void (*show)(const struct faas_record *record, void *user);
    void *show_user;
    const faas_allocator *allocator;
};

/* @return FAAS_OK, FAAS_ESYSTEM */
faas_status faasi_letters_init(struct faasi_letters *letters,
                               const faas_runtime_options *options);

/* Shows what is left to the callback, and frees it. Nobody looks at one any more. */
void faasi_letters_fini(struct faasi_letters *letters);

/* Keeps a copy of a record. What must go for it, or the record itself if it cannot be
 * kept, is counted and shown to the callback, on this thread. Thread: any. */
void faasi_letters_put(struct faasi_letters *letters, const faas_record *record);

/* The first letter with a number over `after` that a filter wants, or NULL; with a
 * reference for the caller. Thread: any. */
struct faasi_letter *faasi_letters_next(struct faasi_letters *letters,
                                        const faas_letter_filter *filter,
                                        const struct faasi_letter *after);

/* Takes a letter out of the store; false if it is not there any more. The caller's
 * reference stays. */
bool faasi_letters_remove(struct faasi_letters *letters, struct faasi_letter *letter);

/* Puts a letter that was removed back to its place. What must go for it, maybe itself, is
 * counted and shown. The caller's reference stays. */
void faasi_letters_restore(struct faasi_letters *letters, struct faasi_letter *letter);

void faasi_letter_release(struct faasi_letters *letters, struct faasi_letter *letter);

#endif /* FAASI_LETTERS_H */

/* SPDX-License-Identifier: MIT */
/* dedupe.h - which events were published lately: by source and id, or by what they say.
 *
 * What is remembered of an event is a copy of the bytes that it is told by, never the event
 * itself, so its data goes back to its owner as soon as the publish has ended. A hash finds
 * them, and they are compared whole. An event is remembered for the window, counted from
 * its publish and not from its repetitions; the oldest ones leave earlier when there are
 * too many bytes. Without memory an event is not remembered, and its repetition is
 * published.
 *
 * Layer: 2 parts. Includes base.h, sync.h, the public event.h and runtime.h.
 * Locks: `lock`, innermost. */
#ifndef FAASI_DEDUPE_H
#define FAASI_DEDUPE_H

#include "base.h"
#include "sync.h"

#include <faas/event.h>
#include <faas/runtime.h>

struct faasi_dedupe_entry;

struct faasi_dedupe {
    faas_dedupe mode; /* FAAS_DEDUPE_OFF: nothing is remembered */
    uint64_t window_ns, bytes_max;
    const faas_allocator *allocator;
    faasi_mutex lock;
    /* From here on: Lock. */
    struct faasi_dedupe_entry **slots; /* chains by hash */
    size_t size, count;
    struct faasi_dedupe_entry *oldest, *newest;
    uint64_t bytes; /* of the entries and their part of the chains */
    uint64_t number;
};

/* What was remembered of one event. */
struct faasi_dedupe_ticket {
    uint64_t hash;
    uint64_t number; /* 0: nothing */
};

/* @return FAAS_OK, FAAS_ENOMEM, FAAS_ESYSTEM */
faas_status faasi_dedupe_init(struct faasi_dedupe *dedupe,
                              const faas_runtime_options *options);
void faasi_dedupe_fini(struct faasi_dedupe *dedupe);

/* Remembers an event. False if it is remembered already: then it is a repetition, and
 * nothing changes. `now_ns` may go back a little between threads. Thread: any. */
bool faasi_dedupe_enter(struct faasi_dedupe *dedupe, const faas_event *event,
                        uint64_t now_ns, struct faasi_dedupe_ticket *ticket);

/* Forgets it: it was not published. Thread: any. */
void faasi_dedupe_forget(struct faasi_dedupe *dedupe,
                         const struct faasi_dedupe_ticket *ticket);

#endif /* FAASI_DEDUPE_H */

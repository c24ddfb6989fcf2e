/* SPDX-License-Identifier: MIT */
/* function.h - a registered function, its instances and the cells in which calls run.
 *
 * A cell is a seat with all that one call at a time needs: heap, context, counters. It
 * belongs to a function until that is gone, then to the next one; its memory stays until
 * the runtime closes, because hints of threads may name it. An instance is what init
 * made; as many cells point to it as calls may run in it at once.
 *
 * Layer: 2 parts.
 * Locks: the gate's. "Lock" at a field: read and written with it held. "Path": read by
 * calls without it, so atomic or never written once the function is registered. */
#ifndef FAASI_FUNCTION_H
#define FAASI_FUNCTION_H

#include "base.h"
#include "clock.h"
#include "forecast.h"
#include "heap.h"
#include "refs.h"
#include "seats.h"
#include "sig.h"

#include <faas/invoke.h>
#include <faas/stats.h>

#include <stdatomic.h>

/* What a typed symbol is beside its handler, which is the same for all. */
struct faasi_symbol {
    struct faasi_sig sig;
    void (*address)(void);
    void *library; /* from dlopen(), or NULL */
};

/* What runs, shared by a function and the versions published of it. */
struct faasi_code {
    faasi_refs refs;
    faas_handler *handler;     /* NULL: there is only `batch` */
    faas_batch_handler *batch; /* or NULL */
    faas_init_hook *init;
    faas_close_hook *close;
    void *user;
    void (*user_free)(void *user);
    struct faasi_symbol *symbol; /* NULL: a plain handler */
    const faas_allocator *allocator;
};

/* What a function counts off the warm path, and what the cells that it gave back had
 * counted. Made with its first cell, and shared with its replacement. Lock. */
struct faasi_tally {
    uint32_t refs;
    uint32_t number; /* of the function, for the keep-alive policy; 0: never called */
    bool asked;      /* it knows of a call for which an instance is to be made */
    double start_ns, instance_bytes; /* measured and smoothed: what a cold start takes */
    uint64_t beside_bytes; /* the least that an instance took, once one was made beside
                              another; 0: none was */
    uint64_t cold_starts, init_errors, evictions, init_ns;
    uint64_t calls, errors, timeouts, run_ticks, wait_ticks, billed_kib_ms, peak_bytes;
    double used_byte_ns;
    struct faasi_forecast forecast; /* with FAASI_CARE_AHEAD */
    uint64_t left; /* ticks: when a call left the last of its instances; 0: none did */
    uint64_t ahead_at; /* ticks: then an instance is made for the next call; 0: none is */
    uint64_t prewarms; /* made so */
    faas_histogram latency;
};

/* What a cell counts. One writer at a time, handed over by the seat's word; read by
 * anybody, so that nothing is lost and nothing is locked. */
struct faasi_counters {
    _Atomic uint64_t calls, errors, timeouts, run_ticks, wait_ticks, billed_kib_ms,
        peak_bytes;
    _Atomic double used_byte_ns;
};

/* What is asked for. On the caller's stack; everything in it is borrowed until the call
 * returns. */
struct faasi_request {
    faas_fn fn;
    faas_bytes input;
    uint64_t limit_ns;                  /* 0: the function's */
    const faas_invoke_options *options; /* imported; or NULL */
    faas_event *event;
    const faas_value *values; /* of faas_call(), which has `typed` set */
    size_t value_count;
    faas_value *answer;
    bool typed;
    bool queued;                     /* of an asynchronous invocation: */
    bool failures_only;              /* a result is wanted of a failure alone */
    bool batch;                      /* of a batch itself: a faasi_batch_request */
    const faas_id *id;               /* its own */
    const _Atomic uint32_t *ordered; /* its word, and what stands there when it is */
    uint32_t cancelled;              /* cancelled */
    uint64_t *ended;                 /* ticks when its handler came back, if it ran; NULL:
                                        nobody asks */
};

/* The request in a batch's own context, with the calls in it. Apart from the others, which
 * are cleared for every call: a few bytes more there, and the compiler clears them by a
 * loop. */
struct faasi_batch_request {
    struct faasi_request request;
    const faas_item *items;
    size_t count;
};

/* What a handler knows. The first four stay as they are from call to call, so a warm call
 * writes few words; what can be looked up in the request is. */
struct faas_context {
    struct faasi_heap *heap; /* first: faas_alloc() finds it there */
    struct faasi_gate *gate;
    struct faasi_function *function;
    struct faasi_instance *instance;
    const struct faasi_request *request; /* NULL in init */
    struct faas_context *parent; /* whose handler made this call, on this thread */
    uint64_t deadline;           /* ticks */
    const faas_id *id;           /* given, or needed early; NULL: of the seat */
    uint64_t busy;               /* the seat's word meanwhile */
    faas_bytes output;
    const char *message;
    uint32_t depth;
};

struct faasi_instance {
    struct faasi_function *function;
    void *state;
    struct faasi_cell *cells; /* Lock: that point here */
    uint32_t cell_count;      /* Lock */
    bool ending;              /* Lock: closes when its last cell leaves */
    bool made;                /* init succeeded: close is owed */
    bool evicted;             /* Lock: it ends to make room */
    uint32_t number;          /* Lock: for the keep-alive policy */
    _Atomic uint64_t calls;   /* only counted when the function bounds them */
    _Atomic uint64_t born;    /* ticks */
    uint64_t declared_bytes;
    uint64_t leaving_bytes; /* Lock: what was counted as leaving when it was doomed */
    _Atomic uint64_t heap_bytes;
    struct faasi_block *heap;            /* of faas_instance_alloc() */
    struct faasi_instance *next, **link; /* Lock: in the gate's list */
};

struct faasi_cell {
    struct faasi_seat seat;
    struct faasi_function *function;
    struct faasi_instance *instance; /* its sitter's, or Lock */
    struct faasi_heap *heap;
    struct faasi_cell *sibling; /* Lock: of the same instance; or the next spare one */
    uint64_t declared_bytes;    /* counted for the instance that is to be made */
    uint64_t looked_calls;      /* Lock: the policy knows of so many of its calls */
    uint32_t number;            /* no other cell of the runtime has it */
    bool listed;                /* Lock: the instance counts it among its cells */
    bool retired;               /* Lock: over the cap */
    bool transit;               /* Lock: ODD while a provisioned instance is made */
    bool counted;               /* Lock: its call is among the gate's counted ones */
    uint32_t in_flight;         /* of a counted call: in its function, when it came in, */
    uint32_t in_flight_all;     /* and in the runtime */
    _Alignas(FAASI_CACHELINE) struct faasi_counters counters;
    _Alignas(FAASI_CACHELINE) struct faas_context context;
    _Atomic uint64_t latency[FAAS_HISTOGRAM_BUCKETS];
};

static inline struct faasi_cell *faasi_cell_of(struct faasi_seat *seat)
{
    return (struct faasi_cell *)(void *)((char *)seat -
                                         offsetof(struct faasi_cell, seat));
}

/* What a handle stands for: the head of a function and of an alias. */
struct faasi_entry {
    faas_fn fn;
    uint16_t kind; /* faas_kind */
    uint16_t name_size;
    uint32_t version; /* of a version */
    const char *name; /* terminated */
};

struct faasi_queue;
struct faasi_limit;

/* What there is to care about: of who leaves a seat, and of who closes an instance. */
enum {
    FAASI_CARE_BOUNDED = 1, /* instances end by age or number of calls */
    FAASI_CARE_COUNTED = 2, /* a limiter counts each call: it leaves under the lock */
    FAASI_CARE_AHEAD = 4    /* an instance is made ahead of a call that can be foreseen */
};

/* There are as many as names, most of them never called. */
struct faasi_function {
    struct faasi_entry entry; /* its name stands behind the struct */

    /* Path. */
    struct faasi_code *code;
    faas_handler *handler;
    void *user;
    _Atomic uint64_t timeout_ticks;
    _Atomic uint64_t heap_bytes;
    _Atomic uint64_t memory_bytes;
    _Atomic uint32_t peak; /* most calls seen at once */
    atomic_uchar care;     /* FAASI_CARE_... */
    atomic_uchar on_full;  /* off the warm path */
    bool dying;            /* Lock: no call begins; the last one to leave ends it */
    bool orphan;           /* Lock: nobody waits for that: who finds it done buries it */
    struct faasi_desk *desk; /* of one that batches or remembers: every call passes it. Or
                                NULL. Never changes */
    struct faasi_seats seats;
    _Atomic uint64_t throttles;
    _Atomic(struct faasi_queue *) queue; /* of asynchronous calls; see async.h */

    /* Policy that calls meet only off the warm path. */
    _Atomic uint64_t wait_ns, timeout_ns, init_timeout_ns, idle_ns, age_ns,
        invocation_max, instance_bytes, budget_bytes;
    atomic_uint provisioned, instance_min, instance_max;
    uint32_t instance_concurrency;
    uint32_t concurrency; /* Lock: as it was asked for; 0 follows the runtime */
    uint32_t versions;    /* Holds: the registry's lock. Published so far */

    /* Lock. */
    struct faasi_tally *tally;
    struct faasi_limit *limit; /* NULL: none yet, or none */
    uint32_t instances;        /* that exist, or are being made */
    uint32_t starting;         /* of these, whose init runs */
    uint32_t pending;          /* dying: calls and inits that are still to end */
    uint32_t holds;    /* instances that ended and are not closed yet; threads at work */
    uint64_t pass;     /* of serving waiters: nothing to be had for this one's in it */
    uint64_t retry_at; /* ticks: a provisioned instance failed; not again before */
    uint64_t leaving_bytes; /* Lock: of instances that ended and are not closed yet */
    struct faasi_function *next, **link; /* in the gate's list of provisioned ones; then
                                            in that of orphans to bury, by `next` */
};

/* With a name of 16 characters it fits a block of 320 bytes; the next size is 384. */
_Static_assert(sizeof(struct faasi_function) + 17 <= 320, "a function takes more");

static inline bool faasi_cares(const struct faasi_function *f, unsigned why)
{
    return (atomic_load_explicit(&f->care, memory_order_relaxed) & why) != 0;
}

/* Holds: the gate's lock, or nobody knows the function. */
static inline void faasi_care(struct faasi_function *f, unsigned why, bool on)
{
    unsigned care = atomic_load_explicit(&f->care, memory_order_relaxed);

    atomic_store_explicit(&f->care, (unsigned char)(on ? care | why : care & ~why),
                          memory_order_relaxed);
}

/* The cells of a function, from the oldest on. In a read section, or under the lock. */
static inline struct faasi_cell *faasi_cell_first(struct faasi_function *f)
{
    struct faasi_seat *seat = atomic_load_explicit(&f->seats.first, memory_order_acquire);

    return seat == NULL ? NULL : faasi_cell_of(seat);
}

static inline struct faasi_cell *faasi_cell_after(struct faasi_cell *cell)
{
    struct faasi_seat *seat =
        atomic_load_explicit(&cell->seat.next, memory_order_acquire);

    return seat == NULL ? NULL : faasi_cell_of(seat);
}

static inline uint64_t faasi_read(const _Atomic uint64_t *value)
{
    return atomic_load_explicit(value, memory_order_relaxed);
}

static inline void faasi_write(_Atomic uint64_t *value, uint64_t to)
{
    atomic_store_explicit(value, to, memory_order_relaxed);
}

/* For the one writer of a counter: no locked operation. */
static inline void faasi_add(_Atomic uint64_t *value, uint64_t more)
{
    faasi_write(value, faasi_read(value) + more);
}

#endif /* FAASI_FUNCTION_H */

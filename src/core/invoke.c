/* SPDX-License-Identifier: MIT */
/* invoke.c - the way of an invocation. */
#include "invoke.h"

#include "alias.h"
#include "desk.h"
#include "mem.h"
#include "recall.h"
#include "report.h"

#include <stdio.h>

/* What a thread remembers of its last call of a function: the seat, and the word that the
 * seat had when it was left. It is only a hint: a word never comes back, so taking the
 * seat by it fails if anything happened since. Handles are unique in the process, so a
 * hint is never used for another runtime, and the memory of cells lives as long as
 * theirs. */
struct hint {
    faas_fn fn;
    struct faasi_cell *cell;
    uint64_t idle;
};

/* A thread begins with a few hints in its own block, which is small; see CMakeLists.txt.
 * One that calls more functions than these gets a table on the heap. */
enum { HINTS_FEW = 16, HINTS_MANY = 256, MISSES_MAX = 64 };

static _Thread_local struct hint few_hints[HINTS_FEW];
static _Thread_local uint32_t hint_misses; /* calls whose place had another's hint */

/* How a call that had no seat at hand got one. */
struct admission {
    faas_id id;        /* if it was needed before there was a seat */
    uint64_t deadline; /* ticks */
    uint64_t waited;   /* ticks */
    uint64_t init_ns;
    bool timed; /* it took time: look at the deadline before the handler */
    bool cold;
};

/* The table on the heap is the memory of the thread: gone when that ends. */
static struct hint *hint_of(faas_fn fn)
{
    uint64_t key = fn.index ^ fn.generation ^ fn.runtime;
    struct hint *many = faasi_reader_self.memory;

    return FAASI_LIKELY(many == NULL) ? &few_hints[key % HINTS_FEW]
                                      : &many[key % HINTS_MANY];
}

static bool fn_equal(faas_fn a, faas_fn b)
{
    return a.index == b.index && a.generation == b.generation && a.runtime == b.runtime;
}

/* The next call of a function is to find its seat anew. */
static void hint_drop(faas_fn fn)
{
    struct hint *hint = hint_of(fn);

    if (fn_equal(hint->fn, fn))
        *hint = (struct hint){{0, 0, 0}, NULL, 0};
}

/* A call found another function's hint in its place: the few will not do for a thread
 * where that is common. Without memory it keeps them, and asks again later. */
static void hints_miss(void)
{
    if (++hint_misses % MISSES_MAX == 0)
        faasi_thread_memory(HINTS_MANY * sizeof(struct hint));
}

static bool id_given(faas_id id)
{
    return (id.high | id.low) != 0;
}

faas_id faasi_unseated_id(faas_runtime *rt)
{
    faas_id id = {rt->gate.id_high, 0};

    /* Ids of seats have this bit clear; see faasi_context_id(). */
    id.low = (uint64_t)1 << 63 |
             atomic_fetch_add_explicit(&rt->unseated_ids, 1, memory_order_relaxed);
    return id;
}

/* ---- before admission ---- */

/* The deadline that a nested call inherits, in the ticks of its own runtime. */
static uint64_t inherited_deadline(const faas_clock *mine,
                                   const struct faas_context *parent, uint64_t now)
{
    const faas_clock *theirs = parent->gate->clock;
    uint64_t left;

    if (mine == theirs || parent->deadline == UINT64_MAX)
        return parent->deadline;
    left = faasi_ticks_since(parent->deadline, faasi_ticks(theirs));
    return faasi_ticks_after(now,
                             faasi_ns_to_ticks(mine, faasi_ticks_to_ns(theirs, left)));
}

/* A call from inside a handler, or with options: its deadline and depth, before anything
 * is taken. */
static faas_status call_prepare(const faas_runtime *rt,
                                const struct faasi_request *request,
                                const struct faas_context *parent, uint64_t *deadline)
{
    const faas_invoke_options *options = request->options;
    const faas_clock *clock = rt->gate.clock;
    uint64_t now = faasi_ticks(clock);

    if (options != NULL) {
        uint64_t limit = options->limit_ns == 0 ? FAAS_FOREVER : options->limit_ns;
        uint64_t until = options->deadline_ns == 0 ? FAAS_FOREVER : options->deadline_ns;

        *deadline = faasi_ticks_after(now, faasi_ns_to_ticks(clock, limit));
        until = faasi_instant_ticks(clock, until);
        if (until < *deadline)
            *deadline = until;
    }
    if (parent != NULL) {
        uint64_t inherited = inherited_deadline(clock, parent, now);

        if (parent->depth + 1 >= rt->depth_max)
            return FAAS_EDEPTH;
        if (inherited < *deadline)
            *deadline = inherited;
    }
    return now >= *deadline ? FAAS_EEXPIRED : FAAS_OK;
}

/* The sooner of `deadline` and what the call's own limit and the function's allow. */
uint64_t faasi_call_deadline(const faas_clock *clock, const struct faasi_request *request,
                             const struct faasi_function *f, uint64_t started,
                             uint64_t deadline)
{
    uint64_t limit = faasi_read(&f->timeout_ticks), until;

    if (request->limit_ns != 0) {
        uint64_t own = faasi_ns_to_ticks(clock, request->limit_ns);

        if (own < limit)
            limit = own;
    }
    until = faasi_ticks_after(started, limit);
    return until < deadline ? until : deadline;
}

/* ---- admission ---- */

/* Which version an alias's call goes to. */
static faas_fn call_route(faas_runtime *rt, const faas_invoke_options *options,
                          const struct faasi_alias *alias, struct admission *admission)
{
    if (options != NULL && options->key.data != NULL)
        return faasi_alias_pick(alias, options->key);
    if (options != NULL && id_given(options->request_id)) {
        admission->id = options->request_id;
    } else if (!id_given(admission->id)) {
        admission->id = faasi_unseated_id(rt);
    }
    return faasi_alias_pick(alias, faas_bytes_of(&admission->id, sizeof admission->id));
}

/* Finds what a handle stands for, and behind an alias the version. In a read section. */
static struct faasi_function *call_resolve(faas_runtime *rt,
                                           const struct faasi_request *request,
                                           struct admission *admission)
{
    struct faasi_entry *entry = faasi_registry_get(&rt->registry, request->fn);

    if (entry != NULL && entry->kind == FAAS_KIND_ALIAS)
        entry = faasi_registry_get(
            &rt->registry,
            call_route(rt, request->options, (struct faasi_alias *)entry, admission));
    return (struct faasi_function *)entry;
}

/* Finds a seat under the lock, and times it: this is where calls wait. In a read section,
 * which it leaves. */
static faas_status call_wait(faas_runtime *rt, const struct faasi_request *request,
                             struct faasi_function *f, struct admission *admission,
                             struct faasi_cell **cell)
{
    uint64_t started = faasi_ticks(rt->gate.clock);
    faas_status status;

    admission->deadline =
        faasi_call_deadline(rt->gate.clock, request, f, started, admission->deadline);
    status = faasi_gate_enter(&rt->gate, f, admission->deadline,
                              faasi_context_current == NULL, cell);
    admission->waited += faasi_ticks_since(faasi_ticks(rt->gate.clock), started);
    admission->timed = true;
    return status;
}

/* Whether a call would be admitted now: at once, or into the next batch. */
static faas_status call_probe(faas_runtime *rt, struct faasi_function *f)
{
    if (f->desk != NULL && f->desk->collects &&
        atomic_load_explicit(&f->seats.cap, memory_order_relaxed) != 0)
        return FAAS_OK;
    return faasi_gate_probe(&rt->gate, f);
}

/* Finds a seat without a hint, or the desk that the call must pass: it is its user then.
 * In a read section, which it leaves. Of a dry run both are NULL. */
static faas_status call_enter(faas_runtime *rt, const struct faasi_request *request,
                              struct admission *admission, struct faasi_cell **cell,
                              struct faasi_desk **desk, struct faasi_place **place)
{
    faas_status status;

    for (;;) {
        struct faasi_function *f = call_resolve(rt, request, admission);
        bool dry = request->options != NULL && request->options->dry_run != 0;

        *cell = NULL;
        *desk = NULL;
        if (f == NULL)
            status = atomic_load_explicit(&rt->gate.closing, memory_order_relaxed)
                         ? FAAS_ECLOSED
                         : FAAS_ENOENT;
        else if (dry)
            status = call_probe(rt, f);
        else if (f->desk == NULL)
            status = faasi_gate_try(&rt->gate, f, cell);
        else if ((status = faasi_desk_enter(f->desk, place)) == FAAS_OK)
            *desk = f->desk;
        else if (status == FAAS_ENOENT)
            continue; // it was replaced
        if (status != FAAS_OK || dry || *cell != NULL || *desk != NULL) {
            faasi_read_leave();
            return status;
        }
        status = call_wait(rt, request, f, admission, cell);
        if (status != FAAS_ENOENT)
            return status;
        faasi_read_enter(); // it went away, or was replaced: look again
    }
}

/* ---- the call itself ---- */

/* Whether typed arguments fit, and whether this is the way to call at all. */
static faas_status call_check(const struct faasi_request *request,
                              const struct faasi_function *f)
{
    const struct faasi_symbol *symbol = f->code->symbol;
    const struct faasi_sig *sig;
    faas_status status;

    if (symbol == NULL)
        return faasi_fail(FAAS_ETYPE, "%s is no symbol with a signature", f->entry.name);
    sig = &symbol->sig;
    if (!request->typed)
        return faasi_sig_check_packed(sig, request->input.data, request->input.size, NULL,
                                      0);
    status = faasi_sig_check_values(sig, request->values, request->value_count);
    return status == FAAS_OK ? faasi_sig_check_result(sig, request->answer) : status;
}

/* A heap for this call where the last one's is still with its result. */
static bool cell_renew_heap(struct faasi_gate *gate, struct faasi_cell *cell)
{
    struct faasi_heap *heap = faasi_heap_open(gate->allocator, &gate->held_bytes);

    if (heap == NULL)
        return false;
    faasi_heap_close(cell->heap);
    cell->heap = cell->context.heap = heap;
    return true;
}

/* Counts a call that ran. The cell is ours, so nothing here is contended. */
static void count(struct faasi_cell *cell, uint64_t run_ticks, uint64_t run_ns,
                  faas_status status)
{
    struct faasi_counters *c = &cell->counters;
    uint64_t peak = faasi_heap_used(cell->heap);
    uint64_t kib = faasi_read(&cell->function->memory_bytes) >> 10;

    faasi_add(&c->calls, 1);
    faasi_add(&c->run_ticks, run_ticks);
    faasi_add(&c->billed_kib_ms, kib * faasi_billed_ms(run_ns));
    faasi_add(&cell->latency[faas_histogram_bucket(run_ns)], 1);
    if (peak != 0) {
        double used = atomic_load_explicit(&c->used_byte_ns, memory_order_relaxed);

        atomic_store_explicit(&c->used_byte_ns, used + (double)peak * (double)run_ns,
                              memory_order_relaxed);
        if (peak > faasi_read(&c->peak_bytes))
            faasi_write(&c->peak_bytes, peak);
    }
    if (FAASI_UNLIKELY(status != FAAS_OK)) {
        _Atomic uint64_t *failures = status == FAAS_ETIMEDOUT ? &c->timeouts : &c->errors;

        /* Release: whoever sees it sees the call. Pairs with faasi_gate_stats(). */
        atomic_store_explicit(failures, faasi_read(failures) + 1, memory_order_release);
    }
}

static faas_meter meter_of(const struct faasi_cell *cell,
                           const struct admission *admission, uint64_t run_ns)
{
    faas_meter meter = {.request_id = faasi_context_id(&cell->context),
                        .run_ns = run_ns,
                        .peak_bytes = faasi_heap_used(cell->heap)};

    if (admission != NULL) {
        meter.wait_ns = faasi_ticks_to_ns(cell->context.gate->clock, admission->waited);
        meter.init_ns = admission->init_ns;
        meter.cold = admission->cold;
    }
    return meter;
}

/* Gives the seat back, and remembers it. Nothing of the cell is touched afterwards. */
static void call_leave(faas_runtime *rt, struct faasi_cell *cell, bool end)
{
    uint64_t busy = cell->context.busy;
    faas_fn fn = cell->function->entry.fn;

    if (FAASI_LIKELY(!end && faasi_seat_leave(&cell->seat, busy))) {
        struct hint *hint = hint_of(fn);

        hint->fn = fn;
        hint->cell = cell;
        hint->idle = faasi_word_left(busy);
        return;
    }
    faasi_gate_leave(&rt->gate, cell, end);
}

/* Writes what a context does not keep from call to call. */
static void context_fill(struct faas_context *ctx, const struct faasi_request *request,
                         struct faas_context *parent, uint64_t deadline,
                         const struct admission *admission)
{
    ctx->request = request;
    ctx->parent = parent;
    ctx->deadline = deadline;
    ctx->id = NULL;
    ctx->output = faas_bytes_of(NULL, 0);
    ctx->message = NULL;
    ctx->depth = parent == NULL ? 0 : parent->depth + 1;
    if (FAASI_UNLIKELY(request->id != NULL))
        ctx->id = request->id;
    else if (FAASI_UNLIKELY(request->options != NULL &&
                            id_given(request->options->request_id)))
        ctx->id = &request->options->request_id;
    else if (FAASI_UNLIKELY(admission != NULL && id_given(admission->id)))
        ctx->id = &admission->id;
}

/* Whether a call that has its seat may run there: its arguments fit, there is a heap for
 * it, and time left.
 *
 * @param[in,out] deadline  What the call has; its own from here on.
 * @param[out]    begun     Ticks: now. */
static faas_status call_ready(faas_runtime *rt, const struct faasi_request *request,
                              struct faasi_cell *cell, const struct admission *admission,
                              uint64_t *deadline, uint64_t *begun)
{
    const struct faasi_function *f = cell->function;
    faas_status status = FAAS_OK;

    if (FAASI_UNLIKELY(f->code->symbol != NULL || request->typed))
        status = call_check(request, f);
    if (FAASI_UNLIKELY(!faasi_heap_is_home(cell->heap)) && status == FAAS_OK &&
        !cell_renew_heap(&rt->gate, cell))
        status = FAAS_ENOMEM;
    *begun = faasi_ticks(rt->gate.clock);
    if (FAASI_LIKELY(admission == NULL || !admission->timed))
        *deadline = faasi_call_deadline(rt->gate.clock, request, f, *begun, *deadline);
    else if (*begun >= *deadline && status == FAAS_OK)
        status = FAAS_EEXPIRED;
    return status;
}

/* Runs the handler in a cell that is ours and ready. `deadline` is what the call has,
 * `admission` how it got its seat: NULL by a hint. */
static faas_status call_run(faas_runtime *rt, const struct faasi_request *request,
                            struct faas_context *parent, struct faasi_cell *cell,
                            uint64_t deadline, const struct admission *admission,
                            faas_result **result)
{
    const faas_clock *clock = rt->gate.clock;
    struct faasi_function *f = cell->function;
    struct faas_context *ctx = &cell->context;
    uint64_t begun, ended, run_ns;
    faas_status status = call_ready(rt, request, cell, admission, &deadline, &begun);
    bool end = false;
    int code;

    if (FAASI_UNLIKELY(status != FAAS_OK)) { // refused with a seat: it is no call
        faasi_gate_leave(&rt->gate, cell, false);
        return status;
    }
    faasi_heap_start(cell->heap, faasi_read(&f->heap_bytes));
    context_fill(ctx, request, parent, deadline, admission);

    faasi_context_current = ctx;
    code = f->handler(ctx, request->input);
    faasi_context_current = parent;
    ended = faasi_ticks(clock);

    status = FAASI_UNLIKELY(ended > deadline) ? FAAS_ETIMEDOUT
             : FAASI_UNLIKELY(code != 0)      ? FAAS_EHANDLER
                                              : FAAS_OK;
    run_ns = faasi_ticks_to_ns(clock, faasi_ticks_since(ended, begun));
    count(cell, faasi_ticks_since(ended, begun), run_ns, status);
    if (FAASI_UNLIKELY(admission != NULL)) { // also all that are queued
        faasi_add(&cell->counters.wait_ticks, admission->waited);
        if (request->ended != NULL)
            *request->ended = ended;
    }
    if (FAASI_UNLIKELY(rt->reports)) {
        faas_meter meter = meter_of(cell, admission, run_ns);

        faasi_report_call(rt, f,
                          cell->instance->declared_bytes +
                              faasi_read(&cell->instance->heap_bytes),
                          &meter, begun, status);
    }
    if (result != NULL && (status != FAAS_OK || !request->failures_only)) {
        faas_meter meter = meter_of(cell, admission, run_ns);

        *result = faasi_context_result(ctx, status, code, &meter);
    } else {
        faasi_heap_wipe(cell->heap);
    }
    faasi_write(&cell->seat.left_ticks, ended);
    if (FAASI_UNLIKELY(faasi_cares(f, FAASI_CARE_BOUNDED)))
        end = faasi_instance_served(clock, cell, 1, ended);
    if (FAASI_UNLIKELY(ended >= deadline) && request->queued)
        end = true; // its waiter was told long ago; who knows what it still has going on
    if (FAASI_UNLIKELY(faasi_cares(f, FAASI_CARE_COUNTED)))
        faasi_gate_leave_counted(
            &rt->gate, cell, end,
            admission == NULL || request->queued ? 0 : admission->waited, run_ns);
    else
        call_leave(rt, cell, end);
    return status;
}

/* Runs a call in a cell that it was given: makes the instance first, if need be. */
static faas_status call_start(faas_runtime *rt, const struct faasi_request *request,
                              struct faas_context *parent, struct faasi_cell *cell,
                              struct admission *admission, faas_result **result)
{
    faas_status status;

    admission->cold = cell->instance == NULL;
    admission->timed |= admission->cold;
    status = faasi_instance_ready(&rt->gate, cell, &admission->init_ns);
    if (status != FAAS_OK) {
        faasi_gate_leave(&rt->gate, cell, false);
        return status;
    }
    cell->context.busy = faasi_seat_word(&cell->seat) & ~FAASI_ATTENTION;
    return call_run(rt, request, parent, cell, admission->deadline, admission, result);
}

faas_status faasi_invoke_one(faas_runtime *rt, struct faasi_function *f,
                             const struct faasi_call *call, faas_result **result)
{
    struct admission admission = {.deadline = call->deadline};
    struct faasi_cell *cell;
    faas_status status;

    if (call->id != NULL)
        admission.id = *call->id;
    faasi_read_enter();
    status = faasi_gate_try(&rt->gate, f, &cell);
    if (status == FAAS_OK && cell == NULL)
        status = call_wait(rt, call->request, f, &admission, &cell);
    else
        faasi_read_leave();
    if (status != FAAS_OK)
        return status;
    status = call_start(rt, call->request, call->parent, cell, &admission, result);
    hint_drop(f->entry.fn);
    return status;
}

/* Runs a call whose function has a desk, and leaves that. On FAAS_ENOENT the handle is to
 * be looked up again, in a read section that this has entered. */
static faas_status call_at_desk(faas_runtime *rt, struct faasi_desk *desk,
                                struct faasi_place *place,
                                const struct faasi_request *request,
                                struct faas_context *parent,
                                const struct admission *admission, faas_result **result)
{
    struct faasi_call call = {.request = request,
                              .parent = parent,
                              .deadline = admission->deadline,
                              .waited = admission->waited,
                              .place = place};
    faas_status status;

    if (request->options != NULL && id_given(request->options->request_id))
        call.id = &request->options->request_id;
    else if (id_given(admission->id))
        call.id = &admission->id;
    status = faasi_recall_invoke(rt, desk, &call, result);
    /* As a visitor, because once the desk is left nothing else keeps the runtime. */
    if (status == FAAS_ENOENT && faasi_visit(rt) != FAAS_OK)
        status = FAAS_ECLOSED;
    faasi_desk_leave(desk, call.place);
    if (status == FAAS_ENOENT) {
        faasi_read_enter();
        faasi_unvisit(rt);
    }
    return status;
}

/* A call without a hint: finds a seat, makes its instance if need be, and runs. In a read
 * section, which it leaves. */
static faas_status call_admit(faas_runtime *rt, const struct faasi_request *request,
                              struct faas_context *parent, uint64_t deadline,
                              faas_result **result)
{
    struct admission admission = {.deadline = deadline};
    const struct hint *hint = hint_of(request->fn);
    struct faasi_cell *cell;
    struct faasi_desk *desk;
    struct faasi_place *place;
    faas_status status;

    if (hint->cell != NULL && !fn_equal(hint->fn, request->fn))
        hints_miss();
    for (;;) {
        status = call_enter(rt, request, &admission, &cell, &desk, &place);
        if (desk == NULL)
            break;
        status = call_at_desk(rt, desk, place, request, parent, &admission, result);
        if (status != FAAS_ENOENT)
            return status;
    }
    if (status != FAAS_OK || cell == NULL)
        return status;
    return call_start(rt, request, parent, cell, &admission, result);
}

faas_status faasi_invoke(faas_runtime *rt, const struct faasi_request *request,
                         faas_result **result)
{
    struct faas_context *parent = faasi_context_current;
    struct hint *hint = hint_of(request->fn);
    uint64_t deadline = UINT64_MAX;

    if (result != NULL)
        *result = NULL;
    if (FAASI_UNLIKELY(parent != NULL || request->options != NULL)) {
        faas_status status = call_prepare(rt, request, parent, &deadline);

        if (status != FAAS_OK)
            return status;
    }
    faasi_read_enter();
    if (FAASI_LIKELY(fn_equal(hint->fn, request->fn) && request->fn.runtime == rt->id) &&
        (request->options == NULL || request->options->dry_run == 0) &&
        FAASI_LIKELY(faasi_seat_take(&hint->cell->seat, hint->idle))) {
        struct faasi_cell *cell = hint->cell;

        faasi_read_leave();
        cell->context.busy = faasi_word_taken(hint->idle);
        return call_run(rt, request, parent, cell, deadline, NULL, result);
    }
    return call_admit(rt, request, parent, deadline, result);
}

/* Finds a seat for a queued call, or sets the watch; or the desk that it must pass. In a
 * read section, which it leaves. */
static faas_status queued_enter(faas_runtime *rt, const struct faasi_request *request,
                                struct faasi_watch *watch, struct faasi_cell **cell,
                                struct faasi_desk **desk, struct faasi_place **place,
                                bool *watched)
{
    *watched = false;
    for (;;) {
        struct faasi_entry *entry = faasi_registry_get(&rt->registry, request->fn);
        struct faasi_function *f = (struct faasi_function *)entry;
        faas_status status = FAAS_ENOENT;

        *desk = NULL;
        if (entry == NULL) {
            faasi_read_leave();
            return status;
        }
        assert(entry->kind != FAAS_KIND_ALIAS);
        if (f->desk != NULL) {
            status = faasi_desk_enter(f->desk, place);
            if (status == FAAS_ENOENT)
                continue; // it was replaced
            if (status == FAAS_OK)
                *desk = f->desk;
            faasi_read_leave();
            return status;
        }
        status = faasi_gate_enter_or_watch(&rt->gate, f, watch, cell, watched);
        if (status != FAAS_ENOENT)
            return status;
        faasi_read_enter(); // it went away, or was replaced: look again
    }
}

/* A queued call without a hint. In a read section, which it leaves. */
static faas_status queued_admit(faas_runtime *rt, const struct faasi_request *request,
                                struct admission *admission, struct faasi_watch *watch,
                                faas_result **result, bool *watched)
{
    struct faasi_place *place;
    struct faasi_desk *desk;
    struct faasi_cell *cell;
    faas_status status;

    for (;;) {
        status = queued_enter(rt, request, watch, &cell, &desk, &place, watched);
        if (desk == NULL)
            break;
        status = call_at_desk(rt, desk, place, request, NULL, admission, result);
        if (status != FAAS_ENOENT)
            return status;
    }
    if (status != FAAS_OK)
        return status;
    if (cell->instance == NULL) // what it is made in counts
        admission->deadline =
            faasi_call_deadline(rt->gate.clock, request, cell->function,
                                faasi_ticks(rt->gate.clock), admission->deadline);
    return call_start(rt, request, NULL, cell, admission, result);
}

faas_status faasi_invoke_queued(faas_runtime *rt, const struct faasi_request *request,
                                uint64_t deadline, uint64_t waited,
                                struct faasi_watch *watch, faas_result **result,
                                bool *watched)
{
    struct admission admission = {
        .deadline = deadline, .waited = waited, .id = *request->id};
    struct hint *hint = hint_of(request->fn);
    struct faasi_cell *cell = hint->cell;
    struct faasi_below below;
    faas_status status;

    *result = NULL;
    faasi_aside_begin(&below);
    faasi_read_enter();
    if (FAASI_LIKELY(fn_equal(hint->fn, request->fn)) &&
        FAASI_LIKELY(faasi_seat_take(&cell->seat, hint->idle))) {
        faasi_read_leave();
        cell->context.busy = faasi_word_taken(hint->idle);
        status = call_run(rt, request, NULL, cell, deadline, &admission, result);
    } else {
        status = queued_admit(rt, request, &admission, watch, result, watched);
    }
    faasi_aside_end(&below);
    return status;
}

/* ---- public ---- */

faas_status faas_invoke(faas_runtime *rt, faas_fn fn, faas_bytes input, uint64_t limit_ns,
                        faas_result **result)
{
    struct faasi_request request = {.fn = fn, .input = input, .limit_ns = limit_ns};

    return faasi_invoke(rt, &request, result);
}

faas_status faas_invoke_with(faas_runtime *rt, faas_fn fn, faas_bytes input,
                             const faas_invoke_options *options, faas_result **result)
{
    faas_invoke_options known = FAAS_INVOKE_OPTIONS_INIT;
    struct faasi_request request = {.fn = fn, .input = input, .options = &known};
    faas_status status;

    if (result != NULL)
        *result = NULL;
    status = faasi_options_import(&known, sizeof known, options, "invoke options");
    if (status != FAAS_OK)
        return status;
    if (known.priority < FAAS_PRIORITY_DEFAULT || known.priority > FAAS_PRIORITY_LOW)
        return faasi_fail(FAAS_EINVAL, "invoke.priority: %d is unknown",
                          (int)known.priority);
    if (known.event != NULL) {
        request.event = known.event;
        request.input = faas_event_data(known.event);
    }
    return faasi_invoke(rt, &request, result);
}

faas_status faas_call(faas_runtime *rt, faas_fn fn, const faas_value *args, size_t count,
                      uint64_t limit_ns, faas_value *answer)
{
    struct faasi_request request = {.fn = fn,
                                    .limit_ns = limit_ns,
                                    .values = args,
                                    .value_count = count,
                                    .answer = answer,
                                    .typed = true};

    return faasi_invoke(rt, &request, NULL);
}

uint64_t faas_retry_after_ns(void)
{
    return faasi_gate_retry_after_ns();
}

void faas_id_text(faas_id id, char text[FAAS_ID_TEXT_SIZE])
{
    (void)snprintf(text, FAAS_ID_TEXT_SIZE, "%08x-%04x-%04x-%04x-%012llx",
                   (unsigned)(id.high >> 32), (unsigned)(id.high >> 16 & 0xffff),
                   (unsigned)(id.high & 0xffff), (unsigned)(id.low >> 48),
                   (unsigned long long)(id.low & 0xffffffffffffu));
}

faas_bytes faas_result_bytes(const faas_result *result)
{
    return result->output;
}

int faas_result_code(const faas_result *result)
{
    return result->code;
}

const char *faas_result_message(const faas_result *result)
{
    return result->message;
}

const faas_meter *faas_result_meter(const faas_result *result)
{
    return &result->meter;
}

void faas_result_release(faas_result *result)
{
    if (result != NULL && faasi_unref(&result->shares))
        faasi_heap_return(faasi_heap_of(result));
}

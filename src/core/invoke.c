/* SPDX-License-Identifier: MIT */
/* invoke.c - the way of an invocation. */
#include "invoke.h"

#include "alias.h"
#include "mem.h"

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

enum { HINTS = 16 };

static _Thread_local struct hint hints[HINTS];

/* One invocation on its way. */
struct call {
    faas_runtime *rt;
    const struct faasi_request *request;
    struct faas_context *parent;
    uint64_t deadline; /* ticks */
    uint64_t waited;   /* ticks */
    uint64_t init_ns;
    faas_fn fn;    /* behind an alias, the version's */
    faas_id id;    /* if it was given, or was needed before there was a seat */
    uint64_t busy; /* the seat's word while it is ours */
    bool timed;    /* admission took time: look at the deadline before the handler */
    bool cold;
};

static struct hint *hint_of(faas_fn fn)
{
    return &hints[(fn.index ^ fn.generation ^ fn.runtime) % HINTS];
}

static bool fn_equal(faas_fn a, faas_fn b)
{
    return a.index == b.index && a.generation == b.generation && a.runtime == b.runtime;
}

static bool id_given(faas_id id)
{
    return (id.high | id.low) != 0;
}

/* ---- before admission ---- */

/* The deadline that a nested call inherits, in the ticks of its own runtime. */
static uint64_t inherited_deadline(const struct call *call, uint64_t now)
{
    const faas_clock *mine = call->rt->gate.clock;
    const faas_clock *theirs = call->parent->gate->clock;
    uint64_t left;

    if (mine == theirs || call->parent->deadline == UINT64_MAX)
        return call->parent->deadline;
    left = faasi_ticks_since(call->parent->deadline, faasi_ticks(theirs));
    return faasi_ticks_after(now,
                             faasi_ns_to_ticks(mine, faasi_ticks_to_ns(theirs, left)));
}

/* A call from inside a handler, or with options: its deadline and depth, before anything
 * is taken. */
static faas_status call_prepare(struct call *call)
{
    const faas_invoke_options *options = call->request->options;
    const faas_clock *clock = call->rt->gate.clock;
    uint64_t now = faasi_ticks(clock);

    if (options != NULL) {
        uint64_t limit = options->limit_ns == 0 ? FAAS_FOREVER : options->limit_ns;
        uint64_t until = options->deadline_ns == 0 ? FAAS_FOREVER : options->deadline_ns;

        call->deadline = faasi_ticks_after(now, faasi_ns_to_ticks(clock, limit));
        until = faasi_instant_ticks(clock, until);
        if (until < call->deadline)
            call->deadline = until;
        call->id = options->request_id;
    }
    if (call->parent != NULL) {
        uint64_t inherited = inherited_deadline(call, now);

        if (call->parent->depth + 1 >= call->rt->depth_max)
            return FAAS_EDEPTH;
        if (inherited < call->deadline)
            call->deadline = inherited;
    }
    return now >= call->deadline ? FAAS_EEXPIRED : FAAS_OK;
}

/* The sooner of what the call has and what its own limit and the function's allow. */
static uint64_t call_deadline(const struct call *call, struct faasi_function *f,
                              uint64_t started)
{
    uint64_t limit = faasi_read(&f->timeout_ticks), until;

    if (call->request->limit_ns != 0) {
        uint64_t own = faasi_ns_to_ticks(call->rt->gate.clock, call->request->limit_ns);

        if (own < limit)
            limit = own;
    }
    until = faasi_ticks_after(started, limit);
    return until < call->deadline ? until : call->deadline;
}

/* ---- admission ---- */

/* Which version an alias's call goes to. */
static faas_fn call_route(struct call *call, const struct faasi_alias *alias)
{
    const faas_invoke_options *options = call->request->options;

    if (options != NULL && options->key.data != NULL)
        return faasi_alias_pick(alias, options->key);
    if (!id_given(call->id)) {
        call->id.high = call->rt->id_high;
        /* Seated calls' ids have this bit clear; see call_id(). */
        call->id.low =
            (uint64_t)1 << 63 |
            atomic_fetch_add_explicit(&call->rt->unseated_ids, 1, memory_order_relaxed);
    }
    return faasi_alias_pick(alias, faas_bytes_of(&call->id, sizeof call->id));
}

/* Finds a seat without a hint, and makes its instance if need be. Called in a read
 * section, which it leaves. */
static faas_status call_admit(struct call *call, struct faasi_cell **cell)
{
    faas_runtime *rt = call->rt;
    uint64_t started = faasi_ticks(rt->gate.clock);
    faas_status status;

    for (;;) {
        struct faasi_entry *entry = faasi_registry_get(&rt->registry, call->fn);
        struct faasi_function *f = (struct faasi_function *)entry;

        if (entry == NULL) {
            faasi_read_leave();
            return atomic_load_explicit(&rt->gate.closing, memory_order_relaxed)
                       ? FAAS_ECLOSED
                       : FAAS_ENOENT;
        }
        if (entry->kind == FAAS_KIND_ALIAS) {
            call->fn = call_route(call, (struct faasi_alias *)entry);
            continue;
        }
        call->deadline = call_deadline(call, f, started);
        if (call->request->options != NULL && call->request->options->dry_run != 0) {
            status = faasi_gate_has_room(&rt->gate, f) ? FAAS_OK : FAAS_EBUSY;
            faasi_read_leave();
            *cell = NULL;
            return status;
        }
        status = faasi_gate_enter(&rt->gate, f, call->deadline, cell);
        if (status == FAAS_OK)
            break;
        if (status != FAAS_ENOENT)
            return status;
        call->fn = call->request->fn; // it went away, or was replaced: look again
        faasi_read_enter();
    }
    call->busy = faasi_seat_word(&(*cell)->seat) & ~FAASI_ATTENTION;
    call->timed = true;
    call->cold = (*cell)->instance == NULL;
    call->waited = faasi_ticks_since(faasi_ticks(rt->gate.clock), started);
    status = faasi_instance_ready(&rt->gate, *cell, &call->init_ns);
    if (status != FAAS_OK)
        faasi_gate_leave(&rt->gate, *cell, false);
    return status;
}

/* ---- the call itself ---- */

/* A seat's version and number make an id that no other call of this runtime has. */
static faas_id call_id(const struct call *call, const struct faasi_cell *cell)
{
    faas_id id = {call->rt->id_high,
                  (uint64_t)cell->number << 40 | call->busy >> FAASI_VERSION_SHIFT};

    return id_given(call->id) ? call->id : id;
}

/* Whether typed arguments fit, and whether this is the way to call at all. */
static faas_status call_check(const struct call *call, const struct faasi_function *f)
{
    const struct faasi_request *request = call->request;
    const struct faasi_sig *sig = &f->code->sig;
    faas_status status;

    if (!f->code->typed)
        return faasi_fail(FAAS_ETYPE, "%s is no symbol with a signature", f->entry.name);
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
    cell->heap = heap;
    return true;
}

static void context_fill(struct faas_context *ctx, const struct call *call,
                         struct faasi_cell *cell)
{
    const struct faasi_request *request = call->request;
    const faas_invoke_options *options = request->options;
    static const faas_bytes none;

    ctx->heap = cell->heap;
    ctx->gate = &call->rt->gate;
    ctx->function = cell->function;
    ctx->instance = cell->instance;
    ctx->parent = call->parent;
    ctx->deadline = call->deadline;
    ctx->event = request->event;
    ctx->output = none;
    ctx->message = NULL;
    ctx->values = request->values;
    ctx->answer = request->answer;
    ctx->typed = request->typed;
    ctx->id = call_id(call, cell);
    ctx->tenant = options == NULL ? none : options->tenant;
    ctx->trace = options == NULL ? none : options->trace;
    ctx->attempt = options == NULL || options->attempt == 0 ? 1 : options->attempt;
    ctx->depth = 0;
    if (call->parent != NULL) {
        ctx->depth = call->parent->depth + 1;
        if (ctx->trace.data == NULL)
            ctx->trace = call->parent->trace;
    }
}

/* What Lambda bills: time rounded up to 1 ms, at least that. */
static uint64_t billed_ms(uint64_t ns)
{
    return ns == 0 ? 1 : (ns + 999999) / 1000000;
}

/* Counts a call that ran. The cell is ours, so nothing here is contended. */
static void count(struct faasi_cell *cell, const struct call *call, uint64_t run_ticks,
                  uint64_t run_ns, faas_status status)
{
    struct faasi_counters *c = &cell->counters;
    uint64_t peak = faasi_heap_used(cell->heap);
    uint64_t kib = faasi_read(&cell->function->memory_bytes) >> 10;

    faasi_add(&c->calls, 1);
    faasi_add(&c->run_ticks, run_ticks);
    faasi_add(&c->billed_kib_ms, kib * billed_ms(run_ns));
    faasi_add(&cell->latency[faas_histogram_bucket(run_ns)], 1);
    if (FAASI_UNLIKELY(call->waited != 0))
        faasi_add(&c->wait_ticks, call->waited);
    if (peak != 0) {
        double used = atomic_load_explicit(&c->used_byte_ns, memory_order_relaxed);

        atomic_store_explicit(&c->used_byte_ns, used + (double)peak * (double)run_ns,
                              memory_order_relaxed);
        if (peak > faasi_read(&c->peak_bytes))
            faasi_write(&c->peak_bytes, peak);
    }
    if (FAASI_UNLIKELY(status != FAAS_OK))
        faasi_add(status == FAAS_ETIMEDOUT ? &c->timeouts : &c->errors, 1);
}

static faas_meter meter_of(const struct call *call, const struct faasi_cell *cell,
                           uint64_t run_ns)
{
    faas_meter meter = {.request_id = cell->context.id,
                        .wait_ns = faasi_ticks_to_ns(call->rt->gate.clock, call->waited),
                        .init_ns = call->init_ns,
                        .run_ns = run_ns,
                        .peak_bytes = faasi_heap_used(cell->heap),
                        .cold = call->cold};

    return meter;
}

/* One line as Lambda writes it; see faas_runtime_options. */
static void report(const struct call *call, const struct faasi_cell *cell,
                   uint64_t run_ns, faas_status status)
{
    faas_meter meter = meter_of(call, cell, run_ns);
    const struct faasi_function *f = cell->function;
    uint64_t memory = faasi_read(&f->memory_bytes);
    char id[FAAS_ID_TEXT_SIZE], init[64] = "", line[768];
    int size;

    faas_id_text(meter.request_id, id);
    if (meter.cold)
        (void)snprintf(init, sizeof init, "\tInit Duration: %.2f ms",
                       (double)meter.init_ns / 1e6);
    size = snprintf(line, sizeof line,
                    "REPORT RequestId: %s\tDuration: %.2f ms\tBilled Duration: %llu ms"
                    "\tMemory Size: %llu MB\tMax Memory Used: %llu MB%s"
                    "\tFunction: %s\tStatus: %s\n",
                    id, (double)run_ns / 1e6, (unsigned long long)billed_ms(run_ns),
                    (unsigned long long)(memory >> 20),
                    (unsigned long long)((meter.peak_bytes + 1048575) >> 20), init,
                    f->entry.name, faas_status_name(status));
    if (size > 0)
        (void)call->rt->report(
            line, (size_t)size < sizeof line ? (size_t)size : sizeof line - 1,
            call->rt->report_user);
}

/* Whether the instance has served enough, or is old. */
static bool instance_due(const struct call *call, struct faasi_cell *cell, uint64_t now)
{
    struct faasi_function *f = cell->function;
    struct faasi_instance *instance = cell->instance;
    uint64_t calls =
        atomic_fetch_add_explicit(&instance->calls, 1, memory_order_relaxed) + 1;
    uint64_t age = faasi_ns_to_ticks(call->rt->gate.clock, faasi_read(&f->age_ns));

    return calls >= faasi_read(&f->invocation_max) ||
           now >= faasi_ticks_after(faasi_read(&instance->born), age);
}

/* Gives the seat back, and remembers it. Nothing of the cell is touched afterwards. */
static void call_leave(const struct call *call, struct faasi_cell *cell, uint64_t now)
{
    bool end = false;

    faasi_write(&cell->seat.left_ticks, now);
    if (FAASI_UNLIKELY(
            atomic_load_explicit(&cell->function->bounded, memory_order_relaxed)))
        end = instance_due(call, cell, now);
    if (FAASI_LIKELY(!end && faasi_seat_leave(&cell->seat, call->busy))) {
        struct hint *hint = hint_of(call->fn);

        hint->fn = call->fn;
        hint->cell = cell;
        hint->idle = faasi_word_left(call->busy);
        return;
    }
    faasi_gate_leave(&call->rt->gate, cell, end);
}

/* Refuses a call that has a seat; nothing is counted. */
static faas_status call_abandon(const struct call *call, struct faasi_cell *cell,
                                faas_status status)
{
    call_leave(call, cell, faasi_read(&cell->seat.left_ticks));
    return status;
}

/* Runs the handler in a cell that is ours and ready. */
static faas_status call_run(struct call *call, struct faasi_cell *cell,
                            faas_result **result)
{
    const struct faasi_request *request = call->request;
    const faas_clock *clock = call->rt->gate.clock;
    struct faasi_function *f = cell->function;
    struct faas_context *ctx = &cell->context;
    uint64_t begun, ended, run_ns;
    faas_status status;
    int code;

    if (FAASI_UNLIKELY(f->code->typed || request->typed)) {
        status = call_check(call, f);
        if (status != FAAS_OK)
            return call_abandon(call, cell, status);
    }
    if (FAASI_UNLIKELY(!faasi_heap_is_home(cell->heap)) &&
        !cell_renew_heap(&call->rt->gate, cell))
        return call_abandon(call, cell, FAAS_ENOMEM);
    faasi_heap_start(cell->heap, faasi_read(&f->heap_bytes));

    begun = faasi_ticks(clock);
    if (!call->timed)
        call->deadline = call_deadline(call, f, begun);
    else if (begun >= call->deadline)
        return call_abandon(call, cell, FAAS_EEXPIRED);
    context_fill(ctx, call, cell);
    faasi_context_current = ctx;
    code = f->handler(ctx, request->input);
    faasi_context_current = call->parent;
    ended = faasi_ticks(clock);

    status = FAASI_UNLIKELY(ended > call->deadline) ? FAAS_ETIMEDOUT
             : FAASI_UNLIKELY(code != 0)            ? FAAS_EHANDLER
                                                    : FAAS_OK;
    run_ns = faasi_ticks_to_ns(clock, faasi_ticks_since(ended, begun));
    count(cell, call, faasi_ticks_since(ended, begun), run_ns, status);
    if (FAASI_UNLIKELY(call->rt->report != NULL))
        report(call, cell, run_ns, status);
    if (result != NULL) {
        struct faas_result *out = faasi_heap_lend(cell->heap);

        out->output = status == FAAS_ETIMEDOUT ? faas_bytes_of(NULL, 0) : ctx->output;
        out->message = ctx->message == NULL ? "" : ctx->message;
        out->code = code;
        out->meter = meter_of(call, cell, run_ns);
        *result = out;
    } else {
        faasi_heap_wipe(cell->heap);
    }
    call_leave(call, cell, ended);
    return status;
}

faas_status faasi_invoke(faas_runtime *rt, const struct faasi_request *request,
                         faas_result **result)
{
    struct call call = {.rt = rt,
                        .request = request,
                        .parent = faasi_context_current,
                        .deadline = UINT64_MAX,
                        .fn = request->fn};
    struct hint *hint = hint_of(request->fn);
    struct faasi_cell *cell;
    faas_status status;

    if (result != NULL)
        *result = NULL;
    if (FAASI_UNLIKELY(call.parent != NULL || request->options != NULL)) {
        status = call_prepare(&call);
        if (status != FAAS_OK)
            return status;
    }
    faasi_read_enter();
    if (FAASI_LIKELY(fn_equal(hint->fn, request->fn) && request->fn.runtime == rt->id &&
                     (request->options == NULL || request->options->dry_run == 0) &&
                     faasi_seat_take(&hint->cell->seat, hint->idle))) {
        faasi_read_leave();
        cell = hint->cell;
        call.busy = faasi_word_taken(hint->idle);
    } else {
        status = call_admit(&call, &cell);
        if (status != FAAS_OK || cell == NULL)
            return status;
    }
    return call_run(&call, cell, result);
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
    if (result != NULL)
        faasi_heap_return(faasi_heap_of(result));
}

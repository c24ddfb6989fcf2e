/* SPDX-License-Identifier: MIT */
/* instance.c - cold starts, the warm cache and its budget, the end of instances. */
#include "instance.h"

#include "context.h"
#include "limit.h"
#include "mem.h"

/* Memory of faas_instance_alloc(), freed whole when the instance closes. */
struct faasi_block {
    struct faasi_block *next;
    size_t size;
    unsigned char *free;
    unsigned char *end;
    unsigned char bytes[];
};

enum { BLOCK_BYTES = 16384 };

/* How long a function whose provisioned instance failed is left alone. */
#define RETRY_NS ((uint64_t)1000000000)

/* ---- the heap of an instance ---- */

void *faasi_instance_heap_alloc(struct faasi_instance *instance,
                                const faas_allocator *allocator, _Atomic uint64_t *held,
                                size_t size)
{
    struct faasi_block *block = instance->heap;
    size_t rounded = faasi_round_up(size == 0 ? 1 : size, FAASI_ALIGN);
    size_t want;

    if (rounded < size || rounded > SIZE_MAX - sizeof *block)
        return NULL;
    if (block != NULL && rounded <= (size_t)(block->end - block->free)) {
        block->free += rounded;
        return block->free - rounded;
    }
    want = sizeof *block + rounded < BLOCK_BYTES ? BLOCK_BYTES : sizeof *block + rounded;
    block = faasi_alloc_zeroed(allocator, want);
    if (block == NULL)
        return NULL;
    block->next = instance->heap;
    block->size = want;
    block->free = block->bytes + rounded;
    block->end = (unsigned char *)block + want;
    instance->heap = block;
    atomic_fetch_add_explicit(&instance->heap_bytes, want, memory_order_relaxed);
    atomic_fetch_add_explicit(held, want, memory_order_relaxed);
    return block->bytes;
}

static void instance_free(struct faasi_gate *gate, struct faasi_instance *instance)
{
    struct faasi_block *block;

    while ((block = instance->heap) != NULL) {
        instance->heap = block->next;
        faasi_free(gate->allocator, block, block->size);
    }
    faasi_free(gate->allocator, instance, sizeof *instance);
}

/* ---- memory ---- */

/* What a new instance of `f` will take at least: what it declares. Its heap counts itself
 * as it grows. */
static uint64_t declared_bytes(struct faasi_function *f)
{
    return faasi_read(&f->instance_bytes) + sizeof(struct faasi_instance);
}

static uint64_t bytes_held(const struct faasi_gate *gate)
{
    return faasi_read(&gate->held_bytes) - gate->leaving_bytes;
}

static uint64_t idle_ticks(struct faasi_gate *gate, struct faasi_function *f)
{
    return faasi_ns_to_ticks(gate->clock, faasi_read(&f->idle_ns));
}

const struct faasi_instance *faasi_instance_listed(const struct faasi_cell *cell)
{
    return cell->listed ? cell->instance : NULL;
}

uint64_t faasi_instance_bytes(const struct faasi_instance *instance)
{
    return instance->declared_bytes + faasi_read(&instance->heap_bytes);
}

uint64_t faasi_instance_idle_since(const struct faasi_instance *instance)
{
    uint64_t since = faasi_read(&instance->born);

    for (struct faasi_cell *cell = instance->cells; cell != NULL; cell = cell->sibling) {
        uint64_t left = faasi_read(&cell->seat.left_ticks);

        if (faasi_word_state(faasi_seat_word(&cell->seat)) != FAASI_IDLE)
            return UINT64_MAX;
        if (left > since)
            since = left;
    }
    return since;
}

/* Ends an instance in which nothing runs: seizes all its seats, or gives back what it had
 * seized when a call came first. Holds: lock. */
static bool instance_end_idle(struct faasi_gate *gate, struct faasi_instance *instance)
{
    struct faasi_cell *cell, *next;
    bool all = true;

    for (cell = instance->cells; cell != NULL && all; cell = cell->sibling) {
        uint64_t word = faasi_seat_word(&cell->seat);

        all = faasi_word_state(word) == FAASI_IDLE &&
              faasi_seat_seize(&cell->seat, word, FAASI_ODD);
        if (all && faasi_word_permit(word) != 0)
            faasi_permits_give(&gate->permits, faasi_word_permit(word));
    }
    for (cell = instance->cells; cell != NULL; cell = next) {
        next = cell->sibling;
        if (faasi_word_state(faasi_seat_word(&cell->seat)) != FAASI_ODD)
            continue;
        if (all)
            faasi_instance_detach(gate, cell);
        faasi_seat_set(&cell->seat, all ? FAASI_COLD : FAASI_IDLE, 0, 0);
    }
    return all;
}

bool faasi_instance_served(const faas_clock *clock, struct faasi_cell *cell,
                           uint32_t calls, uint64_t now)
{
    struct faasi_function *f = cell->function;
    struct faasi_instance *instance = cell->instance;
    uint64_t served =
        atomic_fetch_add_explicit(&instance->calls, calls, memory_order_relaxed) + calls;
    uint64_t age = faasi_ns_to_ticks(clock, faasi_read(&f->age_ns));

    return served >= faasi_read(&f->invocation_max) ||
           now >= faasi_ticks_after(faasi_read(&instance->born), age);
}

bool faasi_instance_is_kept(const struct faasi_instance *instance)
{
    const struct faasi_function *f = instance->function;

    return f->instances <= atomic_load_explicit(&f->provisioned, memory_order_relaxed) ||
           f->instances <= atomic_load_explicit(&f->instance_min, memory_order_relaxed);
}

/* Ends the idle instance that the policy says, of all or of one function. Holds: lock. */
static bool evict_one(struct faasi_gate *gate, const struct faasi_function *only)
{
    struct faasi_instance *victim;

    while ((victim = faasi_warm_victim(&gate->warm, only)) != NULL) {
        struct faasi_function *f = victim->function;

        victim->evicted = true;
        if (instance_end_idle(gate, victim)) {
            f->tally->evictions++;
            return true;
        }
        victim->evicted = false; // a call came between: the next look sees it
    }
    return false;
}

/* What the instances of a function hold, and those that are being made. Holds: lock. */
static uint64_t function_bytes(struct faasi_function *f)
{
    uint64_t bytes = 0;

    for (struct faasi_cell *cell = faasi_cell_first(f); cell != NULL;
         cell = faasi_cell_after(cell)) {
        if (cell->listed)
            bytes +=
                cell->instance->cells == cell ? faasi_instance_bytes(cell->instance) : 0;
        else if (cell->transit ||
                 faasi_word_state(faasi_seat_word(&cell->seat)) == FAASI_BUSY)
            bytes += cell->declared_bytes;
    }
    return bytes;
}

/* What one more instance of `f` is expected to take: what it declares, or what those took
 * that were made beside others. Holds: lock. */
static uint64_t expected_bytes(const struct faasi_function *f, uint64_t declared)
{
    uint64_t beside = f->instances == 0 ? 0 : f->tally->beside_bytes;

    return beside > declared ? beside : declared;
}

/* Whether a function's own limits allow it so many bytes more. Nothing is ended for that:
 * who comes here found none of its instances idle. Holds: lock. */
static bool function_affords(struct faasi_function *f, uint64_t need)
{
    uint64_t budget = faasi_read(&f->budget_bytes);

    if (f->instances >= atomic_load_explicit(&f->instance_max, memory_order_relaxed))
        return false;
    return budget == UINT64_MAX ||
           faasi_ticks_after(function_bytes(f) + f->leaving_bytes, need) <= budget;
}

/* Whether a function has more than its own limits allow; they were lowered. Holds:
 * lock. */
static bool function_is_over(struct faasi_function *f)
{
    uint64_t budget = faasi_read(&f->budget_bytes);

    return f->instances > atomic_load_explicit(&f->instance_max, memory_order_relaxed) ||
           (budget != UINT64_MAX && function_bytes(f) > budget);
}

bool faasi_instance_afford(struct faasi_gate *gate, struct faasi_cell *cell)
{
    uint64_t declared = declared_bytes(cell->function);
    uint64_t expected = expected_bytes(cell->function, declared);
    uint64_t need = faasi_ticks_after(expected, FAASI_HEAP_BYTES);

    /* What was ended still counts until it is closed: the caller closes it and comes
     * again, or is served by who does. */
    faasi_warm_ask(&gate->warm, cell->function->tally);
    if (!function_affords(cell->function, expected))
        return false;
    while (faasi_ticks_after(faasi_read(&gate->held_bytes), need) > gate->budget_bytes)
        if (need > gate->budget_bytes ||
            faasi_ticks_after(bytes_held(gate), need) <= gate->budget_bytes ||
            !evict_one(gate, NULL))
            return false;
    atomic_fetch_add_explicit(&gate->held_bytes, declared, memory_order_relaxed);
    cell->declared_bytes = declared;
    return true;
}

void faasi_instance_refund(struct faasi_gate *gate, struct faasi_cell *cell)
{
    atomic_fetch_sub_explicit(&gate->held_bytes, cell->declared_bytes,
                              memory_order_relaxed);
}

void faasi_instances_shrink(struct faasi_gate *gate)
{
    while (bytes_held(gate) > gate->budget_bytes && evict_one(gate, NULL))
        continue;
}

void faasi_instances_trim(struct faasi_gate *gate, struct faasi_function *f)
{
    while (function_is_over(f) && evict_one(gate, f))
        continue;
}

/* ---- making ---- */

/* Whether the budgets hold this instance by itself. What it declared was asked for before
 * init; what that counted beside is known only now. */
static faas_status fits_alone(struct faasi_gate *gate,
                              const struct faasi_instance *instance)
{
    struct faasi_function *f = instance->function;
    uint64_t bytes = faasi_instance_bytes(instance), most = faasi_read(&f->budget_bytes);
    const char *over = "its budget_bytes";

    if (bytes == instance->declared_bytes)
        return FAAS_OK;
    if (bytes <= most) {
        over = "the runtime's memory_bytes";
        bytes += FAASI_HEAP_BYTES;
        faasi_lock(&gate->lock);
        most = gate->budget_bytes;
        faasi_unlock(&gate->lock);
    }
    if (bytes <= most)
        return FAAS_OK;
    return faasi_fail(
        FAAS_EINIT, "init of %s: an instance takes %llu bytes, over %s, %llu",
        f->entry.name, (unsigned long long)bytes, over, (unsigned long long)most);
}

/* Runs init in the cell's context, and says in words why it failed. */
static faas_status run_init(struct faasi_gate *gate, struct faasi_cell *cell,
                            struct faasi_instance *instance, uint64_t *init_ns)
{
    struct faasi_function *f = cell->function;
    struct faas_context *ctx = &cell->context;
    uint64_t limit = faasi_ns_to_ticks(gate->clock, faasi_read(&f->init_timeout_ns));
    uint64_t started = faasi_ticks(gate->clock), took;
    faas_status status = FAAS_OK;
    int code;

    *ctx = (struct faas_context){.heap = cell->heap,
                                 .gate = gate,
                                 .function = f,
                                 .instance = instance,
                                 .parent = faasi_context_current,
                                 .deadline = faasi_ticks_after(started, limit)};
    ctx->depth = ctx->parent == NULL ? 0 : ctx->parent->depth + 1;
    faasi_heap_start(cell->heap, faasi_read(&f->heap_bytes));
    faasi_context_current = ctx;
    code = f->code->init(ctx, &instance->state);
    faasi_context_current = ctx->parent;
    took = faasi_ticks_since(faasi_ticks(gate->clock), started);
    *init_ns = faasi_ticks_to_ns(gate->clock, took);
    instance->made = code == 0;
    if (code != 0)
        status = faasi_fail(FAAS_EINIT, "init of %s: code %d: %s", f->entry.name, code,
                            ctx->message == NULL ? "it says no more" : ctx->message);
    else if (took > limit)
        status = faasi_fail(FAAS_EINIT, "init of %s: %llu ns, over its limit of %llu",
                            f->entry.name, (unsigned long long)*init_ns,
                            (unsigned long long)faasi_read(&f->init_timeout_ns));
    else
        status = fits_alone(gate, instance);
    faasi_heap_wipe(cell->heap);
    return status;
}

/* Runs close, in a context that tells who asks from inside that a hook is running. */
static void run_close(struct faasi_gate *gate, struct faasi_instance *instance)
{
    struct faasi_code *code = instance->function->code;
    struct faas_context ctx = {.gate = gate,
                               .function = instance->function,
                               .instance = instance,
                               .parent = faasi_context_current,
                               .deadline = UINT64_MAX};

    if (!instance->made || code->close == NULL)
        return;
    ctx.depth = ctx.parent == NULL ? 0 : ctx.parent->depth + 1;
    faasi_context_current = &ctx;
    code->close(instance->state, code->user);
    faasi_context_current = ctx.parent;
}

/* Looks at the housekeeper's plans again, for something due at `at`. Holds: lock. */
static void sweep_by(struct faasi_gate *gate, uint64_t at)
{
    if (at < gate->sweep_at) {
        gate->sweep_at = at;
        faasi_wake_all(&gate->sweep_sooner);
    }
}

/* A function's first instance, for a call: so long was the gap. Holds: lock. */
static void ahead_note(struct faasi_gate *gate, const struct faasi_cell *cell,
                       uint64_t init_ns)
{
    struct faasi_tally *tally = cell->function->tally;
    uint64_t now = faasi_ticks(gate->clock);
    uint64_t gap = faasi_ticks_to_ns(gate->clock, faasi_ticks_since(now, tally->left));

    if (faasi_cares(cell->function, FAASI_CARE_AHEAD) && cell->function->instances == 1 &&
        !cell->transit && tally->left != 0)
        faasi_forecast_note(&tally->forecast, gap > init_ns ? gap - init_ns : 0);
}

/* Makes a new instance known. Holds: lock. */
static void instance_list(struct faasi_gate *gate, struct faasi_cell *cell,
                          struct faasi_instance *instance, uint64_t init_ns)
{
    struct faasi_function *f = cell->function;
    uint64_t now = faasi_ticks(gate->clock);
    uint64_t due = faasi_ticks_after(now, idle_ticks(gate, f));
    uint64_t age =
        faasi_ticks_after(now, faasi_ns_to_ticks(gate->clock, faasi_read(&f->age_ns)));

    instance->cells = cell;
    instance->cell_count = 1;
    instance->next = gate->instances;
    instance->link = &gate->instances;
    if (instance->next != NULL)
        instance->next->link = &instance->next;
    gate->instances = instance;
    cell->instance = instance;
    cell->listed = true;
    faasi_write(&instance->born, now);
    f->tally->cold_starts++;
    f->tally->init_ns += init_ns;
    ahead_note(gate, cell, init_ns);
    faasi_warm_start(&gate->warm, instance, init_ns, !cell->transit);
    if (age < due)
        due = age;
    sweep_by(gate, due);
}

static faas_status instance_start(struct faasi_gate *gate, struct faasi_cell *cell,
                                  uint64_t *init_ns)
{
    struct faasi_function *f = cell->function;
    struct faasi_instance *instance =
        faasi_alloc_zeroed(gate->allocator, sizeof *instance);
    faas_status status = FAAS_ENOMEM;

    if (instance != NULL && cell->heap == NULL)
        cell->heap = faasi_heap_open(gate->allocator, &gate->held_bytes);
    if (cell->heap != NULL && instance != NULL) {
        instance->function = f;
        instance->declared_bytes = cell->declared_bytes;
        faasi_lock(&gate->lock);
        status = faasi_warm_reserve(&gate->warm, instance);
        faasi_unlock(&gate->lock);
    }
    if (status == FAAS_OK) {
        if (f->code->init != NULL)
            status = run_init(gate, cell, instance, init_ns);
        else
            instance->made = true;
        if (status != FAAS_OK)
            run_close(gate, instance);
    }
    faasi_lock(&gate->lock);
    f->starting--;
    if (status == FAAS_OK) {
        instance_list(gate, cell, instance, *init_ns);
        faasi_instances_shrink(gate); // it may have counted more than it declared
        if (f->limit != NULL)
            faasi_admission_started(&f->limit->admission, *init_ns);
    } else {
        f->tally->init_errors++;
        f->instances--;
        if (instance != NULL)
            faasi_warm_cancel(&gate->warm, instance);
        faasi_instance_refund(gate, cell);
    }
    faasi_gate_serve(gate);
    faasi_gate_unlock(gate);
    if (status != FAAS_OK) {
        faasi_heap_close(cell->heap);
        cell->heap = NULL;
        if (instance != NULL) {
            atomic_fetch_sub_explicit(&gate->held_bytes,
                                      faasi_read(&instance->heap_bytes),
                                      memory_order_relaxed);
            instance_free(gate, instance);
        }
    }
    return status;
}

faas_status faasi_instance_ready(struct faasi_gate *gate, struct faasi_cell *cell,
                                 uint64_t *init_ns)
{
    faas_status status;

    if (cell->instance == NULL) {
        status = instance_start(gate, cell, init_ns);
        if (status != FAAS_OK)
            return status;
    }
    if (cell->heap == NULL)
        cell->heap = faasi_heap_open(gate->allocator, &gate->held_bytes);
    cell->context.heap = cell->heap;
    cell->context.gate = gate;
    cell->context.function = cell->function;
    cell->context.instance = cell->instance;
    return cell->heap == NULL ? FAAS_ENOMEM : FAAS_OK;
}

/* The fullest, so that the others may fall idle. */
struct faasi_instance *faasi_instance_with_room(struct faasi_function *f)
{
    struct faasi_instance *fullest = NULL;

    for (struct faasi_cell *cell = faasi_cell_first(f); cell != NULL;
         cell = faasi_cell_after(cell)) {
        struct faasi_instance *i = cell->listed ? cell->instance : NULL;

        if (i != NULL && !i->ending && i->cell_count < f->instance_concurrency &&
            (fullest == NULL || i->cell_count > fullest->cell_count))
            fullest = i;
    }
    return fullest;
}

bool faasi_instance_join(struct faasi_cell *cell)
{
    struct faasi_function *f = cell->function;
    struct faasi_instance *instance =
        f->instance_concurrency == 1 ? NULL : faasi_instance_with_room(f);

    if (instance == NULL)
        return false;
    cell->instance = instance;
    cell->listed = true;
    cell->sibling = instance->cells;
    instance->cells = cell;
    instance->cell_count++;
    faasi_warm_join(cell);
    return true;
}

/* ---- ending ---- */

/* A cell's instance ends: if it was its function's last one, another may be made ahead of
 * the next call. Holds: lock. */
static void ahead_plan(struct faasi_gate *gate, const struct faasi_cell *cell)
{
    struct faasi_function *f = cell->function;
    struct faasi_tally *tally = f->tally;
    uint64_t left = faasi_read(&cell->seat.left_ticks), ahead_ns;

    if (!faasi_cares(f, FAASI_CARE_AHEAD) || f->instances != 0 || f->dying)
        return;
    if (left > tally->left)
        tally->left = left;
    tally->ahead_at = 0;
    if (tally->left == 0 || !faasi_forecast_next(&tally->forecast, &ahead_ns))
        return;
    tally->ahead_at =
        faasi_ticks_after(tally->left, faasi_ns_to_ticks(gate->clock, ahead_ns));
    if (tally->ahead_at <= faasi_ticks(gate->clock)) // it is here, and nobody came
        tally->ahead_at = 0;
    else
        sweep_by(gate, tally->ahead_at);
}

void faasi_instance_detach(struct faasi_gate *gate, struct faasi_cell *cell)
{
    struct faasi_instance *instance = cell->instance;
    struct faasi_cell **at = &instance->cells;

    while (*at != cell)
        at = &(*at)->sibling;
    *at = cell->sibling;
    cell->sibling = NULL;
    cell->instance = NULL;
    cell->listed = false;
    faasi_heap_close(cell->heap);
    cell->heap = NULL;
    if (--instance->cell_count != 0)
        return;
    *instance->link = instance->next;
    if (instance->next != NULL)
        instance->next->link = instance->link;
    instance->next = gate->doomed;
    gate->doomed = instance;
    faasi_warm_end(&gate->warm, instance);
    instance->leaving_bytes = faasi_instance_bytes(instance);
    gate->leaving_bytes += instance->leaving_bytes;
    instance->function->leaving_bytes += instance->leaving_bytes;
    instance->function->instances--;
    instance->function->holds++;
    ahead_plan(gate, cell);
}

void faasi_instance_end(struct faasi_gate *gate, struct faasi_instance *instance)
{
    struct faasi_cell *cell, *next;

    instance->ending = true;
    for (cell = instance->cells; cell != NULL; cell = next) {
        uint64_t word = faasi_seat_word(&cell->seat);

        next = cell->sibling;
        /* One that is busy sees `ending` when it leaves, if it was asked to look. */
        while (faasi_word_state(word) == FAASI_IDLE) {
            if (faasi_seat_seize(&cell->seat, word, FAASI_ODD)) {
                if (faasi_word_permit(word) != 0)
                    faasi_permits_give(&gate->permits, faasi_word_permit(word));
                faasi_instance_detach(gate, cell);
                faasi_seat_set(&cell->seat, FAASI_COLD, 0, 0);
                break;
            }
            word = faasi_seat_word(&cell->seat);
        }
        if (faasi_word_state(word) == FAASI_BUSY)
            (void)faasi_seat_attend(&cell->seat);
    }
}

void faasi_instances_close(struct faasi_gate *gate, struct faasi_instance *doomed)
{
    while (doomed != NULL) {
        struct faasi_instance *instance = doomed;
        struct faasi_function *f = instance->function;
        uint64_t leaving = instance->leaving_bytes, held;

        doomed = instance->next;
        run_close(gate, instance);
        held = instance->declared_bytes + faasi_read(&instance->heap_bytes);
        instance_free(gate, instance);
        faasi_lock(&gate->lock);
        gate->leaving_bytes -= leaving;
        f->leaving_bytes -= leaving;
        atomic_fetch_sub_explicit(&gate->held_bytes, held, memory_order_relaxed);
        f->holds--;
        faasi_gate_progress(gate, f);
        faasi_gate_serve(gate);
        faasi_unlock(&gate->lock); // what was doomed meanwhile is our caller's to see
    }
}

/* ---- due ---- */

static bool lacks_provisioned(const struct faasi_function *f)
{
    return f->instances < atomic_load_explicit(&f->provisioned, memory_order_relaxed);
}

/* When an instance of `f` is to be made ahead; UINT64_MAX if none is. Holds: lock. */
static uint64_t ahead_due(const struct faasi_function *f)
{
    uint64_t due = UINT64_MAX;

    if (lacks_provisioned(f))
        due = f->retry_at;
    if (faasi_cares(f, FAASI_CARE_AHEAD) && f->tally != NULL && f->tally->ahead_at != 0 &&
        f->instances == 0 && f->tally->ahead_at < due)
        due = f->tally->ahead_at;
    return due;
}

uint64_t faasi_instances_sweep(struct faasi_gate *gate, uint64_t now)
{
    uint64_t soonest = UINT64_MAX;
    struct faasi_instance *next;

    faasi_instances_shrink(gate);
    for (struct faasi_instance *i = gate->instances; i != NULL; i = next) {
        struct faasi_function *f = i->function;
        uint64_t since = faasi_instance_idle_since(i);
        uint64_t age = faasi_ticks_after(
            faasi_read(&i->born), faasi_ns_to_ticks(gate->clock, faasi_read(&f->age_ns)));
        uint64_t due = UINT64_MAX;

        next = i->next;
        /* A busy one's age is looked at when its call leaves. */
        if (since == UINT64_MAX)
            due = faasi_ticks_after(now, idle_ticks(gate, f));
        else if (!faasi_instance_is_kept(i))
            due = faasi_ticks_after(since, idle_ticks(gate, f));
        if (since != UINT64_MAX && age < due)
            due = age;
        if (since != UINT64_MAX && !faasi_instance_is_kept(i) && function_is_over(f))
            due = now;
        if (due <= now && instance_end_idle(gate, i))
            continue;
        if (due <= now) // a call came between
            due = faasi_ticks_after(now, 1);
        if (due < soonest)
            soonest = due;
    }
    for (struct faasi_function *f = gate->provisioned; f != NULL; f = f->next)
        if (ahead_due(f) < soonest)
            soonest = ahead_due(f);
    return soonest;
}

/* Leaves a function alone for a while: its provisioned instances cannot be made. */
static void retry_later(struct faasi_gate *gate, struct faasi_function *f)
{
    f->retry_at = faasi_ticks_after(faasi_ticks(gate->clock),
                                    faasi_ns_to_ticks(gate->clock, RETRY_NS));
}

/* A cell for the instance that is due ahead of a call, once for each gap; NULL if that
 * would take memory from others. Holds: lock. */
static struct faasi_cell *ahead_reserve(struct faasi_gate *gate, struct faasi_function *f)
{
    uint64_t needs = (uint64_t)f->tally->instance_bytes + FAASI_HEAP_BYTES;
    struct faasi_cell *cell = NULL;

    f->tally->ahead_at = 0;
    if (faasi_ticks_after(faasi_read(&gate->held_bytes), needs) <= gate->budget_bytes &&
        faasi_gate_reserve(gate, f, &cell) == FAAS_OK)
        f->tally->prewarms++;
    return cell;
}

/* A cell to make a provisioned instance in: of `only`, or of any function that did not
 * fail lately. NULL if none is missing, or with `*status` if it cannot be had. Holds:
 * lock. */
static struct faasi_cell *find_missing(struct faasi_gate *gate,
                                       struct faasi_function *only, faas_status *status)
{
    uint64_t now = faasi_ticks(gate->clock);
    struct faasi_cell *cell = NULL;

    *status = FAAS_OK;
    if (only != NULL) {
        if (!only->dying && lacks_provisioned(only))
            *status = faasi_gate_reserve(gate, only, &cell);
        return cell;
    }
    for (struct faasi_function *f = gate->provisioned; f != NULL && cell == NULL;
         f = f->next) {
        if (ahead_due(f) > now)
            continue;
        if (!lacks_provisioned(f))
            cell = ahead_reserve(gate, f);
        else if (faasi_gate_reserve(gate, f, &cell) != FAAS_OK)
            retry_later(gate, f);
    }
    return cell;
}

/* Whether none is missing because another thread makes one: then that is waited for. Not
 * inside a hook or handler, which may be what makes it. Holds: lock. */
static bool others_make(struct faasi_function *only, faas_status status)
{
    return only != NULL && status == FAAS_OK && faasi_context_current == NULL &&
           !only->dying && faasi_gate_in_transit(only);
}

faas_status faasi_instances_provision(struct faasi_gate *gate,
                                      struct faasi_function *only)
{
    faas_status first = FAAS_OK, status;
    struct faasi_cell *cell;

    faasi_lock(&gate->lock);
    for (;;) {
        struct faasi_function *f;
        uint64_t init_ns = 0;

        cell = find_missing(gate, only, &status);
        if (cell == NULL && others_make(only, status)) {
            faasi_wait(&gate->changed, &gate->lock);
            continue;
        }
        if (cell == NULL && gate->doomed == NULL)
            break;
        if (cell == NULL) { // memory is on its way
            faasi_gate_unlock(gate);
            faasi_lock(&gate->lock);
            continue;
        }
        f = cell->function;
        faasi_gate_unlock(gate);
        status = faasi_instance_ready(gate, cell, &init_ns);
        faasi_lock(&gate->lock);
        if (first == FAAS_OK)
            first = status;
        /* `f` may be gone once the lock is, if it is dying. */
        if (!faasi_gate_settle(gate, cell)) {
            if (only != NULL)
                break;
        } else if (status != FAAS_OK) {
            retry_later(gate, f);
            if (only != NULL)
                break;
        }
    }
    faasi_gate_unlock(gate);
    return first != FAAS_OK ? first : status;
}

/* SPDX-License-Identifier: MIT */
/* desk.c - what a function has beside its seats when it batches or remembers. */
#include "desk.h"

#include "mem.h"

enum { BATCH_MAX_DEFAULT = 64, SPARE_MAX = 64, OLDEST_EVERY = 8 };

/* ---- bells ---- */

faas_status faasi_bell_init(struct faasi_bell *bell)
{
    faas_status status = faasi_mutex_init(&bell->lock);

    bell->rung = false;
    bell->next = NULL;
    bell->link = NULL;
    if (status != FAAS_OK)
        return status;
    status = faasi_cond_init(&bell->cond);
    if (status != FAAS_OK)
        faasi_mutex_fini(&bell->lock);
    return status;
}

void faasi_bell_fini(struct faasi_bell *bell)
{
    faasi_cond_fini(&bell->cond);
    faasi_mutex_fini(&bell->lock);
}

void faasi_bell_list(struct faasi_desk *desk, struct faasi_bell *bell)
{
    bell->next = desk->bells;
    bell->link = &desk->bells;
    if (bell->next != NULL)
        bell->next->link = &bell->next;
    desk->bells = bell;
}

void faasi_bell_unlist(struct faasi_bell *bell)
{
    *bell->link = bell->next;
    if (bell->next != NULL)
        bell->next->link = bell->link;
}

void faasi_bell_ring(struct faasi_bell *bell)
{
    faasi_lock(&bell->lock);
    bell->rung = true;
    faasi_wake_one(&bell->cond);
    faasi_unlock(&bell->lock);
}

bool faasi_bell_wait(const struct faasi_desk *desk, struct faasi_bell *bell,
                     uint64_t until)
{
    const faas_clock *clock = desk->gate->clock;
    bool rung;

    faasi_lock(&bell->lock);
    while (!bell->rung) {
        uint64_t now = faasi_ticks(clock);

        if (now >= until)
            break;
        if (clock->source == FAASI_CLOCK_VIRTUAL || until == UINT64_MAX)
            faasi_wait(&bell->cond, &bell->lock);
        else
            faasi_wait_for(&bell->cond, &bell->lock,
                           faasi_ticks_to_ns(clock, until - now) + 1);
    }
    rung = bell->rung;
    faasi_unlock(&bell->lock);
    return rung;
}

/* A clock was moved: those who sleep look at it. A sleeper looks under its bell's lock,
 * so it either sees the new time or is woken. */
static void clock_moved(void *user)
{
    struct faasi_desk *desk = user;

    faasi_lock(&desk->lock);
    for (struct faasi_bell *bell = desk->bells; bell != NULL; bell = bell->next) {
        faasi_lock(&bell->lock);
        faasi_wake_one(&bell->cond);
        faasi_unlock(&bell->lock);
    }
    faasi_wake_all(&desk->more);
    faasi_unlock(&desk->lock);
}

/* ---- opening and closing ---- */

static void tally_release(struct faasi_desk *desk)
{
    struct faasi_desk_tally *tally = desk->tally;

    if (tally != NULL && faasi_unref(&tally->refs))
        faasi_free(desk->gate->allocator, tally, sizeof *tally);
}

faas_status faasi_desk_open(struct faasi_gate *gate, struct faasi_function *f,
                            faas_clock *clock, const faas_function *policy)
{
    bool shares = (policy->cache_mode & FAAS_CACHE_SINGLE_FLIGHT) != 0;
    struct faasi_desk *desk;
    faas_status status;

    if (f->code->batch == NULL && policy->cache_bytes == 0 && !shares)
        return FAAS_OK;
    desk = faasi_alloc_zeroed(gate->allocator, sizeof *desk);
    if (desk == NULL)
        return faasi_fail(FAAS_ENOMEM, "function: no memory");
    desk->gate = gate;
    desk->function = f;
    desk->tally = faasi_alloc_zeroed(gate->allocator, sizeof *desk->tally);
    if (desk->tally == NULL) {
        status = faasi_fail(FAAS_ENOMEM, "function: no memory");
        goto free_desk;
    }
    atomic_init(&desk->tally->refs, 1);
    status = faasi_mutex_init(&desk->lock);
    if (status != FAAS_OK)
        goto free_desk;
    status = faasi_cond_init(&desk->more);
    if (status != FAAS_OK)
        goto fini_lock;
    faasi_responses_init(&desk->responses, gate->allocator);
    for (int i = 0; i < FAASI_PRIORITIES; i++)
        desk->queue[i].last = &desk->queue[i].first;
    desk->collects = f->code->batch != NULL;
    desk->remembers = policy->cache_bytes != 0;
    desk->shares = shares;
    desk->remembers_failures = (policy->cache_mode & FAAS_CACHE_FAILURES) != 0;
    desk->batch_max = BATCH_MAX_DEFAULT;
    desk->cache_ns = FAAS_FOREVER;
    faasi_desk_apply(desk, policy);
    if (clock != NULL && faasi_clock_moves(clock)) {
        desk->clock = clock;
        desk->listener.moved = clock_moved;
        desk->listener.user = desk;
        faasi_clock_listen(clock, &desk->listener);
    }
    f->desk = desk;
    return FAAS_OK;

fini_lock:
    faasi_mutex_fini(&desk->lock);
free_desk:
    tally_release(desk);
    faasi_free(gate->allocator, desk, sizeof *desk);
    return status;
}

static void place_free(struct faasi_desk *desk, struct faasi_place *place)
{
    faasi_heap_close(place->heap);
    faasi_free(desk->gate->allocator, place, sizeof *place);
}

void faasi_desk_close(struct faasi_desk *desk)
{
    struct faasi_place *place;

    if (desk == NULL)
        return;
    if (desk->clock != NULL)
        faasi_clock_ignore(desk->clock, &desk->listener);
    assert(faasi_desk_waiting(desk) == 0 && desk->flights == NULL && desk->bells == NULL);
    while ((place = desk->spare) != NULL) {
        desk->spare = place->next;
        place_free(desk, place);
    }
    faasi_responses_fini(&desk->responses);
    faasi_cond_fini(&desk->more);
    faasi_mutex_fini(&desk->lock);
    tally_release(desk);
    faasi_free(desk->gate->allocator, desk, sizeof *desk);
}

/* ---- users ---- */

faas_status faasi_desk_enter(struct faasi_desk *desk, struct faasi_place **place)
{
    faas_status status = FAAS_OK;

    if (atomic_load_explicit(&desk->gate->closing, memory_order_relaxed))
        return FAAS_ECLOSED;
    faasi_lock(&desk->lock);
    if (desk->ended) {
        status = FAAS_ENOENT;
    } else {
        desk->users++;
        *place = desk->spare;
        if (*place != NULL) {
            desk->spare = (*place)->next;
            desk->spare_count--;
        }
    }
    faasi_unlock(&desk->lock);
    return status;
}

void faasi_desk_leave(struct faasi_desk *desk, struct faasi_place *place)
{
    struct faasi_gate *gate = desk->gate;
    bool ended, surplus;

    faasi_lock(&desk->lock);
    surplus = place != NULL && desk->spare_count >= SPARE_MAX;
    if (place != NULL && !surplus) {
        place->next = desk->spare;
        desk->spare = place;
        desk->spare_count++;
    }
    ended = desk->ended;
    if (!ended && !surplus)
        desk->users--;
    faasi_unlock(&desk->lock);
    if (surplus) { // as a user still, which keeps the desk
        place_free(desk, place);
        faasi_desk_leave(desk, NULL);
        return;
    }
    if (!ended)
        return;
    /* It was turned into a hold, which keeps the function until we let go here. */
    faasi_lock(&gate->lock);
    desk->function->holds--;
    faasi_gate_progress(gate, desk->function);
    faasi_gate_unlock(gate);
}

uint32_t faasi_desk_end(struct faasi_desk *desk)
{
    struct faasi_wish *wish;
    uint32_t users;

    faasi_lock(&desk->lock);
    desk->ended = true;
    users = desk->users;
    while ((wish = faasi_desk_head(desk)) != NULL) {
        faasi_desk_unqueue(desk, wish);
        wish->state = FAASI_WISH_ENDED;
        wish->status = FAAS_ENOENT;
        faasi_bell_ring(&wish->bell);
    }
    faasi_wake_all(&desk->more);
    faasi_unlock(&desk->lock);
    return users;
}

/* ---- policy and numbers ---- */

void faasi_desk_apply(struct faasi_desk *desk, const faas_function *changes)
{
    faasi_lock(&desk->lock);
    if (changes->batch_max != 0)
        desk->batch_max = changes->batch_max;
    if (changes->batch_delay_ns != 0)
        faasi_write(&desk->delay_ns, changes->batch_delay_ns);
    if (changes->cache_bytes != 0)
        desk->responses.bytes_max = changes->cache_bytes;
    if (changes->cache_ns != 0)
        desk->cache_ns = changes->cache_ns;
    desk->responses.age_ticks = faasi_ns_to_ticks(desk->gate->clock, desk->cache_ns);
    desk->epoch++;
    faasi_responses_clear(&desk->responses);
    faasi_wake_all(&desk->more);
    faasi_unlock(&desk->lock);
}

void faasi_desk_policy(struct faasi_desk *desk, faas_function *policy)
{
    if (desk == NULL)
        return;
    faasi_lock(&desk->lock);
    if (desk->collects) {
        policy->batch_max = desk->batch_max;
        policy->batch_delay_ns = faasi_read(&desk->delay_ns);
    }
    if (desk->remembers) {
        policy->cache_bytes = desk->responses.bytes_max;
        policy->cache_ns = desk->cache_ns;
    }
    policy->cache_mode = (desk->shares ? FAAS_CACHE_SINGLE_FLIGHT : 0) |
                         (desk->remembers_failures ? FAAS_CACHE_FAILURES : 0);
    faasi_unlock(&desk->lock);
}

void faasi_desk_stats(struct faasi_desk *desk, faas_function_stats *stats)
{
    const struct faasi_desk_tally *tally;

    if (desk == NULL)
        return;
    tally = desk->tally;
    stats->batches = faasi_read(&tally->batches);
    stats->batched = faasi_read(&tally->batched);
    for (int i = 0; i < FAAS_BATCH_SIZES; i++)
        stats->batch_sizes[i] = faasi_read(&tally->batch_sizes[i]);
    stats->cache_hits = faasi_read(&tally->hits);
    stats->cache_misses = faasi_read(&tally->misses);
    stats->cache_shared = faasi_read(&tally->shared);
    faasi_lock(&desk->lock);
    stats->batch_waiting = faasi_desk_waiting(desk);
    stats->cache_count = desk->responses.count;
    stats->cache_bytes = desk->responses.bytes;
    faasi_unlock(&desk->lock);
}

void faasi_desk_inherit(struct faasi_desk *desk, struct faasi_desk *old)
{
    if (desk == NULL || old == NULL)
        return;
    tally_release(desk);
    desk->tally = old->tally;
    faasi_ref(&desk->tally->refs);
}

/* ---- queued invocations ---- */

uint32_t faasi_desk_pick(struct faasi_desk *desk, uint32_t waiting, uint32_t most)
{
    uint64_t limit = faasi_read(&desk->function->timeout_ticks);
    uint32_t size;

    faasi_lock(&desk->lock);
    size = faasi_batchcurve_pick(&desk->curve, waiting,
                                 most < desk->batch_max ? most : desk->batch_max);
    /* All begin at once, so none may take longer; unless one alone does. */
    while (size > 1 && !faasi_desk_is_in_time(desk, size, 0, limit))
        size = faasi_batchcurve_fit(size - 1);
    faasi_unlock(&desk->lock);
    return size;
}

uint32_t faasi_desk_in_time(struct faasi_desk *desk, const uint64_t deadlines[],
                            uint32_t count)
{
    uint64_t now = faasi_ticks(desk->gate->clock);

    faasi_lock(&desk->lock);
    count = faasi_batchcurve_fit(count);
    while (count > 1) {
        uint64_t soonest = UINT64_MAX;

        for (uint32_t i = 0; i < count; i++)
            if (deadlines[i] < soonest)
                soonest = deadlines[i];
        if (faasi_desk_is_in_time(desk, count, now, soonest))
            break;
        count = faasi_batchcurve_fit(count - 1);
    }
    faasi_unlock(&desk->lock);
    return count;
}

/* ---- places ---- */

struct faasi_place *faasi_desk_place(struct faasi_desk *desk, struct faasi_place **place)
{
    struct faasi_gate *gate = desk->gate;
    struct faasi_place *p = *place;

    if (p == NULL)
        p = *place = faasi_alloc_zeroed(gate->allocator, sizeof *p);
    if (p == NULL)
        return NULL;
    if (p->heap != NULL && !faasi_heap_is_home(p->heap)) {
        faasi_heap_close(p->heap);
        p->heap = NULL;
    }
    if (p->heap == NULL)
        p->heap = faasi_heap_open(gate->allocator, &gate->held_bytes);
    return p->heap == NULL ? NULL : p;
}

/* ---- the queue ---- */

static void waiting_set(struct faasi_desk *desk, uint32_t waiting)
{
    atomic_store_explicit(&desk->waiting, waiting, memory_order_relaxed);
}

void faasi_desk_queue(struct faasi_desk *desk, struct faasi_wish *wish, bool first)
{
    struct faasi_wishes *queue = &desk->queue[wish->priority];

    wish->state = FAASI_WISH_WAITS;
    wish->link = first ? &queue->first : queue->last;
    wish->next = *wish->link;
    *wish->link = wish;
    if (wish->next != NULL)
        wish->next->link = &wish->next;
    else
        queue->last = &wish->next;
    waiting_set(desk, faasi_desk_waiting(desk) + 1);
    faasi_bell_list(desk, &wish->bell);
    if (desk->collecting != 0)
        faasi_wake_all(&desk->more);
}

void faasi_desk_unqueue(struct faasi_desk *desk, struct faasi_wish *wish)
{
    *wish->link = wish->next;
    if (wish->next != NULL)
        wish->next->link = wish->link;
    else
        desk->queue[wish->priority].last = wish->link;
    wish->next = NULL;
    wish->link = NULL;
    waiting_set(desk, faasi_desk_waiting(desk) - 1);
    faasi_bell_unlist(&wish->bell);
}

struct faasi_wish *faasi_desk_head(struct faasi_desk *desk)
{
    bool by_age = desk->takes % OLDEST_EVERY == OLDEST_EVERY - 1;
    struct faasi_wish *head = NULL;

    for (int i = 0; i < FAASI_PRIORITIES; i++) {
        struct faasi_wish *wish = desk->queue[i].first;

        if (wish != NULL && (head == NULL || (by_age && wish->arrived < head->arrived)))
            head = wish;
    }
    return head;
}

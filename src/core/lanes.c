/* SPDX-License-Identifier: MIT */
/* lanes.c - what waits to run, and who is next. */
#include "lanes.h"

#include "mem.h"

enum { HEAP_MIN = 16 };

/* So many of a source's lanes are compared when it is asked for its next item. */
enum { LOOK = 32 };

/* What an item of weight 1 takes of a tenant's time. */
#define SCALE UINT64_C(1000000)

/* A tenant's place on one level. */
struct faasi_turn {
    struct faasi_tenant *tenant;
    struct faasi_ring lanes; /* to serve, whose turn it is first */
    uint64_t time;           /* grows by SCALE / weight with each item */
    uint64_t order;
    uint32_t at; /* in the heap, from 1; 0: not there */
};

/* One who asks; on each level it has a turn of its own. */
struct faasi_tenant {
    struct faasi_keyed keyed;
    uint32_t weight;
    uint32_t lane_count; /* that have items, on all levels */
    struct faasi_turn turns[FAASI_LEVELS];
};

struct faasi_lane {
    struct faasi_keyed keyed;
    struct faasi_tenant *tenant;
    struct faasi_source *source;
    struct faasi_ring at; /* among its tenant's lanes to serve, or its source's that were
                             put aside; else on its own */
    struct faasi_ring served; /* among its source's of its level, while it serves */
    struct faasi_ring items;
    bool serve; /* has items to serve: counted by its source */
    bool aside;
    uint32_t count; /* items that are here, popped, or behind a head */
};

struct faasi_group {
    struct faasi_keyed keyed;
    struct faasi_item *head; /* in its lane, or popped */
    struct faasi_ring items; /* behind it */
};

/* ---- the heap of a level ---- */

static bool turn_before(const struct faasi_turn *a, const struct faasi_turn *b)
{
    return a->time != b->time ? a->time < b->time : a->order < b->order;
}

static void heap_set(struct faasi_level *level, uint32_t at, struct faasi_turn *turn)
{
    level->heap[at - 1] = turn;
    turn->at = at;
}

static void heap_up(struct faasi_level *level, uint32_t at, struct faasi_turn *turn)
{
    while (at > 1 && turn_before(turn, level->heap[at / 2 - 1])) {
        heap_set(level, at, level->heap[at / 2 - 1]);
        at /= 2;
    }
    heap_set(level, at, turn);
}

static void heap_down(struct faasi_level *level, uint32_t at, struct faasi_turn *turn)
{
    for (;;) {
        uint32_t child = at * 2;

        if (child > level->count)
            break;
        if (child < level->count &&
            turn_before(level->heap[child], level->heap[child - 1]))
            child++;
        if (!turn_before(level->heap[child - 1], turn))
            break;
        heap_set(level, at, level->heap[child - 1]);
        at = child;
    }
    heap_set(level, at, turn);
}

/* There is room: heap_reserve() was called for the tenant. */
static void heap_insert(struct faasi_level *level, struct faasi_turn *turn)
{
    turn->order = level->order++;
    heap_up(level, ++level->count, turn);
}

static void heap_remove(struct faasi_level *level, struct faasi_turn *turn)
{
    uint32_t at = turn->at;
    struct faasi_turn *last = level->heap[--level->count];

    turn->at = 0;
    if (last == turn)
        return;
    if (at > 1 && turn_before(last, level->heap[at / 2 - 1]))
        heap_up(level, at, last);
    else
        heap_down(level, at, last);
}

/* Makes room for `count` tenants on every level. */
static bool heap_reserve(struct faasi_lanes *lanes, size_t count)
{
    for (int i = 0; i < FAASI_LEVELS; i++) {
        struct faasi_level *level = &lanes->levels[i];
        uint32_t room = level->room == 0 ? HEAP_MIN : level->room * 2;
        void *heap;

        if (count <= level->room)
            continue;
        heap = faasi_grow(lanes->allocator, level->heap,
                          level->room * sizeof(struct faasi_turn *),
                          room * sizeof(struct faasi_turn *));
        if (heap == NULL)
            return false;
        level->heap = heap;
        level->room = room;
    }
    return true;
}

/* ---- opening ---- */

static void tenant_init(struct faasi_tenant *tenant)
{
    for (int i = 0; i < FAASI_LEVELS; i++) {
        tenant->turns[i].tenant = tenant;
        faasi_ring_init(&tenant->turns[i].lanes);
    }
}

faas_status faasi_lanes_init(struct faasi_lanes *lanes, uint64_t ageing,
                             const faas_allocator *allocator)
{
    memset(lanes, 0, sizeof *lanes);
    lanes->ageing = ageing;
    lanes->allocator = allocator;
    if (faasi_keys_init(&lanes->tenants, allocator) != FAAS_OK ||
        faasi_keys_init(&lanes->lanes, allocator) != FAAS_OK ||
        faasi_keys_init(&lanes->groups, allocator) != FAAS_OK ||
        (lanes->plain = faasi_alloc_zeroed(allocator, sizeof *lanes->plain)) == NULL ||
        !heap_reserve(lanes, 1)) {
        faasi_lanes_fini(lanes);
        return faasi_fail(FAAS_ENOMEM, "lanes: no memory");
    }
    tenant_init(lanes->plain);
    return FAAS_OK;
}

void faasi_lanes_fini(struct faasi_lanes *lanes)
{
    faasi_keys_fini(&lanes->tenants, lanes->allocator);
    faasi_keys_fini(&lanes->lanes, lanes->allocator);
    faasi_keys_fini(&lanes->groups, lanes->allocator);
    for (int i = 0; i < FAASI_LEVELS; i++)
        faasi_free(lanes->allocator, lanes->levels[i].heap,
                   lanes->levels[i].room * sizeof(struct faasi_turn *));
    faasi_free(lanes->allocator, lanes->plain, sizeof *lanes->plain);
    memset(lanes, 0, sizeof *lanes);
}

void faasi_source_init(struct faasi_source *source)
{
    faasi_ring_init(&source->aside);
    for (int i = 0; i < FAASI_LEVELS; i++)
        faasi_ring_init(&source->serve[i]);
    source->to_serve = 0;
    source->ready = 0;
    source->count = 0;
    source->blocked = false;
    memset(source->plain, 0, sizeof source->plain);
}

void faasi_source_fini(struct faasi_lanes *lanes, struct faasi_source *source)
{
    for (int i = 0; i < FAASI_LEVELS; i++)
        faasi_free(lanes->allocator, source->plain[i], sizeof *source->plain[i]);
}

/* ---- lanes ---- */

static void lane_init(struct faasi_lane *lane, struct faasi_tenant *tenant,
                      struct faasi_source *source, uint32_t level)
{
    lane->keyed.level = level;
    lane->tenant = tenant;
    lane->source = source;
    faasi_ring_init(&lane->at);
    faasi_ring_init(&lane->served);
    faasi_ring_init(&lane->items);
}

/* The lane of a source and the tenant without a name; NULL without memory. */
static struct faasi_lane *lane_plain(struct faasi_lanes *lanes,
                                     struct faasi_source *source, uint32_t level)
{
    struct faasi_lane *lane = source->plain[level];

    if (FAASI_LIKELY(lane != NULL))
        return lane;
    lane = faasi_alloc_zeroed(lanes->allocator, sizeof *lane);
    if (lane != NULL)
        lane_init(lane, lanes->plain, source, level);
    source->plain[level] = lane;
    return lane;
}

/* Finds the lane of a place, or makes it and its tenant; NULL without memory. */
static struct faasi_lane *lane_open(struct faasi_lanes *lanes,
                                    const struct faasi_lane_key *place)
{
    faas_bytes source = {&place->source, sizeof place->source};
    struct faasi_tenant *tenant;
    struct faasi_lane *lane;
    uint64_t hash;

    if (FAASI_LIKELY(place->tenant.size == 0))
        return lane_plain(lanes, place->source, place->level);
    hash = faasi_key_hash(NULL, 0, place->tenant);
    tenant = (struct faasi_tenant *)faasi_keys_find(&lanes->tenants, hash, NULL, 0,
                                                    place->tenant);
    if (tenant == NULL) {
        if (!heap_reserve(lanes, lanes->tenants.count + 2)) // with the one without a name
            return NULL;
        tenant = faasi_keys_add(&lanes->tenants, lanes->allocator, sizeof *tenant, hash,
                                NULL, 0, place->tenant);
        if (tenant == NULL)
            return NULL;
        tenant_init(tenant);
    }
    hash = faasi_key_hash(tenant, place->level, source);
    lane = (struct faasi_lane *)faasi_keys_find(&lanes->lanes, hash, tenant, place->level,
                                                source);
    if (lane != NULL)
        return lane;
    lane = faasi_keys_add(&lanes->lanes, lanes->allocator, sizeof *lane, hash, tenant,
                          place->level, source);
    if (lane == NULL) {
        if (tenant->lane_count == 0)
            faasi_keys_drop(&lanes->tenants, lanes->allocator, &tenant->keyed);
        return NULL;
    }
    lane_init(lane, tenant, place->source, place->level);
    return lane;
}

/* One item of a lane has ended. */
static void lane_release(struct faasi_lanes *lanes, struct faasi_lane *lane)
{
    struct faasi_tenant *tenant = lane->tenant;

    if (--lane->count != 0)
        return;
    if (FAASI_LIKELY(tenant == lanes->plain)) { // as if it were made anew
        if (--tenant->lane_count == 0)
            for (int i = 0; i < FAASI_LEVELS; i++)
                tenant->turns[i].time = 0;
        return;
    }
    faasi_keys_drop(&lanes->lanes, lanes->allocator, &lane->keyed);
    if (--tenant->lane_count == 0)
        faasi_keys_drop(&lanes->tenants, lanes->allocator, &tenant->keyed);
}

/* Puts a lane at the end of its tenant's turn, and the tenant into its level's. */
static void lane_insert(struct faasi_lanes *lanes, struct faasi_lane *lane, uint64_t now)
{
    struct faasi_turn *turn = &lane->tenant->turns[lane->keyed.level];
    struct faasi_level *level = &lanes->levels[lane->keyed.level];

    faasi_ring_insert(&turn->lanes, &lane->at);
    if (turn->at != 0)
        return;
    if (level->count == 0)
        level->since = now;
    if (turn->time < level->time)
        turn->time = level->time;
    heap_insert(level, turn);
}

/* Takes it out of its tenant's turn, or from where it was put aside. */
static void lane_remove(struct faasi_lanes *lanes, struct faasi_lane *lane)
{
    struct faasi_turn *turn = &lane->tenant->turns[lane->keyed.level];

    faasi_ring_remove(&lane->at);
    if (!lane->aside && faasi_ring_empty(&turn->lanes))
        heap_remove(&lanes->levels[lane->keyed.level], turn);
    lane->aside = false;
}

/* A lane got its first item to serve, or lost its last one: makes that known. */
static void lane_settle(struct faasi_lanes *lanes, struct faasi_lane *lane, uint64_t now)
{
    struct faasi_source *source = lane->source;
    bool serve = !faasi_ring_empty(&lane->items);

    if (serve == lane->serve)
        return;
    lane->serve = serve;
    if (serve) {
        faasi_ring_insert(&source->serve[lane->keyed.level], &lane->served);
        if (source->to_serve++ == 0 && !source->blocked)
            lanes->open++;
        lane_insert(lanes, lane, now);
    } else {
        faasi_ring_remove(&lane->served);
        if (--source->to_serve == 0 && !source->blocked)
            lanes->open--;
        lane_remove(lanes, lane);
    }
}

/* ---- items ---- */

/* Puts an item into its lane, before another one of it or at the end. */
static void item_insert(struct faasi_lanes *lanes, struct faasi_ring *at,
                        struct faasi_item *item, uint64_t now)
{
    item->lane->source->ready++;
    faasi_ring_insert(at, &item->at);
    lane_settle(lanes, item->lane, now);
}

faas_status faasi_lanes_push(struct faasi_lanes *lanes, struct faasi_item *item,
                             const struct faasi_lane_key *place, uint64_t now)
{
    struct faasi_group *group = NULL;
    struct faasi_lane *lane = lane_open(lanes, place);

    if (lane == NULL)
        return FAAS_ENOMEM;
    if (lane->count++ == 0)
        lane->tenant->lane_count++;
    if (place->group.data != NULL) {
        uint64_t hash = faasi_key_hash(place->source, 0, place->group);

        group = (struct faasi_group *)faasi_keys_find(&lanes->groups, hash, place->source,
                                                      0, place->group);
        if (group == NULL) {
            group = faasi_keys_add(&lanes->groups, lanes->allocator, sizeof *group, hash,
                                   place->source, 0, place->group);
            if (group == NULL) {
                lane_release(lanes, lane);
                return FAAS_ENOMEM;
            }
            faasi_ring_init(&group->items);
        }
    }
    lane->tenant->weight = place->weight;
    item->lane = lane;
    item->group = group;
    place->source->count++;
    if (group != NULL && group->head != NULL) {
        faasi_ring_insert(&group->items, &item->at);
    } else {
        if (group != NULL)
            group->head = item;
        item_insert(lanes, &lane->items, item, now);
    }
    return FAAS_OK;
}

/* The lane whose turn it is on a level, or NULL. Puts aside what is blocked. */
static struct faasi_lane *level_lane(struct faasi_lanes *lanes, struct faasi_level *level)
{
    while (level->count != 0) {
        struct faasi_turn *turn = level->heap[0];
        struct faasi_lane *lane = FAASI_HOLDER(struct faasi_lane, at, turn->lanes.next);

        if (!lane->source->blocked)
            return lane;
        lane_remove(lanes, lane);
        lane->aside = true;
        faasi_ring_insert(&lane->source->aside, &lane->at);
    }
    return NULL;
}

/* The lane whose turn it is: of the level that has waited for longest, if that is too long
 * and the last one was not such a one, else of the first that has work. NULL if none has. */
static struct faasi_lane *lane_next(struct faasi_lanes *lanes, uint64_t now)
{
    struct faasi_lane *first = NULL, *aged = NULL;
    uint64_t since = now;

    if (lanes->open == 0)
        return NULL;
    for (int i = FAASI_LEVELS - 1; i >= 0; i--) {
        struct faasi_level *level = &lanes->levels[i];
        struct faasi_lane *lane = level_lane(lanes, level);

        if (lane == NULL)
            continue;
        if (level->since < since && now - level->since >= lanes->ageing) {
            aged = lane;
            since = level->since;
        }
        first = lane;
    }
    /* Where items take longer than the ageing time every level is old at every pop. */
    lanes->aged = !lanes->aged && aged != NULL && aged != first;
    return lanes->aged ? aged : first;
}

/* Takes the first item of a lane, at its tenant's expense. */
static inline struct faasi_item *lane_pop(struct faasi_lanes *lanes,
                                          struct faasi_lane *lane, uint64_t now)
{
    struct faasi_level *level = &lanes->levels[lane->keyed.level];
    struct faasi_turn *turn = &lane->tenant->turns[lane->keyed.level];
    struct faasi_item *item = FAASI_HOLDER(struct faasi_item, at, lane->items.next);

    faasi_ring_remove(&item->at);
    lane->source->ready--;
    level->since = now;
    turn->time += SCALE / lane->tenant->weight;
    /* Just before the end of this one: a tenant that leaves with its last item and comes
     * again right away has not gone back in time, and who is new does not wait for another
     * one of this tenant's. Out of turn, it is not the time of those who wait. */
    if (FAASI_LIKELY(turn->at == 1))
        level->time = turn->time - 1;
    /* The lane goes behind its tenant's others. */
    faasi_ring_remove(&lane->at);
    faasi_ring_insert(&turn->lanes, &lane->at);
    if (level->count > 1) {
        turn->order = level->order++;
        heap_down(level, turn->at, turn);
    }
    lane_settle(lanes, lane, now);
    return item;
}

struct faasi_item *faasi_lanes_pop(struct faasi_lanes *lanes, uint64_t now)
{
    struct faasi_lane *lane = lane_next(lanes, now);

    return lane == NULL ? NULL : lane_pop(lanes, lane, now);
}

/* Of a source's lanes of one level, that whose tenant is next, if it is among the first
 * few; NULL if there are none. */
static struct faasi_lane *served_next(const struct faasi_ring *lanes)
{
    struct faasi_lane *next = NULL;
    struct faasi_ring *at = lanes->next;

    for (int i = 0; at != lanes && i < LOOK; at = at->next, i++) {
        struct faasi_lane *lane = FAASI_HOLDER(struct faasi_lane, served, at);
        uint32_t level = lane->keyed.level;

        if (next == NULL ||
            turn_before(&lane->tenant->turns[level], &next->tenant->turns[level]))
            next = lane;
    }
    return next;
}

struct faasi_item *faasi_lanes_pop_of(struct faasi_lanes *lanes,
                                      struct faasi_source *source, uint64_t now)
{
    assert(!source->blocked);
    for (int i = 0; i < FAASI_LEVELS; i++) {
        struct faasi_lane *lane = served_next(&source->serve[i]);

        if (lane == NULL)
            continue;
        faasi_ring_remove(&lane->served);
        faasi_ring_insert(&source->serve[i], &lane->served);
        return lane_pop(lanes, lane, now);
    }
    return NULL;
}

const struct faasi_item *faasi_lanes_behind(const struct faasi_item *item)
{
    return FAASI_HOLDER(struct faasi_item, at, item->lane->items.next);
}

void faasi_lanes_pick(struct faasi_lanes *lanes, struct faasi_item *item, uint64_t now)
{
    faasi_ring_remove(&item->at);
    item->lane->source->ready--;
    lane_settle(lanes, item->lane, now);
}

void faasi_lanes_again(struct faasi_lanes *lanes, struct faasi_item *item, bool first,
                       uint64_t now)
{
    struct faasi_lane *lane = item->lane;

    item_insert(lanes, first ? lane->items.next : &lane->items, item, now);
}

/* The head has ended: the next one takes its place, or the group ends. */
static void group_advance(struct faasi_lanes *lanes, struct faasi_group *group,
                          uint64_t now)
{
    struct faasi_item *next = FAASI_HOLDER(struct faasi_item, at, group->items.next);

    if (faasi_ring_empty(&group->items)) {
        faasi_keys_drop(&lanes->groups, lanes->allocator, &group->keyed);
        return;
    }
    group->head = next;
    faasi_ring_remove(&next->at);
    item_insert(lanes, &next->lane->items, next, now);
}

void faasi_lanes_done(struct faasi_lanes *lanes, struct faasi_item *item, bool popped,
                      uint64_t now)
{
    struct faasi_lane *lane = item->lane;
    struct faasi_group *group = item->group;
    bool head = group != NULL && group->head == item;

    if (!popped) {
        lane->source->ready -= head || group == NULL; // else it stands behind a head
        faasi_ring_remove(&item->at);
        lane_settle(lanes, lane, now);
    }
    lane->source->count--;
    item->lane = NULL;
    item->group = NULL;
    if (head)
        group_advance(lanes, group, now);
    lane_release(lanes, lane);
}

/* ---- sources ---- */

void faasi_lanes_block(struct faasi_lanes *lanes, struct faasi_source *source,
                       bool blocked, uint64_t now)
{
    struct faasi_ring *at;

    if (source->blocked == blocked)
        return;
    source->blocked = blocked;
    if (source->to_serve != 0)
        lanes->open += blocked ? UINT32_MAX : 1;
    while (!blocked && (at = source->aside.next) != &source->aside) {
        struct faasi_lane *lane = FAASI_HOLDER(struct faasi_lane, at, at);

        faasi_ring_remove(&lane->at);
        lane->aside = false;
        lane_insert(lanes, lane, now);
    }
}

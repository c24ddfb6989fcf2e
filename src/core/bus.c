/* SPDX-License-Identifier: MIT */
/* bus.c - publish and subscribe. */
#include "bus.h"

#include "event.h"
#include "hash.h"
#include "invoke.h"
#include "mem.h"
#include "utf8.h"

#include <sched.h>

/* What a route says about an event's type. */
enum route_kind { ROUTE_EXACT, ROUTE_PREFIX };

/* One subscription. Shared by the snapshots that have it. */
struct route {
    uint32_t refs; /* snapshots. Holds: bus.lock */
    enum route_kind kind;
    uint64_t id; /* grows with every subscription: the order */
    faas_fn fn;
    uint64_t type_hash;
    faas_bytes type;   /* or what it begins with */
    faas_bytes source; /* data NULL: any */
    size_t bytes;
    char text[];
};

/* The routes to one exact type: `count` from `first` in the snapshot's array. */
struct group {
    uint64_t type_hash;
    uint32_t first;
    uint32_t count; /* 0: nothing here */
};

struct faasi_routes {
    atomic_uint refs; /* the bus, and publishes under way */
    uint32_t exact_count;
    uint32_t loose_count;
    uint32_t group_mask;
    struct group *groups;
    struct route **loose; /* by id */
    struct route **all;   /* by id: what the next snapshot is made from */
    size_t bytes;
    struct route *exact[]; /* by type, then by id */
};

enum { TEXT_MAX = 65536 };

/* ---- snapshots ---- */

static uint32_t group_slots(uint32_t routes)
{
    uint32_t slots = 4;

    while (slots < routes * 2)
        slots *= 2;
    return slots;
}

static bool bytes_equal(faas_bytes a, faas_bytes b)
{
    return a.size == b.size && memcmp(a.data, b.data, a.size) == 0;
}

/* Finds the group of a type, or the empty one where it would stand. */
static struct group *group_find(const struct faasi_routes *routes, uint64_t hash,
                                faas_bytes type)
{
    uint32_t at = (uint32_t)hash & routes->group_mask;

    for (;; at = (at + 1) & routes->group_mask) {
        struct group *group = &routes->groups[at];

        if (group->count == 0 || (group->type_hash == hash &&
                                  bytes_equal(routes->exact[group->first]->type, type)))
            return group;
    }
}

/* Brings routes of one type together: first how many each has, then where they stand. */
static void routes_index(struct faasi_routes *routes, uint32_t count)
{
    struct route **all = routes->all;

    for (uint32_t i = 0; i < count; i++) {
        struct route *route = all[i];
        uint32_t at;

        if (route->kind != ROUTE_EXACT) {
            routes->loose[routes->loose_count++] = route;
            continue;
        }
        /* Behind the last of its type, so that they stay in order. */
        at = routes->exact_count++;
        for (; at > 0 && routes->exact[at - 1]->type_hash > route->type_hash; at--)
            routes->exact[at] = routes->exact[at - 1];
        routes->exact[at] = route;
    }
    for (uint32_t i = 0; i < routes->exact_count; i++) {
        struct route *route = routes->exact[i];
        struct group *group = group_find(routes, route->type_hash, route->type);

        if (group->count == 0) {
            group->type_hash = route->type_hash;
            group->first = i;
        }
        group->count++;
    }
}

/* A snapshot of `count` routes, which the caller fills into `all` before routes_index().
 */
static struct faasi_routes *routes_open(const faas_allocator *allocator, uint32_t count)
{
    uint32_t slots = group_slots(count);
    size_t pointers = (size_t)count * sizeof(struct route *);
    size_t bytes =
        sizeof(struct faasi_routes) + 3 * pointers + slots * sizeof(struct group);
    struct faasi_routes *routes = faasi_alloc_zeroed(allocator, bytes);

    if (routes == NULL)
        return NULL;
    atomic_init(&routes->refs, 1);
    routes->bytes = bytes;
    routes->loose = routes->exact + count;
    routes->all = routes->loose + count;
    routes->groups = (struct group *)(void *)(routes->all + count);
    routes->group_mask = slots - 1;
    return routes;
}

static uint32_t routes_count(const struct faasi_routes *routes)
{
    return routes->exact_count + routes->loose_count;
}

static void route_release(const faas_allocator *allocator, struct route *route)
{
    if (--route->refs == 0)
        faasi_free(allocator, route, route->bytes);
}

/* Ends the publishes' count; who frees holds the bus's lock or is alone, for the routes.
 */
static void routes_free(struct faasi_bus *bus, const faas_allocator *allocator,
                        struct faasi_routes *routes)
{
    faasi_lock(&bus->lock);
    for (uint32_t i = 0; i < routes_count(routes); i++)
        route_release(allocator, routes->all[i]);
    faasi_unlock(&bus->lock);
    faasi_free(allocator, routes, routes->bytes);
}

static void routes_release(struct faasi_bus *bus, const faas_allocator *allocator,
                           struct faasi_routes *routes)
{
    /* Acquire-release: who frees sees that the others have read. */
    if (atomic_fetch_sub_explicit(&routes->refs, 1, memory_order_acq_rel) == 1)
        routes_free(bus, allocator, routes);
}

faas_status faasi_bus_init(struct faasi_bus *bus, const faas_allocator *allocator)
{
    struct faasi_routes *routes = routes_open(allocator, 0);
    faas_status status = faasi_mutex_init(&bus->lock);

    if (routes == NULL || status != FAAS_OK) {
        if (status == FAAS_OK)
            faasi_mutex_fini(&bus->lock);
        if (routes != NULL)
            faasi_free(allocator, routes, routes->bytes);
        return status == FAAS_OK ? faasi_fail(FAAS_ENOMEM, "bus: no memory") : status;
    }
    bus->next_id = 1;
    atomic_init(&bus->routes, routes);
    return FAAS_OK;
}

void faasi_bus_quiet(struct faasi_bus *bus)
{
    struct faasi_routes *routes =
        atomic_load_explicit(&bus->routes, memory_order_relaxed);

    /* What is still under way is refused by all its targets, so this is short. */
    while (atomic_load_explicit(&routes->refs, memory_order_acquire) != 1)
        (void)sched_yield();
}

void faasi_bus_fini(struct faasi_bus *bus, const faas_allocator *allocator)
{
    routes_release(bus, allocator,
                   atomic_load_explicit(&bus->routes, memory_order_relaxed));
    faasi_mutex_fini(&bus->lock);
}

/* Whether an edit keeps a route. */
typedef bool route_filter(const struct route *route, const void *what);

/* Replaces the snapshot by one without the routes that `drop` names, and with `added` if
 * that is not NULL. `*dropped` counts. Holds: bus.lock.
 * Returns the old one, to be released after a grace period, or NULL without memory. */
static struct faasi_routes *routes_edit(struct faasi_bus *bus,
                                        const faas_allocator *allocator,
                                        route_filter *drop, const void *what,
                                        struct route *added, uint32_t *dropped)
{
    struct faasi_routes *old = atomic_load_explicit(&bus->routes, memory_order_relaxed);
    uint32_t had = routes_count(old), count = 0;
    struct faasi_routes *routes = routes_open(allocator, had + 1);

    if (routes == NULL)
        return NULL;
    for (uint32_t i = 0; i < had; i++)
        if (drop == NULL || !drop(old->all[i], what))
            routes->all[count++] = old->all[i];
    *dropped = had - count;
    if (added != NULL)
        routes->all[count++] = added;
    for (uint32_t i = 0; i < count; i++)
        routes->all[i]->refs++;
    routes_index(routes, count);
    /* Release: pairs with the acquire in routes_acquire(). */
    atomic_store_explicit(&bus->routes, routes, memory_order_release);
    return old;
}

/* ---- subscribing ---- */

static faas_status text_check(const char *what, const char *text)
{
    size_t size = text == NULL ? 1 : strnlen(text, TEXT_MAX + 1);

    if (size == 0 || size > TEXT_MAX)
        return faasi_fail(FAAS_EINVAL, "subscription.%s: it is %s", what,
                          size == 0 ? "empty" : "longer than 65536 bytes");
    if (text != NULL && !faasi_utf8_valid(text, size))
        return faasi_fail(FAAS_EINVAL, "subscription.%s: it is not UTF-8", what);
    return FAAS_OK;
}

static struct route *route_open(const faas_allocator *allocator, faas_fn fn,
                                const faas_subscription *on)
{
    faas_bytes type = faas_str(on->type == NULL ? "*" : on->type);
    faas_bytes source = faas_str(on->source);
    size_t bytes = sizeof(struct route) + type.size + source.size;
    struct route *route = faasi_alloc_zeroed(allocator, bytes);
    const char *text = type.data;

    if (route == NULL)
        return NULL;
    route->bytes = bytes;
    route->fn = fn;
    route->kind = ROUTE_EXACT;
    if (strcmp(text, "*") == 0 ||
        (type.size > 1 && strcmp(text + type.size - 2, ".*") == 0)) {
        route->kind = ROUTE_PREFIX;
        type.size--; // the star
    }
    memcpy(route->text, type.data, type.size);
    route->type = faas_bytes_of(route->text, type.size);
    route->type_hash = faasi_hash(type.data, type.size);
    if (source.data != NULL) {
        memcpy(route->text + type.size, source.data, source.size);
        route->source = faas_bytes_of(route->text + type.size, source.size);
    }
    return route;
}

static faas_status subscribe(faas_runtime *rt, faas_fn fn, struct route *route,
                             uint64_t *id)
{
    struct faasi_routes *old = NULL;
    faas_status status = FAAS_OK;
    uint32_t dropped;

    /* The registry's lock: a function that is there has not been forgotten yet. */
    faasi_lock(&rt->registry.lock);
    if (faasi_registry_get(&rt->registry, fn) == NULL) {
        status = faasi_fail(FAAS_ENOENT, "handle %u.%u: its function is gone", fn.index,
                            fn.generation);
    } else {
        faasi_lock(&rt->bus.lock);
        route->id = rt->bus.next_id;
        old = routes_edit(&rt->bus, rt->allocator, NULL, NULL, route, &dropped);
        if (old != NULL)
            rt->bus.next_id++;
        faasi_unlock(&rt->bus.lock);
        if (old == NULL)
            status = faasi_fail(FAAS_ENOMEM, "subscription: no memory");
    }
    if (status == FAAS_OK && id != NULL)
        *id = route->id;
    faasi_unlock(&rt->registry.lock);
    if (old != NULL) {
        faasi_grace_wait();
        routes_release(&rt->bus, rt->allocator, old);
    } else {
        faasi_free(rt->allocator, route, route->bytes);
    }
    return status;
}

faas_status faas_subscribe(faas_runtime *rt, faas_fn fn, const faas_subscription *on,
                           uint64_t *id)
{
    faas_subscription known = {.size = sizeof known};
    struct route *route;
    faas_status status = faasi_options_import(&known, sizeof known, on, "subscription");

    if (id != NULL)
        *id = 0;
    if (status == FAAS_OK)
        status = text_check("type", known.type);
    if (status == FAAS_OK)
        status = text_check("source", known.source);
    if (status == FAAS_OK)
        status = faasi_visit(rt);
    if (status != FAAS_OK)
        return status;
    route = route_open(rt->allocator, fn, &known);
    status = route == NULL ? faasi_fail(FAAS_ENOMEM, "subscription: no memory")
                           : subscribe(rt, fn, route, id);
    faasi_unvisit(rt);
    return status;
}

static bool route_has_id(const struct route *route, const void *id)
{
    return route->id == *(const uint64_t *)id;
}

static bool route_is_to(const struct route *route, const void *fn)
{
    const faas_fn *to = fn;

    return route->fn.index == to->index && route->fn.generation == to->generation;
}

/* Ends the routes that `drop` names. */
static faas_status routes_drop(faas_runtime *rt, route_filter *drop, const void *what)
{
    struct faasi_routes *routes, *old = NULL;
    uint32_t dropped = 0;

    faasi_lock(&rt->bus.lock);
    routes = atomic_load_explicit(&rt->bus.routes, memory_order_relaxed);
    for (uint32_t i = 0; i < routes_count(routes); i++)
        dropped += drop(routes->all[i], what);
    if (dropped != 0)
        old = routes_edit(&rt->bus, rt->allocator, drop, what, NULL, &dropped);
    faasi_unlock(&rt->bus.lock);
    if (dropped == 0)
        return FAAS_ENOENT;
    if (old == NULL)
        return FAAS_ENOMEM;
    faasi_grace_wait();
    routes_release(&rt->bus, rt->allocator, old);
    return FAAS_OK;
}

faas_status faas_unsubscribe(faas_runtime *rt, uint64_t id)
{
    faas_status status = faasi_visit(rt);

    if (status != FAAS_OK)
        return status;
    status = routes_drop(rt, route_has_id, &id);
    if (status == FAAS_ENOENT)
        status =
            faasi_fail(status, "subscription %llu: it is gone", (unsigned long long)id);
    else if (status == FAAS_ENOMEM)
        status = faasi_fail(status, "subscription: no memory");
    faasi_unvisit(rt);
    return status;
}

void faasi_bus_forget(faas_runtime *rt, faas_fn fn)
{
    (void)routes_drop(rt, route_is_to, &fn);
}

/* ---- publishing ---- */

/* Returns the snapshot, counted, or NULL if the runtime is closing. */
static struct faasi_routes *routes_acquire(faas_runtime *rt)
{
    struct faasi_routes *routes = NULL;

    faasi_read_enter();
    if (!atomic_load_explicit(&rt->gate.closing, memory_order_relaxed)) {
        routes = atomic_load_explicit(&rt->bus.routes, memory_order_acquire);
        atomic_fetch_add_explicit(&routes->refs, 1, memory_order_relaxed);
    }
    faasi_read_leave();
    return routes;
}

/* Whether a route that is not for one exact type wants an event. */
static bool route_wants_type(const struct route *route, faas_bytes type)
{
    return route->type.size <= type.size &&
           memcmp(route->type.data, type.data, route->type.size) == 0;
}

static bool route_wants_source(const struct route *route, const faas_event *event)
{
    return route->source.data == NULL ||
           bytes_equal(route->source, faasi_event_source(event));
}

static void deliver(faas_runtime *rt, const struct route *route, faas_event *event,
                    faas_delivery *delivery)
{
    struct faasi_request request = {
        .fn = route->fn, .input = event->data, .event = event};
    faas_status status;

    delivery->matched++;
    status = faasi_invoke(rt, &request, NULL);
    if (FAASI_LIKELY(status == FAAS_OK))
        delivery->ran++;
    else if (faas_status_group(status) == FAAS_GROUP_RAN)
        delivery->failed++;
    else
        delivery->refused++;
}

faas_status faas_publish(faas_runtime *rt, faas_event *event, faas_delivery *delivery)
{
    static const faas_delivery none;
    const struct faas_context *parent = faasi_context_current;
    struct faasi_routes *routes;
    const struct group *group;
    faas_delivery counts = none;
    uint32_t exact, exact_end, loose = 0;

    if (delivery != NULL)
        *delivery = none;
    if (parent != NULL && parent->depth + 1 >= rt->depth_max)
        return FAAS_EDEPTH;
    routes = routes_acquire(rt);
    if (routes == NULL)
        return FAAS_ECLOSED;
    group = group_find(routes, event->type_hash, faasi_event_type(event));
    exact = group->first;
    exact_end = exact + group->count;
    while (exact < exact_end || loose < routes->loose_count) {
        const struct route *next;

        if (loose == routes->loose_count ||
            (exact < exact_end && routes->exact[exact]->id < routes->loose[loose]->id)) {
            next = routes->exact[exact++];
        } else {
            next = routes->loose[loose++];
            if (!route_wants_type(next, faasi_event_type(event)))
                continue;
        }
        if (route_wants_source(next, event))
            deliver(rt, next, event, &counts);
    }
    routes_release(&rt->bus, rt->allocator, routes);
    if (delivery != NULL)
        *delivery = counts;
    return FAAS_OK;
}

faas_status faas_publish_json(faas_runtime *rt, const char *source, const char *type,
                              const char *json, faas_delivery *delivery)
{
    static const faas_delivery none;
    char text[FAAS_ID_TEXT_SIZE];
    faas_id id = {rt->gate.id_high, 0};
    faas_event *event;
    faas_status status;

    if (delivery != NULL)
        *delivery = none;
    id.low = (uint64_t)1 << 63 |
             atomic_fetch_add_explicit(&rt->unseated_ids, 1, memory_order_relaxed);
    faas_id_text(id, text);
    status =
        faas_event_create(FAAS_EVENT(.id = text, .source = source, .type = type,
                                     .data_content_type = "application/json",
                                     .data = faas_str(json), .allocator = rt->allocator),
                          &event);
    if (status != FAAS_OK)
        return status;
    status = faas_publish(rt, event, delivery);
    faas_event_release(event);
    return status;
}

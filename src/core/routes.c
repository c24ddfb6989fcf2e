/* SPDX-License-Identifier: MIT */
/* routes.c - subscriptions in snapshots, rules in a rule set. */
#include "routes.h"

#include "hash.h"
#include "mem.h"

static bool bytes_equal(faas_bytes a, faas_bytes b)
{
    return a.size == b.size && memcmp(a.data, b.data, a.size) == 0;
}

/* ---- routes ---- */

static struct faasi_route *route_open(const faas_allocator *allocator, faas_fn fn,
                                      size_t text)
{
    size_t bytes = sizeof(struct faasi_route) + text;
    struct faasi_route *route = faasi_alloc_zeroed(allocator, bytes);

    if (route == NULL)
        return NULL;
    atomic_init(&route->refs, 1);
    route->fn = fn;
    route->allocator = allocator;
    route->bytes = bytes;
    return route;
}

struct faasi_route *faasi_route_open_subscription(const faas_allocator *allocator,
                                                  faas_fn fn, faas_bytes type,
                                                  faas_bytes source)
{
    struct faasi_route *route = route_open(allocator, fn, type.size + source.size);
    const char *text = type.data;

    if (route == NULL)
        return NULL;
    route->kind = FAASI_ROUTE_EXACT;
    if (type.size > 0 && text[type.size - 1] == '*' &&
        (type.size == 1 || text[type.size - 2] == '.')) {
        route->kind = FAASI_ROUTE_PREFIX;
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

struct faasi_route *faasi_route_open_rule(const faas_allocator *allocator, faas_fn fn,
                                          faas_bytes name)
{
    struct faasi_route *route = route_open(allocator, fn, name.size + 1);

    if (route == NULL)
        return NULL;
    route->kind = FAASI_ROUTE_RULE;
    memcpy(route->text, name.data, name.size);
    route->type = faas_bytes_of(route->text, name.size);
    return route;
}

void faasi_route_release(struct faasi_route *route)
{
    if (route == NULL || !faasi_unref(&route->refs))
        return;
    faasi_transform_free(route->transform);
    faasi_free(route->allocator, route, route->bytes);
}

/* ---- snapshots ---- */

static uint32_t group_slots(uint32_t routes)
{
    uint32_t slots = 4;

    while (slots < routes * 2)
        slots *= 2;
    return slots;
}

/* Finds the group of a type, or the empty one where it would stand. */
static struct faasi_route_group *group_find(const struct faasi_snapshot *snapshot,
                                            uint64_t hash, faas_bytes type)
{
    uint32_t at = (uint32_t)hash & snapshot->group_mask;

    for (;; at = (at + 1) & snapshot->group_mask) {
        struct faasi_route_group *group = &snapshot->groups[at];

        if (group->count == 0 || (group->type_hash == hash &&
                                  bytes_equal(snapshot->exact[group->first]->type, type)))
            return group;
    }
}

const struct faasi_route_group *
faasi_snapshot_group(const struct faasi_snapshot *snapshot, uint64_t type_hash,
                     faas_bytes type)
{
    return group_find(snapshot, type_hash, type);
}

/* Whether `a` stands after `b` among the exact ones: by hash, then by type, then by id,
 * so that those of one type stand together also when hashes collide. */
static bool exact_after(const struct faasi_route *a, const struct faasi_route *b)
{
    size_t size = a->type.size < b->type.size ? a->type.size : b->type.size;
    int order;

    if (a->type_hash != b->type_hash)
        return a->type_hash > b->type_hash;
    order = memcmp(a->type.data, b->type.data, size);
    if (order != 0)
        return order > 0;
    if (a->type.size != b->type.size)
        return a->type.size > b->type.size;
    return a->id > b->id;
}

/* Puts a route behind those of its list that come before it. */
static void snapshot_insert(struct faasi_snapshot *snapshot, struct faasi_route *route)
{
    uint32_t at;

    if (route->kind != FAASI_ROUTE_EXACT) {
        snapshot->loose[snapshot->loose_count++] = route;
        return;
    }
    at = snapshot->exact_count++;
    for (; at > 0 && exact_after(snapshot->exact[at - 1], route); at--)
        snapshot->exact[at] = snapshot->exact[at - 1];
    snapshot->exact[at] = route;
}

/* Groups the exact routes, which are in their order. */
static void snapshot_index(struct faasi_snapshot *snapshot)
{
    for (uint32_t i = 0; i < snapshot->exact_count; i++) {
        struct faasi_route *route = snapshot->exact[i];
        struct faasi_route_group *group =
            group_find(snapshot, route->type_hash, route->type);

        if (group->count == 0) {
            group->type_hash = route->type_hash;
            group->first = i;
        }
        group->count++;
    }
}

/* A snapshot with room for `count` routes; the caller inserts them, then indexes. */
static struct faasi_snapshot *snapshot_open(const faas_allocator *allocator,
                                            uint32_t count)
{
    uint32_t slots = group_slots(count);
    size_t pointers = (size_t)count * sizeof(struct faasi_route *);
    size_t bytes = sizeof(struct faasi_snapshot) + 2 * pointers +
                   slots * sizeof(struct faasi_route_group);
    struct faasi_snapshot *snapshot = faasi_alloc_zeroed(allocator, bytes);

    if (snapshot == NULL)
        return NULL;
    atomic_init(&snapshot->refs, 1);
    snapshot->bytes = bytes;
    snapshot->loose = snapshot->exact + count;
    snapshot->groups = (struct faasi_route_group *)(void *)(snapshot->loose + count);
    snapshot->group_mask = slots - 1;
    return snapshot;
}

struct faasi_snapshot *faasi_snapshot_acquire(struct faasi_routes *routes)
{
    struct faasi_snapshot *snapshot =
        atomic_load_explicit(&routes->snapshot, memory_order_acquire);

    faasi_ref(&snapshot->refs);
    return snapshot;
}

void faasi_snapshot_release(struct faasi_routes *routes, struct faasi_snapshot *snapshot)
{
    if (!faasi_unref(&snapshot->refs))
        return;
    for (uint32_t i = 0; i < snapshot->exact_count; i++)
        faasi_route_release(snapshot->exact[i]);
    for (uint32_t i = 0; i < snapshot->loose_count; i++)
        faasi_route_release(snapshot->loose[i]);
    faasi_free(routes->allocator, snapshot, snapshot->bytes);
    /* Last: who closes waits for it. */
    atomic_fetch_sub_explicit(&routes->snapshots, 1, memory_order_release);
}

static bool route_stays(const struct faasi_route *route, faasi_route_filter *drop,
                        const void *what)
{
    return !atomic_load_explicit(&route->ended, memory_order_relaxed) &&
           (drop == NULL || !drop(route, what));
}

/* Publishes a snapshot without the routes that `drop` names and with `added`. Returns the
 * one before; NULL without memory. Holds: lock. */
static struct faasi_snapshot *snapshot_edit(struct faasi_routes *routes,
                                            faasi_route_filter *drop, const void *what,
                                            struct faasi_route *added)
{
    struct faasi_snapshot *old =
        atomic_load_explicit(&routes->snapshot, memory_order_relaxed);
    struct faasi_snapshot *snapshot =
        snapshot_open(routes->allocator, old->exact_count + old->loose_count + 1);
    struct faasi_route **lists[] = {old->exact, old->loose};
    uint32_t counts[] = {old->exact_count, old->loose_count};

    if (snapshot == NULL)
        return NULL;
    for (int list = 0; list < 2; list++) {
        for (uint32_t i = 0; i < counts[list]; i++) {
            struct faasi_route *route = lists[list][i];

            if (!route_stays(route, drop, what))
                continue;
            faasi_ref(&route->refs);
            snapshot_insert(snapshot, route); // in order already: at the end
        }
    }
    if (added != NULL)
        snapshot_insert(snapshot, added);
    snapshot_index(snapshot);
    atomic_fetch_add_explicit(&routes->snapshots, 1, memory_order_relaxed);
    /* Release: pairs with the acquire in faasi_snapshot_acquire(). */
    atomic_store_explicit(&routes->snapshot, snapshot, memory_order_release);
    return old;
}

struct faasi_snapshot *faasi_routes_add(struct faasi_routes *routes,
                                        struct faasi_route *route)
{
    struct faasi_snapshot *old;

    route->id = routes->next_id;
    old = snapshot_edit(routes, NULL, NULL, route);
    if (old != NULL)
        routes->next_id++;
    return old;
}

/* Marks those of a list that `drop` names. */
static uint32_t routes_end(struct faasi_route *const *list, uint32_t count,
                           faasi_route_filter *drop, const void *what)
{
    uint32_t ended = 0;

    for (uint32_t i = 0; i < count; i++) {
        if (!drop(list[i], what) ||
            atomic_exchange_explicit(&list[i]->ended, true, memory_order_relaxed))
            continue;
        ended++;
    }
    return ended;
}

struct faasi_snapshot *faasi_routes_drop(struct faasi_routes *routes,
                                         faasi_route_filter *drop, const void *what,
                                         uint32_t *dropped)
{
    struct faasi_snapshot *snapshot =
        atomic_load_explicit(&routes->snapshot, memory_order_relaxed);

    *dropped = routes_end(snapshot->exact, snapshot->exact_count, drop, what) +
               routes_end(snapshot->loose, snapshot->loose_count, drop, what);
    return *dropped == 0 ? NULL : snapshot_edit(routes, drop, what, NULL);
}

/* ---- rules ---- */

/* A place for one more rule: a free one, of twice as many if need be. */
static faas_status rule_place(struct faasi_routes *routes, uint32_t *place)
{
    uint32_t room = routes->rule_room, more = room == 0 ? 16 : room * 2;
    struct faasi_route **grown;

    for (*place = 0; *place < room; ++*place)
        if (routes->rule_routes[*place] == NULL)
            return FAAS_OK;
    grown = faasi_grow(routes->allocator, routes->rule_routes,
                       room * sizeof(struct faasi_route *),
                       more * sizeof(struct faasi_route *));
    if (grown == NULL)
        return faasi_fail(FAAS_ENOMEM, "rules: no memory");
    memset(grown + room, 0, (more - room) * sizeof *grown);
    routes->rule_routes = grown;
    routes->rule_room = more;
    return FAAS_OK;
}

static faas_status rules_open(struct faasi_routes *routes)
{
    faas_ruleset_options options = FAAS_RULESET_OPTIONS_INIT;
    faas_ruleset *rules = atomic_load_explicit(&routes->rules, memory_order_relaxed);
    faas_status status;

    if (rules != NULL)
        return FAAS_OK;
    options.allocator = routes->allocator;
    status = faas_ruleset_open(&rules, &options);
    if (status == FAAS_OK)
        atomic_store_explicit(&routes->rules, rules, memory_order_release);
    return status;
}

faas_status faasi_routes_put_rule(struct faasi_routes *routes, struct faasi_route *route,
                                  faas_bytes pattern, struct faasi_route **old)
{
    struct faasi_named named = faasi_names_find(&routes->rule_names, route->type);
    bool is_new = named.generation == 0;
    faas_status status = rules_open(routes);
    uint32_t place = named.index;

    *old = is_new ? NULL : routes->rule_routes[place];
    if (status == FAAS_OK && is_new)
        status = rule_place(routes, &place);
    if (status == FAAS_OK && is_new)
        status = faasi_names_insert(&routes->rule_names, route->type, place, 1);
    if (status != FAAS_OK) {
        *old = NULL;
        return status;
    }
    route->id = is_new ? routes->next_id : (*old)->id;
    status = faas_ruleset_put(atomic_load_explicit(&routes->rules, memory_order_relaxed),
                              route->text, pattern, route);
    if (status == FAAS_OK) {
        routes->rule_routes[place] = route;
        routes->next_id += is_new;
        return FAAS_OK;
    }
    *old = NULL;
    if (is_new) // nobody reads these names but under the lock
        faasi_names_free(&routes->rule_names,
                         faasi_names_remove(&routes->rule_names, route->type));
    return status;
}

faas_status faasi_routes_delete_rule(struct faasi_routes *routes, faas_bytes name,
                                     struct faasi_route **old)
{
    struct faasi_named named = faasi_names_find(&routes->rule_names, name);
    faas_status status;

    *old = NULL;
    if (named.generation == 0)
        return faasi_fail(FAAS_ENOENT, "rule \"%.*s\": there is none",
                          (int)(name.size < 64 ? name.size : 64),
                          (const char *)name.data);
    status =
        faas_ruleset_delete(atomic_load_explicit(&routes->rules, memory_order_relaxed),
                            routes->rule_routes[named.index]->text);
    if (status != FAAS_OK)
        return status;
    faasi_names_free(&routes->rule_names, faasi_names_remove(&routes->rule_names, name));
    *old = routes->rule_routes[named.index];
    routes->rule_routes[named.index] = NULL;
    return FAAS_OK;
}

/* ---- both ---- */

faas_status faasi_routes_init(struct faasi_routes *routes,
                              const faas_allocator *allocator)
{
    struct faasi_snapshot *snapshot = snapshot_open(allocator, 0);
    faas_status status;

    memset(routes, 0, sizeof *routes);
    if (snapshot == NULL)
        return faasi_fail(FAAS_ENOMEM, "bus: no memory");
    routes->allocator = allocator;
    routes->next_id = 1;
    atomic_init(&routes->snapshot, snapshot);
    atomic_init(&routes->snapshots, 1);
    status = faasi_mutex_init(&routes->lock);
    if (status != FAAS_OK)
        goto free_snapshot;
    status = faasi_names_init(&routes->rule_names, allocator);
    if (status != FAAS_OK)
        goto fini_lock;
    return FAAS_OK;

fini_lock:
    faasi_mutex_fini(&routes->lock);
free_snapshot:
    faasi_free(allocator, snapshot, snapshot->bytes);
    return status;
}

void faasi_routes_fini(struct faasi_routes *routes)
{
    faasi_snapshot_release(routes,
                           atomic_load_explicit(&routes->snapshot, memory_order_relaxed));
    faas_ruleset_close(atomic_load_explicit(&routes->rules, memory_order_relaxed));
    for (uint32_t i = 0; i < routes->rule_room; i++)
        faasi_route_release(routes->rule_routes[i]);
    faasi_free(routes->allocator, routes->rule_routes,
               routes->rule_room * sizeof(struct faasi_route *));
    faasi_names_fini(&routes->rule_names);
    faasi_mutex_fini(&routes->lock);
}

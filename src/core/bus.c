/* SPDX-License-Identifier: MIT */
/* bus.c - publish and subscribe. */
#include "bus.h"

#include "form.h"
#include "invoke.h"
#include "mem.h"
#include "ruleset.h"
#include "utf8.h"

#include <sched.h>
#include <stdlib.h>

enum { TEXT_MAX = 65536, NAME_MAX_BYTES = 255, MATCHES_AT_HAND = 32 };

/* ---- subscribing ---- */

static faas_status text_check(const char *what, const char *text, size_t most)
{
    size_t size = text == NULL ? 0 : strnlen(text, most + 1);

    if (size == 0)
        return faasi_fail(FAAS_EINVAL, "%s: it is empty", what);
    if (size > most)
        return faasi_fail(FAAS_EINVAL, "%s: it is longer than %zu bytes", what, most);
    if (!faasi_utf8_valid(text, size))
        return faasi_fail(FAAS_EINVAL, "%s: it is not UTF-8", what);
    return FAAS_OK;
}

static faas_status queued_check(const char *what, uint32_t queued, uint32_t reserved)
{
    if (queued > 1)
        return faasi_fail(FAAS_EINVAL, "%s.queued: %u is not 0 or 1", what, queued);
    if (reserved != 0)
        return faasi_fail(FAAS_EVERSION, "%s.reserved: it is not 0", what);
    return FAAS_OK;
}

static faas_status gone(faas_fn fn)
{
    return faasi_fail(FAAS_ENOENT, "handle %u.%u: its function is gone", fn.index,
                      fn.generation);
}

/* Adds a route while its function is there. */
static faas_status subscribe(faas_runtime *rt, faas_fn fn, struct faasi_route *route,
                             uint64_t *id)
{
    struct faasi_snapshot *old = NULL;
    faas_status status = FAAS_OK;

    /* The registry's lock: a function that is there has not been forgotten yet. */
    faasi_lock(&rt->registry.lock);
    if (faasi_registry_get(&rt->registry, fn) == NULL) {
        status = gone(fn);
    } else {
        faasi_lock(&rt->routes.lock);
        old = faasi_routes_add(&rt->routes, route);
        if (old != NULL && id != NULL)
            *id = route->id;
        faasi_unlock(&rt->routes.lock);
        if (old == NULL)
            status = faasi_fail(FAAS_ENOMEM, "subscription: no memory");
    }
    faasi_unlock(&rt->registry.lock);
    if (old != NULL) {
        faasi_grace_wait();
        faasi_snapshot_release(&rt->routes, old);
    } else {
        faasi_route_release(route);
    }
    return status;
}

faas_status faas_subscribe(faas_runtime *rt, faas_fn fn, const faas_subscription *on,
                           uint64_t *id)
{
    faas_subscription known = {.size = sizeof known};
    struct faasi_route *route;
    faas_status status = faasi_options_import(&known, sizeof known, on, "subscription");

    if (id != NULL)
        *id = 0;
    if (status == FAAS_OK && known.type != NULL)
        status = text_check("subscription.type", known.type, TEXT_MAX);
    if (status == FAAS_OK && known.source != NULL)
        status = text_check("subscription.source", known.source, TEXT_MAX);
    if (status == FAAS_OK)
        status = queued_check("subscription", known.queued, known.reserved);
    if (status == FAAS_OK)
        status = faasi_visit(rt);
    if (status != FAAS_OK)
        return status;
    route = faasi_route_open_subscription(rt->allocator, fn,
                                          faas_str(known.type == NULL ? "*" : known.type),
                                          faas_str(known.source));
    if (route != NULL)
        route->queued = known.queued != 0;
    status = route == NULL ? faasi_fail(FAAS_ENOMEM, "subscription: no memory")
                           : subscribe(rt, fn, route, id);
    faasi_unvisit(rt);
    return status;
}

static bool route_has_id(const struct faasi_route *route, const void *id)
{
    return route->id == *(const uint64_t *)id;
}

static bool route_is_to(const struct faasi_route *route, const void *fn)
{
    const faas_fn *to = fn;

    return route->fn.index == to->index && route->fn.generation == to->generation;
}

/* Ends the subscriptions that `drop` names; FAAS_ENOENT if there are none. Without memory
 * they stay in the snapshot until its next edit, and are passed over. */
static faas_status subscriptions_drop(faas_runtime *rt, faasi_route_filter *drop,
                                      const void *what)
{
    struct faasi_snapshot *old;
    uint32_t dropped;

    faasi_lock(&rt->routes.lock);
    old = faasi_routes_drop(&rt->routes, drop, what, &dropped);
    faasi_unlock(&rt->routes.lock);
    if (old != NULL) {
        faasi_grace_wait();
        faasi_snapshot_release(&rt->routes, old);
    }
    return dropped == 0 ? FAAS_ENOENT : FAAS_OK;
}

faas_status faas_unsubscribe(faas_runtime *rt, uint64_t id)
{
    faas_status status = faasi_visit(rt);

    if (status != FAAS_OK)
        return status;
    status = subscriptions_drop(rt, route_has_id, &id);
    if (status == FAAS_ENOENT)
        status =
            faasi_fail(status, "subscription %llu: it is gone", (unsigned long long)id);
    faasi_unvisit(rt);
    return status;
}

/* ---- rules ---- */

static faas_status rule_put(faas_runtime *rt, struct faasi_route *route,
                            const char *pattern, struct faasi_route **old)
{
    faas_status status;

    *old = NULL;
    faasi_lock(&rt->registry.lock);
    if (faasi_registry_get(&rt->registry, route->fn) == NULL) {
        status = gone(route->fn);
    } else {
        faasi_lock(&rt->routes.lock);
        status = faasi_routes_put_rule(&rt->routes, route, faas_str(pattern), old);
        faasi_unlock(&rt->routes.lock);
    }
    faasi_unlock(&rt->registry.lock);
    return status;
}

faas_status faas_rule_put_with(faas_runtime *rt, const char *name, const char *pattern,
                               faas_fn fn, const faas_rule_options *options)
{
    faas_rule_options known = {.size = sizeof known};
    struct faasi_route *route, *old = NULL;
    faas_status status =
        faasi_options_import(&known, sizeof known, options, "rule options");

    if (status == FAAS_OK)
        status = text_check("rule.name", name, NAME_MAX_BYTES);
    if (status == FAAS_OK && (known.input_paths != NULL) && known.input_template == NULL)
        status = faasi_fail(FAAS_EINVAL, "rule.input_paths: there is no input_template");
    if (status == FAAS_OK)
        status = queued_check("rule", known.queued, known.reserved);
    if (status == FAAS_OK)
        status = faasi_visit(rt);
    if (status != FAAS_OK)
        return status;
    route = faasi_route_open_rule(rt->allocator, fn, faas_str(name));
    if (route == NULL)
        status = faasi_fail(FAAS_ENOMEM, "rule: no memory");
    else
        route->queued = known.queued != 0;
    if (status == FAAS_OK && known.input_template != NULL)
        status = faasi_transform_compile(
            &route->transform,
            faas_str(known.input_paths == NULL ? "{}" : known.input_paths),
            faas_str(known.input_template), rt->allocator);
    if (status == FAAS_OK)
        status = rule_put(rt, route, pattern, &old);
    if (old != NULL)
        faasi_grace_wait(); // somebody may have found it, and not counted it yet
    faasi_route_release(status == FAAS_OK ? old : route);
    faasi_unvisit(rt);
    return status;
}

faas_status faas_rule_put(faas_runtime *rt, const char *name, const char *pattern,
                          faas_fn fn)
{
    return faas_rule_put_with(rt, name, pattern, fn, NULL);
}

/* Ends a rule. By a visitor. */
static faas_status rule_delete(faas_runtime *rt, faas_bytes name)
{
    struct faasi_route *old;
    faas_status status;

    faasi_lock(&rt->routes.lock);
    status = faasi_routes_delete_rule(&rt->routes, name, &old);
    faasi_unlock(&rt->routes.lock);
    if (status == FAAS_OK)
        faasi_grace_wait();
    faasi_route_release(old);
    return status;
}

faas_status faas_rule_delete(faas_runtime *rt, const char *name)
{
    faas_status status = faasi_visit(rt);

    if (status != FAAS_OK)
        return status;
    status = rule_delete(rt, faas_str(name));
    faasi_unvisit(rt);
    return status;
}

/* Finds a rule to a function, counted; NULL if there is none. */
static struct faasi_route *rule_find(struct faasi_routes *routes, faas_fn fn)
{
    struct faasi_route *found = NULL;

    faasi_lock(&routes->lock);
    for (uint32_t i = 0; i < routes->rule_room && found == NULL; i++)
        if (routes->rule_routes[i] != NULL && route_is_to(routes->rule_routes[i], &fn))
            found = routes->rule_routes[i];
    if (found != NULL)
        faasi_ref(&found->refs);
    faasi_unlock(&routes->lock);
    return found;
}

void faasi_bus_forget(faas_runtime *rt, faas_fn fn)
{
    struct faasi_route *rule;
    faas_status status = FAAS_OK;

    (void)subscriptions_drop(rt, route_is_to, &fn);
    while (status == FAAS_OK && (rule = rule_find(&rt->routes, fn)) != NULL) {
        status = rule_delete(rt, rule->type);
        faasi_route_release(rule);
    }
}

void faasi_bus_quiet(faas_runtime *rt)
{
    struct faasi_snapshot *snapshot =
        atomic_load_explicit(&rt->routes.snapshot, memory_order_relaxed);

    /* What is still under way, over this snapshot or an older one, is refused by all its
     * targets, so this is short. Acquire: pairs with the releases. */
    while (atomic_load_explicit(&rt->routes.snapshots, memory_order_acquire) != 1 ||
           atomic_load_explicit(&snapshot->refs, memory_order_acquire) != 1)
        (void)sched_yield();
}

/* ---- publishing ---- */

/* The rules that an event matched, counted. */
struct matches {
    struct faasi_route **routes; /* by id */
    size_t count;
    size_t room;
    struct faasi_route *at_hand[MATCHES_AT_HAND];
};

static int route_order(const void *a, const void *b)
{
    const struct faasi_route *const *left = a, *const *right = b;

    return (*left)->id < (*right)->id ? -1 : (*left)->id > (*right)->id;
}

/* Room for the matches of a set as it is now; twice as much as they need. */
static faas_match *matches_open(const faas_allocator *allocator, size_t count)
{
    return faasi_alloc(allocator, count * 2 * sizeof(faas_match));
}

/* Matches an event against the rules and counts what it found. In one read section, so
 * that none of it is freed between. `out` has room for `capacity`. */
static faas_status matches_take(faas_ruleset *rules, const struct faasi_form *form,
                                faas_match *out, size_t capacity, size_t *count)
{
    faas_status status;

    faasi_read_enter();
    status = faasi_ruleset_match(rules, form->text, form->index, out, capacity, count);
    for (size_t i = 0; status == FAAS_OK && *count <= capacity && i < *count; i++)
        faasi_ref(&((struct faasi_route *)out[i].user)->refs);
    faasi_read_leave();
    return status;
}

/* Finds the rules that an event matches. */
static faas_status matches_find(faas_runtime *rt, faas_event *event,
                                struct matches *matches)
{
    faas_ruleset *rules = atomic_load_explicit(&rt->routes.rules, memory_order_acquire);
    faas_match at_hand[MATCHES_AT_HAND], *found = at_hand;
    size_t capacity = MATCHES_AT_HAND, count = 0;
    const struct faasi_form *form;
    faas_status status;

    matches->count = matches->room = 0;
    matches->routes = matches->at_hand;
    if (rules == NULL || faas_ruleset_count(rules) == 0)
        return FAAS_OK;
    status = faasi_event_form(event, &form);
    while (status == FAAS_OK) {
        status = matches_take(rules, form, found, capacity, &count);
        if (status != FAAS_OK || count <= capacity)
            break;
        if (found != at_hand)
            faasi_free(rt->allocator, found, capacity * sizeof *found);
        capacity = count * 2; // there may be more by then
        found = matches_open(rt->allocator, count);
        if (found == NULL)
            status = FAAS_ENOMEM;
    }
    if (status == FAAS_OK && count > MATCHES_AT_HAND) {
        matches->room = count;
        matches->routes =
            faasi_alloc(rt->allocator, count * sizeof(struct faasi_route *));
        if (matches->routes == NULL)
            status = FAAS_ENOMEM;
    }
    for (size_t i = 0; i < count && found != NULL && count <= capacity; i++) {
        if (status == FAAS_OK)
            matches->routes[i] = found[i].user;
        else
            faasi_route_release(found[i].user);
    }
    if (found != NULL && found != at_hand)
        faasi_free(rt->allocator, found, capacity * sizeof *found);
    if (status != FAAS_OK)
        return status == FAAS_ENOMEM
                   ? faasi_fail(status, "publish: no memory for matches")
                   : status;
    matches->count = count;
    qsort(matches->routes, count, sizeof(struct faasi_route *), route_order);
    return FAAS_OK;
}

static void matches_release(faas_runtime *rt, struct matches *matches)
{
    for (size_t i = 0; i < matches->count; i++)
        faasi_route_release(matches->routes[i]);
    if (matches->room != 0)
        faasi_free(rt->allocator, matches->routes,
                   matches->room * sizeof(struct faasi_route *));
}

/* Whether a subscription that is not for one exact type wants an event. */
static bool route_wants_type(const struct faasi_route *route, faas_bytes type)
{
    return route->type.size <= type.size &&
           memcmp(route->type.data, type.data, route->type.size) == 0;
}

static bool route_wants_source(const struct faasi_route *route, const faas_event *event)
{
    faas_bytes source;

    if (route->source.data == NULL)
        return true;
    source = faasi_event_source(event);
    return route->source.size == source.size &&
           memcmp(route->source.data, source.data, source.size) == 0;
}

/* Runs one target, or queues it, with the event's data or what the rule's transformer
 * makes of it; `*wakes` notes whose queue it came to. */
static void deliver(faas_runtime *rt, const struct faasi_route *route, faas_event *event,
                    faas_delivery *delivery, uint32_t *wakes)
{
    struct faasi_request request = {
        .fn = route->fn, .input = event->data, .event = event};
    const struct faasi_form *form;
    faas_status status = FAAS_OK;
    char *input = NULL;
    size_t size = 0;

    if (FAASI_UNLIKELY(route->transform != NULL)) {
        status = faasi_event_form(event, &form);
        if (status == FAAS_OK)
            status = faasi_transform_run(route->transform, form->text, rt->allocator,
                                         &input, &size);
        request.input = faas_bytes_of(input, size);
    }
    delivery->matched++;
    if (route->queued && status == FAAS_OK)
        status = faasi_async_submit_event(&rt->async, route->fn, event,
                                          input == NULL ? NULL : &request.input, wakes);
    else if (FAASI_LIKELY(status == FAAS_OK))
        status = faasi_invoke(rt, &request, NULL);
    if (FAASI_LIKELY(status == FAAS_OK) && route->queued)
        delivery->queued++;
    else if (FAASI_LIKELY(status == FAAS_OK))
        delivery->ran++;
    else if (faas_status_group(status) == FAAS_GROUP_RAN)
        delivery->failed++;
    else
        delivery->refused++;
    if (input != NULL)
        faasi_free(rt->allocator, input, size);
}

/* Runs all targets by their id: of three lists, each by id, the least next one. */
static void deliver_all(faas_runtime *rt, const struct faasi_snapshot *snapshot,
                        const struct matches *matches, faas_event *event,
                        faas_delivery *delivery, uint32_t *wakes)
{
    faas_bytes type = faasi_event_type(event);
    const struct faasi_route_group *group =
        faasi_snapshot_group(snapshot, event->type_hash, type);
    struct faasi_route *const *exact = snapshot->exact + group->first;
    struct faasi_route *const *exact_end = exact + group->count;
    struct faasi_route *const *loose = snapshot->loose;
    struct faasi_route *const *loose_end = loose + snapshot->loose_count;
    struct faasi_route *const *rule = matches->routes;
    struct faasi_route *const *rule_end = rule + matches->count;

    for (;;) {
        struct faasi_route *const **next = NULL;

        if (exact < exact_end)
            next = &exact;
        if (loose < loose_end && (next == NULL || (*loose)->id < (**next)->id))
            next = &loose;
        if (rule < rule_end && (next == NULL || (*rule)->id < (**next)->id))
            next = &rule;
        if (next == NULL)
            return;
        if ((next != &loose || route_wants_type(**next, type)) &&
            route_wants_source(**next, event) &&
            !atomic_load_explicit(&(**next)->ended, memory_order_relaxed))
            deliver(rt, **next, event, delivery, wakes);
        ++*next;
    }
}

/* Hands an event to whoever wants it. The caller holds the snapshot, so the runtime stays
 * while we look at its rules. */
static faas_status publish(faas_runtime *rt, const struct faasi_snapshot *snapshot,
                           faas_event *event, faas_delivery *counts)
{
    struct matches matches;
    faas_status status = matches_find(rt, event, &matches);
    uint32_t wakes = 0;

    if (status != FAAS_OK)
        return status;
    deliver_all(rt, snapshot, &matches, event, counts, &wakes);
    matches_release(rt, &matches);
    if (wakes != 0)
        faasi_async_wake_many(&rt->async, wakes);
    return FAAS_OK;
}

faas_status faas_publish(faas_runtime *rt, faas_event *event, faas_delivery *delivery)
{
    static const faas_delivery none;
    const struct faas_context *parent = faasi_context_current;
    struct faasi_snapshot *snapshot = NULL;
    struct faasi_dedupe_ticket ticket;
    faas_delivery counts = none;
    faas_status status;

    if (delivery != NULL)
        *delivery = none;
    if (parent != NULL && parent->depth + 1 >= rt->depth_max)
        return FAAS_EDEPTH;
    status = faasi_event_check(event);
    if (status != FAAS_OK)
        return status;
    faasi_read_enter();
    if (!atomic_load_explicit(&rt->gate.closing, memory_order_relaxed))
        snapshot = faasi_snapshot_acquire(&rt->routes);
    faasi_read_leave();
    if (snapshot == NULL)
        return FAAS_ECLOSED;
    if (FAASI_LIKELY(rt->dedupe.mode == FAAS_DEDUPE_OFF)) {
        status = publish(rt, snapshot, event, &counts);
    } else if (faasi_dedupe_enter(&rt->dedupe, event, faas_runtime_now(rt), &ticket)) {
        status = publish(rt, snapshot, event, &counts);
        if (status != FAAS_OK)
            faasi_dedupe_forget(&rt->dedupe, &ticket);
    } else {
        counts.repeated = 1;
    }
    faasi_snapshot_release(&rt->routes, snapshot);
    if (delivery != NULL)
        *delivery = counts;
    return status;
}

faas_status faasi_bus_publish_json(faas_runtime *rt, faas_id id, const char *source,
                                   const char *type, faas_bytes json,
                                   faas_delivery *delivery)
{
    static const faas_delivery none;
    char text[FAAS_ID_TEXT_SIZE];
    faas_event *event;
    faas_status status;

    if (delivery != NULL)
        *delivery = none;
    faas_id_text(id, text);
    status = faas_event_create(FAAS_EVENT(.id = text, .source = source, .type = type,
                                          .data_content_type = "application/json",
                                          .data = json, .allocator = rt->allocator),
                               &event);
    if (status != FAAS_OK)
        return status;
    status = faas_publish(rt, event, delivery);
    faas_event_release(event);
    return status;
}

faas_status faas_publish_json(faas_runtime *rt, const char *source, const char *type,
                              const char *json, faas_delivery *delivery)
{
    return faasi_bus_publish_json(rt, faasi_unseated_id(rt), source, type, faas_str(json),
                                  delivery);
}

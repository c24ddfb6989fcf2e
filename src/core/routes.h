/* SPDX-License-Identifier: MIT */
/* routes.h - where events go: subscriptions by type and source, and rules by pattern.
 *
 * Subscriptions stand in one immutable snapshot. An edit makes a new one, publishes it
 * and waits for a grace period; a publish counts itself into the snapshot it found, so
 * that it may run handlers for as long as it likes. A subscription to an exact type is
 * found by hash, the others are tried one by one: that costs some nanoseconds, where
 * matching a pattern takes an event's JSON apart first. Rules stand in a rule set, whose
 * answers are routes too; each is counted while a publish has it.
 *
 * Whatever a route came from, its id is its place in the order of delivery.
 *
 * Layer: 2 parts. Includes base.h, event.h, names.h, refs.h, sync.h, transform.h.
 * Locks: `lock` around edits; taken after the registry's. */
#ifndef FAASI_ROUTES_H
#define FAASI_ROUTES_H

#include "base.h"
#include "event.h"
#include "names.h"
#include "refs.h"
#include "sync.h"
#include "transform.h"

#include <faas/bus.h>
#include <faas/rules.h>

#include <stdatomic.h>

/* What a subscription says about an event's type. */
enum faasi_route_kind { FAASI_ROUTE_EXACT, FAASI_ROUTE_PREFIX, FAASI_ROUTE_RULE };

struct faasi_route {
    faasi_refs refs; /* of snapshots, of the list of rules, of publishes under way */
    enum faasi_route_kind kind;
    uint64_t id; /* grows with every subscription and new rule */
    faas_fn fn;
    uint64_t type_hash;
    faas_bytes type;   /* or what it begins with; of a rule, its name, terminated */
    faas_bytes source; /* data NULL: any */
    bool queued;
    atomic_bool ended; /* its function is gone: a snapshot that could not be replaced has
                          it */
    struct faasi_transform *transform; /* of a rule; or NULL: the event's data as it is */
    const faas_allocator *allocator;
    size_t bytes;
    char text[];
};

/* The subscriptions to one exact type: `count` from `first` in the snapshot's array. */
struct faasi_route_group {
    uint64_t type_hash;
    uint32_t first;
    uint32_t count; /* 0: nothing here */
};

struct faasi_snapshot {
    faasi_refs refs; /* the bus, and publishes under way */
    uint32_t exact_count;
    uint32_t loose_count;
    uint32_t group_mask;
    struct faasi_route_group *groups;
    struct faasi_route **loose; /* by id */
    size_t bytes;
    struct faasi_route *exact[]; /* by type, then by id */
};

struct faasi_routes {
    faasi_mutex lock;
    _Atomic(struct faasi_snapshot *) snapshot;
    atomic_uint snapshots; /* that exist: more than one while a publish has an older
                              one */
    _Atomic(faas_ruleset *) rules;    /* opened with the first rule */
    struct faasi_names rule_names;    /* to places in `rule_routes` */
    struct faasi_route **rule_routes; /* NULL: free */
    uint32_t rule_room;
    uint64_t next_id;
    const faas_allocator *allocator;
};

faas_status faasi_routes_init(struct faasi_routes *routes,
                              const faas_allocator *allocator);

/* The last publish has returned. */
void faasi_routes_fini(struct faasi_routes *routes);

/* A route of one reference, the caller's, without an id; NULL without memory. */
struct faasi_route *faasi_route_open_subscription(const faas_allocator *allocator,
                                                  faas_fn fn, faas_bytes type,
                                                  faas_bytes source);
struct faasi_route *faasi_route_open_rule(const faas_allocator *allocator, faas_fn fn,
                                          faas_bytes name);
void faasi_route_release(struct faasi_route *route);

/* Adds a subscription and gives it its id; takes the reference. What it returns, if not
 * NULL, is released by faasi_snapshot_release() after a grace period. Holds: lock.
 * @return NULL without memory; then nothing changed */
struct faasi_snapshot *faasi_routes_add(struct faasi_routes *routes,
                                        struct faasi_route *route);

/* Whether an edit drops a route. */
typedef bool faasi_route_filter(const struct faasi_route *route, const void *what);

/* Ends the subscriptions that `drop` names: at once, whether there is memory to drop them
 * or not; `*dropped` counts. As faasi_routes_add(), but NULL also when there are none.
 * Holds: lock. */
struct faasi_snapshot *faasi_routes_drop(struct faasi_routes *routes,
                                         faasi_route_filter *drop, const void *what,
                                         uint32_t *dropped);

/* Puts a rule, new or instead of the one of its name, whose id it then takes over; takes
 * the reference on FAAS_OK. `*old`, if not NULL, is to be released after a grace period.
 * Holds: lock.
 * @return as faas_ruleset_put() */
faas_status faasi_routes_put_rule(struct faasi_routes *routes, struct faasi_route *route,
                                  faas_bytes pattern, struct faasi_route **old);

/* Takes a rule out by its name; as above. @return FAAS_OK, FAAS_ENOENT. Holds: lock. */
faas_status faasi_routes_delete_rule(struct faasi_routes *routes, faas_bytes name,
                                     struct faasi_route **old);

/* The subscriptions as they are, counted. In a read section. */
struct faasi_snapshot *faasi_snapshot_acquire(struct faasi_routes *routes);
void faasi_snapshot_release(struct faasi_routes *routes, struct faasi_snapshot *snapshot);

/* The subscriptions to exactly this type; may be of none. */
const struct faasi_route_group *
faasi_snapshot_group(const struct faasi_snapshot *snapshot, uint64_t type_hash,
                     faas_bytes type);

#endif /* FAASI_ROUTES_H */

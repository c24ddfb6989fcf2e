/* SPDX-License-Identifier: MIT */
/* lanes.h - what waits to run, and who is next: priorities, tenants, functions, groups.
 *
 * Three levels of priority. In a level the tenants that have work share by their weights:
 * each has a time of its own that an item moves on by 1 / weight, and the one whose time
 * is least is next (self-clocked fair queueing with items of cost one: what deficit round
 * robin gives per round, without its bursts). Who has had no work begins at the level's
 * time, which is that of the tenant that was served last: so nobody saves up, and nobody
 * gets ahead by leaving and coming again. A tenant's functions take turns, and each such
 * lane - a tenant's items for one function on one level - is served first in, first out.
 *
 *     level ─► tenant ─► lane (function) ─► item
 *
 * A level that has waited for longer than the ageing time is next, whatever is above it,
 * so none starves; but only every second pop is such a one, so that the first level keeps
 * half of them when items take longer than that. A source - what is known here of a
 * function - that is blocked keeps its items in their places. Its lanes are passed over,
 * and put aside when they are first met, so nothing looks at them again until it is
 * unblocked. Of a group only the head stands in a lane; the others wait behind it, in their
 * order, until the head is done. Tenants, lanes and groups exist while they have items; but
 * those of the tenant without a name, which is most of what there is, stay.
 *
 * Every operation takes constant time, but for the heap of a level's tenants, and for a
 * lane's being put aside and back. The same operations in the same order give the same
 * answers: there is no clock, no chance and no address in the order.
 * Source: S. J. Golestani, A Self-Clocked Fair Queueing Scheme for Broadband
 * Applications, INFOCOM 1994.
 *
 * Layer: 1 structures. Includes keyed.h and ring.h.
 * Locks: none; the caller's. */
#ifndef FAASI_LANES_H
#define FAASI_LANES_H

#include "keyed.h"
#include "ring.h"

enum { FAASI_LEVELS = 3 };

struct faasi_lane;
struct faasi_group;
struct faasi_tenant;

/* What waits; embedded in what it is. */
struct faasi_item {
    struct faasi_ring at; /* in its lane, or behind its group's head */
    struct faasi_lane *lane;
    struct faasi_group *group; /* NULL: of none */
};

/* What is known of a function; embedded in it. */
struct faasi_source {
    struct faasi_ring aside;               /* its lanes that were put aside */
    struct faasi_ring serve[FAASI_LEVELS]; /* its lanes that have items to serve */
    uint32_t to_serve;                     /* how many they are, aside or not */
    uint32_t ready;                        /* items in them */
    uint32_t count;                        /* items, those behind a head too */
    bool blocked;
    struct faasi_lane *plain[FAASI_LEVELS]; /* of the tenant without a name; NULL: not met
                                               yet */
};

struct faasi_turn;

struct faasi_level {
    struct faasi_turn **heap; /* of tenants that have a lane to serve, by their time */
    uint32_t count, room;
    uint64_t time;  /* of the tenant that was served last: where who comes begins */
    uint64_t order; /* of coming into the heap: settles equal times */
    uint64_t since; /* served last, or got its first lane */
};

struct faasi_lanes {
    struct faasi_level levels[FAASI_LEVELS];
    struct faasi_keys tenants, lanes, groups;
    struct faasi_tenant *plain; /* without a name */
    uint32_t open;              /* sources that have items to serve and are not blocked */
    bool aged;       /* the last pop was of a level that had waited for too long */
    uint64_t ageing; /* in the unit of `now` */
    const faas_allocator *allocator;
};

/* Where an item belongs. */
struct faasi_lane_key {
    struct faasi_source *source;
    faas_bytes tenant; /* compared whole; empty: the one without a name */
    uint32_t weight;   /* of the tenant, from 1; the last one said counts */
    uint32_t level;    /* 0 is first */
    faas_bytes group;  /* data NULL: none */
};

/* @return FAAS_OK, FAAS_ENOMEM */
faas_status faasi_lanes_init(struct faasi_lanes *lanes, uint64_t ageing,
                             const faas_allocator *allocator);

/* Nothing waits any more. Also of a zeroed one. */
void faasi_lanes_fini(struct faasi_lanes *lanes);

void faasi_source_init(struct faasi_source *source);

/* Nothing of it waits any more. Touches nothing but the source and the allocator. */
void faasi_source_fini(struct faasi_lanes *lanes, struct faasi_source *source);

/* Adds an item at the end of its lane, or behind its group.
 * @return FAAS_OK, FAAS_ENOMEM */
faas_status faasi_lanes_push(struct faasi_lanes *lanes, struct faasi_item *item,
                             const struct faasi_lane_key *place, uint64_t now);

/* Takes the next item out of its lane; NULL if all that wait are blocked or there are
 * none. It still belongs there: faasi_lanes_again() or faasi_lanes_done() must follow. */
struct faasi_item *faasi_lanes_pop(struct faasi_lanes *lanes, uint64_t now);

/* Takes the next item of one source, which is not blocked, out of turn: who asked for it
 * pays for it as if it had been its turn. Of the first level that has any, that of the
 * tenant whose time is least; among more tenants than a few of those that have had none
 * for longest. NULL if none waits. */
struct faasi_item *faasi_lanes_pop_of(struct faasi_lanes *lanes,
                                      struct faasi_source *source, uint64_t now);

/* The item that was behind a popped one in its lane, or something that is none: an address
 * to fetch ahead of time, not to look at. */
const struct faasi_item *faasi_lanes_behind(const struct faasi_item *item);

/* Takes an item out of its lane as pop does, out of turn. */
void faasi_lanes_pick(struct faasi_lanes *lanes, struct faasi_item *item, uint64_t now);

/* Puts an item that was popped back to the head of its lane, or to the end: the rest of
 * its group still waits behind it. */
void faasi_lanes_again(struct faasi_lanes *lanes, struct faasi_item *item, bool first,
                       uint64_t now);

/* Ends an item that was popped, or one that waits: it is given up, or done. The next one
 * of its group comes to the end of the lane. */
void faasi_lanes_done(struct faasi_lanes *lanes, struct faasi_item *item, bool popped,
                      uint64_t now);

/* Whether pop would give something. */
static inline bool faasi_lanes_ready(const struct faasi_lanes *lanes)
{
    return lanes->open != 0;
}

/* Keeps a source's items from being popped, or lets them. Unblocking takes time by the
 * lanes that were put aside. */
void faasi_lanes_block(struct faasi_lanes *lanes, struct faasi_source *source,
                       bool blocked, uint64_t now);

#endif /* FAASI_LANES_H */

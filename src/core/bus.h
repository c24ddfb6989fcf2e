/* SPDX-License-Identifier: MIT */
/* bus.h - publish and subscribe.
 *
 * All subscriptions stand in one immutable snapshot. An edit makes a new one, publishes
 * it and waits for a grace period; a publish counts itself into the snapshot it found, so
 * that it may run handlers for as long as it likes. A subscription to an exact type is
 * found by hash, the others are tried one by one; both lists are in the order of
 * subscription and are merged as they are run.
 *
 * Layer: 3 path. Includes state.h.
 * Locks: bus.lock around edits. */
#ifndef FAASI_BUS_H
#define FAASI_BUS_H

#include "state.h"

faas_status faasi_bus_init(struct faasi_bus *bus, const faas_allocator *allocator);

/* The last publish has returned. */
void faasi_bus_fini(struct faasi_bus *bus, const faas_allocator *allocator);

/* Waits until no publish is under way; none begins any more, and the functions are gone.
 */
void faasi_bus_quiet(struct faasi_bus *bus);

/* Ends the subscriptions of a function that is gone. Without memory they stay, and
 * refuse. */
void faasi_bus_forget(faas_runtime *rt, faas_fn fn);

#endif /* FAASI_BUS_H */

/* SPDX-License-Identifier: MIT */
/* bus.h - publish and subscribe: from an event to invocations.
 *
 * Layer: 3 path. Includes state.h.
 * Locks: that of the routes, around edits, inside the registry's. */
#ifndef FAASI_BUS_H
#define FAASI_BUS_H

#include "state.h"

/* Publishes a JSON text as an event of its own. As faas_publish_json(). */
faas_status faasi_bus_publish_json(faas_runtime *rt, faas_id id, const char *source,
                                   const char *type, faas_bytes json,
                                   faas_delivery *delivery);

/* Waits until no publish is under way; none begins any more, and the functions are
 * gone. */
void faasi_bus_quiet(faas_runtime *rt);

/* Ends the subscriptions and rules of a function that is gone. */
void faasi_bus_forget(faas_runtime *rt, faas_fn fn);

#endif /* FAASI_BUS_H */

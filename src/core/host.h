/* SPDX-License-Identifier: MIT */
/* host.h - what is due, done by the host's own thread instead of ours.
 *
 * Layer: 4 runtime. */
#ifndef FAASI_HOST_H
#define FAASI_HOST_H

#include "state.h"

/* Does what is due but running handlers, and says in ticks when to come again. By a
 * visitor, or the housekeeper. */
uint64_t faasi_sweep(faas_runtime *rt);

#endif /* FAASI_HOST_H */

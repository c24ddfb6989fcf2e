/* SPDX-License-Identifier: MIT */
/* peer_glib.h - GLib beside us: signals with the arguments (int, double, pointer). */
#ifndef PEER_GLIB_H
#define PEER_GLIB_H

#include <stdint.h>

/* An object with a signal and `handlers` handlers that do nothing. Lives as long as the
 * program. */
void *peer_glib_open(unsigned handlers);

/* Emits the signal. A bench_body. */
void peer_glib_emit(void *object, uint64_t count);

#endif /* PEER_GLIB_H */

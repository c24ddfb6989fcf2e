/* SPDX-License-Identifier: MIT */
/* peer_signals2.h - Boost.Signals2 beside us: signals with the arguments (int, double,
 * pointer). */
#ifndef PEER_SIGNALS2_H
#define PEER_SIGNALS2_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A signal of the default kind, which locks, with `slots` slots that do nothing. Lives as
 * long as the program. */
void *peer_signals2_open(unsigned slots);

/* Calls the signal. A bench_body. */
void peer_signals2_emit(void *signal, uint64_t count);

#ifdef __cplusplus
}
#endif

#endif /* PEER_SIGNALS2_H */

/* SPDX-License-Identifier: MIT */
/* atomics.h - the atomics of the code that is also compiled under a model checker.
 *
 * A model defines FAASI_MODEL and brings FAASI_ATOMIC and the atomic_*_explicit functions
 * of its own; everybody else gets those of C11. What is FAASI_PLAIN is handed over by
 * atomics: a model sees to it that nobody reads or writes it at the same time.
 *
 * Layer: 0 base. Includes nothing of ours. */
#ifndef FAASI_ATOMICS_H
#define FAASI_ATOMICS_H

#ifndef FAASI_MODEL
#include <stdatomic.h>
#define FAASI_ATOMIC(type) _Atomic(type)
#define FAASI_PLAIN(type) type
#endif

#endif /* FAASI_ATOMICS_H */

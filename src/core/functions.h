/* SPDX-License-Identifier: MIT */
/* functions.h - registering, replacing, changing and removing functions; versions and
 * aliases.
 *
 * Layer: 3 path. Includes state.h, alias.h.
 * Locks: the registry's around every change, inside it the gate's. Hooks and grace
 * periods are outside both. */
#ifndef FAASI_FUNCTIONS_H
#define FAASI_FUNCTIONS_H

#include "alias.h"
#include "state.h"

/* Begins a call that registers: imports the descriptor, becomes a visitor and starts a
 * code, which has taken over `user`. On failure `user` was freed, unless the descriptor's
 * size was wrong. The caller ends with faasi_unvisit(). */
faas_status faasi_code_import(faas_runtime *rt, const faas_function *function,
                              faas_function *known, struct faasi_code **code);

/* Runs the `user_free` of a descriptor that is refused unread; not if its size is
 * wrong. */
void faasi_function_refuse(const faas_function *function);

/* Registers what `code` runs, and takes that over: it is released on failure. `function`
 * was imported; its handler and hooks are not looked at. By a visitor. */
faas_status faasi_function_register(faas_runtime *rt, const faas_function *function,
                                    struct faasi_code *code, faas_fn *fn);

/* The policy of a function as a descriptor. Holds: the gate's lock. */
void faasi_function_policy(const struct faasi_function *f, faas_function *policy);

/* The runtime closes, and no visitor is left: ends every function, and waits until its
 * calls have. */
void faasi_functions_end(faas_runtime *rt);

/* Frees them. Nobody looks any more. */
void faasi_functions_free(faas_runtime *rt);

#endif /* FAASI_FUNCTIONS_H */

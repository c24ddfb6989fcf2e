/* SPDX-License-Identifier: MIT */
/* report.h - what is written of every call that ran: a line as Lambda writes it, and a
 * line of the log that `faas replay` reads.
 *
 * Layer: 3 path. Includes state.h.
 * Locks: none; it is called without any. */
#ifndef FAASI_REPORT_H
#define FAASI_REPORT_H

#include "state.h"

/* What Lambda bills: time rounded up to 1 ms, at least that. */
static inline uint64_t faasi_billed_ms(uint64_t ns)
{
    return ns <= 1000000 ? 1 : (ns + 999999) / 1000000;
}

/* Writes the first line of the log, if there is one. */
void faasi_report_begin(const faas_runtime *rt);

/* Writes what the host asked for, rt->reports being set. `bytes` are what the instance
 * holds; `begun`, in ticks, is when the handler began. */
void faasi_report_call(const faas_runtime *rt, const struct faasi_function *f,
                       uint64_t bytes, const faas_meter *meter, uint64_t begun,
                       faas_status status);

#endif /* FAASI_REPORT_H */

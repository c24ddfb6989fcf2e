/* SPDX-License-Identifier: MIT */
/* trace.h - reads recorded traffic from files, compressed by gzip or not.
 *
 * Two forms. A pair of tables: `X_functions.csv[.gz]` with the columns mem_mb, exec_s and
 * init_a_s or init_b_s, a line per function, and `X_arrivals.bin[.gz]`, little-endian:
 * u32 functions, u32 arrivals, then per arrival u32 microseconds since the one before,
 * then per arrival u16, the line of its function. Or a log of calls: a CSV with the
 * columns time_ms, function, duration_ms, memory_mb, init_ms, in any order and beside any
 * others, a line per call; memory_mb and init_ms may be empty where they are not known (a
 * warm call has no init), and the mean of what is known counts. That is the log that a
 * runtime writes. 1 MB is 2^20 bytes.
 *
 * A field of a CSV may stand in quotes, doubled where they are part of it. */
#ifndef CLI_TRACE_H
#define CLI_TRACE_H

#include <faas/replay.h>

struct trace {
    faas_replay_trace trace; /* for faas_replay_open() */
    faas_trace_function *functions;
    faas_trace_call *calls;
    char error[256]; /* what is wrong, and where */
};

/* Which column of the functions table says what a cold start takes. */
enum trace_init { TRACE_INIT_A, TRACE_INIT_B };

/* Reads a pair of tables by what their names begin with, or, if there is no such pair, a
 * log. Returns false and sets `error` if it is not readable or malformed. */
bool trace_read(struct trace *trace, const char *path, enum trace_init init);

/* Frees what was read. Accepts a zeroed one. */
void trace_free(struct trace *trace);

#endif /* CLI_TRACE_H */

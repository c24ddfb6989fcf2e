/* SPDX-License-Identifier: MIT */
/* machine.h - how much of the machine this process may take.
 *
 * Layer: 0 base.
 * Locks: none. */
#ifndef FAASI_MACHINE_H
#define FAASI_MACHINE_H

#include "base.h"

/* The machine's memory, or what the control groups of this process allow if that is less;
 * 1 GiB if neither is known. `root` stands before the system's paths: "" but in tests.
 *
 * Source: Linux, Documentation/admin-guide/cgroup-v2.rst, memory.max; and
 * cgroup-v1/memory.rst, memory.limit_in_bytes. */
uint64_t faasi_machine_memory(const char *root);

/* The processors that this process may use: those of its affinity, or what its control
 * groups allow of their time, rounded up, if that is less; at least 1. `*quota` tells
 * whether any of these has a quota, under which spinning takes from what is to be done.
 *
 * Source: the same, cpu.max; and scheduler/sched-bwc.rst, cpu.cfs_quota_us. */
uint32_t faasi_machine_processors(const char *root, bool *quota);

#endif /* FAASI_MACHINE_H */

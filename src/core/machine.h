/* SPDX-License-Identifier: MIT */
/* machine.h - how much memory this process may take.
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

#endif /* FAASI_MACHINE_H */

/* SPDX-License-Identifier: MIT */
/* hash.h - the 64-bit hash of names: XXH3.
 *
 * A hash only says where to look: whoever finds something compares the whole key. A
 * build with -DFAASI_HASH_CONSTANT hashes everything alike, so that tests prove it.
 * Hashes are not kept beyond the process and not sent to another one.
 *
 * Layer: 1 structures. Includes base.h only. Pure. */
#ifndef FAASI_HASH_H
#define FAASI_HASH_H

#include "base.h"

/* `data` may be NULL when `size` is 0. */
uint64_t faasi_hash(const void *data, size_t size);

#endif /* FAASI_HASH_H */

/* SPDX-License-Identifier: MIT */
/* responses.h - the response cache of a function: what it answered, by its whole input.
 *
 * The hash of an input only says where to look; then the inputs are compared whole. The
 * one that was unused for longest goes when there are too many bytes, and one that is too
 * old is not found. A response never changes and is counted, so who found one reads it
 * without the lock.
 *
 * A function, its versions and what replaces it have a cache each: so the version is part
 * of the key.
 *
 * Layer: 1 structures. Includes heap.h, refs.h; its code also clock.h and mem.h.
 * Locks: the user's, around all but making and releasing. */
#ifndef FAASI_RESPONSES_H
#define FAASI_RESPONSES_H

#include "heap.h"
#include "refs.h"

#include <stdatomic.h>

struct faasi_response {
    faasi_refs refs;
    int code; /* what the handler returned */
    uint64_t hash;
    uint64_t stored; /* ticks */
    size_t key_size, output_size, message_size;
    struct faasi_response *chain;         /* of the same bucket */
    struct faasi_response *newer, *older; /* by their last use */
    const faas_allocator *allocator;
    unsigned char bytes[]; /* key, output, message and its terminator */
};

struct faasi_responses {
    struct faasi_response **buckets;
    size_t bucket_count; /* a power of two, or 0 */
    struct faasi_response *newest, *oldest;
    uint64_t count;
    uint64_t bytes;     /* of all responses, with their own memory */
    uint64_t bytes_max; /* 0: there is no cache */
    uint64_t age_ticks; /* UINT64_MAX: none is too old */
    const faas_allocator *allocator;
};

void faasi_responses_init(struct faasi_responses *responses,
                          const faas_allocator *allocator);

/* Drops all. What somebody still reads is freed when it is released. */
void faasi_responses_clear(struct faasi_responses *responses);
void faasi_responses_fini(struct faasi_responses *responses);

/* Copies what was answered; one reference is the caller's. NULL without memory. */
struct faasi_response *faasi_response_make(const faas_allocator *allocator, uint64_t hash,
                                           faas_bytes key, faas_bytes output,
                                           const char *message, int code);

/* Accepts NULL. */
void faasi_response_release(struct faasi_response *response);

/* Writes a response into a heap of nobody's, and lends that as a result without a meter.
 * NULL without memory. */
struct faas_result *faasi_response_lend(const struct faasi_response *response,
                                        struct faasi_heap *heap);

/* Another reference. */
static inline struct faasi_response *faasi_response_share(struct faasi_response *response)
{
    faasi_ref(&response->refs);
    return response;
}

static inline faas_bytes faasi_response_output(const struct faasi_response *response)
{
    return faas_bytes_of(response->bytes + response->key_size, response->output_size);
}

static inline const char *faasi_response_message(const struct faasi_response *response)
{
    return (const char *)response->bytes + response->key_size + response->output_size;
}

/* The response to an input, if there is one that is not too old at `now` (ticks): a
 * reference is the caller's. NULL otherwise. */
struct faasi_response *faasi_responses_find(struct faasi_responses *responses,
                                            uint64_t hash, faas_bytes key, uint64_t now);

/* Adds a response, with a reference of its own, in the place of an older one to the same
 * input; drops others until the bytes suffice. Without memory, or if it alone is too
 * large, it is not added. */
void faasi_responses_put(struct faasi_responses *responses,
                         struct faasi_response *response, uint64_t now);

#endif /* FAASI_RESPONSES_H */

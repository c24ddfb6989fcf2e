/* SPDX-License-Identifier: MIT */
/* responses.c - the response cache of a function. */
#include "responses.h"

#include "clock.h"
#include "mem.h"

enum { BUCKETS_FIRST = 64 };

static size_t response_bytes(const struct faasi_response *response)
{
    return sizeof *response + response->key_size + response->output_size +
           response->message_size + 1;
}

struct faasi_response *faasi_response_make(const faas_allocator *allocator, uint64_t hash,
                                           faas_bytes key, faas_bytes output,
                                           const char *message, int code)
{
    size_t message_size = strlen(message), size = sizeof(struct faasi_response) + 1;
    struct faasi_response *response;
    unsigned char *at;

    if (__builtin_add_overflow(size, key.size, &size) ||
        __builtin_add_overflow(size, output.size, &size) ||
        __builtin_add_overflow(size, message_size, &size))
        return NULL;
    response = faasi_alloc(allocator, size);
    if (response == NULL)
        return NULL;
    *response = (struct faasi_response){.code = code,
                                        .hash = hash,
                                        .key_size = key.size,
                                        .output_size = output.size,
                                        .message_size = message_size,
                                        .allocator = allocator};
    atomic_init(&response->refs, 1);
    at = response->bytes;
    if (key.size != 0)
        memcpy(at, key.data, key.size);
    if (output.size != 0)
        memcpy(at + key.size, output.data, output.size);
    memcpy(at + key.size + output.size, message, message_size + 1);
    return response;
}

void faasi_response_release(struct faasi_response *response)
{
    if (response != NULL && faasi_unref(&response->refs))
        faasi_free(response->allocator, response, response_bytes(response));
}

void faasi_responses_init(struct faasi_responses *responses,
                          const faas_allocator *allocator)
{
    *responses = (struct faasi_responses){.age_ticks = UINT64_MAX};
    responses->allocator = allocator;
}

struct faas_result *faasi_response_lend(const struct faasi_response *response,
                                        struct faasi_heap *heap)
{
    faas_bytes output = faasi_response_output(response);
    struct faas_result *out;
    char *message;
    void *copy;

    faasi_heap_start(heap, UINT64_MAX);
    copy = faasi_heap_alloc(heap, output.size);
    message = response->message_size == 0
                  ? NULL
                  : faasi_heap_alloc(heap, response->message_size + 1);
    if (copy == NULL || (message == NULL && response->message_size != 0)) {
        faasi_heap_wipe(heap);
        return NULL;
    }
    if (output.size != 0)
        memcpy(copy, output.data, output.size);
    if (message != NULL)
        memcpy(message, faasi_response_message(response), response->message_size + 1);
    out = faasi_heap_lend(heap);
    out->output = faas_bytes_of(copy, output.size);
    out->message = message == NULL ? "" : message;
    out->code = response->code;
    out->meter = (faas_meter){.run_ns = 0};
    return out;
}

/* ---- the list by last use ---- */

static void list_add(struct faasi_responses *responses, struct faasi_response *response)
{
    response->newer = NULL;
    response->older = responses->newest;
    if (responses->newest != NULL)
        responses->newest->newer = response;
    else
        responses->oldest = response;
    responses->newest = response;
}

static void list_remove(struct faasi_responses *responses,
                        struct faasi_response *response)
{
    if (response->newer != NULL)
        response->newer->older = response->older;
    else
        responses->newest = response->older;
    if (response->older != NULL)
        response->older->newer = response->newer;
    else
        responses->oldest = response->newer;
}

/* ---- the table ---- */

static struct faasi_response **bucket_of(struct faasi_responses *responses, uint64_t hash)
{
    return &responses->buckets[hash & (responses->bucket_count - 1)];
}

static void response_drop(struct faasi_responses *responses,
                          struct faasi_response *response)
{
    struct faasi_response **at = bucket_of(responses, response->hash);

    while (*at != response)
        at = &(*at)->chain;
    *at = response->chain;
    list_remove(responses, response);
    responses->count--;
    responses->bytes -= response_bytes(response);
    faasi_response_release(response);
}

void faasi_responses_clear(struct faasi_responses *responses)
{
    while (responses->oldest != NULL)
        response_drop(responses, responses->oldest);
}

void faasi_responses_fini(struct faasi_responses *responses)
{
    faasi_responses_clear(responses);
    faasi_free(responses->allocator, responses->buckets,
               responses->bucket_count * sizeof *responses->buckets);
    responses->buckets = NULL;
    responses->bucket_count = 0;
}

/* Twice as many buckets, or the first ones. Without memory the old ones must do. */
static void buckets_grow(struct faasi_responses *responses)
{
    size_t old_count = responses->bucket_count;
    size_t count = old_count == 0 ? BUCKETS_FIRST : 2 * old_count;
    struct faasi_response **old = responses->buckets;
    struct faasi_response **buckets =
        faasi_alloc_zeroed(responses->allocator, count * sizeof(*buckets));

    if (buckets == NULL)
        return;
    responses->buckets = buckets;
    responses->bucket_count = count;
    for (struct faasi_response *r = responses->newest; r != NULL; r = r->older) {
        struct faasi_response **bucket = bucket_of(responses, r->hash);

        r->chain = *bucket;
        *bucket = r;
    }
    faasi_free(responses->allocator, old, old_count * sizeof(*buckets));
}

static bool too_old(const struct faasi_responses *responses,
                    const struct faasi_response *response, uint64_t now)
{
    return now >= faasi_ticks_after(response->stored, responses->age_ticks);
}

/* The response to an input, whatever its age, or NULL. */
static struct faasi_response *response_at(struct faasi_responses *responses,
                                          uint64_t hash, faas_bytes key)
{
    struct faasi_response *r =
        responses->bucket_count == 0 ? NULL : *bucket_of(responses, hash);

    while (r != NULL && (r->hash != hash || r->key_size != key.size ||
                         (key.size != 0 && memcmp(r->bytes, key.data, key.size) != 0)))
        r = r->chain;
    return r;
}

struct faasi_response *faasi_responses_find(struct faasi_responses *responses,
                                            uint64_t hash, faas_bytes key, uint64_t now)
{
    struct faasi_response *response = response_at(responses, hash, key);

    if (response == NULL)
        return NULL;
    if (too_old(responses, response, now)) {
        response_drop(responses, response);
        return NULL;
    }
    list_remove(responses, response);
    list_add(responses, response);
    return faasi_response_share(response);
}

void faasi_responses_put(struct faasi_responses *responses,
                         struct faasi_response *response, uint64_t now)
{
    faas_bytes key = faas_bytes_of(response->bytes, response->key_size);
    size_t size = response_bytes(response);
    struct faasi_response *old = response_at(responses, response->hash, key);

    if (old != NULL)
        response_drop(responses, old);
    if (size > responses->bytes_max)
        return;
    while (responses->bytes > responses->bytes_max - size)
        response_drop(responses, responses->oldest);
    if (responses->count >= responses->bucket_count)
        buckets_grow(responses);
    if (responses->bucket_count == 0)
        return;
    response->stored = now;
    response->chain = *bucket_of(responses, response->hash);
    *bucket_of(responses, response->hash) = faasi_response_share(response);
    list_add(responses, response);
    responses->count++;
    responses->bytes += size;
}

/* SPDX-License-Identifier: MIT */
/* dedupe.c - which events were published lately. */
#include "dedupe.h"

#include "clock.h"
#include "event.h"
#include "hash.h"
#include "mem.h"

#include <stdlib.h>

enum { SLOTS_MIN = 256, EXPIRE_AT_ONCE = 16 };

#define WINDOW_DEFAULT UINT64_C(300000000000)
#define BYTES_DEFAULT (UINT64_C(64) << 20)

struct faasi_dedupe_entry {
    struct faasi_dedupe_entry *next;          /* in the chain */
    struct faasi_dedupe_entry *older, *newer; /* by when they came */
    uint64_t hash;
    uint64_t number;
    uint64_t since_ns;
    size_t size; /* of the key */
    char key[];
};

/* What an entry takes of the budget: its block, and its part of the chains. */
static uint64_t entry_bytes(size_t key_size)
{
    return sizeof(struct faasi_dedupe_entry) + key_size + 2 * sizeof(void *);
}

static void entry_free(const struct faasi_dedupe *dedupe,
                       struct faasi_dedupe_entry *entry)
{
    faasi_free(dedupe->allocator, entry, sizeof *entry + entry->size);
}

/* ---- what an event is told by ---- */

/* Each piece behind its length, so that no two lists of pieces give the same bytes. With
 * `at` NULL it only counts. */
struct key {
    char *at;
    size_t size;
};

static void key_bytes(struct key *key, const void *data, size_t size)
{
    if (key->at != NULL && size != 0) {
        memcpy(key->at, data, size);
        key->at += size;
    }
    key->size += size;
}

static void key_piece(struct key *key, faas_bytes piece)
{
    uint64_t size = piece.data == NULL ? UINT64_MAX : piece.size; // none is not empty

    key_bytes(key, &size, sizeof size);
    if (piece.data != NULL)
        key_bytes(key, piece.data, piece.size);
}

static int extension_order(const void *a, const void *b)
{
    const faas_extension *const *left = a, *const *right = b;

    return strcmp((*left)->name, (*right)->name);
}

/* By name: in which order they were given says nothing. */
static void key_extensions(struct key *key, const faas_event *event)
{
    const faas_extension *sorted[FAAS_EVENT_EXTENSIONS_MAX];

    for (uint32_t i = 0; i < event->extension_count; i++)
        sorted[i] = &event->extensions[i];
    qsort(sorted, event->extension_count, sizeof(faas_extension *), extension_order);
    for (uint32_t i = 0; i < event->extension_count; i++) {
        uint32_t type = sorted[i]->type;

        key_piece(key, faas_str(sorted[i]->name));
        key_bytes(key, &type, sizeof type);
        if (type == FAAS_EXTENSION_INTEGER || type == FAAS_EXTENSION_BOOLEAN)
            key_bytes(key, &sorted[i]->integer, sizeof sorted[i]->integer);
        else
            key_piece(key, sorted[i]->value);
    }
}

static void key_write(struct key *key, faas_dedupe mode, const faas_event *event)
{
    if (mode == FAAS_DEDUPE_ID) {
        key_piece(key, faasi_event_source(event));
        key_piece(key, faasi_event_id(event));
        return;
    }
    for (int i = 0; i < FAASI_ATTRIBUTE_COUNT; i++)
        if (i != FAASI_ID && i != FAASI_TIME)
            key_piece(key, faasi_event_attribute(event, (enum faasi_attribute)i));
    key_extensions(key, event);
    key_piece(key, event->data);
}

/* An entry that is in no list yet; NULL if it is too large, or without memory. */
static struct faasi_dedupe_entry *entry_open(const struct faasi_dedupe *dedupe,
                                             const faas_event *event)
{
    struct faasi_dedupe_entry *entry;
    struct key key = {NULL, 0};

    key_write(&key, dedupe->mode, event);
    if (entry_bytes(key.size) > dedupe->bytes_max)
        return NULL;
    entry = faasi_alloc(dedupe->allocator, sizeof *entry + key.size);
    if (entry == NULL)
        return NULL;
    entry->size = key.size;
    key = (struct key){entry->key, 0};
    key_write(&key, dedupe->mode, event);
    entry->hash = faasi_hash(entry->key, entry->size);
    return entry;
}

/* ---- opening ---- */

faas_status faasi_dedupe_init(struct faasi_dedupe *dedupe,
                              const faas_runtime_options *options)
{
    faas_status status;

    memset(dedupe, 0, sizeof *dedupe);
    dedupe->mode =
        options->dedupe == FAAS_DEDUPE_DEFAULT ? FAAS_DEDUPE_OFF : options->dedupe;
    dedupe->window_ns = options->dedupe_ns == 0 ? WINDOW_DEFAULT : options->dedupe_ns;
    dedupe->bytes_max =
        options->dedupe_bytes == 0 ? BYTES_DEFAULT : options->dedupe_bytes;
    dedupe->allocator = options->allocator;
    if (dedupe->mode == FAAS_DEDUPE_OFF)
        return FAAS_OK;
    status = faasi_mutex_init(&dedupe->lock);
    if (status != FAAS_OK)
        return status;
    dedupe->size = SLOTS_MIN;
    dedupe->slots = faasi_alloc_zeroed(dedupe->allocator,
                                       SLOTS_MIN * sizeof(struct faasi_dedupe_entry *));
    if (dedupe->slots == NULL) {
        faasi_mutex_fini(&dedupe->lock);
        return faasi_fail(FAAS_ENOMEM, "dedupe: no memory");
    }
    return FAAS_OK;
}

void faasi_dedupe_fini(struct faasi_dedupe *dedupe)
{
    struct faasi_dedupe_entry *entry = dedupe->oldest, *newer;

    if (dedupe->mode == FAAS_DEDUPE_OFF)
        return;
    for (; entry != NULL; entry = newer) {
        newer = entry->newer;
        entry_free(dedupe, entry);
    }
    faasi_free(dedupe->allocator, dedupe->slots,
               dedupe->size * sizeof(struct faasi_dedupe_entry *));
    faasi_mutex_fini(&dedupe->lock);
}

/* ---- the entries. Holds: lock. ---- */

static struct faasi_dedupe_entry **chain_of(const struct faasi_dedupe *dedupe,
                                            uint64_t hash)
{
    return &dedupe->slots[hash & (dedupe->size - 1)];
}

static void entry_drop(struct faasi_dedupe *dedupe, struct faasi_dedupe_entry *entry)
{
    struct faasi_dedupe_entry **at = chain_of(dedupe, entry->hash);

    while (*at != entry)
        at = &(*at)->next;
    *at = entry->next;
    if (entry->older != NULL)
        entry->older->newer = entry->newer;
    else
        dedupe->oldest = entry->newer;
    if (entry->newer != NULL)
        entry->newer->older = entry->older;
    else
        dedupe->newest = entry->older;
    dedupe->count--;
    dedupe->bytes -= entry_bytes(entry->size);
    entry_free(dedupe, entry);
}

/* Twice the chains, if there is memory; else longer ones. */
static void slots_grow(struct faasi_dedupe *dedupe)
{
    size_t old_size = dedupe->size;
    struct faasi_dedupe_entry **old = dedupe->slots, *entry, **at;
    void *slots = faasi_alloc_zeroed(dedupe->allocator,
                                     2 * old_size * sizeof(struct faasi_dedupe_entry *));

    if (slots == NULL)
        return;
    dedupe->slots = slots;
    dedupe->size = 2 * old_size;
    for (entry = dedupe->oldest; entry != NULL; entry = entry->newer) {
        at = chain_of(dedupe, entry->hash);
        entry->next = *at;
        *at = entry;
    }
    faasi_free(dedupe->allocator, old, old_size * sizeof(struct faasi_dedupe_entry *));
}

static void entry_add(struct faasi_dedupe *dedupe, struct faasi_dedupe_entry *entry)
{
    struct faasi_dedupe_entry **at;

    if (dedupe->count == dedupe->size)
        slots_grow(dedupe);
    at = chain_of(dedupe, entry->hash);
    entry->next = *at;
    *at = entry;
    entry->newer = NULL;
    entry->older = dedupe->newest;
    if (entry->older != NULL)
        entry->older->newer = entry;
    else
        dedupe->oldest = entry;
    dedupe->newest = entry;
    dedupe->count++;
    dedupe->bytes += entry_bytes(entry->size);
    entry->number = ++dedupe->number;
}

static bool entry_is_over(const struct faasi_dedupe *dedupe,
                          const struct faasi_dedupe_entry *entry, uint64_t now_ns)
{
    return faasi_ticks_since(now_ns, entry->since_ns) >= dedupe->window_ns;
}

/* The entry with the same key, whose window may be over; NULL if there is none. */
static struct faasi_dedupe_entry *entry_find(const struct faasi_dedupe *dedupe,
                                             const struct faasi_dedupe_entry *like)
{
    struct faasi_dedupe_entry *at = *chain_of(dedupe, like->hash);

    while (at != NULL && !(at->hash == like->hash && at->size == like->size &&
                           memcmp(at->key, like->key, like->size) == 0))
        at = at->next;
    return at;
}

/* Ends windows, some at a time so that a publish after a long pause is not a long one,
 * and makes room. */
static void room_make(struct faasi_dedupe *dedupe, uint64_t bytes, uint64_t now_ns)
{
    for (int i = 0; i < EXPIRE_AT_ONCE && dedupe->oldest != NULL &&
                    entry_is_over(dedupe, dedupe->oldest, now_ns);
         i++)
        entry_drop(dedupe, dedupe->oldest);
    while (dedupe->bytes_max - dedupe->bytes < bytes)
        entry_drop(dedupe, dedupe->oldest);
}

bool faasi_dedupe_enter(struct faasi_dedupe *dedupe, const faas_event *event,
                        uint64_t now_ns, struct faasi_dedupe_ticket *ticket)
{
    struct faasi_dedupe_entry *entry = entry_open(dedupe, event), *found;

    ticket->number = 0;
    if (entry == NULL)
        return true;
    entry->since_ns = now_ns;
    faasi_lock(&dedupe->lock);
    found = entry_find(dedupe, entry);
    if (found != NULL && !entry_is_over(dedupe, found, now_ns)) {
        faasi_unlock(&dedupe->lock);
        entry_free(dedupe, entry);
        return false;
    }
    if (found != NULL)
        entry_drop(dedupe, found);
    room_make(dedupe, entry_bytes(entry->size), now_ns);
    entry_add(dedupe, entry);
    ticket->hash = entry->hash;
    ticket->number = entry->number;
    faasi_unlock(&dedupe->lock);
    return true;
}

void faasi_dedupe_forget(struct faasi_dedupe *dedupe,
                         const struct faasi_dedupe_ticket *ticket)
{
    struct faasi_dedupe_entry *entry;

    if (ticket->number == 0)
        return;
    faasi_lock(&dedupe->lock);
    entry = *chain_of(dedupe, ticket->hash);
    while (entry != NULL && entry->number != ticket->number)
        entry = entry->next;
    if (entry != NULL) // else it has left, for its window or for its bytes
        entry_drop(dedupe, entry);
    faasi_unlock(&dedupe->lock);
}

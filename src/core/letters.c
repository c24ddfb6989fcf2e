/* SPDX-License-Identifier: MIT */
/* letters.c - the store of dead letters. */
#include "letters.h"

#include "event.h"
#include "mem.h"

enum { SLOTS_DEFAULT = 10000 };
#define BYTES_DEFAULT (UINT64_C(64) << 20)

faas_status faasi_letters_init(struct faasi_letters *letters,
                               const faas_runtime_options *options)
{
    memset(letters, 0, sizeof *letters);
    letters->slots_max = options->dead_letter_slots == 0 ? SLOTS_DEFAULT
                         : options->dead_letter_slots == FAAS_OFF
                             ? 0
                             : options->dead_letter_slots;
    letters->bytes_max =
        options->dead_letter_bytes == 0 ? BYTES_DEFAULT : options->dead_letter_bytes;
    letters->show = options->dead_letter;
    letters->show_user = options->dead_letter_user;
    letters->allocator = options->allocator;
    return faasi_mutex_init(&letters->lock);
}

/* ---- one letter ---- */

static char *bytes_put(char *at, faas_bytes *bytes)
{
    if (bytes->data == NULL)
        return at;
    if (bytes->size != 0)
        memcpy(at, bytes->data, bytes->size);
    bytes->data = at;
    return at + bytes->size;
}

static char *text_put(char *at, const char **text)
{
    size_t size = strlen(*text) + 1;

    *text = memcpy(at, *text, size);
    return at + size;
}

/* What an event keeps from being freed, as if nobody else did. */
static size_t event_bytes(const faas_event *event)
{
    uintptr_t block = (uintptr_t)event, data = (uintptr_t)event->data.data;

    return event->block_size + (data - block < event->block_size ? 0 : event->data.size);
}

/* A copy of a record, with one reference; NULL without memory, or if it is too large. */
static struct faasi_letter *letter_open(struct faasi_letters *letters,
                                        const faas_record *record)
{
    /* Of an event the request is the event's own data. */
    bool shared = record->event != NULL &&
                  faas_event_data(record->event).data == record->request.data;
    size_t block = sizeof(struct faasi_letter) + strlen(record->function) + 1 +
                   strlen(record->error) + 1 + (shared ? 0 : record->request.size) +
                   record->response.size + record->group.size + record->tenant.size;
    size_t bytes = block + (record->event == NULL ? 0 : event_bytes(record->event));
    struct faasi_letter *letter =
        bytes > letters->bytes_max ? NULL : faasi_alloc(letters->allocator, block);
    char *at;

    if (letter == NULL)
        return NULL;
    letter->block = block;
    letter->bytes = bytes;
    letter->held = false;
    atomic_init(&letter->refs, 1);
    letter->record = *record;
    at = (char *)(letter + 1);
    if (!shared)
        at = bytes_put(at, &letter->record.request);
    at = bytes_put(at, &letter->record.response);
    at = bytes_put(at, &letter->record.group);
    at = bytes_put(at, &letter->record.tenant);
    at = text_put(at, &letter->record.function);
    (void)text_put(at, &letter->record.error);
    if (record->event != NULL)
        letter->record.event = faas_event_acquire(record->event);
    return letter;
}

void faasi_letter_release(struct faasi_letters *letters, struct faasi_letter *letter)
{
    if (!faasi_unref(&letter->refs))
        return;
    faas_event_release(letter->record.event);
    faasi_free(letters->allocator, letter, letter->block);
}

/* ---- the list. Holds: lock. ---- */

static void letter_unlink(struct faasi_letters *letters, struct faasi_letter *letter)
{
    if (letter->prev != NULL)
        letter->prev->next = letter->next;
    else
        letters->first = letter->next;
    if (letter->next != NULL)
        letter->next->prev = letter->prev;
    else
        letters->last = letter->prev;
    letter->held = false;
    letters->count--;
    letters->bytes -= letter->bytes;
}

/* To its place by its number. */
static void letter_link(struct faasi_letters *letters, struct faasi_letter *letter)
{
    struct faasi_letter *next = NULL;

    if (letters->last != NULL && letters->last->number > letter->number)
        for (next = letters->first; next->number < letter->number;)
            next = next->next;
    letter->next = next;
    letter->prev = next == NULL ? letters->last : next->prev;
    if (letter->prev != NULL)
        letter->prev->next = letter;
    else
        letters->first = letter;
    if (next != NULL)
        next->prev = letter;
    else
        letters->last = letter;
    letter->held = true;
    letters->count++;
    letters->bytes += letter->bytes;
}

/* Takes out the oldest ones until the rest is within the bounds; chained by `next`. */
static struct faasi_letter *excess_take(struct faasi_letters *letters)
{
    struct faasi_letter *gone = NULL, **end = &gone;

    while (letters->count > letters->slots_max || letters->bytes > letters->bytes_max) {
        *end = letters->first;
        letter_unlink(letters, *end);
        letters->evicted++;
        end = &(*end)->next;
        *end = NULL;
    }
    return gone;
}

/* ---- putting ---- */

static void record_show(const struct faasi_letters *letters, const faas_record *record)
{
    if (letters->show != NULL)
        letters->show(record, letters->show_user);
}

/* Shows what was taken out and lets it go. `next` is ours: who still looks at one finds
 * it not held, and does not follow it. */
static void excess_show(struct faasi_letters *letters, struct faasi_letter *gone)
{
    struct faasi_letter *next;

    for (; gone != NULL; gone = next) {
        next = gone->next;
        record_show(letters, &gone->record);
        faasi_letter_release(letters, gone);
    }
}

void faasi_letters_put(struct faasi_letters *letters, const faas_record *record)
{
    struct faasi_letter *letter =
        letters->slots_max == 0 ? NULL : letter_open(letters, record);
    struct faasi_letter *gone = NULL;

    faasi_lock(&letters->lock);
    if (letter != NULL) {
        letter->number = ++letters->number;
        letter_link(letters, letter);
        gone = excess_take(letters);
    } else {
        letters->evicted++;
    }
    faasi_unlock(&letters->lock);
    if (letter == NULL)
        record_show(letters, record);
    excess_show(letters, gone);
}

void faasi_letters_restore(struct faasi_letters *letters, struct faasi_letter *letter)
{
    struct faasi_letter *gone;

    faasi_ref(&letter->refs);
    faasi_lock(&letters->lock);
    letter_link(letters, letter);
    gone = excess_take(letters);
    faasi_unlock(&letters->lock);
    excess_show(letters, gone);
}

void faasi_letters_fini(struct faasi_letters *letters)
{
    struct faasi_letter *letter;

    while ((letter = letters->first) != NULL) {
        letter_unlink(letters, letter);
        record_show(letters, &letter->record);
        faasi_letter_release(letters, letter);
    }
    faasi_mutex_fini(&letters->lock);
}

/* ---- looking ---- */

static bool bytes_are(faas_bytes wanted, faas_bytes found)
{
    return wanted.data == NULL ||
           (found.data != NULL && wanted.size == found.size &&
            (wanted.size == 0 || memcmp(wanted.data, found.data, wanted.size) == 0));
}

static bool filter_wants(const faas_letter_filter *f, const faas_record *r)
{
    return (f->fn.generation == 0 ||
            (f->fn.index == r->fn.index && f->fn.generation == r->fn.generation &&
             f->fn.runtime == r->fn.runtime)) &&
           (f->condition == FAAS_CONDITION_NONE || f->condition == r->condition) &&
           (f->status == FAAS_OK || f->status == r->status) &&
           bytes_are(f->group, r->group) && bytes_are(f->tenant, r->tenant) &&
           ((f->request_id.high | f->request_id.low) == 0 ||
            (f->request_id.high == r->request_id.high &&
             f->request_id.low == r->request_id.low)) &&
           r->ended_ns >= f->ended_after_ns &&
           (f->ended_before_ns == 0 || r->ended_ns < f->ended_before_ns);
}

struct faasi_letter *faasi_letters_next(struct faasi_letters *letters,
                                        const faas_letter_filter *filter,
                                        const struct faasi_letter *after)
{
    struct faasi_letter *letter;

    faasi_lock(&letters->lock);
    letter = after != NULL && after->held ? after->next : letters->first;
    while (letter != NULL && ((after != NULL && letter->number <= after->number) ||
                              !filter_wants(filter, &letter->record)))
        letter = letter->next;
    if (letter != NULL)
        faasi_ref(&letter->refs);
    faasi_unlock(&letters->lock);
    return letter;
}

bool faasi_letters_remove(struct faasi_letters *letters, struct faasi_letter *letter)
{
    bool held;

    faasi_lock(&letters->lock);
    held = letter->held;
    if (held)
        letter_unlink(letters, letter);
    faasi_unlock(&letters->lock);
    if (held)
        faasi_letter_release(letters, letter); // the store's
    return held;
}

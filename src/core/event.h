/* SPDX-License-Identifier: MIT */
/* event.h - events inside the library: one block of memory, read without a call.
 *
 * The block is the struct, the extensions, the text of all attributes (each terminated),
 * and the data if it was copied. Only `refs` ever changes, and what is found out later
 * and kept: `checked` and `form`. The last release ends it.
 *
 * Layer: 1 structures. Includes base.h, refs.h and the public event.h.
 * Locks: none. */
#ifndef FAASI_EVENT_H
#define FAASI_EVENT_H

#include "base.h"
#include "refs.h"

#include <faas/event.h>

#include <stdatomic.h>

/* The attributes that CloudEvents defines and whose value is not fixed, in the order in
 * which they are written. The first three are required. */
enum faasi_attribute {
    FAASI_ID,
    FAASI_SOURCE,
    FAASI_TYPE,
    FAASI_SUBJECT,
    FAASI_TIME,
    FAASI_DATA_CONTENT_TYPE,
    FAASI_DATA_SCHEMA,
    FAASI_ATTRIBUTE_COUNT
};

/* What the content type says about the data. */
enum faasi_data_form { FAASI_DATA_JSON, FAASI_DATA_TEXT, FAASI_DATA_BINARY };

/* Text inside the event's block; `at` counts from the struct, and is 0 if it is
 * absent. */
struct faasi_event_text {
    uint32_t at;
    uint32_t size;
};

struct faas_event {
    uint64_t type_hash; /* faasi_hash() of the type */
    faas_bytes data;
    int64_t time_ns; /* or FAAS_EVENT_NO_TIME */
    struct faasi_event_text attributes[FAASI_ATTRIBUTE_COUNT];
    uint32_t extension_count;
    enum faasi_data_form data_form;
    faasi_refs refs;
    bool trusted;                      /* its data is not checked */
    atomic_bool checked;               /* it was, and is right */
    _Atomic(struct faasi_form *) form; /* made when rules want it; see form.h */
    size_t block_size;
    const faas_allocator *allocator;
    faas_data_free *data_free; /* NULL: the data is not the event's to end */
    void *data_user;
    faas_extension extensions[]; /* their texts are in the block, terminated */
};

/* An event as rules see it, in one block: this, the index, the text. */
struct faasi_form {
    size_t bytes;
    faas_bytes text;       /* one JSON object, on one line */
    const uint64_t *index; /* of faasi_json_check(); NULL for a trusted event */
};

/* What an event is made of, where the lengths are known. An absent attribute has the
 * data NULL; an empty one is refused. `options` of faas_event_create() without `size`. */
struct faasi_event_parts {
    faas_bytes attributes[FAASI_ATTRIBUTE_COUNT];
    const faas_extension *extensions;
    uint32_t extension_count;
    faas_data_hold data_hold;
    faas_bytes data;
    const faas_allocator *allocator; /* not NULL */
    faas_data_free *data_free;
    void *data_user;
    uint64_t flags;
};

/* faas_event_create() for who has lengths: the same checks, errors and ownership, so
 * `data_free` is called on every failure. */
FAAS_NODISCARD faas_status faasi_event_create(const struct faasi_event_parts *parts,
                                              faas_event **event);

/* "id", "source", ..., as CloudEvents spells them. */
const char *faasi_attribute_name(enum faasi_attribute attribute);

/* Without its terminator, which is there; no bytes if it is absent. */
static inline faas_bytes faasi_event_attribute(const faas_event *event,
                                               enum faasi_attribute attribute)
{
    const struct faasi_event_text *text = &event->attributes[attribute];

    if (text->at == 0)
        return faas_bytes_of(NULL, 0);
    return faas_bytes_of((const char *)event + text->at, text->size);
}

static inline faas_bytes faasi_event_id(const faas_event *event)
{
    return faasi_event_attribute(event, FAASI_ID);
}

static inline faas_bytes faasi_event_source(const faas_event *event)
{
    return faasi_event_attribute(event, FAASI_SOURCE);
}

static inline faas_bytes faasi_event_type(const faas_event *event)
{
    return faasi_event_attribute(event, FAASI_TYPE);
}

/* faas_event_extension() for a name that is not terminated. */
const faas_extension *faasi_event_extension(const faas_event *event, faas_bytes name);

static inline uint64_t faasi_event_type_hash(const faas_event *event)
{
    return event->type_hash;
}

#endif /* FAASI_EVENT_H */

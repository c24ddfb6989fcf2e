/* SPDX-License-Identifier: MIT */
/* form.c - an event as rules see it. */
#include "form.h"

#include "json.h"
#include "mem.h"
#include "text.h"
#include "utf8.h"

/* ---- an event as JSON ---- */

/* Most data are objects, which the fast way reads. */
static bool is_json(faas_bytes data)
{
    return faasi_json_check(data, NULL, NULL) == FAAS_OK ||
           faasi_json_check_any(data, NULL) == FAAS_OK;
}

/* A line break in a valid JSON text is always between tokens and separates nothing. */
static void json_write_on_one_line(struct faasi_text *text, faas_bytes data)
{
    const char *start = data.data, *end = start + data.size;

    faasi_text_json_value(text);
    for (const char *at = start; at < end; at++) {
        if (*at != '\n' && *at != '\r')
            continue;
        faasi_text_bytes(text, start, (size_t)(at - start));
        start = at + 1;
    }
    faasi_text_bytes(text, start, (size_t)(end - start));
}

static void data_write(struct faasi_text *text, const faas_event *event)
{
    faas_bytes data = event->data;

    if (data.data == NULL)
        return;
    if (event->data_form == FAASI_DATA_JSON && (event->trusted || is_json(data))) {
        faasi_text_json_key(text, "data");
        json_write_on_one_line(text, data);
    } else if (event->data_form == FAASI_DATA_TEXT &&
               faasi_utf8_valid(data.data, data.size)) {
        faasi_text_json_key(text, "data");
        faasi_text_json_string(text, data.data, data.size);
    } else {
        faasi_text_json_key(text, "data_base64");
        faasi_text_json_base64(text, data.data, data.size);
    }
}

static void extension_write(struct faasi_text *text, const faas_extension *extension)
{
    faasi_text_json_key(text, extension->name);
    if (extension->type == FAAS_EXTENSION_BOOLEAN)
        faasi_text_json_bool(text, extension->integer != 0);
    else if (extension->type == FAAS_EXTENSION_INTEGER)
        faasi_text_json_int(text, extension->integer);
    else if (extension->type == FAAS_EXTENSION_BINARY)
        faasi_text_json_base64(text, extension->value.data, extension->value.size);
    else
        faasi_text_json_string(text, extension->value.data, extension->value.size);
}

faas_status faas_event_write_json(const faas_event *event, faas_write *write, void *user)
{
    struct faasi_text text;

    faasi_text_init(&text, write, user);
    faasi_text_json_open(&text, '{');
    faasi_text_json_key(&text, "specversion");
    faasi_text_json_str(&text, "1.0");
    for (unsigned i = 0; i < FAASI_ATTRIBUTE_COUNT; i++) {
        faas_bytes value = faasi_event_attribute(event, (enum faasi_attribute)i);

        if (value.data == NULL)
            continue;
        faasi_text_json_key(&text, faasi_attribute_name((enum faasi_attribute)i));
        faasi_text_json_string(&text, value.data, value.size);
    }
    for (uint32_t i = 0; i < event->extension_count; i++)
        extension_write(&text, &event->extensions[i]);
    data_write(&text, event);
    faasi_text_json_close(&text, '}');
    return faasi_text_finish(&text);
}

/* ---- forms ---- */

/* Takes what fits and counts what there is. */
struct sink {
    char *text;
    size_t room;
    size_t size;
};

static int sink_write(const char *text, size_t size, void *user)
{
    struct sink *sink = user;

    if (sink->size + size <= sink->room)
        memcpy(sink->text + sink->size, text, size);
    sink->size += size;
    return 0;
}

/* Returns how many bytes the event's JSON takes; they are written if `room` suffices. */
static size_t event_print(const faas_event *event, char *text, size_t room)
{
    struct sink sink = {text, room, 0};
    faas_status status = faas_event_write_json(event, sink_write, &sink);

    assert(status == FAAS_OK);
    (void)status;
    return sink.size;
}

static struct faasi_form *form_open(const faas_event *event, size_t size, bool indexed)
{
    size_t index = indexed ? faasi_json_index_bytes(size) : 0;
    size_t bytes = sizeof(struct faasi_form) + index + size;
    struct faasi_form *form = faasi_alloc(event->allocator, bytes);

    if (form == NULL)
        return NULL;
    form->bytes = bytes;
    form->index = indexed ? (const uint64_t *)(const void *)(form + 1) : NULL;
    form->text = faas_bytes_of((char *)(form + 1) + index, size);
    return form;
}

faas_status faasi_event_form(const faas_event *event, const struct faasi_form **out)
{
    _Atomic(struct faasi_form *) *kept = &((faas_event *)(uintptr_t)event)->form;
    struct faasi_form *form = atomic_load_explicit(kept, memory_order_acquire);
    struct faasi_form *other = NULL;
    faas_status status = FAAS_OK;
    size_t size;

    *out = form;
    if (form != NULL)
        return FAAS_OK;
    size = event_print(event, NULL, 0);
    form = form_open(event, size, !event->trusted);
    if (form == NULL)
        return faasi_fail(FAAS_ENOMEM, "event: no memory for its JSON of %zu bytes",
                          size);
    (void)event_print(event, (char *)(uintptr_t)form->text.data, size);
    if (form->index != NULL)
        status = faasi_json_check(form->text, (uint64_t *)(uintptr_t)form->index, NULL);
    if (status == FAAS_OK) {
        /* Acquire-release: the form is whole for who finds it; the other one's is for
         * us. */
        if (atomic_compare_exchange_strong_explicit(
                kept, &other, form, memory_order_acq_rel, memory_order_acquire)) {
            *out = form;
            return FAAS_OK;
        }
        *out = other;
    } else {
        status = faasi_fail(FAAS_EINVAL,
                            "event: its JSON of %zu bytes is too large, or "
                            "nested too deeply",
                            size);
    }
    faasi_free(event->allocator, form, form->bytes);
    return status;
}

faas_status faasi_event_check(const faas_event *event)
{
    atomic_bool *checked = &((faas_event *)(uintptr_t)event)->checked;
    struct faasi_json_fault fault;
    faas_status status;

    if (event->data.data == NULL || event->data_form != FAASI_DATA_JSON ||
        event->trusted || atomic_load_explicit(checked, memory_order_relaxed))
        return FAAS_OK;
    status = faasi_json_check(event->data, NULL, NULL); // most are objects, and right
    if (status != FAAS_OK)
        status = faasi_json_check_any(event->data, &fault);
    if (status == FAAS_OK)
        atomic_store_explicit(checked, true, memory_order_relaxed);
    else if (status == FAAS_ESYNTAX)
        status = faasi_fail(status, "event data at byte %zu: found %s, expected %s",
                            fault.offset, fault.found, fault.expected);
    else
        status = faasi_fail(status, "event data: it is too long, or nested too deeply");
    return status;
}

/* SPDX-License-Identifier: MIT */
/**
 * @file
 * Events: immutable CloudEvents 1.0 envelopes with data, shared without a copy.
 *
 * An event is checked once, when it is made; from then on nothing about it changes, so
 * any number of threads read it at the same time. Whoever keeps it holds a reference.
 *
 *     faas_event *event;
 *
 *     status = faas_event_create(FAAS_EVENT(.id = "17", .source = "/shop",
 *                                           .type = "order.created",
 *                                           .data = faas_str("{\"total\":129.5}")),
 *                                &event);
 *
 * Source: CloudEvents 1.0.2, https://github.com/cloudevents/spec
 */
#ifndef FAAS_EVENT_H
#define FAAS_EVENT_H

#include <faas/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/** An event; see faas_event_create(). */
typedef struct faas_event faas_event;

/**
 * The longest attribute, in bytes: 64 KiB, the size of an event that all must forward.
 */
#define FAAS_EVENT_ATTRIBUTE_MAX 65536
/** The longest name of an extension. CloudEvents advises 20 and forbids nothing. */
#define FAAS_EVENT_NAME_MAX 64
/** The most extensions of one event. */
#define FAAS_EVENT_EXTENSIONS_MAX 64

/** What faas_event_time_ns() returns for an event without a time. */
#define FAAS_EVENT_NO_TIME INT64_MIN

/** The types of CloudEvents; those of an extension's value. */
typedef enum faas_extension_type {
    FAAS_EXTENSION_STRING = 0,        /**< UTF-8 without control characters */
    FAAS_EXTENSION_BOOLEAN = 1,       /**< `integer` is 0 or 1 */
    FAAS_EXTENSION_INTEGER = 2,       /**< `integer` */
    FAAS_EXTENSION_BINARY = 3,        /**< any bytes */
    FAAS_EXTENSION_URI = 4,           /**< an absolute URI */
    FAAS_EXTENSION_URI_REFERENCE = 5, /**< a URI, or a relative reference */
    FAAS_EXTENSION_TIMESTAMP = 6      /**< a time as in RFC 3339 */
} faas_extension_type;

/**
 * An extension: an attribute that CloudEvents itself does not define.
 *
 * The name consists of `a` to `z` and `0` to `9`, and is none of CloudEvents' own nor
 * `data`. The struct does not grow in later versions.
 */
typedef struct faas_extension {
    const char *name;         /**< 1 to FAAS_EVENT_NAME_MAX characters */
    faas_bytes value;         /**< the text or the bytes; unused by the two below */
    int32_t integer;          /**< of FAAS_EXTENSION_INTEGER and _BOOLEAN */
    faas_extension_type type; /**< how to read the value; default: a string */
} faas_extension;

/** An extension whose value is a string, borrowed. */
static inline faas_extension faas_extension_string(const char *name, const char *text)
{
    faas_extension extension = {name, faas_str(text), 0, FAAS_EXTENSION_STRING};

    return extension;
}

/** An extension whose value is a number of 32 bits. */
static inline faas_extension faas_extension_integer(const char *name, int32_t integer)
{
    faas_extension extension = {name, {NULL, 0}, integer, FAAS_EXTENSION_INTEGER};

    return extension;
}

/** An extension whose value is true or false. */
static inline faas_extension faas_extension_boolean(const char *name, bool value)
{
    faas_extension extension = {name, {NULL, 0}, value, FAAS_EXTENSION_BOOLEAN};

    return extension;
}

/**
 * The event, or its JSON text, was made by the host itself: nobody checks that it is
 * JSON, and rules stop reading as soon as every field that they name was seen. A key that
 * comes twice may then count once; a malformed text gives some answer, and is read within
 * its bytes.
 */
#define FAAS_EVENT_TRUSTED 1u

/** How an event holds data that it does not own. */
typedef enum faas_data_hold {
    FAAS_DATA_COPY = 0,  /**< copied, aligned to 16 */
    FAAS_DATA_BORROW = 1 /**< where it is, unchanged, until the last release */
} faas_data_hold;

/**
 * Takes back the data that an event owned.
 *
 * It is called exactly once, on the thread of the last release, or on that of
 * faas_event_create() when that fails. No lock of the library is held; it may call the
 * library, but not with that event.
 *
 * @param data  As given, and NULL if that was NULL.
 * @param size  As given.
 * @param user  As given beside the function.
 */
typedef void faas_data_free(void *data, size_t size, void *user);

/**
 * What an event consists of. Start from FAAS_EVENT_OPTIONS_INIT, or write
 * FAAS_EVENT(.id = ..., ...); 0 or NULL means that an attribute is absent.
 *
 * Every attribute is UTF-8 of 1 to FAAS_EVENT_ATTRIBUTE_MAX bytes, without control
 * characters (U+0000 to U+001F, U+007F to U+009F) and noncharacters.
 */
typedef struct faas_event_options {
    size_t size;                      /**< sizeof(faas_event_options) */
    const char *id;                   /**< required: unique among those of its source */
    const char *source;               /**< required: a URI, or a relative reference */
    const char *type;                 /**< required: "com.example.order.created" */
    const char *subject;              /**< what in the source it is about */
    const char *time;                 /**< "2018-04-05T17:31:00.25Z", as in RFC 3339 */
    const char *data_content_type;    /**< a media type; absent: `application/json` */
    const char *data_schema;          /**< an absolute URI */
    const faas_extension *extensions; /**< their names differ; copied */
    uint32_t extension_count;         /**< at most FAAS_EVENT_EXTENSIONS_MAX */
    faas_data_hold data_hold;         /**< without `data_free`: copied or borrowed */
    faas_bytes data;                  /**< any bytes; none at all if `data.data` is
                                           NULL */
    const faas_allocator *allocator;  /**< borrowed until the last release; default: the
                                           library's own */
    faas_data_free *data_free;        /**< the event owns `data`, uncopied, and ends it
                                           so */
    void *data_user;                  /**< handed to `data_free` */
    uint64_t flags;                   /**< 0, or FAAS_EVENT_TRUSTED */
} faas_event_options;

/** The options of an event that lacks everything. */
#define FAAS_EVENT_OPTIONS_INIT                                                          \
    {                                                                                    \
        .size = sizeof(faas_event_options)                                               \
    }

/** The options of an event, written as named arguments; valid in the block around it. */
#define FAAS_EVENT(...)                                                                  \
    (&(const faas_event_options){.size = sizeof(faas_event_options), __VA_ARGS__})

/**
 * Makes an event.
 *
 * The attributes are checked and copied; what happens to the data, the options say.
 * The data is not looked at.
 *
 * @param      options  Borrowed for the call.
 * @param[out] event    Set on FAAS_OK, NULL otherwise.
 * @return FAAS_OK, or
 *         FAAS_EINVAL    an attribute is missing, malformed or too long; the error text
 *                        names it and what is wrong
 *         FAAS_EVERSION  a field that this library does not know is set
 *         FAAS_ENOMEM
 *
 * Owner:  `*event` has one reference, the caller's, until faas_event_release(). On every
 *         failure `data_free` has been called, save when `size` was not set: then no
 *         other field was read.
 * Thread: any.
 * Cost:   one allocation; 60 ns with the required attributes and 15 bytes of data, 170 ns
 *         with time and content type, a UUID and URLs as well.
 * Source: CloudEvents 1.0.2; RFC 3986 (URI), RFC 3339 (time), RFC 2045 (media type)
 * Since:  0.1
 */
FAAS_API FAAS_NODISCARD faas_status faas_event_create(const faas_event_options *options,
                                                      faas_event **event);

/**
 * Takes one more reference to an event, and returns it.
 *
 * Owner:  the caller's, until faas_event_release().
 * Thread: any that holds a reference, or was lent the event by one that does.
 * Since:  0.1
 */
FAAS_API FAAS_NODISCARD faas_event *faas_event_acquire(const faas_event *event);

/**
 * Gives a reference back; the last one ends the event and its data. Accepts NULL.
 *
 * Thread: any.
 * Since:  0.1
 */
FAAS_API void faas_event_release(faas_event *event);

/** @name What an event says
 *
 * Each returns the same address at every call. Optional attributes that are absent are
 * NULL.
 *
 * Owner:  the event's; valid as long as it is.
 * Thread: any.
 * Since:  0.1
 * @{ */
/** Returns its id. */
FAAS_API const char *faas_event_id(const faas_event *event);
/** Returns its source. */
FAAS_API const char *faas_event_source(const faas_event *event);
/** Returns its type. */
FAAS_API const char *faas_event_type(const faas_event *event);
/** Returns its subject, or NULL. */
FAAS_API const char *faas_event_subject(const faas_event *event);
/** Returns its time, or NULL. */
FAAS_API const char *faas_event_time(const faas_event *event);
/** Returns the media type of its data, or NULL. */
FAAS_API const char *faas_event_data_content_type(const faas_event *event);
/** Returns the schema of its data, or NULL. */
FAAS_API const char *faas_event_data_schema(const faas_event *event);
/** Returns its data. */
FAAS_API faas_bytes faas_event_data(const faas_event *event);
/** @} */

/**
 * Returns the time of an event as an instant, or FAAS_EVENT_NO_TIME.
 *
 * Digits past the ninth of a fraction are dropped. The second 60 of a leap second is the
 * second 0 of the next minute. Times before 1677-09-21 or after 2262-04-11, which 64 bits
 * cannot hold, give the first or the last instant that they can.
 *
 * Units:  nanoseconds since 1970-01-01T00:00:00Z, negative before it.
 * Thread: any.
 * Since:  0.1
 */
FAAS_API int64_t faas_event_time_ns(const faas_event *event);

/**
 * Returns how many extensions an event has.
 *
 * Thread: any.
 * Since:  0.1
 */
FAAS_API uint32_t faas_event_extension_count(const faas_event *event);

/**
 * Returns an extension by its place, from 0 in the order given, or NULL past the last.
 *
 * The text of a value is terminated as well, so that `value.data` is a C string.
 *
 * Owner:  the event's; valid as long as it is.
 * Thread: any.
 * Since:  0.1
 */
FAAS_API const faas_extension *faas_event_extension_at(const faas_event *event,
                                                       uint32_t index);

/**
 * Returns an extension by its name, or NULL.
 *
 * Owner:  the event's; valid as long as it is.
 * Thread: any.
 * Since:  0.1
 */
FAAS_API const faas_extension *faas_event_extension(const faas_event *event,
                                                    const char *name);

/**
 * Writes an event in the JSON event format, as one line without a line break.
 *
 * The data is written as `data`, a JSON value, if its content type is JSON or absent and
 * it is one valid JSON value nested at most 1024 deep; as `data`, a string, if its
 * content type is text or XML in UTF-8 and it is valid UTF-8; and as `data_base64`
 * otherwise, from which every reader gets back the same bytes.
 *
 * @param event  Any.
 * @param write  Takes the pieces, on the calling thread, before this returns.
 * @param user   Handed to `write`.
 * @return FAAS_OK, or
 *         FAAS_ESYSTEM  `write` returned non-zero; it was not called again
 *
 * Thread: any.
 * Source: CloudEvents 1.0.2, JSON event format, section 3
 * Since:  0.1
 */
FAAS_API FAAS_NODISCARD faas_status faas_event_write_json(const faas_event *event,
                                                          faas_write *write, void *user);

#ifdef __cplusplus
}
#endif

#endif /* FAAS_EVENT_H */

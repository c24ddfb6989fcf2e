/* SPDX-License-Identifier: MIT */
/* Structs that callers fill in: of any size and with any values they are refused by a
 * status that the header names, or taken; and what was taken works once and goes.
 *
 * A struct stands in a block of just its size, so that a read past it is seen. One that is
 * larger than the library knows must be refused if its tail is not zero; one that cannot
 * be right, whatever is in it.
 *
 * The input: flags, the options of the runtime, the function, and what is done with them,
 * each a byte that chooses and the struct: how large it is, and fields with their values. */
#include "memory.h"

#include <faas/faas.h>
#include <faas/keepalive.h>
#include <faas/letters.h>
#include <faas/model.h>
#include <faas/overload.h>
#include <faas/replay.h>

#include <math.h>

/* ---- structs made of bytes ---- */

/* What a field is. Those that the harness sets are pointers to what is there. */
enum kind { NUMBER, REAL, TEXT, BYTES, SET };

struct field {
    uint16_t at, size;
    enum kind kind;
};

#define FIELD(type, member, kind)                                                        \
    {                                                                                    \
        (uint16_t) offsetof(type, member), (uint16_t)sizeof((type *)NULL)->member, kind  \
    }

enum verdict {
    FITS,  /* the library knows all of it */
    WRONG, /* no such struct can be */
    NEWER  /* something is set that the library does not know */
};

struct form {
    size_t size;
    const struct field *fields;
    size_t count;
};

/* What an input made, to be freed at its end. */
static void *blocks[256];
static size_t block_count;

static void *block_new(size_t size)
{
    void *block = calloc(1, size == 0 ? 1 : size);

    REQUIRE(block != NULL);
    if (block_count == sizeof blocks / sizeof blocks[0]) { // a very long input
        free(blocks[block_count - 1]);
        block_count--;
    }
    blocks[block_count++] = block;
    return block;
}

static bool blocks_left(void)
{
    return block_count < sizeof blocks / sizeof blocks[0] - 64;
}

static faas_bytes bytes_take(struct bytes *in)
{
    size_t left = (size_t)(in->end - in->at), size = byte_take(in);
    char *block;

    if (size == 255) // long ones, too
        size = 70000;
    if (size > left && size != 70000)
        size = left;
    block = block_new(size + 1);
    for (size_t i = 0; i < size; i++)
        block[i] = in->at < in->end ? (char)byte_take(in) : 'x';
    return faas_bytes_of(block, size);
}

/* A text: a known one, which somebody takes, or one of the input's bytes. */
static const char *text_take(struct bytes *in)
{
    static const char *const known[] = {NULL,
                                        "",
                                        "a",
                                        "/shop",
                                        "order.*",
                                        "*",
                                        "2018-04-05T17:31:00.25Z",
                                        "application/json",
                                        "urn:x:y",
                                        "{\"who\": \"$.a.b\"}",
                                        "{\"to\": <who>}",
                                        "x=0,y=1",
                                        "lhd",
                                        "\xff"};
    uint8_t which = byte_take(in);

    if (which < sizeof known / sizeof known[0])
        return known[which];
    return bytes_take(in).data;
}

static double real_take(struct bytes *in)
{
    static const double edges[] = {0,   -1,  1e-6,     9e-7, 1,         1e9,    1.1e9,
                                   0.5, NAN, INFINITY, 2,    -INFINITY, 5e-324, 1e308};
    uint8_t which = byte_take(in);
    uint64_t raw;
    double value;

    if (which < sizeof edges / sizeof edges[0])
        return edges[which];
    raw = raw_take(in, 8);
    memcpy(&value, &raw, sizeof value);
    return value;
}

static void field_fill(struct bytes *in, void *of, const struct field *field)
{
    unsigned char *to = (unsigned char *)of + field->at;
    const char *text;
    faas_bytes bytes;
    uint64_t number;
    double real;

    switch (field->kind) {
    case NUMBER:
        number = number_take(in);
        memcpy(to, &number, field->size); // of little endian the low bytes
        break;
    case REAL:
        real = real_take(in);
        memcpy(to, &real, sizeof real);
        break;
    case TEXT:
        text = text_take(in);
        memcpy(to, &text, sizeof text);
        break;
    case BYTES:
        bytes = bytes_take(in);
        memcpy(to, &bytes, sizeof bytes);
        break;
    case SET: // takes it away
        memset(to, 0, field->size);
        break;
    }
}

/* Fills in fields until the input says that it is enough. */
static void form_fill(struct bytes *in, void *of, const struct form *form)
{
    for (unsigned i = 0; i < 24 && in->at < in->end; i++) {
        uint8_t which = byte_take(in);

        if (which >= form->count)
            return;
        field_fill(in, of, &form->fields[which]);
    }
}

/* Half a field is none. */
static void cut_clear(unsigned char *block, size_t size, const struct form *form)
{
    for (size_t i = 0; i < form->count; i++) {
        const struct field *f = &form->fields[i];
        size_t end = f->at + (f->kind == BYTES ? sizeof(void *) : f->size);

        if (f->at < size && end > size)
            memset(block + f->at, 0, size - f->at);
    }
}

/* The struct in a block of the size that the input chooses, and what must be said of it.
 * `*size` is what it says of itself, 0 if that is nonsense. */
static void *form_cast(struct bytes *in, const void *of, const struct form *form,
                       enum verdict *verdict, size_t *size)
{
    uint8_t how = byte_take(in);
    size_t room = form->size, claimed;
    unsigned char *block;

    *verdict = FITS;
    if (how >= 240) {
        claimed = (size_t)number_take(in);
        room = claimed < 8 ? 8 : claimed > 4096 ? 8 : claimed;
    } else if (how >= 200) {
        claimed = room = form->size + number_take(in) % 300;
    } else if (how >= 150) {
        claimed = room = 8 + number_take(in) % form->size;
    } else {
        claimed = form->size;
    }
    block = block_new(room);
    memcpy(block, of, room < form->size ? room : form->size);
    if (room < form->size)
        cut_clear(block, room, form);
    if (claimed < 8 || claimed > 4096) {
        *verdict = WRONG;
    } else if (room > form->size && byte_take(in) % 2 == 1) {
        block[form->size + number_take(in) % (room - form->size)] = 1;
        *verdict = NEWER;
    }
    memcpy(block, &claimed, sizeof claimed);
    *size = *verdict == WRONG ? 0 : claimed;
    return block;
}

/* Whether a field is in a struct that says it is so large. */
#define HAS(type, member, claimed)                                                       \
    ((claimed) >= offsetof(type, member) + sizeof((type *)NULL)->member)

/* ---- statuses ---- */

static bool is_one_of(faas_status status, const faas_status *of)
{
    while (*of != FAAS_OK && *of != status)
        of++;
    return *of == status;
}

/* Ends the program where a status is none of those, which end with FAAS_OK. */
#define ALLOWED(status, ...)                                                             \
    REQUIRE(is_one_of(status, (const faas_status[]){__VA_ARGS__}))

/* A struct that must not be taken is not. */
static void verdict_check(enum verdict verdict, faas_status status)
{
    if (verdict == WRONG)
        REQUIRE(status == FAAS_EINVAL);
    if (verdict == NEWER)
        REQUIRE(status == FAAS_EVERSION);
    if (status != FAAS_OK)
        REQUIRE(faas_status_text(status)[0] != '\0');
}

/* ---- the world ---- */

static struct world {
    struct memory memory;
    faas_allocator allocator;
    faas_clock *clock;
    faas_runtime *rt;
    faas_fn fn;
    uint64_t handler_ns; /* what a handler takes */
    int code;            /* what it returns */
    bool waits;          /* a call might wait for somebody who is not there */
    bool threads;        /* the runtime has some */
    unsigned users, frees;
} w;

static int sink(const char *text, size_t size, void *user)
{
    REQUIRE(text != NULL && size != 0);
    (void)user;
    return 0;
}

static int handler(faas_context *ctx, faas_bytes input)
{
    faas_clock_advance(w.clock, w.handler_ns);
    if (faas_alloc(ctx, 100) == NULL)
        return faas_fail(ctx, FAAS_ENOMEM, "no memory");
    return w.code != 0 ? faas_fail(ctx, w.code, "as asked") : faas_reply(ctx, input);
}

static int batch_handler(faas_context *ctx, faas_item *items, size_t count)
{
    (void)ctx;
    faas_clock_advance(w.clock, w.handler_ns);
    for (size_t i = 0; i < count; i++)
        items[i].code = w.code != 0 ? w.code : faas_reply(items[i].ctx, items[i].input);
    return 0;
}

static int init_hook(faas_context *ctx, void **state)
{
    *state = faas_instance_alloc(ctx, 64);
    return *state == NULL;
}

static void close_hook(void *state, void *user)
{
    REQUIRE(state != NULL);
    (void)user;
}

static void user_free(void *user)
{
    REQUIRE(user == &w);
    w.frees++;
}

static void dead_letter(const faas_record *record, void *user)
{
    REQUIRE(record->size >= sizeof record->size && record->condition != FAAS_SUCCESS);
    (void)user;
}

static void ended(const faas_record *record, void *user)
{
    REQUIRE(record->condition != FAAS_CONDITION_NONE);
    (*(unsigned *)user)++;
}

static faas_bytes key_of(faas_bytes input, const faas_event *event, char *room,
                         void *user)
{
    (void)event;
    (void)user;
    memset(room, 'k', FAAS_KEY_ROOM);
    return faas_bytes_of(room, input.size % (FAAS_KEY_ROOM + 1));
}

static unsigned told; /* by `ended` of an asynchronous policy */

/* ---- limiter, keep-alive, async: parts of others ---- */

static const struct field limiter_fields[] = {
    FIELD(faas_limiter, kind, NUMBER),      FIELD(faas_limiter, limit, NUMBER),
    FIELD(faas_limiter, limit_min, NUMBER), FIELD(faas_limiter, limit_max, NUMBER),
    FIELD(faas_limiter, target_ns, NUMBER), FIELD(faas_limiter, shed_ns, NUMBER),
    FIELD(faas_limiter, window_ns, NUMBER), FIELD(faas_limiter, rate, REAL),
    FIELD(faas_limiter, burst, REAL),       FIELD(faas_limiter, cold_rate, REAL),
    FIELD(faas_limiter, cold_burst, REAL)};

#define FORM(type, fields)                                                               \
    {                                                                                    \
        sizeof(type), fields, sizeof fields / sizeof fields[0]                           \
    }

static const struct form limiter_form = FORM(faas_limiter, limiter_fields);

static const faas_limiter *limiter_take(struct bytes *in, enum verdict *verdict)
{
    faas_limiter limiter = FAAS_LIMITER_INIT;
    size_t size;

    form_fill(in, &limiter, &limiter_form);
    return form_cast(in, &limiter, &limiter_form, verdict, &size);
}

static uint32_t victim(void *user, uint64_t now_ns)
{
    (void)now_ns;
    return user == NULL ? FAAS_KEEPALIVE_NONE : 0;
}

static void policy_closed(void *user)
{
    (void)user;
}

static const struct field keepalive_fields[] = {
    FIELD(faas_keepalive_policy, name, TEXT), FIELD(faas_keepalive_policy, user, SET),
    FIELD(faas_keepalive_policy, victim, SET), FIELD(faas_keepalive_policy, closed, SET)};

static const struct form keepalive_form = FORM(faas_keepalive_policy, keepalive_fields);

static const faas_keepalive_policy *keepalive_take(struct bytes *in,
                                                   enum verdict *verdict)
{
    faas_keepalive_policy policy = {.size = sizeof policy,
                                    .name = "mine",
                                    .user = &w,
                                    .victim = victim,
                                    .closed = policy_closed};
    size_t size;

    form_fill(in, &policy, &keepalive_form);
    return form_cast(in, &policy, &keepalive_form, verdict, &size);
}

static const struct field async_fields[] = {
    FIELD(faas_async, queue_slots, NUMBER),
    FIELD(faas_async, on_queue_full, NUMBER),
    FIELD(faas_async, queue_bytes, NUMBER),
    FIELD(faas_async, queue_wait_ns, NUMBER),
    FIELD(faas_async, retries, NUMBER),
    FIELD(faas_async, retry_on, NUMBER),
    FIELD(faas_async, backoff_ns, NUMBER),
    FIELD(faas_async, backoff_max_ns, NUMBER),
    FIELD(faas_async, backoff_factor, REAL),
    FIELD(faas_async, jitter, NUMBER),
    FIELD(faas_async, group_failure, NUMBER),
    FIELD(faas_async, age_ns, NUMBER),
    FIELD(faas_async, blocking, NUMBER),
    FIELD(faas_async, dead_letters, NUMBER),
    FIELD(faas_async, on_success.event_type, TEXT),
    FIELD(faas_async, on_failure.event_type, TEXT),
    FIELD(faas_async, on_success.ended, SET),
    FIELD(faas_async, on_failure.ended, SET),
    FIELD(faas_async, on_success.user, SET),
    FIELD(faas_async, on_failure.user, SET),
    FIELD(faas_async, key, SET),
    FIELD(faas_async, idempotency_ns, NUMBER),
    FIELD(faas_async, idempotency_bytes, NUMBER)};

static const struct form async_form = FORM(faas_async, async_fields);

static const faas_async *async_take(struct bytes *in, enum verdict *verdict)
{
    faas_async async = {.size = sizeof async,
                        .on_success = {.ended = ended, .user = &told},
                        .on_failure = {.ended = ended, .user = &told},
                        .key = key_of};
    size_t size;

    form_fill(in, &async, &async_form);
    if (async.on_success.user == NULL) // they go together
        async.on_success.ended = NULL;
    if (async.on_failure.user == NULL)
        async.on_failure.ended = NULL;
    faas_async *made = form_cast(in, &async, &async_form, verdict, &size);
    if (size < offsetof(faas_async, on_success) + sizeof async.on_success ||
        size > 4096) { // cut between them
        if (HAS(faas_async, on_success.ended, size) && size <= 4096)
            made->on_success.ended = NULL;
    } else if (!HAS(faas_async, on_failure.user, size) &&
               HAS(faas_async, on_failure.ended, size)) {
        made->on_failure.ended = NULL;
    }
    return made;
}

/* ---- the runtime ---- */

static const struct field runtime_fields[] = {
    FIELD(faas_runtime_options, concurrency_max, NUMBER),
    FIELD(faas_runtime_options, depth_max, NUMBER),
    FIELD(faas_runtime_options, memory_bytes, NUMBER),
    FIELD(faas_runtime_options, keepalive, NUMBER),
    FIELD(faas_runtime_options, housekeeping, NUMBER),
    FIELD(faas_runtime_options, seed, NUMBER),
    FIELD(faas_runtime_options, clock, SET),
    FIELD(faas_runtime_options, allocator, SET),
    FIELD(faas_runtime_options, report, SET),
    FIELD(faas_runtime_options, log, SET),
    FIELD(faas_runtime_options, worker_min, NUMBER),
    FIELD(faas_runtime_options, worker_max, NUMBER),
    FIELD(faas_runtime_options, blocking_max, NUMBER),
    FIELD(faas_runtime_options, queue_slots, NUMBER),
    FIELD(faas_runtime_options, queue_bytes, NUMBER),
    FIELD(faas_runtime_options, spin_ns, NUMBER),
    FIELD(faas_runtime_options, stuck_ns, NUMBER),
    FIELD(faas_runtime_options, dead_letter_bytes, NUMBER),
    FIELD(faas_runtime_options, dead_letter_slots, NUMBER),
    FIELD(faas_runtime_options, dedupe, NUMBER),
    FIELD(faas_runtime_options, dead_letter, SET),
    FIELD(faas_runtime_options, dedupe_ns, NUMBER),
    FIELD(faas_runtime_options, dedupe_bytes, NUMBER),
    FIELD(faas_runtime_options, keepalive_policy, SET),
    FIELD(faas_runtime_options, limiter, SET)};

static const struct form runtime_form = FORM(faas_runtime_options, runtime_fields);

/* Opens w.rt. Returns false if the options were refused. */
static bool runtime_open(struct bytes *in, uint8_t flags)
{
    faas_runtime_options opt = FAAS_RUNTIME_OPTIONS_INIT;
    enum verdict verdict = FITS, part = FITS;
    const faas_runtime_options *given;
    faas_status status;
    size_t size;

    opt.seed = 1;
    opt.clock = w.clock;
    opt.allocator = &w.allocator;
    opt.worker_max = FAAS_OFF;
    opt.memory_bytes = 64 << 20;
    if ((flags & 1) == 0) {
        status = faas_runtime_open(&w.rt, &opt);
        REQUIRE(status == FAAS_OK);
        return true;
    }
    opt.report = opt.log = sink;
    opt.dead_letter = dead_letter;
    if ((flags & 2) != 0)
        opt.limiter = limiter_take(in, &part);
    if ((flags & 4) != 0)
        opt.keepalive_policy = keepalive_take(in, &part);
    form_fill(in, &opt, &runtime_form);
    /* Some threads are as good as thousands. */
    if (opt.worker_max != FAAS_OFF && opt.worker_max > 2)
        opt.worker_max = opt.worker_max % 8 == 7 ? 1 : FAAS_OFF;
    given = form_cast(in, &opt, &runtime_form, &verdict, &size);
    status = faas_runtime_open(&w.rt, given);
    ALLOWED(status, FAAS_EINVAL, FAAS_EVERSION, FAAS_ENOMEM, FAAS_OK);
    verdict_check(verdict, status);
    REQUIRE((status == FAAS_OK) == (w.rt != NULL));
    /* On the machine's clock, or beside threads, a call may wait for real. */
    w.threads = !HAS(faas_runtime_options, clock, size) || given->clock == NULL ||
                (HAS(faas_runtime_options, worker_max, size) && given->worker_max != 0 &&
                 given->worker_max != FAAS_OFF);
    return status == FAAS_OK;
}

/* ---- functions ---- */

static const struct field function_fields[] = {
    FIELD(faas_function, name, TEXT),
    FIELD(faas_function, handler, SET),
    FIELD(faas_function, init, SET),
    FIELD(faas_function, close, SET),
    FIELD(faas_function, concurrency, NUMBER),
    FIELD(faas_function, instance_concurrency, NUMBER),
    FIELD(faas_function, provisioned, NUMBER),
    FIELD(faas_function, on_full, NUMBER),
    FIELD(faas_function, wait_ns, NUMBER),
    FIELD(faas_function, timeout_ns, NUMBER),
    FIELD(faas_function, init_timeout_ns, NUMBER),
    FIELD(faas_function, idle_ns, NUMBER),
    FIELD(faas_function, age_ns, NUMBER),
    FIELD(faas_function, invocation_max, NUMBER),
    FIELD(faas_function, memory_bytes, NUMBER),
    FIELD(faas_function, heap_bytes, NUMBER),
    FIELD(faas_function, instance_bytes, NUMBER),
    FIELD(faas_function, user, SET),
    FIELD(faas_function, user_free, SET),
    FIELD(faas_function, budget_bytes, NUMBER),
    FIELD(faas_function, instance_min, NUMBER),
    FIELD(faas_function, instance_max, NUMBER),
    FIELD(faas_function, batch, SET),
    FIELD(faas_function, batch_max, NUMBER),
    FIELD(faas_function, cache_mode, NUMBER),
    FIELD(faas_function, batch_delay_ns, NUMBER),
    FIELD(faas_function, cache_bytes, NUMBER),
    FIELD(faas_function, cache_ns, NUMBER),
    FIELD(faas_function, async, SET),
    FIELD(faas_function, limiter, SET),
    FIELD(faas_function, prewarm, NUMBER),
    FIELD(faas_function, reserved, NUMBER)};

static const struct form function_form = FORM(faas_function, function_fields);

enum { WITH_ASYNC = 1, WITH_LIMITER = 2, WITH_BATCH = 4, WITH_POLICY_ONLY = 8 };

/* A descriptor, and whether its `user` must come back when the library has seen it. */
static const faas_function *function_take(struct bytes *in, enum verdict *verdict,
                                          bool *owned)
{
    uint8_t with = byte_take(in);
    bool policy_only = (with & WITH_POLICY_ONLY) != 0;
    faas_function f = {.size = sizeof f};
    enum verdict part = FITS;
    const faas_function *given;
    size_t size;

    if (!policy_only) {
        f.handler = handler;
        f.init = init_hook;
        f.close = close_hook;
        f.user = &w;
        f.user_free = user_free;
    }
    if ((with & WITH_ASYNC) != 0)
        f.async = async_take(in, &part);
    if ((with & WITH_LIMITER) != 0)
        f.limiter = limiter_take(in, &part);
    if ((with & WITH_BATCH) != 0)
        f.batch = batch_handler;
    form_fill(in, &f, &function_form);
    if (f.init == NULL) // its close asks for what it made
        f.close = NULL;
    if (f.user == NULL)
        f.user_free = NULL;
    /* Few instances are as good as many. */
    if (f.provisioned > 4 && f.provisioned <= 1048576)
        f.provisioned %= 4;
    given = form_cast(in, &f, &function_form, verdict, &size);
    *owned = size <= 4096 && HAS(faas_function, user_free, size) && f.user_free != NULL;
    if (size <= 4096 && size >= 8) {
        if (HAS(faas_function, on_full, size) && f.on_full == FAAS_FULL_WAIT)
            w.waits = true;
        if (HAS(faas_function, batch_delay_ns, size) && f.batch_delay_ns != 0)
            w.waits = true;
        if (f.async != NULL && HAS(faas_function, async, size) && f.async->size <= 4096 &&
            HAS(faas_async, on_queue_full, f.async->size) &&
            f.async->on_queue_full == FAAS_QUEUE_WAIT)
            w.waits = true;
    }
    return given;
}

#define REGISTER_SAYS                                                                    \
    FAAS_EINVAL, FAAS_EVERSION, FAAS_EEXIST, FAAS_EINIT, FAAS_ECLOSED, FAAS_ENOMEM

static void op_register(struct bytes *in)
{
    unsigned frees = w.frees;
    enum verdict verdict;
    bool owned, waits = w.waits;
    const faas_function *given = function_take(in, &verdict, &owned);
    faas_fn fn;
    faas_status status = faas_function_register(w.rt, given, &fn);

    ALLOWED(status, REGISTER_SAYS, FAAS_OK);
    verdict_check(verdict, status);
    REQUIRE((status == FAAS_OK) == (fn.generation != 0));
    REQUIRE(w.frees == frees + (owned && status != FAAS_OK));
    if (status == FAAS_OK) {
        w.fn = fn;
        w.users += owned;
    } else {
        w.waits = waits;
        w.frees = frees;
    }
}

static void op_replace(struct bytes *in)
{
    enum verdict verdict;
    bool owned;
    const faas_function *given = function_take(in, &verdict, &owned);
    faas_status status = faas_function_replace(w.rt, w.fn, given);

    ALLOWED(status, REGISTER_SAYS, FAAS_ENOENT, FAAS_EPERM, FAAS_OK);
    if (w.fn.generation != 0)
        verdict_check(verdict, status);
    w.users += owned; // the old one's or the new one's comes back, now or at the end
}

static void op_update(struct bytes *in)
{
    enum verdict verdict;
    bool owned;
    const faas_function *given = function_take(in, &verdict, &owned);
    faas_status status = faas_function_update(w.rt, w.fn, given);

    ALLOWED(status, FAAS_ENOENT, FAAS_EPERM, FAAS_EINVAL, FAAS_EVERSION, FAAS_ENOMEM,
            FAAS_EINIT, FAAS_OK);
    if (w.fn.generation != 0)
        verdict_check(verdict, status);
}

/* ---- events and the bus ---- */

static faas_event *event; /* of this input, or NULL */

static const struct field event_fields[] = {
    FIELD(faas_event_options, id, TEXT),
    FIELD(faas_event_options, source, TEXT),
    FIELD(faas_event_options, type, TEXT),
    FIELD(faas_event_options, subject, TEXT),
    FIELD(faas_event_options, time, TEXT),
    FIELD(faas_event_options, data_content_type, TEXT),
    FIELD(faas_event_options, data_schema, TEXT),
    FIELD(faas_event_options, extensions, SET),
    FIELD(faas_event_options, extension_count, NUMBER),
    FIELD(faas_event_options, data_hold, NUMBER),
    FIELD(faas_event_options, data, BYTES),
    FIELD(faas_event_options, allocator, SET),
    FIELD(faas_event_options, data_free, SET),
    FIELD(faas_event_options, flags, NUMBER)};

static const struct form event_form = FORM(faas_event_options, event_fields);

static unsigned data_ends;

static void data_end(void *data, size_t size, void *user)
{
    (void)data;
    (void)size;
    REQUIRE(user == NULL);
    data_ends++;
}

static void op_event(struct bytes *in)
{
    faas_extension *extensions = block_new(65 * sizeof *extensions);
    faas_event_options opt = {.size = sizeof opt,
                              .id = "1",
                              .source = "/a",
                              .type = "t",
                              .extensions = extensions,
                              .data_free = data_end,
                              .allocator = &w.allocator};
    enum verdict verdict;
    faas_event_options *given;
    faas_event *made;
    faas_status status;
    size_t size;
    bool owned;

    for (uint32_t i = 0; i < 65; i++) {
        static const char names[65][4] = {"a", "b", "c", "d"};

        extensions[i].name = i < 4 ? names[i] : text_take(in);
        if (i < 4)
            extensions[i].type = (faas_extension_type)(int32_t)number_take(in);
        if (i < 4)
            extensions[i].value = bytes_take(in);
    }
    form_fill(in, &opt, &event_form);
    if (opt.extension_count > 65 && opt.extension_count <= 1000)
        opt.extension_count = 65;
    given = form_cast(in, &opt, &event_form, &verdict, &size);
    if (size <= 4096 && HAS(faas_event_options, extension_count, size) &&
        given->extension_count > 65 && given->extensions != NULL)
        given->extension_count = UINT32_MAX; // refused by its number
    data_ends = 0;
    status = faas_event_create(given, &made);
    ALLOWED(status, FAAS_EINVAL, FAAS_EVERSION, FAAS_ENOMEM, FAAS_OK);
    verdict_check(verdict, status);
    REQUIRE((status == FAAS_OK) == (made != NULL));
    owned = verdict != WRONG && HAS(faas_event_options, data_free, size) &&
            given->data_free != NULL;
    REQUIRE(data_ends == (owned && made == NULL));
    if (made == NULL)
        return;
    status = faas_event_write_json(made, sink, NULL);
    REQUIRE(status == FAAS_OK);
    faas_event_release(event);
    event = made;
}

static const struct field subscription_fields[] = {
    FIELD(faas_subscription, type, TEXT), FIELD(faas_subscription, source, TEXT),
    FIELD(faas_subscription, queued, NUMBER), FIELD(faas_subscription, reserved, NUMBER)};

static const struct form subscription_form = FORM(faas_subscription, subscription_fields);

static void publish(void)
{
    faas_delivery delivery;
    faas_status status;

    if (w.waits)
        return;
    status = event != NULL
                 ? faas_publish(w.rt, event, &delivery)
                 : faas_publish_json(w.rt, "/a", "t", "{\"a\": {\"b\": 1}}", &delivery);
    ALLOWED(status, FAAS_ESYNTAX, FAAS_EDEPTH, FAAS_EINVAL, FAAS_ENOMEM, FAAS_OK);
    if (status == FAAS_OK)
        REQUIRE(delivery.repeated != 0 ||
                delivery.matched ==
                    delivery.ran + delivery.refused + delivery.failed + delivery.queued);
}

static void op_subscribe(struct bytes *in)
{
    faas_subscription on = {.size = sizeof on};
    enum verdict verdict;
    faas_status status;
    const void *given;
    uint64_t id;
    size_t size;

    form_fill(in, &on, &subscription_form);
    given = form_cast(in, &on, &subscription_form, &verdict, &size);
    status = faas_subscribe(w.rt, w.fn, given, &id);
    ALLOWED(status, FAAS_ENOENT, FAAS_EINVAL, FAAS_EVERSION, FAAS_ENOMEM, FAAS_OK);
    verdict_check(verdict, status);
    if (status == FAAS_OK) {
        publish();
        REQUIRE(faas_unsubscribe(w.rt, id) == FAAS_OK);
        REQUIRE(faas_unsubscribe(w.rt, id) == FAAS_ENOENT);
    }
}

static const struct field rule_fields[] = {FIELD(faas_rule_options, input_paths, TEXT),
                                           FIELD(faas_rule_options, input_template, TEXT),
                                           FIELD(faas_rule_options, queued, NUMBER),
                                           FIELD(faas_rule_options, reserved, NUMBER)};

static const struct form rule_form = FORM(faas_rule_options, rule_fields);

static void op_rule(struct bytes *in)
{
    faas_rule_options opt = {.size = sizeof opt};
    enum verdict verdict;
    faas_status status;
    const void *given;
    size_t size;

    form_fill(in, &opt, &rule_form);
    given = form_cast(in, &opt, &rule_form, &verdict, &size);
    status = faas_rule_put_with(w.rt, "r", "{\"type\": [\"t\"]}", w.fn, given);
    ALLOWED(status, FAAS_ENOENT, FAAS_ESYNTAX, FAAS_EINVAL, FAAS_EVERSION, FAAS_ENOMEM,
            FAAS_OK);
    verdict_check(verdict, status);
    if (status == FAAS_OK) {
        publish();
        REQUIRE(faas_rule_delete(w.rt, "r") == FAAS_OK);
    }
}

static const struct field ruleset_fields[] = {
    FIELD(faas_ruleset_options, allocator, SET),
    FIELD(faas_ruleset_options, pattern_bytes_max, NUMBER),
    FIELD(faas_ruleset_options, depth_max, NUMBER),
    FIELD(faas_ruleset_options, leaf_max, NUMBER),
    FIELD(faas_ruleset_options, combination_max, NUMBER),
    FIELD(faas_ruleset_options, star_max, NUMBER),
    FIELD(faas_ruleset_options, scratch_bytes, NUMBER)};

static const struct form ruleset_form = FORM(faas_ruleset_options, ruleset_fields);

static void op_ruleset(struct bytes *in)
{
    static const char text[] = "{\"a\": {\"b\": [1, {\"wildcard\": \"x*y\"}]}, "
                               "\"$or\": [{\"c\": [2]}, {\"d\": [3]}]}";
    static const char json[] = "{\"a\": {\"b\": \"x-y\"}, \"d\": 3}";
    faas_ruleset_options opt = {.size = sizeof opt, .allocator = &w.allocator};
    enum verdict verdict;
    faas_ruleset *set;
    faas_status status;
    const void *given;
    faas_match match;
    size_t size, count, offset;

    form_fill(in, &opt, &ruleset_form);
    if (opt.scratch_bytes > (1 << 20) && opt.scratch_bytes <= (1 << 30))
        opt.scratch_bytes = 1 << 20;
    given = form_cast(in, &opt, &ruleset_form, &verdict, &size);
    status = faas_pattern_check(faas_bytes_of(text, sizeof text - 1), given, &offset);
    ALLOWED(status, FAAS_EINVAL, FAAS_EVERSION, FAAS_ENOMEM, FAAS_OK);
    verdict_check(verdict, status);
    REQUIRE(offset <= sizeof text - 1 && (status != FAAS_OK || offset == 0));
    status = faas_ruleset_open(&set, given);
    ALLOWED(status, FAAS_EINVAL, FAAS_EVERSION, FAAS_ENOMEM, FAAS_OK);
    verdict_check(verdict, status);
    REQUIRE((status == FAAS_OK) == (set != NULL));
    if (set == NULL)
        return;
    status = faas_ruleset_put(set, "r", faas_bytes_of(text, sizeof text - 1), &w);
    ALLOWED(status, FAAS_EINVAL, FAAS_OK);
    if (status == FAAS_OK) {
        REQUIRE(faas_ruleset_match(set, faas_bytes_of(json, sizeof json - 1), 0, &match,
                                   1, &count) == FAAS_OK);
        REQUIRE(count == 1 && match.user == &w);
    }
    faas_ruleset_close(set);
}

/* ---- calls ---- */

static const struct field invoke_fields[] = {
    FIELD(faas_invoke_options, limit_ns, NUMBER),
    FIELD(faas_invoke_options, deadline_ns, NUMBER),
    FIELD(faas_invoke_options, key, BYTES),
    FIELD(faas_invoke_options, tenant, BYTES),
    FIELD(faas_invoke_options, trace, BYTES),
    FIELD(faas_invoke_options, event, SET),
    FIELD(faas_invoke_options, request_id.high, NUMBER),
    FIELD(faas_invoke_options, request_id.low, NUMBER),
    FIELD(faas_invoke_options, attempt, NUMBER),
    FIELD(faas_invoke_options, dry_run, NUMBER),
    FIELD(faas_invoke_options, priority, NUMBER),
    FIELD(faas_invoke_options, fresh, NUMBER)};

static const struct form invoke_form = FORM(faas_invoke_options, invoke_fields);

static void op_invoke(struct bytes *in)
{
    faas_invoke_options opt = {.size = sizeof opt, .event = event};
    faas_result *result = NULL;
    enum verdict verdict;
    const faas_invoke_options *given;
    faas_status status;
    size_t size;

    form_fill(in, &opt, &invoke_form);
    given = form_cast(in, &opt, &invoke_form, &verdict, &size);
    if (verdict == FITS && (w.waits || w.threads))
        return;
    status = faas_invoke_with(w.rt, w.fn, faas_str("seven"), given, &result);
    ALLOWED(status, FAAS_EINVAL, FAAS_EVERSION, FAAS_ENOENT, FAAS_EBUSY, FAAS_EEXPIRED,
            FAAS_EINIT, FAAS_EDEPTH, FAAS_EHANDLER, FAAS_ETIMEDOUT, FAAS_ENOMEM, FAAS_OK);
    verdict_check(verdict, status);
    if (status == FAAS_EINVAL || status == FAAS_EVERSION) // of the options alone
        REQUIRE(verdict != FITS || (unsigned)opt.priority > FAAS_PRIORITY_LOW);
    if (HAS(faas_invoke_options, priority, size) && verdict == FITS &&
        (unsigned)given->priority > FAAS_PRIORITY_LOW)
        REQUIRE(status == FAAS_EINVAL);
    REQUIRE(result == NULL || status == FAAS_OK || status == FAAS_EHANDLER ||
            status == FAAS_ETIMEDOUT);
    if (result != NULL) {
        REQUIRE(faas_result_meter(result) != NULL && faas_result_message(result) != NULL);
        faas_result_release(result);
    }
}

static const struct field submit_fields[] = {
    FIELD(faas_submit_options, event, SET),
    FIELD(faas_submit_options, group, BYTES),
    FIELD(faas_submit_options, tenant, BYTES),
    FIELD(faas_submit_options, trace, BYTES),
    FIELD(faas_submit_options, route, BYTES),
    FIELD(faas_submit_options, limit_ns, NUMBER),
    FIELD(faas_submit_options, delay_ns, NUMBER),
    FIELD(faas_submit_options, start_ns, NUMBER),
    FIELD(faas_submit_options, tenant_weight, NUMBER),
    FIELD(faas_submit_options, priority, NUMBER),
    FIELD(faas_submit_options, ended, SET),
    FIELD(faas_submit_options, will_wait, NUMBER),
    FIELD(faas_submit_options, reserved, NUMBER),
    FIELD(faas_submit_options, key, BYTES)};

static const struct form submit_form = FORM(faas_submit_options, submit_fields);

/* Every one that is accepted ends once, when the runtime closes at the latest. */
static unsigned submits_told, submits_accepted;

/* Does what is due, a few steps of it: with instances that live for a nanosecond there is
 * always something. */
static void drive(void)
{
    for (unsigned i = 0; i < 6; i++) {
        uint64_t next;

        (void)faas_run_once(w.rt, 1000, &next);
        if (next == FAAS_FOREVER)
            return;
        if (next > faas_clock_now(w.clock))
            REQUIRE(faas_clock_set(w.clock, next) == FAAS_OK);
    }
}

static void op_submit(struct bytes *in)
{
    faas_submit_options opt = {
        .size = sizeof opt, .event = event, .ended = ended, .ended_user = &submits_told};
    faas_invocation invocation;
    enum verdict verdict;
    faas_submit_options *given;
    faas_status status;
    size_t size;
    bool asked;

    form_fill(in, &opt, &submit_form);
    given = form_cast(in, &opt, &submit_form, &verdict, &size);
    asked = verdict == FITS && HAS(faas_submit_options, ended_user, size) &&
            given->ended != NULL;
    if (verdict == FITS && HAS(faas_submit_options, ended, size) && !asked)
        given->ended = NULL;
    if (verdict == FITS && (w.waits || w.threads))
        return;
    status = faas_invoke_async(w.rt, w.fn, faas_str("seven"), (void *)given, &invocation);
    ALLOWED(status, FAAS_ENOENT, FAAS_EBUSY, FAAS_EEXPIRED, FAAS_EINVAL, FAAS_EVERSION,
            FAAS_ENOMEM, FAAS_OK);
    verdict_check(verdict, status);
    REQUIRE((status == FAAS_OK) == (invocation.generation != 0));
    if (status != FAAS_OK)
        return;
    submits_accepted += asked;
    drive();
    status = faas_invocation_wait(w.rt, invocation, 0, NULL);
    ALLOWED(status, FAAS_EPENDING, FAAS_EHANDLER, FAAS_ETIMEDOUT, FAAS_EINIT, FAAS_ENOMEM,
            FAAS_EEXPIRED, FAAS_EBUSY, FAAS_ECANCELLED, FAAS_EDEPTH, FAAS_OK);
    status = faas_invocation_cancel(w.rt, invocation);
    ALLOWED(status, FAAS_EINUSE, FAAS_OK);
    faas_invocation_release(w.rt, invocation);
    REQUIRE(faas_invocation_cancel(w.rt, invocation) == FAAS_ENOENT);
}

static const struct field letter_fields[] = {
    FIELD(faas_letter_filter, fn, SET),
    FIELD(faas_letter_filter, condition, NUMBER),
    FIELD(faas_letter_filter, status, NUMBER),
    FIELD(faas_letter_filter, group, BYTES),
    FIELD(faas_letter_filter, tenant, BYTES),
    FIELD(faas_letter_filter, request_id.low, NUMBER),
    FIELD(faas_letter_filter, ended_after_ns, NUMBER),
    FIELD(faas_letter_filter, ended_before_ns, NUMBER),
    FIELD(faas_letter_filter, most, NUMBER)};

static const struct form letter_form = FORM(faas_letter_filter, letter_fields);

static int letter_see(const faas_record *record, void *user)
{
    REQUIRE(user == &w && record->function != NULL);
    return faas_record_json(record, sink, NULL);
}

static void op_letters(struct bytes *in)
{
    faas_letter_filter filter = {.size = sizeof filter, .fn = w.fn};
    enum verdict verdict;
    faas_status status;
    const void *given;
    uint64_t listed = 0, count = 0;
    size_t size;

    form_fill(in, &filter, &letter_form);
    given = form_cast(in, &filter, &letter_form, &verdict, &size);
    status = faas_letters_list(w.rt, given, letter_see, &w, &listed);
    ALLOWED(status, FAAS_EINVAL, FAAS_EVERSION, FAAS_ENOMEM, FAAS_OK);
    verdict_check(verdict, status);
    status = faas_letters_purge(w.rt, given, &count);
    ALLOWED(status, FAAS_EINVAL, FAAS_EVERSION, FAAS_OK);
    verdict_check(verdict, status);
    REQUIRE(w.threads || status != FAAS_OK || count == listed);
}

static void op_keepalive(struct bytes *in)
{
    faas_keepalive kind = (faas_keepalive)(int32_t)number_take(in);
    enum verdict verdict = FITS;
    const faas_keepalive_policy *policy =
        byte_take(in) % 2 == 0 ? NULL : keepalive_take(in, &verdict);
    faas_status status = faas_runtime_keepalive(w.rt, kind, policy);

    ALLOWED(status, FAAS_EINVAL, FAAS_EVERSION, FAAS_ENOMEM, FAAS_OK);
    if (kind == FAAS_KEEPALIVE_DEFAULT)
        verdict_check(verdict, status);
    /* One that is in use borrows its name: it must not outlive this input. */
}

/* ---- what is written for the caller ---- */

/* Numbers are asked for in a block of any size, and just that is written. */
static void op_numbers(struct bytes *in)
{
    uint8_t which = byte_take(in);
    size_t size = (size_t)number_take(in), room = size < 8 || size > 4096 ? 8 : size;
    void *block = block_new(room);
    bool wrong = size < 8 || size > 4096;
    faas_status status;

    memcpy(block, &size, sizeof size);
    switch (which % 5) {
    case 0:
        status = faas_function_stats_get(w.rt, w.fn, block, NULL);
        break;
    case 1:
        status = faas_function_describe(w.rt, w.fn, block);
        break;
    case 2:
        status = faas_async_stats_get(w.rt, w.fn, block);
        break;
    case 3:
        status = faas_keepalive_stats_get(w.rt, block);
        break;
    default:
        status = faas_model_stats_get(w.rt, w.fn, block);
        break;
    }
    ALLOWED(status, FAAS_EINVAL, FAAS_ENOENT, FAAS_ETYPE, FAAS_OK);
    REQUIRE(!wrong || status != FAAS_OK);
}

/* ---- replay and overload, which need no runtime ---- */

static const struct field replay_fields[] = {
    FIELD(faas_replay_options, policy, TEXT),
    FIELD(faas_replay_options, memory_bytes, NUMBER),
    FIELD(faas_replay_options, idle_ns, NUMBER),
    FIELD(faas_replay_options, seed, NUMBER),
    FIELD(faas_replay_options, objective, NUMBER),
    FIELD(faas_replay_options, reserved, NUMBER)};

static const struct form replay_form = FORM(faas_replay_options, replay_fields);

static const struct field overload_fields[] = {
    FIELD(faas_overload, length_ns, NUMBER), FIELD(faas_overload, warm_ns, NUMBER),
    FIELD(faas_overload, slo_ns, NUMBER),    FIELD(faas_overload, seed, NUMBER),
    FIELD(faas_overload, workers, NUMBER),   FIELD(faas_overload, reserved, NUMBER)};

static const struct form overload_form = FORM(faas_overload, overload_fields);

static void op_overload(struct bytes *in)
{
    faas_load_phase phase = {1000000, 1 + number_take(in) % 100000, 1000};
    enum verdict verdict, part = FITS;
    faas_overload how = {.size = sizeof how,
                         .phases = &phase,
                         .phase_count = 1,
                         .limiter = limiter_take(in, &part)};
    faas_overload_result result = {.size = sizeof result};
    faas_overload *given;
    faas_status status;
    size_t size;

    form_fill(in, &how, &overload_form);
    given = form_cast(in, &how, &overload_form, &verdict, &size);
    if (verdict != WRONG && HAS(faas_overload, length_ns, size) &&
        given->length_ns <= UINT64_C(20000000000)) {
        given->length_ns = 1 + given->length_ns % 10000000;
    } else if (verdict == FITS) { // a default, or a length that takes long to run
        return;
    }
    status = faas_overload_run((void *)given, &w.allocator, &result);
    ALLOWED(status, FAAS_EINVAL, FAAS_EVERSION, FAAS_ENOMEM, FAAS_OK);
    verdict_check(verdict, status);
    if (part == WRONG && verdict == FITS)
        REQUIRE(status == FAAS_EINVAL || status == FAAS_EVERSION);
    if (status == FAAS_OK)
        REQUIRE(result.refused + result.shed <= result.calls &&
                result.in_time <= result.ran);
}

static void op_replay(struct bytes *in)
{
    static const faas_trace_function functions[] = {
        {.init_ns = 1000, .memory_bytes = 100}, {.init_ns = 5000, .memory_bytes = 300}};
    static const faas_trace_call calls[] = {{.at_ns = 0, .run_ns = 10, .function = 0},
                                            {.at_ns = 5, .run_ns = 10, .function = 1},
                                            {.at_ns = 5000, .run_ns = 10, .function = 0},
                                            {.at_ns = 9000, .run_ns = 10, .function = 1}};
    faas_replay_trace trace = {.size = sizeof trace,
                               .functions = functions,
                               .calls = calls,
                               .function_count = 2,
                               .call_count = 4};
    faas_replay_options opt = {.size = sizeof opt, .memory_bytes = 350};
    faas_replay_result result = {.size = sizeof result};
    enum verdict verdict;
    faas_replay *replay;
    faas_status status;
    const void *given;
    size_t size;

    status = faas_replay_open(&trace, &w.allocator, &replay);
    REQUIRE(status == FAAS_OK);
    form_fill(in, &opt, &replay_form);
    given = form_cast(in, &opt, &replay_form, &verdict, &size);
    status = faas_replay_run(replay, given, &result);
    ALLOWED(status, FAAS_EINVAL, FAAS_EVERSION, FAAS_ENOMEM, FAAS_OK);
    verdict_check(verdict, status);
    if (status == FAAS_OK)
        REQUIRE(result.invocations == 4 && result.cold_starts >= 2);
    faas_replay_close(replay);
}

/* ---- models, by an engine that runs nothing ---- */

static const faas_port in_port = {
    .name = "x", .type = FAAS_F32, .rank = 1, .shape = {-1}, .batch_axis = 0};
static const faas_port out_port = {
    .name = "y", .type = FAAS_F32, .rank = 1, .shape = {-1}, .batch_axis = 0};
static const float answer[4] = {1, 2, 3, 4};

static faas_status engine_load(const faas_model *model, faas_bytes bytes, void *user,
                               void **loaded)
{
    REQUIRE(model->size == sizeof *model && bytes.data != NULL && user == &w);
    *loaded = user;
    return FAAS_OK;
}

static void engine_end(void *what)
{
    REQUIRE(what == &w);
}

static void engine_ports(void *loaded, const faas_port **inputs, size_t *input_count,
                         const faas_port **outputs, size_t *output_count)
{
    (void)loaded;
    *inputs = &in_port;
    *outputs = &out_port;
    *input_count = *output_count = 1;
}

static faas_status engine_open(void *loaded, void **instance, uint64_t *held)
{
    *instance = loaded;
    *held = 100;
    return FAAS_OK;
}

static faas_status engine_run(void *instance, const faas_tensor *inputs,
                              faas_tensor *outputs)
{
    (void)instance;
    (void)inputs;
    if (outputs->data != NULL) {
        memset(outputs->data, 0, (size_t)outputs->bytes);
        return FAAS_OK;
    }
    outputs->data = (void *)(uintptr_t)answer;
    outputs->bytes = sizeof answer;
    outputs->type = FAAS_F32;
    outputs->rank = 1;
    outputs->shape[0] = 4;
    return FAAS_OK;
}

static const struct field model_fields[] = {
    FIELD(faas_model, path, SET), FIELD(faas_model, bytes, BYTES),
    FIELD(faas_model, batch_axes, TEXT), FIELD(faas_model, warm_up, BYTES)};

static const struct form model_form = FORM(faas_model, model_fields);

static const struct field engine_fields[] = {FIELD(faas_engine, name, TEXT)};

static const struct form engine_form = FORM(faas_engine, engine_fields);

static void op_model(struct bytes *in)
{
    faas_model model = {.size = sizeof model, .bytes = faas_str("m")};
    faas_engine engine = {.size = sizeof engine,
                          .name = "none",
                          .user = &w,
                          .load = engine_load,
                          .unload = engine_end,
                          .ports = engine_ports,
                          .open = engine_open,
                          .close = engine_end,
                          .run = engine_run};
    enum verdict verdict, engine_verdict, policy_verdict;
    faas_function policy = {.size = sizeof policy, .name = "model"};
    const void *given, *given_engine, *given_policy;
    faas_status status;
    faas_fn fn;
    size_t size;

    form_fill(in, &model, &model_form);
    given = form_cast(in, &model, &model_form, &verdict, &size);
    form_fill(in, &engine, &engine_form);
    given_engine = form_cast(in, &engine, &engine_form, &engine_verdict, &size);
    if (engine_verdict == FITS && size < sizeof engine)
        return; // half a table
    policy.batch_max = (uint32_t)number_take(in);
    given_policy = form_cast(in, &policy, &function_form, &policy_verdict, &size);
    status = faas_model_register(w.rt, given_engine, given, given_policy, &fn);
    ALLOWED(status, REGISTER_SAYS, FAAS_OK);
    if (verdict != FITS || engine_verdict != FITS || policy_verdict != FITS)
        REQUIRE(status == FAAS_EINVAL || status == FAAS_EVERSION);
    if (status != FAAS_OK)
        return;
    if (!w.threads) {
        faas_result *result = NULL;
        static const float four[4];

        status = faas_invoke(w.rt, fn, faas_bytes_of(four, sizeof four), 0, &result);
        ALLOWED(status, FAAS_EBUSY, FAAS_EINIT, FAAS_EHANDLER, FAAS_ENOMEM, FAAS_OK);
        faas_result_release(result);
    }
    REQUIRE(faas_function_unregister(w.rt, fn) == FAAS_OK);
}

/* ---- one input ---- */

static void runtime_close(struct bytes *in)
{
    static const struct field fields[] = {FIELD(faas_close_options, drain_ns, NUMBER)};
    static const struct form form = FORM(faas_close_options, fields);
    faas_close_options opt = {.size = sizeof opt};
    enum verdict verdict;
    faas_status status;
    const void *given;
    size_t size;

    form_fill(in, &opt, &form);
    given = form_cast(in, &opt, &form, &verdict, &size);
    if (w.threads && verdict == FITS)
        given = NULL; // what waits for a virtual clock would have it wait for real
    status = faas_runtime_close_with(w.rt, given);
    ALLOWED(status, FAAS_EINVAL, FAAS_EVERSION, FAAS_OK);
    verdict_check(verdict, status);
    if (status != FAAS_OK)
        REQUIRE(faas_runtime_close(w.rt) == FAAS_OK);
}

static void (*const ops[])(struct bytes *in) = {
    op_register,  op_replace, op_update,   op_event,  op_subscribe,
    op_rule,      op_ruleset, op_invoke,   op_submit, op_letters,
    op_keepalive, op_numbers, op_overload, op_replay, op_model};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes in = {data, data + size};
    uint8_t flags = byte_take(&in);

    memset(&w, 0, sizeof w);
    told = submits_told = submits_accepted = 0;
    w.allocator = memory_allocator(&w.memory);
    w.handler_ns = (flags & 8) != 0 ? number_take(&in) % 1000000000 : 0;
    w.code = (flags & 16) != 0 ? 7 : 0;
    REQUIRE(faas_clock_open_virtual(UINT64_C(1000000000), &w.allocator, &w.clock) ==
            FAAS_OK);
    if (runtime_open(&in, flags)) {
        const faas_function plain = {
            .size = sizeof plain, .name = "plain", .handler = handler};

        REQUIRE(faas_function_register(w.rt, &plain, &w.fn) == FAAS_OK);
        for (unsigned i = 0; i < 8 && in.at < in.end && blocks_left(); i++)
            ops[byte_take(&in) % (sizeof ops / sizeof ops[0])](&in);
        REQUIRE(faas_describe_json(w.rt, sink, NULL) == FAAS_OK);
        REQUIRE(faas_prometheus(w.rt, sink, NULL) == FAAS_OK);
        if (!w.threads && !w.waits)
            drive();
        runtime_close(&in);
        REQUIRE(w.users == w.frees && submits_told == submits_accepted);
    }
    faas_event_release(event);
    event = NULL;
    faas_clock_close(w.clock);
    REQUIRE(atomic_load(&w.memory.blocks) == 0);
    while (block_count > 0)
        free(blocks[--block_count]);
    return 0;
}

/* SPDX-License-Identifier: MIT */
/* model.c - models as functions: one load for all instances, a call's tensors in and out,
 * many calls in one run.
 *
 * A function's `user` is its model: what was registered, and what is loaded while there
 * are instances. An instance's state is what the engine made. */
#include "policy.h"
#include "tensor.h"

#include <faas/batch.h>
#include <faas/clock.h>
#include <faas/invoke.h>

#include <malloc.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct model {
    faas_engine engine;
    faas_model given; /* path and warm-up are copies */
    pthread_mutex_t lock;
    faas_model_stats stats; /* Lock */
    uint64_t trimmed_ns;    /* Lock */
    size_t users;           /* Lock: of what is loaded */
    void *file;             /* Lock: of a path, its bytes */
    void *loaded;
    faas_port inputs[FAAS_TENSORS_MAX],
        outputs[FAAS_TENSORS_MAX]; /* while it is loaded */
    size_t input_count, output_count;
    bool batches;          /* every port has a batch axis, or is the same for all items */
    atomic_bool surprises; /* an output had not the shape that its port says */
};

/* The state of an instance. */
struct instance {
    void *made; /* by the engine */
    uint64_t held;
};

/* A call's tensors in the order of the ports, and where its answer goes. */
struct call {
    faas_tensor *in, *out;
    bool packed; /* the question was a message */
    faas_bytes answer;
    char why[384];
};

/* ---- loading ---- */

static faas_status file_read(const char *path, void **bytes, size_t *size)
{
    FILE *file = fopen(path, "rbe");
    long end = -1;

    *bytes = NULL;
    if (file != NULL && fseek(file, 0, SEEK_END) == 0)
        end = ftell(file);
    if (end < 0 || fseek(file, 0, SEEK_SET) != 0) {
        if (file != NULL)
            (void)fclose(file);
        return faas_error_set(FAAS_ELOAD, "%s: it cannot be read", path);
    }
    *size = (size_t)end;
    *bytes = malloc(*size == 0 ? 1 : *size);
    if (*bytes != NULL && fread(*bytes, 1, *size, file) != *size) {
        free(*bytes);
        *bytes = NULL;
        (void)fclose(file);
        return faas_error_set(FAAS_ELOAD, "%s: it cannot be read to its end", path);
    }
    (void)fclose(file);
    return *bytes != NULL ? FAAS_OK
                          : faas_error_set(FAAS_ENOMEM, "%s: no %zu bytes", path, *size);
}

/* Whether calls can stand side by side: what has no batch axis is the same for all. */
static bool model_batches(const struct model *m)
{
    bool some = false;

    for (size_t i = 0; i < m->input_count; i++)
        some |= m->inputs[i].batch_axis >= 0;
    for (size_t i = 0; i < m->output_count; i++)
        if (m->outputs[i].batch_axis < 0)
            return false;
    return some;
}

static faas_port *port_find(struct model *m, const char *name, size_t size)
{
    for (size_t i = 0; i < m->input_count + m->output_count; i++) {
        faas_port *port =
            i < m->input_count ? &m->inputs[i] : &m->outputs[i - m->input_count];

        if (strlen(port->name) == size && memcmp(port->name, name, size) == 0)
            return port;
    }
    return NULL;
}

/* Lays what the host says of batch axes over the ports. */
static faas_status axes_apply(struct model *m)
{
    const char *at = m->given.batch_axes;

    while (at != NULL && *at != '\0') {
        size_t size = strcspn(at, "=,");
        faas_port *port = port_find(m, at, size);
        const char *digit = at + size + 1;

        if (at[size] != '=' || *digit < '0' || *digit > '9' ||
            (digit[1] != '\0' && digit[1] != ','))
            return faas_error_set(FAAS_EINVAL,
                                  "model.batch_axes: NAME=AXIS is expected "
                                  "at \"%s\"",
                                  at);
        if (port == NULL || (uint32_t)(*digit - '0') >= port->rank)
            return faas_error_set(FAAS_EINVAL,
                                  "model.batch_axes: the model has no \"%.*s\" with a "
                                  "dimension %c",
                                  (int)size, at, *digit);
        port->batch_axis = *digit - '0';
        at = digit[1] == '\0' ? digit + 1 : digit + 2;
    }
    return FAAS_OK;
}

/* Holds: lock. */
static faas_status ports_take(struct model *m)
{
    const faas_port *inputs, *outputs;

    m->engine.ports(m->loaded, &inputs, &m->input_count, &outputs, &m->output_count);
    if (m->input_count > FAAS_TENSORS_MAX || m->output_count > FAAS_TENSORS_MAX)
        return faas_error_set(FAAS_ELOAD, "model: %zu inputs and %zu outputs: over %d",
                              m->input_count, m->output_count, FAAS_TENSORS_MAX);
    memcpy(m->inputs, inputs, m->input_count * sizeof *inputs);
    memcpy(m->outputs, outputs, m->output_count * sizeof *outputs);
    return axes_apply(m);
}

/* Ends what model_load() began, as far as that came. Holds: lock. */
static void model_unload(struct model *m)
{
    if (m->loaded != NULL)
        m->engine.unload(m->loaded);
    m->loaded = NULL;
    free(m->file);
    m->file = NULL;
}

/* Holds: lock. */
static faas_status model_load(struct model *m)
{
    faas_bytes bytes = m->given.bytes;
    uint64_t begun = faas_clock_now(NULL);
    faas_status status = FAAS_OK;

    if (m->given.path != NULL) {
        status = file_read(m->given.path, &m->file, &bytes.size);
        bytes.data = m->file;
    }
    if (status == FAAS_OK)
        status = m->engine.load(&m->given, bytes, m->engine.user, &m->loaded);
    if (status == FAAS_OK)
        status = ports_take(m);
    if (status != FAAS_OK) {
        model_unload(m);
        return status;
    }
    m->batches = model_batches(m);
    m->stats.loads++;
    m->stats.load_ns += faas_clock_now(NULL) - begun;
    return FAAS_OK;
}

/* Becomes a user of the loaded model: whoever comes first loads it, the others wait. */
static faas_status model_take(struct model *m)
{
    faas_status status = FAAS_OK;

    (void)pthread_mutex_lock(&m->lock);
    if (m->users == 0)
        status = model_load(m);
    if (status == FAAS_OK)
        m->users++;
    (void)pthread_mutex_unlock(&m->lock);
    return status;
}

/* Is one no longer, with `instance`, if it had one. What engines free stays with the
 * allocator until it is asked for, which takes up to a millisecond: not more often than
 * ten times a second. */
static void model_drop(struct model *m, const struct instance *instance)
{
    enum { TRIM_NS = 100000000 };
    uint64_t now = faas_clock_now(NULL);
    bool trim;

    (void)pthread_mutex_lock(&m->lock);
    if (instance != NULL) {
        m->stats.instances--;
        m->stats.held_bytes -= instance->held;
    }
    if (--m->users == 0)
        model_unload(m);
    trim = m->trimmed_ns == 0 || now - m->trimmed_ns >= TRIM_NS;
    if (trim)
        m->trimmed_ns = now;
    (void)pthread_mutex_unlock(&m->lock);
    if (trim)
        (void)malloc_trim(0);
}

static void model_free(void *user)
{
    struct model *m = user;

    if (m->engine.release != NULL)
        m->engine.release(m->engine.user);
    (void)pthread_mutex_destroy(&m->lock);
    free((void *)(uintptr_t)m->given.path);
    free((void *)(uintptr_t)m->given.batch_axes);
    free((void *)(uintptr_t)m->given.warm_up.data);
    free(m);
}

/* ---- a call ---- */

/* Only what is read before it is written: a call is large. */
static void call_begin(struct call *call, faas_tensor *in, faas_tensor *out)
{
    call->in = in;
    call->out = out;
    call->why[0] = '\0';
}

/* Puts what came at the ports it is for. The code of the failure, or 0. */
static int call_sort(const struct model *m, struct call *call, const faas_tensor *came,
                     size_t count)
{
    bool there[FAAS_TENSORS_MAX] = {false};

    if (count != m->input_count) {
        (void)snprintf(call->why, sizeof call->why,
                       "%zu inputs were expected, and %zu came", m->input_count, count);
        return FAAS_ETYPE;
    }
    for (size_t i = 0; i < count; i++) {
        size_t at = came[i].name.size == 0 ? i : 0;

        while (came[i].name.size != 0 && at < count &&
               (strlen(m->inputs[at].name) != came[i].name.size ||
                memcmp(m->inputs[at].name, came[i].name.data, came[i].name.size) != 0))
            at++;
        if (at == count || there[at]) {
            (void)snprintf(call->why, sizeof call->why, "input %.*s: %s",
                           came[i].name.size > 64 ? 64 : (int)came[i].name.size,
                           (const char *)came[i].name.data,
                           at == count ? "the model has none of this name"
                                       : "it came twice");
            return FAAS_ETYPE;
        }
        if (!faasi_model_port_fits(&m->inputs[at], &came[i], call->why, sizeof call->why))
            return FAAS_ETYPE;
        there[at] = true;
        call->in[at] = came[i];
    }
    return 0;
}

/* Makes tensors of what came, without a copy where it lies well. */
static int call_read(faas_context *ctx, const struct model *m, faas_bytes input,
                     struct call *call)
{
    faas_tensor came[FAAS_TENSORS_MAX];
    size_t count, unit;

    call->packed = faas_tensors_are(input);
    if (call->packed) {
        if (faas_tensors_view(input, came, FAAS_TENSORS_MAX, &count) != FAAS_OK) {
            (void)snprintf(call->why, sizeof call->why, "%s", faas_error_text());
            return FAAS_ESYNTAX;
        }
        return call_sort(m, call, came, count);
    }
    if (m->input_count != 1) {
        (void)snprintf(call->why, sizeof call->why,
                       "%zu inputs were expected, as a message; %zu bytes came",
                       m->input_count, input.size);
        return FAAS_ETYPE;
    }
    if (!faasi_model_port_guess(&m->inputs[0], input, &call->in[0], call->why,
                                sizeof call->why))
        return FAAS_ETYPE;
    unit = faas_element_size(m->inputs[0].type);
    if ((uintptr_t)input.data % unit != 0) {
        call->in[0].data = faas_alloc(ctx, input.size);
        if (call->in[0].data == NULL)
            return FAAS_ENOMEM;
        memcpy(call->in[0].data, input.data, input.size);
    }
    return 0;
}

/* How many items a call has along the batch axes of its inputs; -1 if they do not agree. */
static int64_t call_items(const struct model *m, const faas_tensor *in)
{
    int64_t items = 0;

    for (size_t i = 0; i < m->input_count; i++) {
        int32_t axis = m->inputs[i].batch_axis;

        if (axis < 0)
            continue;
        if (items != 0 && items != in[i].shape[axis])
            return -1;
        items = in[i].shape[axis];
    }
    return items;
}

/* The shapes of the answer, if the ports say them; `items` along their batch axes. */
static bool outputs_known(const struct model *m, int64_t items, faas_tensor *out)
{
    bool known = !atomic_load_explicit(&m->surprises, memory_order_relaxed);

    for (size_t i = 0; i < m->output_count; i++) {
        const faas_port *port = &m->outputs[i];

        out[i] = (faas_tensor){
            .type = port->type,
            .rank = port->rank,
            .name = {port->name, strlen(port->name)},
        };
        for (uint32_t d = 0; d < port->rank; d++) {
            out[i].shape[d] = port->shape[d];
            if (port->batch_axis == (int32_t)d && items > 0)
                out[i].shape[d] = items;
        }
        known = known && faasi_model_bytes_of(out[i].type, out[i].rank, out[i].shape,
                                              &out[i].bytes);
    }
    return known;
}

/* Room for an answer on the heap of its call; its tensors point there. */
static int answer_make(faas_context *ctx, const struct model *m, struct call *call)
{
    size_t count = m->output_count;
    void *room, *data[FAAS_TENSORS_MAX];
    size_t size;

    if (!call->packed && count == 1) {
        room = faas_alloc(ctx, call->out[0].bytes == 0 ? 1 : (size_t)call->out[0].bytes);
        if (room == NULL)
            return FAAS_ENOMEM;
        if (call->out[0].data != NULL)
            memcpy(room, call->out[0].data, (size_t)call->out[0].bytes);
        call->out[0].data = room;
        call->answer = faas_bytes_of(room, (size_t)call->out[0].bytes);
        return 0;
    }
    size = faas_tensors_size(call->out, count);
    room = size == 0 ? NULL : faas_alloc(ctx, size);
    if (room == NULL || faas_tensors_pack(call->out, count, room, size, data) != FAAS_OK)
        return FAAS_ENOMEM;
    for (size_t i = 0; i < count; i++)
        call->out[i].data = data[i];
    call->answer = faas_bytes_of(room, size);
    return 0;
}

/* Runs what was read, into the answer's place where its shape is known. */
static int call_run(faas_context *ctx, struct model *m, const struct instance *instance,
                    struct call *call)
{
    int64_t items = call_items(m, call->in);
    bool known = outputs_known(m, items, call->out);
    int code;

    if (items < 0) {
        (void)snprintf(call->why, sizeof call->why,
                       "the inputs have different numbers of items");
        return FAAS_ETYPE;
    }
    code = known ? answer_make(ctx, m, call) : 0;
    if (code != 0)
        return code;
    if (m->engine.run(instance->made, call->in, call->out) == FAAS_OK)
        return known ? 0 : answer_make(ctx, m, call);
    if (known) { // or was it that an output is not as its port says?
        for (size_t i = 0; i < m->output_count; i++)
            call->out[i].data = NULL;
        if (m->engine.run(instance->made, call->in, call->out) == FAAS_OK) {
            atomic_store_explicit(&m->surprises, true, memory_order_relaxed);
            return answer_make(ctx, m, call);
        }
    }
    (void)snprintf(call->why, sizeof call->why, "%s", faas_error_text());
    return FAAS_ESYSTEM;
}

/* Answers, or fails; only for want of memory without a reason given. */
static int call_end(faas_context *ctx, const struct call *call, int code)
{
    if (code == 0)
        return faas_reply_as_is(ctx, call->answer);
    return faas_fail(ctx, code, "%s", call->why[0] == '\0' ? "no memory" : call->why);
}

/* A call that comes alone. */
static int call_alone(faas_context *ctx, struct model *m, const struct instance *instance,
                      faas_bytes input)
{
    faas_tensor in[FAAS_TENSORS_MAX], out[FAAS_TENSORS_MAX];
    struct call call;
    int code;

    call_begin(&call, in, out);
    code = call_read(ctx, m, input, &call);
    if (code == 0)
        code = call_run(ctx, m, instance, &call);
    return call_end(ctx, &call, code);
}

static int model_handler(faas_context *ctx, faas_bytes input)
{
    return call_alone(ctx, faas_user(ctx), faas_state(ctx), input);
}

/* ---- many calls ---- */

/* An item of a batch, and its call. */
struct seat {
    struct call call;
    faas_item *item;
    int64_t items;
    bool done;
};

/* Whether two calls can be run as one: alike but along the batch axes. */
static bool calls_match(const struct model *m, const struct call *a, const struct call *b)
{
    for (size_t i = 0; i < m->input_count; i++) {
        const faas_tensor *s = &a->in[i], *t = &b->in[i];
        int32_t axis = m->inputs[i].batch_axis;

        for (uint32_t d = 0; d < s->rank; d++)
            if ((int32_t)d != axis && s->shape[d] != t->shape[d])
                return false;
        if (axis < 0 && memcmp(s->data, t->data, (size_t)s->bytes) != 0)
            return false;
    }
    return true;
}

/* Copies a part between a tensor of all and one of its items: rows of it, along an axis. */
static void rows_copy(const faas_tensor *all, int64_t at, const faas_tensor *one,
                      int32_t axis, bool into_all)
{
    uint64_t outer = 1, inner = faas_element_size(all->type);
    unsigned char *whole = all->data, *part = one->data;
    uint64_t rows = (uint64_t)one->shape[axis], stride;

    for (int32_t d = 0; d < axis; d++)
        outer *= (uint64_t)all->shape[d];
    for (uint32_t d = (uint32_t)axis + 1; d < all->rank; d++)
        inner *= (uint64_t)all->shape[d];
    stride = (uint64_t)all->shape[axis] * inner;
    for (uint64_t o = 0; o < outer; o++) {
        unsigned char *there = whole + o * stride + (uint64_t)at * inner;
        unsigned char *here = part + o * rows * inner;

        memcpy(into_all ? there : here, into_all ? here : there, (size_t)(rows * inner));
    }
}

/* Lays the inputs of some calls side by side. */
static int batch_gather(faas_context *ctx, const struct model *m, struct seat **seats,
                        size_t count, int64_t items, struct call *all)
{
    for (size_t i = 0; i < m->input_count; i++) {
        int32_t axis = m->inputs[i].batch_axis;
        int64_t at = 0;

        all->in[i] = seats[0]->call.in[i];
        if (axis < 0)
            continue;
        all->in[i].shape[axis] = items;
        (void)faasi_model_bytes_of(all->in[i].type, all->in[i].rank, all->in[i].shape,
                                   &all->in[i].bytes);
        all->in[i].data = faas_alloc(ctx, (size_t)all->in[i].bytes);
        if (all->in[i].data == NULL)
            return FAAS_ENOMEM;
        for (size_t s = 0; s < count; s++) {
            rows_copy(&all->in[i], at, &seats[s]->call.in[i], axis, true);
            at += seats[s]->items;
        }
    }
    return 0;
}

/* Gives each call its part of the answer. */
static bool batch_scatter(const struct model *m, struct seat **seats, size_t count,
                          const struct call *all, int64_t items)
{
    int64_t at = 0;

    for (size_t i = 0; i < m->output_count; i++)
        if (all->out[i].rank <= (uint32_t)m->outputs[i].batch_axis ||
            all->out[i].shape[m->outputs[i].batch_axis] != items)
            return false;
    for (size_t s = 0; s < count; s++) {
        struct call *call = &seats[s]->call;
        faas_context *ctx = seats[s]->item->ctx;

        for (size_t i = 0; i < m->output_count; i++) {
            call->out[i] = all->out[i];
            call->out[i].data = NULL;
            call->out[i].shape[m->outputs[i].batch_axis] = seats[s]->items;
            call->out[i].name = faas_str(m->outputs[i].name);
            (void)faasi_model_bytes_of(call->out[i].type, call->out[i].rank,
                                       call->out[i].shape, &call->out[i].bytes);
        }
        seats[s]->item->code = answer_make(ctx, m, call);
        for (size_t i = 0; i < m->output_count && seats[s]->item->code == 0; i++)
            rows_copy(&all->out[i], at, &call->out[i], m->outputs[i].batch_axis, false);
        seats[s]->item->code = call_end(ctx, call, seats[s]->item->code);
        seats[s]->done = true;
        at += seats[s]->items;
    }
    return true;
}

/* Runs those calls in one that match the first; false if they are to run one by one. */
static bool batch_run(faas_context *ctx, struct model *m, const struct instance *instance,
                      struct seat **seats, size_t count)
{
    faas_tensor in[FAAS_TENSORS_MAX], out[FAAS_TENSORS_MAX];
    struct call all;
    int64_t items = 0;

    call_begin(&all, in, out);
    for (size_t s = 0; s < count; s++)
        items += seats[s]->items;
    if (count < 2 || batch_gather(ctx, m, seats, count, items, &all) != 0)
        return false;
    (void)outputs_known(m, items, all.out);
    for (size_t i = 0; i < m->output_count; i++)
        all.out[i].data = NULL; // it is copied from where the engine has it
    return m->engine.run(instance->made, all.in, all.out) == FAAS_OK &&
           batch_scatter(m, seats, count, &all, items);
}

/* Reads an item into a seat. False if it is wrong: then it fails here, alone. */
static bool seat_read(struct model *m, struct seat *seat, faas_item *item)
{
    struct call *call = &seat->call;
    int code = call_read(item->ctx, m, item->input, call);

    seat->item = item;
    seat->items = code == 0 ? call_items(m, call->in) : 0;
    seat->done = false;
    if (code == 0 && seat->items <= 0) {
        code = FAAS_ETYPE;
        (void)snprintf(call->why, sizeof call->why,
                       "the inputs have no items, or different numbers of them");
    }
    if (code != 0)
        item->code = call_end(item->ctx, call, code);
    return code == 0;
}

/* Runs the calls that are like the first one that is not done; those that cannot be run
 * together one by one, so that whichever is to blame fails alone. */
static void batch_step(faas_context *ctx, struct model *m,
                       const struct instance *instance, struct seat *seats, size_t count,
                       struct seat **group)
{
    size_t alike = 0;

    for (size_t i = 0; i < count; i++)
        if (!seats[i].done &&
            (alike == 0 || calls_match(m, &group[0]->call, &seats[i].call)))
            group[alike++] = &seats[i];
    if (batch_run(ctx, m, instance, group, alike))
        return;
    for (size_t i = 0; i < alike; i++) {
        faas_context *own = group[i]->item->ctx;
        int code = call_run(own, m, instance, &group[i]->call);

        group[i]->item->code = call_end(own, &group[i]->call, code);
        group[i]->done = true;
    }
}

static int model_batch(faas_context *ctx, faas_item *items, size_t count)
{
    struct model *m = faas_user(ctx);
    const struct instance *instance = faas_state(ctx);
    size_t ports = m->input_count + m->output_count, good = 0;
    struct seat *seats = NULL, **group;
    faas_tensor *tensors;

    if (count > 1 && m->batches) // one block for all three
        seats = malloc(count * (sizeof *seats + ports * sizeof *tensors + sizeof *group));
    if (seats == NULL) {
        for (size_t i = 0; i < count; i++)
            items[i].code = call_alone(items[i].ctx, m, instance, items[i].input);
        return 0;
    }
    tensors = (faas_tensor *)(void *)(seats + count);
    group = (struct seat **)(void *)(tensors + count * ports);
    for (size_t i = 0; i < count; i++) {
        faas_tensor *own = tensors + good * ports;

        call_begin(&seats[good].call, own, own + m->input_count);
        good += seat_read(m, &seats[good], &items[i]);
    }
    for (size_t i = 0; i < good; i++)
        if (!seats[i].done)
            batch_step(ctx, m, instance, seats, good, group);
    free(seats);
    return 0;
}

/* ---- instances ---- */

/* Calls a new instance once. */
static int warm_up(faas_context *ctx, struct model *m, const struct instance *instance)
{
    return m->given.warm_up.size == 0 ? 0
                                      : call_alone(ctx, m, instance, m->given.warm_up);
}

static void model_close(void *state, void *user)
{
    const struct instance *instance = state;
    struct model *m = user;

    m->engine.close(instance->made);
    model_drop(m, instance);
}

static int model_init(faas_context *ctx, void **state)
{
    struct model *m = faas_user(ctx);
    struct instance *instance = faas_instance_alloc(ctx, sizeof *instance);
    faas_status status;
    int code;

    if (instance == NULL)
        return faas_fail(ctx, FAAS_ENOMEM, "model: no memory");
    status = model_take(m);
    if (status != FAAS_OK)
        return faas_fail(ctx, status, "%s", faas_error_text());
    status = m->engine.open(m->loaded, &instance->made, &instance->held);
    if (status != FAAS_OK) {
        code = faas_fail(ctx, status, "%s", faas_error_text());
        model_drop(m, NULL);
        return code;
    }
    (void)pthread_mutex_lock(&m->lock);
    m->stats.instances++;
    m->stats.held_bytes += instance->held;
    (void)pthread_mutex_unlock(&m->lock);
    *state = instance;
    code = warm_up(ctx, m, instance);
    if (code != 0)
        model_close(instance, m);
    else
        faas_instance_holds(ctx, instance->held);
    return code;
}

/* ---- public ---- */

static void *copy_of(const void *bytes, size_t size)
{
    void *copy = malloc(size == 0 ? 1 : size);

    if (copy != NULL && size != 0)
        memcpy(copy, bytes, size);
    return copy;
}

static faas_status model_make(const faas_engine *engine, const faas_model *given,
                              struct model **out)
{
    struct model *m;

    *out = NULL;
    if (given->size != sizeof *given || engine->size != sizeof *engine)
        return faas_error_set(FAAS_EVERSION,
                              "model: a struct of %zu bytes, an engine of "
                              "%zu: this library knows %zu and %zu",
                              given->size, engine->size, sizeof *given, sizeof *engine);
    if ((given->path == NULL) == (given->bytes.data == NULL))
        return faas_error_set(FAAS_EINVAL, "model: a path or bytes, one of them");
    m = calloc(1, sizeof *m);
    if (m == NULL)
        return faas_error_set(FAAS_ENOMEM, "model: no memory");
    if (pthread_mutex_init(&m->lock, NULL) != 0) {
        free(m);
        return faas_error_set(FAAS_ESYSTEM, "model: no lock");
    }
    m->engine = *engine;
    if (engine->acquire != NULL)
        engine->acquire(engine->user);
    m->given = *given;
    m->given.warm_up.data = copy_of(given->warm_up.data, given->warm_up.size);
    m->given.path =
        given->path == NULL ? NULL : copy_of(given->path, strlen(given->path) + 1);
    m->given.batch_axes = given->batch_axes == NULL
                              ? NULL
                              : copy_of(given->batch_axes, strlen(given->batch_axes) + 1);
    if (m->given.warm_up.data == NULL || (given->path != NULL && m->given.path == NULL) ||
        (given->batch_axes != NULL && m->given.batch_axes == NULL)) {
        model_free(m);
        return faas_error_set(FAAS_ENOMEM, "model: no memory");
    }
    *out = m;
    return FAAS_OK;
}

faas_status faas_model_register(faas_runtime *rt, const faas_engine *engine,
                                const faas_model *given, const faas_function *policy,
                                faas_fn *fn)
{
    static const faas_fn none;
    faas_function function;
    struct model *m;
    faas_status status;

    if (fn != NULL)
        *fn = none;
    status = faasi_model_policy(&function, policy);
    if (status != FAAS_OK)
        return status;
    if (function.handler != NULL || function.batch != NULL || function.init != NULL ||
        function.close != NULL || function.user != NULL || function.user_free != NULL)
        return faas_error_set(FAAS_EINVAL,
                              "model: the policy has a handler, a hook or a user");
    status = model_make(engine, given, &m);
    if (status != FAAS_OK)
        return status;
    function.handler = model_handler;
    if (function.batch_max >= 2)
        function.batch = model_batch;
    else
        function.batch_max = 0;
    function.init = model_init;
    function.close = model_close;
    function.user = m;
    function.user_free = model_free;
    return faas_function_register(rt, &function, fn);
}

static faas_status stats_look(void *user, void *arg)
{
    struct model *m = user;
    faas_model_stats *stats = arg;

    (void)pthread_mutex_lock(&m->lock);
    *stats = m->stats;
    (void)pthread_mutex_unlock(&m->lock);
    stats->size = sizeof *stats;
    return FAAS_OK;
}

faas_status faas_model_stats_get(faas_runtime *rt, faas_fn fn, faas_model_stats *stats)
{
    if (stats->size != sizeof *stats)
        return faas_error_set(FAAS_EINVAL, "stats.size: %zu was not set", stats->size);
    return faas_function_look(rt, fn, model_handler, stats_look, stats);
}

/* What a description is written to; once it failed nothing more is. */
struct writer {
    faas_write *write;
    void *user;
    bool failed;
};

static void put(struct writer *w, const char *format, ...) FAAS_PRINTF(2, 3);

static void put(struct writer *w, const char *format, ...)
{
    char text[128];
    va_list args;
    int size;

    va_start(args, format);
    size = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (size > 0 && !w->failed)
        w->failed = w->write(text, (size_t)size, w->user) != 0;
}

/* A name as a JSON string. */
static void put_name(struct writer *w, const char *name)
{
    put(w, "\"");
    for (; *name != '\0'; name++) {
        unsigned char c = (unsigned char)*name;

        if (c < 0x20 || c == '"' || c == '\\')
            put(w, "\\u%04x", c);
        else
            put(w, "%c", c);
    }
    put(w, "\"");
}

static void put_ports(struct writer *w, const char *what, const faas_port *ports,
                      size_t count)
{
    put(w, "\"%s\":[", what);
    for (size_t i = 0; i < count; i++) {
        const char *type = faas_element_name(ports[i].type);

        put(w, "%s{\"name\":", i == 0 ? "" : ",");
        put_name(w, ports[i].name);
        put(w, ",\"type\":\"%s\",\"shape\":[", type == NULL ? "?" : type);
        for (uint32_t d = 0; d < ports[i].rank; d++) {
            put(w, d == 0 ? "" : ",");
            if (ports[i].shape[d] < 0)
                put(w, "null");
            else
                put(w, "%lld", (long long)ports[i].shape[d]);
        }
        put(w, "],\"batch_axis\":");
        if (ports[i].batch_axis < 0)
            put(w, "null}");
        else
            put(w, "%d}", ports[i].batch_axis);
    }
    put(w, "]");
}

static faas_status describe_look(void *user, void *arg)
{
    struct model *m = user;
    struct writer *w = arg;
    faas_status status = model_take(m);

    if (status != FAAS_OK)
        return status;
    put(w, "{");
    put_ports(w, "inputs", m->inputs, m->input_count);
    put(w, ",");
    put_ports(w, "outputs", m->outputs, m->output_count);
    put(w, "}");
    model_drop(m, NULL);
    return w->failed ? faas_error_set(FAAS_ESYSTEM, "describe: the writer ended it")
                     : FAAS_OK;
}

faas_status faas_model_describe(faas_runtime *rt, faas_fn fn, faas_write *write,
                                void *user)
{
    struct writer w = {write, user, false};

    return faas_function_look(rt, fn, model_handler, describe_look, &w);
}

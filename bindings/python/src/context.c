/* SPDX-License-Identifier: MIT */
/* context.c - Context: what a handler may ask about the invocation that it runs in. */
#include "faasmodule.h"

#include <string.h>

/* Made by hand, for tests, it has values alone: `ctx` is NULL. */
struct context {
    PyObject_HEAD faas_context *ctx; /* while the handler runs */
    const struct runtime *runtime;   /* likewise */
    PyObject *request_id, *function, *tenant, *trace, *state, *event;
    double remaining;
    unsigned attempt;
    bool cancelled;
};

static struct context *of(PyObject *object)
{
    return (struct context *)(void *)object;
}

static PyObject *bytes_text(faas_bytes bytes)
{
    if (bytes.data == NULL)
        Py_RETURN_NONE;
    return PyUnicode_DecodeUTF8(bytes.data, (Py_ssize_t)bytes.size, "replace");
}

PyObject *context_make(struct state *state, struct frame *frame)
{
    struct context *self = PyObject_GC_New(struct context, state->context_type);
    faas_context *ctx = frame->ctx;
    PyObject *instance = faas_state(ctx);
    char id[FAAS_ID_TEXT_SIZE];

    if (self == NULL)
        return NULL;
    faas_id_text(faas_request_id(ctx), id);
    self->ctx = ctx;
    self->runtime = frame->function->runtime;
    self->request_id = PyUnicode_FromString(id);
    self->function = Py_NewRef(frame->function->name);
    self->tenant = bytes_text(faas_tenant(ctx));
    self->trace = bytes_text(faas_trace(ctx));
    self->state = Py_NewRef(instance == NULL ? Py_None : instance);
    self->event = faas_context_event(ctx) == NULL
                      ? Py_NewRef(Py_None)
                      : event_wrap(state, faas_context_event(ctx));
    self->attempt = faas_attempt(ctx);
    self->remaining = 0;
    self->cancelled = false;
    PyObject_GC_Track(self);
    if (self->request_id == NULL || self->tenant == NULL || self->trace == NULL ||
        self->event == NULL)
        Py_CLEAR(self);
    return (PyObject *)self;
}

static double left(faas_context *ctx)
{
    uint64_t ns = faas_time_left_ns(ctx);

    return ns == FAAS_FOREVER ? Py_HUGE_VAL : (double)ns / 1e9;
}

/* The library says so once it closes; an app waits for other calls before it has it do
 * that. */
static bool gives_up(const struct context *self)
{
    return faas_cancelled(self->ctx) || runtime_gives_up(self->runtime);
}

void context_end(PyObject *object)
{
    struct context *self = of(object);

    self->remaining = left(self->ctx);
    self->cancelled = gives_up(self);
    self->ctx = NULL;
    self->runtime = NULL;
}

/* For tests: Context(request_id=..., ...). */
static PyObject *context_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"request_id", "function", "tenant",    "trace",     "state",
                            "event",      "attempt",  "remaining", "cancelled", NULL};
    PyObject *request_id = NULL, *function = NULL, *tenant = Py_None, *trace = Py_None,
             *state = Py_None, *event = Py_None;
    allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    unsigned attempt = 1;
    double remaining = Py_HUGE_VAL;
    int cancelled = 0;
    struct context *self;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|$UUOOOOIdp:Context", names,
                                     &request_id, &function, &tenant, &trace, &state,
                                     &event, &attempt, &remaining, &cancelled))
        return NULL;
    self = (struct context *)(void *)alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->request_id = request_id != NULL
                           ? Py_NewRef(request_id)
                           : PyUnicode_FromString("00000000-0000-0000-0000-000000000000");
    self->function =
        function != NULL ? Py_NewRef(function) : PyUnicode_FromString("test");
    self->tenant = Py_NewRef(tenant);
    self->trace = Py_NewRef(trace);
    self->state = Py_NewRef(state);
    self->event = Py_NewRef(event);
    self->attempt = attempt;
    self->remaining = remaining;
    self->cancelled = cancelled != 0;
    if (self->request_id == NULL || self->function == NULL)
        Py_CLEAR(self);
    return (PyObject *)self;
}

static int context_traverse(PyObject *object, visitproc visit, void *arg)
{
    struct context *self = of(object);

    Py_VISIT(Py_TYPE(object));
    Py_VISIT(self->request_id);
    Py_VISIT(self->function);
    Py_VISIT(self->tenant);
    Py_VISIT(self->trace);
    Py_VISIT(self->state);
    Py_VISIT(self->event);
    return 0;
}

static int context_clear(PyObject *object)
{
    struct context *self = of(object);

    Py_CLEAR(self->request_id);
    Py_CLEAR(self->function);
    Py_CLEAR(self->tenant);
    Py_CLEAR(self->trace);
    Py_CLEAR(self->state);
    Py_CLEAR(self->event);
    return 0;
}

static void context_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);

    PyObject_GC_UnTrack(object);
    (void)context_clear(object);
    PyObject_GC_Del(object);
    Py_DECREF(type);
}

#define OBJECT(name)                                                                     \
    static PyObject *get_##name(PyObject *self, void *closure)                           \
    {                                                                                    \
        (void)closure;                                                                   \
        return Py_XNewRef(of(self)->name);                                               \
    }
OBJECT(request_id)
OBJECT(function)
OBJECT(tenant)
OBJECT(trace)
OBJECT(state)
OBJECT(event)

static PyObject *get_attempt(PyObject *self, void *closure)
{
    (void)closure;
    return PyLong_FromUnsignedLong(of(self)->attempt);
}

static PyObject *get_remaining(PyObject *self, void *closure)
{
    (void)closure;
    return PyFloat_FromDouble(of(self)->ctx != NULL ? left(of(self)->ctx)
                                                    : of(self)->remaining);
}

static PyObject *get_cancelled(PyObject *self, void *closure)
{
    (void)closure;
    return PyBool_FromLong(of(self)->ctx != NULL ? gives_up(of(self))
                                                 : of(self)->cancelled);
}

PyObject *context_current(PyObject *module, PyObject *unused)
{
    struct frame *frame = *gil_frame();
    struct state *state = PyModule_GetState(module);

    (void)unused;
    if (frame == NULL)
        Py_RETURN_NONE;
    if (frame->context == NULL)
        frame->context = context_make(state, frame);
    return Py_XNewRef(frame->context);
}

static PyGetSetDef context_getset[] = {
    {"request_id", get_request_id, NULL,
     "The id of the invocation, as a UUID is written.", NULL},
    {"function", get_function, NULL, "The name of the function that runs.", NULL},
    {"tenant", get_tenant, NULL, "Who asks, as the caller said, or None.", NULL},
    {"trace", get_trace, NULL, "The trace id, the caller's or inherited, or None.", NULL},
    {"state", get_state, NULL, "What the function's init returned for this instance.",
     NULL},
    {"event", get_event, NULL, "The event that this invocation is about, or None.", NULL},
    {"attempt", get_attempt, NULL, "Which try this is, from 1.", NULL},
    {"remaining", get_remaining, NULL,
     "Seconds left before the deadline, 0.0 past it, inf without one. After the handler\n"
     "returned: what was left then.",
     NULL},
    {"cancelled", get_cancelled, NULL,
     "Whether to give up: past the deadline, cancelled, or the app is closing.", NULL},
    {0}};

static PyType_Slot context_slots[] = {
    {Py_tp_doc,
     "What a handler may ask about the invocation that it runs in: faas.context().\n"
     "Can be made by hand, for tests."},
    {Py_tp_new, context_new},
    {Py_tp_traverse, context_traverse},
    {Py_tp_clear, context_clear},
    {Py_tp_dealloc, context_dealloc},
    {Py_tp_getset, context_getset},
    {0, NULL}};

PyType_Spec context_spec = {.name = "faas._faas.Context",
                            .basicsize = sizeof(struct context),
                            .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC |
                                     Py_TPFLAGS_IMMUTABLETYPE,
                            .slots = context_slots};

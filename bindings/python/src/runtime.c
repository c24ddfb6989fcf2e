/* SPDX-License-Identifier: MIT */
/* runtime.c - Runtime: what App is made of. Opening and closing, publishing, numbers. */
#define _GNU_SOURCE // eventfd()
#include "faasmodule.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static struct runtime *of(PyObject *object)
{
    return (struct runtime *)(void *)object;
}

/* ---- who is inside ---- */

/* Whether this thread runs a handler of ours: it may go on calling while we close. */
static bool is_inside(const struct runtime *self)
{
    for (const struct frame *frame = *gil_frame(); frame != NULL; frame = frame->below)
        if (frame->function->runtime == self)
            return true;
    return false;
}

faas_runtime *runtime_use(struct runtime *self)
{
    if (self == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "no app has made it");
        return NULL;
    }
    if (self->rt != NULL && self->fork_mark == fork_count() &&
        (!self->closing || is_inside(self)))
        return self->rt;
    if (self->rt != NULL && self->fork_mark != fork_count())
        PyErr_SetString(PyExc_RuntimeError,
                        "this process was forked: the app's threads are in the parent. "
                        "Make an App in the child");
    else
        (void)raise_status(self->state, FAAS_ECLOSED, "the app is closed", 0);
    return NULL;
}

bool runtime_gives_up(const struct runtime *self)
{
    return self->closing && faas_clock_now(NULL) >= self->tell_ns;
}

bool runtime_alone(const struct runtime *self)
{
    unsigned own = 0; // calls of this thread: each runs one handler

    if (self->waiting != 0 || self->slots_taken != 0 ||
        atomic_load_explicit(&self->events_queued, memory_order_relaxed) != 0)
        return false;
    for (const struct frame *frame = *gil_frame(); frame != NULL; frame = frame->below)
        own += frame->function->runtime == self;
    return self->users == own;
}

void runtime_enter(struct runtime *self, struct gil_call *call, bool may_wait)
{
    self->users++;
    call->kept = !may_wait;
    if (may_wait)
        gil_release(call);
    else
        gil_keep(call);
}

void runtime_leave(struct runtime *self, const struct gil_call *call)
{
    if (call->kept)
        gil_kept(call);
    else
        gil_retake(call);
    if (--self->users == 0 && self->idle != NULL) {
        PyThread_release_lock(self->idle);
        self->idle = NULL;
    }
}

void runtime_wake(struct runtime *self)
{
    uint64_t one = 1;

    if (atomic_exchange(&self->wake_armed, false))
        (void)!write(self->wake_fd, &one, sizeof one);
}

/* An app that is closed needs no loop any more, which would keep it for its own life. */
static int loop_leave(struct runtime *self)
{
    PyObject *loop = self->loop, *done;

    if (loop == NULL || self->rt != NULL)
        return 0;
    self->loop = NULL;
    done = PyObject_CallMethod(loop, "remove_reader", "i", self->wake_fd);
    Py_DECREF(loop);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

/* The event loop calls: something has ended. */
static PyObject *runtime_woken(PyObject *object, PyObject *unused)
{
    struct runtime *self = of(object);
    uint64_t count;

    (void)unused;
    (void)!read(self->wake_fd, &count, sizeof count);
    (void)runtime_drain(self);
    atomic_store(&self->wake_armed, true); // before we look once more
    if (atomic_load(&self->ended) != NULL)
        (void)runtime_drain(self);
    while (PyList_Size(self->to_tell) != 0) {
        PyObject *list = self->to_tell;

        self->to_tell = PyList_New(0);
        if (self->to_tell == NULL) {
            self->to_tell = list;
            return NULL;
        }
        for (Py_ssize_t i = 0; i < PyList_Size(list); i++)
            future_tell((struct future *)(void *)PyList_GetItem(list, i));
        Py_DECREF(list);
    }
    return loop_leave(self) != 0 ? NULL : Py_NewRef(Py_None);
}

/* ---- opening and closing ---- */

/* A REPORT line, on the thread of its call. */
static int on_report(const char *text, size_t size, void *user)
{
    struct runtime *self = user;
    enum gil how = gil_attach(self->interp);
    PyObject *type, *value, *traceback, *line, *done = NULL;

    PyErr_Fetch(&type, &value, &traceback);
    while (size != 0 && text[size - 1] == '\n')
        size--;
    line = PyUnicode_DecodeUTF8(text, (Py_ssize_t)size, "replace");
    if (line != NULL)
        done = PyObject_CallFunctionObjArgs(self->report, line, NULL);
    if (done == NULL)
        PyErr_WriteUnraisable(self->report);
    Py_XDECREF(line);
    Py_XDECREF(done);
    PyErr_Restore(type, value, traceback);
    gil_detach(how);
    return 0;
}

static PyObject *runtime_open(PyObject *object, PyObject *args)
{
    struct runtime *self = of(object);
    faas_runtime_options options = FAAS_RUNTIME_OPTIONS_INIT;
    PyObject *given, *source, *report;
    faas_status status = FAAS_OK;
    struct gil_call gil;
    faas_runtime *rt = NULL;
    int is_virtual;

    if (!PyArg_ParseTuple(args, "O!pUO:_open", &PyDict_Type, &given, &is_virtual, &source,
                          &report))
        return NULL;
    if (self->rt != NULL) {
        PyErr_SetString(PyExc_RuntimeError, "the app is open");
        return NULL;
    }
    if (runtime_options_take(given, &options) != 0)
        return NULL;
    Py_XDECREF(self->source);
    self->source = Py_NewRef(source);
    Py_CLEAR(self->report);
    if (report != Py_None) {
        self->report = Py_NewRef(report);
        options.report = on_report;
        options.report_user = self;
    }
    gil_release(&gil);
    if (is_virtual) {
        status = faas_clock_open_virtual(0, NULL, &self->clock);
        options.clock = self->clock;
        options.worker_min = 0; // whatever it has on the machine's clock
        options.worker_max = FAAS_OFF;
        options.blocking_max = FAAS_OFF;
    }
    if (status == FAAS_OK)
        status = faas_runtime_open(&rt, &options);
    if (status != FAAS_OK && self->clock != NULL) {
        faas_clock_close(self->clock);
        self->clock = NULL;
    }
    gil_retake(&gil);
    if (status != FAAS_OK)
        return raise_last(self->state, status);
    self->rt = rt;
    self->fork_mark = fork_count();
    atomic_store(&self->events_queued, 0);
    Py_RETURN_NONE;
}

/* `begun` is called once nobody else may begin, or is NULL. */
static int close_it(struct runtime *self, uint64_t drain_ns, PyObject *begun)
{
    struct gil_call gil;
    PyThread_type_lock idle = NULL;
    faas_runtime *rt = self->rt;

    if (rt == NULL || self->closing)
        return 0;
    if (self->fork_mark != fork_count()) {
        self->rt = NULL; // it is the parent's
        return 0;
    }
    if (is_inside(self)) {
        (void)raise_status(self->state, FAAS_EPERM,
                           "an app is not closed by one of its handlers", 0);
        return -1;
    }
    self->closing = true;
    self->tell_ns = faas_clock_now(NULL);
    self->tell_ns +=
        drain_ns > FAAS_FOREVER - self->tell_ns ? FAAS_FOREVER - self->tell_ns : drain_ns;
    if (self->users != 0) {
        idle = PyThread_allocate_lock();
        if (idle == NULL) {
            self->closing = false;
            PyErr_NoMemory();
            return -1;
        }
        (void)PyThread_acquire_lock(idle, WAIT_LOCK);
        self->idle = idle;
    }
    if (begun != NULL) {
        PyObject *done = PyObject_CallNoArgs(begun);

        if (done == NULL)
            PyErr_WriteUnraisable(begun);
        Py_XDECREF(done);
    }
    gil_release(&gil);
    if (idle != NULL) {
        (void)PyThread_acquire_lock(idle, WAIT_LOCK);
        PyThread_release_lock(idle);
        PyThread_free_lock(idle);
    }
    (void)faas_runtime_close_with(rt, FAAS_CLOSE(.drain_ns = drain_ns));
    faas_clock_close(self->clock);
    gil_retake(&gil);
    self->rt = NULL;
    self->clock = NULL;
    self->closing = false;
    (void)runtime_drain(self);
    if (self->loop != NULL) { // it leaves us on its own thread
        atomic_store(&self->wake_armed, true);
        runtime_wake(self);
    }
    return 0;
}

static PyObject *runtime_close(PyObject *object, PyObject *args)
{
    unsigned long long drain_ns = 0;
    PyObject *begun = NULL;

    if (!PyArg_ParseTuple(args, "|KO:_close", &drain_ns, &begun) ||
        close_it(of(object), drain_ns, begun) != 0)
        return NULL;
    Py_RETURN_NONE;
}

static void runtime_finalize(PyObject *object)
{
    PyObject *type, *value, *traceback;

    PyErr_Fetch(&type, &value, &traceback);
    if (close_it(of(object), 0, NULL) != 0)
        PyErr_WriteUnraisable(object);
    PyErr_Restore(type, value, traceback);
}

/* ---- publishing ---- */

static PyObject *delivery_make(struct state *state, const faas_delivery *d)
{
    const uint32_t counts[] = {d->matched, d->ran,    d->refused,
                               d->failed,  d->queued, d->repeated};
    PyObject *delivery = PyStructSequence_New(state->delivery_type);

    for (Py_ssize_t i = 0; delivery != NULL && i < 6; i++)
        PyStructSequence_SetItem(delivery, i, PyLong_FromUnsignedLong(counts[i]));
    return delivery;
}

static PyObject *publish(struct runtime *self, faas_runtime *rt, PyObject *event)
{
    PyObject **known = gil_event(), *below = *known;
    faas_delivery delivery;
    struct gil_call gil;
    faas_status status;

    *known = event; // what handlers on this thread get, without making another one
    runtime_enter(self, &gil, !runtime_alone(self));
    status = faas_publish(rt, event_of(event), &delivery);
    runtime_leave(self, &gil);
    *known = below;
    if (status != FAAS_OK)
        return raise_last(self->state, status);
    if (delivery.queued != 0)
        atomic_fetch_add(&self->events_queued, (int)delivery.queued);
    return delivery_make(self->state, &delivery);
}

static PyObject *runtime_emit(PyObject *object, PyObject *const *args, Py_ssize_t count,
                              PyObject *kwnames)
{
    struct runtime *self = of(object);
    faas_runtime *rt = runtime_use(self);
    PyObject *tuple, *attributes = NULL, *wrapped, *result;
    faas_event *event;
    struct gil_call gil;

    if (rt == NULL)
        return NULL;
    if (count != 1 && count != 2) {
        PyErr_SetString(PyExc_TypeError, "emit(type, data=None, /, **attributes)");
        return NULL;
    }
    if (kwnames != NULL) {
        if (call_pack(args, count, kwnames, &tuple, &attributes) != 0)
            return NULL;
        Py_DECREF(tuple);
    }
    event =
        event_make(self->state, self, args[0], count == 2 ? args[1] : NULL, attributes);
    Py_XDECREF(attributes);
    if (event == NULL)
        return NULL;
    wrapped = event_wrap(self->state, event);
    gil_keep(&gil);
    faas_event_release(event);
    gil_kept(&gil);
    if (wrapped == NULL)
        return NULL;
    result = publish(self, rt, wrapped);
    Py_DECREF(wrapped);
    return result;
}

static PyObject *runtime_publish(PyObject *object, PyObject *event)
{
    struct runtime *self = of(object);
    faas_runtime *rt = runtime_use(self);

    if (rt == NULL)
        return NULL;
    if (Py_TYPE(event) != self->state->event_type) {
        PyErr_Format(PyExc_TypeError, "an Event is published, not %R", event);
        return NULL;
    }
    return publish(self, rt, event);
}

static struct function *function_of(struct runtime *self, PyObject *object)
{
    if (PyObject_IsInstance(object, (PyObject *)self->state->function_type) == 1) {
        struct function *f = (struct function *)(void *)object;

        if (f->runtime == self)
            return f;
        PyErr_Format(PyExc_ValueError, "%R is not of this app", object);
        return NULL;
    }
    PyErr_Format(PyExc_TypeError, "a Function is wanted, not %R", object);
    return NULL;
}

/* Has `callback()` called once for every queued run of an event that ends, until it is
 * None. */
static PyObject *runtime_on_ended(PyObject *object, PyObject *args)
{
    struct runtime *self = of(object);
    PyObject *event, *callback, *key;
    int failed;

    if (!PyArg_ParseTuple(args, "O!O:_on_ended", self->state->event_type, &event,
                          &callback))
        return NULL;
    key = PyLong_FromVoidPtr(event_of(event));
    if (key == NULL)
        return NULL;
    failed = callback == Py_None ? PyDict_DelItem(self->awaited, key)
                                 : PyDict_SetItem(self->awaited, key, callback);
    Py_DECREF(key);
    atomic_store(&self->awaited_count, (int)PyDict_Size(self->awaited));
    if (failed != 0)
        return NULL;
    Py_RETURN_NONE;
}

void runtime_event_ended(const faas_record *record, void *user)
{
    struct runtime *self = ((struct function *)user)->runtime;
    PyObject *key, *callback, *done = NULL;
    enum gil how;

    if (record->event == NULL)
        return;
    /* Maybe before it is counted: below zero for a moment is not alone, either. */
    atomic_fetch_sub(&self->events_queued, 1);
    if (atomic_load(&self->awaited_count) == 0)
        return;
    how = gil_attach(self->interp);
    key = PyLong_FromVoidPtr(record->event);
    callback = key == NULL ? NULL : PyDict_GetItemWithError(self->awaited, key);
    if (callback != NULL) {
        Py_INCREF(callback);
        done = PyObject_CallNoArgs(callback);
        Py_DECREF(callback);
    }
    if (PyErr_Occurred())
        PyErr_WriteUnraisable((PyObject *)self);
    Py_XDECREF(done);
    Py_XDECREF(key);
    gil_detach(how);
}

static PyObject *runtime_subscribe(PyObject *object, PyObject *args)
{
    struct runtime *self = of(object);
    faas_runtime *rt = runtime_use(self);
    faas_subscription on = {.size = sizeof on};
    PyObject *target;
    struct function *f;
    struct gil_call gil;
    faas_status status;
    uint64_t id;
    int queued;

    if (rt == NULL ||
        !PyArg_ParseTuple(args, "Ozzp:_subscribe", &target, &on.type, &on.source,
                          &queued) ||
        (f = function_of(self, target)) == NULL)
        return NULL;
    on.queued = (uint32_t)queued;
    runtime_enter(self, &gil, true);
    status = faas_subscribe(rt, f->fn, &on, &id);
    runtime_leave(self, &gil);
    if (status != FAAS_OK)
        return raise_last(self->state, status);
    return PyLong_FromUnsignedLongLong(id);
}

static PyObject *runtime_unsubscribe(PyObject *object, PyObject *args)
{
    struct runtime *self = of(object);
    faas_runtime *rt = runtime_use(self);
    struct gil_call gil;
    faas_status status;
    unsigned long long id;

    if (rt == NULL || !PyArg_ParseTuple(args, "K:_unsubscribe", &id))
        return NULL;
    runtime_enter(self, &gil, true);
    status = faas_unsubscribe(rt, id);
    runtime_leave(self, &gil);
    if (status != FAAS_OK)
        return raise_last(self->state, status);
    Py_RETURN_NONE;
}

static PyObject *runtime_rule_put(PyObject *object, PyObject *args)
{
    struct runtime *self = of(object);
    faas_runtime *rt = runtime_use(self);
    faas_rule_options options = {.size = sizeof options};
    const char *name, *pattern;
    PyObject *target;
    struct function *f;
    struct gil_call gil;
    faas_status status;
    int queued;

    if (rt == NULL ||
        !PyArg_ParseTuple(args, "ssOp:_rule_put", &name, &pattern, &target, &queued) ||
        (f = function_of(self, target)) == NULL)
        return NULL;
    options.queued = (uint32_t)queued;
    runtime_enter(self, &gil, true);
    status = faas_rule_put_with(rt, name, pattern, f->fn, &options);
    runtime_leave(self, &gil);
    if (status != FAAS_OK)
        return raise_last(self->state, status);
    Py_RETURN_NONE;
}

static PyObject *runtime_rule_delete(PyObject *object, PyObject *args)
{
    struct runtime *self = of(object);
    faas_runtime *rt = runtime_use(self);
    struct gil_call gil;
    faas_status status;
    const char *name;

    if (rt == NULL || !PyArg_ParseTuple(args, "s:rule_delete", &name))
        return NULL;
    runtime_enter(self, &gil, true);
    status = faas_rule_delete(rt, name);
    runtime_leave(self, &gil);
    if (status != FAAS_OK)
        return raise_last(self->state, status);
    Py_RETURN_NONE;
}

/* ---- time ---- */

static PyObject *runtime_now(PyObject *object, PyObject *unused)
{
    faas_runtime *rt = runtime_use(of(object));

    (void)unused;
    return rt == NULL ? NULL : PyLong_FromUnsignedLongLong(faas_runtime_now(rt));
}

static PyObject *runtime_advance(PyObject *object, PyObject *args)
{
    struct runtime *self = of(object);
    faas_runtime *rt = runtime_use(self);
    struct gil_call gil;
    faas_status status;
    unsigned long long ns;
    uint64_t ran;

    if (rt == NULL || !PyArg_ParseTuple(args, "K:_advance", &ns))
        return NULL;
    runtime_enter(self, &gil, true);
    status = faas_run_until(rt, faas_runtime_now(rt) + ns, &ran);
    runtime_leave(self, &gil);
    (void)runtime_drain(self);
    if (status != FAAS_OK)
        return raise_last(self->state, status);
    return PyLong_FromUnsignedLongLong(ran);
}

/* ---- numbers ---- */

/* A text that grows, without the lock. */
struct text {
    char *data;
    size_t size, room;
};

static int text_write(const char *piece, size_t size, void *user)
{
    struct text *text = user;

    if (text->size + size > text->room) {
        size_t room = (text->size + size) * 2 + 512;
        char *data = realloc(text->data, room);

        if (data == NULL)
            return -1;
        text->data = data;
        text->room = room;
    }
    memcpy(text->data + text->size, piece, size);
    text->size += size;
    return 0;
}

PyObject *runtime_written(struct runtime *self, faas_fn fn, runtime_writer *write)
{
    faas_runtime *rt = runtime_use(self);
    struct text text = {NULL, 0, 0};
    PyObject *result;
    struct gil_call gil;
    faas_status status;

    if (rt == NULL)
        return NULL;
    runtime_enter(self, &gil, true);
    status = write(rt, fn, text_write, &text);
    runtime_leave(self, &gil);
    result = status == FAAS_OK
                 ? PyUnicode_DecodeUTF8(text.data, (Py_ssize_t)text.size, "replace")
                 : raise_last(self->state, status);
    free(text.data);
    return result;
}

static faas_status write_prometheus(faas_runtime *rt, faas_fn fn, faas_write *write,
                                    void *user)
{
    (void)fn;
    return faas_prometheus(rt, write, user);
}

static faas_status write_description(faas_runtime *rt, faas_fn fn, faas_write *write,
                                     void *user)
{
    (void)fn;
    return faas_describe_json(rt, write, user);
}

static PyObject *runtime_prometheus(PyObject *self, PyObject *unused)
{
    (void)unused;
    return runtime_written(of(self), (faas_fn){0, 0, 0}, write_prometheus);
}

static PyObject *runtime_describe_json(PyObject *self, PyObject *unused)
{
    (void)unused;
    return runtime_written(of(self), (faas_fn){0, 0, 0}, write_description);
}

static PyObject *runtime_async_stats(PyObject *object, PyObject *unused)
{
    struct runtime *self = of(object);
    faas_runtime *rt = runtime_use(self);
    faas_async_stats s = {.size = sizeof s};
    struct gil_call gil;
    faas_status status;

    (void)unused;
    if (rt == NULL)
        return NULL;
    runtime_enter(self, &gil, true);
    status = faas_async_stats_get(rt, (faas_fn){0, 0, 0}, &s);
    runtime_leave(self, &gil);
    if (status != FAAS_OK)
        return raise_last(self->state, status);
    return Py_BuildValue(
        "{sK sK sK sK sK sK sK sK sK sK sK sI sI sI sI sI sK}", "submitted", s.submitted,
        "refused", s.refused, "succeeded", s.succeeded, "exhausted", s.exhausted,
        "expired", s.expired, "cancelled", s.cancelled, "dropped", s.dropped, "retried",
        s.retried, "queued", s.queued, "queued_bytes", s.queued_bytes, "oldest_ns",
        s.oldest_ns, "running", s.running, "quarantined", s.quarantined, "stuck", s.stuck,
        "workers", s.workers, "workers_idle", s.workers_idle, "shared", s.shared);
}

/* ---- the type ---- */

static PyObject *runtime_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    struct state *state = state_of_type(type);
    struct runtime *self;

    (void)args;
    (void)kwargs;
    if (state == NULL)
        return NULL;
    self = (struct runtime *)(void *)alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->state = state;
    self->interp = PyInterpreterState_Get();
    self->slot_free = FUTURE_NO_SLOT;
    self->event_high = faas_clock_now(NULL) * 0x9e3779b97f4a7c15u ^ (uintptr_t)self;
    self->functions = PyDict_New();
    self->to_tell = PyList_New(0);
    self->awaited = PyDict_New();
    self->keyed = PyDict_New();
    self->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (self->wake_fd < 0)
        PyErr_SetFromErrno(PyExc_OSError);
    if (self->functions == NULL || self->to_tell == NULL || self->awaited == NULL ||
        self->keyed == NULL || self->wake_fd < 0) {
        Py_DECREF((PyObject *)self);
        return NULL;
    }
    return (PyObject *)self;
}

static int runtime_traverse(PyObject *object, visitproc visit, void *arg)
{
    struct runtime *self = of(object);

    Py_VISIT(Py_TYPE(object));
    Py_VISIT(self->functions);
    Py_VISIT(self->report);
    Py_VISIT(self->loop);
    Py_VISIT(self->to_tell);
    Py_VISIT(self->awaited);
    Py_VISIT(self->keyed);
    return 0;
}

static int runtime_clear(PyObject *object)
{
    struct runtime *self = of(object);

    if (self->rt != NULL)
        return 0;
    Py_CLEAR(self->functions);
    Py_CLEAR(self->report);
    Py_CLEAR(self->loop);
    Py_CLEAR(self->to_tell);
    Py_CLEAR(self->awaited);
    Py_CLEAR(self->keyed);
    return 0;
}

static void runtime_dealloc(PyObject *object)
{
    struct runtime *self = of(object);
    PyTypeObject *type = Py_TYPE(object);
    freefunc free_it = (freefunc)PyType_GetSlot(type, Py_tp_free);

    PyObject_GC_UnTrack(object);
    (void)close_it(self, 0, NULL); // of no function: each of them holds the runtime
    if (self->weakrefs != NULL)
        PyObject_ClearWeakRefs(object);
    (void)runtime_clear(object);
    Py_CLEAR(self->source);
    if (self->wake_fd > 0)
        (void)close(self->wake_fd);
    PyMem_Free(self->slots);
    free_it(object);
    Py_DECREF(type);
}

static PyObject *get_is_open(PyObject *self, void *closure)
{
    (void)closure;
    return PyBool_FromLong(of(self)->rt != NULL && !of(self)->closing);
}

static PyObject *get_is_virtual(PyObject *self, void *closure)
{
    (void)closure;
    return PyBool_FromLong(of(self)->clock != NULL);
}

static PyGetSetDef runtime_getset[] = {
    {"is_open", get_is_open, NULL, "Whether calls are taken.", NULL},
    {"is_virtual", get_is_virtual, NULL, "Whether its clock is moved by a test.", NULL},
    {0}};

static PyMemberDef runtime_members[] = {{"__weaklistoffset__", T_PYSSIZET,
                                         offsetof(struct runtime, weakrefs), READONLY,
                                         NULL},
                                        {0}};

static PyMethodDef runtime_methods[] = {
    {"_open", runtime_open, METH_VARARGS, NULL},
    {"_close", runtime_close, METH_VARARGS, NULL},
    {"_on_ended", runtime_on_ended, METH_VARARGS, NULL},
    {"_woken", runtime_woken, METH_NOARGS, NULL},
    {"_subscribe", runtime_subscribe, METH_VARARGS, NULL},
    {"_unsubscribe", runtime_unsubscribe, METH_VARARGS, NULL},
    {"_rule_put", runtime_rule_put, METH_VARARGS, NULL},
    {"_rule_delete", runtime_rule_delete, METH_VARARGS, NULL},
    {"_advance", runtime_advance, METH_VARARGS, NULL},
    {"_describe_json", runtime_describe_json, METH_NOARGS, NULL},
    {"_async_stats", runtime_async_stats, METH_NOARGS, NULL},
    {"emit", (PyCFunction)(void (*)(void))runtime_emit, METH_FASTCALL | METH_KEYWORDS,
     "Publishes an event of a type, with data and attributes as of Event.new(), and "
     "runs\n"
     "the handlers that asked for it, on this thread, in their order; those of workers\n"
     "and coroutines are queued. What a handler raises is logged, and counted.\n\n"
     "Returns a Delivery. Raises Invalid for a malformed attribute, Closed. Any thread."},
    {"publish", runtime_publish, METH_O,
     "publish($self, event, /)\n--\n\nPublishes an Event; otherwise as emit()."},
    {"prometheus", runtime_prometheus, METH_NOARGS,
     "prometheus($self, /)\n--\n\nAll numbers in Prometheus' text format, a str."},
    {"now_ns", runtime_now, METH_NOARGS,
     "now_ns($self, /)\n--\n\nThe time of its clock, in nanoseconds."},
    {0}};

static PyType_Slot runtime_slots[] = {{Py_tp_doc, "What faas.App is made of."},
                                      {Py_tp_new, runtime_new},
                                      {Py_tp_finalize, runtime_finalize},
                                      {Py_tp_traverse, runtime_traverse},
                                      {Py_tp_clear, runtime_clear},
                                      {Py_tp_dealloc, runtime_dealloc},
                                      {Py_tp_getset, runtime_getset},
                                      {Py_tp_members, runtime_members},
                                      {Py_tp_methods, runtime_methods},
                                      {0, NULL}};

PyType_Spec runtime_spec = {.name = "faas._faas.Runtime",
                            .basicsize = sizeof(struct runtime),
                            .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE |
                                     Py_TPFLAGS_HAVE_GC,
                            .slots = runtime_slots};

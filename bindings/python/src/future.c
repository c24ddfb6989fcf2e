/* SPDX-License-Identifier: MIT */
/* future.c - Future: a submitted call, waited for or awaited.
 *
 * The invocation holds a reference to its future until it has ended and that was noticed:
 * the end is written down on whatever thread, without Python's lock, and the future pushed
 * on the runtime's stack; whoever has the lock next settles what is there. An event loop is
 * woken through one descriptor, once for all that ended since it looked. */
#include "faasmodule.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct future *of(PyObject *object)
{
    return (struct future *)(void *)object;
}

/* ---- by number ---- */

static int slot_take(struct future *self)
{
    struct runtime *runtime = self->function->runtime;
    struct slot *slot;

    if (runtime->slot_free == FUTURE_NO_SLOT) {
        uint32_t count = runtime->slot_count == 0 ? 64 : runtime->slot_count * 2;
        struct slot *slots = PyMem_Realloc(runtime->slots, count * sizeof *slots);

        if (slots == NULL) {
            PyErr_NoMemory();
            return -1;
        }
        for (uint32_t i = count; i-- > runtime->slot_count;) {
            slots[i] = (struct slot){.generation = 1, .next_free = runtime->slot_free};
            runtime->slot_free = i;
        }
        runtime->slots = slots;
        runtime->slot_count = count;
    }
    self->slot = runtime->slot_free;
    slot = &runtime->slots[self->slot];
    runtime->slot_free = slot->next_free;
    runtime->slots_taken++;
    slot->future = self;
    self->generation = slot->generation;
    return 0;
}

static void slot_give(struct future *self)
{
    struct runtime *runtime = self->function->runtime;
    struct slot *slot = &runtime->slots[self->slot];

    slot->future = NULL;
    slot->generation++;
    slot->next_free = runtime->slot_free;
    runtime->slot_free = self->slot;
    runtime->slots_taken--;
}

struct future *future_find(struct runtime *runtime, uint32_t slot, uint32_t generation)
{
    if (slot >= runtime->slot_count || runtime->slots[slot].generation != generation)
        return NULL;
    return runtime->slots[slot].future;
}

/* ---- the end ---- */

static char *copy_text(const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = size == 1 ? NULL : malloc(size);

    return copy == NULL ? NULL : memcpy(copy, text, size);
}

/* Any thread, without the lock or with it. Who wants to hear at once is told at once. */
static void on_ended(const faas_record *record, void *user)
{
    struct future *self = user, *top;
    struct runtime *runtime = self->function->runtime;
    PyInterpreterState *interp = runtime->interp;

    self->status = record->status;
    self->code = record->code;
    self->message = copy_text(record->error);
    self->response_size = record->response.size;
    self->response = self->small;
    if (self->response_size > sizeof self->small)
        self->response = malloc(self->response_size);
    if (self->response == NULL) {
        self->status = FAAS_ENOMEM;
        self->response_size = 0;
    } else if (self->response_size != 0) {
        memcpy(self->response, record->response.data, self->response_size);
    }
    atomic_store(&self->ended, true);
    top = atomic_load(&runtime->ended);
    do {
        self->next = top;
    } while (!atomic_compare_exchange_weak(&runtime->ended, &top, self));
    /* From here on somebody else may have dropped it; the runtime is there, because it
     * waits for this thread before it goes. */
    if (atomic_load(&runtime->wake_armed))
        runtime_wake(runtime);
    if (atomic_load(&runtime->callbacks) != 0) {
        enum gil how = gil_attach(interp);

        (void)runtime_drain(runtime);
        gil_detach(how);
    }
}

int runtime_drain(struct runtime *self)
{
    struct future *list = atomic_exchange(&self->ended, NULL), *reversed = NULL, *next,
                  *newest = list;

    for (; list != NULL; list = next) {
        next = list->next;
        list->next = reversed;
        reversed = list;
    }
    if (reversed != NULL) {
        if (self->due == NULL)
            self->due = reversed;
        else
            self->due_last->next = reversed;
        self->due_last = newest;
    }
    /* A callback may wait for one of the others, here or on another thread: they are where
     * everybody finds them. */
    while ((next = self->due) != NULL) {
        self->due = next->next;
        future_settle(next);
    }
    return 0;
}

/* ---- those with one key ----
 *
 * While a call with a key is under way, others with it end as it does: the library hands
 * them its bytes and its code. These say which run it was, of the futures that ran last. */

enum { KEYED_RUNS = 8 };

static PyObject *keyed_name(const struct future *self, faas_bytes key)
{
    return Py_BuildValue("(Oy#)", self->function->name, key.data, (Py_ssize_t)key.size);
}

static int keyed_join(struct future *self, faas_bytes key)
{
    PyObject *keyed = self->function->runtime->keyed, *name = keyed_name(self, key),
             *list;
    int failed = 0;

    if (name == NULL)
        return -1;
    list = Py_XNewRef(PyDict_GetItemWithError(keyed, name));
    if (list == NULL && !PyErr_Occurred()) {
        list = Py_BuildValue("[O]", name);
        failed = list == NULL || PyDict_SetItem(keyed, name, list) != 0;
    }
    Py_DECREF(name);
    self->keyed = list;
    return list == NULL || failed ? -1 : 0;
}

/* The last one takes the list along. */
static void keyed_leave(struct future *self)
{
    PyObject *keyed = self->function->runtime->keyed, *list = self->keyed;

    self->keyed = NULL;
    if (list != NULL && keyed != NULL && Py_REFCNT(list) == 2 &&
        PyDict_DelItem(keyed, PyList_GetItem(list, 0)) != 0)
        PyErr_Clear();
    Py_XDECREF(list);
}

int future_ran(struct future *self, faas_context *ctx, int code)
{
    int run;

    if (self->keyed == NULL || self->function->raw)
        return code;
    run = (int)(++self->function->runtime->keyed_runs % INT32_MAX) + 1;
    self->keyed_run = run;
    if ((PyList_Size(self->keyed) > KEYED_RUNS &&
         PyList_SetSlice(self->keyed, 1, 2, NULL) != 0) ||
        PyList_Append(self->keyed, (PyObject *)self) != 0 ||
        (code == 0 && faas_reply(ctx, faas_bytes_of(&run, sizeof run)) != 0))
        PyErr_Clear(); // the others will say that there is no result
    return code == 0 ? 0 : run;
}

/* The future that ran for this one, or NULL; borrowed. */
static struct future *keyed_find(const struct future *self, int run)
{
    for (Py_ssize_t i = self->keyed == NULL ? 0 : PyList_Size(self->keyed); i-- > 1;) {
        struct future *other = of(PyList_GetItem(self->keyed, i));

        if (other->keyed_run == run)
            return other;
    }
    return NULL;
}

/* Takes the result of the one that ran for this one, or what it raised. */
static void keyed_take(struct future *self)
{
    struct future *other;
    int run = self->code;

    if (self->status == FAAS_OK) {
        if (self->response_size != sizeof run)
            return;
        memcpy(&run, self->response, sizeof run);
    }
    other = keyed_find(self, run);
    if (other == NULL || other == self)
        return;
    if (self->status == FAAS_OK) {
        self->result = Py_XNewRef(other->result);
    } else {
        self->type = Py_XNewRef(other->type);
        self->value = Py_XNewRef(other->value);
        self->traceback = Py_XNewRef(other->traceback);
    }
}

/* Makes an exception of how it ended, instead of what is set in it. */
static void exception_make(struct future *self)
{
    struct function *f = self->function;

    if (self->status == FAAS_EHANDLER && self->type == NULL)
        keyed_take(self);
    if (self->status == FAAS_EHANDLER && self->type != NULL)
        return;
    Py_CLEAR(self->type);
    Py_CLEAR(self->value);
    Py_CLEAR(self->traceback);
    (void)raise_status(self->state, self->status, self->message, self->code);
    fetch_into(&self->type, &self->value, &self->traceback);
    if (self->status == FAAS_EINIT && f->init_error != NULL && self->value != NULL)
        PyException_SetCause(self->value, Py_NewRef(f->init_error));
}

/* Makes the result, where it is not there yet. */
static void answer_make(struct future *self)
{
    struct function *f = self->function;

    Py_CLEAR(self->type); // of an attempt before the one that went well
    Py_CLEAR(self->value);
    Py_CLEAR(self->traceback);
    if (f->callable == NULL)
        self->result = symbol_answer(self->state, &f->layout, self->response);
    else if (f->raw)
        self->result = PyBytes_FromStringAndSize((const char *)self->response,
                                                 (Py_ssize_t)self->response_size);
    else if (self->result == NULL)
        keyed_take(self);
    if (self->result == NULL && !PyErr_Occurred())
        PyErr_SetString(PyExc_SystemError, "the call ended without a result");
    if (self->result == NULL)
        fetch_into(&self->type, &self->value, &self->traceback);
}

/* On the loop's own thread. */
void future_tell(struct future *self)
{
    PyObject *waiter = self->waiter, *done;

    self->waiter = NULL;
    if (waiter == NULL)
        return;
    /* The task looks at us itself when it goes on: all it needs is to be woken. */
    done = PyObject_CallMethod(waiter, "done", NULL);
    if (done == Py_False) {
        PyObject *set = PyObject_CallMethod(waiter, "set_result", "O", Py_None);

        if (set == NULL)
            PyErr_WriteUnraisable(waiter);
        Py_XDECREF(set);
    }
    if (done == NULL)
        PyErr_WriteUnraisable(waiter);
    Py_XDECREF(done);
    Py_DECREF(waiter);
}

/* An event loop is not for other threads, and this may be one: it is told by itself. */
static void tell_later(struct future *self)
{
    struct runtime *runtime = self->function->runtime;

    if (PyList_Append(runtime->to_tell, (PyObject *)self) != 0)
        PyErr_WriteUnraisable((PyObject *)self);
    atomic_store(&runtime->wake_armed, true);
    runtime_wake(runtime);
}

static void callbacks_run(struct future *self)
{
    PyObject *callbacks = self->callbacks;

    self->callbacks = NULL;
    if (callbacks == NULL)
        return;
    atomic_fetch_sub(&self->function->runtime->callbacks, 1);
    for (Py_ssize_t i = 0; i < PyList_Size(callbacks); i++) {
        PyObject *callback = PyList_GetItem(callbacks, i);
        PyObject *done = PyObject_CallFunctionObjArgs(callback, self, NULL);

        if (done == NULL)
            PyErr_WriteUnraisable(callback);
        Py_XDECREF(done);
    }
    Py_DECREF(callbacks);
}

void future_settle(struct future *self)
{
    PyObject *type, *value, *traceback;

    PyErr_Fetch(&type, &value, &traceback);
    if (!self->settled) {
        self->running = false;
        self->cancelled = self->status == FAAS_ECANCELLED;
        if (self->status == FAAS_OK) {
            answer_make(self);
        } else {
            Py_CLEAR(self->result);
            exception_make(self);
        }
        /* Only now: making an exception may let another thread have a look. */
        self->settled = true;
        slot_give(self);
        keyed_leave(self);
        Py_CLEAR(self->args);
        Py_CLEAR(self->kwargs);
        Py_CLEAR(self->keep);
        if (self->waiter != NULL)
            tell_later(self);
        callbacks_run(self);
    }
    PyErr_Restore(type, value, traceback);
    Py_DECREF((PyObject *)self); // the invocation's
}

/* ---- submitting ---- */

static int bytes_option(PyObject *options, const char *name, faas_bytes *out)
{
    PyObject *value = options == NULL ? NULL : PyDict_GetItemString(options, name);
    Py_ssize_t size;

    if (value == NULL || value == Py_None)
        return 0;
    if (PyBytes_Check(value)) {
        *out = faas_bytes_of(PyBytes_AsString(value), (size_t)PyBytes_Size(value));
        return 0;
    }
    if (!PyUnicode_Check(value)) {
        PyErr_Format(PyExc_TypeError, "%s is a str or bytes, not %R", name, value);
        return -1;
    }
    out->data = PyUnicode_AsUTF8AndSize(value, &size);
    out->size = (size_t)size;
    return out->data == NULL ? -1 : 0;
}

static int ns_option(PyObject *options, const char *name, uint64_t *out)
{
    PyObject *value = options == NULL ? NULL : PyDict_GetItemString(options, name);

    if (value == NULL || value == Py_None)
        return 0;
    *out = PyLong_AsUnsignedLongLong(value);
    if (PyErr_Occurred()) {
        PyErr_Clear();
        PyErr_Format(PyExc_TypeError, "%s is a number of nanoseconds, not %R", name,
                     value);
        return -1;
    }
    return 0;
}

static int options_read(PyObject *options, faas_submit_options *out)
{
    static const char *const priorities[] = {"high", "normal", "low"};
    PyObject *priority =
        options == NULL ? NULL : PyDict_GetItemString(options, "priority");
    uint64_t weight = 0;

    if (bytes_option(options, "group", &out->group) != 0 ||
        bytes_option(options, "tenant", &out->tenant) != 0 ||
        bytes_option(options, "trace", &out->trace) != 0 ||
        bytes_option(options, "key", &out->key) != 0 ||
        ns_option(options, "limit_ns", &out->limit_ns) != 0 ||
        ns_option(options, "delay_ns", &out->delay_ns) != 0 ||
        ns_option(options, "tenant_weight", &weight) != 0)
        return -1;
    out->tenant_weight = weight > UINT32_MAX ? UINT32_MAX : (uint32_t)weight;
    if (priority == NULL || priority == Py_None)
        return 0;
    for (int i = 0; i < 3; i++)
        if (PyUnicode_Check(priority) &&
            PyUnicode_CompareWithASCIIString(priority, priorities[i]) == 0) {
            out->priority = (faas_priority)(i + 1);
            return 0;
        }
    PyErr_Format(PyExc_ValueError, "priority is \"high\", \"normal\" or \"low\", not %R",
                 priority);
    return -1;
}

/* What a submission hands over; `*block` is to be freed, `*view` released. */
static int input_make(struct future *self, struct ticket *ticket, faas_bytes *input,
                      void **block, Py_buffer *view, bool *viewed)
{
    struct function *f = self->function;

    if (f->callable == NULL) {
        *block = symbol_pack(f, self->args, &self->keep);
        *input = faas_bytes_of(*block, f->layout.size);
        return *block == NULL ? -1 : 0;
    }
    if ((f->raw || f->batch) && (PyTuple_Size(self->args) != 1 || self->kwargs != NULL)) {
        PyErr_Format(PyExc_TypeError, "%U takes one argument a call", f->name);
        return -1;
    }
    if (f->raw) {
        if (PyObject_GetBuffer(PyTuple_GetItem(self->args, 0), view, PyBUF_SIMPLE) != 0)
            return -1;
        *viewed = true;
        *input = faas_bytes_of(view->buf, (size_t)view->len);
        return 0;
    }
    *ticket = (struct ticket){.slot = self->slot, .generation = self->generation};
    *input = faas_bytes_of(ticket, sizeof *ticket);
    return 0;
}

PyObject *future_submit(struct function *f, PyObject *args, PyObject *kwargs,
                        PyObject *options)
{
    faas_runtime *rt = runtime_use(f->runtime);
    faas_submit_options submit = {.size = sizeof submit, .ended = on_ended};
    struct future *self;
    struct ticket ticket;
    struct gil_call gil;
    faas_bytes input;
    faas_status status;
    Py_buffer view;
    bool viewed = false;
    void *block = NULL;

    if (rt == NULL || options_read(options, &submit) != 0)
        return NULL;
    if (kwargs != NULL && f->callable == NULL && PyDict_Size(kwargs) != 0) {
        PyErr_Format(PyExc_TypeError, "%U takes no named arguments", f->name);
        return NULL;
    }
    if (atomic_load_explicit(&f->runtime->ended, memory_order_relaxed) != NULL)
        (void)runtime_drain(f->runtime);
    self = (struct future *)(void *)((allocfunc)PyType_GetSlot(
        f->state->future_type, Py_tp_alloc))(f->state->future_type, 0);
    if (self == NULL)
        return NULL;
    self->state = f->state;
    self->function = (struct function *)(void *)Py_NewRef((PyObject *)f);
    self->args = Py_NewRef(args);
    self->kwargs = kwargs == NULL || PyDict_Size(kwargs) == 0 ? NULL : Py_NewRef(kwargs);
    self->settled = true; // until it is on its way
    if (slot_take(self) != 0) {
        Py_DECREF((PyObject *)self);
        return NULL;
    }
    if ((submit.key.data != NULL && keyed_join(self, submit.key) != 0) ||
        input_make(self, &ticket, &input, &block, &view, &viewed) != 0) {
        keyed_leave(self);
        slot_give(self);
        Py_DECREF((PyObject *)self);
        return NULL;
    }
    self->settled = false;
    submit.ended_user = self;
    Py_INCREF((PyObject *)self); // the invocation's
    runtime_enter(f->runtime, &gil, f->waits);
    status = faas_invoke_async(rt, f->fn, input, &submit, &self->handle);
    runtime_leave(f->runtime, &gil);
    PyMem_Free(block);
    if (viewed)
        PyBuffer_Release(&view);
    if (status == FAAS_OK)
        return (PyObject *)self;
    self->settled = true;
    keyed_leave(self);
    slot_give(self);
    Py_DECREF((PyObject *)self);
    Py_DECREF((PyObject *)self);
    return raise_last(f->state, status);
}

/* ---- waiting ---- */

/* Whether it is over; settles what has ended. */
static bool is_over(struct future *self)
{
    if (!self->settled && atomic_load(&self->ended))
        (void)runtime_drain(self->function->runtime);
    return self->settled;
}

/* Waits for the end. 0 when it is over, 1 when the time is, -1 with an exception. */
static int wait_for_end(struct future *self, uint64_t limit_ns)
{
    struct runtime *runtime = self->function->runtime;
    struct gil_call gil;

    while (!is_over(self)) {
        faas_runtime *rt = runtime->rt;
        faas_status status = FAAS_ECLOSED;

        if (rt != NULL && runtime->clock != NULL) { // nobody but us runs what is due
            runtime_enter(runtime, &gil, true);
            status = faas_run_until(rt, faas_runtime_now(rt), NULL);
            runtime_leave(runtime, &gil);
            if (status == FAAS_OK || status == FAAS_EPERM) // or we are inside a handler
                status = FAAS_EPENDING;
        } else if (rt != NULL && runtime->closing) { // which ends it
            gil_release(&gil);
            (void)usleep(1000);
            gil_retake(&gil);
        } else if (rt != NULL && runtime->fork_mark == fork_count()) {
            runtime_enter(runtime, &gil, true);
            status = faas_invocation_wait(rt, self->handle, limit_ns, NULL);
            /* It is written down right after it has ended, by who ended it. */
            if (status != FAAS_EPENDING && !atomic_load(&self->ended))
                (void)usleep(10);
            runtime_leave(runtime, &gil);
        }
        if (PyErr_CheckSignals() != 0)
            return -1;
        if (is_over(self))
            break;
        if (status == FAAS_EPENDING)
            return 1;
        if (status == FAAS_ECLOSED && runtime->closing)
            return 1;
        if (status != FAAS_EPERM && status != FAAS_ECLOSED && status != FAAS_ENOENT)
            continue; // it is about to be on the stack
        if (runtime_use(runtime) != NULL)
            (void)raise_status(self->state, status, NULL, 0);
        return -1;
    }
    return 0;
}

static PyObject *outcome(struct future *self)
{
    if (self->type == NULL)
        return Py_XNewRef(self->result);
    PyErr_Restore(Py_NewRef(self->type), Py_XNewRef(self->value),
                  Py_XNewRef(self->traceback));
    return NULL;
}

static int timeout_read(PyObject *args, PyObject *kwargs, uint64_t *limit_ns)
{
    static char *names[] = {"timeout", NULL};
    PyObject *timeout = Py_None;
    double seconds;

    *limit_ns = FAAS_FOREVER;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O", names, &timeout))
        return -1;
    if (timeout == Py_None)
        return 0;
    seconds = PyFloat_AsDouble(timeout);
    if (seconds == -1 && PyErr_Occurred())
        return -1;
    *limit_ns = seconds <= 0     ? 0
                : seconds >= 1e9 ? FAAS_FOREVER
                                 : (uint64_t)(seconds * 1e9);
    return 0;
}

/* In pieces, so that Ctrl-C is heard. */
static int wait_politely(struct future *self, uint64_t limit_ns)
{
    const uint64_t piece = 100000000;
    int late;

    do {
        uint64_t ns = limit_ns < piece ? limit_ns : piece;

        late = wait_for_end(self, ns);
        if (limit_ns != FAAS_FOREVER)
            limit_ns -= ns;
    } while (late == 1 && limit_ns != 0 && self->function->runtime->clock == NULL);
    if (late == 1)
        PyErr_SetString(PyExc_TimeoutError,
                        self->function->runtime->clock == NULL
                            ? "the call has not ended yet"
                            : "the call has not ended: move the clock");
    return late == 0 ? 0 : -1;
}

static PyObject *future_result_method(PyObject *object, PyObject *args, PyObject *kwargs)
{
    uint64_t limit_ns;

    if (timeout_read(args, kwargs, &limit_ns) != 0 ||
        wait_politely(of(object), limit_ns) != 0)
        return NULL;
    return outcome(of(object));
}

static PyObject *future_exception(PyObject *object, PyObject *args, PyObject *kwargs)
{
    uint64_t limit_ns;

    if (timeout_read(args, kwargs, &limit_ns) != 0 ||
        wait_politely(of(object), limit_ns) != 0)
        return NULL;
    if (of(object)->value == NULL)
        Py_RETURN_NONE;
    return Py_NewRef(of(object)->value);
}

static PyObject *future_done(PyObject *object, PyObject *unused)
{
    (void)unused;
    return PyBool_FromLong(is_over(of(object)));
}

static PyObject *future_is_cancelled(PyObject *object, PyObject *unused)
{
    (void)unused;
    return PyBool_FromLong(is_over(of(object)) && of(object)->cancelled);
}

static PyObject *future_is_running(PyObject *object, PyObject *unused)
{
    struct future *self = of(object);
    faas_invocation_info info = {.size = sizeof info};
    faas_runtime *rt;

    (void)unused;
    if (is_over(self))
        Py_RETURN_FALSE;
    rt = runtime_use(self->function->runtime);
    if (rt == NULL)
        return NULL;
    if (faas_invocation_describe(rt, self->handle, &info) != FAAS_OK)
        Py_RETURN_FALSE;
    return PyBool_FromLong(info.phase == FAAS_PHASE_RUNNING);
}

static PyObject *future_cancel(PyObject *object, PyObject *unused)
{
    struct future *self = of(object);
    struct runtime *runtime = self->function->runtime;
    struct gil_call gil;
    faas_status status;

    (void)unused;
    if (is_over(self))
        return PyBool_FromLong(self->cancelled);
    if (runtime_use(runtime) == NULL)
        return NULL;
    runtime_enter(runtime, &gil, true);
    status = faas_invocation_cancel(runtime->rt, self->handle);
    runtime_leave(runtime, &gil);
    if (status == FAAS_EPENDING && self->function->run == RUN_LOOP) {
        PyObject *done =
            PyObject_CallFunctionObjArgs(self->state->cancel_loop, self, NULL);

        if (done == NULL)
            return NULL;
        Py_DECREF(done);
    }
    (void)is_over(self);
    return PyBool_FromLong(status == FAAS_OK);
}

static PyObject *future_add_done_callback(PyObject *object, PyObject *callback)
{
    struct future *self = of(object);

    if (!PyCallable_Check(callback)) {
        PyErr_Format(PyExc_TypeError, "a callback is callable; %R is not", callback);
        return NULL;
    }
    if (self->callbacks == NULL) {
        self->callbacks = PyList_New(0);
        if (self->callbacks == NULL)
            return NULL;
        /* Before we look: one of us, and who ends it, sees the other. */
        atomic_fetch_add(&self->function->runtime->callbacks, 1);
    }
    if (PyList_Append(self->callbacks, callback) != 0)
        return NULL;
    if (is_over(self))
        callbacks_run(self);
    Py_RETURN_NONE;
}

/* ---- awaiting ---- */

struct await {
    PyObject_HEAD struct future *future;
    bool waiting;
};

static struct await *await_of(PyObject *object)
{
    return (struct await *)(void *)object;
}

/* Has the loop call us when futures have ended. */
static int loop_bind(struct future *self, PyObject *loop)
{
    struct runtime *runtime = self->function->runtime;
    PyObject *closed, *drain, *done;

    if (runtime->loop == loop)
        return 0;
    if (runtime->loop != NULL) {
        closed = PyObject_CallMethod(runtime->loop, "is_closed", NULL);
        if (closed == NULL)
            return -1;
        Py_DECREF(closed);
        if (closed != Py_True) {
            PyErr_SetString(
                PyExc_RuntimeError,
                "the app's futures are awaited on another event loop already");
            return -1;
        }
        Py_CLEAR(runtime->loop);
    }
    drain = PyObject_GetAttrString((PyObject *)runtime, "_woken");
    if (drain == NULL)
        return -1;
    done = PyObject_CallMethod(loop, "add_reader", "iO", runtime->wake_fd, drain);
    Py_DECREF(drain);
    if (done == NULL)
        return -1;
    Py_DECREF(done);
    runtime->loop = Py_NewRef(loop);
    return 0;
}

/* A future of asyncio, which the task waits for. */
static PyObject *await_begin(struct await *self)
{
    struct future *future = self->future;
    struct runtime *runtime = future->function->runtime;
    PyObject *loop = PyObject_CallNoArgs(future->state->get_running_loop), *waiter;

    if (loop == NULL)
        return NULL;
    if (loop_bind(future, loop) != 0) {
        Py_DECREF(loop);
        return NULL;
    }
    waiter = PyObject_CallMethod(loop, "create_future", NULL);
    Py_DECREF(loop);
    if (waiter == NULL ||
        PyObject_SetAttrString(waiter, "_asyncio_future_blocking", Py_True) != 0) {
        Py_XDECREF(waiter);
        return NULL;
    }
    if (future->waiter != NULL) {
        Py_DECREF(waiter);
        PyErr_SetString(PyExc_RuntimeError, "another task awaits this future");
        return NULL;
    }
    future->waiter = Py_NewRef(waiter);
    self->waiting = true;
    if (future->settled) // by another thread, while Python ran above
        tell_later(future);
    atomic_store(&runtime->wake_armed, true); // before we look: one of us sees the other
    if (atomic_load(&runtime->ended) != NULL)
        runtime_wake(runtime);
    return waiter;
}

static PyObject *await_next(PyObject *object)
{
    struct await *self = await_of(object);
    struct future *future = self->future;
    PyObject *value;

    if (!is_over(future)) {
        if (!self->waiting)
            return await_begin(self);
        PyErr_SetString(PyExc_RuntimeError, "awaited anew before it ended");
        return NULL;
    }
    if (future->cancelled) {
        PyErr_SetNone(future->state->cancelled);
        return NULL;
    }
    value = outcome(future);
    if (value == NULL && PyErr_ExceptionMatches(PyExc_StopIteration)) {
        PyErr_SetString(PyExc_RuntimeError, "the handler raised StopIteration");
        if (future->value != NULL) {
            PyObject *type, *error, *traceback;

            PyErr_Fetch(&type, &error, &traceback);
            PyErr_NormalizeException(&type, &error, &traceback);
            PyException_SetCause(error, Py_NewRef(future->value));
            PyErr_Restore(type, error, traceback);
        }
        return NULL;
    }
    if (value != NULL) {
        PyObject *stop = PyObject_CallFunctionObjArgs(PyExc_StopIteration, value, NULL);

        Py_DECREF(value);
        if (stop != NULL)
            PyErr_SetObject(PyExc_StopIteration, stop);
        Py_XDECREF(stop);
    }
    return NULL;
}

static PyObject *await_send(PyObject *object, PyObject *unused)
{
    (void)unused;
    return await_next(object);
}

/* The task is cancelled, or something else is thrown into it: nobody will ask any more. */
static PyObject *await_throw(PyObject *object, PyObject *args)
{
    struct future *future = await_of(object)->future;
    PyObject *type, *value = NULL, *traceback = NULL, *done;

    if (!PyArg_ParseTuple(args, "O|OO:throw", &type, &value, &traceback))
        return NULL;
    if (await_of(object)->waiting)
        Py_CLEAR(future->waiter);
    done = future_cancel((PyObject *)future, NULL);
    if (done == NULL)
        PyErr_Clear();
    Py_XDECREF(done);
    if (PyType_Check(type)) {
        if (value != NULL && value != Py_None)
            PyErr_SetObject(type, value);
        else
            PyErr_SetNone(type);
    } else {
        PyErr_SetObject((PyObject *)Py_TYPE(type), type);
    }
    return NULL;
}

static PyObject *await_close(PyObject *object, PyObject *unused)
{
    (void)unused;
    if (await_of(object)->waiting)
        Py_CLEAR(await_of(object)->future->waiter);
    Py_RETURN_NONE;
}

static int await_traverse(PyObject *object, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(await_of(object)->future);
    return 0;
}

static void await_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);

    PyObject_GC_UnTrack(object);
    Py_XDECREF((PyObject *)await_of(object)->future);
    PyObject_GC_Del(object);
    Py_DECREF(type);
}

static PyObject *future_await(PyObject *object)
{
    struct await *self = PyObject_GC_New(struct await, of(object)->state->await_type);

    if (self == NULL)
        return NULL;
    self->future = (struct future *)(void *)Py_NewRef(object);
    self->waiting = false;
    PyObject_GC_Track(self);
    return (PyObject *)self;
}

static PyMethodDef await_methods[] = {{"send", await_send, METH_O, NULL},
                                      {"throw", await_throw, METH_VARARGS, NULL},
                                      {"close", await_close, METH_NOARGS, NULL},
                                      {0}};

static PyType_Slot await_slots[] = {
    {Py_tp_iter, PyObject_SelfIter},  {Py_tp_iternext, await_next},
    {Py_tp_traverse, await_traverse}, {Py_tp_dealloc, await_dealloc},
    {Py_tp_methods, await_methods},   {0, NULL}};

PyType_Spec await_spec = {.name = "faas._faas._Await",
                          .basicsize = sizeof(struct await),
                          .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC |
                                   Py_TPFLAGS_DISALLOW_INSTANTIATION |
                                   Py_TPFLAGS_IMMUTABLETYPE,
                          .slots = await_slots};

/* ---- the type ---- */

static int future_traverse(PyObject *object, visitproc visit, void *arg)
{
    struct future *self = of(object);

    Py_VISIT(Py_TYPE(object));
    Py_VISIT(self->function);
    Py_VISIT(self->args);
    Py_VISIT(self->kwargs);
    Py_VISIT(self->keep);
    Py_VISIT(self->keyed);
    Py_VISIT(self->result);
    Py_VISIT(self->type);
    Py_VISIT(self->value);
    Py_VISIT(self->traceback);
    Py_VISIT(self->callbacks);
    Py_VISIT(self->waiter);
    return 0;
}

static int future_clear(PyObject *object)
{
    struct future *self = of(object);

    Py_CLEAR(self->args);
    Py_CLEAR(self->kwargs);
    Py_CLEAR(self->keep);
    Py_CLEAR(self->keyed);
    Py_CLEAR(self->result);
    Py_CLEAR(self->type);
    Py_CLEAR(self->value);
    Py_CLEAR(self->traceback);
    Py_CLEAR(self->callbacks);
    Py_CLEAR(self->waiter);
    return 0;
}

static void future_dealloc(PyObject *object)
{
    struct future *self = of(object);
    PyTypeObject *type = Py_TYPE(object);
    struct runtime *runtime = self->function->runtime;
    struct gil_call gil;

    PyObject_GC_UnTrack(object);
    if (self->weakrefs != NULL)
        PyObject_ClearWeakRefs(object);
    if (runtime->rt != NULL && !runtime->closing && self->handle.generation != 0 &&
        runtime->fork_mark == fork_count()) {
        gil_keep(&gil);
        faas_invocation_release(runtime->rt, self->handle);
        gil_kept(&gil);
    }
    (void)future_clear(object);
    free(self->message);
    if (self->response != self->small)
        free(self->response);
    Py_DECREF((PyObject *)self->function);
    PyObject_GC_Del(object);
    Py_DECREF(type);
}

static PyObject *future_class_getitem(PyObject *type, PyObject *item)
{
    (void)item;
    return Py_NewRef(type);
}

static PyObject *get_function(PyObject *self, void *closure)
{
    (void)closure;
    return Py_NewRef((PyObject *)of(self)->function);
}

static PyGetSetDef future_getset[] = {
    {"function", get_function, NULL, "What was submitted.", NULL}, {0}};

static PyMemberDef future_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(struct future, weakrefs), READONLY, NULL},
    {0}};

static PyMethodDef future_methods[] = {
    {"result", (PyCFunction)(void (*)(void))future_result_method,
     METH_VARARGS | METH_KEYWORDS,
     "result($self, /, timeout=None)\n--\n\n"
     "Waits for the call's result, at most `timeout` seconds, and returns it.\n\n"
     "Raises what the call raised; TimeoutError when it has not ended in time; "
     "Cancelled."},
    {"exception", (PyCFunction)(void (*)(void))future_exception,
     METH_VARARGS | METH_KEYWORDS,
     "exception($self, /, timeout=None)\n--\n\n"
     "Waits likewise, and returns what the call raised, or None."},
    {"done", future_done, METH_NOARGS, "done($self, /)\n--\n\nWhether it has ended."},
    {"cancelled", future_is_cancelled, METH_NOARGS,
     "cancelled($self, /)\n--\n\nWhether it was cancelled before it ended."},
    {"running", future_is_running, METH_NOARGS,
     "running($self, /)\n--\n\nWhether its handler runs now."},
    {"cancel", future_cancel, METH_NOARGS,
     "cancel($self, /)\n--\n\n"
     "Cancels it. True if it will never run (again). If it runs, its context says\n"
     "`cancelled`, a coroutine is cancelled, and this is False."},
    {"add_done_callback", future_add_done_callback, METH_O,
     "add_done_callback($self, callback, /)\n--\n\n"
     "Calls `callback(future)` when it has ended, on the thread where it does, or at "
     "once."},
    {"__class_getitem__", future_class_getitem, METH_O | METH_CLASS, NULL},
    {0}};

static PyType_Slot future_slots[] = {
    {Py_tp_doc, "A submitted call: wait for its result(), or await it. Any thread."},
    {Py_tp_traverse, future_traverse},
    {Py_tp_clear, future_clear},
    {Py_tp_dealloc, future_dealloc},
    {Py_am_await, future_await},
    {Py_tp_getset, future_getset},
    {Py_tp_members, future_members},
    {Py_tp_methods, future_methods},
    {0, NULL}};

PyType_Spec future_spec = {.name = "faas._faas.Future",
                           .basicsize = sizeof(struct future),
                           .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC |
                                    Py_TPFLAGS_DISALLOW_INSTANTIATION |
                                    Py_TPFLAGS_IMMUTABLETYPE,
                           .slots = future_slots};

/* SPDX-License-Identifier: MIT */
/* function.c - Function: a callable of Python as a function of the library.
 *
 * A call hands over no bytes, but a ticket: where on the caller's stack, or in which
 * future, the arguments are and the result goes. Only a function with a response cache, or
 * whose calls share a run, hands over its one argument itself: there the library looks at
 * it. An event comes as it is. */
#include "faasmodule.h"

#include <stddef.h>
#include <string.h>

static struct function *of(PyObject *object)
{
    return (struct function *)(void *)object;
}

/* ---- calling Python ---- */

int call_pack(PyObject *const *args, Py_ssize_t count, PyObject *kwnames,
              PyObject **tuple, PyObject **kwargs)
{
    Py_ssize_t names = kwnames == NULL ? 0 : PyTuple_Size(kwnames);

    *kwargs = NULL;
    *tuple = PyTuple_New(count);
    if (*tuple == NULL)
        return -1;
    for (Py_ssize_t i = 0; i < count; i++)
        if (PyTuple_SetItem(*tuple, i, Py_NewRef(args[i])) != 0)
            goto failed;
    if (names == 0)
        return 0;
    *kwargs = PyDict_New();
    for (Py_ssize_t i = 0; *kwargs != NULL && i < names; i++)
        if (PyDict_SetItem(*kwargs, PyTuple_GetItem(kwnames, i), args[count + i]) != 0)
            goto failed;
    if (*kwargs != NULL)
        return 0;

failed:
    Py_CLEAR(*tuple);
    Py_CLEAR(*kwargs);
    return -1;
}

/* The stable ABI of 3.11 has no vectorcall; few arguments go without a tuple all the
 * same. */
static PyObject *call_python(PyObject *callable, const struct call *call)
{
    PyObject *const *args = call->args;
    PyObject *tuple, *kwargs, *result;

    if (call->tuple != NULL)
        return PyObject_Call(callable, call->tuple, call->kwargs);
    if (call->kwnames == NULL)
        switch (call->count) {
        case 0:
            return PyObject_CallNoArgs(callable);
        case 1:
            return PyObject_CallFunctionObjArgs(callable, args[0], NULL);
        case 2:
            return PyObject_CallFunctionObjArgs(callable, args[0], args[1], NULL);
        case 3:
            return PyObject_CallFunctionObjArgs(callable, args[0], args[1], args[2],
                                                NULL);
        default:
            break;
        }
    if (call_pack(args, call->count, call->kwnames, &tuple, &kwargs) != 0)
        return NULL;
    result = PyObject_Call(callable, tuple, kwargs);
    Py_DECREF(tuple);
    Py_XDECREF(kwargs);
    return result;
}

/* Tells the log what nobody else will hear of: the exception that is set. */
static void log_failure(struct function *f)
{
    PyObject *type, *value, *traceback, *done;

    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    if (value != NULL && traceback != NULL)
        (void)PyException_SetTraceback(value, traceback);
    done = f->state->log == NULL
               ? NULL
               : PyObject_CallFunctionObjArgs(f->state->log, f->name,
                                              value == NULL ? Py_None : value, NULL);
    if (done == NULL)
        PyErr_WriteUnraisable((PyObject *)f);
    Py_XDECREF(done);
    Py_XDECREF(type);
    Py_XDECREF(value);
    Py_XDECREF(traceback);
}

/* Says in the library's words what was raised, and leaves it set. */
static int fail(faas_context *ctx)
{
    PyObject *type, *value, *traceback, *text;
    const char *utf8 = NULL;
    int code;

    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    text = value == NULL ? NULL : PyObject_Str(value);
    if (text != NULL)
        utf8 = PyUnicode_AsUTF8AndSize(text, NULL);
    if (utf8 == NULL)
        PyErr_Clear();
    code = faas_fail(ctx, 1, "%s", utf8 == NULL ? "" : utf8);
    Py_XDECREF(text);
    PyErr_Restore(type, value, traceback);
    return code;
}

/* ---- handlers ---- */

static void frame_push(struct frame *frame, struct function *f, faas_context *ctx)
{
    *frame = (struct frame){.below = *gil_frame(), .function = f, .ctx = ctx};
    *gil_frame() = frame;
}

static void frame_pop(struct frame *frame)
{
    *gil_frame() = frame->below;
    if (frame->context != NULL) {
        context_end(frame->context);
        Py_DECREF(frame->context);
    }
}

/* Runs the callable: here, or on the event loop. */
static PyObject *run(struct function *f, const struct call *call, struct future *future)
{
    PyObject *coroutine = call_python(f->callable, call), *context, *result;

    if (f->run != RUN_LOOP || coroutine == NULL)
        return coroutine;
    context = context_make(f->state, *gil_frame());
    if (context == NULL) {
        Py_DECREF(coroutine);
        return NULL;
    }
    (*gil_frame())->context = context;
    result =
        PyObject_CallFunctionObjArgs(f->state->run_loop, f, coroutine, context,
                                     future == NULL ? Py_None : (PyObject *)future, NULL);
    Py_DECREF(coroutine);
    return result;
}

static int event_run(struct function *f, faas_context *ctx, faas_event *event)
{
    PyObject *known = *gil_event(), *object, *result;
    int code = 0;

    object = known != NULL && event_of(known) == event ? Py_NewRef(known)
                                                       : event_wrap(f->state, event);
    if (object == NULL)
        return fail(ctx);
    result = run(f, &(struct call){.args = &object, .count = 1}, NULL);
    Py_DECREF(object);
    if (result == NULL) {
        code = fail(ctx);
        log_failure(f);
    }
    Py_XDECREF(result);
    return code;
}

/* Output that the library looks at. */
static int raw_reply(faas_context *ctx, PyObject *result)
{
    Py_buffer view;
    int code;

    if (PyObject_GetBuffer(result, &view, PyBUF_SIMPLE) != 0)
        return -1;
    code = faas_reply(ctx, faas_bytes_of(view.buf, (size_t)view.len));
    PyBuffer_Release(&view);
    if (code != 0)
        PyErr_SetString(PyExc_MemoryError, "the answer is over heap_bytes");
    return code;
}

static int raw_run(struct function *f, faas_context *ctx, faas_bytes input)
{
    PyObject *bytes = PyBytes_FromStringAndSize(input.data, (Py_ssize_t)input.size);
    PyObject *result =
        bytes == NULL ? NULL : run(f, &(struct call){.args = &bytes, .count = 1}, NULL);
    struct call *call = *gil_raw_call();
    int code = 0;

    Py_XDECREF(bytes);
    if (result == NULL || raw_reply(ctx, result) != 0) {
        code = fail(ctx);
        if (call != NULL && call->function == f)
            fetch_into(&call->type, &call->value, &call->traceback);
        else
            PyErr_Clear(); // its words go with the answer
    }
    Py_XDECREF(result);
    return code;
}

static int future_run(struct function *f, faas_context *ctx, const struct ticket *ticket)
{
    struct future *future = future_find(f->runtime, ticket->slot, ticket->generation);
    PyObject *args, *kwargs, *result;
    int code = 0;

    if (future == NULL)
        return faas_fail(ctx, 1, "its caller has given up");
    Py_INCREF((PyObject *)future);
    future->running = true;
    /* References of ours: past its deadline a future ends, and lets go of them. */
    args = Py_NewRef(future->args);
    kwargs = Py_XNewRef(future->kwargs);
    result = run(f, &(struct call){.tuple = args, .kwargs = kwargs}, future);
    Py_DECREF(args);
    Py_XDECREF(kwargs);
    if (result == NULL)
        code = fail(ctx);
    if (!atomic_load(&future->ended)) { // else it was late, and its future is over
        if (result == NULL)
            fetch_into(&future->type, &future->value, &future->traceback);
        Py_XDECREF(future->result);
        future->result = result;
    } else {
        Py_XDECREF(result);
    }
    PyErr_Clear();
    code = future_ran(future, ctx, code);
    Py_DECREF((PyObject *)future);
    return code;
}

static int on_call(faas_context *ctx, faas_bytes input)
{
    struct function *f = faas_user(ctx);
    enum gil how = gil_attach(f->runtime->interp);
    faas_event *event = faas_context_event(ctx);
    struct frame frame;
    int code = 0;
    bool drop;

    frame_push(&frame, f, ctx);
    if (event != NULL) {
        code = event_run(f, ctx, event);
    } else if (f->raw) {
        code = raw_run(f, ctx, input);
    } else {
        const struct ticket *ticket = input.data;
        struct call *call = input.size == sizeof *ticket ? ticket->call : NULL;

        if (input.size != sizeof *ticket) {
            code = faas_fail(ctx, 1, "it is called by Python alone");
        } else if (call == NULL) {
            code = future_run(f, ctx, ticket);
        } else {
            call->result = run(f, call, NULL);
            if (call->result == NULL) {
                code = fail(ctx);
                fetch_into(&call->type, &call->value, &call->traceback);
            }
        }
    }
    /* What runs next for our caller may have to wait for who came meanwhile. */
    drop = how == GIL_HELD && !runtime_alone(f->runtime);
    frame_pop(&frame);
    if (drop)
        gil_drop();
    else
        gil_detach(how);
    return code;
}

/* ---- batches ---- */

/* What an item of a batch goes to. */
struct item {
    struct call *call;
    struct future *future; /* a reference */
};

/* The input of an item, a new reference. */
static PyObject *item_input(struct function *f, faas_item *item, struct item *to)
{
    faas_event *event = faas_context_event(item->ctx);
    const struct ticket *ticket = item->input.data;

    *to = (struct item){NULL, NULL};
    if (event != NULL)
        return event_wrap(f->state, event);
    if (f->raw)
        return PyBytes_FromStringAndSize(item->input.data, (Py_ssize_t)item->input.size);
    if (ticket->call != NULL) {
        to->call = ticket->call;
        return Py_NewRef(ticket->call->args[0]);
    }
    to->future = future_find(f->runtime, ticket->slot, ticket->generation);
    if (to->future == NULL)
        return Py_NewRef(Py_None); // nobody looks at what comes of it
    Py_INCREF((PyObject *)to->future);
    return Py_XNewRef(PyTuple_GetItem(to->future->args, 0));
}

/* What came of an item; takes `result`. With NULL an exception is set. */
static void item_done(struct function *f, faas_item *item, struct item *to,
                      PyObject *result)
{
    bool failed = result == NULL;

    if (!failed && f->raw && faas_context_event(item->ctx) == NULL)
        failed = raw_reply(item->ctx, result) != 0;
    if (failed) {
        item->code = fail(item->ctx);
        Py_CLEAR(result);
    }
    if (to->call != NULL) {
        to->call->result = result;
        if (failed)
            fetch_into(&to->call->type, &to->call->value, &to->call->traceback);
    } else if (to->future != NULL && !to->future->settled) {
        Py_XDECREF(to->future->result);
        to->future->result = result;
        if (failed)
            fetch_into(&to->future->type, &to->future->value, &to->future->traceback);
        item->code = future_ran(to->future, item->ctx, item->code);
    } else {
        Py_XDECREF(result);
        if (failed && faas_context_event(item->ctx) != NULL)
            log_failure(f);
        PyErr_Clear();
    }
}

/* Hands every item its result, or what all of them failed with. */
static void batch_share(struct function *f, faas_item *items, struct item *to,
                        size_t count, PyObject *results)
{
    PyObject *type = NULL, *value = NULL, *traceback = NULL;

    if (results == NULL)
        PyErr_Fetch(&type, &value, &traceback);
    for (size_t i = 0; i < count; i++) {
        PyObject *result = NULL;

        if (results == NULL) {
            Py_XINCREF(type);
            Py_XINCREF(value);
            Py_XINCREF(traceback);
            PyErr_Restore(type, value, traceback);
        } else {
            result = PySequence_GetItem(results, (Py_ssize_t)i);
            if (result != NULL && PyObject_IsInstance(result, PyExc_BaseException) == 1) {
                PyErr_SetObject((PyObject *)Py_TYPE(result), result);
                Py_CLEAR(result);
            }
        }
        item_done(f, &items[i], &to[i], result);
    }
    Py_XDECREF(type);
    Py_XDECREF(value);
    Py_XDECREF(traceback);
}

/* Whether there is a result for every item; else an exception is set. */
static bool results_fit(PyObject *results, size_t count)
{
    Py_ssize_t size = PySequence_Check(results) ? PySequence_Size(results) : -1;

    if (size == (Py_ssize_t)count)
        return true;
    PyErr_Clear();
    if (size < 0)
        PyErr_Format(PyExc_TypeError, "a batch returns a sequence of results, not %R",
                     results);
    else
        PyErr_Format(PyExc_ValueError, "a batch of %zu has %zd results", count, size);
    return false;
}

static int on_batch(faas_context *ctx, faas_item *items, size_t count)
{
    struct function *f = faas_user(ctx);
    enum gil how = gil_attach(f->runtime->interp);
    struct item *to = faas_alloc(ctx, count * sizeof *to);
    PyObject *inputs = PyList_New((Py_ssize_t)count), *results = NULL;
    struct frame frame;

    frame_push(&frame, f, ctx);
    if (to == NULL || inputs == NULL) {
        Py_XDECREF(inputs);
        PyErr_Clear();
        frame_pop(&frame);
        gil_detach(how);
        return faas_fail(ctx, FAAS_ENOMEM, "no memory for a batch of %zu", count);
    }
    for (size_t i = 0; i < count; i++) {
        PyObject *input = item_input(f, &items[i], &to[i]);

        if (input == NULL) {
            PyErr_Clear();
            input = Py_NewRef(Py_None);
        }
        (void)PyList_SetItem(inputs, (Py_ssize_t)i, input);
    }
    results = run(f, &(struct call){.args = &inputs, .count = 1}, NULL);
    if (results != NULL && !results_fit(results, count))
        Py_CLEAR(results);
    batch_share(f, items, to, count, results);
    PyErr_Clear();
    for (size_t i = 0; i < count; i++)
        Py_XDECREF((PyObject *)to[i].future);
    Py_XDECREF(results);
    Py_DECREF(inputs);
    frame_pop(&frame);
    gil_detach(how);
    return 0;
}

/* ---- hooks ---- */

static int on_init(faas_context *ctx, void **state)
{
    struct function *f = faas_user(ctx);
    struct frame frame;
    enum gil how;
    int code = 0;

    /* Without a hook without the lock: who waits for this instance may have it. */
    atomic_store(&f->made, true);
    if (f->init == NULL)
        return 0;
    how = gil_attach(f->runtime->interp);
    frame_push(&frame, f, ctx);
    *state = PyObject_CallNoArgs(f->init);
    Py_CLEAR(f->init_error);
    if (*state == NULL) {
        PyObject *type = NULL, *traceback = NULL;

        code = fail(ctx);
        fetch_into(&type, &f->init_error, &traceback);
        Py_XDECREF(type);
        Py_XDECREF(traceback);
    }
    frame_pop(&frame);
    gil_detach(how);
    return code;
}

static void on_close(void *state, void *user)
{
    struct function *f = user;
    enum gil how;
    PyObject *done;

    if (state == NULL && f->close == NULL)
        return;
    how = gil_attach(f->runtime->interp);
    if (f->close != NULL) {
        done =
            PyObject_CallFunctionObjArgs(f->close, state == NULL ? Py_None : state, NULL);
        if (done == NULL)
            log_failure(f);
        Py_XDECREF(done);
    }
    Py_XDECREF(state);
    gil_detach(how);
}

void function_user_free(void *user)
{
    struct function *f = user;
    enum gil how = gil_attach(f->runtime->interp);
    struct runtime *runtime = f->runtime;

    f->registered = false;
    if (f->waits)
        runtime->waiting--;
    f->waits = false;
    if (runtime->functions != NULL &&
        PyDict_GetItemWithError(runtime->functions, f->name) == (PyObject *)f)
        (void)PyDict_DelItem(runtime->functions, f->name);
    PyErr_Clear();
    gil_detach(how);
}

/* ---- registering ---- */

int function_open(struct function *self, PyObject *runtime, PyObject *name)
{
    self->state = state_of_type(Py_TYPE((PyObject *)self));
    if (self->state == NULL)
        return -1;
    if (PyObject_IsInstance(runtime, (PyObject *)self->state->runtime_type) != 1) {
        PyErr_Format(PyExc_TypeError, "an App is wanted, not %R", runtime);
        return -1;
    }
    if (!PyUnicode_Check(name)) {
        PyErr_Format(PyExc_TypeError, "a function's name is a str, not %R", name);
        return -1;
    }
    self->runtime = (struct runtime *)(void *)Py_NewRef(runtime);
    self->name = Py_NewRef(name);
    return 0;
}

/* Whether its callers may have to wait, whoever else is there. */
static bool must_wait(const struct function *self, const faas_function *policy,
                      const faas_async *async)
{
    return self->init != NULL || self->close != NULL || self->batch ||
           policy->on_full == FAAS_FULL_WAIT || policy->instance_concurrency > 1 ||
           (policy->cache_mode & FAAS_CACHE_SINGLE_FLIGHT) != 0 ||
           async->on_queue_full == FAAS_QUEUE_WAIT ||
           async->on_queue_full == FAAS_QUEUE_RUN_HERE;
}

static void waits_set(struct function *self, bool waits)
{
    if (waits && !self->waits)
        self->runtime->waiting++;
    self->waits = self->waits || waits;
}

/* The name, for the library, and a place among the runtime's. */
int function_registering(struct function *self, struct policy *policy)
{
    Py_ssize_t size;
    const char *name = PyUnicode_AsUTF8AndSize(self->name, &size);

    if (name == NULL)
        return -1;
    if (strlen(name) != (size_t)size) {
        PyErr_SetString(PyExc_ValueError, "a function's name has no NUL");
        return -1;
    }
    if (PyDict_GetItemWithError(self->runtime->functions, self->name) != NULL) {
        (void)raise_status(self->state, FAAS_EEXIST, name, 0);
        return -1;
    }
    if (PyErr_Occurred() ||
        PyDict_SetItem(self->runtime->functions, self->name, (PyObject *)self) != 0)
        return -1;
    policy->function.name = name;
    policy->function.user = self;
    policy->function.user_free = function_user_free;
    waits_set(self, must_wait(self, &policy->function, &policy->async));
    self->registered = true;
    return 0;
}

static PyObject *function_register(PyObject *object, PyObject *options)
{
    struct function *self = of(object);
    faas_runtime *rt = runtime_use(self->runtime);
    struct policy policy;
    struct gil_call call;
    faas_status status;

    if (rt == NULL || policy_take(options, &policy) != 0)
        return NULL;
    self->raw = policy.function.cache_bytes != 0 || policy.function.cache_mode != 0;
    if (self->run == RUN_LOOP && policy.async.blocking == 0)
        policy.async.blocking = 1;
    if (self->run != RUN_INLINE) {
        policy.async.on_success =
            (faas_destination){.ended = runtime_event_ended, .user = self};
        policy.async.on_failure = policy.async.on_success;
    }
    policy.function.handler = self->batch ? NULL : on_call;
    policy.function.batch = self->batch ? on_batch : NULL;
    policy.function.init = on_init;
    policy.function.close = on_close;
    if (function_registering(self, &policy) != 0)
        return NULL;
    runtime_enter(self->runtime, &call, true);
    status = faas_function_register(rt, &policy.function, &self->fn);
    runtime_leave(self->runtime, &call);
    if (status != FAAS_OK)
        return raise_last(self->state, status);
    Py_RETURN_NONE;
}

PyObject *function_update(PyObject *object, PyObject *args, PyObject *kwargs)
{
    struct function *self = of(object);
    faas_runtime *rt = runtime_use(self->runtime);
    struct policy policy;
    struct gil_call call;
    faas_status status;

    if (rt == NULL || !PyArg_ParseTuple(args, ":update") ||
        policy_take(kwargs, &policy) != 0)
        return NULL;
    policy.function.async = NULL;
    waits_set(self, must_wait(self, &policy.function, &policy.async));
    runtime_enter(self->runtime, &call, true);
    status = faas_function_update(rt, self->fn, &policy.function);
    runtime_leave(self->runtime, &call);
    if (status != FAAS_OK)
        return raise_last(self->state, status);
    Py_RETURN_NONE;
}

PyObject *function_unregister(PyObject *object, PyObject *unused)
{
    struct function *self = of(object);
    faas_runtime *rt = runtime_use(self->runtime);
    struct gil_call call;
    faas_status status;

    (void)unused;
    if (rt == NULL)
        return NULL;
    Py_INCREF((PyObject *)self);
    runtime_enter(self->runtime, &call, true);
    status = faas_function_unregister(rt, self->fn);
    runtime_leave(self->runtime, &call);
    Py_DECREF((PyObject *)self);
    if (status != FAAS_OK)
        return raise_last(self->state, status);
    Py_RETURN_NONE;
}

/* ---- invoking ---- */

/* What came of a call that went through the library. */
static PyObject *call_result(struct function *self, struct call *call, faas_status status)
{
    if (status == FAAS_OK) {
        if (call->result == NULL)
            PyErr_SetString(PyExc_SystemError, "the handler ran elsewhere");
        return call->result;
    }
    Py_CLEAR(call->result);
    if (status == FAAS_EHANDLER && call->type != NULL) {
        PyErr_Restore(call->type, call->value, call->traceback);
        return NULL;
    }
    Py_XDECREF(call->type);
    Py_XDECREF(call->value);
    Py_XDECREF(call->traceback);
    (void)raise_last(self->state, status);
    if (status == FAAS_EINIT && self->init_error != NULL) {
        PyObject *type, *value, *traceback;

        PyErr_Fetch(&type, &value, &traceback);
        PyErr_NormalizeException(&type, &value, &traceback);
        PyException_SetCause(value, Py_NewRef(self->init_error));
        PyErr_Restore(type, value, traceback);
    }
    return NULL;
}

static PyObject *invoke_raw(struct function *self, faas_runtime *rt,
                            PyObject *const *args, Py_ssize_t count, PyObject *kwnames)
{
    struct call call = {.function = self}, *below = *gil_raw_call();
    faas_result *result = NULL;
    PyObject *answer = NULL;
    struct gil_call gil;
    faas_status status;
    Py_buffer view;

    if (count != 1 || kwnames != NULL) {
        PyErr_Format(PyExc_TypeError,
                     "%U has a response cache, or shares runs: it takes one argument, "
                     "bytes",
                     self->name);
        return NULL;
    }
    if (PyObject_GetBuffer(args[0], &view, PyBUF_SIMPLE) != 0)
        return NULL;
    *gil_raw_call() = &call;
    runtime_enter(self->runtime, &gil, true);
    status =
        faas_invoke(rt, self->fn, faas_bytes_of(view.buf, (size_t)view.len), 0, &result);
    runtime_leave(self->runtime, &gil);
    *gil_raw_call() = below;
    PyBuffer_Release(&view);
    if (status == FAAS_OK) {
        faas_bytes bytes = faas_result_bytes(result);

        answer = PyBytes_FromStringAndSize(bytes.data, (Py_ssize_t)bytes.size);
    } else if (status == FAAS_EHANDLER && call.type == NULL) {
        (void)raise_status(self->state, status, faas_result_message(result),
                           faas_result_code(result));
    } else {
        answer = call_result(self, &call, status);
    }
    faas_result_release(result);
    return answer;
}

static PyObject *function_invoke(PyObject *object, PyObject *const *args,
                                 Py_ssize_t count, PyObject *kwnames)
{
    struct function *self = of(object);
    faas_runtime *rt = runtime_use(self->runtime);
    struct call call = {
        .function = self, .args = args, .count = count, .kwnames = kwnames};
    struct ticket ticket = {.call = &call};
    faas_bytes input = faas_bytes_of(&ticket, sizeof ticket);
    struct gil_call gil;
    faas_status status;

    if (rt == NULL)
        return NULL;
    if (self->raw)
        return invoke_raw(self, rt, args, count, kwnames);
    if (self->batch && (count != 1 || kwnames != NULL)) {
        PyErr_Format(PyExc_TypeError, "%U takes batches: one argument a call",
                     self->name);
        return NULL;
    }
    runtime_enter(self->runtime, &gil, !runtime_alone(self->runtime));
    status = faas_invoke(rt, self->fn, input, 0, NULL);
    runtime_leave(self->runtime, &gil);
    if (status == FAAS_OK && call.result != NULL)
        return call.result;
    return call_result(self, &call, status);
}

PyObject *function_submit(PyObject *object, PyObject *args, PyObject *kwargs)
{
    return future_submit(of(object), args, kwargs, NULL);
}

PyObject *function_submit_with(PyObject *object, PyObject *args, PyObject *kwargs)
{
    PyObject *call_args, *call_kwargs;

    if (!PyArg_ParseTuple(args, "O!O!:submit_with", &PyTuple_Type, &call_args,
                          &PyDict_Type, &call_kwargs))
        return NULL;
    return future_submit(of(object), call_args,
                         PyDict_Size(call_kwargs) == 0 ? NULL : call_kwargs, kwargs);
}

static PyObject *function_call(PyObject *object, PyObject *args, PyObject *kwargs)
{
    if (of(object)->callable == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "no app has made it");
        return NULL;
    }
    return PyObject_Call(of(object)->callable, args, kwargs);
}

/* ---- numbers ---- */

static int put(PyObject *dict, const char *name, PyObject *value)
{
    int failed = value == NULL || PyDict_SetItemString(dict, name, value) != 0;

    Py_XDECREF(value);
    return failed;
}

PyObject *function_stats(PyObject *object, PyObject *unused)
{
    struct function *self = of(object);
    faas_runtime *rt = runtime_use(self->runtime);
    faas_function_stats s = {.size = sizeof s};
    faas_histogram *latency;
    struct gil_call gil;
    faas_status status;
    PyObject *dict;
    int failed = 0;

    (void)unused;
    if (rt == NULL)
        return NULL;
    latency = PyMem_Calloc(1, sizeof *latency);
    if (latency == NULL)
        return PyErr_NoMemory();
    runtime_enter(self->runtime, &gil, true);
    status = faas_function_stats_get(rt, self->fn, &s, latency);
    runtime_leave(self->runtime, &gil);
    dict = status == FAAS_OK ? PyDict_New() : raise_last(self->state, status);
    if (dict != NULL) {
#define COUNT(name) failed |= put(dict, #name, PyLong_FromUnsignedLongLong(s.name))
#define REAL(name) failed |= put(dict, #name, PyFloat_FromDouble(s.name))
        COUNT(invocations);
        COUNT(errors);
        COUNT(timeouts);
        COUNT(throttles);
        COUNT(cold_starts);
        COUNT(init_errors);
        COUNT(evictions);
        COUNT(run_ns);
        COUNT(wait_ns);
        COUNT(init_ns);
        COUNT(peak_bytes_max);
        REAL(billed_gb_s);
        REAL(used_byte_s);
        COUNT(concurrency);
        COUNT(concurrency_peak);
        COUNT(batches);
        COUNT(batched);
        COUNT(cache_hits);
        COUNT(cache_misses);
        COUNT(cache_shared);
        COUNT(cache_bytes);
        COUNT(cache_count);
        COUNT(batch_waiting);
        COUNT(prewarms);
        COUNT(sheds);
        COUNT(limit);
        COUNT(waiting);
#undef COUNT
#undef REAL
        failed |= put(dict, "p50_ns",
                      PyLong_FromUnsignedLongLong(faas_histogram_quantile(latency, 0.5)));
        failed |=
            put(dict, "p99_ns",
                PyLong_FromUnsignedLongLong(faas_histogram_quantile(latency, 0.99)));
        if (failed)
            Py_CLEAR(dict);
    }
    PyMem_Free(latency);
    return dict;
}

/* ---- the type ---- */

static int function_init(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"app", "callable", "name", "run", "batch", NULL};
    struct function *self = of(object);
    PyObject *runtime, *callable, *name;
    int batch = 0, run_kind = RUN_INLINE;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOO|ip:Function", names, &runtime,
                                     &callable, &name, &run_kind, &batch))
        return -1;
    if (!PyCallable_Check(callable)) {
        PyErr_Format(PyExc_TypeError, "a handler is callable; %R is not", callable);
        return -1;
    }
    if (self->runtime != NULL) {
        PyErr_SetString(PyExc_RuntimeError, "it is made already");
        return -1;
    }
    if (function_open(self, runtime, name) != 0)
        return -1;
    self->callable = Py_NewRef(callable);
    self->run = run_kind == RUN_LOOP     ? RUN_LOOP
                : run_kind == RUN_WORKER ? RUN_WORKER
                                         : RUN_INLINE;
    self->batch = batch != 0;
    return 0;
}

static PyObject *function_hooks(PyObject *object, PyObject *args)
{
    struct function *self = of(object);
    PyObject *init, *close;

    if (!PyArg_ParseTuple(args, "OO:_hooks", &init, &close))
        return NULL;
    if ((init != Py_None && !PyCallable_Check(init)) ||
        (close != Py_None && !PyCallable_Check(close))) {
        PyErr_SetString(PyExc_TypeError, "a hook is callable");
        return NULL;
    }
    if (atomic_load(&self->made)) {
        PyErr_Format(PyExc_RuntimeError,
                     "%U has an instance already: set its hooks before its first call, "
                     "or hand them over when it is made",
                     self->name);
        return NULL;
    }
    if (init != Py_None) {
        Py_XDECREF(self->init);
        self->init = Py_NewRef(init);
    }
    if (close != Py_None) {
        Py_XDECREF(self->close);
        self->close = Py_NewRef(close);
    }
    if (self->registered)
        waits_set(self, true);
    Py_RETURN_NONE;
}

int function_traverse(PyObject *object, visitproc visit, void *arg)
{
    struct function *self = of(object);

    Py_VISIT(Py_TYPE(object));
    Py_VISIT(self->runtime);
    Py_VISIT(self->callable);
    Py_VISIT(self->init);
    Py_VISIT(self->close);
    Py_VISIT(self->init_error);
    return 0;
}

/* The runtime stays: futures ask for it to the last. It breaks the cycle itself. */
int function_clear(PyObject *object)
{
    struct function *self = of(object);

    if (self->registered) // the runtime goes first, and takes it along
        return 0;
    Py_CLEAR(self->callable);
    Py_CLEAR(self->init);
    Py_CLEAR(self->close);
    Py_CLEAR(self->init_error);
    return 0;
}

void function_dealloc(PyObject *object)
{
    struct function *self = of(object);
    PyTypeObject *type = Py_TYPE(object);
    freefunc free_it = (freefunc)PyType_GetSlot(type, Py_tp_free);

    PyObject_GC_UnTrack(object);
    if (self->weakrefs != NULL)
        PyObject_ClearWeakRefs(object);
    (void)function_clear(object);
    Py_CLEAR(self->runtime);
    Py_CLEAR(self->name);
    PyMem_Free(self->signature);
    free_it(object);
    Py_DECREF(type);
}

static PyObject *get_name(PyObject *self, void *closure)
{
    (void)closure;
    return Py_NewRef(of(self)->name == NULL ? Py_None : of(self)->name);
}

static PyObject *get_app(PyObject *self, void *closure)
{
    PyObject *runtime = (PyObject *)of(self)->runtime;

    (void)closure;
    return Py_NewRef(runtime == NULL ? Py_None : runtime);
}

static PyObject *get_wrapped(PyObject *self, void *closure)
{
    (void)closure;
    if (of(self)->callable == NULL) {
        PyErr_SetString(PyExc_AttributeError, "__wrapped__");
        return NULL;
    }
    return Py_NewRef(of(self)->callable);
}

PyGetSetDef function_getset[] = {
    {"name", get_name, NULL, "Its name in the app.", NULL},
    {"app", get_app, NULL, "The app that it belongs to.", NULL},
    {"__wrapped__", get_wrapped, NULL, "What was decorated.", NULL},
    {0}};

PyMemberDef function_members[] = {{"__weaklistoffset__", T_PYSSIZET,
                                   offsetof(struct function, weakrefs), READONLY, NULL},
                                  {0}};

static PyObject *function_class_getitem(PyObject *type, PyObject *item)
{
    (void)item;
    return Py_NewRef(type);
}

static PyMethodDef function_methods[] = {
    {"invoke", (PyCFunction)(void (*)(void))function_invoke,
     METH_FASTCALL | METH_KEYWORDS,
     "Calls it through the app, on this thread: limits, a warm instance, a deadline,\n"
     "meters. What it raises comes through unchanged.\n\n"
     "Raises Throttled when a limit is reached (it did not run), Timeout when it came\n"
     "back late, InitError, Closed. Any thread. Nanoseconds more than a plain call."},
    {"submit", (PyCFunction)(void (*)(void))function_submit, METH_VARARGS | METH_KEYWORDS,
     "Calls it on a worker of the app, and returns a Future at once.\n\n"
     "Raises Throttled when its queue is full, Closed. Any thread."},
    {"_submit_with", (PyCFunction)(void (*)(void))function_submit_with,
     METH_VARARGS | METH_KEYWORDS, NULL},
    {"_register", function_register, METH_O, NULL},
    {"__class_getitem__", function_class_getitem, METH_O | METH_CLASS, NULL},
    {"_hooks", function_hooks, METH_VARARGS, NULL},
    {"update", (PyCFunction)(void (*)(void))function_update, METH_VARARGS | METH_KEYWORDS,
     "Changes its policy while calls run: the options of app.function() from\n"
     "`concurrency` to `instance_bytes`, `prewarm`, budgets, `limiter`, batches, cache."},
    {"unregister", function_unregister, METH_NOARGS,
     "unregister($self, /)\n--\n\n"
     "Removes it from the app: calls are refused with NotFound, its instances closed.\n"
     "Waits for the calls that run."},
    {"stats", function_stats, METH_NOARGS,
     "stats($self, /)\n--\n\n"
     "Its numbers, a new dict: invocations, errors, throttles, cold_starts, p50_ns and\n"
     "so on; times in nanoseconds."},
    {0}};

static PyType_Slot function_slots[] = {
    {Py_tp_doc, "A callable as a function of an app. Calling it is calling what was\n"
                "decorated; invoke() and submit() go through the app."},
    {Py_tp_init, function_init},
    {Py_tp_new, PyType_GenericNew},
    {Py_tp_call, function_call},
    {Py_tp_traverse, function_traverse},
    {Py_tp_clear, function_clear},
    {Py_tp_dealloc, function_dealloc},
    {Py_tp_getset, function_getset},
    {Py_tp_members, function_members},
    {Py_tp_methods, function_methods},
    {0, NULL}};

PyType_Spec function_spec = {.name = "faas._faas.Function",
                             .basicsize = sizeof(struct function),
                             .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE |
                                      Py_TPFLAGS_HAVE_GC,
                             .slots = function_slots};

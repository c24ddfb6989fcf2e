/* SPDX-License-Identifier: MIT */
/* event.c - Event: a CloudEvents envelope, and its data as a buffer that keeps it. */
#include "faasmodule.h"

#include <stdio.h>
#include <string.h>

struct event {
    PyObject_HEAD struct state *state;
    faas_event *event;
};

/* Below this a copy is cheaper than what holds the buffer. */
enum { COPY_BELOW = 4096 };

faas_event *event_of(PyObject *object)
{
    return ((struct event *)(void *)object)->event;
}

PyObject *event_wrap(struct state *state, faas_event *event)
{
    struct event *self = PyObject_New(struct event, state->event_type);

    if (self == NULL)
        return NULL;
    self->state = state;
    self->event = faas_event_acquire(event);
    return (PyObject *)self;
}

static void event_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    struct gil_call call;

    gil_keep(&call);
    faas_event_release(event_of(object));
    gil_kept(&call);
    PyObject_Free(object);
    Py_DECREF(type);
}

/* ---- data ---- */

/* Data that is somebody's buffer. */
struct hold {
    Py_buffer buffer;
    PyInterpreterState *interp;
};

static void hold_free(void *data, size_t size, void *user)
{
    struct hold *hold = user;
    enum gil how = gil_attach(hold->interp);

    (void)data;
    (void)size;
    PyBuffer_Release(&hold->buffer);
    PyMem_Free(hold);
    gil_detach(how);
}

static const char *attribute_text(const char *name, PyObject *value)
{
    const char *text;
    Py_ssize_t size;

    if (!PyUnicode_Check(value)) {
        PyErr_Format(PyExc_TypeError, "%s is a str, not %R", name, value);
        return NULL;
    }
    text = PyUnicode_AsUTF8AndSize(value, &size);
    if (text != NULL && strlen(text) != (size_t)size) {
        PyErr_Format(PyExc_ValueError, "%s has no NUL: %R", name, value);
        return NULL;
    }
    return text;
}

/* An extension's value. `*text` is what it has to be freed with. */
static int extension_read(PyObject *value, faas_extension *extension)
{
    if (PyBool_Check(value)) {
        extension->type = FAAS_EXTENSION_BOOLEAN;
        extension->integer = value == Py_True;
    } else if (PyLong_Check(value)) {
        long number = PyLong_AsLong(value);

        if ((number == -1 && PyErr_Occurred()) || number < INT32_MIN ||
            number > INT32_MAX) {
            PyErr_Format(PyExc_ValueError, "%s has 32 bits, not %R", extension->name,
                         value);
            return -1;
        }
        extension->type = FAAS_EXTENSION_INTEGER;
        extension->integer = (int32_t)number;
    } else if (PyBytes_Check(value)) {
        extension->type = FAAS_EXTENSION_BINARY;
        extension->value =
            faas_bytes_of(PyBytes_AsString(value), (size_t)PyBytes_Size(value));
    } else {
        const char *text = attribute_text(extension->name, value);

        if (text == NULL)
            return -1;
        extension->value = faas_str(text);
    }
    return 0;
}

/* CloudEvents' own names, and those of Python's manner. */
static const char **attribute_place(faas_event_options *options, const char *name)
{
    if (strcmp(name, "id") == 0)
        return &options->id;
    if (strcmp(name, "source") == 0)
        return &options->source;
    if (strcmp(name, "subject") == 0)
        return &options->subject;
    if (strcmp(name, "time") == 0)
        return &options->time;
    if (strcmp(name, "datacontenttype") == 0)
        return &options->data_content_type;
    if (strcmp(name, "dataschema") == 0)
        return &options->data_schema;
    return NULL;
}

static int attributes_read(PyObject *attributes, faas_event_options *options,
                           faas_extension *extensions)
{
    PyObject *key, *value;
    Py_ssize_t at = 0;

    while (attributes != NULL && PyDict_Next(attributes, &at, &key, &value)) {
        const char *name = attribute_text("an attribute", key), **place;

        if (name == NULL)
            return -1;
        if (value == Py_None)
            continue;
        place = attribute_place(options, name);
        if (place != NULL) {
            *place = attribute_text(name, value);
            if (*place == NULL)
                return -1;
            continue;
        }
        if (options->extension_count == FAAS_EVENT_EXTENSIONS_MAX) {
            PyErr_Format(PyExc_ValueError, "an event has at most %d extensions",
                         FAAS_EVENT_EXTENSIONS_MAX);
            return -1;
        }
        extensions[options->extension_count] = (faas_extension){.name = name};
        if (extension_read(value, &extensions[options->extension_count]) != 0)
            return -1;
        options->extension_count++;
    }
    return 0;
}

/* Data and how it is held. `*keep` lives until the event is made. */
static int data_read(struct state *state, PyObject *data, faas_event_options *options,
                     PyObject **keep)
{
    Py_ssize_t size;
    struct hold *hold;

    if (data == NULL || data == Py_None)
        return 0;
    if (PyUnicode_Check(data)) {
        const char *text = PyUnicode_AsUTF8AndSize(data, &size);

        if (text == NULL)
            return -1;
        options->data = faas_bytes_of(text, (size_t)size);
        if (options->data_content_type == NULL)
            options->data_content_type = "text/plain;charset=utf-8";
        return 0;
    }
    if (!PyObject_CheckBuffer(data)) { // of a value: JSON
        PyObject *kwargs = Py_BuildValue("{s:O}", "allow_nan", Py_False);
        PyObject *args = PyTuple_Pack(1, data);

        if (kwargs != NULL && args != NULL)
            *keep = PyObject_Call(state->dumps, args, kwargs);
        Py_XDECREF(kwargs);
        Py_XDECREF(args);
        if (*keep == NULL)
            return -1;
        options->data.data = PyUnicode_AsUTF8AndSize(*keep, &size);
        if (options->data.data == NULL)
            return -1;
        options->data.size = (size_t)size;
        if (options->data_content_type == NULL) {
            options->data_content_type = "application/json";
            options->flags = FAAS_EVENT_TRUSTED; // json made it
        }
        return 0;
    }
    hold = PyMem_Malloc(sizeof *hold);
    if (hold == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    if (PyObject_GetBuffer(data, &hold->buffer, PyBUF_SIMPLE) != 0) {
        PyMem_Free(hold);
        return -1;
    }
    hold->interp = PyInterpreterState_Get();
    options->data_free = hold_free;
    options->data_user = hold;
    options->data = faas_bytes_of(hold->buffer.len == 0 ? "" : hold->buffer.buf,
                                  (size_t)hold->buffer.len);
    if (options->data_content_type == NULL)
        options->data_content_type = "application/octet-stream";
    return 0;
}

/* Ids: never two alike, of one runtime or of two. */
static void id_make(struct runtime *runtime, char id[40])
{
    static const char digits[] = "0123456789abcdef";
    static uint64_t alone;
    uint64_t high = runtime != NULL ? runtime->event_high : (uint64_t)(uintptr_t)&alone,
             low = runtime != NULL ? ++runtime->event_low : ++alone;
    int i = 16;

    if (runtime == NULL && alone == 1)
        alone = faas_clock_now(NULL);
    for (int j = 0; j < 16; j++)
        id[j] = digits[high >> (60 - 4 * j) & 15];
    id[i++] = '-';
    do {
        id[i++] = digits[low & 15];
        low >>= 4;
    } while (low != 0);
    id[i] = '\0';
}

faas_event *event_make(struct state *state, struct runtime *runtime, PyObject *type,
                       PyObject *data, PyObject *attributes)
{
    faas_event_options options = FAAS_EVENT_OPTIONS_INIT;
    faas_extension extensions[FAAS_EVENT_EXTENSIONS_MAX];
    faas_event *event = NULL;
    PyObject *keep = NULL;
    struct gil_call call;
    faas_status status;
    char id[40];

    options.extensions = extensions;
    options.type = attribute_text("type", type);
    if (options.type == NULL || attributes_read(attributes, &options, extensions) != 0 ||
        data_read(state, data, &options, &keep) != 0)
        goto done;
    if (options.id == NULL) {
        id_make(runtime, id);
        options.id = id;
    }
    if (options.source == NULL && runtime != NULL)
        options.source = PyUnicode_AsUTF8AndSize(runtime->source, NULL);
    else if (options.source == NULL)
        options.source = "/";
    /* Small data is copied: its buffer is free again at once. */
    if (options.data_free != NULL && options.data.size < COPY_BELOW) {
        struct hold *hold = options.data_user;

        options.data_free = NULL;
        status = faas_event_create(&options, &event);
        PyBuffer_Release(&hold->buffer);
        PyMem_Free(hold);
    } else {
        gil_keep(&call);
        status = faas_event_create(&options, &event);
        gil_kept(&call);
    }
    if (status != FAAS_OK)
        raise_last(state, status);

done:
    Py_XDECREF(keep);
    return event;
}

/* ---- the type ---- */

static PyObject *event_new(PyObject *type, PyObject *args, PyObject *kwargs)
{
    struct state *state = state_of_type((PyTypeObject *)type);
    PyObject *data = NULL, *kind, *object;
    faas_event *event;
    struct gil_call call;

    if (state == NULL || !PyArg_ParseTuple(args, "O|O:new", &kind, &data))
        return NULL;
    event = event_make(state, NULL, kind, data, kwargs);
    if (event == NULL)
        return NULL;
    object = event_wrap(state, event);
    gil_keep(&call);
    faas_event_release(event);
    gil_kept(&call);
    return object;
}

#define TEXT(name)                                                                       \
    static PyObject *get_##name(PyObject *self, void *closure)                           \
    {                                                                                    \
        (void)closure;                                                                   \
        return text_of(faas_event_##name(event_of(self)));                               \
    }
TEXT(id)
TEXT(source)
TEXT(type)
TEXT(subject)
TEXT(time)
TEXT(data_content_type)
TEXT(data_schema)

static PyObject *get_time_ns(PyObject *self, void *closure)
{
    int64_t ns = faas_event_time_ns(event_of(self));

    (void)closure;
    if (ns == FAAS_EVENT_NO_TIME)
        Py_RETURN_NONE;
    return PyLong_FromLongLong(ns);
}

static PyObject *get_data(PyObject *self, void *closure)
{
    (void)closure;
    return PyMemoryView_FromObject(self);
}

static PyObject *get_extensions(PyObject *self, void *closure)
{
    PyObject *dict = PyDict_New();
    const faas_extension *extension;

    (void)closure;
    for (uint32_t i = 0;
         dict != NULL && (extension = faas_event_extension_at(event_of(self), i)) != NULL;
         i++) {
        PyObject *value;

        switch (extension->type) {
        case FAAS_EXTENSION_BOOLEAN:
            value = PyBool_FromLong(extension->integer);
            break;
        case FAAS_EXTENSION_INTEGER:
            value = PyLong_FromLong(extension->integer);
            break;
        case FAAS_EXTENSION_BINARY:
            value = PyBytes_FromStringAndSize(extension->value.data,
                                              (Py_ssize_t)extension->value.size);
            break;
        default:
            value = PyUnicode_FromStringAndSize(extension->value.data,
                                                (Py_ssize_t)extension->value.size);
        }
        if (value == NULL || PyDict_SetItemString(dict, extension->name, value) != 0)
            Py_CLEAR(dict);
        Py_XDECREF(value);
    }
    return dict;
}

static int event_getbuffer(PyObject *self, Py_buffer *view, int flags)
{
    faas_bytes data = faas_event_data(event_of(self));

    return PyBuffer_FillInfo(view, self, (void *)(uintptr_t)data.data,
                             (Py_ssize_t)data.size, 1, flags);
}

static PyObject *event_json(PyObject *self, PyObject *unused)
{
    faas_bytes data = faas_event_data(event_of(self));
    PyObject *text, *value;

    (void)unused;
    text = PyUnicode_DecodeUTF8(data.data, (Py_ssize_t)data.size, "strict");
    if (text == NULL)
        return NULL;
    value = PyObject_CallFunctionObjArgs(((struct event *)(void *)self)->state->loads,
                                         text, NULL);
    Py_DECREF(text);
    return value;
}

static int append(const char *text, size_t size, void *user)
{
    PyObject **all = user, *more = PyBytes_FromStringAndSize(text, (Py_ssize_t)size);

    PyBytes_ConcatAndDel(all, more);
    return *all == NULL;
}

static PyObject *event_to_json(PyObject *self, PyObject *unused)
{
    PyObject *all = PyBytes_FromStringAndSize(NULL, 0), *text;

    (void)unused;
    if (all == NULL || faas_event_write_json(event_of(self), append, &all) != FAAS_OK)
        return NULL;
    text = PyUnicode_FromEncodedObject(all, "utf-8", "strict");
    Py_DECREF(all);
    return text;
}

static PyObject *event_repr(PyObject *self)
{
    return PyUnicode_FromFormat(
        "<faas.Event %s from %s, id %s>", faas_event_type(event_of(self)),
        faas_event_source(event_of(self)), faas_event_id(event_of(self)));
}

static PyGetSetDef event_getset[] = {
    {"id", get_id, NULL, "Unique among the events of its source.", NULL},
    {"source", get_source, NULL, "Where it comes from: a URI, or a relative one.", NULL},
    {"type", get_type, NULL, "What happened, as \"order.created\".", NULL},
    {"subject", get_subject, NULL, "What in the source it is about, or None.", NULL},
    {"time", get_time, NULL, "When, as in RFC 3339, or None.", NULL},
    {"time_ns", get_time_ns, NULL, "When, in nanoseconds since 1970, or None.", NULL},
    {"datacontenttype", get_data_content_type, NULL,
     "The media type of its data, or None.", NULL},
    {"dataschema", get_data_schema, NULL, "The schema of its data, a URI, or None.",
     NULL},
    {"data", get_data, NULL,
     "Its data, a read-only memoryview: no copy, and the event stays as long as it does.",
     NULL},
    {"extensions", get_extensions, NULL, "Its extension attributes, a new dict.", NULL},
    {0}};

static PyMethodDef event_methods[] = {
    {"new", (PyCFunction)(void (*)(void))event_new,
     METH_VARARGS | METH_KEYWORDS | METH_CLASS,
     "new(type, data=None, /, *, id=None, source=\"/\", subject=None, time=None,\n"
     "    datacontenttype=None, dataschema=None, **extensions)\n--\n\n"
     "Makes an event.\n\n"
     "Data is a str (text/plain), anything with a buffer (application/octet-stream; not\n"
     "copied from 4096 bytes on, and not to be changed then), or a value that "
     "json.dumps()\n"
     "takes (application/json). Raises faas.Invalid for a malformed attribute."},
    {"json", event_json, METH_NOARGS,
     "json($self, /)\n--\n\nReads its data as JSON. Raises ValueError if it is none."},
    {"to_json", event_to_json, METH_NOARGS,
     "to_json($self, /)\n--\n\nWrites it in CloudEvents' JSON format, a str."},
    {0}};

static PyType_Slot event_slots[] = {
    {Py_tp_doc,
     "An immutable CloudEvents 1.0 envelope with data. Made by Event.new(), or\n"
     "handed to a handler. May be used on any thread."},
    {Py_tp_dealloc, event_dealloc},
    {Py_tp_repr, event_repr},
    {Py_tp_getset, event_getset},
    {Py_tp_methods, event_methods},
    {Py_bf_getbuffer, event_getbuffer},
    {0, NULL}};

PyType_Spec event_spec = {.name = "faas._faas.Event",
                          .basicsize = sizeof(struct event),
                          .flags = Py_TPFLAGS_DEFAULT |
                                   Py_TPFLAGS_DISALLOW_INSTANTIATION |
                                   Py_TPFLAGS_IMMUTABLETYPE,
                          .slots = event_slots};

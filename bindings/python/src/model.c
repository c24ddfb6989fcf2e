/* SPDX-License-Identifier: MIT */
/* model.c - Model: an ONNX model as a function, with buffers in and out.
 *
 * A model of one input takes the caller's buffer itself; several are packed into one
 * message. What comes out stays in the library's result, which a Tensor shows. */
#include "faasmodule.h"

#include <faas/model.h>
#include <faas/onnx.h>

#include <stdlib.h>
#include <string.h>

/* A result, shared by its tensors. */
struct tensor {
    PyObject_HEAD faas_result *result; /* the owner's; others hold the owner */
    PyObject *owner;
    faas_tensor view;
    Py_ssize_t shape[FAAS_RANK_MAX], strides[FAAS_RANK_MAX];
};

static struct tensor *tensor_of(PyObject *object)
{
    return (struct tensor *)(void *)object;
}

/* ---- elements ---- */

static const struct {
    faas_element type;
    const char *format;
} formats[] = {{FAAS_F32, "f"}, {FAAS_U8, "B"},  {FAAS_I8, "b"},  {FAAS_U16, "H"},
               {FAAS_I16, "h"}, {FAAS_I32, "i"}, {FAAS_I64, "q"}, {FAAS_BOOL, "?"},
               {FAAS_F16, "e"}, {FAAS_F64, "d"}, {FAAS_U32, "I"}, {FAAS_U64, "Q"},
               {FAAS_I64, "l"}, {FAAS_U64, "L"}};

static faas_element element_of(const char *format)
{
    if (format == NULL)
        return FAAS_U8;
    if (*format == '<' || *format == '=' || *format == '@')
        format++;
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++)
        if (strcmp(format, formats[i].format) == 0)
            return formats[i].type;
    return 0;
}

static const char *format_of(faas_element type)
{
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++)
        if (formats[i].type == type)
            return formats[i].format;
    return type == FAAS_BF16 ? "H" : NULL;
}

/* ---- what comes out ---- */

static PyObject *tensor_make(struct state *state, faas_result *result, PyObject *owner,
                             const faas_tensor *view)
{
    struct tensor *self = PyObject_New(struct tensor, state->tensor_type);
    Py_ssize_t stride = (Py_ssize_t)faas_element_size(view->type);

    if (self == NULL)
        return NULL;
    self->result = result;
    self->owner = Py_XNewRef(owner);
    self->view = *view;
    for (uint32_t i = view->rank; i-- > 0;) {
        self->shape[i] = (Py_ssize_t)view->shape[i];
        self->strides[i] = stride;
        stride *= self->shape[i];
    }
    return (PyObject *)self;
}

static void tensor_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);

    faas_result_release(tensor_of(object)->result);
    Py_XDECREF(tensor_of(object)->owner);
    PyObject_Free(object);
    Py_DECREF(type);
}

static int tensor_getbuffer(PyObject *object, Py_buffer *view, int flags)
{
    static char nothing;
    struct tensor *self = tensor_of(object);

    if ((flags & PyBUF_WRITABLE) != 0) {
        PyErr_SetString(PyExc_BufferError, "a model's answer is read-only");
        return -1;
    }
    memset(view, 0, sizeof *view);
    view->obj = Py_NewRef(object);
    view->buf = self->view.data == NULL ? &nothing : self->view.data;
    view->len = (Py_ssize_t)self->view.bytes;
    view->itemsize = (Py_ssize_t)faas_element_size(self->view.type);
    view->readonly = 1;
    view->ndim = (int)self->view.rank;
    if ((flags & PyBUF_FORMAT) != 0)
        view->format = (char *)(uintptr_t)format_of(self->view.type);
    if ((flags & PyBUF_ND) != 0)
        view->shape = self->shape;
    if ((flags & PyBUF_STRIDES) == PyBUF_STRIDES)
        view->strides = self->strides;
    return 0;
}

static PyObject *get_shape(PyObject *object, void *closure)
{
    struct tensor *self = tensor_of(object);
    PyObject *shape = PyTuple_New((Py_ssize_t)self->view.rank);

    (void)closure;
    for (uint32_t i = 0; shape != NULL && i < self->view.rank; i++)
        if (PyTuple_SetItem(shape, (Py_ssize_t)i, PyLong_FromSsize_t(self->shape[i])) !=
            0)
            Py_CLEAR(shape);
    return shape;
}

static PyObject *get_dtype(PyObject *object, void *closure)
{
    (void)closure;
    return text_of(faas_element_name(tensor_of(object)->view.type));
}

static PyGetSetDef tensor_getset[] = {
    {"shape", get_shape, NULL, "Its dimensions, a tuple.", NULL},
    {"dtype", get_dtype, NULL, "The type of its elements, as \"f32\".", NULL},
    {0}};

static PyType_Slot tensor_slots[] = {
    {Py_tp_doc,
     "A model's answer: a read-only buffer with a shape, for numpy.asarray() or\n"
     "memoryview(), without a copy."},
    {Py_tp_dealloc, tensor_dealloc},
    {Py_tp_getset, tensor_getset},
    {Py_bf_getbuffer, tensor_getbuffer},
    {0, NULL}};

PyType_Spec tensor_spec = {.name = "faas._faas.Tensor",
                           .basicsize = sizeof(struct tensor),
                           .flags = Py_TPFLAGS_DEFAULT |
                                    Py_TPFLAGS_DISALLOW_INSTANTIATION |
                                    Py_TPFLAGS_IMMUTABLETYPE,
                           .slots = tensor_slots};

/* ---- what goes in ---- */

struct inputs {
    faas_tensor tensors[FAAS_TENSORS_MAX];
    Py_buffer buffers[FAAS_TENSORS_MAX];
    Py_ssize_t count;
};

static int input_read(struct inputs *in, PyObject *name, PyObject *from)
{
    Py_buffer *buffer = &in->buffers[in->count];
    faas_tensor *tensor = &in->tensors[in->count];
    const char *text = NULL;
    Py_ssize_t size = 0;

    if (in->count == FAAS_TENSORS_MAX) {
        PyErr_Format(PyExc_ValueError, "a model has at most %d inputs", FAAS_TENSORS_MAX);
        return -1;
    }
    if (name != Py_None && (text = PyUnicode_AsUTF8AndSize(name, &size)) == NULL)
        return -1;
    if (!PyObject_CheckBuffer(from)) {
        PyErr_Format(PyExc_TypeError,
                     "an input is an array, or what has a buffer, not %R", from);
        return -1;
    }
    if (PyObject_GetBuffer(from, buffer, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT) != 0)
        return -1;
    in->count++; // from here on it is to be released
    memset(tensor, 0, sizeof *tensor);
    tensor->type = element_of(buffer->format);
    if (tensor->type == 0 || buffer->ndim > FAAS_RANK_MAX) {
        PyErr_Format(PyExc_TypeError, "no model takes %d dimensions of \"%s\"",
                     buffer->ndim, buffer->format == NULL ? "B" : buffer->format);
        return -1;
    }
    tensor->data = buffer->buf;
    tensor->bytes = (uint64_t)buffer->len;
    tensor->rank = (uint32_t)buffer->ndim;
    for (int i = 0; i < buffer->ndim; i++)
        tensor->shape[i] = buffer->shape[i];
    tensor->name = faas_bytes_of(text, (size_t)size);
    return 0;
}

/* One message of all inputs; NULL with an exception. */
static void *inputs_pack(struct state *state, const struct inputs *in, size_t *size)
{
    void *room = NULL;
    faas_status status;

    *size = faas_tensors_size(in->tensors, (size_t)in->count);
    if (*size == 0 || posix_memalign(&room, 64, *size) != 0)
        return raise_status(state, *size == 0 ? FAAS_EINVAL : FAAS_ENOMEM, NULL, 0);
    status = faas_tensors_pack(in->tensors, (size_t)in->count, room, *size, NULL);
    if (status == FAAS_OK)
        return room;
    free(room);
    return raise_last(state, status);
}

/* ---- answers ---- */

static PyObject *answer_message(struct state *state, faas_result *result)
{
    faas_tensor tensors[FAAS_TENSORS_MAX];
    faas_tensor whole = {.type = FAAS_U8, .rank = 1};
    faas_status status;
    PyObject *owner, *dict;
    size_t count;

    status =
        faas_tensors_view(faas_result_bytes(result), tensors, FAAS_TENSORS_MAX, &count);
    if (status != FAAS_OK) {
        faas_result_release(result);
        return raise_last(state, status);
    }
    owner = tensor_make(state, result, NULL, &whole);
    if (owner == NULL) {
        faas_result_release(result);
        return NULL;
    }
    dict = PyDict_New();
    for (size_t i = 0; dict != NULL && i < count; i++) {
        PyObject *tensor = tensor_make(state, NULL, owner, &tensors[i]);
        PyObject *name = PyUnicode_FromStringAndSize(tensors[i].name.data,
                                                     (Py_ssize_t)tensors[i].name.size);

        if (tensor == NULL || name == NULL || PyDict_SetItem(dict, name, tensor) != 0)
            Py_CLEAR(dict);
        Py_XDECREF(tensor);
        Py_XDECREF(name);
    }
    Py_DECREF(owner);
    return dict;
}

static PyObject *answer_bytes(struct state *state, faas_result *result)
{
    faas_bytes bytes = faas_result_bytes(result);
    faas_tensor view = {.data = (void *)(uintptr_t)bytes.data,
                        .bytes = bytes.size,
                        .type = FAAS_U8,
                        .rank = 1,
                        .shape = {(int64_t)bytes.size}};
    PyObject *tensor = tensor_make(state, result, NULL, &view);

    if (tensor == NULL)
        faas_result_release(result);
    return tensor;
}

/* ---- calling ---- */

/* _run([(name or None, buffer)], message): a dict of tensors for a message, else the bytes
 * of the only output. */
static PyObject *model_run(PyObject *object, PyObject *args)
{
    struct function *self = (struct function *)(void *)object;
    faas_runtime *rt = runtime_use(self->runtime);
    struct inputs *in;
    PyObject *list, *answer = NULL;
    faas_result *result = NULL;
    void *room = NULL;
    size_t size = 0;
    struct gil_call gil;
    faas_status status;
    int message;

    if (rt == NULL || !PyArg_ParseTuple(args, "O!p:_run", &PyList_Type, &list, &message))
        return NULL;
    in = PyMem_Malloc(sizeof *in);
    if (in == NULL)
        return PyErr_NoMemory();
    in->count = 0;
    for (Py_ssize_t i = 0; i < PyList_Size(list); i++) {
        PyObject *name, *value;

        if (!PyArg_ParseTuple(PyList_GetItem(list, i), "OO", &name, &value) ||
            input_read(in, name, value) != 0)
            goto done;
    }
    if (message) {
        room = inputs_pack(self->state, in, &size);
        if (room == NULL)
            goto done;
    }
    runtime_enter(self->runtime, &gil, true);
    status = faas_invoke(
        rt, self->fn,
        message ? faas_bytes_of(room, size)
                : faas_bytes_of(in->tensors[0].data, (size_t)in->tensors[0].bytes),
        0, &result);
    runtime_leave(self->runtime, &gil);
    if (status == FAAS_OK) {
        answer = message ? answer_message(self->state, result)
                         : answer_bytes(self->state, result);
        result = NULL;
    } else if (status == FAAS_EHANDLER) {
        int code = faas_result_code(result);

        (void)raise_status(self->state,
                           code == FAAS_ETYPE || code == FAAS_ESYNTAX ? (faas_status)code
                                                                      : status,
                           faas_result_message(result), code);
    } else {
        (void)raise_last(self->state, status);
    }
    faas_result_release(result);

done:
    free(room);
    while (in->count-- > 0)
        PyBuffer_Release(&in->buffers[in->count]);
    PyMem_Free(in);
    return answer;
}

static PyObject *model_ports(PyObject *object, PyObject *unused)
{
    struct function *self = (struct function *)(void *)object;

    (void)unused;
    return runtime_written(self->runtime, self->fn, faas_model_describe);
}

static PyObject *model_stats(PyObject *object, PyObject *unused)
{
    struct function *self = (struct function *)(void *)object;
    faas_runtime *rt = runtime_use(self->runtime);
    faas_model_stats s = {.size = sizeof s};
    faas_status status;

    (void)unused;
    if (rt == NULL)
        return NULL;
    status = faas_model_stats_get(rt, self->fn, &s);
    if (status != FAAS_OK)
        return raise_last(self->state, status);
    return Py_BuildValue("{sKsKsKsK}", "loads", s.loads, "load_ns", s.load_ns,
                         "instances", s.instances, "held_bytes", s.held_bytes);
}

static PyObject *model_register(PyObject *object, PyObject *args)
{
    struct function *self = (struct function *)(void *)object;
    faas_runtime *rt = runtime_use(self->runtime);
    const char *path, *library, *axes;
    struct policy policy;
    struct gil_call gil;
    faas_onnx *onnx;
    faas_status status;
    PyObject *options;

    if (rt == NULL ||
        !PyArg_ParseTuple(args, "O!szz:_register", &PyDict_Type, &options, &path,
                          &library, &axes) ||
        policy_take(options, &policy) != 0)
        return NULL;
    policy.function.name = PyUnicode_AsUTF8AndSize(self->name, NULL);
    if (policy.function.name == NULL)
        return NULL;
    runtime_enter(self->runtime, &gil, true);
    status = faas_onnx_open(FAAS_ONNX(.library = library), &onnx);
    if (status == FAAS_OK) {
        status = faas_model_register(rt, faas_onnx_engine(onnx),
                                     FAAS_MODEL(.path = path, .batch_axes = axes),
                                     &policy.function, &self->fn);
        faas_onnx_close(onnx); // the function keeps it
    }
    runtime_leave(self->runtime, &gil);
    if (status != FAAS_OK)
        return raise_last(self->state, status);
    Py_RETURN_NONE;
}

static int model_init(PyObject *object, PyObject *args, PyObject *kwargs)
{
    PyObject *runtime, *name;

    if (kwargs != NULL && PyDict_Size(kwargs) != 0) {
        PyErr_SetString(PyExc_TypeError, "Model takes no named arguments");
        return -1;
    }
    if (!PyArg_ParseTuple(args, "OO:Model", &runtime, &name))
        return -1;
    if (((struct function *)(void *)object)->runtime != NULL) {
        PyErr_SetString(PyExc_RuntimeError, "it is made already");
        return -1;
    }
    return function_open((struct function *)(void *)object, runtime, name);
}

static PyMethodDef model_methods[] = {
    {"_run", model_run, METH_VARARGS, NULL},
    {"_ports", model_ports, METH_NOARGS, NULL},
    {"_register", model_register, METH_VARARGS, NULL},
    {"model_stats", model_stats, METH_NOARGS,
     "model_stats($self, /)\n--\n\n"
     "How often it was loaded and what that took, and what its instances hold: loads,\n"
     "load_ns, instances, held_bytes."},
    {0}};

static PyType_Slot model_slots[] = {{Py_tp_doc, "An ONNX model as a function of an app."},
                                    {Py_tp_init, model_init},
                                    {Py_tp_new, PyType_GenericNew},
                                    {Py_tp_traverse, function_traverse},
                                    {Py_tp_clear, function_clear},
                                    {Py_tp_dealloc, function_dealloc},
                                    {Py_tp_methods, model_methods},
                                    {0, NULL}};

/* A subtype of Function: module.c says so. */
PyType_Spec model_spec = {.name = "faas._faas.Model",
                          .basicsize = sizeof(struct function),
                          .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE |
                                   Py_TPFLAGS_HAVE_GC,
                          .slots = model_slots};

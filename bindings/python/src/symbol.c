/* SPDX-License-Identifier: MIT */
/* symbol.c - Symbol: a C function by its signature. No Python runs in it, and the lock is
 * free meanwhile. */
#include "faasmodule.h"

#include <string.h>

static struct function *of(PyObject *object)
{
    return (struct function *)(void *)object;
}

/* ---- values ---- */

static int wrong(const struct function *self, Py_ssize_t at, const char *wanted,
                 PyObject *got)
{
    PyErr_Clear();
    PyErr_Format(PyExc_TypeError, "argument %zd of %U is %s, not %R", at + 1, self->name,
                 wanted, got);
    return -1;
}

static int out_of_range(const struct function *self, Py_ssize_t at, int bits,
                        bool is_signed, PyObject *got)
{
    PyErr_Clear();
    PyErr_Format(PyExc_OverflowError, "argument %zd of %U has %d bits%s, not %R", at + 1,
                 self->name, bits, is_signed ? " and a sign" : " and no sign", got);
    return -1;
}

static int integer_read(const struct function *self, Py_ssize_t at, PyObject *from,
                        faas_value *value, int bits, bool is_signed)
{
    if (!PyLong_Check(from))
        return wrong(self, at, "an int", from);
    if (is_signed) {
        long long number = PyLong_AsLongLong(from), most = INT64_MAX >> (64 - bits);

        if ((number == -1 && PyErr_Occurred()) || number > most || number < -most - 1)
            return out_of_range(self, at, bits, true, from);
        value->as.i64 = number; // little-endian: the narrow ones are its first bytes
    } else {
        unsigned long long number = PyLong_AsUnsignedLongLong(from);

        if (PyErr_Occurred() || number > UINT64_MAX >> (64 - bits))
            return out_of_range(self, at, bits, false, from);
        value->as.u64 = number;
    }
    return 0;
}

static int pointer_read(const struct function *self, Py_ssize_t at, PyObject *from,
                        faas_value *value)
{
    value->as.pointer = NULL;
    if (from == Py_None)
        return 0;
    if (!PyLong_Check(from))
        return wrong(self, at, "an address, an int, or None", from);
    value->as.pointer = PyLong_AsVoidPtr(from);
    return PyErr_Occurred() ? wrong(self, at, "an address, an int, or None", from) : 0;
}

static int string_read(const struct function *self, Py_ssize_t at, PyObject *from,
                       faas_value *value)
{
    Py_ssize_t size;

    value->as.string = NULL;
    if (from == Py_None)
        return 0;
    if (PyBytes_Check(from)) {
        value->as.string = PyBytes_AsString(from);
        size = PyBytes_Size(from);
    } else if (PyUnicode_Check(from)) {
        value->as.string = PyUnicode_AsUTF8AndSize(from, &size);
        if (value->as.string == NULL)
            return -1;
    } else {
        return wrong(self, at, "a str, bytes or None", from);
    }
    if (strlen(value->as.string) != (size_t)size)
        return wrong(self, at, "a text without NUL", from);
    return 0;
}

static int value_read(const struct function *self, Py_ssize_t at, PyObject *from,
                      faas_value *value, Py_buffer *buffer)
{
    double real;

    value->type = self->layout.args[at].type;
    switch (value->type) {
    case FAAS_TYPE_BOOL:
        value->as.boolean = PyObject_IsTrue(from) == 1;
        return PyErr_Occurred() ? -1 : 0;
    case FAAS_TYPE_I8:
        return integer_read(self, at, from, value, 8, true);
    case FAAS_TYPE_U8:
        return integer_read(self, at, from, value, 8, false);
    case FAAS_TYPE_I16:
        return integer_read(self, at, from, value, 16, true);
    case FAAS_TYPE_U16:
        return integer_read(self, at, from, value, 16, false);
    case FAAS_TYPE_I32:
        return integer_read(self, at, from, value, 32, true);
    case FAAS_TYPE_U32:
        return integer_read(self, at, from, value, 32, false);
    case FAAS_TYPE_I64:
        return integer_read(self, at, from, value, 64, true);
    case FAAS_TYPE_U64:
        return integer_read(self, at, from, value, 64, false);
    case FAAS_TYPE_F32:
    case FAAS_TYPE_F64:
        real = PyFloat_AsDouble(from);
        if (real == -1 && PyErr_Occurred())
            return wrong(self, at, "a number", from);
        if (value->type == FAAS_TYPE_F32)
            value->as.f32 = (float)real;
        else
            value->as.f64 = real;
        return 0;
    case FAAS_TYPE_POINTER:
        return pointer_read(self, at, from, value);
    case FAAS_TYPE_STRING:
        return string_read(self, at, from, value);
    default: // bytes and structs
        if (!PyObject_CheckBuffer(from))
            return wrong(self, at, "bytes, or what has a buffer", from);
        if (PyObject_GetBuffer(from, buffer, PyBUF_SIMPLE) != 0)
            return -1;
        if (value->type == FAAS_TYPE_BYTES)
            value->as.bytes = faas_bytes_of(buffer->buf, (size_t)buffer->len);
        else
            *value = faas_struct(buffer->buf, (size_t)buffer->len);
        return 0;
    }
}

static bool has_buffer(const faas_layout *layout, Py_ssize_t at)
{
    return layout->args[at].type == FAAS_TYPE_BYTES ||
           layout->args[at].type == FAAS_TYPE_STRUCT;
}

static int count_check(const struct function *self, Py_ssize_t count)
{
    if (count == (Py_ssize_t)self->layout.arg_count)
        return 0;
    PyErr_Format(PyExc_TypeError, "%U takes %u argument%s, not %zd", self->name,
                 self->layout.arg_count, self->layout.arg_count == 1 ? "" : "s", count);
    return -1;
}

static PyObject *value_make(const faas_value *value)
{
    switch (value->type) {
    case FAAS_TYPE_VOID:
        Py_RETURN_NONE;
    case FAAS_TYPE_BOOL:
        return PyBool_FromLong(value->as.boolean);
    case FAAS_TYPE_I8:
        return PyLong_FromLong(value->as.i8);
    case FAAS_TYPE_U8:
        return PyLong_FromLong(value->as.u8);
    case FAAS_TYPE_I16:
        return PyLong_FromLong(value->as.i16);
    case FAAS_TYPE_U16:
        return PyLong_FromLong(value->as.u16);
    case FAAS_TYPE_I32:
        return PyLong_FromLong(value->as.i32);
    case FAAS_TYPE_U32:
        return PyLong_FromUnsignedLong(value->as.u32);
    case FAAS_TYPE_I64:
        return PyLong_FromLongLong(value->as.i64);
    case FAAS_TYPE_U64:
        return PyLong_FromUnsignedLongLong(value->as.u64);
    case FAAS_TYPE_F32:
        return PyFloat_FromDouble(value->as.f32);
    case FAAS_TYPE_F64:
        return PyFloat_FromDouble(value->as.f64);
    case FAAS_TYPE_POINTER:
        if (value->as.pointer == NULL)
            Py_RETURN_NONE;
        return PyLong_FromVoidPtr(value->as.pointer);
    case FAAS_TYPE_STRING:
        if (value->as.string == NULL)
            Py_RETURN_NONE;
        return PyUnicode_FromString(value->as.string);
    case FAAS_TYPE_BYTES:
        return PyBytes_FromStringAndSize(value->as.bytes.data,
                                         (Py_ssize_t)value->as.bytes.size);
    default:
        return PyBytes_FromStringAndSize(value->as.structure.data,
                                         (Py_ssize_t)value->as.structure.size);
    }
}

/* ---- calling ---- */

static PyObject *symbol_invoke(PyObject *object, PyObject *const *args, Py_ssize_t count)
{
    struct function *self = of(object);
    faas_runtime *rt = runtime_use(self->runtime);
    faas_value values[FAAS_SIGNATURE_ARGS_MAX], answer;
    Py_buffer buffers[FAAS_SIGNATURE_ARGS_MAX];
    PyObject *result = NULL, *room = NULL;
    struct gil_call gil;
    faas_status status;
    Py_ssize_t read = 0;

    if (rt == NULL || count_check(self, count) != 0)
        return NULL;
    for (; read < count; read++)
        if (value_read(self, read, args[read], &values[read], &buffers[read]) != 0)
            goto done;
    answer.type = self->layout.result_type;
    if (answer.type == FAAS_TYPE_STRUCT) {
        room = PyBytes_FromStringAndSize(NULL, self->layout.result_size);
        if (room == NULL)
            goto done;
        answer = faas_struct(PyBytes_AsString(room), self->layout.result_size);
    }
    runtime_enter(self->runtime, &gil, true);
    status = faas_call(rt, self->fn, values, (size_t)count, 0,
                       answer.type == FAAS_TYPE_VOID ? NULL : &answer);
    runtime_leave(self->runtime, &gil);
    if (status != FAAS_OK)
        result = raise_last(self->state, status);
    else if (room != NULL)
        result = Py_NewRef(room);
    else
        result = value_make(&answer);

done:
    Py_XDECREF(room);
    while (read-- > 0)
        if (has_buffer(&self->layout, read))
            PyBuffer_Release(&buffers[read]);
    return result;
}

/* Calling it is calling it through the app: there is no other way from Python. */
static PyObject *symbol_call(PyObject *object, PyObject *args, PyObject *kwargs)
{
    PyObject *list[FAAS_SIGNATURE_ARGS_MAX];
    Py_ssize_t count = PyTuple_Size(args);

    if (kwargs != NULL && PyDict_Size(kwargs) != 0) {
        PyErr_Format(PyExc_TypeError, "%S takes no named arguments", object);
        return NULL;
    }
    if (runtime_use(of(object)->runtime) == NULL || count_check(of(object), count) != 0)
        return NULL;
    for (Py_ssize_t i = 0; i < count; i++)
        list[i] = PyTuple_GetItem(args, i);
    return symbol_invoke(object, list, count);
}

void *symbol_pack(struct function *self, PyObject *args, PyObject **keep)
{
    Py_ssize_t count = PyTuple_Size(args);
    unsigned char *block;

    if (count_check(self, count) != 0)
        return NULL;
    *keep = PyList_New(0);
    block = PyMem_Calloc(1, self->layout.size == 0 ? 1 : self->layout.size);
    if (*keep == NULL || block == NULL) {
        PyMem_Free(block);
        return PyErr_NoMemory();
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *arg = PyTuple_GetItem(args, i), *view = NULL;
        unsigned char *at = block + self->layout.args[i].offset;
        size_t size = self->layout.args[i].size;
        Py_buffer buffer;
        faas_value value;

        /* A view keeps the buffer as it is until the call has ended. */
        if (has_buffer(&self->layout, i) && PyObject_CheckBuffer(arg)) {
            view = PyMemoryView_FromObject(arg);
            if (view == NULL || PyList_Append(*keep, view) != 0) {
                Py_XDECREF(view);
                goto failed;
            }
            Py_DECREF(view); // the list has it
            arg = view;
        }
        if (value_read(self, i, arg, &value, &buffer) != 0)
            goto failed;
        if (view == NULL) {
            memcpy(at, &value.as, size);
            continue;
        }
        if (value.type == FAAS_TYPE_BYTES) {
            memcpy(at, &value.as.bytes, sizeof value.as.bytes);
        } else if (value.as.structure.size != size) {
            PyBuffer_Release(&buffer);
            PyErr_Format(PyExc_TypeError, "argument %zd of %U has %zu bytes, not %zu",
                         i + 1, self->name, size, value.as.structure.size);
            goto failed;
        } else {
            memcpy(at, value.as.structure.data, size);
        }
        PyBuffer_Release(&buffer);
    }
    return block;

failed:
    PyMem_Free(block);
    return NULL;
}

PyObject *symbol_answer(struct state *state, const faas_layout *layout, const void *block)
{
    faas_value value = {.type = layout->result_type};

    (void)state;
    if (value.type == FAAS_TYPE_STRUCT)
        value = faas_struct(block, layout->result_size);
    else if (value.type != FAAS_TYPE_VOID)
        memcpy(&value.as, block, layout->result_size);
    return value_make(&value);
}

/* ---- the type ---- */

static int symbol_init(PyObject *object, PyObject *args, PyObject *kwargs)
{
    struct function *self = of(object);
    const char *signature;
    PyObject *runtime, *name;
    faas_status status;

    if (kwargs != NULL && PyDict_Size(kwargs) != 0) {
        PyErr_SetString(PyExc_TypeError, "Symbol takes no named arguments");
        return -1;
    }
    if (!PyArg_ParseTuple(args, "OOs:Symbol", &runtime, &name, &signature))
        return -1;
    if (self->runtime != NULL) {
        PyErr_SetString(PyExc_RuntimeError, "it is made already");
        return -1;
    }
    if (function_open(self, runtime, name) != 0)
        return -1;
    status = faas_signature_layout(signature, &self->layout);
    if (status != FAAS_OK) {
        (void)raise_last(self->state, status);
        return -1;
    }
    self->signature = PyMem_Malloc(strlen(signature) + 1);
    if (self->signature == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    strcpy(self->signature, signature);
    return 0;
}

static PyObject *symbol_register(PyObject *object, PyObject *args)
{
    struct function *self = of(object);
    faas_runtime *rt = runtime_use(self->runtime);
    const char *path, *symbol;
    struct policy policy;
    struct gil_call gil;
    faas_status status;
    PyObject *options;

    if (rt == NULL ||
        !PyArg_ParseTuple(args, "O!zs:_register", &PyDict_Type, &options, &path, &symbol))
        return NULL;
    if (policy_take(options, &policy) != 0 || function_registering(self, &policy) != 0)
        return NULL;
    policy.function.name = NULL;
    runtime_enter(self->runtime, &gil, true);
    status = faas_symbol_load(rt, PyUnicode_AsUTF8AndSize(self->name, NULL),
                              self->signature, path, symbol, &policy.function, &self->fn);
    runtime_leave(self->runtime, &gil);
    if (status != FAAS_OK)
        return raise_last(self->state, status);
    Py_RETURN_NONE;
}

static PyObject *get_signature(PyObject *self, void *closure)
{
    (void)closure;
    return text_of(of(self)->signature);
}

static PyGetSetDef symbol_getset[] = {
    {"signature", get_signature, NULL, "Its type, as \"d(dd)\".", NULL}, {0}};

static PyMethodDef symbol_methods[] = {
    {"invoke", (PyCFunction)(void (*)(void))symbol_invoke, METH_FASTCALL,
     "Calls it through the app, on this thread, without Python's lock. Raises TypeError\n"
     "or OverflowError for what the signature does not allow: it did not run then."},
    {"_register", symbol_register, METH_VARARGS, NULL},
    {0}};

static PyType_Slot symbol_slots[] = {
    {Py_tp_doc, "A C function with a typed signature as a function of an app."},
    {Py_tp_init, symbol_init},
    {Py_tp_new, PyType_GenericNew},
    {Py_tp_call, symbol_call},
    {Py_tp_traverse, function_traverse},
    {Py_tp_clear, function_clear},
    {Py_tp_dealloc, function_dealloc},
    {Py_tp_getset, symbol_getset},
    {Py_tp_methods, symbol_methods},
    {0, NULL}};

/* A subtype of Function: module.c says so. */
PyType_Spec symbol_spec = {.name = "faas._faas.Symbol",
                           .basicsize = sizeof(struct function),
                           .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE |
                                    Py_TPFLAGS_HAVE_GC,
                           .slots = symbol_slots};

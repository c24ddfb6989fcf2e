/* SPDX-License-Identifier: MIT */
/* module.c - the module faas._faas: its types, and statuses as exceptions. */
#include "faasmodule.h"

PyObject *text_of(const char *text)
{
    if (text == NULL)
        Py_RETURN_NONE;
    return PyUnicode_FromString(text);
}

void fetch_into(PyObject **type, PyObject **value, PyObject **traceback)
{
    Py_XDECREF(*type);
    Py_XDECREF(*value);
    Py_XDECREF(*traceback);
    PyErr_Fetch(type, value, traceback);
    PyErr_NormalizeException(type, value, traceback);
    if (*value != NULL && *traceback != NULL)
        (void)PyException_SetTraceback(*value, *traceback);
}

/* Of a type or of one that is derived from it in Python. */
struct state *state_of_type(PyTypeObject *type)
{
    for (; type != NULL; type = PyType_GetSlot(type, Py_tp_base)) {
        struct state *state;

        if ((PyType_GetFlags(type) & Py_TPFLAGS_HEAPTYPE) == 0)
            break;
        state = PyType_GetModuleState(type);
        if (state != NULL)
            return state;
        PyErr_Clear();
    }
    PyErr_SetString(PyExc_SystemError, "no type of faas");
    return NULL;
}

PyObject *raise_status(struct state *state, faas_status status, const char *text,
                       int code)
{
    PyObject *error;

    if (status == FAAS_ENOMEM && text == NULL)
        return PyErr_NoMemory();
    error = PyObject_CallFunction(
        state->error, "isdi", (int)status, text == NULL ? faas_status_text(status) : text,
        status == FAAS_EBUSY ? (double)faas_retry_after_ns() / 1e9 : 0.0, code);
    if (error != NULL)
        PyErr_SetObject((PyObject *)Py_TYPE(error), error);
    Py_XDECREF(error);
    return NULL;
}

PyObject *raise_last(struct state *state, faas_status status)
{
    switch (status) { // what an invocation returns without a text of its own
    case FAAS_EBUSY:
    case FAAS_EEXPIRED:
    case FAAS_ECLOSED:
    case FAAS_EDEPTH:
    case FAAS_ECANCELLED:
    case FAAS_EPENDING:
    case FAAS_EHANDLER:
    case FAAS_ETIMEDOUT:
    case FAAS_ENOENT:
    case FAAS_ENOMEM:
        return raise_status(state, status, NULL, 0);
    default:
        return raise_status(state, status, faas_error_text(), 0);
    }
}

static PyObject *module_setup(PyObject *module, PyObject *args)
{
    struct state *state = PyModule_GetState(module);
    PyObject *error, *log, *run_loop, *cancel_loop;

    if (!PyArg_ParseTuple(args, "OOOO:_setup", &error, &log, &run_loop, &cancel_loop))
        return NULL;
    state->error = Py_NewRef(error);
    state->log = Py_NewRef(log);
    state->run_loop = Py_NewRef(run_loop);
    state->cancel_loop = Py_NewRef(cancel_loop);
    Py_RETURN_NONE;
}

static PyObject *module_check_pattern(PyObject *module, PyObject *args)
{
    struct state *state = PyModule_GetState(module);
    const char *pattern;
    Py_ssize_t size;
    faas_status status;

    if (!PyArg_ParseTuple(args, "s#:check_pattern", &pattern, &size))
        return NULL;
    status = faas_pattern_check(faas_bytes_of(pattern, (size_t)size), NULL, NULL);
    if (status != FAAS_OK)
        return raise_last(state, status);
    Py_RETURN_NONE;
}

static PyObject *module_status_name(PyObject *module, PyObject *args)
{
    int status;

    (void)module;
    if (!PyArg_ParseTuple(args, "i:status_name", &status))
        return NULL;
    return PyUnicode_FromString(faas_status_name((faas_status)status));
}

static PyObject *module_policy_names(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    return policy_names();
}

static PyMethodDef module_methods[] = {
    {"_setup", module_setup, METH_VARARGS, NULL},
    {"context", context_current, METH_NOARGS, NULL},
    {"check_pattern", module_check_pattern, METH_VARARGS,
     "check_pattern(pattern, /)\n--\n\nRaises Invalid, with the byte, for what is no "
     "pattern."},
    {"status_name", module_status_name, METH_VARARGS, NULL},
    {"policy_names", module_policy_names, METH_NOARGS, NULL},
    {0}};

static PyTypeObject *type_make(PyObject *module, PyType_Spec *spec, PyTypeObject *base)
{
    PyTypeObject *type =
        (PyTypeObject *)PyType_FromModuleAndSpec(module, spec, (PyObject *)base);

    if (type != NULL && PyModule_AddType(module, type) != 0)
        Py_CLEAR(type);
    return type;
}

static PyObject *attribute(const char *module, const char *name)
{
    PyObject *from = PyImport_ImportModule(module);
    PyObject *found = from == NULL ? NULL : PyObject_GetAttrString(from, name);

    Py_XDECREF(from);
    return found;
}

static PyStructSequence_Field delivery_fields[] = {
    {"matched", "subscriptions and rules that asked for it"},
    {"ran", "handlers that ran and answered"},
    {"refused", "that did not run: throttled, closing, gone"},
    {"failed", "that ran and raised, or came back late"},
    {"queued", "that run on a worker or on the event loop"},
    {"repeated", "1: it was published before (`dedupe`), and nothing ran"},
    {NULL, NULL}};

static PyStructSequence_Desc delivery_desc = {
    "faas.Delivery", "What became of an event, counted.", delivery_fields, 6};

static int module_exec(PyObject *module)
{
    struct state *state = PyModule_GetState(module);

    fork_watch();
    state->runtime_type = type_make(module, &runtime_spec, NULL);
    state->function_type = type_make(module, &function_spec, NULL);
    state->symbol_type = state->function_type == NULL
                             ? NULL
                             : type_make(module, &symbol_spec, state->function_type);
    state->model_type = state->function_type == NULL
                            ? NULL
                            : type_make(module, &model_spec, state->function_type);
    state->tensor_type = type_make(module, &tensor_spec, NULL);
    state->event_type = type_make(module, &event_spec, NULL);
    state->context_type = type_make(module, &context_spec, NULL);
    state->future_type = type_make(module, &future_spec, NULL);
    state->await_type =
        (PyTypeObject *)PyType_FromModuleAndSpec(module, &await_spec, NULL);
    state->delivery_type = PyStructSequence_NewType(&delivery_desc);
    state->loads = attribute("json", "loads");
    state->dumps = attribute("json", "dumps");
    state->get_running_loop = attribute("asyncio", "get_running_loop");
    state->cancelled = attribute("asyncio", "CancelledError");
    if (state->runtime_type == NULL || state->symbol_type == NULL ||
        state->model_type == NULL || state->tensor_type == NULL ||
        state->event_type == NULL || state->context_type == NULL ||
        state->future_type == NULL || state->await_type == NULL ||
        state->delivery_type == NULL || state->loads == NULL || state->dumps == NULL ||
        state->get_running_loop == NULL || state->cancelled == NULL ||
        PyModule_AddObjectRef(module, "Delivery", (PyObject *)state->delivery_type) != 0)
        return -1;
    return PyModule_AddIntConstant(module, "version", faas_version());
}

static int module_traverse(PyObject *module, visitproc visit, void *arg)
{
    struct state *state = PyModule_GetState(module);

    Py_VISIT(state->runtime_type);
    Py_VISIT(state->function_type);
    Py_VISIT(state->symbol_type);
    Py_VISIT(state->event_type);
    Py_VISIT(state->context_type);
    Py_VISIT(state->future_type);
    Py_VISIT(state->model_type);
    Py_VISIT(state->tensor_type);
    Py_VISIT(state->await_type);
    Py_VISIT(state->delivery_type);
    Py_VISIT(state->error);
    Py_VISIT(state->log);
    Py_VISIT(state->run_loop);
    Py_VISIT(state->cancel_loop);
    return 0;
}

static int module_clear(PyObject *module)
{
    struct state *state = PyModule_GetState(module);

    Py_CLEAR(state->runtime_type);
    Py_CLEAR(state->function_type);
    Py_CLEAR(state->symbol_type);
    Py_CLEAR(state->event_type);
    Py_CLEAR(state->context_type);
    Py_CLEAR(state->future_type);
    Py_CLEAR(state->model_type);
    Py_CLEAR(state->tensor_type);
    Py_CLEAR(state->await_type);
    Py_CLEAR(state->delivery_type);
    Py_CLEAR(state->error);
    Py_CLEAR(state->log);
    Py_CLEAR(state->run_loop);
    Py_CLEAR(state->cancel_loop);
    Py_CLEAR(state->loads);
    Py_CLEAR(state->dumps);
    Py_CLEAR(state->get_running_loop);
    Py_CLEAR(state->cancelled);
    return 0;
}

static void module_free(void *module)
{
    (void)module_clear(module);
}

/* The last two slots are of later Pythons than the stable ABI of 3.11, which refuses slots
 * that it does not know: they are filled in where the interpreter knows them. */
static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, module_exec}, {0, NULL}, {0, NULL}, {0, NULL}};

static PyModuleDef module_def = {.m_base = PyModuleDef_HEAD_INIT,
                                 .m_name = "faas._faas",
                                 .m_doc = "The compiled part of faas.",
                                 .m_size = sizeof(struct state),
                                 .m_methods = module_methods,
                                 .m_slots = module_slots,
                                 .m_traverse = module_traverse,
                                 .m_clear = module_clear,
                                 .m_free = module_free};

PyMODINIT_FUNC PyInit__faas(void)
{
    if (Py_Version >= 0x030C0000) // Py_mod_multiple_interpreters: one lock each
        module_slots[1] = (PyModuleDef_Slot){3, (void *)2};
    return PyModuleDef_Init(&module_def);
}

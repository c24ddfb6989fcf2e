/* SPDX-License-Identifier: MIT */
/* policy.c - dicts of options into descriptors, field by field, by their names in C. */
#include "faasmodule.h"

#include <stddef.h>
#include <string.h>

enum kind { U32, U64, REAL, ENUM };

struct field {
    const char *name;
    size_t offset;
    enum kind kind;
    const char *const *names; /* of an enum, from 1 on */
};

#define FIELD(type, name, kind)                                                          \
    {                                                                                    \
#name, offsetof(type, name), kind, NULL                                          \
    }
#define CHOICE(type, name, names)                                                        \
    {                                                                                    \
#name, offsetof(type, name), ENUM, names                                         \
    }

static const char *const full_names[] = {"refuse", "wait", NULL};
static const char *const queue_full_names[] = {"refuse", "wait", "drop_oldest",
                                               "run_here", NULL};
static const char *const group_names[] = {"block", "skip", NULL};
static const char *const jitter_names[] = {"full", "none", NULL};
static const char *const keepalive_names[] = {"lru",   "ttl", "idx", "gdsf",
                                              "sieve", "lhd", NULL};
static const char *const dedupe_names[] = {"off", "id", "content", NULL};
static const char *const limiter_names[] = {"predicted", "none",     "fixed",      "aimd",
                                            "vegas",     "gradient", "codel_lifo", NULL};

static const struct field function_fields[] = {
    FIELD(faas_function, concurrency, U32),
    FIELD(faas_function, instance_concurrency, U32),
    FIELD(faas_function, provisioned, U32),
    CHOICE(faas_function, on_full, full_names),
    FIELD(faas_function, wait_ns, U64),
    FIELD(faas_function, timeout_ns, U64),
    FIELD(faas_function, init_timeout_ns, U64),
    FIELD(faas_function, idle_ns, U64),
    FIELD(faas_function, age_ns, U64),
    FIELD(faas_function, invocation_max, U64),
    FIELD(faas_function, memory_bytes, U64),
    FIELD(faas_function, heap_bytes, U64),
    FIELD(faas_function, instance_bytes, U64),
    FIELD(faas_function, budget_bytes, U64),
    FIELD(faas_function, instance_min, U32),
    FIELD(faas_function, instance_max, U32),
    FIELD(faas_function, batch_max, U32),
    FIELD(faas_function, cache_mode, U32),
    FIELD(faas_function, batch_delay_ns, U64),
    FIELD(faas_function, cache_bytes, U64),
    FIELD(faas_function, cache_ns, U64),
    FIELD(faas_function, prewarm, U32),
    {NULL, 0, U32, NULL}};

static const struct field async_fields[] = {
    FIELD(faas_async, queue_slots, U32),
    CHOICE(faas_async, on_queue_full, queue_full_names),
    FIELD(faas_async, queue_bytes, U64),
    FIELD(faas_async, queue_wait_ns, U64),
    FIELD(faas_async, retries, U32),
    FIELD(faas_async, retry_on, U32),
    FIELD(faas_async, backoff_ns, U64),
    FIELD(faas_async, backoff_max_ns, U64),
    FIELD(faas_async, backoff_factor, REAL),
    CHOICE(faas_async, jitter, jitter_names),
    CHOICE(faas_async, group_failure, group_names),
    FIELD(faas_async, age_ns, U64),
    FIELD(faas_async, blocking, U32),
    {NULL, 0, U32, NULL}};

static const struct field limiter_fields[] = {
    CHOICE(faas_limiter, kind, limiter_names), FIELD(faas_limiter, limit, U32),
    FIELD(faas_limiter, limit_min, U32),       FIELD(faas_limiter, limit_max, U32),
    FIELD(faas_limiter, target_ns, U64),       FIELD(faas_limiter, shed_ns, U64),
    FIELD(faas_limiter, window_ns, U64),       FIELD(faas_limiter, rate, REAL),
    FIELD(faas_limiter, burst, REAL),          FIELD(faas_limiter, cold_rate, REAL),
    FIELD(faas_limiter, cold_burst, REAL),     {NULL, 0, U32, NULL}};

static const struct field runtime_fields[] = {
    FIELD(faas_runtime_options, concurrency_max, U32),
    FIELD(faas_runtime_options, depth_max, U32),
    FIELD(faas_runtime_options, memory_bytes, U64),
    CHOICE(faas_runtime_options, keepalive, keepalive_names),
    FIELD(faas_runtime_options, seed, U64),
    FIELD(faas_runtime_options, worker_min, U32),
    FIELD(faas_runtime_options, worker_max, U32),
    FIELD(faas_runtime_options, blocking_max, U32),
    FIELD(faas_runtime_options, queue_slots, U32),
    FIELD(faas_runtime_options, queue_bytes, U64),
    FIELD(faas_runtime_options, spin_ns, U64),
    FIELD(faas_runtime_options, stuck_ns, U64),
    CHOICE(faas_runtime_options, dedupe, dedupe_names),
    FIELD(faas_runtime_options, dedupe_ns, U64),
    FIELD(faas_runtime_options, dedupe_bytes, U64),
    {NULL, 0, U32, NULL}};

static int choice_read(const struct field *field, PyObject *value, void *at)
{
    const char *text =
        PyUnicode_Check(value) ? PyUnicode_AsUTF8AndSize(value, NULL) : NULL;
    PyObject *all;

    for (int i = 0; text != NULL && field->names[i] != NULL; i++)
        if (strcmp(text, field->names[i]) == 0) {
            *(int *)at = i + 1; // enums are ints
            return 0;
        }
    PyErr_Clear();
    all = PyUnicode_FromString("");
    for (int i = 0; all != NULL && field->names[i] != NULL; i++) {
        PyObject *more =
            PyUnicode_FromFormat("%U%s\"%s\"", all, i == 0 ? "" : ", ", field->names[i]);

        Py_DECREF(all);
        all = more;
    }
    if (all != NULL)
        PyErr_Format(PyExc_ValueError, "%s is one of %U, not %R", field->name, all,
                     value);
    Py_XDECREF(all);
    return -1;
}

static int number_read(const struct field *field, PyObject *value, void *at)
{
    unsigned long long number;

    if (field->kind == REAL) {
        double real = PyFloat_AsDouble(value);

        if (real == -1 && PyErr_Occurred())
            goto wrong;
        *(double *)at = real;
        return 0;
    }
    if (!PyLong_Check(value))
        goto wrong;
    number = PyLong_AsUnsignedLongLong(value);
    if (PyErr_Occurred() || (field->kind == U32 && number > UINT32_MAX)) {
        PyErr_Clear();
        PyErr_Format(PyExc_ValueError, "%s is at least 0 and at most %llu, not %R",
                     field->name,
                     field->kind == U32 ? (unsigned long long)UINT32_MAX
                                        : (unsigned long long)UINT64_MAX,
                     value);
        return -1;
    }
    if (field->kind == U32)
        *(uint32_t *)at = (uint32_t)number;
    else
        *(uint64_t *)at = number;
    return 0;

wrong:
    PyErr_Clear();
    PyErr_Format(PyExc_TypeError, "%s is a number, not %R", field->name, value);
    return -1;
}

/* Reads what `options` has of some fields, and takes it out of there. */
static int fields_read(const struct field *fields, PyObject *options, void *out)
{
    for (const struct field *field = fields; field->name != NULL; field++) {
        PyObject *value = PyDict_GetItemString(options, field->name);
        void *at = (char *)out + field->offset;

        if (value == NULL)
            continue;
        if (value != Py_None &&
            (field->kind == ENUM ? choice_read(field, value, at)
                                 : number_read(field, value, at)) != 0)
            return -1;
        if (PyDict_DelItemString(options, field->name) != 0)
            return -1;
    }
    return 0;
}

static int nothing_left(PyObject *options, const char *of)
{
    PyObject *key;
    Py_ssize_t at = 0;

    if (!PyDict_Next(options, &at, &key, NULL))
        return 0;
    PyErr_Format(PyExc_TypeError, "%s has no option %R", of, key);
    return -1;
}

/* Reads a dict inside `options`. */
static int part_read(PyObject *options, const char *name, const struct field *fields,
                     void *out)
{
    PyObject *value = PyDict_GetItemString(options, name), *copy;
    int failed;

    if (value == NULL)
        return 0;
    if (value == Py_None)
        return PyDict_DelItemString(options, name) != 0 ? -1 : 0;
    copy = PyDict_New();
    if (copy == NULL || PyDict_Update(copy, value) != 0) {
        Py_XDECREF(copy);
        return -1;
    }
    failed = fields_read(fields, copy, out) != 0 || nothing_left(copy, name) != 0 ||
             PyDict_DelItemString(options, name) != 0;
    Py_DECREF(copy);
    return failed ? -1 : 1;
}

static int policy_read(PyObject *options, struct policy *policy)
{
    int async, limiter;

    *policy = (struct policy){.function = {.size = sizeof policy->function},
                              .async = {.size = sizeof policy->async},
                              .limiter = FAAS_LIMITER_INIT};
    if (fields_read(function_fields, options, &policy->function) != 0 ||
        (async = part_read(options, "async_", async_fields, &policy->async)) < 0 ||
        (limiter = part_read(options, "limiter", limiter_fields, &policy->limiter)) < 0 ||
        nothing_left(options, "a function") != 0)
        return -1;
    (void)async;
    /* A submitted call has a future, to which its first failure belongs. */
    if (policy->async.retries == 0)
        policy->async.retries = FAAS_OFF;
    /* Nobody could look at them: of a call they would have a number for an input. */
    policy->async.dead_letters = FAAS_OFF;
    policy->function.async = &policy->async;
    if (limiter != 0)
        policy->function.limiter = &policy->limiter;
    return 0;
}

/* Reading takes out of a dict what it has read: it has its own. */
int policy_take(PyObject *options, struct policy *policy)
{
    PyObject *copy = PyDict_New();
    int failed = copy == NULL || (options != NULL && PyDict_Update(copy, options) != 0) ||
                 policy_read(copy, policy) != 0;

    Py_XDECREF(copy);
    return failed ? -1 : 0;
}

int runtime_options_take(PyObject *options, faas_runtime_options *out)
{
    PyObject *copy = PyDict_New();
    int failed = copy == NULL || PyDict_Update(copy, options) != 0 ||
                 fields_read(runtime_fields, copy, out) != 0 ||
                 nothing_left(copy, "an App") != 0;

    Py_XDECREF(copy);
    return failed ? -1 : 0;
}

static int names_add(PyObject *dict, const char *key, const struct field *fields)
{
    PyObject *list = PyList_New(0);
    int failed = list == NULL;

    for (; !failed && fields->name != NULL; fields++) {
        PyObject *name = PyUnicode_FromString(fields->name);

        failed = name == NULL || PyList_Append(list, name) != 0;
        Py_XDECREF(name);
    }
    failed = failed || PyDict_SetItemString(dict, key, list) != 0;
    Py_XDECREF(list);
    return failed ? -1 : 0;
}

PyObject *policy_names(void)
{
    PyObject *dict = PyDict_New();

    if (dict != NULL && (names_add(dict, "function", function_fields) != 0 ||
                         names_add(dict, "async_", async_fields) != 0 ||
                         names_add(dict, "limiter", limiter_fields) != 0 ||
                         names_add(dict, "app", runtime_fields) != 0))
        Py_CLEAR(dict);
    return dict;
}

/* SPDX-License-Identifier: MIT */
/* faasmodule.h - what the files of the extension faas._faas share.
 *
 * On the stable ABI of Python 3.11 and the public headers of libfaas. Everything here is
 * guarded by the interpreter's lock (the GIL) unless it says otherwise.
 *
 *     gil.c       who holds the lock, on threads of Python and of the runtime
 *     policy.c    dicts of options into descriptors
 *     event.c     Event
 *     context.c   Context: what a running handler may ask
 *     function.c  Function: registered callables, and how they are run
 *     symbol.c    Symbol: C functions by signature
 *     future.c    Future: submitted calls
 *     model.c     Model: ONNX models, with buffers in and out
 *     runtime.c   Runtime: opening, closing, publishing, numbers
 *     module.c    the module, and what goes wrong as exceptions */
#ifndef FAASMODULE_H
#define FAASMODULE_H

#define PY_SSIZE_T_CLEAN
#ifndef Py_LIMITED_API
#define Py_LIMITED_API 0x030B0000
#endif
#include <Python.h>
#include <pythread.h>
#include <structmember.h>

#include <faas/faas.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Of a module, one per interpreter. */
struct state {
    PyTypeObject *runtime_type, *function_type, *symbol_type, *event_type, *context_type,
        *future_type, *await_type, *tensor_type, *model_type;
    PyObject *error;         /* faas._errors.error(status, text, retry_after, code) */
    PyObject *log;           /* faas._support.log_failure(function) */
    PyObject *run_loop;      /* faas._support.run_on_loop(function, call, context) */
    PyObject *cancel_loop;   /* faas._support.cancel_on_loop(future) */
    PyObject *loads, *dumps; /* of json */
    PyTypeObject *delivery_type;
    PyObject *get_running_loop;
    PyObject *cancelled; /* asyncio.CancelledError */
};

struct function;
struct future;

/* ---- objects ---- */

/* A future that has an invocation under way, by its number: handlers may come back for it
 * when it is gone. */
struct slot {
    struct future *future;
    uint32_t generation;
    uint32_t next_free;
};

struct runtime {
    PyObject_HEAD struct state *state;
    PyInterpreterState *interp;
    faas_runtime *rt;    /* NULL: not open */
    faas_clock *clock;   /* of the virtual one, else NULL */
    bool closing;        /* only what runs already may call */
    uint64_t tell_ns;    /* while it closes: from then on handlers are to give up */
    unsigned fork_mark;  /* another one than the process's: this is a child */
    unsigned users;      /* threads in the library that do not run handlers of ours */
    unsigned waiting;    /* functions whose callers may have to wait */
    PyObject *functions; /* dict of name to Function: owned for the library */
    PyObject *source;    /* of events, a str */
    PyObject *report;    /* what gets the REPORT lines, or NULL */
    struct slot *slots;
    uint32_t slot_count, slot_free;
    uint32_t slots_taken;     /* futures that are not settled yet */
    atomic_int events_queued; /* runs of events that are not over yet, at least */
    PyObject *loop;           /* the event loop that awaits futures, or NULL */
    PyObject *to_tell;        /* list of futures that ended and are awaited */
    PyObject *awaited; /* dict of an event's address to who hears of its queued runs */
    PyObject *keyed; /* dict of a function and a key to the list that its futures share */
    unsigned keyed_runs;
    atomic_int awaited_count;
    atomic_int callbacks; /* futures with callbacks: who ends one calls them */
    int wake_fd;
    PyThread_type_lock idle;        /* released by the last user, while it closes */
    atomic_bool wake_armed;         /* a loop wants to be woken */
    _Atomic(struct future *) ended; /* a stack; pushed by any thread, without the GIL */
    struct future *due, *due_last;  /* taken from there, in order, to be settled */
    uint64_t event_high, event_low; /* of ids */
    PyObject *weakrefs;
};

enum run { RUN_INLINE, RUN_WORKER, RUN_LOOP };

struct function {
    PyObject_HEAD struct state *state;
    struct runtime *runtime;
    PyObject *name;         /* str */
    PyObject *callable;     /* NULL of symbols */
    PyObject *init, *close; /* hooks, or NULL */
    PyObject *init_error;   /* what the last init raised, or NULL */
    faas_fn fn;
    enum run run;
    atomic_bool made; /* an instance exists, or has; set by any thread */
    bool registered;
    bool waits; /* a caller may have to wait inside the library */
    bool batch; /* the callable takes a list of inputs */
    bool raw;   /* input and output are bytes, which the library looks at */
    PyObject *weakrefs;
    /* of a symbol */
    faas_layout layout;
    char *signature;
};

/* A call under way on the caller's stack. */
struct call {
    struct function *function;
    PyObject *const *args;
    Py_ssize_t count;
    PyObject *kwnames;        /* tuple or NULL: `args` goes on with their values */
    PyObject *tuple, *kwargs; /* or so, of a future */
    PyObject *result;
    PyObject *type, *value, *traceback; /* what it raised */
};

struct future {
    PyObject_HEAD struct state *state;
    struct function *function;
    struct future *next; /* in `ended`, without the GIL; in `due` */
    PyObject *args, *kwargs;
    PyObject *keep;  /* what a symbol's packed block points to */
    PyObject *keyed; /* list of futures with its key that ran last, or NULL */
    int keyed_run;   /* which run it was, among those */
    PyObject *result;
    PyObject *type, *value, *traceback; /* of the last attempt that raised */
    PyObject *callbacks;                /* list, or NULL */
    PyObject *waiter;                   /* asyncio's future, or NULL */
    faas_invocation handle;
    uint32_t slot, generation;
    bool settled; /* result or exception are final */
    bool cancelled;
    bool running;
    atomic_bool ended; /* the fields below are set; without the GIL */
    faas_status status;
    int code;
    char *message;
    unsigned char *response; /* a copy, or `small` */
    size_t response_size;
    unsigned char small[16];
    PyObject *weakrefs;
};

/* ---- gil.c ---- */

/* A handler of ours that runs on this thread. */
struct frame {
    struct frame *below;
    struct function *function;
    faas_context *ctx;
    PyObject *context; /* made when it is asked for */
};

enum gil { GIL_HELD, GIL_RESUMED, GIL_KEPT };

/* Inside a callback of the library: gets the lock, wherever it is. */
enum gil gil_attach(PyInterpreterState *interp);
void gil_detach(enum gil how);
/* Lets go a lock that the call around us has kept, until that ends. */
void gil_drop(void);

/* Around a call of the library, with the lock: keeps it, for what never waits ... */
struct gil_call {
    bool held, kept;
    PyThreadState *released;
};
void gil_keep(struct gil_call *call);
void gil_kept(const struct gil_call *call);
/* ... or lets it go meanwhile. */
void gil_release(struct gil_call *call);
void gil_retake(const struct gil_call *call);

struct frame **gil_frame(void);
/* The call of raw bytes that this thread makes. */
struct call **gil_raw_call(void);
/* The event that this thread publishes, and its object. */
PyObject **gil_event(void);

/* How often this process was forked. */
unsigned fork_count(void);
void fork_watch(void);

/* ---- module.c ---- */

struct state *state_of_type(PyTypeObject *type);
/* Raises what a status stands for; returns NULL. */
PyObject *raise_status(struct state *state, faas_status status, const char *text,
                       int code);
/* Likewise, with the thread's error text where that belongs to it. */
PyObject *raise_last(struct state *state, faas_status status);
PyObject *text_of(const char *text);
void fetch_into(PyObject **type, PyObject **value, PyObject **traceback);

/* ---- policy.c ---- */

struct policy {
    faas_function function;
    faas_async async;
    faas_limiter limiter;
};

int policy_take(PyObject *options, struct policy *policy);
int runtime_options_take(PyObject *options, faas_runtime_options *out);
PyObject *policy_names(void);

/* ---- runtime.c ---- */

extern PyType_Spec runtime_spec;
/* The library's runtime, if calls may come; else NULL with an exception. */
faas_runtime *runtime_use(struct runtime *self);
/* Whether it closes, and no longer waits for what is queued. */
bool runtime_gives_up(const struct runtime *self);
/* Whether no other thread is, or may come, between a call and what it needs: whoever waits
 * with the interpreter's lock would wait for one that waits for the lock. The library may
 * wait for an instance that changes hands, whatever the policy. */
bool runtime_alone(const struct runtime *self);
/* Around a call of the library, which closing waits for. One that may wait lets the
 * interpreter's lock go. */
void runtime_enter(struct runtime *self, struct gil_call *call, bool may_wait);
void runtime_leave(struct runtime *self, const struct gil_call *call);
/* Has the event loop look at what has ended, if it wants to. Any thread, no lock. */
void runtime_wake(struct runtime *self);
/* A queued run has ended; `user` is its function. Any thread, no lock. */
void runtime_event_ended(const faas_record *record, void *user);
/* Settles the futures that have ended. */
int runtime_drain(struct runtime *self);

/* What the library writes, as a str. */
typedef faas_status runtime_writer(faas_runtime *rt, faas_fn fn, faas_write *write,
                                   void *user);
PyObject *runtime_written(struct runtime *self, faas_fn fn, runtime_writer *write);

/* ---- event.c ---- */

extern PyType_Spec event_spec;
/* Makes an event of what Event.new() and emit() take; NULL with an exception. */
faas_event *event_make(struct state *state, struct runtime *runtime, PyObject *type,
                       PyObject *data, PyObject *attributes);
/* An object for an event; takes a reference of it. */
PyObject *event_wrap(struct state *state, faas_event *event);
faas_event *event_of(PyObject *object);

/* ---- context.c ---- */

extern PyType_Spec context_spec;
PyObject *context_make(struct state *state, struct frame *frame);
/* The handler returns: what it left behind is a memory. */
void context_end(PyObject *context);
PyObject *context_current(PyObject *module, PyObject *unused);

/* ---- function.c ---- */

extern PyType_Spec function_spec;
/* What Function and Symbol have in common: the first part of both. */
int function_open(struct function *self, PyObject *runtime, PyObject *name);
int function_registering(struct function *self, struct policy *policy);
void function_user_free(void *user);
int function_traverse(PyObject *self, visitproc visit, void *arg);
int function_clear(PyObject *self);
void function_dealloc(PyObject *self);
extern PyGetSetDef function_getset[];
extern PyMemberDef function_members[];
PyObject *function_stats(PyObject *self, PyObject *unused);
PyObject *function_update(PyObject *self, PyObject *args, PyObject *kwargs);
PyObject *function_unregister(PyObject *self, PyObject *unused);
PyObject *function_submit(PyObject *self, PyObject *args, PyObject *kwargs);
PyObject *function_submit_with(PyObject *self, PyObject *args, PyObject *kwargs);
/* An arg tuple out of a vector. */
int call_pack(PyObject *const *args, Py_ssize_t count, PyObject *kwnames,
              PyObject **tuple, PyObject **kwargs);

/* ---- symbol.c ---- */

extern PyType_Spec symbol_spec;
PyObject *symbol_answer(struct state *state, const faas_layout *layout,
                        const void *block);
/* Packs arguments; `*keep` holds what the block points to. */
void *symbol_pack(struct function *self, PyObject *args, PyObject **keep);

/* ---- model.c ---- */

extern PyType_Spec tensor_spec, model_spec;

/* ---- future.c ---- */

extern PyType_Spec future_spec, await_spec;
PyObject *future_submit(struct function *function, PyObject *args, PyObject *kwargs,
                        PyObject *options);
struct future *future_find(struct runtime *runtime, uint32_t slot, uint32_t generation);
/* Makes what has ended final; drops the reference that the invocation had. */
void future_settle(struct future *self);
/* Wakes the task that awaits it. On the event loop's thread. */
void future_tell(struct future *self);
/* A handler of a future has come back: has those with its key find what came of it.
 * Returns what the handler is to return. */
int future_ran(struct future *self, faas_context *ctx, int code);
#define FUTURE_NO_SLOT UINT32_MAX

/* What a handler's input is: a call on a stack, or a future by its number. */
struct ticket {
    struct call *call; /* NULL: a future */
    uint32_t slot, generation;
};

#endif /* FAASMODULE_H */

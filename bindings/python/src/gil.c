/* SPDX-License-Identifier: MIT */
/* gil.c - who holds the interpreter's lock.
 *
 * A thread of Python enters the library holding the lock (GIL), and either keeps it, for
 * calls that never wait, or lets it go. A handler then finds it held, or resumes the
 * thread's own state. Threads of the runtime have none of Python's: each makes a state
 * with its first handler and keeps it, which makes the next ones sixty times cheaper than
 * PyGILState_Ensure(), and gives it back when it ends.
 *
 * The lock is never waited for while a lock of the library is held: handlers and hooks are
 * called without any. */
#include "faasmodule.h"

struct thread {
    PyThreadState *released; /* of a Python thread in the library, without the lock */
    PyThreadState *kept;     /* of a thread of the runtime */
    PyInterpreterState *interp;
    bool holds; /* the lock, while in the library or in a handler */
    struct frame *frame;
    struct call *raw_call;
    PyObject *event;
};

static _Thread_local struct thread here;

static pthread_key_t thread_end;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static atomic_uint forks;

/* A thread of the runtime ends: closing waits for it, so the interpreter is there. */
static void thread_forget(void *state)
{
    here.kept = NULL;
    PyEval_RestoreThread(state);
    PyThreadState_Clear(state);
    (void)PyEval_SaveThread();
    PyThreadState_Delete(state);
}

static void forked(void)
{
    atomic_fetch_add(&forks, 1);
}

static void process_begin(void)
{
    (void)pthread_key_create(&thread_end, thread_forget);
    (void)pthread_atfork(NULL, NULL, forked);
}

void fork_watch(void)
{
    (void)pthread_once(&once, process_begin);
}

unsigned fork_count(void)
{
    return atomic_load_explicit(&forks, memory_order_relaxed);
}

enum gil gil_attach(PyInterpreterState *interp)
{
    PyThreadState *state;

    if (here.holds)
        return GIL_HELD;
    if ((state = here.released) != NULL) {
        here.released = NULL;
        PyEval_RestoreThread(state);
        here.holds = true;
        return GIL_RESUMED;
    }
    if (here.kept == NULL || here.interp != interp) {
        if (here.kept != NULL)
            thread_forget(here.kept);
        here.kept = PyThreadState_New(interp);
        if (here.kept == NULL)
            Py_FatalError("faas: no memory for a thread's state");
        here.interp = interp;
        (void)pthread_setspecific(thread_end, here.kept);
    }
    PyEval_RestoreThread(here.kept);
    here.holds = true;
    return GIL_KEPT;
}

void gil_detach(enum gil how)
{
    PyThreadState *state;

    if (how == GIL_HELD)
        return;
    here.holds = false;
    state = PyEval_SaveThread();
    if (how == GIL_RESUMED)
        here.released = state;
}

void gil_drop(void)
{
    here.holds = false;
    here.released = PyEval_SaveThread();
}

void gil_keep(struct gil_call *call)
{
    call->held = here.holds;
    here.holds = true;
}

void gil_kept(const struct gil_call *call)
{
    if (!here.holds) { // a handler has dropped it
        PyThreadState *state = here.released;

        here.released = NULL;
        PyEval_RestoreThread(state);
    }
    here.holds = call->held;
}

void gil_release(struct gil_call *call)
{
    call->held = here.holds;
    call->released = here.released;
    here.holds = false;
    here.released = PyEval_SaveThread();
}

void gil_retake(const struct gil_call *call)
{
    PyThreadState *state = here.released;

    here.released = call->released;
    PyEval_RestoreThread(state);
    here.holds = call->held;
}

struct frame **gil_frame(void)
{
    return &here.frame;
}

PyObject **gil_event(void)
{
    return &here.event;
}

struct call **gil_raw_call(void)
{
    return &here.raw_call;
}

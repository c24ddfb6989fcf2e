/* SPDX-License-Identifier: MIT */
/* status.c - status names and the thread's error text. */
#include "base.h"

#include <stdarg.h>
#include <stdio.h>

/* One line is enough for a value and its limit; longer texts are cut. */
static _Thread_local char error_text[240];

static const struct {
    faas_status status;
    const char *name;
    const char *text;
} statuses[] = {
    {FAAS_OK, "FAAS_OK", "done"},
    {FAAS_EINVAL, "FAAS_EINVAL", "a value is out of its range"},
    {FAAS_ENOENT, "FAAS_ENOENT", "no such name, or its function is gone"},
    {FAAS_EEXIST, "FAAS_EEXIST", "the name is taken"},
    {FAAS_EVERSION, "FAAS_EVERSION", "a field or version this library does not know"},
    {FAAS_ETYPE, "FAAS_ETYPE", "the arguments do not fit the signature"},
    {FAAS_ESYNTAX, "FAAS_ESYNTAX", "a text is malformed"},
    {FAAS_EPERM, "FAAS_EPERM", "not allowed from here"},
    {FAAS_EINUSE, "FAAS_EINUSE", "something still refers to it"},
    {FAAS_ELOAD, "FAAS_ELOAD", "the shared object or its symbol cannot be had"},
    {FAAS_EBUSY, "FAAS_EBUSY", "throttled: a limit is reached; the handler did not run"},
    {FAAS_EEXPIRED, "FAAS_EEXPIRED",
     "no time is left before the deadline; the handler did not run"},
    {FAAS_ECLOSED, "FAAS_ECLOSED", "the runtime is closing; the handler did not run"},
    {FAAS_EDEPTH, "FAAS_EDEPTH", "calls are nested too deeply; the handler did not run"},
    {FAAS_EINIT, "FAAS_EINIT",
     "the instance's init failed or was late; the handler did not run"},
    {FAAS_ECANCELLED, "FAAS_ECANCELLED", "it was cancelled; the handler did not run"},
    {FAAS_EPENDING, "FAAS_EPENDING", "it has not ended yet"},
    {FAAS_EHANDLER, "FAAS_EHANDLER", "the handler ran and failed"},
    {FAAS_ETIMEDOUT, "FAAS_ETIMEDOUT",
     "the handler came back after its deadline; its output is dropped"},
    {FAAS_ENOMEM, "FAAS_ENOMEM", "no memory, or past a memory limit"},
    {FAAS_ESYSTEM, "FAAS_ESYSTEM", "the operating system refused"},
};

const char *faas_status_name(faas_status status)
{
    for (size_t i = 0; i < FAASI_COUNT(statuses); i++)
        if (statuses[i].status == status)
            return statuses[i].name;
    return "FAAS_E?";
}

const char *faas_status_text(faas_status status)
{
    for (size_t i = 0; i < FAASI_COUNT(statuses); i++)
        if (statuses[i].status == status)
            return statuses[i].text;
    return "an unknown status";
}

const char *faas_error_text(void)
{
    return error_text;
}

static void error_write(const char *format, va_list args)
{
    (void)vsnprintf(error_text, sizeof error_text, format, args);
}

faas_status faasi_fail(faas_status status, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    error_write(format, args);
    va_end(args);
    return status;
}

/* The same for others. Its own, so that ours does not go by the table of exports. */
faas_status faas_error_set(faas_status status, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    error_write(format, args);
    va_end(args);
    return status;
}

int faas_version(void)
{
    return FAAS_VERSION;
}

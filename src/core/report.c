/* SPDX-License-Identifier: MIT */
/* report.c - lines about calls, for the host to keep. */
#include "report.h"

#include <stdio.h>

/* One line as Lambda writes it; see faas_runtime_options. */
static void report_write(const faas_runtime *rt, const struct faasi_function *f,
                         const faas_meter *meter, faas_status status)
{
    uint64_t memory = faasi_read(&f->memory_bytes);
    char id[FAAS_ID_TEXT_SIZE], init[64] = "", line[768];
    int size;

    faas_id_text(meter->request_id, id);
    if (meter->cold)
        (void)snprintf(init, sizeof init, "\tInit Duration: %.2f ms",
                       (double)meter->init_ns / 1e6);
    size = snprintf(line, sizeof line,
                    "REPORT RequestId: %s\tDuration: %.2f ms\tBilled Duration: %llu ms"
                    "\tMemory Size: %llu MB\tMax Memory Used: %llu MB%s"
                    "\tFunction: %s\tStatus: %s\n",
                    id, (double)meter->run_ns / 1e6,
                    (unsigned long long)faasi_billed_ms(meter->run_ns),
                    (unsigned long long)(memory >> 20),
                    (unsigned long long)((meter->peak_bytes + 1048575) >> 20), init,
                    f->entry.name, faas_status_name(status));
    if (size > 0 && (size_t)size < sizeof line)
        (void)rt->report(line, (size_t)size, rt->report_user);
}

/* ---- the log ---- */

enum { NAME_ROOM = 2 * 300, LINE_ROOM = NAME_ROOM + 160 };

/* A name as a field of CSV: in quotes if it has what would end the field. What would end
 * the line becomes a space. Returns what follows it. */
static char *field_put(char *out, const char *name)
{
    bool quoted = strpbrk(name, "\",\r\n") != NULL;
    const char *end = out + NAME_ROOM - 4;

    if (quoted)
        *out++ = '"';
    for (; *name != '\0' && out < end; name++) {
        if (*name == '"')
            *out++ = '"';
        *out++ = (char)(*name == '\r' || *name == '\n' ? ' ' : *name);
    }
    if (quoted)
        *out++ = '"';
    return out;
}

/* Milliseconds, to the nanosecond. */
static char *ms_put(char *out, uint64_t ns)
{
    return out + sprintf(out, "%llu.%06u", (unsigned long long)(ns / 1000000),
                         (unsigned)(ns % 1000000));
}

static void log_write(const faas_runtime *rt, const struct faasi_function *f,
                      uint64_t bytes, const faas_meter *meter, uint64_t begun)
{
    uint64_t at = faasi_instant_ns(rt->gate.clock, begun);
    uint64_t before = meter->wait_ns + meter->init_ns;
    char line[LINE_ROOM], *out = line;

    out = ms_put(out, at > before ? at - before : 0);
    *out++ = ',';
    out = field_put(out, f->entry.name);
    *out++ = ',';
    out = ms_put(out, meter->run_ns);
    out += sprintf(out, ",%.6f,", (double)bytes / 0x1p20);
    if (meter->cold)
        out = ms_put(out, meter->init_ns);
    *out++ = '\n';
    (void)rt->log(line, (size_t)(out - line), rt->log_user);
}

void faasi_report_begin(const faas_runtime *rt)
{
    static const char head[] = "time_ms,function,duration_ms,memory_mb,init_ms\n";

    if (rt->log != NULL)
        (void)rt->log(head, sizeof head - 1, rt->log_user);
}

void faasi_report_call(const faas_runtime *rt, const struct faasi_function *f,
                       uint64_t bytes, const faas_meter *meter, uint64_t begun,
                       faas_status status)
{
    if (rt->report != NULL)
        report_write(rt, f, meter, status);
    if (rt->log != NULL)
        log_write(rt, f, bytes, meter, begun);
}

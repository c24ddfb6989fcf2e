/* SPDX-License-Identifier: MIT */
/* onnx.c - the engine for ONNX models.
 *
 * A session is what ONNX Runtime makes of a model; it may be run by several threads at
 * once. For a small model that is slower than one thread alone (3 us: 5.1 against 3.2),
 * for a large one it costs nothing and saves its memory: so an instance shares the last
 * session if a run takes SHARE_NS or more, and has its own otherwise. */
#define _GNU_SOURCE // memfd_create()
#include "../model/policy.h"
#include "graphs.h"
#include "ort.h"

#include <faas/clock.h>

#include <dlfcn.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef FAAS_ONNXRUNTIME
#define FAAS_ONNXRUNTIME ""
#endif

/* Without RTLD_DEEPBIND: C++ lets the program have operators new and delete of its own, and
 * then the engine must have those, as its C++ library has if it was there before. */
enum { LIBRARY_MODE = RTLD_NOW | RTLD_LOCAL };

/* From here on sharing a session is free; and how many runs tell how long one takes. */
#define SHARE_NS UINT64_C(1000000)
enum { RUNS_TIMED = 8 };

struct faas_onnx {
    atomic_uint refs;
    faas_engine engine;
    void *library, *env, *memory, *allocator;
    const char *version;
    struct ort ort;
    struct graphs graphs;
    atomic_ullong sessions, graph_hits;
};

struct session {
    void *made;
    unsigned refs;
};

/* What a port is to the engine. */
struct port {
    char *name; /* of the allocator */
    bool maps;  /* a sequence of maps */
};

struct loaded {
    struct faas_onnx *onnx;
    faas_bytes model;
    struct graph_key key;
    pthread_mutex_t lock;
    struct session *last;  /* Lock: the one made last, while it is used */
    struct session *first; /* Lock: made by load(), for the first instance; or NULL */
    uint64_t first_held;
    size_t input_count, output_count;
    faas_port *inputs, *outputs;
    struct port *input_ports, *output_ports;
    const char **input_names, **output_names;
    atomic_ullong run_ns; /* the shortest run seen */
};

struct instance {
    struct loaded *loaded;
    struct session *session;
    uint32_t timed;
    void **values;  /* inputs, then outputs: those of the last run */
    float **tables; /* of outputs that are maps */
};

/* Whether a call of the engine went well; otherwise its words are the error text. */
static bool went(const struct faas_onnx *onnx, void *status, faas_status failure)
{
    if (status == NULL)
        return true;
    (void)faas_error_set(failure, "onnx: %s", onnx->ort.GetErrorMessage(status));
    onnx->ort.ReleaseStatus(status);
    return false;
}

/* ---- opening ---- */

static void ort_fill(struct ort *ort, const void *const *table)
{
#define ORT_FILL(name, index, arguments)                                                 \
    memcpy(&ort->name, &table[index], sizeof ort->name);
    ORT_SLOTS(ORT_FILL)
#undef ORT_FILL
#define ORT_FILL(name, index, type, arguments)                                           \
    memcpy(&ort->name, &table[index], sizeof ort->name);
    ORT_PLAIN_SLOTS(ORT_FILL)
#undef ORT_FILL
}

/* Finds the library: where the host says, or where it was configured, or by the loader. */
static void *library_open(const char *given)
{
    const char *places[] = {FAAS_ONNXRUNTIME, "libonnxruntime.so.1", "libonnxruntime.so"};
    void *library = NULL;

    /* Before it is there: it looks once. A host that has set it wants what it set. */
    (void)setenv("ORT_DISABLE_TELEMETRY", "1", 0);
    if (given != NULL) {
        library = dlopen(given, LIBRARY_MODE);
        if (library == NULL)
            (void)faas_error_set(FAAS_ELOAD, "onnx: %s", dlerror());
        return library;
    }
    for (size_t i = 0; i < sizeof places / sizeof places[0] && library == NULL; i++)
        if (places[i][0] != '\0')
            library = dlopen(places[i], LIBRARY_MODE);
    if (library == NULL)
        (void)faas_error_set(FAAS_ELOAD,
                             "onnx: no ONNX Runtime: neither \"%s\", as configured, nor "
                             "libonnxruntime.so where the loader looks",
                             FAAS_ONNXRUNTIME);
    return library;
}

static faas_status ort_open(struct faas_onnx *onnx)
{
    const struct ort_base *(*get)(void);
    const void *const *table = NULL;
    void *symbol = dlsym(onnx->library, "OrtGetApiBase");
    const struct ort_base *base;

    if (symbol == NULL)
        return faas_error_set(FAAS_ELOAD, "onnx: the library has no OrtGetApiBase");
    memcpy(&get, &symbol, sizeof get);
    base = get();
    onnx->version = base->GetVersionString();
    table = base->GetApi(ORT_API);
    if (table == NULL)
        return faas_error_set(FAAS_ELOAD, "onnx: version %s is older than 1.14",
                              onnx->version);
    ort_fill(&onnx->ort, table);
    /* At this level nothing is written to standard error: failures come as statuses. */
    return went(onnx, onnx->ort.CreateEnv(ORT_LOG_FATAL, "faas", &onnx->env),
                FAAS_ESYSTEM) &&
                   went(onnx, onnx->ort.CreateCpuMemoryInfo(0, 0, &onnx->memory),
                        FAAS_ESYSTEM) &&
                   went(onnx, onnx->ort.GetAllocatorWithDefaultOptions(&onnx->allocator),
                        FAAS_ESYSTEM)
               ? FAAS_OK
               : FAAS_ESYSTEM;
}

static void onnx_free(struct faas_onnx *onnx)
{
    if (onnx->memory != NULL)
        onnx->ort.ReleaseMemoryInfo(onnx->memory);
    if (onnx->env != NULL)
        onnx->ort.ReleaseEnv(onnx->env);
    graphs_fini(&onnx->graphs);
    /* The library stays: threads may still run its code for their end. */
    free(onnx);
}

static void onnx_acquire(void *user)
{
    struct faas_onnx *onnx = user;

    (void)atomic_fetch_add(&onnx->refs, 1);
}

static void onnx_release(void *user)
{
    struct faas_onnx *onnx = user;

    if (atomic_fetch_sub(&onnx->refs, 1) == 1)
        onnx_free(onnx);
}

/* ---- sessions ---- */

/* Reads back what the engine wrote of its optimised graph, and keeps it. */
static void graph_keep(struct loaded *l, int file)
{
    struct stat stat;
    void *bytes;

    if (fstat(file, &stat) != 0 || stat.st_size <= 0)
        return;
    bytes = mmap(NULL, (size_t)stat.st_size, PROT_READ, MAP_PRIVATE, file, 0);
    if (bytes == MAP_FAILED)
        return;
    graph_release(&l->onnx->graphs,
                  graphs_put(&l->onnx->graphs, &l->key,
                             faas_bytes_of(bytes, (size_t)stat.st_size)));
    (void)munmap(bytes, (size_t)stat.st_size);
}

/* Makes a session of a model's bytes, or of a graph that was optimised before. With `file`
 * not negative the optimised graph is written there. */
static faas_status session_create(struct loaded *l, faas_bytes bytes, int level, int file,
                                  void **session)
{
    struct faas_onnx *onnx = l->onnx;
    const struct ort *ort = &onnx->ort;
    void *options = NULL;
    char path[64];
    bool good;

    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    good =
        went(onnx, ort->CreateSessionOptions(&options), FAAS_ESYSTEM) &&
        went(onnx, ort->SetIntraOpNumThreads(options, 1), FAAS_ESYSTEM) &&
        went(onnx, ort->SetInterOpNumThreads(options, 1), FAAS_ESYSTEM) &&
        went(onnx, ort->SetSessionGraphOptimizationLevel(options, level), FAAS_ESYSTEM) &&
        (file < 0 ||
         went(onnx, ort->SetOptimizedModelFilePath(options, path), FAAS_ESYSTEM)) &&
        went(onnx,
             ort->CreateSessionFromArray(onnx->env, bytes.data, bytes.size, options,
                                         session),
             FAAS_ELOAD);
    if (options != NULL)
        ort->ReleaseSessionOptions(options);
    return good ? FAAS_OK : FAAS_ELOAD;
}

/* What the allocator has given out: a session's size is how much more it is. */
static uint64_t bytes_in_use(void)
{
    struct mallinfo2 info = mallinfo2();

    return (uint64_t)info.uordblks + (uint64_t)info.hblkhd;
}

static faas_status session_make(struct loaded *l, struct session **out, uint64_t *held)
{
    struct faas_onnx *onnx = l->onnx;
    struct session *session = calloc(1, sizeof *session);
    struct graph *graph = graphs_find(&onnx->graphs, &l->key);
    uint64_t before = bytes_in_use(), after;
    faas_status status = FAAS_ELOAD;

    *out = NULL;
    if (session == NULL) {
        graph_release(&onnx->graphs, graph);
        return faas_error_set(FAAS_ENOMEM, "onnx: no memory");
    }
    if (graph != NULL) {
        status = session_create(l, faas_bytes_of(graph->bytes, graph->size),
                                ORT_OPTIMISE_NONE, -1, &session->made);
        if (status == FAAS_OK)
            atomic_fetch_add(&onnx->graph_hits, 1);
        graph_release(&onnx->graphs, graph);
    }
    if (status != FAAS_OK) {
        int file = graph == NULL ? memfd_create("faas-graph", MFD_CLOEXEC) : -1;

        status = session_create(l, l->model, ORT_OPTIMISE_ALL, file, &session->made);
        if (status == FAAS_OK && file >= 0)
            graph_keep(l, file);
        if (file >= 0)
            (void)close(file);
    }
    if (status != FAAS_OK) {
        free(session);
        return status;
    }
    after = bytes_in_use();
    *held = after > before ? after - before : 0;
    session->refs = 1;
    atomic_fetch_add(&onnx->sessions, 1);
    *out = session;
    return FAAS_OK;
}

/* Holds: the model's lock. */
static void session_drop(struct loaded *l, struct session *session)
{
    if (--session->refs != 0)
        return;
    if (l->last == session)
        l->last = NULL;
    l->onnx->ort.ReleaseSession(session->made);
    free(session);
}

/* ---- what a model takes and gives ---- */

/* The dimension along which items lie side by side: the only one that is free. */
static int32_t batch_axis_of(const faas_port *port)
{
    int32_t axis = -1;

    for (uint32_t i = 0; i < port->rank; i++) {
        if (port->shape[i] >= 0)
            continue;
        if (axis >= 0)
            return -1;
        axis = (int32_t)i;
    }
    return axis;
}

static bool tensor_port(const struct faas_onnx *onnx, const void *info, faas_port *port)
{
    const void *tensor = NULL;
    size_t rank = 0;
    int type = 0;

    if (!went(onnx, onnx->ort.CastTypeInfoToTensorInfo(info, &tensor), FAAS_ELOAD) ||
        tensor == NULL ||
        !went(onnx, onnx->ort.GetTensorElementType(tensor, &type), FAAS_ELOAD) ||
        !went(onnx, onnx->ort.GetDimensionsCount(tensor, &rank), FAAS_ELOAD))
        return false;
    port->type = (faas_element)type;
    if (rank > FAAS_RANK_MAX || faas_element_size(port->type) == 0) {
        (void)faas_error_set(FAAS_ELOAD,
                             "onnx: %s: elements of type %d, rank %zu: not supported",
                             port->name, type, rank);
        return false;
    }
    port->rank = (uint32_t)rank;
    if (rank != 0 &&
        !went(onnx, onnx->ort.GetDimensions(tensor, port->shape, rank), FAAS_ELOAD))
        return false;
    for (size_t i = 0; i < rank; i++)
        if (port->shape[i] < 0)
            port->shape[i] = -1;
    port->batch_axis = batch_axis_of(port);
    return true;
}

static bool port_fill(const struct faas_onnx *onnx, void *info, bool input,
                      faas_port *port, struct port *own)
{
    int kind = 0;

    if (!went(onnx, onnx->ort.GetOnnxTypeFromTypeInfo(info, &kind), FAAS_ELOAD))
        return false;
    port->name = own->name;
    if (kind == ORT_TENSOR)
        return tensor_port(onnx, info, port);
    if (kind != ORT_SEQUENCE || input) {
        (void)faas_error_set(FAAS_ELOAD, "onnx: %s: it is no tensor", port->name);
        return false;
    }
    own->maps = true;
    port->type = FAAS_F32;
    port->rank = 2;
    port->shape[0] = port->shape[1] = -1;
    port->batch_axis = 0;
    return true;
}

static bool ports_read(struct loaded *l, const void *session, bool input)
{
    const struct faas_onnx *onnx = l->onnx;
    const struct ort *ort = &onnx->ort;
    size_t count = input ? l->input_count : l->output_count;
    faas_port *ports = input ? l->inputs : l->outputs;
    struct port *own = input ? l->input_ports : l->output_ports;
    const char **names = input ? l->input_names : l->output_names;

    for (size_t i = 0; i < count; i++) {
        void *info = NULL;
        bool good;

        good = went(onnx,
                    input ? ort->SessionGetInputName(session, i, onnx->allocator,
                                                     &own[i].name)
                          : ort->SessionGetOutputName(session, i, onnx->allocator,
                                                      &own[i].name),
                    FAAS_ELOAD) &&
               went(onnx,
                    input ? ort->SessionGetInputTypeInfo(session, i, &info)
                          : ort->SessionGetOutputTypeInfo(session, i, &info),
                    FAAS_ELOAD) &&
               port_fill(onnx, info, input, &ports[i], &own[i]);
        if (info != NULL)
            ort->ReleaseTypeInfo(info);
        if (!good)
            return false;
        names[i] = own[i].name;
    }
    return true;
}

static faas_status ports_make(struct loaded *l, const void *session)
{
    const struct faas_onnx *onnx = l->onnx;
    size_t in = 0, out = 0;

    if (!went(onnx, onnx->ort.SessionGetInputCount(session, &in), FAAS_ELOAD) ||
        !went(onnx, onnx->ort.SessionGetOutputCount(session, &out), FAAS_ELOAD))
        return FAAS_ELOAD;
    if (in > FAAS_TENSORS_MAX || out > FAAS_TENSORS_MAX || out == 0)
        return faas_error_set(FAAS_ELOAD, "onnx: %zu inputs, %zu outputs: over %d", in,
                              out, FAAS_TENSORS_MAX);
    l->inputs = calloc(in + out, sizeof *l->inputs);
    l->input_ports = calloc(in + out, sizeof *l->input_ports);
    l->input_names = calloc(in + out, sizeof *l->input_names);
    if (l->inputs == NULL || l->input_ports == NULL || l->input_names == NULL)
        return faas_error_set(FAAS_ENOMEM, "onnx: no memory");
    l->input_count = in;
    l->output_count = out;
    l->outputs = l->inputs + in;
    l->output_ports = l->input_ports + in;
    l->output_names = l->input_names + in;
    return ports_read(l, session, true) && ports_read(l, session, false) ? FAAS_OK
                                                                         : FAAS_ELOAD;
}

static void onnx_unload(void *loaded)
{
    struct loaded *l = loaded;

    if (l->first != NULL)
        session_drop(l, l->first);
    for (size_t i = 0; i < l->input_count + l->output_count; i++)
        if (l->input_ports[i].name != NULL)
            (void)went(
                l->onnx,
                l->onnx->ort.AllocatorFree(l->onnx->allocator, l->input_ports[i].name),
                FAAS_ESYSTEM);
    free(l->inputs);
    free(l->input_ports);
    free((void *)l->input_names);
    (void)pthread_mutex_destroy(&l->lock);
    free(l);
}

static faas_status onnx_load(const faas_model *model, faas_bytes bytes, void *user,
                             void **out)
{
    struct faas_onnx *onnx = user;
    struct loaded *l = calloc(1, sizeof *l);
    faas_status status;

    (void)model;
    *out = NULL;
    if (l == NULL || pthread_mutex_init(&l->lock, NULL) != 0) {
        free(l);
        return faas_error_set(FAAS_ENOMEM, "onnx: no memory");
    }
    l->onnx = onnx;
    l->model = bytes;
    l->key = graph_key_of(bytes, onnx->version);
    status = session_make(l, &l->first, &l->first_held);
    if (status == FAAS_OK)
        status = ports_make(l, l->first->made);
    if (status != FAAS_OK) {
        onnx_unload(l);
        return status;
    }
    *out = l;
    return FAAS_OK;
}

static void onnx_ports(void *loaded, const faas_port **inputs, size_t *input_count,
                       const faas_port **outputs, size_t *output_count)
{
    const struct loaded *l = loaded;

    *inputs = l->inputs;
    *input_count = l->input_count;
    *outputs = l->outputs;
    *output_count = l->output_count;
}

/* ---- instances ---- */

/* A session for one more instance: the one that load() made, a shared one, or its own. */
static faas_status session_take(struct loaded *l, struct session **session,
                                uint64_t *held)
{
    faas_status status = FAAS_OK;

    *held = 0;
    (void)pthread_mutex_lock(&l->lock);
    *session = l->first;
    if (l->first != NULL) {
        *held = l->first_held;
        l->first = NULL;
    } else if (l->last != NULL && atomic_load(&l->run_ns) >= SHARE_NS) {
        *session = l->last;
        l->last->refs++;
    } else {
        status = session_make(l, session, held);
    }
    if (status == FAAS_OK)
        l->last = *session;
    (void)pthread_mutex_unlock(&l->lock);
    return status;
}

static void onnx_close_instance(void *instance)
{
    struct instance *i = instance;
    struct loaded *l = i->loaded;

    for (size_t v = 0; v < l->input_count + l->output_count; v++)
        if (i->values[v] != NULL)
            l->onnx->ort.ReleaseValue(i->values[v]);
    for (size_t o = 0; o < l->output_count; o++)
        free(i->tables[o]);
    if (i->session != NULL) {
        (void)pthread_mutex_lock(&l->lock);
        session_drop(l, i->session);
        (void)pthread_mutex_unlock(&l->lock);
    }
    free(i->values);
    free(i->tables);
    free(i);
}

static faas_status onnx_open_instance(void *loaded, void **out, uint64_t *held)
{
    struct loaded *l = loaded;
    struct instance *i = calloc(1, sizeof *i);
    faas_status status = FAAS_ENOMEM;

    *out = NULL;
    if (i == NULL)
        return faas_error_set(FAAS_ENOMEM, "onnx: no memory");
    i->loaded = l;
    i->values = calloc(l->input_count + l->output_count, sizeof *i->values);
    i->tables = calloc(l->output_count, sizeof *i->tables);
    if (i->values == NULL || i->tables == NULL)
        (void)faas_error_set(FAAS_ENOMEM, "onnx: no memory");
    else
        status = session_take(l, &i->session, held);
    if (status != FAAS_OK) {
        free(i->values);
        free(i->tables);
        free(i);
        return status;
    }
    *out = i;
    return FAAS_OK;
}

/* ---- running ---- */

static bool value_of(const struct faas_onnx *onnx, const faas_tensor *t, void **value)
{
    return went(onnx,
                onnx->ort.CreateTensorWithDataAsOrtValue(onnx->memory, t->data,
                                                         (size_t)t->bytes, t->shape,
                                                         t->rank, (int)t->type, value),
                FAAS_ESYSTEM);
}

static bool tensor_read(const struct faas_onnx *onnx, void *value, faas_tensor *t)
{
    const struct ort *ort = &onnx->ort;
    void *info = NULL;
    size_t rank = 0;
    int type = 0;
    bool good;

    good = went(onnx, ort->GetTensorTypeAndShape(value, &info), FAAS_ESYSTEM) &&
           went(onnx, ort->GetTensorElementType(info, &type), FAAS_ESYSTEM) &&
           went(onnx, ort->GetDimensionsCount(info, &rank), FAAS_ESYSTEM);
    if (good && (rank > FAAS_RANK_MAX || faas_element_size((faas_element)type) == 0)) {
        (void)faas_error_set(FAAS_ESYSTEM,
                             "onnx: an output of rank %zu, of elements of type %d", rank,
                             type);
        good = false;
    }
    good = good &&
           (rank == 0 ||
            went(onnx, ort->GetDimensions(info, t->shape, rank), FAAS_ESYSTEM)) &&
           went(onnx, ort->GetTensorMutableData(value, &t->data), FAAS_ESYSTEM);
    if (info != NULL)
        ort->ReleaseTensorTypeAndShapeInfo(info);
    if (!good)
        return false;
    t->type = (faas_element)type;
    t->rank = (uint32_t)rank;
    t->bytes = faas_element_size(t->type);
    for (size_t d = 0; d < rank; d++)
        t->bytes *= (uint64_t)t->shape[d];
    return true;
}

/* One map of a sequence: its values into a row. */
static bool row_read(const struct faas_onnx *onnx, const void *maps, size_t index,
                     float **table, int64_t rows, int64_t *columns)
{
    const struct ort *ort = &onnx->ort;
    void *map = NULL, *values = NULL;
    faas_tensor t = {0};
    bool good;

    good = went(onnx, ort->GetValue(maps, (int)index, onnx->allocator, &map),
                FAAS_ESYSTEM) &&
           went(onnx, ort->GetValue(map, 1, onnx->allocator, &values), FAAS_ESYSTEM) &&
           tensor_read(onnx, values, &t);
    if (good &&
        (t.type != FAAS_F32 || t.rank != 1 || (index != 0 && t.shape[0] != *columns))) {
        (void)faas_error_set(FAAS_ESYSTEM, "onnx: an output's maps are unlike");
        good = false;
    }
    if (good && index == 0) {
        float *grown;

        *columns = t.shape[0];
        grown = realloc(*table, (size_t)(rows * t.shape[0] + 1) * sizeof **table);
        good = grown != NULL;
        if (good)
            *table = grown;
        else
            (void)faas_error_set(FAAS_ENOMEM, "onnx: no memory");
    }
    if (good)
        memcpy(*table + (int64_t)index * *columns, t.data, (size_t)t.bytes);
    if (values != NULL)
        ort->ReleaseValue(values);
    if (map != NULL)
        ort->ReleaseValue(map);
    return good;
}

static bool maps_read(const struct faas_onnx *onnx, void *value, float **table,
                      faas_tensor *t)
{
    size_t rows = 0;
    int64_t columns = 0;

    if (!went(onnx, onnx->ort.GetValueCount(value, &rows), FAAS_ESYSTEM))
        return false;
    for (size_t row = 0; row < rows; row++)
        if (!row_read(onnx, value, row, table, (int64_t)rows, &columns))
            return false;
    *t = (faas_tensor){.data = *table,
                       .bytes = rows * (uint64_t)columns * sizeof(float),
                       .type = FAAS_F32,
                       .rank = 2,
                       .shape = {(int64_t)rows, columns},
                       .name = t->name};
    return true;
}

/* Gives back the values of the last run. */
static void values_release(struct instance *i)
{
    const struct loaded *l = i->loaded;

    for (size_t v = 0; v < l->input_count + l->output_count; v++) {
        if (i->values[v] != NULL)
            l->onnx->ort.ReleaseValue(i->values[v]);
        i->values[v] = NULL;
    }
}

static faas_status onnx_run(void *instance, const faas_tensor *inputs,
                            faas_tensor *outputs)
{
    struct instance *i = instance;
    struct loaded *l = i->loaded;
    const struct faas_onnx *onnx = l->onnx;
    void **in = i->values, **out = i->values + l->input_count;
    bool timed = i->timed < RUNS_TIMED;
    uint64_t begun;

    values_release(i);
    for (size_t v = 0; v < l->input_count; v++)
        if (!value_of(onnx, &inputs[v], &in[v]))
            return FAAS_ESYSTEM;
    for (size_t v = 0; v < l->output_count; v++)
        if (outputs[v].data != NULL && !value_of(onnx, &outputs[v], &out[v]))
            return FAAS_ESYSTEM;
    begun = timed ? faas_clock_now(NULL) : 0;
    if (!went(onnx,
              onnx->ort.Run(i->session->made, NULL, l->input_names,
                            (const void *const *)in, l->input_count, l->output_names,
                            l->output_count, out),
              FAAS_ESYSTEM))
        return FAAS_ESYSTEM;
    if (timed) {
        uint64_t took = faas_clock_now(NULL) - begun, before = atomic_load(&l->run_ns);

        i->timed++;
        if (before == 0 || took < before)
            atomic_store(&l->run_ns, took);
    }
    for (size_t v = 0; v < l->output_count; v++) {
        if (outputs[v].data != NULL)
            continue;
        if (l->output_ports[v].maps ? !maps_read(onnx, out[v], &i->tables[v], &outputs[v])
                                    : !tensor_read(onnx, out[v], &outputs[v]))
            return FAAS_ESYSTEM;
    }
    return FAAS_OK;
}

/* ---- public ---- */

faas_status faas_onnx_open(const faas_onnx_options *given, faas_onnx **out)
{
    faas_onnx_options options = {.size = sizeof options};
    struct faas_onnx *onnx;
    faas_status status;

    *out = NULL;
    if (given != NULL && given->size != sizeof options)
        return faas_error_set(FAAS_EVERSION, "onnx options: %zu bytes, not %zu",
                              given->size, sizeof options);
    if (given != NULL)
        options = *given;
    onnx = calloc(1, sizeof *onnx);
    if (onnx == NULL)
        return faas_error_set(FAAS_ENOMEM, "onnx: no memory");
    status = graphs_init(&onnx->graphs, &options);
    if (status != FAAS_OK) {
        free(onnx);
        return status;
    }
    onnx->library = library_open(options.library);
    status = onnx->library == NULL ? FAAS_ELOAD : ort_open(onnx);
    if (status != FAAS_OK) {
        onnx_free(onnx);
        return status;
    }
    atomic_init(&onnx->refs, 1);
    onnx->engine = (faas_engine){.size = sizeof onnx->engine,
                                 .name = "onnx",
                                 .user = onnx,
                                 .acquire = onnx_acquire,
                                 .release = onnx_release,
                                 .load = onnx_load,
                                 .unload = onnx_unload,
                                 .ports = onnx_ports,
                                 .open = onnx_open_instance,
                                 .close = onnx_close_instance,
                                 .run = onnx_run};
    *out = onnx;
    return FAAS_OK;
}

void faas_onnx_close(faas_onnx *onnx)
{
    if (onnx != NULL)
        onnx_release(onnx);
}

const faas_engine *faas_onnx_engine(const faas_onnx *onnx)
{
    return &onnx->engine;
}

const char *faas_onnx_version(const faas_onnx *onnx)
{
    return onnx->version;
}

faas_status faas_onnx_stats_get(faas_onnx *onnx, faas_onnx_stats *stats)
{
    if (stats->size != sizeof *stats)
        return faas_error_set(FAAS_EINVAL, "stats.size: %zu was not set", stats->size);
    stats->sessions = atomic_load(&onnx->sessions);
    stats->graph_hits = atomic_load(&onnx->graph_hits);
    (void)pthread_mutex_lock(&onnx->graphs.lock);
    stats->graph_files = onnx->graphs.file_hits;
    stats->graph_errors = onnx->graphs.errors;
    stats->graph_bytes = onnx->graphs.bytes;
    (void)pthread_mutex_unlock(&onnx->graphs.lock);
    return FAAS_OK;
}

faas_status faas_onnx_register(faas_runtime *rt, const char *name, const char *path,
                               const faas_function *policy, faas_fn *fn)
{
    static const faas_fn none;
    faas_function named;
    faas_onnx *onnx;
    faas_status status;

    if (fn != NULL)
        *fn = none;
    status = faasi_model_policy(&named, policy);
    if (status != FAAS_OK)
        return status;
    if (named.name != NULL)
        return faas_error_set(FAAS_EINVAL, "onnx: the policy has a name of its own");
    status = faas_onnx_open(NULL, &onnx);
    if (status != FAAS_OK)
        return status;
    named.name = name;
    status = faas_model_register(rt, faas_onnx_engine(onnx), FAAS_MODEL(.path = path),
                                 &named, fn);
    faas_onnx_close(onnx);
    return status;
}

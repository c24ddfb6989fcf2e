/* SPDX-License-Identifier: MIT */
/* graphs.c - optimised graphs, in memory and in files. */
#include "graphs.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAGIC "FaGraph1"

enum { CACHE_DEFAULT = 64 << 20, PATH_ROOM = 4096 };

struct head {
    char magic[8];
    struct graph_key key;
    uint64_t size, hash, own, zero;
};

_Static_assert(sizeof(struct head) == 64, "a file's head has 64 bytes");

faas_status graphs_init(struct graphs *graphs, const faas_onnx_options *options)
{
    *graphs = (struct graphs){.most = options->cache_bytes == 0 ? CACHE_DEFAULT
                                                                : options->cache_bytes,
                              .say = options->say,
                              .say_user = options->say_user};
    if (options->cache_dir != NULL) {
        graphs->dir = strdup(options->cache_dir);
        if (graphs->dir == NULL)
            return faas_error_set(FAAS_ENOMEM, "onnx: no memory");
    }
    if (pthread_mutex_init(&graphs->lock, NULL) != 0) {
        free(graphs->dir);
        return faas_error_set(FAAS_ENOMEM, "onnx: no lock");
    }
    return FAAS_OK;
}

void graphs_fini(struct graphs *graphs)
{
    while (graphs->newest != NULL) {
        struct graph *graph = graphs->newest;

        graphs->newest = graph->next;
        free(graph);
    }
    free(graphs->dir);
    (void)pthread_mutex_destroy(&graphs->lock);
}

struct graph_key graph_key_of(faas_bytes model, const char *engine)
{
    XXH128_hash_t hash = XXH3_128bits(model.data, model.size);
    struct graph_key key = {{hash.high64, hash.low64}, 0};
    uint64_t can = 0;

#if defined(__x86_64__)
    __builtin_cpu_init();
    can = (uint64_t)(__builtin_cpu_supports("avx2") != 0) |
          (uint64_t)(__builtin_cpu_supports("fma") != 0) << 1 |
          (uint64_t)(__builtin_cpu_supports("avx512f") != 0) << 2 |
          (uint64_t)(__builtin_cpu_supports("avx512bw") != 0) << 3 |
          (uint64_t)(__builtin_cpu_supports("avx512vnni") != 0) << 4;
#endif
    key.engine = XXH3_64bits_withSeed(engine, strlen(engine), can);
    return key;
}

static bool same_key(const struct graph_key *a, const struct graph_key *b)
{
    return a->model[0] == b->model[0] && a->model[1] == b->model[1] &&
           a->engine == b->engine;
}

/* ---- files ---- */

bool graph_file_view(faas_bytes file, const struct graph_key *key, faas_bytes *graph)
{
    struct head head;

    *graph = faas_bytes_of(NULL, 0);
    if (file.size < sizeof head)
        return false;
    memcpy(&head, file.data, sizeof head);
    if (memcmp(head.magic, MAGIC, sizeof head.magic) != 0 || !same_key(&head.key, key) ||
        head.own != XXH3_64bits(&head, offsetof(struct head, own)) || head.zero != 0 ||
        head.size != file.size - sizeof head || head.size == 0)
        return false;
    *graph =
        faas_bytes_of((const unsigned char *)file.data + sizeof head, (size_t)head.size);
    return XXH3_64bits(graph->data, graph->size) == head.hash;
}

static bool path_of(const struct graphs *graphs, const struct graph_key *key,
                    const char *ending, char *path)
{
    int size =
        snprintf(path, PATH_ROOM, "%s/%016llx%016llx-%016llx%s", graphs->dir,
                 (unsigned long long)key->model[0], (unsigned long long)key->model[1],
                 (unsigned long long)key->engine, ending);

    return size > 0 && size < PATH_ROOM;
}

/* Says something once. Not under the lock. */
static void say(struct graphs *graphs, bool *said, const char *what, const char *path)
{
    char text[PATH_ROOM + 128];
    bool again;
    int size;

    (void)pthread_mutex_lock(&graphs->lock);
    again = *said;
    *said = true;
    graphs->errors++;
    (void)pthread_mutex_unlock(&graphs->lock);
    if (again || graphs->say == NULL)
        return;
    size = snprintf(text, sizeof text, "faas-onnx: %s %s\n", path, what);
    if (size > 0)
        (void)graphs->say(text,
                          (size_t)size < sizeof text ? (size_t)size : sizeof text - 1,
                          graphs->say_user);
}

/* The bytes of a file, or NULL if there is none or it cannot be read. */
static unsigned char *file_bytes(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rbe");
    unsigned char *bytes = NULL;
    long end = -1;

    if (file == NULL)
        return NULL;
    if (fseek(file, 0, SEEK_END) == 0)
        end = ftell(file);
    if (end >= 0 && fseek(file, 0, SEEK_SET) == 0)
        bytes = malloc((size_t)end + 1);
    *size = bytes == NULL ? 0 : fread(bytes, 1, (size_t)end, file);
    (void)fclose(file);
    return bytes;
}

/* Written beside its place and moved there, so that nobody finds a part of it. */
static bool file_write(const struct graphs *graphs, const struct graph *graph, char *path)
{
    struct head head = {.magic = MAGIC,
                        .key = graph->key,
                        .size = graph->size,
                        .hash = XXH3_64bits(graph->bytes, graph->size)};
    char part[PATH_ROOM], ending[32];
    FILE *file;
    bool whole;

    head.own = XXH3_64bits(&head, offsetof(struct head, own));
    (void)snprintf(ending, sizeof ending, ".%ld.part", (long)getpid());
    if (!path_of(graphs, &graph->key, ending, part))
        return false;
    file = fopen(part, "wbe");
    if (file == NULL)
        return false;
    whole = fwrite(&head, sizeof head, 1, file) == 1 &&
            fwrite(graph->bytes, graph->size, 1, file) == 1;
    whole = fclose(file) == 0 && whole && rename(part, path) == 0;
    if (!whole)
        (void)unlink(part);
    return whole;
}

/* ---- in memory ---- */

static struct graph *graph_make(const struct graph_key *key, faas_bytes bytes)
{
    struct graph *graph = malloc(sizeof *graph + bytes.size);

    if (graph == NULL)
        return NULL;
    *graph = (struct graph){.key = *key, .refs = 1, .size = bytes.size};
    memcpy(graph->bytes, bytes.data, bytes.size);
    return graph;
}

static void graph_drop(struct graph *graph)
{
    if (--graph->refs == 0)
        free(graph);
}

void graph_release(struct graphs *graphs, struct graph *graph)
{
    if (graph == NULL)
        return;
    (void)pthread_mutex_lock(&graphs->lock);
    graph_drop(graph);
    (void)pthread_mutex_unlock(&graphs->lock);
}

/* Puts a graph before the others, and lets the oldest go. */
static void graph_keep(struct graphs *graphs, struct graph *graph)
{
    struct graph **at;

    (void)pthread_mutex_lock(&graphs->lock);
    graph->refs++;
    graph->next = graphs->newest;
    graphs->newest = graph;
    graphs->bytes += graph->size;
    while (graphs->bytes > graphs->most) {
        struct graph *oldest;

        for (at = &graphs->newest; (*at)->next != NULL; at = &(*at)->next)
            continue;
        oldest = *at;
        *at = NULL;
        graphs->bytes -= oldest->size;
        graph_drop(oldest);
    }
    (void)pthread_mutex_unlock(&graphs->lock);
}

struct graph *graphs_find(struct graphs *graphs, const struct graph_key *key)
{
    struct graph *graph;
    unsigned char *bytes;
    char path[PATH_ROOM];
    faas_bytes view;
    size_t size;

    (void)pthread_mutex_lock(&graphs->lock);
    for (graph = graphs->newest; graph != NULL; graph = graph->next)
        if (same_key(&graph->key, key))
            break;
    if (graph != NULL)
        graph->refs++;
    (void)pthread_mutex_unlock(&graphs->lock);
    if (graph != NULL || graphs->dir == NULL || !path_of(graphs, key, ".graph", path))
        return graph;
    bytes = file_bytes(path, &size);
    if (bytes == NULL)
        return NULL;
    if (graph_file_view(faas_bytes_of(bytes, size), key, &view))
        graph = graph_make(key, view);
    else
        say(graphs, &graphs->said_spoilt, "is spoilt, and is made anew", path);
    free(bytes);
    if (graph != NULL) {
        graph_keep(graphs, graph);
        (void)pthread_mutex_lock(&graphs->lock);
        graphs->file_hits++;
        (void)pthread_mutex_unlock(&graphs->lock);
    }
    return graph;
}

struct graph *graphs_put(struct graphs *graphs, const struct graph_key *key,
                         faas_bytes bytes)
{
    struct graph *graph = graph_make(key, bytes);
    char path[PATH_ROOM];

    if (graph == NULL)
        return NULL;
    if (graphs->dir != NULL &&
        (!path_of(graphs, key, ".graph", path) || !file_write(graphs, graph, path)))
        say(graphs, &graphs->said_unwritable, "cannot be written", graphs->dir);
    graph_keep(graphs, graph);
    return graph;
}

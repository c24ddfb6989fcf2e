/* SPDX-License-Identifier: MIT */
/* graphs.h - optimised graphs, kept for the next cold start: in memory, the oldest going
 * first, and in a directory if the host names one.
 *
 * A graph is known by what it was made of: the model's bytes, the engine's version and what
 * the processor can do. A file says all that itself, with a hash of what follows:
 *
 *     0   "FaGraph1"
 *     8   the key: 3 times 64 bits
 *     32  bytes of the graph, 64 bits
 *     40  XXH3 of them, 64 bits
 *     48  XXH3 of what stands before, 64 bits
 *     56  0
 *     64  the graph
 *
 * Thread: any; it has a lock of its own. */
#ifndef FAAS_ONNX_GRAPHS_H
#define FAAS_ONNX_GRAPHS_H

#include <faas/onnx.h>

#include <pthread.h>

struct graph_key {
    uint64_t model[2], engine;
};

struct graph {
    struct graph_key key;
    struct graph *next;
    size_t refs;
    size_t size;
    unsigned char bytes[];
};

struct graphs {
    pthread_mutex_t lock;
    struct graph *newest; /* Lock: each one has a reference */
    uint64_t bytes, most; /* Lock */
    char *dir;            /* or NULL */
    faas_write *say;
    void *say_user;
    bool said_spoilt, said_unwritable; /* Lock */
    uint64_t file_hits, errors;        /* Lock */
};

faas_status graphs_init(struct graphs *graphs, const faas_onnx_options *options);
void graphs_fini(struct graphs *graphs);

/* The key of a model for an engine that calls itself so. */
struct graph_key graph_key_of(faas_bytes model, const char *engine);

/* A reference to a graph, or NULL if none is kept. */
struct graph *graphs_find(struct graphs *graphs, const struct graph_key *key);

/* Keeps a copy of a graph, and returns a reference to it; NULL without memory. */
struct graph *graphs_put(struct graphs *graphs, const struct graph_key *key,
                         faas_bytes graph);

/* Gives a reference back. Accepts NULL. */
void graph_release(struct graphs *graphs, struct graph *graph);

/* Finds the graph in a file's bytes; false if they are not the file of this key, whole.
 * Pure. */
bool graph_file_view(faas_bytes file, const struct graph_key *key, faas_bytes *graph);

#endif /* FAAS_ONNX_GRAPHS_H */

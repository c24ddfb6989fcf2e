/* SPDX-License-Identifier: MIT */
/* peer_zeromq.c - ZeroMQ's PUB and SUB within a process. */
#include "peer_pools.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <zmq.h>

enum { SUBSCRIBERS_MAX = 64, SIZE = 64 };

static struct {
    void *publisher;
    void *subscribers[SUBSCRIBERS_MAX];
    unsigned count;
    peer_task *_Atomic task;
} bus;

static void must(int result, const char *what)
{
    if (result >= 0)
        return;
    (void)fprintf(stderr, "zmq: %s: %s\n", what, zmq_strerror(zmq_errno()));
    exit(1);
}

/* Every message comes to all, so who takes them in turn never waits for the wrong one. */
static void *receiver_main(void *user)
{
    char message[SIZE];

    for (unsigned i = 0;; i = (i + 1) % bus.count) {
        must(zmq_recv(bus.subscribers[i], message, sizeof message, 0), "recv");
        bus.task(user);
    }
    return NULL;
}

static void *bus_open(unsigned subscribers)
{
    void *context = zmq_ctx_new();
    const int unlimited = 0;
    pthread_t thread;

    must(zmq_ctx_set(context, ZMQ_MAX_SOCKETS, SUBSCRIBERS_MAX + 1), "sockets");
    bus.publisher = zmq_socket(context, ZMQ_PUB);
    bus.count = subscribers;
    must(zmq_setsockopt(bus.publisher, ZMQ_SNDHWM, &unlimited, sizeof unlimited), "hwm");
    must(zmq_bind(bus.publisher, "inproc://bus"), "bind");
    for (unsigned i = 0; i < subscribers; i++) {
        bus.subscribers[i] = zmq_socket(context, ZMQ_SUB);
        must(zmq_setsockopt(bus.subscribers[i], ZMQ_RCVHWM, &unlimited, sizeof unlimited),
             "hwm");
        must(zmq_setsockopt(bus.subscribers[i], ZMQ_SUBSCRIBE, "", 0), "subscribe");
        must(zmq_connect(bus.subscribers[i], "inproc://bus"), "connect");
    }
    if (pthread_create(&thread, NULL, receiver_main, NULL) != 0)
        exit(1);
    return NULL;
}

static void *open_1(unsigned workers)
{
    (void)workers;
    return bus_open(1);
}

static void *open_8(unsigned workers)
{
    (void)workers;
    return bus_open(8);
}

static void *open_64(unsigned workers)
{
    (void)workers;
    return bus_open(64);
}

static void run(void *pool, peer_task *task, void *user, uint64_t count)
{
    static const char message[SIZE];

    (void)pool;
    (void)user;
    bus.task = task;
    for (uint64_t i = 0; i < count; i += bus.count)
        must(zmq_send(bus.publisher, message, sizeof message, 0), "send");
}

const struct peer_pool peer_zeromq[] = {{"ZeroMQ, 1 target", open_1, run, NULL},
                                        {"ZeroMQ, 8 targets", open_8, run, NULL},
                                        {"ZeroMQ, 64 targets", open_64, run, NULL}};

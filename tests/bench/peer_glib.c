/* SPDX-License-Identifier: MIT */
/* peer_glib.c - g_signal_emit(), as a program uses it that registers its signal with no
 * marshaller of its own. */
#include "peer_glib.h"

#include <glib-object.h>

typedef struct peer {
    GObject parent;
} Peer;

typedef struct peer_class {
    GObjectClass parent;
} PeerClass;

static guint peer_signal;

static GType peer_get_type(void);
G_DEFINE_TYPE(Peer, peer, G_TYPE_OBJECT)

static void peer_class_init(PeerClass *class)
{
    peer_signal =
        g_signal_new("call", G_TYPE_FROM_CLASS(class), G_SIGNAL_RUN_LAST, 0, NULL, NULL,
                     NULL, G_TYPE_NONE, 3, G_TYPE_INT, G_TYPE_DOUBLE, G_TYPE_POINTER);
}

static void peer_init(Peer *peer)
{
    (void)peer;
}

static void on_call(Peer *peer, int number, double real, void *pointer, void *user)
{
    (void)peer;
    (void)number;
    (void)real;
    (void)pointer;
    (void)user;
}

void *peer_glib_open(unsigned handlers)
{
    void *peer = g_object_new(peer_get_type(), NULL);

    for (unsigned i = 0; i < handlers; i++)
        (void)g_signal_connect(peer, "call", G_CALLBACK(on_call), NULL);
    return peer;
}

void peer_glib_emit(void *object, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        g_signal_emit(object, peer_signal, 0, 1, 2.0, object);
}

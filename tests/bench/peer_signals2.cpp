/* SPDX-License-Identifier: MIT */
/* peer_signals2.cpp - Boost.Signals2. */
#include "peer_signals2.h"

#include <boost/signals2.hpp>

using Signal = boost::signals2::signal<void(int, double, void *)>;

static void on_call(int, double, void *)
{
}

void *peer_signals2_open(unsigned slots)
{
    auto *signal = new Signal;

    for (unsigned i = 0; i < slots; i++)
        signal->connect(on_call);
    return signal;
}

void peer_signals2_emit(void *user, uint64_t count)
{
    auto &signal = *static_cast<Signal *>(user);

    for (uint64_t i = 0; i < count; i++)
        signal(1, 2.0, user);
}

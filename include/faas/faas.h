/* SPDX-License-Identifier: MIT */
/**
 * @file
 * libfaas: function-as-a-service inside a process. Includes every header of the core.
 */
#ifndef FAAS_FAAS_H
#define FAAS_FAAS_H

#include <faas/async.h>
#include <faas/base.h>
#include <faas/batch.h>
#include <faas/bus.h>
#include <faas/clock.h>
#include <faas/event.h>
#include <faas/function.h>
#include <faas/invoke.h>
#include <faas/keepalive.h>
#include <faas/letters.h>
#include <faas/limiter.h>
#include <faas/rules.h>
#include <faas/runtime.h>
#include <faas/signature.h>
#include <faas/stats.h>

#endif /* FAAS_FAAS_H */

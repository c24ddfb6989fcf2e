/* SPDX-License-Identifier: MIT */
/**
 * @file
 * Time: the machine's monotonic clock, or a virtual one that the host moves.
 */
#ifndef FAAS_CLOCK_H
#define FAAS_CLOCK_H

#include <faas/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Where a runtime takes its time from. A runtime opened without one uses the machine's
 * monotonic clock. All instants are nanoseconds of the runtime's clock.
 */
typedef struct faas_clock faas_clock;

/**
 * Opens a clock that stands still until somebody moves it.
 *
 * A runtime on such a clock has no thread of its own: what is due is done when the host
 * calls faas_runtime_sweep(). Several runtimes may share one clock.
 *
 * @param      start_ns  The first instant.
 * @param      allocator Borrowed until close; NULL = the library's own.
 * @param[out] clock     Set on FAAS_OK, NULL otherwise.
 * @return FAAS_OK, FAAS_ENOMEM, FAAS_ESYSTEM
 *
 * Owner:  the caller's, until faas_clock_close().
 * Thread: any.
 * Since:  0.1
 */
FAAS_API FAAS_NODISCARD faas_status faas_clock_open_virtual(
    uint64_t start_ns, const faas_allocator *allocator, faas_clock **clock);

/**
 * Opens a clock that runs as the machine's does, shows `start_ns` now, and can be moved
 * forward: for replaying what happened, with the real time that handlers take.
 *
 * A runtime on it, too, leaves what is due to faas_runtime_sweep(). Otherwise as
 * faas_clock_open_virtual().
 *
 * Thread: any.
 * Since:  0.1
 */
FAAS_API FAAS_NODISCARD faas_status faas_clock_open_running(
    uint64_t start_ns, const faas_allocator *allocator, faas_clock **clock);

/**
 * Ends such a clock; no runtime may use it any more. Accepts NULL.
 *
 * Thread: any, alone.
 * Since:  0.1
 */
FAAS_API void faas_clock_close(faas_clock *clock);

/**
 * Tells the time.
 *
 * @param clock  NULL = the machine's monotonic clock.
 *
 * Units:  nanoseconds; of the machine's clock since its boot.
 * Thread: any.
 * Since:  0.1
 */
FAAS_API uint64_t faas_clock_now(const faas_clock *clock);

/**
 * Moves such a clock forward by `ns`, and wakes the calls whose deadline has come.
 *
 * Thread: any. Blocks for the runtimes' short locks.
 * Since:  0.1
 */
FAAS_API void faas_clock_advance(faas_clock *clock, uint64_t ns);

/**
 * Moves such a clock to an instant.
 *
 * @return FAAS_OK, or FAAS_EINVAL if `now_ns` is in its past; it has not moved then.
 *
 * Thread: any. Blocks for the runtimes' short locks.
 * Since:  0.1
 */
FAAS_API FAAS_NODISCARD faas_status faas_clock_set(faas_clock *clock, uint64_t now_ns);

#ifdef __cplusplus
}
#endif

#endif /* FAAS_CLOCK_H */

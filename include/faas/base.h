/* SPDX-License-Identifier: MIT */
/**
 * @file
 * Status, bytes, memory and version: the vocabulary of every other header.
 */
#ifndef FAAS_BASE_H
#define FAAS_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(FAAS_STATIC) || !defined(__GNUC__)
/** Marks a function that the library exports. */
#define FAAS_API
#else
/** Marks a function that the library exports. */
#define FAAS_API __attribute__((visibility("default")))
#endif

#if defined(__GNUC__)
/** Marks a function whose status must be looked at. */
#define FAAS_NODISCARD __attribute__((warn_unused_result))
/** Marks a function that formats like printf: `fmt` and `args` are positions. */
#define FAAS_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define FAAS_NODISCARD
#define FAAS_PRINTF(fmt, args)
#endif

#define FAAS_VERSION_MAJOR 0 /**< other: programs must be ported */
#define FAAS_VERSION_MINOR 1 /**< other, while the major one is 0: likewise */
#define FAAS_VERSION_PATCH 0 /**< other: mended only */
/** The version this program is compiled with, as one number: 0.1.0 is 100. */
#define FAAS_VERSION                                                                     \
    (FAAS_VERSION_MAJOR * 10000 + FAAS_VERSION_MINOR * 100 + FAAS_VERSION_PATCH)

/** No limit, where a field of 32 bits would otherwise mean its default. */
#define FAAS_UNLIMITED UINT32_MAX
/** Zero, where a field of 32 bits that is zero means its default: a cap that is off. */
#define FAAS_OFF (UINT32_MAX - 1)
/** No limit, where a duration in nanoseconds would otherwise mean its default. */
#define FAAS_FOREVER UINT64_MAX

/**
 * What became of a call. Zero is success; the group says whether the handler ran, see
 * faas_status_group(). Numbers are never reused.
 */
typedef enum faas_status {
    FAAS_OK = 0, /**< it ran and answered, or it is done */

    /* The caller is wrong; nothing was done and trying again will not help. */
    FAAS_EINVAL = -1,   /**< a value is out of its range */
    FAAS_ENOENT = -2,   /**< no such name, or a handle whose function is gone */
    FAAS_EEXIST = -3,   /**< the name is taken */
    FAAS_EVERSION = -4, /**< a field or version this library does not know */
    FAAS_ETYPE = -5,    /**< an argument's number, type or size is not the signature's */
    FAAS_ESYNTAX = -6,  /**< a text is malformed; the error text says where */
    FAAS_EPERM = -7,    /**< not from here: from inside a handler, say */
    FAAS_EINUSE = -8,   /**< something still refers to it */
    FAAS_ELOAD = -9,    /**< a shared object or a symbol in it cannot be had */

    /* Refused, try later; the handler did not run. */
    FAAS_EBUSY = -16,    /**< a limit is reached: a throttle */
    FAAS_EEXPIRED = -17, /**< no time is left before the deadline */
    FAAS_ECLOSED = -18,  /**< the runtime is closing */
    FAAS_EDEPTH = -19,   /**< calls are nested too deeply */
    FAAS_EINIT = -20,    /**< the instance's init failed or was late */
    FAAS_ECANCELLED = -21, /**< it was cancelled before it ran, or ran again */
    FAAS_EPENDING = -22,   /**< it has not ended yet */

    /* The handler ran. */
    FAAS_EHANDLER = -32,  /**< it returned non-zero */
    FAAS_ETIMEDOUT = -33, /**< it came back after its deadline; its output is dropped */

    /* The machine failed. */
    FAAS_ENOMEM = -48, /**< no memory, or past a memory limit; the handler did not run */
    FAAS_ESYSTEM = -49 /**< the operating system refused; the handler did not run */
} faas_status;

/** What a status says about the handler. */
typedef enum faas_group {
    FAAS_GROUP_OK,      /**< it ran and answered */
    FAAS_GROUP_WRONG,   /**< it did not run; the call itself is wrong */
    FAAS_GROUP_REFUSED, /**< it did not run; try later */
    FAAS_GROUP_RAN,     /**< it ran and failed */
    FAAS_GROUP_MACHINE  /**< it did not run; the machine failed */
} faas_group;

/**
 * Tells to which group a status belongs.
 *
 * Thread: any.
 */
static inline faas_group faas_status_group(faas_status status)
{
    if (status >= FAAS_OK)
        return FAAS_GROUP_OK;
    if (status > FAAS_EBUSY)
        return FAAS_GROUP_WRONG;
    if (status > FAAS_EHANDLER)
        return FAAS_GROUP_REFUSED;
    return status > FAAS_ENOMEM ? FAAS_GROUP_RAN : FAAS_GROUP_MACHINE;
}

/**
 * Returns the name of a status, "FAAS_EBUSY", or "FAAS_E?" for a number that is none.
 *
 * Owner:  static.
 * Thread: any.
 */
FAAS_API const char *faas_status_name(faas_status status);

/**
 * Returns what a status means, in one line of English without a full stop.
 *
 * Owner:  static.
 * Thread: any.
 */
FAAS_API const char *faas_status_text(faas_status status);

/**
 * Returns one line about the last failure on this thread: the value that was refused and
 * the limit it met.
 *
 * Invocations format nothing: what they return without a text of its own leaves this
 * alone, and faas_status_text() says all there is. FAAS_EINIT, FAAS_ETYPE and FAAS_EINVAL
 * have one, and a handler's own message comes with its result. It is empty before the
 * first failure.
 *
 * Owner:  the library's; valid until the next failure on this thread.
 * Thread: any.
 */
FAAS_API const char *faas_error_text(void);

/**
 * Sets what faas_error_text() says on this thread, as printf() would: for what is built on
 * top of the library, an engine of models or a policy, and fails on its own account.
 *
 * @return `status`
 *
 * Thread: any.
 * Since:  0.1
 */
FAAS_API faas_status faas_error_set(faas_status status, const char *format, ...)
    FAAS_PRINTF(2, 3);

/**
 * Returns FAAS_VERSION of the library that is running.
 *
 * Thread: any.
 */
FAAS_API int faas_version(void);

/**
 * Bytes of somebody else: borrowed, and for as long as the function says that takes it.
 */
typedef struct faas_bytes {
    const void *data; /**< may be NULL when `size` is 0 */
    size_t size;      /**< in bytes */
} faas_bytes;

/** Borrows `size` bytes at `data`. */
static inline faas_bytes faas_bytes_of(const void *data, size_t size)
{
    faas_bytes bytes = {data, size};

    return bytes;
}

/** Borrows a C string, without its terminator; NULL gives no bytes. */
static inline faas_bytes faas_str(const char *text)
{
    return faas_bytes_of(text, text == NULL ? 0 : strlen(text));
}

/**
 * Where the library's memory comes from.
 *
 * `alloc` returns `size` bytes aligned to 16, or NULL; `size` is never 0. `free` gets
 * what `alloc` returned and the same size; never NULL.
 *
 * Thread: both are called on any thread, concurrently, and must not call the library.
 */
typedef struct faas_allocator {
    void *(*alloc)(size_t size, void *user);             /**< see above */
    void (*free)(void *memory, size_t size, void *user); /**< see above */
    void *user;                                          /**< handed to both */
} faas_allocator;

/**
 * Takes a piece of a text that is being written.
 *
 * @param text  `size` bytes, not terminated, borrowed for the call.
 * @param size  At least 1.
 * @param user  As given beside the function.
 * @return 0 to go on; anything else ends the writing, and the function that was writing
 *         returns FAAS_ESYSTEM.
 */
typedef int faas_write(const char *text, size_t size, void *user);

#ifdef __cplusplus
}
#endif

#endif /* FAAS_BASE_H */

/* SPDX-License-Identifier: MIT */
/**
 * @file
 * ONNX models: an engine for model.h that runs them by ONNX Runtime. In libfaas-onnx.
 *
 *     faas_onnx_register(rt, "digits", "mnist.onnx", FAAS_FUNCTION(.batch_max = 16), &fn);
 *
 * Nothing is linked: ONNX Runtime (1.14 or newer) is opened when the engine is. Each run
 * is on the thread of its call, and no thread is made. Its telemetry is switched off
 * before it is opened, by ORT_DISABLE_TELEMETRY=1 in the environment of the process; who
 * wants it sets that variable to 0 before.
 *
 * An output that is a sequence of maps from numbers to f32, as classifiers of scikit-learn
 * give, becomes a tensor of one row per item and one column per key.
 */
#ifndef FAAS_ONNX_H
#define FAAS_ONNX_H

#include <faas/model.h>

#ifdef __cplusplus
extern "C" {
#endif

/** An engine that runs ONNX models. */
typedef struct faas_onnx faas_onnx;

/** How to open one. Make them with FAAS_ONNX(); 0 or NULL in a field means its default. */
typedef struct faas_onnx_options {
    size_t size;           /**< sizeof(faas_onnx_options) */
    const char *library;   /**< ONNX Runtime's shared object; default: as it was
                              configured, then libonnxruntime.so as the loader finds it */
    const char *cache_dir; /**< where optimised graphs are kept from one process to the
                                next; copied. Default: nowhere */
    uint64_t cache_bytes;  /**< of optimised graphs kept in memory, so that the next cold
                                start need not optimise; default 64 MiB, FAAS_FOREVER is
                                no limit; the oldest goes first */
    faas_write *say; /**< is told, once each, that a file in `cache_dir` was spoilt and is
                          made anew, or that none can be written; default: nobody is. On
                          the thread of the load */
    void *say_user;  /**< handed to `say` */
} faas_onnx_options;

/** Options with their size set. */
#define FAAS_ONNX(...)                                                                   \
    (&(const faas_onnx_options){.size = sizeof(faas_onnx_options), __VA_ARGS__})

/**
 * Opens ONNX Runtime.
 *
 * @param      options  NULL = all defaults.
 * @param[out] onnx     NULL on failure.
 * @return FAAS_OK, or
 *         FAAS_ELOAD    there is none, or it is too old; the error text says where it was
 *                       looked for
 *         FAAS_EVERSION, FAAS_ENOMEM, FAAS_ESYSTEM
 *
 * Owner:  the caller's, until faas_onnx_close(). Functions that use it keep it.
 * Thread: any, but not while another thread reads or changes the environment.
 * Since:  0.1
 */
FAAS_API FAAS_NODISCARD faas_status faas_onnx_open(const faas_onnx_options *options,
                                                   faas_onnx **onnx);

/**
 * Closes it, once no function uses it any more. Accepts NULL.
 *
 * Thread: any.
 * Since:  0.1
 */
FAAS_API void faas_onnx_close(faas_onnx *onnx);

/**
 * Returns the engine, for faas_model_register().
 *
 * Owner:  the engine's.
 * Thread: any.
 * Since:  0.1
 */
FAAS_API const faas_engine *faas_onnx_engine(const faas_onnx *onnx);

/**
 * Returns the version of ONNX Runtime, "1.28.2".
 *
 * Owner:  the engine's.
 * Thread: any.
 * Since:  0.1
 */
FAAS_API const char *faas_onnx_version(const faas_onnx *onnx);

/** What an engine did. */
typedef struct faas_onnx_stats {
    size_t size;           /**< sizeof(faas_onnx_stats), set by the caller */
    uint64_t sessions;     /**< made */
    uint64_t graph_hits;   /**< of these, from a graph that was optimised before */
    uint64_t graph_files;  /**< of the hits, from a file of another engine or process */
    uint64_t graph_errors; /**< files that were spoilt or could not be written */
    uint64_t graph_bytes;  /**< that optimised graphs take in memory now */
} faas_onnx_stats;

/**
 * Takes an engine's numbers.
 *
 * @return FAAS_OK, or FAAS_EINVAL if `stats->size` was not set
 *
 * Thread: any.
 * Since:  0.1
 */
FAAS_API FAAS_NODISCARD faas_status faas_onnx_stats_get(faas_onnx *onnx,
                                                        faas_onnx_stats *stats);

/**
 * Registers a model with an engine of its own, which goes with it.
 *
 * @param path    Its file.
 * @param policy  As of faas_model_register(), but without a name.
 * @return as faas_model_register() and faas_onnx_open()
 *
 * Thread: as faas_onnx_open().
 * Since:  0.1
 */
FAAS_API FAAS_NODISCARD faas_status faas_onnx_register(faas_runtime *rt, const char *name,
                                                       const char *path,
                                                       const faas_function *policy,
                                                       faas_fn *fn);

#ifdef __cplusplus
}
#endif

#endif /* FAAS_ONNX_H */

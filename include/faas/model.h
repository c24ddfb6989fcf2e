/* SPDX-License-Identifier: MIT */
/**
 * @file
 * Models as functions: tensors, engines that run models, and how a model is registered.
 * In libfaas-model; link with it beside libfaas.
 *
 *     faas_model_register(rt, faas_onnx(NULL), FAAS_MODEL(.path = "mnist.onnx"),
 *                         FAAS_FUNCTION(.name = "digits"), &fn);
 *     faas_invoke(rt, fn, faas_bytes_of(pixels, sizeof pixels), 0, &out);
 *     const float *logits = faas_result_bytes(out).data;
 *
 * A cold start loads the model, the cache keeps it, eviction returns its bytes; limits,
 * deadlines, meters and rules are those of any function. Load once, however many ask: the
 * first instance loads the model, and the others wait for it.
 *
 * What a call hands over is either the bytes of the only input, whose shape follows from
 * how many they are, or a message of tensors made by faas_tensors_pack(). The answer is in
 * the form of the question: bytes for bytes if there is one output, else a message.
 */
#ifndef FAAS_MODEL_H
#define FAAS_MODEL_H

#include <faas/base.h>
#include <faas/function.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Dimensions that a tensor may have. */
#define FAAS_RANK_MAX 8

/** Tensors in one message, and inputs or outputs of a model, at most. */
#define FAAS_TENSORS_MAX 64

/** Types of elements, numbered as ONNX does. */
typedef enum faas_element {
    FAAS_F32 = 1,
    FAAS_U8 = 2,
    FAAS_I8 = 3,
    FAAS_U16 = 4,
    FAAS_I16 = 5,
    FAAS_I32 = 6,
    FAAS_I64 = 7,
    FAAS_BOOL = 9,
    FAAS_F16 = 10,
    FAAS_F64 = 11,
    FAAS_U32 = 12,
    FAAS_U64 = 13,
    FAAS_BF16 = 16
} faas_element;

/** Elements in rows, without gaps: a view of somebody else's memory. */
typedef struct faas_tensor {
    void *data;        /**< aligned to its elements; may be NULL when `bytes` is 0 */
    uint64_t bytes;    /**< what type and shape make */
    faas_element type; /**< of each element */
    uint32_t rank;     /**< dimensions; 0 is a single element */
    int64_t shape[FAAS_RANK_MAX]; /**< `rank` of them, none negative */
    faas_bytes name; /**< which input or output it is; empty: the one at its place */
} faas_tensor;

/** What a model takes or gives. */
typedef struct faas_port {
    const char *name;             /**< terminated */
    faas_element type;            /**< of each element */
    uint32_t rank;                /**< dimensions */
    int64_t shape[FAAS_RANK_MAX]; /**< -1: any size */
    int32_t batch_axis; /**< the dimension along which items lie side by side; -1: none */
    uint32_t reserved;  /**< 0 */
} faas_port;

/**
 * Returns the bytes of an element; 0 for a type that is none.
 *
 * Thread: any.
 * Since:  0.1
 */
FAAS_API size_t faas_element_size(faas_element type);

/**
 * Returns "f32" and so on; NULL for a type that is none.
 *
 * Owner:  static.
 * Thread: any.
 * Since:  0.1
 */
FAAS_API const char *faas_element_name(faas_element type);

/* ---- messages ---- */

/**
 * Returns how many bytes a message of these tensors has; 0 if they make none: too many, or
 * one whose bytes are not what its type and shape make.
 *
 * Thread: any.
 * Since:  0.1
 */
FAAS_API size_t faas_tensors_size(const faas_tensor *tensors, size_t count);

/**
 * Writes a message: a header, a table and the data, each tensor's at a multiple of 64.
 *
 * @param      room  At least faas_tensors_size() bytes, aligned to 8. A tensor with data
 *                   NULL has room left for it.
 * @param[out] data  Where each tensor's data stands in `room`; may be NULL.
 * @return FAAS_OK, or FAAS_EINVAL if they make no message, or not in this room
 *
 * Thread: any.
 * Since:  0.1
 */
FAAS_API FAAS_NODISCARD faas_status faas_tensors_pack(const faas_tensor *tensors,
                                                      size_t count, void *room,
                                                      size_t size, void **data);

/**
 * Whether some bytes begin as a message does.
 *
 * Thread: any.
 * Since:  0.1
 */
FAAS_API bool faas_tensors_are(faas_bytes message);

/**
 * Looks at a message, whoever made it: no byte outside it is read.
 *
 * @param      message  Aligned to 64, or at least to its elements.
 * @param[out] tensors  Views of it; `most` at most.
 * @param[out] count    How many there are; 0 if it is none.
 * @return FAAS_OK, or FAAS_ESYNTAX; the error text says what is wrong where
 *
 * Thread: any.
 * Since:  0.1
 */
FAAS_API FAAS_NODISCARD faas_status faas_tensors_view(faas_bytes message,
                                                      faas_tensor *tensors, size_t most,
                                                      size_t *count);

/* ---- engines ---- */

/** Where a model comes from, and how it is loaded. Make one with FAAS_MODEL(). */
typedef struct faas_model {
    size_t size;      /**< sizeof(faas_model) */
    const char *path; /**< its file; copied; read when it is loaded */
    faas_bytes bytes; /**< or the model itself; borrowed until the function is gone */
    const char *batch_axes; /**< "input=0,state=1": along which dimension the items of an
                                 input or output lie side by side, where the model does
                                 not tell: more than one is free. Copied */
    faas_bytes warm_up; /**< what a new instance is called with once, as a call's input;
                             copied. Its answer is dropped; if it fails, so does the
                             init. Default: none */
} faas_model;

/** A model with its size set: `FAAS_MODEL(.path = "mnist.onnx")`. */
#define FAAS_MODEL(...) (&(const faas_model){.size = sizeof(faas_model), __VA_ARGS__})

/**
 * What runs models: a table of functions, for one kind of models. All but `run` and
 * `close` return a status and set the error text (faas_error_set()).
 *
 * Thread: any, concurrently, but for one call of `run` or `close` per instance, and
 *         `unload` when no instance is left.
 */
typedef struct faas_engine {
    size_t size;      /**< sizeof(faas_engine) */
    const char *name; /**< "onnx" */
    void *user;       /**< handed to `acquire`, `release` and `load` */

    /** A function begins, or ceases, to use the engine; may be NULL. */
    void (*acquire)(void *user);
    void (*release)(void *user); /**< see `acquire` */
    /** Loads a model: `bytes` are there until `unload`, also where it has a path. */
    faas_status (*load)(const faas_model *model, faas_bytes bytes, void *user,
                        void **loaded);
    /** Ends it. */
    void (*unload)(void *loaded);
    /** Says what it takes and gives: arrays that stay until `unload`. */
    void (*ports)(void *loaded, const faas_port **inputs, size_t *input_count,
                  const faas_port **outputs, size_t *output_count);
    /** Makes an instance, in which one call runs at a time; `*held` is what it takes. */
    faas_status (*open)(void *loaded, void **instance, uint64_t *held);
    /** Ends it. */
    void (*close)(void *instance);
    /**
     * Runs it. The inputs are in the order of the ports and fit them. Of an output with
     * `data` set, type and shape are what will come, and it is written there; of the
     * others `data`, `bytes`, type, rank and shape are set to what the engine keeps until
     * the next run or `close`.
     */
    faas_status (*run)(void *instance, const faas_tensor *inputs, faas_tensor *outputs);
} faas_engine;

/**
 * Registers a model. Nothing is loaded before the first call, or for provisioned
 * instances.
 *
 * A model whose inputs and outputs have a batch axis is run for many calls at once where
 * that pays, if `policy->batch_max` is set to 2 or more.
 *
 * @param engine  Copied; its `user` is there until `release`.
 * @param model   Copied; see there for what stays borrowed.
 * @param policy  From FAAS_FUNCTION(), with a name, without handlers, hooks and user.
 * @return as faas_function_register(), and FAAS_EINVAL for a model without path and bytes,
 *         or with both
 *
 * Calls fail as any do, and with FAAS_EHANDLER and one of these codes:
 *         FAAS_ESYNTAX  the message is malformed
 *         FAAS_ETYPE    an input's name, type, rank or shape is not the model's; the
 *                       message says which, what was expected and what came
 *         FAAS_ESYSTEM  the engine failed; the message has its words
 * A model that cannot be loaded is FAAS_EINIT, with the engine's words; also one whose
 * instance takes more than the runtime's memory_bytes or its own budget_bytes: how much
 * that is the engine knows only once it is there.
 *
 * Thread: any.
 * Since:  0.1
 */
FAAS_API FAAS_NODISCARD faas_status faas_model_register(faas_runtime *rt,
                                                        const faas_engine *engine,
                                                        const faas_model *model,
                                                        const faas_function *policy,
                                                        faas_fn *fn);

/** What a model took and is. */
typedef struct faas_model_stats {
    size_t size;         /**< sizeof(faas_model_stats), set by the caller */
    uint64_t loads;      /**< how often it was loaded */
    uint64_t load_ns;    /**< what that took, summed */
    uint64_t instances;  /**< that exist now */
    uint64_t held_bytes; /**< that these take now, as the engine measures it */
} faas_model_stats;

/**
 * Takes a model's numbers.
 *
 * @param[out] stats  `stats->size` must be set.
 * @return FAAS_OK; FAAS_ENOENT if `fn` is gone, FAAS_ETYPE if it is no model, FAAS_EINVAL
 *
 * Thread: any.
 * Since:  0.1
 */
FAAS_API FAAS_NODISCARD faas_status faas_model_stats_get(faas_runtime *rt, faas_fn fn,
                                                         faas_model_stats *stats);

/**
 * Writes what a model takes and gives, as `{"inputs":[{"name":"X","type":"f32",
 * "shape":[null,4],"batch_axis":0}],"outputs":[...]}`. Loads it, if it is not loaded.
 *
 * @return FAAS_OK; as faas_model_stats_get(); what loading said: FAAS_ELOAD, FAAS_ENOMEM,
 *         or what the engine has; FAAS_ESYSTEM if `write` ended it
 *
 * Thread: any. Blocks while it is loaded.
 * Since:  0.1
 */
FAAS_API FAAS_NODISCARD faas_status faas_model_describe(faas_runtime *rt, faas_fn fn,
                                                        faas_write *write, void *user);

#ifdef __cplusplus
}
#endif

#endif /* FAAS_MODEL_H */

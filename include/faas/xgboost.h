/* SPDX-License-Identifier: MIT */
/**
 * @file
 * Boosted trees: an engine for model.h that runs models of XGBoost. In libfaas-xgboost,
 * which is built where libxgboost is installed.
 *
 *     faas_model_register(rt, faas_xgboost(FAAS_XGBOOST_VALUE),
 *                         FAAS_MODEL(.path = "mushrooms.json"),
 *                         FAAS_FUNCTION(.name = "mushrooms", .batch_max = 64), &fn);
 *
 * A model takes `features`, f32[?,n], where a number that is absent is NaN, and gives
 * `prediction`, f32[?,k]. It is a file in JSON, UBJSON or the old binary format; of the last
 * one XGBoost writes a warning to standard error. Each instance has a booster of its own,
 * and runs on the thread of its call.
 */
#ifndef FAAS_XGBOOST_H
#define FAAS_XGBOOST_H

#include <faas/model.h>

#ifdef __cplusplus
extern "C" {
#endif

/** What a prediction is. */
typedef enum faas_xgboost_output {
    FAAS_XGBOOST_VALUE = 0, /**< as the objective says: a probability, say */
    FAAS_XGBOOST_MARGIN = 1 /**< the sum of the trees */
} faas_xgboost_output;

/**
 * Returns the engine; NULL for an output that is none.
 *
 * Owner:  static.
 * Thread: any.
 * Since:  0.1
 */
FAAS_API const faas_engine *faas_xgboost(faas_xgboost_output output);

#ifdef __cplusplus
}
#endif

#endif /* FAAS_XGBOOST_H */

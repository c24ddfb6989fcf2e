/* SPDX-License-Identifier: MIT */
/* ruleset_agree.h - array consistency: whether one value can be chosen for each leaf such
 * that no two of them come from different elements of the same array.
 *
 * Layer: 2 parts. Includes json.h, ruleset_state.h. Pure, in memory of the match. */
#ifndef FAASI_RULESET_AGREE_H
#define FAASI_RULESET_AGREE_H

#include "ruleset_state.h"

/* A value that a leaf accepts. */
struct faasi_choice {
    uint32_t leaf;  /* a number below `leaf_count` */
    uint32_t place; /* as in struct faasi_json_value */
};

enum faasi_agreement {
    FAASI_AGREE,
    FAASI_APART,
    FAASI_AGREE_FAILED /* no scratch memory, or the event is made to be hard */
};

/* Every leaf has a choice at least. Linear in choices and places, unless keys that come
 * twice in one object hold arrays that the same leaf takes values from: then by the ways
 * in which elements of theirs can be combined, and no further than 1024 of them. */
enum faasi_agreement faasi_agree(const struct faasi_choice *choices, size_t choice_count,
                                 uint32_t leaf_count,
                                 const struct faasi_json_place *places,
                                 uint32_t place_count, struct faasi_scratch *scratch);

#endif /* FAASI_RULESET_AGREE_H */

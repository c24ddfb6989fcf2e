/* SPDX-License-Identifier: MIT */
/* fold.h - Unicode simple case folding: what "ignoring case" means in rules.
 *
 * One code point folds to one code point, so that K, k and the Kelvin sign are alike, and
 * so are the three sigmas, while a sharp s is not "ss". The table's version stands in
 * fold_table.h, which scripts/gen_casefold.py makes.
 *
 * Layer: 1 structures. Includes base.h only. Pure.
 * Source: Unicode 15, CaseFolding.txt, classes C and S. */
#ifndef FAASI_FOLD_H
#define FAASI_FOLD_H

#include "base.h"

/* Returns what a code point folds to; itself if it has no case. */
uint32_t faasi_fold_point(uint32_t point);

/* The most bytes that faasi_fold() makes of `size`: two bytes may become three. */
static inline size_t faasi_fold_bound(size_t size)
{
    return size + size / 2;
}

/* Folds UTF-8 into `out`, which has room for faasi_fold_bound(size), and returns how many
 * bytes that made. Bytes that are no UTF-8 stand for themselves. */
size_t faasi_fold(char *out, const char *text, size_t size);

#endif /* FAASI_FOLD_H */

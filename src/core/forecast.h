/* SPDX-License-Identifier: MIT */
/* forecast.h - when a function that nobody calls now will be called again, by how long it
 * was left alone before.
 *
 * It knows the gaps that an instance did not live through, so those in which one made
 * ahead would have helped. They are counted in classes of a quarter of an octave, from a
 * second to eighteen hours. A function is foreseeable if nine in ten of its gaps, all but the
 * shortest and the longest twentieth, are within a factor of four of each other.
 *
 * Source: the hybrid histogram policy of Shahrad et al., Serverless in the Wild (ATC'20),
 * from which it has the percentiles and the margins of a tenth; its classes are minutes.
 *
 * Layer: 1 structures. Pure. */
#ifndef FAASI_FORECAST_H
#define FAASI_FORECAST_H

#include "base.h"

/* Four to an octave, from 2^30 ns on: the last one begins after 15 hours. */
enum { FAASI_FORECAST_CLASSES = 64 };

struct faasi_forecast {
    uint16_t count[FAASI_FORECAST_CLASSES];
    uint32_t total;
};

/* It was left alone for so long. Old gaps fade: once 256 are known, all count half. */
void faasi_forecast_note(struct faasi_forecast *forecast, uint64_t gap_ns);

/* How long after it was left an instance is to be there. False if that cannot be said:
 * fewer than eight gaps are known, or they are too unlike. */
bool faasi_forecast_next(const struct faasi_forecast *forecast, uint64_t *ahead_ns);

#endif /* FAASI_FORECAST_H */

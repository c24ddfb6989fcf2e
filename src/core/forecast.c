/* SPDX-License-Identifier: MIT */
/* forecast.c - when a function will be called again. */
#include "forecast.h"

enum { FIRST_POWER = 30, KNOWN_LEAST = 8, KNOWN_MOST = 256, SPREAD_MOST = 4 };

/* The class of a gap: its octave, and the quarter of that. */
static unsigned class_of(uint64_t gap_ns)
{
    unsigned power, class;

    if (gap_ns >> FIRST_POWER == 0)
        return 0;
    power = 63u - (unsigned)__builtin_clzll(gap_ns);
    class = (power - FIRST_POWER) * 4 + (unsigned)(gap_ns >> (power - 2) & 3);
    return class < FAASI_FORECAST_CLASSES ? class : FAASI_FORECAST_CLASSES - 1;
}

/* The shortest gap of a class. */
static uint64_t class_begin(unsigned class)
{
    return (UINT64_C(4) + class % 4) << (FIRST_POWER - 2 + class / 4);
}

void faasi_forecast_note(struct faasi_forecast *forecast, uint64_t gap_ns)
{
    if (forecast->total >= KNOWN_MOST) {
        forecast->total = 0;
        for (unsigned i = 0; i < FAASI_FORECAST_CLASSES; i++) {
            forecast->count[i] /= 2;
            forecast->total += forecast->count[i];
        }
    }
    forecast->count[class_of(gap_ns)]++;
    forecast->total++;
}

/* The class of the gap that `rank` others are not longer than. */
static unsigned class_at(const struct faasi_forecast *forecast, uint32_t rank)
{
    unsigned class = 0;

    while (rank >= forecast->count[class])
        rank -= forecast->count[class ++];
    return class;
}

bool faasi_forecast_next(const struct faasi_forecast *forecast, uint64_t *ahead_ns)
{
    uint32_t total = forecast->total;
    uint64_t begin, end;
    unsigned first, last;

    if (total < KNOWN_LEAST)
        return false;
    first = class_at(forecast, total / 20);
    last = class_at(forecast, total - 1 - total / 20);
    /* What is in the last class may be of any length. */
    if (first == 0 || last == FAASI_FORECAST_CLASSES - 1)
        return false;
    begin = class_begin(first);
    end = class_begin(last + 1);
    if (end > begin * SPREAD_MOST)
        return false;
    *ahead_ns = begin - begin / 10;
    return true;
}

/* Vectors of 8 floats, and for which processor they are compiled. */

#ifndef GCP_MM_LANES_H
#define GCP_MM_LANES_H

/* Compiled for what the tiles need, and chosen when it runs: a wheel may be used elsewhere. */
#if defined(__x86_64__)
#include <immintrin.h>
#define LOCAL static __attribute__((target("avx2,fma")))
#else
#define LOCAL static
#endif

#define LANES 8

/* Not aligned, and allowed to read what is written as float. */
typedef float lanes __attribute__((vector_size(LANES * sizeof(float)), aligned(4), may_alias));

LOCAL lanes load(const float *from) { return *(const lanes *)from; }
LOCAL void store(float *to, lanes values) { *(lanes *)to = values; }

LOCAL float sum_of_lanes(lanes v)
{
    return ((v[0] + v[4]) + (v[2] + v[6])) + ((v[1] + v[5]) + (v[3] + v[7]));
}

#endif

/* Shift and scale the features of a sample to mean zero and Frobenius norm one. */

#ifndef GCP_MM_NORMALISE_H
#define GCP_MM_NORMALISE_H

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "matrix.h"

/* Where the features of a sample lie: element (c, n) at c * by_channel + n * by_position. */
typedef struct {
    long by_sample, by_channel, by_position;
} layout;

/* Return |value| as an integer, which orders finite numbers alike. Compilers vectorise a largest
 * integer, but no largest float that might be NaN. */
LOCAL int32_t magnitude(float value)
{
    int32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits & INT32_MAX;
}

LOCAL float from_magnitude(int32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* The root of the trace of a covariance. The product of the two may be larger than any float where
 * no element of the square root is. */
typedef struct {
    float largest, rest;
} root_trace;

/* features = (x - mean) / (sqrt(N) root_trace), zero if x has no variance. */
LOCAL root_trace normalise(matrix features, const float *x, layout at)
{
    long positions = features.cols;
    int32_t largest = 0;
    for (long c = 0; c < features.rows; c++) {
        /* Shifted first, so that a large mean costs no digits and a constant gives exact zeros. */
        const float *channel = x + c * at.by_channel;
        float *row = row_of(features, c), first = channel[0];
        for (long n = 0; n < positions; n++)
            row[n] = channel[n * at.by_position] - first;
        for (long n = 0; n < positions; n++)
            largest = magnitude(row[n]) > largest ? magnitude(row[n]) : largest;
    }
    /* To largest magnitude 1, so that squares neither over- nor underflow. */
    float scale = from_magnitude(largest) > 0 ? from_magnitude(largest) : 1;
    double square = 0;
    for (long c = 0; c < features.rows; c++) {
        float *row = row_of(features, c);
        /* The padding is zero, so that whole vectors can be summed. */
        lanes sum = {0}, squares = {0};
        for (long n = 0; n < positions; n += LANES) {
            store(row + n, load(row + n) / scale);
            sum += load(row + n);
        }
        float mean = sum_of_lanes(sum) / (float)positions;
        for (long n = 0; n < positions; n++)
            row[n] -= mean;
        for (long n = 0; n < positions; n += LANES)
            squares += load(row + n) * load(row + n);
        square += sum_of_lanes(squares);
    }
    /* NaN is not degenerate: zeros would hide a divergence. */
    int degenerate = square <= (double)positions * FLT_MIN;
    float inverse = degenerate ? 0 : (float)(1 / sqrt(square));
    for (long c = 0; c < features.rows; c++)
        for (long n = 0; n < positions; n++)
            row_of(features, c)[n] *= inverse;
    return (root_trace){scale, (float)sqrt(square / (double)positions)};
}

#endif

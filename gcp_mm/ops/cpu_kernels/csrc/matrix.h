/* Row-major float matrices whose rows are padded, so that tiles need no special case at an edge. */

#ifndef GCP_MM_MATRIX_H
#define GCP_MM_MATRIX_H

#include <stddef.h>
#include <string.h>

#include "lanes.h"

/* 6 x 16 sums, a row of the second factor and an element of the first fill the 16 registers of AVX;
 * 64-bit ARM has 32 of half the width. */
#define TILE_ROWS 6
#define TILE_COLS 16
/* Bytes of a cache line. */
#define LINE 64
#define FLOATS_OF_A_LINE ((long)(LINE / sizeof(float)))

typedef struct {
    float *at;
    long rows, cols, stride;
} matrix;

/* Memory of one thread, of zeros. With `base` NULL it only counts. */
typedef struct {
    float *base;
    size_t used;
} arena;

LOCAL long round_up(long number, long multiple)
{
    return (number + multiple - 1) / multiple * multiple;
}

/* Return a matrix of zeros.
 *
 * Tiles read and write a few columns and rows too many. What products leave there is never read
 * but for columns that are left there in turn; where sums run over whole vectors (`dot`), a factor
 * has features or a gradient, whose padding nothing writes. The stride is an odd number of cache
 * lines: a power of two would put a column into few sets of the cache. */
LOCAL matrix take_matrix(arena *memory, long rows, long cols)
{
    long lines = round_up(cols + TILE_ROWS - 1, FLOATS_OF_A_LINE) / FLOATS_OF_A_LINE;
    matrix m = {NULL, rows, cols, (lines | 1) * FLOATS_OF_A_LINE};
    if (memory->base)
        m.at = memory->base + memory->used;
    memory->used += (size_t)(round_up(rows, TILE_ROWS) * m.stride);
    return m;
}

LOCAL float *row_of(matrix m, long row) { return m.at + row * m.stride; }

LOCAL void copy(matrix to, matrix from)
{
    for (long i = 0; i < to.rows; i++)
        memcpy(row_of(to, i), row_of(from, i), (size_t)to.cols * sizeof(float));
}

/* out = f a + g b; `out` may be either of them. */
LOCAL void combine(matrix out, float f, matrix a, float g, matrix b)
{
    for (long i = 0; i < out.rows; i++)
        for (long j = 0; j < out.stride; j += LANES)
            store(row_of(out, i) + j, f * load(row_of(a, i) + j) + g * load(row_of(b, i) + j));
}

/* <a, b>; rows are summed in float, which are short, and their sums in double. */
LOCAL double dot(matrix a, matrix b)
{
    double sum = 0;
    for (long i = 0; i < a.rows; i++) {
        lanes part = {0};
        for (long j = 0; j < a.cols; j += LANES)
            part += load(row_of(a, i) + j) * load(row_of(b, i) + j);
        sum += sum_of_lanes(part);
    }
    return sum;
}

#endif

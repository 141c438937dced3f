/* out = keep * add + a^T b, of a symmetric result one half.
 *
 * Both factors are read row by row and in place: a symmetric matrix is its own transpose, and of the
 * features either orientation is at hand. Rows are whole cache lines apart, an odd number of them,
 * so that the 16 columns of a tile are one line of each row, and all of them fit into the first
 * level of the cache. */

#ifndef GCP_MM_PRODUCT_H
#define GCP_MM_PRODUCT_H

#include "matrix.h"

/* Sums have at most this many terms, and are then added to the result: longer ones are faster by
 * little and lose digits. */
#define RUN 64

/* What else a result consists of. */
typedef struct {
    /* May be the result itself. */
    matrix add;
    float keep;
    int symmetric;
} finish;

static const finish PLAIN = {{NULL, 0, 0, 0}, 0, 0};
static const finish UPPER_HALF = {{NULL, 0, 0, 0}, 0, 1};

/* A few columns of as many rows of each factor. */
typedef struct {
    const float *a, *b;
    long a_stride, b_stride, rows;
} strips;

/* out = a^T b + keep * add, in 6 rows and one or two vectors of 8 columns. */
LOCAL inline __attribute__((always_inline)) void
sum_tile(int vectors, strips from, float keep, const float *add, float *out, long stride)
{
    lanes sum[TILE_ROWS][2];
#pragma GCC unroll 6
    for (int i = 0; i < TILE_ROWS; i++)
        sum[i][0] = sum[i][1] = (lanes){0};
    for (long k = 0; k < from.rows; k++, from.a += from.a_stride, from.b += from.b_stride) {
        lanes row[2] = {load(from.b), load(from.b + (vectors - 1) * LANES)};
#pragma GCC unroll 6
        for (int i = 0; i < TILE_ROWS; i++)
            for (int v = 0; v < vectors; v++)
                sum[i][v] += from.a[i] * row[v];
    }
#pragma GCC unroll 6
    for (int i = 0; i < TILE_ROWS; i++)
        for (int v = 0; v < vectors; v++) {
            long at = i * stride + v * LANES;
            if (keep != 0)
                sum[i][v] += keep * load(add + at);
            store(out + at, sum[i][v]);
        }
}

/* Neither of the two is inlined, nor unrolled: compilers would move sums out of registers. */
LOCAL __attribute__((noinline)) void whole_tile(strips from, float keep, const float *add,
                                                float *out, long stride)
{
    sum_tile(2, from, keep, add, out, stride);
}

LOCAL __attribute__((noinline)) void half_tile(strips from, float keep, const float *add,
                                               float *out, long stride)
{
    sum_tile(1, from, keep, add, out, stride);
}

/* The same from rows `first` to `first + rows` of the factors only. */
LOCAL void multiply_rows(matrix out, matrix a, matrix b, long first, long rows, finish end)
{
    for (long j = 0; j < out.cols; j += TILE_COLS) {
        int right = j + LANES < out.cols;
        long last = end.symmetric && j + TILE_COLS < out.rows ? j + TILE_COLS : out.rows;
        for (long i = 0; i < last; i += TILE_ROWS) {
            /* What is below the diagonal is left out, and so are columns that there are not. */
            int left = !end.symmetric || i < j + LANES;
            long col = left ? j : j + LANES;
            strips from = {row_of(a, first) + i, row_of(b, first) + col, a.stride, b.stride, rows};
            const float *add = end.keep != 0 ? row_of(end.add, i) + col : NULL;
            if (left && right)
                whole_tile(from, end.keep, add, row_of(out, i) + col, out.stride);
            else if (left || right)
                half_tile(from, end.keep, add, row_of(out, i) + col, out.stride);
        }
    }
}

/* Return how many rows a run has when all runs are about equal. */
LOCAL long run_length(long rows)
{
    long runs = (rows + RUN - 1) / RUN;
    return (rows + runs - 1) / runs;
}

/* The result of a product also holds `factor * add`. */
LOCAL finish plus(float factor, matrix add) { return (finish){add, factor, 0}; }

/* What remains to be done after the first run: add to the result. */
LOCAL finish add_to(matrix out, int symmetric) { return (finish){out, 1, symmetric}; }

/* out = keep * add + a^T b. `out` may be neither a nor b. A symmetric result lacks
 * what is below the diagonal until it is mirrored. */
LOCAL void multiply(matrix out, matrix a, matrix b, finish end)
{
    long step = run_length(a.rows);
    for (long first = 0; first < a.rows; first += step) {
        long rows = a.rows - first < step ? a.rows - first : step;
        multiply_rows(out, a, b, first, rows, end);
        end = add_to(out, end.symmetric);
    }
}

/* out = a^T b, which is known to be symmetric */
LOCAL void multiply_symmetric(matrix out, matrix a, matrix b)
{
    multiply(out, a, b, UPPER_HALF);
    mirror(out);
}

/* out = a b + b a + keep * add, for symmetric matrices */
LOCAL void anticommute(matrix out, matrix a, matrix b, finish end)
{
    end.symmetric = 1;
    multiply(out, a, b, end);
    multiply(out, b, a, add_to(out, 1));
    mirror(out);
}

#endif

/* out = keep * add + identity * I + factor * a^T b, of a symmetric result one half.
 *
 * Both factors are read row by row, so that no operand is transposed: a symmetric matrix is its own
 * transpose, and of the features either orientation is at hand. */

#ifndef GCP_MM_PRODUCT_H
#define GCP_MM_PRODUCT_H

#include "matrix.h"

/* At most this many rows of both factors are packed at once. Longer sums are faster by little and
 * lose digits; these are summed in the result. */
#define BLOCK 64

typedef struct {
    matrix add;
    float keep, identity;
    int symmetric;
} finish;

static const finish PLAIN = {{NULL, 0, 0, 0}, 0, 0, 0};
static const finish SYMMETRIC = {{NULL, 0, 0, 0}, 0, 0, 1};

/* Return the largest part when `whole` is cut into as few about equal parts as `most` allows. */
LOCAL long even_share(long whole, long most)
{
    long parts = (whole + most - 1) / most;
    return (whole + parts - 1) / parts;
}

/* Where the factors of a product are packed. */
typedef struct {
    float *first, *second;
} panels;

/* Lay out the panels of factors with at most `size` columns. */
LOCAL panels take_panels(arena *memory, long size)
{
    panels p = {NULL, NULL};
    size_t first = (size_t)(BLOCK * round_up(size, TILE_ROWS) + LANES);
    if (memory->base) {
        p.first = memory->base + memory->used;
        p.second = p.first + first;
    }
    memory->used += first + (size_t)(BLOCK * round_up(size, TILE_COLS));
    return p;
}

/* Lay panels of 6 columns one behind the other. Each store writes 8 numbers, the next one replaces
 * the last two. */
LOCAL void pack_first(float *to, matrix a, long from, long depth)
{
    for (long i = 0; i < a.cols; i += TILE_ROWS)
        for (long k = from; k < from + depth; k++, to += TILE_ROWS)
            store(to, load(row_of(a, k) + i));
}

/* Lay panels of 16 columns one behind the other. */
LOCAL void pack_second(float *to, matrix b, long from, long depth)
{
    for (long j = 0; j < b.cols; j += TILE_COLS)
        for (long k = from; k < from + depth; k++, to += TILE_COLS) {
            store(to, load(row_of(b, k) + j));
            store(to + LANES, load(row_of(b, k) + j + LANES));
        }
}

/* out = factor * a^T b + keep * add, in 6 rows and one or two vectors of 8 columns. */
LOCAL __attribute__((always_inline)) inline void
sum_tile(int vectors, long depth, const float *a, const float *b, float factor, float keep,
         const float *add, float *out, long stride)
{
    lanes sum[TILE_ROWS][2];
#pragma GCC unroll 6
    for (int i = 0; i < TILE_ROWS; i++)
        sum[i][0] = sum[i][1] = (lanes){0};
    for (long k = 0; k < depth; k++, a += TILE_ROWS, b += TILE_COLS) {
        lanes row[2] = {load(b), vectors > 1 ? load(b + LANES) : load(b)};
#pragma GCC unroll 6
        for (int i = 0; i < TILE_ROWS; i++)
            for (int v = 0; v < vectors; v++)
                sum[i][v] += a[i] * row[v];
    }
#pragma GCC unroll 6
    for (int i = 0; i < TILE_ROWS; i++)
        for (int v = 0; v < vectors; v++) {
            lanes value = factor * sum[i][v];
            if (keep != 0)
                value += keep * load(add + i * stride + v * LANES);
            store(out + i * stride + v * LANES, value);
        }
}

/* Not inlined, and not unrolled further: either makes compilers move sums out of registers. */
__attribute__((noinline)) LOCAL void whole_tile(long depth, const float *a, const float *b,
                                                float factor, float keep, const float *add,
                                                float *out, long stride)
{
    sum_tile(2, depth, a, b, factor, keep, add, out, stride);
}

__attribute__((noinline)) LOCAL void half_tile(long depth, const float *a, const float *b,
                                               float factor, float keep, const float *add,
                                               float *out, long stride)
{
    sum_tile(1, depth, a, b, factor, keep, add, out, stride);
}

/* The part of a product that comes from `depth` rows, of packed factors. */
LOCAL void multiply_rows(matrix out, float factor, const float *first, const float *second,
                         long depth, finish end)
{
    for (long j = 0; j < out.cols; j += TILE_COLS) {
        int right = j + LANES < out.cols;
        long rows = end.symmetric && j + TILE_COLS < out.rows ? j + TILE_COLS : out.rows;
        for (long i = 0; i < rows; i += TILE_ROWS) {
            /* What is below the diagonal is left out, and so are columns that there are not. */
            int left = !end.symmetric || i < j + LANES;
            long col = left ? j : j + LANES;
            const float *a = first + i * depth, *b = second + j * depth + (col - j);
            const float *add = end.keep != 0 ? row_of(end.add, i) + col : NULL;
            float *to = row_of(out, i) + col;
            if (left && right)
                whole_tile(depth, a, b, factor, end.keep, add, to, out.stride);
            else if (left || right)
                half_tile(depth, a, b, factor, end.keep, add, to, out.stride);
        }
    }
    for (long i = 0; i < out.rows && end.identity != 0; i++)
        row_of(out, i)[i] += end.identity;
}

/* out = keep * add + identity * I + factor * a^T b. `add` may be `out`, a and b may not. A symmetric
 * result lacks what is below the diagonal until it is mirrored. */
LOCAL void multiply(matrix out, float factor, matrix a, matrix b, finish end, panels packed)
{
    long step = even_share(a.rows, BLOCK);
    for (long done = 0; done < a.rows; done += step) {
        long depth = a.rows - done < step ? a.rows - done : step;
        pack_first(packed.first, a, done, depth);
        pack_second(packed.second, b, done, depth);
        multiply_rows(out, factor, packed.first, packed.second, depth, end);
        end = (finish){out, 1, 0, end.symmetric};
    }
}

#endif

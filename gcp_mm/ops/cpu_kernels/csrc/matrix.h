/* Row-major float matrices whose rows are padded, so that tiles need no special case at an edge, and
 * the vectors of 8 floats that they are read and written in. */

#ifndef GCP_MM_MATRIX_H
#define GCP_MM_MATRIX_H

#include <stddef.h>
#include <string.h>

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

/* Write 8 x 8 elements transposed. */
LOCAL void transpose_tile(const float *from, long from_stride, float *to, long to_stride)
{
#if defined(__x86_64__)
    /* Compilers do not find these: pairs of rows, of pairs, and of halves are interleaved. */
    __m256 rows[LANES], pairs[LANES];
    for (int i = 0; i < LANES; i++)
        rows[i] = _mm256_loadu_ps(from + i * from_stride);
    for (int i = 0; i < LANES; i += 2) {
        pairs[i] = _mm256_unpacklo_ps(rows[i], rows[i + 1]);
        pairs[i + 1] = _mm256_unpackhi_ps(rows[i], rows[i + 1]);
    }
    for (int i = 0; i < LANES; i += 4)
        for (int j = 0; j < 2; j++) {
            rows[i + 2 * j] = _mm256_shuffle_ps(pairs[i + j], pairs[i + j + 2], 0x44);
            rows[i + 2 * j + 1] = _mm256_shuffle_ps(pairs[i + j], pairs[i + j + 2], 0xee);
        }
    for (int j = 0; j < LANES / 2; j++) {
        _mm256_storeu_ps(to + j * to_stride, _mm256_permute2f128_ps(rows[j], rows[j + 4], 0x20));
        _mm256_storeu_ps(to + (j + 4) * to_stride,
                         _mm256_permute2f128_ps(rows[j], rows[j + 4], 0x31));
    }
#else
    for (long i = 0; i < LANES; i++)
        for (long j = 0; j < LANES; j++)
            to[j * to_stride + i] = from[i * from_stride + j];
#endif
}

/* to = from^T */
LOCAL void transpose(matrix to, matrix from)
{
    long whole_rows = from.rows / LANES * LANES, whole_cols = from.cols / LANES * LANES;
    for (long i = 0; i < whole_rows; i += LANES)
        for (long j = 0; j < whole_cols; j += LANES)
            transpose_tile(row_of(from, i) + j, from.stride, row_of(to, j) + i, to.stride);
    for (long i = 0; i < from.rows; i++)
        for (long j = i < whole_rows ? whole_cols : 0; j < from.cols; j++)
            row_of(to, j)[i] = row_of(from, i)[j];
}

/* Copy what is above the diagonal to below it. */
LOCAL void mirror(matrix m)
{
    long whole = m.rows / LANES * LANES;
    for (long i = 0; i < whole; i += LANES) {
        for (long j = i + LANES; j < whole; j += LANES)
            transpose_tile(row_of(m, i) + j, m.stride, row_of(m, j) + i, m.stride);
        for (long p = i; p < i + LANES; p++)
            for (long q = p + 1; q < i + LANES; q++)
                row_of(m, q)[p] = row_of(m, p)[q];
    }
    for (long i = 0; i < m.rows; i++)
        for (long j = i < whole ? whole : i; j < m.cols; j++)
            row_of(m, j)[i] = row_of(m, i)[j];
}

#endif

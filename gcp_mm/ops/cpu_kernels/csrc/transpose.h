/* Transposes, and the lower half of symmetric matrices. */

#ifndef GCP_MM_TRANSPOSE_H
#define GCP_MM_TRANSPOSE_H

#include "matrix.h"

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

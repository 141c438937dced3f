/* Forward and backward pass of one sample; the formulas are those of ops/gram/passes.py. */

#ifndef GCP_MM_SAMPLE_H
#define GCP_MM_SAMPLE_H

#include "normalise.h"
#include "polynomial.h"

/* See ops/gram/passes.py. */
#define FEW_STEPS 5

typedef struct {
    long batch, channels, positions;
    int steps, threads;
} problem;

typedef struct {
    /* Normalised features C x N, and transposed. */
    matrix features, transposed;
    /* C x C, the incoming gradient or the result. */
    matrix square;
    /* H, C x N, and transposed; in the forward pass q(K) X^T is in the second. */
    matrix pulled, pulled_transposed;
    /* A, C x C, for `root_derivative`. */
    matrix gram;
    iterates it;
} workspace;

static int by_positions(problem size) { return size.positions < size.channels; }

/* Divide the memory of a thread; returns how many floats it needs. */
LOCAL size_t lay_out(workspace *work, float *base, problem size, int derivative)
{
    arena memory = {base, 0};
    long channels = size.channels, positions = size.positions;
    work->features = take_matrix(&memory, channels, positions);
    work->transposed = take_matrix(&memory, positions, channels);
    work->square = take_matrix(&memory, channels, channels);
    work->pulled = take_matrix(&memory, channels, positions);
    if (by_positions(size))
        work->pulled_transposed = take_matrix(&memory, positions, channels);
    else if (derivative)
        work->gram = take_matrix(&memory, channels, channels);
    work->it = take_iterates(&memory, by_positions(size) ? positions : channels, derivative);
    return memory.used;
}

static long triangle_size(problem size) { return size.channels * (size.channels + 1) / 2; }

/* Write the root of the trace times the upper triangle of m, row by row. */
LOCAL void write_triangle(float *out, matrix m, root_trace factor)
{
    for (long i = 0; i < m.rows; i++)
        for (long j = i; j < m.cols; j++)
            *out++ = factor.largest * (factor.rest * row_of(m, i)[j]);
}

/* m = (G + G^T) / 2 for the upper triangular matrix G of the elements `from`. */
LOCAL void read_triangle(matrix m, const float *from)
{
    for (long i = 0; i < m.rows; i++) {
        float *row = row_of(m, i);
        row[i] = *from++;
        for (long j = i + 1; j < m.cols; j++)
            row[j] = 0.5f * *from++;
    }
    mirror(m);
}

/* Normalise the features, in both orientations, and multiply them to the smaller Gram matrix. */
LOCAL root_trace make_gram(workspace work, problem size, const float *x, layout at)
{
    root_trace scale = normalise(work.features, x, at);
    transpose(work.transposed, work.features);
    matrix rows = by_positions(size) ? work.features : work.transposed;
    multiply_symmetric(work.it.r.value, rows, rows);
    return scale;
}

LOCAL void forward_sample(workspace work, problem size, const float *x, layout at, float *out)
{
    root_trace scale = make_gram(work, size, x, at);
    if (by_positions(size)) {
        root_polynomial(&work.it, size.steps, 0);
        multiply(work.pulled_transposed, work.it.q.value, work.transposed,
                 plus(work.it.q.identity, work.transposed));
        multiply(work.square, work.pulled_transposed, work.transposed, UPPER_HALF);
        write_triangle(out, work.square, scale);
    } else {
        root_polynomial(&work.it, size.steps, 1);
        write_triangle(out, work.it.q.value, scale);
    }
}

/* Return D[A q(A)] in the direction of the gradient G, from A in it.r, and <G, A q(A)> in `along`. */
LOCAL matrix root_derivative(workspace work, int steps, double *along)
{
    matrix direction = work.it.r.tangent;
    if (steps <= FEW_STEPS) {
        copy(direction, work.square);
        root_polynomial(&work.it, steps, 1);
        *along = dot(work.it.q.value, work.square);
        return work.it.q.tangent;
    }
    copy(work.gram, work.it.r.value);
    anticommute(direction, work.gram, work.square, UPPER_HALF);
    root_polynomial(&work.it, steps, 0);
    matrix sum = work.it.t.value, q = work.it.q.value;
    anticommute(sum, q, work.square, plus(2 * work.it.q.identity, work.square));
    *along = dot(sum, work.gram) / 2;
    combine(sum, 0.5f, sum, 0.5f, work.it.q.tangent);
    return sum;
}

LOCAL void backward_sample(workspace work, problem size, const float *grad, const float *x,
                           layout at, float *out, layout out_at)
{
    matrix g = work.pulled;
    double along;
    make_gram(work, size, x, at);
    read_triangle(work.square, grad);
    if (by_positions(size)) {
        multiply(work.pulled, work.square, work.features, PLAIN);
        transpose(work.pulled_transposed, work.pulled);
        multiply_symmetric(work.it.r.tangent, work.features, work.pulled);
        root_polynomial(&work.it, size.steps, 0);
        multiply(g, work.pulled_transposed, work.it.q.value, plus(work.it.q.identity, g));
        along = dot(g, work.features);
        multiply(g, work.transposed, work.it.q.tangent, add_to(g, 0));
    } else {
        multiply(g, root_derivative(work, size.steps, &along), work.features, PLAIN);
    }
    double radial = along - 2 * dot(g, work.features);
    float scale = (float)(1 / sqrt((double)size.positions));
    float by_gradient = 2 * scale, by_features = (float)radial * scale;
    for (long c = 0; c < size.channels; c++)
        for (long n = 0; n < size.positions; n++)
            out[c * out_at.by_channel + n * out_at.by_position] =
                by_gradient * row_of(g, c)[n] + by_features * row_of(work.features, c)[n];
}

#endif

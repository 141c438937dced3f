/* The covariance layer on the smaller Gram matrix for float features on the CPU, a sample at a time.
 *
 * The formulas are those of ops/gram_passes.py. All matrices of a sample stay in the cache of the
 * core that works on it, and of each symmetric product one half is computed. */

#include <stdlib.h>
#include <string.h>

#include "normalise.h"
#include "polynomial.h"

#if defined(__x86_64__)
int gcp_mm_supported(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
#elif defined(__aarch64__)
int gcp_mm_supported(void) { return 1; }
#else
#error "the tiles of product.h are made for x86-64 and 64-bit ARM"
#endif

/* Tells a library from one that was compiled from other sources. */
const char *gcp_mm_source_digest(void) { return GCP_MM_SOURCE_DIGEST; }

typedef struct {
    long batch, channels, positions;
    int steps, threads;
} problem;

typedef struct {
    /* Normalised features C x N, and transposed. */
    matrix features, transposed;
    /* C x C, the incoming gradient or the result. */
    matrix square;
    /* H, C x N, and transposed; forward only the second, which is q(K) X^T. */
    matrix pulled, pulled_transposed;
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
    work->pulled_transposed = take_matrix(&memory, positions, channels);
    work->it = take_iterates(&memory, by_positions(size) ? positions : channels, derivative);
    return memory.used;
}

static long triangle_size(problem size) { return size.channels * (size.channels + 1) / 2; }

/* Write factor * the upper triangle of m, row by row. */
LOCAL void write_triangle(float *out, matrix m, float factor)
{
    for (long i = 0; i < m.rows; i++)
        for (long j = i; j < m.cols; j++)
            *out++ = factor * row_of(m, i)[j];
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

LOCAL void forward_sample(workspace work, problem size, const float *x, layout at,
                                       float *out)
{
    float scale = normalise(work.features, x, at);
    transpose(work.transposed, work.features);
    if (by_positions(size)) {
        multiply(work.it.r.value, work.features, work.features, SYMMETRIC);
        mirror(work.it.r.value);
        root_polynomial(&work.it, size.steps, 0);
        multiply(work.pulled_transposed, work.it.q.value, work.transposed, PLAIN);
        multiply(work.square, work.pulled_transposed, work.transposed, SYMMETRIC);
        write_triangle(out, work.square, scale);
    } else {
        multiply(work.it.r.value, work.transposed, work.transposed, SYMMETRIC);
        mirror(work.it.r.value);
        root_polynomial(&work.it, size.steps, 1);
        write_triangle(out, work.it.q.value, scale);
    }
}

LOCAL void backward_sample(workspace work, problem size, const float *grad,
                                        const float *x, layout at, float *out, layout out_at)
{
    dual k = work.it.r;
    matrix g = work.pulled;
    double along;
    normalise(work.features, x, at);
    transpose(work.transposed, work.features);
    read_triangle(work.square, grad);
    if (by_positions(size)) {
        multiply(work.pulled, work.square, work.features, PLAIN);
        transpose(work.pulled_transposed, work.pulled);
        multiply(k.value, work.features, work.features, SYMMETRIC);
        mirror(k.value);
        multiply(k.tangent, work.features, work.pulled, SYMMETRIC);
        mirror(k.tangent);
        root_polynomial(&work.it, size.steps, 0);
        finish more = {g, 1, 0, 0};
        multiply(g, work.pulled_transposed, work.it.q.value, PLAIN);
        along = dot(g, work.features);
        multiply(g, work.transposed, work.it.q.tangent, more);
    } else {
        multiply(k.value, work.transposed, work.transposed, SYMMETRIC);
        mirror(k.value);
        combine(k.tangent, 1, work.square, 0, work.square, 0);
        root_polynomial(&work.it, size.steps, 1);
        along = dot(work.it.q.value, work.square);
        multiply(g, work.it.q.tangent, work.features, PLAIN);
    }
    double radial = along - 2 * dot(g, work.features);
    float scale = (float)(1 / sqrt((double)size.positions));
    float by_gradient = 2 * scale, by_features = (float)radial * scale;
    for (long c = 0; c < size.channels; c++)
        for (long n = 0; n < size.positions; n++)
            out[c * out_at.by_channel + n * out_at.by_position] =
                by_gradient * row_of(g, c)[n] + by_features * row_of(work.features, c)[n];
}

/* Return this many zeros that begin with a cache line, or NULL. */
static float *zeros(size_t floats)
{
    size_t bytes = (floats * sizeof(float) + LINE - 1) / LINE * LINE;
    float *memory = aligned_alloc(LINE, bytes);
    return memory ? memset(memory, 0, bytes) : NULL;
}

/* Compute the layer, or with `grad` the gradient of the features, sample by sample. */
static int run(problem size, const float *grad, const float *x, layout at, float *out,
               layout out_at)
{
    workspace unused;
    size_t floats = lay_out(&unused, NULL, size, grad != NULL);
    int failed = 0;
#pragma omp parallel num_threads(size.threads) reduction(| : failed)
    {
        workspace work;
        float *base = zeros(floats);
        failed = base == NULL;
        if (base)
            lay_out(&work, base, size, grad != NULL);
        /* Dynamic: a core that something else slows down takes fewer samples. */
#pragma omp for schedule(dynamic)
        for (long i = 0; i < size.batch; i++) {
            if (base && grad)
                backward_sample(work, size, grad + i * triangle_size(size), x + i * at.by_sample,
                                at, out + i * out_at.by_sample, out_at);
            else if (base)
                forward_sample(work, size, x + i * at.by_sample, at, out + i * triangle_size(size));
        }
        free(base);
    }
    return failed;
}

/* Compute the layer; `out` holds the triangles one after another. Returns 0, or 1 if there was no
 * memory. */
int gcp_mm_forward(problem size, const float *x, layout at, float *out)
{
    layout unused = {0, 0, 0};
    return run(size, NULL, x, at, out, unused);
}

/* Compute the gradient of the features from `grad`, that of the triangles. Returns as above. */
int gcp_mm_backward(problem size, const float *grad, const float *x, layout at, float *out,
                    layout out_at)
{
    return run(size, grad, x, at, out, out_at);
}

/* The covariance layer on the smaller Gram matrix for float features on the CPU, a sample at a time.
 *
 * All matrices of a sample stay in the cache of the core that works on it. */

#include <stdlib.h>
#include <string.h>

#include "sample.h"

#if defined(__x86_64__)
int gcp_mm_supported(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
#elif defined(__aarch64__)
int gcp_mm_supported(void) { return 1; }
#else
#error "the tiles of product.h are made for x86-64 and 64-bit ARM"
#endif

/* Tells a library from one that was compiled from other sources. */
const char *gcp_mm_source_digest(void) { return GCP_MM_SOURCE_DIGEST; }

/* Return this many zeros that begin with a cache line, or NULL. */
static float *zeros(size_t floats)
{
    size_t bytes = (floats * sizeof(float) + LINE - 1) / LINE * LINE;
    float *memory = aligned_alloc(LINE, bytes);
    return memory ? memset(memory, 0, bytes) : NULL;
}

/* Compute the layer, or with `grad` the gradient of the features, sample by sample. */
static int each_sample(problem size, const float *grad, const float *x, layout at, float *out,
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
    return each_sample(size, NULL, x, at, out, unused);
}

/* Compute the gradient of the features from `grad`, that of the triangles. Returns as above. */
int gcp_mm_backward(problem size, const float *grad, const float *x, layout at, float *out,
                    layout out_at)
{
    return each_sample(size, grad, x, at, out, out_at);
}

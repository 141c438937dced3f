/* The polynomial of n Newton-Schulz steps and its derivative, that of ops/root_polynomial.py.
 *
 *     q(K) = t(R_0) ... t(R_{n-1}),  t(r) = (3 - r) / 2,  R_0 = K,  R_{k+1} = R_k t(R_k)^2
 *
 * Two steps together, in e = 1 - r, where no coefficient is negative:
 *
 *     p(r) = 1 + 0.5 e + e^2 (0.375 + 0.3125 e + 0.0625 e^2),  R_{k+2} = R_k p(R_k)^2
 *
 * The identities in them are stored: float32 has digits to spare, unlike half precision on a GPU.
 * The derivative in the direction of a symmetric matrix follows by the product rule. */

#ifndef GCP_MM_POLYNOMIAL_H
#define GCP_MM_POLYNOMIAL_H

#include "product.h"

/* f(K) and, unless it has no memory, D f(K)[W]. Both are symmetric. */
typedef struct {
    matrix value, tangent;
} dual;

typedef struct {
    dual r, q, p, e, square, inner;
} iterates;

LOCAL dual take_dual(arena *memory, long size, int derivative)
{
    dual d = {take_matrix(memory, size, size), {NULL, size, size, 0}};
    if (derivative)
        d.tangent = take_matrix(memory, size, size);
    return d;
}

LOCAL iterates take_iterates(arena *memory, long size, int derivative)
{
    iterates it;
    it.r = take_dual(memory, size, derivative);
    it.q = take_dual(memory, size, derivative);
    it.p = take_dual(memory, size, derivative);
    it.e = take_dual(memory, size, derivative);
    it.square = take_dual(memory, size, derivative);
    it.inner = take_dual(memory, size, derivative);
    return it;
}

/* out = factor x + identity I */
LOCAL void affine_dual(dual out, float factor, dual x, float identity)
{
    affine(out.value, factor, x.value, identity);
    if (out.tangent.at)
        affine(out.tangent, factor, x.tangent, 0);
}

/* out += factor x */
LOCAL void add_dual(dual out, float factor, dual x)
{
    add(out.value, factor, x.value);
    if (out.tangent.at)
        add(out.tangent, factor, x.tangent);
}

/* out = x y + keep * add + identity I, for x and y that commute. A run of all three products is
 * done before the next one, while its rows are in the cache. */
LOCAL void multiply_dual(dual out, dual x, dual y, float keep, dual add, float identity)
{
    finish value = {add.value, keep, identity, 1}, tangent = {add.tangent, keep, 0, 1};
    long all = x.value.rows, step = run_length(all);
    for (long first = 0; first < all; first += step) {
        long rows = all - first < step ? all - first : step;
        multiply_rows(out.value, x.value, y.value, first, rows, value);
        value = add_to(out.value, 1);
        if (!out.tangent.at)
            continue;
        multiply_rows(out.tangent, x.tangent, y.value, first, rows, tangent);
        tangent = add_to(out.tangent, 1);
        multiply_rows(out.tangent, x.value, y.tangent, first, rows, tangent);
    }
    mirror(out.value);
    if (out.tangent.at)
        mirror(out.tangent);
}

/* out = x y, for x and y that commute */
LOCAL void times_dual(dual out, dual x, dual y) { multiply_dual(out, x, y, 0, x, 0); }

LOCAL void swap(dual *a, dual *b)
{
    dual kept = *a;
    *a = *b;
    *b = kept;
}

/* Evaluate q(K), or K q(K) with `times_gram`, from K in it->r. The result is in it->q. */
LOCAL void root_polynomial(iterates *it, int steps, int times_gram)
{
    for (int first = 0; first < steps; first += 2) {
        int last = first + 2 >= steps;
        if (first + 1 == steps) {
            affine_dual(it->p, -0.5f, it->r, 1.5f);
        } else {
            affine_dual(it->e, -1, it->r, 1);
            times_dual(it->square, it->e, it->e);
            affine_dual(it->inner, 0.3125f, it->e, 0.375f);
            add_dual(it->inner, 0.0625f, it->square);
            multiply_dual(it->p, it->square, it->inner, 0.5f, it->e, 1);
        }
        if (first == 0 && !times_gram) {
            copy(it->q.value, it->p.value);
            if (it->q.tangent.at)
                copy(it->q.tangent, it->p.tangent);
        } else {
            times_dual(it->inner, first ? it->q : it->r, it->p);
            swap(&it->q, &it->inner);
        }
        if (last)
            return;
        if (first == 0 && times_gram) {
            times_dual(it->e, it->q, it->p);
        } else {
            times_dual(it->square, it->p, it->p);
            times_dual(it->e, it->r, it->square);
        }
        swap(&it->r, &it->e);
    }
}

#endif

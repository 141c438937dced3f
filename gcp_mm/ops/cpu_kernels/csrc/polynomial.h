/* The polynomial of n Newton-Schulz steps and its derivative, as in ops/root_polynomial.py.
 *
 *     q(K) = t(R_0) ... t(R_{n-1}),  t(r) = (3 - r) / 2,  R_0 = K,  R_{k+1} = R_k t(R_k)^2
 *
 * Two steps together, in e = 1 - r, where no coefficient is negative:
 *
 *     p(r) = 1 + 0.5 e + e^2 (0.375 + 0.3125 e + 0.0625 e^2),  R_{k+2} = R_k p(R_k)^2
 *
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

/* out = fx x + fy y + identity I */
LOCAL void combine_dual(dual out, float fx, dual x, float fy, dual y, float identity)
{
    combine(out.value, fx, x.value, fy, y.value, identity);
    if (out.tangent.at)
        combine(out.tangent, fx, x.tangent, fy, y.tangent, 0);
}

/* out = x y + keep * add + identity I, for x and y that commute. Each factor is packed once. */
LOCAL void multiply_dual(dual out, dual x, dual y, float keep, dual add, float identity,
                         panels packed[2])
{
    panels value = packed[0], tangent = packed[1];
    finish end = {add.value, keep, identity, 1}, end_tangent = {add.tangent, keep, 0, 1};
    long rows = x.value.rows, step = even_share(rows, BLOCK);
    for (long done = 0; done < rows; done += step) {
        long depth = rows - done < step ? rows - done : step;
        pack_first(value.first, x.value, done, depth);
        pack_second(value.second, y.value, done, depth);
        multiply_rows(out.value, 1, value.first, value.second, depth, end);
        end = (finish){out.value, 1, 0, 1};
        if (!out.tangent.at)
            continue;
        /* dx y + x dy */
        pack_first(tangent.first, x.tangent, done, depth);
        pack_second(tangent.second, y.tangent, done, depth);
        multiply_rows(out.tangent, 1, tangent.first, value.second, depth, end_tangent);
        end_tangent = (finish){out.tangent, 1, 0, 1};
        multiply_rows(out.tangent, 1, value.first, tangent.second, depth, end_tangent);
    }
    mirror(out.value);
    if (out.tangent.at)
        mirror(out.tangent);
}

LOCAL void swap(dual *a, dual *b)
{
    dual kept = *a;
    *a = *b;
    *b = kept;
}

/* Evaluate q(K), or K q(K) with `times_gram`, from K in it->r. The result is in it->q. */
LOCAL void root_polynomial(iterates *it, int steps, int times_gram, panels packed[2])
{
    for (int first = 0; first < steps; first += 2) {
        int last = first + 2 >= steps;
        if (first + 1 == steps) {
            combine_dual(it->p, -0.5f, it->r, 0, it->r, 1.5f);
        } else {
            combine_dual(it->e, -1, it->r, 0, it->r, 1);
            multiply_dual(it->square, it->e, it->e, 0, it->e, 0, packed);
            combine_dual(it->inner, 0.3125f, it->e, 0.0625f, it->square, 0.375f);
            multiply_dual(it->p, it->square, it->inner, 0.5f, it->e, 1, packed);
        }
        if (first == 0 && !times_gram) {
            combine_dual(it->q, 1, it->p, 0, it->p, 0);
        } else {
            multiply_dual(it->inner, first ? it->q : it->r, it->p, 0, it->p, 0, packed);
            swap(&it->q, &it->inner);
        }
        if (last)
            return;
        if (first == 0 && times_gram) {
            multiply_dual(it->e, it->q, it->p, 0, it->p, 0, packed);
        } else {
            multiply_dual(it->square, it->p, it->p, 0, it->p, 0, packed);
            multiply_dual(it->e, it->r, it->square, 0, it->p, 0, packed);
        }
        swap(&it->r, &it->e);
    }
}

#endif

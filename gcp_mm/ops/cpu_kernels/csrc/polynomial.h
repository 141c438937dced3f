/* The polynomial of n Newton-Schulz steps and its derivative, those of ops/gram/polynomial.py.
 *
 *     q(K) = t(R_0) ... t(R_{n-1}),  t(r) = (3 - r) / 2,  R_0 = K,  R_{k+1} = R_k t(R_k)^2
 *
 * Two steps together:
 *
 *     p(r) = 9/4 + 13/16 (s - r) + s (s - 5 r) / 16,  s = r^2 - 2 r,  R_{k+2} = R_k p(R_k)^2
 *
 * The identities in them are numbers beside the matrices: stored, their rounding would reach what
 * belongs to eigenvalues of zero, which each step enlarges 2.25 times in R. The derivative in the
 * direction of a symmetric matrix follows by the product rule. */

#ifndef GCP_MM_POLYNOMIAL_H
#define GCP_MM_POLYNOMIAL_H

#include "product.h"

/* f(K) without its identity and, unless it has no memory, D f(K)[W]. Both are symmetric. */
typedef struct {
    matrix value, tangent;
    float identity;
} dual;

typedef struct {
    dual r, q, p, s, t;
} iterates;

LOCAL dual take_dual(arena *memory, long size, int derivative)
{
    dual d = {take_matrix(memory, size, size), {NULL, size, size, 0}, 0};
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
    it.s = take_dual(memory, size, derivative);
    it.t = take_dual(memory, size, derivative);
    return it;
}

/* out = a x + b y, for what there is of them without the identity */
LOCAL void combine_dual(dual *out, float a, dual x, float b, dual y)
{
    combine(out->value, a, x.value, b, y.value);
    if (out->tangent.at)
        combine(out->tangent, a, x.tangent, b, y.tangent);
    out->identity = 0;
}

/* out = x y + keep * add, for x and y that commute, with none of the three identities. A run of all
 * three products is done before the next one, while its rows are in the cache. */
LOCAL void multiply_parts(dual out, dual x, dual y, float keep, dual add)
{
    finish value = {add.value, keep, 1}, tangent = {add.tangent, keep, 1};
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
LOCAL void times_dual(dual *out, dual x, dual y)
{
    if (x.identity != 0 && y.identity != 0) {
        combine_dual(out, y.identity, x, x.identity, y);
        multiply_parts(*out, x, y, 1, *out);
    } else {
        float keep = x.identity + y.identity;
        multiply_parts(*out, x, y, keep, x.identity != 0 ? y : x);
    }
    out->identity = x.identity * y.identity;
}

/* out = x x + plus x */
LOCAL void square_dual(dual *out, dual x, float plus)
{
    multiply_parts(*out, x, x, 2 * x.identity + plus, x);
    out->identity = (x.identity + plus) * x.identity;
}

LOCAL void swap(dual *a, dual *b)
{
    dual kept = *a;
    *a = *b;
    *b = kept;
}

/* p = two steps from r, or one. */
LOCAL void step(iterates *it, int steps)
{
    if (steps == 1) {
        combine_dual(&it->p, -0.5f, it->r, 0, it->r);
        it->p.identity = 1.5f;
        return;
    }
    square_dual(&it->s, it->r, -2);
    combine_dual(&it->t, 0.0625f, it->s, -0.3125f, it->r);
    combine_dual(&it->p, 1, it->s, -1, it->r);
    multiply_parts(it->p, it->s, it->t, 0.8125f, it->p);
    it->p.identity = 2.25f;
}

/* Evaluate q(K), or K q(K) with `times_gram`, from K in it->r. The result is in it->q. */
LOCAL void root_polynomial(iterates *it, int steps, int times_gram)
{
    it->r.identity = 0;
    for (int first = 0; first < steps; first += 2) {
        int last = first + 2 >= steps, begins_with_gram = first == 0 && times_gram;
        step(it, first + 1 == steps ? 1 : 2);
        if (!last && !begins_with_gram) {
            square_dual(&it->s, it->p, 0);
            times_dual(&it->t, it->r, it->s);
            swap(&it->r, &it->t);
        }
        if (first == 0 && !times_gram) {
            swap(&it->q, &it->p);
        } else {
            times_dual(&it->t, first ? it->q : it->r, it->p);
            swap(&it->q, &it->t);
        }
        if (!last && begins_with_gram) {
            times_dual(&it->t, it->q, it->p);
            swap(&it->r, &it->t);
        }
    }
}

#endif

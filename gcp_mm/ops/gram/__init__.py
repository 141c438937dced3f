"""The layer on the smaller Gram matrix, with a backward pass that keeps nothing but the input.

To read in this order: ``passes`` (the equations), ``polynomial`` (the Newton-Schulz steps in one
polynomial), ``matrices`` (symmetric ones in blocks), ``arithmetic`` (what is carried in which
precision), ``tables`` (indices that are made once), ``operator`` (what PyTorch sees).
"""

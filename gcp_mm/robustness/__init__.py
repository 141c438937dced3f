"""Robustness to corruptions and perturbations: ImageNet-C, ImageNet-P and trees like them.

To read in this order: ``names`` (of the benchmark's cells), ``measures`` (mCE, mFP and mT5D from
errors: numpy alone), ``data`` (a tree as files), ``evaluation`` (a network on a tree, cell by cell,
resumed and merged), ``metrics`` (the same for a Runner), ``corrupt`` (make a tree), ``report``
(tables and figures of results). It imports everything below it; the commands alone import it.
"""

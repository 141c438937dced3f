"""A network on a tree, cell by cell: counts in a result file that can be continued and merged.

To read in this order: ``options``, ``prepare``, ``clean``, ``loader``, ``classifier``,
``predictions``, ``evaluate`` (the loop over cells), ``result`` with ``result_form`` and
``top5_file`` (what is kept), ``comparability`` (which measures a result may state), ``merge``
(shards), ``baselines`` (what errors are divided by).
"""

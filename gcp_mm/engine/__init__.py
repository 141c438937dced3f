"""Training and evaluation on mmengine's Runner, one path for classifiers and detectors.

To read in this order: ``config`` (what the command line makes of a config), ``preflight`` (checks
and hooks before the model is built), ``runner`` (train and test), ``hooks`` with ``run_state``,
``output`` (what is printed). ``amp``, ``distributed``, ``loader_workers`` and
``torch_backends`` fit a run to its machine; ``launch`` is torchrun. ``fileio`` and
``import_cures`` cure what is named in them. It imports what is below it, data sets included.
"""

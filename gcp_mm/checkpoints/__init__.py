"""Checkpoints from wherever people keep them to the weights of a model; no file is executed.

To read in this order: ``loader`` (the doors: file, http, hub, torchvision, OpenMMLab),
``file_kind`` (what a file is), ``without_code`` and ``form`` (what may be in it), ``coverage``
(what of it a model took), ``pretrained`` (a trained classifier or backbone). It imports the ground
floor and the console alone.
"""

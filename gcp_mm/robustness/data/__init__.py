"""Trees of ImageNet-C and ImageNet-P as files: which cells there are, and how a file is read.

``cells`` (corruption and severity, or perturbation), ``tree`` and ``listing`` (what is on the disk
and whether it is all there), ``fixed_size`` and ``video_clip`` (a file as pixels), ``imagenet_c``
and ``imagenet_p`` (data sets for a Runner).
"""

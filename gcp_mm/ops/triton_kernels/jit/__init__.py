"""The kernels themselves: the only modules that import Triton."""

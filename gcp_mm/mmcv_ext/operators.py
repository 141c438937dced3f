"""The operators of ``mmcv._ext`` that torchvision has too, with mmcv's signatures.

Detection with Faster and Mask R-CNN calls ``nms``, ``roi_align_forward`` and
``roi_align_backward``; deformable convolutions (``dcn=dict(type='DCNv2')`` in a backbone) are the
others whose results were compared with compiled mmcv 2.1.0, see ``tests/mmcv_ext``. torchvision's
wheel brings their kernels for the CPU and for CUDA. Asking for any other operator gives a function
that says how to get it.

The signatures are those of mmcv 2.1.0, ``mmcv/ops/csrc/pytorch/pybind.cpp``: results are written
into tensors that the caller has made.
"""

from operator import itemgetter

import torch
import torchvision

_OPERATORS = torch.ops.torchvision

# In the source tree, and anywhere. The finder serves only where mmcv has no compiled operators.
BUILD_COMMAND = (
    "make install MMCV=build in the source tree of gcp_mm, or pip uninstall mmcv-lite; "
    "pip install --no-build-isolation --no-binary mmcv mmcv==2.1.0"
)


def _plain(tensor):
    """Return a tensor in a type that torchvision computes in, on every device."""
    # bfloat16 has no kernels. Those for half precision compute coordinates and sums in it, on a GPU
    # too, which moves samples by whole pixels.
    return tensor.float() if tensor.dtype in (torch.bfloat16, torch.half) else tensor


def nms(boxes, scores, iou_threshold, offset=0):
    """Non-maximum suppression: indices of the kept boxes, best score first.

    Args:
        boxes: (N, 4), corners x1, y1, x2, y2.
        scores: (N,).
        iou_threshold: A box is dropped if it overlaps a better one by more than this.
        offset: 1 for the old convention, in which a side is x2 - x1 + 1 pixels long.

    Returns:
        (K,) int64.
    """
    # mmcv's CUDA kernel reads float32 whatever it is given: half precision is lifted here.
    boxes, scores = boxes.detach(), scores.detach()
    kind = torch.float64 if torch.float64 in (boxes.dtype, scores.dtype) else torch.float32
    boxes, scores = boxes.to(kind), scores.to(kind)
    if offset:
        boxes = boxes + boxes.new_tensor([0, 0, offset, offset])
    return _OPERATORS.nms(boxes, scores, iou_threshold)


# What mmcv passes by name, in torchvision's order; the rest torchvision finds in the shapes.
_regions = itemgetter(
    *("spatial_scale", "aligned_height", "aligned_width", "sampling_ratio", "aligned")
)
_geometry_1 = itemgetter(
    *("dH", "dW", "padH", "padW", "dilationH", "dilationW", "group", "deformable_group")
)
_geometry_2 = itemgetter(
    *("stride_h", "stride_w", "pad_h", "pad_w", "dilation_h", "dilation_w"),
    *("group", "deformable_group"),
)


def _check_pool_mode(pool_mode):
    if pool_mode != 1:
        raise NotImplementedError(
            f"RoIAlign with pool_mode='max' ({pool_mode}) is not in torchvision, which stands in "
            f"for mmcv's compiled operators here. Use pool_mode='avg', or build mmcv: "
            f"{BUILD_COMMAND}"
        )


def roi_align_forward(input, rois, output, argmax_y, argmax_x, *, pool_mode, **settings):
    """RoIAlign (Mask R-CNN, https://arxiv.org/abs/1703.06870): write the pooled regions.

    Args:
        input: (B, C, H, W).
        rois: (K, 5), the image's index and the corners x1, y1, x2, y2.
        output: (K, C, aligned_height, aligned_width), written.
        argmax_y: Of maximum pooling, not used.
        argmax_x: Of maximum pooling, not used.
        pool_mode: 1, the mean.
        **settings: ``aligned_height, aligned_width``; ``spatial_scale``, the size of the map over
            the size of the image; ``sampling_ratio``, the samples a bin and side, of which 0 takes
            as many as the bin is long; ``aligned``, whether coordinates are shifted by half a
            pixel.

    Raises:
        NotImplementedError: If ``pool_mode`` is 0, the maximum.
    """
    _check_pool_mode(pool_mode)
    features = _plain(input)
    output.copy_(_OPERATORS.roi_align(features, rois.to(features.dtype), *_regions(settings)))


def roi_align_backward(grad_output, rois, argmax_y, argmax_x, grad_input, *, pool_mode, **settings):
    """Gradient of :func:`roi_align_forward` by its input: write it into ``grad_input``."""
    _check_pool_mode(pool_mode)
    gradient = _plain(grad_output)
    *scale_and_size, sampling_ratio, aligned = _regions(settings)
    inputs = (gradient, rois.to(gradient.dtype), *scale_and_size, *grad_input.shape)
    grad_input.copy_(_OPERATORS._roi_align_backward(*inputs, sampling_ratio, aligned))


def _deform_conv(input, weight, offset, mask, bias, geometry):
    """Compute a deformable convolution; without a mask it is version 1."""
    tensors = [_plain(tensor) for tensor in (input, weight, offset)]
    used = mask is not None
    mask = _plain(mask) if used else tensors[0].new_zeros(input.shape[0], 1)
    bias = tensors[0].new_zeros(weight.shape[0]) if bias is None else _plain(bias)
    return _OPERATORS.deform_conv2d(*tensors, mask, bias, *geometry, used)


def _deform_conv_gradients(grad_output, input, weight, offset, mask, geometry):
    """Return its gradients by input, weight, offset, mask and bias."""
    tensors = [_plain(tensor) for tensor in (grad_output, input, weight, offset)]
    used = mask is not None
    mask = _plain(mask) if used else tensors[1].new_zeros(input.shape[0], 1)
    bias = tensors[1].new_zeros(weight.shape[0])
    return _OPERATORS._deform_conv2d_backward(*tensors, mask, bias, *geometry, used)


def deform_conv_forward(input, weight, offset, output, columns, ones, **settings):
    """Deformable convolution (https://arxiv.org/abs/1703.06211): write ``output``.

    Args:
        input: (B, C, H, W).
        weight: (O, C / group, kH, kW).
        offset: (B, 2 kH kW deformable_group, H', W'), row before column, in pixels.
        output: (B, O, H', W'), written.
        columns: Memory of mmcv's kernel, not used.
        ones: Memory of mmcv's kernel, not used.
        **settings: ``kW, kH, dW, dH, padW, padH, dilationW, dilationH, group, deformable_group,
            im2col_step`` as mmcv passes them.
    """
    geometry = _geometry_1(settings)
    output.copy_(_deform_conv(input, weight, offset, None, None, geometry))


def deform_conv_backward_input(
    input, offset, grad_output, grad_input, grad_offset, weight, columns, **settings
):
    """Gradients of :func:`deform_conv_forward` by its input and by the offsets."""
    by_input, _, by_offset, _, _ = _deform_conv_gradients(
        grad_output, input, weight, offset, None, _geometry_1(settings)
    )
    grad_input.copy_(by_input)
    grad_offset.copy_(by_offset)


def deform_conv_backward_parameters(
    input, offset, grad_output, grad_weight, columns, ones, scale, **settings
):
    """Gradient of :func:`deform_conv_forward` by its weight, times ``scale``, added."""
    _, by_weight, _, _, _ = _deform_conv_gradients(
        grad_output, input, grad_weight, offset, None, _geometry_1(settings)
    )
    grad_weight.add_(by_weight.to(grad_weight.dtype), alpha=scale)


def modulated_deform_conv_forward(
    input, weight, bias, ones, offset, mask, output, columns, with_bias, **settings
):
    """Deformable convolution, version 2 (https://arxiv.org/abs/1811.11168): write ``output``.

    The shapes are those of :func:`deform_conv_forward`; ``mask`` is (B, kH kW deformable_group, H',
    W') and ``bias`` (O,), read only ``with_bias``.
    """
    geometry = _geometry_2(settings)
    bias = bias if with_bias else None
    output.copy_(_deform_conv(input, weight, offset, mask, bias, geometry))


def modulated_deform_conv_backward(
    input,
    weight,
    bias,
    ones,
    offset,
    mask,
    columns,
    grad_input,
    grad_weight,
    grad_bias,
    grad_offset,
    grad_mask,
    grad_output,
    with_bias,
    **settings,
):
    """Gradients of :func:`modulated_deform_conv_forward` by all its inputs."""
    by_input, by_weight, by_offset, by_mask, by_bias = _deform_conv_gradients(
        grad_output, input, weight, offset, mask, _geometry_2(settings)
    )
    grad_input.copy_(by_input)
    grad_weight.copy_(by_weight)
    grad_offset.copy_(by_offset)
    grad_mask.copy_(by_mask)
    if with_bias:
        grad_bias.copy_(by_bias)


def get_compiler_version():
    """Say in mmcv's report of its environment where the operators come from."""
    return f"none: operators of torchvision {torchvision.__version__}"


def get_compiling_cuda_version():
    """Return the CUDA version that torchvision's operators belong to."""
    return torch.version.cuda or "not available"


def __getattr__(name):
    """Return a function that fails for an operator that only compiled mmcv has."""
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def not_compiled(*args, **kwargs):
        raise NotImplementedError(
            f"mmcv's operator {name!r} exists only in compiled mmcv; here torchvision stands in "
            f"for it with nms, RoIAlign and deformable convolutions. Build mmcv (a C++ compiler, "
            f"and for a GPU the CUDA toolkit, are needed): {BUILD_COMMAND}"
        )

    not_compiled.__name__ = name
    return not_compiled

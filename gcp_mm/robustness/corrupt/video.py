"""Frames as an mp4 file in memory: H.264 as ImageNet-P has it."""

from __future__ import annotations

import io
from collections.abc import Iterable

import numpy as np

from gcp_mm.errors import UserError
from gcp_mm.robustness.data.manifest import seal

PRESET = "medium"
# By default the macroblock tree is computed by functions that differ between processors, and on
# some of them between two runs: with these of plain C the same frames give the same bytes.
PARAMS = "cpu-independent=1"


def require_encoder() -> None:
    """Make sure that PyAV is there with libx264."""
    try:
        import av

        av.codec.Codec("libx264", "w")
    except ImportError as error:
        raise UserError(f"the sequences need PyAV ({error}): pip install av") from error
    except ValueError as error:  # av.codec.UnknownCodecError
        raise UserError(
            "this build of PyAV has no libx264; that of the package index does: pip install av"
        ) from error


def encode_mp4(frames: Iterable[np.ndarray], noisy: bool) -> bytes:
    """Encode frames: libx264, 1 frame a second, yuv420p, ``-tune grain`` or ``-crf 20``.

    ImageNet-P was encoded with ``-preset veryslow``. Here it is 'medium': on noise it is 7 times
    faster, for a file of equal size (+ 2 %) and an equal error of the pixels. Frames that differ in
    noise get ``-tune grain`` and libx264's default of crf 23.

    Frames are RGB, uint8, (H, W, 3), of one size; an odd last row or column, which yuv420p cannot
    hold, is cut off. The file is sealed, see :mod:`gcp_mm.robustness.data.manifest`; the same
    frames give the same bytes, in every process and with every instruction set that libx264 finds.
    """
    import av

    # The order of the threads of libx264 would change the bytes.
    options = {"preset": PRESET, "threads": "1", "crf": "23" if noisy else "20"}
    options["x264-params"] = PARAMS
    if noisy:
        options["tune"] = "grain"
    content = io.BytesIO()
    with av.open(content, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=1, options=options)
        stream.pix_fmt = "yuv420p"
        for index, frame in enumerate(frames):
            height, width = (side - side % 2 for side in frame.shape[:2])
            if index == 0:
                stream.height, stream.width = height, width
            even = np.ascontiguousarray(frame[:height, :width])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(even, format="rgb24")))
        container.mux(stream.encode())
    return seal(content.getvalue())

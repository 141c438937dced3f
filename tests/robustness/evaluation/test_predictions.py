"""Frames in chunks of a fixed number."""

import pytest
import torch

from gcp_mm.robustness.evaluation.predictions import rechunk


@pytest.mark.parametrize("lengths", [[3, 4, 5], [12], [1] * 11, [4, 4], [2, 17, 1], []])
@pytest.mark.parametrize("size", [1, 4, 20])
def test_chunks_hold_all_frames_in_order(lengths, size):
    frames = torch.arange(sum(lengths))

    chunks = [chunk.clone() for chunk in rechunk(frames.split(lengths), size)]
    assert torch.equal(torch.cat([frames[:0], *chunks]), frames)
    assert all(len(chunk) == size for chunk in chunks[:-1])
    assert all(0 < len(chunk) <= size for chunk in chunks)


def test_stream_is_read_as_far_as_needed():
    """Memory does not grow with the number of clips: a chunk is given before the next is read."""
    read = 0

    def stream():
        nonlocal read
        for _ in range(100):
            read += 1
            yield torch.zeros(3)

    chunks = rechunk(stream(), 7)
    for number in range(1, 20):
        next(chunks)
        assert 3 * (read - 1) < 7 * number <= 3 * read

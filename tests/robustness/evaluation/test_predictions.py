"""Frames in chunks of a fixed number, and what is told of the work while it goes on."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from gcp_mm.robustness.evaluation.loader import Part
from gcp_mm.robustness.evaluation.predictions import count_right, rechunk, top5_of_clips


@pytest.fixture
def classifier():
    """Finds the class that the first number of an image is."""

    def padded_logits(images, batch):
        return torch.nn.functional.one_hot(images[:, 0, 0, 0].long(), 10).float()

    return SimpleNamespace(device=torch.device("cpu"), padded_logits=padded_logits)


def test_every_batch_of_images_is_told(classifier):
    told = []
    images = torch.arange(5, dtype=torch.uint8).view(5, 1, 1, 1).expand(-1, 2, 2, 3)
    part = Part("cell", range(5), 2)
    found = count_right(
        classifier, iter(images.split(2)), part, np.array([0, 1, 2, 3, 9]), 2, told.append
    )
    assert (found["correct"], found["total"]) == (4, 5)
    assert told == [2, 2, 1]


def test_every_clip_is_told(classifier):
    told = []
    clips = [torch.full((frames, 2, 2, 3), frames, dtype=torch.uint8) for frames in (3, 1, 4)]
    part = Part("cell", range(3), 1)
    found = top5_of_clips(classifier, iter(clips), part, 2, told.append)
    assert found.classes[:, 0].tolist() == [3] * 3 + [1] + [4] * 4
    assert told == [1, 1, 1]


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

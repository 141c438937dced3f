"""The ten perturbation sequences of ImageNet-P.

The constants are those of the script that made ImageNet-P (hendrycks/robustness,
``ImageNet-P/create_p/make_imagenet_p.py``; arXiv 1903.12261). Values are rounded where the script
cuts digits off. Every sequence is a function ``(image, size, rng)`` that yields RGB frames, uint8,
(H, W, 3):

    image: The resized image.
    size: Side of the square crop, in pixels; None for the whole image.
    rng: Draws what is random: the noises and the snow. The others do not use it.
"""

from gcp_mm.robustness.corrupt.sequences.blur import motion_blur_sequence, zoom_blur_sequence
from gcp_mm.robustness.corrupt.sequences.geometry import (
    rotate_sequence,
    scale_sequence,
    tilt_sequence,
    translate_sequence,
)
from gcp_mm.robustness.corrupt.sequences.noise import gaussian_noise_sequence, shot_noise_sequence
from gcp_mm.robustness.corrupt.sequences.weather import brightness_sequence, snow_sequence

SEQUENCES = {
    "gaussian_noise": gaussian_noise_sequence,
    "shot_noise": shot_noise_sequence,
    "motion_blur": motion_blur_sequence,
    "zoom_blur": zoom_blur_sequence,
    "snow": snow_sequence,
    "brightness": brightness_sequence,
    "translate": translate_sequence,
    "rotate": rotate_sequence,
    "tilt": tilt_sequence,
    "scale": scale_sequence,
}

__all__ = ["SEQUENCES"]

"""Augmentation by albumentations: one definition for all families."""

import math
from typing import Any

import albumentations as A
import cv2
import numpy as np

from defectbench.config.augment import AugmentSettings


def make_augmentation(settings: AugmentSettings | None) -> A.Compose | None:
    """The augmentation of ``settings``, for uint8 images (H, W) or (H, W, C) and masks of the same size.

    None if images are not augmented.
    """
    if settings is None or settings.is_none:
        return None
    steps = [
        HorizontalFlip(p=settings.hflip),
        VerticalFlip(p=settings.vflip),
        QuarterTurns(p=settings.rotate90),
        Rotate(limit=settings.degrees, border_mode=cv2.BORDER_REPLICATE, p=settings.rotate),
        make_elastic(settings),
        A.RandomBrightnessContrast(
            brightness_limit=settings.brightness, contrast_limit=settings.contrast, p=settings.tone
        ),
    ]
    exclusive = [
        # Grey pictures stay grey, also those that a network reads as three equal channels.
        A.GaussNoise(std_range=(settings.noise_std / 4, settings.noise_std), per_channel=False, p=settings.noise),
        A.GaussianBlur(blur_limit=(3, settings.blur_kernel), p=settings.blur),
    ]
    if settings.noise + settings.blur > 0:
        # OneOf selects its steps in proportion to their probabilities.
        steps.append(A.OneOf(exclusive, p=settings.noise + settings.blur))
    # A step of probability 0 would still draw a random number, and change the results of the others.
    return A.Compose([step for step in steps if step.p > 0])


class EdgePoints:
    """Points whose coordinates count from the image's edge, as polygons' do: (0.5, 0.5) is the centre of a pixel.

    Albumentations takes (0, 0) for it, and would mirror polygons one pixel beside the image.
    """

    def apply_to_keypoints(self, keypoints: np.ndarray, **params: Any) -> np.ndarray:
        """Move ``keypoints`` (N, at least x and y)."""
        half = np.zeros(keypoints.shape[1], np.float32)
        half[:2] = 0.5
        return super().apply_to_keypoints(keypoints - half, **params) + half  # type: ignore[misc]


class HorizontalFlip(EdgePoints, A.HorizontalFlip):
    """A mirror image."""


class VerticalFlip(EdgePoints, A.VerticalFlip):
    """An image upside down."""


class Rotate(EdgePoints, A.Rotate):
    """A rotation by any angle."""


class QuarterTurns(EdgePoints, A.RandomRotate90):
    """One to three quarter turns of square images, two of others: the size stays."""

    def get_params(self) -> dict[str, Any]:
        """Nothing yet: the number of turns depends on the image."""
        return {}

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        """The number of quarter turns."""
        height, width = params["shape"][:2]
        return {"factor": self.py_random.randint(1, 3) if height == width else 2}


class ElasticTransform(EdgePoints, A.ElasticTransform):
    """A deformation by random smooth shifts."""


def make_elastic(settings: AugmentSettings) -> ElasticTransform:
    """An elastic deformation: shifts uniform in ±alpha for every pixel, smoothed by a Gaussian.

    P. Y. Simard et al., Best practices for convolutional neural networks, ICDAR 2003. A Gaussian of standard deviation
    s divides that of white noise, here alpha / √3, by 2 s √π.
    """
    return ElasticTransform(
        alpha=2 * math.sqrt(3 * math.pi) * settings.elastic_scale * settings.elastic_shift,
        sigma=settings.elastic_scale,
        noise_distribution="uniform",
        keypoint_remapping_method="direct",
        border_mode=cv2.BORDER_REPLICATE,
        p=settings.elastic,
    )

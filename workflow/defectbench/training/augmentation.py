"""Augmentation by albumentations: one definition for all families."""

import os

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import albumentations as A
import cv2

from defectbench.config.augment import AugmentSettings


def make_augmentation(settings: AugmentSettings | None) -> A.Compose | None:
    """The augmentation of ``settings``, for uint8 images (H, W) or (H, W, C) and masks of the same size.

    None if images are not augmented.
    """
    if settings is None or settings.is_none:
        return None
    steps = [
        A.HorizontalFlip(p=settings.hflip),
        A.VerticalFlip(p=settings.vflip),
        A.Rotate(limit=settings.degrees, border_mode=cv2.BORDER_REPLICATE, p=settings.rotate),
        A.RandomBrightnessContrast(
            brightness_limit=settings.brightness, contrast_limit=settings.contrast, p=settings.tone
        ),
    ]
    exclusive = [
        A.GaussNoise(std_range=(settings.noise_std / 4, settings.noise_std), p=settings.noise),
        A.GaussianBlur(blur_limit=(3, settings.blur_kernel), p=settings.blur),
    ]
    if settings.noise + settings.blur > 0:
        # OneOf selects its steps in proportion to their probabilities.
        steps.append(A.OneOf(exclusive, p=settings.noise + settings.blur))
    # A step of probability 0 would still draw a random number, and change the results of the others.
    return A.Compose([step for step in steps if step.p > 0])

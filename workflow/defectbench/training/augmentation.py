"""Augmentation: one definition for all families."""

import os

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import albumentations as A
import cv2


def make_augmentation(name: str) -> A.Compose | None:
    """The augmentation of the settings, for uint8 images and masks of the same size.

    ``steel``: horizontal flip, brightness and contrast, noise, mild blur, rotation of at most 5 degrees. No
    vertical flip and no strong elastic deformation: both make pictures that no camera over a strip takes.
    """
    if name == "none":
        return None
    return A.Compose(
        [
            A.HorizontalFlip(p=0.5),
            A.Rotate(limit=5, border_mode=cv2.BORDER_REPLICATE, p=0.3),
            A.RandomBrightnessContrast(brightness_limit=0.2, contrast_limit=0.2, p=0.5),
            A.OneOf([A.GaussNoise(std_range=(0.01, 0.04)), A.GaussianBlur(blur_limit=(3, 5))], p=0.2),
        ]
    )

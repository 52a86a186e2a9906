"""Training and validation samples, read from the packs."""

import hashlib
from dataclasses import dataclass

import albumentations as A
import numpy as np
import torch
from torch.utils.data import Dataset

from defectbench.data.packing import ImagePack, MaskPack
from defectbench.inference.geometry import Geometry


@dataclass(frozen=True)
class Samples(Dataset):
    """Images and masks at the size the network sees, all of one size."""

    images: ImagePack
    masks: MaskPack
    image_ids: list[str]
    geometry: Geometry
    task: str
    augmentation: A.Compose | None = None
    seed: int = 0

    def __len__(self) -> int:
        """Number of images."""
        return len(self.image_ids)

    def __getitem__(self, item: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor, int]:
        """Image (C, H, W) uint8, masks (n_maps, H, W) uint8 and index of the sample (pass, index)."""
        number, index = item
        image_id = self.image_ids[index]
        size = self.geometry.input_size(*self.images.largest)
        image = self.geometry.apply(self.images[image_id], size)
        masks = self.true_masks(index).transpose(1, 2, 0)
        masks = self.geometry.apply(np.ascontiguousarray(masks), size, mask=True).reshape(*size, -1)
        if self.augmentation is not None:
            # Seeded by pass and image alone: the same for any number of loader workers, and after a resume.
            key = hashlib.blake2b(f"{self.seed} {number} {image_id}".encode(), digest_size=4).digest()
            self.augmentation.set_random_seed(int.from_bytes(key))
            augmented = self.augmentation(image=image, mask=masks)
            image, masks = augmented["image"], augmented["mask"].reshape(*size, -1)
        image = image[None] if image.ndim == 2 else image.transpose(2, 0, 1)
        return (
            torch.from_numpy(np.ascontiguousarray(image)),
            torch.from_numpy(np.ascontiguousarray(masks.transpose(2, 0, 1))),
            index,
        )

    def true_masks(self, index: int) -> np.ndarray:
        """Masks (n_maps, H, W) of an image at its own size, one for all classes if the task is 'merged'."""
        masks = self.masks[self.image_ids[index]]
        return masks.max(axis=0, keepdims=True) if self.task == "merged" else masks

"""Data sets of training and validation samples, read from the packs."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import albumentations as A
import cv2
import numpy as np
import torch
from torch.utils.data import Dataset

from defectbench.config.train import TrainSettings
from defectbench.data.packing import ImagePack, MaskPack, Window
from defectbench.data.scaling import Scaling
from defectbench.data.tiles import Size, choose_tiles
from defectbench.inference.geometry import Geometry
from defectbench.script import required


@dataclass(frozen=True)
class Samples(Dataset):
    """Images and masks at the size the network sees, all of one size.

    With ``crop``, a sample is a random crop of at most that size, another in every pass; a share ``defect_crops`` of
    them is centred on a defect pixel.
    """

    images: ImagePack
    masks: MaskPack
    image_ids: Sequence[str]
    geometry: Geometry
    task: str
    augmentation: A.Compose | None = None
    seed: int = 0
    crop: Size | None = None
    defect_crops: float = 0.0

    def __len__(self) -> int:
        """Number of images, or tiles."""
        return len(self.image_ids)

    @property
    def input_size(self) -> Size:
        """Height and width of every sample: of the largest image, or of the crop."""
        height, width = self.images.largest
        if self.crop is not None:
            height, width = min(height, self.crop[0]), min(width, self.crop[1])
        return self.geometry.input_size(height, width)

    def __getitem__(self, item: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor, int]:
        """Image (C, H, W) uint8, masks (n_maps, H, W) uint8 and index of the sample (pass, index).

        Masks are 0, 1 or IGNORED: scaled, padded and augmented together, pixel by pixel.
        """
        number, index = item
        image_id = self.image_ids[index]
        window = self.window(number, index)
        masks = self.read_masks(image_id, window)
        size = self.input_size
        image = self.geometry.apply(self.images.read(image_id, window), size)
        if masks.shape[1:] != size:
            masks = np.stack([self.geometry.apply(mask, size, mask=True) for mask in masks])
        if self.augmentation is not None:
            self.augmentation.set_random_seed(self._seed(f"{number} {image_id}"))
            augmented = self.augmentation(image=image, mask=cv2.merge(tuple(masks)))
            image, masks = augmented["image"], np.stack(cv2.split(augmented["mask"]))
        # (H, W) or (H, W, C) to (C, H, W).
        image = image[None] if image.ndim == 2 else np.stack(cv2.split(image))
        return _tensor(image), _tensor(masks), index

    def window(self, number: int, index: int) -> Window:
        """Rows and columns of the image that are in the sample (pass ``number``, ``index``)."""
        image_id = self.image_ids[index]
        size = np.array(self.images.size(image_id))
        crop = size if self.crop is None else np.minimum(size, self.crop)
        if (crop < size).any():
            rng = np.random.default_rng(self._seed(f"{number} {image_id} crop"))
            start = rng.integers(0, size - crop, endpoint=True)
            if rng.random() < self.defect_crops:
                defect = np.argwhere(self.masks.read_marked(image_id, merged=True)[0] == 1)
                if len(defect):
                    start = np.clip(rng.choice(defect) - crop // 2, 0, size - crop)
        else:
            start = np.zeros(2, int)
        (top, left), (bottom, right) = start.tolist(), (start + crop).tolist()
        return slice(top, bottom), slice(left, right)

    def _seed(self, key: str) -> int:
        """Seed of a pass and image, whatever the number of workers and resumes."""
        return int.from_bytes(hashlib.blake2b(f"{self.seed} {key}".encode(), digest_size=4).digest())

    def read_masks(self, image_id: str, window: Window) -> np.ndarray:
        """Masks (n_maps, h, w) uint8 of a window of an image, at its own size; in training they may be more planes."""
        return self.masks.read_marked(image_id, window, merged=self.task == "merged")

    def true_masks(self, index: int) -> np.ndarray:
        """Masks (n_maps, H, W) of an image at its own size, one for all classes if the task is 'merged'.

        Their values are 0, 1 and IGNORED.
        """
        return self.masks.read_marked(self.image_ids[index], merged=self.task == "merged")


def _tensor(array: np.ndarray) -> torch.Tensor:
    """``array`` as a tensor; copied only if it is not contiguous, or a read-only view of a pack."""
    return torch.from_numpy(np.require(array, requirements=["C", "W"]))


def make_samples(
    settings: TrainSettings,
    pack: Path,
    tiles: Path | None,
    train_ids: Sequence[str],
    val_ids: Sequence[str],
    augmentation: A.Compose | None,
    scaling: Scaling | None = None,
) -> tuple[Samples, Samples]:
    """Training samples in the mode of ``settings``, and validation samples: whole images in every mode.

    ``pack`` is the folder of the packed images, ``tiles`` that of their tiles, for mode pre_crops; ``scaling`` that of
    deep images.

    Raises:
        TileError: if there is no tile to train on.
    """
    images, masks = ImagePack(pack, scaling, settings.input_channels), MaskPack(pack)
    geometry = Geometry.of(settings.img_size, settings.resize, settings.input_multiple)
    val = Samples(images, masks, val_ids, geometry, settings.task)
    crop = settings.crop_size if settings.mode == "crops" else None
    if settings.mode == "pre_crops":
        tiles = required(tiles, "--tiles")
        images, masks = ImagePack(tiles, scaling, settings.input_channels), MaskPack(tiles)
        train_ids = choose_tiles(masks, train_ids, settings.empty_tiles, settings.seed)
    train = Samples(
        images,
        masks,
        train_ids,
        geometry,
        settings.task,
        augmentation,
        settings.seed,
        crop,
        settings.defect_crops,
    )
    return train, val

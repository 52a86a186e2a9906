"""What weights have seen, kept in their file: a training that starts from them has seen it too."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import cv2
import numpy as np
import pandas as pd
from safetensors import safe_open

from defectbench.data.packing import ImagePack
from defectbench.script import UserError

_KEY = "seen"
UNKNOWN = "starts from weights of unknown origin: the images they saw are not known"


class OriginError(UserError):
    """Weights that have seen what a training must not see."""


@dataclass(frozen=True)
class Seen:
    """Pictures, by :func:`picture_digests`: ids differ between datasets of the same images."""

    learned: frozenset[str] = frozenset()
    """learned from, with their labels"""
    stopped_by: frozenset[str] = frozenset()
    """read to choose the step whose weights are kept"""
    is_all: bool = True
    """False if the first weights were of unknown origin"""

    def __or__(self, other: Self) -> Self:
        """What was seen in both of two trainings, one after the other."""
        learned, stopped_by = self.learned | other.learned, self.stopped_by | other.stopped_by
        return type(self)(learned, stopped_by, self.is_all and other.is_all)

    def metadata(self) -> dict[str, str]:
        """For the header of a safetensors file; one key, since the order of several would be random."""
        found = {"learned": sorted(self.learned), "stopped_by": sorted(self.stopped_by), "is_all": self.is_all}
        return {_KEY: json.dumps(found)}

    @classmethod
    def read(cls, weights: Path) -> Self:
        """From the safetensors file ``weights``; it has seen what is not known if it does not say."""
        with safe_open(weights, "np") as file:
            text = (file.metadata() or {}).get(_KEY)
        if text is None:
            return cls(is_all=False)
        found = json.loads(text)
        return cls(frozenset(found["learned"]), frozenset(found["stopped_by"]), found["is_all"])


def picture_digests(images: ImagePack, image_ids: Iterable[str]) -> dict[str, str]:
    """Digest (16 hex digits) of the pixels of each image, by id; of a grey one the same with one channel and three."""
    digests = {}
    for image_id in image_ids:
        image = images[image_id]
        first, *others = cv2.split(image)
        if all(np.array_equal(first, other) for other in others):
            image = first
        digests[image_id] = hashlib.sha256(image.tobytes()).hexdigest()[:16]
    return digests


def inherited(weights: Path, seen: Seen, pictures: Mapping[str, str], split: pd.DataFrame) -> tuple[set[str], set[str]]:
    """Ids of the train images that ``weights`` learned from, and of the train and val images they were stopped by.

    ``pictures`` are the digests of all images of the dataset; ``split`` has image_id and role (train, val, test).
    Images that are not in it, such as those of the fold held out in cross-validation, count as test. Groups need no
    look: a split has all of a group in one role, and so the image that the weights saw.

    Raises:
        OriginError: if the weights learned from val or test images, or were stopped by test images.
    """
    role = split.set_index("image_id")["role"]
    train = {image_id: pictures[image_id] for image_id in role.index[role == "train"]}
    train_val = {image_id: pictures[image_id] for image_id in role.index[role != "test"]}
    for verb, found, allowed, roles in (
        ("learned from", seen.learned, train, "val or test"),
        ("were stopped by", seen.stopped_by, train_val, "test"),
    ):
        # A picture may come more than once, as blank ones do: what stands in an allowed role may be known.
        leaking = found.difference(allowed.values())
        ids = [image_id for image_id, digest in pictures.items() if digest in leaking]
        if ids:
            names = ", ".join(ids[:5]) + (", ..." if len(ids) > 5 else "")
            raise OriginError(
                f"init_from: {weights}: these weights {verb} {len(ids)} images that are {roles} images here, or in the "
                f"fold held out: {names}. Scores on them would be false: start from weights trained on this split's "
                "train images or on other data, or leave init_from out."
            )
    learned = {image_id for image_id, digest in train.items() if digest in seen.learned}
    return learned, {image_id for image_id, digest in train_val.items() if digest in seen.stopped_by}

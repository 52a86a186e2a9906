"""Data provenance of weights, stored in their file: a training that starts from them inherits it."""

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
UNKNOWN = "starts from weights of unknown provenance: the images they were trained on are not known"


class ProvenanceError(UserError):
    """Weights that were trained on images that a training must not see."""


@dataclass(frozen=True)
class Provenance:
    """The images behind weights, by :func:`picture_digests`, since ids differ between datasets of the same images."""

    trained_on: frozenset[str] = frozenset()
    """Images that the weights were trained on, with their labels."""
    early_stopping: frozenset[str] = frozenset()
    """Images by which the checkpoint was selected."""
    is_complete: bool = True
    """False if the first of several trainings started from weights of unknown provenance."""

    def __or__(self, other: Self) -> Self:
        """Provenance of weights from two trainings, one after the other."""
        trained_on, early_stopping = self.trained_on | other.trained_on, self.early_stopping | other.early_stopping
        return type(self)(trained_on, early_stopping, self.is_complete and other.is_complete)

    def metadata(self) -> dict[str, str]:
        """Metadata of a safetensors file; one key, since the order of several would be random."""
        values = {
            "learned": sorted(self.trained_on),
            "stopped_by": sorted(self.early_stopping),
            "is_all": self.is_complete,
        }
        return {_KEY: json.dumps(values)}

    @classmethod
    def read(cls, weights: Path) -> Self:
        """Read the provenance in the header of the safetensors file ``weights``; without any it is incomplete."""
        with safe_open(weights, "np") as file:
            text = (file.metadata() or {}).get(_KEY)
        if text is None:
            return cls(is_complete=False)
        values = json.loads(text)
        return cls(frozenset(values["learned"]), frozenset(values["stopped_by"]), values["is_all"])


def picture_digests(images: ImagePack, image_ids: Iterable[str]) -> dict[str, str]:
    """Id -> digest (16 hex digits) of the pixels; a grey image has the same with one channel and with three."""
    digests = {}
    for image_id in image_ids:
        image = images.stored(image_id)
        first, *others = cv2.split(image)
        if all(np.array_equal(first, other) for other in others):
            image = first
        digests[image_id] = hashlib.sha256(image.tobytes()).hexdigest()[:16]
    return digests


def find_inherited_ids(
    weights: Path, provenance: Provenance, pictures: Mapping[str, str], split: pd.DataFrame
) -> tuple[set[str], set[str]]:
    """Ids of the train images that ``weights`` were trained on, and of the train and val images of early stopping.

    ``pictures`` are the digests of all images of the dataset; ``split`` has image_id and role (train, val, test).
    Images that are not in it, such as those of the fold held out in cross-validation, count as test. Groups need no
    check: all images of a group have the same role.

    Raises:
        ProvenanceError: if the weights were trained on val or test images, or stopped early by test images.
    """
    role = split.set_index("image_id")["role"]
    train = {image_id: pictures[image_id] for image_id in role.index[role == "train"]}
    train_val = {image_id: pictures[image_id] for image_id in role.index[role != "test"]}
    for verb, digests, allowed, roles in (
        ("were trained on", provenance.trained_on, train, "val or test"),
        ("were stopped early by", provenance.early_stopping, train_val, "test"),
    ):
        # Equal pictures, such as blank ones, may have several roles: no leak if one of them is allowed.
        leaking = digests.difference(allowed.values())
        ids = [image_id for image_id, digest in pictures.items() if digest in leaking]
        if ids:
            names = ", ".join(ids[:5]) + (", ..." if len(ids) > 5 else "")
            raise ProvenanceError(
                f"init_from: {weights}: these weights {verb} {len(ids)} images that are {roles} images here, or in the "
                f"fold held out: {names}. Scores on them would be false: start from weights trained on this split's "
                "train images or on other data, or leave init_from out."
            )
    labelled = {image_id for image_id, digest in train.items() if digest in provenance.trained_on}
    return labelled, {image_id for image_id, digest in train_val.items() if digest in provenance.early_stopping}

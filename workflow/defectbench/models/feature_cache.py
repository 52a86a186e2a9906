"""What a frozen encoder makes of images, kept on disk."""

import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from defectbench.files import atomic

Features = TypeVar("Features", bound=tuple)
"""A NamedTuple of tensors (B, ...)."""


class FeatureCache(Generic[Features]):
    """Calls the encoder for images it has not seen, and reads the features of the others from files.

    An entry's key is a digest of the pixels as the encoder gets them, size included, of the encoder's weights, of the
    precision and of the kind of device. So an augmented image is never taken for the plain one; for want of hits,
    augmented images should not come here at all.
    """

    def __init__(
        self,
        compute: Callable[[torch.Tensor], Features],
        kind: type[Features],
        folder: Path,
        weights_sha256: str,
    ) -> None:
        """Keep in ``folder`` what ``compute``, an encoder whose weights have that digest, makes: a ``kind``."""
        self._compute, self._kind = compute, kind
        self.folder = folder
        self.weights_sha256 = weights_sha256
        self.seconds = 0.0
        """Time that the encoder took for the images of the last call, now or when the entries were made."""
        self.saved = 0.0
        """By how much all calls together were faster than the encoder; writing entries counts against it."""

    @torch.no_grad()
    def encode(self, images: torch.Tensor) -> Features:
        """Features of uint8 ``images`` (B, 1 or 3, H, W)."""
        called = time.perf_counter()
        paths = [self._path(image) for image in images]
        missing = [number for number, path in enumerate(paths) if not path.is_file()]
        if missing:
            started = time.perf_counter()
            made = self._compute(images[missing])
            if images.is_cuda:
                torch.cuda.synchronize()
            seconds = (time.perf_counter() - started) / len(missing)
            for place, number in enumerate(missing):
                self._save(paths[number], self._kind(*(level[place] for level in made)), seconds)
        found, self.seconds = [], 0.0
        for path in paths:
            with safe_open(path, "pt") as file:
                self.seconds += float(file.metadata()["seconds"])
            values = load_file(path, device=str(images.device))
            found.append([values[name] for name in self._kind._fields])
        self.saved += self.seconds - (time.perf_counter() - called)
        return self._kind(*(torch.stack(level) for level in zip(*found, strict=True)))

    def _path(self, image: torch.Tensor) -> Path:
        device = image.device.type
        autocast = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else torch.float32
        key = f"{self.weights_sha256} {tuple(image.shape)} {autocast} {device}"
        digest = hashlib.sha256(key.encode() + image.cpu().contiguous().numpy().tobytes()).hexdigest()
        return self.folder / digest[:2] / f"{digest}.safetensors"

    def _save(self, path: Path, features: Features, seconds: float) -> None:
        values = {name: level.cpu().contiguous() for name, level in features._asdict().items()}
        with atomic(path) as temporary:
            save_file(values, temporary, metadata={"seconds": repr(seconds)})

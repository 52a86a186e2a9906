"""What a frozen encoder makes of images, kept on disk."""

import hashlib
import time
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from defectbench.files import atomic
from defectbench.models.sam2.native import Embedding, NativeSam2


class EmbeddingCache:
    """Calls the encoder for images it has not seen, and reads the embeddings of the others from files.

    An entry's key is a digest of the pixels as the encoder gets them, size included, of the encoder's weights, of the
    precision and of the kind of device. So an augmented image is never taken for the plain one; for want of hits,
    augmented images should not come here at all.
    """

    def __init__(self, network: NativeSam2, folder: Path, weights_sha256: str) -> None:
        """Keep embeddings of ``network``, whose encoder's weights have the digest ``weights_sha256``, in ``folder``."""
        self.network = network
        self.folder = folder
        self.weights_sha256 = weights_sha256
        self.seconds = 0.0
        """Time that the encoder took for the images of the last call, now or when the entries were made."""

    @torch.no_grad()
    def encode(self, images: torch.Tensor) -> Embedding:
        """As :meth:`NativeSam2.encode`: uint8 ``images`` (B, 1 or 3, H, W)."""
        paths = [self._path(image) for image in images]
        missing = [number for number, path in enumerate(paths) if not path.is_file()]
        if missing:
            started = time.perf_counter()
            made = self.network.encode(images[missing])
            if images.is_cuda:
                torch.cuda.synchronize()
            seconds = (time.perf_counter() - started) / len(missing)
            for place, number in enumerate(missing):
                self._save(paths[number], Embedding(*(level[place] for level in made)), seconds)
        found, self.seconds = [], 0.0
        for path in paths:
            with safe_open(path, "pt") as file:
                self.seconds += float(file.metadata()["seconds"])
            values = load_file(path, device=str(images.device))
            found.append([values[name] for name in Embedding._fields])
        return Embedding(*(torch.stack(level) for level in zip(*found, strict=True)))

    def _path(self, image: torch.Tensor) -> Path:
        device = image.device.type
        autocast = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else torch.float32
        key = f"{self.weights_sha256} {tuple(image.shape)} {autocast} {device}"
        digest = hashlib.sha256(key.encode() + image.cpu().contiguous().numpy().tobytes()).hexdigest()
        return self.folder / digest[:2] / f"{digest}.safetensors"

    def _save(self, path: Path, embedding: Embedding, seconds: float) -> None:
        values = {name: level.cpu().contiguous() for name, level in embedding._asdict().items()}
        with atomic(path) as temporary:
            save_file(values, temporary, metadata={"seconds": repr(seconds)})

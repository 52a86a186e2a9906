"""Cache of a frozen encoder's features on disk."""

import functools
import hashlib
import importlib.metadata
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Generic, NamedTuple, TypeVar

import torch
from safetensors.torch import load_file, save_file

from defectbench.code_digest import CodeDigests
from defectbench.files import atomic

_ENCODER_CODE = ("defectbench.models", "defectbench.families")

Features = TypeVar("Features", bound=NamedTuple)
"""Named tuple of tensors (B, ...)."""


class FeatureCache(Generic[Features]):
    """Calls the encoder for new images, and reads the features of all others from files.

    An entry is read only if the encoder would compute the same again: its path is a digest of the pixels as the encoder
    gets them, size included, of the encoder's weights and code, and of :func:`describe_arithmetic`. So an augmented
    image never gets the features of the plain one; augmented images should not be cached, since they hardly recur.
    """

    def __init__(
        self,
        compute: Callable[[torch.Tensor], Features],
        kind: type[Features],
        folder: Path,
        weights_sha256: str,
        code: str,
    ) -> None:
        """Cache in ``folder`` what ``compute`` returns, a ``kind``; ``code`` is the encoder's :func:`encoder_digest`.

        Entries of the same weights and other code are deleted: they would not be read again.
        """
        self._compute, self._kind = compute, kind
        self.folder = folder / weights_sha256[:16] / code
        self.folder.mkdir(parents=True, exist_ok=True)
        for other in self.folder.parent.iterdir():
            if other != self.folder:
                # Another process may be deleting it too.
                shutil.rmtree(other, ignore_errors=True)

    def encode(self, images: torch.Tensor) -> Features:
        """Features of uint8 ``images`` (B, 1 or 3, H, W), encoded one by one: they do not depend on the batch."""
        features_by_image = []
        for image in images.split(1):
            features = self.read(image)
            if features is None:
                features = self.compute(image)
                self.write(image, features)
            features_by_image.append(features)
        return self._kind._make(torch.cat(level) for level in zip(*features_by_image, strict=True))

    def read(self, image: torch.Tensor) -> Features | None:
        """Features of ``image`` (1, 1 or 3, H, W) from its file; None if there is no such file."""
        try:
            levels = load_file(self._path(image), device=str(image.device))
        except FileNotFoundError:
            return None
        return self._kind._make(levels[name] for name in self._kind._fields)

    @torch.no_grad()
    def compute(self, image: torch.Tensor) -> Features:
        """Features of ``image`` by the encoder, contiguous in memory as those from a file are."""
        return self._kind._make(level.contiguous() for level in self._compute(image))

    def write(self, image: torch.Tensor, features: Features) -> None:
        """Write the ``features`` of ``image``, unless they are cached already."""
        path = self._path(image)
        if not path.is_file():
            with atomic(path) as temporary:
                save_file({name: level.cpu() for name, level in features._asdict().items()}, temporary)

    def _path(self, image: torch.Tensor) -> Path:
        key = f"{tuple(image.shape)} {describe_arithmetic(image.device)} "
        digest = hashlib.sha256(key.encode() + image.cpu().contiguous().numpy().tobytes()).hexdigest()
        return self.folder / digest[:2] / f"{digest}.safetensors"


def describe_arithmetic(device: torch.device) -> str:
    """Precision and hardware of the current process: sums differ in their last bits with the order of summation."""
    kind = device.type
    autocast = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else torch.float32
    if kind == "cuda":
        hardware = f"{torch.cuda.get_device_name(device)}, cuDNN {torch.backends.cudnn.version()}"
    else:
        name = torch.cpu.get_capabilities().get("cpu_name", "")
        hardware = f"{name} {torch.backends.cpu.get_cpu_capability()}, {torch.get_num_threads()} threads"
    return f"{autocast} {torch.get_float32_matmul_precision()} {kind} {hardware}"


def encoder_digest(package: str, *modules: ModuleType) -> str:
    """Digest (16 hex digits) of an encoder's code: it changes with any edit or upgrade that may change its features.

    ``modules`` define and build the encoder; the modules of models and families that they import count too, and so do
    this module and the versions of torch and of ``package``, in which the network is written.
    """
    files = [Path(str(module.__file__)) for module in modules] + [Path(__file__)]
    parts = [_code_digests().of(path, within=_ENCODER_CODE) for path in files]
    parts += [str(torch.__version__), importlib.metadata.version(package)]
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:16]


# The graph of imports takes some tenths of a second.
_code_digests = functools.cache(CodeDigests)

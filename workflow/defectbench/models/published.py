"""Published base weights: downloaded once, and checked against the listed SHA-256."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import pooch
import yaml

from defectbench.script import UserError

_SECONDS = 30  # without an answer


class PublishedWeightsError(UserError):
    """Published weights that are missing, or differ from the listed ones."""


@dataclass(frozen=True)
class PublishedWeights:
    """One file of resources/weights.yaml."""

    name: str
    url: str
    sha256: str

    @property
    def file_name(self) -> str:
        """Name of the file in the folder of published weights."""
        return Path(self.url).name


def read_listing(listing: Path, name: str) -> PublishedWeights:
    """Entry ``name`` of resources/weights.yaml.

    Raises:
        PublishedWeightsError: if there is none.
    """
    entries = yaml.safe_load(listing.read_text(encoding="utf-8"))
    if name not in entries:
        raise PublishedWeightsError(f"{listing} lists no weights of {name}; it lists {', '.join(entries)}")
    return PublishedWeights(name, **entries[name])


def read_published(weights: PublishedWeights, folder: Path) -> bytes:
    """Content of the file of ``weights`` in ``folder``, downloaded if it is not there, with the listed SHA-256.

    The content, not the path: the file could be another one by the time that it is opened again.

    Raises:
        PublishedWeightsError: if it cannot be downloaded, or has another SHA-256.
    """
    path = folder / weights.file_name
    if not path.is_file():
        try:
            downloader = pooch.HTTPDownloader(timeout=_SECONDS)
            pooch.retrieve(weights.url, weights.sha256, path.name, folder, downloader=downloader)
        except (OSError, ValueError) as error:
            raise PublishedWeightsError(
                f"pretrained weights are absent: {path.name}, and the download failed.\n"
                f"From: {weights.url}\nSHA-256: {weights.sha256}\nTo use it here, put the file at {path}; or start "
                f"from random weights (yolo: weights: none; sam2: init: random).\nThe download's error: {error}"
            ) from None
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != weights.sha256:
        raise PublishedWeightsError(
            f"{path} is not used: its SHA-256 is\n  {digest}, expected\n  {weights.sha256}\nDelete it, or download it "
            f"again from {weights.url}"
        )
    return content

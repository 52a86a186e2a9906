"""Published base weights: downloaded once, and checked against the listed SHA-256."""

from dataclasses import dataclass
from pathlib import Path

import pooch
import yaml

from defectbench.files import file_sha256
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


def read_listing(listing: Path, name: str) -> PublishedWeights:
    """Entry ``name`` of resources/weights.yaml.

    Raises:
        PublishedWeightsError: if there is none.
    """
    entries = yaml.safe_load(listing.read_text(encoding="utf-8"))
    if name not in entries:
        raise PublishedWeightsError(f"{listing} lists no weights of {name}; it lists {', '.join(entries)}")
    return PublishedWeights(name, **entries[name])


def fetch_published(weights: PublishedWeights, folder: Path) -> Path:
    """The file of ``weights`` in ``folder``, downloaded if it is not there, with the listed SHA-256.

    Raises:
        PublishedWeightsError: if it cannot be downloaded, or has another SHA-256.
    """
    path = folder / Path(weights.url).name
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
    digest = file_sha256(path)
    if digest != weights.sha256:
        raise PublishedWeightsError(
            f"{path} is not used: its SHA-256 is\n  {digest}, expected\n  {weights.sha256}\nDelete it, or download it "
            f"again from {weights.url}"
        )
    return path

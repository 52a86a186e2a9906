"""Disk that planned jobs will take: packs, predictions and weights, which are nearly all of a study."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import yaml

from defectbench.data.manifest import Manifest, read_manifest
from defectbench.data.tables import read_names
from defectbench.data.tiles import tile_windows, window_size

BITS_PER_PIXEL = 3.0
"""Of a map, until one of its family has been predicted; networks take 2 to 3 (benchmarks/prediction_files.py)."""
ROLES = {"val": ["val"], "test": ["test"], "oof": ["train", "val"]}
"""Roles of the images in a file of predictions, by the first part of its name."""
_MAPS = "pred.parquet"
_TRAINED = ("model", "checkpoints", "state")
"""Folders that a training leaves."""


def planned_files(dry_run: str) -> list[str]:
    """Paths of all files that jobs in the output of ``snakemake -n --quiet host`` will make."""
    return [path for line in re.findall(r"^    output: (.+)$", dry_run, re.M) for path in line.split(", ")]


def estimate_disk(top: Path, paths: list[str]) -> pd.DataFrame:
    """A row per family, "" for the packs: ``bytes`` that ``paths`` below ``top`` will take, and ``unknown`` ones.

    Packs are as large as the images of the manifest, and unknown before it exists. Predictions have as many maps as
    the experiment's task says, of the images of their roles; each pixel takes the median of the family's past maps.
    Weights, with the checkpoints beside them, take the median of the family's past trainings.
    """
    datasets: dict[str, _Dataset] = {}
    rows = []
    # The files of a model count as one.
    for path in dict.fromkeys(
        path.parent if path.parent.name == "model" else path for path in map(PurePosixPath, paths)
    ):
        if path.parts[0] != "runs" or len(path.parts) < 3:
            continue
        dataset = datasets.setdefault(path.parts[1], _Dataset(top, path.parts[1]))
        size = dataset.bytes_of(path)
        if size is not None:
            rows.append(("" if path.parts[2] == "packed" else path.parts[2], size))
    table = pd.DataFrame(rows, columns=["family", "bytes"])
    grouped = table.groupby("family")["bytes"]
    return pd.DataFrame({"bytes": grouped.sum(min_count=1), "unknown": grouped.agg(lambda sizes: sizes.isna().sum())})


@dataclass(frozen=True)
class _Dataset:
    """Facts of a dataset below ``top``, read when they are asked for."""

    top: Path
    name: str

    def bytes_of(self, path: PurePosixPath) -> float | None:
        """Expected size of a file, or the folder of a model; NaN if nothing is known yet, None of small files."""
        family = path.parts[2]
        if family == "packed" and path.suffix == ".bin":
            return self._pack(path)
        if path.name.endswith(_MAPS):
            return self._predictions(path)
        if path.name == "model":
            return _median(map(_trained_bytes, self.top.glob(f"runs/*/{family}/*/")))
        return None

    @cached_property
    def _manifest(self) -> Manifest | None:
        path = self.top / "runs" / self.name / "manifest.parquet"
        return read_manifest(path, ["image_id", "height", "width", "channels"]) if path.is_file() else None

    @cached_property
    def _pixels(self) -> pd.Series | None:
        """Pixels of all images by role."""
        split = self.top / "runs" / self.name / "split.csv"
        if self._manifest is None or not split.is_file():
            return None
        frame = self._manifest.frame.merge(read_names(split)[["image_id", "role"]], on="image_id")
        return (frame["height"].astype(np.int64) * frame["width"]).groupby(frame["role"]).sum()

    def _pack(self, path: PurePosixPath) -> float:
        if self._manifest is None:
            return np.nan
        tiles = re.fullmatch(r"tiles_(\d+)x(\d+)_s(\d+)", path.parent.name)
        # One coloured image makes all of a pack colour.
        channels = int(self._manifest.frame["channels"].max())
        total = 0
        for image in self._manifest.frame.itertuples():
            sizes = [(image.height, image.width)]
            if tiles:
                tile, stride = (int(tiles[1]), int(tiles[2])), int(tiles[3])
                sizes = [window_size(window) for window in tile_windows(image.height, image.width, tile, stride)]
            for height, width in sizes:
                if path.stem == "images":
                    total += height * width * channels
                else:  # a bit for every pixel and class
                    total += len(self._manifest.class_names) * height * -(-width // 8)
        return float(total)

    def _predictions(self, path: PurePosixPath) -> float:
        roles = ROLES.get(path.name.split(".")[0])
        if self._pixels is None or roles is None:
            return np.nan
        assert self._manifest is not None  # its pixels were counted
        maps = len(self._manifest.class_names) if self._predicts_classes(path) else 1
        bits = _median(map(_bits_per_pixel, self.top.glob(f"runs/*/{path.parts[2]}/*/*.{_MAPS}")))
        bits = BITS_PER_PIXEL if np.isnan(bits) else bits
        return float(self._pixels.reindex(roles).sum() * maps * bits / 8)

    def _predicts_classes(self, path: PurePosixPath) -> bool:
        """Whether the settings of the experiment say so; a fold has them one folder above."""
        for folder in (path.parent, path.parent.parent):
            settings = self.top / folder / "settings" / "train.yaml"
            if settings.is_file():
                return yaml.safe_load(settings.read_text(encoding="utf-8")).get("task") == "per_class"
        return False


def _median(values: Iterable[float]) -> float:
    """Median of ``values`` above 0; NaN if there are none."""
    known = [value for value in values if value]
    return float(np.median(known)) if known else np.nan


def _trained_bytes(folder: Path) -> int:
    """Bytes that a training left in the folder of an experiment."""
    return sum(file.stat().st_size for name in _TRAINED for file in (folder / name).rglob("*") if file.is_file())


def _bits_per_pixel(path: Path) -> float:
    """Bits that a pixel of a map takes in a file of predictions; 0 if it has none."""
    sizes = pq.read_table(path, columns=["height", "width"])
    pixels = sum(h * w for h, w in zip(*(sizes[name].to_pylist() for name in ("height", "width")), strict=True))
    return 8 * path.stat().st_size / pixels if pixels else 0

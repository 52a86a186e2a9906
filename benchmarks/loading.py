"""Reading training samples: from the packs beside decoding the image's file and its run-length codes.

The plain way decodes to grey where the images are grey, by OpenCV, and the masks by pycocotools, both in C, and adds
nothing to that. Ours is the dataset that trainings use, as it is, without augmentation. One thread; files and packs
are in the page cache. Times are of the CPU, so that other work on the machine counts little; each is the median of
several repeats, which take turns.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch

from defectbench.config.ingest import SeverstalCsv
from defectbench.data.ingest import ingest
from defectbench.data.manifest import Manifest
from defectbench.data.packing import WHOLE, ImagePack, MaskPack, Window
from defectbench.data.synthetic import load_prior, write_steel
from defectbench.data.write_packs import pack_images, pack_masks, pack_tiles
from defectbench.inference.geometry import Geometry
from defectbench.training.dataset import Samples

PRIOR = Path(__file__).parents[1] / "resources" / "severstal_prior.yaml"
CROP, STRIDE = (256, 512), 256
Sample = tuple[torch.Tensor, torch.Tensor]


class Decoded:
    """Samples by the plain way."""

    def __init__(self, manifest: Manifest, root: Path, task: str) -> None:
        """Of all images of ``manifest``, whose files lie below ``root``."""
        self.rows = list(manifest.frame.itertuples())
        self.manifest, self.root, self.task = manifest, root, task
        self.flag = cv2.IMREAD_GRAYSCALE if manifest.frame["channels"].max() == 1 else cv2.IMREAD_COLOR_RGB

    def read(self, index: int, window: Window = WHOLE) -> Sample:
        """Decode an image and its masks, and cut the window out of them."""
        row = self.rows[index]
        image = np.atleast_3d(cv2.imread(str(self.root / row.path), self.flag)[window]).transpose(2, 0, 1)
        masks = self.manifest.masks(row)[:, *window]
        if self.task == "merged":
            masks = masks.max(axis=0, keepdims=True)
        return torch.from_numpy(np.ascontiguousarray(image)), torch.from_numpy(np.ascontiguousarray(masks))


def milliseconds(read: Callable[[int], object], n: int) -> float:
    """Mean CPU time of one sample in a pass over all ``n``."""
    started = time.process_time()
    for index in range(n):
        read(index)
    return 1000 * (time.process_time() - started) / n


def compare(title: str, ways: dict[str, tuple[Callable[[int], object], int]], repeats: int) -> None:
    """Time the ``ways`` in turns; print medians, and how many times faster each is than the first."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats + 1):
        for name, (read, n) in ways.items():
            times[name].append(milliseconds(read, n))
    # The first round warms up.
    medians = {name: float(np.median(values[1:])) for name, values in times.items()}
    first = next(iter(medians.values()))
    print(f"\n{title}")
    for name, median in medians.items():
        print(f"  {name:<58} {median:7.3f} ms {first / median:8.1f} x")


def benchmark(root: Path, work: Path, task: str, repeats: int) -> None:
    """All comparisons for one task."""
    classes = {1: "1", 2: "2", 3: "3", 4: "4"}
    settings = SeverstalCsv(name="steel", format="severstal_csv", root=root, classes=classes)
    manifest, *_ = ingest(settings, work / "issues.csv")
    pack_images(manifest, root, work / "full")
    pack_masks(manifest, work / "full")
    pack_tiles(work / "full", work / "tiles", CROP, STRIDE)

    def samples(pack: Path, **keys: object) -> Samples:
        images = ImagePack(pack)
        return Samples(images, MaskPack(pack), images.image_ids, Geometry.of("native", "native"), task, **keys)

    decoded, whole, tiles = Decoded(manifest, root, task), samples(work / "full"), samples(work / "tiles")
    crops = samples(work / "full", crop=CROP)
    for index in range(len(whole)):
        plain, ours = decoded.read(index), whole[0, index]
        assert torch.equal(plain[1], ours[1]), "the ways read different masks"
        assert plain[0].shape == ours[0].shape, "the ways read different images"

    n = len(whole)
    compare(
        f"A whole image, task {task} ({n} images)",
        {
            "decode JPEG and run-length codes": (decoded.read, n),
            "from the pack": (lambda index: whole[0, index], n),
        },
        repeats,
    )
    compare(
        f"A crop of {CROP[0]} x {CROP[1]}, task {task} ({len(tiles)} tiles)",
        {
            "decode JPEG and run-length codes, cut": (lambda i: decoded.read(i, crops.window(0, i)), n),
            "mode crops: cut from the pack": (lambda index: crops[0, index], n),
            "mode pre_crops: from the pack of tiles": (lambda index: tiles[0, index], len(tiles)),
        },
        repeats,
    )


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, help="folder with train_images/ and train.csv; default: synthetic strips")
    parser.add_argument("--repeats", type=int, default=15)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        root = args.root or Path(folder) / "source"
        if args.root is None:
            write_steel(root, load_prior(PRIOR), n=20, seed=42, size=(256, 1600))
        for task in ("merged", "per_class"):
            benchmark(root, Path(folder), task, args.repeats)


if __name__ == "__main__":
    main()

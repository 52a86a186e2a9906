"""Ingest beside a bare loop that only decodes, digests and perceptually hashes the same files.

Also the peak memory of ingest at growing numbers of images. All in synthetic strips of 256 x 1600 pixels.
"""

import argparse
import hashlib
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import imagehash
import numpy as np
from PIL import Image

from defectbench.config.ingest import SeverstalCsv
from defectbench.data.duplicates import fingerprint
from defectbench.data.images import stream
from defectbench.data.ingest import ingest
from defectbench.data.synthetic import load_prior, write_steel
from defectbench.inference.memory import peak_resident_bytes

PRIOR = Path(__file__).parents[1] / "resources" / "severstal_prior.yaml"


def bare(path: Path) -> None:
    """Decode, SHA-256 and our own perceptual hash."""
    data = path.read_bytes()
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    hashlib.sha256(data).hexdigest()
    fingerprint(image)


def bare_grey(path: Path) -> None:
    """The same, with the shortcut that ingest takes: these files hold grey, and are decoded so."""
    data = path.read_bytes()
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
    hashlib.sha256(data).hexdigest()
    fingerprint(image)


def bare_imagehash(path: Path) -> None:
    """Decode, SHA-256 and the hash of the library imagehash."""
    data = path.read_bytes()
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    hashlib.sha256(data).hexdigest()
    imagehash.phash(Image.fromarray(image))


def seconds(function) -> float:
    """Duration of one call."""
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def main() -> None:
    """Print images per second, ratios and peak memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", type=Path, help="internal: ingest this folder once and print the peak memory")
    args = parser.parse_args()
    if args.only:
        ingest(settings(args.only), args.only / "found.csv", args.threads)
        print(peak_resident_bytes() // 2**20)
        return
    with tempfile.TemporaryDirectory() as folder:
        compare(Path(folder) / "all", args)
        for n in (args.images // 4, args.images // 2, args.images):
            part = Path(folder) / str(n)
            write_steel(part, load_prior(PRIOR), n=n, seed=42)
            command = [sys.executable, __file__, "--only", str(part), "--threads", str(args.threads)]
            peak = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
            print(f"peak memory of ingest, {n} images: {peak} MB")


def settings(root: Path) -> SeverstalCsv:
    """The generated dataset."""
    return SeverstalCsv(name="x", format="severstal_csv", root=root, classes={1: "a", 2: "b", 3: "c", 4: "d"})


def compare(root: Path, args: argparse.Namespace) -> None:
    """Time the ways in turns."""
    write_steel(root, load_prior(PRIOR), n=args.images, seed=42)
    dataset = settings(root)
    files = dataset.image_files()
    ways = {
        "ingest": lambda: ingest(dataset, root / "found.csv", args.threads),
        "bare loop, our hash": lambda: list(stream(bare, files, args.threads)),
        "bare loop in grey, our hash": lambda: list(stream(bare_grey, files, args.threads)),
        "bare loop, imagehash": lambda: list(stream(bare_imagehash, files, args.threads)),
    }
    times = {name: [] for name in ways}
    for _ in range(args.repeats):
        for name, way in ways.items():
            times[name].append(seconds(way))
    medians = {name: statistics.median(values) for name, values in times.items()}
    for name, median in medians.items():
        print(f"{name}: {args.images / median:.0f} images/s, {medians[name] / medians['ingest']:.2f} of ingest's time")


if __name__ == "__main__":
    main()

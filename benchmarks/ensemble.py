"""The mean of five models' maps: peak memory from 50 to 2,000 images, and time against the plain way.

Ours streams prediction files image by image. The plain way reads all maps, averages float64 probabilities and writes.
Every measurement runs in a process of its own, so that peaks do not mix. Maps are random and smooth, 256 x 1600.

    python benchmarks/ensemble.py [--images 50 200 2000] [--repeats 3]
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import cv2
import numpy as np

from defectbench.config.base import MERGED
from defectbench.inference.ensemble import write_mean
from defectbench.inference.memory import peak_resident_bytes
from defectbench.inference.prediction_file import PredictionFile, PredictionHeader, write_predictions
from defectbench.metrics.codes import codes_from_logits, codes_from_probabilities, probabilities_from_codes

MEMBERS, SIZE = 5, (256, 1600)
HEADER = PredictionHeader("test", (MERGED,), True)


def make_members(folder: Path, n: int) -> list[Path]:
    """Prediction files of ``n`` images of every member; few different maps, since only the reading is measured."""
    rng = np.random.default_rng(0)
    logits = [cv2.GaussianBlur(rng.normal(-2, 30, SIZE).astype(np.float32), (0, 0), 12) - 3 for _ in range(8)]
    maps = [codes_from_logits(plane)[None] for plane in logits]
    paths = [folder / f"member{member}_{n}.parquet" for member in range(MEMBERS)]
    for member, path in enumerate(paths):
        with write_predictions(path, HEADER) as writer:
            for index in range(n):
                writer.add(f"{index:05d}.jpg", maps[(index + member) % len(maps)])
    return paths


def plain_mean(paths: list[Path], out: Path) -> None:
    """Everything in memory at once."""
    members = [dict(PredictionFile(path)) for path in paths]
    with write_predictions(out, HEADER) as writer:
        for image_id in members[0]:
            p = np.mean([probabilities_from_codes(member[image_id]) for member in members], axis=0)
            writer.add(image_id, codes_from_probabilities(p))


def measure(way: str, paths: list[Path], out: Path) -> dict[str, float]:
    """Seconds and peak MB of one run in a fresh process."""
    command = [sys.executable, __file__, "--run", way, "--files", *map(str, paths), "--out", str(out)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def run(way: str, paths: list[Path], out: Path) -> None:
    """What the fresh process does."""
    started = time.perf_counter()
    if way == "ours":
        write_mean(paths, [1 / MEMBERS] * MEMBERS, out, "test")
    else:
        plain_mean(paths, out)
    seconds = time.perf_counter() - started
    print(json.dumps({"seconds": seconds, "mb": peak_resident_bytes() / 2**20}))


def main() -> None:
    """Print seconds per image and peak memory by number of images."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, nargs="+", default=[50, 200, 2000])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--plain-up-to", type=int, default=200, help="the plain way would need too much memory beyond")
    parser.add_argument("--run", choices=["ours", "plain"], help=argparse.SUPPRESS)
    parser.add_argument("--files", type=Path, nargs="+", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.run:
        run(args.run, args.files, args.out)
        return
    for n in args.images:
        with tempfile.TemporaryDirectory() as name:
            paths = make_members(Path(name), n)
            ways = ["ours", "plain"] if n <= args.plain_up_to else ["ours"]
            # In turns, so that both see the same machine.
            found = {way: [] for way in ways}
            for _ in range(args.repeats if n <= args.plain_up_to else 1):
                for way in ways:
                    found[way].append(measure(way, paths, Path(name) / f"{way}.parquet"))
            for way, runs in found.items():
                seconds, mb = (median(run[key] for run in runs) for key in ("seconds", "mb"))
                print(f"{n:5d} images, {way:5s}: {1000 * seconds / n:6.1f} ms an image, peak {mb:6.0f} MB", flush=True)
            if len(ways) > 1:
                ratios = [b["seconds"] / a["seconds"] for a, b in zip(found["ours"], found["plain"], strict=True)]
                print(f"             ours is {median(ratios):.2f} times as fast")


if __name__ == "__main__":
    main()

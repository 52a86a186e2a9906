"""Evaluation beside scikit-learn and torchmetrics, on maps of 256 x 1600 pixels, in one run on the same cores.

1. From arrays in memory: all metrics of counts and histograms, beside exact average precision of the others, the
   first with a loop over the 255 thresholds.
2. From a prediction file: scoring beside merely reading and decoding it, without and with what looks at shapes
   (boundaries, centre lines, components).
3. Peak memory of scoring at growing numbers of images.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import torch
from sklearn.metrics import average_precision_score
from torchmetrics.functional.classification import binary_average_precision

from defectbench.config.base import MERGED
from defectbench.config.calibrate import CalibrateSettings
from defectbench.config.score import ScoreSettings
from defectbench.data.manifest import Manifest, write_manifest
from defectbench.data.rle import encode_coco
from defectbench.evaluation.calibration import calibrate
from defectbench.evaluation.scoring import score
from defectbench.evaluation.truth import HeldOutData, ValidationData, read_truth
from defectbench.inference.memory import peak_resident_bytes
from defectbench.inference.prediction_file import PredictionFile, PredictionHeader, write_predictions
from defectbench.metrics.codes import codes_from_logits, probabilities_from_codes
from defectbench.metrics.definitions import METRICS
from defectbench.metrics.histograms import average_precision, coarsen, full_histogram, sweep
from defectbench.metrics.image_counts import ImageCounts

SIZE = (256, 1600)
CUTS = (100, 128)  # a calibrated threshold, and p = 0.5, in 256ths


def make_map(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Codes (H, W) uint16 of a plausible network, and the truth (H, W) bool, a few blobs."""
    height = rng.normal(size=SIZE).astype(np.float32)
    height = cv2.GaussianBlur(height, (0, 0), 14)
    height /= height.std()
    truth = height > 2.2
    logits = 4 * (height - 2.4) + cv2.GaussianBlur(rng.normal(size=SIZE).astype(np.float32), (0, 0), 1)
    return codes_from_logits(logits), truth


def ours(maps: Iterable[tuple[np.ndarray, np.ndarray]]) -> float:
    """All metrics of counts and histograms of all maps; returns the average precision over all pixels.

    The counts at a threshold are sums of the histogram, as in calibration.
    """
    pooled = np.zeros((2, 65536), np.int64)
    coarse, n_pixels = [], []
    for codes, truth in maps:
        full = full_histogram(codes, truth)
        pooled += full
        coarse.append(coarsen(full))
        n_pixels.append(truth.size)
    counts = sweep(np.stack(coarse))
    for cut in CUTS:
        images = ImageCounts(*(count[:, cut - 1] for count in counts), np.array(n_pixels))
        for metric in METRICS.values():
            metric(images)
    return average_precision(pooled)


def with_sklearn(maps: list[tuple[np.ndarray, np.ndarray]]) -> None:
    """Exact average precision and the counts at 255 thresholds, map by map."""
    for codes, truth in maps:
        scores = probabilities_from_codes(codes)
        average_precision_score(truth.ravel(), scores.ravel())
        for k in range(1, 256):
            prediction = scores >= k / 256
            (prediction & truth).sum(), (prediction & ~truth).sum(), (~prediction & truth).sum()


def with_torchmetrics(maps: list[tuple[np.ndarray, np.ndarray]]) -> None:
    """Exact average precision, map by map."""
    for codes, truth in maps:
        scores = torch.from_numpy(probabilities_from_codes(codes))
        binary_average_precision(scores.ravel(), torch.from_numpy(truth).long().ravel())


def seconds(function: Callable[[], object]) -> float:
    """Duration of one call."""
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def in_memory(maps: list[tuple[np.ndarray, np.ndarray]], repeats: int) -> None:
    """Part 1, on one thread but where said; the slow ways run once, ours several times between them."""
    times = [seconds(lambda: ours(maps)) for _ in range(repeats)]
    slow = {"scikit-learn's AP + threshold loop": (with_sklearn, 1), "torchmetrics' AP": (with_torchmetrics, 1)}
    all_threads = torch.get_num_threads()
    slow[f"torchmetrics' AP on {all_threads} threads"] = with_torchmetrics, all_threads
    slow_times = {}
    for name, (function, threads) in slow.items():
        torch.set_num_threads(threads)
        slow_times[name] = seconds(lambda function=function: function(maps))
        times += [seconds(lambda: ours(maps)) for _ in range(repeats)]
    base = statistics.median(times)
    print(f"{len(maps)} maps in memory: ours {1000 * base / len(maps):.2f} ms a map, median of {len(times)}")
    for name, value in slow_times.items():
        print(f"  {name}: {1000 * value / len(maps):.0f} ms a map, {value / base:.0f} times ours")


def write_study(folder: Path, maps: list[tuple[np.ndarray, np.ndarray]], n: int) -> None:
    """Write manifest, split and predictions of ``n`` test images and four val images, repeating ``maps``."""
    rows, roles = [], ["val"] * 4 + ["test"] * n
    folder.mkdir(parents=True)
    headers = {role: PredictionHeader(role, (MERGED,), True) for role in ("val", "test")}
    with (
        write_predictions(folder / "val.pred.parquet", headers["val"]) as val,
        write_predictions(folder / "test.pred.parquet", headers["test"]) as test,
    ):
        for index, role in enumerate(roles):
            codes, truth = maps[index % len(maps)]
            (val if role == "val" else test).add(f"{index:05d}", codes[None])
            rows.append((f"{index:05d}", [encode_coco(truth)], [int(truth.sum())]))
    frame = pd.DataFrame(rows, columns=["image_id", "rle", "area"])
    frame[["height", "width"]] = SIZE
    facts = {"path": "", "channels": 1, "stored_as": "", "sha256": "", "group": frame["image_id"]}
    frame = frame.assign(**facts, phash=pd.array([pd.NA] * len(frame), "UInt64"))
    write_manifest(folder / "manifest.parquet", Manifest(frame, "x", ("defect",), (1,), 0))
    frame[["image_id", "group"]].assign(role=roles).to_csv(folder / "split.csv", index=False)


def score_files(folder: Path) -> None:
    """Score as the workflow does."""
    truth = read_truth(folder / "manifest.parquet", folder / "split.csv")
    with PredictionFile(folder / "val.pred.parquet") as val, PredictionFile(folder / "test.pred.parquet") as test:
        val = ValidationData(val, truth)
        calibration = calibrate(val, CalibrateSettings(post_processing=None))
        score(val, HeldOutData(test, truth), calibration, ScoreSettings())


def counts_from_file(folder: Path) -> None:
    """Counts and histograms alone, from the same file."""
    truth = read_truth(folder / "manifest.parquet", folder / "split.csv")
    with PredictionFile(folder / "test.pred.parquet") as test:
        ours((sample.codes[0], sample.truth[0]) for sample in HeldOutData(test, truth))


def read_only(folder: Path) -> None:
    """Read and decode."""
    with PredictionFile(folder / "test.pred.parquet") as test:
        for _ in test:
            pass


def from_file(folder: Path, n: int, repeats: int) -> None:
    """Part 2."""
    ways = {"reading and decoding": read_only, "counts and histograms": counts_from_file, "whole scoring": score_files}
    times = {name: [] for name in ways}
    for _ in range(repeats):
        for name, way in ways.items():
            times[name].append(seconds(lambda way=way: way(folder)))
    medians = {name: statistics.median(values) for name, values in times.items()}
    for name, value in medians.items():
        ratio = value / medians["reading and decoding"]
        print(f"file of {n} maps, {name}: {1000 * value / n:.1f} ms a map, {ratio:.2f} times reading")


def main() -> None:
    """Run the three parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--maps", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--memory", type=int, nargs="*", default=[500, 2000], help="numbers of images of part 3")
    parser.add_argument("--only", type=Path, help="internal: score this folder and print the peak memory")
    args = parser.parse_args()
    if args.only:
        score_files(args.only)
        print(peak_resident_bytes() // 2**20)
        return
    rng = np.random.default_rng(0)
    maps = [make_map(rng) for _ in range(args.maps)]
    in_memory(maps, args.repeats)
    with tempfile.TemporaryDirectory() as folder:
        write_study(Path(folder) / "files", maps, args.maps)
        from_file(Path(folder) / "files", args.maps, args.repeats)
        for n in args.memory:
            write_study(Path(folder) / str(n), maps[:20], n)
            command = [sys.executable, __file__, "--only", str(Path(folder) / str(n))]
            peak = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
            print(f"peak memory of scoring {n} images: {peak} MB")


if __name__ == "__main__":
    main()

"""Run-length codes: ours beside the plain ways, on real or random masks of 256 x 1600 pixels."""

import argparse
import csv
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
from pycocotools import mask as coco

from defectbench.data import rle

HEIGHT, WIDTH = 256, 1600


def decode_by_slices(text: str) -> np.ndarray:
    """The simplest loop, without any check."""
    numbers = list(map(int, text.split()))
    flat = np.zeros(HEIGHT * WIDTH, np.uint8)
    for start, length in zip(numbers[::2], numbers[1::2], strict=True):
        flat[start - 1 : start - 1 + length] = 1
    return flat.reshape((HEIGHT, WIDTH), order="F")


def decode_by_sum(text: str) -> np.ndarray:
    """Ones and minus ones at the borders of runs, summed up."""
    numbers = np.array(text.split(), dtype=np.int64)
    steps = np.zeros(HEIGHT * WIDTH + 1, np.int8)
    steps[numbers[::2] - 1] += 1
    steps[numbers[::2] - 1 + numbers[1::2]] -= 1
    return np.cumsum(steps[:-1], dtype=np.uint8).reshape((HEIGHT, WIDTH), order="F")


def encode_by_difference(mask: np.ndarray) -> str:
    """Where neighbours differ."""
    flat = np.concatenate([[0], mask.ravel(order="F"), [0]])
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    edges[1::2] -= edges[::2]
    return " ".join(map(str, edges))


def to_coco_by_pixels(text: str) -> bytes:
    """Draw, then encode."""
    return coco.encode(decode_by_slices(text))["counts"]


def to_coco_by_runs(text: str) -> bytes:
    """Ours: no pixels."""
    return rle.coco_from_runs(rle.runs_from_severstal(text, HEIGHT, WIDTH), HEIGHT, WIDTH)


def medians_ms(ways: Sequence[Callable], items: Sequence, repeats: int) -> list[float]:
    """Mean milliseconds an item takes in each way: medians over the repeats, in which the ways take turns."""
    times: list[list[float]] = [[] for _ in ways]
    for _ in range(repeats):
        for way, of_way in zip(ways, times, strict=True):
            started = time.perf_counter()
            for item in items:
                way(item)
            of_way.append(1000 * (time.perf_counter() - started) / len(items))
    return list(map(statistics.median, times))


def random_codes(n: int) -> list[str]:
    """Codes of random blobs."""
    rng = np.random.default_rng(0)
    noise = (cv2.GaussianBlur(rng.normal(size=(HEIGHT, WIDTH)).astype(np.float32), (0, 0), 12) for _ in range(n))
    return [rle.encode_severstal(values > 2 * values.std()) for values in noise]


def main() -> None:
    """Print a table of milliseconds and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--csv", type=Path, help="a Severstal label table; without it, random masks")
    parser.add_argument("--masks", type=int, default=400)
    parser.add_argument("--repeats", type=int, default=7)
    args = parser.parse_args()
    if args.csv:
        with args.csv.open() as file:
            codes = [row["EncodedPixels"] for row in csv.DictReader(file)][: args.masks]
    else:
        codes = random_codes(args.masks)
    masks = [decode_by_slices(code) for code in codes]
    mean_runs = sum(len(code.split()) // 2 for code in codes) / len(codes)
    print(f"{len(codes)} masks, {mean_runs:.0f} runs each on average; milliseconds a mask, medians of {args.repeats}")
    jobs = {
        "decode": (codes, lambda code: rle.decode_severstal(code, HEIGHT, WIDTH), decode_by_slices, decode_by_sum),
        "encode": (masks, rle.encode_severstal, encode_by_difference),
        "to COCO": (codes, to_coco_by_runs, to_coco_by_pixels),
    }
    for job, (items, ours, *others) in jobs.items():
        assert all(np.array_equal(ours(item), other(item)) for item in items[:20] for other in others)
        base, *times = medians_ms([ours, *others], items, args.repeats)
        print(f"{job:8} ours {base:.3f}")
        for other, time_of_other in zip(others, times, strict=True):
            print(f"{'':8} {other.__name__} {time_of_other:.3f}: ours takes {base / time_of_other:.2f} of it")


if __name__ == "__main__":
    main()

"""Several boxes of one steel strip: in batches of the decoder beside one after the other, in one run.

The image is encoded once before, in both ways; a map is the maximum over the boxes. Beside them the package's own image
predictor at 1024 × 1024, a call for each box, which gives masks and no map. Weights are random: that does not change
the work. Repeats take turns; medians of CPU seconds are printed, with a GPU of wall seconds.
"""

# ruff: noqa: E402
import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

# A file beside this one is called like the package that is measured: their folder must not be searched first.
sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != Path(__file__).resolve().parent]

import numpy as np
import torch
from sam2.build_sam import build_sam2
from sam2.sam2_image_predictor import SAM2ImagePredictor

from defectbench.data.prompts import Prompt, box_prompt
from defectbench.families.sam2.network import CONFIGS, NativeSam2
from defectbench.families.sam2.prompting import predict_maps

HEIGHT, WIDTH = 256, 1600
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="tiny", choices=CONFIGS)
    parser.add_argument("--boxes", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    name = torch.cuda.get_device_name() if DEVICE.type == "cuda" else f"CPU, {args.threads} thread(s)"
    print(f"SAM 2.1 {args.size}, {HEIGHT} x {WIDTH}, {name}, load {os.getloadavg()[0]:.1f}, medians of {args.repeats}")
    grey = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH), dtype=np.uint8)
    network = NativeSam2("2.1", args.size).eval().to(DEVICE)
    theirs = SAM2ImagePredictor(
        build_sam2(f"configs/sam2.1/sam2.1_hiera_{CONFIGS[args.size]}.yaml", device=str(DEVICE))
    )
    theirs.set_image(np.repeat(grey[:, :, None], 3, axis=2))
    with torch.inference_mode():
        embedding = network.encode(torch.from_numpy(grey)[None, None].to(DEVICE))
        for n in args.boxes:
            boxes = random_boxes(n)
            ways = {
                "ours, in batches": lambda boxes=boxes: predict_maps(network, embedding, [boxes], True).cpu(),
                "one after the other": lambda boxes=boxes: [
                    predict_maps(network, embedding, [[box]], True).cpu() for box in boxes
                ],
                "the package's predictor, a call per box": lambda boxes=boxes: [
                    theirs.predict(box=box.points.ravel(), multimask_output=True) for box in boxes
                ],
            }
            show(n, medians(ways, args.repeats))


def random_boxes(n: int) -> list[Prompt]:
    """Boxes of 20 to 200 pixels."""
    rng = np.random.default_rng(1)
    sides = rng.integers(20, 200, (n, 2))
    corners = [(rng.integers(0, WIDTH - w), rng.integers(0, HEIGHT - h)) for w, h in sides]
    return [box_prompt(x, y, x + w, y + h) for (x, y), (w, h) in zip(corners, sides, strict=True)]


def medians(ways: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Seconds of each way: the median of ``repeats`` that take turns, after one that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for repeat in range(repeats + 1):
        for name, way in ways.items():
            started = clock()
            way()
            if repeat:
                seconds[name].append(clock() - started)
    return {name: statistics.median(values) for name, values in seconds.items()}


def clock() -> float:
    """Seconds: of the CPU, or, once the GPU is done, of the wall."""
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time()


def show(n: int, found: dict[str, float]) -> None:
    """Print the medians and how they compare to ours."""
    print(f"\n{n} box(es)")
    ours = next(iter(found.values()))
    for name, value in found.items():
        print(f"  {name:<42} {1000 * value:8.1f} ms   {value / ours:5.2f} x ours")


if __name__ == "__main__":
    main()

"""SAM 2 on steel strips: ours beside the package's own image predictor, in one run.

1. Images a second, zero-shot, with three kinds of prompts for each image: ours (native size, one pass of the encoder)
   and ``SAM2ImagePredictor`` at 1024 × 1024, as commonly used (``set_image`` for each kind) and at its best
   (``set_image`` once). Weights are random: that does not change the work. Ours gives logits, theirs masks.
2. A training step of the whole network at native size and at 1024 × 1024, on the same image.
3. Peak memory of a native training step with and without checkpointed blocks, each in a process of its own.

Repeats take turns; medians are printed. Without a GPU times are of the CPU, on one thread, so that other work on the
machine counts little; with one they are wall time.
"""

# ruff: noqa: E402
import argparse
import multiprocessing
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

# This file is called like the package that it measures: its folder must not be searched first.
sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != Path(__file__).resolve().parent]

import numpy as np
import torch
from sam2.build_sam import build_sam2
from sam2.sam2_image_predictor import SAM2ImagePredictor

from defectbench.config.families.sam2 import Sam2Settings
from defectbench.data.prompts import INSIDE, OUTSIDE, Prompt, box_prompt
from defectbench.families.sam2.adapters import set_trainable
from defectbench.families.sam2.loss import Sam2Loss
from defectbench.families.sam2.network import CONFIGS, NativeSam2, upsample_masks
from defectbench.families.sam2.predictor import PromptedPredictor
from defectbench.families.sam2.prompting import decode_prompts, predict_maps
from defectbench.inference.geometry import Geometry
from defectbench.inference.memory import peak_resident_bytes

HEIGHT, WIDTH, SQUARE = 256, 1600, 1024
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
BOX = box_prompt(300, 60, 520, 180)
POINTS = Prompt(
    np.array([[350, 90], [400, 120], [480, 150], [250, 40], [600, 200], [700, 100]], np.float32),
    np.array([INSIDE] * 3 + [OUTSIDE] * 3, np.int8),
)
FULL = box_prompt(0, 0, WIDTH - 1, HEIGHT - 1)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="tiny", choices=CONFIGS)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1, help="CPU threads; more wait for one another")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    name = torch.cuda.get_device_name() if DEVICE.type == "cuda" else f"CPU, {args.threads} thread(s)"
    print(f"SAM 2.1 {args.size}, {HEIGHT} x {WIDTH}, {name}, load {os.getloadavg()[0]:.1f}")
    zero_shot(args.size, args.repeats)
    training(args.size, args.repeats)
    memory(args.size, args.threads)


def clock() -> float:
    """Seconds: of the CPU, or, once the GPU is done, of the wall."""
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time()


def medians(ways: dict[str, Callable[[], None]], repeats: int) -> dict[str, float]:
    """Seconds of each way: the median of ``repeats`` that take turns, after one that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for repeat in range(repeats + 1):
        for name, way in ways.items():
            started = clock()
            way()
            if repeat:
                seconds[name].append(clock() - started)
    return {name: statistics.median(values) for name, values in seconds.items()}


def show(title: str, found: dict[str, float], unit: str, ours: str) -> None:
    """Print the medians and how they compare to ours."""
    print(f"\n{title}")
    for name, value in found.items():
        print(f"  {name:<44} {value:8.3f} {unit}   {value / found[ours]:5.2f} x ours")


def zero_shot(size: str, repeats: int) -> None:
    """Three kinds of prompts for one image."""
    network = NativeSam2("2.1", size).eval().to(DEVICE)
    geometry = Geometry.of("native", "native")
    sam = build_sam2(f"configs/sam2.1/sam2.1_hiera_{CONFIGS[size]}.yaml", device=str(DEVICE))
    theirs = SAM2ImagePredictor(sam)
    grey = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH), dtype=np.uint8)
    colour = np.repeat(grey[:, :, None], 3, axis=2)
    single = PromptedPredictor(network, geometry, DEVICE, False)

    @torch.inference_mode()
    def ours() -> None:
        batch = torch.from_numpy(geometry.apply(grey))[None, None].to(DEVICE)
        embedding = network.encode(batch)
        for prompt in (BOX, POINTS, FULL):
            predict_maps(network, embedding, [[prompt]], False).cpu()

    def ask_them(prompt: Prompt) -> None:
        if prompt is POINTS:
            theirs.predict(point_coords=prompt.points, point_labels=prompt.labels, multimask_output=False)
        else:
            theirs.predict(box=prompt.points.ravel(), multimask_output=False)

    def commonly() -> None:
        for prompt in (BOX, POINTS, FULL):
            theirs.set_image(colour)
            ask_them(prompt)

    def at_its_best() -> None:
        theirs.set_image(colour)
        for prompt in (BOX, POINTS, FULL):
            ask_them(prompt)

    def one_by_one() -> None:
        for prompt in (BOX, POINTS, FULL):
            single(grey, [prompt])

    ways = {
        "ours, one encoder pass": ours,
        "ours, an encoder pass per kind": one_by_one,
        "predictor at 1024 x 1024, set_image per kind": commonly,
        "predictor at 1024 x 1024, set_image once": at_its_best,
    }
    found = medians(ways, repeats)
    show("zero-shot, three kinds of prompts", found, "s/image", "ours, one encoder pass")
    print("  images a second: " + ", ".join(f"{1 / value:.2f}" for value in found.values()))


def training(size: str, repeats: int) -> None:
    """One step, one image, one box."""
    torch.manual_seed(0)
    settings = Sam2Settings(size=size, tune="full")
    network = NativeSam2("2.1", size).to(DEVICE)
    set_trainable(network, settings)
    optimizer = torch.optim.AdamW([p for p in network.parameters() if p.requires_grad], lr=1e-5)
    ways = {
        "native": lambda: step(network, optimizer, HEIGHT, WIDTH),
        "square, 1024 x 1024": lambda: step(network, optimizer, SQUARE, SQUARE),
    }
    show("a training step, batch of one", medians(ways, repeats), "s/step", "native")


def step(network: NativeSam2, optimizer: torch.optim.Optimizer, height: int, width: int) -> None:
    """One training step."""
    images = torch.randint(0, 256, (1, 1, height, width), dtype=torch.uint8, device=DEVICE)
    target = torch.zeros(1, height, width, device=DEVICE)
    target[:, 60:180, 300:520] = 1
    answer = decode_prompts(network, network.encode(images), [0], [BOX])
    masks = upsample_masks(answer.masks[0])[None]
    Sam2Loss("published")(answer, masks, target).backward()
    optimizer.step()
    optimizer.zero_grad()


def memory(size: str, threads: int) -> None:
    """Peak memory of a step, in a fresh process for each way."""
    found = {}
    for name, checkpointed in (("all kept", False), ("checkpointed blocks", True)):
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            found[name] = pool.apply(peak_of_step, (size, threads, checkpointed)) / 2**30
    show("peak memory of a native training step, batch of one", found, "GiB", "all kept")


def peak_of_step(size: str, threads: int, checkpointed: bool) -> int:
    """Bytes that one step takes on top of the network itself: on the GPU allocated, else resident."""
    torch.set_num_threads(threads)
    network = NativeSam2("2.1", size).to(DEVICE)
    set_trainable(network, Sam2Settings(size=size, tune="full", gradient_checkpointing=checkpointed))
    optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=1e-5)
    before = peak()
    step(network, optimizer, HEIGHT, WIDTH)
    return peak() - before


def peak() -> int:
    """Peak memory of this process so far, bytes."""
    if DEVICE.type == "cuda":
        return torch.cuda.max_memory_allocated()
    return peak_resident_bytes()


if __name__ == "__main__":
    main()

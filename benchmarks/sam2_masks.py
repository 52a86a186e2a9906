"""SAM 2 prompted with true boxes: which mask token, with or without the cut at the object score, at which image size.

Dice at p = 0.5 of a trained experiment, mean over defective test images, with intervals by group: with the token that
is trained for boxes or, of the three that are trained for clicks, the mask with the highest predicted IoU; images at
their own size, and squashed to squares.

    python benchmarks/sam2_masks.py runs/neu_seg runs/neu_seg/sam2/EXP --squash 320 448
"""

# ruff: noqa: E402
import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

# The benchmark beside this file is called like the package sam2: this folder must not be searched first.
sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != Path(__file__).resolve().parent]

import numpy as np
import pandas as pd
import torch

from defectbench.config.families.sam2 import Sam2Settings
from defectbench.config.prompts import ORACLE
from defectbench.data.manifest import read_manifest
from defectbench.data.packing import ImagePack
from defectbench.data.prompt_file import read_prompts
from defectbench.data.prompts import Prompt
from defectbench.evaluation.intervals import GroupBootstrap
from defectbench.families.sam2.network import NativeSam2
from defectbench.families.sam2.predictor import load_prompted
from defectbench.families.sam2.prompting import predict_maps, scale_prompts
from defectbench.files import read_json
from defectbench.inference.geometry import Geometry
from defectbench.inference.predictor import ModelFiles

TOKENS = {"token 0": range(2), "best of three": range(100)}


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path, help="runs/{ds}, with manifest, split, packs and prompts")
    parser.add_argument("experiment", type=Path, help="folder of an experiment prompted with boxes")
    parser.add_argument("--squash", nargs="*", default=[], help="sides of squares, pixels; multiples of 32")
    parser.add_argument("--weights", type=Path, default=Path("weights"), help="folder of base weights")
    parser.add_argument("--draws", type=int, default=10_000, help="of the bootstrap")
    args = parser.parse_args()
    torch.set_num_threads(1)
    split = pd.read_csv(args.dataset / "split.csv", dtype=str).set_index("image_id")
    manifest = read_manifest(args.dataset / "manifest.parquet")
    truth = {row.image_id: manifest.masks(row).max(axis=0) > 0 for row in manifest.frame.itertuples(index=False)}
    ids = [image_id for image_id in split.index[split["role"] == "test"] if truth[image_id].any()]
    bootstrap = GroupBootstrap(split.loc[ids, "group"].to_numpy(), args.draws, seed=42)
    prompts = read_prompts(args.dataset / "prompts" / "oracle" / "box.parquet", ORACLE)
    images = ImagePack(args.dataset / "packed")
    run = read_json(args.experiment / "run.json")
    base = args.weights / f"{Sam2Settings.model_validate(run['settings']).base_name}.safetensors"
    files = ModelFiles(args.experiment / "model" / "weights.safetensors", base, None)
    network = load_prompted(run, files, "cpu", ORACLE).network
    print(f"{run['experiment']['exp_id']}: {len(ids)} defective test images, {bootstrap.n_groups} groups\n")
    print("| size | mask | no cut | cut at the object score |\n|---|---|---|---|")
    for size in ("native", *args.squash):
        geometry = Geometry.of(size, "native" if size == "native" else "squash")
        scores = np.stack([score(network, geometry, np.asarray(images[i]), prompts[i], truth[i]) for i in ids])
        for number, name in enumerate(TOKENS):
            cells = [format_mean(bootstrap, scores[:, number, cut]) for cut in (0, 1)]
            print(f"| {size} | {name} | {' | '.join(cells)} |", flush=True)


@torch.inference_mode()
def score(
    network: NativeSam2, geometry: Geometry, image: np.ndarray, prompts: Sequence[Prompt], true_mask: np.ndarray
) -> np.ndarray:
    """Dice of each of TOKENS without and with the cut, (2, 2); ``image`` (H, W), uint8, ``true_mask`` not empty."""
    pixels = np.require(geometry.apply(image), requirements=["C", "W"])
    embedding = network.encode(torch.from_numpy(pixels)[None, None])
    scaled = scale_prompts(prompts, geometry, image.shape)
    found = np.empty((len(TOKENS), 2))
    for number, points in enumerate(TOKENS.values()):
        network.multimask_points = points
        for cut in (False, True):
            logits = predict_maps(network, embedding, [scaled], cut)[0].numpy()
            predicted = geometry.restore(logits, *image.shape)[0] >= 0
            found[number, int(cut)] = 2 * (predicted & true_mask).sum() / (predicted.sum() + true_mask.sum())
    return found


def format_mean(bootstrap: GroupBootstrap, scores: np.ndarray) -> str:
    """Mean and interval of ``scores`` (N,)."""
    low, high = bootstrap.interval(scores, 0, 1)
    return f"{scores.mean():.3f} [{low:.3f}, {high:.3f}]"


if __name__ == "__main__":
    main()

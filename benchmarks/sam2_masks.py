"""SAM 2 prompted with true boxes: which mask token, with or without the cut at the object score, at which image size.

Dice at p = 0.5 of a trained experiment, mean over defective test images, with intervals by group: with the token that
is trained for boxes or, of the three that are trained for clicks, the mask with the highest predicted IoU; images at
their own size, and squashed to squares.

    python benchmarks/sam2_masks.py runs/neu_seg runs/neu_seg/sam2/EXP --squash 320 448
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from defectbench.config.families.sam2 import Sam2Settings
from defectbench.config.prompts import ORACLE
from defectbench.data.manifest import read_manifest
from defectbench.data.packing import ImagePack
from defectbench.data.prompt_file import read_prompts
from defectbench.evaluation.intervals import GroupBootstrap
from defectbench.families.sam2.predictor import PromptedPredictor, load_prompted
from defectbench.files import read_json
from defectbench.inference.geometry import Geometry
from defectbench.inference.predictor import ModelFiles
from defectbench.metrics.codes import HALF

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
    predictor = load_prompted(run, files, "auto", ORACLE)
    print(f"{run['experiment']['exp_id']}: {len(ids)} defective test images, {bootstrap.n_groups} groups\n")
    print("| size | mask | no cut | cut at the object score |\n|---|---|---|---|")
    for size in ("native", *args.squash):
        predictor.geometry = Geometry.of(size, "native" if size == "native" else "squash")
        for name, points in TOKENS.items():
            predictor.network.multimask_points = points
            cells = []
            for predictor.object_score_cut in (False, True):
                scores = np.array([dice(predictor, np.asarray(images[i]), prompts[i], truth[i]) for i in ids])
                low, high = bootstrap.interval(scores, 0, 1)
                cells.append(f"{scores.mean():.3f} [{low:.3f}, {high:.3f}]")
            print(f"| {size} | {name} | {' | '.join(cells)} |", flush=True)


@torch.inference_mode()
def dice(predictor: PromptedPredictor, image: np.ndarray, prompts: list, true_mask: np.ndarray) -> float:
    """Dice of the predicted mask at p = 0.5; ``true_mask`` (H, W) is not empty."""
    predicted = predictor(image, prompts)[0] >= HALF
    return 2 * float((predicted & true_mask).sum()) / float(predicted.sum() + true_mask.sum())


if __name__ == "__main__":
    main()

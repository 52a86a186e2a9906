"""Prediction of all val and test images of a dataset, with timing: the command of the families' prediction scripts."""

import argparse
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from defectbench.data.packing import ImagePack
from defectbench.data.tables import read_names
from defectbench.files import read_json, write_json
from defectbench.inference.cpu_load import cpu_load
from defectbench.inference.memory import peak_memory_bytes
from defectbench.inference.prediction_file import PredictionHeader, write_predictions
from defectbench.inference.predictor import ModelFiles, Predictor

WARM_UP = 3
"""Number of untimed predictions before the first timed one."""
WARM_UP_SIDE = 2048
"""Pixels of each side of an image that these see: what is larger is seen by tiles, or made smaller."""

LoadPredictor = Callable[[dict[str, Any], ModelFiles, str], Predictor]


@dataclass(frozen=True)
class PredictionFiles:
    """Inputs and outputs of a prediction script."""

    run: Path
    """run.json of the training"""
    model: ModelFiles
    pack: Path
    """Folder of the packed images."""
    split: Path
    """split.csv"""
    val: Path
    """Predictions to write."""
    test: Path
    """Predictions to write."""
    timing: Path
    """timing.json to write"""
    prompts: Path | None = None
    """Prompts of all images, for promptable models."""
    load_at_start: float = field(default_factory=cpu_load)

    @property
    def outputs(self) -> dict[str, Path]:
        """Role -> file of predictions to write."""
        return {"val": self.val, "test": self.test}

    def read_split(self) -> pd.DataFrame:
        """The table of images and roles."""
        return read_names(self.split)

    def finish(self, exp_id: str, seconds: Sequence[float], device: str) -> None:
        """Write timing.json, and print how long the predictions took."""
        write_json(self.timing, timing_record(seconds, device, self.load_at_start))
        print(f"{exp_id}: predicted {len(seconds)} images in {sum(seconds):.1f} s")


def parse_prediction_files(description: str, argv: Sequence[str] | None) -> PredictionFiles:
    """Parse the command line ``argv`` (None: this process's); ``description`` is the text of --help."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--run", type=Path, required=True, help="run.json of the training")
    parser.add_argument("--weights", type=Path, required=True, help="file of the trained model")
    parser.add_argument("--base", type=Path, help="base weights that the training started from")
    parser.add_argument("--features", type=Path, help="folder in which features of a frozen encoder are cached")
    parser.add_argument("--prompts", type=Path, help="prompts of all images")
    parser.add_argument("--pack", type=Path, required=True, help="folder of the packed images")
    parser.add_argument("--split", type=Path, required=True, help="split.csv")
    parser.add_argument("--val", type=Path, required=True, help="file of predictions to write")
    parser.add_argument("--test", type=Path, required=True, help="file of predictions to write")
    parser.add_argument("--timing", type=Path, required=True, help="timing.json to write")
    args = vars(parser.parse_args(argv))
    model = ModelFiles(*(args.pop(name) for name in ("weights", "base", "features")))
    return PredictionFiles(model=model, **args)


def predict_split(load_predictor: LoadPredictor, description: str, argv: Sequence[str] | None = None) -> None:
    """The command of a family's prediction script: load the model, predict all val and test images.

    ``load_predictor`` is the family's :class:`defectbench.families.contract.LoadPredictor`; ``description`` is the text
    of --help.
    """
    files = parse_prediction_files(description, argv)
    run = read_json(files.run)
    predictor = load_predictor(run, files.model, "auto")
    seconds = predict_roles(
        predictor, ImagePack.of_run(files.pack, run), files.read_split(), files.outputs, tuple(run["classes"])
    )
    files.finish(run["experiment"]["exp_id"], seconds, predictor.device)


def predict_roles(
    predictor: Predictor, images: ImagePack, split: pd.DataFrame, outputs: dict[str, Path], classes: tuple[str, ...]
) -> list[float]:
    """Predict every image of the roles in ``outputs``, one at a time; return the seconds of each.

    Times include everything between the decoded image and the codes; untimed warm-up calls come first.
    """
    first = split.loc[split["role"].isin(list(outputs)), "image_id"].iloc[0]
    corner = images[first][:WARM_UP_SIDE, :WARM_UP_SIDE]
    for _ in range(WARM_UP):
        predictor(corner)
    seconds = []
    for role, path in outputs.items():
        with write_predictions(path, PredictionHeader(role, classes, predictor.has_scores)) as writer:
            for image_id in split.loc[split["role"] == role, "image_id"].sort_values():
                image = np.asarray(images[image_id])
                started = predictor.clock()
                codes = predictor(image)
                seconds.append(predictor.clock() - started)
                writer.add(image_id, codes)
                del codes  # not kept beside the next image's
    return seconds


def timing_record(seconds: Sequence[float], device: str, load_at_start: float) -> dict[str, Any]:
    """timing.json: the cost of prediction at batch size 1; ``load_at_start`` is :func:`cpu_load` before it."""
    loads = load_at_start, cpu_load()
    milliseconds = 1000 * np.array(seconds)
    return {
        "avg_inference_time": float(np.mean(seconds)),
        "infer_seconds_total": float(np.sum(seconds)),
        "infer_ms_p50": float(np.percentile(milliseconds, 50)),
        "infer_ms_p95": float(np.percentile(milliseconds, 95)),
        "peak_memory_infer_bytes": peak_memory_bytes(),
        "batch_size": 1,
        "device": device,
        "load": max(loads),
        "load_at_start": loads[0],
        "load_at_end": loads[1],
        # Set by defectbench.on_gpu.
        "gpu": os.environ.get("CUDA_VISIBLE_DEVICES"),
        "n_images": len(seconds),
    }

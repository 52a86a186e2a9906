"""Prediction of all val and test images by a promptable SAM 2, from packed images and a file of prompts."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from defectbench.config.base import MERGED
from defectbench.config.prompts import FIXED, ORACLE
from defectbench.data.packing import ImagePack
from defectbench.data.prompt_file import PromptError, read_prompts
from defectbench.data.prompts import Prompt
from defectbench.families.sam2.predictor import PromptedPredictor, load_prompted
from defectbench.files import read_json
from defectbench.inference.network import device_name
from defectbench.inference.predict import WARM_UP, parse_prediction_files
from defectbench.inference.prediction_file import PredictionHeader, write_predictions
from defectbench.script import required


def predict_split_with_prompts(description: str, argv: Sequence[str] | None = None) -> None:
    """The command of the prediction script; ``description`` is the text of --help."""
    files = parse_prediction_files(description, argv)
    run = read_json(files.run)
    source = run["experiment"]["prompt_source"]
    predictor = load_prompted(run, files.model, "auto", source)
    prompts = read_prompts(required(files.prompts, "--prompts"), source)
    images = ImagePack.of_run(files.pack, run)
    seconds = predict_prompted(predictor, images, files.read_split(), prompts, files.outputs, source)
    files.finish(run["experiment"]["exp_id"], seconds, device_name(predictor.device))


def predict_prompted(
    predictor: PromptedPredictor,
    images: ImagePack,
    split: pd.DataFrame,
    prompts: Mapping[str, Sequence[Prompt]],
    outputs: Mapping[str, Path],
    source: str,
) -> list[float]:
    """Predict the images of the roles in ``outputs``, one at a time; return the seconds of each.

    ``prompts`` has a sequence for each of these images. If it is empty, an oracle image has no defect and is left out;
    if a model made the prompts, it found no defect, and the map is empty. Untimed warm-up calls come first.

    Raises:
        PromptError: if ``prompts`` lacks an image, or an image has no fixed prompt.
    """
    rows = split[split["role"].isin(list(outputs))].sort_values("image_id")
    absent = [i for i in rows["image_id"] if i not in prompts or (source == FIXED and not prompts[i])]
    if absent:
        raise PromptError(
            f"{len(absent)} image(s) have no prompt of source {source!r}, the first is {absent[0]}: make them again"
        )
    prompted = rows.loc[[bool(prompts[image_id]) for image_id in rows["image_id"]]]
    for image_id in prompted["image_id"][:1].repeat(WARM_UP):
        predictor(np.asarray(images[image_id]), prompts[image_id])
    seconds = []
    for role, path in outputs.items():
        header = PredictionHeader(role, (MERGED,), has_scores=True, defective_only=source == ORACLE)
        predicted = prompted if source == ORACLE else rows
        with write_predictions(path, header) as writer:
            for image_id in predicted.loc[predicted["role"] == role, "image_id"]:
                codes = predictor(np.asarray(images[image_id]), prompts[image_id])
                seconds.append(predictor.seconds)
                writer.add(image_id, codes)
    return seconds

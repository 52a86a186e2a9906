"""Prediction of whole roles: from packed images to a prediction file, with honest timing."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from defectbench.data.packing import ImagePack
from defectbench.inference.memory import peak_memory_bytes
from defectbench.inference.prediction_file import PredictionHeader, write_predictions

Predictor = Callable[[np.ndarray], np.ndarray]
WARM_UP = 3


def predict_roles(
    predictor: Predictor,
    images: ImagePack,
    split: pd.DataFrame,
    outputs: dict[str, Path],
    classes: tuple[str, ...],
    has_scores: bool,
    clock: Callable[[], float] = time.perf_counter,
) -> list[float]:
    """Predict every image of the roles in ``outputs``, one at a time; return the seconds of each.

    ``predictor`` maps a uint8 image (H, W) or (H, W, 3) to codes (C, H, W) at the same size. Its time includes
    everything between the decoded image and the codes, by ``clock``; a few warm-up calls come first, uncounted.
    """
    first = split.loc[split["role"].isin(list(outputs)), "image_id"].iloc[0]
    for _ in range(WARM_UP):
        predictor(images[first])
    seconds = []
    for role, path in outputs.items():
        with write_predictions(path, PredictionHeader(role, classes, has_scores)) as writer:
            for image_id in split.loc[split["role"] == role, "image_id"].sort_values():
                image = np.asarray(images[image_id])
                started = clock()
                codes = predictor(image)
                seconds.append(clock() - started)
                writer.add(image_id, codes)
    return seconds


def timing_record(seconds: list[float], device: str) -> dict[str, Any]:
    """timing.json: the cost of prediction at batch size 1."""
    milliseconds = 1000 * np.array(seconds)
    return {
        "avg_inference_time": float(np.mean(seconds)),
        "infer_seconds_total": float(np.sum(seconds)),
        "infer_ms_p50": float(np.percentile(milliseconds, 50)),
        "infer_ms_p95": float(np.percentile(milliseconds, 95)),
        "peak_memory_infer_bytes": peak_memory_bytes(),
        "batch_size": 1,
        "device": device,
        # The one that defectbench.on_gpu took.
        "gpu": os.environ.get("CUDA_VISIBLE_DEVICES"),
        "n_images": len(seconds),
    }

"""Prompts from the predictions of another model: boxes of a detector, or components of a map. No label is used.

An image has at most MAX_PROMPTS, those with the highest scores; boxes of a detector need a score of at least MIN_SCORE:
ultralytics predicts up to 300 with scores from 0.001, of which hardly any changes a map. Prompts of low score are used
too: the score limits the map (:func:`defectbench.families.sam2.prompting.predict_maps`), so that calibration and
average precision see it.
"""

import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from defectbench.config.prompts import PromptSettings
from defectbench.data.box_file import BoxPredictions
from defectbench.data.prompts import Prompt, box_prompt, find_objects, make_prompts, tight_box
from defectbench.inference.prediction_file import PredictionFile
from defectbench.metrics.codes import N_BINS, probabilities_from_codes, threshold_code

MAX_PROMPTS = 50
MIN_SCORE = 0.01

TimedPrompts = tuple[str, list[Prompt], float]
"""Id of an image, its prompts, and the seconds that they took."""


def prompts_from_boxes(predictions: BoxPredictions, threshold: float) -> Iterator[TimedPrompts]:
    """A prompt for each box of a detector, images without boxes included; boxes count from the score ``threshold``.

    Corners of boxes are at the outer edges of pixels, corners of prompts at the centres of the first and last pixel.
    """
    boxes_of = dict(list(predictions.boxes.groupby("image_id")))
    for image_id in predictions.image_ids:
        started = time.perf_counter()
        prompts = []
        if image_id in boxes_of:
            boxes = boxes_of[image_id].query("score >= @MIN_SCORE")
            for row in boxes.nlargest(MAX_PROMPTS, "score").itertuples(index=False):
                prompt = box_prompt(row.x0, row.y0, max(row.x1 - 1, row.x0), max(row.y1 - 1, row.y0))
                prompts.append(replace(prompt, score=row.score, threshold=threshold))
        yield image_id, prompts, time.perf_counter() - started


def prompts_from_maps(
    predictions: PredictionFile, thresholds: dict[str, int], kind: str, settings: PromptSettings
) -> Iterator[TimedPrompts]:
    """Prompts of ``kind`` for the objects in each image's map, drawn as oracle prompts are from the true mask.

    The mask has the pixels at or above the map's thresholds k/256, given by class; all classes are one. The score of an
    object is the highest probability inside, and its threshold that of this pixel's class.
    """
    cuts = np.array([threshold_code(thresholds[name]) for name in predictions.header.classes], np.int32)
    limits = np.array([thresholds[name] for name in predictions.header.classes]) / N_BINS
    for image_id, codes in predictions:
        started = time.perf_counter()
        above = codes - cuts[:, None, None]
        mask = above.max(axis=0) >= 0
        objects = [
            (target, *_score(target, codes, above, limits)) for target in find_objects(mask, settings.merge_distance)
        ]
        highest = sorted((score for _, score, _ in objects), reverse=True)[:MAX_PROMPTS]
        objects = [entry for entry in objects if entry[1] >= highest[-1]][:MAX_PROMPTS]
        prompts = make_prompts(kind, [target for target, _, _ in objects], mask, image_id, settings)
        scored = [
            replace(prompt, score=score, threshold=limit)
            for prompt, (_, score, limit) in zip(prompts, objects, strict=True)
        ]
        yield image_id, scored, time.perf_counter() - started


def _score(target: np.ndarray, codes: np.ndarray, above: np.ndarray, limits: np.ndarray) -> tuple[float, float]:
    """Highest probability inside ``target`` (H, W), of the class farthest above its limit, and that class's limit.

    ``codes`` (C, H, W); ``above`` is their difference to the class's threshold; ``limits`` (C,) are probabilities.
    """
    left, top, right, bottom = tight_box(target)
    window = slice(top, bottom + 1), slice(left, right + 1)
    inside = np.where(target[window], above[:, *window], np.iinfo(np.int32).min)
    plane, y, x = np.unravel_index(inside.argmax(), inside.shape)
    limit = float(limits[plane])
    # Codes are rounded: a code at the threshold must not get a score below it.
    return max(float(probabilities_from_codes(codes[:, *window][plane, y, x])), limit), limit

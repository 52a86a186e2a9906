"""What a trained model found, as prompts for another: boxes of a detector, or the parts of a map. No truth is asked.

At most MOST_PROMPTS of an image are kept, those with the highest scores, and of a detector's boxes only those with a
score of at least LEAST_SCORE: ultralytics keeps 300 with scores from 0.001, of which hardly any changes a map. What is
kept is asked however low its score: the score takes part in the map (see models.sam2.prompting.maps), so that
calibration and average precision see it.
"""

import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from defectbench.config.prompts import PromptSettings
from defectbench.data.box_file import BoxPredictions
from defectbench.data.prediction_file import PredictionFile
from defectbench.data.prompts import Prompt, box_prompt, find_objects, make_prompts, tight_box
from defectbench.metrics.codes import N_BINS, probabilities_from_codes, threshold_code

MOST_PROMPTS = 50
LEAST_SCORE = 0.01

Drawn = tuple[str, list[Prompt], float]
"""Id of an image, its prompts, and the seconds that they took."""


def prompts_from_boxes(predictions: BoxPredictions, threshold: float) -> Iterator[Drawn]:
    """A prompt for each box of a detector, images without boxes included; a box counts from ``threshold`` on.

    The corners of a box lie at the outer edges of its pixels, those of a prompt at the centres of its first and last.
    """
    boxes_of = dict(list(predictions.boxes.groupby("image_id")))
    for image_id in predictions.image_ids:
        started = time.perf_counter()
        found = []
        if image_id in boxes_of:
            kept = boxes_of[image_id].query("score >= @LEAST_SCORE")
            for row in kept.nlargest(MOST_PROMPTS, "score").itertuples(index=False):
                prompt = box_prompt(row.x0, row.y0, max(row.x1 - 1, row.x0), max(row.y1 - 1, row.y0))
                found.append(replace(prompt, score=row.score, threshold=threshold))
        yield image_id, found, time.perf_counter() - started


def prompts_from_maps(
    predictions: PredictionFile, thresholds: dict[str, int], kind: str, settings: PromptSettings
) -> Iterator[Drawn]:
    """Prompts of ``kind`` of the parts of each image's map, drawn from them as oracle prompts are from the true mask.

    A part is what lies at or above the map's own thresholds k/256, given by class; classes count as one. Its score is
    the highest probability inside, and its threshold the one of that pixel's class.
    """
    cuts = np.array([threshold_code(thresholds[name]) for name in predictions.header.classes], np.int32)
    limits = np.array([thresholds[name] for name in predictions.header.classes]) / N_BINS
    for image_id, codes in predictions:
        started = time.perf_counter()
        above = codes - cuts[:, None, None]
        mask = above.max(axis=0) >= 0
        parts = [
            (target, *_score(target, codes, above, limits)) for target in find_objects(mask, settings.merge_distance)
        ]
        lowest = sorted((score for _, score, _ in parts), reverse=True)[:MOST_PROMPTS]
        parts = [part for part in parts if part[1] >= lowest[-1]][:MOST_PROMPTS]
        drawn = make_prompts(kind, [target for target, _, _ in parts], mask, image_id, settings)
        found = [
            replace(prompt, score=score, threshold=limit)
            for prompt, (_, score, limit) in zip(drawn, parts, strict=True)
        ]
        yield image_id, found, time.perf_counter() - started


def _score(target: np.ndarray, codes: np.ndarray, above: np.ndarray, limits: np.ndarray) -> tuple[float, float]:
    """Highest probability inside ``target`` (H, W), of the class farthest above its limit, and that class's limit.

    ``codes`` and ``above``, what they exceed the class's threshold by, are (C, H, W); ``limits`` (C,) probabilities.
    """
    left, top, right, bottom = tight_box(target)
    window = slice(top, bottom + 1), slice(left, right + 1)
    inside = np.where(target[window], above[:, *window], np.iinfo(np.int32).min)
    plane, y, x = np.unravel_index(inside.argmax(), inside.shape)
    limit = float(limits[plane])
    # A code stands for its probability to within rounding: what is at the threshold is not below it.
    return max(float(probabilities_from_codes(codes[:, *window][plane, y, x])), limit), limit

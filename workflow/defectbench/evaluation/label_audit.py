"""Label audit: ranking of images by the disagreement of labels and out-of-fold predictions.

Four reasons, each a component of the label or of the prediction:

- missed label: the model finds a defect where nothing is labelled;
- phantom label: the model finds nothing where a defect is labelled;
- wrong class: the model finds another class where this one is labelled;
- shifted outline: both see the defect, but their outlines fit far worse than they do for most of this class: with an
  IoU below median - 2 MAD of the labels that are found, MAD being 1.4826 times the median absolute deviation (Leys et
  al., Detecting outliers, J. Exp. Soc. Psychol. 49, 2013). Half of all right labels are below the median.

A finding's score, in [0, 1], is the model's confidence there, times its reliability for the classes concerned (as the
per-class thresholds of C. G. Northcutt et al., Confident learning, JAIR 70, 2021): the share of the labelled class's
labels that it finds, and of the predicted class's predictions that are right; times area/(area + median area of the
class's labelled components). So a class that the model has hardly learned gives few findings.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import median_abs_deviation

from defectbench.evaluation.calibration import Calibration
from defectbench.evaluation.gate import final_masks
from defectbench.evaluation.truth import Sample, ValidationData
from defectbench.metrics.codes import probabilities_from_codes
from defectbench.metrics.components import Components, find_components, highest_codes

Reason = Literal["missed label", "phantom label", "wrong class", "shifted outline"]
Side = Literal["label", "prediction"]
# Shares of a component's pixels: from FOUND on the other side has it too, from MOSTLY on another class there.
FOUND, MOSTLY = 0.1, 0.5
OUTLYING = 2  # median absolute deviations


class Region(NamedTuple):
    """A component of one side, and its relation to the other side."""

    image_id: str
    side: Side
    name: str
    """class"""
    area: int
    box: tuple[int, int, int, int]
    """x, y, width, height"""
    p: float
    """mean probability of its class inside it"""
    p_max: float
    """highest probability of its class inside it"""
    covered: float
    """share that the other side gives to the same class"""
    iou: float
    """with the components of the same class on the other side that touch it"""
    other: str
    """the other class that covers most of it on the other side; '' if there is none"""
    other_covered: float
    """share that is this other class there"""
    other_p: float
    """mean probability of the other class inside it"""


@dataclass(frozen=True)
class Finding:
    """A disagreement; label_audit.csv has these columns."""

    image_id: str
    reason: Reason
    label_class: str
    """'' if nothing is labelled"""
    model_class: str
    """'' if the model sees nothing"""
    score: float
    area: int
    """pixels"""
    x: int
    y: int
    width: int
    height: int


def find_regions(data: ValidationData, calibration: Calibration) -> list[Region]:
    """All components of labels and of final masks, from one pass over the out-of-fold (or val) maps."""
    regions: list[Region] = []
    for sample in data:
        masks = final_masks(sample.codes, calibration, sample.image, sample.ignored)
        regions += _regions(sample, "label", sample.truth, masks)
        regions += _regions(sample, "prediction", masks, sample.truth)
    return regions


def _regions(sample: Sample, side: Side, masks: np.ndarray, others: np.ndarray) -> Iterable[Region]:
    """The components of ``masks``, (C, H, W) bool, compared with the masks ``others`` and with the maps."""
    classes = sample.classes
    for index, name in enumerate(classes):
        parts = find_components(masks[index])
        if not len(parts):
            continue
        other_parts = find_components(others[index])
        component = parts.labels()[masks[index]] - 1  # of each pixel of the mask
        mean_p = [_means(parts, component, probabilities_from_codes(c[masks[index]])) for c in sample.codes]
        shares = [_means(parts, component, mask[masks[index]]) for mask in others]
        highest = probabilities_from_codes(highest_codes(parts, sample.codes[index]))
        ious = _ious(parts, other_parts)
        for i in range(len(parts)):
            rivals = [k for k in range(len(classes)) if k != index and shares[k][i] > 0]
            rival = max(rivals, key=lambda k: shares[k][i], default=None)
            yield Region(
                sample.image_id,
                side,
                name,
                int(parts.areas[i]),
                tuple(parts.boxes[i].tolist()),
                float(mean_p[index][i]),
                float(highest[i]),
                float(shares[index][i]),
                ious[i],
                "" if rival is None else classes[rival],
                0.0 if rival is None else float(shares[rival][i]),
                0.0 if rival is None else float(mean_p[rival][i]),
            )


def _means(parts: Components, component: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Mean of ``values`` of pixels of the mask, (n,), in each ``component``, (N,)."""
    return np.bincount(component, weights=values, minlength=len(parts)) / parts.areas


def _ious(parts: Components, others: Components) -> list[float]:
    """IoU of each component with the union of the other side's components that touch it; 0 where none does."""
    labels = others.labels()
    ious = []
    for area, (box, part) in zip(parts.areas, parts.parts(), strict=True):
        touched = labels[box][part]
        touching = np.unique(touched[touched > 0])
        shared = np.count_nonzero(touched)
        union = area + others.areas[touching - 1].sum() - shared
        ious.append(float(shared / union))
    return ious


def judge(regions: Sequence[Region]) -> list[Finding]:
    """The disagreements among the components, highest score first; see the module for the scores."""
    by_class: dict[tuple[Side, str], list[Region]] = defaultdict(list)
    for region in regions:
        by_class[region.side, region.name].append(region)
    labelled = {name: group for (side, name), group in by_class.items() if side == "label"}
    # Share of a class's labels that the model finds, and of its predictions that are labelled.
    recall, precision = (
        {
            name: float(np.mean([r.covered >= FOUND for r in group]))
            for (of, name), group in by_class.items()
            if of == side
        }
        for side in ("label", "prediction")
    )
    every_area = [r.area for group in labelled.values() for r in group] or [1]
    areas = {name: float(np.median([r.area for r in group])) for name, group in labelled.items()}
    ious = {name: [r.iou for r in group if r.covered >= FOUND] for name, group in labelled.items()}
    findings = []
    for region in regions:
        reason = _reason(region, ious)
        if reason is None:
            continue
        reliability = {
            "missed label": precision.get(region.name, 0.0),
            "phantom label": recall.get(region.name, 0.0),
            # A model that has hardly learned the labelled class takes it for another one everywhere.
            "wrong class": precision.get(region.other, 0.0) * recall.get(region.name, 0.0),
            "shifted outline": recall.get(region.name, 0.0),
        }[reason]
        confidence = {
            "missed label": region.p,
            # Where the model suspects a part of the defect, it more likely overlooks the rest.
            "phantom label": 1 - region.p_max,
            "wrong class": region.other_p,
            "shifted outline": 1 - region.iou / _typical(ious, region.name) if reason == "shifted outline" else 0.0,
        }[reason]
        size = region.area / (region.area + areas.get(region.name, float(np.median(every_area))))
        findings.append(_finding(region, reason, confidence * reliability * size))
    return sorted(findings, key=lambda finding: (-finding.score, finding.image_id, finding.y, finding.x))


def _reason(region: Region, ious: dict[str, list[float]]) -> Reason | None:
    """Reason of a disagreement; None if there is none, or if the other side's component reports it."""
    wrong = region.other_covered >= MOSTLY > region.covered
    if region.side == "prediction":
        # A prediction on another class's label is that label's wrong class.
        return "missed label" if region.covered == 0 and region.other_covered < FOUND else None
    if wrong:
        return "wrong class"
    if region.covered < FOUND:
        return "phantom label"
    return (
        "shifted outline" if region.iou < _typical(ious, region.name) - OUTLYING * _spread(ious, region.name) else None
    )


def _typical(ious: dict[str, list[float]], name: str) -> float:
    """Median IoU of the labels of a class that are found."""
    return float(np.median(ious[name]))


def _spread(ious: dict[str, list[float]], name: str) -> float:
    """Median absolute deviation of these IoUs, in standard deviations of a normal distribution."""
    return float(median_abs_deviation(ious[name], scale="normal"))


def _finding(region: Region, reason: Reason, score: float) -> Finding:
    label = region.name if region.side == "label" else ""
    model = {"missed label": region.name, "wrong class": region.other, "shifted outline": region.name}.get(reason, "")
    return Finding(region.image_id, reason, label, model, score, region.area, *region.box)


def rank_images(findings: Sequence[Finding], image_ids: Sequence[str]) -> pd.DataFrame:
    """A row per image, the most suspicious first: its highest finding, and how many it has.

    Columns rank (from 1), image_id, the fields of :class:`Finding`, n_findings. Images without a finding come last,
    with score 0 and an empty reason.
    """
    best: dict[str, Finding] = {}
    number: dict[str, int] = defaultdict(int)
    for finding in findings:
        number[finding.image_id] += 1
        if finding.image_id not in best or finding.score > best[finding.image_id].score:
            best[finding.image_id] = finding
    nothing = {"reason": "", "label_class": "", "model_class": "", "score": 0.0}
    empty = nothing | dict.fromkeys(("area", "x", "y", "width", "height"), 0)
    rows = [asdict(best[i]) if i in best else {"image_id": i} | empty for i in sorted(image_ids)]
    table = pd.DataFrame(rows).sort_values("score", ascending=False, kind="stable", ignore_index=True)
    table.insert(0, "rank", np.arange(1, len(table) + 1))
    return table.assign(n_findings=table["image_id"].map(lambda image_id: number[image_id]))

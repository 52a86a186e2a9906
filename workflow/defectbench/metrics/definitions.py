"""Definitions of the metrics of counts, by their full names.

Each takes the counts of N images, one class or the merged masks, and returns None where it is not defined.
*Macro* metrics average over images, *micro* metrics are ratios of totals. *Defective* = non-empty truth.
"""

from collections.abc import Callable, Sequence

import numpy as np

from defectbench.metrics import counts
from defectbench.metrics.definition import (
    ALL_IMAGES,
    CLEAN_IMAGES,
    DEFECTIVE_IMAGES,
    NOT_ORACLE,
    SHARE,
    TOTALS,
    Definition,
    Metric,
    first_paragraph,
)
from defectbench.metrics.image_counts import (
    Function,
    ImageCounts,
    defined,
    dice_all,
    image_accuracy,
    image_f1,
    iou_at,
    mean_dice,
    mean_iou,
    mean_of,
    precision,
    recall,
)

METRICS: dict[str, Metric[ImageCounts]] = {}
"""Every metric of counts by its name, in the order of the columns of results.csv."""


def _metric(name: str, **definition: str) -> Callable[[Function], Function]:
    """Decorator that adds a function to METRICS, with the fields of its :class:`Definition`."""

    def register(function: Function) -> Function:
        fields = {"value_range": SHARE, "description": first_paragraph(function)} | definition
        METRICS[name] = Metric(name=name, compute=function, **fields)
        return function

    return register


_metric(
    "dice_all",
    formula="2tp/(2tp + fp + fn); 1 where truth and prediction are both empty, 0 where one of them is",
    averaging=ALL_IMAGES,
    track=NOT_ORACLE,
)(dice_all)


@_metric(
    "dice_skill",
    formula="(d - e)/(1 - e); d = `dice_all`, e = share of clean images, the `dice_all` of predicting nothing",
    averaging=ALL_IMAGES,
    value_range="up to 1; below 0 where predicting nothing scores higher",
    null_when="no image is defective",
    track=NOT_ORACLE,
)
def dice_skill(images: ImageCounts) -> float | None:
    """Gain of `dice_all` over predicting nothing, as a share of the largest possible gain."""
    empty = float(np.mean(~images.defective))
    return (float(np.mean(images.dice())) - empty) / (1 - empty) if empty < 1 else None


_metric("mIoU", formula="tp/(tp + fp + fn)", averaging=DEFECTIVE_IMAGES, null_when="no image is defective")(mean_iou)

_metric("Dice", formula="2tp/(2tp + fp + fn)", averaging=DEFECTIVE_IMAGES, null_when="no image is defective")(mean_dice)

for _percent in (50, 75, 90, 95):
    _metric(
        f"IoU@{_percent}",
        formula=f"1 if tp/(tp + fp + fn) >= {_percent / 100:.2f}, else 0",
        averaging=DEFECTIVE_IMAGES,
        null_when="no image is defective",
    )(iou_at(_percent))


_metric("Precision", formula="tp/(tp + fp)", averaging=TOTALS, null_when="no pixel is predicted")(precision)

_metric("Recall", formula="tp/(tp + fn)", averaging=TOTALS, null_when="no image is defective")(recall)


@_metric("F1", formula="2tp/(2tp + fp + fn)", averaging=TOTALS, null_when="no pixel is true or predicted")
def f1(images: ImageCounts) -> float | None:
    """Harmonic mean of Precision and Recall."""
    return defined(counts.f1(*images.totals))


@_metric("iou_dataset", formula="tp/(tp + fp + fn)", averaging=TOTALS, null_when="no pixel is true or predicted")
def iou_dataset(images: ImageCounts) -> float | None:
    """Intersection over union of all pixels of the dataset."""
    totals = images.totals
    return float(counts.iou(*totals)) if any(totals) else None


@_metric(
    "fp_image_rate",
    formula="1 if any pixel is predicted, else 0",
    averaging=CLEAN_IMAGES,
    null_when="no image is clean",
    track=NOT_ORACLE,
)
def fp_image_rate(images: ImageCounts) -> float | None:
    """Share of clean images with any predicted pixel."""
    return mean_of(images.flagged[~images.defective])


@_metric(
    "fp_area_on_clean", formula="fp/pixels", averaging=CLEAN_IMAGES, null_when="no image is clean", track=NOT_ORACLE
)
def fp_area_on_clean(images: ImageCounts) -> float | None:
    """Share of the area of clean images that is predicted."""
    return mean_of((images.fp / images.n_pixels)[~images.defective])


_metric(
    "image_accuracy",
    formula="1 if (any true pixel) = (any predicted pixel), else 0",
    averaging=ALL_IMAGES,
    track=NOT_ORACLE,
)(image_accuracy)

_metric(
    "image_F1",
    formula="2TP/(2TP + FP + FN) of images, positive = at least one pixel",
    averaging="from totals of images",
    null_when="no image has a true or predicted pixel",
    track=NOT_ORACLE,
)(image_f1)


@_metric(
    "miou_with_background",
    formula="(tp/(tp + fp + fn) + tn/(tn + fp + fn))/2",
    averaging=TOTALS,
    null_when="no pixel is true or predicted, or all are both",
)
def miou_with_background(images: ImageCounts) -> float | None:
    """Mean of the IoU of defect and of background; only for comparison with papers that report it."""
    tp, fp, fn = images.totals
    background = int(images.n_pixels.sum()) - tp - fp - fn
    if tp + fp + fn == 0 or background + fp + fn == 0:
        return None
    return float(counts.iou(tp, fp, fn) + counts.iou(background, fp, fn)) / 2


_KAGGLE = {
    "averaging": "mean over image × class",
    "source": "Kaggle, Severstal: Steel Defect Detection, 2019",
    "track": NOT_ORACLE,
}
_MERGED_MODEL = "the model predicts no classes, only any defect"
KAGGLE: dict[str, Definition] = {
    definition.name: definition
    for definition in (
        Definition(
            name="dice_kaggle",
            formula="d = 2tp/(2tp + fp + fn); 1 where truth and prediction are both empty, 0 where one of them is",
            value_range=SHARE,
            null_when=_MERGED_MODEL,
            description="The score of Kaggle's Severstal competition.",
            **_KAGGLE,
        ),
        Definition(
            name="dice_kaggle_gain",
            formula="d - e; e = share of image × class with empty truth, the score of an all-empty submission",
            value_range="-1 to 1",
            null_when=_MERGED_MODEL,
            description="What the method adds to predicting nothing.",
            **_KAGGLE,
        ),
        Definition(
            name="dice_kaggle_skill",
            formula="(d - e)/(1 - e)",
            value_range="up to 1; below 0 where predicting nothing scores higher",
            null_when=f"{_MERGED_MODEL}; or no image is defective",
            description="`dice_kaggle_gain` as a share of the largest possible gain.",
            **_KAGGLE,
        ),
    )
}


def dice_kaggle(classes: Sequence[ImageCounts]) -> dict[str, float | None]:
    """Mean Dice over image × class, both empty = 1, one empty = 0, and its gain over an all-empty submission.

    With d that score and e the score of an all-empty submission (the share of image × class with empty truth):
    ``dice_kaggle`` = d, ``dice_kaggle_gain`` = d - e, ``dice_kaggle_skill`` = (d - e)/(1 - e). The score is that of
    Kaggle's Severstal competition. With no classes (a merged model) all three are None.
    """
    if not classes:
        return dict.fromkeys(KAGGLE)
    d = float(np.mean(np.concatenate([images.dice() for images in classes])))
    e = float(np.mean(np.concatenate([~images.defective for images in classes])))
    return dict(zip(KAGGLE, (d, d - e, (d - e) / (1 - e) if e < 1 else None), strict=True))

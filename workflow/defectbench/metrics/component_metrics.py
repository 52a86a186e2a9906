"""Definitions of the metrics of components: at one threshold from matched components, over all from the sweep."""

from dataclasses import dataclass

from defectbench.metrics.definition import ALL_IMAGES, NOT_ORACLE, SHARE, TOTALS, Definition, Metric
from defectbench.metrics.froc import FALSE_PER_IMAGE

_NOT_COUNTABLE = "the truth is fragmented (as cracks are)"


@dataclass(frozen=True)
class ComponentCounts:
    """Numbers of components in all images of one role, class and policy."""

    predicted: int
    true: int
    found: int
    """pairs of predicted and true components"""
    n_images: int


def component_recall(components: ComponentCounts) -> float | None:
    """Share of true components found; None if there is none."""
    return components.found / components.true if components.true else None


def false_components(components: ComponentCounts) -> float | None:
    """False components per image, clean images included."""
    return (components.predicted - components.found) / components.n_images


COMPONENT_METRICS: dict[str, Metric[ComponentCounts]] = {
    metric.name: metric
    for metric in (
        Metric(
            name="component_recall",
            compute=component_recall,
            formula="matched true components/all true components",
            averaging=TOTALS,
            value_range=SHARE,
            null_when=f"no component is true, or {_NOT_COUNTABLE}",
            description="Share of defects (8-connected components) found at this threshold. Components are matched one "
            "to one, by descending highest p, from IoU `match_iou` on.",
        ),
        Metric(
            name="false_components",
            compute=false_components,
            formula="predicted components without a match",
            averaging=ALL_IMAGES,
            value_range="from 0 up",
            null_when=_NOT_COUNTABLE,
            track=NOT_ORACLE,
            description="False components per image at this threshold, the price of `component_recall`.",
        ),
    )
}


@dataclass(frozen=True, kw_only=True)
class RecallAtFp(Definition):
    """Recall of components at ``at_most`` false components per image."""

    at_most: float


RECALL_AT_FP: dict[str, RecallAtFp] = {
    f"recall_at_fp_{at_most}": RecallAtFp(
        name=f"recall_at_fp_{at_most}",
        at_most=at_most,
        formula="highest matched true components/all true components of all pairs of a threshold and a score cut that "
        f"leave at most {at_most} false components per image",
        averaging=TOTALS,
        value_range=SHARE,
        null_when=f"no component is true, {_NOT_COUNTABLE}, or the method has no scores",
        source="FROC: Bunch et al., Proc. SPIE 127, 1977; LUNA16: Setio et al., Medical Image Analysis 42, 2017",
        track=NOT_ORACLE,
        description="Share of defects (8-connected components) found, whatever the chosen threshold: components of the "
        "map at each of 21 thresholds of the logit from -6 to 20, without post-processing, of which those are kept "
        "whose highest logit reaches a cut, in steps of 1/8; matched one to one from IoU `match_iou` on.",
    )
    for at_most in FALSE_PER_IMAGE
}

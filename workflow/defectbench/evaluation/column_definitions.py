"""Definitions of all columns of results.csv, for docs/metrics.md."""

import re

from defectbench.evaluation.pixel_curves import FEWEST_GROUPS
from defectbench.metrics.component_metrics import RECALL_AT_FP
from defectbench.metrics.definition import SHARE, Definition
from defectbench.metrics.image_level import IMAGE_RANKING, OPERATING_RATES
from defectbench.metrics.names import DEFINITIONS

NAME_PARTS = {
    "val_": "on the val images, which thresholds and post-processing are chosen on",
    "test_": "on the test images; mIoU and Dice only, all other names without `val_` are of the test images too",
    "_at_0.5": "at p = 0.5, without post-processing",
    "_pp": "with post-processing and threshold chosen on val; null if none was sought",
    "_calibrated": "of zero-shot methods, whose unsuffixed metrics are at p = 0.5: at the threshold chosen on val; "
    "null for all other methods, whose unsuffixed metrics are that already",
    "_imposed": "at the threshold and smallest area of `calibrate.imposed`, which nobody chose on val; null if the "
    "study imposes none",
    "_lo": "lower bound of the 95 % confidence interval, over groups of test images. Of means over images and ratios "
    "of totals: a worst-case bound (Gaffke, 2005); of AUPRC: percentiles of a bootstrap, null with fewer than "
    f"{FEWEST_GROUPS} groups, where these cover too rarely. No interval have val metrics (thresholds were chosen by "
    "them) and those of other suffixes; `recall_at_fp_*` (the score cut depends on the same images); "
    "`fp_area_on_clean` (the largest possible false alarm would decide); `miou_with_background` and `dice_kaggle` "
    "(for comparison with figures that have none)",
    "_hi": "upper bound of the same interval",
    "cv_": "of a cross-validated experiment, between its folds, each at the thresholds chosen on the other folds",
    "_mean": "mean over the folds",
    "_sd": "standard deviation between the folds (n - 1)",
}
"""Prefixes and suffixes of metrics' names, and what they mean. Unsuffixed: merged masks, calibrated threshold."""

# Pixel metrics that need no threshold.
_PIXELS = (
    Definition(
        name="AUPRC",
        formula="sum over the distinct scores, from the highest down, of (R_n - R_(n-1)) P_n",
        averaging="from totals of pixels over all images",
        value_range=SHARE,
        null_when="the method has no scores, or no pixel is defective",
        source="as scikit-learn's average_precision_score, without interpolation",
        description="Area under the precision-recall curve of the pixels of the merged map; see `prevalence`.",
    ),
    Definition(
        name="prevalence",
        formula="defective pixels/all pixels",
        averaging="from totals of pixels over all images",
        value_range=SHARE,
        description="AUPRC of a random map.",
    ),
    Definition(
        name="n_pixels", value_range="pixels", description="Number of pixels of the test images that are scored."
    ),
    Definition(
        name="n_pixels_ignored",
        value_range="pixels",
        null_when="the dataset marks no pixels to ignore",
        description="Number of pixels of the test images that take part in no metric, as nobody could decide on them.",
    ),
)

_IMAGES = (*IMAGE_RANKING.values(), *OPERATING_RATES.values())

_OPERATING_POINT = (
    Definition(
        name="threshold",
        value_range="k/256, k = 1 ... 255",
        null_when="classes have thresholds of their own, see `thresholds`",
        description="Probability from which a pixel counts as defective in the unsuffixed metrics.",
    ),
    Definition(name="thresholds", value_range="JSON", description="The threshold of each class."),
    Definition(
        name="policy",
        value_range="calibrated or at_0.5",
        description="Threshold policy of the unsuffixed metrics: `at_0.5` of zero-shot methods, else `calibrated`.",
    ),
    Definition(
        name="used_val_labels",
        value_range="true or false",
        description="Whether labels of val images were used to choose the threshold of the unsuffixed metrics.",
    ),
    Definition(
        name="post_processing",
        value_range="JSON",
        null_when="none was sought, or none is best for all classes",
        description="Steps of the post-processing of each class, chosen on val.",
    ),
    Definition(
        name="match_iou",
        value_range=SHARE,
        description="IoU from which the components of `component_recall`, `recall_at_fp_*` and so on match.",
    ),
)

_COST = (
    Definition(
        name="avg_inference_time",
        formula="from the decoded image to the score map at the image's own size, batch size 1, after warm-up",
        averaging="mean over the predicted images (val and test)",
        value_range="seconds",
        null_when="not measured",
        description="Time of prediction per image; of ensembles and cascades the sum of their members or stages.",
    ),
    Definition(
        name="infer_seconds_total",
        value_range="seconds",
        null_when="not measured",
        description="Time of prediction of all images (val and test).",
    ),
    Definition(
        name="infer_ms_p50",
        averaging="median over the predicted images; of ensembles and cascades the sum of the medians of their parts",
        value_range="milliseconds",
        null_when="not measured",
        description="Time of prediction per image. Of tables and plots, since a few images that waited for other work "
        "raise the mean several times.",
    ),
    Definition(
        name="infer_ms_p95",
        averaging="95th percentile over the predicted images",
        value_range="milliseconds",
        null_when="not measured, or an ensemble or cascade: percentiles of a sum are not known",
        description="Time of prediction per image.",
    ),
    Definition(
        name="infer_ms_stage1",
        averaging="median over the predicted images, plus the mean time of making the prompts",
        value_range="milliseconds",
        null_when="no cascade",
        description="Time per image of a cascade's first stage: prediction by the experiment that makes the prompts, "
        "and making these.",
    ),
    Definition(
        name="infer_ms_stage2",
        averaging="median over the predicted images",
        value_range="milliseconds",
        null_when="no cascade",
        description="Time per image of a cascade's second stage: prediction by the prompted segmenter.",
    ),
    Definition(
        name="load",
        formula="processes that ran or waited for a CPU, mean of one minute/CPUs",
        averaging="the higher one of start and end of the prediction, and of the parts of ensembles and cascades",
        value_range="0 and more",
        null_when="not measured",
        description="Load of the machine while prediction was timed. Above 1, times are too long: see `notes`.",
    ),
    Definition(
        name="train_seconds",
        value_range="seconds",
        null_when="not known of all members or stages",
        description="Time of training, summed over epochs, and over the members or stages of a combination.",
    ),
    *(
        Definition(
            name=f"peak_memory_{stage}_bytes",
            value_range="bytes",
            null_when="not measured",
            description=f"Peak memory of {what}: the GPU's that torch allocated, without a GPU the resident set.",
        )
        for stage, what in (("train", "training"), ("infer", "prediction"))
    ),
    Definition(
        name="device", description="Device that the times of prediction were measured on; 'mixed' if stages differ."
    ),
    Definition(
        name="train_device",
        null_when="nothing was trained",
        description="Device that `train_seconds` was measured on; 'mixed' if members or stages differ.",
    ),
    Definition(name="params_total", null_when="no network", description="Number of parameters of the network."),
    Definition(
        name="params_trainable", null_when="no network", description="Number of parameters that training may change."
    ),
    Definition(
        name="weights_bytes", value_range="bytes", null_when="no weights", description="Size of the file of weights."
    ),
)

_IDENTITY = (
    Definition(name="exp_id", description="Id of the experiment, the name of its folder."),
    Definition(name="name", description="Name of the experiment in the configuration; its id if it has none."),
    Definition(
        name="unabridged_id", description="Id with all settings, where `exp_id` is shortened to 120 characters."
    ),
    Definition(name="experiment", description="The `exp_id` that is the same for all seeds of an experiment."),
    Definition(name="dataset", description="Name of the dataset."),
    Definition(name="family", description="Family of models, the folder of the experiment."),
    Definition(name="model", description="Model, as configured."),
    Definition(name="variant", null_when="the model has none", description="Variant of the model, as its encoder."),
    Definition(name="track", value_range="automatic, oracle or reference", description="Set from the prompts' source."),
    Definition(
        name="prompt_source",
        description="Origin of the prompts: none, fixed, the ground truth, or the experiment that makes them.",
    ),
    Definition(name="prompt_source_name", description="The same by name, if it is an experiment that has one."),
    Definition(name="prompt_type", description="Kind of prompt, as box or text."),
    Definition(
        name="prompt_noise",
        value_range="share of a side's length",
        null_when="no cascade of noisy true boxes",
        description="Random displacement of the sides of true boxes.",
    ),
    Definition(name="segmenter", null_when="no cascade", description="`exp_id` of the prompted experiment."),
)

_TRAINING = (
    Definition(name="subset_size", value_range="number or full", description="Training images of the subset."),
    Definition(
        name="n_labels_train", null_when="not recorded", description="Labelled images that the weights were fitted to."
    ),
    Definition(
        name="n_labels_val",
        null_when="not recorded",
        description="Labelled images used for early stopping or the choice of the checkpoint, not for fitting.",
    ),
    Definition(name="img_size", description="Size that images are trained and predicted at, as configured."),
    Definition(name="batch_size", null_when="not trained", description="Images of a batch; a step may have several."),
    Definition(name="steps", null_when="not trained", description="Optimiser steps, up to the end of the training."),
    Definition(
        name="images_seen",
        null_when="not trained, or a combination, whose members or stages have a number each",
        description="Training images seen in all steps, one counted as often as it was seen: the budget of the "
        "training, the same unit for all families. Cross-validated: the mean over the folds' trainings.",
    ),
    Definition(name="lr", null_when="not trained", description="Learning rate."),
    Definition(name="wd", null_when="not trained", description="Weight decay."),
    Definition(
        name="ema",
        null_when="not trained",
        description="Highest decay of the exponential moving average of the weights; 0: the weights themselves.",
    ),
    Definition(
        name="train_precision",
        null_when="not trained",
        description="Arithmetic of the training: `bf16` (mixed), `fp16` (mixed) or `fp32`.",
    ),
    Definition(name="seed", description="Seed of the training, and of the draw of its subset."),
    Definition(
        name="cv_folds",
        null_when="not cross-validated",
        description="Number of folds. All val metrics of such a row are out-of-fold.",
    ),
    Definition(
        name="searched",
        null_when="all settings are stated, or defaults",
        description="Settings that a search found on val, and in how many trials.",
    ),
    Definition(
        name="notes",
        null_when="nothing to note",
        description="Deviations from the protocol that a reader must know of.",
    ),
    Definition(
        name="problems",
        null_when="there are none",
        description="That the training found nothing or ended below its starting point, or that nothing is predicted, "
        "and what to change.",
    ),
)

_PROVENANCE = (
    Definition(name="ckpt_path", null_when="no weights", description="Path of the weights, relative to the project."),
    Definition(name="timestamp", value_range="ISO 8601, UTC", null_when="not recorded", description="End of training."),
    Definition(name="weights_source", null_when="no weights", description="Origin of the initial weights."),
    Definition(name="weights_sha256", null_when="no weights", description="SHA-256 of the weights predicted with."),
    Definition(name="n_test", description="Number of scored test images; of the oracle track, defective ones only."),
    Definition(name="n_test_defective", description="Those with a defect."),
    Definition(name="n_test_groups", description="Groups of test images, the unit of the statistics."),
    Definition(name="n_val", description="Number of val images that were scored."),
    Definition(name="test_ids_sha256", description="SHA-256 of the ids of the test images that were scored."),
    Definition(name="data_digest", description="Digest of the manifest: images and labels."),
    Definition(name="code_digest", null_when="nothing was trained", description="Digest of the code that trained."),
    Definition(name="metric_version", description="Version of these definitions."),
)

_AT_THE_LINE = (
    Definition(
        name="dice_at_clean_share",
        formula="clean_share (1 - fp_image_rate) + (1 - clean_share) test_Dice",
        averaging="over clean and over defective images, weighted",
        value_range=SHARE,
        null_when="`report.clean_share` is not set, or images of one kind are missing",
        description="dice_all as it would be at the line's share of clean images.",
    ),
    Definition(
        name="clean_share",
        value_range=SHARE,
        null_when="`report.clean_share` is not set",
        description="Share of clean images on the line, as configured.",
    ),
)

GROUPS: dict[str, tuple[Definition, ...]] = {
    "Metrics at a threshold": tuple(DEFINITIONS.values()),
    "Metrics of pixels over all thresholds": _PIXELS,
    "Metrics of components over all thresholds": tuple(RECALL_AT_FP.values()),
    "Metrics of images over all thresholds": _IMAGES,
    "Thresholds and post-processing": _OPERATING_POINT,
    "At the line": _AT_THE_LINE,
    "Cost": _COST,
    "Experiment": _IDENTITY,
    "Training": _TRAINING,
    "Provenance": _PROVENANCE,
}
"""Definitions of the columns, without prefix and suffix, by headings."""
COLUMN_DEFINITIONS: tuple[Definition, ...] = tuple(definition for group in GROUPS.values() for definition in group)

_BY_NAME = {definition.name: definition for definition in COLUMN_DEFINITIONS}
_PREFIX = "|".join(re.escape(part) for part in NAME_PARTS if part.endswith("_"))
_SUFFIX = "|".join(re.escape(part) for part in NAME_PARTS if part.startswith("_"))
_FULL_NAME = re.compile(rf"(?:{_PREFIX})?(?P<name>.+?)(?:{_SUFFIX})*")


def definition_of(column: str) -> Definition:
    """The definition of a column of results.csv, whose name may have a prefix and suffixes.

    Raises:
        KeyError: if there is no such column.
    """
    if column in _BY_NAME:
        return _BY_NAME[column]
    match = _FULL_NAME.fullmatch(column)
    return _BY_NAME[match["name"] if match else column]

"""The table of all plots: what each one reads, where it is shown and what its job takes.

The rules ``plot_*``, the plots' places in Snakemake's report and on the study's page, and the staleness test are made
from it. It is read while the DAG is built, so nothing heavy is imported here.
"""

from dataclasses import dataclass

RECORDS = ("experiments", "results")
"""Inputs from which the records of a study's experiments are read"""
HISTOGRAMS = ("hist.parquet", "per_image.parquet", "metrics.json")
# All experiments' maps: which of them is the best is known only when the results are.
MAPS = ("test.pred.parquet", "calibration.json", "per_image.parquet")
WHICH_MODEL, IMAGES, THRESHOLDS, TRAINING = "Which model", "Images", "Thresholds", "Training"


@dataclass(frozen=True)
class Plot:
    """One plot: the rule and its script are called ``plot_{name}``, its caption ``{name}.rst``."""

    name: str
    subcategory: str | None
    """Below the category Plots of Snakemake's report"""
    inputs: tuple[str, ...] = RECORDS
    """Options of the script that name a file of STUDY_FILES in rules/results.smk"""
    folders: tuple[str, ...] = ()
    """Options that name a folder of PLOT_FOLDERS in rules/plots.smk"""
    files: tuple[str, ...] = ()
    """Files of every experiment that the plot reads"""
    settings: str | None = None
    """Name of the settings file that the script takes as ``--settings``"""
    formats: tuple[str, ...] = ("png", "svg")
    on_page: bool = True
    """Whether the study's page shows it, among the charts in the order of the table"""
    only_with: str = "results"
    """What a study must have to get this plot: results, cascades, gallery_bands or augmentations"""
    memory_mb: int = 4000
    minutes: int = 30


@dataclass(frozen=True)
class Gallery(Plot):
    """Images of a dataset: PNG alone, and not on the page, which has galleries of its own."""

    subcategory: str | None = IMAGES
    folders: tuple[str, ...] = ("pack",)
    files: tuple[str, ...] = MAPS
    formats: tuple[str, ...] = ("png",)
    on_page: bool = False


# Charts are in the order of the page: what decides first, what explains it later.
_TABLE = (
    Plot("ranking", WHICH_MODEL, ("results", "ranks", "pairwise"), settings="ranking", memory_mb=2000, minutes=10),
    Plot("cost", WHICH_MODEL),
    Plot("data_efficiency", WHICH_MODEL, ("results", "curves", "fits"), memory_mb=2000, minutes=10),
    Plot("ablations", WHICH_MODEL, (*RECORDS, "pairwise"), files=("per_image.parquet", "metrics.json", "run.json")),
    Plot("prompt_gap", WHICH_MODEL, files=("per_image.parquet",), only_with="cascades"),
    Plot("box_noise", WHICH_MODEL, only_with="cascades"),
    Plot("success", IMAGES, files=("per_image.parquet",)),
    Plot("image_scores", IMAGES, files=("per_image.parquet",)),
    Plot("score_histograms", IMAGES, files=("per_image.parquet",)),
    Plot("by_class", IMAGES, files=("per_image.parquet", "metrics.json")),
    Plot("operating_points", THRESHOLDS, (*RECORDS, "points"), files=("per_image.parquet",)),
    Plot("precision_recall", THRESHOLDS, files=HISTOGRAMS),
    Plot("reliability", THRESHOLDS, files=HISTOGRAMS),
    Plot("calibration", THRESHOLDS, files=("calibration.json",), memory_mb=2000, minutes=10),
    Plot("training", TRAINING, files=("run.json",)),
    Plot("split", TRAINING, ("manifest", "split"), memory_mb=2000, minutes=10),
    Gallery("gallery", settings="report"),
    Gallery("gallery_bands", settings="report", only_with="gallery_bands"),
    Gallery("gallery_models"),
    Gallery("cascades", folders=("pack", "prompts"), only_with="cascades"),
    Gallery(
        "augmentations",
        None,
        ("split",),
        files=(),
        settings="augmentations",
        only_with="augmentations",
        minutes=10,
    ),
)
PLOTS = {plot.name: plot for plot in _TABLE}

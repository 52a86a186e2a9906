"""Wording of tracks, metrics and labels, shared by tables, pictures and sentences."""

import re

import pandas as pd

from defectbench.reporting.names import has_name, without_seed

# Descriptions of the tracks, in the order of the page.
TRACKS = {
    "automatic": "The model sees the image alone, or prompts that were not taken from the truth.",
    "oracle": "Prompts come from the true masks: the ceiling of an annotation assistant, not a detector.",
    "reference": "What a number is worth: methods without a trained network.",
}
METRIC_MEANINGS = {
    "dice_all": "mean Dice over all test images; a clean image scores 1 if nothing is predicted, else 0",
    "test_Dice": "mean Dice over defective test images",
}
TITLES = {
    "dice_all": "mean Dice over all test images",
    "test_Dice": "mean Dice over defective test images",
    "test_mIoU": "mean IoU over defective test images",
}
ORACLE = "Prompts come from the true masks: the ceiling of an annotation assistant, not of inspection."
# Settings that say least of a model come last, where a long name is shortened.
_BUDGET = ("batch size", "images seen", "accumulate", "epochs", "steps", "eval every", "patience", "devices", "threads")
_DESCRIPTIONS = {
    "dice_all": "{dataset}: mean Dice over all {n} test images, the {clean} clean ones included; "
    "both masks empty = 1, one empty = 0.",
    "test_Dice": "{dataset}: mean Dice over the {defective} defective of {n} test images.",
    "test_mIoU": "{dataset}: mean IoU over the {defective} defective of {n} test images.",
}


def describe_metric(metric: str, rows: pd.DataFrame) -> str:
    """The metric in full, with the numbers of test images of ``rows``, which are of one track."""
    n, defective = int(rows["n_test"].max()), int(rows["n_test_defective"].max())
    if n == defective and metric != "dice_all":
        return f"{rows['dataset'].iloc[0]}: {TITLES[metric]}, {n:,} of them."
    numbers = {"n": f"{n:,}", "defective": f"{defective:,}", "clean": f"{n - defective:,}"}
    return _DESCRIPTIONS[metric].format(dataset=rows["dataset"].iloc[0], **numbers)


def label_rows(table: pd.DataFrame, track: str, metric: str) -> pd.DataFrame:
    """Rows of one track that have a value of ``metric``, with labels in further columns; the index stays.

    The experiment with the best mean over its seeds comes first, and of its seeds the first, not the luckiest.
    ``series`` is the same for runs that differ in nothing but their training images and seed. ``series_label`` is the
    name that they were given in the configuration or, without one, what sets the series apart from others of its
    family. ``label`` is the name of a run, or the label of its series, with the seed if the series has several.
    """
    rows = table[(table["track"] == track) & table[metric].notna()]
    order = rows[["experiment", "seed"]].assign(mean=rows.groupby("experiment")[metric].transform("mean"))
    rows = rows.loc[order.sort_values(["mean", "experiment", "seed"], ascending=[False, True, True]).index]
    records = rows.to_dict("records")
    names, settings = [_model_name(row) for row in records], [_changed_settings(row) for row in records]
    common: dict[str, set[str]] = {}
    for row, row_settings in zip(records, settings, strict=True):
        common[row["family"]] = common.get(row["family"], set(row_settings)) & set(row_settings)
    rows["series"] = [" ".join([name, *row_settings]) for name, row_settings in zip(names, settings, strict=True)]
    derived = [
        ", ".join([re.sub("[-_]", " ", name), *(word for word in row_settings if word not in common[row["family"]])])
        for row, name, row_settings in zip(records, names, settings, strict=True)
    ]
    rows["series_label"] = derived
    given = pd.Series([_series_name(row) for row in records], rows.index)
    # Runs of one series that were given different names have that of none of them.
    shared = has_name(rows) & (given.groupby(rows["series"]).transform("nunique") == 1)
    rows["series_label"] = given.where(shared, rows["series_label"])
    several = rows.groupby("series")["seed"].transform("nunique") > 1
    seeds = [f", seed {seed}" if many else "" for seed, many in zip(rows["seed"], several, strict=True)]
    rows["label"] = [label + seed for label, seed in zip(derived, seeds, strict=True)]
    rows["label"] = rows["name"].where(has_name(rows), rows["label"])
    return rows


def format_labels(n: float) -> str:
    """A number of labels; a dash for an unknown one."""
    return f"{int(n):,}" if pd.notna(n) else "–"


def _model_name(row: dict) -> str:
    variant = row["variant"]
    return f"{row['model']}-{variant}" if isinstance(variant, str) and variant else row["model"]


def _series_name(row: dict) -> str:
    """The name of a run without the number of its training images and the seed."""
    return without_seed(row["name"], row["seed"]).replace(f"_subset-{row['subset_size']}", "")


def _changed_settings(row: dict) -> list[str]:
    """The settings in the experiment's id without its training images and seed; the budget comes last."""
    _, _, _, *changed, _ = row["unabridged_id"].removeprefix(f"{_model_name(row)}_").split("_")
    # Hyphens are spaces, except in an exponent: lr-1e-05.
    plain = [re.sub(r"(?<!\de)-", " ", word) for word in changed]
    plain.sort(key=lambda word: word.startswith(_BUDGET))
    return [f"prompt {row['prompt_type']}", f"size {row['img_size']}", *plain]

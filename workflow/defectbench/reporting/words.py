"""What experiments and metrics are called in pictures."""

import re

import pandas as pd

from defectbench.reporting.names import has_name, without_seed

# What each track is, in the order of the page.
TRACKS = {
    "automatic": "The model sees the image alone, or prompts that were not taken from the truth.",
    "oracle": "Prompts come from the true masks: the ceiling of an annotation assistant, not a detector.",
    "reference": "What a number is worth: methods without a trained network.",
}
MEANING = {
    "dice_all": "mean Dice over all test images; a clean image scores 1 if nothing is predicted, else 0",
    "test_Dice": "mean Dice over defective test images",
}
TITLES = {
    "dice_all": "mean Dice over all test images",
    "test_Dice": "mean Dice over defective test images",
    "test_mIoU": "mean IoU over defective test images",
}
ORACLE = "Prompts come from the true masks: the ceiling of an annotation assistant, not of inspection."
# What says least of a model, where a name is too long to be written whole.
_BUDGET = ("batch size", "accumulate", "epochs", "steps", "eval every", "patience", "devices", "threads")
_MEANINGS = {
    "dice_all": "{dataset}: mean Dice over all {n} test images, the {clean} clean ones included; "
    "both masks empty = 1, one empty = 0.",
    "test_Dice": "{dataset}: mean Dice over the {defective} defective of {n} test images.",
    "test_mIoU": "{dataset}: mean IoU over the {defective} defective of {n} test images.",
}


def meaning(metric: str, rows: pd.DataFrame) -> str:
    """The metric in full, with the numbers of test images of ``rows``, which are of one track."""
    n, defective = int(rows["n_test"].max()), int(rows["n_test_defective"].max())
    if n == defective and metric != "dice_all":
        return f"{rows['dataset'].iloc[0]}: {TITLES[metric]}, {n:,} of them."
    numbers = {"n": f"{n:,}", "defective": f"{defective:,}", "clean": f"{n - defective:,}"}
    return _MEANINGS[metric].format(dataset=rows["dataset"].iloc[0], **numbers)


def track(table: pd.DataFrame, name: str, metric: str) -> pd.DataFrame:
    """Rows of one track that have a value of ``metric``, best first, with columns that name them; the index is kept.

    ``series`` is the same for runs that differ in nothing but their training images and seed. ``series_label`` is the
    name that they were given in the configuration or, without one, what sets the series apart from others of its
    family. ``label`` is the name of a run, or the label of its series, with the seed if the series has several.
    """
    rows = table[(table["track"] == name) & table[metric].notna()]
    rows = rows.sort_values([metric, "exp_id"], ascending=[False, True])
    records = rows.to_dict("records")
    names, settings = [_name(row) for row in records], [_settings(row) for row in records]
    common: dict[str, set[str]] = {}
    for row, own in zip(records, settings, strict=True):
        common[row["family"]] = common.get(row["family"], set(own)) & set(own)
    rows["series"] = [" ".join([name, *own]) for name, own in zip(names, settings, strict=True)]
    derived = [
        ", ".join([re.sub("[-_]", " ", name), *(word for word in own if word not in common[row["family"]])])
        for row, name, own in zip(records, names, settings, strict=True)
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


def count(n: float) -> str:
    """A number of labels, with a dash for one that is not known."""
    return f"{int(n):,}" if pd.notna(n) else "–"


def _name(row: dict) -> str:
    variant = row["variant"]
    return f"{row['model']}-{variant}" if isinstance(variant, str) and variant else row["model"]


def _series_name(row: dict) -> str:
    """The name of a run without the number of its training images and the seed."""
    return without_seed(row["name"], row["seed"]).replace(f"_subset-{row['subset_size']}", "")


def _settings(row: dict) -> list[str]:
    """The settings that the experiment's id names, but for its training images and seed; the budget comes last."""
    _, _, _, *changed, _ = row["unabridged_id"].removeprefix(f"{_name(row)}_").split("_")
    # Hyphens stand for spaces, except in an exponent: lr-1e-05.
    plain = [re.sub(r"(?<!\de)-", " ", word) for word in changed]
    plain.sort(key=lambda word: word.startswith(_BUDGET))
    return [f"prompt {row['prompt_type']}", f"size {row['img_size']}", *plain]

"""Short names of experiments, the same in all tables, pictures and sentences."""

from collections.abc import Sequence

import pandas as pd

from defectbench.evaluation.pairwise import is_trained

MOST_NAMES = 4
"""In a sentence"""


def short_names(rows: pd.DataFrame) -> list[str]:
    """The name that each row was given in the configuration; without one, what tells it from others of its model.

    That is the model and those settings in its id that not all rows of this model have.
    """
    models = rows["model"] + rows["variant"].map(lambda variant: f"-{variant}" if variant else "")
    settings = [
        exp_id.removeprefix(f"{model}_").split("_") for model, exp_id in zip(models, rows["unabridged_id"], strict=True)
    ]
    shared = {
        model: set.intersection(
            *(set(of_row) for of_row, other in zip(settings, rows["model"], strict=True) if other == model)
        )
        for model in rows["model"].unique()
    }
    derived = [
        " ".join([name, *(part for part in of_row if part not in shared[model])])
        for name, of_row, model in zip(models, settings, rows["model"], strict=True)
    ]
    given = set(rows["name"][has_name(rows)])
    return [
        name if is_given else exp_id if short in given else short
        for name, is_given, exp_id, short in zip(rows["name"], has_name(rows), rows["exp_id"], derived, strict=True)
    ]


def has_name(rows: pd.DataFrame) -> pd.Series:
    """Whether each row was given a name in the configuration."""
    return rows["name"] != rows["exp_id"]


def experiment_names(results: pd.DataFrame) -> dict[str, str]:
    """Map each value of ``experiment`` to a short name; several seeds of one share it."""
    firsts = results.drop_duplicates("experiment")
    n_seeds = results["experiment"].value_counts()
    names = zip(firsts["experiment"], short_names(firsts), firsts["seed"], strict=True)
    return {
        experiment: name if n_seeds[experiment] == 1 else f"{without_seed(name, seed)} ({n_seeds[experiment]} seeds)"
        for experiment, name, seed in names
    }


def training_names(results: pd.DataFrame) -> dict[str, str]:
    """Map each value of ``experiment`` to its name in a sentence that is true of these trainings only.

    That is "this training of X"; of several seeds their average; of a method that is not trained, its name.
    """
    trained, n_seeds = is_trained(results), results["experiment"].value_counts()
    return {
        experiment: f"this training of {name}"
        if n_seeds[experiment] == 1 and trained[experiment]
        else f"the average of {name}"
        if n_seeds[experiment] > 1
        else name
        for experiment, name in experiment_names(results).items()
    }


def list_names(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + more


def without_seed(name: str, seed: int) -> str:
    """A given or derived name without its end for the seed."""
    return name.removesuffix(f"s{seed}").rstrip(" _") if name.endswith((f" s{seed}", f"_s{seed}")) else name

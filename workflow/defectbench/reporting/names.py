"""Short names of experiments, the same in all tables, pictures and sentences."""

import pandas as pd


def short_names(rows: pd.DataFrame) -> list[str]:
    """Name every row by its model and the parts of its ``exp_id`` that not all rows of this model share."""
    names = rows["model"] + rows["variant"].map(lambda variant: f"-{variant}" if variant else "")
    id_parts = [exp_id.removeprefix(f"{name}_").split("_") for name, exp_id in zip(names, rows["exp_id"], strict=True)]
    shared = {
        model: set.intersection(
            *(set(of_row) for of_row, other in zip(id_parts, rows["model"], strict=True) if other == model)
        )
        for model in rows["model"].unique()
    }
    return [
        " ".join([name, *(part for part in of_row if part not in shared[model])])
        for name, of_row, model in zip(names, id_parts, rows["model"], strict=True)
    ]


def experiment_names(results: pd.DataFrame) -> dict[str, str]:
    """Map each value of ``experiment`` to a short name; several seeds of one share it."""
    firsts = results.drop_duplicates("experiment")
    n_seeds = results["experiment"].value_counts()
    triples = zip(firsts["experiment"], short_names(firsts), firsts["seed"], strict=True)
    return {
        name: short if n_seeds[name] == 1 else f"{short.removesuffix(f' s{seed}')} ({n_seeds[name]} seeds)"
        for name, short, seed in triples
    }

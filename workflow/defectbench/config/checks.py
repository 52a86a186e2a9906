"""What one section of a study demands of another."""

from collections.abc import Sequence

from defectbench.config.base import suggestion
from defectbench.config.experiment import Experiment
from defectbench.config.fetch import fetch_command
from defectbench.config.ingest import DatasetSettings


def absent(dataset: DatasetSettings, configfile: str) -> list[str]:
    """What is not there of the dataset's files, and how to get it."""
    problems = dataset.missing()
    if problems and dataset.fetch is not None:
        problems[-1] += f"; or download it: {fetch_command(configfile)}"
    return problems


def wrong_classes(experiments: list[Experiment], dataset: DatasetSettings) -> list[str]:
    """Problems of settings that name classes."""
    wanted = ", ".join(dataset.class_names)
    return [
        f"{experiment.exp_id}: {key} names {', '.join(named)}; it must name {wanted}"
        for experiment in experiments
        for key in ("pos_weight", "phrases")
        if isinstance(named := getattr(experiment.settings, key, None), dict) and set(named) != set(dataset.class_names)
    ]


def wrong_folds(experiments: list[Experiment], n_folds: int) -> list[str]:
    """Problems of cross-validation: all experiments share the dataset's folds."""
    problems = []
    for experiment in experiments:
        if experiment.cv not in (0, n_folds):
            problems.append(f"{experiment.exp_id}: cv is {experiment.cv}, split.n_folds {n_folds}; give both alike")
        if experiment.cv and experiment.prompt != "none":
            problems.append(f"{experiment.exp_id}: cv is for models that see the image alone; leave cv or prompt out")
        if experiment.cv and experiment.is_detector:
            problems.append(f"{experiment.exp_id}: cv averages maps, and a detector gives boxes alone; leave cv out")
        if experiment.cv and experiment.family != "ensemble" and experiment.subset != "full":
            problems.append(f"{experiment.exp_id}: cv divides all train and val images; it needs subset: full")
    return problems


def wrong_ablations(ablations: Sequence[tuple[str, str]], experiments: list[Experiment]) -> list[str]:
    """Problems of pairs that cannot be tested."""
    known = {experiment.exp_id: experiment.id_without_seed for experiment in experiments}
    problems = []
    for index, pair in enumerate(ablations):
        key = f"report.ablations.{index}"
        unknown = [exp_id for exp_id in pair if exp_id not in known]
        problems += [f"{key}: no experiment {exp_id!r}; {suggestion(exp_id, list(known))}" for exp_id in unknown]
        if not unknown and known[pair[0]] == known[pair[1]]:
            problems.append(f"{key}: {pair[0]} and {pair[1]} differ in nothing but the seed; seeds are averaged")
    return problems

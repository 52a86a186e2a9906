"""What one section of a study demands of another."""

from collections.abc import Sequence
from pathlib import Path

from defectbench.config.base import suggestion
from defectbench.config.experiment import Experiment
from defectbench.config.fetch import fetch_command
from defectbench.config.ingest import DatasetSettings
from defectbench.config.prompts import is_oracle


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
        f"{experiment.exp_id}: {key} names {', '.join(by_class)}; it must name {wanted}"
        for experiment in experiments
        for key, by_class in experiment.traits.values_by_class.items()
        if set(by_class) != set(dataset.class_names)
    ]


def wrong_origins(experiments: list[Experiment], dataset: DatasetSettings) -> list[str]:
    """Problems of weights to start from whose path tells where they were trained; a training looks into the file."""
    return [
        f"{experiment.exp_id}: init_from is a model of this dataset, which has seen images that cv holds out; "
        "leave init_from or cv out"
        for experiment in experiments
        if experiment.cv and (weights := experiment.traits.init_from)
        if Path("runs", dataset.name) in weights.parents
    ]


def wrong_trainings(experiments: list[Experiment]) -> list[str]:
    """Problems of experiments that have one training (``Experiment.training``) and say different things of it."""
    problems = []
    first: dict[str, Experiment] = {}
    for experiment in experiments:
        training = experiment.training
        other = first.setdefault(training.exp_id, experiment)
        used = set(type(training.settings).model_fields) - training.settings.idle_keys
        values, others = (found.settings.model_dump(include=used) for found in (training, other.training))
        if differing := [key for key, value in values.items() if value != others[key]]:
            problems.append(
                f"{experiment.exp_id} and {other.exp_id} have one training: give both the same {', '.join(differing)}"
            )
    return problems


def wrong_folds(experiments: list[Experiment], n_folds: int) -> list[str]:
    """Problems of cross-validation: all experiments share the dataset's folds."""
    problems = []
    for experiment in experiments:
        if experiment.cv not in (0, n_folds):
            problems.append(f"{experiment.exp_id}: cv is {experiment.cv}, split.n_folds {n_folds}; give both alike")
        if experiment.cv and experiment.traits.prompt != "none":
            problems.append(f"{experiment.exp_id}: cv is for models that see the image alone; leave cv or prompt out")
        if experiment.cv and experiment.traits.is_detector:
            problems.append(f"{experiment.exp_id}: cv averages maps, and a detector gives boxes alone; leave cv out")
        if experiment.cv and not experiment.traits.has_scores:
            problems.append(f"{experiment.exp_id}: cv averages scores, and this method gives only yes/no; leave cv out")
        if experiment.cv and experiment.family != "ensemble" and experiment.subset != "full":
            problems.append(f"{experiment.exp_id}: cv divides all train and val images; it needs subset: full")
    return problems


def wrong_ablations(ablations: Sequence[tuple[str, str]], experiments: list[Experiment]) -> list[str]:
    """Problems of pairs that cannot be tested."""
    known = {experiment.exp_id: experiment for experiment in experiments}
    problems = []
    for index, pair in enumerate(ablations):
        key = f"report.ablations.{index}"
        unknown = [exp_id for exp_id in pair if exp_id not in known]
        problems += [f"{key}: no experiment {exp_id!r}; {suggestion(exp_id, list(known))}" for exp_id in unknown]
        if unknown:
            continue
        detectors = [exp_id for exp_id in pair if known[exp_id].traits.is_detector]
        problems += [f"{key}: {exp_id} is a detector: its scores are not those of maps" for exp_id in detectors]
        first, second = (known[exp_id] for exp_id in pair)
        if first.id_without_seed == second.id_without_seed:
            problems.append(f"{key}: {pair[0]} and {pair[1]} differ in nothing but the seed; seeds are averaged")
        if _is_oracle(first, known) != _is_oracle(second, known):
            problems.append(
                f"{key}: one of {pair[0]} and {pair[1]} is asked by prompts of the true masks (oracle track), the "
                "other is not: tracks are never mixed"
            )
    return problems


def _is_oracle(experiment: Experiment, known: dict[str, Experiment]) -> bool:
    """Whether its prompts, or those of an ensemble's members, are the true masks'."""
    members = [known[name] for name in experiment.traits.members if name in known]
    return any(is_oracle(one.traits.prompt_source) for one in (experiment, *members))

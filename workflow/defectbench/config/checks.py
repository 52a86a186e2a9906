"""Checks of a study's sections against each other."""

from collections.abc import Sequence
from pathlib import Path

from defectbench.config.calibrate import CalibrateSettings
from defectbench.config.dataset import DatasetSettings
from defectbench.config.experiment import Experiment
from defectbench.config.family_settings import ImageSettings
from defectbench.config.fetch import fetch_command
from defectbench.config.names import find_one
from defectbench.config.predict_images import PredictImagesSettings, image_files
from defectbench.config.prompts import is_oracle
from defectbench.config.report import ReportSettings
from defectbench.config.split import SplitSettings, undecided_roles
from defectbench.walk import IMAGE_SUFFIXES, WalkError


def missing_files(dataset: DatasetSettings, configfile: str) -> list[str]:
    """Files of the dataset that are not there, and how to get them."""
    problems = dataset.missing()
    if problems and dataset.fetch is not None:
        problems[-1] += f"; or download it: {fetch_command(configfile)}"
    return problems


def ignored_roles(dataset: DatasetSettings, split: SplitSettings) -> list[str]:
    """The problem that published roles would be ignored, if so."""
    if dataset.generator is not None:
        return []
    folder = dataset.root / dataset.images_dir
    ids = [path.relative_to(folder).as_posix() for path in dataset.image_files()]
    problem = undecided_roles(ids, dataset.files_of_roles(), split)
    return [problem] if problem else []


def wrong_classes(experiments: Sequence[Experiment], dataset: DatasetSettings) -> list[str]:
    """Problems of settings that name classes."""
    wanted = ", ".join(dataset.class_names)
    return [
        f"{experiment.name}: {key} names {', '.join(by_class)}; it must name {wanted}"
        for experiment in experiments
        for key, by_class in experiment.traits.values_by_class.items()
        if set(by_class) != set(dataset.class_names)
    ]


def wrong_channels(experiments: Sequence[Experiment], dataset: DatasetSettings) -> list[str]:
    """Problems of channels that images do not have, and of models that cannot take those they have."""
    n_channels = dataset.channels or 3
    problems = []
    for experiment in experiments:
        chosen = getattr(experiment.settings, "input_channels", None)
        if chosen is not None and max(chosen) >= n_channels:
            problems.append(
                f"{experiment.name}: input_channels {list(chosen)}: images have {n_channels}, counted from 0"
            )
        n_seen = n_channels if chosen is None else len(chosen)
        takes_images = isinstance(experiment.settings, ImageSettings)
        if takes_images and n_seen not in (1, 3) and not experiment.traits.any_channels:
            problems.append(
                f"{experiment.name}: {experiment.family} takes one channel, repeated, or three, and images have "
                f"{n_channels}: say which, e.g. input_channels: [0, 1, 2]"
            )
    return problems


def wrong_origins(experiments: Sequence[Experiment], dataset: DatasetSettings) -> list[str]:
    """Problems of initial weights whose path shows where they were trained; a training looks into the file."""
    return [
        f"{experiment.name}: init_from is a model of this dataset, which has seen images that cv holds out; "
        "leave init_from or cv out"
        for experiment in experiments
        if experiment.cv and (weights := experiment.traits.init_from)
        if Path("runs", dataset.name) in weights.parents
    ]


def wrong_trainings(experiments: Sequence[Experiment]) -> list[str]:
    """Problems of experiments that share one training (``Experiment.training``) but give it different settings."""
    problems = []
    first: dict[str, Experiment] = {}
    for experiment in experiments:
        training = experiment.training
        other = first.setdefault(training.exp_id, experiment)
        if other is experiment:
            continue
        used = set(type(training.settings).model_fields) - training.settings.inactive_keys
        values, others = (one.settings.model_dump(include=used) for one in (training, other.training))
        if differing := [key for key, value in values.items() if value != others[key]]:
            problems.append(
                f"{experiment.name} and {other.name} have one training: give both the same {', '.join(differing)}"
            )
    return problems


def wrong_folds(experiments: Sequence[Experiment], n_folds: int) -> list[str]:
    """Problems of cross-validation: all experiments share the dataset's folds."""
    problems = []
    for experiment in experiments:
        name, traits = experiment.name, experiment.traits
        if experiment.cv not in (0, n_folds):
            problems.append(f"{name}: cv is {experiment.cv}, split.n_folds {n_folds}; give both alike")
        if experiment.cv and not (traits.sees_image_alone or traits.is_detector):
            problems.append(f"{name}: cv is for models that see the image alone; leave cv or prompt out")
        if experiment.cv and not (traits.uses_labels or traits.members):
            problems.append(f"{name}: zero-shot: each fold would have the same model; leave cv out")
        if experiment.cv and traits.is_detector:
            problems.append(f"{name}: cv averages maps, and a detector gives boxes alone; leave cv out")
        if experiment.cv and not traits.has_scores:
            problems.append(f"{name}: cv averages scores, and this method gives only yes/no; leave cv out")
        # An ensemble has the folds of its members.
        if experiment.cv and not traits.members and experiment.subset != "full":
            problems.append(f"{name}: cv divides all train and val images; it needs subset: full")
    return problems


def resolve_ablations(report: ReportSettings, experiments: Sequence[Experiment], problems: list[str]) -> ReportSettings:
    """``report`` with the ids of the experiments that its ablations refer to; mistakes are added to ``problems``."""
    pairs = []
    for index, references in enumerate(report.ablations):
        key = f"report.ablations.{index}"
        first, second = (find_one(reference, experiments, key, problems) for reference in references)
        if first is None or second is None:
            continue
        problems += [f"{key}: {problem}" for problem in _wrong_ablation(first, second, experiments)]
        pairs.append((first.exp_id, second.exp_id))
    return report.model_copy(update={"ablations": tuple(pairs)})


def _wrong_ablation(first: Experiment, second: Experiment, experiments: Sequence[Experiment]) -> list[str]:
    """Reasons why a pair cannot be tested."""
    problems = [
        f"{one.name} is a detector: its scores are not of maps" for one in (first, second) if one.traits.is_detector
    ]
    if first.unabridged_without_seed == second.unabridged_without_seed:
        problems.append(f"{first.name} and {second.name} differ in nothing but the seed; seeds are averaged")
    if _is_oracle(first, experiments) != _is_oracle(second, experiments):
        problems.append(
            f"one of {first.name} and {second.name} is prompted from the true masks (oracle track), the other is "
            "not: tracks are never mixed"
        )
    return problems


def _is_oracle(experiment: Experiment, experiments: Sequence[Experiment]) -> bool:
    """Whether its prompts, or those of an ensemble's members, are derived from the true masks."""
    members = [one for one in experiments if one.exp_id in experiment.traits.members]
    return any(is_oracle(one.traits.prompt_source) for one in (experiment, *members))


def resolve_predict_images(
    settings: PredictImagesSettings,
    experiments: Sequence[Experiment],
    calibrate: CalibrateSettings,
    problems: list[str],
) -> PredictImagesSettings:
    """``settings`` with the id of the experiment that they refer to; mistakes are added to ``problems``."""
    if settings.policy == "imposed" and calibrate.imposed is None:
        problems.append("predict_images.policy: 'imposed' needs calibrate.imposed: {threshold: ..., min_area: ...}")
    if settings.images is None and settings.experiment is None:
        return settings
    if settings.images is None or settings.experiment is None:
        problems.append("predict_images: give both images and experiment")
        return settings
    try:
        if not image_files(settings.images):
            suffixes = ", ".join(sorted(IMAGE_SUFFIXES))
            problems.append(f"predict_images.images: no image below {settings.images}; names end with {suffixes}")
    except WalkError as error:
        problems.append(f"predict_images.images: {error}")
    if (sample := settings.sample_submission) and not sample.is_file():
        problems.append(f"predict_images.sample_submission: there is no file {sample}; or leave it out")
    key = "predict_images.experiment"
    experiment = find_one(settings.experiment, experiments, key, problems)
    if experiment is None:
        return settings
    members = [one for one in experiments if one.exp_id in experiment.traits.members] or [experiment]
    unable = [one.name for one in members if not one.traits.sees_image_alone]
    if unable:
        able = [one.name for one in experiments if one.traits.sees_image_alone]
        problems.append(
            f"{key}: {', '.join(unable)} cannot predict images outside the dataset: it needs prompts or predicts "
            f"boxes alone; those that can: {', '.join(able) or 'none of this study'}"
        )
    if settings.sample_submission and experiment.traits.task != "per_class":
        problems.append(f"predict_images.sample_submission: {experiment.name} has no map per class (task: per_class)")
    return settings.model_copy(update={"experiment": experiment.exp_id})

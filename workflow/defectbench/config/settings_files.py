"""Resolved settings as small files, one per experiment and stage: inputs of the rules.

Each is rewritten only if its content changed, so an edit of one key makes only its own stage stale.
"""

from pathlib import Path

from defectbench.config.augment import AugmentationsSettings
from defectbench.config.base import is_elsewhere
from defectbench.config.experiment import Experiment
from defectbench.config.family_settings import FamilySettings
from defectbench.config.identity import ExperimentIdentity
from defectbench.config.report import OperatingPointsSettings, PairwiseSettings, ResultsSettings
from defectbench.config.scaling import ScalingSettings
from defectbench.config.study import Study


def write_settings_files(study: Study, top: Path) -> None:
    """Write the settings of all stages of ``study`` below the working folder ``top``."""
    dataset = top / "runs" / study.dataset.name / "settings"
    study.dataset.write(dataset / "ingest.yaml")
    study.split.write(dataset / "split.yaml")
    study.prompts.write(dataset / "prompts.yaml")
    if study.dataset.measures_pixels:
        (study.dataset.scaling or ScalingSettings()).write(dataset / "scaling.yaml")
    if study.dataset.generator is not None:
        study.dataset.generator.write(dataset / "synthesize.yaml")
    for experiment in study.trained():
        folder = top / experiment_folder(study, experiment) / "settings"
        identity(study, experiment).write(folder / "identity.yaml")
        settings = _without_places(experiment.settings)
        settings.write(folder / "train.yaml")
        study.trackers.write(folder / "trackers.yaml")
        study.runtime.write(folder / "runtime.yaml")
        # An ensemble has the folds of its members.
        for fold in range(0 if experiment.traits.members else experiment.cv):
            part = folder.parent / f"fold{fold}" / "settings"
            identity(study, experiment, fold).write(part / "identity.yaml")
            settings.write(part / "train.yaml")
            study.trackers.write(part / "trackers.yaml")
            study.runtime.write(part / "runtime.yaml")
        study.calibrate.write(folder / "calibrate.yaml")
        study.score.write(folder / "score.yaml")
        study.label_audit.write(folder / "label_audit.yaml")
    results = top / "results" / study.name / "settings"
    study.names().write(results / "names.yaml")
    if augmentations := study.augmentations():
        AugmentationsSettings(augmentations=augmentations).write(results / "augmentations.yaml")
    mapping = [experiment for experiment in study.experiments if not experiment.traits.is_detector]
    if not mapping:
        return
    folders = [experiment_folder(study, experiment) for experiment in mapping]
    for kind, name, others in (
        (ResultsSettings, "results", {"experiment_of": study.experiment_of()}),
        (PairwiseSettings, "pairwise", {}),
        (OperatingPointsSettings, "operating_points", {}),
    ):
        shared = {key: value for key, value in study.report if key in kind.model_fields}
        kind(experiments=folders, **shared, **others).write(results / f"{name}.yaml")
    study.ranking.write(results / "ranking.yaml")
    study.report.write(results / "report.yaml")


def _without_places(settings: FamilySettings) -> FamilySettings:
    """``settings`` with initial weights from elsewhere by name alone: the rule gives the file to the training."""
    weights = settings.traits.init_from
    if weights is None or not is_elsewhere(weights):
        return settings
    return settings.model_copy(update={"init_from": Path(weights.name)})


def experiment_folder(study: Study, experiment: Experiment) -> Path:
    """Folder of an experiment, relative to the working folder."""
    return Path("runs") / study.dataset.name / experiment.family / experiment.exp_id


def identity(study: Study, experiment: Experiment, fold: int | None = None) -> ExperimentIdentity:
    """Identity of an experiment, or of one of its folds."""
    return ExperimentIdentity(
        exp_id=experiment.exp_id if fold is None else f"{experiment.exp_id}_fold{fold}",
        dataset=study.dataset.name,
        family=experiment.family,
        model=experiment.model,
        variant=experiment.traits.variant,
        subset=experiment.subset,
        prompt_type=experiment.traits.prompt,
        img_size=experiment.traits.img_size,
        seed=experiment.seed,
    )

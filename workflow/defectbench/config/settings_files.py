"""The resolved settings as small files, one per experiment and stage: what the rules depend on.

Each is rewritten only if its content changed, so an edit of one key makes only its own stage stale.
"""

from pathlib import Path

from defectbench.config.augment import AugmentationsSettings
from defectbench.config.experiment import Experiment
from defectbench.config.identity import ExperimentIdentity
from defectbench.config.report import PairwiseSettings, ResultsSettings
from defectbench.config.study import Study


def write_settings_files(study: Study, top: Path) -> None:
    """Write the settings of all stages of ``study`` below the working folder ``top``."""
    dataset = top / "runs" / study.dataset.name / "settings"
    study.dataset.write(dataset / "ingest.yaml")
    study.split.write(dataset / "split.yaml")
    study.prompts.write(dataset / "prompts.yaml")
    if getattr(study.dataset, "synthetic", None) is not None:
        study.dataset.synthetic.write(dataset / "synthesize.yaml")
    for experiment in study.trained():
        folder = top / experiment_folder(study, experiment) / "settings"
        identity(study, experiment).write(folder / "identity.yaml")
        experiment.settings.write(folder / "train.yaml")
        study.trackers.write(folder / "trackers.yaml")
        # The folds of an ensemble are those of its members.
        for fold in range(experiment.cv if experiment.family != "ensemble" else 0):
            named = identity(study, experiment)
            part = folder.parent / f"fold{fold}" / "settings"
            named.model_copy(update={"exp_id": f"{named.exp_id}_fold{fold}"}).write(part / "identity.yaml")
            experiment.settings.write(part / "train.yaml")
            study.trackers.write(part / "trackers.yaml")
        study.calibrate.write(folder / "calibrate.yaml")
        study.score.write(folder / "score.yaml")
        study.label_audit.write(folder / "label_audit.yaml")
    results = top / "results" / study.name / "settings"
    if augmentations := study.augmentations():
        AugmentationsSettings(augmentations=augmentations).write(results / "augmentations.yaml")
    mapping = [experiment for experiment in study.experiments if not experiment.traits.is_detector]
    if not mapping:
        return
    folders = [experiment_folder(study, experiment) for experiment in mapping]
    bootstrap = {"bootstrap_draws": study.report.bootstrap_draws, "bootstrap_seed": study.report.bootstrap_seed}
    ResultsSettings(experiments=folders, experiment_of=study.experiment_of(), **bootstrap).write(
        results / "results.yaml"
    )
    PairwiseSettings(experiments=folders, ablations=study.report.ablations, **bootstrap).write(
        results / "pairwise.yaml"
    )
    study.ranking.write(results / "ranking.yaml")
    study.report.write(results / "report.yaml")


def experiment_folder(study: Study, experiment: Experiment) -> Path:
    """Folder of an experiment, relative to the working folder."""
    return Path("runs") / study.dataset.name / experiment.family / experiment.exp_id


def identity(study: Study, experiment: Experiment) -> ExperimentIdentity:
    """What names an experiment."""
    return ExperimentIdentity(
        exp_id=experiment.exp_id,
        dataset=study.dataset.name,
        family=experiment.family,
        model=experiment.model,
        variant=experiment.traits.variant,
        subset=experiment.subset,
        prompt_type=experiment.traits.prompt,
        img_size=experiment.traits.img_size,
        seed=experiment.seed,
    )

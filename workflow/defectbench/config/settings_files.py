"""The resolved settings as small files, one per experiment and stage: what the rules depend on.

Each is rewritten only if its content changed, so an edit of one key makes only its own stage stale.
"""

from pathlib import Path

from defectbench.config.identity import ExperimentIdentity
from defectbench.config.report import ResultsSettings
from defectbench.config.study import Experiment, Study


def write_settings_files(study: Study, top: Path) -> None:
    """Write the settings of all stages of ``study`` below the working folder ``top``."""
    dataset = top / "runs" / study.dataset.name / "settings"
    study.dataset.write(dataset / "ingest.yaml")
    study.split.write(dataset / "split.yaml")
    if getattr(study.dataset, "synthetic", None) is not None:
        study.dataset.synthetic.write(dataset / "synthesize.yaml")
    for experiment in study.experiments:
        folder = top / experiment_folder(study, experiment) / "settings"
        identity(study, experiment).write(folder / "identity.yaml")
        experiment.settings.write(folder / "train.yaml")
        study.calibrate.write(folder / "calibrate.yaml")
    results = top / "results" / study.name / "settings"
    folders = [experiment_folder(study, experiment) for experiment in study.experiments]
    ResultsSettings(
        experiments=folders,
        bootstrap_draws=study.report.bootstrap_draws,
        bootstrap_seed=study.report.bootstrap_seed,
    ).write(results / "results.yaml")
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
        variant=experiment.variant,
        subset=experiment.subset,
        prompt_type=experiment.prompt,
        img_size=experiment.img_size,
        seed=experiment.seed,
    )

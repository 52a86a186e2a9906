"""A study: one dataset, a list of experiments, and how they are compared."""

import re
from dataclasses import dataclass
from typing import Any

from defectbench.config.augment import AugmentSettings
from defectbench.config.base import ConfigError, Settings, suggestion, validated
from defectbench.config.calibrate import CalibrateSettings
from defectbench.config.checks import (
    absent,
    wrong_ablations,
    wrong_classes,
    wrong_folds,
    wrong_origins,
    wrong_trainings,
)
from defectbench.config.experiment import Experiment
from defectbench.config.experiments import expand
from defectbench.config.ingest import FORMATS, NAME, DatasetSettings
from defectbench.config.label_audit import LabelAuditSettings
from defectbench.config.predict_images import PredictImagesSettings
from defectbench.config.prompts import PromptSettings
from defectbench.config.report import RankingSettings, ReportSettings
from defectbench.config.score import ScoreSettings
from defectbench.config.split import SplitSettings
from defectbench.config.trackers import TrackerSettings
from defectbench.config.weights import WeightsSettings

SECTIONS: dict[str, type[Settings]] = {
    "split": SplitSettings,
    "calibrate": CalibrateSettings,
    "score": ScoreSettings,
    "report": ReportSettings,
    "ranking": RankingSettings,
    "prompts": PromptSettings,
    "label_audit": LabelAuditSettings,
    "predict_images": PredictImagesSettings,
    "weights": WeightsSettings,
    "trackers": TrackerSettings,
}


@dataclass(frozen=True)
class Study:
    """A validated configuration with its experiments expanded."""

    name: str
    dataset: DatasetSettings
    split: SplitSettings
    calibrate: CalibrateSettings
    score: ScoreSettings
    report: ReportSettings
    ranking: RankingSettings
    prompts: PromptSettings
    label_audit: LabelAuditSettings
    predict_images: PredictImagesSettings
    weights: WeightsSettings
    trackers: TrackerSettings
    experiments: tuple[Experiment, ...]

    def of_family(self, family: str) -> list[Experiment]:
        """Experiments of one family, in the order of the configuration."""
        return [experiment for experiment in self.experiments if experiment.family == family]

    def trained(self) -> list[Experiment]:
        """The experiments, and those that are trained for them alone (see ``Experiment.training``)."""
        return list({found.exp_id: found for one in self.experiments for found in (one, one.training)}.values())

    def augmentations(self) -> list[AugmentSettings]:
        """What the experiments augment their training images by, each once; none if no family trains on images."""
        found = [experiment.traits.augment for experiment in self.experiments]
        return [settings for i, settings in enumerate(found) if settings is not None and settings not in found[:i]]

    def experiment_of(self) -> dict[str, str]:
        """Experiment id -> the id with all its seeds in this study, e.g. ``..._s1+2+3``."""
        seeds: dict[str, list[int]] = {}
        for experiment in self.experiments:
            seeds.setdefault(experiment.id_without_seed, []).append(experiment.seed)
        return {
            experiment.exp_id: f"{shared}_s{'+'.join(map(str, sorted(seeds[shared])))}"
            for experiment in self.experiments
            if (shared := experiment.id_without_seed)
        }


def load_study(config: dict[str, Any], configfile: str = "FILE") -> Study:
    """Validate a whole configuration and expand its grid; ``configfile`` is what messages call its file.

    Raises:
        ConfigError: with every problem found, each with its key path and what is allowed.
    """
    problems: list[str] = []
    known = {"study", "dataset", "defaults", "experiments", *SECTIONS}
    problems += [f"{key}: unknown key; {suggestion(str(key), sorted(known))}" for key in config if key not in known]
    name = config.get("study", "study")
    if not re.match(NAME, str(name)):
        problems.append(f"study: {name!r} is not a name; use letters, digits, '-' and '_'")
    dataset = _dataset(config.get("dataset"), problems)
    sections = {key: validated(model, _group(config, key, problems), key, problems) for key, model in SECTIONS.items()}
    experiments = expand(config.get("experiments"), _group(config, "defaults", problems), problems)
    problems += wrong_trainings(experiments)
    if dataset is not None and not dataset.has_images and experiments:
        problems.append(f"experiments: {dataset.format} holds no images to train on; set experiments: []")
    if dataset is not None:
        problems += [*absent(dataset, configfile), *wrong_classes(experiments, dataset)]
        problems += wrong_origins(experiments, dataset)
    if sections["split"] is not None:
        problems += wrong_folds(experiments, sections["split"].n_folds)
    if sections["predict_images"] is not None:
        problems += sections["predict_images"].problems(experiments)
    if sections["report"] is not None:
        problems += wrong_ablations(sections["report"].ablations, experiments)
    if problems:
        raise ConfigError(problems)
    return Study(name=str(name), dataset=dataset, experiments=tuple(experiments), **sections)


def load_dataset(config: dict[str, Any]) -> DatasetSettings:
    """Validate the dataset section alone; its files need not be there yet.

    Raises:
        ConfigError: with every problem found in that section.
    """
    problems: list[str] = []
    dataset = _dataset(config.get("dataset"), problems)
    if dataset is None:
        raise ConfigError(problems)
    return dataset


def _group(config: dict[str, Any], key: str, problems: list[str]) -> dict[str, Any]:
    values = config.get(key)
    if values is not None and not isinstance(values, dict):
        problems.append(f"{key}: must be a group of keys, got {values!r}")
        return {}
    return values or {}


def _dataset(values: Any, problems: list[str]) -> DatasetSettings | None:
    if not isinstance(values, dict):
        problems.append("dataset: required: name, format, root, classes")
        return None
    form = values.get("format")
    if not isinstance(form, str) or form not in FORMATS:
        problems.append(f"dataset.format: {form!r} is not allowed; allowed: {', '.join(FORMATS)}")
        return None
    return validated(FORMATS[form], values, "dataset", problems)

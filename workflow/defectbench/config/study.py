"""A study: one dataset, a list of experiments, and how they are compared."""

import re
from typing import Any

from pydantic import SkipValidation, ValidationError

from defectbench.config.augment import AugmentSettings
from defectbench.config.base import ConfigError, Settings, describe_errors, suggest, validate_settings
from defectbench.config.calibrate import CalibrateSettings
from defectbench.config.checks import (
    ignored_roles,
    missing_files,
    resolve_ablations,
    resolve_predict_images,
    wrong_channels,
    wrong_classes,
    wrong_folds,
    wrong_origins,
    wrong_trainings,
)
from defectbench.config.dataset import NAME, DatasetSettings
from defectbench.config.expansion import expand
from defectbench.config.experiment import Experiment
from defectbench.config.ingest import FORMATS
from defectbench.config.label_audit import LabelAuditSettings
from defectbench.config.predict_images import PredictImagesSettings
from defectbench.config.prompts import PromptSettings
from defectbench.config.report import NamesSettings, RankingSettings, ReportSettings
from defectbench.config.runtime import RuntimeSettings
from defectbench.config.score import ScoreSettings
from defectbench.config.searched import Searched, read_searched
from defectbench.config.split import SplitSettings
from defectbench.config.storage import StorageSettings
from defectbench.config.trackers import TrackerSettings
from defectbench.config.weights import WeightsSettings


class Sections(Settings):
    """The sections of a study that have defaults."""

    split: SplitSettings = SplitSettings()
    calibrate: CalibrateSettings = CalibrateSettings()
    score: ScoreSettings = ScoreSettings()
    report: ReportSettings = ReportSettings()
    ranking: RankingSettings = RankingSettings()
    prompts: PromptSettings = PromptSettings()
    label_audit: LabelAuditSettings = LabelAuditSettings()
    predict_images: PredictImagesSettings = PredictImagesSettings()
    weights: WeightsSettings = WeightsSettings()
    trackers: TrackerSettings = TrackerSettings()
    runtime: RuntimeSettings = RuntimeSettings()
    storage: StorageSettings = StorageSettings()


SECTIONS: dict[str, type[Settings]] = {key: type(field.default) for key, field in Sections.model_fields.items()}


class Study(Sections):
    """A validated configuration with its experiments expanded."""

    name: str
    dataset: SkipValidation[DatasetSettings]
    experiments: SkipValidation[tuple[Experiment, ...]]
    searched: dict[str, Searched]
    """Name of an entry -> what a search of another study found for it."""

    def of_family(self, family: str) -> list[Experiment]:
        """Experiments of one family, in the order of the configuration."""
        return [experiment for experiment in self.experiments if experiment.family == family]

    def trained(self) -> list[Experiment]:
        """The experiments, and those that are trained for them alone (see ``Experiment.training``)."""
        by_id = {experiment.exp_id: experiment for experiment in self.experiments}
        pairs = ((experiment, experiment.training) for experiment in self.experiments)
        return list({one.exp_id: by_id.get(one.exp_id, one) for pair in pairs for one in pair}.values())

    def split_comparable(self) -> tuple[list[Experiment], dict[str, list[Experiment]]]:
        """The trainings that a search can rank by the same numbers, and the others by the reason why it cannot.

        Experiments that differ only in how they predict have one training.
        """
        comparable: list[Experiment] = []
        others: dict[str, list[Experiment]] = {}
        for training in (one for one in self.trained() if one.training.exp_id == one.exp_id):
            reason = training.traits.unsearchable
            if training.cv and not reason:
                reason = "cross-validated: each fold has val images of its own"
            (others.setdefault(reason, []) if reason else comparable).append(training)
        return comparable, others

    def augmentations(self) -> list[AugmentSettings]:
        """Augmentations of the experiments' training images, each once; none if no family trains on images."""
        settings = [experiment.traits.augment for experiment in self.experiments]
        return [one for i, one in enumerate(settings) if one is not None and one not in settings[:i]]

    def experiment_of(self) -> dict[str, str]:
        """Experiment id -> the id with all its seeds in this study, e.g. ``..._s1+2+3``."""
        by_seed: dict[str, list[Experiment]] = {}
        for experiment in self.experiments:
            by_seed.setdefault(experiment.unabridged_without_seed, []).append(experiment)
        shared_ids = {
            key: f"{seeds[0].id_without_seed}_s{'+'.join(map(str, sorted(one.seed for one in seeds)))}"
            for key, seeds in by_seed.items()
        }
        return {one.exp_id: shared_ids[one.unabridged_without_seed] for one in self.experiments}

    def names(self) -> NamesSettings:
        """Names of the experiments and of their entries that were given one, and the long forms of shortened ids."""
        return NamesSettings(
            entries={one.exp_id: one.entry for one in self.trained() if one.entry},
            searched={
                one.exp_id: self.searched[one.entry].describe()
                for one in self.experiments
                if one.entry in self.searched
            },
            names={one.exp_id: one.given_name for one in self.experiments if one.given_name},
            unabridged_ids={
                one.exp_id: one.unabridged_id for one in self.experiments if one.exp_id != one.unabridged_id
            },
        )


def load_study(config: dict[str, Any], configfile: str = "FILE") -> Study:
    """Validate a whole configuration and expand its grids; messages call its file ``configfile``.

    Raises:
        ConfigError: with every problem found, each with its key path and what is allowed.
    """
    problems: list[str] = []
    known = sorted({"study", "dataset", "defaults", "experiments", "searched", *SECTIONS})
    problems += [f"{key}: unknown key; {suggest(str(key), known)}" for key in config if key not in known]
    name = config.get("study", "study")
    if isinstance(name, bool) or not re.fullmatch(NAME, str(name)):
        problems.append(f"study: {name!r} is not a name; use letters, digits, '-' and '_'")
    dataset = _dataset(config.get("dataset"), problems)
    sections, valid = _sections({key: _group(config, key, problems) for key in SECTIONS}, problems)
    searched = read_searched(_group(config, "searched", problems), problems)
    experiments = expand(config.get("experiments"), _group(config, "defaults", problems), problems, searched)
    if searched and not searched.keys() & {one.entry for one in experiments}:
        problems.append(f"searched: no entry of experiments has the name {' or '.join(searched)}")
    problems += wrong_trainings(experiments)
    if dataset is not None:
        if experiments and not dataset.has_images:
            problems.append(f"experiments: {dataset.format} holds no images to train on; set experiments: []")
        missing = missing_files(dataset, configfile)
        problems += missing or (ignored_roles(dataset, sections.split) if "split" in valid else [])
        problems += wrong_classes(experiments, dataset)
        if dataset.ignore is not None and sections.label_audit.export != "coco":
            problems.append("label_audit.export: of dataset.ignore's pixels, annotators are only shown those in coco")
        problems += wrong_channels(experiments, dataset)
        problems += wrong_origins(experiments, dataset)
    if "split" in valid:
        problems += wrong_folds(experiments, sections.split.n_folds)
    report = resolve_ablations(sections.report, experiments, problems)
    predict_images = resolve_predict_images(sections.predict_images, experiments, sections.calibrate, problems)
    if problems or dataset is None:
        raise ConfigError(problems)
    resolved = dict(sections) | {"report": report, "predict_images": predict_images}
    return Study(name=str(name), dataset=dataset, experiments=tuple(experiments), searched=searched, **resolved)


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


def _sections(groups: dict[str, dict[str, Any]], problems: list[str]) -> tuple[Sections, set[str]]:
    """The sections, with the defaults for those that are wrong, and the keys of those that are not."""
    try:
        return Sections.model_validate(groups), set(groups)
    except ValidationError as error:
        problems += describe_errors(error, Sections)
        wrong = {problem["loc"][0] for problem in error.errors()}
        valid = {key: group for key, group in groups.items() if key not in wrong}
        return Sections.model_validate(valid), set(valid)


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
    return validate_settings(FORMATS[form], values, "dataset", problems)

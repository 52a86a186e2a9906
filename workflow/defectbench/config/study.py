"""A study: one dataset, a list of experiments, and how they are compared."""

import hashlib
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePath
from typing import Any

from pydantic import Field, ValidationError

from defectbench.config.augment import AugmentSettings
from defectbench.config.base import ConfigError, Settings, describe, suggestion
from defectbench.config.calibrate import CalibrateSettings
from defectbench.config.fetch import fetch_command
from defectbench.config.ingest import FORMATS, NAME, AreaTable, DatasetSettings
from defectbench.config.label_audit import LabelAuditSettings
from defectbench.config.predict_images import PredictImagesSettings
from defectbench.config.prompts import PromptSettings
from defectbench.config.report import RankingSettings, ReportSettings
from defectbench.config.score import ScoreSettings
from defectbench.config.split import SplitSettings
from defectbench.config.trackers import TrackerSettings
from defectbench.config.train_cascade import CascadeSettings, resolve_cascades
from defectbench.config.train_ensemble import EnsembleSettings, resolve_ensembles
from defectbench.config.train_reference import ReferenceSettings
from defectbench.config.train_sam2 import Sam2Settings
from defectbench.config.train_sam2_head import Sam2HeadSettings
from defectbench.config.train_sam3 import Sam3Settings
from defectbench.config.train_unet import UNetSettings
from defectbench.config.train_yolo import YoloSettings
from defectbench.config.weights import WeightsSettings

# A new family is one line here, one config module, one model file, one rules file and its scripts.
FAMILIES: dict[str, type[Settings]] = {
    "unet": UNetSettings,
    "yolo": YoloSettings,
    "sam2": Sam2Settings,
    "sam2_head": Sam2HeadSettings,
    "sam3": Sam3Settings,
    "ensemble": EnsembleSettings,
    "cascade": CascadeSettings,
    "reference": ReferenceSettings,
}

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


class ExperimentKeys(Settings):
    """Keys that an entry of the experiments list has besides those of its family."""

    subset: int | str = Field("full", description="Number of training images, or 'full'")
    cv: int | None = Field(
        None,
        ge=2,
        description="Cross-validation over the train and val images: that many folds, as split.n_folds says; the "
        "test maps are the mean over the folds' models, thresholds are chosen out of fold",
    )

    @property
    def is_valid(self) -> bool:
        """Whether the subset is 'full' or a positive number."""
        return self.subset == "full" or (isinstance(self.subset, int) and self.subset > 0)


# These are named parts of the experiment id, or change no result; every other key appears there only if it is not the
# default.
ID_PARTS = {
    *("model", "encoder", "size", "scale", "version", "init", "prompt", "img_size", "seed"),
    *("cache_embeddings", "checkpoint_every", "workers"),
}

# Keys whose values are lists themselves.
LISTS = ("members", "phrases")


@dataclass(frozen=True)
class Experiment:
    """One trained and scored model."""

    family: str
    subset: int | str
    settings: Settings
    cv: int = 0
    """Number of folds; 0 without cross-validation. Of an ensemble that of its members."""

    @property
    def model(self) -> str:
        """Name of the architecture or method."""
        return self.settings.model

    @property
    def variant(self) -> str:
        """Which version of the model, e.g. its encoder; empty if there is only one."""
        return getattr(self.settings, "variant", getattr(self.settings, "encoder", ""))

    @property
    def prompt(self) -> str:
        """Prompt type; 'none' for models that see the image alone."""
        return getattr(self.settings, "prompt", "none")

    @property
    def img_size(self) -> str:
        """Size at which the network sees the image."""
        return getattr(self.settings, "img_size", "native")

    @property
    def is_detector(self) -> bool:
        """Whether it gives boxes and no masks: then it has metrics and a table of its own."""
        return getattr(self.settings, "is_detector", False)

    @property
    def seed(self) -> int:
        """Seed of the subset and of the training."""
        return self.settings.seed

    @cached_property
    def exp_id(self) -> str:
        """``{model}_{subset}_{prompt}_{imgsz}[_settings that differ from the defaults]_s{seed}``.

        A function of this experiment alone, so it never changes with the rest of the configuration.
        """
        return f"{self.id_without_seed}_s{self.seed}"

    @cached_property
    def id_without_seed(self) -> str:
        """What trainings with different seeds share."""
        name = f"{self.model}-{_token(self.variant)}" if self.variant else self.model
        defaults = self.settings.defaults
        unnamed = ID_PARTS | self.settings.idle_keys
        values = getattr(self.settings, "named", None) or self.settings.model_dump(mode="json")
        changed = [
            f"{key.replace('_', '-')}-{_token(value)}"
            for key, value in values.items()
            if key not in unnamed and value != defaults.get(key)
        ]
        # The rules tell by this last part that an experiment has folds.
        folds = [f"cv{self.cv}"] if self.cv else []
        return "_".join([name, str(self.subset), _token(self.prompt), self.img_size, *changed, *folds])


def _token(value: Any) -> str:
    if isinstance(value, dict):
        value = "-".join(f"{key}-{_token(part)}" for key, part in sorted(value.items()))
    elif isinstance(value, list):
        value = f"{len(value)}-{hashlib.sha256(' '.join(map(str, value)).encode()).hexdigest()[:6]}"
    elif isinstance(value, str) and "/" in value:
        # A path: its file's name is legible, the digest of the whole keeps paths apart.
        value = f"{PurePath(value).stem}-{hashlib.sha256(value.encode()).hexdigest()[:6]}"
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return re.sub(r"[^A-Za-z0-9.+-]", "-", text)


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

    def augmentations(self) -> list[AugmentSettings]:
        """What the experiments augment their training images by, each once; none if no family trains on images."""
        found = [getattr(experiment.settings, "augment", None) for experiment in self.experiments]
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
    problems += [f"{key}: unknown key; {suggestion(key, sorted(known))}" for key in config if key not in known]
    name = config.get("study", "study")
    if not re.match(NAME, str(name)):
        problems.append(f"study: {name!r} is not a name; use letters, digits, '-' and '_'")
    dataset = _dataset(config.get("dataset"), problems)
    sections = {key: _validated(model, config.get(key) or {}, key, problems) for key, model in SECTIONS.items()}
    experiments = _experiments(config.get("experiments"), config.get("defaults") or {}, problems)
    experiments = resolve_ensembles(experiments, problems)
    experiments = resolve_cascades(experiments, problems)
    if isinstance(dataset, AreaTable) and experiments:
        problems.append("experiments: area_table holds no images to train on; set experiments: []")
    if dataset is not None:
        problems += [*_absent(dataset, configfile), *_wrong_classes(experiments, dataset)]
    if sections["split"] is not None:
        problems += _wrong_folds(experiments, sections["split"].n_folds)
    if sections["predict_images"] is not None:
        problems += sections["predict_images"].problems([experiment.exp_id for experiment in experiments])
    if sections["report"] is not None:
        problems += _wrong_ablations(sections["report"].ablations, experiments)
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


def _absent(dataset: DatasetSettings, configfile: str) -> list[str]:
    problems = dataset.missing()
    if problems and dataset.fetch is not None:
        problems[-1] += f"; or download it: {fetch_command(configfile)}"
    return problems


def _wrong_classes(experiments: list[Experiment], dataset: DatasetSettings) -> list[str]:
    """Problems of settings that name classes."""
    wanted = ", ".join(dataset.class_names)
    return [
        f"{experiment.exp_id}: {key} names {', '.join(named)}; it must name {wanted}"
        for experiment in experiments
        for key in ("pos_weight", "phrases")
        if isinstance(named := getattr(experiment.settings, key, None), dict) and set(named) != set(dataset.class_names)
    ]


def _wrong_folds(experiments: list[Experiment], n_folds: int) -> list[str]:
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


def _wrong_ablations(ablations: Sequence[tuple[str, str]], experiments: list[Experiment]) -> list[str]:
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


def _validated(model: type[Settings], values: Any, prefix: str, problems: list[str]) -> Settings | None:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        problems += describe(error, model, prefix)
        return None


def _dataset(values: Any, problems: list[str]) -> DatasetSettings | None:
    if not isinstance(values, dict):
        problems.append("dataset: required: name, format, root, classes")
        return None
    form = values.get("format")
    if form not in FORMATS:
        problems.append(f"dataset.format: {form!r} is not allowed; allowed: {', '.join(FORMATS)}")
        return None
    return _validated(FORMATS[form], values, "dataset", problems)


def _experiments(entries: Any, defaults: dict[str, Any], problems: list[str]) -> list[Experiment]:
    if not isinstance(entries, list):
        problems.append(
            "experiments: a list is required, e.g. [{model: unet, encoder: resnet18}], or [] to divide data"
        )
        return []
    every_key = sorted(set().union(ExperimentKeys.model_fields, *(f.model_fields for f in FAMILIES.values())))
    problems += [
        f"defaults.{key}: unknown key; {suggestion(key, every_key)}" for key in defaults if key not in every_key
    ]
    experiments: dict[str, Experiment] = {}
    for index, entry in enumerate(entries):
        if not isinstance(entry, dict):
            problems.append(f"experiments.{index}: must be a group of keys, got {entry!r}")
            continue
        for point in _grid(entry):
            experiment = _experiment(point, defaults, f"experiments.{index}", problems)
            if experiment is None:
                continue
            if experiment.exp_id in experiments:
                problems.append(f"experiments.{index}: {experiment.exp_id} is listed twice")
            experiments[experiment.exp_id] = experiment
    # The points of one grid share their mistakes: say each once.
    problems[:] = list(dict.fromkeys(problems))
    return list(experiments.values())


def _grid(entry: dict[str, Any]) -> list[dict[str, Any]]:
    """All combinations of the values of ``entry``; a list holds alternatives."""
    alternatives = [_alternatives(key, value) for key, value in entry.items()]
    return [dict(zip(entry, values, strict=True)) for values in itertools.product(*alternatives)]


def _alternatives(key: str, value: Any) -> list[Any]:
    """The values that a key of a grid takes; a list of members or phrases is one value, lists of them alternatives."""
    if not isinstance(value, list):
        return [value]
    return [value] if key in LISTS and not any(isinstance(part, list) for part in value) else value


def _experiment(point: dict[str, Any], defaults: dict[str, Any], prefix: str, problems: list[str]) -> Experiment | None:
    models = {name: family for family in FAMILIES for name in model_names(family)}
    family = models.get(point.get("model"))
    if family is None:
        problems.append(f"{prefix}.model: {point.get('model')!r} is not allowed; allowed: {', '.join(models)}")
        return None
    fields = FAMILIES[family].model_fields
    merged = {key: value for key, value in defaults.items() if key in fields or key in ExperimentKeys.model_fields}
    merged |= point
    own = {key: value for key, value in merged.items() if key not in ExperimentKeys.model_fields}
    common = {key: value for key, value in merged.items() if key in ExperimentKeys.model_fields}
    settings = _validated(FAMILIES[family], own, prefix, problems)
    keys = _validated(ExperimentKeys, common, prefix, problems)
    if keys is not None and not keys.is_valid:
        problems.append(f"{prefix}.subset: {keys.subset!r} is not allowed; allowed: 'full' or a number of images")
        return None
    if settings is None or keys is None:
        return None
    return Experiment(family=family, subset=keys.subset, settings=settings, cv=keys.cv or 0)


def model_names(family: str) -> tuple[str, ...]:
    """Values that ``model`` may have in a family's experiments."""
    return FAMILIES[family].model_fields["model"].annotation.__args__

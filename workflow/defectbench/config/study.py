"""A study: one dataset, a list of experiments, and how they are compared."""

import itertools
import re
from dataclasses import dataclass
from typing import Any

from pydantic import Field, ValidationError

from defectbench.config.base import ConfigError, Settings, describe, suggestion
from defectbench.config.calibrate import CalibrateSettings
from defectbench.config.ingest import FORMATS, NAME, DatasetSettings
from defectbench.config.report import RankingSettings, ReportSettings
from defectbench.config.split import SplitSettings
from defectbench.config.train_reference import ReferenceSettings
from defectbench.config.train_unet import UNetSettings

# A new family is one line here, one config module, one model file, one rules file and its scripts.
FAMILIES: dict[str, type[Settings]] = {"unet": UNetSettings, "reference": ReferenceSettings}

SECTIONS: dict[str, type[Settings]] = {
    "split": SplitSettings,
    "calibrate": CalibrateSettings,
    "report": ReportSettings,
    "ranking": RankingSettings,
}


class ExperimentKeys(Settings):
    """Keys that an entry of the experiments list has besides those of its family."""

    subset: int | str = Field("full", description="Number of training images, or 'full'")

    @property
    def is_valid(self) -> bool:
        """Whether the subset is 'full' or a positive number."""
        return self.subset == "full" or (isinstance(self.subset, int) and self.subset > 0)


# These are named parts of the experiment id; every other key appears there only if it is not the default.
ID_PARTS = {"model", "encoder", "img_size", "seed"}


@dataclass(frozen=True)
class Experiment:
    """One trained and scored model."""

    family: str
    subset: int | str
    settings: Settings

    @property
    def model(self) -> str:
        """Name of the architecture or method."""
        return self.settings.model

    @property
    def variant(self) -> str:
        """Which version of the model, e.g. its encoder; empty if there is only one."""
        return getattr(self.settings, "encoder", "")

    @property
    def prompt(self) -> str:
        """Prompt type; 'none' for models that see the image alone."""
        return getattr(self.settings, "prompt", "none")

    @property
    def img_size(self) -> str:
        """Size at which the network sees the image."""
        return getattr(self.settings, "img_size", "native")

    @property
    def seed(self) -> int:
        """Seed of the subset and of the training."""
        return self.settings.seed

    @property
    def exp_id(self) -> str:
        """``{model}_{subset}_{prompt}_{imgsz}[_settings that differ from the defaults]_s{seed}``.

        A function of this experiment alone, so it never changes with the rest of the configuration.
        """
        name = f"{self.model}-{self.variant}" if self.variant else self.model
        defaults = type(self.settings).model_fields
        # A budget in steps leaves that in epochs without effect.
        idle = {"epochs"} if getattr(self.settings, "steps", None) else set()
        changed = [
            f"{key.replace('_', '-')}-{_token(value)}"
            for key, value in self.settings.model_dump(mode="json").items()
            if key not in ID_PARTS | idle and value != defaults[key].default
        ]
        return "_".join([name, str(self.subset), self.prompt, self.img_size, *changed, f"s{self.seed}"])


def _token(value: Any) -> str:
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return re.sub(r"[^A-Za-z0-9.+-]", "-", text)


@dataclass(frozen=True)
class Study:
    """A validated configuration with its experiments expanded."""

    name: str
    dataset: DatasetSettings
    split: SplitSettings
    calibrate: CalibrateSettings
    report: ReportSettings
    ranking: RankingSettings
    experiments: tuple[Experiment, ...]

    def of_family(self, family: str) -> list[Experiment]:
        """Experiments of one family, in the order of the configuration."""
        return [experiment for experiment in self.experiments if experiment.family == family]


def load_study(config: dict[str, Any]) -> Study:
    """Validate a whole configuration and expand its grid.

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
    if dataset is not None:
        problems += dataset.missing()
    if problems:
        raise ConfigError(problems)
    return Study(name=str(name), dataset=dataset, experiments=tuple(experiments), **sections)


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
    if not isinstance(entries, list) or not entries:
        problems.append("experiments: at least one is required, e.g. [{model: unet, encoder: resnet18}]")
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
    alternatives = [value if isinstance(value, list) else [value] for value in entry.values()]
    return [dict(zip(entry, values, strict=True)) for values in itertools.product(*alternatives)]


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
    return Experiment(family=family, subset=keys.subset, settings=settings)


def model_names(family: str) -> tuple[str, ...]:
    """Values that ``model`` may have in a family's experiments."""
    return FAMILIES[family].model_fields["model"].annotation.__args__

"""The experiments of a configuration: families, defaults and grids."""

import itertools
from typing import Any

from defectbench.config.base import suggestion, validated
from defectbench.config.experiment import Experiment, ExperimentKeys
from defectbench.config.families.cascade import resolve_cascades
from defectbench.config.families.ensemble import resolve_ensembles
from defectbench.config.families.registry import FAMILIES, model_names

# Keys whose values are lists themselves.
LISTS = ("members", "phrases")


def expand(entries: Any, defaults: dict[str, Any], problems: list[str]) -> list[Experiment]:
    """The experiments of a configuration's list ``entries``; what is wrong with them goes to ``problems``."""
    if not isinstance(entries, list):
        problems.append(
            "experiments: a list is required, e.g. [{model: unet, encoder: resnet18}], or [] to divide data"
        )
        return []
    every_key = sorted(set().union(ExperimentKeys.model_fields, *(f.model_fields for f in FAMILIES.values())))
    problems += [
        f"defaults.{key}: unknown key; {suggestion(str(key), every_key)}" for key in defaults if key not in every_key
    ]
    experiments: dict[str, Experiment] = {}
    for index, entry in enumerate(entries):
        if not isinstance(entry, dict):
            problems.append(f"experiments.{index}: must be a group of keys, got {entry!r}")
            continue
        empty = [key for key, value in entry.items() if _alternatives(key, value) == []]
        problems += [f"experiments.{index}.{key}: an empty list; give at least one value" for key in empty]
        for point in _grid(entry):
            experiment = _experiment(point, defaults, f"experiments.{index}", problems)
            if experiment is None:
                continue
            if experiment.exp_id in experiments:
                first, second = (found.settings.model_dump() for found in (experiments[experiment.exp_id], experiment))
                differing = ", ".join(key for key, value in second.items() if value != first[key])
                why = f": {differing} alone makes no other experiment" if differing else ""
                problems.append(f"experiments.{index}: {experiment.exp_id} is listed twice{why}")
            experiments[experiment.exp_id] = experiment
    # The points of one grid share their mistakes: say each once.
    problems[:] = list(dict.fromkeys(problems))
    return resolve_cascades(resolve_ensembles(list(experiments.values()), problems), problems)


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
    model = point.get("model")
    family = models.get(model) if isinstance(model, str) else None
    if family is None:
        problems.append(f"{prefix}.model: {model!r} is not allowed; allowed: {', '.join(models)}")
        return None
    fields = FAMILIES[family].model_fields
    merged = {key: value for key, value in defaults.items() if key in fields or key in ExperimentKeys.model_fields}
    merged |= point
    own = {key: value for key, value in merged.items() if key not in ExperimentKeys.model_fields}
    common = {key: value for key, value in merged.items() if key in ExperimentKeys.model_fields}
    settings = validated(FAMILIES[family], own, prefix, problems)
    keys = validated(ExperimentKeys, common, prefix, problems)
    if keys is not None and not keys.is_valid:
        problems.append(f"{prefix}.subset: {keys.subset!r} is not allowed; allowed: 'full' or a number of images")
        return None
    if settings is None or keys is None:
        return None
    return Experiment(family=family, subset=keys.subset, settings=settings, cv=keys.cv or 0)

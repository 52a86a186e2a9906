"""Expansion of a configuration's entries to experiments: families, defaults, grids, and references between them."""

import itertools
from collections.abc import Mapping
from typing import Any

from defectbench.config.base import suggest, validate_settings
from defectbench.config.budget import BUDGETS
from defectbench.config.experiment import Experiment, ExperimentKeys, id_token
from defectbench.config.families.cascade import CascadeSettings, resolve_cascade
from defectbench.config.families.ensemble import EnsembleSettings, resolve_ensemble
from defectbench.config.families.registry import FAMILIES, model_names
from defectbench.config.names import ambiguous_names
from defectbench.config.runtime import RuntimeSettings
from defectbench.config.searched import Searched, take_searched
from defectbench.config.train_prompts import resolve_train_prompts

# Keys whose values are lists themselves.
LISTS = ("members", "phrases", "input_channels")


def expand(
    entries: Any, defaults: dict[str, Any], problems: list[str], searched: Mapping[str, Searched] | None = None
) -> list[Experiment]:
    """The experiments of a configuration's list ``entries``; mistakes are added to ``problems``.

    What was ``searched`` for an entry, by its name, takes the place of its own values.
    """
    searched = searched or {}
    if not isinstance(entries, list):
        problems.append(
            "experiments: a list is required, e.g. [{model: unet, encoder: resnet18}], or [] to divide data"
        )
        return []
    defaults = _without_runtime(defaults, "defaults", problems)
    known = sorted(set().union(ExperimentKeys.model_fields, *(f.model_fields for f in FAMILIES.values())) - {"name"})
    problems += [f"defaults.{key}: unknown key; {suggest(str(key), known)}" for key in defaults if key not in known]
    experiments: list[tuple[str, Experiment]] = []
    for index, entry in enumerate(entries):
        key = f"experiments.{index}"
        if not isinstance(entry, dict):
            problems.append(f"{key}: must be a group of keys, got {entry!r}")
            continue
        entry = _without_runtime(entry, key, problems)
        entry = take_searched(entry, searched, key, problems)
        experiments += [(key, experiment) for experiment in _expand_entry(entry, defaults, key, problems)]
    experiments = _resolve_references(_drop_repeated(experiments, problems), problems)
    problems += ambiguous_names(experiments)
    # Experiments of one grid share their mistakes: report each once.
    problems[:] = list(dict.fromkeys(problems))
    return [experiment for _, experiment in experiments]


def _without_runtime(keys: dict[str, Any], path: str, problems: list[str]) -> dict[str, Any]:
    """``keys`` without those of the section runtime, each of which is a problem."""
    misplaced = [key for key in keys if key in RuntimeSettings.model_fields]
    problems += [f"{path}.{key}: holds for all trainings; give it in the section runtime" for key in misplaced]
    return {key: value for key, value in keys.items() if key not in misplaced}


def _expand_entry(entry: dict[str, Any], defaults: dict[str, Any], key: str, problems: list[str]) -> list[Experiment]:
    """All experiments of an entry: a list of values is a grid."""
    alternatives = {name: _alternatives(name, value) for name, value in entry.items()}
    problems += [
        f"{key}.{name}: an empty list; give at least one value" for name, values in alternatives.items() if not values
    ]
    varying = [name for name, values in alternatives.items() if len(values) > 1]
    points = (dict(zip(entry, values, strict=True)) for values in itertools.product(*alternatives.values()))
    experiments = (_experiment(point, varying, defaults, key, problems) for point in points)
    return [experiment for experiment in experiments if experiment is not None]


def _alternatives(key: str, value: Any) -> list[Any]:
    """Values that a key of a grid takes; a list for a key of LISTS is one value, a list of such lists a grid."""
    if not isinstance(value, list) or key == "name":
        return [value]
    return [value] if key in LISTS and not any(isinstance(part, list) for part in value) else value


def _experiment(
    point: dict[str, Any], varying: list[str], defaults: dict[str, Any], key: str, problems: list[str]
) -> Experiment | None:
    """The experiment of one point of a grid in which the keys ``varying`` have several values; None if it is wrong."""
    families = {name: family for family in FAMILIES for name in model_names(family)}
    model = point.get("model")
    family = families.get(model) if isinstance(model, str) else None
    if family is None:
        problems.append(f"{key}.model: {model!r} is not allowed; allowed: {', '.join(families)}")
        return None
    common_keys = ExperimentKeys.model_fields
    # The budget of an entry replaces the default one, in whatever unit.
    replaced = BUDGETS if any(unit in point for unit in BUDGETS) else ()
    known = {
        name: value
        for name, value in defaults.items()
        if name in FAMILIES[family].model_fields | common_keys and name not in replaced
    }
    values = known | point
    settings = validate_settings(
        FAMILIES[family], {name: value for name, value in values.items() if name not in common_keys}, key, problems
    )
    common = validate_settings(
        ExperimentKeys, {name: value for name, value in values.items() if name in common_keys}, key, problems
    )
    if settings is None or common is None:
        return None
    name, *shared_names = _names(common.name, {name: point[name] for name in varying})
    return Experiment(family, common.subset, settings, common.cv or 0, name, tuple(shared_names))


def _names(entry_name: str | None, values: dict[str, Any]) -> list[str]:
    """Name of an experiment with ``values`` of the keys that vary in its grid, then those that it shares with others.

    Empty if its entry has none.
    """
    if entry_name is None:
        return [""]
    # As in ids, the model's name needs no key.
    settings = [id_token(value if key == "model" else {key: value}) for key, value in values.items() if key != "seed"]
    name = "_".join([entry_name, *settings])
    names = [f"{name}_s{values['seed']}", name] if "seed" in values else [name]
    return names if entry_name in names else [*names, entry_name]


def _drop_repeated(experiments: list[tuple[str, Experiment]], problems: list[str]) -> list[tuple[str, Experiment]]:
    """``experiments``, each id once."""
    by_id: dict[str, tuple[str, Experiment]] = {}
    for key, experiment in experiments:
        _, first = by_id.setdefault(experiment.exp_id, (key, experiment))
        if first is experiment:
            continue
        before, after = (one.settings.model_dump() for one in (first, experiment))
        differing = ", ".join(name for name, value in after.items() if value != before[name])
        reason = f": {differing} alone makes no other experiment" if differing else ""
        problems.append(f"{key}: {experiment.exp_id} is listed twice{reason}")
    return list(by_id.values())


def _resolve_references(experiments: list[tuple[str, Experiment]], problems: list[str]) -> list[tuple[str, Experiment]]:
    """``experiments`` with the ids of those that they refer to: for training, then as members, then as stages."""
    sources = [one for _, one in experiments]
    experiments = [(key, resolve_train_prompts(one, sources, key, problems)) for key, one in experiments]
    trained = [one for _, one in experiments if not isinstance(one.settings, EnsembleSettings | CascadeSettings)]
    experiments = [
        (key, resolve_ensemble(one, one.settings, trained, key, problems))
        if isinstance(one.settings, EnsembleSettings)
        else (key, one)
        for key, one in experiments
    ]
    stages = [one for _, one in experiments if not isinstance(one.settings, CascadeSettings)]
    experiments = [
        (key, resolve_cascade(one, one.settings, stages, key, problems))
        if isinstance(one.settings, CascadeSettings)
        else (key, one)
        for key, one in experiments
    ]
    # References in other words may be to the same experiments.
    return _drop_repeated(experiments, problems)

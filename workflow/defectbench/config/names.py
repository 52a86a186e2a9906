"""References to experiments: by id or name, of one experiment, of all its seeds, or of all experiments of a grid."""

from collections.abc import Sequence

from defectbench.config.base import suggest
from defectbench.config.experiment import Experiment


def find_all(reference: str, experiments: Sequence[Experiment], key: str, problems: list[str]) -> list[Experiment]:
    """All experiments with this id or name, or the id without its seed, or a name shared by their grid.

    If there is none, the mistake is added to ``problems`` with its key path ``key``.
    """
    matches = _exact_matches(reference, experiments) or [
        experiment
        for experiment in experiments
        if reference == experiment.id_without_seed or reference in experiment.shared_names
    ]
    if not matches:
        names = [experiment.given_name for experiment in experiments if experiment.given_name]
        allowed = [*names, *(experiment.exp_id for experiment in experiments)]
        problems.append(f"{key}: no experiment {reference!r}; {suggest(reference, allowed)}")
    return matches


def find_one(
    reference: str, experiments: Sequence[Experiment], key: str, problems: list[str], seed: int | None = None
) -> Experiment | None:
    """The experiment that ``reference`` refers to; of several seeds the one with ``seed``, or any if that is None.

    If there is none, or there are several, the mistake is added to ``problems`` with its key path ``key``.
    """
    matches = find_all(reference, experiments, key, problems)
    candidates = _exact_matches(reference, matches) or [
        experiment for experiment in matches if seed in (None, experiment.seed)
    ]
    if matches and not candidates:
        seeds = ", ".join(str(experiment.seed) for experiment in matches)
        problems.append(f"{key}: no experiment {reference!r} with seed {seed}; seeds in this study: {seeds}")
    if len({experiment.unabridged_without_seed for experiment in candidates}) > 1:
        names = ", ".join(experiment.name for experiment in candidates)
        problems.append(f"{key}: {reference!r} stands for {len(candidates)} experiments; give one of them: {names}")
        return None
    return candidates[0] if candidates else None


def ambiguous_names(experiments: Sequence[tuple[str, Experiment]]) -> list[str]:
    """Problems of names that experiments of two entries have, or that are ids; each comes with its entry's key path."""
    problems = []
    entry_of: dict[str, str] = {}
    for key, experiment in experiments:
        for name in (experiment.given_name, *experiment.shared_names):
            other = entry_of.setdefault(name, key) if name else key
            if other != key:
                problems.append(f"{key}.name: {name!r} is also the name of {other}; each entry needs a name of its own")
    for key, experiment in experiments:
        for exp_id in (experiment.exp_id, experiment.id_without_seed):
            if entry_of.get(exp_id, key) != key:
                problems.append(f"{entry_of[exp_id]}.name: {exp_id!r} is the id of {key}; choose another name")
    return problems


def _exact_matches(reference: str, experiments: Sequence[Experiment]) -> list[Experiment]:
    return [experiment for experiment in experiments if reference in (experiment.exp_id, experiment.given_name)]

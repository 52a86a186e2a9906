"""Which experiments share one training: those that differ only in how the network predicts."""

import json
from collections.abc import Iterable

from defectbench.config.experiment import Experiment


def shared_trainings(experiments: Iterable[Experiment]) -> dict[str, str]:
    """Experiment id -> the id of the experiment that trains for it; those that train for themselves are left out.

    Of the experiments whose settings differ in nothing but their ``prediction_keys``, the one with the shortest id
    trains: the nearest to the defaults.
    """
    sharing: dict[str, list[str]] = {}
    for found in experiments:
        if keys := found.settings.prediction_keys:
            values = found.settings.model_dump(mode="json", exclude=keys | found.settings.idle_keys)
            training = json.dumps([found.family, found.subset, found.cv, values], sort_keys=True)
            sharing.setdefault(training, []).append(found.exp_id)
    pairs = [(exp_id, min(ids, key=lambda name: (len(name), name))) for ids in sharing.values() for exp_id in ids]
    return {exp_id: trains for exp_id, trains in pairs if exp_id != trains}

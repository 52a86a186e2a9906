"""References of promptable models to the experiment whose out-of-fold predictions prompt their training."""

from collections.abc import Sequence
from dataclasses import replace

from defectbench.config.experiment import Experiment
from defectbench.config.names import find_one


def resolve_train_prompts(
    experiment: Experiment, sources: Sequence[Experiment], key: str, problems: list[str]
) -> Experiment:
    """``experiment`` with the whole id of the experiment in ``sources`` that prompts its training, if there is one.

    Mistakes are added to ``problems``, with the key path ``key`` of the experiment's entry.
    """
    reference = experiment.traits.train_prompt_source
    if not reference:
        return experiment
    source = find_one(reference, sources, f"{key}.train_prompts", problems, experiment.seed)
    if source is None:
        return experiment
    problems += [f"{key}.train_prompts: {obstacle}" for obstacle in _obstacles(experiment, source)]
    # Not a copy: it would keep the traits of the reference.
    settings = type(experiment.settings).model_validate(
        experiment.settings.model_dump() | {"train_prompts": source.exp_id}
    )
    return replace(experiment, settings=settings, combined=(source.unabridged_id,))


def _obstacles(experiment: Experiment, source: Experiment) -> list[str]:
    """Reasons why ``source`` cannot prompt the training of ``experiment``."""
    problems = []
    if not source.cv:
        problems.append(f"{source.name} has learned from the images that it would prompt: give it cv")
    if source.traits.init_from:
        problems.append(f"{source.name} starts from other weights (init_from), which may have seen these images")
    if experiment.subset != "full":
        problems.append(
            f"{source.name} learns from the labels of all train and val images: that needs subset: full here too"
        )
    return problems

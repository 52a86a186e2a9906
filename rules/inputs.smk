"""The input functions of single families: which files a rule needs depends on the experiment.

Those that several families need are in common.smk.
"""


def trained(name):
    """An input function: the file ``name`` of the experiment, or its fold, that trains for this one."""

    def path(wildcards):
        found = experiment(wildcards)
        fold = wildcards.exp.removeprefix(found.exp_id)
        return f"{folder(found.training)}{fold}/{name}"

    return path


def folds(name):
    """An input function: the file ``name`` of every fold of an experiment."""
    return lambda wildcards: [
        f"{folder(experiment(wildcards))}/fold{fold}/{name}"
        for fold in range(experiment(wildcards).cv)
    ]


def fold_images(name):
    """An input function: the table ``name`` of the images of every fold."""
    return lambda wildcards: [
        f"runs/{wildcards.ds}/cv/fold{fold}/{name}"
        for fold in range(experiment(wildcards).cv)
    ]


def members(name):
    """An input function: the file ``name`` of every member of an ensemble."""
    return lambda wildcards: [
        f"{folder(EXPERIMENTS[member])}/{name}"
        for member in experiment(wildcards).settings.members
    ]


def member_maps(wildcards):
    """Predictions of every member on the images that thresholds are chosen on."""
    name = "oof" if experiment(wildcards).cv else "val"
    return members(f"{name}.pred.parquet")(wildcards)


def member_subsets(wildcards):
    """Of every member of an ensemble the images that it learned from, in order; the folds' models, from all of them."""
    found = [EXPERIMENTS[member] for member in experiment(wildcards).settings.members]
    if experiment(wildcards).cv:
        return [f"runs/{DS}/folds.csv"] * len(found)
    return [f"runs/{DS}/subsets/{one.subset}_s{one.seed}.csv" for one in found]


def cascade_source(wildcards):
    """The experiment that makes a cascade's prompts; None if they are the truth's or fixed."""
    return EXPERIMENTS.get(experiment(wildcards).traits.prompt_source)


def source_file(name):
    """An input function: the file ``name`` of the experiment that makes the prompts; nothing if none does."""

    def path(wildcards):
        source = cascade_source(wildcards)
        return f"{folder(source)}/{name}" if source else []

    return path


def segmenter_file(name):
    """An input function: the file ``name`` of the experiment that is asked."""
    return lambda wildcards: (
        f"{folder(EXPERIMENTS[experiment(wildcards).settings.segmenter])}/{name}"
    )


def segmenter_features(wildcards):
    """The option that names the folder of the segmenter's cached features."""
    return features_option(EXPERIMENTS[experiment(wildcards).settings.segmenter])


def segmenter_base(wildcards):
    """The weights that the experiment that is asked started from."""
    segmenter = EXPERIMENTS[experiment(wildcards).settings.segmenter]
    return f"weights/{segmenter.traits.base_name}.safetensors"


def prompts_of(found):
    """The file of prompts of a cascade."""
    return f"runs/{DS}/prompts/{found.traits.prompt_file}"


def cascade_prompts(wildcards):
    """The prompts of the cascade that a path names."""
    return prompts_of(experiment(wildcards))


def prompts_timing(wildcards):
    """How long its prompts took; nothing if no experiment makes them."""
    path = Path(cascade_prompts(wildcards)).with_suffix(".timing.json")
    return path.as_posix() if cascade_source(wildcards) else []


def found_file(role):
    """An input function: what the experiment that makes the prompts found in the images of a role."""

    def path(wildcards):
        source = EXPERIMENTS[wildcards.source]
        kind = "boxes" if source.traits.is_detector else "pred"
        return f"{folder(source)}/{role}.{kind}.parquet"

    return path


def prompting_threshold(wildcards):
    """Where it stands from which score on its boxes, or its pixels, count."""
    source = EXPERIMENTS[wildcards.source]
    if source.traits.is_detector:
        return f"runs/{wildcards.ds}/prompts/{wildcards.source}/threshold.json"
    return f"{folder(source)}/calibration.json"


def trained_on(found):
    """The subsets of training images of an experiment: of an ensemble those of its members."""
    if found is None:
        return []
    members = [EXPERIMENTS[member] for member in found.traits.members]
    parts = members or [found]
    return sorted(
        {f"runs/{DS}/subsets/{part.subset}_s{part.seed}.csv" for part in parts}
    )

"""Source files; input functions of cross-validation, ensembles and cascades, whose inputs are other experiments' files.

Those that several rules need are in common.smk.
"""

@cache
def sources():
    """The source files, as one digest; only where ingest has a job, since they may be thousands."""
    paths = STUDY.dataset.source_files()
    if GENERATED:
        return read_generated(paths, SOURCES_MEMO, STUDY.dataset.root / RECORD)
    return read_sources(paths, SOURCES_MEMO)


def split_file(wildcards):
    """Param function: digest of the file that gives the roles, if any."""
    file = STUDY.split.file
    paths = [STUDY.dataset.root / file.path] if file else []
    return read_sources(paths, Path(f"runs/{DS}/settings/split_file.json")).digest


def training_file(name):
    """Input function: file ``name`` of the experiment, or its fold, whose training this one shares."""

    def path(wildcards):
        experiment = experiment_of(wildcards)
        fold = wildcards.exp.removeprefix(experiment.exp_id)
        return f"{experiment_folder(experiment.training)}{fold}/{name}"

    return path


def fold_files(name):
    """Input function: file ``name`` of every fold of an experiment."""
    return lambda wildcards: [
        f"{experiment_folder(experiment_of(wildcards))}/fold{fold}/{name}"
        for fold in range(experiment_of(wildcards).cv)
    ]


def fold_tables(name):
    """Input function: table ``name`` of the images of every fold."""
    return lambda wildcards: [
        f"runs/{DS}/cv/fold{fold}/{name}" for fold in range(experiment_of(wildcards).cv)
    ]


def ensemble_members(wildcards):
    """The experiments that an ensemble averages."""
    return [EXPERIMENTS[exp_id] for exp_id in experiment_of(wildcards).traits.members]


def member_files(name):
    """Input function: file ``name`` of every member of an ensemble."""
    return lambda wildcards: [
        f"{experiment_folder(member)}/{name}" for member in ensemble_members(wildcards)
    ]


def member_maps(wildcards):
    """Predictions of every member of an ensemble on the images that thresholds are chosen on."""
    name = "oof" if experiment_of(wildcards).cv else "val"
    return member_files(f"{name}.pred.parquet")(wildcards)


def member_subsets(wildcards):
    """The training images of every member of an ensemble, in order; those of folds are all of them together."""
    if experiment_of(wildcards).cv:
        return [f"runs/{DS}/folds.csv" for _ in ensemble_members(wildcards)]
    return [subset_of(member) for member in ensemble_members(wildcards)]


def segmenter_of(wildcards):
    """The experiment that a cascade prompts."""
    return EXPERIMENTS[experiment_of(wildcards).settings.segmenter]


def segmenter_file(name):
    """Input function: file ``name`` of the experiment that a cascade prompts."""
    return lambda wildcards: f"{experiment_folder(segmenter_of(wildcards))}/{name}"


def segmenter_base(wildcards):
    """Base weights of the experiment that a cascade prompts, and their digest."""
    return large(base_file(segmenter_of(wildcards).traits))


def segmenter_features(wildcards):
    """The option that names the folder of the segmenter's cached features."""
    return features_option(segmenter_of(wildcards))


def prompt_source_of(wildcards):
    """The experiment whose predictions prompt a cascade; None if the prompts are from the labels or fixed."""
    return EXPERIMENTS.get(experiment_of(wildcards).traits.prompt_source)


def source_file(name):
    """Input function: file ``name`` of the experiment that prompts a cascade; nothing if none does."""

    def path(wildcards):
        source = prompt_source_of(wildcards)
        return f"{experiment_folder(source)}/{name}" if source else []

    return path


def source_predictions(wildcards):
    """Predictions that prompts are made from, by the experiment that the wildcard ``source`` names.

    Those of val and test images, which prompt cascades, or out-of-fold ones, which prompt trainings.
    """
    source = EXPERIMENTS[wildcards.source]
    kind = "boxes" if source.traits.is_detector else "pred"
    roles = ["oof"] if source.cv else ["val", "test"]
    return [f"{experiment_folder(source)}/{role}.{kind}.parquet" for role in roles]


def source_threshold(wildcards):
    """The file of the score, or probability, from which predictions of the wildcard ``source`` become prompts."""
    source = EXPERIMENTS[wildcards.source]
    if source.traits.is_detector:
        return f"runs/{DS}/prompts/{wildcards.source}/threshold.json"
    return f"{experiment_folder(source)}/calibration.json"


def prompts_file(experiment):
    """The file of prompts of a cascade."""
    return f"runs/{DS}/prompts/{experiment.traits.prompt_file}"


def cascade_prompts(wildcards):
    """The file of prompts of the cascade that a path names."""
    return prompts_file(experiment_of(wildcards))


def prompts_timing(wildcards):
    """The file of the time that drawing a cascade's prompts took; nothing if no experiment makes them."""
    path = Path(cascade_prompts(wildcards)).with_suffix(".timing.json")
    return path.as_posix() if prompt_source_of(wildcards) else []


def subset_files(experiment):
    """The training images of an experiment, of an ensemble those of its members; nothing of None."""
    if experiment is None:
        return []
    members = [EXPERIMENTS[exp_id] for exp_id in experiment.traits.members]
    return sorted({subset_of(member) for member in members or [experiment]})

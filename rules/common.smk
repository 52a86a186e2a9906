"""What all rules share: the validated study, its settings files, code digests and path helpers."""

import os
import re
from functools import cache
from inspect import signature
from pathlib import Path
from shlex import quote

from snakemake.exceptions import WorkflowError


include: "setup.smk"
include: "large_files.smk"
include: "resources.smk"


from defectbench.code_digest import CodeDigests
from defectbench.config.base import ConfigError
from defectbench.config.predict_images import image_files
from defectbench.config.prompts import prompts_path
from defectbench.config.families.registry import FAMILIES
from defectbench.config.study import load_study
from defectbench.config.settings_files import write_settings_files
from defectbench.digests import withdraw_changed
from defectbench.sources import (
    RECORD,
    read_generated,
    read_sources,
    withdraw_incomplete,
)

try:
    STUDY = load_study(config, configfile=CONFIGFILES)
except ConfigError as error:
    raise WorkflowError(
        f"The configuration has {len(error.problems)} problem(s):\n{error}"
    ) from None

DS = STUDY.dataset.name
EXPERIMENTS = {experiment.exp_id: experiment for experiment in STUDY.trained()}

# What {exp} may be. Cross-validated experiments, whose ids end with e.g. _cv5_s42, are not trained: their folds are.
CROSS_VALIDATED = r"[^/]+_cv[0-9]+_s[0-9]+"
TRAINED = rf"{CROSS_VALIDATED}/fold[0-9]+|(?!{CROSS_VALIDATED}/)[^/]+"
EVALUATED = r"[^/]+"

SOURCES_MEMO = Path(f"runs/{DS}/settings/sources.json")

# Jobs on other machines, which parse this again, have the settings.
if workflow.is_main_process:
    write_settings_files(STUDY, Path("."))
    withdraw_changed(Path("."), DS)


# A study has one dataset: as a part of the paths, unlike a wildcard, it tells Snakemake at once which rules make a file.
pathvars:
    ds=DS,


wildcard_constraints:
    exp=TRAINED,
    n="full|[1-9][0-9]*",
    seed="[0-9]+",


def project_file(path):
    """A file of the project, as an input: relative to the working directory, so that a moved project is not stale."""
    return os.path.relpath(PROJECT / path)


def script(name):
    """A rule's script, as an input: ancient, since ``code`` has its content."""
    return ancient(project_file(f"workflow/scripts/{name}.py"))


def with_signature(function):
    """The same function: Snakemake asks for its parameters several times per job, and need not find them anew."""
    function.__signature__ = signature(function)
    return function


def code(*names):
    """Param function: digest of scripts and the library code they run, so that a real edit makes their results stale.

    Several where the first looks others' code up by name, which the digest of the first does not see.
    """
    return with_signature(lambda wildcards: code_digest(names))


@cache
def code_digest(names):
    """The digests of scripts ``names``; only of rules that have jobs, since it takes seconds for all."""
    digests = [digests_of_code().of(LIBRARY / f"scripts/{name}.py") for name in names]
    return " ".join(sorted(set(digests)))


@cache
def digests_of_code():
    """Reads the import graph once."""
    return CodeDigests()


def experiment_of(wildcards):
    """The experiment that the wildcard ``exp`` names, itself or one of its folds."""
    exp_id = wildcards.exp.split("/")[0]
    if exp_id not in EXPERIMENTS:
        names = STUDY.names().names
        known = [
            f"\n  {exp_id} ({names[exp_id]})" if exp_id in names else f"\n  {exp_id}"
            for exp_id in EXPERIMENTS
        ]
        raise WorkflowError(
            f"study {STUDY.name} has no experiment {exp_id}; it has:{''.join(known)}"
        )
    return EXPERIMENTS[exp_id]


def cv_folder(wildcards):
    """Folder with the images of the fold that the wildcard ``exp`` names; None if it names no fold."""
    _, _, fold = wildcards.exp.partition("/")
    return f"runs/{DS}/cv/{fold}" if fold else None


def training_split(wildcards):
    """Roles of the images in a training: train and early stopping; in a fold those inside the other folds."""
    fold = cv_folder(wildcards)
    return f"{fold}/training.csv" if fold else f"runs/{DS}/split.csv"


def prediction_split(wildcards):
    """Roles of the images in a prediction; in a fold val is the fold itself."""
    fold = cv_folder(wildcards)
    return f"{fold}/prediction.csv" if fold else f"runs/{DS}/split.csv"


def evaluation_split(wildcards):
    """Roles of the images in calibration and scoring; with cross-validation all train and val images are val."""
    cv = "cv/" if experiment_of(wildcards).cv else ""
    return f"runs/{DS}/{cv}split.csv"


def calibration_maps(wildcards):
    """Predictions that thresholds are chosen on: of val images, or out-of-fold; and their digest."""
    experiment = experiment_of(wildcards)
    name = "oof" if experiment.cv and not experiment.traits.members else "val"
    return large(f"{experiment_folder(experiment)}/{name}.pred.parquet")


def measured(folder):
    """What was measured on training images, by which deep images and those of channels are read; else none."""
    return f"{folder}/scaling.json" if STUDY.dataset.measures_pixels else []


# The packed images and their option, if post-processing may be by a dense CRF, which looks at them; else none.
CRF_IMAGES, CRF_OPTION = [], ""
if STUDY.calibrate.needs_images:
    CRF_IMAGES = [
        *pack_inputs(f"runs/{DS}/packed", "images"),
        *([measured(f"runs/{DS}/packed")] if measured(f"runs/{DS}/packed") else []),
    ]
    CRF_OPTION = f"--pack runs/{DS}/packed"


@with_signature
def pack_folder(wildcards, input):
    """Folder of a rule's packed images, and masks."""
    return Path(input.pack[0]).parent


def subset_file(wildcards):
    """The subset of training images of an experiment, or of one of its folds."""
    fold = cv_folder(wildcards)
    if fold:
        return f"{fold}/subset.csv"
    return subset_of(experiment_of(wildcards))


def subset_of(experiment):
    """The subset of training images of an experiment without folds."""
    return f"runs/{DS}/subsets/{experiment.subset}_s{experiment.seed}.csv"


def training_inputs(wildcards):
    """Further inputs of a training, by name: what the traits of its experiment call for."""
    traits = experiment_of(wildcards).traits
    inputs = prompt_inputs(wildcards)
    if scaling := measured(cv_folder(wildcards) or f"runs/{DS}/packed"):
        inputs["scaling"] = scaling
    if traits.base_name:
        inputs |= base_inputs(traits)
    if traits.tile_pack:
        tiles = f"runs/{DS}/packed/{traits.tile_pack}"
        inputs["tiles"] = pack_inputs(tiles, "images", "masks")
    if traits.label_table:
        inputs["labels"] = f"runs/{DS}/yolo/{traits.label_table}.parquet"
    if traits.prompt_file:
        inputs["prompt_settings"] = f"runs/{DS}/settings/prompts.yaml"
    if traits.train_prompt_source:
        inputs["train_prompts"] = (
            f"runs/{DS}/prompts/{prompts_path(traits.train_prompt_source, 'mask')}"
        )
    if traits.init_from:
        inputs["init_from"] = ancient(traits.init_from.as_posix())
    return inputs


def initial_weights(wildcards):
    """Digest of the user's weights that a training starts from, if it does."""
    path = experiment_of(wildcards).traits.init_from
    memo = Path(f"runs/{DS}/settings/initial_weights.json")
    return read_sources([path], memo).digest if path else ""


def prediction_inputs(wildcards):
    """Further inputs of a prediction, by name: prompts, and base weights that the trained ones are loaded on top of."""
    traits = experiment_of(wildcards).traits
    base = base_inputs(traits) if traits.predicts_with_base else {}
    return prompt_inputs(wildcards) | base


def prompt_inputs(wildcards):
    """The file of an experiment's prompts as an input by name; none if it has no such file."""
    traits = experiment_of(wildcards).traits
    if not traits.prompt_file:
        return {}
    return {"prompts": f"runs/{DS}/prompts/{traits.prompt_file}"}


def base_inputs(traits):
    """The file of base weights of an experiment with these traits, and its digest, as inputs by name."""
    base, digest = large(base_file(traits))
    return {"base": base, "base_digest": digest}


def base_file(traits):
    """The file of base weights of an experiment with these traits."""
    return f"weights/{traits.base_name}.safetensors"


OF_SOME_EXPERIMENTS = (
    "base init_from prompts prompt_settings train_prompts labels scaling".split()
)


def input_options(wildcards, input):
    """Options of a script for those inputs that only some experiments have."""
    options = [
        f"--{name.replace('_', '-')} {quote(input[name])}"
        for name in input.keys()
        if name in OF_SOME_EXPERIMENTS
    ]
    if "tiles" in input.keys():
        options.append(f"--tiles {quote(str(Path(input.tiles[0]).parent))}")
    return " ".join([*options, features_option(experiment_of(wildcards))])


def features_option(experiment):
    """The option that names the folder of cached features, of an experiment that caches them."""
    cached = experiment.traits.caches_features
    return f"--features runs/{DS}/embeddings" if cached else ""


def gpu_launcher(gpu, log):
    """Param function: the module that starts a script on as many GPUs as the job has and records their use, or plainly.

    ``log`` is the rule's, with wildcards. (A loop's variables have no place in
    `shell:`, which is evaluated when the job runs, and then with the values that they had last.)
    """

    def options(wildcards, resources):
        if not gpu:
            return "-m defectbench.job"
        usage = log.format(**dict(wildcards.items()))
        return (
            f"-m defectbench.on_gpu --devices {resources.gpu}"
            f" --usage {quote(usage)}.gpu.json"
        )

    return options


def training_threads(wildcards):
    """CPU threads of a training: those of each process, of which every GPU has one."""
    return experiment_of(wildcards).traits.threads * gpus(wildcards)


def experiment_folder(experiment):
    """Folder of an experiment."""
    return f"runs/{DS}/{experiment.family}/{experiment.exp_id}"


def metrics_files(family=None):
    """The metrics of all experiments, or of those of one family."""
    experiments = STUDY.experiments if family is None else STUDY.of_family(family)
    return [
        f"{experiment_folder(experiment)}/metrics.json" for experiment in experiments
    ]


def refuse_target(message):
    """Input function that stops with ``message``: of targets that this study cannot make."""

    def stop(wildcards):
        raise WorkflowError(message)

    return stop


def family_metrics(family):
    """Input function: the metrics of a family's experiments; stops if there are none."""
    if STUDY.of_family(family):
        return lambda wildcards: metrics_files(family)
    present = sorted({experiment.family for experiment in STUDY.experiments}) or [
        "none"
    ]
    return refuse_target(
        f"study {STUDY.name} has no experiment of family {family}; it has: {', '.join(present)}"
    )


def map_experiments():
    """The experiments that predict maps: all but the detectors."""
    return [
        experiment
        for experiment in STUDY.experiments
        if not experiment.traits.is_detector
    ]


def detectors():
    """The experiments that predict boxes alone."""
    return [
        experiment for experiment in STUDY.experiments if experiment.traits.is_detector
    ]


def experiment_constraint(experiments):
    """Wildcard constraint for what is trained of ``experiments``: themselves, or their folds."""
    ids = [
        (
            rf"{re.escape(experiment.exp_id)}/fold[0-9]+"
            if experiment.cv
            else re.escape(experiment.exp_id)
        )
        for experiment in experiments
    ]
    return "|".join(ids) or "(?!)"


def constraint_without(experiments, pattern):
    """Wildcard constraint ``pattern``, without what is trained of ``experiments``."""
    return rf"(?!(?:{experiment_constraint(experiments)})/)(?:{pattern})"


def experiment_files(*names):
    """Input function: files ``names`` of every experiment of the study that predicts maps."""
    return lambda wildcards: large(
        *(
            f"{experiment_folder(experiment)}/{name}"
            for experiment in map_experiments()
            for name in names
        )
    )


def result_files(*names):
    """Files of this study's results folder."""
    return [f"results/{STUDY.name}/{name}" for name in names]


def print_leaderboard():
    """Print the study's leaderboard at the end of a run that made one."""
    path = Path(result_files("leaderboard.md")[0])
    if path.is_file():
        print(f"\n{path.read_text(encoding='utf-8')}\n{path}")

"""What every rule must have, so that nothing of it is stale unseen, unlogged, or without a limit on a cluster.

The rules are those of the loaded workflow, so that those made by loops count one by one; the jobs are those planned for
the demo study, to which cross-validation, ensembles and a shared training are added.
"""

import re
from collections import defaultdict
from pathlib import Path

import pytest
import yaml
from manifest_rows import image, manifest
from tiny_study import CONFIG, ROOT, Project
from workflow_listing import list_workflow

from defectbench.code_digest import CodeDigests
from defectbench.config.families.registry import FAMILIES
from defectbench.config.study import load_study
from defectbench.data.manifest import write_manifest

# Ids below have these, whatever the demo's own are.
DEFAULTS = {"encoder": "resnet18", "lr": 0.001, "loss": "dice_bce", "images_seen": 2400, "eval_every": 50}
UNET = "unet-resnet18_full_none_native_lr-0.001_loss-dice-bce_images-seen-2400_eval-every-50"
YOLO = "yolov8-seg-p_full_none_384_images-seen-2400_eval-every-50"
MORE = [
    {"model": "unet", "tta": ["none", "hflip"], "cv": 3},
    {"model": "yolov8-seg", "scale": "p", "img_size": "384", "cv": 3},
    {"model": "yolov8-seg", "scale": "p", "img_size": "384"},
    {"model": "yolov8-seg", "weights": "coco"},
    {"model": "tophat_otsu", "cv": 3},
    {"model": "sam2", "init": "random", "prompt": "full_box"},
    {"model": "sam2", "init": "random", "tune": "full", "train_prompts": f"{UNET}_cv3"},
    {"model": "sam3", "size": "nano", "init": "random", "phrases": "defect"},
    {"model": "ensemble", "members": [UNET, YOLO], "weights": "fitted"},
    {"model": "ensemble", "members": [f"{UNET}_cv3", f"{YOLO}_cv3"]},
]
# Files with the truth of any image.
LABELS = re.compile(r"manifest|masks\.|/yolo/[^/]+$|/source/|/prompts/oracle/")
ORACLE = re.compile(r"/prompts/oracle/")
# Not predict_images: its images have no labels, and the manifest says what they must look like.
PREDICTING = re.compile(r"predict_(?!images$)\w+|cascade_prompts")
CHOOSING_THRESHOLDS = re.compile(r"calibrate|box_threshold")


class Listing:
    """The rules, those planned as jobs, and the experiments by id."""

    def __init__(self, folder: Path) -> None:
        project = Project(folder)
        demo = yaml.safe_load((ROOT / "config/config.yaml").read_text())
        (folder / "images").mkdir()
        (folder / "images/new.png").touch()
        configfile = project.config(
            "config/config.yaml",
            defaults=DEFAULTS,
            experiments=[*demo["experiments"], *MORE],
            split={**demo["split"], "n_folds": 3},
            predict_images={"images": str(folder / "images"), "experiment": f"{UNET}_s42"},
        )
        experiments = load_study(yaml.safe_load((folder / configfile).read_text())).experiments
        self.experiments = {experiment.exp_id: experiment for experiment in experiments}
        self.rules, self.jobs = list_workflow(project, "all", "predict_images", configfile=configfile)

    def inputs(self, rules: re.Pattern[str]) -> dict[tuple[str, str], list[str]]:
        """Inputs of the jobs of some rules, by rule and experiment or fold."""
        inputs = defaultdict(list)
        for job in self.jobs:
            if rules.fullmatch(job.rule):
                inputs[job.rule, job.exp] += job.inputs
        return inputs


@pytest.fixture(scope="module")
def listing(tmp_path_factory) -> Listing:
    return Listing(tmp_path_factory.mktemp("listing"))


def test_rules_made_by_loops_are_listed_one_by_one(listing):
    names = {rule.name for rule in listing.rules}
    assert {"ingest", "train_unet", "predict_sam2_head", "score", "leaderboard", "plot_cost", "plot_training"} <= names
    assert len(names) == len(listing.rules) > 60


def test_every_rule_has_log_benchmark_threads_and_environment(listing):
    for part in ("log", "benchmark", "threads", "conda"):
        assert [rule.name for rule in listing.rules if not getattr(rule, part)] == []


def test_every_rule_has_limits_that_grow_with_each_attempt(listing):
    assert [rule.name for rule in listing.rules if not {"mem_mb", "runtime"} <= set(rule.growing)] == []


def test_every_job_has_memory_and_time(listing):
    computing = {rule.name for rule in listing.rules}
    jobs = [job for job in listing.jobs if job.rule in computing]
    assert len(jobs) > 150
    for resource, least in (("mem_mb", 500), ("runtime", 5)):
        values = [(job.rule, job.resources[resource]) for job in jobs]
        assert [rule for rule, value in values if value is not None and value < least] == []


def test_memory_grows_with_the_largest_image_of_the_manifest(tmp_path):
    project = Project(tmp_path)
    folder = tmp_path / "runs" / load_study(yaml.safe_load((tmp_path / CONFIG).read_text())).dataset.name
    asked = []
    for side in (20, 12_000):
        folder.mkdir(parents=True, exist_ok=True)
        write_manifest(folder / "manifest.parquet", manifest(image("small"), image("large", size=(side, 16_000))))
        for name in ("issues.csv", "ingest_notes.csv"):
            (folder / name).touch()
        _, jobs = list_workflow(project, str((folder / "card.md").relative_to(tmp_path)), configfile=CONFIG)
        asked += [job.resources["mem_mb"] for job in jobs if job.rule == "card"]
    assert asked[1] - asked[0] == pytest.approx(8 * (12_000 - 20) * 16_000 / 1e6, abs=2)


def test_every_rule_runs_the_script_of_its_name_whose_digest_it_has(listing):
    digests = CodeDigests()
    for rule in listing.rules:
        script = ROOT / "workflow/scripts" / f"{rule.name}.py"
        assert Path(rule.script) == Path("workflow/scripts") / script.name
        assert "{input.script:q}" in rule.command
        # Also others' digests, where a script looks their code up by name.
        assert digests.of(script) in rule.code.split(), rule.name


def test_every_script_of_a_rule_says_what_the_user_can_do_about_an_error(listing):
    scripts = [ROOT / "workflow/scripts" / f"{rule.name}.py" for rule in listing.rules]
    assert [path.name for path in scripts if "\n@run_script\n" not in path.read_text(encoding="utf-8")] == []


def test_a_gpu_job_takes_a_device_of_its_own_and_no_other_does(listing):
    gpu = {rule.name for rule in listing.rules if "gpu" in rule.resources}
    assert {"train_unet", "predict_cascade", "predict_images"} <= gpu
    jobs = {job.rule for job in listing.jobs if job.resources.get("gpu", 0) > 0}
    assert jobs == gpu & {job.rule for job in listing.jobs}
    assert jobs == {job.rule for job in listing.jobs if "-m defectbench.on_gpu " in job.command}


def test_commands_are_text_alone():
    """`shell:` is evaluated when a job runs: the variables of a loop that makes rules have their last values then."""
    n_commands = 0
    for path in sorted((ROOT / "rules").glob("*.smk")):
        text = path.read_text(encoding="utf-8")
        for block in re.findall(r"^( *)shell:\n((?:\1 +.*\n|\n)*)", text, re.M):
            lines = [line.strip() for line in block[1].splitlines() if line.strip()]
            assert [line for line in lines if not re.fullmatch(r'"(?:[^"\\]|\\.)*"', line)] == [], path
            n_commands += 1
    assert n_commands > 30


def test_every_experiment_is_predicted_by_its_family(listing):
    predicted = {exp.split("/")[0] for _, exp in listing.inputs(PREDICTING) if exp}
    families = {listing.experiments[exp].family for exp in predicted}
    assert families == set(FAMILIES) - {"ensemble"}
    # What is averaged is what members predicted.
    assert {listing.experiments[exp].family for exp in set(listing.experiments) - predicted} == {"ensemble"}


def test_base_weights_are_an_input_of_what_reads_them(listing):
    with_base = defaultdict(set)
    for job in listing.jobs:
        if job.exp in listing.experiments and listing.experiments[job.exp].traits.base_name:
            family, reads_base = listing.experiments[job.exp].family, any(p.startswith("weights/") for p in job.inputs)
            with_base[family, job.rule] |= {reads_base}
    # Trained weights of YOLO are complete; the others' are loaded on top of the base weights.
    assert with_base["yolo", "train_yolo"] == {True}
    assert with_base["yolo", "predict_yolo"] == {False}
    for family in ("sam2", "sam2_head", "sam3"):
        assert with_base[family, f"predict_{family}"] == {True}


def test_prediction_is_given_no_labels(listing):
    inputs = listing.inputs(PREDICTING)
    oracle = set()
    for (rule, exp), paths in inputs.items():
        labels = [path for path in paths if LABELS.search(path)]
        if labels and all(map(ORACLE.search, labels)):
            oracle.add(exp)
        else:
            assert labels == [], (rule, exp)
    # The oracle track, whose prompts are of the truth.
    assert oracle == {exp for exp in listing.experiments if re.match(r"sam2-\S+_box_|cascade-oracle", exp)}
    assert len(oracle) >= 3


def test_trainings_are_prompted_with_out_of_fold_predictions_alone(listing):
    prompts = f"runs/steel_demo/prompts/{UNET}_cv3_s42/mask.parquet"
    (training,) = (job for job in listing.jobs if prompts in job.inputs)
    assert listing.experiments[training.exp].settings.train_prompts == f"{UNET}_cv3_s42"
    assert f"--train-prompts {prompts}" in training.command
    (drawn,) = (job for job in listing.jobs if f"--out {prompts}" in job.command)
    maps = f"runs/steel_demo/unet/{UNET}_cv3_s42/oof.pred.parquet"
    assert [path for path in drawn.inputs if ".pred." in path] == [maps, f"{maps}.sha256"]


def test_thresholds_are_chosen_without_anything_of_the_test_images(listing):
    inputs = listing.inputs(CHOOSING_THRESHOLDS)
    assert {rule for rule, _ in inputs} == {"calibrate", "box_threshold"}
    assert [path for paths in inputs.values() for path in paths if re.search(r"/test\.", path)] == []

"""No automatic row depends on the truth of the test images: every family through the workflow, then with noise.

A cheat can read that truth when it predicts, or memorise it in training: so first the trained models predict again,
then all are trained again. Rows of the oracle track are the control: they must change.
"""

import io
import json

import numpy as np
import pandas as pd
import pytest
import yaml
from tiny_study import Project

from defectbench.config.families.registry import FAMILIES
from defectbench.config.study import load_study
from defectbench.data.manifest import read_manifest
from defectbench.data.prompt_file import read_prompts
from defectbench.data.rle import encode_severstal
from defectbench.data.synthetic import CLASSES, image_names

pytestmark = pytest.mark.slow

SIZE = (32, 96)
ROLES = dict(zip(image_names(40), ("train", "val", "train", "test") * 10, strict=True))
BUDGET = "batch-size-4_steps-4_eval-every-2"
UNET = f"unet-resnet18_full_none_native_threads-1_{BUDGET}"
YOLO, YOLO_BOXES = (
    f"{model}-p_full_none_96_lr-0.01_threads-1_batch-size-1_steps-80_eval-every-40"
    for model in ("yolov8-seg", "yolov8")
)
# With fewer steps its maps are the same for all images.
YOLO_KEYS = {"scale": "p", "img_size": "96", "steps": 80, "eval_every": 40, "batch_size": 1, "lr": 0.01}
STUDY = {
    "dataset": {
        "name": "unseen_steel",
        "format": "severstal_csv",
        "root": "runs/unseen_steel/source",
        "classes": {1: "pits", 2: "cracks", 3: "scratches", 4: "patches"},
        "synthetic": {"n_images": len(ROLES), "height": SIZE[0], "width": SIZE[1], "seed": 1},
    },
    # Of hardly trained networks dice_all keeps nothing: no prompts would follow.
    "calibrate": {"objective": "f1"},
    "experiments": [
        {"model": "unet"},
        {"model": ["yolov8-seg", "yolov8"], **YOLO_KEYS},
        {"model": "sam2", "prompt": "full_box"},
        {"model": "sam2", "name": "tuned", "prompt": ["full_box", "box"], "tune": "full", "train": "decoder"},
        {"model": "sam2_head"},
        {"model": "sam3", "size": "nano", "tune": ["none", "lora"], "phrases": "defect"},
        {
            "model": "cascade",
            "segmenter": "tuned_prompt-full-box",
            "prompts": [{"from": YOLO_BOXES}, {"from": UNET, "kind": "mask"}, {"from": "oracle", "noise": 0.1}],
        },
        {"model": "ensemble", "members": [UNET, YOLO], "weights": "fitted"},
        {"model": ["all_empty", "tophat_otsu"]},
        {"model": "tophat_otsu", "cv": 2},
    ],
}
DATA = "runs/unseen_steel"
# What automatic rows consist of, thresholds and prompts included, below DATA.
OUTCOMES = (
    *("*/*/*.pred.parquet", "*/*/*.boxes.parquet", "*/*/fold*/*.pred.parquet"),
    *("*/*/calibration.json", "*/*/ensemble.json", "prompts/*/*.parquet", "prompts/*/threshold.json"),
)
# Files with the truth of all images.
TRUTHS = (
    *("manifest.parquet", "packed/masks.bin", "packed/masks.parquet", "prompts/oracle/box.parquet"),
    *("yolo/polygons_merged.parquet", "yolo/boxes_merged.parquet"),
)
WITHOUT_TRAINING = (
    *("ingest", "pack", "yolo_labels", "prompts"),
    *(f"predict_{name}" for name in ("unet", "yolo", "yolo_boxes", "sam2", "sam2_head", "sam3", "reference")),
    *("calibrate", "box_threshold", "cascade_prompts", "predict_cascade", "average_members", "cv_gather"),
)


class Study:
    """A copy of the project that predicts with every family."""

    def __init__(self, folder):
        self.project = Project(folder)
        self.data = folder / DATA
        # Otherwise no box of a hardly trained detector counts.
        self.project.edit("workflow/defectbench/families/cascade/prompts.py", b"MIN_SCORE = 0.01", b"MIN_SCORE = 0.001")
        # Roles that are drawn again would follow the truth: strata are made of it.
        pd.DataFrame(ROLES.items(), columns=["image", "split"]).to_csv(folder / "roles.csv", index=False)
        split = {"file": {"path": str(folder / "roles.csv")}, "n_folds": 2, "inner_val": 0.5}
        self.config = self.project.config("config/test/chaos.yaml", **STUDY, split=split)
        self.experiments = load_study(yaml.safe_load((folder / self.config).read_text())).experiments

    def run(self, *options):
        """Predict with all experiments, by Snakemake."""
        kinds = {True: "boxes", False: "pred"}
        wanted = [f"{one.family}/{one.exp_id}/test.{kinds[one.traits.is_detector]}.parquet" for one in self.experiments]
        targets = [f"{DATA}/{name}" for name in (*wanted, *TRUTHS)]
        done = self.project.snakemake(
            *targets, "--cores", "2", "--resources", "gpu=2", *options, configfile=self.config
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def outcomes(self):
        """Bytes of all predictions, thresholds and prompts by path: of the automatic track, and of the oracle track."""
        automatic, oracle = {}, {}
        for path in (path for pattern in OUTCOMES for path in sorted(self.data.glob(pattern))):
            outcomes = oracle if self.is_of_oracle(path) else automatic
            outcomes[path.relative_to(self.data).as_posix()] = path.read_bytes()
        return automatic, oracle

    def is_of_oracle(self, path):
        """Whether an outcome belongs to the oracle track."""
        if path.is_relative_to(self.data / "prompts"):
            return path.parent.name == "oracle"
        return json.loads((path.parent / "run.json").read_text())["experiment"]["track"] == "oracle"

    def truths(self):
        """Bytes of the files with the truth."""
        return {name: (self.data / name).read_bytes() for name in TRUTHS}

    def make_noise(self):
        """Replace the labels of the test images by noise, and forget all outcomes."""
        labels, rng = self.data / "source/train.csv", np.random.default_rng(0)
        table = pd.read_csv(labels)
        test = [name for name, role in ROLES.items() if role == "test"]
        rows = [(name, value, encode_severstal(rng.random(SIZE) < 0.1)) for name in test for value in CLASSES]
        noise = pd.DataFrame(rows, columns=table.columns)
        pd.concat([table[~table["ImageId"].isin(test)], noise]).to_csv(labels, index=False)
        for path in (path for pattern in OUTCOMES for path in self.data.glob(pattern)):
            path.unlink()


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """The study, run with the truth, its outcomes in ``automatic`` and ``oracle``; then the truth of test is noise."""
    study = Study(tmp_path_factory.mktemp("unseen"))
    study.run()
    study.automatic, study.oracle = study.outcomes()
    study.truth = study.truths()
    study.make_noise()
    return study


def changed(before, after):
    """Names of the files that are not the same in both."""
    return sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))


def test_every_family_predicts_and_what_makes_prompts_finds_something(study):
    assert {name.split("/")[0] for name in study.automatic} == {*FAMILIES, "prompts"}
    for source, kind in ((UNET, "mask"), (YOLO_BOXES, "box")):
        content = study.automatic[f"prompts/{source}_s42/{kind}.parquet"]
        prompts = read_prompts(io.BytesIO(content), f"{source}_s42")
        assert any(prompts[name] for name, role in ROLES.items() if role == "test"), source


def test_no_automatic_prediction_changes_with_the_truth_of_the_test_images(study):
    study.run("--allowed-rules", *WITHOUT_TRAINING)
    assert changed(study.truth, study.truths()) == sorted(TRUTHS)
    automatic, oracle = study.outcomes()
    assert changed(study.automatic, automatic) == []
    # The val images keep their truth.
    of_test = [name for name in study.oracle if not name.endswith("val.pred.parquet")]
    assert len(of_test) == 4, "two models prompted with the truth, and these prompts"
    assert changed(study.oracle, oracle) == sorted(of_test)


def test_no_training_keeps_the_truth_of_the_test_images(study):
    study.run()
    digest = read_manifest(study.data / "manifest.parquet").digest()
    records = [json.loads(path.read_text()) for path in study.data.glob("*/*/run.json")]
    assert {record["data_digest"] for record in records} == {digest}, "all were trained again"
    assert changed(study.automatic, study.outcomes()[0]) == []

"""Cross-validation in the workflow: three folds, test-time augmentation, an ensemble, a submission, an audit."""

import json

import pandas as pd
import pytest
from tiny_study import Project

from defectbench.inference.prediction_file import PredictionFile

FOLDED = "runs/folded_steel/unet/unet-tu-test-resnet_full_none_native_task-per-class_tta-hflip_threads-1"
FOLDED += "_batch-size-4_steps-4_cv3_s42"


@pytest.fixture(scope="module")
def folded(tmp_path_factory):
    project = Project(tmp_path_factory.mktemp("folded"))
    targets = [f"{FOLDED}/{name}" for name in ("cv.json", "submission.csv", "label_audit/label_audit.csv")]
    done = project.snakemake(*targets, "--cores", "2", "--resources", "gpu=1", configfile="config/test/folds.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    return project


def test_every_train_and_val_image_is_predicted_once_out_of_fold(folded):
    data = folded.folder / "runs/folded_steel"
    split = pd.read_csv(data / "split.csv")
    oof = PredictionFile(folded.folder / FOLDED / "oof.pred.parquet").image_ids()
    assert oof == sorted(split.loc[split["role"] != "test", "image_id"])
    for fold in range(3):
        training = pd.read_csv(data / f"cv/fold{fold}/training.csv")
        predicted = PredictionFile(folded.folder / FOLDED / f"fold{fold}/val.pred.parquet").image_ids()
        assert not set(predicted) & set(training["image_id"])


def test_the_folds_are_trained_once_and_predicted_with_and_without_the_mirrored_view(folded):
    plain = folded.folder / FOLDED.replace("_tta-hflip", "")
    for fold in range(3):
        mirrored = folded.folder / FOLDED / f"fold{fold}"
        run = json.loads((mirrored / "run.json").read_text())
        assert (run["trained_in"], run["settings"]["tta"]) == (
            f"{plain.relative_to(folded.folder)}/fold{fold}",
            "hflip",
        )
        weights = [(where / "model/weights.safetensors").read_bytes() for where in (mirrored, plain / f"fold{fold}")]
        assert weights[0] == weights[1]
        assert not (mirrored / "logs/train_unet.log").exists()


def test_what_comes_of_it(folded):
    folder = folded.folder / FOLDED
    metrics = json.loads((folder / "cv.json").read_text())
    assert metrics["n_folds"] == 3
    assert sum(metrics["n_images"].values()) == len(PredictionFile(folder / "oof.pred.parquet").image_ids())
    assert len(json.loads((folder / "run.json").read_text())["members"]) == 3
    report = json.loads((folder / "submission.json").read_text())
    table = pd.read_csv(folder / "submission.csv")
    assert len(table) == 4 * report["n_images"]
    if table["EncodedPixels"].isna().all():
        assert report["dice_kaggle"] == report["dice_kaggle_empty"]
    assert (folder / "label_audit/findings.csv").exists()


def test_the_results_table_waits_for_what_cross_validation_found(folded):
    (folded.folder / FOLDED / "cv.json").unlink()
    stale = folded.stale("results/folds/results.csv", configfile="config/test/folds.yaml")
    # The experiment without the mirrored view had not been evaluated.
    assert (stale["cv_metrics"], stale["results"]) == (2, 1)


def test_another_inner_val_retrains_the_folds_and_nothing_before_them(folded):
    text = (folded.folder / "config/test/folds.yaml").read_text()
    (folded.folder / "changed.yaml").write_text(text.replace("n_folds: 3", "n_folds: 3, inner_val: 0.3"))
    stale = folded.stale(f"{FOLDED}/cv.json", configfile="changed.yaml")
    assert stale["cv_fold"] == stale["train_unet"] == stale["share_training"] == 3
    assert not stale.keys() & {"ingest", "split", "folds", "pack"}


@pytest.mark.slow
def test_promptable_networks_that_see_the_image_alone_are_cross_validated(tmp_path):
    project = Project(tmp_path / "project")
    nano = {"size": "nano", "init": "random"}
    entries = [
        {"model": "sam2_head", **nano, "tune": ["head", "lora"]},
        {"model": "sam2", **nano, "tune": "lora", "prompt": "full_box"},
        {"model": "sam3", **nano, "tune": "lora", "phrases": "defect", "accumulate": 1},
    ]
    study = {
        "split": {"train": 0.6, "val": 0.2, "test": 0.2, "seed": 42, "n_folds": 2},
        "defaults": {"batch_size": 4, "steps": 2, "threads": 1, "cv": 2},
        "experiments": entries,
    }
    configfile = project.config(like="config/test/folds.yaml", **study)
    results = "results/folds/results.csv"
    done = project.snakemake(results, "--cores", "2", "--resources", "gpu=1", configfile=configfile)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
    table = pd.read_csv(project.folder / results)
    assert table["cv_folds"].tolist() == [2, 2, 2, 2]
    assert set(table["track"]) == {"automatic"}

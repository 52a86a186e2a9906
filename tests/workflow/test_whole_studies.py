"""Whole studies of unusual data with every kind of experiment, from the labels to the page."""

import cv2
import pandas as pd
import pytest
import yaml
from deep_datasets import as_tiff, noise, write_deep
from tiny_study import Project

pytestmark = pytest.mark.slow
CONFIG = "config/unusual.yaml"
N_IMAGES = 16
DEFAULTS = {"encoder": "tu-test_resnet", "batch_size": 4, "steps": 4, "eval_every": 2, "threads": 1}
SAM2 = {"model": "sam2", "size": "nano", "init": "random", "tune": "full"}
YOLO = {"model": "yolov8", "scale": "p", "img_size": "96"}


def write_study(project, experiments, dataset, **sections):
    study = {"study": "unusual", "defaults": DEFAULTS, "experiments": experiments}
    study["dataset"] = {"name": "unusual", "format": "mask_folder", "root": "data", "classes": {1: "dent"}} | dataset
    study["split"] = {"train": 0.5, "val": 0.25, "test": 0.25, "seed": 1, "n_folds": 2}
    study["report"] = {"bootstrap_draws": 200, "gallery_images": 2}
    (project.folder / CONFIG).write_text(yaml.safe_dump(study | sections))


def run(project, *targets):
    done = project.snakemake(*targets, "--cores", "2", "--resources", "gpu=2", configfile=CONFIG)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
    return project.folder / "results" / "unusual"


def test_a_study_of_deep_images_of_five_channels(tmp_path):
    project = Project(tmp_path / "project")
    files = {f"{seed}.tif": as_tiff(noise(5, "uint16", seed)) for seed in range(N_IMAGES)}
    write_deep(project.folder / "data", files)
    new = project.folder / "new"
    new.mkdir()
    (new / "a.tif").write_bytes(files["0.tif"])
    experiments = [
        {"model": "unet", "name": "plain"},
        {"model": "unet", "name": "folds", "cv": 2},
        {"model": "unet", "name": "pair", "input_channels": [[0, 2]]},
        {"model": "ensemble", "name": "both", "members": ["plain", "pair"]},
        YOLO | {"name": "detector", "input_channels": [[4, 2, 0]]},
        SAM2 | {"name": "prompted", "input_channels": [[1]]},
        {"model": "cascade", "segmenter": "prompted", "prompts": {"from": "detector"}},
        {"model": "tophat_otsu"},
    ]
    write_study(
        project,
        experiments,
        {"channels": 5, "scaling": {}},
        predict_images={"images": "new", "experiment": "plain"},
    )
    results = run(project, "all", "predict_images")
    table = pd.read_csv(results / "results.csv")
    assert len(table) == 7  # all but the detector, which draws no maps
    assert table["test_Dice"].between(0, 1).all()
    assert (results / "index.html").is_file()
    assert cv2.imread(str(next((results / "predict_images").rglob("*.png")))) is not None


def test_a_study_with_pixels_that_nobody_decided(tmp_path):
    project = Project(tmp_path / "project")
    data = project.folder / "data"
    files = {f"{seed}.tif": as_tiff(noise(1, "uint8", seed)) for seed in range(N_IMAGES)}
    write_deep(data, files)
    for path in (data / "masks").iterdir():
        mask = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        mask[:, :6] = 255
        cv2.imwrite(str(path), mask)
    experiments = [
        {"model": "unet", "name": "plain"},
        {"model": "unet", "name": "other", "loss": "dice_bce"},
        {"model": "unet", "name": "folds", "cv": 2},
        {"model": "ensemble", "name": "both", "members": ["plain", "other"]},
        YOLO | {"name": "detector"},
        SAM2 | {"name": "prompted", "train_prompts": "folds"},
        {"model": "cascade", "segmenter": "prompted", "prompts": [{"from": "detector"}, {"from": "plain"}]},
        {"model": ["all_empty", "all_full", "tophat_otsu"]},
    ]
    write_study(project, experiments, {"ignore": 255})
    results = run(project)
    table = pd.read_csv(results / "results.csv").set_index("model")
    manifest = pd.read_parquet(project.folder / "runs" / "unusual" / "manifest.parquet")
    n_test = (pd.read_csv(project.folder / "runs/unusual/split.csv")["role"] == "test").sum()
    assert table["n_pixels_ignored"].unique().tolist() == [6 * manifest["height"][0] * n_test]
    audit = next(iter((project.folder / "runs/unusual/unet").glob("*cv2*"))).relative_to(project.folder)
    run(project, f"{audit}/label_audit/label_audit.csv", "runs/unusual/export/coco")
    assert (results / "index.html").is_file()

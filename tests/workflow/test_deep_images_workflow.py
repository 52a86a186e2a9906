"""Deep images in the workflow: who waits for the measuring of training images, and what other limits make stale."""

import pytest
import yaml
from deep_datasets import as_png, noise, write_deep
from tiny_study import Project
from workflow_listing import list_workflow

CONFIG = "config/deep.yaml"
UNET = "unet-tu-test-resnet_full_none_native_threads-1_batch-size-4_steps-4"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    project = Project(tmp_path_factory.mktemp("deep"))
    write_deep(project.folder / "data", {f"{seed}.png": as_png(noise(1, "uint16", seed)) for seed in range(9)})
    write_study(project)
    return project


def write_study(project, **scaling):
    dataset = {"name": "deep", "format": "mask_folder", "root": "data", "classes": {1: "dent"}, "scaling": scaling}
    study = {"study": "deep", "dataset": dataset, "split": {"seed": 1, "n_folds": 2}}
    study["defaults"] = {"encoder": "tu-test_resnet", "batch_size": 4, "steps": 4, "threads": 1}
    study["experiments"] = [{"model": "unet"}, {"model": "unet", "cv": 2}]
    (project.folder / CONFIG).write_text(yaml.safe_dump(study))


def test_trainings_wait_for_the_limits_of_their_own_training_images(project):
    audit = f"runs/deep/unet/{UNET}_cv2_s42/label_audit/label_audit.csv"
    _, jobs = list_workflow(project, "all", audit, configfile=CONFIG)
    limits = {}
    for job in jobs:
        limits.setdefault((job.rule, job.exp), []).extend(path for path in job.inputs if path.endswith("scaling.json"))
    of_dataset = ["runs/deep/packed/scaling.json"]
    assert limits["train_unet", f"{UNET}_s42"] == of_dataset
    for fold in range(2):
        assert limits["train_unet", f"{UNET}_cv2_s42/fold{fold}"] == [f"runs/deep/cv/fold{fold}/scaling.json"]
    for rule, exp in (
        ("label_audit", f"{UNET}_cv2_s42"),
        ("page", ""),
        ("plot_gallery", ""),
        ("plot_augmentations", ""),
    ):
        assert limits[rule, exp] == of_dataset
    measured = {path for job in jobs if job.rule == "measure" for path in job.inputs if path.endswith(".csv")}
    assert measured == {"runs/deep/split.csv", *(f"runs/deep/cv/fold{fold}/training.csv" for fold in range(2))}


def test_other_limits_train_again_and_decode_nothing_again(project):
    target = f"runs/deep/unet/{UNET}_s42/metrics.json"
    project.pretend_to_compute(target, configfile=CONFIG)
    assert project.stale(target, configfile=CONFIG) == {}
    write_study(project, percentiles=[1, 99])
    jobs = ("measure", "train_unet", "predict_unet", "calibrate", "score")
    assert project.stale(target, configfile=CONFIG) == dict.fromkeys(jobs, 1)


def test_nothing_is_measured_of_8_bit_images(project):
    _, jobs = list_workflow(project, "all", configfile="config/test/tiny.yaml")
    assert not [job for job in jobs if job.rule == "measure" or any("scaling" in path for path in job.inputs)]

"""Sentences on trainings that have failed, from constructed histories."""

import numpy as np
import pandas as pd
import pytest

from defectbench.config.families.sam2 import Sam2Settings
from defectbench.config.families.unet import UNetSettings
from defectbench.config.families.yolo import YoloSettings
from defectbench.training.outcome import advise, find_problems

UNET = dict(UNetSettings(sampler="shuffle", loss="dice_bce", lr=2e-4))


def history(values, steps=None):
    return pd.DataFrame({"step": np.arange(len(values)) * 10 if steps is None else steps, "val_iou_fixed": values})


@pytest.mark.parametrize("values", [[0.0, 0.1, 0.0], [0.3, 0.2, 0.3], [0.0, 1e-6]])
def test_a_training_that_found_something_and_kept_its_start_has_no_problem(values):
    assert find_problems(history(values), "val_iou_fixed", UNET) == []


@pytest.mark.parametrize("values", [[0.0, 0.0, 0.0], [0.4, 0.0, 0.0], [0.0, 0.0, np.nan]])
def test_a_training_that_found_nothing_says_what_to_change(values):
    (problem,) = find_problems(history(values), "val_iou_fixed", UNET)
    assert problem.startswith("val_iou_fixed was 0 in every evaluation")
    for change in (
        "images_seen",
        "lr: 0.001 (now 0.0002)",
        "sampler: balanced",
        "loss: dice_focal",
        "pretrained weights",
    ):
        assert change in problem


def test_a_training_that_found_nothing_says_so_though_clean_images_score():
    rows = history([0.0, 0.0, 0.0]).assign(dice_all=[0.1, 0.48, 0.48])
    (problem,) = find_problems(rows, "dice_all", UNET)
    assert problem.startswith("val_iou_fixed was 0 in every evaluation")
    rows = history([0.1, 0.2, 0.3]).assign(dice_all=[0.48, 0.2, 0.4])
    assert "dice_all was 0.480 before it and 0.400 at its best" in find_problems(rows, "dice_all", UNET)[0]
    assert find_problems(rows.assign(val_iou_fixed=[0.0, 0.2, 0.3]), "dice_all", UNET) == []


def test_a_training_that_ends_below_its_start_says_what_to_change():
    (problem,) = find_problems(history([0.412, 0.2, 0.355]), "val_iou_fixed", UNET)
    assert "0.412 before it and 0.355 at its best" in problem
    assert "lower lr (now 0.0002)" in problem


def test_without_an_evaluation_before_training_there_is_no_start_to_compare_with():
    assert find_problems(history([0.3, 0.2], steps=[5, 10]), "val_iou_fixed", UNET) == []


def test_only_changes_that_the_family_has_are_advised():
    balanced = advise(dict(UNetSettings(sampler="balanced", loss="dice_focal")))
    assert "sampler" not in balanced
    assert "loss" not in balanced
    yolo = advise(dict(YoloSettings(model="yolov8-seg", weights="coco")))
    assert "another lr (now 0.001)" in yolo
    assert not {"sampler:", "loss:", "pretrained"} & set(yolo.split())
    zero_shot = advise(dict(Sam2Settings(tune="none")))
    assert "prompts" in zero_shot
    assert "lr" not in zero_shot.split()

"""Settings of the UNet family: what is refused before any job runs, and what an experiment is called."""

import re
import subprocess
import sys

import pytest
import yaml
from pydantic import ValidationError
from study_config import changed, problems_of
from tiny_study import ROOT

from defectbench.config.base import ConfigError
from defectbench.config.families.unet import UNetSettings
from defectbench.config.study import load_study

WEIGHTS = {"a": 2.0, "b": 1.5}


def exp_id(**keys):
    return load_study(changed(experiments=[{"model": "unet", "encoder": "resnet18", **keys}])).experiments[0].exp_id


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"encoder": "resnet19"}, "'resnet19' is not allowed; did you mean 'resnet18'?"),
        ({"encoder": "tu-"}, "'tu-' is not allowed"),
        ({"encoder": "tu-hf-hub:x/y"}, "is not allowed"),
        ({"model": "deeplabv3", "encoder": "vgg16_bn"}, "deeplabv3 cannot have the encoder 'vgg16_bn'"),
        ({"model": "linknet", "encoder": "mit_b2"}, "linknet cannot have the encoder 'mit_b2'"),
        ({"model": "deeplabv3plus", "batch_size": 1}, "batch_size must be at least 2"),
        ({"encoder": "resnext101_32x4d", "encoder_weights": "imagenet"}, "the library has none for 'resnext101_32x4d'"),
        ({"encoder_weights": "imagenet", "init_from": "w.safetensors"}, "exclude each other"),
        ({"pos_weight": 2.0}, "pos_weight has no effect on the loss 'dice_focal'; it goes with bce, combo"),
        ({"loss": "bce", "pos_weight": 0}, "must be greater than 0"),
        ({"loss": "bce", "task": "per_class", "pos_weight": {}}, "must be greater than 0"),
        ({"loss": "bce", "pos_weight": WEIGHTS}, "needs task 'per_class'"),
        ({"monitor": "val_mIoU"}, "Input should be 'val_iou_fixed', 'val_dice_fixed' or 'dice_all'"),
    ],
)
def test_impossible_settings_are_refused(keys, expected):
    with pytest.raises(ValidationError, match=re.escape(expected)):
        UNetSettings(**keys)


def test_pos_weight_must_name_the_classes_of_the_dataset():
    entry = {"model": "unet", "task": "per_class", "loss": "bce", "pos_weight": {"a": 2.0, "c": 1.0}}
    (problem,) = problems_of(changed(experiments=[entry]))
    assert "pos_weight names a, c; it must name a, b" in problem


def test_pos_weights_come_in_the_order_of_the_maps():
    settings = UNetSettings(task="per_class", loss="bce", pos_weight=WEIGHTS)
    assert settings.pos_weights(("b", "a")) == (1.5, 2.0)
    assert UNetSettings(loss="bce", pos_weight=3).pos_weights(("merged",)) == (3.0,)
    with pytest.raises(ConfigError, match="pos_weight names a, b; it must name a, z"):
        settings.pos_weights(("a", "z"))


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"model": "deeplabv3plus"}, "deeplabv3plus-resnet18_full_none_native_s42"),
        ({"encoder": "se_resnext50_32x4d"}, "unet-se-resnext50-32x4d_full_none_native_s42"),
        ({"encoder": "tu-convnext_tiny.fb_in1k"}, "unet-tu-convnext-tiny.fb-in1k_full_none_native_s42"),
        (
            {"task": "per_class", "loss": "bce", "pos_weight": dict(reversed(WEIGHTS.items()))},
            "unet-resnet18_full_none_native_task-per-class_loss-bce_pos-weight-a-2-b-1.5_s42",
        ),
        ({"schedule": "plateau", "warmup": 0.2}, "unet-resnet18_full_none_native_schedule-plateau_s42"),
        ({"cycles": 5}, "unet-resnet18_full_none_native_s42"),
    ],
)
def test_exp_ids_are_legible(keys, expected):
    assert exp_id(**keys) == expected


def test_exp_ids_tell_files_of_weights_of_one_name_apart():
    first, second = (exp_id(init_from=f"runs/d/unet/{name}/model/weights.safetensors") for name in "ab")
    assert first != second
    assert first.startswith("unet-resnet18_full_none_native_init-from-weights-")
    assert "/" not in first


def test_settings_survive_their_file(tmp_path):
    settings = UNetSettings(
        task="per_class", loss="bce", pos_weight=WEIGHTS, init_from="a/b.safetensors", schedule="cosine_restarts"
    )
    settings.write(tmp_path / "train.yaml")
    assert UNetSettings.read(tmp_path / "train.yaml") == settings


def test_the_configuration_is_checked_without_torch():
    code = "import sys; import defectbench.config.study; assert not {'torch', 'timm', 'lightning'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": str(ROOT / "workflow")})


def test_the_learning_rate_study_is_the_whole_grid(tmp_path):
    config = yaml.safe_load((ROOT / "config" / "unet_lr.yaml").read_text())
    config["dataset"] = changed()["dataset"]
    networks = [e for e in load_study(config).experiments if e.family == "unet"]
    points = {(e.model, e.settings.encoder, e.settings.lr) for e in networks}
    assert len(points) == len(networks) == 3 * 2 * 2

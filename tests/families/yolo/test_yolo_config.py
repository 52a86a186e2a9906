"""Settings of the YOLO family, and the published weights they may start from."""

import hashlib
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from pydantic import ValidationError

from defectbench.config.experiment import Experiment
from defectbench.config.families.yolo import YoloSettings
from defectbench.models import published
from defectbench.models.published import PublishedWeights, PublishedWeightsError, read_listing, read_published

LISTING = Path(__file__).resolve().parents[3] / "resources" / "weights.yaml"


def exp_id(**settings):
    return Experiment("yolo", "full", YoloSettings(**settings)).exp_id


def test_experiment_ids_name_network_and_size():
    assert exp_id(model="yolo11-seg") == "yolo11-seg-n_full_none_640_s42"
    assert exp_id(model="yolov8", scale="s", img_size="1600", lr=5e-4) == "yolov8-s_full_none_1600_lr-0.0005_s42"


def test_a_key_of_masks_makes_no_other_detector():
    assert exp_id(model="yolov8", mask_ratio=1) == exp_id(model="yolov8")
    assert exp_id(model="yolov8-seg", mask_ratio=1) != exp_id(model="yolov8-seg")


@pytest.mark.parametrize(
    ("settings", "allowed"),
    [
        ({"model": "yolov8n-seg"}, "yolov8-seg"),
        ({"model": "yolo11", "img_size": "100"}, "multiples of 32"),
        ({"model": "yolo11", "img_size": "native"}, "pattern"),
        ({"model": "yolo26-seg", "scale": "p", "weights": "coco"}, "allowed: 'none'"),
        ({"model": "yolo26-seg", "mosaic": 1}, "Extra inputs"),
    ],
)
def test_impossible_settings_are_refused(settings, allowed):
    with pytest.raises(ValidationError, match=allowed):
        YoloSettings(**settings)


def test_labels_follow_task_and_network():
    assert YoloSettings(model="yolov8-seg").labels == "polygons_merged"
    assert YoloSettings(model="yolov8", task="per_class").labels == "boxes"


@pytest.mark.parametrize("model", ["yolov8-seg", "yolo11-seg", "yolo26-seg", "yolov8", "yolo11", "yolo26"])
@pytest.mark.parametrize("scale", list("nsmlx"))
def test_published_weights_of_every_size_are_listed(model, scale):
    settings = YoloSettings(model=model, scale=scale, weights="coco")
    weights = read_listing(LISTING, settings.network_name)
    assert weights.url.endswith(f"/{settings.network_name}.pt")
    assert len(bytes.fromhex(weights.sha256)) == 32


def test_no_two_files_are_listed_with_one_digest():
    entries = yaml.safe_load(LISTING.read_text())
    assert len({entry["sha256"] for entry in entries.values()}) == len(entries)


def test_a_network_that_is_not_listed(tmp_path):
    with pytest.raises(PublishedWeightsError, match="no weights of yolo99n; it lists yolov8n"):
        read_listing(LISTING, "yolo99n")


def test_without_network_the_message_says_what_to_put_where(tmp_path, monkeypatch):
    def offline(*_, **__):
        raise OSError("network is unreachable")

    monkeypatch.setattr(published, "pooch", SimpleNamespace(retrieve=offline, HTTPDownloader=lambda **_: None))
    weights = PublishedWeights("yolo11n", "https://example.org/yolo11n.pt", "ab" * 32)
    with pytest.raises(PublishedWeightsError) as error:
        read_published(weights, tmp_path)
    for part in ("yolo11n.pt", weights.url, weights.sha256, str(tmp_path / "yolo11n.pt"), "network is unreachable"):
        assert part in str(error.value)


def test_a_file_put_there_by_hand_is_taken(tmp_path):
    (tmp_path / "a.pt").write_bytes(b"weights")
    weights = PublishedWeights("a", "https://example.org/a.pt", hashlib.sha256(b"weights").hexdigest())
    assert read_published(weights, tmp_path) == (tmp_path / "a.pt").read_bytes()


def test_a_file_of_another_digest_is_refused(tmp_path):
    (tmp_path / "a.pt").write_bytes(b"something else")
    with pytest.raises(PublishedWeightsError, match="its SHA-256 is"):
        read_published(PublishedWeights("a", "https://example.org/a.pt", "ab" * 32), tmp_path)

"""Label audit: planted label errors are found, each for its reason."""

import hashlib
import json

import cv2
import label_audit as script
import numpy as np
import pandas as pd
import pytest
from evaluation_fixtures import make_dataset

from defectbench.config.calibrate import CalibrateSettings
from defectbench.config.label_audit import LabelAuditSettings
from defectbench.data.manifest import read_manifest
from defectbench.data.packing import ImagePack
from defectbench.data.rle import decode_coco
from defectbench.data.write_packs import pack_images
from defectbench.evaluation.calibration import calibrate
from defectbench.evaluation.label_audit import find_regions, judge, rank_images
from defectbench.evaluation.truth import ValidationData
from defectbench.inference.prediction_file import PredictionFile
from defectbench.metrics.codes import codes_from_logits

SHAPE = (40, 80)
KINDS = ("missed label", "phantom label", "wrong class", "shifted outline")


def disc(x: int, y: int, radius: int) -> np.ndarray:
    mask = np.zeros(SHAPE, np.uint8)
    cv2.circle(mask, (x, y), radius, 1, -1)
    return mask.astype(bool)


def true_masks(n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Two classes; one image in three is clean."""
    masks = {}
    for index in range(n):
        own = np.zeros((2, *SHAPE), bool)
        if index % 3:
            own[index % 2] = disc(int(rng.integers(12, 68)), int(rng.integers(10, 30)), int(rng.integers(4, 9)))
        masks[f"{index:03d}.png"] = own
    return masks


def falsified(masks: np.ndarray, kind: str) -> np.ndarray:
    if kind == "missed label":
        return np.zeros_like(masks)
    if kind == "wrong class":
        return masks[::-1].copy()
    if kind == "shifted outline":
        return np.roll(masks, 5, axis=2)
    return np.stack([disc(20, 20, 7), np.zeros(SHAPE, bool)])


def model_maps(masks: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What a fair model would say of the image as it is: blurred, noisy, at times unsure or seeing things."""
    soft = masks * rng.choice([1.0, 0.6, 0.4], p=[0.8, 0.12, 0.08])
    if rng.random() < 0.1:
        alarm = disc(int(rng.integers(5, 75)), int(rng.integers(5, 35)), 4)
        soft[rng.integers(2)] += 0.6 * alarm
    blurred = np.stack([cv2.GaussianBlur(plane.astype(np.float32), (0, 0), 1.5) for plane in soft])
    noise = np.stack([cv2.GaussianBlur(rng.normal(0, 6, SHAPE).astype(np.float32), (0, 0), 3) for _ in soft])
    return codes_from_logits(8 * (blurred - 0.5) + noise)


def planted(folder, n, share, seed):
    """A dataset whose val labels are partly wrong, and predictions of a model that sees the image as it is."""
    rng = np.random.default_rng(seed)
    truth = true_masks(n, rng)
    wrong = {}
    free = {"phantom label": [i for i, m in truth.items() if not m.any()]}
    for number in range(round(share * n)):
        kind = KINDS[number % 4]
        pool = free.setdefault(kind, [i for i, m in truth.items() if m.any()])
        wrong[next(i for i in rng.permutation(pool) if i not in wrong)] = kind
    labels = {i: falsified(m, wrong[i]) if i in wrong else m for i, m in truth.items()}
    empty = {f"{role}.png": np.zeros((2, *SHAPE), bool) for role in ("train", "test")}
    roles = {"train": {"train.png": empty["train.png"]}, "val": labels, "test": {"test.png": empty["test.png"]}}
    dataset = make_dataset(folder, roles)
    path = dataset.predict("val", {i: model_maps(m, rng) for i, m in truth.items()}, classes=dataset.classes)
    return dataset, path, wrong


def audit(dataset, path):
    data = ValidationData(PredictionFile(path), dataset.read())
    calibration = calibrate(data, CalibrateSettings(post_processing=None))
    findings = judge(find_regions(data, calibration))
    return rank_images(findings, data.ids), findings, calibration


@pytest.mark.parametrize("seed", [0, 1])
def test_planted_errors_are_found_far_better_than_by_chance(tmp_path, seed):
    dataset, path, wrong = planted(tmp_path, 240, 0.1, seed)
    table, _, _ = audit(dataset, path)
    hit = table["image_id"].isin(wrong)
    assert len(table) == 240
    assert hit[:20].mean() >= 0.7
    assert hit[:24].sum() / len(wrong) >= 0.5


def test_each_error_is_given_its_reason(tmp_path):
    dataset, path, wrong = planted(tmp_path, 120, 0.1, 3)
    table, _, _ = audit(dataset, path)
    found = table[table["image_id"].isin(wrong)].head(8)
    assert (found["reason"] == found["image_id"].map(wrong)).mean() >= 0.8


def hand_made(folder, label, seen):
    """One image with a label and sharp predictions, among images where both agree."""
    agree = {f"{i}.png": np.stack([disc(20, 20, 6), disc(60, 20, 6)]) for i in range(4)}
    roles = {"train": {"t.png": label * False}, "val": {**agree, "odd.png": label}, "test": {"e.png": label * False}}
    dataset = make_dataset(folder, roles)
    maps = {i: codes_from_logits(np.where(m, 4.0, -4.0)) for i, m in (agree | {"odd.png": seen}).items()}
    return dataset, dataset.predict("val", maps, classes=dataset.classes)


DISC, NOTHING = disc(40, 20, 6), np.zeros(SHAPE, bool)
CASES = {
    "missed label": ((NOTHING, NOTHING), (DISC, NOTHING), ("", "pits")),
    "phantom label": ((DISC, NOTHING), (NOTHING, NOTHING), ("pits", "")),
    "wrong class": ((DISC, NOTHING), (NOTHING, DISC), ("pits", "cracks")),
    "shifted outline": ((DISC, NOTHING), (disc(46, 20, 6), NOTHING), ("pits", "pits")),
}


@pytest.mark.parametrize("reason", CASES)
def test_a_single_disagreement(tmp_path, reason):
    label, seen, classes = CASES[reason]
    table, findings, _ = audit(*hand_made(tmp_path, np.stack(label), np.stack(seen)))
    assert len(findings) == 1
    first = table.iloc[0]
    assert (first["image_id"], first["reason"]) == ("odd.png", reason)
    assert (first["label_class"], first["model_class"]) == classes
    assert (first["x"], first["y"], first["width"], first["height"]) == (34, 14, 13, 13)
    assert 0 < first["score"] < 1
    assert (table["score"][1:] == 0).all()


def test_labels_and_predictions_that_agree_are_no_finding(tmp_path):
    both = np.stack([DISC, NOTHING])
    table, findings, _ = audit(*hand_made(tmp_path, both, both))
    assert findings == []
    assert table["reason"].tolist() == [""] * 5


def test_labels_that_are_all_right_are_hardly_ever_called_shifted(tmp_path):
    """Every label is the truth; the model's outlines scatter around it, so half of them fit worse than the median."""
    rng = np.random.default_rng(0)
    labels, seen = {}, {}
    for index in range(150):
        x, y, radius = rng.integers(15, 65), rng.integers(12, 28), rng.integers(6, 10)
        labels[f"{index:03d}.png"] = np.stack([disc(x, y, radius), NOTHING])
        moved = disc(x + round(rng.normal(0, 1.5)), y + round(rng.normal(0, 1.5)), radius + rng.integers(-1, 2))
        seen[f"{index:03d}.png"] = np.stack([moved, NOTHING])
    labels["odd.png"], seen["odd.png"] = np.stack([DISC, NOTHING]), np.stack([disc(46, 20, 6), NOTHING])
    empty = {name: {f"{name}.png": np.zeros((2, *SHAPE), bool)} for name in ("train", "test")}
    dataset = make_dataset(tmp_path, empty | {"val": labels})
    maps = {i: codes_from_logits(np.where(m, 4.0, -4.0)) for i, m in seen.items()}
    _, findings, _ = audit(dataset, dataset.predict("val", maps, classes=dataset.classes))
    shifted = [finding.image_id for finding in findings if finding.reason == "shifted outline"]
    assert "odd.png" in shifted
    assert len(shifted) <= 0.05 * len(labels)


def test_a_class_that_the_model_rarely_finds_gives_no_flood_of_phantoms(tmp_path):
    """Of 12 labels of the second class one is found; a missed label of the first class still ranks first."""
    rare, known = disc(60, 20, 6), disc(20, 20, 6)
    labels = {f"{i:02d}.png": np.stack([known, rare]) for i in range(12)}
    seen = {i: np.stack([known, rare if i == "00.png" else NOTHING]) for i in labels}
    labels["odd.png"], seen["odd.png"] = np.stack([NOTHING, NOTHING]), np.stack([known, NOTHING])
    roles = {"train": {"t.png": labels["odd.png"]}, "val": labels, "test": {"e.png": labels["odd.png"]}}
    dataset = make_dataset(tmp_path, roles)
    maps = {i: codes_from_logits(np.where(m, 4.0, -4.0)) for i, m in seen.items()}
    table, findings, _ = audit(dataset, dataset.predict("val", maps, classes=dataset.classes))
    assert table.loc[0, "image_id"] == "odd.png"
    assert sum(f.reason == "phantom label" for f in findings) == 11


EXPORTED = {
    "coco": ("annotations.json", 1),
    "supervisely": ("*.png.json", 5),
    "cvat_images": ("annotations.xml", 1),
    "labelme": ("*.json", 5),
    "label_studio": ("tasks.json", 1),
}
"""Format for annotators -> its label files, and how many there are of 5 images."""


@pytest.mark.parametrize("form", EXPORTED)
def test_the_script_writes_list_pictures_and_labels_for_annotators(tmp_path, form):
    dataset, path, _ = planted(tmp_path, 40, 0.2, 0)
    manifest = read_manifest(dataset.manifest)
    source = tmp_path / "images"
    for row in manifest.frame.itertuples():
        (source / row.path).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(source / row.path), np.full(SHAPE, 128, np.uint8))
    digest = hashlib.sha256((source / manifest.frame["path"][0]).read_bytes()).hexdigest()
    manifest.frame["sha256"] = digest
    pack_images(manifest, source, tmp_path / "packed")
    assert len(ImagePack(tmp_path / "packed").image_ids) == 42
    CalibrateSettings().write(tmp_path / "calibrate.yaml")
    LabelAuditSettings(images=5, export=form).write(tmp_path / "label_audit.yaml")
    out = tmp_path / "audit"
    arguments = ["--settings", tmp_path / "label_audit.yaml", "--predictions", path, "--pack", tmp_path / "packed"]
    arguments += ["--calibrate", tmp_path / "calibrate.yaml", "--manifest", dataset.manifest]
    arguments += ["--split", dataset.split, "--out", out]
    script.main([str(argument) for argument in arguments])
    table = pd.read_csv(out / "label_audit.csv")
    assert table["rank"].tolist() == list(range(1, 41))
    first = table["image_id"][:5]
    names = sorted(p.name for p in (out / "pictures").iterdir())
    assert names == [f"{rank:04d}_{image_id}.png" for rank, image_id in enumerate(first, start=1)]
    assert cv2.imread(str(out / "pictures" / names[0])).shape[1] >= SHAPE[1]
    if form == "coco":
        labels = json.loads((out / "export/labels/annotations.json").read_text())
        assert sorted(image["file_name"] for image in labels["images"]) == sorted(first)
        ids = {image["id"]: image["file_name"] for image in labels["images"]}
        for annotation in labels["annotations"]:
            mask = decode_coco(annotation["segmentation"]["counts"].encode(), *SHAPE)
            truth = dataset.truth["val"][ids[annotation["image_id"]]][annotation["category_id"] - 1]
            np.testing.assert_array_equal(mask, truth)
    pattern, count = EXPORTED[form]
    for part in ("labels", "model"):
        assert len(list((out / "export" / part).rglob(pattern))) == count


def test_a_class_that_the_model_always_takes_for_another_raises_no_alarm(tmp_path):
    # Cracks are called pits, all but the faint sixth; beside them one label of pits is missing.
    labels = {f"{i}.png": np.stack([disc(20, 20, 6), disc(60, 20, 6)]) for i in range(6)}
    labels["odd.png"] = np.stack([NOTHING, NOTHING])
    seen = {i: np.stack([m.any(axis=0), NOTHING]) for i, m in labels.items()} | {"odd.png": np.stack([DISC, NOTHING])}
    seen["5.png"] = labels["5.png"]
    empty = {name: {f"{name}.png": np.zeros((2, *SHAPE), bool)} for name in ("train", "test")}
    dataset = make_dataset(tmp_path, empty | {"val": labels})
    maps = {i: codes_from_logits(np.where(m, 4.0, -4.0)) for i, m in seen.items()}
    table, findings, _ = audit(dataset, dataset.predict("val", maps, classes=dataset.classes))
    assert [finding.reason for finding in findings].count("wrong class") == 5
    assert table["image_id"][0] == "odd.png"
    assert table["score"][0] > 2 * table["score"][1]

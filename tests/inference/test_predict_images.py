"""Images without labels: a folder in, maps, pictures, COCO and tables out."""

import json
import re
import shutil

import cv2
import numpy as np
import pandas as pd
import predict_images
import pytest
import torch
from evaluation_fixtures import CLASSES, make_dataset, random_truth
from PIL import Image
from pycocotools import mask as coco
from safetensors.torch import save_file
from scipy import ndimage

from defectbench.config.base import MERGED, ConfigError
from defectbench.config.families.yolo import YoloSettings
from defectbench.config.study import load_study
from defectbench.data.images import ROTATED
from defectbench.data.manifest import read_manifest, write_manifest
from defectbench.data.submission import read_submission
from defectbench.evaluation.calibration import Calibration
from defectbench.evaluation.submission_score import run_area
from defectbench.families import registry
from defectbench.families.registry import LoadError, load_experiment
from defectbench.files import read_json, write_json
from defectbench.inference.prediction_file import PredictionFile
from defectbench.inference.tta import add_tta
from defectbench.metrics.codes import STEPS_PER_LOGIT

SHAPE = (20, 30)


def bright(image: np.ndarray) -> np.ndarray:
    """Codes of two classes: bright pixels, and dark ones."""
    grey = image[:, :, 0].astype(int)
    return np.stack([32768 + 100 * (grey - 128), 32768 - 100 * (grey - 128)]).astype(np.uint16)


def calibration(classes, min_area=0.0) -> dict:
    steps = {"opening": 0, "closing": 0, "fill_holes": False, "min_area": min_area, "value": 1.0, "k": 128}
    empty = dict.fromkeys(classes, 0.5)
    return vars(
        Calibration("val", "dice_all", None, True, True, 1, "", dict.fromkeys(classes, 128), empty, empty, empty, {},
                    0, {}, {}, dict.fromkeys(classes, steps), {})
    )  # fmt: skip


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A finished experiment of a family with two classes, and three new images, one in a subfolder."""
    dataset = make_dataset(tmp_path / "data", random_truth(0))
    rng = np.random.default_rng(0)
    images = {}
    for name in ("b.png", "a.png", "lot/c.png"):
        path = tmp_path / "new" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        images[name] = np.where(rng.random(SHAPE) < 0.1, 250, 130).astype(np.uint8)
        images[name][5:10, 5:20] = 5
        cv2.imwrite(str(path), images[name])
    (tmp_path / "new" / "notes.txt").write_text("no image")
    folder = tmp_path / "experiment"
    write_json(folder / "run.json", {"experiment": {"family": "simple"}, "classes": dataset.classes})
    write_json(folder / "calibration.json", calibration(dataset.classes, min_area=3))
    load_model = registry.load_model
    simple = {"simple": lambda *arguments: bright}
    monkeypatch.setattr(
        registry,
        "load_model",
        lambda folder, run, device: simple.get(run["experiment"]["family"], load_model)(folder, run, device),
    )
    return tmp_path, dataset, images


def run(folder, dataset, *more):
    arguments = ["--experiment", folder / "experiment", "--manifest", dataset.manifest, "--images", folder / "new"]
    predict_images.main([str(argument) for argument in [*arguments, "--out", folder / "out", *more]])
    return folder / "out"


def expected_masks(image):
    """Pixels brighter and darker than the middle, without 8-connected components below 3 pixels."""
    masks = []
    for mask in (image >= 128, image <= 128):
        n, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
        small = [i for i in range(1, n) if stats[i, cv2.CC_STAT_AREA] < 3]
        masks.append(mask & ~np.isin(labels, small))
    return masks


def test_every_image_is_in_every_file(project):
    folder, dataset, images = project
    out = run(folder, dataset)
    ids = sorted(images)
    maps = PredictionFile(out / "maps.pred.parquet")
    assert maps.image_ids() == ids
    assert maps.header.role == "new"
    table = pd.read_csv(out / "images.csv")
    assert table["image_id"].tolist() == [image_id for image_id in ids for _ in dataset.classes]
    assert {path.relative_to(out / "overlays").as_posix() for path in (out / "overlays").rglob("*.png")} == {
        f"{image_id}.png" for image_id in ids
    }
    content = json.loads((out / "annotations.json").read_text())
    assert [image["file_name"] for image in content["images"]] == ids
    assert len(read_submission(out / "submission.csv", dict.fromkeys(ids, SHAPE))) == 2 * len(ids)


def test_masks_are_those_of_the_calibrated_threshold_and_smallest_area_in_all_files(project):
    folder, dataset, images = project
    out = run(folder, dataset)
    content = json.loads((out / "annotations.json").read_text())
    names = {image["id"]: image["file_name"] for image in content["images"]}
    actual = {
        (names[a["image_id"]], a["category_id"]): coco.decode(a["segmentation"]).astype(bool)
        for a in content["annotations"]
    }
    table = pd.read_csv(out / "images.csv").set_index(["image_id", "class"])
    submitted = read_submission(out / "submission_separate.csv", dict.fromkeys(images, SHAPE))
    for image_id, image in images.items():
        for value, (name, mask) in enumerate(zip(dataset.classes, expected_masks(image), strict=True), start=1):
            np.testing.assert_array_equal(actual.get((image_id, value), np.zeros(SHAPE, bool)), mask)
            assert table.loc[(image_id, name), "area"] == mask.sum()
            runs = submitted[image_id, value]
            assert (runs[:, 1] - runs[:, 0]).sum() == mask.sum()
    overlay = cv2.imread(str(out / "overlays" / "a.png.png"))
    changed = (overlay != images["a.png"][:, :, None]).any(axis=2)
    assert changed.any()
    assert not changed[~np.any(expected_masks(images["a.png"]), axis=0)].any()


def test_the_gate_of_a_submission_empties_a_class(project):
    folder, dataset, _ = project
    gate = {"codes": {"pits": 65535, "cracks": 0}, "probability": {}, "value": {}, "value_without": {}}
    write_json(folder / "submission.json", {"gate": gate | {"n_images": 1, "val_ids_sha256": ""}})
    table = pd.read_csv(run(folder, dataset, "--gate", folder / "submission.json") / "images.csv")
    by_class = table.groupby("class")["defect"]
    assert not by_class.any()["pits"]
    assert by_class.all()["cracks"]


SAMPLES = {
    "joined": ("ImageId_ClassId,EncodedPixels", "{}_{},1 1"),
    "separate": ("ImageId,EncodedPixels,ClassId", "{},1 1,{}"),
}


@pytest.mark.parametrize("layout", SAMPLES)
def test_submissions_have_the_order_of_the_sample(project, layout):
    folder, dataset, images = project
    keys = [(name, value) for value in (2, 1) for name in ("lot/c.png", "a.png", "b.png")]
    header, row = SAMPLES[layout]
    sample = folder / "sample_submission.csv"
    sample.write_text("\n".join([header, *(row.format(*key) for key in keys)]) + "\n")
    out = run(folder, dataset, "--sample", sample)
    for name in ("submission.csv", "submission_separate.csv"):
        assert list(read_submission(out / name, dict.fromkeys(images, SHAPE))) == keys
    # A sample that lists images alone: their order, then that of the classes.
    sample.write_text("\n".join([header, *(row.format(name, 1) for name, _ in keys[:3])]) + "\n")
    out = run(folder, dataset, "--sample", sample)
    expected = [(name, value) for name, _ in keys[:3] for value in (1, 2)]
    assert list(read_submission(out / "submission.csv", dict.fromkeys(images, SHAPE))) == expected


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ([("a.png", 1), ("a.png", 2), ("b.png", 1)], "lacks 3 of the predicted rows: b.png class 2, lot/c.png class 1"),
        ([(n, v) for n in ("a.png", "b.png", "lot/c.png", "d.png") for v in (1, 2)], "has besides 2 of the predicted"),
        ([(n, v) for n in ("a.png", "a.png", "b.png", "lot/c.png") for v in (1, 2)], "lists a row twice"),
    ],
)
def test_a_sample_of_other_images_stops_before_anything_is_predicted(project, capsys, rows, problem):
    folder, dataset, _ = project
    sample = folder / "sample_submission.csv"
    sample.write_text("\n".join(["ImageId_ClassId,EncodedPixels", *(f"{n}_{v}," for n, v in rows)]) + "\n")
    with pytest.raises(SystemExit):
        run(folder, dataset, "--sample", sample)
    assert problem in capsys.readouterr().err
    assert not (folder / "out").exists()


def test_imposed_masks_are_those_of_the_imposed_threshold_and_smallest_area(project):
    folder, dataset, images = project
    path = folder / "experiment" / "calibration.json"
    k, least = 200, 30
    write_json(path, read_json(path) | {"imposed": {"k": k, "min_area": least}})
    out = run(folder, dataset, "--imposed")
    submitted = read_submission(out / "submission.csv", dict.fromkeys(images, SHAPE))
    kept = 0
    for name, grey in images.items():
        for value, codes in enumerate(bright(np.stack([grey] * 3, axis=-1)), start=1):
            mask = 1 / (1 + np.exp(-(codes.astype(float) - 32768) / STEPS_PER_LOGIT)) >= k / 256
            labels, _ = ndimage.label(mask, np.ones((3, 3)))
            expected = int(sum(size for size in np.bincount(labels.ravel())[1:] if size >= least))
            assert run_area(submitted[name, value]) == expected
            kept += expected
    assert kept > 0


def test_overlays_of_an_earlier_folder_are_removed(project):
    folder, dataset, _ = project
    run(folder, dataset)
    (folder / "new" / "a.png").unlink()
    assert not (run(folder, dataset) / "overlays" / "a.png.png").exists()


def test_what_is_passed_over_is_named_and_linked_folders_are_followed(project, capsys):
    folder, dataset, images = project
    (folder / "new/lot").rename(folder / "disk")
    (folder / "new/lot").symlink_to(folder / "disk")
    (folder / "new/lot/up").symlink_to(folder / "new")
    (folder / "new/.ipynb_checkpoints").mkdir()
    shutil.copy(folder / "new/a.png", folder / "new/.ipynb_checkpoints/a-checkpoint.png")
    table = pd.read_csv(run(folder, dataset) / "images.csv")
    assert sorted(set(table["image_id"])) == sorted(images)
    told = capsys.readouterr().out
    assert (
        "passed over: 3 files and folders: .ipynb_checkpoints (of a system or tool), "
        "lot/up (a link to a folder that is read already), notes.txt (no image)"
    ) in told
    assert f"followed out of {folder / 'new'}: 1 links: lot" in told


@pytest.mark.parametrize("as_stored", [False, True])
def test_pictures_are_turned_as_those_that_were_learned_from(project, as_stored):
    folder, dataset, images = project
    if as_stored:
        manifest = read_manifest(dataset.manifest)
        manifest.frame.loc[0, "stored_as"] = f"grey 8-bit{ROTATED}"
        write_manifest(dataset.manifest, manifest)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(images["a.png"]).save(folder / "new/a.png", exif=exif)
    codes = dict(PredictionFile(run(folder, dataset) / "maps.pred.parquet"))["a.png"]
    pixels = images["a.png"] if as_stored else np.rot90(images["a.png"], -1)
    np.testing.assert_array_equal(codes, bright(pixels[..., None]))


def test_members_are_loaded_and_averaged(project):
    folder, dataset, _ = project
    one = (folder / "experiment").as_posix()
    record = {"experiment": {"family": "ensemble"}, "members": [{"folder": one, "weight": w} for w in (0.3, 0.7)]}
    write_json(folder / "both" / "run.json", record)
    predictor, classes = load_experiment(folder / "both")
    image = np.full((2, 2, 3), 200, np.uint8)
    np.testing.assert_array_equal(predictor(image), bright(image))
    assert classes == dataset.classes


@pytest.mark.parametrize("case", ["broken image", "no image", "unfinished", "unknown family"])
def test_impossible_predictions_are_explained(project, capsys, case):
    folder, dataset, images = project
    if case == "broken image":
        (folder / "new" / "a.png").write_bytes(b"no image")
    elif case == "no image":
        for image_id in images:
            (folder / "new" / image_id).unlink()
    elif case == "unfinished":
        (folder / "experiment" / "run.json").unlink()
    else:
        write_json(folder / "experiment" / "run.json", {"experiment": {"family": "other"}, "classes": ["a"]})
    with pytest.raises(SystemExit):
        run(folder, dataset)
    message = capsys.readouterr().err
    expected = {"broken image": "a.png", "no image": "no image below it", "unfinished": "no run.json"}
    assert expected.get(case, "family other is unknown") in message
    assert not (folder / "out" / "images.csv").exists()


def test_a_reference_method_predicts_from_its_own_files(tmp_path):
    record = {
        "experiment": {"family": "reference", "dataset": "d"},
        "settings": {"model": "all_full"},
        "classes": [MERGED],
    }
    write_json(tmp_path / "run.json", record)
    write_json(tmp_path / "model" / "model.json", {"kind": "Constant", "defect": True})
    predictor, classes = load_experiment(tmp_path)
    assert classes == (MERGED,)
    assert (predictor(np.zeros((3, 4, 3), np.uint8)) == 65535).all()


def test_the_configuration_names_an_experiment_of_the_study_and_images(tmp_path):
    config = {"dataset": {"name": "d", "format": "severstal_csv", "root": "data", "classes": {1: "a"}}}
    config["dataset"]["synthetic"] = {"n_images": 10}
    config["experiments"] = [{"model": "unet"}]
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((4, 4), np.uint8))
    exp_id = load_study(config).experiments[0].exp_id
    assert load_study(config | {"predict_images": {"images": str(tmp_path), "experiment": exp_id}})
    for values, problem in (
        ({"images": str(tmp_path)}, "give both images and experiment"),
        ({"images": str(tmp_path / "x"), "experiment": exp_id}, "no image below"),
        ({"images": str(tmp_path), "experiment": "unet"}, "no experiment 'unet'"),
    ):
        with pytest.raises(ConfigError, match=problem):
            load_study(config | {"predict_images": values})


def test_experiments_that_need_more_than_an_image_are_refused_before_any_training(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((4, 4), np.uint8))
    config = {"dataset": {"name": "d", "format": "severstal_csv", "root": "data", "classes": {1: "a"}}}
    config["dataset"]["synthetic"] = {"n_images": 10}
    config["experiments"] = [{"model": model} for model in ("unet", "all_full", "yolov8-seg", "yolov8", "sam2_head")]
    config["experiments"] += [{"model": "sam2", "init": "random"}, {"model": "sam3", "size": "nano", "init": "random"}]
    ids = {actual.model: actual.exp_id for actual in load_study(config).experiments}
    pairs = [["unet", "sam2_head"]]
    config["experiments"] += [{"model": "ensemble", "members": [ids[model] for model in pair]} for pair in pairs]
    config["experiments"] += [{"model": "cascade", "segmenter": ids["sam2"], "prompts": {"from": ids["unet"]}}]
    *_, mean, cascade = (actual.exp_id for actual in load_study(config).experiments)

    def predicting(exp_id):
        load_study(config | {"predict_images": {"images": str(tmp_path), "experiment": exp_id}})

    for exp_id in (*(ids[model] for model in ("unet", "all_full", "yolov8-seg", "sam2_head", "sam3")), mean):
        predicting(exp_id)
    for exp_id in (ids["yolov8"], ids["sam2"], cascade):
        with pytest.raises(ConfigError, match=re.escape(f"predict_images.experiment: {exp_id} cannot predict images")):
            predicting(exp_id)
    with pytest.raises(ConfigError, match=f"those that can: {re.escape(ids['unet'])}, "):
        predicting(ids["sam2"])


def test_a_yolo_network_predicts_new_images_as_it_predicts_those_of_the_dataset(tmp_path):
    yolo = pytest.importorskip("defectbench.families.yolo.network")
    torch.manual_seed(0)
    settings = YoloSettings(model="yolov8-seg", scale="p", img_size="64", threads=1, tta="hflip")
    network = yolo.build_network(settings, CLASSES)
    (tmp_path / "model").mkdir()
    save_file(yolo.cpu_state(network), tmp_path / "model" / "weights.safetensors")
    record = {
        "experiment": {"family": "yolo", "dataset": "d"},
        "settings": settings.model_dump(mode="json"),
        "classes": CLASSES,
    }
    write_json(tmp_path / "run.json", record)
    predictor, classes = load_experiment(tmp_path)
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    expected = add_tta(yolo.YoloPredictor(network, settings, 2, torch.device("cpu")).predict_maps, "hflip")(image)
    assert classes == CLASSES
    np.testing.assert_array_equal(predictor(image), expected)
    assert len(np.unique(expected)) > 1
    detector = settings.model_dump(mode="json") | {"model": "yolov8"}
    write_json(tmp_path / "run.json", record | {"settings": detector})
    with pytest.raises(LoadError, match="predicts only boxes"):
        load_experiment(tmp_path)


def test_class_values_are_those_of_the_manifest(project):
    folder, dataset, _ = project
    content = json.loads((run(folder, dataset) / "annotations.json").read_text())
    values = read_manifest(dataset.manifest).class_values
    assert [(c["id"], c["name"]) for c in content["categories"]] == list(zip(values, dataset.classes, strict=True))

"""The YOLO scripts end to end on twelve tiny images: training, also an interrupted one, prediction; without network."""

import hashlib
import json
import math
import os
import signal
import subprocess
import sys

import numpy as np
import pandas as pd
import predict_yolo as predict_script
import predict_yolo_boxes as boxes_script
import pytest
import score_boxes as score_script
import torch
import train_yolo as train_script
import yolo_weights as weights_script
from offline_processes import python_path
from safetensors.torch import load_file
from sklearn.metrics import average_precision_score
from tiny_packs import call
from tiny_study import ROOT
from torch._dynamo import OptimizedModule
from yolo_data import CLASSES, arguments, picture, shapes, train, write_files

from defectbench.config.families.unet import UNetSettings
from defectbench.config.families.yolo import YoloSettings
from defectbench.data.box_file import read_boxes
from defectbench.data.packing import MaskPack
from defectbench.families.yolo import network as yolo
from defectbench.families.yolo import ultralytics_training
from defectbench.families.yolo.ultralytics_training import make_history
from defectbench.files import read_json
from defectbench.inference.prediction_file import PredictionFile
from defectbench.metrics.codes import HALF
from defectbench.script import UserError
from defectbench.training.optimisation import make_optimizer

SIZE = (64, 96)
ROLES = ["train"] * 8 + ["val"] * 2 + ["test"] * 2


def settings(**keys):
    defaults = {"model": "yolov8-seg", "scale": "p", "img_size": "96", "threads": 1}
    budget = {"images_seen": 18, "eval_every": 2, "batch_size": 4}
    return YoloSettings(**{**defaults, **budget, **keys})


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Files of twelve images, every fourth without a defect."""
    folder = tmp_path_factory.mktemp("yolo")
    truth = {f"{i:02d}.png": shapes(*SIZE, seed=i) * (i % 4 > 0) for i in range(12)}
    write_files(folder, truth, dict(zip(truth, ROLES, strict=True)))
    return folder


@pytest.fixture(scope="module")
def trained(root):
    """Folder of an undisturbed training."""
    train(train_script, root, root / "seg", settings())
    return root / "seg"


def test_the_record_says_how_it_was_trained(trained):
    run = read_json(trained / "run.json")
    assert run["experiment"]["track"] == "automatic"
    assert (run["steps"], run["images_seen"], run["n_labels_train"], run["n_labels_val"]) == (5, 20, 8, 2)
    assert run["classes"] == ["merged"]
    assert run["weights_source"] == "random"
    assert run["ultralytics"]["options"]["optimizer"] == "AdamW"
    assert run["ultralytics"]["options"]["mosaic"] == 0
    text = "; ".join(run["notes"])
    for part in ("from scratch", "loss", "fitness"):
        assert part in text
    found_nothing = pd.read_csv(trained / "history.csv")["fitness"].max() == 0
    assert [text.startswith("fitness was 0 in every") for text in run["problems"]] == [True] * int(found_nothing)


def test_history_has_a_row_per_evaluation_in_our_columns(trained):
    actual = pd.read_csv(trained / "history.csv")
    assert actual["epoch"].tolist() == [0, 1, 2]
    # 18 images in batches of 4, from 8 images.
    assert actual["step"].tolist() == [2, 4, 5]
    assert actual["images_seen"].tolist() == [8, 16, 20]
    parts = [column for column in actual if column.startswith("train_") and column.endswith("_loss")]
    summed = actual[[column for column in parts if column != "train_loss"]].sum(axis=1)
    np.testing.assert_allclose(actual["train_loss"], summed, rtol=1e-6)
    assert {"val_loss", "learning_rate", "epoch_time", "box_map50_95", "mask_map50", "fitness"} <= set(actual)


def test_only_best_and_last_are_saved(trained):
    names = sorted(path.name for path in (trained / "checkpoints").iterdir())
    assert len(names) == 2
    assert names[0].startswith("best_step")
    assert names[1] == "last.safetensors"
    assert (trained / "model" / "weights.safetensors").read_bytes() == (trained / "checkpoints" / names[0]).read_bytes()
    assert not list(trained.rglob("*.pt"))
    assert [path.name for path in (trained / "state").iterdir()] == ["lock"]


def test_the_learning_rate_is_that_of_the_other_families_at_every_step(trained):
    # A step of warm-up, then half a cosine over the other four, whatever ultralytics' epochs.
    after = {step: 0.5e-3 * (1 + math.cos(math.pi * (step - 1) / 4)) for step in (2, 4, 5)}
    history = pd.read_csv(trained / "history.csv").set_index("step")["learning_rate"]
    assert history.to_dict() == pytest.approx(after, rel=1e-4, abs=1e-12)


def test_out_of_memory_halves_the_batch_and_not_the_budget(root, monkeypatch):
    plain, failures = ultralytics_training._Segmentation.preprocess_batch, [RuntimeError("CUDA out of memory")]

    def preprocess(trainer, batch):
        batch = plain(trainer, batch)
        if failures:
            raise failures.pop()
        return batch

    monkeypatch.setattr(ultralytics_training._Segmentation, "preprocess_batch", preprocess)
    train(train_script, root, root / "halved", settings())
    run = read_json(root / "halved" / "run.json")
    assert (run["steps"], run["images_seen"]) == (5, 20)
    assert any("batch size 2: 4 did not fit" in note for note in run["notes"])


def process(root, folder):
    """The training script as a process of its own, its paths relative, as in the workflow."""
    environment = os.environ | {"PYTHONPATH": python_path(ROOT / "workflow")}
    environment |= {"TMPDIR": str(root), "PYTHONUNBUFFERED": "1"}
    options = [option.removeprefix(f"{root}/") for option in arguments(root, folder, settings())]
    command = [sys.executable, train_script.__file__, *options]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(command, cwd=root, env=environment, **pipes)


def read_weights_bytes(folder):
    """Path -> bytes of all weights that a training saved."""
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.glob("[cm]*/*.safetensors"))}


def test_a_training_killed_after_its_first_evaluation_ends_as_an_undisturbed_one(root, trained):
    folder = root / "again"
    with process(root, folder) as killed:
        assert any("step     2/5" in line for line in killed.stdout)
        killed.kill()
    assert killed.returncode == -signal.SIGKILL
    assert {path.name for path in folder.glob("state/*/*")} == {"data", "ultralytics"}
    assert not (folder / "run.json").exists()
    with process(root, folder) as again:
        assert "starts over from step 0" in again.stdout.read()
    assert again.returncode == 0
    assert len(read_weights_bytes(trained)) == 3
    assert read_weights_bytes(folder) == read_weights_bytes(trained)
    first, second = (pd.read_csv(path / "history.csv").drop(columns="epoch_time") for path in (trained, folder))
    pd.testing.assert_frame_equal(first, second, check_exact=True)
    assert not list(folder.glob("state/*/"))


def test_a_loss_that_is_not_finite_stops_with_the_images(root, monkeypatch):
    monkeypatch.setattr(torch, "isfinite", lambda _: torch.tensor(False))
    with pytest.raises(SystemExit):
        train(train_script, root, root / "nan", settings(images_seen=8))


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU may have bf16")
def test_mixed_precision_needs_a_gpu(root, capsys):
    with pytest.raises(SystemExit):
        train(train_script, root, root / "bf16", settings(precision="bf16"))
    assert "set precision: auto" in capsys.readouterr().err


def predict(script, root, folder, kind):
    common = {"run": folder / "run.json", "weights": folder / "model" / "weights.safetensors"}
    outputs = {role: folder / f"{role}.{kind}.parquet" for role in ("val", "test")}
    call(script, **common, pack=root / "packed", split=root / "split.csv", **outputs, timing=folder / "timing.json")


def test_prediction_gives_a_map_of_every_image(root, trained):
    predict(predict_script, root, trained, "pred")
    with PredictionFile(trained / "test.pred.parquet") as file:
        assert file.header.classes == ("merged",)
        assert file.header.has_scores
        maps = dict(file)
    assert list(maps) == ["10.png", "11.png"]
    with PredictionFile(trained / "val.pred.parquet") as file:
        pixels = np.concatenate([codes.ravel() for _, codes in file])
    masks = MaskPack(root / "packed")
    truth = np.concatenate([masks.read(name, merged=True).ravel() for name in ("08.png", "09.png")])
    scores = read_json(trained / "run.json")["val_scores"]
    assert scores["auprc"] == pytest.approx(average_precision_score(truth, pixels), rel=1e-9)
    assert scores["val_iou_fixed"] == 0
    assert all(codes.shape == (1, *SIZE) for codes in maps.values())
    assert len({codes.max() for codes in maps.values()} | {0}) > 1
    assert max(codes.max() for codes in maps.values()) < HALF
    assert read_json(trained / "timing.json")["n_images"] == 4


def test_a_detector_is_trained_predicted_and_scored(root):
    folder = root / "boxes"
    train(train_script, root, folder, settings(model="yolo26", task="per_class", images_seen=8, augment="none"))
    assert not any("0.5" in note for note in read_json(folder / "run.json")["notes"])
    predict(boxes_script, root, folder, "boxes")
    actual = read_boxes(folder / "val.boxes.parquet")
    assert actual.image_ids == ("08.png", "09.png")
    assert actual.classes == CLASSES
    assert actual.boxes[["x0", "x1"]].to_numpy().max(initial=0) <= SIZE[1]
    files = {"val": folder / "val.boxes.parquet", "test": folder / "test.boxes.parquet"}
    call(score_script, **files, manifest=root / "manifest.parquet", split=root / "split.csv", metrics=folder / "m.json")
    metrics = read_json(folder / "m.json")
    assert 0 <= metrics["test_mAP50_95"] <= metrics["test_mAP50"] <= 1
    assert metrics["n_test_boxes"] == 4


def test_ultralytics_is_offline_and_leaves_the_home_alone():
    from ultralytics.utils import AUTOINSTALL, ONLINE

    assert not ONLINE
    assert not AUTOINSTALL
    assert not any(value is True for value in yolo.SETTINGS.values())
    assert str(yolo.SETTINGS.file).startswith(yolo._SETTINGS_FOLDER.name)


def test_published_weights_are_converted_and_reach_the_network(root, tmp_path, monkeypatch):
    source = yolo._build_random(settings(scale="n"), yolo.N_COCO_CLASSES)
    torch.save({"model": source.half(), "ema": None, "train_args": {}}, tmp_path / "yolov8n-seg.pt")
    listing = tmp_path / "weights.yaml"
    digest = hashlib.sha256((tmp_path / "yolov8n-seg.pt").read_bytes()).hexdigest()
    listing.write_text(json.dumps({"yolov8n-seg": {"url": "https://example.org/yolov8n-seg.pt", "sha256": digest}}))
    out = tmp_path / "yolov8n-seg.safetensors"
    call(weights_script, table=listing, name="yolov8n-seg", folder=tmp_path, out=out)
    actual = load_file(out)
    expected = source.float().state_dict()
    assert all(torch.equal(actual[name], expected[name]) for name in expected)

    coco = settings(scale="n", weights="coco")
    network = yolo.build_network(coco, CLASSES, actual)
    state = network.state_dict()
    same = [name for name in state if name in actual and torch.equal(state[name], actual[name])]
    assert len(same) > 0.95 * len(state)
    # The network of a prediction has the same layers, filled with what was trained.
    again = yolo.build_network(coco, CLASSES)
    yolo.load_weights(again, yolo.cpu_state(network), "weights")
    cpu = torch.device("cpu")
    first, second = (
        yolo.YoloPredictor(net, coco, 2, cpu).predict_maps(picture(shapes(*SIZE))) for net in (network, again)
    )
    np.testing.assert_array_equal(first, second)


def test_a_pickle_of_another_digest_is_not_opened(tmp_path, capsys):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "exploded"), "w"))

    torch.save(Bomb(), tmp_path / "yolov8n.pt")
    listing = tmp_path / "weights.yaml"
    listing.write_text(json.dumps({"yolov8n": {"url": "https://example.org/yolov8n.pt", "sha256": "ab" * 32}}))
    with pytest.raises(SystemExit):
        call(weights_script, table=listing, name="yolov8n", folder=tmp_path, out=tmp_path / "yolov8n.safetensors")
    assert "SHA-256" in capsys.readouterr().err
    assert not (tmp_path / "exploded").exists()


def test_weights_of_another_network_are_named(tmp_path):
    other = yolo.cpu_state(yolo._build_random(settings(scale="p"), yolo.N_COCO_CLASSES))
    with pytest.raises(UserError, match="published weights of yolov8n-seg do not fit"):
        yolo.build_network(settings(scale="n", weights="coco"), CLASSES, other)


@pytest.mark.parametrize("model", ["yolo11-seg", "yolo26-seg"])
def test_the_other_generations_predict_maps(model):
    keys = settings(model=model)
    predictor = yolo.YoloPredictor(yolo.build_network(keys, CLASSES), keys, 2, torch.device("cpu"))
    assert predictor.predict_maps(picture(shapes(41, 90))).shape == (2, 41, 90)


@pytest.mark.parametrize("decay", [0.0, 0.25, 0.999])
def test_the_saved_weights_are_averaged_as_in_all_families(root, monkeypatch, decay):
    live = []

    def remember_after(name):
        plain = getattr(ultralytics_training.TrainerMixin, name)

        def call(trainer):
            plain(trainer)
            live.append({key: value.clone() for key, value in yolo.cpu_state(trainer.model).items()})

        monkeypatch.setattr(ultralytics_training.TrainerMixin, name, call)

    remember_after("_setup_train")
    remember_after("optimizer_step")
    folder = root / f"average_{decay}"
    train(train_script, root, folder, settings(ema=decay, images_seen=16))
    actual = load_file(folder / "checkpoints" / "last.safetensors")
    assert len(live) == 5
    for name, value in actual.items():
        if not value.is_floating_point():
            continue
        expected = live[0][name].double()
        for step, weights in enumerate(live[1:], start=1):
            d = min(decay, (1 + step) / (10 + step))
            expected = d * expected + (1 - d) * weights[name].double()
        torch.testing.assert_close(value.double(), expected, rtol=1e-5, atol=1e-6)
    assert read_json(folder / "run.json")["settings"]["ema"] == decay


def test_ultralytics_decays_the_same_parameters_as_the_optimisers_of_other_families():
    network = yolo.build_network(settings(), CLASSES)
    trainer = yolo.SegmentationTrainer.__new__(yolo.SegmentationTrainer)
    theirs = trainer.build_optimizer(network, name="AdamW", lr=0.01, decay=0.3).param_groups
    ours = make_optimizer(UNetSettings(wd=0.3), [{"params": list(network.parameters())}]).param_groups
    decayed = [
        {id(p) for group in groups if group["weight_decay"] for p in group["params"]} for groups in (theirs, ours)
    ]
    assert decayed[0] == decayed[1]
    assert 0 < len(decayed[0]) < len(list(network.parameters()))


def test_compilation_is_ultralytics_own_and_never_left_out_in_silence(root, monkeypatch, capsys):
    compiled = []

    def pretend(model, **options):
        compiled.append(type(model).__name__)
        return OptimizedModule(model, lambda graph, **_: graph)

    with monkeypatch.context() as patch:
        patch.setattr(torch, "compile", pretend)
        train(train_script, root, root / "compiled", settings(images_seen=8), runtime={"compile": True})
    assert compiled == ["SegmentationModel"]
    assert read_json(root / "compiled" / "run.json")["runtime"]["compile"] is True
    plain = root / "plain"
    train(train_script, root, plain, settings(images_seen=8))
    names = [set(load_file(folder / "model" / "weights.safetensors")) for folder in (plain, root / "compiled")]
    assert names[0] == names[1]

    def no_compiler(*_, **__):
        raise RuntimeError("no compiler")

    monkeypatch.setattr(torch, "compile", no_compiler)
    with pytest.raises(SystemExit):
        train(train_script, root, root / "refused", settings(images_seen=8), runtime={"compile": True})
    assert "runtime.compile: the network cannot be compiled here" in capsys.readouterr().err


def test_history_of_a_detector_has_no_masks():
    results = pd.DataFrame(
        {"epoch": [1, 2], "time": [2.0, 5.0], "train/box_loss": [1, 2], "train/cls_loss": [3, 4]}
        | {"metrics/mAP50-95(B)": [0.1, 0.2], "val/box_loss": [5, 6], "lr/pg0": [0.1, 0.2]}
    )
    ours = [{"step": 7, "images_seen": 28, "fitness": 0.1}, {"step": 14, "images_seen": 56, "fitness": 0.2}]
    actual = make_history(results, ours)
    assert actual["train_loss"].tolist() == [4, 6]
    assert actual["epoch_time"].tolist() == [2, 3]
    assert actual["box_map50_95"].tolist() == [0.1, 0.2]
    assert actual["step"].tolist() == [7, 14]
    assert not [column for column in actual if column.startswith("mask")]

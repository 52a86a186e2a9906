"""SAM 3's adapters learn: overfitting, a lower loss; a killed training resumes with the same result; the scripts."""

import numpy as np
import pandas as pd
import predict_sam3
import pytest
import torch
import train_sam3
import weights_sam3
from safetensors.torch import load_file
from sam3_data import cracks, tiny_sam3
from tiny_packs import call, write_packs
from tiny_training import power_loss, run_fit

from defectbench.config.families.sam3 import Sam3Settings
from defectbench.config.identity import ExperimentIdentity
from defectbench.families.sam3.loss import Sam3Loss
from defectbench.families.sam3.task import Sam3Task
from defectbench.families.sam3.training import describe_loss
from defectbench.files import file_sha256, read_json
from defectbench.inference.prediction_file import PredictionFile
from defectbench.metrics.codes import HALF
from defectbench.training import network_job

torch.set_num_threads(1)


def train(folder, data, phrases=("crack",), **keys):
    """A training of the nano's weights or adapters on ``data``, which is val too."""
    settings = Sam3Settings(size="nano", init="random", tune="lora", precision="fp32", threads=1, patience=99, **keys)
    phrased = tiny_sam3(list(phrases), tune="lora", **{key: keys[key] for key in keys if key.startswith("lora")})
    torch.manual_seed(0)
    loss = Sam3Loss(settings)
    return phrased, run_fit("x", phrased, loss, data, data, settings, folder, make_task=Sam3Task)


def test_four_images_are_overfitted_and_zero_shot_is_epoch_0(real_data, tmp_path):
    data = cracks(real_data, 4)
    keys = {"batch_size": 4, "accumulate": 1, "lr": 1e-2, "wd": 0, "lora_dropout": 0}
    _, result = train(tmp_path, data, steps=100, eval_every=25, **keys)
    history = result.history
    assert history["epoch"].tolist() == [0, 1, 2, 3, 4]
    assert history["step"].tolist() == [0, 25, 50, 75, 100]
    assert np.isnan(history["train_loss"][0])
    assert (np.diff(history["train_loss"][1:]) < 0).all()
    assert history["val_dice_fixed"].iloc[-1] > 0.8
    with torch.no_grad():
        logits = tiny_sam3(["crack"], score_threshold=0.5)(torch.from_numpy(np.stack(data.pixels)))
    predicted, truth = (logits >= 0).numpy(), np.stack(data.truth).astype(bool)
    dice = [2 * (p & t).sum() / (p.sum() + t.sum()) for p, t in zip(predicted, truth, strict=True)]
    assert history["val_dice_fixed"][0] == pytest.approx(np.mean(dice), abs=1e-6)
    assert sorted(path.name for path in (tmp_path / "progress").iterdir()) == [
        f"epoch{number}.pred.parquet{suffix}" for number in range(5) for suffix in ("", ".sha256")
    ]


def test_on_many_images_the_loss_falls_steadily(real_data, tmp_path):
    keys = {"batch_size": 8, "accumulate": 1, "lr": 5e-3}
    _, result = train(tmp_path, cracks(real_data, 24), steps=36, eval_every=12, **keys)
    assert (np.diff(result.history["train_loss"][1:]) < 0).all()


def test_an_interrupted_training_ends_as_an_undisturbed_one(real_data, tmp_path):
    data = cracks(real_data, 3)
    keys = {"batch_size": 1, "accumulate": 2, "lr": 1e-3, "steps": 6, "eval_every": 2, "phrases": ["crack", "split"]}
    keys["instance_weight"] = 1.0

    def run(folder):
        phrases = keys["phrases"]
        _, result = train(folder, data, phrases, **{key: keys[key] for key in keys if key != "phrases"})
        return result.history, result.weights["last"]

    undisturbed, weights = run(tmp_path / "a")
    with power_loss(step=3):
        run(tmp_path / "b")
    resumed, again = run(tmp_path / "b")
    assert resumed["val_loss"].tolist() == undisturbed["val_loss"].tolist()
    assert resumed["epoch"].tolist() == [0, 1, 2, 3]
    assert all(weights[name].equal(again[name]) for name in weights)
    # Frozen weights are not saved.
    assert all("lora_" in name for name in weights)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Packs and random weights; images 0, 1, 4 have a defect; 4 and 5 are val, 1 and 3 test."""
    root = tmp_path_factory.mktemp("sam3")
    write_packs(root, (32, 64), np.s_[6:20, 20:50], ["train", "test", "train", "test", "val", "val"])
    call(weights_sam3, name="sam3_nano_random_s42", folder=root, out=root / "base.safetensors")
    return root


def run(folder, where, **keys):
    """Train and predict; the run record and the tensors that were trained."""
    quick = {"steps": 2, "eval_every": 1, "accumulate": 1, "threads": 1, "precision": "fp32"}
    quick |= {"size": "nano", "init": "random"}
    config = Sam3Settings(**quick | keys)
    config.write(where / "train.yaml")
    named = {
        "exp_id": "x",
        "dataset": "steel",
        "family": "sam3",
        "model": "sam3",
        "variant": config.traits.variant,
    }
    identity = ExperimentIdentity(**named, subset=2, prompt_type="text", img_size="112", seed=42)
    identity.write(where / "identity.yaml")
    common = {"pack": folder / "packed", "split": folder / "split.csv", "base": folder / "base.safetensors"}
    training = {"settings": where / "train.yaml", "identity": where / "identity.yaml", "subset": folder / "subset.csv"}
    call(train_sam3, **common, **training, folder=where / "exp", code_digest="0")
    outputs = {name: where / f"{name}.pred.parquet" for name in ("val", "test")} | {"timing": where / "timing.json"}
    weights = where / "exp" / "model" / "weights.safetensors"
    features = where / "features"
    call(predict_sam3, **common, run=where / "exp" / "run.json", weights=weights, features=features, **outputs)
    return read_json(where / "exp" / "run.json"), load_file(weights)


def codes(path):
    with PredictionFile(path) as file:
        return dict(file)


VARIANTS = {
    "zero-shot": {"phrases": ["crack", "scratch on steel"]},
    "cached features": {"cache_embeddings": True},
    "LoRA": {"tune": "lora", "phrases": "crack"},
    "all weights": {"tune": "full", "phrases": "crack", "img_size": "32x64", "presence_weight": 0},
    "per class": {"tune": "lora", "task": "per_class", "dora": True, "lora_target": r"mask_decoder.*\.[qkvo]_proj"},
    "instances": {"tune": "lora", "map": "instances", "instance_weight": 0.5, "gradient_checkpointing": True},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_variant_trains_only_adapters_or_all_weights_and_predicts_every_image(folder, tmp_path, variant):
    keys = VARIANTS[variant]
    before = file_sha256(folder / "base.safetensors")
    record, trained = run(folder, tmp_path, **keys)
    lora, full = (keys.get("tune") == tune for tune in ("lora", "full"))
    if full:
        base = load_file(folder / "base.safetensors")
        assert {f"network.{name}" for name in base if not name.startswith("geometry_encoder")} == trained.keys()
        assert not all(base[name.removeprefix("network.")].equal(value) for name, value in trained.items())
    else:
        assert bool(trained) == lora
        assert all("lora_" in name for name in trained)
        assert any("lora_B" in name and value.abs().max() > 0 for name, value in trained.items()) == lora
    assert sum(value.numel() for value in trained.values()) == record["params_trainable"]
    assert sum(record["params_by_module"].values()) == record["params_trainable"]
    assert record["params_by_module"].keys() >= {"vision_encoder", "text_encoder", "mask_decoder"}
    assert (record["weights_source"], record["base_sha256"]) == ("random", before)
    assert file_sha256(folder / "base.safetensors") == before
    assert (record["experiment"]["track"], record["experiment"]["prompt_source"]) == ("automatic", "fixed")
    assert record["experiment"]["variant"] == "nano-random"
    assert record["zero_shot"] is not (lora or full)
    assert record["n_labels_train"] == 2 * (lora or full)
    instances = " + 0.5 x instances" if variant == "instances" else ""
    assert record.get("notes", []) == ([f"loss: dice_focal of the map + 1 x presence{instances}"] if lora else [])
    n_maps = 4 if variant == "per class" else 1
    assert len(record["phrases"]) == (1 if "phrases" in keys else 4)
    maps = codes(tmp_path / "val.pred.parquet") | codes(tmp_path / "test.pred.parquet")
    assert sorted(maps) == ["1.png", "3.png", "4.png", "5.png"]
    assert {codes.shape for codes in maps.values()} == {(n_maps, 32, 64)}
    assert (tmp_path / "features").is_dir() == ("cache_embeddings" in keys)


def test_the_predictions_of_every_epoch_are_saved_and_match_its_row(folder, tmp_path):
    run(folder, tmp_path, tune="lora", lr=0.01, phrases="crack")
    history = pd.read_csv(tmp_path / "exp" / "history.csv")
    assert history["epoch"].tolist() == [0, 1, 2]
    truth = np.zeros((32, 64), bool)
    truth[6:20, 20:50] = True
    for epoch, dice in zip(history["epoch"], history["val_dice_fixed"], strict=True):
        maps = codes(tmp_path / "exp" / "progress" / f"epoch{epoch}.pred.parquet")
        assert sorted(maps) == ["4.png", "5.png"]
        predicted = maps["4.png"][0] >= HALF
        assert dice == pytest.approx(2 * (predicted & truth).sum() / (predicted.sum() + truth.sum()))
    run(folder, tmp_path / "zero", phrases="crack", score_threshold=0.5)
    first = codes(tmp_path / "exp" / "progress" / "epoch0.pred.parquet")["4.png"]
    zero_shot = codes(tmp_path / "zero" / "val.pred.parquet")["4.png"]
    # While training, the map is interpolated to the size of the network's input, and from there to the image's pixels.
    assert ((first >= HALF) == (zero_shot >= HALF)).mean() > 0.95
    assert np.corrcoef(first.ravel(), zero_shot.ravel())[0, 1] > 0.95


def test_a_kill_while_predictions_are_copied_leaves_those_that_were_there(tmp_path, monkeypatch):
    source, target = tmp_path / "state", tmp_path / "progress"
    for folder, name in ((source, "new"), (target, "old")):
        folder.mkdir()
        (folder / name).touch()

    def interrupted(_, beside, **options):
        (beside / "half").touch()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(network_job.shutil, "copytree", interrupted)
        with pytest.raises(KeyboardInterrupt):
            network_job.replace_folder(source, target)
    assert [path.name for path in target.iterdir()] == ["old"]
    network_job.replace_folder(source, target)
    assert [path.name for path in target.iterdir()] == ["new"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["progress", "state"]


def test_the_loss_of_the_protocol_needs_no_note():
    assert describe_loss(Sam3Settings(tune="lora", presence_weight=0)) == []


def test_cached_features_change_no_prediction(folder, tmp_path):
    run(folder, tmp_path / "plain")
    run(folder, tmp_path / "kept", cache_embeddings=True)
    plain, cached = (codes(tmp_path / name / "test.pred.parquet")["3.png"] for name in ("plain", "kept"))
    assert np.abs(plain.astype(int) - cached.astype(int)).max() <= 2


def test_prediction_without_the_base_of_the_training_is_refused(folder, tmp_path, capsys):
    run(folder, tmp_path, tune="lora")
    call(weights_sam3, name="sam3_nano_random_s7", folder=tmp_path, out=tmp_path / "other.safetensors")
    weights = tmp_path / "exp" / "model" / "weights.safetensors"
    outputs = dict.fromkeys(("val", "test", "timing", "features"), tmp_path / "out")
    inputs = {"pack": folder / "packed", "split": folder / "split.csv", "run": tmp_path / "exp" / "run.json"}
    with pytest.raises(SystemExit):
        call(predict_sam3, base=tmp_path / "other.safetensors", weights=weights, **inputs, **outputs)
    assert "trained on base weights with the SHA-256" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()

"""The scripts of the SAM 2 family, end to end on six tiny images with random weights."""

import numpy as np
import predict_sam2
import predict_sam2_head
import prompts as prompts_script
import pytest
import train_sam2
import train_sam2_head
import weights_sam2
from safetensors.torch import load_file, save_file
from tiny_packs import call, write_packs

from defectbench.config.families.sam2 import Sam2Settings
from defectbench.config.families.sam2_head import Sam2HeadSettings
from defectbench.config.identity import ExperimentIdentity
from defectbench.config.prompts import PromptSettings
from defectbench.data.manifest import write_manifest
from defectbench.data.prompt_file import write_prompts
from defectbench.data.prompts import draw_prompts
from defectbench.evaluation.truth import ValidationData, read_truth
from defectbench.families.sam2.training import describe_recipe
from defectbench.families.sam2.weights import load_base
from defectbench.files import file_sha256, read_json
from defectbench.inference.prediction_file import PredictionFile
from defectbench.models.adapters import WeightsError

BASE = "sam2.1_hiera_tiny_random_s42"
SCRIPTS = {
    "sam2": (train_sam2, predict_sam2, Sam2Settings),
    "sam2_head": (train_sam2_head, predict_sam2_head, Sam2HeadSettings),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Packs, prompts and random weights; images 0, 1, 4 have a defect; 4 and 5 are val, 3 is test (clean)."""
    root = tmp_path_factory.mktemp("sam2")
    manifest = write_packs(root, (32, 64), np.s_[6:20, 20:50], ["train", "test", "train", "test", "val", "val"])
    write_manifest(root / "manifest.parquet", manifest)
    PromptSettings().write(root / "prompts.yaml")
    for kind in ("box", "points", "full_box"):
        out = root / "prompts" / f"{kind}.parquet"
        call(prompts_script, settings=root / "prompts.yaml", manifest=root / "manifest.parquet", kind=kind, out=out)
    call(weights_sam2, name=BASE, table=root / "none.yaml", folder=root, out=root / "base.safetensors")
    return root


def run(folder, where, family, **keys):
    """Train and predict; the run record and the tensors that were trained."""
    train, predict, settings = SCRIPTS[family]
    quick = {"init": "random", "batch_size": 2, "steps": 2, "eval_every": 1, "threads": 1, "precision": "fp32"}
    config = settings(**quick | keys)
    config.write(where / "train.yaml")
    named = {
        "exp_id": "x",
        "dataset": "steel",
        "family": family,
        "model": family,
        "variant": config.traits.variant,
    }
    ExperimentIdentity(**named, subset=2, prompt_type="box", img_size="native", seed=42).write(where / "identity.yaml")
    common = {"pack": folder / "packed", "split": folder / "split.csv", "base": folder / "base.safetensors"}
    training = {"settings": where / "train.yaml", "identity": where / "identity.yaml", "subset": folder / "subset.csv"}
    predicting = {name: where / f"{name}.pred.parquet" for name in ("val", "test")} | {"timing": where / "timing.json"}
    if family == "sam2":
        common |= {"prompts": folder / "prompts" / f"{config.prompt}.parquet"}
        common |= {"features": folder / "embeddings"}
        training |= {"prompt_settings": folder / "prompts.yaml"}
        training |= {"train_prompts": where / "mask.parquet"} if config.train_prompts else {}
    else:
        training |= {"features": folder / "embeddings"}
    call(train, **common, **training, folder=where / "exp", code_digest="0")
    weights = where / "exp" / "model" / "weights.safetensors"
    call(predict, **common, run=where / "exp" / "run.json", weights=weights, **predicting)
    return read_json(where / "exp" / "run.json"), load_file(weights)


def codes(path):
    with PredictionFile(path) as file:
        return dict(file)


VARIANTS = {
    "zero-shot": ("sam2", {}, ()),
    "decoder": ("sam2", {"tune": "full", "train": "decoder"}, ("sam_mask_decoder.",)),
    "all": ("sam2", {"tune": "full", "layer_decay": 0.8, "correction_clicks": 1, "mixed_prompts": True}, ("",)),
    "lora": ("sam2", {"tune": "lora", "prompt": "points"}, ("image_encoder.trunk.blocks.", "sam_mask_decoder.")),
    "dora": ("sam2", {"tune": "lora", "dora": True, "rslora": True}, ("image_encoder.", "sam_mask_decoder.")),
    "head": ("sam2_head", {"task": "per_class"}, ("head.",)),
    "head with LoRA": ("sam2_head", {"tune": "lora"}, ("head.", "sam.image_encoder.trunk.blocks.")),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_variant_trains_only_what_it_says_and_predicts(folder, tmp_path, variant):
    family, keys, parts = VARIANTS[variant]
    before = file_sha256(folder / "base.safetensors")
    record, trained = run(folder, tmp_path, family, **keys)
    assert all(name.startswith(parts) for name in trained)
    assert sum(value.numel() for value in trained.values()) == record["params_trainable"]
    assert sum(record["params_by_module"].values()) == record["params_trainable"]
    assert (record["weights_source"], record["base_sha256"]) == ("random", before)
    assert file_sha256(folder / "base.safetensors") == before
    oracle = family == "sam2"
    assert record["experiment"]["track"] == ("oracle" if oracle else "automatic")
    published = "loss: SAM 2's own (focal 20, Dice 1, IoU 1, object score 1)"
    assert record.get("notes", []) == ([published] if oracle and variant != "zero-shot" else [])
    # The clean images have no true prompt.
    assert sorted(codes(tmp_path / "test.pred.parquet")) == (["1.png"] if oracle else ["1.png", "3.png"])
    n_maps = 4 if variant == "head" else 1
    assert codes(tmp_path / "val.pred.parquet")["4.png"].shape == (n_maps, 32, 64)
    if variant == "zero-shot":
        assert record["zero_shot"]
        assert record["n_labels_train"] == 0
        assert "lr" not in record["settings"]
    elif "lora" in variant.lower() or variant == "dora":
        # Adapters are new; the decoder's output layers, if trained, have the names of the base.
        whole = {name.split(".")[1] for name in set(load_file(folder / "base.safetensors")) & set(trained)}
        heads = {"output_upscaling", "output_hypernetworks_mlps", "iou_prediction_head", "pred_obj_score_head"}
        assert whole == (heads if oracle else set())
        assert any("lora_B" in name and value.abs().max() > 0 for name, value in trained.items())
    elif family == "sam2":
        base = load_file(folder / "base.safetensors")
        assert any(not trained[name].equal(base[name]) for name in trained)


def test_the_loss_of_the_protocol_needs_no_note():
    assert describe_recipe(Sam2Settings(tune="full", recipe="dice_focal")) == []


def write_out_of_fold(path, image_ids):
    """Predictions of the whole defect as by a cross-validated experiment 'folds'."""
    mask = np.zeros((32, 64), np.uint8)
    mask[6:20, 20:50] = 1
    path.parent.mkdir(exist_ok=True)
    predicted = draw_prompts("mask", mask, "0.png", PromptSettings())
    write_prompts(path, "mask", "folds", [(name, predicted if name == "0.png" else []) for name in image_ids])


def test_labels_behind_prompts_of_a_training_are_counted(folder, tmp_path):
    write_out_of_fold(tmp_path / "mask.parquet", ["0.png", "2.png", "4.png", "5.png"])
    record, trained = run(folder, tmp_path, "sam2", tune="full", train="decoder", train_prompts="folds")
    # The folds' models have learned from train and val images alike.
    assert (record["n_labels_train"], record["n_labels_val"]) == (4, 0)
    assert record["labels_of_init_from"] == ["4.png", "5.png"]
    assert any("out-of-fold boxes of folds" in note for note in record["notes"])
    assert record["experiment"]["track"] == "oracle"
    _, plain = run(folder, tmp_path / "plain", "sam2", tune="full", train="decoder")
    assert any(not value.equal(plain[name]) for name, value in trained.items())


@pytest.mark.parametrize(
    ("image_ids", "problem"),
    [
        (["0.png", "1.png", "2.png"], "has predictions of 1 test images, such as 1.png"),
        (["0.png", "4.png", "5.png"], "lacks 1 training images, such as 2.png"),
    ],
)
def test_prompts_of_other_images_than_those_of_the_folds_are_refused(folder, tmp_path, capsys, image_ids, problem):
    write_out_of_fold(tmp_path / "mask.parquet", image_ids)
    with pytest.raises(SystemExit):
        run(folder, tmp_path, "sam2", tune="full", train="decoder", train_prompts="folds")
    assert problem in capsys.readouterr().err


def test_full_boxes_are_fixed_and_on_the_automatic_track(folder, tmp_path):
    record, _ = run(folder, tmp_path, "sam2", prompt="full_box")
    assert (record["experiment"]["track"], record["experiment"]["prompt_source"]) == ("automatic", "fixed")
    assert sorted(codes(tmp_path / "val.pred.parquet")) == ["4.png", "5.png"]


def test_oracle_predictions_are_scored_on_defective_images_alone(folder, tmp_path):
    run(folder, tmp_path, "sam2")
    truth = read_truth(folder / "manifest.parquet", folder / "split.csv")
    with PredictionFile(tmp_path / "val.pred.parquet") as file:
        assert ValidationData(file, truth).ids == ["4.png"]


def test_cached_embeddings_change_no_result(folder, tmp_path):
    keys = {"tune": "full", "train": "decoder", "augment": "none"}
    _, plain = run(folder, tmp_path / "plain", "sam2", **keys)
    _, cached = run(folder, tmp_path / "kept", "sam2", cache_embeddings=True, **keys)
    assert list((folder / "embeddings").rglob("*.safetensors"))
    for name, value in plain.items():
        assert (cached[name] - value).abs().max() <= 1e-5
    one, other = (codes(tmp_path / name / "val.pred.parquet")["4.png"] for name in ("plain", "kept"))
    assert np.abs(one.astype(int) - other.astype(int)).max() <= 2


def test_trained_tensors_load_on_their_own_base_only(folder, tmp_path, capsys):
    run(folder, tmp_path, "sam2", tune="lora")
    values = load_file(folder / "base.safetensors")
    values["no_mem_embed"] = values["no_mem_embed"] + 1
    save_file(values, tmp_path / "other.safetensors")
    settings = {"prompts": folder / "prompts" / "box.parquet", "features": folder / "embeddings"}
    outputs = dict.fromkeys(("val", "test", "timing"), tmp_path / "out")
    inputs = {"pack": folder / "packed", "split": folder / "split.csv", "run": tmp_path / "exp" / "run.json"}
    weights = tmp_path / "exp" / "model" / "weights.safetensors"
    with pytest.raises(SystemExit):
        call(predict_sam2, base=tmp_path / "other.safetensors", weights=weights, **settings, **inputs, **outputs)
    assert "trained on base weights with the SHA-256" in capsys.readouterr().err


def test_weights_of_another_size_or_none_at_all_are_refused(folder, tmp_path):
    with pytest.raises(WeightsError, match=r"does not fit sam2\.1_hiera_small"):
        load_base(folder / "base.safetensors", "sam2.1_hiera_small")
    with pytest.raises(WeightsError, match="cannot be read as weights"):
        load_base(tmp_path / "absent.safetensors", BASE)


def test_random_weights_are_a_function_of_their_seed(folder, tmp_path):
    for name, same in ((BASE, True), ("sam2.1_hiera_tiny_random_s7", False)):
        out = tmp_path / f"{name}.safetensors"
        call(weights_sam2, name=name, table=tmp_path / "none", folder=tmp_path, out=out)
        assert (file_sha256(out) == file_sha256(folder / "base.safetensors")) == same


def test_official_weights_are_refused_unopened_if_they_are_another_file(tmp_path, capsys):
    table = tmp_path / "weights.yaml"
    table.write_text("sam2.1_hiera_tiny: {url: 'http://127.0.0.1:9/tiny.pt', sha256: '" + "0" * 64 + "'}\n")
    keys = {"name": "sam2.1_hiera_tiny", "table": table, "folder": tmp_path / "official", "out": tmp_path / "out"}
    with pytest.raises(SystemExit):
        call(weights_sam2, **keys)
    message = capsys.readouterr().err
    for part in ("pretrained weights are absent", "http://127.0.0.1:9/tiny.pt", "0" * 64, "official/tiny.pt"):
        assert part in message
    (tmp_path / "official").mkdir(exist_ok=True)
    (tmp_path / "official" / "tiny.pt").write_bytes(b"no pickle")
    with pytest.raises(SystemExit):
        call(weights_sam2, **keys)
    assert "is not used: its SHA-256 is" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()

"""Cascades end to end through their scripts, on tiny images with an untrained SAM 2: what a detector finds is all."""

import shutil
from pathlib import Path

import average_members
import box_threshold
import calibrate
import cascade_prompts
import numpy as np
import pandas as pd
import predict_cascade
import predict_reference
import predict_sam2
import predict_unet
import prompts as prompts_script
import pytest
import score
import train_reference
import train_sam2
import train_unet
import weights_sam2
from evaluation_fixtures import write_run
from small_datasets import write_image, write_severstal

from defectbench.config.calibrate import CalibrateSettings
from defectbench.config.families.cascade import CascadePrompts, ResolvedCascade
from defectbench.config.families.ensemble import EnsembleSettings
from defectbench.config.families.reference import ReferenceSettings
from defectbench.config.families.sam2 import Sam2Settings
from defectbench.config.families.unet import UNetSettings
from defectbench.config.identity import ExperimentIdentity
from defectbench.config.prompts import PromptSettings
from defectbench.config.score import ScoreSettings
from defectbench.data.box_file import SCHEMA, BoxPredictions, write_boxes
from defectbench.data.ingest import ingest
from defectbench.data.manifest import Manifest, read_manifest, write_manifest
from defectbench.data.prompt_file import read_prompts
from defectbench.data.prompts import find_objects, tight_box
from defectbench.data.rle import encode_coco, encode_severstal
from defectbench.data.write_packs import pack_images, pack_masks
from defectbench.families.cascade.record import Stage, cascade_record, cascade_timing
from defectbench.files import read_json, write_json
from defectbench.inference.prediction_file import PredictionFile

SIZE = (32, 64)
ROLES = {f"{i}.png": ("train", "val", "test")[i % 3] for i in range(12)}
BASE = "sam2.1_hiera_tiny_random_s42"
SUMMED = ("params_total", "params_trainable", "weights_bytes", "train_seconds")
QUICK = {"threads": 1, "batch_size": 2, "steps": 2, "eval_every": 1, "precision": "fp32"}


def call(script, *flags, **options):
    arguments = [str(flag) for flag in flags]
    for name, value in options.items():
        values = value if isinstance(value, list) else [value]
        arguments += [f"--{name.replace('_', '-')}", *map(str, values)]
    script.main(arguments)


def identify(folder, family, prompt="none"):
    named = {"exp_id": folder.name, "dataset": "steel", "family": family, "model": family, "variant": ""}
    identity = ExperimentIdentity(**named, subset="full", prompt_type=prompt, img_size="native", seed=42)
    identity.write(folder / "identity.yaml")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Twelve images, every other one with one or two defects; a trained UNet, a reference and a zero-shot SAM 2."""
    root = tmp_path_factory.mktemp("cascade")
    rows = []
    for index in range(0, 12, 2):
        mask = np.zeros(SIZE, np.uint8)
        mask[4 : 12 + index, 6:20] = 1
        mask[6:26, 50:60] = index % 4 == 0
        rows.append(f"{index}.png,{1 + index % 3},{encode_severstal(mask)}")
    for index in range(12):
        write_image(root / "train_images" / f"{index}.png", seed=index, size=SIZE)
    manifest, *_ = ingest(write_severstal(root, rows, n_images=0), root / "found.csv")
    pack(root, manifest)
    split = pd.DataFrame({"image_id": list(ROLES), "role": list(ROLES.values()), "group": list(ROLES)})
    split.to_csv(root / "split.csv", index=False)
    split[split["role"] == "train"][["image_id"]].to_csv(root / "subset.csv", index=False)
    PromptSettings().write(root / "prompts.yaml")
    CalibrateSettings().write(root / "calibrate.yaml")
    ScoreSettings().write(root / "score.yaml")
    call(weights_sam2, name=BASE, table=root / "none.yaml", folder=root, out=root / "base.safetensors")
    train(root)
    return root


def pack(root, manifest):
    write_manifest(root / "manifest.parquet", manifest)
    pack_images(manifest, root, root / "packed")
    pack_masks(manifest, root / "packed")


def train(root):
    data = {"pack": root / "packed", "split": root / "split.csv", "subset": root / "subset.csv", "code_digest": "0"}
    for name, script, settings, more in (
        ("unet", train_unet, UNetSettings(model="unet", encoder="resnet18", encoder_weights="none", **QUICK), {}),
        ("tophat_otsu", train_reference, ReferenceSettings(model="tophat_otsu"), {}),
        ("sam2", train_sam2, Sam2Settings(init="random", threads=1, object_score_cut=False), {"prompt": "box"}),
        ("sam2_fixed", train_sam2, Sam2Settings(init="random", threads=1, prompt="full_box"), {"prompt": "full_box"}),
    ):
        folder = root / name
        settings.write(folder / "train.yaml")
        identify(folder, name, **more)
        options = data | {"settings": folder / "train.yaml", "identity": folder / "identity.yaml", "folder": folder}
        if script is train_sam2:
            draw(root, more["prompt"])
            options |= {"base": root / "base.safetensors", "prompts": root / "prompts" / f"{more['prompt']}.parquet"}
            options |= {"prompt_settings": root / "prompts.yaml", "features": root / "embeddings"}
        call(script, **options)


def draw(root, kind, noise=0.0):
    out = root / "prompts" / (f"{kind}_noise.parquet" if noise else f"{kind}.parquet")
    drawing = {"settings": root / "prompts.yaml", "manifest": root / "manifest.parquet", "kind": kind, "noise": noise}
    call(prompts_script, **drawing, out=out)
    return out


def predict(root, name):
    """Predict with the UNet, the reference or the SAM 2 called ``name``."""
    folder = root / name
    options = outputs(folder) | {"pack": root / "packed", "split": root / "split.csv"}
    if name == "tophat_otsu":
        call(predict_reference, run=folder / "run.json", weights=folder / "model" / "model.json", **options)
        return
    options |= {"run": folder / "run.json", "weights": folder / "model" / "weights.safetensors"}
    if name.startswith("sam2"):
        kind = "full_box" if name == "sam2_fixed" else "box"
        options |= {"base": root / "base.safetensors", "prompts": draw(root, kind), "features": root / "embeddings"}
    call(predict_sam2 if name.startswith("sam2") else predict_unet, **options)


def outputs(folder):
    return {name: folder / f"{name}.pred.parquet" for name in ("val", "test")} | {"timing": folder / "timing.json"}


def choose_thresholds(root, folder):
    data = {"manifest": root / "manifest.parquet", "split": root / "split.csv"}
    maps = folder / "val.pred.parquet"
    call(calibrate, settings=root / "calibrate.yaml", predictions=maps, **data, out=folder / "calibration.json")


def cascade(root, name, source, kind="box", noise=0.0):
    """Predict with the zero-shot SAM 2, prompted by ``source``; the folder of the cascade."""
    folder = root / name
    prompts = CascadePrompts(source=source, kind=kind, noise=noise)
    ResolvedCascade(model="cascade", segmenter="sam2", prompts=prompts, variant="", img_size="native", threads=1).write(
        folder / "train.yaml"
    )
    identify(folder, "cascade", kind)
    options = {"settings": folder / "train.yaml", "identity": folder / "identity.yaml", "segmenter": root / "sam2"}
    options |= {"base": root / "base.safetensors", "segmenter_subset": root / "subset.csv", "run": folder / "run.json"}
    options |= {"pack": root / "packed", "split": root / "split.csv", "features": root / "embeddings"}
    if source == "oracle":
        options |= {"prompts": draw(root, kind, noise)}
    else:
        given = folder / "prompts.parquet"
        options |= {"source": root / source, "prompts": given, "source_subsets": root / "subset.csv"}
        options |= {"prompts_timing": folder / "prompts.json"}
        is_detector = (root / source / "val.boxes.parquet").is_file()
        form, threshold = ("boxes", "threshold") if is_detector else ("maps", "calibration")
        actual = [root / source / f"{role}.{'boxes' if is_detector else 'pred'}.parquet" for role in ("val", "test")]
        asking = {"settings": root / "prompts.yaml", "run": root / source / "run.json", "kind": kind, form: actual}
        asking |= {"threshold": root / source / f"{threshold}.json", "timing": folder / "prompts.json"}
        call(cascade_prompts, **asking, out=given)
    call(predict_cascade, **options, **outputs(folder), code_digest="0")
    return folder


def detector(root, name, boxes):
    """A detector that gives ``boxes``, rows of box_file.SCHEMA by role, with the threshold of its val boxes."""
    folder = root / name
    for role in ("val", "test"):
        ids = tuple(sorted(image_id for image_id, image_role in ROLES.items() if image_role == role))
        table = pd.DataFrame(boxes[role], columns=SCHEMA.names).astype({"image_id": str, "class": str})
        write_boxes(folder / f"{role}.boxes.parquet", BoxPredictions(role, ("merged",), ids, table))
    write_run(folder, family="yolo")
    record = read_json(folder / "run.json")
    write_json(folder / "run.json", record | {"data_digest": read_json(root / "sam2" / "run.json")["data_digest"]})
    data = {"manifest": root / "manifest.parquet", "split": root / "split.csv"}
    call(box_threshold, boxes=folder / "val.boxes.parquet", **data, out=folder / "threshold.json")
    return name


def true_boxes(root, score=1.0):
    """What a perfect detector gives: the outer edges of the boxes that oracle prompts have."""
    rows = {"val": [], "test": []}
    manifest = read_manifest(root / "manifest.parquet")
    for row in manifest.frame.itertuples(index=False):
        for target in find_objects(manifest.masks(row).max(axis=0), PromptSettings().merge_distance):
            left, top, right, bottom = tight_box(target)
            if ROLES[row.image_id] in rows:
                rows[ROLES[row.image_id]].append((row.image_id, "merged", left, top, right + 1, bottom + 1, score))
    return rows


def per_image(root, folder):
    """Counts of an experiment as scoring writes them."""
    choose_thresholds(root, folder)
    written = {name: folder / f"{name}.parquet" for name in ("per_image", "hist", "pooled", "components", "froc")}
    given = {"manifest": root / "manifest.parquet", "split": root / "split.csv", "settings": root / "score.yaml"}
    given |= {name: folder / f"{name}.pred.parquet" for name in ("val", "test")}
    given |= {"calibration": folder / "calibration.json", "run": folder / "run.json"}
    call(score, **given, **written, metrics=folder / "metrics.json")
    return pd.read_parquet(folder / "per_image.parquet").sort_values(["role", "image_id", "policy"])


@pytest.fixture(scope="module")
def oracle(root):
    """Counts of the zero-shot SAM 2 with true boxes."""
    predict(root, "sam2")
    return per_image(root, root / "sam2")


def test_a_perfect_detector_gives_the_oracles_counts_on_the_defective_images(root, oracle):
    folder = cascade(root, "cascade_perfect", detector(root, "perfect", true_boxes(root)))
    actual = per_image(root, folder)
    assert len(actual) > len(oracle), "clean images are scored too"
    defective = actual[actual["n_truth"] > 0]
    assert (oracle["tp"] + oracle["fp"]).sum() > 0, "the test needs predicted pixels"
    pd.testing.assert_frame_equal(defective.reset_index(drop=True), oracle.reset_index(drop=True))
    record = read_json(folder / "run.json")
    assert (record["experiment"]["track"], record["experiment"]["prompt_source"]) == ("automatic", "perfect")


def test_a_detector_that_finds_nothing_gives_the_counts_of_all_empty(root):
    folder = cascade(root, "cascade_silent", detector(root, "silent", {"val": [], "test": []}))
    actual = per_image(root, folder)
    assert sorted(set(actual["image_id"])) == sorted(i for i, role in ROLES.items() if role != "train")
    assert (actual["tp"] + actual["fp"]).sum() == 0
    assert (actual["fn"] == actual["n_truth"]).all()
    with PredictionFile(folder / "test.pred.parquet") as file:
        assert all((codes == 0).all() for _, codes in file)


def test_boxes_of_low_score_are_prompts_but_give_no_masks(root):
    boxes = true_boxes(root, score=0.9)
    boxes["test"] = [(*row[:-1], 0.2) for row in boxes["test"]]
    folder = cascade(root, "cascade_unsure", detector(root, "unsure", boxes))
    threshold = read_json(root / "unsure" / "threshold.json")["threshold"]
    assert 0.2 < threshold <= 0.9
    limit = 32768 + 512 * (np.log(0.2 / 0.8) - np.log(threshold / (1 - threshold)))
    with PredictionFile(folder / "test.pred.parquet") as file:
        highest = [int(codes.max()) for _, codes in file]
    assert max(highest) <= round(limit) < 32768
    assert max(highest) > 17408, "prompted all the same"


def automatic(root):
    """Predict with everything that is on the automatic track, from images, weights and val labels; bytes by name."""
    for name in ("unet", "tophat_otsu", "sam2_fixed"):
        predict(root, name)
    for name in ("unet", "tophat_otsu"):
        choose_thresholds(root, root / name)
    rng = np.random.default_rng(0)
    boxes = {role: random_boxes(role, rng) for role in ("val", "test")}
    names = ["unet", "tophat_otsu", "sam2_fixed"]
    detector(root, "noisy", boxes)
    for source, kind in (("unet", "box_points"), ("tophat_otsu", "mask"), ("tophat_otsu", "points"), ("noisy", "box")):
        names.append(cascade(root, f"cascade_{source}_{kind}", source, kind).name)
    names.append(ensemble(root, "ensemble", names[0], names[3]))
    for name in set(names) - {"tophat_otsu"}:
        assert read_json(root / name / "run.json")["experiment"]["track"] == "automatic"
    return {name: (root / name / "test.pred.parquet").read_bytes() for name in names}


def ensemble(root, name, *members):
    """The mean of ``members``, weights fitted to val images: this script alone is given the truth of all images."""
    folder, members = root / name, [root / member for member in members]
    EnsembleSettings(model="ensemble", members=[one.name for one in members], weights="fitted").write(
        folder / "train.yaml"
    )
    identify(folder, "ensemble")
    options = {"settings": folder / "train.yaml", "identity": folder / "identity.yaml", "members": members}
    for role in ("val", "test"):
        options[f"{role}_maps"] = [member / f"{role}.pred.parquet" for member in members]
    options |= {"manifest": root / "manifest.parquet", "split": root / "split.csv", "run": folder / "run.json"}
    options |= {"subsets": [root / "subset.csv"] * len(members)}
    call(average_members, **options, **outputs(folder), choice=folder / "ensemble.json", code_digest="0")
    return name


def random_boxes(role, rng):
    rows = []
    for image_id in [image_id for image_id, image_role in ROLES.items() if image_role == role]:
        for _ in range(2):
            (x0, x1), (y0, y1) = (sorted(rng.uniform(0, side, 2)) for side in SIZE[::-1])
            rows.append((image_id, "merged", x0, y0, x1, y1, rng.uniform()))
    return rows


def test_no_automatic_prediction_depends_on_the_truth_of_the_test_images(root, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(root, copy)
    before = automatic(copy)
    predict(copy, "sam2")
    by_truth = (copy / "sam2" / "test.pred.parquet").read_bytes()

    manifest, rng = read_manifest(copy / "manifest.parquet"), np.random.default_rng(1)
    frame = manifest.frame.copy()
    for place, row in enumerate(manifest.frame.itertuples(index=False)):
        if ROLES[row.image_id] == "test":
            noise = rng.random((len(row.rle), *SIZE)) < 0.02
            frame.at[place, "rle"] = [encode_coco(mask) for mask in noise]
            frame.at[place, "area"] = noise.sum(axis=(1, 2)).tolist()
    pack(copy, Manifest(frame, manifest.dataset, manifest.class_names, manifest.class_values, 0))
    shutil.rmtree(copy / "prompts")

    assert automatic(copy) == before
    predict(copy, "sam2")
    assert (copy / "sam2" / "test.pred.parquet").read_bytes() != by_truth, "the oracle track is what it says"


def test_noisy_true_boxes_stay_on_the_oracle_track(root):
    folder = cascade(root, "cascade_oracle", "oracle", noise=0.2)
    record = read_json(folder / "run.json")
    assert record["experiment"]["track"] == "oracle"
    assert (record["prompt_noise"], record["zero_shot"], record["n_labels_train"]) == (0.2, True, 0)
    with PredictionFile(folder / "test.pred.parquet") as file:
        assert file.header.defective_only
        assert file.image_ids() == ["2.png", "8.png"]


def test_maps_that_follow_from_the_truth_make_no_prompts(root, oracle, capsys):
    with pytest.raises(SystemExit):
        cascade(root, "cascade_of_oracle", "sam2")
    assert "prompted with the true masks" in capsys.readouterr().err


def test_a_cascade_records_both_stages_and_their_costs(root):
    predict(root, "unet")
    choose_thresholds(root, root / "unet")
    trained = read_json(root / "unet" / "run.json")
    write_json(root / "unet" / "run.json", trained | {"notes": ["loss: its own"], "batch_parts": 2})
    folder = cascade(root, "cascade_unet", "unet")
    unet, sam2 = (read_json(root / name / "run.json") for name in ("unet", "sam2"))
    record, timing = read_json(folder / "run.json"), read_json(folder / "timing.json")
    assert record["params_total"] == unet["params_total"] + sam2["params_total"]
    assert record["weights_source"] == f"{unet.get('weights_source') or 'none'} + random"
    assert (record["n_labels_train"], record["n_labels_val"], record["zero_shot"]) == (4, 4, False)
    assert (record["notes"], record["batch_parts"]) == (["loss: its own"], 2)
    prompting = read_json(folder / "prompts.json")["avg_prompt_seconds"]
    first = read_json(root / "unet" / "timing.json")
    assert timing["infer_ms_stage1"] == pytest.approx(first["infer_ms_p50"] + 1000 * prompting)
    assert timing["infer_ms_p50"] == pytest.approx(timing["infer_ms_stage1"] + timing["infer_ms_stage2"])
    assert timing["avg_inference_time"] > first["avg_inference_time"] + prompting
    assert timing["load"] >= max(first["load"], timing["load_at_start"])
    assert len(read_prompts(folder / "prompts.parquet", "unet")) == 8
    assert (record["device"], timing["device"]) == (unet["device"], read_json(root / "unet" / "timing.json")["device"])


def test_times_and_trainings_of_two_devices_are_those_of_neither():
    timing = {"avg_inference_time": 0.02, "infer_seconds_total": 1.0, "n_images": 50, "peak_memory_infer_bytes": 1}
    timing |= {"infer_ms_p50": 15.0, "load": 0.4}
    source = {"avg_inference_time": 1.9, "infer_ms_p50": 800.0, "device": "CPU", "load": 1.7}
    actual = [cascade_timing(timing | {"device": name}, source, {"avg_prompt_seconds": 0.1}) for name in ("GPU", "CPU")]
    assert [timing["device"] for timing in actual] == ["mixed", "CPU"]
    assert (actual[0]["infer_ms_p50"], actual[0]["load"]) == (915, 1.7)
    named = {"exp_id": "c", "dataset": "d", "family": "cascade", "model": "cascade", "variant": "", "subset": "full"}
    identity = ExperimentIdentity(**named, prompt_type="box", img_size="native", seed=42)
    stages = {"segmenter": "t", "prompts": CascadePrompts(source="s", kind="box")}
    settings = ResolvedCascade(model="cascade", **stages, variant="", img_size="native", threads=1)

    def trained(device, **more):
        run = {"device": device, "finished_at": ""} | dict.fromkeys(SUMMED, 1) | more
        return Stage(Path("x"), run, frozenset())

    def device(*stages):
        return cascade_record(identity, settings, *stages, pd.DataFrame({"role": ["val"]}), "0")["device"]

    assert device(trained("CPU"), trained("GPU")) == "mixed"
    assert device(trained("GPU"), trained("GPU")) == "GPU"
    assert device(trained("GPU"), trained("CPU", zero_shot=True)) == "GPU"
    assert device(None, trained("CPU", zero_shot=True)) is None


def test_thresholds_are_not_selected_on_test_boxes(root, capsys):
    boxes = root / detector(root, "swapped", {"val": [], "test": []}) / "test.boxes.parquet"
    data = {"manifest": root / "manifest.parquet", "split": root / "split.csv"}
    with pytest.raises(SystemExit):
        call(box_threshold, boxes=boxes, **data, out=root / "none.json")
    assert "test images" in capsys.readouterr().err

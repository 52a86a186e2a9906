"""What a network predicts does not depend on the truth of the test images, wherever that lies.

Here are the families that train on maps or boxes of their own; UNet, prompted SAM 2, cascades, ensembles and the tuned
threshold are in test_cascade_scripts.py, and all of them, through the workflow, in test_truth_unseen_workflow.py.
"""

import predict_sam2_head
import predict_sam3
import predict_yolo
import predict_yolo_boxes
import pytest
import train_sam2_head
import train_sam3
import train_yolo
import weights_sam2
import weights_sam3
from tiny_packs import call
from yolo_data import shapes, write_experiment, write_files, write_noisy_copy

from defectbench.config.families.sam2_head import Sam2HeadSettings
from defectbench.config.families.sam3 import Sam3Settings
from defectbench.config.families.yolo import YoloSettings
from defectbench.data.packing import ImagePack, MaskPack

SIZE = (64, 96)
TRUTH = {f"{i:02d}.png": shapes(*SIZE, seed=i) * (i % 4 > 0) for i in range(12)}
ROLES = dict(zip(TRUTH, ["train"] * 8 + ["val"] * 2 + ["test"] * 2, strict=True))
QUICK = {"threads": 1, "batch_size": 2, "steps": 2, "eval_every": 2, "init": "random", "precision": "fp32"}
# With fewer steps it gives the same for all images: batch normalisation has seen too little to let a signal through.
YOLO = {"scale": "p", "img_size": "96", "steps": 40, "batch_size": 1, "lr": 0.01, "threads": 1}
FAMILIES = {
    "yolo": (train_yolo, predict_yolo, YoloSettings(model="yolov8-seg", **YOLO)),
    "yolo_boxes": (train_yolo, predict_yolo_boxes, YoloSettings(model="yolov8", **YOLO)),
    "sam2_head": (train_sam2_head, predict_sam2_head, Sam2HeadSettings(**QUICK)),
    "sam3": (train_sam3, predict_sam3, Sam3Settings(size="nano", tune="lora", phrases="spot", accumulate=1, **QUICK)),
}


@pytest.fixture(scope="module")
def truth(tmp_path_factory):
    """Folder of the dataset as it is."""
    folder = tmp_path_factory.mktemp("data") / "truth"
    write_files(folder, TRUTH, ROLES)
    return folder


@pytest.fixture(scope="module")
def noise(truth):
    """Folder of the same images; the truth of those of test is noise."""
    return write_noisy_copy(truth, truth.with_name("noise"), ROLES)


@pytest.fixture(scope="module", params=FAMILIES)
def predict(request, truth):
    """A function of the dataset's folder, after one training: bytes of the predictions by role."""
    train_script, predict_script, settings = FAMILIES[request.param]
    experiment = truth.with_name(request.param)
    write_experiment(experiment, settings)
    base = {}
    if request.param.startswith("sam"):
        base = {"base": truth.with_name(f"{settings.base_name}.safetensors")}
        named = {"name": settings.base_name, "folder": truth, "out": base["base"]}
        if request.param == "sam3":
            call(weights_sam3, **named)
        else:
            call(weights_sam2, **named, table=truth / "none.yaml")
    cache = truth.with_name("kept")
    more = {"labels": truth / f"{settings.labels}.parquet"} if not base else {}
    more |= {"features": cache} if request.param == "sam2_head" else {}
    data = {"pack": truth / "packed", "split": truth / "split.csv", "subset": truth / "subset.csv"}
    files = {"settings": experiment / "train.yaml", "identity": experiment / "identity.yaml", "folder": experiment}
    call(train_script, **data, **files, **base, **more, code_digest="0")

    model = {"run": experiment / "run.json", "weights": experiment / "model" / "weights.safetensors", **base}
    model |= {"features": cache} if request.param == "sam3" else {}

    def run(folder):
        outputs = {role: experiment / f"{role}.parquet" for role in ("val", "test")}
        data = {"pack": folder / "packed", "split": folder / "split.csv"}
        call(predict_script, **model, **data, **outputs, timing=experiment / "timing.json")
        return {role: path.read_bytes() for role, path in outputs.items()}

    return run


def test_predictions_do_not_change_with_the_truth_of_the_test_images(predict, truth, noise):
    assert predict(noise) == predict(truth)


def test_they_would_if_a_pack_let_masks_through(predict, truth, noise, monkeypatch):
    plain = ImagePack.__getitem__

    def leaking(pack, image_id):
        return plain(pack, image_id) | 255 * MaskPack(pack._folder).read(image_id, merged=True)[0]

    monkeypatch.setattr(ImagePack, "__getitem__", leaking)
    by_truth, by_noise = predict(truth), predict(noise)
    assert by_truth["val"] == by_noise["val"]
    assert by_truth["test"] != by_noise["test"]

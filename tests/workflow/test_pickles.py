"""Nothing but tensors is ever unpickled, checked or not, and the bytes that were checked are those that are read."""

import ast
import hashlib
import json
import os
import pickle
import struct
from types import SimpleNamespace

import pytest
import torch
import weights_sam2
import yolo_weights
from evil_pickles import Bomb
from safetensors.torch import load_file
from tiny_study import ROOT

from defectbench.families.yolo import network as yolo
from defectbench.models import published
from defectbench.models.adapters import WeightsError, read_tensors
from defectbench.training.checkpoints import AtomicCheckpoints, CheckpointWeights

LIBRARY = sorted(path for path in (ROOT / "workflow").rglob("*.py"))


@pytest.fixture
def mark(tmp_path):
    """What a bomb leaves behind."""
    path = tmp_path / "exploded"
    yield path
    assert not path.exists()


@pytest.fixture(params=[os.system, open], ids=["command", "function"])
def bomb(request, mark):
    return Bomb(mark, request.param)


def listed(folder, name, file):
    """Make ``file``, whose SHA-256 is listed, the published weights ``name``; returns the arguments of the scripts."""
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    table = folder / "weights.yaml"
    table.write_text(json.dumps({name: {"url": f"https://example.org/{file.name}", "sha256": digest}}))
    values = {"--name": name, "--table": table, "--folder": folder, "--out": folder / "out.safetensors"}
    return [str(text) for pair in values.items() for text in pair]


def small_yolo():
    from defectbench.config.families.yolo import YoloSettings

    return yolo._build_random(YoloSettings(model="yolov8-seg", scale="p"), 80)


def test_a_test_can_see_a_bomb_explode(tmp_path):
    torch.save(Bomb(tmp_path / "seen", open), tmp_path / "evil.pt")
    torch.load(tmp_path / "evil.pt", weights_only=False)
    assert (tmp_path / "seen").exists()


@pytest.mark.parametrize(
    ("script", "name"), [(yolo_weights, "yolov8n"), (weights_sam2, "sam2.1_hiera_tiny")], ids=["yolo", "sam2"]
)
def test_published_weights_of_the_right_digest_run_no_code_either(tmp_path, bomb, script, name, capsys):
    torch.save({"model": bomb}, tmp_path / "w.pt")
    with pytest.raises(SystemExit):
        script.main(listed(tmp_path, name, tmp_path / "w.pt"))
    assert "is not used: it holds no weights" in capsys.readouterr().err
    assert not (tmp_path / "out.safetensors").exists()


def test_code_beside_the_tensors_of_a_yolo_checkpoint_stays_inert(tmp_path, mark):
    network = small_yolo()
    torch.save({"model": network, "train_args": {"name": Bomb(mark, open)}}, tmp_path / "w.pt")
    yolo_weights.main(listed(tmp_path, "yolov8n", tmp_path / "w.pt"))
    found, expected = load_file(tmp_path / "out.safetensors"), network.state_dict()
    assert list(found) != []
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_a_file_that_takes_the_place_of_the_checked_one_is_not_read(tmp_path, mark, monkeypatch):
    network = small_yolo()
    torch.save({"model": network}, tmp_path / "w.pt")
    torch.save({"model": Bomb(mark, open)}, tmp_path / "evil.pt")

    def exchange(content):
        (tmp_path / "evil.pt").replace(tmp_path / "w.pt")
        return hashlib.sha256(content)

    arguments = listed(tmp_path, "yolov8n", tmp_path / "w.pt")
    monkeypatch.setattr(published, "hashlib", SimpleNamespace(sha256=exchange))
    yolo_weights.main(arguments)
    assert not (tmp_path / "evil.pt").exists()
    assert load_file(tmp_path / "out.safetensors").keys() == network.state_dict().keys()


def test_the_state_of_a_training_runs_no_code_even_if_lightning_asked_for_it(tmp_path, bomb):
    torch.save({"state_dict": {}, "callbacks": bomb}, tmp_path / "last.ckpt")
    for asked in (None, True, False):
        with pytest.raises(pickle.UnpicklingError):
            AtomicCheckpoints().load_checkpoint(tmp_path / "last.ckpt", weights_only=asked)


def test_a_kept_checkpoint_runs_no_code(tmp_path, bomb):
    torch.save({"state_dict": {"network.weight": bomb}}, tmp_path / "best_step1.ckpt")
    with pytest.raises(pickle.UnpicklingError):
        CheckpointWeights([tmp_path / "best_step1.ckpt"])["best_step1"]


def test_a_cache_of_labels_laid_beside_the_labels_is_not_opened(tmp_path, mark):
    import numpy as np
    from PIL import Image

    for kind in ("images", "labels"):
        (tmp_path / kind / "train").mkdir(parents=True)
    Image.new("RGB", (64, 64)).save(tmp_path / "images" / "train" / "0.png")
    (tmp_path / "labels" / "train" / "0.txt").write_text("0 0.1 0.1 0.9 0.1 0.9 0.9\n")
    with (tmp_path / "labels" / "train.cache").open("wb") as file:
        np.save(file, np.array({"version": Bomb(mark, open)}, dtype=object), allow_pickle=True)
    data = {"names": {0: "crack"}, "channels": 3}
    built = yolo._dataset.YOLODataset(img_path=str(tmp_path / "images" / "train"), data=data, task="segment")
    assert [len(label["cls"]) for label in built.labels] == [1]


def safetensors_file(header, length=None, data=bytes(4)):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


HOSTILE = {
    "a header of 2^62 bytes": safetensors_file(b"{}", 2**62),
    "a header of blanks": safetensors_file(b" " * 2**22),
    "a million levels": safetensors_file(b'{"a":' * 10**6),
    "2^80 numbers": safetensors_file({"a": {"dtype": "F32", "shape": [2**80], "data_offsets": [0, 4]}}),
    "more numbers than bytes": safetensors_file({"a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 4]}}),
    "bytes outside": safetensors_file({"a": {"dtype": "F32", "shape": [1], "data_offsets": [2**40, 2**40 + 4]}}),
    "a pickle": pickle.dumps({"a": 1}),
    "nothing": b"",
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_hostile_files_of_tensors_are_refused_with_a_message(tmp_path, content):
    (tmp_path / "w.safetensors").write_bytes(content)
    with pytest.raises(WeightsError, match=r"w\.safetensors cannot be read as weights"):
        read_tensors(tmp_path / "w.safetensors")


def calls(path):
    """Calls in a file, as dotted names with their keyword arguments."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), {keyword.arg: keyword.value for keyword in node.keywords}


def test_every_call_that_could_unpickle_says_that_it_does_not():
    found = []
    for path in LIBRARY:
        for name, keywords in calls(path):
            assert name.split(".")[0] not in ("joblib", "dill", "cloudpickle", "shelve", "marshal"), path
            assert name not in ("pickle.load", "pickle.loads", "pickle.Unpickler", "pd.read_pickle"), path
            assert "allow_pickle" not in keywords, path
            if name in ("torch.load", "torch.hub.load", "torch.jit.load", "torch.package.PackageImporter"):
                assert name == "torch.load", path
                assert ast.unparse(keywords["weights_only"]) == "True", path
                found.append(path.name)
            if name in ("yaml.load", "yaml.load_all", "yaml.unsafe_load", "yaml.full_load"):
                assert ast.unparse(keywords["Loader"]) in ("yaml.CBaseLoader", "yaml.CSafeLoader"), path
    assert found

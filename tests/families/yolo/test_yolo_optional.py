"""Ultralytics is an extra under AGPL-3.0: without it everything else works, and YOLO says what is missing."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from defectbench.config.families.yolo import YoloSettings
from defectbench.files import write_json

ROOT = Path(__file__).resolve().parents[3]
BLOCKED = f"import sys; sys.modules['ultralytics'] = None; sys.path[:0] = [{str(ROOT / 'workflow')!r}, "
BLOCKED += f"{str(ROOT / 'workflow' / 'scripts')!r}]\n"


def without_ultralytics(code):
    return subprocess.run([sys.executable, "-c", BLOCKED + code], capture_output=True, text=True, check=False)


def imported(path):
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


def test_one_file_imports_it():
    files = sorted((ROOT / "workflow").rglob("*.py"))
    actual = [path.relative_to(ROOT).as_posix() for path in files if "ultralytics" in imported(path)]
    assert actual == ["workflow/defectbench/families/yolo/network.py"]


def test_studies_with_yolo_and_all_other_modules_load_without_it():
    code = """
import importlib, pkgutil
import defectbench
optional = {f"defectbench.families.yolo.{name}" for name in ("budget", "network", "ultralytics_training")}
names = [m.name for m in pkgutil.walk_packages(defectbench.__path__, "defectbench.", onerror=lambda _: None)]
for name in names:
    if name not in optional and ".sam" not in name:
        importlib.import_module(name)
from defectbench.config.families.yolo import YoloSettings
print(YoloSettings(model="yolo11-seg").network_name, len(names) > 50)
import train_yolo, predict_yolo, predict_yolo_boxes, yolo_labels, yolo_weights, train_unet, results
"""
    done = without_ultralytics(code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "yolo11n-seg True"


@pytest.mark.parametrize("script", ["train_yolo", "predict_yolo", "predict_yolo_boxes"])
def test_yolo_scripts_say_what_to_install(script, tmp_path):
    settings = YoloSettings(model="yolov8-seg").model_dump(mode="json")
    write_json(tmp_path / "run.json", {"settings": settings, "classes": ["merged"]})
    options = {
        "train_yolo": "settings identity pack labels split subset folder code-digest",
        "predict_yolo": "run weights pack split val test timing",
        "predict_yolo_boxes": "run weights pack split val test timing",
    }[script].split()
    values = {"run": str(tmp_path / "run.json")}
    arguments = [text for option in options for text in (f"--{option}", values.get(option, "x"))]
    done = without_ultralytics(f"import {script}; {script}.main({arguments!r})")
    assert done.returncode == 1
    assert "AGPL-3.0" in done.stderr
    assert "pip install 'defectbench[yolo]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_licence_is_an_extra_and_readme_says_so():
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    required, extras = project.split("[project.optional-dependencies]")
    assert "ultralytics" not in required
    assert 'yolo = ["ultralytics"]' in extras
    assert "AGPL-3.0" in (ROOT / "README.md").read_text(encoding="utf-8")

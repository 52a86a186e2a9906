"""The doctor says what is missing, one line per problem."""

import doctor
import pytest
import yaml
from small_datasets import write_image


def test_the_default_study_is_ready_here(capsys):
    doctor.main([])
    lines = capsys.readouterr().out.splitlines()
    assert all(line.startswith("ok") for line in lines)
    assert any("study: demo" in line for line in lines)


def test_a_missing_data_folder_is_a_problem_with_a_way_out(tmp_path, capsys):
    path = tmp_path / "study.yaml"
    path.write_text(
        "study: x\ndataset: {name: x, format: mask_folder, root: nowhere, classes: {1: a}}\n"
        "experiments: [{model: unet}]\n"
    )
    with pytest.raises(SystemExit) as stop:
        doctor.main(["--configfile", str(path)])
    assert stop.value.code == 1
    assert "PROBLEM study" in (output := capsys.readouterr().out)
    assert "no such folder: nowhere; point it at your data" in output


def test_phrases_that_describe_nothing_are_a_warning(tmp_path, capsys):
    write_image(tmp_path / "images" / "0.png")
    write_image(tmp_path / "masks" / "0.png")
    study = {"dataset": {"name": "x", "format": "mask_folder", "root": str(tmp_path), "classes": {1: "class_1"}}}
    study["experiments"] = [{"model": "sam3", "name": "zero-shot"}, {"model": "sam3", "phrases": "pit"}]
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(study))
    doctor.main(["--configfile", str(path)])
    warnings = [line for line in capsys.readouterr().out.splitlines() if line.startswith("warning")]
    assert len(warnings) == 1
    assert "zero-shot: prompted with class names that describe nothing: class_1" in warnings[0]


def test_a_package_of_another_version_is_named(tmp_path):
    lock = tmp_path / "lock"
    lock.write_text("numpy==0.1 \\\n    --hash=sha256:00\nno-such-package==1.0 \\\n    --hash=sha256:00\n")
    ok, line = doctor.packages(lock)
    assert not ok
    assert "numpy" in line
    assert "no-such-package missing" in line

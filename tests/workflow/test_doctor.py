"""The doctor says what is missing, one line per problem."""

import doctor
import pytest


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


def test_a_package_of_another_version_is_named(tmp_path):
    lock = tmp_path / "lock"
    lock.write_text("numpy==0.1 \\\n    --hash=sha256:00\nno-such-package==1.0 \\\n    --hash=sha256:00\n")
    ok, line = doctor.packages(lock)
    assert not ok
    assert "numpy" in line
    assert "no-such-package missing" in line

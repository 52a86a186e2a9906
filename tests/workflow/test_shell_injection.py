"""Folders, files and addresses of a configuration reach the scripts as they are: no shell runs anything in them."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import cv2
import doctor
import numpy as np
import pytest
import yaml
from tiny_study import CONFIG, ROOT, Project

RECORDER = ROOT / "tests/support/recorder.sh"
# Everything by which a shell would run something, leave a blank or a quote out, or end the command.
EVIL = """a `touch here` $(touch here);touch here;#&|'"\\ b*"""


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Project:
    """The project in a folder that would run something itself."""
    folder = tmp_path_factory.mktemp("top") / "it's $(touch here) `touch here`"
    return Project(folder)


def arguments_of(project: Project, target: str, dataset: dict | None = None, snakefile="Snakefile", **sections):
    """Run the job that makes ``target`` with other sections of the configuration; the arguments that Python gets."""
    values = yaml.safe_load((ROOT / CONFIG).read_text())
    values |= {"dataset": values["dataset"] | (dataset or {}), **sections}
    configfile = project.folder / "it's $(touch here).yaml"
    configfile.write_text(yaml.safe_dump(values))
    recorded = project.folder / "recorded"
    recorded.unlink(missing_ok=True)
    call = project.command("-s", snakefile, "--cores", "1", target, configfile=configfile.name)
    call["env"] |= {"BASH_ENV": str(RECORDER), "RECORDED_ARGUMENTS": str(recorded)}
    done = subprocess.run(**call, capture_output=True, check=False)
    assert recorded.is_file(), done.stdout + done.stderr
    assert not [*project.folder.parent.rglob("here")], done.stdout + done.stderr
    arguments = recorded.read_text().split("\0")
    return arguments[2:] if arguments[:2] == ["-m", "defectbench.job"] else arguments


def after(arguments: list[str], option: str) -> str:
    return arguments[arguments.index(option) + 1]


def without_generator() -> dict:
    dataset = yaml.safe_load((ROOT / CONFIG).read_text())["dataset"]
    return {key: value for key, value in dataset.items() if key != "synthetic"}


def test_the_folder_of_generated_data(project):
    root = f"runs/{EVIL}"
    arguments = arguments_of(project, "runs/tiny_steel/manifest.parquet", {"root": root})
    assert arguments[0].endswith("synthesize.py")
    assert after(arguments, "--out-dir") == root


def test_folder_and_address_of_fetched_data(project):
    url = f"http://127.0.0.1:9/{EVIL}.zip"
    values = without_generator() | {"root": EVIL, "fetch": {"url": url, "sha256": "ab" * 32}}
    arguments = arguments_of(project, f"{EVIL}/fetched.sha256", values | {"synthetic": None}, "rules/fetch.smk")
    assert arguments[0].endswith("fetch.py")
    assert after(arguments, "--root") == EVIL
    settings = yaml.safe_load((project.folder / after(arguments, "--settings")).read_text())
    assert settings["url"] == url


@pytest.mark.parametrize("name", ["yolov8n-seg", "sam2.1-tiny", "sam3"])
def test_the_folder_of_official_weights(project, name):
    arguments = arguments_of(project, f"weights/{name}.safetensors", weights={"folder": EVIL})
    assert after(arguments, "--name") == name
    assert after(arguments, "--folder") == EVIL


def test_a_folder_of_new_images(project):
    images = project.folder / EVIL
    images.mkdir()
    cv2.imwrite(str(images / "1.png"), np.zeros((32, 96), np.uint8))
    experiment = {"model": "all_empty", "name": "empty"}
    sections = {"predict_images": {"images": EVIL, "experiment": "empty"}, "experiments": [experiment]}
    configfile = project.config(**sections)
    project.pretend_to_compute(
        "runs/tiny_steel/reference/all_empty_full_none_native_s42/calibration.json", configfile=configfile
    )
    arguments = arguments_of(project, "results/tiny/predict_images", **sections)
    assert after(arguments, "--images") == EVIL


def test_weights_that_a_training_starts_from(project):
    (project.folder / EVIL).mkdir(exist_ok=True)
    weights = Path(EVIL, "old.safetensors")
    (project.folder / weights).write_bytes(b"")
    experiment = {"model": "unet", "init_from": str(weights)}
    configfile = project.config(experiments=[experiment])
    (job,) = [exp for rule, exp in project.stale_jobs(configfile=configfile) if rule == "train_unet"]
    run = f"runs/tiny_steel/unet/{job}/run.json"
    project.pretend_to_compute(run, configfile=configfile)
    (project.folder / run).unlink()
    arguments = arguments_of(project, run, experiments=[experiment])
    assert any(argument.endswith("train_unet.py") for argument in arguments)
    settings = yaml.safe_load((project.folder / after(arguments, "--settings")).read_text())
    assert settings["init_from"] == str(weights)


def test_names_that_become_folders_are_refused(project):
    dataset = yaml.safe_load((ROOT / CONFIG).read_text())["dataset"]
    configfile = project.config(study=EVIL, dataset=dataset | {"name": EVIL})
    done = project.snakemake("--cores", "1", "-n", configfile=configfile)
    assert done.returncode != 0
    for key in ("study:", "dataset.name:"):
        assert key in done.stdout + done.stderr
    assert not [*project.folder.parent.rglob("here")]


@pytest.mark.parametrize(
    ("target", "option", "variable"),
    [
        ("study", "--data", "DATA"),
        ("study", "--name", "NAME"),
        ("study", "--size", "SIZE"),
        ("study", "--format", "FORMAT"),
        ("study", "--image-size", "IMAGE_SIZE"),
        ("plan", "--configfile", "CONFIG"),
        ("resume", "--configfile", "CONFIG"),
        ("doctor", "--configfile", "CONFIG"),
    ],
)
def test_variables_of_make(target, option, variable, tmp_path):
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name in ("requirements.lock", "envs/uv.lock", "envs/crf.lock", "envs/crf-build.lock", ".venv/.installed"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    value = EVIL + "$(shell touch here)"
    command = ["make", "--dry-run", "--no-print-directory", target]
    done = subprocess.run([*command, f"{variable}={value}"], cwd=tmp_path, capture_output=True, text=True, check=True)
    words = shlex.split(done.stdout.replace("\\\n", " ").partition("| python")[0])
    assert words[words.index(option) + 1] == value
    assert not (tmp_path / "here").exists()


@pytest.mark.parametrize("start", ["study: !!python/object/apply:os.system [':']", "__use_yte__: true\nstudy: x"])
def test_doctor_refuses_a_study_with_code_without_running_it(start, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    text = (ROOT / CONFIG).read_text().replace("study: tiny", start)
    text = text.replace("n_images: 40", "n_images: ?__import__('os').system('touch here')")
    Path("study.yaml").write_text(text)
    with pytest.raises(SystemExit):
        doctor.main(["--configfile", "study.yaml"])
    said = capsys.readouterr().out
    assert "is not YAML" in said or "__use_yte__" in said
    assert not Path("here").exists()


def test_no_code_starts_a_shell_or_runs_text():
    risky = r"shell=True|os\.system\(|os\.popen\(|(?<![.\w])(eval|exec)\(|(unsafe|full)_load|(Unsafe|Full)Loader"
    sources = [path for folder in ("workflow", "envs", "docs") for path in (ROOT / folder).rglob("*.py")]
    assert len(sources) > 300
    assert [str(path) for path in sources if re.search(risky, path.read_text())] == []

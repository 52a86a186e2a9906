"""The workflow itself: one command from images to leaderboard, and only stale stages recompute."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml
from conftest import ROOT

PARTS = ("Snakefile", "rules", "workflow", "config", "profiles", "resources", "envs")
UNET = "unet-resnet18_full_none_native_batch-size-4_steps-4_eval-every-2_threads-1_s42"
FIRST_COLUMNS = (
    "exp_id,model,subset_size,variant,prompt_type,img_size,batch_size,steps,lr,wd,seed,val_mIoU,val_Dice,test_mIoU,"
    "test_Dice,IoU@50,IoU@75,IoU@90,IoU@95,Precision,Recall,F1,AUPRC,avg_inference_time,ckpt_path,timestamp"
)


class Project:
    """A copy of the project that has run its tiny study once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for part in PARTS:
            if (ROOT / part).is_dir():
                shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / part, folder / part)

    def snakemake(self, *arguments: str, configfile: str = "config/test/tiny.yaml") -> subprocess.CompletedProcess:
        environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE")}
        # A bare PATH: the workflow must find its interpreter by itself.
        environment["PATH"] = "/usr/local/bin:/usr/bin:/bin"
        command = [str(Path(sys.executable).with_name("snakemake")), *arguments, "--configfile", configfile]
        return subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False)

    def stale(self, *arguments: str, **keys: str) -> dict[str, int]:
        """Jobs that a dry run would execute: rule -> count."""
        done = self.snakemake("--cores", "1", *arguments, "--dry-run", "--quiet", "host", **keys)
        output = done.stdout + done.stderr
        assert done.returncode == 0, output
        if "Nothing to be done" in output:
            return {}
        table = re.search(r"^job +count\n-+ +-+\n(.*?)\n\n", output, re.M | re.S)
        rows = [line.split() for line in table[1].splitlines()]
        return {rule: int(count) for rule, count in rows if rule not in ("total", "all")}

    def config(self, **changes) -> str:
        """A configuration file like the tiny one, with some sections replaced."""
        values = yaml.safe_load((self.folder / "config/test/tiny.yaml").read_text())
        path = self.folder / "changed.yaml"
        path.write_text(yaml.safe_dump({**values, **changes}))
        return path.name

    def edit(self, path: str, old: str, new: str) -> None:
        text = (self.folder / path).read_text()
        assert old in text
        (self.folder / path).write_text(text.replace(old, new, 1))


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    project = Project(tmp_path_factory.mktemp("project"))
    done = project.snakemake("--cores", "2", "--resources", "gpu=1")
    assert done.returncode == 0, done.stdout + done.stderr
    project.first_output = done.stdout + done.stderr
    return project


@pytest.fixture
def clean(project):
    """The project, put back after the test's edits."""
    yield project
    for part in PARTS:
        source, target = ROOT / part, project.folder / part
        files = [source] if source.is_file() else [p for p in source.rglob("*") if p.is_file()]
        for file in files:
            copy = target / file.relative_to(source) if source.is_dir() else target
            if "__pycache__" not in file.parts and copy.read_bytes() != file.read_bytes():
                shutil.copy(file, copy)


def test_one_command_makes_table_leaderboard_and_plots(project):
    results = project.folder / "results/tiny"
    table = pd.read_csv(results / "results.csv")
    assert ",".join(table.columns).startswith(FIRST_COLUMNS)
    assert len(table) == 6
    assert set(table["track"]) == {"automatic", "reference"}
    for name in ("leaderboard.md", "results.parquet", "plots/ranking.png", "plots/gallery.png"):
        assert (results / name).stat().st_size > 0
    assert (results / "leaderboard.md").read_text().strip() in project.first_output


def test_a_second_run_does_nothing_and_says_so(project):
    done = project.snakemake("--cores", "2")
    assert done.returncode == 0
    assert "Nothing to be done" in done.stdout + done.stderr


def test_touched_files_make_nothing_stale(project):
    for path in [*project.folder.glob("workflow/**/*.py"), *project.folder.glob("runs/*/source/**/*")]:
        path.touch()
    assert project.stale() == {}


def test_a_comment_makes_nothing_stale(clean):
    clean.edit("workflow/defectbench/training/losses.py", "import torch\n", "import torch  # tensors\n")
    assert clean.stale() == {}


def test_one_plots_style_reruns_that_plot_alone(clean):
    path = "workflow/defectbench/reporting/plots/ranking.py"
    (clean.folder / path).write_text((clean.folder / path).read_text() + "\nDPI = 301\n")
    assert clean.stale() == {"plot_ranking": 1}


def test_one_learning_rate_reruns_that_experiment_the_table_and_the_plots(project):
    entries = [
        {"model": "unet", "subset": [10, "full"]},
        {"model": "unet", "task": "per_class", "lr": 0.01},
        {"model": ["all_empty", "all_full", "tophat_otsu"]},
    ]
    stale = project.stale(configfile=project.config(experiments=entries))
    once = {"train_unet", "predict_unet", "calibrate", "score", "results", "leaderboard"}
    plots = {rule for rule in stale if rule.startswith("plot_")}
    assert stale == dict.fromkeys(once | plots, 1)
    assert len(plots) == 3


def test_a_new_threshold_policy_does_not_retrain(project):
    stale = project.stale(configfile=project.config(calibrate={"objective": "f1"}))
    assert stale["calibrate"] == stale["score"] == 6
    assert not any(rule.startswith(("train", "predict", "ingest", "split", "subset", "pack")) for rule in stale)


def test_a_real_edit_of_a_loss_retrains_the_networks_only(clean):
    clean.edit("workflow/defectbench/training/losses.py", "smooth=1.0", "smooth=2.0")
    stale = clean.stale()
    assert stale["train_unet"] == 3
    assert "train_reference" not in stale
    assert "ingest" not in stale


def test_an_edited_label_file_is_noticed(project):
    path = project.folder / "runs/tiny_steel/source/train.csv"
    before = path.read_text()
    try:
        path.write_text(before + "steel_00000.jpg,1,1 2\n")
        assert "ingest" in project.stale()
    finally:
        path.write_text(before)


def test_a_family_target_builds_no_other_familys_jobs(project):
    config = project.config(study="other", dataset={**yaml_dataset(project), "name": "other_steel"})
    stale = project.stale("unet", configfile=config)
    assert stale["train_unet"] == 3
    assert not any("reference" in rule or rule == "results" for rule in stale)


def test_one_experiment_can_be_asked_for_by_its_path(project):
    config = project.config(dataset={**yaml_dataset(project), "name": "other_steel"})
    stale = project.stale(f"runs/other_steel/unet/{UNET}/metrics.json", configfile=config)
    assert stale["train_unet"] == stale["score"] == 1


def test_an_unknown_experiment_is_refused_with_the_known_ones(project):
    done = project.snakemake("--cores", "1", "--dry-run", "runs/tiny_steel/unet/nonsense_s1/metrics.json")
    assert done.returncode != 0
    assert "has no experiment nonsense_s1" in done.stdout + done.stderr
    assert UNET in done.stdout + done.stderr


def test_mistakes_in_the_configuration_stop_everything_before_any_job(project):
    done = project.snakemake("--cores", "1", configfile=project.config(splt={}, calibrate={"objective": "dice"}))
    output = done.stdout + done.stderr
    assert done.returncode != 0
    assert "2 problem(s)" in output
    assert "splt: unknown key; did you mean 'split'?" in output
    assert "calibrate.objective: 'dice' is not allowed; allowed: 'dice_all', 'f1' or 'youden'" in output
    assert "Traceback" not in output


def test_export_names_model_subset_prompt_size_and_end_of_training(project):
    done = project.snakemake("--cores", "1", "export")
    assert done.returncode == 0, done.stderr
    names = sorted(path.name for path in (project.folder / "results/tiny/export").glob("*.csv"))
    pattern = re.compile(r"exp_[A-Za-z0-9_]+(-resnet18)?_(10|full)_none_native_\d{8}-\d{4}\.csv")
    assert names
    assert all(pattern.fullmatch(name) for name in names)
    rows = pd.concat(pd.read_csv(project.folder / "results/tiny/export" / name) for name in names)
    assert len(rows) == 6


def test_the_report_collects_leaderboard_and_plots(project):
    done = project.snakemake("--report", "report.html")
    assert done.returncode == 0, done.stderr
    report = (project.folder / "report.html").read_text()
    assert "ranking.png" in report
    assert "leaderboard" in report


def yaml_dataset(project):
    return yaml.safe_load((project.folder / "config/test/tiny.yaml").read_text())["dataset"]

"""The workflow itself: one command from images to leaderboard. What makes jobs stale: test_staleness.py."""

import re

import pandas as pd
import yaml
from tiny_study import LOG

UNET = "unet-tu-test-resnet_full_none_native_threads-1_batch-size-4_steps-4_eval-every-2_s42"
FIRST_COLUMNS = (
    "exp_id,model,subset_size,variant,prompt_type,img_size,batch_size,steps,lr,wd,seed,val_mIoU,val_Dice,test_mIoU,"
    "test_Dice,IoU@50,IoU@75,IoU@90,IoU@95,Precision,Recall,F1,AUPRC,avg_inference_time,ckpt_path,timestamp"
)


def test_one_command_makes_table_leaderboard_and_plots(project):
    results = project.folder / "results/tiny"
    table = pd.read_csv(results / "results.csv")
    assert ",".join(table.columns).startswith(FIRST_COLUMNS)
    assert len(table) == 6
    assert set(table["track"]) == {"automatic", "reference"}
    for name in ("leaderboard.md", "results.parquet", "plots/ranking.png", "plots/gallery.png"):
        assert (results / name).stat().st_size > 0
    assert (project.folder / "runs/tiny_steel/card.md").stat().st_size > 0
    assert (results / "leaderboard.md").read_text().strip() in (project.folder / LOG).read_text()


def test_a_training_and_a_prediction_take_a_device_and_a_reference_does_not(project):
    usage = {path.name for path in project.folder.glob("runs/*/*/*/logs/*.gpu.json")}
    assert usage == {"train_unet.log.gpu.json", "predict_unet.log.gpu.json"}


def test_a_second_run_does_nothing_and_says_so(project):
    done = project.snakemake("--cores", "2")
    assert done.returncode == 0
    assert "Nothing to be done" in done.stdout + done.stderr


def test_a_family_target_builds_no_other_familys_jobs(project):
    config = project.config(study="other", dataset={**yaml_dataset(project), "name": "other_steel"})
    stale = project.stale("unet", configfile=config)
    assert stale["train_unet"] == 3
    assert not any("reference" in rule or rule == "results" for rule in stale)


def test_targets_that_the_study_cannot_make_say_what_is_missing(project):
    for target, message in (
        ("sam3", "study tiny has no experiment of family sam3; it has: reference, unet"),
        ("predict_images", "add to it: predict_images: {images: FOLDER, experiment: ID}"),
    ):
        done = project.snakemake("--cores", "1", "--dry-run", target)
        assert done.returncode != 0
        assert message in done.stdout + done.stderr


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
    assert (
        "calibrate.objective: 'dice' is not allowed; allowed: 'dice_all', 'f1', 'youden' or 'recall_at_least'" in output
    )
    assert "Traceback" not in output


def test_export_names_model_subset_prompt_size_and_end_of_training(project):
    done = project.snakemake("--cores", "1", "export")
    assert done.returncode == 0, done.stderr
    names = sorted(path.name for path in (project.folder / "results/tiny/export").glob("*.csv"))
    pattern = re.compile(r"exp_[A-Za-z0-9_]+(-tu-test_resnet)?_(10|full)_none_native_\d{8}-\d{4}\.csv")
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

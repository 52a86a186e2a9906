"""What is written tells nothing of this machine, its users and their passwords."""

import ast
import hashlib
import json
from pathlib import Path

import pytest
import yaml
from study_config import BASE, changed, problems_of
from tiny_packs import options
from tiny_study import ROOT, Project
from tiny_training import Squares, TinyNetwork, run_fit, settings
from unet_training import arguments, train, train_script, write_packs
from workflow_listing import list_workflow

from defectbench.config.base import has_secret, is_elsewhere
from defectbench.config.families.unet import UNetSettings
from defectbench.config.identity import ExperimentIdentity
from defectbench.config.settings_files import write_settings_files
from defectbench.config.study import load_study
from defectbench.config.trackers import TrackerSettings
from defectbench.files import read_json
from defectbench.script import UserError
from defectbench.training.losses import make_loss
from defectbench.training.trackers import Trackers, open_trackers

NAMED = {"exp_id": "x", "dataset": "steel", "family": "unet", "model": "unet", "variant": "tiny"}
IDENTITY = ExperimentIdentity(**NAMED, subset="full", prompt_type="none", img_size="native", seed=42)
SECRET = "s3cret-Wert"


def texts(folder):
    """Content of all files below ``folder``, of whatever kind."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_packs(tmp_path_factory.mktemp("packs"))


@pytest.fixture(scope="module")
def weights(folder, tmp_path_factory):
    """Weights of somebody's training, at a place that names her."""
    place = tmp_path_factory.mktemp("home") / "alice"
    place.mkdir()
    return train(folder, place, steps=1)[1]


def written_train_files(entry, top):
    """The train.yaml of a study with this experiment."""
    study = load_study(changed(experiments=[entry]))
    write_settings_files(study, top)
    (path,) = top.rglob("train.yaml")
    return path


def test_initial_weights_from_elsewhere_are_recorded_by_name_and_digest(folder, weights, tmp_path):
    entry = {"model": "unet", "init_from": str(weights)}
    settings_file = written_train_files(entry, tmp_path / "study")
    assert "alice" not in settings_file.read_text()
    assert yaml.safe_load(settings_file.read_text())["init_from"] == "weights.safetensors"

    # As the rule calls it: the settings have the name alone, an option has the place.
    call = arguments(folder, tmp_path, init_from="weights.safetensors", steps=1)
    train_script.main([*call, *options(init_from=weights)])
    run = read_json(tmp_path / "exp" / "run.json")
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    assert run["init_from_sha256"] == digest
    assert run["settings"]["init_from"] == f"weights.safetensors (SHA-256 {digest})"
    UNetSettings(**run["settings"])
    assert not [path for path, content in texts(tmp_path / "exp").items() if b"alice" in content]


def test_a_place_in_the_settings_themselves_is_not_recorded_either(folder, weights, tmp_path):
    run, _ = train(folder, tmp_path, init_from=weights, steps=1)
    assert run["weights_source"] == "checkpoint"
    assert "alice" not in json.dumps(run)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/home/alice/w.safetensors", True),
        ("../alice/w.safetensors", True),
        ("runs/a/../../../alice/w.safetensors", True),
        ("runs/steel/unet/x/model/weights.safetensors", False),
    ],
)
def test_what_leads_out_of_the_project_is_elsewhere(path, expected):
    assert is_elsewhere(Path(path)) == expected


SECRETS = [
    f"https://alice:{SECRET}@mlflow.example.org",
    f"http://{SECRET}@mlflow.example.org",
    f"postgresql://alice:{SECRET}@db/mlflow",
    f"mysql+pymysql://db/mlflow?password={SECRET}",
]


@pytest.mark.parametrize("address", SECRETS)
def test_an_address_with_a_password_is_refused_and_not_repeated(address):
    (problem,) = problems_of(changed(trackers={"use": ["mlflow"], "mlflow_uri": address}))
    assert problem.startswith("trackers.mlflow_uri: holds a password or token")
    assert "MLFLOW_TRACKING_PASSWORD" in problem
    assert SECRET not in problem


@pytest.mark.parametrize(
    "address", ["sqlite:///runs/mlflow.db", "https://mlflow.example.org:5000", "postgresql://alice@db/mlflow", "env"]
)
def test_an_address_without_one_is_taken(address):
    assert not has_secret(address)
    assert TrackerSettings(mlflow_uri=address).mlflow_uri == address


def test_an_address_of_data_with_a_password_is_refused_and_not_repeated():
    keys = {"url": f"https://alice:{SECRET}@example.org/a.zip", "sha256": "0" * 64}
    (problem,) = problems_of(changed(dataset=BASE["dataset"] | {"fetch": keys}))
    assert problem.startswith("dataset.fetch.url: holds a password or token")
    assert "netrc" in problem
    assert SECRET not in problem


def test_an_address_out_of_the_environment_reaches_mlflow_and_no_file(tmp_path, monkeypatch):
    pytest.importorskip("mlflow")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "state").mkdir()
    TrackerSettings(use=["mlflow"], mlflow_uri="env").write(tmp_path / "trackers.yaml")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(UserError, match="MLFLOW_TRACKING_URI is not set"):
        open_trackers(tmp_path / "trackers.yaml", IDENTITY, settings(), tmp_path / "state")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{SECRET}.db")
    open_trackers(tmp_path / "trackers.yaml", IDENTITY, settings(), tmp_path / "state")
    assert (tmp_path / f"{SECRET}.db").is_file()
    written = {path: content for path, content in texts(tmp_path).items() if path.suffix != ".db"}
    assert {path.name for path in written} == {"trackers.yaml", "mlflow_run_id", "mlflow.lock"}
    assert not any(SECRET.encode() in content for content in written.values())


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        (f"http://alice:{SECRET}@127.0.0.1:9/api", "http://***@127.0.0.1:9/api"),
        (f"http://{SECRET}@x@127.0.0.1:9", "http://***@127.0.0.1:9"),
        (
            f"mysql+pymysql://db/mlflow?user=a&password={SECRET}&ssl=1",
            "mysql+pymysql://db/mlflow?user=a&password=***&ssl=1",
        ),
        ("http://127.0.0.1:9/api?name=steel@home", "http://127.0.0.1:9/api?name=steel@home"),
    ],
)
def test_the_warning_of_a_tracker_that_fails_repeats_no_password(capsys, address, shown):
    def fail():
        raise ConnectionError(f"{address} is gone")

    Trackers({"mlflow": fail})
    assert f"(ConnectionError: {shown} is gone)" in capsys.readouterr().out


def test_nothing_that_mlflow_says_of_a_server_that_is_gone_has_its_password(tmp_path, monkeypatch, capfd):
    pytest.importorskip("mlflow")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "state").mkdir()
    TrackerSettings(use=["mlflow"], mlflow_uri="env").write(tmp_path / "trackers.yaml")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://alice:{SECRET}@127.0.0.1:9")
    open_trackers(tmp_path / "trackers.yaml", IDENTITY, settings(), tmp_path / "state")
    said = "".join(capfd.readouterr())
    assert "warning: mlflow failed" in said
    assert SECRET not in said


@pytest.mark.parametrize("name", ["mlflow", "wandb"])
def test_no_variable_of_the_environment_is_written_by_a_training_or_its_trackers(tmp_path, monkeypatch, name):
    pytest.importorskip(name)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "state").mkdir()
    for variable in ("MLFLOW_TRACKING_PASSWORD", "AWS_SECRET_ACCESS_KEY", "KAGGLE_KEY", "HF_TOKEN", "GITHUB_TOKEN"):
        monkeypatch.setenv(variable, SECRET)
    # Of the length that W&B asks for.
    monkeypatch.setenv("WANDB_API_KEY", (SECRET * 8)[:40])
    TrackerSettings(use=[name]).write(tmp_path / "trackers.yaml")
    config = settings(steps=2, eval_every=1)
    trackers = open_trackers(tmp_path / "trackers.yaml", IDENTITY, config, tmp_path / "state")
    data, loss = (Squares(4), Squares(3)), make_loss("bce")
    run_fit("x", TinyNetwork(), loss, *data, config, tmp_path / "state", report=trackers.log_row)
    trackers.finish({"steps": 2})
    written = texts(tmp_path)
    assert any(name in str(path) for path in written)
    assert [path for path, content in written.items() if SECRET.encode() in content] == []


@pytest.mark.parametrize("name", ["x\n", "x\n\n", "\nx", "x y", "../x", "x/y", "", "x\0"])
def test_names_of_studies_datasets_and_experiments_match_to_their_last_character(name):
    assert problems_of(changed(study=name))[0].startswith("study")
    assert problems_of(changed(dataset=BASE["dataset"] | {"name": name}))[0].startswith("dataset.name")
    assert "name" in problems_of(changed(experiments=[{"model": "unet", "name": name}]))[0]


def test_no_name_is_checked_by_its_beginning_alone():
    for path in (ROOT / "workflow").rglob("*.py"):
        calls = [node for node in ast.walk(ast.parse(path.read_bytes())) if isinstance(node, ast.Call)]
        assert "re.match" not in [ast.unparse(call.func) for call in calls], path


def test_the_rule_gives_initial_weights_from_elsewhere_to_the_training(tmp_path):
    (tmp_path / "project").mkdir()
    project = Project(tmp_path / "project")
    (tmp_path / "weights.safetensors").touch()
    study = yaml.safe_load((ROOT / "config/test/tiny.yaml").read_text())
    study["experiments"] = [{"model": "unet", "init_from": str(tmp_path / "weights.safetensors")}]
    (project.folder / "study.yaml").write_text(yaml.safe_dump(study))
    _, jobs = list_workflow(project, "all", configfile="study.yaml")
    (training,) = (job for job in jobs if job.rule == "train_unet")
    assert f"--init-from {tmp_path / 'weights.safetensors'} " in training.command

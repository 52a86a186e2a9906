"""Projects and data in folders with blanks and quotes, files whose names Snakemake cannot hold, and older files."""

import os
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
import yaml
from small_datasets import write_severstal
from tiny_study import CONFIG, ROOT, Project

from defectbench.data.manifest import read_manifest
from defectbench.data.tables import read_names
from defectbench.sources import read_sources

NAMES = ["part{0}.png", "it's.png", "$(touch here).png", "a b;c&d.png", "Größe.png", "裂缝.png"]
TARGETS = ("runs/mine/card.md", "runs/mine/split.csv", "runs/mine/packed/masks.parquet")
DATA_RULES = ["card", "ingest", "pack", "split"]


class Elsewhere:
    """A project in a folder with a blank and a quote, called from another such folder."""

    def __init__(self, top: Path) -> None:
        self.project = Project(top / "it's my project")
        self.folder = top / 'work "here"'
        self.folder.mkdir()

    def snakemake(self, configfile: Path, *arguments: str) -> str:
        call = self.project.command("-s", str(self.project.folder / "Snakefile"), "--cores", "1", *arguments)
        call["args"][call["args"].index("--configfile") + 1] = str(configfile)
        done = subprocess.run(
            call["args"], cwd=self.folder, env=call["env"], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def stale(self, configfile: Path) -> list[str]:
        output = self.snakemake(configfile, *TARGETS, "--dry-run", "--quiet", "host")
        return sorted(re.findall(r"^(?:local)?rule (\w+):$", output, re.M))


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory) -> Elsewhere:
    return Elsewhere(tmp_path_factory.mktemp("top"))


@pytest.fixture(scope="module")
def mine(elsewhere) -> Path:
    """The configuration of a finished study of data with odd names, all but the trainings."""
    root = elsewhere.folder / "my {data} it's"
    rows = [f"{i}.png,1,{i + 1} 5" for i in range(0, 12, 2)] + [f"{name},2,7 9" for name in NAMES[::2]]
    write_severstal(root, rows, n_images=12)
    for i, name in enumerate(NAMES):
        write_severstal(elsewhere.folder / f"more{i}", [], n_images=100 + i)
        (elsewhere.folder / f"more{i}/train_images/{99 + i}.png").rename(root / "train_images" / name)
    tiny = yaml.safe_load((ROOT / CONFIG).read_text())
    dataset = {
        "name": "mine",
        "format": "severstal_csv",
        "root": str(root),
        "classes": {1: "a", 2: "b", 3: "c", 4: "d"},
    }
    path = elsewhere.folder / "my study.yaml"
    path.write_text(yaml.safe_dump({**tiny, "dataset": dataset, "experiments": tiny["experiments"][-1:]}))
    elsewhere.snakemake(path, *TARGETS)
    return path


def test_data_with_odd_names_are_read(elsewhere, mine):
    manifest = read_manifest(elsewhere.folder / "runs/mine/manifest.parquet")
    frame = manifest.frame.set_index("image_id")
    assert {*frame.index} == {*NAMES, *(f"{i}.png" for i in range(12))}
    assert np.stack(frame.loc[NAMES, "area"])[:, 1].tolist() == [9, 0] * 3
    assert len(read_names(elsewhere.folder / "runs/mine/split.csv")) == 18
    assert not list(elsewhere.folder.rglob("here"))


def test_the_tiny_study_is_planned_and_its_data_made(elsewhere):
    tiny = yaml.safe_load((ROOT / CONFIG).read_text())
    path = elsewhere.folder / "tiny.yaml"
    path.write_text(yaml.safe_dump({**tiny, "dataset": tiny["dataset"] | {"root": "runs/it's tiny/$(touch here)"}}))
    assert "train_unet" in elsewhere.snakemake(path, "--dry-run", "--quiet", "rules")
    elsewhere.snakemake(path, "runs/tiny_steel/manifest.parquet")
    assert len(read_manifest(elsewhere.folder / "runs/tiny_steel/manifest.parquet").frame) == 40
    assert not list(elsewhere.folder.rglob("here"))


def test_a_table_is_noticed_though_it_is_older_and_a_touched_one_is_not(elsewhere, mine):
    assert elsewhere.stale(mine) == []
    root = Path(yaml.safe_load(mine.read_text())["dataset"]["root"])
    for path in [*(root / "train_images").iterdir(), root / "train.csv"]:
        path.touch()
    assert elsewhere.stale(mine) == []
    table = root / "train.csv"
    original = table.read_bytes()
    table.write_bytes(original.replace(b"0.png,1,1 5", b"0.png,1,1 6"))
    os.utime(table, (1, 1))
    assert elsewhere.stale(mine) == DATA_RULES
    table.write_bytes(original)
    assert elsewhere.stale(mine) == []
    odd = root / "train_images" / NAMES[0]
    odd.write_bytes(odd.read_bytes() + b"\0")
    assert elsewhere.stale(mine) == DATA_RULES


def test_sources_are_read_again_only_if_size_or_time_changed(tmp_path, monkeypatch):
    files = [tmp_path / name for name in "abc"]
    for path in files:
        path.write_text(path.name)
    memo = tmp_path / "memo.json"
    first = read_sources(files, memo)
    with monkeypatch.context() as patch:
        patch.setattr("defectbench.sources.file_sha256", lambda path: pytest.fail(f"{path} was read"))
        assert read_sources(files, memo) == first
    files[0].write_text("x")
    assert read_sources(files, memo).digest != first.digest
    files[0].write_text("a")
    assert read_sources(files, memo) == first
    assert read_sources(files[:2], tmp_path / "other.json").digest != first.digest
    files[1].unlink()
    assert read_sources(files, memo).digest != first.digest
    memo.write_text("{damaged")
    files[1].write_text("b")
    assert read_sources(files, memo) == first


# Options that rules build, with every path in them quoted, or of words of the project alone.
BUILT = {"options", "flags", "launcher", "pack_option", "features", "gate", "noise", "source", "table"}


def shell_commands() -> list[tuple[str, str]]:
    """The texts after every `shell:` of the rules, by file."""
    commands = []
    for path in sorted((ROOT / "rules").glob("*.smk")):
        for block in re.findall(r"^( *)shell:\n((?:\1 +\S.*\n)+)", path.read_text(), re.M):
            commands.append((path.name, block[1]))
    return commands


def test_every_text_in_a_shell_command_is_quoted():
    commands = shell_commands()
    assert len(commands) > 25
    for name, command in commands:
        for field in re.findall(r"\{([^}]*)\}", command):
            built = field.startswith("params.") and field.removeprefix("params.") in BUILT
            assert built or field == "threads" or field.endswith(":q"), f"{name}: {{{field}}}"

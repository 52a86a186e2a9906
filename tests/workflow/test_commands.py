"""Commands in the documents and studies, read as Snakemake reads them: options with many values swallow a target."""

import shlex
from pathlib import Path

import pytest
from snakemake.cli import get_argument_parser
from tiny_study import ROOT

FILES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "config").glob("*.yaml"))]


def commands(path: Path) -> list[list[str]]:
    """The arguments of every call of snakemake in a block of code or a comment; some span several lines."""
    lines = [line.removeprefix("#").strip() for line in path.read_text(encoding="utf-8").splitlines()]
    calls = []
    for start, line in enumerate(lines):
        if line.startswith("snakemake ") and "…" not in line:
            command = line
            for more in lines[start + 1 :]:
                if not command.endswith("\\") and command.count("'") % 2 == 0:
                    break
                command = f"{command.removesuffix(chr(92))} {more}"
            calls.append(shlex.split(command, comments=True)[1:])
    return calls


COMMANDS = [(path.name, command) for path in FILES for command in commands(path)]


def test_commands_are_found():
    assert {"README.md", "checkpoints.md", "severstal_baseline.yaml"} <= {name for name, _ in COMMANDS}


@pytest.mark.parametrize(("name", "command"), COMMANDS)
def test_only_a_study_follows_configfile(name, command):
    arguments = get_argument_parser().parse_args(command)
    assert [path for path in arguments.configfile or () if path.suffix != ".yaml"] == []

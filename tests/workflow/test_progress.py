"""What a run prints while it works."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_study import ROOT

SMALL = f"""
include: "{ROOT}/rules/progress.smk"

rule both:
    input: "first", "second"

rule any:
    output: "{{name}}"
    wildcard_constraints: name="first|second"
    shell: "echo making {{wildcards.name}}; touch {{output}}"
"""


def printed(folder: Path, *options: str) -> str:
    (folder / "Snakefile").write_text(SMALL)
    snakemake = Path(sys.executable).with_name("snakemake")
    done = subprocess.run([snakemake, "--cores", "1", *options], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout + done.stderr


def test_a_line_per_finished_job_and_none_about_choosing_them(tmp_path):
    output = printed(tmp_path, "--quiet", "rules")
    lines = re.findall(r"^(\[.*), \d+ s$", output, re.M)
    assert lines == ["[1/3] any", "[2/3] any", "[3/3] both"]
    assert "making second" in output
    assert not re.search(r"^(Select|Execute|Finished) |steps", output, re.M)


@pytest.mark.parametrize("quiet", [(), ("--quiet", "host")])
def test_snakemakes_own_lines_where_they_are_wanted(quiet, tmp_path):
    output = printed(tmp_path, *quiet)
    assert "3 of 3 steps (100%) done" in output
    assert "Select jobs" in output
    assert "[3/3]" not in output

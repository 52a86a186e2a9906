"""The workflow as others find it: through the catalog's path, and as a module of another workflow."""

import pytest
import yaml
from tiny_study import CONFIG, ROOT, Project

DEFAULT = "config/config.yaml"
MODULE = """
configfile: "outer.yaml"

module defectbench:
    snakefile: "{root}/Snakefile"
    config: config["study"]

use rule * from defectbench as defectbench_*

rule outer:
    default_target: True
    input: rules.defectbench_results.output.csv
    output: "n_experiments.txt"
    shell: "tail -n +2 {{input}} | wc -l > {{output}}"
"""
PLAN = """
module defectbench:
    snakefile: "{root}/Snakefile"
    config: config

use rule * from defectbench

rule default:
    default_target: True
    input: rules.all.input
"""


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    return Project(tmp_path_factory.mktemp("fresh"))


def jobs(project, *arguments, configfile=DEFAULT):
    """The jobs of the default study; both Snakefiles that are not the project's own call their target ``default``."""
    return [job for job in project.stale_jobs(*arguments, configfile=configfile) if job[0] != "default"]


@pytest.fixture(scope="module")
def planned(fresh):
    """The jobs that the project's own Snakefile plans for the default study, which has all families but one."""
    planned = jobs(fresh)
    assert {"weights_sam2", "train_yolo", "predict_cascade", "leaderboard"} < {rule for rule, _ in planned}
    return planned


def test_the_catalogs_path_plans_the_same_jobs(fresh, planned):
    assert jobs(fresh, "-s", "workflow/Snakefile") == planned


def test_a_module_of_another_workflow_plans_the_same_jobs(fresh, planned, tmp_path_factory):
    outer = Project(tmp_path_factory.mktemp("outer"), parts=("config",))
    (outer.folder / "Snakefile").write_text(PLAN.format(root=fresh.folder))
    assert jobs(outer) == planned


def test_no_rule_asks_for_the_base_folder_which_is_another_one_in_a_module():
    assert [path.name for path in ROOT.glob("**/*.smk") if "workflow.basedir" in path.read_text()] == []


def test_another_workflow_uses_it_as_a_module(fresh, tmp_path_factory):
    outer = Project(tmp_path_factory.mktemp("outer"), parts=())
    (outer.folder / "Snakefile").write_text(MODULE.format(root=fresh.folder))
    study = yaml.safe_load((fresh.folder / CONFIG).read_text()) | {"experiments": [{"model": "all_empty"}]}
    (outer.folder / "outer.yaml").write_text(yaml.safe_dump({"study": study}))
    done = outer.snakemake("--cores", "2", configfile="outer.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (outer.folder / "n_experiments.txt").read_text().strip() == "1"


def test_what_the_catalog_reads_is_there():
    usage = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    assert {"mandatory-flags", "software-stack-deployment", "report"} <= set(usage)
    assert "# Configuring" in (ROOT / "config" / "README.md").read_text()

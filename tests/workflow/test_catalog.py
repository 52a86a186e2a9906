"""The workflow as others find it: through the catalog's path, and as a module of another workflow."""

import pytest
import yaml
from tiny_study import CONFIG, ROOT, Project

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


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    return Project(tmp_path_factory.mktemp("fresh"))


def test_the_catalogs_path_plans_the_same_jobs(fresh):
    jobs = fresh.stale_jobs()
    assert len(jobs) > 30
    assert [job for job in fresh.stale_jobs("-s", "workflow/Snakefile") if job[0] != "default"] == jobs


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

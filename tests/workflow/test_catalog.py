"""The workflow as others find it: through the catalog's path, and as a module of another workflow."""

import subprocess

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
    snakefile: {snakefile}
    config: config

use rule * from defectbench

rule default:
    default_target: True
    input: rules.all.input
"""


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    return Project(tmp_path_factory.mktemp("fresh"))


@pytest.fixture(scope="module")
def planned(fresh):
    """The jobs that the project's own Snakefile plans for the default study, which has all families but one."""
    planned = fresh.stale_jobs(configfile=DEFAULT)
    assert {"weights_sam2", "train_yolo", "predict_cascade", "leaderboard"} < {rule for rule, _ in planned}
    return planned


def test_the_catalogs_path_plans_the_same_jobs(fresh, planned):
    assert fresh.stale_jobs("-s", "workflow/Snakefile", configfile=DEFAULT) == planned


def test_a_module_of_another_workflow_plans_the_same_jobs(fresh, planned, tmp_path_factory):
    outer = Project(tmp_path_factory.mktemp("outer"), parts=("config",))
    (outer.folder / "Snakefile").write_text(PLAN.format(snakefile=repr(f"{fresh.folder}/Snakefile")))
    assert outer.stale_jobs(configfile=DEFAULT) == planned


@pytest.fixture(scope="module")
def repository(fresh, tmp_path_factory):
    """The project as a tagged commit in a bare clone, where Snakemake would put the one of github.com/owner/bench."""

    def git(*arguments, cwd):
        identity = ("-c", "user.name=test", "-c", "user.email=test@example.org")
        subprocess.run(["git", *identity, *arguments], cwd=cwd, check=True, capture_output=True)

    source = Project(tmp_path_factory.mktemp("source")).folder
    for arguments in (("init",), ("add", "."), ("commit", "-m", "release"), ("tag", "v1")):
        git(*arguments, cwd=source)
    # What is not committed is not used.
    (source / "rules" / "page.smk").unlink()
    cache = tmp_path_factory.mktemp("cache")
    clone = (
        cache / "snakemake" / "snakemake" / "source-cache" / "snakemake-git-cache" / "github.com" / "owner" / "bench"
    )
    git("clone", "--bare", str(source), str(clone), cwd=cache)
    return source, cache


@pytest.mark.parametrize("host", ["github.com", "a local repository"])
def test_a_deployed_release_plans_the_same_jobs_and_runs(host, repository, planned, tmp_path, monkeypatch):
    source, cache = repository
    snakefile = f"'git+file://{source}/workflow/Snakefile@v1'"
    if host == "github.com":
        snakefile = "github('owner/bench', path='workflow/Snakefile', tag='v1')"
        monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    outer = Project(tmp_path, parts=("config",))
    (outer.folder / "Snakefile").write_text(PLAN.format(snakefile=snakefile))
    assert outer.stale_jobs(configfile=DEFAULT) == planned
    done = outer.snakemake("--cores", "2", "runs/tiny_steel/packed/masks.parquet")
    assert done.returncode == 0, done.stdout + done.stderr
    # The jobs ran the release's own code.
    (release,) = (outer.folder / ".snakemake" / "defectbench").iterdir()
    assert f"{release.relative_to(outer.folder)}/workflow/scripts/pack.py" in done.stdout + done.stderr + " ".join(
        outer.dry_run("--forceall", "runs/tiny_steel/packed/masks.parquet").split()
    )


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

"""What changed -> exactly which jobs run again. The table is docs/staleness.md's, written down before the runs."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from tiny_study import CONFIG, ROOT, Project

from defectbench.code_digest import CodeDigests
from defectbench.digests import LARGE
from defectbench.reporting.plots import registry

Jobs = list[tuple[str, str]]
PER_CLASS = "_task-per-class"


def trained(subset: int | str, task: str = "", lr: str = "", seed: int = 42) -> str:
    return f"unet-tu-test-resnet_{subset}_none_native{task}{lr}_threads-1_batch-size-4_steps-4_eval-every-2_s{seed}"


# The experiments of the tiny study by family; a new family is a line here.
FAMILIES = {
    "unet": [trained(10), trained("full"), trained("full", PER_CLASS)],
    "reference": [f"{model}_full_none_native_s42" for model in ("all_empty", "all_full", "tophat_otsu")],
}
# The plots of the tiny study, which has no cascades and no bands.
PLOTS = [plot for plot in registry.PLOTS.values() if plot.only_with in ("results", "augmentations")]
AFTER_SCORES = "results operating_points data_efficiency pairwise findings leaderboard tables page"
BEFORE_TRAINING = "ingest card split subset subset pack"
TABLES = [(name, "") for name in AFTER_SCORES.split()]
TABLES += [(f"plot_{plot.name}", "") for plot in PLOTS if "results" in plot.inputs]
DATA = [(name, "") for name in BEFORE_TRAINING.split()]
DATA += [(f"plot_{plot.name}", "") for plot in PLOTS if "results" not in plot.inputs]


def experiment(family: str, exp_id: str) -> Jobs:
    return [(f"train_{family}", exp_id), (f"predict_{family}", exp_id), ("calibrate", exp_id), ("score", exp_id)]


def experiments(*families: str) -> Jobs:
    return [job for family in families for exp_id in FAMILIES[family] for job in experiment(family, exp_id)]


MIRRORED = trained("full", f"{PER_CLASS}_tta-hflip")

EXPECTED: dict[str, Jobs] = {
    "every file touched": [],
    "packs, weights and score maps touched": [],
    "packs, weights and score maps deleted": [],
    "no score maps kept": [],
    "another byte in the packed images": [],
    "another byte in the packed images, and a new experiment": [
        ("pack", ""),
        ("plot_augmentations", ""),
        *experiments(*FAMILIES),
        *experiment("unet", trained(10, PER_CLASS)),
        *TABLES,
    ],
    "a branch switch and back": [],
    "a comment in a script": [],
    "one image edited": DATA + experiments(*FAMILIES) + TABLES,
    "one label edited": DATA + experiments(*FAMILIES) + TABLES,
    "the code of a loss": experiments("unet") + TABLES,
    "the code of a plot": [("page", ""), ("plot_ranking", "")],
    "the code of a gallery": [("plot_gallery", "")],
    "the code of all plots": [("page", ""), *((f"plot_{plot.name}", "") for plot in PLOTS)],
    "the code of the dataset card": [("card", "")],
    "one learning rate": experiment("unet", trained("full", PER_CLASS, "_lr-0.01")) + TABLES,
    # Every seed draws its own images.
    "one seed": [("subset", ""), *experiment("unet", trained("full", PER_CLASS, seed=7)), *TABLES],
    # Operating points are of ids alone.
    "the name of an experiment": [job for job in TABLES if job[0] != "operating_points"],
    "a new experiment": experiment("unet", trained(10, PER_CLASS)) + TABLES,
    "a new experiment with test-time augmentation": [
        ("share_training", MIRRORED),
        *experiment("unet", MIRRORED)[1:],
        *TABLES,
    ],
    "the runtime settings": [],
    # The galleries read the same section of the configuration.
    "the costs of wrong decisions": [
        (name, "") for name in ("operating_points", "page", "plot_gallery", "plot_operating_points")
    ],
    "the threshold policy": [
        job for job in experiments(*FAMILIES) + TABLES if not job[0].startswith(("train_", "predict_"))
    ],
}


def touch(project: Project) -> None:
    for path in [*project.files(), *project.folder.glob("runs/*/source/**/*")]:
        path.touch()


def large_files(project: Project) -> list[Path]:
    found = [path for path in project.folder.glob("runs/*/**/*") if path.name.endswith(LARGE)]
    assert {path.suffix for path in found} == {".bin", ".safetensors", ".parquet"}
    return found


def delete_large_files(project: Project) -> None:
    for path in large_files(project):
        project.edit(str(path.relative_to(project.folder)), b"", b"")  # to be put back
        path.unlink()


def edit_pack(project: Project) -> None:
    """Change the packed images, in a file that is older than before and as large."""
    name = "runs/tiny_steel/packed/images.bin"
    path = project.folder / name
    time = path.stat().st_mtime_ns - 10**9
    content = path.read_bytes()
    project.edit(name, content, content[:-1] + bytes([content[-1] ^ 1]))
    project.edit(f"{name}.sha256", b"", b"")  # to be put back
    os.utime(path, ns=(time, time))


def switch_branches(project: Project) -> None:
    def git(*arguments: str) -> None:
        identity = ("-c", "user.name=test", "-c", "user.email=test@example.org")
        subprocess.run(["git", *identity, *arguments], cwd=project.folder, check=True, capture_output=True)

    git("init")
    git("add", "rules", "workflow")
    git("commit", "-m", "here")
    git("switch", "-c", "other")
    for name in ("workflow/defectbench/training/losses.py", "workflow/scripts/ingest.py", "rules/families.smk"):
        project.edit(name, b"", b"\nOTHER = 1\n")
    git("commit", "-a", "-m", "there")
    git("switch", "-")
    shutil.rmtree(project.folder / ".git")


def edit_plots(project: Project, *names: str) -> None:
    for name in names:
        project.edit(f"{LIBRARY}/reporting/plots/{name}.py", b"", b"\nOTHER = 1\n")


def with_last_unet(**keys) -> Callable[[Project], str]:
    """The study with some keys of its last network changed."""

    def config(project: Project) -> str:
        first, last, reference = tiny(project)["experiments"]
        return project.config(experiments=[first, {**last, **keys}, reference])

    return config


def with_one_more(**keys) -> Callable[[Project], str]:
    """The study with one more network."""
    more = {"model": "unet", "task": "per_class", **keys}
    return lambda project: project.config(experiments=[*tiny(project)["experiments"], more])


def tiny(project: Project) -> dict:
    return yaml.safe_load((project.folder / CONFIG).read_text())


SOURCE = "runs/tiny_steel/source"
LIBRARY = "workflow/defectbench"
CHANGES: dict[str, Callable[[Project], str | None]] = {
    "every file touched": touch,
    "packs, weights and score maps touched": lambda p: [path.touch() for path in large_files(p)] and None,
    "packs, weights and score maps deleted": delete_large_files,
    "no score maps kept": lambda p: p.config(storage={"maps": "none"}),
    "another byte in the packed images": edit_pack,
    "another byte in the packed images, and a new experiment": lambda p: edit_pack(p) or with_one_more(subset=10)(p),
    "a branch switch and back": switch_branches,
    "a comment in a script": lambda p: p.edit(
        "workflow/scripts/train_unet.py", b"@run_script\n", b"# !\n@run_script\n"
    ),
    "one image edited": lambda p: p.edit(f"{SOURCE}/train_images/steel_00003.jpg", b"", b"\0"),
    "one label edited": lambda p: p.edit(f"{SOURCE}/train.csv", b"", b"steel_00000.jpg,1,1 2\n"),
    "the code of a loss": lambda p: p.edit(f"{LIBRARY}/training/losses.py", b"smooth=1.0", b"smooth=2.0"),
    "the code of a plot": lambda p: edit_plots(p, "ranking"),
    "the code of a gallery": lambda p: edit_plots(p, "gallery"),
    "the code of all plots": lambda p: edit_plots(p, *(plot.name for plot in PLOTS)),
    "the code of the dataset card": lambda p: p.edit(
        f"{LIBRARY}/reporting/dataset_card.py", b"_MOST_EXAMPLES = 3", b"_MOST_EXAMPLES = 4"
    ),
    "one learning rate": with_last_unet(lr=0.01),
    "one seed": with_last_unet(seed=7),
    "the name of an experiment": with_last_unet(name="by-class"),
    "a new experiment": with_one_more(subset=10),
    "a new experiment with test-time augmentation": with_one_more(tta="hflip"),
    "the runtime settings": lambda p: p.config(runtime={"workers": 2, "checkpoint_every": "1 epochs", "compile": True}),
    "the costs of wrong decisions": lambda p: p.config(
        report={"bootstrap_draws": 200, "gallery_images": 2, "costs": {"escape": 100, "overkill": 1}}
    ),
    "the threshold policy": lambda p: p.config(calibrate={"objective": "f1"}),
}


@pytest.mark.parametrize("change", EXPECTED)
def test_exactly_these_jobs_are_stale_after(change, clean):
    configfile = CHANGES[change](clean) or CONFIG
    assert clean.stale_jobs(configfile=configfile) == sorted(EXPECTED[change])


def test_generated_images_are_generated_again_if_one_is_missing_when_they_are_needed(clean):
    assert clean.stale_jobs() == []
    image = clean.folder / SOURCE / "train_images/steel_00003.jpg"
    clean.edit(str(image.relative_to(clean.folder)), b"", b"")  # to be put back
    clean.edit(f"{SOURCE}/generated.sha256", b"", b"")
    image.unlink()
    assert clean.stale_jobs() == []
    clean.edit("workflow/scripts/ingest.py", b"", b"\nOTHER = 1\n")
    assert {("synthesize", ""), ("ingest", "")} <= set(clean.stale_jobs())


def test_a_real_edit_of_a_script_reruns_its_rule_and_what_follows(clean):
    clean.edit("workflow/scripts/train_reference.py", b"", b"\nOTHER = 1\n")
    assert clean.stale_jobs() == sorted(experiments("reference") + TABLES)


def test_an_edited_command_of_a_rule_is_noticed_and_its_docstring_is_not(clean):
    clean.edit("rules/page.smk", b'"""One HTML file: the answer,', b'"""The answer,')
    assert clean.stale_jobs() == []
    clean.edit("rules/page.smk", b" {params.flags} --plots", b"  {params.flags} --plots")
    assert clean.stale_jobs() == [("page", "")]


DIGESTS = CodeDigests()
SCRIPTS = {path.stem: DIGESTS.modules(path) for path in (ROOT / "workflow" / "scripts").glob("*.py")}
PACKAGE = "defectbench.reporting.plots"


def scripts_of(module: str) -> set[str]:
    """The scripts whose digest an edit of a library module changes."""
    return {name for name, modules in SCRIPTS.items() if module in modules}


@pytest.mark.parametrize("name", registry.PLOTS)
def test_an_edit_of_a_plots_module_makes_no_other_rule_stale(name):
    module = f"{PACKAGE}.{name.removesuffix('_bands')}"
    sharing = {f"plot_{other}" for other in registry.PLOTS if other.removesuffix("_bands") == module.split(".")[-1]}
    assert scripts_of(module) == sharing


def test_a_new_row_of_the_table_of_plots_makes_nothing_stale():
    assert scripts_of(f"{PACKAGE}.registry") == set()


def test_the_page_and_the_plots_do_not_share_their_code():
    assert not [module for module in SCRIPTS["page"] if module.startswith(f"{PACKAGE}.")]
    assert scripts_of("defectbench.reporting.page.build") == {"page"}

"""DefectBench: from a labelled set of surface images to a leaderboard that can be believed.

The study is config/config.yaml, or another file given with --configfile.
"""

from snakemake.utils import min_version

min_version("9.27")

# A file given with --configfile stands alone: the default study is not mixed into it.
if "experiments" not in config:

    configfile: workflow.source_path("config/config.yaml")


include: "rules/common.smk"
include: "rules/inputs.smk"
include: "rules/progress.smk"
include: "rules/failures.smk"
include: "rules/ingest.smk"
include: "rules/split.smk"
include: "rules/pack.smk"
include: "rules/export_labels.smk"
include: "rules/yolo_labels.smk"
include: "rules/prompts.smk"
include: "rules/families.smk"
include: "rules/cv.smk"
include: "rules/ensemble.smk"
include: "rules/cascade.smk"
include: "rules/evaluate.smk"
include: "rules/submission.smk"
include: "rules/label_audit.smk"
include: "rules/predict_images.smk"
include: "rules/results.smk"
include: "rules/detectors.smk"
include: "rules/search.smk"
include: "rules/plots.smk"
include: "rules/page.smk"
include: "rules/benchmarks.smk"


# Without experiments, a study only divides its data.
if EXPERIMENTS:
    ALL = (RESULTS + PAGE if map_experiments() else []) + PLOTS + DETECTORS + CV
else:
    ALL = [f"runs/{DS}/{name}" for name in ("split.csv", "folds.csv")]


rule all:
    default_target: True
    input:
        ALL,
        f"runs/{DS}/card.md",


# One target per model family, e.g. `snakemake --cores 1 unet`.
for family in FAMILIES:

    rule:
        name:
            family
        input:
            family_metrics(family),


onsuccess:
    print_leaderboard()


onerror:
    print_failures(metrics_files())

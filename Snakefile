"""DefectBench: from a labelled set of surface images to a leaderboard that can be believed.

The study is config/config.yaml, or another file given with --configfile.
"""

from snakemake.utils import min_version

min_version("9.0")

# A file given with --configfile stands alone: the default study is not mixed into it.
if "experiments" not in config:

    configfile: f"{workflow.basedir}/config/config.yaml"


include: "rules/common.smk"
include: "rules/ingest.smk"
include: "rules/split.smk"
include: "rules/pack.smk"
include: "rules/export_labels.smk"
include: "rules/unet.smk"
include: "rules/reference.smk"
include: "rules/evaluate.smk"
include: "rules/results.smk"
include: "rules/plots.smk"


rule all:
    default_target: True
    input:
        results("results.csv", "results.parquet", "leaderboard.md"),
        PLOTS,


# One target per model family, e.g. `snakemake --cores 1 unet`.
for family in FAMILIES:

    rule:
        name:
            family
        input:
            scored(family),


onsuccess:
    print_leaderboard()

"""Download of a study's dataset: `snakemake --cores 1 -s rules/fetch.smk --configfile config/severstal.yaml`.

A Snakefile of its own, because Snakemake must see the source files when it plans a study.
Needs dataset.fetch in the configuration. Makes dataset.root with fetched.sha256, the list of its files.
"""

from snakemake.exceptions import WorkflowError
from snakemake.utils import min_version

min_version("9.0")


include: "setup.smk"


from defectbench.config.base import ConfigError
from defectbench.config.fetch import LISTING, fetched_from
from defectbench.config.study import load_dataset

try:
    DATASET = load_dataset(config)
except ConfigError as error:
    raise WorkflowError(f"{error}\nThe study is given with --configfile") from None
if DATASET.fetch is None:
    raise WorkflowError(
        "dataset.fetch: not given, so there is nothing to download; keys: docs/configuration.md"
    )

read = fetched_from(DATASET.root)
if read is not None and not DATASET.fetch.is_origin(read):
    raise WorkflowError(
        f"dataset.root: {DATASET.root} holds {read}, not {DATASET.fetch.origin}:"
        " move it away, or choose another dataset.root"
    )

SETTINGS = f"runs/{DATASET.name}/settings/fetch.yaml"
DATASET.fetch.write(Path(SETTINGS))


rule fetch:
    """Download the archive, check it and unpack it; the folder appears when it is complete."""
    input:
        # Ancient: new code or a touched file is no reason to download the same data again.
        script=ancient(f"{LIBRARY}/scripts/fetch.py"),
        settings=ancient(SETTINGS),
    output:
        # Updated, so that even --force does not delete the list of a folder that the script then refuses to overwrite.
        update(f"{DATASET.root}/{LISTING}"),
    params:
        root=DATASET.root,
    log:
        f"runs/{DATASET.name}/logs/fetch.log",
    benchmark:
        f"runs/{DATASET.name}/benchmarks/fetch.tsv"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=240,
    conda:
        ENV
    shell:
        "python -m defectbench.job {input.script:q} --settings {input.settings:q} --root {params.root:q} 2>&1 | tee {log:q}"


onsuccess:
    for problem in DATASET.missing():
        print(problem)

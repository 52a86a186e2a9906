"""Decoded images and masks as flat memory-mapped files.

Needs the manifest and the source images it lists. Makes packed/: images and masks apart, so that prediction can be
given images alone.
"""


rule pack:
    """Decode every image once, for all trainings."""
    input:
        script=script("pack"),
        dataset="runs/{ds}/settings/ingest.yaml",
        manifest="runs/{ds}/manifest.parquet",
    output:
        images="runs/{ds}/packed/images.bin",
        images_index="runs/{ds}/packed/images.parquet",
        masks="runs/{ds}/packed/masks.bin",
        masks_index="runs/{ds}/packed/masks.parquet",
    params:
        code=code("pack"),
        folder=subpath(output.images, parent=True),
    log:
        "runs/{ds}/logs/pack.log",
    benchmark:
        "runs/{ds}/benchmarks/pack.tsv"
    threads: 4
    resources:
        mem_mb=4000,
        runtime=120,
    conda:
        ENV
    shell:
        "python {input.script} --dataset {input.dataset} --manifest {input.manifest} --out-dir {params.folder}"
        " --threads {threads} 2>&1 | tee {log}"

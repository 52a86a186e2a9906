"""Packs: decoded images and masks as flat memory-mapped files.

Needs the manifest and the source images it lists. Makes packed/: images and masks in separate files, so that prediction
can be given images alone; for experiments of mode pre_crops, tiles of them in packed/tiles_{height}x{width}_s{stride}/;
and, for deep images and those of channels, scaling.json.
"""


rule pack:
    """Decode every image once, for all trainings."""
    input:
        script=script("pack"),
        dataset="runs/<ds>/settings/ingest.yaml",
        manifest="runs/<ds>/manifest.parquet",
    output:
        pack_outputs("runs/<ds>/packed"),
    params:
        code=code("pack"),
        folder=subpath(output[0], parent=True),
    log:
        "runs/<ds>/logs/pack.log",
    benchmark:
        "runs/<ds>/benchmarks/pack.tsv"
    threads: 4
    resources:
        mem_mb=memory(4000, 1, 8),
        runtime=minutes(120),
    conda:
        ENV
    shell:
        "python -m defectbench.job {input.script:q} --dataset {input.dataset:q} --manifest {input.manifest:q} --out-dir {params.folder:q}"
        " --threads {threads} 2>&1 | tee {log:q}"


rule pack_tiles:
    """Cut the packed images into tiles; no source image is decoded again."""
    input:
        script=script("pack_tiles"),
        pack=pack_inputs("runs/<ds>/packed", "images", "masks"),
    output:
        pack_outputs("runs/<ds>/packed/tiles_{tile}_s{stride}"),
    wildcard_constraints:
        tile="[0-9]+x[0-9]+",
        stride="[0-9]+",
    params:
        code=code("pack_tiles"),
        pack=pack_folder,
        folder=subpath(output[0], parent=True),
    log:
        "runs/<ds>/logs/pack_tiles.{tile}_s{stride}.log",
    benchmark:
        "runs/<ds>/benchmarks/pack_tiles.{tile}_s{stride}.tsv"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=minutes(30, 30),
    conda:
        ENV
    shell:
        "python -m defectbench.job {input.script:q} --pack {params.pack:q} --tile {wildcards.tile:q} --stride {wildcards.stride:q}"
        " --out-dir {params.folder:q} 2>&1 | tee {log:q}"


rule measure:
    """Limits and statistics of the pixels of the training images alone; in a fold of those inside the other folds."""
    input:
        script=script("measure"),
        settings="runs/<ds>/settings/scaling.yaml",
        pack=pack_inputs("runs/<ds>/packed", "images"),
        split=lambda wildcards: (
            f"runs/{DS}/split.csv"
            if wildcards.part == "packed"
            else f"runs/{DS}/{wildcards.part}/training.csv"
        ),
    output:
        "runs/<ds>/{part}/scaling.json",
    params:
        code=code("measure"),
        pack=pack_folder,
    wildcard_constraints:
        part="packed|cv/fold[0-9]+",
    log:
        "runs/<ds>/logs/measure.{part}.log",
    benchmark:
        "runs/<ds>/benchmarks/measure.{part}.tsv"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=minutes(60, 60),
    conda:
        ENV
    shell:
        "python -m defectbench.job {input.script:q} --settings {input.settings:q} --pack {params.pack:q} --split {input.split:q}"
        " --out {output:q} 2>&1 | tee {log:q}"

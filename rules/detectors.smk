"""Detectors: networks that predict boxes and no masks, with separate metrics and a separate table.

Needs predicted boxes, manifest and split. Makes metrics.json per detector and the study's detectors.csv.
"""

DETECTORS = result_files("detectors.csv") if detectors() else []


rule score_boxes:
    """mAP50 and mAP50-95 on val and test."""
    input:
        script=script("score_boxes"),
        val="runs/<ds>/{fam}/{exp}/val.boxes.parquet",
        test="runs/<ds>/{fam}/{exp}/test.boxes.parquet",
        manifest="runs/<ds>/manifest.parquet",
        split="runs/<ds>/split.csv",
    output:
        "runs/<ds>/{fam}/{exp}/metrics.json",
    params:
        code=code("score_boxes"),
    wildcard_constraints:
        exp=experiment_constraint(detectors()),
    log:
        "runs/<ds>/{fam}/{exp}/logs/score_boxes.log",
    benchmark:
        "runs/<ds>/{fam}/{exp}/benchmarks/score_boxes.tsv"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=minutes(60),
    conda:
        ENV
    shell:
        "python -m defectbench.job {input.script:q} --val {input.val:q} --test {input.test:q} --manifest {input.manifest:q}"
        " --split {input.split:q} --metrics {output:q} 2>&1 | tee {log:q}"


rule detectors:
    """One row per detector."""
    input:
        [
            f"{experiment_folder(experiment)}/{name}.json"
            for experiment in detectors()
            for name in ("run", "timing", "metrics")
        ],
        **study_files("names", "issues", "leaks"),
        script=script("detectors"),
    output:
        result_files("detectors.csv")[0],
    params:
        code=code("detectors"),
        folders=[experiment_folder(experiment) for experiment in detectors()],
    log:
        result_files("logs/detectors.log"),
    benchmark:
        result_files("benchmarks/detectors.tsv")[0]
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=minutes(10),
    conda:
        ENV
    shell:
        "python -m defectbench.job {input.script:q} --folders {params.folders:q} --names {input.names:q} --issues {input.issues:q}"
        " --leaks {input.leaks:q} --csv {output:q} 2>&1 | tee {log:q}"

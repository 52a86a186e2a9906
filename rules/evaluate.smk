"""From predictions to scores.

Needs predictions, manifest and split. Makes calibration.json (from val alone), the per-image records and metrics.json.
"""


rule calibrate:
    """Choose the threshold on the val images; no test data reach this rule."""
    input:
        script=script("calibrate"),
        settings="runs/{ds}/{fam}/{exp}/settings/calibrate.yaml",
        predictions="runs/{ds}/{fam}/{exp}/val.pred.parquet",
        manifest="runs/{ds}/manifest.parquet",
        split="runs/{ds}/split.csv",
    output:
        "runs/{ds}/{fam}/{exp}/calibration.json",
    params:
        code=code("calibrate"),
    log:
        "runs/{ds}/{fam}/{exp}/logs/calibrate.log",
    benchmark:
        "runs/{ds}/{fam}/{exp}/benchmarks/calibrate.tsv"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    conda:
        ENV
    shell:
        "python {input.script} --settings {input.settings} --predictions {input.predictions}"
        " --manifest {input.manifest} --split {input.split} --out {output} 2>&1 | tee {log}"


rule score:
    """Count what every image got right and wrong; every metric is a function of these counts."""
    input:
        script=script("score"),
        val="runs/{ds}/{fam}/{exp}/val.pred.parquet",
        test="runs/{ds}/{fam}/{exp}/test.pred.parquet",
        calibration="runs/{ds}/{fam}/{exp}/calibration.json",
        manifest="runs/{ds}/manifest.parquet",
        split="runs/{ds}/split.csv",
    output:
        per_image="runs/{ds}/{fam}/{exp}/per_image.parquet",
        hist="runs/{ds}/{fam}/{exp}/hist.parquet",
        pooled="runs/{ds}/{fam}/{exp}/pooled_hist.parquet",
        metrics="runs/{ds}/{fam}/{exp}/metrics.json",
    params:
        code=code("score"),
    log:
        "runs/{ds}/{fam}/{exp}/logs/score.log",
    benchmark:
        "runs/{ds}/{fam}/{exp}/benchmarks/score.tsv"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=120,
    conda:
        ENV
    shell:
        "python {input.script} --val {input.val} --test {input.test} --calibration {input.calibration}"
        " --manifest {input.manifest} --split {input.split} --per-image {output.per_image} --hist {output.hist}"
        " --pooled {output.pooled} --metrics {output.metrics} 2>&1 | tee {log}"

"""Cross-validation: an experiment with `cv: k` is trained once per fold, in {exp}/fold{k}/, by its family's own rules.

Needs folds.csv and the folds' predictions. Makes the split of each fold, the out-of-fold predictions, the mean of the
folds' models on test, and the metrics of each fold.
"""

CV = [
    f"{experiment_folder(cross_validated)}/cv.json"
    for cross_validated in STUDY.experiments
    if cross_validated.cv and cross_validated.family != "ensemble"
]


rule cv_fold:
    """Split the images for the model of one fold: training, early stopping, prediction."""
    input:
        script=script("cv_fold"),
        manifest="runs/<ds>/manifest.parquet",
        split="runs/<ds>/split.csv",
        folds="runs/<ds>/folds.csv",
    output:
        training="runs/<ds>/cv/fold{fold}/training.csv",
        subset="runs/<ds>/cv/fold{fold}/subset.csv",
        prediction="runs/<ds>/cv/fold{fold}/prediction.csv",
    params:
        code=code("cv_fold"),
        inner_val=STUDY.split.inner_val,
        seed=STUDY.split.seed,
    wildcard_constraints:
        fold="[0-9]+",
    log:
        "runs/<ds>/logs/cv_fold.{fold}.log",
    benchmark:
        "runs/<ds>/benchmarks/cv_fold.{fold}.tsv"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=minutes(30),
    conda:
        ENV
    shell:
        "python -m defectbench.job {input.script:q} --manifest {input.manifest:q} --split {input.split:q} --folds {input.folds:q}"
        " --fold {wildcards.fold:q} --inner-val {params.inner_val:q} --seed {params.seed:q} --training {output.training:q}"
        " --subset {output.subset:q} --prediction {output.prediction:q} 2>&1 | tee {log:q}"


rule cv_split:
    """Split of out-of-fold predictions, by which cross-validated experiments are calibrated and scored."""
    input:
        script=script("cv_split"),
        split="runs/<ds>/split.csv",
    output:
        "runs/<ds>/cv/split.csv",
    params:
        code=code("cv_split"),
    log:
        "runs/<ds>/logs/cv_split.log",
    benchmark:
        "runs/<ds>/benchmarks/cv_split.tsv"
    threads: 1
    resources:
        mem_mb=memory(1000),
        runtime=minutes(10),
    conda:
        ENV
    shell:
        "python -m defectbench.job {input.script:q} --split {input.split:q} --out {output:q} 2>&1 | tee {log:q}"


rule cv_gather:
    """Join the out-of-fold predictions and average the folds' models on test; a leak stops it."""
    input:
        script=script("cv_gather"),
        identity="runs/<ds>/{fam}/{exp}/settings/identity.yaml",
        runs=fold_files("run.json"),
        timings=fold_files("timing.json"),
        val=ancient(fold_files("val.pred.parquet")),
        test=ancient(fold_files("test.pred.parquet")),
        digests=digests_of(
            fold_files("val.pred.parquet"), fold_files("test.pred.parquet")
        ),
        training=fold_tables("training.csv"),
        split="runs/<ds>/cv/split.csv",
    output:
        map_digests("runs/<ds>/{fam}/{exp}", "oof"),
        oof=map_file("runs/<ds>/{fam}/{exp}", "oof"),
        test=map_file("runs/<ds>/{fam}/{exp}", "test"),
        run="runs/<ds>/{fam}/{exp}/run.json",
        timing="runs/<ds>/{fam}/{exp}/timing.json",
    params:
        code=code("cv_gather"),
        folds=lambda wildcards, input: [Path(run).parent for run in input.runs],
    wildcard_constraints:
        fam="(?!ensemble/)[^/]+",
        exp=CROSS_VALIDATED,
    log:
        "runs/<ds>/{fam}/{exp}/logs/cv_gather.log",
    benchmark:
        "runs/<ds>/{fam}/{exp}/benchmarks/cv_gather.tsv"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=minutes(240),
    conda:
        ENV
    shell:
        "python -m defectbench.job {input.script:q} --identity {input.identity:q} --folds {params.folds:q} --training {input.training:q}"
        " --split {input.split:q} --code-digest {params.code:q} --oof {output.oof:q} --test {output.test:q}"
        " --run {output.run:q} --timing {output.timing:q} 2>&1 | tee {log:q}"


rule cv_metrics:
    """Metrics of each fold, at thresholds chosen on the other folds, and pooled."""
    input:
        script=script("cv_metrics"),
        settings="runs/<ds>/{fam}/{exp}/settings/calibrate.yaml",
        predictions=calibration_maps,
        histograms="runs/<ds>/{fam}/{exp}/hist.parquet",
        manifest="runs/<ds>/manifest.parquet",
        split="runs/<ds>/cv/split.csv",
        folds="runs/<ds>/folds.csv",
    output:
        records="runs/<ds>/{fam}/{exp}/cv.parquet",
        metrics="runs/<ds>/{fam}/{exp}/cv.json",
    params:
        code=code("cv_metrics"),
    wildcard_constraints:
        exp=CROSS_VALIDATED,
    log:
        "runs/<ds>/{fam}/{exp}/logs/cv_metrics.log",
    benchmark:
        "runs/<ds>/{fam}/{exp}/benchmarks/cv_metrics.tsv"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=minutes(120),
    conda:
        ENV
    shell:
        "python -m defectbench.job {input.script:q} --settings {input.settings:q} --predictions {input.predictions[0]:q}"
        " --histograms {input.histograms:q} --manifest {input.manifest:q} --split {input.split:q} --folds {input.folds:q}"
        " --records {output.records:q} --metrics {output.metrics:q} 2>&1 | tee {log:q}"

"""Evaluation: calibration and scores of predictions.

Needs predictions, manifest, split and, if a dense CRF may be chosen, the packed images. Makes calibration.json (from
val alone), the per-image records and metrics.json.
"""

# Of each pixel of an image: 10 whatever the number of classes, and 4 (a map, truth and mask) of each class.
MAP_BYTES = 10 + 4 * len(STUDY.dataset.class_names)

# A CRF takes a third of a second for a map of 256 x 1600 pixels.
CRF_MINUTES = 240 if STUDY.calibrate.needs_images else 0


rule calibrate:
    """Choose threshold and post-processing on the val images; no test data reach this rule."""
    input:
        script=script("calibrate"),
        settings="runs/<ds>/{fam}/{exp}/settings/calibrate.yaml",
        predictions=calibration_maps,
        manifest="runs/<ds>/manifest.parquet",
        split=evaluation_split,
        pack=CRF_IMAGES,
    output:
        "runs/<ds>/{fam}/{exp}/calibration.json",
    wildcard_constraints:
        exp=EVALUATED,
    params:
        code=code("calibrate"),
        pack_option=CRF_OPTION,
    log:
        "runs/<ds>/{fam}/{exp}/logs/calibrate.log",
    benchmark:
        "runs/<ds>/{fam}/{exp}/benchmarks/calibrate.tsv"
    threads: 1
    resources:
        mem_mb=memory(4000, 2, MAP_BYTES),
        runtime=minutes(30 + CRF_MINUTES, 60),
    conda:
        ENV
    shell:
        "python -m defectbench.job {input.script:q} --settings {input.settings:q} --predictions {input.predictions[0]:q}"
        " --manifest {input.manifest:q} --split {input.split:q} {params.pack_option} --out {output:q} 2>&1 | tee {log:q}"


rule score:
    """Count true and false pixels of every image; every metric is a function of these counts."""
    input:
        script=script("score"),
        settings="runs/<ds>/{fam}/{exp}/settings/score.yaml",
        val=calibration_maps,
        test=large("runs/<ds>/{fam}/{exp}/test.pred.parquet"),
        calibration="runs/<ds>/{fam}/{exp}/calibration.json",
        run="runs/<ds>/{fam}/{exp}/run.json",
        manifest="runs/<ds>/manifest.parquet",
        split=evaluation_split,
        pack=CRF_IMAGES,
    output:
        per_image="runs/<ds>/{fam}/{exp}/per_image.parquet",
        hist="runs/<ds>/{fam}/{exp}/hist.parquet",
        pooled="runs/<ds>/{fam}/{exp}/pooled_hist.parquet",
        components="runs/<ds>/{fam}/{exp}/components.parquet",
        froc="runs/<ds>/{fam}/{exp}/froc.parquet",
        metrics="runs/<ds>/{fam}/{exp}/metrics.json",
    wildcard_constraints:
        exp=constraint_without(detectors(), EVALUATED),
    params:
        code=code("score"),
        pack_option=CRF_OPTION,
    log:
        "runs/<ds>/{fam}/{exp}/logs/score.log",
    benchmark:
        "runs/<ds>/{fam}/{exp}/benchmarks/score.tsv"
    threads: 1
    resources:
        mem_mb=memory(4000, 2, MAP_BYTES),
        runtime=minutes(60 + CRF_MINUTES, 120),
    conda:
        ENV
    shell:
        "python -m defectbench.job {input.script:q} --settings {input.settings:q} --val {input.val[0]:q} --test {input.test[0]:q}"
        " --calibration {input.calibration:q} --run {input.run:q} --manifest {input.manifest:q} --split {input.split:q}"
        " {params.pack_option} --per-image {output.per_image:q} --hist {output.hist:q} --pooled {output.pooled:q}"
        " --components {output.components:q} --froc {output.froc:q} --metrics {output.metrics:q} 2>&1 | tee {log:q}"

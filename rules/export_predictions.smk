"""Predictions for other programs, on demand: runs/{ds}/{fam}/{exp}/masks/{policy} and .../oof_predictions.npy.

Needs predictions, and for masks their calibration. Makes PNG masks of the val and test images, and an array of the
out-of-fold probabilities.
"""


rule export_masks:
    """Masks of the val and test images by one policy, as PNG."""
    input:
        script=script("export_masks"),
        val=calibration_maps,
        test=large("runs/<ds>/{fam}/{exp}/test.pred.parquet"),
        calibration="runs/<ds>/{fam}/{exp}/calibration.json",
        manifest="runs/<ds>/manifest.parquet",
        split=evaluation_split,
        pack=CRF_IMAGES,
    output:
        directory("runs/<ds>/{fam}/{exp}/masks/{policy}"),
    params:
        code=code("export_masks"),
        pack_option=CRF_OPTION,
    wildcard_constraints:
        exp=EVALUATED,
        policy="calibrated|at_0.5|post_processed|imposed",
    log:
        "runs/<ds>/{fam}/{exp}/logs/export_masks.{policy}.log",
    benchmark:
        "runs/<ds>/{fam}/{exp}/benchmarks/export_masks.{policy}.tsv"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=minutes(120),
    conda:
        ENV
    shell:
        "python -m defectbench.job {input.script:q} --val {input.val[0]:q} --test {input.test[0]:q} --calibration {input.calibration:q}"
        " --manifest {input.manifest:q} --split {input.split:q} {params.pack_option}"
        " --policy {wildcards.policy:q} --out {output:q} 2>&1 | tee {log:q}"


rule export_oof:
    """Probabilities of every train and val image, each by the model that has not seen it, as one array."""
    input:
        script=script("export_oof"),
        predictions=calibration_maps,
    output:
        array="runs/<ds>/{fam}/{exp}/oof_predictions.npy",
        ids="runs/<ds>/{fam}/{exp}/oof_predictions.csv",
    params:
        code=code("export_oof"),
    wildcard_constraints:
        fam="(?!ensemble/)[^/]+",
        exp=CROSS_VALIDATED,
    log:
        "runs/<ds>/{fam}/{exp}/logs/export_oof.log",
    benchmark:
        "runs/<ds>/{fam}/{exp}/benchmarks/export_oof.tsv"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=minutes(120),
    conda:
        ENV
    shell:
        "python -m defectbench.job {input.script:q} --predictions {input.predictions[0]:q} --array {output.array:q} --ids {output.ids:q}"
        " 2>&1 | tee {log:q}"

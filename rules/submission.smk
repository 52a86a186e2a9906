"""Kaggle submissions, on demand: runs/{ds}/{fam}/{exp}/submission.csv.

Needs per-class predictions and their calibration. Makes the submission in both layouts of the competition, scored.
"""


rule submission:
    """Masks of the test images at calibrated thresholds and smallest areas, with a gate chosen on val."""
    input:
        script=script("submission"),
        val=calibration_maps,
        test=large("runs/<ds>/{fam}/{exp}/test.pred.parquet"),
        calibration="runs/<ds>/{fam}/{exp}/calibration.json",
        manifest="runs/<ds>/manifest.parquet",
        split=evaluation_split,
        pack=CRF_IMAGES,
    output:
        joined="runs/<ds>/{fam}/{exp}/submission.csv",
        separate="runs/<ds>/{fam}/{exp}/submission_separate.csv",
        report="runs/<ds>/{fam}/{exp}/submission.json",
    params:
        code=code("submission"),
        pack_option=CRF_OPTION,
    wildcard_constraints:
        exp=EVALUATED,
    log:
        "runs/<ds>/{fam}/{exp}/logs/submission.log",
    benchmark:
        "runs/<ds>/{fam}/{exp}/benchmarks/submission.tsv"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=minutes(120),
    conda:
        ENV
    shell:
        "python -m defectbench.job {input.script:q} --val {input.val[0]:q} --test {input.test[0]:q} --calibration {input.calibration:q}"
        " --manifest {input.manifest:q} --split {input.split:q} {params.pack_option}"
        " --joined {output.joined:q} --separate {output.separate:q} --report {output.report:q} 2>&1 | tee {log:q}"

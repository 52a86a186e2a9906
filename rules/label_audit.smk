"""Label audit, on demand: runs/{ds}/{fam}/{exp}/label_audit/label_audit.csv.

Needs out-of-fold predictions of a cross-validated experiment, which cover every train and val image, or val
predictions. Makes the ranked list, pictures and an export for re-annotation.
"""


rule label_audit:
    """Rank images by the disagreement of label and model."""
    input:
        script=script("label_audit"),
        settings="runs/<ds>/{fam}/{exp}/settings/label_audit.yaml",
        predictions=calibration_maps,
        calibrate="runs/<ds>/{fam}/{exp}/settings/calibrate.yaml",
        manifest="runs/<ds>/manifest.parquet",
        split=evaluation_split,
        pack=pack_inputs("runs/<ds>/packed", "images"),
        scaling=measured("runs/<ds>/packed"),
    output:
        table="runs/<ds>/{fam}/{exp}/label_audit/label_audit.csv",
        findings="runs/<ds>/{fam}/{exp}/label_audit/findings.csv",
    params:
        code=code("label_audit"),
        pack=pack_folder,
        folder=subpath(output.table, parent=True),
    wildcard_constraints:
        exp=EVALUATED,
    log:
        "runs/<ds>/{fam}/{exp}/logs/label_audit.log",
    benchmark:
        "runs/<ds>/{fam}/{exp}/benchmarks/label_audit.tsv"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=minutes(120),
    conda:
        ENV
    shell:
        "python -m defectbench.job {input.script:q} --settings {input.settings:q} --predictions {input.predictions[0]:q}"
        " --calibrate {input.calibrate:q} --manifest {input.manifest:q} --split {input.split:q} --pack {params.pack:q}"
        " --out {params.folder:q} 2>&1 | tee {log:q}"

"""Labels in the format of ultralytics.

Needs the manifest. Makes a table of polygons or boxes.
"""


rule yolo_labels:
    """Masks as YOLO's polygons or boxes, per class or merged; images without defects are included."""
    input:
        script=script("yolo_labels"),
        manifest="runs/<ds>/manifest.parquet",
    output:
        "runs/<ds>/yolo/{kind}.parquet",
    params:
        code=code("yolo_labels"),
    wildcard_constraints:
        kind="(polygons|boxes)(_merged)?",
    log:
        "runs/<ds>/logs/yolo_labels.{kind}.log",
    benchmark:
        "runs/<ds>/benchmarks/yolo_labels.{kind}.tsv"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=minutes(60),
    conda:
        ENV
    shell:
        "python -m defectbench.job {input.script:q} --manifest {input.manifest:q} --kind {wildcards.kind:q} --out {output:q} 2>&1 | tee {log:q}"

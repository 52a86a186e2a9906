"""Export of labels to the formats of other programs; images are not copied.

Needs the manifest. Makes export/{format}/ and a report of the objects in each image and, for polygons, of their IoU.
"""


rule export_labels:
    """Write the labels of all images in one format."""
    input:
        script=script("export_labels"),
        manifest="runs/<ds>/manifest.parquet",
    output:
        labels=directory("runs/<ds>/export/{format}"),
        report="runs/<ds>/export/{format}.csv",
    params:
        code=code("export_labels"),
    wildcard_constraints:
        format="severstal_csv|supervisely|yolo_boxes|yolo_boxes_merged|yolo_polygons|coco|masks|masks_per_class|yolo_semantic|cvat_images|cvat_masks|labelme|label_studio",
    log:
        "runs/<ds>/logs/export_labels.{format}.log",
    benchmark:
        "runs/<ds>/benchmarks/export_labels.{format}.tsv"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=minutes(60),
    conda:
        ENV
    shell:
        "python -m defectbench.job {input.script:q} --manifest {input.manifest:q} --format {wildcards.format:q} --out-dir {output.labels:q}"
        " --report {output.report:q} 2>&1 | tee {log:q}"

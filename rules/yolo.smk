"""The YOLO family: detection and segmentation by ultralytics, an extra under AGPL-3.0.

Needs packs, manifest, split and a subset. Makes weights, run.json, history.csv, and the predictions on val and test:
maps by segmentation networks, boxes by detectors.
"""


rule yolo_labels:
    """Masks as YOLO's text: polygons or boxes, of each class or of all together; images without defects stay."""
    input:
        script=script("yolo_labels"),
        manifest="runs/{ds}/manifest.parquet",
    output:
        "runs/{ds}/yolo/{kind}.parquet",
    params:
        code=code("yolo_labels"),
    wildcard_constraints:
        kind="(polygons|boxes)(_merged)?",
    log:
        "runs/{ds}/logs/yolo_labels.{kind}.log",
    benchmark:
        "runs/{ds}/benchmarks/yolo_labels.{kind}.tsv"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=minutes(60),
    conda:
        ENV
    shell:
        "python {input.script} --manifest {input.manifest} --kind {wildcards.kind} --out {output} 2>&1 | tee {log}"


rule yolo_weights:
    """Published weights, downloaded once or put by hand into the folder of official weights; as safetensors."""
    input:
        script=script("yolo_weights"),
        listing=project_file("resources/weights.yaml"),
    output:
        weights="weights/{network}.safetensors",
        origin="weights/{network}.yaml",
    params:
        code=code("yolo_weights"),
        folder=STUDY.weights.folder.as_posix(),
    wildcard_constraints:
        network="yolo[^/]+",
    log:
        "weights/logs/yolo_weights.{network}.log",
    benchmark:
        "weights/benchmarks/yolo_weights.{network}.tsv"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=minutes(60),
    conda:
        ENV
    shell:
        "python {input.script} --listing {input.listing} --name {wildcards.network}"
        " --folder {params.folder} --out {output.weights} 2>&1 | tee {log}"


rule train_yolo:
    """Train one network; a killed training starts over, since ultralytics cannot go on exactly."""
    input:
        script=script("train_yolo"),
        settings="runs/{ds}/yolo/{exp}/settings/train.yaml",
        identity="runs/{ds}/yolo/{exp}/settings/identity.yaml",
        trackers=ancient("runs/{ds}/yolo/{exp}/settings/trackers.yaml"),
        images="runs/{ds}/packed/images.bin",
        images_index="runs/{ds}/packed/images.parquet",
        masks_index="runs/{ds}/packed/masks.parquet",
        masks="runs/{ds}/packed/masks.bin",
        labels=lambda wildcards: (
            f"runs/{wildcards.ds}/yolo/{experiment(wildcards).settings.labels}.parquet"
        ),
        weights=published_weights,
        split=training_split,
        subset=subset_file,
    output:
        weights="runs/{ds}/yolo/{exp}/model/weights.safetensors",
        run="runs/{ds}/yolo/{exp}/run.json",
        history="runs/{ds}/yolo/{exp}/history.csv",
    params:
        code=code("train_yolo"),
        pack=subpath(input.images, parent=True),
        weights=lambda wildcards, input: (
            f"--weights {input.weights}" if input.weights else ""
        ),
        folder=subpath(output.run, parent=True),
    log:
        "runs/{ds}/yolo/{exp}/logs/train_yolo.log",
    benchmark:
        "runs/{ds}/yolo/{exp}/benchmarks/train_yolo.tsv"
    threads: lambda wildcards: experiment(wildcards).settings.threads
    resources:
        mem_mb=memory(12000),
        runtime=minutes(1440),
        gpu=1,
    conda:
        ENV
    shell:
        "python -m defectbench.on_gpu --usage {log}.gpu.json {input.script} --settings {input.settings} --identity {input.identity} --pack {params.pack}"
        " --labels {input.labels} {params.weights} --split {input.split} --subset {input.subset}"
        " --folder {params.folder} --trackers {input.trackers} --code-digest {params.code} 2>&1 | tee {log}"


rule predict_yolo:
    """Probability maps of all val and test images, from the images alone."""
    input:
        script=script("predict_yolo"),
        weights="runs/{ds}/yolo/{exp}/model/weights.safetensors",
        run="runs/{ds}/yolo/{exp}/run.json",
        images="runs/{ds}/packed/images.bin",
        images_index="runs/{ds}/packed/images.parquet",
        split=prediction_split,
    output:
        val="runs/{ds}/yolo/{exp}/val.pred.parquet",
        test="runs/{ds}/yolo/{exp}/test.pred.parquet",
        timing="runs/{ds}/yolo/{exp}/timing.json",
    params:
        code=code("predict_yolo"),
        pack=subpath(input.images, parent=True),
    wildcard_constraints:
        exp=named(found for found in mapping() if found.family == "yolo"),
    log:
        "runs/{ds}/yolo/{exp}/logs/predict_yolo.log",
    benchmark:
        "runs/{ds}/yolo/{exp}/benchmarks/predict_yolo.tsv"
    threads: lambda wildcards: experiment(wildcards).settings.threads
    resources:
        mem_mb=memory(8000),
        runtime=minutes(60, 60),
        gpu=1,
    conda:
        ENV
    shell:
        "python -m defectbench.on_gpu --usage {log}.gpu.json {input.script} --run {input.run} --weights {input.weights} --pack {params.pack} --split {input.split}"
        " --val {output.val} --test {output.test} --timing {output.timing} 2>&1 | tee {log}"


rule predict_yolo_boxes:
    """Boxes with scores in all val and test images, from the images alone."""
    input:
        script=script("predict_yolo_boxes"),
        weights="runs/{ds}/yolo/{exp}/model/weights.safetensors",
        run="runs/{ds}/yolo/{exp}/run.json",
        images="runs/{ds}/packed/images.bin",
        images_index="runs/{ds}/packed/images.parquet",
        split=prediction_split,
    output:
        val="runs/{ds}/yolo/{exp}/val.boxes.parquet",
        test="runs/{ds}/yolo/{exp}/test.boxes.parquet",
        timing="runs/{ds}/yolo/{exp}/timing.json",
    params:
        code=code("predict_yolo_boxes"),
        pack=subpath(input.images, parent=True),
    wildcard_constraints:
        exp=named(detecting()),
    log:
        "runs/{ds}/yolo/{exp}/logs/predict_yolo_boxes.log",
    benchmark:
        "runs/{ds}/yolo/{exp}/benchmarks/predict_yolo_boxes.tsv"
    threads: lambda wildcards: experiment(wildcards).settings.threads
    resources:
        mem_mb=memory(8000),
        runtime=minutes(60, 60),
        gpu=1,
    conda:
        ENV
    shell:
        "python -m defectbench.on_gpu --usage {log}.gpu.json {input.script} --run {input.run} --weights {input.weights} --pack {params.pack} --split {input.split}"
        " --val {output.val} --test {output.test} --timing {output.timing} 2>&1 | tee {log}"

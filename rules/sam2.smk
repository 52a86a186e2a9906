"""The SAM 2 family: asked by prompts (zero-shot, fine-tuned, LoRA), or with a segmentation head on its encoder.

Needs packs, split and a subset. Makes the weights to start from, prompts, and the files of training and prediction.
"""


rule weights_sam2:
    """An official checkpoint, its digest checked, or random weights; as safetensors."""
    input:
        script=script("weights_sam2"),
        table=project_file("resources/weights.yaml"),
    output:
        "weights/{base}.safetensors",
    params:
        code=code("weights_sam2"),
        folder=STUDY.weights.folder.as_posix(),
    wildcard_constraints:
        base="sam2[^/]*",
    log:
        "weights/logs/weights_sam2.{base}.log",
    benchmark:
        "weights/benchmarks/weights_sam2.{base}.tsv"
    threads: 1
    resources:
        mem_mb=memory(8000),
        runtime=minutes(60),
    conda:
        ENV
    shell:
        "python {input.script} --name {wildcards.base} --table {input.table} --folder {params.folder}"
        " --out {output} 2>&1 | tee {log}"


rule prompts:
    """Prompts of one kind for all images, drawn once."""
    input:
        script=script("prompts"),
        settings="runs/{ds}/settings/prompts.yaml",
        manifest="runs/{ds}/manifest.parquet",
    output:
        "runs/{ds}/prompts/{source}/{kind}{noise}.parquet",
    params:
        code=code("prompts"),
        noise=lambda wildcards: (
            wildcards.noise.replace("_noise-", "--noise ") if wildcards.noise else ""
        ),
    wildcard_constraints:
        source="oracle|fixed",
        kind="box|points|box_points|mask|full_box",
        noise=r"(_noise-[0-9.e-]+)?",
    log:
        "runs/{ds}/logs/prompts.{source}_{kind}{noise}.log",
    benchmark:
        "runs/{ds}/benchmarks/prompts.{source}_{kind}{noise}.tsv"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=minutes(60),
    conda:
        ENV
    shell:
        "python {input.script} --settings {input.settings} --manifest {input.manifest} --kind {wildcards.kind}"
        " {params.noise} --out {output} 2>&1 | tee {log}"


rule train_sam2:
    """Fine-tune a promptable SAM 2; a killed training goes on from its last checkpoint. Zero-shot trains nothing."""
    input:
        script=script("train_sam2"),
        settings="runs/{ds}/sam2/{exp}/settings/train.yaml",
        identity="runs/{ds}/sam2/{exp}/settings/identity.yaml",
        trackers=ancient("runs/{ds}/sam2/{exp}/settings/trackers.yaml"),
        base=base_weights,
        images="runs/{ds}/packed/images.bin",
        images_index="runs/{ds}/packed/images.parquet",
        masks="runs/{ds}/packed/masks.bin",
        masks_index="runs/{ds}/packed/masks.parquet",
        tiles=tile_pack,
        prompts=sam2_prompts,
        prompt_settings="runs/{ds}/settings/prompts.yaml",
        split="runs/{ds}/split.csv",
        subset=subset_file,
    output:
        weights="runs/{ds}/sam2/{exp}/model/weights.safetensors",
        run="runs/{ds}/sam2/{exp}/run.json",
        history="runs/{ds}/sam2/{exp}/history.csv",
    params:
        code=code("train_sam2"),
        pack=subpath(input.images, parent=True),
        tiles=tiles_option,
        folder=subpath(output.run, parent=True),
    log:
        "runs/{ds}/sam2/{exp}/logs/train_sam2.log",
    benchmark:
        "runs/{ds}/sam2/{exp}/benchmarks/train_sam2.tsv"
    threads: lambda wildcards: experiment(wildcards).settings.threads * gpus(wildcards)
    resources:
        mem_mb=memory_per_gpu(16000),
        runtime=minutes(1440),
        gpu=gpus,
    conda:
        ENV
    shell:
        "python -m defectbench.on_gpu --devices {resources.gpu} --usage {log}.gpu.json {input.script}"
        " --settings {input.settings} --identity {input.identity} --base {input.base}"
        " --pack {params.pack} {params.tiles} --prompts {input.prompts} --prompt-settings {input.prompt_settings}"
        " --split {input.split} --subset {input.subset} --embeddings runs/{wildcards.ds}/embeddings"
        " --folder {params.folder} --trackers {input.trackers} --code-digest {params.code} 2>&1 | tee {log}"


rule predict_sam2:
    """Logit maps of the val and test images that have prompts, from images and prompts alone."""
    input:
        script=script("predict_sam2"),
        base=base_weights,
        weights="runs/{ds}/sam2/{exp}/model/weights.safetensors",
        run="runs/{ds}/sam2/{exp}/run.json",
        prompts=sam2_prompts,
        images="runs/{ds}/packed/images.bin",
        images_index="runs/{ds}/packed/images.parquet",
        split="runs/{ds}/split.csv",
    output:
        val="runs/{ds}/sam2/{exp}/val.pred.parquet",
        test="runs/{ds}/sam2/{exp}/test.pred.parquet",
        timing="runs/{ds}/sam2/{exp}/timing.json",
    params:
        code=code("predict_sam2"),
        pack=subpath(input.images, parent=True),
    log:
        "runs/{ds}/sam2/{exp}/logs/predict_sam2.log",
    benchmark:
        "runs/{ds}/sam2/{exp}/benchmarks/predict_sam2.tsv"
    threads: lambda wildcards: experiment(wildcards).settings.threads
    resources:
        mem_mb=memory(8000),
        runtime=minutes(480),
        gpu=1,
    conda:
        ENV
    shell:
        "python -m defectbench.on_gpu --usage {log}.gpu.json {input.script}"
        " --run {input.run} --base {input.base} --weights {input.weights}"
        " --prompts {input.prompts} --pack {params.pack} --split {input.split}"
        " --embeddings runs/{wildcards.ds}/embeddings"
        " --val {output.val} --test {output.test} --timing {output.timing} 2>&1 | tee {log}"


rule train_sam2_head:
    """Train a head on the encoder; a killed training goes on from its last checkpoint."""
    input:
        script=script("train_sam2_head"),
        settings="runs/{ds}/sam2_head/{exp}/settings/train.yaml",
        identity="runs/{ds}/sam2_head/{exp}/settings/identity.yaml",
        trackers=ancient("runs/{ds}/sam2_head/{exp}/settings/trackers.yaml"),
        base=base_weights,
        images="runs/{ds}/packed/images.bin",
        images_index="runs/{ds}/packed/images.parquet",
        masks="runs/{ds}/packed/masks.bin",
        masks_index="runs/{ds}/packed/masks.parquet",
        tiles=tile_pack,
        split=training_split,
        subset=subset_file,
    output:
        weights="runs/{ds}/sam2_head/{exp}/model/weights.safetensors",
        run="runs/{ds}/sam2_head/{exp}/run.json",
        history="runs/{ds}/sam2_head/{exp}/history.csv",
    params:
        code=code("train_sam2_head"),
        pack=subpath(input.images, parent=True),
        tiles=tiles_option,
        folder=subpath(output.run, parent=True),
    log:
        "runs/{ds}/sam2_head/{exp}/logs/train_sam2_head.log",
    benchmark:
        "runs/{ds}/sam2_head/{exp}/benchmarks/train_sam2_head.tsv"
    threads: lambda wildcards: experiment(wildcards).settings.threads * gpus(wildcards)
    resources:
        mem_mb=memory_per_gpu(16000),
        runtime=minutes(1440),
        gpu=gpus,
    conda:
        ENV
    shell:
        "python -m defectbench.on_gpu --devices {resources.gpu} --usage {log}.gpu.json {input.script}"
        " --settings {input.settings} --identity {input.identity} --base {input.base}"
        " --pack {params.pack} {params.tiles} --split {input.split} --subset {input.subset}"
        " --embeddings runs/{wildcards.ds}/embeddings"
        " --folder {params.folder} --trackers {input.trackers} --code-digest {params.code} 2>&1 | tee {log}"


rule predict_sam2_head:
    """Logit maps of all val and test images, from the images alone."""
    input:
        script=script("predict_sam2_head"),
        base=base_weights,
        weights="runs/{ds}/sam2_head/{exp}/model/weights.safetensors",
        run="runs/{ds}/sam2_head/{exp}/run.json",
        images="runs/{ds}/packed/images.bin",
        images_index="runs/{ds}/packed/images.parquet",
        split=prediction_split,
    output:
        val="runs/{ds}/sam2_head/{exp}/val.pred.parquet",
        test="runs/{ds}/sam2_head/{exp}/test.pred.parquet",
        timing="runs/{ds}/sam2_head/{exp}/timing.json",
    params:
        code=code("predict_sam2_head"),
        pack=subpath(input.images, parent=True),
    log:
        "runs/{ds}/sam2_head/{exp}/logs/predict_sam2_head.log",
    benchmark:
        "runs/{ds}/sam2_head/{exp}/benchmarks/predict_sam2_head.tsv"
    threads: lambda wildcards: experiment(wildcards).settings.threads
    resources:
        mem_mb=memory(8000),
        runtime=minutes(480),
        gpu=1,
    conda:
        ENV
    shell:
        "python -m defectbench.on_gpu --usage {log}.gpu.json {input.script}"
        " --run {input.run} --base {input.base} --weights {input.weights}"
        " --pack {params.pack} --split {input.split}"
        " --val {output.val} --test {output.test} --timing {output.timing} 2>&1 | tee {log}"

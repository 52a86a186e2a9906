"""The SAM 3 family: asked by phrases, zero-shot or with LoRA adapters.

Needs packs, split and a subset. Makes the weights to start from, and the files of training and prediction.
"""


rule weights_sam3:
    """The official weights, or random ones of a tiny network; with configuration and tokenizer, as safetensors."""
    input:
        script=script("weights_sam3"),
    output:
        "weights/{base}.safetensors",
    params:
        code=code("weights_sam3"),
        folder=(STUDY.weights.folder / "sam3").as_posix(),
    wildcard_constraints:
        base="sam3[^/]*",
    log:
        "weights/logs/weights_sam3.{base}.log",
    benchmark:
        "weights/benchmarks/weights_sam3.{base}.tsv"
    threads: 1
    resources:
        mem_mb=memory(12000),
        runtime=minutes(120),
    conda:
        ENV
    shell:
        "python {input.script} --name {wildcards.base} --folder {params.folder} --out {output} 2>&1 | tee {log}"


rule train_sam3:
    """Train LoRA adapters; a killed training goes on from its last checkpoint. Zero-shot trains nothing."""
    input:
        script=script("train_sam3"),
        settings="runs/{ds}/sam3/{exp}/settings/train.yaml",
        identity="runs/{ds}/sam3/{exp}/settings/identity.yaml",
        trackers=ancient("runs/{ds}/sam3/{exp}/settings/trackers.yaml"),
        base=base_weights,
        images="runs/{ds}/packed/images.bin",
        images_index="runs/{ds}/packed/images.parquet",
        masks="runs/{ds}/packed/masks.bin",
        masks_index="runs/{ds}/packed/masks.parquet",
        split="runs/{ds}/split.csv",
        subset=subset_file,
    output:
        weights="runs/{ds}/sam3/{exp}/model/weights.safetensors",
        run="runs/{ds}/sam3/{exp}/run.json",
        history="runs/{ds}/sam3/{exp}/history.csv",
    params:
        code=code("train_sam3"),
        pack=subpath(input.images, parent=True),
        folder=subpath(output.run, parent=True),
    log:
        "runs/{ds}/sam3/{exp}/logs/train_sam3.log",
    benchmark:
        "runs/{ds}/sam3/{exp}/benchmarks/train_sam3.tsv"
    threads: lambda wildcards: experiment(wildcards).settings.threads * gpus(wildcards)
    resources:
        mem_mb=memory_per_gpu(24000),
        runtime=minutes(1440),
        gpu=gpus,
    conda:
        ENV
    shell:
        "python -m defectbench.on_gpu --devices {resources.gpu} --usage {log}.gpu.json {input.script}"
        " --settings {input.settings} --identity {input.identity} --base {input.base}"
        " --pack {params.pack} --split {input.split} --subset {input.subset}"
        " --folder {params.folder} --trackers {input.trackers} --code-digest {params.code} 2>&1 | tee {log}"


rule predict_sam3:
    """Logit maps of all val and test images, from images and phrases alone."""
    input:
        script=script("predict_sam3"),
        base=base_weights,
        weights="runs/{ds}/sam3/{exp}/model/weights.safetensors",
        run="runs/{ds}/sam3/{exp}/run.json",
        images="runs/{ds}/packed/images.bin",
        images_index="runs/{ds}/packed/images.parquet",
        split="runs/{ds}/split.csv",
    output:
        val="runs/{ds}/sam3/{exp}/val.pred.parquet",
        test="runs/{ds}/sam3/{exp}/test.pred.parquet",
        timing="runs/{ds}/sam3/{exp}/timing.json",
    params:
        code=code("predict_sam3"),
        pack=subpath(input.images, parent=True),
    log:
        "runs/{ds}/sam3/{exp}/logs/predict_sam3.log",
    benchmark:
        "runs/{ds}/sam3/{exp}/benchmarks/predict_sam3.tsv"
    threads: lambda wildcards: experiment(wildcards).settings.threads
    resources:
        mem_mb=memory(16000),
        runtime=minutes(480),
        gpu=1,
    conda:
        ENV
    shell:
        "python -m defectbench.on_gpu --usage {log}.gpu.json {input.script}"
        " --run {input.run} --base {input.base} --weights {input.weights}"
        " --pack {params.pack} --split {input.split} --features runs/{wildcards.ds}/embeddings"
        " --val {output.val} --test {output.test} --timing {output.timing} 2>&1 | tee {log}"

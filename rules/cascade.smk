"""The cascade family: a promptable model, prompted with the predictions of another experiment. Nothing is trained.

Needs the predictions of the first stage, its threshold, and the trained second stage. Makes prompts, and the same files
as a network's training and prediction. Labels reach only the choice of thresholds, on val images.
"""

# The experiments that make prompts; what does not fit is refused with the configuration.
PROMPT_SOURCES = {
    experiment.traits.prompt_source for experiment in STUDY.of_family("cascade")
} | {experiment.traits.train_prompt_source for experiment in STUDY.experiments}


rule box_threshold:
    """Score threshold of a detector's boxes, selected on val; no test data reach this rule."""
    input:
        script=script("box_threshold"),
        boxes=lambda wildcards: f"{experiment_folder(EXPERIMENTS[wildcards.source])}/val.boxes.parquet",
        manifest="runs/<ds>/manifest.parquet",
        split="runs/<ds>/split.csv",
    output:
        "runs/<ds>/prompts/{source}/threshold.json",
    params:
        code=code("box_threshold"),
    wildcard_constraints:
        source=experiment_constraint(detectors()),
    log:
        "runs/<ds>/logs/box_threshold.{source}.log",
    benchmark:
        "runs/<ds>/benchmarks/box_threshold.{source}.tsv"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=minutes(30),
    conda:
        ENV
    shell:
        "python -m defectbench.job {input.script:q} --boxes {input.boxes:q} --manifest {input.manifest:q} --split {input.split:q}"
        " --out {output:q} 2>&1 | tee {log:q}"


rule cascade_prompts:
    """Prompts from predictions on val and test images, or out-of-fold ones for trainings; no label reaches this rule."""
    input:
        script=script("cascade_prompts"),
        settings="runs/<ds>/settings/prompts.yaml",
        run=lambda wildcards: f"{experiment_folder(EXPERIMENTS[wildcards.source])}/run.json",
        predictions=ancient(source_predictions),
        digests=digests_of(source_predictions),
        threshold=source_threshold,
    output:
        prompts="runs/<ds>/prompts/{source}/{kind}.parquet",
        timing="runs/<ds>/prompts/{source}/{kind}.timing.json",
    params:
        code=code("cascade_prompts"),
        form=lambda wildcards: (
            "boxes" if EXPERIMENTS[wildcards.source].traits.is_detector else "maps"
        ),
    wildcard_constraints:
        source="|".join(
            re.escape(source)
            for source in sorted(PROMPT_SOURCES)
            if source in EXPERIMENTS
        )
        or "(?!)",
        kind="box|points|box_points|mask",
    log:
        "runs/<ds>/logs/cascade_prompts.{source}_{kind}.log",
    benchmark:
        "runs/<ds>/benchmarks/cascade_prompts.{source}_{kind}.tsv"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=minutes(60, 60),
    conda:
        ENV
    shell:
        "python -m defectbench.job {input.script:q} --settings {input.settings:q} --run {input.run:q} --kind {wildcards.kind:q}"
        " --{params.form:q} {input.predictions:q} --threshold {input.threshold:q}"
        " --out {output.prompts:q} --timing {output.timing:q} 2>&1 | tee {log:q}"


rule predict_cascade:
    """Logit maps of val and test images by the second stage, from images and prompts alone, and the record of both."""
    input:
        script=script("predict_cascade"),
        settings="runs/<ds>/cascade/{exp}/settings/train.yaml",
        identity="runs/<ds>/cascade/{exp}/settings/identity.yaml",
        segmenter_run=segmenter_file("run.json"),
        weights=large_file(segmenter_file("model/weights.safetensors")),
        base=segmenter_base,
        source_run=source_file("run.json"),
        source_timing=source_file("timing.json"),
        prompts=cascade_prompts,
        prompts_timing=prompts_timing,
        source_subsets=lambda wildcards: subset_files(prompt_source_of(wildcards)),
        segmenter_subset=lambda wildcards: subset_files(segmenter_of(wildcards)),
        pack=pack_inputs("runs/<ds>/packed", "images"),
        split="runs/<ds>/split.csv",
    output:
        map_digests("runs/<ds>/cascade/{exp}"),
        val=map_file("runs/<ds>/cascade/{exp}", "val"),
        test=map_file("runs/<ds>/cascade/{exp}", "test"),
        run="runs/<ds>/cascade/{exp}/run.json",
        timing="runs/<ds>/cascade/{exp}/timing.json",
    params:
        code=code("predict_cascade"),
        pack=pack_folder,
        features=segmenter_features,
        segmenter=subpath(input.segmenter_run, parent=True),
        source=lambda wildcards, input: (
            f"--source {quote(str(Path(input.source_run).parent))}"
            f" --prompts-timing {quote(input.prompts_timing)}"
            f" --source-subsets {' '.join(map(quote, input.source_subsets))}"
            if input.source_run
            else ""
        ),
    wildcard_constraints:
        exp=EVALUATED,
    log:
        "runs/<ds>/cascade/{exp}/logs/predict_cascade.log",
    benchmark:
        "runs/<ds>/cascade/{exp}/benchmarks/predict_cascade.tsv"
    threads: lambda wildcards: experiment_of(wildcards).traits.threads
    resources:
        mem_mb=memory(8000),
        runtime=minutes(480),
        gpu=1,
    conda:
        ENV
    shell:
        "python -m defectbench.on_gpu --usage {log:q}.gpu.json {input.script:q}"
        " --settings {input.settings:q} --identity {input.identity:q} --segmenter {params.segmenter:q} --base {input.base[0]:q}"
        " --segmenter-subset {input.segmenter_subset:q} --prompts {input.prompts:q} {params.source}"
        " --pack {params.pack:q} --split {input.split:q} {params.features}"
        " --code-digest {params.code:q} --val {output.val:q} --test {output.test:q} --run {output.run:q}"
        " --timing {output.timing:q} 2>&1 | tee {log:q}"

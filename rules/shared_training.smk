"""Experiments that differ only in how their network predicts (test-time augmentation, tiles) share one training.

Needs the training of the one that predicts by the defaults. Makes weights, run.json and history.csv of the others.
"""

SHARING = [found for found in STUDY.experiments if found.training is not found]


ruleorder: share_training > train_unet
ruleorder: share_training > train_yolo
ruleorder: share_training > train_sam2
ruleorder: share_training > train_sam2_head
ruleorder: share_training > train_sam3


rule share_training:
    """Take over weights and history of the experiment that trained; only the record has this one's name."""
    input:
        script=script("share_training"),
        settings="runs/{ds}/{fam}/{exp}/settings/train.yaml",
        identity="runs/{ds}/{fam}/{exp}/settings/identity.yaml",
        weights=trained("model/weights.safetensors"),
        run=trained("run.json"),
        history=trained("history.csv"),
    output:
        weights="runs/{ds}/{fam}/{exp}/model/weights.safetensors",
        run="runs/{ds}/{fam}/{exp}/run.json",
        history="runs/{ds}/{fam}/{exp}/history.csv",
    params:
        code=code("share_training"),
        trained=subpath(input.run, parent=True),
        folder=subpath(output.run, parent=True),
    wildcard_constraints:
        exp=named(SHARING),
    log:
        "runs/{ds}/{fam}/{exp}/logs/share_training.log",
    benchmark:
        "runs/{ds}/{fam}/{exp}/benchmarks/share_training.tsv"
    threads: 1
    resources:
        mem_mb=memory(1000),
        runtime=minutes(10),
    conda:
        ENV
    shell:
        "python {input.script} --trained {params.trained} --identity {input.identity} --settings {input.settings}"
        " --folder {params.folder} 2>&1 | tee {log}"

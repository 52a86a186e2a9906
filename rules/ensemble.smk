"""The ensemble family: the mean of the maps of other experiments.

Needs their predictions and records and, to choose members or fit weights, the labels of the val images. Makes the same
files as a network's training and prediction.
"""


rule average_members:
    """Select and weight the members on val, or out-of-fold, and average their maps; test data are only averaged."""
    input:
        script=script("average_members"),
        settings="runs/<ds>/ensemble/{exp}/settings/train.yaml",
        identity="runs/<ds>/ensemble/{exp}/settings/identity.yaml",
        runs=member_files("run.json"),
        timings=member_files("timing.json"),
        val=ancient(member_maps),
        test=ancient(member_files("test.pred.parquet")),
        digests=digests_of(member_maps, member_files("test.pred.parquet")),
        subsets=member_subsets,
        manifest="runs/<ds>/manifest.parquet",
        split=evaluation_split,
    output:
        map_digests("runs/<ds>/ensemble/{exp}"),
        choice="runs/<ds>/ensemble/{exp}/ensemble.json",
        val=map_file("runs/<ds>/ensemble/{exp}", "val"),
        test=map_file("runs/<ds>/ensemble/{exp}", "test"),
        run="runs/<ds>/ensemble/{exp}/run.json",
        timing="runs/<ds>/ensemble/{exp}/timing.json",
    params:
        code=code("average_members"),
        members=lambda wildcards, input: [Path(run).parent for run in input.runs],
    wildcard_constraints:
        exp=EVALUATED,
    log:
        "runs/<ds>/ensemble/{exp}/logs/average_members.log",
    benchmark:
        "runs/<ds>/ensemble/{exp}/benchmarks/average_members.tsv"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=minutes(240),
    conda:
        ENV
    shell:
        "python -m defectbench.job {input.script:q} --settings {input.settings:q} --identity {input.identity:q} --members {params.members:q}"
        " --val-maps {input.val:q} --test-maps {input.test:q} --subsets {input.subsets:q} --manifest {input.manifest:q}"
        " --split {input.split:q}"
        " --code-digest {params.code:q} --choice {output.choice:q} --val {output.val:q} --test {output.test:q}"
        " --run {output.run:q} --timing {output.timing:q} 2>&1 | tee {log:q}"

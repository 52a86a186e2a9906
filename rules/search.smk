"""A search over settings: which trainings are the best on val. Nothing is predicted on test.

Needs the trained experiments. Makes search.csv and search.md in the study's results folder.
"""


def searched():
    """Folders of the trainings that a search compares: those that choose their weights by a monitor on val."""
    return [
        folder(found)
        for found in STUDY.experiments
        if hasattr(found.settings, "monitor")
        and getattr(found.settings, "tune", "") != "none"
        and not found.cv
    ]


rule search:
    """Rank the study's trainings on the val images alone."""
    input:
        [
            f"{name}/{file}"
            for name in searched()
            for file in ("run.json", "history.csv")
        ],
        script=script("search"),
    output:
        csv=results("search.csv"),
        markdown=results("search.md"),
    params:
        code=code("search"),
        folders=searched(),
        title=f"Search {STUDY.name}",
    log:
        results("logs/search.log"),
    benchmark:
        results("benchmarks/search.tsv")[0]
    threads: 1
    resources:
        mem_mb=memory(1000),
        runtime=minutes(10),
    conda:
        ENV
    shell:
        "python {input.script} --folders {params.folders} --title {params.title:q} --csv {output.csv}"
        " --markdown {output.markdown} 2>&1 | tee {log}"

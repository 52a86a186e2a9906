"""What every rule must have, so that nothing of it is stale unseen, unlogged, or without a limit on a cluster."""

import re

import pytest
from tiny_study import ROOT

NEEDED = ("input.script}", "log:", "benchmark:", "threads:", "mem_mb=", "runtime=", "conda:")
NAME = re.compile(r"(?: |:\s*name:\s*(?:f\")?)([\w{}]+)[:\"\n]")


def rules() -> dict[str, str]:
    """Name -> text of every rule that runs a command; fetch.smk is a Snakefile of its own.

    Rules that a loop makes are one here, named by their pattern, as ``plot_{name}``, or, where the names are the keys
    of a table in the same file, one for each key.
    """
    found = {}
    for path in sorted((ROOT / "rules").glob("*.smk")):
        if path.name != "fetch.smk":
            text = path.read_text(encoding="utf-8")
            blocks = re.split(r"^\s*rule(?=(?: \w+)?:$)", text, flags=re.M)[1:]
            found |= {NAME.match(block)[1]: block for block in blocks if "shell:" in block}
            if block := found.pop("name", None):
                keys = re.findall(r"^    \"(\w+)\": dict\(", text, re.M)
                found |= {key: re.sub(r"\b(script|code)\(name\)", rf'\1("{key}")', block) for key in keys}
    return found


RULES = rules()


def test_rules_are_found():
    assert {"ingest", "train_unet", "score", "leaderboard", "plot_{name}"} <= set(RULES)


@pytest.mark.parametrize("name", RULES)
def test_every_rule_has_log_benchmark_threads_limits_and_environment(name):
    assert [part for part in NEEDED if part not in RULES[name]] == []


@pytest.mark.parametrize("name", RULES)
def test_the_digest_of_a_rule_is_that_of_its_script(name):
    script, code = (
        re.findall(rf"{word}=?{call}\(f?\"([\w{{}}]+)\"\)", RULES[name])
        for word, call in (("script", "script"), ("code", "code"))
    )
    assert script == code
    assert len(script) == 1


def test_every_script_of_a_rule_says_what_the_user_can_do_about_an_error():
    named = [re.search(r"script\(f?\"([\w{}]+)", block)[1].replace("{name}", "*") for block in RULES.values()]
    files = [path for name in named for path in (ROOT / "workflow" / "scripts").glob(f"{name}.py")]
    assert len(files) > len(RULES)
    assert [path.name for path in files if "\n@run_script\ndef main(" not in path.read_text(encoding="utf-8")] == []


@pytest.mark.parametrize("name", RULES)
def test_a_gpu_job_takes_a_device_of_its_own(name):
    assert ("gpu=" in RULES[name]) == ("-m defectbench.on_gpu " in RULES[name])


# predict_images is not among them: its images have no labels, and the manifest says what they must look like.
PREDICTING = [name for name in RULES if name.startswith("predict_") and name != "predict_images"]


@pytest.mark.parametrize("name", [*PREDICTING, "cascade_prompts"])
def test_prediction_is_given_no_labels(name):
    given = re.search(r"input:\n(.*?)\n\s+output:", RULES[name], re.S)[1]
    assert not re.search(r"manifest|masks|labels|/prompts/oracle", given)

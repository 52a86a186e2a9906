"""Sentences on tests say what a row of pairwise.csv backs, and no more."""

import itertools
import re

import findings as script
import pandas as pd
import pytest
from board_tables import EMPTY, ISSUES, LEAKS, NO_PAIRS, A, B, C, pair, pairs, ranks, row, seeds, table, three

from defectbench.evaluation.pairwise import SEEDS
from defectbench.evaluation.statistics import A_BETTER, B_BETTER, IDENTICAL, NO_CLAIM, TOO_FEW
from defectbench.reporting import findings as library
from defectbench.reporting.findings import difference_sentence
from defectbench.reporting.names import experiment_names, training_names
from defectbench.reporting.page.answer import answer
from defectbench.reporting.page.caveats import _leads
from defectbench.reporting.power_law import FITS
from defectbench.reporting.verdicts import Standing

NO_SEEDS = pd.DataFrame(columns=SEEDS)
NO_FITS = pd.DataFrame(columns=list(FITS))
FULL, B80, C160 = "unet-resnet18 full", "unet-resnet18 80", "unet-resnet18 160"


def findings(results, pairwise=NO_PAIRS, spread=NO_SEEDS):
    return library.findings(results, ranks(results), pairwise, spread, NO_FITS, ISSUES, LEAKS)


def sentence(results=None, **changes):
    results = three() if results is None else results
    first, second = results["experiment"].unique()[:2]
    (tested,) = pairs(pair(first, second, **changes)).to_dict("records")
    return difference_sentence(tested, experiment_names(results), training_names(results))


def leads(results, pairwise, track="automatic"):
    standing = Standing.of(results, pairwise, track)
    return list(_leads(results, {track: standing}, experiment_names(results)))


def answered(results, pairwise):
    return answer(results, ranks(results), pairwise, {"automatic": Standing.of(results, pairwise, "automatic")})


def test_each_comparison_is_said_and_ranked_only_where_a_claim_is_made():
    tests = pairs(
        pair(A, B),
        pair(A, C, A_BETTER, difference_lo=0.2, p_holm=0.0123),
        pair(A, EMPTY, TOO_FEW, "vs_reference", n_images=12, n_groups=11, n_groups_differ=11),
    )
    page = findings(three(), tests)
    counts = "87 images in 80 groups."
    assert f"- {FULL} − {B80}: +1.2 pp dice_all [−0.4, 2.8], not significant; Holm p = 0.21, {counts}" in page
    better = f"this training of {FULL} is better than this training of {C160}; Holm p = 0.012, {counts}"
    assert f"- {FULL} − {C160}: +1.2 pp dice_all [0.2, 2.8]: {better}" in page
    too_few = "too few groups for a test (12 images in 11 groups; 20 that differ are needed)."
    assert f"all_empty: +1.2 pp dice_all [−0.4, 2.8], {too_few}" in page
    assert page.count("is better") == 1


def test_several_seeds_on_both_sides_are_spoken_of_as_methods():
    results = table(*seeds("unet_full_none_native_s1+2", (0.6, 0.7)), *seeds("unet_80_none_native_s1+2", (0.5, 0.6)))
    of_seeds = {"claim": A_BETTER, "n_seeds_a": 2, "n_seeds_b": 2}
    names = list(experiment_names(results).values())
    text = sentence(results, **of_seeds, p_seeds=0.01)
    assert f": {names[0]} is better than {names[1]}; Holm p = 0.21, the chance of training included, 87 images" in text
    assert "the chance of training included" not in sentence(claim=A_BETTER)
    one = table(*seeds("unet_full_none_native_s1+2", (0.6, 0.7)), row("unet-resnet18_80_s1"))
    assert ": the average of " in sentence(one, claim=A_BETTER, n_seeds_a=2)
    assert "is better than this training of " in sentence(one, claim=A_BETTER, n_seeds_a=2)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"p_holm": 0.004, "at_draw_limit": True}, "Holm p ≤ 0.004 (limit of the draws)"),
        ({"p_holm": 0.004}, "Holm p = 0.004"),
        ({"p_holm": 0.0004}, "Holm p < 0.001"),
        ({"n_groups_differ": 31}, "87 images in 80 groups, 31 of which differ"),
        ({"difference_lo": 0.2}, "not significant, though the interval, which is not corrected, excludes 0"),
        ({"difference": 0.003, "difference_lo": 0.001, "difference_hi": 0.006}, "+0.0030 pp dice_all [0.0010, 0.0060]"),
    ],
)  # fmt: skip
def test_words_follow_the_row(changes, said):
    assert said in sentence(**changes)


def test_identical_experiments_are_equal_and_not_merely_not_significant():
    zero = dict.fromkeys(("difference", "difference_lo", "difference_hi"), 0.0)
    text = sentence(claim=IDENTICAL, n_groups_differ=0, **zero)
    assert text == f"{FULL} and {B80} are equal on every test image (dice_all, 87 images in 80 groups)."
    asked = sentence(claim=IDENTICAL, n_groups_differ=0, margin=5.0, p_not_worse=0.04, not_worse=True, **zero)
    assert asked.startswith(text)
    assert "Not worse by more than 5 pp" in asked


def test_what_a_test_without_a_claim_could_have_shown_stands_beside_it():
    shown = "These images would show 3.1 pp in four of five studies; the observed 1.2 pp would take"
    assert f"{shown} about 1,900 test images." in sentence(smallest_difference=3.1, images_needed=1893)
    assert f"{shown} more than 10 times as many." in sentence(smallest_difference=3.1)
    assert "four of five" in sentence(claim=TOO_FEW, smallest_difference=3.1)
    assert "four of five" not in sentence(claim=A_BETTER, smallest_difference=3.1)
    as_many = "the observed 1.2 pp would be shown by as many images in four of five studies."
    assert as_many in sentence(smallest_difference=1.2, images_needed=87)


def test_non_inferiority_is_said_only_where_it_was_asked_for_and_shown():
    shown = f"Not worse by more than 2 pp: this training of {B80} than this training of {FULL} (Holm p = 0.012)."
    assert shown in sentence(margin=2.0, p_not_worse=0.0123, not_worse=True)
    refused = f"Not shown: that this training of {B80} is not worse than this training of {FULL} by more than 2 pp."
    assert refused in sentence(margin=2.0, p_not_worse=0.3, not_worse=False)
    assert "worse" not in sentence()
    assert "worse" not in sentence(claim=A_BETTER, margin=2.0, not_worse=False)
    assert "worse" not in sentence(claim=B_BETTER, margin=2.0, not_worse=True)


def lead_study(claims):
    """A leads on test, B is the best on val; ``claims`` are of B with A and with C."""
    results = table(*(row(name, dice=value) for name, value in (("A_s1", 0.80), ("B_s1", 0.79), ("C_s1", 0.70))))
    results["model"], results["variant"] = ["A", "B", "C"], ""
    return results, pairs(*(pair("B_s1", other, claim) for other, claim in zip(("A_s1", "C_s1"), claims, strict=True)))


def test_a_lead_is_not_significant_only_over_what_it_was_tested_against():
    first, second = leads(*lead_study((NO_CLAIM, NO_CLAIM)))
    said = "A has the highest dice_all on the test images, but that lead is not significant over B; it was not tested"
    assert first == f"Automatic track: {said} against C."
    assert "B has the highest validation score" in second
    (first, _) = leads(*lead_study((TOO_FEW, NO_CLAIM)))
    assert "significant" not in first
    assert "too few groups of test images differ for a test against B; it was not tested against C." in first


def test_where_nothing_was_tested_nothing_is_significant_or_recommended():
    results, pairwise = lead_study((TOO_FEW, TOO_FEW))
    pairwise = pairwise.assign(n_groups=12, n_groups_differ=12)
    results.loc[2, "infer_ms_p50"] = 0.1
    texts = [*leads(results, pairwise), *answered(results, pairwise).which, *answered(results, pairwise).cost]
    assert "nothing was tested" in texts[0]
    assert not any("significant" in text or "cheaper" in text or "not shown" in text for text in texts)


def test_the_cheap_one_is_recommended_only_if_it_is_shown_to_be_not_worse():
    results, pairwise = lead_study((NO_CLAIM, NO_CLAIM))
    results["infer_ms_p50"] = [9.0, 12.0, 1.0]
    (question,) = answered(results, pairwise).cost[1:]
    assert "was not tested. Set report.margin" in question
    asked = pairwise.assign(margin=2.0, not_worse=[True, False])
    assert answered(results, asked).cost[1:] == [
        "May I take a cheaper one than B? Shown to be not worse by more than 2 pp: A, 9.0 ms per image."
    ]
    refused = "None of the 2 with less measured time is shown to be not worse by more than 2 pp."
    assert answered(results, asked.assign(not_worse=False)).cost[1:] == [f"May I take a cheaper one than B? {refused}"]
    assert len(answered(results.assign(infer_ms_p50=12.0), asked).cost) == 1
    alike = asked.assign(claim=TOO_FEW, n_groups_differ=3)  # equal scores are evidence of being not worse
    assert answered(results, alike).cost == answered(results, asked).cost
    elsewhere = results.assign(device=["CPU", "GPU", "CPU"])
    assert len(answered(elsewhere, asked).cost) == 1


def test_the_interval_is_that_of_the_mean_over_the_seeds():
    results = table(*seeds("unet_full_none_native_s1+2", (0.60, 0.70)), row("unet-resnet18_80_s1", dice=0.5))
    pairwise = pairs(pair("unet_full_none_native_s1+2", "unet-resnet18_80_s1"))
    sure = answered(results, pairwise).sure
    assert "0.650 ± 0.071 [0.590, 0.710], mean ± standard deviation of 2 seeds" in sure[0]
    assert "95 % interval of that mean, the chance of training included" in sure[1]


def test_every_word_of_ranking_has_a_row_behind_it():
    """Of all claims of a study of three and a reference, in all reports' sentences."""
    results = three()
    names = experiment_names(results)
    experiments = {re.sub(r"^(this training of |the average of )", "", text): exp for exp, text in names.items()}
    for claims in itertools.product((A_BETTER, B_BETTER, NO_CLAIM, TOO_FEW, IDENTICAL), repeat=3):
        rows = [pair(C, other, claim) for other, claim in zip((A, B, EMPTY), claims, strict=True)]
        rows[2]["kind"] = "vs_reference"
        pairwise = pairs(*rows)
        backed = {(r["a"], r["b"]): r["claim"] for r in rows}
        page = findings(results, pairwise).replace("this training of ", "")
        for winner, loser in re.findall(r": ([^:]+) is better than ([^;]+);", page):
            of_pair = (experiments[winner], experiments[loser])
            assert backed.get(of_pair) == A_BETTER or backed.get(of_pair[::-1]) == B_BETTER
        assert page.count("is better than") == sum(claim in (A_BETTER, B_BETTER) for claim in claims)
        for text in leads(results, pairwise):
            for listed in re.findall(r"not significant over ([^;.]+)", text):
                first = experiments[re.search(r"track: (.+) has the highest", text)[1]]
                for other in listed.split(", "):
                    assert NO_CLAIM in {
                        backed.get((first, experiments[other])),
                        backed.get((experiments[other], first)),
                    }


def test_what_claims_are_worth_is_said():
    few = pairs(pair(A, B, A_BETTER, n_groups_differ=31), pair(A, C, A_BETTER, n_groups_differ=50))
    page = findings(three(), few)
    assert "In 1 of 2 comparisons only 31 groups of test images differ." in page
    assert "say nothing of failures on one group in ten or fewer" in page
    assert "differ" not in findings(three(), pairs(pair(A, B, TOO_FEW, n_groups_differ=19, n_groups=19)))[:300]
    assert "Every experiment was trained with one seed" in page
    assert "Kish" not in page
    unequal = ranks(three(), effective_groups=12.3)
    page = library.findings(three(), unequal, few, NO_SEEDS, NO_FITS, ISSUES, LEAKS)
    assert "80 groups tell no more than about 12 of equal size (Kish's effective number)" in page


def test_the_chance_of_training_is_part_of_tests_of_several_seeds():
    both = table(*seeds("unet_full_none_native_s1+2", (0.6, 0.7)), *seeds("unet_80_none_native_s1+2", (0.5, 0.6)))
    assert "Every experiment was trained with several seeds: the chance of training is part of" in findings(both)
    mixed = pd.concat([both, table(row("unet-resnet18_50_s1"))])
    name = experiment_names(mixed)["unet-resnet18_50_s1"]
    once = "1 of 3 experiments were trained with one seed only, and what is said of them holds for these trainings:"
    assert f"{once} {name}." in findings(mixed)
    zero_shot = table(row("sam3", model="sam3", variant="", policy="at_0.5"))
    assert "seed" not in findings(zero_shot)


def test_which_models_have_not_learned_is_said():
    failed = three().assign(problems=[None, "no pixel of any test image is predicted", None, None])
    page = findings(failed)
    assert "**unet-resnet18 80, seed 42: no pixel of any test image is predicted.**" in page
    assert page.count("seed 42") == 1


def test_which_budgets_differ_is_said():
    page = findings(three().assign(images_seen=[64_000, 63_000, 96_000, None]))
    assert f"**Automatic track: budgets differ. Training images seen, each as often as it was: {B80} 63,000;" in page
    assert "the most of the track are 96,000." in page
    assert "budgets differ" not in findings(three())


def test_spread_over_seeds_and_that_nothing_was_compared_are_said():
    seeded = three().assign(experiment=["u_s1+2", "u_s1+2", C, EMPTY])
    spread = pd.DataFrame([("automatic", "dice_all", "u_s1+2", 2, 0.75, 0.05, 0.04, 0.3, 0.1)], columns=SEEDS)
    page = findings(seeded, pairs(pair("u_s1+2", C)), spread)
    assert "0.750 ± 0.050 over 2 seeds (standard deviations: seeds 0.040, images 0.300, rest 0.100)." in page
    assert "No two experiments were compared." in findings(three())


def test_the_script_writes_the_page(tmp_path):
    tests = pairs(pair(A, B), pair(A, C, A_BETTER))
    files = {"ranks": ranks(three()), "pairwise": tests, "seeds": NO_SEEDS, "fits": NO_FITS}
    files |= {"issues": ISSUES, "leaks": LEAKS}
    three().to_parquet(tmp_path / "results.parquet")
    for name, written in files.items():
        written.to_csv(tmp_path / f"{name}.csv", index=False)
    options = {name: f"{name}.csv" for name in files} | {"results": "results.parquet", "out": "findings.md"}
    script.main([text for key, name in options.items() for text in (f"--{key}", str(tmp_path / name))])
    assert (tmp_path / "findings.md").read_text() == findings(three(), tests)

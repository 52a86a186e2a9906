"""Short names of experiments are unique, and say what sets them apart."""

from board_tables import TAIL, row, seeds, table

from defectbench.reporting.names import experiment_names, list_names, short_names, training_names


def test_no_derived_name_is_the_given_name_of_another_row():
    ids = [f"unet-resnet18_{subset}_{TAIL}" for subset in (50, 100, "full")]
    results = table(row(ids[0], name="unet-resnet18 100"), row(ids[1]), row(ids[2]))
    assert short_names(results) == ["unet-resnet18 100", ids[1], "unet-resnet18 full"]


def test_seeds_share_the_name_of_their_grid():
    ids = [f"unet-resnet18_full_none_native_s{seed}" for seed in (1, 2)]
    rows = [row(exp_id, name=f"unet_s{seed}", seed=seed, experiment="u_s1+2") for seed, exp_id in enumerate(ids, 1)]
    assert experiment_names(table(*rows)) == {"u_s1+2": "unet (2 seeds)"}


def test_shortened_ids_are_named_by_all_their_settings():
    ids = ["unet-resnet18_full_none_native_0123abcd_s42", "unet-resnet18_full_none_native_4567abcd_s42"]
    rows = [
        row(exp_id, unabridged_id=f"unet-resnet18_full_none_native_lr-{lr}_s42") for lr, exp_id in enumerate(ids, 1)
    ]
    assert short_names(table(*rows)) == ["unet-resnet18 lr-1", "unet-resnet18 lr-2"]


def test_a_sentence_on_one_training_says_so():
    results = table(
        row("unet-resnet18_a"),
        row("sam3", model="sam3", variant="", policy="at_0.5"),
        *seeds("yolo-n_full_none_native_s1+2", (0.6, 0.7), model="yolo", variant="n"),
        row("all_empty", "reference", model="all_empty", variant=""),
    )
    assert list(training_names(results).values()) == [
        "this training of unet-resnet18",
        "sam3",
        "the average of yolo-n (2 seeds)",
        "all_empty",
    ]


def test_long_lists_are_cut_and_say_by_how_many():
    assert list_names(list("abcd")) == "a, b, c, d"
    assert list_names(list("abcdef")) == "a, b, c, d and 2 more"

"""The training loop: budget, history, checkpoints, resume."""

import errno
import re
from copy import deepcopy

import numpy as np
import pytest
import torch
from tiny_training import Squares, TinyNetwork, WithoutNorm, power_loss, run_fit, settings

from defectbench.config.train import MONITORS
from defectbench.training import fit as fit_module
from defectbench.training.checkpoints import parse_step
from defectbench.training.losses import make_loss
from defectbench.training.state import TrainingError, fingerprint, training_state


def train(folder, config, **training):
    torch.manual_seed(config.seed)
    loss = make_loss(config.loss)
    return run_fit("squares", TinyNetwork(), loss, Squares(12), Squares(6), config, folder, **training)


def test_the_network_learns_and_the_three_best_checkpoints_are_saved(tmp_path):
    result = train(tmp_path, settings(steps=24, eval_every=4))
    assert result.steps == 24
    assert result.history["val_dice_fixed"].max() > 0.8
    assert len(list((tmp_path / "val_iou_fixed").glob("best_step*_iou*_dice*.ckpt"))) == 3
    best = result.history.loc[result.history["val_iou_fixed"].idxmax()]
    assert result.best_step == best["step"]
    first, *_, last = result.weights
    assert first.startswith(f"best_step{result.best_step}_iou{best['val_iou_fixed']:.4f}")
    assert (result.best_checkpoints["val_iou_fixed"], last) == (first, "last")


class Rising(fit_module.SegmentationTask):
    """The IoU rises with every evaluation, the Dice falls, that of all images is highest in the second."""

    def on_validation_epoch_end(self):
        super().on_validation_epoch_end()
        n = len(self.history)
        dice_all = 0.5 - 0.1 * abs(n - 2.2)
        self.val_scores |= {"val_iou_fixed": 0.1 * n, "val_dice_fixed": 0.9 - 0.1 * n, "dice_all": dice_all}
        self.log_dict({name: self.val_scores[name] for name in MONITORS}, logger=False)


def fit_rising(folder, runtime=None, **keys):
    config = settings(steps=6, eval_every=1, **keys)
    torch.manual_seed(0)
    data = Squares(12), Squares(6)
    return run_fit("x", TinyNetwork(), make_loss("bce"), *data, config, folder, make_task=Rising, runtime=runtime)


@pytest.mark.parametrize(
    ("monitor", "best_steps", "others"),
    [
        ("val_iou_fixed", [6, 5, 4], {"val_dice_fixed": 1, "dice_all": 2}),
        ("val_dice_fixed", [1, 2, 3], {"val_iou_fixed": 6, "dice_all": 2}),
        ("dice_all", [2, 3, 1], {"val_iou_fixed": 6, "val_dice_fixed": 1}),
    ],
)
def test_the_best_by_the_other_metrics_are_saved_too(tmp_path, monitor, best_steps, others):
    result = fit_rising(tmp_path, monitor=monitor)
    steps = [int(name.split("_")[1].removeprefix("step")) for name in list(result.weights)[:-1]]
    assert steps[:3] == best_steps
    assert result.best_step == best_steps[0]
    assert {name: parse_step(best) for name, best in result.best_checkpoints.items()} == {
        monitor: best_steps[0]
    } | others
    assert set(result.best_checkpoints.values()) <= set(result.weights)


@pytest.mark.parametrize(("every", "names"), [("4 steps", ["step4"]), ("1 epochs", ["step3", "step6"])])
def test_regular_checkpoints_are_all_saved(tmp_path, every, names):
    # Three steps are one pass.
    result = fit_rising(tmp_path, {"checkpoint_every": every})
    assert [name for name in result.weights if name.startswith("step")] == names
    assert not torch.equal(result.weights[names[0]]["layers.0.weight"], result.weights["last"]["layers.0.weight"])


@pytest.mark.parametrize(
    ("keys", "last"),
    [
        ({"patience": 2}, 3),
        # The best since the peak is what counts: at step 6, or where the last of 4, 8 steps begins.
        ({"patience": 2, "warmup": 0.5}, 8),
        ({"patience": 2, "schedule": "cosine_restarts", "cycles": 2}, 6),
        ({"patience": 2, "schedule": "plateau"}, 3),
        ({"patience": None}, 12),
    ],
)
def test_patience_counts_from_the_last_peak_of_the_learning_rate(tmp_path, keys, last):
    # The Dice falls with every evaluation.
    config = settings(steps=12, eval_every=1, monitor="val_dice_fixed", **keys)
    loss = make_loss("bce")
    result = run_fit("x", TinyNetwork(), loss, Squares(12), Squares(6), config, tmp_path, make_task=Rising)
    assert result.steps == last


def test_the_network_ends_with_the_best_weights_not_the_last(tmp_path):
    network = TinyNetwork()
    config = settings(steps=6, eval_every=1, monitor="val_dice_fixed")
    result = run_fit("x", network, make_loss("bce"), Squares(12), Squares(6), config, tmp_path, make_task=Rising)
    best = result.weights[result.best_checkpoints["val_dice_fixed"]]
    assert all(torch.equal(value, best[name]) for name, value in network.state_dict().items())


def test_a_training_killed_after_early_stopping_does_not_continue(tmp_path):
    config = settings(steps=60, eval_every=1, patience=2, lr=1e-9)
    first = train(tmp_path, config)
    again = train(tmp_path, config)
    assert again.history.equals(first.history)
    assert again.best_checkpoints == first.best_checkpoints


@pytest.mark.parametrize("failure", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device")], ids=str)
def test_a_kill_or_a_full_disk_while_a_checkpoint_is_written_leaves_the_one_before(
    tmp_path, monkeypatch, capsys, failure
):
    config = settings(steps=6, eval_every=2)
    undisturbed = train(tmp_path / "a", config)
    write = torch.save

    def dying(checkpoint, path):
        if "last" in str(path) and checkpoint["global_step"] == 4:
            path.write_bytes(b"half a file")
            raise failure
        write(checkpoint, path)

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", dying)
        with pytest.raises((type(failure), SystemExit)):
            train(tmp_path / "b", config)
    assert not [path for path in (tmp_path / "b").rglob("*") if path.name.startswith(".")]
    assert torch.load(tmp_path / "b" / "last.ckpt", weights_only=True)["global_step"] == 2
    capsys.readouterr()
    resumed = train(tmp_path / "b", config)
    assert re.findall(r"^squares +step +(\d+)/6", capsys.readouterr().out, re.M) == ["4", "6"]
    for name, values in undisturbed.weights.items():
        assert all(torch.equal(values[key], resumed.weights[name][key]) for key in values)


def test_a_step_budget_is_exact_and_ends_with_an_evaluation(tmp_path):
    result = train(tmp_path, settings(steps=7, eval_every=3))
    assert result.history["step"].tolist() == [0, 3, 6, 7]


def test_training_stops_when_the_monitor_no_longer_improves(tmp_path):
    result = train(tmp_path, settings(steps=60, eval_every=1, patience=2, lr=1e-9))
    assert result.steps < 20


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"sampler": "balanced", "accumulate": 2, "batch_size": 2},
        {"schedule": "cosine_restarts", "optimizer": "sgd"},
        {"schedule": "one_cycle", "optimizer": "adam"},
        {"schedule": "plateau", "lr_patience": 0, "lr": 1e-6},
    ],
    ids=["defaults", "balanced", "cosine_restarts", "one_cycle", "plateau"],
)
def test_an_interrupted_training_ends_as_an_undisturbed_one(tmp_path, keys):
    config = settings(steps=12, eval_every=3, **keys)
    undisturbed = train(tmp_path / "a", config)

    with power_loss(step=8):
        train(tmp_path / "b", config)
    resumed = train(tmp_path / "b", config)

    timed = ["epoch_time", "images_per_second", "data_wait_share", "peak_memory"]
    assert resumed.history.drop(columns=timed).equals(undisturbed.history.drop(columns=timed))
    if config.schedule == "plateau":
        assert len(set(undisturbed.history["learning_rate"])) > 1
    assert list(resumed.weights) == list(undisturbed.weights)
    for name, values in undisturbed.weights.items():
        assert all(torch.equal(values[key], resumed.weights[name][key]) for key in values)


def test_the_same_seed_gives_the_same_weights_and_another_does_not(tmp_path):
    def last(folder, seed):
        return train(tmp_path / folder, settings(steps=4, eval_every=2, seed=seed)).weights["last"]

    first, again, other = last("a", 1), last("b", 1), last("c", 2)
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first["layers.0.weight"], other["layers.0.weight"])


def test_the_number_of_workers_changes_nothing(tmp_path):
    config = settings(steps=4, eval_every=2)
    alone, helped = (train(tmp_path / str(n), config, runtime={"workers": n}).weights for n in (0, 2))
    assert list(alone) == list(helped)
    assert all(torch.equal(value, helped["last"][name]) for name, value in alone["last"].items())


def test_accumulated_gradients_of_small_batches_equal_those_of_large_ones(tmp_path):
    def run(folder, **keys):
        config = settings(loss="bce", optimizer="sgd", steps=5, eval_every=2, **keys)
        torch.manual_seed(0)
        return run_fit("x", WithoutNorm(), make_loss("bce"), Squares(12), Squares(6), config, tmp_path / folder)

    small, large = run("small", batch_size=2, accumulate=2), run("large", batch_size=4)
    assert small.history["images_seen"].equals(large.history["images_seen"])
    assert small.history["step"].tolist() == [0, 2, 4, 5]
    np.testing.assert_allclose(small.history["train_loss"][1:], large.history["train_loss"][1:], rtol=1e-4)
    for key, values in large.weights["last"].items():
        torch.testing.assert_close(small.weights["last"][key], values)


def test_a_pass_over_the_images_is_counted_in_steps(tmp_path):
    result = train(tmp_path, settings(epochs=2, batch_size=2, accumulate=3, eval_every=2))
    # 12 images, 6 to a step.
    assert result.history["step"].tolist() == [0, 2, 4]
    assert result.history["images_seen"].tolist() == [0, 12, 24]


def test_history_has_a_row_per_evaluation_with_every_column_filled(tmp_path):
    history = train(tmp_path, settings(steps=16, eval_every=4)).history
    assert history["step"].tolist() == [0, 4, 8, 12, 16]
    assert list(history)[:10] == [
        *("epoch", "step", "images_seen", "train_loss", "val_loss", "val_iou_fixed", "val_dice_fixed", "val_iou_opt"),
        *("val_dice_opt", "opt_threshold_f1"),
    ]
    assert history.iloc[-1].notna().all()
    assert history["data_wait_share"][1:].between(0, 1).all()
    assert (history["peak_memory"] > 1e6).all()


def test_train_iou_is_that_of_all_pixels_seen(tmp_path):
    # lr so small that the network stays as it is: what it predicts can be counted afterwards.
    class Bright(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bias = torch.nn.Parameter(torch.zeros(1))

        def forward(self, images):
            return (images.float() - 50) + self.bias

    data = Squares(4)
    config = settings(steps=1, eval_every=1, lr=1e-12)
    history = run_fit("x", Bright(), make_loss("bce"), data, Squares(6), config, tmp_path).history
    images, masks, _ = zip(*(data[0, index] for index in range(4)), strict=True)
    predicted, truth = np.stack(images) >= 50, np.stack(masks) == 1
    assert history["train_iou"][1] == pytest.approx((predicted & truth).sum() / (predicted | truth).sum())


def test_a_val_set_without_defects_is_refused(tmp_path):
    with pytest.raises(TrainingError, match="val_iou_fixed is not defined: no val image has a defect"):
        run_fit("x", TinyNetwork(), make_loss("bce"), Squares(4), Squares(1), settings(steps=1), tmp_path)


def test_fp16_without_a_gpu_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(TrainingError, match="fp16 needs a GPU"):
        fit_module.resolve_precision("fp16")


@pytest.mark.parametrize(("has_bf16", "expected"), [(True, "bf16"), (False, "fp16")])
def test_precision_auto_is_mixed_on_every_gpu(monkeypatch, has_bf16, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: has_bf16)
    assert fit_module.resolve_precision("auto") == expected
    assert fit_module.resolve_precision("fp32") == "fp32"


def test_a_loss_that_is_not_finite_stops_with_step_and_images(tmp_path):
    config = settings(steps=5)
    with pytest.raises(TrainingError, match=r"loss is nan at step 0, dataset indices \["):
        run_fit(
            "x",
            TinyNetwork(),
            lambda logits, masks: logits.sum() * float("nan"),
            Squares(4),
            Squares(3),
            config,
            tmp_path,
        )


def test_weights_that_explode_are_noticed_at_the_evaluation(tmp_path):
    config = settings(steps=5, eval_every=1, optimizer="sgd", lr=1e38, gradient_clip=0)
    with pytest.raises(TrainingError, match=r"the val loss is (nan|inf) at step 1, dataset indices \["):
        train(tmp_path, config)


def test_two_processes_never_train_in_one_folder_and_stale_states_go(tmp_path):
    (tmp_path / "state" / "old").mkdir(parents=True)
    with training_state(tmp_path / "state", "new") as folder:
        assert folder.is_dir()
        assert not (tmp_path / "state" / "old").exists()
        with pytest.raises(TrainingError, match="another process"), training_state(tmp_path / "state", "new"):
            pass
    assert not folder.exists()


def test_the_state_of_a_failed_training_is_not_removed(tmp_path):
    with pytest.raises(KeyboardInterrupt), training_state(tmp_path / "state", "key") as folder:
        raise KeyboardInterrupt
    assert folder.is_dir()


def test_fingerprint_keeps_its_parts_apart():
    assert fingerprint("ab", "c") != fingerprint("a", "bc")
    assert fingerprint("ab", b"c") == fingerprint("ab", "c")


class Falling(fit_module.SegmentationTask):
    """Finds nothing; the validation loss is lowest at step 2."""

    def validation_outputs(self, images, masks, indices):
        _, logits = super().validation_outputs(images, masks, indices)
        return torch.tensor(0.5 + abs(self.global_step - 2)), torch.full_like(logits, -9.0)


def test_while_nothing_is_found_the_lowest_validation_loss_is_best_and_an_improvement(tmp_path):
    config = settings(steps=9, eval_every=1, patience=2)
    result = run_fit("x", TinyNetwork(), make_loss("bce"), Squares(12), Squares(6), config, tmp_path, make_task=Falling)
    assert (result.history["val_iou_fixed"] == 0).all()
    assert result.best_step == 2
    # Early stopping counts from there.
    assert result.steps == 4


def test_the_validation_loss_never_outweighs_the_monitor(tmp_path):
    class Worse(Rising):
        def validation_outputs(self, images, masks, indices):
            return torch.tensor(1e6 * self.global_step), super().validation_outputs(images, masks, indices)[1]

        def on_validation_epoch_end(self):
            fit_module.SegmentationTask.on_validation_epoch_end(self)

    config = settings(steps=24, eval_every=4)
    torch.manual_seed(config.seed)
    result = run_fit("x", TinyNetwork(), make_loss("bce"), Squares(12), Squares(6), config, tmp_path, make_task=Worse)
    assert result.best_step == result.history.loc[result.history["val_iou_fixed"].idxmax(), "step"] > 4


def test_the_history_begins_with_the_untrained_network(tmp_path):
    network, loss, val = TinyNetwork(), make_loss("bce"), Squares(6)
    untrained = deepcopy(network).eval()
    history = run_fit("x", network, loss, Squares(12), val, settings(steps=2, eval_every=2), tmp_path).history
    images, masks, _ = zip(*(val[0, index] for index in range(6)), strict=True)
    with torch.inference_mode():
        logits = untrained(torch.stack(images))
    losses = [loss(logits[part], torch.stack(masks)[part]).item() for part in (slice(4), slice(4, 6))]
    assert history["val_loss"][0] == pytest.approx(np.mean(losses), rel=1e-5)
    assert history["step"].tolist() == [0, 2]
    assert history[["train_loss", "learning_rate"]].iloc[0].isna().all()

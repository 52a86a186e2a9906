"""The training loop: samples, losses, schedule, resume."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from defectbench.config.train_unet import UNetSettings
from defectbench.training import fit as fit_module
from defectbench.training.fit import TrainingError, fingerprint, fit, training_state
from defectbench.training.losses import focal_loss, make_loss
from defectbench.training.sampling import StepBatches
from defectbench.training.task import cosine_with_warmup


@given(st.integers(1, 40), st.integers(1, 16), st.integers(0, 9), st.integers(0, 60))
def test_batches_are_a_function_of_seed_and_step_alone(n_images, batch_size, seed, start):
    through = StepBatches(n_images, batch_size, seed)
    through.n_steps = start + 5
    resumed = StepBatches(n_images, batch_size, seed)
    resumed.start, resumed.n_steps = start, 5
    assert list(through)[start:] == list(resumed)


def test_a_pass_shows_each_image_at_most_once_and_many_passes_show_all():
    batches = StepBatches(10, 4, seed=0)
    batches.n_steps = 40
    seen = [item for batch in batches for item in batch]
    assert len(seen) == len(set(seen))
    assert {index for _, index in seen} == set(range(10))
    assert all(len(batch) == 4 for batch in batches)


def test_fewer_images_than_a_batch_still_train():
    (batch,) = StepBatches(3, 8, seed=0)
    assert sorted(index for _, index in batch) == [0, 1, 2]


def test_schedule_rises_peaks_at_one_and_ends_at_zero():
    factors = [cosine_with_warmup(step, 10, 100) for step in range(101)]
    assert factors[:10] == pytest.approx([(step + 1) / 10 for step in range(10)])
    assert max(factors) == 1
    assert factors[55] == pytest.approx(0.5)
    assert factors[100] == pytest.approx(0)


def test_focal_loss_equals_its_formula():
    logits = torch.tensor([[[[2.0, -1.0], [0.0, 3.0]]]])
    masks = torch.tensor([[[[1.0, 1.0], [0.0, 0.0]]]])
    expected = 0.0
    for logit, truth in zip(logits.flatten().tolist(), masks.flatten().tolist(), strict=True):
        p = 1 / (1 + math.exp(-logit))
        p_true = p if truth else 1 - p
        expected += -((1 - p_true) ** 2) * math.log(p_true) / 4
    assert focal_loss(logits, masks).item() == pytest.approx(expected, rel=1e-5)


def test_dice_bce_equals_its_formula():
    logits = torch.tensor([[[[2.0, -1.0], [0.0, 3.0]]]])
    masks = torch.tensor([[[[1.0, 1.0], [0.0, 0.0]]]])
    p = 1 / (1 + np.exp(-np.array([2.0, -1.0, 0.0, 3.0])))
    t = np.array([1.0, 1.0, 0.0, 0.0])
    tp, fp, fn = (p * t).sum(), (p * (1 - t)).sum(), ((1 - p) * t).sum()
    dice = (tp + 1) / (tp + fp / 2 + fn / 2 + 1)
    bce = -(t * np.log(p) + (1 - t) * np.log(1 - p)).mean()
    assert make_loss("dice_bce")(logits, masks).item() == pytest.approx(1 - dice + bce, rel=1e-5)


@pytest.mark.parametrize("name", ["dice_focal", "dice_bce"])
@pytest.mark.parametrize("fill", [0, 1])
def test_gradients_are_finite_for_empty_and_full_masks(name, fill):
    logits = torch.linspace(-30, 30, 64).reshape(1, 1, 8, 8).requires_grad_()
    make_loss(name)(logits, torch.full((1, 1, 8, 8), fill)).backward()
    assert torch.isfinite(logits.grad).all()


class Squares:
    """Samples of the training loop's form: bright squares are defects; every third image is clean."""

    def __init__(self, n: int, task: str = "merged") -> None:
        self.task, self.n = task, n
        from defectbench.inference.geometry import Geometry

        self.geometry = Geometry.of("native", "native")

    def __len__(self) -> int:
        return self.n

    def true_masks(self, index: int) -> np.ndarray:
        masks = np.zeros((1, 32, 64), np.uint8)
        if index % 3:
            left = 8 * (index % 6)
            masks[0, 8:20, left : left + 12] = 1
        return masks

    def __getitem__(self, item: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor, int]:
        number, index = item
        masks = self.true_masks(index)
        noise = np.random.default_rng((number, index)).integers(0, 60, (1, 32, 64))
        return torch.from_numpy((noise + 150 * masks).astype(np.uint8)), torch.from_numpy(masks), index


def settings(**keys):
    defaults = {"encoder": "resnet18", "lr": 3e-2, "batch_size": 4, "precision": "fp32", "threads": 1, "patience": 50}
    return UNetSettings(**{**defaults, **keys})


class TinyNetwork(torch.nn.Module):
    """Raw images -> logits, in a few hundred parameters, with a BatchNorm whose statistics are state too."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Conv2d(1, 8, 5, padding=2), torch.nn.BatchNorm2d(8), torch.nn.ReLU(), torch.nn.Conv2d(8, 1, 1)
        )

    def forward(self, images):
        return self.layers(images.float() / 255)


def train(folder, chosen):
    torch.manual_seed(chosen.seed)
    return fit("squares", TinyNetwork(), make_loss(chosen.loss), Squares(12), Squares(6), chosen, folder)


def test_the_network_learns_and_the_three_best_checkpoints_are_kept(tmp_path):
    result = train(tmp_path, settings(steps=24, eval_every=4))
    assert result.steps == 24
    assert result.history["val_Dice"].max() > 0.8
    names = sorted(path.name for path in tmp_path.glob("best_step*_iou*_dice*.ckpt"))
    assert len(names) == 3
    best = result.history.loc[result.history["val_mIoU"].idxmax()]
    assert result.best_step == best["step"]
    first, *_, last = result.weights
    assert first.startswith(f"best_step{result.best_step}_iou{best['val_mIoU']:.4f}")
    assert (len(result.weights), last) == (4, "last")


def test_a_step_budget_is_kept_to_the_step_and_ends_with_an_evaluation(tmp_path):
    result = train(tmp_path, settings(steps=7, eval_every=3))
    assert result.history["step"].tolist() == [3, 6, 7]


def test_training_stops_when_the_monitor_no_longer_improves(tmp_path):
    result = train(tmp_path, settings(steps=60, eval_every=1, patience=2, lr=1e-9))
    assert result.steps < 20


def test_an_interrupted_training_ends_as_an_undisturbed_one(tmp_path, monkeypatch):
    chosen = settings(steps=12, eval_every=3)
    undisturbed = train(tmp_path / "a", chosen)

    class PowerLoss(BaseException):
        pass

    def fail_at_step_8(self, batch, batch_idx):
        if self.global_step == 8:
            raise PowerLoss

    with monkeypatch.context() as patch:
        patch.setattr(fit_module.SegmentationTask, "on_train_batch_end", lambda s, o, b, i: fail_at_step_8(s, b, i))
        with pytest.raises(PowerLoss):
            train(tmp_path / "b", chosen)
    resumed = train(tmp_path / "b", chosen)

    exact = ["step", "train_loss", "val_loss", "val_mIoU", "val_Dice", "learning_rate"]
    assert resumed.history[exact].equals(undisturbed.history[exact])
    assert list(resumed.weights) == list(undisturbed.weights)
    for name, values in undisturbed.weights.items():
        assert all(torch.equal(values[key], resumed.weights[name][key]) for key in values)


def test_a_loss_that_is_not_finite_stops_with_step_and_images(tmp_path):
    chosen = settings(steps=5)
    with pytest.raises(TrainingError, match=r"loss is nan at step 0, dataset indices \["):
        fit(
            "x",
            TinyNetwork(),
            lambda logits, masks: logits.sum() * float("nan"),
            Squares(4),
            Squares(3),
            chosen,
            tmp_path,
        )


def test_two_processes_never_train_in_one_folder_and_stale_states_go(tmp_path):
    (tmp_path / "state" / "old").mkdir(parents=True)
    with training_state(tmp_path / "state", "new") as folder:
        assert folder.is_dir()
        assert not (tmp_path / "state" / "old").exists()
        with pytest.raises(TrainingError, match="another process"), training_state(tmp_path / "state", "new"):
            pass
    assert not folder.exists()


def test_the_state_of_a_failed_training_stays(tmp_path):
    with pytest.raises(KeyboardInterrupt), training_state(tmp_path / "state", "key") as folder:
        raise KeyboardInterrupt
    assert folder.is_dir()


def test_fingerprint_keeps_its_parts_apart():
    assert fingerprint("ab", "c") != fingerprint("a", "bc")
    assert fingerprint("ab", b"c") == fingerprint("ab", "c")

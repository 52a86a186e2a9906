"""Exponential moving average of the weights: validated, selected and saved; training continues from the weights.

Lightning's callback for it does not serve here: it leaves the average out of checkpoints of weights alone, and copies
the whole module, frozen encoder and samples included.
"""

from collections.abc import Mapping

import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


def average_decay(step: int, decay: float) -> float:
    """Decay at the update after optimiser step ``step``, counted from 1: min(``decay``, (1 + step) / (10 + step)).

    It rises from 0.18, so that the first weights are soon forgotten; a training of 300 steps ends with 0.97. The
    formula is that of TensorFlow's ExponentialMovingAverage (argument num_updates).
    """
    return min(decay, (1 + step) / (10 + step))


class WeightAverage:
    """Average of the trained parameters of a module, and of its buffers: the statistics of norms belong to weights."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        """With ``decay`` 0 there is no average."""
        self._module, self._decay = module, decay
        self._live: dict[str, torch.Tensor] = {}
        self._average: dict[str, torch.Tensor] = {}

    def start(self, live: Mapping[str, torch.Tensor] | None = None) -> None:
        """Begin with the module's weights.

        With ``live``, of :meth:`live_weights`, a training resumes: the module has the average, and now gets those.
        """
        if not self._decay:
            return
        frozen = {name for name, value in self._module.named_parameters() if not value.requires_grad}
        tensors = {name: value for name, value in self._module.state_dict().items() if name not in frozen}
        # They share their memory with the module's.
        self._live = {name: value for name, value in tensors.items() if value.is_floating_point()}
        self._average = {name: value.clone() for name, value in self._live.items()}
        for name, value in (live or {}).items():
            self._live[name].copy_(value)

    def stop(self) -> None:
        """Forget the average; the module keeps the weights that it has."""
        self._live, self._average = {}, {}

    def update(self, step: int) -> None:
        """Take in the weights after optimiser step ``step``, counted from 1."""
        if self._live:
            update = get_ema_multi_avg_fn(average_decay(step, self._decay))
            update(list(self._average.values()), list(self._live.values()), step)

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange the module's weights and their average."""
        for name, live in self._live.items():
            average = self._average[name].clone()
            self._average[name].copy_(live)
            live.copy_(average)

    def weights(self) -> Mapping[str, torch.Tensor]:
        """The average, by the module's names; empty if there is none."""
        return self._average

    def live_weights(self) -> Mapping[str, torch.Tensor]:
        """The module's own weights of which there is an average."""
        return self._live

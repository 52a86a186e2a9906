"""Products, means and interpolation of probabilities in logits, exact where probabilities round to 0 or 1."""

import math
from collections.abc import Sequence

import torch
from torch.nn import functional
from torch.nn.functional import logsigmoid


def logit_of_product(*logits: torch.Tensor) -> torch.Tensor:
    """Logit of the product of probabilities, σ(a)·σ(b)·…; the shapes are broadcast.

    With log p the sum of the log-sigmoids, it is log p − log(1 − p).
    """
    log_p = sum(logsigmoid(values) for values in logits)
    return log_p - torch.log(-torch.expm1(log_p))


def interpolate_probability(logits: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Logits (B, n, *size) of the probabilities of ``logits`` (B, n, h, w), interpolated bilinearly.

    Both p and 1 - p are interpolated, since one of them alone rounds to 1.
    """
    logits = logits.clamp(-60, 60)  # beyond, sigmoids underflow
    p, q = (
        functional.interpolate(side.sigmoid(), size, mode="bilinear", align_corners=False) for side in (logits, -logits)
    )
    return p.log() - q.log()


def logit_of_mean(logits: Sequence[torch.Tensor]) -> torch.Tensor:
    """Logit of the mean of the probabilities of tensors of one shape."""
    stacked = torch.stack(list(logits))
    if len(stacked) == 1:
        return stacked[0]
    log_n = math.log(len(stacked))
    log_p, log_q = (torch.logsumexp(logsigmoid(values), dim=0) - log_n for values in (stacked, -stacked))
    return log_p - log_q

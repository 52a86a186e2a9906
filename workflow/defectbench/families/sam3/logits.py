"""Products and means of probabilities in logits: differentiable, and exact where probabilities round to 0 or 1."""

import math
from collections.abc import Sequence

import torch
from torch.nn.functional import logsigmoid


def logit_of_product(*logits: torch.Tensor) -> torch.Tensor:
    """Logit of the product of probabilities, σ(a)·σ(b)·…; the shapes are broadcast.

    With log p the sum of the log-sigmoids, it is log p − log(1 − p).
    """
    log_p = sum(logsigmoid(values) for values in logits)
    return log_p - torch.log(-torch.expm1(log_p))


def logit_of_mean(logits: Sequence[torch.Tensor]) -> torch.Tensor:
    """Logit of the mean of the probabilities of tensors of one shape."""
    stacked = torch.stack(list(logits))
    if len(stacked) == 1:
        return stacked[0]
    log_n = math.log(len(stacked))
    log_p, log_q = (torch.logsumexp(logsigmoid(values), dim=0) - log_n for values in (stacked, -stacked))
    return log_p - log_q

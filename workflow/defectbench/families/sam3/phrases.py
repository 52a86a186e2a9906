"""From phrases to the tokens that SAM 3's text encoder reads."""

from collections.abc import Sequence

import torch
from tokenizers import Tokenizer
from tokenizers.pre_tokenizers import ByteLevel
from transformers import CLIPTokenizer

from defectbench.script import UserError

LENGTH = 32
"""Tokens of a phrase, padded: the text encoder was trained with that many."""

_START, _END = "<|startoftext|>", "<|endoftext|>"


class PhraseError(UserError):
    """A phrase that the text encoder cannot read."""


def letter_tokenizer() -> CLIPTokenizer:
    """CLIP's tokenizer before any pair of bytes was merged: a token per letter, 514 in all.

    Those are the 256 bytes, the same at the end of a word, start and end. For tiny networks: it needs no download.
    """
    letters = sorted(ByteLevel.alphabet())
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), _START, _END]
    return CLIPTokenizer(vocab={token: number for number, token in enumerate(tokens)}, merges=[])


def stored(tokenizer: CLIPTokenizer) -> str:
    """``tokenizer`` as JSON, set to pad as ``Sam3Processor`` does, and to cut nothing off."""
    backend = tokenizer.backend_tokenizer
    backend.enable_padding(length=LENGTH, pad_id=tokenizer.pad_token_id, pad_token=tokenizer.pad_token)
    backend.no_truncation()
    return backend.to_str()


def tokens(tokenizer: str, phrases: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor]:
    """Tokens of P ``phrases`` and whether each is one or padding, both (P, LENGTH), int64.

    Raises:
        PhraseError: if a phrase is too long; it is not cut off.
    """
    encoded = Tokenizer.from_str(tokenizer).encode_batch(list(phrases))
    for phrase, found in zip(phrases, encoded, strict=True):
        if len(found.ids) > LENGTH:
            raise PhraseError(
                f"phrases: {phrase!r} has {len(found.ids)} tokens, and SAM 3 reads at most {LENGTH}, start and end "
                "included: shorten it"
            )
    ids, valid = ([getattr(found, name) for found in encoded] for name in ("ids", "attention_mask"))
    return torch.tensor(ids), torch.tensor(valid)

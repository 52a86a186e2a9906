"""Tokens of phrases for SAM 3's text encoder."""

from collections.abc import Sequence

import torch
from tokenizers import Tokenizer
from tokenizers.pre_tokenizers import ByteLevel
from transformers import CLIPTokenizer

from defectbench.script import UserError

LENGTH = 32
"""Tokens of a padded phrase: the text encoder was trained with this many."""

_START, _END = "<|startoftext|>", "<|endoftext|>"


class PhraseError(UserError):
    """A phrase that the text encoder cannot read."""


def letter_tokenizer() -> CLIPTokenizer:
    """CLIP's tokenizer without any merges: a token per letter, 514 in all; for tiny networks, without a download.

    These are the 256 bytes, the same at the end of a word, and the start and end tokens.
    """
    letters = sorted(ByteLevel.alphabet())
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), _START, _END]
    return CLIPTokenizer(vocab={token: number for number, token in enumerate(tokens)}, merges=[])


def serialize_tokenizer(tokenizer: CLIPTokenizer) -> str:
    """``tokenizer`` as JSON, with the padding of ``Sam3Processor`` and without truncation."""
    backend = tokenizer.backend_tokenizer
    backend.enable_padding(length=LENGTH, pad_id=tokenizer.pad_token_id, pad_token=tokenizer.pad_token)
    backend.no_truncation()
    return backend.to_str()


def tokenize(tokenizer: str, phrases: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and attention mask of P ``phrases``, both (P, LENGTH), int64; ``tokenizer`` is JSON.

    Raises:
        PhraseError: if a phrase is too long; it is not truncated.
    """
    encodings = Tokenizer.from_str(tokenizer).encode_batch(list(phrases))
    for phrase, encoding in zip(phrases, encodings, strict=True):
        if len(encoding.ids) > LENGTH:
            raise PhraseError(
                f"phrases: {phrase!r} has {len(encoding.ids)} tokens, and SAM 3 reads at most {LENGTH}, start and end "
                "included: shorten it"
            )
    ids, valid = ([getattr(encoding, name) for encoding in encodings] for name in ("ids", "attention_mask"))
    return torch.tensor(ids), torch.tensor(valid)

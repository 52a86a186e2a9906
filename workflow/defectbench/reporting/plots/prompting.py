"""Promptable models and the sources of their prompts."""

from collections.abc import Mapping, Sequence

from defectbench.config.prompts import track_of
from defectbench.reporting.records import Record

METRIC = "test_Dice"
"""The metric that the automatic and the oracle track share"""


def group_by_segmenter(records: Sequence[Record]) -> dict[str, list[Record]]:
    """Experiments by the id of the prompted model: another experiment's, or their own."""
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(record.row["segmenter"] or record.exp_id, []).append(record)
    return groups


def describe_prompts(record: Record, names: Mapping[str, str]) -> str:
    """Kind and source of the prompts in words; ``names`` maps ids of experiments to short names.

    A detector is not among them: it has the name in the configuration or, without one, the beginning of its id.
    """
    kind, source, name = (record.row[key] for key in ("prompt_type", "prompt_source", "prompt_source_name"))
    made_by = names.get(source, name if name != source else source.partition("_none_")[0].replace("_", " "))
    return f"{kind} by {'the truth' if is_oracle(record) else made_by}"


def is_oracle(record: Record) -> bool:
    """Whether the true masks make the prompts of an experiment."""
    return track_of(record.row["prompt_source"]) == "oracle"

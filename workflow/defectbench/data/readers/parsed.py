"""Validation of the parts of foreign files that readers need."""

from typing import Annotated, Any, TypeVar

import yaml
from pydantic import BaseModel, Field, ValidationError

T = TypeVar("T")
Many = Annotated[list[T], Field(fail_fast=True)]
"""A list in a label file. The first item that is wrong ends the reading: errors take far more memory than items."""
MOST_YAML = 2**20
"""Characters of a YAML text, of which each may take a kilobyte when it is read; class names take far fewer."""
MOST_DEPTH = 50
"""Lists and mappings of a YAML text that may be in each other: PyYAML crashes where they are too many."""


class Parsed(BaseModel):
    """A part of a label file; keys that are not described are ignored."""


def describe_error(error: ValueError) -> str:
    """The first problem of ``error`` with its place in the file."""
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors(include_url=False)[0]
    where = ".".join(map(str, first["loc"]))
    return f"{where}: {first['msg']}" if where else first["msg"]


def parse_yaml(text: str) -> Any:
    """What a YAML text holds, with every scalar as the text that stands there: ``no`` is a name, not a truth value.

    Nothing is merged, so that a few lines cannot become a large tree.

    Raises:
        yaml.YAMLError: if it is damaged, longer than MOST_YAML or deeper than MOST_DEPTH.
    """
    if len(text) > MOST_YAML:
        raise yaml.YAMLError(f"has {len(text):,} characters; {MOST_YAML:,} are the most that are read")
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CBaseLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MOST_DEPTH:
            raise yaml.YAMLError(f"is nested more than {MOST_DEPTH} deep")
    return yaml.load(text, Loader=yaml.CBaseLoader)

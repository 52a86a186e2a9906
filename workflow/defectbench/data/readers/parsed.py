"""Validation of the parts of foreign files that readers need."""

from pydantic import BaseModel, ValidationError


class Parsed(BaseModel):
    """A part of a label file; keys that are not described are ignored."""


def describe_error(error: ValidationError) -> str:
    """The first problem of ``error`` with its place in the file."""
    first = error.errors(include_url=False)[0]
    where = ".".join(map(str, first["loc"]))
    return f"{where}: {first['msg']}" if where else first["msg"]

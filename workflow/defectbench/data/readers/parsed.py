"""Foreign files checked against a description of the parts that readers need."""

from pydantic import BaseModel, ValidationError


class Parsed(BaseModel):
    """A part of a label file; keys that are not described are ignored."""


def what_is_wrong(error: ValidationError) -> str:
    """The first problem of ``error``: where in the file it is, and what."""
    first = error.errors(include_url=False)[0]
    where = ".".join(map(str, first["loc"]))
    return f"{where}: {first['msg']}" if where else first["msg"]

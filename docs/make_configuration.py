"""Write docs/configuration.md, the reference of all configuration keys, from the settings classes."""

import inspect
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from defectbench.config.base import Settings
from defectbench.config.experiment import ExperimentKeys
from defectbench.config.families.registry import FAMILIES
from defectbench.config.ingest import FORMATS
from defectbench.config.study import SECTIONS

HEAD = """\
# Configuration

Made by `python docs/make_configuration.py` from the settings classes in `workflow/defectbench/config/`; a test fails if
it is out of date. A study is one YAML file with the keys `study` (its name), `dataset`, `experiments` and, if the
defaults do not fit, the other sections below. `defaults` holds keys of experiments, for all that know them; in an
experiment, a list of values is a grid. `searched` holds what a [search](checkpoints.md#searching-settings) found for
entries by their names; it is written by the search, as a second configuration file.

The budget is `images_seen`, the same for all trained families; an entry may state it as `epochs` or `steps` instead,
which takes the place of the one in `defaults` ([training modes](training_modes.md#budget)).
"""


def reference() -> str:
    """The whole page as Markdown."""
    parts = [HEAD]
    for name, model in FORMATS.items():
        parts.append(section(f"dataset, with format: {name}", model))
    for name, model in SECTIONS.items():
        parts.append(section(name, model))
    parts.append(section("experiments: keys of every entry", ExperimentKeys))
    for name, model in FAMILIES.items():
        parts.append(section(f"experiments of the {name} family", model))
    return "\n".join(parts)


def section(title: str, model: type[Settings]) -> str:
    """One table: a row per key."""
    rows = [
        f"| `{name}` | {allowed(field)} | {default(field)} | {field.description or ''} |"
        for name, field in fields(model)
    ]
    summary = inspect.getdoc(model)
    return "\n".join([f"## {title}", "", summary, "", "| key | value | default | |", "|---|---|---|---|", *rows, ""])


def fields(model: type[Settings], prefix: str = "") -> list[tuple[str, FieldInfo]]:
    """Keys of ``model`` with those of the groups inside it, as dotted paths."""
    found = []
    for key, field in model.model_fields.items():
        name = field.alias or key
        inner = [leaf for leaf in leaves(field.annotation) if isinstance(leaf, type) and issubclass(leaf, Settings)]
        found += [(prefix + name, field)]
        for group in inner:
            found += fields(group, f"{prefix}{name}.")
    return found


def leaves(annotation: Any) -> list[Any]:
    """The plain types inside an annotation."""
    if get_origin(annotation) in (None, Literal):
        return [annotation]
    if get_origin(annotation) is Annotated:
        return leaves(get_args(annotation)[0])
    return [leaf for argument in get_args(annotation) if argument is not ... for leaf in leaves(argument)]


def allowed(field: FieldInfo) -> str:
    """Allowed values of a key, in words."""
    values = []
    for leaf in leaves(field.annotation):
        if get_origin(leaf) is Literal:
            values += [f"`{value}`" for value in get_args(leaf)]
        elif leaf is type(None):
            values.append("`null`")
        elif isinstance(leaf, type) and issubclass(leaf, Settings):
            values.append("group")
        else:
            values.append(getattr(leaf, "__name__", str(leaf)))
    bounds = [
        f"{sign} {getattr(rule, name):g}" for rule in field.metadata for name, sign in BOUNDS if hasattr(rule, name)
    ]
    return ", ".join(dict.fromkeys(values)) + (f" ({', '.join(bounds)})" if bounds else "")


BOUNDS = (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<"))


def default(field: FieldInfo) -> str:
    """Default of a key; 'required' if it has none."""
    if field.default is PydanticUndefined:
        return "required"
    if isinstance(field.default, Settings):
        name = field.default.model_dump(mode="json")
        return f"`{name}`" if isinstance(name, str) else "as below"
    if isinstance(field.default, tuple):
        return f"`{list(field.default)}`"
    return f"`{field.default}`" if field.default is not None else "`null`"


if __name__ == "__main__":
    (Path(__file__).parent / "configuration.md").write_text(reference(), encoding="utf-8")

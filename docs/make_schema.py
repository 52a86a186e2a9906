"""Write config/schema.json, the JSON schema of a study for editors, from the settings classes."""

import inspect
import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from defectbench.config.dataset import NAME
from defectbench.config.experiment import ExperimentKeys
from defectbench.config.families.registry import FAMILIES, model_names
from defectbench.config.ingest import FORMATS
from defectbench.config.searched import Searched
from defectbench.config.study import SECTIONS

Schema = dict[str, Any]

WIDTH = 120
NO_GRID = ("name",)
"""Keys of an experiment whose value cannot be a list of alternatives."""
NO_DEFAULT = ("name",)
"""Keys of an experiment that the section ``defaults`` cannot have."""


def study_schema() -> Schema:
    """JSON schema of a whole study."""
    models: list[type[BaseModel]] = [
        *(*FORMATS.values(), *SECTIONS.values(), *FAMILIES.values()),
        *(ExperimentKeys, Searched),
    ]
    _, generated = models_json_schema([(model, "validation") for model in models], by_alias=True)
    definitions: dict[str, Schema] = _without_titles(generated["$defs"])
    common = definitions.pop(ExperimentKeys.__name__)["properties"]
    families = {name: common | definitions.pop(model.__name__)["properties"] for name, model in FAMILIES.items()}
    grids, keys = _grids(families)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "DefectBench study",
        "description": "Made by `python docs/make_schema.py` from the settings classes",
        "type": "object",
        "additionalProperties": False,
        "required": ["dataset", "experiments"],
        "properties": {
            "study": {"type": "string", "pattern": NAME, "default": "study", "description": "Name below results/"},
            "dataset": {
                "type": "object",
                "required": ["format"],
                "properties": {"format": {"enum": list(FORMATS)}},
                "allOf": [
                    _if("format", {"const": name}, _reference(model.__name__)) for name, model in FORMATS.items()
                ],
            },
            **{name: {"anyOf": [_reference(model.__name__), {"type": "null"}]} for name, model in SECTIONS.items()},
            "defaults": {
                "type": ["object", "null"],
                "description": "Keys of all experiments whose family has them, unless the experiment has its own",
                "additionalProperties": False,
                "properties": _defaults(families),
            },
            "experiments": {"type": "array", "items": _reference("experiment")},
            "searched": {
                "type": ["object", "null"],
                "description": "Name of an entry -> what a search found for it; in place of its own values",
                "additionalProperties": _reference(Searched.__name__),
            },
        },
        "$defs": {"experiment": _experiment(grids), **keys, **definitions},
    }


def _grids(families: dict[str, dict[str, Schema]]) -> tuple[dict[str, dict[str, Schema]], dict[str, Schema]]:
    """Keys of each family's experiments as references, and what these refer to: a value, or a list of alternatives."""
    definitions: dict[str, Schema] = {}
    references: dict[str, dict[str, Schema]] = {}
    for family, properties in families.items():
        references[family] = {}
        for key, value in properties.items():
            schema = value if key in NO_GRID else _or_list(value)
            name = key if definitions.get(key, schema) == schema else f"{family}.{key}"
            definitions[name] = schema
            references[family][key] = _reference(name)
    return references, definitions


def _experiment(families: dict[str, dict[str, Schema]]) -> Schema:
    """An entry of ``experiments``: its keys follow from ``model``."""
    models = {family: list(model_names(family)) for family in families}
    return {
        "type": "object",
        "required": ["model"],
        "properties": {"model": _or_list({"enum": [name for names in models.values() for name in names]})},
        # The keys of a grid over models of several families.
        "propertyNames": {"enum": sorted(set().union(*families.values()))},
        "allOf": [
            _if(
                "model",
                _or_list({"enum": models[family]}),
                {
                    "description": inspect.getdoc(FAMILIES[family]),
                    "additionalProperties": False,
                    "properties": properties,
                },
            )
            for family, properties in families.items()
        ],
    }


def _defaults(families: dict[str, dict[str, Schema]]) -> dict[str, Schema]:
    """Keys of all families; one that differs between them may have the values of any."""
    alternatives: dict[str, list[Schema]] = {}
    for properties in families.values():
        for key, schema in properties.items():
            schemas = alternatives.setdefault(key, [])
            if key not in (*NO_DEFAULT, "model") and schema not in schemas:
                schemas.append(schema)
    return {
        key: schemas[0] if len(schemas) == 1 else {"anyOf": schemas} for key, schemas in alternatives.items() if schemas
    }


def _if(key: str, value: Schema, schema: Schema) -> Schema:
    """``schema`` where ``key`` is there and fits ``value``."""
    return {"if": {"required": [key], "properties": {key: value}}, "then": schema}


def _or_list(schema: Schema) -> Schema:
    """``schema``, or a list of alternatives; description and default stay outside, where editors show them."""
    shown = {key: value for key, value in schema.items() if key in ("description", "default")}
    value = {key: part for key, part in schema.items() if key not in shown}
    return {**shown, "anyOf": [value, {"type": "array", "minItems": 1, "items": value}]}


def _reference(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


def _without_titles(schema: Any) -> Any:
    """``schema`` without the titles that pydantic derives from the keys; a key called title is no title."""
    if isinstance(schema, list):
        return [_without_titles(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: _without_titles(value) for key, value in schema.items() if key != "title" or not isinstance(value, str)
    }


def as_text(value: Any, indent: int = 0) -> str:
    """``value`` as JSON in which every list and group that fits into a line is one."""
    line = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, dict | list) or indent + len(line) < WIDTH:
        return line
    parts = (
        [(f"{json.dumps(key)}: ", part) for key, part in value.items()]
        if isinstance(value, dict)
        else [("", part) for part in value]
    )
    lines = ",\n".join(" " * (indent + 2) + key + as_text(part, indent + 2) for key, part in parts)
    first, last = "{}" if isinstance(value, dict) else "[]"
    return f"{first}\n{lines}\n{' ' * indent}{last}"


if __name__ == "__main__":
    (Path(__file__).parents[1] / "config" / "schema.json").write_text(as_text(study_schema()) + "\n", encoding="utf-8")

"""JSON Schemas of the settings files, for editors: made from the model, so that they cannot say anything else. Pure.

A schema knows keys, types and forms. Rules between settings are beyond it; `kaniko-driver validate` knows them all.
"""

from __future__ import annotations

import types
from dataclasses import MISSING, fields
from typing import Annotated, Any, Literal, get_args, get_origin

from executor.settings.catalogue import plain
from executor.settings.declare import Form, Range
from executor.settings.load import VERSION
from executor.settings.model import Driver, Tenant
from executor.settings.reader import hints_of, is_table, optional
from executor.settings.units import BYTES_FORM, CPU_FORM, DURATION_FORM, Bytes, Cpu, Duration, Pattern

_DIALECT = "http://json-schema.org/draft-07/schema#"
"""The newest one that editors with TOML support understand."""
_PLAIN: dict[Any, dict[str, Any]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    bool: {"type": "boolean"},
    Any: {},
    Bytes: {"type": "string", "pattern": f"^(?:{BYTES_FORM})$"},
    Cpu: {"type": "string", "pattern": f"^(?:{CPU_FORM})$"},
    Duration: {"type": "string", "pattern": f"^(?:{DURATION_FORM})$"},
    Pattern: {"type": "string", "format": "regex", "minLength": 1},
}


def tenant_schema() -> dict[str, Any]:
    """Make the schema of tenants/NAME.toml."""
    return _document("A tenant of kaniko-driver", _table(Tenant, required=False))


def driver_schema() -> dict[str, Any]:
    """Make the schema of driver.toml."""
    schema = _table(Driver, required=False)
    defaults = _table(Tenant, required=False)
    defaults["description"] = "Tables of tenant files, for all tenants; a tenant's own value wins."
    schema["properties"]["defaults"] = defaults
    return _document("Settings of kaniko-driver for one runner host", schema)


def _document(title: str, schema: dict[str, Any]) -> dict[str, Any]:
    schema["properties"] = {
        "version": {"const": VERSION, "description": "Version of the settings' form."},
        **schema["properties"],
    }
    return {"$schema": _DIALECT, "title": title, **schema, "required": ["version"]}


def _table(model: type, *, required: bool) -> dict[str, Any]:
    """Describe a table; `required` where a missing key cannot come from another layer."""
    hints = hints_of(model)
    properties = {}
    for field in fields(model):
        if field.name == "name" and model is Tenant:
            continue
        schema = _type(hints[field.name], required=required)
        if what := field.metadata.get("what"):
            schema = schema | {"description": what}
        default = field.default_factory() if field.default_factory is not MISSING else field.default
        if default is not MISSING and default is not None and not is_table(hints[field.name]):
            schema = schema | {"default": plain(default)}
        properties[field.name] = schema
    description = " ".join((model.__doc__ or "").split())
    schema = {"type": "object", "description": description, "additionalProperties": False, "properties": properties}
    needed = [field.name for field in fields(model) if field.default is MISSING and field.default_factory is MISSING]
    return schema | ({"required": needed} if required and needed else {})


def _type(hint: Any, *, required: bool) -> dict[str, Any]:
    inner = optional(hint)
    origin, arguments = get_origin(inner), get_args(inner)
    if is_table(inner):
        # An optional table stands inside an entry of a list, where no other layer fills it up.
        return _table(inner, required=required or isinstance(hint, types.UnionType))
    if origin is Annotated:
        return _annotated(arguments)
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin is tuple:
        return {"type": "array", "items": _type(arguments[0], required=True)}
    if origin is dict:
        keys, values = _type(arguments[0], required=True), _type(arguments[1], required=True)
        own = {} if keys == _PLAIN[str] else {"propertyNames": keys}
        return {"type": "object", **own, "additionalProperties": values or True}
    return dict(_PLAIN[inner])


def _annotated(arguments: tuple[Any, ...]) -> dict[str, Any]:
    schema = dict(_PLAIN[arguments[0]])
    for form in arguments[1:]:
        if isinstance(form, Form):
            schema["pattern"] = f"^(?:{form.pattern})$"
        elif isinstance(form, Range):
            schema |= {"minimum": form.low, "maximum": form.high}
    return schema

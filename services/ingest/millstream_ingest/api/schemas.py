"""JSON Schemas of what crosses the API, made of the very types that are decoded and encoded.

They are written so that generators of clients read them alike: docs/adr/0028-document-for-generators.md has the rules.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, get_type_hints

import msgspec
from msgspec import Meta, Struct, inspect

from millstream_contracts import (
    Batch,
    BatchEvent,
    BatchSubmission,
    NodeName,
    NodeSubmission,
    ScheduleDefinition,
    Submission,
    TemplateDefinition,
    WorkflowSubmission,
    limits,
)
from millstream_ingest.api.descriptions import MODELS
from millstream_ingest.api.portable_schemas import REF_TEMPLATE, Schema, component_name, portable, without_null

_ALWAYS_SENT: Mapping[str, frozenset[str]] = {"Problem": frozenset({"detail"})}
"""Fields that have a default and are never left out all the same."""


def schemas_of(models: Iterable[Any]) -> tuple[dict[Any, Schema], dict[str, Schema]]:
    """Return the schema of each model, and the components that these refer to."""
    wanted = list(dict.fromkeys(models))
    shapes = [_SHAPES.get(model, model) for model in wanted]
    found, components = msgspec.json.schema_components(shapes, ref_template=REF_TEMPLATE)
    structs = {_title(info.cls): info for shape in shapes for info in _structs(inspect.type_info(shape))}
    written = {
        component_name(name): _component(component_name(name), schema, structs.get(schema.get("title", "")))
        for name, schema in components.items()
    }
    return {model: portable(schema) for model, schema in zip(wanted, found, strict=True)}, written


def _component(name: str, schema: Schema, info: inspect.StructType | None) -> Schema:
    """Return a component; `info` describes it where it is an object, and no enumeration."""
    model = MODELS[name]
    if info is None:
        return {**portable(schema), "description": model.text}
    is_request = info.forbid_unknown_fields
    written = portable(schema, is_request=is_request)
    required = list(schema["required"])
    if not is_request:
        omits = getattr(info.cls, "__origin__", info.cls).__struct_config__.omit_defaults
        required = [field.encode_name for field in info.fields if field.required or not omits or _is_sent(name, field)]
    for field in info.fields:
        shown = written["properties"][field.encode_name]
        if _holds_moment(field.type):
            shown["format"] = "date-time"
        if not is_request and field.encode_name not in required:
            shown = without_null(shown)
        written["properties"][field.encode_name] = {**shown, "description": model.fields[field.encode_name]}
    return {**written, "description": model.text, "required": required}


def _is_sent(name: str, field: inspect.Field) -> bool:
    return field.encode_name in _ALWAYS_SENT.get(name, ())


def _structs(info: inspect.Type) -> Iterator[inspect.StructType]:
    """Yield the Structs that a type is made of, itself included. None of them contains itself."""
    match info:
        case inspect.StructType():
            yield info
            for field in info.fields:
                yield from _structs(field.type)
        case inspect.Metadata():
            yield from _structs(info.type)
        case inspect.UnionType():
            for member in info.types:
                yield from _structs(member)
        case inspect.ListType():
            yield from _structs(info.item_type)
        case inspect.DictType():
            yield from _structs(info.value_type)


def _holds_moment(info: inspect.Type) -> bool:
    match info:
        case inspect.Metadata():
            return _holds_moment(info.type)
        case inspect.UnionType():
            return any(_holds_moment(member) for member in info.types)
    return isinstance(info, inspect.DateTimeType)


def _title(cls: Any) -> str:
    """Return the title that msgspec gives the schema of a class."""
    arguments = ", ".join(argument.__name__ for argument in getattr(cls, "__args__", ()))
    return f"{cls.__name__}[{arguments}]" if arguments else str(cls.__name__)


def _shape_of(model: type[Struct], types: dict[str, Any], *more: tuple[str, Any, Any]) -> type[Struct]:
    """Return a model with other types for some optional fields, which are null when left out, and with more fields.

    msgspec can make no schema of an undecoded default.
    """
    hints = get_type_hints(model, include_extras=True) | types
    fields = [
        (field.encode_name, hints[field.name])
        if field.required
        else (field.encode_name, hints[field.name], None if field.name in types else field.default)
        for field in msgspec.structs.fields(model)
    ]
    return msgspec.defstruct(model.__name__, [*fields, *more], kw_only=True, forbid_unknown_fields=True)


def _batch_shape(item: type[Struct]) -> type[Struct]:
    jobs = Annotated[list[item], Meta(min_length=1, max_length=limits.MAX_BATCH_JOBS)]  # type: ignore[valid-type]
    return msgspec.defstruct("Batch", [("jobs", jobs)], forbid_unknown_fields=True)


def _batch_submission_shape(item: type[Struct]) -> type[Struct]:
    jobs = Annotated[list[item], Meta(min_length=1, max_length=limits.MAX_BATCH_JOBS)] | None  # type: ignore[valid-type]
    callbacks = {event.value: item | None for event in BatchEvent}
    return _shape_of(BatchSubmission, {"jobs": jobs, **callbacks})


def _workflow_shape() -> type[Struct]:
    node = _shape_of(NodeSubmission, {"payload": Any, "map": Any})
    nodes = Annotated[dict[NodeName, node], Meta(min_length=1, max_length=limits.MAX_WORKFLOW_NODES)]  # type: ignore[valid-type]
    return _shape_of(WorkflowSubmission, {"nodes": nodes, "result": Any})


# Submission itself has no such field: one that names a template is filled up before it is decoded.
_TEMPLATE = ("template", Annotated[str, Meta(min_length=1, max_length=128)] | None, None)
_SUBMISSION = _shape_of(Submission, {"payload": Any}, _TEMPLATE)
_SHAPES: Mapping[Any, Any] = {
    Submission: _SUBMISSION,
    Batch: _batch_shape(_SUBMISSION),
    BatchSubmission: _batch_submission_shape(_SUBMISSION),
    ScheduleDefinition: _shape_of(ScheduleDefinition, {"job": _SUBMISSION, "paused": bool | None}),
    TemplateDefinition: _shape_of(TemplateDefinition, {"payload": Any}),
    WorkflowSubmission: _workflow_shape(),
}

"""Forms made of JSON Schemas: one field for each property of an object, JSON for what is nested."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from django import forms
from django.utils.translation import gettext_lazy as _

from django_durably import values
from django_durably.exceptions import ValidationError

WHOLE: Final = "whole"
"""The name of the one field of an input that is no object with known properties."""
PREFIX: Final = "input"
_LONG: Final = 200


class JSONText(forms.CharField):
    """JSON in a text area; its value is what the JSON says. `shows_text`: it was sent by a form."""

    shows_text = False
    widget = forms.Textarea(attrs={"rows": 6, "class": "durably-code", "spellcheck": "false"})

    def prepare_value(self, value: Any) -> Any:
        if value is None or (isinstance(value, str) and self.shows_text):
            return value or ""
        return json.dumps(value, indent=2, ensure_ascii=False)

    def to_python(self, value: Any) -> Any:
        if value in self.empty_values:
            return None
        try:
            return values.decode(value, "JSON")
        except ValidationError as error:
            raise forms.ValidationError(str(error)) from error


class Chosen(forms.TypedChoiceField):
    """One of the values of an enum, which may be numbers: its keys are JSON."""

    shows_text = False

    def prepare_value(self, value: Any) -> Any:
        if value is None or self.shows_text:
            return value or ""
        return json.dumps(value)


class SchemaForm(forms.Form):
    """The input of a job. `value()` is the JSON that was entered, as far as the form can tell.

    What pydantic says about it afterwards is put beside the fields by `show_errors`.
    """

    def __init__(self, schema: Mapping[str, Any], data: Any = None) -> None:
        super().__init__(data, prefix=PREFIX, use_required_attribute=False)
        self._definitions = schema.get("$defs", {})
        schema = self._resolved(schema)
        self._properties = properties(schema)
        self._required = set(schema.get("required", ()))
        if self._properties is None:
            self.fields[WHOLE] = JSONText(label=_("Input (JSON)"), required=False)
        for name, part in (self._properties or {}).items():
            self.fields[name] = self._field(name, part)
        for field in self.fields.values():
            if isinstance(field, JSONText | Chosen):
                field.shows_text = self.is_bound

    @property
    def is_whole(self) -> bool:
        return self._properties is None

    def _resolved(self, part: Mapping[str, Any]) -> Mapping[str, Any]:
        reference = str(part.get("$ref", ""))
        if reference.startswith("#/$defs/"):
            found = self._definitions.get(reference.removeprefix("#/$defs/"), {})
            return {**found, **{k: v for k, v in part.items() if k != "$ref"}}
        return part

    def _field(self, name: str, part: Mapping[str, Any]) -> forms.Field:
        part = self._resolved(part)
        kind = self._resolved(_without_null(part))
        field = _make(kind)
        field.label = str(part.get("title") or kind.get("title") or name)
        field.help_text = str(part.get("description") or kind.get("description") or "")
        # A checkbox is False when it is empty, and the job says what else may be.
        field.required = name in self._required and not isinstance(
            field, forms.BooleanField | JSONText
        )
        if isinstance(field, forms.CharField) and not isinstance(field, JSONText):
            field.required = False
        if "default" in part:
            field.initial = part["default"]
        return field

    def value(self) -> Any:
        """What was entered: what is empty and not needed is left out, and gets its default."""
        if self._properties is None:
            return self.cleaned_data.get(WHOLE)
        found = {name: self._entered(name) for name in self._properties}
        return {name: value for name, value in found.items() if value is not None}

    def _entered(self, name: str) -> Any:
        value = self.cleaned_data.get(name)
        if value in ("", None):
            is_text = isinstance(self.fields[name], forms.CharField)
            needed = name in self._required and is_text
            return "" if needed and not isinstance(self.fields[name], JSONText) else None
        return value

    def show_errors(self, error: ValidationError) -> None:
        """Put what validation said beside the fields that it is about."""
        cause = error.__cause__
        details: Callable[..., Any] | None = getattr(cause, "errors", None)
        if details is None:
            self.add_error(None, str(error))
            return
        for detail in details(include_url=False, include_context=False, include_input=False):
            place = [str(part) for part in detail["loc"]]
            name = place[0] if place and place[0] in self.fields else None
            inside = ".".join(place[1:] if name else place)
            self.add_error(name, f"{inside}: {detail['msg']}" if inside else detail["msg"])


def properties(schema: Mapping[str, Any]) -> dict[str, Any] | None:
    """The properties of an object, {} for nothing at all; None for what needs JSON as a whole."""
    kind = schema.get("type")
    if kind == ["object", "null"] and schema.get("maxProperties") == 0:
        return {}
    if kind != "object" or not isinstance(schema.get("properties", {}), dict):
        return None
    found = dict(schema.get("properties", {}))
    return found if found or not schema.get("additionalProperties") else None


def initial_of(form: SchemaForm, value: Any) -> dict[str, Any]:
    """The initial values of the fields for an input that exists."""
    if form.is_whole:
        return {WHOLE: value}
    return dict(value) if isinstance(value, dict) else {}


def _without_null(part: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema of what may also be null."""
    options = [each for each in part.get("anyOf", ()) if each.get("type") != "null"]
    if len(options) == 1:
        return {**part, **options[0], "anyOf": ()}
    return part


def _make(kind: Mapping[str, Any]) -> forms.Field:
    if "const" in kind:
        kind = {**kind, "enum": [kind["const"]]}
    if "enum" in kind:
        return _choice(kind["enum"])
    if kind.get("anyOf") or kind.get("oneOf") or not isinstance(kind.get("type"), str):
        return JSONText()
    make = _TYPES.get(kind["type"])
    return JSONText() if make is None else make(kind)


def _choice(options: list[Any]) -> forms.Field:
    choices = [("", "---"), *((json.dumps(option), str(option)) for option in options)]
    return Chosen(choices=choices, coerce=json.loads, empty_value=None)


def _text(kind: Mapping[str, Any]) -> forms.Field:
    inputs = {"date": "date", "date-time": "datetime-local", "email": "email", "uri": "url"}
    if kind.get("format") == "date-time":
        # Its zone would be lost in the browser's own control.
        return forms.CharField(
            widget=forms.TextInput(attrs={"placeholder": "2026-01-31T12:00:00Z"})
        )
    if "format" not in kind and "pattern" not in kind and kind.get("maxLength", _LONG) > _LONG:
        return forms.CharField(strip=False, widget=forms.Textarea(attrs={"rows": 4}))
    kind_of_input = inputs.get(str(kind.get("format")), "text")
    return forms.CharField(strip=False, widget=forms.TextInput(attrs={"type": kind_of_input}))


def _integer(kind: Mapping[str, Any]) -> forms.Field:
    return forms.IntegerField(min_value=kind.get("minimum"), max_value=kind.get("maximum"))


def _decimal(kind: Mapping[str, Any]) -> forms.Field:
    field = forms.FloatField(min_value=kind.get("minimum"), max_value=kind.get("maximum"))
    field.widget.attrs["step"] = "any"
    return field


_TYPES: Final[dict[str, Callable[[Mapping[str, Any]], forms.Field]]] = {
    "string": _text,
    "integer": _integer,
    "number": _decimal,
    "boolean": lambda kind: forms.BooleanField(),
}

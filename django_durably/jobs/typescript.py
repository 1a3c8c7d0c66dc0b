"""The types of all jobs as TypeScript, for ``createDurably<Jobs>()`` of `@coji/durably-react`.

Made of each job's JSON Schemas. Objects become type aliases: TypeScript does not take interfaces
for the `Record<string, unknown>` that the client package asks of inputs and outputs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from django_durably.jobs.definition import Definition

_PLAIN: Final = {
    "string": "string",
    "integer": "number",
    "number": "number",
    "boolean": "boolean",
    "null": "null",
}
_IDENTIFIER: Final = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*")
_WORDS: Final = re.compile(r"[A-Za-z0-9]+")
_RESERVED: Final = (
    *("Job", "Jobs", "ClientRun", "Run", "RunStatus", "JobDefinition", "Durably"),
    *("Array", "Promise", "Record"),
)
"""What the module declares or uses itself."""
_REFERENCE: Final = re.compile(r'"#/\$defs/([^"]+)"')
_LONGEST_TUPLE: Final = 8

_HEAD: Final = """\
/* eslint-disable */
// Written by `manage.py durably_types`. Do not edit: write it again when jobs change.
//
//     import { createDurably } from '@coji/durably-react'
//     import type { Jobs } from '{module}'
//     const durably = createDurably<Jobs>({ api: '/api/durably' })
//
// The client package takes some types from `@coji/durably`, which this site has no use for. They
// are at the end of this file: tell TypeScript in the `compilerOptions` of tsconfig.json.
//
//     "paths": { "@coji/durably": ["{path}"] }
"""

_TAIL: Final = """\
/** What `createDurably` finds out a job's input and output by. */
type Job<TInput, TOutput> = {
  trigger: {
    (input: unknown): Promise<{ output?: TOutput }>
    (input: TInput): Promise<{ output?: TOutput }>
  }
}

// What the client package imports from `@coji/durably`. Where TypeScript finds no such module, the
// client would take any input for any job; the import of RunStatus makes that an error.

export type RunStatus = 'pending' | 'leased' | 'completed' | 'failed' | 'cancelled'

export type ClientRun = {
  id: string
  jobName: string
  status: import('@coji/durably').RunStatus
  input: unknown
  output: unknown
  error: string | null
  currentStepIndex: number
  completedStepCount: number
  progress: { current: number; total?: number; message?: string } | null
  labels: Record<string, string>
  startedAt: string | null
  completedAt: string | null
  createdAt: string
  isTerminal: boolean
  isActive: boolean
}

export type Run = ClientRun

export interface JobDefinition<TName extends string, TInput, TOutput> {
  readonly name: TName
  readonly run: (step: never, input: TInput) => Promise<TOutput>
}

export interface Durably<TJobs = unknown, TLabels = unknown> {
  readonly jobs: TJobs
  readonly labels?: TLabels
}
"""


def module(jobs: Iterable[Definition], file_name: str = "jobs.ts") -> str:
    """The text of a TypeScript module with a type for each input and output, and `Jobs`.

    `file_name` is only for the instructions at its head.
    """
    names = _Names()
    types: list[str] = []
    table = []
    for job in sorted(jobs, key=lambda job: job.name):
        input_name = names.take(f"{_pascal_case(job.name)}Input")
        output_name = names.take(f"{_pascal_case(job.name)}Output")
        types += _declarations(input_name, job.input.json_schema(), names)
        types += _declarations(output_name, job.output.json_schema(), names)
        table.append(f"  {_key(job.name)}: Job<{input_name}, {output_name}>")
    stem = file_name.removesuffix(".ts").removesuffix(".d")
    head = _HEAD.replace("{module}", f"./{stem}").replace("{path}", f"./src/{file_name}")
    return "\n".join([head, *types, "export type Jobs = {", *table, "}\n", _TAIL])


class _Names:
    """The names of the types in one module: no two types have the same."""

    def __init__(self) -> None:
        self._texts: dict[str, str | None] = dict.fromkeys(_RESERVED)

    def take(self, wanted: str) -> str:
        """A name that nothing else has: as wanted, or with a number."""
        return self.share(wanted, None)[0]

    def share(self, wanted: str, text: str | None) -> tuple[str, bool]:
        """A name for the definition with this text, and whether it is new: equal ones share it."""
        name, number = wanted, 1
        while name in self._texts:
            if text is not None and self._texts[name] == text:
                return name, False
            number += 1
            name = f"{wanted}_{number}"
        self._texts[name] = text
        return name, True


def _declarations(name: str, schema: Mapping[str, Any], names: _Names) -> list[str]:
    """The type of this schema, after those of all that it defines."""
    definitions = schema.get("$defs", {})
    shared = {
        each: names.share(_pascal_case(each), _meaning(each, definitions)) for each in definitions
    }
    writer = _Writer({each: taken for each, (taken, _) in shared.items()})
    fresh = [(taken, each) for each, (taken, is_new) in shared.items() if is_new]
    return [
        *(writer.declare(taken, definitions[each]) for taken, each in fresh),
        writer.declare(name, schema),
    ]


def _meaning(name: str, definitions: Mapping[str, Any]) -> str:
    """A definition with all that it refers to: equal texts are equal types."""
    reached, left = {}, [name]
    while left:
        each = left.pop()
        reached[each] = text = json.dumps(definitions[each], sort_keys=True)
        left += set(_REFERENCE.findall(text)) - reached.keys()
    return json.dumps([name, reached], sort_keys=True)


@dataclass(frozen=True)
class _Writer:
    """Schemas as types, with the names of the definitions that they refer to."""

    references: Mapping[str, str]

    def declare(self, name: str, schema: Mapping[str, Any]) -> str:
        return f"{_comment(schema, '')}export type {name} = {self.type(schema)}\n"

    def type(self, schema: Any, indent: str = "") -> str:
        """The type of whatever this schema allows."""
        if not isinstance(schema, Mapping):
            return "never" if schema is False else "unknown"
        if schema.get("maxProperties") == 0:
            return "Record<string, never>"
        if "$ref" in schema:
            return self.references[schema["$ref"].removeprefix("#/$defs/")]
        if "const" in schema:
            return _literal(schema["const"])
        if "enum" in schema:
            return _union(map(_literal, schema["enum"]))
        for keyword in ("anyOf", "oneOf"):
            if keyword in schema:
                return _union(self.type(each, indent) for each in schema[keyword])
        if "allOf" in schema:
            return " & ".join(_grouped(self.type(each, indent)) for each in schema["allOf"])
        return self._by_kind(schema, indent)

    def _by_kind(self, schema: Mapping[str, Any], indent: str) -> str:
        kind = schema.get("type")
        if isinstance(kind, list):
            return _union(self.type({**schema, "type": each}, indent) for each in kind)
        if kind == "array":
            return self._array(schema, indent)
        if kind == "object" or "properties" in schema:
            return self._object(schema, indent)
        return _PLAIN.get(kind or "", "unknown")

    def _array(self, schema: Mapping[str, Any], indent: str) -> str:
        if "prefixItems" in schema:
            return f"[{', '.join(self.type(each, indent) for each in schema['prefixItems'])}]"
        item = self.type(schema.get("items", True), indent)
        count = schema.get("minItems")
        if count is not None and count == schema.get("maxItems") and count <= _LONGEST_TUPLE:
            return f"[{', '.join([item] * count)}]"
        return f"{_grouped(item)}[]"

    def _object(self, schema: Mapping[str, Any], indent: str) -> str:
        properties = schema.get("properties", {})
        if not properties:
            others = schema.get("additionalProperties", True)
            return f"Record<string, {self.type(others, indent)}>"
        inner = indent + "  "
        required = schema.get("required", ())
        lines = [
            f"{_comment(each, inner)}{inner}{_key(name)}{'' if name in required else '?'}: "
            f"{self.type(each, inner)}"
            for name, each in properties.items()
        ]
        # Named properties must fit the type of the others, which only `unknown` ensures.
        if schema.get("additionalProperties", False) is not False:
            lines.append(f"{inner}[key: string]: unknown")
        return "\n".join(["{", *lines, indent + "}"])


def _comment(schema: Any, indent: str) -> str:
    if not isinstance(schema, Mapping) or not schema.get("description"):
        return ""
    words = " ".join(schema["description"].split()).replace("*/", "* /")
    return f"{indent}/** {words} */\n"


def _union(types: Iterable[str]) -> str:
    return " | ".join(dict.fromkeys(types))


def _grouped(type: str) -> str:
    return f"({type})" if " | " in type or " & " in type else type


def _key(name: str) -> str:
    return name if _IDENTIFIER.fullmatch(name) else _literal(name)


def _literal(value: Any) -> str:
    text = json.dumps(value)
    if not isinstance(value, str):
        return text
    return "'" + text[1:-1].replace('\\"', '"').replace("'", "\\'") + "'"


def _pascal_case(name: str) -> str:
    words = _WORDS.findall(name)
    text = "".join(word[0].upper() + word[1:] for word in words)
    return text if text[:1].isalpha() else f"Job{text}"

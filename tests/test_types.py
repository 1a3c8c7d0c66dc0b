"""`manage.py durably_types`, and what TypeScript makes of its file with the real client package."""

import json
import re
from collections.abc import Callable
from enum import Enum
from io import StringIO
from pathlib import Path
from typing import Any, Literal

import pytest
from django.core.management import CommandError, call_command
from pydantic import BaseModel, ConfigDict, Field, computed_field

from django_durably.jobs import typescript
from django_durably.jobs.definition import Definition
from tests.support import frontend

SITE_FILE = frontend.FOLDER / "src" / "jobs.ts"

needs_node = pytest.mark.skipif(bool(frontend.missing()), reason=frontend.missing())


class Colour(Enum):
    RED = "red"
    BLUE = "it's blue"


class Address(BaseModel):
    """Where somebody lives.   */ not the end"""

    street: str
    lines: list[str | None] = []


class Tree(BaseModel):
    leaf: int
    children: list["Tree"] = []


class Order(BaseModel):
    model_config = ConfigDict(extra="allow")

    id: int
    ship_to: Address
    colour: Colour = Colour.RED
    kind: Literal["a", 1, None] = None
    weights: dict[str, float] = {}
    point: tuple[int, str] = (0, "")
    anything: Any = None
    odd_name: str = Field("", alias="odd-name", description="With a dash")


def order(step: Any, input: Order) -> Address:
    return input.ship_to


def grow(step: Any, input: Tree) -> list[Tree]:
    return input.children


def tick(step: Any) -> None:
    pass


def loose(step: Any, input) -> dict[str, Any]:  # type: ignore[no-untyped-def]
    return {"input": input}


def text_of(*functions: Callable[..., Any], **named: Callable[..., Any]) -> str:
    jobs = [Definition.from_function(function) for function in functions]
    jobs += [Definition.from_function(function, name) for name, function in named.items()]
    return typescript.module(jobs)


def declaration(name: str, text: str) -> str:
    start = text.index(f"export type {name} = ") + len(f"export type {name} = ")
    return text[start : text.index("\n\n", start)]


class TestText:
    def test_an_input_with_all_kinds_of_fields(self) -> None:
        assert declaration("OrderInput", text_of(order)).splitlines() == [
            "{",
            "  id: number",
            "  ship_to: Address",
            "  colour?: Colour",
            "  kind?: 'a' | 1 | null",
            "  weights?: Record<string, number>",
            "  point?: [number, string]",
            "  anything?: unknown",
            "  /** With a dash */",
            "  'odd-name'?: string",
            "  [key: string]: unknown",
            "}",
        ]

    def test_an_output_has_what_its_model_computes(self) -> None:
        class Circle(BaseModel):
            radius: float

            @computed_field  # type: ignore[prop-decorator]
            @property
            def area(self) -> float:
                return 3 * self.radius**2

        def draw(step: Any, input: Circle) -> Circle:
            return input

        text = text_of(draw)
        assert declaration("DrawInput", text) == "{\n  radius: number\n}"
        assert declaration("DrawOutput", text) == "{\n  radius: number\n  area: number\n}"

    def test_texts_are_quoted_and_comments_cannot_be_left(self) -> None:
        text = text_of(order)
        assert declaration("Colour", text) == r"'red' | 'it\'s blue'"
        assert "/** Where somebody lives. * / not the end */" in text

    def test_types_that_hold_themselves(self) -> None:
        text = text_of(grow)
        assert declaration("GrowInput", text) == "Tree"
        assert declaration("Tree", text) == "{\n  leaf: number\n  children?: Tree[]\n}"
        assert declaration("GrowOutput", text) == "Tree[]"

    def test_no_input_and_any_input(self) -> None:
        text = text_of(tick, loose)
        assert declaration("TickInput", text) == "Record<string, never>"
        assert declaration("TickOutput", text) == "null"
        assert declaration("LooseInput", text) == "unknown"
        assert declaration("LooseOutput", text) == "Record<string, unknown>"

    def test_jobs_share_equal_types_and_keep_different_ones_apart(self) -> None:
        def other(step: Any, input: Order) -> None:
            pass

        text = text_of(order, other)
        assert text.count("export type Address =") == text.count("export type Colour =") == 1
        assert "Address_2" not in text

    def test_names_of_jobs_become_names_of_types(self) -> None:
        text = text_of(**{"send mail/now": tick, "2nd": tick, "été": tick, "job": tick})
        table = text[text.index("export type Jobs = {") :].splitlines()[1:5]
        assert table == [
            "  '2nd': Job<Job2ndInput, Job2ndOutput>",
            "  job: Job<JobInput, JobOutput>",
            "  'send mail/now': Job<SendMailNowInput, SendMailNowOutput>",
            r"  '\u00e9t\u00e9': Job<TInput, TOutput>",
        ]

    def test_a_model_named_like_a_type_of_the_file(self) -> None:
        class Run(BaseModel):
            nested: Address

        class Holder(BaseModel):
            run: Run

        def hold(step: Any, input: Holder) -> None:
            pass

        text = text_of(hold)
        assert declaration("Run_2", text) == "{\n  nested: Address\n}"
        assert declaration("HoldInput", text) == "{\n  run: Run_2\n}"


class TestCommand:
    def test_the_file_of_the_example_is_up_to_date(self) -> None:
        from example_project.airports.jobs import check_airports, import_airports, nearest_airports

        jobs = (check_airports, import_airports, nearest_airports)
        assert SITE_FILE.read_text() == typescript.module([job.definition for job in jobs])

    def test_writes_every_job(self, tmp_path: Path) -> None:
        path = tmp_path / "types.ts"
        call_command("durably_types", "--output", path)
        assert (
            "'import-airports': Job<ImportAirportsInput, ImportAirportsOutput>" in path.read_text()
        )
        assert "from './types'" in path.read_text()
        assert '["./src/types.ts"]' in path.read_text()

    def test_writes_to_standard_output(self, tmp_path: Path) -> None:
        path, output = tmp_path / "jobs.ts", StringIO()
        call_command("durably_types", "--output", path)
        call_command("durably_types", stdout=output)
        assert output.getvalue() == path.read_text()

    def test_check_fails_when_the_file_is_old_or_not_there(self, tmp_path: Path) -> None:
        path = tmp_path / "jobs.ts"
        with pytest.raises(CommandError, match="is not up to date"):
            call_command("durably_types", "--output", path, "--check")
        call_command("durably_types", "--output", path)
        call_command("durably_types", "--output", path, "--check")
        path.write_text(path.read_text() + "\n")
        with pytest.raises(CommandError, match="is not up to date"):
            call_command("durably_types", "--output", path, "--check")
        with pytest.raises(CommandError, match="needs --output"):
            call_command("durably_types", "--check")


USE = """
import { createDurably } from '@coji/durably-react'
import type { Jobs, OrderOutput } from './jobs'

const durably = createDurably<Jobs>({ api: '/api/durably' })

export function use() {
  const { trigger, output } = durably.order.useJob()
  void trigger({ id: 1, ship_to: { street: 'Main Street' }, colour: "it's blue", more: [1] })
  void durably.tick.useJob().trigger({})
  void durably.grow.useJob().trigger({ leaf: 1, children: [{ leaf: 2 }] })
  const street: string | undefined = output?.street
  const run = durably.order.useRun('some-id')
  const same: OrderOutput | null = run.output
  const status: 'pending' | 'leased' | 'completed' | 'failed' | 'cancelled' | undefined =
    durably.useRuns().runs[0]?.status
  return [street, same, status]
}
"""
WRONG = {
    "void durably.order.useJob().trigger({ id: 1 })": "ship_to",
    "void durably.grow.useJob().trigger({ leaf: 1, leaves: 2 })": "leaves",
    "void durably.grow.useJob().trigger({ leaf: 'one' })": "number",
    "void durably.tick.useJob().trigger({ now: true })": "never",
    "export const town = durably.order.useJob().output?.town": "town",
    "export const missing = durably.missing": "missing",
    "export const state = durably.useRuns().runs[0]?.state": "state",
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder of a front end that has the client package and the types of these jobs."""
    frontend.install()
    (tmp_path / "node_modules").symlink_to(frontend.PACKAGES)
    (tmp_path / "jobs.ts").write_text(text_of(order, grow, tick, loose))
    return tmp_path


def errors_of(project: Path, source: str, **options: Any) -> list[str]:
    """The errors that the TypeScript compiler finds."""
    (project / "use.ts").write_text(source)
    settings = {
        "strict": True,
        "noEmit": True,
        "target": "es2022",
        "module": "esnext",
        "moduleResolution": "bundler",
        "lib": ["es2022", "dom"],
        "types": [],
        "paths": {"@coji/durably": ["./jobs.ts"]},
        **options,
    }
    tsconfig = {"compilerOptions": settings, "files": ["use.ts"]}
    (project / "tsconfig.json").write_text(json.dumps(tsconfig))
    # The reasons for an error are below it, indented.
    found = frontend.type_errors(project)
    return re.split(r"\n(?! )", found.strip()) if found else []


@needs_node
class TestCompiler:
    def test_right_use_compiles(self, project: Path) -> None:
        assert errors_of(project, USE) == []

    def test_each_wrong_use_is_an_error_that_names_what_is_wrong(self, project: Path) -> None:
        lines = [*USE.splitlines(), *WRONG]
        errors = errors_of(project, "\n".join(lines))
        assert len(errors) == len(WRONG)
        for error, (wrong, culprit) in zip(errors, WRONG.items(), strict=True):
            assert error.startswith(f"use.ts({lines.index(wrong) + 1},")
            assert culprit in error

    def test_without_the_types_of_the_core_package_nothing_is_silently_untyped(
        self, project: Path
    ) -> None:
        errors = errors_of(project, USE, paths={}, skipLibCheck=True)
        (error,) = [error for error in errors if error.startswith("jobs.ts")]
        assert "'@coji/durably'" in error

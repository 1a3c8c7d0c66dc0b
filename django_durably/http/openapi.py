"""The API in OpenAPI 3.1, as plain dictionaries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from django_durably import __version__, fields, labels, parameters
from django_durably.models import RunStatus

Json = dict[str, Any]

_TEXT: Final[Json] = {"type": "string"}
_TEXT_OR_NULL: Final[Json] = {"type": ["string", "null"]}
_TIME: Final[Json] = {"type": "string", "format": "date-time"}
_TIME_OR_NULL: Final[Json] = {"type": ["string", "null"], "format": "date-time"}
_COUNT: Final[Json] = {"type": "integer", "minimum": 0}
_ANYTHING: Final[Json] = {}
_RUN_ID: Final[Json] = {"type": "string", "format": "uuid"}
_KEY: Final[Json] = {"type": ["string", "null"], "minLength": 1, "maxLength": fields.KEY_LENGTH}
_LABELS: Final[Json] = {
    "type": "object",
    "additionalProperties": {"type": "string", "maxLength": labels.MAX_VALUE_LENGTH},
    "propertyNames": {"pattern": rf"^[A-Za-z0-9_./-]{{1,{labels.MAX_KEY_LENGTH}}}$"},
    "maxProperties": labels.MAX_LABELS,
}

_ERRORS: Final = {
    400: "Something in the request is wrong; the message names it.",
    401: "Not authenticated.",
    403: "Not permitted, or a request from another site's page.",
    404: "There is no such run or job, or the caller may not see it.",
    409: "The run's state, or another run with its key, forbids it.",
    413: "The body is too large.",
    501: "The server speaks WSGI, which has no streams.",
}
_ALWAYS: Final = (401, 403)


def document(base_path: str = "/") -> Json:
    """The document for an API that is mounted at this path."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "django-durably",
            "version": __version__,
            "description": "Durable background jobs: trigger runs, follow them, and end them.",
        },
        "servers": [{"url": base_path or "/"}],
        "paths": PATHS,
        "components": {"schemas": SCHEMAS},
    }


def _object(properties: Json, optional: tuple[str, ...] = (), **more: Any) -> Json:
    return {
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name not in optional],
        **more,
    }


def _closed(properties: Json, optional: tuple[str, ...] = ()) -> Json:
    return _object(properties, optional, additionalProperties=False)


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _list_of(name: str) -> Json:
    return {"type": "array", "items": _ref(name)}


def _query(name: str, description: str, schema: Json, **more: Any) -> Json:
    return {"name": name, "in": "query", "description": description, "schema": schema, **more}


def _operation(
    id: str,
    summary: str,
    answer: Json,
    *parameters: Json,
    errors: tuple[int, ...] = (),
    body: Json | None = None,
    media_type: str = "application/json",
) -> Json:
    operation: Json = {
        "operationId": id,
        "summary": summary,
        "parameters": list(parameters),
        "responses": {
            "200": {"description": "OK", "content": {media_type: {"schema": answer}}},
            **{str(status): _error(status) for status in sorted({*errors, *_ALWAYS})},
        },
    }
    if body is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": body}},
        }
    return operation


def _error(status: int) -> Json:
    content = {"application/json": {"schema": _ref("Error")}}
    return {"description": _ERRORS[status], "content": content}


SCHEMAS: Final[Mapping[str, Json]] = {
    "Error": _closed({"error": _TEXT}),
    "Success": _closed({"success": {"const": True}}),
    "Progress": _closed(
        {"current": {"type": "number"}, "total": {"type": "number"}, "message": _TEXT},
        optional=("total", "message"),
    ),
    "Run": _closed(
        {
            "id": _RUN_ID,
            "jobName": _TEXT,
            "status": {"enum": RunStatus.values},
            "input": _ANYTHING,
            "output": {"description": "null until the run is completed"},
            "error": _TEXT_OR_NULL,
            "currentStepIndex": _COUNT,
            "completedStepCount": _COUNT,
            "progress": {"anyOf": [_ref("Progress"), {"type": "null"}]},
            "labels": {"type": "object", "additionalProperties": _TEXT},
            "startedAt": _TIME_OR_NULL,
            "completedAt": _TIME_OR_NULL,
            "createdAt": _TIME,
            "isTerminal": {"type": "boolean"},
            "isActive": {"type": "boolean"},
        }
    ),
    "Step": _closed(
        {
            "id": _TEXT,
            "runId": _RUN_ID,
            "name": _TEXT,
            "index": _COUNT,
            "attempt": {"type": "integer", "minimum": 1},
            "status": {"enum": ["completed", "failed", "cancelled"]},
            "output": _ANYTHING,
            "error": _TEXT_OR_NULL,
            "startedAt": _TIME,
            "completedAt": _TIME_OR_NULL,
        }
    ),
    "LogEntry": _closed(
        {
            "id": _TEXT,
            "runId": _RUN_ID,
            "stepName": _TEXT_OR_NULL,
            "level": {"enum": ["info", "warn", "error"]},
            "message": _TEXT,
            "data": _ANYTHING,
            "timestamp": _TIME,
        }
    ),
    "Job": _closed(
        {"name": _TEXT, "inputSchema": {"type": "object"}, "outputSchema": {"type": "object"}}
    ),
    "Trigger": _object(
        {
            "jobName": {"type": "string", "minLength": 1},
            "input": {"description": "What the job's input schema says; see /jobs."},
            "idempotencyKey": _KEY,
            "concurrencyKey": _KEY,
            "coalesce": {
                "enum": ["skip", None],
                "description": "Take the waiting run of the concurrency key, if there is one.",
            },
            "labels": {"anyOf": [_LABELS, {"type": "null"}]},
        },
        optional=("input", "idempotencyKey", "concurrencyKey", "coalesce", "labels"),
    ),
    "Triggered": _closed(
        {"runId": _RUN_ID, "disposition": {"enum": ["created", "idempotent", "coalesced"]}}
    ),
    "Retriggered": _closed({"success": {"const": True}, "runId": _RUN_ID}),
    "Reasons": _closed({"reasons": {"type": "array", "items": _TEXT}}),
    "Description": _object({"openapi": _TEXT, "info": _ANYTHING, "paths": _ANYTHING}),
}

_RUN: Final = _query("runId", "The run's id.", {"type": "string", "minLength": 1}, required=True)
_JOB_NAMES: Final = _query(
    "jobName", "Runs of any of these jobs.", {"type": "array", "items": _TEXT}
)
_STATUSES: Final = _query(
    "status",
    "Runs in any of these statuses.",
    {"type": "array", "items": {"enum": RunStatus.values}},
)
_LABEL_FILTERS: Final = _query(
    "label",
    "Runs with all these labels: `label.KEY=VALUE`.",
    {
        "type": "object",
        "patternProperties": {
            rf"^label\.[A-Za-z0-9_./-]{{1,{labels.MAX_KEY_LENGTH}}}$": {
                "type": "string",
                "maxLength": labels.MAX_VALUE_LENGTH,
            }
        },
        "additionalProperties": False,
    },
    style="form",
    explode=True,
)
_LIMIT: Final = _query(
    "limit",
    f"At most so many; more than {parameters.MAX_LIMIT} means {parameters.MAX_LIMIT}.",
    {**_COUNT, "default": parameters.DEFAULT_LIMIT},
)
_OFFSET: Final = _query("offset", "Leave out the first so many.", {**_COUNT, "default": 0})
_AFTER: Final = _query("after", "Only entries after the one of this id.", {**_COUNT, "default": 0})
_LAST_EVENT: Final[Json] = {
    "name": "Last-Event-ID",
    "in": "header",
    "description": "The id of the last event that came: the stream goes on after it.",
    "schema": _TEXT,
}
_LAST_EVENT_QUERY: Final = _query(
    "lastEventId", "The same, for a client that cannot set headers; the header wins.", _TEXT
)
_STREAM: Final = "text/event-stream"

PATHS: Final[Mapping[str, Json]] = {
    "/trigger": {
        "post": _operation(
            "trigger",
            "Ask for a run of a job",
            _ref("Triggered"),
            errors=(400, 404, 409, 413),
            body=_ref("Trigger"),
        )
    },
    "/runs": {
        "get": _operation(
            "listRuns",
            "Runs, newest first",
            _list_of("Run"),
            _JOB_NAMES,
            _STATUSES,
            _LABEL_FILTERS,
            _LIMIT,
            _OFFSET,
            errors=(400,),
        )
    },
    "/run": {
        "get": _operation("getRun", "One run", _ref("Run"), _RUN, errors=(400, 404)),
        "delete": _operation(
            "deleteRun",
            "Delete a terminal run with its steps and logs",
            _ref("Success"),
            _RUN,
            errors=(400, 404, 409),
        ),
    },
    "/steps": {
        "get": _operation(
            "listSteps", "A run's steps, in order", _list_of("Step"), _RUN, errors=(400, 404)
        )
    },
    "/logs": {
        "get": _operation(
            "listLogs",
            "A run's log, oldest first",
            _list_of("LogEntry"),
            _RUN,
            _AFTER,
            _LIMIT,
            errors=(400, 404),
        )
    },
    "/why": {
        "get": _operation(
            "explainRun",
            "Why an active run is not executing",
            _ref("Reasons"),
            _RUN,
            errors=(400, 404),
        )
    },
    "/retrigger": {
        "post": _operation(
            "retriggerRun",
            "A fresh run like this terminal one",
            _ref("Retriggered"),
            _RUN,
            errors=(400, 404, 409),
        )
    },
    "/cancel": {
        "post": _operation(
            "cancelRun", "Cancel an active run", _ref("Success"), _RUN, errors=(400, 404, 409)
        )
    },
    "/jobs": {
        "get": _operation("listJobs", "The jobs that the caller may trigger", _list_of("Job"))
    },
    "/subscribe": {
        "get": _operation(
            "subscribeRun",
            "The events of one run, as they happen",
            _TEXT,
            _RUN,
            _LAST_EVENT,
            _LAST_EVENT_QUERY,
            errors=(400, 404, 501),
            media_type=_STREAM,
        )
    },
    "/runs/subscribe": {
        "get": _operation(
            "subscribeRuns",
            "The events of all matching runs, as they happen",
            _TEXT,
            _JOB_NAMES,
            _LABEL_FILTERS,
            _LAST_EVENT,
            _LAST_EVENT_QUERY,
            errors=(400, 501),
            media_type=_STREAM,
        )
    },
    "/openapi.json": {"get": _operation("describe", "This document", _ref("Description"))},
}

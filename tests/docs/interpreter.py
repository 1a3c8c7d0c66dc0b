"""Executes blocks of Python one after the other in one namespace, as `manage.py shell` would.

Started by the tests in the folder of a project: reads one JSON object per line, answers with one.
A block may await at its top level.
"""

import ast
import asyncio
import inspect
import io
import json
import os
import sys
import traceback
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any


def main() -> None:
    sys.path.insert(0, str(Path.cwd()))
    import django

    django.setup()
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps(execute(request["code"], request["place"], namespace)), file=answers)
        answers.flush()


def execute(code: str, place: str, namespace: dict[str, Any]) -> dict[str, str]:
    printed, error = io.StringIO(), ""
    with redirect_stdout(printed):
        try:
            compiled = compile(code, place, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            result = eval(compiled, namespace)
            if inspect.iscoroutine(result):
                asyncio.run(result)
        except Exception:
            error = traceback.format_exc()
    return {"printed": printed.getvalue(), "error": error}


if __name__ == "__main__":
    main()

"""The benchmark runs; how fast is for `make bench` to say."""

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.support import databases

ROOT = Path(__file__).resolve().parents[2]
SMALL = ["--quick", "--scale", "0.01", "--repeats", "1", "--history", "40"]
FIGURES = ["limit", "triggers", "runs.one", "latency", "history"]


@pytest.mark.process
def test_it_measures_prints_and_writes(tmp_path: Path) -> None:
    only = [word for name in FIGURES for word in ("--only", name)]
    where = ["--database", databases.chosen(), "--out", str(tmp_path)]
    command = [sys.executable, "-m", "benchmarks", *SMALL, *only, *where]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert "triggers/s, a commit each" in done.stdout
    assert "with 40 finished runs in the tables:" in done.stdout
    result = json.loads((tmp_path / "results.json").read_text())
    measured = result["databases"][databases.chosen()]
    assert measured["samples"]["runs.one"][0] > 0
    assert set(measured["history"]) == {"4", "40"}
    assert len(measured["history"]["40"]["latency"]) == result["plan"]["latencies"]
    for name in ("latency", "runs-over-history"):
        assert ElementTree.parse(tmp_path / f"{name}.svg").getroot().tag.endswith("svg")

"""A progress bar: one line that is drawn again in a terminal, a line per tenth elsewhere."""

import shutil
import sys
from typing import TextIO


class ProgressBar:
    def __init__(self, output: TextIO = sys.stdout) -> None:
        self._output = output
        self._live = output.isatty()
        self._tenths = -1

    def draw(self, current: int, total: int, message: str = "") -> None:
        text = f"{current:>6,} of {total:,}  {message}"
        if self._live:
            self._redraw(current / total, text)
        elif current * 10 // total > self._tenths:
            self._tenths = current * 10 // total
            print(f"  {current / total:4.0%}  {text}", file=self._output, flush=True)

    def close(self) -> None:
        """Leave the line as it is, and go on below it."""
        if self._live:
            print(file=self._output, flush=True)

    def _redraw(self, share: float, text: str) -> None:
        width = max(10, min(40, shutil.get_terminal_size().columns - len(text) - 6))
        full = round(share * width)
        line = f"  {'█' * full}{'░' * (width - full)}  {text}"
        print(f"\r\x1b[K{line}", end="", file=self._output, flush=True)

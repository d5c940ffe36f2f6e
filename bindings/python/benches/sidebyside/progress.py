"""One line on a terminal that says what is being done."""

from __future__ import annotations

import shutil
import sys


class Progress:
    """Writes to stderr, and only if somebody sees it there."""

    def __init__(self) -> None:
        """Nothing is shown yet."""
        self._shown = sys.stderr.isatty()
        self.prefix = ""

    def __call__(self, text: str) -> None:
        """Shows a text in the place of the last one."""
        if self._shown:
            width = shutil.get_terminal_size().columns - 1
            sys.stderr.write(f"\r\x1b[K{f'{self.prefix}{text}'[:width]}")
            sys.stderr.flush()

    def clear(self) -> None:
        """Leaves an empty line."""
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()

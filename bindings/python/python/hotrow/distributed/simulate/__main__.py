"""`python -m hotrow.distributed.simulate --help`."""

from __future__ import annotations

from collections.abc import Sequence

from hotrow.distributed.simulate.options import parse
from hotrow.distributed.simulate.plot import draw
from hotrow.distributed.simulate.report import report
from hotrow.distributed.simulate.sweep import sweep


def main(arguments: Sequence[str] | None = None) -> None:
    """Predicts, prints, and draws if that is asked for."""
    options = parse(arguments)
    try:
        found = sweep(options)
    except ValueError as error:
        raise SystemExit(f"no such plan: {error}") from None
    print(report(options, found))
    if options.plot is not None:
        draw(options, found, options.plot)


if __name__ == "__main__":
    main()

#!/usr/bin/env python
"""hotrow side by side with NumPy, PyTorch, FBGEMM, TensorFlow and JAX. `peers.py --help` shows how."""

from __future__ import annotations

import sys
import warnings

from sidebyside import arguments, limits


def main() -> int:
    """Runs what the command line asks for."""
    options = arguments.parse()
    # Before anything is imported that reads these settings.
    limits.set_threads(options.threads)
    warnings.filterwarnings("ignore")
    from sidebyside import run

    return run.run(options)


if __name__ == "__main__":
    sys.exit(main())

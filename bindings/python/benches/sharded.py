#!/usr/bin/env python
"""Tables over several processes: what that costs, what is sent, and TorchRec. `sharded.py --help` shows how."""

from __future__ import annotations

import sys

from acrossranks import arguments, run

if __name__ == "__main__":
    sys.exit(run.run(arguments.parse()))

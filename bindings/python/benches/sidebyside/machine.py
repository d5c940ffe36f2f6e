"""What a run was made on."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

import hotrow


def describe() -> dict[str, str]:
    """The machine in words."""
    return {
        "cpu": _cpu(),
        "cores": f"{len(os.sched_getaffinity(0))} of {os.cpu_count()}",
        "caches": _caches(),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}, {platform.libc_ver()[0]} {platform.libc_ver()[1]}",
        "huge_pages": _huge_pages(),
        "level": hotrow.level(),
        "python": platform.python_version(),
        "commit": _commit(),
    }


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def _cpu() -> str:
    for line in _read("/proc/cpuinfo").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def _caches() -> str:
    sizes = []
    for cache in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        if _read(f"{cache}/type") != "Instruction":
            sizes.append(f"L{_read(f'{cache}/level')} {_read(f'{cache}/size')}")
    return ", ".join(sizes)


def _huge_pages() -> str:
    """The setting between brackets."""
    text = _read("/sys/kernel/mm/transparent_hugepage/enabled")
    return text.partition("[")[2].partition("]")[0] or text


def _commit() -> str:
    """Of the source next to this file, if it is there with its history."""
    try:
        here = Path(__file__).parent
        known = subprocess.run(
            ["git", "describe", "--always", "--dirty"], cwd=here, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return known.stdout.strip()


def shown(found: dict[str, str]) -> list[str]:
    """What `describe` has found, for people."""
    return [
        f"{found['cpu']}; cores {found['cores']}; {found['caches']}; {found['memory']}",
        f"{found['system']}, huge pages {found['huge_pages']}; Python {found['python']}",
    ]

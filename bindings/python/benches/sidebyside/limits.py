"""The same number of threads for every library.

Most read it when they are imported, each in its own way; this is called before. The process is also held to so many
cores, which binds those that offer no setting.
"""

from __future__ import annotations

import os


def set_threads(count: int) -> None:
    """Sets what the environment can say, and the cores."""
    number = str(count)
    for name in (
        "OMP_NUM_THREADS",
        "MKL_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "TF_NUM_INTRAOP_THREADS",
        "TF_NUM_INTEROP_THREADS",
        "NPROC",
    ):
        os.environ[name] = number
    multi = "true" if count > 1 else "false"
    os.environ["XLA_FLAGS"] = f"--xla_cpu_multi_thread_eigen={multi} intra_op_parallelism_threads={number}"
    # Only the CPU is measured; and the libraries' greetings are not part of the report.
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    os.environ["JAX_PLATFORMS"] = "cpu"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:count])

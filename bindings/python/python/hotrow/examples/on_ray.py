"""A program in workers of Ray Train: on this machine, or on the cluster that `RAY_ADDRESS` names.

A group that has lost a worker is started again as often as it may, and each worker calls the program anew with the same
arguments: so a program that keeps checkpoints goes on from the newest.
"""

from __future__ import annotations

import argparse
import importlib
import os
from collections.abc import Mapping, Sequence
from typing import Any

#: What workers have of this process's environment, where it is set: gloo's network interface, and PyTorch's threads.
PASSED_ON = ("GLOO_SOCKET_IFNAME", "OMP_NUM_THREADS")
#: Bytes of Ray's store for objects on this machine, which has little to do.
_STORE = 256 << 20


def options() -> argparse.ArgumentParser:
    """What a program's command line has for Ray, as a parent of its parser."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--ray", type=int, metavar="N", help="run in N workers of Ray Train")
    parser.add_argument("--max-failures", type=int, default=3, help="how often Ray starts them again when one is lost")
    return parser


def run(program: str, arguments: Sequence[str], workers: int, max_failures: int = 0) -> Any:
    """Calls the `main` of a module in every worker, where PyTorch's default group is gloo's; returns that of rank 0."""
    # Else Ray shows twice what workers print.
    os.environ.setdefault("RAY_TRAIN_ENABLE_PRINT_PATCH", "0")
    import ray  # noqa: PLC0415
    from ray.train import FailureConfig, RunConfig, ScalingConfig  # noqa: PLC0415
    from ray.train.torch import TorchConfig, TorchTrainer  # noqa: PLC0415

    environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    if "RAY_ADDRESS" in os.environ:
        ray.init(runtime_env={"env_vars": environment})
    else:
        # More workers than processors take turns: without a word Ray would wait for more processors.
        processors = max(workers, os.cpu_count() or 1)
        ray.init("local", num_cpus=processors, include_dashboard=False, object_store_memory=_STORE)
    try:
        trainer = TorchTrainer(
            _work,
            train_loop_config={"program": program, "arguments": list(arguments), "folder": os.getcwd()},
            torch_config=TorchConfig(backend="gloo"),
            scaling_config=ScalingConfig(num_workers=workers),
            run_config=RunConfig(failure_config=FailureConfig(max_failures=max_failures)),
        )
        return trainer.fit().return_value
    finally:
        ray.shutdown()


def _work(config: Mapping[str, Any]) -> Any:
    """One worker. Files are named as they are where the program was started."""
    os.chdir(config["folder"])
    return importlib.import_module(config["program"]).main(config["arguments"])

"""FBGEMM: its tables for training (TBE) and those for inference, on the CPU."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from importlib.metadata import version
from typing import Any

import fbgemm_gpu  # noqa: F401  (registers the operations)
import torch
from fbgemm_gpu.split_embedding_configs import EmbOptimType, SparseType
from fbgemm_gpu.split_table_batched_embeddings_ops_common import PoolingMode
from fbgemm_gpu.split_table_batched_embeddings_ops_inference import IntNBitTableBatchedEmbeddingBagsCodegen
from fbgemm_gpu.split_table_batched_embeddings_ops_training import (
    ComputeDevice,
    EmbeddingLocation,
    SplitTableBatchedEmbeddingBagsCodegen,
)

from sidebyside.contender import ALLOCATED, IN_PLACE, Contender
from sidebyside.data import EPS, LR, Batch, Data
from sidebyside.peers.tensors import array, tensor

LIBRARY = "fbgemm"

# In these, and not in bfloat16, its CPU kernels can read tables.
_PRECISION = {"f32": SparseType.FP32, "f16": SparseType.FP16}
# "Exact": gradients of equal ids are summed first, as in hotrow. It has no Adam for the CPU.
_OPTIMIZERS = {
    "sgd": EmbOptimType.EXACT_SGD,
    "adagrad": EmbOptimType.EXACT_ADAGRAD,
    "rowwise_adagrad": EmbOptimType.EXACT_ROWWISE_ADAGRAD,
}


def start(threads: int) -> dict[str, str]:
    """Its threads are PyTorch's."""
    torch.set_num_threads(threads)
    return {"fbgemm": version("fbgemm-gpu-cpu")}


def contenders(data: Data) -> Iterator[Contender]:
    """Those of the workload's operation."""
    workload = data.workload
    if workload.dtype not in _PRECISION:
        return
    if workload.op == "bag":
        yield _bags(data)
        yield _inference(data)
    elif workload.op == "train_step" and workload.optimizer in _OPTIMIZERS:
        yield _training(data)


def _tbe(data: Data, optimizer: EmbOptimType) -> Any:
    workload = data.workload
    tables = SplitTableBatchedEmbeddingBagsCodegen(
        [(workload.rows, workload.dim, EmbeddingLocation.HOST, ComputeDevice.CPU)] * workload.tables,
        optimizer=optimizer,
        weights_precision=_PRECISION[workload.dtype],
        output_dtype=SparseType.FP32,
        pooling_mode=PoolingMode.SUM if workload.pooled else PoolingMode.NONE,
        learning_rate=LR,
        eps=EPS,
    )
    for own, given in zip(tables.split_embedding_weights(), data.tables, strict=True):
        own.copy_(tensor(given))
    return tables


def _weights(data: Data, batch: Batch) -> torch.Tensor | None:
    return None if batch.weights is None else tensor(batch.weights)


def _bags(data: Data) -> Contender:
    tables = _tbe(data, EmbOptimType.EXACT_SGD)

    def call(ids: torch.Tensor, offsets: torch.Tensor, weights: torch.Tensor | None) -> Any:
        with torch.no_grad():
            # It has no padding: weights of zero do the same.
            return tables(ids, offsets, (ids != 0).float() if data.workload.padding else weights)

    calls = [partial(call, tensor(batch.ids), tensor(batch.offsets), _weights(data, batch)) for batch in data.batches]
    return Contender(LIBRARY, "TBE", ALLOCATED, calls, array)


def _inference(data: Data) -> Contender:
    workload = data.workload
    tables = IntNBitTableBatchedEmbeddingBagsCodegen(
        [
            (f"t{number}", workload.rows, workload.dim, _PRECISION[workload.dtype], EmbeddingLocation.HOST)
            for number in range(workload.tables)
        ],
        device="cpu",
        output_dtype=SparseType.FP32,
        pooling_mode=PoolingMode.SUM,
    )
    tables.initialize_weights()
    for (own, _), given in zip(tables.split_embedding_weights(), data.tables, strict=True):
        own.copy_(tensor(given).view(torch.uint8))

    def call(ids: torch.Tensor, offsets: torch.Tensor, weights: torch.Tensor | None) -> Any:
        return tables(ids, offsets, (ids != 0).float() if workload.padding else weights)

    # It takes ids of 32 bits, and gets them so: what the conversion costs is not counted.
    calls = [
        partial(call, tensor(batch.ids).int(), tensor(batch.offsets).int(), _weights(data, batch))
        for batch in data.batches
    ]
    return Contender(LIBRARY, "inference", ALLOCATED, calls, array)


def _training(data: Data) -> Contender:
    tables, grad = _tbe(data, _OPTIMIZERS[data.workload.optimizer]), tensor(data.grad)
    # Without bags, each id is one of its own.
    single = torch.arange(data.workload.ids + 1)

    def step(batch: Batch) -> None:
        offsets = tensor(batch.offsets) if data.workload.pooled else single
        tables(tensor(batch.ids), offsets).backward(grad)

    calls = [partial(step, batch) for batch in data.batches]
    return Contender(
        LIBRARY,
        "TBE",
        IN_PLACE,
        calls,
        lambda _: data.changed([array(weight) for weight in tables.split_embedding_weights()]),
    )

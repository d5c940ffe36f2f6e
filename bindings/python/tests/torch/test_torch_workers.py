"""Lookups in processes that DataLoader forks, after the parent has used its threads."""

import hotrow.torch
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

ROWS, DIM, BATCH = 2_000, 64, 2_048


class Lookups(Dataset[Tensor]):
    """Items that are looked up in the worker: large enough for the engine's threads."""

    def __init__(self, layer: torch.nn.Module) -> None:
        """Items of a layer."""
        self.layer = layer

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> Tensor:
        with torch.no_grad():
            return self.layer(self.ids(index))

    @staticmethod
    def ids(index: int) -> Tensor:
        """The ids of an item."""
        return torch.randint(0, ROWS, (BATCH,), generator=torch.Generator().manual_seed(index))


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_data_loader_workers(start: str) -> None:
    layer = hotrow.torch.Embedding(ROWS, DIM)
    data = Lookups(layer)
    # The parent's threads are running when it forks.
    layer(torch.randint(0, ROWS, (8 * BATCH,)))
    loader = DataLoader(data, batch_size=2, num_workers=2, multiprocessing_context=start, timeout=120)
    batches = list(loader)
    assert torch.equal(torch.cat(batches), torch.stack([layer(data.ids(k)) for k in range(len(data))]))


def test_a_worker_trains_a_layer_of_its_own() -> None:
    class Steps(Lookups):
        def __getitem__(self, index: int) -> Tensor:
            self.layer(self.ids(index)).sum().backward()
            return self.layer.weight.detach().sum().reshape(1)

    layer = hotrow.torch.Embedding(ROWS, DIM, fused="sgd", fused_options={"lr": 1.0})
    layer(torch.randint(0, ROWS, (8 * BATCH,)))
    before = layer.weight.detach().clone()
    loader = DataLoader(Steps(layer), batch_size=1, num_workers=2, multiprocessing_context="fork", timeout=120)
    sums = torch.cat(list(loader)).flatten()
    assert len(sums) == 8
    # Each worker has its own copy of the weight, and its first step took as much as there were ids.
    torch.testing.assert_close(before.sum() - sums[0], torch.tensor(float(BATCH * DIM)), rtol=1e-3, atol=0.0)
    assert torch.equal(layer.weight, before)

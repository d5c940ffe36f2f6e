"""PyTorch's own samples of these functions and layers, which are in the installed package, put to ours.

They need the package `expecttest`, as all of PyTorch's tests do.
"""

import warnings
from collections.abc import Iterator
from typing import Any

import hotrow.torch
import pytest
import torch
from torch_cases import TYPES, assert_close

pytest.importorskip("expecttest")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    common_nn = pytest.importorskip("torch.testing._internal.common_nn")
    methods = pytest.importorskip("torch.testing._internal.common_methods_invocations")
    modules = pytest.importorskip("torch.testing._internal.common_modules")

FUNCTIONS = [op for op in methods.op_db if op.name in ("nn.functional.embedding", "nn.functional.embedding_bag")]
LAYERS = {"Embedding": hotrow.torch.Embedding, "EmbeddingBag": hotrow.torch.EmbeddingBag}


def samples(op: Any, dtype: torch.dtype) -> Iterator[Any]:
    for requires_grad in (True, False):
        yield from op.sample_inputs("cpu", dtype, requires_grad=requires_grad)


def run(function: Any, sample: Any) -> tuple[torch.Tensor, torch.Tensor, list[torch.Tensor | None]]:
    """What a function returns, the weight after it, and the gradients."""
    # In the samples, the weight comes first.
    weight = sample.input.detach().clone().requires_grad_(sample.input.requires_grad)
    options = dict(sample.kwargs)
    given = options.get("per_sample_weights")
    if given is not None:
        options["per_sample_weights"] = given.detach().clone().requires_grad_(given.requires_grad)
    found = function(sample.args[0], weight, **options)
    leaves = [leaf for leaf in (weight, options.get("per_sample_weights")) if leaf is not None and leaf.requires_grad]
    if leaves:
        found.backward(torch.linspace(-1, 2, found.numel()).reshape(found.shape).to(found.dtype))
    return found, weight, [leaf.grad for leaf in leaves]


@pytest.mark.parametrize("op", FUNCTIONS, ids=lambda op: op.name)
@pytest.mark.parametrize("dtype", TYPES)
def test_samples_of_functions(op: Any, dtype: torch.dtype) -> None:
    name = op.name.rsplit(".", 1)[1]
    count = 0
    for sample in samples(op, dtype):
        expected = run(getattr(torch.nn.functional, name), sample)
        found = run(getattr(hotrow.torch.functional, name), sample)
        assert_close(found[0], expected[0], dtype)
        assert torch.equal(found[1], expected[1])
        for mine, other in zip(found[2], expected[2], strict=True):
            assert mine is not None
            assert other is not None
            assert mine.is_sparse == other.is_sparse
            assert_close(mine.to_dense(), other.to_dense(), dtype)
        count += 1
    assert count > 0


@pytest.mark.parametrize("op", FUNCTIONS, ids=lambda op: op.name)
def test_samples_of_errors(op: Any) -> None:
    function = getattr(hotrow.torch.functional, op.name.rsplit(".", 1)[1])
    for case in op.error_inputs("cpu") if op.error_inputs_func else []:
        sample = case.sample_input
        with pytest.raises(case.error_type, match=case.error_regex):
            function(sample.args[0], sample.input, **sample.kwargs)


@pytest.mark.parametrize("training", [True, False])
def test_samples_of_layers(training: bool) -> None:
    count = 0
    for info in modules.module_db:
        kind = info.module_cls.__name__
        if kind not in LAYERS:
            continue
        for sample in info.module_inputs_func(info, "cpu", torch.float32, True, training):
            made, called = sample.constructor_input, sample.forward_input
            torch.manual_seed(0)
            mine = LAYERS[kind](*made.args, **made.kwargs)
            torch.manual_seed(0)
            other = info.module_cls(*made.args, **made.kwargs)
            assert_close(mine(*called.args, **called.kwargs), other(*called.args, **called.kwargs))
            count += 1
    assert count > 0


def older_tests() -> list[dict[str, Any]]:
    made = getattr(common_nn, "get_new_module_tests", None)
    every = made() if made is not None else common_nn.new_module_tests
    return [test for test in every if test.get("module_name") in LAYERS]


@pytest.mark.parametrize("test", older_tests(), ids=lambda test: test.get("desc") or test["module_name"])
def test_older_samples_of_layers(test: dict[str, Any]) -> None:
    arguments = test.get("constructor_args", ())
    options = test.get("constructor_kwargs", {})
    kind = test["module_name"]
    torch.manual_seed(0)
    mine = LAYERS[kind](*arguments, **options)
    torch.manual_seed(0)
    other = getattr(torch.nn, kind)(*arguments, **options)
    given = test["input_fn"]()
    given = given if isinstance(given, tuple) else (given,)
    found, expected = mine(*given), other(*given)
    assert_close(found, expected)
    for layer, result in ((mine, found), (other, expected)):
        result.pow(2).sum().backward()
        assert layer.weight.grad is not None
    assert mine.weight.grad is not None
    assert mine.weight.grad.is_sparse == other.weight.grad.is_sparse
    assert_close(mine.weight.grad.to_dense(), other.weight.grad.to_dense())

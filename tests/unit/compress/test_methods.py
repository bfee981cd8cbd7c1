"""Methods of compression against numpy, and the parameter counts that the paper prints."""

import numpy as np
import pytest
import torch
from tiny_networks import GPT_INPUTS, RESNET, RESNET_INPUTS, network, spec
from torch import nn

from toporepro.compress import parameter_count
from toporepro.compress.arrange import sheet_order
from toporepro.compress.layers import replaced, vectors_of
from toporepro.compress.methods import METHODS, compressed, remaining
from toporepro.spec import SpecError

Vectors = dict[str, torch.Tensor]


TINY = spec("nanogpt", context=8, width=16, depth=2, heads=2, mlp=48)


def tiny_gpt() -> tuple[nn.Module, dict[str, int]]:
    return network(TINY, GPT_INPUTS)


@pytest.fixture
def vectors() -> Vectors:
    module, layers = tiny_gpt()
    return vectors_of(module, layers)


@pytest.mark.parametrize(("sparsity", "label"), [(0.2, 118.1), (0.5, 109.7), (0.8, 101.5)])
def test_the_printed_parameter_counts(sparsity: float, label: float) -> None:
    assert round(parameter_count("nanogpt", sparsity) / 1e6, 1) == label


def test_counts_of_the_whole_and_of_the_pruned_network() -> None:
    assert parameter_count("nanogpt", 0) == 124_373_760
    assert round(parameter_count("nanogpt", 0.2, "l1") / 1e6, 1) == 118.7
    assert parameter_count("resnet18", 0) == 11_689_512


@pytest.mark.parametrize("method", METHODS)
def test_what_remains_is_what_is_counted(vectors: Vectors, method: str) -> None:
    found = compressed(vectors, method, 0.5)
    for values in found.values():
        kept = remaining(*values.shape, method, 0.5)
        if method.startswith("sheet"):
            assert np.linalg.matrix_rank(values.numpy()) <= kept / values.shape[1]
        elif method != "l1_global":
            assert int((values != 0).sum()) == kept
    if method == "l1_global":
        total = sum(int((values != 0).sum()) for values in found.values())
        assert total == sum(remaining(*values.shape, method, 0.5) for values in found.values())


@pytest.mark.parametrize("sparsity", [0.2, 0.9])
def test_l1_takes_the_smallest_of_each_layer(vectors: Vectors, sparsity: float) -> None:
    for name, values in compressed(vectors, "l1", sparsity).items():
        before = vectors[name].numpy()
        order = np.sort(np.abs(before), axis=None)
        threshold = order[round(sparsity * before.size)]
        np.testing.assert_array_equal(values.numpy(), np.where(abs(before) < threshold, 0, before))


def test_l1_global_takes_the_smallest_of_all(vectors: Vectors) -> None:
    first, second = vectors
    scaled = {first: vectors[first] * 100, second: vectors[second]}
    found = compressed(scaled, "l1_global", 0.5)
    sizes = np.sort(np.concatenate([np.abs(v.numpy()).ravel() for v in scaled.values()]))
    threshold = sizes[round(0.5 * len(sizes))]
    for name, before in scaled.items():
        expected = np.where(np.abs(before.numpy()) < threshold, 0, before.numpy())
        np.testing.assert_array_equal(found[name].numpy(), expected)
    assert int((found[first] != 0).sum()) > 20 * int((found[second] != 0).sum())


def test_without_sparsity_nothing_changes(vectors: Vectors) -> None:
    for method in METHODS:
        for name, values in compressed(vectors, method, 0.0).items():
            expected = torch.zeros_like(values) if method == "knock_out" else vectors[name]
            assert torch.equal(values, expected)


def test_replaced_weights_come_back() -> None:
    module, layers = tiny_gpt()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    tokens = torch.arange(16).reshape(2, 8)
    whole = module(tokens)
    vectors = compressed(vectors_of(module, layers), "knock_out", 0.5)

    def interrupted() -> None:
        with replaced(module, vectors):
            assert not torch.allclose(module(tokens), whole)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert all(torch.equal(before[name], tensor) for name, tensor in module.state_dict().items())


def test_knock_out_silences_the_layers() -> None:
    module, layers = tiny_gpt()
    heard = []
    module.get_submodule("transformer.h.1.mlp.c_fc").register_forward_hook(
        lambda layer, inputs, output: heard.append(output)
    )
    with replaced(module, compressed(vectors_of(module, layers), "knock_out", 0.0)):
        module(torch.arange(8)[None])
    assert not heard[0].any()


def test_convolutions_are_sheets_too() -> None:
    module, layers = network(RESNET, RESNET_INPUTS)
    found = compressed(vectors_of(module, layers), "sheet", 0.5)
    images = torch.randn(2, 3, 16, 16)
    before = module(images)
    with replaced(module, found):
        name, units = next(iter(layers.items()))
        weight = module.get_submodule(name).weight
        assert weight.shape[0] == units
        assert torch.equal(weight.flatten(1), found[name])
        assert not torch.allclose(module(images), before)


def likeness(vectors: np.ndarray, order: np.ndarray, height: int, width: int) -> float:
    laid = vectors[order].reshape(height, width, -1)
    across = np.linalg.norm(laid[:, 1:] - laid[:, :-1], axis=2).mean()
    down = np.linalg.norm(laid[1:] - laid[:-1], axis=2).mean()
    return float(across + down)


def test_sorting_finds_a_hidden_sheet() -> None:
    rows, columns = np.mgrid[:8, :16] / 8
    sheet = np.stack([rows, columns, np.sin(2 * rows), np.cos(2 * columns)], axis=-1)
    vectors = sheet.reshape(128, 4)
    shuffled = vectors[np.random.default_rng(0).permutation(128)]
    order = sheet_order(shuffled)
    assert sorted(order) == list(range(128))
    random = likeness(shuffled, np.arange(128), 8, 16)
    own = likeness(vectors, np.arange(128), 8, 16)
    assert likeness(shuffled, order, 8, 16) - own < 0.15 * (random - own)


def test_sorted_down_sampling_does_not_depend_on_the_layout_before() -> None:
    generator = np.random.default_rng(1)
    vectors = torch.from_numpy(generator.normal(size=(48, 6)))
    moved = torch.from_numpy(generator.permutation(48))
    here = compressed({"a": vectors}, "sheet_sorted", 0.5)["a"]
    there = compressed({"a": vectors[moved]}, "sheet_sorted", 0.5)["a"]
    torch.testing.assert_close(there, here[moved], rtol=1e-9, atol=1e-9)


def test_an_unknown_method_is_named(vectors: Vectors) -> None:
    with pytest.raises(SpecError, match="sheet_sorted"):
        compressed(vectors, "sheet_sort", 0.5)

"""What counts as a unit's response, and responses that cannot be measured."""

import pytest
import torch
from torch import Tensor, nn

from toporepro.measure.responses import ResponseError, per_unit, stream


def answers(
    module: nn.Module, layers: list[str], inputs: Tensor, precision: str = "float32"
) -> dict[str, Tensor]:
    found = list(stream(module.eval(), layers, inputs.split(3), precision))  # type: ignore[arg-type]
    return {layer: torch.cat([part[layer] for part, _ in found]) for layer in layers}


def test_a_convolutions_response_is_its_own_output_averaged_over_positions() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(2, 5, 3), nn.BatchNorm2d(5), nn.ReLU())
    nn.init.constant_(network[1].bias, 3.0)
    images = torch.randn(7, 2, 6, 6)
    found = answers(network, ["0"], images)["0"]
    torch.testing.assert_close(found, network[0](images).mean(dim=(2, 3)))
    assert found.dtype == torch.float32


def test_tokens_are_averaged() -> None:
    layer = nn.Linear(4, 6)
    words = torch.randn(5, 3, 4)
    torch.testing.assert_close(
        answers(nn.Sequential(layer), ["0"], words)["0"], layer(words).mean(1)
    )


def test_a_rectifier_in_place_does_not_reach_the_responses() -> None:
    network = nn.Sequential(nn.Linear(4, 6), nn.ReLU(inplace=True))
    inputs = torch.randn(5, 4)
    found = answers(network, ["0"], inputs)["0"]
    torch.testing.assert_close(found, network[0](inputs))
    assert (found < 0).any()


def test_batches_and_outputs_come_in_order_and_hooks_are_taken_off() -> None:
    network = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
    inputs = torch.randn(10, 4)
    parts = list(stream(network, ["0", "2"], inputs.split(4), "float32"))
    torch.testing.assert_close(torch.cat([outputs for _, outputs in parts]), network(inputs))
    assert [len(outputs) for _, outputs in parts] == [4, 4, 2]
    assert not any(layer._forward_hooks for layer in network)


def test_bfloat16_rounds_and_yields_float32() -> None:
    torch.manual_seed(1)
    network = nn.Sequential(nn.Linear(64, 8), nn.Linear(8, 2))
    inputs = torch.randn(6, 64)
    exact = answers(network, ["0"], inputs)["0"]
    rounded = answers(network, ["0"], inputs, "bfloat16")["0"]
    assert rounded.dtype == torch.float32
    torch.testing.assert_close(rounded, exact, atol=0.05, rtol=0.05)
    assert not torch.equal(rounded, exact)


def test_a_layer_outside_the_forward_pass_is_an_error() -> None:
    class Aside(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.unused = nn.Linear(2, 2), nn.Linear(2, 2)

        def forward(self, inputs: Tensor) -> Tensor:
            return self.used(inputs)  # type: ignore[no-any-return]

    with pytest.raises(ResponseError, match="'unused' takes no part"):
        answers(Aside(), ["used", "unused"], torch.randn(3, 2))


def test_responses_that_are_not_finite_are_an_error() -> None:
    network = nn.Sequential(nn.Linear(2, 2))
    nn.init.constant_(network[0].weight, float("inf"))
    with pytest.raises(ResponseError, match=r"layer '0'.*not finite"):
        answers(network, ["0"], torch.ones(3, 2))


def test_means_over_bfloat16_positions_are_taken_in_float32() -> None:
    output = torch.full((1, 1, 100, 100), 1.0078125, dtype=torch.bfloat16)
    output[..., 0] = 0
    found = per_unit(nn.Conv2d(1, 1, 1), output)
    assert float(found) == pytest.approx(1.0078125 * 0.99, rel=1e-6)

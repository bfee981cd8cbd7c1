"""What training does to a loss: precision, memory layouts, compilation, several processes."""

import pytest
import torch
from torch import nn
from torch.multiprocessing.spawn import spawn
from torch.nn.parallel import DistributedDataParallel

from toporepro.topoloss import (
    LaplacianPyramid,
    TopoLoss,
    function,
    laplacian_pyramid_loss,
    laplacian_pyramid_loss_on_bias,
)


def network():
    torch.manual_seed(2)
    return nn.Sequential(nn.Conv2d(3, 64, 3), nn.Flatten(), nn.Linear(64, 36))


def topo_loss():
    return TopoLoss([LaplacianPyramid("0", 3, 3, scale=2.0), LaplacianPyramid("2", 2, 1.5)])


def value_and_grads(net, compute=None):
    net.zero_grad()
    loss = (compute or topo_loss().compute)(net)
    loss.backward()
    return loss.detach(), [p.grad.clone() for p in net.parameters() if p.grad is not None]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_single(dtype):
    half = network().to(dtype)
    single = network()
    single.load_state_dict({key: value.float() for key, value in half.state_dict().items()})
    loss, grads = value_and_grads(half)
    expected, expected_grads = value_and_grads(single)
    assert loss.dtype == torch.float32
    assert torch.equal(loss, expected)
    for grad, want in zip(grads, expected_grads, strict=True):
        assert grad.dtype == dtype
        assert torch.equal(grad, want.to(dtype))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_autocast_changes_nothing(dtype):
    loss, grads = value_and_grads(network())

    def compute(net):
        with torch.autocast("cpu", dtype=dtype):
            return topo_loss().compute(net)

    inside, inside_grads = value_and_grads(network(), compute)
    assert inside.dtype == torch.float32
    assert torch.equal(inside, loss)
    assert all(map(torch.equal, inside_grads, grads))
    bias = torch.randn(6, 6, requires_grad=True)
    with torch.autocast("cpu", dtype=dtype):
        lowered = laplacian_pyramid_loss_on_bias(bias, 2, 2)
    assert torch.equal(lowered, laplacian_pyramid_loss_on_bias(bias, 2, 2))


@pytest.mark.parametrize("setting", ["high", "medium"])
def test_reduced_matmul_precision_is_kept_out_and_left_in_place(setting, monkeypatch):
    """Not every processor has reduced-precision products, so the setting itself is watched."""
    seen = []

    def watched(run):
        def inner(*arguments):
            seen.append(torch.backends.mkldnn.matmul.fp32_precision)
            return run(*arguments)

        return inner

    for name in ("forward", "backward"):
        monkeypatch.setattr(function.kernel, name, watched(getattr(function.kernel, name)))
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(setting)
    try:
        value_and_grads(network())
        assert seen == ["ieee"] * 4
        assert torch.get_float32_matmul_precision() == setting
    finally:
        torch.set_float32_matmul_precision(before)


def test_channels_last_weights_keep_their_layout():
    plain, last = network(), network().to(memory_format=torch.channels_last)
    assert last[0].weight.stride() != plain[0].weight.stride()
    (loss, grads), (last_loss, last_grads) = value_and_grads(plain), value_and_grads(last)
    torch.testing.assert_close(last_loss, loss)
    for grad, last_grad in zip(grads, last_grads, strict=True):
        torch.testing.assert_close(last_grad, grad)
    assert last_grads[0].stride() == last[0].weight.stride()


def test_weights_with_gaps_in_memory():
    wide = torch.randn(36, 20, requires_grad=True)
    dense = wide.detach()[:, ::2].clone().requires_grad_()
    loss = laplacian_pyramid_loss(wide[:, ::2].reshape(6, 6, 10), 2, 2)
    expected = laplacian_pyramid_loss(dense.reshape(6, 6, 10), 2, 2)
    loss.backward()
    expected.backward()
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(wide.grad[:, ::2], dense.grad)
    assert not wide.grad[:, 1::2].any()


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (0, 3, 1, 2), (0, 2, 1, 3)])
def test_shared_kernel_entries(order):
    """A weight expanded in memory gives the gradient of the same weight written out."""
    base = torch.randn(24, 3, 1, 2)
    gradients = []
    for spread in (True, False):
        shared = base.clone().requires_grad_()
        weight = shared.expand(24, 3, 4, 2).permute(order)
        weight = weight if spread else weight.contiguous()
        function.sheet_loss(weight, 0, (4, 6), 2, 3, "bilinear").backward()
        gradients.append(shared.grad)
    torch.testing.assert_close(*gradients)


def test_frozen_weights_give_a_loss_without_gradient():
    net = network()
    expected = topo_loss().compute(net)
    net.requires_grad_(False)
    loss = topo_loss().compute(net)
    assert torch.equal(loss, expected.detach())
    assert not loss.requires_grad
    with torch.inference_mode():
        assert torch.equal(topo_loss().compute(net), loss)


def test_a_sheet_first_met_in_inference_mode_can_be_trained():
    sheet = torch.randn(7, 11, 3)
    with torch.inference_mode():
        seen = laplacian_pyramid_loss(sheet.clone(), 1.9, 2.3)
    sheet.requires_grad_()
    loss = laplacian_pyramid_loss(sheet, 1.9, 2.3)
    loss.backward()
    assert torch.equal(loss, seen)
    assert sheet.grad.abs().max() > 0


def test_repeated_runs_are_identical_bit_by_bit():
    runs = [value_and_grads(network()) for _ in range(3)]
    for loss, grads in runs[1:]:
        assert torch.equal(loss, runs[0][0])
        assert all(map(torch.equal, grads, runs[0][1]))
    torch.use_deterministic_algorithms(True)
    try:
        loss, grads = value_and_grads(network())
    finally:
        torch.use_deterministic_algorithms(False)
    assert torch.equal(loss, runs[0][0])
    assert all(map(torch.equal, grads, runs[0][1]))


def test_compiles_into_one_graph_with_the_same_values():
    topo = topo_loss()
    net = network()
    images = torch.randn(4, 3, 3, 3)

    def step(model, x):
        return model(x).square().mean() + topo.compute(model)

    loss, grads = value_and_grads(net, lambda model: step(model, images))
    compiled = torch.compile(step, backend="aot_eager", fullgraph=True)
    for scale in (2.0, 2.0, 0.5):  # a schedule changes τ between steps
        topo.losses[0].scale = scale
        expected, expected_grads = value_and_grads(net, lambda model: step(model, images))
        got, got_grads = value_and_grads(net, lambda model: compiled(model, images))
        torch.testing.assert_close(got, expected)
        for grad, want in zip(got_grads, expected_grads, strict=True):
            torch.testing.assert_close(grad, want)
    assert not torch.equal(expected, loss)
    assert len(grads) == 4


def test_operators_keep_their_promises_to_the_compiler():
    weight = torch.randn(24, 3, 2, 2).to(memory_format=torch.channels_last)
    sheet = (0, 4, 6, 2.0, 3.0, "bilinear")
    checks = ("test_schema", "test_faketensor")
    torch.library.opcheck(function._opaque_loss, (weight, *sheet), test_utils=checks)
    _, stats = function._opaque_loss(weight, *sheet)
    arguments = (torch.tensor(1.0), weight, stats, *sheet)
    torch.library.opcheck(function._opaque_slope, arguments, test_utils=checks)


def train_two_steps(rank, world, path):
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{path}/meet{world}", rank=rank, world_size=world
    )
    torch.manual_seed(3)
    images = torch.randn(4, 3, 3, 3).chunk(world)[rank]
    net = network()
    model = DistributedDataParallel(net)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    topo = topo_loss()
    for _ in range(2):
        optimizer.zero_grad()
        (model(images).square().mean() + topo.compute(model)).backward()
        optimizer.step()
    torch.save(net.state_dict(), f"{path}/weights{world}-{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.mark.filterwarnings("ignore")
def test_two_processes_equal_one(tmp_path):
    for world in (1, 2):
        spawn(train_two_steps, args=(world, str(tmp_path)), nprocs=world)
    one, first, second = (
        torch.load(tmp_path / f"weights{name}.pt") for name in ("1-0", "2-0", "2-1")
    )
    start = network().state_dict()
    for key, value in one.items():
        assert not torch.equal(value, start[key])
        assert torch.equal(first[key], second[key])
        torch.testing.assert_close(first[key], value, rtol=1e-5, atol=1e-6)

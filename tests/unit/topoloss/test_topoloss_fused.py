"""The fused kernels against the loss one by one in double precision.

They run on a GPU where there is one. Elsewhere the first test runs this file once more in Triton's
interpreter, which executes the same kernels on the CPU, slowly: hence the small sheets. Only what
is about CUDA itself is left out there.
"""

import os
import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from toporepro.topoloss import LaplacianPyramid, LaplacianPyramidOnBias, TopoLoss, TopoLossError
from toporepro.topoloss.foreach import INTERPRETED, UnitWeights, sheet_losses, stored_transposed
from toporepro.topoloss.function import sheet_loss

CUDA = torch.cuda.is_available()
DEVICE = "cuda" if CUDA else "cpu"
fused_runs = pytest.mark.skipif(
    not CUDA and not INTERPRETED, reason="needs a GPU, or the interpreter: see the first test"
)
pytestmark = pytest.mark.filterwarnings("ignore::toporepro.topoloss.SheetWarning")


if not CUDA and not INTERPRETED:

    def test_in_the_interpreter():
        command = [sys.executable, "-m", "pytest", "-q", "--show-capture=no", __file__]
        command += ["-p", "no:cacheprovider"]
        environment = os.environ | {"TRITON_INTERPRET": "1"}
        run = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-2000:]
        assert " passed" in run.stdout


def entry(weight, shape, factors, mode="bilinear", unit_dim=0):
    return UnitWeights(weight.to(DEVICE), unit_dim, shape, *factors, mode)


def compared(entries):
    """Losses and gradients at once, beside those in double precision."""
    generator = torch.Generator().manual_seed(len(entries))
    shares = torch.rand(len(entries), generator=generator) + 0.5
    mine = [e._replace(weight=e.weight.detach().requires_grad_()) for e in entries]
    losses = sheet_losses(mine)
    assert (
        losses.grad_fn.name() == "_SheetLossesBackward" or len({e.weight.dtype for e in mine}) > 1
    )
    (losses * shares.to(DEVICE)).sum().backward()
    for value, e, share in zip(losses, mine, shares, strict=True):
        weight = e.weight.detach().double().requires_grad_()
        expected = sheet_loss(*e._replace(weight=weight))
        (expected * share).backward()
        assert value.item() == pytest.approx(expected.item(), abs=1e-5)
        assert e.weight.grad.stride() == e.weight.stride()
        assert e.weight.grad.dtype == e.weight.dtype
        yield e.weight.grad, weight.grad


def check(entries, tolerance=1e-5):
    for grad, expected in compared(entries):
        # Where nothing is smoothed away the gradient is nothing but rounding.
        scale = max(expected.abs().max().item(), 0.1)
        assert (grad.double() - expected).abs().max().item() <= tolerance * scale


@fused_runs
def test_layers_of_all_layouts_at_once():
    generator = torch.Generator().manual_seed(0)

    def normal(*shape):
        return torch.randn(*shape, generator=generator)

    check(
        [
            entry(normal(36, 20), (6, 6), (3, 3)),
            entry(normal(12, 5, 3, 3), (3, 4), (1.5, 2.5)),
            entry(normal(12, 8, 3, 2).to(memory_format=torch.channels_last), (3, 4), (2, 2)),
            entry(normal(6, 3, 2, 1, 3), (2, 3), (2, 1)),
            entry(normal(6, 300), (2, 3), (1, 1.5)),  # more than one block of incoming weights
            entry(normal(7, 2), (1, 7), (1, 2)),
        ]
    )


@fused_runs
def test_units_side_by_side_in_memory():
    check(
        [
            entry(torch.randn(35, 40), (5, 8), (2, 3), unit_dim=1),  # more than one block of each
            entry(torch.randn(9, 16).T, (4, 4), (2, 2)),
            entry(torch.randn(3, 48), (6, 8), (3, 3), "nearest", unit_dim=1),
        ]
    )


@fused_runs
@pytest.mark.parametrize("mode", ["nearest", "nearest-exact", "area", "bicubic"])
def test_interpolations(mode):
    check(
        [
            entry(torch.randn(24, 16), (4, 6), (2, 3), mode),
            entry(torch.randn(20, 16), (4, 5), (1.4, 2.6), mode),
        ]
    )


@fused_runs
@settings(max_examples=3)
@given(st.data())
def test_any_sheets(data):
    """Widths of the operators' rows differ between layers of one launch."""
    entries = []
    for _ in range(data.draw(st.integers(1, 2))):
        h, w, incoming = (data.draw(st.integers(low, 5)) for low in (1, 2, 2))
        factors = data.draw(st.floats(1, min(h, 4))), data.draw(st.floats(1, min(w, 4)))
        mode = data.draw(st.sampled_from(["bilinear", "nearest", "area"]))
        generator = torch.Generator().manual_seed(data.draw(st.integers(0, 2**31)))
        weight = torch.randn(h * w, incoming, generator=generator)
        entries.append(entry(weight, (h, w), factors, mode))
    # Near-opposite neighbours make |C'| small and its direction ill-conditioned.
    check(entries, tolerance=2e-4)


@fused_runs
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("transposed", [False, True])
def test_half_precision_is_computed_in_single(dtype, transposed):
    weight = torch.randn(12, 12).to(dtype)
    # A step of the type: the interpreter cuts where a GPU rounds.
    check(
        [entry(weight.T if transposed else weight, (3, 4), (2, 3), unit_dim=int(transposed))],
        tolerance=2 * torch.finfo(dtype).eps,
    )


@fused_runs
@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
def test_units_of_length_zero(mode):
    weight, other, dead = torch.randn(16, 8), torch.randn(9, 8), torch.zeros(4, 8)
    weight[[0, 5, 15]] = 0
    entries = [entry(w, (n, n), (2, 2), mode) for w, n in ((weight, 4), (other, 3), (dead, 2))]
    check(entries)
    *_, (grad, _) = compared(entries)
    assert not grad.any()


@fused_runs
def test_nearly_opposite_neighbours_keep_single_precision():
    sheet = torch.randn(5, 8, generator=torch.Generator().manual_seed(0))
    sheet[1] = sheet[0]
    sheet[3:] = -sheet[0] + 1e-3 * sheet[4]
    sheet[2] = sheet[3] + sheet[0]
    single = sheet_losses([entry(sheet, (1, 5), (1, 2.5))]).item()
    assert single == pytest.approx(
        sheet_loss(sheet.double(), 0, (1, 5), 1, 2.5, "bilinear").item(), abs=1e-4
    )


@fused_runs
def test_what_the_kernels_do_not_take_goes_one_by_one():
    """Gaps, expanded memory, a unit axis in the middle, enlarging factors, double precision."""
    gaps = torch.randn(36, 20, device=DEVICE)[:, ::2]
    middle = torch.randn(2, 6, 3, 6).permute(1, 0, 2, 3).to(DEVICE)
    assert [stored_transposed(w, 0) for w in (gaps, middle)] == [None, None]
    ours = torch.randn(36, 8, device=DEVICE)
    entries = [
        UnitWeights(gaps, 0, (6, 6), 2, 2, "bilinear"),
        UnitWeights(ours, 0, (6, 6), 3, 2, "bilinear"),
        UnitWeights(ours, 0, (6, 6), 0.7, 1, "bilinear"),
        UnitWeights(middle, 0, (2, 3), 1, 2, "bilinear"),
        UnitWeights(ours[:1].expand(36, 8), 0, (6, 6), 2, 2, "bilinear"),
        UnitWeights(ours.double(), 0, (6, 6), 2, 2, "bilinear"),
    ]
    for value, each in zip(sheet_losses(entries), entries, strict=True):
        expected = sheet_loss(*each._replace(weight=each.weight.double()))
        assert value.item() == pytest.approx(expected.item(), abs=1e-6)


def network():
    torch.manual_seed(2)
    net = nn.Sequential(nn.Conv2d(3, 9, 3), nn.Flatten(), nn.Linear(9, 12), nn.Linear(12, 4))
    return net.to(DEVICE)


def topo_loss():
    return TopoLoss(
        [
            LaplacianPyramid("0", 2, 2, scale=2.0),
            LaplacianPyramidOnBias("2", 2, 2),
            LaplacianPyramid("2", 2, 1.5),
            LaplacianPyramid("0", 1, 2),
        ]
    )


def gradients(net, loss):
    net.zero_grad()
    loss.backward()
    return {name: p.grad.clone() for name, p in net.named_parameters() if p.grad is not None}


@fused_runs
def test_a_model_equals_itself_in_double_precision():
    net = network()
    loss = topo_loss().compute(net)
    grads = gradients(net, loss)
    double = network().double()
    expected = topo_loss().compute(double)
    wanted = gradients(double, expected)
    assert loss.item() == pytest.approx(expected.item(), abs=1e-6)
    assert grads.keys() == wanted.keys() == {"0.weight", "2.weight", "2.bias"}
    for name, grad in grads.items():
        torch.testing.assert_close(grad.double(), wanted[name], rtol=1e-4, atol=1e-6)
    again = network()
    repeated = gradients(again, topo_loss().compute(again))
    assert all(torch.equal(grads[name], repeated[name]) for name in grads)
    again[0].weight.requires_grad_(False)
    frozen = gradients(again, topo_loss().compute(again))
    assert frozen.keys() == {"2.weight", "2.bias"}
    assert torch.equal(frozen["2.weight"], grads["2.weight"])


@fused_runs
def test_weights_that_change_between_steps():
    """Tables are kept by address; what lies there is read anew, and new addresses are followed."""
    net, topo = network(), topo_loss()
    before = topo.compute(net).item()
    with torch.no_grad():
        net[0].weight.copy_(torch.randn_like(net[0].weight))
    changed = topo.compute(net).item()
    net[0].weight = nn.Parameter(net[0].weight.detach().clone())
    assert topo.compute(net).item() == changed != before
    loss = topo.compute(net)
    with torch.no_grad():
        net[0].weight.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


@fused_runs
def test_a_weight_that_is_not_finite_is_named():
    net = network()
    with torch.no_grad():
        net[0].weight[3, 1] = float("nan")
    with pytest.raises(TopoLossError, match=r"layer '0' is not finite: 9 of the 243 weights"):
        topo_loss().compute(net)


@fused_runs
def test_differentiating_twice_is_refused():
    weight = torch.randn(16, 3, device=DEVICE, requires_grad=True)
    loss = sheet_losses([UnitWeights(weight, 0, (4, 4), 2, 2, "bilinear")]).sum()
    (grad,) = torch.autograd.grad(loss, weight, create_graph=True)
    with pytest.raises(NotImplementedError, match="once only"):
        (grad.sum() + weight.sum()).backward()


@fused_runs
@pytest.mark.parametrize("backend", ["inductor" if CUDA else "aot_eager"])
def test_compiles_into_one_graph_with_the_same_values(backend):
    topo, net = topo_loss(), network()
    del topo.losses[1]  # the loss on biases breaks the graph on any device
    images = torch.randn(4, 3, 3, 3, device=DEVICE)

    def step(model, x):
        return model(x).square().mean() + topo.compute(model)

    compiled = torch.compile(step, backend=backend, fullgraph=True)
    for scale in (2.0, 0.5):  # a schedule changes τ between steps
        topo.losses[0].scale = scale
        loss = step(net, images)
        grads = gradients(net, loss)
        found = compiled(net, images)
        torch.testing.assert_close(found, loss)
        for name, grad in gradients(net, found).items():
            torch.testing.assert_close(grad, grads[name])


@pytest.mark.skipif(not CUDA, reason="needs a GPU")
def test_is_recorded_as_a_cuda_graph():
    net, topo = network(), topo_loss()
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            gradients(net, topo.compute(net))
    torch.cuda.current_stream().wait_stream(stream)
    net.zero_grad(set_to_none=True)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        loss = topo.compute(net)
        loss.backward()
    for seed in (0, 1):
        torch.manual_seed(seed)
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.copy_(torch.randn_like(parameter))
        graph.replay()
        recorded = [p.grad.clone() for p in net.parameters() if p.grad is not None]
        twin = network()
        twin.load_state_dict(net.state_dict())
        expected = topo.compute(twin)
        assert torch.equal(loss, expected)
        assert all(map(torch.equal, recorded, gradients(twin, expected).values()))


@pytest.mark.skipif(not CUDA, reason="needs a GPU")
def test_recording_unknown_weights_is_refused():
    net = network()
    with (
        pytest.raises(TopoLossError, match="run one step before"),
        torch.cuda.graph(torch.cuda.CUDAGraph()),
    ):
        topo_loss().compute(net)


@pytest.mark.skipif(not CUDA, reason="needs a GPU")
def test_gradients_pass_through_nccl(tmp_path):
    torch.distributed.init_process_group(
        "nccl", init_method=f"file://{tmp_path}/meet", rank=0, world_size=1
    )
    try:
        net = network()
        images = torch.randn(4, 3, 3, 3, device=DEVICE)
        model = nn.parallel.DistributedDataParallel(net, device_ids=[0])
        topo = topo_loss()
        loss = model(images).square().mean() + topo.compute(model)
        grads = gradients(net, loss)
        alone = network()
        expected = gradients(alone, alone(images).square().mean() + topo.compute(alone))
        for name, grad in grads.items():
            torch.testing.assert_close(grad, expected[name])
    finally:
        torch.distributed.destroy_process_group()

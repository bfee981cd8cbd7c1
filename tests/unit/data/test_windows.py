"""Windows: exact epochs, exact shares, the same whoever loads them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from toporepro.data.loader import Shard, load
from toporepro.data.text_store import TokenSplit
from toporepro.data.windows import Windows, count_windows, read_windows, windows_in_order
from toporepro.spec import SpecError


class Counting(TokenSplit):
    """A split whose ids are their own places."""

    def __init__(self, tokens: int) -> None:
        super().__init__((), (tokens,), "<u2", 1)

    @property
    def _mapped(self) -> list[np.ndarray]:  # type: ignore[override]
        return [np.arange(self.counts[0], dtype=np.uint16)]


sizes = st.tuples(st.integers(1, 9), st.integers(2, 90)).filter(lambda s: s[1] > s[0])


@settings(max_examples=60)
@given(size=sizes, batch=st.integers(1, 7), epochs=st.integers(1, 3))
def test_an_epoch_predicts_every_token_once(size: tuple[int, int], batch: int, epochs: int) -> None:
    context, tokens = size
    windows = Windows(split=Counting(tokens), context=context, seed=3, batch=batch)
    steps = -(-len(windows) * epochs // batch)
    rows = np.concatenate([windows[step][0][0] for step in range(steps)])
    assert rows.shape[1] == context + 1
    assert rows.dtype == np.int64
    assert (np.diff(rows, axis=1) == 1).all()
    for epoch in range(epochs):
        targets = rows[epoch * len(windows) : (epoch + 1) * len(windows), 1:]
        assert sorted(targets.ravel()) == list(range(1, len(windows) * context + 1))
    assert tokens - 1 - context < len(windows) * context <= tokens - 1


@settings(max_examples=60)
@given(
    size=sizes,
    world=st.integers(1, 4),
    accumulate=st.integers(1, 4),
    each=st.integers(1, 3),
    step=st.integers(0, 20),
)
def test_processes_and_passes_share_out_the_same_windows(
    size: tuple[int, int], world: int, accumulate: int, each: int, step: int
) -> None:
    batch = world * accumulate * each

    def of(shard: Shard) -> list[np.ndarray]:
        windows = Windows(
            split=Counting(size[1]), context=size[0], seed=1, batch=batch, shard=shard
        )
        return [rows for (rows,) in windows[step]]

    whole = of(Shard())[0]
    parts = [of(Shard(rank, world, accumulate)) for rank in range(world)]
    assert all(len(rows) == each for part in parts for rows in part)
    # Pass m holds the m-th run of the batch, however many processes share it.
    passes = [np.concatenate([part[m] for part in parts]) for m in range(accumulate)]
    np.testing.assert_array_equal(np.concatenate(passes), whole)


def test_the_order_depends_on_seed_and_epoch() -> None:
    def drawn(seed: int, step: int) -> list[int]:
        return Windows(split=Counting(101), context=2, seed=seed, batch=50).draw(step).tolist()

    assert drawn(0, 0) == drawn(0, 0)
    assert len({tuple(drawn(*key)) for key in ((0, 0), (0, 1), (1, 0))}) == 3
    assert sorted(drawn(0, 0)) == sorted(drawn(1, 7)) == list(range(50))


@pytest.mark.parametrize("workers", [0, 2])
def test_loading_gives_tensors_whoever_loads(tmp_path: Path, workers: int) -> None:
    files, ids = (tmp_path / "a.bin", tmp_path / "b.bin"), np.arange(47, dtype="<u4") * 1001
    for file, piece in zip(files, (ids[:20], ids[20:]), strict=True):
        file.write_bytes(piece.tobytes())
    split = TokenSplit(files, (20, 27), "<u4", 2)
    windows = Windows(split=split, context=4, seed=0, batch=6, shard=Shard(accumulate=2))
    loaded = list(load(windows, range(3, 6), workers=workers))
    assert len(loaded) == 3
    for step, passes in zip(range(3, 6), loaded, strict=True):
        for (tensor,), (rows,) in zip(passes, windows[step], strict=True):
            assert tensor.dtype == torch.int64
            np.testing.assert_array_equal(tensor.numpy(), rows)
    tested = list(windows_in_order(split, 4, 5, workers=workers))
    assert [len(some) for some in tested] == [5, 5, 1]
    expected = np.stack([ids[4 * n : 4 * n + 5] for n in range(11)])
    np.testing.assert_array_equal(torch.cat(tested).numpy(), expected)
    np.testing.assert_array_equal(read_windows(split, 4, np.array([10, 0])), expected[[10, 0]])


def test_too_little_text_is_said() -> None:
    assert count_windows(Counting(5), 4) == 1
    with pytest.raises(SpecError, match="context=5: the split has 5 tokens"):
        Windows(split=Counting(5), context=5, seed=0, batch=1)
    with pytest.raises(SpecError, match="context=0"):
        count_windows(Counting(5), 0)
    with pytest.raises(SpecError, match=r"batch=5: a multiple of 2"):
        _ = Windows(split=Counting(9), context=2, seed=0, batch=5, shard=Shard(accumulate=2))[0]

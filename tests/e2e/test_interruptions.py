"""A job that fails: what was reached is kept; the next start goes on."""

import shutil
from pathlib import Path

import pytest

from tests.e2e.conftest import Copy

pytestmark = pytest.mark.e2e


def tables(copy: Copy) -> dict[str, bytes]:
    return {
        path.name: path.read_bytes() for path in sorted((copy.results / "tables").glob("*.csv"))
    }


def test_a_failed_job_is_named_with_its_log_and_the_rest_goes_on(
    fresh: Copy, finished: Copy
) -> None:
    shutil.copytree(finished.root / "data", fresh.root / "data")
    (broken,) = (fresh.root / "data/prepared").glob("image_world-*/train_images.npy")
    content = bytearray(broken.read_bytes())
    broken.write_bytes(content[: len(content) // 2])
    output = fresh.reproduce(status=1)
    assert "job(s) failed" in output
    assert "train_images.npy" in output
    assert "run the same command again" in output
    assert list(fresh.results.glob("models/mlp/*/*/measures.csv")), "independent networks go on"
    shutil.rmtree(fresh.root / "data")
    fresh.reproduce()
    assert tables(fresh) == tables(finished)


def test_a_folder_with_spaces_and_quotes_works(finished: Copy) -> None:
    assert " " in str(finished.root)
    assert Path(finished.results, "report.html").exists()

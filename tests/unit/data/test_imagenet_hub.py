"""The gated copy on the Hugging Face Hub, played by a server on this machine."""

import dataclasses
import hashlib
import http.server
import io
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ilsvrc
import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from toporepro.data import imagenet, scatter
from toporepro.data.shards import ShardedImages
from toporepro.data.store import INDEX, DataError
from toporepro.spec import DataSpec

TOKEN = "hf_secret_of_the_user"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
ROWS: dict[str, list[tuple[str, int, bytes]]] = {
    "train-00000-of-00002.parquet": [
        (f"{w}_{n}_{w}.JPEG", ilsvrc.WNIDS.index(w), ilsvrc.jpeg(10 * n + 1))
        for n, w in enumerate(ilsvrc.WNIDS)
    ],
    "train-00001-of-00002.parquet": [
        (f"{w}_{n}_{w}.JPEG", ilsvrc.WNIDS.index(w), ilsvrc.jpeg(10 * n + 2))
        for n, w in enumerate(reversed(ilsvrc.WNIDS))
    ],
    "validation-00000-of-00001.parquet": [
        (f"ILSVRC2012_val_{n:08d}_{w}.JPEG", ilsvrc.WNIDS.index(w), ilsvrc.jpeg(10 * n + 3))
        for n, w in enumerate(ilsvrc.WNIDS)
    ],
}


def parquet_of(rows: list[tuple[str, int, bytes]]) -> bytes:
    file = io.BytesIO()
    images = [{"bytes": data, "path": path} for path, _, data in rows]
    parquet.write_table(pyarrow.table({"image": images, "label": [r[1] for r in rows]}), file)
    return file.getvalue()


FILES = {name: parquet_of(rows) for name, rows in ROWS.items()}


class Hub(http.server.BaseHTTPRequestHandler):
    seen: list[tuple[str, str | None]]
    store: str

    def do_GET(self) -> None:
        token = self.headers.get("Authorization")
        self.seen.append((self.path, token))
        name = self.path.rsplit("/", 1)[1]
        if self.path.startswith("/store/"):
            self.answer(200, FILES[name])
        elif token != f"Bearer {TOKEN}":
            self.answer(401, b"{}")
        elif self.path.endswith("/revision/main"):
            self.answer(200, json.dumps({"sha": COMMIT}).encode())
        elif self.path == f"/api/datasets/ILSVRC/imagenet-1k/tree/{COMMIT}/data":
            entries = [
                {
                    "type": "file",
                    "path": f"data/{name}",
                    "size": len(data),
                    "lfs": {"oid": hashlib.sha256(data).hexdigest(), "size": len(data)},
                }
                for name, data in {**FILES, "test-00000-of-00001.parquet": b"x"}.items()
            ]
            self.answer(200, json.dumps(entries).encode())
        elif self.path.startswith(f"/datasets/ILSVRC/imagenet-1k/resolve/{COMMIT}/data/"):
            self.answer(302, b"", Location=f"{self.store}/store/{name}")

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Silence."""


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, str | None]]]:
    """Two servers: the hub, and the store on another port to which it redirects."""
    seen: list[tuple[str, str | None]] = []
    servers = []
    for _ in range(2):
        handler = type("Bound", (Hub,), {"seen": seen})
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        servers.append((server, handler))
    (first, handler), (second, _) = servers
    handler.store = f"http://127.0.0.1:{second.server_address[1]}"  # type: ignore[attr-defined]
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{first.server_address[1]}")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    yield seen
    for server, _ in servers:
        server.shutdown()
        server.server_close()


def spec() -> DataSpec:
    options = imagenet.Options(
        form="huggingface", shards=2, side=24, test_side=24, train_images=8, test_images=4
    )
    return DataSpec(source="imagenet", options=dataclasses.asdict(options))


def check(index: Path) -> None:
    data = ShardedImages.open(index)
    data.verify()
    assert data.classes == ilsvrc.WNIDS
    assert data.split("train").labels.tolist() == [0, 1, 2, 3, 3, 2, 1, 0]
    assert np.array_equal(data.split("test").labels, [0, 1, 2, 3])


def test_fetched_with_the_token_which_stays_secret(
    tmp_path: Path, hub: list[tuple[str, str | None]], capsys: pytest.CaptureFixture[str]
) -> None:
    index = tmp_path / "prepared" / "imagenet-1" / INDEX
    for part in (1, 0):
        scatter.prepare_part(spec(), tmp_path, index, part)
    scatter.prepare_all(spec(), tmp_path, index)
    check(index)
    assert len([path for path, _ in hub if path.startswith("/api/")]) == 2
    for path, token in hub:
        assert (token is None) == path.startswith("/store/")
    assert TOKEN not in "".join(capsys.readouterr())
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or TOKEN.encode() not in path.read_bytes()


def test_files_put_there_by_hand_need_neither_token_nor_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    folder = tmp_path / "imagenet" / "parquet"
    folder.mkdir(parents=True)
    for name, data in FILES.items():
        (folder / name).write_bytes(data)
    index = tmp_path / "prepared" / "imagenet-1" / INDEX
    scatter.prepare_all(spec(), tmp_path, index)
    check(index)


def test_without_a_token_or_with_a_wrong_one(
    tmp_path: Path, hub: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    index = tmp_path / "prepared" / "imagenet-1" / INDEX
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(DataError, match=r"401 .*accept the terms at https://huggingface\.co"):
        scatter.prepare_all(spec(), tmp_path, index)
    monkeypatch.setenv("HF_TOKEN", "")
    with pytest.raises(DataError, match=r"HF_TOKEN is not set.*or put the Parquet files"):
        scatter.prepare_all(spec(), tmp_path, index)


def test_rows_without_an_image_and_damaged_files_are_faults(tmp_path: Path) -> None:
    folder = tmp_path / "imagenet" / "parquet"
    folder.mkdir(parents=True)
    for name, data in FILES.items():
        (folder / name).write_bytes(data)
    rows = ROWS["train-00000-of-00002.parquet"]
    spoilt = [(rows[0][0], 0, b""), ("no name", 1, rows[1][2]), *rows[2:]]
    (folder / "train-00000-of-00002.parquet").write_bytes(parquet_of(spoilt))
    damaged = FILES["validation-00000-of-00001.parquet"]
    (folder / "validation-00000-of-00001.parquet").write_bytes(damaged[:-50])
    index = tmp_path / "prepared" / "imagenet-1" / INDEX
    with pytest.raises(DataError, match="3 faults in 2 of 2 parts") as caught:
        scatter.prepare_all(spec(), tmp_path, index)
    assert "no image in this row" in str(caught.value)
    assert "no class in the image's name" in str(caught.value)
    assert "a damaged file" in str(caught.value)

"""GPT-2's tokenizer files, as a server on this machine gives them."""

import hashlib
from pathlib import Path

import hub_server
import pytest

from toporepro.data import gpt2_bpe
from toporepro.data.gpt2_bpe import gpt2_tokenizer
from toporepro.data.index import DataError
from toporepro.data.remote_file import RemoteFile
from toporepro.data.tokenizer import Tokenizer, train_tokenizer

SHARED = Path(__file__).parents[3] / "../shared/data/gpt2_bpe"


def test_fetched_once_and_its_size_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = train_tokenizer(["some words, some words"], 270)
    with hub_server.serving() as hub:
        files = tuple(
            RemoteFile(
                name=name,
                urls=(hub.put(f"/plain/{name}", content),),
                bytes=len(content),
                sha256=hashlib.sha256(content).hexdigest(),
            )
            for name, content in (("encoder.json", small.encoder), ("vocab.bpe", small.merges))
        )
        monkeypatch.setattr(gpt2_bpe, "FILES", files)
        with pytest.raises(DataError, match=f"{small.vocabulary} ids found, 50257 expected"):
            gpt2_tokenizer(tmp_path)
        monkeypatch.setattr(gpt2_bpe, "VOCABULARY", small.vocabulary)
        asked = len(hub.requests)
        assert gpt2_tokenizer(tmp_path) == small
        assert len(hub.requests) == asked


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the shared data's GPT-2 BPE")
def test_the_real_files_are_those_expected() -> None:
    for file in gpt2_bpe.FILES:
        assert file.fault(SHARED / file.name) is None
    assert Tokenizer.open(SHARED).vocabulary == gpt2_bpe.VOCABULARY

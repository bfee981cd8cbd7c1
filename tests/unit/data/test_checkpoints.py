"""Published checkpoints: what they must be is settled once, and nothing else passes after that."""

import hashlib
import json
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import hub_server
import pytest
from hub_server import COMMIT, Hub

from toporepro.data.checkpoints import bring, place
from toporepro.data.fetch import Patience, RemoteFile, announced
from toporepro.data.store import DataError
from toporepro.spec import CheckpointSpec, SpecError

CONTENT = random.Random(6).randbytes(50_000)
DIGEST = hashlib.sha256(CONTENT).hexdigest()
OTHER = CONTENT[::-1]
ON_HUB = "/murtylab/topo-resnet18-imagenet/resolve/main/all_topo_tau_0.5.pt"
PLAIN = "/models/resnet18-f37072fd.pth"
HASTY = Patience(attempts=2, pause=0, connect=5, stall=5, report=60)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with hub_server.serving() as running:
        yield running


def lock_of(folder: Path) -> dict[str, dict[str, object]]:
    content: dict[str, dict[str, object]] = json.loads((folder / "lock.json").read_text())
    return content


def get(folder: Path, url: str, sha256: str | None = None) -> Path:
    path, pin = bring(
        CheckpointSpec(url=url, sha256=sha256), folder / "raw", folder / "lock.json", patience=HASTY
    )
    assert hashlib.sha256(path.read_bytes()).hexdigest() == pin.sha256
    return path


def test_the_hub_announces_what_is_then_pinned(hub: Hub, tmp_path: Path) -> None:
    url = hub.put(ON_HUB, CONTENT)
    path = get(tmp_path, url)
    folder = "murtylab--topo-resnet18-imagenet--resolve--main"
    assert path == tmp_path / "raw" / "checkpoints" / folder / "all_topo_tau_0.5.pt"
    pin = {"bytes": len(CONTENT), "sha256": DIGEST, "known": "hub", "commit": COMMIT}
    assert lock_of(tmp_path) == {url: pin}
    assert hub.requests[0] == ("HEAD", ON_HUB)


def test_a_second_time_nothing_is_asked(hub: Hub, tmp_path: Path) -> None:
    url = hub.put(ON_HUB, CONTENT)
    get(tmp_path, url)
    asked = len(hub.requests)
    assert get(tmp_path, url).read_bytes() == CONTENT
    assert len(hub.requests) == asked


def test_bytes_that_are_not_those_announced_never_arrive(hub: Hub, tmp_path: Path) -> None:
    url = hub.put(ON_HUB, CONTENT)
    hub.announced[ON_HUB] = "0" * 64
    with pytest.raises(DataError, match=f"sha256 {DIGEST} found, {'0' * 64} expected"):
        get(tmp_path, url)
    assert not (tmp_path / "lock.json").exists()


def test_a_pinned_file_that_was_replaced_at_its_source_is_refused(hub: Hub, tmp_path: Path) -> None:
    url = hub.put(ON_HUB, CONTENT)
    path = get(tmp_path, url)
    path.unlink()
    hub.put(ON_HUB, OTHER)
    with pytest.raises(DataError, match=f"{DIGEST} expected"):
        get(tmp_path, url)
    assert not path.exists()


def test_another_server_is_trusted_once(hub: Hub, tmp_path: Path) -> None:
    url = hub.put(PLAIN, CONTENT)
    path = get(tmp_path, url)
    assert lock_of(tmp_path)[url]["known"] == "first download"
    path.unlink()
    hub.put(PLAIN, OTHER)
    with pytest.raises(DataError, match="could not be fetched"):
        get(tmp_path, url)


def test_first_digits_as_in_torchvisions_file_names(hub: Hub, tmp_path: Path) -> None:
    url = hub.put(PLAIN, CONTENT)
    with pytest.raises(DataError, match=f"{DIGEST} found, f37072fd expected"):
        get(tmp_path, url, "f37072fd")
    assert get(tmp_path, url, DIGEST[:8]).read_bytes() == CONTENT
    assert lock_of(tmp_path)[url]["sha256"] == DIGEST
    with pytest.raises(DataError, match="but the preset says 12345678"):
        get(tmp_path, url, "12345678")


def test_the_presets_own_sha256_goes_before_the_hubs(hub: Hub, tmp_path: Path) -> None:
    url = hub.put(ON_HUB, OTHER)
    with pytest.raises(DataError, match=f"as announced by its server.*the preset says {DIGEST}"):
        get(tmp_path, url, DIGEST)
    hub.put(ON_HUB, CONTENT)
    get(tmp_path, url, DIGEST)
    assert lock_of(tmp_path)[url]["known"] == "spec"


def test_a_file_put_there_by_hand_needs_no_network(tmp_path: Path) -> None:
    url = "http://127.0.0.1:9" + ON_HUB
    with pytest.raises(DataError, match=r"put it there by hand: .*all_topo_tau_0\.5\.pt"):
        get(tmp_path, url)
    path = tmp_path / "raw" / "checkpoints" / place(url)
    path.write_bytes(CONTENT)
    assert get(tmp_path, url) == path
    assert lock_of(tmp_path)[url]["known"] == "file on disk"
    path.write_bytes(OTHER)
    with pytest.raises(DataError, match="is there, but wrong"):
        get(tmp_path, url)


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    own = tmp_path / "own.pt"
    spec = CheckpointSpec(file=str(own), sha256=DIGEST)
    with pytest.raises(DataError, match="no such file"):
        bring(spec, tmp_path / "raw", tmp_path / "lock.json")
    own.write_bytes(CONTENT)
    assert bring(spec, tmp_path / "raw", tmp_path / "lock.json")[0] == own
    own.write_bytes(OTHER)
    with pytest.raises(DataError, match="the preset says"):
        bring(spec, tmp_path / "raw", tmp_path / "lock.json")
    assert not (tmp_path / "lock.json").exists()


def test_jobs_at_the_same_time_keep_each_others_pins(hub: Hub, tmp_path: Path) -> None:
    urls = [hub.put(ON_HUB.replace("0.5", f"{n}.0"), CONTENT + bytes([n])) for n in range(6)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda url: get(tmp_path, url), urls))
    assert set(lock_of(tmp_path)) == set(urls)


@pytest.mark.parametrize("text", ["{", "[]", '{"u": {"bytes": 1}}', '{"u": 3}'])
def test_a_damaged_lock_file(text: str, hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "lock.json").write_text(text)
    with pytest.raises(DataError, match="not a lock file of checkpoints"):
        get(tmp_path, hub.put(ON_HUB, CONTENT))


def test_a_missing_file_is_told_by_its_address(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"/murtylab/absent: 404"):
        get(tmp_path, hub.url + "/murtylab/absent")


def test_announcements(hub: Hub) -> None:
    told = announced(hub.put(ON_HUB, CONTENT), patience=HASTY)
    assert (told.bytes, told.sha256, told.commit) == (len(CONTENT), DIGEST, COMMIT)
    told = announced(hub.put(PLAIN, CONTENT), patience=HASTY)
    assert (told.bytes, told.sha256, told.commit) == (len(CONTENT), None, None)


def test_places_stay_below_the_folder_of_downloads() -> None:
    assert place("https://a.org/x/y.pt") == Path("x/y.pt")
    assert place("https://a.org/y.pt?download=true") == Path("files/y.pt")
    assert place("https://a.org/%2e%2e/..%2f/x/.y z.pt") == Path("x/y_z.pt")
    with pytest.raises(SpecError, match="names no file"):
        place("https://a.org/")


def test_only_a_first_download_may_lack_a_checksum() -> None:
    known = {"name": "f", "urls": ("http://a/f",), "bytes": 3}
    with pytest.raises(ValueError, match="a checksum is needed"):
        RemoteFile(**known)  # type: ignore[arg-type]
    assert RemoteFile(**known, first=True).checksums == {}  # type: ignore[arg-type]

"""Remotes: a folder, SSH, S3; cut off, full, refused, used by two at once. Nothing is corrupt."""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.e2e.conftest import ROOT, Injected
from tests.e2e.servers import ObjectStore, Relay, SecureShell, object_store, secure_shell
from tests.faults.clock import JUMP, Clock, needed
from tests.faults.stages import WAYS

pytestmark = pytest.mark.e2e
COUNT, BYTES = 6, 300_000
# What `track --push` and `restore` do with a remote, in any repository.
MOVE = (
    "import sys; from pathlib import Path; sys.path[:0] = sys.argv[2:4]; import track; "
    "sys.exit(track.dvc(sys.argv[1], sorted(Path('results').rglob('*.dvc'))))"
)


@dataclass
class Clone:
    """A repository with this project's settings of DVC and a few large results."""

    root: Path
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def files(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.root.glob("results/**/*.safetensors")}

    def run(self, *command: str) -> None:
        subprocess.run(command, cwd=self.root, env=self._environment(), check=True)

    def start(self, verb: str, *prefix: str) -> subprocess.Popen[str]:
        """Begin to push or pull all results."""
        folders = [str(ROOT / "workflow" / "ops"), str(ROOT / "workflow")]
        return subprocess.Popen(
            [*prefix, sys.executable, "-c", MOVE, verb, *folders],
            cwd=self.root,
            env=self._environment(),
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def move(self, verb: str, status: int = 0) -> str:
        process = self.start(verb)
        output = process.communicate(timeout=180)[0]
        assert bool(process.returncode) == bool(status), output
        return output

    def remote(self, url: str, **options: object) -> None:
        """Make this the default remote; its options stay out of git."""
        self.run("dvc", "remote", "add", "-q", "-f", "-d", "--local", "there", url)
        for name, value in options.items():
            self.run("dvc", "remote", "modify", "-q", "--local", "there", name, str(value))

    def _environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "SSH_"))}
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        return {**kept, "PATH": path, "HOME": str(self.root.parent), **self.variables}


@pytest.fixture
def make(tmp_path: Path) -> Callable[[str], Clone]:
    """Makes repositories whose large files are not here, as after ``git clone``, or are."""
    first = Clone(tmp_path / "first")
    models = first.root / "results" / "tiny" / "models"
    models.mkdir(parents=True)
    (first.root / ".dvc").mkdir()
    for name in (".dvc/config", ".dvc/.gitignore", ".dvcignore", ".gitignore"):
        shutil.copy(ROOT / name, first.root / name)
    draw = random.Random(0)
    for index in range(COUNT):
        (models / f"{index}.safetensors").write_bytes(draw.randbytes(BYTES))
    first.run("git", "init", "-q")
    first.run("dvc", "add", "-q", *map(str, sorted(models.glob("*.safetensors"))))
    first.run("git", "add", "-A")
    first.run("git", "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qm", "t")

    def made(name: str) -> Clone:
        if name == "first":
            return first
        subprocess.run(["git", "clone", "-q", str(first.root), str(tmp_path / name)], check=True)
        return Clone(tmp_path / name)

    return made


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureShell]:
    with secure_shell(tmp_path_factory.mktemp("ssh") / "server") as server:
        yield server


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    with object_store(tmp_path_factory.mktemp("s3") / "server") as server:
        yield server


def objects(store: Path) -> int:
    """Number of objects in a folder of DVC's, each of which is held against its name."""
    found = [p for p in store.glob("files/md5/??/*") if not p.name.startswith(".")]
    for path in found:
        digest = hashlib.md5(path.read_bytes()).hexdigest()
        assert digest == path.parent.name + path.name
    return len(found)


def use(clone: Clone, server: SecureShell | ObjectStore, place: str, port: int = 0) -> None:
    """Point a clone to a place on a server, over another port if given."""
    port = port or server.port
    if isinstance(server, SecureShell):
        clone.remote(f"ssh://root@127.0.0.1:{port}{place}", keyfile=server.key)
    else:
        clone.remote(f"s3://results{place}", endpointurl=f"http://127.0.0.1:{port}")
        clone.variables = {
            "AWS_ACCESS_KEY_ID": server.key,
            "AWS_SECRET_ACCESS_KEY": server.secret,
            "AWS_DEFAULT_REGION": "us-east-1",
        }


@pytest.fixture(params=["shell", "bucket"])
def server(request: pytest.FixtureRequest) -> SecureShell | ObjectStore:
    found: SecureShell | ObjectStore = request.getfixturevalue(request.param)
    return found


# Each of them over one of the servers, and once over the other.
MEMORY = "out of memory (RLIMIT_AS)"
KILLS = [
    ("shell", "kill -9 (also the out-of-memory killer's)"),
    ("bucket", "kill -9 (also the out-of-memory killer's)"),
    ("shell", "SIGTERM"),
    ("bucket", "SIGINT"),
    ("shell", MEMORY),
    ("bucket", MEMORY),
]


def kill(process: subprocess.Popen[str], way: str, line: Relay) -> None:
    assert process.poll() is None
    WAYS[way](process.pid)
    if way == MEMORY:
        line.repair()  # what comes next needs more than there is
    try:
        process.communicate(timeout=20)
    except subprocess.TimeoutExpired:  # libraries wait for a server that says nothing
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.mark.parametrize(("kind", "way"), KILLS)
def test_a_push_and_a_pull_that_are_killed_go_on(
    kind: str,
    way: str,
    make: Callable[[str], Clone],
    tmp_path: Path,
    request: pytest.FixtureRequest,
    injected: Injected,
) -> None:
    server: SecureShell | ObjectStore = request.getfixturevalue(kind)
    first, second, place = make("first"), make("second"), str(tmp_path / "store")
    up = Relay(server.port, COUNT * BYTES // 2, upward=True)
    use(first, server, place, up.port)
    pushing = first.start("push")
    assert up.stalled.wait(60), "nothing was sent"
    if isinstance(server, ObjectStore):
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):  # it has ended
                assert server.secret.encode() not in path.read_bytes()
    kill(pushing, way, up)
    up.close()
    if isinstance(server, SecureShell):
        assert objects(Path(place)) < COUNT or way == MEMORY
    use(first, server, place)
    first.move("push")
    if isinstance(server, SecureShell):
        assert objects(Path(place)) == COUNT

    down = Relay(server.port, COUNT * BYTES // 2, upward=False)
    use(second, server, place, down.port)
    pulling = second.start("pull")
    assert down.stalled.wait(60), "nothing came"
    kill(pulling, way, down)
    down.close()
    assert len(second.files) < COUNT or way == MEMORY
    objects(second.root / ".dvc" / "cache")
    use(second, server, place)
    second.move("pull")
    assert second.files == first.files
    where = {"shell": "over SSH", "bucket": "to and from S3"}[kind]
    for stage in ("push", "pull"):
        injected(way, f"{stage}, {where}", 1, "the next start goes on; identical files")


def test_a_wrong_key_is_refused_in_words(
    make: Callable[[str], Clone], shell: SecureShell, tmp_path: Path
) -> None:
    first = make("first")
    first.remote(f"ssh://root@127.0.0.1:{shell.port}{tmp_path}/store", keyfile=shell.stranger)
    output = first.move("push", status=1)
    assert "Permission denied for user root on host 127.0.0.1" in output
    assert "run it again" in output
    assert "Traceback" not in output
    assert not (tmp_path / "store").exists()


def test_a_wrong_secret_is_refused_in_words_and_written_nowhere(
    make: Callable[[str], Clone], bucket: ObjectStore, tmp_path: Path
) -> None:
    first, second = make("first"), make("second")
    for clone in (first, second):
        use(clone, bucket, str(tmp_path / "store"))
    first.move("push")
    written = []
    for clone, verb in ((first, "push"), (second, "pull")):
        secret = "Swordfish" + bucket.secret[9:]
        clone.variables["AWS_SECRET_ACCESS_KEY"] = secret
        if verb == "push":
            (clone.root / "results/tiny/models/0.safetensors").write_bytes(b"another network")
            clone.run("dvc", "add", "-q", "results/tiny/models/0.safetensors")
        output = clone.move(verb, status=1)
        assert "signature" in output or "Forbidden" in output
        assert "credentials come from the environment" in output
        assert "Traceback" not in output
        texts = [p.read_bytes() for p in clone.root.rglob("*") if p.is_file()]
        written += [output.encode(), *texts]
    assert not any(b"Swordfish" in text or bucket.secret.encode() in text for text in written)
    assert not second.files


@contextlib.contextmanager
def disk(folder: Path) -> Iterator[Callable[[str], None]]:
    """A disk of its own; what is given takes options of mount for it."""
    if os.geteuid():
        pytest.skip("not root")
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)], check=True)
    try:
        yield lambda options: subprocess.check_call(
            ["mount", "-o", f"remount,{options}", str(folder)]
        )
    finally:
        subprocess.run(["umount", str(folder)], check=True)


# What mount is told, what mends it, and what is then said.
DISKS = {
    "full disk": ("size=1m", "size=16m", "No space left on device"),
    "read-only folder": ("ro", "rw", "Read-only file system"),
}


@pytest.mark.parametrize("fault", DISKS)
def test_a_disk_that_cannot_be_written_spoils_neither_the_remote_nor_the_clone(
    fault: str, make: Callable[[str], Clone], tmp_path: Path, injected: Injected
) -> None:
    spoil, mend, says = DISKS[fault]
    first = make("first")
    with disk(tmp_path / "disk") as remount:
        store = tmp_path / "disk" / "store"
        first.remote(str(store))
        remount(spoil)
        output = first.move("push", status=1)
        assert says in output
        assert "Traceback" not in output
        assert objects(store) < COUNT
        remount(mend)
        first.move("push")
        assert objects(store) == COUNT

        second = make("second")
        second.remote(str(store))
        with disk(tmp_path / "cache") as remount_cache:
            second.run("dvc", "cache", "dir", "--local", str(tmp_path / "cache" / "dvc"))
            remount_cache(spoil)
            output = second.move("pull", status=1)
            assert says in output
            assert "Traceback" not in output
            remount_cache(mend)
            second.move("pull")
            assert second.files == first.files
    for stage in ("push", "pull"):
        injected(fault, stage, 1, "one error; afterwards identical files")


@needed
def test_a_push_and_a_pull_see_the_clock_jump(
    make: Callable[[str], Clone], tmp_path: Path, injected: Injected
) -> None:
    first, second, clock = make("first"), make("second"), Clock(tmp_path)
    for clone, verb in ((first, "push"), (second, "pull")):
        clone.remote(str(tmp_path / "store"))
        moving = clone.start(verb, *clock.command)
        output = moving.communicate(timeout=180)[0]
        assert moving.returncode == 0, output
        clock.set(3)
        injected(JUMP, verb, 1, "identical files")
    assert objects(tmp_path / "store") == COUNT
    assert second.files == first.files


def test_two_clones_may_push_at_once(
    make: Callable[[str], Clone], server: SecureShell | ObjectStore, tmp_path: Path
) -> None:
    clones = [make("first"), make("second")]
    place = str(tmp_path / "store")
    models = "results/tiny/models"
    (clones[1].root / models).mkdir(parents=True, exist_ok=True)
    for name, content in clones[0].files.items():
        (clones[1].root / models / name).write_bytes(content)
    for clone, own in zip(clones, (b"one", b"two"), strict=True):
        use(clone, server, place)
        (clone.root / models / f"{own.decode()}.safetensors").write_bytes(own * 100_000)
        clone.run("dvc", "add", "-q", *map(str, (clone.root / models).glob("*.safetensors")))
    pushing = [clone.start("push") for clone in clones]
    for process in pushing:
        output = process.communicate(timeout=180)[0]
        assert process.returncode == 0, output
    for clone in clones:
        before = clone.files
        shutil.rmtree(clone.root / ".dvc" / "cache")
        for path in (clone.root / models).glob("*.safetensors"):
            path.unlink()
        clone.move("pull")
        assert clone.files == before

"""Servers that tests of remotes talk to: OpenSSH's, one that speaks S3, and a line that breaks."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

SSHD = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
_SSHD_CONFIG = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
AuthorizedKeysFile {folder}/authorized
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
Subsystem sftp internal-sftp
"""


@dataclass(frozen=True)
class SecureShell:
    """A running sshd: its port, a key that it lets in, and one that it does not."""

    port: int
    key: Path
    stranger: Path


@dataclass(frozen=True)
class ObjectStore:
    """A running S3 server that checks signatures, with a bucket ``results``."""

    port: int
    key: str
    secret: str


@contextlib.contextmanager
def secure_shell(folder: Path) -> Iterator[SecureShell]:
    """OpenSSH's server on a free port of this machine, with keys and configuration of its own."""
    if SSHD is None:
        pytest.skip("no sshd")
    if os.geteuid():
        pytest.skip("not root")
    folder.mkdir()
    for name in ("host", "user", "stranger"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(command, check=True)
    shutil.copy(folder / "user.pub", folder / "authorized")
    Path("/run/sshd").mkdir(exist_ok=True)  # where the server locks its children in
    port = free_port()
    (folder / "config").write_text(_SSHD_CONFIG.format(port=port, folder=folder))
    with _running([SSHD, "-D", "-e", "-f", str(folder / "config")], port, folder / "log"):
        yield SecureShell(port, folder / "user", folder / "stranger")


@contextlib.contextmanager
def object_store(folder: Path) -> Iterator[ObjectStore]:
    """moto's server: after the four requests that set it up, only signed ones are answered."""
    import boto3
    from botocore.exceptions import ClientError

    folder.mkdir()
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    set_up = {**os.environ, "INITIAL_NO_AUTH_ACTION_COUNT": "4"}
    with _running(command, port, folder / "log", set_up):
        client = {
            "endpoint_url": f"http://127.0.0.1:{port}",
            "region_name": "us-east-1",
            "aws_access_key_id": "nobody",
            "aws_secret_access_key": "nothing",
        }
        iam = boto3.client("iam", **client)
        iam.create_user(UserName="writer")
        made = iam.create_access_key(UserName="writer")["AccessKey"]
        allowed = [{"Effect": "Allow", "Action": ["s3:*"], "Resource": "*"}]
        policy = json.dumps({"Version": "2012-10-17", "Statement": allowed})
        iam.put_user_policy(UserName="writer", PolicyName="all", PolicyDocument=policy)
        store = boto3.client("s3", **client)
        store.create_bucket(Bucket="results")
        with pytest.raises(ClientError, match="InvalidAccessKeyId"):
            store.list_objects_v2(Bucket="results")
        yield ObjectStore(port, made["AccessKeyId"], made["SecretAccessKey"])


class Relay:
    """A line to a local port that stops passing bytes on once ``limit`` have gone one way.

    Args:
        port: where the line leads.
        upward: whether bytes to the server count, or those from it.
    """

    def __init__(self, port: int, limit: int, *, upward: bool) -> None:
        self._target, self._left, self._upward = port, limit, upward
        self._lock, self._open = threading.Lock(), threading.Event()
        self.stalled = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def repair(self) -> None:
        """Let everything pass from now on."""
        self._open.set()

    def close(self) -> None:
        self._open.set()
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._target))
                for source, sink, counted in (
                    (near, far, self._upward),
                    (far, near, not self._upward),
                ):
                    pump = threading.Thread(
                        target=self._pump, args=(source, sink, counted), daemon=True
                    )
                    pump.start()

    def _pump(self, source: socket.socket, sink: socket.socket, counted: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(16384):
                if counted and not self._open.is_set():
                    with self._lock:
                        self._left -= len(data)
                        broken = self._left < 0
                    if broken:
                        self.stalled.set()
                        self._open.wait()
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


@contextlib.contextmanager
def _running(
    command: list[str], port: int, log: Path, environment: dict[str, str] | None = None
) -> Iterator[None]:
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, env=environment)
    try:
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, "the server does not answer"
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait()

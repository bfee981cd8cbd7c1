"""A lease keeps a second process off a folder that one works in, on this host or another.

The file names its holder (host, process, its start, cluster job) and carries a heartbeat. A holder
on this host is looked up; of one elsewhere the heartbeat is watched, so that clocks that disagree
do no harm: what beats is alive, what is silent for a while is taken over.
"""

from __future__ import annotations

import fcntl
import json
import os
import platform
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from toporepro.cards import SCHEDULERS
from toporepro.provenance import progress, write_json

BEAT = 10.0
SILENCE = 45.0  # seconds after which a holder on another host counts as gone
LONG_GONE = 3600.0  # a heartbeat this old by our clock is not watched first


class LeaseError(RuntimeError):
    """Another process holds the lease, or took it over."""


class Lease:
    """Held while entered; ``lost`` is true once somebody else has taken it.

    Args:
        folder: created if need be; the lease is ``lease.json`` in it.
        use: what its holder does there, for who is refused, such as ``"x is being trained"``.

    Attributes:
        on_beat: called at every heartbeat.
        predecessor: what the lease said of a holder that ended without giving it back.
    """

    def __init__(self, folder: Path, use: str) -> None:
        self.path = folder / "lease.json"
        self.use = use
        self.lost = False
        self.predecessor: dict[str, Any] | None = None
        self.on_beat: Callable[[], None] | None = None
        self._ended = threading.Event()
        self._writing = threading.Lock()
        self._thread = threading.Thread(target=self._beat, name="lease", daemon=True)
        self._content: dict[str, Any] = {
            "host": platform.node(),
            "pid": os.getpid(),
            "process_start": process_start(os.getpid()),
            "job": next((os.environ[name] for name in SCHEDULERS if name in os.environ), ""),
            "token": uuid.uuid4().hex,
            "started": time.time(),
        }

    def __enter__(self) -> Lease:
        """Take the lease.

        Raises:
            LeaseError: if its holder is alive.
            OSError: if the folder cannot be written.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.with_suffix(".lock").open("w") as lock:
            # Two processes that find the same stale lease must not both take it.
            fcntl.flock(lock, fcntl.LOCK_EX)
            holder = self._read()
            if holder:
                self._require_gone(holder)
                self.predecessor = holder
            self._write()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()
        if self._read().get("token") == self._content["token"]:
            self.path.unlink(missing_ok=True)

    def hand_to(self, pid: int) -> None:
        """Let a process that this one has started count as the holder: it may live longer."""
        self._content = {**self._content, "pid": pid, "process_start": process_start(pid)}
        self._write()

    def check(self) -> None:
        """Raise if the lease was taken over.

        Raises:
            LeaseError: then this process must not write any more.
        """
        if self.lost:
            raise LeaseError(f"{self.path}: another process has taken over")

    def _require_gone(self, holder: dict[str, Any]) -> None:
        who = f"process {holder.get('pid')} on {holder.get('host')}"
        who += f" (cluster job {holder['job']})" if holder.get("job") else ""
        if holder.get("host") == self._content["host"]:
            start = process_start(int(holder["pid"]))
            alive = start is not None and start == holder.get("process_start")
        else:
            alive = self._beats(holder, who)
        if alive:
            raise LeaseError(f"{self.use} by {who}; wait for it or stop it first")
        progress(f"took over from {who}, which is gone")

    def _beats(self, holder: dict[str, Any], who: str) -> bool:
        seen = holder.get("heartbeat", 0.0)
        if abs(time.time() - seen) > LONG_GONE:
            return False
        progress(f"{self.path} is held by {who}: watching for {SILENCE:.0f} s whether it is alive")
        until = time.monotonic() + SILENCE
        while time.monotonic() < until:
            time.sleep(SILENCE / 20)
            now = self._read()
            if not now:
                return False  # it ended meanwhile
            if now.get("heartbeat") != seen or now.get("token") != holder.get("token"):
                return True
        return False

    def _read(self) -> dict[str, Any]:
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
            return content if isinstance(content, dict) and "pid" in content else {}
        except (FileNotFoundError, ValueError):
            return {}

    def _write(self) -> None:
        with self._writing:
            write_json(self.path, {**self._content, "heartbeat": time.time()})

    def _beat(self) -> None:
        while not self._ended.wait(BEAT):
            holder = self._read()
            if holder.get("token") != self._content["token"]:
                self.lost = True
                return
            try:
                self._write()
                if self.on_beat:
                    self.on_beat()
            except (OSError, RuntimeError) as error:  # a full disk stops the work elsewhere
                progress(f"{self.path}: no heartbeat written ({error})")


def process_start(pid: int) -> str | None:
    """When a process of this host started, in a form to compare; ``None`` if there is none.

    Process numbers are used again; the start, in clock ticks since boot, tells them apart.
    """
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return "unknown"  # no /proc here: that it exists has to do
    return None if fields[0] == "Z" else fields[19]

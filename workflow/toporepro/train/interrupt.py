"""Ctrl-C and SIGTERM: finish the step, save, and only then stop."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

from toporepro.provenance import progress

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopSignals:
    """While entered, the first signal only sets ``requested``; a second one acts as usual.

    Args:
        repeated: whether one request comes as several signals, as it does under ``torchrun``, which
            passes on what the processes of a terminal or of a cluster's job have got already. Then
            those that follow the first mean nothing.
    """

    def __init__(self, *, repeated: bool = False) -> None:
        self._repeated = repeated
        self.requested: signal.Signals | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._handle) for number in _SIGNALS}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._restore()

    def _handle(self, number: int, _: FrameType | None) -> None:
        if self.requested is not None:
            return
        self.requested = signal.Signals(number)
        if not self._repeated:
            self._restore()
        progress(f"{self.requested.name}: saving the state after this step")

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def stop(self) -> None:
        """End the process as the signal would have.

        Raises:
            KeyboardInterrupt: after SIGINT.
            SystemExit: with status 143, after SIGTERM.
        """
        if self.requested is signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + signal.SIGTERM)

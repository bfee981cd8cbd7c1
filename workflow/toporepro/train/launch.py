"""Several processes of one training, by ``torchrun``: on this machine, or on a cluster's nodes."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Sequence

from toporepro.spec import SpecError

_PORTS = range(20_000, 30_000)


def torchrun(arguments: Sequence[str], processes: int, nodes: int = 1) -> list[str]:
    """The command that runs ``toporepro`` with ``arguments`` in so many processes in all.

    On one machine the processes meet at a free port of it. Over several nodes, which are those of a
    SLURM job, one ``torchrun`` is started on each by ``srun``, and they meet on the node that
    starts them, the job's first, at a port that follows from the job's number.

    Raises:
        SpecError: if the processes cannot be shared out evenly, or there is no SLURM job.
    """
    if processes % nodes:
        raise SpecError(f"gpus={processes}: a multiple of nodes={nodes} is needed")
    each = str(processes // nodes)
    run = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", each]
    # After the dashes nothing is torchrun's own, which would take --log for one of three.
    target = ["-m", "--", "toporepro", *arguments]
    if nodes == 1:
        return [*run, "--standalone", *target]
    job = os.environ.get("SLURM_JOB_ID", "")
    if not job.isdigit():
        raise SpecError(f"nodes={nodes}: only inside a SLURM job, and this is none")
    port = _PORTS[int(job) % len(_PORTS)]
    meeting = ["--rdzv-backend", "c10d", "--rdzv-endpoint", f"{socket.gethostname()}:{port}"]
    spread = ["srun", f"--nodes={nodes}", f"--ntasks={nodes}", "--ntasks-per-node=1"]
    step = [*spread, "--kill-on-bad-exit=1", "--export=ALL"]
    number = ["--nnodes", str(nodes), "--rdzv-id", job, "--max-restarts", "0"]
    return [*step, *run, *number, *meeting, *target]

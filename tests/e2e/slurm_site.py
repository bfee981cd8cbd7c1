"""A real SLURM on this machine: munge, slurmctld and two slurmd, whose GPUs are pretended.

Debian's packages (tests/system-packages.txt), no systemd, no accounting. Everything is in one
folder but the links in /etc/slurm, which is where a job step looks once Snakemake has cleared its
environment; so there can be one site on a machine, and only root can have it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch")
ETC = Path("/etc/slurm")
FILES = ("slurm.conf", "gres.conf", "cgroup.conf")
NODES = ("node1", "node2")
CPUS, MEMORY_MB, GPUS = 8, 32_000, 4  # of each node, all pretended
PORT = 26817


def unavailable() -> str:
    """Why there can be no site here, or ""."""
    missing = [name for name in PROGRAMS if shutil.which(name, path=_path()) is None]
    if missing or os.geteuid():
        return f"no SLURM: {', '.join(missing) or 'root'} is needed (tests/system-packages.sh)"
    taken = [
        ETC / name for name in FILES if (ETC / name).is_file() and not (ETC / name).is_symlink()
    ]
    return f"no SLURM: {taken[0]} belongs to another" if taken else ""


def _path() -> str:
    return f"{os.environ['PATH']}:/usr/sbin:/sbin"


def wait_for(
    what: str, done: Callable[[], object], seconds: float = 60.0, every: float = 0.2
) -> None:
    """Poll until something is so.

    Raises:
        TimeoutError: naming it.
    """
    until = time.monotonic() + seconds
    while not done():
        if time.monotonic() > until:
            raise TimeoutError(f"{what}: not within {seconds:.0f} s")
        time.sleep(every)


class Site:
    """The cluster; a folder with a short name, since sockets are in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cgroups = _freezer_works()
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        for name in ("etc", "log", "state", "spool", "dev"):
            (self.folder / name).mkdir(parents=True)
        ETC.mkdir(exist_ok=True)
        for name, text in self._configuration().items():
            (self.folder / "etc" / name).write_text(text)
            link = ETC / name
            link.unlink(missing_ok=True)
            link.symlink_to(self.folder / "etc" / name)
        for number in range(GPUS):
            os.mknod(self.folder / "dev" / f"nvidia{number}", 0o020666, os.makedev(1, 3))
        key = self.folder / "etc" / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o600)
        places = [f"--{what}={self.folder}/{name}" for what, name in _MUNGE.items()]
        self._spawn("munged", "munged", "--foreground", "--force", f"--key-file={key}", *places)
        wait_for("munge", (self.folder / "munge.socket").exists)
        self._spawn("slurmctld", "slurmctld", "-D")
        wait_for("slurmctld", lambda: "is UP" in self.ask("scontrol", "ping"))
        for node in NODES:
            self.start_node(node)
        wait_for("nodes", lambda: self.ask("sinfo", "-hN", "-o", "%T").split() == ["idle"] * 2)

    def start_node(self, node: str) -> None:
        (self.folder / "spool" / node).mkdir(exist_ok=True)
        self._spawn(node, "slurmd", "-D", "-N", node)

    def kill_node(self, node: str) -> None:
        """What a power cut does: slurmd and all that it started are gone, and nobody is told."""
        self._daemons.pop(node).kill()
        steps = set()
        for pid in _processes():
            with contextlib.suppress(OSError):
                content = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
                if f"SLURMD_NODENAME={node}".encode() in content:
                    steps |= {pid, *(above for above in _ancestors(pid) if _is_step(above))}
        for pid in steps:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.folder / "spool" / node)  # or a new slurmd would take up its jobs

    def revive_node(self, node: str) -> None:
        """Start a node that SLURM has given up, and wait until it has no jobs of before.

        What should have killed them while it was away reaches it once it answers again.
        """
        wait_for(node, lambda: "down" in self._says(node), 90)
        self.start_node(node)
        wait_for(node, lambda: self._says(node) == "idle")
        time.sleep(4)

    def _says(self, node: str) -> str:
        return self.ask("sinfo", "-hNn", node, "-o", "%T").strip()

    def stop(self) -> None:
        with contextlib.suppress(OSError, subprocess.SubprocessError, TimeoutError):
            self.ask("scancel", "--signal=KILL", "--full", "--user=root")
            self.ask("scancel", "--user=root")
            wait_for("end of jobs", lambda: not self.ask("squeue", "-h"), 20)
        for name in reversed(list(self._daemons)):
            process = self._daemons.pop(name)
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for path in (ETC / name for name in FILES):
            if path.is_symlink() and self.folder in path.readlink().parents:
                path.unlink()

    def ask(self, *command: str) -> str:
        """What a command of SLURM's prints."""
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        return done.stdout

    def jobs(self) -> dict[str, tuple[str, str]]:
        """State and comment (rule and wildcards) of every job so far, by its number."""
        lines = self.ask("squeue", "-h", "--states=all", "-o", "%i|%T|%k").splitlines()
        return {number: (state, about) for number, state, about in (x.split("|") for x in lines)}

    def state(self, job: str) -> str:
        return self.jobs()[job][0]

    def _spawn(self, name: str, *command: str) -> None:
        log = (self.folder / "log" / f"{name}.out").open("ab")
        environment = {**os.environ, "PATH": _path()}
        self._daemons[name] = subprocess.Popen(
            command, stdout=log, stderr=log, env=environment, start_new_session=True
        )

    def _configuration(self) -> dict[str, str]:
        host, here = socket.gethostname().split(".")[0], self.folder
        nodes = [
            f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={PORT + 1 + index} "
            f"CPUs={CPUS} RealMemory={MEMORY_MB} Gres=gpu:a100:{GPUS} Features={node} State=UNKNOWN"
            for index, node in enumerate(NODES)
        ]
        slurm = f"""
            ClusterName=site
            SlurmctldHost={host}(127.0.0.1)
            SlurmctldPort={PORT}
            SlurmUser=root
            SlurmdUser=root
            AuthType=auth/munge
            AuthInfo=socket={here}/munge.socket
            StateSaveLocation={here}/state
            SlurmdSpoolDir={here}/spool/%n
            SlurmctldPidFile={here}/slurmctld.pid
            SlurmdPidFile={here}/slurmd-%n.pid
            SlurmctldLogFile={here}/log/slurmctld.log
            SlurmdLogFile={here}/log/%n.log
            ProctrackType=proctrack/{"cgroup" if self.cgroups else "linuxproc"}
            TaskPlugin=task/{"cgroup" if self.cgroups else "none"}
            MpiDefault=none
            SwitchType=switch/none
            ReturnToService=2
            SlurmdParameters=config_overrides
            SelectType=select/cons_tres
            SelectTypeParameters=CR_Core_Memory
            GresTypes=gpu
            SchedulerType=sched/backfill
            SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0
            SlurmctldTimeout=30
            SlurmdTimeout=5
            KillWait=5
            InactiveLimit=0
            MinJobAge=86400
            AccountingStorageType=accounting_storage/none
            JobAcctGatherType=jobacct_gather/none
            MailProg=/bin/true
            PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP"""
        gres = (
            f"NodeName=node[1-{len(NODES)}] Name=gpu Type=a100 "
            f"File={here}/dev/nvidia[0-{GPUS - 1}] Flags=nvidia_gpu_env"
        )
        # Memory alone: the CPUs and GPUs are not there to be constrained.
        cgroup = """
            CgroupPlugin=cgroup/v1
            CgroupMountpoint=/sys/fs/cgroup
            ConstrainRAMSpace=yes
            ConstrainCores=no
            ConstrainDevices=no"""
        texts = {"slurm": "\n".join([slurm, *nodes]), "gres": gres, "cgroup": cgroup}
        return {
            f"{name}.conf": "\n".join(line.strip() for line in text.strip().splitlines()) + "\n"
            for name, text in texts.items()
        }


def end(process: subprocess.Popen[str]) -> None:
    """Kill a process that leads a session, and all of the session."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


_MUNGE = {
    "socket": "munge.socket",
    "pid-file": "munged.pid",
    "log-file": "log/munged.log",
    "seed-file": "munge.seed",
}


def _freezer_works() -> bool:
    """Whether steps can be put into cgroups (v1), which is how memory is enforced."""
    probe = Path("/sys/fs/cgroup/freezer/probe")
    try:
        probe.mkdir()
        probe.rmdir()
    except OSError:
        return False
    return os.access("/sys/fs/cgroup/memory/tasks", os.W_OK)


def _processes() -> Iterator[int]:
    return (int(path.name) for path in Path("/proc").glob("[0-9]*"))


def _ancestors(pid: int) -> Iterator[int]:
    while pid > 1:
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            return
        yield pid


def _is_step(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip() == "slurmstepd"
    return False

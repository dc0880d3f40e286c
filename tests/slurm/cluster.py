"""A Slurm of one node, real daemons and pretend GPUs, in one folder of its own.

    python tests/slurm/cluster.py up FOLDER
    source FOLDER/env.sh
    python tests/slurm/cluster.py down FOLDER

Nothing outside the folder is written, except that Debian's packages are
installed where the daemons are missing. No systemd, no control groups, no root
beyond the installation.
"""

from __future__ import annotations

import argparse
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

PACKAGES = ["munge", "slurmctld", "slurmd", "slurm-client"]
PROGRAMS = ["munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol"]
DAEMONS = ["slurmd", "slurmctld", "munged"]  # in the order in which they are stopped
PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
SOCKET_LIMIT = 107  # bytes in the path of a Unix socket

CONFIGURATION = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
AuthType=auth/munge
# a job that is requeued waits until its first credential has expired, by default two minutes
AuthInfo=socket={folder}/munge/socket,cred_expire=10
CredType=cred/munge
SlurmUser={user}
SlurmdUser={user}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/pid/slurmctld.pid
SlurmdPidFile={folder}/pid/slurmd.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
SlurmdParameters=config_overrides
ReturnToService=2
SlurmdTimeout=15
MinJobAge=1800
KillWait=15
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0,sched_interval=5
JobRequeue=1
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
JobCompType=jobcomp/filetxt
JobCompLoc={folder}/log/jobs.log
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} Boards=1 SocketsPerBoard=1 \
CoresPerSocket={cpus} ThreadsPerCore=1 RealMemory={memory_mb} Gres=gpu:{gpus} State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
PartitionName=gpu Nodes={host} Default=NO MaxTime=INFINITE State=UP
"""


class ClusterError(Exception):
    """A daemon that is missing or does not answer."""


def install() -> None:
    """Install Debian's packages of the daemons, where they are missing."""
    missing = [name for name in PROGRAMS if shutil.which(name, path=PATH) is None]
    if not missing:
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise ClusterError(
            f"{', '.join(missing)} not found; install Slurm and MUNGE first, on Debian as root: "
            f"apt-get install -y --no-install-recommends {' '.join(PACKAGES)}"
        )
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for command in (
        ["apt-get", "update", "-q"],
        ["apt-get", "install", "-q", "-y", "--no-install-recommends", *PACKAGES],
    ):
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        if done.returncode:
            raise ClusterError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")


class Cluster:
    """The daemons of one folder.

    Parameters
    ----------
    folder : path
        Created; its path must be short, as it holds a Unix socket.
    cpus, gpus, memory_mb : int
        What the node says it has; the GPUs are other devices under that name.
    """

    def __init__(self, folder: str | Path, *, cpus: int = 4, gpus: int = 2, memory_mb: int = 64000):
        self.folder = Path(folder).resolve()
        self.cpus, self.gpus, self.memory_mb = cpus, gpus, memory_mb
        self.host = socket.gethostname().split(".")[0]
        if len(os.fsencode(self.folder / "munge" / "socket")) > SOCKET_LIMIT:
            raise ClusterError(f"{self.folder}: the path is too long for a Unix socket")

    @property
    def environment(self) -> dict[str, str]:
        """Variables under which Slurm's commands speak to this cluster."""
        return {
            "SLURM_CONF": str(self.folder / "slurm.conf"),
            "PATH": f"{self.folder / 'bin'}{os.pathsep}{PATH}",
        }

    def command(self, *arguments: str, check: bool = True) -> str:
        """Run one of Slurm's commands; what it printed."""
        done = subprocess.run(
            arguments, capture_output=True, text=True, env=os.environ | self.environment, timeout=60
        )
        if check and done.returncode:
            raise ClusterError(f"{' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout.strip()

    # -- up and down ------------------------------------------------------------------------

    def up(self) -> None:
        """Start the daemons and wait until a job has run."""
        install()
        for name in ("munge", "state", "spool", "log", "pid", "bin"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self._configure()
        try:
            self._start_munge()
            self._run("slurmctld", "-c")
            self.start_slurmd()
            self.command("srun", "-n1", "true")
        except (ClusterError, subprocess.SubprocessError):
            self.down()
            raise

    def down(self) -> None:
        """Cancel the jobs and stop the daemons that `up` started, each by its process number."""
        if self.pid("slurmctld"):
            self.clear()
        for name in DAEMONS:
            self.kill(name, signal.SIGTERM)

    def clear(self) -> None:
        """Cancel every job and wait until they have ended."""
        self.command("scancel", "--user", _user(), check=False)
        wait(lambda: not self.jobs(), 60, "jobs to end", fail=False)

    def start_slurmd(self) -> None:
        """Start the node's daemon and wait until the node takes jobs."""
        self._run("slurmd", "-N", self.host)
        wait(lambda: self.state() in ("idle", "mixed", "allocated"), 60, "the node to come up")

    def jobs(self, *options: str) -> list[str]:
        """Lines that `squeue` prints of jobs, by default of those that have not ended."""
        return self.command("squeue", "-h", *options, check=False).splitlines()

    def state(self) -> str:
        """The node's state, as `sinfo` calls it."""
        return self.command("sinfo", "-h", "-N", "-p", "main", "-o", "%T", check=False)

    def pid(self, name: str) -> int | None:
        """Process number of a daemon of this folder, where it runs."""
        try:
            pid = int((self.folder / "pid" / f"{name}.pid").read_text())
            command = Path(f"/proc/{pid}/cmdline").read_text()  # empty for one not yet reaped
        except (OSError, ValueError):
            return None
        return pid if Path(command.split("\0")[0]).name == name else None

    def kill(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a daemon and wait until it is gone."""
        pid = self.pid(name)
        if pid is None:
            return
        os.kill(pid, number)
        if not wait(lambda: self.pid(name) is None, 30, f"{name} to end", fail=False):
            os.kill(pid, signal.SIGKILL)

    # -- parts ------------------------------------------------------------------------------

    def _configure(self) -> None:
        with socket.socket() as first, socket.socket() as second:
            ports = []
            for free in (first, second):
                free.bind(("127.0.0.1", 0))
                ports.append(free.getsockname()[1])
        content = CONFIGURATION.format(
            folder=self.folder,
            host=self.host,
            user=_user(),
            ports=ports,
            cpus=self.cpus,
            gpus=self.gpus,
            memory_mb=self.memory_mb,
        )
        (self.folder / "slurm.conf").write_text(content)
        devices = [path for path in _DEVICES if Path(path).exists()][: self.gpus]
        if len(devices) < self.gpus:
            raise ClusterError(f"{len(devices)} devices can pass for a GPU, {self.gpus} are wanted")
        lines = [f"NodeName={self.host} Name=gpu File={device}\n" for device in devices]
        (self.folder / "gres.conf").write_text("".join(lines))
        # The plugin takes SLURM_CONF out of the environment before it calls srun in a job.
        srun = self.folder / "bin" / "srun"
        elsewhere = [place for place in PATH.split(os.pathsep) if Path(place) != srun.parent]
        real = shutil.which("srun", path=os.pathsep.join(elsewhere))
        srun.write_text(
            f'#!/bin/sh\nexport SLURM_CONF={self.folder}/slurm.conf\nexec {real} "$@"\n'
        )
        srun.chmod(0o755)
        exports = [f"export {name}={value}\n" for name, value in self.environment.items()]
        (self.folder / "env.sh").write_text("".join(exports))

    def _start_munge(self) -> None:
        folder = self.folder / "munge"
        key = folder / "key"
        key.write_bytes(secrets.token_bytes(1024))
        key.chmod(0o600)
        folder.chmod(0o711)
        self._run(
            "munged",
            "--force",
            f"--key-file={key}",
            f"--socket={folder / 'socket'}",
            f"--pid-file={self.folder / 'pid' / 'munged.pid'}",
            f"--log-file={self.folder / 'log' / 'munged.log'}",
            f"--seed-file={folder / 'seed'}",
        )

    def _run(self, name: str, *options: str) -> None:
        program = shutil.which(name, path=PATH)
        done = subprocess.run(
            [program, *options],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=os.environ | self.environment,
            timeout=60,
        )
        if done.returncode:
            raise ClusterError(f"{name} does not start: {done.stderr.strip()}")


_DEVICES = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"]


def wait(condition, seconds: float, what: str, *, fail: bool = True) -> bool:
    """Wait until a condition holds; whether it does."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            if fail:
                raise ClusterError(f"waited {seconds:g} s for {what}, in vain")
            return False
        time.sleep(0.05)
    return True


def _user() -> str:
    return pwd.getpwuid(os.geteuid()).pw_name


def main() -> int:
    """Start or stop a cluster from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("action", choices=["up", "down"])
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    cluster = Cluster(arguments.folder)
    try:
        getattr(cluster, arguments.action)()
    except ClusterError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if arguments.action == "up":
        print(f"Slurm is up: source {cluster.folder / 'env.sh'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

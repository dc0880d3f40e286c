# Snakemake asked to stop by Ctrl-C, SIGTERM or a closed terminal: its jobs end before it does.

import os
import shlex
import signal
import threading
import time

import psutil
from snakemake.logging import logger
from snakemake.shell import shell

# a job on a cluster inherits it, and speaks for itself
os.environ.pop(UNDER_WORKFLOW, None)

GRACE = 8.0  # seconds for a job to write down where it is


def local_jobs():
    """The processes of the jobs that run on this machine: the shells that started them, and others.

    Children are found by their parent alone: `psutil.Process.children` leaves out those that the
    system's clock, set back, makes older than their parent.
    """
    below = {}
    for process in psutil.process_iter():
        try:
            below.setdefault(process.ppid(), []).append(process)
        except psutil.Error:
            continue
    shells, others = [], []
    waiting = {started.pid for started in list(shell._processes.values())}
    found = [process for of in below.values() for process in of if process.pid in waiting]
    while found:
        process = found.pop()
        try:
            is_shell = process.name() in ("bash", "sh")
        except psutil.Error:
            continue
        (shells if is_shell else others).append(process)
        if is_shell:
            found += below.get(process.pid, [])
    return shells, others


def end_local_jobs():
    """Ask the jobs to end, also those that start just now, and see to it after the grace.

    A shell ends when its job does; one that ended before would leave its job behind.
    """
    asked, since = set(), time.monotonic()
    while True:
        late = time.monotonic() - since > GRACE
        shells, others = local_jobs()
        for process in others + shells if late else others:
            if late or process not in asked:
                asked.add(process)
                try:
                    process.kill() if late else process.terminate()
                except psutil.Error:
                    pass
        time.sleep(0.1)


def stop_on_signals():
    """Take the signals that end Snakemake; it keeps its lock until the jobs are gone.

    To be called after the scheduler has set its own handlers, and never in a dry run or in a job.
    A signal may come while the main thread holds any lock, so that the handler takes none of
    Snakemake's: what does so waits in a thread that runs from the beginning.
    """
    graceful = signal.getsignal(signal.SIGTERM)  # Snakemake's own: no new jobs
    asked = threading.Event()

    def end():
        asked.wait()
        graceful(signal.SIGTERM, None)
        end_local_jobs()

    threading.Thread(target=end, daemon=True).start()
    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # as under nohup
        numbers.append(signal.SIGHUP)

    def stop(number, frame):
        for each in numbers:
            signal.signal(each, lambda number, frame: None)  # one is enough
        name = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
        again = shlex.join(["snakemake", *sys.argv[1:]])
        line = f"\nStopped by {name}; what is finished is kept. To go on: {again}\n"
        try:
            os.write(2, line.encode())
        except OSError:
            pass  # the terminal is gone
        logger.addFilter(lambda record: False)  # an error for each job that was stopped
        asked.set()
        raise KeyboardInterrupt  # has the scheduler cancel what runs elsewhere

    for each in numbers:
        signal.signal(each, stop)
    os.environ[UNDER_WORKFLOW] = "1"

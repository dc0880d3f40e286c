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
    """The processes of the jobs that run on this machine, below the shells that started them."""
    found = []
    for started in list(shell._processes.values()):
        try:
            processes = [psutil.Process(started.pid)]
            while processes:
                process = processes.pop()
                children = process.children()
                if process.name() in ("bash", "sh") and children:
                    processes += children
                else:
                    found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


def end_local_jobs():
    """Ask the jobs to end, also those that start just now, and see to it after the grace."""
    asked, since = set(), time.monotonic()
    while True:
        late = time.monotonic() - since > GRACE
        for process in local_jobs():
            if late or process not in asked:
                asked.add(process)
                try:
                    process.kill() if late else process.terminate()
                except psutil.NoSuchProcess:
                    pass
        time.sleep(0.1)


def stop_on_signals():
    """Take the signals that end Snakemake; it keeps its lock until the jobs are gone.

    To be called after the scheduler has set its own handlers, and never in a dry run or in a job.
    """
    graceful = signal.getsignal(signal.SIGTERM)  # Snakemake's own: no new jobs
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
        threading.Thread(target=end_local_jobs, daemon=True).start()
        graceful(number, frame)
        raise KeyboardInterrupt  # has the scheduler cancel what runs elsewhere

    for each in numbers:
        signal.signal(each, stop)
    os.environ[UNDER_WORKFLOW] = "1"

"""What jobs and their attempts have written to a run's folder; any of it may be missing or half written."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

ATTEMPTS, RECORD, DRIVER_LOG = "attempts", "attempt.json", "driver.log"
# Jobs that were submitted for a run, one JSON object per line.
SUBMITTED = "jobs.jsonl"
# Set in a job (slurm/lib/environment.sh): the folder of its attempt.
ATTEMPT_VARIABLE = "MEDU1_ATTEMPT_DIR"


@dataclass(frozen=True)
class Attempt:
    """One start of a job (slurm/lib/attempt.sh).

    Attributes:
        folder: where its logs are.
        job_id: Slurm's number of the job.
        restart: how often the job had been requeued before.
        nodes: the nodes it ran on.
        started: when it started.
        ended: when it ended; None while it runs, or if it was killed before it could record its end.
        exit_code: of the driver, or of whatever ended the attempt.
        reason: how it ended, in words.
    """

    folder: Path
    job_id: str
    restart: int
    nodes: Sequence[str]
    started: datetime
    ended: datetime | None
    exit_code: int | None
    reason: str


def this_attempt() -> Path | None:
    """Return the folder of the attempt that this process belongs to; None outside of a job."""
    folder = os.environ.get(ATTEMPT_VARIABLE)
    return Path(folder) if folder else None


def read_attempts(run_dir: Path) -> list[Attempt]:
    """Return the attempts of a run, in order.

    Raises:
        ValueError: a record can't be read.

    Example:
        >>> read_attempts(Path("nowhere"))
        []
    """
    return [_read(file) for file in sorted((run_dir / ATTEMPTS).glob(f"*/{RECORD}"))]


def _read(file: Path) -> Attempt:
    try:
        found = json.loads(file.read_text())
        return Attempt(
            folder=file.parent,
            job_id=str(found["job_id"]),
            restart=found["restart"],
            nodes=found["nodes"],
            started=datetime.fromisoformat(found["started"]),
            ended=datetime.fromisoformat(found["ended"]) if found["ended"] else None,
            exit_code=found["exit_code"],
            reason=found["reason"],
        )
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{file} is not a record of an attempt ({error}); move its folder away.") from None


def attempts_table(attempts: Sequence[Attempt], running_job: str | None) -> "Table":
    """Make a table with a row for each attempt.

    Args:
        attempts: the attempts of one run.
        running_job: the job that is pending or running in Slurm. An attempt without an end is running if it is the last
            one of this job; otherwise it was killed.
    """
    from rich.table import Table

    table = Table("attempt", "job", "nodes", "started", "ended", "exit code", "how it ended")
    for attempt in attempts:
        is_last = attempt is attempts[-1]
        reason = attempt.reason
        if attempt.ended is None and not (is_last and attempt.job_id == running_job):
            reason = "killed: it wrote no end down"
        table.add_row(
            attempt.folder.name,
            attempt.job_id,
            ", ".join(attempt.nodes),
            f"{attempt.started:%Y-%m-%d %H:%M:%S}",
            f"{attempt.ended:%Y-%m-%d %H:%M:%S}" if attempt.ended else "-",
            "-" if attempt.exit_code is None else str(attempt.exit_code),
            reason,
        )
    return table


def submitted(run_dir: Path) -> tuple[list[str], int]:
    """Return the numbers of the jobs submitted for a run, oldest first, and how many lines do not name a job.

    A line may be cut off because the disk was full or `medu1 slurm` was killed.

    Example:
        >>> submitted(Path("nowhere"))
        ([], 0)
    """
    file = run_dir / SUBMITTED
    lines = file.read_text(errors="replace").splitlines() if file.is_file() else []
    numbers = [number for line in lines if (number := _number_in(line))]
    return numbers, len(lines) - len(numbers)


def _number_in(line: str) -> str | None:
    try:
        number = str(json.loads(line)["job"])
    except (ValueError, TypeError, KeyError):
        return None
    return number if number.isascii() and number.isdigit() else None


def jobs_of(run_dir: Path) -> list[str]:
    """Return the numbers of a run's jobs, submitted by us or by hand, oldest first.

    Example:
        >>> jobs_of(Path("nowhere"))
        []
    """
    return sorted({*submitted(run_dir)[0], *(attempt.job_id for attempt in read_attempts(run_dir))}, key=int)


def find_run(job: str, folder: Path) -> Path | None:
    """Find the run below a folder that has an attempt or a submission of this job.

    Example:
        >>> find_run("17", Path("nowhere")) is None
        True
    """
    for record in sorted(folder.glob(f"**/{ATTEMPTS}/*/{RECORD}")):
        if _read(record).job_id == job:
            return record.parents[2]
    for file in sorted(folder.glob(f"**/{SUBMITTED}")):
        if job in submitted(file.parent)[0]:
            return file.parent
    return None

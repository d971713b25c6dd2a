"""Time training steps and inference beside other frameworks, in turns, two threads each.

Workers of both sides are processes that stay alive; the driver goes round (ours, peer, ours,
peer, ...), each turn lasts at least 0.35 s, and the shortest of at least five counts. Quote the
ratios of one run, never its absolute times. No peer is ever installed.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

WORKERS = Path(__file__).resolve().parent / "bench_workers"
sys.path[:0] = [str(WORKERS), str(WORKERS.parent)]

import command_options  # noqa: E402
from workloads import THREADS, WORKLOADS, Workload  # noqa: E402

PEERS = {
    "torch": ("torch_peer.py", ["eager", "channels_last"]),
    "onnxruntime": ("runtime_peers.py", [None]),
    "openvino": ("runtime_peers.py", [None]),
}
TURN_SECONDS = 0.35
FEWEST_ROUNDS = 5
AGREEMENT = 1e-3


class Refusal(Exception):
    """Why a worker gives no value."""


class Worker:
    """A process of one side, and the seconds a step of it took in each turn."""

    def __init__(self, python: str, script: str, argument: str = ""):
        variables = {**os.environ, "OMP_NUM_THREADS": str(THREADS)}
        # Not a pipe: one that nobody reads would fill up.
        self.said = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self.process = subprocess.Popen(
            [python, str(WORKERS / script), argument],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.said,
            text=True,
            env=variables,
        )
        self.seconds: list[float] = []
        self.dropped = 0
        self.reason = ""
        self.versions: dict[str, str] = {}

    def ask(self, **request):
        """Send a request and return the answer; raise Refusal with the worker's reason."""
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            code = self.process.wait()
            self.said.seek(0)
            last = self.said.read().strip().split("\n")[-1]
            missing = last.startswith(("ModuleNotFoundError", "ImportError"))
            raise Refusal(f"not installed: {last}" if missing else f"it ended ({code}): {last}")
        answer = json.loads(line)
        if "reason" in answer:
            raise Refusal(answer["reason"])
        return answer

    def turn(self, warm_up: bool = False) -> None:
        """Run one turn; its sample counts only where the clocks agree."""
        sample = self.ask(do="round", seconds=TURN_SECONDS)
        if warm_up:
            return
        if clocks_agree(sample):
            self.seconds.append(sample["wall"] / sample["steps"])
        else:
            self.dropped += 1

    def close(self) -> None:
        """End the process."""
        if self.process.poll() is None:
            self.process.stdin.close()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process.stdout.close()
        self.said.close()


def clocks_agree(sample: dict) -> bool:
    """Say whether a sample can be trusted.

    Minima keep exactly those samples in which a virtual machine's clock went wrong. So the clock
    that counts and the processor's time stamps must agree within 3 %, and the CPU time cannot be
    more than the threads had.
    """
    tolerance = 0.03 * sample["stamp"] + 2e-6
    possible = THREADS * (sample["stamp"] + tolerance) + 0.02  # CPU time is counted in ticks
    return abs(sample["wall"] - sample["stamp"]) <= tolerance and sample["cpu"] <= possible


def difference(ours: list[float], theirs: list[float]) -> float:
    """Return the largest difference relative to the largest value at hand."""
    if len(ours) != len(theirs) or not all(value == value for value in ours + theirs):
        return float("inf")
    scale = max(abs(value) for value in theirs) or 1.0
    return max(abs(a - b) for a, b in zip(ours, theirs)) / scale


def start_peer(options, name: str, peer: str, variant, folder: str, expected: list[float]):
    """Start a peer's worker and compare its numbers with ours; its `reason` says what failed."""
    worker = Worker(options.peer_python, PEERS[peer][0], peer)
    try:
        answer = worker.ask(do="prepare", workload=name, variant=variant, folder=folder)
        worker.versions = answer["versions"]
        found = difference(expected, worker.ask(do="check")["values"])
        if found > AGREEMENT:
            what = "losses over 5 steps" if WORKLOADS[name].trains else "outputs"
            worker.reason = f"refused: the {what} differ by {found:.1e}"
    except Refusal as refusal:
        worker.reason = str(refusal)
    return worker


def go_round(workers: list[Worker], rounds: int) -> None:
    """Give each worker its turn until each has enough samples."""
    for worker in workers:
        worker.turn(warm_up=True)
    for _ in range(3 * rounds):  # at most: some samples may not count
        for worker in workers:
            time.sleep(0.02)  # the other side's threads stop spinning
            worker.turn()
        if all(len(worker.seconds) >= rounds for worker in workers):
            return


@contextlib.contextmanager
def busy_processes(count: int):
    """Keep so many processes busy meanwhile, one thread each, as other users of the machine do."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield loops
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def measure(options, name: str) -> list[dict]:
    """Return the rows of one workload."""
    workload: Workload = WORKLOADS[name]
    ours = Worker(sys.executable, "ours.py")
    peers: list[tuple[str, str | None, Worker | None, str]] = []
    with tempfile.TemporaryDirectory() as folder:
        try:
            answer = ours.ask(do="prepare", workload=name, variant=None, folder=folder)
            expected = ours.ask(do="check")["values"]
            for peer in options.peers:
                if workload.trains and peer != "torch":
                    peers.append((peer, None, None, "it infers only; see e1"))
                    continue
                for variant in PEERS[peer][1]:
                    worker = start_peer(options, name, peer, variant, folder, expected)
                    if worker.reason:
                        worker.close()
                    peers.append((peer, variant, worker, worker.reason))
            running = [worker for _, _, worker, reason in peers if not reason]
            with busy_processes(options.busy):
                go_round([ours, *running], options.rounds)
        finally:
            for worker in [ours, *(worker for _, _, worker, _ in peers if worker)]:
                worker.close()
    ours.versions = answer["versions"]
    return [make_row(name, ours, *peer) for peer in peers]


def make_row(name: str, ours: Worker, peer: str, variant, worker, reason: str) -> dict:
    """Put one comparison together."""
    workload = WORKLOADS[name]
    row = {"workload": name, "peer": peer, "variant": variant, "unit": workload.unit}
    row.update(ours=None, peer_value=None, ratio=None)
    if not ours.seconds or (not reason and not worker.seconds):
        reason = reason or "no sample in which the clocks agree"
    if ours.seconds:
        row["ours"] = workload.value(min(ours.seconds))
    if not reason:
        row["peer_value"] = workload.value(min(worker.seconds))
        row["ratio"] = min(worker.seconds) / min(ours.seconds)
        row["rounds"] = min(len(ours.seconds), len(worker.seconds))
        row["dropped"] = ours.dropped + worker.dropped
    else:
        row["reason"] = reason
    row["versions"] = {**ours.versions, **(worker.versions if worker else {})}
    return row


def print_rows(rows: list[dict]) -> None:
    """Print the rows as a table."""
    for row in rows:
        start = f"{row['workload']:5s} {row['peer']:12s} {row['variant'] or '':14s}"
        ours = "-" if row["ours"] is None else f"{row['ours']:.1f}"
        if "reason" in row:
            print(f"{start} {ours:>9s} {'-':>9s} {row['unit']:9s}        {row['reason']}")
        else:
            numbers = f"{ours:>9s} {row['peer_value']:9.1f} {row['unit']:9s}"
            print(f"{start} {numbers} {row['ratio']:6.2f}")
    sys.stdout.flush()


def processor() -> str:
    """Return the processor's name."""
    for line in Path("/proc/cpuinfo").read_text().split("\n"):
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def known(names: list[str] | None, all_names, parser) -> list[str]:
    """Return the names asked for, all where none are."""
    for name in names or []:
        if name not in all_names:
            parser.error(f"'{name}' is none of {', '.join(all_names)}")
    return names or list(all_names)


def main() -> int:
    """Run the workloads and return the exit code: 1 when nothing of ours could be measured."""
    parser = command_options.parser("bench")
    options = parser.parse_args()
    options.workloads = known(options.workloads, WORKLOADS, parser)
    options.peers = known(options.peers, PEERS, parser)
    if not shutil.which(options.peer_python):
        parser.error(f"there is no {options.peer_python}")
    options.rounds = max(options.rounds, FEWEST_ROUNDS)

    print(f"{'':33s} {'ours':>9s} {'peer':>9s} {'':9s} ratio (> 1: ours is faster)", flush=True)
    rows, failed = [], False
    for name in options.workloads:
        try:
            made = measure(options, name)
        except Refusal as refusal:
            print(f"{name:5s} ours failed: {refusal}", file=sys.stderr)
            failed = True
            continue
        print_rows(made)
        rows += made
    if options.json:
        top = {"device": processor(), "threads": THREADS, "measured": time.strftime("%F %T")}
        top["busy"] = options.busy
        options.json.write_text(json.dumps({**top, "rows": rows}, indent=1) + "\n")
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)

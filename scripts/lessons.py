"""Run every lesson of nbs/tutorials as Jupyter does, in a kernel of its own, and print a table of its times.

    python scripts/lessons.py         all of them
    python scripts/lessons.py 03 07   only these

A lesson may take three minutes of the kernel's CPU time, which other work on the machine changes little. The outputs of
the stored lesson and of the run must be equal in kind. The notebooks are left as they are.
"""
import argparse
import json
import math
import subprocess
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

try: import resource
except ImportError: resource = None  # not on Windows

LESSONS = Path(__file__).resolve().parent.parent/"nbs"/"tutorials"
LIMIT = 180  # seconds


def kinds(nb):
    "What each code cell shows: the kinds of its outputs, without their content."
    def cell_kinds(cell):
        types = {out.output_type for out in cell.outputs}
        return types | {kind for out in cell.outputs for kind in out.get("data", {})}
    return [cell_kinds(c) for c in nb.cells if c.cell_type == "code"]


def used_by_children():
    "Seconds of CPU time and largest memory in MB of the child processes; on Windows they are not measured."
    if resource is None: return math.nan, math.nan
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime+used.ru_stime, used.ru_maxrss/(1 << 20 if sys.platform == "darwin" else 1 << 10)


def run_one(path):
    "Seconds and fault of one lesson; the kernel is the only child process, so the usage of the children is its usage."
    nb = nbformat.read(path, 4)
    stored_kinds = kinds(nb)
    began = time.monotonic()
    fault = ""
    client = NotebookClient(nb, timeout=1800, kernel_name="python3", resources={"metadata": {"path": str(path.parent)}})
    try:
        client.execute()
    except CellExecutionError as e:
        fault = str(e).strip().splitlines()[-1]
    cpu, mb = used_by_children()
    differ = [i for i, (a, b) in enumerate(zip(stored_kinds, kinds(nb))) if a != b]
    if not fault and differ: fault = f"outputs of other kinds in code cells {differ}"
    if not fault and cpu > LIMIT: fault = f"more than {LIMIT} s"
    return dict(cpu=cpu, wall=time.monotonic()-began, mb=mb, fault=fault)


def run_in_process(path):
    "Run one lesson by this script in a process of its own; what `run_one` returns."
    command = [sys.executable, __file__, "--one", str(path)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode: sys.exit(f"{path.name}: the run ended early: {done.stderr.strip()[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("lessons", nargs="*", help="their numbers, e.g. 03")
    ap.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    args = ap.parse_args()
    if args.one:
        print(json.dumps(run_one(args.one)))
        return
    found = [p for p in sorted(LESSONS.glob("*.ipynb")) if not args.lessons or p.name[:2] in args.lessons]
    if not found: sys.exit(f"no lesson {' or '.join(args.lessons)} in {LESSONS}; they are numbered 01 to 08")
    print("| lesson | CPU, s | wall, s | memory, MB | |\n| --- | --- | --- | --- | --- |")
    faults = 0
    for p in found:
        result = run_in_process(p)
        fault = result["fault"]
        faults += bool(fault)
        numbers = f"{result['cpu']:.0f} | {result['wall']:.0f} | {result['mb']:.0f}"
        print(f"| {p.stem} | {numbers} | {fault or 'as stored'} |", flush=True)
    sys.exit(bool(faults))


if __name__ == "__main__": main()

"""Run every lesson of nbs/tutorials as Jupyter does, by nbclient, in a kernel of its own, and print a table of its times.

    python scripts/lessons.py         all of them
    python scripts/lessons.py 03 07   only these

CPU time of the kernel is what a shared machine cannot falsify; a lesson may take three minutes of it. The outputs of the stored lesson and of the
run must be equal in kind. The notebooks are left as they are.
"""
import argparse, json, resource, subprocess, sys, time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

LESSONS = Path(__file__).resolve().parent.parent/"nbs"/"tutorials"
LIMIT = 180  # seconds


def kinds(nb):
    "What each code cell shows, without its content."
    return [{o.output_type for o in c.outputs} | {k for o in c.outputs for k in o.get("data", {})} for c in nb.cells if c.cell_type == "code"]


def run_one(path):
    "Seconds and faults of one lesson; the kernel is the only child of this process, so what children used is what it used."
    nb, began, fault = nbformat.read(path, 4), time.monotonic(), ""
    before = kinds(nb)
    try: NotebookClient(nb, timeout=1800, kernel_name="python3", resources={"metadata": {"path": str(path.parent)}}).execute()
    except CellExecutionError as e: fault = str(e).strip().splitlines()[-1]
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = used.ru_utime+used.ru_stime
    differ = [i for i, (a, b) in enumerate(zip(before, kinds(nb))) if a != b]
    if not fault and differ: fault = f"outputs of other kinds in code cells {differ}"
    if not fault and cpu > LIMIT: fault = f"more than {LIMIT} s"
    return dict(cpu=cpu, wall=time.monotonic()-began, mb=used.ru_maxrss >> 10, fault=fault)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("lessons", nargs="*", help="their numbers, e.g. 03")
    ap.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    args = ap.parse_args()
    if args.one: return print(json.dumps(run_one(args.one)))
    found = [p for p in sorted(LESSONS.glob("*.ipynb")) if not args.lessons or p.name[:2] in args.lessons]
    if not found: sys.exit(f"no lesson {' or '.join(args.lessons)} in {LESSONS}; they are numbered 01 to 08")
    print("| lesson | CPU, s | wall, s | memory, MB | |\n| --- | --- | --- | --- | --- |")
    faults = 0
    for p in found:
        said = subprocess.run([sys.executable, __file__, "--one", str(p)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True).stdout
        r = json.loads(said.splitlines()[-1])
        faults += bool(r["fault"])
        print(f"| {p.stem} | {r['cpu']:.0f} | {r['wall']:.0f} | {r['mb']} | {r['fault'] or 'as stored'} |", flush=True)
    sys.exit(bool(faults))


if __name__ == "__main__": main()

"""All checks of `make test`: tidy notebooks, a package equal to their export, a current README, all tests.

    python scripts/check.py                 all of it
    python scripts/check.py --tidy          only the quick checks of the files
    python scripts/check.py --flags slow    run the cells flagged `slow`, too
    python scripts/check.py 108 109         run only the notebooks whose names begin so
"""
import argparse
import ast
import concurrent.futures
import filecmp
import json
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NBS = ROOT/"nbs"
PRELOADED = [  # imported once for all notebooks, which saves seconds of each; not fastai, which changes `test_eq`
    "nbdev.test", "nbdev.showdoc", "fastcore.test", "torch", "torch._dynamo", "torchvision", "numpy", "pandas",
    "matplotlib.pyplot", "cv2", "scipy.optimize", "scipy.sparse.csgraph", "scipy.ndimage", "scipy.stats",
    "sklearn.cluster", "sklearn.model_selection", "sklearn.manifold", "ipywidgets", "PIL.Image", "requests",
    "fastprogress", "IPython.core.interactiveshell",
]
FLAGS = ("slow", "cuda", "data", "posix")
ALWAYS = ("posix",)*(os.name == "posix")  # skipped on Windows only
DIRECTIVES = {
    "default_exp", "export", "exporti", "exports", "hide", "hide_input", "hide_output", "echo:", "eval:", "code-fold:",
    "code-summary:", "output:", "warning:", "fig-cap:", "label:", *FLAGS,
}
ONE_MB = 1 << 20
THREE_MB = 3 << 20
PROGRESS_OUTPUT = re.compile(r"\d+%\||it/s\]|<progress|application/vnd.jupyter.widget-state")
MACHINE_PATH = re.compile(r"/(home|root|Users|tmp|work)/|site-packages/")


def is_hidden(path):
    "Whether a notebook lies in a folder that nbdev passes over."
    return any(part.startswith((".", "_")) for part in path.relative_to(NBS).parts)


def notebooks(prefixes=()):
    "All notebooks, or those whose names begin so."
    found = sorted(p for p in NBS.rglob("*.ipynb") if not is_hidden(p))
    return [p for p in found if not prefixes or p.name.startswith(tuple(prefixes))]


def directive_faults(cell, where):
    "A directive must be known and stand above everything else in its cell; otherwise nbdev ignores it silently."
    code_began = False
    for line in cell["source"].splitlines():
        if not line.startswith("#|"):
            code_began = code_began or bool(line.strip())
            continue
        word = (line[2:].split() or [""])[0]
        if word not in DIRECTIVES:
            yield f"{where}: unknown directive `#| {word}`; the known ones are {', '.join(sorted(DIRECTIVES))}"
        if code_began:
            yield f"{where}: `#| {word}` has no effect here; move it to the first lines of the cell"


def mixed_faults(cell, where):
    "nbdev runs cells with imports first when it builds the documentation; so imports need a cell of their own."
    if re.match(r"#\|\s*(export|exporti|default_exp|eval: false)", cell["source"]): return
    lines = ["" if line.startswith(("%", "!")) else line for line in cell["source"].splitlines()]
    try:
        tree = ast.parse("\n".join(lines))
    except SyntaxError as e:
        yield f"{where}: {e}"
        return
    imports = [n for n in ast.walk(tree) if isinstance(n, (ast.Import, ast.ImportFrom))]
    if imports and not all(isinstance(n, (ast.Import, ast.ImportFrom)) for n in tree.body):
        yield (f"{where}: `{ast.unparse(imports[0])}` shares a cell with other code, which the documentation would run "
               "out of order; move the imports to a cell of their own")


def output_faults(cell, where):
    "What must not be stored: errors, progress bars, widgets, paths of this machine."
    for out in cell.get("outputs", []):
        data = {k: v for k, v in out.get("data", {}).items() if not k.startswith("image/png")}
        text = json.dumps([out.get("text"), data], ensure_ascii=False)
        if out["output_type"] == "error": yield f"{where}: the output is an error ({out.get('ename')})"
        if PROGRESS_OUTPUT.search(text): yield f"{where}: the output holds a progress bar or the state of a widget"
        if MACHINE_PATH.search(text): yield f"{where}: the output holds a path of this machine"


def notebook_number(p):
    "Place in the order of imports; experiments come after the library, pages without a number last."
    digits = re.match(r"\d+", p.name)
    if not digits or p.parent.name == "tutorials": return 9999
    return int(digits[0]) + (1000 if p.parent.name == "experiments" else 0)


def exported_module(path):
    "Name in a notebook's `default_exp`; `None` without one."
    for cell in json.loads(path.read_text())["cells"]:
        if m := re.match(r"#\|\s*default_exp\s+(\S+)", "".join(cell["source"])): return m[1]
    return None


def module_numbers(books):
    "Module name -> number of the notebook that exports it; and the faults of modules with two notebooks."
    numbers = {}
    faults = []
    for p in books:
        name = exported_module(p)
        if name is None: continue
        if name in numbers: faults.append(f"{p.name}: another notebook exports xmodreid.{name}, too, and would be lost")
        numbers[name] = notebook_number(p)
    return numbers, faults


def imported_modules(node):
    "Modules that a node of a syntax tree imports."
    if isinstance(node, ast.Import): return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module: return [node.module]
    return []


def import_faults(p, cells, numbers):
    "At its top level a notebook imports only modules of lower numbers, so no cycle can arise."
    own_number = notebook_number(p)
    exported = [c["source"] for c in cells if c["cell_type"] == "code" and re.match(r"#\|\s*export", c["source"])]
    for node in ast.parse("\n".join(exported)).body:
        if isinstance(node, ast.ImportFrom) and node.level:
            yield f"{p.name}: relative import; write it from `xmodreid`"
        for name in imported_modules(node):
            if name.startswith("xmodreid.") and numbers.get(name.removeprefix("xmodreid."), -1) >= own_number:
                yield f"{p.name} imports {name}, whose notebook does not have a lower number"


def is_clean(path):
    "Whether `nbdev_clean` would leave a notebook as it is."
    from execnb.nbio import dict2nb, nb2str
    from nbdev.clean import clean_nb
    stored, cleaned = (dict2nb(json.loads(path.read_text())) for _ in range(2))
    clean_nb(cleaned)
    return nb2str(cleaned) == nb2str(stored)


def cell_faults(cells, name):
    "Faults of the code cells of a notebook."
    for i, cell in enumerate(cells):
        if cell["cell_type"] != "code": continue
        where = f"{name}, cell {i}"
        yield from directive_faults(cell, where)
        yield from mixed_faults(cell, where)
        yield from output_faults(cell, where)


def notebook_faults(books):
    "Faults of notebooks as files: size, cells, imports, cleanness."
    numbers, faults = module_numbers(notebooks())
    yield from faults
    for p in books:
        try:
            nb = json.loads(p.read_text())
        except json.JSONDecodeError as e:
            yield f"{p.name}: not a notebook: {e}"
            continue
        for cell in nb["cells"]: cell["source"] = "".join(cell["source"])
        limit = THREE_MB if p.parent.name == "tutorials" else ONE_MB
        size = p.stat().st_size
        if size > limit: yield f"{p.name}: {size >> 10} KB, at most {limit >> 10}"
        yield from cell_faults(nb["cells"], p.name)
        yield from import_faults(p, nb["cells"], numbers)
        if not is_clean(p): yield f"{p.name}: not clean; run `nbdev_clean`"


def fresh_export(folder):
    "Export all notebooks into an empty folder; its package."
    folder.mkdir()
    for name in ("settings.ini", "setup.py"): shutil.copy(ROOT/name, folder)
    shutil.copytree(NBS, folder/"nbs", ignore=shutil.ignore_patterns(".*", "_*"))
    package = folder/"xmodreid"
    package.mkdir()
    shutil.copy(ROOT/"xmodreid"/"__init__.py", package)
    environment = {k: v for k, v in os.environ.items() if k != "IN_TEST"}  # with it, nbdev exports nothing
    command = [sys.executable, "-P", "-c", "from nbdev.doclinks import nbdev_export; nbdev_export()"]
    done = subprocess.run(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True)
    if done.returncode: sys.exit(f"nbdev_export failed: {done.stderr.strip()[-2000:]}")
    return package


def export_faults():
    "The package must be what the notebooks export, no more and no less."
    stored = ROOT/"xmodreid"
    with tempfile.TemporaryDirectory() as d:
        fresh = fresh_export(Path(d)/ROOT.name)
        stored_files, fresh_files = ({p.relative_to(r) for p in r.rglob("*.py")} for r in (stored, fresh))
        for p in sorted(stored_files-fresh_files): yield f"xmodreid/{p} is exported by no notebook; delete it"
        for p in sorted(fresh_files-stored_files): yield f"xmodreid/{p} is missing; run `nbdev_export`"
        for p in sorted(stored_files & fresh_files):
            if not filecmp.cmp(stored/p, fresh/p, shallow=False):
                yield f"xmodreid/{p} differs from what its notebook exports; run `nbdev_export`"


def readme_faults():
    "README.md must be the text of the index notebook."
    from readme import render
    path = ROOT/"README.md"
    if not path.exists() or render() != path.read_text(): yield "README.md is stale; run `python scripts/readme.py`"


def sidebar_faults():
    "The navigation of the published site must list every notebook."
    from docs import sidebar
    path = ROOT/"nbs"/"sidebar.yml"
    if not path.exists() or path.read_text() != sidebar():
        yield "nbs/sidebar.yml is stale; run `python scripts/docs.py --sidebar`"


def style_faults():
    "What ruff finds in notebooks and scripts, by the rules of ruff.toml."
    command = [sys.executable, "-m", "ruff", "check", "--quiet", "--output-format", "concise"]
    found = subprocess.run([*command, "nbs", "scripts", "setup.py"], cwd=ROOT, capture_output=True, text=True)
    if found.returncode not in (0, 1): yield f"ruff failed: {found.stderr.strip()[-300:]}"
    yield from found.stdout.strip().splitlines()


def run_one(p, force, seed):
    "Run one notebook in a process of its own, with the same seed every time; (path, passed, seconds)."
    import random
    import numpy
    import torch
    from nbdev.test import test_nb
    torch.set_num_threads(1)
    for set_seed in (random.seed, numpy.random.seed, torch.manual_seed): set_seed(seed)
    began = time.time()
    ok = test_nb(p, skip_flags=FLAGS, force_flags=[*ALWAYS, *force])[0]
    return p, ok, time.time()-began


def process_context():
    "How processes begin: on Linux as copies of one that has imported the other packages, elsewhere empty."
    if sys.platform != "linux": return multiprocessing.get_context("spawn")
    os.environ.setdefault("PYTHONWARNINGS", "ignore::FutureWarning:torch.jit._script")  # torchvision's, at its import
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context


def run_all(books, force, workers, seed):
    "Run the notebooks and print a line as each ends; those that passed and those that failed."
    os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", MPLBACKEND="agg", IN_TEST="1")
    passed, failed = [], []
    with concurrent.futures.ProcessPoolExecutor(workers, mp_context=process_context(), max_tasks_per_child=1) as pool:
        jobs = [pool.submit(run_one, p, force, seed) for p in books]
        for job in concurrent.futures.as_completed(jobs):
            p, ok, seconds = job.result()
            (passed if ok else failed).append(p)
            print(f"{'ok    ' if ok else 'FAILED'} {p.relative_to(NBS)} {seconds:6.1f} s", flush=True)
    return passed, failed


def all_faults(books):
    "Every fault of the files: notebooks, export, README, navigation, style, public names, language."
    import prose
    import surface
    return [*notebook_faults(books), *export_faults(), *readme_faults(), *sidebar_faults(), *style_faults(),
            *surface.faults(), *prose.faults()]


@contextmanager
def short_fuzzing(wanted):
    "A short run of the fuzzer beside the notebooks; gives a function that waits for it and returns its faults."
    if not wanted or os.name == "nt":  # the fuzzer needs POSIX
        yield list
        return
    command = [sys.executable, ROOT/"scripts"/"fuzz.py", "--n", "25"]
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryFile("w+") as report, tempfile.TemporaryFile("w+", errors="replace") as errors:
        run = subprocess.Popen(command, cwd=ROOT, env=env, stdout=report, stderr=errors)
        def faults():
            run.wait()
            for file in (report, errors): file.seek(0)
            print(report.read(), end="", flush=True)
            if run.returncode: print(errors.read().strip()[-2000:], flush=True)
            return ["the fuzzer found faults, see above; or call scripts/fuzz.py"] if run.returncode else []
        try: yield faults
        finally: run.kill()


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("prefixes", nargs="*", help="beginnings of notebook names, e.g. 108")
    ap.add_argument("--tidy", action="store_true", help="only the quick checks of the files")
    ap.add_argument("--flags", default="", help="also run cells with these flags, e.g. 'slow cuda'")
    ap.add_argument("--workers", type=int, default=2, help="notebooks at a time")
    ap.add_argument("--seed", type=int, default=0,
                    help="seed of every notebook; another one finds tests that pass by luck")
    args = ap.parse_args()
    unknown = sorted({*args.flags.split()}-{*FLAGS})
    if unknown: ap.error(f"no cell has the flag {' or '.join(unknown)}; the flags are {', '.join(FLAGS)}")
    books = notebooks(args.prefixes)
    if not books: sys.exit(f"no notebook begins with {' or '.join(args.prefixes)}")
    sys.path.insert(0, str(ROOT/"scripts"))
    faults = [] if args.prefixes else all_faults(books)
    for fault in faults: print("FAULT ", fault)
    with short_fuzzing(not (args.tidy or args.prefixes)) as fuzz_faults:
        passed, failed = ([], []) if args.tidy else run_all(books, args.flags.split(), args.workers, args.seed)
        for fault in fuzz_faults():
            faults.append(fault)
            print("FAULT ", fault)
    if failed: print("failed:", ", ".join(p.name for p in failed))
    print(f"{len(faults)} faults in the files")
    if not args.tidy: print(f"{len(passed)} passed, {len(failed)} failed")
    sys.exit(bool(faults or failed))


if __name__ == "__main__": main()

"""Everything `make test` demands: tidy notebooks, a package that is what they export, a fresh README, and every notebook run as a test.

    python scripts/check.py                 all of it
    python scripts/check.py --tidy          only the quick checks of the files
    python scripts/check.py --flags slow    run the cells flagged `slow`, too
    python scripts/check.py 46 47           run only the notebooks whose names begin so
"""
import argparse, ast, concurrent.futures, filecmp, json, multiprocessing, os, re, shutil, subprocess, sys, tempfile, time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NBS = ROOT/"nbs"
FLAGS = ("slow", "cuda", "data")
DIRECTIVES = {"default_exp", "export", "exporti", "exports", "hide", "hide_input", "hide_output", "echo:", "eval:", "code-fold:", "code-summary:",
              "output:", "warning:", "fig-cap:", "label:", *FLAGS}
ONE_MB, THREE_MB = 1 << 20, 3 << 20


def notebooks(prefixes=()):
    found = sorted(p for p in NBS.rglob("*.ipynb") if not any(part.startswith((".", "_")) for part in p.relative_to(NBS).parts))
    return [p for p in found if not prefixes or p.name.startswith(tuple(prefixes))]


def directive_faults(cell, where):
    "A directive must be known, and stand above everything else in its cell; otherwise nbdev passes over it in silence."
    begun = False
    for line in cell["source"].splitlines():
        if not line.startswith("#|"):
            begun = begun or bool(line.strip())
            continue
        word = (line[2:].split() or [""])[0]
        if word not in DIRECTIVES: yield f"{where}: unknown directive `#| {word}`; known are {', '.join(sorted(DIRECTIVES))}"
        if begun: yield f"{where}: the directive `#| {word}` is not among the first lines of its cell, so it does nothing"


def mixed_faults(cell, where):
    "A cell with an import in it, however deep, is run by the documentation, which skips the cells before it: imports stand alone."
    if re.match(r"#\|\s*(export|exporti|default_exp|eval: false)", cell["source"]): return
    try: tree = ast.parse("\n".join("" if line.startswith(("%", "!")) else line for line in cell["source"].splitlines()))
    except SyntaxError as e:
        yield f"{where}: {e}"
        return
    first = next((n for n in ast.walk(tree) if isinstance(n, (ast.Import, ast.ImportFrom))), None)
    if first and not all(isinstance(n, (ast.Import, ast.ImportFrom)) for n in tree.body):
        yield f"{where}: `{ast.unparse(first)}` stands beside other code, so the documentation would run this cell out of order; give the imports a cell of their own"


def output_faults(cell, where):
    "What must not be stored: errors, progress bars, widgets, paths of somebody's machine."
    for out in cell.get("outputs", []):
        data = {k: v for k, v in out.get("data", {}).items() if not k.startswith("image/png")}
        text = json.dumps([out.get("text"), data], ensure_ascii=False)
        if out["output_type"] == "error": yield f"{where}: a stored error ({out.get('ename')})"
        if re.search(r"\d+%\||it/s\]|<progress|application/vnd.jupyter.widget-state", text): yield f"{where}: a stored progress bar or widget state"
        if re.search(r'/(home|root|Users|tmp|work)/|site-packages/', text): yield f"{where}: a path of somebody's machine in the output"


def notebook_number(p):
    "Place in the order of imports; experiments come after the library, pages without a number last."
    digits = re.match(r"\d+", p.name)
    if not digits or p.parent.name == "tutorials": return 9999
    return int(digits[0]) + (1000 if p.parent.name == "experiments" else 0)


def module_numbers(books):
    "Module name -> number of the notebook that exports it."
    numbers = {}
    for p in books:
        name = next((m[1] for c in json.loads(p.read_text())["cells"] if (m := re.match(r"#\|\s*default_exp\s+(\S+)", "".join(c["source"])))), None)
        if name is None: continue
        if name in numbers: yield f"{p.name}: exports xmodreid.{name}, as another notebook does; the last would win"
        numbers[name] = notebook_number(p)
    module_numbers.found = numbers


def import_faults(p, cells, numbers):
    "A notebook imports only modules of lower numbers, so no cycle can arise."
    mine = 9999 if p.name.endswith("_cli.ipynb") else notebook_number(p)  # the command line may import everything
    code = "\n".join(c["source"] for c in cells if c["cell_type"] == "code" and re.match(r"#\|\s*export", c["source"]))
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and node.level: yield f"{p.name}: relative import; write it from `xmodreid`"
        named = [node.module] if isinstance(node, ast.ImportFrom) and node.module else [a.name for a in node.names] if isinstance(node, ast.Import) else []
        for m in named:
            if m.startswith("xmodreid.") and numbers.get(m[9:], -1) >= mine: yield f"{p.name} imports {m}, whose notebook does not have a lower number"


def notebook_faults(books):
    from nbdev.clean import clean_nb
    from execnb.nbio import dict2nb, nb2str
    yield from module_numbers(notebooks())
    for p in books:
        try: nb = json.loads(p.read_text())
        except json.JSONDecodeError as e:
            yield f"{p.name}: not a notebook: {e}"
            continue
        for c in nb["cells"]: c["source"] = "".join(c["source"])
        limit = THREE_MB if p.parent.name == "tutorials" else ONE_MB
        if p.stat().st_size > limit: yield f"{p.name}: {p.stat().st_size >> 10} KB, at most {limit >> 10}"
        for i, c in enumerate(nb["cells"]):
            if c["cell_type"] == "code":
                yield from directive_faults(c, f"{p.name}, cell {i}")
                yield from mixed_faults(c, f"{p.name}, cell {i}")
                yield from output_faults(c, f"{p.name}, cell {i}")
        yield from import_faults(p, nb["cells"], module_numbers.found)
        raw, clean = (dict2nb(json.loads(p.read_text())) for _ in range(2))
        clean_nb(clean)
        if nb2str(clean) != nb2str(raw): yield f"{p.name}: not clean; run `nbdev_clean`"


def export_faults():
    "The package must be what the notebooks export, no more and no less."
    with tempfile.TemporaryDirectory() as d:
        d = Path(d)/ROOT.name
        d.mkdir()
        for name in ("settings.ini", "setup.py"): shutil.copy(ROOT/name, d)
        shutil.copytree(NBS, d/"nbs", ignore=shutil.ignore_patterns(".*", "_*"))
        (d/"xmodreid").mkdir()
        shutil.copy(ROOT/"xmodreid"/"__init__.py", d/"xmodreid")
        subprocess.run([Path(sys.executable).with_name("nbdev_export")], cwd=d, check=True, env={k: v for k, v in os.environ.items() if k != "IN_TEST"})
        ours, theirs = ({p.relative_to(r) for p in r.rglob("*.py")} for r in (ROOT/"xmodreid", d/"xmodreid"))
        for p in sorted(ours-theirs): yield f"xmodreid/{p} is exported by no notebook"
        for p in sorted(theirs-ours): yield f"xmodreid/{p} is missing; run `nbdev_export`"
        for p in sorted(ours & theirs):
            if not filecmp.cmp(ROOT/"xmodreid"/p, d/"xmodreid"/p, shallow=False): yield f"xmodreid/{p} is not what its notebook exports; run `nbdev_export`"


def readme_faults():
    from readme import render
    if not (ROOT/"README.md").exists() or render() != (ROOT/"README.md").read_text(): yield "README.md is stale; run `python scripts/readme.py`"


def sidebar_faults():
    "The navigation of the published site must list every notebook."
    from docs import sidebar
    path = ROOT/"nbs"/"sidebar.yml"
    if not path.exists() or path.read_text() != sidebar(): yield "nbs/sidebar.yml is stale; run `python scripts/docs.py --sidebar`"


def style_faults():
    "What ruff finds in notebooks and scripts, by the rules of ruff.toml."
    command = [sys.executable, "-m", "ruff", "check", "--quiet", "--output-format", "concise", "nbs", "scripts", "setup.py"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if found.returncode not in (0, 1): yield f"ruff failed: {found.stderr.strip()[-300:]}"
    yield from found.stdout.strip().splitlines()


def run_one(p, force, seed):
    "Run one notebook in a process of its own, where chance begins alike every time: torch does not seed itself alike."
    import random, numpy, torch
    torch.set_num_threads(1)
    for f in (random.seed, numpy.random.seed, torch.manual_seed): f(seed)
    from nbdev.test import test_nb
    began = time.time()
    ok = test_nb(p, skip_flags=FLAGS, force_flags=force)[0]
    return p, ok, time.time()-began


def run_all(books, force, workers, seed):
    "Run the notebooks; print a line each as it ends."
    os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", MPLBACKEND="agg", IN_TEST="1")
    passed, failed = [], []
    pool = concurrent.futures.ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"), max_tasks_per_child=1)
    with pool:
        for done in concurrent.futures.as_completed([pool.submit(run_one, p, force, seed) for p in books]):
            p, ok, seconds = done.result()
            (passed if ok else failed).append(p)
            print(f"{'ok    ' if ok else 'FAILED'} {p.relative_to(NBS)} {seconds:6.1f} s", flush=True)
    return passed, failed


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("prefixes", nargs="*", help="beginnings of notebook names, e.g. 46")
    ap.add_argument("--tidy", action="store_true", help="only the quick checks of the files")
    ap.add_argument("--flags", default="", help="also run cells with these flags, e.g. 'slow cuda'")
    ap.add_argument("--workers", type=int, default=2, help="notebooks at a time")
    ap.add_argument("--seed", type=int, default=0, help="where chance begins in every notebook; try another to find a test that passes by luck")
    args = ap.parse_args()
    books = notebooks(args.prefixes)
    if not books: sys.exit(f"no notebook begins with {' or '.join(args.prefixes)}")
    sys.path.insert(0, str(ROOT/"scripts"))
    faults = []
    if not args.prefixes:
        import surface
        faults = [*notebook_faults(books), *export_faults(), *readme_faults(), *sidebar_faults(), *style_faults(), *surface.faults()]
    for f in faults: print("FAULT ", f)
    passed, failed = ([], []) if args.tidy else run_all(books, args.flags.split(), args.workers, args.seed)
    if failed: print("failed:", ", ".join(p.name for p in failed))
    print(f"{len(faults)} faults in the files")
    if not args.tidy: print(f"{len(passed)} passed, {len(failed)} failed")
    sys.exit(bool(faults or failed))


if __name__ == "__main__": main()

"""Build wheel and sdist, check them, and use the wheel in an empty environment away from the checkout.

    python scripts/check_wheel.py --out-dir dist        build, check, install, run the models that come with the package
    python scripts/check_wheel.py --lessons 01 04 07 08 --commands
                                                        also run lessons and commands, beside the newest fastai
    python scripts/check_wheel.py --with torch==2.8.0 torchvision==0.23.0
                                                        install these first; the wheel must leave them as they are

The environment has no nbdev and no other development tool. `--python` chooses its Python, `--with` also takes other
versions of fastai and fastcore. Needs `uv`, which `make` installs, and network access to the package index.
"""
import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIMIT_MB = 30
REPORTED = ("fastai", "fastcore", "torch", "torchvision", "numpy")
# Imports every module, and estimates and translates with the networks of the package
USE_MODELS = """
import importlib, pkgutil, sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
import torch
import xmodreid
assert not Path(xmodreid.__file__).is_relative_to(sys.argv[1]), 'this is the checkout, not the wheel'
for m in pkgutil.walk_packages(xmodreid.__path__, 'xmodreid.'): importlib.import_module(m.name)
assert 'nbdev' not in sys.modules
try: raise SystemExit(f"nbdev {version('nbdev')} is installed, so this proves nothing")
except PackageNotFoundError: pass
from xmodreid.files import read_static
from xmodreid.run.train import load_trained_gan, load_trained_pose
images = torch.rand(2, 3, 64, 32)*2-1
for name in ('synth', 'synth-large'):
    keypoints = load_trained_pose(name).keypoints(images)
    assert keypoints.shape == (2, 18, 3) and keypoints.isfinite().all()
for name in ('synth', 'synth-64x32', 'synth-thermal'):
    out = load_trained_gan(name)['ir'](images, keypoints, keypoints.flip(0))
    assert out.shape == images.shape and out.abs().max() <= 1
from xmodreid.reid.models import load_reid
assert load_reid('synth')[0](torch.rand(2, 3, 128, 64)).embed.isfinite().all()
assert read_static('annotator.css', 'explorer.js')
print('models run')
"""
# A smaller data set than that of `xmodreid synth`
MAKE_DATA = """
from xmodreid.synth.dataset import write_synth
from xmodreid.synth.world import SynthConfig
write_synth('data', SynthConfig(n_train=8, n_val=0, n_test=4, per_cam=1), progress=False)
"""
COMMANDS = """
xmodreid --version
xmodreid synth --help
xmodreid train-pose data pose --epochs 1 --width 8
xmodreid train-gan data gan --pose pose --width 8 --epochs 1 --iters 2 --batch-size 2
xmodreid translate data gan ir
xmodreid train-reid data,ir reid --epochs 1 --iters 2 --p 4
xmodreid evaluate data reid
xmodreid index data/cam1 gallery --model reid
xmodreid search gallery data/cam3 --out-dir found --k 3
xmodreid index data/cam1 shipped
xmodreid search shipped data/cam3 --k 3
"""


def call(*command, **kwargs):
    "Run a command; a failing one ends the script with the end of its output."
    command = [str(word) for word in command]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", **kwargs)
    if done.returncode: sys.exit(f"FAILED: {' '.join(command)[:200]}\n{done.stdout[-3000:]}")
    return done.stdout


def find_uv():
    "The uv beside this Python, else the one on the path."
    beside = shutil.which("uv", path=str(Path(sys.executable).parent))
    return beside or shutil.which("uv") or sys.exit("uv is missing: pip install uv")


def check_files(wheel, sdist):
    "Sizes, and the files that are not Python: weights, static files and the mark of annotations."
    for path in (wheel, sdist):
        mb = path.stat().st_size/1e6
        print(f"{path.name}: {mb:.1f} MB")
        if mb >= LIMIT_MB: sys.exit(f"FAILED: {path.name} has {mb:.1f} MB; the limit is {LIMIT_MB} MB")
    packed = set(zipfile.ZipFile(wheel).namelist())
    tracked = {p.relative_to(ROOT).as_posix() for d in ("weights", "static") for p in (ROOT/"xmodreid"/d).iterdir()}
    missing = sorted((tracked | {"xmodreid/py.typed", "xmodreid/cli.py"})-packed)
    if missing: sys.exit(f"FAILED: {wheel.name} lacks {', '.join(missing)}; see `package_data` in setup.py")
    strange = sorted(n for n in packed if not n.startswith(("xmodreid/", "xmodreid-")))
    if strange: sys.exit(f"FAILED: {wheel.name} holds {', '.join(strange[:5])}")


def build(out_dir, uv):
    "Wheel (made from the sdist, so the sdist is complete) and sdist, checked by twine."
    shutil.rmtree(ROOT/"build", ignore_errors=True)  # setuptools would pack its old files
    call(uv, "build", "--out-dir", out_dir, ROOT)
    wheel = max(out_dir.glob("xmodreid-*.whl"), key=os.path.getmtime)
    sdist = max(out_dir.glob("xmodreid-*.tar.gz"), key=os.path.getmtime)
    print(call(sys.executable, "-m", "twine", "check", "--strict", wheel, sdist).strip())
    check_files(wheel, sdist)
    return wheel


def versions(uv, python):
    "Name -> version of all packages of an environment."
    lines = call(uv, "pip", "list", "--python", python, "--format", "json").splitlines()
    listed = next(line for line in lines if line.startswith("["))  # others are warnings
    return {p["name"]: p["version"] for p in json.loads(listed)}


def check_kept(before, after):
    "What was installed first must still be there; a resolver may add packages, not replace these."
    changed = [f"{n} {v} -> {after.get(n)}" for n, v in before.items() if after.get(n) != v]
    if changed: sys.exit(f"FAILED: installing the wheel replaced {', '.join(changed)}")
    for tool in ("nbdev", "execnb"):
        if tool in after: sys.exit(f"FAILED: the wheel brings {tool}, a development tool")


def install(uv, wheel, folder, args):
    "An environment with the wheel, nbclient and a kernel; its Python."
    call(uv, "venv", "--python", args.python, folder)
    python = folder/("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if args.first: call(uv, "pip", "install", "--python", python, *args.first)
    before = versions(uv, python) if args.first else {}
    call(uv, "pip", "install", "--python", python, wheel, "nbclient", "ipykernel")
    after = versions(uv, python)
    check_kept(before, after)
    print(", ".join(f"{n} {after[n]}" for n in REPORTED), flush=True)
    return python


def run_lessons(python, numbers, folder, env):
    "Lessons in a kernel of the environment, from a copy outside the checkout."
    shutil.copytree(ROOT/"nbs"/"tutorials", folder/"nbs"/"tutorials")
    (folder/"scripts").mkdir()
    shutil.copy(ROOT/"scripts"/"lessons.py", folder/"scripts")
    print(call(python, folder/"scripts"/"lessons.py", *numbers, env=env, cwd=folder), flush=True)


def run_commands(python, folder, env):
    "The chain of commands, on a small data set."
    call(python, "-c", MAKE_DATA, cwd=folder, env=env)
    xmodreid = shutil.which("xmodreid", path=str(python.parent))
    for line in COMMANDS.strip().splitlines():
        out = call(xmodreid, *line.split()[1:], cwd=folder, env=env)
        print(f"{line}: {(out.strip().splitlines() or ['ok'])[-1][:80]}", flush=True)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--wheel", type=Path, help="use this wheel instead of building one")
    ap.add_argument("--out-dir", type=Path, help="keep wheel and sdist in this folder")
    ap.add_argument("--python", default=sys.executable, help="Python of the environment: a version or a path")
    ap.add_argument("--with", dest="first", nargs="+", default=[], metavar="PACKAGE",
                    help="packages that are installed first and must stay as they are")
    ap.add_argument("--lessons", nargs="+", default=[], metavar="NUMBER", help="lessons to run, e.g. 01 04")
    ap.add_argument("--commands", action="store_true", help="run the commands, too")
    args = ap.parse_args()
    uv = find_uv()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as d:
        folder = Path(d)
        wheel = args.wheel or build((args.out_dir or folder/"dist").resolve(), uv)
        python = install(uv, wheel.resolve(), folder/"env", args)
        env = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV", "IN_TEST")}
        env |= {"PATH": f"{python.parent}{os.pathsep}{env['PATH']}", "PYTHONUTF8": "1"}
        print(call(python, "-c", USE_MODELS, ROOT, cwd=folder, env=env).strip().splitlines()[-1], flush=True)
        if args.commands: run_commands(python, folder, env)
        if args.lessons: run_lessons(python, args.lessons, folder, env)
    print("wheel ok")


if __name__ == "__main__": main()

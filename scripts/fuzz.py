"""Feed mutated inputs to everything that reads files, options or requests: only typed errors are allowed.

    python scripts/fuzz.py                     100 inputs per kind, seed 0
    python scripts/fuzz.py --n 10000           the long run (`make fuzz`)
    python scripts/fuzz.py images --seed 7     one kind, another seed

A fault is an exception that is no `XModError`, an input that takes longer than `--seconds`, or a run that takes more
than `--gb` of memory. Each fault is printed with its number, so that `--only NUMBER` repeats it.
"""
import argparse
import contextlib
import io
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from pathlib import Path

import numpy as np

TRICKY = [
    "", " ", "0", "-1", "1e309", "nan", "inf", "None", "true", "[]", "{}", "null", "\x00", "a,b", "../x", "/", "~",
    "C:\\x", "é", "e\u0301", "\ud83d\ude00", "9"*30, "1.5", "rgb", "ir", "train", "query", "'", '"', "%s", "=1+1",
    "\n", "\t",
]


def mutate_bytes(data, rng):
    "Flip, cut, repeat, insert or replace some bytes."
    data = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 4, 16])):
        if not data: data = bytearray(b"\0")
        i = rng.randrange(len(data))
        kind = rng.randrange(7)
        if kind == 0: data[i] ^= 1 << rng.randrange(8)
        elif kind == 1: del data[i:]
        elif kind == 2: data[i:i] = bytes(rng.randrange(256) for _ in range(rng.randrange(1, 9)))
        elif kind == 3: del data[i:i+rng.randrange(1, 64)]
        elif kind == 4: data[i:i+4] = rng.choice([b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff", b"\x80\0\0\0"])
        elif kind == 5: data[i:i] = data[i:i+rng.randrange(1, 200)]
        else: data[i:i+1] = rng.choice(TRICKY).encode("utf-8", "surrogatepass")
    return bytes(data)


def mutate_json(value, rng):
    "Replace, remove or repeat one random part of a JSON value."
    if isinstance(value, dict) and value and rng.random() < .8:
        key = rng.choice(list(value))
        if rng.random() < .15: return {k: v for k, v in value.items() if k != key}
        if rng.random() < .1: return {**value, rng.choice(TRICKY): value[key]}
        return {**value, key: mutate_json(value[key], rng)}
    if isinstance(value, list) and value and rng.random() < .8:
        i = rng.randrange(len(value))
        if rng.random() < .15: return value[:i]+value[i+1:]
        if rng.random() < .1: return value+[value[i]]
        return value[:i]+[mutate_json(value[i], rng)]+value[i+1:]
    return rng.choice([*TRICKY, 0, -1, 1 << 62, 1e300, None, True, [], {}, [[]], {"a": 1}])


class Images:
    "Image files of every format, mutated; pixels, size and the check of a file."
    def __init__(self, folder):
        from PIL import Image
        rng = np.random.default_rng(0)
        rgb = rng.integers(0, 256, (40, 20, 3), dtype=np.uint8)
        deep = rng.integers(7000, 9000, (40, 20), dtype=np.uint16)
        self.seeds = {}
        for name, array, options in (
            ("a.jpg", rgb, {}), ("p.jpg", rgb, dict(progressive=True)), ("a.png", rgb, {}), ("a.webp", rgb, {}),
            ("a.bmp", rgb, {}), ("a.tiff", rgb, {}), ("d.png", deep, {}), ("d.tiff", deep, {}),
            ("f.tiff", deep.astype(np.float32)/100, {}), ("c.tiff", rgb, dict(compression="tiff_lzw")),
        ):
            buffer = io.BytesIO()
            Image.fromarray(array).save(buffer, format={"jpg": "JPEG"}.get(name[2:], name[2:].upper()), **options)
            self.seeds[name] = buffer.getvalue()
        exif = Image.Exif()
        exif[0x112] = 6
        buffer = io.BytesIO()
        Image.fromarray(rgb).save(buffer, format="JPEG", exif=exif)
        self.seeds["e.jpg"] = buffer.getvalue()
        self.folder = folder

    def run(self, rng):
        from xmodreid.data.files import image_problem
        from xmodreid.data.images import read_image, read_image_size
        name = rng.choice(sorted(self.seeds))
        path = self.folder/name
        path.write_bytes(mutate_bytes(self.seeds[name], rng))
        problem = image_problem(path, decode=True)
        try:
            image = read_image(path)
        except Exception:
            if problem is None: raise AssertionError("read_image refuses what image_problem accepts") from None
            raise
        assert problem is None, f"read_image accepts what image_problem refuses: {problem}"
        assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3, image.shape
        assert read_image_size(path) == image.shape[:2], "the size differs from the pixels"


class Tables:
    "Tables of images and trees of folders, mutated; every reader of data sets."
    def __init__(self, folder):
        from xmodreid.data.index import save_index
        from xmodreid.data.sysu import read_sysu
        from xmodreid.synth.dataset import write_synth
        from xmodreid.synth.world import SynthConfig
        config = SynthConfig(n_train=3, n_val=1, n_test=2, per_cam=1, size=(32, 16))
        self.root = Path(write_synth(folder/"sysu", config, progress=False))
        save_index(read_sysu(self.root), folder/"table")
        self.table = (folder/"table"/"index.csv").read_bytes()
        self.folder = folder

    def run(self, rng):
        from xmodreid.data.index import read_index
        from xmodreid.data.readers import READERS, read_dataset
        if rng.random() < .7:
            text = self.table
            if rng.random() < .6:
                lines = [line.split(b",") for line in text.split(b"\n")]
                line = rng.choice(lines)
                line[rng.randrange(len(line))] = rng.choice(TRICKY).encode("utf-8", "surrogatepass")
                text = b"\n".join(b",".join(line) for line in lines)
            else: text = mutate_bytes(text, rng)
            (self.folder/"table"/"index.csv").write_bytes(text)
            read_index(self.folder/"table")
            return
        tree = self.folder/"tree"
        shutil.rmtree(tree, ignore_errors=True)
        shutil.copytree(self.root, tree)
        for _ in range(rng.choice([1, 1, 3])):
            paths = sorted(p for p in tree.rglob("*"))
            path = rng.choice(paths)
            kind = rng.randrange(6)
            if kind == 0: shutil.rmtree(path) if path.is_dir() else path.unlink()
            elif kind == 1 and path.is_file(): path.write_bytes(mutate_bytes(path.read_bytes(), rng))
            elif kind == 2: path.rename(path.with_name(f"{rng.randrange(99999)}{path.suffix}"))
            elif kind == 3: (path if path.is_dir() else path.parent).joinpath(rng.choice(
                ["._x.jpg", "Thumbs.db", "x.jpg", "0009.JPG", "desktop.ini", ".ipynb_checkpoints", "é.jpg"])).touch()
            elif kind == 4:
                folder = path if path.is_dir() else path.parent
                folder.joinpath(f"{rng.randrange(99)}.jpg").mkdir(exist_ok=True)
            elif not path.is_dir(): path.write_bytes(b"")
        kind = rng.choice(["sysu", "sysu", "sysu", *READERS])
        read_dataset(kind, tree, verify=rng.choice([True, False]))


class Weights:
    "Weights, checkpoints and galleries, mutated; a flipped bit must be found."
    def __init__(self, folder):
        import torch
        from xmodreid.files import save_state
        from xmodreid.gan.learner import pose_cyclegan, save_generators
        from xmodreid.pose.compact import compact_pose
        from xmodreid.pose.weights import save_compact_pose
        from xmodreid.reid.models import reid_model, save_reid
        from xmodreid.search.gallery import GalleryIndex
        from xmodreid.search.storage import save_gallery
        save_reid(reid_model("resnet10_small", 3, width=.1), folder/"reid.safetensors", size=[32, 16])
        save_compact_pose(compact_pose(8, stride=2), folder/"pose.safetensors", (32, 16))
        save_generators(pose_cyclegan("warp", 4, 4).generators, folder/"gan.safetensors")
        save_state(folder/"state.safetensors", dict(a=torch.arange(9.), b=[1, "x", None], c=dict(d=np.arange(3))))
        save_state(folder/"state.safetensors", dict(a=torch.arange(9.), b=[1, "x", None]))
        np.savez(folder/"keypoints.npz", path=np.array(["a.jpg"]), keypoints=np.zeros((1, 18, 3), np.float32))
        gallery = GalleryIndex()
        import pandas as pd
        table = pd.DataFrame(dict(path=["a.jpg", "b.jpg"], pid=[1, 2], camid=[1, 1], modality=["rgb", "rgb"]))
        gallery.add(np.eye(2, 4, dtype=np.float32), table)
        save_gallery(gallery, folder/"gallery")
        self.seeds = {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
        self.folder = folder

    def run(self, rng):
        from xmodreid.data.keypoints import read_keypoints
        from xmodreid.files import load_state
        from xmodreid.gan.learner import load_generators
        from xmodreid.pose.weights import load_compact_pose
        from xmodreid.reid.models import load_reid
        from xmodreid.search.storage import load_gallery
        read = {"reid": load_reid, "pose": load_compact_pose, "gan": load_generators, "state": load_state,
                "keypoints": read_keypoints}
        name = rng.choice(sorted(self.seeds))
        path = self.folder/name
        data = self.seeds[name]
        changed = mutate_bytes(data, rng)
        path.write_bytes(changed)
        try:
            if name.parts[0] == "gallery": load_gallery(self.folder/"gallery").search(np.eye(1, 4, dtype=np.float32), 2)
            else: read[path.stem](path)
            assert changed == data, f"a changed {name} was read without an error"
        finally: path.write_bytes(data)


class Annotations:
    "COCO, OpenPose and keypoint files of other tools, mutated."
    def __init__(self, folder):
        from PIL import Image
        from xmodreid.annotate.state import AnnotationSession
        from xmodreid.annotate.store import export_coco
        for name in ("a.png", "b.png"): Image.fromarray(np.zeros((64, 32, 3), np.uint8)).save(folder/name)
        session = AnnotationSession(folder)
        for x in range(18): session.place(5+x, 10+2*x)
        export_coco(session, folder/"coco.json", only_done=False)
        self.coco = json.loads((folder/"coco.json").read_text())
        self.folder = folder

    def run(self, rng):
        from xmodreid.annotate.state import AnnotationSession
        from xmodreid.annotate.store import import_coco
        if rng.random() < .2: text = mutate_bytes(json.dumps(self.coco).encode(), rng)
        else:
            value = self.coco
            for _ in range(rng.choice([1, 1, 2, 5])): value = mutate_json(value, rng)
            text = json.dumps(value).encode("utf-8", "surrogatepass")
        (self.folder/"in.json").write_bytes(text)
        import_coco(AnnotationSession(self.folder), self.folder/"in.json", overwrite=True)


class Commands:
    "Command lines with wrong options and values; exit code 0, 1, 2 or 130 and no traceback."
    def __init__(self, folder):
        self.folder = folder
        (folder/"empty").mkdir()
        (folder/"file.txt").write_text("x")

    def run(self, rng):
        from xmodreid.cli import COMMANDS, main
        from xmodreid.errors import ConfigError
        options = ["--size", "--epochs", "--seed", "--device", "--pose", "--direction", "--split", "--trial", "--k",
                   "--p", "--lr", "--loss", "--model", "--generator", "--on-bad", "--rerank", "--table", "--help",
                   "--batch-size", "--protocol", "--kind", "--query-modality"]
        safe = [str(self.folder/"empty"), str(self.folder/"file.txt"), str(self.folder/"no"), "sysu:", "nothing:x",
                f"sysu:{self.folder/'empty'}", ",", "sysu:x,regdb:y"]
        command = rng.choice([c for c in COMMANDS if c not in ("demo", "synth", "reproduce", "annotate")])
        words = [command, *(rng.choice(safe) for _ in range(rng.randrange(0, 4)))]
        for _ in range(rng.randrange(0, 4)): words += [rng.choice(options), rng.choice([*TRICKY, "1", "64x32", "cpu"])]
        out = io.StringIO()
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out): main(words)
        except SystemExit as e:
            assert e.code in (0, 1, 2, 130, None), f"exit code {e.code} of {words}"
            if e.code: raise ConfigError(out.getvalue()) from None
        assert "Traceback" not in out.getvalue(), words


KINDS = {"images": Images, "tables": Tables, "weights": Weights, "annotations": Annotations, "commands": Commands}


def time_out(*_):
    "What the alarm does."
    raise TimeoutError("took too long")


def fuzz(kind, n, seed, seconds, only=None):
    "Run `n` inputs of a kind: counts of accepted and refused ones, and the faults as (number, text)."
    from xmodreid.errors import XModError
    counts, faults = Counter(), []
    with tempfile.TemporaryDirectory() as d:
        target = KINDS[kind](Path(d))
        for number in range(n) if only is None else [only]:
            rng = random.Random(f"{kind} {seed} {number}")
            signal.setitimer(signal.ITIMER_REAL, seconds)
            try:
                target.run(rng)
                counts["accepted"] += 1
            except XModError: counts["refused"] += 1
            except BaseException as e:
                if isinstance(e, KeyboardInterrupt): raise
                where = traceback.extract_tb(e.__traceback__)[-1]
                text = f"{type(e).__name__}: {str(e)[:200]} ({Path(where.filename).name}:{where.lineno})"
                faults.append((number, text))
            finally: signal.setitimer(signal.ITIMER_REAL, 0)
    return counts, faults


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", help=f"kinds of input, of {', '.join(KINDS)}; all by default")
    parser.add_argument("--n", type=int, default=100, help="inputs per kind")
    parser.add_argument("--seed", type=int, default=0, help="seed of the mutations")
    parser.add_argument("--seconds", type=float, default=10., help="longest time of one input")
    parser.add_argument("--gb", type=float, default=4., help="most memory that the whole run may take")
    parser.add_argument("--only", type=int, help="repeat this input alone")
    args = parser.parse_args()
    signal.signal(signal.SIGALRM, time_out)
    warnings.filterwarnings("ignore")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    failed = False
    for kind in args.kinds or KINDS:
        counts, faults = fuzz(kind, args.n, args.seed, args.seconds, args.only)
        kinds = Counter(text for _, text in faults)
        print(f"{kind:12} {sum(counts.values())+len(faults):6} inputs, {counts['accepted']:6} accepted, "
              f"{counts['refused']:6} refused, {len(faults):4} faults of {len(kinds)} kinds", flush=True)
        for text, times in kinds.most_common(20):
            print(f"    {times} x {text}; first --only {next(n for n, t in faults if t == text)}")
        failed = failed or bool(faults)
    gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss/1e6
    print(f"peak memory {gb:.1f} GB")
    sys.exit(failed or gb > args.gb)


if __name__ == "__main__": main()

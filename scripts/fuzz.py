"""Feed mutated inputs to everything that reads files, options or requests: only typed errors are allowed.

    python scripts/fuzz.py                     100 inputs per kind, seed 0
    python scripts/fuzz.py --n 10000           the long run (`make fuzz`)
    python scripts/fuzz.py images --seed 7     one kind, another seed

A fault is

- an exception that is no `XModError`, or an answer of the annotator's server that is neither a refusal nor a page,
- a changed weight, checkpoint, keypoint file or gallery that is read and gives other values,
- a download that leaves another file than the published one,
- an input that takes longer than `--seconds`, or a run that takes more than `--gb` of memory.

Each fault is printed with its number, so that `--only NUMBER` repeats it.
"""
import argparse
import contextlib
import hashlib
import inspect
import io
import json
import os
import random
import re
import resource
import shutil
import signal
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
from in_browser import free_port, http_request, stop, wait_until

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
        self.attrs = (folder/"table"/"index.json").read_bytes()
        self.folder = folder

    def run(self, rng):
        from xmodreid.data.readers import READERS, read_dataset
        if rng.random() < .7: return self.run_table(rng)
        self.change_tree(rng)
        kind = rng.choice(["sysu", "sysu", "sysu", *READERS])
        options = inspect.signature(READERS[kind]).parameters
        wanted = dict(verify=rng.choice([True, False, "full"]), on_bad=rng.choice(["raise", "skip"]))
        read_dataset(kind, self.folder/"tree", **{k: v for k, v in wanted.items() if k in options})

    def run_table(self, rng):
        "A changed table; beside its index.json it must be refused, alone it may be read."
        from xmodreid.data.index import read_index
        file, attrs = (self.folder/"table"/name for name in ("index.csv", "index.json"))
        attrs.unlink(missing_ok=True)
        file.write_bytes(self.table)
        if rng.random() < .2:
            changed, whole = rng.choice([(file, self.table), (attrs, self.attrs)])
            attrs.write_bytes(self.attrs)
            expected = read_index(self.folder/"table")
            changed.write_bytes(mutate_bytes(whole, rng))
            found = read_index(self.folder/"table")
            assert found.equals(expected) and found.attrs == expected.attrs, f"a changed {changed.name} was read"
            return
        text = self.table
        if rng.random() < .6:
            lines = [line.split(b",") for line in text.split(b"\n")]
            line = rng.choice(lines)
            line[rng.randrange(len(line))] = rng.choice(TRICKY).encode("utf-8", "surrogatepass")
            text = b"\n".join(b",".join(line) for line in lines)
        else: text = mutate_bytes(text, rng)
        file.write_bytes(text)
        read_index(self.folder/"table")

    def change_tree(self, rng):
        "Remove, rename, empty or add files and folders."
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


def plain(value):
    "What was loaded as values that `==` compares: networks, tables and tensors become bytes or text."
    import pandas as pd
    import torch
    if isinstance(value, torch.nn.Module): return plain(dict(value.state_dict())), repr(value)
    if isinstance(value, torch.Tensor): return str(value.dtype), tuple(value.shape), value.flatten().view(
        torch.uint8).numpy().tobytes()
    if isinstance(value, np.ndarray): return str(value.dtype), value.shape, np.ascontiguousarray(value).tobytes()
    if isinstance(value, pd.DataFrame): return value.to_csv()
    if isinstance(value, dict): return {k: plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)): return [plain(v) for v in value]
    return repr(value)


class Weights:
    "Weights, checkpoints, keypoints and galleries; a changed file is refused, or gives what the whole one gives."
    def __init__(self, folder):
        import torch
        from xmodreid.data.keypoints import save_keypoints
        from xmodreid.files import save_state
        from xmodreid.gan.learner import pose_cyclegan, save_generators
        from xmodreid.pose.compact import compact_pose
        from xmodreid.pose.weights import save_pose_net
        from xmodreid.reid.models import reid_model, save_reid
        self.folder = folder
        save_reid(reid_model("resnet10_small", 3, width=.1), folder/"reid.safetensors", size=[32, 16])
        save_pose_net(compact_pose(8, stride=2), folder/"pose.safetensors", (32, 16))
        save_generators(pose_cyclegan("warp", 4, 4).generators, folder/"gan.safetensors")
        save_state(folder/"state.safetensors", dict(a=torch.arange(9.), b=[1, "x", None, 1e-3], c=dict(d=np.arange(3))))
        torch.save(dict(w=torch.arange(99.), b=torch.ones(3)), folder/"theirs.pth")
        save_keypoints(folder/"keypoints.npz", ["a.jpg", "b.jpg"], np.ones((2, 18, 3)), (64, 32),
                       flags=np.full((2, 18), 3), done=np.array([True, False]))
        self.write_checkpoint()
        for kind in ("exact", "hnsw"): self.write_gallery(kind)
        self.seeds = {p.relative_to(folder): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
        for name in ("pose_synth", "translator_synth"): # the weights of the package
            import xmodreid
            self.seeds[Path(f"{name}.safetensors")] = (Path(xmodreid.__file__).parent/"weights"/f"{name}.safetensors"
                                                       ).read_bytes()
        for name, data in self.seeds.items(): (folder/name).write_bytes(data)
        self.expected = {name: plain(self.read(name)) for name in self.seeds}

    def write_checkpoint(self):
        "A training of one epoch."
        from fastai.data.core import DataLoaders
        from fastai.learner import Learner
        from torch import nn, rand
        from torch.utils.data import DataLoader, TensorDataset
        from xmodreid.training.checkpoint import fit_resumable
        def batches(): return DataLoader(TensorDataset(rand(4, 2), rand(4, 1)), 2)
        learn = Learner(DataLoaders(batches(), batches()), nn.Linear(2, 1), nn.MSELoss())
        with learn.no_bar(), learn.no_logging(): fit_resumable(learn, 1, self.folder/"run")

    def write_gallery(self, kind):
        "A gallery with a removed image."
        import pandas as pd
        from xmodreid.search.gallery import GalleryIndex
        from xmodreid.search.storage import save_gallery
        gallery = GalleryIndex(kind)
        table = pd.DataFrame(dict(path=["a.jpg", "b.jpg", "c.jpg"], pid=1, camid=1, modality="rgb"))
        gallery.add(np.eye(3, 4, dtype=np.float32), table)
        gallery.search(np.eye(1, 4, dtype=np.float32), 2)
        gallery.remove(2)
        save_gallery(gallery, self.folder/f"gallery_{kind}")

    def read(self, name):
        "What a file gives."
        from xmodreid.annotate.records import read_rows
        from xmodreid.files import load_state, load_weights
        from xmodreid.gan.learner import load_generators
        from xmodreid.pose.weights import load_pose_net
        from xmodreid.reid.models import load_reid
        from xmodreid.search.storage import load_gallery
        if name.parts[0].startswith("gallery"):
            gallery = load_gallery(self.folder/name.parts[0])
            return gallery.images(), gallery.search(np.eye(1, 4, dtype=np.float32), 2)
        readers = dict(reid=load_reid, pose=load_pose_net, pose_synth=load_pose_net, gan=load_generators,
                       translator_synth=load_generators, keypoints=read_rows, theirs=load_weights)
        return readers.get(name.stem, load_state)(self.folder/name)

    def run(self, rng):
        name = rng.choice(sorted(self.seeds))
        path, data = self.folder/name, self.seeds[name]
        if name.suffix == ".safetensors" and rng.random() < .1: return self.run_other_content(rng, name)
        changed = bytearray(data)
        if rng.random() < .7:
            at = rng.randrange(len(data) if rng.random() < .5 else min(len(data), 4096))
            changed[at] ^= 1 << rng.randrange(8)
        else: changed = mutate_bytes(data, rng)
        path.write_bytes(changed)
        try: assert plain(self.read(name)) == self.expected[name], f"a changed {name} was read and gave other values"
        finally: path.write_bytes(data)

    def run_other_content(self, rng, name):
        "A state with a right checksum that holds something else; the readers may refuse it by their own error only."
        from xmodreid.files import load_state, save_state
        path = self.folder/name
        tree = load_state(path)
        for _ in range(rng.choice([1, 1, 2])): tree = mutate_json(tree, rng)
        try:
            save_state(path, tree)
            self.read(name)
        finally: path.write_bytes(self.seeds[name])


class Annotations:
    "COCO, OpenPose and keypoint files of other tools, mutated."
    def __init__(self, folder):
        from PIL import Image
        from xmodreid.annotate.state import AnnotationSession
        from xmodreid.annotate.store import export_coco, export_keypoints
        for name in ("a.png", "b.png"): Image.fromarray(np.zeros((64, 32, 3), np.uint8)).save(folder/name)
        session = AnnotationSession(folder)
        for x in range(18): session.place(5+x, 10+2*x)
        export_coco(session, folder/"coco.json", only_done=False)
        export_keypoints(session, folder/"joints.npz", only_done=False)
        self.keypoints = (folder/"joints.npz").read_bytes()
        self.coco = json.loads((folder/"coco.json").read_text())
        joints = [x for k in range(25) for x in (5.+k, 10.+2*k, .9)]
        self.openpose = dict(version=1.3, people=[dict(pose_keypoints_2d=joints), dict(pose_keypoints_2d=joints[:54])])
        (folder/"openpose").mkdir()
        self.folder = folder

    def run(self, rng):
        from xmodreid.annotate.state import AnnotationSession
        from xmodreid.annotate.store import import_coco, import_keypoints, import_openpose
        (self.folder/"annotations.npz").unlink(missing_ok=True) # each input begins with no annotation
        session = AnnotationSession(self.folder)
        kind = rng.random()
        if kind < .2:
            (self.folder/"in.npz").write_bytes(mutate_bytes(self.keypoints, rng))
            import_keypoints(session, self.folder/"in.npz", overwrite=True)
        elif kind < .4:
            (self.folder/"openpose"/"a_keypoints.json").write_bytes(self.mutate_text(self.openpose, rng))
            size = rng.choice([None, None, (64, 32), (640, 320), (0, 0), (1, 1)])
            import_openpose(session, self.folder/"openpose", overwrite=True, size=size)
        else:
            (self.folder/"in.json").write_bytes(self.mutate_text(self.coco, rng))
            import_coco(session, self.folder/"in.json", overwrite=True)
        self.check_rows(session)

    def mutate_text(self, value, rng):
        "A JSON file with changed bytes, or with changed values."
        if rng.random() < .2: return mutate_bytes(json.dumps(value).encode(), rng)
        for _ in range(rng.choice([1, 1, 2, 5])): value = mutate_json(value, rng)
        return json.dumps(value).encode("utf-8", "surrogatepass")

    def check_rows(self, session):
        "What was imported is finite, and is on the disk."
        from xmodreid.annotate.state import AnnotationSession
        assert all(np.isfinite(row.xy).all() for row in session.rows), "joints that are not finite were stored"
        again = AnnotationSession(self.folder)
        for one, other in zip(session.rows, again.rows):
            assert np.array_equal(one.xy, other.xy) and np.array_equal(one.flags, other.flags), "other joints on disk"


class Commands:
    "Command lines with wrong options and values; exit code 0, 1, 2 or 130 and no traceback."
    def __init__(self, folder):
        import xmodreid.all
        import xmodreid.run.train_commands
        import xmodreid.run.use_commands # noqa: F401 - an import that the alarm stops cannot be repeated
        from xmodreid.synth.dataset import write_synth
        from xmodreid.synth.world import SynthConfig
        self.folder = folder
        config = SynthConfig(n_train=2, n_val=0, n_test=1, per_cam=1, size=(32, 16))
        self.data = str(write_synth(folder/"data", config, progress=False))
        (folder/"empty").mkdir()
        (folder/"file.txt").write_text("x")

    def run(self, rng):
        from xmodreid.cli import COMMANDS, main
        from xmodreid.errors import ConfigError
        options = ["--size", "--epochs", "--seed", "--device", "--pose", "--direction", "--split", "--trial", "--k",
                   "--p", "--lr", "--loss", "--model", "--generator", "--on-bad", "--rerank", "--table", "--help",
                   "--batch-size", "--protocol", "--kind", "--query-modality", "--min-source-joints", "--pattern",
                   "--infrared", "--poses"]
        safe = [str(self.folder/"empty"), str(self.folder/"file.txt"), str(self.folder/"no"), "sysu:", "nothing:x",
                f"sysu:{self.folder/'empty'}", ",", "sysu:x,regdb:y"]
        command = rng.choice([c for c in COMMANDS if c not in ("demo", "synth", "reproduce", "annotate")])
        words = [command, *(rng.choice(safe) for _ in range(rng.randrange(0, 4)))]
        if command == "translate" and rng.random() < .5:  # quick enough with right arguments, too
            shutil.rmtree(self.folder/"out", ignore_errors=True)
            words = [command, self.data, "synth", str(self.folder/"out")]
        for _ in range(rng.randrange(0, 4)): words += [rng.choice(options), rng.choice([*TRICKY, "1", "64x32", "cpu"])]
        out = io.StringIO()
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out): main(words)
        except SystemExit as e:
            assert e.code in (0, 1, 2, 130, None), f"exit code {e.code} of {words}"
            if e.code: raise ConfigError(out.getvalue()) from None
        assert "Traceback" not in out.getvalue(), words


class Downloads:
    "A server that truncates, stalls, redirects and lies; only the published file may be left."
    def __init__(self, folder):
        rng = np.random.default_rng(0)
        self.folder = folder
        self.content = rng.integers(0, 256, 3000, dtype=np.uint8).tobytes()
        self.sha256 = hashlib.sha256(self.content).hexdigest()
        self.answer, self.stall = b"", 0.
        target = self
        class Liar(socketserver.BaseRequestHandler):
            "Send `answer`, wait in the middle of it where `stall` says so, and end."
            def handle(self):
                request = self.request.recv(65536)
                answer, half = target.answer, len(target.answer)//2
                if request.startswith(b"GET /good"): answer = target.whole(200, 0)
                with contextlib.suppress(OSError): # the client may have given up
                    self.request.sendall(answer[:half])
                    time.sleep(target.stall)
                    self.request.sendall(answer[half:])
        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Liar)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.base = f"http://127.0.0.1:{self.server.server_address[1]}"

    def close(self):
        "End the server."
        self.server.shutdown()
        self.server.server_close()

    def whole(self, status, start, body=None, **headers):
        "A right answer."
        body = self.content[start:] if body is None else body
        headers = {"Content-Length": len(body), **headers}
        lines = "".join(f"{k}: {v}\r\n" for k, v in headers.items())
        return f"HTTP/1.1 {status} Answer\r\n{lines}Connection: close\r\n\r\n".encode("utf-8", "replace")+body

    def make_answer(self, rng, have):
        "An answer that is right, wrong in one way, or garbled."
        start = rng.choice([have, have, 0, 7])
        status = rng.choice([200, 206, 206, 204, 301, 302, 307, 400, 404, 416, 429, 500, 503, 999])
        body, headers = self.content[start:], {}
        kind = rng.randrange(8)
        if kind == 0: headers["Content-Length"] = rng.choice([*TRICKY, 0, 1, 1 << 62, len(body)+1, len(body)-1])
        elif kind == 1: headers["Location"] = rng.choice([
            "/good", "/loop", "//", "file:///etc/hostname", "ftp://127.0.0.1:1/x", "http://127.0.0.1:1/x", "http://[",
            f"{self.base}/good", "javascript:x", *TRICKY])
        elif kind == 2: body = mutate_bytes(body, rng)
        elif kind == 3: body += rng.randbytes(rng.randrange(1, 5000))
        elif kind == 4: body = body[:rng.randrange(len(body)+1)]
        elif kind == 5: headers = {"Transfer-Encoding": rng.choice(["chunked", "gzip", *TRICKY])}
        elif kind == 6: headers["Content-Range"] = rng.choice([f"bytes {start}-2999/3000", "bytes 0-1/2", *TRICKY])
        answer = self.whole(status, start, body, **headers)
        return mutate_bytes(answer, rng) if rng.random() < .3 else answer

    def run(self, rng):
        from xmodreid.files import download
        file, part = self.folder/"w.bin", self.folder/"w.bin.part"
        for path in (file, part): path.unlink(missing_ok=True)
        have = rng.choice([0, 0, 0, 1000, 3000, 3001])
        if have: part.write_bytes((self.content+b"x")[:have] if rng.random() < .8 else rng.randbytes(have))
        self.stall = .4 if rng.random() < .01 else 0.
        self.answer = self.make_answer(rng, have)
        size = rng.choice([None, 3000])
        download(f"{self.base}/x", file, size, self.sha256, progress=False, timeout=.2 if self.stall else 5.)
        assert file.read_bytes() == self.content, "another file than the published one was left"


class Requests:
    "Raw requests to the annotator's server: refused, or a page that holds nothing of the user; the server stays up."
    def __init__(self, folder):
        from PIL import Image
        self.images, self.token, self.port = folder/"people", "fuzz-token-"+"7"*20, free_port()
        self.images.mkdir()
        Image.fromarray(np.zeros((64, 32, 3), np.uint8)).save(self.images/"a.png")
        self.secret = b"secret-"+os.urandom(8).hex().encode()
        (folder/"secret.txt").write_bytes(self.secret)
        (self.images/"secret.txt").write_bytes(self.secret)
        self.log = folder/"server.log"
        code = ("import sys; from xmodreid.annotate.web import serve_annotator as f; "
                "f(sys.argv[1], int(sys.argv[2]), browser=False, token=sys.argv[3])")
        with open(self.log, "w") as out:
            self.server = subprocess.Popen([sys.executable, "-c", code, str(self.images), str(self.port), self.token],
                                           stdout=out, stderr=subprocess.STDOUT, start_new_session=True)
        wait_until("the server is up", lambda: "?token=" in self.log.read_text() or self.server.poll() is not None, 90)
        self.port = int(re.search(r"127\.0\.0\.1:(\d+)/\?token", self.log.read_text())[1])
        self.paths = [
            "/", "/?token=wrong", "/login", "/logout", "/voila/static/voila.js", "/voila/files/page.ipynb",
            "/api/kernels", "/api/kernels/0/channels", "/voila/render/page.ipynb", "/voila/api/shutdown/0",
            "/voila/templates/x", "/static/x", "/nbextensions/x", "/../secret.txt", "/voila/files/../secret.txt",
            "/voila/static/..%2f..%2fsecret.txt", "/%2e%2e/secret.txt", "/voila/static//etc/passwd",
            f"/voila/files/{self.images}/secret.txt", "/metrics", "/voila/query/", "*", "http://x/", "/\x00", "/é",
        ]

    def close(self):
        "The server still answers a right request; end it."
        try: self.check_up()
        finally: stop(self.server)

    def check_up(self):
        assert self.server.poll() is None, f"the server has ended: {self.log.read_text()[-300:]}"
        address = f"http://127.0.0.1:{self.port}"
        assert http_request(f"{address}/voila/static/voila.js")[0] == 403, "no token, and not refused"
        code, _ = http_request(f"{address}/voila/static/voila.js", Authorization=f"token {self.token}")
        assert code == 200, f"the token was shown, and the answer is {code}"

    def make_request(self, rng):
        "The bytes of a request; the right token only where no page is opened, because each page starts a process."
        method = rng.choice(["GET", "GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "x"])
        path = rng.choice(self.paths)
        headers = {"Host": rng.choice([f"127.0.0.1:{self.port}", "evil.example", *TRICKY])}
        if rng.random() < .3: headers["Authorization"] = rng.choice(["token ", "Basic x", f"token {self.token[:-1]}"])
        if rng.random() < .2: headers["Cookie"] = f"username-127-0-0-1-{self.port}={rng.choice(TRICKY)}"
        if rng.random() < .2: headers["Content-Length"] = rng.choice(["0", "5", "-1", "1"*30, *TRICKY])
        if rng.random() < .1: headers |= {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Key": "x",
                                          "Sec-WebSocket-Version": "13", "Origin": "http://evil.example"}
        if rng.random() < .1: headers["Transfer-Encoding"] = rng.choice(["chunked", *TRICKY])
        if rng.random() < .05: headers["X"] = "x"*rng.randrange(200_000)
        lines = "".join(f"{k}: {v}\r\n" for k, v in headers.items())
        request = f"{method} {path} HTTP/1.{rng.choice('0117')}\r\n{lines}\r\n".encode("utf-8", "surrogatepass")
        request += rng.randbytes(rng.choice([0, 0, 5, 5000]))
        if rng.random() < .4: request = mutate_bytes(request, rng)
        opens_page = re.match(rb"\S+ (/|\*|http|/voila/render\S*)[ ?]", request)
        if rng.random() < .3 and not opens_page:
            request = request.replace(b"\r\n", f"\r\nAuthorization: token {self.token}\r\n".encode(), 1)
        return request

    def send(self, request):
        "Send a request and end the sending side; the answer until the server closes, or pauses after it."
        answer = b""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as s:
            with contextlib.suppress(OSError): # the server may refuse before it has read everything
                s.sendall(request)
                s.shutdown(socket.SHUT_WR)
            with contextlib.suppress(OSError):
                while block := s.recv(65536): answer += block
        return answer

    def run(self, rng):
        from xmodreid.errors import DataError
        answer = self.send(self.make_request(rng))
        assert self.server.poll() is None, "the server has ended"
        assert self.secret not in answer and b"root:" not in answer, "a file of the user was sent"
        if rng.random() < .01: self.check_up()
        if not answer: raise DataError("no answer, closed")
        status = re.match(rb"HTTP/1\.\d (\d{3}) ", answer)
        assert status, f"no HTTP answer: {answer[:60]!r}"
        code = int(status[1])
        assert code < 500, f"answer {code}"
        if code >= 400: raise DataError(f"answer {code}")


KINDS = {"images": Images, "tables": Tables, "weights": Weights, "annotations": Annotations, "commands": Commands,
         "downloads": Downloads, "requests": Requests}


class TooLong(BaseException):
    "Raised by the alarm; no `except Exception` of the package can swallow it."


def time_out(*_):
    "What the alarm does."
    raise TooLong("took too long")


def describe(error):
    "Class, text and place of an exception, without numbers that differ from input to input."
    frames = traceback.extract_tb(error.__traceback__)
    ours = [f for f in frames if "xmodreid" in f.filename or f.filename == __file__]
    where = (ours or frames)[-1]
    return f"{type(error).__name__}: {str(error)[:200]} ({Path(where.filename).name}:{where.lineno})"


def run_inputs(target, kind, numbers, seed, seconds):
    "Counts of accepted and refused inputs, and the faults as (number, text)."
    from xmodreid.errors import XModError
    counts, faults = Counter(), []
    for number in numbers:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            target.run(random.Random(f"{kind} {seed} {number}"))
            counts["accepted"] += 1
        except XModError: counts["refused"] += 1
        except KeyboardInterrupt: raise
        except BaseException as e: faults.append((number, describe(e)))
        finally: signal.setitimer(signal.ITIMER_REAL, 0)
    return counts, faults


def fuzz(kind, n, seed, seconds, only=None):
    "Run `n` inputs of a kind, or the one whose number is `only`."
    with tempfile.TemporaryDirectory() as d:
        target = KINDS[kind](Path(d))
        with contextlib.suppress(Exception): target.run(random.Random(0)) # imports what it needs, without a limit
        try: return run_inputs(target, kind, range(n) if only is None else [only], seed, seconds)
        finally: getattr(target, "close", lambda: None)()


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
    unknown = set(args.kinds)-set(KINDS)
    if unknown: parser.error(f"no kind {', '.join(sorted(unknown))}; choose of {', '.join(KINDS)}")
    for kind in args.kinds or KINDS:
        begin = time.monotonic()
        counts, faults = fuzz(kind, args.n, args.seed, args.seconds, args.only)
        kinds = Counter(text for _, text in faults)
        print(f"{kind:12} {sum(counts.values())+len(faults):6} inputs, {counts['accepted']:6} accepted, "
              f"{counts['refused']:6} refused, {len(faults):4} faults of {len(kinds)} kinds, seed {args.seed}, "
              f"{time.monotonic()-begin:.0f} s", flush=True)
        for text, times in kinds.most_common(20):
            print(f"    {times} x {text}; first --only {next(n for n, t in faults if t == text)}")
        failed = failed or bool(faults)
    gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss/1e6
    print(f"peak memory {gb:.1f} GB")
    sys.exit(failed or gb > args.gb)


if __name__ == "__main__": main()

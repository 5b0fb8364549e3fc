"""Train without any label on a folder of unnamed crops, as a user would, and measure the search by the hidden names.

    python scripts/train_unnamed.py OUT --seed 77              100 people, 1,600 crops, about 10 minutes of one core
    python scripts/train_unnamed.py OUT --seed 77 --people 20 --epochs 1      a short run

Prints rank-1 and rank-5 of the infrared crops in the gallery of all RGB crops, for the shipped network and for the one
that `xmodreid train-usl` trains from it.
"""
import argparse
import json
import random
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd

from xmodreid.synth.dataset import load_synth_data, write_synth
from xmodreid.synth.world import SYNTH_PRESETS

CAMERAS = {1: "hall", 2: "stairs", 3: "night_hall", 4: "street"}
FOLDERS = ("--pattern", "{camera}/{anything}.{ext}", "--infrared", "night_hall")


def write_crops(out, people, seed):
    "Crops under running numbers, in a folder per camera; the names go to another file."
    world = replace(SYNTH_PRESETS["standard"], n_train=people, n_val=0, n_test=1, seed=seed)
    index = load_synth_data(write_synth(out/"people", world)).index.query("split == 'train'").reset_index(drop=True)
    order = list(range(len(index)))
    random.Random(0).shuffle(order)
    names = {}
    for number, row in enumerate(index.iloc[order].itertuples()):
        path = out/"crops"/CAMERAS[row.camid]/f"{number:05d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(row.path, path)
        names[path.name] = int(row.pid)
    (out/"names.json").write_text(json.dumps(names))
    return names


def xmodreid(*words):
    "Run a command of the package."
    command = "from xmodreid.cli import main; import sys; main(sys.argv[1:])"
    subprocess.run([sys.executable, "-W", "ignore", "-c", command, *map(str, words)], check=True)


def measure(out, names, model, label):
    "Index the RGB crops, search with the infrared ones, and compare the names."
    for camera in ("hall", "stairs", "street"):
        xmodreid("index", out/"crops"/camera, out/f"gallery-{label}", "--model", model)
    xmodreid("search", out/f"gallery-{label}", out/"crops"/"night_hall", "--query-modality", "ir", "--k", 5,
             "--out-dir", out/f"search-{label}")
    found = pd.read_csv(out/f"search-{label}"/"results.csv")
    same = found.image.map(lambda p: names[Path(p).name]) == found.path.map(lambda p: names[Path(p).name])
    rank1, rank5 = same[found["rank"] == 1].mean(), same.groupby(found["query"]).any().mean()
    return f"{label}: rank-1 {100*rank1:.1f} %, rank-5 {100*rank5:.1f} % of {found['query'].nunique()} queries"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=77)
    parser.add_argument("--people", type=int, default=100)
    parser.add_argument("--epochs", type=int, default=8)
    args = parser.parse_args()
    names = write_crops(args.out, args.people, args.seed)
    xmodreid("train-usl", f"folders:{args.out/'crops'}", args.out/"own", *FOLDERS, "--start", "synth", "--epochs",
             args.epochs)
    for label, model in (("shipped", "synth"), ("trained", args.out/"own")):
        print(measure(args.out, names, model, label))

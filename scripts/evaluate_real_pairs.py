"""Evaluate the pose estimators on registered visible/infrared images of real people, without labels.

    python scripts/evaluate_real_pairs.py FOLDER [FOLDER ...] [--blazepose FILE] [--csv FILE] [--pictures FOLDER]

FOLDER holds visible/NAME and infrared/NAME, or subfolders that do. The measures are explained in
nbs/experiments/25_real_pairs.ipynb. `--pictures` writes each image with its skeleton, to be looked at: keep them out of
the repository, they show real people.
"""
import argparse
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import torch

from xmodreid.draw import draw_skeleton, to_uint8
from xmodreid.experiments.real_pairs import blazepose_estimator, compare_on_pairs, read_pair_images
from xmodreid.pose.estimate import PoseEstimator
from xmodreid.pose.weights import pose_net


def read_folder(folder):
    "Visible and infrared images of a folder, or of its subfolders."
    folder = Path(folder)
    parts = [folder] if (folder / "visible").is_dir() else sorted(p for p in folder.iterdir() if p.is_dir())
    visible, infrared = zip(*[read_pair_images(p) for p in parts], strict=True)
    return torch.cat(visible), torch.cat(infrared)


def write_pictures(folder, name, images, keypoints, columns=12):
    "One sheet of images with their skeletons."
    pictures = [np.asarray(draw_skeleton(to_uint8(i), k)) for i, k in zip(images, keypoints, strict=True)]
    pictures += [np.zeros_like(pictures[0])] * (-len(pictures) % columns)
    rows = [np.hstack(pictures[i : i + columns]) for i in range(0, len(pictures), columns)]
    Path(folder).mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(Path(folder) / f"{name}.png"), np.vstack(rows)[..., ::-1])


def shipped_estimators():
    "The networks of this package, each alone and averaged with the mirrored image."
    estimators = {}
    for name in ("synth", "synth-large"):
        net = pose_net(pretrained=name)
        estimators[name] = PoseEstimator(net).keypoints
        estimators[f"{name}, mirrored"] = PoseEstimator(net, mirror=True).keypoints
    # each joint by itself, to see what the decoder for the whole body gains
    alone = partial(PoseEstimator(net, mirror=True).keypoints, decode="left_right")
    estimators["synth-large, mirrored, left_right"] = alone
    return estimators


def in_percent(table):
    "Shares in percent; BlazePose is not compared with itself."
    shares = [c for c in table if c != "estimator" and not c.endswith("_images")]
    table[shares] = (100 * table[shares].astype(float)).round(1)
    references = [c for c in table if c.endswith("_reference")]
    table.loc[table.estimator == "BlazePose", references] = np.nan
    return table


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+")
    parser.add_argument("--blazepose", help="pose_landmark_heavy.tflite, an independent estimator")
    parser.add_argument("--csv", help="file for the table")
    parser.add_argument("--pictures", help="folder for sheets of skeletons")
    args = parser.parse_args()
    reference = blazepose_estimator(args.blazepose).keypoints if args.blazepose else None
    estimators = shipped_estimators()
    if reference: estimators["BlazePose"] = reference
    tables = []
    for folder in args.folders:
        visible, infrared = read_folder(folder)
        table = in_percent(compare_on_pairs(visible, infrared, estimators, reference))
        table.insert(0, "images", Path(folder).name.removeprefix("real_"))
        tables.append(table.assign(source="measured"))
        print(f"{folder}: {len(visible)} moments\n{table.to_string(index=False)}", flush=True)
        if not args.pictures: continue
        for name, estimate in estimators.items():
            for modality, images in (("visible", visible), ("infrared", infrared)):
                sheet = f"{Path(folder).name}_{name.replace(', ', '_')}_{modality}"
                write_pictures(args.pictures, sheet, images, estimate(images))
    if args.csv: pd.concat(tables).to_csv(args.csv, index=False)


if __name__ == "__main__":
    main()

"""Compare the learned warp with the part warp on tracks of real people: frame i in the pose of frame j against frame j.

    python scripts/warp_tracks.py FOLDER     writes results/learned_warp_tracks.csv

FOLDER holds TRACK/visible/FRAME.jpg and TRACK/infrared/FRAME.jpg, several frames of one person each.
"""
import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from xmodreid.files import write_csv
from xmodreid.gan.inference import load_images
from xmodreid.gan.metrics import psnr, ssim
from xmodreid.pose.estimate import PoseEstimator
from xmodreid.pose.parts import part_masks, person_mask
from xmodreid.pose.warp import warp_to_pose
from xmodreid.pose.weights import pose_net
from xmodreid.run.train import load_trained_warp

RESULTS = Path(__file__).resolve().parent.parent/"results"
SIZE = (128, 64)


def scores(move, images, keypoints):
    "SSIM and PSNR inside the person, means over all ordered pairs of frames."
    i, j = np.nonzero(~np.eye(len(images), dtype=bool))
    with torch.no_grad(): moved = torch.cat([move(images[[a]], keypoints[[a]], keypoints[[b]]) for a, b in zip(i, j)])
    moved, target = (x.clamp(-1, 1).expand(-1, 3, -1, -1) for x in (moved, images[j]))
    person = person_mask(part_masks(keypoints[j], SIZE))
    return dict(ssim_body=float(ssim(moved, target, mask=person).mean()),
                psnr_body=float(psnr(moved, target, mask=person).mean()))


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("folder", type=Path)
    folder = ap.parse_args().folder
    warp = load_trained_warp("synth")
    estimator = PoseEstimator(pose_net(pretrained="synth-large"), mirror=True)
    methods = {"unchanged": lambda img, src, tgt: img, "part warp": warp_to_pose,
               "learned warp": warp.move, "learned warp, without the residual": lambda *args: warp(*args).warped}
    rows = []
    for track in sorted(p for p in folder.iterdir() if p.is_dir()):
        for modality in ("visible", "infrared"):
            images, _ = load_images(sorted((track/modality).glob("*.jpg")), SIZE, gray=True)
            with torch.no_grad(): keypoints = estimator.keypoints(images)
            for name, move in methods.items():
                row = scores(move, images[:, :1], keypoints)
                rows.append(dict(track=track.name, modality=modality, images=name, frames=len(images), **row))
                print(rows[-1], flush=True)
    write_csv(RESULTS/"learned_warp_tracks.csv", pd.DataFrame(rows).round(3).assign(source="measured"))


if __name__ == "__main__": main()

"""Try test-time augmentation of the large pose network on registered images of real people, and on drawn people.

    python scripts/try_tta.py PAIRS TRACKS [--blazepose FILE] [--mesh FOLDER] [--drawn FOLDER]
        [--views NAME ...] [--csv FILE]

PAIRS and TRACKS are folders for scripts/evaluate_real_pairs.py. Each view is averaged with the image as it is, all of
them also mirrored. Then some sets of views are measured on images that are moved by one and two pixels, both modalities
alike: such a move changes no joint, so the differences show how far one figure is due to chance. With `--mesh` and
`--drawn`, two folders that are written, the views are also checked on held-out drawn people.
"""
import argparse
from dataclasses import replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from evaluate_real_pairs import read_folder

from xmodreid.data.images import images_to_tensor
from xmodreid.data.keypoints import lookup_keypoints
from xmodreid.data.pixels import read_image
from xmodreid.data.sysu import read_sysu
from xmodreid.data.transforms import resize_keypoints, to_grayscale
from xmodreid.experiments.mesh_scenes import read_mesh_people, write_mesh_people
from xmodreid.experiments.real_pairs import blazepose_estimator, joint_agreement, summarize_agreement
from xmodreid.pose.base import PoseMaps
from xmodreid.pose.estimate import PoseEstimator, average_maps, resolve_sides
from xmodreid.pose.keypoints import decode_argmax, flip_heatmaps
from xmodreid.pose.limbs import flip_pafs
from xmodreid.pose.metrics import joint_hits
from xmodreid.pose.sides import decode_whole_body
from xmodreid.pose.weights import pose_net
from xmodreid.skeleton import FLIP_INDEX
from xmodreid.synth.dataset import write_synth
from xmodreid.synth.world import SYNTH_PRESETS

SIZE, STRIDE = (128, 64), 4
MOVES = [(1, 0), (-1, 0), (0, 1), (0, -1), (2, 0), (-2, 0), (0, 2), (0, -2)]  # pixels, of images of 256x128


def to_bytes(img):
    "`(N, H, W, 3)` uint8."
    return ((img + 1) * 127.5).round().clamp(0, 255).byte().permute(0, 2, 3, 1).numpy()


def each_image(change):
    "A view that changes the bytes of each image."
    return lambda img: images_to_tensor([change(image) for image in to_bytes(img)])


def each_lightness(change):
    "A view that changes the lightness of each image."

    def change_image(image):
        lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
        lab[..., 0] = change(np.ascontiguousarray(lab[..., 0]))
        return cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)

    return each_image(change_image)


def change_gamma(power):
    return lambda img: ((img + 1) / 2).clamp(0, 1) ** power * 2 - 1


def invert_gray_images(img):
    "Images with equal channels are inverted, others stay as they are."
    is_gray = (img - img.mean(1, keepdim=True)).abs().mean((1, 2, 3)) < 0.02
    return torch.where(is_gray[:, None, None, None], -img, img)


def blur(sigma):
    return each_image(lambda image: cv2.GaussianBlur(image, (0, 0), sigma))


def sharpen(img):
    return (img + 0.7 * (img - blur(1.5)(img))).clamp(-1, 1)


def stretch(lightness):
    low, high = np.percentile(lightness, [1, 99])
    return ((lightness - low) / max(high - low, 1) * 255).clip(0, 255).astype(np.uint8)


def clahe(limit):
    return each_lightness(cv2.createCLAHE(limit, (4, 2)).apply)


PHOTOMETRIC = {
    "gamma 0.7": change_gamma(0.7),
    "gamma 1.4": change_gamma(1.4),
    "clahe 2": clahe(2.0),
    "clahe 4": clahe(4.0),
    "gray copy": to_grayscale,
    "gray images inverted": invert_gray_images,
    "inverted gray copy": lambda img: -to_grayscale(img),
    "blur 0.7": blur(0.7),
    "blur 1.2": blur(1.2),
    "sharpened": sharpen,
    "contrast stretched": each_lightness(stretch),
    "equalized": each_lightness(cv2.equalizeHist),
}
SCALES = {f"scale {s}": s for s in (0.8, 0.9, 1.1, 1.25, 1.5)}
# x, y, width and height of the part of the image that becomes the network's input, as shares of the image
WINDOWS = {
    "shift left 4 px": (4 / 64, 0, 1, 1),
    "shift right 4 px": (-4 / 64, 0, 1, 1),
    "shift up 8 px": (0, 8 / 128, 1, 1),
    "shift down 8 px": (0, -8 / 128, 1, 1),
    "margin 10 %": (-0.1, -0.1, 1.2, 1.2),
    "margin 20 %": (-0.2, -0.2, 1.4, 1.4),
    "crop 5 %": (0.05, 0.05, 0.9, 0.9),
    "crop 10 %": (0.1, 0.1, 0.8, 0.8),
    "crop sides 15 %": (0.15, 0, 0.7, 1),
    "margin sides 20 %": (-0.2, 0, 1.4, 1),
}
VIEWS = [*SCALES, *WINDOWS, *PHOTOMETRIC]
SHIFTS = [v for v in WINDOWS if v.startswith("shift")]
MOVED_SETS = {
    "none": [],
    "blur 0.7": ["blur 0.7"],
    "blur 1.2": ["blur 1.2"],
    "gamma 1.4": ["gamma 1.4"],
    "scales 0.9, 1.1": ["scale 0.9", "scale 1.1"],
    "four shifts": SHIFTS,
    "all nine": ["blur 0.7", "blur 1.2", "gamma 1.4", "scale 0.9", "scale 1.1", *SHIFTS],
}


COLUMNS = [
    *("images", "moves", "views", "agreement", "agreement_std"),
    *("sides_free", "exchanged", "exchanged_std", "pck10"),
]


def resize(img, size):
    if tuple(img.shape[2:]) == tuple(size): return img
    return F.interpolate(img, size=tuple(size), mode="bilinear", align_corners=False, antialias=True)


def cut_window(img, window, size, padding_mode="border"):
    "A window of images or maps at another size."
    x, y, width, height = window
    xs = ((torch.arange(size[1]) + 0.5) / size[1] * width + x) * 2 - 1
    ys = ((torch.arange(size[0]) + 0.5) / size[0] * height + y) * 2 - 1
    grid = torch.stack(torch.meshgrid(xs, ys, indexing="xy"), -1)[None].expand(len(img), -1, -1, -1)
    return F.grid_sample(img, grid, align_corners=False, padding_mode=padding_mode)


def network_input(img, view):
    "The network's input of one view."
    if view in SCALES: return resize(img, [max(1, round(n * SCALES[view] / STRIDE)) * STRIDE for n in SIZE])
    if view in WINDOWS:
        enlarges = WINDOWS[view][2] < 1
        return cut_window(img if enlarges else resize(img, SIZE), WINDOWS[view], SIZE)
    img = resize(img, SIZE)
    return PHOTOMETRIC[view](img) if view in PHOTOMETRIC else img


@torch.no_grad()
def run_network(net, img, mirror):
    "Logits, fields and directions of a batch, mirrored back."
    maps = [net(batch.flip(3) if mirror else batch) for batch in img.split(64)]
    logits, paf, facing = (torch.cat([getattr(m, name) for m in maps]) for name in ("logits", "paf", "facing"))
    if not mirror: return logits, paf, facing
    return flip_heatmaps(logits), flip_pafs(paf), facing * facing.new_tensor([1.0, -1.0])


class ViewMaps:
    "Maps of some images, for each view computed once."

    def __init__(self, net, img):
        self.net, self.img, self.done = net, img, {}

    def one(self, view, mirror):
        if (view, mirror) not in self.done: self.done[view, mirror] = self.compute(view, mirror)
        logits, paf, facing = self.done[view, mirror]
        return PoseMaps(logits.sigmoid(), paf, logits, facing=facing)

    def compute(self, view, mirror):
        logits, paf, facing = run_network(self.net, network_input(self.img, view), mirror)
        grid = tuple(n // STRIDE for n in SIZE)
        if view in SCALES:
            logits, paf = (F.interpolate(m, size=grid, mode="bilinear", align_corners=False) for m in (logits, paf))
        if view in WINDOWS:  # outside of the window: the maps of the whole image
            x, y, width, height = WINDOWS[view]
            back = (-x / width, -y / height, 1 / width, 1 / height)
            is_inside = cut_window(torch.ones_like(logits[:1, :1]), back, grid, "zeros") >= 0.99
            whole = self.one("whole", mirror)
            logits = torch.where(is_inside, cut_window(logits, back, grid), whole.logits)
            paf = torch.where(is_inside, cut_window(paf, back, grid), whole.paf)
        return logits, paf, facing

    def keypoints(self, views, thr=0.1, decode="whole_body"):
        "Keypoints in pixels of the images, as `PoseEstimator(net, mirror=True)` finds them, averaged over more views."
        maps = [self.one(view, mirror) for view in ("whole", *views) for mirror in (False, True)]
        facing = torch.stack([m.facing for m in maps]).mean(0)
        mean = resolve_sides(average_maps([resolve_sides(m, facing) for m in maps]))
        found = decode_argmax(mean.joint_heatmaps, STRIDE, thr, left_right_ratio=0.35)
        if decode == "whole_body": found = decode_whole_body(found, maps, STRIDE, thr)
        return resize_keypoints(found, SIZE, tuple(self.img.shape[2:]))


def in_percent(visible, infrared, height):
    "Agreement of the keypoints of both modalities."
    shares = summarize_agreement(joint_agreement(visible.numpy(), infrared.numpy(), height))
    return {name: 100 * shares[name] for name in ("agreement", "sides_free", "exchanged")}


def measure_agreement(pair, views, **kwargs):
    "Agreement of both modalities, in percent."
    return in_percent(*(maps.keypoints(views, **kwargs) for maps in pair), pair[0].img.shape[2])


def measure_sets(net, images):
    "One row per set of views, and one for each joint decoded by itself."
    pair = [ViewMaps(net, img) for img in images]
    rows = [dict(views=name, **measure_agreement(pair, views)) for name, views in MOVED_SETS.items()]
    return [*rows, dict(views="none, left_right", **measure_agreement(pair, [], decode="left_right"))]


def measure_reference(reference, images):
    "One row for BlazePose."
    return [dict(views="BlazePose", **in_percent(*map(reference, images), images[0].shape[2]))]


def measure_truth(maps, keypoints, views):
    "PCK@.1 and images with exchanged sides, in percent."
    found = maps.keypoints(views, thr=0.0)
    hits, visible = joint_hits(found[..., :2], keypoints, height=maps.img.shape[2])
    swapped, _ = joint_hits(found[:, list(FLIP_INDEX), :2], keypoints, height=maps.img.shape[2])
    is_exchanged = swapped.sum(1) > hits.sum(1)
    return dict(pck10=100 * (hits.sum() / visible.sum()).item(), exchanged=100 * is_exchanged.float().mean().item())


def move(img, x, y, border=8):
    "Images moved by whole pixels."
    height, width = img.shape[2:]
    padded = F.pad(img, (border,) * 4, mode="replicate")
    return padded[:, :, border + y : border + y + height, border + x : border + x + width]


def measure_moved(images, measure):
    "Mean and standard deviation over moved images, for each row of `measure`."
    rows = [row for x, y in MOVES for row in measure([move(img, x, y) for img in images])]
    groups = pd.DataFrame(rows).groupby("views", sort=False)
    std = groups.std()[["agreement", "exchanged"]].add_suffix("_std")
    return groups.mean().join(std).reset_index()


def read_drawn(folder):
    "All 100 held-out people of the standard world, and their keypoints."
    config = replace(SYNTH_PRESETS["standard"], size=SIZE, n_train=1, n_val=0, n_test=100, per_cam=1)
    root = write_synth(folder, config, progress=False)
    index = read_sysu(root, verify=False).query('split=="test"').reset_index(drop=True)
    images = images_to_tensor([read_image(path) for path in index["path"]])
    return images, torch.as_tensor(lookup_keypoints(index, root / "keypoints.npz", root))


def read_mesh(folder):
    "600 images of 60 people of the held-out shard, and their keypoints."
    write_mesh_people(folder, 1, persons=60, progress=False)
    people = read_mesh_people(folder, SIZE, range(1))
    return images_to_tensor(list(people.images)), torch.from_numpy(people.keypoints)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", help="registered images of real people")
    parser.add_argument("--blazepose", help="pose_landmark_heavy.tflite, see evaluate_real_pairs.py")
    parser.add_argument("--mesh", help="folder for held-out people of the mesh body")
    parser.add_argument("--drawn", help="folder for held-out people of the standard world")
    parser.add_argument("--views", nargs="*", default=VIEWS, choices=VIEWS, metavar="NAME", help=f"some of {VIEWS}")
    parser.add_argument("--csv", help="file for the table")
    args = parser.parse_args()
    net = PoseEstimator(pose_net(pretrained="synth-large")).net
    reference = blazepose_estimator(args.blazepose).keypoints if args.blazepose else None
    tables = []

    def add(images, moves, rows):
        tables.append(pd.DataFrame(rows).round(1).assign(images=images, moves=moves))
        print(f"{images}, {moves} moves\n{tables[-1].to_string(index=False)}", flush=True)
        if args.csv: pd.concat(tables).reindex(columns=COLUMNS).assign(source="measured").to_csv(args.csv, index=False)

    singles = {"none": []} | {view: [view] for view in args.views}
    for folder in args.folders:
        images = read_folder(folder)
        name = Path(folder).name.removeprefix("real_")
        pair = [ViewMaps(net, img) for img in images]
        add(name, 0, [dict(views=v, **measure_agreement(pair, views)) for v, views in singles.items()])
        add(name, len(MOVES), measure_moved(images, partial(measure_sets, net)))
        if reference: add(name, len(MOVES), measure_moved(images, partial(measure_reference, reference)))
    for name, folder, read in (("mesh", args.mesh, read_mesh), ("drawn", args.drawn, read_drawn)):
        if not folder: continue
        images, keypoints = read(folder)
        maps = ViewMaps(net, images)
        sets = singles | (MOVED_SETS if args.views == VIEWS else {})
        add(name, 0, [dict(views=v, **measure_truth(maps, keypoints, views)) for v, views in sets.items()])


if __name__ == "__main__":
    main()

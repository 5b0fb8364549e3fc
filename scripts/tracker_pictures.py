"""Make the pictures of the page on trackers: TensorBoard with the losses and the images of a short training.

    python scripts/tracker_pictures.py [--out nbs/images] [--epochs 6] [--run FOLDER]

Trains a small pose CycleGAN on people of the embedded data set with `--tracker tensorboard`, starts TensorBoard on
127.0.0.1, and takes two screenshots with a Chromium. `--run` keeps the training, so that a second call uses it.
"""
import io
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from in_browser import MIN, chromium, free_port, http_request, parser, stop, temporary_folder, wait_until
from PIL import Image

from xmodreid.pose.estimate import PoseEstimator
from xmodreid.pose.weights import pose_net
from xmodreid.run.train import GanConfig, train_gan
from xmodreid.synth.dataset import load_synth_data, write_synth
from xmodreid.synth.world import SynthConfig

MAX_BYTES = 100_000


def train(folder, epochs):
    "A short training with a tracker; the folder of its events."
    root = write_synth(folder/"people", SynthConfig(n_train=16, n_val=0, n_test=1, per_cam=2), progress=False)
    people = load_synth_data(root).select(split="train")
    config = GanConfig(epochs=epochs, iters=20, width=24)
    train_gan(folder/"gan", people, PoseEstimator(pose_net(pretrained="synth")), config, tracker="tensorboard")
    return folder/"gan"


@contextmanager
def tensorboard(log_dir):
    "TensorBoard on a folder; yields its address."
    port = free_port()
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", ".", "--host", "127.0.0.1", "--port", str(port),
               "--load_fast=false"]  # the page shows the name of the folder
    server = subprocess.Popen(command, cwd=log_dir, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                              start_new_session=True)
    base = f"http://127.0.0.1:{port}"
    def has_data():
        try: return b"loss/cycle" in http_request(f"{base}/data/plugin/scalars/tags")[1]
        except OSError: return False
    try:
        wait_until("TensorBoard has read the events", has_data, 180)
        yield base
    finally: stop(server)


def save_picture(page, path):
    "A screenshot of at most 100 KB: a JPEG, or a PNG of few colors."
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    for quality, colors in ((90, 256), (80, 128), (70, 64)):
        if path.suffix == ".jpg": picture.save(path, quality=quality, optimize=True)
        else: picture.quantize(colors).save(path, optimize=True)
        if path.stat().st_size <= MAX_BYTES: return
    raise AssertionError(f"{path} has {path.stat().st_size} bytes, more than {MAX_BYTES}")


def take_pictures(browser, base, out):
    "The losses, and the images."
    page = browser.new_page(viewport=dict(width=1180, height=980))
    page.goto(f"{base}/?darkMode=false#timeseries", timeout=3*MIN)
    page.locator("scalar-card").first.wait_for(timeout=3*MIN)
    page.get_by_text("Enable step selection and data table").click()  # without the table of times
    page.locator("button", has_text="Settings").first.click()  # close the settings
    tags = page.locator("metrics-tag-filter input").first
    tags.fill("^loss/")
    tags.press("Escape")  # close the suggestions
    wait_until("the curves", lambda: page.locator("scalar-card").count() >= 3, 60)
    page.wait_for_timeout(8000)
    save_picture(page, out/"tensorboard_losses.png")
    page.goto(f"{base}/?darkMode=false#images", timeout=3*MIN)
    page.reload(timeout=3*MIN)
    image = page.locator("tf-image-loader img").first
    image.wait_for(timeout=3*MIN)
    wait_until("the images", lambda: image.evaluate("e => e.naturalWidth") > 100, 60)
    image.click()  # actual size
    page.locator("tf-image-loader").first.evaluate("e => e.scrollIntoView({block: 'start'})")
    page.get_by_text("GMT").last.evaluate("e => e.style.visibility = 'hidden'")  # the picture holds no time
    page.wait_for_timeout(5000)
    save_picture(page, out/"tensorboard_samples.jpg")


def main():
    ap = parser(__doc__)
    ap.add_argument("--out", type=Path, default=Path("nbs/images"), help="folder of the pictures")
    ap.add_argument("--epochs", type=int, default=6, help="epochs of 20 batches")
    ap.add_argument("--run", type=Path, help="folder of the training, kept")
    args = ap.parse_args()
    with temporary_folder() as temporary:
        run = train(args.run or temporary, args.epochs)
        with chromium(args) as (browser, _), tensorboard(run) as base: take_pictures(browser, base, args.out)
    print(f"tensorboard_losses.png and tensorboard_samples.jpg in {args.out}")


if __name__ == "__main__": main()

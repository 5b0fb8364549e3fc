"""Check every page of _docs/ in a browser, 1280 pixels wide (desk) and 390 (phone): errors, images, overflow, search.

    python scripts/check_site.py                     every page
    python scripts/check_site.py index viz.explore   only these
    python scripts/check_site.py --shots pictures    keep screenshots of some pages in this folder

Needs Playwright (`pip install playwright`) and a Chromium (`--chromium PATH`, or found by name). Not part of
`make test`.
"""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from in_browser import chromium, parser

ROOT = Path(__file__).resolve().parent.parent
WIDTHS = {"desk": (1280, 900), "phone": (390, 844)}
SHOTS = ("index", "viz.ranks", "gan.losses", "which", "map", "thesis")

PAGE_CHECK_JS = """async () => {
  for (const i of document.images) i.loading = 'eager';
  await Promise.all([...document.images].map(i => i.complete ? 0 : new Promise(r => { i.onload = i.onerror = r; })));
  const wide = document.documentElement.clientWidth, out = [];
  for (const i of document.images) {
    const src = i.getAttribute('src').slice(0, 80);
    if (!i.naturalWidth) out.push('missing image ' + src);
    if (!i.alt) out.push('no alternative text for the image ' + src);
  }
  const total = document.documentElement.scrollWidth;
  if (total > wide + 1) {
    const scrolls = 'pre,table,.highlight,.sig,.output_subarea';
    const sticksOut = e => e.getBoundingClientRect().right > wide + 1 && !e.closest(scrolls);
    const far = [...document.querySelectorAll('body *')].filter(sticksOut).slice(0, 2);
    out.push('wider than the window: ' + total + ' ' + far.map(e => e.outerHTML.slice(0, 90)).join(' | '));
  }
  if (!document.querySelector('main h1')) out.push('no title');
  return out;
}"""


def check_page(page, file):
    "What is wrong with a page."
    problems = []
    def note_console(message):
        if message.type == "error": problems.append(f"console: {message.text}")
    page.on("console", note_console)
    page.on("pageerror", lambda e: problems.append(f"script: {e}"))
    page.goto(file.resolve().as_uri(), timeout=180_000)
    return problems+page.evaluate(PAGE_CHECK_JS)


def check_search(page, file):
    "The search finds a function, opens its page there, and reports when there is nothing."
    page.goto(file.resolve().as_uri(), timeout=180_000)
    page.keyboard.press("/")
    page.keyboard.type("patch_style_loss")
    if page.locator(".hits a b").first.inner_text() != "patch_style_loss":
        return ["search: patch_style_loss is not the first hit"]
    page.keyboard.press("Enter")
    page.wait_for_url("**/gan.feature_losses.html#patch_style_loss")
    box = page.locator("#patch_style_loss").bounding_box()
    if not box or not 0 <= box["y"] < 900: return ["search: the hit is not in sight"]
    page.keyboard.press("/")
    page.keyboard.type("qqzzq")
    if "Nothing found" not in page.locator(".hits").inner_text(): return ["search: nonsense is found"]
    return []


def main():
    ap = parser(__doc__)
    ap.add_argument("pages", nargs="*", help="names of pages, e.g. index")
    args = ap.parse_args()
    files = sorted((ROOT/"_docs").glob("*.html"))
    if not files: sys.exit("there is no _docs/: run `make docs` first")
    if args.pages: files = [f for f in files if f.stem in args.pages]
    faults = []
    with chromium(args) as (browser, shot):
        for name, (width, height) in WIDTHS.items():
            for f in files:
                page = browser.new_page(viewport=dict(width=width, height=height))
                faults += [f"{f.name} at {width}: {fault}" for fault in check_page(page, f)]
                if f.stem in SHOTS: shot(page, f"{f.stem}_{name}")
                page.close()
        page = browser.new_page(viewport=dict(width=1280, height=900))
        faults += check_search(page, ROOT/"_docs"/"index.html")
    for fault in faults: print(fault)
    widths = " and ".join(str(width) for width, _ in WIDTHS.values())
    print(f"{len(files)} pages at {widths} pixels, {len(faults)} faults")
    sys.exit(bool(faults))


if __name__ == "__main__": main()

"""Render every notebook to HTML in _docs/, without Quarto: nbdev's processing, then nbconvert, then a plain site around it.

    python scripts/docs.py             all of it
    python scripts/docs.py --render    only the pages, from what was processed last (after a change of this script or of scripts/site/)
    python scripts/docs.py --sidebar   only nbs/sidebar.yml, the navigation of the published site

The site needs no server and no network: open _docs/index.html. `python scripts/check_site.py` looks at every page in a browser.
"""
import argparse, ast, base64, html, json, os, re, shutil, sys
from pathlib import Path

import nbformat
from latex2mathml.converter import convert as mathml
from nbconvert import HTMLExporter
from pygments.formatters import HtmlFormatter

ROOT = Path(__file__).resolve().parent.parent
OUT, SITE = ROOT/"_docs", ROOT/"scripts"/"site"
HOST = "https://xmodreid.github.io/xmodreid/"  # nbdev writes names as links into the published site
BADGE = "https://colab.research.google.com/assets/colab-badge.svg"  # the site needs no network, so it has a badge of its own
GUIDE, LESSONS, BASICS, COMMANDS = "Guide", "Lessons", "Basics", "Command line and public names"
CHAPTERS = {  # package -> chapter of the navigation, in this order
    "": BASICS,
    "training": "Training",
    "synth": "Synthetic people",
    "data": "Data",
    "pose": "Pose",
    "annotate": "Annotation",
    "gan": "Translation",
    "reid": "Re-ID",
    "search": "Search",
    "viz": "Figures and explorers",
    "run": "Runs and the demo",
    "cli": COMMANDS,
    "experiments": "Experiments",
}
ORDER = [GUIDE, LESSONS, *CHAPTERS.values()]


class Page:
    "A notebook as processed: where it goes, what it is called, and what it promises."
    def __init__(self, path):
        self.path, self.nb = path, clean_notebook(nbformat.read(path, 4), first_cell(path))
        self.name = page_name(path)
        self.file = self.name+".html"
        text = next((c.source for c in self.nb.cells if c.cell_type == "markdown" and re.search(r"^# ", c.source, re.M)), f"# {self.name}")
        self.title = re.search(r"^# (.+)$", text, re.M)[1].strip()
        promise = re.search(r"^> (.+)$", text, re.M)
        self.promise = promise[1].strip() if promise else ""
        self.chapter = chapter_of(path)
        self.needs, self.users, self.entries = [], [], []


def page_name(path):
    "Name of a notebook's page: `gan.losses`, `experiments.usl`, `glossary`, `modality_gap`."
    stem = re.sub(r"^\d+_", "", Path(path).stem)
    return f"experiments.{stem}" if Path(path).parent.name == "experiments" else stem


def chapter_of(path):
    "Chapter of a notebook: its package, `Lessons`, or `Guide` for pages that export nothing."
    name = page_name(path)
    if Path(path).parent.name == "tutorials": return LESSONS
    if name in ("cli", "all"): return COMMANDS
    if (ROOT/"xmodreid"/f"{name}.py").exists(): return BASICS
    return CHAPTERS.get(name.split(".")[0], GUIDE)


def sidebar():
    "The navigation as Quarto reads it; `nbs/sidebar.yml` must be this text."
    chapters = {name: [] for name in ORDER}
    for path in sorted((ROOT/"nbs").rglob("*.ipynb")):
        parts = path.relative_to(ROOT/"nbs").parts
        if any(part.startswith((".", "_")) for part in parts) or path.stem == "index": continue
        chapters[chapter_of(path)].append("/".join(parts))
    lines = ["website:", "  sidebar:", "    contents:", "      - index.ipynb"]
    for name, files in chapters.items():
        if files: lines += [f"      - section: {name}", "        contents:", *(f"          - {f}" for f in files)]
    return "\n".join(lines)+"\n"


def first_cell(path):
    "The first cell as it was written: nbdev keeps title and promise of it, and drops the prose and the picture below."
    cells = json.loads((ROOT/"nbs"/path.relative_to(next(p for p in path.parents if p.name == "_proc"))).read_text())["cells"]
    text = "".join(cells[0]["source"]) if cells else ""
    return text if text.startswith("# ") else ""


def clean_notebook(nb, first):
    "What Quarto would do: front matter becomes a heading, the cells that only show documentation lose their code, and link attributes go."
    for i, c in enumerate(nb.cells):
        c["id"] = f"cell-{i}"
        if c.source.startswith("---\n"): c.cell_type, c.source = "markdown", first
        elif c.cell_type == "code":
            for out in c.outputs:
                for kind, text in out.get("data", {}).items():
                    if isinstance(text, str): out["data"][kind] = re.sub(r'\{target="_blank"[^}]*\}', "", text)
            if re.match(r"#\| *echo: *false", c.source): as_documentation(c)
            c.source = "\n".join(line for line in c.source.splitlines() if not line.startswith("#|")).strip()
        if c.cell_type == "markdown": c.source = re.sub(r"<!-- WARNING.*?-->", "", c.source)
    nb.cells = [c for c in nb.cells if c.source.strip() or c.get("outputs")]
    return nb


def as_documentation(cell):
    "A cell that only calls `show_doc` becomes the table of what it documents."
    text = next((o["data"]["text/markdown"] for o in cell.outputs if "text/markdown" in o.get("data", {})), None)
    cell.source = ""
    if text is None: return
    cell.cell_type, cell.source = "markdown", api_table(text)
    for k in ("outputs", "execution_count"): cell.pop(k, None)


PARAMETER = re.compile(r"^    (\*{0,2}\w+|/|\*)(?::(.*?))?(?:=(.*?))?,?\s*(?:#\s*(.*))?$")


def api_table(text):
    "nbdev's signature with comments as HTML: name, signature, sentence, and a row a parameter."
    source = re.search(r"\[source\]\((.*?)\)", text)
    name = re.search(r"^#+ (.+)$", text, re.M)[1].strip()
    code = re.search(r"```python\n(.*?)\n```", text, re.S)
    summary = re.sub(r"^---|\[source\]\(.*?\)|^#+ .+$|```python\n.*?\n```", "", text, flags=re.S | re.M).strip()
    summary = re.sub(r"^\*(.*)\*$", r"\1", summary, flags=re.S)
    rows, shown, gives = [], [], None
    for line in (code[1] if code else "").splitlines():
        if m := re.match(r"^\)->\s*(.*?):\s*(?:#\s*(.*))?$", line): gives = (m[1], m[2] or "")
        elif (m := PARAMETER.match(line)) and line.startswith("    "):
            p, kind, default, words = (x or "" for x in m.groups())
            rows.append((p, kind, default, words))
            shown.append(p+(f"={default}" if default else ""))
    if gives is None and code and (m := re.search(r"\)->\s*([^:#\n]+)", code[1])): gives = (m[1], "")
    one = code[1] if code and not rows else None
    sig = f"{name}({', '.join(shown)})" if rows else re.sub(r"\s*#.*", "", one or "").replace("\n", " ").removeprefix("def ").removeprefix("class ").rstrip(": ")
    cells = lambda row, tag="td": "".join(f"<{tag}>{w}</{tag}>" for w in row)
    body = [cells((html.escape(p), html.escape(k), html.escape(d), inline(w))) for p, k, d, w in rows if any((k, d, w))]
    if gives and (gives[1] or body): body.append(cells(("returns", html.escape(gives[0]), "", inline(gives[1]))))
    table = f"<table><thead><tr>{cells(('', 'type', 'default', 'what it is'), 'th')}</tr></thead><tbody>{''.join(f'<tr>{b}</tr>' for b in body)}</tbody></table>" if body else ""
    link = f'<a class="source" href="{source[1]}">source</a>' if source else ""
    anchor = html.escape(name.replace(" ", "-").lower(), quote=True)  # nbdev links so
    arrow = f" → {html.escape(gives[0])}" if gives else ""
    return (f'<div class="api" data-name="{anchor}">{link}<h3 id="{anchor}">{html.escape(name)}</h3><div class="sig">{html.escape(sig)}{arrow}</div>'
            f'<p class="sum">{inline(summary)}</p>{table}</div>')


def inline(text):
    "The little Markdown that docments hold."
    text = html.escape(text, quote=False)
    text = re.sub(r"\[`([^`]+)`\]\((.*?)\)", r'<a href="\2"><code>\1</code></a>', text)
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", text).replace("\n\n", "<br><br>")


def with_math(body):
    "LaTeX between dollars becomes MathML, which browsers draw without a script; code is left alone."
    parts = re.split(r"(<pre.*?</pre>|<code.*?</code>|<[^>]+>)", body, flags=re.S)
    def one(m):
        try: return f'<div class="formula">{mathml(html.unescape(m[2]), display="block")}</div>' if m[2] else mathml(html.unescape(m[3]))
        except Exception: return m[0]
    return "".join(p if i % 2 else re.sub(r"(\$\$(.+?)\$\$|\$(?! )([^$\n]+?)(?<! )\$)", one, p, flags=re.S) for i, p in enumerate(parts))


def link_dependencies(pages):
    "Which module imports which, from the package itself."
    by_name = {p.name: p for p in pages}
    for p in pages:
        file = ROOT/"xmodreid"/Path(*p.name.split("."))
        file = file.with_suffix(".py") if file.with_suffix(".py").exists() else None
        if not file or p.name == "all": continue
        package, found = p.name.split(".")[:-1], set()
        for node in ast.walk(ast.parse(file.read_text())):
            if not isinstance(node, ast.ImportFrom): continue
            base = package[:len(package)-node.level+1] if node.level else []
            module = ".".join([*base, *(node.module or "").split(".")]).strip(".").removeprefix("xmodreid.")
            found |= {m for m in (module, *(f"{module}.{a.name}".strip(".") for a in node.names)) if m in by_name and (node.level or (node.module or "").startswith("xmodreid"))}
        p.needs = sorted(found-{p.name}, key=lambda n: by_name[n].path.name)
        for n in p.needs: by_name[n].users.append(p.name)


def neighbors_svg(p):
    "What the module stands on, itself, and what stands on it: the picture of a page that has none of its own."
    left, right = p.needs[:7], p.users[:7]
    n = max(len(left), len(right), 1)
    h, mid = 34*n+20, 17*n+10
    out = [f'<svg viewBox="0 0 720 {h}" width="720" role="img" aria-label="What {p.name} uses and what uses it">']
    def boxes(names, x, end):
        top = mid-17*len(names)
        for i, name in enumerate(names):
            y = top+34*i+17
            a, b = ((x+190, y), (265, mid)) if end else ((455, mid), (x, y))
            out.append(f'<path d="M{a[0]} {a[1]} C{(a[0]+b[0])/2} {a[1]} {(a[0]+b[0])/2} {b[1]} {b[0]} {b[1]}" fill="none" stroke="#b8c4d0" stroke-width="1.5"/>'
                       f'<a href="{name}.html"><rect x="{x}" y="{y-13}" width="190" height="26" rx="7" fill="#fff" stroke="#c5d0db"/><text x="{x+95}" y="{y+4.5}" text-anchor="middle" fill="#1f5f99">{name}</text></a>')
    boxes(left, 10, True); boxes(right, 520, False)
    out.append(f'<rect x="265" y="{mid-17}" width="190" height="34" rx="9" fill="#14202e"/><text x="360" y="{mid+5}" text-anchor="middle" fill="#fff" font-weight="600">{p.name}</text></svg>')
    return "".join(out)


def lead_figure(p):
    "The first picture of the page, as a file, above everything; or the module among its neighbors."
    early = any(re.search(r"!\[|<img|<svg", c.source) for c in p.nb.cells[:3] if c.cell_type == "markdown")
    if early or p.chapter in (GUIDE, LESSONS): return ""
    heading = ""
    for c in p.nb.cells:
        if c.cell_type == "markdown" and (m := re.findall(r"^##+ (.+)$", c.source, re.M)): heading = m[-1]
        for o in c.get("outputs", []):
            if png := o.get("data", {}).get("image/png"):
                file = OUT/"images"/"lead"/f"{p.name}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(base64.b64decode(png))
                where = f' from “<a href="#{slug(heading)}">{html.escape(heading)}</a>” below' if heading else ""
                return f'<figure class="lead"><img src="images/lead/{p.name}.png" alt="{html.escape(p.title)}: a picture of it at work"><figcaption>{html.escape(p.title)}:{where or " at work"}</figcaption></figure>'
    if p.needs or p.users: return f'<figure class="lead">{neighbors_svg(p)}<figcaption>What it is built on (left), and what is built on it (right)</figcaption></figure>'
    return ""


def extract_images(body, name):
    "Pictures leave the text and become files: a page loads them only when they come into sight."
    count = iter(range(1, 999))
    def one(m):
        file = OUT/"images"/"out"/f"{name}-{next(count)}.{m[1]}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(base64.b64decode(m[2]))
        return f'src="images/out/{file.name}" loading="lazy"'
    return re.sub(r'src="data:image/(png|jpeg);base64,([^"]+)"', one, body)


def slug(heading): return re.sub(r"[`*]", "", heading).strip().replace(" ", "-")


def dependency_box(p):
    if not (p.needs or p.users): return ""
    links = lambda names: ", ".join(f'<a href="{n}.html">{n}</a>' for n in names)
    parts = [f"<b>import</b> <code>xmodreid.{p.name}</code>"]
    if p.needs: parts.append(f"<b>built on</b> {links(p.needs)}")
    if p.users: parts.append(f"<b>used by</b> {links(p.users)}")
    return f'<div class="stands">{"<br>".join(parts)}</div>'


def navigation(pages, here):
    out = []
    for chapter in dict.fromkeys(p.chapter for p in pages):
        mine = [p for p in pages if p.chapter == chapter]
        is_open = here in mine or chapter in (GUIDE, LESSONS)
        links = "".join(f'<a {"class=here " if p is here else ""}href="{p.file}">{html.escape(p.title if p.name != "index" else "Front page")}</a>' for p in mine)
        if chapter == GUIDE: links += f'<a {"class=here " if here == "map" else ""}href="map.html">Map of the package</a>'
        out.append(f'<details{" open" if is_open or here == "map" else ""}><summary>{chapter}</summary>{links}</details>')
    return "".join(out)


def shell(title, body, pages, here, toc="", prev_next=""):
    "The page around the text."
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1"><title>{html.escape(title)} · xmodreid</title>
<link rel="icon" href="data:,"><link rel="stylesheet" href="site.css"></head><body>
<header class="bar"><button type="button" aria-label="menu">☰</button><a class="brand" href="index.html">x<span>mod</span>reid</a><nav><a href="which.html">Which method when</a><a href="map.html">Map</a><a href="glossary.html">Glossary</a><a href="faq.html">FAQ</a></nav><span class="gap"></span>
<div class="search"><input type="search" placeholder="Search  /" aria-label="search" autocomplete="off"><div class="hits"></div></div></header>
<div class="page"><nav class="site" aria-label="chapters">{navigation(pages, here)}</nav><main class="body">{body}{prev_next}</main><aside class="toc">{toc}</aside></div>
<footer>xmodreid · Apache-2.0 · lawful and consented images only · all people shown are synthetic</footer>
<script src="search.js"></script><script src="site.js"></script></body></html>"""


def render(p, exporter):
    "The text of a page; fills `p.entries` for the search."
    body, _ = exporter.from_notebook_node(p.nb)
    body = body.replace(BADGE, "colab.svg")
    def page_link(m):
        folder = (m[1] or "").rstrip("/").split("/")[-1]
        if p.path.parent.name == "experiments" and not folder: folder = "experiments"
        name = f"experiments.{m[3]}" if folder == "experiments" and not m[3].startswith("experiments.") else m[3]
        return f'href="{name}.html{m[5] or ""}"'
    body = re.sub(r'href="((?:[^":/#]+/)*)(\d+_)?([\w.]+)\.(ipynb|html)(#[^"]*)?"', page_link, body.replace(HOST, ""))
    body = with_math(extract_images(body, p.name))
    count = iter(range(1, 999))
    body = re.sub(r"<img(?![^>]*\balt=\"[^\"]+\")", lambda m: f'<img alt="{html.escape(p.title)}, picture {next(count)}"', re.sub(r'<img([^>]*?)\salt="(No description has been provided for this image)?"', r"<img\1", body))
    first = re.search(r"</h1>\s*(<blockquote>.*?</blockquote>)?", body, re.S)
    if first:
        promise = re.sub(r"</?blockquote>", "", first[1] or "")
        promise = f'<div class="promise">{re.sub("</?p>", "", promise)}</div>' if promise else ""
        body = body[:first.start()]+"</h1>"+promise+lead_figure(p)+body[first.end():]+dependency_box(p)
    p.entries = [[p.file, "", p.title, "page", p.promise]]
    plain = lambda s: re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", s))).strip()
    for m in re.finditer(r'<h([234]) id="([^"]+)"[^>]*>(.*?)</h\1>(.*?)(?=<h[234] |$)', body, re.S):
        is_api = m[1] == "3" and f'data-name="{m[2]}"' in body
        title, rest = plain(re.sub(r'<a class="anchor-link".*?</a>', "", m[3])), m[4]
        text = re.search(r'<p class="sum">(.*?)</p>' if is_api else r"<p>(.*?)</p>", rest, re.S)
        p.entries.append([p.file, html.unescape(m[2]), title, f"{p.name}, API" if is_api else p.title, plain(text[1])[:170] if text else ""])
    return body


def page_toc(p):
    links = [f'<a class="{"sub" if "API" in kind else ""}" href="#{html.escape(anchor)}">{html.escape(title)}</a>' for _, anchor, title, kind, _ in p.entries[1:]]
    return "<b>On this page</b>"+"".join(links) if links else ""


def map_page(pages):
    "Every module as a card, chapter by chapter; pointing at one marks what it stands on and what stands on it."
    out = ['<h1>Map of the package</h1><div class="promise">One notebook, one module, one idea. A module imports only modules above it on this page, so it reads as a course.</div>'
           '<p>Point at a module: what it is built on is framed in <span style="color:#c9741a">orange</span>, what is built on it in <span style="color:#2f7fc0">blue</span>.</p>']
    for chapter in dict.fromkeys(p.chapter for p in pages if (ROOT/"xmodreid"/Path(*p.name.split("."))).with_suffix(".py").exists()):
        cards = "".join(f'<a class="card" href="{p.file}" data-name="{p.name}" data-needs="{" ".join(p.needs)}"><b>{html.escape(p.title)}</b><code>{p.name}</code><br>{inline(p.promise)}</a>'
                        for p in pages if p.chapter == chapter and (p.needs or p.users or p.name in ("all", "cli")))
        out.append(f"<h2>{chapter}</h2><div class='cards map'>{cards}</div>")
    return "".join(out)


def fix_method_links():
    "nbdev links `Class.method` even where only the class is documented: such a link goes to the class."
    ids = {f.name: set(re.findall(r'\sid="([^"]+)"', f.read_text())) for f in OUT.glob("*.html")}
    for f in OUT.glob("*.html"):
        def one(m): return m[0] if m[1] not in ids or f"{m[2]}.{m[3]}" in ids[m[1]] or m[2] not in ids[m[1]] else f'href="{m[1]}#{m[2]}"'
        text = f.read_text()
        new = re.sub(r'href="([\w.]+\.html)#(\w+)\.([\w.]+)"', one, text)
        if new != text: f.write_text(new)


def broken_links():
    "(page, link) of every link to a file or an anchor that is not there."
    texts = {f.name: f.read_text() for f in OUT.glob("*.html")}
    anchors = {n: set(map(html.unescape, re.findall(r'\sid="([^"]+)"', t))) for n, t in texts.items()}
    for n, t in texts.items():
        for link in re.findall(r'(?:href|src)="(?!https?:|data:|mailto:)([^"<>]+)"', re.sub(r"<pre.*?</pre>", "", t, flags=re.S)):
            file, _, anchor = html.unescape(link).partition("#")
            if file and not (OUT/file).exists(): yield n, link
            elif anchor and anchor not in anchors.get(file or n, set()): yield n, link


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--render", action="store_true", help="only render what was processed last")
    ap.add_argument("--sidebar", action="store_true", help="only write nbs/sidebar.yml, the navigation of the published site")
    args = ap.parse_args()
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    if args.sidebar:
        (ROOT/"nbs"/"sidebar.yml").write_text(sidebar())
        return
    if args.render: source = ROOT/"_proc"
    else:
        from nbdev.serve import proc_nbs
        source = Path(proc_nbs(n_workers=2))
    if not source.is_dir(): sys.exit("nothing was processed yet: run without --render first")
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir()
    if (ROOT/"nbs"/"images").is_dir(): shutil.copytree(ROOT/"nbs"/"images", OUT/"images")
    exporter = HTMLExporter(template_name="basic")
    exporter.exclude_input_prompt = exporter.exclude_output_prompt = True
    pages = [Page(p) for p in source.rglob("*.ipynb") if not any(part.startswith((".", "_")) for part in p.relative_to(source).parts)]
    pages.sort(key=lambda p: (ORDER.index(p.chapter), p.name != "index", p.path.name))
    link_dependencies(pages)
    for i, p in enumerate(pages):
        body = render(p, exporter)
        around = [(pages[i-1], "← ", "") if i else None, (pages[i+1], "", " →") if i+1 < len(pages) else None]
        prev_next = "".join(f'<a href="{q.file}">{a}{html.escape(q.title)}{b}</a>' for q, a, b in filter(None, around))
        (OUT/p.file).write_text(shell(p.title, body, pages, p, page_toc(p), f'<div class="turn">{prev_next}</div>'))
    (OUT/"map.html").write_text(shell("Map of the package", map_page(pages), pages, "map"))
    entries = [["map.html", "", "Map of the package", "page", "Every module, what it is built on and what is built on it"], *(e for p in pages for e in p.entries)]
    (OUT/"search.js").write_text(f"window.SEARCH = {json.dumps(entries, ensure_ascii=False, separators=(',', ':'))};")
    (OUT/"site.css").write_text((SITE/"site.css").read_text()+HtmlFormatter(style="friendly").get_style_defs(".highlight").replace("background: #f0f0f0;", ""))
    for name in ("site.js", "colab.svg"): shutil.copy(SITE/name, OUT)
    fix_method_links()
    missing = sorted(set(broken_links()))
    for f, link in missing: print(f"{f}: broken link {link}")
    print(f"{len(pages)+1} pages in {OUT.relative_to(ROOT)}/, {len(missing)} broken links")
    sys.exit(bool(missing))


if __name__ == "__main__": main()

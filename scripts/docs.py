"""Render every notebook to HTML in _docs/, without Quarto: nbdev's processing, nbconvert, and a plain site around it.

    python scripts/docs.py             all of it
    python scripts/docs.py --render    only the pages, from what was processed last (after a change of this script
                                       or of scripts/site/)
    python scripts/docs.py --sidebar   only nbs/sidebar.yml, the navigation of the published site

The site needs no server and no network: open _docs/index.html. `python scripts/check_site.py` checks every page in a
browser.
"""
import argparse
import ast
import base64
import html
import json
import os
import re
import shutil
import sys
from pathlib import Path

import nbformat
from latex2mathml.converter import convert as mathml
from nbconvert import HTMLExporter
from pygments.formatters import HtmlFormatter

ROOT = Path(__file__).resolve().parent.parent
OUT, SITE = ROOT/"_docs", ROOT/"scripts"/"site"
HOST = "https://xmodreid.github.io/xmodreid/"  # nbdev writes names as links into the published site
BADGE = "https://colab.research.google.com/assets/colab-badge.svg"  # replaced by a file of the site
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
        self.path = path
        self.nb = clean_notebook(nbformat.read(path, 4), first_cell(path))
        self.name = page_name(path)
        self.file = self.name+".html"
        texts = [c.source for c in self.nb.cells if c.cell_type == "markdown"]
        text = next((t for t in texts if re.search(r"^# ", t, re.M)), f"# {self.name}")
        self.title = re.search(r"^# (.+)$", text, re.M)[1].strip()
        promise = re.search(r"^> (.+)$", text, re.M)
        self.promise = promise[1].strip() if promise else ""
        self.chapter = chapter_of(path)
        self.needs = []
        self.users = []
        self.entries = []


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


def is_hidden(parts):
    "Whether a path lies in a folder that nbdev passes over."
    return any(part.startswith((".", "_")) for part in parts)


def sidebar():
    "The navigation as Quarto reads it; `nbs/sidebar.yml` must be this text."
    chapters = {name: [] for name in ORDER}
    for path in sorted((ROOT/"nbs").rglob("*.ipynb")):
        parts = path.relative_to(ROOT/"nbs").parts
        if is_hidden(parts) or path.stem == "index": continue
        chapters[chapter_of(path)].append("/".join(parts))
    lines = ["website:", "  sidebar:", "    contents:", "      - index.ipynb"]
    for name, files in chapters.items():
        if files: lines += [f"      - section: {name}", "        contents:", *(f"          - {f}" for f in files)]
    return "\n".join(lines)+"\n"


def first_cell(path):
    "The first cell as it was written: nbdev keeps its title and promise, and drops the prose and the picture below."
    processed = next(p for p in path.parents if p.name == "_proc")
    cells = json.loads((ROOT/"nbs"/path.relative_to(processed)).read_text())["cells"]
    text = "".join(cells[0]["source"]) if cells else ""
    return text if text.startswith("# ") else ""


def clean_code_cell(cell):
    "Remove link attributes from outputs and directives from the source; a cell of documentation becomes its table."
    for out in cell.outputs:
        for kind, text in out.get("data", {}).items():
            if isinstance(text, str): out["data"][kind] = re.sub(r'\{target="_blank"[^}]*\}', "", text)
    if re.match(r"#\| *echo: *false", cell.source): as_documentation(cell)
    cell.source = "\n".join(line for line in cell.source.splitlines() if not line.startswith("#|")).strip()


def clean_notebook(nb, first):
    "What Quarto would do: front matter becomes a heading, and cells that only show documentation lose their code."
    for i, cell in enumerate(nb.cells):
        cell["id"] = f"cell-{i}"
        if cell.source.startswith("---\n"):
            cell.cell_type = "markdown"
            cell.source = first
        elif cell.cell_type == "code":
            clean_code_cell(cell)
        if cell.cell_type == "markdown": cell.source = re.sub(r"<!-- WARNING.*?-->", "", cell.source)
    nb.cells = [cell for cell in nb.cells if cell.source.strip() or cell.get("outputs")]
    return nb


def as_documentation(cell):
    "A cell that only calls `show_doc` becomes the table of what it documents."
    outputs = [out["data"] for out in cell.outputs if "text/markdown" in out.get("data", {})]
    cell.source = ""
    if not outputs: return
    cell.cell_type = "markdown"
    cell.source = api_table(outputs[0]["text/markdown"])
    for key in ("outputs", "execution_count"): cell.pop(key, None)


PARAMETER = re.compile(r"^    (\*{0,2}\w+|/|\*)(?::(.*?))?(?:=(.*?))?,?\s*(?:#\s*(.*))?$")
RETURNS = re.compile(r"^\)->\s*(.*?):\s*(?:#\s*(.*))?$")


def read_signature(code):
    "Rows `(name, type, default, comment)` of the parameters in nbdev's signature, and `(type, comment)` of the result."
    rows = []
    result = None
    for line in code.splitlines():
        if m := RETURNS.match(line): result = (m[1], m[2] or "")
        elif m := PARAMETER.match(line): rows.append(tuple(x or "" for x in m.groups()))
    if result is None and (m := re.search(r"\)->\s*([^:#\n]+)", code)): result = (m[1], "")
    return rows, result


def signature_line(name, code, rows):
    "The signature in one line: names and defaults."
    if rows: return f"{name}({', '.join(p+(f'={default}' if default else '') for p, _, default, _ in rows)})"
    line = re.sub(r"\s*#.*", "", code).replace("\n", " ")
    return line.removeprefix("def ").removeprefix("class ").rstrip(": ")


def table_row(row, tag="td"):
    "Cells of a row of a table."
    return "".join(f"<{tag}>{text}</{tag}>" for text in row)


def parameter_table(rows, result):
    "HTML table of parameters and result; nothing where no row says anything."
    body = []
    for name, kind, default, comment in rows:
        if not (kind or default or comment): continue
        body.append(table_row((html.escape(name), html.escape(kind), html.escape(default), inline(comment))))
    if result and (result[1] or body):
        body.append(table_row(("returns", html.escape(result[0]), "", inline(result[1]))))
    if not body: return ""
    head = table_row(("", "type", "default", "what it is"), "th")
    lines = "".join(f"<tr>{line}</tr>" for line in body)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table>"


def api_table(text):
    "nbdev's signature with comments as HTML: name, signature, sentence, and one row per parameter."
    source = re.search(r"\[source\]\((.*?)\)", text)
    name = re.search(r"^#+ (.+)$", text, re.M)[1].strip()
    found = re.search(r"```python\n(.*?)\n```", text, re.S)
    code = found[1] if found else ""
    summary = re.sub(r"^---|\[source\]\(.*?\)|^#+ .+$|```python\n.*?\n```", "", text, flags=re.S | re.M).strip()
    summary = re.sub(r"^\*(.*)\*$", r"\1", summary, flags=re.S)
    rows, result = read_signature(code)
    link = f'<a class="source" href="{source[1]}">source</a>' if source else ""
    anchor = html.escape(name.replace(" ", "-").lower(), quote=True)  # nbdev links so
    arrow = f" → {html.escape(result[0])}" if result else ""
    return (
        f'<div class="api" data-name="{anchor}">{link}<h3 id="{anchor}">{html.escape(name)}</h3>'
        f'<div class="sig">{html.escape(signature_line(name, code, rows))}{arrow}</div>'
        f'<p class="sum">{inline(summary)}</p>{parameter_table(rows, result)}</div>'
    )


def inline(text):
    "The little Markdown that docments hold."
    text = html.escape(text, quote=False)
    text = re.sub(r"\[`([^`]+)`\]\((.*?)\)", r'<a href="\2"><code>\1</code></a>', text)
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", text).replace("\n\n", "<br><br>")


FORMULA = re.compile(r"(\$\$(.+?)\$\$|\$(?! )([^$\n]+?)(?<! )\$)", re.S)


def formula_html(match):
    "MathML of a formula between dollars; the text as it is where it cannot be converted."
    try:
        if match[2]: return f'<div class="formula">{mathml(html.unescape(match[2]), display="block")}</div>'
        return mathml(html.unescape(match[3]))
    except Exception:
        return match[0]


def with_math(body):
    "LaTeX between dollars becomes MathML, which browsers show without a script; code is left alone."
    parts = re.split(r"(<pre.*?</pre>|<code.*?</code>|<[^>]+>)", body, flags=re.S)
    return "".join(part if i % 2 else FORMULA.sub(formula_html, part) for i, part in enumerate(parts))


def imported_modules(path, name):
    "Names of the package's modules that a module file imports, without `xmodreid.`; names of functions among them."
    package = name.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.ImportFrom): continue
        if not node.level and not (node.module or "").startswith("xmodreid"): continue
        base = package[:len(package)-node.level+1] if node.level else []
        module = ".".join([*base, *(node.module or "").split(".")]).strip(".").removeprefix("xmodreid.")
        yield module
        for alias in node.names: yield f"{module}.{alias.name}".strip(".")


def module_file(name):
    "File of a page's module in the package."
    return (ROOT/"xmodreid"/Path(*name.split("."))).with_suffix(".py")


def link_dependencies(pages):
    "Which module imports which, from the package itself."
    by_name = {p.name: p for p in pages}
    for p in pages:
        path = module_file(p.name)
        if not path.exists() or p.name == "all": continue
        found = {m for m in imported_modules(path, p.name) if m in by_name and m != p.name}
        p.needs = sorted(found, key=lambda n: by_name[n].path.name)
        for n in p.needs: by_name[n].users.append(p.name)


def neighbor_boxes(names, x, middle, is_left):
    "SVG of one column of modules, each with a line to the module in the middle."
    top = middle-17*len(names)
    for i, name in enumerate(names):
        y = top+34*i+17
        (x1, y1), (x2, y2) = ((x+190, y), (265, middle)) if is_left else ((455, middle), (x, y))
        bend = (x1+x2)/2
        yield (f'<path d="M{x1} {y1} C{bend} {y1} {bend} {y2} {x2} {y2}" '
               'fill="none" stroke="#b8c4d0" stroke-width="1.5"/>')
        yield (f'<a href="{name}.html">'
               f'<rect x="{x}" y="{y-13}" width="190" height="26" rx="7" fill="#fff" stroke="#c5d0db"/>'
               f'<text x="{x+95}" y="{y+4.5}" text-anchor="middle" fill="#1f5f99">{name}</text></a>')


def neighbors_svg(p):
    "The module between those it imports and those that import it: the picture of a page that has none of its own."
    left = p.needs[:7]
    right = p.users[:7]
    n = max(len(left), len(right), 1)
    height = 34*n+20
    middle = 17*n+10
    parts = [
        f'<svg viewBox="0 0 720 {height}" width="720" role="img" aria-label="What {p.name} uses and what uses it">',
        *neighbor_boxes(left, 10, middle, True),
        *neighbor_boxes(right, 520, middle, False),
        f'<rect x="265" y="{middle-17}" width="190" height="34" rx="9" fill="#14202e"/>',
        f'<text x="360" y="{middle+5}" text-anchor="middle" fill="#fff" font-weight="600">{p.name}</text></svg>',
    ]
    return "".join(parts)


def first_picture(p):
    "PNG of the first output that holds one, and the heading above it; `None` without one."
    heading = ""
    for cell in p.nb.cells:
        if cell.cell_type == "markdown" and (found := re.findall(r"^##+ (.+)$", cell.source, re.M)): heading = found[-1]
        for out in cell.get("outputs", []):
            if png := out.get("data", {}).get("image/png"): return base64.b64decode(png), heading
    return None


def lead_figure(p):
    "The first picture of the page, as a file, above everything; or the module among its neighbors."
    early = any(re.search(r"!\[|<img|<svg", c.source) for c in p.nb.cells[:3] if c.cell_type == "markdown")
    if early or p.chapter in (GUIDE, LESSONS): return ""
    if picture := first_picture(p):
        png, heading = picture
        file = OUT/"images"/"lead"/f"{p.name}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(png)
        title = html.escape(p.title)
        link = f'<a href="#{slug(heading).lower()}">{html.escape(heading)}</a>' if heading else ""
        where = f" from “{link}” below" if heading else " at work"
        image = f'<img src="images/lead/{p.name}.png" alt="{title}: a picture of it at work">'
        return f'<figure class="lead">{image}<figcaption>{title}:{where}</figcaption></figure>'
    if not (p.needs or p.users): return ""
    caption = "What it is built on (left), and what is built on it (right)"
    return f'<figure class="lead">{neighbors_svg(p)}<figcaption>{caption}</figcaption></figure>'


def extract_images(body, name):
    "Pictures leave the text and become files: a page loads them only when they come into sight."
    count = iter(range(1, 999))
    def one(m):
        file = OUT/"images"/"out"/f"{name}-{next(count)}.{m[1]}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(base64.b64decode(m[2]))
        return f'src="images/out/{file.name}" loading="lazy"'
    return re.sub(r'src="data:image/(png|jpeg);base64,([^"]+)"', one, body)


def slug(heading):
    "Anchor of a heading."
    return re.sub(r"[`*]", "", heading).strip().replace(" ", "-")


def page_links(names):
    "Links to the pages of modules."
    return ", ".join(f'<a href="{n}.html">{n}</a>' for n in names)


def dependency_box(p):
    "The import of a module, what it is built on, and what uses it."
    if not (p.needs or p.users): return ""
    parts = [f"<b>import</b> <code>xmodreid.{p.name}</code>"]
    if p.needs: parts.append(f"<b>built on</b> {page_links(p.needs)}")
    if p.users: parts.append(f"<b>used by</b> {page_links(p.users)}")
    return f'<div class="stands">{"<br>".join(parts)}</div>'


def navigation_link(file, title, is_here):
    "A link of the navigation; the page that is shown is marked."
    return f'<a {"class=here " if is_here else ""}href="{file}">{title}</a>'


def navigation(pages, here):
    "The chapters with their pages; `here` is the page that is shown, or `map`."
    parts = []
    for chapter in dict.fromkeys(p.chapter for p in pages):
        of_chapter = [p for p in pages if p.chapter == chapter]
        is_open = here in of_chapter or chapter in (GUIDE, LESSONS) or here == "map"
        links = ""
        for p in of_chapter:
            title = "Front page" if p.name == "index" else p.title
            links += navigation_link(p.file, html.escape(title), p is here)
        if chapter == GUIDE: links += navigation_link("map.html", "Map of the package", here == "map")
        parts.append(f'<details{" open" if is_open else ""}><summary>{chapter}</summary>{links}</details>')
    return "".join(parts)


SHELL = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">\
<title>{title} · xmodreid</title>
<link rel="icon" href="data:,"><link rel="stylesheet" href="site.css"></head><body>
<header class="bar"><button type="button" aria-label="menu">☰</button>\
<a class="brand" href="index.html">x<span>mod</span>reid</a>\
<nav><a href="which.html">Which method when</a><a href="map.html">Map</a><a href="glossary.html">Glossary</a>\
<a href="faq.html">FAQ</a></nav><span class="gap"></span>
<div class="search"><input type="search" placeholder="Search  /" aria-label="search" autocomplete="off">\
<div class="hits"></div></div></header>
<div class="page"><nav class="site" aria-label="chapters">{navigation}</nav>\
<main class="body">{body}{prev_next}</main><aside class="toc">{toc}</aside></div>
<footer>xmodreid · Apache-2.0 · lawful and consented images only · all people shown are synthetic</footer>
<script src="search.js"></script><script src="site.js"></script></body></html>"""


def shell(title, body, pages, here, toc="", prev_next=""):
    "The page around the text."
    links = navigation(pages, here)
    return SHELL.format(title=html.escape(title), navigation=links, body=body, prev_next=prev_next, toc=toc)


NOTEBOOK_LINK = re.compile(r'href="((?:[^":/#]+/)*)(\d+_)?([\w.]+)\.(ipynb|html)(#[^"]*)?"')


def experiment_names():
    "Names of the experiments, without their numbers."
    return {re.sub(r"^\d+_", "", f.stem) for f in (ROOT/"nbs"/"experiments").glob("*.ipynb")}


def with_page_links(body, in_experiments):
    "Links to notebooks, to the published site and to pictures become links within the flat folder of pages."
    experiments = experiment_names()
    def page_link(match):
        folder = (match[1] or "").rstrip("/").split("/")[-1]
        name = match[3]
        if folder == "experiments" or in_experiments and not folder and name in experiments:
            name = f"experiments.{name}"
        return f'href="{name}.html{match[5] or ""}"'
    body = body.replace('src="../images/', 'src="images/')
    return NOTEBOOK_LINK.sub(page_link, body.replace(HOST, ""))


def with_image_texts(body, title):
    "Every image gets an alternative text."
    numbers = iter(range(1, 999))
    body = re.sub(r'<img([^>]*?)\salt="(No description has been provided for this image)?"', r"<img\1", body)
    def described(match): return f'<img alt="{html.escape(title)}, picture {next(numbers)}"'
    return re.sub(r"<img(?![^>]*\balt=\"[^\"]+\")", described, body)


def with_lead(body, p):
    "Below the title: the promise and the lead figure; at the end: the dependencies."
    first = re.search(r"</h1>\s*(<blockquote>.*?</blockquote>)?", body, re.S)
    if not first: return body
    promise = re.sub(r"</?blockquote>", "", first[1] or "")
    if promise: promise = f'<div class="promise">{re.sub("</?p>", "", promise)}</div>'
    return body[:first.start()]+"</h1>"+promise+lead_figure(p)+body[first.end():]+dependency_box(p)


def plain_text(text):
    "HTML without its tags."
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", text))).strip()


def search_entries(body, p):
    "Rows `[file, anchor, title, kind, text]` for the search: the page, its headings, and what it documents."
    entries = [[p.file, "", p.title, "page", p.promise]]
    for m in re.finditer(r'<h([234]) id="([^"]+)"[^>]*>(.*?)</h\1>(.*?)(?=<h[234] |$)', body, re.S):
        level, anchor, heading, rest = m.groups()
        is_api = level == "3" and f'data-name="{anchor}"' in body
        title = plain_text(re.sub(r'<a class="anchor-link".*?</a>', "", heading))
        text = re.search(r'<p class="sum">(.*?)</p>' if is_api else r"<p>(.*?)</p>", rest, re.S)
        kind = f"{p.name}, API" if is_api else p.title
        entries.append([p.file, html.unescape(anchor), title, kind, plain_text(text[1])[:170] if text else ""])
    return entries


def with_small_anchors(body):
    "Anchors of headings in lower case, as Quarto writes them, so that one link serves both sites."
    def small(match): return match[1]+match[2].lower().replace("?", "").replace("%3f", "")
    body = re.sub(r'(<h[1-6] id=")([^"]+)', small, body)
    return re.sub(r'(href="#)([^"]+)', small, body)


def render(p, exporter):
    "The text of a page; fills `p.entries` for the search."
    body, _ = exporter.from_notebook_node(p.nb)
    body = with_small_anchors(body)
    body = body.replace(BADGE, "colab.svg")
    body = with_page_links(body, p.path.parent.name == "experiments")
    body = with_math(extract_images(body, p.name))
    body = with_lead(with_image_texts(body, p.title), p)
    p.entries = search_entries(body, p)
    return body


def page_toc(p):
    "Links to the headings of a page."
    links = ""
    for _, anchor, title, kind, _ in p.entries[1:]:
        links += f'<a class="{"sub" if "API" in kind else ""}" href="#{html.escape(anchor)}">{html.escape(title)}</a>'
    return "<b>On this page</b>"+links if links else ""


MAP_HEAD = (
    '<h1>Map of the package</h1><div class="promise">One notebook, one module, one idea. '
    'A module imports only modules above it on this page, so it reads as a course.</div>'
    '<p>Point at a module: what it is built on is framed in <span style="color:#c9741a">orange</span>, '
    'what is built on it in <span style="color:#2f7fc0">blue</span>.</p>'
)


def map_card(p):
    "A module on the map."
    needs = " ".join(p.needs)
    return (f'<a class="card" href="{p.file}" data-name="{p.name}" data-needs="{needs}">'
            f'<b>{html.escape(p.title)}</b><code>{p.name}</code><br>{inline(p.promise)}</a>')


def map_page(pages):
    "Every module as a card, chapter by chapter; pointing at one marks what it imports and what imports it."
    parts = [MAP_HEAD]
    for chapter in dict.fromkeys(p.chapter for p in pages if module_file(p.name).exists()):
        of_chapter = [p for p in pages if p.chapter == chapter]
        cards = "".join(map_card(p) for p in of_chapter if p.needs or p.users or p.name in ("all", "cli"))
        parts.append(f"<h2>{chapter}</h2><div class='cards map'>{cards}</div>")
    return "".join(parts)


def fix_method_links():
    "nbdev links `Class.method` even where only the class is documented: such a link goes to the class."
    ids = {f.name: set(re.findall(r'\sid="([^"]+)"', f.read_text())) for f in OUT.glob("*.html")}
    def class_link(match):
        file, class_name, method = match.groups()
        anchors = ids.get(file, set())
        if class_name not in anchors or f"{class_name}.{method}" in anchors: return match[0]
        return f'href="{file}#{class_name}"'
    for f in OUT.glob("*.html"):
        text = f.read_text()
        new = re.sub(r'href="([\w.]+\.html)#(\w+)\.([\w.]+)"', class_link, text)
        if new != text: f.write_text(new)


def broken_links():
    "(page, link) of every link to a file or an anchor that is not there."
    texts = {f.name: f.read_text() for f in OUT.glob("*.html")}
    anchors = {name: set(map(html.unescape, re.findall(r'\sid="([^"]+)"', text))) for name, text in texts.items()}
    for name, text in texts.items():
        without_code = re.sub(r"<pre.*?</pre>", "", text, flags=re.S)
        for link in re.findall(r'(?:href|src)="(?!https?:|data:|mailto:)([^"<>]+)"', without_code):
            file, _, anchor = html.unescape(link).partition("#")
            if file and not (OUT/file).exists(): yield name, link
            elif anchor and anchor not in anchors.get(file or name, set()): yield name, link


def read_pages(source):
    "Pages of all processed notebooks, in the order of the navigation."
    files = [f for f in source.rglob("*.ipynb") if not is_hidden(f.relative_to(source).parts)]
    pages = [Page(f) for f in files]
    pages.sort(key=lambda p: (ORDER.index(p.chapter), p.name != "index", p.path.name))
    link_dependencies(pages)
    return pages


def turn_links(pages, i):
    "Links to the page before and the page after page `i`."
    links = ""
    if i: links += f'<a href="{pages[i-1].file}">← {html.escape(pages[i-1].title)}</a>'
    if i+1 < len(pages): links += f'<a href="{pages[i+1].file}">{html.escape(pages[i+1].title)} →</a>'
    return f'<div class="turn">{links}</div>'


def write_pages(pages):
    "Write every page and the map."
    exporter = HTMLExporter(template_name="basic")
    exporter.exclude_input_prompt = True
    exporter.exclude_output_prompt = True
    for i, p in enumerate(pages):
        body = render(p, exporter)
        (OUT/p.file).write_text(shell(p.title, body, pages, p, page_toc(p), turn_links(pages, i)))
    (OUT/"map.html").write_text(shell("Map of the package", map_page(pages), pages, "map"))


def write_assets(pages):
    "Write what the pages load: the entries of the search, the style and the script."
    map_text = "Every module, what it is built on and what is built on it"
    entries = [["map.html", "", "Map of the package", "page", map_text], *(e for p in pages for e in p.entries)]
    search = json.dumps(entries, ensure_ascii=False, separators=(",", ":"))
    (OUT/"search.js").write_text(f"window.SEARCH = {search};")
    colors = HtmlFormatter(style="friendly").get_style_defs(".highlight").replace("background: #f0f0f0;", "")
    (OUT/"site.css").write_text((SITE/"site.css").read_text()+colors)
    for name in ("site.js", "colab.svg"): shutil.copy(SITE/name, OUT)


def build(source):
    "Write the site from the processed notebooks in a folder; its number of broken links."
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir()
    if (ROOT/"nbs"/"images").is_dir(): shutil.copytree(ROOT/"nbs"/"images", OUT/"images")
    pages = read_pages(source)
    write_pages(pages)
    write_assets(pages)
    fix_method_links()
    missing = sorted(set(broken_links()))
    for file, link in missing: print(f"{file}: broken link {link}")
    print(f"{len(pages)+1} pages in {OUT.relative_to(ROOT)}/, {len(missing)} broken links")
    return len(missing)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--render", action="store_true", help="only render what was processed last")
    ap.add_argument("--sidebar", action="store_true",
                    help="only write nbs/sidebar.yml, the navigation of the published site")
    args = ap.parse_args()
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    if args.sidebar:
        (ROOT/"nbs"/"sidebar.yml").write_text(sidebar())
        return
    if args.render:
        source = ROOT/"_proc"
    else:
        from nbdev.serve import proc_nbs
        source = Path(proc_nbs(n_workers=2))
    if not source.is_dir(): sys.exit("nothing was processed yet: run without --render first")
    sys.exit(bool(build(source)))


if __name__ == "__main__": main()

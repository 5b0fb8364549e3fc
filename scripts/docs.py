"""Render every notebook to HTML in _docs/, without Quarto: nbdev's processing, then nbconvert.

    python scripts/docs.py
"""
import html, os, re, shutil, sys
from pathlib import Path

import nbformat
from nbconvert import HTMLExporter

ROOT = Path(__file__).resolve().parent.parent
CHAPTERS = {"0": "Shared", "1": "Data", "2": "Pose", "3": "Translation", "4": "Re-ID", "5": "Without labels", "6": "Pictures", "7": "Experiments", "8": "Commands", "9": "Commands"}
STYLE = """
:root{color-scheme:light}body{margin:0;font-family:system-ui,-apple-system,"Segoe UI",sans-serif}
.page{display:grid;grid-template-columns:15rem minmax(0,1fr)}nav.site{position:sticky;top:0;align-self:start;height:100vh;overflow:auto;padding:1rem;background:#f5f7fa;border-right:1px solid #dfe4ea;font-size:.9rem}
nav.site b{display:block;margin:.9rem 0 .2rem}nav.site a{display:block;color:#33404f;text-decoration:none;padding:.1rem 0}nav.site a.here{color:#b4451f;font-weight:600}
main.body{padding:1rem 2rem 4rem;max-width:60rem;min-width:0}main.body img{max-width:100%;height:auto}main.body .jp-CodeCell .jp-InputArea:not(:has(.highlight span[class])){display:none}main.body table{display:block;overflow-x:auto}
@media(max-width:760px){.page{display:block}nav.site{position:static;height:auto;max-height:11rem;border-right:0;border-bottom:1px solid #dfe4ea}main.body{padding:1rem}}
"""


def title_of(nb, name):
    found = next((m[1] for c in nb.cells if c.cell_type == "markdown" and (m := re.search(r"^# (.+)$", c.source, re.M))), name)
    return found.strip()


def readable(nb):
    "What Quarto would do: front matter becomes a heading, the cells that only show documentation lose their code, and link attributes go."
    for c in nb.cells:
        if c.source.startswith("---\n"):
            meta = dict(re.findall(r"^(title|description): *(.*)$", c.source, re.M))
            c.cell_type, c.source = "markdown", f"# {meta.get('title', '')}\n\n> {meta.get('description', '')}"
        elif c.cell_type == "code" and re.match(r"#\| *echo: *false", c.source):
            c.source = ""
            for out in c.outputs:
                for kind, text in out.get("data", {}).items():
                    if isinstance(text, str): out["data"][kind] = re.sub(r'\{target="_blank"[^}]*\}', "", text)
    return nb


def page_name(p): return re.sub(r"^\d+_", "", p.stem)+".html"


def navigation(pages, here):
    out, chapter = [], None
    for p, title in pages:
        c = CHAPTERS.get(p.name[0], "") if p.parent.name != "tutorials" else "Lessons"
        if c != chapter: out.append(f"<b>{html.escape(c)}</b>" if c else "")
        chapter = c
        out.append(f'<a {"class=here " if p == here else ""}href="{page_name(p)}">{html.escape(title)}</a>')
    return "\n".join(out)


def main():
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    from nbdev.serve import proc_nbs
    source, out = Path(proc_nbs(n_workers=2)), ROOT/"_docs"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    exporter = HTMLExporter(template_name="lab")
    exporter.exclude_input_prompt = exporter.exclude_output_prompt = True
    books = sorted(source.rglob("*.ipynb"), key=lambda p: (p.name != "index.ipynb", p.parent.name == "tutorials", p.name))
    read = {p: readable(nbformat.read(p, 4)) for p in books}
    for p, nb in read.items():
        for i, c in enumerate(nb.cells): c["id"] = f"cell-{i}"
    pages = [(p, title_of(nb, p.stem)) for p, nb in read.items()]
    for p, title in pages:
        body, _ = exporter.from_notebook_node(read[p])
        body = re.sub(r'href="([^":/#]+/)*(\d+_)?([\w.]+)\.(ipynb|html)(#[^"]*)?"', r'href="\3.html\5"', body)
        body = body.replace("<head>", f"<head><style>{STYLE}</style>", 1)
        body = re.sub(r"<title>.*?</title>", f"<title>{html.escape(title)} · xmodreid</title>", body, count=1, flags=re.S)
        body = re.sub(r"(<body[^>]*>)", rf'\1<div class="page"><nav class="site">{navigation(pages, p)}</nav><main class="body">', body, count=1)
        (out/page_name(p)).write_text(body.replace("</body>", "</main></div></body>", 1))
    if (ROOT/"nbs"/"images").is_dir(): shutil.copytree(ROOT/"nbs"/"images", out/"images")
    missing = [(f.name, link) for f in out.glob("*.html") for link in re.findall(r'(?:href|src)="(?!https?:|data:|#|mailto:)([^"#<>]+)"', f.read_text()) if not (out/link).exists()]
    for f, link in missing: print(f"{f}: broken link {link}")
    print(f"{len(pages)} pages in {out.relative_to(ROOT)}/, {len(missing)} broken links")
    sys.exit(bool(missing))


if __name__ == "__main__": main()

"""Write README.md from nbs/index.ipynb, without Quarto: prose, code and text outputs as Markdown.

    python scripts/readme.py
"""
import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def output_text(out):
    "An output as Markdown; pictures give nothing."
    data = out.get("data", {})
    if "text/markdown" in data: return "".join(data["text/markdown"])
    text = "".join(out.get("text", data.get("text/plain", "")))
    return "\n".join(f"    {line}" for line in text.rstrip().splitlines())


def cell_blocks(cell):
    "Blocks of Markdown of a cell: its prose, or its code and outputs."
    source = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        yield re.sub(r"\]\((images/|tutorials/|experiments/|[\w.]+\.ipynb)", r"](nbs/\1", source)
        return
    if re.match(r"#\|\s*(hide|eval: false\s*\n#\|\s*hide)", source): return
    code = "\n".join(line for line in source.splitlines() if not line.startswith("#|")).strip()
    if code: yield f"```python\n{code}\n```"
    yield from filter(None, map(output_text, cell.get("outputs", [])))


def render():
    "The text of README.md."
    cells = json.loads((ROOT/"nbs"/"index.ipynb").read_text())["cells"]
    body = "\n\n".join(b.strip() for c in cells for b in cell_blocks(c))
    return f"{body}\n\n<!-- Made from nbs/index.ipynb by `python scripts/readme.py`: edit the notebook. -->\n"


if __name__ == "__main__": (ROOT/"README.md").write_text(render())

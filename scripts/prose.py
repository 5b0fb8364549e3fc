"""Count words, long sentences and discouraged words in prose, docstrings, comments and messages.

    python scripts/prose.py            a table by chapter for this checkout
    python scripts/prose.py DIR        the same for another checkout, e.g. an older one
    python scripts/prose.py --list gan every long sentence and discouraged word of one chapter

`scripts/check.py` fails where the limits below are passed.
"""
import argparse
import ast
import json
import re
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LONG = 25          # words; at most this share of all sentences may be longer
LONG_SHARE = .05
LONGEST = 40       # words; no sentence is longer
MESSAGE_WORDS = 4  # a string literal of at least so many words is a message
UNITS = r"(batch|epoch|step|image|picture|second|minute|person|identity|row|camera|joint|pair|line|seed|query|run)"
COUNTED = (r"(seconds?|minutes?|hours?|images|pictures|batches|people|lines|rows|KB|MB|GB|ms|s|times|points"
           r"|epochs|steps|joints|calls?)")
DISCOURAGED = {  # pattern -> what to write instead
    r"(no|some|every|any)body|whoever|whosoever": "'nothing', 'a person', 'each person', or name the thing",
    r"he|she|him|his|her|hers|himself|herself": "'the person', 'their', or name the thing",
    r"mend(s|ed|ing)?": "fix, restore",
    r"forg(e|es|ed|ing|ery)": "synthesize, generate",
    r"paint(s|ed|ing|er)?": "draw, render, generate",
    r"settl(e|es|ed|ing)": "fix, resolve, decide",
    r"told|tells|telling": "given, reports, shows",
    r"asks|asked|asking": "requests, needs, uses",
    r"knows|knew": "has, contains, predicts",
    r"forgiv(e|es|en|ing)|believ(e|es|ed)|shrugs?|shouts?|rejoices?": "say what is computed",
    r"(go|goes|going|went) on": "continue, resume",
    r"com(e|es|ing) home": "return",
    r"judg(e|es|ed|ing|ment|ments)": "evaluator, measure",
    r"strangers?": "other identity, distractor",
    r"wardrobes?|puppets?": "appearance, figure",
    rf"{COUNTED} an? {UNITS}": "per",
    r"notebooks? \d+": "the name of the module or page",
    r"colour\w*|grey\w*|centre[sd]?|neighbour\w*|behaviour\w*|favour\w*|labell(ed|ing)|modell(ed|ing)"
    r"|(normal|initial|optim|recogn|general|visual|regular|summar|standard|min?im|max?im)is(e|es|ed|ing|ation)":
        "American spelling",
}
ALLOWED = [  # phrases that are fine although they contain a discouraged word
    r"judge[sd]? for yourself",
    r"OpenCV's inpainting|inpaint\w*",
]
WORDS = {re.compile(rf"\b({pattern})\b", re.IGNORECASE): advice for pattern, advice in DISCOURAGED.items()}
FINE = re.compile("|".join(ALLOWED), re.IGNORECASE)
ABBREVIATION = re.compile(r"\b(e\.g|i\.e|et al|vs|cf|approx|Fig|Eq|No|pp|St|Dr)\.")
SENTENCE_END = re.compile(r"(?<=[.!?])[\"')\]*_]*\s+(?=[\"'(\[*_`]*[A-Z0-9`$])")


def plain(markdown):
    "Text of Markdown without code, formulas, images, link targets and tags."
    text = re.sub(r"\$\$.*?\$\$|\$[^$\n]+\$", " formula ", markdown, flags=re.DOTALL)
    text = re.sub(r"``[^`]+``|`[^`]+`", "code", text)
    text = re.sub(r"!\[[^\]]*\]\([^)]*\)", " ", text)
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
    return re.sub(r"</?\w[^>]*>", "\n\n", text)


def blocks(markdown):
    "(kind, text) of each paragraph, list item, heading and table of Markdown; code blocks are left out."
    text = plain(re.sub(r"^ *```.*?^ *```", "\n", markdown, flags=re.DOTALL | re.MULTILINE))
    text = re.sub(r"\n(?=\s*([-*+]|\d+\.) )", "\n\n", text)
    text = re.sub(r"(?m)^(#.*)$", r"\n\1\n", text)
    for block in re.split(r"\n\s*\n", text):
        block = block.strip().removeprefix(">").strip()
        if not block: continue
        if block.startswith("|"): yield "table", block
        elif block.startswith("#"): yield "heading", block.lstrip("# ")
        else: yield "prose", re.sub(r"^([-*+]|\d+\.) ", "", block)


def sentences(text):
    "Sentences of a paragraph."
    text = ABBREVIATION.sub(lambda m: m[1].replace(".", "")+" ", " ".join(text.split()))
    return [s for s in SENTENCE_END.split(text) if s]


def count_words(text):
    "Words of a text: whatever holds a letter or digit."
    return sum(any(c.isalnum() for c in word) for word in text.split())


def literal(node):
    "Text of a string or f-string, with `code` for what is filled in; `None` for other nodes."
    if isinstance(node, ast.Constant) and isinstance(node.value, str): return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(v.value if isinstance(v, ast.Constant) else "code" for v in node.values)
    return None


def code_texts(source):
    "(kind, text) of docstrings, comments and messages in Python code."
    code = "\n".join("" if line.startswith(("%", "!")) else line for line in source.splitlines())
    for line in code.splitlines():
        if (m := re.search(r"(?:^|\s)# ?([^|#].*)", line)) and count_words(m[1]) > 1: yield "comment", plain(m[1])
    try:
        tree = ast.parse(code)
    except SyntaxError:
        return
    inside = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr): inside.update(map(id, node.values))
        text = literal(node)
        if text is None or id(node) in inside or count_words(text) < MESSAGE_WORDS: continue
        is_code = re.search(r"[<>{};]|https?:|(?m:^\s*(import|from) )|\w,\w+,\w", text)
        if not is_code: yield "message", plain(re.sub(r"(?m)^  \S.*$", "", text))  # indented lines are examples


def chapter(path, cells, root):
    "Chapter of a notebook: the package it exports to, or its folder."
    folder = path.relative_to(root/"nbs").parts[0]
    if folder in ("tutorials", "experiments"): return folder
    for cell in cells:
        if m := re.match(r"#\|\s*default_exp\s+(\S+)", "".join(cell["source"])):
            return m[1].split(".")[0] if "." in m[1] else "top level"
    return "guide"


def texts(root):
    "(chapter, place, kind, text) of all that is read by people in a checkout."
    for path in sorted((root/"nbs").rglob("*.ipynb")):
        if any(part.startswith((".", "_")) for part in path.relative_to(root).parts): continue
        cells = json.loads(path.read_text())["cells"]
        name = chapter(path, cells, root)
        for i, cell in enumerate(cells):
            source, where = "".join(cell["source"]), f"{path.name}, cell {i}"
            parts = blocks(source) if cell["cell_type"] == "markdown" else code_texts(source)
            for kind, text in parts: yield name, where, kind, text
    for name in ("README.md", "CHANGELOG.md"):
        if name != "README.md" and (root/name).exists():
            for kind, text in blocks((root/name).read_text()): yield "guide", name, kind, text


def discouraged(text):
    "(word, advice) of each discouraged word in a text."
    text = FINE.sub(" ", text)
    for pattern, advice in WORDS.items():
        for m in pattern.finditer(text): yield m[0], advice


def measure(root):
    "Chapter -> counts, and lists of the long sentences and of the discouraged words."
    counts = defaultdict(lambda: dict.fromkeys(("words", "sentences", "long", "discouraged"), 0))
    long, found = [], []
    for name, where, kind, text in texts(Path(root)):
        row = counts[name]
        if kind in ("prose", "heading", "table"): row["words"] += count_words(text)
        if kind in ("prose", "message"):
            for sentence in sentences(text):
                n = count_words(sentence)
                row["sentences"] += 1
                row["long"] += n > LONG
                if n > LONG: long.append((name, where, n, sentence))
        for word, advice in discouraged(text):
            row["discouraged"] += 1
            found.append((name, where, word, advice, " ".join(text.split())[:160]))
    return counts, long, found


def faults(root=ROOT):
    "What passes a limit, one sentence each."
    counts, long, found = measure(root)
    share = sum(c["long"] for c in counts.values())/max(1, sum(c["sentences"] for c in counts.values()))
    if share > LONG_SHARE: yield f"{share:.1%} of the sentences have more than {LONG} words, at most {LONG_SHARE:.0%}"
    for _, where, n, sentence in long:
        if n > LONGEST: yield f"{where}: a sentence of {n} words, at most {LONGEST}: {sentence[:80]}..."
    for _, where, word, advice, _ in found: yield f"{where}: '{word}'; write {advice}"


def show_list(root, name):
    "Print every long sentence and discouraged word of a chapter, or of notebooks whose names begin so."
    _, long, found = measure(root)
    for group, where, n, sentence in long:
        if group == name or where.startswith(name): print(f"{where}: {n} words: {sentence}")
    for group, where, word, advice, text in found:
        if group == name or where.startswith(name): print(f"{where}: '{word}' -> {advice}: {text}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", nargs="?", default=ROOT, type=Path, help="checkout to count")
    parser.add_argument("--list", metavar="CHAPTER", help="show what is found in one chapter, or in NUMBER_name files")
    args = parser.parse_args()
    if args.list: return show_list(args.root, args.list)
    counts = measure(args.root)[0]
    total = {k: sum(c[k] for c in counts.values()) for k in next(iter(counts.values()))}
    print(f"{'chapter':14}{'words':>8}{'sentences':>11}{'over 25, %':>12}{'discouraged':>13}")
    for name, c in [*sorted(counts.items()), ("all", total)]:
        share = 100*c["long"]/max(1, c["sentences"])
        print(f"{name:14}{c['words']:8}{c['sentences']:11}{share:12.1f}{c['discouraged']:13}")


if __name__ == "__main__": main()

"""Count the surface of the package: public names, long lines, annotations, docstrings, sizes of modules.

    python scripts/surface.py            a table of counts for this checkout
    python scripts/surface.py DIR        the same for another checkout, e.g. an older one

`scripts/check.py` fails where the limits below are passed.
"""
import argparse
import ast
import io
import statistics
import tokenize
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIMITS = {
    "names in xmodreid.all": 250,
    "lines over 120 characters": 0,
    "semicolons": 0,
    "lambdas with a name": 0,
    "chained ternaries": 0,
    "private names imported elsewhere": 0,
    "imports of experiments in the library": 0,
    "lines of the longest module": 400,
}
SHARES = {"annotated parameters, %": 95, "public docstrings, %": 100}


def module_files(root):
    "Exported modules of the package, without the generated index."
    return sorted(p for p in (Path(root)/"xmodreid").rglob("*.py") if p.name != "_modidx.py")


def is_library(path):
    "Whether a module belongs to the library: experiments do not."
    return not {"exp", "experiments"} & set(path.parts)


def module_name(path, root):
    "Dotted name of a module file."
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def declared_names(tree):
    "Names in a module's `__all__`, where it is a plain list."
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(getattr(t, "id", "") == "__all__" for t in node.targets):
            if isinstance(node.value, (ast.List, ast.Tuple)): return [ast.literal_eval(e) for e in node.value.elts]
    return []


def long_lines(text, tree, length=120):
    "Number of too long lines; the list of public names that nbdev writes into a module does not count."
    generated = set()
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(getattr(t, "id", "") == "__all__" for t in node.targets):
            generated.update(range(node.lineno, node.end_lineno+1))
    lines = enumerate(text.splitlines(), 1)
    return sum(len(line) > length and number not in generated for number, line in lines)


def absolute_module(node, module, is_package):
    "Full name of the module that an import statement reads from."
    if not node.level: return node.module or ""
    package = module.split(".") if is_package else module.split(".")[:-1]
    base = package[:len(package)-node.level+1]
    return ".".join([*base, *([node.module] if node.module else [])])


def names_in_all(trees, root):
    "Names that `from xmodreid.all import *` brings."
    path = Path(root)/"xmodreid"/"all.py"
    if path not in trees: return set()
    by_name = {module_name(p, root): t for p, t in trees.items()}
    names = set()
    for node in ast.walk(trees[path]):
        if not isinstance(node, ast.ImportFrom): continue
        source = absolute_module(node, "xmodreid.all", False)
        for alias in node.names:
            if alias.name == "*": names |= set(declared_names(by_name.get(source, ast.Module([], []))))
            else: names.add(alias.asname or alias.name)
    return {n for n in names if not n.startswith("_")}


def count_semicolons(text):
    "Semicolons that join statements."
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return sum(t.type == tokenize.OP and t.string == ";" for t in tokens)


def named_lambdas(tree):
    "Assignments of a lambda to a name."
    return sum(isinstance(n, ast.Assign) and isinstance(n.value, ast.Lambda) and isinstance(n.targets[0], ast.Name)
               for n in ast.walk(tree))


def chained_ternaries(tree):
    "Conditional expressions whose alternative is another one."
    return sum(isinstance(n, ast.IfExp) and isinstance(n.orelse, ast.IfExp) for n in ast.walk(tree))


def public_functions(tree):
    "Public functions and methods of public classes, with nested ones left out."
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"): yield node
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            for n in node.body:
                if isinstance(n, ast.FunctionDef) and (n.name == "__init__" or not n.name.startswith("_")): yield n


def parameters(function):
    "Named parameters but `self` and `cls`."
    args = function.args
    return [a for a in [*args.posonlyargs, *args.args, *args.kwonlyargs] if a.arg not in ("self", "cls")]


def private_imports(trees, root):
    "(module, name) of each private name that another module imports."
    for path, tree in trees.items():
        name = module_name(path, root)
        for node in ast.walk(tree):
            if not isinstance(node, ast.ImportFrom): continue
            source = absolute_module(node, name, path.name == "__init__.py")
            if not source.startswith("xmodreid"): continue
            source_package, _, source_name = source.rpartition(".")
            private_module = source_name.startswith("_") and source_package == name.rpartition(".")[0]
            for alias in node.names:
                if alias.name.startswith("_") and not alias.name.startswith("__") and not private_module:
                    yield name, f"{source}.{alias.name}"


def experiment_imports(trees, root):
    "(module, experiment) of each library module that imports an experiment; the command line may."
    for path, tree in trees.items():
        name = module_name(path, root)
        if not is_library(path) or name == "xmodreid.cli": continue
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                source = absolute_module(node, name, path.name == "__init__.py")
                if source.startswith(("xmodreid.experiments", "xmodreid.exp.")): yield name, source


def parse(root):
    "Path -> syntax tree of every exported module."
    return {p: ast.parse(p.read_text()) for p in module_files(root)}


def code_lines(text, tree):
    "(number, stripped line) of each line of code: no blank lines, comments, imports, docstrings, lone brackets."
    skipped = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)): skipped.update(range(node.lineno, node.end_lineno+1))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            skipped.update(range(node.lineno, node.end_lineno+1))
    for number, line in enumerate(text.splitlines(), 1):
        code = " ".join(line.split("#")[0].split())
        if number not in skipped and any(c.isalnum() for c in code): yield number, code


def repeated_passages(texts, trees, length=6):
    "Places where at least `length` lines of code stand that stand elsewhere, too: (path, first line)."
    places = defaultdict(list)
    for path, text in texts.items():
        lines = list(code_lines(text, trees[path]))
        for i in range(len(lines)-length+1):
            places[tuple(code for _, code in lines[i:i+length])].append((path, i, lines[i][0]))
    repeated = {(path, i): number for found in places.values() if len(found) > 1 for path, i, number in found}
    return [(path, number) for (path, i), number in sorted(repeated.items()) if (path, i-1) not in repeated]


def undocumented(trees, root):
    "Public functions and classes without a docstring, as `module.name`."
    for path, tree in trees.items():
        if not is_library(path): continue
        for node in tree.body:
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
                if not ast.get_docstring(node): yield f"{module_name(path, root)}.{node.name}"


def counts(root):
    "Count -> number for a checkout."
    root = Path(root)
    trees = parse(root)
    library = {p: t for p, t in trees.items() if is_library(p)}
    texts = {p: p.read_text() for p in trees}
    params = [a for t in library.values() for f in public_functions(t) for a in parameters(f)]
    public = [n for t in library.values() for n in t.body
              if isinstance(n, (ast.FunctionDef, ast.ClassDef)) and not n.name.startswith("_")]
    sizes = [len(texts[p].splitlines()) for p in library if p.name not in ("__init__.py", "all.py")]
    return {
        "names in xmodreid.all": len(names_in_all(trees, root)),
        "lines over 120 characters": sum(long_lines(texts[p], t) for p, t in trees.items()),
        "semicolons": sum(map(count_semicolons, texts.values())),
        "lambdas with a name": sum(map(named_lambdas, trees.values())),
        "chained ternaries": sum(map(chained_ternaries, trees.values())),
        "private names imported elsewhere": len(list(private_imports(trees, root))),
        "repeated passages of six lines": len(repeated_passages(texts, trees)),
        "imports of experiments in the library": len(list(experiment_imports(trees, root))),
        "annotated parameters, %": round(100*sum(a.annotation is not None for a in params)/max(1, len(params)), 1),
        "public docstrings, %": round(100*sum(ast.get_docstring(n) is not None for n in public)/max(1, len(public)), 1),
        "modules": len(sizes),
        "lines of the median module": int(statistics.median(sizes)) if sizes else 0,
        "lines of the longest module": max(sizes, default=0),
    }


def faults(root=ROOT):
    "What passes a limit, one sentence each."
    trees, found = parse(root), counts(root)
    for name, limit in LIMITS.items():
        if found[name] > limit: yield f"{name}: {found[name]}, at most {limit}"
    for name, least in SHARES.items():
        if found[name] < least: yield f"{name}: {found[name]}, at least {least}"
    for module, name in private_imports(trees, root): yield f"{module} imports the private name {name}"
    for module, name in experiment_imports(trees, root):
        yield f"{module} imports {name}; the library must not import experiments"
    for name in undocumented(trees, root): yield f"{name} has no docstring"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", nargs="?", default=ROOT, help="checkout to count")
    args = parser.parse_args()
    rows = counts(args.root)
    for name, value in rows.items(): print(f"{name:40} {value:>8}")


if __name__ == "__main__": main()

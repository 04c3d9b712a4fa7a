"""The files of deploy/azure against the types of Microsoft's own package, which are read, not run."""

import ast
import functools

from manifests import ROOT

SOURCE = ROOT / ".tools/env/kubernetes_validate/azure/mgmt/appcontainers/types.py"


@functools.cache
def _models():
    """Class name to its bases and fields."""
    found = {}
    for node in ast.parse(SOURCE.read_text()).body:
        if isinstance(node, ast.ClassDef):
            fields = {item.target.id: item.annotation for item in node.body if isinstance(item, ast.AnnAssign)}
            found[node.name] = ([base.id for base in node.bases if isinstance(base, ast.Name)], fields)
    assert len(found) > 100, "the package looks different"
    return found


def _fields(model):
    bases, fields = _models()[model]
    for base in bases:
        if base in _models():
            fields = _fields(base) | fields
    return fields


def _problems(value, annotation, where):
    if isinstance(annotation, ast.Constant):
        annotation = ast.Name(annotation.value)
    if isinstance(annotation, ast.Subscript):
        kind, inner = annotation.value.id, annotation.slice
        if kind == "Required":
            yield from _problems(value, inner, where)
        elif kind == "list":
            if not isinstance(value, list):
                yield f"{where} is no list"
                return
            for number, item in enumerate(value):
                yield from _problems(item, inner, f"{where}[{number}]")
        elif kind == "dict":
            if not isinstance(value, dict):
                yield f"{where} is no mapping"
                return
            for name, item in value.items():
                yield from _problems(item, inner.elts[1], f"{where}.{name}")
        elif not isinstance(value, str):
            # Union[str, …] of known values, and Literal.
            yield f"{where} is no text"
        return
    name = annotation.id if isinstance(annotation, ast.Name) else "Any"
    plain = {"str": str, "int": int, "bool": bool, "float": (int, float)}
    if name in plain:
        if not isinstance(value, plain[name]) or (name == "int" and isinstance(value, bool)):
            yield f"{where} is no {name}"
    elif name in _models():
        yield from problems(value, name, where)


def problems(value, model, where=""):
    """What of `value` the model does not know, or knows as something else."""
    if not isinstance(value, dict):
        yield f"{where} is no {model}"
        return
    known = _fields(model)
    for name, item in value.items():
        if name not in known:
            yield f"{where}: {model} has no {name}"
        else:
            yield from _problems(item, known[name], f"{where}.{name}")
    for name, annotation in known.items():
        required = isinstance(annotation, ast.Subscript) and getattr(annotation.value, "id", "") == "Required"
        if required and name not in value:
            yield f"{where}: {model} needs {name}"

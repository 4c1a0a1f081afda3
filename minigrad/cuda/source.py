"""source: what a kernel file says of itself, and the form in which a C++ compiler takes it.

`signatures` finds the kernels (`extern "C" __global__ void name(...)`) with the names and types of their parameters, so
that nothing is declared twice. A macro that expands to such a line makes a kernel of every row that uses it:

    #define UNARY(NAME, FORMULA) extern "C" __global__ void NAME(float* y, const float* x, int n) { ... }
    UNARY(exp_forward, expf(v))

A file that says `Real` where it means the type of stored numbers comes in a form for each of three: `form` puts before
its text what `Real` is and a suffix for every name of a kernel, `exp_forward_float16`; as it stands it is float's.

`translate` changes one thing, declarations of shared memory, and those within their line: line numbers stay.
"""

import re
from dataclasses import dataclass
from functools import cache

_KERNEL = re.compile(
    r'extern\s+"C"\s+__global__\s+void\s+(?:__launch_bounds__\s*\(([^)]*)\)\s*)?(\w+)\s*\(([^)]*)\)', re.DOTALL
)
_MACRO = re.compile(r"^[ \t]*#[ \t]*define[ \t]+(\w+)\(([^)]*)\)((?:.*\\\n)*.*)$", re.MULTILINE)
_WORD = re.compile(r"^#define (\w+) (\w+)$", re.MULTILINE)
_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*"([^"]+)"', re.MULTILINE)
_SHARED = re.compile(
    r"(?<!\w)(extern[ \t]+)?__shared__[ \t]+(?:(?:__align__|alignas)\((\d+)\)[ \t]*)?"
    r"([A-Za-z_][\w: \t]*(?:<[^<>\n]*>)?[\w: \t*]*?[ \t*])[ \t]*(\w+)[ \t]*((?:\[[^\]\n]*\])*)[ \t]*;"
)

HALVES = {"float16": ("__half", "cuda_fp16.h"), "bfloat16": ("__nv_bfloat16", "cuda_bf16.h")}  # Real, and its header


@dataclass(frozen=True)
class Parameter:
    """One parameter of a kernel: `const float* x` is `Parameter("x", "float", pointer=True, const=True)`."""

    name: str
    ctype: str
    pointer: bool = False
    const: bool = False


@dataclass(frozen=True)
class Signature:
    """A kernel's parameters, and what its `__launch_bounds__` says, if anything."""

    parameters: tuple
    bounds: str = ""


@cache
def signatures(text):
    """{kernel: Signature} of a kernel file; kept, not to be changed."""
    text = without_comments(text)
    words = {"Real": "float"} | dict(_WORD.findall(text))
    kernels = _KERNEL.findall(_expanded(text))
    return {words.get(name, name): Signature(_parameters(listed, words), bounds) for bounds, name, listed in kernels}


def has_halves(text):
    """Whether a kernel file comes in forms for halves."""
    return bool(re.search(r"\bReal\b", without_comments(text)))


def form(text, dtype):
    """A kernel file in its form for a dtype: kernels are called `<name>_<dtype>`. One that has no forms stays."""
    if dtype is None or not has_halves(text):
        return text
    real, header = HALVES[dtype]
    names = "".join(f"#define {name} {name}_{dtype}\n" for name in signatures(text))
    return f"#include <{header}>\n#define Real {real}\n{names}#line 1\n{text}"


def dtype_of(kernel):
    """The half whose form a kernel belongs to, by its name; None for the text as it stands."""
    return next((dtype for dtype in HALVES if kernel.endswith(f"_{dtype}")), None)


def without_comments(text):
    """The text with comments blanked out: every line keeps its number."""
    return re.sub(r"//[^\n]*|/\*.*?\*/", lambda m: re.sub(r"[^\n]", " ", m.group()), text, flags=re.DOTALL)


def included(text):
    """The names of the files that a file includes in quotes."""
    return _INCLUDE.findall(without_comments(text))


def _parameters(listed, meaning):
    listed = re.sub(r"__(restrict|grid_constant)__", " ", listed)
    return tuple(_parameter(p, meaning) for p in listed.split(",") if p.strip())


def _parameter(text, meaning):
    *words, name = re.sub(r"\bconst\b|\*", " ", text).split()
    ctype = " ".join(meaning.get(word, word) for word in words)
    return Parameter(name, ctype, "*" in text, bool(re.match(r"\s*const\b", text)))


def _expanded(text):
    """The text without its macros, but with what the uses of those that make kernels stand for."""
    macros, text = _MACRO.findall(text), _MACRO.sub("", text)
    for name, params, body in macros:
        params = [p.strip() for p in params.split(",")]
        while "__global__" in body and (use := re.search(rf"^{name}\(", text, re.MULTILINE)):
            given, end = _arguments(text, use.end())
            text = text[: use.start()] + _expand(body, dict(zip(params, given, strict=False))) + text[end:]
    return text


def _arguments(text, start):
    """The arguments of a macro's use, from behind its opening parenthesis, and where it ends."""
    depth, begin, found = 0, start, []
    for i in range(start, len(text)):
        depth += {"(": 1, ")": -1}.get(text[i], 0)
        if (text[i] == "," and depth == 0) or depth < 0:
            found.append(text[begin:i].strip())
            begin = i + 1
        if depth < 0:
            break
    return found, begin


def _expand(body, values):
    body = re.sub(r"\w+", lambda m: values.get(m.group(), m.group()), body.replace("\\\n", "\n"))
    return re.sub(r"\s*##\s*", "", body)


# For the C++ compiler ------------------------------------------------------------------------------------------------


def translate(text, path):
    """The file for a C++ compiler with csrc/cuda_sim/device.h; `path` is what messages call it.

    Errors: SyntaxError for a declaration of shared memory that is not `__shared__ TYPE NAME[..];`.
    """
    body = _SHARED.sub(_shared, text)
    for number, line in enumerate(without_comments(body).split("\n"), 1):
        if "__shared__" in line:
            raise SyntaxError(f"[cuda] {path}:{number}: expected `__shared__ TYPE NAME[..];`, one name a line")
    entries = "\n".join(_entry(name, signature) for name, signature in signatures(text).items())
    return f'#line 1 "{path}"\n{body}\n#line 1 "{path} (entries)"\n{entries}\n'


def _shared(match):
    extern, align, ctype, name, dims = match.groups()
    ctype = ctype.strip()
    if extern:
        return f"{ctype}* {name} = static_cast<{ctype}*>(::cuda_sim::dynamic_shared(CUDA_SIM_HERE));"
    reference = f"(&{name}){dims}" if dims else f"&{name}"
    make = f'::cuda_sim::shared_variable<{ctype}{dims}>([] {{}}, "{name}", {align or 1}, CUDA_SIM_HERE)'
    return f"{ctype} {reference} = *{make};"


def _entry(name, signature):
    bounds = f", {signature.bounds.split(',')[0]}" if signature.bounds else ""
    return f'static const ::cuda_sim::Entry cuda_sim_entry_{name}("{name}", &{name}{bounds});'

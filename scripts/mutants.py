#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""How many small faults in the passes and readers the tests notice: mutation testing.

  scripts/mutants.py [--count 200] [--seed 1] [--build build/mutants] [--json FILE]

Each mutant is one change to one line (MUTATIONS), drawn at random from the lines of SOURCES that hold code. It is built in
a copy of this commit with a configuration of its own, and the tests of TESTS run until one fails: then the mutant is
killed. One that does not compile, or that compiles to the same code, is drawn anew; one that runs for TIME_LIMIT seconds
is killed too. Survivors are printed with file, line and change: each is a test that is missing, or changes nothing.
Takes about a minute a mutant on two cores.
"""

import argparse
import json
import pathlib
import random
import re
import subprocess
import sys

SOURCES = ["passes/*.cc", "passes/rules/*.cc", "graph/text/*.cc", "graph/files/*.cc", "models/checkpoint/*.cc",
           "models/text/*.cc"]
# The suites that are about these sources, quick ones first; those of whole models come last.
TESTS = ["tests/passes/*_test.cc", "tests/graph/*_test.cc", "tests/models/*_test.cc", "tests/runtime/choices_test.cc",
         "tests/runtime/own_passes_test.cc", "tests/runtime/plan_text_test.cc", "tests/backends/plan_test.cc",
         "tests/backends/fused_bits_test.cc"]
TIME_LIMIT = 600
BUILD = "build/debug"
MUTATIONS = [
    (r" == ", " != "), (r" != ", " == "), (r" < ", " <= "), (r" <= ", " < "), (r" > ", " >= "), (r" >= ", " > "),
    (r" && ", " || "), (r" \|\| ", " && "), (r" \+ ", " - "), (r" - ", " + "), (r" \* ", " / "),
    (r"\btrue\b", "false"), (r"\bfalse\b", "true"), (r"\b0\b", "1"), (r"\b1\b", "2"), (r"if \(!", "if ("),
    (r"if \((?!!|const|auto|int|std::)", "if (!"), (r"\+\+", "--"), (r"\bmin\(", "max("), (r"\bmax\(", "min("),
    (r"\bcontinue;", "break;"), (r"^(\s+)return [^;]+;$", r"\1return {};"), (r"^(\s+)[\w.\->\[\]]+\([^;{}]*\);$", r"\1;"),
]


def log(*parts):
    print("mutants:", *parts, file=sys.stderr, flush=True)


def code_lines(text):
    """Numbers of the lines that hold code: no comments, no includes, no texts of errors."""
    for number, line in enumerate(text.splitlines()):
        stripped = line.strip()
        if stripped and not stripped.startswith(("//", "#", "namespace", "using", "template")) and '"' not in line:
            yield number


def draw(chooser, root):
    """One mutant: path, line number, the line before and after."""
    paths = sorted(path for pattern in SOURCES for path in root.glob(pattern))
    weights = [len(list(code_lines(path.read_text()))) for path in paths]
    while True:
        path = chooser.choices(paths, weights)[0]
        lines = path.read_text().splitlines()
        number = chooser.choice(list(code_lines(path.read_text())))
        before = lines[number].split("//")[0]
        pattern, replacement = chooser.choice(MUTATIONS)
        places = list(re.finditer(pattern, before))
        if not places:
            continue
        place = chooser.choice(places)
        after = before[:place.start()] + re.sub(pattern, replacement, before[place.start():], count=1)
        if after != before:
            return path, number, lines[number], after


def run(command, root, limit=None):
    try:
        return subprocess.run(command, cwd=root, timeout=limit, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, check=False)
    except subprocess.TimeoutExpired:
        return None


def suites(root):
    """A filter for googletest: the suites of TESTS."""
    names = []
    for pattern in TESTS:
        for path in sorted(root.glob(pattern)):
            for name in re.findall(r"^TEST(?:_F|_P)?\((\w+),", path.read_text(), re.M):
                if f"*{name}.*" not in names:
                    names.append(f"*{name}.*")
    return ":".join(names)


def code_of(path, root):
    """The object file that a source is compiled to."""
    return (root / BUILD / "CMakeFiles/lazuli_objects.dir" / f"{path.relative_to(root)}.o").read_bytes()


def build(root):
    return run(["ninja", "-C", BUILD, "lazuli_tests"], root).returncode == 0


def killer(root, chosen):
    """The name of the first test that fails, "the time limit", or None for a survivor."""
    result = run([f"{BUILD}/bin/lazuli_tests", f"--gtest_filter={chosen}", "--gtest_fail_fast", "--gtest_brief=1"], root,
                 TIME_LIMIT)
    if result is None:
        return "the time limit"
    if result.returncode == 0:
        return None
    failed = re.search(r"\[  FAILED  \] (\S+)", result.stdout)
    return failed.group(1) if failed else f"exit status {result.returncode}"


def copy_of(root, folder):
    """A clone of this commit in the folder, configured and built; mutants never touch the checkout."""
    if not (folder / "tree" / ".git").exists():
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["git", "clone", "--quiet", "--shared", str(root), str(folder / "tree")], check=True)
    tree = folder / "tree"
    subprocess.run(["git", "-C", str(tree), "checkout", "--quiet", "--force", "HEAD"], check=True)
    subprocess.run(["cmake", "--preset", "debug", "-DCMAKE_BUILD_TYPE=Debug", "-DCMAKE_CXX_FLAGS_DEBUG=-O1",
                    "-DLAZULI_BUILD_BENCH=OFF", "-DLAZULI_BUILD_EXAMPLES=OFF"], cwd=tree, check=True,
                   stdout=subprocess.DEVNULL)
    subprocess.run(["ninja", "-C", BUILD, "lazuli_tests"], cwd=tree, check=True)
    return tree


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build/mutants"))
    parser.add_argument("--json", type=pathlib.Path, help="file for the mutants and what killed each")
    arguments = parser.parse_args()
    root = pathlib.Path(__file__).resolve().parent.parent
    tree = copy_of(root, (root / arguments.build).resolve())
    chosen = suites(tree)
    if killer(tree, chosen) is not None:
        sys.exit("mutants: the tests fail without any mutant")
    chooser, mutants = random.Random(arguments.seed), []
    while len(mutants) < arguments.count:
        path, number, before, after = draw(chooser, tree)
        text, code = path.read_text(), code_of(path, tree)
        lines = text.splitlines(keepends=True)
        lines[number] = after + "\n"
        path.write_text("".join(lines))
        is_mutant = build(tree) and code_of(path, tree) != code
        by = killer(tree, chosen) if is_mutant else None
        path.write_text(text)
        build(tree)
        if not is_mutant:
            continue
        mutants.append({"file": str(path.relative_to(tree)), "line": number + 1, "before": before.strip(),
                        "after": after.strip(), "killed_by": by})
        log(f"{len(mutants)} of {arguments.count}: {mutants[-1]['file']}:{number + 1}: {before.strip()} -> "
            f"{after.strip()}: {by or 'SURVIVED'}")
        if arguments.json:
            arguments.json.write_text(json.dumps(mutants, indent=1))
    killed = sum(mutant["killed_by"] is not None for mutant in mutants)
    print(f"{killed} of {len(mutants)} mutants killed ({100 * killed / len(mutants):.0f} %)")


if __name__ == "__main__":
    main()

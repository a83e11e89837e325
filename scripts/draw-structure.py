#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Draws how the files and folders within a folder include one another.

  scripts/draw-structure.py [--svg FILE] [FOLDER...]     the whole tree and its larger folders unless given

Prints a line for each folder: rooms (sub-folders, and files with a header and a source taken as one), floors (the longest
way down), arrows, and arrows back up, which close a circle and are listed. With --svg, the first folder is drawn by
Graphviz.
"""
import argparse
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
TOP = ["graph", "passes", "backends", "runtime", "models", "tools"]
FOLDERS = [".", *TOP, "backends/cpu", "backends/cpu/kernels", "models/checkpoint", "graph/pictures"]
INCLUDE = re.compile(r"^\s*#\s*include\s*<lazuli/([^>]+)>")


def sources():
    for top in TOP:
        for path in sorted((ROOT / top).rglob("*")):
            if path.suffix in (".h", ".cc", ".def"):
                yield path.relative_to(ROOT)


def room(path, folder):
    """The room of `folder` that holds `path`; None outside of it."""
    parts, inside = path.parts, folder.parts
    if parts[: len(inside)] != inside:
        return None
    if len(parts) > len(inside) + 1:
        return parts[len(inside)]
    return path.stem


def arrows_of(folder):
    rooms, arrows = set(), {}
    for path in sources():
        here = room(path, folder)
        if here is None:
            continue
        rooms.add(here)
        for line in (ROOT / path).read_text().splitlines():
            match = INCLUDE.match(line)
            there = match and room(pathlib.PurePath(match[1]), folder)
            if there and there != here:
                rooms.add(there)
                arrows.setdefault((here, there), f"{path} includes <lazuli/{match[1]}>")
    return rooms, arrows


def without_circles(rooms, arrows):
    """Arrows that point down, and those that close a circle, found by a walk in depth from the rooms nobody includes."""
    below = {name: sorted(there for here, there in arrows if here == name) for name in rooms}
    state, back = {}, []
    starts = sorted(rooms, key=lambda name: (any(there == name for _, there in arrows), name))
    for start in starts:
        stack = [(start, iter(below[start]))] if start not in state else []
        state.setdefault(start, "open")
        while stack:
            name, rest = stack[-1]
            for there in rest:
                if state.get(there) == "open":
                    back.append((name, there))
                elif there not in state:
                    state[there] = "open"
                    stack.append((there, iter(below[there])))
                    break
            else:
                state[name] = "done"
                stack.pop()
    return [arrow for arrow in arrows if arrow not in back], back


def floors(rooms, down):
    depth = dict.fromkeys(rooms, 1)
    for _ in rooms:  # no way down is longer than the number of rooms
        for here, there in down:
            depth[there] = max(depth[there], depth[here] + 1)
    return max(depth.values(), default=0)


def dot(folder, rooms, arrows, back):
    lines = ["digraph {", '  node [shape=box, style="rounded,filled", fillcolor="#eef3fa", fontname="Helvetica"];']
    for name in sorted(rooms):
        shape = ", penwidth=2" if (ROOT / folder / name).is_dir() else ""
        lines.append(f'  "{name}" [label="{name}"{shape}];')
    for here, there in sorted(arrows):
        colour = ' [color="#c0392b", constraint=false]' if (here, there) in back else ""
        lines.append(f'  "{here}" -> "{there}"{colour};')
    return "\n".join([*lines, "}", ""])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--svg", metavar="FILE", help="draw the first folder")
    parser.add_argument("folders", nargs="*", default=FOLDERS, metavar="FOLDER")
    arguments = parser.parse_args()
    print(f"{'folder':<24}{'rooms':>6}{'floors':>8}{'arrows':>8}{'back':>6}")
    for number, name in enumerate(arguments.folders):
        folder = pathlib.PurePath(name)
        rooms, arrows = arrows_of(folder)
        if not rooms:
            sys.exit(f"draw-structure: no sources in {name}")
        down, back = without_circles(rooms, arrows)
        print(f"{name:<24}{len(rooms):>6}{floors(rooms, down):>8}{len(arrows):>8}{len(back):>6}")
        for arrow in back:
            print(f"    {arrow[0]} -> {arrow[1]}: {arrows[arrow]}")
        if number == 0 and arguments.svg:
            drawn = subprocess.run(["dot", "-Tsvg", "-o", arguments.svg], input=dot(folder, rooms, arrows, back), text=True)
            if drawn.returncode != 0:
                sys.exit("draw-structure: Graphviz's dot failed")


if __name__ == "__main__":
    main()

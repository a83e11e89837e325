#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""docs/reliability.md, made from docs/reliability.json: what was tried to break this project, and what it found.

  scripts/reliability.py             writes the page
  scripts/reliability.py --check     fails where the page is not what the records give

The records: "runs", each with part, what, cases, seconds where they say something, commit, date and host, and "findings",
each with part, what was wrong and the commit that mended it. Who runs one of the commands adds what it printed.
"""

import json
import pathlib
import sys

DOCS = pathlib.Path(__file__).resolve().parent.parent / "docs"
PAGE, RECORDS = DOCS / "reliability.md", DOCS / "reliability.json"


def duration(seconds):
    if seconds is None:
        return ""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def cell(text):
    return str(text).replace("|", "\\|")


def runs_table(runs):
    lines = ["| what | cases | time | commit | date | host |", "| --- | ---: | ---: | --- | --- | --- |"]
    for run in runs:
        cases = f"{run['cases']:,}" if isinstance(run["cases"], int) else cell(run["cases"])
        lines.append(f"| {cell(run['what'])} | {cases} | {duration(run.get('seconds'))} | {run['commit']} | {run['date']} | "
                     f"{cell(run['host'])} |")
    return lines


def findings_list(findings):
    if not findings:
        return ["No findings."]
    return ["Found, and mended:", ""] + [f"- {one['what']} (`{one['commit']}`)" for one in findings]


def page(records):
    lines = ["# Reliability", "",
             "What was tried to break this project, for how long, and what it found. Written by `scripts/reliability.py` from",
             "[reliability.json](reliability.json), where every run is recorded with its commit.", ""]
    for part in records["parts"]:
        lines += [f"## {part['title']}", "", part["about"], "", "```sh", *part["commands"], "```", ""]
        runs = [run for run in records["runs"] if run["part"] == part["name"]]
        if runs:
            lines += runs_table(runs) + [""]
        lines += findings_list([one for one in records["findings"] if one["part"] == part["name"]]) + [""]
    return "\n".join(lines).rstrip() + "\n"


def main():
    text = page(json.loads(RECORDS.read_text()))
    if sys.argv[1:] == ["--check"]:
        if not PAGE.exists() or PAGE.read_text() != text:
            sys.exit("reliability: docs/reliability.md is not what docs/reliability.json gives; run scripts/reliability.py")
    elif sys.argv[1:]:
        sys.exit(__doc__.strip())
    else:
        PAGE.write_text(text)


if __name__ == "__main__":
    main()

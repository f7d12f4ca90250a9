"""`limbeck report`: a page about runs that opens anywhere, and tables for papers and spreadsheets."""

from pathlib import Path
from typing import Annotated

import typer

from limbeck.cli.printing import Json, print_json


def report(
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH", help="Runs' folders, or folders that hold runs, like a grid's.")
    ],
    out: Annotated[
        Path, typer.Option("--output", "-o", help="The report's folder; an older report there is replaced.")
    ],
    as_json: Json = False,
) -> None:
    """Report on finished runs: index.html to look at, report.md, tables as Markdown, LaTeX and CSV, report.json.

    The page says what can and cannot be concluded. It needs no network and no other file, and may be mailed as it is.
    """
    from limbeck.paper import paper_section
    from limbeck.report import write_report

    page = write_report(paths, out, paper_section)
    if as_json:
        print_json({"page": str(page), "bytes": page.stat().st_size})
    else:
        print(f"{page}: {page.stat().st_size / 1e6:.1f} MB")

"""Tables as Markdown, LaTeX and CSV: the numbers, and no text that means anything there."""

import csv
import io
from dataclasses import replace

from limbeck.report.tables import Cell, Table, to_csv, to_latex, to_markdown


def table_of(name="mi", **cell):
    return Table("t", "title", {name: {"one": Cell(**{"value": 12.345, **cell}), "two": Cell(None, "not run")}}, "%")


def test_a_cell_has_a_line_for_everything_that_is_known_of_it():
    cell = {"interval": (10.0, 14.0), "paper": 80.5, "paper_spread": 0.25, "n": 1234, "seeds": 2}
    cell |= {"difference": -1.234, "difference_interval": (-3.0, 0.5), "p_value": 0.0004, "adjusted": 0.0216}
    lines = ["12.35*", "10.00 to 14.00", "paper: 80.50 ± 0.25", "difference: −1.23 (−3.00 to +0.50)"]
    lines += ["p: <0.001, by Holm's method: 0.022", "n: 1,234, seeds: 2"]
    assert table_of(**cell).texts == {"mi": [lines, ["not run"]]}


def test_a_significant_difference_has_its_asterisk_in_every_form_once_and_no_note_is_lost():
    for adjusted, count in ((0.049, 1), (0.051, 0)):
        table = replace(table_of(difference=5.0, adjusted=adjusted), notes=("n" * 1990, "the last"))
        for write, star in ((to_markdown, "\\*"), (to_latex, "*")):
            assert write(table).count(f"12.35{star}") == count
            assert write(table).count("An asterisk marks") == count
            assert "the last" in write(table)


def test_csv_has_every_cell_in_full_precision():
    first, second = csv.DictReader(io.StringIO(to_csv(table_of("=1+1", interval=(0.5, 1.5)))))
    assert (first["row"], first["column"], first["value"]) == ("'=1+1", "one", "12.345")
    assert (first["interval_low"], first["interval_high"]) == ("0.5", "1.5")
    assert (second["value"], second["reason"]) == ("", "not run")


def test_latex_has_a_column_each_and_no_command_but_its_own():
    text = to_latex(table_of("\\input{x} & 5 % of $x_1^2$ #1 ~"))
    assert r"\begin{tabular}{lrr}\toprule" in text
    assert r"\textbackslash{}input\{x\} \& 5 \% of \$x\_1\textasciicircum{}2\$ \#1 \textasciitilde{} & 12.35" in text

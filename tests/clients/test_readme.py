# SPDX-License-Identifier: Apache-2.0
"""The table of clients in README.md has what the tests run, and nothing else."""
import pathlib
import re

from machine import ROOT


def rows_of_readme():
    """(program, how) of each row, with how many of the suites it names a version for."""
    table = (ROOT / "README.md").read_text().partition("| program | how |")[2].partition("\n\n")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()[2:]]
    return {(row[0], row[1]): sum(cell != "–" for cell in row[2:5]) for row in rows}


def rows_of_tests():
    """(program, how) of each test of a client that can."""
    text = "".join(path.read_text() for path in pathlib.Path(__file__).parent.glob("test_*.py"))
    return set(re.findall(r'row\("([^"]+)", "([^"]+)"\)', text))


def test_readme_has_a_row_for_each_client_that_is_tested():
    assert set(rows_of_readme()) == rows_of_tests()


def test_each_row_of_readme_works_somewhere():
    assert all(rows_of_readme().values())

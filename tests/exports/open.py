"""Opens the bundles of `stepgate audit export` with the tools that people have.

open.py BUNDLE.tar...: prints `opened by: …`, `missing: …`, the tools that are not there, and `ok` at the end.
"""

import csv
import importlib
import io
import json
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

opened, missing = set(), set()


def tool(name):
    """A module, or None, which is said."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        # One that is there, and broken, is no reason to skip what it is for.
        assert error.name == name, error
        missing.add(name)
        return None


def records(bundle):
    lines = (bundle / "records.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def jsonl(bundle):
    jq = shutil.which("jq")
    if not jq:
        missing.add("jq")
        return
    query = '[.[] | select(.type == "statement.decided") | .verdict] | length'
    found = subprocess.run(
        [jq, "-s", query, bundle / "records.jsonl"], capture_output=True, text=True, check=True
    ).stdout
    wanted = [it for it in records(bundle) if it["type"] == "statement.decided"]
    assert int(found) == len(wanted) > 0, (found, len(wanted))
    for name in ("manifest.json", "keys.json", "exported.json", "proof.jsonl", "subjects.jsonl"):
        subprocess.run([jq, "-e", ".", bundle / name], capture_output=True, check=True)
    opened.add("jq")


def names(bundle):
    """What commitments stand for."""
    lines = (bundle / "subjects.jsonl").read_text().splitlines()
    return {it["commit"]: it["value"] for it in map(json.loads, lines)}


def compare(bundle, rows):
    """Rows of a table against the records."""
    wanted, known = records(bundle), names(bundle)
    assert len(rows) == len(wanted)
    for row, record in zip(rows, wanted):
        assert int(row["seq"]) == record["seq"], row
        assert row["type"] == record["type"], row
        # Of other kinds, this is a column.
        shown = record.get("to") if record["type"] == "stepup.challenge_shown" else None
        person = record.get("person", shown)
        if isinstance(person, str):
            assert row["person"] == known.get(person, person), (row, record)
        for column, member in (("verdict", "verdict"), ("query", "normalised"), ("database", "database")):
            if record.get(member):
                assert row[column].lstrip("'") == record[member].lstrip("'"), (row, record)
        if record["type"] == "statement.decided":
            labels = []
            for column in record["columns"]:
                if column["label"] and column["label"] not in labels:
                    labels.append(column["label"])
            assert json.loads(row["labels"] or "[]") == labels, row
        if record["type"] == "statement.completed":
            assert int(row["rows"]) == record["rows"], row


def texts(row):
    """A row as CSV has it."""
    return {name: "" if value is None else str(value) for name, value in row.items()}


def as_csv(bundle):
    text = (bundle / "records.csv").read_bytes().decode()
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    compare(bundle, rows)
    assert "dana" in {row["person"] for row in rows}
    if pandas := tool("pandas"):
        frame = pandas.read_csv(bundle / "records.csv", keep_default_na=False, dtype=str)
        assert frame.to_dict("records") == rows
        typed = pandas.read_csv(bundle / "records.csv", parse_dates=["time"])
        assert str(typed["time"].dt.tz) == "UTC" and typed["seq"].dtype == "int64"
        opened.add("pandas: csv")
    if openpyxl := tool("openpyxl"):
        book = openpyxl.Workbook()
        for row in csv.reader(io.StringIO(text, newline="")):
            book.active.append(row)
        # What a spreadsheet would take for a formula and run.
        formulas = [cell.value for row in book.active for cell in row if cell.data_type == "f"]
        assert not formulas, formulas
        book.save(bundle / "records.xlsx")
        sheet = openpyxl.load_workbook(bundle / "records.xlsx").active
        again = list(sheet.iter_rows(values_only=True))
        assert len(again) == len(rows) + 1 and again[0][0] == "seq"
        assert [row[2] for row in again[1:]] == [row["type"] for row in rows]
        opened.add("openpyxl")


def parquet(bundle):
    path = bundle / "records.parquet"
    wanted = records(bundle)
    if duckdb := tool("duckdb"):
        rows = duckdb.sql(f"select count(*), min(seq), max(seq) from '{path}'").fetchall()
        assert rows == [(len(wanted), wanted[0]["seq"], wanted[-1]["seq"])], rows
        kinds = dict(duckdb.sql(f"select column_name, column_type from (describe select * from '{path}')").fetchall())
        assert kinds["time"] == "TIMESTAMP WITH TIME ZONE" and kinds["type"] == "VARCHAR", kinds
        held = duckdb.sql(
            f"select count(*) from '{path}' where verdict = 'hold' and list_contains(labels::json::varchar[], 'ssn')"
        ).fetchall()[0][0]
        assert held == sum(
            it.get("verdict") == "hold" and any(column["label"] == "ssn" for column in it["columns"])
            for it in wanted
            if it["type"] == "statement.decided"
        )
        us = duckdb.sql(f"select epoch_us(time) from '{path}' order by seq").fetchall()
        assert [it[0] for it in us] == [it["ts_us"] for it in wanted]
        # Python takes times of a zone by a module of its own.
        cells = duckdb.sql(f"select * exclude (time) from '{path}' order by seq")
        compare(bundle, [texts(dict(zip(cells.columns, row))) for row in cells.fetchall()])
        opened.add("duckdb")
    if tool("pyarrow"):
        import pyarrow.parquet

        file = pyarrow.parquet.ParquetFile(path)
        assert file.metadata.num_rows == len(wanted)
        assert str(file.schema_arrow.field("time").type) == "timestamp[us, tz=UTC]", file.schema_arrow
        rows = file.read().to_pylist()
        compare(bundle, [texts(row) for row in rows])
        opened.add("pyarrow")
        if pandas := tool("pandas"):
            # Numbers that are missing here and there are whole all the same.
            frame = pandas.read_parquet(path, dtype_backend="numpy_nullable")
            assert len(frame) == len(wanted) and str(frame["time"].dt.tz) == "UTC"
            assert list(frame.columns) == file.schema_arrow.names
            for name in frame.columns:
                cells = [None if pandas.isna(cell) else cell for cell in frame[name]]
                assert cells == [row[name] for row in rows], name
            opened.add("pandas: parquet")


def ocsf(bundle):
    lines = [json.loads(line) for line in (bundle / "records.ocsf.jsonl").read_text().splitlines()]
    assert [it["metadata"]["sequence"] for it in lines] == [it["seq"] for it in records(bundle)]
    schema, jsonschema = tool("ocsf_json_schema"), tool("jsonschema")
    if not (schema and jsonschema):
        return
    from ocsf_json_schema.loader import get_ocsf_schema

    of = schema.OcsfJsonSchemaEmbedded(get_ocsf_schema("1.8.0"))
    validators = {}
    for line in lines:
        profiles = tuple(line["metadata"].get("profiles", []))
        key = line["class_uid"], profiles
        if key not in validators:
            name = of.lookup_class_name_from_uid(line["class_uid"])
            validators[key] = jsonschema.Draft202012Validator(of.get_class_schema(name, list(profiles)))
        wrong = [f"{list(it.path)}: {it.message}" for it in validators[key].iter_errors(line)]
        assert not wrong, (wrong, line)
    assert len({key[0] for key in validators}) >= 4, validators.keys()
    opened.add("ocsf-json-schema")


def cef(bundle):
    lines = (bundle / "records.cef").read_text().splitlines()
    assert len(lines) == len(records(bundle))
    for line, record in zip(lines, records(bundle)):
        head = re.split(r"(?<!\\)\|", line, maxsplit=7)
        assert head[0] == "CEF:0" and head[4] == record["type"] and 0 <= int(head[6]) <= 10, line
        # A key is what stands before a bare equals sign.
        keys = re.findall(r"(?:^| )(\w+)(?<!\\)=", head[7])
        assert keys[:2] == ["rt", "externalId"] and len(keys) == len(set(keys)), line
    opened.add("cef")


def main():
    for path in map(Path, sys.argv[1:]):
        with tempfile.TemporaryDirectory() as dir:
            bundle = Path(dir)
            with tarfile.open(path) as tar:
                tar.extractall(bundle, filter="data")
            jsonl(bundle)
            for name, check in (
                ("records.csv", as_csv),
                ("records.parquet", parquet),
                ("records.ocsf.jsonl", ocsf),
                ("records.cef", cef),
            ):
                if (bundle / name).exists():
                    check(bundle)
    print("opened by:", ", ".join(sorted(opened)))
    print("missing:", ", ".join(sorted(missing)))
    print("ok")


main()

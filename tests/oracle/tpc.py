"""TPC-H and TPC-DS, schemas and queries, for PostgreSQL: from the tests of sqlglot (MIT), which carries both.

usage: tpc.py SDIST DIRECTORY    writes DIRECTORY/schema.sql and DIRECTORY/{tpch,tpcds}-NN{a,b}.sql
"""
import ast
import pathlib
import re
import sys
import tarfile

TYPES = {"double": "numeric", "string": "text", "varchar": "text", "char": "text", "float": "numeric"}


def columns(tree, name):
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "").upper() == name:
            return ast.literal_eval(node.value)
    raise SystemExit(f"no {name} in there")


def column_type(name, kind):
    # sqlglot has dates as text; the queries do arithmetic on them.
    if name == "d_date" or (name.endswith("date") and kind.lower() in ("string", "date", "varchar")):
        return "date"
    return TYPES.get(kind.lower(), kind.lower())


def main(sdist, directory):
    out = pathlib.Path(directory)
    out.mkdir(parents=True, exist_ok=True)
    with tarfile.open(sdist) as archive:
        def text(suffix):
            member = next(it for it in archive.getmembers() if it.name.endswith(suffix))
            return archive.extractfile(member).read().decode()

        tree = ast.parse(text("tests/helpers.py"))
        statements = []
        for name in ("TPCH_SCHEMA", "TPCDS_SCHEMA"):
            for table, known in columns(tree, name).items():
                listed = ", ".join(f"{column} {column_type(column, kind)}" for column, kind in known.items())
                # TPC-H's customer is another than TPC-DS's.
                schema = "tpch" if name == "TPCH_SCHEMA" else "tpcds"
                statements.append(f"create table {schema}.{table} ({listed});")
        (out / "schema.sql").write_text("create schema tpch; create schema tpcds;\n" + "\n".join(statements) + "\n")
        for name, suffix in (("tpch", "tpc-h/tpc-h.sql"), ("tpcds", "tpc-ds/tpc-ds.sql")):
            # Each query is followed by what sqlglot makes of it; both are queries.
            blocks = re.split(r"^-+\n-- TPC-\w+ \d+\n-+\n", text(suffix), flags=re.M)[1:]
            for number, block in enumerate(blocks, 1):
                block = re.sub(r"^#.*$", "", block, flags=re.M)
                for kind, query in zip("ab", block.split(";")):
                    if query.strip():
                        (out / f"{name}-{number:02}{kind}.sql").write_text(query.strip() + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])

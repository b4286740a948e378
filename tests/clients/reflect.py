"""What SQLAlchemy asks a database about itself. Connects by PG* variables; ends with "ok"."""
import os

from sqlalchemy import MetaData, URL, create_engine, inspect

url = URL.create(
    "postgresql+psycopg",
    username=os.environ["PGUSER"],
    host=os.environ["PGHOST"],
    port=int(os.environ["PGPORT"]) if "PGPORT" in os.environ else None,
    database=os.environ["PGDATABASE"],
)
engine = create_engine(url)
with engine.connect() as connection:
    inspector = inspect(connection)
    for schema in inspector.get_schema_names():
        if schema == "information_schema":
            continue
        inspector.get_view_names(schema)
        inspector.get_sequence_names(schema)
        inspector.get_enums(schema)
        inspector.get_domains(schema)
        for table in inspector.get_table_names(schema):
            inspector.get_columns(table, schema)
            inspector.get_pk_constraint(table, schema)
            inspector.get_foreign_keys(table, schema)
            inspector.get_indexes(table, schema)
            inspector.get_unique_constraints(table, schema)
            inspector.get_check_constraints(table, schema)
            inspector.get_table_comment(table, schema)
        for view in inspector.get_view_names(schema):
            inspector.get_view_definition(view, schema)
        MetaData().reflect(connection, schema=schema, views=True)
    assert inspector.get_materialized_view_names() is not None
    assert inspector.has_table("patients")
print("ok")

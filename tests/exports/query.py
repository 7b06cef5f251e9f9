"""Prints the rows of a query as JSON."""

import json
import sys

import duckdb

rows = duckdb.sql(sys.argv[1]).fetchall()
json.dump(rows, sys.stdout)

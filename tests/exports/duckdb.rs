//! DuckDB's answers, compared with those of `report`.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::python::sql;
use super::recording::{self, HOSTILE, Made};

/// Bytes by name. `None`: the rows without a name.
type ByName = BTreeMap<Option<String>, u64>;

/// The query of the documentation, for these files.
fn documented(files: &str) -> Result<String> {
    let usage = include_str!("../../docs/usage.md");
    let (_, query) = usage.split_once("```sql\n").context("no query")?;
    let (query, _) = query.split_once("```").context("no end")?;
    let with_files = query.replace("/srv/recording/*.ndjson.zst", files);
    ensure!(with_files != query, "it reads other files");
    Ok(with_files)
}

/// Rows of a name and its bytes. A query must not have a name twice.
fn by_name(rows: &[Value]) -> Result<ByName> {
    let mut found = ByName::new();
    for row in rows {
        let bytes = row[1].as_u64().with_context(|| format!("{row}"))?;
        let name = row[0].as_str().map(str::to_owned);
        ensure!(found.insert(name, bytes).is_none(), "{row} is there twice");
    }
    Ok(found)
}

/// The bytes of a report's rows, without those that wrote nothing.
fn reported(lines: &[Value], bytes: &str) -> Result<ByName> {
    let mut found = ByName::new();
    for line in lines {
        ensure!(line["kind"] != "other", "the rows are folded: {line}");
        let bytes = line[bytes].as_u64().with_context(|| format!("{line}"))?;
        if line["kind"] == "row" && bytes != 0 {
            found.insert(line["name"].as_str().map(str::to_owned), bytes);
        }
    }
    Ok(found)
}

fn same(duckdb: &ByName, report: &ByName) -> Result<()> {
    ensure!(
        duckdb == report,
        "DuckDB: {duckdb:#?}\nthe report: {report:#?}"
    );
    Ok(())
}

fn query_equals_report(made: &Made) -> Result<ByName> {
    let rows = sql(&documented(&made.files()?)?)?;
    let report = reported(&made.report("command")?, "written_bytes")?;
    same(&by_name(&rows)?, &report)?;
    Ok(report)
}

pub fn made() -> Result<()> {
    let made = recording::made()?;
    // One after the other in a file, each behind a skippable frame.
    ensure!(made.frames()? > 3, "{} frames", made.frames()?);
    let report = query_equals_report(&made)?;
    ensure!(report.len() == 2 + HOSTILE.len(), "{report:?}");
    Ok(())
}

pub fn real() -> Result<()> {
    const MIB: u64 = 1 << 20;
    let made = recording::real("exports-dd")?;
    let report = query_equals_report(&made)?;
    let bytes = report.get(&Some("exports-dd".to_owned()));
    ensure!(bytes.is_some_and(|bytes| *bytes >= 12 * MIB), "{report:?}");
    let file = made.export("parquet", &[])?;
    let by_command = format!(
        "SELECT command, sum(bytes) FROM '{}' \
         WHERE operation = 'write' AND command IS NOT NULL GROUP BY ALL",
        file.display()
    );
    same(&by_name(&sql(&by_command)?)?, &report)?;
    let by_reason = format!(
        "SELECT flush_reason, sum(bytes) FROM '{}' WHERE command = 'exports-dd' \
         AND kind = 'data' GROUP BY ALL",
        file.display()
    );
    let reasons = by_name(&sql(&by_reason)?)?;
    let fsync = reasons.get(&Some("fsync".to_owned()));
    ensure!(fsync.is_some_and(|bytes| *bytes >= 12 * MIB), "{reasons:?}");
    Ok(())
}

pub fn rows() -> Result<()> {
    let made = recording::made()?;
    let file = made.export("parquet", &[])?;
    for by in [
        "command",
        "user",
        "unit",
        "container",
        "cgroup",
        "device",
        "file",
    ] {
        // Only places have bytes without an owner.
        let (owned, is_there) = match by {
            "device" | "file" => ("true", "device IS NOT NULL"),
            _ => ("pid IS NOT NULL", "true"),
        };
        let report = made.report(by)?;
        for (operation, bytes) in [("write", "written_bytes"), ("read", "read_bytes")] {
            let query = format!(
                "SELECT {by}, sum(bytes) FROM '{}' WHERE operation = '{operation}' \
                 AND {owned} AND {is_there} GROUP BY ALL",
                file.display()
            );
            let rows = by_name(&sql(&query)?)?;
            ensure!(!rows.is_empty(), "{by}: nothing");
            same(&rows, &reported(&report, bytes)?).context(by)?;
        }
    }
    Ok(())
}

pub fn totals() -> Result<()> {
    let made = recording::made()?;
    let file = made.export("parquet", &[])?;
    let sum = |filter: &str| -> Result<u64> {
        let rows = sql(&format!(
            "SELECT coalesce(sum(bytes), 0) FROM '{}' WHERE {filter}",
            file.display()
        ))?;
        rows[0][0].as_u64().context("no sum")
    };
    let lines = made.report("command")?;
    let total = &lines[0];
    ensure!(total["kind"] == "total", "{total}");
    for (field, filter) in [
        ("written_bytes", "operation = 'write'"),
        ("read_bytes", "operation = 'read'"),
        ("exact_bytes", "attribution = 'attributed'"),
        (
            "shared_data_bytes",
            "attribution = 'shared' AND kind = 'data'",
        ),
        ("journal_bytes", "kind = 'journal'"),
        ("home_bytes", "kind = 'home'"),
        ("tree_bytes", "kind = 'tree'"),
        (
            "without_owner_bytes",
            "operation = 'write' AND pid IS NULL AND attribution = 'unattributed'",
        ),
    ] {
        let bytes = total[field].as_u64().context(field)?;
        ensure!(
            bytes != 0 && sum(filter)? == bytes,
            "{field}: {bytes}, {filter}: {}",
            sum(filter)?
        );
    }
    let unattributed = lines.iter().filter(|line| line["kind"] == "unattributed");
    let mut reasons = 0;
    for line in unattributed {
        let (name, bytes) = (&line["name"], line["written_bytes"].as_u64());
        let name = name.as_str().context("no reason")?;
        let found = sum(&format!("operation = 'write' AND reason = '{name}'"))?;
        ensure!(Some(found) == bytes, "{line}: {found}");
        reasons += 1;
    }
    ensure!(reasons == 5, "{reasons} reasons in {lines:?}");
    ensure!(sum("operation = 'copy'")? == 35 * 8192, "the copies");
    let covered = sql(&format!(
        "SELECT decode(value) FROM parquet_kv_metadata('{}') \
         WHERE decode(key) = 'iotop_trace.covered_ns'",
        file.display()
    ))?;
    ensure!(covered[0][0] == "350000000000", "{covered:?}");
    Ok(())
}

pub fn hostile() -> Result<()> {
    let made = recording::made()?;
    let file = made.export("parquet", &[])?;
    for (n, (name, command)) in (200..).zip(HOSTILE) {
        let rows = sql(&format!(
            "SELECT DISTINCT comm, command, cmdline, user, unit FROM '{}' WHERE pid = {n}",
            file.display()
        ))?;
        let wanted = [name, command, &format!("{name} {name}"), name, name];
        ensure!(
            rows.len() == 1 && rows[0] == serde_json::json!(wanted),
            "{rows:?}"
        );
    }
    let paths = sql(&format!(
        "SELECT DISTINCT path FROM '{}' WHERE inode = 25",
        file.display()
    ))?;
    ensure!(paths[0][0] == "/srv/\u{1b}]0;x\u{7}\n<i>", "{paths:?}");
    Ok(())
}

pub fn types() -> Result<()> {
    let made = recording::made()?;
    let file = made.export("parquet", &[])?;
    let path = file.display();
    let rows = sql(&format!("DESCRIBE SELECT * FROM '{path}'"))?;
    let of = |name: &str| {
        let row = rows.iter().find(|row| row[0] == name);
        row.and_then(|row| row[1].as_str())
            .unwrap_or("missing")
            .to_owned()
    };
    for (name, wanted) in [
        ("bytes", "UBIGINT"),
        ("pid", "UINTEGER"),
        ("kthread", "BOOLEAN"),
        ("command", "VARCHAR"),
        ("time", "TIMESTAMPTZ_NS"),
    ] {
        ensure!(of(name) == wanted, "{name}: {}", of(name));
    }
    let schema = sql(&format!(
        "SELECT logical_type FROM parquet_schema('{path}') WHERE name IN ('time', 'start_time')"
    ))?;
    for row in schema {
        let said = row[0].as_str().unwrap_or("none");
        ensure!(
            said.contains("isAdjustedToUTC=1") && said.contains("NANOS"),
            "{said}"
        );
    }
    let encodings = sql(&format!(
        "SELECT DISTINCT encodings, compression FROM parquet_metadata('{path}') \
         WHERE path_in_schema IN ('command', 'file', 'device')"
    ))?;
    for row in encodings {
        let said = row.to_string();
        ensure!(
            said.contains("DICTIONARY") && said.contains("ZSTD"),
            "{said}"
        );
    }
    Ok(())
}

/// The queries of the documentation on the Parquet file answer something.
pub fn answered() -> Result<()> {
    let made = recording::made()?;
    let file = made.export("parquet", &[])?;
    let file = format!("'{}'", file.display());
    let usage = include_str!("../../docs/usage.md");
    let mut queries = usage.split("duckdb -c \"").skip(1);
    let mut answered = 0;
    for query in &mut queries {
        let (query, _) = query.split_once('"').context("no end")?;
        ensure!(query.contains("'rec.parquet'"), "{query}");
        let query = query.replace("'rec.parquet'", &file);
        // Times have no form in JSON.
        let rows = sql(&format!(
            "SELECT CAST(answer AS VARCHAR) FROM ({query}) AS answer"
        ))?;
        ensure!(rows.len() > 1, "{query}: {rows:?}");
        answered += 1;
    }
    ensure!(answered == 3, "{answered} queries");
    Ok(())
}

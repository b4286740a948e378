//! sqlx as people use it: a pool, statements that it prepares by itself, streams, COPY both ways, TLS by rustls.
//! It has no cancel: a future is dropped, and the connection with it. Ends with "ok".

use std::time::Duration;

use futures_util::TryStreamExt as _;
use sqlx::postgres::{PgConnectOptions, PgPoolCopyExt as _, PgPoolOptions};
use sqlx::{Connection as _, Executor as _, PgConnection, PgPool, Row as _};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// That a statement failed, and how.
fn failed<T>(outcome: std::result::Result<T, sqlx::Error>, state: &str) -> Result<String> {
    let error = outcome.err().ok_or_else(|| format!("passed, instead of {state}"))?;
    let error = error.into_database_error().ok_or("no error of a statement's")?;
    if error.code().as_deref() == Some(state) { Ok(error.message().to_owned()) } else { Err(error.into()) }
}

async fn products(pool: &PgPool) -> Result<i64> {
    Ok(sqlx::query_scalar("select count(*) from products").fetch_one(pool).await?)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    // By PG* variables.
    let options = PgConnectOptions::new();
    let pool = PgPoolOptions::new().max_connections(2).connect_with(options.clone()).await?;

    // Held behind the driver's own BEGIN, and released from outside; then by the grant, from its cache of statements.
    let mut transaction = pool.begin().await?;
    for id in 1..5_i64 {
        let query = sqlx::query("select full_name, ssn from customers where id = $1").bind(id);
        let row = query.fetch_one(&mut *transaction).await?;
        assert!(row.get::<&str, _>(1).starts_with('9'));
        assert!(id != 1 || (row.get(0), row.get(1)) == ("Amir Bauer", "901-00-0001"));
    }
    transaction.commit().await?;

    // Held, and denied by others: an error of the statement.
    let copied = pool.execute("create table copied as select ssn from customers").await;
    assert!(failed(copied, "42501")?.starts_with("stepgate: "));

    // Held, and given up by its sender, who hangs up.
    let mut impatient = PgConnection::connect_with(&options).await?;
    let salaries = sqlx::query("select salary from hr.employees").fetch_all(&mut impatient);
    let given_up = tokio::time::timeout(Duration::from_secs(1), salaries).await;
    assert!(given_up.is_err(), "the salaries passed");
    drop(impatient);

    // Rows as they come.
    let mut rows = sqlx::query("select id from products where id > $1 order by id").bind(0_i64).fetch(&pool);
    let mut seen = 0;
    while let Some(row) = rows.try_next().await? {
        seen += 1;
        assert_eq!(row.get::<i64, _>(0), seen);
    }
    drop(rows);
    assert_eq!(seen, 200);

    // Several statements in a message, and an error among them.
    let raw = sqlx::raw_sql("select 1; insert into products values (900, 'p', 'home', 1); select 1/0").execute(&pool);
    failed(raw.await, "22012")?;
    assert_eq!(products(&pool).await?, 200);

    // A transaction within one; an error in it, and on from the savepoint.
    let mut outer = pool.begin().await?;
    outer.execute("insert into products values (901, 'outer', 'home', 1)").await?;
    let mut inner = outer.begin().await?;
    failed(sqlx::query("select 1 / $1").bind(0_i32).execute(&mut *inner).await, "22012")?;
    inner.rollback().await?;
    let name: String = sqlx::query_scalar("select name from products where id = 901").fetch_one(&mut *outer).await?;
    assert_eq!(name, "outer");
    // One that is forgotten goes back by itself.
    drop(outer);
    assert_eq!(products(&pool).await?, 200);

    // COPY both ways, one that is given up, and back.
    let mut copy = pool.copy_in_raw("copy products from stdin").await?;
    copy.send(&b"997\tgiven up\thome\t2\n"[..]).await?;
    copy.abort("not today").await?;
    let mut copy = pool.copy_in_raw("copy products from stdin").await?;
    copy.send(&b"999\tcopied\thome\t2\n"[..]).await?;
    assert_eq!(copy.finish().await?, 1);
    let out = pool.copy_out_raw("copy (select name from products where id >= 900) to stdout").await?;
    let out: Vec<_> = out.try_collect().await?;
    assert_eq!(out.concat(), b"copied\n");
    sqlx::query("delete from products where id >= $1").bind(900_i64).execute(&pool).await?;

    failed(pool.execute("grant select on customers to public").await, "42501")?;
    assert_eq!(products(&pool).await?, 200);
    pool.close().await;
    println!("ok");
    Ok(())
}

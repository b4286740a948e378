//! tokio-postgres as people use it: futures that pipeline, prepared statements, portals, COPY both ways. It has no TLS
//! of its own and comes in plain text, as loopback may. Ends with "ok".

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _, TryStreamExt as _, future, pin_mut};
use tokio::sync::mpsc;
use tokio_postgres::error::SqlState;
use tokio_postgres::{AsyncMessage, Client, NoTls, SimpleQueryMessage};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn variable(name: &str) -> Result<String> {
    std::env::var(name).map_err(|_| format!("{name} is not set").into())
}

/// A session, and what the server says in it beside its answers.
async fn connect() -> Result<(Client, mpsc::UnboundedReceiver<String>)> {
    let (client, mut connection) = tokio_postgres::Config::new()
        .host(variable("PGHOST")?)
        .port(variable("PGPORT")?.parse()?)
        .user(variable("PGUSER")?)
        .password(variable("PGPASSWORD")?)
        .dbname(variable("PGDATABASE")?)
        .connect(NoTls)
        .await?;
    let (said, notices) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let messages = futures_util::stream::poll_fn(move |context| connection.poll_message(context));
        pin_mut!(messages);
        while let Some(Ok(message)) = messages.next().await {
            if let AsyncMessage::Notice(notice) = message {
                let _ = said.send(notice.message().to_owned());
            }
        }
    });
    Ok((client, notices))
}

/// That a statement failed, and how.
fn failed<T>(outcome: std::result::Result<T, tokio_postgres::Error>, state: &SqlState) -> Result<String> {
    let error = outcome.err().ok_or_else(|| format!("passed, instead of {}", state.code()))?;
    let error = error.as_db_error().ok_or_else(|| format!("no error of a statement's: {error}"))?.clone();
    if error.code() == state { Ok(error.message().to_owned()) } else { Err(error.into()) }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let (mut client, mut notices) = connect().await?;

    // Held, and released from outside; then by the grant, prepared.
    let row = client.query_one("select full_name, ssn from customers where id = $1", &[&1_i64]).await?;
    assert_eq!((row.get(0), row.get(1)), ("Amir Bauer", "901-00-0001"));
    assert!(notices.recv().await.is_some_and(|text| text.starts_with("stepgate: ")));
    let statement = client.prepare("select ssn from customers where id = $1").await?;
    for id in 2..5_i64 {
        assert!(client.query_one(&statement, &[&id]).await?.get::<_, &str>(0).starts_with('9'));
    }

    // Held, and denied by others: an error of the statement.
    let copied = client.batch_execute("create table copied as select ssn from customers").await;
    assert!(failed(copied, &SqlState::INSUFFICIENT_PRIVILEGE)?.starts_with("stepgate: "));

    // Held, and cancelled by its sender; what is pipelined behind it is answered after it.
    let cancel = client.cancel_token();
    let (salaries, behind, cancelled) = future::join3(
        client.query("select salary from hr.employees", &[]),
        client.query_one("select 'behind'", &[]),
        async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            cancel.cancel_query(NoTls).await
        },
    )
    .await;
    cancelled?;
    failed(salaries, &SqlState::QUERY_CANCELED)?;
    assert_eq!(behind?.get::<_, &str>(0), "behind");

    // Many at once, each of two round trips, over one connection; one of them fails.
    let numbers: Vec<i64> = (1..=20).collect();
    let names = numbers.iter().map(|id| async {
        let statement = client.prepare("select id, name from products where id = $1").await?;
        client.query_one(&statement, &[id]).await
    });
    let (names, failing) =
        future::join(future::try_join_all(names), client.query("select 1 / $1::int", &[&0_i32])).await;
    assert_eq!(names?.iter().map(|row| row.get(0)).collect::<Vec<i64>>(), numbers);
    failed(failing, &SqlState::DIVISION_BY_ZERO)?;

    // The simple protocol, with several statements in a message.
    let messages = client.simple_query("select 1 as a; select id from products order by id limit 2").await?;
    let rows = messages.iter().filter(|message| matches!(message, SimpleQueryMessage::Row(_))).count();
    assert_eq!(rows, 3);

    // A portal in pieces.
    let transaction = client.transaction().await?;
    let portal = transaction.bind("select id from products order by id", &[]).await?;
    let mut seen = 0;
    loop {
        let rows = transaction.query_portal(&portal, 30).await?;
        seen += rows.len();
        if rows.len() < 30 {
            break;
        }
    }
    assert_eq!(seen, 200);

    // COPY both ways behind a savepoint, and back.
    let sink = transaction.copy_in("copy products from stdin").await?;
    pin_mut!(sink);
    sink.send(Bytes::from_static(b"998\tcop")).await?;
    sink.send(Bytes::from_static(b"ied\thome\t2\n999\tcopied\thome\t2\n")).await?;
    assert_eq!(sink.finish().await?, 2);
    let out = transaction.copy_out("copy (select name from products where id >= 900) to stdout").await?;
    let out: Vec<Bytes> = out.try_collect().await?;
    assert_eq!(out.concat(), b"copied\ncopied\n");
    transaction.rollback().await?;

    // A COPY that its sender gives up, by going away from it.
    {
        let sink = client.copy_in::<_, Bytes>("copy products from stdin").await?;
        pin_mut!(sink);
        sink.send(Bytes::from_static(b"997\tgiven up\thome\t2\n")).await?;
    }
    let count = client.query_one("select count(*) from products", &[]).await?;
    assert_eq!(count.get::<_, i64>(0), 200);

    // A statement that runs is cancelled as well.
    let cancel = client.cancel_token();
    // The server itself is asked whether it does.
    let (direct, connection) = tokio_postgres::Config::new()
        .host(variable("PGHOST")?)
        .port(variable("DIRECT_PORT")?.parse()?)
        .user("stepgate_analyst")
        .password(variable("DIRECT_PASSWORD")?)
        .dbname(variable("PGDATABASE")?)
        .connect(NoTls)
        .await?;
    tokio::spawn(connection);
    let (slept, cancelled) = future::join(client.batch_execute("select pg_sleep(60)"), async {
        let running = "select 1 from pg_stat_activity where state = 'active' and query = 'select pg_sleep(60)'";
        while direct.query_opt(running, &[]).await?.is_none() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        cancel.cancel_query(NoTls).await
    })
    .await;
    cancelled?;
    failed(slept, &SqlState::QUERY_CANCELED)?;

    failed(client.batch_execute("grant select on customers to public").await, &SqlState::INSUFFICIENT_PRIVILEGE)?;
    assert_eq!(client.query_one("select 1 + $1", &[&1_i32]).await?.get::<_, i32>(0), 2);
    println!("ok");
    Ok(())
}

// pgx as people use it: statements that it prepares by itself, batches, COPY both ways, contexts that run out, TLS.
// Ends with "ok".
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgconn"
	"github.com/jackc/pgx/v4"
	"github.com/jackc/pgx/v4/pgxpool"
)

var ctx = context.Background()

// That it holds.
func check(holds bool, what ...interface{}) {
	if !holds {
		log.Panicln(what...)
	}
}

// That nothing failed.
func done(err error) { check(err == nil, err) }

// That a statement failed, and how.
func failed(err error, state string) *pgconn.PgError {
	var failure *pgconn.PgError
	check(errors.As(err, &failure) && failure.Code == state, "not", state, "but", err)
	return failure
}

func products(conn *pgx.Conn) (count int) {
	done(conn.QueryRow(ctx, "select count(*) from products").Scan(&count))
	return count
}

func main() {
	log.SetFlags(log.Lshortfile)
	// By PG* variables.
	config, err := pgx.ParseConfig("")
	done(err)
	var notices []string
	config.OnNotice = func(_ *pgconn.PgConn, notice *pgconn.Notice) { notices = append(notices, notice.Message) }
	conn, err := pgx.ConnectConfig(ctx, config)
	done(err)

	// Held, and released from outside; then by the grant, from its cache of statements.
	var name, ssn string
	for id := 1; id < 5; id++ {
		done(conn.QueryRow(ctx, "select full_name, ssn from customers where id = $1", id).Scan(&name, &ssn))
		check(strings.HasPrefix(ssn, "9") && (id != 1 || name == "Amir Bauer" && ssn == "901-00-0001"), name, ssn)
	}
	check(len(notices) == 1 && strings.HasPrefix(notices[0], "stepgate: "), notices)

	// Held, and denied by others: an error of the statement.
	_, err = conn.Exec(ctx, "create table copied as select ssn from customers")
	check(strings.HasPrefix(failed(err, "42501").Message, "stepgate: "), err)

	// Held, and cancelled by its sender.
	cancelled := make(chan error)
	time.AfterFunc(time.Second, func() { cancelled <- conn.PgConn().CancelRequest(ctx) })
	_, err = conn.Exec(ctx, "select salary from hr.employees")
	failed(err, "57014")
	done(<-cancelled)

	// One that runs as well; the server itself is asked whether it does, and whether it still does.
	direct, err := pgx.Connect(ctx, fmt.Sprintf("port=%s user=stepgate_analyst password=%s sslmode=disable",
		os.Getenv("DIRECT_PORT"), os.Getenv("DIRECT_PASSWORD")))
	done(err)
	runs := func(pid uint32) bool {
		var count int
		active := "select count(*) from pg_stat_activity where pid = $1 and state = 'active' and query like '%pg_sleep%'"
		done(direct.QueryRow(ctx, active, pid).Scan(&count))
		return count > 0
	}
	go func() {
		for !runs(conn.PgConn().PID()) {
			time.Sleep(20 * time.Millisecond)
		}
		cancelled <- conn.PgConn().CancelRequest(ctx)
	}()
	_, err = conn.Exec(ctx, "select pg_sleep(600)")
	failed(err, "57014")
	done(<-cancelled)
	check(!runs(conn.PgConn().PID()), "it runs no more")

	// A context that runs out takes the connection with it, and the server stops as well: pgx sends a cancel request.
	impatient, err := pgx.ConnectConfig(ctx, config)
	done(err)
	pid := impatient.PgConn().PID()
	soon, cancel := context.WithCancel(ctx)
	go func() {
		for !runs(pid) {
			time.Sleep(20 * time.Millisecond)
		}
		cancel()
	}()
	_, err = impatient.Exec(soon, "select pg_sleep(600)")
	check(errors.Is(err, context.Canceled) && impatient.IsClosed(), err)
	for end := time.Now().Add(20 * time.Second); runs(pid); time.Sleep(20 * time.Millisecond) {
		check(time.Now().Before(end), "it still runs")
	}
	done(direct.Close(ctx))

	// A batch: many statements before the first answer.
	batch := &pgx.Batch{}
	for id := 1; id <= 20; id++ {
		batch.Queue("select name from products where id = $1", id)
	}
	batch.Queue("select 1 / $1::int", 0)
	batch.Queue("select 'never'")
	results := conn.SendBatch(ctx, batch)
	for id := 1; id <= 20; id++ {
		done(results.QueryRow().Scan(&name))
	}
	failed(results.QueryRow().Scan(&name), "22012")
	failed(results.Close(), "22012")

	// Prepared by name, and the simple protocol.
	_, err = conn.Prepare(ctx, "by-id", "select name from products where id = $1")
	done(err)
	done(conn.QueryRow(ctx, "by-id", 7).Scan(&name))
	done(conn.Deallocate(ctx, "by-id"))
	var one int
	done(conn.QueryRow(ctx, "select $1::int", pgx.QuerySimpleProtocol(true), 1).Scan(&one))
	several, err := conn.PgConn().Exec(ctx, "select 1; select 2").ReadAll()
	check(err == nil && len(several) == 2, several, err)

	// COPY both ways, a savepoint after an error, and back.
	transaction, err := conn.Begin(ctx)
	done(err)
	rows := [][]interface{}{{int64(998), "copied", "home", 2}, {int64(999), "copied", "home", 2}}
	columns := []string{"id", "name", "category", "price"}
	copied, err := transaction.CopyFrom(ctx, pgx.Identifier{"products"}, columns, pgx.CopyFromRows(rows))
	check(copied == 2, copied, err)
	inner, err := transaction.Begin(ctx)
	done(err)
	_, err = inner.Exec(ctx, "select 1 / 0")
	failed(err, "22012")
	done(inner.Rollback(ctx))
	var out bytes.Buffer
	_, err = conn.PgConn().CopyTo(ctx, &out, "copy (select name from products where id >= 900) to stdout")
	check(out.String() == "copied\ncopied\n", out.String(), err)
	done(transaction.Rollback(ctx))

	_, err = conn.Exec(ctx, "grant select on customers to public")
	failed(err, "42501")
	check(products(conn) == 200, "products")
	done(conn.Close(ctx))

	// A pool.
	pool, err := pgxpool.Connect(ctx, "pool_max_conns=3")
	done(err)
	read := make(chan error)
	for id := 1; id <= 9; id++ {
		go func(id int) {
			var name string
			read <- pool.QueryRow(ctx, "select name from products where id = $1", id).Scan(&name)
		}(id)
	}
	for id := 1; id <= 9; id++ {
		done(<-read)
	}
	pool.Close()
	fmt.Println("ok")
}

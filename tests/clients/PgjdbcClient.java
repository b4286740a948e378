import java.io.*;
import java.sql.*;
import java.util.*;
import org.postgresql.PGConnection;
import org.postgresql.copy.CopyManager;
import org.postgresql.largeobject.*;

/** pgjdbc as people use it: prepared statements, autocommit off, a fetch size. Ends with "ok". */
public class PgjdbcClient {
    public static void main(String[] args) throws Exception {
        Map<String, String> env = System.getenv();
        String url = "jdbc:postgresql://" + env.get("PGHOST") + ":" + env.get("PGPORT") + "/" + env.get("PGDATABASE");
        Properties properties = new Properties();
        properties.setProperty("user", env.get("PGUSER"));
        properties.setProperty("password", env.get("PGPASSWORD"));
        properties.setProperty("sslmode", env.get("PGSSLMODE"));
        properties.setProperty("sslrootcert", env.get("PGSSLROOTCERT"));
        // Broken by a hold that says nothing for ten seconds: the gate keeps the line alive.
        properties.setProperty("socketTimeout", "10");
        try (Connection connection = DriverManager.getConnection(url, properties)) {
            connection.setAutoCommit(false);
            try (PreparedStatement held = connection.prepareStatement("select full_name, ssn from customers where id = ?")) {
                held.setLong(1, 1);
                try (ResultSet rows = held.executeQuery()) {
                    check(rows.next() && rows.getString(2).equals("901-00-0001"), "the held statement");
                }
                // Past the threshold (5) the driver switches to a named statement.
                for (long id = 1; id <= 8; id++) {
                    held.setLong(1, id);
                    try (ResultSet rows = held.executeQuery()) {
                        check(rows.next() && rows.getString(2).startsWith("9"), "by the grant");
                    }
                }
            }
            connection.commit();
            // Held, and denied by others: an error of the statement.
            try (Statement statement = connection.createStatement()) {
                statement.execute("create table copied as select ssn from customers");
                throw new IllegalStateException("the copy passed");
            } catch (SQLException error) {
                check("42501".equals(error.getSQLState()), "42501, not " + error.getSQLState());
            }
            connection.rollback();
            // Held, and cancelled by its sender.
            try (Statement statement = connection.createStatement()) {
                Timer timer = new Timer(true);
                timer.schedule(new TimerTask() {
                    @Override public void run() {
                        try { statement.cancel(); } catch (SQLException error) { error.printStackTrace(); }
                    }
                }, 1000);
                statement.execute("select salary from hr.employees");
                throw new IllegalStateException("the salaries passed");
            } catch (SQLException error) {
                check("57014".equals(error.getSQLState()), "57014, not " + error.getSQLState());
            }
            connection.rollback();
            // One that runs as well; the server itself is asked whether it does, and whether it still does.
            Properties without = new Properties();
            without.setProperty("user", "stepgate_analyst");
            without.setProperty("password", env.get("DIRECT_PASSWORD"));
            without.setProperty("sslmode", "disable");
            String server = "jdbc:postgresql://" + env.get("PGHOST") + ":" + env.get("DIRECT_PORT") + "/" + env.get("PGDATABASE");
            int pid = connection.unwrap(PGConnection.class).getBackendPID();
            try (Connection direct = DriverManager.getConnection(server, without);
                 Statement statement = connection.createStatement()) {
                new Thread(() -> {
                    try {
                        while (!runs(direct, pid)) Thread.sleep(20);
                        statement.cancel();
                    } catch (Exception error) {
                        error.printStackTrace();
                    }
                }).start();
                try {
                    // Longer than the socket's time limit would let it, were it not cancelled.
                    statement.execute("select pg_sleep(600)");
                    throw new IllegalStateException("it slept");
                } catch (SQLException error) {
                    check("57014".equals(error.getSQLState()), "57014, not " + error.getSQLState());
                }
                check(!runs(direct, pid), "it runs no more");
            }
            connection.rollback();
            // An error, and the transaction goes back to its savepoint.
            try (Statement statement = connection.createStatement()) {
                Savepoint before = connection.setSavepoint();
                try {
                    statement.execute("select 1/0");
                    throw new IllegalStateException("no error");
                } catch (SQLException error) {
                    check("22012".equals(error.getSQLState()), "22012, not " + error.getSQLState());
                }
                connection.rollback(before);
                check(statement.execute("select 1"), "after the savepoint");
            }
            connection.rollback();
            // COPY both ways.
            CopyManager copy = connection.unwrap(PGConnection.class).getCopyAPI();
            check(copy.copyIn("copy products from stdin", new StringReader("999\tcopied\thome\t2\n")) == 1, "a row copied in");
            StringWriter out = new StringWriter();
            copy.copyOut("copy (select name from products where id >= 900) to stdout", out);
            check(out.toString().equals("copied\n"), "what was copied in: " + out);
            connection.rollback();
            // Large objects, by the fast path.
            LargeObjectManager large = connection.unwrap(PGConnection.class).getLargeObjectAPI();
            long oid = large.createLO();
            try (LargeObject object = large.open(oid)) {
                object.write("a picture".getBytes());
                object.seek(2);
                check(new String(object.read(7)).equals("picture") && object.size() == 9, "what was stored");
            }
            large.delete(oid);
            connection.commit();
            // A portal that is read in parts.
            try (PreparedStatement products = connection.prepareStatement("select id, name from products order by id")) {
                products.setFetchSize(30);
                int count = 0;
                try (ResultSet rows = products.executeQuery()) {
                    while (rows.next()) count++;
                }
                check(count == 200, "200 products in parts, not " + count);
            }
            connection.commit();
            try (PreparedStatement insert = connection.prepareStatement("insert into products values (?, ?, 'home', 1)")) {
                for (int i = 0; i < 20; i++) {
                    insert.setLong(1, 900 + i);
                    insert.setString(2, "p" + i);
                    insert.addBatch();
                }
                check(insert.executeBatch().length == 20, "a batch");
            }
            connection.rollback();
            try (Statement statement = connection.createStatement()) {
                statement.execute("grant select on customers to public");
                throw new IllegalStateException("GRANT passed");
            } catch (SQLException error) {
                check("42501".equals(error.getSQLState()), "42501, not " + error.getSQLState());
            }
            connection.rollback();
            try (ResultSet tables = connection.getMetaData().getColumns(null, "public", "customers", null)) {
                int columns = 0;
                while (tables.next()) columns++;
                check(columns == 11, "metadata: 11 columns, not " + columns);
            }
            connection.rollback();
        }
        // The simple protocol, several statements in a message.
        properties.setProperty("preferQueryMode", "simple");
        try (Connection connection = DriverManager.getConnection(url, properties);
             PreparedStatement several = connection.prepareStatement("select ?; select id from products where id = ?")) {
            several.setString(1, "it's");
            several.setLong(2, 7);
            check(several.execute() && several.getMoreResults(), "two results");
            try (ResultSet rows = several.getResultSet()) {
                check(rows.next() && rows.getLong(1) == 7, "the second result");
            }
        }
        System.out.println("ok");
    }

    private static boolean runs(Connection direct, int pid) throws SQLException {
        String active = "select 1 from pg_stat_activity where pid = ? and state = 'active' and query like '%pg_sleep%'";
        try (PreparedStatement asks = direct.prepareStatement(active)) {
            asks.setInt(1, pid);
            try (ResultSet rows = asks.executeQuery()) {
                return rows.next();
            }
        }
    }

    private static void check(boolean holds, String what) {
        if (!holds) throw new IllegalStateException(what);
    }
}

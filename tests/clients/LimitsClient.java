import java.sql.*;
import java.util.*;

/** pgjdbc at a limit of 1,000 rows, with a fetch size: approved, then denied. Ends with "ok". */
public class LimitsClient {
    static final String CONTACTS =
        "select c.id, n, email from customers c, generate_series(1, 4) n order by c.id, n";

    public static void main(String[] args) throws Exception {
        Map<String, String> env = System.getenv();
        String url = "jdbc:postgresql://" + env.get("PGHOST") + ":" + env.get("PGPORT") + "/" + env.get("PGDATABASE");
        Properties properties = new Properties();
        properties.setProperty("user", env.get("PGUSER"));
        properties.setProperty("password", env.get("PGPASSWORD"));
        properties.setProperty("sslmode", env.get("PGSSLMODE"));
        properties.setProperty("sslrootcert", env.get("PGSSLROOTCERT"));
        properties.setProperty("socketTimeout", "10");
        try (Connection connection = DriverManager.getConnection(url, properties)) {
            connection.setAutoCommit(false);
            // Many small executes of one portal draw on one limit.
            check(read(connection, 7) == 2000, "all rows after an approval");
            connection.commit();
            try {
                read(connection, 300);
                throw new IllegalStateException("it passed");
            } catch (SQLException error) {
                check("42501".equals(error.getSQLState()), "42501, not " + error.getSQLState());
            }
            connection.rollback();
            try (Statement statement = connection.createStatement()) {
                check(statement.executeQuery("select 1").next(), "the session goes on");
            }
            connection.commit();
        }
        System.out.println("ok");
    }

    static int read(Connection connection, int fetch) throws SQLException {
        int count = 0;
        try (PreparedStatement contacts = connection.prepareStatement(CONTACTS)) {
            contacts.setFetchSize(fetch);
            try (ResultSet rows = contacts.executeQuery()) {
                while (rows.next()) count++;
            }
        }
        return count;
    }

    static void check(boolean holds, String what) {
        if (!holds) throw new IllegalStateException(what);
    }
}

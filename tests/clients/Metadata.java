import java.sql.*;

/** What pgjdbc asks a database about itself, as BI tools have it do. Connects by the URL given; ends with "ok". */
public class Metadata {
    public static void main(String[] args) throws Exception {
        try (Connection connection = DriverManager.getConnection(args[0])) {
            DatabaseMetaData about = connection.getMetaData();
            about.getDatabaseProductVersion();
            about.getMaxColumnNameLength();
            about.getNumericFunctions();
            drain(about.getSchemas());
            drain(about.getSchemas(null, "p%"));
            drain(about.getCatalogs());
            drain(about.getTableTypes());
            drain(about.getTypeInfo());
            drain(about.getTables(null, null, "%", null));
            drain(about.getTables(null, "public", "%", new String[] {"TABLE", "VIEW", "MATERIALIZED VIEW"}));
            drain(about.getColumns(null, "public", "%", "%"));
            drain(about.getPrimaryKeys(null, "public", "patients"));
            drain(about.getImportedKeys(null, "public", "visits"));
            drain(about.getExportedKeys(null, "public", "visits"));
            drain(about.getCrossReference(null, "public", "patients", null, "public", "visits"));
            drain(about.getIndexInfo(null, "public", "patients", false, true));
            drain(about.getBestRowIdentifier(null, "public", "patients", DatabaseMetaData.bestRowSession, true));
            drain(about.getVersionColumns(null, "public", "patients"));
            drain(about.getProcedures(null, null, "%"));
            drain(about.getProcedureColumns(null, null, "%", "%"));
            drain(about.getFunctions(null, null, "%"));
            drain(about.getFunctionColumns(null, null, "%", "%"));
            drain(about.getUDTs(null, null, "%", null));
            drain(about.getTablePrivileges(null, null, "%"));
            drain(about.getColumnPrivileges(null, null, "patients", "%"));
            drain(about.getClientInfoProperties());
            try (Statement statement = connection.createStatement(); ResultSet rows = statement.executeQuery("select * from v_ward_load")) {
                ResultSetMetaData columns = rows.getMetaData();
                for (int i = 1; i <= columns.getColumnCount(); i++) {
                    columns.isAutoIncrement(i);
                    columns.isNullable(i);
                    columns.getTableName(i);
                }
            }
            connection.setReadOnly(true);
            connection.setTransactionIsolation(Connection.TRANSACTION_REPEATABLE_READ);
            connection.setAutoCommit(false);
            connection.isValid(1);
            connection.commit();
        }
        System.out.println("ok");
    }

    private static void drain(ResultSet rows) throws SQLException {
        try (rows) {
            while (rows.next()) rows.getObject(1);
        }
    }
}

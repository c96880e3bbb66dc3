import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.Map;
import java.util.TreeSet;

/** DatabaseMetaData over a small schema: each answer is a line that the runner reads. Arguments: the JDBC address. */
public class Metadata {
    interface Ask {
        ResultSet ask() throws SQLException;
    }

    static final String[] SETUP = {
        "CREATE TYPE mood AS ENUM ('sad', 'ok')", "CREATE DOMAIN small AS int CHECK (VALUE < 9)", "CREATE TYPE pair AS (a int, b text)",
        "CREATE TABLE people (id serial PRIMARY KEY, name varchar(40) NOT NULL UNIQUE, m mood DEFAULT 'ok', s small, tags text[],"
            + " price numeric(10,2), born timestamptz(3), twice int GENERATED ALWAYS AS (length(name)) STORED)",
        "CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY, who int REFERENCES people ON DELETE SET NULL DEFERRABLE,"
            + " day date, PRIMARY KEY (id, day))",
        "CREATE INDEX orders_day ON orders (day DESC, who)", "CREATE UNIQUE INDEX people_lower ON people (lower(name)) WHERE s > 1",
        "CREATE VIEW names AS SELECT name, price FROM people", "COMMENT ON TABLE people IS 'everybody'",
        "COMMENT ON COLUMN people.name IS 'of birth'", "GRANT SELECT ON people TO PUBLIC", "GRANT UPDATE (price) ON people TO PUBLIC",
        "CREATE FUNCTION twice(a int, OUT b int) LANGUAGE sql AS 'SELECT a * 2'",
        "CREATE FUNCTION several(a int) RETURNS TABLE (x int, y text) LANGUAGE sql AS 'SELECT a, ''y'''",
        "CREATE PROCEDURE nothing(a int) LANGUAGE sql AS 'SELECT 1'", "CREATE SEQUENCE sq",
    };

    static String quoted(String text) {
        StringBuilder out = new StringBuilder("\"");
        for (char c : text.toCharArray()) {
            if (c == '"' || c == '\\') out.append('\\').append(c);
            else if (c < ' ') out.append(String.format("\\u%04x", (int) c));
            else out.append(c);
        }
        return out.append('"').toString();
    }

    static void tell(String test, Ask ask) {
        try (ResultSet rows = ask.ask()) {
            ResultSetMetaData shape = rows.getMetaData();
            StringBuilder out = new StringBuilder("[");
            for (int i = 1; i <= shape.getColumnCount(); i++)
                out.append(i > 1 ? "," : "").append(quoted(shape.getColumnName(i) + " " + shape.getColumnTypeName(i)));
            while (rows.next())
                for (int i = 1; i <= shape.getColumnCount(); i++) {
                    String value = rows.getString(i);
                    boolean number = shape.getColumnName(i).equals("specific_name") || shape.getColumnName(i).equals("SPECIFIC_NAME");
                    out.append(",").append(value == null ? "null" : quoted(number ? value.replaceAll("_\\d+$", "") : value));
                }
            System.out.println("{\"test\": " + quoted(test) + ", \"answer\": " + out.append("]}"));
        } catch (SQLException error) {
            System.out.println("{\"test\": " + quoted(test) + ", \"error\": " + quoted(error.getSQLState() + " " + error.getMessage()) + "}");
        }
    }

    public static void main(String[] arguments) throws SQLException {
        try (Connection connection = DriverManager.getConnection(arguments[0]); Statement statement = connection.createStatement()) {
            for (String each : SETUP) statement.execute(each);
            DatabaseMetaData told = connection.getMetaData();
            tell("tables", () -> told.getTables(null, "public", "%", null));
            tell("system tables", () -> told.getTables(null, "pg_catalog", "%", new String[] {"SYSTEM TABLE", "SYSTEM VIEW"}));
            tell("columns", () -> told.getColumns(null, "public", "%", "%"));
            tell("columns of pg_class", () -> told.getColumns(null, "pg_catalog", "pg_class", "%"));
            tell("primary keys", () -> told.getPrimaryKeys(null, "public", "orders"));
            tell("imported keys", () -> told.getImportedKeys(null, "public", "orders"));
            tell("exported keys", () -> told.getExportedKeys(null, "public", "people"));
            tell("cross reference", () -> told.getCrossReference(null, "public", "people", null, "public", "orders"));
            tell("index info", () -> told.getIndexInfo(null, "public", "people", false, true));
            tell("index info of orders", () -> told.getIndexInfo(null, "public", "orders", false, true));
            tell("best row", () -> told.getBestRowIdentifier(null, "public", "people", DatabaseMetaData.bestRowSession, true));
            tell("version columns", () -> told.getVersionColumns(null, "public", "people"));
            tell("schemas", () -> told.getSchemas());
            tell("table types", () -> told.getTableTypes());
            tell("type info", () -> told.getTypeInfo());
            tell("types of users", () -> told.getUDTs(null, "public", "%", null));
            tell("functions", () -> told.getFunctions(null, "public", "%"));
            tell("function columns", () -> told.getFunctionColumns(null, "public", "%", "%"));
            tell("procedures", () -> told.getProcedures(null, "public", "%"));
            tell("procedure columns", () -> told.getProcedureColumns(null, "public", "%", "%"));
            tell("table privileges", () -> told.getTablePrivileges(null, "public", "people"));
            tell("column privileges", () -> told.getColumnPrivileges(null, "public", "people", "%"));
            tell("client info", () -> told.getClientInfoProperties());
            tell("generated keys", () -> {
                PreparedStatement insert = connection.prepareStatement(
                    "INSERT INTO people (name, tags) VALUES (?, ?)", Statement.RETURN_GENERATED_KEYS);
                insert.setString(1, "Ann");
                insert.setArray(2, connection.createArrayOf("text", new String[] {"a", null}));
                insert.executeUpdate();
                return insert.getGeneratedKeys();
            });
            tell("rows", () -> statement.executeQuery("SELECT * FROM people"));
            StringBuilder keywords = new StringBuilder();
            keywords.append(told.getDatabaseProductName()).append(' ').append(told.getDatabaseMajorVersion()).append(' ')
                .append(told.getMaxColumnNameLength()).append(' ').append(told.getMaxIndexLength()).append(' ')
                .append(told.getDefaultTransactionIsolation()).append(' ').append(told.supportsSavepoints()).append(' ')
                .append(String.join(",", new TreeSet<>(java.util.Arrays.asList(told.getSQLKeywords().split(",")))));
            System.out.println("{\"test\": \"product\", \"answer\": " + quoted(keywords.toString()) + "}");
        }
    }
}

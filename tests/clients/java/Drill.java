import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.Properties;

/** Scenarios of test_java.py: Drill HOSTS SCENARIO; where the writer has to be killed it waits for a line. */
public class Drill {
    static String url;

    static Connection connect(String type) throws SQLException {
        Properties settings = new Properties();
        settings.setProperty("user", "postgres");
        settings.setProperty("targetServerType", type);
        settings.setProperty("connectTimeout", "5");
        settings.setProperty("hostRecheckSeconds", "0");
        return DriverManager.getConnection(url, settings);
    }

    static String who(Connection connection) throws SQLException {
        try (Statement statement = connection.createStatement();
                ResultSet rows = statement.executeQuery(
                        "SELECT aurora_db_instance_identifier() || ' ' || pg_is_in_recovery()::text")) {
            rows.next();
            return rows.getString(1);
        }
    }

    static void write(Connection connection, int n) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            statement.executeUpdate("INSERT INTO through_java VALUES (" + n + ")");
        }
    }

    public static void main(String[] arguments) throws Exception {
        url = "jdbc:postgresql://" + arguments[0] + "/postgres";
        for (String type : new String[] {"any", "primary", "secondary", "preferSecondary", "preferPrimary"}) {
            try (Connection connection = connect(type)) {
                System.out.println(type + " " + who(connection) + " " + connection.isReadOnly());
            } catch (SQLException error) {
                System.out.println(type + " " + error.getMessage().split("\n")[0]);
            }
        }
        Connection connection = connect("primary");
        write(connection, 1);
        System.out.println("wrote");
        new BufferedReader(new InputStreamReader(System.in)).readLine();
        long begun = System.nanoTime();
        while (true) {
            try {
                if (connection == null || !connection.isValid(5)) {
                    connection = null;
                    connection = connect("primary");
                }
                write(connection, 2);
                break;
            } catch (SQLException error) {
                if (System.nanoTime() - begun > 30_000_000_000L) {
                    throw error;
                }
                Thread.sleep(10);
            }
        }
        double seconds = (System.nanoTime() - begun) / 1e9;
        System.out.println(seconds + " " + who(connection));
    }
}

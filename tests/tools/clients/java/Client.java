// Asks a database one question, as an application in Java does:
//
//   java -cp LIBRARIES Client.java pgjdbc    with the JDBC URL that ADDRESS holds
//   java -cp LIBRARIES Client.java binding   with the service binding below SERVICE_BINDING_ROOT, as Spring Boot reads it
//
// Prints the driver's version and the answer, joined by a tab.

import java.sql.DriverManager;
import org.springframework.boot.SpringApplication;
import org.springframework.cloud.bindings.boot.BindingSpecificEnvironmentPostProcessor;
import org.springframework.core.env.StandardEnvironment;

class Client {
    private static final String QUESTION =
            "select ssl || ' ' || 6 * 7 from pg_stat_ssl where pid = pg_backend_pid()";

    public static void main(String[] arguments) throws Exception {
        DriverManager.setLoginTimeout(10);
        if (arguments[0].equals("pgjdbc")) {
            ask(System.getenv("ADDRESS"), null, null);
            return;
        }
        var environment = new StandardEnvironment();
        new BindingSpecificEnvironmentPostProcessor().postProcessEnvironment(environment, new SpringApplication());
        ask(environment.getProperty("spring.datasource.url"), environment.getProperty("spring.datasource.username"),
                environment.getProperty("spring.datasource.password"));
    }

    private static void ask(String url, String user, String password) throws Exception {
        try (var connection = user == null
                ? DriverManager.getConnection(url)
                : DriverManager.getConnection(url, user, password);
                var statement = connection.createStatement();
                var answer = statement.executeQuery(QUESTION)) {
            answer.next();
            System.out.println(connection.getMetaData().getDriverVersion() + "\t" + answer.getString(1));
        }
    }
}

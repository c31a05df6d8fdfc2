import java.net.URL;

/** Prints what an HTTPS server answers, as any Java program gets it: with the trust and key that Java was given. */
public class Reach {
    public static void main(String[] arguments) throws Exception {
        System.out.println(new String(new URL(arguments[0]).openStream().readAllBytes(), "UTF-8"));
    }
}

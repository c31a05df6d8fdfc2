// A Java server and client that are fed from tls/ alone: bundle.pfx, truststore.p12 and crl.pem.
//
//   java Mutual.java serve PORT TLS           answers each caller with its subject; reads tls/ anew for every one
//   java Mutual.java call HOST PORT NAME TLS  prints what the server NAME answers

import java.io.BufferedReader;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.net.InetAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.security.cert.CertStore;
import java.security.cert.CertificateFactory;
import java.security.cert.CollectionCertStoreParameters;
import java.security.cert.PKIXBuilderParameters;
import java.security.cert.X509CertSelector;
import java.util.List;
import javax.net.ssl.CertPathTrustManagerParameters;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.TrustManagerFactory;

public class Mutual {
    public static void main(String[] arguments) throws Exception {
        if (arguments[0].equals("serve")) {
            serve(Integer.parseInt(arguments[1]), Path.of(arguments[2]));
        } else {
            call(arguments[1], Integer.parseInt(arguments[2]), arguments[3], Path.of(arguments[4]));
        }
    }

    static void serve(int port, Path tls) throws Exception {
        var listener = new java.net.ServerSocket(port, 50, InetAddress.getByName("127.0.0.1"));
        System.out.println("ready");
        while (true) {
            try (var plain = listener.accept();
                    var socket = (SSLSocket) context(tls).getSocketFactory().createSocket(plain, null, true)) {
                socket.setUseClientMode(false);
                socket.setNeedClientAuth(true);
                socket.setSoTimeout(20_000);
                socket.startHandshake();
                var caller = socket.getSession().getPeerPrincipal().getName();
                socket.getOutputStream().write((caller + "\n").getBytes(StandardCharsets.UTF_8));
            } catch (Exception refused) {
                System.out.println("refused: " + refused.getMessage());
            }
        }
    }

    static void call(String host, int port, String name, Path tls) throws Exception {
        var plain = new java.net.Socket(host, port);
        try (var socket = (SSLSocket) context(tls).getSocketFactory().createSocket(plain, name, port, true)) {
            var parameters = socket.getSSLParameters();
            parameters.setEndpointIdentificationAlgorithm("HTTPS"); // without it no name is checked
            socket.setSSLParameters(parameters);
            socket.setSoTimeout(20_000);
            socket.startHandshake();
            var answer = new BufferedReader(new InputStreamReader(socket.getInputStream(), StandardCharsets.UTF_8));
            var line = answer.readLine();
            if (line == null) {
                throw new java.io.EOFException("the server has closed the connection");
            }
            System.out.println(line);
        }
    }

    static SSLContext context(Path tls) throws Exception {
        var password = Files.readString(tls.resolve("pfx-password")).strip().toCharArray();
        var keys = KeyManagerFactory.getInstance("PKIX");
        keys.init(store(tls.resolve("bundle.pfx"), password), password);
        var trust = TrustManagerFactory.getInstance("PKIX");
        trust.init(new CertPathTrustManagerParameters(parameters(tls)));
        var context = SSLContext.getInstance("TLS");
        context.init(keys.getKeyManagers(), trust.getTrustManagers(), null);
        return context;
    }

    static PKIXBuilderParameters parameters(Path tls) throws Exception {
        var anchors = store(tls.resolve("truststore.p12"), "changeit".toCharArray());
        var parameters = new PKIXBuilderParameters(anchors, new X509CertSelector());
        var crls = tls.resolve("crl.pem");
        parameters.setRevocationEnabled(Files.exists(crls));
        if (Files.exists(crls)) {
            try (InputStream in = Files.newInputStream(crls)) {
                var found = CertificateFactory.getInstance("X.509").generateCRLs(in);
                parameters.addCertStore(
                        CertStore.getInstance("Collection", new CollectionCertStoreParameters(List.copyOf(found))));
            }
        }
        return parameters;
    }

    static KeyStore store(Path file, char[] password) throws Exception {
        return KeyStore.getInstance(file.toFile(), password);
    }
}

// Java's judgement of certificates, as its TLS gives it: one line in, one line out.
//
//     java Check.java <cases
//
// In:  purpose, chain, root, CRLs or "-", OCSP response or "-"; separated by tabs, the files in PEM or DER.
// Out: "accepted", or "refused: " and the reason.

import java.io.BufferedReader;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.cert.CRL;
import java.security.cert.CertPathValidator;
import java.security.cert.CertStore;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.cert.CollectionCertStoreParameters;
import java.security.cert.PKIXBuilderParameters;
import java.security.cert.PKIXRevocationChecker;
import java.security.cert.PKIXRevocationChecker.Option;
import java.security.cert.TrustAnchor;
import java.security.cert.X509CertSelector;
import java.security.cert.X509Certificate;
import java.util.ArrayList;
import java.util.Collection;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import javax.net.ssl.CertPathTrustManagerParameters;
import javax.net.ssl.TrustManagerFactory;
import javax.net.ssl.X509TrustManager;

public final class Check {
    public static void main(String[] arguments) throws Exception {
        BufferedReader cases = new BufferedReader(new InputStreamReader(System.in));
        for (String line = cases.readLine(); line != null; line = cases.readLine()) {
            System.out.println(judge(line.split("\t")));
        }
    }

    private static String judge(String[] given) throws Exception {
        try {
            X509Certificate[] chain = certificates(given[1]);
            X509TrustManager manager = manager(chain, certificates(given[2])[0], given[3], given[4]);
            // Of TLS 1.3, where the kind of key exchange says nothing of the certificate.
            if (given[0].equals("server")) {
                manager.checkServerTrusted(chain, "UNKNOWN");
            } else {
                manager.checkClientTrusted(chain, "UNKNOWN");
            }
            return "accepted";
        } catch (java.security.GeneralSecurityException refusal) {
            return "refused: " + reason(refusal);
        }
    }

    private static String reason(Throwable refusal) {
        StringBuilder said = new StringBuilder();
        for (Throwable cause = refusal; cause != null; cause = cause.getCause()) {
            said.append(said.isEmpty() ? "" : "; ").append(cause.getMessage());
        }
        return said.toString().replace('\n', ' ');
    }

    private static X509TrustManager manager(X509Certificate[] chain, X509Certificate root, String crls, String answer)
            throws Exception {
        PKIXBuilderParameters parameters =
                new PKIXBuilderParameters(Set.of(new TrustAnchor(root, null)), new X509CertSelector());
        List<Object> known = new ArrayList<>(List.of(chain));
        PKIXRevocationChecker revocation =
                (PKIXRevocationChecker) CertPathValidator.getInstance("PKIX").getRevocationChecker();
        if (answer.equals("-")) {
            revocation.setOptions(EnumSet.of(Option.PREFER_CRLS, Option.NO_FALLBACK));
            known.addAll(crls(crls));
        } else {
            revocation.setOptions(EnumSet.of(Option.NO_FALLBACK, Option.ONLY_END_ENTITY));
            revocation.setOcspResponses(Map.of(chain[0], Files.readAllBytes(Path.of(answer))));
        }
        parameters.addCertStore(CertStore.getInstance("Collection", new CollectionCertStoreParameters(known)));
        parameters.addCertPathChecker(revocation);
        TrustManagerFactory factory = TrustManagerFactory.getInstance("PKIX");
        factory.init(new CertPathTrustManagerParameters(parameters));
        return (X509TrustManager) factory.getTrustManagers()[0];
    }

    private static X509Certificate[] certificates(String path) throws Exception {
        try (InputStream file = Files.newInputStream(Path.of(path))) {
            Collection<? extends Certificate> read = CertificateFactory.getInstance("X.509").generateCertificates(file);
            return read.toArray(X509Certificate[]::new);
        }
    }

    private static Collection<? extends CRL> crls(String path) throws Exception {
        try (InputStream file = Files.newInputStream(Path.of(path))) {
            return CertificateFactory.getInstance("X.509").generateCRLs(file);
        }
    }
}

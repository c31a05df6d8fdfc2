"""Running services: the HTTP publisher of CRLs, OCSP and CA certificates, and services side by side."""

// Go's judgement of certificates, as crypto/tls gives it, and of the CRLs beside them: one line in, one line out.
//
//	go run check.go <cases
//
// In:  purpose, chain, root, CRLs, host or "-"; separated by tabs, the files in PEM.
// Out: "accepted", or "refused: " and the reason.
package main

import (
	"bufio"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

func main() {
	cases := bufio.NewScanner(os.Stdin)
	for cases.Scan() {
		if err := judge(strings.Split(cases.Text(), "\t")); err != nil {
			fmt.Println("refused:", strings.ReplaceAll(err.Error(), "\n", " "))
		} else {
			fmt.Println("accepted")
		}
	}
}

func judge(given []string) error {
	chain, err := certificates(given[1])
	if err != nil {
		return err
	}
	anchors, err := certificates(given[2])
	if err != nil {
		return err
	}
	usage := x509.ExtKeyUsageClientAuth
	if given[0] == "server" {
		usage = x509.ExtKeyUsageServerAuth
	}
	options := x509.VerifyOptions{
		Roots:         pool(anchors),
		Intermediates: pool(chain[1:]),
		KeyUsages:     []x509.ExtKeyUsage{usage},
	}
	if given[4] != "-" {
		options.DNSName = given[4]
	}
	paths, err := chain[0].Verify(options)
	if err != nil {
		return err
	}
	return notRevoked(paths[0], given[3])
}

// notRevoked looks for each certificate of the path, the root excepted, on its issuer's CRL.
func notRevoked(path []*x509.Certificate, file string) error {
	lists, err := revocationLists(file)
	if err != nil {
		return err
	}
	for i, certificate := range path[:len(path)-1] {
		list := issuedBy(path[i+1], lists)
		if list == nil {
			return errors.New("there is no CRL of " + path[i+1].Subject.String())
		}
		for _, entry := range list.RevokedCertificateEntries {
			if entry.SerialNumber.Cmp(certificate.SerialNumber) == 0 {
				return errors.New("revoked")
			}
		}
	}
	return nil
}

func issuedBy(ca *x509.Certificate, lists []*x509.RevocationList) *x509.RevocationList {
	now := time.Now()
	for _, list := range lists {
		if list.CheckSignatureFrom(ca) == nil && now.After(list.ThisUpdate) && now.Before(list.NextUpdate) {
			return list
		}
	}
	return nil
}

func pool(certificates []*x509.Certificate) *x509.CertPool {
	made := x509.NewCertPool()
	for _, certificate := range certificates {
		made.AddCert(certificate)
	}
	return made
}

func certificates(file string) ([]*x509.Certificate, error) {
	blocks, err := blocks(file)
	if err != nil {
		return nil, err
	}
	found := make([]*x509.Certificate, 0, len(blocks))
	for _, block := range blocks {
		certificate, err := x509.ParseCertificate(block)
		if err != nil {
			return nil, err
		}
		found = append(found, certificate)
	}
	return found, nil
}

func revocationLists(file string) ([]*x509.RevocationList, error) {
	blocks, err := blocks(file)
	if err != nil {
		return nil, err
	}
	found := make([]*x509.RevocationList, 0, len(blocks))
	for _, block := range blocks {
		list, err := x509.ParseRevocationList(block)
		if err != nil {
			return nil, err
		}
		found = append(found, list)
	}
	return found, nil
}

func blocks(file string) ([][]byte, error) {
	rest, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var found [][]byte
	for {
		block, after := pem.Decode(rest)
		if block == nil {
			return found, nil
		}
		found = append(found, block.Bytes)
		rest = after
	}
}

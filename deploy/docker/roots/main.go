// Roots prints, as PEM, the certificate authorities that Mozilla trusts, as the
// Go project packs them. go.sum pins them: an image built twice trusts the same,
// and never an authority that only the machine it was built on knows.
package main

import (
	"bufio"
	"encoding/pem"
	"log"
	"os"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

func main() {
	out := bufio.NewWriter(os.Stdout)
	for root := range bundle.Roots() {
		// A root that Mozilla trusts only for some certificates, by their date,
		// cannot say so in PEM: it would be trusted for all.
		if root.Constraint != nil {
			continue
		}
		if err := pem.Encode(out, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}); err != nil {
			log.Fatal(err)
		}
	}
	if err := out.Flush(); err != nil {
		log.Fatal(err)
	}
}

// Command ocidecode writes the decoders of internal/ociconfig from the Go
// types of the OCI runtime specification.
//
// It is run by go generate in internal/ociconfig:
//
//	go run ../gen/ocidecode -o decode_gen.go
package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	out := flag.String("o", "decode_gen.go", "write the decoders to this `file`")
	flag.Parse()
	src, err := Generate()
	if err == nil {
		err = os.WriteFile(*out, src, 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "ocidecode:", err)
		os.Exit(1)
	}
}

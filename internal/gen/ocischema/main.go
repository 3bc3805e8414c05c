// Command ocischema writes the rules of internal/ocischema from the JSON
// schemas of the OCI runtime specification.
//
// It is run by go generate in internal/ocischema:
//
//	go run ../gen/ocischema -o rules_gen.go
package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	out := flag.String("o", "rules_gen.go", "write the rules to this `file`")
	flag.Parse()
	src, err := Generate()
	if err == nil {
		err = os.WriteFile(*out, src, 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "ocischema:", err)
		os.Exit(1)
	}
}

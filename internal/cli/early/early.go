// Package early runs the command line while the program is being initialised,
// before packages that only help and completion need are.
//
// The initialisation of urfave/cli and of what it imports (text/template,
// regexp, net/url) takes longer than tare needs for `state`. Go initialises
// packages in the order of their import paths, except that a package comes
// after those that it imports (The Go Programming Language Specification,
// "Program initialization"). github.com/tare-oci/… comes before
// github.com/urfave/…, and nothing that this package imports needs the latter;
// so a command that ends here never pays for them. TestOrder (package binary)
// proves it. Only main imports this package: it takes over whatever program it
// is linked into.
package early

import (
	"os"

	"github.com/tare-oci/tare/internal/cli"
	"github.com/tare-oci/tare/internal/entry"
)

// Help is what is left for package withsystemd to do or for main to print, and Code the exit code with which it
// then ends.
var (
	Help *cli.Help
	Code int
)

func init() {
	if entry.Added() {
		_ = os.Unsetenv(entry.Env) // not for hooks and other programs
	}
	if Code, Help = cli.Run(os.Args, nil); Help == nil {
		os.Exit(Code)
	}
}

package whole

import "embed"

// Of one machine only.
//
//go:embed all:bin/arm64
var files embed.FS

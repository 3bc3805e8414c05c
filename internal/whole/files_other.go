//go:build !amd64 && !arm64

package whole

import "embed"

var files embed.FS

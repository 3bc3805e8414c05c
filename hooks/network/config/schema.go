package config

import _ "embed"

// Schema is the JSON schema of a network file.
//
//go:embed schema.json
var Schema []byte

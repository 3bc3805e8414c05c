package record

import _ "embed"

// Schema is the JSON schema of a list of attachments.
//
//go:embed schema.json
var Schema []byte

// Package ociconfig decodes the JSON documents of the OCI runtime
// specification into the structs of specs-go, without reflection.
//
// Names of members are matched exactly. A null counts as a member that is not
// there. Of members with the same name the last one wins, whole. Members that
// the specification does not define are ignored, as config.md (section
// "Extensibility") asks, and can be listed. Of the sections for other systems
// (windows, solaris, vm, zos, freebsd) only the presence is kept.
package ociconfig

import (
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/tare-oci/tare/internal/field"
	"github.com/tare-oci/tare/internal/ojson"
)

//go:generate go run ../gen/ocidecode -o decode_gen.go

// DecodeSpec decodes a config.json. The list has every value of a wrong type
// and at most one syntax error; it is never nil. Unless it is empty, the spec
// holds only what could be read, and is good for finding more errors but not
// for running.
func DecodeSpec(data []byte) (*specs.Spec, *field.List) {
	return decode(data, nil, readSpec)
}

// DecodeSpecUnknown is DecodeSpec. It calls unknown, unless nil, with the path
// of each member that the specification does not define.
func DecodeSpecUnknown(data []byte, unknown func(path string)) (*specs.Spec, *field.List) {
	return decode(data, unknown, readSpec)
}

// DecodeProcess decodes the process object that exec takes from a file. Its
// result is as DecodeSpec's; paths begin at the process ("user.uid").
func DecodeProcess(data []byte) (*specs.Process, *field.List) {
	return decode(data, nil, readProcess)
}

// DecodeResourcesUnknown decodes the resources object that update takes from a file.
// Its result is as DecodeSpecUnknown's; paths begin at the resources ("memory.limit").
func DecodeResourcesUnknown(data []byte, unknown func(path string)) (*specs.LinuxResources, *field.List) {
	return decode(data, unknown, readLinuxResources)
}

func decode[T any](data []byte, unknown func(path string), read func(*ojson.Decoder) T) (*T, *field.List) {
	d := ojson.NewDecoder(data)
	d.OnUnknown(unknown)
	v := read(d)
	return &v, d.Finish()
}

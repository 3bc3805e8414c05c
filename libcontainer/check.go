//go:build !tare_front

package libcontainer

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/tare-oci/tare/internal/facts"
	"github.com/tare-oci/tare/internal/field"
	"github.com/tare-oci/tare/internal/ociconfig"
	"github.com/tare-oci/tare/internal/ocischema"
	"github.com/tare-oci/tare/internal/probe"
	"github.com/tare-oci/tare/internal/sys"
	"github.com/tare-oci/tare/specconv"
)

// The severities of findings.
const (
	SeverityError   = "error"   // Create would refuse the bundle, or fail
	SeverityWarning = "warning" // Create works, but not all of it is as the config says
	SeverityInfo    = "info"    // what is legal and probably a mistake
)

// Finding is one thing that Check has to say about a bundle.
type Finding struct {
	Severity string // one of the constants above
	Class    string // who can mend it: "config" or "host"
	Field    string // "mounts[2].options[0]"; empty for the document as a whole
	Value    string // as the config has it; empty when absent
	Reason   string
	Section  string // of the specification: "config.md#mounts"
}

// Check says everything that is wrong with a bundle, ordered by field, without
// changing anything. Only ID, Bundle, Config, Spec and the options about cgroups
// count. It is judged for this host and the caller's privileges. The error is
// for a config that cannot be read at all; one that is no JSON can, and has a
// finding.
func (r *Runtime) Check(o CreateOptions) ([]Finding, error) {
	f, systemd, err := r.facts(&o, probe.Want{LSM: true, Profile: true})
	if err != nil {
		return nil, err
	}
	if systemd != nil {
		systemd.Close()
	}
	spec, b := o.Spec, &findings{}
	var doc any
	if spec == nil {
		data, err := o.readConfig()
		if err != nil {
			return nil, err
		}
		var errs *field.List
		spec, errs = ociconfig.DecodeSpecUnknown(data, b.unknown)
		for _, e := range errs.All() {
			b.add(SeverityError, e)
		}
		d := json.NewDecoder(bytes.NewReader(data))
		d.UseNumber()
		if d.Decode(&doc) != nil || !json.Valid(data) {
			return b.sorted(), nil // what could not be read would only seem to be missing
		}
	}
	b.meaning(&o, spec, f)
	b.files(o.Bundle, spec)
	if doc != nil {
		for _, e := range ocischema.Check(doc) {
			if !b.blamed(e.Path) {
				e.Why += " (JSON schema)"
				b.add(SeverityWarning, e)
			}
		}
	}
	return b.sorted(), nil
}

func (o *CreateOptions) readConfig() ([]byte, error) {
	path := o.Config
	if path == "" {
		if err := checkBundle(o.Bundle); err != nil {
			return nil, err
		}
		path = o.Bundle + "/config.json"
	}
	data, err := sys.ReadFile(path, maxConfig)
	if err != nil {
		return nil, fmt.Errorf("JSON specification file: %w", err)
	}
	return data, nil
}

// findings grow from what is most certain to what may be a consequence of it.
type findings struct {
	list []Finding
	errs []string // the fields of errors
}

// add records an error of a field.
func (b *findings) add(severity string, e *field.Error) {
	b.addAs(severity, specconv.Section(e.Path), e)
}

// addAs takes what is not there yet.
func (b *findings) addAs(severity, section string, e *field.Error) {
	f := Finding{Severity: severity, Class: e.Class.String(), Field: e.Path, Value: e.Value, Reason: e.Why, Section: section}
	if slices.Contains(b.list, f) {
		return
	}
	b.list = append(b.list, f)
	if severity == SeverityError {
		b.errs = append(b.errs, e.Path)
	}
}

// blamed says that a field, or one that it is a part of, has an error already.
func (b *findings) blamed(path string) bool {
	for _, e := range b.errs {
		if rest, ok := strings.CutPrefix(path, e); ok && (e == "" || rest == "" || rest[0] == '.' || rest[0] == '[') {
			return true
		}
	}
	return false
}

// unknown is a member that the specification does not define. It is ignored, as
// the specification rules, which hides a typing error.
func (b *findings) unknown(path string) {
	why := "is not a field of the specification and is ignored"
	if near := ocischema.Near(path); near != "" {
		why += "; did you mean " + near + "?"
	}
	b.addAs(SeverityInfo, specconv.UnknownSection(), &field.Error{Path: path, Why: why})
}

// meaning compiles the config for this host. A value that could not be read is
// not blamed again for being empty.
func (b *findings) meaning(o *CreateOptions, spec *specs.Spec, f *facts.Facts) {
	unread := findings{errs: slices.Clone(b.errs)}
	errs, warnings := specconv.Check(specconv.Input{ID: o.ID, Bundle: o.Bundle, Spec: spec, Facts: f, Gate: true,
		SystemdCgroup: o.SystemdCgroup, NoCgroup: o.NoCgroup})
	for _, e := range errs {
		if !unread.blamed(e.Path) {
			b.add(SeverityError, e)
		}
	}
	for _, w := range warnings {
		b.add(SeverityWarning, w)
	}
}

// sorted orders by field, and the findings of one field by severity.
func (b *findings) sorted() []Finding {
	rank := []string{SeverityError, SeverityWarning, SeverityInfo}
	slices.SortStableFunc(b.list, func(x, y Finding) int {
		switch {
		case x.Field == y.Field:
			return slices.Index(rank, x.Severity) - slices.Index(rank, y.Severity)
		case field.Less(x.Field, y.Field):
			return -1
		}
		return 1
	})
	return b.list
}

package record

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// The schema has every member of the record and no other.
func TestSchemaHasAllMembers(t *testing.T) {
	var doc struct {
		Defs struct {
			Attachment struct {
				Properties map[string]json.RawMessage
				Required   []string
			}
		} `json:"$defs"`
	}
	if err := json.Unmarshal(Schema, &doc); err != nil {
		t.Fatal(err)
	}
	known := doc.Defs.Attachment.Properties
	typ := reflect.TypeFor[Attachment]()
	for i := range typ.NumField() {
		name, options, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
		if _, ok := known[name]; !ok {
			t.Errorf("the schema lacks %q", name)
		}
		delete(known, name)
		if always := options == ""; always != slices.Contains(doc.Defs.Attachment.Required, name) {
			t.Errorf("%q: required is not %t", name, always)
		}
	}
	for name := range known {
		t.Errorf("the record has no %q", name)
	}
}

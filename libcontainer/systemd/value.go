package systemd

import (
	"fmt"
	"reflect"
	"strconv"

	"github.com/godbus/dbus/v5"

	"github.com/tare-oci/tare/internal/gvariant"
)

// variant turns "Name=value" into what D-Bus carries.
func variant(text string) (string, dbus.Variant, error) {
	name, v, err := gvariant.ParseProperty(text)
	if err != nil {
		return name, dbus.Variant{}, fmt.Errorf("property %q: it %w", text, err)
	}
	out, err := goValue(&v)
	if err != nil {
		return name, dbus.Variant{}, fmt.Errorf("property %q: %w", text, err)
	}
	return name, out, nil
}

// goValue gives a value the Go type that the library encodes as its D-Bus type.
func goValue(v *gvariant.Value) (dbus.Variant, error) {
	sig, err := dbus.ParseSignature(v.Type)
	if err != nil {
		return dbus.Variant{}, err
	}
	t, _ := goType(v.Type)
	out := reflect.New(t).Elem()
	if err := fill(out, v); err != nil {
		return dbus.Variant{}, err
	}
	return dbus.MakeVariantWithSignature(out.Interface(), sig), nil
}

var basic = map[byte]reflect.Type{
	'b': reflect.TypeFor[bool](), 'y': reflect.TypeFor[byte](), 'n': reflect.TypeFor[int16](), 'q': reflect.TypeFor[uint16](),
	'i': reflect.TypeFor[int32](), 'u': reflect.TypeFor[uint32](), 'x': reflect.TypeFor[int64](), 't': reflect.TypeFor[uint64](),
	'd': reflect.TypeFor[float64](), 's': reflect.TypeFor[string](), 'o': reflect.TypeFor[dbus.ObjectPath](),
	'g': reflect.TypeFor[dbus.Signature](), 'v': reflect.TypeFor[dbus.Variant](),
}

// goType returns the type for the first complete type of a valid signature, and
// the rest of the signature.
func goType(sig string) (reflect.Type, string) {
	switch sig[0] {
	case 'a':
		if sig[1] == '{' {
			key, rest := goType(sig[2:])
			value, rest := goType(rest)
			return reflect.MapOf(key, value), rest[1:]
		}
		element, rest := goType(sig[1:])
		return reflect.SliceOf(element), rest
	case '(':
		var fields []reflect.StructField
		rest := sig[1:]
		for rest[0] != ')' {
			var t reflect.Type
			t, rest = goType(rest)
			fields = append(fields, reflect.StructField{Name: "F" + strconv.Itoa(len(fields)), Type: t})
		}
		return reflect.StructOf(fields), rest[1:]
	}
	return basic[sig[0]], sig[1:]
}

func fill(out reflect.Value, v *gvariant.Value) error {
	switch v.Type[0] {
	case 'b':
		out.SetBool(v.Bits != 0)
	case 'y', 'q', 'u', 't':
		out.SetUint(v.Bits)
	case 'n', 'i', 'x':
		out.SetInt(int64(v.Bits))
	case 'd':
		out.SetFloat(v.Float)
	case 's', 'o':
		out.SetString(v.Str)
	case 'g':
		sig, err := dbus.ParseSignature(v.Str)
		if err != nil {
			return err
		}
		out.Set(reflect.ValueOf(sig))
	case 'v':
		inner, err := goValue(&v.Items[0])
		if err != nil {
			return err
		}
		out.Set(reflect.ValueOf(inner))
	case '(':
		for i := range v.Items {
			if err := fill(out.Field(i), &v.Items[i]); err != nil {
				return err
			}
		}
	case 'a':
		return fillArray(out, v)
	}
	return nil
}

func fillArray(out reflect.Value, v *gvariant.Value) error {
	if out.Kind() == reflect.Map {
		out.Set(reflect.MakeMap(out.Type()))
	} else {
		out.Set(reflect.MakeSlice(out.Type(), len(v.Items), len(v.Items)))
	}
	for i := range v.Items {
		item := &v.Items[i]
		if out.Kind() != reflect.Map {
			if err := fill(out.Index(i), item); err != nil {
				return err
			}
			continue
		}
		key, value := reflect.New(out.Type().Key()).Elem(), reflect.New(out.Type().Elem()).Elem()
		if err := fill(key, &item.Items[0]); err != nil {
			return err
		}
		if err := fill(value, &item.Items[1]); err != nil {
			return err
		}
		out.SetMapIndex(key, value)
	}
	return nil
}

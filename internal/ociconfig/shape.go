package ociconfig

import "github.com/tare-oci/tare/internal/ojson"

// The functions below read the shapes that a field can have around a type for
// which the generated file has a reader.

// optional reads a value that is nil when it is not there.
func optional[T any](d *ojson.Decoder, read func(*ojson.Decoder) T) *T {
	if d.Null() {
		return nil
	}
	v := read(d)
	return &v
}

// present skips an object, but keeps whether it is there.
func present[T any](d *ojson.Decoder) *T {
	if d.Null() {
		return nil
	}
	d.SkipObject()
	return new(T)
}

// array reads an array. As with encoding/json, [] gives a slice that is empty
// but not nil.
func array[T any](d *ojson.Decoder, read func(*ojson.Decoder) T) []T {
	if !d.Array() {
		return nil
	}
	s := []T{}
	for d.Next() {
		if cap(s) == 0 {
			s = make([]T, 0, 4) // most arrays are longer than one
		}
		s = append(s, read(d))
	}
	return s
}

// table reads an object whose members the user names.
func table[T any](d *ojson.Decoder, read func(*ojson.Decoder) T) map[string]T {
	if !d.Object() {
		return nil
	}
	m := make(map[string]T)
	for d.Next() {
		key := d.Key() // before read moves on
		m[key] = read(d)
	}
	return m
}

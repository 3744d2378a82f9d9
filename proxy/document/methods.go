package document

import (
	"encoding"
	"encoding/json"
	"math/big"
	"net/netip"
	"reflect"
	"slices"
	"time"
)

// A methods says in which ways encoding/json may run code of the user for a value of a type. It is
// the result of a search in the type.
type methods struct {
	by   []reflect.Type // the interfaces whose methods encoding/json calls
	any  bool           // an interface may hold a value of any type, so it counts as code
	code bool           // found: such a method
	loop bool           // found: the type contains itself or raw JSON, so its JSON must be checked
	seen map[reflect.Type]bool
}

func unmarshalMethods(t reflect.Type) *methods {
	m := &methods{seen: map[reflect.Type]bool{}, by: unmarshalers}
	m.search(t, nil)
	return m
}

// anyMethods are those of a type that nobody has searched.
var anyMethods = &methods{by: unmarshalers, code: true}

// unmarshalers are the interfaces whose methods encoding/json calls to decode.
var unmarshalers = []reflect.Type{reflect.TypeFor[json.Unmarshaler](), reflect.TypeFor[encoding.TextUnmarshaler]()}

func marshalMethods(t reflect.Type) *methods {
	m := &methods{any: true, seen: map[reflect.Type]bool{},
		by: []reflect.Type{reflect.TypeFor[json.Marshaler](), reflect.TypeFor[encoding.TextMarshaler](),
			reflect.TypeFor[interface{ IsZero() bool }]()}}
	m.search(t, nil)
	return m
}

// known are types whose methods return, keep nothing of what they read, and write only what Parse
// accepts.
var known = []reflect.Type{reflect.TypeFor[Document](), reflect.TypeFor[time.Time](), reflect.TypeFor[big.Int](),
	reflect.TypeFor[netip.Addr](), reflect.TypeFor[netip.AddrPort](), reflect.TypeFor[netip.Prefix]()}

// has reports whether t itself has such a method.
func (m *methods) has(t reflect.Type) bool {
	return slices.ContainsFunc(m.by, func(i reflect.Type) bool { return t.Implements(i) || reflect.PointerTo(t).Implements(i) })
}

// search searches t. inside are the types around t.
func (m *methods) search(t reflect.Type, inside []reflect.Type) {
	switch {
	case slices.Contains(known, t):
		return
	case t == reflect.TypeFor[json.RawMessage](), slices.Contains(inside, t):
		m.loop = true
		return
	case m.seen[t]:
		return
	}
	m.seen[t] = true
	m.code = m.code || m.has(t)
	inside = append(inside, t)
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array:
		m.search(t.Elem(), inside)
	case reflect.Map:
		m.search(t.Key(), inside)
		m.search(t.Elem(), inside)
	case reflect.Struct:
		for i := range t.NumField() {
			if f := t.Field(i); (f.IsExported() || f.Anonymous) && f.Tag.Get("json") != "-" {
				m.search(f.Type, inside)
			}
		}
	case reflect.Interface:
		m.code = m.code || m.any
	}
}

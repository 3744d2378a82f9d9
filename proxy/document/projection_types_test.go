package document

import (
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// A generator makes types and documents of bytes, with few names, so that they meet. This test is
// inside of the package because DecoderOf takes a type at compile time only.
type generator struct {
	bytes   []byte
	structs []reflect.Type
}

func (g *generator) next(n int) int {
	if len(g.bytes) == 0 {
		return 0
	}
	b := int(g.bytes[0])
	g.bytes = g.bytes[1:]
	return b % n
}

var (
	goNames  = []string{"A", "B", "K", "S"}
	jsonTags = []string{"", "", "", "", "", "", "a", "a", "b", "b", "A", "k", "\u212a", "\u017f", "-", "-,", "b,omitempty", ",string", "a b"}
	keys     = []string{"A", "A", "a", "B", "B", "b", "K", "k", "\u212a", "S", "s", "\u017f", "-", "x", "a b"}
)

func (g *generator) typ(depth int) reflect.Type {
	if depth == 0 {
		return []reflect.Type{reflect.TypeFor[int](), reflect.TypeFor[string](), reflect.TypeFor[any]()}[g.next(3)]
	}
	switch g.next(8) {
	case 0:
		return g.typ(0)
	case 1:
		return reflect.SliceOf(g.typ(depth - 1))
	case 2:
		return reflect.MapOf(reflect.TypeFor[string](), g.typ(depth-1))
	case 3:
		return reflect.PointerTo(g.typ(depth - 1))
	case 4:
		return reflect.ArrayOf(2, g.typ(depth-1))
	}
	return g.structure(depth)
}

func (g *generator) structure(depth int) reflect.Type {
	if len(g.structs) > 0 && g.next(2) == 0 {
		return g.structs[g.next(len(g.structs))] // embedded in two places, perhaps
	}
	var fields []reflect.StructField
	names := slices.Clone(goNames)
	for range 1 + g.next(4) {
		i := g.next(len(names))
		f := reflect.StructField{Name: names[i]}
		names = slices.Delete(names, i, i+1)
		if depth > 0 && g.next(2) == 0 {
			f.Type, f.Anonymous = g.structure(depth-1), true
		} else {
			f.Type = g.typ(max(depth-1, 0))
		}
		if tag := jsonTags[g.next(len(jsonTags))]; tag != "" {
			f.Tag = reflect.StructTag(`json:` + strconv.Quote(tag))
		}
		fields = append(fields, f)
	}
	t := reflect.StructOf(fields)
	g.structs = append(g.structs, t)
	return t
}

func (g *generator) value(depth int) any {
	if depth == 0 {
		return []any{1, "1", nil, true}[g.next(4)]
	}
	switch g.next(6) {
	case 0:
		return g.value(0)
	case 1:
		list := []any{}
		for range g.next(4) {
			list = append(list, g.value(depth-1))
		}
		return list
	}
	object := map[string]any{}
	for range 1 + g.next(5) {
		object[keys[g.next(len(keys))]] = g.value(depth - 1)
	}
	return object
}

// piecewise decodes a document in pieces of a few bytes. Where encoding/json fails too, it may have
// decoded more.
func piecewise(t *testing.T, typ reflect.Type, text []byte) {
	t.Helper()
	got, want := reflect.New(typ), reflect.New(typ)
	p := pieces{b: text, size: 6, by: unmarshalMethods(typ)}
	gotErr, wantErr := p.decode(got.Interface()), json.Unmarshal(text, want.Interface())
	same := wantErr != nil || reflect.DeepEqual(got.Interface(), want.Interface())
	assert.True(t, same && (gotErr == nil) == (wantErr == nil), "%s, in pieces, into %v:\n%+v %v, want\n%+v %v", text, typ, got.Elem(), gotErr, want.Elem(), wantErr)
}

// projectsAlike decodes a document into a type, both made of bytes, with narrowing and without, and
// in pieces.
func projectsAlike(t *testing.T, b []byte) {
	t.Helper()
	g := &generator{bytes: b}
	typ := g.structure(3)
	text, err := json.Marshal(g.value(4))
	if err != nil {
		t.Fatal(err)
	}
	n := projectionOf(typ, unmarshalMethods(typ), map[reflect.Type]*projection{})
	narrowed, _ := n.append(new(clock), nil, text, 0, deepest)
	got, want := reflect.New(typ), reflect.New(typ)
	gotErr, wantErr := json.Unmarshal(narrowed, got.Interface()), json.Unmarshal(text, want.Interface())
	same := reflect.DeepEqual(got.Interface(), want.Interface()) && (gotErr == nil) == (wantErr == nil)
	assert.True(t, same, "%s, narrowed to %s, into %v:\n%+v %v, want\n%+v %v", text, narrowed, typ, got.Elem(), gotErr, want.Elem(), wantErr)
	piecewise(t, typ, text)
	more, err := json.Marshal(g.value(4))
	if err == nil && text[0] == '{' && more[0] == '{' { // names twice
		piecewise(t, typ, slices.Concat(text[:len(text)-1], []byte{','}, more[1:]))
	}
}

func TestADecoderOfAnyTypeDecodesAsEncodingJSONDoes(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for range 5_000 {
		b := make([]byte, 300)
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		if projectsAlike(t, b); t.Failed() {
			return
		}
	}
}

func FuzzDecoderTypes(f *testing.F) {
	for _, b := range []string{"\x05\x01\x01\x00", "\x07\x02\x01\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09", strings.Repeat("\x06\x05\x01\x00\x03", 20)} {
		f.Add([]byte(b))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) <= 400 {
			projectsAlike(t, b)
		}
	})
}

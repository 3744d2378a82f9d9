package document_test

import (
	"bytes"
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/sluice-go/sluice/proxy/document"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// proves F8
func TestNaughtyStringsAsNamesAndValues(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("testdata/blns/blns.json")
	require.NoError(t, err)
	var strs []string
	require.NoError(t, json.Unmarshal(b, &strs))
	require.Len(t, strs, 515)
	for i, s := range strs {
		value, err := document.Of(s)
		require.NoError(t, err)
		text, ok := value.Text()
		assert.True(t, ok)
		assert.Equal(t, s, text)

		path := document.PathOf(s)
		escaped, err := document.ParsePath(path.String())
		require.NoError(t, err, "%q", s)
		assert.Equal(t, path, escaped)

		other := parse(t, `{"other":{"name":0}}`).Rename(document.MustPath("other.name"), s)
		merged, err := document.Merge(0, value.Wrap(s), other, parse(t, `{"last":1}`))
		require.NoError(t, err)
		again := parse(t, merged.String())
		for _, d := range []document.Document{merged, again} {
			got, _ := d.Get(escaped).Text()
			assert.Equal(t, s, got, "string %d", i)
			assert.Equal(t, "0", d.Get(document.PathOf("other", s)).String(), "string %d", i)
			assert.True(t, d.Drop(document.PathsOf(path)).Get(path).IsZero(), "string %d", i)
			assert.Equal(t, 1, d.Keep(document.PathsOf(escaped)).Len(), "string %d", i)
		}
		assert.Equal(t, decode(t, []byte(merged.String())), valueOf(merged))
	}
}

// FuzzOps compares every operation with the same operation on what encoding/json reads.
func FuzzOps(f *testing.F) {
	f.Add([]byte(`{"a":{"b":[1,{"c":2}]},"\u0064":"e","f":3}`), "a.b.*.c", "d", "f")
	f.Add([]byte(` [ { "a" : 1 , "b" : { } } , [ ] , null ] `), "*.a", "0.b", "x")
	f.Add([]byte(`{"a":1,"b":2,"a":{"b":3}}`), "a.b", "*", "b")
	f.Add([]byte(`{"secret":1,"s\u0065cret":2}`), "secret", "x.secret", "\xff")
	f.Fuzz(func(t *testing.T, in []byte, first, second, name string) {
		d, err := document.Parse(bytes.Clone(in))
		p, err1 := document.ParsePath(first)
		q, err2 := document.ParsePath(second)
		if err != nil || err1 != nil || err2 != nil || depthOf(in) > 400 {
			return
		}
		source := d.String()
		paths := document.PathsOf(p, q)
		tree := decode(t, in)
		unique := !repeatsName(d)
		valid := func(o document.Document) any {
			if o.IsZero() {
				return nil
			}
			parsed, err := document.Parse([]byte(o.String()))
			if err != nil {
				t.Fatalf("%q: %v", o, err)
			}
			assert.Equal(t, len(o.String()), o.Size())
			return valueOf(parsed)
		}

		kept, dropped := valid(d.Keep(paths)), valid(d.Drop(paths))
		if unique {
			want, _ := filtered(tree, true, steps(p), steps(q))
			assert.Equal(t, want, kept)
			want, _ = filtered(tree, false, steps(p), steps(q))
			assert.Equal(t, want, dropped)
		}
		if gone := d.Drop(document.PathsOf(p)).Get(p); !hasIndex(p) && !gone.IsZero() && gone.String() != "[]" {
			t.Fatalf("%q dropped from %q leaves %q", first, in, gone)
		}

		renamed := valid(d.Rename(p, name))
		if unique && !strings.HasSuffix(p.String(), "*") {
			assert.Equal(t, renamedIn(decode(t, in), steps(p), strings.ToValidUTF8(name, "\uFFFD")), renamed)
		}

		if set, err := d.Set(p, d); err == nil {
			valid(set)
			if got := set.Get(p); !strings.Contains(p.String(), "*") {
				assert.Equal(t, source, got.String())
			}
		}
		valid(d.Wrap(name))
		assert.Equal(t, source, d.String())
	})
}

// steps splits a path at its dots, and resolves the escaped ones.
func steps(p document.Path) []string {
	var all []string
	var one strings.Builder
	for text := p.String(); text != ""; text = text[1:] {
		switch {
		case text[0] == '.':
			all = append(all, one.String())
			one.Reset()
			continue
		case strings.HasPrefix(text, `\.`):
			text = text[1:]
		case text[0] == '\\' && len(text) > 1:
			one.WriteByte(text[0])
			text = text[1:]
		}
		one.WriteByte(text[0])
	}
	return append(all, one.String())
}

// literal is what a step of [steps] says.
func literal(step string) string {
	switch step {
	case `\e`:
		return ""
	case `\*`:
		return "*"
	}
	return strings.ReplaceAll(step, `\\`, `\`)
}

func hasIndex(p document.Path) bool {
	for _, s := range steps(p) {
		if _, err := strconv.Atoi(s); err == nil {
			return true
		}
	}
	return false
}

func repeatsName(d document.Document) bool {
	seen := map[string]bool{}
	for name, v := range d.Members() {
		if seen[name] || repeatsName(v) {
			return true
		}
		seen[name] = true
	}
	for _, v := range d.Elements() {
		if repeatsName(v) {
			return true
		}
	}
	return false
}

// filtered is Keep or Drop on a tree; ok reports whether something stays.
func filtered(v any, keep bool, paths ...[]string) (result any, ok bool) {
	if len(paths) == 0 {
		return v, !keep
	}
	below := func(name string) (next [][]string) {
		for _, p := range paths {
			if p[0] == "*" || literal(p[0]) == name {
				next = append(next, p[1:])
			}
		}
		return next
	}
	for _, p := range paths {
		if len(p) == 0 {
			return v, keep
		}
	}
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for name, e := range v {
			if r, ok := filtered(e, keep, below(name)...); ok {
				out[name] = r
			}
		}
		return out, true
	case []any:
		out := []any{}
		for i, e := range v {
			if r, ok := filtered(e, keep, below(strconv.Itoa(i))...); ok {
				out = append(out, r)
			}
		}
		return out, true
	}
	if keep {
		return nil, false
	}
	return v, true
}

func renamedIn(v any, path []string, to string) any {
	switch v := v.(type) {
	case map[string]any:
		for name, e := range v {
			if len(path) > 1 && (path[0] == "*" || literal(path[0]) == name) {
				v[name] = renamedIn(e, path[1:], to)
			}
		}
		if e, ok := v[literal(path[0])]; ok && len(path) == 1 {
			delete(v, literal(path[0]))
			v[to] = e
		}
	case []any:
		for i, e := range v {
			if len(path) > 1 && (path[0] == "*" || path[0] == strconv.Itoa(i)) {
				v[i] = renamedIn(e, path[1:], to)
			}
		}
	}
	return v
}

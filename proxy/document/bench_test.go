package document_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/sluice-go/sluice/proxy/document"
)

// payload returns an object of about 20 KB; members of payloads with another prefix have other
// names.
func payload(shape, prefix string) []byte {
	var v any
	switch shape {
	case "records": // what an API answers: a few members, most of it in a list
		type record struct {
			ID      string            `json:"id"`
			Name    string            `json:"name"`
			Email   string            `json:"email"`
			Price   float64           `json:"price"`
			Count   int               `json:"count"`
			Active  bool              `json:"active"`
			Address map[string]string `json:"address"`
			Tags    []string          `json:"tags"`
			Parent  *int              `json:"parent"`
		}
		var items []record
		for i := range 72 {
			items = append(items, record{fmt.Sprintf("%s-%08d", prefix, i*7919), fmt.Sprintf("Customer number %d", i), fmt.Sprintf("c%d@example.com", i), float64(i) * 12.37, i, i%2 == 0,
				map[string]string{"street": "12 Long Street", "city": "Springfield", "zip": "12345"}, []string{"new", "eu", "b2b"}, nil})
		}
		v = map[string]any{prefix + "Items": items, prefix + "Total": 72, prefix + "Next": "/items?page=2", prefix + "Page": 1}
	case "flat": // many members at the root
		m := map[string]any{}
		for i := range 400 {
			m[fmt.Sprintf("%sMember%d", prefix, i)] = fmt.Sprintf("value of member %d is %d", i, i*i)
		}
		v = m
	case "text":
		m := map[string]any{}
		for i := range 20 {
			m[fmt.Sprintf("%s%d", prefix, i)] = strings.Repeat("The quick brown fox jumps over the lazy dog. ", 22)
		}
		v = m
	case "numbers":
		var list []float64
		for i := range 2200 {
			list = append(list, float64(i)*1.2345)
		}
		v = map[string]any{prefix + "list": list}
	case "unicode":
		m := map[string]any{}
		for i := range 20 {
			m[fmt.Sprintf("%s%d", prefix, i)] = strings.Repeat("すばやい茶色の狐 прыгает über ", 15)
		}
		v = m
	}
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

func pretty(b []byte) []byte {
	var out bytes.Buffer
	_ = json.Indent(&out, b, "", "  ")
	return out.Bytes()
}

func BenchmarkParse(b *testing.B) {
	inputs := []struct {
		name string
		in   []byte
	}{
		{"records", payload("records", "user")},
		{"pretty", pretty(payload("records", "user"))},
		{"flat", payload("flat", "user")},
		{"text", payload("text", "user")},
		{"numbers", payload("numbers", "user")},
		{"unicode", payload("unicode", "user")},
	}
	for _, in := range inputs {
		b.Run(in.name+"/document", func(b *testing.B) {
			b.SetBytes(int64(len(in.in)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := document.Parse(in.in); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(in.name+"/json.Valid", func(b *testing.B) {
			b.SetBytes(int64(len(in.in)))
			b.ReportAllocs()
			for b.Loop() {
				if !json.Valid(in.in) {
					b.Fatal("invalid")
				}
			}
		})
		b.Run(in.name+"/json.Unmarshal", func(b *testing.B) {
			b.SetBytes(int64(len(in.in)))
			b.ReportAllocs()
			for b.Loop() {
				var m map[string]json.RawMessage
				if err := json.Unmarshal(in.in, &m); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkMerge measures an aggregate of three answers, from their bytes to the bytes of the
// result.
func BenchmarkMerge(b *testing.B) {
	for _, shape := range []string{"records", "flat"} {
		parts := [][]byte{payload(shape, "user"), payload(shape, "orders"), payload(shape, "recs")}
		names := []string{"user", "orders", "recs"}
		keep := document.MustPaths("*.*.id", "*.*.address.city")
		size := int64(len(parts[0]) + len(parts[1]) + len(parts[2]))
		run := func(name string, f func() []byte) {
			b.Run(shape+"/"+name, func(b *testing.B) {
				b.SetBytes(size)
				b.ReportAllocs()
				for b.Loop() {
					if len(f()) == 0 {
						b.Fatal("empty")
					}
				}
			})
		}
		out := make([]byte, 0, 2*size)
		run("flat/document", func() []byte {
			return documentMerge(out, parts, func(_ int, d document.Document) document.Document { return d })
		})
		run("flat/peer", func() []byte { return peerMerge(parts, nil) })
		run("grouped/document", func() []byte {
			return documentMerge(out, parts, func(i int, d document.Document) document.Document { return d.Wrap(names[i]) })
		})
		run("grouped/peer", func() []byte { return peerMerge(parts, names) })
		run("kept/document", func() []byte {
			return documentMerge(out, parts, func(i int, d document.Document) document.Document { return d.Keep(keep).Wrap(names[i]) })
		})
		run("kept/peer", func() []byte { return peerKeep(parts, names) })
	}
}

func documentMerge(out []byte, parts [][]byte, shape func(int, document.Document) document.Document) []byte {
	ds := make([]document.Document, len(parts))
	for i, p := range parts {
		d, err := document.Parse(p)
		if err != nil {
			panic(err)
		}
		ds[i] = shape(i, d)
	}
	d, err := document.Merge(0, ds...)
	if err != nil {
		panic(err)
	}
	return d.AppendJSON(out)
}

// peerMerge is the merge that one writes by hand with encoding/json.
func peerMerge(parts [][]byte, names []string) []byte {
	merged := map[string]json.RawMessage{}
	for i, p := range parts {
		var m map[string]json.RawMessage
		if err := json.Unmarshal(p, &m); err != nil {
			panic(err)
		}
		if names != nil {
			merged[names[i]] = p
			continue
		}
		for name, v := range m {
			merged[name] = v
		}
	}
	b, err := json.Marshal(merged)
	if err != nil {
		panic(err)
	}
	return b
}

// peerKeep keeps two fields of every record.
func peerKeep(parts [][]byte, names []string) []byte {
	type record struct {
		ID      string `json:"id"`
		Address struct {
			City string `json:"city"`
		} `json:"address"`
	}
	merged := map[string]map[string][]record{}
	for i, p := range parts {
		var m map[string]json.RawMessage
		if err := json.Unmarshal(p, &m); err != nil {
			panic(err)
		}
		merged[names[i]] = map[string][]record{}
		for name, v := range m {
			var list []record
			if json.Unmarshal(v, &list) == nil {
				merged[names[i]][name] = list
			}
		}
	}
	b, err := json.Marshal(merged)
	if err != nil {
		panic(err)
	}
	return b
}

// BenchmarkKeep measures Keep and Drop of a parsed document.
func BenchmarkKeep(b *testing.B) {
	d, err := document.Parse(payload("records", "user"))
	if err != nil {
		b.Fatal(err)
	}
	paths := document.MustPaths("*.*.id", "*.*.address.city")
	for _, op := range []struct {
		name string
		run  func(document.Paths) document.Document
	}{{"keep", d.Keep}, {"drop", d.Drop}} {
		b.Run(op.name, func(b *testing.B) {
			b.SetBytes(int64(d.Size()))
			b.ReportAllocs()
			for b.Loop() {
				if op.run(paths).IsZero() {
					b.Fatal("absent")
				}
			}
		})
	}
}

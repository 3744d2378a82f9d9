package yaml_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	goyaml "go.yaml.in/yaml/v3"

	"github.com/sluice-go/sluice/endpoint/yaml"
)

// BenchmarkEncode is a document of 20 KB as YAML. Its peer decodes the JSON and has it written by
// go.yaml.in/yaml.
func BenchmarkEncode(b *testing.B) {
	var list strings.Builder
	for i := range 72 {
		fmt.Fprintf(&list, `,{"id":"user-%08d","name":"Customer \"number\" %d","price":%d.37,"active":true,"address":{"street":"12 Long Street",`+
			`"city":"Springfield","zip":"12345"},"tags":["new","eu","b2b"],"parent":null,"größe":"über & unter"}`, i*7919, i, i*12)
	}
	for name, text := range map[string]string{
		"records": `{"items":[` + list.String()[1:] + `],"total":72,"next":"/items?page=2"}`,
		"deep":    strings.Repeat(`{"a":[`, 200) + `"x"` + strings.Repeat("]}", 200),
		"text":    `{"text":"` + strings.Repeat("The quick brown fox jumps over the lazy dog. ", 450) + `"}`,
	} {
		d := documentOf(b, text)
		run := func(kind string, encode func(out []byte) ([]byte, error)) {
			b.Run(name+"/"+kind, func(b *testing.B) {
				b.SetBytes(int64(d.Size()))
				b.ReportAllocs()
				var out []byte
				for b.Loop() {
					var err error
					if out, err = encode(out[:0]); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
		run("encoder", func(out []byte) ([]byte, error) { return yaml.Encoder{}.Encode(out, d) })
		run("peer", func([]byte) ([]byte, error) {
			var v any
			if err := json.Unmarshal([]byte(text), &v); err != nil {
				return nil, err
			}
			return goyaml.Marshal(v)
		})
	}
}

package endpoint_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sluice-go/sluice/endpoint"
)

// BenchmarkXML is a document of 20 KB as XML. Its peer, JSON, is a copy of the bytes.
func BenchmarkXML(b *testing.B) {
	var list strings.Builder
	for i := range 72 {
		fmt.Fprintf(&list, `,{"@id":"user-%08d","name":"Customer \"number\" %d","price":%d.37,"active":true,"address":{"street":"12 Long Street",`+
			`"city":"Springfield","zip":"12345"},"tags":["new","eu","b2b"],"parent":null,"größe":"über & unter"}`, i*7919, i, i*12)
	}
	for name, text := range map[string]string{
		"records": `{"items":[` + list.String()[1:] + `],"total":72,"next":"/items?page=2"}`,
		"deep":    strings.Repeat(`{"a":[`, 200) + `"x"` + strings.Repeat("]}", 200),
		"text":    `{"text":"` + strings.Repeat("The quick brown fox jumps over the lazy dog. ", 450) + `"}`,
	} {
		d := documentOf(text)
		for _, format := range []endpoint.Format{endpoint.XML, endpoint.JSON} {
			b.Run(name+"/"+format.String(), func(b *testing.B) {
				b.SetBytes(int64(d.Size()))
				b.ReportAllocs()
				var out []byte
				for b.Loop() {
					var err error
					if out, err = format.Encode(out[:0], d); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

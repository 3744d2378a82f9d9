package shape_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/sluice-go/sluice/proxy/document"
	"github.com/sluice-go/sluice/proxy/shape"
)

// records is a page of about 20 KB: a list of records, as an API answers it.
func records() []byte {
	var list []string
	for i := range 72 {
		list = append(list, fmt.Sprintf(`{"sku":"c-%08d","name":"Customer number %d","email":"c%d@example.com","price":%d.25,"active":true,`+
			`"address":{"street":"12 Long Street","city":"Springfield","zip":"12345"},"tags":["new","eu","b2b"],"parent":null}`, i*7919, i, i, i*12))
	}
	return []byte(`{"items":[` + strings.Join(list, ",") + `],"extra":[{"sku":"x"}],"currency":"EUR","total":72}`)
}

// BenchmarkArrays measures each op from bytes to bytes, beside the same with encoding/json: decode,
// edit, encode.
func BenchmarkArrays(b *testing.B) {
	page := records()
	items := func(v map[string]any) []any { return v["items"].([]any) }
	for _, bb := range []struct {
		name string
		op   shape.Op
		edit func(v map[string]any)
	}{
		{"move in each", shape.Move("items.*.sku", "items.*.id"), func(v map[string]any) {
			for _, e := range items(v) {
				item := e.(map[string]any)
				item["id"] = item["sku"]
				delete(item, "sku")
			}
		}},
		{"copy in each", shape.Copy("items.*.sku", "items.*.id"), func(v map[string]any) {
			for _, e := range items(v) {
				item := e.(map[string]any)
				item["id"] = item["sku"]
			}
		}},
		{"move all out", shape.Move("items.*.sku", "skus"), func(v map[string]any) {
			skus := []any{}
			for _, e := range items(v) {
				skus = append(skus, e.(map[string]any)["sku"])
				delete(e.(map[string]any), "sku")
			}
			v["skus"] = skus
		}},
		{"copy all out", shape.Copy("items.*.sku", "skus"), func(v map[string]any) {
			skus := []any{}
			for _, e := range items(v) {
				skus = append(skus, e.(map[string]any)["sku"])
			}
			v["skus"] = skus
		}},
		{"append", shape.Append("extra", "items"), func(v map[string]any) {
			v["items"] = append(items(v), v["extra"].([]any)...)
		}},
		{"set in each", shape.Set("items.*.currency", "EUR"), func(v map[string]any) {
			for _, e := range items(v) {
				e.(map[string]any)["currency"] = "EUR"
			}
		}},
		{"delete in each", shape.Delete("items.*.tags"), func(v map[string]any) {
			for _, e := range items(v) {
				delete(e.(map[string]any), "tags")
			}
		}},
	} {
		b.Run(bb.name+"/shape", func(b *testing.B) {
			ctx, out := b.Context(), make([]byte, 0, 2*len(page))
			b.SetBytes(int64(len(page)))
			b.ReportAllocs()
			for b.Loop() {
				d, err := document.Parse(page)
				if err == nil {
					d, err = bb.op(ctx, d)
				}
				if out = d.AppendJSON(out[:0]); err != nil || len(out) == 0 {
					b.Fatal(err)
				}
			}
		})
		b.Run(bb.name+"/encoding_json", func(b *testing.B) {
			b.SetBytes(int64(len(page)))
			b.ReportAllocs()
			for b.Loop() {
				var v map[string]any
				if err := json.Unmarshal(page, &v); err != nil {
					b.Fatal(err)
				}
				bb.edit(v)
				if _, err := json.Marshal(v); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

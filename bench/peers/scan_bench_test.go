package peers

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/sluice-go/sluice/proxy/document"
)

// BenchmarkScan measures the check that a text is JSON. The peers say only yes or no; sluice also finds
// the members of the root, and refuses invalid UTF-8, as jsontext does and json.Valid does not. jsontext
// looks for repeated names too, unless it is told to let them pass.
func BenchmarkScan(b *testing.B) {
	inputs := []struct {
		name string
		text string
	}{
		{"mixed-20KB", records(72)},
		{"mixed-1KB", records(4)},
		{"small-200B", `{"id":"user-00007919","name":"Customer number 1","email":"c1@example.com","active":true,"count":17,"address":{"street":"12 Long Street","city":"Springfield","zip":"12345"},"tags":["new","eu"]}`},
		{"small-1KB", manySmall(5)},
		{"strings", `["` + strings.Repeat(strings.Repeat("The quick brown fox jumps over the lazy dog. ", 10)+`","`, 44) + `"]`},
		{"short-strings", `["` + strings.Repeat(`The quick brown fox","jumps","over the lazy","dog, twice and once more","`, 280) + `"]`},
		{"numbers", numbers(2200)},
	}
	for _, in := range inputs {
		text := []byte(in.text)
		run := func(name string, f func() bool) {
			b.Run(in.name+"/"+name, func(b *testing.B) {
				b.SetBytes(int64(len(text)))
				measure(b, func() {
					if !f() {
						b.Fatal("invalid")
					}
				})
			})
		}
		run("document", func() bool { _, err := document.Parse(text); return err == nil })
		run("jsontext", func() bool { return jsontext.Value(text).IsValid() })
		run("jsontext-repeats", func() bool { return jsontext.Value(text).IsValid(jsontext.AllowDuplicateNames(true)) })
		run("json.Valid", func() bool { return json.Valid(text) })
	}
}

// records returns what an API answers: a few members, most of it in a list.
func records(n int) string {
	var items []string
	for i := range n {
		items = append(items, fmt.Sprintf(`{"id":"user-%08d","name":"Customer number %d","email":"c%d@example.com","price":%.2f,"count":%d,"active":%t,`+
			`"address":{"city":"Springfield","street":"12 Long Street","zip":"12345"},"tags":["new","eu","b2b"],"parent":null}`,
			i*7919, i, i, float64(i)*12.37, i, i%2 == 0))
	}
	return `{"userItems":[` + strings.Join(items, ",") + `],"userNext":"/items?page=2","userPage":1,"userTotal":72}`
}

// manySmall returns a root of small objects.
func manySmall(n int) string {
	var members []string
	for i := range n {
		members = append(members, fmt.Sprintf(`"member%d":{"id":%d,"price":{"amount":%d.99,"currency":"EUR"},"stock":{"left":%d,"sold":%t},"seller":{"name":"Shop %d","rating":4.%d},"tags":[{"id":1},{"id":2}],"sku":"A-%05d"}`,
			i, i*7919, i, i*3, i%2 == 0, i, i, i))
	}
	return "{" + strings.Join(members, ",") + "}"
}

// numbers returns a list of numbers with a fraction.
func numbers(n int) string {
	var list []float64
	for i := range n {
		list = append(list, float64(i)*1.2345)
	}
	b, _ := json.Marshal(map[string]any{"list": list})
	return string(b)
}

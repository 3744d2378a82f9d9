package jsonschema_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	santhosh "github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/endpoint/jsonschema"
	"github.com/sluice-go/sluice/proxy"
)

const orderSchema = `{
	"$schema": "https://json-schema.org/draft/2020-12/schema",
	"type": "object",
	"properties": {
		"id": {"type": "string", "minLength": 1, "maxLength": 40},
		"customer": {"$ref": "#/$defs/customer"},
		"items": {"type": "array", "minItems": 1, "maxItems": 100, "items": {"$ref": "#/$defs/item"}},
		"note": {"type": "string", "maxLength": 500}
	},
	"required": ["id", "customer", "items"],
	"additionalProperties": false,
	"$defs": {
		"customer": {
			"type": "object",
			"properties": {"name": {"type": "string"}, "country": {"enum": ["DE", "FR", "SE"]}, "vip": {"type": "boolean"}},
			"required": ["name"]
		},
		"item": {
			"type": "object",
			"properties": {
				"sku": {"type": "string", "pattern": "^[A-Z]{3}-[0-9]{1,6}$"},
				"quantity": {"type": "integer", "minimum": 1, "maximum": 100},
				"price": {"type": "number", "exclusiveMinimum": 0, "maximum": 100000},
				"tags": {"type": "array", "items": {"type": "string"}, "uniqueItems": true}
			},
			"required": ["sku", "quantity"],
			"additionalProperties": false
		}
	}
}`

// orderBody returns a body of about 3 KB that fits.
func orderBody() string {
	var items []string
	for i := range 36 {
		items = append(items, fmt.Sprintf(`{"sku":"ABC-%d","quantity":%d,"price":%d.95,"tags":["new","red"]}`, i, i+1, i+3))
	}
	return `{"id":"7f3a","customer":{"name":"Ada","country":"DE","vip":true},"items":[` + strings.Join(items, ",") + `],"note":"` +
		strings.Repeat("leave it at the door ", 12) + `"}`
}

// BenchmarkBody validates a valid body of 3 KB: with Body, where the request is made anew each time and
// parses its body, and as a program would that uses the compiler's own Validate.
func BenchmarkBody(b *testing.B) {
	body := []byte(orderBody())
	b.Logf("%d bytes", len(body))
	b.Run("sluice", func(b *testing.B) {
		answered := &proxy.Response{}
		upstream := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) { return answered, nil })
		p := upstream.With(jsonschema.Body(compiled(b, orderSchema)))
		ctx := context.Background()
		b.ReportAllocs()
		for b.Loop() {
			req := &proxy.Request{}
			req.SetBody("", body)
			if _, err := p(ctx, req); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("santhosh", func(b *testing.B) {
		c := santhosh.NewCompiler()
		parsed, err := santhosh.UnmarshalJSON(strings.NewReader(orderSchema))
		require.NoError(b, err)
		require.NoError(b, c.AddResource("schema.json", parsed))
		schema := c.MustCompile("schema.json")
		b.ReportAllocs()
		for b.Loop() {
			v, err := santhosh.UnmarshalJSON(bytes.NewReader(body))
			if err == nil {
				err = schema.Validate(v)
			}
			if err != nil {
				b.Fatal(err)
			}
		}
	})
}

package jsonschema_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/sluice-go/sluice/endpoint/check"
	"github.com/sluice-go/sluice/endpoint/jsonschema"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
)

func ExampleBody() {
	order, err := jsonschema.New(jsonschema.Spec{Name: "order", Text: `{
		"type": "object",
		"properties": {
			"sku": {"type": "string", "pattern": "^[A-Z]{3}-[0-9]{1,6}$"},
			"quantity": {"type": "integer", "minimum": 1, "maximum": 100}
		},
		"required": ["sku", "quantity"],
		"additionalProperties": false
	}`})
	if err != nil {
		fmt.Println(err)
		return
	}
	create := pipe.NamedPipe("orders", func(context.Context, *proxy.Request) (*proxy.Response, error) {
		return &proxy.Response{Status: 201}, nil
	}).With(check.ContentType("application/json"), jsonschema.Body(order))

	for _, body := range []string{
		`{"sku":"ABC-1","quantity":2}`,
		`{"sku":"ABC-1","quantity":200,"admin":true}`,
		`{"sku":"ABC-1","quantity":2,"quantity":200}`,
	} {
		req := proxy.NewRequest("POST", "/orders")
		req.SetBody("application/json", []byte(body))
		res, err := create(context.Background(), req)
		if e, ok := errors.AsType[*proxy.Error](err); ok {
			fmt.Println(e.Status, e.Members)
			continue
		}
		fmt.Println(res.Status)
	}
	fmt.Print(pipe.PlanOf(create))
	// Output:
	// 201
	// 400 {"detail":"the body does not fit its schema","errors":[{"pointer":"/quantity","keyword":"maximum","schema":"#/properties/quantity/maximum"},{"pointer":"/*","keyword":"additionalProperties","schema":"#/additionalProperties"}]}
	// 400 {"detail":"an object in the body repeats a name"}
	// → check content type (application/json)
	//   → jsonschema order (2020-12)
	//     ↔ orders
}

// A value that is no request, such as a message, is validated by itself.
func ExampleSchema_Validate() {
	schema, err := jsonschema.New(jsonschema.Spec{
		Text:      `{"type": "array", "items": {"$ref": "https://example.com/item.json"}}`,
		Resources: map[string]string{"https://example.com/item.json": `{"type": "object", "required": ["id"]}`},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	message, err := document.Parse([]byte(`[{"id":1},{}]`))
	if err != nil {
		fmt.Println(err)
		return
	}
	err = schema.Validate(context.Background(), message)
	fmt.Println(err)
	if invalid, ok := errors.AsType[*jsonschema.Invalid](err); ok {
		fmt.Println(invalid.Locations[0].Schema)
	}
	// Output:
	// the body does not fit its schema: "/1" fails required ("id")
	// https://example.com/item.json#/required
}

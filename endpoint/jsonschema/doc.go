// Package jsonschema refuses request bodies that do not fit a JSON Schema:
//
//	schema, err := jsonschema.New(jsonschema.Spec{Text: `{
//		"type": "object",
//		"properties": {"sku": {"type": "string", "pattern": "^[A-Z]{3}-[0-9]{1,6}$"}, "quantity": {"type": "integer", "minimum": 1}},
//		"required": ["sku", "quantity"],
//		"additionalProperties": false
//	}`})
//	…
//	create := orders.With(check.ContentType("application/json"), jsonschema.Body(schema))
//
// It knows drafts 7, 2019-09 and 2020-12. github.com/santhosh-tekuri/jsonschema compiles a schema: it
// checks it, and finds what its references and anchors mean. The schema is applied by code of this
// package, to the text of the body, for three reasons: that ends when the context of a call does, keeps
// nothing for each fault, and computes with no number that takes long.
//
// # What a client is told
//
//	"detail":"the body does not fit its schema",
//	"errors":[
//		{"pointer":"/items/3/sku","keyword":"pattern","schema":"#/properties/items/items/properties/sku/pattern"},
//		{"pointer":"","keyword":"required","schema":"#/required","name":"quantity"},
//		{"pointer":"/*","keyword":"additionalProperties","schema":"#/additionalProperties"}
//	]
//
// These are the first 16 places at most: where the value is in the body (RFC 6901), the keyword that it
// fails, and where that is in the schema. Nothing in them is the client's: a name in the pointer that
// the schema does not mention is a star. Of anyOf, oneOf, not and contains only the keyword itself is
// told, and not what its branches lack.
//
// # What is refused whatever the schema says
//
//   - An object that repeats a name, at any depth: what is checked might not be what the upstream reads
//     ([ErrRepeated]).
//   - A number of more than 400 digits or with an exponent beyond ±400, anywhere ([ErrNumber]).
//   - A text, or a name, of more than 4096 bytes where a pattern or a format is to be matched
//     ([ErrText]).
//
// # What a schema may not be
//
// New refuses a schema that refers to what its Spec does not have: nothing is fetched, and no file is
// read. It refuses one that refers to itself without going into the value, which never ends, and one
// that costs exponential time; see Spec.Branching.
package jsonschema

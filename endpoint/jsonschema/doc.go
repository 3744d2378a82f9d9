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
// It supports drafts 7, 2019-09 and 2020-12. github.com/santhosh-tekuri/jsonschema compiles a schema: it
// checks the schema, and resolves its references and anchors. The code of this package applies the schema
// to the text of the body, for three reasons: this code stops when the context of a call ends, keeps
// nothing for each fault, and does not compute with numbers that take long.
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
// These are the first 16 locations at most: where the value is in the body (RFC 6901), the keyword that it
// fails, and where the keyword is in the schema. They contain nothing that the client has sent: a name in
// the pointer that the schema does not mention is shown as a star. For anyOf, oneOf, not and contains, only
// the keyword itself is named, not the faults in its branches.
//
// # What is refused whatever the schema says
//
//   - An object that repeats a name, at any depth, because what is checked might not be what the
//     upstream reads ([ErrRepeated]).
//   - A number of more than 400 digits, or with an exponent beyond ±400, anywhere ([ErrNumber]).
//   - A text or a name of more than 4096 bytes if a pattern or a format applies to it ([ErrText]).
//
// # Which schemas are refused
//
// New refuses a schema that refers to something its Spec does not have, because nothing is fetched and no
// file is read. It refuses a schema that refers to itself without going into the value, because applying it
// never ends. And it refuses a schema that may take exponential time; see Spec.Branching.
package jsonschema

// Package check refuses requests by what is easy to check: the type of the body, and the values in the
// query.
//
//	create := orders.With(
//		check.ContentType("application/json"),
//		check.Query(
//			check.Param{Name: "page", Value: check.Int(1, 100)},
//			check.Param{Name: "sort", Value: check.OneOf("name", "date")},
//			check.Param{Name: "q", Value: check.Text(1, 80), Required: true},
//		),
//	)
//
// The decorators read no body. So they work in the Guards of an endpoint, where a request is refused before
// its body has arrived, and in any pipe. What they let through goes on unchanged.
//
// Package endpoint/jsonschema checks what is in a body.
package check
